//! `floe root-token`.

use std::path::PathBuf;

use anyhow::Context as _;
use floe_store::embedded::{set_root_token, token_hash};

use crate::output::print;

/// Manage the root token of a data folder.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum RootToken {
    /// Make a new root token, show it once, and forget the old one. The server must be stopped.
    Rotate {
        /// The data folder
        #[arg(long, env = "FLOE_DATA", value_name = "DIR")]
        data: PathBuf,
    },
}

impl RootToken {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self::Rotate { data } = self;
        let token = floe_server::new_root_token()?;
        set_root_token(&data, &token_hash(&token))
            .context("the root token stays as it is; the server must be stopped")?;
        print(&token)?;
        eprintln!("Keep the root token now: it is not shown again. The old one is void.");
        Ok(())
    }
}
