//! Meters and their quantities (contract section 3).

use axum::extract::{Path, State};
use axum::response::Response;
use floe_api::errors::Errors;
use floe_api::{
    Meter, MeterCreate, MeterQuantities, MeterUpdate, MetersListParams, QuantitiesParams,
};
use floe_core::{MeterId, QuantityQuery};
use floe_store::port::{Catalog as _, EventStore as _, MeterPatch, MeterQuery, NewMeter};

use super::{created, ok, page, page_request};
use crate::app::App;
use crate::auth::{Caller, MetersRead, MetersWrite};
use crate::error::ApiError;
use crate::extract::{Body, Query, accept, path_id};

/// Creates a meter. It counts events from before its creation as well.
pub(crate) async fn create_meter(
    State(app): State<App>,
    caller: Caller<MetersWrite>,
    body: Body,
) -> Result<Response, ApiError> {
    let (organization, meter) = body.read(|json| {
        let mut errors = Errors::new();
        let create = MeterCreate::parse(json, &mut errors);
        let create = accept(create, errors)?;
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
pub(crate) async fn list_meters(
    State(app): State<App>,
    caller: Caller<MetersRead>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let mut errors = Errors::new();
    let params = MetersListParams::parse(&query, &mut errors);
    let MetersListParams { organization_ids, query, is_archived, metadata, paging, sorting } =
        accept(params, errors)?;
    let organizations = caller.organizations().restrict(organization_ids);
    let query = MeterQuery { name_contains: query, is_archived, metadata };
    let found = app.store.list_meters(&organizations, &query, &sorting, page_request(paging));
    Ok(page(found, paging, |meter| Meter::from(&*meter)))
}

/// Returns a meter.
pub(crate) async fn get_meter(
    State(app): State<App>,
    caller: Caller<MetersRead>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let mut errors = Errors::new();
    let id = path_id(&id, &mut errors);
    let id = MeterId(accept(id, errors)?);
    let meter = app.store.meter(&caller.organizations(), id).ok_or(ApiError::NotFound)?;
    Ok(ok(&Meter::from(&*meter)))
}

/// Changes a meter. Its filter and aggregation are locked once an event counts on it.
pub(crate) async fn update_meter(
    State(app): State<App>,
    caller: Caller<MetersWrite>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let (id, update) = body.read(|json| {
        let mut errors = Errors::new();
        let id = path_id(&id, &mut errors);
        let update = MeterUpdate::parse(json, &mut errors);
        accept(id.zip(update), errors)
    })?;
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

/// Returns a meter's quantities: one per point from start to end, and the total.
pub(crate) async fn get_meter_quantities(
    State(app): State<App>,
    caller: Caller<MetersRead>,
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let mut errors = Errors::new();
    let id = path_id(&id, &mut errors);
    let params = QuantitiesParams::parse(&query, &mut errors);
    let (id, params) = accept(id.zip(params), errors)?;
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
