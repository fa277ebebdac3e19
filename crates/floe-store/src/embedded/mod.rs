//! The embedded engine: one data folder, one process.

mod backup;
mod blocks;
mod catalog;
mod chunk;
mod codec;
mod committer;
mod customer_meters;
mod customer_quantities;
mod dedup;
mod derived;
mod export;
mod follow;
pub mod fs;
pub mod journal;
mod maintain;
mod manifest;
mod quantities;
mod query;
mod rows;
mod segment;
mod segment_index;
#[cfg(any(test, feature = "simulate"))]
pub mod sim;
mod stats;
mod tail;
mod units;
mod verify;
mod view;

pub use self::backup::{BackupReport, restore, restore_on};
pub use self::export::EmbeddedExport;
pub use self::stats::{BlockStats, CacheStats, ColumnStats, StorageStats, storage_stats};
pub use self::verify::{Checked, Finding, VerifyProgress, VerifyReport, verify};

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use floe_core::{
    AccessTokenId, Customer, CustomerId, CustomerMeterId, CustomerQuantitiesQuery, CustomerRef,
    CustomerSelection, EventId, EventTypeId, IdCipher, Meter, MeterId, MeterQuantities, NewEvent,
    Organization, OrganizationId, QuantityQuery, Sequence, Timestamp,
};
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Handle, RuntimeFlavor};

use self::blocks::BlockCache;
use self::catalog::{EmbeddedCatalog, FolderKey};
use self::codec::EncodedEvents;
use self::committer::{Committer, Parts, Shared};
use self::dedup::{DedupIndex, KeyHasher, OpenedIndex};
use self::derived::{Derived, DerivedLimits};
use self::fs::{Fs, RealFs};
use self::journal::{Journal, JournalIdentity, JournalOptions, KnownFiles};
use self::maintain::{Maintainer, Maintenance, SealOptions, segment_path};
use self::manifest::Manifest;
use self::rows::Rows;
use self::segment::{Batch, Segment, SharedColumns};
use self::segment_index::ParentHasher;
use self::tail::{OrganizationTail, Sealed};
use self::view::{BatchCache, SealedReader, SharedTail, View, read as read_tail, unreadable};
use crate::port::{
    AccessToken, Catalog, CustomerMeterRow, CustomerPatch, CustomerQuantityRow,
    CustomerQuantitySort, CustomerQuery, CustomerRefusal, CustomerSort, Direction, EventAddress,
    EventLabel, EventQuery, EventRow, EventStore, ExportQuery, FollowQuery, Followed, IngestReport,
    MeterPatch, MeterQuery, MeterSort, NameQuery, NameRow, NewCredit, NewCustomer, NewMeter,
    OrganizationSort, Organizations, Page, PageRequest, Result, Sorting, StoreError, TokenHash,
    TokenPatch, TokenSort,
};
use crate::sort::{SortKey, sorted_page};

/// How to open a data folder.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Estimated bytes of events in memory: from a quarter of it on they are sealed into segments,
    /// at all of it further ones wait until that is done.
    pub tail_bytes_max: usize,
    /// As many events in memory are sealed, however few bytes they have.
    pub seal_events: u64,
    /// Columns of metadata that a segment has at most; what has none stands in its JSON column.
    pub segment_columns_max: usize,
    /// Events of a segment that is not merged any further.
    pub segment_events_max: u64,
    /// Bytes of memory for parts of segments that were read lately.
    pub cache_bytes_max: usize,
    /// Bytes of a journal file.
    pub journal_file_bytes: u64,
    /// Whether sealing, merging and the preparation of journal files have threads of their own.
    /// Otherwise the committer does them, and the order of all writes follows from that of the
    /// requests: for simulations.
    pub background: bool,
    /// Bytes of memory for what meters count in each quarter of an hour.
    pub rollup_bytes_max: usize,
    /// Bytes on disk for what meters count of each customer.
    pub meter_bytes_max: u64,
    /// The disk.
    pub fs: Arc<dyn Fs>,
    /// The present, UTC.
    pub clock: fn() -> Timestamp,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            tail_bytes_max: 128 << 20,
            seal_events: 1_000_000,
            segment_columns_max: 512,
            segment_events_max: 4_000_000,
            cache_bytes_max: 64 << 20,
            journal_file_bytes: JournalOptions::default().file_bytes,
            background: true,
            rollup_bytes_max: 32 << 20,
            meter_bytes_max: 8 << 30,
            fs: Arc::new(RealFs),
            clock: system_time,
        }
    }
}

/// The machine's clock.
#[must_use]
pub fn system_time() -> Timestamp {
    let since_epoch =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros())
        .ok()
        .and_then(Timestamp::from_micros)
        .unwrap_or(Timestamp::MAX)
}

/// An opened data folder. Clones are the same folder; no other process can open it meanwhile.
#[derive(Debug, Clone)]
pub struct EmbeddedStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    catalog: Arc<EmbeddedCatalog>,
    reader: Arc<SealedReader>,
    // Dropped in this order: the committer hands work to the maintainer.
    committer: Committer,
    maintainer: Arc<Maintainer>,
    shared: Arc<Shared>,
    cipher: IdCipher,
    options: EmbeddedOptions,
    /// Released when the process ends, however it ends.
    _lock: File,
}

/// What opening a folder found.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    /// Whether the folder was new.
    pub is_new: bool,
    /// Events in it.
    pub events: u64,
    /// Bytes of a record that was never acknowledged, cut off.
    pub torn_bytes: Option<u64>,
}

/// How long a folder's lock is waited for before the folder counts as in use.
const LOCK_WAIT_MAX: std::time::Duration = std::time::Duration::from_millis(200);

fn open_failed(path: &Path, error: &dyn std::error::Error) -> StoreError {
    StoreError::Open(format!("{}: {error}", path.display()))
}

/// Makes a folder and its missing parents, each of them durably: a synced journal in a folder that
/// a power cut takes away is worth nothing.
fn create_folder(folder: &Path) -> std::io::Result<()> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    // What customers did is nobody else's business on this machine.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    // The folder itself also if it was there: who made it may have been stopped before this.
    let made = missing.iter().copied().filter(|path| *path != folder).chain([folder]);
    for parent in made.filter_map(Path::parent) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Takes the folder for this process.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| open_failed(&path, &error))?;
    take_lock(folder, &path, &file)?;
    Ok(file)
}

/// Takes a folder for this process without changing it. One that no process ever had open has no
/// lock.
fn lock_unchanged(folder: &Path) -> Result<Option<File>> {
    let path = folder.join("lock");
    match File::open(&path) {
        Ok(file) => {
            take_lock(folder, &path, &file)?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(open_failed(&path, &error)),
    }
}

fn take_lock(folder: &Path, path: &Path, file: &File) -> Result<()> {
    let begin = std::time::Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            // A process that this one started has all of its files until it runs its own program,
            // and with them the lock of a store that was just closed.
            Err(TryLockError::WouldBlock) if begin.elapsed() < LOCK_WAIT_MAX => {
                std::thread::sleep(LOCK_WAIT_MAX / 20);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Open(format!(
                    "another process has the data folder {} open; one folder serves one process",
                    folder.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(open_failed(path, &error)),
        }
    }
}

/// Opens the catalog of a folder that is locked, with the folder's id and key.
fn open_catalog(folder: &Path, options: &EmbeddedOptions) -> Result<OpenCatalog> {
    let path = folder.join("catalog.db");
    let journal = folder.join("journal");
    let journal_exists =
        options.fs.exists(&journal).map_err(|error| open_failed(&journal, &error))?;
    let is_new = !path.exists();
    if is_new && journal_exists {
        return Err(StoreError::Open(format!(
            "{} is missing, but there is a journal: without it, its events belong to nobody",
            path.display()
        )));
    }
    let catalog = EmbeddedCatalog::open(&path, options.clock)?;
    let folder_id = catalog.folder_id();
    let cipher = IdCipher::new(catalog.id_key());
    Ok(OpenCatalog { catalog: Arc::new(catalog), folder_id, cipher, is_new })
}

struct OpenCatalog {
    catalog: Arc<EmbeddedCatalog>,
    folder_id: [u8; 16],
    cipher: IdCipher,
    is_new: bool,
}

/// Reads the manifest of a folder, or makes that of a folder without segments: a new one, or one
/// that a Floe wrote which knew only the journal.
fn open_manifest(
    folder: &Path,
    catalog: &EmbeddedCatalog,
    folder_id: [u8; 16],
    fs: &dyn Fs,
) -> Result<Manifest> {
    let failed = |error: &dyn std::error::Error| StoreError::Open(describe(error));
    let found = Manifest::read(fs, folder).map_err(|error| failed(&error))?;
    let is_found = found.is_some();
    let manifest = match found {
        Some(manifest) => manifest,
        None if catalog.folder_value(FolderKey::HasManifest)?.is_some() => {
            return Err(StoreError::Open(format!(
                "the manifest in {} is missing; restore it from a backup",
                folder.join("manifest").display()
            )));
        }
        None => {
            let manifest = Manifest::new(folder_id);
            manifest.write(fs, folder).map_err(|error| failed(&error))?;
            manifest
        }
    };
    if manifest.folder_id.into_bytes() != folder_id {
        return Err(StoreError::Open(format!(
            "the manifest in {} belongs to another data folder",
            folder.join("manifest").display()
        )));
    }
    if let Some(fault) = manifest.fault() {
        return Err(StoreError::Open(format!("the manifest contradicts itself: {fault}")));
    }
    // Whoever put it there may have been stopped, or failed, before it was durable. What follows
    // relies on it: files that it does not name go. A sync would not do, as one after a failed sync
    // saves nothing; what is written anew is.
    if is_found {
        manifest.write(fs, folder).map_err(|error| failed(&error))?;
    }
    if catalog.folder_value(FolderKey::HasManifest)?.is_none() {
        catalog.set_folder_value(FolderKey::HasManifest, &[1])?;
    }
    maintain::remove_leftovers(fs, folder, &manifest)
        .map_err(|error| open_failed(&folder.join("segments"), &error))?;
    Ok(manifest)
}

/// Opens the segments that a manifest names.
fn open_segments(
    reader: &SealedReader,
    manifest: &Manifest,
) -> Result<HashMap<OrganizationId, OrganizationTail>> {
    let mut tails = HashMap::new();
    for of in &manifest.organizations {
        let organization = OrganizationId(of.id);
        let open = |meta: &segment::SegmentMeta| {
            let path = segment_path(&reader.folder, organization, meta.id);
            Segment::open(&*reader.fs, &path, meta.clone(), &reader.shared_columns).map(Arc::new)
        };
        let segments = of
            .segments
            .iter()
            .map(open)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| StoreError::Open(describe(&error)))?;
        let mut tail = OrganizationTail::new(Sealed { segments: segments.clone() });
        for segment in &segments {
            note_sealed(reader, segment, &mut tail)?;
        }
        tails.insert(organization, tail);
    }
    Ok(tails)
}

/// Takes what is maintained beside the events from a segment.
fn note_sealed(
    reader: &SealedReader,
    segment: &Arc<Segment>,
    tail: &mut OrganizationTail,
) -> Result<()> {
    let (names, system_rows) =
        reader.with_index(segment, |index, _| Ok((index.names()?, index.system_rows()?)))?;
    tail.add_names(names);
    for of_group in system_rows.chunk_by(|a, b| segment.group_of(*a) == segment.group_of(*b)) {
        let Some(&first) = of_group.first() else { continue };
        let batch = Batch::of_group(segment, segment.group_of(first));
        let rows = Rows::Sealed(&batch);
        for row in of_group {
            let row = row - batch.first_row();
            tail.note_system_event(rows.ingested_at(row), &rows.event(row));
        }
        batch.check().map_err(unreadable)?;
    }
    Ok(())
}

/// An error and all its causes, in one line. What a cause repeats is told once.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Puts a new root token's hash into a folder that no server has open.
///
/// # Errors
///
/// If the folder is not there or in use, or the catalog cannot be written.
pub fn set_root_token(folder: &Path, hash: &TokenHash) -> Result<()> {
    if !folder.join("catalog.db").exists() {
        return Err(StoreError::Open(format!("{} holds no catalog.db", folder.display())));
    }
    let _lock = lock(folder)?;
    let catalog = EmbeddedCatalog::open(&folder.join("catalog.db"), system_time)?;
    catalog.set_folder_value(FolderKey::RootTokenHash, hash)
}

/// A key for hashes in derived files: the same as long as the folder is, and known to nobody who
/// only sends events.
fn derived_key(of: &[u8], folder_id: &[u8; 16]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::new().chain_update(of).chain_update(folder_id).finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// The key of hashes of external ids.
fn external_id_key(folder_id: &[u8; 16]) -> [u8; 16] {
    derived_key(b"external ids", folder_id)
}

/// The key of hashes of what events call their parents.
fn parent_key(folder_id: &[u8; 16]) -> [u8; 16] {
    derived_key(b"parents", folder_id)
}

/// SHA-256 of a token. Tokens are 32 random bytes, so they need no slower hash.
#[must_use]
pub fn token_hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

impl EmbeddedStore {
    /// Opens a data folder, or makes it; replays the journal.
    ///
    /// # Errors
    ///
    /// If another process has it, a file is damaged or of a newer Floe, or the disk fails.
    pub fn open(folder: &Path, options: EmbeddedOptions) -> Result<(Self, Opened)> {
        create_folder(folder).map_err(|error| open_failed(folder, &error))?;
        let lock = lock(folder)?;
        backup::check_restored(&*options.fs, folder)?;
        let OpenCatalog { catalog, folder_id, cipher, is_new } = open_catalog(folder, &options)?;
        let files = match catalog.folder_value(FolderKey::JournalFiles)? {
            None => 0,
            Some(bytes) => u64::from_le_bytes(bytes.try_into().map_err(|_| {
                StoreError::Open("catalog.db: JournalFiles has not 8 bytes".to_owned())
            })?),
        };
        let manifest = open_manifest(folder, &catalog, folder_id, &*options.fs)?;
        let sealed_end = Sequence(manifest.sealed_end);
        let cache = folder.join("cache");
        let runs = cache.join("dedup");
        for folder in [&cache, &runs] {
            options.fs.create_dir(folder).map_err(|error| open_failed(folder, &error))?;
        }
        let hasher = KeyHasher::new(&external_id_key(&folder_id));
        let OpenedIndex { index: dedup, missing, damaged } =
            DedupIndex::open(Arc::clone(&options.fs), &runs, hasher, sealed_end)
                .map_err(|error| open_failed(&runs, &error))?;
        for error in damaged {
            tracing::warn!(%error, "a derived file is built again");
        }
        let limits = DerivedLimits {
            rollup_bytes_max: options.rollup_bytes_max,
            meter_bytes_max: options.meter_bytes_max,
        };
        let derived = Derived::open(Arc::clone(&options.fs), cache.clone(), limits)
            .map_err(|error| open_failed(&cache, &error))?;
        let reader = Arc::new(SealedReader {
            cipher: cipher.clone(),
            dedup,
            batches: BatchCache::new(options.cache_bytes_max / 2),
            shared_columns: Arc::new(SharedColumns::new(options.cache_bytes_max / 4)),
            blocks: BlockCache::new(options.cache_bytes_max / 4),
            parents: ParentHasher::new(parent_key(&folder_id)),
            derived,
            fs: Arc::clone(&options.fs),
            folder: folder.to_owned(),
            tails: Arc::default(),
        });
        let shared = Arc::new(Shared::default());
        let mut tails = open_segments(&reader, &manifest)?;
        let segments: Vec<(OrganizationId, Arc<Segment>)> = tails
            .iter()
            .flat_map(|(id, tail)| tail.sealed().segments.clone().into_iter().map(|s| (*id, s)))
            .collect();
        view::rebuild_runs(&reader.dedup, &segments, &[], missing)?;
        let mut next = sealed_end;
        let mut last = manifest
            .last_ingested_micros
            .and_then(Timestamp::from_micros)
            .unwrap_or(Timestamp::MIN);
        let on_new_file = {
            let catalog = Arc::clone(&catalog);
            move |number: u64| {
                catalog
                    .set_folder_value(FolderKey::JournalFiles, &number.to_le_bytes())
                    .map_err(std::io::Error::other)
            }
        };
        let journal_options = JournalOptions {
            file_bytes: options.journal_file_bytes,
            prepare_in_background: options.background,
        };
        let (journal, report) = Journal::open(
            Arc::clone(&options.fs),
            &folder.join("journal"),
            &JournalIdentity { folder_id, key_check: cipher.key_check() },
            KnownFiles { first: manifest.first_journal_file, last: files },
            journal_options,
            Box::new(on_new_file),
            |_, payload| {
                codec::read_payload(payload, |organization, sequence, ingested_at, bytes| {
                    if sequence < sealed_end {
                        return Ok(());
                    }
                    let external_id = codec::read_event(bytes)?.external_id;
                    let hash = external_id.map(|id| reader.dedup.hasher().hash(organization, id));
                    tails
                        .entry(organization)
                        .or_insert_with(|| OrganizationTail::new(Sealed::default()))
                        .push_all(sequence, ingested_at, std::iter::once((bytes, hash)))?;
                    next = Sequence(sequence.0 + 1);
                    last = last.max(ingested_at);
                    Ok::<(), codec::DecodeError>(())
                })
            },
        )
        .map_err(|error| open_failed(&folder.join("journal"), &error))?;
        tails.values().for_each(|tail| shared.add_tail_bytes(tail.bytes()));
        let opened = Opened {
            is_new,
            events: next.0,
            torn_bytes: report.torn.as_ref().map(|torn| torn.bytes),
        };
        *reader.tails.write().unwrap_or_else(PoisonError::into_inner) =
            tails.into_iter().map(|(id, tail)| (id, Arc::new(RwLock::new(tail)))).collect();
        let maintenance = Maintenance {
            fs: Arc::clone(&options.fs),
            folder: folder.to_owned(),
            manifest: std::sync::Mutex::new(manifest),
            reader: Arc::clone(&reader),
            shared: Arc::clone(&shared),
            options: SealOptions {
                columns_max: options.segment_columns_max,
                segment_events_max: options.segment_events_max,
            },
            folders: std::sync::Mutex::default(),
            stop: AtomicBool::new(false),
        };
        let no_thread = |error| StoreError::Open(format!("no thread for the store: {error}"));
        let maintainer = Arc::new(
            Maintainer::start(Arc::new(maintenance), options.background).map_err(no_thread)?,
        );
        let committer = Committer::start(Parts {
            journal,
            next,
            last_ingested_at: last,
            clock: options.clock,
            shared: Arc::clone(&shared),
            reader: Arc::clone(&reader),
            maintainer: Arc::clone(&maintainer),
            seal_bytes: options.tail_bytes_max / 4,
            tail_bytes_max: options.tail_bytes_max,
            seal_events: options.seal_events,
            set_aside: sealed_end,
        })
        .map_err(no_thread)?;
        let inner =
            Inner { catalog, reader, committer, maintainer, shared, cipher, options, _lock: lock };
        Ok((Self(Arc::new(inner)), opened))
    }

    /// Seals all events in memory into segments and merges those that are worth it; for tests and
    /// tools, since both happen by themselves.
    ///
    /// # Errors
    ///
    /// If either fails.
    pub async fn seal(&self) -> Result<()> {
        let answer = self.0.committer.seal()?;
        answer.await.map_err(|_| committer::stopped())?;
        match self.0.maintainer.progress.failed() {
            Some(why) => Err(StoreError::Damaged(why)),
            None => Ok(()),
        }
    }

    /// Writes what waits, closes the journal and saves when tokens were last used. Later
    /// ingestion is refused; reads go on.
    pub fn close(&self) {
        self.0.committer.close();
        self.0.maintainer.close();
        if let Err(error) = self.0.catalog.save_last_uses() {
            tracing::warn!(%error, "the last uses of tokens were not saved");
        }
    }

    /// Saves when tokens were last used, without a sync.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn save_last_uses(&self) -> Result<()> {
        self.0.catalog.save_last_uses()
    }

    /// Sets the root token.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn set_root_token(&self, hash: &TokenHash) -> Result<()> {
        self.0.catalog.set_folder_value(FolderKey::RootTokenHash, hash)
    }

    /// Whether the folder keeps a root token.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn has_root_token(&self) -> Result<bool> {
        Ok(self.0.catalog.folder_value(FolderKey::RootTokenHash)?.is_some())
    }

    /// Why writing stopped, if it did.
    #[must_use]
    pub fn poisoned(&self) -> Option<String> {
        self.0.shared.poisoned().map(str::to_owned)
    }

    /// How many events there are, in memory and in segments.
    fn event_count(&self) -> u64 {
        let tails = self.0.reader.tails.read().unwrap_or_else(PoisonError::into_inner);
        tails.values().map(|tail| count(tail)).sum()
    }

    fn tail(&self, organization: OrganizationId) -> Option<Arc<SharedTail>> {
        let tails = self.0.reader.tails.read().unwrap_or_else(PoisonError::into_inner);
        tails.get(&organization).cloned()
    }

    fn tail_or_new(&self, organization: OrganizationId) -> Arc<SharedTail> {
        if let Some(tail) = self.tail(organization) {
            return tail;
        }
        let mut tails = self.0.reader.tails.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(RwLock::new(OrganizationTail::new(Sealed::default())));
        Arc::clone(tails.entry(organization).or_insert_with(new))
    }

    /// Calls `ask` with an organization's events, if it ever had any.
    fn view<T>(
        &self,
        organization: OrganizationId,
        ask: impl FnOnce(Option<View<'_>>) -> Result<T>,
    ) -> Result<T> {
        let tail = self.tail(organization);
        let reader = &self.0.reader;
        ask(tail.as_deref().map(|tail| View { organization, tail, reader }))
    }

    /// Runs what may wait for the disk or take long, beside the threads that serve connections.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        // Most such work takes less time than to wake another thread for it does. Then it is done
        // here, and the runtime moves what else this thread had to do only if it takes long.
        if Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
            return tokio::task::block_in_place(|| work(self));
        }
        let store = self.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::Open("the server is stopping".to_owned())),
            },
        }
    }

    fn encoded(&self, organization: OrganizationId, events: usize) -> EncodedEvents {
        EncodedEvents::new(organization, self.0.reader.dedup.hasher(), events)
    }

    fn hand_over(
        &self,
        events: EncodedEvents,
        stamp: bool,
    ) -> impl Future<Output = Result<IngestReport>> + Send + use<> {
        let answer = if events.len() == 0 {
            Ok(None)
        } else {
            let tail = self.tail_or_new(events.organization());
            let limit = self.0.options.tail_bytes_max;
            self.0.committer.ingest(tail, events, stamp, limit).map(Some)
        };
        async move {
            match answer? {
                None => Ok(IngestReport::default()),
                Some(answer) => answer.await.unwrap_or_else(|_| Err(committer::stopped())),
            }
        }
    }
}

/// How many events an organization has, in memory and in segments.
fn count(tail: &SharedTail) -> u64 {
    let tail = read_tail(tail);
    let (before, growing) = tail.active();
    before + growing.len() as u64
}

impl EventStore for EmbeddedStore {
    type Export = EmbeddedExport;

    fn ingest(
        &self,
        organization: OrganizationId,
        events: &[NewEvent<'_>],
    ) -> impl Future<Output = Result<IngestReport>> + Send + use<> {
        let mut encoded = self.encoded(organization, events.len());
        events.iter().for_each(|event| encoded.push(event));
        self.hand_over(encoded, false)
    }

    async fn credit(&self, organization: OrganizationId, credit: NewCredit) -> Result<bool> {
        let NewCredit { customer, meter, units, rollover, external_id } = credit;
        let mut encoded = self.encoded(organization, 1);
        encoded.push(&committer::credit_event(
            customer,
            meter,
            units,
            rollover,
            Timestamp::MIN,
            external_id.as_deref(),
        ));
        let report = self.hand_over(encoded, true).await?;
        Ok(report.inserted == 1)
    }

    async fn reset(
        &self,
        organization: OrganizationId,
        customer: Arc<Customer>,
        meter: Arc<Meter>,
    ) -> Result<()> {
        let tail = self.tail_or_new(organization);
        let answer = self.0.committer.reset(organization, tail, customer, meter)?;
        answer.await.unwrap_or_else(|_| Err(committer::stopped()))
    }

    async fn quantities(
        &self,
        organization: OrganizationId,
        query: QuantityQuery,
    ) -> Result<MeterQuantities> {
        self.blocking(move |store| {
            let directory = store.0.catalog.directory(organization);
            store.view(organization, |view| quantities::quantities(view, &query, &directory))
        })
        .await
    }

    async fn quantities_once(
        &self,
        organization: OrganizationId,
        query: QuantityQuery,
        time_max: Duration,
    ) -> Result<Option<MeterQuantities>> {
        self.blocking(move |store| {
            let directory = store.0.catalog.directory(organization);
            store.view(organization, |view| {
                quantities::quantities_once(view, &query, &directory, time_max)
            })
        })
        .await
    }

    async fn customer_quantities(
        &self,
        organization: OrganizationId,
        query: CustomerQuantitiesQuery,
        text: Option<String>,
        sorting: Sorting<CustomerQuantitySort>,
        page: PageRequest,
    ) -> Result<Page<CustomerQuantityRow>> {
        self.blocking(move |store| {
            let catalog = &*store.0.catalog;
            let directory = catalog.directory(organization);
            let quantities = store.view(organization, |view| {
                quantities::customer_quantities(view, &query, &directory)
            })?;
            let text = text.as_deref();
            Ok(customer_quantities::page(catalog, organization, quantities, text, &sorting, page))
        })
        .await
    }

    async fn meter_has_events(&self, meter: Arc<Meter>) -> Result<bool> {
        self.blocking(move |store| {
            store.view(meter.organization_id, |view| {
                view.map_or(Ok(false), |view| query::meter_has_events(view, &meter))
            })
        })
        .await
    }

    async fn list_events(
        &self,
        searches: Vec<(OrganizationId, EventQuery)>,
        page: PageRequest,
        direction: Direction,
    ) -> Result<Page<EventAddress>> {
        self.blocking(move |store| {
            let tails: Vec<_> = searches.iter().map(|(id, _)| store.tail(*id)).collect();
            let searches: Vec<_> = searches
                .into_iter()
                .zip(&tails)
                .filter_map(|((organization, query), tail)| {
                    let (tail, reader) = (tail.as_deref()?, &*store.0.reader);
                    Some((View { organization, tail, reader }, query))
                })
                .collect();
            query::list_events(&searches, page, direction)
        })
        .await
    }

    async fn newest_events<T: Send + 'static>(
        &self,
        organization: OrganizationId,
        query: EventQuery,
        limit: u64,
        mut state: T,
        look: fn(&mut T, EventId, &NewEvent<'_>),
    ) -> Result<T> {
        self.blocking(move |store| {
            store.view(organization, |view| {
                let Some(view) = view else { return Ok(()) };
                let page = PageRequest { offset: 0, limit };
                let found = query::list_events(&[(view, query)], page, Direction::Descending)?;
                for EventAddress { id, .. } in found.items {
                    let Some(number) = view.by_id(id)? else { continue };
                    view.with(number, |rows, row| look(&mut state, id, &rows.event(row)))?;
                }
                Ok(())
            })?;
            Ok(state)
        })
        .await
    }

    async fn event(&self, organizations: &Organizations, id: EventId) -> Result<Option<EventRow>> {
        // An id that is nobody's is known for it without a look at the disk.
        if self.0.cipher.sequence(id).is_none() {
            return Ok(None);
        }
        let organizations = self.0.catalog.organizations(organizations);
        self.blocking(move |store| {
            for organization in organizations {
                let found = store.view(organization.id, |view| {
                    let Some(view) = view else { return Ok(None) };
                    let number = view.by_id(id)?;
                    number.map(|number| query::event_row(view, number)).transpose()
                })?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        })
        .await
    }

    fn export_events(&self, organization: OrganizationId, query: ExportQuery) -> EmbeddedExport {
        EmbeddedExport::new(self.clone(), organization, query)
    }

    fn count_events(&self, organization: OrganizationId) -> u64 {
        self.tail(organization).map_or(0, |tail| count(&tail))
    }

    fn count_duplicates(&self, organization: OrganizationId) -> u64 {
        self.tail(organization).map_or(0, |tail| read_tail(&tail).duplicates())
    }

    async fn event_number(&self, organization: OrganizationId, id: EventId) -> Result<Option<u64>> {
        if self.0.cipher.sequence(id).is_none() {
            return Ok(None);
        }
        self.blocking(move |store| {
            store.view(organization, |view| view.map_or(Ok(None), |view| view.by_id(id)))
        })
        .await
    }

    async fn event_id(&self, organization: OrganizationId, number: u64) -> Result<Option<EventId>> {
        self.blocking(move |store| {
            store.view(organization, |view| match view {
                Some(view) if number < count(view.tail) => view.event_id(number).map(Some),
                _ => Ok(None),
            })
        })
        .await
    }

    async fn follow_events(
        &self,
        organization: OrganizationId,
        from: u64,
        query: FollowQuery,
        limit: usize,
    ) -> Result<Followed> {
        self.blocking(move |store| {
            store.view(organization, |view| match view {
                None => Ok(Followed { events: Vec::new(), next: from }),
                Some(view) => follow::step(view, from, &query, limit),
            })
        })
        .await
    }

    async fn event_names(
        &self,
        organization: OrganizationId,
        query: NameQuery,
    ) -> Result<Vec<NameRow>> {
        self.blocking(move |store| {
            store.view(organization, |view| {
                view.map_or(Ok(Vec::new()), |view| query::names(view, &query))
            })
        })
        .await
    }

    async fn first_user_event_at(&self, customer: &Customer) -> Result<Option<Timestamp>> {
        let spellings = CustomerSelection::one(customer.id, customer.external_id.as_deref());
        let organization = customer.organization_id;
        self.blocking(move |store| {
            store.view(organization, |view| {
                view.map_or(Ok(None), |view| view.first_user_event_at(&spellings))
            })
        })
        .await
    }

    async fn customer_meters(
        &self,
        organization: OrganizationId,
        customers: Vec<Arc<Customer>>,
        meters: Vec<Arc<Meter>>,
    ) -> Result<Vec<Vec<CustomerMeterRow>>> {
        self.blocking(move |store| {
            let customers: Vec<&Customer> = customers.iter().map(|customer| &**customer).collect();
            let meters: Vec<&Meter> = meters.iter().map(|meter| &**meter).collect();
            let windows = store.view(organization, |view| {
                customer_meters::customer_meters(view, &customers, &meters)
            })?;
            let rows = |of: &Vec<customer_meters::Window>| {
                of.iter().map(customer_meters::Window::row).collect()
            };
            Ok(windows.iter().map(rows).collect())
        })
        .await
    }

    fn customer_meter_id(&self, customer: &Customer, meter: &Meter) -> CustomerMeterId {
        self.0.cipher.customer_meter_id(customer.number, meter.number)
    }

    fn event_type_id(&self, organization: OrganizationId, name: &str) -> EventTypeId {
        self.0.cipher.event_type_id(organization, name)
    }
}

/// Creation time, then id: what breaks ties in every list (semantics section 13, S26).
fn tie_break(created_at: Timestamp, id: uuid::Uuid) -> [SortKey; 2] {
    [SortKey::instant(created_at), SortKey::Id(id.as_u128())]
}

fn sort<T, S: Copy>(
    items: Vec<Arc<T>>,
    sorting: &Sorting<S>,
    page: PageRequest,
    key: impl Fn(&T, S) -> SortKey,
    tie: impl Fn(&T) -> [SortKey; 2],
) -> Page<Arc<T>> {
    let directions: Vec<Direction> = sorting.iter().map(|(_, direction)| *direction).collect();
    let keys = |item: &Arc<T>| {
        sorting.iter().map(|(by, _)| key(item, *by)).chain(tie(item)).collect::<Vec<_>>()
    };
    sorted_page(items, &directions, keys, page)
}

impl Catalog for EmbeddedStore {
    async fn create_organization(
        &self,
        name: String,
        slug: String,
    ) -> Result<Option<Arc<Organization>>> {
        self.blocking(move |store| store.0.catalog.create_organization(name, slug)).await
    }

    async fn update_organization(
        &self,
        id: OrganizationId,
        name: Option<String>,
    ) -> Result<Option<Arc<Organization>>> {
        self.blocking(move |store| store.0.catalog.update_organization(id, name)).await
    }

    fn organization(&self, id: OrganizationId) -> Option<Arc<Organization>> {
        self.0.catalog.organization(id)
    }

    fn organization_ids(&self, organizations: &Organizations) -> Vec<OrganizationId> {
        self.0.catalog.organizations(organizations).iter().map(|o| o.id).collect()
    }

    fn list_organizations(
        &self,
        organizations: &Organizations,
        slug: Option<&str>,
        sorting: &Sorting<OrganizationSort>,
        page: PageRequest,
    ) -> Page<Arc<Organization>> {
        let mut found = self.0.catalog.organizations(organizations);
        found.retain(|organization| slug.is_none_or(|slug| organization.slug == slug));
        let key = |organization: &Organization, by| match by {
            OrganizationSort::CreatedAt => SortKey::instant(organization.created_at),
            OrganizationSort::Name => SortKey::text(&organization.name),
        };
        sort(found, sorting, page, key, |o| tie_break(o.created_at, o.id.0))
    }

    async fn create_token(&self, token: AccessToken, hash: TokenHash) -> Result<Arc<AccessToken>> {
        self.blocking(move |store| store.0.catalog.create_token(token, hash)).await
    }

    fn authenticate(&self, hash: &TokenHash) -> Option<Arc<AccessToken>> {
        self.0.catalog.authenticate(hash)
    }

    fn is_root_token(&self, hash: &TokenHash) -> bool {
        self.0.catalog.is_root_token(hash)
    }

    fn list_tokens(
        &self,
        organizations: &Organizations,
        sorting: &Sorting<TokenSort>,
        page: PageRequest,
    ) -> Page<Arc<AccessToken>> {
        let key = |token: &AccessToken, by| match by {
            TokenSort::CreatedAt => SortKey::instant(token.created_at),
            TokenSort::Comment => SortKey::text(&token.comment),
            TokenSort::ExpiresAt => SortKey::optional_instant(token.expires_at),
            TokenSort::LastUsedAt => SortKey::optional_instant(token.last_used_at),
        };
        let tokens = self.0.catalog.tokens(organizations);
        sort(tokens, sorting, page, key, |t| tie_break(t.created_at, t.id.0))
    }

    fn token(&self, organizations: &Organizations, id: AccessTokenId) -> Option<Arc<AccessToken>> {
        self.0.catalog.tokens(organizations).into_iter().find(|token| token.id == id)
    }

    async fn update_token(
        &self,
        organization: OrganizationId,
        id: AccessTokenId,
        patch: TokenPatch,
    ) -> Result<Option<Arc<AccessToken>>> {
        self.blocking(move |store| store.0.catalog.update_token(organization, id, patch)).await
    }

    async fn delete_token(&self, organization: OrganizationId, id: AccessTokenId) -> Result<bool> {
        self.blocking(move |store| store.0.catalog.delete_token(organization, id)).await
    }

    async fn create_meter(
        &self,
        organization: OrganizationId,
        meter: NewMeter,
    ) -> Result<Arc<Meter>> {
        self.blocking(move |store| store.0.catalog.create_meter(organization, meter)).await
    }

    fn meter(&self, organizations: &Organizations, id: MeterId) -> Option<Arc<Meter>> {
        self.0.catalog.meter(organizations, id)
    }

    async fn update_meter(
        &self,
        organization: OrganizationId,
        id: MeterId,
        patch: MeterPatch,
    ) -> Result<Option<Arc<Meter>>> {
        self.blocking(move |store| store.0.catalog.update_meter(organization, id, patch)).await
    }

    fn list_meters(
        &self,
        organizations: &Organizations,
        query: &MeterQuery,
        sorting: &Sorting<MeterSort>,
        page: PageRequest,
    ) -> Page<Arc<Meter>> {
        let needle = query.name_contains.as_ref().map(|text| text.to_lowercase());
        let mut found = self.0.catalog.meters(organizations);
        found.retain(|meter| {
            needle.as_ref().is_none_or(|text| meter.name.to_lowercase().contains(text))
                && query.is_archived.is_none_or(|wanted| meter.archived_at.is_some() == wanted)
                && query.metadata.iter().all(|c| c.holds(meter.metadata.get(&c.key)))
        });
        let key = |meter: &Meter, by| match by {
            MeterSort::CreatedAt => SortKey::instant(meter.created_at),
            MeterSort::Name => SortKey::text(&meter.name),
        };
        sort(found, sorting, page, key, |m| tie_break(m.created_at, m.id.0))
    }

    async fn create_customer(
        &self,
        organization: OrganizationId,
        customer: NewCustomer,
    ) -> Result<std::result::Result<Arc<Customer>, Vec<CustomerRefusal>>> {
        self.blocking(move |store| store.0.catalog.create_customer(organization, customer)).await
    }

    fn customer(&self, organizations: &Organizations, id: CustomerId) -> Option<Arc<Customer>> {
        self.0.catalog.customer(organizations, id)
    }

    fn customer_by_external_id(
        &self,
        organization: OrganizationId,
        external_id: &str,
    ) -> Option<Arc<Customer>> {
        self.0.catalog.customer_by_external_id(organization, external_id)
    }

    fn customer_of_event(
        &self,
        organization: OrganizationId,
        customer: &CustomerRef<'_>,
    ) -> Option<Arc<Customer>> {
        self.0.catalog.customer_of_event(organization, customer)
    }

    async fn update_customer(
        &self,
        organization: OrganizationId,
        id: CustomerId,
        patch: CustomerPatch,
    ) -> Result<Option<std::result::Result<Arc<Customer>, Vec<CustomerRefusal>>>> {
        self.blocking(move |store| store.0.catalog.update_customer(organization, id, patch)).await
    }

    async fn delete_customer(
        &self,
        organization: OrganizationId,
        id: CustomerId,
        anonymize: bool,
    ) -> Result<bool> {
        self.blocking(move |store| store.0.catalog.delete_customer(organization, id, anonymize))
            .await
    }

    fn list_customers(
        &self,
        organizations: &Organizations,
        query: &CustomerQuery,
        sorting: &Sorting<CustomerSort>,
        page: PageRequest,
    ) -> Page<Arc<Customer>> {
        let email = query.email.as_ref().map(|email| email.to_lowercase());
        let needle = query.text.as_ref().map(|text| text.to_lowercase());
        let lower = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
        let mut found = self.0.catalog.customers(organizations);
        found.retain(|customer| {
            email.as_ref().is_none_or(|email| lower(&customer.email).as_ref() == Some(email))
                && needle.as_ref().is_none_or(|needle| {
                    let holds = |text: Option<String>| text.is_some_and(|t| t.contains(needle));
                    holds(lower(&customer.email))
                        || holds(lower(&customer.name))
                        || lower(&customer.external_id).is_some_and(|id| id.starts_with(needle))
                })
                && query.metadata.iter().all(|c| c.holds(customer.metadata.get(&c.key)))
        });
        let key = |customer: &Customer, by| match by {
            CustomerSort::CreatedAt => SortKey::instant(customer.created_at),
            CustomerSort::Email => SortKey::optional_text(customer.email.as_deref()),
            CustomerSort::Name => SortKey::optional_text(customer.name.as_deref()),
        };
        sort(found, sorting, page, key, |c| tie_break(c.created_at, c.id.0))
    }

    fn select_customers(
        &self,
        organization: OrganizationId,
        ids: &[CustomerId],
        external_ids: &[String],
        for_lists: bool,
    ) -> CustomerSelection {
        let directory = self.0.catalog.directory(organization);
        if for_lists {
            CustomerSelection::resolve_for_lists(ids, external_ids, &directory)
        } else {
            CustomerSelection::resolve(ids, external_ids, &directory)
        }
    }

    fn search_customers(&self, organization: OrganizationId, needle: &str) -> CustomerSelection {
        let holds = |text: &Option<String>| {
            text.as_ref().is_some_and(|t| t.to_lowercase().contains(needle))
        };
        let ids: Vec<CustomerId> = self
            .customers(organization)
            .iter()
            .filter(|c| holds(&c.email) || holds(&c.name) || holds(&c.external_id))
            .map(|customer| customer.id)
            .collect();
        self.select_customers(organization, &ids, &[], false)
    }

    fn customers(&self, organization: OrganizationId) -> Vec<Arc<Customer>> {
        self.0.catalog.customers(&Organizations::one(organization))
    }

    fn meters(&self, organization: OrganizationId) -> Vec<Arc<Meter>> {
        self.0.catalog.meters(&Organizations::one(organization))
    }

    fn customer_meter(
        &self,
        organizations: &Organizations,
        id: CustomerMeterId,
    ) -> Option<(Arc<Customer>, Arc<Meter>)> {
        let (customer, meter) = self.0.cipher.customer_and_meter(id)?;
        self.0.catalog.customer_and_meter(organizations, customer, meter)
    }

    fn event_label(&self, organization: OrganizationId, name: &str) -> Option<Arc<EventLabel>> {
        self.0.catalog.event_label(organization, name)
    }

    async fn set_event_label(
        &self,
        organization: OrganizationId,
        name: String,
        label: String,
        label_property_selector: Option<String>,
    ) -> Result<Arc<EventLabel>> {
        self.blocking(move |store| {
            store.0.catalog.set_event_label(organization, name, label, label_property_selector)
        })
        .await
    }
}
