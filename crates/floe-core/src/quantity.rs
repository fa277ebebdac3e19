//! Quantities of a meter: one per point of a series, and the total (semantics sections 5 and 7).

use std::collections::HashMap;

use rustc_hash::FxHashSet;

use crate::aggregation::{Accumulator, Aggregation, AggregationFunction, Measure};
use crate::calendar::{Interval, Series, TimeZone};
use crate::customer::{CustomerKey, CustomerSelection};
use crate::customer_quantity::CustomerQuantity;
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
    cells: Cells,
    customers: HashMap<CustomerKey, CustomerSlot>,
    values: DistinctValues,
    /// Space for the texts of values, so that not each needs its own.
    text: String,
}

/// What the buckets hold.
#[derive(Debug, Clone)]
enum Cells {
    /// Of all customers together; none until an event falls into the bucket.
    Together(Vec<Option<Cell>>),
    /// Of each customer.
    PerCustomer {
        /// By slot: what customers have who may have more.
        open: Vec<CustomerCells>,
        /// What is kept of the customers of whom everything is known.
        closed: Closed,
    },
}

/// What is kept of customers of whom everything is known.
#[derive(Debug, Clone)]
enum Closed {
    /// A function over them.
    Over {
        /// By bucket.
        buckets: Vec<Option<Accumulator>>,
        over_customers: AggregationFunction,
        /// What they have in all buckets, where the total needs it.
        whole: Cell,
    },
    /// The total of each.
    Each {
        /// By bucket.
        point_counts: Vec<u32>,
        totals: Vec<CustomerQuantity>,
    },
}

impl Closed {
    /// Adds a customer of whom everything is known: in each bucket where it has an event.
    fn add(&mut self, customer: &CustomerKey, cells: &CustomerCells) {
        match self {
            Self::Over { buckets, over_customers, whole } => {
                for (bucket, cell) in &cells.cells {
                    buckets[*bucket]
                        .get_or_insert_with(|| Accumulator::new(*over_customers))
                        .add_exact(&cell.finish());
                    if is_total_of_events(cells.function) {
                        whole.merge_cell(cell);
                    }
                }
            }
            Self::Each { point_counts, totals } => {
                // Who has no event in a bucket has nothing to be told.
                if !cells.is_empty() {
                    let quantity = cells.total(point_counts).to_f64();
                    totals.push(CustomerQuantity { customer: customer.clone(), quantity });
                }
            }
        }
    }
}

/// What one bucket holds, of one customer or of all.
#[derive(Debug, Clone)]
pub struct Cell(CellKind);

#[derive(Debug, Clone)]
enum CellKind {
    /// Of any function but `unique`.
    Of(Accumulator),
    /// Of `unique`. The codes are our own numbers, so their hash need not resist anybody.
    Distinct(FxHashSet<DistinctValue>),
}

impl Cell {
    fn new(function: AggregationFunction) -> Self {
        Self(match function {
            AggregationFunction::Unique => CellKind::Distinct(FxHashSet::default()),
            function => CellKind::Of(Accumulator::new(function)),
        })
    }

    /// Adds what an accumulator of the same function holds; not for `unique`, whose values are
    /// [added](Self::add_values) by their codes.
    pub fn merge(&mut self, part: &Accumulator) {
        if let CellKind::Of(whole) = &mut self.0 {
            whole.merge(part);
        }
    }

    /// Adds events that have these values, for `unique`. An event without a value adds none, but
    /// its cell is there.
    pub fn add_values(&mut self, values: impl IntoIterator<Item = DistinctValue>) {
        if let CellKind::Distinct(distinct) = &mut self.0 {
            distinct.extend(values);
        }
    }

    fn merge_cell(&mut self, other: &Self) {
        match &other.0 {
            CellKind::Of(part) => self.merge(part),
            CellKind::Distinct(values) => self.add_values(values.iter().copied()),
        }
    }

    fn finish(&self) -> Exact {
        match &self.0 {
            CellKind::Of(whole) => whole.finish(),
            CellKind::Distinct(values) => Exact::count(values.len() as u64),
        }
    }
}

/// A value that `unique` tells from others, in one [`QuantityAccumulator`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DistinctValue(u32);

/// The values of a `unique`, each text once however many cells have it.
#[derive(Debug, Clone, Default)]
struct DistinctValues {
    codes: HashMap<Box<str>, DistinctValue>,
}

impl DistinctValues {
    fn code(&mut self, canonical_text: &str) -> DistinctValue {
        if let Some(&code) = self.codes.get(canonical_text) {
            return code;
        }
        let code = DistinctValue(u32::try_from(self.codes.len()).unwrap_or(u32::MAX));
        self.codes.insert(canonical_text.into(), code);
        code
    }
}

/// What one customer has: a cell for each bucket with an event.
#[derive(Debug, Clone)]
pub struct CustomerCells {
    function: AggregationFunction,
    /// Ascending by bucket.
    cells: Vec<(usize, Cell)>,
    /// Where the last one was found: events mostly come in order of time.
    last: usize,
}

impl CustomerCells {
    /// The cell of a bucket.
    pub fn cell(&mut self, bucket: usize) -> &mut Cell {
        let is_it = |place: &usize| self.cells.get(*place).is_some_and(|(of, _)| *of == bucket);
        let near = [self.last, self.last + 1].into_iter().find(is_it);
        let place = near.unwrap_or_else(|| self.cells.partition_point(|(of, _)| *of < bucket));
        if near.is_none() && !is_it(&place) {
            self.cells.insert(place, (bucket, Cell::new(self.function)));
        }
        self.last = place;
        &mut self.cells[place].1
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    fn merge(&mut self, other: &Self) {
        for (bucket, cell) in &other.cells {
            self.cell(*bucket).merge_cell(cell);
        }
    }

    fn clear(&mut self) {
        self.cells.clear();
        self.last = 0;
    }

    /// The total over the points of a series, so many of which show each bucket.
    fn total(&self, point_counts: &[u32]) -> Exact {
        if is_total_of_events(self.function) {
            let mut whole = Cell::new(self.function);
            self.cells.iter().for_each(|(_, cell)| whole.merge_cell(cell));
            return whole.finish();
        }
        let of_buckets: Vec<(Exact, u32)> = self
            .cells
            .iter()
            .map(|(bucket, cell)| (cell.finish(), point_counts.get(*bucket).copied().unwrap_or(0)))
            .collect();
        let of_points: Vec<Option<&Exact>> = of_buckets
            .iter()
            .flat_map(|(value, points)| std::iter::repeat_n(Some(value), *points as usize))
            .collect();
        total(self.function, &of_points)
    }
}

/// A customer in one [`QuantityAccumulator`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomerSlot(usize);

/// Stands for all customers where they are not told apart.
pub const EVERYBODY: CustomerSlot = CustomerSlot(usize::MAX);

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
            Some(over_customers) => Cells::PerCustomer {
                open: Vec::new(),
                closed: Closed::Over {
                    buckets: vec![None; bucket_count],
                    over_customers,
                    whole: Cell::new(function),
                },
            },
        };
        Self::with(function, cells)
    }

    /// An empty one that tells the total of each customer over a series: see
    /// [`finish_each`](Self::finish_each).
    #[must_use]
    pub fn of_each_customer(function: AggregationFunction, series: &Series) -> Self {
        let mut point_counts = vec![0; series.bucket_count()];
        for point in 0..series.points().len() {
            point_counts[series.bucket_of_point(point)] += 1;
        }
        let closed = Closed::Each { point_counts, totals: Vec::new() };
        Self::with(function, Cells::PerCustomer { open: Vec::new(), closed })
    }

    fn with(function: AggregationFunction, cells: Cells) -> Self {
        let (customers, values, text) = (HashMap::new(), DistinctValues::default(), String::new());
        Self { function, cells, customers, values, text }
    }

    /// The function of the aggregation.
    #[must_use]
    pub fn function(&self) -> AggregationFunction {
        self.function
    }

    /// Whether customers are told apart; if not, every slot is [`EVERYBODY`].
    #[must_use]
    pub fn is_per_customer(&self) -> bool {
        matches!(self.cells, Cells::PerCustomer { .. })
    }

    /// The slot of a customer.
    pub fn slot(&mut self, customer: CustomerKey) -> CustomerSlot {
        let next = CustomerSlot(self.customers.len());
        let slot = *self.customers.entry(customer).or_insert(next);
        if slot == next
            && let Cells::PerCustomer { open, .. } = &mut self.cells
        {
            open.push(CustomerCells { function: self.function, cells: Vec::new(), last: 0 });
        }
        slot
    }

    /// The code of a value, given by the text that
    /// [`Value::write_canonical`](crate::Value::write_canonical) makes.
    pub fn value(&mut self, canonical_text: &str) -> DistinctValue {
        self.values.code(canonical_text)
    }

    /// The cell of a bucket, which must be one of the buckets, and a customer.
    ///
    /// # Panics
    ///
    /// If there is no such bucket, or the slot is not from here.
    pub fn cell(&mut self, bucket: usize, customer: CustomerSlot) -> &mut Cell {
        let function = self.function;
        match &mut self.cells {
            Cells::Together(buckets) => buckets[bucket].get_or_insert_with(|| Cell::new(function)),
            Cells::PerCustomer { open, .. } => open[customer.0].cell(bucket),
        }
    }

    /// Adds what one event contributes; `bucket` must be one of the buckets.
    pub fn add(&mut self, bucket: usize, customer: CustomerSlot, measure: &Measure<'_>) {
        let value = match measure {
            Measure::Value(value) if self.function == AggregationFunction::Unique => {
                self.text.clear();
                value.write_canonical(&mut self.text);
                Some(self.values.code(&self.text))
            }
            _ => None,
        };
        match &mut self.cell(bucket, customer).0 {
            CellKind::Of(accumulator) => accumulator.add(measure),
            CellKind::Distinct(distinct) => distinct.extend(value),
        }
    }

    /// Empty cells of one customer, to be handed to [`add_customer`](Self::add_customer).
    #[must_use]
    pub fn customer_cells(&self) -> CustomerCells {
        CustomerCells { function: self.function, cells: Vec::new(), last: 0 }
    }

    /// Adds what a customer has, leaving `cells` empty. `is_all` says that nothing more comes of the
    /// customer: then its cells are no longer kept, which matters where there are many customers.
    pub fn add_customer(&mut self, customer: CustomerKey, cells: &mut CustomerCells, is_all: bool) {
        if !is_all {
            let slot = self.slot(customer);
            if let Cells::PerCustomer { open, .. } = &mut self.cells {
                open[slot.0].merge(cells);
            }
        } else if let Cells::PerCustomer { open, closed } = &mut self.cells {
            if let Some(slot) = self.customers.get(&customer) {
                cells.merge(&open[slot.0]);
                open[slot.0] = CustomerCells { function: self.function, cells: vec![], last: 0 };
            }
            closed.add(&customer, cells);
        }
        cells.clear();
    }

    /// The quantities of the points of a series, and their total.
    #[must_use]
    pub fn finish(self, series: &Series) -> MeterQuantities {
        let function = self.function;
        let (buckets, whole): (Vec<Option<Exact>>, Option<Exact>) = match self.cells {
            Cells::Together(cells) => {
                let buckets = cells.iter().map(|cell| cell.as_ref().map(Cell::finish)).collect();
                let whole = is_total_of_events(function).then(|| {
                    let mut whole = Cell::new(function);
                    cells.iter().flatten().for_each(|cell| whole.merge_cell(cell));
                    whole.finish()
                });
                (buckets, whole)
            }
            Cells::PerCustomer { open, mut closed } => {
                for (customer, slot) in &self.customers {
                    closed.add(customer, &open[slot.0]);
                }
                match closed {
                    Closed::Over { buckets, whole, .. } => {
                        let buckets = buckets.iter();
                        let buckets = buckets.map(|over| over.as_ref().map(Accumulator::finish));
                        let whole = is_total_of_events(function).then(|| whole.finish());
                        (buckets.collect(), whole)
                    }
                    Closed::Each { point_counts, .. } => (vec![None; point_counts.len()], None),
                }
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
        let total = whole.unwrap_or_else(|| total(function, &values));
        MeterQuantities { quantities, total: total.to_f64() }
    }

    /// The total of each customer with an event in a bucket, in the order of customers; none if
    /// this was not made by [`of_each_customer`](Self::of_each_customer), whose
    /// [`finish`](Self::finish) in turn has nothing in its buckets.
    #[must_use]
    pub fn finish_each(self) -> Vec<CustomerQuantity> {
        let Cells::PerCustomer { open, mut closed } = self.cells else { return Vec::new() };
        for (customer, slot) in &self.customers {
            closed.add(customer, &open[slot.0]);
        }
        let Closed::Each { mut totals, .. } = closed else { return Vec::new() };
        totals.sort_unstable_by(|a, b| a.customer.cmp(&b.customer));
        totals
    }
}

/// Whether the total is of all events in the covered buckets, and not of the points; customers do
/// not matter to it (S1, S6).
fn is_total_of_events(function: AggregationFunction) -> bool {
    matches!(function, AggregationFunction::Avg | AggregationFunction::Unique)
}

/// The total of points, of a function whose total is theirs.
fn total(function: AggregationFunction, points: &[Option<&Exact>]) -> Exact {
    let values = points.iter().copied().flatten();
    match function {
        AggregationFunction::Max => values.max().cloned().unwrap_or_default(),
        AggregationFunction::Min => values.min().cloned().unwrap_or_default(),
        _ => {
            let mut sum = Exact::default();
            values.for_each(|value| sum.add(value));
            sum
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::number::Number;
    use crate::timestamp::Timestamp;

    /// Of a customer, in a bucket.
    type Contribution = (u8, usize, i32);

    const BUCKETS: usize = 5;

    fn function() -> impl Strategy<Value = AggregationFunction> {
        proptest::sample::select(AggregationFunction::ALL.map(|(_, function)| function).to_vec())
    }

    fn key(customer: u8) -> CustomerKey {
        CustomerKey::External(customer.to_string().into())
    }

    fn measure(function: AggregationFunction, number: i32) -> Measure<'static> {
        let number = Number::Int(number.into());
        match function {
            AggregationFunction::Count => Measure::Event,
            AggregationFunction::Unique => Measure::Value(Value::Number(number)),
            _ => Measure::Number(number),
        }
    }

    fn series() -> Series {
        let day = |day: i64| Timestamp::from_micros(day * 86_400_000_000).unwrap();
        let series = Series::new(Interval::Day, day(0), day(4), &TimeZone::utc());
        assert_eq!(series.bucket_count(), BUCKETS);
        series
    }

    /// One event after the other.
    fn by_event(
        function: AggregationFunction,
        over: Option<AggregationFunction>,
        all: &[Contribution],
    ) -> MeterQuantities {
        let mut accumulator = QuantityAccumulator::new(function, over, BUCKETS);
        for &(customer, bucket, number) in all {
            let slot = match over {
                None => EVERYBODY,
                Some(_) => accumulator.slot(key(customer)),
            };
            accumulator.add(bucket, slot, &measure(function, number));
        }
        accumulator.finish(&series())
    }

    /// Adds an event to a cell, as an engine does that has sums and codes already.
    fn add(
        accumulator: &mut QuantityAccumulator,
        cells: Option<&mut CustomerCells>,
        function: AggregationFunction,
        (_, bucket, number): Contribution,
    ) {
        let value = accumulator.value(&format!("{number}e-0"));
        let cell = match cells {
            Some(cells) => cells.cell(bucket),
            None => accumulator.cell(bucket, EVERYBODY),
        };
        let mut part = Accumulator::new(function);
        part.add_exact(&Exact::from(i64::from(number)));
        cell.merge(&part);
        cell.add_values([value]);
    }

    proptest! {
        #[test]
        fn cells_that_are_merged_are_as_events_that_are_added(
            function in function(),
            over in prop::option::of(function()),
            before in prop::collection::vec((0_u8..6, 0..BUCKETS, -9..9_i32), 0..20),
            merged in prop::collection::vec((0_u8..6, 0..BUCKETS, -9..9_i32), 0..40),
            in_two_parts: u8,
        ) {
            let all: Vec<Contribution> = before.iter().chain(&merged).copied().collect();
            let expected = by_event(function, over, &all);
            let mut accumulator = QuantityAccumulator::new(function, over, BUCKETS);
            for &(customer, bucket, number) in &before {
                let slot = match over {
                    None => EVERYBODY,
                    Some(_) => accumulator.slot(key(customer)),
                };
                accumulator.add(bucket, slot, &measure(function, number));
            }
            if over.is_none() {
                for &of in &merged {
                    add(&mut accumulator, None, function, of);
                }
            } else {
                let mut cells = accumulator.customer_cells();
                for customer in 0..6_u8 {
                    let mut of: Vec<_> = merged.iter().filter(|of| of.0 == customer).collect();
                    if in_two_parts >> customer & 1 == 1 {
                        for &of in of.drain(..of.len() / 2) {
                            add(&mut accumulator, Some(&mut cells), function, of);
                        }
                        accumulator.add_customer(key(customer), &mut cells, false);
                        prop_assert!(cells.is_empty());
                    }
                    for &of in of {
                        add(&mut accumulator, Some(&mut cells), function, of);
                    }
                    accumulator.add_customer(key(customer), &mut cells, true);
                }
            }
            let got = accumulator.finish(&series());
            prop_assert_eq!(got.total.to_bits(), expected.total.to_bits());
            prop_assert_eq!(got, expected);
        }
    }
}
