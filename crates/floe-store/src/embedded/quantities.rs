//! The quantities of a meter over one organization's events.
//!
//! What a quantity is, is `floe-core`'s. This chooses for each unit of events between what was
//! computed before and the events themselves; either way the answer has the same bits.

use std::ops::Range;

use floe_core::{
    CustomerDirectory, CustomerKey, CustomerSlot, EVERYBODY, MeterQuantities, QuantityAccumulator,
    QuantityQuery, Series,
};

use super::derived::{self, Definition, Work};
use super::query::{Condition, RowsPlan, is_usage};
use super::rows::Rows;
use super::segment::Batch;
use super::units::Unit;
use super::view::{Selected, View, read};
use crate::port::Result;

/// Finds the bucket of instants that mostly ascend: the last one found is tried first.
struct BucketFinder<'s> {
    series: &'s Series,
    from: i64,
    until: i64,
    bucket: Option<usize>,
}

impl<'s> BucketFinder<'s> {
    fn new(series: &'s Series) -> Self {
        Self { series, from: 0, until: 0, bucket: None }
    }

    fn find(&mut self, micros: i64) -> Option<usize> {
        if micros < self.from || micros >= self.until {
            let edges = self.series.edges();
            let after = edges.partition_point(|&edge| edge <= micros);
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

/// The quantities of a meter.
pub(super) fn quantities(
    view: Option<View<'_>>,
    query: &QuantityQuery,
    directory: &impl CustomerDirectory,
) -> Result<MeterQuantities> {
    let series = query.series();
    let accumulator = QuantityAccumulator::new(
        query.aggregation.function(),
        query.customer_aggregation,
        series.bucket_count(),
    );
    let Some(view) = view else { return Ok(accumulator.finish(&series)) };
    let mut answer = Answer { query, directory, series: &series, accumulator };
    let between = answer.covered();
    // Conditions on metadata are beyond what a definition knows of.
    let is_of_all = query.customers.is_none() && query.customer_aggregation.is_none();
    let definition = if query.metadata.is_empty() && is_of_all && derived::rollups_suit(&series) {
        Definition::new(&query.filter, &query.aggregation)
    } else {
        None
    };
    let work = Work::new(read(view.tail).sealed().len());
    view.units(
        &between,
        |_| (),
        |(), unit| {
            let derived = &view.reader.derived;
            let rollup = match (&definition, unit) {
                (None, _) | (_, Unit::Growing(..)) => None,
                (Some(definition), Unit::Frozen(start, chunk)) => {
                    Some(derived.of_chunk(view.organization, start, chunk, definition))
                }
                (Some(definition), Unit::Segment(segment)) => {
                    Some(derived.of_segment(segment, definition, &work)?)
                }
            };
            if let Some(rollup) = rollup.filter(|rollup| rollup.is_there()) {
                derived::add_rollup(&rollup, &series, &mut answer.accumulator);
                return Ok(());
            }
            view.scan_unit(unit, &between, query.customers.as_ref(), |rows, selected| {
                match (rows, selected) {
                    (Rows::Sealed(batch), Selected::All) => answer.add_batch(batch),
                    _ => answer.add_rows(rows, selected),
                }
            })
        },
    )?;
    Ok(answer.accumulator.finish(&series))
}

/// An answer under way.
struct Answer<'q, D> {
    query: &'q QuantityQuery,
    directory: &'q D,
    series: &'q Series,
    accumulator: QuantityAccumulator,
}

impl<D: CustomerDirectory> Answer<'_, D> {
    /// From the first edge of a bucket to the last.
    fn covered(&self) -> Range<i64> {
        match (self.series.edges().first(), self.series.edges().last()) {
            (Some(&first), Some(&last)) => first..last,
            _ => 0..0,
        }
    }

    /// Adds rows column by column.
    fn add_batch(&mut self, batch: &Batch) {
        let Self { query, directory, series, accumulator } = self;
        let mut finder = BucketFinder::new(series);
        let mut slots: Vec<Option<CustomerSlot>> = Vec::new();
        if accumulator.is_per_customer() {
            slots.resize(batch.customers().len(), None);
        }
        let micros = batch.all_micros();
        derived::asked_for(query, batch).add_to(accumulator, |row, accumulator| {
            let bucket = finder.find(*micros.get(row as usize)?)?;
            if slots.is_empty() {
                return Some((bucket, EVERYBODY));
            }
            let code = batch.customer_code_of(row) as usize;
            let slot = *slots[code].get_or_insert_with(|| {
                accumulator.slot(CustomerKey::of(&batch.customers()[code], *directory))
            });
            Some((bucket, slot))
        });
    }

    /// Adds rows one by one.
    fn add_rows(&mut self, rows: Rows<'_>, selected: Selected<'_>) {
        let Self { query, directory, series, accumulator } = self;
        let condition = Condition {
            name: Some(&is_usage),
            metadata: &query.metadata,
            filters: &[&query.filter],
            aggregation: Some(&query.aggregation),
        };
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
