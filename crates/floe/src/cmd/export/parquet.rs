//! Parquet: events, and rows of quantities, as typed columns.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use floe_client::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::csv::{EXPORTED_FIELDS, METADATA_PREFIX};
use super::output::Progress;
use super::spool::{Kind, Line, Spool};

/// Rows that are made at a time.
const BATCH_ROWS: usize = 4096;
/// Bytes of values that are made at a time.
const BATCH_BYTES: usize = 8 << 20;
/// Bytes of a row group while it is written.
const GROUP_BYTES: usize = 32 << 20;
/// Names, in the file's footer, the columns whose texts are JSON.
pub(crate) const JSON_COLUMNS: &str = "floe.json_columns";

/// A Parquet file under way.
pub(super) struct File<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
}

impl<W: Write + Send> File<W> {
    /// Begins a file with these columns; of the texts, these are JSON.
    pub(super) fn new(to: W, fields: Vec<Field>, json: &[String]) -> anyhow::Result<Self> {
        let schema = Arc::new(Schema::new(fields));
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("floe ", env!("CARGO_PKG_VERSION")).to_owned());
        if !json.is_empty() {
            let value = serde_json::to_string(json)?;
            let json = KeyValue::new(JSON_COLUMNS.to_owned(), value);
            properties = properties.set_key_value_metadata(Some(vec![json]));
        }
        let writer = ArrowWriter::try_new(to, Arc::clone(&schema), Some(properties.build()))?;
        Ok(Self { writer, schema })
    }

    pub(super) fn write(&mut self, columns: Vec<ArrayRef>) -> anyhow::Result<()> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.writer.write(&batch)?;
        if self.writer.in_progress_size() >= GROUP_BYTES {
            self.writer.flush()?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.into_inner().map(drop)
    }

    /// Writes the footer, and gives back what the file was written to.
    pub(super) fn into_inner(self) -> anyhow::Result<W> {
        Ok(self.writer.into_inner()?)
    }
}

pub(super) fn text_field(name: &str, is_nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, is_nullable)
}

/// A column of instants in UTC.
pub(super) fn instant_field(name: &str) -> Field {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Field::new(name, micros, false)
}

pub(super) fn instants() -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::new().with_timezone("UTC")
}

/// A column of metadata while it is made.
enum Values {
    Bool(BooleanBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Json(StringBuilder),
}

impl Values {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Integer => Self::Integer(Int64Builder::new()),
            Kind::Float => Self::Float(Float64Builder::new()),
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Json => Self::Json(StringBuilder::new()),
        }
    }

    /// Adds the JSON of a value of the column's kind, or none. Returns about how many bytes it takes.
    fn push(&mut self, json: Option<&str>) -> anyhow::Result<usize> {
        match self {
            Self::Bool(column) => column.append_option(json.map(|json| json == "true")),
            Self::Integer(column) => column.append_option(json.map(str::parse).transpose()?),
            Self::Float(column) => column.append_option(json.map(str::parse).transpose()?),
            Self::Text(column) => {
                column.append_option(json.map(serde_json::from_str::<String>).transpose()?);
            }
            Self::Json(column) => column.append_option(json),
        }
        Ok(8 + json.map_or(0, str::len))
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Integer(column) => Arc::new(column.finish()),
            Self::Float(column) => Arc::new(column.finish()),
            Self::Text(column) | Self::Json(column) => Arc::new(column.finish()),
        }
    }
}

fn metadata_field(key: &str, kind: Kind) -> Field {
    let kind = match kind {
        Kind::Bool => DataType::Boolean,
        Kind::Integer => DataType::Int64,
        Kind::Float => DataType::Float64,
        Kind::Text | Kind::Json => DataType::Utf8,
    };
    Field::new(format!("{METADATA_PREFIX}{key}"), kind, true)
}

/// Rows of events while they are made.
struct Rows {
    name: StringBuilder,
    timestamp: TimestampMicrosecondBuilder,
    /// In the order of [`EXPORTED_FIELDS`], from the third.
    texts: [StringBuilder; EXPORTED_FIELDS.len() - 2],
    metadata: Vec<(String, Values)>,
    rows: usize,
    bytes: usize,
}

impl Rows {
    fn new(columns: &BTreeMap<String, Kind>) -> Self {
        Self {
            name: StringBuilder::new(),
            timestamp: instants(),
            texts: std::array::from_fn(|_| StringBuilder::new()),
            metadata: columns.iter().map(|(key, kind)| (key.clone(), Values::new(*kind))).collect(),
            rows: 0,
            bytes: 0,
        }
    }

    fn push(&mut self, line: &Line<'_>) -> anyhow::Result<()> {
        self.name.append_value(&line.name);
        let at: Timestamp = line.timestamp.parse().context("the server sent no instant")?;
        self.timestamp.append_value(at.unix_micros());
        let texts = [
            &line.external_customer_id,
            &line.customer_id,
            &line.external_id,
            &line.parent_id,
            &line.external_member_id,
        ];
        for (column, text) in self.texts.iter_mut().zip(texts) {
            column.append_option(text.as_deref());
            self.bytes += text.as_ref().map_or(0, |text| text.len());
        }
        for (key, values) in &mut self.metadata {
            self.bytes += values.push(line.metadata.get(key).map(|value| value.get()))?;
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        (self.rows, self.bytes) = (0, 0);
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(self.name.finish()), Arc::new(self.timestamp.finish())];
        columns.extend(self.texts.iter_mut().map(|text| Arc::new(text.finish()) as ArrayRef));
        columns.extend(self.metadata.iter_mut().map(|(_, values)| values.finish()));
        columns
    }
}

/// Writes lines as rows.
pub(super) fn write(
    spool: Spool,
    to: &mut (impl Write + Send),
    progress: &Progress,
) -> anyhow::Result<()> {
    let (columns, mut lines) = spool.finish()?;
    progress.say("were read; writing Parquet");
    let [name, timestamp, texts @ ..] = EXPORTED_FIELDS;
    let mut fields = vec![text_field(name, false), instant_field(timestamp)];
    fields.extend(texts.iter().map(|name| text_field(name, true)));
    fields.extend(columns.iter().map(|(key, kind)| metadata_field(key, *kind)));
    let json = columns.iter().filter(|(_, kind)| **kind == Kind::Json);
    let json: Vec<String> = json.map(|(key, _)| format!("{METADATA_PREFIX}{key}")).collect();
    let mut file = File::new(to, fields, &json)?;
    let mut rows = Rows::new(&columns);
    while let Some(line) = lines.next()? {
        progress.check()?;
        rows.push(&line)?;
        if rows.rows == BATCH_ROWS || rows.bytes >= BATCH_BYTES {
            file.write(rows.finish())?;
        }
    }
    if rows.rows > 0 {
        file.write(rows.finish())?;
    }
    file.finish()
}
