//! What is computed once from events and then answers many questions: rollups and meter columns.
//!
//! Derived from immutable rows and a meter's definition, and from nothing else, so it can be thrown
//! away at any time and is never out of date: a file that is missing, damaged or of another segment
//! is built again. What a definition means is `floe-core`'s; this keeps and combines its results,
//! exactly.
//!
//! - A [`Rollup`] has what each quarter of an hour holds, of all customers together. There is one for
//!   a segment or a full chunk in memory.
//! - A [`MeterColumn`] has each event that counts, in the order of customers and time. There is one
//!   for a segment, once a question about customers was asked.
//!
//! Files stand in `cache/`, named by segment and definition; `docs/format.md` describes them.

mod build;
mod bytes;
mod cache;
mod chunk_columns;
mod columns;
mod definition;
mod files;
mod matches;
mod meter;
mod numbers;
mod recent;
mod rollup;
mod texts;
mod verify;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use floe_core::{OrganizationId, QuantityAccumulator, Series};

pub(super) use self::build::Work;
use self::bytes::{contradicts_itself, put_text, put_u32};
use self::cache::{RollupCache, Unit};
pub(super) use self::definition::Definition;
use self::files::{FileId, FileKind, Files, path_of};
use self::matches::Matches;
pub(super) use self::matches::matching;
use self::meter::Part;
pub(super) use self::meter::{Buckets, ColumnReader, MeterColumn};
pub(super) use self::recent::Needed;
use self::recent::Recent;
pub(super) use self::rollup::Rollup;
use self::rollup::RollupBuilder;
pub(super) use self::verify::{Compared, compare, segment_of};
use super::blocks::{self, BlockError, BlockFile, BlockWriter, Durability};
use super::chunk::{Chunk, position};
use super::fs::Fs;
use super::segment::{Segment, SegmentMeta};
use super::view::{SealedReader, unreadable};
use crate::port::Result;

const ROLLUP_KIND: [u8; 4] = *b"ROLL";
/// Version of what stands in the blocks of either kind of file.
const VERSION: u32 = 1;

/// What derived data may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct DerivedLimits {
    /// Bytes of memory for rollups.
    pub(super) rollup_bytes_max: usize,
    /// Bytes on disk of meter columns.
    pub(super) meter_bytes_max: u64,
}

/// All that is derived from the events of a data folder for its meters.
#[derive(Debug)]
pub(super) struct Derived {
    fs: Arc<dyn Fs>,
    /// Where the files are.
    folder: PathBuf,
    limits: DerivedLimits,
    rollups: Mutex<RollupCache>,
    files: Mutex<Files>,
    recent: Mutex<Recent>,
    /// What is being built: who else wants it waits.
    under_way: Mutex<HashSet<FileId>>,
    built: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether questions with these buckets can be answered from rollups.
pub(super) fn rollups_suit(series: &Series) -> bool {
    rollup::suits(series)
}

/// Whether questions with these buckets can be answered from meter columns.
pub(super) fn columns_suit(series: &Series) -> bool {
    meter::suits(series)
}

/// Adds what a rollup holds to an accumulator of the same definition.
pub(super) fn add_rollup(rollup: &Rollup, series: &Series, accumulator: &mut QuantityAccumulator) {
    rollup.add_to(series, accumulator);
}

/// Holds the right to build something; gives it back when it is dropped.
struct Turn<'d> {
    derived: &'d Derived,
    of: FileId,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.derived.under_way).remove(&self.of);
        self.derived.built.notify_all();
    }
}

impl Derived {
    /// Of a data folder, with the files in `folder` that an earlier process left.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub(super) fn open(
        fs: Arc<dyn Fs>,
        folder: PathBuf,
        limits: DerivedLimits,
    ) -> std::io::Result<Self> {
        Ok(Self {
            files: Mutex::new(Files::find(&*fs, &folder)?),
            rollups: Mutex::new(RollupCache::new(limits.rollup_bytes_max)),
            recent: Mutex::default(),
            under_way: Mutex::default(),
            built: Condvar::new(),
            fs,
            folder,
            limits,
        })
    }

    fn turn(&self, of: FileId) -> Turn<'_> {
        let under_way = lock(&self.under_way);
        let is_taken = |under_way: &mut HashSet<_>| under_way.contains(&of);
        let mut under_way =
            self.built.wait_while(under_way, is_taken).unwrap_or_else(PoisonError::into_inner);
        under_way.insert(of);
        Turn { derived: self, of }
    }

    /// The rollup of a chunk that is no longer written to, given the number of events before it.
    pub(super) fn of_chunk(
        &self,
        organization: OrganizationId,
        start: u64,
        chunk: &Chunk,
        definition: &Definition,
    ) -> Arc<Rollup> {
        let unit = Unit::Chunk(organization, start);
        if let Some(known) = lock(&self.rollups).get(unit, definition.key()) {
            return known;
        }
        let mut builder = RollupBuilder::new(definition.aggregation.function(), chunk.len());
        builder.add(chunk.all_micros(), &matches::of_columns(definition, chunk));
        lock(&self.rollups).insert(unit, definition.key(), builder.finish())
    }

    /// The rollup of a segment.
    pub(super) fn of_segment(
        &self,
        segment: &Arc<Segment>,
        definition: &Definition,
        work: &Work,
    ) -> Result<Arc<Rollup>> {
        let unit = Unit::Segment(segment.meta.id);
        let known = || lock(&self.rollups).get(unit, definition.key());
        if let Some(known) = known() {
            return Ok(known);
        }
        let _turn = self.turn((segment.meta.id, definition.key(), FileKind::Rollup));
        if let Some(known) = known() {
            return Ok(known);
        }
        let rollup = match self.read_rollup(&segment.meta, definition) {
            Some(rollup) => rollup,
            None => self.build_rollup(segment, definition, work)?,
        };
        Ok(lock(&self.rollups).insert(unit, definition.key(), rollup))
    }

    fn build_rollup(
        &self,
        segment: &Arc<Segment>,
        definition: &Definition,
        work: &Work,
    ) -> Result<Rollup> {
        let rows = usize::try_from(segment.meta.rows).unwrap_or(usize::MAX);
        let new = || RollupBuilder::new(definition.aggregation.function(), rows);
        let parts = build::each_group(segment, work, new, |builder, _, batch| {
            builder.add(batch.all_micros(), &matches::of_columns(definition, batch));
        });
        let mut whole = new();
        parts.map_err(|error| unreadable(&error))?.into_iter().for_each(|part| whole.merge(part));
        Ok(self.finish_rollup(&segment.meta, definition, whole))
    }

    fn finish_rollup(
        &self,
        segment: &SegmentMeta,
        definition: &Definition,
        builder: RollupBuilder,
    ) -> Rollup {
        let rollup = builder.finish();
        if lock(&self.files).keeps(segment.id)
            && let Err(error) = self.write_rollup(segment, definition, &rollup)
        {
            // It is as good without, but for the next start.
            tracing::warn!(%error, "a derived file was not written");
        }
        rollup
    }

    fn write_rollup(
        &self,
        segment: &SegmentMeta,
        definition: &Definition,
        rollup: &Rollup,
    ) -> blocks::Result<()> {
        let id = (segment.id, definition.key(), FileKind::Rollup);
        let path = path_of(&self.folder, id);
        let mut writer = BlockWriter::create(&self.fs, &path, ROLLUP_KIND, Durability::Unsynced)?;
        writer.write(&rollup.encode())?;
        let file = writer.finish(&header(segment, definition))?;
        self.note_written(id, file.file_bytes());
        Ok(())
    }

    /// Notes a file that was written, and keeps to what files may take.
    fn note_written(&self, id: FileId, bytes: u64) {
        let gone = {
            let mut files = lock(&self.files);
            files.add(id, bytes);
            let mut gone = files.beyond(self.limits.meter_bytes_max, id.1);
            if !files.keeps(id.0) {
                // Its segment went while it was written.
                files.remove(id);
                gone.push(id);
            }
            gone
        };
        self.remove_files(gone);
    }

    fn remove_files(&self, files: Vec<FileId>) {
        for id in files {
            let path = path_of(&self.folder, id);
            if let Err(error) = self.fs.remove(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(file = %path.display(), %error, "a file of no use stays");
            }
        }
    }

    /// The rollup that a file holds, if there is one that is whole.
    fn read_rollup(&self, segment: &SegmentMeta, definition: &Definition) -> Option<Rollup> {
        let path = path_of(&self.folder, (segment.id, definition.key(), FileKind::Rollup));
        let read = || -> blocks::Result<Rollup> {
            let file = BlockFile::open(&*self.fs, &path, ROLLUP_KIND)?;
            let mut bytes = Vec::new();
            file.scan(0..file.body_bytes(), |part| {
                bytes.extend_from_slice(part);
                Ok::<(), BlockError>(())
            })?;
            let is_of_this = file.owner_header() == header(segment, definition);
            let function = definition.aggregation.function();
            let rollup = is_of_this.then(|| Rollup::decode(function, &bytes)).flatten();
            rollup.ok_or_else(|| contradicts_itself(&path))
        };
        read().inspect_err(note_unusable).ok()
    }

    /// The column of a segment; `None` if there can be none.
    pub(super) fn column(
        &self,
        reader: &SealedReader,
        segment: &Arc<Segment>,
        definition: &Definition,
        work: &Work,
    ) -> Result<Option<Arc<MeterColumn>>> {
        let (number, key) = (segment.meta.id, definition.key());
        let known = || lock(&self.files).opened(number, key);
        let column = match known() {
            Some(known) => Some(known),
            None => {
                let _turn = self.turn((number, key, FileKind::Meter));
                match known() {
                    Some(known) => Some(known),
                    None => self.open_or_build_column(reader, segment, definition, work)?,
                }
            }
        };
        Ok(column.filter(|column| column.is_there()))
    }

    fn open_or_build_column(
        &self,
        reader: &SealedReader,
        segment: &Arc<Segment>,
        definition: &Definition,
        work: &Work,
    ) -> Result<Option<Arc<MeterColumn>>> {
        let id = (segment.meta.id, definition.key(), FileKind::Meter);
        let path = path_of(&self.folder, id);
        let opened = MeterColumn::open(&*self.fs, &path, &segment.meta, definition);
        if let Ok(column) = opened.inspect_err(note_unusable) {
            return Ok(Some(lock(&self.files).keep_open(id.0, id.1, column)));
        }
        if !lock(&self.files).keeps(id.0) {
            return Ok(None);
        }
        let parts = build::each_group(segment, work, Vec::new, |parts, group, batch| {
            let matches = matches::of_columns(definition, batch);
            parts.push(Part::new(
                &segment.meta,
                group,
                batch,
                &matches.rows,
                matches.contributions,
            ));
        });
        let parts = parts.map_err(|error| unreadable(&error))?.into_iter().flatten().collect();
        self.finish_column(reader, segment, definition, parts)
    }

    /// Writes a column. Without the file there is none, and events are scanned, which takes longer.
    fn finish_column(
        &self,
        reader: &SealedReader,
        segment: &Arc<Segment>,
        definition: &Definition,
        mut parts: Vec<Part>,
    ) -> Result<Option<Arc<MeterColumn>>> {
        let id = (segment.meta.id, definition.key(), FileKind::Meter);
        let path = path_of(&self.folder, id);
        parts.sort_unstable_by_key(Part::group);
        let written = reader.with_index(segment, |index, _| {
            meter::write(&self.fs, &path, segment, definition, &parts, index)
        })?;
        let made = written
            .and_then(|()| MeterColumn::open(&*self.fs, &path, &segment.meta, definition))
            .inspect_err(|error| tracing::warn!(%error, "a derived file was not written"));
        let Ok(column) = made else { return Ok(None) };
        self.note_written(id, column.file_bytes());
        Ok(Some(lock(&self.files).keep_open(id.0, id.1, column)))
    }

    /// Notes what a question needs, so that it is there for segments to come.
    pub(super) fn note_use(
        &self,
        organization: OrganizationId,
        definition: &Definition,
        needed: Needed,
    ) {
        lock(&self.recent).note(organization, definition, needed);
    }

    /// Builds what was needed lately, for a segment that is not shown yet: so no question waits for
    /// it. What cannot be built now is built when it is needed.
    pub(super) fn prepare(
        &self,
        reader: &SealedReader,
        organization: OrganizationId,
        segment: &Arc<Segment>,
        stop: &AtomicBool,
    ) {
        for (definition, needed) in lock(&self.recent).for_segment(organization) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = self.build(reader, segment, &definition, needed) {
                let error = super::describe(&error);
                tracing::warn!(error, "a meter's answers were not prepared");
            }
        }
    }

    fn build(
        &self,
        reader: &SealedReader,
        segment: &Arc<Segment>,
        definition: &Definition,
        needed: Needed,
    ) -> Result<()> {
        let rows = usize::try_from(segment.meta.rows).unwrap_or(usize::MAX);
        let builder = || RollupBuilder::new(definition.aggregation.function(), rows);
        let work = Work::new(segment.meta.rows);
        let new = || (builder(), Vec::new());
        let states = build::each_group(segment, &work, new, |(builder, parts), group, batch| {
            let matches = matches::of_columns(definition, batch);
            if needed.rollup {
                builder.add(batch.all_micros(), &matches);
            }
            if needed.column {
                let Matches { rows, contributions } = matches;
                parts.push(Part::new(&segment.meta, group, batch, &rows, contributions));
            }
        });
        let (mut whole, mut parts) = new();
        for (builder, some) in states.map_err(|error| unreadable(&error))? {
            whole.merge(builder);
            parts.extend(some);
        }
        if needed.rollup {
            let rollup = self.finish_rollup(&segment.meta, definition, whole);
            let unit = Unit::Segment(segment.meta.id);
            lock(&self.rollups).insert(unit, definition.key(), rollup);
        }
        if needed.column {
            self.finish_column(reader, segment, definition, parts)?;
        }
        Ok(())
    }

    /// Removes a column that turned out to be damaged.
    pub(super) fn discard_column(&self, segment: u64, definition: &Definition, error: &BlockError) {
        note_unusable(error);
        let id = (segment, definition.key(), FileKind::Meter);
        lock(&self.files).remove(id);
        self.remove_files(vec![id]);
    }

    /// Forgets a segment that is gone.
    pub(super) fn forget_segment(&self, segment: u64) {
        lock(&self.rollups).forget(|unit| unit == Unit::Segment(segment));
        let files = lock(&self.files).forget_segment(segment);
        self.remove_files(files);
    }

    /// Forgets the chunks of events that are in segments now: those before this number.
    pub(super) fn forget_chunks(&self, organization: OrganizationId, end: u64) {
        lock(&self.rollups).forget(|unit| match unit {
            Unit::Chunk(of, start) => of == organization && start < end,
            Unit::Segment(_) => false,
        });
    }
}

/// Says that a derived file will be built again, unless there was none.
fn note_unusable(error: &BlockError) {
    match error {
        BlockError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {}
        error => tracing::warn!(%error, "a derived file is built again"),
    }
}

/// What a file is of.
fn header(segment: &SegmentMeta, definition: &Definition) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_u32(VERSION, &mut bytes);
    bytes.extend_from_slice(&segment.identity());
    put_text(definition.text(), &mut bytes);
    bytes
}
