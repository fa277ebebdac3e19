//! Events sent in the background.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_client::{
    BODY_BYTES_MAX, Client, Error, EventCreate, IngestorError, IngestorOptions, Retries,
};
use serde_json::{Value, json};

use crate::responder::{Call, Responder, Step, ok, status};

fn event(n: usize) -> EventCreate {
    EventCreate::for_external_customer("a", "x").property("n", n)
}

fn events(call: &Call) -> Vec<Value> {
    call.body["events"].as_array().unwrap().clone()
}

/// Says that all events are new.
fn accept(call: &Call) -> Step {
    ok(&json!({"inserted": events(call).len(), "duplicates": 0}).to_string())
}

/// Says that the events at these positions are refused.
fn refuse(positions: &[usize], at: &str) -> Step {
    let detail: Vec<_> = positions
        .iter()
        .map(|index| json!({"type": "value_error", "loc": ["body", "events", index, at], "msg": "No.", "input": 1}))
        .collect();
    Step::Answer(422, "", json!({"error": "x", "detail": detail}).to_string())
}

fn numbers(server: &Responder) -> Vec<u64> {
    let calls = server.calls();
    calls.iter().flat_map(events).map(|event| event["metadata"]["n"].as_u64().unwrap()).collect()
}

/// Which files of events are in a spool.
fn spool_files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "spool")).count()
}

#[tokio::test]
async fn batches_are_bounded_and_in_order() {
    let server = Responder::with(|_, call| accept(call));
    let ingestor = IngestorOptions::new()
        .batch_events(10)
        .batch_time(Duration::from_secs(3600))
        .start(&server.client())
        .unwrap();
    for n in 0..25 {
        ingestor.send(event(n)).await.unwrap();
    }
    let flushed = ingestor.close().await.unwrap();
    assert_eq!((flushed.inserted, flushed.duplicates, flushed.refused_total), (25, 0, 0));
    assert_eq!(numbers(&server), (0..25).collect::<Vec<_>>());
    let calls = server.calls();
    assert!(calls.iter().all(|call| events(call).len() <= 10), "{}", calls.len());
    let all: Vec<_> = calls.iter().flat_map(events).collect();
    let ids: BTreeSet<_> = all.iter().map(|event| event["external_id"].to_string()).collect();
    assert_eq!(ids.len(), 25);
    assert!(all.iter().all(|event| event["timestamp"].is_string()));
}

#[tokio::test]
async fn a_batch_goes_after_its_time() {
    let server = Responder::with(|_, call| accept(call));
    let ingestor = IngestorOptions::new()
        .batch_time(Duration::from_millis(20))
        .start(&server.client())
        .unwrap();
    ingestor.send(event(1)).await.unwrap();
    while server.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ingestor.flush().await.unwrap().inserted, 1);
}

#[tokio::test]
async fn bodies_are_bounded_by_bytes() {
    let server = Responder::with(|_, call| {
        let length = call.headers.lines().find_map(|line| line.strip_prefix("content-length:"));
        assert!(length.unwrap().trim().parse::<usize>().unwrap() <= BODY_BYTES_MAX);
        accept(call)
    });
    let ingestor = IngestorOptions::new()
        .batch_time(Duration::from_secs(3600))
        .start(&server.client())
        .unwrap();
    let mut large = EventCreate::for_external_customer("a", "x").property("n", 0);
    for key in 0..6000 {
        large = large.property(format!("key-{key}"), "x".repeat(500));
    }
    for _ in 0..5 {
        ingestor.send(large.clone()).await.unwrap();
    }
    for key in 6000..22_000 {
        large = large.property(format!("key-{key}"), "x".repeat(500));
    }
    let error = ingestor.send(large).await.unwrap_err();
    assert!(matches!(error, IngestorError::TooLarge { .. }), "{error}");
    assert_eq!(ingestor.close().await.unwrap().inserted, 5);
    assert!(server.calls().len() >= 2);
}

#[tokio::test]
async fn a_refused_event_does_not_hold_up_the_others() {
    let server = Responder::with(|_, call| {
        let wrong: Vec<_> = events(call)
            .iter()
            .enumerate()
            .filter(|(_, event)| event["metadata"]["n"].as_u64().unwrap() % 3 == 1)
            .map(|(index, _)| index)
            .collect();
        if wrong.is_empty() { accept(call) } else { refuse(&wrong, "name") }
    });
    let ingestor = IngestorOptions::new().start(&server.client()).unwrap();
    for n in 0..10 {
        ingestor.send(event(n)).await.unwrap();
    }
    let flushed = ingestor.flush().await.unwrap();
    assert_eq!((flushed.inserted, flushed.refused_total), (7, 3));
    for (refused, n) in flushed.refused.iter().zip([1, 4, 7]) {
        let event = serde_json::to_value(&refused.event).unwrap();
        assert_eq!(event["metadata"]["n"], n);
        assert_eq!(refused.reason.violations()[0].to_string(), "body.events.0.name: No.");
    }
    assert_eq!(ingestor.flush().await.unwrap().refused_total, 0, "each is told once");
}

#[tokio::test]
async fn refusals_that_name_no_event_are_found_by_halves_and_told() {
    let server = Responder::with(|_, call| {
        let events = events(call);
        if events.iter().any(|event| event["metadata"]["n"] == 5) {
            let detail = json!([{"type": "x", "loc": ["body"], "msg": "No.", "input": 1}]);
            return Step::Answer(422, "", json!({"error": "x", "detail": detail}).to_string());
        }
        if events.len() > 3 { status(413, "") } else { accept(call) }
    });
    let told = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&told);
    let ingestor = IngestorOptions::new()
        .on_refused(move |refused| {
            shared.lock().unwrap().push(serde_json::to_value(&refused.event).unwrap());
        })
        .start(&server.client())
        .unwrap();
    for n in 0..8 {
        ingestor.send(event(n)).await.unwrap();
    }
    let flushed = ingestor.close().await.unwrap();
    assert_eq!((flushed.inserted, flushed.refused_total, flushed.refused.len()), (7, 1, 0));
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["metadata"]["n"], 5);
}

#[tokio::test]
async fn a_clock_that_is_ahead_refuses_no_event() {
    let server = Responder::with(|_, call| {
        let early: Vec<_> = (0..events(call).len())
            .filter(|index| events(call)[*index]["timestamp"].is_string())
            .collect();
        if early.is_empty() { accept(call) } else { refuse(&early, "timestamp") }
    });
    let ingestor = IngestorOptions::new().start(&server.client()).unwrap();
    ingestor.send(event(0)).await.unwrap();
    let own = event(1).timestamp("2999-01-01T00:00:00Z".parse().unwrap());
    ingestor.send(own).await.unwrap();
    let flushed = ingestor.close().await.unwrap();
    assert_eq!((flushed.inserted, flushed.refused_total), (1, 1), "the caller's own is told");
}

#[tokio::test]
async fn a_full_queue_makes_wait_and_an_error_is_told_while_events_stay() {
    let is_up = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&is_up);
    let server =
        Responder::with(
            move |_, call| {
                if shared.load(Ordering::SeqCst) { accept(call) } else { status(503, "") }
            },
        );
    let client = server.client().with_retries(Retries::none());
    let ingestor = IngestorOptions::new()
        .queue_events(3)
        .batch_time(Duration::from_millis(1))
        .start(&client)
        .unwrap();
    for n in 0..3 {
        ingestor.try_send(event(n)).await.unwrap();
    }
    assert!(matches!(ingestor.try_send(event(9)).await, Err(IngestorError::Full)));
    let waits = tokio::time::timeout(Duration::from_millis(50), ingestor.send(event(9))).await;
    assert!(waits.is_err(), "it waits, and dropped it sends nothing");
    let error = ingestor.flush().await.unwrap_err();
    assert!(matches!(error, IngestorError::Call(Error::Unavailable { .. })), "{error}");
    is_up.store(true, Ordering::SeqCst);
    ingestor.flush().await.unwrap();
    ingestor.send(event(3)).await.unwrap();
    ingestor.close().await.unwrap();
    let mut last = numbers(&server);
    last = last.split_off(last.len() - 4);
    assert_eq!(last, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_spool_is_empty_once_all_is_answered_and_is_one_ingestors() {
    let server = Responder::with(|_, call| accept(call));
    let folder = tempfile::tempdir().unwrap();
    let options = IngestorOptions::new().spool(folder.path().join("spool"));
    let ingestor = options.clone().start(&server.client()).unwrap();
    for n in 0..5 {
        ingestor.send(event(n)).await.unwrap();
    }
    assert_eq!(spool_files(&folder.path().join("spool")), 1);
    let error = options.clone().start(&server.client()).unwrap_err();
    assert!(error.to_string().ends_with("another ingestor uses it"), "{error}");
    assert_eq!(ingestor.close().await.unwrap().inserted, 5);
    assert_eq!(spool_files(&folder.path().join("spool")), 0);
    let ingestor = options.start(&server.client()).unwrap();
    assert_eq!(ingestor.recovered(), 0);
    ingestor.close().await.unwrap();
    assert_eq!(numbers(&server), [0, 1, 2, 3, 4]);
}

/// Not a test by itself: what a process does that is killed by the next one.
#[tokio::test]
async fn a_process_that_sends_and_is_killed() {
    let Some(folder) = std::env::var_os("FLOE_TEST_SPOOL") else { return };
    // Nobody answers there.
    let client = Client::new("http://127.0.0.1:1", "t").unwrap();
    let ingestor = IngestorOptions::new().spool(folder).start(&client).unwrap();
    for n in 0..100 {
        ingestor.send(event(n)).await.unwrap();
    }
    // As a crash: nothing is dropped or closed.
    std::process::abort();
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_sent_and_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let crashed = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ingestor::a_process_that_sends_and_is_killed"])
            .env("FLOE_TEST_SPOOL", folder.path())
            .output()
            .unwrap();
        assert!(!crashed.status.success());
    }
    // The crash tore the last record.
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "spool"));
    files.sort();
    assert_eq!(files.len(), 2);
    let last = std::fs::read(&files[1]).unwrap();
    std::fs::write(&files[1], &last[..last.len() - 3]).unwrap();
    let options = IngestorOptions::new().spool(folder.path()).queue_events(7).batch_events(1000);
    // Without a server they stay.
    let nobody = Client::new("http://127.0.0.1:1", "t").unwrap().with_retries(Retries::none());
    let ingestor = options.clone().start(&nobody).unwrap();
    assert_eq!(ingestor.recovered(), 199);
    ingestor.close().await.unwrap_err();
    let server = Responder::with(|_, call| accept(call));
    let ingestor = options.clone().start(&server.client()).unwrap();
    assert_eq!(ingestor.recovered(), 199);
    ingestor.send(event(100)).await.unwrap();
    assert_eq!(ingestor.close().await.unwrap().inserted, 200);
    let expected: Vec<_> = (0..100).chain(0..99).chain([100]).collect();
    assert_eq!(numbers(&server), expected);
    let calls = server.calls();
    let all: Vec<_> = calls.iter().flat_map(events).collect();
    let ids: BTreeSet<_> = all.iter().map(|event| event["external_id"].to_string()).collect();
    assert_eq!(ids.len(), 200);
    assert_eq!(spool_files(folder.path()), 0);
}

#[tokio::test]
async fn a_damaged_spool_is_not_skipped_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("0000000000000001.spool"), b"floesp01damaged").unwrap();
    std::fs::write(folder.path().join("0000000000000002.spool"), b"floesp01").unwrap();
    let server = Responder::with(|_, call| accept(call));
    let error = IngestorOptions::new().spool(folder.path()).start(&server.client()).unwrap_err();
    assert!(error.to_string().contains("0000000000000001.spool is damaged at byte 8"), "{error}");
}
