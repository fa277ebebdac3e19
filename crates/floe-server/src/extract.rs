//! Reading requests: bodies under a limit, ids in paths.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use floe_api::errors::{self, ErrorClass, Errors, Loc, ValidationFailure};
use floe_api::json::{self, Json};
use floe_api::query::QueryParams;
use floe_api::scalar;
use floe_core::limits::BODY_BYTES_MAX;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use http_body_util::BodyExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::app::App;
use crate::encoding::{Coding, Decoder, Step};
use crate::error::ApiError;

/// Silence in the middle of a body after which the request is given up.
pub(crate) const BODY_PAUSE_MAX: Duration = Duration::from_secs(20);
/// Time for a whole body.
const BODY_TIME_MAX: Duration = Duration::from_secs(120);
/// Bytes of a body that is refused which are still read, and the silence in it and the time that
/// end this: a client that is cut off while it sends never reads why.
const REFUSED_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;
const REFUSED_PAUSE_MAX: Duration = Duration::from_millis(500);
const REFUSED_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of all bodies together; while there are more, further ones are refused.
const BODIES_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of a compressed body. What decodes to a body within the limit may be a little longer than
/// that, if it cannot be compressed.
const ENCODED_BYTES_MAX: usize = BODY_BYTES_MAX + BODY_BYTES_MAX / 64;
/// Bytes that are decoded in one step.
const DECODED_STEP_BYTES: usize = 64 * 1024;
/// How many bodies are decoded at a time, each with the window of a decoder.
const DECODERS_MAX: usize = 16;
/// Bodies from here on are parsed beside the threads that serve connections.
pub(crate) const LARGE_BODY_BYTES: usize = 128 * 1024;

/// Bodies from here on are worked on by a few requests at a time: parsed, a hostile one takes
/// thirty times its size.
const HUGE_BODY_BYTES: usize = 1024 * 1024;
/// How many requests with huge bodies are worked on at a time.
const HUGE_BODIES_MAX: usize = 4;

static BODIES_BYTES: AtomicUsize = AtomicUsize::new(0);
static HUGE_BODIES: Semaphore = Semaphore::const_new(HUGE_BODIES_MAX);
static DECODERS: Semaphore = Semaphore::const_new(DECODERS_MAX);

/// A turn to work on something that takes many times its size, if it is of so many bytes.
pub(crate) async fn turn(bytes: usize) -> Option<SemaphorePermit<'static>> {
    if bytes < HUGE_BODY_BYTES {
        return None;
    }
    // The semaphore is never closed.
    HUGE_BODIES.acquire().await.ok()
}

/// A part of [`BODIES_BYTES`], given back when the body is dropped.
#[derive(Debug, Default)]
struct Share(usize);

impl Share {
    fn add(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.0 += bytes;
        if BODIES_BYTES.fetch_add(bytes, Ordering::Relaxed) + bytes > BODIES_BYTES_MAX {
            return Err(ApiError::Busy("Too many request bodies are waiting."));
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        BODIES_BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// A request's body, whole and within the limit. Extracted after the caller, so that nobody
/// makes the server read what they may not send.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Bytes,
    is_json: bool,
    _share: Share,
    _turn: Option<SemaphorePermit<'static>>,
}

/// Whether the length that a request announces is over the limit.
pub(crate) fn is_too_large(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    // A coding that is not known is refused for that.
    let bytes_max = match Coding::of(headers) {
        Ok(Some(_)) => ENCODED_BYTES_MAX,
        Ok(None) | Err(_) => BODY_BYTES_MAX,
    };
    length.is_some_and(|text| text.parse::<usize>().is_ok_and(|length| length > bytes_max))
}

/// Reads what a client goes on sending of a body that is refused, within bounds.
pub(crate) async fn discard(mut body: axum::body::Body) {
    let read = async {
        let mut bytes = 0;
        while bytes <= REFUSED_BYTES_MAX {
            match tokio::time::timeout(REFUSED_PAUSE_MAX, body.frame()).await {
                Ok(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Bytes::len),
                _ => return,
            }
        }
    };
    // Whether it ended or not: the answer is the same.
    let _ = tokio::time::timeout(REFUSED_TIME_MAX, read).await;
}

fn is_json(headers: &HeaderMap) -> bool {
    // No type is taken for JSON, as contract section 1.4 allows.
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim();
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    let subtype = subtype.to_ascii_lowercase();
    kind.eq_ignore_ascii_case("application") && (subtype == "json" || subtype.ends_with("+json"))
}

impl FromRequest<App> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let coding = Coding::of(request.headers());
        let mut body = request.into_body();
        let read = match coding {
            Err(error) => Err(error),
            Ok(None) => read_whole(&mut body, BODY_BYTES_MAX).await,
            Ok(Some(coding)) => match read_whole(&mut body, ENCODED_BYTES_MAX).await {
                Ok((bytes, _share)) => decode_whole(coding, &bytes).await,
                Err(error) => Err(error),
            },
        };
        let (bytes, share) = match read {
            Ok(read) => read,
            Err(error) => {
                if let ApiError::TooLarge | ApiError::UnsupportedCoding = error {
                    discard(body).await;
                }
                return Err(error);
            }
        };
        let turn = turn(bytes.len()).await;
        Ok(Self { bytes, is_json, _share: share, _turn: turn })
    }
}

/// Reads a body of at most so many bytes, as it is sent.
async fn read_whole(
    body: &mut axum::body::Body,
    bytes_max: usize,
) -> Result<(Bytes, Share), ApiError> {
    let mut share = Share::default();
    let read = async {
        let mut first = Bytes::new();
        let mut rest: Vec<u8> = Vec::new();
        while let Some(frame) = tokio::time::timeout(BODY_PAUSE_MAX, body.frame())
            .await
            .map_err(|_| ApiError::TooSlow)?
        {
            let frame = frame.map_err(|_| ApiError::BrokenBody)?;
            let Ok(data) = frame.into_data() else { continue };
            share.add(data.len())?;
            if share.0 > bytes_max {
                return Err(ApiError::TooLarge);
            }
            if first.is_empty() && rest.is_empty() {
                first = data;
            } else {
                if rest.is_empty() {
                    rest = std::mem::take(&mut first).into();
                }
                rest.extend_from_slice(&data);
            }
        }
        Ok(if rest.is_empty() { first } else { rest.into() })
    };
    let read = tokio::time::timeout(BODY_TIME_MAX, read).await;
    Ok((read.unwrap_or(Err(ApiError::TooSlow))?, share))
}

/// Decodes a body that has arrived. Since nobody is waited for, a few decoders at a time are
/// enough for all, and their windows take little memory.
async fn decode_whole(coding: Coding, encoded: &[u8]) -> Result<(Bytes, Share), ApiError> {
    // The semaphore is never closed.
    let _permit = DECODERS.acquire().await.ok();
    let decode = || {
        let mut decoder = Decoder::new(coding)?;
        let mut share = Share::default();
        let mut decoded = Vec::new();
        let mut rest = encoded;
        loop {
            let start = decoded.len();
            decoded.resize(start + DECODED_STEP_BYTES, 0);
            let Step { read, written } =
                decoder.step(rest, decoded.get_mut(start..).unwrap_or_default())?;
            decoded.truncate(start + written);
            rest = rest.get(read..).unwrap_or_default();
            share.add(written)?;
            if share.0 > BODY_BYTES_MAX {
                return Err(ApiError::TooLarge);
            }
            if rest.is_empty() && written < DECODED_STEP_BYTES {
                break;
            }
        }
        decoder.finish()?;
        Ok((decoded.into(), share))
    };
    if encoded.len() < LARGE_BODY_BYTES / 16 {
        decode()
    } else {
        tokio::task::block_in_place(decode)
    }
}

impl Body {
    /// Parses the body and hands it to `work`, whose answer owns nothing of it.
    ///
    /// # Errors
    ///
    /// What is not JSON (contract section 1.4), and what `work` refuses.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Json<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.read_quickly(|_| None, work)
    }

    /// Hands the bytes to `quick`, and to `work` what they parse to where that gives `None`.
    ///
    /// # Errors
    ///
    /// What `quick` refuses, and those of [`read`](Self::read).
    pub(crate) fn read_quickly<T>(
        &self,
        quick: impl FnOnce(&[u8]) -> Option<Result<T, ApiError>>,
        work: impl FnOnce(&Json<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let read = || {
            let quick = if self.is_json { quick(&self.bytes) } else { None };
            quick.unwrap_or_else(|| self.parse(work))
        };
        if self.bytes.len() < LARGE_BODY_BYTES {
            return read();
        }
        tokio::task::block_in_place(read)
    }

    fn parse<T>(&self, work: impl FnOnce(&Json<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
        if !self.is_json {
            let text = String::from_utf8_lossy(&self.bytes);
            let text = Json::Str(text);
            return Err(ValidationFailure::schema(
                &Loc::BODY,
                errors::model_attributes_type(),
                &text,
            )
            .into());
        }
        let parsed = match json::parse(&self.bytes) {
            Ok(Json::Null) => None,
            Ok(json) => Some(json),
            Err(json::ParseError::Empty) => None,
            Err(error) => {
                return Err(
                    ValidationFailure::of_body(&error).map_or(ApiError::NotUtf8, ApiError::Invalid)
                );
            }
        };
        match parsed {
            Some(json) => work(&json),
            None => {
                Err(ValidationFailure::schema(&Loc::BODY, errors::missing(), &Json::Null).into())
            }
        }
    }
}

/// A request's query parameters.
#[derive(Debug)]
pub(crate) struct Query(pub(crate) QueryParams);

impl FromRequestParts<App> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        Ok(Self(QueryParams::parse(parts.uri.query().unwrap_or(""))))
    }
}

/// The id in a path: version 4, as every id here. An error joins those of query and body.
pub(crate) fn path_id(text: &str, errors: &mut Errors) -> Option<Uuid> {
    let path = Loc::PATH;
    scalar::uuid4(&Json::Str(text.into()), &path.key("id"), errors)
}

/// What was parsed, or all errors that were found on the way.
pub(crate) fn parsed<T>(parse: impl FnOnce(&mut Errors) -> Option<T>) -> Result<T, ApiError> {
    let mut errors = Errors::new();
    let parsed = parse(&mut errors);
    errors.into_result(ErrorClass::RequestValidationError)?;
    // Nothing was parsed, so there was an error: this is not reached.
    parsed.ok_or(ApiError::BrokenBody)
}
