//! Events: ingested, listed, and the names that they have.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::client::{Client, Repeat};
use crate::customers::Customer;
use crate::error::Result;
use crate::event_create::{Batch, EventCreate};
use crate::filter::Filter;
use crate::metadata::Metadata;
use crate::page::Page;
use crate::stream::Items;
use crate::timestamp::Timestamp;
use crate::wire::{
    Parameters, customer_setters, item, metadata_setter, organization_setter, paging_setters,
    sorting_setters, wire_names,
};

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

/// Which events to list: all that the caller may see, the latest first, the first hundred of them.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::{EventsList, Filter, FilterClause};
///
/// let large = Filter::and().clause(FilterClause::greater("tokens", 100));
/// let march = EventsList::new()
///     .after("2026-02-28T23:59:59.999999Z".parse()?)
///     .before("2026-04-01T00:00:00Z".parse()?)
///     .name("ai_usage")
///     .external_customer_id("user-1")
///     .filter(&large);
/// assert_eq!(client.events().list(&march).await?.items.len(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsList {
    pub(crate) parameters: Parameters,
}

impl EventsList {
    /// All, on pages as large as may be.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsList;
    ///
    /// assert_eq!(client.events().list(&EventsList::new()).await?.items.len(), 2);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those that the filter lets through, as a meter's would.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventsList, Filter, FilterClause};
    ///
    /// let large = Filter::and().clause(FilterClause::greater("tokens", 100));
    /// let list = EventsList::new().filter(&large);
    /// assert_eq!(client.events().list(&list).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn filter(mut self, filter: &Filter) -> Self {
        // A filter is always JSON: it consists of texts, numbers and truth values.
        self.parameters.set("filter", serde_json::to_string(filter).unwrap_or_default());
        self
    }

    /// Only those that happened after this, not at it.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsList;
    ///
    /// let list = EventsList::new().after("2026-03-02T12:00:00Z".parse()?);
    /// assert_eq!(client.events().list(&list).await?.items, []);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn after(mut self, start: Timestamp) -> Self {
        self.parameters.set("start_timestamp", start);
        self
    }

    /// Only those that happened before this, not at it.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsList;
    ///
    /// let list = EventsList::new().before("2026-03-02T12:00:00Z".parse()?);
    /// assert_eq!(client.events().list(&list).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn before(mut self, end: Timestamp) -> Self {
        self.parameters.set("end_timestamp", end);
        self
    }

    /// Only those that this meter counts.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let meter = floe_client_doc::meter(&client).await?;
    /// use floe_client::EventsList;
    ///
    /// let list = EventsList::new().meter_id(meter.id);
    /// assert_eq!(client.events().list(&list).await?.items.len(), 2);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn meter_id(mut self, id: Uuid) -> Self {
        self.parameters.set("meter_id", id);
        self
    }

    /// Only those of this name, or of one of those, if called more than once.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsList;
    ///
    /// let list = EventsList::new().name("ai_usage").name("embedding");
    /// assert_eq!(client.events().list(&list).await?.items.len(), 2);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.parameters.add("name", name.into());
        self
    }

    /// Only those that were made by this one.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventSource, EventsList};
    ///
    /// let list = EventsList::new().source(EventSource::System);
    /// assert_eq!(client.events().list(&list).await?.items, []);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn source(mut self, source: EventSource) -> Self {
        self.parameters.add("source", source);
        self
    }

    /// Only those with this text, of at least 3 characters, in their names, metadata or customers,
    /// whatever the case.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventsList;
    ///
    /// let list = EventsList::new().query("acme");
    /// assert_eq!(client.events().list(&list).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn query(mut self, text: impl Into<String>) -> Self {
        self.parameters.set("query", text.into());
        self
    }

    /// Only the children of this event; with [`depth`](Self::depth) their children, too.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsList};
    ///
    /// client.events().ingest(&[
    ///     EventCreate::for_external_customer("request", "user-1").external_id("request-1"),
    ///     EventCreate::for_external_customer("step", "user-1").parent_id("request-1"),
    /// ]).await?;
    /// let request = client.events().list(&EventsList::new().name("request")).await?.items[0].id;
    /// let steps = client.events().list(&EventsList::new().parent_id(request)).await?.items;
    /// assert_eq!((steps.len(), steps[0].name.as_str()), (1, "step"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn parent_id(mut self, id: Uuid) -> Self {
        self.parameters.set("parent_id", id);
        self
    }

    /// Only so many levels below the parent, or below events without one: 0 to 5. Without a
    /// parent, 0 means events that have none.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsList};
    ///
    /// client.events().ingest(&[
    ///     EventCreate::for_external_customer("request", "user-1").external_id("request-1"),
    ///     EventCreate::for_external_customer("step", "user-1").parent_id("request-1"),
    /// ]).await?;
    /// let roots = client.events().list(&EventsList::new().depth(0)).await?.items;
    /// assert_eq!((roots.len(), roots[0].name.as_str()), (1, "request"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn depth(mut self, depth: u8) -> Self {
        self.parameters.set("depth", depth);
        self
    }

    organization_setter!(EventsList, "events().list(&list)");
    customer_setters!(
        EventsList,
        "assert_eq!(client.events().list(&wanted).await?.items.len(), 1);"
    );
    metadata_setter!(
        EventsList,
        r#""model", "small""#,
        "assert_eq!(client.events().list(&wanted).await?.items.len(), 1);"
    );
    sorting_setters!(EventSort::Timestamp, "timestamp", EventsList, "events().list(&list)");
    paging_setters!(EventsList, "events().list(&list)");
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

/// Which names of events to list: all that the caller may see, those last seen first, the first
/// hundred of them.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::{EventNamesList, EventSource};
///
/// let names = EventNamesList::new().query("usage").source(EventSource::User);
/// assert_eq!(client.events().names(&names).await?.items.len(), 1);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventNamesList {
    pub(crate) parameters: Parameters,
}

impl EventNamesList {
    /// All, on pages as large as may be.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventNamesList;
    ///
    /// assert_eq!(client.events().names(&EventNamesList::new()).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those with this text in them, whatever the case.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::EventNamesList;
    ///
    /// let list = EventNamesList::new().query("USAGE");
    /// assert_eq!(client.events().names(&list).await?.items.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn query(mut self, text: impl Into<String>) -> Self {
        self.parameters.set("query", text.into());
        self
    }

    /// Only those of events that were made by this one.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventNamesList, EventSource};
    ///
    /// let list = EventNamesList::new().source(EventSource::System);
    /// assert_eq!(client.events().names(&list).await?.items, []);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn source(mut self, source: EventSource) -> Self {
        self.parameters.add("source", source);
        self
    }

    organization_setter!(EventNamesList, "events().names(&list)");
    customer_setters!(
        EventNamesList,
        "assert_eq!(client.events().names(&wanted).await?.items.len(), 1);"
    );
    sorting_setters!(
        EventNameSort::Occurrences,
        "occurrences",
        EventNamesList,
        "events().names(&list)"
    );
    paging_setters!(EventNamesList, "events().names(&list)");
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
        self.0.call(Method::POST, &path, &Batch(events), Repeat::Always).await
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
