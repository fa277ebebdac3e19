//! Fixed-width little-endian fields of derived files.

use std::path::Path;

use crate::embedded::blocks::BlockError;

/// Bytes that are read from their start on. What is not there is `None`, never a panic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'b>(pub(super) &'b [u8]);

impl<'b> Bytes<'b> {
    /// The next so many bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of things of which each takes at least one byte: not more than bytes are left, so
    /// that a damaged count asks for no memory.
    pub(super) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.u32()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    /// Text with its length in front.
    pub(super) fn text(&mut self) -> Option<&'b str> {
        let length = self.count()?;
        str::from_utf8(self.take(length)?).ok()
    }

    pub(super) fn u32s(&mut self, count: usize) -> Option<Vec<u32>> {
        let (values, _) = self.take(count.checked_mul(4)?)?.as_chunks::<4>();
        Some(values.iter().map(|value| u32::from_le_bytes(*value)).collect())
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

pub(super) fn put_u32(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u64(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u32s(values: &[u32], out: &mut Vec<u8>) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// Text with its length in front.
pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_u32(super::position(text.len()), out);
    out.extend_from_slice(text.as_bytes());
}

/// What a file is whose checksums are right and whose fields are not.
pub(super) fn contradicts_itself(file: &Path) -> BlockError {
    BlockError::damaged(file, "its fields contradict each other")
}
