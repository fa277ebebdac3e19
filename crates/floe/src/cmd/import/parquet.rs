//! Parquet: row groups that are read a few rows at a time.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, anyhow};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, DecimalType as _, Float16Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;

use super::ids::Ids;
use super::instant::{self, Zone, write_instant};
use super::mapping::{Kind, Mapping, MappingArguments, Row, write_json_text, write_typed_text};
use super::rows::{Outcome, Refused, Rows};
use crate::cmd::export::JSON_COLUMNS;
use crate::exit::Usage;

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 1024;

/// The rows.
pub(super) struct ParquetRows {
    reader: ParquetRecordBatchReader,
    mapping: Mapping,
    types: Vec<DataType>,
    /// Where each column of the file stands among those that are read.
    places: Vec<Option<usize>>,
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    next: usize,
    /// Rows of the file so far, and all of them.
    number: u64,
    rows: u64,
    /// Bytes of the file, and how many count as read.
    bytes: u64,
    progress: Arc<AtomicU64>,
}

impl ParquetRows {
    /// Reads the file's end, which says what is in it.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has not the columns that are asked for.
    pub(super) fn new(
        path: &Path,
        arguments: &MappingArguments,
        prefix: &[u8],
        progress: &Arc<AtomicU64>,
    ) -> anyhow::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        // Types of the file alone, none of those that Arrow makes of them: so there are fewer.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&file, options.clone())
            .context("it is no Parquet file, or damaged")?;
        let rows = metadata.metadata().file_metadata().num_rows();
        // Texts as views of the pages they stand in: a text that many rows share takes its room
        // once, however long it is.
        let fields: Fields = metadata.schema().fields().iter().map(with_views).collect();
        let schema = Arc::new(Schema::new(fields.clone()));
        let metadata = ArrowReaderMetadata::try_new(
            Arc::clone(metadata.metadata()),
            options.with_schema(schema),
        )?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let columns = fields.iter().map(|field| field.name().clone()).collect();
        let json: Vec<String> = json_columns(builder.metadata());
        let is_json = |column: &str| json.iter().any(|name| name == column);
        let mapping = Mapping::of_table(arguments, columns, prefix, is_json)?;
        for (column, _) in mapping.metadata_columns() {
            let field = fields.get(column).ok_or_else(|| anyhow!("a column is missing"))?;
            check_metadata_type(field)?;
        }
        // Of a row that is refused, only the columns that it was read from are shown.
        let mut used: Vec<usize> = mapping.used_columns().collect();
        used.sort_unstable();
        used.dedup();
        let places = (0..fields.len()).map(|column| used.binary_search(&column).ok()).collect();
        let projection = ProjectionMask::roots(builder.parquet_schema(), used);
        let reader = builder.with_projection(projection).with_batch_size(BATCH_ROWS).build()?;
        Ok(Self {
            reader,
            mapping,
            types: fields.iter().map(|field| field.data_type().clone()).collect(),
            places,
            batch: None,
            next: 0,
            number: 0,
            rows: u64::try_from(rows).unwrap_or(0),
            bytes,
            progress: Arc::clone(progress),
        })
    }

    fn show(&self, row: &ParquetRow<'_>) -> String {
        let mut out = b"{".to_vec();
        for (column, name) in self.mapping.columns().iter().enumerate() {
            let before = out.len();
            if before > 1 {
                out.push(b',');
            }
            write_json_text(name, &mut out);
            out.push(b':');
            if !matches!(row.value(column, Kind::Auto, &mut out), Ok(true)) {
                out.truncate(before);
            }
        }
        out.push(b'}');
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Counts the bytes of the file as read in the measure of its rows.
    fn report(&self) {
        let done = u128::from(self.bytes) * u128::from(self.number) / u128::from(self.rows.max(1));
        self.progress.store(u64::try_from(done).unwrap_or(self.bytes), Ordering::Relaxed);
    }
}

impl Rows for ParquetRows {
    fn next(&mut self, ids: &mut Ids, out: &mut Vec<u8>) -> anyhow::Result<Option<(u64, Outcome)>> {
        while self.batch.as_ref().is_none_or(|batch| self.next >= batch.num_rows()) {
            self.report();
            let Some(batch) = self.reader.next() else { return Ok(None) };
            let row = self.number + 1;
            self.batch = Some(batch.with_context(|| format!("cannot read on from row {row}"))?);
            self.next = 0;
        }
        let columns = self.batch.as_ref().map_or(&[][..], RecordBatch::columns);
        let row = ParquetRow { columns, places: &self.places, types: &self.types, row: self.next };
        self.next += 1;
        self.number += 1;
        let outcome = match self.mapping.write(&row, self.number, ids, out)? {
            Ok(()) => Outcome::Event,
            Err(reason) => Outcome::Refused(Refused { reason, row: self.show(&row) }),
        };
        Ok(Some((self.number, outcome)))
    }
}

/// A column, of views if it is of texts.
fn with_views(field: &FieldRef) -> FieldRef {
    match field.data_type() {
        DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => Arc::clone(field),
    }
}

/// The columns whose texts are JSON, as `floe export` notes them.
fn json_columns(metadata: &ParquetMetaData) -> Vec<String> {
    let notes = metadata.file_metadata().key_value_metadata();
    let note = notes.into_iter().flatten().find(|note| note.key == JSON_COLUMNS);
    let columns = note.and_then(|note| serde_json::from_str(note.value.as_deref()?).ok());
    columns.unwrap_or_default()
}

/// Whether values of a column can be metadata.
fn check_metadata_type(field: &Field) -> anyhow::Result<()> {
    let data_type = field.data_type();
    let can = data_type.is_primitive()
        && !matches!(data_type, DataType::Duration(_) | DataType::Interval(_))
        || matches!(data_type, DataType::Utf8View | DataType::Boolean | DataType::Null);
    if can {
        return Ok(());
    }
    Err(Usage(format!(
        "column `{}` is of the type {data_type}, which metadata cannot hold: name the columns to \
         keep with --metadata",
        field.name()
    ))
    .into())
}

struct ParquetRow<'a> {
    columns: &'a [ArrayRef],
    places: &'a [Option<usize>],
    types: &'a [DataType],
    row: usize,
}

/// A value of a row.
enum Value<'a> {
    Text(&'a str),
    /// Digits, and perhaps a sign.
    Integer(i128),
    Unsigned(u64),
    Float(f64),
    /// A number in decimal digits, too long for a float to keep.
    Decimal(String),
    Boolean(bool),
    Date(Date),
    /// Of the calendar, in no time zone.
    Civil(DateTime),
    Instant(Timestamp),
    Time(Time),
}

impl ParquetRow<'_> {
    /// A value that is not null.
    fn get(&self, column: usize) -> Result<Option<Value<'_>>, String> {
        let array = self.places.get(column).copied().flatten().and_then(|at| self.columns.get(at));
        let (Some(array), Some(data_type)) = (array, self.types.get(column)) else {
            return Ok(None);
        };
        let row = self.row;
        if array.is_null(row) {
            return Ok(None);
        }
        macro_rules! of {
            ($type:ty) => {
                array.as_primitive::<$type>().value(row)
            };
        }
        let out_of_range = || "it is out of range".to_owned();
        let time = |nanoseconds: i64| -> Result<Value<'_>, String> {
            let time = Time::midnight()
                .checked_add(jiff::SignedDuration::from_nanos(nanoseconds))
                .map_err(|_| out_of_range())?;
            Ok(Value::Time(time))
        };
        let value = match data_type {
            DataType::Null => return Ok(None),
            DataType::Utf8View => match array.as_string_view().value(row) {
                "" => return Ok(None),
                text => Value::Text(text),
            },
            DataType::Boolean => Value::Boolean(array.as_boolean().value(row)),
            DataType::Int8 => Value::Integer(of!(Int8Type).into()),
            DataType::Int16 => Value::Integer(of!(Int16Type).into()),
            DataType::Int32 => Value::Integer(of!(Int32Type).into()),
            DataType::Int64 => Value::Integer(of!(Int64Type).into()),
            DataType::UInt8 => Value::Unsigned(of!(UInt8Type).into()),
            DataType::UInt16 => Value::Unsigned(of!(UInt16Type).into()),
            DataType::UInt32 => Value::Unsigned(of!(UInt32Type).into()),
            DataType::UInt64 => Value::Unsigned(of!(UInt64Type)),
            DataType::Float16 => Value::Float(of!(Float16Type).to_f64()),
            DataType::Float32 => Value::Float(shortest(of!(Float32Type))),
            DataType::Float64 => Value::Float(of!(Float64Type)),
            DataType::Decimal128(precision, scale) => Value::Decimal(
                Decimal128Type::format_decimal(of!(Decimal128Type), *precision, *scale),
            ),
            DataType::Decimal256(precision, scale) => Value::Decimal(
                Decimal256Type::format_decimal(of!(Decimal256Type), *precision, *scale),
            ),
            DataType::Date32 => {
                let days = jiff::Span::new().try_days(of!(Date32Type));
                let epoch = Date::constant(1970, 1, 1);
                let date = days.and_then(|days| epoch.checked_add(days));
                Value::Date(date.map_err(|_| out_of_range())?)
            }
            DataType::Time32(TimeUnit::Second) => {
                time(i64::from(of!(Time32SecondType)) * 1_000_000_000)?
            }
            DataType::Time32(_) => time(i64::from(of!(Time32MillisecondType)) * 1_000_000)?,
            DataType::Time64(TimeUnit::Nanosecond) => time(of!(Time64NanosecondType))?,
            DataType::Time64(_) => time(of!(Time64MicrosecondType).saturating_mul(1000))?,
            DataType::Timestamp(unit, zone) => {
                let instant = match unit {
                    TimeUnit::Second => Timestamp::from_second(of!(TimestampSecondType)),
                    TimeUnit::Millisecond => {
                        Timestamp::from_millisecond(of!(TimestampMillisecondType))
                    }
                    TimeUnit::Microsecond => {
                        Timestamp::from_microsecond(of!(TimestampMicrosecondType))
                    }
                    TimeUnit::Nanosecond => {
                        Timestamp::from_nanosecond(of!(TimestampNanosecondType).into())
                    }
                };
                let instant = instant.map_err(|_| out_of_range())?;
                if zone.is_some() {
                    Value::Instant(instant)
                } else {
                    Value::Civil(TimeZone::UTC.to_datetime(instant))
                }
            }
            other => return Err(format!("values of the type {other} cannot be read")),
        };
        Ok(Some(value))
    }
}

/// The number that is written as shortly as this: 0.1 is 0.1, and not what 32 bits make of it.
fn shortest(value: f32) -> f64 {
    if value.is_finite() {
        value.to_string().parse().unwrap_or_else(|_| value.into())
    } else {
        value.into()
    }
}

fn write_float(value: f64, out: &mut Vec<u8>) -> Result<(), String> {
    if !value.is_finite() {
        return Err(format!("{value} is no number that metadata can hold"));
    }
    serde_json::to_writer(out, &value).map_err(|error| error.to_string())
}

impl Row for ParquetRow<'_> {
    fn text(&self, column: usize, out: &mut Vec<u8>) -> Result<bool, String> {
        match self.get(column)? {
            None => return Ok(false),
            Some(Value::Text(text)) => write_json_text(text, out),
            // Ids are often numbers. A vector takes what is written.
            Some(Value::Integer(value)) => {
                let _ = write!(out, "\"{value}\"");
            }
            Some(Value::Unsigned(value)) => {
                let _ = write!(out, "\"{value}\"");
            }
            Some(_) => return Err("it is neither text nor an integer".to_owned()),
        }
        Ok(true)
    }

    fn timestamp(&self, column: usize, zone: &Zone, out: &mut Vec<u8>) -> Result<bool, String> {
        match self.get(column)? {
            None => return Ok(false),
            Some(Value::Instant(instant)) => write_instant(instant, out),
            Some(Value::Civil(time)) => zone.write(time, out)?,
            Some(Value::Date(date)) => zone.write(date.to_datetime(Time::midnight()), out)?,
            Some(Value::Text(text)) => instant::write_text(text, zone, out)?,
            Some(Value::Integer(value)) => instant::write_text(&value.to_string(), zone, out)?,
            Some(Value::Unsigned(value)) => instant::write_text(&value.to_string(), zone, out)?,
            Some(Value::Float(value)) => instant::write_text(&value.to_string(), zone, out)?,
            Some(Value::Decimal(digits)) => instant::write_text(&digits, zone, out)?,
            Some(Value::Boolean(_) | Value::Time(_)) => return Err("it is no time".to_owned()),
        }
        Ok(true)
    }

    fn value(&self, column: usize, kind: Kind, out: &mut Vec<u8>) -> Result<bool, String> {
        let Some(value) = self.get(column)? else { return Ok(false) };
        if kind != Kind::Auto {
            return self.typed(value, kind, out).map(|()| true);
        }
        // A vector takes what is written.
        match value {
            Value::Text(text) => write_json_text(text, out),
            Value::Integer(value) => {
                let _ = write!(out, "{value}");
            }
            Value::Unsigned(value) => {
                let _ = write!(out, "{value}");
            }
            Value::Float(value) => write_float(value, out)?,
            Value::Decimal(digits) => out.extend_from_slice(digits.as_bytes()),
            Value::Boolean(value) => {
                let _ = write!(out, "{value}");
            }
            Value::Date(date) => {
                let _ = write!(out, "\"{date}\"");
            }
            Value::Civil(time) => {
                let _ = write!(out, "\"{time}\"");
            }
            Value::Instant(instant) => {
                let _ = write!(out, "\"{instant}\"");
            }
            Value::Time(time) => {
                let _ = write!(out, "\"{time}\"");
            }
        }
        Ok(true)
    }
}

impl ParquetRow<'_> {
    /// A value of another type than the file says.
    fn typed(&self, value: Value<'_>, kind: Kind, out: &mut Vec<u8>) -> Result<(), String> {
        let text = match value {
            Value::Text(text) => return write_typed_text(text, kind, out),
            Value::Integer(value) => value.to_string(),
            Value::Unsigned(value) => value.to_string(),
            Value::Float(value) => {
                let mut text = Vec::new();
                write_float(value, &mut text)?;
                String::from_utf8_lossy(&text).into_owned()
            }
            Value::Decimal(digits) => digits,
            Value::Boolean(value) => value.to_string(),
            Value::Date(date) => date.to_string(),
            Value::Civil(time) => time.to_string(),
            Value::Instant(instant) => instant.to_string(),
            Value::Time(time) => time.to_string(),
        };
        write_typed_text(&text, kind, out)
    }
}
