//! What holds for every endpoint: paths, methods, versions, headers, how values are written.

use serde_json::{Value, json};

use crate::harness::{Api, assert_keys, escape, id, organization, raw, root, server, text};

/// Sends a request by hand and returns the answer's head and body.
fn by_hand(api: &Api, line: &str, headers: &str, body: &str) -> (String, String) {
    let token = api.token.as_deref().unwrap_or_default();
    let authorization =
        if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let length =
        if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request = format!(
        "{line} HTTP/1.1\r\nHost: floe\r\nConnection: close\r\n{authorization}{length}{headers}\r\n{body}"
    );
    let answer = raw(api.address, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn each_version_is_served_and_echoed() {
    let api = organization();
    for (asked_for, used) in
        [("2026-04", "2026-04"), ("2026-10", "2026-10"), ("2027-01", "2027-01"), ("", "2026-04")]
    {
        let answer = api.with("Polar-Version", asked_for).get("/v1/meters/");
        assert_eq!(answer.header("polar-version"), Some(used));
        assert_eq!(answer.status, 200);
    }
    for answer in [
        api.get("/v1/meters/"),
        api.anonymous().get("/v1/meters/"),
        api.get("/v1/nonsense"),
        api.get("/v1/meters/nonsense"),
        api.delete("/v1/meters/"),
    ] {
        assert_eq!(answer.header("polar-version"), Some("2026-04"), "{}", answer.text);
    }
}

#[test]
fn an_unknown_version_is_not_found_before_the_token_is_looked_at() {
    let api = organization();
    for version in ["2025-01", "2026-4", "latest", "2026-04 x", "2026-04-01"] {
        for api in [&api, &api.anonymous(), &api.with_token("nonsense")] {
            let answer = api.with("Polar-Version", version).get("/v1/meters/");
            assert_eq!(answer.header("polar-version"), None, "{version}");
            assert_eq!(answer.expect(404), json!({"detail": "Not Found"}), "{version}");
        }
    }
}

#[test]
fn both_spellings_of_a_path_are_served() {
    let api = organization();
    let meter = api.count_meter();
    for path in [
        "/v1/meters",
        "/v1/meters/",
        "/v1/events",
        "/v1/customers",
        "/v1/customer-meters",
        "/v1/event-types",
        "/v1/events/names/",
        "/v1/organization-access-tokens",
    ] {
        api.get(path).expect(200);
    }
    api.get(&format!("/v1/meters/{meter}/")).expect(200);
    api.post("/v1/events/ingest/", &json!({"events": []})).expect(200);
    api.get("/v1/meters?limit=1").expect(200);
    api.get("/api/v1/meters/").expect(200);
    api.get("/api/v1/meters").expect(200);
}

#[test]
fn unknown_paths_are_not_found() {
    let api = organization();
    for path in [
        "/v1/nonsense",
        "/v1/",
        "/v1/meters/a/b/c",
        "/v1//meters/",
        "/v1/meters//",
        "/v2/meters/",
        "/v1/meters/x/quantities/y",
        "/nonsense",
    ] {
        let answer = api.get(path);
        assert_eq!(answer.expect(404), json!({"detail": "Not Found"}), "{path}");
    }
}

#[test]
fn other_methods_are_not_allowed() {
    let api = organization();
    let meter = api.count_meter();
    for (method, path, allowed) in [
        ("DELETE", "/v1/meters/", "GET"),
        ("PUT", "/v1/meters/", "POST"),
        ("OPTIONS", "/v1/meters/", "GET"),
        ("DELETE", &format!("/v1/meters/{meter}"), "PATCH"),
        ("DELETE", "/v1/events/ingest", "POST"),
        ("GET", &format!("/v1/event-types/{meter}"), "PATCH"),
        ("POST", "/v1/customer-meters/", "GET"),
        ("GET", &format!("/v1/customer-meters/{meter}/credits"), "POST"),
    ] {
        let answer = api.send(method, path, None::<&str>);
        let allow = answer.header("allow").unwrap_or_default().to_owned();
        assert!(allow.split(',').any(|m| m.trim() == allowed), "{method} {path}: {allow}");
        assert!(!allow.contains("HEAD"), "HEAD is refused, so it is not allowed: {allow}");
        let expected = json!({"detail": "Method Not Allowed"});
        assert_eq!(answer.expect(405), expected, "{method} {path}");
    }
}

#[test]
fn head_is_not_allowed_and_has_no_body() {
    let api = organization();
    for path in ["/v1/meters/", "/v1/events/", "/v1/customers/external/x"] {
        let (head, body) = by_hand(&api, &format!("HEAD {path}"), "", "");
        assert!(head.starts_with("http/1.1 405 "), "{head}");
        assert!(head.contains("\r\nallow: "), "{head}");
        assert_eq!(body, "");
    }
}

#[test]
fn words_in_the_place_of_an_id_are_read_as_one_unless_they_are_a_path() {
    let api = organization();
    api.get("/v1/events/ingest").refuses("uuid_parsing@path.id");
    api.get("/v1/customers/external").refuses("uuid_parsing@path.id");
    assert_keys(&api.get("/v1/events/names").expect(200), "items pagination");
    api.customer("state@example.com", Some("state"));
    assert_eq!(text(&api.get("/v1/customers/external/state").expect(200), "external_id"), "state");
}

#[test]
fn external_ids_in_paths_are_decoded_after_routing() {
    let api = organization();
    let ids = ["a/b", "a b", "100%", "%2F", "ä/ö?&#", "..", "state", "a+b", ".", "//", "日本"];
    for (n, external_id) in ids.into_iter().enumerate() {
        let made = api.customer(&format!("c{n}@example.com"), Some(external_id));
        // Clients normalise dots, so they go by hand.
        let path = format!("/v1/customers/external/{}", escape(external_id).replace('.', "%2E"));
        let (head, body) = by_hand(&api, &format!("GET {path}"), "", "");
        assert!(head.starts_with("http/1.1 200 "), "{external_id}: {head}");
        let got: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(got["id"], made["id"], "{external_id}");
        let (head, body) = by_hand(&api, &format!("GET {path}/state"), "", "");
        assert!(head.starts_with("http/1.1 200 "), "{external_id}: {head}");
        let got: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(got["id"], made["id"], "{external_id}");
        assert!(got["active_meters"].is_array());
    }
}

#[test]
fn paths_that_are_not_utf_8_name_nothing() {
    let api = organization();
    let answer = api.get("/v1/customers/external/%FF%FE");
    assert_eq!(answer.status, 404, "{}", answer.text);
    let answer = api.get("/v1/meters/%FF");
    assert_eq!(answer.status, 422, "{}", answer.text);
}

#[test]
fn unknown_parameters_and_keys_are_ignored() {
    let api = organization();
    api.get("/v1/events/?hierarchical=false&x[y]=z&&=&%FF=1").expect(200);
    let body = json!({
        "name": "abc", "nonsense": {"a": [null]},
        "filter": {"conjunction": "and", "more": 1, "clauses": [
            {"property": "a", "operator": "eq", "value": 1, "more": 1},
        ]},
        "aggregation": {"func": "count", "property": "dropped", "more": 1},
    });
    let made = api.post("/v1/meters/", &body).expect(201);
    assert_eq!(made["aggregation"], json!({"func": "count"}));
    assert_keys(&made["filter"], "conjunction clauses");
    assert_keys(&made["filter"]["clauses"][0], "property operator value");
    let event = json!({"name": "e", "external_customer_id": "c", "nonsense": {"a": null}});
    api.ingest(&json!([event]));
    assert_eq!(api.get("/v1/events/").items()[0]["metadata"], json!({}));
}

#[test]
fn any_json_content_type_is_read_as_json() {
    let api = organization();
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/problem+json",
        "application/vnd.api+json;v=1",
    ] {
        let answer =
            api.with("Content-Type", kind).post("/v1/events/ingest", &json!({"events": []}));
        assert_eq!(answer.expect(200), json!({"inserted": 0, "duplicates": 0}), "{kind}");
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "text/json",
        "application/jsonp",
        "nonsense",
        "application/octet-stream",
    ] {
        let answer =
            api.with("Content-Type", kind).post("/v1/events/ingest", &json!({"events": []}));
        answer.refuses("model_attributes_type@body");
        assert_eq!(answer.json["detail"][0]["input"], r#"{"events":[]}"#, "{kind}");
    }
}

#[test]
fn a_byte_order_mark_is_broken_json() {
    let answer = organization().send("POST", "/v1/events/ingest", Some("\u{feff}{\"events\":[]}"));
    let item = answer.expect(422)["detail"][0].clone();
    assert_eq!(item["type"], "json_invalid");
    assert_eq!(item["loc"], json!(["body", 0]));
}

#[test]
fn of_duplicate_keys_the_last_wins() {
    let api = organization();
    let body = r#"{"name":"x","name":"last","aggregation":{"func":"count"},
        "filter":{"conjunction":"or","conjunction":"and","clauses":[]},
        "metadata":{"a":1,"b":2,"a":3}}"#;
    let made = api.send("POST", "/v1/meters/", Some(body)).expect(201);
    assert_eq!(made["name"], "last");
    assert_eq!(made["filter"]["conjunction"], "and");
    assert_eq!(made["metadata"], json!({"a": 3, "b": 2}));
    let body = r#"{"events":[],"events":[{"name":"e","name":"f","external_customer_id":"c",
        "metadata":{"a":"first","a":{"nested":1},"a":"last"}}]}"#;
    let answer = api.send("POST", "/v1/events/ingest", Some(body)).expect(200);
    assert_eq!(answer["inserted"], 1);
    let event = &api.get("/v1/events/").items()[0];
    assert_eq!(event["name"], "f");
    assert_eq!(event["metadata"], json!({"a": "last"}));
}

#[test]
fn times_are_written_in_utc_with_six_digits_or_none() {
    let api = organization();
    let times = [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("2024-01-01T00:00:00.123Z", "2024-01-01T00:00:00.123000Z"),
        ("2024-01-01T01:30:00.000001+01:30", "2024-01-01T00:00:00.000001Z"),
        ("2024-01-01t00:00:00.123456789z", "2024-01-01T00:00:00.123456Z"),
        ("2024-01-01 00:00Z", "2024-01-01T00:00:00Z"),
        ("2024-01-01_00:00:00,5-0030", "2024-01-01T00:30:00.500000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
    ];
    for (given, written) in times {
        let event = json!({"name": written, "external_customer_id": "c", "timestamp": given});
        api.ingest(&json!([event]));
    }
    let numbers = [
        (json!(1_704_067_200), "2024-01-01T00:00:00Z"),
        (json!(1_704_067_200.5), "2024-01-01T00:00:00.500000Z"),
        (json!("1704067200"), "2024-01-01T00:00:00Z"),
        // Beyond 2e10 it is milliseconds.
        (json!(1_704_067_200_123_u64), "2024-01-01T00:00:00.123000Z"),
    ];
    for (given, written) in numbers {
        let event = json!({"name": written, "external_customer_id": "c", "timestamp": given});
        api.ingest(&json!([event]));
    }
    let events = api.get("/v1/events/?limit=100").items();
    assert_eq!(events.len(), 12);
    for event in events {
        assert_eq!(event["timestamp"], event["name"]);
    }
}

#[test]
fn numbers_in_metadata_come_back_as_they_were_sent() {
    let api = organization();
    let big = format!("1{}", "0".repeat(4299));
    let kept = [
        ("0", "0"),
        ("-1", "-1"),
        ("1.0", "1.0"),
        ("1.5", "1.5"),
        ("-0.5", "-0.5"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        (big.as_str(), big.as_str()),
        ("0.1", "0.1"),
        ("true", "true"),
        ("\"1\"", "\"1\""),
    ];
    let members: Vec<_> =
        kept.iter().enumerate().map(|(n, (sent, _))| format!("\"k{n}\":{sent}")).collect();
    let body = format!(
        r#"{{"events":[{{"name":"e","external_customer_id":"c","metadata":{{{}}}}}]}}"#,
        members.join(",")
    );
    api.send("POST", "/v1/events/ingest", Some(body)).expect(200);
    let text = api.get("/v1/events/").text;
    for (n, (sent, got)) in kept.iter().enumerate() {
        let followed = |end| text.contains(&format!("\"k{n}\":{got}{end}"));
        assert!(followed(",") || followed("}"), "{sent} in {text}");
    }
}

#[test]
fn large_floats_in_metadata_come_back_as_integers() {
    // Semantics section 3: floats of 1e16 and more lose their fraction, as PostgreSQL has it.
    let api = organization();
    let body = r#"{"events":[{"name":"e","external_customer_id":"c",
        "metadata":{"a":1e20,"b":1e15,"c":1e-7,"d":1e16}}]}"#;
    api.send("POST", "/v1/events/ingest", Some(body)).expect(200);
    let text = api.get("/v1/events/").text;
    assert!(text.contains("\"a\":100000000000000000000"), "{text}");
    assert!(text.contains("\"b\":1000000000000000.0"), "{text}");
    assert!(text.contains("\"d\":10000000000000000"), "{text}");
    let small = &api.get("/v1/events/").items()[0]["metadata"]["c"];
    assert_eq!(small.as_f64(), Some(1e-7));
}

#[test]
fn quantities_are_floats_and_counts_are_integers_on_the_wire() {
    let api = organization();
    let meter = api.meter(&json!([]), &json!({"func": "sum", "property": "v"}));
    let events: Vec<_> = ["10", "0.1", "0.2", "1e20"]
        .iter()
        .enumerate()
        .map(|(day, v)| {
            let time = format!("2024-01-0{}T00:00:00Z", day.max(1));
            format!(r#"{{"name":"e","external_customer_id":"c","timestamp":"{time}","metadata":{{"v":{v}}}}}"#)
        })
        .collect();
    let body = format!("{{\"events\":[{}]}}", events.join(","));
    let answer = api.send("POST", "/v1/events/ingest", Some(body));
    assert_eq!(answer.text, r#"{"inserted":4,"duplicates":0}"#);
    let path = format!(
        "/v1/meters/{meter}/quantities?interval=day&start_timestamp=2024-01-01T00:00:00Z\
         &end_timestamp=2024-01-04T00:00:00Z"
    );
    assert_eq!(
        api.get(&path).text,
        "{\"quantities\":[\
         {\"timestamp\":\"2024-01-01T00:00:00Z\",\"quantity\":10.1},\
         {\"timestamp\":\"2024-01-02T00:00:00Z\",\"quantity\":0.2},\
         {\"timestamp\":\"2024-01-03T00:00:00Z\",\"quantity\":1e+20},\
         {\"timestamp\":\"2024-01-04T00:00:00Z\",\"quantity\":0.0}],\
         \"total\":1e+20}"
    );
    let page = api.get("/v1/events/").text;
    assert!(page.ends_with("\"pagination\":{\"total_count\":4,\"max_page\":1}}"), "{page}");
}

#[test]
fn the_amount_of_a_cost_is_text_in_answers() {
    let api = organization();
    let costs = [
        (json!(1.5), "1.5"),
        (json!("1.5"), "1.5"),
        (json!(3), "3"),
        (json!("-0.25"), "-0.25"),
        (json!("12345.123456789012"), "12345.123456789012"),
    ];
    for (n, (amount, _)) in costs.iter().enumerate() {
        let cost = json!({"amount": amount, "currency": "usd", "more": 1});
        let metadata = json!({"_cost": cost, "n": n});
        api.ingest(&json!([{"name": "e", "external_customer_id": "c", "metadata": metadata}]));
    }
    let mut events = api.get("/v1/events/?sorting=timestamp").items();
    events.sort_by_key(|event| event["metadata"]["n"].as_u64());
    for (event, (_, expected)) in events.iter().zip(&costs) {
        assert_eq!(event["metadata"]["_cost"], json!({"amount": expected, "currency": "usd"}));
        let alone = api.get(&format!("/v1/events/{}", id(event))).expect(200);
        assert_eq!(alone["metadata"], event["metadata"]);
    }
}

const METER: &str = "id created_at modified_at metadata name unit custom_label custom_multiplier \
                     filter aggregation organization_id archived_at";
const CUSTOMER: &str = "id created_at modified_at metadata external_id email email_verified type \
                        name billing_name billing_address tax_id locale organization_id \
                        default_payment_method_id deleted_at first_user_event_at avatar_url";
const EVENT: &str = "id timestamp organization_id customer_id customer external_customer_id \
                     member_id external_member_id child_count parent_id label name source metadata";
const TOKEN: &str =
    "id created_at modified_at scopes expires_at comment last_used_at organization_id";

#[test]
fn every_key_of_every_resource_is_present() {
    let api = organization();
    let meter = api.count_meter();
    let customer = api.customer("a@example.com", Some("a"));
    api.ingest(&json!([{"name": "e", "external_customer_id": "a"}]));
    assert_keys(&api.get(&format!("/v1/meters/{meter}")).expect(200), METER);
    assert_keys(&api.get("/v1/meters/").items()[0], METER);
    assert_keys(&customer, CUSTOMER);
    assert_keys(&api.get("/v1/customers/").items()[0], CUSTOMER);
    let event = api.get("/v1/events/").items()[0].clone();
    assert_keys(&event, EVENT);
    assert_keys(&event["customer"], CUSTOMER);
    assert_keys(&api.get(&format!("/v1/events/{}", id(&event))).expect(200), EVENT);
    let name = &api.get("/v1/events/names").items()[0];
    assert_keys(name, "name label source occurrences first_seen last_seen");
    let kind = api.get("/v1/event-types/").items()[0].clone();
    assert_keys(
        &kind,
        "id created_at modified_at name label label_property_selector organization_id source \
         occurrences first_seen last_seen",
    );
    let path = format!("/v1/event-types/{}", id(&kind));
    let patched = api.patch(&path, &json!({"label": "E"})).expect(200);
    assert_keys(
        &patched,
        "id created_at modified_at name label label_property_selector organization_id",
    );
    let row = api.get("/v1/customer-meters/").items()[0].clone();
    assert_keys(
        &row,
        "id created_at modified_at customer_id meter_id consumed_units credited_units balance \
         customer meter",
    );
    assert_keys(&row["customer"], CUSTOMER);
    assert_keys(&row["meter"], METER);
    let state = api.get("/v1/customers/external/a/state").expect(200);
    let more = "active_subscriptions granted_benefits active_meters";
    assert_keys(&state, &format!("{CUSTOMER} {more}"));
    assert_eq!(state["active_subscriptions"], json!([]));
    assert_eq!(state["granted_benefits"], json!([]));
    assert_keys(
        &state["active_meters"][0],
        "id created_at modified_at meter_id consumed_units credited_units balance",
    );
    let page = api.get("/v1/meters/").expect(200);
    assert_keys(&page, "items pagination");
    assert_keys(&page["pagination"], "total_count max_page");
    let organization = api.get(&format!("/v1/organizations/{}", api.organization_id)).expect(200);
    assert_keys(&organization, "id created_at modified_at name slug");
    assert_keys(&api.get("/v1/organization-access-tokens/").items()[0], TOKEN);
    let body = json!({"comment": "c", "scopes": ["meters:read"]});
    let made = api.post("/v1/organization-access-tokens/", &body).expect(201);
    assert_keys(&made, "organization_access_token token");
    assert_keys(&made["organization_access_token"], TOKEN);
}

#[test]
fn ids_that_are_made_are_lower_case_uuids_of_version_4() {
    let api = organization();
    api.count_meter();
    api.customer("a@example.com", Some("a"));
    api.ingest(&json!([{"name": "e", "external_customer_id": "a"}]));
    for path in [
        "/v1/meters/",
        "/v1/customers/",
        "/v1/events/",
        "/v1/event-types/",
        "/v1/customer-meters/",
        "/v1/organization-access-tokens/",
    ] {
        for item in api.get(path).items() {
            let id = id(&item);
            let parsed: uuid::Uuid = id.parse().unwrap();
            assert_eq!(parsed.get_version_num(), 4, "{path}");
            assert_eq!(parsed.get_variant(), uuid::Variant::RFC4122, "{path}");
            assert_eq!(parsed.hyphenated().to_string(), id, "{path}");
        }
    }
}

#[test]
fn pages_of_other_origins_may_call() {
    let api = organization().with("Origin", "https://app.example.com");
    for answer in [api.get("/v1/meters/"), api.anonymous().get("/v1/meters/"), api.get("/v1/x")] {
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-expose-headers"), Some("Polar-Version"));
    }
    let plain = organization().get("/v1/meters/");
    assert_eq!(plain.header("access-control-allow-origin"), None);
}

#[test]
fn a_preflight_names_what_may_be_sent() {
    let api = organization().anonymous();
    let ask = |headers: &str| {
        let lines = format!(
            "Origin: https://app.example.com\r\nAccess-Control-Request-Method: PATCH\r\n\
             Access-Control-Request-Headers: {headers}\r\n"
        );
        by_hand(&api, "OPTIONS /v1/meters/", &lines, "")
    };
    let (head, _) = ask("Authorization, polar-version, Content-Type");
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
    assert!(head.contains("access-control-max-age: 600"), "{head}");
    let line = |name: &str| {
        let line = head.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(": ").unwrap_or_default().1.to_owned()
    };
    for method in ["delete", "get", "head", "options", "patch", "post", "put"] {
        assert!(line("access-control-allow-methods").split(", ").any(|m| m == method), "{head}");
    }
    for name in ["authorization", "polar-version", "content-type"] {
        assert!(line("access-control-allow-headers").split(", ").any(|n| n == name), "{head}");
    }
    let (head, body) = ask("X-Nonsense");
    assert!(head.starts_with("http/1.1 400 "), "{head}");
    assert_eq!(body, "Disallowed CORS headers");
}

#[test]
fn health_needs_no_token() {
    let api = Api::new(server().address, None);
    assert_eq!(api.get("/healthz").expect(200), json!({"status": "ok"}));
}

#[test]
fn checks_come_in_the_order_of_the_contract() {
    let api = organization();
    let unknown = "a8ea8fc6-0a41-4545-90b9-11be3a6eaaac";
    let invalid = api.with_token("nonsense");
    let anonymous = api.anonymous();
    let limited = server().token(&api.organization_id, &["events:read"]);
    // Version before token; a body too large before the token; the token before the route.
    invalid.with("Polar-Version", "x").get("/v1/meters/").expect(404);
    let large = "Content-Length: 99999999\r\nContent-Type: application/json\r\n";
    let (head, _) = by_hand(&invalid, "POST /v1/meters/", large, "");
    assert!(head.starts_with("http/1.1 413 "), "{head}");
    invalid.get("/v1/nonsense").expect(401);
    invalid.send("PUT", "/v1/meters/", None::<&str>).expect(401);
    // The route before anonymous callers and scopes.
    anonymous.get("/v1/nonsense").expect(404);
    anonymous.send("PUT", "/v1/meters/", None::<&str>).expect(405);
    limited.send("PUT", "/v1/meters/", None::<&str>).expect(405);
    // The caller before the schema of path and body.
    anonymous.get("/v1/meters/nonsense").expect(401);
    limited.get("/v1/meters/nonsense").expect(403);
    anonymous.send("POST", "/v1/meters/", Some("{")).expect(401);
    limited.send("POST", "/v1/meters/", Some("{")).expect(403);
    // Syntax before the path; the schema before existence; existence before rules.
    let answer = api.send("PATCH", "/v1/meters/nonsense", Some("{"));
    assert_eq!(answer.expect(422)["detail"][0]["type"], "json_invalid");
    let path = format!("/v1/meters/{unknown}");
    api.patch(&path, &json!({"name": "a"})).refuses("string_too_short@body.name");
    let span = "start_timestamp=2024-01-02T00:00:00Z&end_timestamp=2024-01-01T00:00:00Z";
    api.get(&format!("{path}/quantities?{span}&interval=x")).refuses("enum@query.interval");
    api.get(&format!("{path}/quantities?{span}&interval=day")).is_absent();
}

#[test]
fn outside_of_v1_no_version_and_no_token_is_checked() {
    let api = root().with_token("nonsense").with("Polar-Version", "nonsense");
    api.get("/healthz").expect(200);
    api.get("/nonsense").expect(404);
}

#[test]
fn scalars_are_read_as_generously_as_polar_reads_them() {
    let api = organization();
    for n in 0..6 {
        api.customer(&format!("c{n}@example.com"), None);
    }
    for five in ["5", "%2B5", "+5+", "007", "1_0", "5.0", "%205%20"] {
        let items = api.get(&format!("/v1/customers/?limit={five}")).items();
        let expected = if five == "007" || five == "1_0" { 6 } else { 5 };
        assert_eq!(items.len(), expected, "{five}");
    }
    // A scalar given twice: the last wins.
    assert_eq!(api.get("/v1/customers/?limit=x&limit=2").items().len(), 2);
    for (boolean, count) in [
        ("true", 0),
        ("T", 0),
        ("YES", 0),
        ("on", 0),
        ("1", 0),
        ("Y", 0),
        ("false", 6),
        ("f", 6),
        ("No", 6),
        ("off", 6),
        ("0", 6),
        ("n", 6),
    ] {
        let items = api.get(&format!("/v1/customers/?active={boolean}")).items();
        assert_eq!(items.len(), count, "{boolean}");
    }
    let meter = |multiplier: Value| {
        let body = json!({
            "name": "abc", "filter": {"conjunction": "and", "clauses": []},
            "aggregation": {"func": "count"}, "unit": "custom", "custom_label": "x",
            "custom_multiplier": multiplier,
        });
        api.post("/v1/meters/", &body)
    };
    for (given, read) in
        [(json!(5), 5), (json!(5.0), 5), (json!("5"), 5), (json!(true), 1), (json!(" 7 "), 7)]
    {
        assert_eq!(meter(given).expect(201)["custom_multiplier"], read);
    }
    assert_eq!(meter(json!(i64::MAX)).expect(201)["custom_multiplier"], i64::MAX);
    let beyond = json!(i64::MAX.unsigned_abs() + 1);
    meter(beyond).refuses("less_than_equal@body.custom_multiplier");
}
