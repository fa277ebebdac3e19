//! The quantity of each customer of a meter over a period.

use crate::aggregation::Aggregation;
use crate::calendar::{Interval, Series, TimeZone};
use crate::customer::CustomerKey;
use crate::filter::Filter;
use crate::quantity::MetadataCondition;
use crate::timestamp::Timestamp;

/// What is asked of a meter about each of its customers.
///
/// With an interval the period is that of a [`QuantityQuery`](crate::QuantityQuery) with the same
/// interval, bounds and zone: the buckets that its points show. What a customer has is then the
/// `total` of that query with this customer alone selected, so for `count` and `sum` the customers
/// add up to the total of all.
#[derive(Debug, Clone)]
pub struct CustomerQuantitiesQuery {
    /// Which events the meter counts.
    pub filter: Filter,
    /// What it computes from them.
    pub aggregation: Aggregation,
    /// The first point; without an interval the first instant.
    pub start: Timestamp,
    /// The last point is not after it; without an interval the first instant that is no longer
    /// inside. Not before `start`.
    pub end: Timestamp,
    /// The distance of the points, and the length of the buckets; absent: from `start` to just
    /// before `end`, as one bucket.
    pub interval: Option<Interval>,
    /// Whose calendar it is; of no consequence without an interval.
    pub zone: TimeZone,
    /// Conditions on event metadata, all of which must hold.
    pub metadata: Vec<MetadataCondition>,
}

impl CustomerQuantitiesQuery {
    /// Its points and buckets.
    #[must_use]
    pub fn series(&self) -> Series {
        match self.interval {
            Some(interval) => Series::new(interval, self.start, self.end, &self.zone),
            None => Series::between(self.start, self.end),
        }
    }
}

/// What one customer has.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerQuantity {
    /// Both spellings of a customer are one.
    pub customer: CustomerKey,
    /// Finite.
    pub quantity: f64,
}
