//! `floe stats`: what a data folder takes on disk, told from manifest and footers alone.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use floe_core::{OrganizationId, Sequence};
use serde::Serialize;

use super::dedup::{DedupStats, ExaminedRuns, KeyHasher};
use super::fs::{Fs, OpenMode};
use super::maintain::segment_path;
use super::manifest::Manifest;
use super::segment::{Segment, SegmentError, SharedColumns};
use super::view::read;
use super::{EmbeddedStore, describe, external_id_key};
use crate::port::{Result, StoreError};

/// A merge may remove segments between a look at the manifest and one at the files: so often it is
/// looked at again.
const TRIES_MAX: usize = 10;

/// What a column takes in all segments together.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ColumnStats {
    /// Its name; metadata columns are `metadata.…`.
    pub name: String,
    /// Bytes on disk.
    pub bytes: u64,
}

/// What a kind of derived file takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheStats {
    /// The kind, as the files' names end.
    pub kind: String,
    /// How many there are.
    pub files: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// What a data folder holds and takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StorageStats {
    /// All events; unknown of a folder, where the journal is not read.
    pub events: Option<u64>,
    /// Events in segments.
    pub sealed_events: u64,
    /// Organizations with events in segments.
    pub organizations: u64,
    /// How many segments.
    pub segments: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// Bytes of each column, the largest first, and at the end of footers.
    pub columns: Vec<ColumnStats>,
    /// Files of the journal.
    pub journal_files: u64,
    /// Bytes of them; they are reserved before they are used.
    pub journal_bytes: u64,
    /// Bytes of the catalog with its log.
    pub catalog_bytes: u64,
    /// What derived files take, by kind; all of it can be made again.
    pub cache: Vec<CacheStats>,
    /// External ids that are known from segments.
    pub external_ids: u64,
    /// Files that they are looked up in.
    pub external_id_files: u64,
    /// Bytes of these on disk; counted in `cache`, too.
    pub external_id_bytes: u64,
    /// Bytes of memory that they take while Floe serves.
    pub external_id_memory_bytes: u64,
    /// How the cache of derived files' blocks does; unknown of a folder that is not served.
    pub blocks: Option<BlockStats>,
}

/// What the cache of derived files' blocks holds, and how it did since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BlockStats {
    /// Bytes of blocks in it.
    pub memory_bytes: u64,
    /// Blocks that were asked for and were in it.
    pub hits: u64,
    /// Blocks that had to be read.
    pub misses: u64,
}

/// What a folder holds and takes; another process may have it open.
///
/// # Errors
///
/// [`StoreError::Open`] if the folder is none of ours, of a newer Floe, or cannot be read.
pub fn storage_stats(folder: &Path, fs: &dyn Fs) -> Result<StorageStats> {
    let open = |error: &dyn std::error::Error| StoreError::Open(describe(error));
    let mut tries = 0;
    let (manifest, segments) = loop {
        tries += 1;
        let Some(manifest) = Manifest::read(fs, folder).map_err(|error| open(&error))? else {
            let why = "is no data folder, or one of an older Floe that was not started since";
            return Err(StoreError::Open(format!("{} {why}", folder.display())));
        };
        match open_all(folder, fs, &manifest) {
            Ok(segments) => break (manifest, segments),
            Err(SegmentError::Io(error))
                if error.kind() == io::ErrorKind::NotFound && tries < TRIES_MAX => {}
            Err(error) => return Err(open(&error)),
        }
    };
    let hasher = KeyHasher::new(&external_id_key(manifest.folder_id.as_bytes()));
    let runs = folder.join("cache").join("dedup");
    let runs = ExaminedRuns::read(fs, &runs, &hasher, Sequence(manifest.sealed_end))
        .map_err(|error| open(&error))?;
    let mut stats = of_segments(&segments);
    stats.sealed_events = manifest.sealed_end;
    stats.organizations = manifest.organizations.len() as u64;
    stats.take_dedup(runs.stats());
    stats.take_files(folder, fs).map_err(|error| open(&error))?;
    Ok(stats)
}

fn open_all(
    folder: &Path,
    fs: &dyn Fs,
    manifest: &Manifest,
) -> std::result::Result<Vec<Arc<Segment>>, SegmentError> {
    let mut segments = Vec::new();
    for of in &manifest.organizations {
        for meta in &of.segments {
            let path = segment_path(folder, OrganizationId(of.id), meta.id);
            segments.push(Arc::new(Segment::open(
                fs,
                &path,
                meta.clone(),
                &Arc::new(SharedColumns::new(0)),
            )?));
        }
    }
    Ok(segments)
}

fn of_segments(segments: &[Arc<Segment>]) -> StorageStats {
    let mut columns: BTreeMap<String, u64> = BTreeMap::new();
    let mut stats = StorageStats { segments: segments.len() as u64, ..StorageStats::default() };
    let mut footers = 0;
    for segment in segments {
        stats.segment_bytes += segment.meta.bytes;
        let mut data = 0;
        for (name, bytes) in segment.column_bytes() {
            *columns.entry(name).or_default() += bytes;
            data += bytes;
        }
        footers += segment.meta.bytes.saturating_sub(data);
    }
    stats.columns = columns.into_iter().map(|(name, bytes)| ColumnStats { name, bytes }).collect();
    stats.columns.sort_by_key(|column| std::cmp::Reverse(column.bytes));
    stats.columns.push(ColumnStats { name: "(footers)".to_owned(), bytes: footers });
    stats
}

impl StorageStats {
    fn take_dedup(&mut self, runs: DedupStats) {
        self.external_ids = runs.keys;
        self.external_id_files = runs.runs as u64;
        self.external_id_bytes = runs.disk_bytes;
        self.external_id_memory_bytes = runs.memory_bytes as u64;
    }

    fn take_files(&mut self, folder: &Path, fs: &dyn Fs) -> io::Result<()> {
        // Files come and go while the folder is used.
        let bytes = |path: &Path| match fs.open(path, OpenMode::Read).and_then(|file| file.len()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            result => result,
        };
        let journal = folder.join("journal");
        for name in fs.list(&journal)? {
            self.journal_files += 1;
            self.journal_bytes += bytes(&journal.join(name))?;
        }
        for name in ["catalog.db", "catalog.db-wal"] {
            self.catalog_bytes += bytes(&folder.join(name))?;
        }
        let mut kinds: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let cache = folder.join("cache");
        for of in [cache.clone(), cache.join("dedup")] {
            for name in fs.list(&of)? {
                if name == "dedup" {
                    continue;
                }
                let kind = name.rsplit_once('.').map_or(&*name, |(_, kind)| kind).to_owned();
                let of_kind = kinds.entry(kind).or_default();
                of_kind.0 += 1;
                of_kind.1 += bytes(&of.join(&name))?;
            }
        }
        let kind = |(kind, (files, bytes))| CacheStats { kind, files, bytes };
        self.cache = kinds.into_iter().map(kind).collect();
        Ok(())
    }
}

impl EmbeddedStore {
    /// What the data folder holds and takes.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn storage_stats(&self) -> Result<StorageStats> {
        self.blocking(|store| {
            let reader = &store.0.reader;
            let sealed: Vec<_> = {
                let tails = reader.tails.read().unwrap_or_else(std::sync::PoisonError::into_inner);
                tails.values().map(|tail| read(tail).sealed()).collect()
            };
            let segments: Vec<Arc<Segment>> =
                sealed.iter().flat_map(|of| of.segments.iter().cloned()).collect();
            let mut stats = of_segments(&segments);
            stats.sealed_events = segments.iter().map(|segment| segment.meta.rows).sum();
            stats.organizations = sealed.iter().filter(|of| !of.segments.is_empty()).count() as u64;
            stats.events = Some(store.event_count());
            stats.take_dedup(reader.dedup.stats());
            stats.blocks = Some(reader.blocks.stats());
            stats
                .take_files(&reader.folder, &*reader.fs)
                .map_err(|error| StoreError::Damaged(error.to_string()))?;
            Ok(stats)
        })
        .await
    }
}
