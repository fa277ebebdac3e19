//! Other engines, in Python processes that answer over standard input and output.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::process::{Cost, cpu_seconds};

/// Where the Python with the engines is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Python {
    /// A Python with the packages of crates/floe-bench/peers/requirements.txt;
    /// `scripts/install-test-tools bench-peers` makes it
    #[arg(
        long,
        env = "FLOE_BENCH_PYTHON",
        default_value = "target/test-tools/bench-peers/bin/python"
    )]
    python: PathBuf,
}

impl Python {
    /// Whether it is there.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !self.python.exists() {
            bail!(
                "there is no {}; run scripts/install-test-tools bench-peers, or set \
                 FLOE_BENCH_PYTHON",
                self.python.display()
            );
        }
        Ok(())
    }

    /// As arguments of another command.
    pub(crate) fn arguments(&self) -> [&OsStr; 2] {
        [OsStr::new("--python"), self.python.as_os_str()]
    }

    fn start(&self, name: &'static str, script: &str, arguments: &[&str]) -> anyhow::Result<Peer> {
        self.check()?;
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let mut child = Command::new(&self.python)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(scripts.join(script))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        let engine = child.id();
        Ok(Peer { name, child, input: Some(input), output, engine })
    }

    /// DuckDB reading Parquet files at each query.
    pub(crate) fn duckdb(&self, files: &str) -> anyhow::Result<Peer> {
        self.start("DuckDB, Parquet", "duckdb_peer.py", &[files])
    }

    /// DuckDB with a table of its own, in memory, loaded from Parquet files.
    pub(crate) fn duckdb_table(&self, files: &str) -> anyhow::Result<Peer> {
        self.start("DuckDB, own table", "duckdb_peer.py", &[files, "--table"])
    }

    /// ClickHouse with a table loaded from Parquet files, in an empty folder.
    pub(crate) fn clickhouse(&self, folder: &Path, files: &str) -> anyhow::Result<Peer> {
        let folder = folder.to_str().context("the folder's name is not UTF-8")?;
        let mut peer = self.start("ClickHouse", "clickhouse_peer.py", &[folder, files])?;
        // The server is a process of its own; what its client costs is not counted.
        let process = peer.ask(&json!({"ask": "process"}))?;
        let process = process.get("process").and_then(Value::as_u64).context("no process")?;
        peer.engine = u32::try_from(process)?;
        Ok(peer)
    }
}

/// An engine.
#[derive(Debug)]
pub(crate) struct Peer {
    /// As tables call it.
    pub(crate) name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// The process whose CPU time counts.
    engine: u32,
}

impl Peer {
    /// Asks, and waits for the answer.
    pub(crate) fn ask(&mut self, question: &Value) -> anyhow::Result<Value> {
        let input = self.input.as_mut().context("it was stopped")?;
        writeln!(input, "{question}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line)
            .with_context(|| format!("{} does not answer: {line}", self.name))?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => bail!("{}: {error} ({question})", self.name),
            None => Ok(answer),
        }
    }

    /// Runs a query for so long, at least once: what it cost, and its rows, whose cells are text
    /// or null.
    pub(crate) fn query(
        &mut self,
        sql: &str,
        at_least: Duration,
    ) -> anyhow::Result<(Cost, Vec<Value>)> {
        let cpu = cpu_seconds(self.engine)?;
        let question = json!({"ask": "query", "sql": sql, "seconds": at_least.as_secs_f64()});
        let answer = self.ask(&question)?;
        let cpu = cpu_seconds(self.engine)? - cpu;
        let figure = |name: &str| answer.get(name).and_then(Value::as_f64).context("no figure");
        let times = figure("times")?;
        let cost =
            Cost { cpu_ms: cpu * 1000.0 / times, wall_ms: figure("seconds")? * 1000.0 / times };
        let rows = answer.get("rows").and_then(Value::as_array).context("no rows")?;
        Ok((cost, rows.clone()))
    }

    /// The names of the columns of `events`.
    pub(crate) fn columns(&mut self) -> anyhow::Result<Vec<String>> {
        let answer = self.ask(&json!({"ask": "columns"}))?;
        let names = answer.get("columns").and_then(Value::as_array).context("no columns")?;
        Ok(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // At the end of its input it stops, and takes its server with it.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
