//! Whatever is asked of the engine, it answers as the definitions do, to the last bit: however the
//! events were split and ordered, and after a restart.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use floe_core::{
    Accumulator, Aggregation, AggregationFunction, Clause, ClauseValue, Conjunction, Customer,
    CustomerDirectory, CustomerId, CustomerRef, CustomerSelection, EventSource, Exact, Filter,
    FilterClause, METER_CREDITED, METER_RESET, Meter, MeterQuantities, NewEvent, Number, Operator,
    OrganizationId, QuantityQuery, Timestamp, Value, evaluate, is_credit_or_reset,
};
use floe_store::embedded::{EmbeddedOptions, EmbeddedStore};
use floe_store::port::{
    Catalog as _, Direction, EventQuery, EventStore as _, NameQuery, NameRow, NewCredit,
    Organizations, PageRequest, TextQuery,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use tempfile::TempDir;

use crate::generate::{self, Customers, kept, with_customers};
use crate::recorded;
use crate::support::{
    self, ALL, DAY_ONE, HOUR, count_query, customer, event, folder, ingest, instant, list,
    metadata, meter, open, open_with, organization, wait,
};

/// A store with one organization, some customers, and events that were ingested in batches.
struct Subject {
    folder: TempDir,
    options: EmbeddedOptions,
    store: EmbeddedStore,
    organization: OrganizationId,
    customers: Vec<Arc<Customer>>,
}

/// The customers of a subject, for the definitions.
struct Directory<'s>(&'s [Arc<Customer>]);

impl CustomerDirectory for Directory<'_> {
    fn customer_with_external_id(&self, external_id: &str) -> Option<CustomerId> {
        let has = |customer: &&Arc<Customer>| customer.external_id.as_deref() == Some(external_id);
        self.0.iter().find(has).map(|customer| customer.id)
    }

    fn external_id_of(&self, id: CustomerId) -> Option<Option<String>> {
        let found = self.0.iter().find(|customer| customer.id == id);
        found.map(|customer| customer.external_id.clone())
    }
}

impl Subject {
    fn new() -> Self {
        Self::with(EmbeddedOptions::default())
    }

    /// One whose events stay in memory, or else are sealed a few at a time.
    fn sealing(sealing: bool) -> Self {
        Self::with(if sealing { support::sealing() } else { EmbeddedOptions::default() })
    }

    fn with(options: EmbeddedOptions) -> Self {
        let folder = folder();
        let store = open_with(folder.path(), options.clone());
        let organization = organization(&store);
        let external_id = |number: usize| {
            let has = number < generate::CUSTOMERS_WITH_EXTERNAL_ID;
            has.then_some(generate::EXTERNAL_CUSTOMERS[number])
        };
        let customers = (0..generate::CUSTOMERS)
            .map(|number| customer(&store, organization, external_id(number)))
            .collect();
        Self { folder, options, store, organization, customers }
    }

    fn own(&self, events: &[NewEvent<'static>]) -> Vec<NewEvent<'static>> {
        let ids: Vec<CustomerId> = self.customers.iter().map(|customer| customer.id).collect();
        events.iter().map(|event| with_customers(event.clone(), &ids)).collect()
    }

    /// Ingests placeholders' events, cut into batches of these lengths, in turns.
    fn ingest(&self, events: &[NewEvent<'static>], lengths: &[usize]) {
        let events = self.own(events);
        let mut rest = events.as_slice();
        for length in lengths.iter().cycle() {
            let (batch, others) =
                rest.split_at((*length).clamp(1, rest.len().max(1)).min(rest.len()));
            let report = ingest(&self.store, self.organization, batch).unwrap();
            assert_eq!(report.inserted + report.duplicates, batch.len() as u64);
            rest = others;
            if rest.is_empty() {
                break;
            }
        }
    }

    fn reopen(&mut self) {
        self.store.close();
        // Opened on another folder in between, since this one is locked until it is dropped.
        let other = folder();
        self.store = open(other.path());
        self.store = open_with(self.folder.path(), self.options.clone());
    }

    /// Opens the folder again after doing something to its derived files, whose paths are given.
    fn reopen_after(&mut self, harm: impl Fn(&Path)) {
        self.store.close();
        let other = folder();
        self.store = open(other.path());
        let mut folders = vec![self.folder.path().join("cache")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    harm(&path);
                }
            }
        }
        self.store = open_with(self.folder.path(), self.options.clone());
    }

    fn select(&self, customers: &Customers, for_lists: bool) -> Option<CustomerSelection> {
        let (numbers, external_ids) = customers.as_ref()?;
        let id = |number: &usize| {
            let known = self.customers.get(*number).map(|customer| customer.id);
            known.unwrap_or_else(|| generate::placeholder(999))
        };
        let ids: Vec<CustomerId> = numbers.iter().map(id).collect();
        let found = self.store.select_customers(self.organization, &ids, external_ids, for_lists);
        let resolve = if for_lists {
            CustomerSelection::resolve_for_lists
        } else {
            CustomerSelection::resolve
        };
        assert_eq!(found, resolve(&ids, external_ids, &Directory(&self.customers)));
        Some(found)
    }

    fn quantities(&self, query: &QuantityQuery, customers: &Customers) -> MeterQuantities {
        let query = QuantityQuery { customers: self.select(customers, false), ..query.clone() };
        wait(self.store.quantities(self.organization, query)).unwrap()
    }

    fn defined(
        &self,
        query: &QuantityQuery,
        customers: &Customers,
        kept: &[NewEvent<'static>],
    ) -> MeterQuantities {
        let query = QuantityQuery { customers: self.select(customers, false), ..query.clone() };
        evaluate(&query, &self.own(kept), &Directory(&self.customers))
    }
}

#[track_caller]
fn assert_same_bits(got: &MeterQuantities, want: &MeterQuantities) {
    let bits = |answer: &MeterQuantities| {
        let point = |q: &floe_core::MeterQuantity| (q.timestamp, q.quantity.to_bits());
        (answer.quantities.iter().map(point).collect::<Vec<_>>(), answer.total.to_bits())
    };
    assert_eq!(bits(got), bits(want), "{got:?} is not {want:?}");
}

fn flip_a_bit(file: &Path, seed: u64) {
    let mut bytes = std::fs::read(file).unwrap();
    let bit = (seed % (8 * bytes.len() as u64)) as usize;
    bytes[bit / 8] ^= 1 << (bit % 8);
    std::fs::write(file, bytes).unwrap();
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    vec(1_usize..40, 1..5)
}

/// As many cases as the environment asks for (`PROPTEST_CASES`), else these.
fn cases(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(cases),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn quantities_are_those_of_the_definition(
        events in vec(generate::event(), 0..80),
        queries in vec(generate::query(), 12),
        (lengths, other_lengths) in (lengths(), lengths()),
        order in any::<u64>(),
        seal in any::<(bool, bool)>(),
    ) {
        let kept = kept(&events);
        let mut shuffled = kept.clone();
        shuffled.sort_by_cached_key(|event| {
            let mut hasher = std::hash::DefaultHasher::new();
            std::hash::Hash::hash(&(order, format!("{event:?}")), &mut hasher);
            std::hash::Hasher::finish(&hasher)
        });
        let (mut one, other) = (Subject::sealing(seal.0), Subject::sealing(seal.1));
        one.ingest(&events, &lengths);
        other.ingest(&shuffled, &other_lengths);
        let defined: Vec<MeterQuantities> = queries
            .iter()
            .map(|(query, customers)| one.defined(query, customers, &kept))
            .collect();
        for ((query, customers), defined) in queries.iter().zip(&defined) {
            assert_same_bits(&one.quantities(query, customers), defined);
            assert_same_bits(&other.quantities(query, customers), defined);
        }
        let asked = |subject: &Subject| {
            for ((query, customers), defined) in queries.iter().zip(&defined) {
                assert_same_bits(&subject.quantities(query, customers), defined);
            }
        };
        // From what was derived, then from its files, then from what was derived again.
        asked(&one);
        asked(&other);
        one.reopen();
        asked(&one);
        wait(one.store.seal()).unwrap();
        asked(&one);
        one.reopen_after(|file| flip_a_bit(file, order));
        asked(&one);
        asked(&one);
        one.reopen_after(|file| std::fs::remove_file(file).unwrap());
        asked(&one);
        asked(&one);
    }

    #[test]
    fn what_a_meter_lists_is_what_it_counts(
        events in vec(generate::event(), 0..60),
        meters in vec((generate::filter(), generate::aggregation()), 6),
        lengths in lengths(),
        seal in any::<bool>(),
    ) {
        let kept = kept(&events);
        let mut subject = Subject::sealing(seal);
        subject.ingest(&events, &lengths);
        let meters: Vec<Arc<Meter>> = meters
            .into_iter()
            .map(|(filter, of)| meter(&subject.store, subject.organization, filter, of))
            .collect();
        let own = subject.own(&kept);
        let expected = |meter: &Meter| own.iter().filter(|event| counts(meter, event)).count();
        for _ in 0..2 {
            let organizations = Organizations::one(subject.organization);
            for meter in &meters {
                let query = EventQuery {
                    meter: Some((meter.filter.clone(), meter.aggregation.clone())),
                    ..EventQuery::default()
                };
                let page = list(&subject.store, subject.organization, query);
                prop_assert_eq!(page.total_count, expected(meter) as u64);
                prop_assert_eq!(page.items.len(), expected(meter));
                let has_events = wait(subject.store.meter_has_events(Arc::clone(meter))).unwrap();
                prop_assert_eq!(has_events, expected(meter) > 0);
                prop_assert_eq!(&subject.store.meter(&organizations, meter.id).unwrap(), meter);
            }
            subject.reopen();
        }
    }

    #[test]
    fn lists_are_sorted_by_time_and_paged(
        events in vec(generate::event(), 0..80),
        lengths in lengths(),
        query in list_query(),
        customers in generate::customers(),
        limit in 1_u64..20,
        seal in any::<bool>(),
    ) {
        let mut subject = Subject::sealing(seal);
        subject.ingest(&events, &lengths);
        let query = EventQuery { customers: subject.select(&customers, true), ..query };
        let own = subject.own(&kept(&events));
        let mut expected: Vec<&NewEvent<'_>> =
            own.iter().filter(|event| is_listed(&query, event)).collect();
        // Stable, so events of one instant stay in the order of ingestion.
        expected.sort_by_key(|event| event.timestamp);
        for direction in [Direction::Ascending, Direction::Descending] {
            let mut got = Vec::new();
            for number in 0.. {
                let page = PageRequest { offset: number * limit, limit };
                let (store, of) = (&subject.store, subject.organization);
                let page = support::page(store, of, query.clone(), page, direction);
                prop_assert_eq!(page.total_count, expected.len() as u64);
                prop_assert!(page.items.len() as u64 <= limit);
                if page.items.is_empty() {
                    break;
                }
                got.extend(page.items);
            }
            let shown: Vec<_> = got.iter().map(|row| &row.event).collect();
            prop_assert_eq!(&shown, &expected);
            for row in &got {
                let organizations = Organizations::one(subject.organization);
                let found = wait(subject.store.event(&organizations, row.id)).unwrap();
                prop_assert_eq!(found.as_ref(), Some(row));
            }
            expected.reverse();
        }
        subject.reopen();
        let again = list(&subject.store, subject.organization, query);
        prop_assert_eq!(again.items.iter().map(|row| &row.event).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn names_are_those_of_a_scan(
        events in vec(generate::event(), 0..60),
        lengths in lengths(),
        customers in generate::customers(),
        sources in vec(source(), 0..2),
        seal in any::<bool>(),
    ) {
        let mut subject = Subject::sealing(seal);
        subject.ingest(&events, &lengths);
        let own = subject.own(&kept(&events));
        let query = NameQuery {
            customers: subject.select(&customers, true),
            sources,
            ..NameQuery::default()
        };
        for _ in 0..2 {
            let got = wait(subject.store.event_names(subject.organization, query.clone())).unwrap();
            prop_assert_eq!(names_of(&got), names_by_scan(&query, &own));
            let first = |customer: &Customer| {
                let spellings = CustomerSelection::one(customer.id, customer.external_id.as_deref());
                let of_user = |event: &&NewEvent<'_>| {
                    event.source == EventSource::User && spellings.contains(&event.customer)
                };
                own.iter().filter(of_user).map(|event| event.timestamp).min()
            };
            for customer in &subject.customers {
                let got = wait(subject.store.first_user_event_at(customer)).unwrap();
                prop_assert_eq!(got, first(customer));
            }
            subject.reopen();
        }
    }
}

fn counts(meter: &Meter, event: &NewEvent<'_>) -> bool {
    !is_credit_or_reset(event.source, &event.name)
        && meter.filter.matches(event)
        && meter.aggregation.measure(event).is_some()
}

fn source() -> impl Strategy<Value = EventSource> {
    prop_oneof![Just(EventSource::User), Just(EventSource::System)]
}

fn list_query() -> impl Strategy<Value = EventQuery> {
    let time =
        || option::weighted(0.3, (0..100 * 24_i64).prop_map(|hour| instant(DAY_ONE + hour * HOUR)));
    let names = vec(prop_oneof![Just("call"), Just(""), Just("ИМЯ"), Just("none")], 0..2);
    let text = prop_oneof![
        Just("call"),
        Just("имя"),
        Just("zürich"),
        Just("σας"),
        Just("i\u{307}stan"),
        Just("user"),
        Just("{\"a\": "),
        Just("acme"),
        Just("nobody"),
    ];
    (
        option::weighted(0.4, generate::filter()),
        (time(), time()),
        names,
        vec(source(), 0..2),
        option::weighted(0.4, text),
        vec(generate::condition(), 0..2),
    )
        .prop_map(|(filter, (after, before), names, sources, text, metadata)| EventQuery {
            filter,
            after,
            before,
            names: names.into_iter().map(str::to_owned).collect(),
            sources,
            text: text.map(|needle| TextQuery {
                needle: needle.to_owned(),
                customers: CustomerSelection::default(),
            }),
            metadata,
            ..EventQuery::default()
        })
}

fn is_listed(query: &EventQuery, event: &NewEvent<'_>) -> bool {
    let text_of = |customer: &CustomerRef<'_>| match customer {
        CustomerRef::Id(id) => id.to_string(),
        CustomerRef::External(text) => text.to_string(),
    };
    let holds = |needle: &str| {
        let texts = [
            event.name.to_string(),
            event.source.as_str().to_owned(),
            text_of(&event.customer),
            Value::Object(event.metadata.clone()).text().unwrap().into_owned(),
        ];
        texts.iter().any(|text| text.to_lowercase().contains(needle))
    };
    query.filter.as_ref().is_none_or(|filter| filter.matches(event))
        && query.after.is_none_or(|after| event.timestamp > after)
        && query.before.is_none_or(|before| event.timestamp < before)
        && query.customers.as_ref().is_none_or(|set| set.contains(&event.customer))
        && (query.names.is_empty() || query.names.iter().any(|name| *name == event.name))
        && (query.sources.is_empty() || query.sources.contains(&event.source))
        && query.text.as_ref().is_none_or(|text| holds(&text.needle))
        && query.metadata.iter().all(|wanted| wanted.holds(event.metadata.get(&wanted.key)))
}

type NameFacts = HashMap<(EventSource, String), (u64, Timestamp, Timestamp)>;

fn names_of(rows: &[NameRow]) -> NameFacts {
    let fact = |row: &NameRow| {
        ((row.source, row.name.clone()), (row.occurrences, row.first_seen, row.last_seen))
    };
    let facts: NameFacts = rows.iter().map(fact).collect();
    assert_eq!(facts.len(), rows.len(), "a name is listed twice");
    facts
}

fn names_by_scan(query: &NameQuery, events: &[NewEvent<'_>]) -> NameFacts {
    let mut facts = NameFacts::new();
    for event in events {
        let selected = query.customers.as_ref().is_none_or(|set| set.contains(&event.customer))
            && (query.sources.is_empty() || query.sources.contains(&event.source));
        if selected {
            let at = event.timestamp;
            let fact = facts.entry((event.source, event.name.to_string())).or_insert((0, at, at));
            *fact = (fact.0 + 1, fact.1.min(at), fact.2.max(at));
        }
    }
    facts
}

#[test]
fn hundreds_of_shapes_and_many_chunks_change_nothing() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut draw =
        |count: usize| vec(generate::event(), count).new_tree(&mut runner).unwrap().current();
    // One chunk with over 256 shapes, then chunks that fill up by rows.
    let mut events = draw(4000);
    let few = draw(50);
    for round in 0..300_i64 {
        events.extend(few.iter().map(|event| {
            let mut event = event.clone();
            event.external_id = None;
            event.timestamp = instant(event.timestamp.micros() + round * 1_000_003);
            event
        }));
    }
    let kept = kept(&events);
    let mut subject = Subject::new();
    subject.ingest(&events, &[1000, 1, 3000]);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let queries = vec(generate::query(), 6).new_tree(&mut runner).unwrap().current();
    for round in 0..2 {
        for (query, customers) in &queries {
            let defined = subject.defined(query, customers, &kept);
            assert_same_bits(&subject.quantities(query, customers), &defined);
        }
        if round == 0 {
            let own = subject.own(&kept);
            let mut expected: Vec<&NewEvent<'_>> = own.iter().collect();
            expected.sort_by_key(|event| event.timestamp);
            let got = list(&subject.store, subject.organization, EventQuery::default());
            assert_eq!(got.items.len(), expected.len());
            assert!(got.items.iter().zip(&expected).all(|(row, event)| row.event == **event));
            subject.reopen();
        }
    }
}

/// Many rows, customers and values: columns of more than one block of each, and of each width.
#[test]
fn columns_of_many_rows_customers_and_values_agree() {
    const EVENTS: i64 = 70_000;
    let draw = |number: i64| {
        // Any numbers that are far from ascending.
        (number.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33).cast_signed()
    };
    let events: Vec<_> = (0..EVENTS)
        .map(|number| {
            let some = draw(number);
            let int = |value| Value::Number(Number::Int(value));
            let text = |text: String| Value::String(text.into());
            let rare = match number % 20_000 {
                7 => Value::Number(Number::Big("7".repeat(45).into())),
                8 => int(i64::MAX),
                _ => int(some % 100 - 50),
            };
            NewEvent {
                name: if some % 10 == 0 { "other" } else { "call" }.into(),
                timestamp: instant(DAY_ONE + some % (40 * 24) * HOUR + number),
                metadata: metadata([
                    ("small", int(some % 100)),
                    ("price", Value::Number(Number::Float((some % 1000) as f64 / 100.0))),
                    ("third", Value::Number(Number::Float(some as f64 / 3.0))),
                    ("rare", rare),
                    ("many", text(format!("v{}", some % 66_000))),
                    ("few", text(format!("v{}", some % 300))),
                ]),
                ..event(&format!("c{}", some % 3000), DAY_ONE, None)
            }
        })
        .collect();
    let options = EmbeddedOptions { seal_events: 1_000_000, ..EmbeddedOptions::default() };
    let mut subject = Subject::with(options);
    subject.ingest(&events, &[35_000]);
    let calls =
        FilterClause::new("name".to_owned(), Operator::Eq, ClauseValue::Text("call".to_owned()));
    let calls =
        Filter { conjunction: Conjunction::And, clauses: vec![Clause::Leaf(calls.unwrap())] };
    let mut queries = Vec::new();
    for (filter, function, property) in [
        (&calls, AggregationFunction::Sum, "small"),
        (&Filter::all(), AggregationFunction::Avg, "price"),
        (&Filter::all(), AggregationFunction::Sum, "third"),
        (&Filter::all(), AggregationFunction::Max, "rare"),
        (&Filter::all(), AggregationFunction::Unique, "many"),
        (&calls, AggregationFunction::Unique, "few"),
        (&calls, AggregationFunction::Count, ""),
    ] {
        let query = QuantityQuery {
            filter: filter.clone(),
            aggregation: Aggregation::of(function, property.to_owned()),
            end: instant(DAY_ONE + 30 * 24 * HOUR),
            interval: floe_core::Interval::Week,
            ..count_query()
        };
        let one = Some((Vec::new(), vec!["c7".to_owned(), "c2999".to_owned()]));
        let over = Some(AggregationFunction::Avg);
        let per_customer = QuantityQuery { customer_aggregation: over, ..query.clone() };
        // An offset of 5 hours, 53 minutes and 28 seconds.
        let early = QuantityQuery {
            start: instant(-90 * 365 * 24 * HOUR),
            end: instant(-90 * 365 * 24 * HOUR + HOUR),
            zone: floe_core::TimeZone::named("Asia/Kolkata").unwrap(),
            ..query.clone()
        };
        queries.extend([
            (query, None),
            (per_customer.clone(), None),
            (per_customer, one.clone()),
            (early, one),
        ]);
    }
    let kept = kept(&events);
    let defined: Vec<MeterQuantities> =
        queries.iter().map(|(query, customers)| subject.defined(query, customers, &kept)).collect();
    for round in 0..3 {
        for ((query, customers), defined) in queries.iter().zip(&defined) {
            assert_same_bits(&subject.quantities(query, customers), defined);
        }
        match round {
            0 => wait(subject.store.seal()).unwrap(),
            _ => subject.reopen_after(|file| {
                // Past the head, where the data are.
                if std::fs::metadata(file).unwrap().len() > 8192 {
                    flip_a_bit(file, 8 * 6000 + 3);
                }
            }),
        }
    }
}

#[test]
fn lists_reach_into_every_chunk() {
    const EVENTS: i64 = 50_000;
    let subject = Subject::new();
    // The last one ingested is the first by time.
    let id = |number: i64| format!("e{number}");
    let events: Vec<_> = (0..EVENTS)
        .map(|number| event("c", DAY_ONE + EVENTS - number, Some(&id(number))))
        .collect();
    subject.ingest(&events, &[10_000]);
    let organizations = Organizations::one(subject.organization);
    for number in [0, 16_383, 16_384, 32_767, 32_768, 32_769, 49_151, 49_152, EVENTS - 1] {
        let page = PageRequest { offset: (EVENTS - 1 - number) as u64, limit: 1 };
        let (store, of) = (&subject.store, subject.organization);
        let page = support::page(store, of, EventQuery::default(), page, Direction::Ascending);
        assert_eq!(page.items[0].event.external_id.as_deref(), Some(id(number).as_str()));
        let found = wait(subject.store.event(&organizations, page.items[0].id)).unwrap();
        assert_eq!(found.as_ref(), page.items.first());
    }
    let again = ingest(&subject.store, subject.organization, &events).unwrap();
    assert_eq!((again.inserted, again.duplicates), (0, EVENTS as u64));
}

#[test]
fn shapes_of_the_same_letters_are_told_apart() {
    let one = || Value::Number(Number::Int(1));
    let inside = |outer, key| metadata([(outer, Value::Object(metadata([(key, one())])))]);
    let all = [
        inside("a", "bc"),
        inside("ab", "c"),
        inside("abc", ""),
        inside("", "abc"),
        metadata([("a.bc", one())]),
        metadata([("a", one()), ("b", one())]),
        metadata([("b", one()), ("a", one())]),
        metadata([("a", Value::Object(metadata([])))]),
        metadata([("a", Value::String("1".into()))]),
        metadata([]),
    ];
    let events: Vec<_> = all
        .into_iter()
        .zip(0_i64..)
        .map(|(metadata, number)| NewEvent { metadata, ..event("c", DAY_ONE + number, None) })
        .collect();
    let subject = Subject::new();
    subject.ingest(&events, &[3]);
    let rows = list(&subject.store, subject.organization, EventQuery::default()).items;
    assert_eq!(rows.into_iter().map(|row| row.event).collect::<Vec<_>>(), events);
}

#[test]
fn the_recorded_cases_agree_through_the_store() {
    recorded_cases_agree(&EmbeddedOptions::default());
}

#[test]
fn the_recorded_cases_agree_on_sealed_events() {
    recorded_cases_agree(&EmbeddedOptions { seal_events: 1000, ..support::sealing() });
}

fn recorded_cases_agree(options: &EmbeddedOptions) {
    let folder = folder();
    let text = recorded::read("vectors.jsonl") + &recorded::read("vectors-below-http.jsonl");
    let cases = recorded::cases(&text);
    assert_eq!(cases.len(), 745);
    let mut asked: Vec<(OrganizationId, QuantityQuery)> = Vec::new();
    let check = |store: &EmbeddedStore, asked: &[(OrganizationId, QuantityQuery)]| {
        let failures: Vec<String> = cases
            .iter()
            .zip(asked)
            .filter_map(|(case, (organization, query))| {
                let answer = wait(store.quantities(*organization, query.clone())).unwrap();
                case.disagreement(&answer)
            })
            .collect();
        assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    };
    {
        let store = open_with(folder.path(), options.clone());
        for case in &cases {
            let organization = organization(&store);
            let ids: HashMap<CustomerId, CustomerId> = case
                .customers()
                .into_iter()
                .map(|(id, external_id)| {
                    (id, customer(&store, organization, external_id.as_deref()).id)
                })
                .collect();
            let own = |id: &CustomerId| ids.get(id).copied().unwrap_or(*id);
            let mut events = case.events();
            for event in &mut events {
                if let CustomerRef::Id(id) = &mut event.customer {
                    *id = own(id);
                }
            }
            let (some, others) = events.split_at(events.len() / 2);
            ingest(&store, organization, some).unwrap();
            ingest(&store, organization, others).unwrap();
            let query = case.query(|chosen, external_ids| {
                let chosen: Vec<CustomerId> = chosen.iter().map(own).collect();
                store.select_customers(organization, &chosen, external_ids, false)
            });
            asked.push((organization, query));
        }
        check(&store, &asked);
        if options.seal_events < 1_000_000 {
            wait(store.seal()).unwrap();
            check(&store, &asked);
        }
    }
    check(&open(folder.path()), &asked);
}

/// What is done to customer meters, one after the other.
#[derive(Debug, Clone)]
enum Act {
    Ingest(Vec<NewEvent<'static>>),
    Credit {
        customer: usize,
        meter: Index,
        units: i64,
        rollover: bool,
        external_id: Option<u8>,
    },
    Reset {
        customer: usize,
        meter: Index,
    },
    /// A credit, or else a reset, at a time of its own.
    Raw {
        customer: usize,
        meter: Index,
        hours: i64,
        credit: Option<(i64, bool)>,
    },
    /// So many microseconds of the clock, back too.
    Clock(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let customer = || 0..generate::CUSTOMERS;
    let units = || prop_oneof![-120_i64..200, Just(i64::from(i32::MAX))];
    prop_oneof![
        6 => vec(generate::plain_event(), 1..12).prop_map(Act::Ingest),
        4 => (customer(), any::<Index>(), units(), any::<bool>(), option::of(0_u8..6)).prop_map(
            |(customer, meter, units, rollover, external_id)| {
                Act::Credit { customer, meter, units, rollover, external_id }
            }
        ),
        3 => (customer(), any::<Index>()).prop_map(|(customer, meter)| Act::Reset { customer, meter }),
        2 => (customer(), any::<Index>(), -48_i64..0, option::of((units(), any::<bool>()))).prop_map(
            |(customer, meter, hours, credit)| Act::Raw { customer, meter, hours, credit }
        ),
        3 => (-2 * HOUR..9 * HOUR).prop_map(Act::Clock),
    ]
}

static CLOCK: AtomicI64 = AtomicI64::new(0);

fn clock() -> Timestamp {
    instant(CLOCK.load(Ordering::Relaxed))
}

/// All events with their times of ingestion, and what follows from them by semantics section 12.
#[derive(Default)]
struct Ledger {
    events: Vec<(Timestamp, NewEvent<'static>)>,
    last: Option<Timestamp>,
}

impl Ledger {
    fn ingest(&mut self, events: &[NewEvent<'static>]) {
        let at = self.last.map_or(clock(), |last| last.max(clock()));
        let mut known: HashSet<String> = self
            .events
            .iter()
            .filter_map(|(_, event)| event.external_id.as_deref().map(str::to_owned))
            .collect();
        for event in events {
            if event.external_id.as_deref().is_none_or(|id| known.insert(id.to_owned())) {
                self.events.push((at, event.clone()));
                self.last = Some(at);
            }
        }
    }

    fn credit(&mut self, customer: CustomerId, meter: &Meter, of: (i64, bool), id: Option<&str>) {
        let at = self.last.map_or(clock(), |last| last.max(clock()));
        let mut event = generate::system_event(customer, meter.id, at.micros(), Some(of));
        event.external_id = id.map(|id| id.to_owned().into());
        self.ingest(&[event]);
    }

    fn reset(&mut self, customer: &Customer, meter: &Meter) {
        let at = self.last.map_or(clock(), |last| last.next().max(clock()));
        let (consumed, credits, _) = self.window(customer, meter);
        let sum = |rollover| floored(credits.iter().filter(|c| c.1 == rollover).map(|c| c.0));
        let (rolling, expiring) = (sum(true), sum(false));
        let mut left = Exact::from(rolling);
        left.add(&Exact::from(expiring));
        let carried = left.minus(&consumed).truncate().min(rolling).max(0);
        self.last = Some(at);
        let event = |credit| generate::system_event(customer.id, meter.id, at.micros(), credit);
        self.events.push((at, event(None)));
        if carried > 0 {
            self.events.push((at, event(Some((carried, true)))));
        }
    }

    /// What was consumed since the last reset, the credits since, and the time of the last change.
    fn window(
        &self,
        customer: &Customer,
        meter: &Meter,
    ) -> (Exact, Vec<(i64, bool)>, Option<Timestamp>) {
        let id_text = Value::String(meter.id.to_string().into());
        let about = |event: &NewEvent<'_>, name: &str| {
            event.source == EventSource::System
                && event.name == name
                && event.customer == CustomerRef::Id(customer.id)
                && event.metadata.get("meter_id") == Some(&id_text)
        };
        let resets = self.events.iter().filter(|(_, event)| about(event, METER_RESET));
        let start = resets.clone().map(|(_, event)| event.timestamp).max();
        let inside = |at: &Timestamp| start.is_none_or(|start| *at >= start);
        let is_of = |event: &NewEvent<'_>| match &event.customer {
            CustomerRef::Id(id) => *id == customer.id,
            CustomerRef::External(text) => customer.external_id.as_deref() == Some(text),
        };
        let used: Vec<_> = self
            .events
            .iter()
            .filter(|(at, event)| {
                inside(at)
                    && event.source == EventSource::User
                    && is_of(event)
                    && counts(meter, event)
            })
            .collect();
        let mut consumed = Accumulator::new(meter.aggregation.function());
        for (_, event) in &used {
            consumed.add(&meter.aggregation.measure(event).unwrap());
        }
        let granted = self.events.iter().filter(|(_, event)| about(event, METER_CREDITED));
        let mut credits: Vec<_> =
            granted.clone().filter(|(at, _)| inside(at)).map(|(_, event)| event).collect();
        credits.sort_by_key(|event| event.timestamp);
        let units = |event: &&NewEvent<'_>| match event.metadata.get("units") {
            Some(Value::Number(Number::Int(units))) => *units,
            other => panic!("{other:?}"),
        };
        let rolls =
            |event: &NewEvent<'_>| event.metadata.get("rollover") == Some(&Value::Bool(true));
        let credits = credits.iter().map(|event| (units(event), rolls(event))).collect();
        let changes = used.into_iter().chain(resets).chain(granted).map(|(at, _)| *at);
        (consumed.finish(), credits, changes.max())
    }

    fn check(&self, subject: &Subject, meters: &[Arc<Meter>]) {
        let rows = wait(subject.store.customer_meters(
            subject.organization,
            subject.customers.clone(),
            meters.to_vec(),
        ));
        for (customer, rows) in subject.customers.iter().zip(rows.unwrap()) {
            for (meter, row) in meters.iter().zip(rows) {
                let (consumed, credits, modified_at) = self.window(customer, meter);
                let credited = floored(credits.iter().map(|credit| credit.0));
                let balance = Exact::from(credited).minus(&consumed).to_f64();
                assert_eq!(row.units.consumed.to_bits(), consumed.to_f64().to_bits());
                assert_eq!(row.units.credited, credited);
                assert_eq!(row.units.balance.to_bits(), balance.to_bits());
                assert_eq!(row.modified_at, modified_at);
            }
        }
    }
}

fn floored(units: impl Iterator<Item = i64>) -> i64 {
    units.fold(0, |sum, units| (sum + units).max(0))
}

#[test]
fn customer_meters_are_those_of_the_definition() {
    let meters = (option::of(generate::filter()), generate::aggregation());
    let strategy = (vec(act(), 1..40), vec(meters, 1..4), any::<bool>());
    // One runner and not the macro: the clock is one for all cases.
    let mut runner = proptest::test_runner::TestRunner::new(cases(64));
    let subject = RefCell::new(Subject::new());
    let result = runner.run(&strategy, |(acts, meters, seal)| {
        let options = if seal { support::sealing() } else { EmbeddedOptions::default() };
        let options = EmbeddedOptions { clock, ..options };
        let mut subject = subject.borrow_mut();
        CLOCK.store(DAY_ONE + 500 * 24 * HOUR, Ordering::Relaxed);
        let fresh = Subject::new();
        *subject = fresh;
        let path = subject.folder.path().to_owned();
        let other = folder();
        subject.store = open(other.path());
        subject.store = open_with(&path, options.clone());
        let organization = subject.organization;
        let mut meters: Vec<Arc<Meter>> = meters
            .into_iter()
            .map(|(filter, aggregation)| {
                let filter = filter.unwrap_or_else(Filter::all);
                meter(&subject.store, organization, filter, aggregation)
            })
            .collect();
        let sum = Aggregation::of(AggregationFunction::Sum, "a".to_owned());
        meters.push(meter(&subject.store, organization, Filter::all(), sum));
        let mut ledger = Ledger::default();
        for act in acts {
            let store = &subject.store;
            match act {
                Act::Ingest(events) => {
                    let events = subject.own(&events);
                    ingest(store, organization, &events).unwrap();
                    ledger.ingest(&events);
                }
                Act::Credit { customer, meter, units, rollover, external_id } => {
                    let (customer, meter) = (&subject.customers[customer], meter.get(&meters));
                    let external_id = external_id.map(|number| format!("e{number}"));
                    let before = ledger.events.len();
                    ledger.credit(customer.id, meter, (units, rollover), external_id.as_deref());
                    let (customer, meter) = (customer.id, meter.id);
                    let credit = NewCredit { customer, meter, units, rollover, external_id };
                    let is_new = wait(store.credit(organization, credit)).unwrap();
                    prop_assert_eq!(is_new, ledger.events.len() > before);
                }
                Act::Reset { customer, meter } => {
                    let (customer, meter) = (&subject.customers[customer], meter.get(&meters));
                    ledger.reset(customer, meter);
                    let (customer, meter) = (Arc::clone(customer), Arc::clone(meter));
                    wait(store.reset(organization, customer, meter)).unwrap();
                }
                Act::Raw { customer, meter, hours, credit } => {
                    let customer = subject.customers[customer].id;
                    let at = clock().micros() + hours * HOUR;
                    let event = generate::system_event(customer, meter.get(&meters).id, at, credit);
                    ingest(store, organization, std::slice::from_ref(&event)).unwrap();
                    ledger.ingest(&[event]);
                }
                Act::Clock(micros) => {
                    CLOCK.fetch_add(micros, Ordering::Relaxed);
                }
            }
            ledger.check(&subject, &meters);
        }
        let listed = list(&subject.store, organization, EventQuery::default());
        let mut expected: Vec<_> = ledger.events.iter().map(|(_, event)| event).collect();
        expected.sort_by_key(|event| event.timestamp);
        prop_assert_eq!(listed.items.iter().map(|row| &row.event).collect::<Vec<_>>(), expected);
        subject.store = open(other.path().join("b").as_path());
        subject.store = open_with(&path, options.clone());
        ledger.check(&subject, &meters);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn an_organization_without_events_has_answers() {
    let subject = Subject::new();
    let (store, organization) = (&subject.store, subject.organization);
    let answer = wait(store.quantities(organization, count_query())).unwrap();
    assert_eq!((answer.total, answer.quantities.len()), (0.0, 12));
    let sum = Aggregation::of(AggregationFunction::Sum, "a".to_owned());
    let meter = meter(store, organization, Filter::all(), sum);
    let customers = subject.customers.clone();
    let rows = wait(store.customer_meters(organization, customers, vec![Arc::clone(&meter)]));
    for row in rows.unwrap().into_iter().flatten() {
        assert_eq!((row.units.consumed, row.units.credited, row.modified_at), (0.0, 0, None));
    }
    assert!(!wait(store.meter_has_events(meter)).unwrap());
    let searches = vec![(organization, EventQuery::default())];
    let page = wait(store.list_events(searches, ALL, Direction::Descending)).unwrap();
    assert_eq!((page.items.len(), page.total_count), (0, 0));
    assert!(wait(store.event_names(organization, NameQuery::default())).unwrap().is_empty());
}
