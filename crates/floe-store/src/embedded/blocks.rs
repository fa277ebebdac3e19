//! Immutable files of checksummed blocks, for data that is derived from events.
//!
//! Owns the container: how a file is written and published, its checksums, and the memory that
//! loaded blocks take. What the bytes mean is the owner's (deduplication runs, customer indexes,
//! meter columns). No byte is handed out before its checksum was found right. Nothing here is the
//! truth: a damaged file is an error for the owner, who deletes and rebuilds it.
//!
//! `docs/format.md` describes the bytes in prose; the two change together.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use super::fs::{Fs, FsFile, OpenMode};
use super::stats::BlockStats;

/// Bytes of a block, unless the owner says otherwise; the last one of a file may be shorter. Small
/// enough that a block read for a few bytes costs microseconds, large enough that its checksum and
/// table entry cost next to nothing.
const BLOCK_BYTES: usize = 16 * 1024;
/// The smallest and the largest block: powers of two between are allowed.
const BLOCK_BYTES_MIN: usize = 4 * 1024;
const BLOCK_BYTES_MAX: usize = 64 * 1024;
/// What a file is called while it is written, behind its name. Whoever owns a folder removes such
/// files when it opens the folder: no writer is left then.
pub(super) const UNFINISHED_SUFFIX: &str = ".new";

const MAGIC: [u8; 8] = *b"FLOEBLKS";
/// The format version that is written, and the highest that is read.
const FORMAT_VERSION: u32 = 1;
/// The head takes a whole page, so that blocks lie at multiples of the page size.
const HEAD_BYTES: usize = 4096;
const HEAD_CRC_AT: usize = HEAD_BYTES - CRC_BYTES;
const CRC_BYTES: usize = 4;
/// The longest header of an owner, in bytes: it is held in memory.
const OWNER_HEADER_BYTES_MAX: usize = 1024 * 1024;
/// Sequential reads and writes go to the disk in pieces of so many bytes, which are whole blocks.
const PIECE_BYTES: usize = 2 * BLOCK_BYTES_MAX;
/// A durable file is synced after so many bytes, lest one large flush at its end hold up a
/// commit's sync.
const SYNC_BYTES: u64 = 8 * 1024 * 1024;

/// Why a block file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum BlockError {
    /// The disk's.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Path of the file.
        file: String,
        /// The disk's error.
        source: io::Error,
    },
    /// Its bytes are not those that were written; delete and rebuild it.
    #[error("{file} is damaged: {why}")]
    Damaged {
        /// Path of the file.
        file: String,
        /// What does not fit.
        why: String,
    },
    /// A newer Floe wrote it.
    #[error("{file} has format version {version}; this Floe knows up to {FORMAT_VERSION}")]
    NewerFormat {
        /// Path of the file.
        file: String,
        /// Its version.
        version: u32,
    },
}

impl BlockError {
    /// An error of the disk at a file. A file that ends early is damaged.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::damaged(path, "it ends early"),
            _ => Self::Io { action, file: path.display().to_string(), source },
        }
    }

    /// Whether it is about this file.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        let (Self::Io { file, .. } | Self::Damaged { file, .. } | Self::NewerFormat { file, .. }) =
            self;
        *file == path.display().to_string()
    }

    /// That the bytes of a file are not what they must be.
    pub(super) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { file: path.display().to_string(), why: why.into() }
    }
}

pub(super) type Result<T> = std::result::Result<T, BlockError>;

/// What survives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// The file is synced before it gets its name, and its name before [`BlockWriter::finish`]
    /// returns. For files that replace others, or that take long to rebuild.
    Synced,
    /// Nothing is synced, which costs the committer's syncs nothing. After a power cut the file
    /// may be missing, or be there with wrong bytes, which its checksums tell; it is rebuilt.
    Unsynced,
}

/// Where a file stands while it is written.
fn unfinished_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED_SUFFIX);
    PathBuf::from(name)
}

/// Writes a block file. It is not there before [`BlockWriter::finish`]; dropped earlier, nothing
/// of it remains.
#[derive(Debug)]
pub(super) struct BlockWriter {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    file: Arc<dyn FsFile>,
    kind: [u8; 4],
    block_bytes: usize,
    durability: Durability,
    /// The end of the body that is not yet written; starts at a multiple of the block size.
    buffer: Vec<u8>,
    /// Bytes of the body in the file.
    written: u64,
    /// Bytes of the body that are synced.
    synced: u64,
    /// A checksum for each block in the file.
    table: Vec<u32>,
    is_finished: bool,
}

impl BlockWriter {
    /// Starts a file that will get this name, in place of whatever has it then. `kind` says whose
    /// file it is.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub(super) fn create(
        fs: &Arc<dyn Fs>,
        path: &Path,
        kind: [u8; 4],
        durability: Durability,
    ) -> Result<Self> {
        Self::with_blocks_of(BLOCK_BYTES, fs, path, kind, durability)
    }

    /// [`BlockWriter::create`] with blocks of another size, for owners that read few bytes at a
    /// time from all over a large file.
    ///
    /// # Errors
    ///
    /// The disk's.
    ///
    /// # Panics
    ///
    /// If the size is not a power of two from 4 to 64 KiB.
    pub(super) fn with_blocks_of(
        block_bytes: usize,
        fs: &Arc<dyn Fs>,
        path: &Path,
        kind: [u8; 4],
        durability: Durability,
    ) -> Result<Self> {
        assert!(is_block_size(block_bytes), "blocks have a power of two of bytes, 4 to 64 KiB");
        let unfinished = unfinished_path(path);
        let failed = || BlockError::io("create", &unfinished);
        // A crash may have left one.
        match fs.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed()(error)),
            _ => {}
        }
        let file = fs.open(&unfinished, OpenMode::CreateNew).map_err(failed())?;
        Ok(Self {
            fs: Arc::clone(fs),
            path: path.to_owned(),
            file,
            kind,
            block_bytes,
            durability,
            buffer: Vec::with_capacity(PIECE_BYTES),
            written: 0,
            synced: 0,
            table: Vec::new(),
            is_finished: false,
        })
    }

    /// Bytes of the body so far: the offset that the next byte will have.
    pub(super) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends to the body.
    ///
    /// # Errors
    ///
    /// The disk's; the file cannot be finished then.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == PIECE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Appends zeros up to the start of a block.
    ///
    /// # Errors
    ///
    /// As [`BlockWriter::write`].
    pub(super) fn pad_to_block(&mut self) -> Result<()> {
        self.buffer.resize(self.buffer.len().next_multiple_of(self.block_bytes), 0);
        if self.buffer.len() == PIECE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.table.extend(self.buffer.chunks(self.block_bytes).map(crc32c::crc32c));
        self.file
            .write_all_at(&self.buffer, HEAD_BYTES as u64 + self.written)
            .map_err(BlockError::io("write to", &unfinished_path(&self.path)))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        if self.durability == Durability::Synced {
            self.file.sync_data().map_err(BlockError::io("sync", &unfinished_path(&self.path)))?;
        }
        self.synced = self.written;
        Ok(())
    }

    /// Completes the file with the owner's header, gives it its name, and opens it.
    ///
    /// # Errors
    ///
    /// The disk's. The file is not there then, or is whole.
    ///
    /// # Panics
    ///
    /// If the header is longer than 1 MiB.
    pub(super) fn finish(mut self, header: &[u8]) -> Result<BlockFile> {
        assert!(header.len() <= OWNER_HEADER_BYTES_MAX, "an owner's header is small");
        self.flush()?;
        let mut tail: Vec<u8> = self.table.iter().flat_map(|crc| crc.to_le_bytes()).collect();
        tail.extend_from_slice(header);
        let head = Head {
            kind: self.kind,
            block_bytes: self.block_bytes,
            body_bytes: self.written,
            owner_bytes: u32::try_from(header.len()).unwrap_or(u32::MAX),
            tail_crc: crc32c::crc32c(&tail),
        };
        let unfinished = unfinished_path(&self.path);
        let failed = |action| BlockError::io(action, &unfinished);
        self.file
            .write_all_at(&tail, HEAD_BYTES as u64 + self.written)
            .and_then(|()| self.file.write_all_at(&head.encode(), 0))
            .map_err(failed("write to"))?;
        self.sync()?;
        self.fs.rename(&unfinished, &self.path).map_err(failed("rename"))?;
        self.is_finished = true;
        if self.durability == Durability::Synced {
            let folder = self.path.parent().unwrap_or(Path::new(""));
            self.fs.sync_dir(folder).map_err(BlockError::io("sync", folder))?;
        }
        BlockFile::open(&*self.fs, &self.path, self.kind)
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            // A failure does no harm: the owner of the folder removes the file at its next start.
            drop(self.fs.remove(&unfinished_path(&self.path)));
        }
    }
}

fn is_block_size(bytes: usize) -> bool {
    bytes.is_power_of_two() && (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(&bytes)
}

/// What stands at the start of a file.
#[derive(Clone, Copy, Debug)]
struct Head {
    kind: [u8; 4],
    block_bytes: usize,
    body_bytes: u64,
    /// Length of the owner's header.
    owner_bytes: u32,
    /// Checksum of what stands behind the body: the table of checksums and the owner's header.
    tail_crc: u32,
}

impl Head {
    fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.kind);
        bytes[16..24].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.owner_bytes.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.tail_crc.to_le_bytes());
        let block_bytes = u32::try_from(self.block_bytes).unwrap_or_default();
        bytes[32..36].copy_from_slice(&block_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..HEAD_CRC_AT]);
        bytes[HEAD_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEAD_BYTES], path: &Path) -> Result<Self> {
        if array_at::<8>(bytes, 0) != MAGIC {
            return Err(BlockError::damaged(path, "it does not begin with the magic"));
        }
        // The version comes before the checksum: a newer format may keep its checksum elsewhere.
        let version = u32::from_le_bytes(array_at(bytes, 8));
        if version > FORMAT_VERSION {
            return Err(BlockError::NewerFormat { file: path.display().to_string(), version });
        }
        let crc = u32::from_le_bytes(array_at(bytes, HEAD_CRC_AT));
        if crc32c::crc32c(&bytes[..HEAD_CRC_AT]) != crc {
            return Err(BlockError::damaged(path, "the checksum of its head is wrong"));
        }
        if version != FORMAT_VERSION {
            return Err(BlockError::damaged(path, "format version 0 does not exist"));
        }
        let block_bytes = u32::from_le_bytes(array_at(bytes, 32)) as usize;
        if !is_block_size(block_bytes) {
            return Err(BlockError::damaged(path, "its blocks have no size that blocks have"));
        }
        Ok(Self {
            kind: array_at(bytes, 12),
            block_bytes,
            body_bytes: u64::from_le_bytes(array_at(bytes, 16)),
            owner_bytes: u32::from_le_bytes(array_at(bytes, 24)),
            tail_crc: u32::from_le_bytes(array_at(bytes, 28)),
        })
    }
}

/// The `N` bytes at `at`, which lie within `bytes`.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

/// Numbers the files that this process opened, so that a file which takes the name of another is
/// never given the other's blocks by a cache.
static FILES_OPENED: AtomicU64 = AtomicU64::new(0);

/// An open block file. Threads may read it at once.
#[derive(Debug)]
pub(super) struct BlockFile {
    path: PathBuf,
    file: Arc<dyn FsFile>,
    number: u64,
    block_bytes: usize,
    body_bytes: u64,
    file_bytes: u64,
    owner_header: Box<[u8]>,
    table: Box<[u32]>,
}

impl BlockFile {
    /// Opens a file; checks everything but the blocks.
    ///
    /// # Errors
    ///
    /// If it is damaged, of another kind or a newer format, or the disk fails (`NotFound` if it is
    /// not there).
    pub(super) fn open(fs: &dyn Fs, path: &Path, kind: [u8; 4]) -> Result<Self> {
        let file = fs.open(path, OpenMode::Read).map_err(BlockError::io("open", path))?;
        let failed = || BlockError::io("read", path);
        let damaged = |why: &str| Err(BlockError::damaged(path, why));
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0).map_err(failed())?;
        let head = Head::decode(&head, path)?;
        if head.kind != kind {
            return damaged("it is of another kind");
        }
        let file_bytes = file.len().map_err(failed())?;
        let tail_at = (HEAD_BYTES as u64).checked_add(head.body_bytes);
        let table_bytes = head.body_bytes.div_ceil(head.block_bytes as u64) * CRC_BYTES as u64;
        let tail_bytes = table_bytes + u64::from(head.owner_bytes);
        let Some(tail_at) = tail_at.filter(|at| at.checked_add(tail_bytes) == Some(file_bytes))
        else {
            return damaged("its length is not what its head says");
        };
        // The file is as long, so the memory is not asked for by a damaged number.
        let (Ok(table_bytes), Ok(tail_bytes)) =
            (usize::try_from(table_bytes), usize::try_from(tail_bytes))
        else {
            return damaged("its table is beyond this machine");
        };
        let mut tail = vec![0; tail_bytes];
        file.read_exact_at(&mut tail, tail_at).map_err(failed())?;
        if crc32c::crc32c(&tail) != head.tail_crc {
            return damaged("the checksum of its table is wrong");
        }
        let (table, owner_header) = tail.split_at(table_bytes);
        let table = table.chunks_exact(CRC_BYTES);
        Ok(Self {
            path: path.to_owned(),
            file,
            number: FILES_OPENED.fetch_add(1, Ordering::Relaxed),
            block_bytes: head.block_bytes,
            body_bytes: head.body_bytes,
            file_bytes,
            owner_header: owner_header.into(),
            table: table.map(|crc| u32::from_le_bytes(array_at(crc, 0))).collect(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the owner gave to [`BlockWriter::finish`].
    pub(super) fn owner_header(&self) -> &[u8] {
        &self.owner_header
    }

    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Bytes on disk.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Bytes of memory that the open file takes, blocks not counted.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.owner_header.len() + size_of_val(&*self.table)
    }

    /// Blocks of the body; block `i` begins at `i` times their size.
    pub(super) fn blocks(&self) -> usize {
        self.table.len()
    }

    /// The size of a block, in bytes; the last one may have fewer.
    pub(super) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    fn damaged(&self, why: String) -> BlockError {
        BlockError::damaged(&self.path, why)
    }

    /// Bytes in a block of the file.
    fn bytes_in(&self, block: usize) -> usize {
        let rest = self.body_bytes.saturating_sub((block * self.block_bytes) as u64);
        usize::try_from(rest).map_or(self.block_bytes, |rest| rest.min(self.block_bytes))
    }

    /// Block, and position in it, of an offset in the body.
    fn split(&self, offset: u64) -> Option<(usize, usize)> {
        let offset = usize::try_from(offset).ok()?;
        Some((offset / self.block_bytes, offset % self.block_bytes))
    }

    /// Reads consecutive blocks, the last of which may be short, and checks them.
    fn load(&self, first: usize, bytes: &mut [u8]) -> Result<()> {
        self.file
            .read_exact_at(bytes, (HEAD_BYTES + first * self.block_bytes) as u64)
            .map_err(BlockError::io("read", &self.path))?;
        for (block, bytes) in (first..).zip(bytes.chunks(self.block_bytes)) {
            if self.table.get(block) != Some(&crc32c::crc32c(bytes)) {
                return Err(self.damaged(format!("the checksum of block {block} is wrong")));
            }
        }
        Ok(())
    }

    /// A block, from the cache or the disk.
    ///
    /// # Errors
    ///
    /// If it is damaged or is not there, or the disk fails.
    pub(super) fn block(&self, cache: &BlockCache, block: usize) -> Result<Arc<[u8]>> {
        let Ok(number) = u32::try_from(block) else {
            return Err(self.damaged(format!("it has no block {block}")));
        };
        let key = BlockKey { file: self.number, block: number };
        if let Some(bytes) = cache.get(key) {
            return Ok(bytes);
        }
        if block >= self.blocks() {
            return Err(self.damaged(format!("it has no block {block}")));
        }
        // Made in place, as a vector would have to be copied.
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, self.bytes_in(block)).collect();
        let Some(buffer) = Arc::get_mut(&mut bytes) else { unreachable!("nobody else has it yet") };
        self.load(block, buffer)?;
        Ok(cache.insert(key, bytes))
    }

    /// Fills the buffer with the bytes of the body from an offset on.
    ///
    /// # Errors
    ///
    /// If a block is damaged, the body ends before, or the disk fails.
    pub(super) fn read_at(
        &self,
        cache: &BlockCache,
        mut offset: u64,
        mut buffer: &mut [u8],
    ) -> Result<()> {
        while !buffer.is_empty() {
            let (block, at) = self
                .split(offset)
                .ok_or_else(|| self.damaged(format!("it has no offset {offset}")))?;
            let block = self.block(cache, block)?;
            let bytes = block.get(at..).unwrap_or_default();
            let length = bytes.len().min(buffer.len());
            if length == 0 {
                return Err(self.damaged(format!("its body ends before offset {offset}")));
            }
            let (now, later) = buffer.split_at_mut(length);
            now.copy_from_slice(&bytes[..length]);
            (buffer, offset) = (later, offset + length as u64);
        }
        Ok(())
    }

    /// Reads a part of the body in order, by a buffer of its own: what is read once must not push
    /// out what is read often.
    pub(super) fn reader(&self, range: Range<u64>) -> BlockReader<'_> {
        BlockReader { file: self, at: range.start, end: range.end, buffer: Vec::new() }
    }

    /// Hands a part of the body to `visit`, piece by piece in order, as [`BlockFile::reader`].
    ///
    /// # Errors
    ///
    /// If a block is damaged, the body ends before, or the disk fails; and the visitor's.
    pub(super) fn scan<E: From<BlockError>>(
        &self,
        range: Range<u64>,
        mut visit: impl FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut reader = self.reader(range);
        while let Some(bytes) = reader.next()? {
            visit(bytes)?;
        }
        Ok(())
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// If a block is damaged or the disk fails.
    pub(super) fn verify(&self) -> Result<()> {
        self.scan(0..self.body_bytes, |_| Ok(()))
    }
}

/// Reads a part of a body in order.
#[derive(Debug)]
pub(super) struct BlockReader<'a> {
    file: &'a BlockFile,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
}

impl BlockReader<'_> {
    /// The next bytes, up to 128 KiB; nothing at the end of the range.
    ///
    /// # Errors
    ///
    /// If a block is damaged, the body ends before, or the disk fails.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let ends = || self.file.damaged(format!("its body ends before offset {}", self.end));
        if self.end > self.file.body_bytes {
            return Err(ends());
        }
        let (block, from) = self.file.split(self.at).ok_or_else(ends)?;
        // The bytes up to the end, from the start of the block on, and no more than a buffer's.
        let wanted = usize::try_from(self.end - self.at).map_err(|_| ends())?.saturating_add(from);
        let block_bytes = self.file.block_bytes;
        let blocks = wanted.min(PIECE_BYTES).div_ceil(block_bytes);
        let last = block + blocks - 1;
        self.buffer.resize((blocks - 1) * block_bytes + self.file.bytes_in(last), 0);
        self.file.load(block, &mut self.buffer)?;
        let to = wanted.min(self.buffer.len());
        self.at += (to - from) as u64;
        Ok(Some(&self.buffer[from..to]))
    }
}

/// What a cached block is: a file of this process, and a block in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct BlockKey {
    file: u64,
    block: u32,
}

/// Threads that look for different blocks seldom meet at one lock with so many parts.
const CACHE_PARTS: usize = 16;

/// Loaded blocks of all files, up to a number of bytes. Threads may use it at once.
///
/// What was not used for longest goes first, about (CLOCK). Blocks of files that are gone are
/// never asked for again, and so go by themselves.
#[derive(Debug)]
pub(super) struct BlockCache {
    parts: [Mutex<CachePart>; CACHE_PARTS],
    part_bytes_max: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Default)]
struct CachePart {
    /// Where in `blocks` a block stands.
    places: HashMap<BlockKey, usize>,
    blocks: Vec<CachedBlock>,
    bytes: usize,
    /// The next candidate to go.
    hand: usize,
}

#[derive(Debug)]
struct CachedBlock {
    key: BlockKey,
    bytes: Arc<[u8]>,
    /// Whether it was used since the hand came by.
    is_used: bool,
}

impl BlockCache {
    /// A cache of up to so many bytes of blocks.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            parts: std::array::from_fn(|_| Mutex::default()),
            part_bytes_max: bytes_max / CACHE_PARTS,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// What it holds, and how it did.
    pub(super) fn stats(&self) -> BlockStats {
        BlockStats {
            memory_bytes: self.parts.iter().map(|part| lock(part).bytes as u64).sum(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    fn part(&self, key: BlockKey) -> MutexGuard<'_, CachePart> {
        // Fibonacci hashing: neighbours go to different parts.
        let mixed = (key.file << 32 ^ u64::from(key.block)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        lock(&self.parts[(mixed >> 32) as usize % CACHE_PARTS])
    }

    fn get(&self, key: BlockKey) -> Option<Arc<[u8]>> {
        let found = self.part(key).get(key);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Takes a block in; gives the one that is in it, if another thread was faster.
    fn insert(&self, key: BlockKey, bytes: Arc<[u8]>) -> Arc<[u8]> {
        self.part(key).insert(key, bytes, self.part_bytes_max)
    }
}

fn lock(part: &Mutex<CachePart>) -> MutexGuard<'_, CachePart> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CachePart {
    fn get(&mut self, key: BlockKey) -> Option<Arc<[u8]>> {
        let block = self.blocks.get_mut(*self.places.get(&key)?)?;
        block.is_used = true;
        Some(Arc::clone(&block.bytes))
    }

    fn insert(&mut self, key: BlockKey, bytes: Arc<[u8]>, bytes_max: usize) -> Arc<[u8]> {
        if let Some(present) = self.get(key) {
            return present;
        }
        if bytes.len() > bytes_max {
            return bytes;
        }
        while self.bytes + bytes.len() > bytes_max {
            self.evict();
        }
        self.bytes += bytes.len();
        self.places.insert(key, self.blocks.len());
        self.blocks.push(CachedBlock { key, bytes: Arc::clone(&bytes), is_used: false });
        bytes
    }

    /// Removes the first block under the hand that was not used since the hand's last visit.
    fn evict(&mut self) {
        loop {
            if self.hand >= self.blocks.len() {
                self.hand = 0;
            }
            let block = &mut self.blocks[self.hand];
            if !std::mem::take(&mut block.is_used) {
                break;
            }
            self.hand += 1;
        }
        let gone = self.blocks.swap_remove(self.hand);
        self.places.remove(&gone.key);
        self.bytes -= gone.bytes.len();
        if let Some(moved) = self.blocks.get(self.hand) {
            self.places.insert(moved.key, self.hand);
            // The hand goes on, or the block that was moved here, mostly the newest, were next.
            self.hand += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedded::fs::RealFs;

    const KIND: [u8; 4] = *b"TEST";

    fn real_fs() -> Arc<dyn Fs> {
        Arc::new(RealFs)
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    /// Bytes of which no two blocks are equal.
    fn body(length: usize) -> Vec<u8> {
        let word = |i: u32| i.wrapping_mul(2_654_435_761).to_le_bytes();
        (0_u32..).flat_map(word).take(length).collect()
    }

    fn write(path: &Path, pieces: &[&[u8]], header: &[u8], durability: Durability) -> BlockFile {
        write_to(BlockWriter::create(&real_fs(), path, KIND, durability).unwrap(), pieces, header)
    }

    fn write_to(mut writer: BlockWriter, pieces: &[&[u8]], header: &[u8]) -> BlockFile {
        let mut position = 0;
        for piece in pieces {
            assert_eq!(writer.position(), position);
            writer.write(piece).unwrap();
            position += piece.len() as u64;
        }
        writer.finish(header).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names = RealFs.list(folder).unwrap();
        names.sort();
        names
    }

    /// Opens a file and reads all of it.
    fn check(path: &Path) -> Result<()> {
        BlockFile::open(&RealFs, path, KIND)?.verify()
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = folder();
        let path = folder.path().join("a");
        let cache = BlockCache::new(1 << 20);
        let lengths = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 9 * BLOCK_BYTES + 77];
        for (length, durability) in lengths
            .into_iter()
            .flat_map(|length| [(length, Durability::Synced), (length, Durability::Unsynced)])
        {
            let body = body(length);
            let (start, rest) = body.split_at(length / 3);
            let file = write(&path, &[start, b"", rest], b"of the owner", durability);
            assert_eq!(names(folder.path()), ["a"]);
            assert_eq!(file.owner_header(), b"of the owner");
            assert_eq!(file.body_bytes(), length as u64);
            assert_eq!(file.blocks(), length.div_ceil(BLOCK_BYTES));
            assert_eq!(file.file_bytes(), file.path().metadata().unwrap().len());
            assert!(file.memory_bytes() < 500);
            let mut read = vec![0; length];
            file.read_at(&cache, 0, &mut read).unwrap();
            assert!(read == body, "{length}");
            file.verify().unwrap();
        }
    }

    #[test]
    fn parts_are_read_wherever_they_lie() {
        let folder = folder();
        let body = body(20 * BLOCK_BYTES + 5);
        let file = write(&folder.path().join("a"), &[&body], b"", Durability::Unsynced);
        let cache = BlockCache::new(4 * CACHE_PARTS * BLOCK_BYTES);
        proptest!(ProptestConfig::with_cases(200), |(
            from in 0..=body.len(),
            length in prop_oneof![0..50_usize, 0..body.len()],
        )| {
            let to = body.len().min(from + length);
            let mut read = vec![0; to - from];
            file.read_at(&cache, from as u64, &mut read).unwrap();
            prop_assert!(read == body[from..to]);
            let mut scanned = Vec::new();
            file.scan(from as u64..to as u64, |bytes| {
                assert!(!bytes.is_empty() && bytes.len() <= PIECE_BYTES);
                scanned.extend_from_slice(bytes);
                Ok::<_, BlockError>(())
            }).unwrap();
            prop_assert!(scanned == body[from..to]);
        });
        let block = file.block(&cache, 20).unwrap();
        assert_eq!(*block, body[20 * BLOCK_BYTES..]);
    }

    #[test]
    fn blocks_have_the_size_that_their_owner_wants() {
        let folder = folder();
        let path = folder.path().join("a");
        let body = body(300_001);
        for block_bytes in [4096, 16_384, 65_536] {
            let (fs, durability) = (real_fs(), Durability::Unsynced);
            let writer = BlockWriter::with_blocks_of(block_bytes, &fs, &path, KIND, durability);
            let (start, rest) = body.split_at(70_001);
            let file = write_to(writer.unwrap(), &[start, rest], b"header");
            assert_eq!(file.block_bytes(), block_bytes);
            assert_eq!(file.blocks(), 300_001_usize.div_ceil(block_bytes));
            assert_eq!(file.owner_header(), b"header");
            let cache = BlockCache::new(1 << 22);
            assert!(*file.block(&cache, 2).unwrap() == body[2 * block_bytes..3 * block_bytes]);
            let mut read = vec![0; 200_000];
            file.read_at(&cache, 99_999, &mut read).unwrap();
            assert!(read == body[99_999..299_999]);
            let mut scanned = Vec::new();
            file.scan(5..300_001, |bytes| {
                scanned.extend_from_slice(bytes);
                Ok::<_, BlockError>(())
            })
            .unwrap();
            assert!(scanned == body[5..]);
            file.verify().unwrap();
        }
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[33] = 1;
        let crc = crc32c::crc32c(&bytes[..HEAD_CRC_AT]);
        bytes[HEAD_CRC_AT..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(check(&path), Err(BlockError::Damaged { .. })));
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let folder = folder();
        let file = write(&folder.path().join("a"), &[b"12345"], b"", Durability::Unsynced);
        let cache = BlockCache::new(1 << 20);
        assert!(matches!(file.block(&cache, 1), Err(BlockError::Damaged { .. })));
        assert!(matches!(file.block(&cache, usize::MAX), Err(BlockError::Damaged { .. })));
        let read = |offset| file.read_at(&cache, offset, &mut [0; 2]);
        assert!(matches!(read(4), Err(BlockError::Damaged { .. })));
        assert!(matches!(read(u64::MAX), Err(BlockError::Damaged { .. })));
        assert!(matches!(file.reader(3..6).next(), Err(BlockError::Damaged { .. })));
        let missing = BlockFile::open(&RealFs, &folder.path().join("b"), KIND);
        let Err(BlockError::Io { source, file, .. }) = missing else { panic!("{missing:?}") };
        assert_eq!(source.kind(), io::ErrorKind::NotFound);
        assert!(file.ends_with("/b"), "{file}");
    }

    #[test]
    fn padding_ends_at_a_block() {
        let folder = folder();
        let path = folder.path().join("a");
        let mut writer =
            BlockWriter::create(&real_fs(), &path, KIND, Durability::Unsynced).unwrap();
        writer.pad_to_block().unwrap();
        assert_eq!(writer.position(), 0);
        for block in 1..=20_u8 {
            writer.write(&[block]).unwrap();
            writer.pad_to_block().unwrap();
            assert_eq!(writer.position(), u64::from(block) * BLOCK_BYTES as u64);
        }
        let file = writer.finish(b"").unwrap();
        let cache = BlockCache::new(0);
        for number in 0..20_u8 {
            let block = file.block(&cache, number.into()).unwrap();
            assert!(block[0] == number + 1 && block[1..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let folder = folder();
        let path = folder.path().join("a");
        write(&path, &[&body(2 * BLOCK_BYTES + 100)], b"header", Durability::Unsynced);
        let good = std::fs::read(&path).unwrap();
        // All of the head's fields, its end, and all behind the body; the rest at steps.
        let tail = good.len() - 3 * CRC_BYTES - 6;
        let places = (0..40).chain((40..tail).step_by(997)).chain(HEAD_CRC_AT..HEAD_BYTES + 8);
        for at in places.chain(tail - 8..good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            let error = check(&path).unwrap_err();
            let is_version = (8..12).contains(&at);
            assert!(
                matches!(error, BlockError::Damaged { .. })
                    || is_version && matches!(error, BlockError::NewerFormat { .. }),
                "{at}: {error}"
            );
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
        std::fs::write(&path, &good).unwrap();
        check(&path).unwrap();
    }

    #[test]
    fn a_damaged_block_is_noticed_when_it_is_read() {
        let folder = folder();
        let path = folder.path().join("a");
        write(&path, &[&body(3 * BLOCK_BYTES)], b"", Durability::Unsynced);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEAD_BYTES + BLOCK_BYTES + 9] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let file = BlockFile::open(&RealFs, &path, KIND).unwrap();
        let cache = BlockCache::new(1 << 20);
        assert!(file.block(&cache, 0).is_ok() && file.block(&cache, 2).is_ok());
        let why = file.block(&cache, 1).unwrap_err().to_string();
        assert!(why.ends_with("/a is damaged: the checksum of block 1 is wrong"), "{why}");
        // Not from the cache either.
        assert!(file.block(&cache, 1).is_err());
        assert!(file.reader(0..10).next().is_ok_and(|bytes| bytes.is_some()));
        assert!(file.reader(0..BLOCK_BYTES as u64 + 1).next().is_err());
    }

    #[test]
    fn a_truncated_or_longer_file_is_noticed() {
        let folder = folder();
        let path = folder.path().join("a");
        write(&path, &[&body(BLOCK_BYTES + 100)], b"header", Durability::Unsynced);
        let good = std::fs::read(&path).unwrap();
        let lengths = (0..good.len()).step_by(499).chain(good.len() - 20..good.len());
        for length in lengths {
            std::fs::write(&path, &good[..length]).unwrap();
            let error = check(&path).unwrap_err();
            assert!(matches!(error, BlockError::Damaged { .. }), "{length}: {error}");
        }
        std::fs::write(&path, [&good[..], b"!"].concat()).unwrap();
        assert!(matches!(check(&path), Err(BlockError::Damaged { .. })));
    }

    #[test]
    fn a_file_of_another_kind_or_a_newer_format_is_refused() {
        let folder = folder();
        let path = folder.path().join("a");
        write(&path, &[b"body"], b"", Durability::Unsynced);
        let error = BlockFile::open(&RealFs, &path, *b"ELSE").unwrap_err();
        assert!(error.to_string().ends_with("/a is damaged: it is of another kind"), "{error}");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8] = 2;
        std::fs::write(&path, &bytes).unwrap();
        let error = check(&path).unwrap_err();
        assert!(matches!(error, BlockError::NewerFormat { version: 2, .. }), "{error}");
    }

    #[test]
    fn an_unfinished_file_leaves_nothing_and_replaces_nothing() {
        let folder = folder();
        let path = folder.path().join("a");
        write(&path, &[b"old"], b"", Durability::Synced);
        let mut writer = BlockWriter::create(&real_fs(), &path, KIND, Durability::Synced).unwrap();
        writer.write(&body(200_000)).unwrap();
        assert_eq!(names(folder.path()), ["a", "a.new"]);
        drop(writer);
        assert_eq!(names(folder.path()), ["a"]);
        // Left by a crash.
        std::fs::write(folder.path().join("a.new"), b"anything").unwrap();
        let file = write(&path, &[b"new"], b"", Durability::Synced);
        assert_eq!(names(folder.path()), ["a"]);
        let mut read = [0; 3];
        file.read_at(&BlockCache::new(0), 0, &mut read).unwrap();
        assert_eq!(&read, b"new");
    }

    // The bytes are a contract: these are written out by hand after docs/format.md.
    #[test]
    fn a_file_has_the_documented_bytes() {
        let folder = folder();
        let path = folder.path().join("a");
        write(&path, &[b"123456789"], b"own", Durability::Unsynced);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 4096 + 9 + 4 + 3);
        assert_eq!(&bytes[..16], b"FLOEBLKS\x01\0\0\0TEST");
        assert_eq!(&bytes[16..28], b"\x09\0\0\0\0\0\0\0\x03\0\0\0");
        assert_eq!(bytes[28..32], crc32c::crc32c(b"\x83\x92\x06\xE3own").to_le_bytes());
        assert_eq!(&bytes[32..36], b"\0\x40\0\0");
        assert!(bytes[36..4092].iter().all(|byte| *byte == 0));
        assert_eq!(bytes[4092..4096], crc32c::crc32c(&bytes[..4092]).to_le_bytes());
        assert_eq!(&bytes[4096..], b"123456789\x83\x92\x06\xE3own");
    }

    #[test]
    fn the_cache_keeps_what_is_used_within_its_bytes() {
        let folder = folder();
        let body = body(200 * BLOCK_BYTES);
        let file = write(&folder.path().join("a"), &[&body], b"", Durability::Unsynced);
        let bytes_max = CACHE_PARTS * 4 * BLOCK_BYTES;
        let cache = BlockCache::new(bytes_max);
        let expected = |block: usize| &body[block * BLOCK_BYTES..(block + 1) * BLOCK_BYTES];
        for block in 0..200 {
            // One block is used all the time.
            for block in [block, 7] {
                assert!(*file.block(&cache, block).unwrap() == *expected(block));
            }
            assert!(cache.stats().memory_bytes <= bytes_max as u64);
        }
        let stats = cache.stats();
        assert!(stats.memory_bytes > bytes_max as u64 / 2, "{stats:?}");
        // Each block is read once, block 7 too, although 200 others went through.
        assert_eq!((stats.hits, stats.misses), (200, 200), "{stats:?}");
    }

    #[test]
    fn a_cache_does_not_mix_files_of_one_name() {
        let folder = folder();
        let path = folder.path().join("a");
        let cache = BlockCache::new(1 << 20);
        let old = write(&path, &[b"old"], b"", Durability::Unsynced);
        assert_eq!(*old.block(&cache, 0).unwrap(), *b"old");
        let new = write(&path, &[b"new"], b"", Durability::Unsynced);
        assert_eq!(*new.block(&cache, 0).unwrap(), *b"new");
        // Readers of the replaced file go on.
        assert_eq!(*old.block(&cache, 0).unwrap(), *b"old");
    }

    #[test]
    fn threads_share_a_cache() {
        let folder = folder();
        let body = body(40 * BLOCK_BYTES);
        let file = write(&folder.path().join("a"), &[&body], b"", Durability::Unsynced);
        let cache = BlockCache::new(CACHE_PARTS * BLOCK_BYTES);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (file, cache, body) = (&file, &cache, &body);
                scope.spawn(move || {
                    for i in 0..400 {
                        let block = (i * 7 + thread * 13) % 40;
                        let from = block * BLOCK_BYTES;
                        let bytes = file.block(cache, block).unwrap();
                        assert!(*bytes == body[from..from + BLOCK_BYTES]);
                    }
                });
            }
        });
        let stats = cache.stats();
        assert_eq!(stats.hits + stats.misses, 1600);
        assert!(stats.memory_bytes <= (CACHE_PARTS * BLOCK_BYTES) as u64);
    }
}
