//! The handlers, one file a resource.

pub(crate) mod bulk;
pub(crate) mod customer_meters;
pub(crate) mod customers;
pub(crate) mod event_meters;
pub(crate) mod event_properties;
pub(crate) mod event_stream;
pub(crate) mod event_totals;
pub(crate) mod event_types;
pub(crate) mod events;
pub(crate) mod events_export;
pub(crate) mod meter_customers;
pub(crate) mod meter_preview;
pub(crate) mod meters;
pub(crate) mod organizations;
pub(crate) mod system;
pub(crate) mod system_storage;
pub(crate) mod tokens;

use std::sync::Arc;

use axum::response::Response;
use floe_api::Page;
use floe_api::event::{meter_not_found, organization_not_found};
use floe_api::query::Paging;
use floe_core::{Customer, CustomerId, CustomerSelection, Meter, MeterId, OrganizationId};
use floe_store::port::{self, Catalog as _, EventStore as _, Organizations, PageRequest};
use http::StatusCode;
use serde::Serialize;

use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, json_response};

/// An answer of 200.
fn ok(body: &impl Serialize) -> Response {
    json_response(StatusCode::OK, body)
}

/// An answer of 201.
fn created(body: &impl Serialize) -> Response {
    json_response(StatusCode::CREATED, body)
}

fn page_request(paging: Paging) -> PageRequest {
    PageRequest { offset: paging.offset(), limit: paging.limit() }
}

/// A page of the store, as the wire shows it.
fn page<T, W: Serialize>(
    found: port::Page<T>,
    paging: Paging,
    wire: impl FnMut(T) -> W,
) -> Response {
    let total_count = found.total_count;
    ok(&Page::new(found.items.into_iter().map(wire).collect(), total_count, paging))
}

/// A customer as the wire shows it.
async fn wire_customer(app: &App, customer: &Customer) -> Result<floe_api::Customer, ApiError> {
    let first_user_event_at = app.store.first_user_event_at(customer).await?;
    Ok(floe_api::Customer::new(customer, first_user_event_at))
}

/// The one organization that is asked for, or else the caller's own.
fn one_organization<N>(
    app: &App,
    caller: &Caller<N>,
    asked: Option<OrganizationId>,
) -> Result<OrganizationId, ApiError> {
    let Some(organization) = asked.or(caller.organization()) else {
        return Err(ApiError::NotFound);
    };
    let is_seen = caller.organizations().contains(organization);
    if is_seen && app.store.organization(organization).is_some() {
        Ok(organization)
    } else {
        Err(organization_not_found(organization).into())
    }
}

/// The meter whose events a list of events asks for; `None` if it asks for no meter's.
fn meter_for_lists(
    app: &App,
    organizations: &Organizations,
    asked: Option<MeterId>,
) -> Result<Option<Arc<Meter>>, ApiError> {
    let Some(id) = asked else { return Ok(None) };
    let meter = app.store.meter(organizations, id);
    Ok(Some(meter.ok_or_else(|| meter_not_found(id))?))
}

/// The customers that parameters of a list of events ask for; `None` if they ask for none.
fn selection_for_lists(
    app: &App,
    organization: OrganizationId,
    ids: Option<&Vec<CustomerId>>,
    external_ids: Option<&Vec<String>>,
) -> Option<CustomerSelection> {
    let (ids, external_ids) = match (ids, external_ids) {
        (None, None) => return None,
        (ids, external_ids) => (
            ids.map(Vec::as_slice).unwrap_or_default(),
            external_ids.map(Vec::as_slice).unwrap_or_default(),
        ),
    };
    Some(app.store.select_customers(organization, ids, external_ids, true))
}
