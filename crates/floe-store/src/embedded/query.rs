//! Questions to one or more organizations' events.
//!
//! Frozen chunks are read without any lock; the chunk that still grows is read under the
//! organization's lock, and is small (see `chunk::ROWS_MAX`). No reader waits for the disk.

use std::cell::OnceCell;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use floe_core::{
    Accumulator, Aggregation, Credit, Customer, CustomerDirectory, CustomerKey, CustomerMeterUnits,
    CustomerRef, CustomerSelection, CustomerSlot, EVERYBODY, EventId, EventSource, Filter,
    FilterClause, Measure, MetadataCondition, Meter, MeterQuantities, Number, OrganizationId,
    Property, QuantityAccumulator, QuantityQuery, Sequence, Series, Timestamp, Value,
    is_credit_or_reset,
};

use super::chunk::{Chunk, Row, Slot};
use super::tail::{Ledger, NameStats, OrganizationTail};
use crate::port::{
    CustomerMeterRow, Direction, EventAddress, EventQuery, EventRow, NameQuery, NameRow, Page,
    PageRequest, TextQuery,
};

/// An organization's events and the lock that guards them.
pub(super) type SharedTail = RwLock<OrganizationTail>;

/// Reads under the lock. A panic while it was held for writing poisons it; the writer is the
/// committer, which then stops accepting, and what is there stays readable.
pub(super) fn read(tail: &SharedTail) -> RwLockReadGuard<'_, OrganizationTail> {
    tail.read().unwrap_or_else(PoisonError::into_inner)
}

/// Visits every chunk with the number of its first event: the growing one first, under the lock
/// that `prepare` ran under, so that the two see the same events.
fn scan<T>(
    tail: &SharedTail,
    prepare: impl FnOnce(&OrganizationTail) -> T,
    mut visit: impl FnMut(&mut T, u64, &Chunk) -> ControlFlow<()>,
) -> T {
    let (mut state, frozen) = {
        let tail = read(tail);
        let mut state = prepare(&tail);
        if visit(&mut state, tail.frozen_len(), tail.active()).is_break() {
            return state;
        }
        (state, tail.frozen())
    };
    let mut start = 0;
    for chunk in frozen.iter() {
        if visit(&mut state, start, chunk).is_break() {
            break;
        }
        start += chunk.len() as u64;
    }
    state
}

/// Which events a question is about.
#[derive(Clone, Copy)]
struct Condition<'q> {
    /// Of these customers.
    customers: Option<&'q CustomerSelection>,
    /// Whether events of this source and name can match.
    name: &'q dyn Fn(EventSource, &str) -> bool,
    metadata: &'q [MetadataCondition],
    filters: &'q [&'q Filter],
    /// Only what this does not leave out.
    aggregation: Option<&'q Aggregation>,
}

/// A [`Condition`] made ready for one chunk.
struct ChunkPlan<'q> {
    condition: Condition<'q>,
    names: Vec<bool>,
    shapes: Vec<OnceCell<ShapePlan<'q>>>,
}

/// A [`Condition`] made ready for the events of one shape.
struct ShapePlan<'q> {
    metadata: Vec<(Slot, &'q MetadataCondition)>,
    filters: Vec<Filter<(Option<Slot>, &'q FilterClause)>>,
    measured: Option<Slot>,
}

impl<'q> ChunkPlan<'q> {
    fn new(condition: Condition<'q>, chunk: &Chunk) -> Self {
        Self {
            condition,
            names: chunk
                .names()
                .iter()
                .map(|(source, name)| (condition.name)(*source, name))
                .collect(),
            shapes: std::iter::repeat_with(OnceCell::new).take(chunk.shape_count()).collect(),
        }
    }

    /// Calls `found` with every matching row and what it contributes to the aggregation.
    fn each_match<'c>(&self, chunk: &'c Chunk, mut found: impl FnMut(Row, Measure<'c>)) {
        let _ = self.try_each_match(chunk, |row, measure| {
            found(row, measure);
            ControlFlow::Continue(())
        });
    }

    fn try_each_match<'c>(
        &self,
        chunk: &'c Chunk,
        mut found: impl FnMut(Row, Measure<'c>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if !self.names.iter().any(|&possible| possible) {
            return ControlFlow::Continue(());
        }
        self.try_each_row(chunk, |row| match self.measure(chunk, row) {
            Some(measure) => found(row, measure),
            None => ControlFlow::Continue(()),
        })
    }

    /// Calls `visit` with every row of the customers in question, matching or not.
    fn each_row(&self, chunk: &Chunk, mut visit: impl FnMut(Row)) {
        let _ = self.try_each_row(chunk, |row| {
            visit(row);
            ControlFlow::Continue(())
        });
    }

    fn try_each_row(
        &self,
        chunk: &Chunk,
        mut visit: impl FnMut(Row) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self.condition.customers {
            None => (0..Row::try_from(chunk.len()).unwrap_or(Row::MAX)).try_for_each(visit),
            Some(customers) => customers
                .references()
                .flat_map(|customer| chunk.rows_of(&customer))
                .try_for_each(|&row| visit(row)),
        }
    }

    /// What a row contributes, if it matches (all but the customer, which the caller chose).
    fn measure<'c>(&self, chunk: &'c Chunk, row: Row) -> Option<Measure<'c>> {
        if !self.names[chunk.name_code_of(row) as usize] {
            return None;
        }
        let shape = chunk.shape_of(row);
        let plan = self.shapes[shape].get_or_init(|| self.shape_plan(chunk, shape));
        let matches = plan
            .metadata
            .iter()
            .all(|(slot, condition)| condition.holds(chunk.value(row, slot).as_ref()))
            && plan.filters.iter().all(|filter| {
                filter.holds(&mut |(slot, clause)| clause_holds(chunk, row, slot.as_ref(), clause))
            });
        if !matches {
            return None;
        }
        match (self.condition.aggregation, &plan.measured) {
            (None, _) => Some(Measure::Event),
            (Some(aggregation), Some(slot)) => aggregation.measure_value(chunk.value(row, slot)),
            (Some(aggregation), None) => match aggregation.property() {
                Some(Property::Name | Property::Source) => None,
                Some(Property::Timestamp) => {
                    Some(Measure::Number(Number::Int(chunk.timestamp(row).epoch_seconds())))
                }
                Some(Property::Metadata(_)) | None => Some(Measure::Event),
            },
        }
    }

    fn shape_plan(&self, chunk: &Chunk, shape: usize) -> ShapePlan<'q> {
        let Condition { metadata, filters, aggregation, .. } = self.condition;
        let slot_of = |property: &Property| match property {
            Property::Metadata(path) => Some(chunk.resolve(shape, path)),
            Property::Name | Property::Source | Property::Timestamp => None,
        };
        ShapePlan {
            metadata: metadata
                .iter()
                .map(|condition| {
                    (chunk.resolve(shape, std::slice::from_ref(&condition.key)), condition)
                })
                .collect(),
            filters: filters
                .iter()
                .map(|filter| filter.map(&mut |clause| (slot_of(clause.property()), clause)))
                .collect(),
            measured: aggregation.and_then(Aggregation::property).and_then(slot_of),
        }
    }
}

fn clause_holds(chunk: &Chunk, row: Row, slot: Option<&Slot>, clause: &FilterClause) -> bool {
    let (source, name) = &chunk.names()[chunk.name_code_of(row) as usize];
    match (clause.property(), slot) {
        (Property::Name, _) => clause.holds_for_field(name),
        (Property::Source, _) => clause.holds_for_field(source.as_str()),
        (Property::Timestamp, _) => {
            clause.holds_for_timestamp(chunk.timestamp(row).epoch_seconds())
        }
        (Property::Metadata(_), Some(slot)) => {
            chunk.value(row, slot).is_some_and(|value| clause.holds_for_value(&value))
        }
        (Property::Metadata(_), None) => false,
    }
}

fn is_usage(source: EventSource, name: &str) -> bool {
    !is_credit_or_reset(source, name)
}

/// Finds the bucket of instants that mostly ascend: the last one found is tried first.
struct BucketFinder<'s> {
    series: &'s Series,
    from: i64,
    until: i64,
    bucket: Option<usize>,
}

impl<'s> BucketFinder<'s> {
    fn new(series: &'s Series) -> Self {
        Self { series, from: 0, until: 0, bucket: None }
    }

    fn find(&mut self, micros: i64) -> Option<usize> {
        if micros < self.from || micros >= self.until {
            let edges = self.series.edges();
            let after = edges.partition_point(|&edge| edge <= micros);
            self.from = after.checked_sub(1).map_or(i64::MIN, |before| edges[before]);
            self.until = edges.get(after).copied().unwrap_or(i64::MAX);
            self.bucket = after
                .checked_sub(1)
                .and_then(|before| self.series.slots()[before])
                .map(|bucket| bucket as usize);
        }
        self.bucket
    }
}

/// The quantities of a meter.
pub(super) fn quantities(
    tail: Option<&SharedTail>,
    query: &QuantityQuery,
    directory: &impl CustomerDirectory,
) -> MeterQuantities {
    let series = query.series();
    let mut accumulator = QuantityAccumulator::new(
        query.aggregation.function(),
        query.customer_aggregation,
        series.bucket_count(),
    );
    let condition = Condition {
        customers: query.customers.as_ref(),
        name: &is_usage,
        metadata: &query.metadata,
        filters: &[&query.filter],
        aggregation: Some(&query.aggregation),
    };
    let covered = match (series.edges().first(), series.edges().last()) {
        (Some(&first), Some(&last)) => first..last,
        _ => 0..0,
    };
    let mut finder = BucketFinder::new(&series);
    let visit = |(): &mut (), _, chunk: &Chunk| {
        let Some((first, last)) = chunk.timestamp_range() else { return ControlFlow::Continue(()) };
        if last < covered.start || first >= covered.end {
            return ControlFlow::Continue(());
        }
        let mut slots: Vec<Option<CustomerSlot>> = vec![None; chunk.customers().len()];
        ChunkPlan::new(condition, chunk).each_match(chunk, |row, measure| {
            let Some(bucket) = finder.find(chunk.micros(row)) else { return };
            let customer = if accumulator.is_per_customer() {
                let code = chunk.customer_code_of(row) as usize;
                *slots[code].get_or_insert_with(|| {
                    accumulator.slot(CustomerKey::of(&chunk.customers()[code], directory))
                })
            } else {
                EVERYBODY
            };
            accumulator.add(bucket, customer, &measure);
        });
        ControlFlow::Continue(())
    };
    if let Some(tail) = tail {
        scan(tail, |_| (), visit);
    }
    accumulator.finish(&series)
}

/// Whether any event, credit or reset counts on a meter: then its definition is locked
/// (semantics section 11).
pub(super) fn meter_has_events(tail: &SharedTail, meter: &Meter) -> bool {
    let condition = Condition {
        customers: None,
        name: &is_usage,
        metadata: &[],
        filters: &[&meter.filter],
        aggregation: Some(&meter.aggregation),
    };
    scan(
        tail,
        |tail| tail.has_ledger_of(meter.id),
        |found, _, chunk| {
            if *found {
                return ControlFlow::Break(());
            }
            let first = ChunkPlan::new(condition, chunk)
                .try_each_match(chunk, |_, _| ControlFlow::Break(()));
            *found = first.is_break();
            first
        },
    )
}

/// A customer and a meter: what is inside the window since the last reset.
pub(super) struct Window {
    start: Option<Timestamp>,
    /// The credits, in order of time.
    pub(super) credits: Vec<Credit>,
    /// What the meter counts.
    pub(super) consumed: Accumulator,
    modified_at: Option<Timestamp>,
}

impl Window {
    /// The units as the wire shows them.
    pub(super) fn row(&self) -> CustomerMeterRow {
        CustomerMeterRow {
            units: CustomerMeterUnits::new(&self.consumed.finish(), &self.credits),
            modified_at: self.modified_at,
        }
    }
}

/// What customers consumed and were credited on meters, by customer, then meter.
pub(super) fn customer_meters(
    tail: Option<&SharedTail>,
    customers: &[&Customer],
    meters: &[&Meter],
) -> Vec<Vec<Window>> {
    let windows = |tail: Option<&OrganizationTail>| -> Vec<Vec<Window>> {
        let window = |customer: &Customer, meter: &Meter| {
            let ledger = tail.and_then(|tail| tail.ledger(customer.id, meter.id));
            Window {
                start: ledger.and_then(Ledger::window_start),
                credits: ledger.map(Ledger::credits).unwrap_or_default(),
                consumed: Accumulator::new(meter.aggregation.function()),
                modified_at: ledger.and_then(Ledger::modified_at),
            }
        };
        customers
            .iter()
            .map(|customer| meters.iter().map(|meter| window(customer, meter)).collect())
            .collect()
    };
    let Some(tail) = tail else { return windows(None) };
    let spellings: Vec<CustomerSelection> = customers
        .iter()
        .map(|customer| CustomerSelection::one(customer.id, customer.external_id.as_deref()))
        .collect();
    let filters: Vec<[&Filter; 1]> = meters.iter().map(|meter| [&meter.filter]).collect();
    let from_users = |source: EventSource, _: &str| source == EventSource::User;
    scan(
        tail,
        |tail| windows(Some(tail)),
        |windows, _, chunk| {
            let condition = |(meter, filters)| {
                let meter: &Meter = meter;
                let filters: &[&Filter; 1] = filters;
                Condition {
                    customers: None,
                    name: &from_users,
                    metadata: &[],
                    filters,
                    aggregation: Some(&meter.aggregation),
                }
            };
            let plans: Vec<ChunkPlan<'_>> = meters
                .iter()
                .copied()
                .zip(&filters)
                .map(|of| ChunkPlan::new(condition(of), chunk))
                .collect();
            for (spellings, windows) in spellings.iter().zip(windows) {
                for &row in spellings.references().flat_map(|spelling| chunk.rows_of(&spelling)) {
                    let ingested_at = chunk.ingested_at(row);
                    for (plan, window) in plans.iter().zip(windows.iter_mut()) {
                        if window.start.is_some_and(|start| ingested_at < start) {
                            continue;
                        }
                        if let Some(measure) = plan.measure(chunk, row) {
                            window.consumed.add(&measure);
                            window.modified_at = window.modified_at.max(Some(ingested_at));
                        }
                    }
                }
            }
            ControlFlow::Continue(())
        },
    )
}

/// An event in the order of a list. Ties of the timestamp are in order of ingestion.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ListKey {
    micros: i64,
    sequence: Sequence,
    /// Index among the organizations asked for, and the event's number in it.
    organization: usize,
    number: u64,
}

/// The keys of a page, while events come in any order: no more of them are kept than the page
/// and those before it need.
struct PageKeys {
    direction: Direction,
    keep: usize,
    /// The worst kept key on top.
    heap: BinaryHeap<Ranked>,
    total_count: u64,
}

/// A key by its place in a list: greater is further back.
#[derive(PartialEq, Eq)]
struct Ranked(ListKey, Direction);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match self.1 {
            Direction::Ascending => self.0.cmp(&other.0),
            Direction::Descending => other.0.cmp(&self.0),
        }
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PageKeys {
    fn new(page: PageRequest, direction: Direction) -> Self {
        let keep = page.offset.saturating_add(page.limit);
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        Self { direction, keep, heap: BinaryHeap::new(), total_count: 0 }
    }

    fn push(&mut self, key: ListKey) {
        self.total_count += 1;
        let key = Ranked(key, self.direction);
        if self.heap.len() < self.keep {
            self.heap.push(key);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && key < *worst
        {
            *worst = key;
        }
    }

    fn into_page(self, page: PageRequest) -> Page<ListKey> {
        let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
        let sorted = self.heap.into_sorted_vec();
        let items = sorted.into_iter().skip(offset).map(|Ranked(key, _)| key).collect();
        Page { items, total_count: self.total_count }
    }
}

/// An organization's events and the query as it stands for that organization: customers are
/// selected per organization.
pub(super) type EventSearch<'s> = (OrganizationId, &'s SharedTail, EventQuery);

/// Keys beyond which a page is worth a pass that only counts: it may be past the end.
const KEYS_CHEAP: usize = 64 * 1024;

/// A page of events, over one or more organizations.
pub(super) fn list_events(
    searches: &[EventSearch<'_>],
    page: PageRequest,
    direction: Direction,
) -> Page<EventAddress> {
    let each = |found: &mut dyn FnMut(ListKey)| {
        for (index, (_, tail, query)) in searches.iter().enumerate() {
            search(index, tail, query, |_, _, key| found(key));
        }
    };
    let mut keys = PageKeys::new(page, direction);
    if keys.keep > KEYS_CHEAP {
        let mut total_count = 0;
        each(&mut |_| total_count += 1);
        if page.offset >= total_count {
            return Page { items: Vec::new(), total_count };
        }
    }
    each(&mut |key| keys.push(key));
    let keys = keys.into_page(page);
    let address = |key: &ListKey| {
        let (organization_id, tail, _) = &searches[key.organization];
        EventAddress { organization_id: *organization_id, id: read(tail).event_id(key.number) }
    };
    Page { items: keys.items.iter().map(address).collect(), total_count: keys.total_count }
}

/// An event as lists show it, by its number in the organization.
pub(super) fn event_row(
    organization_id: OrganizationId,
    tail: &OrganizationTail,
    number: u64,
) -> EventRow {
    let (chunk, row) = tail.locate(number);
    EventRow {
        id: tail.event_id(number),
        organization_id,
        event: chunk.event(row).into_owned(),
        parent_id: tail.parent_of(number).map(|parent| tail.event_id(parent)),
        child_count: tail.child_count(number),
    }
}

/// Events that are looked at under one lock, so that the committer need not wait for more.
const EVENTS_PER_LOCK: usize = 4096;

/// Calls `found` with the events that a query finds in one organization.
fn search(
    organization: usize,
    tail: &SharedTail,
    query: &EventQuery,
    mut found: impl FnMut(&Chunk, Row, ListKey),
) {
    let filters: Vec<&Filter> =
        query.filter.iter().chain(query.meter.as_ref().map(|(filter, _)| filter)).collect();
    // A meter counts no credits and resets, so a list of what it counts holds none.
    let of_meter = query.meter.is_some();
    let name = |source: EventSource, name: &str| {
        (query.names.is_empty() || query.names.iter().any(|wanted| wanted == name))
            && (query.sources.is_empty() || query.sources.contains(&source))
            && !(of_meter && is_credit_or_reset(source, name))
    };
    let condition = Condition {
        customers: query.customers.as_ref(),
        name: &name,
        metadata: &query.metadata,
        filters: &filters,
        aggregation: query.meter.as_ref().map(|(_, aggregation)| aggregation),
    };
    let inside = |plan: &ChunkPlan<'_>, chunk: &Chunk, row: Row| {
        let at = chunk.timestamp(row);
        query.after.is_none_or(|after| at > after)
            && query.before.is_none_or(|before| at < before)
            && plan.measure(chunk, row).is_some()
            && query.text.as_ref().is_none_or(|text| text_occurs(text, chunk, row))
    };
    let key = |chunk: &Chunk, row: Row, number: u64| ListKey {
        micros: chunk.micros(row),
        sequence: chunk.sequence(row),
        organization,
        number,
    };
    if let Some(parent_id) = query.parent_id {
        let numbers = descendants(tail, parent_id, query.depth.unwrap_or(1));
        for numbers in numbers.chunks(EVENTS_PER_LOCK) {
            let tail = read(tail);
            let located = numbers.iter().map(|&number| (tail.locate(number), number));
            let located: Vec<((&Chunk, Row), u64)> = located.collect();
            for of_chunk in located.chunk_by(|((a, _), _), ((b, _), _)| std::ptr::eq(*a, *b)) {
                let Some(((chunk, _), _)) = of_chunk.first() else { continue };
                let plan = ChunkPlan::new(condition, chunk);
                for &((chunk, row), number) in of_chunk {
                    let selected = query
                        .customers
                        .as_ref()
                        .is_none_or(|set| set.contains(chunk.customer(row)));
                    if selected && inside(&plan, chunk, row) {
                        found(chunk, row, key(chunk, row, number));
                    }
                }
            }
        }
        return;
    }
    // Of those with a parent, the depth is known only under the lock.
    let mut with_parent = Vec::new();
    scan(
        tail,
        |_| (),
        |(), start, chunk| {
            let possible = chunk.timestamp_range().is_some_and(|(first, last)| {
                query.after.is_none_or(|after| last > after.micros())
                    && query.before.is_none_or(|before| first < before.micros())
            });
            if !possible {
                return ControlFlow::Continue(());
            }
            let plan = ChunkPlan::new(condition, chunk);
            plan.each_row(chunk, |row| {
                if !inside(&plan, chunk, row) {
                    return;
                }
                let key = key(chunk, row, start + u64::from(row));
                if query.depth.is_some() && chunk.parent_id(row).is_some() {
                    with_parent.push(key);
                } else {
                    found(chunk, row, key);
                }
            });
            ControlFlow::Continue(())
        },
    );
    let Some(levels) = query.depth else { return };
    for keys in with_parent.chunks(EVENTS_PER_LOCK) {
        let tail = read(tail);
        for key in keys.iter().filter(|key| is_within_levels_of_a_root(&tail, key.number, levels)) {
            let (chunk, row) = tail.locate(key.number);
            found(chunk, row, *key);
        }
    }
}

fn text_occurs(text: &TextQuery, chunk: &Chunk, row: Row) -> bool {
    let occurs = |field: &str| field.to_lowercase().contains(&text.needle);
    let (source, name) = &chunk.names()[chunk.name_code_of(row) as usize];
    let customer = chunk.customer(row);
    occurs(name)
        || occurs(source.as_str())
        || text.customers.contains(customer)
        || match customer {
            CustomerRef::Id(id) => occurs(&id.to_string()),
            CustomerRef::External(external_id) => occurs(external_id),
        }
        || Value::Object(chunk.metadata(row)).text().is_some_and(|text| occurs(&text))
}

/// The numbers, ascending, of the events at most so many levels below an event, itself left out
/// even in a circle.
fn descendants(tail: &SharedTail, parent: EventId, levels: u8) -> Vec<u64> {
    let Some(parent) = read(tail).by_id(parent) else { return Vec::new() };
    let mut seen = HashSet::from([parent]);
    let mut found = Vec::new();
    let mut level = vec![parent];
    for _ in 0..levels {
        let mut next = Vec::new();
        for parents in level.chunks(EVENTS_PER_LOCK) {
            let tail = read(tail);
            let children = parents.iter().flat_map(|&number| tail.children_of(number));
            next.extend(children.filter(|&child| seen.insert(child)));
        }
        if next.is_empty() {
            break;
        }
        found.extend_from_slice(&next);
        level = next;
    }
    found.sort_unstable();
    found
}

/// Whether an event has at most so many ancestors. A circle has no root.
fn is_within_levels_of_a_root(tail: &OrganizationTail, number: u64, levels: u8) -> bool {
    let mut ancestor = number;
    for _ in 0..=levels {
        match tail.parent_of(ancestor) {
            None => return true,
            Some(parent) => ancestor = parent,
        }
    }
    false
}

/// The names of an organization's events.
pub(super) fn names(
    organization_id: OrganizationId,
    tail: &SharedTail,
    query: &NameQuery,
) -> Vec<NameRow> {
    let row = |stats: &NameStats| NameRow {
        organization_id,
        name: (*stats.name).to_owned(),
        source: stats.source,
        occurrences: stats.occurrences,
        first_seen: stats.first_seen,
        last_seen: stats.last_seen,
        created_at: stats.created_at,
    };
    let of_source =
        |stats: &&NameStats| query.sources.is_empty() || query.sources.contains(&stats.source);
    if query.customers.is_none() && !query.root_events && query.parent_id.is_none() {
        return read(tail).names().iter().filter(of_source).map(row).collect();
    }
    let events = EventQuery {
        customers: query.customers.clone(),
        sources: query.sources.clone(),
        parent_id: query.parent_id,
        depth: query.root_events.then_some(0),
        ..EventQuery::default()
    };
    // Without a parent, depth 0 means roots; below a parent it would mean nothing.
    let events =
        if events.parent_id.is_some() { EventQuery { depth: None, ..events } } else { events };
    let mut found: HashMap<(EventSource, Box<str>), NameStats> = HashMap::new();
    search(0, tail, &events, |chunk, event, _| {
        let (at, ingested_at) = (chunk.timestamp(event), chunk.ingested_at(event));
        let key = &chunk.names()[chunk.name_code_of(event) as usize];
        let stats = match found.get_mut(key) {
            Some(stats) => stats,
            None => found.entry(key.clone()).or_insert_with(|| NameStats {
                source: key.0,
                name: key.1.clone(),
                occurrences: 0,
                first_seen: at,
                last_seen: at,
                created_at: ingested_at,
            }),
        };
        stats.occurrences += 1;
        stats.first_seen = stats.first_seen.min(at);
        stats.last_seen = stats.last_seen.max(at);
        stats.created_at = stats.created_at.min(ingested_at);
    });
    found.values().map(row).collect()
}
