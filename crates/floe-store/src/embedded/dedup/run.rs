//! A run: the hashes of a range of events in an immutable file, with filters of them.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use floe_core::Sequence;

use crate::embedded::blocks::{
    BlockCache, BlockError, BlockFile, BlockReader, BlockWriter, Durability, Result,
};
use crate::embedded::fs::Fs;

const KIND: [u8; 4] = *b"DDUP";
/// The version of a run that is written and read.
const RUN_VERSION: u32 = 1;
const RUN_HEADER_BYTES: usize = 48;
/// Keys are looked up all over a run, and a lookup reads a whole block to check it: 4 KiB are read
/// nearly twice as fast as 16.
const BLOCK_BYTES: usize = 4096;
/// An entry: hash (8), sequence relative to the run's first (4).
const ENTRY_BYTES: usize = 12;
/// Entries never lie across two blocks.
const BLOCK_ENTRIES: usize = BLOCK_BYTES / ENTRY_BYTES;
const GROUP_RECORD_BYTES: usize = 16;
const FENCE_BYTES: usize = 8;

/// Keys of a group, about. A group's filter is one allocation, built while a run is written and
/// replaced by itself when runs are merged. Fewer in tests, so that small runs have several groups.
const GROUP_KEYS: u64 = if cfg!(test) { 1 << 12 } else { 1 << 18 };
/// Bits of filter for a key. Of the keys that a run does not hold, 0.42 % pass its filter, and cost
/// reading a block; with 10 bits it were 1.05 %.
const FILTER_KEY_BITS: u64 = 12;
/// Bits of filter for a key in a run of up to [`SMALL_RUN_KEYS`] keys: 0.09 % pass. Every run is
/// asked for every key, but those that are small take next to no memory.
const SMALL_RUN_FILTER_KEY_BITS: u64 = 16;
/// See [`SMALL_RUN_FILTER_KEY_BITS`]. Fewer in tests, which have none but small runs.
const SMALL_RUN_KEYS: u64 = if cfg!(test) { 1 << 14 } else { 1 << 23 };
/// The most sequence numbers that a run spans: an entry has 4 bytes for its own.
pub(super) const RUN_SEQUENCES_MAX: u64 = 1 << 32;

/// Divides the hashes into `count` equal parts: which part a hash is in, and where in it (as a
/// fraction of 2^64). Monotone; needs no division and no power of two.
pub(super) fn part(hash: u64, count: usize) -> (usize, u64) {
    let product = u128::from(hash) * count as u128;
    #[expect(clippy::cast_possible_truncation, reason = "it is less than `count`")]
    let index = (product >> 64) as usize;
    (index, hash.wrapping_mul(count as u64))
}

/// The first hash of a part.
pub(super) fn part_start(index: usize, count: usize) -> u64 {
    let start = ((index as u128) << 64).div_ceil(count.max(1) as u128);
    u64::try_from(start).unwrap_or(u64::MAX)
}

/// Sixty-four bytes of a filter: one cache line, the only one that a key has bits in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
struct FilterBlock([u64; FilterBlock::WORDS]);

impl FilterBlock {
    const WORDS: usize = 8;
    const BYTES: usize = 64;

    /// The bit of a key in a word. They are 48 bits of the hash, mixed anew: its own first bits are
    /// nearly the same for all keys of a block.
    fn mask(hash: u64, word: usize) -> u64 {
        let mixed = (hash ^ hash >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        1 << (mixed >> (58 - 6 * word) & 63)
    }

    fn insert(&mut self, hash: u64) {
        for (word, bits) in self.0.iter_mut().enumerate() {
            *bits |= Self::mask(hash, word);
        }
    }

    fn may_hold(&self, hash: u64) -> bool {
        // Without branches: each of the eight would be a guess of the processor.
        let words = self.0.iter().enumerate();
        words.fold(0, |lacking, (word, bits)| lacking | !bits & Self::mask(hash, word)) == 0
    }

    fn may_hold_at_a_glance(&self, hash: u64) -> bool {
        self.0[0] & Self::mask(hash, 0) != 0
    }
}

/// A split-block Bloom filter of a group's keys.
#[derive(Clone)]
pub(super) struct Filter(Arc<[FilterBlock]>);

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({} blocks)", self.0.len())
    }
}

impl Filter {
    fn empty(blocks: usize) -> Self {
        Self(std::iter::repeat_n(FilterBlock::default(), blocks).collect())
    }

    fn block(&self, rest: u64) -> Option<&FilterBlock> {
        self.0.get(part(rest, self.0.len()).0)
    }

    /// Whether a key may be in the group; if not, then it is not. `rest` is where the hash lies in
    /// the group, see [`part`].
    pub(super) fn may_hold(&self, hash: u64, rest: u64) -> bool {
        self.block(rest).is_some_and(|block| block.may_hold(hash))
    }

    /// [`Filter::may_hold`] by one bit of eight: half of the keys pass. It has so few instructions
    /// that the processor waits for the memory of many keys at once.
    pub(super) fn may_hold_at_a_glance(&self, hash: u64, rest: u64) -> bool {
        self.block(rest).is_some_and(|block| block.may_hold_at_a_glance(hash))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// The filter's blocks for keys of a group of a run.
    fn blocks_for(keys: usize, run_keys: u64) -> usize {
        let key_bits =
            if run_keys <= SMALL_RUN_KEYS { SMALL_RUN_FILTER_KEY_BITS } else { FILTER_KEY_BITS };
        let blocks = (keys as u64 * key_bits).div_ceil(FilterBlock::BYTES as u64 * 8);
        usize::try_from(blocks).unwrap_or(usize::MAX)
    }
}

/// Where a group's entries and filter stand. The group is one of equal parts of all hashes.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// Offset of the entries: the start of a block.
    entries_at: u64,
    keys: u32,
    filter_blocks: u32,
    /// Place of the group's first fence among all.
    first_fence: usize,
}

impl Group {
    fn entry_blocks(&self) -> usize {
        (self.keys as usize).div_ceil(BLOCK_ENTRIES)
    }

    /// Entries in one of its blocks.
    fn entries_in(&self, block: usize) -> usize {
        (self.keys as usize).saturating_sub(block * BLOCK_ENTRIES).min(BLOCK_ENTRIES)
    }

    /// Bytes of entries, with the four zeros behind each full block.
    fn entry_bytes(&self) -> u64 {
        let keys = self.keys as usize;
        (keys / BLOCK_ENTRIES * BLOCK_BYTES + keys % BLOCK_ENTRIES * ENTRY_BYTES) as u64
    }

    /// Where its filter stands in the body.
    fn filter(&self) -> Range<u64> {
        let bytes = FilterBlock::BYTES as u64;
        let start = (self.entries_at + self.entry_bytes()).next_multiple_of(bytes);
        start..start + u64::from(self.filter_blocks) * bytes
    }
}

/// What stands in front of everything, in the block file's header.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RunHeader {
    groups: u32,
    range: Range<u64>,
    keys: u64,
    key_check: u64,
    /// Offset of the records of groups, behind which the fences stand.
    index_at: u64,
}

impl RunHeader {
    fn encode(&self) -> [u8; RUN_HEADER_BYTES] {
        let mut bytes = [0; RUN_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&RUN_VERSION.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.groups.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.range.start.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.range.end.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.keys.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.key_check.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.index_at.to_le_bytes());
        bytes
    }

    /// Nothing if the bytes are of another version.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; RUN_HEADER_BYTES] = bytes.try_into().ok()?;
        (u32_at(bytes, 0) == RUN_VERSION).then(|| Self {
            groups: u32_at(bytes, 4),
            range: u64_at(bytes, 8)..u64_at(bytes, 16),
            keys: u64_at(bytes, 24),
            key_check: u64_at(bytes, 32),
            index_at: u64_at(bytes, 40),
        })
    }
}

/// The integer at `at`, which lies within `bytes`.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(array)
}

/// The integer at `at`, which lies within `bytes`.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(array)
}

/// Hash and relative sequence of an entry of a block.
fn entry(block: &[u8], index: usize) -> (u64, u32) {
    (u64_at(block, index * ENTRY_BYTES), u32_at(block, index * ENTRY_BYTES + 8))
}

pub(super) fn run_name(range: &Range<u64>) -> String {
    format!("{:012}-{:012}.run", range.start, range.end)
}

/// The range that a file's name tells, if it is one of a run.
pub(super) fn range_of(name: &str) -> Option<Range<u64>> {
    let (first, end) = name.strip_suffix(".run")?.split_once('-')?;
    let range = first.parse().ok()?..end.parse().ok()?;
    (!range.is_empty() && run_name(&range) == name).then_some(range)
}

/// An open run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) file: BlockFile,
    /// The sequence numbers that it covers.
    pub(super) range: Range<u64>,
    pub(super) keys: u64,
    groups: Box<[Group]>,
    /// The first hash of each block of entries, in order of groups.
    fences: Box<[u64]>,
}

impl Run {
    /// Opens a run; reads all but its entries and filters.
    pub(super) fn open(
        fs: &dyn Fs,
        path: &Path,
        range: &Range<u64>,
        key_check: u64,
    ) -> Result<Self> {
        let file = BlockFile::open(fs, path, KIND)?;
        let damaged = |why: &str| Err(BlockError::damaged(path, why));
        let Some(header) = RunHeader::decode(file.owner_header()) else {
            return damaged("its header is not that of a run of version 1");
        };
        if file.block_bytes() != BLOCK_BYTES {
            return damaged("its blocks have not the size of a run's");
        }
        if header.range != *range {
            return damaged("it covers another range than its name says");
        }
        if header.key_check != key_check {
            return damaged("it was made with another hash key");
        }
        let mut index = Vec::new();
        file.scan(header.index_at..file.body_bytes(), |bytes| {
            index.extend_from_slice(bytes);
            Ok::<_, BlockError>(())
        })?;
        let records = usize::try_from(header.groups)
            .ok()
            .and_then(|groups| index.split_at_checked(groups.checked_mul(GROUP_RECORD_BYTES)?));
        let Some((records, fences)) = records else {
            return damaged("its index is shorter than its header says");
        };
        let mut first_fence = 0;
        let groups = records.chunks_exact(GROUP_RECORD_BYTES).map(|record| {
            let group = Group {
                entries_at: u64_at(record, 0),
                keys: u32_at(record, 8),
                filter_blocks: u32_at(record, 12),
                first_fence,
            };
            first_fence += group.entry_blocks();
            group
        });
        let groups: Box<[Group]> = groups.collect();
        // The checksums are right, so this is a fault of ours; but no read may go astray by it.
        let is_within = |group: &Group| {
            group.entries_at.is_multiple_of(BLOCK_BYTES as u64)
                && group.entries_at <= header.index_at
                && group.filter().end <= header.index_at
        };
        if groups.is_empty()
            || !groups.iter().all(is_within)
            || groups.iter().map(|group| u64::from(group.keys)).sum::<u64>() != header.keys
            || fences.len() != first_fence * FENCE_BYTES
            || range.end - range.start > RUN_SEQUENCES_MAX
        {
            return damaged("its index contradicts itself");
        }
        let fences = fences.chunks_exact(FENCE_BYTES).map(|fence| u64_at(fence, 0)).collect();
        Ok(Self { file, range: range.clone(), keys: header.keys, groups, fences })
    }

    /// How many equal parts of the hashes have a filter each.
    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn load_filter(&self, group: usize) -> Result<Filter> {
        let group = &self.groups[group];
        let mut filter = Filter::empty(group.filter_blocks as usize);
        let blocks = Arc::get_mut(&mut filter.0).unwrap_or_default();
        let mut words = blocks.iter_mut().flat_map(|block| &mut block.0);
        // Filters begin at multiples of 64, so no word lies across two pieces.
        self.file.scan(group.filter(), |bytes| {
            words.by_ref().zip(bytes.chunks_exact(8)).for_each(|(to, from)| *to = u64_at(from, 0));
            Ok::<_, BlockError>(())
        })?;
        Ok(filter)
    }

    /// Hands over the sequence of each entry with this hash, oldest first.
    pub(super) fn find(
        &self,
        hash: u64,
        cache: &BlockCache,
        mut found: impl FnMut(Sequence),
    ) -> Result<()> {
        let group = &self.groups[part(hash, self.groups.len()).0];
        let blocks = group.entry_blocks();
        let fences = &self.fences[group.first_fence..group.first_fence + blocks];
        // Equal hashes may begin at the end of a block, and go on over the next ones.
        let first = fences.partition_point(|fence| *fence < hash).saturating_sub(1);
        let file_block = usize::try_from(group.entries_at / BLOCK_BYTES as u64);
        let file_block = file_block.unwrap_or(usize::MAX);
        for (block, fence) in fences.iter().enumerate().skip(first) {
            if *fence > hash {
                break;
            }
            let bytes = self.file.block(cache, file_block.saturating_add(block))?;
            let count = group.entries_in(block);
            let mut index = lower_bound(&bytes, count, hash);
            while index < count
                && let (equal, relative) = entry(&bytes, index)
                && equal == hash
            {
                found(Sequence(self.range.start + u64::from(relative)));
                index += 1;
            }
            if index < count {
                break;
            }
        }
        Ok(())
    }

    /// Reads everything and checks that what is looked up is what was added.
    pub(super) fn verify(&self) -> Result<()> {
        self.file.verify()?;
        let mut cursor = Cursor::new(self);
        let (mut last, mut filter) = (None, (usize::MAX, Filter::empty(0)));
        while let Some(found @ (hash, sequence)) = cursor.next()? {
            let (group, rest) = part(hash, self.groups.len());
            if filter.0 != group {
                filter = (group, self.load_filter(group)?);
            }
            let index = cursor.taken_of_group() - 1;
            let fence = self.groups[group].first_fence + index / BLOCK_ENTRIES;
            let why = if last.is_some_and(|last| found <= last) {
                "its entries are not in order"
            } else if cursor.group != group {
                "an entry is in another group than its hash"
            } else if index.is_multiple_of(BLOCK_ENTRIES) && self.fences.get(fence) != Some(&hash) {
                "a fence is not the first hash of its block"
            } else if !filter.1.may_hold(hash, rest) {
                "a filter denies an entry"
            } else if !self.range.contains(&sequence) {
                "an entry is of an event that the run does not cover"
            } else {
                last = Some(found);
                continue;
            };
            return Err(BlockError::damaged(self.file.path(), why));
        }
        Ok(())
    }

    /// Bytes that its filters take in memory.
    pub(super) fn filter_bytes(&self) -> usize {
        let of = |group: &Group| {
            group.filter_blocks as usize * FilterBlock::BYTES + size_of::<Option<Filter>>()
        };
        self.groups.iter().map(of).sum()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.file.memory_bytes()
            + size_of::<Self>()
            + size_of_val(&*self.groups)
            + size_of_val(&*self.fences)
    }
}

/// The first of a block's entries whose hash is not less.
fn lower_bound(block: &[u8], entries: usize, hash: u64) -> usize {
    let (mut low, mut high) = (0, entries);
    while low < high {
        let middle = low + (high - low) / 2;
        if u64_at(block, middle * ENTRY_BYTES) < hash { low = middle + 1 } else { high = middle }
    }
    low
}

/// Reads a run's entries in order.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    run: &'a Run,
    /// The group that is read.
    group: usize,
    reader: BlockReader<'a>,
    /// Entries of the group that are not in `entries` yet.
    rest: usize,
    entries: Vec<(u64, u32)>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        let (reader, rest) = Self::read(run, 0);
        Self { run, group: 0, reader, rest, entries: Vec::new(), at: 0 }
    }

    fn read(run: &'a Run, group: usize) -> (BlockReader<'a>, usize) {
        let group = &run.groups[group];
        let range = group.entries_at..group.entries_at + group.entry_bytes();
        (run.file.reader(range), group.keys as usize)
    }

    /// How many entries of the present group were given.
    fn taken_of_group(&self) -> usize {
        self.run.groups[self.group].keys as usize - self.rest - (self.entries.len() - self.at)
    }

    /// Hash and sequence of the next entry; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, u64)>> {
        while self.at == self.entries.len() {
            if self.rest == 0 {
                if self.group + 1 == self.run.groups.len() {
                    return Ok(None);
                }
                self.group += 1;
                (self.reader, self.rest) = Self::read(self.run, self.group);
                continue;
            }
            self.entries.clear();
            self.at = 0;
            let Some(bytes) = self.reader.next()? else {
                unreachable!("as many bytes are read as the entries have");
            };
            // Pieces begin at the start of a block, as the group does.
            for block in bytes.chunks(BLOCK_BYTES) {
                let count = (block.len() / ENTRY_BYTES).min(self.rest);
                self.entries.extend((0..count).map(|index| entry(block, index)));
                self.rest -= count;
            }
        }
        let (hash, relative) = self.entries[self.at];
        self.at += 1;
        Ok(Some((hash, self.run.range.start + u64::from(relative))))
    }
}

/// Writes a run from entries in order.
#[derive(Debug)]
pub(super) struct RunWriter {
    writer: BlockWriter,
    header: RunHeader,
    last: Option<(u64, u64)>,
    /// Where the group that is being written begins.
    group_at: u64,
    /// The hashes of the group that is being written.
    hashes: Vec<u64>,
    /// The block that is being filled.
    block: Vec<u8>,
    /// Records of the groups that are written.
    records: Vec<u8>,
    fences: Vec<u8>,
}

impl RunWriter {
    /// `keys` is how many entries there will be.
    pub(super) fn create(
        fs: &Arc<dyn Fs>,
        path: &Path,
        range: &Range<u64>,
        keys: u64,
        key_check: u64,
    ) -> Result<Self> {
        let groups = u32::try_from(keys.div_ceil(GROUP_KEYS).max(1)).unwrap_or(u32::MAX);
        Ok(Self {
            // Synced, as it may replace runs that are deleted once it is there; and as its
            // blocks are not read again before a key is looked up, far from any rebuilding.
            writer: BlockWriter::with_blocks_of(BLOCK_BYTES, fs, path, KIND, Durability::Synced)?,
            header: RunHeader { groups, range: range.clone(), keys, key_check, index_at: 0 },
            last: None,
            group_at: 0,
            hashes: Vec::new(),
            block: Vec::with_capacity(BLOCK_BYTES),
            records: Vec::new(),
            fences: Vec::new(),
        })
    }

    fn groups_written(&self) -> usize {
        self.records.len() / GROUP_RECORD_BYTES
    }

    pub(super) fn push(&mut self, hash: u64, sequence: u64) -> Result<()> {
        assert!(self.last <= Some((hash, sequence)), "entries come in order");
        self.last = Some((hash, sequence));
        let (group, _) = part(hash, self.header.groups as usize);
        while self.groups_written() < group {
            self.end_group()?;
        }
        let relative = sequence.checked_sub(self.header.range.start);
        let Some(relative) = relative.and_then(|relative| u32::try_from(relative).ok()) else {
            unreachable!("a run spans at most 2^32 sequence numbers");
        };
        if self.block.is_empty() {
            self.fences.extend_from_slice(&hash.to_le_bytes());
        }
        self.hashes.push(hash);
        self.block.extend_from_slice(&hash.to_le_bytes());
        self.block.extend_from_slice(&relative.to_le_bytes());
        if self.block.len() == BLOCK_ENTRIES * ENTRY_BYTES {
            self.block.resize(BLOCK_BYTES, 0);
            self.write_block()?;
        }
        Ok(())
    }

    fn write_block(&mut self) -> Result<()> {
        self.writer.write(&self.block)?;
        self.block.clear();
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        let keys = self.hashes.len();
        let blocks = Filter::blocks_for(keys, self.header.keys);
        let mut filter = vec![FilterBlock::default(); blocks];
        for &hash in &self.hashes {
            let (_, rest) = part(hash, self.header.groups as usize);
            filter[part(rest, blocks).0].insert(hash);
        }
        self.hashes.clear();
        self.block.resize(self.block.len().next_multiple_of(FilterBlock::BYTES), 0);
        self.write_block()?;
        for block in &filter {
            for word in block.0 {
                self.block.extend_from_slice(&word.to_le_bytes());
            }
            if self.block.len() == BLOCK_BYTES {
                self.write_block()?;
            }
        }
        self.write_block()?;
        self.writer.pad_to_block()?;
        self.records.extend_from_slice(&self.group_at.to_le_bytes());
        self.records.extend_from_slice(&count_u32(keys).to_le_bytes());
        self.records.extend_from_slice(&count_u32(blocks).to_le_bytes());
        self.group_at = self.writer.position();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        while self.groups_written() < self.header.groups as usize {
            self.end_group()?;
        }
        self.header.index_at = self.group_at;
        self.writer.write(&self.records)?;
        self.writer.write(&self.fences)?;
        self.writer.finish(&self.header.encode())?;
        Ok(())
    }
}

/// A count within a run, which spans at most 2^32 sequence numbers, and of these only a part is
/// in a group.
fn count_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
