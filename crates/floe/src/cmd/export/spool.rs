//! Lines that are kept in a temporary file until it is known which columns they have.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Metadata keys that a table has columns for.
const KEYS_MAX: usize = 2000;

/// A line of an export.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'l> {
    #[serde(borrow)]
    pub(super) name: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) timestamp: Cow<'l, str>,
    #[serde(borrow, default)]
    pub(super) external_customer_id: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    pub(super) customer_id: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    pub(super) external_member_id: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    pub(super) external_id: Option<Cow<'l, str>>,
    #[serde(borrow, default)]
    pub(super) parent_id: Option<Cow<'l, str>>,
    /// As the JSON that they are: numbers have all their digits.
    #[serde(borrow)]
    pub(super) metadata: BTreeMap<String, &'l RawValue>,
}

/// What the values of a key are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    /// Of 64 bits.
    Integer,
    Float,
    Text,
    /// Of several kinds, objects, or larger integers.
    Json,
}

impl Kind {
    fn of(value: &RawValue) -> Self {
        let text = value.get();
        match text.as_bytes().first() {
            Some(b'"') => Self::Text,
            Some(b't' | b'f') => Self::Bool,
            Some(b'-' | b'0'..=b'9') if text.contains(['.', 'e', 'E']) => Self::Float,
            Some(b'-' | b'0'..=b'9') if text.parse::<i64>().is_ok() => Self::Integer,
            _ => Self::Json,
        }
    }
}

/// Lines on their way to a table.
pub(super) struct Spool {
    file: zstd::Encoder<'static, BufWriter<File>>,
    columns: BTreeMap<String, Kind>,
}

impl Spool {
    pub(super) fn new() -> anyhow::Result<Self> {
        let file = tempfile::tempfile().context("cannot make a temporary file")?;
        Ok(Self { file: zstd::Encoder::new(BufWriter::new(file), 1)?, columns: BTreeMap::new() })
    }

    /// Keeps a line.
    pub(super) fn push(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let parsed: Line<'_> =
            serde_json::from_slice(line).context("the server sent a line that is no event")?;
        for (key, value) in parsed.metadata {
            let kind = Kind::of(value);
            let is_full = self.columns.len() == KEYS_MAX;
            match self.columns.get_mut(&key) {
                Some(known) if *known == kind => {}
                Some(known) => *known = Kind::Json,
                None if is_full => bail!(
                    "the metadata have more than {KEYS_MAX} keys, too many for columns: write \
                     NDJSON, or fewer events"
                ),
                None => {
                    self.columns.insert(key, kind);
                }
            }
        }
        self.file.write_all(line)?;
        self.file.write_all(b"\n")?;
        Ok(())
    }

    /// The columns of all lines, by key; and the lines, to be read once.
    pub(super) fn finish(self) -> anyhow::Result<(BTreeMap<String, Kind>, Lines)> {
        let file = self.file.finish()?.into_inner().map_err(|error| error.into_error())?;
        let mut file = file;
        file.seek(SeekFrom::Start(0))?;
        let lines = Lines { from: BufReader::new(zstd::Decoder::new(file)?), line: Vec::new() };
        Ok((self.columns, lines))
    }
}

/// Lines of a spool.
pub(super) struct Lines {
    from: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    line: Vec<u8>,
}

impl Lines {
    /// The next line.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Line<'_>>> {
        self.line.clear();
        if self.from.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&self.line)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_a_kind() {
        let kind = |text: &str| Kind::of(&RawValue::from_string(text.to_owned()).unwrap());
        assert_eq!(kind("\"7\""), Kind::Text);
        assert_eq!(kind("true"), Kind::Bool);
        assert_eq!((kind("-7"), kind("9223372036854775807")), (Kind::Integer, Kind::Integer));
        assert_eq!(kind("9223372036854775808"), Kind::Json);
        assert_eq!(
            (kind("7.0"), kind("1e20"), kind("-5e-324")),
            (Kind::Float, Kind::Float, Kind::Float)
        );
        assert_eq!((kind("{}"), kind("null")), (Kind::Json, Kind::Json));
    }
}
