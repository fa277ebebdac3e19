//! Which column becomes which field of an event, and the writing of the event.

use super::ids::Ids;
use super::instant::Zone;
use crate::cmd::export::{EXPORTED_FIELDS, METADATA_PREFIX};
use crate::exit::Usage;

/// Which column is what.
#[derive(Debug, Clone, clap::Args)]
#[command(
    next_help_heading = "Columns (CSV and Parquet need them; NDJSON has the wire form without)"
)]
pub(super) struct MappingArguments {
    /// The column with the time of each event: RFC 3339, `2026-01-31[ 12:00:00]`, or Unix seconds
    /// or milliseconds
    #[arg(long, value_name = "COL")]
    timestamp: Option<String>,
    /// The time zone of times without an offset
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    timezone: String,
    /// The column with the name of each event
    #[arg(long, value_name = "COL", conflicts_with = "event_name")]
    name: Option<String>,
    /// The name of all events, if no column has it
    #[arg(long, value_name = "TEXT")]
    event_name: Option<String>,
    /// The column with the customer's external id: your own id
    #[arg(long, value_name = "COL", conflicts_with = "customer_id")]
    customer: Option<String>,
    /// The column with the customer's id in Floe
    #[arg(long, value_name = "COL")]
    customer_id: Option<String>,
    /// The column with your own id of each event; by default ids are made of batch and row
    #[arg(long, value_name = "COL")]
    external_id: Option<String>,
    /// The column with the id or external id of each event's parent
    #[arg(long, value_name = "COL")]
    parent: Option<String>,
    /// A column to keep as metadata, perhaps under another key and as another type: integer,
    /// number, boolean or text. May be repeated; without it, all columns that are nothing else are
    /// kept
    #[arg(long, value_name = "COL[=KEY][:TYPE]")]
    metadata: Vec<String>,
    /// A column that is text even where it looks like a number, such as a zip code. May be
    /// repeated
    #[arg(long, value_name = "COL")]
    text: Vec<String>,
}

impl MappingArguments {
    /// Whether anything is mapped.
    pub(super) fn is_given(&self) -> bool {
        let Self {
            timestamp,
            timezone: _,
            name,
            event_name,
            customer,
            customer_id,
            external_id,
            parent,
            metadata,
            text,
        } = self;
        let options = [timestamp, name, event_name, customer, customer_id, external_id, parent];
        options.into_iter().any(Option::is_some) || !metadata.is_empty() || !text.is_empty()
    }

    /// The zone of times without an offset.
    ///
    /// # Errors
    ///
    /// There is no such zone.
    pub(super) fn zone(&self) -> anyhow::Result<Zone> {
        Zone::new(&self.timezone)
    }
}

/// What values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What each looks like, or what the file says.
    Auto,
    Integer,
    Number,
    Boolean,
    Text,
    /// As `floe export` writes it: JSON, but texts as they are unless they look like JSON.
    Exported,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        match name {
            "integer" => Some(Self::Integer),
            "number" => Some(Self::Number),
            "boolean" => Some(Self::Boolean),
            "text" => Some(Self::Text),
            _ => None,
        }
    }
}

/// A row, whatever it comes from. Each method writes JSON, and says whether there was a value;
/// what it wrote if there was none or an error, is cut off by its caller.
pub(super) trait Row {
    /// A value as text.
    fn text(&self, column: usize, out: &mut Vec<u8>) -> Result<bool, String>;
    /// A value as an instant.
    fn timestamp(&self, column: usize, zone: &Zone, out: &mut Vec<u8>) -> Result<bool, String>;
    /// A value of metadata.
    fn value(&self, column: usize, kind: Kind, out: &mut Vec<u8>) -> Result<bool, String>;
}

/// What to do about columns that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// All columns are known: it is an error.
    Refuse,
    /// Each row may have others: what every event needs must be in the first row.
    RefuseNeeded,
    /// Each row may have others: the value is missing in that row.
    Accept,
}

/// The number of a column that is not there.
const NOWHERE: usize = usize::MAX;

#[derive(Debug)]
enum Name {
    Column(usize),
    /// JSON text.
    Fixed(Vec<u8>),
}

#[derive(Debug)]
struct MetadataColumn {
    column: usize,
    /// JSON text of the key, and a colon.
    key: Vec<u8>,
    kind: Kind,
}

/// Where each field of an event stands in a row.
#[derive(Debug)]
pub(super) struct Mapping {
    columns: Vec<String>,
    timestamp: usize,
    name: Name,
    /// Members of the wire, with their colons, and their columns: the first that has a value is
    /// the customer.
    customers: Vec<(&'static [u8], usize)>,
    external_id: Option<usize>,
    /// Other members of the wire, with a comma and a colon.
    texts: Vec<(&'static [u8], usize)>,
    metadata: Vec<MetadataColumn>,
    zone: Zone,
    /// What stands at the start of every event: members, each with a comma.
    prefix: Vec<u8>,
}

const EXTERNAL_CUSTOMER_ID: &[u8] = b"\"external_customer_id\":";
const CUSTOMER_ID: &[u8] = b"\"customer_id\":";
const PARENT_ID: &[u8] = b",\"parent_id\":";
const EXTERNAL_MEMBER_ID: &[u8] = b",\"external_member_id\":";

impl Mapping {
    /// Finds the columns of a table. If nothing says which is what, and all are called as
    /// `floe export` calls them, they are what they are called; `is_json` says of which columns
    /// the texts are JSON then.
    ///
    /// # Errors
    ///
    /// [`Usage`]: a column is not there, or nothing says which one holds what every event needs.
    pub(super) fn of_table(
        arguments: &MappingArguments,
        columns: Vec<String>,
        prefix: &[u8],
        is_json: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Self> {
        for (at, name) in columns.iter().enumerate() {
            if columns.iter().take(at).any(|other| other == name) {
                return Err(Usage(format!("two columns are called `{name}`")).into());
            }
        }
        let is_of_export = |column: &String| {
            EXPORTED_FIELDS.contains(&column.as_str()) || column.starts_with(METADATA_PREFIX)
        };
        let is_exported = !arguments.is_given() && columns.iter().all(is_of_export);
        let place = |name: &str| columns.iter().position(|column| column == name);
        let member = |member, name: &str| Some((member, place(name)?));
        let customers = [
            member(EXTERNAL_CUSTOMER_ID, "external_customer_id"),
            member(CUSTOMER_ID, "customer_id"),
        ];
        let customers: Vec<_> = customers.into_iter().flatten().collect();
        let (Some(timestamp), Some(name), false, true) =
            (place("timestamp"), place("name"), customers.is_empty(), is_exported)
        else {
            return Self::new(arguments, columns, prefix, Missing::Refuse);
        };
        let texts =
            [member(PARENT_ID, "parent_id"), member(EXTERNAL_MEMBER_ID, "external_member_id")];
        let mut metadata = Vec::new();
        for (column, name) in columns.iter().enumerate() {
            let Some(key) = name.strip_prefix(METADATA_PREFIX) else { continue };
            let kind = if is_json(name) { Kind::Exported } else { Kind::Auto };
            metadata.push(MetadataColumn { column, key: member_of(key)?, kind });
        }
        Ok(Self {
            timestamp,
            name: Name::Column(name),
            customers,
            external_id: place("external_id"),
            texts: texts.into_iter().flatten().collect(),
            metadata,
            zone: arguments.zone()?,
            prefix: prefix.to_vec(),
            columns,
        })
    }

    /// Finds the columns.
    ///
    /// # Errors
    ///
    /// [`Usage`]: a column is not there, or nothing says which one holds what every event needs.
    pub(super) fn new(
        arguments: &MappingArguments,
        columns: Vec<String>,
        prefix: &[u8],
        missing: Missing,
    ) -> anyhow::Result<Self> {
        let finder = Finder { columns: &columns, missing };
        let (Some(timestamp), Some(customer), true) = (
            &arguments.timestamp,
            arguments.customer.as_ref().or(arguments.customer_id.as_ref()),
            arguments.name.is_some() || arguments.event_name.is_some(),
        ) else {
            return Err(finder.suggest(arguments).into());
        };
        let by_id = arguments.customer.is_none();
        let customer_flag = if by_id { "--customer-id" } else { "--customer" };
        let member = if by_id { CUSTOMER_ID } else { EXTERNAL_CUSTOMER_ID };
        let timestamp = finder.needed(timestamp, "--timestamp")?;
        let customer = (member, finder.needed(customer, customer_flag)?);
        let name = match (&arguments.name, &arguments.event_name) {
            (Some(column), _) => Name::Column(finder.needed(column, "--name")?),
            (None, text) => Name::Fixed(serde_json::to_vec(text.as_deref().unwrap_or_default())?),
        };
        let find = |column: &Option<String>, flag: &str| {
            column.as_ref().map(|column| finder.find(column, flag)).transpose()
        };
        let external_id = find(&arguments.external_id, "--external-id")?;
        let parent = find(&arguments.parent, "--parent")?;
        let texts = arguments.text.iter().map(|column| finder.find(column, "--text"));
        let texts = texts.collect::<anyhow::Result<Vec<_>>>()?;
        let mut found: Vec<(usize, String, Kind)> = Vec::new();
        if arguments.metadata.is_empty() {
            let name_column = if let Name::Column(column) = name { Some(column) } else { None };
            let used = [Some(timestamp), Some(customer.1), name_column, external_id, parent];
            let rest = (0..).zip(&columns).filter(|(column, _)| !used.contains(&Some(*column)));
            found.extend(rest.map(|(column, name)| (column, name.clone(), Kind::Auto)));
        } else {
            for argument in &arguments.metadata {
                found.push(finder.metadata(argument)?);
            }
        }
        let mut metadata: Vec<MetadataColumn> = Vec::new();
        for (column, key, kind) in found {
            let key = member_of(&key)?;
            if metadata.iter().any(|other| other.key == key) {
                let key = String::from_utf8_lossy(&key);
                let text = format!("two columns would be metadata {}", key.trim_end_matches(':'));
                return Err(Usage(text).into());
            }
            let kind =
                if kind == Kind::Auto && texts.contains(&column) { Kind::Text } else { kind };
            metadata.push(MetadataColumn { column, key, kind });
        }
        Ok(Self {
            timestamp,
            name,
            customers: vec![customer],
            external_id,
            texts: parent.map(|column| (PARENT_ID, column)).into_iter().collect(),
            metadata,
            zone: arguments.zone()?,
            prefix: prefix.to_vec(),
            columns,
        })
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The columns that events are made of.
    pub(super) fn used_columns(&self) -> impl Iterator<Item = usize> {
        let name = if let Name::Column(column) = self.name { Some(column) } else { None };
        let members = self.customers.iter().chain(&self.texts).map(|(_, column)| *column);
        let metadata = self.metadata.iter().map(|column| column.column);
        [self.timestamp]
            .into_iter()
            .chain(name)
            .chain(self.external_id)
            .chain(members)
            .chain(metadata)
    }

    /// The columns whose values become metadata, and what they are to be.
    pub(super) fn metadata_columns(&self) -> impl Iterator<Item = (usize, Kind)> {
        self.metadata.iter().map(|column| (column.column, column.kind))
    }

    /// Writes a row as an event. The inner error is the reason why the row is refused; what was
    /// written of it is to be cut off.
    ///
    /// # Errors
    ///
    /// The row needs an external id that cannot be made.
    pub(super) fn write(
        &self,
        row: &impl Row,
        number: u64,
        ids: &mut Ids,
        out: &mut Vec<u8>,
    ) -> anyhow::Result<Result<(), String>> {
        out.push(b'{');
        out.extend_from_slice(&self.prefix);
        if let Err(refused) = self.write_fields(row, out) {
            return Ok(Err(refused));
        }
        let mut has_id = false;
        if let Some(column) = self.external_id {
            let start = out.len();
            out.extend_from_slice(b",\"external_id\":");
            match row.text(column, out) {
                Ok(true) => has_id = true,
                Ok(false) => out.truncate(start),
                Err(refused) => return Ok(Err(self.at(column, &refused))),
            }
        }
        if !has_id {
            out.push(b',');
            ids.write(number, out)?;
        }
        let written = self.write_metadata(row, out);
        out.push(b'}');
        Ok(written)
    }

    fn write_fields(&self, row: &impl Row, out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(b"\"name\":");
        match &self.name {
            Name::Fixed(name) => out.extend_from_slice(name),
            Name::Column(column) => self.needed(*column, row.text(*column, out))?,
        }
        out.extend_from_slice(b",\"timestamp\":");
        let timestamp = row.timestamp(self.timestamp, &self.zone, out);
        self.needed(self.timestamp, timestamp)?;
        out.push(b',');
        self.write_customer(row, out)?;
        for &(member, column) in &self.texts {
            let start = out.len();
            out.extend_from_slice(member);
            if !row.text(column, out).map_err(|refused| self.at(column, &refused))? {
                out.truncate(start);
            }
        }
        Ok(())
    }

    fn write_customer(&self, row: &impl Row, out: &mut Vec<u8>) -> Result<(), String> {
        let mut written = Ok(());
        for &(member, column) in &self.customers {
            let start = out.len();
            out.extend_from_slice(member);
            match self.needed(column, row.text(column, out)) {
                Ok(()) => return Ok(()),
                refused => written = written.and(refused),
            }
            out.truncate(start);
        }
        written
    }

    fn write_metadata(&self, row: &impl Row, out: &mut Vec<u8>) -> Result<(), String> {
        if self.metadata.is_empty() {
            return Ok(());
        }
        out.extend_from_slice(b",\"metadata\":{");
        let start = out.len();
        for MetadataColumn { column, key, kind } in &self.metadata {
            let before = out.len();
            if before > start {
                out.push(b',');
            }
            out.extend_from_slice(key);
            if !row.value(*column, *kind, out).map_err(|refused| self.at(*column, &refused))? {
                out.truncate(before);
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn needed(&self, column: usize, written: Result<bool, String>) -> Result<(), String> {
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.at(column, "it is empty")),
            Err(refused) => Err(self.at(column, &refused)),
        }
    }

    /// A reason with its column.
    fn at(&self, column: usize, reason: &str) -> String {
        match self.columns.get(column) {
            Some(name) => format!("column `{name}`: {reason}"),
            None => "a column that every event needs is missing".to_owned(),
        }
    }
}

/// JSON text of a key, and a colon.
fn member_of(key: &str) -> anyhow::Result<Vec<u8>> {
    let mut member = serde_json::to_vec(key)?;
    member.push(b':');
    Ok(member)
}

/// Finds columns by their names.
struct Finder<'a> {
    columns: &'a [String],
    missing: Missing,
}

impl Finder<'_> {
    fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// A column that every event needs.
    fn needed(&self, name: &str, flag: &str) -> anyhow::Result<usize> {
        match (self.place(name), self.missing) {
            (Some(place), _) => Ok(place),
            (None, Missing::Accept) => Ok(NOWHERE),
            (None, Missing::Refuse | Missing::RefuseNeeded) => Err(self.unknown(name, flag).into()),
        }
    }

    fn find(&self, name: &str, flag: &str) -> anyhow::Result<usize> {
        match (self.place(name), self.missing) {
            (Some(place), _) => Ok(place),
            (None, Missing::Accept | Missing::RefuseNeeded) => Ok(NOWHERE),
            (None, Missing::Refuse) => Err(self.unknown(name, flag).into()),
        }
    }

    /// `COL[=KEY][:TYPE]`, where the name of a column may have `=` and `:` in it.
    fn metadata(&self, argument: &str) -> anyhow::Result<(usize, String, Kind)> {
        if let Some(place) = self.place(argument) {
            return Ok((place, argument.to_owned(), Kind::Auto));
        }
        let typed = argument.rsplit_once(':');
        let (rest, kind) = match typed.and_then(|(rest, kind)| Some((rest, Kind::named(kind)?))) {
            Some((rest, kind)) => (rest, kind),
            None => (argument, Kind::Auto),
        };
        if let Some(place) = self.place(rest) {
            return Ok((place, rest.to_owned(), kind));
        }
        for (at, _) in rest.match_indices('=') {
            let (name, key) = rest.split_at(at);
            if let Some(place) = self.place(name) {
                return Ok((place, key.get(1..).unwrap_or_default().to_owned(), kind));
            }
        }
        let (name, key) = rest.split_once('=').unwrap_or((rest, rest));
        Ok((self.find(name, "--metadata")?, key.to_owned(), kind))
    }

    fn list(&self) -> String {
        self.columns.join(", ")
    }

    fn unknown(&self, name: &str, flag: &str) -> Usage {
        Usage(format!("there is no column `{name}` ({flag}); there are: {}", self.list()))
    }

    /// What to add to the command line, with guesses by the names of the columns.
    fn suggest(&self, arguments: &MappingArguments) -> Usage {
        let guess = |words: &[&str]| {
            let has = |column: &&String| {
                let column = column.to_lowercase();
                words.iter().any(|word| column.contains(word))
            };
            self.columns.iter().find(has).map(|column| shell_word(column))
        };
        let mut needs = Vec::new();
        let mut line = Vec::new();
        if arguments.timestamp.is_none() {
            needs.push("the time of each event (--timestamp COL)");
            let column = guess(&["timestamp", "time", "date", "created", "_at", "when"]);
            line.push(format!("--timestamp {}", column.as_deref().unwrap_or("COL")));
        }
        if arguments.customer.is_none() && arguments.customer_id.is_none() {
            needs.push("its customer (--customer COL)");
            let words = ["customer", "user", "account", "client", "tenant", "org", "company"];
            let column = guess(&words);
            line.push(format!("--customer {}", column.as_deref().unwrap_or("COL")));
        }
        if arguments.name.is_none() && arguments.event_name.is_none() {
            needs.push("its name (--name COL, or --event-name TEXT for all)");
            line.push(match guess(&["event", "name", "type", "action", "kind"]) {
                Some(column) => format!("--name {column}"),
                None => "--event-name TEXT".to_owned(),
            });
        }
        Usage(format!(
            "say which column holds {}; the columns are: {}; perhaps: {}",
            needs.join(", "),
            self.list(),
            line.join(" ")
        ))
    }
}

/// A name as it is typed in a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Writes text as JSON.
pub(super) fn write_json_text(text: &str, out: &mut Vec<u8>) {
    let is_plain = |byte: &u8| !matches!(byte, 0..0x20 | b'"' | b'\\');
    if text.as_bytes().iter().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // A vector takes what is written.
        let _ = serde_json::to_writer(out, text);
    }
}

/// Whether a text would be taken for something else, were it written as it is for
/// [`Kind::Exported`] to be read.
pub(crate) fn looks_like_json(text: &str) -> bool {
    let mut out = Vec::new();
    let written = write_typed_text(text, Kind::Exported, &mut out);
    let is_text = text.starts_with('"') || out.first() != Some(&b'"');
    text.is_empty() || written.is_err() || is_text
}

/// Writes text as a value of metadata of a kind.
pub(super) fn write_typed_text(text: &str, kind: Kind, out: &mut Vec<u8>) -> Result<(), String> {
    if kind == Kind::Exported && text.starts_with(['"', '{']) {
        let json = serde_json::from_str::<serde::de::IgnoredAny>(text);
        json.map_err(|error| format!("{} is no JSON: {error}", shown(text)))?;
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    let number = number_kind(text.as_bytes());
    let boolean = if text.eq_ignore_ascii_case("true") {
        Some("true")
    } else if text.eq_ignore_ascii_case("false") {
        Some("false")
    } else {
        None
    };
    match (kind, number, boolean) {
        (Kind::Auto | Kind::Exported | Kind::Number, Some(_), _)
        | (Kind::Integer, Some(NumberKind::Integer), _) => {
            out.extend_from_slice(text.as_bytes());
        }
        (Kind::Auto | Kind::Exported | Kind::Boolean, _, Some(word)) => {
            out.extend_from_slice(word.as_bytes())
        }
        (Kind::Auto | Kind::Exported | Kind::Text, _, _) => write_json_text(text, out),
        (Kind::Integer, _, _) => return Err(format!("{} is no integer", shown(text))),
        (Kind::Number, _, _) => return Err(format!("{} is no number", shown(text))),
        (Kind::Boolean, _, _) => {
            return Err(format!("{} is neither true nor false", shown(text)));
        }
    }
    Ok(())
}

/// A value in a message, not too long.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NumberKind {
    Integer,
    Float,
}

/// Whether text is a number as JSON spells it; so `007`, `+1` and `1,000` are none.
fn number_kind(text: &[u8]) -> Option<NumberKind> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.first() == Some(&b'0')) {
        return None;
    }
    rest = rest.get(whole..)?;
    if rest.is_empty() {
        return Some(NumberKind::Integer);
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        rest = fraction.get(count..).filter(|_| count > 0)?;
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let exponent =
            exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let count = digits(exponent);
        rest = exponent.get(count..).filter(|_| count > 0)?;
    }
    rest.is_empty().then_some(NumberKind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str, kind: Kind) -> Result<String, String> {
        let mut out = Vec::new();
        write_typed_text(text, kind, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_are_what_they_look_like() {
        for text in ["0", "-1", "12345678901234567890", "1.50", "-0.5e-3", "1E9"] {
            assert_eq!(typed(text, Kind::Auto).unwrap(), text);
        }
        assert_eq!(typed("True", Kind::Auto).unwrap(), "true");
        assert_eq!(typed("FALSE", Kind::Auto).unwrap(), "false");
        for text in ["007", "+1", "1,000", ".5", "1.", "1e", "NaN", "-", "0x1", "yes", " 1"] {
            assert_eq!(typed(text, Kind::Auto).unwrap(), format!("\"{text}\""));
        }
        assert_eq!(typed("a\"\n", Kind::Auto).unwrap(), r#""a\"\n""#);
        assert_eq!(typed("12", Kind::Text).unwrap(), r#""12""#);
        assert_eq!(typed("1.5", Kind::Integer).unwrap_err(), "`1.5` is no integer");
        assert_eq!(typed("x", Kind::Number).unwrap_err(), "`x` is no number");
        assert_eq!(typed("1", Kind::Boolean).unwrap_err(), "`1` is neither true nor false");
    }

    #[test]
    fn a_column_of_metadata_may_have_any_name() {
        let columns: Vec<String> =
            ["a", "a=b", "c:text", "d=e:f"].into_iter().map(str::to_owned).collect();
        let finder = Finder { columns: &columns, missing: Missing::Refuse };
        let check = |argument: &str, column: usize, key: &str, kind: Kind| {
            let found = finder.metadata(argument).unwrap();
            assert_eq!(found, (column, key.to_owned(), kind), "{argument}");
        };
        check("a", 0, "a", Kind::Auto);
        check("a=k", 0, "k", Kind::Auto);
        check("a=k:integer", 0, "k", Kind::Integer);
        check("a:number", 0, "a", Kind::Number);
        check("a=b", 1, "a=b", Kind::Auto);
        check("a=b=k", 0, "b=k", Kind::Auto);
        check("c:text", 2, "c:text", Kind::Auto);
        check("c:text:text", 2, "c:text", Kind::Text);
        check("d=e:f=x:boolean", 3, "x", Kind::Boolean);
        let error = finder.metadata("z=k").unwrap_err().to_string();
        assert_eq!(error, "there is no column `z` (--metadata); there are: a, a=b, c:text, d=e:f");
    }

    #[test]
    fn a_word_is_quoted_for_a_shell() {
        let words = ["user_id", "it's", ""].map(shell_word);
        assert_eq!(words, ["user_id", r"'it'\''s'", "''"]);
    }
}
