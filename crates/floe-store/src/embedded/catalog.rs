//! The catalog: organizations, tokens, meters, customers and labels.
//!
//! SQLite holds it durably; all of it is mirrored in memory, so that no read waits for the disk.
//! A change is checked against the mirror, committed to SQLite, and only then shown. There is one
//! writer at a time. Every row has a checksum, written with it.

mod checksums;
mod examine;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use floe_api::metadata::{metadata_from_json_text, metadata_to_json_text};
use floe_api::meter::{
    aggregation_from_json_text, aggregation_to_json_text, filter_from_json_text,
    filter_to_json_text,
};
use floe_core::{
    AccessTokenId, Address, Customer, CustomerDirectory, CustomerId, CustomerKind, CustomerRef,
    Meter, MeterId, MeterUnit, Organization, OrganizationId, Scope, Timestamp,
};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::types::{FromSql, FromSqlError, ToSql};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, named_params, params};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

pub(super) use self::checksums::WrongRow;
use self::checksums::{RowChecksums, Table};
pub(super) use self::examine::CatalogFacts;

use crate::port::{
    AccessToken, CustomerPatch, CustomerRefusal, EventLabel, MeterPatch, NewCustomer, NewMeter,
    Organizations, Result, StoreError, TokenHash, TokenPatch,
};

/// Version of the schema below, in SQLite's `user_version`.
const SCHEMA_VERSION: i64 = 2;

const SCHEMA: &str = "
CREATE TABLE folder (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    checksum INTEGER
) STRICT;
CREATE TABLE organizations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    modified_at INTEGER,
    name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    checksum INTEGER
) STRICT;
CREATE TABLE access_tokens (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    hash BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    modified_at INTEGER,
    comment TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    checksum INTEGER
) STRICT;
CREATE TABLE meters (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    created_at INTEGER NOT NULL,
    modified_at INTEGER,
    archived_at INTEGER,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    custom_label TEXT,
    custom_multiplier INTEGER,
    filter TEXT NOT NULL,
    aggregation TEXT NOT NULL,
    metadata TEXT NOT NULL,
    checksum INTEGER
) STRICT;
CREATE TABLE customers (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    created_at INTEGER NOT NULL,
    modified_at INTEGER,
    deleted_at INTEGER,
    kind TEXT NOT NULL,
    email TEXT,
    external_id TEXT,
    name TEXT,
    country TEXT,
    line1 TEXT,
    line2 TEXT,
    postal_code TEXT,
    city TEXT,
    state TEXT,
    locale TEXT,
    metadata TEXT NOT NULL,
    checksum INTEGER
) STRICT;
CREATE UNIQUE INDEX customers_external_id ON customers (organization_id, external_id)
    WHERE deleted_at IS NULL AND external_id IS NOT NULL;
CREATE TABLE event_labels (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    label_property_selector TEXT,
    modified_at INTEGER NOT NULL,
    checksum INTEGER,
    PRIMARY KEY (organization_id, name)
) STRICT;
";

/// The folder's own values.
#[derive(Debug, Clone, Copy)]
pub(super) enum FolderKey {
    /// 16 random bytes that name the folder; the journal holds them too.
    FolderId,
    /// The key of the permutation behind event ids (see `floe_core::IdCipher`).
    IdKey,
    /// SHA-256 of the root token.
    RootTokenHash,
    /// Number of the highest journal file that was put to use, little-endian u64.
    JournalFiles,
    /// There if the folder has a manifest.
    HasManifest,
}

/// Rows with a wrong checksum that a start logs one by one.
const LOGGED_ROWS_MAX: usize = 20;

impl FolderKey {
    fn as_str(self) -> &'static str {
        match self {
            Self::FolderId => "folder_id",
            Self::IdKey => "id_key",
            Self::RootTokenHash => "root_token_hash",
            Self::JournalFiles => "journal_files",
            Self::HasManifest => "has_manifest",
        }
    }
}

/// The catalog of a data folder.
pub(super) struct EmbeddedCatalog {
    connection: Mutex<Connection>,
    folder_id: [u8; 16],
    id_key: [u8; 16],
    checksums: RowChecksums,
    mirror: RwLock<Mirror>,
    clock: fn() -> Timestamp,
}

impl std::fmt::Debug for EmbeddedCatalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedCatalog").finish_non_exhaustive()
    }
}

/// Everything in the catalog.
#[derive(Default)]
struct Mirror {
    /// In order of creation; none is ever deleted.
    organizations: Vec<Arc<Organization>>,
    /// Where each stands in `organizations`.
    places: HashMap<OrganizationId, usize>,
    by_organization: HashMap<OrganizationId, OrganizationMirror>,
    tokens: HashMap<TokenHash, Token>,
    root_token_hash: Option<TokenHash>,
}

struct Token {
    token: Arc<AccessToken>,
    /// Microseconds; 0 for never. Written to SQLite now and then.
    last_used_at: AtomicI64,
}

impl Token {
    fn new(token: AccessToken) -> Self {
        let last_used_at = token.last_used_at.map_or(0, Timestamp::micros);
        Self { token: Arc::new(token), last_used_at: AtomicI64::new(last_used_at) }
    }

    /// The token with its time of last use.
    fn current(&self) -> Arc<AccessToken> {
        let micros = self.last_used_at.load(Ordering::Relaxed);
        let last_used_at = (micros != 0).then(|| Timestamp::from_micros(micros)).flatten();
        Arc::new(AccessToken { last_used_at, ..(*self.token).clone() })
    }
}

/// One organization's part of the catalog.
#[derive(Default)]
pub(super) struct OrganizationMirror {
    /// By number, so in order of creation; deleted ones too.
    customers: BTreeMap<u64, Arc<Customer>>,
    customer_numbers: HashMap<CustomerId, u64>,
    by_external_id: HashMap<String, CustomerId>,
    by_email: HashMap<String, CustomerId>,
    meters: BTreeMap<u64, Arc<Meter>>,
    meter_numbers: HashMap<MeterId, u64>,
    labels: HashMap<String, Arc<EventLabel>>,
}

impl OrganizationMirror {
    fn customer(&self, id: CustomerId) -> Option<&Arc<Customer>> {
        self.customers.get(self.customer_numbers.get(&id)?)
    }

    fn live_customer(&self, id: CustomerId) -> Option<&Arc<Customer>> {
        self.customer(id).filter(|customer| customer.deleted_at.is_none())
    }

    fn meter(&self, id: MeterId) -> Option<&Arc<Meter>> {
        self.meters.get(self.meter_numbers.get(&id)?)
    }

    fn put_customer(&mut self, customer: Arc<Customer>) {
        if let Some(old) = self.customer(customer.id).cloned() {
            if let Some(email) = &old.email {
                self.by_email.remove(&email.to_lowercase());
            }
            if let Some(external_id) = &old.external_id {
                self.by_external_id.remove(external_id);
            }
        }
        if customer.deleted_at.is_none() {
            if let Some(email) = &customer.email {
                self.by_email.insert(email.to_lowercase(), customer.id);
            }
            if let Some(external_id) = &customer.external_id {
                self.by_external_id.insert(external_id.clone(), customer.id);
            }
        }
        self.customer_numbers.insert(customer.id, customer.number);
        self.customers.insert(customer.number, customer);
    }

    fn put_meter(&mut self, meter: Arc<Meter>) {
        self.meter_numbers.insert(meter.id, meter.number);
        self.meters.insert(meter.number, meter);
    }
}

/// The live customers of an organization; each question takes the mirror's lock anew, so a long
/// scan does not hold it.
pub(super) struct Directory<'c> {
    catalog: &'c EmbeddedCatalog,
    organization: OrganizationId,
}

impl CustomerDirectory for Directory<'_> {
    fn customer_with_external_id(&self, external_id: &str) -> Option<CustomerId> {
        self.catalog
            .within(self.organization, |mirror| mirror.by_external_id.get(external_id).copied())?
    }

    fn external_id_of(&self, id: CustomerId) -> Option<Option<String>> {
        self.catalog.within(self.organization, |mirror| {
            mirror.live_customer(id).map(|customer| customer.external_id.clone())
        })?
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Catalog(error.into())
}

impl EmbeddedCatalog {
    /// Opens the catalog at a path, or makes it.
    ///
    /// # Errors
    ///
    /// SQLite's, and a schema of a newer Floe, by name.
    pub(super) fn open(path: &Path, clock: fn() -> Timestamp) -> Result<Self> {
        let connection = Connection::open(path).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        let version = schema_version(&connection).map_err(failed)?;
        match version {
            0 | 1 => make_schema(&connection, version)?,
            SCHEMA_VERSION => {}
            newer => return Err(newer_schema(newer)),
        }
        let (folder_id, id_key) = folder_secrets(&connection)?;
        let checksums = RowChecksums::new(&folder_id, &id_key);
        let unreadable = |error| StoreError::Open(format!("catalog.db cannot be read: {error}"));
        let mirror = Mirror::load(&connection).map_err(unreadable)?;
        for table in Table::ALL {
            let (wrong, _) = checksums.wrong_rows(&connection, table).map_err(unreadable)?;
            for row in wrong.iter().take(LOGGED_ROWS_MAX) {
                tracing::error!(%row, "catalog.db was changed by somebody else than Floe");
            }
            if wrong.len() > LOGGED_ROWS_MAX {
                tracing::error!(
                    table = table.name(),
                    rows = wrong.len(),
                    "rows of catalog.db were changed by somebody else than Floe"
                );
            }
        }
        let (connection, mirror) = (Mutex::new(connection), RwLock::new(mirror));
        Ok(Self { connection, folder_id, id_key, checksums, mirror, clock })
    }

    /// What names the folder.
    pub(super) fn folder_id(&self) -> [u8; 16] {
        self.folder_id
    }

    /// The key of the permutation behind event ids.
    pub(super) fn id_key(&self) -> [u8; 16] {
        self.id_key
    }

    /// Copies the catalog, as of now, into a new file. The copy knows no journal.
    pub(super) fn copy_to(&self, path: &Path) -> Result<()> {
        let mut copy = Connection::open(path).map_err(failed)?;
        // A reader of its own: in WAL mode, nobody who writes meanwhile waits for it.
        let source = {
            let writer = self.writer();
            Connection::open(writer.path().unwrap_or_default()).map_err(failed)?
        };
        let all_pages = -1;
        Backup::new(&source, &mut copy)
            .and_then(|backup| match backup.step(all_pages)? {
                StepResult::Done => Ok(()),
                _ => Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                    Some("the catalog is locked".to_owned()),
                )),
            })
            .map_err(failed)?;
        let value = 0_u64.to_le_bytes();
        write_folder_value(&copy, &self.checksums, FolderKey::JournalFiles, &value)
            .map_err(failed)?;
        // One file, as nobody has it open: the log is worked into it.
        copy.pragma_update(None, "journal_mode", "DELETE").map_err(failed)?;
        copy.close().map_err(|(_, error)| failed(error))
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The writer. A panic while it was held left a transaction to be rolled back, and no change
    /// in the mirror.
    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mirror(&self) -> RwLockReadGuard<'_, Mirror> {
        self.mirror.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn mirror_mut(&self) -> RwLockWriteGuard<'_, Mirror> {
        self.mirror.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn within<T>(
        &self,
        organization: OrganizationId,
        ask: impl FnOnce(&OrganizationMirror) -> T,
    ) -> Option<T> {
        self.mirror().by_organization.get(&organization).map(ask)
    }

    /// What `ask` finds in the first organization in which it finds something.
    fn find<T>(
        &self,
        organizations: &Organizations,
        mut ask: impl FnMut(&OrganizationMirror) -> Option<T>,
    ) -> Option<T> {
        let mirror = self.mirror();
        match organizations {
            Organizations::All => mirror.by_organization.values().find_map(ask),
            Organizations::These(ids) => {
                ids.iter().filter_map(|id| mirror.by_organization.get(id)).find_map(&mut ask)
            }
        }
    }

    /// What `ask` lists in each of the organizations, together.
    fn collect<T>(
        &self,
        organizations: &Organizations,
        mut ask: impl FnMut(&OrganizationMirror) -> Vec<T>,
    ) -> Vec<T> {
        let mirror = self.mirror();
        match organizations {
            Organizations::All => mirror.by_organization.values().flat_map(ask).collect(),
            Organizations::These(ids) => ids
                .iter()
                .filter_map(|id| mirror.by_organization.get(id))
                .flat_map(&mut ask)
                .collect(),
        }
    }

    /// The live customers of an organization, as selection needs them.
    pub(super) fn directory(&self, organization: OrganizationId) -> Directory<'_> {
        Directory { catalog: self, organization }
    }

    /// One of the folder's own values.
    pub(super) fn folder_value(&self, key: FolderKey) -> Result<Option<Vec<u8>>> {
        read_folder_value(&self.writer(), key).map_err(failed)
    }

    /// Sets one of the folder's own values.
    pub(super) fn set_folder_value(&self, key: FolderKey, value: &[u8]) -> Result<()> {
        write_folder_value(&self.writer(), &self.checksums, key, value).map_err(failed)?;
        if let FolderKey::RootTokenHash = key {
            self.mirror_mut().root_token_hash = value.try_into().ok();
        }
        Ok(())
    }

    pub(super) fn is_root_token(&self, hash: &TokenHash) -> bool {
        // Hashes of random tokens: comparing them in variable time tells nothing of the token.
        self.mirror().root_token_hash.as_ref() == Some(hash)
    }

    // Organizations

    pub(super) fn create_organization(
        &self,
        name: String,
        slug: String,
    ) -> Result<Option<Arc<Organization>>> {
        let writer = self.writer();
        if self.mirror().organizations.iter().any(|organization| organization.slug == slug) {
            return Ok(None);
        }
        let organization = Arc::new(Organization {
            id: OrganizationId::random(),
            created_at: self.now(),
            modified_at: None,
            name,
            slug,
        });
        self.checksums
            .write(
                &writer,
                Table::Organizations,
                "INSERT INTO organizations (id, created_at, name, slug) VALUES (?, ?, ?, ?)",
                params![
                    organization.id.to_string(),
                    organization.created_at.micros(),
                    organization.name,
                    organization.slug
                ],
            )
            .map_err(failed)?;
        self.mirror_mut().add_organization(Arc::clone(&organization));
        Ok(Some(organization))
    }

    pub(super) fn update_organization(
        &self,
        id: OrganizationId,
        name: Option<String>,
    ) -> Result<Option<Arc<Organization>>> {
        let writer = self.writer();
        let Some(old) = self.organization(id) else { return Ok(None) };
        let Some(name) = name else { return Ok(Some(old)) };
        let new = Arc::new(Organization { name, modified_at: Some(self.now()), ..(*old).clone() });
        self.checksums
            .write(
                &writer,
                Table::Organizations,
                "UPDATE organizations SET name = ?, modified_at = ? WHERE id = ?",
                params![new.name, new.modified_at.map(Timestamp::micros), id.to_string()],
            )
            .map_err(failed)?;
        let mut mirror = self.mirror_mut();
        let place = mirror.places.get(&id).copied();
        if let Some(slot) = place.and_then(|place| mirror.organizations.get_mut(place)) {
            *slot = Arc::clone(&new);
        }
        Ok(Some(new))
    }

    pub(super) fn organization(&self, id: OrganizationId) -> Option<Arc<Organization>> {
        self.mirror().organization(id).cloned()
    }

    pub(super) fn organizations(&self, of: &Organizations) -> Vec<Arc<Organization>> {
        let mirror = self.mirror();
        match of {
            Organizations::All => mirror.organizations.clone(),
            Organizations::These(ids) => {
                let mut places: Vec<usize> =
                    ids.iter().filter_map(|id| mirror.places.get(id).copied()).collect();
                places.sort_unstable();
                places.dedup();
                places
                    .iter()
                    .filter_map(|&place| mirror.organizations.get(place))
                    .cloned()
                    .collect()
            }
        }
    }

    // Access tokens

    pub(super) fn create_token(
        &self,
        token: AccessToken,
        hash: TokenHash,
    ) -> Result<Arc<AccessToken>> {
        self.checksums
            .write(
                &self.writer(),
                Table::AccessTokens,
                "INSERT INTO access_tokens
                 (id, organization_id, hash, created_at, comment, scopes, expires_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
                params![
                    token.id.to_string(),
                    token.organization_id.to_string(),
                    hash,
                    token.created_at.micros(),
                    token.comment,
                    scopes_text(&token.scopes),
                    token.expires_at.map(Timestamp::micros),
                ],
            )
            .map_err(failed)?;
        let token = Token::new(token);
        let shown = token.current();
        self.mirror_mut().tokens.insert(hash, token);
        Ok(shown)
    }

    pub(super) fn authenticate(&self, hash: &TokenHash) -> Option<Arc<AccessToken>> {
        let now = self.now();
        let mirror = self.mirror();
        let found = mirror.tokens.get(hash)?;
        if found.token.expires_at.is_some_and(|end| end <= now) {
            return None;
        }
        found.last_used_at.store(now.micros(), Ordering::Relaxed);
        Some(Arc::clone(&found.token))
    }

    pub(super) fn tokens(&self, of: &Organizations) -> Vec<Arc<AccessToken>> {
        let mirror = self.mirror();
        let seen = mirror.tokens.values().filter(|token| of.contains(token.token.organization_id));
        seen.map(Token::current).collect()
    }

    pub(super) fn update_token(
        &self,
        organization: OrganizationId,
        id: AccessTokenId,
        patch: TokenPatch,
    ) -> Result<Option<Arc<AccessToken>>> {
        let writer = self.writer();
        let Some(hash) = self.token_hash(organization, id) else { return Ok(None) };
        let Some(mut token) = self.mirror().tokens.get(&hash).map(|t| (*t.current()).clone())
        else {
            return Ok(None);
        };
        let TokenPatch { comment, scopes } = patch;
        if comment.is_none() && scopes.is_none() {
            return Ok(Some(Arc::new(token)));
        }
        token.comment = comment.unwrap_or(token.comment);
        token.scopes = scopes.unwrap_or(token.scopes);
        token.modified_at = Some(self.now());
        self.checksums
            .write(
                &writer,
                Table::AccessTokens,
                "UPDATE access_tokens SET comment = ?, scopes = ?, modified_at = ? WHERE id = ?",
                params![
                    token.comment,
                    scopes_text(&token.scopes),
                    token.modified_at.map(Timestamp::micros),
                    id.to_string()
                ],
            )
            .map_err(failed)?;
        let shown = Arc::new(token.clone());
        self.mirror_mut().tokens.insert(hash, Token::new(token));
        Ok(Some(shown))
    }

    pub(super) fn delete_token(
        &self,
        organization: OrganizationId,
        id: AccessTokenId,
    ) -> Result<bool> {
        let writer = self.writer();
        let Some(hash) = self.token_hash(organization, id) else { return Ok(false) };
        writer
            .execute("DELETE FROM access_tokens WHERE id = ?", [id.to_string()])
            .map_err(failed)?;
        self.mirror_mut().tokens.remove(&hash);
        Ok(true)
    }

    fn token_hash(&self, organization: OrganizationId, id: AccessTokenId) -> Option<TokenHash> {
        let mirror = self.mirror();
        let mut tokens = mirror.tokens.iter();
        let of =
            |token: &Token| token.token.id == id && token.token.organization_id == organization;
        tokens.find(|(_, token)| of(token)).map(|(hash, _)| *hash)
    }

    /// Writes when tokens were last used, without waiting for the disk: a power cut may lose the
    /// last of these times, and nothing else. `NORMAL` leaves out the sync of the commit and keeps
    /// those of a checkpoint; without these, a power cut could take other rows with it.
    pub(super) fn save_last_uses(&self) -> Result<()> {
        let uses: Vec<(String, i64)> = self
            .mirror()
            .tokens
            .values()
            .map(|t| (t.token.id.to_string(), t.last_used_at.load(Ordering::Relaxed)))
            .filter(|(_, micros)| *micros != 0)
            .collect();
        let mut writer = self.writer();
        writer.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        let saved = writer.transaction().and_then(|transaction| {
            for (id, micros) in &uses {
                transaction
                    .prepare_cached(
                        "UPDATE access_tokens SET last_used_at = ?1
                         WHERE id = ?2 AND last_used_at IS NOT ?1",
                    )?
                    .execute(params![micros, id])?;
            }
            transaction.commit()
        });
        writer.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        saved.map_err(failed)
    }

    // Meters

    pub(super) fn create_meter(
        &self,
        organization_id: OrganizationId,
        meter: NewMeter,
    ) -> Result<Arc<Meter>> {
        let NewMeter { name, unit, custom_label, custom_multiplier, filter, aggregation, metadata } =
            meter;
        let writer = self.writer();
        let mut meter = Meter {
            id: MeterId::random(),
            organization_id,
            number: 0,
            created_at: self.now(),
            modified_at: None,
            archived_at: None,
            name,
            unit,
            custom_label,
            custom_multiplier,
            filter,
            aggregation,
            metadata,
        };
        meter.number = write_meter(&writer, &self.checksums, &meter).map_err(failed)?;
        let meter = Arc::new(meter);
        self.show(organization_id, |mirror| mirror.put_meter(Arc::clone(&meter)));
        Ok(meter)
    }

    pub(super) fn update_meter(
        &self,
        organization: OrganizationId,
        id: MeterId,
        patch: MeterPatch,
    ) -> Result<Option<Arc<Meter>>> {
        let writer = self.writer();
        let Some(old) = self.meter(&Organizations::one(organization), id) else { return Ok(None) };
        let now = self.now();
        let MeterPatch {
            name,
            unit,
            custom_label,
            custom_multiplier,
            filter,
            aggregation,
            metadata,
            is_archived,
        } = patch;
        let old = (*old).clone();
        let new = Meter {
            modified_at: Some(now),
            archived_at: match is_archived {
                None => old.archived_at,
                Some(true) => Some(now),
                Some(false) => None,
            },
            name: name.unwrap_or(old.name),
            unit: unit.unwrap_or(old.unit),
            custom_label: custom_label.unwrap_or(old.custom_label),
            custom_multiplier: custom_multiplier.unwrap_or(old.custom_multiplier),
            filter: filter.unwrap_or(old.filter),
            aggregation: aggregation.unwrap_or(old.aggregation),
            metadata: metadata.unwrap_or(old.metadata),
            ..old
        };
        write_meter(&writer, &self.checksums, &new).map_err(failed)?;
        let new = Arc::new(new);
        self.show(organization, |mirror| mirror.put_meter(Arc::clone(&new)));
        Ok(Some(new))
    }

    pub(super) fn meter(&self, of: &Organizations, id: MeterId) -> Option<Arc<Meter>> {
        self.find(of, |mirror| mirror.meter(id).cloned())
    }

    pub(super) fn meters(&self, of: &Organizations) -> Vec<Arc<Meter>> {
        self.collect(of, |mirror| mirror.meters.values().cloned().collect())
    }

    // Customers

    pub(super) fn create_customer(
        &self,
        organization_id: OrganizationId,
        customer: NewCustomer,
    ) -> Result<std::result::Result<Arc<Customer>, Vec<CustomerRefusal>>> {
        let writer = self.writer();
        let NewCustomer { kind, email, external_id, name, billing_address, locale, metadata } =
            customer;
        let refusals = self
            .within(organization_id, |mirror| {
                let taken_email = email
                    .as_ref()
                    .filter(|email| mirror.by_email.contains_key(&email.to_lowercase()));
                let taken_external_id =
                    external_id.as_ref().filter(|id| mirror.by_external_id.contains_key(*id));
                taken_email
                    .map(|_| CustomerRefusal::EmailTaken)
                    .into_iter()
                    .chain(taken_external_id.map(|_| CustomerRefusal::ExternalIdTaken))
                    .collect::<Vec<_>>()
            })
            .unwrap_or_default();
        if !refusals.is_empty() {
            return Ok(Err(refusals));
        }
        let mut customer = Customer {
            id: CustomerId::random(),
            organization_id,
            number: 0,
            created_at: self.now(),
            modified_at: None,
            deleted_at: None,
            kind,
            email,
            external_id,
            name,
            billing_address,
            locale,
            metadata,
        };
        customer.number = write_customer(&writer, &self.checksums, &customer).map_err(failed)?;
        let customer = Arc::new(customer);
        self.show(organization_id, |mirror| mirror.put_customer(Arc::clone(&customer)));
        Ok(Ok(customer))
    }

    pub(super) fn update_customer(
        &self,
        organization: OrganizationId,
        id: CustomerId,
        patch: CustomerPatch,
    ) -> Result<Option<std::result::Result<Arc<Customer>, Vec<CustomerRefusal>>>> {
        let writer = self.writer();
        let Some(old) = self.customer(&Organizations::one(organization), id) else {
            return Ok(None);
        };
        let refusals = self
            .within(organization, |mirror| refusals_of(mirror, &old, &patch))
            .unwrap_or_default();
        if !refusals.is_empty() || patch.check_only {
            return Ok(Some(Err(refusals)));
        }
        let CustomerPatch {
            email,
            name,
            external_id,
            kind,
            billing_address,
            locale,
            metadata,
            check_only: _,
        } = patch;
        let old = (*old).clone();
        let new = Customer {
            modified_at: Some(self.now()),
            kind: kind.unwrap_or(old.kind),
            email: email.or(old.email),
            external_id: external_id.unwrap_or(old.external_id),
            name: name.unwrap_or(old.name),
            billing_address: billing_address.or(old.billing_address),
            locale: locale.unwrap_or(old.locale),
            metadata: metadata.unwrap_or(old.metadata),
            ..old
        };
        write_customer(&writer, &self.checksums, &new).map_err(failed)?;
        let new = Arc::new(new);
        self.show(organization, |mirror| mirror.put_customer(Arc::clone(&new)));
        Ok(Some(Ok(new)))
    }

    pub(super) fn delete_customer(
        &self,
        organization: OrganizationId,
        id: CustomerId,
        anonymize: bool,
    ) -> Result<bool> {
        let writer = self.writer();
        let Some(old) = self.customer(&Organizations::one(organization), id) else {
            return Ok(false);
        };
        let now = Some(self.now());
        let mut new = Customer { deleted_at: now, modified_at: now, ..(*old).clone() };
        if anonymize {
            // The id keeps equal addresses of two customers apart.
            let hash = |text: String| {
                let digest = Sha256::digest(format!("{id}{text}"));
                digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            };
            new.email = new.email.map(|email| format!("{}@anonymized.invalid", hash(email)));
            new.name = new.name.map(hash);
            new.billing_address = None;
        }
        write_customer(&writer, &self.checksums, &new).map_err(failed)?;
        self.show(organization, |mirror| mirror.put_customer(Arc::new(new)));
        Ok(true)
    }

    /// A live customer.
    pub(super) fn customer(&self, of: &Organizations, id: CustomerId) -> Option<Arc<Customer>> {
        self.find(of, |mirror| mirror.live_customer(id).cloned())
    }

    pub(super) fn customer_by_external_id(
        &self,
        organization: OrganizationId,
        external_id: &str,
    ) -> Option<Arc<Customer>> {
        self.within(organization, |mirror| {
            mirror.live_customer(*mirror.by_external_id.get(external_id)?).cloned()
        })?
    }

    pub(super) fn customer_of_event(
        &self,
        organization: OrganizationId,
        customer: &CustomerRef<'_>,
    ) -> Option<Arc<Customer>> {
        match customer {
            CustomerRef::Id(id) => {
                self.within(organization, |mirror| mirror.customer(*id).cloned())?
            }
            CustomerRef::External(text) => self.customer_by_external_id(organization, text),
        }
    }

    /// The live customers.
    pub(super) fn customers(&self, of: &Organizations) -> Vec<Arc<Customer>> {
        self.collect(of, |mirror| {
            let live = mirror.customers.values().filter(|customer| customer.deleted_at.is_none());
            live.cloned().collect()
        })
    }

    /// The live customer and the meter with these numbers, if one organization has both.
    pub(super) fn customer_and_meter(
        &self,
        of: &Organizations,
        customer: u64,
        meter: u64,
    ) -> Option<(Arc<Customer>, Arc<Meter>)> {
        self.find(of, |mirror| {
            let customer = mirror.customers.get(&customer)?;
            let meter = mirror.meters.get(&meter)?;
            customer.deleted_at.is_none().then(|| (Arc::clone(customer), Arc::clone(meter)))
        })
    }

    // Labels

    pub(super) fn event_label(
        &self,
        organization: OrganizationId,
        name: &str,
    ) -> Option<Arc<EventLabel>> {
        self.within(organization, |mirror| mirror.labels.get(name).cloned())?
    }

    pub(super) fn set_event_label(
        &self,
        organization: OrganizationId,
        name: String,
        label: String,
        label_property_selector: Option<String>,
    ) -> Result<Arc<EventLabel>> {
        let writer = self.writer();
        let label = EventLabel { label, label_property_selector, modified_at: self.now() };
        self.checksums
            .write(
                &writer,
                Table::EventLabels,
                "INSERT INTO event_labels
                 (organization_id, name, label, label_property_selector, modified_at)
                 VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (organization_id, name) DO UPDATE SET
                 label = excluded.label,
                 label_property_selector = excluded.label_property_selector,
                 modified_at = excluded.modified_at",
                params![
                    organization.to_string(),
                    name,
                    label.label,
                    label.label_property_selector,
                    label.modified_at.micros()
                ],
            )
            .map_err(failed)?;
        let label = Arc::new(label);
        self.show(organization, |mirror| mirror.labels.insert(name, Arc::clone(&label)));
        Ok(label)
    }

    /// Shows in memory what SQLite holds by now.
    fn show<T>(
        &self,
        organization: OrganizationId,
        change: impl FnOnce(&mut OrganizationMirror) -> T,
    ) {
        change(self.mirror_mut().by_organization.entry(organization).or_default());
    }
}

/// Why a change of a customer is refused (contract section 5.4).
fn refusals_of(
    mirror: &OrganizationMirror,
    old: &Customer,
    patch: &CustomerPatch,
) -> Vec<CustomerRefusal> {
    let other = |found: Option<&CustomerId>| found.is_some_and(|id| *id != old.id);
    let mut refusals = Vec::new();
    if let Some(email) = &patch.email
        && other(mirror.by_email.get(&email.to_lowercase()))
    {
        refusals.push(CustomerRefusal::EmailTaken);
    }
    match (&old.external_id, &patch.external_id) {
        (Some(old), Some(new)) if Some(old) != new.as_ref() => {
            refusals.push(CustomerRefusal::ExternalIdSet);
        }
        (None, Some(Some(new))) if other(mirror.by_external_id.get(new)) => {
            refusals.push(CustomerRefusal::ExternalIdTaken);
        }
        _ => {}
    }
    if old.kind == CustomerKind::Team && patch.kind == Some(CustomerKind::Individual) {
        refusals.push(CustomerRefusal::TeamStaysTeam);
    }
    refusals
}

/// The version of the schema of a catalog; 0 if it has none.
pub(super) fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Why a catalog of a newer Floe is not read.
pub(super) fn newer_schema(version: i64) -> StoreError {
    StoreError::Open(format!(
        "catalog.db has schema {version}; this Floe reads up to {SCHEMA_VERSION}"
    ))
}

/// Makes the tables, or brings those of version 1 to this one: it had no checksums.
fn make_schema(connection: &Connection, version: i64) -> Result<()> {
    let random = || {
        let mut fresh = [0_u8; 16];
        getrandom::fill(&mut fresh)
            .map(|()| fresh)
            .map_err(|error| StoreError::Open(format!("the system gives no random bytes: {error}")))
    };
    // Made once, before the first journal file; the journal's headers hold the folder id and a
    // check value of the key, so that a loss of either is noticed.
    let secrets = [(FolderKey::FolderId, random()?), (FolderKey::IdKey, random()?)];
    let make = || {
        let transaction =
            Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate)?;
        if version == 0 {
            transaction.execute_batch(SCHEMA)?;
        } else {
            for table in Table::ALL {
                let add = format!("ALTER TABLE {} ADD COLUMN checksum INTEGER", table.name());
                transaction.execute_batch(&add)?;
            }
        }
        for (key, value) in secrets {
            let insert = "INSERT INTO folder (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING";
            transaction.execute(insert, params![key.as_str(), value])?;
        }
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        Ok::<_, rusqlite::Error>(transaction)
    };
    let transaction = make().map_err(failed)?;
    let (folder_id, id_key) = folder_secrets(&transaction)?;
    let checksums = RowChecksums::new(&folder_id, &id_key);
    checksums.put_all(&transaction).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// One of the folder's own values.
pub(super) fn read_folder_value(
    connection: &Connection,
    key: FolderKey,
) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .query_row("SELECT value FROM folder WHERE key = ?", [key.as_str()], |row| row.get(0))
        .optional()
}

/// The folder's id, and the key behind event ids.
pub(super) fn folder_secrets(connection: &Connection) -> Result<([u8; 16], [u8; 16])> {
    let value = |key: FolderKey| {
        let value = read_folder_value(connection, key).map_err(failed)?.ok_or_else(|| {
            let name = key.as_str();
            StoreError::Open(format!("catalog.db has lost its {name}; restore it from a backup"))
        })?;
        value
            .try_into()
            .map_err(|_| StoreError::Open(format!("catalog.db: {key:?} has not 16 bytes")))
    };
    Ok((value(FolderKey::FolderId)?, value(FolderKey::IdKey)?))
}

fn write_folder_value(
    connection: &Connection,
    checksums: &RowChecksums,
    key: FolderKey,
    value: &[u8],
) -> rusqlite::Result<()> {
    let statement = "INSERT INTO folder (key, value) VALUES (?, ?)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    checksums.write(connection, Table::Folder, statement, params![key.as_str(), value])?;
    Ok(())
}

fn scopes_text(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

/// Inserts or replaces a meter; returns its number. A number of 0 asks for a new one.
fn write_meter(
    connection: &Connection,
    checksums: &RowChecksums,
    meter: &Meter,
) -> rusqlite::Result<u64> {
    let number = checksums.write(
        connection,
        Table::Meters,
        "INSERT INTO meters (number, id, organization_id, created_at, modified_at,
             archived_at, name, unit, custom_label, custom_multiplier, filter, aggregation,
             metadata)
             VALUES (NULLIF(:number, 0), :id, :organization_id, :created_at, :modified_at,
             :archived_at, :name, :unit, :custom_label, :custom_multiplier, :filter,
             :aggregation, :metadata)
             ON CONFLICT (number) DO UPDATE SET modified_at = excluded.modified_at,
             archived_at = excluded.archived_at, name = excluded.name, unit = excluded.unit,
             custom_label = excluded.custom_label,
             custom_multiplier = excluded.custom_multiplier, filter = excluded.filter,
             aggregation = excluded.aggregation, metadata = excluded.metadata",
        named_params! {
            ":number": Number(meter.number),
            ":id": meter.id.to_string(),
            ":organization_id": meter.organization_id.to_string(),
            ":created_at": meter.created_at.micros(),
            ":modified_at": meter.modified_at.map(Timestamp::micros),
            ":archived_at": meter.archived_at.map(Timestamp::micros),
            ":name": meter.name,
            ":unit": meter.unit.as_str(),
            ":custom_label": meter.custom_label,
            ":custom_multiplier": meter.custom_multiplier,
            ":filter": filter_to_json_text(&meter.filter),
            ":aggregation": aggregation_to_json_text(&meter.aggregation),
            ":metadata": metadata_to_json_text(&meter.metadata),
        },
    )?;
    // An insert that does not fail inserts a row.
    number.and_then(|number| number.try_into().ok()).ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// Inserts or replaces a customer; returns its number. A number of 0 asks for a new one.
fn write_customer(
    connection: &Connection,
    checksums: &RowChecksums,
    customer: &Customer,
) -> rusqlite::Result<u64> {
    let address = customer.billing_address.as_ref();
    let number = checksums.write(
        connection,
        Table::Customers,
        "INSERT INTO customers (number, id, organization_id, created_at, modified_at,
             deleted_at, kind, email, external_id, name, country, line1, line2, postal_code, city,
             state, locale, metadata)
             VALUES (NULLIF(:number, 0), :id, :organization_id, :created_at, :modified_at,
             :deleted_at, :kind, :email, :external_id, :name, :country, :line1, :line2,
             :postal_code, :city, :state, :locale, :metadata)
             ON CONFLICT (number) DO UPDATE SET modified_at = excluded.modified_at,
             deleted_at = excluded.deleted_at, kind = excluded.kind, email = excluded.email,
             external_id = excluded.external_id, name = excluded.name,
             country = excluded.country, line1 = excluded.line1, line2 = excluded.line2,
             postal_code = excluded.postal_code, city = excluded.city, state = excluded.state,
             locale = excluded.locale, metadata = excluded.metadata",
        named_params! {
            ":number": Number(customer.number),
            ":id": customer.id.to_string(),
            ":organization_id": customer.organization_id.to_string(),
            ":created_at": customer.created_at.micros(),
            ":modified_at": customer.modified_at.map(Timestamp::micros),
            ":deleted_at": customer.deleted_at.map(Timestamp::micros),
            ":kind": customer.kind.as_str(),
            ":email": customer.email,
            ":external_id": customer.external_id,
            ":name": customer.name,
            ":country": address.map(|address| &address.country),
            ":line1": address.and_then(|address| address.line1.as_ref()),
            ":line2": address.and_then(|address| address.line2.as_ref()),
            ":postal_code": address.and_then(|address| address.postal_code.as_ref()),
            ":city": address.and_then(|address| address.city.as_ref()),
            ":state": address.and_then(|address| address.state.as_ref()),
            ":locale": customer.locale,
            ":metadata": metadata_to_json_text(&customer.metadata),
        },
    )?;
    // An insert that does not fail inserts a row.
    number.and_then(|number| number.try_into().ok()).ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// A row number: SQLite's are signed, and start at 1.
struct Number(u64);

impl ToSql for Number {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        i64::try_from(self.0)
            .map(Into::into)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
}

impl FromSql for Number {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        let number = value.as_i64()?;
        u64::try_from(number).map(Self).map_err(|_| FromSqlError::OutOfRange(number))
    }
}

/// Reads a column through a conversion that may fail.
fn column<S: FromSql, T>(
    row: &Row<'_>,
    name: &str,
    convert: impl FnOnce(S) -> Option<T>,
) -> rusqlite::Result<T> {
    let stored: S = row.get(name)?;
    convert(stored).ok_or_else(|| {
        let message = format!("column {name} holds a value that Floe did not write");
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, message.into())
    })
}

fn uuid(row: &Row<'_>, name: &str) -> rusqlite::Result<Uuid> {
    column(row, name, |text: String| text.parse().ok())
}

fn instant(row: &Row<'_>, name: &str) -> rusqlite::Result<Timestamp> {
    column(row, name, Timestamp::from_micros)
}

fn optional_instant(row: &Row<'_>, name: &str) -> rusqlite::Result<Option<Timestamp>> {
    column(row, name, |micros: Option<i64>| {
        micros.map_or(Some(None), |micros| Timestamp::from_micros(micros).map(Some))
    })
}

fn named<T: Copy>(row: &Row<'_>, name: &str, all: &[(&str, T)]) -> rusqlite::Result<T> {
    column(row, name, |text: String| {
        all.iter().find(|(known, _)| *known == text).map(|(_, value)| *value)
    })
}

impl Mirror {
    fn add_organization(&mut self, organization: Arc<Organization>) {
        self.by_organization.insert(organization.id, OrganizationMirror::default());
        self.places.insert(organization.id, self.organizations.len());
        self.organizations.push(organization);
    }

    fn organization(&self, id: OrganizationId) -> Option<&Arc<Organization>> {
        self.organizations.get(*self.places.get(&id)?)
    }

    fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut mirror = Self::default();
        let each = |query: &str, put: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<()>| {
            let mut statement = connection.prepare(query)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                put(row)?;
            }
            Ok::<(), rusqlite::Error>(())
        };
        each("SELECT value FROM folder WHERE key = 'root_token_hash'", &mut |row| {
            mirror.root_token_hash = row.get(0)?;
            Ok(())
        })?;
        each("SELECT * FROM organizations ORDER BY number", &mut |row| {
            let organization = read_organization(row)?;
            mirror.add_organization(Arc::new(organization));
            Ok(())
        })?;
        each("SELECT * FROM access_tokens", &mut |row| {
            mirror.tokens.insert(row.get("hash")?, Token::new(read_token(row)?));
            Ok(())
        })?;
        each("SELECT * FROM meters ORDER BY number", &mut |row| {
            let meter = read_meter(row)?;
            let of = mirror.by_organization.entry(meter.organization_id).or_default();
            of.put_meter(Arc::new(meter));
            Ok(())
        })?;
        each("SELECT * FROM customers ORDER BY number", &mut |row| {
            let customer = read_customer(row)?;
            let of = mirror.by_organization.entry(customer.organization_id).or_default();
            of.put_customer(Arc::new(customer));
            Ok(())
        })?;
        each("SELECT * FROM event_labels", &mut |row| {
            let organization = OrganizationId(uuid(row, "organization_id")?);
            let label = EventLabel {
                label: row.get("label")?,
                label_property_selector: row.get("label_property_selector")?,
                modified_at: instant(row, "modified_at")?,
            };
            let of = mirror.by_organization.entry(organization).or_default();
            of.labels.insert(row.get("name")?, Arc::new(label));
            Ok(())
        })?;
        Ok(mirror)
    }
}

fn read_organization(row: &Row<'_>) -> rusqlite::Result<Organization> {
    Ok(Organization {
        id: OrganizationId(uuid(row, "id")?),
        created_at: instant(row, "created_at")?,
        modified_at: optional_instant(row, "modified_at")?,
        name: row.get("name")?,
        slug: row.get("slug")?,
    })
}

fn read_token(row: &Row<'_>) -> rusqlite::Result<AccessToken> {
    Ok(AccessToken {
        id: AccessTokenId(uuid(row, "id")?),
        organization_id: OrganizationId(uuid(row, "organization_id")?),
        created_at: instant(row, "created_at")?,
        modified_at: optional_instant(row, "modified_at")?,
        comment: row.get("comment")?,
        scopes: column(row, "scopes", |text: String| {
            text.split_whitespace().map(Scope::from_name).collect()
        })?,
        expires_at: optional_instant(row, "expires_at")?,
        last_used_at: optional_instant(row, "last_used_at")?,
    })
}

fn read_meter(row: &Row<'_>) -> rusqlite::Result<Meter> {
    Ok(Meter {
        id: MeterId(uuid(row, "id")?),
        organization_id: OrganizationId(uuid(row, "organization_id")?),
        number: row.get::<_, Number>("number")?.0,
        created_at: instant(row, "created_at")?,
        modified_at: optional_instant(row, "modified_at")?,
        archived_at: optional_instant(row, "archived_at")?,
        name: row.get("name")?,
        unit: named(row, "unit", &MeterUnit::ALL)?,
        custom_label: row.get("custom_label")?,
        custom_multiplier: row.get("custom_multiplier")?,
        filter: column(row, "filter", |text: String| filter_from_json_text(&text).ok())?,
        aggregation: column(row, "aggregation", |text: String| {
            aggregation_from_json_text(&text).ok()
        })?,
        metadata: column(row, "metadata", |text: String| metadata_from_json_text(&text).ok())?,
    })
}

fn read_customer(row: &Row<'_>) -> rusqlite::Result<Customer> {
    let country: Option<String> = row.get("country")?;
    let address = |country| {
        Ok::<Address, rusqlite::Error>(Address {
            line1: row.get("line1")?,
            line2: row.get("line2")?,
            postal_code: row.get("postal_code")?,
            city: row.get("city")?,
            state: row.get("state")?,
            country,
        })
    };
    Ok(Customer {
        id: CustomerId(uuid(row, "id")?),
        organization_id: OrganizationId(uuid(row, "organization_id")?),
        number: row.get::<_, Number>("number")?.0,
        created_at: instant(row, "created_at")?,
        modified_at: optional_instant(row, "modified_at")?,
        deleted_at: optional_instant(row, "deleted_at")?,
        kind: named(row, "kind", &CustomerKind::ALL)?,
        email: row.get("email")?,
        external_id: row.get("external_id")?,
        name: row.get("name")?,
        billing_address: country.map(address).transpose()?,
        locale: row.get("locale")?,
        metadata: column(row, "metadata", |text: String| metadata_from_json_text(&text).ok())?,
    })
}
