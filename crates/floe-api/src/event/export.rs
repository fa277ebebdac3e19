//! `GET /v1/events/export` on the wire: Floe's own route.

use floe_core::{
    CustomerId, CustomerRef, Filter, MetadataCondition, MeterId, NewEvent, OrganizationId,
    Timestamp,
};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::list::timestamp;
use super::stream::one_organization;
use crate::errors::{Errors, Loc, ValidationFailure, Violation};
use crate::fields::unless_refused;
use crate::json::Json;
use crate::metadata::{WireExportMetadata, metadata_conditions};
use crate::meter::filter_parameter;
use crate::quantity::customer_ids;
use crate::query::QueryParams;
use crate::scalar;

/// Parameters of `GET /v1/events/export`; those that are there must all hold, except that customers
/// are selected by either of their ids.
#[derive(Debug, Clone, PartialEq)]
pub struct EventsExportParams {
    /// The organization; a caller that is one need not name it.
    pub organization_id: Option<OrganizationId>,
    /// As a meter's filter.
    pub filter: Option<Filter>,
    /// At this or after it.
    pub start: Option<Timestamp>,
    /// Strictly before this.
    pub end: Option<Timestamp>,
    /// Any of these customers.
    pub customer_ids: Option<Vec<CustomerId>>,
    /// Or any of these.
    pub external_customer_ids: Option<Vec<String>>,
    /// What this meter counts; if there is none, [`meter_not_found`](super::meter_not_found).
    pub meter_id: Option<MeterId>,
    /// Any of these names.
    pub names: Option<Vec<String>>,
    /// Conditions on metadata, all of which must hold.
    pub metadata: Vec<MetadataCondition>,
}

impl EventsExportParams {
    /// Reads a query; `None` after adding errors. A caller that is no organization must name one:
    /// a line does not say whose event it is.
    pub fn parse(
        query: &QueryParams,
        is_organization_token: bool,
        errors: &mut Errors,
    ) -> Option<Self> {
        let before = errors.len();
        let params = Self {
            organization_id: one_organization(query, is_organization_token, errors),
            filter: filter_parameter(query, errors),
            start: query.optional("start_timestamp", errors, timestamp),
            end: query.optional("end_timestamp", errors, timestamp),
            customer_ids: customer_ids(query, errors),
            external_customer_ids: query.strings("external_customer_id"),
            meter_id: query.optional("meter_id", errors, scalar::uuid4).map(MeterId),
            names: query.strings("name"),
            metadata: metadata_conditions(query),
        };
        unless_refused(params, before, errors)
    }
}

/// What to answer if the one organization that is asked for is not seen by the caller.
#[must_use]
pub fn organization_not_found(id: OrganizationId) -> ValidationFailure {
    let violation = Violation::plain("organization_id", "Organization not found.");
    let input = Json::Str(id.to_string().into());
    ValidationFailure::business(&Loc::QUERY.key("organization_id"), violation, &input)
}

/// Appends an event as one line that ingestion takes.
///
/// ```
/// use floe_core::{CustomerRef, EventSource, Metadata, NewEvent, Number, Timestamp, Value};
/// let number = |number| Value::Number(Number::Float(number));
/// let event = NewEvent {
///     name: "use".into(),
///     source: EventSource::User,
///     customer: CustomerRef::External("ada".into()),
///     timestamp: Timestamp::from_micros(1).unwrap(),
///     external_id: Some("1".into()),
///     parent_id: None,
///     external_member_id: None,
///     metadata: Metadata::from_distinct(vec![("v".into(), number(1.0))]),
/// };
/// let mut lines = Vec::new();
/// floe_api::event::write_export_line(&event, &mut lines);
/// let line = r#"{"name":"use","timestamp":"1970-01-01T00:00:00.000001Z","external_customer_id":"ada","external_id":"1","metadata":{"v":1.0}}"#;
/// assert_eq!(String::from_utf8(lines).unwrap(), format!("{line}\n"));
/// ```
pub fn write_export_line(event: &NewEvent<'_>, out: &mut Vec<u8>) {
    if let Err(error) = serde_json::to_writer(&mut *out, &Line(event)) {
        unreachable!("writing JSON to memory does not fail: {error}");
    }
    out.push(b'\n');
}

struct Line<'e>(&'e NewEvent<'e>);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &event.name)?;
        map.serialize_entry("timestamp", &format_args!("{}", event.timestamp))?;
        match &event.customer {
            CustomerRef::Id(id) => map.serialize_entry("customer_id", &id.0)?,
            CustomerRef::External(text) => map.serialize_entry("external_customer_id", text)?,
        }
        let more = [
            ("external_member_id", &event.external_member_id),
            ("external_id", &event.external_id),
            ("parent_id", &event.parent_id),
        ];
        for (key, text) in more {
            if let Some(text) = text {
                map.serialize_entry(key, text)?;
            }
        }
        map.serialize_entry("metadata", &WireExportMetadata(&event.metadata))?;
        map.end()
    }
}

/// The parameters of `GET /v1/events/export`, for documentation; `metadata[key]=value` apart.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsExportQuery {
    /// The organization; needed with the root token.
    pub organization_id: Option<uuid::Uuid>,
    /// JSON text of a `Filter`, as a meter has one.
    pub filter: Option<String>,
    /// Events at this or after it; with an offset.
    #[param(value_type = Option<String>, format = DateTime)]
    pub start_timestamp: Option<String>,
    /// Events strictly before this, so that periods that follow one another have no event twice;
    /// with an offset.
    #[param(value_type = Option<String>, format = DateTime)]
    pub end_timestamp: Option<String>,
    /// Events of any of these customers, or of those in `external_customer_id`; may repeat.
    pub customer_id: Option<Vec<uuid::Uuid>>,
    /// Events of the customers with any of these external ids; may repeat.
    pub external_customer_id: Option<Vec<String>>,
    /// Events that this meter counts.
    pub meter_id: Option<uuid::Uuid>,
    /// Exact; may repeat.
    pub name: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use floe_core::{EventSource, Metadata, Number, Value};

    #[test]
    fn metadata_is_written_as_requests_take_it() {
        let number = |number| Value::Number(number);
        let object = |entries| Value::Object(Metadata::from_distinct(entries));
        let event = NewEvent {
            name: "\u{1}\"ß🦀".into(),
            source: EventSource::User,
            customer: CustomerRef::External("".into()),
            timestamp: Timestamp::from_micros(0).unwrap(),
            external_id: Some("e".into()),
            parent_id: Some("p".into()),
            external_member_id: Some("m".into()),
            metadata: Metadata::from_distinct(vec![
                ("i".into(), number(Number::Int(-1))),
                ("f".into(), number(Number::Float(1.0))),
                ("large".into(), number(Number::Float(1e20))),
                ("small".into(), number(Number::Float(5e-324))),
                ("big".into(), number(Number::Big("100000000000000000000".into()))),
                ("b".into(), Value::Bool(true)),
                (
                    "_cost".into(),
                    object(vec![
                        ("amount".into(), number(Number::decimal(123_456_789_012, 12).unwrap())),
                        ("currency".into(), Value::String("usd".into())),
                    ]),
                ),
                ("_llm".into(), object(vec![("prompt".into(), Value::Null)])),
            ]),
        };
        let mut line = Vec::new();
        write_export_line(&event, &mut line);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            concat!(
                r#"{"name":"\u0001\"ß🦀","timestamp":"1970-01-01T00:00:00Z","#,
                r#""external_customer_id":"","external_member_id":"m","external_id":"e","#,
                r#""parent_id":"p","metadata":{"i":-1,"f":1.0,"large":1e+20,"small":5e-324,"#,
                r#""big":100000000000000000000,"b":true,"#,
                r#""_cost":{"amount":"0.123456789012","currency":"usd"},"_llm":{"prompt":null}}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn the_root_token_names_an_organization() {
        let read = |raw: &str, is_organization| {
            let mut errors = Errors::new();
            let query = QueryParams::parse(raw);
            let params = EventsExportParams::parse(&query, is_organization, &mut errors);
            let kinds = errors.items().iter().map(|item| item.violation().kind().to_owned());
            params.ok_or_else(|| kinds.collect::<Vec<_>>())
        };
        assert_eq!(read("", false).unwrap_err(), ["missing"]);
        assert_eq!(read("", true).unwrap().organization_id, None);
        let wrong = "start_timestamp=x&filter={&customer_id=x&meter_id=x&organization_id=x";
        assert_eq!(read(wrong, true).unwrap_err().len(), 5);
    }
}
