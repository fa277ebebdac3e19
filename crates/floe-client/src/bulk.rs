//! Events by the million, one a line: `POST /v1/events/bulk`, which only Floe has.

use std::fmt;

use bytes::Bytes;
use futures_core::TryStream;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Method};
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::{Cause, Result, Violation};
use crate::events::Events;

const PATH: [&str; 3] = ["v1", "events", "bulk"];
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// How a [`BulkBody`] is compressed already.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # use floe_client_doc::zstd;
/// use floe_client::{BulkBody, Compression};
///
/// let lines = "{\"name\": \"chat\", \"external_customer_id\": \"ada\"}\n";
/// let bytes = zstd::encode_all(lines.as_bytes(), 3)?;
/// let body = BulkBody::from(bytes).compressed(Compression::Zstd);
/// assert_eq!(client.events().bulk(body).await?.inserted, 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// gzip.
    Gzip,
    /// Zstandard, with a window of at most 8 MiB.
    Zstd,
}

impl Compression {
    fn header(self) -> HeaderValue {
        match self {
            Self::Gzip => HeaderValue::from_static("gzip"),
            Self::Zstd => HeaderValue::from_static("zstd"),
        }
    }
}

/// Events to send with [`Events::bulk`]: one a line, as JSON.
///
/// It is made of bytes, or of a stream of them, so that no more of it need be in memory than is
/// sent at the time.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::BulkBody;
///
/// let lines = "{\"name\": \"chat\", \"external_customer_id\": \"ada\"}\n";
/// assert_eq!(client.events().bulk(BulkBody::from(lines)).await?.inserted, 1);
/// # Ok(())
/// # });
/// ```
pub struct BulkBody {
    body: Body,
    compression: Option<Compression>,
}

impl BulkBody {
    /// A body that is sent as it comes. It cannot be sent a second time.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # use floe_client_doc::futures_util;
    /// use floe_client::BulkBody;
    /// use futures_util::stream;
    ///
    /// let lines = (0..1000).map(|number| -> std::io::Result<String> {
    ///     let customer = format!("user-{number}");
    ///     let line = serde_json::json!({"name": "chat", "external_customer_id": customer});
    ///     Ok(format!("{line}\n"))
    /// });
    /// let answer = client.events().bulk(BulkBody::stream(stream::iter(lines))).await?;
    /// assert_eq!(answer.inserted, 1000);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn stream<S>(stream: S) -> Self
    where
        S: TryStream + Send + 'static,
        S::Error: Into<Cause>,
        Bytes: From<S::Ok>,
    {
        Self { body: Body::wrap_stream(stream), compression: None }
    }

    /// The same bytes, said to be compressed. This compresses nothing.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # use floe_client_doc::flate2;
    /// use std::io::Write as _;
    /// use flate2::write::GzEncoder;
    /// use floe_client::{BulkBody, Compression};
    ///
    /// let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
    /// gzip.write_all(b"{\"name\": \"chat\", \"external_customer_id\": \"ada\"}\n")?;
    /// let body = BulkBody::from(gzip.finish()?).compressed(Compression::Gzip);
    /// assert_eq!(client.events().bulk(body).await?.inserted, 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn compressed(self, compression: Compression) -> Self {
        Self { compression: Some(compression), ..self }
    }
}

impl fmt::Debug for BulkBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let compression = &self.compression;
        f.debug_struct("BulkBody").field("compression", compression).finish_non_exhaustive()
    }
}

impl From<Bytes> for BulkBody {
    fn from(bytes: Bytes) -> Self {
        Self { body: bytes.into(), compression: None }
    }
}

impl From<Vec<u8>> for BulkBody {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for BulkBody {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for BulkBody {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

/// What became of the lines of a [`BulkBody`].
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::BulkBody;
///
/// let twice = concat!(
///     r#"{"name": "chat", "external_customer_id": "ada", "external_id": "chat-1"}"#, "\n",
///     r#"{"name": "chat", "external_customer_id": "ada", "external_id": "chat-1"}"#, "\n",
/// );
/// let answer = client.events().bulk(BulkBody::from(twice)).await?;
/// assert_eq!((answer.inserted, answer.duplicates, answer.refused_total), (1, 1, 0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BulkIngested {
    /// Events that are new. They are on disk.
    pub inserted: u64,
    /// Events whose external ids were known. They count once, as they came first.
    pub duplicates: u64,
    /// Lines that are no right events. All others are stored.
    pub refused_total: u64,
    /// The first 1,000 of them, in order.
    pub refused: Vec<RefusedLine>,
}

/// A line that is no right event.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::BulkBody;
///
/// let answer = client.events().bulk(BulkBody::from("{\"name\": \"chat\"}\n")).await?;
/// let refused = &answer.refused[0];
/// assert_eq!(refused.line, 1);
/// assert_eq!(refused.detail[0].kind, "missing");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RefusedLine {
    /// Its number, from 1, empty lines included.
    pub line: u64,
    /// What is wrong with it, up to 20 things. Each `loc` starts in the event.
    pub detail: Vec<Violation>,
}

impl Events<'_> {
    /// Stores events, one a line, any number of them: of a year, if need be. Floe's own; Polar has
    /// no such call.
    ///
    /// Each line, of at most 1 MiB, is the JSON of an event. Lines are stored in blocks of up to
    /// 1,000 as they arrive, each line right or refused for itself; so if this fails, some events
    /// may be stored. To send them again safely, give each an `external_id`. It is sent once: who
    /// holds the bytes, or can make them again, decides what to do.
    ///
    /// The client's limit on the time of one call is for all of the body: give a long one more
    /// with [`Client::with_timeout`].
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::BulkBody;
    ///
    /// let lines = concat!(
    ///     r#"{"name": "chat", "external_customer_id": "ada", "external_id": "chat-1"}"#, "\n",
    ///     r#"{"name": "chat"}"#, "\n",
    ///     r#"{"name": "chat", "external_customer_id": "bob", "external_id": "chat-2"}"#, "\n",
    /// );
    /// let answer = client.events().bulk(BulkBody::from(lines)).await?;
    /// assert_eq!((answer.inserted, answer.refused_total), (2, 1));
    /// for refused in answer.refused {
    ///     assert_eq!(refused.line, 2);
    ///     println!("line {}: {}", refused.line, refused.detail[0]);
    /// }
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// Those of any call. [`Error::Unavailable`](crate::Error::Unavailable) says that the server
    /// stopped storing: what it stored before stays.
    pub async fn bulk(self, body: BulkBody) -> Result<BulkIngested> {
        let client: &Client = self.0;
        let BulkBody { body, compression } = body;
        let mut request =
            client.request(Method::POST, &PATH, &[]).header(CONTENT_TYPE, NDJSON).body(body);
        if let Some(compression) = compression {
            request = request.header(CONTENT_ENCODING, compression.header());
        }
        client.read(client.execute(request).await?)
    }
}
