//! What is computed once from events and then answers many questions: rollups.
//!
//! Derived from immutable rows and a meter's definition, and from nothing else, so it can be thrown
//! away at any time and is never out of date: a file that is missing, damaged or of another segment
//! is built again. What a definition means is `floe-core`'s; this keeps and combines its results,
//! exactly.
//!
//! Files stand in `cache/`, named by segment and definition; `docs/format.md` describes them.

mod build;
mod bytes;
mod cache;
mod columns;
mod definition;
mod matches;
mod numbers;
mod rollup;
mod texts;
mod verify;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use floe_core::{OrganizationId, QuantityAccumulator, Series};

pub(super) use self::build::Work;
use self::bytes::{contradicts_itself, put_text, put_u32};
use self::cache::{RollupCache, Unit};
pub(super) use self::definition::Definition;
use self::definition::Key;
pub(super) use self::matches::asked_for;
pub(super) use self::rollup::Rollup;
use self::rollup::RollupBuilder;
pub(super) use self::verify::{Compared, compare, segment_of};
use super::blocks::{self, BlockError, BlockFile, BlockWriter, Durability};
use super::chunk::{Chunk, position};
use super::fs::Fs;
use super::rows::Rows;
use super::segment::{Segment, SegmentMeta};
use super::view::unreadable;
use crate::port::Result;

const ROLLUP_KIND: [u8; 4] = *b"ROLL";
/// Version of what stands in the blocks of either kind of file.
const VERSION: u32 = 1;

/// All that is derived from the events of a data folder for its meters.
#[derive(Debug)]
pub(super) struct Derived {
    fs: Arc<dyn Fs>,
    /// Where the files are.
    folder: PathBuf,
    rollups: Mutex<RollupCache>,
    /// What is being built: who else wants it waits.
    under_way: Mutex<HashSet<(u64, Key)>>,
    built: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether questions with these buckets can be answered from rollups.
pub(super) fn rollups_suit(series: &Series) -> bool {
    rollup::suits(series)
}

/// Adds what a rollup holds to an accumulator of the same definition.
pub(super) fn add_rollup(rollup: &Rollup, series: &Series, accumulator: &mut QuantityAccumulator) {
    rollup.add_to(series, accumulator);
}

/// Holds the right to build something; gives it back when it is dropped.
struct Turn<'d> {
    derived: &'d Derived,
    of: (u64, Key),
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.derived.under_way).remove(&self.of);
        self.derived.built.notify_all();
    }
}

impl Derived {
    /// Of a data folder; `rollup_bytes_max` bounds the memory for rollups.
    pub(super) fn new(fs: Arc<dyn Fs>, folder: PathBuf, rollup_bytes_max: usize) -> Self {
        Self {
            fs,
            folder,
            rollups: Mutex::new(RollupCache::new(rollup_bytes_max)),
            under_way: Mutex::default(),
            built: Condvar::new(),
        }
    }

    fn turn(&self, segment: u64, key: Key) -> Turn<'_> {
        let of = (segment, key);
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
        let rows = Rows::Tail(chunk);
        let mut builder = RollupBuilder::new(definition.aggregation.function(), rows.len());
        builder.add(rows.all_micros(), &matches::by_row(definition, rows));
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
        let _turn = self.turn(segment.meta.id, definition.key());
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
            builder.add(batch.all_micros(), &matches::of_batch(definition, batch));
        });
        let mut whole = new();
        parts.map_err(|error| unreadable(&error))?.into_iter().for_each(|part| whole.merge(part));
        let rollup = whole.finish();
        if let Err(error) = self.write_rollup(&segment.meta, definition, &rollup) {
            // It is as good without, but for the next start.
            tracing::warn!(%error, "a derived file was not written");
        }
        Ok(rollup)
    }

    fn path(&self, segment: u64, key: Key, suffix: &str) -> PathBuf {
        self.folder.join(format!("{segment:08}.{key}.{suffix}"))
    }

    fn write_rollup(
        &self,
        segment: &SegmentMeta,
        definition: &Definition,
        rollup: &Rollup,
    ) -> blocks::Result<()> {
        let path = self.path(segment.id, definition.key(), "rollup");
        let mut writer = BlockWriter::create(&self.fs, &path, ROLLUP_KIND, Durability::Unsynced)?;
        writer.write(&rollup.encode())?;
        writer.finish(&header(segment, definition))?;
        Ok(())
    }

    /// The rollup that a file holds, if there is one that is whole.
    fn read_rollup(&self, segment: &SegmentMeta, definition: &Definition) -> Option<Rollup> {
        let path = self.path(segment.id, definition.key(), "rollup");
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
