//! `floe stats`.

use std::path::{Path, PathBuf};

use floe_client::Storage;
use floe_store::embedded::fs::RealFs;
use floe_store::embedded::storage_stats;

use crate::connection::RootConnection;
use crate::output::{bytes_text, print, print_json, print_table};

/// Show what a data folder holds and takes on disk: of a running server, with the root token, or
/// of a folder, whether a server has it open or not.
#[derive(Debug, clap::Args)]
pub(crate) struct Stats {
    /// The data folder to look at, instead of asking a server
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: RootConnection,
}

impl Stats {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self { data, json, connection } = self;
        let storage = match data {
            Some(data) => of_folder(&data)?,
            None => connection.run(async |client| Ok(client.system().storage().await?))?,
        };
        if json { print_json(&storage) } else { show(&storage) }
    }
}

fn of_folder(data: &Path) -> anyhow::Result<Storage> {
    let stats = storage_stats(data, &RealFs)?;
    // The same fields by the same names.
    Ok(serde_json::from_value(serde_json::to_value(stats)?)?)
}

fn show(storage: &Storage) -> anyhow::Result<()> {
    let Storage { sealed_events, segment_bytes, external_ids, .. } = storage;
    let per_event = |bytes: u64| {
        // In hundredths.
        let each = (u128::from(bytes) * 100).checked_div(u128::from(*sealed_events));
        each.map_or("-".to_owned(), |each| format!("{}.{:02}", each / 100, each % 100))
    };
    let row = |what: &str, count: u64, bytes: u64| {
        [what.to_owned(), count.to_string(), bytes_text(bytes), per_event(bytes)]
    };
    let events = match storage.events {
        Some(events) => format!("{events} events, {sealed_events} of them in segments"),
        None => format!("{sealed_events} events in segments"),
    };
    // Those with events in segments: of the others a folder alone does not tell.
    print(&format!("{events} of {} organizations\n", storage.organizations))?;
    let mut rows = vec![row("segments", storage.segments, *segment_bytes)];
    for column in &storage.columns {
        let [_, _, bytes, each] = row("", 0, column.bytes);
        rows.push([format!("  {}", column.name), String::new(), bytes, each]);
    }
    rows.push(row("journal", storage.journal_files, storage.journal_bytes));
    rows.push(row("catalog", 1, storage.catalog_bytes));
    let cache = storage.cache.iter();
    rows.extend(cache.map(|of| row(&format!("cache: {}", of.kind), of.files, of.bytes)));
    print_table(["WHAT", "FILES", "BYTES", "BYTES/SEALED EVENT"], rows)?;
    print(&format!(
        "\n{external_ids} external ids in {} files, {} of memory while they are served",
        storage.external_id_files,
        bytes_text(storage.external_id_memory_bytes)
    ))?;
    let Some(blocks) = &storage.blocks else { return Ok(()) };
    print(&format!(
        "cache of blocks: {} of memory, {} blocks read from it, {} from the disk",
        bytes_text(blocks.memory_bytes),
        blocks.hits,
        blocks.misses
    ))
}
