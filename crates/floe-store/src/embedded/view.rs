//! One organization's events as queries see them, in memory and in segments alike.
//!
//! The growing table is read under the organization's lock; segments and frozen chunks are read
//! without it, so no reader makes the committer wait for the disk.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::{ControlFlow, Deref, Range};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use floe_core::{CustomerSelection, EventId, IdCipher, OrganizationId, Sequence, Timestamp};

use super::blocks::{BlockCache, BlockError};
use super::chunk::{Chunk, Row};
use super::dedup::{DedupIndex, KeyHash, RunBuilder};
use super::derived::Derived;
use super::fs::Fs;
use super::query::NameTest;
use super::rows::Rows;
use super::segment::{Batch, PAGE_ROWS, Place, RowGroup, Segment, SegmentError, SharedColumns};
use super::segment_index::{IndexBuilder, ParentHash, ParentHasher, SegmentIndex, index_path};
use super::tail::{Memtable, OrganizationTail, Sealed};
use crate::port::{Direction, Result, StoreError};

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
    /// Columns of segments whose dictionaries are large.
    pub(super) shared_columns: Arc<SharedColumns>,
    /// Parts of derived files that were read lately.
    pub(super) blocks: BlockCache,
    pub(super) parents: ParentHasher,
    /// What meters count, computed before.
    pub(super) derived: Derived,
    pub(super) fs: Arc<dyn Fs>,
    /// The data folder.
    pub(super) folder: PathBuf,
    pub(super) tails: Arc<Tails>,
}

/// All organizations' events.
pub(super) type Tails = RwLock<HashMap<OrganizationId, Arc<SharedTail>>>;

fn damaged(error: &BlockError) -> StoreError {
    StoreError::Damaged(super::describe(error))
}

/// Events whose external ids are put into one run when runs are built again: 16 bytes of memory
/// each.
const REBUILT_EVENTS: u64 = 4_000_000;

/// Builds the runs that an index lacks, from segments, and from events that are being sealed: their
/// run is added before their segments are shown.
pub(super) fn rebuild_runs(
    dedup: &DedupIndex,
    segments: &[(OrganizationId, Arc<Segment>)],
    sealing: &[(OrganizationId, Arc<Memtable>)],
    missing: Vec<Range<Sequence>>,
) -> Result<()> {
    for missing in missing {
        tracing::info!(
            events = missing.end.0 - missing.start.0,
            "building the index of external ids again"
        );
        let mut start = missing.start.0;
        while start < missing.end.0 {
            let end = missing.end.0.min(start + REBUILT_EVENTS);
            let mut run = RunBuilder::new(Sequence(start)..Sequence(end));
            for (organization, segment) in segments {
                for (index, group) in segment.row_groups().iter().enumerate() {
                    if group.sequences.1 < start || group.sequences.0 >= end {
                        continue;
                    }
                    let batch = Batch::of_group(segment, index);
                    for row in 0..group.rows {
                        let sequence = batch.sequence(row);
                        if let Some(external_id) = batch.external_id(row)
                            && (start..end).contains(&sequence.0)
                        {
                            let id = external_id.as_bytes();
                            run.add(dedup.hasher().hash(*organization, id), sequence);
                        }
                    }
                    batch.check().map_err(unreadable)?;
                }
            }
            for (organization, memtable) in sealing {
                for (_, chunk) in memtable.chunks() {
                    for row in 0..super::chunk::position(chunk.len()) {
                        let sequence = chunk.sequence(row);
                        if let Some(external_id) = chunk.external_id(row)
                            && (start..end).contains(&sequence.0)
                        {
                            let id = external_id.as_bytes();
                            run.add(dedup.hasher().hash(*organization, id), sequence);
                        }
                    }
                }
            }
            dedup.add(run).map_err(|error| damaged(&error))?;
            start = end;
        }
    }
    Ok(())
}

impl SealedReader {
    /// Asks the index of a segment; builds it if it is missing or damaged.
    pub(super) fn with_index<T>(
        &self,
        segment: &Arc<Segment>,
        ask: impl Fn(&SegmentIndex, &BlockCache) -> std::result::Result<T, BlockError>,
    ) -> Result<T> {
        let path = index_path(&self.folder, segment.meta.id);
        let mut index = segment.index.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if index.is_none() {
            // A damaged file is as good as none.
            let opened =
                SegmentIndex::open(&*self.fs, &path, &segment.meta).unwrap_or_else(|error| {
                    tracing::warn!(%error, "a derived file is built again");
                    None
                });
            index = opened.map(Arc::new);
        }
        if let Some(index) = index {
            match ask(&index, &self.blocks) {
                Ok(answer) => {
                    *segment.index.lock().unwrap_or_else(PoisonError::into_inner) = Some(index);
                    return Ok(answer);
                }
                Err(error @ BlockError::Io { .. }) => {
                    return Err(StoreError::Damaged(super::describe(&error)));
                }
                Err(error) => tracing::warn!(%error, "a derived file is built again"),
            }
        }
        let index = self.build_index(segment)?;
        ask(&index, &self.blocks).map_err(|error| StoreError::Damaged(super::describe(&error)))
    }

    /// Builds a run that turned out to be damaged again; waits if another thread does.
    pub(super) fn rebuild_external_ids(&self, error: BlockError) -> Result<()> {
        /// An error of the index or of the segments' reader.
        struct Failed(StoreError);
        impl From<BlockError> for Failed {
            fn from(error: BlockError) -> Self {
                Self(damaged(&error))
            }
        }
        if let BlockError::Io { .. } = error {
            return Err(damaged(&error));
        }
        tracing::warn!(%error, "a derived file is built again");
        let rebuild = |gone| {
            let tails = self.tails.read().unwrap_or_else(PoisonError::into_inner).clone();
            let (mut segments, mut sealing) = (Vec::new(), Vec::new());
            for (id, tail) in tails {
                // At once: an event is in one of the two.
                let (sealed, memtable) = {
                    let tail = read(&tail);
                    (tail.sealed(), tail.sealing())
                };
                segments.extend(sealed.segments.iter().map(|segment| (id, Arc::clone(segment))));
                sealing.extend(memtable.map(|memtable| (id, memtable)));
            }
            rebuild_runs(&self.dedup, &segments, &sealing, vec![gone]).map_err(Failed)
        };
        self.dedup.repair(error, rebuild).map_err(|Failed(error)| error)
    }

    /// Builds the index of a segment from its events.
    pub(super) fn build_index(&self, segment: &Arc<Segment>) -> Result<Arc<SegmentIndex>> {
        let mut builder = IndexBuilder::new(self.parents);
        for group in 0..segment.row_groups().len() {
            let batch = Batch::of_group(segment, group);
            builder.add(Rows::Sealed(&batch));
            batch.check().map_err(unreadable)?;
        }
        self.finish_index(builder, segment)
    }

    /// Writes the index of a segment.
    pub(super) fn finish_index(
        &self,
        builder: IndexBuilder,
        segment: &Segment,
    ) -> Result<Arc<SegmentIndex>> {
        let path = index_path(&self.folder, segment.meta.id);
        let index = builder
            .finish(&self.fs, &path, &segment.meta)
            .map_err(|error| StoreError::Damaged(super::describe(&error)))?;
        let index = Arc::new(index);
        let mut place = segment.index.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Arc::clone(&index));
        Ok(index)
    }
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
        let hash = self.reader.dedup.hasher().hash(self.organization, external_id.as_bytes());
        let sealed = {
            let tail = read(self.tail);
            if let Some(number) = tail.by_external_id(hash, external_id.as_bytes()) {
                return Ok(Some(number));
            }
            tail.sealed()
        };
        self.sealed_by_external_id(&sealed, hash, external_id)
    }

    /// The number of the event in segments with an external id, which has this hash.
    fn sealed_by_external_id(
        &self,
        sealed: &Sealed,
        hash: KeyHash,
        external_id: &str,
    ) -> Result<Option<u64>> {
        if sealed.segments.is_empty() {
            return Ok(None);
        }
        let candidates = self.reader.dedup.candidates(hash, &self.reader.blocks);
        for sequence in candidates.or_else(|error| {
            self.reader.rebuild_external_ids(error)?;
            self.reader.dedup.candidates(hash, &self.reader.blocks).map_err(|e| damaged(&e))
        })? {
            if let Some(number) = self.has_external_id(sealed, sequence, external_id)? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Which of these external ids, with their hashes, are those of events in segments, by their
    /// places.
    pub(super) fn sealed_external_ids(
        &self,
        sealed: &Sealed,
        external_ids: &[(&[u8], KeyHash)],
    ) -> Result<Vec<usize>> {
        if sealed.segments.is_empty() {
            return Ok(Vec::new());
        }
        let hashes: Vec<KeyHash> = external_ids.iter().map(|(_, hash)| *hash).collect();
        let candidates = self.reader.dedup.candidates_of_all(&hashes, &self.reader.blocks);
        let candidates = candidates.or_else(|error| {
            self.reader.rebuild_external_ids(error)?;
            let again = self.reader.dedup.candidates_of_all(&hashes, &self.reader.blocks);
            again.map_err(|error| damaged(&error))
        })?;
        let mut known = Vec::new();
        for (place, sequence) in candidates {
            // Encoded by us, so it is UTF-8.
            let text = external_ids.get(place).and_then(|(id, _)| str::from_utf8(id).ok());
            let text = text.unwrap_or_default();
            if self.has_external_id(sealed, sequence, text)?.is_some() {
                known.push(place);
            }
        }
        Ok(known)
    }

    /// The number of the event in segments with a sequence number, if it has this external id.
    fn has_external_id(
        &self,
        sealed: &Sealed,
        sequence: Sequence,
        external_id: &str,
    ) -> Result<Option<u64>> {
        let Some(number) = self.sealed_by_sequence(sealed, sequence)? else { return Ok(None) };
        // The hash is equal; the text decides.
        let has_it = self
            .with_sealed(sealed, number, |rows, row| rows.external_id(row) == Some(external_id))?;
        Ok(has_it.then_some(number))
    }

    /// The number of the event in segments with a sequence number. Pages that were looked at
    /// lately are at hand, so that many neighbours (a file that is sent again) cost little more
    /// than one.
    fn sealed_by_sequence(&self, sealed: &Sealed, sequence: Sequence) -> Result<Option<u64>> {
        let before = |segment: &Arc<Segment>| segment.meta.last_sequence < sequence.0;
        let index = sealed.segments.partition_point(before);
        let Some(segment) = sealed.segments.get(index) else { return Ok(None) };
        let number_of = |row: Row| segment.meta.first_number + u64::from(row);
        let group = match segment.place_of(sequence) {
            Place::Nowhere => return Ok(None),
            Place::Row(row) => return Ok(Some(number_of(row))),
            Place::Group(_, group) => group,
        };
        // Where it may be: these rows, which have these sequence numbers.
        let (mut low, mut high) = (group.start, group.start + group.rows);
        let (mut first, mut last) = group.sequences;
        for look in 0.. {
            if low >= high || sequence.0 < first || sequence.0 > last {
                break;
            }
            // Where it were if they were spread evenly. They may not be, so that every other look
            // is at the middle.
            let rows = u128::from(high - low - 1);
            let (before, all) = (u128::from(sequence.0 - first), u128::from(last - first));
            let even = rows * before / all.max(1);
            let guess = if look % 2 == 0 { even } else { rows / 2 };
            let guess = low + Row::try_from(guess).unwrap_or(0);
            let batch = self.reader.batches.around(segment, guess);
            let rows = Rows::Sealed(&batch);
            let count = Row::try_from(rows.len()).unwrap_or(0);
            let at = |row: Row| rows.sequence(row).0;
            let (page_first, page_last) = (at(0), at(count.saturating_sub(1)));
            let (mut from, mut to) = (0, count);
            while from < to {
                let middle = from + (to - from) / 2;
                if at(middle) < sequence.0 {
                    from = middle + 1;
                } else {
                    to = middle;
                }
            }
            let is_it = from < count && at(from) == sequence.0;
            batch.check().map_err(unreadable)?;
            let start = batch.first_row();
            if is_it {
                return Ok(Some(number_of(start + from)));
            }
            if sequence.0 < page_first {
                (high, last) = (start, page_first.saturating_sub(1));
            } else if sequence.0 > page_last {
                (low, first) = (start + count, page_last + 1);
            } else {
                break;
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
        self.sealed_by_sequence(&sealed, sequence)
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

    /// The earliest user event of a customer, under either spelling.
    pub(super) fn first_user_event_at(
        &self,
        spellings: &CustomerSelection,
    ) -> Result<Option<Timestamp>> {
        let (mut first, sealed) = {
            let tail = read(self.tail);
            let in_memory = spellings.references().filter_map(|of| tail.first_user_event_at(&of));
            (in_memory.min(), tail.sealed())
        };
        for segment in &sealed.segments {
            // Hardly any segment has an earlier event than those before it.
            if first.is_some_and(|first| first.micros() <= segment.meta.first_micros) {
                continue;
            }
            let here = self.reader.with_index(segment, |index, cache| {
                let mut first = None;
                for spelling in spellings.references() {
                    if let Some(code) = index.code_of(cache, &spelling)? {
                        let micros = index.first_user_micros(cache, code)?;
                        first = first.into_iter().chain(micros).min();
                    }
                }
                Ok(first)
            })?;
            let here = here.and_then(Timestamp::from_micros);
            first = first.into_iter().chain(here).min();
        }
        Ok(first)
    }

    /// Whether any event names a parent.
    fn has_children(&self, sealed: &Sealed) -> Result<bool> {
        if read(self.tail).has_children() {
            return Ok(true);
        }
        for segment in &sealed.segments {
            if self.reader.with_index(segment, |index, _| Ok(index.has_children()))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The numbers of the events in segments that name a parent so.
    fn sealed_children(&self, sealed: &Sealed, parent: ParentHash) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for segment in &sealed.segments {
            let rows =
                self.reader.with_index(segment, |index, cache| index.children(cache, parent))?;
            numbers.extend(rows.iter().map(|row| segment.meta.first_number + u64::from(*row)));
        }
        Ok(numbers)
    }

    /// The numbers of an event's direct children, ascending.
    pub(super) fn children_of(&self, number: u64) -> Result<Vec<u64>> {
        // Taken before memory is looked at: what moves into segments meanwhile is seen in both.
        let sealed = read(self.tail).sealed();
        if !self.has_children(&sealed)? {
            return Ok(Vec::new());
        }
        let (sequence, external_id) = self.with(number, |rows, row| {
            (rows.sequence(row), rows.external_id(row).map(str::to_owned))
        })?;
        let id = self.reader.cipher.event_id(sequence);
        let (mut candidates, sealed) = {
            let tail = read(self.tail);
            let by_text = external_id.iter().flat_map(|text| tail.children_by_text(text));
            (by_text.chain(tail.children_by_id(id)).collect::<Vec<u64>>(), tail.sealed())
        };
        if let Some(text) = &external_id {
            candidates.extend(self.sealed_children(&sealed, self.reader.parents.text(text))?);
        }
        candidates.extend(self.sealed_children(&sealed, self.reader.parents.id(id.0))?);
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
        let sealed = read(self.tail).sealed();
        if !self.has_children(&sealed)? {
            return Ok(0);
        }
        let (sequence, external_id, parent) = self.with(number, |rows, row| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            (rows.sequence(row), text(rows.external_id(row)), text(rows.parent_id(row)))
        })?;
        let id = self.reader.cipher.event_id(sequence);
        let (in_memory, mut by_id, sealed) = {
            let tail = read(self.tail);
            let by_text =
                external_id.as_ref().map_or(0, |text| tail.children_by_text(text).count());
            (by_text as u64, tail.children_by_id(id).collect::<Vec<u64>>(), tail.sealed())
        };
        by_id.extend(self.sealed_children(&sealed, self.reader.parents.id(id.0))?);
        let mut count = in_memory;
        if let Some(text) = &external_id {
            let parent = self.reader.parents.text(text);
            for segment in &sealed.segments {
                let of = self
                    .reader
                    .with_index(segment, |index, cache| index.child_count(cache, parent))?;
                count += of;
            }
        }
        // An external id comes first, so all who name it are children, but for the event itself.
        count -= u64::from(external_id.is_some() && external_id == parent);
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

    /// Visits events with the number of the first of the rows: those that grow first, under the lock
    /// that `prepare` ran under, so that the two see the same events. `wanted` says whether rows
    /// with such event timestamps (the first and the last, in microseconds) are worth a visit.
    pub(super) fn scan<T>(
        &self,
        scan: &Scan<'_>,
        prepare: impl FnOnce(&OrganizationTail) -> T,
        wanted: impl Fn(&T, (i64, i64)) -> bool,
        mut visit: impl FnMut(&mut T, u64, Rows<'_>, Selected<'_>) -> ControlFlow<()>,
    ) -> Result<T> {
        let Scan { between, customers, names, order } = scan;
        let overlaps = |(first, last): (i64, i64)| first < between.end && last >= between.start;
        let mut visit_chunk = |state: &mut T, start: u64, chunk: &Chunk| {
            let Some(range) = chunk.timestamp_range() else { return ControlFlow::Continue(()) };
            if !overlaps(range) || !wanted(state, range) {
                return ControlFlow::Continue(());
            }
            match customers {
                None => visit(state, start, Rows::Tail(chunk), Selected::All),
                Some(customers) => {
                    let references = customers.references();
                    let rows: Vec<Row> =
                        references.flat_map(|of| chunk.rows_of(&of)).copied().collect();
                    visit(state, start, Rows::Tail(chunk), Selected::These(&rows))
                }
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
        let mut groups: Vec<(&Arc<Segment>, usize, &RowGroup)> = Vec::new();
        for segment in sealed.segments.iter().rev() {
            if overlaps((segment.meta.first_micros, segment.meta.last_micros)) {
                let all = segment.row_groups().iter().enumerate();
                let inside = all.filter(|(_, group)| overlaps(group.micros));
                groups.extend(inside.map(|(index, group)| (segment, index, group)));
            }
        }
        match order {
            None => {}
            Some(Direction::Ascending) => groups.sort_by_key(|(.., group)| group.micros.0),
            Some(Direction::Descending) => {
                groups.sort_by_key(|(.., group)| std::cmp::Reverse(group.micros.1));
            }
        }
        // The rows of the customers, of each segment that was come to.
        let mut rows_of: HashMap<u64, Vec<Row>> = HashMap::new();
        let mut has_name: HashMap<u64, bool> = HashMap::new();
        for (segment, index, group) in groups {
            if !wanted(&state, group.micros) {
                continue;
            }
            if let Some(names) = names {
                let has_name = match has_name.entry(segment.meta.id) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(place) => *place.insert(self.has_name(segment, *names)?),
                };
                if !has_name {
                    continue;
                }
            }
            let mut visit = |batch: &Batch, selected: Selected<'_>| {
                let start = segment.meta.first_number + u64::from(batch.first_row());
                let flow = visit(&mut state, start, Rows::Sealed(batch), selected);
                batch.check().map_err(unreadable)?;
                Ok(flow)
            };
            let flow = match customers {
                None => visit(&Batch::of_group(segment, index), Selected::All)?,
                Some(customers) => {
                    let rows = match rows_of.entry(segment.meta.id) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(place) => place.insert(self.rows_in(segment, customers)?),
                    };
                    let from = rows.partition_point(|&row| row < group.start);
                    let to = rows.partition_point(|&row| row < group.start + group.rows);
                    self.visit_some(segment, index, &rows[from..to], &mut visit)?
                }
            };
            if flow.is_break() {
                return Ok(state);
            }
        }
        Ok(state)
    }

    /// Whether a segment has an event of such a source and name.
    fn has_name(&self, segment: &Arc<Segment>, names: NameTest<'_>) -> Result<bool> {
        let all = self.reader.with_index(segment, |index, _| index.names())?;
        Ok(all.iter().any(|of| names(of.source, &of.name)))
    }

    /// How many events of customers are in segments.
    pub(super) fn count_in(&self, sealed: &Sealed, customers: &CustomerSelection) -> Result<u64> {
        let mut count = 0;
        for segment in &sealed.segments {
            count += self.reader.with_index(segment, |index, cache| {
                let mut count = 0;
                for customer in customers.references() {
                    if let Some(code) = index.code_of(cache, &customer)? {
                        count += u64::from(index.count_of(cache, code)?);
                    }
                }
                Ok(count)
            })?;
        }
        Ok(count)
    }

    /// Visits some rows of a row group: page by page if few of its pages have any.
    pub(super) fn visit_some(
        &self,
        segment: &Arc<Segment>,
        group: usize,
        rows: &[Row],
        visit: &mut impl FnMut(&Batch, Selected<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        let of_page = |a: &Row, b: &Row| segment.page_of(*a) == segment.page_of(*b);
        let mut visit = |batch: &Batch, rows: &[Row]| {
            let rows: Vec<Row> = rows.iter().map(|row| row - batch.first_row()).collect();
            visit(batch, Selected::These(&rows))
        };
        if rows.chunk_by(of_page).count() > PAGES_APART_MAX {
            return visit(&Batch::of_group(segment, group), rows);
        }
        for rows in rows.chunk_by(of_page) {
            let Some(&first) = rows.first() else { continue };
            if visit(&self.reader.batches.around(segment, first), rows)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The rows of customers in a segment, ascending.
    pub(super) fn rows_in(
        &self,
        segment: &Arc<Segment>,
        customers: &CustomerSelection,
    ) -> Result<Vec<Row>> {
        let mut rows = self.reader.with_index(segment, |index, cache| {
            let mut rows = Vec::new();
            for customer in customers.references() {
                if let Some(code) = index.code_of(cache, &customer)? {
                    rows.extend(index.rows_of(cache, code)?);
                }
            }
            Ok(rows)
        })?;
        rows.sort_unstable();
        Ok(rows)
    }
}

/// Which events a question may be about, as far as that is known without looking at them.
#[derive(Clone)]
pub(super) struct Scan<'q> {
    /// Their event timestamps, in microseconds.
    pub(super) between: Range<i64>,
    /// Their customers.
    pub(super) customers: Option<&'q CustomerSelection>,
    /// Their sources and names, where segments can be left out by these; others may be visited.
    pub(super) names: Option<NameTest<'q>>,
    /// Which segments' events to visit first: the earliest, or the latest.
    pub(super) order: Option<Direction>,
}

impl Scan<'_> {
    /// All events.
    pub(super) const ALL: Self =
        Self { between: i64::MIN..i64::MAX, customers: None, names: None, order: None };
}

/// Which of some rows a question is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Selected<'r> {
    /// All.
    All,
    /// These, ascending but where they are of several customers in memory.
    These(&'r [Row]),
}

impl Selected<'_> {
    /// Visits each of them.
    pub(super) fn try_each(
        self,
        rows: Rows<'_>,
        visit: impl FnMut(Row) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self {
            Self::All => (0..super::chunk::position(rows.len())).try_for_each(visit),
            Self::These(selected) => selected.iter().copied().try_for_each(visit),
        }
    }
}

/// Pages of a row group that are read one by one; if more of them have rows, it is read whole.
const PAGES_APART_MAX: usize = 24;

/// The pages around events that were looked at lately, within a budget of memory.
#[derive(Debug)]
pub(super) struct BatchCache {
    bytes_max: usize,
    state: Mutex<Cached>,
}

/// A segment and the first row of a page.
type PageKey = (u64, Row);

#[derive(Debug, Default)]
struct Cached {
    batches: HashMap<PageKey, CachedBatch>,
    bytes: usize,
    /// Counts uses: the entry with the lowest is the first to go.
    clock: u64,
}

#[derive(Debug)]
struct CachedBatch {
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
    pub(super) fn around(&self, segment: &Arc<Segment>, row: Row) -> PageBatch<'_> {
        let (group, page) = segment.page_of(row);
        let (start, rows) =
            segment.row_groups().get(group).map_or((0, 0), |group| (group.start, group.rows));
        let first = page * PAGE_ROWS;
        let range = first..(first + PAGE_ROWS).min(rows as usize);
        let key = (segment.meta.id, start + Row::try_from(first).unwrap_or(Row::MAX));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        state.clock += 1;
        let entry = state.batches.entry(key).or_insert_with(|| CachedBatch {
            batch: Arc::new(Batch::new(Arc::clone(segment), group, range)),
            bytes: 0,
            used: 0,
        });
        entry.used = state.clock;
        PageBatch { cache: self, key, batch: Arc::clone(&entry.batch) }
    }

    /// Counts what a page takes now, and lets go of others until all take no more than they may.
    fn measure(&self, key: PageKey, batch: &Batch) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if let Some(entry) = state.batches.get_mut(&key) {
            let bytes = BATCH_BYTES + batch.memory();
            state.bytes = state.bytes + bytes - entry.bytes;
            entry.bytes = bytes;
        }
        while state.bytes > self.bytes_max && state.batches.len() > 1 {
            let oldest = state.batches.iter().min_by_key(|(_, entry)| entry.used);
            let Some((&oldest, _)) = oldest else { break };
            if let Some(gone) = state.batches.remove(&oldest) {
                state.bytes -= gone.bytes;
            }
        }
    }
}

/// A page of a [`BatchCache`]. Its columns are read while it is used, so what it takes is counted
/// when it is given back.
pub(super) struct PageBatch<'c> {
    cache: &'c BatchCache,
    key: PageKey,
    batch: Arc<Batch>,
}

impl Deref for PageBatch<'_> {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        &self.batch
    }
}

impl Drop for PageBatch<'_> {
    fn drop(&mut self) {
        self.cache.measure(self.key, &self.batch);
    }
}
