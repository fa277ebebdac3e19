//! A load of HTTP requests over a fixed number of connections, each waiting for its answer.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

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
        let index = (self.latencies.len() * permille / 1000).min(self.latencies.len() - 1);
        self.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// Makes the bodies of one connection: events whose external ids are never used twice.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    body: Vec<u8>,
    /// Where the 16 digits of each event's external id stand.
    ids: Vec<usize>,
    next: u64,
}

const ID_DIGITS: usize = 16;

impl Bodies {
    /// Bodies of so many events; `connection` keeps ids of connections and runs apart.
    pub(crate) fn new(events: usize, connection: u64) -> Self {
        let mut body = b"{\"events\":[".to_vec();
        let mut ids = Vec::new();
        for event in 0..events {
            if event > 0 {
                body.push(b',');
            }
            body.extend_from_slice(b"{\"name\":\"ai_usage\",\"external_id\":\"e");
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

    /// The bytes of a body.
    pub(crate) fn byte_len(&self) -> usize {
        self.body.len()
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

/// Asks over so many connections for a while. `run` keeps external ids of runs apart.
pub(crate) fn run(
    address: SocketAddr,
    token: &str,
    kind: &Kind,
    connections: usize,
    duration: Duration,
    run: u64,
) -> anyhow::Result<Samples> {
    let began = Instant::now();
    let threads: Vec<_> = (0..connections as u64)
        .map(|connection| {
            let (token, kind) = (token.to_owned(), kind.clone());
            let id = run << 8 | connection;
            std::thread::spawn(move || ask(address, &token, &kind, began, duration, id))
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

fn ask(
    address: SocketAddr,
    token: &str,
    kind: &Kind,
    began: Instant,
    duration: Duration,
    id: u64,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut bodies = match kind {
        Kind::Get(_) => None,
        Kind::Ingest(events) => Some(Bodies::new(*events, id)),
    };
    let head = match (kind, &bodies) {
        (Kind::Ingest(_), Some(bodies)) => format!(
            "POST /v1/events/ingest HTTP/1.1\r\nHost: floe\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            bodies.byte_len()
        ),
        (Kind::Get(path), _) => {
            format!("GET {path} HTTP/1.1\r\nHost: floe\r\nAuthorization: Bearer {token}\r\n\r\n")
        }
        (Kind::Ingest(_), None) => String::new(),
    };
    let mut request = Vec::new();
    let mut latencies = Vec::new();
    while began.elapsed() < duration {
        request.clear();
        request.extend_from_slice(head.as_bytes());
        if let Some(bodies) = &mut bodies {
            request.extend_from_slice(bodies.next());
        }
        let asked = Instant::now();
        stream.write_all(&request)?;
        read_answer(&mut reader)?;
        latencies.push(asked.elapsed());
    }
    Ok(latencies)
}

/// The body of one answer.
pub(crate) fn get(address: SocketAddr, token: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: floe\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    read_answer(&mut BufReader::new(stream))
}

fn read_answer(reader: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let ok = line.starts_with("HTTP/1.1 200");
    let status = line.trim().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if !ok {
        bail!("{status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(String::from_utf8(body)?)
}
