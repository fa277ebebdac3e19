//! Refusals of a request, in the shape Polar gives them (contract section 1.7).
//!
//! A reader that meets a bad value pushes a [`Violation`] with the [`Loc`] where it stands, and
//! goes on, so that one answer lists everything that is wrong. Nothing is allocated until then.
//! This module owns the types and texts of all errors; it knows no status codes.

use std::borrow::Cow;
use std::fmt;
use std::io;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

use crate::json::{Json, ParseError};

/// Items in one answer; a hostile body could hold millions, and the first thousand say enough.
pub const ERROR_ITEMS_MAX: usize = 1000;
/// Bytes of all `input` members of one answer together. An error that does not fit any more shows
/// `null`: the value is echoed for people, and a nested one would be echoed once a level.
pub const ERROR_INPUT_BYTES_MAX: usize = 1024 * 1024;

/// Where a value stands, as a list on the stack that leads back to the root.
///
/// ```
/// use floe_api::errors::{Loc, LocPart};
/// let body = Loc::Root("body");
/// let events = body.key("events");
/// assert_eq!(events.index(3).to_parts(), ["body".into(), "events".into(), LocPart::Index(3)]);
/// ```
#[derive(Debug, Clone, Copy)]
pub enum Loc<'p> {
    /// `body`, `query`, `path` or `header`.
    Root(&'static str),
    /// A member of an object, or the name of a union's member.
    Key(&'p Loc<'p>, &'p str),
    /// An element of a list, counted from 0.
    Index(&'p Loc<'p>, usize),
}

impl<'p> Loc<'p> {
    /// The request body.
    pub const BODY: Loc<'static> = Loc::Root("body");
    /// The query string.
    pub const QUERY: Loc<'static> = Loc::Root("query");
    /// The path.
    pub const PATH: Loc<'static> = Loc::Root("path");
    /// The headers.
    pub const HEADER: Loc<'static> = Loc::Root("header");

    /// The member `key` of the value here.
    #[must_use]
    pub const fn key(&'p self, key: &'p str) -> Loc<'p> {
        Loc::Key(self, key)
    }

    /// The element `index` of the list here.
    #[must_use]
    pub const fn index(&'p self, index: usize) -> Loc<'p> {
        Loc::Index(self, index)
    }

    /// The parts from the root on.
    #[must_use]
    pub fn to_parts(&self) -> Vec<LocPart> {
        let mut parts = Vec::new();
        let mut at = self;
        loop {
            at = match at {
                Loc::Root(name) => {
                    parts.push(LocPart::Key(Cow::Borrowed(name)));
                    break;
                }
                Loc::Key(parent, key) => {
                    parts.push(LocPart::Key(Cow::Owned((*key).to_owned())));
                    parent
                }
                Loc::Index(parent, index) => {
                    parts.push(LocPart::Index(*index));
                    parent
                }
            };
        }
        parts.reverse();
        parts
    }
}

/// One part of an error's `loc`: a string or an integer on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocPart {
    /// A name.
    Key(Cow<'static, str>),
    /// A position in a list, or a character offset in a body that is not JSON.
    Index(usize),
}

impl From<&'static str> for LocPart {
    fn from(name: &'static str) -> Self {
        Self::Key(Cow::Borrowed(name))
    }
}

impl From<usize> for LocPart {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl Serialize for LocPart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Key(name) => serializer.serialize_str(name),
            Self::Index(index) => serializer.serialize_u64(*index as u64),
        }
    }
}

/// A value of an error's `ctx`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CtxValue {
    /// An integer.
    Int(i64),
    /// A string.
    Text(Cow<'static, str>),
    /// `{}`, which stands for the exception of a validator.
    Empty,
}

impl Serialize for CtxValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Empty => serializer.serialize_map(Some(0))?.end(),
        }
    }
}

/// The members of an error's `ctx`, in order.
type Ctx = Vec<(&'static str, CtxValue)>;

/// What is wrong with a value: `type`, `msg` and `ctx` of an error, without its place.
///
/// The constructors below are the table of contract section 1.7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    kind: Cow<'static, str>,
    msg: Cow<'static, str>,
    ctx: Option<Ctx>,
}

impl Violation {
    /// An error without `ctx`: the form of the business rules.
    #[must_use]
    pub fn plain(kind: &'static str, msg: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Cow::Borrowed(kind), msg: msg.into(), ctx: None }
    }

    fn with(kind: &'static str, msg: impl Into<Cow<'static, str>>, ctx: Ctx) -> Self {
        Self { kind: Cow::Borrowed(kind), msg: msg.into(), ctx: Some(ctx) }
    }

    /// `type` on the wire.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// `msg` on the wire.
    #[must_use]
    pub fn msg(&self) -> &str {
        &self.msg
    }
}

/// A required key or parameter is absent.
#[must_use]
pub fn missing() -> Violation {
    Violation::plain("missing", "Field required")
}

/// Not a string.
#[must_use]
pub fn string_type() -> Violation {
    Violation::plain("string_type", "Input should be a valid string")
}

/// A string with a lone surrogate, which no UTF-8 can hold.
#[must_use]
pub fn string_unicode() -> Violation {
    Violation::plain(
        "string_unicode",
        "Input should be a valid string, unable to parse raw data as a unicode string",
    )
}

fn characters(count: usize) -> &'static str {
    if count == 1 { "character" } else { "characters" }
}

fn int_ctx(name: &'static str, value: usize) -> Ctx {
    vec![(name, CtxValue::Int(i64::try_from(value).unwrap_or(i64::MAX)))]
}

/// Fewer than `min` characters (code points).
#[must_use]
pub fn string_too_short(min: usize) -> Violation {
    let msg = format!("String should have at least {min} {}", characters(min));
    Violation::with("string_too_short", msg, int_ctx("min_length", min))
}

/// More than `max` characters (code points).
#[must_use]
pub fn string_too_long(max: usize) -> Violation {
    let msg = format!("String should have at most {max} {}", characters(max));
    Violation::with("string_too_long", msg, int_ctx("max_length", max))
}

/// A string that does not match `pattern`.
#[must_use]
pub fn string_pattern_mismatch(pattern: &'static str) -> Violation {
    Violation::with(
        "string_pattern_mismatch",
        format!("String should match pattern '{pattern}'"),
        vec![("pattern", CtxValue::Text(Cow::Borrowed(pattern)))],
    )
}

/// Not an integer, nor text or a boolean that could be one.
#[must_use]
pub fn int_type() -> Violation {
    Violation::plain("int_type", "Input should be a valid integer")
}

/// Text that is not an integer.
#[must_use]
pub fn int_parsing() -> Violation {
    Violation::plain(
        "int_parsing",
        "Input should be a valid integer, unable to parse string as an integer",
    )
}

/// An integer of more than 4300 digits, or a float outside 64 bits.
#[must_use]
pub fn int_parsing_size() -> Violation {
    Violation::plain(
        "int_parsing_size",
        "Unable to parse input string as an integer, exceeded maximum size",
    )
}

/// A number with a fraction where an integer is due.
#[must_use]
pub fn int_from_float() -> Violation {
    Violation::plain(
        "int_from_float",
        "Input should be a valid integer, got a number with a fractional part",
    )
}

/// Not a number.
#[must_use]
pub fn float_type() -> Violation {
    Violation::plain("float_type", "Input should be a valid number")
}

/// Text that is not a number.
#[must_use]
pub fn float_parsing() -> Violation {
    Violation::plain(
        "float_parsing",
        "Input should be a valid number, unable to parse string as a number",
    )
}

/// NaN or an infinity.
#[must_use]
pub fn finite_number() -> Violation {
    Violation::plain("finite_number", "Input should be a finite number")
}

/// Not a boolean.
#[must_use]
pub fn bool_type() -> Violation {
    Violation::plain("bool_type", "Input should be a valid boolean")
}

/// Text or a number that is not a boolean.
#[must_use]
pub fn bool_parsing() -> Violation {
    Violation::plain("bool_parsing", "Input should be a valid boolean, unable to interpret input")
}

/// Not a list.
#[must_use]
pub fn list_type() -> Violation {
    Violation::plain("list_type", "Input should be a valid list")
}

/// Not an object, where free keys are due.
#[must_use]
pub fn dict_type() -> Violation {
    Violation::plain("dict_type", "Input should be a valid dictionary")
}

/// Not an object, where known fields are due.
#[must_use]
pub fn model_attributes_type() -> Violation {
    Violation::plain(
        "model_attributes_type",
        "Input should be a valid dictionary or object to extract fields from",
    )
}

/// Not above `bound`.
#[must_use]
pub fn greater_than(bound: i64) -> Violation {
    Violation::with(
        "greater_than",
        format!("Input should be greater than {bound}"),
        vec![("gt", CtxValue::Int(bound))],
    )
}

/// Below `bound`.
#[must_use]
pub fn greater_than_equal(bound: i64) -> Violation {
    Violation::with(
        "greater_than_equal",
        format!("Input should be greater than or equal to {bound}"),
        vec![("ge", CtxValue::Int(bound))],
    )
}

/// Before the instant `bound`, given as the wire writes it.
#[must_use]
pub fn greater_than_equal_instant(bound: floe_core::Timestamp) -> Violation {
    let bound = bound.to_string();
    Violation::with(
        "greater_than_equal",
        format!("Input should be greater than or equal to {bound}"),
        vec![("ge", CtxValue::Text(Cow::Owned(bound)))],
    )
}

/// Above `bound`.
#[must_use]
pub fn less_than_equal(bound: i64) -> Violation {
    Violation::with(
        "less_than_equal",
        format!("Input should be less than or equal to {bound}"),
        vec![("le", CtxValue::Int(bound))],
    )
}

/// `'a'`, `'a' or 'b'`, `'a', 'b' or 'c'`.
fn alternatives<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names = names.into_iter().peekable();
    let mut text = String::new();
    while let Some(name) = names.next() {
        if !text.is_empty() {
            text.push_str(if names.peek().is_some() { ", " } else { " or " });
        }
        text.push('\'');
        text.push_str(name);
        text.push('\'');
    }
    text
}

/// None of the values `names`, which are listed in this order.
#[must_use]
pub fn enumeration<'n>(names: impl IntoIterator<Item = &'n str>) -> Violation {
    let expected = alternatives(names);
    Violation::with(
        "enum",
        format!("Input should be {expected}"),
        vec![("expected", CtxValue::Text(Cow::Owned(expected)))],
    )
}

/// Text that is no UUID; `error` says why.
#[must_use]
pub fn uuid_parsing(error: String) -> Violation {
    Violation::with(
        "uuid_parsing",
        format!("Input should be a valid UUID, {error}"),
        vec![("error", CtxValue::Text(Cow::Owned(error)))],
    )
}

/// A UUID of another version than 4, or another variant than RFC 9562's.
#[must_use]
pub fn uuid_version() -> Violation {
    Violation::with(
        "uuid_version",
        "UUID version 4 expected",
        vec![("expected_version", CtxValue::Int(4))],
    )
}

/// Not a string, where a UUID is due.
#[must_use]
pub fn uuid_type() -> Violation {
    Violation::plain("uuid_type", "UUID input should be a string, bytes or UUID object")
}

/// Neither a string nor a number, where a datetime is due.
#[must_use]
pub fn datetime_type() -> Violation {
    Violation::plain("datetime_type", "Input should be a valid datetime")
}

/// A datetime without an offset.
#[must_use]
pub fn timezone_aware() -> Violation {
    Violation::plain("timezone_aware", "Input should have timezone info")
}

/// A number, or a well-formed datetime, outside the range of datetimes.
#[must_use]
pub fn datetime_parsing(error: &'static str) -> Violation {
    Violation::with(
        "datetime_parsing",
        format!("Input should be a valid datetime, {error}"),
        vec![("error", CtxValue::Text(Cow::Borrowed(error)))],
    )
}

/// Text that is neither a datetime nor a date.
#[must_use]
pub fn datetime_from_date_parsing(error: &'static str) -> Violation {
    Violation::with(
        "datetime_from_date_parsing",
        format!("Input should be a valid datetime or date, {error}"),
        vec![("error", CtxValue::Text(Cow::Borrowed(error)))],
    )
}

/// An object without the member that says which of a union's forms it has.
#[must_use]
pub fn union_tag_not_found(discriminator: &'static str) -> Violation {
    let quoted = format!("'{discriminator}'");
    Violation::with(
        "union_tag_not_found",
        format!("Unable to extract tag using discriminator {quoted}"),
        vec![("discriminator", CtxValue::Text(Cow::Owned(quoted)))],
    )
}

/// An object whose discriminator names none of `expected`.
#[must_use]
pub fn union_tag_invalid<'n>(
    discriminator: &'static str,
    tag: &str,
    expected: impl IntoIterator<Item = &'n str>,
) -> Violation {
    let quoted = format!("'{discriminator}'");
    let expected = expected.into_iter().map(|name| format!("'{name}'")).collect::<Vec<_>>();
    let expected = expected.join(", ");
    Violation::with(
        "union_tag_invalid",
        format!(
            "Input tag '{tag}' found using {quoted} does not match any of the expected tags: \
             {expected}"
        ),
        vec![
            ("discriminator", CtxValue::Text(Cow::Owned(quoted))),
            ("tag", CtxValue::Text(Cow::Owned(tag.to_owned()))),
            ("expected_tags", CtxValue::Text(Cow::Owned(expected))),
        ],
    )
}

/// An object of `actual` members where `max` are allowed.
#[must_use]
pub fn too_long(max: usize, actual: usize) -> Violation {
    let items = if max == 1 { "item" } else { "items" };
    let mut ctx = vec![("field_type", CtxValue::Text(Cow::Borrowed("Dictionary")))];
    ctx.extend(int_ctx("max_length", max));
    ctx.extend(int_ctx("actual_length", actual));
    Violation::with(
        "too_long",
        format!("Dictionary should have at most {max} {items} after validation, not {actual}"),
        ctx,
    )
}

/// Text that is not a decimal number.
#[must_use]
pub fn decimal_parsing() -> Violation {
    Violation::plain("decimal_parsing", "Input should be a valid decimal")
}

/// Neither a number nor a string, where a decimal is due.
#[must_use]
pub fn decimal_type() -> Violation {
    Violation::plain(
        "decimal_type",
        "Decimal input should be an integer, float, string or Decimal object",
    )
}

/// More than `max` digits.
#[must_use]
pub fn decimal_max_digits(max: u8) -> Violation {
    Violation::with(
        "decimal_max_digits",
        format!("Decimal input should have no more than {max} digits in total"),
        vec![("max_digits", CtxValue::Int(max.into()))],
    )
}

/// More than `max` digits behind the point.
#[must_use]
pub fn decimal_max_places(max: u8) -> Violation {
    Violation::with(
        "decimal_max_places",
        format!("Decimal input should have no more than {max} decimal places"),
        vec![("decimal_places", CtxValue::Int(max.into()))],
    )
}

/// More than `max` digits before the point.
#[must_use]
pub fn decimal_whole_digits(max: u8) -> Violation {
    Violation::with(
        "decimal_whole_digits",
        format!("Decimal input should have no more than {max} digits before the decimal point"),
        vec![("whole_digits", CtxValue::Int(max.into()))],
    )
}

/// No name of a time zone.
#[must_use]
pub fn time_zone_name() -> Violation {
    Violation::plain("TimeZoneName", "Invalid timezone name.")
}

/// What a validator says: `Value error, ` stands before `text`, and `ctx` is `{"error":{}}`.
///
/// Business rules use [`Violation::plain`] instead.
#[must_use]
pub fn value_error(text: &str) -> Violation {
    Violation::with("value_error", format!("Value error, {text}"), vec![("error", CtxValue::Empty)])
}

/// Text that is no e-mail address; `reason` says why.
#[must_use]
pub fn email(reason: String) -> Violation {
    Violation::with(
        "value_error",
        format!("value is not a valid email address: {reason}"),
        vec![("reason", CtxValue::Text(Cow::Owned(reason)))],
    )
}

/// Neither a string nor a number, where a duration is due.
#[must_use]
pub fn time_delta_type() -> Violation {
    Violation::plain("time_delta_type", "Input should be a valid timedelta")
}

/// Text or a number that is no duration.
#[must_use]
pub fn time_delta_parsing(error: String) -> Violation {
    Violation::with(
        "time_delta_parsing",
        format!("Input should be a valid timedelta, {error}"),
        vec![("error", CtxValue::Text(Cow::Owned(error)))],
    )
}

/// A string with U+0000 in it (contract section 1.4).
#[must_use]
pub fn invalid_characters() -> Violation {
    value_error("This value contains invalid characters")
}

/// A body that is not JSON; `error` is the parser's text.
#[must_use]
pub fn json_invalid_body(error: String) -> Violation {
    Violation::with(
        "json_invalid",
        "JSON decode error",
        vec![("error", CtxValue::Text(Cow::Owned(error)))],
    )
}

/// A parameter that is not the JSON text it should be; `error` is the parser's text with the
/// position in it.
#[must_use]
pub fn json_invalid(error: String) -> Violation {
    Violation::with(
        "json_invalid",
        format!("Invalid JSON: {error}"),
        vec![("error", CtxValue::Text(Cow::Owned(error)))],
    )
}

/// One error as it stands on the wire: `type`, `loc`, `msg`, `input` and, if any, `ctx`.
#[derive(Debug, Clone)]
pub struct ErrorItem {
    violation: Violation,
    loc: Vec<LocPart>,
    input: Box<RawValue>,
}

impl ErrorItem {
    /// What is wrong.
    #[must_use]
    pub fn violation(&self) -> &Violation {
        &self.violation
    }

    /// Where it is wrong.
    #[must_use]
    pub fn loc(&self) -> &[LocPart] {
        &self.loc
    }

    /// The offending value as JSON text.
    #[must_use]
    pub fn input(&self) -> &str {
        self.input.get()
    }
}

impl ErrorItem {
    /// The same error with `loc` from its part number `parts` on.
    #[must_use]
    pub(crate) fn from(mut self, parts: usize) -> Self {
        self.loc.drain(..parts.min(self.loc.len()));
        self
    }
}

impl Serialize for ErrorItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { violation: Violation { kind, msg, ctx }, loc, input } = self;
        let mut map = serializer.serialize_map(Some(4 + usize::from(ctx.is_some())))?;
        map.serialize_entry("type", kind)?;
        map.serialize_entry("loc", loc)?;
        map.serialize_entry("msg", msg)?;
        map.serialize_entry("input", input)?;
        if let Some(ctx) = ctx {
            map.serialize_entry("ctx", &CtxMap(ctx))?;
        }
        map.end()
    }
}

struct CtxMap<'c>(&'c Ctx);

impl Serialize for CtxMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The errors of one request, in the order in which they were found.
///
/// Bounds: [`ERROR_ITEMS_MAX`] items, [`ERROR_INPUT_BYTES_MAX`] bytes of echoed input.
#[derive(Debug, Clone, Default)]
pub struct Errors {
    items: Vec<ErrorItem>,
    input_bytes: usize,
}

impl Errors {
    /// No errors yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { items: Vec::new(), input_bytes: 0 }
    }

    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many errors there are; a reader can compare before and after.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Adds an error about `input`, which stands at `loc`.
    pub fn push(&mut self, loc: &Loc<'_>, violation: Violation, input: &Json<'_>) {
        if self.items.len() < ERROR_ITEMS_MAX {
            let input = echo(input, ERROR_INPUT_BYTES_MAX - self.input_bytes);
            self.push_item(ErrorItem { violation, loc: loc.to_parts(), input });
        }
    }

    /// Adds an error about a value of the query or path, given as text.
    pub fn push_text(&mut self, loc: &Loc<'_>, violation: Violation, input: &str) {
        self.push(loc, violation, &Json::Str(Cow::Borrowed(input)));
    }

    /// Adds what `other` holds, at the end.
    pub fn append(&mut self, other: Self) {
        for item in other.items {
            self.push_item(item);
        }
    }

    fn push_item(&mut self, mut item: ErrorItem) {
        if self.items.len() >= ERROR_ITEMS_MAX {
            return;
        }
        if self.input_bytes + item.input.get().len() > ERROR_INPUT_BYTES_MAX {
            item.input = RawValue::NULL.to_owned();
        } else {
            self.input_bytes += item.input.get().len();
        }
        self.items.push(item);
    }

    /// The errors, in order.
    #[must_use]
    pub fn items(&self) -> &[ErrorItem] {
        &self.items
    }

    /// The errors, in order.
    #[must_use]
    pub fn into_items(self) -> Vec<ErrorItem> {
        self.items
    }

    /// `Ok` if there are none, else the answer of class `class`.
    ///
    /// # Errors
    ///
    /// All errors there are.
    pub fn into_result(self, class: ErrorClass) -> Result<(), ValidationFailure> {
        if self.items.is_empty() {
            Ok(())
        } else {
            Err(ValidationFailure { class, items: self.items })
        }
    }
}

/// The JSON text of `input`, or `null` if it is longer than `bytes_max`.
fn echo(input: &Json<'_>, bytes_max: usize) -> Box<RawValue> {
    let mut text = Bounded { bytes: Vec::new(), bytes_max };
    serde_json::to_writer(&mut text, input)
        .ok()
        .and_then(|()| String::from_utf8(text.bytes).ok())
        .and_then(|text| RawValue::from_string(text).ok())
        .unwrap_or_else(|| RawValue::NULL.to_owned())
}

/// A buffer that refuses to grow over `bytes_max`.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.bytes_max {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The `error` member of an answer 422. Clients ignore it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The schema was not met.
    RequestValidationError,
    /// A business rule was not met.
    PolarRequestValidationError,
}

impl ErrorClass {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestValidationError => "RequestValidationError",
            Self::PolarRequestValidationError => "PolarRequestValidationError",
        }
    }
}

/// The body of an answer 422: `{"error": …, "detail": […]}`, with at least one item.
#[derive(Debug, Clone)]
pub struct ValidationFailure {
    class: ErrorClass,
    items: Vec<ErrorItem>,
}

impl ValidationFailure {
    /// One business error.
    #[must_use]
    pub fn business(loc: &Loc<'_>, violation: Violation, input: &Json<'_>) -> Self {
        Self::one(ErrorClass::PolarRequestValidationError, loc, violation, input)
    }

    /// One schema error.
    #[must_use]
    pub fn schema(loc: &Loc<'_>, violation: Violation, input: &Json<'_>) -> Self {
        Self::one(ErrorClass::RequestValidationError, loc, violation, input)
    }

    fn one(class: ErrorClass, loc: &Loc<'_>, violation: Violation, input: &Json<'_>) -> Self {
        let mut errors = Errors::new();
        errors.push(loc, violation, input);
        Self { class, items: errors.items }
    }

    /// What to answer to a body that could not be parsed; `None` for one that is not UTF-8, which
    /// is a 400 (contract section 1.4).
    #[must_use]
    pub fn of_body(error: &ParseError) -> Option<Self> {
        match error {
            ParseError::NotUtf8 => None,
            ParseError::Empty => Some(Self::schema(&Loc::BODY, missing(), &Json::Null)),
            ParseError::Syntax { offset, message, .. } => Some(Self::schema(
                &Loc::BODY.index(*offset),
                json_invalid_body(message.clone()),
                &Json::Object(Vec::new()),
            )),
        }
    }

    /// The class.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// The errors, in order.
    #[must_use]
    pub fn items(&self) -> &[ErrorItem] {
        &self.items
    }

    /// The errors, in order.
    #[must_use]
    pub fn into_items(self) -> Vec<ErrorItem> {
        self.items
    }
}

impl Serialize for ValidationFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("error", self.class.as_str())?;
        map.serialize_entry("detail", &self.items)?;
        map.end()
    }
}

impl fmt::Display for ValidationFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is not valid")?;
        for ErrorItem { violation, loc, .. } in &self.items {
            f.write_str("; ")?;
            for (position, part) in loc.iter().enumerate() {
                f.write_str(if position == 0 { "" } else { "." })?;
                match part {
                    LocPart::Key(name) => f.write_str(name)?,
                    LocPart::Index(index) => write!(f, "{index}")?,
                }
            }
            write!(f, ": {}", violation.msg)?;
        }
        Ok(())
    }
}

impl std::error::Error for ValidationFailure {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[track_caller]
    fn check(violation: Violation, kind: &str, msg: &str, ctx: &str) {
        let mut errors = Errors::new();
        errors.push(&Loc::BODY, violation, &Json::Null);
        let ctx = if ctx.is_empty() { String::new() } else { format!(",\"ctx\":{ctx}") };
        let msg = serde_json::to_string(msg).unwrap();
        assert_eq!(
            serde_json::to_string(errors.items()).unwrap(),
            format!(
                "[{{\"type\":\"{kind}\",\"loc\":[\"body\"],\"msg\":{msg},\"input\":null{ctx}}}]"
            )
        );
    }

    #[test]
    fn the_texts_are_those_of_the_contract() {
        check(missing(), "missing", "Field required", "");
        check(string_type(), "string_type", "Input should be a valid string", "");
        check(int_type(), "int_type", "Input should be a valid integer", "");
        check(float_type(), "float_type", "Input should be a valid number", "");
        check(bool_type(), "bool_type", "Input should be a valid boolean", "");
        check(list_type(), "list_type", "Input should be a valid list", "");
        check(dict_type(), "dict_type", "Input should be a valid dictionary", "");
        check(
            model_attributes_type(),
            "model_attributes_type",
            "Input should be a valid dictionary or object to extract fields from",
            "",
        );
        check(
            string_too_short(1),
            "string_too_short",
            "String should have at least 1 character",
            r#"{"min_length":1}"#,
        );
        check(
            string_too_long(128),
            "string_too_long",
            "String should have at most 128 characters",
            r#"{"max_length":128}"#,
        );
        check(
            string_pattern_mismatch("usd"),
            "string_pattern_mismatch",
            "String should match pattern 'usd'",
            r#"{"pattern":"usd"}"#,
        );
        check(
            string_unicode(),
            "string_unicode",
            "Input should be a valid string, unable to parse raw data as a unicode string",
            "",
        );
        check(
            int_parsing(),
            "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer",
            "",
        );
        check(
            int_parsing_size(),
            "int_parsing_size",
            "Unable to parse input string as an integer, exceeded maximum size",
            "",
        );
        check(
            int_from_float(),
            "int_from_float",
            "Input should be a valid integer, got a number with a fractional part",
            "",
        );
        check(
            float_parsing(),
            "float_parsing",
            "Input should be a valid number, unable to parse string as a number",
            "",
        );
        check(finite_number(), "finite_number", "Input should be a finite number", "");
        check(
            bool_parsing(),
            "bool_parsing",
            "Input should be a valid boolean, unable to interpret input",
            "",
        );
    }

    #[test]
    fn bounds_and_choices_are_in_the_texts() {
        check(greater_than(0), "greater_than", "Input should be greater than 0", r#"{"gt":0}"#);
        check(
            greater_than_equal(-2_147_483_648),
            "greater_than_equal",
            "Input should be greater than or equal to -2147483648",
            r#"{"ge":-2147483648}"#,
        );
        let start = floe_core::Timestamp::from_micros(1_672_531_200_000_000).unwrap();
        check(
            greater_than_equal_instant(start),
            "greater_than_equal",
            "Input should be greater than or equal to 2023-01-01T00:00:00Z",
            r#"{"ge":"2023-01-01T00:00:00Z"}"#,
        );
        check(
            less_than_equal(2_147_483_647),
            "less_than_equal",
            "Input should be less than or equal to 2147483647",
            r#"{"le":2147483647}"#,
        );
        check(enumeration(["a"]), "enum", "Input should be 'a'", r#"{"expected":"'a'"}"#);
        check(
            enumeration(["and", "or"]),
            "enum",
            "Input should be 'and' or 'or'",
            r#"{"expected":"'and' or 'or'"}"#,
        );
        check(
            enumeration(["a", "b", "c"]),
            "enum",
            "Input should be 'a', 'b' or 'c'",
            r#"{"expected":"'a', 'b' or 'c'"}"#,
        );
        check(
            union_tag_not_found("func"),
            "union_tag_not_found",
            "Unable to extract tag using discriminator 'func'",
            r#"{"discriminator":"'func'"}"#,
        );
        check(
            union_tag_invalid("func", "median", ["count", "sum"]),
            "union_tag_invalid",
            "Input tag 'median' found using 'func' does not match any of the expected tags: \
             'count', 'sum'",
            r#"{"discriminator":"'func'","tag":"median","expected_tags":"'count', 'sum'"}"#,
        );
        check(
            too_long(50, 51),
            "too_long",
            "Dictionary should have at most 50 items after validation, not 51",
            r#"{"field_type":"Dictionary","max_length":50,"actual_length":51}"#,
        );
    }

    #[test]
    fn texts_of_ids_times_and_decimals() {
        check(
            uuid_parsing("invalid character: found `n` at 1".to_owned()),
            "uuid_parsing",
            "Input should be a valid UUID, invalid character: found `n` at 1",
            r#"{"error":"invalid character: found `n` at 1"}"#,
        );
        check(
            uuid_version(),
            "uuid_version",
            "UUID version 4 expected",
            r#"{"expected_version":4}"#,
        );
        check(uuid_type(), "uuid_type", "UUID input should be a string, bytes or UUID object", "");
        check(timezone_aware(), "timezone_aware", "Input should have timezone info", "");
        check(datetime_type(), "datetime_type", "Input should be a valid datetime", "");
        check(
            datetime_parsing("year 0 is out of range"),
            "datetime_parsing",
            "Input should be a valid datetime, year 0 is out of range",
            r#"{"error":"year 0 is out of range"}"#,
        );
        check(
            datetime_from_date_parsing("input is too short"),
            "datetime_from_date_parsing",
            "Input should be a valid datetime or date, input is too short",
            r#"{"error":"input is too short"}"#,
        );
        check(decimal_parsing(), "decimal_parsing", "Input should be a valid decimal", "");
        check(
            decimal_type(),
            "decimal_type",
            "Decimal input should be an integer, float, string or Decimal object",
            "",
        );
        check(
            decimal_whole_digits(5),
            "decimal_whole_digits",
            "Decimal input should have no more than 5 digits before the decimal point",
            r#"{"whole_digits":5}"#,
        );
        check(
            decimal_max_places(12),
            "decimal_max_places",
            "Decimal input should have no more than 12 decimal places",
            r#"{"decimal_places":12}"#,
        );
        check(
            decimal_max_digits(17),
            "decimal_max_digits",
            "Decimal input should have no more than 17 digits in total",
            r#"{"max_digits":17}"#,
        );
        check(time_zone_name(), "TimeZoneName", "Invalid timezone name.", "");
        check(
            invalid_characters(),
            "value_error",
            "Value error, This value contains invalid characters",
            r#"{"error":{}}"#,
        );
        check(
            Violation::plain("customer_id", "Customer not found."),
            "customer_id",
            "Customer not found.",
            "",
        );
        check(
            json_invalid("expected value at line 1 column 1".to_owned()),
            "json_invalid",
            "Invalid JSON: expected value at line 1 column 1",
            r#"{"error":"expected value at line 1 column 1"}"#,
        );
    }

    #[track_caller]
    fn check_body(body: &[u8], expected: &str) {
        let failure = ValidationFailure::of_body(&parse(body).unwrap_err()).unwrap();
        assert_eq!(serde_json::to_string(&failure).unwrap(), expected);
    }

    #[test]
    fn a_body_that_cannot_be_parsed_has_an_answer() {
        check_body(
            b"",
            r#"{"error":"RequestValidationError","detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]}"#,
        );
        check_body(
            br#"{"a":1,}"#,
            r#"{"error":"RequestValidationError","detail":[{"type":"json_invalid","loc":["body",7],"msg":"JSON decode error","input":{},"ctx":{"error":"trailing comma"}}]}"#,
        );
        assert!(ValidationFailure::of_body(&parse(b"\xff").unwrap_err()).is_none());
    }

    #[test]
    fn a_business_error_has_its_own_class() {
        let failure = ValidationFailure::business(
            &Loc::BODY.key("events").index(0).key("customer_id"),
            Violation::plain("customer_id", "Customer not found."),
            &Json::Str("x".into()),
        );
        assert_eq!(
            serde_json::to_string(&failure).unwrap(),
            r#"{"error":"PolarRequestValidationError","detail":[{"type":"customer_id","loc":["body","events",0,"customer_id"],"msg":"Customer not found.","input":"x"}]}"#
        );
        assert_eq!(
            failure.to_string(),
            "the request is not valid; body.events.0.customer_id: Customer not found."
        );
        let none = Errors::new().into_result(ErrorClass::RequestValidationError);
        assert!(none.is_ok());
    }

    #[test]
    fn an_answer_is_bounded() {
        let mut errors = Errors::new();
        let half = Json::Str("x".repeat(ERROR_INPUT_BYTES_MAX / 2).into());
        for _ in 0..3 {
            errors.push(&Loc::BODY, missing(), &half);
        }
        let lengths: Vec<usize> = errors.items().iter().map(|item| item.input().len()).collect();
        assert_eq!(lengths, [ERROR_INPUT_BYTES_MAX / 2 + 2, 4, 4]);
        let mut more = errors.clone();
        more.append(errors);
        assert_eq!(more.items().last().unwrap().input(), "null");
        for _ in 0..2 * ERROR_ITEMS_MAX {
            more.push(&Loc::BODY, missing(), &Json::Null);
        }
        assert_eq!(more.len(), ERROR_ITEMS_MAX);
    }
}
