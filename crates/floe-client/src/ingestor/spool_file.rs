//! Files of events that no server is known to have.
//!
//! A file is the eight bytes `floesp01`, and records one after the other: the length of the event,
//! a checksum of the length and the event (CRC-32C), both 32 bits and little-endian, and the event
//! as JSON. A record is whole or, at the end of the last file, torn by a crash; then nobody was told
//! that its event was kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

const MAGIC: &[u8; 8] = b"floesp01";
const HEAD_BYTES: usize = 8;

/// Bytes of a file without records.
pub(super) const EMPTY_BYTES: u64 = MAGIC.len() as u64;

/// What a file holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) events: Vec<Vec<u8>>,
    /// Bytes up to the end of the last whole record.
    pub(super) whole_bytes: u64,
    /// Whether there is more than that.
    pub(super) is_torn: bool,
}

/// Makes a file that only its owner may read.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create_new(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(MAGIC)?;
    file.sync_all()?;
    Ok(file)
}

/// Syncs a folder, so that files made and removed in it stay so.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Adds the record of an event to bytes that are to be written.
pub(super) fn add_record(bytes: &mut Vec<u8>, event: &[u8]) -> io::Result<()> {
    let length = u32::try_from(event.len()).map_err(io::Error::other)?.to_le_bytes();
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&checksum(length, event).to_le_bytes());
    bytes.extend_from_slice(event);
    Ok(())
}

fn checksum(length: [u8; 4], event: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), event)
}

/// Reads a file, up to what is torn.
pub(super) fn read(path: &Path) -> io::Result<Contents> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let mut contents = Contents { events: Vec::new(), whole_bytes: 0, is_torn: !bytes.is_empty() };
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else { return Ok(contents) };
    while let Some((event, after)) = first_record(rest) {
        contents.events.push(event.to_vec());
        rest = after;
    }
    contents.whole_bytes = (bytes.len() - rest.len()) as u64;
    contents.is_torn = !rest.is_empty();
    Ok(contents)
}

/// The event of the first record and what comes after it, if the record is whole.
fn first_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let (length, sum) = head.split_at(4);
    let (length, sum): ([u8; 4], [u8; 4]) = (length.try_into().ok()?, sum.try_into().ok()?);
    let (event, after) = rest.split_at_checked(u32::from_le_bytes(length).try_into().ok()?)?;
    (checksum(length, event) == u32::from_le_bytes(sum)).then_some((event, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_and_every_wrong_bit_ends_a_file_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut whole = MAGIC.to_vec();
        let mut ends = vec![whole.len()];
        for event in [b"{}".as_slice(), b"", b"{\"name\":1}"] {
            add_record(&mut whole, event).unwrap();
            ends.push(whole.len());
        }
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let contents = read(&path).unwrap();
            let records = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            assert_eq!(contents.events.len(), records, "{cut}");
            assert_eq!(contents.is_torn, cut > 0 && !ends.contains(&cut), "{cut}");
        }
        for at in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 4;
            std::fs::write(&path, &wrong).unwrap();
            let contents = read(&path).unwrap();
            let records = ends.iter().filter(|end| **end <= at).count().saturating_sub(1);
            assert_eq!(contents.events.len(), records, "{at}");
            assert!(contents.is_torn, "{at}");
        }
    }
}
