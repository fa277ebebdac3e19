//! `verify` finds what is wrong, names the file, and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_core::OrganizationId;
use floe_store::embedded::fs::RealFs;
use floe_store::embedded::{EmbeddedOptions, Finding, VerifyReport, storage_stats, verify};
use floe_store::port::{Catalog as _, EventQuery, EventStore as _, NewCredit, Organizations};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{
    DAY_ONE, HOUR, count, customer, event, folder, ingest, list, meter, open, open_with,
    organization, refusal, sealing, wait,
};

fn examine(folder: &Path) -> Result<VerifyReport, String> {
    verify(folder, Arc::new(RealFs), &mut |progress| {
        assert!(progress.done <= progress.total, "{progress:?}");
    })
    .map_err(|error| error.to_string())
}

/// Every file with its bytes.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(of) = folders.pop() {
        for entry in fs::read_dir(of).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    files
}

fn copy_of(folder: &Path) -> TempDir {
    let copy = crate::support::folder();
    for (path, bytes) in snapshot(folder) {
        let to = copy.path().join(path.strip_prefix(folder).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
    copy
}

/// What is found, with nothing changed.
#[track_caller]
fn findings(folder: &Path) -> VerifyReport {
    let before = snapshot(folder);
    let report = examine(folder).unwrap();
    assert!(snapshot(folder) == before, "a verification changes nothing");
    report
}

#[track_caller]
pub(crate) fn assert_clean(folder: &Path) {
    let report = findings(folder);
    assert_eq!(report.findings, [], "{:?}", report.notes);
}

/// Exactly one file is found wrong.
#[track_caller]
fn finds(folder: &Path, file: &str, words: &str) -> Finding {
    let report = findings(folder);
    let found = &report.findings;
    assert!(!found.is_empty() && found.iter().all(|of| of.file.contains(file)), "{found:?}");
    assert!(found.iter().any(|of| of.what.contains(words)), "{words} is not in {found:?}");
    assert!(found.iter().all(|of| !of.means.is_empty() && !of.todo.is_empty()));
    found[0].clone()
}

/// A closed folder with segments, some merged, and events in the journal; with customers, credits,
/// parents and external ids.
fn used() -> (TempDir, OrganizationId) {
    let folder = folder();
    // Without threads nothing is merged once the rollups are made.
    let store = open_with(folder.path(), EmbeddedOptions { background: false, ..sealing() });
    let id = organization(&store);
    let ada = customer(&store, id, Some("ada"));
    let all = floe_core::Aggregation::count();
    let meter = meter(&store, id, floe_core::Filter::all(), all);
    for number in 0..90 {
        let mut event = event("ada", DAY_ONE + number * HOUR, Some(&format!("e-{number}")));
        if number % 3 == 0 {
            event.customer = floe_core::CustomerRef::Id(ada.id);
        }
        if number % 10 == 9 {
            event.parent_id = Some(format!("e-{}", number - 1).into());
        }
        ingest(&store, id, &[event]).unwrap();
        if number == 40 {
            let credit = NewCredit {
                customer: ada.id,
                meter: meter.id,
                units: 5,
                rollover: false,
                external_id: None,
            };
            assert!(wait(store.credit(id, credit)).unwrap());
        }
    }
    wait(store.seal()).unwrap();
    // Rollups of some meters are made when they are first asked for.
    let mut query = crate::support::count_query();
    wait(store.quantities(id, query.clone())).unwrap();
    let value = |function| floe_core::Aggregation::of(function, "value".to_owned());
    for (_, function) in floe_core::AggregationFunction::ALL.iter().skip(1) {
        query.aggregation = value(*function);
        wait(store.quantities(id, query.clone())).unwrap();
    }
    for number in 0..5 {
        ingest(&store, id, &[event("new", DAY_ONE, Some(&format!("late-{number}")))]).unwrap();
    }
    store.close();
    drop(store);
    (folder, id)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// The files of a folder below a data folder with this ending.
fn files(folder: &Path, below: &str, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join(below))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{below} has no {ending}");
    files
}

fn segments(folder: &Path, id: OrganizationId) -> Vec<PathBuf> {
    files(folder, &format!("segments/{id}"), ".parquet")
}

#[test]
fn a_clean_folder_is_found_clean_and_everything_is_looked_at() {
    let (folder, id) = used();
    let report = findings(folder.path());
    assert_eq!(report.findings, [], "{:?}", report.notes);
    let checked = &report.checked;
    assert_eq!((checked.sealed_events, checked.journal_events), (91, 5));
    assert_eq!(checked.segments, segments(folder.path(), id).len() as u64);
    assert_eq!(checked.indexes, checked.segments);
    assert!(checked.rollups >= 6 * checked.segments, "{checked:?}");
    assert_eq!(checked.external_ids, 90);
    assert!(checked.external_id_files >= 1 && checked.journal_records >= 5);
    assert!(checked.catalog_rows >= 3 + 4, "{checked:?}");
    assert_eq!(report.notes, Vec::<String>::new());

    let stats = storage_stats(folder.path(), &RealFs).unwrap();
    assert_eq!((stats.sealed_events, stats.organizations, stats.external_ids), (91, 1, 90));
    assert_eq!(stats.columns.iter().map(|of| of.bytes).sum::<u64>(), stats.segment_bytes);
    assert_eq!(stats.segment_bytes, checked.segment_bytes);
    assert_eq!(stats.external_id_files, checked.external_id_files);
    assert_eq!(stats.cache.iter().map(|of| of.files).sum::<u64>(), {
        checked.indexes + checked.rollups + checked.external_id_files
    });
    let store = open(folder.path());
    let live = wait(store.storage_stats()).unwrap();
    assert_eq!(live.events, Some(96));
    assert_eq!((live.columns, live.sealed_events), (stats.columns, 91));
    assert_eq!(live.external_id_memory_bytes, stats.external_id_memory_bytes);
}

#[test]
fn a_folder_without_its_cache_is_clean() {
    let (folder, _) = used();
    fs::remove_dir_all(folder.path().join("cache")).unwrap();
    let report = findings(folder.path());
    assert_eq!(report.findings, []);
    assert!(report.notes.iter().any(|note| note.contains("index")), "{:?}", report.notes);
}

#[test]
fn a_folder_in_use_or_none_at_all_is_not_verified() {
    let (folder, _) = used();
    let store = open(folder.path());
    assert!(examine(folder.path()).unwrap_err().contains("another process has the data folder"));
    drop(store);
    assert_clean(folder.path());
    let none = crate::support::folder();
    assert!(examine(none.path()).unwrap_err().contains("is no data folder"));
    assert!(examine(&none.path().join("no")).unwrap_err().contains("is no data folder"));
    assert_eq!(fs::read_dir(none.path()).unwrap().count(), 0);
}

#[test]
fn a_killed_store_is_clean() {
    let (folder, id) = used();
    let store = open(folder.path());
    ingest(&store, id, &[event("c", DAY_ONE, Some("last"))]).unwrap();
    customer(&store, id, Some("fresh"));
    // As a kill leaves it: SQLite's log is not worked in, the journal is not closed.
    let copy = copy_of(folder.path());
    drop(store);
    assert!(fs::metadata(copy.path().join("catalog.db-wal")).unwrap().len() > 0);
    assert_clean(copy.path());
}

#[test]
fn a_flipped_bit_in_a_segment_is_found() {
    let (folder, id) = used();
    let path = segments(folder.path(), id).pop().unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let length = fs::metadata(&path).unwrap().len() as usize;
    for at in [50, length / 2, length - 20] {
        flip(&path, at);
        let finding = finds(folder.path(), &name, "checksum");
        assert!(finding.todo.contains("restore a backup"), "{finding:?}");
        flip(&path, at);
    }
    assert_clean(folder.path());
}

#[test]
fn a_missing_segment_is_found() {
    let (folder, id) = used();
    let path = segments(folder.path(), id).remove(0);
    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    let finding = finds(folder.path(), "segments", "it is missing");
    assert!(finding.means.contains("events from sequence number"), "{finding:?}");
}

#[test]
fn a_flipped_bit_in_any_cache_file_is_found() {
    let (folder, _) = used();
    let mut all = files(folder.path(), "cache", ".index");
    all.extend(files(folder.path(), "cache", ".rollup"));
    all.extend(files(folder.path(), "cache/dedup", ".run"));
    for path in all {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let length = fs::metadata(&path).unwrap().len() as usize;
        for at in [20, 4100, length - 1] {
            flip(&path, at);
            let finding = finds(folder.path(), &name, "");
            assert!(finding.todo.contains("delete this file"), "{finding:?}");
            flip(&path, at);
        }
    }
    assert_clean(folder.path());
}

#[test]
fn known_external_ids_that_are_not_those_of_the_events_are_found_and_what_they_let_in() {
    // Two folders that were one: each has an event that the other has not, at the same place.
    let (folder, id) = used();
    let other = copy_of(folder.path());
    for (data, external_id) in [(folder.path(), "one"), (other.path(), "two")] {
        let store = open(data);
        ingest(&store, id, &[event("c", DAY_ONE, Some(external_id))]).unwrap();
        wait(store.seal()).unwrap();
        store.close();
    }
    let run = |data: &Path| files(data, "cache/dedup", ".run").pop().unwrap();
    assert_eq!(run(folder.path()).file_name(), run(other.path()).file_name());
    // Its checksums are right, and its range is; it knows `two` and not `one`.
    fs::copy(run(other.path()), run(folder.path())).unwrap();
    let finding = finds(folder.path(), "cache/dedup", "which are not the");
    assert!(finding.todo.contains("delete this file"), "{finding:?}");
    let store = open(folder.path());
    let again = [event("c", DAY_ONE, Some("one"))];
    assert_eq!(ingest(&store, id, &again).unwrap().inserted, 1, "it was let in");
    store.close();
    drop(store);
    fs::remove_dir_all(folder.path().join("cache")).unwrap();
    finds(folder.path(), "segments", "both have the external id \"one\"");
    let store = open(folder.path());
    wait(store.seal()).unwrap();
    store.close();
    drop(store);
    finds(folder.path(), "segments", "both have the external id \"one\"");
}

#[test]
fn a_rollup_of_other_events_is_found() {
    let (folder, _) = used();
    let all = files(folder.path(), "cache", ".rollup");
    // Of the same segment, for another meter.
    fs::copy(&all[0], &all[1]).unwrap();
    finds(folder.path(), "cache", "it is of another meter than its name says");
}

#[test]
fn a_flipped_bit_in_the_journal_is_found() {
    let (folder, _) = used();
    let path = files(folder.path(), "journal", ".log").remove(0);
    for at in [9, 60, 4096 + 20, 4096 + 64 + 40] {
        flip(&path, at);
        let finding = finds(folder.path(), "journal", &path.file_name().unwrap().to_string_lossy());
        assert!(finding.todo.contains("backup"), "{finding:?}");
        flip(&path, at);
    }
    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    finds(folder.path(), "journal", "is missing");
}

#[test]
fn a_torn_tail_is_no_finding() {
    let (folder, id) = used();
    let store = open(folder.path());
    ingest(&store, id, &[event("c", DAY_ONE, Some("last"))]).unwrap();
    let path = files(folder.path(), "journal", ".log").remove(0);
    let bytes = fs::read(&path).unwrap();
    drop(store);
    // As if the power went while the last record was written: its last bytes are not there.
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let mut torn = bytes;
    torn[end - 8..=end].fill(0);
    fs::write(&path, torn).unwrap();
    let report = findings(folder.path());
    assert_eq!(report.findings, []);
    assert!(report.notes.iter().any(|note| note.contains("cut short")), "{:?}", report.notes);
}

#[test]
fn a_hand_edited_row_of_each_table_is_found() {
    let (folder, id) = used();
    let store = open(folder.path());
    wait(store.set_event_label(id, "call".to_owned(), "Call".to_owned(), None)).unwrap();
    drop(store);
    let path = folder.path().join("catalog.db");
    let change = |statement: &str| {
        Connection::open(&path).unwrap().execute_batch(statement).unwrap();
    };
    for (table, edit, back) in [
        ("customers", "external_id = 'bob'", "external_id = 'ada'"),
        ("meters", "unit = 'token'", "unit = 'scalar'"),
        ("organizations", "name = 'Mine'", "name = 'Test'"),
        ("event_labels", "label = 'Ring'", "label = 'Call'"),
    ] {
        change(&format!("UPDATE {table} SET {edit}"));
        let finding = finds(folder.path(), "catalog.db", &format!("table {table}, row with"));
        assert!(finding.todo.contains("backup"), "{finding:?}");
        // It is used as it is, and told in the log.
        drop(open(folder.path()));
        change(&format!("UPDATE {table} SET {back}"));
        assert_clean(folder.path());
    }
    change("INSERT INTO folder (key, value) VALUES ('root_token_hash', zeroblob(32))");
    finds(folder.path(), "catalog.db", "row with key = 'root_token_hash'");
    change("DELETE FROM folder WHERE key = 'root_token_hash'");
    change("DELETE FROM meters");
    finds(folder.path(), "catalog.db", "credits or resets");
    change("DELETE FROM customers");
    finds(folder.path(), "catalog.db", "events of organization");
}

#[test]
fn a_change_through_the_port_gives_a_row_its_checksum_again() {
    let (folder, id) = used();
    let path = folder.path().join("catalog.db");
    let edit = "UPDATE organizations SET slug = 'edited'";
    Connection::open(path).unwrap().execute_batch(edit).unwrap();
    finds(folder.path(), "catalog.db", "table organizations");
    let store = open(folder.path());
    wait(store.update_organization(id, Some("Other".to_owned()))).unwrap();
    drop(store);
    assert_clean(folder.path());
}

#[test]
fn a_damaged_catalog_or_manifest_is_found() {
    let (folder, _) = used();
    let catalog = folder.path().join("catalog.db");
    let whole = fs::read(&catalog).unwrap();
    fs::write(&catalog, [0xff; 8192]).unwrap();
    finds(folder.path(), "catalog.db", "");
    fs::remove_file(&catalog).unwrap();
    finds(folder.path(), "catalog.db", "it is missing");
    fs::write(&catalog, whole).unwrap();
    let manifest = folder.path().join("manifest/manifest.json");
    let length = fs::metadata(&manifest).unwrap().len() as usize;
    flip(&manifest, length / 2);
    finds(folder.path(), "manifest.json", "checksum");
    fs::remove_file(&manifest).unwrap();
    finds(folder.path(), "manifest.json", "it is missing");
}

/// A folder as the version before segments wrote it: see `tests/fixtures/folder-v1/README.md`.
fn fixture() -> TempDir {
    let folder = folder();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/folder-v1");
    fs::copy(from.join("catalog.db"), folder.path().join("catalog.db")).unwrap();
    fs::create_dir(folder.path().join("journal")).unwrap();
    let mut journal = fs::read(from.join("journal/000001.log")).unwrap();
    journal.resize(4 << 20, 0);
    fs::write(folder.path().join("journal/000001.log"), journal).unwrap();
    folder
}

#[test]
fn a_folder_of_the_version_before_segments_opens_seals_and_verifies() {
    let folder = fixture();
    let report = findings(folder.path());
    assert_eq!(report.findings, []);
    assert!(report.notes.iter().any(|note| note.contains("older Floe")), "{:?}", report.notes);
    assert_eq!(report.checked.journal_events, 43);
    for time in 0..2 {
        let store = open(folder.path());
        let id = store.organization_ids(&Organizations::All);
        let organizations = store.list_organizations(
            &Organizations::All,
            Some("fixture"),
            &Vec::new(),
            crate::support::ALL,
        );
        let id = organizations.items.first().map_or_else(|| id[0], |of| of.id);
        // 41 by the user, a credit and a reset.
        assert_eq!(list(&store, id, EventQuery::default()).total_count, 43);
        assert_eq!(count(&store, id), 43 - 3, "three are of this year");
        let known = event("ada", DAY_ONE, Some("e-7"));
        assert_eq!(ingest(&store, id, &[known]).unwrap().duplicates, 1);
        let meters = store.meters(id);
        assert_eq!(meters[0].name, "Tokens");
        // The sum of 0 to 39 by day.
        let mut query = crate::support::count_query();
        (query.filter, query.aggregation) =
            (meters[0].filter.clone(), meters[0].aggregation.clone());
        assert_eq!(wait(store.quantities(id, query)).unwrap().total, 780.0);
        let ada = store.customer_by_external_id(id, "ada").unwrap();
        assert_eq!(ada.name.as_deref(), Some("Ada"));
        let rows = wait(store.customer_meters(id, vec![ada], meters)).unwrap();
        assert_eq!((rows[0][0].units.consumed, rows[0][0].units.credited), (5.0, 0));
        if time == 0 {
            wait(store.seal()).unwrap();
        }
        store.close();
        drop(store);
        assert_clean(folder.path());
        assert_eq!(findings(folder.path()).checked.sealed_events, 43);
    }
}

#[test]
fn what_a_newer_floe_wrote_is_refused_by_name() {
    let (folder, id) = used();
    let both = |words: &str| {
        let why = refusal(folder.path());
        assert!(why.contains(words), "{why}");
        let why = match examine(folder.path()) {
            Err(why) => why,
            Ok(report) => format!("{:?}", report.findings),
        };
        assert!(why.contains(words), "{why}");
    };
    let catalog = folder.path().join("catalog.db");
    let version = |number: i64| {
        let connection = Connection::open(&catalog).unwrap();
        connection.pragma_update(None, "user_version", number).unwrap();
    };
    version(3);
    both("catalog.db has schema 3");
    version(2);
    let manifest = folder.path().join("manifest/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("floe-manifest 1 ", "floe-manifest 9 ", 1)).unwrap();
    both("has format 9");

    // A segment says its version in the footer, whose checksum stands in the manifest.
    let path = segments(folder.path(), id).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let place = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).rposition(|of| of == text);
    let at = place(&bytes, b"floe.format").unwrap() + b"floe.format".len();
    let at = at + bytes[at..].iter().position(|byte| *byte == b'1').unwrap();
    bytes[at] = b'7';
    let number: u64 = path.file_stem().unwrap().to_string_lossy().parse().unwrap();
    fs::write(&path, &bytes).unwrap();
    let (head, body) = text.split_once('\n').unwrap();
    let mut json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(head.starts_with("floe-manifest 1"));
    for of in json["organizations"][0]["segments"].as_array_mut().unwrap() {
        if of["id"] == number {
            let from = of["data_bytes"].as_u64().unwrap() as usize;
            of["end_crc32c"] = crc32c::crc32c(&bytes[from..]).into();
        }
    }
    let body = serde_json::to_string_pretty(&json).unwrap();
    let crc = crc32c::crc32c(body.as_bytes());
    fs::write(&manifest, format!("floe-manifest 1 {crc:08x}\n{body}")).unwrap();
    both("has format 7");
    bytes[at] = b'1';
    fs::write(&path, &bytes).unwrap();
    fs::write(&manifest, text).unwrap();

    let journal = files(folder.path(), "journal", ".log").remove(0);
    let mut bytes = fs::read(&journal).unwrap();
    bytes[8..12].copy_from_slice(&77_u32.to_le_bytes());
    fs::write(&journal, bytes).unwrap();
    both("has format 77");
}
