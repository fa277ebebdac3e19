//! Ingestion over HTTP.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bare;
use crate::folder;
use crate::load::{self, Kind, Load, Samples};
use crate::process::cpu_seconds;
use crate::report::{Bar, head, median, row};
use crate::server::{Commits, Handling, Running};

/// Ingestion over HTTP, beside servers that do less of it, and a bare group commit.
///
/// `answer only` is a bare handler that takes the body's bytes and answers; `parse to Value` one
/// that reads them into a `serde_json::Value`; (a) `parse only` is Floe's binary, middleware and
/// parser, answering before the committer; (b) `bare commit` is append and fdatasync of as many
/// bytes as Floe journals for a request, under the same concurrency.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Ingest {
    /// Rounds; each contender runs once a round, and medians are shown
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Seconds of each run
    #[arg(long, default_value_t = 4)]
    pub(crate) seconds: u64,
    /// Where to put new data folders, on the disk in question [default: the system's for
    /// temporary files]
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
    /// A filled data folder: a server on a copy of it takes part as well
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Only the load with so many events a request: 1, 100 or 1000
    #[arg(long)]
    pub(crate) batch: Option<usize>,
}

/// One kind of load.
struct Case {
    name: &'static str,
    connections: usize,
    events: usize,
}

const CASES: [Case; 3] = [
    Case { name: "single events, 64 connections", connections: 64, events: 1 },
    Case { name: "batches of 100, 16 connections", connections: 16, events: 100 },
    Case { name: "batches of 1,000, 16 connections", connections: 16, events: 1000 },
];

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contender {
    Health,
    Answer,
    ParseValue,
    ParseOnly,
    Floe,
    FloeFilled,
    BareCommit,
}

impl Contender {
    const ALL: [Self; 7] = [
        Self::Health,
        Self::Answer,
        Self::ParseValue,
        Self::ParseOnly,
        Self::Floe,
        Self::FloeFilled,
        Self::BareCommit,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Health => "GET /healthz",
            Self::Answer => "answer only",
            Self::ParseValue => "parse to Value",
            Self::ParseOnly => "(a) parse only",
            Self::Floe => "Floe, durable",
            Self::FloeFilled => "Floe, durable, filled folder",
            Self::BareCommit => "(b) bare commit",
        }
    }
}

/// What one contender did in one round.
struct Round {
    samples: Samples,
    cpu_seconds: f64,
}

/// The rounds of each contender.
type Rounds = Vec<(Contender, Vec<Round>)>;

/// A case that is done.
struct Done {
    rounds: Rounds,
    /// Bytes that Floe journals for a request.
    journaled: usize,
    /// What one of its commits took.
    commit_ms: f64,
}

/// The servers of a case.
struct Servers {
    answer: Running,
    parse_value: Running,
    parse_only: Running,
    floe: Running,
}

impl Servers {
    fn start(folder: &Path, case: &Case) -> anyhow::Result<Self> {
        let start = |name: &str, handling| {
            Running::start(&folder.join(format!("{name}-{}", case.events)), handling)
        };
        Ok(Self {
            answer: start("answer", Handling::Answer)?,
            parse_value: start("parse-value", Handling::ParseValue)?,
            parse_only: start("parse-only", Handling::ParseOnly)?,
            floe: start("floe", Handling::Store)?,
        })
    }
}

impl Ingest {
    pub(crate) fn run(&self) -> anyhow::Result<Vec<Bar>> {
        let folder = match &self.folder {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        let copy = self.data.as_deref().map(folder::copy).transpose()?;
        let filled = copy.as_ref().map(|copy| Running::start(copy.path(), Handling::Store));
        let filled = filled.transpose()?;
        let mut bars = Vec::new();
        let is_wanted = |case: &Case| self.batch.is_none_or(|batch| batch == case.events);
        for (number, case) in CASES.iter().enumerate().filter(|(_, case)| is_wanted(case)) {
            let servers = Servers::start(folder.path(), case)?;
            let done = self.run_case(folder.path(), case, number, &servers, filled.as_ref())?;
            done.report(case);
            bars.extend(bars_of(case, &done.rounds));
        }
        if let Some(filled) = filled {
            filled.stop()?;
        }
        Ok(bars)
    }

    fn run_case(
        &self,
        folder: &Path,
        case: &Case,
        number: usize,
        servers: &Servers,
        filled: Option<&Running>,
    ) -> anyhow::Result<Done> {
        let duration = Duration::from_secs(self.seconds);
        let mut runs = (number as u64) << 12;
        let mut run = |server: &Running, kind: &Kind, seconds| -> anyhow::Result<Round> {
            runs += 1;
            let before = cpu_seconds(server.process())?;
            let load = Load {
                connections: case.connections,
                duration: seconds,
                per_second: None,
                requests_max: None,
                run: runs,
            };
            let samples = load::run(server.address, kind, load)?;
            let cpu_seconds = cpu_seconds(server.process())? - before;
            Ok(Round { samples, cpu_seconds })
        };
        let ingest = Kind::Ingest(case.events);
        // Before the journal is long enough to be cut.
        let before = servers.floe.commits()?;
        let first = run(&servers.floe, &ingest, Duration::from_millis(200))?;
        let after = servers.floe.commits()?;
        let journaled = bytes_per_request(before, after, first.samples.latencies.len());
        let mut commit_ms = Vec::new();
        let mut rounds: Rounds = Contender::ALL
            .into_iter()
            .filter(|of| *of != Contender::FloeFilled || filled.is_some())
            .map(|of| (of, Vec::new()))
            .collect();
        for _ in 0..self.rounds {
            for (contender, rounds) in &mut rounds {
                rounds.push(match contender {
                    Contender::Health => run(&servers.floe, &Kind::Get("/healthz"), duration)?,
                    Contender::Answer => run(&servers.answer, &ingest, duration)?,
                    Contender::ParseValue => run(&servers.parse_value, &ingest, duration)?,
                    Contender::ParseOnly => run(&servers.parse_only, &ingest, duration)?,
                    Contender::Floe => {
                        let before = servers.floe.commits()?;
                        let round = run(&servers.floe, &ingest, duration)?;
                        let after = servers.floe.commits()?;
                        let (seconds, count) =
                            (after.seconds - before.seconds, after.count - before.count);
                        commit_ms.push(seconds * 1000.0 / count);
                        round
                    }
                    Contender::FloeFilled => match filled {
                        Some(server) => run(server, &ingest, duration)?,
                        None => continue,
                    },
                    Contender::BareCommit => {
                        let samples = bare::run(folder, case.connections, journaled, duration)?;
                        Round { samples, cpu_seconds: 0.0 }
                    }
                });
            }
        }
        Ok(Done { rounds, journaled, commit_ms: median(commit_ms) })
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bytes of one request"
)]
fn bytes_per_request(before: Commits, after: Commits, requests: usize) -> usize {
    ((after.bytes - before.bytes) / requests as f64) as usize
}

impl Done {
    #[expect(clippy::cast_precision_loss, reason = "rates")]
    fn report(&self, case: &Case) {
        let count = self.rounds.first().map_or(0, |(_, rounds)| rounds.len());
        head(
            &format!("{}, medians of {count} rounds", case.name),
            &["", "requests/s", "events/s", "p50 ms", "p99 ms", "server CPU µs/request"],
        );
        for (contender, rounds) in &self.rounds {
            let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
            let rate = of(&|round| round.samples.per_second());
            let cpu = of(&|round| round.cpu_seconds * 1e6 / round.samples.latencies.len() as f64);
            row(&[
                contender.name().to_owned(),
                format!("{rate:.0}"),
                format!("{:.0}", rate * case.events as f64),
                format!("{:.2}", of(&|round| round.samples.percentile_ms(500))),
                format!("{:.2}", of(&|round| round.samples.percentile_ms(990))),
                if cpu > 0.0 { format!("{cpu:.1}") } else { String::new() },
            ]);
        }
        println!("\nFloe's requests/s to those of others, round by round, median:");
        for (contender, _) in self.rounds.iter().filter(|(of, _)| *of != Contender::Floe) {
            let ratio = ratio(&self.rounds, Contender::Floe, *contender, Samples::per_second);
            println!("- {:.2} of {}", ratio.unwrap_or(0.0), contender.name());
        }
        println!(
            "\nFloe journals {} bytes a request, in commits of {:.2} ms on average.",
            self.journaled, self.commit_ms
        );
    }
}

/// Of two contenders, round by round, the median; `None` if one did not take part.
fn ratio(
    rounds: &Rounds,
    one: Contender,
    other: Contender,
    figure: impl Fn(&Samples) -> f64,
) -> Option<f64> {
    let of = |wanted| rounds.iter().find(|(of, _)| *of == wanted).map(|(_, rounds)| rounds);
    let pairs = of(one)?.iter().zip(of(other)?);
    Some(median(pairs.map(|(a, b)| figure(&a.samples) / figure(&b.samples)).collect()))
}

fn bars_of(case: &Case, rounds: &Rounds) -> Vec<Bar> {
    let rate = |one, other| ratio(rounds, one, other, Samples::per_second);
    let p99 = |samples: &Samples| samples.percentile_ms(990);
    let at_least = |what: &str, limit, seen: Option<f64>| {
        seen.map(|seen| Bar::at_least(format!("{what}; {}", case.name), limit, seen))
    };
    let bars = match case.events {
        1 => vec![at_least(
            "requests/s to answer only",
            0.5,
            rate(Contender::Floe, Contender::Answer),
        )],
        100 => vec![
            at_least("requests/s to parse only", 0.6, rate(Contender::Floe, Contender::ParseOnly)),
            at_least(
                "parse only to parse to Value",
                1.5,
                rate(Contender::ParseOnly, Contender::ParseValue),
            ),
            at_least(
                "requests/s behind a filled folder to those of a new one",
                0.8,
                rate(Contender::FloeFilled, Contender::Floe),
            ),
            ratio(rounds, Contender::Floe, Contender::BareCommit, p99)
                .map(|seen| Bar::at_most(format!("p99 to bare commit; {}", case.name), 3.0, seen)),
        ],
        _ => Vec::new(),
    };
    bars.into_iter().flatten().collect()
}
