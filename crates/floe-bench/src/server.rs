//! Servers in processes of their own: Floe's, and plain ones to compare it with.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use axum::serve::ListenerExt as _;
use floe_server::{ConfigFile, Server};
use tokio::net::TcpListener;

use crate::folder::{self, ROOT_TOKEN};
use crate::http::Connection;

/// What a server does with events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Handling {
    /// Floe.
    Store,
    /// Floe's middleware and parser; it answers before the committer.
    ParseOnly,
    /// A bare handler that reads the body into a `serde_json::Value` and answers.
    ParseValue,
    /// A bare handler that takes the body's bytes, looks at none, and answers.
    Answer,
}

/// A server for the other commands; it stops when its standard input ends.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The data folder; made if it is not there
    #[arg(long)]
    data: PathBuf,
    /// What to do with events
    #[arg(long, value_enum, default_value = "store")]
    handling: Handling,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        match self.handling {
            Handling::Store => runtime.block_on(serve(self.data, false)),
            Handling::ParseOnly => runtime.block_on(serve(self.data, true)),
            Handling::ParseValue => runtime.block_on(serve_plain(parse_value)),
            Handling::Answer => runtime.block_on(serve_plain(|_| Some(1))),
        }
    }
}

async fn serve(data: PathBuf, parse_only: bool) -> anyhow::Result<()> {
    if !folder::exists(&data) {
        let store = folder::create(&data).await?;
        store.close();
    }
    let settings = ConfigFile {
        data: Some(data),
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        root_token: Some(ROOT_TOKEN.to_owned()),
        ..ConfigFile::default()
    };
    let mut config = settings.into_config()?;
    config.parse_only = parse_only;
    let server = Server::start(&config).await?;
    println!("{}", server.address()?);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        // It ends when whoever started us lets go of it.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = stop.send(());
    });
    server.run(async { stopped.await.unwrap_or_default() }).await;
    Ok(())
}

/// How many events a body has, by way of a tree of values.
fn parse_value(body: &[u8]) -> Option<usize> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(value.get("events")?.as_array()?.len())
}

/// The least server that answers as ingestion does: no middleware, no token, no metrics.
async fn serve_plain(events: fn(&[u8]) -> Option<usize>) -> anyhow::Result<()> {
    let ingest = move |body: Bytes| async move {
        let (status, inserted) = match events(&body) {
            Some(inserted) => (StatusCode::OK, inserted),
            None => (StatusCode::UNPROCESSABLE_ENTITY, 0),
        };
        let answer = format!(r#"{{"inserted":{inserted},"duplicates":0}}"#);
        (status, [(CONTENT_TYPE, "application/json")], answer)
    };
    let router = Router::new().route("/v1/events/ingest", post(ingest));
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // As Floe does; without it the answers may only wait longer.
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

/// A [`Serve`] in a process of its own; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Starts a server on a data folder, and waits until it says where it listens.
    pub(crate) fn start(data: &Path, handling: Handling) -> anyhow::Result<Self> {
        let handling = match handling {
            Handling::Store => "store",
            Handling::ParseOnly => "parse-only",
            Handling::ParseValue => "parse-value",
            Handling::Answer => "answer",
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--handling", handling, "--data"])
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the server has no standard output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().context("the server did not start")?;
        Ok(Self { child, address })
    }

    /// The same, and the time from the start of the process to its first answer.
    pub(crate) fn start_timed(data: &Path) -> anyhow::Result<(Self, Duration)> {
        let began = Instant::now();
        let server = Self::start(data, Handling::Store)?;
        Connection::new(server.address)?.get("", "/healthz")?;
        Ok((server, began.elapsed()))
    }

    /// The process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Stops it in good order.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    /// What the server's own metrics say of its commits.
    pub(crate) fn commits(&self) -> anyhow::Result<Commits> {
        let metrics = Connection::new(self.address)?.get(ROOT_TOKEN, "/metrics")?;
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
}

/// Sums over all commits so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Commits {
    /// Bytes of records in the journal.
    pub(crate) bytes: f64,
    pub(crate) count: f64,
    pub(crate) seconds: f64,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
