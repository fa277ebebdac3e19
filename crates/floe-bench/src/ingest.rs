//! Ingestion over HTTP.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use floe_server::{ConfigFile, Server};

use crate::bare;
use crate::load::{self, Kind, Samples};

/// Ingestion over HTTP, beside the same server without a committer, and a bare group commit.
///
/// (a) `parse only` is the same binary, middleware and parser, answering before the committer.
/// (b) `bare commit` is append and fdatasync of the same number of bytes under the same
/// concurrency. `answer only` is GET /healthz.
#[derive(Debug, clap::Args)]
pub(crate) struct Ingest {
    /// Rounds; each contender runs once a round, and medians are shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each run
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Where to put the data folders, on the disk in question [default: the system's for
    /// temporary files]
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// A server for the benchmarks.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The data folder
    #[arg(long)]
    data: PathBuf,
    /// Answer ingestion once it is parsed, and store nothing
    #[arg(long)]
    parse_only: bool,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let settings = ConfigFile {
            data: Some(self.data),
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            ..ConfigFile::default()
        };
        let mut config = settings.into_config()?;
        config.parse_only = self.parse_only;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let server = Server::start(&config).await?;
            let made = server.made.clone().context("the folder is not new")?;
            let root_token = made.root_token.context("the folder has a root token")?;
            let token = made.token.context("the folder has an organization")?;
            println!("{} {token} {root_token}", server.address()?);
            server.run(std::future::pending()).await;
            Ok(())
        })
    }
}

/// A [`Serve`] in a process of its own.
struct Running {
    child: Child,
    address: SocketAddr,
    token: String,
    root_token: String,
}

impl Running {
    fn start(folder: &Path, name: &str, parse_only: bool) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--data").arg(folder.join(name)).stdout(Stdio::piped());
        if parse_only {
            command.arg("--parse-only");
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the server has no standard output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let [address, token, root_token] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            anyhow::bail!("the server did not start");
        };
        Ok(Self {
            child,
            address: address.parse()?,
            token: token.to_owned(),
            root_token: root_token.to_owned(),
        })
    }

    /// What the server's own metrics say of its commits.
    fn commits(&self) -> anyhow::Result<Commits> {
        let metrics = load::get(self.address, &self.root_token, "/metrics")?;
        let figure = |name: &str| -> anyhow::Result<f64> {
            let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            Ok(value.map_or(Ok(0.0), str::parse)?)
        };
        Ok(Commits {
            bytes: figure("floe_journal_bytes")?,
            count: figure("floe_commit_seconds_count")?,
            seconds: figure("floe_commit_seconds_sum")?,
        })
    }

    /// Seconds of CPU time so far, in user and system mode, at 100 ticks a second.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let ticks = stat.ok().and_then(|stat| {
            // User and system time are the 14th and 15th fields; the name is the second.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
            let mut ticks = || fields.next()?.parse::<u32>().ok();
            Some(ticks()? + ticks()?)
        });
        f64::from(ticks.unwrap_or(0)) / 100.0
    }
}

/// Sums over all commits so far.
#[derive(Clone, Copy)]
struct Commits {
    /// Bytes of records in the journal.
    bytes: f64,
    count: f64,
    seconds: f64,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One kind of load.
struct Case {
    name: &'static str,
    connections: usize,
    events: usize,
}

const CASES: [Case; 2] = [
    Case { name: "single events, 64 connections", connections: 64, events: 1 },
    Case { name: "batches of 100, 16 connections", connections: 16, events: 100 },
];

/// What one contender did in one round.
struct Round {
    samples: Samples,
    cpu_seconds: f64,
}

impl Ingest {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let folder = match &self.folder {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        let duration = Duration::from_secs(self.seconds);
        for case in CASES {
            let floe = Running::start(folder.path(), &format!("floe-{}", case.events), false)?;
            let parser = Running::start(folder.path(), &format!("parse-{}", case.events), true)?;
            let mut rounds: [Vec<Round>; 4] = Default::default();
            let mut commit_ms = Vec::new();
            for round in 0..self.rounds as u64 {
                let run = |server: &Running, kind: Kind| -> anyhow::Result<Round> {
                    let before = server.cpu_seconds();
                    let samples = load::run(
                        server.address,
                        &server.token,
                        &kind,
                        case.connections,
                        duration,
                        round + 1,
                    )?;
                    Ok(Round { samples, cpu_seconds: server.cpu_seconds() - before })
                };
                let [answers, parsed, stored, bare] = &mut rounds;
                answers.push(run(&floe, Kind::Get("/healthz"))?);
                parsed.push(run(&parser, Kind::Ingest(case.events))?);
                let before = floe.commits()?;
                stored.push(run(&floe, Kind::Ingest(case.events))?);
                let after = floe.commits()?;
                commit_ms
                    .push((after.seconds - before.seconds) * 1000.0 / (after.count - before.count));
                let written = after.bytes - before.bytes;
                let requests = stored.last().map_or(1, |round| round.samples.latencies.len());
                #[expect(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "bytes of one request"
                )]
                let bytes = (written / requests as f64) as usize;
                let samples = bare::run(folder.path(), case.connections, bytes, duration)?;
                bare.push(Round { samples, cpu_seconds: 0.0 });
            }
            report(&case, &rounds);
            println!("One commit of Floe took {:.2} ms on average.", median(commit_ms));
        }
        Ok(())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "rates")]
fn report(case: &Case, rounds: &[Vec<Round>; 4]) {
    let names = ["answer only", "(a) parse only", "Floe, durable", "(b) bare commit"];
    println!("\n### {}, medians of {} rounds\n", case.name, rounds[0].len());
    println!("| | requests/s | events/s | p50 ms | p99 ms | server CPU µs/request |");
    println!("|---|---|---|---|---|---|");
    for (name, rounds) in names.iter().zip(rounds) {
        let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
        let rate = of(&|round| round.samples.per_second());
        let cpu = of(&|round| round.cpu_seconds * 1e6 / round.samples.latencies.len() as f64);
        println!(
            "| {name} | {rate:.0} | {:.0} | {:.2} | {:.2} | {cpu:.1} |",
            rate * case.events as f64,
            of(&|round| round.samples.percentile_ms(500)),
            of(&|round| round.samples.percentile_ms(990)),
        );
    }
    let ratio = |over: usize, figure: &dyn Fn(&Round) -> f64| {
        let pairs = rounds[2].iter().zip(&rounds[over]);
        median(pairs.map(|(floe, other)| figure(floe) / figure(other)).collect())
    };
    println!(
        "\nRatios, round by round, median: requests/s to answer only {:.2}, to (a) {:.2}, to (b) \
         {:.2}; p99 to (b) {:.2}.",
        ratio(0, &|round| round.samples.per_second()),
        ratio(1, &|round| round.samples.per_second()),
        ratio(3, &|round| round.samples.per_second()),
        ratio(3, &|round| round.samples.percentile_ms(990)),
    );
}
