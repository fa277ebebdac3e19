//! The journal's disk access: everything that touches a file or a folder goes through here.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use super::format::{FileHeader, SLOT, SLOT_BYTES};
use super::{FILE_BYTES_MIN, JournalError};
use crate::embedded::fs::{Fs, FsFile, OpenMode};

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

/// The folder that the journal is in.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) path: PathBuf,
}

impl Folder {
    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> JournalError + use<> {
        let file = self.path.display().to_string();
        move |source| JournalError::Io { action, file, source }
    }

    /// Opens a file of the journal.
    pub(super) fn open(&self, number: u64) -> Result<JournalFile, JournalError> {
        let name = file_name(number);
        match self.fs.open(&self.path.join(&name), OpenMode::Write) {
            Ok(file) => Ok(JournalFile { file, name }),
            Err(source) => Err(JournalError::Io { action: "open", file: name, source }),
        }
    }

    /// What is there; nothing if the folder is absent. Names that are not the journal's are left
    /// alone.
    pub(super) fn list(&self) -> Result<Listing, JournalError> {
        let mut listing = Listing::default();
        for name in self.fs.list(&self.path).map_err(self.failed("list"))? {
            let Some((digits, _)) = name.split_once('.') else { continue };
            let Ok(number) = digits.parse::<u64>() else { continue };
            if name == file_name(number) {
                listing.files.push(number);
            } else if name == spare_name(number) {
                listing.spares.push(name);
            }
        }
        listing.files.sort_unstable();
        listing.spares.sort_unstable();
        Ok(listing)
    }

    /// Creates the folder and its missing parents, each of them durably.
    pub(super) fn create(&self) -> Result<(), JournalError> {
        let failed = || self.failed("create");
        let mut missing = Vec::new();
        for folder in self.path.ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
            // Who created the journal's own folder may have been killed before its parent was
            // synced, so that is done even if the folder is there.
            if self.fs.exists(folder).map_err(failed())? && folder != self.path {
                break;
            }
            missing.push(folder);
        }
        for folder in missing.into_iter().rev() {
            self.fs.create_dir(folder).map_err(failed())?;
            let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
            self.fs.sync_dir(parent.unwrap_or(Path::new("."))).map_err(failed())?;
        }
        Ok(())
    }

    /// Removes a file by its name, durably after [`Folder::sync`].
    pub(super) fn remove(&self, name: &str) -> Result<(), JournalError> {
        self.fs.remove(&self.path.join(name)).map_err(|source| JournalError::Io {
            action: "remove",
            file: name.to_owned(),
            source,
        })
    }

    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.fs.sync_dir(&self.path).map_err(self.failed("sync"))
    }
}

/// What a journal folder holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Numbers of the files, in order.
    pub(super) files: Vec<u64>,
    /// Names of unfinished spare files, which hold no records.
    pub(super) spares: Vec<String>,
}

/// A file of the journal, opened for reading and writing; its errors carry its name.
#[derive(Debug)]
pub(super) struct JournalFile {
    pub(super) file: Arc<dyn FsFile>,
    pub(super) name: String,
}

impl JournalFile {
    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> JournalError + use<> {
        let file = self.name.clone();
        move |source| JournalError::Io { action, file, source }
    }

    pub(super) fn len(&self) -> Result<u64, JournalError> {
        self.file.len().map_err(self.failed("examine"))
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

    pub(super) fn sync_data(&self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(self.failed("sync"))
    }
}

fn write_zeros(file: &dyn FsFile, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let left = usize::try_from(to - at).unwrap_or(usize::MAX);
        let chunk = &ZEROS[..left.min(CHUNK_BYTES)];
        file.write_all_at(chunk, at)?;
        at += chunk.len() as u64;
    }
    Ok(())
}

/// A file that becomes the next file of the journal: of zeros, or one that was released.
///
/// It stands under another name until [`Spare::publish`]. Overwriting blocks that were written
/// before costs half the sync of writing new ones; hence zeros, not `fallocate`.
#[derive(Debug)]
pub(super) struct Spare {
    folder: Folder,
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
    Done(io::Result<Filled>),
    /// The file is made where it is needed.
    Absent,
}

/// A file with blocks.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) file: Arc<dyn FsFile>,
    /// Its length, which is durable.
    pub(super) bytes: u64,
    /// It holds the bytes of a released file, and not zeros.
    pub(super) recycled: bool,
}

impl Spare {
    /// Starts making file `number`, of `bytes` bytes, on a thread of its own.
    pub(super) fn start(folder: &Folder, number: u64, bytes: u64) -> Self {
        let mut spare = Self::later(folder, number, bytes);
        let (folder, enough) = (folder.clone(), Arc::clone(&spare.enough));
        spare.filler = thread::Builder::new()
            .name("journal-spare".to_owned())
            .spawn(move || make_zeros(&folder, number, bytes, &enough))
            .map_or(Filler::Absent, Filler::Running);
        spare
    }

    /// Makes file `number` in the calling thread. A failure is told by [`Spare::fill`].
    pub(super) fn now(folder: &Folder, number: u64, bytes: u64) -> Self {
        let mut spare = Self::later(folder, number, bytes);
        spare.filler = Filler::Done(make_zeros(folder, number, bytes, &spare.enough));
        spare
    }

    /// A spare that is made when it is needed, in the calling thread.
    pub(super) fn later(folder: &Folder, number: u64, bytes: u64) -> Self {
        let enough = Arc::new(AtomicU64::new(u64::MAX));
        Self { folder: folder.clone(), number, bytes, enough, filler: Filler::Absent }
    }

    /// Makes file `number` of the file `released`, if that has about `bytes` bytes. Otherwise, the
    /// file is still there.
    ///
    /// The new name is not synced: under either name the file is removed at the next open, and the
    /// old bytes are of no use to anybody.
    pub(super) fn recycle(
        folder: &Folder,
        released: u64,
        number: u64,
        bytes: u64,
    ) -> Result<Option<Self>, JournalError> {
        let file = folder.open(released)?;
        let found = file.len()?;
        // A file is long if it had to take one large record, and short if it was needed before its
        // zeros were written; neither is to be handed down.
        if found < FILE_BYTES_MIN || found < bytes / 2 || found > bytes.saturating_mul(2) {
            return Ok(None);
        }
        let mut spare = Self::later(folder, number, bytes);
        let Folder { fs, path } = folder;
        fs.rename(&path.join(&file.name), &path.join(spare_name(number)))
            .map_err(file.failed("rename"))?;
        let JournalFile { file, .. } = file;
        spare.filler = Filler::Done(Ok(Filled { file, bytes: found, recycled: true }));
        Ok(Some(spare))
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Takes the blocks that there are, and waits for no more than `bytes_min` bytes of them.
    pub(super) fn fill(&mut self, bytes_min: u64) -> Result<Filled, JournalError> {
        self.enough.store(bytes_min, Ordering::Relaxed);
        match std::mem::replace(&mut self.filler, Filler::Absent) {
            Filler::Running(thread) => thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread that makes it panicked"))),
            Filler::Done(filled) => filled,
            Filler::Absent => make_zeros(&self.folder, self.number, self.bytes, &self.enough),
        }
        .map_err(self.failed("preallocate"))
    }

    /// Makes a filled file part of the journal, durably.
    ///
    /// IMPORTANT: the header is synced before the name is given, so a file under a journal name
    /// has a whole header even after a crash.
    pub(super) fn publish(
        self,
        file: Arc<dyn FsFile>,
        header: &FileHeader,
    ) -> Result<JournalFile, JournalError> {
        assert_eq!(self.number, header.file, "a spare is made for one file number");
        let mut page = header.encode();
        if header.recycled {
            // The terminator: no record stands behind the header yet.
            page.extend_from_slice(&[0; SLOT]);
        }
        file.write_all_at(&page, 0).map_err(self.failed("write to"))?;
        file.sync_data().map_err(self.failed("sync"))?;
        let Folder { fs, path } = &self.folder;
        let name = file_name(self.number);
        let to = path.join(&name);
        // A rename would silently replace a file of this name, and with it perhaps records.
        if fs.exists(&to).map_err(self.failed("examine"))? {
            return Err(self.failed("create")(io::ErrorKind::AlreadyExists.into()));
        }
        fs.rename(&path.join(spare_name(self.number)), &to).map_err(self.failed("rename"))?;
        self.folder.sync()?;
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
        drop(self.folder.remove(&spare_name(self.number)));
    }
}

fn make_zeros(folder: &Folder, number: u64, bytes: u64, enough: &AtomicU64) -> io::Result<Filled> {
    let path = folder.path.join(spare_name(number));
    let file = folder.fs.open(&path, OpenMode::CreateNew)?;
    let mut at = 0;
    while at < bytes && at < enough.load(Ordering::Relaxed) {
        let to = bytes.min(at + ZERO_SYNC_BYTES);
        write_zeros(&*file, at, to)?;
        file.sync_data()?;
        at = to;
    }
    Ok(Filled { file, bytes: at, recycled: false })
}
