//! Q1 to Q6, warm: over the store's API beside other engines, then over HTTP.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::runtime::Runtime;

use crate::data::customer_with;
use crate::folder::{self, Folder};
use crate::http::Connection;
use crate::peers::{Peer, Python};
use crate::process::{Cost, anonymous_bytes, measure};
use crate::questions::{self, Answer, CLICKHOUSE, DUCKDB, Dialect, MeterOf, Question};
use crate::report::{Bar, figure, head, mebibytes, median, row};
use crate::server::{Handling, Running};

/// Q1 to Q6 on a filled folder, warm: over the store's API, beside other engines on the same
/// segments, then over HTTP.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Queries {
    /// A data folder that `load` made
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Ask DuckDB and ClickHouse as well, and compare answers
    #[arg(long)]
    pub(crate) peers: bool,
    /// Ask DuckDB also with a table of its own in memory
    #[arg(long)]
    pub(crate) duckdb_table: bool,
    /// Parquet files for the other engines, in place of the folder's segments
    #[arg(long)]
    pub(crate) parquet: Option<String>,
    /// Rounds; each contender is asked once a round, for a while, and medians are shown
    #[arg(long, default_value_t = 7)]
    pub(crate) rounds: usize,
    /// How long each is asked in a round, in milliseconds: CPU time is counted in steps of 10
    #[arg(long, default_value_t = 500)]
    pub(crate) milliseconds: u64,
    #[command(flatten)]
    pub(crate) python: Python,
}

/// Floe's CPU time to DuckDB's, at most: Q1 to Q6.
const RATIOS_MAX: [f64; 6] = [1.0 / 20.0, 1.0 / 20.0, 0.2, 0.2, 0.2, 1.0];

/// A folder, and what runs its futures.
#[derive(Debug)]
pub(crate) struct Floe {
    pub(crate) folder: Folder,
    runtime: Runtime,
}

impl Floe {
    /// Opens a folder.
    pub(crate) fn open(data: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self { folder: folder::open(data)?, runtime })
    }

    /// Runs a future.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Asks for so long, at least once.
    pub(crate) fn ask(
        &self,
        question: &Question,
        at_least: Duration,
    ) -> anyhow::Result<(Cost, Answer)> {
        let Folder { store, organization, .. } = &self.folder;
        measure(std::process::id(), at_least, || self.run(question.ask(store, *organization)))
    }

    /// Closes the folder.
    pub(crate) fn close(self) {
        self.folder.store.close();
    }
}

/// Asks another engine for so long, at least once.
fn ask_peer(
    peer: &mut Peer,
    dialect: &Dialect,
    question: &Question,
    at_least: Duration,
) -> anyhow::Result<(Cost, Answer)> {
    let (cost, rows) = peer.query(&question.sql(dialect), at_least)?;
    Ok((cost, question.answer_of(&rows)?))
}

impl Queries {
    pub(crate) fn run(&self) -> anyhow::Result<Vec<Bar>> {
        let mut bars = self.over_the_store()?;
        bars.extend(self.over_http()?);
        Ok(bars)
    }

    /// The other engines, ready to be asked.
    fn start_peers(&self, folder: &Path) -> anyhow::Result<Vec<(Peer, &'static Dialect)>> {
        if !self.peers {
            return Ok(Vec::new());
        }
        let files = match &self.parquet {
            Some(files) => files.clone(),
            None => folder::segments(&self.data)?,
        };
        let mut peers = vec![(self.python.duckdb(&files)?, &DUCKDB)];
        if self.duckdb_table {
            peers.push((self.python.duckdb_table(&files)?, &DUCKDB));
        }
        peers.push((self.python.clickhouse(folder, &files)?, &CLICKHOUSE));
        Ok(peers)
    }

    fn over_the_store(&self) -> anyhow::Result<Vec<Bar>> {
        let peers_folder = tempfile::tempdir_in(&self.data)?;
        let mut peers = self.start_peers(peers_folder.path())?;
        let floe = Floe::open(&self.data)?;
        let events = floe.folder.events;
        let mut columns = vec![String::new(), "asked".to_owned(), "Floe".to_owned()];
        columns.extend(peers.iter().map(|(peer, _)| peer.name.to_owned()));
        columns.extend(peers.iter().map(|(peer, _)| format!("Floe to {}", peer.name)));
        head(
            &format!("{events} events, at the store's API: CPU ms (wall ms)"),
            &columns.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        let mut bars = Vec::new();
        let customer = customer_with(1000, events);
        for (question, limit) in questions::all(&customer).iter().zip(RATIOS_MAX) {
            let costs = self.alternate(&floe, &mut peers, question)?;
            let mut cells = vec![question.name.to_owned(), question.what.clone()];
            let shown = |costs: &Vec<Cost>| {
                let cpu = median(costs.iter().map(|cost| cost.cpu_ms).collect());
                let wall = median(costs.iter().map(|cost| cost.wall_ms).collect());
                format!("{} ({})", figure(cpu), figure(wall))
            };
            cells.extend(costs.iter().map(shown));
            let Some((own, others)) = costs.split_first() else { continue };
            let ratios: Vec<f64> = others.iter().map(|other| cpu_ratio(own, other)).collect();
            cells.extend(ratios.iter().map(|ratio| figure(*ratio)));
            row(&cells);
            if let Some(ratio) = ratios.first() {
                let what = format!("{} at {events} events, CPU to DuckDB's", question.name);
                bars.push(Bar::at_most(what, limit, *ratio));
            }
        }
        floe.close();
        Ok(bars)
    }

    /// The costs of a question, by round: Floe's, then those of each other engine. All answers
    /// must be the same.
    fn alternate(
        &self,
        floe: &Floe,
        peers: &mut [(Peer, &'static Dialect)],
        question: &Question,
    ) -> anyhow::Result<Vec<Vec<Cost>>> {
        let (_, answer) = floe.ask(question, Duration::ZERO)?;
        for (peer, dialect) in &mut *peers {
            let (_, other) = ask_peer(peer, dialect, question, Duration::ZERO)?;
            let name = peer.name;
            ensure!(answer == other, "{}: {answer:?}, and {name} {other:?}", question.name);
        }
        let at_least = Duration::from_millis(self.milliseconds);
        let mut costs = vec![Vec::new(); 1 + peers.len()];
        for _ in 0..self.rounds {
            costs[0].push(floe.ask(question, at_least)?.0);
            for ((peer, dialect), costs) in peers.iter_mut().zip(&mut costs[1..]) {
                costs.push(ask_peer(peer, dialect, question, at_least)?.0);
            }
        }
        Ok(costs)
    }

    /// The same over HTTP, in turns with `/healthz`; and what memory it takes.
    fn over_http(&self) -> anyhow::Result<Vec<Bar>> {
        let server = Running::start(&self.data, Handling::Store)?;
        let mut connection = Connection::new(server.address)?;
        let meters = Meters::of(&mut connection)?;
        let events = folder_events(&mut connection)?;
        head(&format!("{events} events, over HTTP"), &["", "p50 ms", "p50 ms of /healthz"]);
        for question in questions::all(&customer_with(1000, events)) {
            let path = question.path(|meter| meters.id(meter))?;
            connection.get(folder::TOKEN, &path)?;
            let (mut asked, mut health) = (Vec::new(), Vec::new());
            for _ in 0..self.rounds * 5 {
                for (path, costs) in [(&*path, &mut asked), ("/healthz", &mut health)] {
                    let work = || connection.get(folder::TOKEN, path);
                    let (cost, _) = measure(server.process(), Duration::ZERO, work)?;
                    costs.push(cost.wall_ms);
                }
            }
            row(&[question.name.to_owned(), figure(median(asked)), figure(median(health))]);
        }
        let memory = mebibytes(anonymous_bytes(server.process())?);
        println!("\nRssAnon after it: {memory:.0} MiB.");
        server.stop()?;
        // The bar is about 400 MB and 100 million events; with fewer it says less.
        Ok(vec![Bar::at_most(
            format!("RssAnon while {events} events are served, MB"),
            400.0,
            memory * 1.048_576,
        )])
    }
}

/// Floe's CPU time to another's, round by round, the median.
fn cpu_ratio(own: &[Cost], other: &[Cost]) -> f64 {
    median(own.iter().zip(other).map(|(own, other)| own.cpu_ms / other.cpu_ms).collect())
}

/// The ids of the meters in a folder.
#[derive(Debug)]
pub(crate) struct Meters(Vec<(String, String)>);

impl Meters {
    /// Asks a server.
    pub(crate) fn of(connection: &mut Connection) -> anyhow::Result<Self> {
        let answer = connection.get(folder::TOKEN, "/v1/meters/?limit=100")?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let items =
            answer.get("items").and_then(serde_json::Value::as_array).context("no items")?;
        let text = |item: &serde_json::Value, key| Some(item.get(key)?.as_str()?.to_owned());
        let pair = |item| Some((text(item, "name")?, text(item, "id")?));
        Ok(Self(items.iter().filter_map(pair).collect()))
    }

    /// The id of a meter.
    pub(crate) fn id(&self, meter: MeterOf) -> anyhow::Result<String> {
        let found = self.0.iter().find(|(name, _)| name == meter.name());
        Ok(found.context("the folder lacks a meter; `load` makes them")?.1.clone())
    }
}

/// How many events a server has.
pub(crate) fn folder_events(connection: &mut Connection) -> anyhow::Result<u64> {
    let answer = connection.get(folder::TOKEN, "/v1/events/names?limit=100")?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let items = answer.get("items").and_then(serde_json::Value::as_array).context("no items")?;
    Ok(items.iter().filter_map(|item| item.get("occurrences")?.as_u64()).sum())
}
