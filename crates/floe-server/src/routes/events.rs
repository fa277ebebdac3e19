//! Events (contract section 4).

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::response::Response;
use floe_api::errors::{self, ErrorClass, Errors, Loc};
use floe_api::event::{EventNameSort, label};
use floe_api::json::Json;
use floe_api::page::{Pagination, PagingQuery};
use floe_api::query::Paging;
use floe_api::schema::{EventNamesQuery, EventsIngest, EventsListQuery};
use floe_api::{
    Event, EventContext, EventName, EventNamesParams, EventsListParams, IngestRequest,
    IngestResponse, Page,
};
use floe_core::{EventId, NewEvent, OrganizationId};
use floe_store::embedded::system_time;
use floe_store::port::{
    self, Catalog as _, EventAddress, EventQuery, EventRow, EventStore as _, IngestReport,
    NameQuery, NameRow, Organizations, StoreError, TextQuery,
};
use floe_store::sort::{SortKey, sorted_page};
use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;
use uuid::Uuid;

use super::{meter_for_lists, ok, page, page_request, selection_for_lists, wire_customer};
use crate::app::App;
use crate::auth::{Caller, EventsRead, EventsWrite};
use crate::error::{ApiError, json_bytes};
use crate::extract::{Body, Query, parsed, path_id};
use crate::openapi::{MetadataQuery, Refusals};

/// Stores events.
///
/// When the answer is 200 they are on disk, synced, and every later read sees them. With a 4xx none
/// of the batch was stored. One body may have any number of events within 10 MiB (10485760 bytes).
///
/// To retry safely after a 5xx or no answer at all, give each event an `external_id`: an event
/// whose `external_id` is known to the organization, from an earlier batch or from this one, is
/// counted in `duplicates` and not stored again. Its other fields are not compared.
///
/// An event belongs to a customer by `customer_id`, who must exist, or by `external_customer_id`,
/// for which no customer need exist yet.
#[utoipa::path(
    post, path = "/v1/events/ingest", tag = "events",
    request_body(content = EventsIngest, example = json!({
        "events": [{
            "name": "completion",
            "external_customer_id": "user_123",
            "external_id": "request_456",
            "timestamp": "2026-01-15T10:30:00Z",
            "metadata": {"tokens": 1200, "model": "small"}
        }]
    })),
    responses(
        (
            status = 200,
            description = "How many events are new; they are on disk.",
            body = IngestResponse,
        ),
        Refusals<EventsWrite>,
    ),
)]
pub(crate) async fn ingest_events(
    State(app): State<App>,
    caller: Caller<EventsWrite>,
    body: Body,
) -> Result<Response, ApiError> {
    let now = system_time();
    let store = |organization, request: &IngestRequest<'_>| {
        let of = Organizations::one(organization);
        let is_customer = |id| app.store.customer(&of, id).is_some();
        let refused = request.business_error(caller.organization().is_some(), is_customer);
        if let Some(refused) = refused {
            return Err(refused.into());
        }
        if app.parse_only {
            let inserted = request.events.len() as u64;
            return Ok(Err(IngestReport { inserted, duplicates: 0 }));
        }
        Ok(Ok(app.store.ingest(organization, &request.events)))
    };
    let stored = body.read_quickly(
        |bytes| {
            let request = IngestRequest::parse_usual(bytes, now)?;
            let organization = organization_of_usual_batch(&app, &caller, &request)?;
            Some(store(organization, &request))
        },
        |json| {
            let request = parsed(|errors| IngestRequest::parse(json, now, errors))?;
            let organization = organization_of_batch(&app, &caller, &request, json)?;
            store(organization, &request)
        },
    )?;
    let report = match stored {
        Ok(stored) => stored.await?,
        Err(report) => report,
    };
    let IngestReport { inserted, duplicates } = report;
    Ok(ok(&IngestResponse { inserted, duplicates }))
}

/// The organization of a batch: the caller's own, or for the root token the one that every event
/// names, if there are events and it exists.
fn organization_of_usual_batch(
    app: &App,
    caller: &Caller<EventsWrite>,
    request: &IngestRequest<'_>,
) -> Option<OrganizationId> {
    if let Some(organization) = caller.organization() {
        return Some(organization);
    }
    let named = request.references.iter().map(|references| references.organization_id);
    let first = named.clone().next()??;
    let are_all_of_it =
        named.len() == request.events.len() && named.clone().all(|id| id == Some(first));
    let organization = OrganizationId(first);
    (are_all_of_it && app.store.organization(organization).is_some()).then_some(organization)
}

/// As [`organization_of_usual_batch`], with all that is wrong with it: one batch, one organization
/// (design section 5).
fn organization_of_batch(
    app: &App,
    caller: &Caller<EventsWrite>,
    request: &IngestRequest<'_>,
    body: &Json<'_>,
) -> Result<OrganizationId, ApiError> {
    if let Some(organization) = organization_of_usual_batch(app, caller, request) {
        return Ok(organization);
    }
    let named: HashMap<usize, Uuid> = request
        .references
        .iter()
        .filter_map(|references| Some((references.index, references.organization_id?)))
        .collect();
    let events = body.get("events").and_then(Json::as_array).unwrap_or_default();
    let (body_loc, mut first) = (Loc::BODY, None);
    let events_loc = body_loc.key("events");
    let mut missing = Errors::new();
    let mut refused = Errors::new();
    for (index, event) in events.iter().enumerate() {
        let event_loc = events_loc.index(index);
        let loc = event_loc.key("organization_id");
        match named.get(&index) {
            None => missing.push(&loc, errors::missing(), event),
            Some(id) if *first.get_or_insert(*id) != *id => {
                let text = "All events of a batch must be of one organization.";
                let input = Json::Str(id.to_string().into());
                refused.push(&loc, errors::Violation::plain("organization_id", text), &input);
            }
            Some(id) if app.store.organization(OrganizationId(*id)).is_none() => {
                let input = Json::Str(id.to_string().into());
                let text = "Organization not found.";
                refused.push(&loc, errors::Violation::plain("organization_id", text), &input);
            }
            Some(_) => {}
        }
    }
    missing.into_result(ErrorClass::RequestValidationError)?;
    refused.into_result(ErrorClass::PolarRequestValidationError)?;
    // No event is of nobody: an empty batch stores nothing, in any organization.
    Ok(OrganizationId(first.unwrap_or_default()))
}

/// Lists events, the newest first.
///
/// Parameters of one kind that repeat are alternatives; different ones must all hold, except that
/// `customer_id` and `external_customer_id` add up.
#[utoipa::path(
    get, path = "/v1/events/", tag = "events",
    params(EventsListQuery, MetadataQuery, PagingQuery),
    responses(
        (status = 200, description = "A page of events.", body = Page<Event>),
        Refusals<EventsRead>,
    ),
)]
pub(crate) async fn list_events(
    State(app): State<App>,
    caller: Caller<EventsRead>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let EventsListParams {
        filter,
        start,
        end,
        organization_ids,
        customer_ids,
        external_customer_ids,
        meter_id,
        names,
        sources,
        query,
        parent_id,
        depth,
        metadata,
        paging,
        direction,
    } = parsed(|errors| EventsListParams::parse(&query, caller.organization().is_some(), errors))?;
    let meter = meter_for_lists(&app, &caller.organizations(), meter_id)?;
    let mut organizations = caller.organizations().restrict(organization_ids);
    if let Some(meter) = &meter {
        organizations = organizations.restrict(Some(vec![meter.organization_id]));
    }
    let needle = query.map(|text| text.to_lowercase());
    let searches = app.store.organization_ids(&organizations).into_iter().map(|organization| {
        let query = EventQuery {
            filter: filter.clone(),
            after: start,
            before: end,
            customers: selection_for_lists(
                &app,
                organization,
                customer_ids.as_ref(),
                external_customer_ids.as_ref(),
            ),
            meter: meter.as_ref().map(|meter| (meter.filter.clone(), meter.aggregation.clone())),
            names: names.clone().unwrap_or_default(),
            sources: sources.clone().unwrap_or_default(),
            text: needle.as_ref().map(|needle| TextQuery {
                needle: needle.clone(),
                customers: app.store.search_customers(organization, needle),
            }),
            parent_id,
            depth,
            metadata: metadata.clone(),
        };
        (organization, query)
    });
    let searches = searches.collect();
    let found = app.store.list_events(searches, page_request(paging), direction).await?;
    EventPage::new(app, found, paging).respond().await
}

/// Bytes of a page of events that are made before they are sent.
const PAGE_CHUNK_BYTES: usize = 256 * 1024;

/// What stands behind an event in a list: JSON of an object, which the event joins as `event`.
pub(super) type Beside = Box<dyn Fn(&NewEvent<'_>) -> Result<Vec<u8>, ApiError> + Send + Sync>;

/// Events while they are written: each may be as large as a request, so many of them are never in
/// memory as a whole.
pub(super) struct EventPage {
    app: App,
    addresses: std::vec::IntoIter<EventAddress>,
    written: u64,
    /// What stands before the items.
    begin: Option<String>,
    /// What stands behind them.
    end: Option<String>,
    /// What each is wrapped with.
    beside: Option<Beside>,
}

impl EventPage {
    /// A page of a list.
    fn new(app: App, found: port::Page<EventAddress>, paging: Paging) -> Self {
        let Pagination { total_count, max_page } =
            Page::<()>::new(Vec::new(), found.total_count, paging).pagination;
        let end =
            format!(r#"],"pagination":{{"total_count":{total_count},"max_page":{max_page}}}}}"#);
        Self::wrapped(app, found.items, r#"{"items":["#.to_owned(), end, None)
    }

    /// Events between two texts, which with them are JSON.
    pub(super) fn wrapped(
        app: App,
        addresses: Vec<EventAddress>,
        begin: String,
        end: String,
        beside: Option<Beside>,
    ) -> Self {
        let addresses = addresses.into_iter();
        Self { app, addresses, written: 0, begin: Some(begin), end: Some(end), beside }
    }

    pub(super) async fn respond(mut self) -> Result<Response, ApiError> {
        let first = self.chunk().await?.unwrap_or_default();
        if self.end.is_none() {
            return Ok(json_bytes(StatusCode::OK, first));
        }
        let rest =
            stream::unfold(self, async |mut page| Some((page.chunk().await.transpose()?, page)));
        // The head is sent: all that an error can do is to end the answer early.
        let rest = rest.map(|chunk| chunk.map_err(|_| std::io::Error::other("the page broke off")));
        let body = axum::body::Body::from_stream(stream::iter([Ok(first)]).chain(rest));
        Ok(json_bytes(StatusCode::OK, body))
    }

    /// The next part of the page; `None` behind its end.
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        if self.end.is_none() {
            return Ok(None);
        }
        let mut bytes = self.begin.take().unwrap_or_default().into_bytes();
        for EventAddress { organization_id, id } in self.addresses.by_ref() {
            let of = Organizations::one(organization_id);
            let Some(row) = self.app.store.event(&of, id).await? else { continue };
            if self.written > 0 {
                bytes.push(b',');
            }
            self.written += 1;
            let beside = self.beside.as_ref().map(|beside| beside(&row.event)).transpose()?;
            if beside.is_some() {
                bytes.extend_from_slice(br#"{"event":"#);
            }
            let event = wire_event(&self.app, row).await?;
            serde_json::to_writer(&mut bytes, &event).map_err(|error| no_json(&error))?;
            if let Some(beside) = beside {
                bytes.push(b',');
                bytes.extend_from_slice(beside.strip_prefix(b"{").unwrap_or_default());
            }
            if bytes.len() >= PAGE_CHUNK_BYTES {
                return Ok(Some(bytes));
            }
        }
        bytes.extend_from_slice(self.end.take().unwrap_or_default().as_bytes());
        Ok(Some(bytes))
    }
}

/// What is made of an event could not be written.
pub(super) fn no_json(error: &serde_json::Error) -> ApiError {
    ApiError::Store(StoreError::Open(format!("an event is no JSON: {error}")))
}

/// An event as the wire shows it: its customer and label are those of now.
pub(super) async fn wire_event(app: &App, row: EventRow) -> Result<Event, ApiError> {
    let EventRow { id, organization_id, event, parent_id, child_count } = row;
    let customer = match app.store.customer_of_event(organization_id, &event.customer) {
        Some(customer) => Some(wire_customer(app, &customer).await?),
        None => None,
    };
    let label = app.store.event_label(organization_id, &event.name);
    let label = label.map(|label| label.label.clone());
    let context = EventContext { id, organization_id, customer, child_count, parent_id, label };
    Ok(Event::new(event, context))
}

/// Returns an event.
#[utoipa::path(
    get, path = "/v1/events/{id}", tag = "events",
    params(("id" = Uuid, Path, description = "Id of the event.")),
    responses((status = 200, description = "The event.", body = Event), Refusals<EventsRead>),
)]
pub(crate) async fn get_event(
    State(app): State<App>,
    caller: Caller<EventsRead>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = EventId(parsed(|errors| path_id(&id, errors))?);
    let row = app.store.event(&caller.organizations(), id).await?.ok_or(ApiError::NotFound)?;
    Ok(ok(&wire_event(&app, row).await?))
}

/// `GET /v1/events/ingest` asks for an event of that id (contract section 1.1).
pub(crate) async fn get_event_named_ingest(
    app: State<App>,
    caller: Caller<EventsRead>,
) -> Result<Response, ApiError> {
    get_event(app, caller, Path("ingest".to_owned())).await
}

/// Lists the names of events, by source.
#[utoipa::path(
    get, path = "/v1/events/names", tag = "events",
    params(EventNamesQuery, PagingQuery),
    responses(
        (status = 200, description = "A page of names.", body = Page<EventName>),
        Refusals<EventsRead>,
    ),
)]
pub(crate) async fn list_event_names(
    State(app): State<App>,
    caller: Caller<EventsRead>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let EventNamesParams {
        organization_ids,
        customer_ids,
        external_customer_ids,
        sources,
        query,
        paging,
        sorting,
    } = parsed(|errors| EventNamesParams::parse(&query, errors))?;
    let organizations = caller.organizations().restrict(organization_ids);
    let needle = query.map(|text| text.to_lowercase());
    let mut rows = Vec::new();
    for organization in app.store.organization_ids(&organizations) {
        let query = NameQuery {
            customers: selection_for_lists(
                &app,
                organization,
                customer_ids.as_ref(),
                external_customer_ids.as_ref(),
            ),
            sources: sources.clone().unwrap_or_default(),
            ..NameQuery::default()
        };
        rows.extend(app.store.event_names(organization, query).await?);
    }
    rows.retain(|row| needle.as_ref().is_none_or(|text| row.name.to_lowercase().contains(text)));
    let directions: Vec<_> = sorting.iter().map(|(_, direction)| *direction).collect();
    let keys = |row: &NameRow| {
        let by = sorting.iter().map(|(by, _)| match by {
            EventNameSort::Name => SortKey::text(&row.name),
            EventNameSort::Occurrences => {
                SortKey::Integer(i64::try_from(row.occurrences).unwrap_or(i64::MAX))
            }
            EventNameSort::FirstSeen => SortKey::instant(row.first_seen),
            EventNameSort::LastSeen => SortKey::instant(row.last_seen),
        });
        let tie = [SortKey::instant(row.created_at), SortKey::text(&row.name)];
        by.chain(tie).collect()
    };
    let found = sorted_page(rows, &directions, keys, page_request(paging));
    Ok(page(found, paging, |row| {
        let set = app.store.event_label(row.organization_id, &row.name);
        let label = label(row.source, &row.name, set.as_ref().map(|set| set.label.as_str()));
        let NameRow { name, source, occurrences, first_seen, last_seen, .. } = row;
        EventName { name, label, source, occurrences, first_seen, last_seen }
    }))
}
