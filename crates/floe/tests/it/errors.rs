//! Every refusal that the contract names: status, body, headers (sections 1.3 to 5).

use serde_json::{Value, json};

use crate::harness::{Api, encode, id, organization, raw, server};

const UNKNOWN: &str = "a8ea8fc6-0a41-4545-90b9-11be3a6eaaac";
const INVALID_TOKEN: &str = "The access token provided is expired, revoked, malformed, or invalid \
                             for other reasons.";
const INSUFFICIENT: &str =
    "The request requires higher privileges than provided by the access token.";

fn meter(change: Value) -> Value {
    let mut body = json!({
        "name": "meter",
        "filter": {"conjunction": "and", "clauses": []},
        "aggregation": {"func": "count"},
    });
    for (key, value) in change.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn clause(clause: Value) -> Value {
    meter(json!({"filter": {"conjunction": "and", "clauses": [clause]}}))
}

fn customer(change: Value) -> Value {
    let mut body = json!({"email": "a@example.com"});
    for (key, value) in change.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn event(change: Value) -> Value {
    let mut event = json!({"name": "e", "external_customer_id": "c"});
    for (key, value) in change.as_object().unwrap() {
        event[key] = value.clone();
    }
    json!({"events": [event]})
}

#[test]
fn a_request_without_a_token_is_unauthorized() {
    let answer = organization().anonymous().get("/v1/meters/");
    assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="polar""#));
    assert_eq!(answer.expect(401), json!({"error": "Unauthorized", "detail": "Unauthorized"}));
}

#[test]
fn other_schemes_and_tokens_that_cannot_be_one_are_anonymous() {
    let api = organization().anonymous();
    for header in ["Basic YTpi", "Bearer", "Bearer ", "Bearer t\u{f6}ken", "token"] {
        let answer = api.with("Authorization", header).get("/v1/meters/");
        assert_eq!(answer.json["error"], "Unauthorized", "{header}");
        assert_eq!(answer.status, 401, "{header}");
    }
}

#[test]
fn the_scheme_is_read_in_any_case() {
    let api = organization();
    let token = api.token.clone().unwrap();
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        let api = api.anonymous().with("Authorization", &format!("{scheme} {token}"));
        api.get("/v1/meters/").expect(200);
    }
}

#[test]
fn an_unknown_token_is_invalid() {
    let answer = organization().with_token("floe_oat_unknown").get("/v1/meters/");
    let challenge = format!(
        r#"Bearer realm="polar", error="invalid_token", error_description="{INVALID_TOKEN}""#
    );
    assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    let expected = json!({"error": "invalid_token", "error_description": INVALID_TOKEN});
    assert_eq!(answer.expect(401), expected);
}

#[test]
fn a_token_without_the_scope_is_told_which_ones_help() {
    let all = organization();
    let api = server().token(&all.organization_id, &["events:read"]);
    let answer = api.get("/v1/meters/");
    let challenge = answer.header("www-authenticate").unwrap().to_owned();
    let rest = format!(r#", error="insufficient_scope", error_description="{INSUFFICIENT}""#);
    let scopes = challenge
        .strip_prefix(r#"Bearer realm="polar", scope=""#)
        .and_then(|text| text.strip_suffix(&format!(r#""{rest}"#)))
        .unwrap_or_else(|| panic!("{challenge}"));
    let mut scopes: Vec<_> = scopes.split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["meters:read", "meters:write"]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    let expected = json!({"error": "insufficient_scope", "error_description": INSUFFICIENT});
    assert_eq!(answer.expect(403), expected);
}

#[test]
fn an_organization_header_of_another_organization_is_not_permitted() {
    let (api, other) = (organization(), organization());
    api.with("Polar-Organization", &api.organization_id).get("/v1/meters/").expect(200);
    for header in [other.organization_id.as_str(), UNKNOWN, "nonsense"] {
        let answer = api.with("Polar-Organization", header).get("/v1/meters/");
        assert_eq!(answer.json["error"], "NotPermitted", "{header}");
        assert!(answer.json["detail"].is_string());
        answer.expect(403);
    }
}

#[test]
fn no_body_an_empty_body_and_null_are_a_missing_body() {
    let api = organization();
    let expected = json!({
        "error": "RequestValidationError",
        "detail": [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": null}],
    });
    for path in ["/v1/meters/", "/v1/events/ingest", "/v1/customers/"] {
        assert_eq!(api.send("POST", path, None::<&str>).expect(422), expected);
        for body in ["", "null", " null\n"] {
            assert_eq!(api.send("POST", path, Some(body)).expect(422), expected, "{body:?}");
        }
    }
}

#[test]
fn broken_json_is_told_with_its_place() {
    let api = organization();
    let broken = [
        "{\"a\":1,}",
        "{",
        "[1",
        "tru",
        "\"",
        "{\"a\" 1}",
        "01",
        "{}x",
        "'a'",
        "\u{1}",
        " ",
        "[,]",
        "{\"a\":+1}",
        "\"\\x\"",
        "\"\t\"",
        "{\"a\":.5}",
    ];
    for body in broken {
        let answer = api.send("POST", "/v1/meters/", Some(body));
        assert_eq!(answer.status, 422, "{body}: {}", answer.text);
        let item = &answer.json["detail"][0];
        assert_eq!(answer.json["error"], "RequestValidationError");
        assert_eq!(item["type"], "json_invalid", "{body}");
        assert_eq!(item["loc"][0], "body");
        assert!(item["loc"][1].is_u64(), "{item}");
        assert_eq!(item["msg"], "JSON decode error");
        assert_eq!(item["input"], json!({}));
        assert!(item["ctx"]["error"].is_string());
    }
    let answer = api.send("POST", "/v1/meters/", Some("{\"\u{e4}\": 1,}"));
    let offset = answer.json["detail"][0]["loc"][1].as_u64().unwrap();
    assert!((7..=8).contains(&offset), "characters, not bytes: {offset}");
}

#[test]
fn a_body_that_is_not_utf_8_is_refused() {
    let answer = organization().send("POST", "/v1/meters/", Some(b"{\"name\":\"\xff\"}".to_vec()));
    assert_eq!(answer.expect(400), json!({"detail": "There was an error parsing the body"}));
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    let api = organization();
    for path in ["/v1/meters/", "/v1/events/ingest", "/v1/customers/"] {
        for body in ["[]", "1", "\"a\"", "true", "1.5", "[{}]"] {
            let answer = api.send("POST", path, Some(body));
            answer.refuses("model_attributes_type@body");
            let item = &answer.json["detail"][0];
            let text = "Input should be a valid dictionary or object to extract fields from";
            assert_eq!(item["msg"], text);
            assert_eq!(item["input"], serde_json::from_str::<Value>(body).unwrap());
        }
    }
}

#[test]
fn a_body_that_is_not_of_json_is_handed_to_validation_as_text() {
    let api = organization().with("Content-Type", "text/plain");
    let answer = api.send("POST", "/v1/meters/", Some("{\"name\":\"abc\"}"));
    answer.refuses("model_attributes_type@body");
    assert_eq!(answer.json["detail"][0]["input"], "{\"name\":\"abc\"}");
}

#[test]
fn a_length_over_10_mib_is_refused_before_anything_is_read() {
    let token = organization().token.unwrap();
    let request = format!(
        "POST /v1/events/ingest HTTP/1.1\r\nHost: floe\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 10485761\r\n\r\n"
    );
    let answer = raw(server().address, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let body = r#"{"error":"RequestBodyTooLarge","detail":"Request body exceeded the maximum allowed size of 10485760 bytes."}"#;
    let body: Value = serde_json::from_str(body).unwrap();
    let got: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(got, body);
}

#[test]
fn all_errors_of_path_query_and_body_come_together_in_that_order() {
    let api = organization();
    let path = "/v1/meters/nonsense/quantities?interval=minute&timezone=&end_timestamp=x\
                &customer_id=y&customer_aggregation_function=median";
    api.get(path).refuses(
        "uuid_parsing@path.id missing@query.start_timestamp \
         datetime_from_date_parsing@query.end_timestamp enum@query.interval \
         string_too_short@query.timezone uuid_parsing@query.customer_id.0 \
         enum@query.customer_aggregation_function",
    );
    let answer = api.patch("/v1/meters/nonsense", &json!({"name": "a", "unit": "b"}));
    let mut errors = answer.errors();
    assert_eq!(errors.remove(0), "uuid_parsing@path.id");
    errors.sort();
    assert_eq!(errors, ["enum@body.unit", "string_too_short@body.name"]);
}

#[test]
fn unknown_rows_are_absent() {
    let api = organization();
    for path in [
        format!("/v1/meters/{UNKNOWN}"),
        format!("/v1/events/{UNKNOWN}"),
        format!("/v1/customers/{UNKNOWN}"),
        format!("/v1/customers/{UNKNOWN}/state"),
        "/v1/customers/external/nobody".to_owned(),
        "/v1/customers/external/nobody/state".to_owned(),
        format!("/v1/customer-meters/{UNKNOWN}"),
        format!("/v1/organizations/{UNKNOWN}"),
        format!(
            "/v1/meters/{UNKNOWN}/quantities?interval=day&start_timestamp=2024-01-01T00:00:00Z\
             &end_timestamp=2024-01-01T00:00:00Z"
        ),
    ] {
        api.get(&path).is_absent();
    }
    for path in [
        format!("/v1/meters/{UNKNOWN}"),
        format!("/v1/customers/{UNKNOWN}"),
        "/v1/customers/external/nobody".to_owned(),
        format!("/v1/organization-access-tokens/{UNKNOWN}"),
    ] {
        api.patch(&path, &json!({})).is_absent();
    }
    api.patch(&format!("/v1/event-types/{UNKNOWN}"), &json!({"label": "a"})).is_absent();
    for path in [
        format!("/v1/customers/{UNKNOWN}"),
        "/v1/customers/external/nobody".to_owned(),
        format!("/v1/organization-access-tokens/{UNKNOWN}"),
    ] {
        api.delete(&path).is_absent();
    }
    let credits = format!("/v1/customer-meters/{UNKNOWN}/credits");
    api.post(&credits, &json!({"units": 1})).is_absent();
    api.post(&format!("/v1/customer-meters/{UNKNOWN}/reset"), &json!({})).is_absent();
}

#[test]
fn ids_in_paths_are_uuids_of_version_4() {
    let api = organization();
    let version_1 = "a8ea8fc6-0a41-1545-90b9-11be3a6eaaac";
    for resource in ["meters", "events", "customers", "customer-meters"] {
        let answer = api.get(&format!("/v1/{resource}/nonsense"));
        answer.refuses("uuid_parsing@path.id");
        let item = &answer.json["detail"][0];
        assert_eq!(item["input"], "nonsense");
        let error = "invalid character: found `n` at 1";
        assert_eq!(item["ctx"], json!({"error": error}));
        assert_eq!(item["msg"], format!("Input should be a valid UUID, {error}"));
        let answer = api.get(&format!("/v1/{resource}/{version_1}"));
        answer.refuses("uuid_version@path.id");
        assert_eq!(answer.json["detail"][0]["ctx"], json!({"expected_version": 4}));
        assert_eq!(answer.json["detail"][0]["msg"], "UUID version 4 expected");
    }
}

#[test]
fn an_id_may_be_spelled_in_all_ways_that_a_uuid_has() {
    let api = organization();
    let meter = api.count_meter();
    let bare = meter.replace('-', "");
    let upper = meter.to_uppercase();
    for spelling in [bare.as_str(), &upper, &format!("urn:uuid:{meter}"), &format!("%7B{meter}%7D")]
    {
        let got = api.get(&format!("/v1/meters/{spelling}")).expect(200);
        assert_eq!(id(&got), meter);
    }
}

/// Bodies that are refused at `path`, with their errors.
fn check(api: &Api, method: &str, path: &str, cases: &[(Value, &str)]) {
    for (body, errors) in cases {
        let answer = api.send(method, path, Some(body.to_string()));
        assert_eq!(answer.errors().join(" "), *errors, "{body}");
    }
}

#[test]
fn wrong_meters_are_refused() {
    let api = organization();
    let value = "body.filter.clauses.0.FilterClause.value";
    let values = |kinds: [&str; 3]| {
        let [text, int, boolean] = kinds;
        format!(
            "{text}@{value}.constrained-str {int}@{value}.constrained-int {boolean}@{value}.bool"
        )
    };
    let of = |value: Value| clause(json!({"property": "a", "operator": "eq", "value": value}));
    let long = "x".repeat(1001);
    check(
        &api,
        "POST",
        "/v1/meters/",
        &[
            (json!({}), "missing@body.name missing@body.filter missing@body.aggregation"),
            (meter(json!({"name": "ab"})), "string_too_short@body.name"),
            (meter(json!({"name": 5})), "string_type@body.name"),
            (meter(json!({"name": null})), "string_type@body.name"),
            (meter(json!({"unit": "piece"})), "enum@body.unit"),
            (meter(json!({"unit": "custom"})), "value_error@body"),
            (meter(json!({"custom_label": "x"})), "value_error@body"),
            (meter(json!({"unit": "token", "custom_label": "x"})), "value_error@body"),
            (meter(json!({"custom_multiplier": 0})), "greater_than@body.custom_multiplier"),
            (meter(json!({"custom_multiplier": 1.5})), "int_from_float@body.custom_multiplier"),
            (meter(json!({"custom_multiplier": "x"})), "int_parsing@body.custom_multiplier"),
            (meter(json!({"custom_multiplier": []})), "int_type@body.custom_multiplier"),
            (meter(json!({"organization_id": "x"})), "uuid_parsing@body.organization_id"),
            (meter(json!({"organization_id": 5})), "uuid_type@body.organization_id"),
            (
                meter(json!({"filter": {}})),
                "missing@body.filter.conjunction missing@body.filter.clauses",
            ),
            (
                meter(json!({"filter": {"conjunction": "xor", "clauses": []}})),
                "enum@body.filter.conjunction",
            ),
            (
                meter(json!({"filter": {"conjunction": "and", "clauses": {}}})),
                "list_type@body.filter.clauses",
            ),
            (
                clause(json!({"property": 1, "operator": "is", "value": 1})),
                "string_type@body.filter.clauses.0.FilterClause.property \
             enum@body.filter.clauses.0.FilterClause.operator",
            ),
            (clause(json!({"clauses": []})), "missing@body.filter.clauses.0.Filter.conjunction"),
            (of(json!(1.5)), &values(["string_type", "int_from_float", "bool_type"])),
            (of(json!(null)), &values(["string_type", "int_type", "bool_type"])),
            (
                of(json!(2_147_483_648_u32)),
                &values(["string_type", "less_than_equal", "bool_parsing"]),
            ),
            (
                of(json!(-2_147_483_649_i64)),
                &values(["string_type", "greater_than_equal", "bool_parsing"]),
            ),
            (of(json!(long)), &values(["string_too_long", "int_parsing", "bool_parsing"])),
            (meter(json!({"aggregation": {}})), "union_tag_not_found@body.aggregation"),
            (
                meter(json!({"aggregation": {"func": "median"}})),
                "union_tag_invalid@body.aggregation",
            ),
            (
                meter(json!({"aggregation": {"func": "sum"}})),
                "missing@body.aggregation.sum.property",
            ),
            (
                meter(json!({"aggregation": {"func": "unique", "property": 1}})),
                "string_type@body.aggregation.unique.property",
            ),
            (meter(json!({"metadata": null})), "dict_type@body.metadata"),
            (meter(json!({"metadata": []})), "dict_type@body.metadata"),
        ],
    );
}

#[test]
fn cross_field_errors_of_a_meter_come_only_when_all_fields_are_valid() {
    let api = organization();
    let body = meter(json!({"name": "a", "unit": "custom"}));
    api.post("/v1/meters/", &body).refuses("string_too_short@body.name");
    let body = meter(json!({"unit": "custom"}));
    let answer = api.post("/v1/meters/", &body);
    let item = &answer.json["detail"][0];
    assert_eq!(item["msg"], "Value error, custom_label is required when unit is 'custom'.");
    assert_eq!(item["input"], body);
    assert_eq!(item["ctx"], json!({"error": {}}));
    let answer = api.post("/v1/meters/", &meter(json!({"custom_label": "x"})));
    assert_eq!(
        answer.json["detail"][0]["msg"],
        "Value error, custom_label and custom_multiplier are only allowed when unit is 'custom'."
    );
}

#[test]
fn the_recorded_body_of_a_fractional_clause_value_is_told_but_for_the_other_branch() {
    let clause_value = json!({"property": "a", "operator": "eq", "value": 1.5});
    let body = clause(clause_value);
    let answer = organization().post("/v1/meters/", &body).expect(422);
    let loc = |last: &str| json!(["body", "filter", "clauses", 0, "FilterClause", "value", last]);
    assert_eq!(
        answer,
        json!({
            "error": "RequestValidationError",
            "detail": [
                {"type": "string_type", "loc": loc("constrained-str"), "msg": "Input should be a valid string", "input": 1.5},
                {"type": "int_from_float", "loc": loc("constrained-int"), "msg": "Input should be a valid integer, got a number with a fractional part", "input": 1.5},
                {"type": "bool_type", "loc": loc("bool"), "msg": "Input should be a valid boolean", "input": 1.5},
            ],
        })
    );
}

#[test]
fn wrong_metadata_of_meters_and_customers_is_refused() {
    let api = organization();
    let many: serde_json::Map<_, _> = (0..51).map(|n| (n.to_string(), json!(1))).collect();
    let value = |kinds: [&str; 4]| {
        let members = ["constrained-str", "int", "float", "bool"];
        let all = kinds.iter().zip(members);
        all.map(|(kind, member)| format!("{kind}@body.LOC.a.{member}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let cases = [
        (json!({"x".repeat(41): 1}), format!("string_too_long@body.LOC.{}.[key]", "x".repeat(41))),
        (json!({"": 1}), "string_too_short@body.LOC..[key]".to_owned()),
        (json!({"a": null}), value(["string_type", "int_type", "float_type", "bool_type"])),
        (json!({"a": {"b": 1}}), value(["string_type", "int_type", "float_type", "bool_type"])),
        (json!({"a": [1]}), value(["string_type", "int_type", "float_type", "bool_type"])),
        (
            json!({"a": ""}),
            value(["string_too_short", "int_parsing", "float_parsing", "bool_parsing"]),
        ),
        (
            json!({"a": "x".repeat(501)}),
            value(["string_too_long", "int_parsing", "float_parsing", "bool_parsing"]),
        ),
        (json!(many), "too_long@body.LOC".to_owned()),
        (json!(null), "dict_type@body.LOC".to_owned()),
        (json!("x"), "dict_type@body.LOC".to_owned()),
    ];
    let made = id(&api.customer("metadata@example.com", None));
    let made_meter = api.count_meter();
    for (metadata, errors) in cases {
        let at = |loc: &str| errors.replace("LOC", loc);
        let answer = api.post("/v1/meters/", &meter(json!({"metadata": metadata})));
        answer.refuses(&at("metadata"));
        let answer = api.post("/v1/customers/", &customer(json!({"metadata": metadata})));
        answer.refuses(&at("individual.metadata"));
        let patch = json!({"metadata": metadata});
        api.patch(&format!("/v1/customers/{made}"), &patch).refuses(&at("metadata"));
        api.patch(&format!("/v1/meters/{made_meter}"), &patch).refuses(&at("metadata"));
    }
    let answer = api.post("/v1/meters/", &meter(json!({"metadata": many})));
    let item = &answer.json["detail"][0];
    assert_eq!(item["msg"], "Dictionary should have at most 50 items after validation, not 51");
    let ctx = json!({"field_type": "Dictionary", "max_length": 50, "actual_length": 51});
    assert_eq!(item["ctx"], ctx);
}

#[test]
fn organization_tokens_must_not_name_an_organization_not_even_their_own() {
    let api = organization();
    for organization_id in [api.organization_id.as_str(), UNKNOWN] {
        let body = |loc: Value| {
            json!({
                "error": "PolarRequestValidationError",
                "detail": [{
                    "type": "organization_token",
                    "loc": loc,
                    "msg": "Setting organization_id is disallowed when using an organization token.",
                    "input": organization_id,
                }],
            })
        };
        let given = json!({"organization_id": organization_id});
        let answer = api.post("/v1/meters/", &meter(given.clone()));
        assert_eq!(answer.expect(422), body(json!(["body", "organization_id"])));
        let answer = api.post("/v1/customers/", &customer(given.clone()));
        assert_eq!(answer.expect(422), body(json!(["body", "organization_id"])));
        let answer = api.post("/v1/events/ingest", &event(given));
        assert_eq!(answer.expect(422), body(json!(["body", "events", 0, "organization_id"])));
    }
    api.post("/v1/meters/", &meter(json!({"organization_id": null}))).expect(201);
}

#[test]
fn wrong_events_are_refused_with_the_branch_that_they_look_like() {
    let api = organization();
    let branch = "body.events.0.EventCreateExternalCustomer";
    let one = |kind: &str, loc: &str| format!("{kind}@{branch}.{loc}");
    let value = |kinds: [&str; 4]| {
        let members = ["constrained-str", "int", "float", "bool"];
        let all = kinds.iter().zip(members);
        all.map(|(kind, member)| one(kind, &format!("metadata.a.{member}")))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let amount = |amount: Value| {
        event(json!({"metadata": {"_cost": {"amount": amount, "currency": "usd"}}}))
    };
    let llm = |change: Value| {
        let mut llm = json!({
            "vendor": "v", "model": "m", "input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
        });
        for (key, value) in change.as_object().unwrap() {
            llm[key] = value.clone();
        }
        event(json!({"metadata": {"_llm": llm}}))
    };
    let cost = |kind: &str| one(kind, "metadata._cost.amount");
    check(
        &api,
        "POST",
        "/v1/events/ingest",
        &[
            (json!({}), "missing@body.events"),
            (json!({"events": {}}), "list_type@body.events"),
            (json!({"events": null}), "list_type@body.events"),
            (event(json!({"name": null})), &one("string_type", "name")),
            (event(json!({"name": "x".repeat(129)})), &one("string_too_long", "name")),
            (event(json!({"timestamp": null})), &one("datetime_type", "timestamp")),
            (event(json!({"timestamp": "2024-01-01"})), &one("timezone_aware", "timestamp")),
            (
                event(json!({"timestamp": "2024-01-01T00:00:00"})),
                &one("timezone_aware", "timestamp"),
            ),
            (
                event(json!({"timestamp": "yesterday"})),
                &one("datetime_from_date_parsing", "timestamp"),
            ),
            (event(json!({"timestamp": "2999-01-01T00:00:00Z"})), &one("value_error", "timestamp")),
            (event(json!({"external_id": 5})), &one("string_type", "external_id")),
            (
                event(json!({"external_customer_id": 5})),
                &one("string_type", "external_customer_id"),
            ),
            (event(json!({"parent_id": 5})), &one("string_type", "parent_id")),
            (event(json!({"metadata": null})), &one("dict_type", "metadata")),
            (
                event(json!({"metadata": {"a": null}})),
                &value(["string_type", "int_type", "float_type", "bool_type"]),
            ),
            (
                event(json!({"metadata": {"a": ""}})),
                &value(["string_too_short", "int_parsing", "float_parsing", "bool_parsing"]),
            ),
            (amount(json!(123_456)), &cost("decimal_whole_digits")),
            (amount(json!("0.1234567890123")), &cost("decimal_max_places")),
            (amount(json!("abc")), &cost("decimal_parsing")),
            (amount(json!(true)), &cost("decimal_type")),
            (amount(json!(null)), &cost("decimal_type")),
            (
                event(json!({"metadata": {"_cost": {}}})),
                &format!("{} {}", cost("missing"), one("missing", "metadata._cost.currency")),
            ),
            (
                event(json!({"metadata": {"_cost": {"amount": 1, "currency": "eur"}}})),
                &one("string_pattern_mismatch", "metadata._cost.currency"),
            ),
            // S20: exactly `usd`.
            (
                event(json!({"metadata": {"_cost": {"amount": 1, "currency": "xusdx"}}})),
                &one("string_pattern_mismatch", "metadata._cost.currency"),
            ),
            (event(json!({"metadata": {"_cost": 5}})), &one("dict_type", "metadata._cost")),
            (
                llm(json!({"cached_input_tokens": null})),
                &one("int_type", "metadata._llm.cached_input_tokens"),
            ),
            (
                llm(json!({"input_tokens": 1.5})),
                &one("int_from_float", "metadata._llm.input_tokens"),
            ),
            (llm(json!({"prompt": 5})), &one("string_type", "metadata._llm.prompt")),
            (
                json!({"events": [{"name": "e"}]}),
                "missing@body.events.0.EventCreateCustomer.customer_id \
             missing@body.events.0.EventCreateExternalCustomer.external_customer_id",
            ),
            (
                json!({"events": [{"name": "e", "customer_id": "x"}]}),
                "uuid_parsing@body.events.0.EventCreateCustomer.customer_id",
            ),
            (
                json!({"events": [{"customer_id": UNKNOWN}]}),
                "missing@body.events.0.EventCreateCustomer.name",
            ),
        ],
    );
}

#[test]
fn the_recorded_answer_to_an_event_of_the_future_is_ours_for_its_branch() {
    let body = event(json!({"timestamp": "2999-01-01T00:00:00Z"}));
    let answer = organization().post("/v1/events/ingest", &body).expect(422);
    assert_eq!(
        answer,
        json!({
            "error": "RequestValidationError",
            "detail": [{
                "type": "value_error",
                "loc": ["body", "events", 0, "EventCreateExternalCustomer", "timestamp"],
                "msg": "Value error, Timestamp must be in the past.",
                "input": "2999-01-01T00:00:00Z",
                "ctx": {"error": {}},
            }],
        })
    );
}

#[test]
fn unknown_customers_and_members_of_events_are_refused_by_rule_one_error_an_event() {
    let api = organization();
    let own = id(&api.customer("own@example.com", None));
    let events = json!({"events": [
        {"name": "e", "customer_id": UNKNOWN, "organization_id": UNKNOWN},
        {"name": "e", "customer_id": UNKNOWN, "member_id": UNKNOWN},
        {"name": "e", "customer_id": own, "member_id": UNKNOWN},
        {"name": "e", "customer_id": own},
    ]});
    let answer = api.post("/v1/events/ingest", &events);
    answer.refuses_by_rule(
        "organization_token@body.events.0.organization_id customer_id@body.events.1.customer_id \
         member_id@body.events.2.member_id",
    );
    let msgs: Vec<_> = (1..3).map(|n| answer.json["detail"][n]["msg"].clone()).collect();
    assert_eq!(msgs, ["Customer not found.", "Member not found."]);
    assert_eq!(answer.json["detail"][1]["input"], UNKNOWN);
    let count = api.get("/v1/events/").expect(200)["pagination"]["total_count"].clone();
    assert_eq!(count, 0, "any error stores nothing");
}

#[test]
fn wrong_customers_are_refused() {
    let api = organization();
    let address = |address: Value| customer(json!({"billing_address": address}));
    check(
        &api,
        "POST",
        "/v1/customers/",
        &[
            (json!({}), "missing@body.individual.email"),
            (json!({"email": null}), "string_type@body.individual.email"),
            (json!({"email": "bad"}), "value_error@body.individual.email"),
            (json!({"type": "robot", "email": "a@example.com"}), "union_tag_invalid@body"),
            (json!({"type": null, "email": "a@example.com"}), "union_tag_invalid@body"),
            (json!({"type": "team"}), "value_error@body.team"),
            (json!({"type": "team", "email": "x"}), "value_error@body.team.email"),
            (customer(json!({"name": "x".repeat(257)})), "string_too_long@body.individual.name"),
            (customer(json!({"name": 5})), "string_type@body.individual.name"),
            (customer(json!({"external_id": 5})), "string_type@body.individual.external_id"),
            (address(json!({})), "missing@body.individual.billing_address.country"),
        ],
    );
    let answer = api.post("/v1/customers/", &json!({"email": "bad"}));
    let reason = "An email address must have an @-sign.";
    assert_eq!(
        answer.json["detail"][0],
        json!({
            "type": "value_error",
            "loc": ["body", "individual", "email"],
            "msg": format!("value is not a valid email address: {reason}"),
            "input": "bad",
            "ctx": {"reason": reason},
        })
    );
    let answer = api.post("/v1/customers/", &json!({"type": "team"}));
    assert_eq!(
        answer.json["detail"][0],
        json!({
            "type": "value_error",
            "loc": ["body", "team"],
            "msg": "Value error, An owner with an email address is required when creating a team \
                    customer without an email.",
            "input": {"type": "team"},
            "ctx": {"error": {}},
        })
    );
    for country in ["CU", "IR", "KP", "SY", "RU", "XX", "USA", "", "u"] {
        let answer = api.post("/v1/customers/", &address(json!({"country": country})));
        let errors = answer.errors();
        assert!(errors[0].ends_with("@body.individual.billing_address.country"), "{errors:?}");
    }
    let answer = api.post("/v1/customers/", &customer(json!({"tax_id": "FR61954506077"})));
    answer.refuses_by_rule("invalid@body.tax_id");
    assert_eq!(answer.json["detail"][0]["msg"], "Invalid tax ID.");
    assert_eq!(answer.json["detail"][0]["input"], "FR61954506077");
}

#[test]
fn e_mail_addresses_and_external_ids_that_are_taken_are_told_together() {
    let api = organization();
    let body = json!({"email": "Ada@example.com", "external_id": "ada"});
    api.post("/v1/customers/", &body).expect(201);
    let body = json!({"email": "aDA@EXAMPLE.com", "external_id": "ada"});
    let answer = api.post("/v1/customers/", &body);
    answer.refuses_by_rule("value_error@body.email value_error@body.external_id");
    let detail = &answer.json["detail"];
    assert_eq!(detail[0]["msg"], "A customer with this email address already exists.");
    assert_eq!(detail[1]["msg"], "A customer with this external ID already exists.");
    let body = json!({"email": "other@example.com", "external_id": "ADA"});
    api.post("/v1/customers/", &body).expect(201);
}

#[test]
fn wrong_parameters_of_quantities_are_refused() {
    let api = organization();
    let meter = api.count_meter();
    let path = format!("/v1/meters/{meter}/quantities");
    assert_eq!(
        api.get(&path).expect(422),
        json!({
            "error": "RequestValidationError",
            "detail": [
                {"type": "missing", "loc": ["query", "start_timestamp"], "msg": "Field required", "input": null},
                {"type": "missing", "loc": ["query", "end_timestamp"], "msg": "Field required", "input": null},
                {"type": "missing", "loc": ["query", "interval"], "msg": "Field required", "input": null},
            ],
        })
    );
    let base =
        "start_timestamp=2024-01-01T00:00:00Z&end_timestamp=2024-01-02T00:00:00Z&interval=day";
    for (more, errors) in [
        ("timezone=", "string_too_short@query.timezone"),
        ("timezone=europe%2Fparis", "TimeZoneName@query.timezone"),
        ("timezone=%2B02:00", "TimeZoneName@query.timezone"),
        ("timezone=Nowhere", "TimeZoneName@query.timezone"),
        ("interval=minute", "enum@query.interval"),
        ("interval=", "enum@query.interval"),
        ("customer_aggregation_function=median", "enum@query.customer_aggregation_function"),
        (
            "customer_id=x&customer_id=y",
            "uuid_parsing@query.customer_id.0 uuid_parsing@query.customer_id.1",
        ),
        ("start_timestamp=2022-12-31T23:59:59Z", "greater_than_equal@query.start_timestamp"),
        ("start_timestamp=2024-01-01T00:00:00", "timezone_aware@query.start_timestamp"),
        ("start_timestamp=2024-01-01", "timezone_aware@query.start_timestamp"),
        (
            "start_timestamp=2024-01-01T00:00:00+00:00",
            "datetime_from_date_parsing@query.start_timestamp",
        ),
        ("end_timestamp=", "datetime_from_date_parsing@query.end_timestamp"),
    ] {
        api.get(&format!("{path}?{base}&{more}")).refuses(errors);
    }
    let early = api.get(&format!("{path}?{base}&start_timestamp=2022-12-31T23:59:59Z"));
    let item = &early.json["detail"][0];
    assert_eq!(item["msg"], "Input should be greater than or equal to 2023-01-01T00:00:00Z");
    assert_eq!(item["ctx"], json!({"ge": "2023-01-01T00:00:00Z"}));
    assert_eq!(item["input"], "2022-12-31T23:59:59Z");
    api.get(&format!("{path}?{base}&timezone=US%2FPacific")).expect(200);
}

#[test]
fn spans_beyond_the_limit_of_their_interval_are_refused_by_rule() {
    let api = organization();
    let meter = api.count_meter();
    let path = format!("/v1/meters/{meter}/quantities");
    let ask = |start: &str, end: &str, interval: &str| {
        let parameters =
            [("start_timestamp", start), ("end_timestamp", end), ("interval", interval)];
        api.get(&format!("{path}?{}", encode(&parameters)))
    };
    // The longest span of each interval, and one day more.
    for (interval, longest, longer) in [
        ("hour", "2024-01-08T00:00:00Z", "2024-01-09T00:00:00Z"),
        ("day", "2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z"),
        ("week", "2025-01-06T00:00:00Z", "2025-01-07T00:00:00Z"),
        ("month", "2027-12-31T00:00:00Z", "2028-01-01T00:00:00Z"),
        ("year", "2033-12-29T00:00:00Z", "2033-12-30T00:00:00Z"),
    ] {
        ask("2024-01-01T00:00:00Z", longest, interval).expect(200);
        ask("2024-01-01T00:00:00Z", longer, interval).refuses_by_rule("value_error@query");
    }
    let answer = ask("2024-01-01T00:00:00Z", "2024-01-31T00:00:00Z", "hour");
    assert_eq!(
        answer.expect(422),
        json!({
            "error": "PolarRequestValidationError",
            "detail": [{
                "type": "value_error",
                "loc": ["query"],
                "msg": "The interval is too small for the given date range. Use a larger interval or reduce the date range.",
                "input": ["2024-01-01T00:00:00+00:00", "2024-01-31T00:00:00+00:00", "hour"],
            }],
        })
    );
    let reversed = ask("2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z", "day");
    reversed.refuses_by_rule("value_error@query");
    // The days are those of the offsets as written: one apart, whatever the instants.
    ask("2024-01-01T23:00:00-10:00", "2024-01-09T00:00:00+14:00", "hour")
        .refuses_by_rule("value_error@query");
    ask("2024-01-01T23:00:00-10:00", "2024-01-08T23:00:00+14:00", "hour").expect(200);
}

#[test]
fn wrong_parameters_of_lists_are_refused() {
    let api = organization();
    for path in [
        "/v1/meters/",
        "/v1/events/",
        "/v1/events/names",
        "/v1/event-types/",
        "/v1/customers/",
        "/v1/customer-meters/",
        "/v1/organization-access-tokens/",
    ] {
        for (query, errors) in [
            ("page=0", "greater_than@query.page"),
            ("page=-1", "greater_than@query.page"),
            ("page=x", "int_parsing@query.page"),
            ("page=", "int_parsing@query.page"),
            ("page=1.5", "int_parsing@query.page"),
            ("limit=0", "greater_than@query.limit"),
            ("limit=", "int_parsing@query.limit"),
            ("sorting=nonsense", "enum@query.sorting.0"),
            ("sorting=", "enum@query.sorting.0"),
            ("organization_id=x", "uuid_parsing@query.organization_id.0"),
        ] {
            api.get(&format!("{path}?{query}")).refuses(errors);
        }
    }
    let answer = api.get("/v1/meters/?sorting=name&sorting=wrong");
    answer.refuses("enum@query.sorting.1");
    let expected = "'created_at', '-created_at', 'name' or '-name'";
    assert_eq!(answer.json["detail"][0]["ctx"], json!({"expected": expected}));
    assert_eq!(answer.json["detail"][0]["input"], "wrong");
    let answer = api.get("/v1/meters/?limit=0");
    assert_eq!(answer.json["detail"][0]["ctx"], json!({"gt": 0}));
    assert_eq!(answer.json["detail"][0]["msg"], "Input should be greater than 0");
    assert_eq!(answer.json["detail"][0]["input"], "0");
    api.get("/v1/meters/?is_archived=").refuses("bool_parsing@query.is_archived");
    api.get("/v1/meters/?is_archived=2").refuses("bool_parsing@query.is_archived");
    api.get("/v1/customers/?active=maybe").refuses("bool_parsing@query.active");
    api.get("/v1/customer-meters/?meter_id=x").refuses("uuid_parsing@query.meter_id.0");
}

#[test]
fn wrong_parameters_of_the_event_list_are_refused() {
    let api = organization();
    let answer = api.get("/v1/events/?query=ab");
    assert_eq!(
        answer.expect(422),
        json!({
            "error": "RequestValidationError",
            "detail": [{
                "type": "query",
                "loc": ["query", "query"],
                "msg": "Query must be at least 3 characters.",
                "input": "ab",
            }],
        })
    );
    // S21: an organization's token needs no organization_id.
    api.get("/v1/events/?query=abc").expect(200);
    let answer = api.query("/v1/events/", &[("filter", "x")]);
    assert_eq!(
        answer.expect(422),
        json!({
            "error": "RequestValidationError",
            "detail": [{
                "type": "json_invalid",
                "loc": ["query", "filter"],
                "msg": "Invalid JSON: expected value at line 1 column 1",
                "input": "x",
                "ctx": {"error": "expected value at line 1 column 1"},
            }],
        })
    );
    let answer = api.query("/v1/events/", &[("filter", "{}")]);
    assert_eq!(
        answer.expect(422),
        json!({
            "error": "RequestValidationError",
            "detail": [
                {"type": "missing", "loc": ["query", "filter", "conjunction"], "msg": "Field required", "input": {}},
                {"type": "missing", "loc": ["query", "filter", "clauses"], "msg": "Field required", "input": {}},
            ],
        })
    );
    let boolean =
        r#"{"conjunction":"and","clauses":[{"property":"a","operator":"gt","value":true}]}"#;
    let errors = api.query("/v1/events/", &[("filter", boolean)]).errors();
    assert_eq!(errors, ["value_error@query.filter.clauses.0.FilterClause.value"]);
    let answer = api.get(&format!("/v1/events/?meter_id={UNKNOWN}"));
    assert_eq!(
        answer.expect(422),
        json!({
            "error": "PolarRequestValidationError",
            "detail": [{
                "type": "meter_id",
                "loc": ["query", "meter_id"],
                "msg": "Meter not found.",
                "input": UNKNOWN,
            }],
        })
    );
    for (query, errors) in [
        ("depth=6", "less_than_equal@query.depth"),
        ("depth=-1", "greater_than_equal@query.depth"),
        ("depth=x", "int_parsing@query.depth"),
        ("source=robot", "enum@query.source.0"),
        ("parent_id=x", "uuid_parsing@query.parent_id"),
        ("meter_id=x", "uuid_parsing@query.meter_id"),
        ("customer_id=x", "uuid_parsing@query.customer_id.0"),
        ("start_timestamp=2024-01-01", "timezone_aware@query.start_timestamp"),
        ("end_timestamp=x", "datetime_from_date_parsing@query.end_timestamp"),
    ] {
        api.get(&format!("/v1/events/?{query}")).refuses(errors);
    }
    api.get("/v1/event-types/?source=robot").refuses("enum@query.source");
    api.get("/v1/event-types/?root_events=maybe").refuses("bool_parsing@query.root_events");
}

#[test]
fn a_boolean_with_an_order_or_a_timestamp_is_refused_at_its_value() {
    let api = organization();
    for (property, operator) in [
        ("a", "gt"),
        ("a", "gte"),
        ("a", "lt"),
        ("a", "lte"),
        ("timestamp", "eq"),
        ("timestamp", "ne"),
        ("timestamp", "gt"),
        ("metadata.timestamp", "eq"),
    ] {
        let body = clause(json!({"property": property, "operator": operator, "value": true}));
        let answer = api.post("/v1/meters/", &body);
        answer.refuses("value_error@body.filter.clauses.0.FilterClause.value");
    }
    for operator in ["eq", "ne", "like", "not_like"] {
        let body = clause(json!({"property": "a", "operator": operator, "value": true}));
        api.post("/v1/meters/", &body).expect(201);
    }
}

#[test]
fn nul_is_refused_in_every_text() {
    let api = organization();
    let nul = "a\0b";
    check(
        &api,
        "POST",
        "/v1/meters/",
        &[
            (meter(json!({"name": nul})), "value_error@body.name"),
            (
                meter(json!({"unit": "custom", "custom_label": nul})),
                "value_error@body.custom_label",
            ),
            (meter(json!({"metadata": {"a": nul}})), "value_error@body.metadata"),
            (meter(json!({"metadata": {nul: 1}})), "value_error@body.metadata"),
        ],
    );
    let answer = api.post("/v1/meters/", &meter(json!({"name": nul})));
    let text = "Value error, This value contains invalid characters";
    assert_eq!(answer.json["detail"][0]["msg"], text);
    for (property, value) in [(nul, "x"), ("a", nul)] {
        let body = clause(json!({"property": property, "operator": "eq", "value": value}));
        let errors = api.post("/v1/meters/", &body).errors();
        assert!(
            errors.iter().all(|error| error.starts_with("value_error@body.filter")),
            "{errors:?}"
        );
    }
    let body = meter(json!({"aggregation": {"func": "sum", "property": nul}}));
    let errors = api.post("/v1/meters/", &body).errors();
    assert!(
        errors.iter().all(|error| error.starts_with("value_error@body.aggregation")),
        "{errors:?}"
    );
    let branch = "body.events.0.EventCreateExternalCustomer";
    for (change, field) in [
        (json!({"name": nul}), "name"),
        (json!({"external_customer_id": nul}), "external_customer_id"),
        (json!({"external_id": nul}), "external_id"),
        (json!({"parent_id": nul}), "parent_id"),
        (json!({"external_member_id": nul}), "external_member_id"),
        (json!({"metadata": {"a": nul}}), "metadata"),
        (json!({"metadata": {nul: "a"}}), "metadata"),
    ] {
        let answer = api.post("/v1/events/ingest", &event(change));
        answer.refuses(&format!("value_error@{branch}.{field}"));
    }
    for (change, field) in [
        (json!({"name": nul}), "name"),
        (json!({"external_id": nul}), "external_id"),
        (json!({"metadata": {"a": nul}}), "metadata"),
    ] {
        let answer = api.post("/v1/customers/", &customer(change));
        answer.refuses(&format!("value_error@body.individual.{field}"));
    }
}
