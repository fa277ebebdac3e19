//! Events to be ingested.

mod json;

use serde::Deserialize;
use uuid::Uuid;

pub(crate) use self::json::body;
use crate::metadata::{Metadata, MetadataValue};
use crate::timestamp::Timestamp;

/// Characters of an event's name, at most.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{EVENT_NAME_CHARS_MAX, EventCreate};
///
/// let long = "a".repeat(EVENT_NAME_CHARS_MAX + 1);
/// let event = EventCreate::for_external_customer(long, "user-1");
/// let error = client.events().ingest(&[event]).await.expect_err("it is too long");
/// assert_eq!(error.violations()[0].kind, "string_too_long");
/// # Ok(())
/// # });
/// ```
pub const EVENT_NAME_CHARS_MAX: usize = 128;

/// An event to be ingested: what happened, and to which customer.
///
/// It can be read and written as the wire has it, so that events can be kept in files.
///
/// ```
/// use floe_client::{EventCreate, Llm};
///
/// let event = EventCreate::for_external_customer("ai_usage", "user-1")
///     .timestamp("2026-03-01T12:00:00Z".parse()?)
///     .external_id("request-789")
///     .property("tokens", 120)
///     .property("model", "small");
/// assert_eq!(
///     serde_json::to_string(&event)?,
///     concat!(
///         r#"{"name":"ai_usage","external_customer_id":"user-1","#,
///         r#""timestamp":"2026-03-01T12:00:00Z","external_id":"request-789","#,
///         r#""metadata":{"model":"small","tokens":120}}"#,
///     )
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "AnyEvent")]
pub struct EventCreate {
    name: String,
    customer: EventCustomer,
    timestamp: Option<Timestamp>,
    external_id: Option<String>,
    parent_id: Option<String>,
    metadata: Metadata,
    organization_id: Option<Uuid>,
}

/// To whom an event happened.
#[derive(Debug, Clone, PartialEq)]
enum EventCustomer {
    Id { customer_id: Uuid, member_id: Option<Uuid> },
    External { external_customer_id: String, external_member_id: Option<String> },
}

/// An event as the wire takes it.
#[derive(Deserialize)]
struct AnyEvent {
    name: String,
    customer_id: Option<Uuid>,
    external_customer_id: Option<String>,
    member_id: Option<Uuid>,
    external_member_id: Option<String>,
    timestamp: Option<Timestamp>,
    external_id: Option<String>,
    parent_id: Option<String>,
    #[serde(default)]
    metadata: Metadata,
    organization_id: Option<Uuid>,
}

impl TryFrom<AnyEvent> for EventCreate {
    type Error = &'static str;

    fn try_from(event: AnyEvent) -> Result<Self, Self::Error> {
        let AnyEvent {
            name,
            customer_id,
            external_customer_id,
            member_id,
            external_member_id,
            timestamp,
            external_id,
            parent_id,
            metadata,
            organization_id,
        } = event;
        // As servers choose: who has a member wins, else the external id.
        let is_by_id = member_id.is_some() && external_member_id.is_none();
        let customer = match (customer_id, external_customer_id) {
            (Some(customer_id), None) => EventCustomer::Id { customer_id, member_id },
            (Some(customer_id), Some(_)) if is_by_id => {
                EventCustomer::Id { customer_id, member_id }
            }
            (_, Some(external_customer_id)) => {
                EventCustomer::External { external_customer_id, external_member_id }
            }
            (None, None) => return Err("missing field `customer_id` or `external_customer_id`"),
        };
        Ok(Self { name, customer, timestamp, external_id, parent_id, metadata, organization_id })
    }
}

impl EventCreate {
    fn new(name: impl Into<String>, customer: EventCustomer) -> Self {
        Self {
            name: name.into(),
            customer,
            timestamp: None,
            external_id: None,
            parent_id: None,
            metadata: Metadata::new(),
            organization_id: None,
        }
    }

    /// What happened, with a name of at most [`EVENT_NAME_CHARS_MAX`] characters, to a customer of
    /// the server.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::{EventCreate, EventsList};
    ///
    /// let event = EventCreate::for_customer("ai_usage", ada.id).property("tokens", 120);
    /// client.events().ingest(&[event]).await?;
    /// let events = client.events().list(&EventsList::new()).await?.items;
    /// assert_eq!(events[0].customer_id, Some(ada.id));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn for_customer(name: impl Into<String>, customer_id: Uuid) -> Self {
        Self::new(name, EventCustomer::Id { customer_id, member_id: None })
    }

    /// What happened, with a name of at most [`EVENT_NAME_CHARS_MAX`] characters, to whom the
    /// caller knows by this id. The server needs no such customer; one that is made later gets the
    /// event.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsList};
    ///
    /// let event = EventCreate::for_external_customer("ai_usage", "user-1").property("tokens", 120);
    /// client.events().ingest(&[event]).await?;
    /// let events = client.events().list(&EventsList::new()).await?.items;
    /// assert_eq!(events[0].external_customer_id.as_deref(), Some("user-1"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn for_external_customer(
        name: impl Into<String>,
        external_customer_id: impl Into<String>,
    ) -> Self {
        let external_customer_id = external_customer_id.into();
        Self::new(name, EventCustomer::External { external_customer_id, external_member_id: None })
    }

    /// When it happened, not after the server's now. Without this, as it arrives there.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsList, Timestamp};
    ///
    /// let noon: Timestamp = "2026-03-01T12:00:00Z".parse()?;
    /// let event = EventCreate::for_external_customer("ai_usage", "user-1").timestamp(noon);
    /// client.events().ingest(&[event]).await?;
    /// assert_eq!(client.events().list(&EventsList::new()).await?.items[0].timestamp, noon);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// The caller's own id of the event. Of all events of an organization with the same one, the
    /// first counts and the others are duplicates. Without this,
    /// [`Events::ingest`](crate::Events::ingest) makes one.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::EventCreate;
    ///
    /// let event = EventCreate::for_external_customer("ai_usage", "user-1").external_id("r-1");
    /// let ingested = client.events().ingest(&[event.clone(), event]).await?;
    /// assert_eq!((ingested.inserted, ingested.duplicates), (1, 1));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Of which event it is a part, by that one's id or external id. It may come later.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsList};
    ///
    /// let request = EventCreate::for_external_customer("request", "user-1").external_id("r-1");
    /// let step = EventCreate::for_external_customer("step", "user-1").parent_id("r-1");
    /// client.events().ingest(&[request, step]).await?;
    /// let requests = client.events().list(&EventsList::new().name("request")).await?.items;
    /// assert_eq!(requests[0].child_count, 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn parent_id(mut self, id: impl Into<String>) -> Self {
        self.parent_id = Some(id.into());
        self
    }

    /// Which member of the customer, by its id. It does nothing for an external customer. Floe
    /// has no members and refuses it; Polar has.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ada = floe_client_doc::ada(&client).await?;
    /// use floe_client::{EventCreate, Uuid};
    ///
    /// let event = EventCreate::for_customer("ai_usage", ada.id).member_id(Uuid::new_v4());
    /// let error = client.events().ingest(&[event]).await.expect_err("Floe has no members");
    /// assert_eq!(error.violations()[0].kind, "member_id");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn member_id(mut self, id: Uuid) -> Self {
        if let EventCustomer::Id { member_id, .. } = &mut self.customer {
            *member_id = Some(id);
        }
        self
    }

    /// Which member of the external customer, by the caller's own id. It does nothing for a
    /// customer of the server.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsList};
    ///
    /// let event = EventCreate::for_external_customer("chat", "team-1").external_member_id("ada");
    /// client.events().ingest(&[event]).await?;
    /// let events = client.events().list(&EventsList::new()).await?.items;
    /// assert_eq!(events[0].external_member_id.as_deref(), Some("ada"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn external_member_id(mut self, id: impl Into<String>) -> Self {
        if let EventCustomer::External { external_member_id, .. } = &mut self.customer {
            *external_member_id = Some(id.into());
        }
        self
    }

    /// One more value attached to it; it replaces what the key had.
    ///
    /// ```
    /// use floe_client::{Cost, EventCreate, Llm};
    ///
    /// let event = EventCreate::for_external_customer("completion", "user-1")
    ///     .property("model", "acme-large")
    ///     .property("cached", false)
    ///     .property("_cost", Cost::usd("0.0125")?)
    ///     .property("_llm", Llm::new("acme", "acme-large", 120, 30));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn property(mut self, key: impl Into<String>, value: impl Into<MetadataValue>) -> Self {
        self.metadata.insert(key, value);
        self
    }

    /// What is attached to it, in place of all that was.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, EventsList, Metadata};
    ///
    /// let metadata = Metadata::new().with("model", "small").with("tokens", 120);
    /// let event = EventCreate::for_external_customer("chat", "user-1").metadata(metadata.clone());
    /// client.events().ingest(&[event]).await?;
    /// assert_eq!(client.events().list(&EventsList::new()).await?.items[0].metadata, metadata);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Metadata>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Whose event it is. With the root token it must be said; with an organization's token it
    /// must not, as that ingests its own organization's.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// use floe_client::{EventCreate, OrganizationCreate};
    ///
    /// let acme = client.organizations().create(&OrganizationCreate::new("Acme", "acme")).await?;
    /// let event = EventCreate::for_external_customer("ai_usage", "user-1").organization(acme.id);
    /// assert_eq!(client.events().ingest(&[event]).await?.inserted, 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn organization(mut self, id: Uuid) -> Self {
        self.organization_id = Some(id);
        self
    }

    /// The caller's own id, if it was given.
    pub(crate) fn has_external_id(&self) -> bool {
        self.external_id.is_some()
    }

    /// When it happened, if that was given.
    pub(crate) fn has_timestamp(&self) -> bool {
        self.timestamp.is_some()
    }

    /// As it arrives at the server.
    pub(crate) fn without_timestamp(mut self) -> Self {
        self.timestamp = None;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_goes_both_ways() {
        let id = Uuid::from_u128(7);
        for event in [
            EventCreate::for_customer("a", id).member_id(id).organization(id),
            EventCreate::for_external_customer("", "").external_member_id("m").parent_id("p"),
            EventCreate::for_external_customer("a", "x").property("n", 1.5).external_id("e"),
            EventCreate::for_external_customer("\"\\\n\u{7f}é😀", "\u{0}\u{1f}")
                .timestamp(Timestamp::from_unix_micros(1).unwrap())
                .property("\t", "\r")
                .property("i", -7)
                .property("l", u128::MAX)
                .property("b", false)
                .property("_cost", crate::Cost::usd("0.1").unwrap()),
        ] {
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<EventCreate>(&text).unwrap(), event, "{text}");
        }
        let read = |text: &str| serde_json::from_str::<EventCreate>(text);
        assert!(read(r#"{"name":"a"}"#).is_err());
        let both = r#"{"name":"a","customer_id":"00000000-0000-0000-0000-000000000007","external_customer_id":"x"}"#;
        assert_eq!(read(both).unwrap(), EventCreate::for_external_customer("a", "x"));
    }

    #[test]
    fn a_batch_gives_each_event_an_external_id() {
        let event = EventCreate::for_external_customer("a", "x");
        let events = [event.clone(), event.clone().external_id("own"), event];
        let ids = || {
            let body: serde_json::Value = serde_json::from_slice(&body(&events).unwrap()).unwrap();
            let id =
                |index: usize| body["events"][index]["external_id"].as_str().unwrap().to_owned();
            [id(0), id(1), id(2)]
        };
        let (first, second) = (ids(), ids());
        assert_eq!(first[1], "own");
        assert!(first[0].ends_with("-0") && first[2].ends_with("-2"));
        assert_ne!(first[0], first[2]);
        assert_ne!(first[0], second[0]);
    }
}
