//! `floe backup`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use floe_store::embedded::{EmbeddedOptions, EmbeddedStore};
use serde::Serialize;

use crate::connection::RootConnection;
use crate::output::{bytes_text, print, print_json};

/// How long a backup may take: copying a terabyte does not end this.
const BACKUP_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Write a backup, while the server runs. It takes the root token.
///
/// Every event that was acknowledged before is in it. Segments are hard-linked where that can be: a
/// backup on the same file system takes no room, and does not outlive the disk.
#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// The folder to write, on the server's machine; it must be new or empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The data folder, if no server has it open
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: RootConnection,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    path: String,
    events: u64,
    segments: u64,
    linked_segments: u64,
    bytes: u64,
}

impl Backup {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self { folder, data, json, connection } = self;
        let folder = std::path::absolute(&folder).context("there is no current folder")?;
        let made = match data {
            Some(data) => of_folder(&data, &folder)?,
            None => of_server(connection, &folder)?,
        };
        if json {
            return print_json(&made);
        }
        let Made { path, events, segments, linked_segments, bytes } = made;
        print(&format!(
            "{path}: {events} events in {segments} segments ({linked_segments} linked), {}",
            bytes_text(bytes)
        ))?;
        eprintln!(
            "Copy it to another disk. `floe restore {path} --data NEW` makes a data folder of it."
        );
        Ok(())
    }
}

fn of_server(connection: RootConnection, folder: &Path) -> anyhow::Result<Made> {
    let Some(path) = folder.to_str() else {
        bail!("{} cannot be sent to the server: it is not UTF-8", folder.display());
    };
    let made = connection.run(async |client| {
        Ok(client.clone().with_timeout(BACKUP_TIME_MAX).system().backup(path).await?)
    })?;
    let floe_client::Backup { path, events, segments, linked_segments, bytes, .. } = made;
    Ok(Made { path, events, segments, linked_segments, bytes })
}

fn of_folder(data: &Path, folder: &Path) -> anyhow::Result<Made> {
    if !data.join("catalog.db").exists() {
        bail!("{} holds no catalog.db", data.display());
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let (store, _) = EmbeddedStore::open(data, EmbeddedOptions::default())?;
    let made = runtime.block_on(store.backup(folder));
    store.close();
    let made = made?;
    Ok(Made {
        path: folder.display().to_string(),
        events: made.events,
        segments: made.segments,
        linked_segments: made.linked_segments,
        bytes: made.bytes,
    })
}
