//! Looking at runs without changing anything, for `floe verify` and `floe stats`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use floe_core::Sequence;
use siphasher::sip128::SipHasher13;

use super::run::{Cursor, Run, range_of, run_name};
use super::{DedupStats, KeyHash, KeyHasher, UNFINISHED_SUFFIX, cover};
use crate::embedded::blocks::{BlockError, Result};
use crate::embedded::fs::Fs;

/// The runs of a folder that an index would use, and all else that is there.
#[derive(Debug)]
pub(in super::super) struct ExaminedRuns {
    /// In order of the events that they cover.
    runs: Vec<Run>,
    /// Files that the next start removes.
    pub(in super::super) unused: Vec<PathBuf>,
    /// What is wrong with runs that cannot be used.
    pub(in super::super) damaged: Vec<BlockError>,
}

/// A set of keys with their events, told by its size and a sum of hashes: two sets are the same if
/// these are, but for one chance in 2^128.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct KeySet {
    pub(in super::super) keys: u64,
    sum: u128,
}

impl KeySet {
    /// Adds a key.
    pub(in super::super) fn add(&mut self, KeyHash(hash): KeyHash, sequence: Sequence) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&hash.to_le_bytes());
        bytes[8..].copy_from_slice(&sequence.0.to_le_bytes());
        self.keys += 1;
        self.sum = self.sum.wrapping_add(SipHasher13::new().hash(&bytes).as_u128());
    }
}

impl ExaminedRuns {
    /// Looks at the runs in a folder that cover the events before `sealed_end`.
    ///
    /// # Errors
    ///
    /// The disk's. Damaged runs are no error here.
    pub(in super::super) fn read(
        fs: &dyn Fs,
        folder: &Path,
        hasher: &KeyHasher,
        sealed_end: Sequence,
    ) -> Result<Self> {
        let names = fs.list(folder).map_err(BlockError::io("list", folder))?;
        let mut ranges: Vec<Range<u64>> = names.iter().filter_map(|name| range_of(name)).collect();
        let all = ranges.clone();
        let mut damaged = Vec::new();
        let mut faulty: Vec<Range<u64>> = Vec::new();
        let runs = loop {
            let chosen = cover(&ranges, sealed_end.0);
            let mut runs = Vec::new();
            let before = faulty.len();
            for range in &chosen {
                let path = folder.join(run_name(range));
                match Run::open(fs, &path, range, hasher.check()) {
                    Ok(run) => runs.push(run),
                    Err(error) => {
                        damaged.push(error);
                        faulty.push(range.clone());
                    }
                }
            }
            if faulty.len() == before {
                break runs;
            }
            ranges.retain(|range| !faulty.contains(range));
        };
        let is_used = |range: &Range<u64>| runs.iter().any(|run| run.range == *range);
        let left = all.iter().filter(|range| !is_used(range) && !faulty.contains(range));
        let unfinished = names.iter().filter(|name| {
            name.strip_suffix(UNFINISHED_SUFFIX).is_some_and(|name| range_of(name).is_some())
        });
        let unused = left.map(run_name).chain(unfinished.cloned());
        let unused = unused.map(|name| folder.join(name)).collect();
        Ok(Self { runs, unused, damaged })
    }

    /// Reads all runs and checks them; those that are damaged are used no further. Calls `progress`
    /// with the bytes of each run that is done.
    pub(in super::super) fn verify(&mut self, mut progress: impl FnMut(u64)) {
        let damaged = &mut self.damaged;
        self.runs.retain(|run| {
            let checked = run.verify();
            progress(run.file.file_bytes());
            let is_whole = checked.is_ok();
            damaged.extend(checked.err());
            is_whole
        });
    }

    /// What the runs hold and take once they are loaded.
    pub(in super::super) fn stats(&self) -> DedupStats {
        let mut stats = DedupStats::default();
        for run in &self.runs {
            stats.runs += 1;
            stats.keys += run.keys;
            stats.disk_bytes += run.file.file_bytes();
            stats.memory_bytes += run.memory_bytes() + run.filter_bytes();
        }
        stats
    }

    /// The ranges of events that are covered, in order, with their files.
    pub(in super::super) fn ranges(&self) -> Vec<(Range<u64>, PathBuf)> {
        self.runs.iter().map(|run| (run.range.clone(), run.file.path().to_owned())).collect()
    }

    /// The keys of each run.
    pub(in super::super) fn key_sets(&self) -> Result<Vec<KeySet>> {
        let of = |run: &Run| {
            let mut set = KeySet::default();
            let mut cursor = Cursor::new(run);
            while let Some((hash, sequence)) = cursor.next()? {
                set.add(KeyHash(hash), Sequence(sequence));
            }
            Ok(set)
        };
        self.runs.iter().map(of).collect()
    }

    /// Hands over the events of each hash that more than one has, in the runs and in `more`, which
    /// is sorted.
    pub(in super::super) fn repeated(
        &self,
        more: &[(KeyHash, Sequence)],
        mut found: impl FnMut(&[Sequence]),
    ) -> Result<()> {
        let mut cursors: Vec<Cursor<'_>> = self.runs.iter().map(Cursor::new).collect();
        let mut more = more.iter().map(|(hash, sequence)| (hash.0, sequence.0));
        let mut heap = BinaryHeap::new();
        let mut next = |index: usize| match cursors.get_mut(index) {
            Some(cursor) => cursor.next(),
            None => Ok(more.next()),
        };
        for index in 0..=self.runs.len() {
            heap.extend(next(index)?.map(|entry| Reverse((entry, index))));
        }
        let mut last = None;
        let mut same: Vec<Sequence> = Vec::new();
        while let Some(Reverse(((hash, sequence), index))) = heap.pop() {
            if last != Some(hash) {
                if same.len() > 1 {
                    found(&same);
                }
                same.clear();
                last = Some(hash);
            }
            same.push(Sequence(sequence));
            heap.extend(next(index)?.map(|entry| Reverse((entry, index))));
        }
        if same.len() > 1 {
            found(&same);
        }
        Ok(())
    }
}
