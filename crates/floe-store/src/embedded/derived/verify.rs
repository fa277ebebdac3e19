//! Comparing files of derived data with the events, for `floe verify`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use floe_core::{CustomerRef, EventSource};

use super::bytes::{Bytes, contradicts_itself};
use super::meter::{self, ColumnFact, MeterColumn, WholeColumn};
use super::rollup::{Rollup, RollupBuilder};
use super::{Definition, ROLLUP_KIND, VERSION, Work, build, matches, position};
use crate::embedded::blocks::{BlockError, BlockFile};
use crate::embedded::fs::Fs;
use crate::embedded::rows::Rows;
use crate::embedded::segment::{Batch, Segment, SegmentError};

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
    let is_known = is_key && matches!(kind, "rollup" | "meter");
    is_known.then(|| segment.parse().ok()).flatten()
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
    let is_column = path.extension().is_some_and(|suffix| suffix == "meter");
    let kind = if is_column { meter::KIND } else { ROLLUP_KIND };
    let read = || -> Result<_, BlockError> {
        let file = BlockFile::open(fs, path, kind)?;
        file.verify()?;
        Ok(file)
    };
    let file = match read() {
        Ok(read) => read,
        Err(error) => return Ok(Compared::Damaged(error)),
    };
    let mut header = Bytes(file.owner_header());
    if header.u32() != Some(VERSION) {
        return Ok(Compared::Unknown);
    }
    if header.array() != Some(segment.meta.identity()) {
        return Ok(Compared::OfAnother);
    }
    let Some(definition) = header.text().and_then(Definition::parse) else {
        return Ok(Compared::Damaged(contradicts_itself(path)));
    };
    let key = definition.key().to_string();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    if !name.unwrap_or_default().contains(&key) {
        return Ok(Compared::Different("it is of another meter than its name says"));
    }
    if is_column {
        let opened = MeterColumn::open(fs, path, &segment.meta, &definition);
        return match opened {
            // Then the events are looked at themselves.
            Ok(column) if !column.is_there() => Ok(Compared::Same),
            Ok(column) => compare_column(column, segment, &definition),
            Err(error) => Ok(Compared::Damaged(error)),
        };
    }
    compare_rollup(&file, segment, &definition)
}

fn compare_rollup(
    file: &BlockFile,
    segment: &Arc<Segment>,
    definition: &Definition,
) -> Result<Compared, SegmentError> {
    let function = definition.aggregation.function();
    let mut body = Vec::new();
    let read = file.scan(0..file.body_bytes(), |part| {
        body.extend_from_slice(part);
        Ok::<(), BlockError>(())
    });
    if let Err(error) = read {
        return Ok(Compared::Damaged(error));
    }
    let Some(found) = Rollup::decode(function, &body) else {
        return Ok(Compared::Damaged(contradicts_itself(file.path())));
    };
    let rows = usize::try_from(segment.meta.rows).unwrap_or(usize::MAX);
    let new = || RollupBuilder::new(function, rows);
    let work = Work::new(segment.meta.rows);
    let parts = build::each_group(segment, &work, new, |builder, _, batch| {
        let rows = Rows::Sealed(batch);
        builder.add(rows.all_micros(), &matches::by_row(definition, rows));
    })?;
    let mut whole = new();
    parts.into_iter().for_each(|part| whole.merge(part));
    Ok(if whole.finish().is_same(&found) {
        Compared::Same
    } else {
        Compared::Different("it counts otherwise than the events do")
    })
}

fn compare_column(
    column: MeterColumn,
    segment: &Arc<Segment>,
    definition: &Definition,
) -> Result<Compared, SegmentError> {
    let disordered = Compared::Different("its events are not in the order that it must have");
    let whole = match WholeColumn::read(column) {
        Ok(whole) => whole,
        Err(error) => return Ok(Compared::Damaged(error)),
    };
    let Some(mut places) = whole.by_row(segment.meta.rows) else { return Ok(disordered) };
    let groups = 0..segment.row_groups().len();
    let mut customers: BTreeSet<CustomerRef<'static>> = BTreeSet::new();
    for group in groups.clone() {
        let batch = Batch::of_group(segment, group);
        // Of those with a code, some may not occur.
        let occurs = (0..position(batch.len())).map(|row| batch.customer_code_of(row));
        let occurs: BTreeSet<u32> = occurs.collect();
        let own = batch.customers();
        customers.extend(occurs.iter().map(|code| own[*code as usize].clone()));
        batch.into_checked()?;
    }
    let customers: Vec<CustomerRef<'static>> = customers.into_iter().collect();
    for group in groups {
        let batch = Batch::of_group(segment, group);
        let rows = Rows::Sealed(&batch);
        let matches = matches::by_row(definition, rows);
        for (place, &row) in matches.rows.iter().enumerate() {
            let in_segment = (batch.first_row() + row) as usize;
            let found = places.get_mut(in_segment).and_then(Option::take);
            let customer = customers.binary_search(&rows.customer(row).into_owned());
            let expected = ColumnFact {
                customer: customer.map_or(u32::MAX, position),
                seconds: rows.timestamp(row).epoch_seconds(),
                is_system: rows.name(row).0 == EventSource::System,
                value: matches.contributions.text(place),
            };
            if found.map(|found| whole.fact(found)) != Some(expected) {
                return Ok(Compared::Different("it has an event otherwise than it is"));
            }
        }
        batch.into_checked()?;
    }
    Ok(if places.iter().all(Option::is_none) {
        Compared::Same
    } else {
        Compared::Different("it has events that do not count")
    })
}
