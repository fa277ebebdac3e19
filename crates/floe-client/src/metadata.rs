//! What callers attach to events, meters and customers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::cost::Cost;
use crate::llm::Llm;

/// Values by key, in the keys' order.
///
/// Of a meter or a customer: at most 50 keys of 1 to 40 characters. Of an event: any number of
/// keys of any length, and the keys `_cost` and `_llm`, whose values are a [`Cost`] and an
/// [`Llm`]. Values are texts of 1 to 500 characters, numbers and truth values.
///
/// It is read from JSON; other formats of serde have no way to tell a large number's digits.
///
/// ```
/// use floe_client::{Metadata, MetadataValue};
///
/// let metadata = Metadata::new().with("model", "small").with("tokens", 120).with("cached", false);
/// assert_eq!(metadata.get("tokens"), Some(&MetadataValue::Integer(120)));
/// assert_eq!(
///     serde_json::to_string(&metadata)?,
///     r#"{"cached":false,"model":"small","tokens":120}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
// Each key is there once. A tree would be faster only to fill with thousands of keys one by one, and
// an event's few are written faster from one place: it is what a batch's writing waits for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metadata(Vec<(String, MetadataValue)>);

impl Metadata {
    /// None.
    ///
    /// ```
    /// assert!(floe_client::Metadata::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more value; it replaces what the key had.
    ///
    /// ```
    /// let metadata = floe_client::Metadata::new().with("tokens", 120).with("tokens", 80);
    /// assert_eq!(metadata.get("tokens"), Some(&80.into()));
    /// ```
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<MetadataValue>) -> Self {
        self.insert(key, value);
        self
    }

    /// Adds a value, and answers what the key had before.
    ///
    /// ```
    /// let mut metadata = floe_client::Metadata::new();
    /// assert_eq!(metadata.insert("tokens", 120), None);
    /// ```
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: impl Into<MetadataValue>,
    ) -> Option<MetadataValue> {
        let (key, value) = (key.into(), value.into());
        match self.place(&key) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, value)),
            Err(place) => {
                self.0.insert(place, (key, value));
                None
            }
        }
    }

    /// Where a key is, or would be.
    fn place(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.as_str().cmp(key))
    }

    /// The value of a key.
    ///
    /// ```
    /// let metadata = floe_client::Metadata::new().with("model", "small");
    /// assert_eq!(metadata.get("model"), Some(&"small".into()));
    /// assert_eq!(metadata.get("tokens"), None);
    /// ```
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&MetadataValue> {
        self.place(key).ok().map(|place| &self.0[place].1)
    }

    /// Keys and values, in the keys' order.
    ///
    /// ```
    /// let metadata = floe_client::Metadata::from([("b", 1), ("a", 2)]);
    /// let keys: Vec<_> = metadata.iter().map(|(key, _)| key).collect();
    /// assert_eq!(keys, ["a", "b"]);
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &MetadataValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// How many keys.
    ///
    /// ```
    /// assert_eq!(floe_client::Metadata::from([("a", 1), ("b", 2)]).len(), 2);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    ///
    /// ```
    /// use floe_client::Metadata;
    ///
    /// assert!(Metadata::new().is_empty());
    /// assert!(!Metadata::new().with("tokens", 120).is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<MetadataValue>> FromIterator<(K, V)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value.into()));
        let mut entries: Vec<(String, MetadataValue)> = entries.collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        // Of a key's values the last stays, as with `insert`.
        entries.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                std::mem::swap(&mut later.1, &mut kept.1);
            }
            is_same
        });
        Self(entries)
    }
}

impl<K: Into<String>, V: Into<MetadataValue>, const N: usize> From<[(K, V); N]> for Metadata {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl IntoIterator for Metadata {
    type Item = (String, MetadataValue);
    type IntoIter = std::vec::IntoIter<(String, MetadataValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = BTreeMap::<String, Box<RawValue>>::deserialize(deserializer)?;
        let entries = raw.into_iter().map(|(key, raw)| {
            let value = MetadataValue::of_key(&key, raw.get()).map_err(de::Error::custom)?;
            Ok((key, value))
        });
        entries.collect::<Result<_, _>>().map(Self)
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// A value of [`Metadata`]. Made from Rust's own by `into`.
///
/// ```
/// use floe_client::MetadataValue;
///
/// assert_eq!(MetadataValue::from(7), MetadataValue::Integer(7));
/// assert_eq!(MetadataValue::from(7.0), MetadataValue::Float(7.0));
/// assert_eq!(MetadataValue::from("7"), MetadataValue::String("7".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum MetadataValue {
    /// A text of 1 to 500 characters.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A whole number beyond 64 bits, exactly.
    LargeInteger(LargeInteger),
    /// A number that may have a fraction: `7.0` differs from `7` as a text, not as a number. It
    /// must be finite; servers refuse what is not.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// What the event cost, at the key `_cost`.
    Cost(Box<Cost>),
    /// What a language model did, at the key `_llm`.
    Llm(Box<Llm>),
    /// Anything else that JSON can say. Servers send it with their own events; they refuse it in
    /// a caller's.
    Json(serde_json::Value),
}

impl MetadataValue {
    fn of_key(key: &str, text: &str) -> Result<Self, serde_json::Error> {
        match (key, text.as_bytes().first()) {
            ("_cost", Some(b'{')) => {
                if let Ok(cost) = serde_json::from_str(text) {
                    return Ok(Self::Cost(Box::new(cost)));
                }
            }
            ("_llm", Some(b'{')) => {
                if let Ok(llm) = serde_json::from_str(text) {
                    return Ok(Self::Llm(Box::new(llm)));
                }
            }
            _ => {}
        }
        Ok(match text.as_bytes().first() {
            Some(b'"') => Self::String(serde_json::from_str(text)?),
            Some(b't' | b'f') => Self::Boolean(serde_json::from_str(text)?),
            Some(b'-' | b'0'..=b'9') => match (text.parse(), text.parse()) {
                (Ok(integer), _) => Self::Integer(integer),
                (_, Ok(large)) => Self::LargeInteger(large),
                _ => Self::Float(serde_json::from_str(text)?),
            },
            _ => Self::Json(serde_json::from_str(text)?),
        })
    }
}

/// As filters of lists compare it: a text as it is, a number in its digits.
impl fmt::Display for MetadataValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => f.pad(text),
            Self::Integer(number) => fmt::Display::fmt(number, f),
            Self::LargeInteger(number) => fmt::Display::fmt(number, f),
            Self::Float(number) if number.is_finite() => f.pad(&format!("{number:?}")),
            Self::Float(number) => fmt::Display::fmt(number, f),
            Self::Boolean(value) => fmt::Display::fmt(value, f),
            Self::Cost(cost) => f.pad(&serde_json::to_string(cost).map_err(|_| fmt::Error)?),
            Self::Llm(llm) => f.pad(&serde_json::to_string(llm).map_err(|_| fmt::Error)?),
            Self::Json(json) => f.pad(&json.to_string()),
        }
    }
}

macro_rules! from_integers {
    ($($Integer:ty),+) => {
        $(impl From<$Integer> for MetadataValue {
            fn from(number: $Integer) -> Self {
                match i64::try_from(number) {
                    Ok(number) => Self::Integer(number),
                    Err(_) => Self::LargeInteger(LargeInteger(number.to_string())),
                }
            }
        })+
    };
}

from_integers!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);

impl From<&str> for MetadataValue {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for MetadataValue {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<f32> for MetadataValue {
    fn from(number: f32) -> Self {
        Self::Float(number.into())
    }
}

impl From<f64> for MetadataValue {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for MetadataValue {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<Cost> for MetadataValue {
    fn from(cost: Cost) -> Self {
        Self::Cost(Box::new(cost))
    }
}

impl From<Llm> for MetadataValue {
    fn from(llm: Llm) -> Self {
        Self::Llm(Box::new(llm))
    }
}

/// A whole number of any length, in decimal digits.
///
/// ```
/// use floe_client::LargeInteger;
///
/// let number: LargeInteger = "123456789012345678901234567890".parse()?;
/// assert_eq!(number.to_string(), "123456789012345678901234567890");
/// assert!("12e3".parse::<LargeInteger>().is_err());
/// # Ok::<(), floe_client::InvalidInteger>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LargeInteger(String);

impl fmt::Display for LargeInteger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for LargeInteger {
    type Err = InvalidInteger;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_number = !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        if is_number { Ok(Self(text.to_owned())) } else { Err(InvalidInteger(())) }
    }
}

impl Serialize for LargeInteger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = RawValue::from_string(self.0.clone()).map_err(serde::ser::Error::custom)?;
        digits.serialize(serializer)
    }
}

/// A text is no whole number in decimal digits, perhaps after a minus sign.
///
/// ```
/// let error = "1.5".parse::<floe_client::LargeInteger>().unwrap_err();
/// assert_eq!(error.to_string(), "a whole number is written in decimal digits");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a whole number is written in decimal digits")]
pub struct InvalidInteger(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_goes_both_ways() {
        let text = concat!(
            r#"{"_cost":{"amount":"0.10","currency":"usd"},"#,
            r#""_llm":{"vendor":"v","model":"m","prompt":null,"response":null,"#,
            r#""input_tokens":1,"output_tokens":2,"total_tokens":3},"#,
            r#""b":true,"f":7.0,"g":1e+100,"h":0.30000000000000004,"i":7,"#,
            r#""j":-9223372036854775808,"k":9223372036854775808,"#,
            r#""l":123456789012345678901234567890,"n":null,"o":{"a":[1]},"s":"é\n"}"#,
        );
        let metadata: Metadata = serde_json::from_str(text).unwrap();
        assert!(matches!(metadata.get("_cost"), Some(MetadataValue::Cost(_))));
        assert!(matches!(metadata.get("_llm"), Some(MetadataValue::Llm(_))));
        assert_eq!(metadata.get("i"), Some(&MetadataValue::Integer(7)));
        assert_eq!(metadata.get("f"), Some(&MetadataValue::Float(7.0)));
        assert_eq!(metadata.get("k"), Some(&MetadataValue::from(1_u64 << 63)));
        let written = serde_json::to_string(&metadata).unwrap();
        assert_eq!(serde_json::from_str::<Metadata>(&written).unwrap(), metadata);
        assert_eq!(written.replace("1e100", "1e+100"), text);
    }

    #[test]
    fn a_key_has_the_value_that_came_last() {
        let mut metadata = Metadata::from([("b", 1), ("a", 2), ("b", 3), ("", 4), ("b", 5)]);
        let entries: Vec<_> = metadata.iter().map(|(key, value)| (key, value.clone())).collect();
        assert_eq!(entries, [("", 4.into()), ("a", 2.into()), ("b", 5.into())]);
        assert_eq!(metadata.insert("b", 6), Some(5.into()));
        assert_eq!(metadata.insert("aa", 7), None);
        let text = serde_json::to_string(&metadata).unwrap();
        assert_eq!(text, r#"{"":4,"a":2,"aa":7,"b":6}"#);
        assert_eq!((metadata.get("aa"), metadata.get("ab")), (Some(&7.into()), None));
        assert_eq!(
            serde_json::from_str::<Metadata>(r#"{"b":1,"a":2,"b":3}"#).unwrap(),
            Metadata::from([("a", 2), ("b", 3)])
        );
    }

    #[test]
    fn a_value_is_written_as_filters_compare_it() {
        let check = |value: MetadataValue, text: &str| assert_eq!(value.to_string(), text);
        check("a b".into(), "a b");
        check(7.into(), "7");
        check(7.0.into(), "7.0");
        check(1.5.into(), "1.5");
        check(true.into(), "true");
    }
}
