//! Quantities over HTTP while events come in.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::data::customer_with;
use crate::folder;
use crate::http::Connection;
use crate::load::{self, Kind, Load, Samples};
use crate::queries::{Meters, folder_events};
use crate::questions;
use crate::report::{Bar, figure, head, row};
use crate::server::{Handling, Running};

/// Quantities over HTTP, warm, of one customer and of the whole organization, while ingestion runs
/// at half of its maximum; in turns with /healthz. On a copy of the folder.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Mixed {
    /// A data folder that `load` made
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Seconds of the load
    #[arg(long, default_value_t = 30)]
    pub(crate) seconds: u64,
    /// Questions a second
    #[arg(long, default_value_t = 150)]
    pub(crate) per_second: u32,
}

/// Seconds in which the maximum of ingestion is found.
const MAXIMUM_SECONDS: u64 = 4;
const CONNECTIONS: usize = 16;
const BATCH: usize = 100;

impl Mixed {
    pub(crate) fn run(&self) -> anyhow::Result<Vec<Bar>> {
        let copy = folder::copy(&self.data)?;
        let server = Running::start(copy.path(), Handling::Store)?;
        let address = server.address;
        let mut connection = Connection::new(address)?;
        let meters = Meters::of(&mut connection)?;
        let events = folder_events(&mut connection)?;
        let asked = questions::all(&customer_with(1000, events));
        let path = |index: usize| asked[index].path(|meter| meters.id(meter));
        let asked = [
            ("/healthz", "/healthz".to_owned()),
            ("quantities of the organization (Q1)", path(0)?),
            ("quantities of one customer (Q2)", path(1)?),
        ];
        for (_, path) in &asked {
            connection.get(folder::TOKEN, path)?;
        }
        let load = Load {
            connections: CONNECTIONS,
            duration: Duration::from_secs(MAXIMUM_SECONDS),
            per_second: None,
            requests_max: None,
            run: 1,
        };
        let maximum = load::run(address, &Kind::Ingest(BATCH), load)?.per_second();
        let half = Load {
            duration: Duration::from_secs(self.seconds),
            per_second: Some(maximum / 2.0),
            run: 2,
            ..load
        };
        let ingestion = std::thread::spawn(move || load::run(address, &Kind::Ingest(BATCH), half));
        let mut samples = [(); 3].map(|()| Samples::default());
        let began = Instant::now();
        let mut due = Duration::ZERO;
        // It ends before the load does.
        let end = Duration::from_secs(self.seconds).saturating_sub(Duration::from_secs(1));
        while began.elapsed() < end {
            for ((_, path), samples) in asked.iter().zip(&mut samples) {
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                due += Duration::from_secs(1) / self.per_second;
                let asked = Instant::now();
                connection.get(folder::TOKEN, path)?;
                samples.latencies.push(asked.elapsed());
            }
        }
        let ingested = ingestion.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        server.stop()?;
        samples.iter_mut().for_each(Samples::finish);
        Ok(report(&asked.map(|(name, _)| name), &samples, events, &ingested, maximum))
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates")]
fn report(
    names: &[&str; 3],
    samples: &[Samples; 3],
    events: u64,
    ingested: &Samples,
    maximum: f64,
) -> Vec<Bar> {
    let batch = BATCH as f64;
    head(
        &format!(
            "{events} events, over HTTP, while {:.0} events/s come in (of {:.0} at most)",
            ingested.per_second() * batch,
            maximum * batch
        ),
        &["", "samples", "p50 ms", "p99 ms", "p50 to /healthz", "p99 to /healthz"],
    );
    let mut bars = Vec::new();
    let [health, ..] = samples;
    for (name, samples) in names.iter().zip(samples) {
        let ratio = |permille| samples.percentile_ms(permille) / health.percentile_ms(permille);
        row(&[
            (*name).to_owned(),
            samples.latencies.len().to_string(),
            figure(samples.percentile_ms(500)),
            figure(samples.percentile_ms(990)),
            figure(ratio(500)),
            figure(ratio(990)),
        ]);
        if *name != "/healthz" {
            for (percentile, permille) in [("p50", 500), ("p99", 990)] {
                let what = format!("{name} under ingestion, {percentile} to /healthz");
                bars.push(Bar::at_most(what, 3.0, ratio(permille)));
            }
        }
    }
    bars
}
