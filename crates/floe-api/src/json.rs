//! A body as a tree of JSON that borrows from it.
//!
//! `serde_json` cannot be used here: Python's parser, whose clients these are, takes `NaN`,
//! integers of any length and lone surrogates, and every error must be collected with its input
//! (contract sections 1.4 and 1.7). The tokens are read by `jiter`, the tree is ours: strings and
//! keys without escapes are slices of the body, an object never holds a key twice (the last value
//! wins), and nesting is bounded.

use std::borrow::Cow;
use std::collections::HashMap;

use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, NumberAny, NumberInt, Peek};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::value::RawValue;

/// Levels of lists and objects that are kept; what lies deeper becomes [`Json::TooDeep`].
pub const DEPTH_MAX: usize = 512;
/// Objects with more members than this look for duplicate keys in a hash table.
const MEMBERS_SCANNED_MAX: usize = 16;

/// A JSON value. Members of objects have distinct keys, in the order of first appearance.
#[derive(Debug, Clone, PartialEq)]
// A tag as wide as the words beside it: with one byte, copies of a value straddle its words, which
// costs a tenth of the time to parse.
#[repr(u64)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of 64 bits; `-0` is 0.
    Int(i64),
    /// An integer beyond 64 bits and of at most 4300 digits, as it is written: digits without
    /// leading zeros, `-` in front if negative.
    BigInt(&'a str),
    /// An integer of more digits than that.
    IntTooLong,
    /// A number with a fraction or an exponent, or `NaN`, `Infinity`, `-Infinity`. Numbers beyond
    /// the range of floats are infinite.
    Float(f64),
    /// A string; borrowed from the body unless it has escapes.
    Str(Cow<'a, str>),
    /// A string with lone surrogates (`"\ud800"`): JSON, but no Unicode text.
    LoneSurrogate,
    /// A list.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
    /// A list or object below [`DEPTH_MAX`] levels; its syntax is right.
    TooDeep,
}

impl<'a> Json<'a> {
    /// The member `key`, if this is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        self.as_object()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The members, if this is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&[(Cow<'a, str>, Json<'a>)]> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The elements, if this is a list.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Json<'a>]> {
        if let Self::Array(elements) = self { Some(elements) } else { None }
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(text) = self { Some(text) } else { None }
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether a string or key in here holds U+0000 (contract section 1.4).
    #[must_use]
    pub fn has_nul(&self) -> bool {
        match self {
            Self::Str(text) => has_nul(text),
            Self::Array(elements) => elements.iter().any(Json::has_nul),
            Self::Object(members) => {
                members.iter().any(|(key, value)| has_nul(key) || value.has_nul())
            }
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::BigInt(_)
            | Self::IntTooLong
            | Self::Float(_)
            | Self::LoneSurrogate
            | Self::TooDeep => false,
        }
    }
}

/// Whether `text` holds U+0000.
#[must_use]
pub fn has_nul(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

/// Echoes a value, for the `input` of errors. What standard JSON cannot hold or a reader might
/// choke on becomes `null`: NaN, infinities, lone surrogates, endless integers, endless nesting.
impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null | Self::IntTooLong | Self::LoneSurrogate | Self::TooDeep => {
                serializer.serialize_unit()
            }
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::BigInt(digits) => match RawValue::from_string((*digits).to_owned()) {
                Ok(raw) => raw.serialize(serializer),
                Err(_) => serializer.serialize_unit(),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Str(text) => serializer.serialize_str(text),
            Self::Array(elements) => {
                let mut list = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements {
                    list.serialize_element(element)?;
                }
                list.end()
            }
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// Why a body is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// There is nothing at all.
    Empty,
    /// The text breaks the syntax.
    Syntax {
        /// Where, in characters (code points) from the start.
        offset: usize,
        /// The line, from 1.
        line: usize,
        /// The byte in the line, from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the text is not UTF-8"),
            Self::Empty => f.write_str("the text is empty"),
            Self::Syntax { line, column, message, .. } => {
                write!(f, "{message} at line {line} column {column}")
            }
        }
    }
}

impl std::error::Error for ParseError {}

/// Parses one JSON text.
///
/// Accepted beyond the standard are `NaN`, `Infinity`, `-Infinity` and lone surrogates in values;
/// a byte order mark is not.
///
/// # Errors
///
/// [`ParseError`]; never a panic, whatever the bytes.
///
/// ```
/// use floe_api::json::{Json, parse};
/// let body = parse(br#"{"name": "a", "name": "b"}"#).unwrap();
/// assert_eq!(body.get("name"), Some(&Json::Str("b".into())));
/// ```
pub fn parse(bytes: &[u8]) -> Result<Json<'_>, ParseError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ParseError::NotUtf8)?;
    if bytes.is_empty() {
        return Err(ParseError::Empty);
    }
    let mut parser = Parser {
        text,
        jiter: Jiter::new(bytes).with_allow_inf_nan(),
        base: 0,
        elements: Vec::new(),
        members: Vec::new(),
    };
    parser.document().map_err(|error| parser.explain(&error))
}

/// A syntax error, at a byte of the text. Boxed, to keep results small where all goes well.
#[derive(Debug)]
struct SyntaxError(Box<(usize, JsonErrorType)>);

impl SyntaxError {
    #[cold]
    fn new(at: usize, kind: JsonErrorType) -> Self {
        Self(Box::new((at, kind)))
    }
}

struct Parser<'a> {
    text: &'a str,
    jiter: Jiter<'a>,
    /// Where in the text the bytes of `jiter` begin.
    base: usize,
    /// Elements of the lists that are open, so that each list is allocated once, in its size.
    elements: Vec<Json<'a>>,
    /// Members of the objects that are open, likewise.
    members: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'a> Parser<'a> {
    fn document(&mut self) -> Result<Json<'a>, SyntaxError> {
        let peek = self.peek()?;
        let root = self.value(peek, 1)?;
        match self.jiter.finish() {
            Ok(()) => Ok(root),
            Err(error) => Err(self.error(error)),
        }
    }

    /// The value that starts with `peek`; `depth` is its level if it is a list or object.
    fn value(&mut self, peek: Peek, depth: usize) -> Result<Json<'a>, SyntaxError> {
        match peek {
            Peek::Array | Peek::Object if depth > DEPTH_MAX => self.skip(peek),
            Peek::Array => self.array(depth),
            Peek::Object => self.object(depth),
            _ => self.scalar(peek),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, SyntaxError> {
        let start = self.elements.len();
        let mut next = self.array_first()?;
        while let Some(peek) = next {
            let element = self.value(peek, depth + 1)?;
            self.elements.push(element);
            next = self.array_step()?;
        }
        Ok(Json::Array(self.elements.drain(start..).collect()))
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, SyntaxError> {
        let start = self.members.len();
        // One bit for each kind of key met so far: an unset bit says that a key is new.
        let mut seen = 0_u64;
        let mut index = None;
        let mut next = self.object_first()?;
        while let Some(key) = next {
            let peek = self.peek()?;
            let value = self.value(peek, depth + 1)?;
            self.insert(start, &mut seen, &mut index, key, value);
            next = self.object_step()?;
        }
        Ok(Json::Object(self.members.drain(start..).collect()))
    }

    /// Adds a member to the object whose members start at `start`, or replaces its value.
    fn insert(
        &mut self,
        start: usize,
        seen: &mut u64,
        index: &mut Option<HashMap<Cow<'a, str>, usize>>,
        key: Cow<'a, str>,
        value: Json<'a>,
    ) {
        let position = self.members.len();
        let earlier = if position - start <= MEMBERS_SCANNED_MAX {
            let bit = 1_u64 << key_kind(key.as_bytes());
            if *seen & bit == 0 {
                *seen |= bit;
                None
            } else {
                self.members.iter_mut().skip(start).find(|(name, _)| *name == key)
            }
        } else {
            let index = index.get_or_insert_with(|| {
                let names = self.members.iter().enumerate().skip(start);
                names.map(|(position, (name, _))| (name.clone(), position)).collect()
            });
            let at = *index.entry(key.clone()).or_insert(position);
            self.members.get_mut(at)
        };
        match earlier {
            Some((_, earlier)) => *earlier = value,
            None => self.members.push((key, value)),
        }
    }

    fn scalar(&mut self, peek: Peek) -> Result<Json<'a>, SyntaxError> {
        match peek {
            Peek::String => self.string(),
            Peek::Null => match self.jiter.known_null() {
                Ok(()) => Ok(Json::Null),
                Err(error) => Err(self.error(error)),
            },
            Peek::True | Peek::False => match self.jiter.known_bool(peek) {
                Ok(value) => Ok(Json::Bool(value)),
                Err(error) => Err(self.error(error)),
            },
            peek if peek.is_num() => self.number(peek),
            _ => Err(SyntaxError::new(self.position(), JsonErrorType::ExpectedSomeValue)),
        }
    }

    fn number(&mut self, peek: Peek) -> Result<Json<'a>, SyntaxError> {
        let start = self.position();
        match self.jiter.known_number(peek) {
            Ok(NumberAny::Int(NumberInt::Int(value))) => Ok(Json::Int(value)),
            Ok(NumberAny::Int(NumberInt::BigInt(_))) => {
                Ok(Json::BigInt(self.text.get(start..self.position()).unwrap_or_default()))
            }
            Ok(NumberAny::Float(value)) => Ok(Json::Float(value)),
            Err(error) => match self.error(error) {
                error if error.0.1 == JsonErrorType::NumberOutOfRange => self.long_number(start),
                error => Err(error),
            },
        }
    }

    /// A number that starts with more digits than jiter reads.
    fn long_number(&mut self, start: usize) -> Result<Json<'a>, SyntaxError> {
        let rest = self.text.get(start..).unwrap_or_default();
        let digits = |from: usize| {
            let tail = rest.as_bytes().get(from..).unwrap_or_default();
            tail.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let missing = |at| SyntaxError::new(start + at, JsonErrorType::InvalidNumber);
        let mut end = usize::from(rest.starts_with('-'));
        end += digits(end);
        let whole = end;
        if rest.as_bytes().get(end) == Some(&b'.') {
            end += 1;
            let count = digits(end);
            if count == 0 {
                return Err(missing(end));
            }
            end += count;
        }
        if matches!(rest.as_bytes().get(end), Some(b'e' | b'E')) {
            end += 1;
            end += usize::from(matches!(rest.as_bytes().get(end), Some(b'+' | b'-')));
            let count = digits(end);
            if count == 0 {
                return Err(missing(end));
            }
            end += count;
        }
        self.resume(start + end);
        if end == whole {
            return Ok(Json::IntTooLong);
        }
        let float = rest.get(..end).and_then(|number| number.parse().ok());
        float.map(Json::Float).ok_or_else(|| missing(0))
    }

    fn string(&mut self) -> Result<Json<'a>, SyntaxError> {
        let start = self.position();
        match self.jiter.known_str() {
            Ok(text) => Ok(Json::Str(borrow(self.text, text))),
            Err(error) => match self.error(error) {
                error if is_surrogate(&error.0.1) => self.surrogates(start),
                error => Err(error),
            },
        }
    }

    /// The string at `start`, in which some surrogate is alone.
    fn surrogates(&mut self, start: usize) -> Result<Json<'a>, SyntaxError> {
        let rest = self.text.as_bytes().get(start + 1..).unwrap_or_default();
        let mut bytes = rest.iter().copied().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.resume(start + 1 + at + 1);
                    return Ok(Json::LoneSurrogate);
                }
                b'\\' => match bytes.next() {
                    Some((at, b'u')) => {
                        let hex = rest.get(at + 1..at + 5).unwrap_or_default();
                        if hex.len() < 4 || !hex.iter().all(u8::is_ascii_hexdigit) {
                            let kind = JsonErrorType::InvalidEscape;
                            return Err(SyntaxError::new(start + 1 + at, kind));
                        }
                    }
                    Some((_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => {}
                    Some((at, _)) => {
                        let kind = JsonErrorType::InvalidEscape;
                        return Err(SyntaxError::new(start + 1 + at, kind));
                    }
                    None => break,
                },
                0..0x20 => {
                    let kind = JsonErrorType::ControlCharacterWhileParsingString;
                    return Err(SyntaxError::new(start + 1 + at, kind));
                }
                _ => {}
            }
        }
        Err(SyntaxError::new(self.text.len(), JsonErrorType::EofWhileParsingString))
    }

    /// Checks the list or object that starts with `first`, and keeps nothing. Uses no stack.
    fn skip(&mut self, first: Peek) -> Result<Json<'a>, SyntaxError> {
        let mut open_objects = Vec::new();
        let mut peek = first;
        'value: loop {
            let inner = match peek {
                Peek::Array => self.array_first()?.map(|next| (false, next)),
                Peek::Object => match self.object_first()? {
                    Some(_) => Some((true, self.peek()?)),
                    None => None,
                },
                _ => {
                    self.scalar(peek)?;
                    None
                }
            };
            if let Some((is_object, next)) = inner {
                open_objects.push(is_object);
                peek = next;
                continue;
            }
            while let Some(is_object) = open_objects.last() {
                let next = if !is_object {
                    self.array_step()?
                } else if self.object_step()?.is_some() {
                    Some(self.peek()?)
                } else {
                    None
                };
                if let Some(next) = next {
                    peek = next;
                    continue 'value;
                }
                open_objects.pop();
            }
            return Ok(Json::TooDeep);
        }
    }

    fn peek(&mut self) -> Result<Peek, SyntaxError> {
        self.jiter.peek().map_err(|error| self.error(error))
    }

    fn array_first(&mut self) -> Result<Option<Peek>, SyntaxError> {
        self.jiter.known_array().map_err(|error| self.error(error))
    }

    fn array_step(&mut self) -> Result<Option<Peek>, SyntaxError> {
        self.jiter.array_step().map_err(|error| self.error(error))
    }

    fn object_first(&mut self) -> Result<Option<Cow<'a, str>>, SyntaxError> {
        match self.jiter.known_object() {
            Ok(key) => Ok(key.map(|key| borrow(self.text, key))),
            Err(error) => Err(self.error(error)),
        }
    }

    fn object_step(&mut self) -> Result<Option<Cow<'a, str>>, SyntaxError> {
        match self.jiter.next_key() {
            Ok(key) => Ok(key.map(|key| borrow(self.text, key))),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Where the next token is, in bytes of the text.
    fn position(&self) -> usize {
        self.base + self.jiter.current_index()
    }

    /// Goes on at byte `position`. jiter holds nothing but its position, so a new one will do.
    fn resume(&mut self, position: usize) {
        let rest = self.text.as_bytes().get(position..).unwrap_or_default();
        self.jiter = Jiter::new(rest).with_allow_inf_nan();
        self.base = position;
    }

    #[cold]
    fn error(&self, error: JiterError) -> SyntaxError {
        let kind = match error.error_type {
            JiterErrorType::JsonError(kind) => kind,
            JiterErrorType::WrongType { .. } => JsonErrorType::ExpectedSomeValue,
        };
        SyntaxError::new(self.base + error.index, kind)
    }

    #[cold]
    fn explain(&self, SyntaxError(error): &SyntaxError) -> ParseError {
        let (at, kind) = error.as_ref();
        let bytes = self.text.as_bytes();
        let before = bytes.get(..*at).unwrap_or(bytes);
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        ParseError::Syntax {
            // Characters are counted by their first bytes.
            offset: before.iter().filter(|byte| **byte & 0xC0 != 0x80).count(),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            column: 1 + before.len() - line_start,
            message: kind.to_string(),
        }
    }
}

/// A string that jiter gave out: a slice of `text` unless escapes made a copy necessary.
#[inline]
pub(crate) fn borrow<'a>(text: &'a str, string: &str) -> Cow<'a, str> {
    let start = string.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    match text.get(start..start.wrapping_add(string.len())) {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(string.to_owned()),
    }
}

/// A number below 64, equal for equal keys and mostly different for different ones.
pub(crate) fn key_kind(key: &[u8]) -> u32 {
    let byte = |byte: Option<&u8>| byte.copied().map_or(0, usize::from);
    let mixed = key.len() * 29 + byte(key.first()) * 7 + byte(key.last()) * 3;
    let mixed = mixed + byte(key.get(key.len() / 2)) * 13;
    u32::try_from(mixed % 64).unwrap_or(0)
}

fn is_surrogate(kind: &JsonErrorType) -> bool {
    matches!(
        kind,
        JsonErrorType::LoneLeadingSurrogateInHexEscape | JsonErrorType::UnexpectedEndOfHexEscape
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Json<'_>) {
        assert_eq!(parse(text.as_bytes()), Ok(expected), "{text}");
    }

    #[track_caller]
    fn check_syntax(text: &str, expected_offset: usize, expected_message: &str) {
        match parse(text.as_bytes()) {
            Err(ParseError::Syntax { offset, message, .. }) => {
                assert_eq!((offset, message.as_str()), (expected_offset, expected_message));
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[track_caller]
    fn check_echo(text: &str, expected: &str) {
        let json = parse(text.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&json).unwrap(), expected, "{text}");
    }

    fn str(text: &str) -> Json<'_> {
        Json::Str(Cow::Borrowed(text))
    }

    #[test]
    fn numbers_keep_their_kind() {
        check("-0", Json::Int(0));
        check("9223372036854775807", Json::Int(i64::MAX));
        check("-9223372036854775808", Json::Int(i64::MIN));
        check("9223372036854775808", Json::BigInt("9223372036854775808"));
        check(" -9223372036854775809 ", Json::BigInt("-9223372036854775809"));
        check("1.0", Json::Float(1.0));
        check("1e2", Json::Float(100.0));
        check("1e400", Json::Float(f64::INFINITY));
        check("-1E400", Json::Float(f64::NEG_INFINITY));
        check("Infinity", Json::Float(f64::INFINITY));
        check("-Infinity", Json::Float(f64::NEG_INFINITY));
        assert!(matches!(parse(b"NaN"), Ok(Json::Float(value)) if value.is_nan()));
        assert!(matches!(parse(b"-0.0"), Ok(Json::Float(value)) if value.is_sign_negative()));
    }

    #[test]
    fn numbers_of_more_than_4300_digits_are_read_or_named() {
        let digits = "1".repeat(4300);
        check(&digits, Json::BigInt(&digits));
        check(&format!("[-1{digits}, 2]"), Json::Array(vec![Json::IntTooLong, Json::Int(2)]));
        check(&format!("{digits}1.5"), Json::Float(f64::INFINITY));
        check(&format!("{digits}1.5e-4300"), Json::Float(1.111_111_111_111_111_1));
        check(&format!("{digits}1E-5000"), Json::Float(0.0));
        check_syntax(&format!("{digits}1."), 4302, "invalid number");
        check_syntax(&format!("{digits}1e+x"), 4303, "invalid number");
    }

    #[test]
    fn strings_borrow_unless_they_have_escapes() {
        assert!(matches!(parse("\"añ😀\"".as_bytes()), Ok(Json::Str(Cow::Borrowed("añ😀")))));
        check(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00x""#, str("\"\\/\u{8}\u{c}\n\r\té😀x"));
        check(r#""\u0000""#, str("\0"));
        assert!(parse(br#"{"a":["x\u0000"]}"#).unwrap().has_nul());
        assert!(parse(br#"{"a":{"\u0000":1}}"#).unwrap().has_nul());
        assert!(!parse(br#"{"a":["x",1,null]}"#).unwrap().has_nul());
    }

    #[test]
    fn lone_surrogates_are_named_and_the_rest_is_read() {
        for text in [r"\ud800", r"\udc00", r"a\ud800x", r"\ud800\n", r"\ud83d\ud83d\ude00"] {
            check(
                &format!("[\"{text}\", 1, \"b\", {{\"k\": \"{text}\"}}, 2.5]"),
                Json::Array(vec![
                    Json::LoneSurrogate,
                    Json::Int(1),
                    str("b"),
                    Json::Object(vec![("k".into(), Json::LoneSurrogate)]),
                    Json::Float(2.5),
                ]),
            );
        }
        check_syntax(r#""é\ud800\x""#, 9, "invalid escape");
        check_syntax(r#""\ud800\u12x""#, 11, "invalid escape");
        check_syntax(r#""\ud800"#, 7, "EOF while parsing a string");
        check_syntax(
            "\"\\ud800a\tb\"",
            8,
            "control character (\\u0000-\\u001F) found while parsing a string",
        );
        assert!(matches!(parse(br#"{"\ud800":1}"#), Err(ParseError::Syntax { .. })));
        check_syntax(r#"["\ud800", 1 2]"#, 13, "expected `,` or `]`");
    }

    #[test]
    fn of_duplicate_keys_the_last_wins() {
        check(
            r#"{"a":1,"b":2,"a":{"c":3},"\u0062":4}"#,
            Json::Object(vec![
                ("a".into(), Json::Object(vec![("c".into(), Json::Int(3))])),
                ("b".into(), Json::Int(4)),
            ]),
        );
        for count in [15, 16, 17, 18, 40] {
            let once = (0..count).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(",");
            let json = format!("{{{once},\"x\":{{{once}}},{}}}", once.replace(':', ":1"));
            let json = parse(json.as_bytes()).unwrap();
            assert_eq!(json.as_object().unwrap().len(), count + 1);
            assert_eq!(json.get("k7"), Some(&Json::Int(17)));
            assert_eq!(json.get("x").unwrap().as_object().unwrap().len(), count);
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!format!("{:?}", parse(nested(DEPTH_MAX).as_bytes())).contains("TooDeep"));
        assert!(format!("{:?}", parse(nested(DEPTH_MAX + 1).as_bytes())).contains("TooDeep"));
        let deep = "[{\"a\":[1,\"\\ud800\",{},[]],\"b\":".repeat(5000) + "2" + &"},3]".repeat(5000);
        assert!(format!("{:?}", parse(deep.as_bytes())).contains("TooDeep"));
        let broken = deep.replace("2}", "2]");
        assert!(matches!(parse(broken.as_bytes()), Err(ParseError::Syntax { .. })));
        for hostile in ["[", "{\"a\":", "[{\"a\":"] {
            let hostile = hostile.repeat(1024 * 1024 / hostile.len());
            assert!(matches!(parse(hostile.as_bytes()), Err(ParseError::Syntax { .. })));
        }
    }

    #[test]
    fn a_huge_object_takes_no_quadratic_time() {
        let members = (0..50_000).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>().join(",");
        let json = format!("{{{members},{members}}}");
        assert_eq!(parse(json.as_bytes()).unwrap().as_object().unwrap().len(), 50_000);
    }

    #[test]
    fn syntax_errors_tell_the_character_offset() {
        check_syntax(r#"{"a":1,}"#, 7, "trailing comma");
        check_syntax("[\"éé\",]", 6, "trailing comma");
        check_syntax("[1 2]", 3, "expected `,` or `]`");
        check_syntax("{1:2}", 1, "key must be a string");
        check_syntax("\u{feff}{}", 0, "expected value");
        check_syntax(
            "\"a\tb\"",
            2,
            "control character (\\u0000-\\u001F) found while parsing a string",
        );
        check_syntax("{} x", 3, "trailing characters");
        check_syntax("01", 1, "invalid number");
        check_syntax("nul", 3, "EOF while parsing a value");
        check_syntax("[", 1, "EOF while parsing a list");
        check_syntax("+1", 0, "expected value");
        check_syntax("-NaN", 1, "invalid number");
        assert_eq!(parse(b"\"\xff\""), Err(ParseError::NotUtf8));
        assert_eq!(parse(b""), Err(ParseError::Empty));
        check_syntax(" \r\n\t", 4, "EOF while parsing a value");
        check("null", Json::Null);
        let error = parse(b"[1,\n  x]").unwrap_err();
        assert_eq!(error.to_string(), "expected value at line 2 column 3");
        assert_eq!(parse(b"x").unwrap_err().to_string(), "expected value at line 1 column 1");
    }

    #[test]
    fn the_echo_is_json() {
        check_echo(
            r#"{"a": [1, 2.0, true, null], "é\n": "\u00e9\n"}"#,
            "{\"a\":[1,2.0,true,null],\"é\\n\":\"é\\n\"}",
        );
        check_echo("[NaN, Infinity, 1e400, \"\\ud800\"]", "[null,null,null,null]");
        check_echo("-123456789012345678901234567890", "-123456789012345678901234567890");
        check_echo(&"1".repeat(4301), "null");
        let deep = format!("{}{}", "[".repeat(600), "]".repeat(600));
        check_echo(&deep, &format!("{}null{}", "[".repeat(512), "]".repeat(512)));
    }

    fn documents() -> impl Strategy<Value = serde_json::Value> {
        let scalar = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
            "[a-z\\\\\"\n\u{0}é😀]{0,8}".prop_map(serde_json::Value::from),
        ];
        scalar.prop_recursive(4, 64, 24, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(serde_json::Value::from),
                prop::collection::vec(("[a-c]{0,3}", inner), 0..24).prop_map(|members| {
                    members.into_iter().collect::<serde_json::Map<_, _>>().into()
                }),
            ]
        })
    }

    fn value(json: &Json<'_>) -> serde_json::Value {
        serde_json::from_str(&serde_json::to_string(json).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_json_like_text_makes_it_panic(
            text in r#"([\[\]{}:,"\\ \n0-9eE.+-]|\\u[dD][89a-fA-F0-9]{3}|null|true|NaN|é|Infinity){0,24}"#,
        ) {
            let _ = parse(text.as_bytes());
            let _ = parse(format!("[\"{text}\"]").as_bytes());
        }

        #[test]
        fn it_agrees_with_serde_json(document in documents(), pretty: bool) {
            let text = if pretty {
                serde_json::to_string_pretty(&document).unwrap()
            } else {
                document.to_string()
            };
            let json = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(value(&json), document);
        }

        #[test]
        fn what_serde_json_accepts_it_accepts(
            text in r#"[\[\]{}:,"a1 .e-]{0,12}"#,
        ) {
            match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(document) => prop_assert_eq!(value(&parse(text.as_bytes()).unwrap()), document),
                Err(error) if error.to_string().starts_with("number out of range") => {}
                Err(_) => prop_assert!(parse(text.as_bytes()).is_err()),
            }
        }
    }
}
