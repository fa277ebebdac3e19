//! What is not of the API itself: health, metrics, the API's description.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use super::ok;
use crate::app::App;
use crate::auth::Identity;
use crate::error::ApiError;

/// Whether the server answers.
pub(crate) async fn health() -> Response {
    ok(&serde_json::json!({"status": "ok"}))
}

/// Metrics in Prometheus' text format, for the root token.
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

/// The OpenAPI document of this API.
pub(crate) async fn openapi() -> Response {
    ok(&serde_json::json!({}))
}

/// The API as a page for people; it needs no network.
pub(crate) async fn docs() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ];
    (headers, "").into_response()
}
