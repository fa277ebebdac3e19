//! Opening a journal: check every file, replay every record, cut off a torn tail or refuse.
//!
//! IMPORTANT: nothing on disk is changed until every file was found in order.

use std::collections::VecDeque;
use std::error::Error;

use super::file::{self, CHUNK_BYTES, Folder, JournalFile, Listing};
use super::format::{
    FILE_HEADER_BYTES, FILE_HEADER_PAGE, FORMAT_VERSION, FileHeader, FileHeaderFault, Kind,
    RECORD_BYTES_MAX, RECORD_HEADER_BYTES, RecordHeader, RecordSalt, SLOT, SLOT_BYTES,
    record_bytes,
};
use super::{JournalError, JournalIdentity, KnownFiles, RecordPlace, RecoveryReport, TornTail};

/// Small records are read from the disk in pieces of this size.
const READ_AHEAD_BYTES: usize = 128 * 1024;

/// Where writing goes on, and what was found.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The last file and its header; none if the journal has no file yet.
    pub(super) last: Option<LastFile>,
    /// Bytes of records in each file, from the first that is needed to the last.
    pub(super) record_bytes: VecDeque<u64>,
    pub(super) next_record: u64,
    /// The last record is a clean close.
    pub(super) closed: bool,
    pub(super) report: RecoveryReport,
}

#[derive(Debug)]
pub(super) struct LastFile {
    pub(super) file: JournalFile,
    pub(super) number: u64,
    pub(super) salt: RecordSalt,
    /// Behind its records are not zeros but the bytes of an earlier file, and before those a
    /// terminator of zeros.
    pub(super) recycled: bool,
    /// Behind its last record, at `position`, stands one that was cut short. No record goes there.
    pub(super) torn: bool,
    /// Where the next record goes.
    pub(super) position: u64,
    /// The file's length, with what stands behind the records.
    pub(super) capacity: u64,
}

impl LastFile {
    /// Zeros that stand behind a record that ends at `end`: one slot in a recycled file, up to its
    /// end. Elsewhere the zeros are there already.
    pub(super) fn terminator_bytes(&self, end: u64) -> usize {
        if !self.recycled {
            return 0;
        }
        usize::try_from(self.capacity.saturating_sub(end)).unwrap_or(SLOT).min(SLOT)
    }
}

/// What an examination found, before anything is changed.
pub(super) struct Examined {
    /// The last file; none if the journal has no file yet.
    read: Option<ReadFile>,
    record_bytes: VecDeque<u64>,
    next_record: u64,
    last_kind: Option<Kind>,
    /// Numbers of files that are to be removed.
    released: Vec<u64>,
    leftover: Option<u64>,
    spares: Vec<String>,
    report: RecoveryReport,
}

impl Examined {
    /// What was found.
    pub(super) fn into_report(self) -> RecoveryReport {
        RecoveryReport {
            torn: self.read.and_then(|read| read.torn),
            removed_file: self.leftover,
            ..self.report
        }
    }
}

pub(super) fn recover<E>(
    folder: &Folder,
    identity: &JournalIdentity,
    known: KnownFiles,
    replay: impl FnMut(RecordPlace, &[u8]) -> Result<(), E>,
) -> Result<Recovered, JournalError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let Examined {
        read,
        record_bytes,
        next_record,
        last_kind,
        released,
        leftover,
        spares,
        mut report,
    } = examine(folder, identity, known, replay)?;
    let last = match read {
        Some(read) => Some(settle(read, &mut report)?),
        None => None,
    };
    for &number in released.iter().chain(&leftover) {
        folder.remove(&file::file_name(number))?;
    }
    for spare in &spares {
        folder.remove(spare)?;
    }
    report.removed_file = leftover;
    // Even if nothing was removed: an earlier open may have ended between a removal and this.
    if last.is_some() || leftover.is_some() || !spares.is_empty() {
        folder.sync()?;
    }
    let closed = last_kind == Some(Kind::Close);
    Ok(Recovered { last, record_bytes, next_record, closed, report })
}

/// Checks every file and replays every record; changes nothing.
pub(super) fn examine<E>(
    folder: &Folder,
    identity: &JournalIdentity,
    known: KnownFiles,
    mut replay: impl FnMut(RecordPlace, &[u8]) -> Result<(), E>,
) -> Result<Examined, JournalError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let listing = folder.list()?;
    let released = check_names(&listing, known)?;

    let mut headers = Vec::new();
    for number in known.first..=known.last {
        headers.push(read_header(&folder.open(number)?, number, identity)?);
    }
    let leftover = match listing.files.last() {
        Some(&number) if number > known.last => Some(Leftover::examine(folder, number, identity)?),
        _ => None,
    };

    let mut replayer = Replayer {
        next_record: match headers.first() {
            // What came before it was released. It says itself how many records that were.
            Some(header) if header.file > 1 => header.first_record,
            _ => 1,
        },
        last_kind: None,
        payload: Vec::new(),
        replay: |place: RecordPlace, payload: &[u8]| {
            replay(place, payload).map_err(|error| JournalError::Replay {
                record: place.record,
                source: error.into(),
            })
        },
        report: RecoveryReport {
            files: headers.len() as u64,
            released_files: released.len() as u64,
            ..RecoveryReport::default()
        },
    };
    let mut last = None;
    let mut record_bytes = VecDeque::new();
    // A file is begun only after the last record of the one before it is durable, so even a
    // leftover tells which records must be there. Not where they end: it may have been removed
    // before, and come back with a power cut, since that was not synced.
    let due = leftover.as_ref().and_then(|leftover| leftover.first_record).unwrap_or(0);
    let mut following = headers.iter().skip(1).map(|header| header.first_record);
    for header in &headers {
        let file = folder.open(header.file)?;
        let before = replayer.report.bytes;
        last = Some(replayer.file(file, header, following.next(), due)?);
        record_bytes.push_back(replayer.report.bytes - before);
    }

    let Replayer { next_record, last_kind, report, .. } = replayer;
    let report = RecoveryReport {
        clean_close: last_kind == Some(Kind::Close),
        last_record: next_record - 1,
        ..report
    };
    let (leftover, spares) = (leftover.map(|leftover| leftover.number), listing.spares);
    let read = last;
    Ok(Examined { read, record_bytes, next_record, last_kind, released, leftover, spares, report })
}

/// The files from the first needed to the last known must be there; one more may be, and no other
/// behind it. Returns those before the first: their release was recorded, and not finished.
fn check_names(listing: &Listing, known: KnownFiles) -> Result<Vec<u64>, JournalError> {
    let KnownFiles { first, last } = known;
    let unexpected =
        |number| JournalError::UnexpectedFile { file: file::file_name(number), known: last };
    let missing = |number| JournalError::MissingFile { file: file::file_name(number), first, last };
    if listing.files.first() == Some(&0) {
        return Err(unexpected(0));
    }
    let start = listing.files.partition_point(|&number| number < first);
    let (released, needed) = listing.files.split_at(start);
    // The last file is never released, so here two memories of the owner are not of one time.
    if first > last.max(1) {
        return Err(needed.first().map_or_else(|| missing(first), |&number| unexpected(number)));
    }
    let mut due = first;
    for &number in needed {
        if number > last.saturating_add(1) {
            return Err(unexpected(number));
        }
        if number != due && due <= last {
            return Err(missing(due));
        }
        due += 1;
    }
    if due <= last {
        return Err(missing(due));
    }
    Ok(released.to_vec())
}

fn read_header(
    file: &JournalFile,
    number: u64,
    identity: &JournalIdentity,
) -> Result<FileHeader, JournalError> {
    let mut page = [0; FILE_HEADER_PAGE];
    file.read_at(&mut page, 0)?;
    let header = FileHeader::decode(&page).map_err(|fault| match fault {
        FileHeaderFault::Newer(version) => JournalError::NewerFormat {
            file: file.name.clone(),
            version,
            supported: FORMAT_VERSION,
        },
        FileHeaderFault::Damaged(why) => corrupt(file, 0, why),
    })?;
    if header.identity.folder_id != identity.folder_id {
        return Err(JournalError::WrongFolder {
            file: file.name.clone(),
            found: hex(&header.identity.folder_id),
            expected: hex(&identity.folder_id),
        });
    }
    if header.identity.key_check != identity.key_check {
        return Err(JournalError::WrongKey {
            file: file.name.clone(),
            found: hex(&header.identity.key_check),
            expected: hex(&identity.key_check),
        });
    }
    // The length was durable before the file got its name, so no crash makes it shorter.
    let bytes = file.len()?;
    if bytes < header.file_bytes {
        let why = format!("the file ends here, but it was made with {} bytes", header.file_bytes);
        return Err(corrupt(file, bytes, why));
    }
    if header.file != number {
        return Err(corrupt(file, 0, format!("its header says that it is file {}", header.file)));
    }
    Ok(header)
}

fn corrupt(file: &JournalFile, offset: u64, why: impl Into<String>) -> JournalError {
    JournalError::Corrupt { file: file.name.clone(), offset, why: why.into() }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A file that was created when the process ended before its owner had recorded it.
#[derive(Debug)]
struct Leftover {
    number: u64,
    /// Known if its header was finished.
    first_record: Option<u64>,
}

impl Leftover {
    fn examine(
        folder: &Folder,
        number: u64,
        identity: &JournalIdentity,
    ) -> Result<Self, JournalError> {
        let file = folder.open(number)?;
        let mut page = [0; FILE_HEADER_PAGE];
        file.read_at(&mut page, 0)?;
        let header = match read_header(&file, number, identity) {
            Ok(header) => Some(header),
            Err(JournalError::Corrupt { .. }) if FileHeader::may_be_unfinished(&page) => None,
            Err(error) => return Err(error),
        };
        // No record is written to a file before its owner has recorded it: if one is there, it is
        // the owner's memory that is old, and removing the file would lose records.
        let bytes = file.len()?;
        let has_records = match header {
            Some(header) if header.recycled => {
                let headers = Some((header.record_salt(), 0));
                !slot_is_zero(&file, FILE_HEADER_BYTES)?
                    || scan_tail(&file, FILE_HEADER_BYTES, bytes, headers)?.later.is_some()
            }
            _ => {
                let tail = scan_tail(&file, FILE_HEADER_BYTES, bytes, None)?;
                tail.nonzero_end > FILE_HEADER_BYTES
            }
        };
        if has_records {
            return Err(JournalError::UnexpectedFile { file: file.name, known: number - 1 });
        }
        Ok(Self { number, first_record: header.map(|header| header.first_record) })
    }
}

/// A file whose records were all replayed.
#[derive(Debug)]
struct ReadFile {
    last: LastFile,
    /// Offset and bytes of its last record.
    last_record: Option<(u64, u64)>,
    torn: Option<TornTail>,
}

struct Replayer<R> {
    next_record: u64,
    last_kind: Option<Kind>,
    payload: Vec<u8>,
    replay: R,
    report: RecoveryReport,
}

/// What stands where a record is expected.
enum Found {
    Record {
        kind: Kind,
        bytes: u64,
    },
    /// `extent`: bytes of the record, if its header is right and only its payload is not.
    Invalid {
        why: &'static str,
        extent: Option<u64>,
    },
}

impl<R: FnMut(RecordPlace, &[u8]) -> Result<(), JournalError>> Replayer<R> {
    /// Replays one file. `following` is the first record of the next file, if there is one; records
    /// before `due` must be there in any case.
    fn file(
        &mut self,
        file: JournalFile,
        header: &FileHeader,
        following: Option<u64>,
        due: u64,
    ) -> Result<ReadFile, JournalError> {
        if header.first_record != self.next_record {
            let why = format!(
                "it begins with record {}, but record {} is due",
                header.first_record, self.next_record
            );
            return Err(corrupt(&file, 0, why));
        }
        let mut last = LastFile {
            number: header.file,
            salt: header.record_salt(),
            recycled: header.recycled,
            torn: false,
            position: FILE_HEADER_BYTES,
            capacity: file.len()?,
            file,
        };
        let mut reader = Reader::new(&last.file);
        let mut last_record = None;
        let mut torn = None;
        while following != Some(self.next_record) {
            let position = last.position;
            match self.record(&mut reader, &last)? {
                Found::Record { kind, bytes } => {
                    last_record = Some((position, bytes));
                    last.position += bytes;
                    self.report.bytes += bytes;
                    self.last_kind = Some(kind);
                    self.next_record += 1;
                }
                Found::Invalid { why, .. } if following.is_some() || self.next_record < due => {
                    let why = format!("record {} is due, but {why}", self.next_record);
                    return Err(corrupt(&last.file, position, why));
                }
                Found::Invalid { why, extent } => {
                    torn = self.tail(&last, why, extent)?;
                    last.torn = torn.is_some();
                    break;
                }
            }
        }
        Ok(ReadFile { last, last_record, torn })
    }

    fn record(&mut self, reader: &mut Reader<'_>, last: &LastFile) -> Result<Found, JournalError> {
        let position = last.position;
        let mut bytes = [0; RECORD_HEADER_BYTES];
        reader.read(&mut bytes, position)?;
        let Some(header) = RecordHeader::decode(&bytes, last.salt) else {
            let why = if bytes == [0; RECORD_HEADER_BYTES] {
                "there are zeros"
            } else {
                "its header is damaged"
            };
            return Ok(Found::Invalid { why, extent: None });
        };
        // From here on the header is as it was written, so what is wrong in it is no torn write.
        let RecordHeader { kind, number, payload_bytes, payload_crc } = header;
        let refuse = |why: String| Err(corrupt(&last.file, position, why));
        if number != self.next_record {
            return refuse(format!("record {} is due, but this is {number}", self.next_record));
        }
        let Some(kind) = Kind::from_byte(kind) else {
            return refuse(format!("record {number} has the unknown kind {kind}"));
        };
        if u64::from(payload_bytes) > RECORD_BYTES_MAX || (kind != Kind::Data && payload_bytes != 0)
        {
            return refuse(format!("record {number} cannot have {payload_bytes} bytes"));
        }
        let extent = record_bytes(payload_bytes.into());
        let payload_at = position + RECORD_HEADER_BYTES as u64;
        if payload_at + u64::from(payload_bytes) > last.capacity {
            let why = "the file ends within it";
            return Ok(Found::Invalid { why, extent: Some(extent) });
        }
        self.payload.resize(payload_bytes as usize, 0);
        reader.read(&mut self.payload, payload_at)?;
        if crc32c::crc32c(&self.payload) != payload_crc {
            let why = "its payload's checksum is wrong";
            return Ok(Found::Invalid { why, extent: Some(extent) });
        }
        if kind == Kind::Data {
            (self.replay)(RecordPlace { record: number, file: last.number }, &self.payload)?;
            self.report.records += 1;
        }
        Ok(Found::Record { kind, bytes: extent })
    }

    /// Judges what follows the last valid record of the last file: nothing, a torn tail, or damage.
    fn tail(
        &self,
        last: &LastFile,
        why: &str,
        extent: Option<u64>,
    ) -> Result<Option<TornTail>, JournalError> {
        let &LastFile { ref file, salt, position, capacity, .. } = last;
        let due = self.next_record;
        let tail = scan_tail(file, position, capacity, Some((salt, due)))?;
        if let Some((offset, number)) = tail.later {
            let why = format!(
                "record {due} is due, but {why}; it is no torn tail, since record {number} stands \
                 at offset {offset}"
            );
            return Err(corrupt(file, position, why));
        }
        if last.recycled {
            // Whatever stands behind a terminator, or where the writing of a record began, may be
            // as old as the file.
            let torn = !slot_is_zero(file, position)?;
            let bytes = extent.unwrap_or(last.terminator_bytes(position) as u64);
            return Ok(torn.then(|| TornTail { file: file.name.clone(), offset: position, bytes }));
        }
        if tail.nonzero_end == position {
            return Ok(None);
        }
        // At most one record is ever unsynced, so behind it there are the zeros of preallocation.
        if let Some(extent) = extent
            && tail.nonzero_end > position + extent
        {
            let why = format!(
                "record {due} is due, but {why}; it is no torn tail, since bytes up to offset {} \
                 follow it",
                tail.nonzero_end
            );
            return Err(corrupt(file, position, why));
        }
        // After a clean close the first thing written is an open record, synced by itself. An
        // unfinished one fits its slot, and nobody was promised anything about it.
        if self.last_kind == Some(Kind::Close) && tail.nonzero_end > position + SLOT_BYTES {
            let why = format!(
                "the journal was closed before this offset, yet bytes up to offset {} follow, and \
                 {why} where record {due} would be",
                tail.nonzero_end
            );
            return Err(corrupt(file, position, why));
        }
        let bytes = tail.nonzero_end - position;
        Ok(Some(TornTail { file: file.name.clone(), offset: position, bytes }))
    }
}

/// Makes sure that what was replayed is on the disk and not in a cache alone.
///
/// A torn tail is left as it is. Were it overwritten with zeros, and their sync failed, then the next
/// open might see zeros in a cache where the disk still has the torn bytes, and write records before
/// them; after a power cut those bytes would be taken for damage.
fn settle(read: ReadFile, report: &mut RecoveryReport) -> Result<LastFile, JournalError> {
    let ReadFile { last, last_record, torn } = read;
    // The last record may have been written but never synced: the process was killed in between,
    // or its sync failed, after which the kernel may show bytes as clean that never reached the
    // disk. It counts from now on, so it is written again, which makes its pages dirty, and synced.
    if let Some((offset, bytes)) = last_record {
        // A terminator was written with it.
        let end = offset + bytes;
        let end = (end + last.terminator_bytes(end) as u64).min(last.capacity);
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut at = offset;
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let chunk = &mut buffer[..left.min(CHUNK_BYTES)];
            last.file.read_at(chunk, at)?;
            last.file.write_at(chunk, at)?;
            at += chunk.len() as u64;
        }
    }
    last.file.sync_data()?;
    report.torn = torn;
    Ok(last)
}

#[derive(Debug)]
struct Tail {
    /// One past the last byte that is not zero; where the scan began if there is none.
    nonzero_end: u64,
    /// Offset and number of the first valid record header with a number greater than the one due.
    later: Option<(u64, u64)>,
}

/// Scans `from` (a multiple of the slot) to the end of the file; `headers` is (salt, number due).
fn scan_tail(
    file: &JournalFile,
    from: u64,
    file_bytes: u64,
    headers: Option<(RecordSalt, u64)>,
) -> Result<Tail, JournalError> {
    let mut tail = Tail { nonzero_end: from, later: None };
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = from;
    while at < file_bytes {
        file.read_at(&mut buffer, at)?;
        if let Some(last) = last_nonzero(&buffer) {
            tail.nonzero_end = at + last as u64 + 1;
            if let (Some((salt, due)), None) = (headers, tail.later) {
                let slots = buffer.chunks_exact(SLOT);
                tail.later = (at..).step_by(SLOT).zip(slots).find_map(|(offset, slot)| {
                    let header = RecordHeader::decode(slot, salt)?;
                    (header.number > due).then_some((offset, header.number))
                });
            }
        }
        at += CHUNK_BYTES as u64;
    }
    Ok(tail)
}

/// Whether the slot at `position` holds zeros, or whatever the file has of it.
fn slot_is_zero(file: &JournalFile, position: u64) -> Result<bool, JournalError> {
    let mut slot = [0; SLOT];
    file.read_at(&mut slot, position)?;
    Ok(file::is_zero(&slot))
}

fn last_nonzero(bytes: &[u8]) -> Option<usize> {
    if file::is_zero(bytes) {
        return None;
    }
    let slot = bytes.chunks(SLOT).rposition(|slot| !file::is_zero(slot))?;
    let end = bytes.len().min((slot + 1) * SLOT);
    bytes[..end].iter().rposition(|&byte| byte != 0)
}

/// Reads a file front to back through one buffer; a large read goes past the buffer.
struct Reader<'a> {
    file: &'a JournalFile,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins; it holds nothing if empty.
    buffer_at: u64,
}

impl<'a> Reader<'a> {
    fn new(file: &'a JournalFile) -> Self {
        Self { file, buffer: Vec::new(), buffer_at: 0 }
    }

    fn read(&mut self, target: &mut [u8], at: u64) -> Result<(), JournalError> {
        let skipped = usize::try_from(at.saturating_sub(self.buffer_at)).unwrap_or(usize::MAX);
        let buffered = match self.buffer.get(skipped..) {
            Some(bytes) if at >= self.buffer_at => &bytes[..bytes.len().min(target.len())],
            _ => &[],
        };
        let (front, rest) = target.split_at_mut(buffered.len());
        front.copy_from_slice(buffered);
        let rest_at = at + front.len() as u64;
        if rest.len() >= READ_AHEAD_BYTES {
            self.file.read_at(rest, rest_at)?;
        } else if !rest.is_empty() {
            if self.buffer.is_empty() {
                self.buffer = vec![0; READ_AHEAD_BYTES];
            }
            // IMPORTANT: should the read fail, the buffer counts as empty.
            self.buffer_at = u64::MAX;
            self.file.read_at(&mut self.buffer, rest_at)?;
            self.buffer_at = rest_at;
            rest.copy_from_slice(&self.buffer[..rest.len()]);
        }
        Ok(())
    }
}
