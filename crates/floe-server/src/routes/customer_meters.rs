//! Customer meters (contract sections 5.7 and 5.8), and Floe's own credits and resets.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use floe_api::CustomerMeter;
use floe_api::customer_meter::{
    CreditCreate, CustomerMeterSort, CustomerMetersListParams, CustomerMetersListQuery, ResetCreate,
};
use floe_api::page::PagingQuery;
use floe_core::{Customer, CustomerMeterId, Meter};
use floe_store::port::{Catalog as _, CustomerMeterRow, EventStore as _, NewCredit, Page};
use floe_store::sort::{SortKey, sorted_page};
use uuid::Uuid;

use super::{created, ok, page, page_request, wire_customer};
use crate::app::App;
use crate::auth::{Caller, CustomerMetersRead, CustomerMetersWrite};
use crate::error::ApiError;
use crate::extract::{Body, Query, parsed, path_id};
use crate::openapi::Refusals;

/// A customer meter while a list of them is sorted.
struct Item {
    id: CustomerMeterId,
    customer: Arc<Customer>,
    meter: Arc<Meter>,
    row: CustomerMeterRow,
}

/// Lists customer meters.
///
/// A customer meter is what one customer used and was credited on one meter. Those of archived
/// meters are hidden unless the meter is asked for.
#[utoipa::path(
    get, path = "/v1/customer-meters/", tag = "customer meters",
    params(CustomerMetersListQuery, PagingQuery),
    responses(
        (
            status = 200,
            description = "A page of customer meters.",
            body = floe_api::Page<CustomerMeter>,
        ),
        Refusals<CustomerMetersRead>,
    ),
)]
pub(crate) async fn list_customer_meters(
    State(app): State<App>,
    caller: Caller<CustomerMetersRead>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let CustomerMetersListParams {
        organization_ids,
        customer_ids,
        external_customer_ids,
        meter_ids,
        paging,
        sorting,
    } = parsed(|errors| CustomerMetersListParams::parse(&query, errors))?;
    let organizations = caller.organizations().restrict(organization_ids);
    let mut items = Vec::new();
    for organization in app.store.organization_ids(&organizations) {
        let mut customers = app.store.customers(organization);
        customers.retain(|customer| {
            customer_ids.as_ref().is_none_or(|ids| ids.contains(&customer.id))
                && external_customer_ids.as_ref().is_none_or(|ids| {
                    customer.external_id.as_ref().is_some_and(|id| ids.contains(id))
                })
        });
        let mut meters = app.store.meters(organization);
        meters.retain(|meter| match &meter_ids {
            Some(ids) => ids.contains(&meter.id),
            None => meter.archived_at.is_none(),
        });
        let rows =
            app.store.customer_meters(organization, customers.clone(), meters.clone()).await?;
        for (customer, rows) in customers.iter().zip(rows) {
            items.extend(meters.iter().zip(rows).map(|(meter, row)| Item {
                id: app.store.customer_meter_id(customer, meter),
                customer: Arc::clone(customer),
                meter: Arc::clone(meter),
                row,
            }));
        }
    }
    let directions: Vec<_> = sorting.iter().map(|(_, direction)| *direction).collect();
    let keys = |item: &Item| {
        let by = sorting.iter().map(|(by, _)| sort_key(item, *by));
        let tie = [sort_key(item, CustomerMeterSort::CreatedAt), SortKey::Id(item.id.0.as_u128())];
        by.chain(tie).collect()
    };
    let found = sorted_page(items, &directions, keys, page_request(paging));
    let mut items = Vec::with_capacity(found.items.len());
    for Item { id, customer, meter, row } in found.items {
        let customer = wire_customer(&app, &customer).await?;
        items.push(CustomerMeter::new(id, row.modified_at, row.units, customer, &meter));
    }
    let found = Page { items, total_count: found.total_count };
    Ok(page(found, paging, |item| item))
}

fn sort_key(item: &Item, by: CustomerMeterSort) -> SortKey {
    let Item { customer, meter, row, .. } = item;
    match by {
        CustomerMeterSort::CreatedAt => SortKey::instant(customer.created_at.max(meter.created_at)),
        CustomerMeterSort::ModifiedAt => SortKey::optional_instant(row.modified_at),
        CustomerMeterSort::CustomerId => SortKey::Id(customer.id.0.as_u128()),
        CustomerMeterSort::CustomerName => SortKey::optional_text(customer.name.as_deref()),
        CustomerMeterSort::MeterId => SortKey::Id(meter.id.0.as_u128()),
        CustomerMeterSort::MeterName => SortKey::text(&meter.name),
        CustomerMeterSort::ConsumedUnits => SortKey::Float(row.units.consumed),
        CustomerMeterSort::CreditedUnits => SortKey::Integer(row.units.credited),
        CustomerMeterSort::Balance => SortKey::Float(row.units.balance),
    }
}

/// The customer and the meter that a path names.
fn by_id<N>(
    app: &App,
    caller: &Caller<N>,
    id: Uuid,
) -> Result<(Arc<Customer>, Arc<Meter>), ApiError> {
    app.store.customer_meter(&caller.organizations(), CustomerMeterId(id)).ok_or(ApiError::NotFound)
}

/// A customer meter as it is now.
async fn current(
    app: &App,
    customer: Arc<Customer>,
    meter: Arc<Meter>,
) -> Result<CustomerMeter, ApiError> {
    let rows = app
        .store
        .customer_meters(
            meter.organization_id,
            vec![Arc::clone(&customer)],
            vec![Arc::clone(&meter)],
        )
        .await?;
    let row = rows.into_iter().flatten().next().ok_or(ApiError::NotFound)?;
    let id = app.store.customer_meter_id(&customer, &meter);
    let customer = wire_customer(app, &customer).await?;
    Ok(CustomerMeter::new(id, row.modified_at, row.units, customer, &meter))
}

/// Returns a customer meter.
#[utoipa::path(
    get, path = "/v1/customer-meters/{id}", tag = "customer meters",
    params(("id" = Uuid, Path, description = "Id of the customer meter.")),
    responses(
        (status = 200, description = "The customer meter.", body = CustomerMeter),
        Refusals<CustomerMetersRead>,
    ),
)]
pub(crate) async fn get_customer_meter(
    State(app): State<App>,
    caller: Caller<CustomerMetersRead>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let (customer, meter) = by_id(&app, &caller, parsed(|errors| path_id(&id, errors))?)?;
    Ok(ok(&current(&app, customer, meter).await?))
}

/// Credits a customer meter.
///
/// The credit is a `meter.credited` event. To retry safely, give it an `external_id`: a known one
/// credits nothing again and answers 200. Polar has no such path.
#[utoipa::path(
    post, path = "/v1/customer-meters/{id}/credits", tag = "customer meters",
    params(("id" = Uuid, Path, description = "Id of the customer meter.")),
    request_body(
        content = CreditCreate,
        example = json!({"units": 1000, "external_id": "invoice_789"}),
    ),
    responses(
        (
            status = 201,
            description = "The customer meter with the new credit, which is on disk.",
            body = CustomerMeter,
        ),
        (
            status = 200,
            description = "The customer meter; the credit was known.",
            body = CustomerMeter,
        ),
        Refusals<CustomerMetersWrite>,
    ),
)]
pub(crate) async fn credit_customer_meter(
    State(app): State<App>,
    caller: Caller<CustomerMetersWrite>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let (id, credit) = body.read(|json| {
        parsed(|errors| path_id(&id, errors).zip(CreditCreate::parse(json, errors)))
    })?;
    let (customer, meter) = by_id(&app, &caller, id)?;
    let CreditCreate { units, rollover, external_id } = credit;
    let credit = NewCredit { customer: customer.id, meter: meter.id, units, rollover, external_id };
    let is_new = app.store.credit(meter.organization_id, credit).await?;
    let row = current(&app, customer, meter).await?;
    Ok(if is_new { created(&row) } else { ok(&row) })
}

/// Resets a customer meter.
///
/// What was consumed and credited so far is over, but for what is left of credits that roll over.
/// The reset is a `meter.reset` event. Polar has no such path.
#[utoipa::path(
    post, path = "/v1/customer-meters/{id}/reset", tag = "customer meters",
    params(("id" = Uuid, Path, description = "Id of the customer meter.")),
    request_body(content = ResetCreate, example = json!({})),
    responses(
        (
            status = 201,
            description = "The customer meter after the reset, which is on disk.",
            body = CustomerMeter,
        ),
        Refusals<CustomerMetersWrite>,
    ),
)]
pub(crate) async fn reset_customer_meter(
    State(app): State<App>,
    caller: Caller<CustomerMetersWrite>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let id = body.read(|json| {
        parsed(|errors| path_id(&id, errors).zip(ResetCreate::parse(json, errors)))
            .map(|(id, _)| id)
    })?;
    let (customer, meter) = by_id(&app, &caller, id)?;
    app.store.reset(meter.organization_id, Arc::clone(&customer), Arc::clone(&meter)).await?;
    Ok(created(&current(&app, customer, meter).await?))
}
