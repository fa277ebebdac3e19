//! Writes the events of a data set, without a store: as JSON lines, or as a Parquet file with the
//! columns of a segment.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use floe_core::{CustomerRef, NewEvent, Number, Value};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::columns::{self, Kind};
use crate::data::{self, DataSet, Variant};

/// Rows that are made before they are written.
const ROWS: usize = 100_000;

/// Writes the events of a data set: as JSON lines to standard output, or into a Parquet file.
#[derive(Debug, clap::Args)]
pub(crate) struct Generate {
    /// How many
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// What the random numbers come from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which kind of data
    #[arg(long, value_enum, default_value = "usual")]
    variant: Variant,
    /// A file to write, with the columns of a segment
    #[arg(long)]
    parquet: Option<PathBuf>,
}

impl Generate {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let data = DataSet::new(self.events, self.seed, self.variant);
        match &self.parquet {
            Some(path) => write_parquet(&data, path),
            None => write_json(&data),
        }
    }
}

fn write_json(data: &DataSet) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for event in data.iter() {
        writeln!(out, "{}", data::to_json(&event))?;
    }
    Ok(out.flush()?)
}

/// The values of one column of metadata, one a row.
enum Column {
    Int(Vec<Option<i64>>),
    Float(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
    Bool(Vec<Option<bool>>),
}

impl Column {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Int => Self::Int(Vec::new()),
            Kind::Float => Self::Float(Vec::new()),
            Kind::String => Self::Text(Vec::new()),
            Kind::Bool => Self::Bool(Vec::new()),
        }
    }

    /// Puts a value into a row; rows before it that have none are empty.
    fn put(&mut self, row: usize, value: &Value<'_>) {
        self.fill(row);
        match (self, value) {
            (Self::Int(rows), Value::Number(Number::Int(value))) => rows.push(Some(*value)),
            (Self::Float(rows), Value::Number(number)) => rows.push(Some(number.to_f64())),
            (Self::Text(rows), Value::String(text)) => rows.push(Some(text.to_string())),
            (Self::Bool(rows), Value::Bool(value)) => rows.push(Some(*value)),
            _ => {}
        }
    }

    fn fill(&mut self, rows: usize) {
        match self {
            Self::Int(of) => of.resize(rows, None),
            Self::Float(of) => of.resize(rows, None),
            Self::Text(of) => of.resize(rows, None),
            Self::Bool(of) => of.resize(rows, None),
        }
    }

    fn take(&mut self) -> ArrayRef {
        match self {
            Self::Int(rows) => Arc::new(Int64Array::from(std::mem::take(rows))),
            Self::Float(rows) => Arc::new(Float64Array::from(std::mem::take(rows))),
            Self::Text(rows) => Arc::new(StringArray::from(std::mem::take(rows))),
            Self::Bool(rows) => Arc::new(BooleanArray::from(std::mem::take(rows))),
        }
    }
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Int => DataType::Int64,
        Kind::Float => DataType::Float64,
        Kind::String => DataType::Utf8,
        Kind::Bool => DataType::Boolean,
    }
}

fn kind(value: &Value<'_>) -> Option<Kind> {
    match value {
        Value::Number(Number::Int(_)) => Some(Kind::Int),
        Value::Number(Number::Float(_)) => Some(Kind::Float),
        Value::String(_) => Some(Kind::String),
        Value::Bool(_) => Some(Kind::Bool),
        _ => None,
    }
}

/// A file with the columns of a segment, from the generator alone: what an engine answers from it
/// has nothing in common with Floe's own way of writing.
pub(crate) fn write_parquet(data: &DataSet, path: &Path) -> anyhow::Result<()> {
    let mut places: HashMap<(String, Kind), usize> = HashMap::new();
    let mut names = Vec::new();
    // The first events have every column of the data set: there are at most 200.
    for event in data.iter().take(20_000) {
        for (key, value) in event.metadata.iter() {
            let Some(kind) = kind(value) else { continue };
            places.entry((key.to_owned(), kind)).or_insert_with(|| {
                names.push((key.to_owned(), kind));
                names.len() - 1
            });
        }
    }
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("sequence", DataType::Int64, false),
        Field::new("timestamp", instant.clone(), false),
        Field::new("ingested_at", instant, false),
    ];
    let texts = columns::TEXTS.iter().map(|name| Field::new(*name, DataType::Utf8, true));
    fields.extend(texts);
    fields.extend(names.iter().map(|(key, kind)| {
        Field::new(columns::name(std::slice::from_ref(key), *kind), data_type(*kind), true)
    }));
    let schema = Arc::new(Schema::new(fields));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(1_000_000))
        .build();
    let file = File::create(path)?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
    let mut columns: Vec<Column> = names.iter().map(|(_, kind)| Column::new(*kind)).collect();
    let mut sequence = 0;
    let mut events = data.iter().peekable();
    while events.peek().is_some() {
        let rows: Vec<NewEvent<'_>> = events.by_ref().take(ROWS).collect();
        for (row, event) in rows.iter().enumerate() {
            for (key, value) in event.metadata.iter() {
                let of = kind(value).and_then(|kind| places.get(&(key.to_owned(), kind)));
                let place = of.ok_or_else(|| anyhow::anyhow!("a column came late: {key}"))?;
                columns[*place].put(row, value);
            }
        }
        let arrays = fixed_columns(&rows, sequence).into_iter();
        let arrays = arrays.chain(columns.iter_mut().map(|column| {
            column.fill(rows.len());
            column.take()
        }));
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), arrays.collect())?)?;
        sequence += i64::try_from(rows.len())?;
    }
    writer.close()?;
    Ok(())
}

/// The columns that are not of metadata.
fn fixed_columns(rows: &[NewEvent<'_>], sequence: i64) -> Vec<ArrayRef> {
    let instants: Vec<i64> = rows.iter().map(|event| event.timestamp.micros()).collect();
    let instants = Arc::new(TimestampMicrosecondArray::from(instants).with_timezone("UTC"));
    let numbers = Int64Array::from_iter_values((sequence..).take(rows.len()));
    let text = |of: &dyn Fn(&NewEvent<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from(rows.iter().map(of).collect::<Vec<_>>()))
    };
    let mut columns: Vec<ArrayRef> = vec![Arc::new(numbers), instants.clone(), instants];
    columns.extend([
        text(&|event| Some(event.name.to_string())),
        text(&|event| Some(event.source.as_str().to_owned())),
        text(&|_| None),
        text(&|event| match &event.customer {
            CustomerRef::External(customer) => Some(customer.to_string()),
            CustomerRef::Id(_) => None,
        }),
        text(&|event| event.external_id.as_ref().map(|id| id.to_string())),
        text(&|_| None),
        text(&|_| None),
        text(&|_| None),
    ]);
    columns
}
