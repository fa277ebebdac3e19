//! The way to a server.

#[cfg(feature = "tls")]
mod tls;
mod url;

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::customer_meters::CustomerMeters;
use crate::customers::Customers;
use crate::error::{Error, Refusal, Result};
use crate::event_types::EventTypes;
use crate::events::Events;
use crate::meters::Meters;
use crate::organizations::Organizations;
use crate::page::{PAGE_ITEMS_MAX, Page};
use crate::retries::Retries;
use crate::system::System;
use crate::tokens::Tokens;
use crate::wire::{Parameter, Parameters};

/// The address of a server that says nothing else: where Floe listens by default.
///
/// ```
/// use floe_client::{Client, DEFAULT_URL};
///
/// let client = Client::new(DEFAULT_URL, "floe_oat_0123")?;
/// assert_eq!(client.url(), "http://127.0.0.1:7070");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const DEFAULT_URL: &str = "http://127.0.0.1:7070";

/// Time to connect.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Time for one call, from connecting to the last byte of the answer, unless
/// [`Client::with_timeout`] says otherwise.
///
/// ```
/// use floe_client::{Client, REQUEST_TIME_MAX};
///
/// let patient = Client::new("http://127.0.0.1:7070", "floe_oat_0123")?
///     .with_timeout(10 * REQUEST_TIME_MAX);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// When a call may be made again although the server may have seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Always: it changes nothing, or nothing twice.
    Always,
    /// Never: only if it was not sent.
    Unsent,
}

/// A client of one server, with one token. Clones share their connections.
///
/// It needs a tokio runtime, and heeds the proxies that the environment names, if the server is
/// not on this machine. `Debug` prints nothing of the token.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let (url, token) = (client.url(), floe_client_doc::new_token(&client).await?);
/// use std::time::Duration;
/// use floe_client::{Client, MetersList};
///
/// let client = Client::new(url, token)?.with_timeout(Duration::from_secs(5));
/// assert_eq!(client.meters().list(&MetersList::new()).await?.items, []);
/// # Ok(())
/// # });
/// ```
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Without a slash at the end, as messages show it.
    url: String,
    base: Url,
    timeout: Duration,
    retries: Retries,
}

/// An answer that is a success.
pub(crate) struct Answer {
    status: u16,
    body: Bytes,
}

/// What became of a call, after all tries.
pub(crate) struct Outcome<T> {
    pub(crate) result: Result<T>,
    /// Whether the last try was not the first that may have reached the server.
    pub(crate) is_repeated: bool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server at an address such as `http://127.0.0.1:7070`. The address may have
    /// a path, for a server below one. Nothing is sent yet.
    ///
    /// ```
    /// use floe_client::{Client, Error};
    ///
    /// let below_a_path = Client::new("http://tools.example/floe", "floe_oat_0123");
    /// assert!(below_a_path.is_ok());
    /// let no_scheme = Client::new("tools.example", "floe_oat_0123");
    /// assert!(matches!(no_scheme, Err(Error::InvalidUrl { .. })));
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUrl`], [`Error::InvalidToken`], and [`Error::Setup`] if the system has no
    /// certificates and the address wants some.
    pub fn new(base_url: impl AsRef<str>, token: impl AsRef<str>) -> Result<Self> {
        let base = url::parse(base_url.as_ref())?;
        let token = token.as_ref();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::InvalidToken);
        }
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Error::InvalidToken)?;
        bearer.set_sensitive(true);
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer), (ACCEPT, json)]);
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("floe-client/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none());
        if url::is_this_machine(&base) {
            http = http.no_proxy();
        }
        #[cfg(feature = "tls")]
        {
            http = http.tls_backend_preconfigured(tls::config(base.scheme() == "https")?);
        }
        let http = http.build().map_err(|error| Error::Setup(error.into()))?;
        let url = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, url, base, timeout: REQUEST_TIME_MAX, retries: Retries::new() })
    }

    /// A client of the server that the environment names: its address in `FLOE_URL`, or
    /// [`DEFAULT_URL`], and a token in `FLOE_TOKEN`. A variable that is empty counts as not set.
    ///
    /// ```
    /// # floe_client_doc::run_with_environment(async || {
    /// let client = floe_client::Client::from_env()?;
    /// # client.event_types().list(&floe_client::EventTypesList::new()).await?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::MissingToken`] without `FLOE_TOKEN`, and those of [`Client::new`].
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let url = variable("FLOE_URL").unwrap_or_else(|| DEFAULT_URL.to_owned());
        Self::new(url, variable("FLOE_TOKEN").ok_or(Error::MissingToken)?)
    }

    /// The server's address, without a slash at the end.
    ///
    /// ```
    /// # fn main() -> Result<(), floe_client::Error> {
    /// let client = floe_client::Client::new("http://127.0.0.1:7070/", "floe_oat_0123")?;
    /// assert_eq!(client.url(), "http://127.0.0.1:7070");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same client with another limit on the time of one call.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use std::time::Duration;
    /// use floe_client::MetersList;
    ///
    /// let patient = client.with_timeout(Duration::from_secs(300));
    /// assert_eq!(patient.meters().list(&MetersList::new()).await?.items, []);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same client with other rules for calls that failed.
    ///
    /// ```
    /// use floe_client::{Client, Retries};
    ///
    /// # fn main() -> Result<(), floe_client::Error> {
    /// let client = Client::new("http://127.0.0.1:7070", "floe_oat_0123")?
    ///     .with_retries(Retries::none());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// Meters, and what they counted.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// assert_eq!(client.meters().get(meter.id).await?.name, "Tokens");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn meters(&self) -> Meters<'_> {
        Meters(self)
    }

    /// Events.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::EventCreate;
    ///
    /// let event = EventCreate::for_external_customer("ai_usage", "user-1");
    /// assert_eq!(client.events().ingest(&[event]).await?.inserted, 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn events(&self) -> Events<'_> {
        Events(self)
    }

    /// Event types: what people call events.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// let list = floe_client::EventTypesList::new();
    /// assert_eq!(client.event_types().list(&list).await?.items[0].label, "ai_usage");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn event_types(&self) -> EventTypes<'_> {
        EventTypes(self)
    }

    /// Customers.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// assert_eq!(client.customers().get_external("user-1").await?, ada);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn customers(&self) -> Customers<'_> {
        Customers(self)
    }

    /// What each customer consumed of each meter, and what it was credited.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let customer_meter = floe_client_doc::customer_meter(&client).await?;
    /// let found = client.customer_meters().get(customer_meter.id).await?;
    /// assert_eq!(found.consumed_units, 120.0);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn customer_meters(&self) -> CustomerMeters<'_> {
        CustomerMeters(self)
    }

    /// Organizations.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// let list = floe_client::OrganizationsList::new();
    /// assert_eq!(client.organizations().list(&list).await?.items[0].slug, "default");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn organizations(&self) -> Organizations<'_> {
        Organizations(self)
    }

    /// Organizations' access tokens.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// let list = floe_client::TokensList::new();
    /// assert_eq!(client.tokens().list(&list).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens(self)
    }

    /// The server itself.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// assert_eq!(client.system().storage().await?.events, Some(0));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn system(&self) -> System<'_> {
        System(self)
    }

    pub(crate) fn retries(&self) -> &Retries {
        &self.retries
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Asks for something. Segments of the path are encoded as needed.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[Parameter],
    ) -> Result<T> {
        let outcome = self.perform(|| self.request(Method::GET, path, query), Repeat::Always);
        self.read(outcome.await.result?)
    }

    /// Asks for a page: as large as may be, and sorted by this, unless the parameters say
    /// otherwise.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        parameters: &Parameters,
        sorting: Option<&'static str>,
    ) -> Result<Page<T>> {
        let mut parameters = parameters.clone();
        if let Some(sorting) = sorting.filter(|_| !parameters.has("sorting")) {
            parameters.add("sorting", sorting);
        }
        if !parameters.has("limit") {
            parameters.add("limit", PAGE_ITEMS_MAX);
        }
        self.get(path, parameters.pairs()).await
    }

    /// Sends a body and reads the answer.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
        repeat: Repeat,
    ) -> Result<T> {
        self.call_told(method, path, body, repeat).await?.result
    }

    /// As [`call`](Self::call), and tells whether there was more than one try.
    pub(crate) async fn call_told<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
        repeat: Repeat,
    ) -> Result<Outcome<T>> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Serialize(error.into()))?;
        Ok(self.call_bytes(method, path, body.into(), repeat).await)
    }

    /// Sends a body that is JSON already, and reads the answer.
    pub(crate) async fn call_bytes<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Bytes,
        repeat: Repeat,
    ) -> Outcome<T> {
        let request = || {
            self.request(method.clone(), path, &[])
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.clone())
        };
        let Outcome { result, is_repeated } = self.perform(request, repeat).await;
        Outcome { result: result.and_then(|answer| self.read(answer)), is_repeated }
    }

    /// Deletes something.
    pub(crate) async fn delete(&self, path: &[&str], query: &[Parameter]) -> Result<()> {
        let outcome = self.perform(|| self.request(Method::DELETE, path, query), Repeat::Unsent);
        outcome.await.result.map(drop)
    }

    /// What an answer says.
    pub(crate) fn read<T: DeserializeOwned>(&self, Answer { status, body }: Answer) -> Result<T> {
        serde_json::from_slice(&body).map_err(|error| Error::Unexpected {
            url: self.url.clone(),
            status,
            detail: format!("its body is not what was asked for: {error}"),
        })
    }

    pub(crate) fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[Parameter],
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // Cannot fail: an address that cannot have segments was refused.
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query.iter());
        }
        self.http.request(method, url).timeout(self.timeout)
    }

    /// Tries, and tries again as the rules say.
    async fn perform(
        &self,
        request: impl Fn() -> RequestBuilder,
        repeat: Repeat,
    ) -> Outcome<Answer> {
        let began = Instant::now();
        let mut failures = 0;
        let mut is_repeated = false;
        loop {
            let error = match self.execute(request()).await {
                Ok(answer) => return Outcome { result: Ok(answer), is_repeated },
                Err(error) => error,
            };
            failures += 1;
            let Some(wait) = self.retries.wait(&error, repeat, failures, began) else {
                return Outcome { result: Err(error), is_repeated };
            };
            is_repeated |= !matches!(error, Error::Connect { .. });
            tokio::time::sleep(wait).await;
        }
    }

    /// The whole answer, if it is a success.
    pub(crate) async fn execute(&self, request: RequestBuilder) -> Result<Answer> {
        let response = self.head(request).await?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| self.transport(error))?;
        Ok(Answer { status, body })
    }

    /// The head of an answer that is a success, with the body still to come.
    async fn head(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| self.transport(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let body = response.bytes().await.map_err(|error| self.transport(error))?;
        Err(Error::from(Refusal {
            url: &self.url,
            status,
            body: &body,
            challenge: header(WWW_AUTHENTICATE.as_str()),
            request_id: header("x-request-id"),
            location: header(LOCATION.as_str()),
            retry_after: header(RETRY_AFTER.as_str()),
        }))
    }

    /// Asks for something that may come for longer than a call may take: the time-out is for the
    /// head, and for each [`part`](Self::part).
    pub(crate) async fn stream(&self, path: &[&str], query: &[Parameter]) -> Result<Response> {
        self.open(self.request(Method::GET, path, query)).await
    }

    /// As [`stream`](Self::stream), of a request that is made already.
    pub(crate) async fn open(&self, request: RequestBuilder) -> Result<Response> {
        let head = self.head(request.timeout(Duration::MAX));
        match tokio::time::timeout(self.timeout, head).await {
            Ok(response) => response,
            Err(_) => Err(Error::Timeout { url: self.url.clone() }),
        }
    }

    /// The next part of a body.
    pub(crate) async fn part(&self, response: &mut Response) -> Result<Option<Bytes>> {
        self.part_within(self.timeout, response).await
    }

    /// The next part of a body, if it comes within this time.
    pub(crate) async fn part_within(
        &self,
        time: Duration,
        response: &mut Response,
    ) -> Result<Option<Bytes>> {
        match tokio::time::timeout(time, response.chunk()).await {
            Ok(part) => part.map_err(|error| self.transport(error)),
            Err(_) => Err(Error::Timeout { url: self.url.clone() }),
        }
    }

    fn transport(&self, error: reqwest::Error) -> Error {
        let url = self.url.clone();
        // The address is told by our own message.
        let error = error.without_url();
        if error.is_connect() {
            Error::Connect { url, source: error.into() }
        } else if error.is_timeout() {
            Error::Timeout { url }
        } else {
            Error::Transport { url, source: error.into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked() {
        let check = |url: &str, reason: &str| {
            let error = Client::new(url, "t").unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        };
        check("127.0.0.1:7070", "no address of a server");
        check("localhost:7070", "it must begin with http:// or https://");
        check("ftp://h", "it must begin with http:// or https://");
        check("http://h?q", "it must end with the path");
        check("http://u:secret@h", "it must hold no user or password");
        let error = Client::new("http://u:secret@h", "t").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn a_token_is_checked_and_not_shown() {
        for token in ["", "a b", "a\nb", "é"] {
            assert!(matches!(Client::new("http://h", token), Err(Error::InvalidToken)));
        }
        let client = Client::new("http://h", "secret").unwrap();
        assert!(!format!("{client:?}").contains("secret"));
    }

    #[test]
    fn a_path_and_a_query_are_joined_to_the_address() {
        let check = |base: &str, expected: &str| {
            let client = Client::new(base, "t").unwrap();
            let query = [("slug".into(), "a b&c".to_owned())];
            let request = client.request(Method::GET, &["v1", "a/b", ""], &query).build().unwrap();
            assert_eq!(request.url().as_str(), expected);
        };
        check("http://h", "http://h/v1/a%2Fb/?slug=a+b%26c");
        check("http://h:7070/", "http://h:7070/v1/a%2Fb/?slug=a+b%26c");
        check("http://h/below/", "http://h/below/v1/a%2Fb/?slug=a+b%26c");
    }
}
