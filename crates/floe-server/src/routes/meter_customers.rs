//! The customers of a meter: Floe's own route.

use axum::extract::{Path, State};
use axum::response::Response;
use floe_api::customer_quantity::{MeterCustomersParams, MeterCustomersQuery};
use floe_api::page::PagingQuery;
use floe_api::{CustomerQuantity, Page};
use floe_core::{CustomerQuantitiesQuery, MeterId};
use floe_store::port::{self, Catalog as _, CustomerQuantityRow, EventStore as _};

use super::{page, page_request, wire_customer};
use crate::app::App;
use crate::auth::{Caller, MetersRead};
use crate::error::ApiError;
use crate::extract::{Query, parsed, path_id};
use crate::openapi::{MetadataQuery, Refusals};

/// Lists the customers of a meter, each with its quantity.
///
/// Listed is who has at least one event that counts in the period, by default the greatest quantity
/// first. A quantity is the `total` that the meter's quantities have for this customer alone with
/// the same `start_timestamp`, `end_timestamp`, `interval`, `timezone` and `metadata`; so the
/// quantities of a `count` or `sum` meter add up to the total of all customers. Without `interval`
/// exactly the events from the start to just before the end count.
///
/// A customer is one item, also if some of its events came with its id and others with its external
/// id. Events with an external id that no customer has are an item too, with no `customer_id` and no
/// `customer`. A deleted customer has the events that came with its id.
#[utoipa::path(
    get, path = "/v1/meters/{id}/customers", tag = "meters",
    params(
        ("id" = Uuid, Path, description = "Id of the meter."),
        MeterCustomersQuery, MetadataQuery, PagingQuery,
    ),
    responses(
        (status = 200, description = "A page of customers.", body = Page<CustomerQuantity>),
        Refusals<MetersRead>,
    ),
)]
pub(crate) async fn list_meter_customers(
    State(app): State<App>,
    caller: Caller<MetersRead>,
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let (id, params) =
        parsed(|errors| path_id(&id, errors).zip(MeterCustomersParams::parse(&query, errors)))?;
    let meter = app.store.meter(&caller.organizations(), MeterId(id)).ok_or(ApiError::NotFound)?;
    if let Some(error) = params.span_error() {
        return Err(error.into());
    }
    let MeterCustomersParams { start, end, interval, timezone, query, metadata, paging, sorting } =
        params;
    let question = CustomerQuantitiesQuery {
        filter: meter.filter.clone(),
        aggregation: meter.aggregation.clone(),
        start: start.timestamp(),
        end: end.timestamp(),
        interval,
        zone: timezone,
        metadata,
    };
    let organization = meter.organization_id;
    let found = app
        .store
        .customer_quantities(organization, question, query, sorting, page_request(paging))
        .await?;
    let mut items = Vec::with_capacity(found.items.len());
    for CustomerQuantityRow { customer_id, external_customer_id, customer, quantity } in found.items
    {
        let customer = match customer {
            Some(customer) => Some(wire_customer(&app, &customer).await?),
            None => None,
        };
        let customer_id = customer_id.map(|id| id.0);
        items.push(CustomerQuantity { customer_id, external_customer_id, customer, quantity });
    }
    let found = port::Page { items, total_count: found.total_count };
    Ok(page(found, paging, |item| item))
}
