//! Organizations (design section 5): made and changed by the root token alone.

use axum::extract::{Path, State};
use axum::response::Response;
use floe_api::errors::{ErrorClass, Errors};
use floe_api::organization::{
    OrganizationCreate, OrganizationUpdate, OrganizationsListParams, OrganizationsListQuery,
    slug_taken,
};
use floe_api::page::PagingQuery;
use floe_api::{Organization, Page};
use floe_core::OrganizationId;
use floe_store::port::Catalog as _;

use super::{created, ok, page, page_request};
use crate::app::App;
use crate::auth::{Caller, OrganizationsRead, RootOnly};
use crate::error::ApiError;
use crate::extract::{Body, Query, parsed, path_id};
use crate::openapi::Refusals;

/// Creates an organization.
#[utoipa::path(
    post, path = "/v1/organizations/", tag = "organizations",
    request_body(content = OrganizationCreate, example = json!({"name": "Acme", "slug": "acme"})),
    responses(
        (status = 201, description = "The new organization; it is on disk.", body = Organization),
        Refusals<RootOnly>,
    ),
)]
pub(crate) async fn create_organization(
    State(app): State<App>,
    _: Caller<RootOnly>,
    body: Body,
) -> Result<Response, ApiError> {
    let create = body.read(|json| parsed(|errors| OrganizationCreate::parse(json, errors)))?;
    let OrganizationCreate { name, slug } = create;
    match app.store.create_organization(name, slug.clone()).await? {
        Some(organization) => Ok(created(&Organization::from(&*organization))),
        None => {
            let mut errors = Errors::new();
            slug_taken(&slug, &mut errors);
            errors.into_result(ErrorClass::PolarRequestValidationError)?;
            Err(ApiError::NotFound)
        }
    }
}

/// Lists organizations.
#[utoipa::path(
    get, path = "/v1/organizations/", tag = "organizations",
    params(OrganizationsListQuery, PagingQuery),
    responses(
        (status = 200, description = "A page of organizations.", body = Page<Organization>),
        Refusals<RootOnly>,
    ),
)]
pub(crate) async fn list_organizations(
    State(app): State<App>,
    caller: Caller<RootOnly>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let OrganizationsListParams { slug, paging, sorting } =
        parsed(|errors| OrganizationsListParams::parse(&query, errors))?;
    let found = app.store.list_organizations(
        &caller.organizations(),
        slug.as_deref(),
        &sorting,
        page_request(paging),
    );
    Ok(page(found, paging, |organization| Organization::from(&*organization)))
}

/// Returns an organization.
///
/// An organization's token sees its own.
#[utoipa::path(
    get, path = "/v1/organizations/{id}", tag = "organizations",
    params(("id" = Uuid, Path, description = "Id of the organization.")),
    responses(
        (status = 200, description = "The organization.", body = Organization),
        Refusals<OrganizationsRead>,
    ),
)]
pub(crate) async fn get_organization(
    State(app): State<App>,
    caller: Caller<OrganizationsRead>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = OrganizationId(parsed(|errors| path_id(&id, errors))?);
    let seen = caller.organizations().contains(id);
    let organization = app.store.organization(id).filter(|_| seen).ok_or(ApiError::NotFound)?;
    Ok(ok(&Organization::from(&*organization)))
}

/// Renames an organization.
///
/// Its slug stays.
#[utoipa::path(
    patch, path = "/v1/organizations/{id}", tag = "organizations",
    params(("id" = Uuid, Path, description = "Id of the organization.")),
    request_body(content = OrganizationUpdate, example = json!({"name": "Acme Inc."})),
    responses(
        (status = 200, description = "The organization as it is now.", body = Organization),
        Refusals<RootOnly>,
    ),
)]
pub(crate) async fn update_organization(
    State(app): State<App>,
    caller: Caller<RootOnly>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let (id, update) = body.read(|json| {
        parsed(|errors| path_id(&id, errors).zip(OrganizationUpdate::parse(json, errors)))
    })?;
    let id = OrganizationId(id);
    if !caller.organizations().contains(id) {
        return Err(ApiError::NotFound);
    }
    let OrganizationUpdate { name } = update;
    let organization = app.store.update_organization(id, name).await?;
    Ok(ok(&Organization::from(&*organization.ok_or(ApiError::NotFound)?)))
}
