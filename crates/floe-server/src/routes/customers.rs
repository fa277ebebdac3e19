//! Customers (contract sections 5.1 to 5.6).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use floe_api::customer::{
    CustomerCreate, CustomerState, CustomerUpdate, CustomersListParams, CustomersListQuery,
    DeleteParams,
};
use floe_api::customer_meter::CustomerStateMeter;
use floe_api::errors::{self, ErrorClass, Errors, Loc};
use floe_api::json::Json;
use floe_api::page::PagingQuery;
use floe_api::query::QueryParams;
use floe_api::scalar;
use floe_core::{Customer, CustomerId, CustomerKind, OrganizationId};
use floe_store::port::{
    Catalog as _, CustomerPatch, CustomerQuery, CustomerRefusal, EventStore as _, NewCustomer, Page,
};
use http::StatusCode;
use uuid::Uuid;

use super::{created, ok, page, page_request, wire_customer};
use crate::app::App;
use crate::auth::{Caller, CustomersRead, CustomersWrite};
use crate::error::ApiError;
use crate::extract::{Body, Query, parsed, path_id};
use crate::openapi::{ExternalIdPath, MetadataQuery, OrganizationQuery, Refusals};

/// Creates a customer.
///
/// Events already ingested under its `external_id` are its own. A `team` without an e-mail address
/// needs an `owner` with one, `{"email": "..."}`, which is checked and not kept: there are no
/// members here.
#[utoipa::path(
    post, path = "/v1/customers/", tag = "customers",
    request_body(content = CustomerCreate, example = json!({
        "email": "ada@example.com",
        "external_id": "user_123",
        "name": "Ada",
        "metadata": {"plan": "pro"}
    })),
    responses(
        (status = 201, description = "The new customer; it is on disk.", body = floe_api::Customer),
        Refusals<CustomersWrite>,
    ),
)]
pub(crate) async fn create_customer(
    State(app): State<App>,
    caller: Caller<CustomersWrite>,
    body: Body,
) -> Result<Response, ApiError> {
    let (organization, create) = body.read(|json| {
        let create = parsed(|errors| CustomerCreate::parse(json, errors))?;
        let organization = caller.organization_for_create(&app, create.organization_id, json)?;
        Ok((organization, create))
    })?;
    let mut errors = Errors::new();
    create.check(|_| false, |_| false, &mut errors);
    if !errors.is_empty() {
        // What is refused without a look at others is told together with what they have taken.
        let mut errors = Errors::new();
        let found = app.store.customers(organization);
        create.check(
            |email| has_email(&found, email),
            |id| found.iter().any(|other| other.external_id.as_deref() == Some(id)),
            &mut errors,
        );
        return Err(refused(errors));
    }
    let customer = NewCustomer {
        kind: create.kind,
        email: create.email.clone(),
        external_id: create.external_id.clone(),
        name: create.name.clone(),
        billing_address: create.billing_address.clone(),
        locale: create.locale.clone(),
        metadata: create.metadata.clone(),
    };
    match app.store.create_customer(organization, customer).await? {
        Ok(customer) => Ok(created(&wire_customer(&app, &customer).await?)),
        Err(refusals) => {
            let mut errors = Errors::new();
            create.check(
                |_| refusals.contains(&CustomerRefusal::EmailTaken),
                |_| refusals.contains(&CustomerRefusal::ExternalIdTaken),
                &mut errors,
            );
            Err(refused(errors))
        }
    }
}

fn has_email(customers: &[Arc<Customer>], email: &str) -> bool {
    let email = email.to_lowercase();
    customers.iter().any(|c| c.email.as_ref().is_some_and(|other| other.to_lowercase() == email))
}

fn refused(errors: Errors) -> ApiError {
    match errors.into_result(ErrorClass::PolarRequestValidationError) {
        Err(failure) => failure.into(),
        // The catalog refused by a rule that has no error: there is none.
        Ok(()) => ApiError::NotFound,
    }
}

/// Lists customers.
#[utoipa::path(
    get, path = "/v1/customers/", tag = "customers",
    params(CustomersListQuery, MetadataQuery, PagingQuery),
    responses(
        (
            status = 200,
            description = "A page of customers.",
            body = floe_api::Page<floe_api::Customer>,
        ),
        Refusals<CustomersRead>,
    ),
)]
pub(crate) async fn list_customers(
    State(app): State<App>,
    caller: Caller<CustomersRead>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let CustomersListParams { organization_ids, email, query, active, metadata, paging, sorting } =
        parsed(|errors| CustomersListParams::parse(&query, errors))?;
    let organizations = caller.organizations().restrict(organization_ids);
    let query = CustomerQuery { email, text: query, metadata };
    let found = if active == Some(true) {
        // Active customers have a subscription, and there are none here.
        Page { items: Vec::new(), total_count: 0 }
    } else {
        app.store.list_customers(&organizations, &query, &sorting, page_request(paging))
    };
    let mut items = Vec::with_capacity(found.items.len());
    for customer in &found.items {
        items.push(wire_customer(&app, customer).await?);
    }
    let found = Page { items, total_count: found.total_count };
    Ok(page(found, paging, |customer| customer))
}

/// The customer that a path names, by id.
fn by_id<N>(app: &App, caller: &Caller<N>, id: Uuid) -> Result<Arc<Customer>, ApiError> {
    app.store.customer(&caller.organizations(), CustomerId(id)).ok_or(ApiError::NotFound)
}

/// The organization in which an external id is looked up: the caller's own, or for the root
/// token the one in the query (design section 5). An error joins those of path and body.
fn organization_for_external_id<N>(
    caller: &Caller<N>,
    query: &QueryParams,
    errors: &mut Errors,
) -> Option<OrganizationId> {
    if let Some(id) = caller.organization() {
        return Some(id);
    }
    let (query_loc, name) = (Loc::QUERY, "organization_id");
    match query.last(name) {
        None => {
            errors.push(&query_loc.key(name), errors::missing(), &Json::Null);
            None
        }
        Some(text) => {
            scalar::uuid4(&Json::Str(text.into()), &query_loc.key(name), errors).map(OrganizationId)
        }
    }
}

/// The customer that a path names, by external id.
fn by_external_id<N>(
    app: &App,
    caller: &Caller<N>,
    query: &QueryParams,
    external_id: &str,
) -> Result<Arc<Customer>, ApiError> {
    let organization = parsed(|errors| organization_for_external_id(caller, query, errors))?;
    app.store.customer_by_external_id(organization, external_id).ok_or(ApiError::NotFound)
}

/// Returns a customer.
#[utoipa::path(
    get, path = "/v1/customers/{id}", tag = "customers",
    params(("id" = Uuid, Path, description = "Id of the customer.")),
    responses(
        (status = 200, description = "The customer.", body = floe_api::Customer),
        Refusals<CustomersRead>,
    ),
)]
pub(crate) async fn get_customer(
    State(app): State<App>,
    caller: Caller<CustomersRead>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let customer = by_id(&app, &caller, parsed(|errors| path_id(&id, errors))?)?;
    Ok(ok(&wire_customer(&app, &customer).await?))
}

/// Returns the customer with an external id.
#[utoipa::path(
    get, path = "/v1/customers/external/{external_id}", tag = "customers",
    params(ExternalIdPath, OrganizationQuery),
    responses(
        (status = 200, description = "The customer.", body = floe_api::Customer),
        Refusals<CustomersRead>,
    ),
)]
pub(crate) async fn get_customer_by_external_id(
    State(app): State<App>,
    caller: Caller<CustomersRead>,
    Path(external_id): Path<String>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let customer = by_external_id(&app, &caller, &query, &external_id)?;
    Ok(ok(&wire_customer(&app, &customer).await?))
}

/// Changes a customer.
///
/// What is absent from the body stays as it is; `metadata` is replaced as a whole. An `external_id`
/// can be set once; events already ingested under it are then the customer's own.
#[utoipa::path(
    patch, path = "/v1/customers/{id}", tag = "customers",
    params(("id" = Uuid, Path, description = "Id of the customer.")),
    request_body(content = CustomerUpdate, example = json!({"name": "Ada Lovelace"})),
    responses(
        (
            status = 200,
            description = "The customer as it is now; the change is on disk.",
            body = floe_api::Customer,
        ),
        Refusals<CustomersWrite>,
    ),
)]
pub(crate) async fn update_customer(
    State(app): State<App>,
    caller: Caller<CustomersWrite>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let (id, update) = body.read(|json| {
        parsed(|errors| path_id(&id, errors).zip(CustomerUpdate::parse(json, errors)))
    })?;
    let customer = by_id(&app, &caller, id)?;
    apply_update(&app, &customer, update).await
}

/// Changes the customer with an external id.
///
/// What is absent from the body stays as it is; `metadata` is replaced as a whole. `external_id`
/// and `type` are not read here.
#[utoipa::path(
    patch, path = "/v1/customers/external/{external_id}", tag = "customers",
    params(ExternalIdPath, OrganizationQuery),
    request_body(content = CustomerUpdate, example = json!({"name": "Ada Lovelace"})),
    responses(
        (
            status = 200,
            description = "The customer as it is now; the change is on disk.",
            body = floe_api::Customer,
        ),
        Refusals<CustomersWrite>,
    ),
)]
pub(crate) async fn update_customer_by_external_id(
    State(app): State<App>,
    caller: Caller<CustomersWrite>,
    Path(external_id): Path<String>,
    Query(query): Query,
    body: Body,
) -> Result<Response, ApiError> {
    let (organization, update) = body.read(|json| {
        parsed(|errors| {
            organization_for_external_id(&caller, &query, errors)
                .zip(CustomerUpdate::parse_by_external_id(json, errors))
        })
    })?;
    let customer =
        app.store.customer_by_external_id(organization, &external_id).ok_or(ApiError::NotFound)?;
    apply_update(&app, &customer, update).await
}

async fn apply_update(
    app: &App,
    customer: &Customer,
    update: CustomerUpdate,
) -> Result<Response, ApiError> {
    if update.is_empty() {
        return Ok(ok(&wire_customer(app, customer).await?));
    }
    let mut by_body = Errors::new();
    update.check(customer, |_| false, |_| false, &mut by_body);
    let CustomerUpdate {
        email,
        name,
        billing_address,
        tax_id: _,
        locale,
        metadata,
        external_id,
        kind,
    } = update.clone();
    let patch = CustomerPatch {
        email,
        name,
        external_id,
        kind: kind.map(|kind| kind.unwrap_or(CustomerKind::Individual)),
        billing_address: billing_address.flatten(),
        locale,
        metadata,
        check_only: !by_body.is_empty(),
    };
    let updated = app
        .store
        .update_customer(customer.organization_id, customer.id, patch)
        .await?
        .ok_or(ApiError::NotFound)?;
    match updated {
        Ok(customer) => Ok(ok(&wire_customer(app, &customer).await?)),
        Err(refusals) => {
            let mut errors = Errors::new();
            update.check(
                customer,
                |_| refusals.contains(&CustomerRefusal::EmailTaken),
                |_| refusals.contains(&CustomerRefusal::ExternalIdTaken),
                &mut errors,
            );
            Err(refused(errors))
        }
    }
}

/// Deletes a customer.
///
/// Its events stay, and count on meters as before. Its e-mail address and external id may be used
/// again.
#[utoipa::path(
    delete, path = "/v1/customers/{id}", tag = "customers",
    params(("id" = Uuid, Path, description = "Id of the customer."), DeleteParams),
    responses((status = 204, description = "It is deleted."), Refusals<CustomersWrite>),
)]
pub(crate) async fn delete_customer(
    State(app): State<App>,
    caller: Caller<CustomersWrite>,
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let (id, params) =
        parsed(|errors| path_id(&id, errors).zip(DeleteParams::parse(&query, errors)))?;
    let customer = by_id(&app, &caller, id)?;
    delete(&app, &customer, &params).await
}

/// Deletes the customer with an external id.
///
/// Its events stay, and count on meters as before. Its e-mail address and external id may be used
/// again.
#[utoipa::path(
    delete, path = "/v1/customers/external/{external_id}", tag = "customers",
    params(ExternalIdPath, OrganizationQuery, DeleteParams),
    responses((status = 204, description = "It is deleted."), Refusals<CustomersWrite>),
)]
pub(crate) async fn delete_customer_by_external_id(
    State(app): State<App>,
    caller: Caller<CustomersWrite>,
    Path(external_id): Path<String>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let params = parsed(|errors| DeleteParams::parse(&query, errors))?;
    let customer = by_external_id(&app, &caller, &query, &external_id)?;
    delete(&app, &customer, &params).await
}

async fn delete(
    app: &App,
    customer: &Customer,
    params: &DeleteParams,
) -> Result<Response, ApiError> {
    let deleted =
        app.store.delete_customer(customer.organization_id, customer.id, params.anonymize).await?;
    if deleted { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(ApiError::NotFound) }
}

/// Returns a customer's state.
///
/// That is the customer, and what it used and was credited on every meter. Archived meters and
/// those without any usage are included.
#[utoipa::path(
    get, path = "/v1/customers/{id}/state", tag = "customers",
    params(("id" = Uuid, Path, description = "Id of the customer.")),
    responses(
        (status = 200, description = "The customer and its meters.", body = CustomerState),
        Refusals<CustomersRead>,
    ),
)]
pub(crate) async fn get_customer_state(
    State(app): State<App>,
    caller: Caller<CustomersRead>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let customer = by_id(&app, &caller, parsed(|errors| path_id(&id, errors))?)?;
    state(&app, customer).await
}

/// Returns the state of the customer with an external id.
///
/// That is the customer, and what it used and was credited on every meter. Archived meters and
/// those without any usage are included.
#[utoipa::path(
    get, path = "/v1/customers/external/{external_id}/state", tag = "customers",
    params(ExternalIdPath, OrganizationQuery),
    responses(
        (status = 200, description = "The customer and its meters.", body = CustomerState),
        Refusals<CustomersRead>,
    ),
)]
pub(crate) async fn get_customer_state_by_external_id(
    State(app): State<App>,
    caller: Caller<CustomersRead>,
    Path(external_id): Path<String>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let customer = by_external_id(&app, &caller, &query, &external_id)?;
    state(&app, customer).await
}

async fn state(app: &App, customer: Arc<Customer>) -> Result<Response, ApiError> {
    let meters = app.store.meters(customer.organization_id);
    let rows = app
        .store
        .customer_meters(customer.organization_id, vec![Arc::clone(&customer)], meters.clone())
        .await?;
    let rows = rows.into_iter().flatten();
    let mut active_meters: Vec<CustomerStateMeter> = meters
        .iter()
        .zip(rows)
        .map(|(meter, row)| {
            let id = app.store.customer_meter_id(&customer, meter);
            CustomerStateMeter::new(id, row.modified_at, row.units, &customer, meter)
        })
        .collect();
    // Stable: meters come in order of creation, which breaks ties.
    active_meters.sort_by_key(|meter| meter.created_at);
    Ok(ok(&CustomerState::new(wire_customer(app, &customer).await?, active_meters)))
}
