//! Reading single values, as pydantic's lax mode does (contract section 1.6).
//!
//! Every reader takes the value, its place and the errors so far, and gives `None` after adding
//! an error. Query parameters use the same readers, as [`Json::Str`]. Structure (which keys there
//! are, what depends on what) is the callers' business.

use std::borrow::Cow;
use std::fmt;

use floe_core::Timestamp;
use floe_core::limits::{COST_DECIMAL_PLACES_MAX, COST_DIGITS_MAX, INTEGER_DIGITS_MAX};
use speedate::{Date, DateTime, DateTimeConfig, MicrosecondsPrecisionOverflowBehavior, TimeConfig};
use speedate::{ParseError, TimestampUnit};
use uuid::{Uuid, Variant};

use crate::errors::{self, Errors, Loc, Violation};
use crate::json::Json;

/// Exponents from here on are no decimals to Python.
const DECIMAL_EXPONENT_END: i64 = 1_000_000_000_000_000_000;
/// Unix numbers beyond this, either way, are milliseconds.
const UNIX_SECONDS_MAX: f64 = 2e10;
const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Adds `violation`; for the last line of a reader.
fn refuse<T>(
    json: &Json<'_>,
    loc: &Loc<'_>,
    errors: &mut Errors,
    violation: Violation,
) -> Option<T> {
    errors.push(loc, violation, json);
    None
}

/// A list.
pub fn list<'j, 'a>(
    json: &'j Json<'a>,
    loc: &Loc<'_>,
    errors: &mut Errors,
) -> Option<&'j [Json<'a>]> {
    json.as_array().or_else(|| refuse(json, loc, errors, errors::list_type()))
}

/// An object of free keys.
pub fn dict<'j, 'a>(
    json: &'j Json<'a>,
    loc: &Loc<'_>,
    errors: &mut Errors,
) -> Option<&'j [(Cow<'a, str>, Json<'a>)]> {
    json.as_object().or_else(|| refuse(json, loc, errors, errors::dict_type()))
}

/// An object of known fields.
pub fn model<'j, 'a>(
    json: &'j Json<'a>,
    loc: &Loc<'_>,
    errors: &mut Errors,
) -> Option<&'j [(Cow<'a, str>, Json<'a>)]> {
    json.as_object().or_else(|| refuse(json, loc, errors, errors::model_attributes_type()))
}

/// A string; U+0000 is the caller's to check ([`crate::json::has_nul`]).
pub fn string<'j>(json: &'j Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<&'j str> {
    match json {
        Json::Str(text) => Some(text),
        Json::LoneSurrogate => refuse(json, loc, errors, errors::string_unicode()),
        _ => refuse(json, loc, errors, errors::string_type()),
    }
}

/// A string of `min` to `max` characters (code points), both included.
pub fn sized_string<'j>(
    json: &'j Json<'_>,
    loc: &Loc<'_>,
    errors: &mut Errors,
    min: usize,
    max: usize,
) -> Option<&'j str> {
    let text = string(json, loc, errors)?;
    // A character has 1 to 4 bytes, so that the length mostly decides.
    if text.len() >= min.saturating_mul(4) && text.len() <= max {
        return Some(text);
    }
    let count = text.chars().count();
    if count < min {
        refuse(json, loc, errors, errors::string_too_short(min))
    } else if count > max {
        refuse(json, loc, errors, errors::string_too_long(max))
    } else {
        Some(text)
    }
}

/// An integer of any size, as far as bounds of 64 bits need to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WideInt {
    /// Below the range of 64 bits.
    Below,
    /// In the range.
    In(i64),
    /// Above the range.
    Above,
}

impl WideInt {
    /// The nearest integer of 64 bits.
    #[must_use]
    pub const fn saturating(self) -> i64 {
        match self {
            Self::Below => i64::MIN,
            Self::In(value) => value,
            Self::Above => i64::MAX,
        }
    }

    /// From digits with a `-` in front if negative; leading zeros are allowed.
    fn from_digits(digits: &str) -> Self {
        match digits.parse() {
            Ok(value) => Self::In(value),
            Err(_) if digits.starts_with('-') => Self::Below,
            Err(_) => Self::Above,
        }
    }
}

/// An integer: a JSON integer, a boolean (1 or 0), a float without a fraction, or text such as
/// `5`, `+5`, ` 5 `, `007`, `1_000`, `5.0`.
pub fn int(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<WideInt> {
    let read = match json {
        Json::Int(value) => Ok(WideInt::In(*value)),
        Json::Bool(value) => Ok(WideInt::In((*value).into())),
        Json::BigInt(digits) => Ok(WideInt::from_digits(digits)),
        Json::IntTooLong => Err(errors::int_parsing_size()),
        Json::Float(value) => int_of_float(*value),
        Json::Str(text) => int_of_text(text),
        Json::LoneSurrogate => Err(errors::string_unicode()),
        Json::Null | Json::Array(_) | Json::Object(_) | Json::TooDeep => Err(errors::int_type()),
    };
    read.map_or_else(|violation| refuse(json, loc, errors, violation), Some)
}

fn int_of_float(value: f64) -> Result<WideInt, Violation> {
    if !value.is_finite() {
        Err(errors::finite_number())
    } else if value.fract() != 0.0 {
        Err(errors::int_from_float())
    } else if value.abs() < 9_223_372_036_854_775_808.0 {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and in the range")]
        let whole = value as i64;
        Ok(WideInt::In(whole))
    } else {
        Err(errors::int_parsing_size())
    }
}

fn int_of_text(text: &str) -> Result<WideInt, Violation> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = match digits.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => {
            whole
        }
        Some(_) => return Err(errors::int_parsing()),
        None => digits,
    };
    let groups_are_digits = digits
        .split('_')
        .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    if !groups_are_digits {
        return Err(errors::int_parsing());
    }
    let digits: String = digits.chars().filter(|digit| *digit != '_').collect();
    let digits = digits.trim_start_matches('0');
    if digits.len() > INTEGER_DIGITS_MAX {
        return Err(errors::int_parsing_size());
    }
    Ok(if digits.is_empty() {
        WideInt::In(0)
    } else {
        WideInt::from_digits(&format!("{sign}{digits}"))
    })
}

/// Bounds of an integer. One that is not met is an error, the upper one first.
#[derive(Debug, Clone, Copy, Default)]
pub struct IntBounds {
    /// At most this.
    pub le: Option<i64>,
    /// At least this.
    pub ge: Option<i64>,
    /// More than this.
    pub gt: Option<i64>,
}

impl IntBounds {
    fn violated_by(self, value: WideInt) -> Option<Violation> {
        match self {
            Self { le: Some(le), .. } if value > WideInt::In(le) => {
                Some(errors::less_than_equal(le))
            }
            Self { ge: Some(ge), .. } if value < WideInt::In(ge) => {
                Some(errors::greater_than_equal(ge))
            }
            Self { gt: Some(gt), .. } if value <= WideInt::In(gt) => Some(errors::greater_than(gt)),
            Self { .. } => None,
        }
    }
}

/// An integer within bounds; beyond 64 bits it saturates where no bound forbids it.
pub fn int_within(
    json: &Json<'_>,
    loc: &Loc<'_>,
    errors: &mut Errors,
    bounds: IntBounds,
) -> Option<i64> {
    let value = int(json, loc, errors)?;
    match bounds.violated_by(value) {
        Some(violation) => refuse(json, loc, errors, violation),
        None => Some(value.saturating()),
    }
}

/// A boolean: `true`, `false`, the numbers 1 and 0, or text such as `yes`, `Off`, `T`, `0`.
pub fn boolean(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<bool> {
    let read = match json {
        Json::Bool(value) => Ok(*value),
        Json::Int(0) => Ok(false),
        Json::Int(1) => Ok(true),
        Json::Int(_) => Err(errors::bool_parsing()),
        Json::Float(value) => match int_of_float(*value) {
            Ok(WideInt::In(0)) => Ok(false),
            Ok(WideInt::In(1)) => Ok(true),
            Ok(_) => Err(errors::bool_parsing()),
            Err(_) => Err(errors::bool_type()),
        },
        Json::Str(text) => bool_of_text(text).ok_or_else(errors::bool_parsing),
        Json::LoneSurrogate => Err(errors::string_unicode()),
        Json::Null
        | Json::BigInt(_)
        | Json::IntTooLong
        | Json::Array(_)
        | Json::Object(_)
        | Json::TooDeep => Err(errors::bool_type()),
    };
    read.map_or_else(|violation| refuse(json, loc, errors, violation), Some)
}

fn bool_of_text(text: &str) -> Option<bool> {
    let is = |words: [&str; 6]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["1", "t", "y", "on", "yes", "true"]) {
        Some(true)
    } else if is(["0", "f", "n", "no", "off", "false"]) {
        Some(false)
    } else {
        None
    }
}

/// A UUID of version 4, hyphenated or not, in braces or after `urn:uuid:`, in any case.
pub fn uuid4(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Uuid> {
    let read = match json {
        Json::Str(text) => match Uuid::parse_str(text) {
            Ok(uuid) if uuid.get_version_num() == 4 && uuid.get_variant() == Variant::RFC4122 => {
                Ok(uuid)
            }
            Ok(_) => Err(errors::uuid_version()),
            Err(_) => Err(errors::uuid_parsing(uuid_text(text))),
        },
        Json::LoneSurrogate => Err(errors::string_unicode()),
        _ => Err(errors::uuid_type()),
    };
    read.map_or_else(|violation| refuse(json, loc, errors, violation), Some)
}

/// Why `text` is no UUID, in the words of the `uuid` crate that Polar uses. Those of later versions
/// differ, and characters are counted from 0 there.
fn uuid_text(text: &str) -> String {
    let braced = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let (prefix, digits) = match (braced, text.strip_prefix("urn:uuid:")) {
        (Some(digits), _) => ("{", digits),
        (None, Some(digits)) => ("urn:uuid:", digits),
        (None, None) => ("", text),
    };
    let wrong = digits.char_indices().find(|(_, char)| !char.is_ascii_hexdigit() && *char != '-');
    if let Some((index, found)) = wrong {
        return format!("invalid character: found `{found}` at {}", prefix.len() + index + 1);
    }
    let groups: Vec<usize> = digits.split('-').map(str::len).collect();
    if groups.len() == 1 && prefix.is_empty() {
        let found = text.len();
        return format!("invalid length: expected length 32 for simple format, found {found}");
    }
    if groups.len() != 5 {
        return format!("invalid group count: expected 5, found {}", groups.len());
    }
    let lengths = groups.iter().zip([8, 4, 4, 4, 12]).enumerate();
    let wrong = lengths.into_iter().find(|(_, (found, expected))| *found != expected);
    wrong.map_or_else(
        || "invalid format".to_owned(),
        |(group, (found, expected))| {
            format!("invalid group length in group {group}: expected {expected}, found {found}")
        },
    )
}

/// One of the values `options`, by its exact name; the error lists the names in their order.
pub fn enum_value<T: Copy>(
    json: &Json<'_>,
    loc: &Loc<'_>,
    errors: &mut Errors,
    options: &[(&str, T)],
) -> Option<T> {
    if matches!(json, Json::LoneSurrogate) {
        return refuse(json, loc, errors, errors::string_unicode());
    }
    let name = json.as_str();
    let found = options.iter().find(|(option, _)| Some(*option) == name);
    match found {
        Some((_, value)) => Some(*value),
        None => {
            let names = options.iter().map(|(option, _)| *option);
            refuse(json, loc, errors, errors::enumeration(names))
        }
    }
}

/// An instant, with the offset from UTC it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AwareDateTime {
    timestamp: Timestamp,
    offset_seconds: i32,
}

impl AwareDateTime {
    /// The instant.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        self.timestamp
    }

    /// Seconds east of UTC, whole minutes of less than a day; 0 for a Unix number.
    #[must_use]
    pub const fn offset_seconds(self) -> i32 {
        self.offset_seconds
    }

    /// Microseconds since 1970-01-01T00:00 on the clock it was written by.
    fn local_micros(self) -> i64 {
        self.timestamp.micros() + i64::from(self.offset_seconds) * MICROS_PER_SECOND
    }

    /// Days from 1970-01-01 to the calendar date that was written.
    #[must_use]
    pub fn civil_date_days(self) -> i64 {
        self.local_micros().div_euclid(MICROS_PER_DAY)
    }

    /// Python's `isoformat`: `2024-01-01T00:00:00+00:00`, in its own offset, with six fraction
    /// digits unless they are all 0.
    #[must_use]
    pub fn isoformat(self) -> String {
        // The date that was written is in the years 1 to 9999, whatever the offset.
        let local = Timestamp::from_micros(self.local_micros()).unwrap_or(self.timestamp);
        let local = local.to_string();
        let minutes = self.offset_seconds.unsigned_abs() / 60;
        let sign = if self.offset_seconds < 0 { '-' } else { '+' };
        let local = local.strip_suffix('Z').unwrap_or(&local);
        format!("{local}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// A datetime with an offset, or a Unix number (text or JSON) of seconds or milliseconds.
pub fn aware_datetime(
    json: &Json<'_>,
    loc: &Loc<'_>,
    errors: &mut Errors,
) -> Option<AwareDateTime> {
    let read = match json {
        Json::Str(text) => datetime_of_text(text),
        Json::Int(value) => datetime_of_unix(*value, 0),
        Json::Float(value) => datetime_of_float(*value),
        Json::BigInt(digits) if digits.starts_with('-') => datetime_of_unix(i64::MIN, 0),
        Json::BigInt(_) | Json::IntTooLong => datetime_of_unix(i64::MAX, 0),
        Json::LoneSurrogate => Err(errors::string_unicode()),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) | Json::TooDeep => {
            Err(errors::datetime_type())
        }
    };
    read.map_or_else(|violation| refuse(json, loc, errors, violation), Some)
}

/// As pydantic: fractions beyond microseconds are cut off, Unix numbers are UTC.
const DATETIME_CONFIG: DateTimeConfig = DateTimeConfig {
    timestamp_unit: TimestampUnit::Infer,
    time_config: TimeConfig {
        microseconds_precision_overflow_behavior: MicrosecondsPrecisionOverflowBehavior::Truncate,
        unix_timestamp_offset: Some(0),
    },
};

fn datetime_of_text(text: &str) -> Result<AwareDateTime, Violation> {
    match DateTime::parse_str_with_config(text, &DATETIME_CONFIG) {
        Ok(datetime) => aware(&datetime),
        Err(_) => match Date::parse_str(text) {
            Ok(_) => Err(errors::timezone_aware()),
            Err(error) => Err(errors::datetime_from_date_parsing(speedate_text(&error))),
        },
    }
}

fn datetime_of_unix(number: i64, micros: u32) -> Result<AwareDateTime, Violation> {
    match DateTime::from_timestamp_with_config(number, micros, &DATETIME_CONFIG) {
        Ok(datetime) => aware(&datetime),
        Err(error) => Err(errors::datetime_parsing(speedate_text(&error))),
    }
}

fn datetime_of_float(number: f64) -> Result<AwareDateTime, Violation> {
    if number.is_nan() {
        return Err(errors::datetime_parsing("NaN values not permitted"));
    }
    let micros_per_unit = if number.abs() <= UNIX_SECONDS_MAX { 1e6 } else { 1e3 };
    let whole = number.floor();
    let micros =
        if number.is_finite() { ((number - whole) * micros_per_unit).round() } else { 0.0 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts saturate, and the micros are 0 to 1,000,000"
    )]
    let (whole, micros) = (whole as i64, micros as u32);
    datetime_of_unix(whole, micros)
}

/// What was written has an offset, and is in the years 1 to 9999 there and in UTC.
fn aware(datetime: &DateTime) -> Result<AwareDateTime, Violation> {
    let Some(offset_seconds) = datetime.time.tz_offset else {
        return Err(errors::timezone_aware());
    };
    if datetime.date.year == 0 {
        return Err(errors::datetime_parsing("year 0 is out of range"));
    }
    let micros = datetime.timestamp_tz() * MICROS_PER_SECOND + i64::from(datetime.time.microsecond);
    match Timestamp::from_micros(micros) {
        Some(timestamp) => Ok(AwareDateTime { timestamp, offset_seconds }),
        None => Err(errors::datetime_parsing("date value out of range")),
    }
}

/// What speedate documents for its errors of dates and Unix numbers.
fn speedate_text(error: &ParseError) -> &'static str {
    match error {
        ParseError::TooShort => "input is too short",
        ParseError::ExtraCharacters => "unexpected extra characters at the end of the input",
        ParseError::InvalidCharDateSep => "invalid date separator, expected `-`",
        ParseError::DateNotExact => "Timestamp is not an exact date",
        ParseError::InvalidCharYear => "invalid character in year",
        ParseError::InvalidCharMonth => "invalid character in month",
        ParseError::InvalidCharDay => "invalid character in day",
        ParseError::OutOfRangeMonth => "month value is outside expected range of 1-12",
        ParseError::OutOfRangeDay => "day value is outside expected range",
        ParseError::DateTooSmall => "dates before 0000 are not supported as unix timestamps",
        ParseError::DateTooLarge => "dates after 9999 are not supported as unix timestamps",
        ParseError::TimeTooLarge => "numeric times may not exceed 86,399 seconds",
        _ => "invalid datetime",
    }
}

/// An exact decimal number: `mantissa / 10^scale`, with no trailing zero behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i64,
    scale: u8,
}

impl Decimal {
    /// The digits, at most 17.
    #[must_use]
    pub const fn mantissa(self) -> i64 {
        self.mantissa
    }

    /// How many of the digits stand behind the point, at most 12.
    #[must_use]
    pub const fn scale(self) -> u8 {
        self.scale
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let unit = 10_u64.pow(self.scale.into());
        let digits = self.mantissa.unsigned_abs();
        write!(f, "{sign}{}", digits / unit)?;
        if self.scale > 0 {
            write!(f, ".{:0width$}", digits % unit, width = self.scale.into())?;
        }
        Ok(())
    }
}

/// `_cost.amount`: a number or numeric text of at most 17 digits, at most 12 of them behind the
/// point (contract section 4.1). A JSON float is the decimal it shows.
pub fn decimal(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Decimal> {
    let read = match json {
        Json::Int(value) => decimal_of_text(&value.to_string()),
        Json::BigInt(digits) => decimal_of_text(digits),
        Json::IntTooLong => Err(errors::decimal_max_digits(COST_DIGITS_MAX)),
        Json::Float(value) => decimal_of_text(&format!("{value:e}")),
        Json::Str(text) => decimal_of_text(text),
        Json::LoneSurrogate => Err(errors::decimal_parsing()),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) | Json::TooDeep => {
            Err(errors::decimal_type())
        }
    };
    read.map_or_else(|violation| refuse(json, loc, errors, violation), Some)
}

/// Reads what Python's `Decimal` reads, except digits outside ASCII, NaN and infinities: white
/// space around it and underscores anywhere do not count.
fn decimal_of_text(text: &str) -> Result<Decimal, Violation> {
    let text: String = text.trim().chars().filter(|char| *char != '_').collect();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent_of(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(errors::decimal_parsing());
    }
    // The value is now `digits * 10^exponent`; zeros at either end say nothing.
    let mut exponent = exponent - i64::try_from(fraction.len()).unwrap_or(i64::MAX / 2);
    let significant = digits.trim_end_matches('0').len();
    exponent += i64::try_from(digits.len() - significant).unwrap_or(i64::MAX / 2);
    digits.truncate(significant);
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(Decimal { mantissa: 0, scale: 0 });
    }
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX / 2);
    let places = (-exponent).max(0);
    let total = (count + exponent.max(0)).max(places);
    if total > COST_DIGITS_MAX.into() {
        return Err(errors::decimal_max_digits(COST_DIGITS_MAX));
    }
    if places > COST_DECIMAL_PLACES_MAX.into() {
        return Err(errors::decimal_max_places(COST_DECIMAL_PLACES_MAX));
    }
    let whole_max = COST_DIGITS_MAX - COST_DECIMAL_PLACES_MAX;
    if total - places > whole_max.into() {
        return Err(errors::decimal_whole_digits(whole_max));
    }
    let zeros = usize::try_from(exponent.max(0)).unwrap_or(0);
    let sign = if text.starts_with('-') { "-" } else { "" };
    let mantissa = format!("{sign}{digits}{}", "0".repeat(zeros)).parse();
    match (mantissa, u8::try_from(places)) {
        (Ok(mantissa), Ok(scale)) => Ok(Decimal { mantissa, scale }),
        _ => Err(errors::decimal_parsing()),
    }
}

fn exponent_of(text: &str) -> Result<i64, Violation> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(errors::decimal_parsing());
    }
    match WideInt::from_digits(text).saturating() {
        exponent if exponent.unsigned_abs() < DECIMAL_EXPONENT_END.unsigned_abs() => Ok(exponent),
        _ => Err(errors::decimal_parsing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;
    use proptest::prelude::*;

    /// The value, or the `type` of the one error.
    #[track_caller]
    fn read<T>(
        input: &str,
        reader: impl FnOnce(&Json<'_>, &Loc<'_>, &mut Errors) -> Option<T>,
    ) -> Result<T, String> {
        let json = parse(input.as_bytes()).unwrap();
        let mut errors = Errors::new();
        let value = reader(&json, &Loc::BODY.key("x"), &mut errors);
        match (value, errors.items()) {
            (Some(value), []) => Ok(value),
            (None, [item]) => {
                assert_eq!(item.loc(), ["body".into(), "x".into()]);
                Err(item.violation().kind().to_owned())
            }
            (_, items) => panic!("{input}: {items:?}"),
        }
    }

    fn quoted(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    #[track_caller]
    fn check_int(input: &str, expected: Result<i64, &str>) {
        let expected = expected.map(WideInt::In).map_err(str::to_owned);
        assert_eq!(read(input, int), expected, "{input}");
    }

    #[test]
    fn integers_are_read_as_pydantic_does() {
        for (text, value) in [
            ("5", 5),
            ("+5", 5),
            (" 5 ", 5),
            ("007", 7),
            ("1_000", 1000),
            ("5.0", 5),
            ("-5", -5),
            ("-007", -7),
            ("1_0.0", 10),
            ("-0", 0),
            ("0.0", 0),
            ("00_7", 7),
            ("\u{a0}5", 5),
            ("5\n", 5),
            ("-5.0", -5),
            ("5.00 ", 5),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            check_int(&quoted(text), Ok(value));
        }
        for text in [
            "", " ", "5.", "5.5", "+-5", "--5", "0x5", "1__0", "_1", "1_", ".0", "-.0", "1e3", "٣",
            "1 0", "+ 5", "5.0_0", "NaN", "inf", "-", "+",
        ] {
            check_int(&quoted(text), Err("int_parsing"));
        }
        check_int("5", Ok(5));
        check_int("5.0", Ok(5));
        check_int("-0.0", Ok(0));
        check_int("true", Ok(1));
        check_int("5.5", Err("int_from_float"));
        check_int("1e30", Err("int_parsing_size"));
        check_int("9223372036854775807.0", Err("int_parsing_size"));
        check_int("NaN", Err("finite_number"));
        check_int("-Infinity", Err("finite_number"));
        for input in ["null", "[]", "{}"] {
            check_int(input, Err("int_type"));
        }
        check_int(r#""\ud800""#, Err("string_unicode"));
        check_int(&"1".repeat(4301), Err("int_parsing_size"));
        check_int(&quoted(&"1".repeat(4301)), Err("int_parsing_size"));
        check_int(&quoted(&("0".repeat(5000) + "1")), Ok(1));
        assert_eq!(read("99999999999999999999", int), Ok(WideInt::Above));
        assert_eq!(read(&quoted("-9_9999999999999999999.0"), int), Ok(WideInt::Below));
    }

    #[test]
    fn integers_keep_their_bounds() {
        let check = |input: &str, bounds: IntBounds, expected: Result<i64, &str>| {
            let value = read(input, |json, loc, errors| int_within(json, loc, errors, bounds));
            assert_eq!(value, expected.map_err(str::to_owned), "{input}");
        };
        let positive = IntBounds { gt: Some(0), ..IntBounds::default() };
        check("1", positive, Ok(1));
        check("0", positive, Err("greater_than"));
        check(&quoted("-99999999999999999999"), positive, Err("greater_than"));
        check("99999999999999999999", positive, Ok(i64::MAX));
        let clause = IntBounds { ge: Some(-2_147_483_648), le: Some(2_147_483_647), gt: None };
        check("2147483647", clause, Ok(2_147_483_647));
        check("2147483648", clause, Err("less_than_equal"));
        check("-2147483649", clause, Err("greater_than_equal"));
        check("99999999999999999999", clause, Err("less_than_equal"));
        check("-99999999999999999999", clause, Err("greater_than_equal"));
    }

    #[test]
    fn booleans_are_read_as_pydantic_does() {
        let check = |input: &str, expected: Result<bool, &str>| {
            assert_eq!(read(input, boolean), expected.map_err(str::to_owned), "{input}");
        };
        for text in ["true", "T", "YES", "y", "On", "1"] {
            check(&quoted(text), Ok(true));
        }
        for text in ["false", "F", "NO", "n", "oFF", "0"] {
            check(&quoted(text), Ok(false));
        }
        for text in ["", "2", " true", "1.0", "٣", "tru"] {
            check(&quoted(text), Err("bool_parsing"));
        }
        check("true", Ok(true));
        check("1", Ok(true));
        check("0", Ok(false));
        check("1.0", Ok(true));
        check("-0.0", Ok(false));
        check("2", Err("bool_parsing"));
        check("2.0", Err("bool_parsing"));
        check("0.5", Err("bool_type"));
        check("NaN", Err("bool_type"));
        check("99999999999999999999", Err("bool_type"));
        check("null", Err("bool_type"));
        check("[]", Err("bool_type"));
        check(r#""\ud800""#, Err("string_unicode"));
    }

    #[track_caller]
    fn check_uuid_text(text: &str, expected: &str) {
        let mut errors = Errors::new();
        let json = Json::Str(Cow::Borrowed(text));
        assert_eq!(uuid4(&json, &Loc::PATH.key("id"), &mut errors), None);
        let item = serde_json::to_value(&errors.items()[0]).unwrap();
        assert_eq!(item["type"], "uuid_parsing");
        assert_eq!(item["msg"], format!("Input should be a valid UUID, {expected}"));
        assert_eq!(item["ctx"], serde_json::json!({"error": expected}));
    }

    #[test]
    fn uuids_are_of_version_4() {
        let uuid = Uuid::parse_str("a8ea8fc6-0a41-4545-90b9-11be3a6eaaac").unwrap();
        for text in [
            "a8ea8fc6-0a41-4545-90b9-11be3a6eaaac",
            "A8EA8FC60A41454590B911BE3A6EAAAC",
            "{a8ea8fc6-0a41-4545-90b9-11be3a6eaaac}",
            "urn:uuid:a8ea8fc6-0a41-4545-90b9-11be3a6eaaac",
        ] {
            assert_eq!(read(&quoted(text), uuid4), Ok(uuid));
        }
        for text in [
            "a8ea8fc6-0a41-1545-90b9-11be3a6eaaac",
            "a8ea8fc6-0a41-4545-c0b9-11be3a6eaaac",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(read(&quoted(text), uuid4), Err("uuid_version".to_owned()));
        }
        for input in ["1", "null", "true", "[]"] {
            assert_eq!(read(input, uuid4), Err("uuid_type".to_owned()));
        }
        assert_eq!(read(r#""\ud800""#, uuid4), Err("string_unicode".to_owned()));
        check_uuid_text("nope", "invalid character: found `n` at 1");
        check_uuid_text("ingest", "invalid character: found `i` at 1");
        check_uuid_text("", "invalid length: expected length 32 for simple format, found 0");
        check_uuid_text(
            "a8ea8fc6-0a41-4545-90b9-11be3a6eaaa",
            "invalid group length in group 4: expected 12, found 11",
        );
        check_uuid_text("ééééé", "invalid character: found `é` at 1");
        check_uuid_text("{nope}", "invalid character: found `n` at 2");
        check_uuid_text(
            "a8éa8fc6-0a41-4545-90b9-11be3a6eaaac",
            "invalid character: found `é` at 3",
        );
        check_uuid_text("{}", "invalid group count: expected 5, found 1");
        check_uuid_text(
            "a8ea8fc60-a41-4545-90b9-11be3a6eaaac",
            "invalid group length in group 0: expected 8, found 9",
        );
        check_uuid_text("urn:uuid:nope", "invalid character: found `n` at 10");
        check_uuid_text("a-b", "invalid group count: expected 5, found 2");
    }

    #[test]
    fn strings_are_counted_in_characters() {
        let check = |input: &str, expected: Result<&str, &str>| {
            let value = read(input, |json, loc, errors| {
                sized_string(json, loc, errors, 2, 4).map(str::to_owned)
            });
            assert_eq!(value, expected.map(str::to_owned).map_err(str::to_owned), "{input}");
        };
        check("\"éé\"", Ok("éé"));
        check("\"😀😀😀😀\"", Ok("😀😀😀😀"));
        check("\"é\"", Err("string_too_short"));
        check("\"\"", Err("string_too_short"));
        check("\"abcde\"", Err("string_too_long"));
        check("1", Err("string_type"));
        check(r#""\ud800""#, Err("string_unicode"));
    }

    #[test]
    fn enums_are_exact() {
        let options = [("and", 1), ("or", 2)];
        let read = |input| read(input, |json, loc, errors| enum_value(json, loc, errors, &options));
        assert_eq!(read("\"or\""), Ok(2));
        for input in ["\"Or\"", "\"\"", "1", "null", "[]"] {
            assert_eq!(read(input), Err("enum".to_owned()));
        }
        assert_eq!(read(r#""\ud800""#), Err("string_unicode".to_owned()));
    }

    #[track_caller]
    fn check_datetime(input: &str, isoformat: &str) {
        let value = read(input, aware_datetime).map(AwareDateTime::isoformat);
        assert_eq!(value, Ok(isoformat.to_owned()), "{input}");
    }

    /// `expected` is the `type`, and the text of speedate if there is one.
    #[track_caller]
    fn check_no_datetime(input: &str, expected: (&str, &str)) {
        let json = parse(input.as_bytes()).unwrap();
        let mut errors = Errors::new();
        assert_eq!(aware_datetime(&json, &Loc::BODY, &mut errors), None, "{input}");
        let item = serde_json::to_value(&errors.items()[0]).unwrap();
        assert_eq!(item["type"], expected.0, "{input}");
        assert_eq!(item["ctx"]["error"].as_str().unwrap_or_default(), expected.1, "{input}");
        assert!(item["msg"].as_str().unwrap().ends_with(expected.1), "{input}");
    }

    #[test]
    fn datetimes_have_many_forms() {
        for (text, isoformat) in [
            ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00+00:00"),
            ("2024-01-01 00:00+00:00", "2024-01-01T00:00:00+00:00"),
            ("2024-01-01T00:00:00+0530", "2024-01-01T00:00:00+05:30"),
            ("2024-01-01T00:00:00\u{2212}01:00", "2024-01-01T00:00:00-01:00"),
            ("2024-01-01t00:00:00.123456789z", "2024-01-01T00:00:00.123456+00:00"),
            ("1970-01-01T00:00:00.9999999Z", "1970-01-01T00:00:00.999999+00:00"),
            ("2024-01-01_00:00:00,5Z", "2024-01-01T00:00:00.500000+00:00"),
            ("2024-01-01T00:00:00+23:59", "2024-01-01T00:00:00+23:59"),
            ("2024-01-01T00:00:00-23:59", "2024-01-01T00:00:00-23:59"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
            ("0001-01-01T00:00:00-01:00", "0001-01-01T00:00:00-01:00"),
            ("9999-12-31T23:59:59.999999+01:00", "9999-12-31T23:59:59.999999+01:00"),
            ("2024", "1970-01-01T00:33:44+00:00"),
            ("1704067200.5", "2024-01-01T00:00:00.500000+00:00"),
            ("-1.5", "1969-12-31T23:59:58.500000+00:00"),
            ("20000000000", "2603-10-11T11:33:20+00:00"),
            ("20000000001", "1970-08-20T11:33:20.001000+00:00"),
            ("1704067200000.25", "2024-01-01T00:00:00.000250+00:00"),
            ("253402300799999", "9999-12-31T23:59:59.999000+00:00"),
            ("+5", "1970-01-01T00:00:05+00:00"),
        ] {
            check_datetime(&quoted(text), isoformat);
        }
        for (number, isoformat) in [
            ("0", "1970-01-01T00:00:00+00:00"),
            ("-1", "1969-12-31T23:59:59+00:00"),
            ("1704067200.5", "2024-01-01T00:00:00.500000+00:00"),
            ("1704067200.123456789", "2024-01-01T00:00:00.123457+00:00"),
            ("20000000001.5", "1970-08-20T11:33:20.001500+00:00"),
            ("-20000000001.5", "1969-05-14T12:26:39.998500+00:00"),
            ("20000000000.5", "2603-10-11T11:33:20.000500+00:00"),
            ("1.9999999", "1970-01-01T00:00:02+00:00"),
            ("-1.25", "1969-12-31T23:59:58.750000+00:00"),
            ("-0.0", "1970-01-01T00:00:00+00:00"),
            ("-62167219200", "1968-01-12T11:19:40.800000+00:00"),
            ("253402300800", "1978-01-11T21:31:40.800000+00:00"),
        ] {
            check_datetime(number, isoformat);
        }
    }

    #[test]
    fn what_is_no_aware_datetime_is_named() {
        for text in ["2024-01-01", "2024-01-01T00:00:00", "2024-01-01 00:00", "0000-01-01"] {
            check_no_datetime(&quoted(text), ("timezone_aware", ""));
        }
        const FROM_DATE: &str = "datetime_from_date_parsing";
        const EXTRA: &str = "unexpected extra characters at the end of the input";
        for text in [
            "2024-01-01T00:00:00 00:00",
            "2024-01-01T24:00:00Z",
            "2024-01-01T23:59:60Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00",
            "2024-01-01T",
            "2024-01-01Z",
            "2024-01-01T00:0é",
        ] {
            check_no_datetime(&quoted(text), (FROM_DATE, EXTRA));
        }
        for text in ["", "nope", "1e9", "1_000", "NaN", "é"] {
            check_no_datetime(&quoted(text), (FROM_DATE, "input is too short"));
        }
        for (text, error) in [
            ("2024-13-01T00:00:00Z", "month value is outside expected range of 1-12"),
            ("2024-02-30T00:00:00Z", "day value is outside expected range"),
            ("20240101T000000Z", "invalid date separator, expected `-`"),
            ("99999999999999999999", "invalid date separator, expected `-`"),
            (" 2024-01-01T00:00:00Z", "invalid character in year"),
            ("253402300800000", "dates after 9999 are not supported as unix timestamps"),
        ] {
            check_no_datetime(&quoted(text), (FROM_DATE, error));
        }
        const AFTER: &str = "dates after 9999 are not supported as unix timestamps";
        const BEFORE: &str = "dates before 0000 are not supported as unix timestamps";
        for (input, error) in [
            ("\"0000-01-01T00:00:00Z\"", "year 0 is out of range"),
            ("-62167219200000", "year 0 is out of range"),
            ("\"0001-01-01T00:00:00+01:00\"", "date value out of range"),
            ("\"9999-12-31T23:59:59-01:00\"", "date value out of range"),
            ("1e15", AFTER),
            ("1e400", AFTER),
            ("-Infinity", BEFORE),
            ("99999999999999999999", AFTER),
            ("-99999999999999999999", BEFORE),
            ("NaN", "NaN values not permitted"),
        ] {
            check_no_datetime(input, ("datetime_parsing", error));
        }
        for input in ["true", "null", "[]", "{}"] {
            check_no_datetime(input, ("datetime_type", ""));
        }
        check_no_datetime(r#""\ud800""#, ("string_unicode", ""));
    }

    #[test]
    fn civil_dates_are_those_written() {
        let days = |text| read(&quoted(text), aware_datetime).unwrap().civil_date_days();
        assert_eq!(days("1970-01-01T00:00:00Z"), 0);
        assert_eq!(days("1969-12-31T23:59:59Z"), -1);
        assert_eq!(days("2024-03-01T01:00:00-10:00"), 19_783);
        assert_eq!(days("2024-03-01T23:00:00+14:00"), 19_783);
        assert_eq!(days("9999-12-31T23:59:59+14:00"), 2_932_896);
    }

    #[track_caller]
    fn check_decimal(input: &str, expected: Result<&str, &str>) {
        let value = read(input, decimal).map(|decimal| decimal.to_string());
        assert_eq!(value, expected.map(str::to_owned).map_err(str::to_owned), "{input}");
    }

    #[test]
    fn decimals_are_read_as_python_does() {
        for (text, value) in [
            ("1", "1"),
            ("-1.5", "-1.5"),
            ("+1.5", "1.5"),
            (" 1.50 ", "1.5"),
            ("1_0", "10"),
            ("_1_", "1"),
            ("1e-3", "0.001"),
            ("1e4", "10000"),
            ("00001", "1"),
            ("99999.999999999999", "99999.999999999999"),
            ("1e-12", "0.000000000001"),
            ("10e-13", "0.000000000001"),
            ("0.10000000000000", "0.1"),
            ("1.000000000000000000", "1"),
            (".5", "0.5"),
            ("5.", "5"),
            ("0e10", "0"),
            ("0e-20", "0"),
            ("-0", "0"),
            ("-0.000000000001", "-0.000000000001"),
            ("12345678901234567e-12", "12345.678901234567"),
            ("1.2345678901234567e4", "12345.678901234567"),
        ] {
            check_decimal(&quoted(text), Ok(value));
        }
        for text in [
            "abc",
            "",
            ".",
            "1.5.5",
            "0x5",
            "1e",
            "1e+",
            "--1",
            "1e99999999999999999999",
            "NaN",
            "-inf",
            "Infinity",
            "1 0",
            "1e1e1",
        ] {
            check_decimal(&quoted(text), Err("decimal_parsing"));
        }
        for text in ["123456", "1E5", "0000000123456", "100000.0000000000000", "12345678901234567"]
        {
            check_decimal(&quoted(text), Err("decimal_whole_digits"));
        }
        for text in ["0.1234567890123", "1e-13"] {
            check_decimal(&quoted(text), Err("decimal_max_places"));
        }
        for text in
            ["123456.1234567890123", "1e400", "1e-999999999999999999", "123456789012345678e-13"]
        {
            check_decimal(&quoted(text), Err("decimal_max_digits"));
        }
        check_decimal("12345", Ok("12345"));
        check_decimal("1.5", Ok("1.5"));
        check_decimal("1e-7", Ok("0.0000001"));
        check_decimal("-0.0", Ok("0"));
        check_decimal("99999.99999999999", Ok("99999.99999999999"));
        check_decimal("12345.123456789012", Ok("12345.123456789011"));
        check_decimal("0.30000000000000004", Err("decimal_max_places"));
        check_decimal("123456", Err("decimal_whole_digits"));
        check_decimal("123456.5", Err("decimal_whole_digits"));
        check_decimal("1e16", Err("decimal_whole_digits"));
        check_decimal("1e22", Err("decimal_max_digits"));
        check_decimal("5e-324", Err("decimal_max_digits"));
        check_decimal("10000000000000000000000000", Err("decimal_max_digits"));
        check_decimal("1e400", Err("decimal_parsing"));
        check_decimal("NaN", Err("decimal_parsing"));
        for input in ["true", "false", "null", "[]", "{}"] {
            check_decimal(input, Err("decimal_type"));
        }
        check_decimal(r#""\ud800""#, Err("decimal_parsing"));
    }

    #[test]
    fn structures_are_told_apart() {
        let list_of =
            |input| read(input, |json, loc, errors| list(json, loc, errors).map(<[_]>::len));
        assert_eq!(list_of("[1]"), Ok(1));
        assert_eq!(list_of("{}"), Err("list_type".to_owned()));
        let dict_of =
            |input| read(input, |json, loc, errors| dict(json, loc, errors).map(<[_]>::len));
        assert_eq!(dict_of("{}"), Ok(0));
        assert_eq!(dict_of("null"), Err("dict_type".to_owned()));
        let model_of =
            |input| read(input, |json, loc, errors| model(json, loc, errors).map(<[_]>::len));
        assert_eq!(model_of("[]"), Err("model_attributes_type".to_owned()));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in "[-+0-9TtZz:., _eE]{0,30}|\\PC{0,20}") {
            let json = Json::Str(Cow::Owned(text));
            let mut errors = Errors::new();
            let loc = Loc::QUERY;
            if let Some(datetime) = aware_datetime(&json, &loc, &mut errors) {
                prop_assert!(datetime.isoformat().len() >= 25);
            }
            let _ = int(&json, &loc, &mut errors);
            let _ = boolean(&json, &loc, &mut errors);
            let _ = uuid4(&json, &loc, &mut errors);
            let _ = decimal(&json, &loc, &mut errors);
        }

        #[test]
        fn no_number_makes_a_reader_panic(number: f64, whole: i64) {
            let mut errors = Errors::new();
            for json in [Json::Float(number), Json::Int(whole)] {
                let _ = aware_datetime(&json, &Loc::BODY, &mut errors);
                let _ = int(&json, &Loc::BODY, &mut errors);
                let _ = boolean(&json, &Loc::BODY, &mut errors);
                let _ = decimal(&json, &Loc::BODY, &mut errors);
            }
        }

        #[test]
        fn isoformat_is_read_back(micros in -62_135_510_400_000_000_i64..253_402_214_400_000_000, minutes in -1439..1440) {
            let datetime = AwareDateTime {
                timestamp: Timestamp::from_micros(micros).unwrap(),
                offset_seconds: minutes * 60,
            };
            prop_assert_eq!(read(&quoted(&datetime.isoformat()), aware_datetime), Ok(datetime));
        }

        #[test]
        fn decimals_are_read_back(mantissa in -99_999_999_999_999_999_i64..100_000_000_000_000_000) {
            let decimal = Decimal { mantissa, scale: 12 };
            let again = read(&quoted(&decimal.to_string()), super::decimal).unwrap();
            let factor = 10_i64.pow(u32::from(12 - again.scale));
            prop_assert_eq!(again.mantissa * factor, mantissa);
        }
    }
}
