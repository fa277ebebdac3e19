//! Backups: made while events come in, restored, and never half.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use floe_store::embedded::fs::{Fs, FsFile, OpenMode, RealFs};
use floe_store::embedded::{EmbeddedOptions, restore, restore_on};
use floe_store::port::{EventQuery, StoreError};

use crate::support::{
    DAY_ONE, HOUR, count, customer, event, folder, ingest, list, open, open_with, organization,
    refusal, sealing, wait,
};
use crate::verify::assert_clean;

fn why<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result.unwrap_err() {
        StoreError::Backup(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_backup_taken_while_events_come_in_has_all_that_were_there() {
    let (data, backups) = (folder(), folder());
    let store = open_with(data.path(), sealing());
    let id = organization(&store);
    let ada = customer(&store, id, Some("ada"));
    let stored = AtomicU64::new(0);
    let enough = AtomicU64::new(0);
    let (backup, before) = std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, stored, enough) = (&store, &stored, &enough);
            scope.spawn(move || {
                let mut number = 0;
                while enough.load(Ordering::SeqCst) == 0 {
                    let external_id = format!("{thread}-{number}");
                    let batch: Vec<_> = (0..5)
                        .map(|i| {
                            let external_id = format!("{external_id}-{i}");
                            event("ada", DAY_ONE + number * HOUR, Some(&external_id))
                        })
                        .collect();
                    stored.fetch_add(ingest(store, id, &batch).unwrap().inserted, Ordering::SeqCst);
                    number += 1;
                }
            });
        }
        while stored.load(Ordering::SeqCst) < 200 {
            std::thread::yield_now();
        }
        let before = stored.load(Ordering::SeqCst);
        let path = backups.path().join("one");
        let made = wait(store.backup(&path)).unwrap();
        assert!(made.events >= before, "{made:?}, {before} acknowledged");
        enough.store(1, Ordering::SeqCst);
        (path, before)
    });
    // The source goes on, and a merge or two removes files that the backup has.
    wait(store.seal()).unwrap();
    store.close();
    drop(store);
    assert_clean(&backup);

    let restored = folder();
    let to = restored.path().join("data");
    let report = restore(&backup, &to).unwrap();
    assert_clean(&to);
    let store = open(&to);
    let source = open(data.path());
    let found = list(&store, id, EventQuery::default());
    assert_eq!(found.total_count, report.events);
    assert!(found.total_count >= before);
    let mut ids: Vec<_> = found.items.iter().map(|row| row.event.external_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len() as u64, report.events, "none is there twice");
    // What it has, it has as the source does: events are listed by time, so compare each.
    let everything = list(&source, id, EventQuery::default());
    for row in &found.items {
        let same = everything.items.iter().find(|of| of.id == row.id).unwrap();
        assert_eq!(format!("{row:?}"), format!("{same:?}"));
    }
    assert_eq!(count(&store, id), report.events);
    let customers = floe_store::port::Catalog::customers(&store, id);
    assert_eq!(customers.iter().map(|of| of.id).collect::<Vec<_>>(), [ada.id]);
    // It goes on as a folder of its own.
    let known = everything.items[0].event.external_id.clone().unwrap();
    let more = [event("ada", DAY_ONE, Some("new")), event("ada", DAY_ONE, Some(&known))];
    assert_eq!(ingest(&store, id, &more).unwrap().inserted, 1);
    store.close();
    drop(store);
    assert_clean(&to);
    assert_eq!(count(&open(&to), id), report.events + 1);
}

#[test]
fn a_backup_goes_only_where_nothing_is() {
    let (data, backups) = (folder(), folder());
    let store = open(data.path());
    let id = organization(&store);
    ingest(&store, id, &[event("c", DAY_ONE, Some("e"))]).unwrap();
    let refused = |path: &Path| why(wait(store.backup(path)));
    let taken = backups.path().join("taken");
    wait(store.backup(&taken)).unwrap();
    assert!(refused(&taken).contains("is not empty"));
    assert!(refused(&backups.path().join("no/such/parent")).contains("there is no folder"));
    assert!(refused(&data.path().join("backup")).contains("lies in the data folder"));
    fs::write(backups.path().join("file"), []).unwrap();
    assert!(refused(&backups.path().join("file")).contains("is no folder"));
    assert!(!data.path().join("backup").exists());
    // Two at once into one folder: one of them, or each in turn is told.
    let both = backups.path().join("both");
    let results = wait(async { tokio::join!(store.backup(&both), store.backup(&both)) });
    let made = [results.0, results.1].into_iter().filter(Result::is_ok).count();
    assert_eq!(made, 1);
    assert_clean(&both);
}

#[test]
fn what_is_no_whole_backup_is_not_restored() {
    let (data, backups) = (folder(), folder());
    let store = open(data.path());
    let id = organization(&store);
    ingest(&store, id, &[event("c", DAY_ONE, Some("e"))]).unwrap();
    let backup = backups.path().join("b");
    wait(store.backup(&backup)).unwrap();
    let target = backups.path().join("target");
    let refused = |words: &str| {
        let why = why(restore(&backup, &target));
        assert!(why.contains(words), "{why}");
        assert!(!target.exists(), "nothing is left");
    };
    let json = backup.join("backup.json");
    let whole = fs::read_to_string(&json).unwrap();
    fs::remove_file(&json).unwrap();
    refused("it is no backup, or one that was not finished");
    fs::write(&json, whole.replace("\"format\":1", "\"format\":77")).unwrap();
    refused("format 77");
    fs::write(&json, whole.replace("\"events\":1", "\"events\":2")).unwrap();
    refused("its checksum is wrong");
    fs::write(&json, &whole).unwrap();
    // A copy, since the segment is a hard link of the store's.
    let segment = backup.join(format!("segments/{id}/00000001.parquet"));
    let mut bytes = fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    fs::remove_file(&segment).unwrap();
    fs::write(&segment, bytes).unwrap();
    refused("do not have their checksum");
    fs::remove_file(&segment).unwrap();
    refused("00000001.parquet");
}

#[test]
fn a_restore_that_did_not_end_is_not_opened() {
    let target = folder();
    fs::write(target.path().join("restore.unfinished"), []).unwrap();
    assert!(refusal(target.path()).contains("was not restored to the end"));
}

/// A disk without hard links that takes so many bytes.
#[derive(Debug)]
struct SmallDisk {
    left: Arc<AtomicU64>,
}

#[derive(Debug)]
struct SmallFile(Arc<dyn FsFile>, Arc<AtomicU64>);

impl Fs for SmallDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn FsFile>> {
        Ok(Arc::new(SmallFile(RealFs.open(path, mode)?, Arc::clone(&self.left))))
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealFs.list(folder)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealFs.exists(path)
    }
    fn create_dir(&self, folder: &Path) -> io::Result<()> {
        RealFs.create_dir(folder)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }
    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::CrossesDevices.into())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }
    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        RealFs.sync_dir(folder)
    }
}

impl FsFile for SmallFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let taken = self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(bytes.len() as u64)
        });
        match taken {
            Ok(_) => self.0.write_at(bytes, offset),
            Err(_) => Err(io::ErrorKind::StorageFull.into()),
        }
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[test]
fn a_full_disk_leaves_nothing_that_looks_like_a_backup() {
    let (data, backups) = (folder(), folder());
    let left = Arc::new(AtomicU64::new(u64::MAX));
    let small = Arc::new(SmallDisk { left: Arc::clone(&left) });
    let options = EmbeddedOptions { fs: Arc::clone(&small) as Arc<dyn Fs>, ..sealing() };
    let store = open_with(data.path(), options);
    let id = organization(&store);
    for number in 0..100 {
        ingest(&store, id, &[event("c", DAY_ONE, Some(&number.to_string()))]).unwrap();
    }
    wait(store.seal()).unwrap();
    let path = backups.path().join("b");
    let mut room = 0;
    loop {
        left.store(room, Ordering::SeqCst);
        match wait(store.backup(&path)) {
            Ok(report) => {
                assert_eq!((report.events, report.linked_segments), (100, 0));
                break;
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Backup(_)), "{error:?}");
                assert!(!path.exists());
            }
        }
        room += 2000;
        assert!(room < 1 << 20, "it never fits");
    }
    assert!(room > 2000);
    assert_clean(&path);
    let (target, mut room) = (backups.path().join("t"), 0);
    loop {
        left.store(room, Ordering::SeqCst);
        match restore_on(Arc::clone(&small) as Arc<dyn Fs>, &path, &target) {
            Ok(_) => break,
            Err(error) => {
                assert!(matches!(error, StoreError::Backup(_)), "{error:?}");
                assert!(!target.exists());
            }
        }
        room += 20_000;
        assert!(room < 4 << 20, "it never fits");
    }
    assert_clean(&target);
    left.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(count(&open(&target), id), 100);
}
