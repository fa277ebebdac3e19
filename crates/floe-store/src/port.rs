//! The storage port: what Floe asks of a backend, whichever it is.
//!
//! Every call names the organization, or organizations, that it may see.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What lists are sorted by: as the wire names it.
pub use floe_api::{
    customer::CustomerSort, customer_quantity::CustomerQuantitySort, meter::MeterSort,
    organization::OrganizationSort, query::Direction, token::TokenSort,
};
use floe_core::{
    AccessTokenId, Address, Aggregation, Customer, CustomerId, CustomerKind, CustomerMeterId,
    CustomerMeterUnits, CustomerQuantitiesQuery, CustomerRef, CustomerSelection, EventId,
    EventSource, EventTypeId, Filter, Metadata, MetadataCondition, Meter, MeterId, MeterQuantities,
    MeterUnit, NewEvent, Organization, OrganizationId, QuantityQuery, Scope, Timestamp,
};

/// Why a backend did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Too much is waiting to be written; nothing of this request was stored.
    #[error("too many events are waiting to be written")]
    Busy,
    /// The events in memory reached their limit and cannot be sealed; nothing of this request was
    /// stored.
    #[error("the events in memory reached their limit of {limit_bytes} bytes: {why}")]
    Full {
        /// The limit.
        limit_bytes: usize,
        /// Why they cannot be sealed.
        why: String,
    },
    /// A write or sync failed, so nothing can be accepted until a restart. Of this request, what
    /// was not acknowledged may or may not be there after it.
    #[error("writing stopped: {0}")]
    Poisoned(String),
    /// The catalog failed.
    #[error("the catalog cannot be written")]
    Catalog(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Stored data cannot be read: a file is not what was written, or the disk fails.
    #[error("{0}")]
    Damaged(String),
    /// A backup cannot be made or restored.
    #[error("{0}")]
    Backup(String),
    /// Stored data cannot be read, or the folder is not ours to open.
    #[error("{0}")]
    Open(String),
}

/// Result of a call to a backend.
pub type Result<T> = std::result::Result<T, StoreError>;

/// One page of a list that was asked for, from `offset` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Items before the page.
    pub offset: u64,
    /// Items on the page, at most 100.
    pub limit: u64,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The page's items.
    pub items: Vec<T>,
    /// Items of the whole list.
    pub total_count: u64,
}

/// What became of the events of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IngestReport {
    /// New events.
    pub inserted: u64,
    /// Events whose external id was known already.
    pub duplicates: u64,
}

/// Which events to list.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// They pass this filter.
    pub filter: Option<Filter>,
    /// Strictly after this instant.
    pub after: Option<Timestamp>,
    /// Strictly before this instant.
    pub before: Option<Timestamp>,
    /// Of these customers.
    pub customers: Option<CustomerSelection>,
    /// Counted by a meter with this filter and aggregation.
    pub meter: Option<(Filter, Aggregation)>,
    /// With one of these names; any if empty.
    pub names: Vec<String>,
    /// From one of these sources; any if empty.
    pub sources: Vec<EventSource>,
    /// Holding this text, whatever the case.
    pub text: Option<TextQuery>,
    /// Below this event: its children, or with `depth` its descendants down to there.
    pub parent_id: Option<EventId>,
    /// Without `parent_id`: so many levels below a root, 0 for roots alone.
    pub depth: Option<u8>,
    /// Whose metadata passes.
    pub metadata: Vec<MetadataCondition>,
}

/// A search over events.
#[derive(Debug, Clone)]
pub struct TextQuery {
    /// The text, in lower case.
    pub needle: String,
    /// Customers in whose names and addresses it occurs.
    pub customers: CustomerSelection,
}

/// Where an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventAddress {
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Its id.
    pub id: EventId,
}

/// An event as the wire shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// What was ingested.
    pub event: NewEvent<'static>,
    /// The event that its `parent_id` stands for, if that is there.
    pub parent_id: Option<EventId>,
    /// How many events have it for a parent.
    pub child_count: u64,
}

/// Which events to export.
#[derive(Debug, Clone, Default)]
pub struct ExportQuery {
    /// They pass this filter.
    pub filter: Option<Filter>,
    /// At this instant or after it.
    pub start: Option<Timestamp>,
    /// Strictly before this instant.
    pub end: Option<Timestamp>,
    /// Of these customers.
    pub customers: Option<CustomerSelection>,
    /// Counted by a meter with this filter and aggregation.
    pub meter: Option<(Filter, Aggregation)>,
    /// With one of these names; any if empty.
    pub names: Vec<String>,
    /// Whose metadata passes.
    pub metadata: Vec<MetadataCondition>,
}

/// Appends an event to what is exported.
pub type WriteEvent = fn(&NewEvent<'_>, &mut Vec<u8>);

/// An export under way: users' events in order of ingestion, those that there were at its
/// beginning. Dropped, it stops.
///
/// Each event is as it can be ingested into another organization, where it then counts as here and
/// has the same parent. So an event without an external id has its id for one (and if another event
/// has that for its external id, `/2` or a higher number behind it); a parent is called by that,
/// too; a live customer who has an external id is called by it; and the id of a deleted customer,
/// which cannot be ingested any longer, stands as an external one.
pub trait EventExport: Send {
    /// The next events, as `write` writes them: after so many bytes no further one is begun. It may
    /// be none of them, where few match; `None` behind the last one.
    fn next(
        &mut self,
        write: WriteEvent,
        bytes: usize,
    ) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send;
}

/// Which events to follow, as they are ingested.
#[derive(Debug, Clone, Default)]
pub struct FollowQuery {
    /// They pass this filter.
    pub filter: Option<Filter>,
    /// Of these customers.
    pub customers: Option<CustomerSelection>,
    /// With one of these names; any if empty.
    pub names: Vec<String>,
    /// What a meter with this definition counts.
    pub meter: Option<(Filter, Aggregation)>,
}

/// Events that were found in one step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Followed {
    /// They, in order of ingestion.
    pub events: Vec<EventId>,
    /// The number behind the last event that was looked at.
    pub next: u64,
}

/// Which names to list.
#[derive(Debug, Clone, Default)]
pub struct NameQuery {
    /// Of these customers' events.
    pub customers: Option<CustomerSelection>,
    /// From one of these sources; any if empty.
    pub sources: Vec<EventSource>,
    /// Only events without a parent.
    pub root_events: bool,
    /// Only children of this event.
    pub parent_id: Option<EventId>,
}

/// A name of events, by source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRow {
    /// Its organization.
    pub organization_id: OrganizationId,
    /// The name.
    pub name: String,
    /// The source.
    pub source: EventSource,
    /// How many events have it.
    pub occurrences: u64,
    /// The earliest event timestamp.
    pub first_seen: Timestamp,
    /// The latest event timestamp.
    pub last_seen: Timestamp,
    /// When the first of them was ingested.
    pub created_at: Timestamp,
}

/// What a customer consumed and was credited on a meter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CustomerMeterRow {
    /// The units.
    pub units: CustomerMeterUnits,
    /// When the newest matching user event, credit or reset was ingested.
    pub modified_at: Option<Timestamp>,
}

/// What a customer has on a meter over a period.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerQuantityRow {
    /// Whose events they are by id, or by the external id of a live customer.
    pub customer_id: Option<CustomerId>,
    /// The external id of a live customer who has one, or else, without `customer_id`, one that
    /// nobody has.
    pub external_customer_id: Option<String>,
    /// The customer with the id, who may be deleted.
    pub customer: Option<Arc<Customer>>,
    /// See [`CustomerQuantitiesQuery`].
    pub quantity: f64,
}

/// A credit to append.
#[derive(Debug, Clone)]
pub struct NewCredit {
    /// Whom it is for.
    pub customer: CustomerId,
    /// On which meter.
    pub meter: MeterId,
    /// Units, not zero; negative to revoke.
    pub units: i64,
    /// Whether what is left of it survives a reset.
    pub rollover: bool,
    /// The caller's id, in the namespace of events'.
    pub external_id: Option<String>,
}

/// An organization's access token, without its secret.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessToken {
    /// Its id.
    pub id: AccessTokenId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed, if ever.
    pub modified_at: Option<Timestamp>,
    /// What it is for.
    pub comment: String,
    /// What it may do; sorted, distinct.
    pub scopes: Vec<Scope>,
    /// When it ends, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// SHA-256 of a token; the token itself is never stored.
pub type TokenHash = [u8; 32];

/// Which organizations' rows a call may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Organizations {
    /// All: the root token's.
    All,
    /// These, and no others.
    These(Vec<OrganizationId>),
}

impl Organizations {
    /// One organization.
    #[must_use]
    pub fn one(id: OrganizationId) -> Self {
        Self::These(vec![id])
    }

    /// Whether rows of an organization may be seen.
    #[must_use]
    pub fn contains(&self, id: OrganizationId) -> bool {
        match self {
            Self::All => true,
            Self::These(ids) => ids.contains(&id),
        }
    }

    /// Those of them that are also in a list; an absent list restricts nothing.
    #[must_use]
    pub fn restrict(self, to: Option<Vec<OrganizationId>>) -> Self {
        match to {
            None => self,
            Some(ids) => Self::These(ids.into_iter().filter(|&id| self.contains(id)).collect()),
        }
    }
}

/// A meter to create.
#[derive(Debug, Clone)]
pub struct NewMeter {
    /// See [`Meter::name`].
    pub name: String,
    /// See [`Meter::unit`].
    pub unit: MeterUnit,
    /// See [`Meter::custom_label`].
    pub custom_label: Option<String>,
    /// See [`Meter::custom_multiplier`].
    pub custom_multiplier: Option<i64>,
    /// See [`Meter::filter`].
    pub filter: Filter,
    /// See [`Meter::aggregation`].
    pub aggregation: Aggregation,
    /// See [`Meter::metadata`].
    pub metadata: Metadata<'static>,
}

/// A change of a meter: what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct MeterPatch {
    /// A new name.
    pub name: Option<String>,
    /// A new unit.
    pub unit: Option<MeterUnit>,
    /// A new label, or none.
    pub custom_label: Option<Option<String>>,
    /// A new multiplier, or none.
    pub custom_multiplier: Option<Option<i64>>,
    /// A new filter.
    pub filter: Option<Filter>,
    /// A new aggregation.
    pub aggregation: Option<Aggregation>,
    /// New metadata in place of the old.
    pub metadata: Option<Metadata<'static>>,
    /// To archive now, or to take out of the archive.
    pub is_archived: Option<bool>,
}

/// Which meters to list.
#[derive(Debug, Clone, Default)]
pub struct MeterQuery {
    /// In whose names this occurs, whatever the case.
    pub name_contains: Option<String>,
    /// Archived ones, or those that are not.
    pub is_archived: Option<bool>,
    /// Whose metadata passes.
    pub metadata: Vec<MetadataCondition>,
}

/// A customer to create.
#[derive(Debug, Clone)]
pub struct NewCustomer {
    /// See [`Customer::kind`].
    pub kind: CustomerKind,
    /// See [`Customer::email`].
    pub email: Option<String>,
    /// See [`Customer::external_id`].
    pub external_id: Option<String>,
    /// See [`Customer::name`].
    pub name: Option<String>,
    /// See [`Customer::billing_address`].
    pub billing_address: Option<Address>,
    /// See [`Customer::locale`].
    pub locale: Option<String>,
    /// See [`Customer::metadata`].
    pub metadata: Metadata<'static>,
}

/// A change of a customer: what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct CustomerPatch {
    /// A new address.
    pub email: Option<String>,
    /// A new name, or none.
    pub name: Option<Option<String>>,
    /// The external id that it shall have, or none: refused if it has another.
    pub external_id: Option<Option<String>>,
    /// What kind it shall be: a team stays a team.
    pub kind: Option<CustomerKind>,
    /// A new address.
    pub billing_address: Option<Address>,
    /// A new locale, or none.
    pub locale: Option<Option<String>>,
    /// New metadata in place of the old.
    pub metadata: Option<Metadata<'static>>,
    /// Whether to tell refusals alone, and write nothing.
    pub check_only: bool,
}

/// Why a customer was not created or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerRefusal {
    /// Another live customer has the e-mail address.
    EmailTaken,
    /// Another live customer has the external id.
    ExternalIdTaken,
    /// It has an external id, which never changes.
    ExternalIdSet,
    /// It is a team, and stays one.
    TeamStaysTeam,
}

/// Which customers to list.
#[derive(Debug, Clone, Default)]
pub struct CustomerQuery {
    /// With this address, whatever the case.
    pub email: Option<String>,
    /// In whose address or name this occurs, or whose external id begins with it, whatever the
    /// case.
    pub text: Option<String>,
    /// Whose metadata passes.
    pub metadata: Vec<MetadataCondition>,
}

/// A change of an access token: what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct TokenPatch {
    /// A new comment.
    pub comment: Option<String>,
    /// New scopes in place of the old.
    pub scopes: Option<Vec<Scope>>,
}

/// What an organization changed of an event type: its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLabel {
    /// Shown instead of the name.
    pub label: String,
    /// Kept for clients.
    pub label_property_selector: Option<String>,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

/// Criteria of a sort, in order.
pub type Sorting<T> = Vec<(T, Direction)>;

/// Events and what is computed from them.
pub trait EventStore: Sync {
    /// An export under way.
    type Export: EventExport + 'static;

    /// Stores events. When this returns they are synced to disk and every read sees them; if it
    /// fails, nothing of them is acknowledged.
    fn ingest(
        &self,
        organization: OrganizationId,
        events: &[NewEvent<'_>],
    ) -> impl Future<Output = Result<IngestReport>> + Send + use<Self>;

    /// Appends a credit, at the time of its commit. `false` if its external id was known, and
    /// nothing was credited.
    fn credit(
        &self,
        organization: OrganizationId,
        credit: NewCredit,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Appends a reset, later than all that was stored before it, and in the same record what it
    /// carries over (semantics section 12).
    fn reset(
        &self,
        organization: OrganizationId,
        customer: Arc<Customer>,
        meter: Arc<Meter>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The quantities of a meter. Customers in the query are resolved by the caller.
    fn quantities(
        &self,
        organization: OrganizationId,
        query: QuantityQuery,
    ) -> impl Future<Output = Result<MeterQuantities>> + Send;

    /// The quantities of a meter that is not kept: all events that may count are looked at, and
    /// nothing is derived from them that would stay. `None` if that took longer than it may.
    fn quantities_once(
        &self,
        organization: OrganizationId,
        query: QuantityQuery,
        time_max: Duration,
    ) -> impl Future<Output = Result<Option<MeterQuantities>>> + Send;

    /// A page of the customers of a meter who have an event that counts, with what each has. A text
    /// leaves those in whose names or addresses it occurs, or whose external ids begin with it,
    /// whatever the case.
    fn customer_quantities(
        &self,
        organization: OrganizationId,
        query: CustomerQuantitiesQuery,
        text: Option<String>,
        sorting: Sorting<CustomerQuantitySort>,
        page: PageRequest,
    ) -> impl Future<Output = Result<Page<CustomerQuantityRow>>> + Send;

    /// Whether any event, credit or reset counts on a meter.
    fn meter_has_events(&self, meter: Arc<Meter>) -> impl Future<Output = Result<bool>> + Send;

    /// A page of events by timestamp, over organizations with a query each. The events themselves
    /// are asked for one by one ([`event`](Self::event)): each may be as large as a request.
    fn list_events(
        &self,
        searches: Vec<(OrganizationId, EventQuery)>,
        page: PageRequest,
        direction: Direction,
    ) -> impl Future<Output = Result<Page<EventAddress>>> + Send;

    /// Hands the newest events that a query finds to `look`, by timestamp, the newest first, at most
    /// so many; one is in memory at a time. Answers what `look` made of `state`.
    fn newest_events<T: Send + 'static>(
        &self,
        organization: OrganizationId,
        query: EventQuery,
        limit: u64,
        state: T,
        look: fn(&mut T, EventId, &NewEvent<'_>),
    ) -> impl Future<Output = Result<T>> + Send;

    /// An event.
    fn event(
        &self,
        organizations: &Organizations,
        id: EventId,
    ) -> impl Future<Output = Result<Option<EventRow>>> + Send;

    /// Begins an export of an organization's events.
    fn export_events(&self, organization: OrganizationId, query: ExportQuery) -> Self::Export;

    /// How many events an organization has; credits and resets are some. They are numbered from 0
    /// in order of ingestion, and keep their numbers.
    fn count_events(&self, organization: OrganizationId) -> u64;

    /// How many events of an organization were not stored since this process started, because
    /// their external id was known.
    fn count_duplicates(&self, organization: OrganizationId) -> u64;

    /// The number of an event; `None` if the organization has none with this id.
    fn event_number(
        &self,
        organization: OrganizationId,
        id: EventId,
    ) -> impl Future<Output = Result<Option<u64>>> + Send;

    /// The id of the event with a number; `None` if there are not as many.
    fn event_id(
        &self,
        organization: OrganizationId,
        number: u64,
    ) -> impl Future<Output = Result<Option<EventId>>> + Send;

    /// The next events from a number on that a query finds: at most so many, among a bounded number
    /// that are looked at. So there may be none of them while [`Followed::next`] is before the last.
    fn follow_events(
        &self,
        organization: OrganizationId,
        from: u64,
        query: FollowQuery,
        limit: usize,
    ) -> impl Future<Output = Result<Followed>> + Send;

    /// The names of an organization's events, in no order.
    fn event_names(
        &self,
        organization: OrganizationId,
        query: NameQuery,
    ) -> impl Future<Output = Result<Vec<NameRow>>> + Send;

    /// The earliest user event of a customer, under either spelling.
    fn first_user_event_at(
        &self,
        customer: &Customer,
    ) -> impl Future<Output = Result<Option<Timestamp>>> + Send;

    /// What customers of one organization consumed and were credited on its meters: by customer,
    /// then meter.
    fn customer_meters(
        &self,
        organization: OrganizationId,
        customers: Vec<Arc<Customer>>,
        meters: Vec<Arc<Meter>>,
    ) -> impl Future<Output = Result<Vec<Vec<CustomerMeterRow>>>> + Send;

    /// The id of a customer and a meter.
    fn customer_meter_id(&self, customer: &Customer, meter: &Meter) -> CustomerMeterId;

    /// The id of an organization's event name.
    fn event_type_id(&self, organization: OrganizationId, name: &str) -> EventTypeId;
}

/// Organizations, tokens, customers, meters and labels.
pub trait Catalog: Sync {
    /// Creates an organization; `None` if the slug is taken.
    fn create_organization(
        &self,
        name: String,
        slug: String,
    ) -> impl Future<Output = Result<Option<Arc<Organization>>>> + Send;

    /// Renames an organization; `None` if it is not there. No name, no change.
    fn update_organization(
        &self,
        id: OrganizationId,
        name: Option<String>,
    ) -> impl Future<Output = Result<Option<Arc<Organization>>>> + Send;

    /// An organization.
    fn organization(&self, id: OrganizationId) -> Option<Arc<Organization>>;

    /// The ids of all organizations among these that exist, in order of creation.
    fn organization_ids(&self, organizations: &Organizations) -> Vec<OrganizationId>;

    /// A page of organizations.
    fn list_organizations(
        &self,
        organizations: &Organizations,
        slug: Option<&str>,
        sorting: &Sorting<OrganizationSort>,
        page: PageRequest,
    ) -> Page<Arc<Organization>>;

    /// Creates a token whose secret has this hash.
    fn create_token(
        &self,
        token: AccessToken,
        hash: TokenHash,
    ) -> impl Future<Output = Result<Arc<AccessToken>>> + Send;

    /// The live token whose secret has this hash, and notes that it was used.
    fn authenticate(&self, hash: &TokenHash) -> Option<Arc<AccessToken>>;

    /// Whether this is the hash of the root token that the folder keeps.
    fn is_root_token(&self, hash: &TokenHash) -> bool;

    /// A page of tokens.
    fn list_tokens(
        &self,
        organizations: &Organizations,
        sorting: &Sorting<TokenSort>,
        page: PageRequest,
    ) -> Page<Arc<AccessToken>>;

    /// A token.
    fn token(&self, organizations: &Organizations, id: AccessTokenId) -> Option<Arc<AccessToken>>;

    /// Changes a token; `None` if it is not there.
    fn update_token(
        &self,
        organization: OrganizationId,
        id: AccessTokenId,
        patch: TokenPatch,
    ) -> impl Future<Output = Result<Option<Arc<AccessToken>>>> + Send;

    /// Revokes a token; `false` if it is not there.
    fn delete_token(
        &self,
        organization: OrganizationId,
        id: AccessTokenId,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Creates a meter.
    fn create_meter(
        &self,
        organization: OrganizationId,
        meter: NewMeter,
    ) -> impl Future<Output = Result<Arc<Meter>>> + Send;

    /// A meter.
    fn meter(&self, organizations: &Organizations, id: MeterId) -> Option<Arc<Meter>>;

    /// Changes a meter; `None` if it is not there.
    fn update_meter(
        &self,
        organization: OrganizationId,
        id: MeterId,
        patch: MeterPatch,
    ) -> impl Future<Output = Result<Option<Arc<Meter>>>> + Send;

    /// A page of meters.
    fn list_meters(
        &self,
        organizations: &Organizations,
        query: &MeterQuery,
        sorting: &Sorting<MeterSort>,
        page: PageRequest,
    ) -> Page<Arc<Meter>>;

    /// Creates a customer, unless its address or external id is taken.
    fn create_customer(
        &self,
        organization: OrganizationId,
        customer: NewCustomer,
    ) -> impl Future<Output = Result<std::result::Result<Arc<Customer>, Vec<CustomerRefusal>>>> + Send;

    /// A live customer.
    fn customer(&self, organizations: &Organizations, id: CustomerId) -> Option<Arc<Customer>>;

    /// The live customer with an external id.
    fn customer_by_external_id(
        &self,
        organization: OrganizationId,
        external_id: &str,
    ) -> Option<Arc<Customer>>;

    /// Whom an event is of, as far as that is known now: by id also a deleted customer.
    fn customer_of_event(
        &self,
        organization: OrganizationId,
        customer: &CustomerRef<'_>,
    ) -> Option<Arc<Customer>>;

    /// Changes a customer, unless that is refused; `None` if it is not there.
    fn update_customer(
        &self,
        organization: OrganizationId,
        id: CustomerId,
        patch: CustomerPatch,
    ) -> impl Future<
        Output = Result<Option<std::result::Result<Arc<Customer>, Vec<CustomerRefusal>>>>,
    > + Send;

    /// Deletes a customer, for reads; `false` if it is not there.
    fn delete_customer(
        &self,
        organization: OrganizationId,
        id: CustomerId,
        anonymize: bool,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// A page of live customers.
    fn list_customers(
        &self,
        organizations: &Organizations,
        query: &CustomerQuery,
        sorting: &Sorting<CustomerSort>,
        page: PageRequest,
    ) -> Page<Arc<Customer>>;

    /// The customers with one of these ids or external ids; see
    /// [`CustomerSelection::resolve`] and [`CustomerSelection::resolve_for_lists`].
    fn select_customers(
        &self,
        organization: OrganizationId,
        ids: &[CustomerId],
        external_ids: &[String],
        for_lists: bool,
    ) -> CustomerSelection;

    /// The live customers whose name, e-mail address or external id holds a text in lower case.
    fn search_customers(&self, organization: OrganizationId, needle: &str) -> CustomerSelection;

    /// All live customers of an organization, in order of creation.
    fn customers(&self, organization: OrganizationId) -> Vec<Arc<Customer>>;

    /// All meters of an organization, in order of creation.
    fn meters(&self, organization: OrganizationId) -> Vec<Arc<Meter>>;

    /// The live customer and the meter that an id stands for.
    fn customer_meter(
        &self,
        organizations: &Organizations,
        id: CustomerMeterId,
    ) -> Option<(Arc<Customer>, Arc<Meter>)>;

    /// The label of an event name, if it was ever changed.
    fn event_label(&self, organization: OrganizationId, name: &str) -> Option<Arc<EventLabel>>;

    /// Changes the label of an event name.
    fn set_event_label(
        &self,
        organization: OrganizationId,
        name: String,
        label: String,
        label_property_selector: Option<String>,
    ) -> impl Future<Output = Result<Arc<EventLabel>>> + Send;
}
