//! An organization's events by the units that they are kept in: what is computed once is computed
//! for a unit, and others are scanned.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use floe_core::{CustomerSelection, Timestamp};

use super::chunk::{Chunk, Row};
use super::rows::Rows;
use super::segment::{Batch, RowGroup, Segment};
use super::tail::OrganizationTail;
use super::view::{Selected, View, read, unreadable};
use crate::port::Result;

/// Events that are kept together; of chunks, with the number of the events before them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit<'u> {
    /// In memory, while others may come: the organization's lock is held.
    Growing(&'u Chunk),
    /// In memory, and no longer written to.
    Frozen(u64, &'u Chunk),
    /// In a segment.
    Segment(&'u Arc<Segment>),
}

impl View<'_> {
    /// Visits the units that may have events in a range of event timestamps (in microseconds):
    /// those that grow first, under the lock that `prepare` ran under, so that the two see the same
    /// events; segments last, the newest first.
    pub(super) fn units<T>(
        &self,
        between: &Range<i64>,
        prepare: impl FnOnce(&OrganizationTail) -> T,
        mut visit: impl FnMut(&mut T, Unit<'_>) -> Result<()>,
    ) -> Result<T> {
        let overlaps = |range: Option<(i64, i64)>| {
            range.is_some_and(|(first, last)| first < between.end && last >= between.start)
        };
        let (mut state, frozen, sealing, sealed) = {
            let tail = read(self.tail);
            let mut state = prepare(&tail);
            let (_, active) = tail.active();
            if overlaps(active.timestamp_range()) {
                visit(&mut state, Unit::Growing(active))?;
            }
            (state, tail.frozen(), tail.sealing(), tail.sealed())
        };
        let (mut start, chunks) = frozen;
        for chunk in chunks.iter() {
            if overlaps(chunk.timestamp_range()) {
                visit(&mut state, Unit::Frozen(start, chunk))?;
            }
            start += chunk.len() as u64;
        }
        for (start, chunk) in sealing.iter().flat_map(|sealing| sealing.chunks()) {
            if overlaps(chunk.timestamp_range()) {
                visit(&mut state, Unit::Frozen(start, chunk))?;
            }
        }
        for segment in sealed.segments.iter().rev() {
            if overlaps(Some((segment.meta.first_micros, segment.meta.last_micros))) {
                visit(&mut state, Unit::Segment(segment))?;
            }
        }
        Ok(state)
    }

    /// Visits those events of a unit that may lie in a range of event timestamps and are of these
    /// customers.
    pub(super) fn scan_unit(
        &self,
        unit: Unit<'_>,
        between: &Range<i64>,
        customers: Option<&CustomerSelection>,
        mut visit: impl FnMut(Rows<'_>, Selected<'_>),
    ) -> Result<()> {
        let segment = match unit {
            Unit::Segment(segment) => segment,
            Unit::Growing(chunk) | Unit::Frozen(_, chunk) => {
                match customers {
                    None => visit(Rows::Tail(chunk), Selected::All),
                    Some(customers) => {
                        let references = customers.references();
                        let rows: Vec<Row> =
                            references.flat_map(|of| chunk.rows_of(&of)).copied().collect();
                        visit(Rows::Tail(chunk), Selected::These(&rows));
                    }
                }
                return Ok(());
            }
        };
        let rows = customers.map(|customers| self.rows_in(segment, customers)).transpose()?;
        for (index, group) in segment.row_groups().iter().enumerate() {
            if group.micros.0 >= between.end || group.micros.1 < between.start {
                continue;
            }
            let mut visit = |batch: &Batch, selected: Selected<'_>| {
                visit(Rows::Sealed(batch), selected);
                batch.check().map_err(unreadable)?;
                Ok(ControlFlow::Continue(()))
            };
            // A visit that is never cut short.
            let _: ControlFlow<()> = match &rows {
                None => visit(&Batch::of_group(segment, index), Selected::All)?,
                Some(rows) => {
                    let from = rows.partition_point(|&row| row < group.start);
                    let to = rows.partition_point(|&row| row < group.start + group.rows);
                    self.visit_some(segment, index, &rows[from..to], &mut visit)?
                }
            };
        }
        Ok(())
    }

    /// When a row of a segment was ingested.
    pub(super) fn ingested_at(&self, segment: &Arc<Segment>, row: Row) -> Result<Timestamp> {
        let batch = self.reader.batches.around(segment, row);
        let ingested_at = Rows::Sealed(&batch).ingested_at(row - batch.first_row());
        batch.check().map_err(unreadable)?;
        Ok(ingested_at)
    }

    /// The first row of a segment that was ingested then or later: times of ingestion ascend.
    pub(super) fn first_ingested_from(
        &self,
        segment: &Arc<Segment>,
        start: Timestamp,
    ) -> Result<Row> {
        let groups = segment.row_groups();
        let is_before = |group: &RowGroup| group.ingested_micros.1 < start.micros();
        let Some(group) = groups.get(groups.partition_point(is_before)) else {
            return Ok(Row::MAX);
        };
        let (mut low, mut high) = (group.start, group.start + group.rows);
        if group.ingested_micros.0 >= start.micros() {
            return Ok(low);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.ingested_at(segment, middle)? < start {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}
