//! Organization access tokens (contract section 5.9).

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use floe_api::Page;
use floe_api::errors::{ErrorClass, Errors};
use floe_api::page::PagingQuery;
use floe_api::token::{
    AccessToken, AccessTokenCreated, TokenCreate, TokenUpdate, TokensListParams, TokensListQuery,
    scopes_exceeded,
};
use floe_core::{AccessTokenId, Scope};
use floe_store::embedded::{system_time, token_hash};
use floe_store::port::{self, Catalog as _, TokenPatch};
use http::StatusCode;

use super::{created, ok, page, page_request};
use crate::app::App;
use crate::auth::{Caller, TokensRead, TokensWrite};
use crate::error::ApiError;
use crate::extract::{Body, Query, parsed, path_id};
use crate::openapi::Refusals;
use crate::secret;

fn wire(token: &port::AccessToken) -> AccessToken {
    let port::AccessToken {
        id,
        organization_id,
        created_at,
        modified_at,
        comment,
        scopes,
        expires_at,
        last_used_at,
    } = token;
    AccessToken {
        id: id.0,
        created_at: (*created_at).into(),
        modified_at: modified_at.map(Into::into),
        scopes: scopes.clone(),
        expires_at: expires_at.map(Into::into),
        comment: comment.clone(),
        last_used_at: last_used_at.map(Into::into),
        organization_id: organization_id.0,
    }
}

/// Nobody grants a scope that they lack.
fn check_scopes(caller: &Caller<TokensWrite>, scopes: &[Scope]) -> Result<(), ApiError> {
    let mut errors = Errors::new();
    if !scopes.iter().all(|&scope| caller.has(scope)) {
        scopes_exceeded(scopes, &mut errors);
    }
    Ok(errors.into_result(ErrorClass::PolarRequestValidationError)?)
}

/// Creates a token.
///
/// The answer is the only place where the token itself is shown; the server keeps a hash. Nobody
/// can grant a scope that they lack.
#[utoipa::path(
    post, path = "/v1/organization-access-tokens/", tag = "organization access tokens",
    request_body(content = TokenCreate, example = json!({
        "comment": "ingestion",
        "scopes": ["events:write", "meters:read"],
        "expires_in": "P90D"
    })),
    responses(
        (status = 201, description = "The new token and its secret.", body = AccessTokenCreated),
        Refusals<TokensWrite>,
    ),
)]
pub(crate) async fn create_token(
    State(app): State<App>,
    caller: Caller<TokensWrite>,
    body: Body,
) -> Result<Response, ApiError> {
    let now = system_time();
    let (organization, create) = body.read(|json| {
        let create = parsed(|errors| TokenCreate::parse(json, now, errors))?;
        let organization = caller.organization_for_create(&app, create.organization_id, json)?;
        check_scopes(&caller, &create.scopes)?;
        Ok((organization, create))
    })?;
    let token = secret::access_token()?;
    let record = port::AccessToken {
        id: AccessTokenId::random(),
        organization_id: organization,
        created_at: now,
        modified_at: None,
        expires_at: create.expires_at(now),
        comment: create.comment,
        scopes: distinct(create.scopes),
        last_used_at: None,
    };
    let record = app.store.create_token(record, token_hash(&token)).await?;
    Ok(created(&AccessTokenCreated { organization_access_token: wire(&record), token }))
}

fn distinct(mut scopes: Vec<Scope>) -> Vec<Scope> {
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// Lists tokens, without their secrets.
#[utoipa::path(
    get, path = "/v1/organization-access-tokens/", tag = "organization access tokens",
    params(TokensListQuery, PagingQuery),
    responses(
        (status = 200, description = "A page of tokens.", body = Page<AccessToken>),
        Refusals<TokensRead>,
    ),
)]
pub(crate) async fn list_tokens(
    State(app): State<App>,
    caller: Caller<TokensRead>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let TokensListParams { organization_ids, paging, sorting } =
        parsed(|errors| TokensListParams::parse(&query, errors))?;
    let organizations = caller.organizations().restrict(organization_ids);
    let found = app.store.list_tokens(&organizations, &sorting, page_request(paging));
    Ok(page(found, paging, |token| wire(&token)))
}

/// Changes a token's comment or scopes.
#[utoipa::path(
    patch, path = "/v1/organization-access-tokens/{id}", tag = "organization access tokens",
    params(("id" = Uuid, Path, description = "Id of the token.")),
    request_body(content = TokenUpdate, example = json!({"scopes": ["events:write"]})),
    responses(
        (status = 200, description = "The token as it is now.", body = AccessToken),
        Refusals<TokensWrite>,
    ),
)]
pub(crate) async fn update_token(
    State(app): State<App>,
    caller: Caller<TokensWrite>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let (id, update) = body
        .read(|json| parsed(|errors| path_id(&id, errors).zip(TokenUpdate::parse(json, errors))))?;
    let token =
        app.store.token(&caller.organizations(), AccessTokenId(id)).ok_or(ApiError::NotFound)?;
    let TokenUpdate { comment, scopes } = update;
    check_scopes(&caller, scopes.as_deref().unwrap_or_default())?;
    let patch = TokenPatch { comment, scopes: scopes.map(distinct) };
    let token = app.store.update_token(token.organization_id, token.id, patch).await?;
    Ok(ok(&wire(&*token.ok_or(ApiError::NotFound)?)))
}

/// Revokes a token, at once.
#[utoipa::path(
    delete, path = "/v1/organization-access-tokens/{id}", tag = "organization access tokens",
    params(("id" = Uuid, Path, description = "Id of the token.")),
    responses((status = 204, description = "It is revoked."), Refusals<TokensWrite>),
)]
pub(crate) async fn delete_token(
    State(app): State<App>,
    caller: Caller<TokensWrite>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = AccessTokenId(parsed(|errors| path_id(&id, errors))?);
    let token = app.store.token(&caller.organizations(), id).ok_or(ApiError::NotFound)?;
    let deleted = app.store.delete_token(token.organization_id, id).await?;
    if deleted { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(ApiError::NotFound) }
}
