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
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{Interval, Quantities};
    ///
    /// let noon = "2026-03-02T12:00:00Z".parse()?;
    /// for (interval, total) in [(Interval::Month, 200.0), (Interval::Day, 80.0)] {
    ///     let quantities = Quantities::new(noon, noon, interval);
    ///     assert_eq!(client.meters().quantities(meter.id, &quantities).await?.total, total);
    /// }
    /// # Ok(())
    /// # });
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
/// # floe_client_doc::run(async |client| {
/// # let meter = floe_client_doc::meter(&client).await?;
/// use floe_client::{AggregationFunction, Interval, Quantities};
///
/// let (start, end) = ("2026-03-01T00:00:00Z".parse()?, "2026-03-31T23:59:59Z".parse()?);
/// let march = Quantities::new(start, end, Interval::Day)
///     .timezone("Europe/Berlin")
///     .external_customer_id("user-1")
///     .external_customer_id("user-2")
///     .metadata("model", "small");
/// assert_eq!(client.meters().quantities(meter.id, &march).await?.total, 120.0);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantities {
    pub(crate) parameters: Parameters,
}

impl Quantities {
    /// From the start, in 2023 or later, to the end, by interval. The end may be in the future.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{Interval, Quantities};
    ///
    /// let (start, end) = ("2026-03-01T00:00:00Z".parse()?, "2026-03-31T23:59:59Z".parse()?);
    /// let march = Quantities::new(start, end, Interval::Month);
    /// assert_eq!(client.meters().quantities(meter.id, &march).await?.total, 200.0);
    /// # Ok(())
    /// # });
    /// ```
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
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{Interval, Quantities};
    ///
    /// // Noon of 2 March in UTC is 3 March in Kiribati.
    /// let that_day = "2026-03-03T00:00:00+14:00".parse()?;
    /// let list = Quantities::new(that_day, that_day, Interval::Day)
    ///     .timezone("Pacific/Kiritimati");
    /// assert_eq!(client.meters().quantities(meter.id, &list).await?.total, 80.0);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.parameters.set("timezone", name.into());
        self
    }

    /// Counts each customer apart, and makes one number of theirs with this function: the greatest
    /// customer's, the mean of all, and so on.
    ///
    /// ```
    /// # floe_client_doc::run_with_sample(async |client, meter, (start, end)| {
    /// use floe_client::{AggregationFunction, Interval, Quantities};
    ///
    /// let greatest = Quantities::new(start, end, Interval::Month)
    ///     .customer_aggregation_function(AggregationFunction::Max);
    /// assert_eq!(client.meters().quantities(meter.id, &greatest).await?.total, 120.0);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn customer_aggregation_function(mut self, function: AggregationFunction) -> Self {
        self.parameters.set("customer_aggregation_function", function);
        self
    }

    customer_setters!(
        Quantities,
        "assert_eq!(client.meters().quantities(meter.id, &wanted).await?.total, 120.0);",
        "Interval, ",
        "::new(start, end, Interval::Day)"
    );
    metadata_setter!(
        Quantities,
        r#""model", "small""#,
        "assert_eq!(client.meters().quantities(meter.id, &wanted).await?.total, 120.0);",
        "Interval, ",
        "::new(start, end, Interval::Day)"
    );
}

/// How much a meter counted.
///
/// ```
/// # floe_client_doc::run_with_sample(async |client, meter, (start, end)| {
/// use floe_client::{Interval, Quantities};
///
/// let days = Quantities::new(start, end, Interval::Day);
/// let answer = client.meters().quantities(meter.id, &days).await?;
/// assert_eq!(answer.quantities.len(), 31);
/// assert_eq!(answer.total, 200.0);
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # floe_client_doc::run_with_sample(async |client, meter, (start, end)| {
/// use floe_client::{Interval, Quantities};
///
/// let days = Quantities::new(start, end, Interval::Day);
/// let second = client.meters().quantities(meter.id, &days).await?.quantities[1];
/// assert_eq!(second.timestamp, "2026-03-02T00:00:00Z".parse()?);
/// assert_eq!(second.quantity, 80.0);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MeterQuantity {
    /// When it begins, so many intervals after the start that was asked for.
    pub timestamp: Timestamp,
    /// How much.
    pub quantity: f64,
}
