//! Folders, stores and short ways to ask them.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use floe_core::{
    Aggregation, Customer, CustomerKind, CustomerRef, EventSource, Filter, Metadata, Meter,
    MeterUnit, NewEvent, Number, OrganizationId, QuantityQuery, TimeZone, Timestamp, Value,
};
use floe_store::embedded::{EmbeddedOptions, EmbeddedStore};
use floe_store::port::{
    Catalog as _, Direction, EventAddress, EventQuery, EventRow, EventStore as _, IngestReport,
    NewCustomer, NewMeter, Organizations, Page, PageRequest, StoreError,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Midnight of 1 January 2024, UTC, in microseconds.
pub(crate) const DAY_ONE: i64 = 1_704_067_200_000_000;
pub(crate) const HOUR: i64 = 3_600_000_000;
pub(crate) const ALL: PageRequest = PageRequest { offset: 0, limit: u64::MAX };

/// In memory if there is such a folder: these tests sync often.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

pub(crate) fn open(folder: &Path) -> EmbeddedStore {
    open_with(folder, EmbeddedOptions::default())
}

/// Seals after so few events that any test's are in many segments, some of them merged.
pub(crate) fn sealing() -> EmbeddedOptions {
    EmbeddedOptions { seal_events: 10, segment_columns_max: 40, ..EmbeddedOptions::default() }
}

#[track_caller]
pub(crate) fn open_with(folder: &Path, options: EmbeddedOptions) -> EmbeddedStore {
    EmbeddedStore::open(folder, options).unwrap().0
}

/// Why a folder is not opened.
#[track_caller]
pub(crate) fn refusal(folder: &Path) -> String {
    match EmbeddedStore::open(folder, EmbeddedOptions::default()) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

pub(crate) fn organization(store: &EmbeddedStore) -> OrganizationId {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let made = wait(store.create_organization("Test".to_owned(), format!("test-{number}")));
    made.unwrap().unwrap().id
}

pub(crate) fn customer(
    store: &EmbeddedStore,
    organization: OrganizationId,
    external_id: Option<&str>,
) -> Arc<Customer> {
    let customer = NewCustomer {
        kind: CustomerKind::Individual,
        email: None,
        external_id: external_id.map(str::to_owned),
        name: None,
        billing_address: None,
        locale: None,
        metadata: Metadata::default(),
    };
    wait(store.create_customer(organization, customer)).unwrap().unwrap()
}

pub(crate) fn meter(
    store: &EmbeddedStore,
    organization: OrganizationId,
    filter: Filter,
    aggregation: Aggregation,
) -> Arc<Meter> {
    let meter = NewMeter {
        name: "Meter".to_owned(),
        unit: MeterUnit::Scalar,
        custom_label: None,
        custom_multiplier: None,
        filter,
        aggregation,
        metadata: Metadata::default(),
    };
    wait(store.create_meter(organization, meter)).unwrap()
}

pub(crate) fn instant(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

/// A user's event with nothing special.
pub(crate) fn event(customer: &str, micros: i64, external_id: Option<&str>) -> NewEvent<'static> {
    NewEvent {
        name: "call".into(),
        source: EventSource::User,
        customer: CustomerRef::External(customer.to_owned().into()),
        timestamp: instant(micros),
        external_id: external_id.map(|text| text.to_owned().into()),
        parent_id: None,
        external_member_id: None,
        metadata: metadata([("value", Value::Number(Number::Int(1)))]),
    }
}

pub(crate) fn metadata<const N: usize>(
    entries: [(&'static str, Value<'static>); N],
) -> Metadata<'static> {
    Metadata::from_distinct(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

pub(crate) fn ingest(
    store: &EmbeddedStore,
    organization: OrganizationId,
    events: &[NewEvent<'_>],
) -> Result<IngestReport, StoreError> {
    wait(store.ingest(organization, events))
}

pub(crate) fn list(
    store: &EmbeddedStore,
    organization: OrganizationId,
    query: EventQuery,
) -> Page<EventRow> {
    page(store, organization, query, ALL, Direction::Ascending)
}

/// A page of a list, with the events that it addresses.
pub(crate) fn page(
    store: &EmbeddedStore,
    organization: OrganizationId,
    query: EventQuery,
    page: PageRequest,
    direction: Direction,
) -> Page<EventRow> {
    let searches = vec![(organization, query)];
    let Page { items, total_count } = wait(store.list_events(searches, page, direction)).unwrap();
    let of = Organizations::one(organization);
    let row = |address: EventAddress| wait(store.event(&of, address.id)).unwrap().unwrap();
    Page { items: items.into_iter().map(row).collect(), total_count }
}

/// A count of the events of 2024, by day.
pub(crate) fn count_query() -> QuantityQuery {
    QuantityQuery {
        filter: Filter::all(),
        aggregation: Aggregation::count(),
        start: instant(DAY_ONE),
        end: instant(DAY_ONE + 365 * 24 * HOUR),
        interval: floe_core::Interval::Month,
        zone: TimeZone::utc(),
        customers: None,
        customer_aggregation: None,
        metadata: Vec::new(),
    }
}

pub(crate) fn count(store: &EmbeddedStore, organization: OrganizationId) -> u64 {
    wait(store.quantities(organization, count_query())).unwrap().total as u64
}
