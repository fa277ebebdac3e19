//! How many events there are: Floe's own route.

use axum::extract::State;
use axum::response::Response;
use floe_api::event_totals::{EventTotals, EventTotalsParams, EventTotalsQuery};
use floe_store::port::EventStore as _;

use super::{ok, one_organization};
use crate::app::App;
use crate::auth::{Caller, EventsRead};
use crate::error::ApiError;
use crate::extract::{Query, parsed};
use crate::openapi::Refusals;

/// Tells how many events an organization has, and how many it sent twice.
///
/// Duplicates are counted in memory: the count begins anew when the server is started.
#[utoipa::path(
    get, path = "/v1/event-totals", tag = "events",
    params(EventTotalsQuery),
    responses((status = 200, description = "How many.", body = EventTotals), Refusals<EventsRead>),
)]
pub(crate) async fn get_event_totals(
    State(app): State<App>,
    caller: Caller<EventsRead>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let own = caller.organization();
    let params = parsed(|errors| EventTotalsParams::parse(&query, own.is_some(), errors))?;
    let organization = one_organization(&app, &caller, params.organization_id)?;
    Ok(ok(&EventTotals {
        events: app.store.count_events(organization),
        duplicates: app.store.count_duplicates(organization),
        duplicates_since: app.started.at.into(),
    }))
}
