//! Sealing events from memory into segments, and merging small segments, beside the committer.
//!
//! The order of steps is what makes a crash harmless: files of segments are durable before the
//! manifest names them, the manifest is durable before memory and journal let go of the events,
//! and a file that the manifest does not name is nobody's. Whoever changes the manifest holds its
//! lock until memory shows the same segments.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use floe_core::{OrganizationId, Sequence, Timestamp};

use super::blocks::{BlockError, UNFINISHED_SUFFIX};
use super::committer::Shared;
use super::dedup::RunBuilder;
use super::fs::Fs;
use super::manifest::{Manifest, ManifestError};
use super::rows::Rows;
use super::segment::{Batch, ColumnCounts, Segment, SegmentError, SegmentMeta, SegmentWriter};
use super::segment_index::IndexBuilder;
use super::tail::{Memtable, Sealed};
use super::view::{SealedReader, SharedTail, read};

/// Segments of about one size that are merged into one, at least; and if together they have so many
/// events that to write them again is work: the more at once, the less often is each event written.
const MERGE_SEGMENTS_MIN: usize = 4;
const MERGE_LARGE_SEGMENTS_MIN: usize = 8;
const LARGE_EVENTS: u64 = 500_000;
/// Segments that are merged at a time, at most.
const MERGE_SEGMENTS_MAX: usize = 16;
/// After a failure, how long until the next try.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// How events are sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct SealOptions {
    /// Columns of metadata that a segment has at most.
    pub(super) columns_max: usize,
    /// Events of a segment that is not merged any further.
    pub(super) segment_events_max: u64,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum MaintainError {
    #[error("a segment cannot be written")]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("the disk failed at {0}")]
    Io(PathBuf, #[source] std::io::Error),
    #[error("the external ids of sealed events cannot be written")]
    ExternalIds(#[from] BlockError),
}

/// Events that are to be sealed together: all that have lower sequence numbers than `end` and are
/// not sealed yet.
#[derive(Debug)]
pub(super) struct SealJob {
    pub(super) end: Sequence,
    pub(super) last_ingested_at: Timestamp,
    /// The journal file that was written to when the events were set aside: those before it are
    /// not needed once they are sealed.
    pub(super) journal_file: u64,
    pub(super) memtables: Vec<(OrganizationId, Arc<SharedTail>, Arc<Memtable>)>,
}

/// Where segments and manifest of a data folder are kept up.
#[derive(Debug)]
pub(super) struct Maintenance {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) folder: PathBuf,
    pub(super) manifest: Mutex<Manifest>,
    pub(super) reader: Arc<SealedReader>,
    pub(super) shared: Arc<Shared>,
    pub(super) options: SealOptions,
    /// Organizations whose folders this process knows to be durable.
    pub(super) folders: Mutex<HashSet<OrganizationId>>,
    /// Set when merging shall end soon.
    pub(super) stop: AtomicBool,
}

/// The folder of an organization's segments.
pub(super) fn folder_of(folder: &Path, organization: OrganizationId) -> PathBuf {
    folder.join("segments").join(organization.to_string())
}

/// The file of a segment.
pub(super) fn segment_path(folder: &Path, organization: OrganizationId, id: u64) -> PathBuf {
    folder_of(folder, organization).join(format!("{id:08}.parquet"))
}

/// Removes what a crash left behind: files that the manifest does not name.
pub(super) fn remove_leftovers(
    fs: &dyn Fs,
    folder: &Path,
    manifest: &Manifest,
) -> std::io::Result<()> {
    let segments = folder.join("segments");
    for name in fs.list(&segments)? {
        let Ok(organization) = name.parse().map(OrganizationId) else { continue };
        let known = manifest.organizations.iter().find(|of| of.id == organization.0);
        let directory = segments.join(&name);
        for file in fs.list(&directory)? {
            let id = file
                .strip_suffix(".new")
                .unwrap_or(&file)
                .strip_suffix(".parquet")
                .and_then(|digits| digits.parse::<u64>().ok());
            let Some(id) = id else { continue };
            let is_named = !file.ends_with(".new")
                && known.is_some_and(|of| of.segments.iter().any(|segment| segment.id == id));
            if !is_named {
                tracing::info!(file = %directory.join(&file).display(), "removing a leftover");
                fs.remove(&directory.join(&file))?;
            }
        }
    }
    let cache = folder.join("cache");
    for file in fs.list(&cache)? {
        let Some(id) = segment_of(&file) else { continue };
        let mut segments = manifest.organizations.iter().flat_map(|of| &of.segments);
        if file.ends_with(UNFINISHED_SUFFIX) || !segments.any(|segment| segment.id == id) {
            fs.remove(&cache.join(&file))?;
        }
    }
    Ok(())
}

/// The segment that a file in `cache/` is derived from: its number is what the name begins with.
fn segment_of(file: &str) -> Option<u64> {
    let digits = file.find(|character: char| !character.is_ascii_digit())?;
    file.get(..digits)?.parse().ok()
}

impl Maintenance {
    /// The manifest. While it is held, memory shows the segments that it names, and their files
    /// stay.
    pub(super) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io<T>(path: &Path, result: std::io::Result<T>) -> Result<T, MaintainError> {
        result.map_err(|error| MaintainError::Io(path.to_owned(), error))
    }

    /// Makes the folder of an organization's segments, durably.
    fn make_folder(&self, organization: OrganizationId) -> Result<(), MaintainError> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if folders.contains(&organization) {
            return Ok(());
        }
        let segments = self.folder.join("segments");
        let own = folder_of(&self.folder, organization);
        for (folder, parent) in [(&segments, &self.folder), (&own, &segments)] {
            // Who made it before may have been stopped before it was durable.
            Self::io(folder, self.fs.create_dir(folder))?;
            Self::io(parent, self.fs.sync_dir(parent))?;
        }
        folders.insert(organization);
        Ok(())
    }

    /// Writes a segment with a fresh number, durably, and opens it. Until the manifest names it, it
    /// is a leftover.
    fn write_segment(
        &self,
        organization: OrganizationId,
        first_number: u64,
        counts: ColumnCounts,
        fill: impl FnOnce(&mut SegmentWriter) -> Result<(), SegmentError>,
    ) -> Result<Segment, MaintainError> {
        let id = {
            let mut manifest = self.manifest();
            manifest.next_segment += 1;
            manifest.next_segment - 1
        };
        self.make_folder(organization)?;
        let path = segment_path(&self.folder, organization, id);
        let new = path.with_extension("parquet.new");
        // A number is given out once in the life of a process; after a crash it may come again.
        for leftover in [&path, &new] {
            if Self::io(leftover, self.fs.exists(leftover))? {
                Self::io(leftover, self.fs.remove(leftover))?;
            }
        }
        let columns_max = self.options.columns_max;
        let mut writer = SegmentWriter::create(&*self.fs, &new, counts, columns_max)?;
        fill(&mut writer)?;
        let written = writer.finish()?;
        Self::io(&path, self.fs.rename(&new, &path))?;
        let own = folder_of(&self.folder, organization);
        Self::io(&own, self.fs.sync_dir(&own))?;
        let (first_sequence, last_sequence) = written.sequences.unwrap_or_default();
        let (first_micros, last_micros) = written.micros.unwrap_or_default();
        let meta = SegmentMeta {
            id,
            first_number,
            rows: written.rows,
            first_sequence,
            last_sequence,
            first_micros,
            last_micros,
            last_ingested_micros: written.last_ingested_micros,
            bytes: written.bytes,
            data_bytes: written.data_bytes,
            end_crc32c: written.end_crc32c,
        };
        Ok(Segment::open(&*self.fs, &path, meta, &self.reader.shared_columns)?)
    }

    fn add_external_ids(
        &self,
        organization: OrganizationId,
        memtable: &Memtable,
        run: &mut RunBuilder,
    ) {
        let hasher = self.reader.dedup.hasher();
        for (_, chunk) in memtable.chunks() {
            let rows = Rows::Tail(chunk);
            for row in 0..super::chunk::position(chunk.len()) {
                if let Some(external_id) = rows.external_id(row) {
                    let hash = hasher.hash(organization, external_id.as_bytes());
                    run.add(hash, rows.sequence(row));
                }
            }
        }
    }

    /// Writes the index of a new segment. It is derived, so a failure is no more than work for later.
    fn put_index(&self, index: IndexBuilder, segment: &Segment) {
        if let Err(error) = self.reader.finish_index(index, segment) {
            tracing::warn!(%error, "the index of a segment was not written");
        }
    }

    /// Seals events. If this fails they stay in memory and in the journal, and it may be tried
    /// again.
    fn seal(&self, job: &SealJob) -> Result<(), MaintainError> {
        let mut segments = Vec::new();
        // An earlier try may have got so far. Runs of events that were sealed before may be missing
        // too; these are not among the job's, and are built from segments.
        let sealed_end = Sequence(self.manifest().sealed_end);
        let missing = self.reader.dedup.missing(job.end).pop();
        let missing = missing.map(|missing| missing.start.max(sealed_end)..missing.end);
        let mut run = missing.filter(|missing| !missing.is_empty()).map(RunBuilder::new);
        for (organization, _, memtable) in &job.memtables {
            let mut counts = ColumnCounts::default();
            memtable.chunks().for_each(|(_, chunk)| chunk.count_columns(&mut counts));
            let segment =
                self.write_segment(*organization, memtable.first(), counts, |writer| {
                    memtable.chunks().try_for_each(|(_, chunk)| writer.push_chunk(chunk))
                })?;
            if let Some(run) = &mut run {
                self.add_external_ids(*organization, memtable, run);
            }
            let mut index = IndexBuilder::new(self.reader.parents);
            memtable.chunks().for_each(|(_, chunk)| index.add(Rows::Tail(chunk)));
            self.put_index(index, &segment);
            tracing::debug!(%organization, events = segment.meta.rows, bytes = segment.meta.bytes, "sealed");
            let segment = Arc::new(segment);
            self.reader.derived.prepare(&self.reader, *organization, &segment, &self.stop);
            segments.push(segment);
        }
        if let Some(run) = run {
            self.reader.dedup.add(run)?;
        }
        let mut manifest = self.manifest();
        let mut next = manifest.clone();
        next.sealed_end = job.end.0;
        next.last_ingested_micros = Some(job.last_ingested_at.micros());
        next.first_journal_file = job.journal_file;
        for ((organization, ..), segment) in job.memtables.iter().zip(&segments) {
            next.segments_of(*organization).push(segment.meta.clone());
        }
        next.write(&*self.fs, &self.folder)?;
        *manifest = next;
        for ((organization, tail, memtable), segment) in job.memtables.iter().zip(segments) {
            let end = segment.meta.numbers().end;
            let mut tail = tail.write().unwrap_or_else(PoisonError::into_inner);
            let mut all = tail.sealed().segments.clone();
            all.push(segment);
            tail.set_sealed(Sealed { segments: all });
            drop(tail);
            self.reader.derived.forget_chunks(*organization, end);
            self.shared.remove_tail_bytes(memtable.bytes());
        }
        drop(manifest);
        Ok(())
    }

    /// Merges what is worth it: segments, then runs of external ids. What fails is left as it is.
    fn merge_all(&self) {
        loop {
            match self.merge_some() {
                Ok(true) => {}
                Ok(false) | Err(MaintainError::Segment(SegmentError::Stopped)) => break,
                Err(error) => {
                    tracing::error!(error = %super::describe(&error), "merging segments failed");
                    break;
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
        }
        while let Some(plan) = self.reader.dedup.plan_merge() {
            match self.reader.dedup.merge(&plan, &self.stop) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::error!(error = %super::describe(&error), "merging external ids failed");
                    // A damaged run, before a lookup meets it.
                    if let Err(error) = self.reader.rebuild_external_ids(error) {
                        tracing::error!(error = %super::describe(&error), "external ids were not repaired");
                    }
                    break;
                }
            }
        }
    }

    /// Merges some segments of one organization, if there are any worth it.
    fn merge_some(&self) -> Result<bool, MaintainError> {
        let tails: Vec<(OrganizationId, Arc<SharedTail>)> = {
            let tails = self.reader.tails.read().unwrap_or_else(PoisonError::into_inner);
            tails.iter().map(|(id, tail)| (*id, Arc::clone(tail))).collect()
        };
        for (organization, tail) in tails {
            let sealed = read(&tail).sealed();
            if let Some(range) = worth_merging(&sealed, self.options.segment_events_max) {
                self.merge(organization, &tail, &sealed.segments[range])?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn merge(
        &self,
        organization: OrganizationId,
        tail: &SharedTail,
        old: &[Arc<Segment>],
    ) -> Result<(), MaintainError> {
        let Some(first) = old.first() else { return Ok(()) };
        let mut index = IndexBuilder::new(self.reader.parents);
        let mut counts = ColumnCounts::default();
        old.iter().for_each(|segment| segment.count_columns(&mut counts));
        let merged =
            self.write_segment(organization, first.meta.first_number, counts, |writer| {
                for segment in old {
                    for group in 0..segment.row_groups().len() {
                        if self.stop.load(Ordering::Relaxed) {
                            return Err(SegmentError::Stopped);
                        }
                        let batch = Batch::of_group(segment, group);
                        let rows = Rows::Sealed(&batch);
                        if writer.has_columns_of(segment) {
                            writer.push_group(segment, group)?;
                        } else {
                            for row in 0..super::chunk::position(batch.len()) {
                                let ingested_at = rows.ingested_at(row);
                                writer.push(rows.sequence(row), ingested_at, &rows.event(row))?;
                            }
                        }
                        index.add(rows);
                        batch.into_checked()?;
                    }
                }
                Ok(())
            })?;
        self.put_index(index, &merged);
        tracing::debug!(%organization, segments = old.len(), events = merged.meta.rows, "merged");
        let merged = Arc::new(merged);
        self.reader.derived.prepare(&self.reader, organization, &merged, &self.stop);
        let ids: Vec<u64> = old.iter().map(|segment| segment.meta.id).collect();
        let mut manifest = self.manifest();
        let mut next = manifest.clone();
        let metas = next.segments_of(organization);
        let Some(place) = metas.iter().position(|meta| ids.first() == Some(&meta.id)) else {
            return Ok(());
        };
        metas.splice(place..place + ids.len(), [merged.meta.clone()]);
        next.write(&*self.fs, &self.folder)?;
        *manifest = next;
        {
            let mut tail = tail.write().unwrap_or_else(PoisonError::into_inner);
            let mut all = tail.sealed().segments.clone();
            all.splice(place..place + ids.len(), [merged]);
            tail.set_sealed(Sealed { segments: all });
        }
        drop(manifest);
        ids.iter().for_each(|&id| self.reader.derived.forget_segment(id));
        // Who still reads a file has it open. If it stays, the next start removes it.
        let cache = self.folder.join("cache");
        let derived = self
            .fs
            .list(&cache)
            .unwrap_or_default()
            .into_iter()
            .filter(|file| segment_of(file).is_some_and(|id| ids.contains(&id)));
        let derived: Vec<PathBuf> = derived.map(|file| cache.join(file)).collect();
        let merged = ids.iter().map(|id| segment_path(&self.folder, organization, *id));
        for path in merged.chain(derived) {
            if let Err(error) = self.fs.remove(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(file = %path.display(), %error, "a file of no use stays");
            }
        }
        Ok(())
    }
}

/// Neighbours that are to become one segment.
fn worth_merging(sealed: &Sealed, events_max: u64) -> Option<Range<usize>> {
    let rows: Vec<u64> = sealed.segments.iter().map(|segment| segment.meta.rows).collect();
    neighbours_to_merge(&rows, events_max)
}

/// The neighbours to merge, given how many events each segment has: as many as can be at once, and
/// of as many those with the fewest events. All of them have no more than so many events, and none
/// has more than all others together: no segment is written again only to take in some few events.
fn neighbours_to_merge(rows: &[u64], events_max: u64) -> Option<Range<usize>> {
    let mut best: Option<(usize, Reverse<u64>, Range<usize>)> = None;
    for start in 0..rows.len() {
        let (mut total, mut largest) = (0, 0);
        for (end, &next) in (start + 1..).zip(&rows[start..]).take(MERGE_SEGMENTS_MAX) {
            total += next;
            largest = largest.max(next);
            if total > events_max {
                break;
            }
            let found = (end - start, Reverse(total), start..end);
            let is_large = total >= LARGE_EVENTS;
            let enough = if is_large { MERGE_LARGE_SEGMENTS_MIN } else { MERGE_SEGMENTS_MIN };
            if found.0 >= enough
                && total >= 2 * largest
                && best
                    .as_ref()
                    .is_none_or(|(count, least, _)| (found.0, found.1) > (*count, *least))
            {
                best = Some(found);
            }
        }
    }
    best.map(|(.., range)| range)
}

/// What the threads are told.
enum Command {
    Seal(SealJob),
    Merge,
    Close,
}

/// How sealing stands, for those who wait for room.
#[derive(Debug, Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// A job was handed over and is not done.
    running: bool,
    /// Why the last try failed.
    failed: Option<String>,
    /// The first journal file that is still needed, once a job is done.
    journal_file: Option<u64>,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a job is under way.
    pub(super) fn is_running(&self) -> bool {
        self.state().running
    }

    /// Why sealing fails, if it does.
    pub(super) fn failed(&self) -> Option<String> {
        self.state().failed.clone()
    }

    /// Waits until no job is under way, or the one that is has failed.
    pub(super) fn wait(&self) {
        let state = self.state();
        let busy = |state: &mut State| state.running && state.failed.is_none();
        drop(self.changed.wait_while(state, busy).unwrap_or_else(PoisonError::into_inner));
    }

    /// The first journal file that is still needed, if that changed.
    pub(super) fn take_journal_file(&self) -> Option<u64> {
        self.state().journal_file.take()
    }

    fn done(&self, job: &SealJob) {
        self.set(|state| {
            state.running = false;
            state.failed = None;
            state.journal_file = Some(job.journal_file);
        });
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }
}

/// Who seals and merges.
#[derive(Debug)]
pub(super) struct Maintainer {
    pub(super) maintenance: Arc<Maintenance>,
    pub(super) progress: Arc<Progress>,
    workers: Workers,
}

#[derive(Debug)]
enum Workers {
    /// Threads for sealing and merging.
    Threads { sealer: Mutex<Option<Thread>>, merger: Mutex<Option<Thread>> },
    /// Whoever asks; what could not be sealed waits for the next time.
    Caller { failed: Mutex<Option<SealJob>> },
}

type Thread = (Sender<Command>, JoinHandle<()>);

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Command")
    }
}

impl Maintainer {
    /// Starts the threads, if there shall be any.
    pub(super) fn start(maintenance: Arc<Maintenance>, background: bool) -> std::io::Result<Self> {
        let progress = Arc::new(Progress::default());
        if !background {
            let workers = Workers::Caller { failed: Mutex::default() };
            return Ok(Self { maintenance, progress, workers });
        }
        let (merge, receiver) = channel();
        let merger = {
            let maintenance = Arc::clone(&maintenance);
            let named = std::thread::Builder::new().name("floe-merger".into());
            named.spawn(move || run_merger(&maintenance, &receiver))?
        };
        let (seal, receiver) = channel();
        let sealer = {
            let (progress, merge) = (Arc::clone(&progress), merge.clone());
            let maintenance = Arc::clone(&maintenance);
            let named = std::thread::Builder::new().name("floe-sealer".into());
            named.spawn(move || run_sealer(&maintenance, &progress, &receiver, &merge))?
        };
        // What an earlier process left to be merged.
        let _ = merge.send(Command::Merge);
        let workers = Workers::Threads {
            sealer: Mutex::new(Some((seal, sealer))),
            merger: Mutex::new(Some((merge, merger))),
        };
        Ok(Self { maintenance, progress, workers })
    }

    /// Hands events over to be sealed.
    pub(super) fn seal(&self, job: SealJob) {
        self.progress.set(|state| state.running = true);
        match &self.workers {
            Workers::Threads { sealer, .. } => {
                let sealer = sealer.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((sender, _)) = &*sealer {
                    // A thread that has ended was told to.
                    let _ = sender.send(Command::Seal(job));
                }
            }
            Workers::Caller { failed } => {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(job);
                self.retry();
            }
        }
    }

    /// Tries again what could not be sealed, if there is no thread that does.
    pub(super) fn retry(&self) {
        let Workers::Caller { failed } = &self.workers else { return };
        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = failed.take() {
            match self.maintenance.seal(&job) {
                Ok(()) => {
                    self.progress.done(&job);
                    self.maintenance.merge_all();
                }
                Err(error) => {
                    self.progress.set(|state| state.failed = Some(super::describe(&error)));
                    *failed = Some(job);
                }
            }
        }
    }

    /// Ends the threads: the sealing under way is finished, unless it fails; a merge is given up.
    pub(super) fn close(&self) {
        self.maintenance.stop.store(true, Ordering::Relaxed);
        let Workers::Threads { sealer, merger } = &self.workers else { return };
        for thread in [sealer, merger] {
            let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((sender, thread)) = thread {
                let _ = sender.send(Command::Close);
                drop(sender);
                if thread.join().is_err() {
                    tracing::error!("a maintenance thread panicked");
                }
            }
        }
    }
}

impl Drop for Maintainer {
    /// The threads must not outlive the lock of the folder.
    fn drop(&mut self) {
        self.close();
    }
}

fn run_sealer(
    maintenance: &Maintenance,
    progress: &Progress,
    receiver: &Receiver<Command>,
    merge: &Sender<Command>,
) {
    while let Ok(Command::Seal(job)) = receiver.recv() {
        loop {
            match maintenance.seal(&job) {
                Ok(()) => break,
                Err(error) => {
                    let why = super::describe(&error);
                    tracing::error!(error = %why, "sealing failed; it is tried again");
                    progress.set(|state| state.failed = Some(why));
                    match receiver.recv_timeout(RETRY_AFTER) {
                        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                        // The events are in the journal, so nothing is lost.
                        Ok(_) | Err(_) => return,
                    }
                }
            }
        }
        progress.done(&job);
        let _ = merge.send(Command::Merge);
    }
}

fn run_merger(maintenance: &Maintenance, receiver: &Receiver<Command>) {
    while let Ok(Command::Merge) = receiver.recv() {
        maintenance.merge_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_about_one_size_are_merged() {
        let max = 1000;
        assert_eq!(neighbours_to_merge(&[10, 10, 10], max), None);
        // Sealed by bytes, segments hardly ever have as many events as their neighbours.
        assert_eq!(neighbours_to_merge(&[10, 12, 9, 11], max), Some(0..4));
        assert_eq!(neighbours_to_merge(&[60, 10, 12, 9, 11], max), Some(1..5));
        // Many at once are written once.
        let many: Vec<u64> = (0..40).map(|number| 50 + number).collect();
        assert_eq!(neighbours_to_merge(&many, 900), Some(0..15));
        assert_eq!(neighbours_to_merge(&many, 10_000), Some(0..16));
        // None beyond the most events, nor one that has more than all others.
        assert_eq!(neighbours_to_merge(&[300, 300, 300, 300], max), None);
        assert_eq!(neighbours_to_merge(&[500, 10, 10, 10], max), None);
        assert_eq!(neighbours_to_merge(&[30, 10, 10, 10], max), Some(0..4));
    }

    /// However events come, there are few segments, and each event is written some few times.
    #[test]
    fn segments_stay_few() {
        let max = 4_000_000;
        for step in [1_u64, 7, 13] {
            let mut rows: Vec<u64> = Vec::new();
            let (mut events, mut written) = (0, 0);
            for number in 0..400 {
                let sealed = 200_000 + number * step % 17 * 5000;
                events += sealed;
                written += sealed;
                rows.push(sealed);
                while let Some(range) = neighbours_to_merge(&rows, max) {
                    let merged = rows[range.clone()].iter().sum();
                    written += merged;
                    rows.splice(range, [merged]);
                }
            }
            assert!(rows.len() < 60, "{step}: {} segments", rows.len());
            assert!(written < 3 * events, "{step}: {written} events written of {events}");
        }
    }
}
