//! Values of event metadata.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::number::Number;

/// A JSON value in event metadata.
///
/// Arrays and nulls cannot be ingested (but for two nulls in `_llm`); they have a meaning here
/// because filters are defined on all of JSON (semantics section 2).
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// JSON null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number<'a>),
    /// A string.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object; its keys are distinct.
    Object(Metadata<'a>),
}

/// An object of event metadata: distinct keys, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Metadata<'a> {
    /// Takes entries whose keys the caller knows to be distinct.
    #[must_use]
    pub fn from_distinct(entries: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        Self(entries)
    }

    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Follows a path of keys; each step but the last must be an object.
    #[must_use]
    pub fn at(&self, path: &[String]) -> Option<&Value<'a>> {
        let (last, parents) = path.split_last()?;
        let mut object = self;
        for key in parents {
            match object.get(key)? {
                Value::Object(inner) => object = inner,
                _ => return None,
            }
        }
        object.get(last)
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value<'a>)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// The entries, in order.
    #[must_use]
    pub fn into_entries(self) -> Vec<(Cow<'a, str>, Value<'a>)> {
        self.0
    }

    /// The same metadata, not borrowing from its source.
    #[must_use]
    pub fn into_owned(self) -> Metadata<'static> {
        let own = |(key, value): (Cow<'a, str>, Value<'a>)| {
            (Cow::Owned(key.into_owned()), value.into_owned())
        };
        Metadata(self.0.into_iter().map(own).collect())
    }
}

impl<'a> Value<'a> {
    /// The same value, not borrowing from its source.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => Value::Number(number.into_owned()),
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Self::Object(object) => Value::Object(object.into_owned()),
        }
    }

    /// The same value, borrowing from this one; free for anything but objects and arrays.
    #[must_use]
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.borrowed()),
            Self::String(text) => Value::String(Cow::Borrowed(text)),
            Self::Array(items) => Value::Array(items.iter().map(Value::borrowed).collect()),
            Self::Object(object) => Value::Object(Metadata(
                object.iter().map(|(key, value)| (Cow::Borrowed(key), value.borrowed())).collect(),
            )),
        }
    }

    /// The text that `like` and metadata filters look at (semantics section 2.3): strings as they
    /// are, numbers in canonical decimal, booleans `true`/`false`, objects and arrays as
    /// PostgreSQL prints `jsonb`; `None` for null.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null => None,
            Self::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::String(text) => Some(Cow::Borrowed(text)),
            Self::Array(_) | Self::Object(_) => {
                let mut out = String::new();
                self.write_jsonb(&mut out);
                Some(Cow::Owned(out))
            }
        }
    }

    /// PostgreSQL's text of a `jsonb`: keys by length, then bytes; a space after `:` and `,`.
    fn write_jsonb(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{number}");
            }
            Self::String(text) => write_json_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.write_jsonb(out);
                }
                out.push(']');
            }
            Self::Object(object) => {
                let mut entries: Vec<_> = object.iter().collect();
                entries.sort_by_key(|(key, _)| (key.len(), *key));
                out.push('{');
                for (index, (key, value)) in entries.into_iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    write_json_string(key, out);
                    out.push_str(": ");
                    value.write_jsonb(out);
                }
                out.push('}');
            }
        }
    }

    /// Appends a form in which two values are equal exactly if `unique` counts them as one
    /// (semantics section 3): `1` and `1.0` are one, `1`, `"1"` and `true` are three.
    pub fn write_canonical(&self, out: &mut String) {
        match self {
            Self::Null => out.push('n'),
            Self::Bool(value) => out.push(if *value { 't' } else { 'f' }),
            Self::Number(Number::Int(value)) => {
                let _ = write!(out, "{value}e-0");
            }
            Self::Number(number) => out.push_str(&number.exact().canonical_text()),
            Self::String(text) => write_json_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for item in items {
                    item.write_canonical(out);
                    out.push(',');
                }
                out.push(']');
            }
            Self::Object(object) => {
                let mut entries: Vec<_> = object.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                out.push('{');
                for (key, value) in entries {
                    write_json_string(key, out);
                    value.write_canonical(out);
                    out.push(',');
                }
                out.push('}');
            }
        }
    }
}

/// JSON string syntax as PostgreSQL writes it: only `"`, `\` and control characters are escaped.
fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
