//! An organization's events as they are ingested, step by step.
//!
//! Between two steps nothing is kept but the number that was come to, so whoever follows events
//! slowly costs nothing meanwhile, and finds what it missed wherever that was moved.

use super::chunk::Row;
use super::query::{Condition, Names, RowsPlan, is_usage};
use super::rows::Rows;
use super::tail::Sealed;
use super::view::{View, read, unreadable};
use crate::port::{FollowQuery, Followed, Result, StoreError};

/// Rows in memory that are looked at under one lock.
const LOCKED_ROWS: u64 = 1024;
/// Rows that are looked at in one step, so that it ends soon if few of them match.
const STEP_ROWS: u64 = 32 * 1024;

/// The events from a number on that a query finds; see
/// [`follow_events`](crate::port::EventStore::follow_events).
pub(super) fn step(
    view: View<'_>,
    from: u64,
    query: &FollowQuery,
    limit: usize,
) -> Result<Followed> {
    let end = super::count(view.tail).min(from.saturating_add(STEP_ROWS));
    let mut found = Followed { events: Vec::new(), next: from };
    while found.next < end && found.events.len() < limit {
        let sealed = {
            let tail = read(view.tail);
            match tail.locate(found.next) {
                Some((chunk, first)) => {
                    let rows = Rows::Tail(chunk);
                    let in_chunk = (rows.len() as u64).saturating_sub(u64::from(first));
                    let count = in_chunk.min(end - found.next).min(LOCKED_ROWS);
                    look(view, rows, first, count, query, limit, &mut found);
                    continue;
                }
                None => tail.sealed(),
            }
        };
        in_segment(view, &sealed, end, query, limit, &mut found)?;
    }
    Ok(found)
}

/// Looks at the next rows of a segment, up to the end of their page.
fn in_segment(
    view: View<'_>,
    sealed: &Sealed,
    end: u64,
    query: &FollowQuery,
    limit: usize,
    found: &mut Followed,
) -> Result<()> {
    let (segment, row) = sealed.locate(found.next).ok_or_else(|| {
        let text = format!("event {} of {} is nowhere", found.next, view.organization);
        StoreError::Damaged(text)
    })?;
    let batch = view.reader.batches.around(segment, row);
    let first = row - batch.first_row();
    let count = (batch.len() as u64).saturating_sub(u64::from(first)).min(end - found.next);
    look(view, Rows::Sealed(&batch), first, count, query, limit, found);
    // What could not be read looks absent.
    batch.check().map_err(unreadable)
}

/// Takes the matching ones of so many rows.
fn look(
    view: View<'_>,
    rows: Rows<'_>,
    first: Row,
    count: u64,
    query: &FollowQuery,
    limit: usize,
    found: &mut Followed,
) {
    let meter = query.meter.as_ref();
    // A meter counts no credits and resets.
    let named = |source, name: &str| {
        query.names.iter().any(|wanted| wanted == name)
            && (meter.is_none() || is_usage(source, name))
    };
    let names = match (query.names.is_empty(), meter) {
        (true, None) => Names::All,
        (true, Some(_)) => Names::Usage,
        (false, _) => Names::These(&named),
    };
    let condition = Condition {
        names,
        metadata: &[],
        filters: [query.filter.as_ref(), meter.map(|(filter, _)| filter)],
        aggregation: meter.map(|(_, aggregation)| aggregation),
    };
    let plan = RowsPlan::new(condition, rows);
    for (row, _) in (first..).zip(0..count) {
        if found.events.len() >= limit {
            return;
        }
        found.next += 1;
        let is_of =
            |row| query.customers.as_ref().is_none_or(|of| of.contains(&rows.customer(row)));
        if is_of(row) && plan.measure(rows, row).is_some() {
            found.events.push(view.reader.cipher.event_id(rows.sequence(row)));
        }
    }
}
