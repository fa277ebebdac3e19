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

/// Ingestion of a batch by floe-client against a raw hyper call whose body is made before: in
/// turns, in one run, on one connection each.
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
        let (client, raw) = runtime.block_on(self.measure(&server))?;
        server.stop()?;
        let milliseconds = |times: &[Duration]| {
            median(times.iter().map(|time| time.as_secs_f64() * 1000.0).collect())
        };
        let (client, raw) = (milliseconds(&client), milliseconds(&raw));
        let title = format!("One call of {} events, median of {} rounds", self.batch, self.rounds);
        head(&title, &["", "ms"]);
        row(&["hyper, body made before".to_owned(), figure(raw)]);
        row(&["floe-client".to_owned(), figure(client)]);
        let what = "latency of floe-client to a raw hyper call";
        Ok(vec![Bar::at_most(what, RATIO_MAX, client / raw)])
    }

    /// Times of the client's calls and of raw ones.
    async fn measure(&self, server: &Running) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
        let url = format!("http://{}", server.address);
        let client = Client::new(&url, TOKEN)?.with_retries(Retries::none());
        let stream = TcpStream::connect(server.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let (mut by_client, mut by_hand) = (Vec::new(), Vec::new());
        for round in 0..WARM_UP_ROUNDS + self.rounds {
            let events = self.events(round, "c");
            let body = serde_json::json!({"events": self.events(round, "h")});
            let body = Bytes::from(serde_json::to_vec(&body)?);
            // Who comes first changes, as the second may find something warm.
            for turn in 0..2 {
                let began = Instant::now();
                if (round + turn) % 2 == 0 {
                    let ingested = client.events().ingest(&events).await?;
                    let took = began.elapsed();
                    anyhow::ensure!(ingested.inserted == self.batch as u64, "{ingested:?}");
                    by_client.push(took);
                } else {
                    let answer = call(&mut sender, server, body.clone()).await?;
                    let took = began.elapsed();
                    let expected = format!(r#"{{"inserted":{},"duplicates":0}}"#, self.batch);
                    anyhow::ensure!(answer == expected.as_bytes(), "{answer:?}");
                    by_hand.push(took);
                }
            }
        }
        drop(sender);
        connection.await.context("the connection's task ended")??;
        Ok((by_client.split_off(WARM_UP_ROUNDS), by_hand.split_off(WARM_UP_ROUNDS)))
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
