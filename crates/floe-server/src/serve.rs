//! Starting, serving and stopping.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use floe_core::Scope;
use floe_store::embedded::{EmbeddedOptions, EmbeddedStore, Opened, system_time, token_hash};
use floe_store::port::{AccessToken, Catalog as _, Organizations, StoreError};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

use crate::app::{self, App};
use crate::config::Config;
use crate::connection::Connection;
use crate::latency::Started;
use crate::secret;
use crate::telemetry;

/// Time for a client to send a request's head, also on a connection that is kept open.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 10_000;
/// Time for open requests to end when the server stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(30);
/// Time for a client to take some of an answer. In a minute whoever reads takes some, over the
/// slowest of links; who does not keeps what was made for them in memory, and a slot of those who
/// export. The system cuts the connection, a little later at times since it asks ever less often.
const WRITE_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often the times of tokens' last uses are saved, and samples of histograms put into their
/// buckets: they pile up otherwise.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(20);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The data folder cannot be opened.
    #[error("cannot open the data folder")]
    Store(#[from] StoreError),
    /// Logs or metrics cannot be set up.
    #[error("cannot set up logs and metrics: {0}")]
    Telemetry(String),
}

/// A server that listens, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    metrics_listener: Option<TcpListener>,
    app: App,
    /// Tells handlers that the server stops.
    stops: watch::Sender<bool>,
    /// What opening the folder found.
    pub opened: Opened,
    /// Secrets that were made, to be shown once.
    pub made: Option<MadeSecrets>,
}

/// Tokens that the first start on an empty folder made.
#[derive(Clone)]
pub struct MadeSecrets {
    /// The root token, unless one was configured.
    pub root_token: Option<String>,
    /// A token of the organization `default` with every scope, unless there were organizations.
    pub token: Option<String>,
}

impl std::fmt::Debug for MadeSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MadeSecrets(..)")
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

impl Server {
    /// Opens the data folder and listens.
    ///
    /// # Errors
    ///
    /// See [`ServeError`].
    pub async fn start(config: &Config) -> Result<Self, ServeError> {
        let metrics = telemetry::metrics_handle().map_err(ServeError::Telemetry)?;
        // Listening comes first: a port that is taken must not leave a new folder behind.
        let listener = listen(config.listen).await?;
        let metrics_listener = match config.metrics_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let options = EmbeddedOptions {
            tail_bytes_max: config.tail_bytes_max,
            seal_events: config.seal_events,
            ..EmbeddedOptions::default()
        };
        let (store, opened) = EmbeddedStore::open(&config.data, options)?;
        if let Some(bytes) = opened.torn_bytes {
            tracing::warn!(bytes, "cut off a record that was never acknowledged");
        }
        let made = first_start(&store, config).await?;
        let root_token = config.root_token.as_deref().map(token_hash);
        let (stops, stopping) = watch::channel(false);
        let app = App {
            store,
            root_token,
            metrics,
            started: Started::now(),
            latency: Arc::default(),
            stopping,
            parse_only: config.parse_only,
        };
        Ok(Self { listener, metrics_listener, app, stops, opened, made })
    }

    /// Where the API is served.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where metrics are served without a token, if anywhere.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn metrics_address(&self) -> Option<std::io::Result<SocketAddr>> {
        self.metrics_listener.as_ref().map(TcpListener::local_addr)
    }

    /// Serves until `stop` is done; then ends what is open and closes the data folder.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { listener, metrics_listener, app, stops, .. } = self;
        let store = app.store.clone();
        let upkeep = tokio::spawn({
            let (store, metrics) = (store.clone(), Arc::clone(&app.metrics));
            async move {
                loop {
                    tokio::time::sleep(UPKEEP_INTERVAL).await;
                    metrics.run_upkeep();
                    let store = store.clone();
                    let saved = tokio::task::spawn_blocking(move || store.save_last_uses()).await;
                    if let Ok(Err(error)) = saved {
                        tracing::warn!(%error, "the last uses of tokens were not saved");
                    }
                }
            }
        });
        let metrics = metrics_listener.map(|listener| {
            let handle = Arc::clone(&app.metrics);
            let router = Router::new().route("/metrics", get(async move || handle.render()));
            tokio::spawn(accept(listener, router, std::future::pending()))
        });
        let stop = async {
            stop.await;
            stops.send_replace(true);
        };
        accept(listener, app::router(app), stop).await;
        upkeep.abort();
        metrics.inspect(|task| task.abort());
        // What waits is written, and the journal is closed cleanly.
        if tokio::task::spawn_blocking(move || store.close()).await.is_err() {
            tracing::error!("closing the data folder panicked");
        }
    }
}

/// On an empty folder: makes the root token, unless one is configured, and an organization
/// `default` with a token that may do everything in it (design section 5).
async fn first_start(
    store: &EmbeddedStore,
    config: &Config,
) -> Result<Option<MadeSecrets>, StoreError> {
    let root_token = if config.root_token.is_none() && !store.has_root_token()? {
        let token = secret::root_token()?;
        store.set_root_token(&token_hash(&token))?;
        Some(token)
    } else {
        None
    };
    if !store.organization_ids(&Organizations::All).is_empty() {
        return Ok(root_token.map(|token| MadeSecrets { root_token: Some(token), token: None }));
    }
    let organization =
        store.create_organization("Default".to_owned(), "default".to_owned()).await?;
    let Some(organization) = organization else { return Ok(None) };
    let token = secret::access_token()?;
    let record = AccessToken {
        id: floe_core::AccessTokenId::random(),
        organization_id: organization.id,
        created_at: system_time(),
        modified_at: None,
        comment: "made at the first start".to_owned(),
        scopes: Scope::ALL.iter().map(|(_, scope)| *scope).collect(),
        expires_at: None,
        last_used_at: None,
    };
    store.create_token(record, token_hash(&token)).await?;
    Ok(Some(MadeSecrets { root_token, token: Some(token) }))
}

/// Accepts connections until `stop` is done, then lets open requests end.
async fn accept(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most often out of file descriptors: let some connections end.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Answers are small and whole: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        // A client that does not read must not keep its answer in memory for ever.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(WRITE_PAUSE_MAX));
        let (stream, end) = Connection::new(stream);
        let router = router.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let router = router.clone();
            async move {
                app::normalize(&mut request);
                let request = request.map(axum::body::Body::new);
                let mut response =
                    router.oneshot(request).await.unwrap_or_else(|never| match never {});
                app::forget_head(&mut response);
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = connection.as_mut().await;
            // It is the handler's doing if an answer breaks off. What a client does wrong is
            // answered, and that answer is to be read.
            if !ended.as_ref().is_err_and(hyper::Error::is_user) {
                end.set_orderly();
            }
            // A client that breaks off or sends nonsense concerns nobody else.
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
            drop(permit);
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(DRAIN_TIME_MAX) => {
            tracing::warn!("some requests did not end in time");
        }
    }
}
