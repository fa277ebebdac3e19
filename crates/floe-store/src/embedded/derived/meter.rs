//! What a definition counts in a segment, event by event, in the order of customers and then of
//! time.
//!
//! One customer is a range of it; all customers, one after the other, are one pass over it; and
//! within a customer each bucket is a run of neighbours. `docs/format.md` describes the file.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use floe_core::{
    Accumulator, AggregationFunction, Cell, DistinctValue, QuantityAccumulator, Series,
};
use rustc_hash::FxHashMap;

use super::bytes::{Bytes, contradicts_itself, put_u32, put_u64};
use super::matches::{Contributions, NO_VALUE};
use super::numbers::{ColumnWriter, Decoded, NumberColumn, Numbers};
use super::texts::{TextCodes, Texts};
use super::{Definition, header, position};
use crate::embedded::blocks::{BlockCache, BlockError, BlockFile, BlockWriter, Durability, Result};
use crate::embedded::chunk::Row;
use crate::embedded::fs::Fs;
use crate::embedded::segment::{Batch, Segment, SegmentMeta};
use crate::embedded::segment_index::SegmentIndex;

pub(super) const KIND: [u8; 4] = *b"METR";
/// Bytes of a checksummed block: one customer's few rows are in one or two of them.
const BLOCK_BYTES: usize = 8 * 1024;

const SECOND_MICROS: i64 = 1_000_000;

/// Rows that stand together in the file: first all their times, then all their values, then where
/// they are in the segment. Enough that the parts that are not read are whole blocks.
const BLOCK_ROWS: u32 = 64 * 1024;
/// Rows that are read at a time.
const READ_ROWS: u32 = 16 * 1024;

/// Marks, in a row's place in the segment, an event that Floe made itself.
const SYSTEM_BIT: u32 = 1 << 31;

/// Bytes of a customer's entry: its code, and where its rows end.
const ENTRY_BYTES: usize = 8;
const ENTRIES_PER_BLOCK: usize = BLOCK_BYTES / ENTRY_BYTES;

/// Bytes of texts beyond which there is no column; they are all in memory while it is made.
const TEXT_BYTES_MAX: usize = 256 << 20;
/// Bytes of texts that are kept with the open file.
const TEXT_BYTES_KEPT: u64 = 64 << 10;
/// Numbers that may be too wide for their column: they are kept with the open file.
const WIDE_MIN: usize = 1024;
const WIDE_PART: usize = 64;

/// Whether the buckets of a series can be told by whole seconds. They all can: no zone has ever
/// been off by a fraction of one.
pub(super) fn suits(series: &Series) -> bool {
    series.edges().iter().all(|edge| edge % SECOND_MICROS == 0)
}

/// Seconds of events since that of the earliest one in the segment.
#[derive(Debug)]
enum Times {
    Short(Vec<u32>),
    Long(Vec<i64>),
}

impl Times {
    fn get(&self, place: usize) -> i64 {
        match self {
            Self::Short(times) => i64::from(times[place]),
            Self::Long(times) => times[place],
        }
    }
}

/// What is gathered of one row group.
#[derive(Debug)]
pub(super) struct Part {
    group: usize,
    /// By row of the group, its place among the matches, or [`NO_MATCH`]; absent if all match.
    places: Option<Vec<u32>>,
    times: Times,
    contributions: Contributions,
    /// By place, whether Floe made the event itself; absent if it made none.
    is_system: Option<Vec<bool>>,
}

const NO_MATCH: u32 = u32::MAX;

/// The second that times of a segment are counted from, and whether 32 bits hold them all.
fn times_of(segment: &SegmentMeta) -> (i64, bool) {
    let base = segment.first_micros.div_euclid(SECOND_MICROS);
    let last = segment.last_micros.div_euclid(SECOND_MICROS);
    (base, u32::try_from(last - base).is_ok())
}

impl Part {
    /// What a definition counts in a row group: these rows of it, with what they contribute.
    pub(super) fn new(
        segment: &SegmentMeta,
        group: usize,
        batch: &Batch,
        rows: &[Row],
        contributions: Contributions,
    ) -> Self {
        let (base, is_short) = times_of(segment);
        let micros = batch.all_micros();
        let seconds = |row: &Row| {
            micros.get(*row as usize).map_or(0, |at| at.div_euclid(SECOND_MICROS) - base)
        };
        let times = if is_short {
            let short = |row| u32::try_from(seconds(row)).unwrap_or(u32::MAX);
            Times::Short(rows.iter().map(short).collect())
        } else {
            Times::Long(rows.iter().map(seconds).collect())
        };
        let is_system = (!batch.is_of_users()).then(|| {
            let names = batch.names();
            let is_system = |&row: &Row| {
                names[batch.name_code_of(row) as usize].0 == floe_core::EventSource::System
            };
            rows.iter().map(is_system).collect()
        });
        let places = (rows.len() != batch.len()).then(|| {
            let mut places = vec![NO_MATCH; batch.len()];
            for (place, &row) in (0..).zip(rows) {
                places[row as usize] = place;
            }
            places
        });
        Self { group, places, times, contributions, is_system }
    }

    /// The number of its row group.
    pub(super) fn group(&self) -> usize {
        self.group
    }

    fn place(&self, row: Row) -> Option<usize> {
        let place = match &self.places {
            None => row,
            Some(places) => *places.get(row as usize)?,
        };
        (place != NO_MATCH).then_some(place as usize)
    }
}

/// How values are written.
enum ValueWriter {
    Events,
    Numbers(ColumnWriter),
    Codes {
        /// By part, the codes of its own codes, less one.
        of_parts: Vec<Vec<u32>>,
        bytes: usize,
        texts: Texts,
    },
}

impl ValueWriter {
    /// For all parts; `None` if there is too much that stands beside the columns.
    fn new(function: AggregationFunction, parts: &[Part]) -> Option<Self> {
        let numbers: Vec<&Numbers> = parts
            .iter()
            .filter_map(|part| match &part.contributions {
                Contributions::Numbers(numbers) => Some(numbers),
                Contributions::Events | Contributions::Values(_) => None,
            })
            .collect();
        Some(match function {
            AggregationFunction::Count => Self::Events,
            AggregationFunction::Unique => {
                let mut codes = TextCodes::default();
                let mut of_parts = Vec::new();
                for part in parts {
                    let mut of_part = Vec::new();
                    if let Contributions::Values(values) = &part.contributions {
                        let texts = values.texts.texts();
                        of_part.extend(texts.iter().map(|text| codes.code(text)));
                    }
                    of_parts.push(of_part);
                    if codes.texts().memory() > TEXT_BYTES_MAX {
                        return None;
                    }
                }
                let texts = codes.into_texts();
                let bytes = match texts.len() {
                    0..=0xff => 1,
                    0x100..=0xffff => 2,
                    _ => 4,
                };
                Self::Codes { of_parts, bytes, texts }
            }
            AggregationFunction::Sum
            | AggregationFunction::Max
            | AggregationFunction::Min
            | AggregationFunction::Avg => Self::Numbers(ColumnWriter::for_all(&numbers)),
        })
    }

    fn put(&mut self, parts: &[Part], part: usize, place: usize, out: &mut Vec<u8>) {
        match (self, &parts[part].contributions) {
            (Self::Numbers(column), Contributions::Numbers(numbers)) => {
                column.push(numbers, place, out);
            }
            (Self::Codes { of_parts, bytes, .. }, Contributions::Values(values)) => {
                let code = match values.codes[place] {
                    NO_VALUE => NO_VALUE,
                    own => of_parts[part][own as usize - 1] + 1,
                };
                out.extend_from_slice(&code.to_le_bytes()[..*bytes]);
            }
            (_, _) => {}
        }
    }
}

/// Rows that are not written yet.
#[derive(Default)]
struct RowBlock {
    count: u32,
    times: Vec<u8>,
    values: Vec<u8>,
    rows: Vec<u8>,
}

impl RowBlock {
    fn write(&mut self, writer: &mut BlockWriter) -> Result<()> {
        for part in [&mut self.times, &mut self.values, &mut self.rows] {
            writer.write(part)?;
            part.clear();
        }
        self.count = 0;
        Ok(())
    }
}

/// Writes the column of a segment, given what each of its row groups has, in order. One for which
/// there is too much beside the columns is written as being unfit.
///
/// # Errors
///
/// The outer are those of the index, the inner those of what is written.
pub(super) fn write(
    fs: &Arc<dyn Fs>,
    path: &Path,
    segment: &Segment,
    definition: &Definition,
    parts: &[Part],
    index: &SegmentIndex,
) -> Result<Result<()>> {
    let create = || BlockWriter::with_blocks_of(BLOCK_BYTES, fs, path, KIND, Durability::Unsynced);
    let mut writer = match create() {
        Ok(writer) => writer,
        Err(error) => return Ok(Err(error)),
    };
    let (base, is_short) = times_of(&segment.meta);
    let values = ValueWriter::new(definition.aggregation.function(), parts)
        .filter(|_| segment.meta.rows < u64::from(SYSTEM_BIT));
    let mut head = Head { base, time_bytes: if is_short { 4 } else { 8 }, ..Head::default() };
    let Some(mut values) = values else {
        return Ok(finish_unfit(writer, head, &segment.meta, definition));
    };
    let mut failed: Option<BlockError> = None;
    let mut block = RowBlock::default();
    let mut entries: Vec<(u32, u32)> = Vec::new();
    let mut of_customer: Vec<(i64, Row, u32, u32)> = Vec::new();
    index.each_customer(|code, rows| {
        if failed.is_some() {
            return Ok(());
        }
        gather(segment, parts, rows, &mut of_customer);
        if of_customer.is_empty() {
            return Ok(());
        }
        for &(time, row, part, place) in &of_customer {
            let (part, place) = (part as usize, place as usize);
            block.times.extend_from_slice(&time.to_le_bytes()[..head.time_bytes as usize]);
            values.put(parts, part, place, &mut block.values);
            let is_system = parts[part].is_system.as_ref().is_some_and(|is| is[place]);
            put_u32(row | if is_system { SYSTEM_BIT } else { 0 }, &mut block.rows);
            block.count += 1;
            if block.count == BLOCK_ROWS
                && let Err(error) = block.write(&mut writer)
            {
                failed = Some(error);
                return Ok(());
            }
        }
        head.rows += position(of_customer.len());
        entries.push((code, head.rows));
        Ok(())
    })?;
    Ok(match failed {
        Some(error) => Err(error),
        None => {
            let end = || -> Result<()> {
                block.write(&mut writer)?;
                finish(writer, head, &segment.meta, definition, values, &entries)
            };
            end()
        }
    })
}

/// The matches among a customer's rows, in order of time: second, row, part and place.
fn gather(segment: &Segment, parts: &[Part], rows: &[Row], found: &mut Vec<(i64, Row, u32, u32)>) {
    found.clear();
    let groups = segment.row_groups();
    let mut number = 0;
    for &row in rows {
        // Rows ascend, and so do groups.
        while groups.get(number).is_some_and(|group| row >= group.start + group.rows) {
            number += 1;
        }
        let (Some(group), Some(part)) = (groups.get(number), parts.get(number)) else { break };
        if let Some(place) = part.place(row - group.start) {
            found.push((part.times.get(place), row, position(number), position(place)));
        }
    }
    if !found.is_sorted_by_key(|(time, ..)| *time) {
        found.sort_unstable();
    }
}

/// What is known of a column besides its rows.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    rows: u32,
    /// The second that times are counted from, since the epoch.
    base: i64,
    time_bytes: u32,
    /// 0: unfit; 1: no values; 2: numbers; 3: codes.
    tag: u32,
    /// Bytes of a code.
    code_bytes: u32,
    customers: u32,
    /// Where the entries of customers begin in the body, and where what is known of values.
    entries_at: u64,
    values_at: u64,
}

impl Head {
    fn encode(&self, fences: &[(u32, u32)], out: &mut Vec<u8>) {
        put_u32(self.rows, out);
        put_u64(self.base.cast_unsigned(), out);
        for value in [self.time_bytes, self.tag, self.code_bytes, self.customers] {
            put_u32(value, out);
        }
        put_u64(self.entries_at, out);
        put_u64(self.values_at, out);
        for (code, start) in fences {
            put_u32(*code, out);
            put_u32(*start, out);
        }
    }

    fn decode(bytes: &mut Bytes<'_>) -> Option<Self> {
        let (rows, base) = (bytes.u32()?, bytes.u64()?.cast_signed());
        let [time_bytes, tag, code_bytes, customers] =
            [bytes.u32()?, bytes.u32()?, bytes.u32()?, bytes.u32()?];
        let (entries_at, values_at) = (bytes.u64()?, bytes.u64()?);
        let is_right = matches!(time_bytes, 4 | 8)
            && (tag != 3 || matches!(code_bytes, 1 | 2 | 4))
            && entries_at % BLOCK_BYTES as u64 == 0;
        let head =
            Self { rows, base, time_bytes, tag, code_bytes, customers, entries_at, values_at };
        is_right.then_some(head)
    }
}

fn finish_unfit(
    writer: BlockWriter,
    head: Head,
    segment: &SegmentMeta,
    definition: &Definition,
) -> Result<()> {
    let mut bytes = header(segment, definition);
    head.encode(&[], &mut bytes);
    writer.finish(&bytes)?;
    Ok(())
}

fn finish(
    mut writer: BlockWriter,
    mut head: Head,
    segment: &SegmentMeta,
    definition: &Definition,
    values: ValueWriter,
    entries: &[(u32, u32)],
) -> Result<()> {
    let mut details = Vec::new();
    match values {
        ValueWriter::Events => head.tag = 1,
        ValueWriter::Numbers(column) => {
            let column = column.finish();
            // Found only now: what was written is of no use.
            if column.wide_count() > WIDE_MIN.max(head.rows as usize / WIDE_PART) {
                let unfit = Head { rows: 0, ..head };
                return finish_unfit(writer, unfit, segment, definition);
            }
            head.tag = 2;
            column.encode(&mut details);
        }
        ValueWriter::Codes { bytes, texts, .. } => {
            head.tag = 3;
            head.code_bytes = position(bytes);
            texts.encode(&mut details);
        }
    }
    writer.pad_to_block()?;
    head.entries_at = writer.position();
    head.customers = position(entries.len());
    for (code, end) in entries {
        writer.write(&code.to_le_bytes())?;
        writer.write(&end.to_le_bytes())?;
    }
    head.values_at = writer.position();
    writer.write(&details)?;
    let start_of = |number: usize| number.checked_sub(1).map_or(0, |before| entries[before].1);
    let fences: Vec<(u32, u32)> = (0..entries.len())
        .step_by(ENTRIES_PER_BLOCK)
        .map(|number| (entries[number].0, start_of(number)))
        .collect();
    let mut bytes = header(segment, definition);
    head.encode(&fences, &mut bytes);
    writer.finish(&bytes)?;
    Ok(())
}

/// An open column.
#[derive(Debug)]
pub(in super::super) struct MeterColumn {
    file: BlockFile,
    head: Head,
    values: ColumnValues,
    /// Of each block of entries: the first code, and where that customer's rows begin.
    fences: Vec<(u32, u32)>,
}

/// What must be known of values to read them.
#[derive(Debug)]
enum ColumnValues {
    Events,
    Numbers(NumberColumn),
    Codes {
        /// How many texts there are.
        texts: u32,
        /// All of them, if they are few.
        kept: Option<Texts>,
    },
    /// There is no column.
    None,
}

/// Some rows of a column in memory.
#[derive(Debug, Default)]
pub(in super::super) struct RowsRead {
    /// The first of them.
    start: u32,
    /// Seconds since the epoch.
    seconds: Vec<i64>,
    numbers: Decoded,
    codes: Vec<u32>,
    bytes: Vec<u8>,
}

impl RowsRead {
    fn end(&self) -> u32 {
        self.start + position(self.seconds.len())
    }
}

impl MeterColumn {
    /// Opens the column of a segment and a definition.
    pub(super) fn open(
        fs: &dyn Fs,
        path: &Path,
        segment: &SegmentMeta,
        definition: &Definition,
    ) -> Result<Self> {
        let file = BlockFile::open(fs, path, KIND)?;
        let of = header(segment, definition);
        let contradicts = || contradicts_itself(path);
        let own = file.owner_header().strip_prefix(of.as_slice()).ok_or_else(contradicts)?;
        let mut own = Bytes(own);
        let head = Head::decode(&mut own).ok_or_else(contradicts)?;
        let (fences, []) = own.0.as_chunks::<8>() else { return Err(contradicts()) };
        let fences: Vec<(u32, u32)> = fences
            .iter()
            .map(|fence| {
                let mut fence = Bytes(fence);
                (fence.u32().unwrap_or(0), fence.u32().unwrap_or(0))
            })
            .collect();
        if fences.len() != (head.customers as usize).div_ceil(ENTRIES_PER_BLOCK)
            || file.block_bytes() != BLOCK_BYTES
        {
            return Err(contradicts());
        }
        let values = match head.tag {
            0 => ColumnValues::None,
            1 => ColumnValues::Events,
            2 => {
                let details = read(&file, head.values_at..file.body_bytes())?;
                let mut details = Bytes(&details);
                ColumnValues::Numbers(NumberColumn::decode(&mut details).ok_or_else(contradicts)?)
            }
            3 => {
                let end = file.body_bytes().min(head.values_at + 4);
                let count = Bytes(&read(&file, head.values_at..end)?).u32();
                let texts = count.ok_or_else(contradicts)?;
                let is_small = file.body_bytes() - head.values_at <= TEXT_BYTES_KEPT;
                ColumnValues::Codes {
                    texts,
                    kept: is_small.then(|| read_texts(&file, head)).transpose()?,
                }
            }
            _ => return Err(contradicts()),
        };
        Ok(Self { file, head, values, fences })
    }

    /// Whether questions can be answered from it.
    pub(in super::super) fn is_there(&self) -> bool {
        !matches!(self.values, ColumnValues::None)
    }

    /// What it is if it does not fit the index of its segment.
    pub(in super::super) fn disagrees(&self) -> BlockError {
        contradicts_itself(self.file.path())
    }

    /// Bytes on disk.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file.file_bytes()
    }

    fn value_bytes(&self) -> usize {
        match &self.values {
            ColumnValues::Events | ColumnValues::None => 0,
            ColumnValues::Numbers(column) => column.width(),
            ColumnValues::Codes { .. } => self.head.code_bytes as usize,
        }
    }

    /// All rows.
    pub(in super::super) fn all(&self) -> Range<u32> {
        0..self.head.rows
    }

    /// The codes of customers that have rows, and where their rows end.
    pub(in super::super) fn entries(&self) -> Result<Vec<(u32, u32)>> {
        let end = self.head.entries_at + u64::from(self.head.customers) * ENTRY_BYTES as u64;
        let bytes = read(&self.file, self.head.entries_at..end)?;
        let entries: Vec<(u32, u32)> = bytes.as_chunks().0.iter().map(entry).collect();
        let is_right = entries.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1)
            && entries.last().is_none_or(|(_, end)| *end == self.head.rows);
        if is_right { Ok(entries) } else { Err(contradicts_itself(self.file.path())) }
    }

    /// The rows of a customer.
    pub(in super::super) fn rows_of(&self, cache: &BlockCache, code: u32) -> Result<Range<u32>> {
        let block = self.fences.partition_point(|(first, _)| *first <= code);
        let Some(block) = block.checked_sub(1) else { return Ok(0..0) };
        let first_block = usize::try_from(self.head.entries_at).unwrap_or(0) / BLOCK_BYTES;
        let bytes = self.file.block(cache, first_block + block)?;
        let here =
            (self.head.customers as usize - block * ENTRIES_PER_BLOCK).min(ENTRIES_PER_BLOCK);
        let entries = bytes.as_chunks::<ENTRY_BYTES>().0;
        let entries = entries.get(..here).ok_or_else(|| contradicts_itself(self.file.path()))?;
        let place = entries.partition_point(|bytes| entry(bytes).0 < code);
        match entries.get(place).map(entry) {
            Some((found, end)) if found == code => {
                let start = place
                    .checked_sub(1)
                    .map_or(self.fences[block].1, |before| entry(&entries[before]).1);
                Ok(start.min(end)..end)
            }
            _ => Ok(0..0),
        }
    }

    /// Where a part of a row block begins, and a row in it.
    fn at(&self, row: u32, part: PartOf) -> u64 {
        let [times, values, rows] =
            [self.head.time_bytes as usize, self.value_bytes(), size_of::<u32>()]
                .map(|bytes| bytes as u64);
        let block = u64::from(row / BLOCK_ROWS);
        let start = block * u64::from(BLOCK_ROWS) * (times + values + rows);
        let in_block = self.head.rows.saturating_sub(row - row % BLOCK_ROWS).min(BLOCK_ROWS);
        let (in_block, row) = (u64::from(in_block), u64::from(row % BLOCK_ROWS));
        start
            + match part {
                PartOf::Times => row * times,
                PartOf::Values => in_block * times + row * values,
                PartOf::Rows => in_block * (times + values) + row * rows,
            }
    }

    /// The rows from a row on that can be read at once, up to an end.
    fn piece(start: u32, end: u32) -> u32 {
        let block_end = (start - start % BLOCK_ROWS).saturating_add(BLOCK_ROWS);
        end.min(block_end).min(start.saturating_add(READ_ROWS))
    }

    fn fill(&self, cache: Option<&BlockCache>, at: u64, bytes: &mut [u8]) -> Result<()> {
        match cache {
            Some(cache) => self.file.read_at(cache, at, bytes),
            None => {
                let mut filled = 0;
                self.file.scan(at..at + bytes.len() as u64, |part| {
                    let to = filled + part.len();
                    if let Some(place) = bytes.get_mut(filled..to) {
                        place.copy_from_slice(part);
                    }
                    filled = to;
                    Ok::<(), BlockError>(())
                })
            }
        }
    }

    /// Reads times and values of some rows, from a row on and not beyond `end`; by the cache if
    /// there is one, which is for few rows that are asked for often.
    fn read_rows(
        &self,
        cache: Option<&BlockCache>,
        start: u32,
        end: u32,
        into: &mut RowsRead,
    ) -> Result<()> {
        let end = Self::piece(start, end.min(self.head.rows));
        let count = end.saturating_sub(start) as usize;
        let mut bytes = std::mem::take(&mut into.bytes);
        bytes.resize(count * self.head.time_bytes as usize, 0);
        self.fill(cache, self.at(start, PartOf::Times), &mut bytes)?;
        into.start = start;
        into.seconds.clear();
        let base = self.head.base;
        if self.head.time_bytes == 4 {
            let times = bytes.as_chunks().0.iter();
            into.seconds.extend(times.map(|time| base + i64::from(u32::from_le_bytes(*time))));
        } else {
            let times = bytes.as_chunks().0.iter();
            into.seconds.extend(times.map(|time| base.wrapping_add(i64::from_le_bytes(*time))));
        }
        bytes.resize(count * self.value_bytes(), 0);
        self.fill(cache, self.at(start, PartOf::Values), &mut bytes)?;
        match &self.values {
            ColumnValues::Events | ColumnValues::None => {}
            ColumnValues::Numbers(column) => column.read(&bytes, &mut into.numbers),
            ColumnValues::Codes { texts, .. } => {
                into.codes.clear();
                let code = |bytes: &[u8]| {
                    bytes.iter().rev().fold(0, |code, &byte| code << 8 | u32::from(byte))
                };
                into.codes.extend(bytes.chunks_exact(self.value_bytes()).map(code));
                if into.codes.iter().any(|code| code > texts) {
                    return Err(contradicts_itself(self.file.path()));
                }
            }
        }
        into.bytes = bytes;
        Ok(())
    }

    /// Where these rows are in the segment, with whether Floe made the event itself.
    pub(in super::super) fn places(
        &self,
        cache: &BlockCache,
        rows: Range<u32>,
    ) -> Result<Vec<(Row, bool)>> {
        let mut places = Vec::with_capacity(rows.len());
        let mut start = rows.start;
        while start < rows.end {
            let end = Self::piece(start, rows.end);
            let mut bytes = vec![0; (end - start) as usize * size_of::<u32>()];
            self.file.read_at(cache, self.at(start, PartOf::Rows), &mut bytes)?;
            places.extend(bytes.as_chunks().0.iter().map(|bytes| {
                let row = u32::from_le_bytes(*bytes);
                (row & !SYSTEM_BIT, row & SYSTEM_BIT != 0)
            }));
            start = end;
        }
        Ok(places)
    }

    /// Reads the text of a value's code.
    fn text(&self, cache: &BlockCache, code: u32) -> Result<String> {
        let ColumnValues::Codes { texts, .. } = &self.values else { return Ok(String::new()) };
        let ends_at = self.head.values_at + 4;
        let end_of = |code: u32| -> Result<u64> {
            let mut bytes = [0; 8];
            self.file.read_at(cache, ends_at + 8 * u64::from(code), &mut bytes)?;
            Ok(u64::from_le_bytes(bytes))
        };
        let start = if code == 0 { 0 } else { end_of(code - 1)? };
        let end = end_of(code)?;
        let texts_at = ends_at + 8 * u64::from(*texts);
        let contradicts = || contradicts_itself(self.file.path());
        let length = end.checked_sub(start).filter(|_| texts_at + end <= self.file.body_bytes());
        let length = length.and_then(|length| usize::try_from(length).ok());
        let mut bytes = vec![0; length.ok_or_else(contradicts)?];
        self.file.read_at(cache, texts_at + start, &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| contradicts())
    }
}

/// A whole column in memory, to be compared with the events.
#[derive(Debug)]
pub(super) struct WholeColumn {
    column: MeterColumn,
    entries: Vec<(u32, u32)>,
    rows: RowsRead,
    places: Vec<(Row, bool)>,
    texts: Texts,
}

/// What a column says of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ColumnFact {
    /// The code of its customer.
    pub(super) customer: u32,
    pub(super) seconds: i64,
    pub(super) is_system: bool,
    /// The canonical text of what it contributes, if that is a number or a value.
    pub(super) value: Option<String>,
}

impl WholeColumn {
    /// Reads a column that is there.
    pub(super) fn read(column: MeterColumn) -> Result<Self> {
        let cache = BlockCache::new(0);
        let entries = column.entries()?;
        let (mut rows, mut part) = (RowsRead::default(), RowsRead::default());
        while rows.end() < column.head.rows {
            let start = rows.end();
            column.read_rows(None, start, column.head.rows, &mut part)?;
            if part.seconds.is_empty() {
                return Err(column.disagrees());
            }
            rows.seconds.append(&mut part.seconds);
            rows.codes.append(&mut part.codes);
            rows.numbers.append(&mut part.numbers);
        }
        let places = column.places(&cache, column.all())?;
        let texts = match &column.values {
            ColumnValues::Codes { .. } => read_texts(&column.file, column.head)?,
            _ => Texts::default(),
        };
        Ok(Self { column, entries, rows, places, texts })
    }

    /// By row of the segment, the place in the column; `None` if the rows are not distinct rows of
    /// a segment of so many, in the order of time for each customer.
    pub(super) fn by_row(&self, rows: u64) -> Option<Vec<Option<u32>>> {
        let mut places = vec![None; usize::try_from(rows).ok()?];
        for (place, (row, _)) in (0..).zip(&self.places) {
            if places.get_mut(*row as usize)?.replace(place).is_some() {
                return None;
            }
        }
        let mut start = 0;
        for (_, end) in &self.entries {
            let end = *end as usize;
            if !self.rows.seconds.get(start..end)?.is_sorted() {
                return None;
            }
            start = end;
        }
        Some(places)
    }

    /// What it says at a place.
    pub(super) fn fact(&self, place: u32) -> ColumnFact {
        let entry = self.entries.partition_point(|(_, end)| *end <= place);
        let at = place as usize;
        let value = match &self.column.values {
            ColumnValues::Numbers(numbers) => {
                let mut sum = Accumulator::new(AggregationFunction::Sum);
                numbers.add_to(0, at..at + 1, &self.rows.numbers, &mut sum);
                Some(sum.finish().canonical_text())
            }
            ColumnValues::Codes { .. } => {
                let code = self.rows.codes.get(at).filter(|&&code| code != NO_VALUE);
                let code = code.filter(|&&code| code as usize <= self.texts.len());
                code.map(|&code| self.texts.get(code as usize - 1).to_owned())
            }
            ColumnValues::Events | ColumnValues::None => None,
        };
        ColumnFact {
            customer: self.entries.get(entry).map_or(u32::MAX, |(code, _)| *code),
            seconds: self.rows.seconds.get(at).copied().unwrap_or(i64::MIN),
            is_system: self.places.get(at).is_some_and(|(_, is_system)| *is_system),
            value,
        }
    }
}

#[derive(Clone, Copy)]
enum PartOf {
    Times,
    Values,
    Rows,
}

fn entry(bytes: &[u8; ENTRY_BYTES]) -> (u32, u32) {
    let [code, end] =
        [&bytes[..4], &bytes[4..]].map(|part| part.try_into().map_or(0, u32::from_le_bytes));
    (code, end)
}

fn read(file: &BlockFile, range: Range<u64>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.scan(range, |part| {
        bytes.extend_from_slice(part);
        Ok::<(), BlockError>(())
    })?;
    Ok(bytes)
}

fn read_texts(file: &BlockFile, head: Head) -> Result<Texts> {
    let bytes = read(file, head.values_at..file.body_bytes())?;
    Texts::decode(&mut Bytes(&bytes)).ok_or_else(|| contradicts_itself(file.path()))
}

/// Reads a column for one answer.
#[derive(Debug)]
pub(in super::super) struct ColumnReader {
    column: Arc<MeterColumn>,
    rows: RowsRead,
    values: ValueMap,
    /// Whether few rows are read, by the cache.
    is_for_few: bool,
}

/// The values that the codes of a column are in one answer.
#[derive(Debug, Default)]
enum ValueMap {
    /// As far as they occurred, read one by one.
    #[default]
    Empty,
    Some(FxHashMap<u32, DistinctValue>),
    /// By code, with all texts in memory.
    All(Vec<Option<DistinctValue>>, Texts),
}

impl ColumnReader {
    /// `is_for_few` says that few of the rows will be read.
    pub(in super::super) fn new(column: Arc<MeterColumn>, is_for_few: bool) -> Self {
        Self { column, rows: RowsRead::default(), values: ValueMap::Empty, is_for_few }
    }

    /// Calls `add` with the bucket and what it gets for each run of rows in one bucket; the rows are
    /// of one customer, or in no order of time.
    pub(in super::super) fn each_run(
        &mut self,
        cache: &BlockCache,
        rows: Range<u32>,
        buckets: &mut Buckets<'_>,
        accumulator: &mut QuantityAccumulator,
        mut add: impl FnMut(usize, Run<'_>, &mut QuantityAccumulator),
    ) -> Result<()> {
        let Self { column, rows: read, values, is_for_few } = self;
        let mut at = rows.start;
        while at < rows.end {
            if at < read.start || at >= read.end() {
                let end = if *is_for_few { rows.end } else { column.head.rows };
                column.read_rows(is_for_few.then_some(cache), at, end, read)?;
                if at >= read.end() {
                    return Err(contradicts_itself(column.file.path()));
                }
            }
            let from = (at - read.start) as usize;
            let until = (rows.end.min(read.end()) - read.start) as usize;
            let seconds = &read.seconds[from..until];
            let mut start = 0;
            while let Some(&second) = seconds.get(start) {
                let bucket = buckets.find(second);
                let mut end = start + 1;
                while seconds.get(end).is_some_and(|&second| buckets.is_here(second)) {
                    end += 1;
                }
                if let Some(bucket) = bucket {
                    let places = from + start..from + end;
                    match &column.values {
                        ColumnValues::Codes { kept, .. } => {
                            let codes = &read.codes[places];
                            let texts = TextSource { column, kept: kept.as_ref(), cache };
                            let found = values.find(&texts, codes, *is_for_few, accumulator)?;
                            add(bucket, Run::Values(&found), accumulator);
                        }
                        ColumnValues::Numbers(numbers) => {
                            let first = read.start as usize;
                            let run = NumberRun { numbers, decoded: &read.numbers, places, first };
                            add(bucket, Run::Numbers(&run), accumulator);
                        }
                        ColumnValues::Events | ColumnValues::None => {
                            add(bucket, Run::Events(places.len() as u64), accumulator);
                        }
                    }
                }
                start = end;
            }
            at = read.start + position(until);
        }
        Ok(())
    }
}

impl ColumnReader {
    /// Adds rows to an accumulator that is not of a question with buckets.
    pub(in super::super) fn add_to(
        &mut self,
        cache: &BlockCache,
        rows: Range<u32>,
        accumulator: &mut Accumulator,
    ) -> Result<()> {
        let Self { column, rows: read, .. } = self;
        let mut at = rows.start;
        while at < rows.end {
            if at < read.start || at >= read.end() {
                column.read_rows(Some(cache), at, rows.end, read)?;
                if at >= read.end() {
                    return Err(column.disagrees());
                }
            }
            let until = rows.end.min(read.end());
            let places = (at - read.start) as usize..(until - read.start) as usize;
            match (&column.values, &mut *accumulator) {
                (ColumnValues::Codes { kept, .. }, Accumulator::Unique(values)) => {
                    for &code in read.codes[places].iter().filter(|&&code| code != NO_VALUE) {
                        match kept {
                            Some(texts) => values.insert(texts.get(code as usize - 1).into()),
                            None => values.insert(column.text(cache, code - 1)?.into()),
                        };
                    }
                }
                (ColumnValues::Numbers(numbers), accumulator) => {
                    numbers.add_to(read.start as usize, places, &read.numbers, accumulator);
                }
                (_, accumulator) => accumulator.add_events(places.len() as u64),
            }
            at = until;
        }
        Ok(())
    }
}

/// Where the texts of codes are.
struct TextSource<'c> {
    column: &'c MeterColumn,
    kept: Option<&'c Texts>,
    cache: &'c BlockCache,
}

impl ValueMap {
    /// The values of these codes, without those of rows that have none.
    fn find(
        &mut self,
        texts: &TextSource<'_>,
        codes: &[u32],
        is_for_few: bool,
        accumulator: &mut QuantityAccumulator,
    ) -> Result<Vec<DistinctValue>> {
        if matches!(self, Self::Empty) {
            *self = match texts.kept {
                Some(kept) => Self::All(vec![None; kept.len()], kept.clone()),
                None if is_for_few => Self::Some(FxHashMap::default()),
                None => {
                    let all = read_texts(&texts.column.file, texts.column.head)?;
                    Self::All(vec![None; all.len()], all)
                }
            };
        }
        let mut found = Vec::with_capacity(codes.len());
        for &code in codes.iter().filter(|&&code| code != NO_VALUE) {
            let code = code - 1;
            found.push(match self {
                Self::All(values, all) => {
                    let place = values.get_mut(code as usize);
                    let place =
                        place.ok_or_else(|| contradicts_itself(texts.column.file.path()))?;
                    *place.get_or_insert_with(|| accumulator.value(all.get(code as usize)))
                }
                Self::Some(values) => match values.get(&code) {
                    Some(&value) => value,
                    None => {
                        let value = accumulator.value(&texts.column.text(texts.cache, code)?);
                        values.insert(code, value);
                        value
                    }
                },
                Self::Empty => continue,
            });
        }
        Ok(found)
    }
}

/// What neighbouring rows contribute to one bucket.
pub(in super::super) enum Run<'r> {
    /// So many events.
    Events(u64),
    Numbers(&'r NumberRun<'r>),
    /// The values of those that have one.
    Values(&'r [DistinctValue]),
}

/// Numbers of neighbouring rows.
pub(in super::super) struct NumberRun<'r> {
    numbers: &'r NumberColumn,
    decoded: &'r Decoded,
    /// Places among what was decoded, the first of which is this row.
    places: Range<usize>,
    first: usize,
}

impl Run<'_> {
    /// Adds each row, as an event.
    pub(in super::super) fn add_to(&self, accumulator: &mut Accumulator) {
        match self {
            Self::Events(count) => accumulator.add_events(*count),
            Self::Numbers(run) => {
                let NumberRun { numbers, decoded, places, first } = run;
                numbers.add_to(*first, places.clone(), decoded, accumulator);
            }
            Self::Values(_) => {}
        }
    }

    /// Adds each row to a cell.
    pub(in super::super) fn add_to_cell(&self, function: AggregationFunction, cell: &mut Cell) {
        match self {
            Self::Values(values) => cell.add_values(values.iter().copied()),
            run => {
                let mut part = Accumulator::new(function);
                run.add_to(&mut part);
                cell.merge(&part);
            }
        }
    }
}

/// The buckets of a series, by whole seconds.
#[derive(Debug)]
pub(in super::super) struct Buckets<'s> {
    series: &'s Series,
    /// Edges in seconds.
    edges: Vec<i64>,
    /// The piece between two edges that was found last, and the number of the edge behind it.
    after: usize,
    from: i64,
    until: i64,
}

impl<'s> Buckets<'s> {
    /// Of a series that is [suited](suits).
    pub(in super::super) fn new(series: &'s Series) -> Self {
        let edges: Vec<i64> = series.edges().iter().map(|edge| edge / SECOND_MICROS).collect();
        let until = edges.first().copied().unwrap_or(i64::MAX);
        Self { series, edges, after: 0, from: i64::MIN, until }
    }

    fn is_here(&self, second: i64) -> bool {
        self.from <= second && second < self.until
    }

    fn find(&mut self, second: i64) -> Option<usize> {
        // Mostly that is the piece behind the last one.
        let next = self.edges.get(self.after + 1).copied().unwrap_or(i64::MAX);
        let after = if second >= self.until && second < next {
            self.after + 1
        } else {
            self.edges.partition_point(|&edge| edge <= second)
        };
        self.after = after;
        self.from = after.checked_sub(1).map_or(i64::MIN, |before| self.edges[before]);
        self.until = self.edges.get(after).copied().unwrap_or(i64::MAX);
        let slot = after.checked_sub(1).and_then(|before| self.series.slots()[before]);
        slot.map(|bucket| bucket as usize)
    }
}
