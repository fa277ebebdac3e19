//! The data folder: its backup, and what it takes. For the root token alone.

use axum::extract::State;
use axum::response::Response;
use floe_api::WireTimestamp;
use floe_api::errors::{ErrorClass, Errors};
use floe_api::system::{BackupCreate, backup_failed};
use floe_core::Timestamp;
use floe_store::embedded::{BackupReport, BlockStats, CacheStats, ColumnStats, StorageStats};
use floe_store::port::{Catalog as _, Organizations, StoreError};
use serde::Serialize;

use super::ok;
use crate::app::App;
use crate::auth::{Caller, RootOnly};
use crate::error::ApiError;
use crate::extract::{Body, parsed};
use crate::latency::Quantiles;
use crate::openapi::Refusals;

/// A backup that was made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Backup {
    /// The folder that holds it.
    path: String,
    /// When it was finished.
    made_at: WireTimestamp,
    /// Events in it.
    events: u64,
    /// Segments in it.
    segments: u64,
    /// Segments that share their bytes with the data folder, as hard links.
    linked_segments: u64,
    /// Bytes of its files.
    bytes: u64,
}

impl Backup {
    fn new(path: String, report: &BackupReport) -> Self {
        let &BackupReport { made_at_micros, events, segments, linked_segments, bytes, .. } = report;
        let made_at = Timestamp::from_micros(made_at_micros).unwrap_or(Timestamp::MAX).into();
        Self { path, made_at, events, segments, linked_segments, bytes }
    }
}

/// What a column takes in all segments together.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct StorageColumn {
    /// The column, as Parquet readers see it; `(footers)` is what is none.
    name: String,
    /// Bytes on disk.
    bytes: u64,
}

/// What a kind of derived file takes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct StorageCache {
    /// The kind, as the files' names end.
    kind: String,
    /// How many files.
    files: u64,
    /// Bytes on disk.
    bytes: u64,
}

/// What the data folder holds and takes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Storage {
    /// All events.
    #[schema(required = true)]
    events: Option<u64>,
    /// Events in segments; the others are in memory and in the journal.
    sealed_events: u64,
    /// Organizations with events in segments.
    organizations: u64,
    /// How many segments.
    segments: u64,
    /// Their bytes.
    segment_bytes: u64,
    /// The segments' bytes by column, the largest first.
    columns: Vec<StorageColumn>,
    /// Files of the journal.
    journal_files: u64,
    /// Bytes of them; they are reserved before they are used.
    journal_bytes: u64,
    /// Bytes of the catalog: organizations, tokens, meters, customers.
    catalog_bytes: u64,
    /// Bytes of derived files by kind; all of it can be made again.
    cache: Vec<StorageCache>,
    /// External ids that are known from segments.
    external_ids: u64,
    /// Files that they are looked up in.
    external_id_files: u64,
    /// Bytes of these files; counted in `cache`, too.
    external_id_bytes: u64,
    /// Bytes of memory that they take.
    external_id_memory_bytes: u64,
    /// How the cache of derived files' blocks does.
    #[schema(required = true)]
    blocks: Option<StorageBlocks>,
}

/// The cache of derived files' blocks, since the start of the process.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct StorageBlocks {
    /// Bytes of blocks in it.
    memory_bytes: u64,
    /// Blocks that were asked for and were in it.
    hits: u64,
    /// Blocks that had to be read.
    misses: u64,
}

impl From<StorageStats> for Storage {
    fn from(stats: StorageStats) -> Self {
        let column = |ColumnStats { name, bytes, .. }| StorageColumn { name, bytes };
        let cache = |CacheStats { kind, files, bytes, .. }| StorageCache { kind, files, bytes };
        Self {
            events: stats.events,
            sealed_events: stats.sealed_events,
            organizations: stats.organizations,
            segments: stats.segments,
            segment_bytes: stats.segment_bytes,
            columns: stats.columns.into_iter().map(column).collect(),
            journal_files: stats.journal_files,
            journal_bytes: stats.journal_bytes,
            catalog_bytes: stats.catalog_bytes,
            cache: stats.cache.into_iter().map(cache).collect(),
            external_ids: stats.external_ids,
            external_id_files: stats.external_id_files,
            external_id_bytes: stats.external_id_bytes,
            external_id_memory_bytes: stats.external_id_memory_bytes,
            blocks: stats.blocks.map(|BlockStats { memory_bytes, hits, misses, .. }| {
                StorageBlocks { memory_bytes, hits, misses }
            }),
        }
    }
}

/// The server itself.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct System {
    /// Its version.
    version: &'static str,
    /// When it was started.
    started_at: WireTimestamp,
    /// Whole seconds since then.
    uptime_seconds: u64,
    /// All events, credits and resets included.
    events: u64,
    /// How many organizations there are.
    organizations: u64,
    /// What is on disk.
    bytes: SystemBytes,
    /// `ok`; or `stopped` once a write failed: then events are refused until it is started again.
    #[schema(pattern = "^(ok|stopped)$")]
    writing: &'static str,
    /// How long requests took since it was started, from their head to that of the answer, if they
    /// were answered with 2xx. Times are told to within a fifth, never less than was taken.
    latency: SystemLatency,
}

/// What the data folder takes, in bytes.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SystemBytes {
    /// All of the others together.
    data: u64,
    /// The journal; its files are reserved before they are used.
    journal: u64,
    /// Sealed events.
    segments: u64,
    /// Derived files, all of which can be made again.
    cache: u64,
    /// Organizations, tokens, meters, customers.
    catalog: u64,
}

/// How long requests took.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SystemLatency {
    /// Ingestion, also by the line.
    ingest: Quantiles,
    /// Everything that reads, but streams of events and this.
    query: Quantiles,
}

/// Tells how the server does.
#[utoipa::path(
    get, path = "/v1/system", tag = "system",
    responses((status = 200, description = "How it does.", body = System), Refusals<RootOnly>),
)]
pub(crate) async fn get_system(
    State(app): State<App>,
    _: Caller<RootOnly>,
) -> Result<Response, ApiError> {
    let stats = app.store.storage_stats().await?;
    let cache = stats.cache.iter().map(|of| of.bytes).sum();
    let (journal, segments, catalog) =
        (stats.journal_bytes, stats.segment_bytes, stats.catalog_bytes);
    let data = journal + segments + cache + catalog;
    Ok(ok(&System {
        version: env!("CARGO_PKG_VERSION"),
        started_at: app.started.at.into(),
        uptime_seconds: app.started.elapsed().as_secs(),
        events: stats.events.unwrap_or_default(),
        organizations: app.store.organization_ids(&Organizations::All).len() as u64,
        bytes: SystemBytes { data, journal, segments, cache, catalog },
        writing: if app.store.poisoned().is_some() { "stopped" } else { "ok" },
        latency: SystemLatency {
            ingest: app.latency.ingest.quantiles(),
            query: app.latency.query.quantiles(),
        },
    }))
}

/// Writes a backup into a folder on the server's machine.
///
/// Events and everything else go on meanwhile. Every event that was acknowledged before is in it.
#[utoipa::path(
    post, path = "/v1/system/backup", tag = "system",
    request_body(content = BackupCreate, example = json!({"path": "/backup/floe-2026-01-31"})),
    responses(
        (status = 200, description = "The backup; it is on disk.", body = Backup),
        Refusals<RootOnly>,
    ),
)]
pub(crate) async fn create_backup(
    State(app): State<App>,
    _: Caller<RootOnly>,
    body: Body,
) -> Result<Response, ApiError> {
    let BackupCreate { path } =
        body.read(|json| parsed(|errors| BackupCreate::parse(json, errors)))?;
    let shown = path.display().to_string();
    match app.store.backup(&path).await {
        Ok(report) => {
            let BackupReport { events, segments, bytes, .. } = report;
            tracing::info!(path = shown, events, segments, bytes, "made a backup");
            Ok(ok(&Backup::new(shown, &report)))
        }
        Err(StoreError::Backup(why)) => {
            tracing::warn!(path = shown, why, "a backup was not made");
            let mut errors = Errors::new();
            backup_failed(&shown, &why, &mut errors);
            errors.into_result(ErrorClass::PolarRequestValidationError)?;
            Err(ApiError::NotFound)
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells what the data folder holds and takes on disk.
#[utoipa::path(
    get, path = "/v1/system/storage", tag = "system",
    responses(
        (status = 200, description = "What it holds and takes.", body = Storage),
        Refusals<RootOnly>,
    ),
)]
pub(crate) async fn get_storage(
    State(app): State<App>,
    _: Caller<RootOnly>,
) -> Result<Response, ApiError> {
    Ok(ok(&Storage::from(app.store.storage_stats().await?)))
}
