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
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventTypeSort, EventTypesList};
    ///
    /// let by_label = EventTypesList::new().ascending(EventTypeSort::Label);
    /// assert_eq!(client.event_types().list(&by_label).await?.items[0].label, "ai_usage");
    /// # Ok(())
    /// # });
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
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// # let list = floe_client::EventTypesList::new();
/// # let id = client.event_types().list(&list).await?.items[0].id.expect("it is a caller's");
/// use floe_client::EventTypeUpdate;
///
/// let update = EventTypeUpdate::new("AI usage");
/// let event_type = client.event_types().update(id, &update).await?;
/// assert_eq!((event_type.name.as_str(), event_type.label.as_str()), ("ai_usage", "AI usage"));
/// # Ok(())
/// # });
/// ```
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
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::{EventSource, EventTypesList};
///
/// let found = &client.event_types().list(&EventTypesList::new()).await?.items[0];
/// assert_eq!((found.source, found.occurrences), (EventSource::User, 2));
/// assert_eq!(found.first_seen, "2026-03-01T12:00:00Z".parse()?);
/// assert_eq!(found.last_seen, "2026-03-02T12:00:00Z".parse()?);
/// # Ok(())
/// # });
/// ```
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
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// # let list = floe_client::EventTypesList::new();
/// # let id = client.event_types().list(&list).await?.items[0].id.expect("it is a caller's");
/// use floe_client::EventTypeUpdate;
///
/// let update = EventTypeUpdate::new("AI usage").label_property_selector("model");
/// let event_type = client.event_types().update(id, &update).await?;
/// assert_eq!(event_type.label_property_selector.as_deref(), Some("model"));
///
/// let event_type = client.event_types().update(id, &EventTypeUpdate::new("AI usage")).await?;
/// assert_eq!(event_type.label_property_selector, None);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventTypeUpdate {
    label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_property_selector: Option<String>,
}

impl EventTypeUpdate {
    /// What people call it: 1 to 128 characters, not all blank.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// # let list = floe_client::EventTypesList::new();
    /// # let id = client.event_types().list(&list).await?.items[0].id.expect("it is a caller's");
    /// use floe_client::EventTypeUpdate;
    ///
    /// let update = EventTypeUpdate::new("AI usage");
    /// assert_eq!(client.event_types().update(id, &update).await?.label, "AI usage");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), label_property_selector: None }
    }

    /// The property of an event that is its own label, for those who show it: 1 to 256 characters.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// # let list = floe_client::EventTypesList::new();
    /// # let id = client.event_types().list(&list).await?.items[0].id.expect("it is a caller's");
    /// use floe_client::EventTypeUpdate;
    ///
    /// let update = EventTypeUpdate::new("AI usage").label_property_selector("model");
    /// let event_type = client.event_types().update(id, &update).await?;
    /// assert_eq!(event_type.label_property_selector.as_deref(), Some("model"));
    /// # Ok(())
    /// # });
    /// ```
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
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::{EventSource, EventTypesList};
///
/// let ingested = EventTypesList::new().source(EventSource::User).query("usage");
/// assert_eq!(client.event_types().list(&ingested).await?.items.len(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventTypesList {
    pub(crate) parameters: Parameters,
}

impl EventTypesList {
    /// All, on pages as large as may be.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventTypesList;
    ///
    /// let page = client.event_types().list(&EventTypesList::new()).await?;
    /// assert_eq!(page.items[0].name, "ai_usage");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those with this text in their names or labels, whatever the case.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventTypesList;
    ///
    /// let list = EventTypesList::new().query("AI_");
    /// assert_eq!(client.event_types().list(&list).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn query(mut self, text: impl Into<String>) -> Self {
        self.parameters.set("query", text.into());
        self
    }

    /// Only those of events without a parent, and only such events are told of; or all.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventTypesList};
    ///
    /// client.events().ingest(&[
    ///     EventCreate::for_external_customer("request", "user-1").external_id("request-1"),
    ///     EventCreate::for_external_customer("step", "user-1").parent_id("request-1"),
    /// ]).await?;
    /// let list = EventTypesList::new().root_events(true);
    /// let roots = client.event_types().list(&list).await?.items;
    /// assert_eq!((roots.len(), roots[0].name.as_str()), (1, "request"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn root_events(mut self, only_roots: bool) -> Self {
        self.parameters.set("root_events", only_roots);
        self
    }

    /// Only those of this event's children, and only they are told of.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventTypesList, EventsList};
    ///
    /// client.events().ingest(&[
    ///     EventCreate::for_external_customer("request", "user-1").external_id("request-1"),
    ///     EventCreate::for_external_customer("step", "user-1").parent_id("request-1"),
    /// ]).await?;
    /// let request = client.events().list(&EventsList::new().name("request")).await?.items[0].id;
    /// let of_steps = EventTypesList::new().parent_id(request);
    /// assert_eq!(client.event_types().list(&of_steps).await?.items[0].name, "step");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn parent_id(mut self, id: Uuid) -> Self {
        self.parameters.set("parent_id", id);
        self
    }

    /// Only those of events that were made by this one.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventSource, EventTypesList};
    ///
    /// let list = EventTypesList::new().source(EventSource::System);
    /// assert_eq!(client.event_types().list(&list).await?.items, []);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn source(mut self, source: EventSource) -> Self {
        self.parameters.set("source", source);
        self
    }

    organization_setter!(EventTypesList, "event_types().list(&list)");
    customer_setters!(
        EventTypesList,
        "assert_eq!(client.event_types().list(&wanted).await?.items.len(), 1);"
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
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::{EventTypes, EventTypesList};
///
/// let event_types: EventTypes<'_> = client.event_types();
/// assert_eq!(event_types.list(&EventTypesList::new()).await?.items.len(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct EventTypes<'c>(pub(crate) &'c Client);

impl EventTypes<'_> {
    /// Lists event types. It takes the scope `events:read` or `events:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventTypesList;
    ///
    /// for found in client.event_types().list(&EventTypesList::new()).await?.items {
    ///     assert_eq!((found.label.as_str(), found.occurrences), ("ai_usage", 2));
    /// }
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`](crate::Error).
    pub async fn list(&self, list: &EventTypesList) -> Result<Page<EventTypeWithStats>> {
        self.0.list(&PATH, &list.parameters, None).await
    }

    /// All event types of a list, by name unless it is sorted otherwise, page by page; see
    /// [`list`](Self::list).
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventTypesList;
    ///
    /// let mut all = client.event_types().list_all(&EventTypesList::new());
    /// while let Some(found) = all.next().await {
    ///     assert_eq!(found?.name, "ai_usage");
    /// }
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn list_all(&self, list: &EventTypesList) -> Items<EventTypeWithStats> {
        Items::new(self.0, &PATH, &list.parameters, Some("name"))
    }

    /// Changes what people call an event type. It takes the scope `events:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventTypeUpdate, EventTypesList};
    ///
    /// let list = EventTypesList::new().query("ai_usage");
    /// let found = &client.event_types().list(&list).await?.items[0];
    /// let id = found.id.expect("only the server's own have none");
    /// let updated = client.event_types().update(id, &EventTypeUpdate::new("AI usage")).await?;
    /// assert_eq!(updated.label, "AI usage");
    /// # Ok(())
    /// # });
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
