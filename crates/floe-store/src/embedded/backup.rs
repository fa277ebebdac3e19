//! Backups: a copy of a data folder as of one moment, made while it is used, and the way back.
//!
//! All events are sealed first; then a backup is the segments (immutable, so hard links will do),
//! a manifest that needs no journal, and a copy of the catalog taken after the events, so that it
//! knows every customer that they refer to. `backup.json` is written last: a folder without it is
//! no backup. The bytes are described in `docs/format.md`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use floe_core::OrganizationId;

use super::fs::{Fs, OpenMode, RealFs};
use super::maintain::{folder_of, segment_path};
use super::manifest::{self, Manifest};
use super::segment::{Segment, SharedColumns};
use super::{EmbeddedStore, View, create_folder, describe, read_tail, system_time};
use crate::port::{Result, StoreError};

/// Version of a backup.
const FORMAT_VERSION: u32 = 1;
const BACKUP_FILE: &str = "backup.json";
/// There while a backup is written.
const UNFINISHED_FILE: &str = "backup.json.new";
/// There while a backup is restored: a folder with it is not opened.
pub(super) const RESTORING_FILE: &str = "restore.unfinished";
const CATALOG_FILE: &str = "catalog.db";
/// Small files are read in pieces of so many bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupReport {
    /// When it was finished, in microseconds since 1970, UTC.
    pub made_at_micros: i64,
    /// Which version of Floe made it.
    pub floe_version: String,
    /// Events in it.
    pub events: u64,
    /// Segments in it.
    pub segments: u64,
    /// Bytes of all its files, but for `backup.json`.
    pub bytes: u64,
    /// Segments that share their bytes with the data folder, as hard links.
    pub linked_segments: u64,
    manifest: FileSum,
    catalog: FileSum,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct FileSum {
    bytes: u64,
    crc32c: u32,
}

#[derive(Serialize, Deserialize)]
struct BackupFile {
    format: u32,
    /// CRC-32C of the bytes of `backup`, in hexadecimal digits.
    checksum: String,
    backup: Box<RawValue>,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |error| StoreError::Backup(format!("{}: {error}", path.display()))
}

/// The checksum of a small file.
fn sum_of(fs: &dyn Fs, path: &Path) -> Result<FileSum> {
    let sum = || {
        let file = fs.open(path, OpenMode::Read)?;
        let (mut sum, mut buffer) = (FileSum { bytes: 0, crc32c: 0 }, vec![0; PIECE_BYTES]);
        loop {
            let count = file.read_at(&mut buffer, sum.bytes)?;
            if count == 0 {
                return Ok(sum);
            }
            sum.crc32c = crc32c::crc32c_append(sum.crc32c, &buffer[..count]);
            sum.bytes += count as u64;
        }
    };
    sum().map_err(failed(path))
}

/// Copies a small file, durably.
fn copy(fs: &dyn Fs, from: &Path, to: &Path) -> Result<()> {
    let copy = || {
        let (source, target) = (fs.open(from, OpenMode::Read)?, fs.open(to, OpenMode::CreateNew)?);
        let (mut at, mut buffer) = (0, vec![0; PIECE_BYTES]);
        loop {
            let count = source.read_at(&mut buffer, at)?;
            if count == 0 {
                return target.sync_data();
            }
            target.write_all_at(&buffer[..count], at)?;
            at += count as u64;
        }
    };
    copy().map_err(failed(to))
}

/// A folder that is being filled. What is in it goes again unless it is kept.
struct NewFolder {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    /// Whether the folder itself was made here.
    is_made: bool,
    keep: bool,
}

impl NewFolder {
    /// Takes a folder that is not there or empty, by a file that only one can make.
    fn take(fs: Arc<dyn Fs>, path: &Path, mark: &str) -> Result<Self> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let refuse = |why: String| Err(StoreError::Backup(why));
        if !parent.is_dir() {
            return refuse(format!("there is no folder {} to make it in", parent.display()));
        }
        let is_made = !path.exists();
        if is_made {
            create_folder(path).map_err(failed(path))?;
        } else if !path.is_dir() {
            return refuse(format!("{} is no folder", path.display()));
        } else if !fs.list(path).map_err(failed(path))?.is_empty() {
            return refuse(format!(
                "{} is not empty; name a folder that is new or empty",
                path.display()
            ));
        }
        let marked = path.join(mark);
        match fs.open(&marked, OpenMode::CreateNew) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return refuse(format!("another one is writing into {}", path.display()));
            }
            Err(error) => return Err(failed(&marked)(error)),
        }
        // From here on what is in the folder is ours.
        let folder = Self { fs, path: path.to_owned(), is_made, keep: false };
        folder.fs.sync_dir(path).map_err(failed(path))?;
        Ok(folder)
    }

    /// Makes the folders of organizations' segments.
    fn make_folders(&self, manifest: &Manifest) -> Result<()> {
        let segments = self.path.join("segments");
        self.fs.create_dir(&segments).map_err(failed(&segments))?;
        for of in &manifest.organizations {
            let own = folder_of(&self.path, OrganizationId(of.id));
            self.fs.create_dir(&own).map_err(failed(&own))?;
        }
        Ok(())
    }

    /// Makes all names in it durable.
    fn sync(&self, manifest: &Manifest) -> Result<()> {
        let own = manifest.organizations.iter();
        let own = own.map(|of| folder_of(&self.path, OrganizationId(of.id)));
        for folder in own.chain([self.path.join("segments"), self.path.clone()]) {
            self.fs.sync_dir(&folder).map_err(failed(&folder))?;
        }
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // As far as it goes: without its last file, what stays is no backup and no data folder.
        for name in ["segments", "manifest"] {
            let _ = std::fs::remove_dir_all(self.path.join(name));
        }
        for name in self.fs.list(&self.path).unwrap_or_default() {
            if name != UNFINISHED_FILE && name != RESTORING_FILE {
                let _ = self.fs.remove(&self.path.join(name));
            }
        }
        // The mark goes last.
        for name in [UNFINISHED_FILE, RESTORING_FILE] {
            let _ = self.fs.remove(&self.path.join(name));
        }
        if self.is_made {
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

/// A path that stays what it is if links and dots are taken out; its last part need not be there.
fn resolved(path: &Path) -> PathBuf {
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    path.canonicalize().ok().unwrap_or_else(|| match (parent, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    })
}

impl EmbeddedStore {
    /// Writes a backup into a folder that is new or empty, while the store is used. Every event
    /// that was acknowledged before is in it, and later ones may be.
    ///
    /// Segments are hard-linked where the file system can: such a backup costs no room, protects
    /// against deleting and overwriting, and not against a disk that fails.
    ///
    /// # Errors
    ///
    /// [`StoreError::Backup`] if the folder cannot be used or written, and whatever keeps events
    /// from being sealed. Nothing that looks like a backup is left.
    pub async fn backup(&self, folder: &Path) -> Result<BackupReport> {
        let data = resolved(&self.0.reader.folder);
        if resolved(folder).starts_with(&data) {
            return Err(StoreError::Backup(format!(
                "{} lies in the data folder itself; name a folder elsewhere",
                folder.display()
            )));
        }
        let fs = Arc::clone(&self.0.options.fs);
        let new = NewFolder::take(fs, folder, UNFINISHED_FILE)?;
        self.seal().await?;
        self.blocking(move |store| store.fill_backup(new)).await
    }

    fn fill_backup(&self, mut new: NewFolder) -> Result<BackupReport> {
        let fs = &*self.0.options.fs;
        let folder = new.path.clone();
        let (manifest, segments, linked_segments) = self.link_segments(&new)?;
        for (organization, segment, is_linked) in &segments {
            if *is_linked {
                continue;
            }
            // A merge may have removed the file meanwhile; it is still open.
            let to = segment_path(&folder, *organization, segment.meta.id);
            let copied = segment.copy_to(fs, &to);
            copied.map_err(|error| StoreError::Backup(describe(&error)))?;
        }
        manifest.write(fs, &folder).map_err(|error| StoreError::Backup(describe(&error)))?;
        let catalog = folder.join(CATALOG_FILE);
        self.0.catalog.copy_to(&catalog).map_err(|error| StoreError::Backup(describe(&error)))?;
        let opened = fs.open(&catalog, OpenMode::Read);
        opened.and_then(|file| file.sync_data()).map_err(failed(&catalog))?;
        new.sync(&manifest)?;
        let (manifest_sum, catalog_sum) =
            (sum_of(fs, &manifest::path_of(&folder))?, sum_of(fs, &catalog)?);
        let segment_bytes: u64 = segments.iter().map(|(_, segment, _)| segment.meta.bytes).sum();
        let report = BackupReport {
            made_at_micros: system_time().micros(),
            floe_version: env!("CARGO_PKG_VERSION").to_owned(),
            events: manifest.sealed_end,
            segments: segments.len() as u64,
            bytes: segment_bytes + manifest_sum.bytes + catalog_sum.bytes,
            linked_segments,
            manifest: manifest_sum,
            catalog: catalog_sum,
        };
        report.write(fs, &folder)?;
        new.keep = true;
        Ok(report)
    }

    /// Links the files of all segments into a backup, and tells which could not be.
    #[expect(clippy::type_complexity, reason = "it has one caller, which takes it apart")]
    fn link_segments(
        &self,
        new: &NewFolder,
    ) -> Result<(Manifest, Vec<(OrganizationId, Arc<Segment>, bool)>, u64)> {
        // IMPORTANT: as long as it is held, no file of a segment goes.
        let held = self.0.maintainer.maintenance.manifest();
        let mut manifest = held.clone();
        manifest.first_journal_file = 1;
        new.make_folders(&manifest)?;
        let mut segments = Vec::new();
        let mut linked = 0;
        for of in &manifest.organizations {
            let organization = OrganizationId(of.id);
            let missing = || {
                StoreError::Damaged(format!(
                    "segments of {organization} are not those of the manifest"
                ))
            };
            let opened = self.view(organization, |view| {
                let view: View<'_> = view.ok_or_else(missing)?;
                Ok(read_tail(view.tail).sealed())
            })?;
            if !opened.segments.iter().map(|segment| &segment.meta).eq(&of.segments) {
                return Err(missing());
            }
            for segment in &opened.segments {
                let from = segment_path(&self.0.reader.folder, organization, segment.meta.id);
                let to = segment_path(&new.path, organization, segment.meta.id);
                // Another file system, one without hard links, or a limit of theirs: copied later.
                let is_linked = new.fs.hard_link(&from, &to).is_ok();
                linked += u64::from(is_linked);
                segments.push((organization, Arc::clone(segment), is_linked));
            }
        }
        drop(held);
        Ok((manifest, segments, linked))
    }
}

impl BackupReport {
    /// Writes `backup.json`, durably.
    fn write(&self, fs: &dyn Fs, folder: &Path) -> Result<()> {
        let failed_json = |error: serde_json::Error| StoreError::Backup(error.to_string());
        let text = serde_json::to_string(self).map_err(failed_json)?;
        let checksum = format!("{:08x}", crc32c::crc32c(text.as_bytes()));
        let backup = RawValue::from_string(text).map_err(failed_json)?;
        let file = BackupFile { format: FORMAT_VERSION, checksum, backup };
        let text = serde_json::to_string(&file).map_err(failed_json)?;
        let new = folder.join(UNFINISHED_FILE);
        let write = || {
            let file = fs.open(&new, OpenMode::Write)?;
            file.write_all_at(text.as_bytes(), 0)?;
            file.sync_data()?;
            fs.rename(&new, &folder.join(BACKUP_FILE))?;
            fs.sync_dir(folder)
        };
        write().map_err(failed(&new))
    }

    /// Reads what a backup says of itself; `None` if the folder is none.
    pub(super) fn read(fs: &dyn Fs, folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(BACKUP_FILE);
        if !fs.exists(&path).map_err(failed(&path))? {
            return Ok(None);
        }
        let read = || {
            let file = fs.open(&path, OpenMode::Read)?;
            let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        let bytes = read().map_err(failed(&path))?;
        let damaged =
            |why: &str| StoreError::Backup(format!("{} is damaged: {why}", path.display()));
        let BackupFile { format, checksum, backup } =
            serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
        if format > FORMAT_VERSION {
            return Err(StoreError::Backup(format!(
                "{} has format {format}; this Floe reads up to {FORMAT_VERSION}",
                path.display()
            )));
        }
        if checksum != format!("{:08x}", crc32c::crc32c(backup.get().as_bytes())) {
            return Err(damaged("its checksum is wrong"));
        }
        serde_json::from_str(backup.get()).map(Some).map_err(|error| damaged(&error.to_string()))
    }

    /// Whether manifest and catalog in a folder are those of the backup.
    pub(super) fn check(&self, fs: &dyn Fs, folder: &Path) -> Result<()> {
        let files =
            [(manifest::path_of(folder), self.manifest), (folder.join(CATALOG_FILE), self.catalog)];
        for (path, sum) in files {
            if sum_of(fs, &path)? != sum {
                return Err(StoreError::Backup(format!(
                    "{} is not as it was written: its checksum is wrong",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}

/// Makes a data folder, which must not be there or be empty, from a backup, and checks every
/// checksum on the way. The backup stays as it is; nothing is shared with it.
///
/// # Errors
///
/// [`StoreError::Backup`] if the backup is not complete, damaged or of a newer Floe, or the folder
/// cannot be used or written. A folder that was not finished is not opened as one.
pub fn restore(backup: &Path, data: &Path) -> Result<BackupReport> {
    restore_on(Arc::new(RealFs), backup, data)
}

/// [`restore`] on a disk of one's own.
///
/// # Errors
///
/// As [`restore`].
pub fn restore_on(fs: Arc<dyn Fs>, backup: &Path, data: &Path) -> Result<BackupReport> {
    let Some(report) = BackupReport::read(&*fs, backup)? else {
        return Err(StoreError::Backup(format!(
            "{} holds no {BACKUP_FILE}: it is no backup, or one that was not finished",
            backup.display()
        )));
    };
    let unreadable = |error: &dyn std::error::Error| StoreError::Backup(describe(error));
    let manifest = Manifest::read(&*fs, backup).map_err(|error| unreadable(&error))?;
    let manifest = manifest.ok_or_else(|| {
        StoreError::Backup(format!("{} is missing", manifest::path_of(backup).display()))
    })?;
    report.check(&*fs, backup)?;
    let mut new = NewFolder::take(Arc::clone(&fs), data, RESTORING_FILE)?;
    new.make_folders(&manifest)?;
    for of in &manifest.organizations {
        let organization = OrganizationId(of.id);
        for meta in &of.segments {
            let from = segment_path(backup, organization, meta.id);
            let to = segment_path(data, organization, meta.id);
            Segment::open(&*fs, &from, meta.clone(), &Arc::new(SharedColumns::new(0)))
                .and_then(|segment| segment.copy_to(&*fs, &to))
                .map_err(|error| unreadable(&error))?;
        }
    }
    copy(&*fs, &backup.join(CATALOG_FILE), &data.join(CATALOG_FILE))?;
    let to = manifest::path_of(data);
    if let Some(own) = to.parent() {
        fs.create_dir(own).map_err(failed(own))?;
        copy(&*fs, &manifest::path_of(backup), &to)?;
        fs.sync_dir(own).map_err(failed(own))?;
    }
    new.sync(&manifest)?;
    report.check(&*fs, data)?;
    // It is a data folder once this is gone.
    let mark = data.join(RESTORING_FILE);
    fs.remove(&mark).and_then(|()| fs.sync_dir(data)).map_err(failed(&mark))?;
    new.keep = true;
    Ok(report)
}

/// Refuses a folder into which a backup was not restored to the end.
pub(super) fn check_restored(fs: &dyn Fs, folder: &Path) -> Result<()> {
    if fs.exists(&folder.join(RESTORING_FILE)).map_err(failed(folder))? {
        return Err(StoreError::Open(format!(
            "a backup was not restored to the end into {}; delete the folder and restore it again",
            folder.display()
        )));
    }
    Ok(())
}
