//! Data that the engine might have been tuned away from, one row each.

use std::path::PathBuf;
use std::time::Duration;

use crate::data::{Variant, customer_with};
use crate::fill::{Filled, Load};
use crate::folder::Sizes;
use crate::process::wait_until_idle;
use crate::queries::Floe;
use crate::questions;
use crate::report::{figure, head, mebibytes, median, row};

/// Fills a folder with each kind of data, and asks Q1 to Q6 of it.
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
}

impl Variants {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        for (name, variant) in Variant::ALL {
            let events = if variant == Variant::Wide { self.events / 10 } else { self.events };
            lines.push(self.line(name, variant, events)?);
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
        head("Other data at the store's API: CPU ms", &columns);
        lines.iter().for_each(|line| row(line));
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn line(&self, name: &str, variant: Variant, events: u64) -> anyhow::Result<Vec<String>> {
        let data = self.folder.join(format!("{name}-{events}"));
        let filled = Load::new(&data, events, variant).fill()?;
        let Filled { seconds, anonymous_bytes, sizes, .. } = filled;
        let Sizes { segments, .. } = sizes;
        let mut line = vec![
            name.to_owned(),
            events.to_string(),
            figure(events as f64 / seconds),
            figure(mebibytes(anonymous_bytes)),
            figure(segments as f64 / events as f64),
        ];
        let floe = Floe::open(&data)?;
        wait_until_idle(std::process::id())?;
        let at_least = Duration::from_millis(self.milliseconds);
        for question in questions::all(&customer_with(1000, events)) {
            let (first, _) = floe.ask(&question, Duration::ZERO)?;
            if question.name == "Q1" {
                line.push(figure(first.cpu_ms));
            }
            let mut costs = Vec::new();
            for _ in 0..self.rounds {
                costs.push(floe.ask(&question, at_least)?.0.cpu_ms);
            }
            line.push(figure(median(costs)));
        }
        floe.close();
        Ok(line)
    }
}
