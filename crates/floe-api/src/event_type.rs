//! Event types: the names of an organization's events, with labels (contract section 4.5).

use floe_core::limits::{LABEL_CHARS_MAX, LABEL_PROPERTY_SELECTOR_CHARS_MAX};
use floe_core::{CustomerId, EventSource, OrganizationId};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::errors::{self, Errors, Loc};
use crate::fields::{Fields, non_blank, unless_refused};
use crate::json::Json;
use crate::meter::organization_ids;
use crate::quantity::customer_ids;
use crate::query::{Direction, Paging, QueryParams};
use crate::scalar;
use crate::wire::WireTimestamp;

/// A label for an event type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventTypeUpdate {
    /// What people call it; trimmed.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 128))]
    pub label: String,
    /// Where in the metadata an event's own label is found; trimmed, null if blank. Absent is null.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 256))]
    pub label_property_selector: Option<String>,
}

impl EventTypeUpdate {
    /// Reads a body; `None` after adding errors.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let before = errors.len();
        let label = fields.required("label", errors, label);
        let selector = fields.optional("label_property_selector", errors, selector);
        let label_property_selector = selector.flatten();
        unless_refused(Self { label: label?, label_property_selector }, before, errors)
    }
}

fn label(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<String> {
    let label = non_blank(scalar::sized_string(json, loc, errors, 1, LABEL_CHARS_MAX)?);
    if label.is_none() {
        let violation = errors::value_error("Label cannot be empty or only whitespace");
        errors.push(loc, violation, json);
    }
    label
}

fn selector(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Option<String>> {
    scalar::sized_string(json, loc, errors, 1, LABEL_PROPERTY_SELECTOR_CHARS_MAX).map(non_blank)
}

/// What event types are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTypeSort {
    /// Their names.
    Name,
    /// Their labels.
    Label,
    /// How many events there are.
    Occurrences,
    /// The earliest event.
    FirstSeen,
    /// The latest event.
    LastSeen,
}

/// Parameters of GET `/v1/event-types/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTypesListParams {
    /// Any of these organizations.
    pub organization_ids: Option<Vec<OrganizationId>>,
    /// Events of any of these customers, or of the external ones.
    pub customer_ids: Option<Vec<CustomerId>>,
    /// Events of any of these customers.
    pub external_customer_ids: Option<Vec<String>>,
    /// Part of the name or the label, whatever the case.
    pub query: Option<String>,
    /// Only events without a parent.
    pub root_events: bool,
    /// Only children of this event.
    pub parent_id: Option<Uuid>,
    /// Only events of this source.
    pub source: Option<EventSource>,
    /// Which page.
    pub paging: Paging,
    /// Criteria in order; at least one.
    pub sorting: Vec<(EventTypeSort, Direction)>,
}

impl EventTypesListParams {
    /// Reads a query; `None` after adding errors.
    pub fn parse(query: &QueryParams, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        let options = [
            ("name", EventTypeSort::Name),
            ("label", EventTypeSort::Label),
            ("occurrences", EventTypeSort::Occurrences),
            ("first_seen", EventTypeSort::FirstSeen),
            ("last_seen", EventTypeSort::LastSeen),
        ];
        let default = [(EventTypeSort::LastSeen, Direction::Descending)];
        let params = Self {
            organization_ids: organization_ids(query, errors),
            customer_ids: customer_ids(query, errors),
            external_customer_ids: query.strings("external_customer_id"),
            query: query.last("query").map(str::to_owned),
            root_events: query.optional("root_events", errors, scalar::boolean).unwrap_or(false),
            parent_id: query.optional("parent_id", errors, scalar::uuid4),
            source: query.optional("source", errors, |json, loc, errors| {
                scalar::enum_value(json, loc, errors, &EventSource::ALL)
            }),
            paging: query.paging(errors),
            sorting: query.sorting(&options, &default, errors),
        };
        unless_refused(params, before, errors)
    }
}

/// The parameters of GET `/v1/event-types/`, for documentation; paging apart.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventTypesListQuery {
    /// Any of these organizations; may repeat.
    pub organization_id: Option<Vec<Uuid>>,
    /// Events of any of these customers, or of the external ones; may repeat.
    pub customer_id: Option<Vec<Uuid>>,
    /// Events of any of these customers; may repeat.
    pub external_customer_id: Option<Vec<String>>,
    /// Part of the name or the label, whatever the case.
    pub query: Option<String>,
    /// Only events without a parent.
    #[param(default = false)]
    pub root_events: Option<bool>,
    /// Only children of this event.
    pub parent_id: Option<Uuid>,
    /// Who made the events.
    #[param(value_type = Option<crate::schema::EventSource>, inline)]
    pub source: Option<String>,
    /// `name`, `label`, `occurrences`, `first_seen` or `last_seen`, with `-` in front to descend;
    /// may repeat.
    #[param(default = json!(["-last_seen"]))]
    pub sorting: Option<Vec<String>>,
}

/// An event type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventType {
    /// Its id.
    pub id: Uuid,
    /// When the first event of the name was ingested.
    pub created_at: WireTimestamp,
    /// When the label was last changed, if ever.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub modified_at: Option<WireTimestamp>,
    /// The name of its events.
    pub name: String,
    /// What people call it; the name by default.
    pub label: String,
    /// Where in the metadata an event's own label is found.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub label_property_selector: Option<String>,
    /// Its organization.
    pub organization_id: Uuid,
}

/// An event type, with numbers of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventTypeWithStats {
    /// Its id; null for system events.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub id: Option<Uuid>,
    /// When the first event of the name was ingested; null for system events.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub created_at: Option<WireTimestamp>,
    /// When the label was last changed, if ever.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub modified_at: Option<WireTimestamp>,
    /// The name of its events.
    pub name: String,
    /// What people call it; the name by default.
    pub label: String,
    /// Where in the metadata an event's own label is found.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub label_property_selector: Option<String>,
    /// Its organization.
    pub organization_id: Uuid,
    /// Who made its events.
    #[serde(serialize_with = "source")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::EventSource))]
    pub source: EventSource,
    /// How many events there are.
    pub occurrences: u64,
    /// The earliest timestamp of them.
    pub first_seen: WireTimestamp,
    /// The latest timestamp of them.
    pub last_seen: WireTimestamp,
}

fn source<S: Serializer>(source: &EventSource, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(source.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::tests::{any_body, check_errors, json_text, read};
    use crate::json::parse;
    use proptest::prelude::*;

    #[test]
    fn texts_are_trimmed() {
        let check = |body: &str, label: &str, selector: Option<&str>| {
            let update = EventTypeUpdate {
                label: label.to_owned(),
                label_property_selector: selector.map(str::to_owned),
            };
            assert_eq!(read(body, EventTypeUpdate::parse).0, Some(update), "{body}");
        };
        check(r#"{"label":" a b "}"#, "a b", None);
        check(r#"{"label":"a","label_property_selector":null}"#, "a", None);
        check(r#"{"label":"a","label_property_selector":"  "}"#, "a", None);
        check(r#"{"label":"a","label_property_selector":" x.y "}"#, "a", Some("x.y"));
    }

    #[test]
    fn wrong_bodies_are_refused() {
        let check = |body: &str, expected: &str| {
            check_errors(body, EventTypeUpdate::parse, expected);
        };
        check("{}", r#"missing ["body","label"]"#);
        check(
            r#"{"label":"","label_property_selector":""}"#,
            r#"string_too_short ["body","label"]; string_too_short ["body","label_property_selector"]"#,
        );
        let (label, selector) = ("é".repeat(129), "a".repeat(257));
        check(
            &format!(r#"{{"label":"{label}","label_property_selector":"{selector}"}}"#),
            r#"string_too_long ["body","label"]; string_too_long ["body","label_property_selector"]"#,
        );
        check(r#"{"label":"a\u0000"}"#, r#"value_error ["body","label"]"#);
        let mut errors = Errors::new();
        EventTypeUpdate::parse(&parse(br#"{"label":"  "}"#).unwrap(), &mut errors);
        assert_eq!(
            json_text(&errors),
            r#"[{"type":"value_error","loc":["body","label"],"msg":"Value error, Label cannot be empty or only whitespace","input":"  ","ctx":{"error":{}}}]"#
        );
    }

    #[test]
    fn a_list_has_parameters() {
        let mut errors = Errors::new();
        let params = EventTypesListParams::parse(&QueryParams::parse(""), &mut errors).unwrap();
        assert_eq!(params.sorting, [(EventTypeSort::LastSeen, Direction::Descending)]);
        assert!(!params.root_events);
        let query = QueryParams::parse("source=user&root_events=1&sorting=-occurrences&query=");
        let params = EventTypesListParams::parse(&query, &mut errors).unwrap();
        assert_eq!((params.source, params.root_events), (Some(EventSource::User), true));
        assert_eq!(params.query.as_deref(), Some(""));
        let query = QueryParams::parse("source=x&root_events=&parent_id=1&sorting=timestamp");
        assert_eq!(EventTypesListParams::parse(&query, &mut errors), None);
        let kinds: Vec<_> = errors.items().iter().map(|item| item.violation().kind()).collect();
        assert_eq!(kinds, ["bool_parsing", "uuid_parsing", "enum", "enum"]);
    }

    #[test]
    fn fields_of_system_types_are_null() {
        let seen = floe_core::Timestamp::from_micros(0).unwrap().into();
        let event_type = EventTypeWithStats {
            id: None,
            created_at: None,
            modified_at: None,
            name: "meter.reset".to_owned(),
            label: "Meter Reset".to_owned(),
            label_property_selector: None,
            organization_id: Uuid::from_u128(1),
            source: EventSource::System,
            occurrences: 3,
            first_seen: seen,
            last_seen: seen,
        };
        assert_eq!(
            serde_json::to_string(&event_type).unwrap(),
            r#"{"id":null,"created_at":null,"modified_at":null,"name":"meter.reset","label":"Meter Reset","label_property_selector":null,"organization_id":"00000000-0000-0000-0000-000000000001","source":"system","occurrences":3,"first_seen":"1970-01-01T00:00:00Z","last_seen":"1970-01-01T00:00:00Z"}"#
        );
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in any_body(&["label", "label_property_selector"])) {
            read(&body, EventTypeUpdate::parse);
        }
    }
}
