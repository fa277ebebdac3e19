//! Which meters count an event: Floe's own route.

use axum::extract::{Path, State};
use axum::response::Response;
use floe_api::Page;
use floe_api::event_meter::{EventMeter, EventMeterSchema, EventMetersParams, EventMetersQuery};
use floe_api::page::PagingQuery;
use floe_core::EventId;
use floe_store::port::{
    self, Catalog as _, Direction, EventStore as _, MeterQuery, MeterSort, Organizations,
};

use super::page;
use crate::app::App;
use crate::auth::{Caller, EventsRead, MetersRead};
use crate::error::ApiError;
use crate::extract::{Query, parsed, path_id};
use crate::openapi::Refusals;

/// Lists the meters that count an event, each with what the event contributes.
///
/// All meters of the event's organization are asked, by name, as they are defined now. The value is
/// what `POST /v1/meters/preview` shows for the event: a number, 1 for a count; for `unique` the
/// value, null if it has none. A credit or a reset counts on no meter.
///
/// The scope `meters:read` (or `meters:write`) is needed besides.
#[utoipa::path(
    get, path = "/v1/events/{id}/meters", tag = "events",
    params(("id" = Uuid, Path, description = "Id of the event."), EventMetersQuery, PagingQuery),
    responses(
        (status = 200, description = "A page of meters.", body = Page<EventMeterSchema>),
        Refusals<EventsRead>,
    ),
)]
pub(crate) async fn list_event_meters(
    State(app): State<App>,
    caller: Caller<EventsRead>,
    _: Caller<MetersRead>,
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let (id, params) =
        parsed(|errors| path_id(&id, errors).zip(EventMetersParams::parse(&query, errors)))?;
    let EventMetersParams { is_archived, paging } = params;
    let row = app.store.event(&caller.organizations(), EventId(id)).await?;
    let row = row.ok_or(ApiError::NotFound)?;
    let of = Organizations::one(row.organization_id);
    let meters = MeterQuery { is_archived, ..MeterQuery::default() };
    let by_name = vec![(MeterSort::Name, Direction::Ascending)];
    let all = port::PageRequest { offset: 0, limit: u64::MAX };
    let meters = app.store.list_meters(&of, &meters, &by_name, all).items;
    let counting = meters.iter().filter_map(|meter| EventMeter::of(meter, &row.event));
    let on_page = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
    let (first, limit) = (on_page(paging.offset()), on_page(paging.limit()));
    let (mut items, mut total_count) = (Vec::new(), 0);
    for (at, meter) in counting.enumerate() {
        total_count += 1;
        if at >= first && items.len() < limit {
            items.push(meter);
        }
    }
    Ok(page(port::Page { items, total_count }, paging, |item| item))
}
