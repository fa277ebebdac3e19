//! What goes wrong, as a caller can act on it.

use std::fmt;

use serde::Deserialize;

/// Result of a call to a server.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no answer, or not the one that was asked for.
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
    #[error("this token may not do that: {detail}")]
    Forbidden {
        /// The server's words, and the scopes of which one would do.
        detail: String,
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
    /// The server has too much to do, or cannot write. Nothing is known to have been done.
    #[error("the server cannot do this now: {detail}")]
    Unavailable {
        /// The server's words.
        detail: String,
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
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One value that a server refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Violation {
    /// Where the value stands: first `body`, `query` or `path`, then keys and positions.
    pub loc: Vec<LocPart>,
    /// What is wrong with it, for people.
    pub msg: String,
    /// What is wrong with it, for machines, such as `missing` or `value_error`.
    #[serde(rename = "type")]
    pub kind: String,
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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

fn request(id: &Option<String>) -> String {
    id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default()
}

/// The body of an answer that is not a success.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    error: Option<String>,
    error_description: Option<String>,
    detail: serde_json::Value,
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
}

impl From<Refusal<'_>> for Error {
    fn from(refusal: Refusal<'_>) -> Self {
        let Refusal { url, status, body, challenge, request_id, location } = refusal;
        let parsed: Option<Body> = serde_json::from_slice(body).ok();
        let unexpected = |detail: String| Self::Unexpected { url: url.to_owned(), status, detail };
        if (500..600).contains(&status) && status != 503 {
            return Self::Server { status, request_id: request_id.map(str::to_owned) };
        }
        let Some(body) = parsed else {
            return unexpected(match location {
                Some(location) => format!("it points to {location}"),
                None => "its body is not what a Floe server writes".to_owned(),
            });
        };
        let detail = match (&body.detail, body.error_description) {
            (serde_json::Value::String(detail), _) => detail.clone(),
            (_, Some(description)) => description,
            _ => body.error.unwrap_or_default(),
        };
        match status {
            401 => Self::Unauthorized,
            403 => {
                let scopes = challenge
                    .and_then(|text| text.split_once(r#"scope=""#))
                    .and_then(|(_, rest)| rest.split_once('"'))
                    .map(|(scopes, _)| scopes)
                    .filter(|scopes| !scopes.is_empty());
                let detail = detail.trim_end_matches('.');
                let detail = match scopes {
                    Some(scopes) => format!("{detail} (needed: {scopes})"),
                    None => detail.to_owned(),
                };
                Self::Forbidden { detail }
            }
            404 => Self::NotFound { detail },
            422 => match serde_json::from_value::<Vec<Violation>>(body.detail) {
                Ok(violations) if !violations.is_empty() => Self::Validation(violations),
                _ => unexpected("it refuses values without naming any".to_owned()),
            },
            503 => Self::Unavailable { detail },
            _ => unexpected(detail),
        }
    }
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
        })
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
        });
        let message = "this token may not do that: More is needed (needed: a:read a:write)";
        assert_eq!(error.to_string(), message);
    }
}
