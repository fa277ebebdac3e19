//! An organization's events one after the other, as they can be ingested into another one.
//!
//! Events are numbered in order of ingestion and never change, so an export needs nothing but the
//! number that it stopped at and the one that it ends at. Between two steps it holds no lock and
//! no events, wherever these are moved meanwhile.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use floe_core::{CustomerRef, EventId, EventSource, NewEvent, Sequence, Timestamp};
use uuid::Uuid;

use super::EmbeddedStore;
use super::catalog::EmbeddedCatalog;
use super::chunk::Row;
use super::query::{Condition, Names, RowsPlan};
use super::rows::Rows;
use super::segment::{Batch, PAGE_ROWS, Segment};
use super::tail::Sealed;
use super::view::{SharedTail, View, read, unreadable};
use crate::port::{EventExport, ExportQuery, Result, WriteEvent};

/// Rows of a segment that are read at a time: what they take is bounded by the bytes of a row group.
const BATCH_ROWS: usize = 2 * PAGE_ROWS;
/// Rows in memory that are looked at, and events that are taken, under one lock.
const LOCKED_ROWS: u64 = 1024;
const LOCKED_EVENTS: usize = 64;
/// Rows that are looked at in one step, so that it ends soon if few of them match.
const STEP_ROWS: u64 = 64 * 1024;

/// An export under way.
#[derive(Debug)]
pub struct EmbeddedExport {
    store: EmbeddedStore,
    organization: floe_core::OrganizationId,
    query: Arc<ExportQuery>,
    place: Place,
}

/// How far an export is.
#[derive(Debug, Clone)]
struct Place {
    next: u64,
    /// The events that there were at its beginning.
    end: u64,
    /// What is known of the segment that was come to last.
    known: Option<Arc<Known>>,
}

/// What is known of a segment for one query.
#[derive(Debug)]
struct Known {
    segment: u64,
    /// Whether any of its events can match.
    is_worth: bool,
    /// The rows of the customers that are asked for, ascending.
    rows: Option<Vec<Row>>,
}

impl EmbeddedExport {
    pub(super) fn new(
        store: EmbeddedStore,
        organization: floe_core::OrganizationId,
        query: ExportQuery,
    ) -> Self {
        let end = store.tail(organization).map_or(0, |tail| super::count(&tail));
        let place = Place { next: 0, end, known: None };
        Self { store, organization, query: Arc::new(query), place }
    }
}

impl EventExport for EmbeddedExport {
    async fn next(&mut self, write: WriteEvent, bytes: usize) -> Result<Option<Vec<u8>>> {
        if self.place.next >= self.place.end {
            return Ok(None);
        }
        let (organization, query) = (self.organization, Arc::clone(&self.query));
        let mut place = self.place.clone();
        let (place, written) = self
            .store
            .blocking(move |store| {
                let mut out = Out { write, bytes, written: Vec::new() };
                store.view(organization, |view| {
                    let Some(view) = view else {
                        place.next = place.end;
                        return Ok(());
                    };
                    let catalog = &store.0.catalog;
                    Step { view, catalog, query: &query, out: &mut out }.run(&mut place)
                })?;
                Ok((place, out.written))
            })
            .await?;
        self.place = place;
        Ok(Some(written))
    }
}

/// What is written in one step.
struct Out {
    write: WriteEvent,
    bytes: usize,
    written: Vec<u8>,
}

struct Step<'s> {
    view: View<'s>,
    catalog: &'s EmbeddedCatalog,
    query: &'s ExportQuery,
    out: &'s mut Out,
}

/// An event that was found, with its number and sequence number.
struct Found<'r> {
    number: u64,
    sequence: Sequence,
    event: NewEvent<'r>,
}

impl Step<'_> {
    fn run(mut self, place: &mut Place) -> Result<()> {
        let until = place.end.min(place.next.saturating_add(STEP_ROWS));
        while place.next < until && self.out.written.len() < self.out.bytes {
            match self.in_memory(place.next, until) {
                Ok((found, next)) => {
                    for found in found {
                        self.emit(found)?;
                    }
                    place.next = next;
                }
                Err(sealed) => self.in_segment(&sealed, place)?,
            }
        }
        Ok(())
    }

    /// The matching events from a number on that are in memory, and the number behind those that
    /// were looked at; the segments, if the event is in one.
    fn in_memory(
        &self,
        from: u64,
        until: u64,
    ) -> std::result::Result<(Vec<Found<'static>>, u64), Arc<Sealed>> {
        let shared: &SharedTail = self.view.tail;
        let tail = read(shared);
        let Some((chunk, first)) = tail.locate(from) else { return Err(tail.sealed()) };
        let rows = Rows::Tail(chunk);
        let in_chunk = (rows.len() as u64).saturating_sub(u64::from(first));
        let count = in_chunk.min(until - from).min(LOCKED_ROWS);
        let matches = Matches::new(self.query, rows);
        let (mut found, mut looked) = (Vec::new(), 0);
        for (row, number) in (first..).zip(from..from + count) {
            looked += 1;
            if matches.holds(rows, row) {
                let event = rows.event(row).into_owned();
                found.push(Found { number, sequence: rows.sequence(row), event });
                if found.len() == LOCKED_EVENTS {
                    break;
                }
            }
        }
        Ok((found, from + looked))
    }

    /// Writes the matching events of the next rows of a segment.
    fn in_segment(&mut self, sealed: &Sealed, place: &mut Place) -> Result<()> {
        let Some((segment, row)) = sealed.locate(place.next) else {
            // What was counted at the beginning is in memory or in a segment.
            return Err(crate::port::StoreError::Damaged(format!(
                "event {} of {} is nowhere",
                place.next, self.view.organization
            )));
        };
        let known = self.known(segment, &mut place.known)?;
        let number = segment.group_of(row);
        let Some(group) = segment.row_groups().get(number) else {
            place.next = segment.meta.numbers().end;
            return Ok(());
        };
        let between = between(self.query);
        let (start, end) = (segment.meta.first_number, group.start + group.rows);
        if !known.is_worth {
            place.next = segment.meta.numbers().end;
            return Ok(());
        }
        if group.micros.0 >= between.end || group.micros.1 < between.start {
            place.next = start + u64::from(end);
            return Ok(());
        }
        // Whole pages, but for the first rows of a step that begins inside of one.
        let first = (row - group.start) as usize;
        // What came later may have been sealed together with what was there at the beginning.
        let there =
            usize::try_from(place.end - start - u64::from(group.start)).unwrap_or(usize::MAX);
        let last = (first / PAGE_ROWS) * PAGE_ROWS + BATCH_ROWS;
        let last = last.min(group.rows as usize).min(there);
        let behind = group.start + Row::try_from(last).unwrap_or(Row::MAX);
        let selected = known.rows.as_ref().map(|rows| {
            let from = rows.partition_point(|&of| of < row);
            let to = rows.partition_point(|&of| of < behind);
            &rows[from..to]
        });
        if selected.is_some_and(<[Row]>::is_empty) {
            let rows = known.rows.as_deref().unwrap_or_default();
            let next = rows.get(rows.partition_point(|&of| of < behind));
            place.next = next.map_or(segment.meta.numbers().end, |&of| start + u64::from(of));
            return Ok(());
        }
        let batch = Batch::new(Arc::clone(segment), number, first..last);
        let rows = Rows::Sealed(&batch);
        let matches = Matches::new(self.query, rows);
        let mut next = start + u64::from(behind);
        let mut visit = |of: Row| {
            let inside = of - batch.first_row();
            if matches.holds(rows, inside) {
                let (sequence, event) = (rows.sequence(inside), rows.event(inside));
                // What could not be read looks absent.
                batch.check().map_err(unreadable)?;
                self.emit(Found { number: start + u64::from(of), sequence, event })?;
                if self.out.written.len() >= self.out.bytes {
                    next = start + u64::from(of) + 1;
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        };
        match selected {
            Some(selected) => try_each(selected.iter().copied(), &mut visit)?,
            None => try_each(row..behind, &mut visit)?,
        }
        batch.check().map_err(unreadable)?;
        place.next = next;
        Ok(())
    }

    fn known(&self, segment: &Arc<Segment>, known: &mut Option<Arc<Known>>) -> Result<Arc<Known>> {
        if let Some(known) = known.as_ref().filter(|known| known.segment == segment.meta.id) {
            return Ok(Arc::clone(known));
        }
        let between = between(self.query);
        let (first, last) = (segment.meta.first_micros, segment.meta.last_micros);
        let mut is_worth = first < between.end && last >= between.start;
        if is_worth && !self.query.names.is_empty() {
            let names = self.view.reader.with_index(segment, |index, _| index.names())?;
            is_worth = names.iter().any(|of| is_named(self.query, of.source, &of.name));
        }
        let customers = self.query.customers.as_ref().filter(|_| is_worth);
        let rows = customers.map(|of| self.view.rows_in(segment, of)).transpose()?;
        let found = Arc::new(Known { segment: segment.meta.id, is_worth, rows });
        *known = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Writes an event as it is ingested into another organization.
    fn emit(&mut self, found: Found<'_>) -> Result<()> {
        let Found { number, sequence, mut event } = found;
        let parent = match &event.parent_id {
            Some(parent) => self.parent(number, parent)?,
            None => None,
        };
        if let Some(parent) = parent {
            event.parent_id = Some(parent.into());
        }
        if event.external_id.is_none() {
            event.external_id = Some(self.own_id(sequence)?.into());
        }
        if let CustomerRef::Id(id) = event.customer {
            let of = &CustomerRef::Id(id);
            let known = self.catalog.customer_of_event(self.view.organization, of);
            let external_id = match known.filter(|customer| customer.deleted_at.is_none()) {
                Some(customer) => customer.external_id.clone(),
                None => Some(id.to_string()),
            };
            if let Some(external_id) = external_id {
                event.customer = CustomerRef::External(Cow::Owned(external_id));
            }
        }
        (self.out.write)(&event, &mut self.out.written);
        Ok(())
    }

    /// What an event without an external id gets for one: its id, unless another event has that
    /// text for its external id.
    fn own_id(&self, sequence: Sequence) -> Result<String> {
        let id = self.view.reader.cipher.event_id(sequence).to_string();
        let mut text = id.clone();
        let mut tried = 1_u32;
        while self.view.by_external_id(&text)?.is_some() {
            tried += 1;
            text = format!("{id}/{tried}");
        }
        Ok(text)
    }

    /// What the parent of an event is called, if that is not what the event calls it.
    fn parent(&self, number: u64, text: &str) -> Result<Option<String>> {
        // Only what reads as an id of an event can be one; all else is an external id.
        let Ok(id) = text.parse::<Uuid>() else { return Ok(None) };
        if self.view.reader.cipher.sequence(EventId(id)).is_none() {
            return Ok(None);
        }
        let other = |found: &u64| *found != number;
        if self.view.by_external_id(text)?.filter(other).is_some() {
            return Ok(None);
        }
        let Some(parent) = self.view.by_id(EventId(id))?.filter(other) else { return Ok(None) };
        let (sequence, external_id) = self.view.with(parent, |rows, row| {
            (rows.sequence(row), rows.external_id(row).map(str::to_owned))
        })?;
        external_id.map_or_else(|| self.own_id(sequence), Ok).map(Some)
    }
}

fn try_each(
    mut rows: impl Iterator<Item = Row>,
    visit: &mut impl FnMut(Row) -> Result<ControlFlow<()>>,
) -> Result<()> {
    for row in rows.by_ref() {
        if visit(row)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// The event timestamps that are asked for, in microseconds.
fn between(query: &ExportQuery) -> Range<i64> {
    let start = query.start.map_or(i64::MIN, Timestamp::micros);
    start..query.end.map_or(i64::MAX, Timestamp::micros)
}

/// Whether events of a source and name are asked for: only users' are.
fn is_named(query: &ExportQuery, source: EventSource, name: &str) -> bool {
    source == EventSource::User
        && (query.names.is_empty() || query.names.iter().any(|wanted| wanted == name))
}

/// Which rows are asked for.
struct Matches<'q> {
    query: &'q ExportQuery,
    between: Range<i64>,
    /// By code of a name.
    names: Vec<bool>,
    plan: RowsPlan<'q>,
}

impl<'q> Matches<'q> {
    fn new(query: &'q ExportQuery, rows: Rows<'_>) -> Self {
        let names = rows.names().iter().map(|(source, name)| is_named(query, *source, name));
        let meter = query.meter.as_ref();
        let condition = Condition {
            names: Names::All,
            metadata: &query.metadata,
            filters: [query.filter.as_ref(), meter.map(|(filter, _)| filter)],
            aggregation: meter.map(|(_, aggregation)| aggregation),
        };
        Self {
            query,
            between: between(query),
            names: names.collect(),
            plan: RowsPlan::new(condition, rows),
        }
    }

    fn holds(&self, rows: Rows<'_>, row: Row) -> bool {
        self.names.get(rows.name_code_of(row) as usize).copied().unwrap_or(false)
            && self.between.contains(&rows.micros(row))
            && self.query.customers.as_ref().is_none_or(|of| of.contains(&rows.customer(row)))
            && self.plan.measure(rows, row).is_some()
    }
}
