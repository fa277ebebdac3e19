//! Query strings: parameters as text, and the readers that all lists share (contract sections 1.9
//! to 1.12).

use std::borrow::Cow;
use std::collections::HashMap;

use floe_core::limits::PAGE_ITEMS_MAX;
use uuid::Uuid;

use crate::errors::{self, Errors, Loc};
use crate::json::Json;
use crate::scalar::{self, WideInt};

/// Items on a page unless the request says otherwise.
const PAGE_ITEMS_DEFAULT: u64 = 10;

/// The parameters of a query string, decoded, in their order.
///
/// ```
/// use floe_api::query::QueryParams;
/// let query = QueryParams::parse("name=a+b&name=c%2Fd&metadata[plan]=pro");
/// assert_eq!(query.all("name"), ["a b", "c/d"]);
/// assert_eq!(query.metadata(), [("plan".to_owned(), vec!["pro".to_owned()])]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryParams(Vec<(String, String)>);

impl QueryParams {
    /// Reads `application/x-www-form-urlencoded` text, as Python's `parse_qsl` does with blank
    /// values kept: a `%` without two hexadecimal digits stands for itself, and bytes that are not
    /// UTF-8 become U+FFFD.
    #[must_use]
    pub fn parse(raw_query: &str) -> Self {
        let pairs = raw_query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        )
    }

    /// The value of `name`; the last one counts.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of `name`, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// What `metadata[key]=value` asks for: each key once, in the order of appearance, with the
    /// values one of which it must have.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, Vec<String>)> {
        let mut conditions: Vec<(String, Vec<String>)> = Vec::new();
        let mut positions = HashMap::new();
        for (name, value) in &self.0 {
            let bracketed = name.strip_prefix("metadata[");
            let Some((key, _)) = bracketed.and_then(|rest| rest.split_once(']')) else { continue };
            if key.is_empty() {
                continue;
            }
            let position = *positions.entry(key).or_insert(conditions.len());
            match conditions.get_mut(position) {
                Some((_, values)) => values.push(value.clone()),
                None => conditions.push((key.to_owned(), vec![value.clone()])),
            }
        }
        conditions
    }

    /// The parameter `name` read by `reader`; `None` if it is absent or wrong.
    pub fn optional<T>(
        &self,
        name: &str,
        errors: &mut Errors,
        reader: impl FnOnce(&Json<'_>, &Loc<'_>, &mut Errors) -> Option<T>,
    ) -> Option<T> {
        let text = self.last(name)?;
        reader(&Json::Str(Cow::Borrowed(text)), &Loc::QUERY.key(name), errors)
    }

    /// The parameter `name` read by `reader`; `None` if it is wrong, and being absent is wrong.
    pub fn required<T>(
        &self,
        name: &str,
        errors: &mut Errors,
        reader: impl FnOnce(&Json<'_>, &Loc<'_>, &mut Errors) -> Option<T>,
    ) -> Option<T> {
        if self.last(name).is_none() {
            errors.push(&Loc::QUERY.key(name), errors::missing(), &Json::Null);
        }
        self.optional(name, errors, reader)
    }

    /// The values of `name`, each read by `reader`; `None` if there are none. Wrong values are
    /// errors at `["query", name, index]` and left out.
    pub fn many<T>(
        &self,
        name: &str,
        errors: &mut Errors,
        mut reader: impl FnMut(&Json<'_>, &Loc<'_>, &mut Errors) -> Option<T>,
    ) -> Option<Vec<T>> {
        let texts = self.all(name);
        if texts.is_empty() {
            return None;
        }
        let loc = Loc::QUERY.key(name);
        let mut values = Vec::with_capacity(texts.len());
        for (index, text) in texts.into_iter().enumerate() {
            let json = Json::Str(Cow::Borrowed(text));
            values.extend(reader(&json, &loc.index(index), errors));
        }
        Some(values)
    }

    /// The values of `name` as UUIDs of version 4; `None` if there are none.
    pub fn uuids(&self, name: &str, errors: &mut Errors) -> Option<Vec<Uuid>> {
        self.many(name, errors, scalar::uuid4)
    }

    /// The values of `name` as they are; `None` if there are none.
    #[must_use]
    pub fn strings(&self, name: &str) -> Option<Vec<String>> {
        let texts = self.all(name);
        (!texts.is_empty()).then(|| texts.into_iter().map(str::to_owned).collect())
    }

    /// `page` and `limit`.
    pub fn paging(&self, errors: &mut Errors) -> Paging {
        let page = self.optional("page", errors, positive);
        let limit = self.optional("limit", errors, positive);
        Paging {
            page: page.unwrap_or(1),
            limit: limit.unwrap_or(PAGE_ITEMS_DEFAULT).min(PAGE_ITEMS_MAX),
        }
    }

    /// `sorting`: criteria in order, each an option's name, with `-` in front to descend;
    /// `default` if there are none.
    pub fn sorting<T: Copy>(
        &self,
        options: &[(&str, T)],
        default: &[(T, Direction)],
        errors: &mut Errors,
    ) -> Vec<(T, Direction)> {
        let criteria = self.many("sorting", errors, |json, loc, errors| {
            let text = json.as_str().unwrap_or_default();
            let (name, direction) = match text.strip_prefix('-') {
                Some(name) => (name, Direction::Descending),
                None => (text, Direction::Ascending),
            };
            let option = options.iter().find(|(option, _)| *option == name);
            if option.is_none() {
                let names: Vec<String> = options
                    .iter()
                    .flat_map(|(option, _)| [(*option).to_owned(), format!("-{option}")])
                    .collect();
                let names = names.iter().map(String::as_str);
                errors.push(loc, errors::enumeration(names), json);
            }
            option.map(|(_, option)| (*option, direction))
        });
        criteria.unwrap_or_else(|| default.to_vec())
    }
}

/// An integer above 0; [`u64::MAX`] if it is beyond 64 bits.
fn positive(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<u64> {
    match scalar::int(json, loc, errors)? {
        WideInt::In(value) if value > 0 => u64::try_from(value).ok(),
        WideInt::Above => Some(u64::MAX),
        WideInt::In(_) | WideInt::Below => {
            errors.push(loc, errors::greater_than(0), json);
            None
        }
    }
}

/// Which page of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    page: u64,
    limit: u64,
}

impl Paging {
    /// The page, from 1; [`u64::MAX`] for numbers beyond 64 bits, which is past the end.
    #[must_use]
    pub const fn page(self) -> u64 {
        self.page
    }

    /// Items on a page, 1 to [`PAGE_ITEMS_MAX`].
    #[must_use]
    pub const fn limit(self) -> u64 {
        self.limit
    }

    /// Items before the page; saturates, which is past the end.
    #[must_use]
    pub const fn offset(self) -> u64 {
        self.page.saturating_sub(1).saturating_mul(self.limit)
    }

    /// The number of pages that `total_count` items fill.
    #[must_use]
    pub const fn max_page(self, total_count: u64) -> u64 {
        total_count.div_ceil(self.limit)
    }
}

/// The direction of a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// `+` is a space, `%41` is `A`.
fn decode(text: &str) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high * 16 + low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (byte, _) => bytes.push(*byte),
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(raw: &str, expected: &[(&str, &str)]) {
        let pairs = expected.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        assert_eq!(QueryParams::parse(raw), QueryParams(pairs.collect()), "{raw}");
    }

    #[test]
    fn parameters_are_decoded() {
        check("", &[]);
        check("&&a=1&&", &[("a", "1")]);
        check("a&b=&=c", &[("a", ""), ("b", ""), ("", "c")]);
        check("a=1+2%2B3&b=x=y", &[("a", "1 2+3"), ("b", "x=y")]);
        check("%61%5B=%C3%a9", &[("a[", "é")]);
        check("a=%&b=%4&c=%zz%41&d=%%41", &[("a", "%"), ("b", "%4"), ("c", "%zzA"), ("d", "%A")]);
        check("a=%ff%C3&b=%E2%82x%F0%9F", &[("a", "\u{fffd}\u{fffd}"), ("b", "\u{fffd}x\u{fffd}")]);
        check("a=1;b=2", &[("a", "1;b=2")]);
        check("a=é", &[("a", "é")]);
    }

    #[test]
    fn the_last_value_of_a_scalar_counts() {
        let query = QueryParams::parse("a=1&b=2&a=3");
        assert_eq!(query.last("a"), Some("3"));
        assert_eq!(query.all("a"), ["1", "3"]);
        assert_eq!(query.last("c"), None);
        assert_eq!(query.strings("c"), None);
        assert_eq!(query.strings("b"), Some(vec!["2".to_owned()]));
    }

    #[test]
    fn metadata_conditions_are_grouped_by_key() {
        let query = QueryParams::parse(
            "metadata[a]=1&metadata%5Bb%5D=2&metadata[a]=3&metadata[c][d]=4&metadata[]=5\
             &metadata=6&metadata[e=7&xmetadata[f]=8&metadata[g[h]i=9",
        );
        let found = query.metadata();
        let found: Vec<(&str, Vec<&str>)> = found
            .iter()
            .map(|(key, values)| (key.as_str(), values.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            found,
            [("a", vec!["1", "3"]), ("b", vec!["2"]), ("c", vec!["4"]), ("g[h", vec!["9"])]
        );
    }

    /// The errors as compact JSON.
    fn json_of(errors: &Errors) -> String {
        serde_json::to_string(errors.items()).unwrap()
    }

    #[track_caller]
    fn check_paging(raw: &str, expected: (u64, u64), expected_types: &[(&str, &str)]) {
        let mut errors = Errors::new();
        let Paging { page, limit } = QueryParams::parse(raw).paging(&mut errors);
        assert_eq!((page, limit), expected, "{raw}");
        let types: Vec<_> = errors
            .items()
            .iter()
            .map(|item| {
                let value = serde_json::to_value(item).unwrap();
                (value["loc"][1].as_str().unwrap().to_owned(), value["type"].to_string())
            })
            .collect();
        let expected: Vec<_> = expected_types
            .iter()
            .map(|(at, kind)| ((*at).to_owned(), format!("\"{kind}\"")))
            .collect();
        assert_eq!(types, expected, "{raw}");
    }

    #[test]
    fn paging_has_defaults_and_limits() {
        check_paging("", (1, 10), &[]);
        check_paging("page=3&limit=20", (3, 20), &[]);
        check_paging("limit=1000", (1, 100), &[]);
        check_paging("limit=99999999999999999999", (1, 100), &[]);
        check_paging("page=99999999999999999999", (u64::MAX, 10), &[]);
        check_paging("page=18446744073709551615", (u64::MAX, 10), &[]);
        check_paging(
            "page=0&limit=0",
            (1, 10),
            &[("page", "greater_than"), ("limit", "greater_than")],
        );
        check_paging("page=-1", (1, 10), &[("page", "greater_than")]);
        check_paging("page=-99999999999999999999", (1, 10), &[("page", "greater_than")]);
        check_paging("limit=", (1, 10), &[("limit", "int_parsing")]);
        check_paging(
            "limit=1.5&page=x",
            (1, 10),
            &[("page", "int_parsing"), ("limit", "int_parsing")],
        );
        let mut errors = Errors::new();
        QueryParams::parse("page=0").paging(&mut errors);
        assert_eq!(
            json_of(&errors),
            r#"[{"type":"greater_than","loc":["query","page"],"msg":"Input should be greater than 0","input":"0","ctx":{"gt":0}}]"#
        );
        let paging = QueryParams::parse("page=99999999999999999999&limit=100").paging(&mut errors);
        assert_eq!(paging.offset(), u64::MAX);
        assert_eq!((paging.max_page(0), paging.max_page(100), paging.max_page(101)), (0, 1, 2));
    }

    #[test]
    fn sorting_is_a_list_of_criteria() {
        let options = [("created_at", 'c'), ("name", 'n')];
        let default = [('n', Direction::Ascending)];
        let read = |raw: &str, errors: &mut Errors| {
            QueryParams::parse(raw).sorting(&options, &default, errors)
        };
        let mut errors = Errors::new();
        assert_eq!(read("", &mut errors), default);
        assert_eq!(
            read("sorting=-created_at&sorting=name", &mut errors),
            [('c', Direction::Descending), ('n', Direction::Ascending)]
        );
        assert!(errors.is_empty());
        read("sorting=name&sorting=x", &mut errors);
        assert_eq!(
            json_of(&errors),
            r#"[{"type":"enum","loc":["query","sorting",1],"msg":"Input should be 'created_at', '-created_at', 'name' or '-name'","input":"x","ctx":{"expected":"'created_at', '-created_at', 'name' or '-name'"}}]"#
        );
        for wrong in ["sorting=", "sorting=--name", "sorting=name,created_at", "sorting=Name"] {
            let mut errors = Errors::new();
            read(wrong, &mut errors);
            assert_eq!(errors.len(), 1, "{wrong}");
        }
    }

    #[test]
    fn a_wrong_value_of_many_is_named_by_its_index() {
        let mut errors = Errors::new();
        let query =
            QueryParams::parse("customer_id=a8ea8fc6-0a41-4545-90b9-11be3a6eaaac&customer_id=nope");
        assert_eq!(query.uuids("customer_id", &mut errors).map(|ids| ids.len()), Some(1));
        assert_eq!(query.uuids("meter_id", &mut errors), None);
        assert_eq!(
            json_of(&errors),
            r#"[{"type":"uuid_parsing","loc":["query","customer_id",1],"msg":"Input should be a valid UUID, invalid character: found `n` at 1","input":"nope","ctx":{"error":"invalid character: found `n` at 1"}}]"#
        );
    }

    #[test]
    fn an_absent_parameter_may_be_missing() {
        let mut errors = Errors::new();
        let query = QueryParams::parse("a=1");
        assert_eq!(query.required("a", &mut errors, scalar::boolean), Some(true));
        assert_eq!(query.optional("b", &mut errors, scalar::boolean), None);
        assert!(errors.is_empty());
        assert_eq!(query.required("b", &mut errors, scalar::boolean), None);
        assert_eq!(
            json_of(&errors),
            r#"[{"type":"missing","loc":["query","b"],"msg":"Field required","input":null}]"#
        );
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(raw in "[%&=+a-f0-9\\[\\]]{0,30}|\\PC{0,30}") {
            let query = QueryParams::parse(&raw);
            let _ = query.metadata();
            let _ = query.paging(&mut Errors::new());
        }

        #[test]
        fn encoded_text_is_read_back(text in "\\PC{0,20}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let query = QueryParams::parse(&format!("x={encoded}"));
            prop_assert_eq!(query.last("x"), Some(text.as_str()));
        }
    }
}
