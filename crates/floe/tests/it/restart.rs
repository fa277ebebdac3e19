//! What was answered survives the end of the process, however it ends.

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Api, ROOT_TOKEN, Server, id, text};

/// Paths whose answers must be the same after a restart.
const PATHS: [&str; 9] = [
    "/v1/meters/?sorting=created_at",
    "/v1/events/?limit=100",
    "/v1/events/?limit=100&sorting=timestamp",
    "/v1/events/names",
    "/v1/event-types/",
    "/v1/customers/",
    "/v1/customers/external/ada/state",
    "/v1/customer-meters/?sorting=created_at",
    "/v1/events/?source=system",
];

/// Fills an organization with something of each kind.
fn fill(api: &Api) {
    let meter = api.meter(&json!([]), &json!({"func": "sum", "property": "v"}));
    api.count_meter();
    api.customer("ada@example.com", Some("ada"));
    let gone = id(&api.customer("gone@example.com", None));
    api.ingest(&json!([
        {"name": "a", "external_customer_id": "ada", "external_id": "1", "metadata": {"v": 1.5}},
        {"name": "b", "external_customer_id": "ada", "external_id": "2", "parent_id": "1",
         "timestamp": "2024-01-01T00:00:00.000001Z",
         "metadata": {"v": 2, "_cost": {"amount": "0.25", "currency": "usd"}}},
        {"name": "b", "customer_id": gone},
    ]));
    let body = r#"{"events":[{"name":"c","external_customer_id":"x","metadata":{"v":123456789012345678901234567890,"s":"\ud83d\ude00"}}]}"#;
    api.send("POST", "/v1/events/ingest", Some(body)).expect(200);
    api.delete(&format!("/v1/customers/{gone}")).expect(204);
    let path = format!("/v1/meters/{meter}");
    api.patch(&path, &json!({"name": "renamed", "metadata": {"k": 1.0}})).expect(200);
    let label = id(&api.get("/v1/event-types/").items()[0]);
    api.patch(&format!("/v1/event-types/{label}"), &json!({"label": "L"})).expect(200);
    let row = id(&api.get(&format!("/v1/customer-meters/?meter_id={meter}")).items()[0]);
    let path = format!("/v1/customer-meters/{row}");
    let credit = json!({"units": 10, "rollover": true, "external_id": "credit"});
    api.post(&format!("{path}/credits"), &credit).expect(201);
    api.post(&format!("{path}/reset"), &json!({})).expect(201);
    api.ingest(&json!([{"name": "a", "external_customer_id": "ada", "metadata": {"v": 4}}]));
}

fn answers(api: &Api) -> Vec<Value> {
    PATHS.iter().map(|path| api.get(path).expect(200)).collect()
}

/// The same caller at a server that took over.
fn at(server: &Server, api: &Api) -> Api {
    Api { address: server.address, ..api.clone() }
}

fn check_restart(stop: impl Fn(Server)) {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data);
    let mut api = server.organization();
    fill(&api);
    let before = answers(&api);
    for _ in 0..2 {
        stop(server);
        server = Server::start(&data);
        api = at(&server, &api);
        for (path, (before, after)) in PATHS.iter().zip(before.iter().zip(answers(&api))) {
            assert_eq!(*before, after, "{path}");
        }
        // Deduplication remembers, of events and of credits.
        let event =
            json!({"events": [{"name": "a", "external_customer_id": "ada", "external_id": "1"}]});
        let answer = api.post("/v1/events/ingest", &event).expect(200);
        assert_eq!(answer, json!({"inserted": 0, "duplicates": 1}));
        for item in api.get("/v1/events/?limit=100").items() {
            assert_eq!(api.get(&format!("/v1/events/{}", id(&item))).expect(200), item);
        }
        for item in api.get("/v1/customer-meters/").items() {
            let path = format!("/v1/customer-meters/{}", id(&item));
            assert_eq!(api.get(&path).expect(200), item);
            let credit = json!({"units": 10, "external_id": "credit"});
            api.post(&format!("{path}/credits"), &credit).expect(200);
        }
    }
    // It goes on: new ids are none of the old ones.
    api.ingest(&json!([{"name": "after", "external_customer_id": "ada", "metadata": {"v": 8}}]));
    let events = api.get("/v1/events/?limit=100").items();
    let mut ids: Vec<_> = events.iter().map(id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), events.len());
    // 10 credited, 3.5 consumed, so 6 carried; then 4 and 8 consumed.
    let rows = api.get("/v1/customer-meters/").items();
    let row = rows.iter().find(|row| row["meter"]["name"] == "renamed").unwrap();
    assert_eq!([&row["consumed_units"], &row["balance"]], [12.0, -6.0]);
    assert_eq!(row["credited_units"], 6);
}

#[test]
fn everything_survives_a_stop() {
    check_restart(Server::terminate);
}

#[test]
fn everything_survives_a_kill() {
    check_restart(Server::kill);
}

#[test]
fn what_was_answered_before_a_kill_in_the_middle_of_writing_is_there() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data);
    let mut api = server.organization();
    let mut answered = 0;
    for _ in 0..3 {
        let (sender, receiver) = std::sync::mpsc::channel();
        let writer = api.clone();
        let first = answered;
        let thread = std::thread::spawn(move || {
            // It ends with the first request that the killed server does not answer.
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for n in first.. {
                    let event = json!({"name": "e", "external_customer_id": "c", "external_id": n.to_string()});
                    writer.ingest(&json!([event]));
                    let _ = sender.send(n + 1);
                }
            }));
            assert!(result.is_err());
        });
        let deadline = Instant::now() + Duration::from_secs(30);
        while answered < first + 50 {
            assert!(Instant::now() < deadline);
            answered = receiver.recv().unwrap();
        }
        server.kill();
        thread.join().unwrap();
        answered = receiver.try_iter().last().unwrap_or(answered);
        server = Server::start(&data);
        api = at(&server, &api);
        let total = api.get("/v1/events/?limit=1").expect(200)["pagination"]["total_count"]
            .as_u64()
            .unwrap();
        // One may have been written and not answered.
        assert!(total == answered || total == answered + 1, "{total} of {answered}");
        answered = total;
    }
}

fn journal(data: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> =
        std::fs::read_dir(data.join("journal")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files.pop().unwrap()
}

/// Where the last byte that is not zero stands, and all bytes.
fn used(path: &Path) -> (usize, Vec<u8>) {
    let mut bytes = Vec::new();
    std::fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    (bytes.iter().rposition(|byte| *byte != 0).unwrap(), bytes)
}

fn overwrite(path: &Path, offset: usize, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(offset as u64)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_journal_torn_at_the_end_loses_the_torn_record_alone() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let api = server.organization();
    let event =
        |name: &str| json!([{"name": name, "external_customer_id": "c", "external_id": name}]);
    for name in ["first", "second", "third"] {
        api.ingest(&event(name));
    }
    let before = api.get("/v1/events/?sorting=timestamp").items();
    server.kill();
    let (end, _) = used(&journal(&data));
    overwrite(&journal(&data), end - 3, &[0; 4]);
    let server = Server::start(&data);
    assert!(server.log().contains("cut off"), "{}", server.log());
    let api = at(&server, &api);
    assert_eq!(api.get("/v1/events/?sorting=timestamp").items(), before[..2]);
    // The torn event was never promised; it can be sent again.
    api.ingest(&event("third"));
    let names = api.get("/v1/events/names?sorting=name").items();
    assert_eq!(
        names.iter().map(|item| text(item, "name")).collect::<Vec<_>>(),
        ["first", "second", "third"]
    );
    server.terminate();
    let server = Server::start(&data);
    assert_eq!(at(&server, &api).get("/v1/events/").items().len(), 3);
}

/// Starts a server that must not start, and returns what it says.
fn refusal(data: &Path) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_floe"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .env("FLOE_ROOT_TOKEN", ROOT_TOKEN)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            let _ = child.kill();
            panic!("it serves what it should refuse");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_journal_damaged_before_its_end_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let api = server.organization();
    for n in 0..5 {
        let metadata = json!({"text": "x".repeat(400)});
        api.ingest(
            &json!([{"name": n.to_string(), "external_customer_id": "c", "metadata": metadata}]),
        );
    }
    server.kill();
    let path = journal(&data);
    let (_, bytes) = used(&path);
    let middle = bytes.windows(100).position(|window| window == [b'x'; 100]).unwrap();
    overwrite(&path, middle, b"y");
    let said = refusal(&data);
    assert!(said.contains("error: "), "{said}");
    let (_, after) = used(&path);
    assert_eq!(after.len(), bytes.len());
    assert!(after[middle] == b'y', "nothing was repaired away");
    // What was there is served again once the byte is back.
    overwrite(&path, middle, b"x");
    let server = Server::start(&data);
    assert_eq!(at(&server, &api).get("/v1/events/").items().len(), 5);
}

#[test]
fn one_folder_has_one_server() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let said = refusal(&data);
    assert!(said.contains("error: "), "{said}");
    server.root().get("/v1/organizations/").expect(200);
}
