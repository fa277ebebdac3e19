//! What customers consumed and were credited on meters (semantics section 12).
//!
//! A window begins at a time of ingestion. Times of ingestion ascend with the rows of a segment, so
//! there it begins at a row, and what a customer consumed in it is part of a meter's column.

use std::ops::Range;
use std::sync::Arc;

use floe_core::{
    Accumulator, Credit, Customer, CustomerMeterUnits, CustomerSelection, EventSource, Meter,
    Timestamp,
};

use super::blocks::BlockError;
use super::chunk::Row;
use super::derived::{ColumnReader, Definition, MeterColumn, Needed, Work};
use super::query::{Condition, Names, RowsPlan};
use super::rows::Rows;
use super::segment::Segment;
use super::tail::{Ledger, OrganizationTail};
use super::units::Unit;
use super::view::{Selected, View, read};
use crate::port::{CustomerMeterRow, Result};

/// All event timestamps, in microseconds.
const ANY_TIME: Range<i64> = i64::MIN..i64::MAX;

/// A customer and a meter: what is inside the window since the last reset.
pub(super) struct Window {
    start: Option<Timestamp>,
    /// The credits, in order of time.
    pub(super) credits: Vec<Credit>,
    /// What the meter counts.
    pub(super) consumed: Accumulator,
    modified_at: Option<Timestamp>,
}

impl Window {
    /// The units as the wire shows them.
    pub(super) fn row(&self) -> CustomerMeterRow {
        CustomerMeterRow {
            units: CustomerMeterUnits::new(&self.consumed.finish(), &self.credits),
            modified_at: self.modified_at,
        }
    }
}

impl Window {
    fn new(customer: &Customer, meter: &Meter, tail: Option<&OrganizationTail>) -> Self {
        let ledger = tail.and_then(|tail| tail.ledger(customer.id, meter.id));
        Self {
            start: ledger.and_then(Ledger::window_start),
            credits: ledger.map(Ledger::credits).unwrap_or_default(),
            consumed: Accumulator::new(meter.aggregation.function()),
            modified_at: ledger.and_then(Ledger::modified_at),
        }
    }

    fn holds(&self, ingested_at: Timestamp) -> bool {
        self.start.is_none_or(|start| ingested_at >= start)
    }

    fn note(&mut self, ingested_at: Timestamp) {
        self.modified_at = self.modified_at.max(Some(ingested_at));
    }
}

/// What customers consumed and were credited on meters, by customer, then meter.
pub(super) fn customer_meters(
    view: Option<View<'_>>,
    customers: &[&Customer],
    meters: &[&Meter],
) -> Result<Vec<Vec<Window>>> {
    let windows = |tail: Option<&OrganizationTail>| -> Vec<Vec<Window>> {
        let of = |customer: &&Customer| {
            meters.iter().map(|meter| Window::new(customer, meter, tail)).collect()
        };
        customers.iter().map(of).collect()
    };
    let Some(view) = view else { return Ok(windows(None)) };
    let spellings: Vec<CustomerSelection> = customers
        .iter()
        .map(|customer| CustomerSelection::one(customer.id, customer.external_id.as_deref()))
        .collect();
    let definitions: Vec<Option<Definition>> =
        meters.iter().map(|meter| Definition::new(&meter.filter, &meter.aggregation)).collect();
    for definition in definitions.iter().flatten() {
        let needed = Needed { rollup: false, column: true };
        view.reader.derived.note_use(view.organization, definition, needed);
    }
    let question = Question { view: &view, meters, spellings: &spellings };
    let work = Work::new(read(view.tail).sealed().len().saturating_mul(meters.len() as u64));
    view.units(
        &ANY_TIME,
        |tail| windows(Some(tail)),
        |windows, unit| {
            let Unit::Segment(segment) = unit else {
                let all: Vec<usize> = (0..meters.len()).collect();
                return question.add_rows(unit, &all, windows);
            };
            let mut without_column = Vec::new();
            for (number, definition) in definitions.iter().enumerate() {
                let is_added = match definition {
                    None => false,
                    Some(of) => question.add_segment(segment, number, of, &work, windows)?,
                };
                if !is_added {
                    without_column.push(number);
                }
            }
            question.add_rows(unit, &without_column, windows)
        },
    )
}

/// Who and what is asked about.
struct Question<'q> {
    view: &'q View<'q>,
    meters: &'q [&'q Meter],
    /// Of each customer.
    spellings: &'q [CustomerSelection],
}

impl Question<'_> {
    /// Adds what the rows of a unit contribute to some meters, one row after the other.
    fn add_rows(
        &self,
        unit: Unit<'_>,
        meters: &[usize],
        windows: &mut [Vec<Window>],
    ) -> Result<()> {
        if meters.is_empty() {
            return Ok(());
        }
        let from_users = |source: EventSource, _: &str| source == EventSource::User;
        for (spellings, windows) in self.spellings.iter().zip(windows) {
            let visit = |rows: Rows<'_>, selected: Selected<'_>| {
                for &number in meters {
                    let condition = Condition {
                        names: Names::These(&from_users),
                        metadata: &[],
                        filters: [Some(&self.meters[number].filter), None],
                        aggregation: Some(&self.meters[number].aggregation),
                    };
                    let window = &mut windows[number];
                    RowsPlan::new(condition, rows).each_match(rows, selected, |row, measure| {
                        let ingested_at = rows.ingested_at(row);
                        if window.holds(ingested_at) {
                            window.consumed.add(&measure);
                            window.note(ingested_at);
                        }
                    });
                }
            };
            self.view.scan_unit(unit, &ANY_TIME, Some(spellings), visit)?;
        }
        Ok(())
    }

    /// Adds what a segment's column has for a meter; `false` if it has none that can be used.
    fn add_segment(
        &self,
        segment: &Arc<Segment>,
        meter: usize,
        definition: &Definition,
        work: &Work,
        windows: &mut [Vec<Window>],
    ) -> Result<bool> {
        let reader = self.view.reader;
        let is_over = |window: &Window| {
            window.start.is_some_and(|start| start.micros() > segment.meta.last_ingested_micros)
        };
        if windows.iter().all(|windows| is_over(&windows[meter])) {
            return Ok(true);
        }
        let Some(column) = reader.derived.column(reader, segment, definition, work)? else {
            return Ok(false);
        };
        // All of them, before any is added to: a damaged column leaves no trace.
        let mut found = Vec::with_capacity(windows.len());
        for (spellings, windows) in self.spellings.iter().zip(windows.iter()) {
            let window = &windows[meter];
            if is_over(window) {
                found.push(None);
                continue;
            }
            let first = match window.start {
                None => 0,
                Some(start) => self.view.first_ingested_from(segment, start)?,
            };
            let function = definition.aggregation().function();
            let mut part = Part { consumed: Accumulator::new(function), last: None };
            for customer in spellings.references() {
                let code =
                    reader.with_index(segment, |index, cache| index.code_of(cache, &customer))?;
                let Some(code) = code else { continue };
                if let Err(error) = self.add_rows_of(&column, code, first, &mut part) {
                    reader.derived.discard_column(segment.meta.id, definition, &error);
                    return Ok(false);
                }
            }
            found.push(Some(part));
        }
        for (part, windows) in found.into_iter().zip(windows) {
            let (Some(part), window) = (part, &mut windows[meter]) else { continue };
            window.consumed.merge(&part.consumed);
            if let Some(last) = part.last {
                window.note(self.view.ingested_at(segment, last)?);
            }
        }
        Ok(true)
    }

    fn add_rows_of(
        &self,
        column: &Arc<MeterColumn>,
        code: u32,
        first: Row,
        part: &mut Part,
    ) -> std::result::Result<(), BlockError> {
        let blocks = &self.view.reader.blocks;
        let rows = column.rows_of(blocks, code)?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut reader = ColumnReader::new(Arc::clone(column), true);
        let places = column.places(blocks, rows.clone())?;
        let is_inside = |&(row, is_system): &(Row, bool)| row >= first && !is_system;
        let mut start = rows.start;
        for run in places.chunk_by(|a, b| is_inside(a) == is_inside(b)) {
            let end = start + super::chunk::position(run.len());
            if run.first().is_some_and(is_inside) {
                reader.add_to(blocks, start..end, &mut part.consumed)?;
                part.last = part.last.max(run.iter().map(|(row, _)| *row).max());
            }
            start = end;
        }
        Ok(())
    }
}

/// What a customer consumed according to one segment.
struct Part {
    consumed: Accumulator,
    /// The newest row of it.
    last: Option<Row>,
}
