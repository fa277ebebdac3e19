//! Parameters of event lists (contract sections 4.2 and 4.4).

use floe_core::limits::EVENT_QUERY_CHARS_MIN;
use floe_core::{
    CustomerId, EventId, EventSource, Filter, MetadataCondition, MeterId, OrganizationId, Timestamp,
};

use crate::errors::{Errors, Loc, ValidationFailure, Violation};
use crate::fields::unless_refused;
use crate::json::Json;
use crate::metadata::metadata_conditions;
use crate::meter::{filter_parameter, organization_ids};
use crate::quantity::customer_ids;
use crate::query::{Direction, Paging, QueryParams};
use crate::scalar::{self, IntBounds};

/// Levels of descendants that can be asked for.
const DEPTH_MAX: i64 = 5;

/// Parameters of `GET /v1/events/`; those that are there must all hold, except that customers are
/// selected by either of their ids.
#[derive(Debug, Clone, PartialEq)]
pub struct EventsListParams {
    /// As a meter's filter.
    pub filter: Option<Filter>,
    /// Strictly after this.
    pub start: Option<Timestamp>,
    /// Strictly before this.
    pub end: Option<Timestamp>,
    /// Any of these organizations.
    pub organization_ids: Option<Vec<OrganizationId>>,
    /// Any of these customers.
    pub customer_ids: Option<Vec<CustomerId>>,
    /// Or any of these.
    pub external_customer_ids: Option<Vec<String>>,
    /// What this meter counts; if there is none, [`meter_not_found`].
    pub meter_id: Option<MeterId>,
    /// Any of these names.
    pub names: Option<Vec<String>>,
    /// Any of these sources.
    pub sources: Option<Vec<EventSource>>,
    /// Part of a text, whatever the case; at least 3 code points.
    pub query: Option<String>,
    /// Children of this event, or its descendants on so many levels as `depth` says.
    pub parent_id: Option<EventId>,
    /// 0 to 5. Without `parent_id`: at most so many levels below an event without a parent.
    pub depth: Option<u8>,
    /// Conditions on metadata, all of which must hold.
    pub metadata: Vec<MetadataCondition>,
    /// Which page.
    pub paging: Paging,
    /// The direction of the sort by timestamp, then by order of ingestion.
    pub direction: Direction,
}

impl EventsListParams {
    /// Reads a query; `None` after adding errors. A caller that is an organization need not name
    /// one to search for text (S21).
    pub fn parse(
        query: &QueryParams,
        is_organization_token: bool,
        errors: &mut Errors,
    ) -> Option<Self> {
        let before = errors.len();
        let params = Self {
            filter: filter_parameter(query, errors),
            start: query.optional("start_timestamp", errors, timestamp),
            end: query.optional("end_timestamp", errors, timestamp),
            organization_ids: organization_ids(query, errors),
            customer_ids: customer_ids(query, errors),
            external_customer_ids: query.strings("external_customer_id"),
            meter_id: query.optional("meter_id", errors, scalar::uuid4).map(MeterId),
            names: query.strings("name"),
            sources: sources(query, errors),
            query: query.last("query").map(str::to_owned),
            parent_id: query.optional("parent_id", errors, scalar::uuid4).map(EventId),
            depth: query.optional("depth", errors, depth),
            metadata: metadata_conditions(query),
            paging: query.paging(errors),
            direction: direction(query, errors),
        };
        let params = unless_refused(params, before, errors)?;
        // Polar looks at the search text when everything else is valid.
        if let Some(violation) = params.query_violation(is_organization_token) {
            let text = params.query.as_deref().unwrap_or_default();
            errors.push_text(&Loc::QUERY.key("query"), violation, text);
            return None;
        }
        Some(params)
    }

    fn query_violation(&self, is_organization_token: bool) -> Option<Violation> {
        let query = self.query.as_ref()?;
        if self.organization_ids.is_none() && !is_organization_token {
            let text = "Query is only supported when organization_id is provided.";
            Some(Violation::plain("value_error", text))
        } else if query.chars().count() < EVENT_QUERY_CHARS_MIN {
            let text = format!("Query must be at least {EVENT_QUERY_CHARS_MIN} characters.");
            Some(Violation::plain("query", text))
        } else {
            None
        }
    }
}

/// What to answer to a list of events of an unknown meter.
#[must_use]
pub fn meter_not_found(meter_id: MeterId) -> ValidationFailure {
    let violation = Violation::plain("meter_id", "Meter not found.");
    let input = Json::Str(meter_id.to_string().into());
    ValidationFailure::business(&Loc::QUERY.key("meter_id"), violation, &input)
}

pub(super) fn timestamp(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Timestamp> {
    scalar::aware_datetime(json, loc, errors).map(scalar::AwareDateTime::timestamp)
}

fn sources(query: &QueryParams, errors: &mut Errors) -> Option<Vec<EventSource>> {
    query.many("source", errors, |json, loc, errors| {
        scalar::enum_value(json, loc, errors, &EventSource::ALL)
    })
}

fn depth(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<u8> {
    let bounds = IntBounds { ge: Some(0), le: Some(DEPTH_MAX), gt: None };
    scalar::int_within(json, loc, errors, bounds).and_then(|depth| u8::try_from(depth).ok())
}

/// There is one property, and only the first criterion counts.
fn direction(query: &QueryParams, errors: &mut Errors) -> Direction {
    let sorting = query.sorting(&[("timestamp", ())], &[], errors);
    sorting.first().map_or(Direction::Descending, |(_, direction)| *direction)
}

/// What a list of event names is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventNameSort {
    /// The name.
    Name,
    /// How many events there are.
    Occurrences,
    /// Timestamp of the earliest.
    FirstSeen,
    /// Timestamp of the latest.
    LastSeen,
}

/// Parameters of `GET /v1/events/names`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventNamesParams {
    /// Any of these organizations.
    pub organization_ids: Option<Vec<OrganizationId>>,
    /// Any of these customers.
    pub customer_ids: Option<Vec<CustomerId>>,
    /// Or any of these.
    pub external_customer_ids: Option<Vec<String>>,
    /// Any of these sources.
    pub sources: Option<Vec<EventSource>>,
    /// Part of the name, whatever the case; of any length.
    pub query: Option<String>,
    /// Which page.
    pub paging: Paging,
    /// Criteria in order; at least one.
    pub sorting: Vec<(EventNameSort, Direction)>,
}

impl EventNamesParams {
    /// Reads a query; `None` after adding errors.
    pub fn parse(query: &QueryParams, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        let options = [
            ("name", EventNameSort::Name),
            ("occurrences", EventNameSort::Occurrences),
            ("first_seen", EventNameSort::FirstSeen),
            ("last_seen", EventNameSort::LastSeen),
        ];
        let default = [(EventNameSort::LastSeen, Direction::Descending)];
        let params = Self {
            organization_ids: organization_ids(query, errors),
            customer_ids: customer_ids(query, errors),
            external_customer_ids: query.strings("external_customer_id"),
            sources: sources(query, errors),
            query: query.last("query").map(str::to_owned),
            paging: query.paging(errors),
            sorting: query.sorting(&options, &default, errors),
        };
        unless_refused(params, before, errors)
    }
}
