//! Meters and their quantities (contract section 3).

use axum::extract::{Path, State};
use axum::response::Response;
use floe_api::page::PagingQuery;
use floe_api::schema::{MetersListQuery, QuantitiesQuery};
use floe_api::{
    Meter, MeterCreate, MeterQuantities, MeterUpdate, MetersListParams, Page, QuantitiesParams,
};
use floe_core::{MeterId, QuantityQuery};
use floe_store::port::{Catalog as _, EventStore as _, MeterPatch, MeterQuery, NewMeter};

use super::{created, ok, page, page_request};
use crate::app::App;
use crate::auth::{Caller, MetersRead, MetersWrite};
use crate::error::ApiError;
use crate::extract::{Body, Query, parsed, path_id};
use crate::openapi::{MetadataQuery, Refusals};

/// Creates a meter.
///
/// A meter is a filter, which says which events count, and an aggregation, which says what is
/// computed from them. It counts events from before its creation as well. Names need not be unique.
#[utoipa::path(
    post, path = "/v1/meters/", tag = "meters",
    request_body(content = MeterCreate, example = json!({
        "name": "Tokens",
        "filter": {
            "conjunction": "and",
            "clauses": [{"property": "name", "operator": "eq", "value": "completion"}]
        },
        "aggregation": {"func": "sum", "property": "tokens"}
    })),
    responses(
        (status = 201, description = "The new meter; it is on disk.", body = Meter),
        Refusals<MetersWrite>,
    ),
)]
pub(crate) async fn create_meter(
    State(app): State<App>,
    caller: Caller<MetersWrite>,
    body: Body,
) -> Result<Response, ApiError> {
    let (organization, meter) = body.read(|json| {
        let create = parsed(|errors| MeterCreate::parse(json, errors))?;
        let organization = caller.organization_for_create(&app, create.organization_id, json)?;
        let MeterCreate {
            name,
            unit,
            custom_label,
            custom_multiplier,
            filter,
            aggregation,
            metadata,
            organization_id: _,
        } = create;
        let meter =
            NewMeter { name, unit, custom_label, custom_multiplier, filter, aggregation, metadata };
        Ok((organization, meter))
    })?;
    let meter = app.store.create_meter(organization, meter).await?;
    Ok(created(&Meter::from(&*meter)))
}

/// Lists meters.
#[utoipa::path(
    get, path = "/v1/meters/", tag = "meters",
    params(MetersListQuery, MetadataQuery, PagingQuery),
    responses(
        (status = 200, description = "A page of meters.", body = Page<Meter>),
        Refusals<MetersRead>,
    ),
)]
pub(crate) async fn list_meters(
    State(app): State<App>,
    caller: Caller<MetersRead>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let MetersListParams { organization_ids, query, is_archived, metadata, paging, sorting } =
        parsed(|errors| MetersListParams::parse(&query, errors))?;
    let organizations = caller.organizations().restrict(organization_ids);
    let query = MeterQuery { name_contains: query, is_archived, metadata };
    let found = app.store.list_meters(&organizations, &query, &sorting, page_request(paging));
    Ok(page(found, paging, |meter| Meter::from(&*meter)))
}

/// Returns a meter.
#[utoipa::path(
    get, path = "/v1/meters/{id}", tag = "meters",
    params(("id" = Uuid, Path, description = "Id of the meter.")),
    responses((status = 200, description = "The meter.", body = Meter), Refusals<MetersRead>),
)]
pub(crate) async fn get_meter(
    State(app): State<App>,
    caller: Caller<MetersRead>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = MeterId(parsed(|errors| path_id(&id, errors))?);
    let meter = app.store.meter(&caller.organizations(), id).ok_or(ApiError::NotFound)?;
    Ok(ok(&Meter::from(&*meter)))
}

/// `GET /v1/meters/preview` asks for a meter of that id, as before there was a preview.
pub(crate) async fn get_meter_named_preview(
    app: State<App>,
    caller: Caller<MetersRead>,
) -> Result<Response, ApiError> {
    get_meter(app, caller, Path("preview".to_owned())).await
}

/// Changes a meter.
///
/// What is absent from the body stays as it is. Its filter and aggregation are locked once an event
/// counts on it. A meter cannot be deleted: `is_archived` archives it, and it goes on counting.
#[utoipa::path(
    patch, path = "/v1/meters/{id}", tag = "meters",
    params(("id" = Uuid, Path, description = "Id of the meter.")),
    request_body(content = MeterUpdate, example = json!({"name": "Tokens used"})),
    responses(
        (
            status = 200,
            description = "The meter as it is now; the change is on disk.",
            body = Meter,
        ),
        Refusals<MetersWrite>,
    ),
)]
pub(crate) async fn update_meter(
    State(app): State<App>,
    caller: Caller<MetersWrite>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let (id, update) = body
        .read(|json| parsed(|errors| path_id(&id, errors).zip(MeterUpdate::parse(json, errors))))?;
    let meter = app.store.meter(&caller.organizations(), MeterId(id)).ok_or(ApiError::NotFound)?;
    if update.is_empty() {
        return Ok(ok(&Meter::from(&*meter)));
    }
    if let Some(locked) = update.locked_error()
        && app.store.meter_has_events(meter.clone()).await?
    {
        return Err(locked.into());
    }
    let MeterUpdate {
        name,
        unit,
        custom_label,
        custom_multiplier,
        metadata,
        filter,
        aggregation,
        is_archived,
    } = update;
    let patch = MeterPatch {
        name,
        unit,
        custom_label,
        custom_multiplier,
        filter,
        aggregation,
        metadata,
        is_archived,
    };
    let meter = app.store.update_meter(meter.organization_id, meter.id, patch).await?;
    Ok(ok(&Meter::from(&*meter.ok_or(ApiError::NotFound)?)))
}

/// Returns a meter's quantities.
///
/// There is one for each point of a series, and a total of the covered period. The first point is
/// `start_timestamp`, and each further one is an interval later, up to and including
/// `end_timestamp`. The quantity of a point is that of the whole calendar interval (hour, day, week
/// from Monday, month or year in `timezone`) in which the point lies. So events before the start
/// count if they are in its interval, and if the time of day of the end is earlier than that of the
/// start, the interval of the end has no point. Send aligned bounds to be sure: a start at the
/// beginning of an interval, an end just before the beginning of another.
///
/// Where nothing was used the quantity is 0.0. Sums and averages are exact: they are computed from
/// the decimal digits that were sent, rounded once to a 64-bit float, and do not depend on the
/// order of events.
#[utoipa::path(
    get, path = "/v1/meters/{id}/quantities", tag = "meters",
    params(("id" = Uuid, Path, description = "Id of the meter."), QuantitiesQuery, MetadataQuery),
    responses(
        (status = 200, description = "The quantities, ascending by time.", body = MeterQuantities),
        Refusals<MetersRead>,
    ),
)]
pub(crate) async fn get_meter_quantities(
    State(app): State<App>,
    caller: Caller<MetersRead>,
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let (id, params) =
        parsed(|errors| path_id(&id, errors).zip(QuantitiesParams::parse(&query, errors)))?;
    let meter = app.store.meter(&caller.organizations(), MeterId(id)).ok_or(ApiError::NotFound)?;
    if let Some(error) = params.span_error() {
        return Err(error.into());
    }
    let QuantitiesParams {
        start,
        end,
        interval,
        timezone,
        customer_ids,
        external_customer_ids,
        customer_aggregation,
        metadata,
    } = params;
    let organization = meter.organization_id;
    let customers = (customer_ids.is_some() || external_customer_ids.is_some()).then(|| {
        let ids = customer_ids.as_deref().unwrap_or_default();
        let external_ids = external_customer_ids.as_deref().unwrap_or_default();
        app.store.select_customers(organization, ids, external_ids, false)
    });
    let query = QuantityQuery {
        filter: meter.filter.clone(),
        aggregation: meter.aggregation.clone(),
        start: start.timestamp(),
        end: end.timestamp(),
        interval,
        zone: timezone,
        customers,
        customer_aggregation,
        metadata,
    };
    let quantities = app.store.quantities(organization, query).await?;
    Ok(ok(&MeterQuantities::from(&quantities)))
}
