//! All events of an organization, line by line.

use bytes::{Bytes, BytesMut};
use reqwest::Response;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::filter::Filter;
use crate::timestamp::Timestamp;
use crate::wire::{Parameters, customer_setters, metadata_setter};

const PATH: [&str; 3] = ["v1", "events", "export"];

/// Which events to export: all that customers caused, in the order in which they were ingested.
///
/// Only Floe has this; Polar answers [`Error::NotFound`].
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::EventsExport;
///
/// let march = EventsExport::new()
///     .start("2026-03-01T00:00:00Z".parse()?)
///     .end("2026-04-01T00:00:00Z".parse()?)
///     .name("ai_usage")
///     .external_customer_id("user-1");
/// let mut export = client.events().export(&march).await?;
/// let lines = export.next().await?.expect("there is an event");
/// assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsExport {
    pub(crate) parameters: Parameters,
}

impl EventsExport {
    /// All.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsExport;
    ///
    /// let mut export = client.events().export(&EventsExport::new()).await?;
    /// assert!(export.next().await?.is_some());
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
    /// use floe_client::{EventsExport, OrganizationCreate};
    ///
    /// let acme = client.organizations().create(&OrganizationCreate::new("Acme", "acme")).await?;
    /// let export = EventsExport::new().organization(acme.id);
    /// assert_eq!(client.events().export(&export).await?.next().await?, None);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn organization(mut self, id: uuid::Uuid) -> Self {
        self.parameters.set("organization_id", id);
        self
    }

    /// Only those that happened at this or after it.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsExport;
    ///
    /// let export = EventsExport::new().start("2026-03-02T12:00:00Z".parse()?);
    /// assert!(client.events().export(&export).await?.next().await?.is_some());
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn start(mut self, start: Timestamp) -> Self {
        self.parameters.set("start_timestamp", start);
        self
    }

    /// Only those that happened before this, not at it: exports of times that follow one another
    /// have no event twice.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsExport;
    ///
    /// let export = EventsExport::new().end("2026-03-01T12:00:00Z".parse()?);
    /// assert_eq!(client.events().export(&export).await?.next().await?, None);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn end(mut self, end: Timestamp) -> Self {
        self.parameters.set("end_timestamp", end);
        self
    }

    /// Only those that the filter lets through, as a meter's would.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventsExport, Filter, FilterClause};
    ///
    /// let huge = Filter::and().clause(FilterClause::greater("tokens", 1000));
    /// let export = EventsExport::new().filter(&huge);
    /// assert_eq!(client.events().export(&export).await?.next().await?, None);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn filter(mut self, filter: &Filter) -> Self {
        self.parameters.set_filter(filter);
        self
    }

    /// Only those that this meter counts.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::EventsExport;
    ///
    /// let export = EventsExport::new().meter_id(meter.id);
    /// assert!(client.events().export(&export).await?.next().await?.is_some());
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
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsExport;
    ///
    /// let export = EventsExport::new().name("ai_usage").name("embedding");
    /// assert!(client.events().export(&export).await?.next().await?.is_some());
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.parameters.add("name", name.into());
        self
    }

    customer_setters!(
        EventsExport,
        "let mut export = client.events().export(&wanted).await?;\nassert!(export.next().await?.is_some());"
    );
    metadata_setter!(
        EventsExport,
        r#""model", "small""#,
        "let mut export = client.events().export(&wanted).await?;\nassert!(export.next().await?.is_some());"
    );
}

impl Events<'_> {
    /// Exports events. It takes the scope `events:read` or `events:write`.
    ///
    /// What comes is JSON, an event a line, as ingestion takes it. There are as many as were
    /// acknowledged when the call was made, however long it takes; the timeout of the client is for
    /// each part, not for the whole. Nothing is sent again if the connection breaks.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// # let folder = floe_client_doc::tempfile::tempdir()?;
    /// # let path = folder.path().join("events.ndjson");
    /// use std::io::Write as _;
    /// use floe_client::EventsExport;
    ///
    /// let mut file = std::fs::File::create(&path)?;
    /// let mut export = client.events().export(&EventsExport::new()).await?;
    /// while let Some(lines) = export.next().await? {
    ///     file.write_all(&lines)?;
    /// }
    /// assert_eq!(std::fs::read_to_string(&path)?.lines().count(), 2);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`] for parameters out of bounds, an unknown meter or organization, and
    /// if the root token names none, and whatever else an [`Error`] names.
    pub async fn export(&self, export: &EventsExport) -> Result<ExportedEvents> {
        let response = self.0.stream(&PATH, export.parameters.pairs()).await?;
        Ok(ExportedEvents { client: self.0.clone(), response, rest: BytesMut::new() })
    }
}

/// Events on their way; see [`Events::export`].
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::{EventsExport, ExportedEvents};
///
/// let mut export: ExportedEvents = client.events().export(&EventsExport::new()).await?;
/// let mut bytes = 0;
/// while let Some(lines) = export.next().await? {
///     bytes += lines.len();
/// }
/// assert!(bytes > 0);
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct ExportedEvents {
    client: Client,
    response: Response,
    /// The beginning of a line.
    rest: BytesMut,
}

impl ExportedEvents {
    /// The next lines, whole ones; `None` after the last.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventCreate, EventsExport};
    ///
    /// let mut export = client.events().export(&EventsExport::new()).await?;
    /// let mut events: Vec<EventCreate> = Vec::new();
    /// while let Some(lines) = export.next().await? {
    ///     for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
    ///         events.push(serde_json::from_slice(line)?);
    ///     }
    /// }
    /// // They have their external ids: to ingest them again changes nothing.
    /// assert_eq!(client.events().ingest(&events).await?.duplicates, 2);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Transport`] if the connection broke: then there are more events than came.
    /// [`Error::Timeout`] if nothing came for the client's timeout.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let part = self.client.part(&mut self.response).await?;
            let Some(part) = part else {
                if self.rest.is_empty() {
                    return Ok(None);
                }
                return Err(Error::Unexpected {
                    url: self.client.url().to_owned(),
                    status: self.response.status().as_u16(),
                    detail: "its last line has no end".to_owned(),
                });
            };
            self.rest.extend_from_slice(&part);
            if let Some(last) = self.rest.iter().rposition(|&byte| byte == b'\n') {
                return Ok(Some(self.rest.split_to(last + 1).freeze()));
            }
        }
    }
}
