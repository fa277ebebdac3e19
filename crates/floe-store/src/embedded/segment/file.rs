//! A segment's bytes: checked against the checksums that the file carries.
//!
//! Parquet readers in other programs do not look at these checksums; ours look at every block
//! before they use it, so a flipped bit is an error and never a wrong number.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::super::fs::{Fs, FsFile, OpenMode};

/// Bytes that share a checksum.
pub(super) const BLOCK_BYTES: u64 = 16 * 1024;
const BLOCK: usize = 16 * 1024;

/// Writes a file from start to end and keeps the checksum of each block.
pub(super) struct ChecksumWriter {
    file: Arc<dyn FsFile>,
    written: u64,
    buffer: Vec<u8>,
    checksums: Vec<u32>,
}

/// Bytes that are gathered before they are written; a multiple of the block.
const BUFFER_BYTES: usize = 64 * BLOCK;

impl ChecksumWriter {
    pub(super) fn create(fs: &dyn Fs, path: &Path) -> io::Result<Self> {
        let file = fs.open(path, OpenMode::CreateNew)?;
        Ok(Self { file, written: 0, buffer: Vec::new(), checksums: Vec::new() })
    }

    /// Bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// The checksums of the bytes so far, as text; the last block may be shorter.
    pub(super) fn checksums_text(&self) -> String {
        let rest = self.buffer.chunks(BLOCK).map(crc32c::crc32c);
        let all = self.checksums.iter().copied().chain(rest);
        BASE64.encode(all.flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
    }

    fn put_buffer(&mut self, bytes: usize) -> io::Result<()> {
        let (now, _) = self.buffer.split_at(bytes.min(self.buffer.len()));
        self.checksums.extend(now.chunks(BLOCK).map(crc32c::crc32c));
        self.file.write_all_at(now, self.written)?;
        self.written += now.len() as u64;
        self.buffer.drain(..bytes.min(self.buffer.len()));
        Ok(())
    }

    /// Writes what is left and makes all of it durable. Returns the file's length, and the checksum
    /// of the bytes from an offset on.
    pub(super) fn finish(&mut self, end_from: u64) -> io::Result<(u64, u32)> {
        self.put_buffer(self.buffer.len())?;
        self.file.sync_data()?;
        let length = usize::try_from(self.written - end_from).map_err(io::Error::other)?;
        let mut end = vec![0; length];
        self.file.read_exact_at(&mut end, end_from)?;
        Ok((self.written, crc32c::crc32c(&end)))
    }
}

impl io::Write for ChecksumWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= BUFFER_BYTES {
            self.put_buffer(BUFFER_BYTES)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A segment's file, opened for reading. Clones are the same file.
#[derive(Clone, Debug)]
pub(super) struct SegmentFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Arc<dyn FsFile>,
    path: PathBuf,
    bytes: u64,
    /// The blocks from the start up to `data_bytes`.
    checksums: Vec<u32>,
    data_bytes: u64,
    /// What follows: page indexes and footer, checked when the file was opened.
    end: Bytes,
}

fn damaged(path: &Path, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("segment file {} is damaged: {why}", path.display()),
    )
}

impl SegmentFile {
    /// Opens a file of so many bytes, of which those from `data_bytes` on have this checksum.
    pub(super) fn open(
        fs: &dyn Fs,
        path: &Path,
        bytes: u64,
        data_bytes: u64,
        end_crc32c: u32,
    ) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("segment file {}: {error}", path.display()))
        };
        let file = fs.open(path, OpenMode::Read).map_err(named)?;
        let found = file.len().map_err(named)?;
        if found != bytes {
            return Err(damaged(path, format!("it has {found} bytes instead of {bytes}")));
        }
        let length = usize::try_from(bytes.saturating_sub(data_bytes)).map_err(io::Error::other)?;
        let mut end = vec![0; length];
        file.read_exact_at(&mut end, data_bytes).map_err(named)?;
        if crc32c::crc32c(&end) != end_crc32c {
            return Err(damaged(
                path,
                "its footer does not have the checksum that the manifest has",
            ));
        }
        Ok(Self(Arc::new(Inner {
            file,
            path: path.to_owned(),
            bytes,
            checksums: Vec::new(),
            data_bytes,
            end: end.into(),
        })))
    }

    /// The same file with the checksums that its footer holds.
    pub(super) fn with_checksums(self, text: &str) -> io::Result<Self> {
        let bytes = BASE64.decode(text).map_err(|error| damaged(&self.0.path, error))?;
        let checksums: Vec<u32> = bytes
            .chunks_exact(4)
            .map(|of| u32::from_le_bytes(of.try_into().unwrap_or_default()))
            .collect();
        let inner = &*self.0;
        if checksums.len() as u64 != inner.data_bytes.div_ceil(BLOCK_BYTES) {
            return Err(damaged(&inner.path, "its footer has not a checksum for each block"));
        }
        Ok(Self(Arc::new(Inner {
            file: Arc::clone(&inner.file),
            path: inner.path.clone(),
            bytes: inner.bytes,
            checksums,
            data_bytes: inner.data_bytes,
            end: inner.end.clone(),
        })))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Reads and checks bytes that lie before the footer.
    fn read_data(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let inner = &*self.0;
        let end = start + length as u64;
        let first = start / BLOCK_BYTES;
        let from = first * BLOCK_BYTES;
        let to = (end.div_ceil(BLOCK_BYTES) * BLOCK_BYTES).min(inner.data_bytes);
        let mut bytes = vec![0; usize::try_from(to - from).map_err(io::Error::other)?];
        inner.file.read_exact_at(&mut bytes, from).map_err(|error| {
            io::Error::new(error.kind(), format!("segment file {}: {error}", inner.path.display()))
        })?;
        let checksums = inner.checksums.iter().skip(usize::try_from(first).unwrap_or(usize::MAX));
        for ((block, &checksum), number) in bytes.chunks(BLOCK).zip(checksums).zip(first..) {
            if crc32c::crc32c(block) != checksum {
                let at = number * BLOCK_BYTES;
                return Err(damaged(
                    &inner.path,
                    format!("the bytes from {at} on do not have their checksum"),
                ));
            }
        }
        let skip = usize::try_from(start - from).map_err(io::Error::other)?;
        Ok(Bytes::from(bytes).slice(skip..skip + length))
    }

    fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let inner = &*self.0;
        let end = start + length as u64;
        if end > inner.bytes {
            return Err(damaged(&inner.path, "a read goes beyond its end"));
        }
        if start >= inner.data_bytes {
            let at = usize::try_from(start - inner.data_bytes).map_err(io::Error::other)?;
            return Ok(inner.end.slice(at..at + length));
        }
        if end <= inner.data_bytes {
            return self.read_data(start, length);
        }
        let before = usize::try_from(inner.data_bytes - start).map_err(io::Error::other)?;
        let mut bytes = self.read_data(start, before)?.to_vec();
        bytes.extend_from_slice(&inner.end.slice(..length - before));
        Ok(bytes.into())
    }

    /// Writes the same bytes into a new file, durably, each checked before.
    pub(super) fn copy_to(&self, fs: &dyn Fs, path: &Path) -> io::Result<()> {
        let inner = &*self.0;
        let to = fs.open(path, OpenMode::CreateNew)?;
        let mut at = 0;
        while at < inner.data_bytes {
            let length = (inner.data_bytes - at).min(64 * BLOCK_BYTES);
            let bytes = self.read_data(at, usize::try_from(length).map_err(io::Error::other)?)?;
            to.write_all_at(&bytes, at)?;
            at += length;
        }
        to.write_all_at(&inner.end, at)?;
        to.sync_data()
    }

    /// Reads the whole file and checks it.
    pub(super) fn verify(&self) -> io::Result<()> {
        let mut at = 0;
        while at < self.0.data_bytes {
            let length = (self.0.data_bytes - at).min(64 * BLOCK_BYTES);
            self.read_data(at, usize::try_from(length).map_err(io::Error::other)?)?;
            at += length;
        }
        Ok(())
    }
}

impl Length for SegmentFile {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

/// Reads on from an offset.
pub(super) struct From {
    file: SegmentFile,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.file.0.bytes - self.at).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let bytes = self.file.read(self.at, length)?;
        buffer[..length].copy_from_slice(&bytes);
        self.at += length as u64;
        Ok(length)
    }
}

impl ChunkReader for SegmentFile {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(BufReader::with_capacity(BLOCK, From { file: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.read(start, length).map_err(|error| ParquetError::External(Box::new(error)))
    }
}
