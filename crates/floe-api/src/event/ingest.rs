//! `POST /v1/events/ingest` on the wire (contract section 4.1).
//!
//! Nothing is copied: what comes out borrows from the parsed body. An event that is right costs
//! one allocation, for the entries of its metadata.

use std::borrow::Cow;

use floe_core::limits::EVENT_NAME_CHARS_MAX;
use floe_core::{
    CustomerId, CustomerRef, EventSource, Metadata, NewEvent, Number, Timestamp, Value,
};
use serde::Serialize;
use uuid::Uuid;

use crate::errors::{self, ErrorClass, Errors, Loc, ValidationFailure, Violation};
use crate::fields::Fields;
use crate::json::{Json, has_nul};
use crate::metadata::plain_value;
use crate::meter::organization_token_error;
use crate::scalar::{self, WideInt};

/// Polar's name of the form with `customer_id`, which joins `loc`.
const BY_ID: &str = "EventCreateCustomer";
/// Polar's name of the form with `external_customer_id`, which joins `loc`.
const BY_EXTERNAL_ID: &str = "EventCreateExternalCustomer";

/// A batch of events.
#[derive(Debug, Clone, PartialEq)]
pub struct IngestRequest<'a> {
    /// The events, in order.
    pub events: Vec<NewEvent<'a>>,
    /// What business rules have to look at; only events that refer to something, in order.
    pub references: Vec<EventReferences>,
}

/// The ids in an event that must be known or must not be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventReferences {
    /// The event's place in the batch.
    pub index: usize,
    /// Not allowed to a caller that is an organization.
    pub organization_id: Option<Uuid>,
    /// Must be a live customer of the organization.
    pub customer_id: Option<CustomerId>,
    /// Never known: there are no members.
    pub member_id: Option<Uuid>,
}

impl<'a> IngestRequest<'a> {
    /// Reads a body; `None` after adding errors. `now` is when events without a timestamp
    /// happened, and the latest timestamp that there may be.
    pub fn parse(body: &'a Json<'a>, now: Timestamp, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let before = errors.len();
        let loc = Loc::BODY.key("events");
        let Some(list) = fields.get("events") else {
            errors.push(&loc, errors::missing(), body);
            return None;
        };
        let elements = scalar::list(list, &loc, errors)?;
        let mut events = Vec::with_capacity(elements.len());
        let mut references = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let loc = loc.index(index);
            if let Some((event, ids)) = Self::parse_event(element, &loc, now, errors) {
                if !ids.is_empty() {
                    references.push(EventReferences { index, ..ids });
                }
                events.push(event);
            }
        }
        (errors.len() == before && events.len() == elements.len())
            .then_some(Self { events, references })
    }

    /// Reads one event, which stands at `loc`; `None` after adding errors. The index of what it
    /// refers to is 0.
    pub(super) fn parse_event(
        json: &'a Json<'a>,
        loc: &Loc<'_>,
        now: Timestamp,
        errors: &mut Errors,
    ) -> Option<(NewEvent<'a>, EventReferences)> {
        let (event, ids) = EventForm::of(json, now).read(loc, errors)?;
        let Ids { organization_id, customer_id, member_id } = ids;
        Some((event, EventReferences { index: 0, organization_id, customer_id, member_id }))
    }

    /// What to answer if business rules are not met: at most one error an event, in the order of
    /// contract section 4.1. `is_customer` tells live customers of the organization.
    #[must_use]
    pub fn business_error(
        &self,
        is_organization_token: bool,
        mut is_customer: impl FnMut(CustomerId) -> bool,
    ) -> Option<ValidationFailure> {
        let mut errors = Errors::new();
        for references in &self.references {
            let is_unknown = |id: &CustomerId| !is_customer(*id);
            if references.organization_id.is_some() && is_organization_token {
                references.push_organization_token(&mut errors);
            } else if references.customer_id.as_ref().is_some_and(is_unknown) {
                references.push_customer_not_found(&mut errors);
            } else if references.member_id.is_some() {
                references.push_member_not_found(&mut errors);
            }
        }
        errors.into_result(ErrorClass::PolarRequestValidationError).err()
    }
}

impl EventReferences {
    /// Whether there is nothing to look at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { index: _, organization_id, customer_id, member_id } = self;
        organization_id.is_none() && customer_id.is_none() && member_id.is_none()
    }

    /// Adds the error that `organization_id` is not allowed; nothing if there is none.
    pub fn push_organization_token(&self, errors: &mut Errors) {
        if let Some(id) = self.organization_id {
            organization_token_error(&Loc::BODY.key("events").index(self.index), id, errors);
        }
    }

    /// Adds the error that the customer is unknown; nothing if there is no `customer_id`.
    pub fn push_customer_not_found(&self, errors: &mut Errors) {
        if let Some(id) = self.customer_id {
            self.push(errors, "customer_id", "Customer not found.", id.0);
        }
    }

    /// Adds the error that the member is unknown; nothing if there is no `member_id`.
    pub fn push_member_not_found(&self, errors: &mut Errors) {
        if let Some(id) = self.member_id {
            self.push(errors, "member_id", "Member not found.", id);
        }
    }

    fn push(&self, errors: &mut Errors, key: &'static str, msg: &'static str, id: Uuid) {
        let input = Json::Str(id.to_string().into());
        let loc = Loc::BODY.key("events");
        let loc = loc.index(self.index);
        errors.push(&loc.key(key), Violation::plain(key, msg), &input);
    }
}

/// The answer to an ingestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IngestResponse {
    /// New events; they are on disk.
    pub inserted: u64,
    /// Events whose `external_id` was known already, or came earlier in the batch.
    pub duplicates: u64,
}

/// The ids of an event that must be looked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ids {
    organization_id: Option<Uuid>,
    customer_id: Option<CustomerId>,
    member_id: Option<Uuid>,
}

/// The known members of an event, as they came.
struct EventForm<'a> {
    json: &'a Json<'a>,
    now: Timestamp,
    timestamp: Option<&'a Json<'a>>,
    name: Option<&'a Json<'a>>,
    organization_id: Option<&'a Json<'a>>,
    external_id: Option<&'a Json<'a>>,
    parent_id: Option<&'a Json<'a>>,
    metadata: Option<&'a Json<'a>>,
    customer_id: Option<&'a Json<'a>>,
    member_id: Option<&'a Json<'a>>,
    external_customer_id: Option<&'a Json<'a>>,
    external_member_id: Option<&'a Json<'a>>,
}

/// What both forms of an event have.
struct Common<'a> {
    timestamp: Timestamp,
    name: &'a str,
    organization_id: Option<Uuid>,
    external_id: Option<&'a str>,
    parent_id: Option<&'a str>,
    metadata: Metadata<'a>,
}

/// What tells the two forms apart.
struct Who<'a> {
    customer: CustomerRef<'a>,
    member_id: Option<Uuid>,
    external_member_id: Option<&'a str>,
}

impl<'a> EventForm<'a> {
    fn of(json: &'a Json<'a>, now: Timestamp) -> Self {
        let mut form = Self {
            json,
            now,
            timestamp: None,
            name: None,
            organization_id: None,
            external_id: None,
            parent_id: None,
            metadata: None,
            customer_id: None,
            member_id: None,
            external_customer_id: None,
            external_member_id: None,
        };
        for (key, value) in json.as_object().unwrap_or_default() {
            let slot = match &**key {
                "timestamp" => &mut form.timestamp,
                "name" => &mut form.name,
                "organization_id" => &mut form.organization_id,
                "external_id" => &mut form.external_id,
                "parent_id" => &mut form.parent_id,
                "metadata" => &mut form.metadata,
                "customer_id" => &mut form.customer_id,
                "member_id" => &mut form.member_id,
                "external_customer_id" => &mut form.external_customer_id,
                "external_member_id" => &mut form.external_member_id,
                _ => continue,
            };
            *slot = Some(value);
        }
        form
    }

    /// The event; `None` after adding errors, which stand under the name of the form whose
    /// customer key is there, the external one if both are, and under both names if none is.
    fn read(&self, loc: &Loc<'_>, errors: &mut Errors) -> Option<(NewEvent<'a>, Ids)> {
        let (by_id, by_external_id) = (loc.key(BY_ID), loc.key(BY_EXTERNAL_ID));
        match (self.customer_id.is_some(), self.external_customer_id.is_some()) {
            (false, false) => {
                self.refuse(&by_id, &by_external_id, errors);
                None
            }
            (true, false) => {
                let common = self.common(&by_id, errors);
                let who = self.by_id(&by_id, errors);
                Some(assemble(common?, who?))
            }
            (false, true) => {
                let common = self.common(&by_external_id, errors);
                let who = self.by_external_id(&by_external_id, errors);
                Some(assemble(common?, who?))
            }
            (true, true) => {
                let common = self.common(&by_external_id, errors);
                let mut found = Errors::new();
                let external = self.by_external_id(&by_external_id, &mut found);
                let customer = self.by_id(&by_id, &mut Errors::new());
                // Of two valid forms the one wins of which more keys are there.
                let more_by_id = self.member_id.is_some() && self.external_member_id.is_none();
                let who = match (customer, external) {
                    (Some(customer), None) if common.is_some() => Some(customer),
                    (Some(customer), Some(_)) if more_by_id => Some(customer),
                    (_, external) => external,
                };
                if common.is_none() || who.is_none() {
                    errors.append(found);
                }
                Some(assemble(common?, who?))
            }
        }
    }

    /// The errors of an event without a customer, or of what is no event at all.
    #[cold]
    fn refuse(&self, by_id: &Loc<'_>, by_external_id: &Loc<'_>, errors: &mut Errors) {
        let forms = [(by_id, "customer_id"), (by_external_id, "external_customer_id")];
        for (loc, key) in forms {
            if self.json.as_object().is_none() {
                errors.push(loc, errors::model_attributes_type(), self.json);
                continue;
            }
            self.common(loc, errors);
            errors.push(&loc.key(key), errors::missing(), self.json);
            if key == "customer_id" {
                self.member_id(loc, errors);
            } else {
                text_or_null(self.external_member_id, "external_member_id", loc, errors);
            }
        }
    }

    fn common(&self, loc: &Loc<'_>, errors: &mut Errors) -> Option<Common<'a>> {
        let timestamp = match self.timestamp {
            Some(json) => past(json, &loc.key("timestamp"), self.now, errors),
            None => Some(self.now),
        };
        let name = match self.name {
            Some(json) => name(json, &loc.key("name"), errors),
            None => {
                errors.push(&loc.key("name"), errors::missing(), self.json);
                None
            }
        };
        let organization_id = id_or_null(self.organization_id, "organization_id", loc, errors);
        let external_id = text_or_null(self.external_id, "external_id", loc, errors);
        let parent_id = text_or_null(self.parent_id, "parent_id", loc, errors);
        let metadata = match self.metadata {
            Some(json) => metadata(json, &loc.key("metadata"), errors),
            None => Some(Metadata::default()),
        };
        Some(Common {
            timestamp: timestamp?,
            name: name?,
            organization_id: organization_id?,
            external_id: external_id?,
            parent_id: parent_id?,
            metadata: metadata?,
        })
    }

    fn by_id(&self, loc: &Loc<'_>, errors: &mut Errors) -> Option<Who<'a>> {
        let customer_id =
            self.customer_id.and_then(|json| scalar::uuid4(json, &loc.key("customer_id"), errors));
        let member_id = self.member_id(loc, errors);
        Some(Who {
            customer: CustomerRef::Id(CustomerId(customer_id?)),
            member_id: member_id?,
            external_member_id: None,
        })
    }

    fn member_id(&self, loc: &Loc<'_>, errors: &mut Errors) -> Option<Option<Uuid>> {
        id_or_null(self.member_id, "member_id", loc, errors)
    }

    fn by_external_id(&self, loc: &Loc<'_>, errors: &mut Errors) -> Option<Who<'a>> {
        let external_id = self
            .external_customer_id
            .and_then(|json| text(json, &loc.key("external_customer_id"), errors));
        let external_member_id =
            text_or_null(self.external_member_id, "external_member_id", loc, errors);
        Some(Who {
            customer: CustomerRef::External(Cow::Borrowed(external_id?)),
            member_id: None,
            external_member_id: external_member_id?,
        })
    }
}

fn assemble<'a>(common: Common<'a>, who: Who<'a>) -> (NewEvent<'a>, Ids) {
    let ids = Ids {
        organization_id: common.organization_id,
        customer_id: match &who.customer {
            CustomerRef::Id(id) => Some(*id),
            CustomerRef::External(_) => None,
        },
        member_id: who.member_id,
    };
    let event = NewEvent {
        name: Cow::Borrowed(common.name),
        source: EventSource::User,
        customer: who.customer,
        timestamp: common.timestamp,
        external_id: common.external_id.map(Cow::Borrowed),
        parent_id: common.parent_id.map(Cow::Borrowed),
        external_member_id: who.external_member_id.map(Cow::Borrowed),
        metadata: common.metadata,
    };
    (event, ids)
}

pub(super) fn past(
    json: &Json<'_>,
    loc: &Loc<'_>,
    now: Timestamp,
    errors: &mut Errors,
) -> Option<Timestamp> {
    let timestamp = scalar::aware_datetime(json, loc, errors)?.timestamp();
    if timestamp > now {
        errors.push(loc, errors::value_error("Timestamp must be in the past."), json);
        return None;
    }
    Some(timestamp)
}

fn name<'a>(json: &'a Json<'a>, loc: &Loc<'_>, errors: &mut Errors) -> Option<&'a str> {
    let name = scalar::sized_string(json, loc, errors, 0, EVENT_NAME_CHARS_MAX)?;
    without_nul(name, json, loc, errors)
}

fn text<'a>(json: &'a Json<'a>, loc: &Loc<'_>, errors: &mut Errors) -> Option<&'a str> {
    let text = scalar::string(json, loc, errors)?;
    without_nul(text, json, loc, errors)
}

fn without_nul<'a>(
    text: &'a str,
    json: &Json<'_>,
    loc: &Loc<'_>,
    errors: &mut Errors,
) -> Option<&'a str> {
    if has_nul(text) {
        errors.push(loc, errors::invalid_characters(), json);
        return None;
    }
    Some(text)
}

/// `Some(None)` if it is absent or null.
fn text_or_null<'a>(
    json: Option<&'a Json<'a>>,
    key: &str,
    loc: &Loc<'_>,
    errors: &mut Errors,
) -> Option<Option<&'a str>> {
    match json {
        None | Some(Json::Null) => Some(None),
        Some(json) => text(json, &loc.key(key), errors).map(Some),
    }
}

/// `Some(None)` if it is absent or null.
fn id_or_null(
    json: Option<&Json<'_>>,
    key: &str,
    loc: &Loc<'_>,
    errors: &mut Errors,
) -> Option<Option<Uuid>> {
    match json {
        None | Some(Json::Null) => Some(None),
        Some(json) => scalar::uuid4(json, &loc.key(key), errors).map(Some),
    }
}

/// Free keys with plain values, and the two reserved ones.
fn metadata<'a>(json: &'a Json<'a>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Metadata<'a>> {
    let members = scalar::dict(json, loc, errors)?;
    if json.has_nul() {
        errors.push(loc, errors::invalid_characters(), json);
        return None;
    }
    let mut entries = Vec::with_capacity(members.len());
    for (key, value) in members {
        let loc = loc.key(key);
        let value = match &**key {
            "_cost" => cost(value, &loc, errors),
            "_llm" => llm(value, &loc, errors),
            _ => plain_value(value, &loc, errors),
        };
        entries.extend(value.map(|value| (Cow::Borrowed(&**key), value)));
    }
    (entries.len() == members.len()).then(|| Metadata::from_distinct(entries))
}

/// `_cost`: an exact decimal amount of US dollars.
fn cost<'a>(json: &'a Json<'a>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Value<'a>> {
    scalar::dict(json, loc, errors)?;
    let fields = Fields::of(json, loc, errors)?;
    let amount = fields.required("amount", errors, scalar::decimal);
    let currency = fields.required("currency", errors, usd);
    let amount = amount?;
    let amount = Number::decimal(amount.mantissa(), amount.scale())?;
    Some(Value::Object(Metadata::from_distinct(vec![
        (Cow::Borrowed("amount"), Value::Number(amount)),
        (Cow::Borrowed("currency"), Value::String(Cow::Borrowed(currency?))),
    ])))
}

/// Exactly `usd`, though the pattern is only searched for in Polar (S20).
fn usd<'a>(json: &'a Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<&'a str> {
    let currency = scalar::string(json, loc, errors)?;
    if currency != "usd" {
        errors.push(loc, errors::string_pattern_mismatch("usd"), json);
        return None;
    }
    Some(currency)
}

/// `_llm`: what a language model was asked.
fn llm<'a>(json: &'a Json<'a>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Value<'a>> {
    scalar::dict(json, loc, errors)?;
    let fields = Fields::of(json, loc, errors)?;
    let mut entries = Vec::with_capacity(8);
    let mut add = |key, value: Option<Value<'a>>| {
        entries.extend(value.map(|value| (Cow::Borrowed(key), value)));
    };
    let before = errors.len();
    for key in ["vendor", "model"] {
        add(key, fields.required(key, errors, scalar::string).map(text_value));
    }
    for key in ["prompt", "response"] {
        let text = fields.optional(key, errors, scalar::string);
        add(key, Some(text.map_or(Value::Null, text_value)));
    }
    add("input_tokens", fields.required("input_tokens", errors, integer));
    add("cached_input_tokens", fields.present("cached_input_tokens", errors, integer));
    for key in ["output_tokens", "total_tokens"] {
        add(key, fields.required(key, errors, integer));
    }
    (errors.len() == before).then(|| Value::Object(Metadata::from_distinct(entries)))
}

fn text_value(text: &str) -> Value<'_> {
    Value::String(Cow::Borrowed(text))
}

/// An integer of any size.
fn integer<'a>(json: &'a Json<'a>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Value<'a>> {
    let number = match (scalar::int(json, loc, errors)?, json) {
        (WideInt::In(value), _) => Number::Int(value),
        (_, Json::BigInt(digits)) => Number::integer(digits)?,
        // Text such as ` +1_000.0`, in more digits.
        (_, json) => {
            let text = json.as_str().unwrap_or_default();
            let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
            let digits: String =
                whole.chars().filter(|char| *char == '-' || char.is_ascii_digit()).collect();
            Number::integer(&digits)?.into_owned()
        }
    };
    Some(Value::Number(number))
}
