//! Data that the engine might have been tuned away from, one row each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use crate::data::{Variant, customer_with};
use crate::fill::{Filled, Load};
use crate::folder::{self, Sizes};
use crate::peers::{Peer, Python};
use crate::process::wait_until_idle;
use crate::queries::Floe;
use crate::questions::{self, DUCKDB};
use crate::report::{figure, head, mebibytes, median, row};

/// Fills a folder with each kind of data, and asks Q1 to Q6 of it, beside DuckDB on the segments.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Variants {
    /// Where to put the data folders
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// Events of each; a tenth where each has 200 keys
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) events: u64,
    /// Rounds of questions
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// How long each is asked in a round, in milliseconds
    #[arg(long, default_value_t = 300)]
    pub(crate) milliseconds: u64,
    /// Print only the row of this
    #[arg(long, value_enum, hide = true)]
    pub(crate) only: Option<Variant>,
    #[command(flatten)]
    pub(crate) python: Python,
}

impl Variants {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        if let Some(variant) = self.only {
            return self.print_row(variant);
        }
        let columns = [
            "",
            "events",
            "filled, events/s",
            "RssAnon at most, MiB",
            "segments, bytes/event",
            "first Q1",
            "Q1",
            "Q2",
            "Q3",
            "Q4",
            "Q5",
            "Q6",
        ];
        head("Other data at the store's API: CPU ms (DuckDB's on the segments)", &columns);
        for (name, _) in Variant::ALL {
            // In a process of its own, whose memory is this folder's alone.
            let status = Command::new(std::env::current_exe()?)
                .args(["variants", "--only", name, "--events", &self.events.to_string()])
                .args(["--rounds", &self.rounds.to_string()])
                .args(["--milliseconds", &self.milliseconds.to_string(), "--folder"])
                .arg(&self.folder)
                .args(self.python.arguments())
                .status()?;
            ensure!(status.success(), "{name} ended with {status}");
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn print_row(&self, variant: Variant) -> anyhow::Result<()> {
        let events = if variant == Variant::Wide { self.events / 10 } else { self.events };
        let name = variant.name();
        let data = self.folder.join(format!("{name}-{events}"));
        let filled = Load::new(&data, events, variant).fill()?;
        let Filled { seconds, anonymous_bytes, sizes, .. } = filled;
        let Sizes { segments, .. } = sizes;
        let mut cells = vec![
            name.to_owned(),
            events.to_string(),
            figure(events as f64 / seconds),
            figure(mebibytes(anonymous_bytes)),
            figure(segments as f64 / events as f64),
        ];
        let duckdb = match folder::segments(&data) {
            Ok(files) => Some(self.python.duckdb(&files)?),
            // Nothing is sealed: then there is nothing that DuckDB could read.
            Err(_) => None,
        };
        cells.extend(self.ask(&data, events, duckdb)?);
        row(&cells);
        Ok(())
    }

    /// The cells of the questions.
    fn ask(
        &self,
        data: &Path,
        events: u64,
        mut duckdb: Option<Peer>,
    ) -> anyhow::Result<Vec<String>> {
        let floe = Floe::open(data)?;
        wait_until_idle(std::process::id())?;
        let at_least = Duration::from_millis(self.milliseconds);
        let mut cells = Vec::new();
        for question in questions::all(&customer_with(1000, events)) {
            let (first, answer) = floe.ask(&question, Duration::ZERO)?;
            if question.name == "Q1" {
                cells.push(figure(first.cpu_ms));
            }
            let (mut own, mut others) = (Vec::new(), Vec::new());
            for _ in 0..self.rounds {
                own.push(floe.ask(&question, at_least)?.0.cpu_ms);
                if let Some(duckdb) = &mut duckdb {
                    let (cost, rows) = duckdb.query(&question.sql(&DUCKDB), at_least)?;
                    let is_same = question.answer_of(&rows)? == answer;
                    ensure!(is_same, "{}: DuckDB answers otherwise", question.name);
                    others.push(cost.cpu_ms);
                }
            }
            let mut cell = figure(median(own));
            if duckdb.is_some() {
                cell.push_str(&format!(" ({})", figure(median(others))));
            }
            cells.push(cell);
        }
        floe.close();
        Ok(cells)
    }
}
