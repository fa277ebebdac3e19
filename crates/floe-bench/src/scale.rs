//! Whether an answer takes longer with a longer history.

use std::path::PathBuf;
use std::time::Duration;

use crate::data::customer_with;
use crate::process::Cost;
use crate::queries::Floe;
use crate::questions;
use crate::report::{Bar, figure, head, median, row};

/// Q1, and Q2 of a customer with about as many events, on a folder and on a larger one with
/// events of the same days.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Scale {
    /// A data folder that `load` made
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// One with more events
    #[arg(long)]
    pub(crate) large: PathBuf,
    /// Rounds; each folder is asked once a round, for a while, and medians are shown
    #[arg(long, default_value_t = 7)]
    pub(crate) rounds: usize,
    /// How long each is asked in a round, in milliseconds
    #[arg(long, default_value_t = 500)]
    pub(crate) milliseconds: u64,
}

/// Events of the customer: nobody has fewer of 100 million.
const CUSTOMER_EVENTS: u64 = 5000;

impl Scale {
    pub(crate) fn run(&self) -> anyhow::Result<Vec<Bar>> {
        let folders = [Floe::open(&self.data)?, Floe::open(&self.large)?];
        let asked = folders.each_ref().map(|floe| {
            let customer = customer_with(CUSTOMER_EVENTS, floe.folder.events);
            questions::all(&customer).into_iter().take(2).collect::<Vec<_>>()
        });
        let counts = folders.each_ref().map(|floe| floe.folder.events);
        head(
            "The same with a longer history: CPU ms (wall ms)",
            &[
                "",
                "asked",
                &format!("{} events", counts[0]),
                &format!("{} events", counts[1]),
                "CPU, ratio",
            ],
        );
        let mut bars = Vec::new();
        for number in 0..2 {
            let mut costs: [Vec<Cost>; 2] = Default::default();
            for round in 0..=self.rounds {
                for ((floe, asked), costs) in folders.iter().zip(&asked).zip(&mut costs) {
                    let at_least = Duration::from_millis(self.milliseconds);
                    let (cost, _) = floe.ask(&asked[number], at_least)?;
                    // The first round warms up.
                    if round > 0 {
                        costs.push(cost);
                    }
                }
            }
            let [small, large] = &costs;
            let pairs = small.iter().zip(large);
            let ratio = median(pairs.map(|(small, large)| large.cpu_ms / small.cpu_ms).collect());
            let of = |costs: &[Cost], figure: fn(&Cost) -> f64| {
                median(costs.iter().map(figure).collect())
            };
            let shown = |costs: &[Cost]| {
                let (cpu, wall) = (of(costs, |cost| cost.cpu_ms), of(costs, |cost| cost.wall_ms));
                format!("{} ({})", figure(cpu), figure(wall))
            };
            let question = &asked[0][number];
            row(&[
                question.name.to_owned(),
                question.what.clone(),
                shown(small),
                shown(large),
                figure(ratio),
            ]);
            let what = format!("{} at {} events, CPU to {}", question.name, counts[1], counts[0]);
            let is_short = of(large, |cost| cost.cpu_ms) <= 1.0;
            bars.push(Bar::at_most(what, 2.0, ratio).or("1 ms", is_short));
        }
        folders.into_iter().for_each(Floe::close);
        Ok(bars)
    }
}
