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
/// use floe_client::EventsExport;
///
/// let march = EventsExport::new()
///     .start("2026-03-01T00:00:00Z".parse()?)
///     .end("2026-04-01T00:00:00Z".parse()?)
///     .name("ai_usage")
///     .external_customer_id("user-1");
/// # Ok::<(), floe_client::InvalidTimestamp>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsExport {
    pub(crate) parameters: Parameters,
}

impl EventsExport {
    /// All.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this organization. The root token must name one; an organization's token need not.
    #[must_use]
    pub fn organization(mut self, id: uuid::Uuid) -> Self {
        self.parameters.set("organization_id", id);
        self
    }

    /// Only those that happened at this or after it.
    #[must_use]
    pub fn start(mut self, start: Timestamp) -> Self {
        self.parameters.set("start_timestamp", start);
        self
    }

    /// Only those that happened before this, not at it: exports of times that follow one another
    /// have no event twice.
    #[must_use]
    pub fn end(mut self, end: Timestamp) -> Self {
        self.parameters.set("end_timestamp", end);
        self
    }

    /// Only those that the filter lets through, as a meter's would.
    #[must_use]
    pub fn filter(mut self, filter: &Filter) -> Self {
        // A filter is always JSON: it consists of texts, numbers and truth values.
        self.parameters.set("filter", serde_json::to_string(filter).unwrap_or_default());
        self
    }

    /// Only those that this meter counts.
    #[must_use]
    pub fn meter_id(mut self, id: uuid::Uuid) -> Self {
        self.parameters.set("meter_id", id);
        self
    }

    /// Only those of this name, or of one of those, if called more than once.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.parameters.add("name", name.into());
        self
    }

    customer_setters!(
        EventsExport,
        "let mut export = client.events().export(&list).await?;\nassert!(export.next().await?.is_some());"
    );
    metadata_setter!(
        EventsExport,
        r#""model", "small""#,
        "let mut export = client.events().export(&list).await?;\nassert!(export.next().await?.is_some());"
    );
}

impl Events<'_> {
    /// Exports events. It takes the scope `events:read` or `events:write`.
    ///
    /// What comes is JSON, an event a line, as ingestion takes it. There are as many as were
    /// acknowledged when the call was made, however long it takes; the timeout of the client is for
    /// each part, not for the whole. Nothing is sent again if the connection breaks.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::io::Write as _;
    /// use floe_client::EventsExport;
    ///
    /// let mut file = std::fs::File::create("events.ndjson")?;
    /// let mut export = client.events().export(&EventsExport::new()).await?;
    /// while let Some(lines) = export.next().await? {
    ///     file.write_all(&lines)?;
    /// }
    /// # Ok(())
    /// # }
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
    /// ```no_run
    /// # async fn example(
    /// #     mut export: floe_client::ExportedEvents,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// while let Some(lines) = export.next().await? {
    ///     for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
    ///         let event: serde_json::Value = serde_json::from_slice(line)?;
    ///         println!("{}", event["name"]);
    ///     }
    /// }
    /// # Ok(())
    /// # }
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
