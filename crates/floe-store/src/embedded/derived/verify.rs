//! Comparing files of derived data with the events, for `floe verify`.

use std::path::Path;
use std::sync::Arc;

use super::bytes::{Bytes, contradicts_itself};
use super::rollup::{Rollup, RollupBuilder};
use super::{Definition, ROLLUP_KIND, Rows, VERSION, Work, build, matches};
use crate::embedded::blocks::{BlockError, BlockFile};
use crate::embedded::fs::Fs;
use crate::embedded::segment::{Segment, SegmentError};

/// What a file of derived data turned out to be.
#[derive(Debug)]
pub(in super::super) enum Compared {
    /// What the events give.
    Same,
    /// Not what the events give: how.
    Different(&'static str),
    /// Of a segment that had the same number before: it is never used.
    OfAnother,
    /// Nothing that this version derives.
    Unknown,
    /// It cannot be read.
    Damaged(BlockError),
}

/// The segment that a file of derived data is of, told by its name.
pub(in super::super) fn segment_of(name: &str) -> Option<u64> {
    let (segment, rest) = name.split_once('.')?;
    let (key, kind) = rest.split_once('.')?;
    let is_key = key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_key && kind == "rollup").then(|| segment.parse().ok()).flatten()
}

/// Derives what a file holds from the events of its segment anew, and compares.
///
/// # Errors
///
/// If the segment cannot be read.
pub(in super::super) fn compare(
    fs: &dyn Fs,
    path: &Path,
    segment: &Arc<Segment>,
) -> Result<Compared, SegmentError> {
    let read = || -> Result<_, BlockError> {
        let file = BlockFile::open(fs, path, ROLLUP_KIND)?;
        let mut body = Vec::new();
        file.scan(0..file.body_bytes(), |part| {
            body.extend_from_slice(part);
            Ok::<(), BlockError>(())
        })?;
        Ok((file.owner_header().to_vec(), body))
    };
    let (header, body) = match read() {
        Ok(read) => read,
        Err(error) => return Ok(Compared::Damaged(error)),
    };
    let mut header = Bytes(&header);
    if header.u32() != Some(VERSION) {
        return Ok(Compared::Unknown);
    }
    if header.array() != Some(segment.meta.identity()) {
        return Ok(Compared::OfAnother);
    }
    let definition = header.text().and_then(Definition::parse);
    let Some(definition) = definition.filter(|_| header.is_empty()) else {
        return Ok(Compared::Damaged(contradicts_itself(path)));
    };
    let key = definition.key().to_string();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    if !name.unwrap_or_default().contains(&key) {
        return Ok(Compared::Different("it is of another meter than its name says"));
    }
    let function = definition.aggregation.function();
    let Some(found) = Rollup::decode(function, &body) else {
        return Ok(Compared::Damaged(contradicts_itself(path)));
    };
    let rows = usize::try_from(segment.meta.rows).unwrap_or(usize::MAX);
    let new = || RollupBuilder::new(function, rows);
    let work = Work::new(segment.meta.rows);
    let parts = build::each_group(segment, &work, new, |builder, _, batch| {
        let rows = Rows::Sealed(batch);
        builder.add(rows.all_micros(), &matches::by_row(&definition, rows));
    })?;
    let mut whole = new();
    parts.into_iter().for_each(|part| whole.merge(part));
    Ok(if whole.finish().is_same(&found) {
        Compared::Same
    } else {
        Compared::Different("it counts otherwise than the events do")
    })
}
