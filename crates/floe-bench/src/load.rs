//! A load of HTTP requests over a fixed number of connections, each waiting for its answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::folder::TOKEN;
use crate::http::Connection;

/// Latencies of requests, and how long it all took.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) elapsed: Duration,
}

impl Samples {
    /// Sorts the latencies: the percentiles need it.
    pub(crate) fn finish(&mut self) {
        self.latencies.sort_unstable();
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// In milliseconds; `permille` of 500 is the median.
    pub(crate) fn percentile_ms(&self, permille: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let index = (self.latencies.len() * permille / 1000).min(last);
        self.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// Makes the bodies of one connection: events whose external ids are never used twice.
#[derive(Debug, Clone)]
struct Bodies {
    body: Vec<u8>,
    /// Where the 16 digits of each event's external id stand.
    ids: Vec<usize>,
    next: u64,
}

const ID_DIGITS: usize = 16;

impl Bodies {
    /// Bodies of so many events; `connection` keeps ids of connections and runs apart.
    fn new(events: usize, connection: u64) -> Self {
        let mut body = b"{\"events\":[".to_vec();
        let mut ids = Vec::new();
        for event in 0..events {
            if event > 0 {
                body.push(b',');
            }
            // No id of a data set begins so.
            body.extend_from_slice(b"{\"name\":\"ai_usage\",\"external_id\":\"h");
            ids.push(body.len());
            body.extend_from_slice(&[b'0'; ID_DIGITS]);
            let customer = event * 37 % 1000;
            body.extend_from_slice(
                format!(
                    "\",\"external_customer_id\":\"customer-{customer:05}\",\
                     \"timestamp\":\"2026-01-{:02}T12:34:56.789Z\",\
                     \"metadata\":{{\"tokens\":{},\"model\":\"model-{}\",\
                     \"region\":\"eu-{}\",\"latency\":{}.25}}}}",
                    event % 28 + 1,
                    event * 13 % 1000,
                    event % 5,
                    event % 4,
                    event * 7 % 500
                )
                .as_bytes(),
            );
        }
        body.extend_from_slice(b"]}");
        Self { body, ids, next: connection << 40 }
    }

    fn next(&mut self) -> &[u8] {
        for &at in &self.ids {
            // By hand: the load shares its cores with the server, and must cost little.
            let digits = self.body[at..at + ID_DIGITS].iter_mut().rev();
            for (place, digit) in digits.enumerate() {
                let nibble = self.next >> (4 * place) & 0xf;
                *digit = b"0123456789abcdef"[usize::try_from(nibble).unwrap_or(0)];
            }
            self.next += 1;
        }
        &self.body
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// `GET` of this path.
    Get(&'static str),
    /// Ingestion of so many events a request.
    Ingest(usize),
}

/// How much is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    /// Requests a second, over all connections; as many as there can be if absent.
    pub(crate) per_second: Option<f64>,
    /// Requests of each connection, if not as many as the duration allows.
    pub(crate) requests_max: Option<u64>,
    /// Keeps external ids of runs apart: no two runs on one folder have the same.
    pub(crate) run: u64,
}

/// Asks over so many connections for a while.
pub(crate) fn run(address: SocketAddr, kind: &Kind, load: Load) -> anyhow::Result<Samples> {
    let began = Instant::now();
    let threads: Vec<_> = (0..load.connections as u64)
        .map(|connection| {
            let kind = kind.clone();
            std::thread::spawn(move || ask(address, &kind, load, began, connection))
        })
        .collect();
    let mut samples = Samples::default();
    for thread in threads {
        let latencies = thread.join().map_err(|_| anyhow::anyhow!("a connection panicked"))??;
        samples.latencies.extend(latencies);
    }
    samples.elapsed = began.elapsed();
    samples.finish();
    Ok(samples)
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn ask(
    address: SocketAddr,
    kind: &Kind,
    load: Load,
    began: Instant,
    number: u64,
) -> anyhow::Result<Vec<Duration>> {
    let mut connection = Connection::new(address)?;
    let mut bodies = match kind {
        Kind::Get(_) => None,
        Kind::Ingest(events) => Some(Bodies::new(*events, load.run << 8 | number)),
    };
    let head = match &bodies {
        Some(bodies) => Connection::ingestion_head(TOKEN, bodies.body.len()),
        None => String::new(),
    };
    // With a pace, connections take turns.
    let pace = load.per_second.map(|all| {
        let every = Duration::from_secs_f64(load.connections as f64 / all);
        (every, every.mul_f64(number as f64 / load.connections as f64))
    });
    let mut due = pace.map(|(_, first)| first);
    let mut latencies = Vec::new();
    let requests_max = load.requests_max.unwrap_or(u64::MAX);
    while began.elapsed() < load.duration && (latencies.len() as u64) < requests_max {
        if let (Some(at), Some((every, _))) = (&mut due, pace) {
            std::thread::sleep(at.saturating_sub(began.elapsed()));
            *at += every;
        }
        let body = bodies.as_mut().map_or(&[][..], Bodies::next);
        let asked = Instant::now();
        match kind {
            Kind::Get(path) => connection.get(TOKEN, path)?,
            Kind::Ingest(_) => connection.send(&head, body)?,
        };
        latencies.push(asked.elapsed());
    }
    Ok(latencies)
}
