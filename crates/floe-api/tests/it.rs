//! The recorded refusals of Polar's own validation, at the level of the wire.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use floe_api::errors::{Errors, ValidationFailure};
use floe_api::json::parse;
use floe_api::query::QueryParams;
use floe_api::{IngestRequest, MeterCreate, QuantitiesParams};
use floe_core::Timestamp;
use serde_json::{Value, json};

const CASES: &str = include_str!("../../../conformance/validation.jsonl");

fn without_nulls(object: &Value) -> Value {
    let members = object.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    members.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn items(errors: &Errors) -> Value {
    serde_json::to_value(errors.items()).unwrap()
}

fn failure(failure: Option<ValidationFailure>) -> Value {
    serde_json::to_value(failure.unwrap()).unwrap()["detail"].clone()
}

fn create_meter(case: &Value) -> Value {
    let body = json!({
        "name": "abc",
        "filter": case["meter"]["filter"],
        "aggregation": case["meter"]["aggregation"],
    });
    let mut errors = Errors::new();
    let meter = MeterCreate::parse(&parse(body.to_string().as_bytes()).unwrap(), &mut errors);
    assert_eq!(meter, None);
    items(&errors)
}

fn ingest(case: &Value) -> Value {
    let events = case["events"].as_array().unwrap().iter().map(|event| {
        let mut event = without_nulls(event);
        event.as_object_mut().unwrap().remove("source");
        event
    });
    let body = json!({ "events": events.collect::<Vec<_>>() }).to_string();
    let body = parse(body.as_bytes()).unwrap();
    let now = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
    let mut errors = Errors::new();
    match IngestRequest::parse(&body, now, &mut errors) {
        Some(request) => failure(request.business_error(true, |_| false)),
        None => items(&errors),
    }
}

fn ask_quantities(case: &Value) -> Value {
    let parameters = case["query"].as_object().unwrap().iter().map(|(name, value)| {
        let value: String =
            value.as_str().unwrap().bytes().map(|byte| format!("%{byte:02x}")).collect();
        format!("{name}={value}")
    });
    let query = QueryParams::parse(&parameters.collect::<Vec<_>>().join("&"));
    let mut errors = Errors::new();
    match QuantitiesParams::parse(&query, &mut errors) {
        Some(params) => failure(params.span_error()),
        None => items(&errors),
    }
}

/// What Floe reports of what Polar does: one branch of a union (contract sections 1.11, 2.1, 4.1).
fn expected(case: &Value) -> Value {
    let branches: Vec<&str> = match case["stage"].as_str().unwrap() {
        "meter" => vec!["Filter"],
        "ingest" => {
            let event = &case["events"][0];
            match (event["customer_id"].is_null(), event["external_customer_id"].is_null()) {
                (true, true) => vec![],
                (false, true) => vec!["EventCreateExternalCustomer"],
                _ => vec!["EventCreateCustomer"],
            }
        }
        _ => vec!["uuid"],
    };
    let mut items = case["response"]["detail"].clone();
    let list = items.as_array_mut().unwrap();
    list.retain(|item| {
        let loc = item["loc"].as_array().unwrap();
        !loc.iter().any(|part| branches.iter().any(|branch| part == branch))
    });
    for item in list {
        let loc = item["loc"].as_array_mut().unwrap();
        loc.retain(|part| !part.as_str().is_some_and(|part| part.contains("list[uuid]")));
        if item["type"] == "union_tag_invalid" {
            // The names are Python's there.
            item["msg"] = Value::Null;
            item["ctx"] = Value::Null;
        }
    }
    items
}

#[test]
fn refusals_are_those_recorded() {
    let mut count = 0;
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let mut found = match case["stage"].as_str().unwrap() {
            "meter" => create_meter(&case),
            "ingest" => ingest(&case),
            "query" => ask_quantities(&case),
            stage => panic!("{stage}"),
        };
        for item in found.as_array_mut().unwrap() {
            if item["type"] == "union_tag_invalid" {
                item["msg"] = Value::Null;
                item["ctx"] = Value::Null;
            }
        }
        assert_eq!(found, expected(&case), "{}", case["name"]);
        count += 1;
    }
    assert_eq!(count, 43);
}
