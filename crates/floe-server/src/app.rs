//! The router, and what surrounds every request.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use floe_store::port::{Catalog as _, TokenHash};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue, ORIGIN,
    VARY,
};
use http::{Method, StatusCode, Uri};
use metrics_exporter_prometheus::PrometheusHandle;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::auth::Identity;
use crate::backend::Backend;
use crate::dashboard;
use crate::error::{ApiError, json_response};
use crate::extract;
use crate::latency::{Latency, Started};
use crate::routes::{
    bulk, customer_meters, customers, event_meters, event_properties, event_stream, event_totals,
    event_types, events, events_export, meter_customers, meter_preview, meters, organizations,
    system, system_storage, tokens,
};

/// What handlers share.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) store: Backend,
    pub(crate) root_token: Option<TokenHash>,
    pub(crate) metrics: Arc<PrometheusHandle>,
    /// When the server was started.
    pub(crate) started: Started,
    /// How long requests took.
    pub(crate) latency: Arc<Latency>,
    /// Whether the server stops: what would go on for ever then ends.
    pub(crate) stopping: watch::Receiver<bool>,
    /// For benchmarks alone: ingestion answers once a request is parsed, and stores nothing.
    pub(crate) parse_only: bool,
}

impl App {
    /// Whether this is the hash of the root token: the one configured, or else the folder's.
    pub(crate) fn is_root_token(&self, hash: &TokenHash) -> bool {
        match &self.root_token {
            Some(configured) => configured == hash,
            None => self.store.is_root_token(hash),
        }
    }
}

/// All routes: the table of contents of the API. Handlers are beside their resource.
pub(crate) fn router(app: App) -> Router {
    let meters = Router::new()
        .route("/v1/meters", get(meters::list_meters).post(meters::create_meter))
        .route(
            "/v1/meters/preview",
            post(meter_preview::preview_meter).get(meters::get_meter_named_preview),
        )
        .route("/v1/meters/{id}", get(meters::get_meter).patch(meters::update_meter))
        .route("/v1/meters/{id}/customers", get(meter_customers::list_meter_customers))
        .route("/v1/meters/{id}/quantities", get(meters::get_meter_quantities));
    let events = Router::new()
        .route("/v1/events", get(events::list_events))
        .route("/v1/events/ingest", post(events::ingest_events).get(events::get_event_named_ingest))
        .route("/v1/events/export", get(events_export::export_events))
        .route("/v1/events/bulk", post(bulk::ingest_bulk))
        .route("/v1/events/names", get(events::list_event_names))
        .route("/v1/events/{id}", get(events::get_event))
        .route("/v1/events/{id}/meters", get(event_meters::list_event_meters))
        .route("/v1/event-properties", get(event_properties::list_event_properties))
        .route("/v1/event-stream", get(event_stream::stream_events))
        .route("/v1/event-totals", get(event_totals::get_event_totals))
        .route("/v1/event-types", get(event_types::list_event_types))
        .route("/v1/event-types/{id}", axum::routing::patch(event_types::update_event_type));
    let customers = Router::new()
        .route("/v1/customers", get(customers::list_customers).post(customers::create_customer))
        .route(
            "/v1/customers/{id}",
            get(customers::get_customer)
                .patch(customers::update_customer)
                .delete(customers::delete_customer),
        )
        .route("/v1/customers/{id}/state", get(customers::get_customer_state))
        .route(
            "/v1/customers/external/{external_id}",
            get(customers::get_customer_by_external_id)
                .patch(customers::update_customer_by_external_id)
                .delete(customers::delete_customer_by_external_id),
        )
        .route(
            "/v1/customers/external/{external_id}/state",
            get(customers::get_customer_state_by_external_id),
        );
    let customer_meters = Router::new()
        .route("/v1/customer-meters", get(customer_meters::list_customer_meters))
        .route("/v1/customer-meters/{id}", get(customer_meters::get_customer_meter))
        .route("/v1/customer-meters/{id}/credits", post(customer_meters::credit_customer_meter))
        .route("/v1/customer-meters/{id}/reset", post(customer_meters::reset_customer_meter));
    let organizations = Router::new()
        .route(
            "/v1/organizations",
            get(organizations::list_organizations).post(organizations::create_organization),
        )
        .route(
            "/v1/organizations/{id}",
            get(organizations::get_organization).patch(organizations::update_organization),
        )
        .route(
            "/v1/organization-access-tokens",
            get(tokens::list_tokens).post(tokens::create_token),
        )
        .route(
            "/v1/organization-access-tokens/{id}",
            axum::routing::patch(tokens::update_token).delete(tokens::delete_token),
        );
    let system = Router::new()
        .route("/v1/system", get(system_storage::get_system))
        .route("/v1/system/backup", post(system_storage::create_backup))
        .route("/v1/system/storage", get(system_storage::get_storage))
        .route("/healthz", get(system::health))
        .route("/metrics", get(system::metrics))
        .route("/openapi.json", get(system::openapi))
        .route("/docs", get(system::docs));
    Router::new()
        .merge(meters)
        .merge(events)
        .merge(customers)
        .merge(customer_meters)
        .merge(organizations)
        .merge(system)
        .merge(dashboard::router())
        .fallback(|| async { ApiError::UnknownPath })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(middleware::from_fn_with_state(app.clone(), admit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.clone(), observe))
        .layer(middleware::from_fn(cross_origin))
        .with_state(app)
}

/// Rewrites a path to the spelling that is routed, before routing (contract section 1.1): the
/// alias `/api/v1`, and no slash at the end. `HEAD` becomes a method that no route has, since
/// axum would serve it as `GET`.
pub(crate) fn normalize<B>(request: &mut http::Request<B>) {
    let path = request.uri().path();
    let routed = path.strip_prefix("/api").filter(|rest| rest.starts_with("/v1/")).unwrap_or(path);
    let routed = match routed.strip_suffix('/') {
        Some(shorter) if !shorter.is_empty() => shorter,
        _ => routed,
    };
    if routed.len() != path.len() {
        let target = match request.uri().query() {
            Some(query) => format!("{routed}?{query}"),
            None => routed.to_owned(),
        };
        if let Ok(uri) = target.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    if percent_decode_str(request.uri().path()).decode_utf8().is_err() {
        replace_what_is_not_utf_8(request);
    }
    if *request.method() == Method::HEAD
        && request.uri().path().starts_with("/v1/")
        && let Ok(unrouted) = Method::from_bytes(b"FLOE-HEAD")
    {
        *request.method_mut() = unrouted;
    }
}

/// Gives the parts of a path that are not UTF-8 replacement characters: they are
/// ids that nobody has.
fn replace_what_is_not_utf_8<B>(request: &mut http::Request<B>) {
    let replaced: Vec<_> = request
        .uri()
        .path()
        .split('/')
        .map(|part| match percent_decode_str(part).decode_utf8() {
            Ok(_) => part.to_owned(),
            Err(_) => {
                let text = percent_decode_str(part).decode_utf8_lossy();
                utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()
            }
        })
        .collect();
    let replaced = replaced.join("/");
    let target = match request.uri().query() {
        Some(query) => format!("{replaced}?{query}"),
        None => replaced,
    };
    if let Ok(uri) = target.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
}

/// Takes `HEAD` out of the methods that are allowed: axum adds it to each `GET`, and under `/v1`
/// it is refused.
pub(crate) fn forget_head<B>(response: &mut http::Response<B>) {
    let allowed = response.headers().get(ALLOW).and_then(|value| value.to_str().ok());
    let Some(allowed) = allowed else { return };
    let allowed: Vec<_> =
        allowed.split(',').map(str::trim).filter(|method| *method != "HEAD").collect();
    if let Ok(value) = HeaderValue::try_from(allowed.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
}

const POLAR_VERSION: HeaderName = HeaderName::from_static("polar-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// API versions that are served, all alike (contract section 6). The first is the default.
const VERSIONS: [&str; 3] = ["2026-04", "2026-10", "2027-01"];

/// The checks that come before routing is heeded (contract section 1.8): version, size, token.
async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let asked_for = request.headers().get(POLAR_VERSION).map_or(b"".as_slice(), |v| v.as_bytes());
    let version = match asked_for {
        b"" => VERSIONS.first().copied(),
        bytes => VERSIONS.into_iter().find(|version| version.as_bytes() == bytes),
    };
    let Some(version) = version else { return ApiError::UnknownPath.into_response() };
    let is_of_any_length = request.uri().path() == bulk::PATH;
    let mut response = if !is_of_any_length && extract::is_too_large(request.headers()) {
        // Who asks before sending the body is not asked for it.
        if !request.headers().contains_key(EXPECT) {
            extract::discard(request.into_body()).await;
        }
        ApiError::TooLarge.into_response()
    } else {
        match Identity::of(&app, request.headers()) {
            Ok(identity) => {
                request.extensions_mut().insert(identity);
                next.run(request).await
            }
            Err(error) => error.into_response(),
        }
    };
    response.headers_mut().insert(POLAR_VERSION, HeaderValue::from_static(version));
    response
}

/// A bug in a handler costs its request, not the server. The panic itself was logged by the hook.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    let body = serde_json::json!({
        "error": "InternalServerError",
        "detail": "Internal Server Error",
    });
    json_response(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

/// Gives every request an id, logs it and counts it. Neither tokens nor bodies nor query strings
/// are logged.
async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = Uuid::new_v4().to_string();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    let elapsed = began.elapsed();
    app.latency.record(&method, &route, response.status(), elapsed);
    let seconds = elapsed.as_secs_f64();
    // A made-up method must not become a new time series.
    let method_label = match method.as_str() {
        known @ ("GET" | "POST" | "PATCH" | "DELETE" | "PUT" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    metrics::counter!("floe_http_requests_total", "method" => method_label.clone(),
        "route" => route.clone(), "status" => status.to_string())
    .increment(1);
    metrics::histogram!("floe_http_request_seconds", "method" => method_label, "route" => route)
        .record(seconds);
    span.in_scope(|| {
        tracing::debug!(%method, path, status, duration_ms = seconds * 1000.0, "answered");
    });
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Headers that a page of another origin may send (contract section 1.15).
const CROSS_ORIGIN_HEADERS: [&str; 6] = [
    "accept",
    "accept-language",
    "authorization",
    "content-language",
    "content-type",
    "polar-version",
];

/// Lets pages of other origins call the API: it is the token that admits, never a cookie.
async fn cross_origin(request: Request, next: Next) -> Response {
    if !request.headers().contains_key(ORIGIN) {
        return next.run(request).await;
    }
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight { preflight(&request) } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Polar-Version"));
    response
}

fn preflight(request: &Request) -> Response {
    let asked_for = request
        .headers()
        .get(ACCESS_CONTROL_REQUEST_HEADERS)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let refused = asked_for
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .any(|name| !name.is_empty() && !CROSS_ORIGIN_HEADERS.contains(&name.as_str()));
    let (status, text) = if refused {
        (StatusCode::BAD_REQUEST, "Disallowed CORS headers")
    } else {
        (StatusCode::OK, "OK")
    };
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
    );
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Accept, Accept-Language, Authorization, Content-Language, Content-Type, Polar-Version",
        ),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    response
}
