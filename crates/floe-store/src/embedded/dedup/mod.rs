//! Which external ids are known: an index of all sealed events, exact and unlimited in time.
//!
//! Owns the runs under `cache/dedup/`, their filters in memory, and the policy of merging them.
//! It knows keys by a 64-bit hash alone, and answers with the few events whose hash is equal; the
//! owner compares the stored key, which makes the answer exact. Events that are not sealed yet are
//! none of its business.
//!
//! A run is an immutable file: the hashes of a range of sequence numbers, sorted. Runs cover all
//! sealed events without overlap. A key that was never seen, by far the most frequent case, is
//! decided by the runs' filters, without the disk. All of this is derived from the segments: what
//! is missing or damaged is named, and rebuilt by the owner.
//!
//! A key takes 13.6 bytes on disk and 1.56 bytes of memory (measured with 100 million). With these
//! an unseen key costs 0.25 microseconds of the processor in batches of 100, and a seen one 4.
//!
//! Threads may add, merge and repair at once, and any number of them reads meanwhile.
//!
//! `docs/format.md` describes the bytes in prose; the two change together.

mod examine;
mod run;
#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "these are lists of ranges")]
mod tests;

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::hash::Hasher as _;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use floe_core::{OrganizationId, Sequence};
use siphasher::sip::SipHasher13;

pub(super) use self::examine::{ExaminedRuns, KeySet};
use self::run::{
    Cursor, Filter, RUN_SEQUENCES_MAX, Run, RunWriter, part, part_start, range_of, run_name,
};
use super::blocks::{BlockCache, BlockError, Result, UNFINISHED_SUFFIX};
use super::fs::Fs;

/// The most runs that are merged at once: each takes 0.3 MB of buffers meanwhile.
const MERGE_RUNS_MAX: usize = 32;
/// So many groups (12 MB of filters) change from merged runs to their successor at a time.
const HANDOVER_GROUPS: usize = if cfg!(test) { 1 } else { 32 };
/// A merge looks after so many entries whether it shall stop: every few milliseconds.
const STOP_ENTRIES: u64 = 1 << 16;

/// The hash of an organization's external id under the index's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KeyHash(u64);

impl KeyHash {
    /// For tables in memory.
    pub(super) fn bits(self) -> u64 {
        self.0
    }
}

/// Hashes keys. The hash key is secret, so that nobody who chooses external ids can choose ones
/// that collide.
#[derive(Clone)]
pub(super) struct KeyHasher {
    sip: SipHasher13,
    /// Bits that are kept: all, but in tests of collisions.
    mask: u64,
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHasher(..)")
    }
}

impl KeyHasher {
    /// A hasher by a random key, which stays the same as long as the runs do.
    pub(super) fn new(key: &[u8; 16]) -> Self {
        Self { sip: SipHasher13::new_with_key(key), mask: u64::MAX }
    }

    /// One that keeps only the first bits, and so makes collisions.
    #[cfg(test)]
    fn truncated(key: &[u8; 16], bits: u32) -> Self {
        Self { mask: u64::MAX << (64 - bits), ..Self::new(key) }
    }

    /// SipHash-1-3 of the organization's id and the external id.
    pub(super) fn hash(&self, organization: OrganizationId, external_id: &[u8]) -> KeyHash {
        let mut sip = self.sip;
        sip.write(organization.0.as_bytes());
        sip.write(external_id);
        KeyHash(sip.finish() & self.mask)
    }

    /// A value that tells keys apart, and nothing of them: runs of another key are useless.
    fn check(&self) -> u64 {
        self.sip.hash(b"Floe deduplication key check")
    }
}

/// Collects the keys of a range of events; added to an index, they become a run.
#[derive(Debug)]
pub(super) struct RunBuilder {
    range: Range<u64>,
    entries: Vec<(u64, u64)>,
}

impl RunBuilder {
    /// For the events of a range, which must not be empty. A key takes 16 bytes of memory: a
    /// million are well, more are better several runs.
    ///
    /// # Panics
    ///
    /// If the range is empty or spans more than 2^32 sequence numbers.
    pub(super) fn new(range: Range<Sequence>) -> Self {
        let range = range.start.0..range.end.0;
        assert!(!range.is_empty(), "a run covers events");
        assert!(range.end - range.start <= RUN_SEQUENCES_MAX, "a run spans at most 2^32 events");
        Self { range, entries: Vec::new() }
    }

    /// Adds the key of an event, in any order. Events without external id have none.
    ///
    /// # Panics
    ///
    /// If the event is not of the range.
    pub(super) fn add(&mut self, hash: KeyHash, sequence: Sequence) {
        assert!(self.range.contains(&sequence.0), "an event is of the range that its run covers");
        self.entries.push((hash.0, sequence.0));
    }
}

/// A run as readers see it.
#[derive(Clone, Debug)]
struct LiveRun {
    run: Arc<Run>,
    /// The hashes that are looked up here: all, but for a moment after a merge, when some are
    /// looked up in the merged runs and some in their successor.
    hashes: RangeInclusive<u64>,
    /// For each group its filter. Without one, entries are looked up unfiltered.
    filters: Vec<Option<Filter>>,
}

impl LiveRun {
    /// A run with all of its filters.
    fn load(run: Run) -> Result<Self> {
        let filters = (0..run.groups()).map(|group| run.load_filter(group).map(Some));
        let filters = filters.collect::<Result<_>>()?;
        Ok(Self { run: Arc::new(run), hashes: 0..=u64::MAX, filters })
    }

    fn passes(&self, KeyHash(hash): KeyHash, may_hold: impl Fn(&Filter, u64, u64) -> bool) -> bool {
        let (group, rest) = part(hash, self.filters.len());
        let passes = |filter: &Option<Filter>| {
            filter.as_ref().is_none_or(|filter| may_hold(filter, hash, rest))
        };
        self.hashes.contains(&hash) && self.filters.get(group).is_some_and(passes)
    }

    fn may_hold(&self, hash: KeyHash) -> bool {
        self.passes(hash, Filter::may_hold)
    }

    fn may_hold_at_a_glance(&self, hash: KeyHash) -> bool {
        self.passes(hash, Filter::may_hold_at_a_glance)
    }

    fn filter_bytes(&self) -> usize {
        let filters = self.filters.iter().flatten();
        filters.map(Filter::memory_bytes).sum::<usize>() + size_of_val(&*self.filters)
    }
}

/// What readers see.
#[derive(Clone, Debug, Default)]
struct Live {
    /// In order of the events that they cover.
    runs: Vec<Arc<LiveRun>>,
    /// Events that a run covered, or was to cover, that is damaged or missing. As long as there
    /// are any, no answer is exact, so none is given.
    gaps: Vec<Range<u64>>,
}

impl Live {
    /// Takes a run in, and its events out of the gaps.
    fn push(&mut self, live: LiveRun) {
        let run = &live.run.range;
        let rest =
            |gap: &Range<u64>| [gap.start..gap.end.min(run.start), gap.start.max(run.end)..gap.end];
        let rests = self.gaps.iter().flat_map(rest);
        self.gaps = rests.filter(|gap| !gap.is_empty()).collect();
        self.runs.push(Arc::new(live));
        self.runs.sort_by_key(|live| live.run.range.start);
    }
}

/// The index of all sealed events' external ids.
#[derive(Debug)]
pub(super) struct DedupIndex {
    fs: Arc<dyn Fs>,
    folder: PathBuf,
    hasher: KeyHasher,
    /// Held during a merge: there is one at a time.
    merging: Mutex<()>,
    /// Held during a repair: whoever meets the same damage waits for it.
    repairing: Mutex<()>,
    /// Held while files of runs come or go: for a fraction of a second.
    changing: Mutex<()>,
    live: RwLock<Arc<Live>>,
}

/// What opening an index found.
#[derive(Debug)]
pub(super) struct OpenedIndex {
    pub(super) index: DedupIndex,
    /// Sealed events that no run covers, in order. Nothing is looked up before they are rebuilt.
    pub(super) missing: Vec<Range<Sequence>>,
    /// What was wrong with runs that were there; they are deleted.
    pub(super) damaged: Vec<BlockError>,
}

/// Runs to merge. It does not hold their filters: these go before the plan does.
#[derive(Debug)]
pub(super) struct MergePlan {
    runs: Vec<Arc<Run>>,
}

impl MergePlan {
    fn holds(&self, live: &LiveRun) -> bool {
        self.runs.iter().any(|run| Arc::ptr_eq(run, &live.run))
    }

    /// How many runs, and how many keys in all.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.runs.len(), self.runs.iter().map(|run| run.keys).sum())
    }
}

/// What an index holds and takes; while runs are merged, partly for both these and their successor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DedupStats {
    pub(super) runs: usize,
    pub(super) keys: u64,
    pub(super) disk_bytes: u64,
    /// Filters, fences and tables; blocks are the cache's.
    pub(super) memory_bytes: usize,
}

impl DedupIndex {
    /// Opens the runs in a folder, which must be there, that cover the events before `sealed_end`;
    /// deletes all other runs. `hasher` is the one that they were made with.
    ///
    /// # Errors
    ///
    /// The disk's. Damaged runs are no error here: they are deleted and count as missing.
    pub(super) fn open(
        fs: Arc<dyn Fs>,
        folder: &Path,
        hasher: KeyHasher,
        sealed_end: Sequence,
    ) -> Result<OpenedIndex> {
        let names = fs.list(folder).map_err(BlockError::io("list", folder))?;
        let mut runs: Vec<Range<u64>> = names.iter().filter_map(|name| range_of(name)).collect();
        let all = runs.clone();
        let mut opened: BTreeMap<u64, LiveRun> = BTreeMap::new();
        let mut damaged = Vec::new();
        let chosen = loop {
            let chosen = cover(&runs, sealed_end.0);
            // A run of another choice holds memory that this one may need.
            opened.retain(|_, live| chosen.contains(&live.run.range));
            let faulty = chosen.iter().find_map(|range| {
                if opened.contains_key(&range.start) {
                    return None;
                }
                let path = folder.join(run_name(range));
                match Run::open(&*fs, &path, range, hasher.check()).and_then(LiveRun::load) {
                    Ok(live) => {
                        opened.insert(range.start, live);
                        None
                    }
                    Err(error) => Some((range.clone(), error)),
                }
            });
            match faulty {
                None => break chosen,
                Some((_, error @ BlockError::Io { .. })) => return Err(error),
                Some((range, error)) => {
                    damaged.push(error);
                    runs.retain(|run| *run != range);
                }
            }
        };
        let left = all.iter().filter(|range| !chosen.contains(range)).map(run_name);
        let unfinished = names.into_iter().filter(|name| {
            name.strip_suffix(UNFINISHED_SUFFIX).is_some_and(|name| range_of(name).is_some())
        });
        for name in left.chain(unfinished) {
            let path = folder.join(name);
            fs.remove(&path).map_err(BlockError::io("remove", &path))?;
        }
        let runs = opened.into_values().map(Arc::new).collect();
        let index = Self {
            fs,
            folder: folder.to_owned(),
            hasher,
            merging: Mutex::new(()),
            repairing: Mutex::new(()),
            changing: Mutex::new(()),
            live: RwLock::new(Arc::new(Live { runs, gaps: Vec::new() })),
        };
        let missing = index.missing(sealed_end);
        index.change(|live| {
            live.gaps = missing.iter().map(|range| range.start.0..range.end.0).collect();
        });
        Ok(OpenedIndex { index, missing, damaged })
    }

    pub(super) fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What readers see, if it is all that there is.
    fn live_without_gaps(&self) -> Result<Arc<Live>> {
        let live = self.live();
        match live.gaps.first() {
            None => Ok(live),
            Some(gap) => {
                let path = self.folder.join(run_name(gap));
                Err(BlockError::damaged(&path, "it is missing, or is being built again"))
            }
        }
    }

    /// Changes what readers see, at once.
    fn change(&self, change: impl FnOnce(&mut Live)) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Live::clone(&live);
        change(&mut changed);
        *live = Arc::new(changed);
    }

    /// All sealed events whose external id has this hash, oldest first: nearly always none, or
    /// the one that has the key.
    ///
    /// # Errors
    ///
    /// If a run is damaged or missing ([`DedupIndex::repair`] it) or the disk fails.
    pub(super) fn candidates(&self, hash: KeyHash, cache: &BlockCache) -> Result<Vec<Sequence>> {
        let mut found = Vec::new();
        let live = self.live_without_gaps()?;
        for live in live.runs.iter().filter(|live| live.may_hold(hash)) {
            live.run.find(hash.0, cache, |sequence| found.push(sequence))?;
        }
        Ok(found)
    }

    /// [`DedupIndex::candidates`] of many keys: places in `hashes` and sequences, in order. Faster
    /// than one by one, as the processor waits for the memory behind several filters at once.
    ///
    /// # Errors
    ///
    /// As [`DedupIndex::candidates`].
    pub(super) fn candidates_of_all(
        &self,
        hashes: &[KeyHash],
        cache: &BlockCache,
    ) -> Result<Vec<(usize, Sequence)>> {
        let mut found = Vec::new();
        let mut passed = vec![0; hashes.len()];
        for live in &self.live_without_gaps()?.runs {
            let mut count = 0;
            for (index, hash) in hashes.iter().enumerate() {
                // Without a branch, so that the next key does not wait for this one's memory.
                passed[count] = index;
                count += usize::from(live.may_hold_at_a_glance(*hash));
            }
            for &index in &passed[..count] {
                if live.may_hold(hashes[index]) {
                    live.run
                        .find(hashes[index].0, cache, |found_at| found.push((index, found_at)))?;
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Events before `sealed_end` that no run covers, in order.
    pub(super) fn missing(&self, sealed_end: Sequence) -> Vec<Range<Sequence>> {
        let mut missing = Vec::new();
        let mut covered = 0;
        let end = (sealed_end.0, sealed_end.0);
        let live = self.live();
        let runs = live.runs.iter().map(|live| (live.run.range.start, live.run.range.end));
        for (first, end) in runs.chain([end]) {
            let first = first.min(sealed_end.0);
            if covered < first {
                missing.push(Sequence(covered)..Sequence(first));
            }
            covered = covered.max(end);
        }
        missing
    }

    /// Makes a run of what was collected, durably, and shows it to readers.
    ///
    /// # Errors
    ///
    /// The disk's; there is no such run then.
    ///
    /// # Panics
    ///
    /// If a run covers some of its events already.
    pub(super) fn add(&self, builder: RunBuilder) -> Result<()> {
        let RunBuilder { range, mut entries } = builder;
        entries.sort_unstable();
        let _changing = lock(&self.changing);
        let overlaps = |run: &Range<u64>| run.start < range.end && range.start < run.end;
        assert!(
            !self.live().runs.iter().any(|live| overlaps(&live.run.range)),
            "an event is covered by one run"
        );
        let path = self.folder.join(run_name(&range));
        let keys = entries.len() as u64;
        let mut writer = RunWriter::create(&self.fs, &path, &range, keys, self.hasher.check())?;
        for (hash, sequence) in entries {
            writer.push(hash, sequence)?;
        }
        writer.finish()?;
        let live = LiveRun::load(Run::open(&*self.fs, &path, &range, self.hasher.check())?)?;
        self.change(|all| all.push(live));
        Ok(())
    }

    /// The runs to merge next, if any.
    ///
    /// Merged until it gives none, each run has more keys than all newer ones together. So there
    /// are at most log2(all keys / keys of the newest) + 1 runs, on average about half as many,
    /// and a key is rewritten about as often: for 100 million keys in runs of 300,000 at most 8
    /// runs, on average 4, and 4.2 times.
    pub(super) fn plan_merge(&self) -> Option<MergePlan> {
        let live = self.live();
        let sizes: Vec<_> =
            live.runs.iter().map(|live| (live.run.range.clone(), live.run.keys)).collect();
        let window = live.runs.get(merge_window(&sizes)?)?;
        Some(MergePlan { runs: window.iter().map(|live| Arc::clone(&live.run)).collect() })
    }

    /// Merges runs into one; readers and writers go on meanwhile. Takes memory for buffers of the
    /// runs, and a second of the processor for some twenty million keys. Whether it did so: not if `stop` was set, or
    /// runs of the plan are gone.
    ///
    /// # Errors
    ///
    /// If a run is damaged ([`DedupIndex::repair`] it) or the disk fails. The index is as exact as
    /// before then.
    pub(super) fn merge(&self, plan: &MergePlan, stop: &AtomicBool) -> Result<bool> {
        let (Some(first), Some(last)) = (plan.runs.first(), plan.runs.last()) else {
            return Ok(false);
        };
        let _merging = lock(&self.merging);
        // Others may have merged in between.
        if !self.has_all(plan) {
            return Ok(false);
        }
        let range = first.range.start..last.range.end;
        let path = self.folder.join(run_name(&range));
        let Some(writer) = self.write_merged(plan, &range, &path, stop)? else {
            return Ok(false);
        };
        let _changing = lock(&self.changing);
        // Repaired runs may have come in between, and a file of the new name be in use.
        if !self.has_all(plan) {
            return Ok(false);
        }
        writer.finish()?;
        let run = Run::open(&*self.fs, &path, &range, self.hasher.check())?;
        if let Err(error) = self.hand_over(plan, Arc::new(run)) {
            // If it stays, then the next merge replaces it, or the next start uses it.
            drop(self.remove(&path));
            return Err(error);
        }
        // IMPORTANT: only now, when the successor is durable and all readers to come use it.
        for run in &plan.runs {
            self.remove(run.file.path())?;
        }
        Ok(true)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.fs.remove(path).map_err(BlockError::io("remove", path))
    }

    fn has_all(&self, plan: &MergePlan) -> bool {
        let live = self.live();
        live.runs.iter().filter(|live| plan.holds(live)).count() == plan.runs.len()
    }

    /// Writes the successor of runs, but for its end; nothing if it was stopped.
    fn write_merged(
        &self,
        plan: &MergePlan,
        range: &Range<u64>,
        path: &Path,
        stop: &AtomicBool,
    ) -> Result<Option<RunWriter>> {
        let (_, keys) = plan.size();
        let mut writer = RunWriter::create(&self.fs, path, range, keys, self.hasher.check())?;
        let mut cursors: Vec<Cursor<'_>> = plan.runs.iter().map(|run| Cursor::new(run)).collect();
        let mut heap = BinaryHeap::with_capacity(cursors.len());
        for (index, cursor) in cursors.iter_mut().enumerate() {
            heap.extend(cursor.next()?.map(|entry| Reverse((entry, index))));
        }
        let mut count = 0_u64;
        while let Some(mut least) = heap.peek_mut() {
            let Reverse(((hash, sequence), index)) = *least;
            writer.push(hash, sequence)?;
            match cursors[index].next()? {
                Some(next) => *least = Reverse((next, index)),
                None => drop(PeekMut::pop(least)),
            }
            count += 1;
            if count.is_multiple_of(STOP_ENTRIES) && stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        assert_eq!(count, keys, "a run has as many entries as it says");
        Ok(Some(writer))
    }

    /// Puts the successor of merged runs in their place.
    ///
    /// It goes by parts of the hashes, a part's filters in against a part's filters out, so that
    /// filters never take much more memory than before or after. Every hash is looked up in
    /// exactly one of both at any moment.
    fn hand_over(&self, plan: &MergePlan, successor: Arc<Run>) -> Result<()> {
        let groups = successor.groups();
        let mut filters = vec![None; groups];
        for first in (0..groups).step_by(HANDOVER_GROUPS) {
            let end = groups.min(first + HANDOVER_GROUPS);
            for (group, filter) in (first..end).zip(&mut filters[first..end]) {
                match successor.load_filter(group) {
                    Ok(loaded) => *filter = Some(loaded),
                    Err(error) => {
                        self.take_back(plan, &successor);
                        return Err(error);
                    }
                }
            }
            // The hashes from here on are still looked up in the merged runs.
            let rest = (end < groups).then(|| part_start(end, groups));
            let successor = LiveRun {
                run: Arc::clone(&successor),
                hashes: 0..=rest.map_or(u64::MAX, |rest| rest - 1),
                filters: filters.clone(),
            };
            self.change(|live| {
                live.runs.retain(|live| !Arc::ptr_eq(&live.run, &successor.run));
                match rest {
                    None => live.runs.retain(|live| !plan.holds(live)),
                    Some(rest) => {
                        live.runs.iter_mut().filter(|live| plan.holds(live)).for_each(|live| {
                            let mut old = LiveRun::clone(live);
                            old.hashes = rest..=u64::MAX;
                            let (unused, _) = part(rest, old.filters.len());
                            old.filters[..unused].fill(None);
                            *live = Arc::new(old);
                        })
                    }
                }
                live.push(successor);
            });
        }
        Ok(())
    }

    /// Lets readers use the merged runs alone again. Filters that are gone stay so: lookups are as
    /// exact without, only slower.
    fn take_back(&self, plan: &MergePlan, successor: &Arc<Run>) {
        self.change(|live| {
            live.runs.retain(|live| !Arc::ptr_eq(&live.run, successor));
            for live in live.runs.iter_mut().filter(|live| plan.holds(live)) {
                *live = Arc::new(LiveRun { hashes: 0..=u64::MAX, ..LiveRun::clone(live) });
            }
        });
    }

    /// Deletes the run that an error names, if it is damaged indeed, and has `rebuild`
    /// [add](DedupIndex::add) runs for the ranges that are not covered. Until it did so, nothing
    /// can be looked up; threads that meet the same damage, and call this too, wait here, and then
    /// find it repaired.
    ///
    /// # Errors
    ///
    /// The one that is given, if it is the disk's: then nothing is known to be damaged. The disk's
    /// and those of `rebuild`: nothing can be looked up then, and the next call tries again.
    pub(super) fn repair<E: From<BlockError>>(
        &self,
        error: BlockError,
        mut rebuild: impl FnMut(Range<Sequence>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        if let BlockError::Io { .. } = error {
            return Err(error.into());
        }
        let _repairing = lock(&self.repairing);
        self.discard(&error)?;
        for gap in &self.live().gaps {
            rebuild(Sequence(gap.start)..Sequence(gap.end))?;
        }
        Ok(())
    }

    /// Removes the run that an error names, if it is there and damaged, and leaves a gap.
    fn discard(&self, error: &BlockError) -> Result<()> {
        let live = self.live();
        let named = live.runs.iter().find(|live| error.is_of(live.run.file.path()));
        let Some(LiveRun { run, .. }) = named.map(|named| &**named) else { return Ok(()) };
        // The error may be of an earlier file of this name, which another thread has replaced.
        match run.verify() {
            Ok(()) => return Ok(()),
            Err(error @ BlockError::Io { .. }) => return Err(error),
            Err(_) => {}
        }
        let _changing = lock(&self.changing);
        let mut was_there = false;
        self.change(|live| {
            let runs = live.runs.len();
            live.runs.retain(|live| !Arc::ptr_eq(&live.run, run));
            was_there = live.runs.len() < runs;
            if was_there {
                live.gaps.push(run.range.clone());
            }
        });
        // Else a merge came first, and made nothing of it that is damaged.
        if was_there { self.remove(run.file.path()) } else { Ok(()) }
    }

    /// Reads all runs and checks them; gives what is wrong with those that are damaged. Calls
    /// `progress` with the bytes of each run that is done.
    #[cfg(test)]
    pub(super) fn verify(&self, mut progress: impl FnMut(u64)) -> Vec<BlockError> {
        let mut errors = Vec::new();
        for live in &self.live().runs {
            errors.extend(live.run.verify().err());
            progress(live.run.file.file_bytes());
        }
        errors
    }

    pub(super) fn stats(&self) -> DedupStats {
        let mut stats = DedupStats::default();
        for live in &self.live().runs {
            stats.runs += 1;
            stats.keys += live.run.keys;
            stats.disk_bytes += live.run.file.file_bytes();
            stats.memory_bytes += live.run.memory_bytes() + live.filter_bytes();
        }
        stats
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Chooses runs, none overlapping, so that as few as possible of the events before `end` are not
/// covered, and then as few runs as possible.
fn cover(runs: &[Range<u64>], end: u64) -> Vec<Range<u64>> {
    #[derive(Clone)]
    struct Way<'a> {
        /// Events not covered, and runs, up to here.
        cost: (u64, usize),
        /// The last run, if the way does not come over a gap, and where it comes from.
        run: Option<&'a Range<u64>>,
        from: u64,
    }
    // The best way to each place where a run begins or ends.
    let usable = || runs.iter().filter(|run| !run.is_empty() && run.end <= end);
    let places = usable().flat_map(|run| [run.start, run.end]).chain([0, end]);
    let mut ways: BTreeMap<u64, Option<Way<'_>>> = places.map(|place| (place, None)).collect();
    let mut from: BTreeMap<u64, Vec<&Range<u64>>> = BTreeMap::new();
    usable().for_each(|run| from.entry(run.start).or_default().push(run));
    let places: Vec<u64> = ways.keys().copied().collect();
    for (index, &place) in places.iter().enumerate() {
        let cost = ways[&place].as_ref().map_or((0, 0), |way| way.cost);
        let gap = places.get(index + 1).map(|next| (*next, (cost.0 + next - place, cost.1), None));
        let runs = from.get(&place).into_iter().flatten();
        let runs = runs.map(|run| (run.end, (cost.0, cost.1 + 1), Some(*run)));
        for (to, cost, run) in runs.chain(gap) {
            let way = ways.entry(to).or_default();
            if way.as_ref().is_none_or(|way| cost < way.cost) {
                *way = Some(Way { cost, run, from: place });
            }
        }
    }
    let mut chosen = Vec::new();
    let mut place = end;
    while let Some(way) = ways.get(&place).cloned().flatten() {
        chosen.extend(way.run.cloned());
        place = way.from;
    }
    chosen.reverse();
    chosen
}

/// Which of adjacent runs, given by their ranges and keys, to merge: from the oldest that has not
/// more keys than all newer ones together.
fn merge_window(runs: &[(Range<u64>, u64)]) -> Option<Range<usize>> {
    (0..runs.len()).find_map(|first| {
        let (range, keys) = &runs[first];
        // As many as fit, and are adjacent: what is damaged may be missing in between.
        let mut end = range.end;
        let newer = runs[first + 1..].iter().take(MERGE_RUNS_MAX - 1).take_while(|(next, _)| {
            let fits = next.start == end && next.end - range.start <= RUN_SEQUENCES_MAX;
            end = next.end;
            fits
        });
        let newer: Vec<u64> = newer.map(|(_, keys)| *keys).collect();
        (!newer.is_empty() && newer.iter().sum::<u64>() >= *keys)
            .then(|| first..first + 1 + newer.len())
    })
}
