//! Questions to one or more organizations' events.
//!
//! What a question means is `floe-core`'s; this finds the events that it is about and hands them
//! over.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use floe_core::{
    Aggregation, CustomerRef, CustomerSelection, EventId, EventSource, Filter, FilterClause,
    Measure, MetadataCondition, Meter, Number, Property, Sequence, Timestamp, Value,
    is_credit_or_reset,
};

use super::chunk::{Chunk, Row};
use super::derived::{self, Definition, Needed, Work};
use super::rows::{Rows, Slot};
use super::segment::Batch;
use super::tail::{Memtable, NameStats, Sealed};
use super::view::{Scan, Selected, View, read, unreadable};
use crate::port::{
    Direction, EventAddress, EventQuery, EventRow, NameQuery, NameRow, Page, PageRequest, Result,
    TextQuery,
};

/// Whether events of a source and name can match.
pub(super) type NameTest<'q> = &'q dyn Fn(EventSource, &str) -> bool;

/// Of which sources and names events can match.
#[derive(Clone, Copy)]
pub(super) enum Names<'q> {
    All,
    /// Those that quantities count.
    Usage,
    These(NameTest<'q>),
}

impl Names<'_> {
    fn can_match(self, source: EventSource, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Usage => is_usage(source, name),
            Self::These(test) => test(source, name),
        }
    }
}

/// Which events a question is about, besides their customers and times.
#[derive(Clone, Copy)]
pub(super) struct Condition<'q> {
    pub(super) names: Names<'q>,
    pub(super) metadata: &'q [MetadataCondition],
    /// All of them must hold.
    pub(super) filters: [Option<&'q Filter>; 2],
    /// Only what this does not leave out.
    pub(super) aggregation: Option<&'q Aggregation>,
}

/// A [`Condition`] made ready for one rows.
pub(super) struct RowsPlan<'q> {
    condition: Condition<'q>,
    /// By code of a name, if names matter.
    names: Option<Vec<bool>>,
    shapes: Vec<OnceCell<ShapePlan<'q>>>,
}

/// A [`Condition`] made ready for the events of one shape.
struct ShapePlan<'q> {
    metadata: Vec<(Slot, &'q MetadataCondition)>,
    filters: Vec<Filter<(Option<Slot>, &'q FilterClause)>>,
    measured: Option<Slot>,
}

impl<'q> RowsPlan<'q> {
    pub(super) fn new(condition: Condition<'q>, rows: Rows<'_>) -> Self {
        Self {
            condition,
            names: match condition.names {
                Names::All => None,
                names => {
                    let all = rows.names().iter();
                    Some(all.map(|(source, name)| names.can_match(*source, name)).collect())
                }
            },
            shapes: std::iter::repeat_with(OnceCell::new).take(rows.shape_count()).collect(),
        }
    }

    /// Calls `found` with every matching row and what it contributes to the aggregation.
    pub(super) fn each_match<'c>(
        &self,
        rows: Rows<'c>,
        selected: Selected<'_>,
        mut found: impl FnMut(Row, Measure<'c>),
    ) {
        let _ = self.try_each_match(rows, selected, |row, measure| {
            found(row, measure);
            ControlFlow::Continue(())
        });
    }

    fn try_each_match<'c>(
        &self,
        rows: Rows<'c>,
        selected: Selected<'_>,
        mut found: impl FnMut(Row, Measure<'c>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.names.as_ref().is_some_and(|names| !names.contains(&true)) {
            return ControlFlow::Continue(());
        }
        selected.try_each(rows, |row| match self.measure(rows, row) {
            Some(measure) => found(row, measure),
            None => ControlFlow::Continue(()),
        })
    }

    /// What a row contributes, if it matches (all but the customer, which the caller chose).
    pub(super) fn measure<'c>(&self, rows: Rows<'c>, row: Row) -> Option<Measure<'c>> {
        if let Some(names) = &self.names
            && !names[rows.name_code_of(row) as usize]
        {
            return None;
        }
        let shape = rows.shape_of(row);
        let plan = self.shapes[shape].get_or_init(|| self.shape_plan(rows, shape));
        let matches = plan
            .metadata
            .iter()
            .all(|(slot, condition)| condition.holds(rows.value(row, slot).as_ref()))
            && plan.filters.iter().all(|filter| {
                filter.holds(&mut |(slot, clause)| clause_holds(rows, row, slot.as_ref(), clause))
            });
        if !matches {
            return None;
        }
        match (self.condition.aggregation, &plan.measured) {
            (None, _) => Some(Measure::Event),
            (Some(aggregation), Some(slot)) => aggregation.measure_value(rows.value(row, slot)),
            (Some(aggregation), None) => match aggregation.property() {
                Some(Property::Name | Property::Source) => None,
                Some(Property::Timestamp) => {
                    Some(Measure::Number(Number::Int(rows.timestamp(row).epoch_seconds())))
                }
                Some(Property::Metadata(_)) | None => Some(Measure::Event),
            },
        }
    }

    fn shape_plan(&self, rows: Rows<'_>, shape: usize) -> ShapePlan<'q> {
        let Condition { metadata, filters, aggregation, names: _ } = self.condition;
        let slot_of = |property: &Property| match property {
            Property::Metadata(path) => Some(rows.resolve(shape, path)),
            Property::Name | Property::Source | Property::Timestamp => None,
        };
        ShapePlan {
            metadata: metadata
                .iter()
                .map(|condition| {
                    (rows.resolve(shape, std::slice::from_ref(&condition.key)), condition)
                })
                .collect(),
            filters: filters
                .into_iter()
                .flatten()
                .map(|filter| filter.map(&mut |clause| (slot_of(clause.property()), clause)))
                .collect(),
            measured: aggregation.and_then(Aggregation::property).and_then(slot_of),
        }
    }
}

fn clause_holds(rows: Rows<'_>, row: Row, slot: Option<&Slot>, clause: &FilterClause) -> bool {
    let (source, name) = &rows.names()[rows.name_code_of(row) as usize];
    match (clause.property(), slot) {
        (Property::Name, _) => clause.holds_for_field(name),
        (Property::Source, _) => clause.holds_for_field(source.as_str()),
        (Property::Timestamp, _) => clause.holds_for_timestamp(rows.timestamp(row).epoch_seconds()),
        (Property::Metadata(_), Some(slot)) => {
            rows.value(row, slot).is_some_and(|value| clause.holds_for_value(&value))
        }
        (Property::Metadata(_), None) => false,
    }
}

/// Whether quantities count events of this source and name.
pub(super) fn is_usage(source: EventSource, name: &str) -> bool {
    !is_credit_or_reset(source, name)
}

/// Whether any event, credit or reset counts on a meter: then its definition is locked
/// (semantics section 11).
pub(super) fn meter_has_events(view: View<'_>, meter: &Meter) -> Result<bool> {
    let condition = Condition {
        names: Names::Usage,
        metadata: &[],
        filters: [Some(&meter.filter), None],
        aggregation: Some(&meter.aggregation),
    };
    view.scan(
        &Scan::ALL,
        |tail| tail.has_ledger_of(meter.id),
        |found, _| !found,
        |found, _, rows, selected| {
            if *found {
                return ControlFlow::Break(());
            }
            let first = RowsPlan::new(condition, rows)
                .try_each_match(rows, selected, |_, _| ControlFlow::Break(()));
            *found = first.is_break();
            first
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
        Self { direction, keep, heap: BinaryHeap::new() }
    }

    /// Whether any event with such timestamps (the first and the last, in microseconds) may be on
    /// the page or before it.
    fn wants(&self, (first, last): (i64, i64)) -> bool {
        match self.heap.peek() {
            Some(Ranked(worst, _)) if self.heap.len() >= self.keep => match self.direction {
                Direction::Ascending => first <= worst.micros,
                Direction::Descending => last >= worst.micros,
            },
            _ => self.keep > 0,
        }
    }

    fn push(&mut self, key: ListKey) {
        let key = Ranked(key, self.direction);
        if self.heap.len() < self.keep {
            self.heap.push(key);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && key < *worst
        {
            *worst = key;
        }
    }

    fn into_page(self, page: PageRequest) -> Vec<ListKey> {
        let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
        let sorted = self.heap.into_sorted_vec();
        sorted.into_iter().skip(offset).map(|Ranked(key, _)| key).collect()
    }
}

/// An organization's events and the query as it stands for that organization: customers are
/// selected per organization.
pub(super) type EventSearch<'s> = (View<'s>, EventQuery);

/// Keys beyond which a page is worth a pass that only counts: it may be past the end.
const KEYS_CHEAP: usize = 64 * 1024;

/// A page of events, over one or more organizations.
pub(super) fn list_events(
    searches: &[EventSearch<'_>],
    page: PageRequest,
    direction: Direction,
) -> Result<Page<EventAddress>> {
    let mut keys = PageKeys::new(page, direction);
    if keys.keep > KEYS_CHEAP {
        let mut total_count = 0;
        for (index, (view, query)) in searches.iter().enumerate() {
            total_count += search(index, *view, query, Wanted::NONE, |_, _, _| {})?;
        }
        if page.offset >= total_count {
            return Ok(Page { items: Vec::new(), total_count });
        }
    }
    let mut total_count = 0;
    for (index, (view, query)) in searches.iter().enumerate() {
        let shared = RefCell::new(&mut keys);
        let worth = |range: (i64, i64)| shared.borrow().wants(range);
        let wanted = Wanted { order: Some(direction), worth: &worth };
        total_count +=
            search(index, *view, query, wanted, |_, _, key| shared.borrow_mut().push(key))?;
    }
    let items = keys.into_page(page).into_iter().map(|key| {
        let (view, _) = &searches[key.organization];
        EventAddress {
            organization_id: view.organization,
            id: view.reader.cipher.event_id(key.sequence),
        }
    });
    Ok(Page { items: items.collect(), total_count })
}

/// Which of the events that a query finds are needed; of others only their number is.
#[derive(Clone, Copy)]
struct Wanted<'w> {
    /// Which to visit first.
    order: Option<Direction>,
    /// Whether any with such timestamps (the first and the last, in microseconds) is needed.
    worth: &'w dyn Fn((i64, i64)) -> bool,
}

impl Wanted<'_> {
    const ALL: Self = Self { order: None, worth: &|_| true };
    /// Only how many there are.
    const NONE: Self = Self { order: None, worth: &|_| false };
}

/// What decides the number of events that a query finds, if they need not be visited for it.
enum Counted<'q> {
    /// All of these names and sources.
    Names,
    /// All of these customers.
    Customers(&'q CustomerSelection),
    /// All that a meter counts.
    Meter(Definition),
}

/// Whether the number of events that a query finds is known without a visit.
fn counted(query: &EventQuery) -> Option<Counted<'_>> {
    let EventQuery {
        filter,
        after,
        before,
        customers,
        meter,
        names,
        sources,
        text,
        parent_id,
        depth,
        metadata,
    } = query;
    let is_plain = filter.is_none()
        && after.is_none()
        && before.is_none()
        && text.is_none()
        && parent_id.is_none()
        && depth.is_none()
        && metadata.is_empty();
    let is_of_all_names = names.is_empty() && sources.is_empty();
    match (customers, meter) {
        _ if !is_plain => None,
        (None, None) => Some(Counted::Names),
        (Some(customers), None) if is_of_all_names => Some(Counted::Customers(customers)),
        (None, Some((filter, aggregation))) if is_of_all_names => {
            Definition::new(filter, aggregation).map(Counted::Meter)
        }
        _ => None,
    }
}

/// How many events a meter counts, of those that a scan saw.
fn count_of_meter(view: View<'_>, definition: &Definition, seen: &Seen) -> Result<u64> {
    let derived = &view.reader.derived;
    derived.note_use(view.organization, definition, Needed { rollup: false, column: true });
    let of_rows =
        |rows: Rows<'_>| derived::matching(definition.condition(), rows).rows.len() as u64;
    let mut count = seen.count;
    count += seen.frozen.1.iter().map(|chunk| of_rows(Rows::Tail(chunk))).sum::<u64>();
    let sealing = seen.sealing.iter().flat_map(|sealing| sealing.chunks());
    count += sealing.map(|(_, chunk)| of_rows(Rows::Tail(chunk))).sum::<u64>();
    let work = Work::new(seen.sealed.len());
    for segment in &seen.sealed.segments {
        if let Some(column) = derived.column(view.reader, segment, definition, &work)? {
            count += u64::from(column.all().end);
            continue;
        }
        for group in 0..segment.row_groups().len() {
            let batch = Batch::of_group(segment, group);
            count += of_rows(Rows::Sealed(&batch));
            batch.check().map_err(unreadable)?;
        }
    }
    Ok(count)
}

/// The events that a scan sees, and how many of them are known to be found.
struct Seen {
    /// Of those that grew at that time, or of all; see [`Counted`].
    count: u64,
    frozen: (u64, Arc<Vec<Arc<Chunk>>>),
    sealing: Option<Arc<Memtable>>,
    sealed: Arc<Sealed>,
}

/// An event as lists show it, by its number in the organization.
pub(super) fn event_row(view: View<'_>, number: u64) -> Result<EventRow> {
    let (sequence, event) =
        view.with(number, |rows, row| (rows.sequence(row), rows.event(row).into_owned()))?;
    let parent = match event.parent_id {
        Some(_) => view.parent_of(number)?,
        None => None,
    };
    Ok(EventRow {
        id: view.reader.cipher.event_id(sequence),
        organization_id: view.organization,
        event,
        parent_id: parent.map(|parent| view.event_id(parent)).transpose()?,
        child_count: view.child_count(number)?,
    })
}

/// Calls `found` with the events that a query finds in one organization, as far as they are wanted;
/// returns how many there are in all.
fn search(
    organization: usize,
    view: View<'_>,
    query: &EventQuery,
    wanted: Wanted<'_>,
    mut found: impl FnMut(Rows<'_>, Row, ListKey),
) -> Result<u64> {
    // A meter counts no credits and resets, so a list of what it counts holds none.
    let of_meter = query.meter.is_some();
    let name = |source: EventSource, name: &str| {
        (query.names.is_empty() || query.names.iter().any(|wanted| wanted == name))
            && (query.sources.is_empty() || query.sources.contains(&source))
            && (!of_meter || is_usage(source, name))
    };
    let names = match (query.names.is_empty() && query.sources.is_empty(), of_meter) {
        (true, false) => Names::All,
        (true, true) => Names::Usage,
        (false, _) => Names::These(&name),
    };
    let meter = query.meter.as_ref();
    let condition = Condition {
        names,
        metadata: &query.metadata,
        filters: [query.filter.as_ref(), meter.map(|(filter, _)| filter)],
        aggregation: meter.map(|(_, aggregation)| aggregation),
    };
    let after = query.after.map_or(i64::MIN, |after| after.micros().saturating_add(1));
    let before = query.before.map_or(i64::MAX, Timestamp::micros);
    // What no condition says.
    let inside = |rows: Rows<'_>, row: Row| {
        (after..before).contains(&rows.micros(row))
            && query.text.as_ref().is_none_or(|text| text_occurs(text, rows, row))
    };
    let key = |rows: Rows<'_>, row: Row, number: u64| ListKey {
        micros: rows.micros(row),
        sequence: rows.sequence(row),
        organization,
        number,
    };
    if let Some(parent_id) = query.parent_id {
        let mut count = 0;
        for number in descendants(view, parent_id, query.depth.unwrap_or(1))? {
            view.with(number, |rows, row| {
                let selected =
                    query.customers.as_ref().is_none_or(|set| set.contains(&rows.customer(row)));
                let meets = || RowsPlan::new(condition, rows).measure(rows, row).is_some();
                if selected && inside(rows, row) && meets() {
                    count += 1;
                    found(rows, row, key(rows, row, number));
                }
            })?;
        }
        return Ok(count);
    }
    let counted = counted(query);
    let count = Cell::new(0);
    // Of those with a parent, the depth is known only once the scan is over.
    let mut with_parent = Vec::new();
    let mut take = |rows: Rows<'_>, row: Row, start: u64| {
        if !inside(rows, row) {
            return;
        }
        let number = start + u64::from(row);
        if query.depth.is_some() && rows.parent_id(row).is_some() {
            with_parent.push(key(rows, row, number));
            return;
        }
        count.set(count.get() + 1);
        let micros = rows.micros(row);
        if (wanted.worth)((micros, micros)) {
            found(rows, row, key(rows, row, number));
        }
    };
    let seen = view.scan(
        &Scan {
            between: after..before,
            customers: query.customers.as_ref(),
            names: match names {
                Names::These(test) => Some(test),
                Names::All | Names::Usage => None,
            },
            order: counted.as_ref().and(wanted.order),
        },
        |tail| Seen {
            count: match &counted {
                None => 0,
                Some(Counted::Names) => {
                    let all = tail.names().iter();
                    let of = all.filter(|of| names.can_match(of.source, &of.name));
                    of.map(|stats| stats.occurrences).sum()
                }
                Some(Counted::Customers(customers)) => tail.count_of(customers),
                Some(Counted::Meter(_)) => {
                    let (_, active) = tail.active();
                    derived::matching(condition, Rows::Tail(active)).rows.len() as u64
                }
            },
            frozen: tail.frozen(),
            sealing: tail.sealing(),
            sealed: tail.sealed(),
        },
        |seen, range| match &counted {
            // Events that must be counted one by one are all visited.
            None => true,
            Some(Counted::Names) if count.get() == seen.count => false,
            Some(_) => (wanted.worth)(range),
        },
        |_, start, rows, selected| {
            match selected {
                Selected::All => {
                    let matches = derived::matching(condition, rows);
                    matches.rows.iter().for_each(|&row| take(rows, row, start));
                }
                Selected::These(selected) => {
                    let plan = RowsPlan::new(condition, rows);
                    let meets = |row: &&Row| plan.measure(rows, **row).is_some();
                    selected.iter().filter(meets).for_each(|&row| take(rows, row, start));
                }
            }
            ControlFlow::Continue(())
        },
    )?;
    match &counted {
        Some(Counted::Names) => return Ok(seen.count),
        Some(Counted::Customers(customers)) => {
            return Ok(seen.count + view.count_in(&seen.sealed, customers)?);
        }
        Some(Counted::Meter(definition)) => return count_of_meter(view, definition, &seen),
        None => {}
    }
    let mut count = count.get();
    let Some(levels) = query.depth else { return Ok(count) };
    for key in with_parent {
        if is_within_levels_of_a_root(view, key.number, levels)? {
            count += 1;
            view.with(key.number, |rows, row| found(rows, row, key))?;
        }
    }
    Ok(count)
}

fn text_occurs(text: &TextQuery, rows: Rows<'_>, row: Row) -> bool {
    let occurs = |field: &str| field.to_lowercase().contains(&text.needle);
    let (source, name) = rows.name(row);
    let customer = rows.customer(row);
    occurs(name)
        || occurs(source.as_str())
        || text.customers.contains(&customer)
        || match &customer {
            CustomerRef::Id(id) => occurs(&id.to_string()),
            CustomerRef::External(external_id) => occurs(external_id),
        }
        || Value::Object(rows.metadata(row)).text().is_some_and(|text| occurs(&text))
}

/// The numbers, ascending, of the events at most so many levels below an event, itself left out
/// even in a circle.
fn descendants(view: View<'_>, parent: EventId, levels: u8) -> Result<Vec<u64>> {
    let Some(parent) = view.by_id(parent)? else { return Ok(Vec::new()) };
    let mut seen = HashSet::from([parent]);
    let mut found = Vec::new();
    let mut level = vec![parent];
    for _ in 0..levels {
        let mut next = Vec::new();
        for &number in &level {
            let children = view.children_of(number)?;
            next.extend(children.into_iter().filter(|&child| seen.insert(child)));
        }
        if next.is_empty() {
            break;
        }
        found.extend_from_slice(&next);
        level = next;
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether an event has at most so many ancestors. A circle has no root.
fn is_within_levels_of_a_root(view: View<'_>, number: u64, levels: u8) -> Result<bool> {
    let mut ancestor = number;
    for _ in 0..=levels {
        match view.parent_of(ancestor)? {
            None => return Ok(true),
            Some(parent) => ancestor = parent,
        }
    }
    Ok(false)
}

/// The names of an organization's events.
pub(super) fn names(view: View<'_>, query: &NameQuery) -> Result<Vec<NameRow>> {
    let row = |stats: &NameStats| NameRow {
        organization_id: view.organization,
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
        return Ok(read(view.tail).names().iter().filter(of_source).map(row).collect());
    }
    let events = EventQuery {
        customers: query.customers.clone(),
        sources: query.sources.clone(),
        parent_id: query.parent_id,
        // Without a parent, depth 0 means roots; below a parent it would mean nothing.
        depth: (query.root_events && query.parent_id.is_none()).then_some(0),
        ..EventQuery::default()
    };
    let mut found: HashMap<(EventSource, Box<str>), NameStats> = HashMap::new();
    search(0, view, &events, Wanted::ALL, |rows, event, _| {
        let (at, ingested_at) = (rows.timestamp(event), rows.ingested_at(event));
        let key = rows.name(event);
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
    })?;
    Ok(found.values().map(row).collect())
}
