//! Filters on the wire (contract section 2.1).

use floe_core::limits::{CLAUSE_VALUE_CHARS_MAX, FILTER_LEVELS_MAX};
use floe_core::{
    Clause, ClauseValue, Conjunction, Filter, FilterClause, Operator, strip_metadata_prefix,
};
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::errors::{self, Errors, Loc};
use crate::fields::Fields;
use crate::json::{self, Json, ParseError};
use crate::metadata::{StoredTextError, json_text};
use crate::query::QueryParams;
use crate::scalar::{self, IntBounds};

const CONJUNCTIONS: [(&str, Conjunction); 2] = [("and", Conjunction::And), ("or", Conjunction::Or)];
const CLAUSE_INTS: IntBounds =
    IntBounds { ge: Some(i32::MIN as i64), le: Some(i32::MAX as i64), gt: None };

/// Reads a filter; a leading `metadata.` of each property is taken off.
///
/// Of the two forms of a clause, errors are reported for the one that it looks like. Over 64
/// levels and U+0000 anywhere are errors of the whole filter, at `loc`.
pub fn parse_filter(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Filter> {
    Reader { property: strip_metadata_prefix, is_too_deep: false }.read(json, loc, errors)
}

/// The query parameter `filter`, which is JSON text (contract section 4.2); `None` if it is absent
/// or wrong.
pub fn filter_parameter(query: &QueryParams, errors: &mut Errors) -> Option<Filter> {
    let text = query.last("filter")?;
    let loc = Loc::QUERY.key("filter");
    match json::parse(text.as_bytes()) {
        Ok(json) => parse_filter(&json, &loc, errors),
        Err(error) => {
            let message = match error {
                ParseError::Empty => "EOF while parsing a value at line 1 column 0".to_owned(),
                error => error.to_string(),
            };
            errors.push_text(&loc, errors::json_invalid(message), text);
            None
        }
    }
}

struct Reader {
    /// What becomes of a property.
    property: fn(&str) -> &str,
    is_too_deep: bool,
}

impl Reader {
    fn read(mut self, json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Filter> {
        if json.has_nul() {
            errors.push(loc, errors::invalid_characters(), json);
            return None;
        }
        let mut found = Errors::new();
        let filter = self.filter(json, loc, 1, &mut found);
        if self.is_too_deep {
            let text = format!("A filter has at most {FILTER_LEVELS_MAX} levels.");
            errors.push(loc, errors::value_error(&text), json);
            return None;
        }
        errors.append(found);
        filter
    }

    /// A filter on a level, which is 1 outside.
    fn filter(
        &mut self,
        json: &Json<'_>,
        loc: &Loc<'_>,
        level: usize,
        errors: &mut Errors,
    ) -> Option<Filter> {
        if level > FILTER_LEVELS_MAX {
            self.is_too_deep = true;
            return None;
        }
        let fields = Fields::of(json, loc, errors)?;
        let conjunction = fields.required("conjunction", errors, |json, loc, errors| {
            scalar::enum_value(json, loc, errors, &CONJUNCTIONS)
        });
        // Not by `required`, which would look for U+0000 on every level again.
        let clauses_loc = loc.key("clauses");
        let clauses = match fields.get("clauses") {
            Some(list) => self.clauses(list, &clauses_loc, level, errors),
            None => {
                errors.push(&clauses_loc, errors::missing(), json);
                None
            }
        };
        Some(Filter { conjunction: conjunction?, clauses: clauses? })
    }

    /// The members of a filter on `level`.
    fn clauses(
        &mut self,
        json: &Json<'_>,
        loc: &Loc<'_>,
        level: usize,
        errors: &mut Errors,
    ) -> Option<Vec<Clause>> {
        let elements = scalar::list(json, loc, errors)?;
        let mut clauses = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            clauses.extend(self.clause(element, &loc.index(index), level, errors));
        }
        (clauses.len() == elements.len()).then_some(clauses)
    }

    /// A member of a filter on `level`.
    fn clause(
        &mut self,
        json: &Json<'_>,
        loc: &Loc<'_>,
        level: usize,
        errors: &mut Errors,
    ) -> Option<Clause> {
        let leaf_loc = loc.key("FilterClause");
        let has = |key: &str| json.get(key).is_some();
        if !has("conjunction") && !has("clauses") {
            return self.leaf(json, &leaf_loc, errors).map(Clause::Leaf);
        }
        // A clause with a stray key is still one: it names more fields than a filter.
        if has("property") {
            let leaf = self.leaf(json, &leaf_loc, &mut Errors::new());
            if leaf.is_some() {
                return leaf.map(Clause::Leaf);
            }
        }
        self.filter(json, &loc.key("Filter"), level + 1, errors).map(Clause::Filter)
    }

    fn leaf(&self, json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<FilterClause> {
        let fields = Fields::of(json, loc, errors)?;
        let property = fields.required("property", errors, scalar::string);
        let operator = fields.required("operator", errors, |json, loc, errors| {
            scalar::enum_value(json, loc, errors, &Operator::ALL)
        });
        let value = fields.required("value", errors, clause_value);
        let property = (self.property)(property?).to_owned();
        FilterClause::new(property, operator?, value?)
            .inspect_err(|_| {
                let text = "A boolean cannot be compared with this operator here.";
                let value = json.get("value").unwrap_or(json);
                errors.push(&loc.key("value"), errors::value_error(text), value);
            })
            .ok()
    }
}

/// The JSON type decides; a float without a fraction is an integer.
fn clause_value(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<ClauseValue> {
    let text_loc = loc.key("constrained-str");
    let int_loc = loc.key("constrained-int");
    let mut found = Errors::new();
    let value = match json {
        Json::Str(_) => {
            scalar::sized_string(json, &text_loc, &mut found, 0, CLAUSE_VALUE_CHARS_MAX)
                .map(|text| ClauseValue::Text(text.to_owned()))
        }
        Json::Bool(value) => Some(ClauseValue::Bool(*value)),
        Json::Int(_) | Json::Float(_) => {
            scalar::int_within(json, &int_loc, &mut found, CLAUSE_INTS)
                .and_then(|value| i32::try_from(value).ok())
                .map(ClauseValue::Int)
        }
        _ => None,
    };
    if value.is_none() {
        // One error for each member of the union that the value is not.
        scalar::sized_string(json, &text_loc, errors, 0, CLAUSE_VALUE_CHARS_MAX);
        scalar::int_within(json, &int_loc, errors, CLAUSE_INTS);
        scalar::boolean(json, &loc.key("bool"), errors);
    }
    value
}

/// A filter as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub struct WireFilter<'f>(pub &'f Filter);

impl Serialize for WireFilter<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Filter", 2)?;
        let conjunction = match self.0.conjunction {
            Conjunction::And => "and",
            Conjunction::Or => "or",
        };
        object.serialize_field("conjunction", conjunction)?;
        object.serialize_field("clauses", &Clauses(&self.0.clauses))?;
        object.end()
    }
}

struct Clauses<'f>(&'f [Clause]);

impl Serialize for Clauses<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(WireClause))
    }
}

struct WireClause<'f>(&'f Clause);

impl Serialize for WireClause<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let clause = match self.0 {
            Clause::Filter(filter) => return WireFilter(filter).serialize(serializer),
            Clause::Leaf(clause) => clause,
        };
        let mut object = serializer.serialize_struct("FilterClause", 3)?;
        object.serialize_field("property", clause.property_text())?;
        let name = Operator::ALL.iter().find(|(_, operator)| *operator == clause.operator());
        object.serialize_field("operator", name.map_or("", |(name, _)| name))?;
        match clause.value() {
            ClauseValue::Text(text) => object.serialize_field("value", text)?,
            ClauseValue::Int(value) => object.serialize_field("value", value)?,
            ClauseValue::Bool(value) => object.serialize_field("value", value)?,
        }
        object.end()
    }
}

/// For `#[serde(serialize_with)]`.
pub(crate) fn serialize<S: Serializer>(filter: &Filter, serializer: S) -> Result<S::Ok, S::Error> {
    WireFilter(filter).serialize(serializer)
}

/// The JSON text in which the catalog keeps a filter: what the wire shows.
#[must_use]
pub fn filter_to_json_text(filter: &Filter) -> String {
    json_text(&WireFilter(filter))
}

/// Reads what [`filter_to_json_text`] wrote; a `metadata.` in front of a property is part of it
/// (S9).
///
/// # Errors
///
/// The text is no filter.
pub fn filter_from_json_text(text: &str) -> Result<Filter, StoredTextError> {
    let error = |reason: String| StoredTextError::new("filter", reason);
    let json = json::parse(text.as_bytes()).map_err(|reason| error(reason.to_string()))?;
    let mut errors = Errors::new();
    let reader = Reader { property: |property| property, is_too_deep: false };
    reader
        .read(&json, &Loc::Root("filter"), &mut errors)
        .ok_or_else(|| error(first_message(&errors)))
}

/// What the first error says.
pub(super) fn first_message(errors: &Errors) -> String {
    errors.items().first().map(|item| item.violation().msg().to_owned()).unwrap_or_default()
}
