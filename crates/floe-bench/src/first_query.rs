//! The first query of a meter on sealed events: what Floe derives for answers is absent, the
//! files are in the page cache.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;

use crate::data::customer_with;
use crate::folder;
use crate::peers::Python;
use crate::process::{cpu_seconds, wait_until_idle};
use crate::queries::Floe;
use crate::questions::{self, DUCKDB};
use crate::report::{Bar, figure, head, median, row};

/// The first query of a new meter on sealed events, Floe's caches empty, beside DuckDB.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FirstQuery {
    /// A data folder that `load` made; what is derived in it is deleted
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Parquet files for DuckDB, in place of the folder's segments
    #[arg(long)]
    pub(crate) parquet: Option<String>,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    #[command(flatten)]
    pub(crate) python: Python,
}

/// CPU milliseconds of one question in each round.
#[derive(Default)]
struct Costs {
    /// Until Floe answered.
    answer: Vec<f64>,
    /// Until it had nothing more to do.
    idle: Vec<f64>,
    duckdb: Vec<f64>,
}

impl FirstQuery {
    pub(crate) fn run(&self) -> anyhow::Result<Vec<Bar>> {
        let files = match &self.parquet {
            Some(files) => files.clone(),
            None => folder::segments(&self.data)?,
        };
        let mut duckdb = self.python.duckdb(&files)?;
        let me = std::process::id();
        let events = Floe::open(&self.data)?;
        let count = events.folder.events;
        events.close();
        // Without Q2 and Q5, which ask the meter of Q1 again, and Q6, which asks none.
        let asked = questions::all(&customer_with(1000, count)).into_iter();
        let asked: Vec<_> = asked.filter(|question| question.is_first_of_meter()).collect();
        let mut costs: Vec<Costs> = asked.iter().map(|_| Costs::default()).collect();
        for round in 0..=self.rounds {
            folder::forget_answers(&self.data)?;
            let floe = Floe::open(&self.data)?;
            for (question, costs) in asked.iter().zip(&mut costs) {
                wait_until_idle(me)?;
                let before = cpu_seconds(me)?;
                let (cost, answer) = floe.ask(question, Duration::ZERO)?;
                wait_until_idle(me)?;
                let idle = (cpu_seconds(me)? - before) * 1000.0;
                let (other, rows) = duckdb.query(&question.sql(&DUCKDB), Duration::ZERO)?;
                let same = answer == question.answer_of(&rows)?;
                ensure!(same, "{}: DuckDB answers otherwise", question.name);
                // The first round fills the page cache.
                if round > 0 {
                    costs.answer.push(cost.cpu_ms);
                    costs.idle.push(idle);
                    costs.duckdb.push(other.cpu_ms);
                }
            }
            floe.close();
        }
        head(
            &format!("The first query of a meter, {count} events: CPU ms"),
            &["", "asked", "Floe", "Floe, until idle", "DuckDB, Parquet", "Floe to DuckDB"],
        );
        let mut bars = Vec::new();
        for (question, Costs { answer, idle, duckdb }) in asked.iter().zip(costs) {
            // Of sums, since a few steps of 10 ms are no good divisor.
            let ratio = idle.iter().sum::<f64>() / duckdb.iter().sum::<f64>();
            let shown = [answer, idle, duckdb].map(|costs| figure(median(costs)));
            let names = [question.name.to_owned(), question.what.clone()];
            row(&names.into_iter().chain(shown).chain([figure(ratio)]).collect::<Vec<_>>());
            let what = format!("{}, first query at {count} events, CPU to DuckDB's", question.name);
            bars.push(Bar::at_most(what, 3.0, ratio));
        }
        Ok(bars)
    }
}
