//! Many writers and readers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use floe_core::{
    Aggregation, EventSource, Filter, METER_RESET, NewEvent, OrganizationId, Timestamp,
};
use floe_store::embedded::{EmbeddedOptions, EmbeddedStore};
use floe_store::port::{
    EventQuery, EventStore as _, IngestReport, NewCredit, Organizations, StoreError,
};

use crate::support::{
    DAY_ONE, count, customer, event, folder, ingest, list, meter, open, open_with, organization,
    wait,
};

const WRITERS: usize = 16;

/// Ingests, and again as long as too much is waiting.
fn ingest_patiently(
    store: &EmbeddedStore,
    organization: OrganizationId,
    events: &[NewEvent<'_>],
) -> IngestReport {
    loop {
        match ingest(store, organization, events) {
            Ok(report) => return report,
            Err(StoreError::Busy) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn of_one_external_id_exactly_one_event_stays() {
    const IDS: usize = 1500;
    let folder = folder();
    let store = open(folder.path());
    let organization = organization(&store);
    let inserted = AtomicU64::new(0);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, inserted) = (&store, &inserted);
            scope.spawn(move || {
                // Every writer sends every id, in an order and in batches of its own.
                let mut numbers: Vec<usize> = (0..IDS).collect();
                numbers.rotate_left(writer * 97 % IDS);
                for batch in numbers.chunks(1 + writer * 7) {
                    let events: Vec<_> = batch
                        .iter()
                        .map(|number| event("c", DAY_ONE, Some(&format!("e{number}"))))
                        .collect();
                    let report = ingest_patiently(store, organization, &events);
                    assert_eq!(report.inserted + report.duplicates, batch.len() as u64);
                    inserted.fetch_add(report.inserted, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(inserted.into_inner(), IDS as u64);
    let check = |store: &EmbeddedStore| {
        let rows = list(store, organization, EventQuery::default()).items;
        let mut ids: Vec<_> = rows.iter().map(|row| row.event.external_id.clone()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!((rows.len(), ids.len()), (IDS, IDS));
    };
    check(&store);
    drop(store);
    check(&open(folder.path()));
}

#[test]
fn readers_see_whole_batches() {
    const BATCH: u64 = 100;
    let folder = folder();
    let store = open(folder.path());
    let organizations = [organization(&store), organization(&store)];
    let done = AtomicBool::new(false);
    let batches = AtomicU64::new(0);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..6)
            .map(|writer: usize| {
                let (store, batches) = (&store, &batches);
                scope.spawn(move || {
                    let batch: Vec<_> = (0..BATCH).map(|_| event("c", DAY_ONE, None)).collect();
                    for _ in 0..60 {
                        ingest_patiently(store, organizations[writer % 2], &batch);
                        batches.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for reader in 0..4 {
            let (store, batches, done) = (&store, &batches, &done);
            scope.spawn(move || {
                let mut last = 0;
                while !done.load(Ordering::SeqCst) {
                    let acknowledged = batches.load(Ordering::SeqCst) * BATCH;
                    let seen = if reader % 2 == 0 {
                        organizations.map(|organization| count(store, organization))
                    } else {
                        organizations.map(|organization| {
                            list(store, organization, EventQuery::default()).total_count
                        })
                    };
                    assert!(seen.iter().all(|count| count % BATCH == 0), "half a batch: {seen:?}");
                    let sum = seen.iter().sum();
                    assert!(sum >= acknowledged, "acknowledged {acknowledged}, seen {sum}");
                    assert!(sum >= last, "{last} were seen, and now {sum}");
                    last = sum;
                }
            });
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(organizations.map(|id| count(&store, id)), [18_000, 18_000]);
}

#[test]
fn resets_divide_what_is_ingested_meanwhile() {
    const EVENTS: u64 = 4000;
    let folder = folder();
    let store = open(folder.path());
    let organization = organization(&store);
    let of = customer(&store, organization, Some("c"));
    let meter = meter(&store, organization, Filter::all(), Aggregation::count());
    // One credit that covers everything and rolls over: what a window consumes, it loses.
    let credit = NewCredit {
        customer: of.id,
        meter: meter.id,
        units: 1_000_000,
        rollover: true,
        external_id: None,
    };
    assert!(wait(store.credit(organization, credit)).unwrap());
    thread::scope(|scope| {
        for _ in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for _ in 0..EVENTS / 4 / 10 {
                    let batch: Vec<_> = (0..10).map(|_| event("c", DAY_ONE, None)).collect();
                    ingest_patiently(store, organization, &batch);
                }
            });
        }
        for _ in 0..50 {
            wait(store.reset(organization, Arc::clone(&of), Arc::clone(&meter))).unwrap();
        }
    });
    let check = |store: &EmbeddedStore| {
        let (customers, meters) = (vec![Arc::clone(&of)], vec![Arc::clone(&meter)]);
        let rows = wait(store.customer_meters(organization, customers, meters)).unwrap();
        let units = rows[0][0].units;
        // All that was consumed, in any window, is gone from the balance exactly once.
        assert_eq!(units.balance, 1_000_000.0 - EVENTS as f64);
        assert_eq!(count(store, organization), EVENTS);
        let rows = list(store, organization, EventQuery::default()).items;
        let resets: Vec<Timestamp> = rows
            .iter()
            .filter(|row| row.event.source == EventSource::System && row.event.name == METER_RESET)
            .map(|row| row.event.timestamp)
            .collect();
        assert_eq!(resets.len(), 50);
        assert!(resets.windows(2).all(|pair| pair[0] < pair[1]), "resets are apart");
    };
    check(&store);
    drop(store);
    check(&open(folder.path()));
}

#[test]
fn a_store_that_is_dropped_can_be_opened_at_once() {
    let folder = folder();
    let id = {
        let store = open(folder.path());
        organization(&store)
    };
    for round in 0..50_u64 {
        let store = open(folder.path());
        assert_eq!(count(&store, id), round);
        ingest(&store, id, &[event("c", DAY_ONE, None)]).unwrap();
    }
}

/// Segments whose events have sequence numbers with gaps, few here and many there: what came in
/// between is another organization's.
#[test]
fn what_is_sent_again_among_others_events_is_found_in_segments() {
    let folder = folder();
    let options = EmbeddedOptions { seal_events: 5000, ..EmbeddedOptions::default() };
    let store = open_with(folder.path(), options);
    let organizations = [organization(&store), organization(&store)];
    let send = |of: usize, numbers: std::ops::Range<usize>| {
        let ids: Vec<String> = numbers.map(|number| format!("e{number}")).collect();
        let events: Vec<_> = ids.iter().map(|id| event("c", DAY_ONE, Some(id))).collect();
        ingest_patiently(&store, organizations[of], &events)
    };
    // The first has 12,000 events, the second 4,000 among its first ones and 20 among its last.
    for turn in 0..120 {
        send(0, turn * 100..(turn + 1) * 100);
        match turn {
            0..20 => send(1, turn * 200..(turn + 1) * 200),
            100.. => send(1, 4000 + turn..4001 + turn),
            _ => continue,
        };
    }
    send(1, 10_000..16_000);
    // Events are set aside when others come: until enough are in segments, however long it takes.
    let third = organization(&store);
    while wait(store.storage_stats()).unwrap().sealed_events < 15_000 {
        ingest_patiently(&store, third, &[event("c", DAY_ONE, None)]);
        thread::sleep(std::time::Duration::from_millis(20));
    }
    for (of, numbers) in [(0, 0..12_000), (1, 0..4000), (1, 4100..4120), (1, 10_000..16_000)] {
        let count = numbers.len() as u64;
        let again = send(of, numbers);
        assert_eq!(again, IngestReport { inserted: 0, duplicates: count });
    }
    for organization in organizations {
        let rows = list(&store, organization, EventQuery::default()).items;
        for row in rows.iter().step_by(37) {
            let of = Organizations::one(organization);
            assert_eq!(wait(store.event(&of, row.id)).unwrap().map(|row| row.id), Some(row.id));
        }
    }
}
