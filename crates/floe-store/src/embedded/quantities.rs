//! The quantities of a meter over one organization's events.
//!
//! What a quantity is, is `floe-core`'s. This chooses for each unit of events between what was
//! computed before and the events themselves; either way the answer has the same bits.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_core::{
    Aggregation, CustomerDirectory, CustomerKey, CustomerQuantitiesQuery, CustomerQuantity,
    CustomerRef, CustomerSelection, CustomerSlot, EVERYBODY, Filter, MetadataCondition,
    MeterQuantities, QuantityAccumulator, QuantityQuery, Series,
};

use super::blocks::BlockError;
use super::derived::{self, Buckets, ColumnReader, Definition, MeterColumn, Needed, Work};
use super::query::{Condition, Names, RowsPlan};
use super::rows::Rows;
use super::segment::Segment;
use super::units::Unit;
use super::view::{Selected, View, read};
use crate::port::{Result, StoreError};

/// Finds the bucket of instants. Mostly they ascend, so the last one found is tried first; and
/// buckets are of about one length, so the next try is where it would be if they all were.
struct BucketFinder<'s> {
    series: &'s Series,
    from: i64,
    until: i64,
    bucket: Option<usize>,
    /// Buckets a microsecond.
    density: f64,
}

impl<'s> BucketFinder<'s> {
    #[expect(clippy::cast_precision_loss, reason = "it is a guess")]
    fn new(series: &'s Series) -> Self {
        let edges = series.edges();
        let density = match edges {
            [first, .., last] if last > first => (edges.len() - 1) as f64 / (last - first) as f64,
            _ => 0.0,
        };
        Self { series, from: 0, until: 0, bucket: None, density }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a guess that is checked"
    )]
    fn guess(&self, edges: &[i64], micros: i64) -> Option<usize> {
        let since = micros.checked_sub(*edges.first()?)?;
        let guess = (since as f64 * self.density) as usize;
        let holds = |after: &usize| {
            let before = after.checked_sub(1).and_then(|before| edges.get(before));
            let (Some(from), Some(until)) = (before, edges.get(*after)) else { return false };
            (*from..*until).contains(&micros)
        };
        [guess + 1, guess, guess + 2].into_iter().find(holds)
    }

    fn find(&mut self, micros: i64) -> Option<usize> {
        if micros < self.from || micros >= self.until {
            let edges = self.series.edges();
            let after = self
                .guess(edges, micros)
                .unwrap_or_else(|| edges.partition_point(|&edge| edge <= micros));
            self.from = after.checked_sub(1).map_or(i64::MIN, |before| edges[before]);
            self.until = edges.get(after).copied().unwrap_or(i64::MAX);
            self.bucket = after
                .checked_sub(1)
                .and_then(|before| self.series.slots()[before])
                .map(|bucket| bucket as usize);
        }
        self.bucket
    }
}

/// Tries of an answer that meet a damaged column; the last one does without columns.
const TRIES_MAX: usize = 3;

/// The quantities of a meter.
pub(super) fn quantities(
    view: Option<View<'_>>,
    query: &QuantityQuery,
    directory: &impl CustomerDirectory,
) -> Result<MeterQuantities> {
    let series = query.series();
    let question = Question::of(query);
    let (function, over) = (query.aggregation.function(), query.customer_aggregation);
    let new = || QuantityAccumulator::new(function, over, series.bucket_count());
    Ok(accumulate(view, question, &series, directory, new)?.finish(&series))
}

/// The quantities of a meter, from the events alone; `None` if it took longer than it may.
pub(super) fn quantities_once(
    view: Option<View<'_>>,
    query: &QuantityQuery,
    directory: &impl CustomerDirectory,
    time_max: Duration,
) -> Result<Option<MeterQuantities>> {
    let began = Instant::now();
    let series = query.series();
    let question = Question::of(query);
    let customers = question.customers;
    let accumulator = QuantityAccumulator::new(
        query.aggregation.function(),
        query.customer_aggregation,
        series.bucket_count(),
    );
    let mut answer = Answer { question, directory, series: &series, accumulator };
    let mut is_late = false;
    if let Some(view) = view {
        let between = answer.covered();
        view.units(
            &between,
            |_| (),
            |(), unit| {
                view.scan_unit(unit, &between, customers, |rows, selected| {
                    // What is left is passed over, which takes next to no time.
                    is_late |= began.elapsed() > time_max;
                    match selected {
                        _ if is_late => {}
                        Selected::All => answer.add_columns(rows),
                        Selected::These(_) => answer.add_rows(rows, selected),
                    }
                })
            },
        )?;
    }
    Ok((!is_late).then(|| answer.accumulator.finish(&series)))
}

/// The quantity of each customer of a meter who has any event that counts, in the order of
/// customers.
pub(super) fn customer_quantities(
    view: Option<View<'_>>,
    query: &CustomerQuantitiesQuery,
    directory: &impl CustomerDirectory,
) -> Result<Vec<CustomerQuantity>> {
    let series = query.series();
    let question = Question {
        filter: &query.filter,
        aggregation: &query.aggregation,
        metadata: &query.metadata,
        customers: None,
    };
    let function = query.aggregation.function();
    let new = || QuantityAccumulator::of_each_customer(function, &series);
    Ok(accumulate(view, question, &series, directory, new)?.finish_each())
}

/// Which events a question is about, besides times.
#[derive(Clone, Copy)]
struct Question<'q> {
    filter: &'q Filter,
    aggregation: &'q Aggregation,
    metadata: &'q [MetadataCondition],
    customers: Option<&'q CustomerSelection>,
}

impl<'q> Question<'q> {
    fn of(query: &'q QuantityQuery) -> Self {
        Self {
            filter: &query.filter,
            aggregation: &query.aggregation,
            metadata: &query.metadata,
            customers: query.customers.as_ref(),
        }
    }
}

/// Adds all events that a question is about to what `new` makes.
fn accumulate(
    view: Option<View<'_>>,
    question: Question<'_>,
    series: &Series,
    directory: &impl CustomerDirectory,
    new: impl Fn() -> QuantityAccumulator,
) -> Result<QuantityAccumulator> {
    let Some(view) = view else { return Ok(new()) };
    // Conditions on metadata are beyond what a definition knows of.
    let definition = question
        .metadata
        .is_empty()
        .then(|| Definition::new(question.filter, question.aggregation));
    let definition = definition.flatten();
    for tried in 1..=TRIES_MAX {
        let mut answer = Answer { question, directory, series, accumulator: new() };
        let way = match &definition {
            Some(definition) if tried < TRIES_MAX => Way::of(definition, &answer),
            _ => Way::Rows,
        };
        way.note(&view);
        match answer.add_all(&view, way) {
            Ok(()) => return Ok(answer.accumulator),
            Err(Failure::Store(error)) => return Err(error),
            Err(Failure::Column(segment, error)) => {
                if let Some(definition) = &definition {
                    view.reader.derived.discard_column(segment, definition, &error);
                }
            }
        }
    }
    Err(StoreError::Damaged("events were not found by a scan".to_owned()))
}

/// What a question is answered from.
#[derive(Clone, Copy)]
enum Way<'d> {
    /// Rollups, and columns where there is none.
    Rollups(&'d Definition),
    /// Columns of meters, of segments.
    Columns(&'d Definition),
    /// The events themselves.
    Rows,
}

impl<'d> Way<'d> {
    fn of<D>(definition: &'d Definition, answer: &Answer<'_, D>) -> Self {
        let is_of_all =
            answer.question.customers.is_none() && !answer.accumulator.is_per_customer();
        if is_of_all && derived::rollups_suit(answer.series) {
            Self::Rollups(definition)
        } else if derived::columns_suit(answer.series) {
            Self::Columns(definition)
        } else {
            Self::Rows
        }
    }
}

impl Way<'_> {
    /// Notes what segments to come will need.
    fn note(self, view: &View<'_>) {
        let (definition, needed) = match self {
            Self::Rollups(definition) => (definition, Needed { rollup: true, column: false }),
            Self::Columns(definition) => (definition, Needed { rollup: false, column: true }),
            Self::Rows => return,
        };
        view.reader.derived.note_use(view.organization, definition, needed);
    }
}

/// Why an answer did not come about.
enum Failure {
    Store(StoreError),
    /// The column of this segment is damaged.
    Column(u64, BlockError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// An answer under way.
struct Answer<'q, D> {
    question: Question<'q>,
    directory: &'q D,
    series: &'q Series,
    accumulator: QuantityAccumulator,
}

impl<'q, D: CustomerDirectory> Answer<'q, D> {
    /// From the first edge of a bucket to the last.
    fn covered(&self) -> Range<i64> {
        match (self.series.edges().first(), self.series.edges().last()) {
            (Some(&first), Some(&last)) => first..last,
            _ => 0..0,
        }
    }

    /// Adds all events that the question is about.
    fn add_all(&mut self, view: &View<'_>, way: Way<'_>) -> std::result::Result<(), Failure> {
        let between = self.covered();
        let work = Work::new(read(view.tail).sealed().len());
        // The columns of segments in which no customer is selected: customers are told apart, so
        // each is looked at in all of them at once.
        let mut columns = Vec::new();
        let mut damaged = None;
        let visited = view.units(
            &between,
            |_| (),
            |(), unit| match self.add_unit(view, way, &work, unit, &mut columns) {
                Ok(true) => Ok(()),
                Ok(false) => {
                    let customers = self.question.customers;
                    view.scan_unit(unit, &between, customers, |rows, selected| match selected {
                        Selected::All => self.add_columns(rows),
                        _ => self.add_rows(rows, selected),
                    })
                }
                Err(Failure::Store(error)) => Err(error),
                Err(Failure::Column(segment, error)) => {
                    let stopped = StoreError::Damaged(super::describe(&error));
                    damaged = Some((segment, error));
                    Err(stopped)
                }
            },
        );
        match (damaged, visited) {
            (Some((segment, error)), _) => Err(Failure::Column(segment, error)),
            (None, Err(error)) => Err(Failure::Store(error)),
            (None, Ok(())) if columns.is_empty() => Ok(()),
            (None, Ok(())) => self.add_customers(view, columns),
        }
    }

    /// Adds what was derived from a unit, or else puts it aside in `columns`; `false` if neither,
    /// and its rows must be looked at.
    fn add_unit(
        &mut self,
        view: &View<'_>,
        way: Way<'_>,
        work: &Work,
        unit: Unit<'_>,
        columns: &mut Vec<(Arc<Segment>, Arc<MeterColumn>)>,
    ) -> std::result::Result<bool, Failure> {
        let derived = &view.reader.derived;
        let rollup = match (way, unit) {
            (_, Unit::Growing(_)) | (Way::Rows, _) | (Way::Columns(_), Unit::Frozen(..)) => {
                return Ok(false);
            }
            (Way::Columns(_), Unit::Segment(_)) => None,
            (Way::Rollups(definition), Unit::Frozen(start, chunk)) => {
                Some(derived.of_chunk(view.organization, start, chunk, definition))
            }
            (Way::Rollups(definition), Unit::Segment(segment)) => {
                Some(derived.of_segment(segment, definition, work)?)
            }
        };
        if let Some(rollup) = rollup.filter(|rollup| rollup.is_there()) {
            derived::add_rollup(&rollup, self.series, &mut self.accumulator);
            return Ok(true);
        }
        let (Way::Columns(definition) | Way::Rollups(definition), Unit::Segment(segment)) =
            (way, unit)
        else {
            return Ok(false);
        };
        let Some(column) = derived.column(view.reader, segment, definition, work)? else {
            return Ok(false);
        };
        match (self.question.customers, self.accumulator.is_per_customer()) {
            (Some(customers), _) => self.add_selected(view, segment, &column, customers)?,
            (None, true) => columns.push((Arc::clone(segment), column)),
            (None, false) => {
                let rows = column.all();
                self.add_of_column(view, segment, &column, vec![(EVERYBODY, rows)])?;
            }
        }
        Ok(true)
    }

    /// Adds the rows of a column that are of these customers.
    fn add_selected(
        &mut self,
        view: &View<'_>,
        segment: &Arc<Segment>,
        column: &Arc<MeterColumn>,
        customers: &CustomerSelection,
    ) -> std::result::Result<(), Failure> {
        let mut all = Vec::new();
        for customer in customers.references() {
            let code =
                view.reader.with_index(segment, |index, cache| index.code_of(cache, &customer))?;
            let Some(code) = code else { continue };
            let rows = column.rows_of(&view.reader.blocks, code).map_err(of_column(segment))?;
            if rows.is_empty() {
                continue;
            }
            let slot = if self.accumulator.is_per_customer() {
                self.accumulator.slot(CustomerKey::of(&customer, self.directory))
            } else {
                EVERYBODY
            };
            all.push((slot, rows));
        }
        self.add_of_column(view, segment, column, all)
    }

    /// Adds rows of a column, each range to a customer.
    fn add_of_column(
        &mut self,
        view: &View<'_>,
        segment: &Arc<Segment>,
        column: &Arc<MeterColumn>,
        ranges: Vec<(CustomerSlot, Range<u32>)>,
    ) -> std::result::Result<(), Failure> {
        let rows: usize = ranges.iter().map(|(_, rows)| rows.len()).sum();
        let mut reader = ColumnReader::new(Arc::clone(column), rows <= FEW_ROWS);
        let mut buckets = Buckets::new(self.series);
        let function = self.accumulator.function();
        for (slot, rows) in ranges {
            let (blocks, accumulator) = (&view.reader.blocks, &mut self.accumulator);
            reader
                .each_run(blocks, rows, &mut buckets, accumulator, |bucket, run, accumulator| {
                    run.add_to_cell(function, accumulator.cell(bucket, slot));
                })
                .map_err(of_column(segment))?;
        }
        Ok(())
    }

    /// Adds all rows of columns, one customer after the other: then no more than one's cells are
    /// kept at a time.
    fn add_customers(
        &mut self,
        view: &View<'_>,
        columns: Vec<(Arc<Segment>, Arc<MeterColumn>)>,
    ) -> std::result::Result<(), Failure> {
        let mut walks = Vec::new();
        for (segment, column) in columns {
            let customers = view.reader.with_index(&segment, |index, _| index.customers())?;
            let entries = column.entries().map_err(of_column(&segment))?;
            if entries.last().is_some_and(|(code, _)| *code as usize >= customers.len()) {
                let error = column.disagrees();
                return Err(Failure::Column(segment.meta.id, error));
            }
            let reader = ColumnReader::new(column, false);
            walks.push(Walk { segment, reader, customers, entries, next: 0 });
        }
        let mut cells = self.accumulator.customer_cells();
        let mut buckets = Buckets::new(self.series);
        let function = self.accumulator.function();
        loop {
            let Some(customer) = walks.iter().filter_map(Walk::customer).min() else {
                return Ok(());
            };
            let customer = customer.clone();
            let key = CustomerKey::of(&customer, self.directory);
            // External ids come behind ids: the other spelling of this customer may be one.
            let comes_again = match customer {
                CustomerRef::External(_) => false,
                CustomerRef::Id(id) => {
                    self.directory.external_id_of(id).flatten().is_some_and(|text| {
                        let other = CustomerRef::External(text.into());
                        walks.iter().any(|walk| walk.customers.binary_search(&other).is_ok())
                    })
                }
            };
            for walk in walks.iter_mut().filter(|walk| walk.customer() == Some(&customer)) {
                let (blocks, accumulator) = (&view.reader.blocks, &mut self.accumulator);
                let rows = walk.rows();
                walk.reader
                    .each_run(blocks, rows, &mut buckets, accumulator, |bucket, run, _| {
                        run.add_to_cell(function, cells.cell(bucket));
                    })
                    .map_err(of_column(&walk.segment))?;
                walk.next += 1;
            }
            self.accumulator.add_customer(key, &mut cells, !comes_again);
        }
    }

    fn condition(&self) -> Condition<'q> {
        Condition {
            names: Names::Usage,
            metadata: self.question.metadata,
            filters: [Some(self.question.filter), None],
            aggregation: Some(self.question.aggregation),
        }
    }

    /// Adds all rows, column by column.
    fn add_columns(&mut self, rows: Rows<'_>) {
        let matches = derived::matching(self.condition(), rows);
        let Self { directory, series, accumulator, .. } = self;
        let mut finder = BucketFinder::new(series);
        let mut slots: Vec<Option<CustomerSlot>> = Vec::new();
        if accumulator.is_per_customer() {
            slots.resize(rows.customers().len(), None);
        }
        let micros = rows.all_micros();
        matches.add_to(accumulator, |row, accumulator| {
            let bucket = finder.find(*micros.get(row as usize)?)?;
            if slots.is_empty() {
                return Some((bucket, EVERYBODY));
            }
            let code = rows.customer_code_of(row) as usize;
            let slot = *slots[code].get_or_insert_with(|| {
                accumulator.slot(CustomerKey::of(&rows.customers()[code], *directory))
            });
            Some((bucket, slot))
        });
    }

    /// Adds rows one by one.
    fn add_rows(&mut self, rows: Rows<'_>, selected: Selected<'_>) {
        let condition = self.condition();
        let Self { directory, series, accumulator, .. } = self;
        let mut finder = BucketFinder::new(series);
        let mut slots: Vec<Option<CustomerSlot>> = Vec::new();
        if accumulator.is_per_customer() {
            slots.resize(rows.customers().len(), None);
        }
        RowsPlan::new(condition, rows).each_match(rows, selected, |row, measure| {
            let Some(bucket) = finder.find(rows.micros(row)) else { return };
            let customer = if accumulator.is_per_customer() {
                let code = rows.customer_code_of(row) as usize;
                *slots[code].get_or_insert_with(|| {
                    accumulator.slot(CustomerKey::of(&rows.customers()[code], *directory))
                })
            } else {
                EVERYBODY
            };
            accumulator.add(bucket, customer, &measure);
        });
    }
}

/// Rows that are read through the cache of blocks; more of them are read past it.
const FEW_ROWS: usize = 32 * 1024;

fn of_column(segment: &Arc<Segment>) -> impl FnOnce(BlockError) -> Failure {
    let segment = segment.meta.id;
    move |error| Failure::Column(segment, error)
}

/// A walk over the customers of a column.
struct Walk {
    segment: Arc<Segment>,
    reader: ColumnReader,
    /// By code, and so in order.
    customers: Vec<CustomerRef<'static>>,
    /// Codes of customers that have rows, and where these end.
    entries: Vec<(u32, u32)>,
    next: usize,
}

impl Walk {
    /// The customer that comes next.
    fn customer(&self) -> Option<&CustomerRef<'static>> {
        self.entries.get(self.next).and_then(|(code, _)| self.customers.get(*code as usize))
    }

    /// Its rows.
    fn rows(&self) -> Range<u32> {
        let end_of = |number: usize| self.entries.get(number).map_or(0, |(_, end)| *end);
        self.next.checked_sub(1).map_or(0, end_of)..end_of(self.next)
    }
}
