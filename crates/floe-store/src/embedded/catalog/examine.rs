//! Looking at a catalog without changing a byte, for `floe verify`.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use floe_core::{CustomerId, MeterId, OrganizationId};
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::{
    FolderKey, Mirror, RowChecksums, SCHEMA_VERSION, Table, WrongRow, failed, folder_secrets,
    newer_schema, read_folder_value, schema_version,
};
use crate::port::{Result, StoreError};

/// Faults of SQLite's own structure that are told, at most.
const FAULTS_MAX: u32 = 20;

/// What a catalog holds, as far as others refer to it, and what is wrong with it.
#[derive(Debug)]
pub(in super::super) struct CatalogFacts {
    pub(in super::super) folder_id: [u8; 16],
    pub(in super::super) id_key: [u8; 16],
    /// The highest journal file that was put to use.
    pub(in super::super) journal_files: u64,
    pub(in super::super) has_manifest: bool,
    /// Whether its rows have checksums: those of an older Floe get them at the next start.
    pub(in super::super) has_checksums: bool,
    pub(in super::super) rows: u64,
    pub(in super::super) wrong_rows: Vec<WrongRow>,
    /// What SQLite finds wrong with the file.
    pub(in super::super) faults: Vec<String>,
    /// Why the rows do not read as what they are, if so.
    pub(in super::super) unreadable: Option<String>,
    pub(in super::super) organizations: HashSet<OrganizationId>,
    /// Deleted ones too.
    pub(in super::super) customers: HashSet<(OrganizationId, CustomerId)>,
    pub(in super::super) meters: HashSet<(OrganizationId, MeterId)>,
}

/// A private copy of a catalog that is removed with it.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        // Nothing depends on it; the system clears its folder of temporary files some day.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Opens a catalog that nobody else has open, and never writes into its folder. SQLite makes files
/// beside a catalog whose last changes are still in its log, so such a one is copied first.
fn open(path: &Path) -> Result<(Connection, Option<Copy>)> {
    let io = |error: io::Error| StoreError::Open(format!("{}: {error}", path.display()));
    let log = path.with_extension("db-wal");
    let in_log = match fs::metadata(&log) {
        Ok(metadata) => metadata.len() > 0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(io(error)),
    };
    let (path, copy) = if in_log {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let folder = std::env::temp_dir().join(format!("floe-verify-{}", Uuid::new_v4()));
        builder.create(&folder).map_err(io)?;
        let copy = Copy(folder);
        let to = copy.0.join("catalog.db");
        fs::copy(path, &to).map_err(io)?;
        fs::copy(&log, to.with_extension("db-wal")).map_err(io)?;
        (to, Some(copy))
    } else {
        (path.to_owned(), None)
    };
    let connection = if copy.is_some() {
        Connection::open(&path)
    } else {
        // Nobody changes it meanwhile, so no lock is needed, and no file beside it is made.
        let absolute = path.canonicalize().map_err(io)?;
        let escaped: String = absolute
            .to_string_lossy()
            .chars()
            .map(|c| match c {
                '%' | '?' | '#' => format!("%{:02x}", u32::from(c)),
                other => other.to_string(),
            })
            .collect();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
    };
    Ok((connection.map_err(failed)?, copy))
}

impl CatalogFacts {
    /// Examines a catalog that no other process has open.
    ///
    /// # Errors
    ///
    /// If it is of a newer Floe, has lost the folder's id or key, or is no catalog at all.
    pub(in super::super) fn read(path: &Path) -> Result<Self> {
        let (connection, _copy) = open(path)?;
        let version = schema_version(&connection).map_err(failed)?;
        match version {
            1..=SCHEMA_VERSION => {}
            0 => return Err(StoreError::Open("catalog.db is empty".to_owned())),
            newer => return Err(newer_schema(newer)),
        }
        let faults: Vec<String> = connection
            .prepare(&format!("PRAGMA integrity_check({FAULTS_MAX})"))
            .and_then(|mut check| check.query_map([], |row| row.get(0))?.collect())
            .map_err(failed)?;
        let (folder_id, id_key) = folder_secrets(&connection)?;
        let number = |key: FolderKey| -> Result<u64> {
            let value = read_folder_value(&connection, key).map_err(failed)?;
            let bytes = value.unwrap_or_else(|| vec![0; 8]);
            bytes.try_into().map(u64::from_le_bytes).map_err(|_| {
                StoreError::Open(format!("catalog.db: {} has not 8 bytes", key.as_str()))
            })
        };
        let has_manifest = read_folder_value(&connection, FolderKey::HasManifest);
        let mut facts = Self {
            folder_id,
            id_key,
            journal_files: number(FolderKey::JournalFiles)?,
            has_manifest: has_manifest.map_err(failed)?.is_some(),
            has_checksums: version >= 2,
            rows: 0,
            wrong_rows: Vec::new(),
            faults: faults.into_iter().filter(|fault| fault != "ok").collect(),
            unreadable: None,
            organizations: HashSet::new(),
            customers: HashSet::new(),
            meters: HashSet::new(),
        };
        if facts.has_checksums {
            let checksums = RowChecksums::new(&folder_id, &id_key);
            for table in Table::ALL {
                let (wrong, rows) = checksums.wrong_rows(&connection, table).map_err(failed)?;
                facts.wrong_rows.extend(wrong);
                facts.rows += rows;
            }
        }
        match Mirror::load(&connection) {
            Ok(mirror) => facts.take(&mirror),
            Err(error) => facts.unreadable = Some(error.to_string()),
        }
        Ok(facts)
    }

    fn take(&mut self, mirror: &Mirror) {
        self.organizations.extend(mirror.organizations.iter().map(|of| of.id));
        for (id, of) in &mirror.by_organization {
            self.customers.extend(of.customer_numbers.keys().map(|customer| (*id, *customer)));
            self.meters.extend(of.meter_numbers.keys().map(|meter| (*id, *meter)));
        }
    }
}
