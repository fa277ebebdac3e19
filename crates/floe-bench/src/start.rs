//! How long a server takes from the start of its process to its first answer.

use std::path::PathBuf;
use std::time::Duration;

use crate::folder;
use crate::load::{self, Kind, Load};
use crate::report::{Bar, figure, head, median, row};
use crate::server::{Handling, Running};

/// From exec to the first answer of /healthz, on a copy of a filled folder: after a clean stop, and
/// after `kill -9` with many events not sealed yet.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Start {
    /// A data folder that `load` made
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Events that are ingested before `kill -9`: as many as may wait to be sealed
    #[arg(long, default_value_t = 950_000)]
    pub(crate) tail_events: u64,
}

const CONNECTIONS: usize = 8;
const BATCH: usize = 1000;

impl Start {
    pub(crate) fn run(&self) -> anyhow::Result<Vec<Bar>> {
        let copy = folder::copy(&self.data)?;
        let data = copy.path();
        // The first start may have more to do, and fills the page cache.
        Running::start(data, Handling::Store)?.stop()?;
        let (mut clean, mut killed) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let (server, took) = Running::start_timed(data)?;
            clean.push(took.as_secs_f64());
            server.stop()?;
        }
        let server = Running::start(data, Handling::Store)?;
        let fill = Load {
            connections: CONNECTIONS,
            duration: Duration::from_secs(600),
            per_second: None,
            requests_max: Some(self.tail_events / (CONNECTIONS * BATCH) as u64),
            run: 1,
        };
        load::run(server.address, &Kind::Ingest(BATCH), fill)?;
        // Dropping kills.
        drop(server);
        for _ in 0..self.rounds {
            let (server, took) = Running::start_timed(data)?;
            killed.push(took.as_secs_f64());
            drop(server);
        }
        let (clean, killed) = (median(clean), median(killed));
        head("From the start of the process to its first answer", &["", "s"]);
        row(&["after a clean stop".to_owned(), figure(clean)]);
        let what = format!("after kill -9, {} events not sealed", self.tail_events);
        row(&[what, figure(killed)]);
        Ok(vec![
            Bar::at_most("start after a clean stop, s", 1.0, clean),
            Bar::at_most("start after kill -9 with a full tail, s", 5.0, killed),
        ])
    }
}
