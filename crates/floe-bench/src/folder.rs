//! Data folders of the benchmarks: made, copied, weighed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use floe_core::{AccessTokenId, OrganizationId, Scope};
use floe_store::embedded::{EmbeddedOptions, EmbeddedStore, system_time, token_hash};
use floe_store::port::{AccessToken, Catalog as _, Organizations};

use crate::questions::MeterOf;

/// The token of the organization in every folder that is made here.
pub(crate) const TOKEN: &str = "floe_oat_of_the_benchmarks_and_of_nobody_else";
/// The root token that every server of the benchmarks is given.
pub(crate) const ROOT_TOKEN: &str = "floe_root_of_the_benchmarks_and_of_nobody_else";

/// Whether there is a data folder already.
pub(crate) fn exists(data: &Path) -> bool {
    data.join("catalog.db").exists()
}

/// A data folder that is open.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) store: EmbeddedStore,
    pub(crate) organization: OrganizationId,
    /// Events in it when it was opened.
    pub(crate) events: u64,
}

/// Opens a data folder that was made here, with the default settings.
pub(crate) fn open(data: &Path) -> anyhow::Result<Folder> {
    if !exists(data) {
        bail!("{} is no data folder; `load` makes one", data.display());
    }
    let (store, opened) = EmbeddedStore::open(data, EmbeddedOptions::default())?;
    let organization = organization(&store)?;
    Ok(Folder { store, organization, events: opened.events })
}

/// Makes a data folder with an organization, its token, and the meters of the questions.
pub(crate) async fn create(data: &Path) -> anyhow::Result<EmbeddedStore> {
    if exists(data) {
        bail!("{} is a data folder already", data.display());
    }
    let (store, _) = EmbeddedStore::open(data, EmbeddedOptions::default())?;
    let made = store.create_organization("Benchmarks".to_owned(), "bench".to_owned()).await?;
    let organization = made.context("there is such an organization")?.id;
    let token = AccessToken {
        id: AccessTokenId::random(),
        organization_id: organization,
        created_at: system_time(),
        modified_at: None,
        comment: "benchmarks".to_owned(),
        scopes: Scope::ALL.iter().map(|(_, scope)| *scope).collect(),
        expires_at: None,
        last_used_at: None,
    };
    store.create_token(token, token_hash(TOKEN)).await?;
    for meter in MeterOf::ALL {
        store.create_meter(organization, meter.to_new()?).await?;
    }
    Ok(store)
}

/// The one organization of a folder that was made here.
pub(crate) fn organization(store: &EmbeddedStore) -> anyhow::Result<OrganizationId> {
    let ids = store.organization_ids(&Organizations::All);
    ids.first().copied().context("the folder has no organization")
}

/// The Parquet files of a folder, as engines take them.
pub(crate) fn segments(data: &Path) -> anyhow::Result<String> {
    let folder = data.join("segments");
    if !folder.exists() {
        bail!("{} has no segments; --parquet names files in their place", data.display());
    }
    Ok(format!("{}/*/*.parquet", folder.canonicalize()?.display()))
}

/// Deletes what is derived for answers, and keeps what is for deduplication.
pub(crate) fn forget_answers(data: &Path) -> anyhow::Result<()> {
    let cache = data.join("cache");
    if !cache.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name() == "dedup" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A copy of a data folder beside it, which may be written to; removed when dropped. Segments are
/// never changed, so they are the same files.
pub(crate) fn copy(data: &Path) -> anyhow::Result<tempfile::TempDir> {
    let parent = match data.canonicalize()?.parent() {
        Some(parent) => parent.to_owned(),
        None => bail!("{} has no parent", data.display()),
    };
    let copy = tempfile::tempdir_in(parent)?;
    copy_files(data, copy.path(), false)?;
    Ok(copy)
}

fn copy_files(from: &Path, to: &Path, is_immutable: bool) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            let is_immutable = is_immutable || entry.file_name() == "segments";
            copy_files(&entry.path(), &target, is_immutable)?;
        } else if is_immutable {
            fs::hard_link(entry.path(), target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            // What is not written yet would be written while something is measured.
            fs::File::open(target)?.sync_all()?;
        }
    }
    Ok(())
}

/// Bytes of a data folder, by part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) segments: u64,
    /// What deduplication needs, `cache/dedup`.
    pub(crate) dedup: u64,
    /// The rest of `cache`.
    pub(crate) cache: u64,
    /// Allocated, also where nothing is written yet.
    pub(crate) journal: u64,
}

/// Weighs a data folder.
pub(crate) fn sizes(data: &Path) -> anyhow::Result<Sizes> {
    let of = |part: &str| bytes_of(&data.join(part));
    let dedup = of("cache/dedup")?;
    let cache = of("cache")? - dedup;
    Ok(Sizes { segments: of("segments")?, dedup, cache, journal: of("journal")? })
}

fn bytes_of(path: &PathBuf) -> anyhow::Result<u64> {
    if !path.exists() {
        return Ok(0);
    }
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            bytes_of(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}
