//! Segments: sealed events as immutable Parquet files that any reader of the format opens.
//!
//! A segment holds consecutive events of one organization, in order of ingestion. It owns the
//! columns on disk and their way back to events, without loss; it refuses to know which segments
//! there are (the manifest's) and what is asked of them (`query`'s). Docs: `docs/format.md`.

mod file;
mod layout;
mod read;
mod rest;
mod shared;
mod write;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, Int64Array, RecordBatchReader as _};
use arrow_schema::DataType;
use floe_core::{EventSource, Sequence, Timestamp};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use serde::{Deserialize, Serialize};

use self::file::SegmentFile;
pub(super) use self::layout::{ColumnCounts, Kind};
use self::layout::{Layout, Node};
pub(super) use self::read::{Batch, Column, SealedSlot};
pub(super) use self::shared::SharedColumns;
pub(super) use self::write::{PAGE_ROWS, SegmentWriter};
use super::chunk::Row;
use super::fs::Fs;
use super::segment_index::SegmentIndex;

/// Version of the layout of a segment's columns.
const FORMAT_VERSION: u32 = 1;
/// Bytes of a dictionary, on disk, from which on its column is decoded once for a row group.
const DICTIONARY_BYTES_SHARED: i64 = 8 * 1024;
/// Keys of the file's own metadata.
const FORMAT_KEY: &str = "floe.format";
const COLUMNS_KEY: &str = "floe.columns";
const CHECKSUMS_KEY: &str = "floe.checksums";

/// Why a segment cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    /// The disk failed, or bytes are not what was written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A later Floe wrote it.
    #[error("segment file {file} has format {version}; this Floe reads up to {FORMAT_VERSION}")]
    NewerFormat { file: String, version: String },
    /// It is not what a segment must be, though its checksums are right.
    #[error("segment file {file} cannot be read: {why}")]
    Unreadable { file: String, why: String },
    /// Somebody asked not to go on.
    #[error("the store is closing")]
    Stopped,
    /// The Parquet library failed.
    #[error("a segment cannot be encoded")]
    Parquet(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SegmentError {
    fn of(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::Parquet(error)
    }
}

/// What was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    /// The file's length.
    pub(super) bytes: u64,
    /// Where data ends and the footer begins.
    pub(super) data_bytes: u64,
    /// Checksum of the bytes from `data_bytes` on.
    pub(super) end_crc32c: u32,
    /// How many events.
    pub(super) rows: u64,
    /// Sequence numbers of the first and last event.
    pub(super) sequences: Option<(u64, u64)>,
    /// The earliest and latest event timestamp, in microseconds.
    pub(super) micros: Option<(i64, i64)>,
    /// When the last event was ingested, in microseconds.
    pub(super) last_ingested_micros: i64,
}

impl Written {
    fn note(&mut self, sequence: Sequence, timestamp: Timestamp, ingested_at: Timestamp) {
        let micros = timestamp.micros();
        self.note_rows(1, (sequence.0, sequence.0), (micros, micros));
        self.last_ingested_micros = ingested_at.micros();
    }

    fn note_group(&mut self, group: &RowGroup) {
        self.note_rows(group.rows.into(), group.sequences, group.micros);
        self.last_ingested_micros = group.ingested_micros.1;
    }

    fn note_rows(&mut self, rows: u64, sequences: (u64, u64), micros: (i64, i64)) {
        self.rows += rows;
        self.sequences = Some((self.sequences.unwrap_or(sequences).0, sequences.1));
        let known = self.micros.unwrap_or(micros);
        self.micros = Some((known.0.min(micros.0), known.1.max(micros.1)));
    }
}

/// A segment as the manifest knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SegmentMeta {
    /// Its number, unique in the folder for all time: the file's name.
    pub(super) id: u64,
    /// Number of the first event among the organization's.
    pub(super) first_number: u64,
    /// How many events.
    pub(super) rows: u64,
    /// Sequence numbers of the first and last event.
    pub(super) first_sequence: u64,
    pub(super) last_sequence: u64,
    /// The earliest and latest event timestamp, in microseconds.
    pub(super) first_micros: i64,
    pub(super) last_micros: i64,
    /// When its last event was ingested, in microseconds.
    pub(super) last_ingested_micros: i64,
    /// The file's length, where its footer begins, and the footer's CRC-32C.
    pub(super) bytes: u64,
    pub(super) data_bytes: u64,
    pub(super) end_crc32c: u32,
}

impl SegmentMeta {
    /// What tells it from every other segment, also from one that had its number before a crash:
    /// files that are derived from it carry this.
    pub(super) fn identity(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[16..].copy_from_slice(&self.end_crc32c.to_le_bytes());
        bytes
    }

    /// The numbers of its events among the organization's.
    pub(super) fn numbers(&self) -> Range<u64> {
        self.first_number..self.first_number + self.rows
    }
}

/// Rows of a segment that were written together.
#[derive(Debug, Clone)]
pub(super) struct RowGroup {
    /// The first row.
    pub(super) start: Row,
    /// How many.
    pub(super) rows: Row,
    /// The earliest and latest event timestamp, in microseconds.
    pub(super) micros: (i64, i64),
    /// Sequence number of the first and last event.
    pub(super) sequences: (u64, u64),
    /// When the first and the last were ingested, in microseconds.
    pub(super) ingested_micros: (i64, i64),
    /// Whether none of them is Floe's own, as far as that is known without a look at them.
    pub(super) is_of_users: bool,
}

/// Where the event with a sequence number is.
#[derive(Debug)]
pub(super) enum Place<'s> {
    /// Not in the segment.
    Nowhere,
    Row(Row),
    /// In this row group, by its position, if anywhere.
    Group(usize, &'s RowGroup),
}

/// An opened segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) meta: SegmentMeta,
    file: SegmentFile,
    /// Texts as they are, and texts by their codes in the file's dictionaries.
    plain: ArrowReaderMetadata,
    coded: ArrowReaderMetadata,
    layout: Layout,
    root: Node,
    row_groups: Vec<RowGroup>,
    /// Whether the JSON column has anything.
    has_rest: bool,
    shared: Arc<SharedColumns>,
    /// Its index, once it was opened or built.
    pub(super) index: Mutex<Option<Arc<SegmentIndex>>>,
}

impl Segment {
    /// Opens a segment.
    pub(super) fn open(
        fs: &dyn Fs,
        path: &Path,
        meta: SegmentMeta,
        shared: &Arc<SharedColumns>,
    ) -> Result<Self, SegmentError> {
        let file = SegmentFile::open(fs, path, meta.bytes, meta.data_bytes, meta.end_crc32c)?;
        let name = || path.display().to_string();
        let unreadable = |why: String| SegmentError::Unreadable { file: name(), why };
        let parquet = |error: ParquetError| unreadable(error.to_string());
        let options =
            || ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let raw = ArrowReaderMetadata::load(&file, options()).map_err(parquet)?;
        let own = raw.metadata().file_metadata().key_value_metadata();
        let value = |key: &str| {
            let found = own.into_iter().flatten().find(|of| of.key == key);
            found
                .and_then(|of| of.value.as_deref())
                .ok_or_else(|| unreadable(format!("its footer has no {key}")))
        };
        let version = value(FORMAT_KEY)?;
        if version != FORMAT_VERSION.to_string() {
            return Err(SegmentError::NewerFormat { file: name(), version: version.to_owned() });
        }
        let layout: Layout = serde_json::from_str(value(COLUMNS_KEY)?)
            .map_err(|error| unreadable(error.to_string()))?;
        let file = file.with_checksums(value(CHECKSUMS_KEY)?)?;
        let read_as = |text: DataType| {
            let options = options().with_schema(write::schema_of(&layout, &text));
            ArrowReaderMetadata::try_new(Arc::clone(raw.metadata()), options).map_err(parquet)
        };
        let plain = read_as(DataType::Utf8)?;
        let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let coded = read_as(text)?;
        let mut start = 0;
        let mut row_groups = Vec::new();
        for group in raw.metadata().row_groups() {
            let group = row_group(start, group).ok_or_else(|| {
                unreadable("a row group lacks its statistics or is too large".to_owned())
            })?;
            start += group.rows;
            row_groups.push(group);
        }
        if u64::from(start) != meta.rows {
            return Err(unreadable(format!("it has {start} rows instead of {}", meta.rows)));
        }
        let rest = raw.metadata().row_groups().iter().any(|group| {
            let column = group.column(read::REST);
            column.statistics().and_then(Statistics::null_count_opt)
                != Some(group.num_rows().cast_unsigned())
        });
        let root = Node::of(&layout);
        Ok(Self {
            shared: Arc::clone(shared),
            meta,
            file,
            plain,
            coded,
            layout,
            root,
            row_groups,
            has_rest: rest,
            index: Mutex::default(),
        })
    }

    /// Its row groups, in order.
    pub(super) fn row_groups(&self) -> &[RowGroup] {
        &self.row_groups
    }

    /// Adds what its columns hold to the counts.
    pub(super) fn count_columns(&self, counts: &mut ColumnCounts) {
        counts.add_layout(self.meta.rows, &self.layout);
    }

    /// Bytes on disk of each column, with the number of its values' bytes before compression.
    pub(super) fn column_bytes(&self) -> Vec<(String, u64)> {
        let metadata = self.plain.metadata();
        let columns = metadata.file_metadata().schema_descr().columns();
        let bytes = |index: usize| {
            let groups = metadata.row_groups().iter();
            groups.map(|group| group.column(index).compressed_size().cast_unsigned()).sum()
        };
        columns.iter().enumerate().map(|(i, of)| (of.name().to_owned(), bytes(i))).collect()
    }

    /// All columns of a row group, so many rows at a time, with texts as they are.
    fn read_group(
        &self,
        group: usize,
        rows: usize,
    ) -> Result<ParquetRecordBatchReader, SegmentError> {
        let of = self.plain.clone();
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), of)
            .with_row_groups(vec![group])
            .with_batch_size(rows)
            .build()
            .map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, error: ParquetError) -> SegmentError {
        match error {
            // The bytes were not what they must be; the message names the file.
            ParquetError::External(source) => SegmentError::Parquet(source),
            other => SegmentError::Unreadable {
                file: self.file.path().display().to_string(),
                why: other.to_string(),
            },
        }
    }

    /// Reads the whole file and checks every checksum.
    pub(super) fn verify_bytes(&self) -> Result<(), SegmentError> {
        Ok(self.file.verify()?)
    }

    /// Writes the same file elsewhere, durably, and checks every checksum on the way.
    pub(super) fn copy_to(&self, fs: &dyn Fs, path: &Path) -> Result<(), SegmentError> {
        Ok(self.file.copy_to(fs, path)?)
    }

    /// A column over rows of one row group; `None` if it has no value there.
    fn column(
        &self,
        group: usize,
        column: usize,
        rows: Range<usize>,
    ) -> Result<Option<ArrayRef>, SegmentError> {
        let of = self.plain.metadata().row_group(group);
        let all = of.num_rows().cast_unsigned();
        let chunk = of.column(column);
        if chunk.statistics().and_then(Statistics::null_count_opt) == Some(all) {
            return Ok(None);
        }
        let dictionary_bytes = chunk
            .dictionary_page_offset()
            .map_or(0, |dictionary| chunk.data_page_offset().saturating_sub(dictionary));
        if rows.len() as u64 == all || dictionary_bytes < DICTIONARY_BYTES_SHARED {
            return self.read_column(group, column, rows).map(Some);
        }
        // To decode a large dictionary for each page would cost more than the whole column does.
        let key = (self.meta.id, group, column);
        let whole = match self.shared.get(key) {
            Some(whole) => whole,
            None => {
                let whole =
                    self.read_column(group, column, 0..usize::try_from(all).unwrap_or(usize::MAX))?;
                self.shared.put(key, &whole);
                whole
            }
        };
        Ok(Some(whole.slice(rows.start, rows.len())))
    }

    fn read_column(
        &self,
        group: usize,
        column: usize,
        rows: Range<usize>,
    ) -> Result<ArrayRef, SegmentError> {
        let of = self.plain.metadata().row_group(group);
        let is_coded = of
            .column(column)
            .page_encoding_stats_mask()
            .is_some_and(|mask| mask.is_only(Encoding::RLE_DICTIONARY));
        let reader = if is_coded { self.coded.clone() } else { self.plain.clone() };
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), reader);
        let mask = ProjectionMask::leaves(builder.parquet_schema(), [column]);
        let count = rows.len();
        let mut builder =
            builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(count);
        if count as u64 != of.num_rows().cast_unsigned() {
            let selection = vec![RowSelector::skip(rows.start), RowSelector::select(count)];
            builder = builder.with_row_selection(RowSelection::from(selection));
        }
        let mut reader = builder.build().map_err(|error| self.unreadable(error))?;
        debug_assert_eq!(reader.schema().fields().len(), 1);
        let batch = reader
            .next()
            .transpose()
            .map_err(|error| SegmentError::Parquet(Box::new(error)))?
            .filter(|batch| batch.num_rows() == count)
            .ok_or_else(|| SegmentError::Unreadable {
                file: self.file.path().display().to_string(),
                why: format!("a column has not {count} rows"),
            })?;
        Ok(Arc::clone(batch.column(0)))
    }

    /// Where the event with a sequence number is, as far as that is known without a look at rows.
    pub(super) fn place_of(&self, sequence: Sequence) -> Place<'_> {
        let SegmentMeta { first_sequence, last_sequence, rows, .. } = self.meta;
        if sequence.0 < first_sequence || sequence.0 > last_sequence {
            return Place::Nowhere;
        }
        // Nobody else's events came in between.
        if last_sequence - first_sequence + 1 == rows {
            let row = Row::try_from(sequence.0 - first_sequence);
            return row.map_or(Place::Nowhere, Place::Row);
        }
        let is_before = |group: &RowGroup| group.sequences.1 < sequence.0;
        let index = self.row_groups.partition_point(is_before);
        self.row_groups.get(index).map_or(Place::Nowhere, |group| Place::Group(index, group))
    }

    /// The row of a sequence number, if it is here. It reads the sequence numbers of a row group.
    pub(super) fn find(&self, sequence: Sequence) -> Result<Option<Row>, SegmentError> {
        let (index, group) = match self.place_of(sequence) {
            Place::Nowhere => return Ok(None),
            Place::Row(row) => return Ok(Some(row)),
            Place::Group(index, group) => (index, group),
        };
        let column = self.read_column(index, read::SEQUENCE, 0..group.rows as usize)?;
        let sequences = column.as_any().downcast_ref::<Int64Array>();
        let sought = sequence.0.cast_signed();
        let found = sequences.and_then(|all| all.values().binary_search(&sought).ok());
        Ok(found.and_then(|row| Row::try_from(row).ok()).map(|row| group.start + row))
    }

    /// The row group of a row, and the page in it.
    pub(super) fn page_of(&self, row: Row) -> (usize, usize) {
        let group = self.group_of(row);
        let start = self.row_groups.get(group).map_or(0, |group| group.start);
        (group, row.saturating_sub(start) as usize / PAGE_ROWS)
    }

    /// The row group of a row.
    pub(super) fn group_of(&self, row: Row) -> usize {
        self.row_groups.partition_point(|group| group.start + group.rows <= row)
    }
}

fn row_group(start: Row, group: &RowGroupMetaData) -> Option<RowGroup> {
    let range = |column: usize| match group.column(column).statistics()? {
        Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
        _ => None,
    };
    let (first, last) = range(read::SEQUENCE)?;
    let user = EventSource::User.as_str().as_bytes();
    let is_of_users = match group.column(read::SOURCE).statistics() {
        Some(Statistics::ByteArray(values)) => [values.min_opt(), values.max_opt()]
            .into_iter()
            .all(|extreme| extreme.is_some_and(|source| source.data() == user)),
        _ => false,
    };
    Some(RowGroup {
        start,
        rows: Row::try_from(group.num_rows()).ok()?,
        micros: range(read::TIMESTAMP)?,
        sequences: (first.cast_unsigned(), last.cast_unsigned()),
        ingested_micros: range(read::INGESTED_AT)?,
        is_of_users,
    })
}
