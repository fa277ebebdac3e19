//! `GET /v1/event-properties/` on the wire: Floe's own route.

use std::collections::HashMap;

use floe_core::{Metadata, Number, OrganizationId, Value};
use serde::ser::{Serialize, Serializer};

use crate::errors::Errors;
use crate::event::one_organization;
use crate::fields::unless_refused;
use crate::metadata::WireValue;
use crate::query::{Paging, QueryParams};

/// Different values of a property that are shown.
const SAMPLES_MAX: usize = 5;
/// Characters of a text that is shown as a value.
const SAMPLE_CHARS_MAX: usize = 200;
/// Bytes of a property's name; longer ones are passed over.
const PROPERTY_BYTES_MAX: usize = 1000;
/// Properties of one name; of further ones nothing is noted.
const PROPERTIES_MAX: usize = 1000;

/// Parameters of `GET /v1/event-properties/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPropertiesParams {
    /// The organization; a caller that is one need not name it.
    pub organization_id: Option<OrganizationId>,
    /// Any of these names.
    pub names: Option<Vec<String>>,
    /// Part of the property, whatever the case.
    pub query: Option<String>,
    /// Which page.
    pub paging: Paging,
}

impl EventPropertiesParams {
    /// Reads a query; `None` after adding errors. A caller that is no organization must name one.
    pub fn parse(
        query: &QueryParams,
        is_organization_token: bool,
        errors: &mut Errors,
    ) -> Option<Self> {
        let before = errors.len();
        let params = Self {
            organization_id: one_organization(query, is_organization_token, errors),
            names: query.strings("name"),
            query: query.last("query").map(str::to_owned),
            paging: query.paging(errors),
        };
        unless_refused(params, before, errors)
    }
}

/// The parameters of `GET /v1/event-properties/`, for documentation; paging apart.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventPropertiesQuery {
    /// The organization; needed with the root token.
    pub organization_id: Option<uuid::Uuid>,
    /// Exact names of events; may repeat.
    pub name: Option<Vec<String>>,
    /// Part of the property, whatever the case.
    pub query: Option<String>,
}

/// A kind of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PropertyKind {
    /// A whole number.
    Integer,
    /// A number with a fraction or an exponent.
    Float,
    /// A text.
    String,
    /// True or false.
    Boolean,
}

impl PropertyKind {
    const ALL: [Self; 4] = [Self::Integer, Self::Float, Self::String, Self::Boolean];

    /// `None` for what no filter compares and no aggregation adds up.
    fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Number(Number::Int(_) | Number::Big(_)) => Some(Self::Integer),
            Value::Number(Number::Float(_) | Number::Decimal { .. }) => Some(Self::Float),
            Value::String(_) => Some(Self::String),
            Value::Bool(_) => Some(Self::Boolean),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// What metadata of events of one name have under one path of keys.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventProperty {
    /// The name of the events.
    pub name: String,
    /// The property, as filters and aggregations call it: a key, or several with dots between them.
    pub property: String,
    /// Of which kinds its values are.
    pub kinds: Vec<PropertyKind>,
    /// Up to 5 different values, the newest first; no text of more than 200 characters.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<serde_json::Value>))]
    pub samples: Vec<PropertySample>,
    /// How many of the events have it.
    pub occurrences: u64,
    /// How many events were looked at: the newest of the name, 1,000 at most.
    pub events: u64,
}

/// A value as it stands on the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct PropertySample(Value<'static>);

impl Serialize for PropertySample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WireValue(&self.0).serialize(serializer)
    }
}

/// What is found out about the properties of events of one name, while they are looked at.
///
/// Left out is what no filter can name: keys with a dot in them, and `name`, `source` and
/// `timestamp`, which are the event's own.
#[derive(Debug, Default)]
pub struct PropertiesSeen {
    events: u64,
    properties: HashMap<String, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    occurrences: u64,
    kinds: [bool; 4],
    samples: Vec<PropertySample>,
}

impl PropertiesSeen {
    /// Looks at an event, newer ones first.
    pub fn add(&mut self, metadata: &Metadata<'_>) {
        self.events += 1;
        let own = |key: &str| matches!(key, "name" | "source" | "timestamp");
        for (key, value) in metadata.iter().filter(|(key, _)| !own(key)) {
            let mut path = String::new();
            self.walk(&mut path, key, value);
        }
    }

    fn walk(&mut self, path: &mut String, key: &str, value: &Value<'_>) {
        let before = path.len();
        if key.contains('.') || before + 1 + key.len() > PROPERTY_BYTES_MAX {
            return;
        }
        if before > 0 {
            path.push('.');
        }
        path.push_str(key);
        match value {
            Value::Object(inner) => {
                inner.iter().for_each(|(key, value)| self.walk(path, key, value));
            }
            value => self.note(path, value),
        }
        path.truncate(before);
    }

    fn note(&mut self, path: &str, value: &Value<'_>) {
        let Some(kind) = PropertyKind::of(value) else { return };
        if !self.properties.contains_key(path) {
            if self.properties.len() >= PROPERTIES_MAX {
                return;
            }
            self.properties.insert(path.to_owned(), Seen::default());
        }
        let Some(seen) = self.properties.get_mut(path) else { return };
        seen.occurrences += 1;
        for (known, of) in seen.kinds.iter_mut().zip(PropertyKind::ALL) {
            *known |= of == kind;
        }
        let is_short = match value {
            Value::String(text) => text.chars().nth(SAMPLE_CHARS_MAX).is_none(),
            _ => true,
        };
        if is_short
            && seen.samples.len() < SAMPLES_MAX
            && !seen.samples.iter().any(|sample| sample.0 == *value)
        {
            seen.samples.push(PropertySample(value.clone().into_owned()));
        }
    }

    /// What was found, the most frequent first; only properties in which the text occurs, in lower
    /// case.
    pub fn finish(self, name: &str, needle: Option<&str>) -> Vec<EventProperty> {
        let Self { events, properties } = self;
        let wanted = |property: &str| needle.is_none_or(|of| property.to_lowercase().contains(of));
        let found = properties.into_iter().filter(|(property, _)| wanted(property));
        let mut found: Vec<_> = found
            .map(|(property, Seen { occurrences, kinds, samples })| EventProperty {
                name: name.to_owned(),
                property,
                kinds: PropertyKind::ALL
                    .into_iter()
                    .zip(kinds)
                    .filter_map(|(kind, is_seen)| is_seen.then_some(kind))
                    .collect(),
                samples,
                occurrences,
                events,
            })
            .collect();
        found.sort_by(|a, b| {
            b.occurrences.cmp(&a.occurrences).then_with(|| a.property.cmp(&b.property))
        });
        found
    }
}
