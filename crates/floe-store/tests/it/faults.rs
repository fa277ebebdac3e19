//! What the engine refuses, by name, and what it survives.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use floe_core::{OrganizationId, Timestamp};
use floe_store::embedded::EmbeddedOptions;
use floe_store::embedded::sim::SimFs;
use floe_store::port::{EventQuery, EventStore as _, NameQuery, StoreError};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{
    DAY_ONE, HOUR, count, event, folder, ingest, instant, list, open, open_with, organization,
    refusal, wait,
};

/// A closed folder with one event.
fn used_folder() -> (TempDir, OrganizationId) {
    let folder = folder();
    let store = open(folder.path());
    let organization = organization(&store);
    ingest(&store, organization, &[event("c", DAY_ONE, Some("e"))]).unwrap();
    store.close();
    (folder, organization)
}

#[track_caller]
fn assert_refused(folder: &Path, words: &[&str]) {
    let why = refusal(folder);
    assert!(words.iter().all(|word| why.contains(word)), "{why:?} lacks one of {words:?}");
}

static CLOCK: AtomicI64 = AtomicI64::new(DAY_ONE + 1000 * HOUR);

fn clock() -> Timestamp {
    instant(CLOCK.load(Ordering::SeqCst))
}

#[test]
fn a_clock_that_goes_back_does_not_move_ingestion_back() {
    let folder = folder();
    let options = || EmbeddedOptions { clock, ..EmbeddedOptions::default() };
    let name_created_at = |store: &_, id, name: &str| {
        let store: &floe_store::embedded::EmbeddedStore = store;
        let names = wait(store.event_names(id, NameQuery::default())).unwrap();
        names.iter().find(|row| row.name == name).unwrap().created_at
    };
    let named = |name: &str| {
        let mut event = event("c", DAY_ONE, None);
        event.name = name.to_owned().into();
        [event]
    };
    let start = clock();
    let store = open_with(folder.path(), options());
    let id = organization(&store);
    ingest(&store, id, &named("first")).unwrap();
    CLOCK.fetch_sub(500 * HOUR, Ordering::SeqCst);
    ingest(&store, id, &named("second")).unwrap();
    assert_eq!(name_created_at(&store, id, "second"), start);
    drop(store);
    let store = open_with(folder.path(), options());
    ingest(&store, id, &named("third")).unwrap();
    assert_eq!(name_created_at(&store, id, "third"), start);
    CLOCK.fetch_add(501 * HOUR, Ordering::SeqCst);
    ingest(&store, id, &named("fourth")).unwrap();
    assert_eq!(name_created_at(&store, id, "fourth"), clock());
}

#[test]
fn events_beyond_the_limit_of_memory_are_sealed() {
    let folder = folder();
    let options = EmbeddedOptions { tail_bytes_max: 1 << 20, ..EmbeddedOptions::default() };
    let store = open_with(folder.path(), options);
    let id = organization(&store);
    let batch: Vec<_> = (0..1000).map(|_| event("c", DAY_ONE, None)).collect();
    for _ in 0..50 {
        assert_eq!(ingest(&store, id, &batch).unwrap().inserted, 1000);
    }
    assert_eq!(count(&store, id), 50_000);
    assert!(folder.path().join("segments").exists());
    drop(store);
    let store = open(folder.path());
    assert_eq!(count(&store, id), 50_000);
}

#[test]
fn beyond_the_limit_of_memory_nothing_is_stored_if_it_cannot_be_sealed() {
    let folder = folder();
    let limit = 1 << 20;
    let options = EmbeddedOptions { tail_bytes_max: limit, ..EmbeddedOptions::default() };
    let store = open_with(folder.path(), options);
    let id = organization(&store);
    // No folder can be made in place of a file.
    let obstacle = folder.path().join("segments");
    fs::write(&obstacle, []).unwrap();
    let batch: Vec<_> = (0..100).map(|_| event("c", DAY_ONE, None)).collect();
    let mut stored = 0;
    let refused = loop {
        match ingest(&store, id, &batch) {
            Ok(report) => stored += report.inserted,
            Err(error) => break error,
        }
        assert!(stored < 1_000_000, "the limit is never reached");
    };
    assert!(matches!(refused, StoreError::Full { limit_bytes, .. } if limit_bytes == limit));
    assert!(stored >= 1000);
    assert_eq!(count(&store, id), stored);
    // Once it can, it is.
    fs::remove_file(&obstacle).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while ingest(&store, id, &batch).is_err() {
        assert!(std::time::Instant::now() < deadline, "it is never sealed");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(count(&store, id), stored + 100);
    drop(store);
    let store = open(folder.path());
    assert_eq!(count(&store, id), stored + 100);
}

#[test]
fn one_folder_serves_one_process() {
    let (folder, _) = used_folder();
    let _store = open(folder.path());
    assert_refused(folder.path(), &["another process has the data folder"]);
}

#[test]
fn a_missing_catalog_is_refused() {
    let (folder, _) = used_folder();
    fs::remove_file(folder.path().join("catalog.db")).unwrap();
    assert_refused(folder.path(), &["catalog.db is missing", "there is a journal"]);
    assert!(!folder.path().join("catalog.db").exists(), "none was made in its place");
}

#[test]
fn an_empty_catalog_is_refused() {
    let (folder, _) = used_folder();
    for name in ["catalog.db-wal", "catalog.db-shm"] {
        let _ = fs::remove_file(folder.path().join(name));
    }
    fs::write(folder.path().join("catalog.db"), []).unwrap();
    assert_refused(folder.path(), &["belongs to another data folder"]);
}

#[test]
fn a_damaged_catalog_is_refused() {
    let (folder, _) = used_folder();
    fs::write(folder.path().join("catalog.db"), [0xff; 8192]).unwrap();
    let why = refusal(folder.path());
    assert!(!why.is_empty());
}

#[test]
fn a_missing_journal_is_refused() {
    let (folder, _) = used_folder();
    fs::remove_dir_all(folder.path().join("journal")).unwrap();
    assert_refused(folder.path(), &["000001.log", "missing"]);
    assert!(!folder.path().join("journal").exists(), "none was made in its place");
}

#[test]
fn a_journal_of_another_folder_is_refused() {
    let ((folder, _), (other, _)) = (used_folder(), used_folder());
    let file = |folder: &TempDir| folder.path().join("journal/000001.log");
    fs::copy(file(&other), file(&folder)).unwrap();
    assert_refused(folder.path(), &["000001.log", "belongs to data folder"]);
}

fn change_catalog(folder: &Path, statement: &str) {
    Connection::open(folder.join("catalog.db")).unwrap().execute_batch(statement).unwrap();
}

#[test]
fn another_id_key_is_refused() {
    let (folder, _) = used_folder();
    let change = "UPDATE folder SET value = randomblob(16) WHERE key = 'id_key'";
    change_catalog(folder.path(), change);
    assert_refused(folder.path(), &["000001.log", "another key", "key with check value"][..1]);
    let why = refusal(folder.path());
    assert!(why.contains("under a key with check value"), "{why}");
    change_catalog(folder.path(), "DELETE FROM folder WHERE key = 'id_key'");
    assert_refused(folder.path(), &["catalog.db has lost its id_key", "backup"]);
    change_catalog(folder.path(), "INSERT INTO folder (key, value) VALUES ('id_key', x'00')");
    assert_refused(folder.path(), &["IdKey", "16 bytes"]);
}

#[test]
fn a_catalog_that_forgot_files_is_refused() {
    let (folder, _) = used_folder();
    change_catalog(folder.path(), "DELETE FROM folder WHERE key = 'journal_files'");
    assert_refused(folder.path(), &["000001.log", "not expected"]);
}

#[test]
fn newer_formats_are_refused_by_number() {
    let (folder, _) = used_folder();
    change_catalog(folder.path(), "PRAGMA user_version = 77");
    assert_refused(folder.path(), &["catalog.db has schema 77"]);
    change_catalog(folder.path(), "PRAGMA user_version = 2");
    let path = folder.path().join("journal/000001.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8..12].copy_from_slice(&77_u32.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert_refused(folder.path(), &["000001.log", "format 77"]);
}

#[test]
fn a_newer_payload_is_refused() {
    let (folder, _) = used_folder();
    let path = folder.path().join("journal/000001.log");
    let mut bytes = fs::read(&path).unwrap();
    // The first record is an open or data record; find the data record's payload by its magic.
    let at = bytes
        .chunks(64)
        .position(|slot| slot.starts_with(b"FJRc") && slot[4] == 1)
        .map(|slot| slot * 64)
        .unwrap();
    bytes[at + 32] = 9;
    fs::write(&path, bytes).unwrap();
    // Its checksum is wrong now, so it is damage and not a version: refused all the same, since a
    // close record follows.
    assert_refused(folder.path(), &["000001.log", "corrupt"]);
}

/// In a process of its own, whose files must not grow (`ulimit -f`): writing stops, what was
/// acknowledged stays, and reading goes on.
#[test]
fn after_a_failed_write_nothing_is_accepted_and_nothing_lost() {
    const ROLE: &str = "FLOE_TEST_FULL_DISK";
    if let Ok(path) = std::env::var(ROLE) {
        fill(Path::new(&path));
        return;
    }
    let folder = folder();
    let store = open(folder.path());
    let id = organization(&store);
    drop(store);
    let test = "faults::after_a_failed_write_nothing_is_accepted_and_nothing_lost";
    // In blocks of 1024 bytes, somewhat above the first file of the journal. SIGXFSZ is ignored,
    // so that a write fails instead.
    let script = format!("trap '' XFSZ; ulimit -f 5000; exec \"$0\" --exact {test} --nocapture");
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let stored: u64 = text
        .lines()
        .find_map(|line| line.split_once("acknowledged=")?.1.trim().parse().ok())
        .unwrap();
    assert!(stored > 0);
    let store = open(folder.path());
    let found = list(&store, id, EventQuery::default()).total_count;
    // The batch that failed may be there or not, but not in part.
    assert!(found == stored || found == stored + 200, "{stored} acknowledged, {found} found");
    assert_eq!(ingest(&store, id, &[event("c", DAY_ONE, None)]).unwrap().inserted, 1);
}

fn fill(path: &Path) {
    let store = open(path);
    let searched = floe_store::port::Organizations::All;
    let id = floe_store::port::Catalog::organization_ids(&store, &searched)[0];
    let mut stored = 0;
    let error = loop {
        let batch: Vec<_> = (0..200)
            .map(|number| event("c", DAY_ONE, Some(&format!("{stored}-{number:0>400}"))))
            .collect();
        match ingest(&store, id, &batch) {
            Ok(report) => stored += report.inserted,
            Err(error) => break error,
        }
        assert!(stored < 10_000_000, "the disk is never full");
    };
    assert!(matches!(error, StoreError::Poisoned(_)), "{error:?}");
    assert!(store.poisoned().is_some());
    let again = ingest(&store, id, &[event("c", DAY_ONE, None)]);
    assert!(matches!(again, Err(StoreError::Poisoned(_))), "{again:?}");
    assert_eq!(count(&store, id), stored, "reading goes on");
    println!("acknowledged={stored}");
}

#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let folder = folder();
    let mut disk = SimFs::new(1);
    disk.add_folder(folder.path());
    let mut stored = 0;
    let open = |disk: &SimFs| {
        open_with(folder.path(), EmbeddedOptions { fs: disk.fs(), ..EmbeddedOptions::default() })
    };
    let id = organization(&open(&disk));
    for seed in 0..5 {
        let store = open(&disk);
        assert_eq!(count(&store, id), stored);
        stored += ingest(&store, id, &[event("c", DAY_ONE, None)]).unwrap().inserted;
        // Not after the store is gone: closing would sync.
        disk = disk.after_power_cut(seed);
    }
    assert_eq!(count(&open(&disk), id), 5);
    assert!(!folder.path().join("journal").exists(), "all of it is on the simulated disk");
}
