//! What each customer of a meter has is what the definition says, whatever became of the customers
//! and wherever the events are.

use std::sync::Arc;

use floe_core::{
    Customer, CustomerDirectory, CustomerId, CustomerKey, CustomerQuantitiesQuery,
    CustomerSelection, NewEvent, OrganizationId, QuantityQuery, evaluate_customers,
};
use floe_store::embedded::{EmbeddedOptions, EmbeddedStore};
use floe_store::port::{
    Catalog as _, CustomerPatch, CustomerQuantityRow, CustomerQuantitySort, Direction,
    EventStore as _, Organizations, Page, PageRequest,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::generate::{self, kept, with_customers};
use crate::support::{
    self, ALL, DAY_ONE, HOUR, customer, event, folder, ingest, instant, open_with, organization,
    wait,
};

/// The live customers.
struct Directory(Vec<Arc<Customer>>);

impl CustomerDirectory for Directory {
    fn customer_with_external_id(&self, external_id: &str) -> Option<CustomerId> {
        let has = |customer: &&Arc<Customer>| customer.external_id.as_deref() == Some(external_id);
        self.0.iter().find(has).map(|customer| customer.id)
    }

    fn external_id_of(&self, id: CustomerId) -> Option<Option<String>> {
        let found = self.0.iter().find(|customer| customer.id == id);
        found.map(|customer| customer.external_id.clone())
    }
}

fn ask(
    store: &EmbeddedStore,
    of: OrganizationId,
    query: &CustomerQuantitiesQuery,
    page: PageRequest,
) -> Page<CustomerQuantityRow> {
    let sorting = vec![(CustomerQuantitySort::Quantity, Direction::Descending)];
    wait(store.customer_quantities(of, query.clone(), None, sorting, page)).unwrap()
}

fn key(row: &CustomerQuantityRow) -> CustomerKey {
    match (row.customer_id, &row.external_customer_id) {
        (Some(id), _) => CustomerKey::Id(id),
        (None, Some(text)) => CustomerKey::External(text.as_str().into()),
        (None, None) => panic!("an event is of nobody"),
    }
}

#[track_caller]
fn agrees(
    store: &EmbeddedStore,
    of: OrganizationId,
    query: &CustomerQuantitiesQuery,
    events: &[NewEvent<'static>],
) {
    let live = Directory(store.customers(of));
    let expected = evaluate_customers(query, events, &live);
    let found = ask(store, of, query, ALL);
    assert_eq!(found.total_count, found.items.len() as u64);
    assert!(found.items.is_sorted_by(|a, b| a.quantity >= b.quantity));
    let mut bits: Vec<_> =
        found.items.iter().map(|row| (key(row), row.quantity.to_bits())).collect();
    bits.sort();
    let expected: Vec<_> =
        expected.into_iter().map(|of| (of.customer, of.quantity.to_bits())).collect();
    assert_eq!(bits, expected, "{query:?}");
    for row in &found.items {
        assert_eq!(row.customer_id, row.customer.as_ref().map(|customer| customer.id));
        if let Some(id) = row.customer_id {
            let live = store.customer(&Organizations::one(of), id);
            let external_id = live.and_then(|customer| customer.external_id.clone());
            assert_eq!(row.external_customer_id, external_id);
        }
        // The same question about this customer alone; a deleted one cannot be asked for.
        let selection = match key(row) {
            CustomerKey::Id(id) => CustomerSelection::resolve(&[id], &[], &live),
            CustomerKey::External(text) => {
                CustomerSelection::resolve(&[], &[text.into_string()], &live)
            }
        };
        if let Some(interval) = query.interval
            && selection != CustomerSelection::default()
        {
            let query = QuantityQuery {
                filter: query.filter.clone(),
                aggregation: query.aggregation.clone(),
                start: query.start,
                end: query.end,
                interval,
                zone: query.zone.clone(),
                customers: Some(selection),
                customer_aggregation: None,
                metadata: query.metadata.clone(),
            };
            let alone = wait(store.quantities(of, query)).unwrap().total;
            assert_eq!(alone.to_bits(), row.quantity.to_bits());
        }
    }
}

fn of_customers(query: QuantityQuery, is_exact: bool) -> CustomerQuantitiesQuery {
    CustomerQuantitiesQuery {
        filter: query.filter,
        aggregation: query.aggregation,
        start: query.start,
        end: query.end,
        interval: (!is_exact).then_some(query.interval),
        zone: query.zone,
        metadata: query.metadata,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn customers_have_what_the_definition_says(
        events in vec(generate::event(), 0..80),
        queries in vec((generate::query(), any::<bool>()), 10),
        lengths in vec(1_usize..40, 1..5),
        seal in any::<bool>(),
        // Who takes the external id that others' events had, and who is deleted.
        adopts in option::of(generate::CUSTOMERS_WITH_EXTERNAL_ID..generate::CUSTOMERS),
        goes in option::of((0..generate::CUSTOMERS, any::<bool>())),
    ) {
        let options = if seal { support::sealing() } else { EmbeddedOptions::default() };
        let folder = folder();
        let mut store = open_with(folder.path(), options.clone());
        let of = organization(&store);
        let customers: Vec<Arc<Customer>> = (0..generate::CUSTOMERS)
            .map(|number| {
                let has = number < generate::CUSTOMERS_WITH_EXTERNAL_ID;
                customer(&store, of, has.then_some(generate::EXTERNAL_CUSTOMERS[number]))
            })
            .collect();
        let ids: Vec<CustomerId> = customers.iter().map(|customer| customer.id).collect();
        let own = |events: &[NewEvent<'static>]| -> Vec<NewEvent<'static>> {
            events.iter().map(|event| with_customers(event.clone(), &ids)).collect()
        };
        let (mut rest, mut lengths) = (own(&events), lengths.into_iter().cycle());
        while !rest.is_empty() {
            let length = lengths.next().unwrap_or(1).min(rest.len());
            let batch: Vec<_> = rest.drain(..length).collect();
            ingest(&store, of, &batch).unwrap();
        }
        if let Some(number) = adopts {
            let external_id = Some(Some("nobody".to_owned()));
            let patch = CustomerPatch { external_id, ..CustomerPatch::default() };
            wait(store.update_customer(of, ids[number], patch)).unwrap().unwrap().unwrap();
        }
        if let Some((number, anonymize)) = goes {
            prop_assert!(wait(store.delete_customer(of, ids[number], anonymize)).unwrap());
        }
        let kept = own(&kept(&events));
        let queries: Vec<_> =
            queries.into_iter().map(|((query, _), exact)| of_customers(query, exact)).collect();
        for round in 0..4 {
            for query in &queries {
                agrees(&store, of, query, &kept);
            }
            match round {
                0 => wait(store.seal()).unwrap(),
                1 => {
                    store.close();
                    drop(store);
                    store = open_with(folder.path(), options.clone());
                }
                _ => {}
            }
        }
    }
}

/// Many customers in many segments, paged: what is on the pages is what is on one.
#[test]
fn pages_are_parts_of_one_list() {
    const EVENTS: i64 = 30_000;
    const CUSTOMERS: i64 = 5_000;
    let options = EmbeddedOptions { seal_events: 7_000, ..EmbeddedOptions::default() };
    let folder = folder();
    let store = open_with(folder.path(), options);
    let of = organization(&store);
    let events: Vec<_> = (0..EVENTS)
        .map(|number| {
            let of = (number * number) % CUSTOMERS;
            event(&format!("c{of}"), DAY_ONE + number * HOUR / 100, None)
        })
        .collect();
    for batch in events.chunks(1_000) {
        ingest(&store, of, batch).unwrap();
    }
    let query = of_customers(
        QuantityQuery { end: instant(DAY_ONE + 100 * HOUR), ..support::count_query() },
        true,
    );
    agrees(&store, of, &query, &events);
    wait(store.seal()).unwrap();
    agrees(&store, of, &query, &events);
    let all = ask(&store, of, &query, ALL);
    let counted: f64 = all.items.iter().map(|row| row.quantity).sum();
    assert_eq!(counted as u64, 10_000, "a hundred an hour");
    let mut paged = Vec::new();
    for number in 0.. {
        let page = ask(&store, of, &query, PageRequest { offset: number * 97, limit: 97 });
        assert_eq!(page.total_count, all.total_count);
        if page.items.is_empty() {
            break;
        }
        paged.extend(page.items);
    }
    assert_eq!(paged, all.items);
}
