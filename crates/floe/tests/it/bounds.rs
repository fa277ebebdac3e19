//! What goes on for long is bounded: in all, and for one organization, so that others get through.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::events_export::export;
use crate::harness::{Answer, Api, Server};

const NDJSON: &str = "application/x-ndjson";
/// The share of one organization: a quarter of 32 exports, of 32 bodies and of 1,000 streams.
const EXPORTS: usize = 8;
const BODIES: usize = 8;
const STREAMS: usize = 250;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Asks, reads the answer's status, and nothing more.
fn open(api: &Api, path: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(api.address).unwrap();
    let token = api.token.as_deref().unwrap();
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: floe\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    (stream, String::from_utf8_lossy(&start[9..]).into_owned())
}

/// A connection on which an answer has begun of which nothing is read.
#[track_caller]
fn unread(api: &Api, path: &str) -> TcpStream {
    let (stream, status) = open(api, path);
    assert_eq!(status, "200");
    stream
}

#[track_caller]
fn is_refused(answer: &Answer, detail: &str) {
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json, json!({"error": "ServiceUnavailable", "detail": detail}));
}

/// Stores more than the buffers of a connection take of an answer that nobody reads.
fn fill(api: &Api, events: usize) {
    let text = "x".repeat(400);
    for batch in (0..events).collect::<Vec<_>>().chunks(1000) {
        let event = |n: &usize| json!({"name": "e", "external_customer_id": "c", "metadata": {"n": n, "text": text}});
        api.ingest(&batch.iter().map(event).collect());
    }
}

#[test]
fn exports_that_nobody_reads_leave_room_for_others_and_are_cut() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let (stuck, other) = (server.organization(), server.organization());
    fill(&stuck, 25_000);
    fill(&other, 1000);
    let path = "/v1/events/export";
    let mut held: Vec<_> = (0..EXPORTS).map(|_| unread(&stuck, path)).collect();
    std::thread::scope(|scope| {
        let further = scope.spawn(|| stuck.send_unchecked("GET", path, None::<&str>));
        for _ in 0..3 {
            assert_eq!(export(&other, &[]).lines().count(), 1000);
        }
        // The root token's export of an organization is that organization's.
        let named = [("organization_id", other.organization_id.as_str())];
        assert_eq!(export(&server.root(), &named).lines().count(), 1000);
        let detail = "Too many exports of events of this organization are under way.";
        is_refused(&further.join().unwrap(), detail);
    });
    // A reader who goes away gives its slot back.
    drop(held.pop());
    assert_eq!(export(&stuck, &[]).lines().count(), 25_000);
    // And so does, after a while, one who stays and takes nothing.
    held.push(unread(&stuck, path));
    let began = Instant::now();
    while open(&stuck, path).1 != "200" {
        assert!(began.elapsed() < 5 * WAIT_MAX, "nobody is cut");
    }
    // Those who are cut can tell.
    let mut answer = Vec::new();
    let ended = held.remove(0).read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(ended.is_err() || !answer.ends_with("\r\n0\r\n\r\n"), "{} bytes", answer.len());
    assert!(answer.matches("\"name\"").count() < 25_000);
}

fn bulk(api: &Api, body: String) -> Answer {
    api.with("Content-Type", NDJSON).send_unchecked("POST", "/v1/events/bulk", Some(body))
}

fn lines(count: usize) -> String {
    r#"{"name":"e","external_customer_id":"c"}
"#
    .repeat(count)
}

fn chunk(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
}

/// A sender of a body of lines that has sent a block, and does not end.
fn sender(api: &Api) -> TcpStream {
    let mut stream = TcpStream::connect(api.address).unwrap();
    let token = api.token.as_deref().unwrap();
    let head = format!(
        "POST /v1/events/bulk HTTP/1.1\r\nHost: floe\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: {NDJSON}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    chunk(&mut stream, &lines(1000)).unwrap();
    stream
}

fn count(api: &Api) -> u64 {
    let page = api.get("/v1/events/?limit=1").expect(200);
    page["pagination"]["total_count"].as_u64().unwrap()
}

#[test]
fn bodies_that_trickle_leave_room_for_others() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let (slow, other) = (server.organization(), server.organization());
    let mut held: Vec<_> = (0..BODIES).map(|_| sender(&slow)).collect();
    let began = Instant::now();
    while count(&slow) < 1000 * BODIES as u64 {
        assert!(began.elapsed() < WAIT_MAX, "all of them are read");
        std::thread::sleep(Duration::from_millis(5));
    }
    let stored = |answer: Answer| answer.expect(200)["inserted"].as_u64().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Fast enough not to be let go.
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for stream in &mut held {
                    chunk(stream, &"\n".repeat(2048)).unwrap();
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        let further = scope.spawn(|| bulk(&slow, lines(1)));
        for _ in 0..3 {
            assert_eq!(stored(bulk(&other, lines(10))), 10);
        }
        // The root token's bodies, whose lines name an organization, count as its own.
        let named: Value = json!({"name": "e", "external_customer_id": "c",
                                  "organization_id": slow.organization_id});
        assert_eq!(stored(bulk(&server.root(), named.to_string())), 1);
        let refused = further.join().unwrap();
        is_over.store(true, Ordering::Relaxed);
        is_refused(&refused, "Too many bodies of lines of this caller are being read.");
    });
    drop(held);
    assert_eq!(stored(bulk(&slow, lines(10))), 10);
}

#[test]
fn streams_leave_room_for_others() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let (many, other) = (server.organization(), server.organization());
    let path = "/v1/event-stream";
    let mut held: Vec<_> = (0..STREAMS).map(|_| unread(&many, path)).collect();
    let refused = many.send_unchecked("GET", path, None::<&str>);
    is_refused(&refused, "Too many streams of events of this organization are open.");
    unread(&other, path);
    drop(held.pop());
    // It is noticed a little later that a reader went away.
    let began = Instant::now();
    while open(&many, path).1 != "200" {
        assert!(began.elapsed() < WAIT_MAX, "the slot comes back");
    }
}
