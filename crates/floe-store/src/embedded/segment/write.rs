//! Writing a segment: events in order of ingestion become row groups of a Parquet file.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, Decimal128Builder, Float64Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray as _;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use floe_core::limits::COST_DECIMAL_PLACES_MAX;
use floe_core::{CustomerRef, Metadata, NewEvent, Number, Sequence, Timestamp, Value};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::super::chunk::{Chunk, position};
use super::super::fs::Fs;
use super::file::ChecksumWriter;
use super::layout::{ColumnCounts, DECIMAL_DIGITS, FIXED_COLUMNS, Kind, Layout, Node, unscaled};
use super::rest;
use super::{
    CHECKSUMS_KEY, COLUMNS_KEY, FORMAT_KEY, FORMAT_VERSION, Segment, SegmentError, Written,
};

/// Rows of a row group.
pub(super) const GROUP_ROWS: usize = 128 * 1024;
/// Rows of a page: the least that is decoded to read one event.
pub(in super::super) const PAGE_ROWS: usize = 2 * 1024;
/// Estimated bytes of events in memory from which on a row group ends before its rows are full.
const GROUP_BYTES: usize = 64 * 1024 * 1024;
/// Rows that are handed to the Parquet writer at a time.
const BATCH_ROWS: usize = 16 * 1024;
/// A dictionary may grow to so many bytes before a column is written without.
const DICTIONARY_BYTES: usize = 2 * 1024 * 1024;

/// The zone of all instants.
pub(super) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The columns as Arrow has them.
pub(super) fn schema_of(layout: &Layout, text: &DataType) -> SchemaRef {
    let optional = |name: &str, of: &DataType| Field::new(name, of.clone(), true);
    let required = |name: &str, of: &DataType| Field::new(name, of.clone(), false);
    let [
        sequence,
        timestamp,
        ingested_at,
        name,
        source,
        customer_id,
        external_customer_id,
        external_id,
        parent_id,
        external_member_id,
        metadata,
        order,
    ] = FIXED_COLUMNS;
    let mut fields = vec![
        required(sequence, &DataType::Int64),
        required(timestamp, &instant_type()),
        required(ingested_at, &instant_type()),
        required(name, text),
        required(source, text),
        optional(customer_id, text),
        optional(external_customer_id, text),
        optional(external_id, &DataType::Utf8),
        optional(parent_id, &DataType::Utf8),
        optional(external_member_id, text),
        optional(metadata, &DataType::Utf8),
        optional(
            order,
            &match text {
                DataType::Dictionary(key, _) => {
                    DataType::Dictionary(key.clone(), Box::new(DataType::Binary))
                }
                _ => DataType::Binary,
            },
        ),
    ];
    fields.extend(layout.columns.iter().map(|column| {
        let of = match column.kind {
            Kind::Null | Kind::Object | Kind::Bool => DataType::Boolean,
            Kind::Int => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Decimal => decimal_type(),
            Kind::String => text.clone(),
        };
        Field::new(column.name(), of, true)
    }));
    Arc::new(Schema::new(fields))
}

fn decimal_type() -> DataType {
    DataType::Decimal128(DECIMAL_DIGITS, COST_DECIMAL_PLACES_MAX.cast_signed())
}

/// Values of a column that are looked at to tell whether they repeat.
const SAMPLE_VALUES: usize = 4096;
/// With fewer values nothing can be told.
const SAMPLE_VALUES_MIN: usize = 256;

/// Whether texts hardly repeat: a dictionary of them would have to be read for each page, and help
/// nobody.
fn hardly_repeats(column: &ArrayRef) -> bool {
    let Some(texts) = column.as_string_opt::<i32>() else { return false };
    let sample: Vec<&str> = texts.iter().flatten().take(SAMPLE_VALUES).collect();
    let distinct: HashSet<&str> = sample.iter().copied().collect();
    sample.len() >= SAMPLE_VALUES_MIN && 2 * distinct.len() > sample.len()
}

/// How to write a segment whose first rows are these.
fn properties(schema: &Schema, first: &[ArrayRef]) -> WriterProperties {
    let column = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("floe ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(None)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(usize::MAX)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    // Numbers that ascend or nearly do.
    for name in ["sequence", "timestamp", "ingested_at"] {
        properties = properties
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    // Texts that never repeat: lengths apart from the characters compress better.
    properties = properties
        .set_column_dictionary_enabled(column("external_id"), false)
        .set_column_encoding(column("external_id"), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .set_column_statistics_enabled(column("external_id"), EnabledStatistics::None);
    for (field, values) in schema.fields().iter().zip(first).skip(FIXED_COLUMNS.len()) {
        if hardly_repeats(values) {
            let name = column(field.name());
            properties = properties.set_column_dictionary_enabled(name, false);
        }
    }
    properties.build()
}

/// Values of one column that were not written yet.
enum Builder {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Decimal(Decimal128Builder),
    String(StringBuilder),
}

impl Builder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Null | Kind::Object | Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Int => Self::Int(Int64Builder::new()),
            Kind::Float => Self::Float(Float64Builder::new()),
            Kind::Decimal => Self::Decimal(Decimal128Builder::new().with_data_type(decimal_type())),
            Kind::String => Self::String(StringBuilder::new()),
        }
    }

    /// Appends nulls up to so many rows: most columns of sparse events are not visited for each.
    fn fill(&mut self, rows: usize) {
        match self {
            Self::Bool(builder) => builder.append_nulls(rows - builder.len()),
            Self::Int(builder) => builder.append_nulls(rows - builder.len()),
            Self::Float(builder) => builder.append_nulls(rows - builder.len()),
            Self::Decimal(builder) => builder.append_nulls(rows - builder.len()),
            Self::String(builder) => {
                for _ in builder.len()..rows {
                    builder.append_null();
                }
            }
        }
    }

    fn push(&mut self, value: &Value<'_>, rows_before: usize) {
        self.fill(rows_before);
        match (self, value) {
            (Self::Bool(builder), Value::Bool(value)) => builder.append_value(*value),
            (Self::Bool(builder), Value::Null | Value::Object(_)) => builder.append_value(true),
            (Self::Int(builder), Value::Number(Number::Int(value))) => builder.append_value(*value),
            (Self::Float(builder), Value::Number(Number::Float(value))) => {
                builder.append_value(*value);
            }
            (Self::Decimal(builder), Value::Number(Number::Decimal { mantissa, scale })) => {
                builder.append_value(unscaled(*mantissa, *scale).unwrap_or_default().into());
            }
            (Self::String(builder), Value::String(text)) => builder.append_value(text),
            // The column was chosen by the value's kind.
            (_, _) => {}
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder) => Arc::new(builder.finish()),
            Self::String(builder) => Arc::new(builder.finish()),
        }
    }
}

/// Rows that were not written yet.
struct Rows {
    sequence: Int64Builder,
    timestamp: TimestampMicrosecondBuilder,
    ingested_at: TimestampMicrosecondBuilder,
    name: StringBuilder,
    source: StringBuilder,
    customer_id: StringBuilder,
    external_customer_id: StringBuilder,
    external_id: StringBuilder,
    parent_id: StringBuilder,
    external_member_id: StringBuilder,
    rest: StringBuilder,
    order: BinaryBuilder,
    metadata: Vec<Builder>,
}

/// Where the leaves of some metadata go, in order.
#[derive(Default)]
struct Places {
    columns: Vec<usize>,
    /// The same as the column of orders has it.
    order: Vec<u8>,
}

/// Where rows go.
enum Target {
    /// Nothing was written yet: how to depends on the first rows.
    File(ChecksumWriter),
    Parquet(Box<ArrowWriter<ChecksumWriter>>),
    /// An error ended it.
    Gone,
}

/// Writes one segment.
pub(in super::super) struct SegmentWriter {
    target: Target,
    schema: SchemaRef,
    layout: Layout,
    root: Node,
    rows: Rows,
    /// Rows in `rows`, and their estimated bytes.
    waiting: usize,
    waiting_bytes: usize,
    /// Rows and estimated bytes of the row group under way, with those that wait.
    group_rows: usize,
    group_bytes: usize,
    written: Written,
    order: Vec<u8>,
}

fn parquet_failed(error: ParquetError) -> SegmentError {
    SegmentError::of(Box::new(error))
}

fn arrow_failed(error: ArrowError) -> SegmentError {
    SegmentError::of(Box::new(error))
}

impl Target {
    /// The Parquet writer, made for these first rows if it was not yet.
    fn writer(
        &mut self,
        schema: &SchemaRef,
        first: &[ArrayRef],
    ) -> Result<&mut ArrowWriter<ChecksumWriter>, SegmentError> {
        if matches!(self, Self::File(_))
            && let Self::File(file) = std::mem::replace(self, Self::Gone)
        {
            let options = ArrowWriterOptions::new()
                .with_properties(properties(schema, first))
                .with_skip_arrow_metadata(true);
            let writer = ArrowWriter::try_new_with_options(file, Arc::clone(schema), options)
                .map_err(parquet_failed)?;
            *self = Self::Parquet(Box::new(writer));
        }
        match self {
            Self::Parquet(writer) => Ok(writer),
            Self::File(_) | Self::Gone => Err(SegmentError::Stopped),
        }
    }
}

impl SegmentWriter {
    /// Begins a segment at a path where nothing is, with at most so many columns for the metadata
    /// that were counted.
    pub(in super::super) fn create(
        fs: &dyn Fs,
        path: &Path,
        counts: ColumnCounts,
        columns_max: usize,
    ) -> Result<Self, SegmentError> {
        let layout = counts.choose(columns_max);
        let schema = schema_of(&layout, &DataType::Utf8);
        let file = ChecksumWriter::create(fs, path)?;
        let instants = || TimestampMicrosecondBuilder::new().with_data_type(instant_type());
        let text = StringBuilder::new;
        let rows = Rows {
            sequence: Int64Builder::new(),
            timestamp: instants(),
            ingested_at: instants(),
            name: text(),
            source: text(),
            customer_id: text(),
            external_customer_id: text(),
            external_id: text(),
            parent_id: text(),
            external_member_id: text(),
            rest: text(),
            order: BinaryBuilder::new(),
            metadata: layout.columns.iter().map(|column| Builder::new(column.kind)).collect(),
        };
        Ok(Self {
            target: Target::File(file),
            schema,
            root: Node::of(&layout),
            layout,
            rows,
            waiting: 0,
            waiting_bytes: 0,
            group_rows: 0,
            group_bytes: 0,
            written: Written::default(),
            order: Vec::new(),
        })
    }

    /// Appends an event. Sequence numbers ascend.
    pub(in super::super) fn push(
        &mut self,
        sequence: Sequence,
        ingested_at: Timestamp,
        event: &NewEvent<'_>,
    ) -> Result<(), SegmentError> {
        let metadata_bytes = self.push_metadata(&event.metadata);
        self.push_fields(sequence, ingested_at, event, metadata_bytes)
    }

    /// Appends the events of a chunk. Where all metadata of a shape have columns, these are found
    /// once for all its events.
    pub(in super::super) fn push_chunk(&mut self, chunk: &Chunk) -> Result<(), SegmentError> {
        let places: Vec<Option<Places>> =
            (0..chunk.shape_count()).map(|shape| self.places(&chunk.leaves(shape)?)).collect();
        for row in 0..position(chunk.len()) {
            let event = chunk.event_without_metadata(row);
            let metadata_bytes = match places.get(chunk.shape_of(row)) {
                Some(Some(places)) => self.push_leaves(places, chunk.leaf_values(row)),
                _ => self.push_metadata(&chunk.metadata(row)),
            };
            let (sequence, ingested_at) = (chunk.sequence(row), chunk.ingested_at(row));
            self.push_fields(sequence, ingested_at, &event, metadata_bytes)?;
        }
        Ok(())
    }

    /// Where these leaves go; `None` if one of them has no column, or may not fit into it.
    fn places(&self, leaves: &[(&[Box<str>], Kind)]) -> Option<Places> {
        let mut places = Places::default();
        for (path, kind) in leaves {
            if *kind == Kind::Decimal {
                return None;
            }
            let column = self.root.at(path)?.column(*kind)?;
            rest::put_index(Some(column), &mut places.order);
            places.columns.push(column);
        }
        Some(places)
    }

    /// Puts the leaves of an event's metadata, in order, into their columns; returns about how many
    /// bytes they take.
    fn push_leaves<'v>(
        &mut self,
        places: &Places,
        leaves: impl Iterator<Item = Value<'v>>,
    ) -> usize {
        let mut bytes = 0;
        for (&column, value) in places.columns.iter().zip(leaves) {
            bytes += put_value(&value, self.rows.metadata.get_mut(column), self.waiting);
            if let Some(column) = self.layout.columns.get_mut(column) {
                column.count += 1;
            }
        }
        self.rows.rest.append_null();
        self.push_order(&places.order);
        bytes
    }

    fn push_order(&mut self, order: &[u8]) {
        if order.is_empty() {
            self.rows.order.append_null();
        } else {
            self.rows.order.append_value(order);
        }
    }

    /// Appends what is no metadata, given about how many bytes those took.
    fn push_fields(
        &mut self,
        sequence: Sequence,
        ingested_at: Timestamp,
        event: &NewEvent<'_>,
        metadata_bytes: usize,
    ) -> Result<(), SegmentError> {
        let NewEvent {
            name,
            source,
            customer,
            timestamp,
            external_id,
            parent_id,
            external_member_id,
            metadata: _,
        } = event;
        let rows = &mut self.rows;
        rows.sequence.append_value(sequence.0.cast_signed());
        rows.timestamp.append_value(timestamp.micros());
        rows.ingested_at.append_value(ingested_at.micros());
        rows.name.append_value(name);
        rows.source.append_value(source.as_str());
        match customer {
            CustomerRef::Id(id) => {
                rows.customer_id.append_value(id.to_string());
                rows.external_customer_id.append_null();
            }
            CustomerRef::External(text) => {
                rows.customer_id.append_null();
                rows.external_customer_id.append_value(text);
            }
        }
        rows.external_id.append_option(external_id.as_deref());
        rows.parent_id.append_option(parent_id.as_deref());
        rows.external_member_id.append_option(external_member_id.as_deref());
        let texts = [external_id, parent_id, external_member_id];
        let text_bytes: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        self.waiting += 1;
        self.waiting_bytes += 96 + text_bytes + metadata_bytes;
        self.written.note(sequence, *timestamp, ingested_at);
        if self.waiting >= BATCH_ROWS
            || self.waiting_bytes >= GROUP_BYTES / 4
            || self.group_rows + self.waiting >= GROUP_ROWS
        {
            self.write_waiting()?;
        }
        Ok(())
    }

    /// Whether rows of a segment can be appended [as they are](Self::push_group).
    pub(in super::super) fn has_columns_of(&self, segment: &Segment) -> bool {
        let (own, others) = (&self.layout.columns, &segment.layout.columns);
        own.len() == others.len()
            && own.iter().zip(others).all(|(a, b)| a.path == b.path && a.kind == b.kind)
    }

    /// Appends a row group of a segment that has the same columns.
    pub(in super::super) fn push_group(
        &mut self,
        segment: &Segment,
        group: usize,
    ) -> Result<(), SegmentError> {
        if self.waiting > 0 {
            self.write_waiting()?;
        }
        for batch in segment.read_group(group, BATCH_ROWS)? {
            let batch = batch.map_err(arrow_failed)?;
            let bytes_of_row = batch.get_array_memory_size() / batch.num_rows().max(1);
            let values = batch.columns().iter().skip(FIXED_COLUMNS.len());
            for (column, values) in self.layout.columns.iter_mut().zip(values) {
                column.count += (values.len() - values.null_count()) as u64;
            }
            let mut start = 0;
            while start < batch.num_rows() {
                let count = (batch.num_rows() - start).min(GROUP_ROWS - self.group_rows);
                let part = batch.slice(start, count);
                self.write(part.columns().to_vec(), count, count * bytes_of_row)?;
                start += count;
            }
        }
        if let Some(group) = segment.row_groups.get(group) {
            self.written.note_group(group);
        }
        Ok(())
    }

    /// Puts metadata into their columns and notes the order of their keys; returns about how many
    /// bytes they take.
    fn push_metadata(&mut self, metadata: &Metadata<'_>) -> usize {
        self.order.clear();
        let mut rest: Vec<(&str, &Value<'_>)> = Vec::new();
        let mut bytes = 0;
        for (key, value) in metadata.iter() {
            let before = self.order.len();
            match self.root.below.get(key) {
                Some(node) if has_columns(node, value, &mut self.order) => {
                    bytes += put(node, value, &mut self.rows.metadata, self.waiting);
                    self.layout_count(before);
                }
                _ => {
                    self.order.truncate(before);
                    rest::put_index(None, &mut self.order);
                    rest.push((key, value));
                }
            }
        }
        if rest.is_empty() {
            self.rows.rest.append_null();
        } else {
            let text = rest::to_json(&rest);
            bytes += text.len();
            self.rows.rest.append_value(text);
        }
        let order = std::mem::take(&mut self.order);
        self.push_order(&order);
        self.order = order;
        bytes
    }

    /// Counts the columns that were noted from here on.
    fn layout_count(&mut self, from: usize) {
        let noted = self.order.get(from..).unwrap_or_default();
        for index in rest::indexes(noted).flatten() {
            if let Some(column) = self.layout.columns.get_mut(index) {
                column.count += 1;
            }
        }
    }

    fn write_waiting(&mut self) -> Result<(), SegmentError> {
        let (rows, count) = (&mut self.rows, self.waiting);
        rows.metadata.iter_mut().for_each(|builder| builder.fill(count));
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(rows.sequence.finish()),
            Arc::new(rows.timestamp.finish()),
            Arc::new(rows.ingested_at.finish()),
            Arc::new(rows.name.finish()),
            Arc::new(rows.source.finish()),
            Arc::new(rows.customer_id.finish()),
            Arc::new(rows.external_customer_id.finish()),
            Arc::new(rows.external_id.finish()),
            Arc::new(rows.parent_id.finish()),
            Arc::new(rows.external_member_id.finish()),
            Arc::new(rows.rest.finish()),
            Arc::new(rows.order.finish()),
        ];
        columns.extend(rows.metadata.iter_mut().map(Builder::finish));
        let bytes = self.waiting_bytes;
        (self.waiting, self.waiting_bytes) = (0, 0);
        self.write(columns, count, bytes)
    }

    /// Writes rows, given their estimated bytes; they fit the row group under way.
    fn write(
        &mut self,
        columns: Vec<ArrayRef>,
        rows: usize,
        bytes: usize,
    ) -> Result<(), SegmentError> {
        let writer = self.target.writer(&self.schema, &columns)?;
        let batch =
            RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(arrow_failed)?;
        writer.write(&batch).map_err(parquet_failed)?;
        self.group_rows += rows;
        self.group_bytes += bytes;
        if self.group_rows >= GROUP_ROWS || self.group_bytes >= GROUP_BYTES {
            writer.flush().map_err(parquet_failed)?;
            (self.group_rows, self.group_bytes) = (0, 0);
        }
        Ok(())
    }

    /// Writes what is left and syncs the file; the caller gives it its name.
    pub(in super::super) fn finish(mut self) -> Result<Written, SegmentError> {
        if self.waiting > 0 {
            self.write_waiting()?;
        }
        let writer = self.target.writer(&self.schema, &[])?;
        writer.flush().map_err(parquet_failed)?;
        // What the writer buffers itself must be out before the checksums are taken.
        writer.sync()?;
        let layout = serde_json::to_string(&self.layout)
            .map_err(|error| SegmentError::of(Box::new(error)))?;
        let data_bytes = writer.inner().position();
        let checksums = writer.inner().checksums_text();
        for (key, value) in [
            (FORMAT_KEY, FORMAT_VERSION.to_string()),
            (COLUMNS_KEY, layout),
            (CHECKSUMS_KEY, checksums),
        ] {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        writer.finish().map_err(parquet_failed)?;
        writer.sync()?;
        let (bytes, end_crc32c) = writer.inner_mut().finish(data_bytes)?;
        Ok(Written { bytes, data_bytes, end_crc32c, ..self.written })
    }
}

/// Whether each value in here has a column; notes the columns in order.
fn has_columns(node: &Node, value: &Value<'_>, order: &mut Vec<u8>) -> bool {
    match value {
        Value::Object(inner) if inner.iter().len() > 0 => inner
            .iter()
            .all(|(key, value)| node.below.get(key).is_some_and(|n| has_columns(n, value, order))),
        value => match Kind::of(value).and_then(|kind| node.column(kind)) {
            Some(index) => {
                rest::put_index(Some(index), order);
                true
            }
            None => false,
        },
    }
}

/// Puts values into the columns that they have; returns about how many bytes they take.
fn put(node: &Node, value: &Value<'_>, columns: &mut [Builder], row: usize) -> usize {
    match value {
        Value::Object(inner) if inner.iter().len() > 0 => inner
            .iter()
            .map(|(key, value)| node.below.get(key).map_or(0, |n| put(n, value, columns, row)))
            .sum(),
        value => {
            let index = Kind::of(value).and_then(|kind| node.column(kind));
            put_value(value, index.and_then(|index| columns.get_mut(index)), row)
        }
    }
}

/// Puts a value that is no object with keys into its column; returns about how many bytes it takes.
fn put_value(value: &Value<'_>, column: Option<&mut Builder>, row: usize) -> usize {
    if let Some(column) = column {
        column.push(value, row);
    }
    match value {
        Value::String(text) => 8 + text.len(),
        _ => 8,
    }
}
