//! Metadata on the wire: reading that of meters and customers (contract section 1.13), writing
//! every kind, and the text in which the catalog keeps it.
//!
//! Event metadata has other rules and is read in [`crate::event`]; what a plain value is, both
//! share.

use std::borrow::Cow;
use std::fmt;

use floe_core::limits::{METADATA_KEY_CHARS_MAX, METADATA_KEYS_MAX, METADATA_STRING_CHARS_MAX};
use floe_core::{Metadata, MetadataCondition, Number, Value};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

use crate::errors::{self, Errors, Loc};
use crate::json::{self, Json};
use crate::query::QueryParams;
use crate::scalar;

/// Reads the metadata of a meter or customer: at most 50 keys of 1 to 40 code points; values are
/// texts of 1 to 500 code points, integers of up to 4300 digits, finite floats and booleans.
/// U+0000 is the caller's to check.
pub fn parse_metadata(
    json: &Json<'_>,
    loc: &Loc<'_>,
    errors: &mut Errors,
) -> Option<Metadata<'static>> {
    let members = scalar::dict(json, loc, errors)?;
    let before = errors.len();
    let mut entries = Vec::with_capacity(members.len().min(METADATA_KEYS_MAX));
    for (key, value) in members {
        let loc = loc.key(key);
        let name = Json::Str(Cow::Borrowed(key));
        scalar::sized_string(&name, &loc.key("[key]"), errors, 1, METADATA_KEY_CHARS_MAX);
        if let Some(value) = plain_value(value, &loc, errors) {
            entries.push((Cow::Owned(key.clone().into_owned()), value.into_owned()));
        }
    }
    if errors.len() > before || entries.len() < members.len() {
        return None;
    }
    if entries.len() > METADATA_KEYS_MAX {
        errors.push(loc, errors::too_long(METADATA_KEYS_MAX, entries.len()), json);
        return None;
    }
    Some(Metadata::from_distinct(entries))
}

/// A value of metadata that is no object: a text of 1 to 500 code points, an integer, a finite
/// float or a boolean. It borrows from `json`.
pub(crate) fn plain_value<'j>(
    json: &'j Json<'j>,
    loc: &Loc<'_>,
    errors: &mut Errors,
) -> Option<Value<'j>> {
    let value = match json {
        Json::Str(text) if is_plain_text(text) => Some(Value::String(Cow::Borrowed(text))),
        Json::Int(value) => Some(Value::Number(Number::Int(*value))),
        Json::BigInt(digits) => Number::integer(digits).map(Value::Number),
        Json::Float(value) => Number::float(*value).map(Value::Number),
        Json::Bool(value) => Some(Value::Bool(*value)),
        Json::Null
        | Json::IntTooLong
        | Json::Str(_)
        | Json::LoneSurrogate
        | Json::Array(_)
        | Json::Object(_)
        | Json::TooDeep => None,
    };
    if value.is_none() {
        refuse_plain_value(json, loc, errors);
    }
    value
}

/// Whether a text is of 1 to 500 code points.
pub(crate) fn is_plain_text(text: &str) -> bool {
    // A code point has 1 to 4 bytes, so that the length mostly decides.
    match text.len() {
        0 => false,
        1..=METADATA_STRING_CHARS_MAX => true,
        bytes if bytes > 4 * METADATA_STRING_CHARS_MAX => false,
        _ => text.chars().count() <= METADATA_STRING_CHARS_MAX,
    }
}

/// One error for each member of the union that the value is not.
#[cold]
fn refuse_plain_value(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) {
    let text_loc = loc.key("constrained-str");
    scalar::sized_string(json, &text_loc, errors, 1, METADATA_STRING_CHARS_MAX);
    scalar::int(json, &loc.key("int"), errors);
    let not_a_float = match json {
        Json::Str(text) => {
            let is_float = text.trim().parse::<f64>().is_ok_and(f64::is_finite);
            (!is_float).then(errors::float_parsing)
        }
        Json::LoneSurrogate => Some(errors::string_unicode()),
        _ => Some(errors::float_type()),
    };
    if let Some(violation) = not_a_float {
        errors.push(&loc.key("float"), violation, json);
    }
    scalar::boolean(json, &loc.key("bool"), errors);
}

/// What `metadata[key]=value` asks for (contract section 1.12).
#[must_use]
pub fn metadata_conditions(query: &QueryParams) -> Vec<MetadataCondition> {
    let conditions = query.metadata().into_iter();
    conditions.map(|(key, values)| MetadataCondition { key, values }).collect()
}

/// Metadata of a meter or customer as it stands on the wire: integers with all their digits,
/// floats as floats.
#[derive(Debug, Clone, Copy)]
pub struct WireMetadata<'m>(pub &'m Metadata<'m>);

impl Serialize for WireMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, WireValue(value))))
    }
}

/// Metadata of an event as it stands on the wire: as [`WireMetadata`], but `_cost.amount` is a
/// string (contract section 1.5), and floats of 1e16 and more come back as integers (semantics
/// section 2.3).
#[derive(Debug, Clone, Copy)]
pub struct WireEventMetadata<'m>(pub &'m Metadata<'m>);

impl Serialize for WireEventMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.iter().len()))?;
        for (key, value) in self.0.iter() {
            match value {
                Value::Object(cost) if key == "_cost" => map.serialize_entry(key, &Cost(cost))?,
                Value::Number(number) if number.shows_as_integer() => {
                    map.serialize_entry(key, &Digits(number))?;
                }
                value => map.serialize_entry(key, &WireValue(value))?,
            }
        }
        map.end()
    }
}

/// Metadata of an event as ingestion takes it and makes the same of it: as [`WireMetadata`], but
/// `_cost.amount` is a string.
#[derive(Debug, Clone, Copy)]
pub struct WireExportMetadata<'m>(pub &'m Metadata<'m>);

impl Serialize for WireExportMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.iter().len()))?;
        for (key, value) in self.0.iter() {
            match value {
                Value::Object(cost) if key == "_cost" => map.serialize_entry(key, &Cost(cost))?,
                value => map.serialize_entry(key, &WireValue(value))?,
            }
        }
        map.end()
    }
}

struct Cost<'m>(&'m Metadata<'m>);

impl Serialize for Cost<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.iter().len()))?;
        for (key, value) in self.0.iter() {
            match value {
                Value::Number(amount) if key == "amount" => {
                    map.serialize_entry(key, &amount.to_string())?;
                }
                value => map.serialize_entry(key, &WireValue(value))?,
            }
        }
        map.end()
    }
}

/// A number by all its digits, without an exponent.
struct Digits<'m>(&'m Number<'m>);

impl Serialize for Digits<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Number::Int(value) => serializer.serialize_i64(*value),
            number => match RawValue::from_string(number.to_string()) {
                Ok(raw) => raw.serialize(serializer),
                // Not what `Number::integer` makes.
                Err(_) => serializer.collect_str(number),
            },
        }
    }
}

/// A value of metadata as it stands on the wire.
pub(crate) struct WireValue<'m>(pub(crate) &'m Value<'m>);

impl Serialize for WireValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(Number::Int(value)) => serializer.serialize_i64(*value),
            Value::Number(Number::Float(value)) => serializer.serialize_f64(*value),
            Value::Number(number @ (Number::Decimal { .. } | Number::Big(_))) => {
                Digits(number).serialize(serializer)
            }
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(items) => serializer.collect_seq(items.iter().map(WireValue)),
            Value::Object(object) => WireMetadata(object).serialize(serializer),
        }
    }
}

/// For `#[serde(serialize_with)]` on metadata of meters and customers.
pub(crate) fn serialize<S: Serializer>(
    metadata: &Metadata<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    WireMetadata(metadata).serialize(serializer)
}

/// For `#[serde(serialize_with)]` on metadata of events.
pub(crate) fn serialize_of_event<S: Serializer>(
    metadata: &Metadata<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    WireEventMetadata(metadata).serialize(serializer)
}

/// A text of the catalog that does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTextError {
    what: &'static str,
    reason: String,
}

impl StoredTextError {
    pub(crate) fn new(what: &'static str, reason: impl Into<String>) -> Self {
        Self { what, reason: reason.into() }
    }
}

impl fmt::Display for StoredTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stored text is no {}: {}", self.what, self.reason)
    }
}

impl std::error::Error for StoredTextError {}

/// The JSON text of `value`, which holds strings and finite numbers alone.
pub(crate) fn json_text(value: &impl Serialize) -> String {
    match serde_json::to_string(value) {
        Ok(text) => text,
        Err(error) => unreachable!("writing JSON to memory does not fail: {error}"),
    }
}

/// The JSON text in which the catalog keeps metadata of meters and customers;
/// [`metadata_from_json_text`] gives it back as it was.
///
/// ```
/// use floe_api::metadata::{metadata_from_json_text, metadata_to_json_text};
/// let text = r#"{"i":1,"f":1.0,"big":123456789012345678901234567890}"#;
/// assert_eq!(metadata_to_json_text(&metadata_from_json_text(text).unwrap()), text);
/// ```
#[must_use]
pub fn metadata_to_json_text(metadata: &Metadata<'_>) -> String {
    json_text(&WireMetadata(metadata))
}

/// Reads what [`metadata_to_json_text`] wrote; limits of the wire are not checked again.
///
/// # Errors
///
/// The text is not a JSON object of texts, finite numbers, booleans, nulls, lists and objects.
pub fn metadata_from_json_text(text: &str) -> Result<Metadata<'static>, StoredTextError> {
    let error = |reason: String| StoredTextError::new("metadata", reason);
    let json = json::parse(text.as_bytes()).map_err(|reason| error(reason.to_string()))?;
    match value_of(&json) {
        Some(Value::Object(metadata)) => Ok(metadata.into_owned()),
        Some(_) => Err(error("it is not an object".to_owned())),
        None => Err(error("it holds what no metadata can".to_owned())),
    }
}

/// Any JSON but endless integers, infinities, lone surrogates and endless nesting.
fn value_of<'j>(json: &'j Json<'j>) -> Option<Value<'j>> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Int(value) => Value::Number(Number::Int(*value)),
        Json::BigInt(digits) => Value::Number(Number::integer(digits)?),
        Json::Float(value) => Value::Number(Number::float(*value)?),
        Json::Str(text) => Value::String(Cow::Borrowed(text)),
        Json::Array(items) => Value::Array(items.iter().map(value_of).collect::<Option<_>>()?),
        Json::Object(members) => {
            let entries =
                members.iter().map(|(key, value)| Some((Cow::Borrowed(&**key), value_of(value)?)));
            Value::Object(Metadata::from_distinct(entries.collect::<Option<_>>()?))
        }
        Json::IntTooLong | Json::LoneSurrogate | Json::TooDeep => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::tests::{check_errors, read};
    use proptest::prelude::*;

    fn reader(json: &Json<'_>, errors: &mut Errors) -> Option<Metadata<'static>> {
        parse_metadata(json, &Loc::BODY.key("metadata"), errors)
    }

    #[track_caller]
    fn check_key(key: &str, kind: &str) {
        let expected = if kind.is_empty() {
            String::new()
        } else {
            format!(r#"{kind} ["body","metadata","{key}","[key]"]"#)
        };
        check_errors(&format!(r#"{{"{key}":1}}"#), reader, &expected);
    }

    #[test]
    fn keys_have_1_to_40_code_points() {
        check_key("", "string_too_short");
        check_key("k", "");
        check_key(&"ä".repeat(40), "");
        check_key(&"ä".repeat(41), "string_too_long");
    }

    #[test]
    fn there_are_at_most_50_keys() {
        let object = |count: usize, value: &str| {
            let members: Vec<_> = (0..count).map(|key| format!("\"{key}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(read(&object(50, "1"), reader).0.map(|found| found.iter().len()), Some(50));
        check_errors(&object(51, "1"), reader, r#"too_long ["body","metadata"]"#);
        // Items come first.
        let (_, errors) = read(&object(51, "null"), reader);
        assert!(!errors.contains("too_long"));
        check_errors("null", reader, r#"dict_type ["body","metadata"]"#);
    }

    #[test]
    fn values_are_of_one_of_four_types() {
        let (found, _) = read(
            r#"{"i":1,"f":1.0,"s":"1","b":true,"big":123456789012345678901234567890}"#,
            reader,
        );
        assert_eq!(
            metadata_to_json_text(&found.unwrap()),
            r#"{"i":1,"f":1.0,"s":"1","b":true,"big":123456789012345678901234567890}"#
        );
        check_errors(
            r#"{"_cost":{"amount":1,"currency":"usd"}}"#,
            reader,
            "string_type [\"body\",\"metadata\",\"_cost\",\"constrained-str\"]; \
             int_type [\"body\",\"metadata\",\"_cost\",\"int\"]; \
             float_type [\"body\",\"metadata\",\"_cost\",\"float\"]; \
             bool_type [\"body\",\"metadata\",\"_cost\",\"bool\"]",
        );
        let (_, errors) = read(r#"{"a":[1]}"#, reader);
        assert!(errors.starts_with(r#"string_type ["body","metadata","a","constrained-str"]"#));
    }

    #[test]
    fn amounts_are_strings_in_events_only() {
        let cost = Value::Object(Metadata::from_distinct(vec![(
            "amount".into(),
            Value::Number(Number::decimal(15, 1).unwrap()),
        )]));
        let metadata = Metadata::from_distinct(vec![
            ("_cost".into(), cost.clone()),
            ("other".into(), cost),
            ("list".into(), Value::Array(vec![Value::Null])),
        ]);
        assert_eq!(
            json_text(&WireEventMetadata(&metadata)),
            r#"{"_cost":{"amount":"1.5"},"other":{"amount":1.5},"list":[null]}"#
        );
        assert_eq!(
            json_text(&WireMetadata(&metadata)),
            r#"{"_cost":{"amount":1.5},"other":{"amount":1.5},"list":[null]}"#
        );
        let odd = Metadata::from_distinct(vec![("_cost".into(), Value::Bool(true))]);
        assert_eq!(json_text(&WireEventMetadata(&odd)), r#"{"_cost":true}"#);
    }

    #[test]
    fn a_stored_text_is_checked() {
        for wrong in ["", "[]", "1", "{", "{\"a\":NaN}", "{\"a\":\"\\ud800\"}"] {
            assert!(metadata_from_json_text(wrong).is_err(), "{wrong}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value<'static>> {
        prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|value| Value::Number(Number::Int(value))),
            any::<f64>().prop_filter_map("finite", |value| Number::float(value).map(Value::Number)),
            "-?[1-9][0-9]{19,60}".prop_map(|digits| {
                Value::Number(Number::integer(&digits).unwrap().into_owned())
            }),
            "\\PC{1,10}|[\\x01-\\x7f]{1,5}".prop_map(|text| Value::String(text.into())),
        ]
    }

    proptest! {
        #[test]
        fn stored_metadata_is_read_back(
            entries in prop::collection::hash_map("\\PC{1,5}", any_value(), 0..6)
        ) {
            let entries = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
            let metadata = Metadata::from_distinct(entries);
            let text = metadata_to_json_text(&metadata);
            prop_assert_eq!(metadata_from_json_text(&text), Ok(metadata.clone()));
            let (parsed, _) = read(&text, reader);
            prop_assert_eq!(parsed, Some(metadata));
        }
    }
}
