//! The journal's disk access: everything that touches a file or a folder goes through here.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use super::JournalError;
use super::format::{FileHeader, SLOT_BYTES};

/// Zeros are written, and looked for, in pieces of this many bytes.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// A spare file is synced after so many bytes, lest one large flush hold up a commit's sync.
const ZERO_SYNC_BYTES: u64 = 1024 * 1024;

const _: () = assert!((CHUNK_BYTES as u64).is_multiple_of(SLOT_BYTES));

static ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // Compared with zeros piece by piece, which is a memcmp even in an unoptimized build.
    bytes.chunks(CHUNK_BYTES).all(|chunk| chunk == &ZEROS[..chunk.len()])
}

pub(super) fn file_name(file: u64) -> String {
    format!("{file:06}.log")
}

/// The name under which a file is filled with zeros before it joins the journal.
fn spare_name(file: u64) -> String {
    format!("{file:06}.log.new")
}

/// A file of the journal, opened for reading and writing; its errors carry its name.
#[derive(Debug)]
pub(super) struct JournalFile {
    pub(super) file: File,
    pub(super) name: String,
}

impl JournalFile {
    pub(super) fn open(dir: &Path, number: u64) -> Result<Self, JournalError> {
        let name = file_name(number);
        match File::options().read(true).write(true).open(dir.join(&name)) {
            Ok(file) => Ok(Self { file, name }),
            Err(source) => Err(JournalError::Io { action: "open", file: name, source }),
        }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> JournalError + use<> {
        let file = self.name.clone();
        move |source| JournalError::Io { action, file, source }
    }

    pub(super) fn len(&self) -> Result<u64, JournalError> {
        Ok(self.file.metadata().map_err(self.failed("examine"))?.len())
    }

    /// Fills `buffer` from `offset` on; what lies beyond the end of the file reads as zeros.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), JournalError> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => {
                    buffer[done..].fill(0);
                    break;
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("read")(error)),
            }
        }
        Ok(())
    }

    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), JournalError> {
        self.file.write_all_at(bytes, offset).map_err(self.failed("write to"))
    }

    pub(super) fn write_zeros(&self, from: u64, to: u64) -> Result<(), JournalError> {
        write_zeros(&self.file, from, to).map_err(self.failed("write to"))
    }

    pub(super) fn sync_data(&self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(self.failed("sync"))
    }
}

fn write_zeros(file: &File, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let left = usize::try_from(to - at).unwrap_or(usize::MAX);
        let chunk = &ZEROS[..left.min(CHUNK_BYTES)];
        file.write_all_at(chunk, at)?;
        at += chunk.len() as u64;
    }
    Ok(())
}

/// What a journal folder holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Numbers of the files, in order.
    pub(super) files: Vec<u64>,
    /// Unfinished spare files, which hold no records.
    pub(super) spares: Vec<PathBuf>,
}

/// Lists `dir`; an absent folder is an empty one. Names that are not the journal's are left alone.
pub(super) fn list(dir: &Path) -> Result<Listing, JournalError> {
    let failed = |source| dir_error("list", dir, source);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
        Err(error) => return Err(failed(error)),
    };
    let mut listing = Listing::default();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let Some((digits, _)) = name.split_once('.') else { continue };
        let Ok(number) = digits.parse::<u64>() else { continue };
        if name == file_name(number) {
            listing.files.push(number);
        } else if name == spare_name(number) {
            listing.spares.push(dir.join(name));
        }
    }
    listing.files.sort_unstable();
    Ok(listing)
}

fn dir_error(action: &'static str, dir: &Path, source: io::Error) -> JournalError {
    JournalError::Io { action, file: dir.display().to_string(), source }
}

/// Creates `dir` and its missing parents, each of them durably.
pub(super) fn create_dir(dir: &Path) -> Result<(), JournalError> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(dir).map_err(|source| dir_error("create", dir, source))?;
    for path in missing {
        match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new("."))?,
            Some(parent) => sync_dir(parent)?,
            None => {}
        }
    }
    Ok(())
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir)
        .and_then(|file| file.sync_all())
        .map_err(|source| dir_error("sync", dir, source))
}

pub(super) fn remove(path: &Path) -> Result<(), JournalError> {
    fs::remove_file(path).map_err(|source| dir_error("remove", path, source))
}

/// A file of zeros that becomes the next file of the journal, made on a thread of its own.
///
/// It stands under another name until [`Spare::publish`]. Overwriting blocks that were written
/// before costs half the sync of writing new ones; hence zeros, not `fallocate`.
#[derive(Debug)]
pub(super) struct Spare {
    path: PathBuf,
    number: u64,
    bytes: u64,
    /// The thread stops once this many bytes are filled. [`Spare::fill`] lowers it, as the file is
    /// then waited for, and so does a drop, to nothing.
    enough: Arc<AtomicU64>,
    filler: Filler,
}

#[derive(Debug)]
enum Filler {
    Running(JoinHandle<io::Result<Filled>>),
    /// No thread (any more): the file is made where it is needed.
    Absent,
}

/// A file, and how many bytes of zeros it has, durably.
type Filled = (File, u64);

impl Spare {
    /// Starts making file `number`, of `bytes` bytes, in the background.
    pub(super) fn start(dir: &Path, number: u64, bytes: u64) -> Self {
        let mut spare = Self::later(dir, number, bytes);
        let (path, enough) = (spare.path.clone(), Arc::clone(&spare.enough));
        spare.filler = thread::Builder::new()
            .name("journal-spare".to_owned())
            .spawn(move || make_zeros(&path, bytes, &enough))
            .map_or(Filler::Absent, Filler::Running);
        spare
    }

    /// A spare that is made when it is needed, in the calling thread.
    pub(super) fn later(dir: &Path, number: u64, bytes: u64) -> Self {
        let (path, enough) = (dir.join(spare_name(number)), Arc::new(AtomicU64::new(u64::MAX)));
        Self { path, number, bytes, enough, filler: Filler::Absent }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Takes the zeros that there are, and waits for no more than `bytes_min` of them.
    pub(super) fn fill(&mut self, bytes_min: u64) -> Result<Filled, JournalError> {
        self.enough.store(bytes_min, Ordering::Relaxed);
        match std::mem::replace(&mut self.filler, Filler::Absent) {
            Filler::Running(thread) => thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread that makes it panicked"))),
            Filler::Absent => make_zeros(&self.path, self.bytes, &self.enough),
        }
        .map_err(self.failed("preallocate"))
    }

    /// Makes a filled file part of the journal, durably.
    ///
    /// IMPORTANT: the header is synced before the name is given, so a file under a journal name
    /// has a whole header even after a crash.
    pub(super) fn publish(
        self,
        dir: &Path,
        file: File,
        header: &FileHeader,
    ) -> Result<JournalFile, JournalError> {
        assert_eq!(self.number, header.file, "a spare is made for one file number");
        file.write_all_at(&header.encode(), 0).map_err(self.failed("write to"))?;
        file.sync_all().map_err(self.failed("sync"))?;
        let name = file_name(self.number);
        let path = dir.join(&name);
        // A rename would silently replace a file of this name, and with it perhaps records.
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(self.failed("examine")(error)),
            Ok(_) => return Err(self.failed("create")(io::ErrorKind::AlreadyExists.into())),
        }
        fs::rename(&self.path, &path).map_err(self.failed("rename"))?;
        sync_dir(dir)?;
        Ok(JournalFile { file, name })
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> JournalError + use<> {
        let file = file_name(self.number);
        move |source| JournalError::Io { action, file, source }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        // The thread must not outlive the journal: another one may open the same folder next.
        self.enough.store(0, Ordering::Relaxed);
        if let Filler::Running(thread) = std::mem::replace(&mut self.filler, Filler::Absent) {
            drop(thread.join());
        }
        // After `publish` there is nothing under this name. Else a failure does no harm: the next
        // open removes the file.
        drop(fs::remove_file(&self.path));
    }
}

fn make_zeros(path: &Path, bytes: u64, enough: &AtomicU64) -> io::Result<Filled> {
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    let mut at = 0;
    while at < bytes && at < enough.load(Ordering::Relaxed) {
        let to = bytes.min(at + ZERO_SYNC_BYTES);
        write_zeros(&file, at, to)?;
        file.sync_data()?;
        at = to;
    }
    file.sync_all()?;
    Ok((file, at))
}
