//! What the typed client adds to a raw call.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::body::Bytes;
use floe_client::{Client, EventCreate, Retries, Timestamp};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::folder::TOKEN;
use crate::report::{Bar, figure, head, median, row};
use crate::server::{Handling, Running};

/// Ingestion of a batch by floe-client against a raw hyper call whose body is written by derived
/// serde of plain structs, and against one whose body is made before: in turns, in one run, on one
/// connection each.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ClientCalls {
    /// Rounds of one call each
    #[arg(long, default_value_t = 2000)]
    pub(crate) rounds: usize,
    /// Events in a call
    #[arg(long, default_value_t = 100)]
    pub(crate) batch: usize,
}

/// Rounds that are not counted.
const WARM_UP_ROUNDS: usize = 100;
/// What the client may add, of the raw call's median.
const RATIO_MAX: f64 = 1.15;

impl ClientCalls {
    pub(crate) fn run(&self) -> anyhow::Result<Vec<Bar>> {
        let folder = tempfile::tempdir()?;
        let server = Running::start(&folder.path().join("data"), Handling::Store)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let times = runtime.block_on(self.measure(&server))?;
        server.stop()?;
        let [client, by_hand, made_before] = times
            .map(|times| median(times.iter().map(|time| time.as_secs_f64() * 1000.0).collect()));
        let title = format!("One call of {} events, median of {} rounds", self.batch, self.rounds);
        head(&title, &["", "ms"]);
        row(&["hyper, body made before".to_owned(), figure(made_before)]);
        row(&["hyper, body written by derived serde".to_owned(), figure(by_hand)]);
        row(&["floe-client".to_owned(), figure(client)]);
        let what = "latency of floe-client to a raw hyper call";
        Ok(vec![Bar::at_most(what, RATIO_MAX, client / by_hand)])
    }

    /// Times of the client's calls, of raw ones, and of raw ones whose body was made before.
    async fn measure(&self, server: &Running) -> anyhow::Result<[Vec<Duration>; 3]> {
        let url = format!("http://{}", server.address);
        let client = Client::new(&url, TOKEN)?.with_retries(Retries::none());
        let stream = TcpStream::connect(server.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut times: [Vec<Duration>; 3] = Default::default();
        for round in 0..WARM_UP_ROUNDS + self.rounds {
            let events = self.events(round, "c");
            let plain = self.plain_events(round, "h");
            let body = Bytes::from(serde_json::to_vec(&self.plain_events(round, "b"))?);
            // Who comes first changes, as those behind may find something warm.
            for turn in 0..3 {
                let who = (round + turn) % 3;
                let began = Instant::now();
                if who == 0 {
                    let ingested = client.events().ingest(&events).await?;
                    times[who].push(began.elapsed());
                    anyhow::ensure!(ingested.inserted == self.batch as u64, "{ingested:?}");
                    continue;
                }
                let body = match who {
                    1 => Bytes::from(serde_json::to_vec(&plain)?),
                    _ => body.clone(),
                };
                let answer = call(&mut sender, server, body).await?;
                times[who].push(began.elapsed());
                let expected = format!(r#"{{"inserted":{},"duplicates":0}}"#, self.batch);
                anyhow::ensure!(answer == expected.as_bytes(), "{answer:?}");
            }
        }
        drop(sender);
        connection.await.context("the connection's task ended")??;
        Ok(times.map(|mut times| times.split_off(WARM_UP_ROUNDS)))
    }

    /// The same events as somebody writes them who has no client.
    fn plain_events(&self, round: usize, who: &str) -> PlainBody {
        let timestamp = Timestamp::now().saturating_sub(Duration::from_secs(60)).to_string();
        let events = (0..self.batch).map(|n| PlainEvent {
            name: "ai_usage".to_owned(),
            external_customer_id: format!("user-{}", n % 50),
            timestamp: timestamp.clone(),
            external_id: format!("{who}-{round}-{n}"),
            metadata: PlainMetadata {
                tokens: n,
                model: "acme-large".to_owned(),
                region: "eu".to_owned(),
                cached: n % 2 == 0,
            },
        });
        PlainBody { events: events.collect() }
    }

    /// Events as a caller makes them, of one round.
    fn events(&self, round: usize, who: &str) -> Vec<EventCreate> {
        let timestamp = Timestamp::now().saturating_sub(Duration::from_secs(60));
        (0..self.batch)
            .map(|n| {
                EventCreate::for_external_customer("ai_usage", format!("user-{}", n % 50))
                    .timestamp(timestamp)
                    .external_id(format!("{who}-{round}-{n}"))
                    .property("tokens", n)
                    .property("model", "acme-large")
                    .property("region", "eu")
                    .property("cached", n % 2 == 0)
            })
            .collect()
    }
}

#[derive(serde::Serialize)]
struct PlainBody {
    events: Vec<PlainEvent>,
}

#[derive(serde::Serialize)]
struct PlainEvent {
    name: String,
    external_customer_id: String,
    timestamp: String,
    external_id: String,
    metadata: PlainMetadata,
}

#[derive(serde::Serialize)]
struct PlainMetadata {
    tokens: usize,
    model: String,
    region: String,
    cached: bool,
}

async fn call(
    sender: &mut SendRequest<Full<Bytes>>,
    server: &Running,
    body: Bytes,
) -> anyhow::Result<Bytes> {
    let request = Request::post("/v1/events/ingest")
        .header("host", server.address.to_string())
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/json")
        .body(Full::new(body))?;
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    Ok(answer.into_body().collect().await?.to_bytes())
}
