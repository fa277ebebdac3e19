//! Which events, and which names of events, to list.

use uuid::Uuid;

use super::{EventNameSort, EventSort, EventSource};
use crate::filter::Filter;
use crate::timestamp::Timestamp;
use crate::wire::{
    Parameters, customer_setters, metadata_setter, organization_setter, paging_setters,
    sorting_setters,
};

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
        self.parameters.set_filter(filter);
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
