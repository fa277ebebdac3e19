//! The web page at `/`: its files, built into the program, and the headers they are served with.
//!
//! The page is a client like any other: it speaks the HTTP API with the token that its user types
//! in. Nothing here knows of tokens, organizations or events.
//!
//! The files' path has a hash of all of them in it, so that browsers may keep them for ever, and
//! a page never runs with files of another version. The page itself is asked for each time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::OnceLock;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::error::ApiError;

/// The files of the page. (A debug build reads them from the source folder at its start.)
#[derive(Debug, rust_embed::RustEmbed)]
#[folder = "dashboard"]
struct Files;

/// What the page may do: run and load what this server has, call this server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file as it is served.
#[derive(Debug)]
struct Asset {
    content_type: &'static str,
    etag: HeaderValue,
    plain: Bytes,
    /// Compressed, if that makes it smaller.
    gzip: Option<Bytes>,
}

#[derive(Debug)]
struct Assets {
    page: Asset,
    /// The hash of all files, as their path has it.
    version: String,
    files: BTreeMap<String, Asset>,
}

/// The page and its files.
pub(crate) fn router() -> Router<App> {
    Router::new().route("/", get(page)).route("/dashboard/{version}/{*path}", get(file))
}

async fn page(headers: HeaderMap) -> Response {
    respond(&assets().page, &headers, "no-cache")
}

async fn file(
    Path((version, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let assets = assets();
    let asset = assets.files.get(&path).filter(|_| version == assets.version);
    let asset = asset.ok_or(ApiError::UnknownPath)?;
    Ok(respond(asset, &headers, "public, max-age=31536000, immutable"))
}

/// All files, prepared once, at the first request for one.
fn assets() -> &'static Assets {
    static ASSETS: OnceLock<Assets> = OnceLock::new();
    ASSETS.get_or_init(|| {
        let mut contents: BTreeMap<String, Bytes> = Files::iter()
            .filter_map(|path| {
                let bytes = match Files::get(&path)?.data {
                    Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                    Cow::Owned(bytes) => Bytes::from(bytes),
                };
                Some((path.into_owned(), bytes))
            })
            .collect();
        let mut hash = Sha256::new();
        for (path, bytes) in &contents {
            hash.update(path.as_bytes());
            hash.update(Sha256::digest(bytes));
        }
        let version = hex(&hash.finalize());
        let template = contents.remove("index.html").unwrap_or_default();
        let page = page_html(&String::from_utf8_lossy(&template), &version, contents.keys());
        let page = Asset::new("index.html", page.into());
        let files = contents.into_iter().map(|(path, bytes)| {
            let asset = Asset::new(&path, bytes);
            (path, asset)
        });
        Assets { page, version, files: files.collect() }
    })
}

/// Fills in where the files are, and names all modules, so that browsers need not find them one
/// behind the other.
fn page_html<'a>(template: &str, version: &str, paths: impl Iterator<Item = &'a String>) -> String {
    let modules = paths.filter(|path| path.ends_with(".js") && !path.ends_with(".iife.min.js"));
    let preloads: String = modules
        .map(|path| format!("<link rel=\"modulepreload\" href=\"/dashboard/{version}/{path}\">\n"))
        .collect();
    template.replace("{version}", version).replace("<!-- modules -->\n", &preloads)
}

impl Asset {
    fn new(path: &str, plain: Bytes) -> Self {
        let tag = format!("W/\"{}\"", hex(&Sha256::digest(&plain)));
        Self {
            content_type: content_type(path),
            // Hexadecimal digits and quotes always are a header's value.
            etag: HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\"")),
            gzip: gzip(&plain).filter(|gzip| gzip.len() < plain.len()).map(Bytes::from),
            plain,
        }
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// The first 16 bytes, in hexadecimal.
fn hex(digest: &[u8]) -> String {
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

fn respond(asset: &Asset, request: &HeaderMap, cache_control: &'static str) -> Response {
    let known = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
    let is_known = known.any(|tag| tag == "*" || asset.etag.as_bytes() == tag.as_bytes());
    let gzip = asset.gzip.as_ref().filter(|_| accepts_gzip(request));
    let mut response = match gzip {
        _ if is_known => StatusCode::NOT_MODIFIED.into_response(),
        Some(gzip) => ([(CONTENT_ENCODING, "gzip")], gzip.clone()).into_response(),
        None => asset.plain.clone().into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, asset.etag.clone());
    let fixed: [(HeaderName, &'static str); 7] = [
        (CONTENT_TYPE, asset.content_type),
        (CACHE_CONTROL, cache_control),
        (VARY, "Accept-Encoding"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether `Accept-Encoding` names gzip, and not with a weight of zero.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let accepted = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        is_gzip && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|q| q > 0.0))
    })
}
