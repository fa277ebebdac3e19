//! What no honest client sends. The server refuses it, cheaply, and serves the next request.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Api, organization, raw, read_all, server, text};

const MIB: usize = 1024 * 1024;

/// The head of an ingestion, with further lines.
fn head(api: &Api, lines: &str) -> String {
    let token = api.token.as_deref().unwrap();
    format!(
        "POST /v1/events/ingest HTTP/1.1\r\nHost: floe\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n{lines}\r\n"
    )
}

/// The server still serves, and nothing panicked.
fn check_alive(api: &Api) {
    api.anonymous().get("/healthz").expect(200);
    assert!(!server().log().contains("\"panicked\""), "{}", server().log());
}

#[test]
fn a_chunked_body_over_10_mib_is_refused_while_it_streams() {
    let api = organization();
    let mut stream = TcpStream::connect(api.address).unwrap();
    stream.write_all(head(&api, "Transfer-Encoding: chunked\r\n").as_bytes()).unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", MIB, " ".repeat(MIB));
    let mut sent = 0;
    // It never ends: only the limit can stop it.
    while sent < 64 && stream.write_all(chunk.as_bytes()).is_ok() {
        sent += 1;
    }
    let answer = read_all(&mut stream, Duration::from_secs(5));
    assert!(sent < 64, "the server must not read on");
    // A reset may have overtaken the answer.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Just over the limit, the answer is read.
    let mut stream = TcpStream::connect(api.address).unwrap();
    stream.write_all(head(&api, "Transfer-Encoding: chunked\r\n").as_bytes()).unwrap();
    for _ in 0..10 {
        stream.write_all(chunk.as_bytes()).unwrap();
    }
    stream.write_all(b"1\r\n \r\n").unwrap();
    let answer = read_all(&mut stream, Duration::from_secs(5));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    check_alive(&api);
}

#[test]
fn a_client_that_sends_all_of_a_body_over_the_limit_reads_why_it_is_refused() {
    let api = organization();
    for announced in [true, false] {
        let mut stream = TcpStream::connect(api.address).unwrap();
        let framing = if announced {
            format!("Content-Length: {}\r\n", 12 * MIB)
        } else {
            "Transfer-Encoding: chunked\r\n".to_owned()
        };
        stream.write_all(head(&api, &framing).as_bytes()).unwrap();
        for _ in 0..12 {
            let spaces = " ".repeat(MIB);
            let piece = if announced { spaces } else { format!("{MIB:x}\r\n{spaces}\r\n") };
            stream.write_all(piece.as_bytes()).unwrap();
        }
        if !announced {
            stream.write_all(b"0\r\n\r\n").unwrap();
        }
        let answer = read_all(&mut stream, Duration::from_secs(5));
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[test]
fn a_client_that_drips_a_body_over_the_limit_is_let_go() {
    let api = organization();
    let mut stream = TcpStream::connect(api.address).unwrap();
    let framing = format!("Content-Length: {}\r\n", 12 * MIB);
    stream.write_all(head(&api, &framing).as_bytes()).unwrap();
    let mut drops = stream.try_clone().unwrap();
    // A drop is never long in coming, so that only the whole time can end it.
    let dripping = std::thread::spawn(move || {
        for _ in 0..300 {
            if drops.write_all(b" ").is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let answer = read_all(&mut stream, Duration::from_secs(20));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    dripping.join().unwrap();
}

#[test]
fn a_chunked_body_within_the_limit_is_read() {
    let api = organization();
    let body = r#"{"events":[{"name":"e","external_customer_id":"c"}]}"#;
    let (first, second) = body.split_at(20);
    let request = format!(
        "{}{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        head(&api, "Transfer-Encoding: chunked\r\nConnection: close\r\n"),
        first.len(),
        second.len(),
    );
    let answer = raw(api.address, request.as_bytes());
    assert!(answer.ends_with(r#"{"inserted":1,"duplicates":0}"#), "{answer}");
}

#[test]
fn ten_mebibytes_of_minimal_events_are_counted_right() {
    let api = organization();
    let meter = api.count_meter();
    let event = r#"{"name":"","external_customer_id":"","timestamp":0}"#;
    let (start, end) = (r#"{"events":["#, "]}");
    let count = (10 * MIB - start.len() - end.len() + 1) / (event.len() + 1);
    let mut body = String::with_capacity(10 * MIB);
    body.push_str(start);
    for n in 0..count {
        if n > 0 {
            body.push(',');
        }
        body.push_str(event);
    }
    body.push_str(end);
    // To the last byte that is allowed.
    body.push_str(&" ".repeat(10 * MIB - body.len()));
    let answer = api.send("POST", "/v1/events/ingest", Some(body)).expect(200);
    assert_eq!(answer, json!({"inserted": count, "duplicates": 0}));
    let page = api.get("/v1/events/?limit=1").expect(200);
    assert_eq!(page["pagination"]["total_count"], count);
    let epoch = json!([{"property": "timestamp", "operator": "eq", "value": 0}]).to_string();
    let filter = format!(r#"{{"conjunction":"and","clauses":{epoch}}}"#);
    let page = api.query("/v1/events/", &[("filter", &filter), ("meter_id", &meter)]).expect(200);
    assert_eq!(page["pagination"]["total_count"], count);
}

#[test]
fn deep_nesting_is_refused_without_a_crash() {
    let api = organization();
    let deep = |open: &str, close: &str, levels: usize| {
        format!("{}{}", open.repeat(levels), close.repeat(levels))
    };
    for body in [
        deep("[", "]", 100_000),
        deep("{\"a\":", "}", 100_000).replace(":}", ":1}"),
        "[".repeat(1_000_000),
        "{\"a\":".repeat(1_000_000),
        format!(
            "{{\"events\":[{{\"name\":\"e\",\"external_customer_id\":\"c\",\"metadata\":{{\"a\":{}}}}}]}}",
            deep("[", "]", 100_000)
        ),
        format!("{{\"nonsense\":{},\"events\":5}}", deep("[", "]", 100_000)),
    ] {
        assert_eq!(api.send("POST", "/v1/events/ingest", Some(body)).status, 422);
    }
    check_alive(&api);
}

/// A filter of `levels` levels, the outermost included.
fn nested(levels: usize) -> Value {
    let mut filter = json!({"conjunction": "and", "clauses": []});
    for _ in 1..levels {
        filter = json!({"conjunction": "or", "clauses": [filter]});
    }
    filter
}

#[test]
fn filters_nest_64_levels_deep_and_no_more() {
    let api = organization();
    let make = |levels: usize| {
        let body =
            json!({"name": "abc", "filter": nested(levels), "aggregation": {"func": "count"}});
        api.post("/v1/meters/", &body)
    };
    // It nests deeper than this side reads JSON.
    let made = make(64);
    assert_eq!(made.status, 201);
    let meter = made.text.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap();
    let span =
        "interval=day&start_timestamp=2024-01-01T00:00:00Z&end_timestamp=2024-01-01T00:00:00Z";
    api.get(&format!("/v1/meters/{meter}/quantities?{span}")).expect(200);
    let refused = |answer: crate::harness::Answer, loc: &str| {
        assert_eq!(answer.status, 422);
        assert!(answer.text.contains(&format!(r#""type":"value_error","loc":{loc}"#)));
        assert_eq!(answer.text.matches(r#""type":"#).count(), 1, "{}", answer.text);
    };
    for levels in [65, 66, 120] {
        refused(make(levels), r#"["body","filter"]"#);
        let answer = api.query("/v1/events/", &[("filter", &nested(levels).to_string())]);
        refused(answer, r#"["query","filter"]"#);
    }
    api.query("/v1/events/", &[("filter", &nested(64).to_string())]).expect(200);
    let text = format!(
        "{{\"name\":\"abc\",\"aggregation\":{{\"func\":\"count\"}},\"filter\":{}{}}}",
        r#"{"conjunction":"and","clauses":["#.repeat(500),
        "]}".repeat(500),
    );
    refused(api.send("POST", "/v1/meters/", Some(text)), r#"["body","filter"]"#);
    check_alive(&api);
}

#[test]
fn a_filter_of_very_many_clauses_is_answered() {
    let api = organization();
    let clause = json!({"property": "a", "operator": "eq", "value": 1});
    let body = json!({
        "name": "abc", "aggregation": {"func": "count"},
        "filter": {"conjunction": "or", "clauses": vec![clause; 20_000]},
    });
    assert!([201, 422].contains(&api.post("/v1/meters/", &body).status));
    check_alive(&api);
}

#[test]
fn nul_in_queries_and_paths_finds_nothing() {
    let api = organization();
    api.ingest(&json!([{"name": "e", "external_customer_id": "c"}]));
    for path in [
        "/v1/events/?query=a%00b",
        "/v1/events/?name=%00",
        "/v1/events/?metadata[%00]=%00",
        "/v1/meters/?query=%00",
        "/v1/customers/?email=%00",
        "/v1/events/?external_customer_id=%00",
    ] {
        let answer = api.get(path);
        assert!(answer.status == 422 || answer.items().is_empty(), "{path}");
    }
    assert_eq!(api.get("/v1/customers/external/%00").status, 404);
}

/// The answer to an event with this text as the value of `a` in its metadata.
fn with_value(api: &Api, value: &str) -> crate::harness::Answer {
    let body = format!(
        r#"{{"events":[{{"name":"e","external_customer_id":"c","metadata":{{"a":{value}}}}}]}}"#
    );
    api.send("POST", "/v1/events/ingest", Some(body))
}

#[test]
fn numbers_that_are_none_are_refused() {
    let api = organization();
    for value in ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e999999999"] {
        let errors = with_value(&api, value).errors();
        let float = "float_type@body.events.0.EventCreateExternalCustomer.metadata.a.float";
        assert!(errors.iter().any(|error| error == float), "{value}: {errors:?}");
    }
    for value in ["1e-400", "0.0000000000000000000000000000000000000001", "-0.0", "5e-324"] {
        with_value(&api, value).expect(200);
    }
}

#[test]
fn integers_have_4300_digits_and_no_more() {
    let api = organization();
    with_value(&api, &"9".repeat(4300)).expect(200);
    with_value(&api, &format!("-{}", "9".repeat(4300))).expect(200);
    for digits in [4301, 100_000] {
        assert_eq!(with_value(&api, &"9".repeat(digits)).status, 422, "{digits}");
    }
    let listed = api.get("/v1/events/").text;
    assert!(listed.contains(&format!(":-{}", "9".repeat(4300))));
    assert_eq!(listed.matches("\"name\":\"e\"").count(), 2);
}

#[test]
fn a_refused_number_is_told_with_all_its_digits() {
    let body = r#"{"events":[],"events":123456789012345678901234567890}"#;
    let answer = organization().send("POST", "/v1/events/ingest", Some(body));
    answer.refuses("list_type@body.events");
    assert!(answer.text.contains("\"input\":123456789012345678901234567890"), "{}", answer.text);
}

#[test]
fn lone_surrogates_are_refused_and_pairs_are_not() {
    let api = organization();
    for value in [r#""\ud800""#, r#""\udc00""#, r#""a\ud83d""#, r#""\ud83d\ud83d""#] {
        assert_eq!(with_value(&api, value).status, 422, "{value}");
    }
    with_value(&api, r#""\ud83d\ude00""#).expect(200);
    assert_eq!(api.get("/v1/events/").items()[0]["metadata"]["a"], "\u{1f600}");
    for body in [
        r#"{"events":[{"name":"\ud800","external_customer_id":"c"}]}"#,
        r#"{"events":[{"name":"e","external_customer_id":"\ud800"}]}"#,
        r#"{"events":[{"name":"e","external_customer_id":"c","metadata":{"\ud800":1}}]}"#,
    ] {
        assert_eq!(api.send("POST", "/v1/events/ingest", Some(body)).status, 422, "{body}");
    }
}

#[test]
fn garbage_on_the_socket_ends_its_connection_alone() {
    let api = organization();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/meters/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/meters/ HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /v1/meters/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /v1/meters/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://elsewhere/v1/meters/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        &[0; 4096],
    ] {
        let mut stream = TcpStream::connect(api.address).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let answer = read_all(&mut stream, Duration::from_secs(2));
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(refused, "{bytes:?}: {answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(200_000));
    let answer = raw(api.address, long.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    let answer = raw(api.address, many.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    check_alive(&api);
}

#[test]
fn half_a_request_stores_nothing() {
    let api = organization();
    let body = r#"{"events":[{"name":"e","external_customer_id":"c"}]}"#;
    let request =
        format!("{}{body}", head(&api, &format!("Content-Length: {}\r\n", body.len() + 1)));
    for end in [10, request.len() / 2, request.len() - 5, request.len()] {
        let mut stream = TcpStream::connect(api.address).unwrap();
        stream.write_all(&request.as_bytes()[..end]).unwrap();
        drop(stream);
    }
    let mut chunked = TcpStream::connect(api.address).unwrap();
    let request =
        format!("{}{:x}\r\n{body}\r\n", head(&api, "Transfer-Encoding: chunked\r\n"), body.len());
    chunked.write_all(request.as_bytes()).unwrap();
    drop(chunked);
    // A whole request behind them is served, and sees nothing of them.
    check_alive(&api);
    assert!(api.get("/v1/events/").items().is_empty());
}

#[test]
fn a_slow_body_holds_up_nobody() {
    let api = organization();
    let body = r#"{"events":[{"name":"e","external_customer_id":"c"}]}"#;
    let mut slow = TcpStream::connect(api.address).unwrap();
    slow.write_all(head(&api, &format!("Content-Length: {}\r\n", body.len())).as_bytes()).unwrap();
    for byte in body.bytes() {
        slow.write_all(&[byte]).unwrap();
        let began = Instant::now();
        api.get("/v1/events/?limit=1").expect(200);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    let mut answer = [0; 15];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[test]
fn two_hundred_idle_connections_hold_up_nobody() {
    let api = organization();
    let idle: Vec<_> = (0..200)
        .map(|n| {
            let mut stream = TcpStream::connect(api.address).unwrap();
            if n % 2 == 0 {
                stream.write_all(b"GET /healthz HTT").unwrap();
            }
            stream
        })
        .collect();
    let began = Instant::now();
    api.ingest(&json!([{"name": "e", "external_customer_id": "c"}]));
    api.get("/v1/events/").expect(200);
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(idle);
}

#[test]
fn of_racing_events_with_one_external_id_exactly_one_is_stored() {
    let api = organization();
    for round in 0..20 {
        let body = json!({"events": [
            {"name": "e", "external_customer_id": "c", "external_id": format!("race-{round}")},
        ]});
        let inserted: u64 = std::thread::scope(|scope| {
            let send = || api.post("/v1/events/ingest", &body).expect(200);
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(send)).collect();
            let answers = racers.into_iter().map(|racer| racer.join().unwrap());
            answers
                .map(|answer| {
                    let of = |key: &str| answer[key].as_u64().unwrap();
                    assert_eq!(of("inserted") + of("duplicates"), 1);
                    of("inserted")
                })
                .sum()
        });
        assert_eq!(inserted, 1);
    }
    assert_eq!(api.get("/v1/events/").expect(200)["pagination"]["total_count"], 20);
}

#[test]
fn of_racing_customers_with_one_address_exactly_one_is_made() {
    let api = organization();
    let body = json!({"email": "race@example.com", "external_id": "race"});
    let made = std::thread::scope(|scope| {
        let send = || api.post("/v1/customers/", &body).status;
        let racers: Vec<_> = (0..6).map(|_| scope.spawn(send)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(made.iter().filter(|status| **status == 201).count(), 1, "{made:?}");
    assert!(made.iter().all(|status| [201, 422].contains(status)), "{made:?}");
}

#[test]
fn of_racing_credits_with_one_external_id_exactly_one_counts() {
    let api = organization();
    api.count_meter();
    api.customer("a@example.com", None);
    let row = text(&api.get("/v1/customer-meters/").items()[0], "id").to_owned();
    let path = format!("/v1/customer-meters/{row}/credits");
    let made = std::thread::scope(|scope| {
        let send = || api.post(&path, &json!({"units": 7, "external_id": "race"})).status;
        let racers: Vec<_> = (0..6).map(|_| scope.spawn(send)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(made.iter().filter(|status| **status == 201).count(), 1, "{made:?}");
    assert_eq!(api.get(&format!("/v1/customer-meters/{row}")).expect(200)["credited_units"], 7);
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let address = server().address;
    let request = "GET /healthz HTTP/1.1\r\nHost: floe\r\n\r\n";
    let last = "GET /nonsense HTTP/1.1\r\nHost: floe\r\nConnection: close\r\n\r\n";
    let answer = raw(address, format!("{request}{request}{last}").as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 404 ").count(), 1, "{answer}");
}
