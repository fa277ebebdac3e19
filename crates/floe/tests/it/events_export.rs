//! `GET /v1/events/export`: what is written, and that it can be ingested elsewhere and count the
//! same.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::call;
use crate::harness::{Api, Server, client, encode, id, organization, root, server, text};

const SPAN: [(&str, &str); 2] =
    [("start_timestamp", "2024-01-01T00:00:00Z"), ("end_timestamp", "2024-01-31T23:59:59Z")];

fn request(api: &Api, parameters: &[(&str, &str)]) -> reqwest::blocking::Response {
    let url = format!("http://{}/v1/events/export?{}", api.address, encode(parameters));
    let request = client().get(url).bearer_auth(api.token.as_deref().unwrap());
    let answer = request.send().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    assert_eq!(answer.headers()["cache-control"], "private, no-store");
    answer
}

pub(crate) fn export(api: &Api, parameters: &[(&str, &str)]) -> String {
    request(api, parameters).text().unwrap()
}

fn parsed(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Ingests lines as they are, text by text: how numbers are written matters.
fn import(api: &Api, lines: &str) -> (u64, u64) {
    let (mut inserted, mut duplicates) = (0, 0);
    for batch in lines.lines().collect::<Vec<_>>().chunks(37) {
        let body = format!(r#"{{"events":[{}]}}"#, batch.join(","));
        let answer = api.send("POST", "/v1/events/ingest", Some(body)).expect(200);
        inserted += answer["inserted"].as_u64().unwrap();
        duplicates += answer["duplicates"].as_u64().unwrap();
    }
    (inserted, duplicates)
}

/// The ids of events by their names.
fn ids(api: &Api) -> HashMap<String, String> {
    let mut found = HashMap::new();
    for number in 1.. {
        let page = api.get(&format!("/v1/events/?limit=100&page={number}&source=user")).items();
        if page.is_empty() {
            return found;
        }
        found.extend(page.iter().map(|event| (text(event, "name").to_owned(), id(event))));
    }
    found
}

#[test]
fn lines_are_what_ingestion_takes_in_order_of_ingestion() {
    let api = organization();
    assert_eq!(export(&api, &[]), "");
    let ada = id(&api.customer("ada@example.com", Some("ada")));
    let bob = id(&api.customer("bob@example.com", None));
    let gone = id(&api.customer("gone@example.com", Some("gone")));
    let body = r#"{"events":[
        {"name":"first","external_customer_id":"ада \"x\"","timestamp":"2024-01-02T03:04:05.678+01:00",
         "external_member_id":"m","external_id":"1",
         "metadata":{"i":7,"f":7.0,"e":1e20,"big":123456789012345678901234567890,"t":"\u0001🦀",
          "b":false,"_cost":{"amount":"0.100000000001","currency":"usd"}}},
        {"name":"second","customer_id":"ADA","timestamp":"2024-01-01T00:00:00Z"},
        {"name":"third","customer_id":"BOB","timestamp":"2024-01-03T00:00:00Z","external_id":"3"},
        {"name":"fourth","customer_id":"GONE","timestamp":"2024-01-03T00:00:00Z","external_id":"4"}
    ]}"#;
    let body = body.replace("ADA", &ada).replace("BOB", &bob).replace("GONE", &gone);
    api.send("POST", "/v1/events/ingest", Some(body)).expect(200);
    let ids = ids(&api);
    let child = |name: &str, parent: &str| {
        json!({"name": name, "external_customer_id": "ada", "parent_id": parent, "external_id": name,
               "timestamp": "2024-01-04T00:00:00Z"})
    };
    api.ingest(&json!([
        child("by id of one with an external id", &ids["first"].to_uppercase()),
        child("by id", &ids["second"]),
        child("by external id", "3"),
        child("to come", "later"),
    ]));
    api.delete(&format!("/v1/customers/{gone}")).expect(204);
    let meter = api.count_meter();
    for row in api.get(&format!("/v1/customer-meters/?meter_id={meter}")).items() {
        let path = format!("/v1/customer-meters/{}/credits", id(&row));
        api.post(&path, &json!({"units": 5})).expect(201);
    }
    let child = |name: &str, parent: &str| {
        format!(
            "{{\"name\":\"{name}\",\"timestamp\":\"2024-01-04T00:00:00Z\",\
             \"external_customer_id\":\"ada\",\"external_id\":\"{name}\",\
             \"parent_id\":\"{parent}\",\"metadata\":{{}}}}\n"
        )
    };
    let second = &ids["second"];
    let expected = [
        concat!(
            r#"{"name":"first","timestamp":"2024-01-02T02:04:05.678000Z","#,
            r#""external_customer_id":"ада \"x\"","external_member_id":"m","external_id":"1","#,
            r#""metadata":{"i":7,"f":7.0,"e":1e+20,"big":123456789012345678901234567890,"#,
            r#""t":"\u0001🦀","b":false,"_cost":{"amount":"0.100000000001","currency":"usd"}}}"#,
            "\n"
        )
        .to_owned(),
        format!(
            "{{\"name\":\"second\",\"timestamp\":\"2024-01-01T00:00:00Z\",\
             \"external_customer_id\":\"ada\",\"external_id\":\"{second}\",\"metadata\":{{}}}}\n"
        ),
        format!(
            "{{\"name\":\"third\",\"timestamp\":\"2024-01-03T00:00:00Z\",\
             \"customer_id\":\"{bob}\",\"external_id\":\"3\",\"metadata\":{{}}}}\n"
        ),
        format!(
            "{{\"name\":\"fourth\",\"timestamp\":\"2024-01-03T00:00:00Z\",\
             \"external_customer_id\":\"{gone}\",\"external_id\":\"4\",\"metadata\":{{}}}}\n"
        ),
        child("by id of one with an external id", "1"),
        child("by id", second),
        child("by external id", "3"),
        child("to come", "later"),
    ];
    assert_eq!(export(&api, &[]), expected.concat());
}

/// Draws the same numbers in each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }
}

const CUSTOMERS: [&str; 3] = ["ada", "", "Öhm 🦀\" \\ \u{202e}"];

/// Events of all kinds; each name once. Those that are there already may be parents by id.
fn draw_events(
    draw: &mut Draw,
    names: std::ops::Range<usize>,
    known: &[String],
    by_id: &[String],
) -> String {
    let mut events = Vec::new();
    for name in names {
        let mut event = vec![
            format!(r#""name":"{}{name}""#, draw.of(&["use ", "ИМЯ\\n", "<b>", ""])),
            format!(
                r#""timestamp":"2024-01-{:02}T{:02}:{:02}:59.{}Z""#,
                1 + draw.below(31),
                draw.below(24),
                draw.below(60),
                draw.of(&["000001", "999999", "5", "000"]),
            ),
            if draw.below(2) == 0 && !by_id.is_empty() {
                format!(r#""customer_id":"{}""#, by_id[draw.below(by_id.len())])
            } else {
                let all = [CUSTOMERS.as_slice(), &["nobody", "\u{1}", "later"]].concat();
                format!(r#""external_customer_id":{}"#, json!(draw.of(&all)))
            },
        ];
        if draw.below(2) == 0 {
            event.push(format!(r#""external_id":"x{name}""#));
        }
        match draw.below(6) {
            0 => event.push(format!(r#""parent_id":"x{}""#, draw.below(400))),
            1 if !known.is_empty() => {
                event.push(format!(r#""parent_id":"{}""#, known[draw.below(known.len())]));
            }
            _ => {}
        }
        let mut metadata = Vec::new();
        if draw.below(8) > 0 {
            let numbers = [
                "0",
                "-1",
                "7",
                "7.0",
                "0.1",
                "1e16",
                "1e300",
                "-5e-324",
                "12345678901234567890123",
                "\"7\"",
                "true",
                "\"\\u0001\\\"\\\\\"",
                "9007199254740993",
            ];
            metadata.push(format!(r#""v":{}"#, draw.of(&numbers)));
        }
        if draw.below(4) == 0 {
            metadata.push(format!(r#""x.y":{}"#, draw.below(5)));
            metadata.push(format!(r#""":"{}""#, draw.of(&["a", "🦀"])));
        }
        if draw.below(4) == 0 {
            metadata.push(format!(
                r#""_cost":{{"amount":{},"currency":"usd"}}"#,
                draw.of(&["1", "0.1", "\"0.000000000001\"", "-12345.678", "\"99999\""])
            ));
        }
        if draw.below(4) == 0 {
            let prompt = draw.of(&["null", "\"\"", "\"Why?\\n\\t{\\\"a\\\":[1]}\""]);
            metadata.push(format!(
                r#""_llm":{{"vendor":"v","model":"{}","prompt":{prompt},"input_tokens":{},
                    "output_tokens":2,"total_tokens":{}}}"#,
                "m".repeat(draw.below(700)),
                draw.below(9),
                draw.below(1000),
            ));
        }
        if draw.below(20) == 0 {
            metadata.extend((0..80).map(|key| format!(r#""k{key}":{key}"#)));
        }
        event.push(format!(r#""metadata":{{{}}}"#, metadata.join(",")));
        events.push(format!("{{{}}}", event.join(",")));
    }
    events.join("\n").replace("\n                    ", "")
}

/// Questions to meters, and the answers as text.
fn answers(api: &Api) -> Vec<String> {
    let clauses = [
        json!([]),
        json!([{"property": "name", "operator": "like", "value": "use"}]),
        json!([{"property": "v", "operator": "ne", "value": 7}]),
        json!([{"property": "v", "operator": "like", "value": "7.0"}]),
    ];
    let of = |func: &str, property: &str| json!({"func": func, "property": property});
    let aggregations = [
        json!({"func": "count"}),
        of("sum", "v"),
        of("max", "v"),
        of("min", "_cost.amount"),
        of("avg", "_llm.total_tokens"),
        of("unique", "v"),
        of("unique", "_llm"),
        of("sum", "_cost.amount"),
        of("sum", "timestamp"),
    ];
    let mut answers = Vec::new();
    for clauses in &clauses {
        for aggregation in &aggregations {
            let meter = api.meter(clauses, aggregation);
            let ask = |more: &[(&str, &str)]| {
                let parameters: Vec<_> =
                    SPAN.iter().chain(&[("interval", "day")]).chain(more).copied().collect();
                api.query(&format!("/v1/meters/{meter}/quantities"), &parameters)
            };
            answers.push(ask(&[]).text);
            answers.push(ask(&[("external_customer_id", "later")]).text);
            answers.push(ask(&[("customer_aggregation_function", "avg")]).text);
            let parameters: Vec<_> = SPAN
                .iter()
                .chain(&[("sorting", "external_customer_id"), ("limit", "100")])
                .copied()
                .collect();
            let customers = api.query(&format!("/v1/meters/{meter}/customers"), &parameters);
            let items = customers.items();
            let of =
                |item: &Value| format!("{}: {}", item["external_customer_id"], item["quantity"]);
            answers.push(items.iter().map(of).collect::<Vec<_>>().join("\n"));
        }
    }
    answers
}

/// What each event calls its parent, both by their names.
fn parents(api: &Api) -> Vec<(String, String)> {
    let names: HashMap<String, String> =
        ids(api).into_iter().map(|(name, id)| (id, name)).collect();
    let mut found = Vec::new();
    for number in 1.. {
        let page = api.get(&format!("/v1/events/?limit=100&page={number}")).items();
        if page.is_empty() {
            break;
        }
        found.extend(page.iter().filter_map(|event| {
            let parent = event["parent_id"].as_str()?;
            Some((text(event, "name").to_owned(), names[parent].clone()))
        }));
    }
    found.sort();
    found
}

fn round_trip(from: &Server, to: &Server) {
    let source = from.organization();
    let mut draw = Draw(7);
    // Before any customer is there, after most are, and with parents by id.
    let first = draw_events(&mut draw, 0..120, &[], &[]);
    assert_eq!(import(&source, &first), (120, 0));
    let make = |api: &Api, external_id: &str| {
        let email = format!("{}@example.com", uuid::Uuid::new_v4());
        id(&api.customer(&email, Some(external_id)))
    };
    let customers: Vec<_> =
        CUSTOMERS.iter().filter(|id| !id.is_empty()).map(|id| make(&source, id)).collect();
    let mut known: Vec<_> = ids(&source).into_values().collect();
    known.sort();
    let more = draw_events(&mut draw, 120..400, &known, &customers);
    assert_eq!(import(&source, &more), (280, 0));
    make(&source, "later");
    let lines = export(&source, &[]);
    assert_eq!(lines.lines().count(), 400);
    assert!(parsed(&lines).iter().all(|event| event.get("customer_id").is_none()));

    let target = to.organization();
    assert_eq!(import(&target, &lines), (400, 0));
    assert_eq!(import(&target, &lines), (0, 400), "once");
    for external_id in ["ada", CUSTOMERS[2], "later"] {
        make(&target, external_id);
    }
    for (number, (got, want)) in answers(&target).iter().zip(answers(&source)).enumerate() {
        assert_eq!(*got, want, "answer {number}");
    }
    let expected = parents(&source);
    assert!(expected.len() > 40, "{}", expected.len());
    assert_eq!(parents(&target), expected);
    assert_eq!(export(&target, &[]), lines);
}

#[test]
fn what_is_exported_and_ingested_elsewhere_counts_the_same() {
    round_trip(server(), server());
}

#[test]
fn what_is_exported_from_sealed_events_counts_the_same() {
    let folder = TempDir::new().unwrap();
    let sealing = Server::start_with(&folder.path().join("data"), &["--seal-events", "10"]);
    round_trip(&sealing, server());
    round_trip(server(), &sealing);
}

#[test]
fn an_id_that_is_an_external_id_of_another_event_stays_unique() {
    let api = organization();
    api.ingest(&json!([{"name": "a", "external_customer_id": "c", "timestamp": SPAN[0].1}]));
    let event = ids(&api)["a"].clone();
    api.ingest(&json!([
        {"name": "b", "external_customer_id": "c", "timestamp": SPAN[0].1, "external_id": event},
        {"name": "c", "external_customer_id": "c", "timestamp": SPAN[0].1, "parent_id": event},
    ]));
    let lines = export(&api, &[]);
    let events = parsed(&lines);
    assert_eq!(text(&events[0], "external_id"), format!("{event}/2"));
    assert_eq!([text(&events[1], "external_id"), text(&events[2], "parent_id")], [&event, &event]);
    let target = organization();
    assert_eq!(import(&target, &lines), (3, 0));
    assert_eq!(parents(&target), [("c".to_owned(), "b".to_owned())]);
    assert_eq!(parents(&api), parents(&target));
}

#[test]
fn exports_are_filtered_by_every_parameter() {
    let api = organization();
    let ada = id(&api.customer("ada@example.com", Some("ada")));
    let bob = id(&api.customer("bob@example.com", None));
    let at = |hour: u32| format!("2024-01-01T{hour:02}:00:00Z");
    for round in 0..2 {
        // Several segments where events are sealed; all that matters is in the second round.
        let day = |hour| if round == 0 { "2023-01-01T00:00:00Z".to_owned() } else { at(hour) };
        let name = |name: &str| if round == 0 { format!("old {name}") } else { name.to_owned() };
        api.ingest(&json!([
            {"name": name("a"), "external_customer_id": "ada", "timestamp": day(1),
             "metadata": {"k": "v", "n": 7, "round": round}},
            {"name": name("b"), "customer_id": ada, "timestamp": day(2),
             "metadata": {"k": "w", "n": 7.0, "round": round}},
            {"name": name("c"), "customer_id": bob, "timestamp": day(3),
             "metadata": {"k": "v", "t": true, "round": round}},
            {"name": name("d,e"), "external_customer_id": "nobody", "timestamp": day(4),
             "metadata": {"n": "7", "round": round}},
        ]));
    }
    let leaf = |property, operator, value: Value| json!({"property": property, "operator": operator, "value": value});
    let meter = api
        .meter(&json!([leaf("round", "eq", json!(1))]), &json!({"func": "sum", "property": "n"}));
    let filter = json!({
        "conjunction": "and",
        "clauses": [leaf("round", "eq", json!(1)), leaf("k", "eq", json!("v"))],
    });
    let filter = filter.to_string();
    let (start, end) = (at(2), at(4));
    let new = ("start_timestamp", "2024-01-01T00:00:00Z");
    for (parameters, expected) in [
        (vec![new], "a b c d,e"),
        (vec![("start_timestamp", start.as_str()), ("end_timestamp", end.as_str())], "b c"),
        (vec![("end_timestamp", "2024-01-01T00:00:00Z")], "old a old b old c old d,e"),
        (vec![new, ("customer_id", ada.as_str())], "a b"),
        (vec![new, ("external_customer_id", "ada")], "a b"),
        (vec![new, ("external_customer_id", "ada"), ("customer_id", &bob)], "a b c"),
        (vec![new, ("external_customer_id", "nobody")], "d,e"),
        (vec![("name", "a"), ("name", "d,e")], "a d,e"),
        (vec![("name", "A")], ""),
        (vec![new, ("metadata[k]", "v")], "a c"),
        (vec![new, ("metadata[n]", "7.0")], "b"),
        (vec![("filter", &filter)], "a c"),
        (vec![("meter_id", &meter)], "a b"),
        (vec![("meter_id", &meter), ("name", "b")], "b"),
        (vec![new, ("organization_id", &api.organization_id)], "a b c d,e"),
    ] {
        let names: Vec<_> = parsed(&export(&api, &parameters))
            .iter()
            .map(|event| text(event, "name").to_owned())
            .collect();
        assert_eq!(names.join(" "), expected, "{parameters:?}");
    }
    // A deleted customer's id still finds what was sent by it.
    api.delete(&format!("/v1/customers/{bob}")).expect(204);
    assert_eq!(export(&api, &[new, ("customer_id", &bob)]).lines().count(), 1);
}

#[test]
fn wrong_exports_are_refused() {
    let (api, other) = (organization(), organization());
    other.ingest(&json!([{"name": "secret", "external_customer_id": "c"}]));
    let meter = other.count_meter();
    let ask = |api: &Api, parameters: &[(&str, &str)]| api.query("/v1/events/export", parameters);
    ask(&root(), &[]).refuses("missing@query.organization_id");
    let unknown = "a8ea8fc6-0a41-4545-90b9-11be3a6eaaac";
    ask(&root(), &[("organization_id", unknown)])
        .refuses_by_rule("organization_id@query.organization_id");
    let others = [("organization_id", other.organization_id.as_str())];
    ask(&api, &others).refuses_by_rule("organization_id@query.organization_id");
    ask(&api, &[("meter_id", &meter)]).refuses_by_rule("meter_id@query.meter_id");
    ask(&api, &[("start_timestamp", "x"), ("customer_id", "x"), ("filter", "{")])
        .errors()
        .into_iter()
        .for_each(|error| assert!(error.contains("@query.")));
    assert_eq!(export(&root(), &others).lines().count(), 1);
    assert_eq!(export(&api, &[]), "");
    for scope in ["events:read", "events:write"] {
        assert_eq!(
            export(&server().token(&other.organization_id, &[scope]), &[]).lines().count(),
            1
        );
    }
    let reader = server().token(&other.organization_id, &["meters:read"]);
    assert_eq!(ask(&reader, &[]).status, 403);
    assert_eq!(ask(&api.anonymous(), &[]).status, 401);
}

/// Batches of events of some 400 bytes, in the order of their numbers.
fn fill(api: &Api, numbers: std::ops::Range<usize>) {
    for batch in numbers.collect::<Vec<_>>().chunks(1000) {
        let event = |number: &usize| {
            json!({"name": number.to_string(), "external_customer_id": "c",
                   "metadata": {"text": format!("{number} {}", "x".repeat(300))}})
        };
        api.ingest(&batch.iter().map(event).collect());
    }
}

#[test]
fn events_that_come_while_an_export_is_under_way_are_not_in_it() {
    let folder = TempDir::new().unwrap();
    let server = Server::start_with(&folder.path().join("data"), &["--seal-events", "7000"]);
    let api = server.organization();
    fill(&api, 0..20_000);
    let mut answer = request(&api, &[]);
    let mut lines = vec![0; 1000];
    answer.read_exact(&mut lines).unwrap();
    // What is sealed meanwhile is the same.
    fill(&api, 20_000..30_000);
    answer.read_to_end(&mut lines).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    let names: Vec<usize> =
        parsed(&lines).iter().map(|event| text(event, "name").parse().unwrap()).collect();
    assert!(names.iter().copied().eq(0..20_000), "{} events", names.len());
    assert_eq!(export(&api, &[]).lines().count(), 30_000);
}

fn segments(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(segments(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn an_export_that_breaks_off_cuts_the_connection() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_with(&data, &["--seal-events", "3000"]);
    let api = server.organization();
    // Three segments, which are too few to be merged.
    fill(&api, 0..9_500);
    let whole = export(&api, &[]);
    server.terminate();
    let server = Server::start_with(&data, &["--seal-events", "1000000"]);
    let api = Api::new(server.address, api.token.as_deref());
    assert_eq!(export(&api, &[]), whole);
    server.terminate();
    // The disk loses the middle of the last segment while the server runs: it is not read before.
    let server = Server::start_with(&data, &["--seal-events", "1000000"]);
    let api = Api::new(server.address, api.token.as_deref());
    let all = segments(&data.join("segments"));
    let last = all.last().unwrap();
    let mut bytes = std::fs::read(last).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 4096].fill(0);
    let file = std::fs::OpenOptions::new().write(true).open(last).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    let mut answer = request(&api, &[]);
    let mut lines = Vec::new();
    let error = answer.read_to_end(&mut lines);
    assert!(error.is_err(), "a client can tell: {} of {} bytes", lines.len(), whole.len());
    assert!(whole.as_bytes().starts_with(&lines) && lines.len() < whole.len());
    // And so can one to whom the end of the connection is the end of an answer.
    let mut old = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "GET /v1/events/export HTTP/1.0\r\nAuthorization: Bearer {}\r\n\r\n",
        api.token.as_deref().unwrap()
    );
    old.write_all(head.as_bytes()).unwrap();
    let error = old.read_to_end(&mut Vec::new());
    assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    // The command line takes no part of an export for the whole.
    let to = folder.path().join("broken.csv");
    let (address, token) = (server.address.to_string(), api.token.clone().unwrap());
    call(&address, &token, &["export", "events", "--output", to.to_str().unwrap()])
        .fails(5, "error: ");
    let left = std::fs::read_dir(folder.path()).unwrap();
    assert_eq!(left.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>(), ["data"]);
    let began = std::time::Instant::now();
    while !server.log().contains("an export broke off") {
        assert!(began.elapsed().as_secs() < 60, "it is logged: {}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
