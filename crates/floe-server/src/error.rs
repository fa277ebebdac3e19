//! What goes wrong, as the wire says it (contract sections 1.3 and 1.7). The only file that knows
//! which status an error has.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use floe_api::errors::ValidationFailure;
use floe_store::port::StoreError;
use http::StatusCode;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};

/// Seconds after which a client may try again when the server is busy.
const RETRY_AFTER_SECONDS: &str = "1";

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// No token, or none that could be one.
    Anonymous,
    /// A token that is unknown, expired or revoked.
    InvalidToken,
    /// A token without any of the scopes that are needed.
    InsufficientScope(Vec<&'static str>),
    /// A token that may not act for this organization.
    NotPermitted(&'static str),
    /// No such path or API version.
    UnknownPath,
    /// The path has no such method.
    MethodNotAllowed,
    /// No such row, as far as the caller may know.
    NotFound,
    /// The body is not UTF-8.
    NotUtf8,
    /// The body is over the limit.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// The body ended early.
    BrokenBody,
    /// The body is compressed in a way that is not known.
    UnsupportedCoding,
    /// The body is of another media type than this one, which the path wants.
    UnsupportedType(&'static str),
    /// The compressed body, by the name of its coding, is not what a compressor writes.
    BrokenEncoding(&'static str),
    /// The compressed body, by the name of its coding, ends early.
    TruncatedEncoding(&'static str),
    /// What ended the reading of many events, some of which are stored.
    Partial {
        /// Why the rest was not stored.
        error: Box<Self>,
        /// How many were new.
        inserted: u64,
        /// How many were known.
        duplicates: u64,
    },
    /// Fields are wrong.
    Invalid(ValidationFailure),
    /// There is too much to do; try again.
    Busy(&'static str),
    /// The store failed.
    Store(StoreError),
}

impl From<ValidationFailure> for ApiError {
    fn from(failure: ValidationFailure) -> Self {
        Self::Invalid(failure)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

const INVALID_TOKEN: &str = "The access token provided is expired, revoked, malformed, or invalid \
                             for other reasons.";
const INSUFFICIENT_SCOPE: &str =
    "The request requires higher privileges than provided by the access token.";

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Anonymous | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope(_) | Self::NotPermitted(_) => StatusCode::FORBIDDEN,
            Self::UnknownPath | Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotUtf8
            | Self::BrokenBody
            | Self::BrokenEncoding(_)
            | Self::TruncatedEncoding(_) => StatusCode::BAD_REQUEST,
            Self::UnsupportedCoding | Self::UnsupportedType(_) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Partial { error, .. } => error.status(),
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy(_)
            | Self::Store(
                StoreError::Busy
                | StoreError::Full { .. }
                | StoreError::Poisoned(_)
                | StoreError::Catalog(_),
            ) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn without_headers(&self) -> Response {
        match self {
            // As it is: an offending value may nest deeper and have more digits than a `Value`.
            Self::Invalid(failure) => json_response(self.status(), failure),
            _ => json_response(self.status(), &self.body()),
        }
    }

    fn body(&self) -> serde_json::Value {
        use serde_json::json;
        match self {
            Self::Anonymous => json!({"error": "Unauthorized", "detail": "Unauthorized"}),
            Self::InvalidToken => {
                json!({"error": "invalid_token", "error_description": INVALID_TOKEN})
            }
            Self::InsufficientScope(_) => {
                json!({"error": "insufficient_scope", "error_description": INSUFFICIENT_SCOPE})
            }
            Self::NotPermitted(detail) => json!({"error": "NotPermitted", "detail": detail}),
            Self::UnknownPath => json!({"detail": "Not Found"}),
            Self::MethodNotAllowed => json!({"detail": "Method Not Allowed"}),
            Self::NotFound => json!({"error": "ResourceNotFound", "detail": "Not found"}),
            Self::NotUtf8 => json!({"detail": "There was an error parsing the body"}),
            Self::BrokenBody => json!({"detail": "The body ended before it was complete"}),
            Self::TooLarge => json!({
                "error": "RequestBodyTooLarge",
                "detail": format!(
                    "Request body exceeded the maximum allowed size of {} bytes.",
                    floe_core::limits::BODY_BYTES_MAX
                ),
            }),
            Self::TooSlow => {
                json!({"error": "RequestTimeout", "detail": "The body did not arrive in time."})
            }
            Self::UnsupportedCoding => json!({
                "error": "UnsupportedMediaType",
                "detail": format!(
                    "The body may be compressed as one of {}, or not at all.",
                    crate::encoding::ACCEPTED
                ),
            }),
            Self::UnsupportedType(wanted) => json!({
                "error": "UnsupportedMediaType",
                "detail": format!("The body must be of the type {wanted}."),
            }),
            Self::BrokenEncoding(coding) => json!({
                "error": "BadRequest",
                "detail": format!("The body is not {coding}, or it is damaged."),
            }),
            Self::TruncatedEncoding(coding) => json!({
                "error": "BadRequest",
                "detail": format!("The body ends before its {coding} data does."),
            }),
            Self::Partial { error, inserted, duplicates } => {
                let mut body = error.body();
                if let Some(body) = body.as_object_mut() {
                    body.insert("inserted".to_owned(), (*inserted).into());
                    body.insert("duplicates".to_owned(), (*duplicates).into());
                }
                body
            }
            Self::Invalid(failure) => json!({"detail": failure.to_string()}),
            Self::Busy(detail) => json!({"error": "ServiceUnavailable", "detail": detail}),
            Self::Store(error) => match error {
                StoreError::Busy
                | StoreError::Full { .. }
                | StoreError::Poisoned(_)
                | StoreError::Catalog(_) => {
                    json!({"error": "ServiceUnavailable", "detail": error.to_string()})
                }
                _ => json!({"error": "InternalServerError", "detail": "Internal Server Error"}),
            },
        }
    }

    /// What went wrong, without what was done before.
    fn cause(&self) -> &Self {
        match self {
            Self::Partial { error, .. } => error.cause(),
            error => error,
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut challenge = |text: String| {
            headers.extend(HeaderValue::try_from(text).ok().map(|value| (WWW_AUTHENTICATE, value)));
        };
        match self {
            Self::Anonymous => challenge(r#"Bearer realm="polar""#.to_owned()),
            Self::InvalidToken => challenge(format!(
                r#"Bearer realm="polar", error="invalid_token", error_description="{INVALID_TOKEN}""#
            )),
            Self::InsufficientScope(scopes) => challenge(format!(
                r#"Bearer realm="polar", scope="{}", error="insufficient_scope", error_description="{INSUFFICIENT_SCOPE}""#,
                scopes.join(" ")
            )),
            _ => {}
        }
        match self.cause() {
            Self::UnsupportedCoding => {
                let accepted = HeaderValue::from_static(crate::encoding::ACCEPTED);
                headers.insert(ACCEPT_ENCODING, accepted);
            }
            Self::UnsupportedType(wanted) => {
                headers.insert(ACCEPT, HeaderValue::from_static(wanted));
            }
            _ => {}
        }
        if let Self::InvalidToken | Self::InsufficientScope(_) = self {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        headers
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Store(error) = self.cause() {
            log(error);
        }
        let mut response = self.without_headers();
        response.headers_mut().extend(self.headers());
        response
    }
}

/// Logs a failure of the store, once, with its causes.
fn log(error: &StoreError) {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    match error {
        StoreError::Busy | StoreError::Full { .. } => {
            tracing::warn!(error = text, "a request was refused");
        }
        _ => tracing::error!(error = text, "a request failed"),
    }
}

const NO_STORE: (HeaderName, HeaderValue) =
    (CACHE_CONTROL, HeaderValue::from_static("private, no-store"));

/// A JSON answer (contract section 1.5).
pub(crate) fn json_response(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => json_bytes(status, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A JSON answer that is written already, or while it is sent.
pub(crate) fn json_bytes(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(NO_STORE.0, NO_STORE.1);
    response
}
