//! Quantities of a meter: one per point of a series, and the total (semantics sections 5 and 7).

use std::collections::{HashMap, HashSet};

use rustc_hash::FxHashMap;

use crate::aggregation::{
    Accumulator, Aggregation, AggregationFunction, Measure, keep_max, keep_min,
};
use crate::calendar::{Interval, Series, TimeZone};
use crate::customer::{CustomerKey, CustomerSelection};
use crate::filter::Filter;
use crate::number::Exact;
use crate::timestamp::Timestamp;
use crate::value::Value;

/// What is asked of a meter.
#[derive(Debug, Clone)]
pub struct QuantityQuery {
    /// Which events the meter counts.
    pub filter: Filter,
    /// What it computes from them.
    pub aggregation: Aggregation,
    /// The first point.
    pub start: Timestamp,
    /// The last point is not after it; not before `start`.
    pub end: Timestamp,
    /// The distance of the points, and the length of the buckets.
    pub interval: Interval,
    /// Whose calendar it is.
    pub zone: TimeZone,
    /// Whose events; everybody's if absent.
    pub customers: Option<CustomerSelection>,
    /// Aggregates per customer first, then by this function over the customers.
    pub customer_aggregation: Option<AggregationFunction>,
    /// Conditions on event metadata, all of which must hold.
    pub metadata: Vec<MetadataCondition>,
}

impl QuantityQuery {
    /// Its points and buckets.
    #[must_use]
    pub fn series(&self) -> Series {
        Series::new(self.interval, self.start, self.end, &self.zone)
    }
}

/// A condition on one top-level key of metadata: its text is one of these (contract section
/// 1.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataCondition {
    /// The key; dots have no meaning in it.
    pub key: String,
    /// The texts that pass.
    pub values: Vec<String>,
}

impl MetadataCondition {
    /// Whether a value under the key passes; an absent one does not.
    #[must_use]
    pub fn holds(&self, value: Option<&Value<'_>>) -> bool {
        value
            .and_then(Value::text)
            .is_some_and(|text| self.values.iter().any(|wanted| **wanted == *text))
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct MeterQuantities {
    /// Ascending by time, at least one.
    pub quantities: Vec<MeterQuantity>,
    /// Of the covered buckets; not always the sum of the quantities.
    pub total: f64,
}

/// The quantity of one point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeterQuantity {
    /// The point: aligned to the start of the series, not to the calendar.
    pub timestamp: Timestamp,
    /// Of the calendar bucket that the point lies in; 0 if it is empty. Finite.
    pub quantity: f64,
}

/// Quantities under way: what each bucket, and in it each customer if that was asked, holds.
///
/// However the events are split over accumulators and in whatever order they come, the answer
/// has the same bits.
#[derive(Debug, Clone)]
pub struct QuantityAccumulator {
    function: AggregationFunction,
    customer_aggregation: Option<AggregationFunction>,
    cells: Cells,
    customers: HashMap<CustomerKey, CustomerSlot>,
    /// Space for the texts of values, so that not each needs its own.
    text: String,
}

/// The accumulators of each bucket.
#[derive(Debug, Clone)]
enum Cells {
    /// Of all customers together; none until an event falls into the bucket.
    Together(Vec<Option<Accumulator>>),
    /// Of each customer. Slots are our own numbers, so their hash need not resist anybody.
    PerCustomer(Vec<FxHashMap<CustomerSlot, Accumulator>>),
}

/// A customer in one [`QuantityAccumulator`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomerSlot(usize);

/// Stands for all customers where they are not told apart.
pub const EVERYBODY: CustomerSlot = CustomerSlot(0);

impl QuantityAccumulator {
    /// An empty one, for so many buckets.
    #[must_use]
    pub fn new(
        function: AggregationFunction,
        customer_aggregation: Option<AggregationFunction>,
        bucket_count: usize,
    ) -> Self {
        let cells = match customer_aggregation {
            None => Cells::Together(vec![None; bucket_count]),
            Some(_) => Cells::PerCustomer(vec![FxHashMap::default(); bucket_count]),
        };
        let (customers, text) = (HashMap::new(), String::new());
        Self { function, customer_aggregation, cells, customers, text }
    }

    /// Whether customers are told apart; if not, every slot is [`EVERYBODY`].
    #[must_use]
    pub fn is_per_customer(&self) -> bool {
        self.customer_aggregation.is_some()
    }

    /// The slot of a customer.
    pub fn slot(&mut self, customer: CustomerKey) -> CustomerSlot {
        let next = CustomerSlot(self.customers.len() + 1);
        *self.customers.entry(customer).or_insert(next)
    }

    /// Adds what one event contributes; `bucket` must be one of the buckets.
    pub fn add(&mut self, bucket: usize, customer: CustomerSlot, measure: &Measure<'_>) {
        let function = self.function;
        let new = || Accumulator::new(function);
        let cell = match &mut self.cells {
            Cells::Together(buckets) => buckets[bucket].get_or_insert_with(new),
            Cells::PerCustomer(buckets) => buckets[bucket].entry(customer).or_insert_with(new),
        };
        cell.add_with(measure, &mut self.text);
    }

    /// The quantities of the points of a series, and their total.
    #[must_use]
    pub fn finish(&self, series: &Series) -> MeterQuantities {
        let buckets: Vec<Option<Exact>> = match &self.cells {
            Cells::Together(buckets) => {
                buckets.iter().map(|cell| cell.as_ref().map(Accumulator::finish)).collect()
            }
            Cells::PerCustomer(buckets) => {
                buckets.iter().map(|cells| self.value_over_customers(cells)).collect()
            }
        };
        let values: Vec<Option<&Exact>> = (0..series.points().len())
            .map(|point| buckets[series.bucket_of_point(point)].as_ref())
            .collect();
        let quantities = series
            .points()
            .iter()
            .zip(&values)
            .map(|(&timestamp, value)| MeterQuantity {
                timestamp,
                quantity: value.map_or(0.0, Exact::to_f64),
            })
            .collect();
        MeterQuantities { quantities, total: self.total(&values).to_f64() }
    }

    /// The function over customers of what each of them has in a bucket; `None` if no event is in
    /// it.
    fn value_over_customers(&self, cells: &FxHashMap<CustomerSlot, Accumulator>) -> Option<Exact> {
        let function = self.customer_aggregation?;
        if cells.is_empty() {
            return None;
        }
        let mut sum = Exact::default();
        let (mut max, mut min) = (None, None);
        let mut distinct = HashSet::new();
        for value in cells.values().map(Accumulator::finish) {
            match function {
                AggregationFunction::Count => {}
                AggregationFunction::Sum | AggregationFunction::Avg => sum.add(&value),
                AggregationFunction::Max => keep_max(&mut max, value),
                AggregationFunction::Min => keep_min(&mut min, value),
                AggregationFunction::Unique => {
                    distinct.insert(value.canonical_text());
                }
            }
        }
        match function {
            AggregationFunction::Count => Some(Exact::count(cells.len() as u64)),
            AggregationFunction::Sum => Some(sum),
            AggregationFunction::Avg => {
                Some(Exact::from_shortest_decimal(sum.divided_by(cells.len() as u64)))
            }
            AggregationFunction::Max => max,
            AggregationFunction::Min => min,
            AggregationFunction::Unique => Some(Exact::count(distinct.len() as u64)),
        }
    }

    fn total(&self, points: &[Option<&Exact>]) -> Exact {
        let values = points.iter().copied().flatten();
        match self.function {
            AggregationFunction::Count | AggregationFunction::Sum => {
                let mut sum = Exact::default();
                values.for_each(|value| sum.add(value));
                sum
            }
            AggregationFunction::Max => values.max().cloned().unwrap_or_default(),
            AggregationFunction::Min => values.min().cloned().unwrap_or_default(),
            // Of all events in the covered buckets; customers do not matter (S1, S6).
            AggregationFunction::Avg | AggregationFunction::Unique => {
                let mut whole = Accumulator::new(self.function);
                match &self.cells {
                    Cells::Together(buckets) => {
                        buckets.iter().flatten().for_each(|cell| whole.merge(cell));
                    }
                    Cells::PerCustomer(buckets) => {
                        let cells = buckets.iter().flat_map(FxHashMap::values);
                        cells.for_each(|cell| whole.merge(cell));
                    }
                }
                whole.finish()
            }
        }
    }
}
