//! A disk in memory that fails on purpose, for tests.
//!
//! [`SimFs`] is an [`Fs`] whose every answer follows from a seed. It keeps apart what a process
//! sees (the system's cache) and what is durable, so it can tell what a power cut leaves:
//!
//! - Of bytes that were written and not synced, each 512-byte sector is as it was before or after
//!   any one of these writes, whatever became of other sectors, writes and files.
//! - A file's length, if it grew and was not synced, is any length in between.
//! - A name that was given or taken away and not synced is there or not. Two changes of one name do
//!   not change places, and a rename is never half done. As on Linux, syncing a file says nothing
//!   about its name, and syncing a folder nothing about the folder's own name.
//!
//! Besides, it refuses writes and syncs, runs out of space, and writes less than it was asked to.
//! It counts *operations*: whatever changes the disk or makes a change durable. A test runs once
//! to learn how many there are, and then again for each of them:
//!
//! ```
//! # use std::path::Path;
//! # use floe_store::embedded::fs::{Fs as _, FsFile as _, OpenMode};
//! # use floe_store::embedded::sim::SimFs;
//! let write = |disk: &SimFs| -> std::io::Result<()> {
//!     let file = disk.open(Path::new("/file"), OpenMode::CreateNew)?;
//!     file.write_all_at(b"bytes", 0)?;
//!     file.sync_data()?;
//!     disk.sync_dir(Path::new("/"))
//! };
//! let disk = SimFs::new(1);
//! write(&disk)?;
//! assert_eq!(disk.operations(), 4);
//! for operation in 1..=4 {
//!     let disk = SimFs::new(1);
//!     disk.cut_power_at(operation);
//!     assert!(write(&disk).is_err());
//!     let disk = disk.after_power_cut(operation);
//!     // The file is there or not: its folder was never synced.
//!     disk.exists(Path::new("/file"))?;
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Paths are absolute. It models no folders that are removed or renamed, and no other process.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fs::{Fs, FsFile, OpenMode};

/// The error number of a disk that cannot read or write.
pub const EIO: i32 = 5;
/// The error number of a disk that is full.
pub const ENOSPC: i32 = 28;

/// What a power cut leaves whole.
const SECTOR: usize = 512;

/// A pseudo-random sequence that follows from its seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Equal seeds give equal sequences.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.bits().checked_rem(limit).unwrap_or(0)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap_or(0)
    }
}

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimFs(Arc<Mutex<Disk>>);

struct Disk {
    seed: u64,
    random: Random,
    files: Vec<File>,
    /// As a process sees them.
    names: BTreeMap<PathBuf, Node>,
    /// As a power cut leaves them in any case.
    durable_names: BTreeMap<PathBuf, Node>,
    /// In order, those that lead from the durable names to the present ones.
    unsynced_names: Vec<NameChange>,
    log: Vec<Operation>,
    cut_at: Option<u64>,
    is_cut: bool,
    faults: Vec<Fault>,
    free_bytes: u64,
    has_short_writes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    /// An index of [`Disk::files`].
    File(usize),
}

#[derive(Default)]
struct File {
    /// As a process sees them.
    bytes: Vec<u8>,
    /// As a power cut leaves them in any case.
    durable: Vec<u8>,
    /// In order.
    unsynced: Vec<Write>,
}

/// A write that is in the cache only.
struct Write {
    operation: u64,
    /// A multiple of the sector.
    at: usize,
    /// What the cache held from there on after this write: whole sectors, or up to the file's end.
    bytes: Vec<u8>,
    /// The file's length after it.
    file_bytes: usize,
}

struct NameChange {
    operation: u64,
    /// The name that goes.
    from: Option<PathBuf>,
    /// The name that is given.
    to: Option<(PathBuf, Node)>,
}

impl NameChange {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.from.iter().chain(self.to.iter().map(|(path, _)| path))
    }

    fn is_in(&self, folder: &Path) -> bool {
        self.paths().any(|path| path.parent() == Some(folder))
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        if let Some(from) = &self.from {
            names.remove(from);
        }
        if let Some((to, node)) = &self.to {
            names.insert(to.clone(), *node);
        }
    }
}

#[derive(Clone, Debug)]
struct Operation {
    kind: Kind,
    path: PathBuf,
    fails: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Create,
    CreateDir,
    Write { at: u64, bytes: usize },
    SyncData,
    Rename,
    HardLink,
    Remove,
    SyncDir,
}

impl Kind {
    fn is_write(self) -> bool {
        matches!(self, Self::Write { .. })
    }

    fn is_sync(self) -> bool {
        matches!(self, Self::SyncData | Self::SyncDir)
    }
}

struct Fault {
    /// The first operation that it is for.
    from: u64,
    of: fn(Kind) -> bool,
    errno: i32,
}

/// How an operation goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    Done,
    Fails(i32),
    /// The power fails while it is done: it is begun, and not answered.
    Cut,
}

fn power_cut() -> io::Error {
    io::Error::other("the power was cut")
}

/// Which of the changes that were not synced survive a power cut.
enum Survivors {
    None,
    All,
    /// Those before this operation, which is torn itself, as on a disk that keeps the order.
    Before(u64),
    /// Each by itself.
    Each,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    /// Each part by itself.
    Torn,
}

impl Survivors {
    fn draw(random: &mut Random, operations: u64) -> Self {
        match random.below(6) {
            0 => Self::None,
            1 => Self::All,
            2 => Self::Before(1 + random.below(operations)),
            _ => Self::Each,
        }
    }

    fn fate(&self, random: &mut Random, operation: u64) -> Fate {
        match self {
            Self::None => Fate::Lost,
            Self::All => Fate::Kept,
            Self::Before(torn) if operation < *torn => Fate::Kept,
            Self::Before(torn) if operation == *torn => Fate::Torn,
            Self::Before(_) => Fate::Lost,
            Self::Each => match random.below(3) {
                0 => Fate::Lost,
                1 => Fate::Kept,
                _ => Fate::Torn,
            },
        }
    }
}

impl Fate {
    fn keeps(self, random: &mut Random) -> bool {
        match self {
            Self::Lost => false,
            Self::Kept => true,
            Self::Torn => random.one_in(2),
        }
    }
}

/// `Vec::resize`, which in a build that is not optimized goes byte by byte.
fn lengthen(bytes: &mut Vec<u8>, len: usize) {
    bytes.extend_from_slice(&vec![0; len.saturating_sub(bytes.len())]);
}

impl File {
    fn of(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), bytes, unsynced: Vec::new() }
    }

    fn write(&mut self, operation: u64, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        lengthen(&mut self.bytes, end);
        self.bytes[at..end].copy_from_slice(bytes);
        let (from, to) = (at - at % SECTOR, end.next_multiple_of(SECTOR).min(self.bytes.len()));
        self.unsynced.push(Write {
            operation,
            at: from,
            bytes: self.bytes[from..to].to_vec(),
            file_bytes: self.bytes.len(),
        });
    }

    fn sync(&mut self) {
        for Write { at, bytes, file_bytes, .. } in self.unsynced.drain(..) {
            lengthen(&mut self.durable, file_bytes);
            self.durable[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    /// What may be on the disk, of which no more than the durable bytes is certain.
    fn after(&self, survivors: &Survivors, random: &mut Random) -> Vec<u8> {
        let mut length = self.durable.len();
        for write in &self.unsynced {
            let longer = write.file_bytes.saturating_sub(length);
            match survivors.fate(random, write.operation) {
                Fate::Lost => {}
                Fate::Kept => length += longer,
                Fate::Torn => length += random.index(longer + 1),
            }
        }
        let mut disk = self.durable.clone();
        lengthen(&mut disk, length);
        for write in &self.unsynced {
            let fate = survivors.fate(random, write.operation);
            for (at, sector) in (write.at..).step_by(SECTOR).zip(write.bytes.chunks(SECTOR)) {
                if fate.keeps(random)
                    && let Some(target) = disk.get_mut(at..)
                {
                    let bytes = sector.len().min(target.len());
                    target[..bytes].copy_from_slice(&sector[..bytes]);
                }
            }
        }
        disk
    }
}

impl Disk {
    fn new(seed: u64) -> Self {
        let root = || BTreeMap::from([(PathBuf::from("/"), Node::Folder)]);
        Self {
            seed,
            random: Random::new(seed),
            files: Vec::new(),
            names: root(),
            durable_names: root(),
            unsynced_names: Vec::new(),
            log: Vec::new(),
            cut_at: None,
            is_cut: false,
            faults: Vec::new(),
            free_bytes: u64::MAX,
            has_short_writes: false,
        }
    }

    fn operations(&self) -> u64 {
        self.log.len() as u64
    }

    fn check_power(&self) -> io::Result<()> {
        if self.is_cut { Err(power_cut()) } else { Ok(()) }
    }

    /// Counts an operation and says how it goes.
    fn begin(&mut self, kind: Kind, path: &Path) -> io::Result<Course> {
        self.check_power()?;
        let number = self.operations() + 1;
        let course = if self.cut_at.is_some_and(|at| at <= number) {
            self.is_cut = true;
            Course::Cut
        } else {
            let fault =
                self.faults.iter().position(|fault| fault.from <= number && (fault.of)(kind));
            match fault {
                Some(fault) => Course::Fails(self.faults.swap_remove(fault).errno),
                None => Course::Done,
            }
        };
        let fails = course != Course::Done;
        self.log.push(Operation { kind, path: path.to_owned(), fails });
        Ok(course)
    }

    fn folder_of<'p>(&self, path: &'p Path) -> io::Result<&'p Path> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        match self.names.get(parent) {
            Some(Node::Folder) => Ok(parent),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(&Node::File(file)) => Ok(file),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Does what was checked before.
    fn change_names(
        &mut self,
        kind: Kind,
        from: Option<&Path>,
        to: Option<(&Path, Node)>,
    ) -> io::Result<()> {
        let path = to.map(|(path, _)| path).or(from).unwrap_or(Path::new("/"));
        let course = self.begin(kind, path)?;
        if let Course::Fails(errno) = course {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let change = NameChange {
            operation: self.operations(),
            from: from.map(Path::to_owned),
            to: to.map(|(path, node)| (path.to_owned(), node)),
        };
        let losers: Vec<Node> =
            change.paths().filter_map(|path| self.names.get(path).copied()).collect();
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
        for node in losers {
            if let Node::File(file) = node
                && !self.names.values().any(|&node| node == Node::File(file))
            {
                let bytes = self.files[file].bytes.len() as u64;
                self.free_bytes = self.free_bytes.saturating_add(bytes);
            }
        }
        if course == Course::Cut { Err(power_cut()) } else { Ok(()) }
    }

    fn write(&mut self, file: usize, path: &Path, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let course = self.begin(Kind::Write { at: offset, bytes: bytes.len() }, path)?;
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let length = self.files[file].bytes.len();
        let mut count = bytes.len();
        if self.has_short_writes && count > 1 && self.random.one_in(4) {
            count = 1 + self.random.index(count - 1);
        }
        let room = usize::try_from(self.free_bytes).unwrap_or(usize::MAX);
        count = count.min(length.saturating_add(room).saturating_sub(at));
        if let Course::Fails(_) = course {
            count = self.random.index(count + 1);
        }
        if count > 0 {
            let operation = self.operations();
            self.files[file].write(operation, &bytes[..count], at);
            let longer = self.files[file].bytes.len() - length;
            if self.free_bytes != u64::MAX {
                self.free_bytes -= longer as u64;
            }
        }
        match course {
            Course::Cut => Err(power_cut()),
            Course::Fails(errno) => Err(io::Error::from_raw_os_error(errno)),
            Course::Done if count == 0 && !bytes.is_empty() => {
                Err(io::Error::from_raw_os_error(ENOSPC))
            }
            Course::Done => Ok(count),
        }
    }

    fn sync_data(&mut self, file: usize, path: &Path) -> io::Result<()> {
        match self.begin(Kind::SyncData, path)? {
            Course::Cut => Err(power_cut()),
            Course::Done => {
                self.files[file].sync();
                Ok(())
            }
            Course::Fails(errno) => {
                // As Linux does: whatever could not be written counts as written from now on, and
                // is still read by who asks, or is forgotten at once.
                let file = &mut self.files[file];
                let disk = file.after(&Survivors::Each, &mut self.random);
                if self.random.one_in(2) {
                    file.bytes.clone_from(&disk);
                }
                file.durable = disk;
                file.unsynced.clear();
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }

    fn sync_dir(&mut self, folder: &Path) -> io::Result<()> {
        self.check_power()?;
        if self.names.get(folder) != Some(&Node::Folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        match self.begin(Kind::SyncDir, folder)? {
            Course::Cut => Err(power_cut()),
            Course::Fails(errno) => Err(io::Error::from_raw_os_error(errno)),
            Course::Done => {
                let durable = &mut self.durable_names;
                self.unsynced_names.retain(|change| {
                    let is_in = change.is_in(folder);
                    if is_in {
                        change.apply(durable);
                    }
                    !is_in
                });
                Ok(())
            }
        }
    }

    fn after_power_cut(&self, seed: u64) -> Self {
        let mut after = Self::new(seed);
        let mut random = after.random.clone();
        let survivors = Survivors::draw(&mut random, self.operations());
        let mut names = self.durable_names.clone();
        let mut lost: HashSet<&PathBuf> = HashSet::new();
        for change in &self.unsynced_names {
            // What became of a name later depends on what it was before.
            let fate = survivors.fate(&mut random, change.operation);
            if change.paths().any(|path| lost.contains(path)) || !fate.keeps(&mut random) {
                lost.extend(change.paths());
            } else {
                change.apply(&mut names);
            }
        }
        // A file with two names is still one.
        let mut files = BTreeMap::new();
        // Parents come before what is in them.
        for (path, node) in &names {
            let parent = path.parent().unwrap_or(path);
            if after.names.get(parent) != Some(&Node::Folder) {
                continue;
            }
            let node = match node {
                Node::Folder => Node::Folder,
                Node::File(file) => *files.entry(*file).or_insert_with(|| {
                    let bytes = self.files[*file].after(&survivors, &mut random);
                    after.files.push(File::of(bytes));
                    Node::File(after.files.len() - 1)
                }),
            };
            after.names.insert(path.clone(), node);
        }
        after.durable_names.clone_from(&after.names);
        after.random = random;
        after
    }
}

impl SimFs {
    /// An empty disk, with a root folder.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk::new(seed))))
    }

    /// This disk, as the engine takes it.
    #[must_use]
    pub fn fs(&self) -> Arc<dyn Fs> {
        Arc::new(self.clone())
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What everything here follows from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.disk().seed
    }

    /// Operations so far: creations, writes, syncs, renames, links and removals, failed ones too.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk().operations()
    }

    /// Whether the power was cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.disk().is_cut
    }

    /// Makes a folder and its parents, durably; no operation, as if it had been there before.
    pub fn add_folder(&self, folder: &Path) {
        let mut disk = self.disk();
        for folder in folder.ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
            disk.names.insert(folder.to_owned(), Node::Folder);
            disk.durable_names.insert(folder.to_owned(), Node::Folder);
        }
    }

    /// Cuts the power while this operation (from 1) is done, or the next, if there were as many
    /// already. From then on everything fails; see [`SimFs::after_power_cut`].
    pub fn cut_power_at(&self, operation: u64) {
        self.disk().cut_at = Some(operation);
    }

    /// Lets this operation (from 1) fail, whatever it is.
    pub fn fail_at(&self, operation: u64, errno: i32) {
        self.add_fault(operation, |_| true, errno);
    }

    /// Lets the first write from this operation on fail. Some of its bytes may be written.
    pub fn fail_write_at(&self, operation: u64, errno: i32) {
        self.add_fault(operation, Kind::is_write, errno);
    }

    /// Lets the first sync, of a file or a folder, from this operation on fail. Bytes of the file
    /// that were not synced may be durable or not, and later syncs do not change that, whether they
    /// can still be read or not.
    pub fn fail_sync_at(&self, operation: u64, errno: i32) {
        self.add_fault(operation, Kind::is_sync, errno);
    }

    fn add_fault(&self, from: u64, of: fn(Kind) -> bool, errno: i32) {
        self.disk().faults.push(Fault { from, of, errno });
    }

    /// Lets files grow by so many bytes in all, until some are removed.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.disk().free_bytes = bytes;
    }

    /// Whether one write in four writes less than it was asked to.
    pub fn set_short_writes(&self, enabled: bool) {
        self.disk().has_short_writes = enabled;
    }

    /// Takes back every cut, failure, limit of space and short write that is still to come.
    pub fn heal(&self) {
        let mut disk = self.disk();
        disk.cut_at = None;
        disk.faults.clear();
        disk.free_bytes = u64::MAX;
        disk.has_short_writes = false;
    }

    /// The disk as a power cut now, or the one that there was, may leave it; `seed` says which of
    /// the many ways it is. It has no faults to come, and counts its operations from 1. This disk
    /// stays as it is.
    #[must_use]
    pub fn after_power_cut(&self, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(self.disk().after_power_cut(seed))))
    }

    /// The operations so far, one a line, to be read by people.
    #[must_use]
    pub fn log(&self) -> String {
        let disk = self.disk();
        let lines = (1..).zip(&disk.log).map(|(number, Operation { kind, path, fails })| {
            let fails = if *fails { " FAILS" } else { "" };
            format!("{number:5} {kind:?} {}{fails}\n", path.display())
        });
        lines.collect()
    }
}

impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = self.disk();
        let names: Vec<_> = disk
            .names
            .iter()
            .map(|(path, node)| match node {
                Node::Folder => (path, None),
                Node::File(file) => (path, disk.files.get(*file).map(|file| file.bytes.len())),
            })
            .collect();
        f.debug_struct("SimFs")
            .field("seed", &disk.seed)
            .field("operations", &disk.operations())
            .field("is_cut", &disk.is_cut)
            .field("names", &names)
            .finish_non_exhaustive()
    }
}

impl Fs for SimFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn FsFile>> {
        let mut disk = self.disk();
        disk.check_power()?;
        let file = match mode {
            OpenMode::Read | OpenMode::Write => disk.file(path)?,
            OpenMode::CreateNew => {
                disk.folder_of(path)?;
                if disk.names.contains_key(path) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                disk.files.push(File::default());
                let file = disk.files.len() - 1;
                disk.change_names(Kind::Create, None, Some((path, Node::File(file))))?;
                file
            }
        };
        let is_writable = mode != OpenMode::Read;
        Ok(Arc::new(SimFile { disk: self.clone(), file, path: path.to_owned(), is_writable }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk();
        disk.check_power()?;
        if let Some(Node::File(_)) = disk.names.get(folder) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let inside = disk.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let disk = self.disk();
        disk.check_power()?;
        Ok(disk.names.contains_key(path))
    }

    fn create_dir(&self, folder: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.check_power()?;
        match disk.names.get(folder) {
            Some(Node::Folder) => return Ok(()),
            Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            None => {}
        }
        disk.folder_of(folder)?;
        disk.change_names(Kind::CreateDir, None, Some((folder, Node::Folder)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.check_power()?;
        let file = disk.file(from)?;
        disk.folder_of(to)?;
        if disk.names.get(to) == Some(&Node::Folder) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        disk.change_names(Kind::Rename, Some(from), Some((to, Node::File(file))))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.check_power()?;
        let file = disk.file(from)?;
        disk.folder_of(to)?;
        if disk.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.change_names(Kind::HardLink, None, Some((to, Node::File(file))))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.check_power()?;
        disk.file(path)?;
        disk.change_names(Kind::Remove, Some(path), None)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        self.disk().sync_dir(folder)
    }
}

struct SimFile {
    disk: SimFs,
    file: usize,
    /// The name that it was opened under.
    path: PathBuf,
    is_writable: bool,
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FsFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let disk = self.disk.disk();
        disk.check_power()?;
        Ok(disk.files[self.file].bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.disk.disk();
        disk.check_power()?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = disk.files[self.file].bytes.get(offset..).unwrap_or_default();
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if !self.is_writable {
            // EBADF.
            return Err(io::Error::from_raw_os_error(9));
        }
        self.disk.disk().write(self.file, &self.path, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.disk().sync_data(self.file, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(disk: &SimFs, path: &str) -> Arc<dyn FsFile> {
        disk.open(Path::new(path), OpenMode::CreateNew).unwrap()
    }

    fn bytes(disk: &SimFs, path: &str) -> Option<Vec<u8>> {
        let file = disk.open(Path::new(path), OpenMode::Read).ok()?;
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        Some(bytes)
    }

    /// What cuts of the power, now, may leave of a file.
    fn outcomes(disk: &SimFs, path: &str) -> HashSet<Option<Vec<u8>>> {
        (0..400).map(|seed| bytes(&disk.after_power_cut(seed), path)).collect()
    }

    fn synced(path: &str, content: &[u8]) -> (SimFs, Arc<dyn FsFile>) {
        let disk = SimFs::new(1);
        let file = create(&disk, path);
        file.write_all_at(content, 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        (disk, file)
    }

    #[test]
    fn what_is_synced_stays() {
        let (disk, _) = synced("/a", b"one");
        assert_eq!(disk.operations(), 4);
        assert_eq!(outcomes(&disk, "/a"), HashSet::from([Some(b"one".to_vec())]));
    }

    #[test]
    fn sectors_that_are_not_synced_are_lost_or_not_each_by_itself() {
        let (disk, file) = synced("/a", &[b'0'; 3 * SECTOR]);
        file.write_all_at(&[b'1'; SECTOR + 1], 100).unwrap();
        file.write_all_at(&[b'2'; 10], 0).unwrap();
        let outcomes = outcomes(&disk, "/a");
        let sectors = |outcome: &Option<Vec<u8>>| -> Vec<(u8, u8, u8)> {
            let bytes = outcome.as_ref().unwrap();
            bytes.chunks(SECTOR).map(|sector| (sector[0], sector[9], sector[100])).collect()
        };
        let found: HashSet<_> = outcomes.iter().map(sectors).collect();
        // The first sector as it was, after the first write, or after both.
        let first = [(b'0', b'0', b'0'), (b'0', b'0', b'1'), (b'2', b'2', b'1')];
        let second = [(b'0', b'0', b'0'), (b'1', b'1', b'1')];
        let third = (b'0', b'0', b'0');
        let expected: HashSet<_> =
            first.iter().flat_map(|&a| second.map(|b| vec![a, b, third])).collect();
        assert_eq!(found.len(), 6);
        assert_eq!(
            found.iter().map(|found| found[0]).collect::<HashSet<_>>(),
            HashSet::from(first)
        );
        let second_is_new = |found: &Vec<(u8, u8, u8)>| found[1].0 == b'1';
        assert!(found.iter().any(second_is_new) && !found.iter().all(second_is_new));
        assert_eq!(expected.len(), 6);
    }

    #[test]
    fn a_length_that_is_not_synced_is_any_in_between() {
        let (disk, file) = synced("/a", b"");
        file.write_all_at(&[1; 2000], 0).unwrap();
        let lengths: HashSet<usize> =
            outcomes(&disk, "/a").into_iter().map(|bytes| bytes.unwrap().len()).collect();
        assert!(lengths.contains(&0) && lengths.contains(&2000) && lengths.len() > 50);
        file.sync_data().unwrap();
        assert_eq!(outcomes(&disk, "/a"), HashSet::from([Some(vec![1; 2000])]));
    }

    #[test]
    fn a_rename_is_done_or_not() {
        let (disk, _) = synced("/a", b"old");
        let file = create(&disk, "/b");
        file.write_all_at(b"new", 0).unwrap();
        file.sync_data().unwrap();
        disk.rename(Path::new("/b"), Path::new("/a")).unwrap();
        assert_eq!((bytes(&disk, "/a"), bytes(&disk, "/b")), (Some(b"new".to_vec()), None));
        let mut found = HashSet::new();
        for seed in 0..100 {
            let disk = disk.after_power_cut(seed);
            found.insert((bytes(&disk, "/a").unwrap(), bytes(&disk, "/b")));
        }
        let (old, new) = (b"old".to_vec(), b"new".to_vec());
        let expected = [(old.clone(), None), (old, Some(new.clone())), (new.clone(), None)];
        assert_eq!(found, HashSet::from(expected));
        disk.sync_dir(Path::new("/")).unwrap();
        assert_eq!(outcomes(&disk, "/a"), HashSet::from([Some(new)]));
        assert_eq!(outcomes(&disk, "/b"), HashSet::from([None]));
    }

    #[test]
    fn links_and_removals_are_done_or_not() {
        let (disk, file) = synced("/a", b"one");
        disk.hard_link(Path::new("/a"), Path::new("/b")).unwrap();
        let two = HashSet::from([None, Some(b"one".to_vec())]);
        assert_eq!(outcomes(&disk, "/b"), two);
        disk.sync_dir(Path::new("/")).unwrap();
        file.write_all_at(b"two", 0).unwrap();
        file.sync_data().unwrap();
        disk.remove(Path::new("/a")).unwrap();
        assert_eq!(outcomes(&disk, "/a"), HashSet::from([None, Some(b"two".to_vec())]));
        assert_eq!(outcomes(&disk, "/b"), HashSet::from([Some(b"two".to_vec())]), "one file");
    }

    #[test]
    fn a_folder_that_is_not_synced_takes_everything_along() {
        let disk = SimFs::new(1);
        disk.create_dir(Path::new("/f")).unwrap();
        create(&disk, "/f/a").sync_data().unwrap();
        disk.sync_dir(Path::new("/f")).unwrap();
        assert_eq!(outcomes(&disk, "/f/a"), HashSet::from([None, Some(vec![])]));
        disk.sync_dir(Path::new("/")).unwrap();
        assert_eq!(outcomes(&disk, "/f/a"), HashSet::from([Some(vec![])]));
        assert_eq!(disk.list(Path::new("/f")).unwrap(), ["a"]);
        assert!(disk.open(Path::new("/g/a"), OpenMode::CreateNew).is_err());
        disk.add_folder(Path::new("/g/h"));
        create(&disk, "/g/h/a");
    }

    #[test]
    fn the_power_is_cut_at_one_operation_and_stays_off() {
        let (disk, file) = synced("/a", b"one");
        disk.cut_power_at(6);
        file.write_all_at(b"two", 0).unwrap();
        assert!(!disk.is_cut());
        assert_eq!(file.sync_data().unwrap_err().to_string(), "the power was cut");
        assert!(disk.is_cut());
        assert!(file.write_all_at(b"x", 0).is_err() && file.len().is_err());
        assert!(disk.exists(Path::new("/a")).is_err() && disk.list(Path::new("/")).is_err());
        let (old, new) = (Some(b"one".to_vec()), Some(b"two".to_vec()));
        assert_eq!(outcomes(&disk, "/a"), HashSet::from([old, new]));
        let after = disk.after_power_cut(1);
        assert_eq!((after.operations(), after.is_cut(), after.seed()), (0, false, 1));
        assert_eq!(disk.operations(), 6);
        assert_eq!(disk.log().lines().last().unwrap(), "    6 SyncData /a FAILS");
    }

    #[test]
    fn after_a_failed_sync_a_later_one_saves_nothing() {
        let mut found = HashSet::new();
        for seed in 0..100 {
            let disk = SimFs::new(seed);
            let file = create(&disk, "/a");
            file.write_all_at(b"one", 0).unwrap();
            file.sync_data().unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            file.write_all_at(b"two", 0).unwrap();
            disk.fail_sync_at(1, EIO);
            assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(EIO));
            file.sync_data().unwrap();
            let durable = outcomes(&disk, "/a");
            assert_eq!(durable.len(), 1);
            found.insert((bytes(&disk, "/a"), durable.into_iter().next().unwrap()));
        }
        let (one, two) = (Some(b"one".to_vec()), Some(b"two".to_vec()));
        let forgotten = (one.clone(), one.clone());
        assert_eq!(found, HashSet::from([forgotten, (two.clone(), one), (two.clone(), two)]));
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let (disk, file) = synced("/a", b"12345");
        disk.set_free_bytes(3);
        assert_eq!(file.write_at(b"abcdef", 2).unwrap(), 6, "three of them are there already");
        assert_eq!(file.write_at(b"x", 8).unwrap_err().raw_os_error(), Some(ENOSPC));
        assert_eq!(file.write_at(b"xyz", 0).unwrap(), 3);
        let other = create(&disk, "/b");
        other.write_at(b"x", 0).unwrap_err();
        disk.remove(Path::new("/a")).unwrap();
        assert_eq!(other.write_at(&[0; 100], 0).unwrap(), 8);
        disk.heal();
        assert_eq!(other.write_at(&[0; 100], 0).unwrap(), 100);
    }

    #[test]
    fn writes_are_short_and_refused_as_asked() {
        let (disk, file) = synced("/a", b"");
        disk.set_short_writes(true);
        let counts: HashSet<usize> = (0..100).map(|_| file.write_at(b"abc", 0).unwrap()).collect();
        assert_eq!(counts, HashSet::from([1, 2, 3]));
        disk.heal();
        let next = disk.operations() + 1;
        disk.fail_write_at(next, ENOSPC);
        disk.fail_at(next + 2, EIO);
        file.sync_data().unwrap();
        assert_eq!(file.write_at(b"abc", 0).unwrap_err().raw_os_error(), Some(ENOSPC));
        let error = disk.rename(Path::new("/a"), Path::new("/b")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(EIO));
        assert!(bytes(&disk, "/a").is_some());
        disk.rename(Path::new("/a"), Path::new("/b")).unwrap();
        assert!(disk.open(Path::new("/b"), OpenMode::Read).unwrap().write_at(b"x", 0).is_err());
    }

    #[test]
    fn a_seed_says_it_all() {
        let run = |seed| {
            let disk = SimFs::new(seed);
            disk.set_short_writes(true);
            let file = create(&disk, "/a");
            file.write_all_at(&[7; 3000], 0).unwrap();
            (disk.log(), bytes(&disk.after_power_cut(seed), "/a"))
        };
        let runs: Vec<_> = (0..50).map(run).collect();
        assert_eq!(runs, (0..50).map(run).collect::<Vec<_>>());
        assert!(runs.iter().collect::<HashSet<_>>().len() > 10);
    }
}
