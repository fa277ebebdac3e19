//! Which meter derived data is of: its filter and aggregation, and nothing else about it.
//!
//! Meters with one definition share their data, and one whose definition changes never meets the
//! data of the old one.

use std::fmt;

use floe_api::meter::{
    aggregation_from_json_text, aggregation_to_json_text, filter_from_json_text,
    filter_to_json_text,
};
use floe_core::{Aggregation, Filter};
use sha2::{Digest as _, Sha256};

/// Bytes of a definition's text; a longer one has no derived data, and its events are scanned.
/// It is kept with the data, so that it can be computed again and compared.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Version of what derived data mean. When an evaluation changes, data of before must not be used.
const MEANING: &[u8] = b"floe derived data 1\n";

/// A filter and an aggregation.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Definition {
    pub(super) filter: Filter,
    pub(super) aggregation: Aggregation,
    /// Filter and aggregation as the catalog keeps them.
    text: Box<str>,
    key: Key,
}

/// Tells definitions apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) struct Key([u8; 16]);

impl Key {
    /// Reads what [`Display`](fmt::Display) shows.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|key| Self(key.to_be_bytes()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Definition {
    /// The definition of a meter; `None` if it is too long for derived data.
    pub(in super::super) fn new(filter: &Filter, aggregation: &Aggregation) -> Option<Self> {
        let filter_text = filter_to_json_text(filter);
        let text = format!("{filter_text}\n{}", aggregation_to_json_text(aggregation));
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let digest: [u8; 32] =
            Sha256::new().chain_update(MEANING).chain_update(&text).finalize().into();
        let key = Key(digest.first_chunk().copied().unwrap_or_default());
        let (filter, aggregation) = (filter.clone(), aggregation.clone());
        Some(Self { filter, aggregation, text: text.into(), key })
    }

    /// The definition of data that a file holds, by its [`text`](Self::text).
    pub(super) fn parse(text: &str) -> Option<Self> {
        // JSON text has its line breaks escaped.
        let (filter, aggregation) = text.split_once('\n')?;
        let filter = filter_from_json_text(filter).ok()?;
        Self::new(&filter, &aggregation_from_json_text(aggregation).ok()?)
    }

    /// The aggregation.
    pub(in super::super) fn aggregation(&self) -> &Aggregation {
        &self.aggregation
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }
}

#[cfg(test)]
mod tests {
    use floe_core::{
        AggregationFunction, Clause, ClauseValue, Conjunction, FilterClause, Operator,
    };

    use super::*;

    fn clause(property: &str, value: ClauseValue) -> Clause {
        let clause = FilterClause::new(property.to_owned(), Operator::Eq, value);
        Clause::Leaf(clause.unwrap())
    }

    fn filter(clauses: Vec<Clause>) -> Filter {
        Filter { conjunction: Conjunction::And, clauses }
    }

    #[test]
    fn definitions_that_mean_different_things_have_different_keys() {
        let text = |text: &str| ClauseValue::Text(text.to_owned());
        let filters = [
            Filter::all(),
            Filter { conjunction: Conjunction::Or, clauses: Vec::new() },
            filter(vec![clause("a", text("1"))]),
            filter(vec![clause("a", ClauseValue::Int(1))]),
            filter(vec![clause("a\n", text("1"))]),
            filter(vec![clause("metadata.a", text("1"))]),
            filter(vec![clause("a", text("1")), clause("b", text("1"))]),
            filter(vec![Clause::Filter(filter(vec![clause("a", text("1"))]))]),
        ];
        let of = |function, property: &str| Aggregation::of(function, property.to_owned());
        let aggregations = [
            Aggregation::count(),
            of(AggregationFunction::Sum, "a"),
            of(AggregationFunction::Max, "a"),
            of(AggregationFunction::Sum, "b"),
            of(AggregationFunction::Unique, "name"),
            of(AggregationFunction::Sum, "name"),
        ];
        let mut keys = Vec::new();
        for filter in &filters {
            for aggregation in &aggregations {
                let definition = Definition::new(filter, aggregation).unwrap();
                assert_eq!(Definition::parse(definition.text()), Some(definition.clone()));
                keys.push(definition.key());
            }
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
        assert_eq!(Key::parse(&keys[0].to_string()), Some(keys[0]));
    }

    #[test]
    fn a_definition_beyond_bounds_has_no_derived_data() {
        let long = || clause("a", ClauseValue::Text("x".repeat(1000)));
        let many = filter(std::iter::repeat_with(long).take(300).collect());
        assert_eq!(Definition::new(&many, &Aggregation::count()), None);
    }
}
