//! The server itself: backups of its data folder, and what that takes.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::client::{Client, Repeat};
use crate::error::Result;
use crate::timestamp::Timestamp;

/// A backup that was made.
///
/// ```
/// # floe_client_doc::run_as_root(async |client| {
/// # let folder = floe_client_doc::tempfile::tempdir()?;
/// # let path = folder.path().join("backup");
/// # let path = path.to_str().expect("a text");
/// let backup = client.system().backup(path).await?;
/// assert_eq!((backup.path.as_str(), backup.events), (path, 0));
/// assert!(backup.bytes > 0);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Backup {
    /// The folder that holds it, on the server's machine.
    pub path: String,
    /// When it was finished.
    pub made_at: Timestamp,
    /// Events in it.
    pub events: u64,
    /// Segments in it.
    pub segments: u64,
    /// Segments that share their bytes with the data folder, as hard links.
    pub linked_segments: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

/// What a column takes in all segments together.
///
/// ```
/// # floe_client_doc::run_as_root(async |client| {
/// // Nothing is sealed yet, so nothing is in columns on disk.
/// let columns = client.system().storage().await?.columns;
/// assert_eq!(columns.iter().map(|column| column.bytes).sum::<u64>(), 0);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StorageColumn {
    /// The column, as Parquet readers see it; `(footers)` is what is none.
    pub name: String,
    /// Bytes on disk.
    pub bytes: u64,
}

/// What a kind of derived file takes.
///
/// ```
/// # floe_client_doc::run_as_root(async |client| {
/// for cache in client.system().storage().await?.cache {
///     assert_eq!((cache.files, cache.bytes), (0, 0), "{} are made of segments", cache.kind);
/// }
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StorageCache {
    /// The kind, as the files' names end.
    pub kind: String,
    /// How many files.
    pub files: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// What a data folder holds and takes.
///
/// ```
/// # floe_client_doc::run_as_root(async |client| {
/// let storage = client.system().storage().await?;
/// assert_eq!((storage.events, storage.segments), (Some(0), 0));
/// assert!(storage.journal_bytes > 0);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Storage {
    /// All events; absent if only the folder was looked at.
    pub events: Option<u64>,
    /// Events in segments; the others are in memory and in the journal.
    pub sealed_events: u64,
    /// Organizations with events in segments.
    pub organizations: u64,
    /// How many segments.
    pub segments: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// The segments' bytes by column, the largest first.
    pub columns: Vec<StorageColumn>,
    /// Files of the journal.
    pub journal_files: u64,
    /// Bytes of them; they are reserved before they are used.
    pub journal_bytes: u64,
    /// Bytes of the catalog.
    pub catalog_bytes: u64,
    /// Bytes of derived files by kind; all of it can be made again.
    pub cache: Vec<StorageCache>,
    /// External ids that are known from segments.
    pub external_ids: u64,
    /// Files that they are looked up in.
    pub external_id_files: u64,
    /// Bytes of these files; counted in `cache`, too.
    pub external_id_bytes: u64,
    /// Bytes of memory that they take.
    pub external_id_memory_bytes: u64,
    /// How the cache of derived files' blocks does; absent if only the folder was looked at.
    pub blocks: Option<StorageBlocks>,
}

/// The cache of derived files' blocks, since the start of the server.
///
/// ```
/// # floe_client_doc::run_as_root(async |client| {
/// let blocks = client.system().storage().await?.blocks.expect("the server runs");
/// assert_eq!((blocks.hits, blocks.misses), (0, 0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StorageBlocks {
    /// Bytes of blocks in it.
    pub memory_bytes: u64,
    /// Blocks that were asked for and were in it.
    pub hits: u64,
    /// Blocks that had to be read.
    pub misses: u64,
}

/// The server itself; see [`Client::system`].
///
/// ```
/// # floe_client_doc::run_as_root(async |client| {
/// use floe_client::System;
///
/// let system: System<'_> = client.system();
/// assert_eq!(system.storage().await?.events, Some(0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct System<'c>(pub(crate) &'c Client);

impl System<'_> {
    /// Makes the server write a backup into a folder on its machine: an absolute path, new or
    /// empty. Only the root token may. A large one takes longer than a call may by default: see
    /// [`Client::with_timeout`].
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// # let folder = floe_client_doc::tempfile::tempdir()?;
    /// # let path = folder.path().join("backup");
    /// # let path = path.to_str().expect("a text");
    /// use std::time::Duration;
    ///
    /// let client = client.with_timeout(Duration::from_secs(3600));
    /// let backup = client.system().backup(path).await?;
    /// assert_eq!(backup.path, path);
    ///
    /// let error = client.system().backup(path).await.expect_err("it is there already");
    /// assert_eq!(error.violations().len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Validation`](crate::Error::Validation) at `body.path` if it cannot be written
    /// there, and whatever else an [`Error`](crate::Error) names.
    pub async fn backup(&self, path: &str) -> Result<Backup> {
        let body = serde_json::json!({"path": path});
        self.0.call(Method::POST, &["v1", "system", "backup"], &body, Repeat::Unsent).await
    }

    /// Tells what the data folder holds and takes. Only the root token may.
    ///
    /// ```
    /// # floe_client_doc::run_as_root(async |client| {
    /// let storage = client.system().storage().await?;
    /// assert_eq!(storage.events, Some(0));
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// See [`Error`](crate::Error).
    pub async fn storage(&self) -> Result<Storage> {
        self.0.get(&["v1", "system", "storage"], &[]).await
    }
}
