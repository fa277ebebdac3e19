//! The quick way into `POST /v1/events/ingest`: usual events straight from the bytes of a body.
//!
//! The tree of a body costs more than all that is read from it, and nearly all bodies are right. So
//! events are read here without a tree, and what is wrong or merely rare gives up the whole body:
//! then [`IngestRequest::parse`] reads it again from the start. That stays the only place that makes
//! errors and knows all of the rules; what comes out of here is what it would give, by the same
//! readers wherever a value has a meaning of its own.

use std::borrow::Cow;

use floe_core::limits::EVENT_NAME_CHARS_MAX;
use floe_core::{
    CustomerId, CustomerRef, EventSource, Metadata, NewEvent, Number, Timestamp, Value,
};
use jiter::{NumberAny, NumberInt};
use uuid::Uuid;

use super::EventLine;
use super::ingest::{EventReferences, IngestRequest, past};
use crate::errors::{Errors, Loc};
use crate::json::{Json, has_nul, key_kind};
use crate::metadata::is_plain_text;
use crate::scalar;
use crate::scan::Scanner;

/// Events with more metadata are rare enough; each key is compared with the ones before it.
const METADATA_KEYS_MAX: usize = 64;

impl<'a> IngestRequest<'a> {
    /// Reads a usual body: `{"events": [...]}` of right events, each with one of the two customer
    /// keys and with plain metadata. `None` says nothing of the body but that it takes
    /// [`IngestRequest::parse`]; what is there equals what that gives.
    ///
    /// ```
    /// use floe_api::IngestRequest;
    /// let now = floe_core::Timestamp::MAX;
    /// let usual = br#"{"events":[{"name":"a","external_customer_id":"x"}]}"#;
    /// assert_eq!(IngestRequest::parse_usual(usual, now).unwrap().events.len(), 1);
    /// assert!(IngestRequest::parse_usual(br#"{"events":[{"name":"a"}]}"#, now).is_none());
    /// ```
    #[must_use]
    pub fn parse_usual(body: &'a [u8], now: Timestamp) -> Option<Self> {
        Reader { json: Scanner::new(body)?, now, entries: Vec::new() }.body()
    }
}

/// Reads usual events, one a line; what is not usual is for [`EventLine::parse`].
#[derive(Debug)]
pub struct UsualLines<'a> {
    now: Timestamp,
    entries: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> UsualLines<'a> {
    /// Reads lines from now on. `now` is when events without a timestamp happened, and the latest
    /// timestamp that there may be.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { now, entries: Vec::new() }
    }

    /// Reads the JSON text of one event. `None` says nothing of it but that it takes
    /// [`EventLine::parse`]; what is there equals what that gives.
    #[must_use]
    pub fn read(&mut self, line: &'a [u8]) -> Option<EventLine<'a>> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.clear();
        let mut reader = Reader { json: Scanner::new(line)?, now: self.now, entries };
        let (event, organization_id) = reader.event()?;
        reader.json.end()?;
        self.entries = reader.entries;
        Some(EventLine { references: references(&event, organization_id), event })
    }
}

/// What business rules look at in an event that is the first.
fn references(event: &NewEvent<'_>, organization_id: Option<Uuid>) -> EventReferences {
    let customer_id = match &event.customer {
        CustomerRef::Id(id) => Some(*id),
        CustomerRef::External(_) => None,
    };
    EventReferences { index: 0, organization_id, customer_id, member_id: None }
}

struct Reader<'a> {
    json: Scanner<'a>,
    now: Timestamp,
    /// Metadata of the event that is read, so that it is allocated once, in its size.
    entries: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// The members of an event that are there; `Some(None)` is one that is null.
#[derive(Default)]
struct Members<'a> {
    timestamp: Option<Timestamp>,
    name: Option<Cow<'a, str>>,
    organization_id: Option<Uuid>,
    external_id: Option<Option<Cow<'a, str>>>,
    parent_id: Option<Option<Cow<'a, str>>>,
    external_member_id: Option<Option<Cow<'a, str>>>,
    metadata: Option<Metadata<'a>>,
    customer: Option<CustomerRef<'a>>,
}

/// `None` if there was such a member before: the last one counts, which is left to the tree. So it
/// is with two customers.
fn set<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// Readers of what is next; all give `None` for what is not usual.
impl<'a> Reader<'a> {
    fn body(mut self) -> Option<IngestRequest<'a>> {
        if !self.json.open(b'{', b'}')? || self.json.key()? != "events" {
            return None;
        }
        let mut events = Vec::new();
        let mut found = Vec::new();
        let mut more = self.json.open(b'[', b']')?;
        while more {
            let (event, organization_id) = self.event()?;
            let references_of_it = references(&event, organization_id);
            if !references_of_it.is_empty() {
                found.push(EventReferences { index: events.len(), ..references_of_it });
            }
            events.push(event);
            more = self.json.more(b']')?;
        }
        if self.json.more(b'}')? {
            return None;
        }
        self.json.end()?;
        Some(IngestRequest { events, references: found })
    }

    /// The event, and the organization that it names.
    fn event(&mut self) -> Option<(NewEvent<'a>, Option<Uuid>)> {
        let mut found = Members::default();
        let mut more = self.json.open(b'{', b'}')?;
        while more {
            match self.json.key()? {
                "timestamp" => set(&mut found.timestamp, self.timestamp()?)?,
                "name" => set(&mut found.name, self.name()?)?,
                "external_id" => set(&mut found.external_id, self.text_or_null()?)?,
                "parent_id" => set(&mut found.parent_id, self.text_or_null()?)?,
                "external_member_id" => {
                    set(&mut found.external_member_id, self.text_or_null()?)?;
                }
                "metadata" => set(&mut found.metadata, self.metadata()?)?,
                "external_customer_id" => {
                    set(&mut found.customer, CustomerRef::External(self.text()?))?;
                }
                "customer_id" => {
                    set(&mut found.customer, CustomerRef::Id(CustomerId(self.id()?)))?;
                }
                "organization_id" => set(&mut found.organization_id, self.id()?)?,
                // Keys that nobody knows, and `member_id`, which no event can have.
                _ => return None,
            }
            more = self.json.more(b'}')?;
        }
        let customer = found.customer?;
        if matches!(customer, CustomerRef::Id(_)) && found.external_member_id.is_some() {
            // It is of the other form, and not read in this one.
            return None;
        }
        let event = NewEvent {
            name: found.name?,
            source: EventSource::User,
            customer,
            timestamp: found.timestamp.unwrap_or(self.now),
            external_id: found.external_id.flatten(),
            parent_id: found.parent_id.flatten(),
            external_member_id: found.external_member_id.flatten(),
            metadata: found.metadata.unwrap_or_default(),
        };
        Some((event, found.organization_id))
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        let json = Json::Str(self.text()?);
        past(&json, &Loc::BODY, self.now, &mut Errors::new())
    }

    fn name(&mut self) -> Option<Cow<'a, str>> {
        let json = Json::Str(self.text()?);
        scalar::sized_string(&json, &Loc::BODY, &mut Errors::new(), 0, EVENT_NAME_CHARS_MAX)?;
        match json {
            Json::Str(name) => Some(name),
            _ => None,
        }
    }

    fn id(&mut self) -> Option<Uuid> {
        scalar::uuid4(&Json::Str(self.text()?), &Loc::BODY, &mut Errors::new())
    }

    fn metadata(&mut self) -> Option<Metadata<'a>> {
        // One bit for each kind of key met so far: an unset bit says that a key is new.
        let mut seen = 0_u64;
        let mut more = self.json.open(b'{', b'}')?;
        while more {
            let key = self.json.key()?;
            if matches!(key, "_cost" | "_llm") || self.entries.len() == METADATA_KEYS_MAX {
                return None;
            }
            let bit = 1_u64 << key_kind(key.as_bytes());
            if seen & bit != 0 && self.entries.iter().any(|(name, _)| *name == key) {
                return None;
            }
            seen |= bit;
            let value = self.plain_value()?;
            self.entries.push((Cow::Borrowed(key), value));
            more = self.json.more(b'}')?;
        }
        Some(Metadata::from_distinct(self.entries.drain(..).collect()))
    }

    /// As [`plain_value`](crate::metadata::plain_value), but no integers beyond 64 bits.
    fn plain_value(&mut self) -> Option<Value<'a>> {
        match self.json.peek()? {
            b'"' => {
                let text = self.text()?;
                is_plain_text(&text).then_some(Value::String(text))
            }
            b't' => self.json.word("true").map(|()| Value::Bool(true)),
            b'f' => self.json.word("false").map(|()| Value::Bool(false)),
            _ => match self.json.number()? {
                NumberAny::Int(NumberInt::Int(value)) => Some(Value::Number(Number::Int(value))),
                NumberAny::Int(NumberInt::BigInt(_)) => None,
                NumberAny::Float(value) => Number::float(value).map(Value::Number),
            },
        }
    }

    fn text_or_null(&mut self) -> Option<Option<Cow<'a, str>>> {
        if self.json.peek()? == b'n' {
            return self.json.word("null").map(|()| None);
        }
        self.text().map(Some)
    }

    /// A string without U+0000.
    fn text(&mut self) -> Option<Cow<'a, str>> {
        match self.json.string()? {
            // U+0000 comes from escapes alone: as it is, JSON does not allow it in strings.
            Cow::Owned(text) if has_nul(&text) => None,
            text => Some(text),
        }
    }
}
