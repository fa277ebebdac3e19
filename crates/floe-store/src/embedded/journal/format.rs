//! The journal's bytes: file headers, record headers, checksums. No IO.
//!
//! `docs/format.md` describes the same bytes in prose; the two change together.

use super::JournalIdentity;

/// The format version that new files are given, and the highest that is read.
pub(super) const FORMAT_VERSION: u32 = 2;
/// A file's header takes a whole page, so that records never share one with it.
pub(super) const FILE_HEADER_BYTES: u64 = 4096;
/// Records start at multiples of this, counted from the start of the file.
///
/// 64 divides every sector size, so a record header, and with it a whole record without payload,
/// never straddles two sectors; and a scan for headers has few places to look at.
pub(super) const SLOT_BYTES: u64 = SLOT as u64;
/// [`SLOT_BYTES`] as the length of a buffer.
pub(super) const SLOT: usize = 64;
pub(super) const RECORD_HEADER_BYTES: usize = 32;
/// The largest payload of one record, in bytes.
pub(super) const RECORD_BYTES_MAX: u64 = 256 * 1024 * 1024;

const FILE_MAGIC: [u8; 8] = *b"FLOEJRNL";
const RECORD_MAGIC: [u8; 4] = *b"FJRc";
/// The flag, from version 2 on, of a file that was another one before.
const RECYCLED: u32 = 1;
const FILE_CRC_AT: usize = 72;
const FILE_CRC_END: usize = 76;

const _: () = assert!(RECORD_BYTES_MAX <= u32::MAX as u64);
const _: () = assert!(RECORD_HEADER_BYTES as u64 <= SLOT_BYTES);
const _: () = assert!(FILE_HEADER_BYTES.is_multiple_of(SLOT_BYTES));
const _: () = assert!(FILE_CRC_END as u64 <= FILE_HEADER_BYTES);

/// Bytes that a record with this much payload takes in its file, header and padding included.
pub(super) fn record_bytes(payload_bytes: u64) -> u64 {
    (RECORD_HEADER_BYTES as u64 + payload_bytes).next_multiple_of(SLOT_BYTES)
}

/// What stands at the start of every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    /// From 1 to [`FORMAT_VERSION`].
    pub(super) version: u32,
    /// Behind its records are not zeros but the bytes of an earlier file.
    pub(super) recycled: bool,
    pub(super) file: u64,
    /// The number that the first record of this file has, or will have.
    pub(super) first_record: u64,
    /// Bytes that the file was preallocated to; it is never shorter.
    pub(super) file_bytes: u64,
    pub(super) identity: JournalIdentity,
    /// Random; mixed into the checksum of every record header of this file.
    pub(super) salt: u64,
}

/// Why a file header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileHeaderFault {
    Newer(u32),
    Damaged(&'static str),
}

impl FileHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { version, recycled, file, first_record, file_bytes, identity, salt } = self;
        assert!(*version > 1 || !recycled, "version 1 has no recycled files");
        let mut bytes = Vec::with_capacity(FILE_HEADER_PAGE);
        bytes.extend_from_slice(&FILE_MAGIC);
        bytes.extend_from_slice(&version.to_le_bytes());
        let flags = if *recycled { RECYCLED } else { 0 };
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&file.to_le_bytes());
        bytes.extend_from_slice(&first_record.to_le_bytes());
        bytes.extend_from_slice(&file_bytes.to_le_bytes());
        bytes.extend_from_slice(&salt.to_le_bytes());
        bytes.extend_from_slice(&identity.folder_id);
        bytes.extend_from_slice(&identity.key_check);
        assert_eq!(bytes.len(), FILE_CRC_AT, "the fields end where the checksum begins");
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.resize(FILE_HEADER_PAGE, 0);
        bytes
    }

    /// Whether the page may be a header whose writing was cut short, and not another program's file.
    pub(super) fn may_be_unfinished(page: &[u8; FILE_HEADER_PAGE]) -> bool {
        page.iter().zip(FILE_MAGIC).all(|(&byte, magic)| byte == magic || byte == 0)
    }

    pub(super) fn decode(page: &[u8; FILE_HEADER_PAGE]) -> Result<Self, FileHeaderFault> {
        if array_at::<8>(page, 0) != FILE_MAGIC {
            return Err(FileHeaderFault::Damaged("it does not begin with the journal's magic"));
        }
        // The version comes before the checksum: a newer format may keep its checksum elsewhere.
        let version = u32::from_le_bytes(array_at(page, 8));
        if version > FORMAT_VERSION {
            return Err(FileHeaderFault::Newer(version));
        }
        let crc = crc32c::crc32c(&page[..FILE_CRC_AT]);
        if crc != u32::from_le_bytes(array_at(page, FILE_CRC_AT)) {
            return Err(FileHeaderFault::Damaged("the file header's checksum is wrong"));
        }
        if version == 0 {
            return Err(FileHeaderFault::Damaged("format version 0 does not exist"));
        }
        let flags = u32::from_le_bytes(array_at(page, 12));
        if flags > if version > 1 { RECYCLED } else { 0 } {
            return Err(FileHeaderFault::Damaged("the file header has unknown flags"));
        }
        Ok(Self {
            version,
            recycled: flags == RECYCLED,
            file: u64::from_le_bytes(array_at(page, 16)),
            first_record: u64::from_le_bytes(array_at(page, 24)),
            file_bytes: u64::from_le_bytes(array_at(page, 32)),
            salt: u64::from_le_bytes(array_at(page, 40)),
            identity: JournalIdentity {
                folder_id: array_at(page, 48),
                key_check: array_at(page, 64),
            },
        })
    }

    pub(super) fn record_salt(&self) -> RecordSalt {
        let mark = self.salt.to_le_bytes();
        let mark = if self.version > 1 { array_at(&mark, 4) } else { [0; 4] };
        RecordSalt { salt: self.salt, mark }
    }
}

/// What makes a record header valid in its own file only.
///
/// Two salts change the checksum of every header by the same difference, so by the checksum alone
/// one recycled file in 2³² would show all its stale headers as valid, and whoever chooses the bytes
/// of payloads could try for more. Therefore a half of the salt stands in the header as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordSalt {
    /// Goes before the header into its checksum.
    salt: u64,
    /// The upper half of the salt; zeros in files of version 1.
    mark: [u8; 4],
}

/// [`FILE_HEADER_BYTES`] as the length of a buffer.
pub(super) const FILE_HEADER_PAGE: usize = 4096;
const _: () = assert!(FILE_HEADER_PAGE as u64 == FILE_HEADER_BYTES);

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Payload of the journal's owner.
    Data,
    /// The journal was closed in order: every record before this one was acknowledged.
    Close,
    /// Writing goes on after a clean close; from here on a torn tail is possible again.
    Open,
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Close => 2,
            Self::Open => 3,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Data),
            2 => Some(Self::Close),
            3 => Some(Self::Open),
            _ => None,
        }
    }
}

/// A record header whose magic, mark and checksum are right; its fields are not judged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) kind: u8,
    pub(super) number: u64,
    pub(super) payload_bytes: u32,
    pub(super) payload_crc: u32,
}

impl RecordHeader {
    pub(super) fn new(kind: Kind, number: u64, payload_bytes: u32, payload_crc: u32) -> Self {
        Self { kind: kind.to_byte(), number, payload_bytes, payload_crc }
    }

    pub(super) fn encode(&self, salt: RecordSalt) -> [u8; RECORD_HEADER_BYTES] {
        let Self { kind, number, payload_bytes, payload_crc } = self;
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&RECORD_MAGIC);
        bytes[4] = *kind;
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        bytes[16..20].copy_from_slice(&payload_bytes.to_le_bytes());
        bytes[20..24].copy_from_slice(&payload_crc.to_le_bytes());
        bytes[24..28].copy_from_slice(&salt.mark);
        let crc = header_crc(&bytes, salt);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Nothing unless magic, mark and checksum are right; `bytes` holds at least a record header.
    pub(super) fn decode(bytes: &[u8], salt: RecordSalt) -> Option<Self> {
        let bytes: &[u8; RECORD_HEADER_BYTES] = bytes.first_chunk()?;
        if array_at::<4>(bytes, 0) != RECORD_MAGIC
            || array_at::<4>(bytes, 24) != salt.mark
            || header_crc(bytes, salt) != u32::from_le_bytes(array_at(bytes, 28))
        {
            return None;
        }
        Some(Self {
            kind: bytes[4],
            number: u64::from_le_bytes(array_at(bytes, 8)),
            payload_bytes: u32::from_le_bytes(array_at(bytes, 16)),
            payload_crc: u32::from_le_bytes(array_at(bytes, 20)),
        })
    }
}

/// The salt comes first, so bytes of another file, or bytes that a client chose, are no header here.
fn header_crc(bytes: &[u8; RECORD_HEADER_BYTES], salt: RecordSalt) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.salt.to_le_bytes()), &bytes[..28])
}

/// The `N` bytes at `at`, which lie within `bytes`.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    // The bytes are a contract: these are written out by hand after docs/format.md.
    #[test]
    fn a_file_header_has_the_documented_bytes() {
        for (version, recycled, head) in [
            (1, false, b"FLOEJRNL\x01\0\0\0\0\0\0\0"),
            (2, false, b"FLOEJRNL\x02\0\0\0\0\0\0\0"),
            (2, true, b"FLOEJRNL\x02\0\0\0\x01\0\0\0"),
        ] {
            let header = FileHeader {
                version,
                recycled,
                file: 0x0102,
                first_record: 0x0304,
                file_bytes: 0x0506,
                identity: JournalIdentity { folder_id: [0xAA; 16], key_check: [0xBB; 8] },
                salt: 0x1122_3344_5566_7788,
            };
            let bytes = header.encode();
            let mut expected = head.to_vec();
            expected.extend(b"\x02\x01\0\0\0\0\0\0\x04\x03\0\0\0\0\0\0\x06\x05\0\0\0\0\0\0");
            expected.extend([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
            expected.extend([0xAA; 16]);
            expected.extend([0xBB; 8]);
            let crc = crc32c::crc32c(&expected);
            expected.extend(crc.to_le_bytes());
            expected.resize(4096, 0);
            assert_eq!(bytes, expected);
            assert_eq!(FileHeader::decode(bytes.first_chunk().unwrap()), Ok(header));
            let mark = if version == 1 { [0; 4] } else { [0x44, 0x33, 0x22, 0x11] };
            let salt = RecordSalt { salt: 0x1122_3344_5566_7788, mark };
            assert_eq!(header.record_salt(), salt);
        }
    }

    #[test]
    fn unknown_flags_are_refused() {
        for (version, flags) in [(1_u32, 1_u32), (2, 2), (2, 3), (2, 1 << 31)] {
            let mut bytes = FILE.encode();
            bytes[8..12].copy_from_slice(&version.to_le_bytes());
            bytes[12..16].copy_from_slice(&flags.to_le_bytes());
            let crc = crc32c::crc32c(&bytes[..72]);
            bytes[72..76].copy_from_slice(&crc.to_le_bytes());
            let fault = FileHeader::decode(bytes.first_chunk().unwrap()).unwrap_err();
            assert_eq!(fault, FileHeaderFault::Damaged("the file header has unknown flags"));
        }
    }

    const FILE: FileHeader = FileHeader {
        version: 2,
        recycled: true,
        file: 1,
        first_record: 1,
        file_bytes: 9,
        identity: JournalIdentity { folder_id: [1; 16], key_check: [2; 8] },
        salt: 3,
    };

    #[test]
    fn a_record_header_has_the_documented_bytes() {
        let header = RecordHeader::new(Kind::Data, 0x0506, 9, 0xE306_9283);
        for mark in [[0; 4], [0xAB, 0xCD, 0xEF, 0x01]] {
            let salt = RecordSalt { salt: 7, mark };
            let bytes = header.encode(salt);
            let mut expected =
                b"FJRc\x01\0\0\0\x06\x05\0\0\0\0\0\0\x09\0\0\0\x83\x92\x06\xE3".to_vec();
            expected.extend(mark);
            let mut salted = vec![7, 0, 0, 0, 0, 0, 0, 0];
            salted.extend(&expected);
            expected.extend(crc32c::crc32c(&salted).to_le_bytes());
            assert_eq!(bytes.to_vec(), expected);
            assert_eq!(RecordHeader::decode(&bytes, salt), Some(header));
            for other in [RecordSalt { salt: 8, ..salt }, RecordSalt { mark: [1; 4], ..salt }] {
                assert_eq!(RecordHeader::decode(&bytes, other), None, "another file's");
            }
        }
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283, "crc32c is Castagnoli's");
    }

    #[test]
    fn every_bit_of_a_header_is_covered() {
        let salt = RecordSalt { salt: 1, mark: [2; 4] };
        let record = RecordHeader::new(Kind::Close, 3, 0, 0).encode(salt);
        for bit in 0..record.len() * 8 {
            let mut flipped = record;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::decode(&flipped, salt), None, "bit {bit}");
        }
        let file = FILE.encode();
        for bit in 0..FILE_CRC_END * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::decode(flipped.first_chunk().unwrap()).is_err(), "bit {bit}");
        }
    }
}
