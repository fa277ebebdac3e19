//! `GET /v1/system`: how the server does.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, assert_keys, text};

const PATH: &str = "/v1/system";

fn events(count: usize) -> Value {
    let event = json!({
        "name": "use", "external_customer_id": "ada", "timestamp": "2024-05-01T00:00:00Z",
    });
    vec![event; count].into()
}

#[test]
fn it_tells_what_there_is() {
    let folder = TempDir::new().unwrap();
    let server = Server::start_with(folder.path(), &["--seal-events", "10"]);
    let root = server.root();
    let first = root.get(PATH).expect(200);
    assert_keys(
        &first,
        "version started_at uptime_seconds events organizations bytes writing latency",
    );
    assert_keys(&first["bytes"], "data journal segments cache catalog");
    assert_keys(&first["latency"], "ingest query");
    assert_eq!(text(&first, "version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&first, "writing"), "ok");
    // The organization of the first start.
    assert_eq!((&first["events"], &first["organizations"]), (&json!(0), &json!(1)));
    let none = json!({"count": 0, "p50_ms": null, "p99_ms": null});
    assert_eq!(first["latency"], json!({"ingest": none, "query": none}));
    let api = server.organization();
    for _ in 0..3 {
        api.ingest(&events(20));
    }
    api.get("/v1/meters/").expect(200);
    api.get("/v1/meters/x").refuses("uuid_parsing@path.id");
    let mut system = root.get(PATH).expect(200);
    assert_eq!((&system["events"], &system["organizations"]), (&json!(60), &json!(2)));
    let latency = system["latency"].take();
    assert_eq!((&latency["ingest"]["count"], &latency["query"]["count"]), (&json!(3), &json!(1)));
    for of in [&latency["ingest"], &latency["query"]] {
        let within = |key: &str| of[key].as_f64().unwrap();
        assert!(0.0 < within("p50_ms") && within("p50_ms") <= within("p99_ms"), "{of}");
    }
    let of = |key: &str| system["bytes"][key].as_u64().unwrap();
    let parts = ["journal", "segments", "cache", "catalog"].map(of);
    assert_eq!(of("data"), parts.iter().sum::<u64>());
    assert!(parts[0] > 0 && parts[3] > 0, "{parts:?}");
    assert_eq!(system["started_at"], first["started_at"]);
}

#[test]
fn only_the_root_token_may_ask() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path());
    let api = server.organization();
    assert_eq!(api.get(PATH).status, 403);
    assert_eq!(api.anonymous().get(PATH).status, 401);
    assert_eq!(server.root().get("/v1/system/").status, 200);
}
