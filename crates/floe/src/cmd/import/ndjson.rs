//! NDJSON: one JSON object a line, events of the wire or rows with columns.

use std::borrow::Cow;
use std::io::Read;

use anyhow::Context as _;
use floe_api::json::{self, Json};
use memchr::memmem::Finder;

use super::ids::Ids;
use super::instant::{self, Zone};
use super::mapping::{
    Kind, Mapping, MappingArguments, Missing, Row, write_json_text, write_typed_text,
};
use super::rows::{LINE_BYTES_MAX, Outcome, Refused, Rows};
use crate::exit::Usage;

/// Bytes that are read at a time.
const READ_BYTES: usize = 256 * 1024;
/// Characters of a row that are kept of one that is too long.
const SHOWN_BYTES: usize = 1000;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Lines of an input.
struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// What of the buffer is read and not yet taken.
    start: usize,
    end: usize,
    /// Lines so far.
    number: u64,
    /// Whether nothing but empty lines was there so far.
    is_first: bool,
    has_ended: bool,
}

/// A line without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    start: usize,
    end: usize,
    is_too_long: bool,
}

impl<R: Read> Lines<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            number: 0,
            is_first: true,
            has_ended: false,
        }
    }

    fn text(&self, line: Line) -> &[u8] {
        self.buffer.get(line.start..line.end).unwrap_or_default()
    }

    /// The next line; of one that is too long, its beginning.
    fn next(&mut self) -> std::io::Result<Option<Line>> {
        let mut looked_at = 0;
        loop {
            let rest = self.buffer.get(self.start + looked_at..self.end).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', rest) {
                let end = self.start + looked_at + at;
                return Ok(Some(self.take(end, end + 1)));
            }
            looked_at = self.end - self.start;
            if looked_at > LINE_BYTES_MAX + 1 {
                return self.take_too_long().map(Some);
            }
            if self.has_ended {
                if looked_at == 0 {
                    return Ok(None);
                }
                return Ok(Some(self.take(self.end, self.end)));
            }
            self.read()?;
        }
    }

    fn take(&mut self, end: usize, next: usize) -> Line {
        self.number += 1;
        let mut line = Line { start: self.start, end, is_too_long: false };
        self.start = next;
        if self.number == 1 && self.text(line).starts_with(BYTE_ORDER_MARK) {
            line.start += BYTE_ORDER_MARK.len();
        }
        if self.text(line).ends_with(b"\r") {
            line.end -= 1;
        }
        line.is_too_long = line.end - line.start > LINE_BYTES_MAX;
        line
    }

    /// Passes over the rest of a line.
    fn take_too_long(&mut self) -> std::io::Result<Line> {
        self.number += 1;
        let kept = SHOWN_BYTES;
        let beginning = self.start..self.start + kept;
        self.buffer.copy_within(beginning, 0);
        loop {
            let rest = self.buffer.get(kept.max(self.start)..self.end).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', rest) {
                self.start = kept.max(self.start) + at + 1;
                break;
            }
            self.start = kept;
            self.end = kept;
            let space = self.buffer.get_mut(kept..).unwrap_or_default();
            let count = read_some(&mut self.reader, space)?;
            self.end += count;
            if count == 0 {
                self.has_ended = true;
                break;
            }
        }
        Ok(Line { start: 0, end: kept, is_too_long: true })
    }

    /// Reads more behind what is there, at the front of the buffer.
    fn read(&mut self) -> std::io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < READ_BYTES / 2 {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        let space = self.buffer.get_mut(self.end..).unwrap_or_default();
        let count = read_some(&mut self.reader, space)?;
        self.has_ended = count == 0;
        self.end += count;
        Ok(())
    }

    /// The next line that is not empty, or why it is no event.
    fn next_filled(&mut self) -> anyhow::Result<Option<Result<Line, Refused>>> {
        loop {
            let next = self.next();
            let line = self.number + 1;
            let Some(line) = next.with_context(|| format!("cannot read line {line}"))? else {
                return Ok(None);
            };
            if line.is_too_long {
                let reason = format!("the line is longer than {LINE_BYTES_MAX} bytes");
                let start = line.start..(line.start + SHOWN_BYTES).min(line.end);
                let text = self.buffer.get(start).unwrap_or_default();
                return Ok(Some(Err(Refused { reason, row: quoted(text) })));
            }
            let text = self.text(line).trim_ascii_start();
            if text.is_empty() {
                continue;
            }
            let is_list = text.starts_with(b"[");
            if std::mem::replace(&mut self.is_first, false) && is_list {
                let text = "it is one list of JSON, and is to be an object a line: `jq -c '.[]'` \
                            makes that of it";
                return Err(Usage(text.to_owned()).into());
            }
            return Ok(Some(Ok(line)));
        }
    }
}

fn read_some(reader: &mut impl Read, space: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match reader.read(space) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Bytes as JSON text.
fn quoted(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    write_json_text(&String::from_utf8_lossy(bytes), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Events in the form of the wire, passed on as they are.
pub(super) struct WireRows<R> {
    lines: Lines<R>,
    scan: Scan,
    /// Members that stand at the start of every event, each with a comma.
    prefix: Vec<u8>,
}

impl<R: Read> WireRows<R> {
    pub(super) fn new(reader: R, prefix: &[u8]) -> Self {
        Self { lines: Lines::new(reader), scan: Scan::new(), prefix: prefix.to_vec() }
    }
}

impl<R: Read> Rows for WireRows<R> {
    fn next(&mut self, ids: &mut Ids, out: &mut Vec<u8>) -> anyhow::Result<Option<(u64, Outcome)>> {
        let Some(line) = self.lines.next_filled()? else { return Ok(None) };
        let number = self.lines.number;
        let line = match line {
            Ok(line) => line,
            Err(refused) => return Ok(Some((number, Outcome::Refused(refused)))),
        };
        let line = self.lines.text(line);
        match self.scan.external_id(line) {
            // What is no object is passed on too: the server says what is wrong with it.
            ExternalId::NoObject => out.extend_from_slice(line),
            ExternalId::There => {
                let (open, rest) = open(line);
                out.extend_from_slice(open);
                out.extend_from_slice(&self.prefix);
                out.extend_from_slice(rest);
            }
            // In front: should the line have one that was not seen, that counts, as the last.
            ExternalId::Absent => {
                let (open, rest) = open(line);
                out.extend_from_slice(open);
                out.extend_from_slice(&self.prefix);
                ids.write(number, out)?;
                if rest.trim_ascii_start().first() != Some(&b'}') {
                    out.push(b',');
                }
                out.extend_from_slice(rest);
            }
            // Behind: the last one counts.
            ExternalId::Null => {
                let line = line.trim_ascii_end();
                let line = line.strip_suffix(b"}").unwrap_or(line);
                let (open, rest) = open(line);
                out.extend_from_slice(open);
                out.extend_from_slice(&self.prefix);
                out.extend_from_slice(rest);
                out.push(b',');
                ids.write(number, out)?;
                out.push(b'}');
            }
        }
        Ok(Some((number, Outcome::Event)))
    }
}

/// A line up to its first brace and what is behind that.
fn open(line: &[u8]) -> (&[u8], &[u8]) {
    let at = line.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
    line.split_at(at)
}

/// What a line says of its external id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExternalId {
    There,
    Absent,
    Null,
    /// The line cannot be an object.
    NoObject,
}

/// Looks for `external_id` in an object without reading all of it.
struct Scan {
    key: Finder<'static>,
}

const KEY: &[u8] = b"\"external_id\"";

impl Scan {
    fn new() -> Self {
        Self { key: Finder::new(KEY) }
    }

    /// The last member of that name counts, as for the server. What is no JSON may be taken for
    /// anything: the server refuses it.
    fn external_id(&self, line: &[u8]) -> ExternalId {
        let start = line.trim_ascii_start();
        if start.first() != Some(&b'{') || line.trim_ascii_end().last() != Some(&b'}') {
            return ExternalId::NoObject;
        }
        let mut found = ExternalId::Absent;
        let mut walk = Walk { text: start, at: 0, depth: 0 };
        for at in self.key.find_iter(start) {
            if !walk.is_member_at(at) {
                continue;
            }
            let behind = start.get(at + KEY.len()..).unwrap_or_default().trim_ascii_start();
            if let Some(value) = behind.strip_prefix(b":") {
                let is_null = value.trim_ascii_start().starts_with(b"null");
                found = if is_null { ExternalId::Null } else { ExternalId::There };
            }
        }
        if memchr::memchr(b'\\', start).is_some() {
            // The key may be spelled with escapes, which only a parser sees.
            return parsed_external_id(start).unwrap_or(found);
        }
        found
    }
}

/// What a line says of its external id, read as a whole; `None` if it is no object.
fn parsed_external_id(line: &[u8]) -> Option<ExternalId> {
    let json = json::parse(line).ok()?;
    let value = json.as_object()?.iter().rev().find(|(name, _)| name == "external_id");
    Some(match value {
        None => ExternalId::Absent,
        Some((_, value)) if value.is_null() => ExternalId::Null,
        Some(_) => ExternalId::There,
    })
}

/// A walk over JSON text that knows how deep it is.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl Walk<'_> {
    /// Whether a string that starts at a place further on is a key, or a value, of the outermost
    /// object, and no part of another string.
    fn is_member_at(&mut self, place: usize) -> bool {
        while self.at < place {
            match self.text.get(self.at) {
                Some(b'{' | b'[') => self.depth += 1,
                Some(b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                Some(b'"') => self.skip_string(),
                Some(_) => {}
                None => return false,
            }
            self.at += 1;
        }
        self.at == place && self.depth == 1
    }

    /// Goes to the end of the string that starts here.
    fn skip_string(&mut self) {
        loop {
            let rest = self.text.get(self.at + 1..).unwrap_or_default();
            let Some(stop) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.text.len();
                return;
            };
            self.at += 1 + stop;
            if self.text.get(self.at) == Some(&b'"') {
                return;
            }
            // What is escaped is passed over.
            self.at += 1;
        }
    }
}

/// Rows whose columns are mapped.
pub(super) struct MappedRows<R> {
    lines: Lines<R>,
    arguments: MappingArguments,
    prefix: Vec<u8>,
    /// Of the columns of the row before: most rows have the same.
    mapping: Option<Mapping>,
}

impl<R: Read> MappedRows<R> {
    pub(super) fn new(reader: R, arguments: MappingArguments, prefix: &[u8]) -> Self {
        Self { lines: Lines::new(reader), arguments, prefix: prefix.to_vec(), mapping: None }
    }
}

impl<R: Read> Rows for MappedRows<R> {
    fn next(&mut self, ids: &mut Ids, out: &mut Vec<u8>) -> anyhow::Result<Option<(u64, Outcome)>> {
        let Some(line) = self.lines.next_filled()? else { return Ok(None) };
        let number = self.lines.number;
        let refuse = |reason: String, row: String| {
            Ok(Some((number, Outcome::Refused(Refused { reason, row }))))
        };
        let text = match line {
            Ok(line) => self.lines.text(line),
            Err(refused) => return Ok(Some((number, Outcome::Refused(refused)))),
        };
        let json = match json::parse(text) {
            Ok(json) => json,
            Err(error) => return refuse(format!("it is no JSON: {error}"), quoted(text)),
        };
        let Some(members) = json.as_object() else {
            return refuse("it is no JSON object".to_owned(), quoted(text));
        };
        let is_same = |mapping: &Mapping| {
            let names = members.iter().map(|(name, _)| name.as_ref());
            mapping.columns().iter().map(String::as_str).eq(names)
        };
        let mapping = match self.mapping.take_if(|mapping| is_same(mapping)) {
            Some(mapping) => mapping,
            None => {
                let columns = members.iter().map(|(name, _)| name.clone().into_owned()).collect();
                let missing = if number == 1 { Missing::RefuseNeeded } else { Missing::Accept };
                Mapping::new(&self.arguments, columns, &self.prefix, missing)?
            }
        };
        let written = mapping.write(&JsonRow(members), number, ids, out)?;
        self.mapping = Some(mapping);
        match written {
            Ok(()) => Ok(Some((number, Outcome::Event))),
            Err(reason) => refuse(reason, String::from_utf8_lossy(text).into_owned()),
        }
    }
}

struct JsonRow<'a>(&'a [(Cow<'a, str>, Json<'a>)]);

impl JsonRow<'_> {
    /// A value that is not null.
    fn get(&self, column: usize) -> Option<&Json<'_>> {
        self.0.get(column).map(|(_, value)| value).filter(|value| !value.is_null())
    }
}

fn write_json(json: &Json<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    serde_json::to_writer(out, json).map_err(|error| error.to_string())
}

impl Row for JsonRow<'_> {
    fn text(&self, column: usize, out: &mut Vec<u8>) -> Result<bool, String> {
        match self.get(column) {
            None => Ok(false),
            Some(Json::Str(text)) if text.is_empty() => Ok(false),
            Some(Json::Str(text)) => {
                write_json_text(text, out);
                Ok(true)
            }
            // Ids are often numbers.
            Some(json @ (Json::Int(_) | Json::BigInt(_))) => {
                out.push(b'"');
                write_json(json, out)?;
                out.push(b'"');
                Ok(true)
            }
            Some(_) => Err("it is no text".to_owned()),
        }
    }

    fn timestamp(&self, column: usize, zone: &Zone, out: &mut Vec<u8>) -> Result<bool, String> {
        match self.get(column) {
            None => Ok(false),
            Some(Json::Str(text)) if text.is_empty() => Ok(false),
            Some(Json::Str(text)) => instant::write_text(text, zone, out).map(|()| true),
            Some(json @ (Json::Int(_) | Json::Float(_))) => {
                let mut text = Vec::new();
                write_json(json, &mut text)?;
                instant::write_text(&String::from_utf8_lossy(&text), zone, out).map(|()| true)
            }
            Some(_) => Err("it is no time".to_owned()),
        }
    }

    fn value(&self, column: usize, kind: Kind, out: &mut Vec<u8>) -> Result<bool, String> {
        let Some(json) = self.get(column) else { return Ok(false) };
        match (json, kind) {
            (Json::Array(_) | Json::Object(_) | Json::TooDeep, _) => {
                return Err("metadata cannot hold a list or an object".to_owned());
            }
            // As an empty field of CSV.
            (Json::Str(text), _) if text.is_empty() => return Ok(false),
            (Json::Str(text), Kind::Auto | Kind::Text) => write_json_text(text, out),
            (Json::Str(text), _) => write_typed_text(text, kind, out)?,
            (_, Kind::Auto) => write_json(json, out)?,
            (_, kind) => {
                let mut text = Vec::new();
                write_json(json, &mut text)?;
                write_typed_text(&String::from_utf8_lossy(&text), kind, out)?;
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_are_read() {
        struct Slow<'a>(&'a [u8], usize);
        impl Read for Slow<'_> {
            fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
                let count = self.1.min(self.0.len()).min(space.len());
                space[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                Ok(count)
            }
        }
        let long = "x".repeat(LINE_BYTES_MAX);
        let text = format!("\u{feff}one\r\n\n \ntwo\n{long}\r\n{long}y\n{long}{long}\nthree");
        for size in [1000, 65_537, text.len()] {
            let mut lines = Lines::new(Slow(text.as_bytes(), size));
            let mut found = Vec::new();
            while let Some(line) = lines.next_filled().unwrap() {
                let line = line.map(|line| {
                    let text = lines.text(line);
                    (text.len(), String::from_utf8_lossy(&text[..text.len().min(5)]).into_owned())
                });
                found.push((lines.number, line.map_err(|refused| refused.row.len())));
            }
            let short = |text: &str| Ok((text.len(), text.to_owned()));
            let expected = [
                (1, short("one")),
                (4, short("two")),
                (5, Ok((LINE_BYTES_MAX, "xxxxx".to_owned()))),
                (6, Err(SHOWN_BYTES + 2)),
                (7, Err(SHOWN_BYTES + 2)),
                (8, short("three")),
            ];
            assert_eq!(found, expected, "{size}");
        }
    }

    #[test]
    fn an_external_id_is_found_where_it_counts() {
        use ExternalId::{Absent, NoObject, Null, There};
        let scan = Scan::new();
        for (line, expected) in [
            (r#"{"name":"a"}"#, Absent),
            (r#" { "external_id" : "x" } "#, There),
            (r#"{"external_id":null}"#, Null),
            (r#"{"external_id": 5}"#, There),
            (r#"{"metadata":{"external_id":"x"}}"#, Absent),
            (r#"{"metadata":{"external_id":"x"},"external_id":"y"}"#, There),
            (r#"{"a":[{"external_id":"x"}],"name":"external_id"}"#, Absent),
            (r#"{"name":"external_id","b":1}"#, Absent),
            (r#"{"name":"\"external_id\":1","b":"\\"}"#, Absent),
            (r#"{"name":"\\","external_id":"x"}"#, There),
            (r#"{"external_id":"x","external_id":null}"#, Null),
            (r#"{"external_id":null,"external_id":"x"}"#, There),
            (r#"{"name":"a\n","external_\u0069d":null}"#, Null),
            (r#"{"external_\u0069d":"x","metadata":{"\u0061":1}}"#, There),
            (r#"{"external_id":"x","external_\u0069d":null}"#, Null),
            ("[]", NoObject),
            ("{", NoObject),
            ("", NoObject),
        ] {
            assert_eq!(scan.external_id(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn an_external_id_is_put_where_it_counts() {
        let input = super::super::source::Input::Standard;
        let mut ids = Ids::new(input, Some("b\"".to_owned()));
        let mut check = |line: &str, prefix: &str, expected: &str| {
            let mut rows = WireRows::new(line.as_bytes(), prefix.as_bytes());
            let mut out = Vec::new();
            assert_eq!(rows.next(&mut ids, &mut out).unwrap(), Some((1, Outcome::Event)));
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text, expected);
            text
        };
        check(r#"{"name":"a"}"#, "", r#"{"external_id":"import:b\":1","name":"a"}"#);
        check("{ } ", "", r#"{"external_id":"import:b\":1" } "#);
        check(r#"{"external_id":"x"}"#, "", r#"{"external_id":"x"}"#);
        let id = r#"{"external_id":null,"n":1 ,"external_id":"import:b\":1"}"#;
        check(r#"{"external_id":null,"n":1 } "#, "", id);
        let both = r#"{"o":1,"external_id":"import:b\":1","name":"a"}"#;
        check(r#"{"name":"a"}"#, r#""o":1,"#, both);
        check("nonsense", r#""o":1,"#, "nonsense");
    }
}
