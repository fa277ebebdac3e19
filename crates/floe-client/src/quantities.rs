//! How much a meter counted.

use serde::{Deserialize, Serialize};

use crate::aggregation::AggregationFunction;
use crate::timestamp::Timestamp;
use crate::wire::{Parameters, customer_setters, metadata_setter, wire_names};

wire_names! {
    /// The stretches of time that quantities are told for: those of the calendar, in a time zone.
    ///
    /// The longer the interval, the longer the time that one call may ask for, by the calendar
    /// dates of its start and end.
    ///
    /// ```
    /// use floe_client::Interval;
    ///
    /// assert_eq!("week".parse(), Ok(Interval::Week));
    /// ```
    pub enum Interval {
        /// Years, over at most 3,650 days.
        Year = "year",
        /// Months, over at most 1,460 days.
        Month = "month",
        /// Weeks, from Monday on, over at most 371 days.
        Week = "week",
        /// Days, at most 366.
        Day = "day",
        /// Hours, over at most 7 days.
        Hour = "hour",
    }
}

/// Which quantities to ask for.
///
/// ```
/// use floe_client::{AggregationFunction, Interval, Quantities};
///
/// let (start, end) = ("2026-03-01T00:00:00Z".parse()?, "2026-03-31T23:59:59Z".parse()?);
/// let march = Quantities::new(start, end, Interval::Day)
///     .timezone("Europe/Berlin")
///     .external_customer_id("user-1")
///     .external_customer_id("user-2")
///     .metadata("region", "eu");
/// let greatest_user = Quantities::new(start, end, Interval::Day)
///     .customer_aggregation_function(AggregationFunction::Max);
/// # Ok::<(), floe_client::InvalidTimestamp>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantities {
    pub(crate) parameters: Parameters,
}

impl Quantities {
    /// From the start, in 2023 or later, to the end, by interval. The end may be in the future.
    #[must_use]
    pub fn new(start: Timestamp, end: Timestamp, interval: Interval) -> Self {
        let mut parameters = Parameters::default();
        parameters.set("start_timestamp", start);
        parameters.set("end_timestamp", end);
        parameters.set("interval", interval);
        Self { parameters }
    }

    /// The time zone of the intervals, by its IANA name, such as `Europe/Berlin`. Without this,
    /// UTC.
    #[must_use]
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.parameters.set("timezone", name.into());
        self
    }

    /// Counts each customer apart, and makes one number of theirs with this function: the greatest
    /// customer's, the mean of all, and so on.
    #[must_use]
    pub fn customer_aggregation_function(mut self, function: AggregationFunction) -> Self {
        self.parameters.set("customer_aggregation_function", function);
        self
    }

    customer_setters!(
        Quantities,
        "assert_eq!(client.meters().quantities(meter.id, &list).await?.total, 120.0);",
        "Interval, ",
        "::new(start, end, Interval::Day)"
    );
    metadata_setter!(
        Quantities,
        r#""model", "small""#,
        "assert_eq!(client.meters().quantities(meter.id, &list).await?.total, 120.0);",
        "Interval, ",
        "::new(start, end, Interval::Day)"
    );
}

/// How much a meter counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MeterQuantities {
    /// By interval, in the order of time; one at least, and 0 where nothing was counted.
    pub quantities: Vec<MeterQuantity>,
    /// Of counts and sums, the sum of the quantities; of extremes, the extreme of those where
    /// something was counted; of means and of different values, that of all events whatever their
    /// time.
    pub total: f64,
}

/// How much a meter counted in one interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MeterQuantity {
    /// When it begins, so many intervals after the start that was asked for.
    pub timestamp: Timestamp,
    /// How much.
    pub quantity: f64,
}
