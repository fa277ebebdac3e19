//! `POST /v1/meters/preview`: what a meter would count before it is saved, and why not. Expected
//! numbers are by hand.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Api, Server, assert_keys, column, id, organization, root, server};

const PATH: &str = "/v1/meters/preview";

fn event(name: &str, hour: u32, metadata: Value) -> Value {
    json!({
        "name": name, "external_customer_id": "ada", "metadata": metadata,
        "timestamp": format!("2024-05-01T{hour:02}:00:00Z"),
    })
}

fn clause(property: &str, operator: &str, value: Value) -> Value {
    json!({"property": property, "operator": operator, "value": value})
}

fn preview(conjunction: &str, clauses: &[Value], aggregation: Value, more: Value) -> Value {
    let mut body = json!({
        "filter": {"conjunction": conjunction, "clauses": clauses}, "aggregation": aggregation,
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// Six events, an hour apart, in the order in which a preview shows them last to first.
fn usage(api: &Api) {
    api.ingest(&json!([
        event("call", 1, json!({"tokens": 10, "model": "large"})),
        event("call", 2, json!({"tokens": 2.5, "model": "small"})),
        event("call", 3, json!({"tokens": "7", "model": "large"})),
        event("call", 4, json!({"model": "large"})),
        event("login", 5, json!({"tokens": 1})),
        event("call", 6, json!({"tokens": 100, "model": "large", "flag": true})),
    ]));
}

fn sum() -> Value {
    json!({"func": "sum", "property": "tokens"})
}

/// The verdicts, newest first: whether it counts, the value, and the reason.
fn verdicts(answer: &Value) -> Vec<(bool, Value, Value)> {
    let events = answer["events"].as_array().unwrap().iter();
    events
        .map(|of| {
            assert_keys(of, "event matches value reason");
            (of["matches"].as_bool().unwrap(), of["value"].clone(), of["reason"].clone())
        })
        .collect()
}

fn counts(value: Value) -> (bool, Value, Value) {
    (true, value, Value::Null)
}

fn not(clause: &[usize], text: &str) -> (bool, Value, Value) {
    (false, Value::Null, json!({"part": "filter", "clause": clause, "text": text}))
}

/// Left out by something else than the filter.
fn not_by(part: &str, text: &str) -> (bool, Value, Value) {
    (false, Value::Null, json!({"part": part, "clause": [], "text": text}))
}

#[test]
fn each_event_has_its_value_or_its_reason() {
    let api = organization();
    usage(&api);
    let clauses =
        [clause("name", "eq", json!("call")), clause("metadata.model", "eq", json!("large"))];
    let answer = api.post(PATH, &preview("and", &clauses, sum(), json!({}))).expect(200);
    assert_keys(&answer, "looked_at matching events quantities");
    assert_eq!((&answer["looked_at"], &answer["matching"]), (&json!(6), &json!(2)));
    assert_eq!(answer["quantities"], Value::Null);
    assert_eq!(
        verdicts(&answer),
        [
            counts(json!(100)),
            not(&[0], r#"`name` is "login", not "call"."#),
            not_by("aggregation", "There is no `tokens` for sum."),
            not_by("aggregation", r#"`tokens` is "7": no number for sum."#),
            not(&[1], r#"`model` is "small", not "large"."#),
            counts(json!(10)),
        ]
    );
    // The events are those of the list.
    let listed = api.get("/v1/events/?limit=100").items();
    let events = answer["events"].as_array().unwrap().iter().map(|of| of["event"].clone());
    assert!(events.eq(listed));
}

#[test]
fn alternatives_and_what_is_nested_are_found() {
    let api = organization();
    usage(&api);
    let either = json!({"conjunction": "or", "clauses": [
        clause("model", "like", json!("arg")), clause("tokens", "lte", json!(1)),
    ]});
    let inner = json!({"conjunction": "and", "clauses": [clause("tokens", "gt", json!(5))]});
    let count = json!({"func": "count"});
    let answer = api.post(PATH, &preview("and", &[either, inner], count, json!({}))).expect(200);
    assert_eq!(
        verdicts(&answer),
        [
            counts(json!(1)),
            not(&[1, 0], "`tokens` is 1, not greater than 5."),
            not(&[1, 0], "There is no `tokens`."),
            // Texts are compared as text.
            counts(json!(1)),
            not(&[0], "None of 2 alternatives holds."),
            counts(json!(1)),
        ]
    );
    let clauses = [clause("flag", "eq", json!(true)), clause("tokens", "lt", json!(2))];
    let unique = json!({"func": "unique", "property": "model"});
    let answer = api.post(PATH, &preview("or", &clauses, unique, json!({"limit": 3}))).expect(200);
    assert_eq!((&answer["looked_at"], &answer["matching"]), (&json!(6), &json!(2)));
    assert_eq!(
        verdicts(&answer),
        [counts(json!("large")), counts(Value::Null), not(&[], "None of 2 alternatives holds.")]
    );
    // What cannot be compared.
    let answer = api
        .post(PATH, &preview("and", &[clause("flag", "ne", json!(5))], sum(), json!({"limit": 1})))
        .expect(200);
    let text = "`flag` is true, which is not compared with 5.";
    assert_eq!(verdicts(&answer), [not(&[0], text)]);
}

#[test]
fn quantities_are_those_of_the_meter_that_is_saved() {
    let folder = TempDir::new().unwrap();
    let sealing = Server::start_with(folder.path(), &["--seal-events", "10"]);
    for api in [organization(), sealing.organization()] {
        usage(&api);
        for day in 2..12 {
            let mut event = event("call", 0, json!({"tokens": day, "model": "small"}));
            event["timestamp"] = json!(format!("2024-05-{day:02}T00:00:00Z"));
            api.ingest(&json!([event.clone(), event]));
        }
        let span = json!({
            "start_timestamp": "2024-05-01T00:00:00Z", "end_timestamp": "2024-05-04T23:59:59Z",
            "interval": "day",
        });
        let named = [clause("name", "eq", json!("call"))];
        let body = preview("and", &named, sum(), span.clone());
        let answer = api.post(PATH, &body).expect(200);
        // 10 + 2.5 + 100, then twice the day.
        let points: Vec<_> = answer["quantities"]["quantities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| point["quantity"].as_f64().unwrap())
            .collect();
        assert_eq!(points, [112.5, 4.0, 6.0, 8.0]);
        assert_eq!(answer["quantities"]["total"], json!(130.5));
        assert_eq!((&answer["looked_at"], &answer["matching"]), (&json!(26), &json!(23)));
        assert_eq!(answer["events"].as_array().unwrap().len(), 20);
        // Every function, in another zone, as the meter has it once it is saved.
        for func in ["count", "sum", "max", "min", "avg", "unique"] {
            let aggregation = match func {
                "count" => json!({"func": func}),
                _ => json!({"func": func, "property": "tokens"}),
            };
            let mut more = span.clone();
            more["timezone"] = json!("Asia/Tokyo");
            let body = preview("and", &named, aggregation.clone(), more);
            let previewed = api.post(PATH, &body).expect(200)["quantities"].clone();
            let meter = api.meter(&json!(named), &aggregation);
            let saved = api.query(
                &format!("/v1/meters/{meter}/quantities"),
                &[
                    ("start_timestamp", "2024-05-01T00:00:00Z"),
                    ("end_timestamp", "2024-05-04T23:59:59Z"),
                    ("interval", "day"),
                    ("timezone", "Asia/Tokyo"),
                ],
            );
            assert_eq!(previewed, saved.expect(200), "{func}");
        }
    }
}

#[test]
fn previews_leave_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let server = Server::start_with(folder.path(), &["--seal-events", "10"]);
    let api = server.organization();
    for _ in 0..20 {
        usage(&api);
    }
    let stats = || server.root().get("/v1/system/storage").expect(200);
    let began = Instant::now();
    while stats()["segments"] == json!(0) {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is sealed");
        std::thread::sleep(Duration::from_millis(20));
    }
    let has_derived = || {
        let stats = stats();
        let kinds = column(stats["cache"].as_array().unwrap(), "kind");
        kinds.iter().any(|kind| kind == "rollup" || kind == "meter")
    };
    let span = [
        ("start_timestamp", "2024-05-01T00:00:00Z"),
        ("end_timestamp", "2024-05-01T23:59:59Z"),
        ("interval", "hour"),
    ];
    let more: Value = span.iter().map(|&(key, value)| (key.to_owned(), json!(value))).collect();
    let answer = api.post(PATH, &preview("and", &[], sum(), more)).expect(200);
    // 20 times 10 + 2.5 + 1 + 100.
    assert_eq!(answer["quantities"]["total"], json!(2270.0));
    assert!(!has_derived());
    // No meter came to be either.
    assert!(api.get("/v1/meters/").items().is_empty());
    // One that is saved has what is kept of it.
    let meter = api.meter(&json!([]), &sum());
    assert_eq!(api.points(&meter, &span).1, 2270.0);
    assert!(has_derived());
}

#[test]
fn the_newest_thousand_are_looked_at() {
    let api = organization();
    let of = |n: i64| event("e", 1, json!({"n": n}));
    let events: Value = (0..1005).map(of).collect();
    api.ingest(&events);
    let few = [clause("n", "lt", json!(10))];
    let answer = api.post(PATH, &preview("and", &few, json!({"func": "count"}), json!({})));
    let answer = answer.expect(200);
    // Of one timestamp the last ingested are the newest: 0 to 4 are too old.
    assert_eq!((&answer["looked_at"], &answer["matching"]), (&json!(1000), &json!(5)));
    assert_eq!(answer["events"].as_array().unwrap().len(), 20);
    assert_eq!(answer["events"][0]["event"]["metadata"]["n"], json!(1004));
}

#[test]
fn credits_and_resets_are_no_usage() {
    let api = organization();
    api.customer("ada@example.com", Some("ada"));
    let meter = api.count_meter();
    let row = api.get(&format!("/v1/customer-meters/?meter_id={meter}")).items().remove(0);
    let path = format!("/v1/customer-meters/{}/credits", id(&row));
    api.post(&path, &json!({"units": 5})).expect(201);
    let body = preview("and", &[], json!({"func": "count"}), json!({}));
    let answer = api.post(PATH, &body).expect(200);
    assert_eq!(verdicts(&answer), [not_by("event", "Credits and resets are no usage.")]);
    assert_eq!((&answer["looked_at"], &answer["matching"]), (&json!(1), &json!(0)));
}

#[test]
fn wrong_requests_are_refused() {
    let api = organization();
    let count = || json!({"func": "count"});
    api.post(PATH, &json!({})).refuses("missing@body.filter missing@body.aggregation");
    let wrong = json!({"limit": 0, "interval": "minute", "timezone": "x", "organization_id": "x"});
    api.post(PATH, &preview("and", &[], count(), wrong)).refuses(
        "uuid_parsing@body.organization_id enum@body.interval TimeZoneName@body.timezone \
         greater_than_equal@body.limit",
    );
    api.post(PATH, &preview("and", &[], count(), json!({"limit": 101})))
        .refuses("less_than_equal@body.limit");
    let span = |start: &str, end: &str| json!({"start_timestamp": start, "end_timestamp": end, "interval": "hour"});
    let old = span("2022-12-31T00:00:00Z", "2023-01-01T00:00:00Z");
    api.post(PATH, &preview("and", &[], count(), old))
        .refuses("greater_than_equal@body.start_timestamp");
    let long = span("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z");
    api.post(PATH, &preview("and", &[], count(), long)).refuses_by_rule("value_error@body");
    let reversed = span("2024-01-01T00:00:01Z", "2024-01-01T00:00:00Z");
    api.post(PATH, &preview("and", &[], count(), reversed)).refuses_by_rule("value_error@body");
    let body = preview("and", &[], json!({"func": "median"}), json!({}));
    assert_eq!(api.post(PATH, &body).status, 422);
    // A meter of that id, as before.
    api.get(PATH).refuses("uuid_parsing@path.id");
}

#[test]
fn organizations_do_not_see_each_other() {
    let (api, other) = (organization(), organization());
    usage(&api);
    let body = |more| preview("and", &[], json!({"func": "count"}), more);
    let looked_at = |answer: Value| answer["looked_at"].as_u64().unwrap();
    assert_eq!(looked_at(other.post(PATH, &body(json!({}))).expect(200)), 0);
    let named = json!({"organization_id": api.organization_id});
    assert_eq!(looked_at(root().post(PATH, &body(named.clone())).expect(200)), 6);
    let acting = root().with("Polar-Organization", &api.organization_id);
    assert_eq!(looked_at(acting.post(PATH, &body(json!({}))).expect(200)), 6);
    api.post(PATH, &body(named)).refuses_by_rule("organization_token@body.organization_id");
    root().post(PATH, &body(json!({}))).refuses("missing@body.organization_id");
    for scopes in [["meters:read", "events:read"], ["meters:write", "events:write"]] {
        let reader = server().token(&api.organization_id, &scopes);
        assert_eq!(looked_at(reader.post(PATH, &body(json!({}))).expect(200)), 6);
    }
    // Who may not read events does not see them here.
    for scope in ["events:read", "meters:read", "meters:write"] {
        let reader = server().token(&api.organization_id, &[scope]);
        assert_eq!(reader.post(PATH, &body(json!({}))).status, 403);
    }
    assert_eq!(api.anonymous().post(PATH, &body(json!({}))).status, 401);
}
