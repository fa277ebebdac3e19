//! `floe verify`: reads everything in a data folder and compares it with everything else.
//!
//! Owns the list of what must hold between the files, and the words for what does not. It changes
//! nothing: it works on a disk that refuses every change. It goes through each segment once, with
//! memory for one row group of events and one segment's index. What is derived is recomputed from
//! the events and compared: indexes by their questions, external ids by count and sum of hashes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_core::{
    CustomerId, CustomerRef, EventSource, IdCipher, METER_CREDITED, METER_RESET, MeterId, NewEvent,
    OrganizationId, Sequence, Value,
};
use serde::Serialize;

use super::backup::{BackupReport, RESTORING_FILE, check_restored};
use super::blocks::{BlockCache, BlockError, UNFINISHED_SUFFIX};
use super::catalog::CatalogFacts;
use super::codec::{self, DecodeError};
use super::dedup::{ExaminedRuns, KeyHash, KeyHasher, KeySet};
use super::derived::{self, Compared};
use super::fs::{Fs, FsFile, OpenMode};
use super::journal::{Journal, JournalIdentity, KnownFiles};
use super::maintain::{folder_of, segment_path};
use super::manifest::{self, Manifest, ManifestError};
use super::rows::Rows;
use super::segment::{Batch, Segment, SegmentError, SegmentMeta, SharedColumns};
use super::segment_index::{IndexBuilder, ParentHasher, SegmentIndex, index_path};
use super::{describe, external_id_key, lock_unchanged, parent_key};
use crate::port::{Result, StoreError};

/// Findings that are told; of further ones, how many.
const FINDINGS_MAX: usize = 200;
/// Bytes of derived files that are kept in memory while they are compared.
const CACHE_BYTES: usize = 16 << 20;
/// Keys of events that no run covers, which are held in memory: 16 bytes each.
const LOOSE_KEYS_MAX: usize = 8_000_000;
/// Suspects of a repeated external id whose texts are compared.
const SUSPECTS_MAX: usize = 10_000;

const DERIVED: &str = "Answers do not come from it alone; it is made from the events.";
const DELETE: &str = "Stop Floe and delete this file: it is made again at the next start.";
const RESTORE: &str = "Keep the folder as it is and restore a backup into a new one \
                       (`floe restore BACKUP --data NEW`).";
const RESTORE_SEGMENT: &str = "Keep the folder as it is. A backup that has a segment of this name, on another disk, has the \
     same bytes: copy it into its place and verify again. Else restore a backup into a new folder \
     (`floe restore BACKUP --data NEW`).";
const REPORT: &str = "Floe does not write this; keep the folder and report it. `floe restore` \
                      makes a folder from a backup.";

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The file, in the data folder.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
    /// What that means.
    pub means: String,
    /// What to do about it.
    pub todo: String,
}

/// How much was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Checked {
    /// Rows of the catalog whose checksums were compared.
    pub catalog_rows: u64,
    /// Segments, and their bytes.
    pub segments: u64,
    /// Bytes of segments.
    pub segment_bytes: u64,
    /// Events in segments, every one decoded.
    pub sealed_events: u64,
    /// Records of the journal, their bytes, and the events in them that are not in segments.
    pub journal_records: u64,
    /// Bytes of the journal's records.
    pub journal_bytes: u64,
    /// Events that are in the journal alone.
    pub journal_events: u64,
    /// Indexes of segments that were compared with the events.
    pub indexes: u64,
    /// Rollups of meters that were compared with the events.
    pub rollups: u64,
    /// Files of known external ids that were compared with the events.
    pub external_id_files: u64,
    /// External ids in them.
    pub external_ids: u64,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// How much was looked at.
    pub checked: Checked,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub findings_left_out: u64,
    /// What is not wrong, and may be good to know.
    pub notes: Vec<String>,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy)]
pub struct VerifyProgress<'p> {
    /// Bytes that are done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// What is looked at.
    pub file: &'p str,
}

/// A disk that refuses every change.
#[derive(Debug)]
struct ReadOnly(Arc<dyn Fs>);

fn refused<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "a verification changes nothing"))
}

impl Fs for ReadOnly {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn FsFile>> {
        match mode {
            OpenMode::Read | OpenMode::Write => self.0.open(path, OpenMode::Read),
            OpenMode::CreateNew => refused(),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.0.list(folder)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }
}

/// Verifies a data folder that no process has open, and changes nothing in it. A backup can be
/// verified like a data folder.
///
/// # Errors
///
/// [`StoreError::Open`] if the folder is in use, none of ours, of a newer Floe, or cannot be read.
pub fn verify(
    folder: &Path,
    fs: Arc<dyn Fs>,
    progress: &mut dyn FnMut(VerifyProgress<'_>),
) -> Result<VerifyReport> {
    let _lock = lock_unchanged(folder)?;
    check_restored(&*fs, folder)?;
    let is_there = |name: &str| fs.exists(&folder.join(name));
    let found = is_there("catalog.db")
        .and_then(|catalog| Ok(catalog || is_there("manifest")? || is_there("journal")?));
    match found {
        Ok(true) => {}
        Ok(false) => {
            return Err(StoreError::Open(format!("{} is no data folder", folder.display())));
        }
        Err(error) => {
            return Err(StoreError::Open(format!("{}: {error}", folder.display())));
        }
    }
    let mut verifier = Verifier {
        fs: Arc::new(ReadOnly(fs)),
        folder,
        report: VerifyReport::default(),
        progress,
        done: 0,
        total: 0,
        catalog: None,
        strangers: BTreeMap::new(),
        derived_files: HashMap::new(),
    };
    verifier.run()?;
    Ok(verifier.report)
}

/// What events refer to that the catalog does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stranger {
    Organization(OrganizationId),
    Customer(OrganizationId, CustomerId),
    Meter(OrganizationId, MeterId),
}

struct Verifier<'v> {
    fs: Arc<dyn Fs>,
    folder: &'v Path,
    report: VerifyReport,
    progress: &'v mut dyn FnMut(VerifyProgress<'_>),
    done: u64,
    total: u64,
    catalog: Option<CatalogFacts>,
    /// How many events refer to each.
    strangers: BTreeMap<Stranger, u64>,
    /// Names of files that were derived from each segment, but for its index.
    derived_files: HashMap<u64, Vec<String>>,
}

/// Segments that were read, and the keys of their events.
struct Sealed {
    segments: Vec<(OrganizationId, Arc<Segment>)>,
    /// Sequence numbers of segments that cannot be read.
    unread: Vec<Range<u64>>,
    keys: Keys,
}

/// External ids, sorted into the runs that should have them.
struct Keys {
    hasher: KeyHasher,
    /// The events of each run, in order.
    ranges: Vec<Range<u64>>,
    sets: Vec<KeySet>,
    /// Those of events that no run covers.
    loose: Vec<(KeyHash, Sequence)>,
    /// Whether there were too many of them.
    overflowed: bool,
}

impl Keys {
    fn add(&mut self, organization: OrganizationId, external_id: &str, sequence: Sequence) {
        let hash = self.hasher.hash(organization, external_id.as_bytes());
        let place = self.ranges.partition_point(|range| range.end <= sequence.0);
        match (self.ranges.get(place), self.sets.get_mut(place)) {
            (Some(range), Some(set)) if range.contains(&sequence.0) => set.add(hash, sequence),
            _ if self.loose.len() < LOOSE_KEYS_MAX => self.loose.push((hash, sequence)),
            _ => self.overflowed = true,
        }
    }
}

/// External ids of events in the journal alone.
#[derive(Default)]
struct JournalKeys(HashMap<u64, (OrganizationId, Box<str>)>);

impl Verifier<'_> {
    fn finding(&mut self, file: &Path, what: impl Into<String>, means: &str, todo: &str) {
        if self.report.findings.len() == FINDINGS_MAX {
            self.report.findings_left_out += 1;
            return;
        }
        let file = file.strip_prefix(self.folder).unwrap_or(file).display().to_string();
        let (means, todo) = (means.to_owned(), todo.to_owned());
        self.report.findings.push(Finding { file, what: what.into(), means, todo });
    }

    fn note(&mut self, note: impl Into<String>) {
        self.report.notes.push(note.into());
    }

    fn advance(&mut self, bytes: u64, file: &Path) {
        self.done += bytes;
        let file = file.strip_prefix(self.folder).unwrap_or(file).display().to_string();
        (self.progress)(VerifyProgress {
            done: self.done.min(self.total),
            total: self.total,
            file: &file,
        });
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>> {
        let mut names = self
            .fs
            .list(folder)
            .map_err(|error| StoreError::Open(format!("{}: {error}", folder.display())))?;
        names.sort_unstable();
        Ok(names)
    }

    fn run(&mut self) -> Result<()> {
        self.catalog()?;
        let manifest = self.manifest()?;
        let folder_id = match (&self.catalog, &manifest) {
            (Some(catalog), _) => catalog.folder_id,
            (None, Some(manifest)) => manifest.folder_id.into_bytes(),
            (None, None) => {
                self.note("neither catalog nor manifest can be read, so nothing else was checked");
                return Ok(());
            }
        };
        self.leftovers(manifest.as_ref())?;
        let mut journal_keys = JournalKeys::default();
        if let Some(manifest) = &manifest {
            let (mut sealed, mut runs) = self.segments(manifest, &folder_id)?;
            self.journal(manifest, &mut sealed, &mut journal_keys)?;
            self.external_ids(&mut runs, &mut sealed, &journal_keys)?;
        }
        self.strangers();
        Ok(())
    }

    fn catalog(&mut self) -> Result<()> {
        let path = self.folder.join("catalog.db");
        let belongs = "Organizations, customers, meters and tokens are in it; without it, events \
                       belong to nobody.";
        if !self.fs.exists(&path).is_ok_and(|there| there) {
            self.finding(&path, "it is missing", belongs, RESTORE);
            return Ok(());
        }
        if let Ok(Some(backup)) = BackupReport::read(&*self.fs, self.folder)
            && let Err(error) = backup.check(&*self.fs, self.folder)
        {
            let means = "This backup was changed or damaged since it was made.";
            self.finding(
                &self.folder.join("backup.json"),
                error.to_string(),
                means,
                "Use another.",
            );
        }
        let facts = match CatalogFacts::read(&path) {
            Ok(facts) => facts,
            // Of a newer Floe: there is nothing that this one could say of it.
            Err(StoreError::Open(why)) if why.contains("this Floe reads up to") => {
                return Err(StoreError::Open(why));
            }
            Err(error) => {
                self.finding(&path, describe(&error), belongs, RESTORE);
                self.note(
                    "what the catalog tells was not compared with the events, and the journal was \
                     not read",
                );
                return Ok(());
            }
        };
        self.report.checked.catalog_rows = facts.rows;
        for fault in &facts.faults {
            let means = "SQLite cannot rely on what the file holds.";
            self.finding(&path, format!("SQLite finds: {fault}"), means, RESTORE);
        }
        if let Some(why) = &facts.unreadable {
            let what = format!("its rows cannot be read: {why}");
            self.finding(&path, what, "Floe does not start with it.", RESTORE);
        }
        for row in &facts.wrong_rows {
            let what = format!("{row}: its checksum is not that of its values");
            let means = "Somebody else than Floe changed the row, or the disk did. Floe takes it as \
                         it is.";
            let todo = "Compare it with a backup. If it is as it shall be, change it through the \
                        API (and back): that gives it a checksum. Else restore the backup.";
            self.finding(&path, what, means, todo);
        }
        if !facts.has_checksums {
            self.note(
                "catalog.db was written by an older Floe: its rows get checksums at the next start",
            );
        }
        self.catalog = Some(facts);
        Ok(())
    }

    fn manifest(&mut self) -> Result<Option<Manifest>> {
        let path = manifest::path_of(self.folder);
        let means = "It says which segments there are; without it, sealed events cannot be found.";
        let manifest = match Manifest::read(&*self.fs, self.folder) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => {
                return Ok(match &self.catalog {
                    Some(catalog) if catalog.has_manifest => {
                        self.finding(&path, "it is missing", means, RESTORE);
                        None
                    }
                    // A folder of an older Floe, or one whose first start was cut short.
                    Some(catalog) => Some(Manifest::new(catalog.folder_id)),
                    None => None,
                });
            }
            Err(error @ ManifestError::NewerFormat(..)) => {
                return Err(StoreError::Open(error.to_string()));
            }
            Err(error) => {
                self.finding(&path, describe(&error), means, RESTORE);
                return Ok(None);
            }
        };
        if let Some(catalog) = &self.catalog
            && manifest.folder_id.into_bytes() != catalog.folder_id
        {
            let means = "One of the two is of another folder; Floe does not start with them.";
            self.finding(&path, "it is not of the folder that catalog.db is of", means, RESTORE);
            return Ok(None);
        }
        if let Some(fault) = manifest.fault().or_else(|| fault_of(&manifest)) {
            self.finding(&path, format!("it contradicts itself: {fault}"), means, REPORT);
        }
        Ok(Some(manifest))
    }

    /// Tells of files that nobody names.
    fn leftovers(&mut self, manifest: Option<&Manifest>) -> Result<()> {
        const KNOWN: [&str; 9] = [
            "journal",
            "catalog.db",
            "catalog.db-wal",
            "catalog.db-shm",
            "lock",
            "manifest",
            "segments",
            "cache",
            "backup.json",
        ];
        let unknown: Vec<String> = self
            .list(self.folder)?
            .into_iter()
            .filter(|name| !KNOWN.contains(&&**name) && name != RESTORING_FILE)
            .collect();
        for name in unknown {
            self.note(format!("{name} is none of Floe's files, and was not looked at"));
        }
        let Some(manifest) = manifest else { return Ok(()) };
        let segments = self.folder.join("segments");
        let mut unnamed = Vec::new();
        for organization in self.list(&segments)? {
            let id = organization.parse().map(OrganizationId).ok();
            let known = manifest.organizations.iter().find(|of| Some(of.id) == id.map(|id| id.0));
            let is_named = |name: &str| {
                let ids = known.into_iter().flat_map(|of| &of.segments).map(|of| of.id);
                ids.map(|id| format!("{id:08}.parquet")).any(|of| of == name)
            };
            let files = self.list(&segments.join(&organization))?;
            let files = files.into_iter().filter(|name| !is_named(name));
            unnamed.extend(files.map(|name| format!("segments/{organization}/{name}")));
        }
        for name in unnamed {
            self.note(format!(
                "{name} is not in the manifest: if a crash left it behind, the next start removes it"
            ));
        }
        Ok(())
    }

    fn segments(
        &mut self,
        manifest: &Manifest,
        folder_id: &[u8; 16],
    ) -> Result<(Sealed, ExaminedRuns)> {
        let of = |of: &super::manifest::OrganizationSegments| {
            let id = OrganizationId(of.id);
            of.segments.iter().map(|meta| (id, meta.clone())).collect::<Vec<_>>()
        };
        let all: Vec<(OrganizationId, SegmentMeta)> =
            manifest.organizations.iter().flat_map(of).collect();
        let hasher = KeyHasher::new(&external_id_key(folder_id));
        let cache = self.folder.join("cache");
        let folder = cache.join("dedup");
        let end = Sequence(manifest.sealed_end);
        let mut runs = ExaminedRuns::read(&*self.fs, &folder, &hasher, end)
            .map_err(|error| StoreError::Open(describe(&error)))?;
        self.total =
            2 * all.iter().map(|(_, meta)| meta.bytes).sum::<u64>() + 2 * runs.stats().disk_bytes;
        runs.verify(|bytes| self.advance(bytes, &folder));
        for error in std::mem::take(&mut runs.damaged) {
            self.damaged_cache(&error, &folder);
        }
        for path in std::mem::take(&mut runs.unused) {
            let path = path.strip_prefix(self.folder).unwrap_or(&path).display().to_string();
            self.note(format!("{path} is of no use any more; the next start removes it"));
        }
        let ranges: Vec<Range<u64>> = runs.ranges().into_iter().map(|(range, _)| range).collect();
        let covered: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        if covered < manifest.sealed_end {
            self.note(format!(
                "external ids of {} events have no file in cache/dedup; the next start makes it",
                manifest.sealed_end - covered
            ));
        }
        let sets = vec![KeySet::default(); ranges.len()];
        let keys = Keys { hasher, ranges, sets, loose: Vec::new(), overflowed: false };
        let mut sealed = Sealed { segments: Vec::new(), unread: Vec::new(), keys };
        let parents = ParentHasher::new(parent_key(folder_id));
        for name in self.list(&cache)? {
            if let Some(segment) = derived::segment_of(&name) {
                self.derived_files.entry(segment).or_default().push(name);
            }
        }
        let mut missing_indexes = 0;
        for (organization, meta) in all {
            self.report.checked.segments += 1;
            self.report.checked.segment_bytes += meta.bytes;
            let bytes = meta.bytes;
            let path = segment_path(self.folder, organization, meta.id);
            let range = meta.first_sequence..meta.last_sequence.saturating_add(1);
            let before = self.done;
            match self.segment(organization, &path, meta, parents, &mut sealed)? {
                Some(index) => missing_indexes += u64::from(!index),
                None => sealed.unread.push(range),
            }
            self.done = before;
            self.advance(2 * bytes, &path);
        }
        if missing_indexes > 0 {
            self.note(format!(
                "indexes of {missing_indexes} segments are not in cache; they are made when needed"
            ));
        }
        self.unknown_cache(manifest, &cache)?;
        Ok((sealed, runs))
    }

    fn unknown_cache(&mut self, manifest: &Manifest, cache: &Path) -> Result<()> {
        let segments = manifest.organizations.iter().flat_map(|of| &of.segments);
        let ids: HashSet<u64> = segments.map(|meta| meta.id).collect();
        for name in self.list(cache)? {
            let index = name.strip_suffix(".index").and_then(|id| id.parse::<u64>().ok());
            let index = index.or_else(|| derived::segment_of(&name));
            let note = match (name.strip_suffix(UNFINISHED_SUFFIX), index) {
                _ if name == "dedup" => continue,
                (_, Some(id)) if ids.contains(&id) => continue,
                (Some(_), _) => "was not finished; the next start removes it",
                (_, Some(_)) => "is of a segment that is no more; the next start removes it",
                _ => "is nothing that this version of Floe knows, and was not looked at",
            };
            self.note(format!("cache/{name} {note}"));
        }
        Ok(())
    }

    fn damaged_cache(&mut self, error: &BlockError, file: &Path) {
        let path = match error {
            BlockError::Io { file, .. }
            | BlockError::Damaged { file, .. }
            | BlockError::NewerFormat { file, .. } => PathBuf::from(file),
        };
        let path = if path.as_os_str().is_empty() { file.to_owned() } else { path };
        self.finding(&path, describe(error), DERIVED, DELETE);
    }

    /// Checks one segment with its index. Returns whether it has one, and nothing if the segment
    /// cannot be read.
    fn segment(
        &mut self,
        organization: OrganizationId,
        path: &Path,
        meta: SegmentMeta,
        parents: ParentHasher,
        sealed: &mut Sealed,
    ) -> Result<Option<bool>> {
        let lost = format!(
            "The {} events from sequence number {} to {} are in this file alone.",
            meta.rows, meta.first_sequence, meta.last_sequence
        );
        if !self.fs.exists(path).is_ok_and(|there| there) {
            self.finding(path, "it is missing", &lost, RESTORE_SEGMENT);
            return Ok(None);
        }
        let bytes = meta.bytes;
        let opened = Segment::open(&*self.fs, path, meta, &Arc::new(SharedColumns::new(0)))
            .and_then(|segment| segment.verify_bytes().map(|()| Arc::new(segment)));
        let segment = match opened {
            Ok(segment) => segment,
            Err(error) => {
                self.finding(path, describe(&error), &lost, RESTORE_SEGMENT);
                return Ok(None);
            }
        };
        self.advance(bytes, path);
        let mut index = IndexBuilder::new(parents);
        let mut seen = Seen::default();
        for group in 0..segment.row_groups().len() {
            let batch = Batch::of_group(&segment, group);
            let rows = Rows::Sealed(&batch);
            let events: Vec<_> = (0..super::chunk::position(rows.len()))
                .map(|row| (rows.sequence(row), rows.ingested_at(row).micros(), row))
                .collect();
            for (sequence, ingested, row) in events {
                let event = rows.event(row);
                seen.note(sequence, ingested, event.timestamp.micros());
                self.references(organization, &event);
                if let Some(external_id) = &event.external_id {
                    sealed.keys.add(organization, external_id, sequence);
                }
            }
            if let Err(error) = batch.check() {
                self.finding(path, describe(error), &lost, RESTORE_SEGMENT);
                return Ok(None);
            }
            index.add(rows);
            if let Err(SegmentError::Parquet(error)) = batch.into_checked() {
                self.finding(path, error.to_string(), &lost, RESTORE_SEGMENT);
                return Ok(None);
            }
            let part = bytes / segment.row_groups().len().max(1) as u64;
            self.advance(part, path);
        }
        self.report.checked.sealed_events += segment.meta.rows;
        if let Some(what) = seen.fault(&segment.meta) {
            let means =
                "Manifest and segment do not agree, though the checksums of both are right.";
            self.finding(path, what, means, REPORT);
        }
        let has_index = self.index(index, &segment);
        if let Err(error) = self.derived(&segment) {
            self.finding(path, describe(&error), &lost, RESTORE_SEGMENT);
            return Ok(None);
        }
        sealed.segments.push((organization, segment));
        Ok(Some(has_index))
    }

    /// Compares everything else that was derived from a segment with its events.
    fn derived(&mut self, segment: &Arc<Segment>) -> std::result::Result<(), SegmentError> {
        for name in self.derived_files.remove(&segment.meta.id).unwrap_or_default() {
            let path = self.folder.join("cache").join(&name);
            match derived::compare(&*self.fs, &path, segment)? {
                Compared::Same => {}
                Compared::Different(what) => {
                    let means = "Quantities of a meter may be wrong.";
                    self.finding(&path, what, means, DELETE);
                }
                Compared::Damaged(error) => self.damaged_cache(&error, &path),
                Compared::OfAnother => {
                    self.note(format!("cache/{name} is of a segment that is no more"));
                    continue;
                }
                Compared::Unknown => {
                    self.note(format!(
                        "cache/{name} is nothing that this version of Floe knows, and was not \
                         looked at"
                    ));
                    continue;
                }
            }
            self.report.checked.rollups += 1;
        }
        Ok(())
    }

    /// Compares the index of a segment with what was gathered from its events.
    fn index(&mut self, gathered: IndexBuilder, segment: &Segment) -> bool {
        let path = index_path(self.folder, segment.meta.id);
        let cache = BlockCache::new(CACHE_BYTES);
        let compare = || {
            let Some(index) = SegmentIndex::open(&*self.fs, &path, &segment.meta)? else {
                return Ok(None);
            };
            index.verify()?;
            gathered.difference(&index, &cache).map(Some)
        };
        match compare() {
            Ok(None) => return false,
            Ok(Some(None)) => {}
            Ok(Some(Some(what))) => {
                let means = "Answers about single customers, parents or names may be wrong.";
                self.finding(&path, what, means, DELETE);
            }
            Err(error) => self.damaged_cache(&error, &path),
        }
        self.report.checked.indexes += 1;
        true
    }

    /// Notes whom an event refers to that the catalog does not have.
    fn references(&mut self, organization: OrganizationId, event: &NewEvent<'_>) {
        let Some(catalog) = self.catalog.as_ref().filter(|of| of.unreadable.is_none()) else {
            return;
        };
        let mut strangers = Vec::new();
        if !catalog.organizations.contains(&organization) {
            strangers.push(Stranger::Organization(organization));
        } else {
            if let CustomerRef::Id(customer) = event.customer
                && !catalog.customers.contains(&(organization, customer))
            {
                strangers.push(Stranger::Customer(organization, customer));
            }
            if event.source == EventSource::System
                && (event.name == METER_CREDITED || event.name == METER_RESET)
                && let Some(Value::String(meter)) = event.metadata.get("meter_id")
                && let Ok(meter) = meter.parse().map(MeterId)
                && !catalog.meters.contains(&(organization, meter))
            {
                strangers.push(Stranger::Meter(organization, meter));
            }
        }
        for stranger in strangers {
            *self.strangers.entry(stranger).or_default() += 1;
        }
    }

    fn strangers(&mut self) {
        let path = self.folder.join("catalog.db");
        for (stranger, events) in std::mem::take(&mut self.strangers) {
            let (what, means) = match stranger {
                Stranger::Organization(id) => (
                    format!("{events} events are of organization {id}, which it does not have"),
                    "Nobody can see these events.",
                ),
                Stranger::Customer(of, id) => (
                    format!(
                        "{events} events of organization {of} are of customer {id}, whom it does \
                         not have"
                    ),
                    "These events count for their meters, and for no customer.",
                ),
                Stranger::Meter(of, id) => (
                    format!(
                        "{events} credits or resets of organization {of} are of meter {id}, which \
                         it does not have"
                    ),
                    "These credits and resets have no effect.",
                ),
            };
            let todo = "Rows are missing: the catalog is older than the events, or somebody deleted \
                        them. Restore the backup that has them.";
            self.finding(&path, what, means, todo);
        }
    }

    /// Reads the journal, record by record.
    fn journal(
        &mut self,
        manifest: &Manifest,
        sealed: &mut Sealed,
        keys: &mut JournalKeys,
    ) -> Result<()> {
        let Some(catalog) = &self.catalog else { return Ok(()) };
        let folder = self.folder.join("journal");
        let identity = JournalIdentity {
            folder_id: catalog.folder_id,
            key_check: IdCipher::new(catalog.id_key).key_check(),
        };
        let known = KnownFiles { first: manifest.first_journal_file, last: catalog.journal_files };
        let mut due: Option<u64> = None;
        let mut wrong: Option<String> = None;
        let mut events = 0;
        let fs = Arc::clone(&self.fs);
        let examined = Journal::examine(fs, &folder, &identity, known, |place, payload| {
            codec::read_payload(payload, |organization, sequence, _, bytes| {
                let event = codec::decode_event(bytes)?;
                if due.is_some_and(|due| due != sequence.0) && wrong.is_none() {
                    wrong = Some(format!(
                        "record {} has event {} where {} is due",
                        place.record,
                        sequence.0,
                        due.unwrap_or_default()
                    ));
                }
                if due.is_none() && sequence.0 > manifest.sealed_end {
                    wrong = Some(format!(
                        "it begins with event {}, but the segments end before event {}",
                        sequence.0, manifest.sealed_end
                    ));
                }
                due = Some(sequence.0 + 1);
                if sequence.0 < manifest.sealed_end {
                    return Ok(());
                }
                events += 1;
                self.references(organization, &event);
                if let Some(external_id) = &event.external_id {
                    sealed.keys.add(organization, external_id, sequence);
                    let text = external_id.as_ref().into();
                    keys.0.insert(sequence.0, (organization, text));
                }
                Ok::<(), DecodeError>(())
            })
        });
        self.report.checked.journal_events = events;
        let lost = "Events that were acknowledged and not sealed yet are in the journal alone; \
                    those before the place can be read, those behind it perhaps not.";
        match examined {
            Ok(report) => {
                self.report.checked.journal_records = report.records;
                self.report.checked.journal_bytes = report.bytes;
                if let Some(torn) = report.torn {
                    self.note(format!(
                        "journal/{} ends with {} bytes of a record that a crash cut short; nobody \
                         was promised it, and the next start cuts it off",
                        torn.file, torn.bytes
                    ));
                }
                if let Some(number) = report.removed_file {
                    self.note(format!(
                        "journal file {number} was being made when a crash came; the next start \
                         removes it"
                    ));
                }
            }
            Err(error) => self.finding(&folder, describe(&error), lost, RESTORE),
        }
        if let Some(what) = wrong {
            self.finding(&folder, what, "Events are missing, or there twice.", REPORT);
        }
        Ok(())
    }

    /// Compares runs with the events, and looks for external ids that more than one event has.
    fn external_ids(
        &mut self,
        runs: &mut ExaminedRuns,
        sealed: &mut Sealed,
        journal: &JournalKeys,
    ) -> Result<()> {
        let disk = |error: BlockError| StoreError::Open(describe(&error));
        let bytes = runs.stats().disk_bytes;
        let found = runs.key_sets().map_err(disk)?;
        let mut is_exact = true;
        let of_runs = runs.ranges().into_iter().zip(found).zip(sealed.keys.sets.clone());
        for (((range, path), found), expected) in of_runs {
            self.report.checked.external_id_files += 1;
            self.report.checked.external_ids += found.keys;
            let overlaps = |of: &Range<u64>| of.start < range.end && range.start < of.end;
            if sealed.unread.iter().any(overlaps) || found == expected {
                continue;
            }
            is_exact = false;
            let what = format!(
                "it has {} external ids, which are not the {} of the events",
                found.keys, expected.keys
            );
            let means = "Events could be stored twice, or refused as known.";
            self.finding(&path, what, means, DELETE);
        }
        self.advance(bytes, &self.folder.join("cache/dedup"));
        sealed.keys.loose.sort_unstable();
        let mut suspects: Vec<Vec<Sequence>> = Vec::new();
        let mut left_out = 0_u64;
        runs.repeated(&sealed.keys.loose, |events| {
            if suspects.len() < SUSPECTS_MAX {
                suspects.push(events.to_vec());
            } else {
                left_out += 1;
            }
        })
        .map_err(disk)?;
        for events in suspects {
            let mut texts: HashMap<(OrganizationId, Box<str>), Sequence> = HashMap::new();
            for sequence in events {
                let Some((organization, text)) = text_of(sealed, journal, sequence)? else {
                    continue;
                };
                if let Some(first) = texts.insert((organization, text.clone()), sequence) {
                    let what = format!(
                        "events {} and {} of organization {organization} both have the external id \
                         {text:?}",
                        first.0, sequence.0
                    );
                    let folder = folder_of(self.folder, organization);
                    self.finding(&folder, what, "Something was counted twice.", REPORT);
                }
            }
        }
        if left_out > 0 || sealed.keys.overflowed || !is_exact || !sealed.unread.is_empty() {
            self.note(
                "not every external id was looked at for a second event that has it: start and stop \
                 Floe, which makes the files in cache/dedup again, and verify once more",
            );
        }
        Ok(())
    }
}

/// The organization and external id of an event.
fn text_of(
    sealed: &Sealed,
    journal: &JournalKeys,
    sequence: Sequence,
) -> Result<Option<(OrganizationId, Box<str>)>> {
    if let Some((organization, text)) = journal.0.get(&sequence.0) {
        return Ok(Some((*organization, text.clone())));
    }
    let open = |error: SegmentError| StoreError::Open(describe(&error));
    for (organization, segment) in &sealed.segments {
        let Some(row) = segment.find(sequence).map_err(open)? else { continue };
        let batch = Batch::of_group(segment, segment.group_of(row));
        let text = batch.external_id(row - batch.first_row()).map(Box::from);
        batch.into_checked().map_err(open)?;
        return Ok(text.map(|text| (*organization, text)));
    }
    Ok(None)
}

/// What was seen of a segment's events.
#[derive(Default)]
struct Seen {
    rows: u64,
    sequences: Option<(u64, u64)>,
    micros: Option<(i64, i64)>,
    last_ingested: Option<i64>,
    fault: Option<String>,
}

impl Seen {
    fn note(&mut self, Sequence(sequence): Sequence, ingested: i64, micros: i64) {
        self.rows += 1;
        if let Some((_, last)) = self.sequences
            && sequence <= last
            && self.fault.is_none()
        {
            self.fault = Some(format!("event {sequence} stands behind event {last}"));
        }
        if self.last_ingested.is_some_and(|last| ingested < last) && self.fault.is_none() {
            self.fault = Some(format!("event {sequence} was ingested before the one before it"));
        }
        self.last_ingested = Some(ingested);
        self.sequences = Some((self.sequences.map_or(sequence, |(first, _)| first), sequence));
        self.micros = Some(match self.micros {
            None => (micros, micros),
            Some((first, last)) => (first.min(micros), last.max(micros)),
        });
    }

    /// What is not as the manifest says.
    fn fault(self, meta: &SegmentMeta) -> Option<String> {
        let Self { rows, sequences, micros, last_ingested, fault } = self;
        fault.or_else(|| {
            (rows != meta.rows
                || sequences != Some((meta.first_sequence, meta.last_sequence))
                || micros != Some((meta.first_micros, meta.last_micros))
                || last_ingested != Some(meta.last_ingested_micros))
            .then(|| {
                format!(
                    "its {rows} events are not the {} from {} to {} that the manifest tells of, or \
                     of other times",
                    meta.rows, meta.first_sequence, meta.last_sequence
                )
            })
        })
    }
}

/// What does not fit together in a manifest beyond [`Manifest::fault`].
fn fault_of(manifest: &Manifest) -> Option<String> {
    let mut ids = Vec::new();
    let mut events = 0_u64;
    for of in &manifest.organizations {
        let mut due = 0;
        for meta in &of.segments {
            if meta.first_sequence < due || meta.last_sequence < meta.first_sequence {
                return Some(format!("segment {} overlaps the one before it", meta.id));
            }
            due = meta.last_sequence + 1;
            events += meta.rows;
            ids.push(meta.id);
        }
    }
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Some(format!("segment {} is there twice", pair[0]));
    }
    if ids.last().is_some_and(|id| *id >= manifest.next_segment) {
        return Some("the next segment's number is taken".to_owned());
    }
    (events != manifest.sealed_end).then(|| {
        format!("its segments have {events} events, but {} are sealed", manifest.sealed_end)
    })
}
