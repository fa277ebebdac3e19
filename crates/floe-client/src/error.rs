//! What goes wrong, as a caller can act on it.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// Result of a call to a server.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{Client, Error, EventCreate};
///
/// async fn ingest_one(client: &Client, event: EventCreate) -> floe_client::Result<bool> {
///     Ok(client.events().ingest(&[event]).await?.inserted == 1)
/// }
///
/// assert!(ingest_one(&client, EventCreate::for_external_customer("chat", "user-1")).await?);
/// # Ok(())
/// # });
/// ```
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no answer, or not the one that was asked for.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let event = floe_client::EventCreate::for_external_customer("ai_usage", "user-1");
/// # let event = event.member_id(floe_client::Uuid::nil());
/// use floe_client::Error;
///
/// match client.events().ingest(&[event]).await {
///     Ok(ingested) => println!("{} new", ingested.inserted),
///     Err(Error::Validation(violations)) => {
///         for violation in violations {
///             eprintln!("{violation}"); // body.events.0.…: what is wrong
///         }
///     }
///     Err(Error::Forbidden { scope: Some(scope), .. }) => eprintln!("the token lacks {scope}"),
///     Err(Error::RateLimited { retry_after }) => eprintln!("too often; wait {retry_after:?}"),
///     Err(Error::Connect { .. } | Error::Timeout { .. } | Error::Transport { .. }) => {
///         eprintln!("no answer");
///     }
///     Err(error) => eprintln!("{error}"),
/// }
/// # Ok(())
/// # });
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's address cannot be used.
    #[error("`{url}` is no address of a server: {reason}")]
    InvalidUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token cannot stand in a header, so it is none.
    #[error("a token must consist of visible ASCII characters")]
    InvalidToken,
    /// The environment names no token.
    #[error("FLOE_TOKEN is not set")]
    MissingToken,
    /// A value cannot be written as JSON.
    #[error("a value cannot be written as JSON")]
    Serialize(#[source] Cause),
    /// The client cannot be set up, for example since the system trusts no authority.
    #[error("the HTTP client cannot be set up")]
    Setup(#[source] Cause),
    /// Nobody answers there: the server is not running, or elsewhere. Nothing was sent.
    #[error("no server answers at {url}")]
    Connect {
        /// The server's address.
        url: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// There was no whole answer in time. The server may have done what was asked for.
    #[error("the server at {url} did not answer in time")]
    Timeout {
        /// The server's address.
        url: String,
    },
    /// The connection broke. The server may have done what was asked for.
    #[error("the connection to {url} broke")]
    Transport {
        /// The server's address.
        url: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The token is missing, unknown, expired or revoked.
    #[error("the server does not know this token: it is wrong, expired or revoked")]
    Unauthorized,
    /// The token may not do this.
    #[error("this token may not do that: {detail}{}", needed(.scope))]
    Forbidden {
        /// The server's words.
        detail: String,
        /// The scopes of which one would do, with spaces between them, if it is one that lacks.
        scope: Option<String>,
    },
    /// There is no such thing, or the token may not know of it.
    #[error("the server has no such thing: {detail}")]
    NotFound {
        /// The server's words.
        detail: String,
    },
    /// Values were refused; nothing was done. There is one violation at least.
    #[error("the server refused the values: {}", list(.0))]
    Validation(Vec<Violation>),
    /// The request is larger than the server takes; nothing was done.
    #[error("the request is too large: {detail}")]
    PayloadTooLarge {
        /// The server's words.
        detail: String,
    },
    /// There were too many requests; nothing was done.
    #[error("there are too many requests{}", wait(.retry_after))]
    RateLimited {
        /// How long the server wants one to wait.
        retry_after: Option<Duration>,
    },
    /// The server has too much to do, or cannot write. Nothing is known to have been done.
    #[error("the server cannot do this now: {detail}")]
    Unavailable {
        /// The server's words.
        detail: String,
        /// How long the server wants one to wait.
        retry_after: Option<Duration>,
    },
    /// The server failed. Its log has the reason, under the request's id.
    #[error("the server failed with status {status}{}", request(.request_id))]
    Server {
        /// The status of the answer, 500 to 599 but not 503.
        status: u16,
        /// The request's id in the server's log.
        request_id: Option<String>,
    },
    /// The answer is not one of a Floe server, or of one that this client does not understand.
    #[error("the answer from {url} is not one of a Floe server (status {status}): {detail}")]
    Unexpected {
        /// The server's address.
        url: String,
        /// The status of the answer.
        status: u16,
        /// What is odd about it.
        detail: String,
    },
}

/// An underlying error. Its type is no part of this interface.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let client = floe_client_doc::nowhere()?;
/// use std::error::Error as _;
/// use floe_client::{Cause, Error, MetersList};
///
/// let error = client.meters().list(&MetersList::new()).await.expect_err("nobody answers");
/// assert_eq!(error.to_string(), format!("no server answers at {}", client.url()));
/// if let Error::Connect { source, .. } = error {
///     let source: Cause = source;
///     eprintln!("{source}");
/// }
/// # Ok(())
/// # });
/// ```
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    /// Whether the same call may succeed later: no connection came to be or it broke, no answer
    /// came in time, or the server has too much to do.
    ///
    /// ```
    /// use floe_client::Error;
    ///
    /// assert!(Error::Timeout { url: "http://127.0.0.1:7070".into() }.is_passing());
    /// assert!(!Error::Unauthorized.is_passing());
    /// ```
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Timeout { .. }
                | Self::Transport { .. }
                | Self::RateLimited { .. }
                | Self::Unavailable { .. }
                | Self::Server { status: 502 | 504, .. }
        )
    }

    /// The values that were refused; none, if it was something else.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Aggregation, Filter, MeterCreate};
    ///
    /// let meter = MeterCreate::new("A", Filter::and(), Aggregation::count());
    /// let error = client.meters().create(&meter).await.expect_err("the name is too short");
    /// assert_eq!(
    ///     error.violations()[0].to_string(),
    ///     "body.name: String should have at least 3 characters"
    /// );
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        match self {
            Self::Validation(violations) => violations,
            _ => &[],
        }
    }
}

/// One value that a server refused, and why.
///
/// ```
/// let violation: floe_client::Violation = serde_json::from_str(
///     r#"{"type":"missing","loc":["body","events",0,"name"],"msg":"Field required","input":{}}"#,
/// )?;
/// assert_eq!(violation.to_string(), "body.events.0.name: Field required");
/// assert_eq!(violation.kind, "missing");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Violation {
    /// Where the value stands: first `body`, `query` or `path`, then keys and positions.
    pub loc: Vec<LocPart>,
    /// What is wrong with it, for people.
    pub msg: String,
    /// What is wrong with it, for machines, such as `missing` or `value_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The value itself, as the server read it; of a missing one, what it is missing in. Of one
    /// that is nested deeper than a [`serde_json::Value`] is read, a text: its JSON.
    #[serde(default, deserialize_with = "any_depth")]
    pub input: serde_json::Value,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.loc.iter().enumerate() {
            let dot = if index > 0 { "." } else { "" };
            write!(f, "{dot}{part}")?;
        }
        write!(f, ": {}", self.msg)
    }
}

/// A step on the way to a value.
///
/// ```
/// use floe_client::LocPart;
///
/// let loc: Vec<LocPart> = serde_json::from_str(r#"["body",0]"#)?;
/// assert_eq!(loc, [LocPart::Key("body".to_owned()), LocPart::Index(0)]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LocPart {
    /// A position in a list, from 0.
    Index(u64),
    /// A key of an object.
    Key(String),
}

impl fmt::Display for LocPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Key(key) => f.write_str(key),
        }
    }
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn needed(scope: &Option<String>) -> String {
    scope.as_ref().map(|scope| format!(" (needed: {scope})")).unwrap_or_default()
}

fn wait(retry_after: &Option<Duration>) -> String {
    retry_after
        .map(|wait| format!("; the server wants {} s between them", wait.as_secs()))
        .unwrap_or_default()
}

fn request(id: &Option<String>) -> String {
    id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default()
}

/// The body of an answer that is not a success.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    error: Option<String>,
    error_description: Option<String>,
    detail: Option<Box<RawValue>>,
}

impl Body {
    /// The detail, if it is of this type.
    fn detail<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.detail.as_ref()?.get()).ok()
    }
}

/// A value of any depth.
fn any_depth<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<serde_json::Value, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().into()))
}

/// What an answer consists of, as far as an error shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    pub(crate) url: &'a str,
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
    /// What `WWW-Authenticate` says.
    pub(crate) challenge: Option<&'a str>,
    pub(crate) request_id: Option<&'a str>,
    pub(crate) location: Option<&'a str>,
    /// What `Retry-After` says.
    pub(crate) retry_after: Option<&'a str>,
}

impl From<Refusal<'_>> for Error {
    fn from(refusal: Refusal<'_>) -> Self {
        let Refusal { url, status, body, challenge, request_id, location, retry_after } = refusal;
        let retry_after = retry_after.and_then(|text| text.trim().parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let parsed: Option<Body> = serde_json::from_slice(body).ok();
        let unexpected = |detail: String| Self::Unexpected { url: url.to_owned(), status, detail };
        if (500..600).contains(&status) && status != 503 {
            return Self::Server { status, request_id: request_id.map(str::to_owned) };
        }
        let detail = |body: Option<&Body>| {
            let Some(body) = body else { return String::new() };
            let detail = body.detail::<String>().or_else(|| body.error_description.clone());
            detail.or_else(|| body.error.clone()).unwrap_or_default()
        };
        // These also come from what stands before a server, with any body or none.
        match status {
            413 => {
                let detail = or(detail(parsed.as_ref()), "that is all the answer says");
                return Self::PayloadTooLarge { detail };
            }
            429 => return Self::RateLimited { retry_after },
            503 => {
                let detail = or(detail(parsed.as_ref()), "it says no more");
                return Self::Unavailable { detail, retry_after };
            }
            _ => {}
        }
        let Some(body) = parsed else {
            return unexpected(match location {
                Some(location) => format!("it points to {location}"),
                None => "its body is not what a Floe server writes".to_owned(),
            });
        };
        let detail = detail(Some(&body));
        match status {
            401 => Self::Unauthorized,
            403 => {
                let scope = challenge
                    .and_then(|text| text.split_once(r#"scope=""#))
                    .and_then(|(_, rest)| rest.split_once('"'))
                    .map(|(scopes, _)| scopes)
                    .filter(|scopes| !scopes.is_empty())
                    .map(str::to_owned);
                Self::Forbidden { detail: detail.trim_end_matches('.').to_owned(), scope }
            }
            404 => Self::NotFound { detail },
            422 => match body.detail::<Vec<Violation>>() {
                Some(violations) if !violations.is_empty() => Self::Validation(violations),
                _ => unexpected("it refuses values without naming any".to_owned()),
            },
            _ => unexpected(detail),
        }
    }
}

/// A text, or another in place of none.
fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Error {
        Error::from(Refusal {
            url: "http://h/",
            status,
            body: body.as_bytes(),
            challenge: None,
            request_id: None,
            location: None,
            retry_after: Some("7"),
        })
    }

    #[test]
    fn a_refused_value_may_be_nested_as_deep_as_can_be() {
        let input = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let body = format!(
            r#"{{"error":"x","detail":[{{"type":"t","loc":["body"],"msg":"m","input":{input}}}]}}"#
        );
        let Error::Validation(violations) = refusal(422, &body) else { panic!("another error") };
        assert_eq!(violations[0].input, input);
    }

    #[track_caller]
    fn check(status: u16, body: &str, message: &str) {
        assert_eq!(refusal(status, body).to_string(), message);
    }

    #[test]
    fn every_refusal_has_its_message() {
        check(
            401,
            r#"{"error":"invalid_token","error_description":"The access token …"}"#,
            "the server does not know this token: it is wrong, expired or revoked",
        );
        check(
            403,
            r#"{"error":"NotPermitted","detail":"There is no such organization."}"#,
            "this token may not do that: There is no such organization",
        );
        check(
            404,
            r#"{"error":"ResourceNotFound","detail":"Not found"}"#,
            "the server has no such thing: Not found",
        );
        check(
            422,
            r#"{"error":"RequestValidationError","detail":[
                {"type":"missing","loc":["body","comment"],"msg":"Field required","input":{}},
                {"type":"enum","loc":["body","scopes",1],"msg":"Unknown","input":7}]}"#,
            "the server refused the values: body.comment: Field required; body.scopes.1: Unknown",
        );
        check(
            503,
            r#"{"error":"ServiceUnavailable","detail":"writing stopped: no space"}"#,
            "the server cannot do this now: writing stopped: no space",
        );
        check(500, "oops", "the server failed with status 500");
        check(503, "<html>", "the server cannot do this now: it says no more");
        check(429, "", "there are too many requests; the server wants 7 s between them");
        check(
            413,
            r#"{"error":"RequestBodyTooLarge","detail":"Request body exceeded 10 bytes."}"#,
            "the request is too large: Request body exceeded 10 bytes.",
        );
    }

    #[test]
    fn what_is_no_answer_of_floe_is_said_to_be_none() {
        let odd = "the answer from http://h/ is not one of a Floe server";
        let body = "its body is not what a Floe server writes";
        check(404, "<html>", &format!("{odd} (status 404): {body}"));
        check(418, r#"{"detail":"tea"}"#, &format!("{odd} (status 418): tea"));
        let detail = "it refuses values without naming any";
        check(422, r#"{"detail":[]}"#, &format!("{odd} (status 422): {detail}"));
        check(422, "{}", &format!("{odd} (status 422): {detail}"));
    }

    #[test]
    fn a_missing_scope_is_named() {
        let challenge = r#"Bearer realm="polar", scope="a:read a:write", error="x""#;
        let error = Error::from(Refusal {
            url: "",
            status: 403,
            body: br#"{"error":"insufficient_scope","error_description":"More is needed."}"#,
            challenge: Some(challenge),
            request_id: None,
            location: None,
            retry_after: Some("7"),
        });
        let message = "this token may not do that: More is needed (needed: a:read a:write)";
        assert_eq!(error.to_string(), message);
    }
}
