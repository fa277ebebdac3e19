//! The journal: where an acknowledged event is, from the first moment on.
//!
//! It owns a folder of numbered files, and in them *records* of opaque bytes. One record is one
//! group commit and one durable unit: [`Journal::append`] returns once the record is synced, and
//! the next is written only then. So at most one unsynced record exists at any time, which is what
//! lets [`Journal::open`] tell a torn tail (passed over, nobody was promised it) from damage
//! (refused).
//!
//! It refuses to know what a payload means, to guess (a file that is missing, foreign, newer or
//! damaged is named and left as it is), and to write again after a failed write or sync.
//!
//! The bytes on disk are described in `docs/format.md`.

mod file;
mod format;
mod recover;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use self::file::{Filled, Folder, JournalFile, Spare};
use self::format::{
    FILE_HEADER_BYTES, FORMAT_VERSION, FileHeader, Kind, RECORD_HEADER_BYTES, RecordHeader, SLOT,
    SLOT_BYTES, record_bytes,
};
use self::recover::{LastFile, Recovered};
use super::fs::Fs;

/// The largest payload of one record, in bytes.
pub const RECORD_BYTES_MAX: u64 = format::RECORD_BYTES_MAX;
/// The size of a file unless [`JournalOptions`] say otherwise, in bytes.
pub const FILE_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// Files are at least this large, in bytes: a header and a page of records.
pub const FILE_BYTES_MIN: u64 = 2 * FILE_HEADER_BYTES;
/// The first file has this many bytes, so that a new folder is ready at once; each further file is
/// to have [`FILE_GROWTH`] times as many as the one before; the configured size is the limit.
const FIRST_FILE_BYTES: u64 = 4 * 1024 * 1024;
const FILE_GROWTH: u64 = 4;
/// The next file is prepared once this part (1/n) of the current one is used.
const SPARE_AFTER_PART: u64 = 4;
/// A file that is needed before it is filled with zeros is taken as it is once this part (1/n) of
/// them is there: a commit waits for no more, and there are at most so many times more files.
const SPARE_ENOUGH_PART: u64 = 4;
/// So many files to come are made of released ones at most; further ones are removed.
const SPARES_MAX: usize = 2;
/// A record is written in pieces of this many bytes at most.
const SCRATCH_BYTES: usize = 1024 * 1024;

/// Called with a new file's number once the file is durable and before a record is put in it.
///
/// The owner records the number, durably, and hands it to the next [`Journal::open`] as
/// [`KnownFiles::last`].
pub type OnNewFile = Box<dyn FnMut(u64) -> io::Result<()> + Send>;

/// Whose journal it is; stands in every file's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalIdentity {
    /// The data folder's id.
    pub folder_id: [u8; 16],
    /// A check value of the folder's key: tells another key, and tells nothing about the key.
    pub key_check: [u8; 8],
}

/// Which files the owner durably knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownFiles {
    /// The first file that is needed, from 1: the highest number that [`Journal::release_before`]
    /// was called with, or was about to be. What is left of files before it is removed.
    pub first: u64,
    /// The highest number that [`OnNewFile`] was called with; 0 for a new journal.
    pub last: u64,
}

impl Default for KnownFiles {
    /// A new journal's.
    fn default() -> Self {
        Self { first: 1, last: 0 }
    }
}

/// Which record, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// The record's number, from 1; rises from record to record, over released files too.
    pub record: u64,
    /// Number of the file that the record is in; never falls from record to record.
    pub file: u64,
}

/// How a journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// The size of a file in bytes, preallocated; less than [`FILE_BYTES_MIN`] counts as that.
    ///
    /// A file is larger if it holds a single record that does not fit, and the first files are
    /// smaller.
    pub file_bytes: u64,
    /// Whether the next file is prepared on a thread of its own, so that no append waits for it.
    /// Otherwise the thread that appends does it, and all is done in one order.
    pub prepare_in_background: bool,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { file_bytes: FILE_BYTES_DEFAULT, prepare_in_background: true }
    }
}

impl JournalOptions {
    fn file_bytes(self) -> u64 {
        self.file_bytes.max(FILE_BYTES_MIN)
    }

    /// The size that file `number` is preallocated to, if there is time.
    fn bytes_of_file(self, number: u64) -> u64 {
        let growth = (1..number)
            .take(u64::BITS as usize)
            .fold(FIRST_FILE_BYTES, |bytes, _| bytes.saturating_mul(FILE_GROWTH));
        growth.min(self.file_bytes())
    }
}

/// Why the journal cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The operating system refused.
    #[error("cannot {action} `{file}` of the journal")]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file's name, or the folder's path.
        file: String,
        /// The system's error.
        source: io::Error,
    },
    /// Bytes are not what was written, and a crash does not explain it.
    #[error("journal file {file} is corrupt at offset {offset}: {why}")]
    Corrupt {
        /// The file's name.
        file: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// What was found there.
        why: String,
    },
    /// A later Floe wrote the file.
    #[error("journal file {file} has format {version}; this Floe reads up to {supported}")]
    NewerFormat {
        /// The file's name.
        file: String,
        /// The file's format version.
        version: u32,
        /// The highest format version that can be read.
        supported: u32,
    },
    /// The file was put here from another data folder.
    #[error("journal file {file} belongs to data folder {found}, not to this one, {expected}")]
    WrongFolder {
        /// The file's name.
        file: String,
        /// The id in the file, in hexadecimal digits.
        found: String,
        /// This folder's id, in hexadecimal digits.
        expected: String,
    },
    /// The file was written when the folder had another key.
    #[error("journal file {file} was written under a key with check value {found}, not {expected}")]
    WrongKey {
        /// The file's name.
        file: String,
        /// The check value in the file, in hexadecimal digits.
        found: String,
        /// The check value of this folder's key, in hexadecimal digits.
        expected: String,
    },
    /// A file that must exist does not.
    #[error("journal file {file} is missing; files {first} to {last} are known and needed")]
    MissingFile {
        /// The file's name.
        file: String,
        /// The number of the first file that the owner needs.
        first: u64,
        /// The number of the last file known to the owner.
        last: u64,
    },
    /// A file exists, or holds records, that the owner has never heard of.
    #[error("journal file {file} is not expected; no file after {known} is known")]
    UnexpectedFile {
        /// The file's name.
        file: String,
        /// The number of the last file known to the owner.
        known: u64,
    },
    /// The payload is too large; nothing was written, and the journal goes on.
    #[error("a journal record must have at most {max} bytes, got {bytes}")]
    RecordTooLarge {
        /// The payload's size in bytes.
        bytes: u64,
        /// The largest size allowed, in bytes.
        max: u64,
    },
    /// An earlier write or sync failed, so what the disk holds is unknown until the next open.
    #[error("the journal takes no more records until it is opened again: {why}")]
    Poisoned {
        /// The first failure.
        why: String,
    },
    /// The owner did not accept a record while it was replayed.
    #[error("record {record} of the journal cannot be replayed")]
    Replay {
        /// The record's number.
        record: u64,
        /// The owner's error.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// What [`Journal::open`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Records replayed.
    pub records: u64,
    /// Number of the last record of any kind; 0 if there is none.
    pub last_record: u64,
    /// Files that were read: those that the owner knew of and needed.
    pub files: u64,
    /// Files that were removed since they had been released, but were not gone yet.
    pub released_files: u64,
    /// Bytes of records in the files that were read, headers and padding included.
    pub bytes: u64,
    /// The journal ends with a clean close (or has no records at all, see `last_record`).
    pub clean_close: bool,
    /// The unfinished record at the end that was passed over.
    pub torn: Option<TornTail>,
    /// Number of a file that was removed since its creation had not been finished.
    pub removed_file: Option<u64>,
}

/// A record whose writing was cut short by a crash; it was never acknowledged.
///
/// Its bytes stay where they are, and the next record goes into a new file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file's name.
    pub file: String,
    /// Where the record began, in bytes.
    pub offset: u64,
    /// Bytes of it, as far as can be told.
    pub bytes: u64,
}

/// The journal of one data folder: opened once, written by one committer.
///
/// Dropping it without [`Journal::close`] is safe, and counts as a crash.
pub struct Journal {
    folder: Folder,
    identity: JournalIdentity,
    options: JournalOptions,
    on_new_file: OnNewFile,
    current: LastFile,
    /// Files to come, for the numbers behind the current one.
    spares: VecDeque<Spare>,
    /// Bytes of records in each file that was not released; the last is the current one.
    record_bytes: VecDeque<u64>,
    next_record: u64,
    /// The last record is a clean close, so an open record goes before the next data.
    closed: bool,
    scratch: Vec<u8>,
    poisoned: Option<String>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("folder", &self.folder.path)
            .field("current", &self.current)
            .field("next_record", &self.next_record)
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in the folder `dir` of a disk, and replays its records in order.
    ///
    /// For a new journal, folder and first file are created. `replay` is handed the records from
    /// the first needed file on; their numbers rise, with gaps where the journal's own records
    /// stand.
    ///
    /// A record cut short by a crash is passed over. The last record is written and synced once more,
    /// so whatever was replayed is durable when this returns. The caller sees to it that no other
    /// process has the folder open.
    ///
    /// # Errors
    ///
    /// Any [`JournalError`] but `RecordTooLarge` and `Poisoned`. Unless it is `Io`, nothing on disk
    /// was changed.
    pub fn open<E>(
        fs: Arc<dyn Fs>,
        dir: &Path,
        identity: &JournalIdentity,
        known: KnownFiles,
        options: JournalOptions,
        on_new_file: OnNewFile,
        replay: impl FnMut(RecordPlace, &[u8]) -> Result<(), E>,
    ) -> Result<(Self, RecoveryReport), JournalError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let folder = Folder { fs, path: dir.to_owned() };
        let Recovered { last, mut record_bytes, next_record, closed, report } =
            recover::recover(&folder, identity, known, replay)?;
        let mut on_new_file = on_new_file;
        let current = match last {
            Some(last) => last,
            None => {
                folder.create()?;
                let bytes = options.bytes_of_file(1);
                let spare = Spare::later(&folder, 1, bytes);
                record_bytes.push_back(0);
                begin_file(spare, bytes, next_record, identity, &mut on_new_file)?
            }
        };
        let mut journal = Self {
            folder,
            identity: *identity,
            options,
            on_new_file,
            current,
            spares: VecDeque::new(),
            record_bytes,
            next_record,
            closed,
            scratch: Vec::new(),
            poisoned: None,
        };
        if journal.current.torn {
            journal.prepare_next_file();
        }
        Ok((journal, report))
    }

    /// Checks the journal in a folder as [`Journal::open`] does, hands its records to `replay`, and
    /// changes nothing: what would be cut off or removed is in the report.
    ///
    /// # Errors
    ///
    /// As [`Journal::open`].
    pub fn examine<E>(
        fs: Arc<dyn Fs>,
        dir: &Path,
        identity: &JournalIdentity,
        known: KnownFiles,
        replay: impl FnMut(RecordPlace, &[u8]) -> Result<(), E>,
    ) -> Result<RecoveryReport, JournalError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let folder = Folder { fs, path: dir.to_owned() };
        Ok(recover::examine(&folder, identity, known, replay)?.into_report())
    }

    /// Appends the concatenation of `payload` as one record, and returns its place once it is
    /// durable.
    ///
    /// # Errors
    ///
    /// [`JournalError::RecordTooLarge`] leaves the journal as it was. After any other error the
    /// record may or may not be found at the next open, and every further call answers
    /// [`JournalError::Poisoned`].
    pub fn append(&mut self, payload: &[&[u8]]) -> Result<RecordPlace, JournalError> {
        self.check_not_poisoned()?;
        let bytes = payload.iter().map(|part| part.len() as u64).sum();
        if bytes > RECORD_BYTES_MAX {
            return Err(JournalError::RecordTooLarge { bytes, max: RECORD_BYTES_MAX });
        }
        if self.closed {
            // Synced by itself, so that after a clean close a torn tail is at most this slot.
            self.write_or_poison(Kind::Open, &[])?;
        }
        let record = self.write_or_poison(Kind::Data, payload)?;
        let place = RecordPlace { record, file: self.current.number };
        self.prepare_next_file();
        Ok(place)
    }

    /// Gives up the files before `file`, except the one that is written to. Their blocks are used
    /// again for files to come, or freed.
    ///
    /// The owner has durably recorded that it does not need them, and tells every later
    /// [`Journal::open`] so. Nothing is synced here: what a crash leaves is removed then.
    ///
    /// IMPORTANT: a released file is overwritten in place. A hard link to it, of a backup for
    /// instance, does not keep its bytes.
    ///
    /// # Errors
    ///
    /// [`JournalError::Poisoned`], or the failure to rename or remove a file; records can be
    /// appended nevertheless, and the next call tries again.
    pub fn release_before(&mut self, file: u64) -> Result<(), JournalError> {
        self.check_not_poisoned()?;
        while self.first_file() < file.min(self.current.number) {
            let released = self.first_file();
            let number = self.current.number + 1 + self.spares.len() as u64;
            let spare = if self.spares.len() < SPARES_MAX {
                let bytes = self.options.bytes_of_file(number);
                Spare::recycle(&self.folder, released, number, bytes)?
            } else {
                None
            };
            match spare {
                Some(spare) => self.spares.push_back(spare),
                None => self.folder.remove(&file::file_name(released))?,
            }
            self.record_bytes.pop_front();
        }
        Ok(())
    }

    /// Bytes of records in the files that were not released, headers and padding included.
    pub fn bytes(&self) -> u64 {
        self.record_bytes.iter().sum()
    }

    /// Number of the first file that was not released.
    pub fn first_file(&self) -> u64 {
        self.current.number + 1 - self.record_bytes.len() as u64
    }

    /// Number of the file that is written to.
    pub fn last_file(&self) -> u64 {
        self.current.number
    }

    /// Why the journal takes no more records, if so.
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// Writes a clean-close record and syncs it.
    ///
    /// At the next open, a damaged last record is then known for damage instead of being taken for
    /// a torn tail.
    ///
    /// # Errors
    ///
    /// [`JournalError::Poisoned`], or the failure to write. Records appended before are durable
    /// nevertheless.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.check_not_poisoned()?;
        // Nothing new since the last close, so restarts without work leave the files untouched.
        // And nothing is written where a torn record stands.
        if self.closed || self.next_record == 1 || self.current.torn {
            return Ok(());
        }
        self.write_or_poison(Kind::Close, &[])?;
        Ok(())
    }

    fn check_not_poisoned(&self) -> Result<(), JournalError> {
        match &self.poisoned {
            Some(why) => Err(JournalError::Poisoned { why: why.clone() }),
            None => Ok(()),
        }
    }

    fn write_or_poison(&mut self, kind: Kind, payload: &[&[u8]]) -> Result<u64, JournalError> {
        let result = self.write(kind, payload);
        if let Err(error) = &result {
            self.poisoned = Some(match error.source() {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            });
        }
        result
    }

    /// Writes and syncs one record. After an error the state of the file is unknown.
    fn write(&mut self, kind: Kind, payload: &[&[u8]]) -> Result<u64, JournalError> {
        let mut payload_bytes = 0;
        let mut payload_crc = 0;
        for part in payload {
            payload_bytes += part.len() as u64;
            payload_crc = crc32c::crc32c_append(payload_crc, part);
        }
        let bytes = record_bytes(payload_bytes);
        // The close record keeps a slot in every file, so that closing never begins a new one.
        let empty = self.current.position == FILE_HEADER_BYTES;
        let fits = self.current.position + bytes + SLOT_BYTES <= self.current.capacity;
        // Into an empty file any record goes, past its preallocated end if need be: it would make
        // little sense to fill those blocks with zeros only to overwrite them at once.
        if self.current.torn || (kind != Kind::Close && !fits && !empty) {
            self.begin_next_file()?;
        }

        let number = self.next_record;
        let payload_bytes = u32::try_from(payload_bytes).map_err(|_| {
            JournalError::RecordTooLarge { bytes: payload_bytes, max: RECORD_BYTES_MAX }
        })?;
        let header = RecordHeader::new(kind, number, payload_bytes, payload_crc);
        let end = self.current.position + bytes;
        let mut sink = Sink {
            file: &self.current.file,
            at: self.current.position,
            scratch: &mut self.scratch,
        };
        sink.put(&header.encode(self.current.salt))?;
        for part in payload {
            sink.put(part)?;
        }
        let padding = bytes - RECORD_HEADER_BYTES as u64 - u64::from(payload_bytes);
        sink.put(&[0; SLOT][..usize::try_from(padding).unwrap_or(0)])?;
        let terminator = self.current.terminator_bytes(end);
        sink.put(&[0; SLOT][..terminator])?;
        let written = sink.flush()?;
        assert_eq!(
            written,
            end + terminator as u64,
            "a record takes the bytes that were counted for it"
        );
        self.current.file.sync_data()?;

        self.current.position = end;
        self.current.capacity = self.current.capacity.max(end);
        self.next_record += 1;
        self.closed = kind == Kind::Close;
        if let Some(in_file) = self.record_bytes.back_mut() {
            *in_file += bytes;
        }
        Ok(number)
    }

    /// Starts to make the next file once a part of the current one is used, so that no commit has
    /// to wait for the writing of its zeros.
    fn prepare_next_file(&mut self) {
        let LastFile { position, capacity, number, torn, .. } = self.current;
        if self.spares.is_empty() && (torn || position >= capacity / SPARE_AFTER_PART) {
            let bytes = self.options.bytes_of_file(number + 1);
            let prepare =
                if self.options.prepare_in_background { Spare::start } else { Spare::now };
            self.spares.push_back(prepare(&self.folder, number + 1, bytes));
        }
    }

    fn begin_next_file(&mut self) -> Result<(), JournalError> {
        let bytes = self.options.bytes_of_file(self.current.number + 1);
        let spare = match self.spares.pop_front() {
            Some(spare) => spare,
            None => Spare::later(&self.folder, self.current.number + 1, bytes),
        };
        let enough = (bytes / SPARE_ENOUGH_PART).max(FILE_BYTES_MIN);
        let (record, identity) = (self.next_record, &self.identity);
        self.current = begin_file(spare, enough, record, identity, &mut self.on_new_file)?;
        self.record_bytes.push_back(0);
        Ok(())
    }
}

/// Makes `spare` the journal's last file, and tells the owner.
fn begin_file(
    mut spare: Spare,
    bytes_min: u64,
    first_record: u64,
    identity: &JournalIdentity,
    on_new_file: &mut OnNewFile,
) -> Result<LastFile, JournalError> {
    let number = spare.number();
    let mut salt = [0; 8];
    getrandom::fill(&mut salt).map_err(|error| JournalError::Io {
        action: "draw a random salt for",
        file: file::file_name(number),
        source: io::Error::other(error.to_string()),
    })?;
    let Filled { file, bytes, recycled } = spare.fill(bytes_min)?;
    let header = FileHeader {
        version: FORMAT_VERSION,
        recycled,
        file: number,
        first_record,
        file_bytes: bytes,
        identity: *identity,
        salt: u64::from_le_bytes(salt),
    };
    let file = spare.publish(file, &header)?;
    on_new_file(number).map_err(|source| JournalError::Io {
        action: "record the existence of",
        file: file.name.clone(),
        source,
    })?;
    Ok(LastFile {
        file,
        number,
        salt: header.record_salt(),
        recycled,
        torn: false,
        position: FILE_HEADER_BYTES,
        capacity: bytes,
    })
}

/// Gathers small pieces into few writes, in a bounded buffer.
struct Sink<'a> {
    file: &'a JournalFile,
    at: u64,
    scratch: &'a mut Vec<u8>,
}

impl Sink<'_> {
    fn put(&mut self, mut bytes: &[u8]) -> Result<(), JournalError> {
        while !bytes.is_empty() {
            let room = SCRATCH_BYTES - self.scratch.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.scratch.extend_from_slice(now);
            bytes = later;
            if self.scratch.len() == SCRATCH_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes what was gathered, and returns the offset behind it.
    fn flush(&mut self) -> Result<u64, JournalError> {
        self.file.write_at(self.scratch, self.at)?;
        self.at += self.scratch.len() as u64;
        self.scratch.clear();
        Ok(self.at)
    }
}
