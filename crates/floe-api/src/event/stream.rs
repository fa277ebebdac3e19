//! `GET /v1/event-stream` on the wire: Floe's own route.

use floe_core::{CustomerId, EventId, Filter, MeterId, OrganizationId};
use uuid::Uuid;

use crate::Event;
use crate::errors::{Errors, Loc, ValidationFailure, Violation};
use crate::fields::unless_refused;
use crate::json::Json;
use crate::meter::filter_parameter;
use crate::quantity::customer_ids;
use crate::query::QueryParams;
use crate::scalar;

/// The header that names the last event that a client has.
pub const LAST_EVENT_ID: &str = "last-event-id";

/// What stands for the place before the first event.
pub const BEFORE_ALL_EVENTS: Uuid = Uuid::nil();

/// Parameters of `GET /v1/event-stream`; those that are there must all hold, except that customers
/// are selected by either of their ids.
#[derive(Debug, Clone, PartialEq)]
pub struct EventStreamParams {
    /// The organization; a caller that is one need not name it.
    pub organization_id: Option<OrganizationId>,
    /// As a meter's filter.
    pub filter: Option<Filter>,
    /// Any of these customers.
    pub customer_ids: Option<Vec<CustomerId>>,
    /// Or any of these.
    pub external_customer_ids: Option<Vec<String>>,
    /// Any of these names.
    pub names: Option<Vec<String>>,
    /// What this meter counts; if there is none, [`meter_not_found`](super::meter_not_found).
    pub meter_id: Option<MeterId>,
}

impl EventStreamParams {
    /// Reads a query; `None` after adding errors. A caller that is no organization must name one:
    /// events are in order of ingestion within an organization.
    pub fn parse(
        query: &QueryParams,
        is_organization_token: bool,
        errors: &mut Errors,
    ) -> Option<Self> {
        let before = errors.len();
        let params = Self {
            organization_id: one_organization(query, is_organization_token, errors),
            filter: filter_parameter(query, errors),
            customer_ids: customer_ids(query, errors),
            external_customer_ids: query.strings("external_customer_id"),
            names: query.strings("name"),
            meter_id: query.optional("meter_id", errors, scalar::uuid4).map(MeterId),
        };
        unless_refused(params, before, errors)
    }
}

/// The parameter `organization_id` of what is of one organization: needed unless the caller is one.
pub(crate) fn one_organization(
    query: &QueryParams,
    is_organization_token: bool,
    errors: &mut Errors,
) -> Option<OrganizationId> {
    let id = if is_organization_token {
        query.optional("organization_id", errors, scalar::uuid4)
    } else {
        query.required("organization_id", errors, scalar::uuid4)
    };
    id.map(OrganizationId)
}

/// What to answer to a [`LAST_EVENT_ID`] that names no event of the organization.
#[must_use]
pub fn last_event_not_found(text: &str) -> ValidationFailure {
    let violation = Violation::plain("value_error", "Event not found.");
    let input = Json::Str(text.into());
    ValidationFailure::business(&Loc::HEADER.key(LAST_EVENT_ID), violation, &input)
}

/// Appends an event as a server-sent event. Its id is what [`LAST_EVENT_ID`] takes.
pub fn write_stream_event(id: EventId, event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("id: {id}\nevent: event\ndata: ").as_bytes());
    // JSON has no line breaks but between its tokens, and there serde_json writes none.
    if let Err(error) = serde_json::to_writer(&mut *out, event) {
        unreachable!("writing JSON to memory does not fail: {error}");
    }
    out.extend_from_slice(b"\n\n");
}

/// Appends a comment, and that all up to the event with this id was sent: clients note it and show
/// nothing.
pub fn write_stream_place(id: Option<Uuid>, out: &mut Vec<u8>) {
    out.extend_from_slice(b": alive\n");
    if let Some(id) = id {
        out.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    out.push(b'\n');
}

/// The parameters of `GET /v1/event-stream`, for documentation.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventStreamQuery {
    /// The organization; needed with the root token.
    pub organization_id: Option<Uuid>,
    /// JSON text of a `Filter`, as a meter has one.
    pub filter: Option<String>,
    /// Events of any of these customers, or of those in `external_customer_id`; may repeat.
    pub customer_id: Option<Vec<Uuid>>,
    /// Events of the customers with any of these external ids; may repeat.
    pub external_customer_id: Option<Vec<String>>,
    /// Exact; may repeat.
    pub name: Option<Vec<String>>,
    /// Events that this meter counts, as it is defined when they come.
    pub meter_id: Option<Uuid>,
}
