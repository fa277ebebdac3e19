//! `floe serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use floe_server::{Config, ConfigFile, LogFormat, MadeSecrets, Server};

use crate::signals;

/// Serve the HTTP API from a data folder.
///
/// A flag takes precedence over the environment, that over the configuration file, and that over
/// the default.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// The data folder [default: ./floe-data]
    #[arg(long, env = "FLOE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to serve the API [default: 127.0.0.1:7070]
    #[arg(long, env = "FLOE_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where to serve metrics without a token, besides /metrics with the root token
    #[arg(long, env = "FLOE_METRICS_LISTEN", value_name = "ADDRESS")]
    metrics_listen: Option<SocketAddr>,
    /// The root token, at least 16 characters, in place of the one that the data folder keeps
    #[arg(long, env = "FLOE_ROOT_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    root_token: Option<String>,
    /// How to write logs [default: text]
    #[arg(long, env = "FLOE_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormatArgument>,
    /// What to log: a level, or levels by module [default: info]
    #[arg(long, env = "FLOE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// Mebibytes of events in memory at which further ones wait until some are sealed [default: 128]
    #[arg(long, env = "FLOE_TAIL_MEBIBYTES_MAX", value_name = "MEBIBYTES")]
    tail_mebibytes_max: Option<usize>,
    /// As many events in memory are sealed, however few bytes they have [default: 1000000]
    #[arg(long, env = "FLOE_SEAL_EVENTS", value_name = "EVENTS")]
    seal_events: Option<u64>,
    /// A TOML file with these settings
    #[arg(long, env = "FLOE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogFormatArgument {
    Text,
    Json,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let config = self.config()?;
        floe_server::init_logs(config.log_format, &config.log)
            .map_err(|error| anyhow::anyhow!("cannot set up logs: {error}"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        runtime.block_on(serve(config))
    }

    fn config(self) -> anyhow::Result<Config> {
        let Self {
            data,
            listen,
            metrics_listen,
            root_token,
            log_format,
            log,
            tail_mebibytes_max,
            seal_events,
            config,
        } = self;
        let file = match config {
            Some(path) => ConfigFile::read(&path)?,
            None => ConfigFile::default(),
        };
        let arguments = ConfigFile {
            data,
            listen,
            metrics_listen,
            root_token,
            log_format: log_format.map(|format| match format {
                LogFormatArgument::Text => LogFormat::Text,
                LogFormatArgument::Json => LogFormat::Json,
            }),
            log,
            tail_mebibytes_max,
            seal_events,
        };
        Ok(arguments.or(file).into_config()?)
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let server = Server::start(&config).await?;
    // Before anybody is told that we serve: who knows may ask us to stop.
    let stop = signals::stop().context("cannot listen for signals to stop")?;
    let address = server.address().context("the listener has no address")?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "listening beyond this machine without TLS: put a proxy that speaks TLS in front"
        );
    }
    let opened = server.opened;
    tracing::info!(%address, data = %config.data.display(), events = opened.events, "serving");
    if let Some(metrics) = server.metrics_address() {
        tracing::info!(address = %metrics.context("the listener has no address")?, "metrics");
    }
    if let Some(made) = &server.made {
        greet(made, address);
    }
    let stop = async {
        stop.await;
        tracing::info!("stopping: open requests are answered, what waits is written");
    };
    server.run(stop).await;
    tracing::info!("stopped");
    Ok(())
}

/// Shows the tokens that the first start made, once, and the way to a first quantity.
fn greet(made: &MadeSecrets, address: SocketAddr) {
    if let Some(root_token) = &made.root_token {
        println!("\nRoot token (shown once; it may do everything):\n  {root_token}");
    }
    let Some(token) = &made.token else { return };
    // An unspecified address is listened on, not called.
    let host = if address.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], address.port()))
    } else {
        address
    };
    println!(
        "\nToken of the organization `default` (shown once):\n  {token}\n\n\
         Paste this into another terminal for a first quantity:\n\n{}",
        first_quantity(&format!("http://{host}"), token)
    );
}

/// Five requests from nothing to a quantity.
fn first_quantity(url: &str, token: &str) -> String {
    format!(
        r#"F={url}/v1 A="Authorization: Bearer {token}" J="Content-Type: application/json"
curl -sS $F/customers/ -H "$A" -H "$J" -d '{{"email": "ada@example.com", "external_id": "ada"}}'; echo
M=$(curl -sS $F/meters/ -H "$A" -H "$J" -d '{{"name": "Tokens", "filter": {{"conjunction": "and", "clauses": [{{"property": "name", "operator": "eq", "value": "chat"}}]}}, "aggregation": {{"func": "sum", "property": "tokens"}}}}' | sed 's/.*"id":"\([^"]*\)".*/\1/'); echo "meter $M"
curl -sS $F/events/ingest -H "$A" -H "$J" -d '{{"events": [{{"name": "chat", "external_customer_id": "ada", "external_id": "first-1", "metadata": {{"tokens": 30}}}}, {{"name": "chat", "external_customer_id": "ada", "external_id": "first-2", "metadata": {{"tokens": 12}}}}]}}'; echo
curl -sS "$F/meters/$M/quantities?interval=day&start_timestamp=$(date -u +%F)T00:00:00Z&end_timestamp=$(date -u +%F)T23:59:59Z" -H "$A"; echo
curl -sS "$F/customer-meters/?external_customer_id=ada" -H "$A"; echo
"#
    )
}
