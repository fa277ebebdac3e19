//! `floe restore`.

use std::path::PathBuf;

use floe_store::embedded::restore;

use crate::output::{bytes_text, print, print_json};

/// Make a data folder from a backup. Every checksum is checked on the way.
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The data folder to make; it must be new or empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self { backup, data, json } = self;
        let restored = restore(&backup, &data)?;
        if json {
            return print_json(&restored);
        }
        let shown = data.display();
        print(&format!(
            "{shown}: {} events in {} segments, {}",
            restored.events,
            restored.segments,
            bytes_text(restored.bytes)
        ))?;
        eprintln!("Serve it with `floe serve --data {shown}`.");
        Ok(())
    }
}
