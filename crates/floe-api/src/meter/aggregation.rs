//! Aggregations on the wire (contract section 2.2).

use std::borrow::Cow;

use floe_core::{Aggregation, AggregationFunction, strip_metadata_prefix};
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use super::filter::first_message;
use crate::errors::{self, Errors, Loc};
use crate::fields::Fields;
use crate::json::{self, Json};
use crate::metadata::{StoredTextError, json_text};
use crate::scalar;

/// Code points of an unknown function that the error repeats.
const TAG_CHARS_MAX: usize = 100;

/// Reads an aggregation; a leading `metadata.` of the property is taken off.
///
/// U+0000 anywhere is an error of the whole aggregation, at `loc`.
pub fn parse_aggregation(
    json: &Json<'_>,
    loc: &Loc<'_>,
    errors: &mut Errors,
) -> Option<Aggregation> {
    read(json, loc, errors, strip_metadata_prefix)
}

fn read(
    json: &Json<'_>,
    loc: &Loc<'_>,
    errors: &mut Errors,
    property: fn(&str) -> &str,
) -> Option<Aggregation> {
    if json.has_nul() {
        errors.push(loc, errors::invalid_characters(), json);
        return None;
    }
    let fields = Fields::of(json, loc, errors)?;
    let Some(tag) = fields.get("func") else {
        fields.refuse(errors::union_tag_not_found("func"), errors);
        return None;
    };
    let found = AggregationFunction::ALL.into_iter().find(|(name, _)| tag.as_str() == Some(name));
    let Some((name, function)) = found else {
        let names = AggregationFunction::ALL.into_iter().map(|(name, _)| name);
        fields.refuse(errors::union_tag_invalid("func", &tag_text(tag), names), errors);
        return None;
    };
    if function == AggregationFunction::Count {
        return Some(Aggregation::count());
    }
    let text = fields.at(&loc.key(name)).required("property", errors, scalar::string)?;
    Some(Aggregation::of(function, property(text).to_owned()))
}

/// A discriminator as Python shows it, at least where it is text or null.
fn tag_text(tag: &Json<'_>) -> String {
    let text = match tag {
        Json::Str(text) => Cow::Borrowed(&**text),
        Json::Null => Cow::Borrowed("None"),
        tag => Cow::Owned(json_text(tag)),
    };
    text.chars().take(TAG_CHARS_MAX).collect()
}

/// An aggregation as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub struct WireAggregation<'g>(pub &'g Aggregation);

impl Serialize for WireAggregation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let property = self.0.property_text();
        let mut object =
            serializer.serialize_struct("Aggregation", 1 + usize::from(property.is_some()))?;
        object.serialize_field("func", self.0.function().as_str())?;
        if let Some(property) = property {
            object.serialize_field("property", property)?;
        }
        object.end()
    }
}

/// For `#[serde(serialize_with)]`.
pub(crate) fn serialize<S: Serializer>(
    aggregation: &Aggregation,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    WireAggregation(aggregation).serialize(serializer)
}

/// The JSON text in which the catalog keeps an aggregation: what the wire shows.
#[must_use]
pub fn aggregation_to_json_text(aggregation: &Aggregation) -> String {
    json_text(&WireAggregation(aggregation))
}

/// Reads what [`aggregation_to_json_text`] wrote; a `metadata.` in front of the property is part
/// of it (S9).
///
/// # Errors
///
/// The text is no aggregation.
pub fn aggregation_from_json_text(text: &str) -> Result<Aggregation, StoredTextError> {
    let error = |reason: String| StoredTextError::new("aggregation", reason);
    let json = json::parse(text.as_bytes()).map_err(|reason| error(reason.to_string()))?;
    let mut errors = Errors::new();
    read(&json, &Loc::Root("aggregation"), &mut errors, |property| property)
        .ok_or_else(|| error(first_message(&errors)))
}
