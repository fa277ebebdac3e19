//! `POST /v1/events/bulk`, and bodies that are compressed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, Api, Server, organization, raw, read_all, root, server};

const MIB: usize = 1024 * 1024;
const NDJSON: &str = "application/x-ndjson";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A content coding, and what encodes.
type Coding = (&'static str, fn(&[u8]) -> Vec<u8>);

const CODINGS: [Coding; 2] = [("gzip", gzip), ("zstd", zstd)];

/// Sends lines.
#[track_caller]
fn bulk(api: &Api, body: impl Into<Vec<u8>>) -> Answer {
    api.with("Content-Type", NDJSON).send("POST", "/v1/events/bulk", Some(body.into()))
}

fn ingest(api: &Api, coding: &str, body: impl Into<Vec<u8>>) -> Answer {
    let api = api.with("Content-Encoding", coding);
    api.send("POST", "/v1/events/ingest", Some(body.into()))
}

/// Lines of events with external ids that are numbers.
fn lines(numbers: std::ops::Range<usize>) -> String {
    let mut text = String::new();
    for n in numbers {
        let customer = n % 7;
        writeln!(
            text,
            r#"{{"name":"e","external_customer_id":"c{customer}","external_id":"{n}","metadata":{{"n":{n}}}}}"#
        )
        .unwrap();
    }
    text
}

/// How many events there are.
fn total(api: &Api) -> u64 {
    let page = api.get("/v1/events/?limit=1").expect(200);
    page["pagination"]["total_count"].as_u64().unwrap()
}

/// The answer when all lines are right.
fn all(inserted: usize, duplicates: usize) -> Value {
    json!({"inserted": inserted, "duplicates": duplicates, "refused_total": 0, "refused": []})
}

#[test]
fn compressed_batches_are_read() {
    let api = organization();
    let body = br#"{"events":[{"name":"e","external_customer_id":"c"}]}"#;
    for (coding, encode) in CODINGS {
        let (first, second) = body.split_at(20);
        let members = [encode(first), encode(b""), encode(second)].concat();
        for body in [encode(body), members] {
            let answer = ingest(&api, coding, body).expect(200);
            assert_eq!(answer, json!({"inserted": 1, "duplicates": 0}));
        }
    }
    ingest(&api, "identity", body).expect(200);
    ingest(&api, "X-GZIP", gzip(body)).expect(200);
    assert_eq!(total(&api), 6);
    // Other bodies are read alike.
    let organization = json!({"name": "zipped", "slug": format!("z-{}", uuid::Uuid::new_v4())});
    let root = root().with("Content-Encoding", "gzip");
    root.send("POST", "/v1/organizations/", Some(gzip(organization.to_string().as_bytes())))
        .expect(201);
}

#[test]
fn other_codings_are_refused_with_those_there_are() {
    let api = organization();
    for coding in ["br", "deflate", "gzip, gzip", "zstd, gzip", "none"] {
        for (path, kind) in [("/v1/events/ingest", "application/json"), ("/v1/events/bulk", NDJSON)]
        {
            let api = api.with("Content-Encoding", coding).with("Content-Type", kind);
            let answer = api.send("POST", path, Some("x"));
            assert_eq!(answer.status, 415, "{coding}");
            assert_eq!(answer.header("accept-encoding"), Some("gzip, zstd"));
            let text = "The body may be compressed as one of gzip, zstd, or not at all.";
            assert_eq!(answer.json, json!({"error": "UnsupportedMediaType", "detail": text}));
        }
    }
}

#[test]
fn broken_and_truncated_bodies_are_told_apart() {
    let api = organization();
    let body =
        format!(r#"{{"events":[{{"name":"e","external_customer_id":"{}"}}]}}"#, "c".repeat(99));
    for (coding, encode) in CODINGS {
        let whole = encode(body.as_bytes());
        for end in [0, 5, whole.len() - 1] {
            let answer = ingest(&api, coding, &whole[..end]);
            assert_eq!(answer.status, 400, "{coding} {end}: {}", answer.text);
            let text = format!("The body ends before its {coding} data does.");
            assert_eq!(answer.json["detail"], text);
        }
        for wrong in [body.as_bytes().to_vec(), [whole, b"and more".to_vec()].concat()] {
            let answer = ingest(&api, coding, wrong);
            assert_eq!(answer.status, 400, "{coding}: {}", answer.text);
            assert_eq!(
                answer.json["detail"],
                format!("The body is not {coding}, or it is damaged.")
            );
        }
    }
    assert_eq!(total(&api), 0);
}

#[test]
fn the_limit_counts_after_decompression() {
    let api = organization();
    let event = r#"{"events":[{"name":"e","external_customer_id":"c"}]}"#;
    for (coding, encode) in CODINGS {
        let fits = format!("{event}{}", " ".repeat(10 * MIB - event.len()));
        ingest(&api, coding, encode(fits.as_bytes())).expect(200);
        let over = ingest(&api, coding, encode(format!("{fits} ").as_bytes()));
        assert_eq!(over.status, 413);
        assert_eq!(over.json["error"], "RequestBodyTooLarge");
    }
    // What cannot be compressed is a little longer than what it decodes to.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    let fits = format!("{event}{}", " ".repeat(10 * MIB - event.len()));
    encoder.write_all(fits.as_bytes()).unwrap();
    let stored = encoder.finish().unwrap();
    assert!(stored.len() > 10 * MIB);
    ingest(&api, "gzip", stored).expect(200);
    assert_eq!(ingest(&api, "gzip", vec![0; 11 * MIB]).status, 413);
}

#[test]
fn a_bomb_takes_no_memory() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path());
    let api = server.organization();
    let before = server.peak_kib();
    let zeros = vec![b' '; 64 * MIB];
    let bombs = [("gzip", gzip(&zeros).repeat(8)), ("zstd", zstd(&zeros).repeat(8))];
    drop(zeros);
    for (coding, bomb) in &bombs {
        assert!(bomb.len() < 5 * MIB);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(ingest(&api, coding, bomb.clone()).status, 413));
            }
        });
        // A line has a limit, a body has none.
        let api = api.with("Content-Encoding", coding);
        let answer = bulk(&api, bomb.clone()).expect(200);
        assert_eq!((&answer["inserted"], &answer["refused_total"]), (&json!(0), &json!(1)));
        assert_eq!(answer["refused"][0]["detail"][0]["type"], "line_too_long");
    }
    if let (Some(before), Some(after)) = (before, server.peak_kib()) {
        assert!(after < before + 200 * 1024, "{before} KiB, then {after} KiB");
    }
}

#[test]
fn lines_are_stored() {
    let api = organization();
    let text = concat!(
        r#"{"name":"a","external_customer_id":"c","metadata":{"n":1}}"#,
        "\r\n\n  \r\n",
        r#" { "name" : "a" , "external_customer_id" : "c", "metadata": {"n": 2, "n": 20} } "#,
        "\n",
        r#"{"name":"a","external_customer_id":"c","metadata":{"n":3}}"#,
    );
    assert_eq!(bulk(&api, text).expect(200), all(3, 0));
    let meter = api.meter(&json!([]), &json!({"func": "sum", "property": "n"}));
    let today =
        [("start_timestamp", "2023-01-01T00:00:00Z"), ("end_timestamp", "2027-01-01T00:00:00Z")];
    let path = format!("/v1/meters/{meter}/quantities");
    let sum = api.query(&path, &[&today[..], &[("interval", "year")]].concat()).expect(200);
    assert_eq!(sum["total"], 24.0);
    assert_eq!(bulk(&api, "").expect(200), all(0, 0));
    assert_eq!(bulk(&api, "\n\n\r\n").expect(200), all(0, 0));
    let typed = api.with("Content-Type", "Application/X-NDJSON; charset=utf-8");
    let answer = typed.send("POST", "/api/v1/events/bulk/", Some(lines(0..2)));
    assert_eq!(answer.expect(200), all(2, 0));
}

#[test]
fn who_may_not_is_refused() {
    let api = organization();
    let reader = server().token(&api.organization_id, &["events:read"]);
    assert_eq!(bulk(&reader, lines(0..1)).status, 403);
    assert_eq!(bulk(&api.anonymous(), lines(0..1)).status, 401);
    assert_eq!(bulk(&api.with_token("nobody-has-this"), lines(0..1)).status, 401);
    let get = api.get("/v1/events/bulk");
    // An event of that id would be asked for: the path is another one.
    assert_eq!(get.status, 405);
    for kind in ["application/json", "text/plain", "application/ndjson", ""] {
        let answer =
            api.with("Content-Type", kind).send("POST", "/v1/events/bulk", Some(lines(0..1)));
        assert_eq!(answer.status, 415, "{kind}");
        assert_eq!(answer.header("accept"), Some(NDJSON));
        let text = "The body must be of the type application/x-ndjson.";
        assert_eq!(answer.json, json!({"error": "UnsupportedMediaType", "detail": text}));
    }
    assert_eq!(total(&api), 0);
}

#[test]
fn lines_are_refused_as_a_batch_would_be() {
    let api = organization();
    let unknown = uuid::Uuid::new_v4();
    let wrong = [
        r#"{"external_customer_id":"c"}"#.to_owned(),
        r#"{"name":"e"}"#.to_owned(),
        r#"{"name":5,"external_customer_id":null,"metadata":{"a":[],"b":{}}}"#.to_owned(),
        r#"{"name":"e","external_customer_id":"c","timestamp":"2999-01-01T00:00:00Z"}"#.to_owned(),
        r#"{"name":"e","external_customer_id":"c","timestamp":"2024-01-01"}"#.to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "17".to_owned(),
        format!(r#"{{"name":"e","customer_id":"{unknown}"}}"#),
        format!(r#"{{"name":"e","external_customer_id":"c","organization_id":"{unknown}"}}"#),
        format!(r#"{{"name":"e","customer_id":"{unknown}","member_id":"{unknown}"}}"#),
        r#"{"name":"a\u0000","external_customer_id":"c"}"#.to_owned(),
        format!(r#"{{"name":"{}","external_customer_id":"c"}}"#, "é".repeat(129)),
    ];
    for line in &wrong {
        let batch =
            api.send("POST", "/v1/events/ingest", Some(format!(r#"{{"events":[{line}]}}"#)));
        assert_eq!(batch.status, 422, "{line}");
        let mut detail = batch.json["detail"].clone();
        for item in detail.as_array_mut().unwrap() {
            let loc = item["loc"].as_array_mut().unwrap();
            assert_eq!(loc[..3], [json!("body"), json!("events"), json!(0)]);
            loc.drain(..3);
        }
        // Those around it are stored.
        let before = total(&api);
        let answer = bulk(&api, format!("{}\n{line}\n{}", good(1), good(2))).expect(200);
        let refused = json!([{"line": 2, "detail": detail}]);
        let expected =
            json!({"inserted": 2, "duplicates": 0, "refused_total": 1, "refused": refused});
        assert_eq!(answer, expected);
        assert_eq!(total(&api), before + 2);
    }
}

fn good(n: usize) -> String {
    format!(r#"{{"name":"e","external_customer_id":"c","metadata":{{"n":{n}}}}}"#)
}

#[test]
fn what_is_no_line_of_json_is_refused_by_itself() {
    let api = organization();
    // Two events in a line, and an event in two lines.
    let pair = format!("{},{}", good(1), good(2));
    let text =
        format!("{pair}\n{}\n{{\"name\":\"e\",\n\"external_customer_id\":\"c\"}}\n", good(3));
    let mut body = text.into_bytes();
    body.extend_from_slice(b"{\"name\":\"\xff\",\"external_customer_id\":\"c\"}\n");
    body.extend_from_slice(good(4).as_bytes());
    let answer = bulk(&api, body).expect(200);
    assert_eq!((&answer["inserted"], &answer["refused_total"]), (&json!(2), &json!(4)));
    let refused = answer["refused"].as_array().unwrap();
    let numbers: Vec<_> = refused.iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 3, 4, 5]);
    for line in refused {
        let [item] = line["detail"].as_array().unwrap().as_slice() else { panic!("{line}") };
        assert_eq!(item["type"], "json_invalid");
    }
    assert_eq!(refused[0]["detail"][0]["loc"], json!([good(1).len()]));
    assert_eq!(refused[3]["detail"][0]["ctx"]["error"], "the line is not UTF-8");
}

#[test]
fn a_line_over_1_mib_is_refused_and_reading_goes_on() {
    let api = organization();
    let padded = |length: usize| {
        let event = good(1);
        format!("{event}{}", " ".repeat(length - event.len()))
    };
    let text = [padded(MIB), padded(MIB + 1), padded(5 * MIB), good(2)].join("\r\n");
    let answer = bulk(&api, text).expect(200);
    assert_eq!(answer["inserted"], 2);
    let line = |n: u64| {
        let msg = "A line should have at most 1048576 bytes";
        let item = json!({"type": "line_too_long", "loc": [], "msg": msg, "input": null});
        json!({"line": n, "detail": [item]})
    };
    assert_eq!(answer["refused"], json!([line(2), line(3)]));
}

#[test]
fn of_very_many_refused_lines_the_first_thousand_are_told() {
    let api = organization();
    let mut text = "{}\n".repeat(50_000);
    text.push_str(&lines(0..10));
    text.push_str(&"x\n".repeat(50_000));
    let answer = bulk(&api, text).expect(200);
    assert_eq!((&answer["inserted"], &answer["refused_total"]), (&json!(10), &json!(100_000)));
    let refused = answer["refused"].as_array().unwrap();
    assert!(refused.iter().map(|line| line["line"].as_u64().unwrap()).eq(1..=1000));
}

#[test]
fn the_answer_about_refused_lines_is_bounded() {
    let api = organization();
    // Each line has thousands of errors, and long ones.
    let keys: Vec<_> = (0..5000).map(|n| format!(r#""k{n}":[]"#)).collect();
    let many =
        format!(r#"{{"name":"e","external_customer_id":"c","metadata":{{{}}}}}"#, keys.join(","));
    let long = format!(r#"{{"name":"{}"}}"#, "n".repeat(500_000));
    let text = format!("{many}\n{long}\n").repeat(20);
    let answer = bulk(&api, text);
    assert!(answer.text.len() < 2 * MIB, "{}", answer.text.len());
    let answer = answer.expect(200);
    let refused = answer["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 40);
    assert_eq!(refused[0]["detail"].as_array().unwrap().len(), 20);
    assert_eq!(refused[1]["detail"][0]["type"], "string_too_long");
    assert_eq!(refused[1]["detail"][0]["input"], Value::Null);
}

#[test]
fn bodies_over_10_mib_are_stored_compressed_or_not() {
    let api = organization();
    let count = 200_000;
    let text = lines(0..count);
    assert!(text.len() > 15 * MIB);
    assert_eq!(bulk(&api, text.clone()).expect(200), all(count, 0));
    for (coding, encode) in CODINGS {
        let api = api.with("Content-Encoding", coding);
        // Members and frames end where they like.
        let (first, second) = text.as_bytes().split_at(3_333_333);
        let body = [encode(first), encode(second)].concat();
        assert_eq!(bulk(&api, body).expect(200), all(0, count));
    }
    assert_eq!(total(&api), count as u64);
}

#[test]
fn external_ids_count_once_within_blocks_between_them_and_at_once() {
    let api = organization();
    // In a block twice, and again many blocks later.
    let text = format!("{}{}{}{}", lines(0..5), lines(0..5), lines(0..5000), lines(2000..2500));
    assert_eq!(bulk(&api, text).expect(200), all(5000, 510));
    let text = lines(10_000..40_000);
    let counts = std::thread::scope(|scope| {
        let senders: Vec<_> =
            (0..2).map(|_| scope.spawn(|| bulk(&api, text.clone()).expect(200))).collect();
        let answers = senders.into_iter().map(|sender| sender.join().unwrap());
        answers.fold([0, 0], |[inserted, duplicates], answer| {
            let number = |key: &str| answer[key].as_u64().unwrap();
            [inserted + number("inserted"), duplicates + number("duplicates")]
        })
    });
    assert_eq!(counts, [30_000, 30_000]);
    assert_eq!(total(&api), 35_000);
}

#[test]
fn the_root_token_names_an_organization_in_each_line() {
    let (api, other) = (organization(), organization());
    let line =
        |id: &str| format!(r#"{{"name":"e","external_customer_id":"c","organization_id":"{id}"}}"#);
    let unknown = uuid::Uuid::new_v4().to_string();
    let ids = [&unknown, &api.organization_id, &other.organization_id, &api.organization_id];
    let mut text: Vec<_> = ids.iter().map(|id| line(id)).collect();
    text.push(good(1));
    let answer = bulk(&root(), text.join("\n")).expect(200);
    assert_eq!((&answer["inserted"], &answer["refused_total"]), (&json!(2), &json!(3)));
    let refused: Vec<_> = answer["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["line"].as_u64().unwrap(), line["detail"][0]["msg"].as_str().unwrap()))
        .collect();
    let expected = [
        (1, "Organization not found."),
        (3, "All events of a body must be of one organization."),
        (5, "Field required"),
    ];
    assert_eq!(refused, expected);
    assert_eq!((total(&api), total(&other)), (2, 0));
    let acting = root().with("Polar-Organization", &other.organization_id);
    assert_eq!(bulk(&acting, lines(0..3)).expect(200), all(3, 0));
    assert_eq!(total(&other), 3);
}

/// A connection on which a body of lines is sent by hand, in chunks.
struct Sender(TcpStream);

impl Sender {
    fn new(api: &Api, more: &str) -> Self {
        let mut stream = TcpStream::connect(api.address).unwrap();
        let token = api.token.as_deref().unwrap();
        let head = format!(
            "POST /v1/events/bulk HTTP/1.1\r\nHost: floe\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {NDJSON}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n{more}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        Self(stream)
    }

    fn chunk(&mut self, bytes: &[u8]) {
        let head = format!("{:x}\r\n", bytes.len());
        self.0.write_all(&[head.as_bytes(), bytes, b"\r\n"].concat()).unwrap();
    }

    fn answer(&mut self) -> String {
        read_all(&mut self.0, Duration::from_secs(60))
    }
}

/// Waits until so many events are there.
#[track_caller]
fn wait_for(api: &Api, count: u64) {
    let began = Instant::now();
    while total(api) < count {
        assert!(began.elapsed() < Duration::from_secs(60), "{} of {count}", total(api));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn blocks_are_visible_before_the_body_ends_and_stay_when_the_sender_goes_away() {
    let api = organization();
    let mut sender = Sender::new(&api, "");
    sender.chunk(lines(0..2500).as_bytes());
    wait_for(&api, 2000);
    drop(sender);
    // The rest of a block that never came to its end is not stored.
    api.anonymous().get("/healthz").expect(200);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(total(&api), 2000);
    // Sent again, each counts once.
    assert_eq!(bulk(&api, lines(0..2500)).expect(200), all(500, 2000));
}

#[test]
fn a_compressed_body_that_breaks_says_what_was_stored() {
    let api = organization();
    for (coding, encode) in CODINGS {
        let before = total(&api);
        let start = usize::try_from(before).unwrap();
        let whole = encode(lines(start..start + 3000).as_bytes());
        let sent = [&whole[..], b"this is no frame"].concat();
        let answer = bulk(&api.with("Content-Encoding", coding), sent);
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert_eq!(answer.json["detail"], format!("The body is not {coding}, or it is damaged."));
        let inserted = answer.json["inserted"].as_u64().unwrap();
        assert_eq!(total(&api), before + inserted);
        assert!((2000..=3000).contains(&inserted) && inserted.is_multiple_of(1000), "{inserted}");
        let answer = bulk(&api.with("Content-Encoding", coding), &whole[..whole.len() - 2]);
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert_eq!(answer.json["detail"], format!("The body ends before its {coding} data does."));
    }
}

#[test]
fn a_sender_that_stops_is_let_go() {
    let api = organization();
    let mut sender = Sender::new(&api, "");
    sender.chunk(lines(0..1500).as_bytes());
    let answer = sender.answer();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#""inserted":1000"#), "{answer}");
}

#[test]
fn a_sender_that_drips_is_let_go() {
    let api = organization();
    let mut sender = Sender::new(&api, "");
    let mut drops = sender.0.try_clone().unwrap();
    // A drop is never long in coming, so that only their number can end it.
    let dripping = std::thread::spawn(move || {
        for _ in 0..700 {
            if drops.write_all(b"1\r\n\n\r\n").is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let answer = sender.answer();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    drop(sender);
    dripping.join().unwrap();
}

#[test]
fn a_body_that_is_not_chunked_right_is_refused() {
    let api = organization();
    let token = api.token.as_deref().unwrap();
    let request = format!(
        "POST /v1/events/bulk HTTP/1.1\r\nHost: floe\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: {NDJSON}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    );
    let answer = raw(api.address, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_disk_that_is_full_ends_it_with_what_was_stored() {
    let folder = TempDir::new().unwrap();
    // Every new file of the journal is longer than that.
    let server = Server::start_limited(&folder.path().join("data"), 5000);
    let api = server.organization();
    let answer = api.with("Content-Type", NDJSON).send_unchecked(
        "POST",
        "/v1/events/bulk",
        Some(lines(0..300_000)),
    );
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.json["error"], "ServiceUnavailable");
    assert!(answer.header("retry-after").is_some());
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.starts_with("writing stopped: "), "{detail}");
    let inserted = answer.json["inserted"].as_u64().unwrap();
    assert!((1..300_000).contains(&inserted) && inserted.is_multiple_of(1000), "{inserted}");
    assert_eq!(total(&api), inserted);
    // All that was answered is there, and the rest can be sent again.
    server.terminate();
    let server = Server::start(&folder.path().join("data"));
    let api = Api { address: server.address, ..api };
    let stored = total(&api);
    assert!(stored >= inserted);
    let answer = bulk(&api, lines(0..300_000)).expect(200);
    let stored = usize::try_from(stored).unwrap();
    assert_eq!(answer, all(300_000 - stored, stored));
}
