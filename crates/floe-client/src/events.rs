//! Events: ingested, listed, and the names that they have.

mod list;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::list::{EventNamesList, EventsList};
use crate::client::{Client, Repeat};
use crate::customers::Customer;
use crate::error::Result;
use crate::event_create::{EventCreate, body};
use crate::metadata::Metadata;
use crate::page::Page;
use crate::stream::Items;
use crate::timestamp::Timestamp;
use crate::wire::{item, wire_names};

const PATH: [&str; 3] = ["v1", "events", ""];

/// Bytes of a request's body, at most; of events, that many go into one call as fit in it.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{BODY_BYTES_MAX, Error, EventCreate};
///
/// let event = EventCreate::for_external_customer("ai_usage", "u".repeat(BODY_BYTES_MAX));
/// let refused = client.events().ingest(&[event]).await;
/// assert!(matches!(refused, Err(Error::PayloadTooLarge { .. })));
/// # Ok(())
/// # });
/// ```
pub const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

wire_names! {
    /// Who made an event.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventSource, EventsList};
    ///
    /// let events = client.events().list(&EventsList::new()).await?.items;
    /// assert!(events.iter().all(|event| event.source == EventSource::User));
    /// # Ok(())
    /// # });
    /// ```
    pub enum EventSource {
        /// The server, for example as a customer was credited.
        System = "system",
        /// A caller; all events that are ingested.
        User = "user",
    }
}

wire_names! {
    /// What lists of events can be sorted by.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventSort, EventsList};
    ///
    /// let oldest_first = EventsList::new().ascending(EventSort::Timestamp);
    /// let events = client.events().list(&oldest_first).await?.items;
    /// assert!(events[0].timestamp < events[1].timestamp);
    /// # Ok(())
    /// # });
    /// ```
    pub enum EventSort {
        /// When they happened.
        Timestamp = "timestamp",
    }
}

wire_names! {
    /// What lists of events' names can be sorted by.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventNameSort, EventNamesList};
    ///
    /// let most_first = EventNamesList::new().descending(EventNameSort::Occurrences);
    /// assert_eq!(client.events().names(&most_first).await?.items[0].occurrences, 2);
    /// # Ok(())
    /// # });
    /// ```
    pub enum EventNameSort {
        /// The name.
        Name = "name",
        /// How many events have it.
        Occurrences = "occurrences",
        /// When the first event happened that has it.
        FirstSeen = "first_seen",
        /// When the last event happened that has it.
        LastSeen = "last_seen",
    }
}

/// An event.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::EventsList;
///
/// let event = &client.events().list(&EventsList::new()).await?.items[0];
/// assert_eq!((event.name.as_str(), event.label.as_str()), ("ai_usage", "ai_usage"));
/// assert_eq!(event.external_customer_id.as_deref(), Some("user-2"));
/// assert_eq!(event.metadata.get("tokens"), Some(&80.into()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Its id, which the server gave.
    pub id: Uuid,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Whose event it is.
    pub organization_id: Uuid,
    /// The customer's id, if it was ingested with that.
    pub customer_id: Option<Uuid>,
    /// The customer as it is now, if there is one, also of events ingested by external id.
    pub customer: Option<Customer>,
    /// The customer's external id, if it was ingested with that.
    pub external_customer_id: Option<String>,
    /// The customer's member, by its id.
    pub member_id: Option<Uuid>,
    /// The customer's member, by the caller's own id.
    pub external_member_id: Option<String>,
    /// How many events name it as their parent.
    pub child_count: u64,
    /// Its parent, if that is there.
    pub parent_id: Option<Uuid>,
    /// What people call events of this name.
    pub label: String,
    /// What happened.
    pub name: String,
    /// Who made it.
    pub source: EventSource,
    /// What was attached to it.
    pub metadata: Metadata,
}

/// What became of the events of a call.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::EventCreate;
///
/// let event = EventCreate::for_external_customer("chat", "user-1").external_id("chat-1");
/// let first = client.events().ingest(&[event.clone()]).await?;
/// assert_eq!((first.inserted, first.duplicates), (1, 0));
/// let again = client.events().ingest(&[event]).await?;
/// assert_eq!((again.inserted, again.duplicates), (0, 1));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ingested {
    /// Events that are new. They are on disk.
    pub inserted: u64,
    /// Events whose external ids were known. They count once, as they came first.
    #[serde(default)]
    pub duplicates: u64,
}

/// A name that events have.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::{EventNamesList, EventSource};
///
/// let name = &client.events().names(&EventNamesList::new()).await?.items[0];
/// assert_eq!((name.name.as_str(), name.source), ("ai_usage", EventSource::User));
/// assert_eq!(name.occurrences, 2);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventName {
    /// The name.
    pub name: String,
    /// What people call such events.
    pub label: String,
    /// Who made them.
    pub source: EventSource,
    /// How many there are.
    pub occurrences: u64,
    /// When the first happened.
    pub first_seen: Timestamp,
    /// When the last happened.
    pub last_seen: Timestamp,
}

/// The events of a server; see [`Client::events`].
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::{Events, EventsList};
///
/// let events: Events<'_> = client.events();
/// assert_eq!(events.list(&EventsList::new()).await?.items.len(), 2);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Events<'c>(pub(crate) &'c Client);

impl Events<'_> {
    /// Ingests events, all or none. With the answer they are on disk and count. It takes the scope
    /// `events:write`.
    ///
    /// An event without an external id gets a random one, so that this call, which is made again if
    /// its answer is lost, counts nothing twice.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::EventCreate;
    ///
    /// let events = [
    ///     EventCreate::for_external_customer("ai_usage", "user-1").property("tokens", 120),
    ///     EventCreate::for_external_customer("ai_usage", "user-2").property("tokens", 80),
    /// ];
    /// let ingested = client.events().ingest(&events).await?;
    /// assert_eq!(ingested.inserted, 2);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`](crate::Error::Validation) if events are refused, at
    /// `body.events.N` for the one at position N; then none is ingested.
    /// [`Error::PayloadTooLarge`](crate::Error::PayloadTooLarge) if they take more than
    /// [`BODY_BYTES_MAX`] bytes, and whatever else an [`Error`](crate::Error) names.
    pub async fn ingest(&self, events: &[EventCreate]) -> Result<Ingested> {
        let path = ["v1", "events", "ingest"];
        self.0.call_bytes(Method::POST, &path, body(events)?.into(), Repeat::Always).await.result
    }

    /// Lists events. It takes the scope `events:read` or `events:write`.
    ///
    /// While events are ingested, pages shift. To read a list to its end, pin it with
    /// [`EventsList::before`], and sort [ascending](EventsList::ascending).
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsList;
    ///
    /// let page = client.events().list(&EventsList::new().name("ai_usage")).await?;
    /// for event in &page.items {
    ///     println!("{} {:?}", event.timestamp, event.metadata.get("tokens"));
    /// }
    /// assert_eq!(page.pagination.total_count, 2);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`](crate::Error::Validation) for parameters out of bounds and an unknown
    /// meter, and whatever else an [`Error`](crate::Error) names.
    pub async fn list(&self, list: &EventsList) -> Result<Page<Event>> {
        self.0.list(&PATH, &list.parameters, None).await
    }

    /// All events of a list, the earliest first unless it is sorted otherwise, page by page; see
    /// [`list`](Self::list). In that order, events that are ingested meanwhile come last and shift
    /// nothing, unless they happened before.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsList;
    ///
    /// let mut all = client.events().list_all(&EventsList::new());
    /// let mut customers = Vec::new();
    /// while let Some(event) = all.next().await {
    ///     customers.extend(event?.external_customer_id);
    /// }
    /// assert_eq!(customers, ["user-1", "user-2"]);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn list_all(&self, list: &EventsList) -> Items<Event> {
        Items::new(self.0, &PATH, &list.parameters, Some("timestamp"))
    }

    /// Shows an event. It takes the scope `events:read` or `events:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// # let list = floe_client::EventsList::new().external_customer_id("user-1");
    /// # let id = client.events().list(&list).await?.items[0].id;
    /// let event = client.events().get(id).await?;
    /// assert_eq!(event.timestamp, "2026-03-01T12:00:00Z".parse()?);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such event, or it is another
    /// organization's, and whatever else an [`Error`](crate::Error) names.
    pub async fn get(&self, id: Uuid) -> Result<Event> {
        self.0.get(&item(PATH, &id.to_string()), &[]).await
    }

    /// Lists the names that events have. It takes the scope `events:read` or `events:write`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventNamesList;
    ///
    /// for name in client.events().names(&EventNamesList::new()).await?.items {
    ///     assert_eq!((name.name.as_str(), name.occurrences), ("ai_usage", 2));
    /// }
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`](crate::Error).
    pub async fn names(&self, list: &EventNamesList) -> Result<Page<EventName>> {
        self.0.list(&["v1", "events", "names"], &list.parameters, None).await
    }

    /// All names of a list, page by page, by name unless it is sorted otherwise; see
    /// [`names`](Self::names).
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventNamesList;
    ///
    /// let mut all = client.events().names_all(&EventNamesList::new());
    /// while let Some(name) = all.next().await {
    ///     assert_eq!(name?.name, "ai_usage");
    /// }
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn names_all(&self, list: &EventNamesList) -> Items<EventName> {
        Items::new(self.0, &["v1", "events", "names"], &list.parameters, Some("name"))
    }
}
