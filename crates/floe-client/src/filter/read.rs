//! Filters as they are read from JSON.

use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::value::RawValue;

use super::{
    Conjunction, FILTER_LEVELS_MAX, Filter, FilterClause, FilterPart, FilterValue, InvalidFilter,
    Operator,
};

/// A filter or a clause, whose own parts are not read yet: each is read for itself, so that the
/// levels can be counted, and so that a filter may be as deep as the wire allows, which is more
/// than the reader of JSON does.
#[derive(Deserialize)]
struct AnyPart {
    conjunction: Option<Conjunction>,
    clauses: Option<Vec<Box<RawValue>>>,
    property: Option<String>,
    operator: Option<Operator>,
    value: Option<FilterValue>,
}

impl AnyPart {
    fn read<E: de::Error>(self, level: usize) -> Result<FilterPart, E> {
        let Self { conjunction, clauses, property, operator, value } = self;
        if conjunction.is_none() && clauses.is_none() {
            let property = property.ok_or_else(|| E::missing_field("property"))?;
            let operator = operator.ok_or_else(|| E::missing_field("operator"))?;
            let value = value.ok_or_else(|| E::missing_field("value"))?;
            return FilterClause::new(property, operator, value)
                .map(FilterPart::Clause)
                .map_err(E::custom);
        }
        if level > FILTER_LEVELS_MAX {
            return Err(E::custom(InvalidFilter::TooDeep));
        }
        let conjunction = conjunction.ok_or_else(|| E::missing_field("conjunction"))?;
        let clauses = clauses.ok_or_else(|| E::missing_field("clauses"))?;
        let read = |raw: Box<RawValue>| {
            serde_json::from_str::<Self>(raw.get()).map_err(E::custom)?.read(level + 1)
        };
        let clauses = clauses.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(FilterPart::Filter(Filter { conjunction, clauses }))
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match AnyPart::deserialize(deserializer)?.read(1)? {
            FilterPart::Filter(filter) => Ok(filter),
            FilterPart::Clause(_) => Err(de::Error::missing_field("conjunction")),
        }
    }
}
