//! Event types: the names of ingested events, and what people call them.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::client::{Client, Repeat};
use crate::error::Result;
use crate::events::EventSource;
use crate::page::Page;
use crate::stream::Items;
use crate::timestamp::Timestamp;
use crate::wire::{
    Parameters, customer_setters, item, organization_setter, paging_setters, sorting_setters,
    wire_names,
};

const PATH: [&str; 3] = ["v1", "event-types", ""];

wire_names! {
    /// What lists of event types can be sorted by.
    ///
    /// ```
    /// use floe_client::{EventTypeSort, EventTypesList};
    ///
    /// let by_label = EventTypesList::new().ascending(EventTypeSort::Label);
    /// ```
    pub enum EventTypeSort {
        /// The name.
        Name = "name",
        /// The label.
        Label = "label",
        /// How many events there are of it.
        Occurrences = "occurrences",
        /// When the first of them happened.
        FirstSeen = "first_seen",
        /// When the last of them happened.
        LastSeen = "last_seen",
    }
}

/// An event type. It comes to be as the first event of its name is ingested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventType {
    /// Its id.
    pub id: Uuid,
    /// When it came to be.
    pub created_at: Timestamp,
    /// When it was last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// The events' name.
    pub name: String,
    /// What people call it; the name, unless it was changed.
    pub label: String,
    /// The property of an event that is its own label, for those who show it.
    pub label_property_selector: Option<String>,
    /// Whose event type it is.
    pub organization_id: Uuid,
}

/// An event type, and how often it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventTypeWithStats {
    /// Its id; `None` if it is the server's own.
    pub id: Option<Uuid>,
    /// When it came to be; `None` if it is the server's own.
    pub created_at: Option<Timestamp>,
    /// When it was last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// The events' name.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// The property of an event that is its own label, for those who show it.
    pub label_property_selector: Option<String>,
    /// Whose event type it is.
    pub organization_id: Uuid,
    /// Who made the events.
    pub source: EventSource,
    /// How many there are.
    pub occurrences: u64,
    /// When the first of them happened.
    pub first_seen: Timestamp,
    /// When the last of them happened.
    pub last_seen: Timestamp,
}

/// What is to change about an event type. Unlike with other updates, a
/// [selector](Self::label_property_selector) that is not named is cleared.
///
/// ```
/// use floe_client::EventTypeUpdate;
///
/// let update = EventTypeUpdate::new("Completion").label_property_selector("model");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventTypeUpdate {
    label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_property_selector: Option<String>,
}

impl EventTypeUpdate {
    /// What people call it: 1 to 128 characters, not all blank.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), label_property_selector: None }
    }

    /// The property of an event that is its own label, for those who show it: 1 to 256 characters.
    #[must_use]
    pub fn label_property_selector(mut self, property: impl Into<String>) -> Self {
        self.label_property_selector = Some(property.into());
        self
    }
}

/// Which event types to list: all that the caller may see, those last seen first, the first hundred
/// of them.
///
/// ```
/// use floe_client::{EventSource, EventTypesList};
///
/// let ingested = EventTypesList::new().source(EventSource::User).query("completion");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventTypesList {
    pub(crate) parameters: Parameters,
}

impl EventTypesList {
    /// All, on pages as large as may be.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those with this text in their names or labels, whatever the case.
    #[must_use]
    pub fn query(mut self, text: impl Into<String>) -> Self {
        self.parameters.set("query", text.into());
        self
    }

    /// Only those of events without a parent, and only such events are told of; or all.
    #[must_use]
    pub fn root_events(mut self, only_roots: bool) -> Self {
        self.parameters.set("root_events", only_roots);
        self
    }

    /// Only those of this event's children, and only they are told of.
    #[must_use]
    pub fn parent_id(mut self, id: Uuid) -> Self {
        self.parameters.set("parent_id", id);
        self
    }

    /// Only those of events that were made by this one.
    #[must_use]
    pub fn source(mut self, source: EventSource) -> Self {
        self.parameters.set("source", source);
        self
    }

    organization_setter!(EventTypesList, "event_types().list(&list)");
    customer_setters!(
        EventTypesList,
        "assert_eq!(client.event_types().list(&list).await?.items.len(), 1);"
    );
    sorting_setters!(
        EventTypeSort::Occurrences,
        "occurrences",
        EventTypesList,
        "event_types().list(&list)"
    );
    paging_setters!(EventTypesList, "event_types().list(&list)");
}

/// The event types of a server; see [`Client::event_types`].
///
/// ```
/// # fn example(client: &floe_client::Client) {
/// let event_types: floe_client::EventTypes<'_> = client.event_types();
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct EventTypes<'c>(pub(crate) &'c Client);

impl EventTypes<'_> {
    /// Lists event types. It takes the scope `events:read` or `events:write`.
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::EventTypesList;
    ///
    /// for found in client.event_types().list(&EventTypesList::new()).await?.items {
    ///     println!("{} {}", found.label, found.occurrences);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`](crate::Error).
    pub async fn list(&self, list: &EventTypesList) -> Result<Page<EventTypeWithStats>> {
        self.0.list(&PATH, &list.parameters, None).await
    }

    /// All event types of a list, by name unless it is sorted otherwise, page by page; see [`list`](Self::list).
    ///
    /// ```no_run
    /// # async fn example(client: floe_client::Client) -> floe_client::Result<()> {
    /// use floe_client::EventTypesList;
    ///
    /// let mut all = client.event_types().list_all(&EventTypesList::new());
    /// while let Some(found) = all.next().await {
    ///     println!("{:?}", found?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn list_all(&self, list: &EventTypesList) -> Items<EventTypeWithStats> {
        Items::new(self.0, &PATH, &list.parameters, Some("name"))
    }

    /// Changes what people call an event type. It takes the scope `events:write`.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: floe_client::Client,
    /// #     id: floe_client::Uuid,
    /// # ) -> floe_client::Result<()> {
    /// use floe_client::EventTypeUpdate;
    ///
    /// client.event_types().update(id, &EventTypeUpdate::new("Completion")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such event type,
    /// [`Error::Validation`](crate::Error::Validation) for a label out of bounds, and whatever
    /// else an [`Error`](crate::Error) names.
    pub async fn update(&self, id: Uuid, update: &EventTypeUpdate) -> Result<EventType> {
        self.0.call(Method::PATCH, &item(PATH, &id.to_string()), update, Repeat::Unsent).await
    }
}
