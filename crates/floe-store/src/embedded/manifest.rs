//! The manifest: which segments there are, and how far the journal is sealed in them.
//!
//! A small file, replaced as a whole by a rename, so that a crash leaves the old one or the new
//! one. A file in the folder of segments that the manifest does not name was never part of the
//! store, or no longer is.

use std::io;
use std::path::{Path, PathBuf};

use floe_core::OrganizationId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fs::{Fs, OpenMode};
use super::segment::SegmentMeta;

/// Version of the manifest and of what it describes.
const FORMAT_VERSION: u32 = 1;
const MAGIC: &str = "floe-manifest";

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManifestError {
    /// The disk failed.
    #[error("manifest file {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// Its bytes are not what was written.
    #[error("manifest file {0} is damaged: {1}; restore it from a backup")]
    Damaged(PathBuf, String),
    /// A later Floe wrote it.
    #[error("manifest file {0} has format {1}; this Floe reads up to {FORMAT_VERSION}")]
    NewerFormat(PathBuf, u32),
}

/// What the manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Of this folder alone.
    pub(super) folder_id: Uuid,
    /// Events with lower sequence numbers are in segments, all others in the journal.
    pub(super) sealed_end: u64,
    /// When the last sealed event was ingested, in microseconds; absent if there is none.
    pub(super) last_ingested_micros: Option<i64>,
    /// The first journal file that is still needed.
    pub(super) first_journal_file: u64,
    /// The number that the next segment gets.
    pub(super) next_segment: u64,
    /// The segments of each organization, in order of their events.
    pub(super) organizations: Vec<OrganizationSegments>,
}

/// The segments of an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OrganizationSegments {
    /// Its id.
    pub(super) id: Uuid,
    /// In order of their events, without gap or overlap.
    pub(super) segments: Vec<SegmentMeta>,
}

/// Its file in a data folder.
pub(super) fn path_of(folder: &Path) -> PathBuf {
    folder.join("manifest").join("manifest.json")
}

impl Manifest {
    /// That of a folder without segments.
    pub(super) fn new(folder_id: [u8; 16]) -> Self {
        Self {
            folder_id: Uuid::from_bytes(folder_id),
            first_journal_file: 1,
            next_segment: 1,
            ..Self::default()
        }
    }

    /// Reads the manifest of a data folder; `None` if there is none.
    pub(super) fn read(fs: &dyn Fs, folder: &Path) -> Result<Option<Self>, ManifestError> {
        let path = path_of(folder);
        let io = |error| ManifestError::Io(path.clone(), error);
        let damaged = |why: &str| ManifestError::Damaged(path.clone(), why.to_owned());
        if !fs.exists(&path).map_err(io)? {
            return Ok(None);
        }
        let file = fs.open(&path, OpenMode::Read).map_err(io)?;
        let length = usize::try_from(file.len().map_err(io)?)
            .map_err(|_| damaged("it is larger than this machine's memory"))?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0).map_err(io)?;
        let text = String::from_utf8(bytes).map_err(|_| damaged("it is not UTF-8"))?;
        let (head, body) = text.split_once('\n').ok_or_else(|| damaged("it has no head"))?;
        let mut words = head.split(' ');
        if words.next() != Some(MAGIC) {
            return Err(damaged("it does not begin with its magic word"));
        }
        let version = words.next().and_then(|word| word.parse::<u32>().ok());
        match version {
            Some(FORMAT_VERSION) => {}
            Some(newer) if newer > FORMAT_VERSION => {
                return Err(ManifestError::NewerFormat(path, newer));
            }
            _ => return Err(damaged("it names no version that there is")),
        }
        if words.next() != Some(format!("{:08x}", crc32c::crc32c(body.as_bytes())).as_str()) {
            return Err(damaged("its checksum is wrong"));
        }
        serde_json::from_str(body).map(Some).map_err(|error| damaged(&error.to_string()))
    }

    /// Replaces the manifest of a data folder, durably.
    pub(super) fn write(&self, fs: &dyn Fs, folder: &Path) -> Result<(), ManifestError> {
        let path = path_of(folder);
        let io = |error| ManifestError::Io(path.clone(), error);
        let body = serde_json::to_string_pretty(self)
            .map_err(|error| ManifestError::Damaged(path.clone(), error.to_string()))?;
        let crc = crc32c::crc32c(body.as_bytes());
        let text = format!("{MAGIC} {FORMAT_VERSION} {crc:08x}\n{body}");
        let write = || -> io::Result<()> {
            let directory = folder.join("manifest");
            // Also if it is there: who made it may have been stopped before it was durable.
            fs.create_dir(&directory)?;
            fs.sync_dir(folder)?;
            let new = directory.join("manifest.json.new");
            if fs.exists(&new)? {
                fs.remove(&new)?;
            }
            let file = fs.open(&new, OpenMode::CreateNew)?;
            file.write_all_at(text.as_bytes(), 0)?;
            file.sync_data()?;
            fs.rename(&new, &path)?;
            fs.sync_dir(&directory)
        };
        write().map_err(io)
    }

    /// The segments of an organization.
    pub(super) fn segments_of(&mut self, organization: OrganizationId) -> &mut Vec<SegmentMeta> {
        let place = self.organizations.iter().position(|of| of.id == organization.0);
        let place = place.unwrap_or_else(|| {
            self.organizations
                .push(OrganizationSegments { id: organization.0, segments: Vec::new() });
            self.organizations.len() - 1
        });
        &mut self.organizations[place].segments
    }

    /// What does not fit together, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        for of in &self.organizations {
            let mut number = 0;
            for segment in &of.segments {
                if segment.first_number != number || segment.rows == 0 {
                    return Some(format!(
                        "segment {} of organization {} begins with event {} instead of {number}",
                        segment.id, of.id, segment.first_number
                    ));
                }
                if segment.last_sequence >= self.sealed_end {
                    return Some(format!("segment {} is not sealed", segment.id));
                }
                number += segment.rows;
            }
        }
        None
    }
}
