//! Random histories of a journal on a disk that fails.
//!
//! Each seed is a history: records, closes, kills, releases, and at a random operation a power cut,
//! an error, a full disk. The model knows what was acknowledged; what is found at each open must be
//! that, and at most the one record besides whose append was never answered.
//!
//! `FLOE_SIM_SEEDS` says how many seeds are run; `FLOE_SIM_SEED` runs one of them alone.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::embedded::sim::{EIO, ENOSPC, Random, SimFs};

const IDENTITY: JournalIdentity = JournalIdentity { folder_id: [7; 16], key_check: [9; 8] };
/// Some tenths of a second.
const SEEDS_DEFAULT: u64 = 300;
const FOLDER: &str = "/data/journal";

/// How often something happened, over all seeds: a simulation in which it never does is worthless.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    opens: u64,
    failed_opens: u64,
    power_cuts: u64,
    appends: u64,
    failed_appends: u64,
    /// Records that were found although their append had failed.
    found_besides: u64,
    torn_tails: u64,
    unfinished_files: u64,
    releases: u64,
    leftovers_of_releases: u64,
    recycled_files: u64,
    operations: u64,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        let Self {
            opens,
            failed_opens,
            power_cuts,
            appends,
            failed_appends,
            found_besides,
            torn_tails,
            unfinished_files,
            releases,
            leftovers_of_releases,
            recycled_files,
            operations,
        } = other;
        self.opens += opens;
        self.failed_opens += failed_opens;
        self.power_cuts += power_cuts;
        self.appends += appends;
        self.failed_appends += failed_appends;
        self.found_besides += found_besides;
        self.torn_tails += torn_tails;
        self.unfinished_files += unfinished_files;
        self.releases += releases;
        self.leftovers_of_releases += leftovers_of_releases;
        self.recycled_files += recycled_files;
        self.operations += operations;
    }
}

/// The journal, and the records that were replayed.
type Opened = (Journal, RecoveryReport, Vec<(RecordPlace, Vec<u8>)>);

/// A journal's owner, and the model of what the journal holds.
struct Owner {
    seed: u64,
    random: Random,
    disk: SimFs,
    options: JournalOptions,
    known: Arc<Mutex<KnownFiles>>,
    /// In order, those in files that were not released.
    acknowledged: VecDeque<(RecordPlace, Vec<u8>)>,
    /// Handed to an append that failed. It may be found at the next open, and if it is not, never.
    unanswered: Option<Vec<u8>>,
    /// The journal was closed, and nothing was done since.
    closed: bool,
    /// The last open found a torn tail, and nothing was appended since. Then a close writes nothing.
    torn: bool,
    seen: Seen,
}

impl Drop for Owner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0} failed; FLOE_SIM_SEED={0} runs it alone", self.seed);
            eprintln!("known files: {:?}\n{:?}\n{}", self.known(), self.disk, self.disk.log());
        }
    }
}

impl Owner {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disk = SimFs::new(random.bits());
        disk.add_folder(Path::new("/data"));
        let options = JournalOptions {
            file_bytes: FILE_BYTES_MIN + 1024 * random.below(9),
            prepare_in_background: false,
        };
        Self {
            seed,
            random,
            disk,
            options,
            known: Arc::default(),
            acknowledged: VecDeque::new(),
            unanswered: None,
            closed: false,
            torn: false,
            seen: Seen::default(),
        }
    }

    fn known(&self) -> KnownFiles {
        *self.known.lock().unwrap()
    }

    fn try_open(&self) -> Result<Opened, JournalError> {
        let known = Arc::clone(&self.known);
        let on_new_file = move |number| {
            let mut known = known.lock().unwrap();
            assert_eq!(number, known.last + 1, "files are announced in order");
            known.last = number;
            Ok(())
        };
        let mut records = Vec::new();
        let (journal, report) = Journal::open(
            self.disk.fs(),
            Path::new(FOLDER),
            &IDENTITY,
            self.known(),
            self.options,
            Box::new(on_new_file),
            |place, payload| {
                records.push((place, payload.to_vec()));
                Ok::<_, Infallible>(())
            },
        )?;
        Ok((journal, report, records))
    }

    /// Opens the journal, once more if the disk fails, and compares it with the model.
    fn open(&mut self) -> Journal {
        let mut opened = self.try_open();
        if let Err(JournalError::Io { .. }) = opened {
            self.seen.failed_opens += 1;
            self.restart();
            opened = self.try_open();
        }
        let (journal, report, found) = opened.unwrap_or_else(|error| panic!("{error:?}"));
        self.seen.opens += 1;
        self.torn = report.torn.is_some();
        self.seen.torn_tails += u64::from(self.torn);
        self.seen.unfinished_files += u64::from(report.removed_file.is_some());
        self.seen.leftovers_of_releases += report.released_files;

        let (expected, besides) = found.split_at(self.acknowledged.len().min(found.len()));
        assert!(self.acknowledged == expected, "what was acknowledged is not what is there");
        match (besides, self.unanswered.take()) {
            ([], _) => {}
            ([(place, payload)], Some(unanswered)) => {
                let last = self.acknowledged.back().map(|(place, _)| *place);
                assert!(last.is_none_or(|last| last.record < place.record));
                assert!(*payload == unanswered, "the record besides is another one");
                self.acknowledged.push_back((*place, unanswered));
                self.seen.found_besides += 1;
            }
            (besides, _) => panic!("{} records are there that never were", besides.len()),
        }
        if self.closed {
            assert_eq!((report.clean_close, report.torn), (true, None));
        }
        let KnownFiles { first, last } = self.known();
        assert_eq!((journal.first_file(), journal.last_file()), (first, last));
        self.check_names(&journal);
        journal
    }

    fn check_names(&self, journal: &Journal) {
        let files = (journal.first_file()..=journal.last_file()).map(file::file_name);
        let spares = journal.last_file() + 1..=journal.last_file() + SPARES_MAX as u64;
        let spares: Vec<String> =
            spares.map(|number| format!("{}.new", file::file_name(number))).collect();
        let mut found = self.disk.list(Path::new(FOLDER)).unwrap_or_default();
        found.retain(|name| !spares.contains(name));
        found.sort_unstable();
        if !self.disk.is_cut() {
            assert_eq!(found, files.collect::<Vec<_>>());
        }
    }

    /// The process is over: with the power, or alone. Whatever the disk was to do, it did.
    fn restart(&mut self) {
        if self.disk.is_cut() || self.random.one_in(3) {
            self.seen.power_cuts += 1;
            self.seen.operations += self.disk.operations();
            self.disk = self.disk.after_power_cut(self.random.bits());
        } else {
            self.disk.heal();
        }
    }

    /// Lets the disk fail soon.
    fn plan_failure(&mut self) {
        // Opening takes few operations, and is to be hit as well.
        let soon = if self.random.one_in(3) { 8 } else { 80 };
        let operation = self.disk.operations() + 1 + self.random.below(soon);
        let errno = if self.random.one_in(2) { EIO } else { ENOSPC };
        match self.random.below(10) {
            0..5 => self.disk.cut_power_at(operation),
            5 => self.disk.fail_write_at(operation, errno),
            6 => self.disk.fail_sync_at(operation, errno),
            7 => self.disk.fail_at(operation, errno),
            8 => self.disk.set_free_bytes(self.random.below(60_000)),
            _ => {}
        }
        self.disk.set_short_writes(self.random.one_in(3));
    }

    fn payload(&mut self) -> Vec<u8> {
        let bytes = match self.random.below(12) {
            0 => 0,
            1 => self.random.below(20_000),
            2..5 => self.random.below(4000),
            _ => self.random.below(600),
        };
        let mut payload = Vec::new();
        while (payload.len() as u64) < bytes {
            payload.extend(self.random.bits().to_le_bytes());
        }
        payload
    }

    /// Appends a record; the journal is of no use any more if that fails.
    fn append(&mut self, journal: &mut Journal) -> bool {
        let payload = self.payload();
        let (one, two) = payload.split_at(payload.len() / 3);
        let files = journal.last_file();
        self.closed = false;
        match journal.append(&[one, two]) {
            Ok(place) => {
                assert_eq!(place.file, journal.last_file());
                self.acknowledged.push_back((place, payload));
                self.torn = false;
                self.seen.appends += 1;
                let is_new = journal.last_file() > files;
                self.seen.recycled_files += u64::from(is_new && journal.current.recycled);
                true
            }
            Err(JournalError::Io { .. }) => {
                self.unanswered = Some(payload);
                self.seen.failed_appends += 1;
                assert!(journal.poisoned().is_some());
                self.disk.heal();
                let again = journal.append(&[b"again"]).unwrap_err();
                assert!(matches!(again, JournalError::Poisoned { .. }));
                let release = journal.release_before(u64::MAX).unwrap_err();
                assert!(matches!(release, JournalError::Poisoned { .. }));
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn release(&mut self, journal: &mut Journal) {
        let KnownFiles { first, last } = self.known();
        let file = first + self.random.below(last - first + 1);
        self.known.lock().unwrap().first = file;
        self.acknowledged.retain(|(place, _)| place.file >= file);
        self.seen.releases += 1;
        match journal.release_before(file) {
            Ok(()) => {
                assert_eq!(journal.first_file(), file);
                self.check_names(journal);
            }
            Err(JournalError::Io { .. }) => assert!(journal.poisoned().is_none()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens, works and ends, in one of the ways that there are.
    fn live(&mut self) {
        self.plan_failure();
        let mut journal = self.open();
        for _ in 0..self.random.below(30) {
            if self.random.one_in(6) {
                self.release(&mut journal);
            } else if !self.append(&mut journal) {
                let error = journal.close().unwrap_err();
                assert!(matches!(error, JournalError::Poisoned { .. }));
                return self.restart();
            }
        }
        if self.random.one_in(3) {
            self.closed = journal.close().is_ok() && !self.torn && !self.acknowledged.is_empty();
        } else {
            drop(journal);
        }
        self.restart();
    }
}

impl Owner {
    /// Whatever happened, the journal is read, and takes more.
    fn outlive(&mut self) {
        self.disk.heal();
        let mut journal = self.open();
        assert!(self.append(&mut journal));
        drop(journal);
        self.restart();
        self.open();
        self.seen.operations += self.disk.operations();
    }
}

fn simulate(seed: u64) -> Seen {
    let mut owner = Owner::new(seed);
    for _ in 0..=owner.random.below(8) {
        owner.live();
    }
    owner.outlive();
    owner.seen
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

#[test]
fn any_history_on_a_failing_disk_equals_the_model() {
    let seeds = match number_from("FLOE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_from("FLOE_SIM_SEEDS").unwrap_or(SEEDS_DEFAULT),
    };
    let mut seen = Seen::default();
    let many = seeds.end - seeds.start >= SEEDS_DEFAULT;
    for seed in seeds {
        seen.add(&simulate(seed));
    }
    println!("{seen:#?}");
    let Seen { found_besides, torn_tails, unfinished_files, recycled_files, .. } = seen;
    let never = [found_besides, torn_tails, unfinished_files, recycled_files].contains(&0);
    assert!(!(many && never), "something never happened: {seen:#?}");
}

/// Two opens, new files and released ones, and a close, as far as the disk lets them.
fn work(owner: &mut Owner) {
    for _ in 0..2 {
        let mut journal = owner.open();
        for _ in 0..4 {
            for _ in 0..3 {
                if !owner.append(&mut journal) {
                    return owner.restart();
                }
            }
            owner.release(&mut journal);
        }
        owner.closed = journal.close().is_ok() && !owner.torn;
    }
}

#[test]
fn no_operation_is_a_bad_one_to_fail_at() {
    let failures: [fn(&SimFs, u64); 2] =
        [SimFs::cut_power_at, |disk, operation| disk.fail_at(operation, EIO)];
    for seed in 0..4 {
        let mut owner = Owner::new(seed);
        work(&mut owner);
        let operations = owner.disk.operations();
        assert!(operations > 80, "{operations}");
        for operation in 1..=operations {
            for fail in failures {
                let mut owner = Owner::new(seed);
                fail(&owner.disk, operation);
                work(&mut owner);
                owner.outlive();
            }
        }
    }
}

#[test]
fn a_seed_is_one_history() {
    for seed in 0..20 {
        let log = |seed| {
            let mut owner = Owner::new(seed);
            owner.live();
            owner.live();
            owner.disk.log()
        };
        assert_eq!(log(seed), log(seed), "seed {seed}");
    }
}
