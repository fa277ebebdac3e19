//! What is not of the API itself: health, metrics, the API's description.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use super::ok;
use crate::app::App;
use crate::auth::{Identity, RootOnly};
use crate::error::ApiError;
use crate::openapi::{Health, Refusals};
use crate::{docs_page, openapi};

/// Tells that the server answers.
#[utoipa::path(
    get, path = "/healthz", tag = "system",
    responses((status = 200, description = "It does.", body = Health)),
)]
pub(crate) async fn health() -> Response {
    ok(&serde_json::json!({"status": "ok"}))
}

/// Returns metrics in Prometheus' text format, for the root token.
#[utoipa::path(
    get, path = "/metrics", tag = "system",
    responses(
        (
            status = 200,
            description = "The metrics.",
            body = String,
            content_type = "text/plain; version=0.0.4",
        ),
        Refusals<RootOnly>,
    ),
)]
pub(crate) async fn metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    match Identity::of(&app, &headers)? {
        Identity::Root(_) => {
            let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            Ok((kind, app.metrics.render()).into_response())
        }
        Identity::Anonymous => Err(ApiError::Anonymous),
        Identity::Token(_) => Err(ApiError::InsufficientScope(Vec::new())),
    }
}

/// Returns this document: OpenAPI 3.1.
#[utoipa::path(
    get, path = "/openapi.json", tag = "system",
    responses((status = 200, description = "The document.", body = serde_json::Value)),
)]
pub(crate) async fn openapi() -> Response {
    ok(&openapi::json())
}

/// Shows this API as a page for people; it needs no network.
#[utoipa::path(
    get, path = "/docs", tag = "system",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
pub(crate) async fn docs() -> Response {
    let page = docs_page::page();
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, page.content_security_policy.as_str()),
    ];
    (headers, page.html.as_str()).into_response()
}
