//! CSV, and what is like it but with tabs: a line of column names, then rows.

use std::cell::RefCell;
use std::collections::VecDeque;
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

/// What is known of the bytes that were read, row by row. The parser tells only where it stood
/// before a row and the empty lines in front of it.
#[derive(Debug, Default)]
struct Course {
    /// Bytes since the last row.
    since_row: usize,
    /// Bytes so far.
    bytes: u64,
    /// Where lines end in what was read last and is not passed: at a line feed, or at a carriage
    /// return without one.
    ends: VecDeque<u64>,
    /// Where the last carriage return was.
    last_return: Option<u64>,
    /// Ends of lines that are passed, and where the last of them was.
    lines: u64,
    last_end: Option<u64>,
}

impl Course {
    fn read(&mut self, bytes: &[u8]) {
        // The parser asks for more once it has taken all: so a row of many lines needs no room.
        self.pass(self.bytes);
        for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            let place = self.bytes + at as u64;
            if bytes.get(at) == Some(&b'\r') {
                self.last_return = Some(place);
                self.ends.push_back(place);
                continue;
            }
            let is_second = self.last_return.is_some_and(|before| before + 1 == place);
            if !is_second {
                self.ends.push_back(place);
            } else if let Some(end) = self.ends.back_mut() {
                *end = place;
            }
        }
        self.bytes += bytes.len() as u64;
        self.since_row += bytes.len();
    }

    /// Takes note that all in front of this place is passed.
    fn pass(&mut self, behind: u64) {
        while let Some(end) = self.ends.pop_front_if(|end| *end < behind) {
            self.lines += 1;
            self.last_end = Some(end);
        }
    }

    /// The number of the line, from 1, on which a row begins that ends in front of this place and
    /// has so many ends of lines in it.
    fn line(&mut self, behind: u64, inside: u64) -> u64 {
        self.since_row = 0;
        self.pass(behind);
        let has_own = self.last_end.is_some_and(|end| end + 1 == behind);
        (self.lines + u64::from(!has_own)).saturating_sub(inside)
    }
}

/// How many ends of lines there are in a row.
fn ends_in(record: &ByteRecord) -> u64 {
    let ends = record.iter().map(|field| {
        let is_end =
            |at: &usize| field.get(*at) == Some(&b'\n') || field.get(at + 1) != Some(&b'\n');
        memchr::memchr2_iter(b'\n', b'\r', field).filter(is_end).count() as u64
    });
    ends.sum()
}

/// A reader of so much at a time as one row may have.
struct Guarded<R> {
    inner: R,
    course: Rc<RefCell<Course>>,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.course.borrow().since_row > ROW_BYTES_MAX {
            return Err(io::Error::other(format!(
                "a row is longer than {ROW_BYTES_MAX} bytes: there may be a quotation mark that is \
                 never closed"
            )));
        }
        let count = self.inner.read(buffer)?;
        self.course.borrow_mut().read(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The rows.
pub(super) struct CsvRows<R> {
    reader: Reader<Guarded<R>>,
    course: Rc<RefCell<Course>>,
    mapping: Mapping,
    record: ByteRecord,
    /// Rows so far.
    rows: u64,
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
        let course = Rc::new(RefCell::new(Course::default()));
        let guarded = Guarded { inner, course: Rc::clone(&course) };
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
            columns.push(name.to_owned());
        }
        course.borrow_mut().since_row = 0;
        let mapping = Mapping::of_table(arguments, columns, prefix, |_| true)?;
        Ok(Self { reader, course, mapping, record: ByteRecord::new(), rows: 0 })
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
        let row = self.rows + 1;
        let is_there = self
            .reader
            .read_byte_record(&mut self.record)
            .with_context(|| format!("cannot read row {row}"))?;
        if !is_there {
            return Ok(None);
        }
        self.rows = row;
        let behind = self.reader.position().byte();
        let line = self.course.borrow_mut().line(behind, ends_in(&self.record));
        let columns = self.mapping.columns().len();
        let written = if self.record.len() == columns {
            // By its place among the rows: lines are another matter where fields have some.
            self.mapping.write(&CsvRow(&self.record), row, ids, out)?
        } else {
            Err(format!("it has {} fields, and there are {columns} columns", self.record.len()))
        };
        let outcome = match written {
            Ok(()) => Outcome::Event,
            Err(reason) => Outcome::Refused(Refused { reason, row: self.show() }),
        };
        Ok(Some((line, outcome)))
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

#[cfg(test)]
mod tests {
    use super::super::source::Input;
    use super::*;

    /// A reader of a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    #[derive(clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        mapping: MappingArguments,
    }

    /// The lines of the rows, and the external ids that are made for them.
    fn rows(text: &str, bytes_at_a_time: usize) -> Vec<(u64, String)> {
        let arguments = ["", "--timestamp", "t", "--customer", "c", "--event-name", "e"];
        let mapping = <Arguments as clap::Parser>::parse_from(arguments).mapping;
        let mut rows =
            CsvRows::new(Slow(text.as_bytes(), bytes_at_a_time), b',', &mapping, b"").unwrap();
        let mut ids = Ids::new(Input::Standard, Some("b".to_owned()));
        let mut found = Vec::new();
        loop {
            let mut out = Vec::new();
            let Some((line, outcome)) = rows.next(&mut ids, &mut out).unwrap() else { break };
            assert_eq!(outcome, Outcome::Event);
            let event: serde_json::Value = serde_json::from_slice(&out).unwrap();
            found.push((line, event["external_id"].as_str().unwrap().to_owned()));
        }
        found
    }

    #[test]
    fn rows_have_lines_and_ids_whatever_ends_lines() {
        // Empty lines in front and between, lines within fields, no end of line at the end.
        let text = "\n\nt,c,v\n\n2026-03-01,ada,1\n2026-03-01,bob,\"2\n\n2\"\n\n2026-03-01,cyd,3";
        for ends in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', ends);
            for bytes in [1, 2, 3, 7, 1000] {
                let expected = [(5, "import:b:1"), (6, "import:b:2"), (10, "import:b:3")];
                let expected = expected.map(|(line, id)| (line, id.to_owned()));
                assert_eq!(rows(&text, bytes), expected, "{ends:?} {bytes}");
            }
        }
    }
}
