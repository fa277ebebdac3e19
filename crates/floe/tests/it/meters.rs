//! Meters and their quantities (contract section 3, semantics sections 2 to 8 and 14).

use serde_json::{Value, json};

use crate::harness::{Api, id, organization, text};

#[test]
fn a_meter_is_answered_as_it_was_made() {
    let api = organization();
    let body = json!({
        "name": "abc",
        "filter": {"conjunction": "and", "clauses": [
            {"property": "metadata.a", "operator": "eq", "value": 5.0},
            {"conjunction": "or", "clauses": [
                {"property": "metadata.metadata.b", "operator": "like", "value": ""},
                {"property": "name", "operator": "ne", "value": true},
                {"property": "c", "operator": "gt", "value": "5"},
            ]},
        ]},
        "aggregation": {"func": "unique", "property": "metadata.u"},
        "metadata": {"k": "v", "n": 1, "f": 1.0, "b": true},
    });
    let made = api.post("/v1/meters/", &body).expect(201);
    assert_eq!(made["name"], "abc");
    assert_eq!(made["unit"], "scalar");
    assert_eq!(made["custom_label"], Value::Null);
    assert_eq!(made["custom_multiplier"], Value::Null);
    assert_eq!(made["modified_at"], Value::Null);
    assert_eq!(made["archived_at"], Value::Null);
    assert_eq!(made["organization_id"], api.organization_id.as_str());
    assert_eq!(made["aggregation"], json!({"func": "unique", "property": "u"}));
    assert_eq!(made["metadata"].to_string(), body["metadata"].to_string());
    // The prefix is removed once (S9).
    assert_eq!(
        made["filter"],
        json!({"conjunction": "and", "clauses": [
            {"property": "a", "operator": "eq", "value": 5},
            {"conjunction": "or", "clauses": [
                {"property": "metadata.b", "operator": "like", "value": ""},
                {"property": "name", "operator": "ne", "value": true},
                {"property": "c", "operator": "gt", "value": "5"},
            ]},
        ]})
    );
    assert_eq!(api.get(&format!("/v1/meters/{}", id(&made))).expect(200), made);
    assert_eq!(api.get("/v1/meters/").items(), [made]);
}

#[test]
fn names_of_meters_count_code_points_and_are_not_unique_or_trimmed() {
    let api = organization();
    for name in ["äöü", "   ", "   ", "日本語", &"x".repeat(5000)] {
        let body = json!({
            "name": name, "filter": {"conjunction": "or", "clauses": []},
            "aggregation": {"func": "count"},
        });
        assert_eq!(api.post("/v1/meters/", &body).expect(201)["name"], *name);
    }
}

#[test]
fn the_list_of_meters_is_filtered_by_name_state_and_metadata() {
    let api = organization();
    let make = |name: &str, metadata: Value| {
        let body = json!({
            "name": name, "filter": {"conjunction": "and", "clauses": []},
            "aggregation": {"func": "count"}, "metadata": metadata,
        });
        id(&api.post("/v1/meters/", &body).expect(201))
    };
    make("ai_usage", json!({"a": "x", "n": 7}));
    make("AI usage", json!({"a": "y", "n": 7.0}));
    let archived = make("50% more", json!({"a": "x", "b": true, "n": 1.5}));
    api.patch(&format!("/v1/meters/{archived}"), &json!({"is_archived": true})).expect(200);
    let names = |query: &str| {
        let items = api.get(&format!("/v1/meters/?{query}")).items();
        items.iter().map(|item| text(item, "name").to_owned()).collect::<Vec<_>>()
    };
    // Literal and case-insensitive (S15).
    assert_eq!(names("query=I_U"), ["ai_usage"]);
    assert_eq!(names("query=%25"), ["50% more"]);
    assert_eq!(names("query=USAGE").len(), 2);
    assert_eq!(names("query=").len(), 3);
    assert_eq!(names("is_archived=true"), ["50% more"]);
    assert_eq!(names("is_archived=false").len(), 2);
    assert_eq!(names("metadata%5Ba%5D=x").len(), 2);
    assert_eq!(names("metadata[a]=x&metadata[a]=y").len(), 3);
    assert_eq!(names("metadata[a]=x&metadata[n]=7"), ["ai_usage"]);
    assert_eq!(names("metadata[n]=7.0"), ["AI usage"]);
    assert_eq!(names("metadata[n]=1.5"), ["50% more"]);
    assert_eq!(names("metadata[b]=true"), ["50% more"]);
    assert_eq!(names("metadata[b]=True"), [""; 0]);
    assert_eq!(names("metadata[missing]=x"), [""; 0]);
    // Everything up to the first bracket is the key; nothing and no key are ignored.
    assert_eq!(names("metadata[a][b]=x").len(), 2);
    assert_eq!(names("metadata[]=x&metadata=x").len(), 3);
}

#[test]
fn only_keys_that_are_present_change_a_meter() {
    let api = organization();
    let meter = api.count_meter();
    let path = format!("/v1/meters/{meter}");
    let before = api.get(&path).expect(200);
    assert_eq!(api.patch(&path, &json!({})).expect(200), before);
    assert_eq!(api.patch(&path, &json!({"nonsense": 1})).expect(200), before);
    // S12: null leaves a name, a unit, a filter, an aggregation and the state.
    let nulls = json!({"name": null, "unit": null, "filter": null, "aggregation": null, "is_archived": null});
    let after = api.patch(&path, &nulls).expect(200);
    for key in ["name", "unit", "filter", "aggregation", "archived_at"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    let after = api.patch(&path, &json!({"name": "meter"})).expect(200);
    assert!(after["modified_at"].is_string(), "a present key is a write, even when equal");
    let custom = json!({"unit": "custom", "custom_label": "call", "custom_multiplier": 3});
    let after = api.patch(&path, &custom).expect(200);
    assert_eq!([&after["unit"], &after["custom_label"]], ["custom", "call"]);
    assert_eq!(after["custom_multiplier"], 3);
    // S33: no cross-check.
    let after = api.patch(&path, &json!({"unit": "token"})).expect(200);
    assert_eq!([&after["unit"], &after["custom_label"]], ["token", "call"]);
    let cleared = json!({"custom_label": null, "custom_multiplier": null});
    let after = api.patch(&path, &cleared).expect(200);
    assert_eq!([&after["custom_label"], &after["custom_multiplier"]], [&Value::Null; 2]);
    api.patch(&path, &json!({"metadata": {"a": 1, "b": 2}})).expect(200);
    let after = api.patch(&path, &json!({"metadata": {"c": 3}})).expect(200);
    assert_eq!(after["metadata"], json!({"c": 3}), "it replaces all");
    let filter = json!({"conjunction": "or", "clauses": []});
    let change =
        json!({"filter": filter, "aggregation": {"func": "sum", "property": "metadata.x"}});
    let after = api.patch(&path, &change).expect(200);
    assert_eq!(after["filter"], filter);
    assert_eq!(after["aggregation"], json!({"func": "sum", "property": "x"}));
}

#[test]
fn a_meter_is_archived_and_brought_back() {
    let api = organization();
    let path = format!("/v1/meters/{}", api.count_meter());
    let archived = api.patch(&path, &json!({"is_archived": true})).expect(200);
    let at = text(&archived, "archived_at").to_owned();
    let again = api.patch(&path, &json!({"is_archived": true})).expect(200);
    assert!(text(&again, "archived_at") > at.as_str(), "it is stamped again");
    api.ingest(
        &json!([{"name": "e", "external_customer_id": "c", "timestamp": "2024-01-01T00:00:00Z"}]),
    );
    let meter = id(&again);
    let day = "2024-01-01T00:00:00Z";
    assert_eq!(api.quantities(&meter, day, day, &[]), (vec![1.0], 1.0));
    let back = api.patch(&path, &json!({"is_archived": false})).expect(200);
    assert_eq!(back["archived_at"], Value::Null);
}

#[test]
fn filter_and_aggregation_are_locked_from_the_first_event_that_counts() {
    let api = organization();
    let clause = json!({"property": "name", "operator": "eq", "value": "chat"});
    let meter = api.meter(&json!([clause]), &json!({"func": "sum", "property": "n"}));
    let path = format!("/v1/meters/{meter}");
    let filter = json!({"conjunction": "and", "clauses": [clause]});
    let aggregation = json!({"func": "sum", "property": "n"});
    let change = json!({"filter": filter, "aggregation": aggregation, "name": "changed"});
    // Neither a name that does not match nor a value that is no number counts.
    api.ingest(&json!([
        {"name": "other", "external_customer_id": "c", "metadata": {"n": 1}},
        {"name": "chat", "external_customer_id": "c", "metadata": {"n": "1"}},
        {"name": "chat", "external_customer_id": "c"},
    ]));
    api.patch(&path, &change).expect(200);
    api.ingest(&json!([{"name": "chat", "external_customer_id": "c", "metadata": {"n": 1}}]));
    let answer = api.patch(&path, &change);
    answer.refuses_by_rule("forbidden@body.filter forbidden@body.aggregation");
    let item = &answer.json["detail"][0];
    let msg = "This field can't be updated because the meter is already aggregating events.";
    assert_eq!(item["msg"], msg);
    assert_eq!(item["input"], filter);
    let nulls = json!({"filter": null, "aggregation": null, "name": "renamed"});
    assert_eq!(api.patch(&path, &nulls).expect(200)["name"], "renamed");
    // Archiving never unlocks.
    api.patch(&path, &json!({"is_archived": true})).expect(200);
    api.patch(&path, &json!({"filter": filter})).refuses_by_rule("forbidden@body.filter");
}

#[test]
fn a_credit_locks_a_meter_too() {
    let api = organization();
    let path = format!("/v1/meters/{}", api.count_meter());
    api.customer("a@example.com", None);
    let row = id(&api.get("/v1/customer-meters/").items()[0]);
    api.post(&format!("/v1/customer-meters/{row}/credits"), &json!({"units": 1})).expect(201);
    let change = json!({"aggregation": {"func": "count"}});
    api.patch(&path, &change).refuses_by_rule("forbidden@body.aggregation");
}

/// The events of semantics section 14.1.
fn edges() -> Api {
    let api = organization();
    let events = [
        ("2023-12-31T23:59:59Z", 1000),
        ("2024-01-01T01:00:00Z", 1),
        ("2024-01-01T13:00:00Z", 2),
        ("2024-01-02T23:59:59.999999Z", 4),
        ("2024-01-03T00:00:00Z", 8),
        ("2024-01-03T05:00:00Z", 16),
        ("2024-01-03T23:00:00Z", 32),
        ("2024-01-04T00:00:00Z", 64),
    ];
    let events = events.map(|(time, v)| {
        json!({"name": "e", "external_customer_id": "c", "timestamp": time, "metadata": {"v": v}})
    });
    api.ingest(&json!(events));
    api
}

#[test]
fn edges_of_periods_count_as_in_the_table() {
    let api = edges();
    let meter = |func: &str| api.meter(&json!([]), &json!({"func": func, "property": "v"}));
    let half = ("2024-01-01T12:00:00Z", "2024-01-03T06:00:00Z");
    let whole = ("2024-01-01T00:00:00Z", "2024-01-03T00:00:00Z");
    let later = ("2025-01-01T00:00:00Z", "2025-01-03T00:00:00Z");
    for (func, (start, end), quantities, total) in [
        ("count", half, vec![2.0, 1.0], 3.0),
        ("sum", half, vec![3.0, 4.0], 7.0),
        ("max", half, vec![2.0, 4.0], 4.0),
        ("min", half, vec![1.0, 4.0], 1.0),
        ("avg", half, vec![1.5, 4.0], 2.333_333_333_333_333_5),
        ("sum", whole, vec![3.0, 4.0, 56.0], 63.0),
        ("unique", whole, vec![2.0, 1.0, 3.0], 6.0),
        ("min", later, vec![0.0, 0.0, 0.0], 0.0),
        ("avg", later, vec![0.0, 0.0, 0.0], 0.0),
    ] {
        assert_eq!(api.quantities(&meter(func), start, end, &[]), (quantities, total), "{func}");
    }
    let (points, _) = api.points(
        &meter("count"),
        &[("start_timestamp", half.0), ("end_timestamp", half.1), ("interval", "day")],
    );
    let times: Vec<_> = points.into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, ["2024-01-01T12:00:00Z", "2024-01-02T12:00:00Z"]);
}

#[test]
fn equal_start_and_end_give_one_whole_bucket() {
    let api = edges();
    let meter = api.meter(&json!([]), &json!({"func": "sum", "property": "v"}));
    let noon = "2024-01-03T12:00:00Z";
    assert_eq!(api.quantities(&meter, noon, noon, &[]), (vec![56.0], 56.0));
}

#[test]
fn series_of_points_are_those_of_the_table() {
    let api = organization();
    let meter = api.count_meter();
    let check = |start: &str, end: &str, interval: &str, zone: &str, expected: &str| {
        let (points, _) = api.points(
            &meter,
            &[
                ("start_timestamp", start),
                ("end_timestamp", end),
                ("interval", interval),
                ("timezone", zone),
            ],
        );
        let points: Vec<_> = points.into_iter().map(|(time, _)| time).collect();
        let expected: Vec<_> = expected.split_whitespace().map(|t| format!("{t}:00Z")).collect();
        assert_eq!(points, expected, "{start} {end} {interval} {zone}");
    };
    check(
        "2024-01-31T00:00:00Z",
        "2024-06-30T00:00:00Z",
        "month",
        "UTC",
        "2024-01-31T00:00 2024-02-29T00:00 2024-03-29T00:00 2024-04-29T00:00 2024-05-29T00:00 2024-06-29T00:00",
    );
    check(
        "2024-01-31T00:00:00+01:00",
        "2024-06-30T00:00:00+02:00",
        "month",
        "Europe/Paris",
        "2024-01-30T23:00 2024-02-28T23:00 2024-03-28T23:00 2024-04-28T22:00 2024-05-28T22:00 2024-06-28T22:00",
    );
    check(
        "2024-02-29T00:00:00Z",
        "2029-03-01T00:00:00Z",
        "year",
        "UTC",
        "2024-02-29T00:00 2025-02-28T00:00 2026-02-28T00:00 2027-02-28T00:00 2028-02-28T00:00 2029-02-28T00:00",
    );
    check(
        "2024-03-30T00:00:00+01:00",
        "2024-04-02T00:00:00+02:00",
        "day",
        "Europe/Paris",
        "2024-03-29T23:00 2024-03-30T23:00 2024-03-31T22:00 2024-04-01T22:00",
    );
    check(
        "2024-03-30T02:30:00+01:00",
        "2024-04-02T12:00:00+02:00",
        "day",
        "Europe/Paris",
        "2024-03-30T01:30 2024-03-31T01:30 2024-04-01T01:30 2024-04-02T01:30",
    );
    check(
        "2024-03-30T00:00:00Z",
        "2024-04-02T00:00:00Z",
        "day",
        "Europe/Paris",
        "2024-03-30T00:00 2024-03-31T00:00 2024-03-31T23:00 2024-04-01T23:00",
    );
    check(
        "2024-10-27T00:00:00+02:00",
        "2024-10-27T04:00:00+01:00",
        "hour",
        "Europe/Paris",
        "2024-10-26T22:00 2024-10-26T23:00 2024-10-27T00:00 2024-10-27T01:00 2024-10-27T02:00 2024-10-27T03:00",
    );
    check(
        "2024-01-03T05:00:00Z",
        "2024-01-31T00:00:00Z",
        "week",
        "UTC",
        "2024-01-03T05:00 2024-01-10T05:00 2024-01-17T05:00 2024-01-24T05:00",
    );
}

#[test]
fn buckets_are_those_of_the_local_calendar() {
    let api = organization();
    let meter = api.count_meter();
    for time in [
        "2024-01-01T00:00:00Z",
        "2024-04-25T22:00:00Z",
        "2024-04-25T21:59:59Z",
        "2024-06-01T09:30:00Z",
        "2024-06-01T10:29:59Z",
        "2024-06-01T10:30:00Z",
        "2024-01-07T23:00:00Z",
    ] {
        api.ingest(&json!([{"name": "e", "external_customer_id": "c", "timestamp": time}]));
    }
    let ask = |start: &str, end: &str, interval: &str, zone: &str| {
        let (points, _) = api.points(
            &meter,
            &[
                ("start_timestamp", start),
                ("end_timestamp", end),
                ("interval", interval),
                ("timezone", zone),
            ],
        );
        points.into_iter().map(|(_, quantity)| quantity).collect::<Vec<_>>()
    };
    // Monday counts in the week of Wednesday, and so does Sunday evening.
    assert_eq!(ask("2024-01-03T05:00:00Z", "2024-01-10T05:00:00Z", "week", "UTC"), [2.0, 0.0]);
    // Midnight of this day does not exist in Cairo: it begins at 22:00 UTC.
    let cairo = ask("2024-04-26T10:00:00Z", "2024-04-26T10:00:00Z", "day", "Africa/Cairo");
    assert_eq!(cairo, [1.0]);
    // The hour of 10:10 begins at 9:30 in Kolkata.
    let kolkata = ask("2024-06-01T10:10:00Z", "2024-06-01T10:10:00Z", "hour", "Asia/Kolkata");
    assert_eq!(kolkata, [2.0]);
}

#[test]
fn clauses_match_as_in_the_matrix() {
    let api = organization();
    let stored = [
        ("null", None),
        ("\"5\"", Some(0)),
        ("\"10\"", Some(1)),
        ("\"abc\"", Some(2)),
        ("5", Some(3)),
        ("5.5", Some(4)),
        ("10", Some(5)),
        ("true", Some(6)),
        ("false", Some(7)),
        ("\"True\"", Some(8)),
        ("\"t\"", Some(9)),
        ("\"true\"", Some(10)),
        ("1", Some(11)),
        ("0", Some(12)),
        ("\"1\"", Some(13)),
        ("1e20", Some(14)),
        ("\"a%b_c\"", Some(15)),
    ];
    // What ingestion refuses (null, objects, empty text) is in floe-core's matrix.
    let mut events = vec![r#"{"name":"absent","external_customer_id":"c"}"#.to_owned()];
    for (value, n) in stored.iter().filter_map(|(value, n)| Some((value, (*n)?))) {
        let event =
            format!(r#"{{"name":"n{n}","external_customer_id":"c","metadata":{{"v":{value}}}}}"#);
        events.push(event);
    }
    let body = format!("{{\"events\":[{}]}}", events.join(","));
    api.send("POST", "/v1/events/ingest", Some(body)).expect(200);
    let strings = "\"5\" \"10\" \"abc\" \"True\" \"t\" \"true\" \"1\" \"a%b_c\"";
    let numbers = "5 5.5 10 1 0 1e20";
    let all = format!("{strings} {numbers} true false");
    let but = |all: &str, out: &str| {
        let out: Vec<_> = out.split(' ').collect();
        all.split(' ').filter(|v| !out.contains(v)).collect::<Vec<_>>().join(" ")
    };
    let five = "\"5\" 5 5.5";
    for (operator, value, matches) in [
        ("eq", json!("5"), "\"5\"".to_owned()),
        ("eq", json!(5), "\"5\" 5".to_owned()),
        ("eq", json!(1), "\"1\" 1".to_owned()),
        ("eq", json!(true), "true \"t\" 1".to_owned()),
        ("eq", json!(false), "false 0".to_owned()),
        ("ne", json!("5"), but(strings, "\"5\"")),
        ("ne", json!(5), format!("{} {}", but(strings, "\"5\""), but(numbers, "5"))),
        ("ne", json!(true), format!("{} {} false", but(strings, "\"t\""), but(numbers, "1"))),
        ("gt", json!("5"), "\"abc\" \"True\" \"t\" \"true\" \"a%b_c\"".to_owned()),
        ("gt", json!(5), "5.5 10 1e20 \"abc\" \"True\" \"t\" \"true\" \"a%b_c\"".to_owned()),
        ("lt", json!(5), "1 0 \"10\" \"1\"".to_owned()),
        ("lte", json!(5), "1 0 \"10\" \"1\" 5 \"5\"".to_owned()),
        ("like", json!("5"), five.to_owned()),
        ("like", json!(1), "\"10\" \"1\" 10 1 1e20".to_owned()),
        ("like", json!(true), "true \"t\" \"true\"".to_owned()),
        ("like", json!(""), all.clone()),
        ("not_like", json!("5"), but(&all, five)),
        ("not_like", json!(""), String::new()),
    ] {
        let clause = json!({"property": "v", "operator": operator, "value": value});
        let filter = json!({"conjunction": "and", "clauses": [clause]}).to_string();
        let events = api.query("/v1/events/", &[("filter", &filter), ("limit", "100")]).items();
        let mut got: Vec<_> = events.iter().map(|event| text(event, "name").to_owned()).collect();
        let name = |value: &str| {
            let n = stored.iter().find(|(stored, _)| *stored == value).and_then(|(_, n)| *n);
            format!("n{}", n.unwrap())
        };
        let mut expected: Vec<_> = matches.split_whitespace().map(name).collect();
        got.sort();
        expected.sort();
        assert_eq!(got, expected, "{operator} {value}");
        // What a meter counts is what the list shows (S16).
        let meter = api.meter(&json!([clause]), &json!({"func": "count"}));
        let listed = api.get(&format!("/v1/events/?meter_id={meter}&limit=1")).expect(200);
        assert_eq!(listed["pagination"]["total_count"], expected.len(), "{operator} {value}");
    }
}

#[test]
fn event_fields_are_compared_by_their_own_type() {
    let api = organization();
    let events = [("Beta%_/", "2024-01-15T12:00:01Z"), ("5", "2024-01-15T12:00:00.9Z")];
    for (name, time) in events {
        let metadata = json!({"name": "hidden", "s": "x", "_llm": {
            "vendor": "v", "model": "m", "input_tokens": 1, "output_tokens": 2, "total_tokens": 3,
        }});
        api.ingest(&json!([
            {"name": name, "external_customer_id": "c", "timestamp": time, "metadata": metadata},
        ]));
    }
    let count = |property: &str, operator: &str, value: Value| {
        let clause = json!({"property": property, "operator": operator, "value": value});
        let filter = json!({"conjunction": "and", "clauses": [clause]}).to_string();
        api.query("/v1/events/", &[("filter", &filter)]).items().len()
    };
    for (property, operator, value, expected) in [
        ("name", "eq", json!("5"), 1),
        ("name", "eq", json!(5), 0),
        ("name", "ne", json!(5), 0),
        ("name", "like", json!(5), 0),
        ("name", "not_like", json!(5), 0),
        ("name", "like", json!("%_/"), 1),
        ("name", "eq", json!("hidden"), 0),
        ("metadata.name", "eq", json!("5"), 1),
        ("source", "eq", json!("user"), 2),
        ("source", "ne", json!("user"), 0),
        ("source", "eq", json!(true), 0),
        ("timestamp", "eq", json!("1705320001"), 0),
        ("timestamp", "ne", json!("1705320001"), 0),
        ("timestamp", "eq", json!(1_705_320_001), 1),
        // S10: floored.
        ("timestamp", "eq", json!(1_705_320_000), 1),
        ("timestamp", "gte", json!(1_705_320_000), 2),
        ("timestamp", "like", json!(20001), 1),
        ("_llm.total_tokens", "eq", json!(3), 2),
        ("_llm.vendor", "like", json!(""), 2),
        ("_llm.prompt", "like", json!(""), 0),
        ("s.x", "like", json!(""), 0),
        ("", "like", json!(""), 0),
        // As PostgreSQL prints an object: by length of the key, then by bytes.
        ("_llm", "like", json!("\"model\": \"m\""), 2),
        ("_llm", "eq", json!(""), 0),
    ] {
        assert_eq!(
            count(property, operator, value.clone()),
            expected,
            "{property} {operator} {value}"
        );
    }
}

#[test]
fn filters_nest_and_empty_ones_are_true() {
    let api = organization();
    api.ingest(&json!([
        {"name": "a", "external_customer_id": "c", "metadata": {"x": 1, "y": 1}},
        {"name": "b", "external_customer_id": "c", "metadata": {"x": 1}},
        {"name": "c", "external_customer_id": "c"},
    ]));
    let is = |key: &str| json!({"property": key, "operator": "eq", "value": 1});
    let names = |filter: Value| {
        let items = api.query("/v1/events/", &[("filter", &filter.to_string())]).items();
        let mut names: Vec<_> = items.iter().map(|item| text(item, "name").to_owned()).collect();
        names.sort();
        names.join("")
    };
    let of =
        |conjunction: &str, clauses: Value| json!({"conjunction": conjunction, "clauses": clauses});
    assert_eq!(names(of("and", json!([]))), "abc");
    assert_eq!(names(of("or", json!([]))), "abc");
    assert_eq!(names(of("and", json!([is("x"), is("y")]))), "a");
    assert_eq!(names(of("or", json!([is("x"), is("y")]))), "ab");
    assert_eq!(names(of("or", json!([is("y"), of("and", json!([]))]))), "abc");
    assert_eq!(names(of("and", json!([is("x"), of("or", json!([is("y"), is("z")]))]))), "a");
}

#[test]
fn aggregations_take_the_values_that_they_should() {
    let api = organization();
    let values = ["1", "1.0", "\"1\"", "true", "\"a\"", "\"A\"", "-0.5", "\"2\""];
    let events: Vec<_> = values
        .iter()
        .map(|v| format!(
            r#"{{"name":"e","external_customer_id":"c","timestamp":"2024-01-01T00:00:00Z","metadata":{{"v":{v},"name":{v}}}}}"#
        ))
        .collect();
    let body = format!("{{\"events\":[{}]}}", events.join(","));
    api.send("POST", "/v1/events/ingest", Some(body)).expect(200);
    api.ingest(&json!([
        {"name": "e", "external_customer_id": "c", "timestamp": "2024-01-01T00:00:01.9Z",
         "metadata": {"_cost": {"amount": "0.25", "currency": "usd"}}},
    ]));
    let total = |aggregation: Value| {
        let meter = api.meter(&json!([]), &aggregation);
        api.quantities(&meter, "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", &[]).1
    };
    assert_eq!(total(json!({"func": "count"})), 9.0);
    // 1 = 1.0, "1", true, "a", "A", -0.5, "2"; absent is skipped.
    assert_eq!(total(json!({"func": "unique", "property": "v"})), 7.0);
    // S8: the metadata key, not the event's name.
    assert_eq!(total(json!({"func": "unique", "property": "name"})), 7.0);
    assert_eq!(total(json!({"func": "sum", "property": "v"})), 1.5);
    assert_eq!(total(json!({"func": "min", "property": "v"})), -0.5);
    assert_eq!(total(json!({"func": "max", "property": "v"})), 1.0);
    assert_eq!(total(json!({"func": "avg", "property": "v"})), 0.5);
    assert_eq!(total(json!({"func": "sum", "property": "name"})), 0.0);
    assert_eq!(total(json!({"func": "max", "property": "source"})), 0.0);
    assert_eq!(total(json!({"func": "sum", "property": "_cost.amount"})), 0.25);
    assert_eq!(total(json!({"func": "min", "property": "timestamp"})), 1_704_067_200.0);
    assert_eq!(total(json!({"func": "sum", "property": "missing"})), 0.0);
}

#[test]
fn the_example_of_the_documentation_holds() {
    let api = organization();
    let events: Vec<_> = [10, 20, 30, 30]
        .iter()
        .map(|tokens| {
            json!({
                "name": "e", "external_customer_id": "c", "timestamp": "2024-01-01T10:00:00Z",
                "metadata": {"tokens": tokens},
            })
        })
        .collect();
    api.ingest(&json!(events));
    for (func, total) in [
        ("count", 4.0),
        ("sum", 90.0),
        ("avg", 22.5),
        ("min", 10.0),
        ("max", 30.0),
        ("unique", 3.0),
    ] {
        let meter = api.meter(&json!([]), &json!({"func": func, "property": "tokens"}));
        let day = "2024-01-01T00:00:00Z";
        assert_eq!(api.quantities(&meter, day, day, &[]), (vec![total], total), "{func}");
    }
}

#[test]
fn sums_are_exact_decimals_in_any_order() {
    let values = ["0.1", "0.2", "1e16", "-1e16", "0.3", "9007199254740993", "-9007199254740992"];
    let mut reversed = values;
    reversed.reverse();
    for values in [values, reversed] {
        let api = organization();
        for v in values {
            let body = format!(
                r#"{{"events":[{{"name":"e","external_customer_id":"c","timestamp":"2024-01-01T00:00:00Z","metadata":{{"v":{v}}}}}]}}"#
            );
            api.send("POST", "/v1/events/ingest", Some(body)).expect(200);
        }
        let day = "2024-01-01T00:00:00Z";
        let total = |func: &str| {
            let meter = api.meter(&json!([]), &json!({"func": func, "property": "v"}));
            api.quantities(&meter, day, day, &[]).1
        };
        assert_eq!(total("sum"), 1.6);
        // 1.6 / 7, rounded once.
        assert_eq!(total("avg"), 8.0 / 35.0);
    }
}

#[test]
fn events_are_grouped_by_customer_as_in_the_table() {
    let api = organization();
    let c1 = id(&api.customer("c1@example.com", None));
    let c2 = id(&api.customer("c2@example.com", None));
    let event = |customer: (&str, &str), time: &str, v: u32| json!({"name": "e", (customer.0): customer.1, "timestamp": time, "metadata": {"v": v}});
    let (c1, c2) = (("customer_id", c1.as_str()), ("customer_id", c2.as_str()));
    let ext = ("external_customer_id", "ext1");
    let (first, second) = ("2024-01-01T10:00:00Z", "2024-01-02T10:00:00Z");
    api.ingest(&json!([
        event(c1, first, 10),
        event(ext, first, 20),
        event(c2, first, 30),
        event(c2, second, 7),
        event(c2, "2023-06-01T00:00:00Z", 1000),
    ]));
    let ask = |func: &str, by: &str| {
        let meter = api.meter(&json!([]), &json!({"func": func, "property": "v"}));
        let more = [("customer_aggregation_function", by)];
        api.quantities(&meter, "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", &more)
    };
    for (func, by, quantities, total) in [
        ("sum", "sum", [60.0, 7.0], 67.0),
        ("sum", "max", [30.0, 7.0], 37.0),
        ("sum", "min", [10.0, 7.0], 17.0),
        ("sum", "avg", [20.0, 7.0], 27.0),
        ("sum", "count", [3.0, 1.0], 4.0),
        ("sum", "unique", [3.0, 1.0], 4.0),
        ("max", "sum", [60.0, 7.0], 60.0),
        ("max", "avg", [20.0, 7.0], 20.0),
        ("count", "avg", [1.0, 1.0], 2.0),
        ("count", "unique", [1.0, 1.0], 2.0),
        ("avg", "sum", [60.0, 7.0], 16.75),
        ("avg", "max", [30.0, 7.0], 16.75),
        ("avg", "count", [3.0, 1.0], 16.75),
        ("unique", "count", [3.0, 1.0], 4.0),
        ("unique", "avg", [1.0, 1.0], 4.0),
    ] {
        assert_eq!(ask(func, by), (quantities.to_vec(), total), "{func} {by}");
    }
    // S5: once ext1 is c1's external id they are one customer.
    api.patch(&format!("/v1/customers/{}", c1.1), &json!({"external_id": "ext1"})).expect(200);
    assert_eq!(ask("sum", "avg").0, [30.0, 7.0]);
    assert_eq!(ask("sum", "count").0, [2.0, 1.0]);
}

#[test]
fn quantities_are_asked_for_by_customer_in_both_spellings() {
    let api = organization();
    let ada = id(&api.customer("ada@example.com", Some("ada")));
    let bob = id(&api.customer("bob@example.com", None));
    let day = "2024-01-01T00:00:00Z";
    let event = |key: &str, customer: &str, v: u32| json!({"name": "e", (key): customer, "timestamp": day, "metadata": {"v": v, "k": "x"}});
    api.ingest(&json!([
        event("customer_id", &ada, 1),
        event("external_customer_id", "ada", 2),
        event("customer_id", &bob, 4),
        event("external_customer_id", "nobody", 8),
    ]));
    let meter = api.meter(&json!([]), &json!({"func": "sum", "property": "v"}));
    let total = |more: &[(&str, &str)]| api.quantities(&meter, day, day, more).1;
    let unknown = "a8ea8fc6-0a41-4545-90b9-11be3a6eaaac";
    assert_eq!(total(&[]), 15.0);
    assert_eq!(total(&[("customer_id", &ada)]), 3.0);
    assert_eq!(total(&[("external_customer_id", "ada")]), 3.0);
    assert_eq!(total(&[("customer_id", &bob), ("external_customer_id", "ada")]), 7.0);
    assert_eq!(total(&[("customer_id", &bob), ("customer_id", &ada)]), 7.0);
    assert_eq!(total(&[("external_customer_id", "nobody")]), 8.0);
    assert_eq!(total(&[("external_customer_id", "ada,nobody")]), 0.0);
    assert_eq!(total(&[("customer_id", unknown)]), 0.0);
    assert_eq!(total(&[("metadata[v]", "1")]), 1.0);
    assert_eq!(total(&[("metadata[v]", "1"), ("metadata[v]", "2")]), 3.0);
    assert_eq!(total(&[("metadata[v]", "1"), ("metadata[k]", "y")]), 0.0);
    // A deleted customer cannot be selected by id; its external id still selects its events (S29).
    api.delete(&format!("/v1/customers/{ada}")).expect(204);
    assert_eq!(total(&[("customer_id", &ada)]), 0.0);
    assert_eq!(total(&[("external_customer_id", "ada")]), 2.0);
    assert_eq!(total(&[]), 15.0);
}

#[test]
fn credits_and_resets_do_not_count_in_quantities() {
    let api = organization();
    let meter = api.count_meter();
    api.customer("a@example.com", Some("a"));
    let row = id(&api.get("/v1/customer-meters/").items()[0]);
    api.post(&format!("/v1/customer-meters/{row}/credits"), &json!({"units": 5})).expect(201);
    api.post(&format!("/v1/customer-meters/{row}/reset"), &json!({})).expect(201);
    let start = "2026-01-01T00:00:00Z";
    let parameters = [
        ("start_timestamp", start),
        ("end_timestamp", "2035-01-01T00:00:00Z"),
        ("interval", "year"),
    ];
    let (_, total) = api.points(&meter, &parameters);
    assert_eq!(total, 0.0, "S14");
}
