//! Events: what was used, by whom, when.

use std::borrow::Cow;

use crate::ids::CustomerId;
use crate::timestamp::Timestamp;
use crate::value::{Metadata, Value};

/// Who made an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventSource {
    /// Ingested by a client.
    User,
    /// Made by Floe itself: credits and resets.
    System,
}

impl EventSource {
    /// All, by their wire names.
    pub const ALL: [(&'static str, Self); 2] = [("system", Self::System), ("user", Self::User)];

    /// The wire's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::System => "system",
        }
    }
}

/// Name of the system event that credits a customer meter (semantics section 12).
pub const METER_CREDITED: &str = "meter.credited";
/// Name of the system event that resets a customer meter (semantics section 12).
pub const METER_RESET: &str = "meter.reset";

/// Whom an event is of, as ingested; never rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CustomerRef<'a> {
    /// A customer of the organization.
    Id(CustomerId),
    /// The caller's own identifier of a customer, who may not exist (yet).
    External(Cow<'a, str>),
}

impl CustomerRef<'_> {
    /// The same reference, borrowing from this one.
    #[must_use]
    pub fn borrowed(&self) -> CustomerRef<'_> {
        match self {
            Self::Id(id) => CustomerRef::Id(*id),
            Self::External(external) => CustomerRef::External(Cow::Borrowed(external)),
        }
    }

    /// The same reference, not borrowing from its source.
    #[must_use]
    pub fn into_owned(self) -> CustomerRef<'static> {
        match self {
            Self::Id(id) => CustomerRef::Id(id),
            Self::External(external) => CustomerRef::External(Cow::Owned(external.into_owned())),
        }
    }
}

/// An event that passed every check and is not stored yet.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent<'a> {
    /// At most 128 code points; may be empty.
    pub name: Cow<'a, str>,
    /// Who made it.
    pub source: EventSource,
    /// Whom it is of.
    pub customer: CustomerRef<'a>,
    /// When the usage happened; not after the moment of ingestion.
    pub timestamp: Timestamp,
    /// The caller's identifier: the key of deduplication within the organization.
    pub external_id: Option<Cow<'a, str>>,
    /// External or own id of another event, which may come later.
    pub parent_id: Option<Cow<'a, str>>,
    /// The caller's identifier of a member; stored and echoed.
    pub external_member_id: Option<Cow<'a, str>>,
    /// What else is known of the usage.
    pub metadata: Metadata<'a>,
}

impl NewEvent<'_> {
    /// The same event, not borrowing from its source.
    #[must_use]
    pub fn into_owned(self) -> NewEvent<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        NewEvent {
            name: own(self.name),
            source: self.source,
            customer: self.customer.into_owned(),
            timestamp: self.timestamp,
            external_id: self.external_id.map(own),
            parent_id: self.parent_id.map(own),
            external_member_id: self.external_member_id.map(own),
            metadata: self.metadata.into_owned(),
        }
    }
}

/// What filters and aggregations look at: an event, or a row of a store.
pub trait EventFields {
    /// The event's name.
    fn name(&self) -> &str;
    /// Who made it.
    fn source(&self) -> EventSource;
    /// When the usage happened.
    fn timestamp(&self) -> Timestamp;
    /// The metadata value at a path of keys.
    fn property(&self, path: &[String]) -> Option<Value<'_>>;
}

impl EventFields for NewEvent<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn source(&self) -> EventSource {
        self.source
    }

    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    fn property(&self, path: &[String]) -> Option<Value<'_>> {
        self.metadata.at(path).map(Value::borrowed)
    }
}

/// Whether quantities leave an event out: credits and resets are no usage (semantics section 13,
/// S14).
#[must_use]
pub fn is_credit_or_reset(source: EventSource, name: &str) -> bool {
    source == EventSource::System && (name == METER_CREDITED || name == METER_RESET)
}
