//! What events hold: Floe's own route.

use axum::extract::State;
use axum::response::Response;
use floe_api::Page;
use floe_api::event_property::{
    EventPropertiesParams, EventPropertiesQuery, EventProperty, PropertiesSeen,
};
use floe_api::page::PagingQuery;
use floe_core::{EventId, EventSource, NewEvent};
use floe_store::port::{self, EventQuery, EventStore as _, NameQuery};

use super::{one_organization, page};
use crate::app::App;
use crate::auth::{Caller, EventsRead};
use crate::error::ApiError;
use crate::extract::{Query, parsed};
use crate::openapi::Refusals;

/// Events of one name that are looked at.
const EVENTS_OF_NAME_MAX: u64 = 1000;
/// Events of all names together that are looked at.
const EVENTS_MAX: u64 = 20_000;
/// Names that are looked at.
const NAMES_MAX: usize = 100;

/// Lists the properties that events have, by the names of the events.
///
/// For each name the newest events are looked at, up to 1,000; for more than 20 names at once
/// together up to 20,000, as many of each. Without `name` these are the 100 names that were seen
/// last. A property is called as filters and aggregations call it: `tokens`, or `_cost.amount` and
/// `_llm.model` for what is inside of an object. What they cannot name is left out: keys
/// with a dot in them, and metadata under `name`, `source` and `timestamp`. Only events that
/// customers caused are looked at, no credits and resets.
///
/// Items are in the order of the names, the last seen first, then by occurrences, the most frequent
/// first. There are at most 1,000 for one name.
#[utoipa::path(
    get, path = "/v1/event-properties/", tag = "events",
    params(EventPropertiesQuery, PagingQuery),
    responses(
        (status = 200, description = "A page of properties.", body = Page<EventProperty>),
        Refusals<EventsRead>,
    ),
)]
pub(crate) async fn list_event_properties(
    State(app): State<App>,
    caller: Caller<EventsRead>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let own = caller.organization();
    let EventPropertiesParams { organization_id, names, query, paging } =
        parsed(|errors| EventPropertiesParams::parse(&query, own.is_some(), errors))?;
    let organization = one_organization(&app, &caller, organization_id)?;
    let sources = vec![EventSource::User];
    let of_users = NameQuery { sources: sources.clone(), ..NameQuery::default() };
    let mut known = app.store.event_names(organization, of_users).await?;
    known.retain(|row| names.as_ref().is_none_or(|names| names.contains(&row.name)));
    known.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.name.cmp(&b.name)));
    known.truncate(NAMES_MAX);
    let of_each = (EVENTS_MAX / (known.len() as u64).max(1)).min(EVENTS_OF_NAME_MAX);
    let needle = query.map(|text| text.to_lowercase());
    let mut items = Vec::new();
    for row in known {
        let query = EventQuery {
            names: vec![row.name.clone()],
            sources: sources.clone(),
            ..EventQuery::default()
        };
        let look = |seen: &mut PropertiesSeen, _: EventId, event: &NewEvent<'_>| {
            seen.add(&event.metadata);
        };
        let seen = PropertiesSeen::default();
        let seen = app.store.newest_events(organization, query, of_each, seen, look).await?;
        items.extend(seen.finish(&row.name, needle.as_deref()));
    }
    let total_count = items.len() as u64;
    let on_page = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
    let items = items.into_iter().skip(on_page(paging.offset())).take(on_page(paging.limit()));
    Ok(page(port::Page { items: items.collect(), total_count }, paging, |item| item))
}
