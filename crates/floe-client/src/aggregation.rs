//! How a meter makes one number of many events.

use serde::{Deserialize, Serialize};

use crate::wire::wire_names;

wire_names! {
    /// A function from many numbers to one.
    ///
    /// ```
    /// use floe_client::AggregationFunction;
    ///
    /// assert_eq!(AggregationFunction::Sum.as_str(), "sum");
    /// ```
    pub enum AggregationFunction {
        /// How many.
        Count = "count",
        /// Their sum.
        Sum = "sum",
        /// The greatest.
        Max = "max",
        /// The least.
        Min = "min",
        /// Their mean.
        Avg = "avg",
        /// How many different ones.
        Unique = "unique",
    }
}

/// How a meter makes one number of the events that its filter lets through.
///
/// The properties are those of [`FilterClause`](crate::FilterClause). Events that have no number
/// there are left out of sums, means and extremes.
///
/// ```
/// use floe_client::Aggregation;
///
/// let tokens = Aggregation::sum("tokens");
/// assert_eq!(serde_json::to_string(&tokens)?, r#"{"func":"sum","property":"tokens"}"#);
/// assert_eq!(serde_json::to_string(&Aggregation::count())?, r#"{"func":"count"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "func", rename_all = "lowercase")]
pub enum Aggregation {
    /// How many events.
    Count,
    /// The sum of a property.
    Sum {
        /// The property.
        property: String,
    },
    /// The greatest value of a property.
    Max {
        /// The property.
        property: String,
    },
    /// The least value of a property.
    Min {
        /// The property.
        property: String,
    },
    /// The mean of a property.
    Avg {
        /// The property.
        property: String,
    },
    /// How many different values a property has.
    Unique {
        /// The property.
        property: String,
    },
}

impl Aggregation {
    /// How many events.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # client.events().ingest(&[
    /// #     floe_client::EventCreate::for_external_customer("ai_usage", "user-1"),
    /// #     floe_client::EventCreate::for_external_customer("ai_usage", "user-2"),
    /// # ]).await?;
    /// use floe_client::{Aggregation, Filter, Interval, MeterCreate, Quantities, Timestamp};
    ///
    /// let requests = MeterCreate::new("Requests", Filter::and(), Aggregation::count());
    /// let requests = client.meters().create(&requests).await?;
    /// let now = Timestamp::now();
    /// let this_year = Quantities::new(now, now, Interval::Year);
    /// assert_eq!(client.meters().quantities(requests.id, &this_year).await?.total, 2.0);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn count() -> Self {
        Self::Count
    }

    /// The sum of a property.
    ///
    /// ```
    /// use floe_client::Aggregation;
    ///
    /// let dollars = Aggregation::sum("_cost.amount");
    /// assert_eq!(dollars.property(), Some("_cost.amount"));
    /// ```
    #[must_use]
    pub fn sum(property: impl Into<String>) -> Self {
        Self::Sum { property: property.into() }
    }

    /// The greatest value of a property.
    ///
    /// ```
    /// use floe_client::Aggregation;
    ///
    /// let peak = Aggregation::max("bytes_stored");
    /// assert_eq!(peak.property(), Some("bytes_stored"));
    /// ```
    #[must_use]
    pub fn max(property: impl Into<String>) -> Self {
        Self::Max { property: property.into() }
    }

    /// The least value of a property.
    ///
    /// ```
    /// use floe_client::Aggregation;
    ///
    /// let floor = Aggregation::min("bytes_free");
    /// assert_eq!(floor.property(), Some("bytes_free"));
    /// ```
    #[must_use]
    pub fn min(property: impl Into<String>) -> Self {
        Self::Min { property: property.into() }
    }

    /// The mean of a property.
    ///
    /// ```
    /// use floe_client::Aggregation;
    ///
    /// let usual = Aggregation::avg("latency_ms");
    /// assert_eq!(usual.property(), Some("latency_ms"));
    /// ```
    #[must_use]
    pub fn avg(property: impl Into<String>) -> Self {
        Self::Avg { property: property.into() }
    }

    /// How many different values a property has.
    ///
    /// ```
    /// use floe_client::Aggregation;
    ///
    /// let users = Aggregation::unique("user_id");
    /// assert_eq!(users.property(), Some("user_id"));
    /// ```
    #[must_use]
    pub fn unique(property: impl Into<String>) -> Self {
        Self::Unique { property: property.into() }
    }

    /// The function.
    ///
    /// ```
    /// use floe_client::{Aggregation, AggregationFunction};
    ///
    /// assert_eq!(Aggregation::sum("tokens").function(), AggregationFunction::Sum);
    /// ```
    #[must_use]
    pub fn function(&self) -> AggregationFunction {
        match self {
            Self::Count => AggregationFunction::Count,
            Self::Sum { .. } => AggregationFunction::Sum,
            Self::Max { .. } => AggregationFunction::Max,
            Self::Min { .. } => AggregationFunction::Min,
            Self::Avg { .. } => AggregationFunction::Avg,
            Self::Unique { .. } => AggregationFunction::Unique,
        }
    }

    /// The property; a count has none.
    ///
    /// ```
    /// use floe_client::Aggregation;
    ///
    /// assert_eq!(Aggregation::sum("tokens").property(), Some("tokens"));
    /// assert_eq!(Aggregation::count().property(), None);
    /// ```
    #[must_use]
    pub fn property(&self) -> Option<&str> {
        match self {
            Self::Count => None,
            Self::Sum { property }
            | Self::Max { property }
            | Self::Min { property }
            | Self::Avg { property }
            | Self::Unique { property } => Some(property),
        }
    }
}
