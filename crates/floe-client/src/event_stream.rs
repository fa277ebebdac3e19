//! Events as they are ingested.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, Response};

use crate::client::{Client, Repeat};
use crate::error::{Error, Result};
use crate::events::{Event, Events};
use crate::filter::Filter;
use crate::wire::{Parameters, customer_setters};

const PATH: [&str; 2] = ["v1", "event-stream"];
/// The server says that it is there every 15 seconds; silence of this length means that it is not.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// A connection that held for so long was a good one: what follows is a new failure.
const GOOD_TIME: Duration = Duration::from_secs(10);
/// Bytes of one message: no event is as large.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Which events to follow: all of an organization, as they are ingested.
///
/// Only Floe has this; Polar answers [`Error::NotFound`].
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{EventCreate, EventsStream};
///
/// let of_user = EventsStream::new().name("ai_usage").external_customer_id("user-1");
/// let mut events = client.events().stream(of_user).await?;
/// client.events().ingest(&[
///     EventCreate::for_external_customer("ai_usage", "user-2"),
///     EventCreate::for_external_customer("ai_usage", "user-1"),
/// ]).await?;
/// assert_eq!(events.next().await?.external_customer_id.as_deref(), Some("user-1"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsStream {
    pub(crate) parameters: Parameters,
    after: Option<String>,
}

impl EventsStream {
    /// All that are ingested from now on.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsStream};
    ///
    /// let mut events = client.events().stream(EventsStream::new()).await?;
    /// client.events().ingest(&[EventCreate::for_external_customer("chat", "user-1")]).await?;
    /// assert_eq!(events.next().await?.name, "chat");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this organization. The root token must name one; an organization's token need not.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::{EventCreate, EventsStream, OrganizationCreate};
    ///
    /// let acme = client.organizations().create(&OrganizationCreate::new("Acme", "acme")).await?;
    /// let mut events = client.events().stream(EventsStream::new().organization(acme.id)).await?;
    /// let event = EventCreate::for_external_customer("ai_usage", "user-1").organization(acme.id);
    /// client.events().ingest(&[event]).await?;
    /// assert_eq!(events.next().await?.organization_id, acme.id);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn organization(mut self, id: uuid::Uuid) -> Self {
        self.parameters.set("organization_id", id);
        self
    }

    /// Only those that the filter lets through, as a meter's would.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsStream, Filter, FilterClause};
    ///
    /// let large = Filter::and().clause(FilterClause::greater("tokens", 100));
    /// let mut events = client.events().stream(EventsStream::new().filter(&large)).await?;
    /// client.events().ingest(&[
    ///     EventCreate::for_external_customer("ai_usage", "user-1").property("tokens", 80),
    ///     EventCreate::for_external_customer("ai_usage", "user-1").property("tokens", 120),
    /// ]).await?;
    /// assert_eq!(events.next().await?.metadata.get("tokens"), Some(&120.into()));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn filter(mut self, filter: &Filter) -> Self {
        self.parameters.set_filter(filter);
        self
    }

    /// Only those that this meter counts: what [`EventsList::meter_id`](crate::EventsList::meter_id)
    /// lists.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::{EventCreate, EventsStream};
    ///
    /// let mut events = client.events().stream(EventsStream::new().meter_id(meter.id)).await?;
    /// client.events().ingest(&[
    ///     EventCreate::for_external_customer("chat", "user-1"),
    ///     EventCreate::for_external_customer("ai_usage", "user-1").property("tokens", 80),
    /// ]).await?;
    /// assert_eq!(events.next().await?.name, "ai_usage");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn meter_id(mut self, id: uuid::Uuid) -> Self {
        self.parameters.set("meter_id", id);
        self
    }

    /// Only those of this name, or of one of those, if called more than once.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsStream};
    ///
    /// let mut events = client.events().stream(EventsStream::new().name("chat")).await?;
    /// client.events().ingest(&[
    ///     EventCreate::for_external_customer("embedding", "user-1"),
    ///     EventCreate::for_external_customer("chat", "user-1"),
    /// ]).await?;
    /// assert_eq!(events.next().await?.name, "chat");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.parameters.add("name", name.into());
        self
    }

    /// Begins behind a [place](EventStream::place) that another stream came to: what was ingested
    /// since then comes first.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsStream};
    ///
    /// let mut events = client.events().stream(EventsStream::new()).await?;
    /// client.events().ingest(&[EventCreate::for_external_customer("first", "user-1")]).await?;
    /// events.next().await?;
    /// let place = events.place().expect("an event came").to_owned();
    /// drop(events);
    ///
    /// client.events().ingest(&[EventCreate::for_external_customer("second", "user-1")]).await?;
    /// let mut events = client.events().stream(EventsStream::new().after(place)).await?;
    /// assert_eq!(events.next().await?.name, "second");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn after(mut self, place: impl Into<String>) -> Self {
        self.after = Some(place.into());
        self
    }

    customer_setters!(EventsStream, "let stream = client.events().stream(wanted).await?;");
}

impl Events<'_> {
    /// Follows events: those that are ingested from now on come, one after the other. It takes the
    /// scope `events:read` or `events:write`.
    ///
    /// A connection that breaks is made again, as often and as fast as the
    /// [rules](crate::Retries) say, and goes on after the last event that came.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsStream};
    ///
    /// let mut events = client.events().stream(EventsStream::new().name("ai_usage")).await?;
    /// client.events().ingest(&[EventCreate::for_external_customer("ai_usage", "user-1")]).await?;
    /// let event = events.next().await?;
    /// assert_eq!(event.name, "ai_usage");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`] for an unknown organization or place, and if the root token names no
    /// organization, and whatever else an [`Error`] names.
    pub async fn stream(&self, stream: EventsStream) -> Result<EventStream> {
        let EventsStream { parameters, after } = stream;
        let mut stream = EventStream {
            client: self.0.clone(),
            parameters,
            place: after,
            connection: None,
            failures: 0,
            began: Instant::now(),
        };
        stream.connect().await?;
        Ok(stream)
    }
}

/// Events as they are ingested; see [`Events::stream`].
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{EventCreate, EventStream, EventsStream};
///
/// let mut events: EventStream = client.events().stream(EventsStream::new()).await?;
/// let chat = EventCreate::for_external_customer("chat", "user-1");
/// client.events().ingest(&[chat.clone(), chat]).await?;
/// for _ in 0..2 {
///     assert_eq!(events.next().await?.name, "chat");
/// }
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    parameters: Parameters,
    /// What to go on after.
    place: Option<String>,
    connection: Option<Connection>,
    /// Failures in a row, and when the first of them was.
    failures: u32,
    began: Instant,
}

#[derive(Debug)]
struct Connection {
    response: Response,
    since: Instant,
    /// The beginning of a message.
    rest: BytesMut,
}

impl EventStream {
    /// The next event, once there is one. To drop the future loses none.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use std::time::Duration;
    /// use floe_client::{EventCreate, EventsStream};
    ///
    /// let mut events = client.events().stream(EventsStream::new()).await?;
    /// client.events().ingest(&[EventCreate::for_external_customer("chat", "user-1")]).await?;
    /// // Without an event it waits for ever, so one may want to wait no longer than this.
    /// let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await??;
    /// assert_eq!(event.name, "chat");
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// What ended the last try to connect, once there were as many as the [rules](crate::Retries)
    /// allow; [`Error::Unauthorized`] if the token was revoked. The next call tries again, after
    /// the last event that came.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            self.connect().await?;
            match self.message().await {
                Ok(Some(event)) => {
                    self.failures = 0;
                    return Ok(event);
                }
                Ok(None) => {}
                Err(error) => self.lost(error).await?,
            }
        }
    }

    /// Connects, unless it is connected. [`next`](Self::next) does it by itself; this tells when
    /// the server is there before an event comes.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::EventsStream;
    ///
    /// let mut events = client.events().stream(EventsStream::new()).await?;
    /// // It is connected already.
    /// events.connect().await?;
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// As those of [`next`](Self::next).
    pub async fn connect(&mut self) -> Result<()> {
        while self.connection.is_none() {
            let mut request = self
                .client
                .request(Method::GET, &PATH, self.parameters.pairs())
                .header(ACCEPT, HeaderValue::from_static("text/event-stream"));
            if let Some(place) = &self.place {
                request = request.header("Last-Event-ID", place);
            }
            match self.client.open(request).await {
                Ok(response) => {
                    let since = Instant::now();
                    self.connection = Some(Connection { response, since, rest: BytesMut::new() });
                }
                Err(error) => self.lost(error).await?,
            }
        }
        Ok(())
    }

    /// Up to where events came: what [`EventsStream::after`] takes, also in another process. `None`
    /// before the server answered.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsStream};
    ///
    /// let mut events = client.events().stream(EventsStream::new()).await?;
    /// assert_eq!(events.place(), None);
    /// client.events().ingest(&[EventCreate::for_external_customer("chat", "user-1")]).await?;
    /// let event = events.next().await?;
    /// assert_eq!(events.place(), Some(event.id.to_string().as_str()));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Waits until the next try to connect; or tells the error, if there is none for now.
    async fn lost(&mut self, error: Error) -> Result<()> {
        let connection = self.connection.take();
        if self.failures == 0 || connection.is_some_and(|of| of.since.elapsed() >= GOOD_TIME) {
            (self.failures, self.began) = (0, Instant::now());
        }
        self.failures += 1;
        let retries = self.client.retries();
        match retries.wait(&error, Repeat::Always, self.failures, self.began) {
            Some(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => {
                self.failures = 0;
                Err(error)
            }
        }
    }

    /// The next message; `None` if it is no event.
    async fn message(&mut self) -> Result<Option<Event>> {
        let unexpected = |detail: String| {
            let url = self.client.url().to_owned();
            Error::Unexpected { url, status: 200, detail }
        };
        let Some(Connection { response, rest, .. }) = &mut self.connection else {
            return Ok(None);
        };
        let end = loop {
            if let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") {
                break end;
            }
            if rest.len() > MESSAGE_BYTES_MAX {
                return Err(unexpected("a message has no end".to_owned()));
            }
            let time = SILENCE_MAX.max(self.client.timeout());
            match self.client.part_within(time, response).await? {
                Some(part) => rest.extend_from_slice(&part),
                None => {
                    let url = self.client.url().to_owned();
                    return Err(Error::Transport { url, source: "the server ended it".into() });
                }
            }
        };
        let message = rest.split_to(end + 2);
        let (mut id, mut data) = (None, Vec::new());
        for line in message[..].split(|&byte| byte == b'\n') {
            let value = |name: &[u8]| -> Option<&[u8]> {
                line.strip_prefix(name).map(|value| value.strip_prefix(b" ").unwrap_or(value))
            };
            if let Some(value) = value(b"id:") {
                id = Some(String::from_utf8_lossy(value).into_owned());
            } else if let Some(value) = value(b"data:") {
                data.extend_from_slice(value);
            }
        }
        let event = if data.is_empty() {
            None
        } else {
            let event = serde_json::from_slice(&data);
            Some(event.map_err(|error| unexpected(format!("a message is no event: {error}")))?)
        };
        // What cannot be read is not asked for again either.
        self.place = id.or(self.place.take());
        Ok(event)
    }
}
