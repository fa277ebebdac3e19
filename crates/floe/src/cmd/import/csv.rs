//! CSV, and what is like it but with tabs: a line of column names, then rows.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use anyhow::Context as _;
use csv::{ByteRecord, Reader, ReaderBuilder};

use super::ids::Ids;
use super::instant::{self, Zone};
use super::mapping::{Kind, Mapping, MappingArguments, Row, write_json_text, write_typed_text};
use super::rows::{LINE_BYTES_MAX, Outcome, Refused, Rows};
use crate::exit::Usage;

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;
/// Bytes that are read for one row: without a limit, a quotation mark that is never closed would
/// make one row of all that follows.
const ROW_BYTES_MAX: usize = 16 * LINE_BYTES_MAX;

/// A reader of so much at a time as one row may have.
struct Guarded<R> {
    inner: R,
    /// Bytes since the last row.
    since_row: Rc<Cell<usize>>,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row.get() > ROW_BYTES_MAX {
            return Err(io::Error::other(format!(
                "a row is longer than {ROW_BYTES_MAX} bytes: there may be a quotation mark that is \
                 never closed"
            )));
        }
        let count = self.inner.read(buffer)?;
        self.since_row.set(self.since_row.get() + count);
        Ok(count)
    }
}

/// The rows.
pub(super) struct CsvRows<R> {
    reader: Reader<Guarded<R>>,
    since_row: Rc<Cell<usize>>,
    mapping: Mapping,
    record: ByteRecord,
}

impl<R: Read> CsvRows<R> {
    /// Reads the names of the columns.
    ///
    /// # Errors
    ///
    /// There are none, or not those that are asked for.
    pub(super) fn new(
        inner: R,
        delimiter: u8,
        arguments: &MappingArguments,
        prefix: &[u8],
    ) -> anyhow::Result<Self> {
        let since_row = Rc::new(Cell::new(0));
        let guarded = Guarded { inner, since_row: Rc::clone(&since_row) };
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            // Rows of another length are refused by themselves.
            .flexible(true)
            .buffer_capacity(READ_BYTES)
            .from_reader(guarded);
        let header = reader.byte_headers().context("cannot read the names of the columns")?;
        if header.is_empty() {
            return Err(Usage("there is no line with the names of the columns".to_owned()).into());
        }
        let mut columns: Vec<String> = Vec::new();
        for name in header {
            let name = std::str::from_utf8(name)
                .map_err(|_| Usage("the names of the columns are not UTF-8".to_owned()))?;
            if columns.iter().any(|other| other == name) {
                return Err(Usage(format!("two columns are called `{name}`")).into());
            }
            columns.push(name.to_owned());
        }
        since_row.set(0);
        let mapping = Mapping::of_table(arguments, columns, prefix, |_| true)?;
        Ok(Self { reader, since_row, mapping, record: ByteRecord::new() })
    }

    /// The row that was read last as a JSON object.
    fn show(&self) -> String {
        let mut out = b"{".to_vec();
        for (column, field) in self.record.iter().enumerate() {
            if column > 0 {
                out.push(b',');
            }
            let extra = format!("column {}", column + 1);
            let name = self.mapping.columns().get(column).unwrap_or(&extra);
            write_json_text(name, &mut out);
            out.push(b':');
            write_json_text(&String::from_utf8_lossy(field), &mut out);
        }
        out.push(b'}');
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl<R: Read> Rows for CsvRows<R> {
    fn next(&mut self, ids: &mut Ids, out: &mut Vec<u8>) -> anyhow::Result<Option<(u64, Outcome)>> {
        let line = self.reader.position().line();
        let is_there = self
            .reader
            .read_byte_record(&mut self.record)
            .with_context(|| format!("cannot read on from line {line}"))?;
        if !is_there {
            return Ok(None);
        }
        self.since_row.set(0);
        let number = self.record.position().map_or(line, csv::Position::line);
        let columns = self.mapping.columns().len();
        let written = if self.record.len() == columns {
            self.mapping.write(&CsvRow(&self.record), number, ids, out)?
        } else {
            Err(format!("it has {} fields, and there are {columns} columns", self.record.len()))
        };
        let outcome = match written {
            Ok(()) => Outcome::Event,
            Err(reason) => Outcome::Refused(Refused { reason, row: self.show() }),
        };
        Ok(Some((number, outcome)))
    }
}

struct CsvRow<'a>(&'a ByteRecord);

impl CsvRow<'_> {
    /// A field that is not empty.
    fn get(&self, column: usize) -> Result<Option<&str>, String> {
        match self.0.get(column) {
            None | Some(b"") => Ok(None),
            Some(field) => match std::str::from_utf8(field) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err("it is not UTF-8".to_owned()),
            },
        }
    }
}

impl Row for CsvRow<'_> {
    fn text(&self, column: usize, out: &mut Vec<u8>) -> Result<bool, String> {
        let Some(text) = self.get(column)? else { return Ok(false) };
        write_json_text(text, out);
        Ok(true)
    }

    fn timestamp(&self, column: usize, zone: &Zone, out: &mut Vec<u8>) -> Result<bool, String> {
        let Some(text) = self.get(column)? else { return Ok(false) };
        instant::write_text(text, zone, out).map(|()| true)
    }

    fn value(&self, column: usize, kind: Kind, out: &mut Vec<u8>) -> Result<bool, String> {
        let Some(text) = self.get(column)? else { return Ok(false) };
        write_typed_text(text, kind, out).map(|()| true)
    }
}
