//! Event types: the names of an organization's events and their labels (contract section 4.5).

use axum::extract::{Path, State};
use axum::response::Response;
use floe_api::event::label;
use floe_api::event_type::{
    EventType, EventTypeSort, EventTypeUpdate, EventTypeWithStats, EventTypesListParams,
    EventTypesListQuery,
};
use floe_api::page::PagingQuery;
use floe_api::{Page, WireTimestamp};
use floe_core::{EventId, EventSource};
use floe_store::port::{Catalog as _, EventStore as _, NameQuery, NameRow};
use floe_store::sort::{SortKey, sorted_page};

use super::{ok, page, page_request, selection_for_lists};
use crate::app::App;
use crate::auth::{Caller, EventsRead, EventsWrite};
use crate::error::ApiError;
use crate::extract::{Body, Query, parsed, path_id};
use crate::openapi::Refusals;

/// Lists event types, with numbers of their events.
///
/// An event type is made, its label the same as its name, when the first event of a name is
/// ingested.
#[utoipa::path(
    get, path = "/v1/event-types/", tag = "event types",
    params(EventTypesListQuery, PagingQuery),
    responses(
        (status = 200, description = "A page of event types.", body = Page<EventTypeWithStats>),
        Refusals<EventsRead>,
    ),
)]
pub(crate) async fn list_event_types(
    State(app): State<App>,
    caller: Caller<EventsRead>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let EventTypesListParams {
        organization_ids,
        customer_ids,
        external_customer_ids,
        query,
        root_events,
        parent_id,
        source,
        paging,
        sorting,
    } = parsed(|errors| EventTypesListParams::parse(&query, errors))?;
    let organizations = caller.organizations().restrict(organization_ids);
    let needle = query.map(|text| text.to_lowercase());
    let mut types = Vec::new();
    for organization in app.store.organization_ids(&organizations) {
        let query = NameQuery {
            customers: selection_for_lists(
                &app,
                organization,
                customer_ids.as_ref(),
                external_customer_ids.as_ref(),
            ),
            sources: source.into_iter().collect(),
            root_events,
            parent_id: parent_id.map(EventId),
        };
        let rows = app.store.event_names(organization, query).await?;
        types.extend(rows.into_iter().map(|row| with_stats(&app, row)));
    }
    types.retain(|event_type| {
        needle.as_ref().is_none_or(|text| {
            event_type.name.to_lowercase().contains(text)
                || event_type.label.to_lowercase().contains(text)
        })
    });
    let directions: Vec<_> = sorting.iter().map(|(_, direction)| *direction).collect();
    let keys = |event_type: &EventTypeWithStats| {
        let by = sorting.iter().map(|(by, _)| match by {
            EventTypeSort::Name => SortKey::text(&event_type.name),
            EventTypeSort::Label => SortKey::text(&event_type.label),
            EventTypeSort::Occurrences => {
                SortKey::Integer(i64::try_from(event_type.occurrences).unwrap_or(i64::MAX))
            }
            EventTypeSort::FirstSeen => SortKey::instant(event_type.first_seen.0),
            EventTypeSort::LastSeen => SortKey::instant(event_type.last_seen.0),
        });
        let tie = [
            SortKey::optional_instant(event_type.created_at.map(|at| at.0)),
            SortKey::Id(event_type.id.unwrap_or_default().as_u128()),
        ];
        by.chain(tie).collect()
    };
    let found = sorted_page(types, &directions, keys, page_request(paging));
    Ok(page(found, paging, |event_type| event_type))
}

fn with_stats(app: &App, row: NameRow) -> EventTypeWithStats {
    let NameRow { organization_id, name, source, occurrences, first_seen, last_seen, created_at } =
        row;
    // Types of Floe's own events have no row of their own.
    let is_user = source == EventSource::User;
    let set = app.store.event_label(organization_id, &name).filter(|_| is_user);
    EventTypeWithStats {
        id: is_user.then(|| app.store.event_type_id(organization_id, &name).0),
        created_at: is_user.then_some(WireTimestamp(created_at)),
        modified_at: set.as_ref().map(|set| WireTimestamp(set.modified_at)),
        label: label(source, &name, set.as_ref().map(|set| set.label.as_str())),
        label_property_selector: set.and_then(|set| set.label_property_selector.clone()),
        name,
        organization_id: organization_id.0,
        source,
        occurrences,
        first_seen: WireTimestamp(first_seen),
        last_seen: WireTimestamp(last_seen),
    }
}

/// Changes the label of an event type.
///
/// A `label_property_selector` that is absent from the body is reset to null.
#[utoipa::path(
    patch, path = "/v1/event-types/{id}", tag = "event types",
    params(("id" = Uuid, Path, description = "Id of the event type.")),
    request_body(content = EventTypeUpdate, example = json!({"label": "Completion"})),
    responses(
        (status = 200, description = "The event type as it is now.", body = EventType),
        Refusals<EventsWrite>,
    ),
)]
pub(crate) async fn update_event_type(
    State(app): State<App>,
    caller: Caller<EventsWrite>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let (id, update) = body.read(|json| {
        parsed(|errors| path_id(&id, errors).zip(EventTypeUpdate::parse(json, errors)))
    })?;
    let query = NameQuery { sources: vec![EventSource::User], ..NameQuery::default() };
    let mut found = None;
    for organization in app.store.organization_ids(&caller.organizations()) {
        let rows = app.store.event_names(organization, query.clone()).await?;
        found =
            rows.into_iter().find(|row| app.store.event_type_id(organization, &row.name).0 == id);
        if found.is_some() {
            break;
        }
    }
    let row = found.ok_or(ApiError::NotFound)?;
    let EventTypeUpdate { label, label_property_selector } = update;
    let set = app
        .store
        .set_event_label(row.organization_id, row.name.clone(), label, label_property_selector)
        .await?;
    Ok(ok(&EventType {
        id,
        created_at: WireTimestamp(row.created_at),
        modified_at: Some(WireTimestamp(set.modified_at)),
        name: row.name,
        label: set.label.clone(),
        label_property_selector: set.label_property_selector.clone(),
        organization_id: row.organization_id.0,
    }))
}
