//! Events on the wire: ingestion, lists and answers (contract section 4).

mod export;
mod ingest;
mod lines;
mod list;
mod stream;
mod usual;

use floe_core::{
    CustomerId, CustomerRef, EventId, EventSource, METER_CREDITED, METER_RESET, Metadata, NewEvent,
    OrganizationId, Timestamp,
};
use serde::Serialize;
use uuid::Uuid;

#[cfg(feature = "openapi")]
pub use self::export::EventsExportQuery;
pub use self::export::{EventsExportParams, organization_not_found, write_export_line};
pub use self::ingest::{EventReferences, IngestRequest, IngestResponse};
pub use self::lines::{EventLine, line_error, member_error};
pub use self::list::{EventNameSort, EventNamesParams, EventsListParams, meter_not_found};
#[cfg(feature = "openapi")]
pub use self::stream::EventStreamQuery;
pub(crate) use self::stream::one_organization;
pub use self::stream::{
    BEFORE_ALL_EVENTS, EventStreamParams, LAST_EVENT_ID, last_event_not_found, write_stream_event,
    write_stream_place,
};
pub use self::usual::UsualLines;
use crate::Customer;
use crate::serialize::{display, optional_display};

/// An event.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Its id.
    #[serde(serialize_with = "display")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub id: EventId,
    /// When the usage happened.
    #[serde(serialize_with = "display")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub timestamp: Timestamp,
    /// Its organization.
    #[serde(serialize_with = "display")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
    pub organization_id: OrganizationId,
    /// As ingested; null for events of an external id.
    #[serde(serialize_with = "optional_display")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, format = "uuid", required = true)
    )]
    pub customer_id: Option<CustomerId>,
    /// Whoever has the event's customer id or external id now.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub customer: Option<Customer>,
    /// As ingested; null for events of a customer id.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub external_customer_id: Option<String>,
    /// Always null: there are no members.
    #[serde(serialize_with = "optional_display")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, format = "uuid", required = true)
    )]
    pub member_id: Option<Uuid>,
    /// As ingested.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub external_member_id: Option<String>,
    /// Number of direct children.
    pub child_count: u64,
    /// The parent's id; null until there is such an event.
    #[serde(serialize_with = "optional_display")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, format = "uuid", required = true)
    )]
    pub parent_id: Option<EventId>,
    /// What to call it: the label of its event type, by default its name.
    pub label: String,
    /// Its name.
    pub name: String,
    /// `user` for ingested events, `system` for credits and resets.
    #[serde(serialize_with = "crate::serialize::source")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::EventSource))]
    pub source: EventSource,
    /// What else is known of the usage.
    #[serde(serialize_with = "crate::metadata::serialize_of_event")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::EventMetadataOutput))]
    pub metadata: Metadata<'static>,
}

/// What an answer says of an event besides what was ingested.
#[derive(Debug, Clone)]
pub struct EventContext {
    /// Its id.
    pub id: EventId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Whoever has the event's customer id or external id now.
    pub customer: Option<Customer>,
    /// Number of direct children.
    pub child_count: u64,
    /// The parent, if there is such an event.
    pub parent_id: Option<EventId>,
    /// The label of its event type, if one was set.
    pub label: Option<String>,
}

impl Event {
    /// The answer about an event.
    #[must_use]
    pub fn new(event: NewEvent<'_>, context: EventContext) -> Self {
        let event = event.into_owned();
        let (customer_id, external_customer_id) = match event.customer {
            CustomerRef::Id(id) => (Some(id), None),
            CustomerRef::External(external_id) => (None, Some(external_id.into_owned())),
        };
        Self {
            id: context.id,
            timestamp: event.timestamp,
            organization_id: context.organization_id,
            customer_id,
            customer: context.customer,
            external_customer_id,
            member_id: None,
            external_member_id: event.external_member_id.map(Into::into),
            child_count: context.child_count,
            parent_id: context.parent_id,
            label: label(event.source, &event.name, context.label.as_deref()),
            name: event.name.into_owned(),
            source: event.source,
            metadata: event.metadata,
        }
    }
}

/// What events of a name are called: system events have fixed labels, others the label that was
/// set for their event type, by default the name.
#[must_use]
pub fn label(source: EventSource, name: &str, set: Option<&str>) -> String {
    let label = match (source, name) {
        (EventSource::System, METER_CREDITED) => "Meter Credited",
        (EventSource::System, METER_RESET) => "Meter Reset",
        (EventSource::System | EventSource::User, name) => set.unwrap_or(name),
    };
    label.to_owned()
}

/// A name of events, by source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventName {
    /// The name.
    pub name: String,
    /// What to call it, by default the name.
    pub label: String,
    /// Who made these events.
    #[serde(serialize_with = "crate::serialize::source")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::EventSource))]
    pub source: EventSource,
    /// How many there are.
    pub occurrences: u64,
    /// Timestamp of the earliest.
    #[serde(serialize_with = "display")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub first_seen: Timestamp,
    /// Timestamp of the latest.
    #[serde(serialize_with = "display")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_seen: Timestamp,
}

#[cfg(test)]
mod tests;
