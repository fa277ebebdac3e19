//! Everything, one after the other.

use std::path::PathBuf;

use crate::crosscheck::Crosscheck;
use crate::fill::{Load, disk_bars};
use crate::first_query::FirstQuery;
use crate::folder;
use crate::ingest::Ingest;
use crate::mixed::Mixed;
use crate::peers::Python;
use crate::queries::Queries;
use crate::report::Bar;
use crate::scale::Scale;
use crate::start::Start;
use crate::variants::Variants;

/// All benchmarks and the cross-check. Data folders that are there already are used again.
#[derive(Debug, clap::Args)]
pub(crate) struct All {
    /// Where the data folders are, on the disk in question
    #[arg(long, default_value = "target/bench-data")]
    folder: PathBuf,
    /// Events of the data set
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// Events of a larger one, for what must not grow with the history [default: none]
    #[arg(long)]
    large_events: Option<u64>,
    /// Events of each of the other kinds of data; 0 leaves them out
    #[arg(long, default_value_t = 1_000_000)]
    variant_events: u64,
    /// Random meters of the cross-check
    #[arg(long, default_value_t = 200)]
    meters: u64,
    #[command(flatten)]
    python: Python,
}

impl All {
    pub(crate) fn run(&self) -> anyhow::Result<Vec<Bar>> {
        // Before hours of work, not after them.
        self.python.check()?;
        std::fs::create_dir_all(&self.folder)?;
        let mut bars = Vec::new();
        let data = self.filled(self.events, &mut bars)?;
        let large = self.large_events.map(|events| self.filled(events, &mut bars)).transpose()?;
        let python = || self.python.clone();
        let crosscheck = Crosscheck {
            data: data.clone(),
            meters: self.meters,
            seed: 1,
            parquet: None,
            python: python(),
        };
        crosscheck.run()?;
        let queries = Queries {
            data: data.clone(),
            peers: true,
            duckdb_table: true,
            parquet: None,
            rounds: 7,
            milliseconds: 500,
            python: python(),
        };
        bars.extend(queries.run()?);
        let first = FirstQuery { data: data.clone(), parquet: None, rounds: 5, python: python() };
        bars.extend(first.run()?);
        if let Some(large) = &large {
            let (data, large) = (data.clone(), large.clone());
            let scale = Scale { data, large: large.clone(), rounds: 7, milliseconds: 500 };
            bars.extend(scale.run()?);
            bars.extend(Queries { data: large, peers: false, ..queries }.run()?);
        }
        let filled = large.as_ref().unwrap_or(&data).clone();
        let start = Start { data: filled.clone(), rounds: 5, tail_events: 950_000 };
        bars.extend(start.run()?);
        bars.extend(Mixed { data, seconds: 30, per_second: 150 }.run()?);
        let folder = Some(self.folder.clone());
        let ingest = Ingest { rounds: 5, seconds: 4, folder, data: Some(filled), batch: None };
        bars.extend(ingest.run()?);
        if self.variant_events > 0 {
            let folder = tempfile::tempdir_in(&self.folder)?;
            let variants = Variants {
                folder: folder.path().to_owned(),
                events: self.variant_events,
                rounds: 3,
                milliseconds: 300,
                only: None,
                python: python(),
            };
            variants.run()?;
        }
        Ok(bars)
    }

    /// A data folder of so many events; filled if it is not there.
    fn filled(&self, events: u64, bars: &mut Vec<Bar>) -> anyhow::Result<PathBuf> {
        let data = self.folder.join(format!("usual-{events}"));
        if !folder::exists(&data) {
            Load::run_apart(&data, events)?;
        }
        bars.extend(disk_bars(events, folder::sizes(&data)?));
        Ok(data)
    }
}
