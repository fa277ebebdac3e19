//! The whole engine on a disk that fails on purpose: power cuts, refused writes and syncs, a full
//! disk, short writes, at any operation of ingestion, sealing, merging and recovery.
//!
//! Everything follows from a seed, which a failure names; `FLOE_SIM_SEEDS=10000` runs so many, and
//! `FLOE_SIM_SEED=…` a single one. The catalog is SQLite's, which counts as one durable step.

use std::collections::BTreeMap;
use std::path::Path;

use floe_core::{Aggregation, AggregationFunction, NewEvent, Number, OrganizationId, Value};
use floe_store::embedded::sim::{EIO, ENOSPC, Random, SimFs};
use floe_store::embedded::{EmbeddedOptions, EmbeddedStore};
use floe_store::port::{EventQuery, EventStore as _, IngestReport, StoreError};
use tempfile::TempDir;

use crate::support::{
    DAY_ONE, HOUR, count, count_query, event, folder, ingest, list, metadata, organization, wait,
};

/// Seeds of the normal run.
const SEEDS: u64 = 100;
/// Lives of a store under one seed: each begins with a recovery and mostly ends badly.
const LIVES: u64 = 4;

/// A catalog with an organization, to be copied for each seed.
struct Template {
    folder: TempDir,
    organization: OrganizationId,
}

fn template() -> Template {
    let folder = folder();
    let store = open_on(&SimFs::new(0), folder.path(), &mut Random::new(0)).unwrap();
    let organization = organization(&store);
    store.close();
    drop(store);
    // Its journal is on a disk that is gone.
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).unwrap();
    catalog
        .execute("DELETE FROM folder WHERE key IN ('journal_files', 'has_manifest')", [])
        .unwrap();
    catalog.pragma_update(None, "journal_mode", "DELETE").unwrap();
    Template { folder, organization }
}

fn open_on(disk: &SimFs, folder: &Path, random: &mut Random) -> Result<EmbeddedStore, StoreError> {
    disk.add_folder(folder);
    let options = EmbeddedOptions {
        fs: disk.fs(),
        background: false,
        seal_events: 1 + random.below(12),
        segment_events_max: 20 + random.below(60),
        segment_columns_max: 3,
        journal_file_bytes: 8192 << random.below(3),
        ..EmbeddedOptions::default()
    };
    EmbeddedStore::open(folder, options).map(|(store, _)| store)
}

/// What the store must hold.
#[derive(Default)]
struct Model {
    /// Events by the number that stands in each; acknowledged, or seen after a recovery.
    events: BTreeMap<i64, NewEvent<'static>>,
    /// Batches that were not acknowledged: each is there as a whole, or not at all.
    doubtful: Vec<Vec<(i64, NewEvent<'static>)>>,
    next: i64,
}

impl Model {
    fn new_event(&mut self, random: &mut Random) -> (i64, NewEvent<'static>) {
        let number = self.next;
        self.next += 1;
        let external_id = (!random.one_in(4)).then(|| format!("e{number}"));
        let customer = format!("c{}", random.below(3));
        let hours = number + random.below(72).cast_signed() - 36;
        let mut event =
            event(&customer, DAY_ONE + 48 * HOUR + hours * HOUR, external_id.as_deref());
        let number_value = Value::Number(Number::Int(number));
        event.metadata = if random.one_in(8) {
            metadata([("value", number_value), ("rare", Value::String("x".repeat(300).into()))])
        } else {
            metadata([("value", number_value)])
        };
        (number, event)
    }

    /// Ingests a batch of new events, and some that are known.
    fn ingest(
        &mut self,
        store: &EmbeddedStore,
        organization: OrganizationId,
        random: &mut Random,
    ) -> Result<(), StoreError> {
        let fresh: Vec<_> = (0..1 + random.below(5)).map(|_| self.new_event(random)).collect();
        let known = self.events.values().filter(|event| event.external_id.is_some());
        let skip = usize::try_from(random.below(1 + self.events.len() as u64)).unwrap();
        let known: Vec<_> = known.skip(skip).take(2).cloned().collect();
        let batch: Vec<_> =
            fresh.iter().map(|(_, event)| event.clone()).chain(known.clone()).collect();
        match ingest(store, organization, &batch) {
            Ok(report) => {
                let expected =
                    IngestReport { inserted: fresh.len() as u64, duplicates: known.len() as u64 };
                assert_eq!(report, expected);
                self.events.extend(fresh);
                Ok(())
            }
            Err(error) => {
                self.doubtful.push(fresh);
                Err(error)
            }
        }
    }

    /// After a recovery it is settled which of the doubtful batches are there.
    fn settle(&mut self, store: &EmbeddedStore, organization: OrganizationId) {
        let rows = list(store, organization, EventQuery::default());
        let number =
            |event: &NewEvent<'_>| event.metadata.get("value").cloned().map(Value::into_owned);
        let found: Vec<_> = rows.items.iter().map(|row| number(&row.event)).collect();
        for batch in std::mem::take(&mut self.doubtful) {
            let is_there = |event: &NewEvent<'_>| found.contains(&number(event));
            let there = batch.iter().filter(|(_, event)| is_there(event)).count();
            assert!(there == 0 || there == batch.len(), "{there} of a batch of {}", batch.len());
            if there > 0 {
                self.events.extend(batch);
            }
        }
        self.check(store, organization);
    }

    /// Compares the store with what it must hold.
    fn check(&self, store: &EmbeddedStore, organization: OrganizationId) {
        let rows = list(store, organization, EventQuery::default());
        let mut found: BTreeMap<i64, NewEvent<'static>> = BTreeMap::new();
        for row in rows.items {
            let Some(Value::Number(Number::Int(number))) = row.event.metadata.get("value") else {
                panic!("an event that nobody sent: {row:?}");
            };
            let number = *number;
            assert!(found.insert(number, row.event).is_none(), "event {number} is there twice");
        }
        assert_eq!(rows.total_count, found.len() as u64);
        for (number, event) in &self.events {
            assert_eq!(found.get(number), Some(event), "event {number}");
        }
        assert_eq!(found.len(), self.events.len());
        assert_eq!(count(store, organization), found.len() as u64);
        let sum = Aggregation::of(AggregationFunction::Sum, "value".to_owned());
        let query = floe_core::QuantityQuery { aggregation: sum, ..count_query() };
        let total = wait(store.quantities(organization, query)).unwrap().total;
        assert_eq!(total, self.events.keys().sum::<i64>() as f64);
        // An external id counts once, however long ago it came.
        let known = self.events.values().filter(|event| event.external_id.is_some());
        let known: Vec<_> = known.cloned().collect();
        if store.poisoned().is_none() && !known.is_empty() {
            let report = ingest(store, organization, &known).unwrap();
            assert_eq!((report.inserted, report.duplicates), (0, known.len() as u64));
        }
    }
}

/// Arms a fault of some kind within the next operations, or none.
fn arm(disk: &SimFs, random: &mut Random) {
    let at = disk.operations() + 1 + random.below(220);
    match random.below(8) {
        0..=2 => disk.cut_power_at(at),
        3 => disk.fail_write_at(at, if random.one_in(2) { EIO } else { ENOSPC }),
        4 => disk.fail_sync_at(at, EIO),
        5 => disk.fail_at(at, EIO),
        6 => disk.set_free_bytes(random.below(60_000)),
        _ => {}
    }
    disk.set_short_writes(random.one_in(3));
}

fn run(template: &Template, seed: u64) {
    let folder = folder();
    let catalog = folder.path().join("catalog.db");
    std::fs::copy(template.folder.path().join("catalog.db"), &catalog).unwrap();
    let organization = template.organization;
    let mut random = Random::new(seed);
    let mut disk = SimFs::new(random.bits());
    let mut model = Model::default();
    for life in 0..LIVES {
        let is_last = life + 1 == LIVES;
        if !is_last && random.one_in(2) {
            // Recovery meets it.
            arm(&disk, &mut random);
        }
        match open_on(&disk, folder.path(), &mut random) {
            Ok(store) => {
                if !disk.is_cut() {
                    disk.heal();
                    model.settle(&store, organization);
                    if !is_last {
                        arm(&disk, &mut random);
                    }
                    for _ in 0..5 + random.below(25) {
                        if model.ingest(&store, organization, &mut random).is_err() {
                            break;
                        }
                    }
                    if !disk.is_cut() && random.one_in(2) {
                        disk.heal();
                        model.check(&store, organization);
                    }
                }
                if random.one_in(3) {
                    store.close();
                }
            }
            Err(error) => assert!(!is_last, "a store without faults does not open: {error}"),
        }
        // The power goes, or else only the process does.
        if disk.is_cut() || random.one_in(2) {
            disk = disk.after_power_cut(random.bits());
        } else {
            disk.heal();
        }
        if random.one_in(5) {
            // Derived files are nobody's truth.
            for cache in ["cache", "cache/dedup"] {
                let cache = folder.path().join(cache);
                for name in disk.fs().list(&cache).unwrap() {
                    let _ = disk.fs().remove(&cache.join(name));
                }
            }
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_whatever_the_disk_does() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let template = template();
    let seeds = match number("FLOE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FLOE_SIM_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let run = std::panic::AssertUnwindSafe(|| run(&template, seed));
        if let Err(panic) = std::panic::catch_unwind(run) {
            println!("run it again with FLOE_SIM_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
