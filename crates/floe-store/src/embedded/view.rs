//! One organization's events as queries see them, in memory and in segments alike.
//!
//! The growing table is read under the organization's lock; segments and frozen chunks are read
//! without it, so no reader makes the committer wait for the disk.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use floe_core::{EventId, IdCipher, OrganizationId, Sequence};

use super::chunk::Row;
use super::dedup::DedupIndex;
use super::rows::Rows;
use super::segment::{Batch, PAGE_ROWS, Segment, SegmentError};
use super::tail::{OrganizationTail, Sealed};
use crate::port::{Result, StoreError};

/// An organization's events and the lock that guards them.
pub(super) type SharedTail = RwLock<OrganizationTail>;

/// Reads under the lock. A panic while it was held for writing poisons it; the writer is the
/// committer, which then stops accepting, and what is there stays readable.
pub(super) fn read(tail: &SharedTail) -> RwLockReadGuard<'_, OrganizationTail> {
    tail.read().unwrap_or_else(PoisonError::into_inner)
}

/// What all organizations' segments are read through.
#[derive(Debug)]
pub(super) struct SealedReader {
    pub(super) cipher: IdCipher,
    /// Which external ids are in segments.
    pub(super) dedup: DedupIndex,
    /// Parts of segments that were read lately.
    pub(super) batches: BatchCache,
}

/// Why a segment could not be read.
pub(super) fn unreadable(error: &SegmentError) -> StoreError {
    StoreError::Damaged(super::describe(error))
}

/// An organization's events.
#[derive(Clone, Copy)]
pub(super) struct View<'s> {
    pub(super) organization: OrganizationId,
    pub(super) tail: &'s SharedTail,
    pub(super) reader: &'s SealedReader,
}

impl View<'_> {
    /// Calls `look` with an event, by its number.
    pub(super) fn with<T>(&self, number: u64, look: impl FnOnce(Rows<'_>, Row) -> T) -> Result<T> {
        let sealed = {
            let tail = read(self.tail);
            if let Some((chunk, row)) = tail.locate(number) {
                return Ok(look(Rows::Tail(chunk), row));
            }
            tail.sealed()
        };
        self.with_sealed(&sealed, number, look)
    }

    fn with_sealed<T>(
        &self,
        sealed: &Sealed,
        number: u64,
        look: impl FnOnce(Rows<'_>, Row) -> T,
    ) -> Result<T> {
        let (segment, row) = sealed.locate(number).ok_or_else(|| {
            StoreError::Damaged(format!("event {number} of {} is nowhere", self.organization))
        })?;
        let batch = self.reader.batches.around(segment, row);
        let seen = look(Rows::Sealed(&batch), row - batch.first_row());
        batch.check().map_err(unreadable)?;
        Ok(seen)
    }

    /// The number of the event with an external id.
    pub(super) fn by_external_id(&self, external_id: &str) -> Result<Option<u64>> {
        let sealed = {
            let tail = read(self.tail);
            if let Some(number) = tail.by_external_id(external_id.as_bytes()) {
                return Ok(Some(number));
            }
            tail.sealed()
        };
        self.sealed_by_external_id(&sealed, external_id)
    }

    /// The number of the event in segments with an external id.
    pub(super) fn sealed_by_external_id(
        &self,
        sealed: &Sealed,
        external_id: &str,
    ) -> Result<Option<u64>> {
        if sealed.segments.is_empty() {
            return Ok(None);
        }
        let candidates = self.reader.dedup.candidates(self.organization, external_id)?;
        for sequence in candidates {
            if let Some(number) = number_of(sealed, sequence)? {
                // The hash is equal; the text decides.
                let is_it = self.with_sealed(sealed, number, |rows, row| {
                    rows.external_id(row) == Some(external_id)
                })?;
                if is_it {
                    return Ok(Some(number));
                }
            }
        }
        Ok(None)
    }

    /// The number of the event with an id.
    pub(super) fn by_id(&self, id: EventId) -> Result<Option<u64>> {
        let Some(sequence) = self.reader.cipher.sequence(id) else { return Ok(None) };
        let sealed = {
            let tail = read(self.tail);
            if let Some(number) = tail.by_sequence(sequence) {
                return Ok(Some(number));
            }
            tail.sealed()
        };
        number_of(&sealed, sequence)
    }

    /// The id of an event, by its number.
    pub(super) fn event_id(&self, number: u64) -> Result<EventId> {
        let sequence = self.with(number, |rows, row| rows.sequence(row))?;
        Ok(self.reader.cipher.event_id(sequence))
    }

    /// The number of an event's parent: its `parent_id` is an external id or else an event id of
    /// another event that is there (semantics section 9).
    pub(super) fn parent_of(&self, number: u64) -> Result<Option<u64>> {
        let parent = self.with(number, |rows, row| rows.parent_id(row).map(str::to_owned))?;
        let Some(parent) = parent else { return Ok(None) };
        let other = |found: &u64| *found != number;
        if let Some(found) = self.by_external_id(&parent)?.filter(other) {
            return Ok(Some(found));
        }
        let Ok(id) = parent.parse() else { return Ok(None) };
        Ok(self.by_id(EventId(id))?.filter(other))
    }

    /// The numbers of an event's direct children, ascending.
    pub(super) fn children_of(&self, number: u64) -> Result<Vec<u64>> {
        if !read(self.tail).has_children() {
            return Ok(Vec::new());
        }
        let (sequence, external_id) = self.with(number, |rows, row| {
            (rows.sequence(row), rows.external_id(row).map(str::to_owned))
        })?;
        let id = self.reader.cipher.event_id(sequence);
        let mut candidates: Vec<u64> = {
            let tail = read(self.tail);
            let by_text = external_id.iter().flat_map(|text| tail.children_by_text(text));
            by_text.chain(tail.children_by_id(id)).copied().collect()
        };
        candidates.sort_unstable();
        candidates.dedup();
        let mut children = Vec::new();
        for child in candidates {
            if self.parent_of(child)? == Some(number) {
                children.push(child);
            }
        }
        Ok(children)
    }

    /// How many direct children an event has: as many as [`Self::children_of`] tells, without
    /// visiting each of those that name its external id.
    pub(super) fn child_count(&self, number: u64) -> Result<u64> {
        if !read(self.tail).has_children() {
            return Ok(0);
        }
        let (sequence, external_id, parent) = self.with(number, |rows, row| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            (rows.sequence(row), text(rows.external_id(row)), text(rows.parent_id(row)))
        })?;
        let id = self.reader.cipher.event_id(sequence);
        let (by_text, by_id) = {
            let tail = read(self.tail);
            let by_text = external_id.as_ref().map_or(0, |text| tail.children_by_text(text).len());
            (by_text, tail.children_by_id(id).to_vec())
        };
        // An external id comes first, so all who name it are children, but for the event itself.
        let itself = external_id.is_some() && external_id == parent;
        let mut count = (by_text - usize::from(itself)) as u64;
        for child in by_id {
            let names_text = self.with(child, |rows, row| {
                external_id.is_some() && rows.parent_id(row) == external_id.as_deref()
            })?;
            if !names_text && self.parent_of(child)? == Some(number) {
                count += 1;
            }
        }
        Ok(count)
    }

    /// Visits all events that may lie in a range of event timestamps (in microseconds), with the
    /// number of the first one: those that grow first, under the lock that `prepare` ran under, so
    /// that the two see the same events.
    pub(super) fn scan<T>(
        &self,
        between: Range<i64>,
        prepare: impl FnOnce(&OrganizationTail) -> T,
        mut visit: impl FnMut(&mut T, u64, Rows<'_>) -> ControlFlow<()>,
    ) -> Result<T> {
        let overlaps = |(first, last): (i64, i64)| first < between.end && last >= between.start;
        let mut visit_chunk = |state: &mut T, start: u64, chunk: &super::chunk::Chunk| {
            if chunk.timestamp_range().is_some_and(overlaps) {
                visit(state, start, Rows::Tail(chunk))
            } else {
                ControlFlow::Continue(())
            }
        };
        let (mut state, frozen, sealing, sealed) = {
            let tail = read(self.tail);
            let mut state = prepare(&tail);
            let (start, active) = tail.active();
            if visit_chunk(&mut state, start, active).is_break() {
                return Ok(state);
            }
            (state, tail.frozen(), tail.sealing(), tail.sealed())
        };
        let (mut start, chunks) = frozen;
        for chunk in chunks.iter() {
            if visit_chunk(&mut state, start, chunk).is_break() {
                return Ok(state);
            }
            start += chunk.len() as u64;
        }
        for (start, chunk) in sealing.iter().flat_map(|sealing| sealing.chunks()) {
            if visit_chunk(&mut state, start, chunk).is_break() {
                return Ok(state);
            }
        }
        for segment in sealed.segments.iter().rev() {
            if !overlaps((segment.meta.first_micros, segment.meta.last_micros)) {
                continue;
            }
            for (index, group) in segment.row_groups().iter().enumerate() {
                if !overlaps(group.micros) {
                    continue;
                }
                let batch = Batch::of_group(segment, index);
                let start = segment.meta.first_number + u64::from(group.start);
                let flow = visit(&mut state, start, Rows::Sealed(&batch));
                batch.check().map_err(unreadable)?;
                if flow.is_break() {
                    return Ok(state);
                }
            }
        }
        Ok(state)
    }
}

fn number_of(sealed: &Sealed, sequence: Sequence) -> Result<Option<u64>> {
    let before = |segment: &Arc<Segment>| segment.meta.last_sequence < sequence.0;
    let index = sealed.segments.partition_point(before);
    let Some(segment) = sealed.segments.get(index) else { return Ok(None) };
    let row = segment.find(sequence).map_err(|error| unreadable(&error))?;
    Ok(row.map(|row| segment.meta.first_number + u64::from(row)))
}

/// The pages around events that were looked at lately, within a budget of memory.
#[derive(Debug)]
pub(super) struct BatchCache {
    bytes_max: usize,
    state: Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    batches: HashMap<(u64, Row), Entry>,
    bytes: usize,
    /// Counts uses: the entry with the lowest is the first to go.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    batch: Arc<Batch>,
    bytes: usize,
    used: u64,
}

/// Bytes of a batch before any of its columns was read.
const BATCH_BYTES: usize = 1024;

impl BatchCache {
    /// An empty one, for so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// The page around a row of a segment. Its columns are read when they are asked for.
    fn around(&self, segment: &Arc<Segment>, row: Row) -> Arc<Batch> {
        let group = segment.group_of(row);
        let (start, rows) =
            segment.row_groups().get(group).map_or((0, 0), |group| (group.start, group.rows));
        let page = (row.saturating_sub(start)) as usize / PAGE_ROWS;
        let first = page * PAGE_ROWS;
        let range = first..(first + PAGE_ROWS).min(rows as usize);
        let key = (segment.meta.id, start + Row::try_from(first).unwrap_or(Row::MAX));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        state.clock += 1;
        let entry = state.batches.entry(key).or_insert_with(|| Entry {
            batch: Arc::new(Batch::new(Arc::clone(segment), group, range)),
            bytes: 0,
            used: 0,
        });
        entry.used = state.clock;
        // Columns were read since the last look; of this one, they are seen at the next.
        let bytes = BATCH_BYTES + entry.batch.memory();
        state.bytes = state.bytes + bytes - entry.bytes;
        entry.bytes = bytes;
        let batch = Arc::clone(&entry.batch);
        while state.bytes > self.bytes_max && state.batches.len() > 1 {
            let oldest = state.batches.iter().min_by_key(|(_, entry)| entry.used);
            let Some((&oldest, _)) = oldest else { break };
            if let Some(gone) = state.batches.remove(&oldest) {
                state.bytes -= gone.bytes;
            }
        }
        batch
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}
