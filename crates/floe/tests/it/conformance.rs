//! Replays recorded evaluations of Polar's server. Cases with system events, which no request
//! can make, run in floe-core and floe-store.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, encode, id, organization, text};

type Raw = Box<RawValue>;
type Object = BTreeMap<String, Raw>;

/// A case; numbers of its events keep all their digits.
struct Case {
    name: String,
    customers: Vec<Value>,
    events: Vec<Object>,
    meter: Value,
    query: BTreeMap<String, Raw>,
    rest: Object,
}

fn parse<T: serde::de::DeserializeOwned>(raw: &RawValue) -> T {
    serde_json::from_str(raw.get()).unwrap()
}

impl Case {
    fn new(line: &str) -> Self {
        let mut rest: Object = serde_json::from_str(line).unwrap();
        let mut take = |key: &str| rest.remove(key).unwrap_or_else(|| panic!("no {key}"));
        Self {
            name: parse(&take("name")),
            customers: parse(&take("customers")),
            events: parse(&take("events")),
            meter: parse(&take("meter")),
            query: parse(&take("query")),
            rest,
        }
    }

    fn get(&self, key: &str) -> Option<Value> {
        self.rest.get(key).map(|raw| parse(raw))
    }

    fn has_system_events(&self) -> bool {
        let is_system = |event: &Object| event.get("source").is_some_and(|s| s.get() != "\"user\"");
        self.events.iter().any(is_system)
    }
}

fn read(file: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance");
    let lines = std::fs::read_to_string(folder.join(file)).unwrap();
    lines.lines().filter(|line| !line.trim().is_empty()).map(Case::new).collect()
}

/// Runs cases on four threads, each in an organization of its own; tells all that fail.
fn run(cases: &[Case], check: impl Fn(&Case) + Sync) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let checked = std::panic::AssertUnwindSafe(|| check(case));
                    if std::panic::catch_unwind(checked).is_err() {
                        failures.lock().unwrap().push(case.name.clone());
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}: {failures:?}", failures.len(), cases.len());
}

/// A case in an organization: its customers are made, its events and query are ready to send.
struct Prepared {
    api: Api,
    ingest: Option<String>,
    query: String,
}

fn prepare(case: &Case) -> Prepared {
    let api = organization();
    let mut ids: HashMap<String, String> = HashMap::new();
    for (n, customer) in case.customers.iter().enumerate() {
        let external_id = customer["external_id"].as_str();
        let made = api.customer(&format!("c{n}@example.com"), external_id);
        ids.insert(text(customer, "id").to_owned(), id(&made));
    }
    let own = |given: String| ids.get(&given).cloned().unwrap_or(given);
    let events = case.events.iter().map(|event| {
        let mut event: Object = event
            .iter()
            .filter(|(key, value)| *key != "source" && value.get() != "null")
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if let Some(id) = event.get("customer_id") {
            let id = own(parse(id));
            event.insert("customer_id".into(), serde_json::value::to_raw_value(&id).unwrap());
        } else if !event.contains_key("external_customer_id") && case.name != "event-no-customer" {
            // Recorded from a database, which knows events of nobody.
            let nobody = serde_json::value::to_raw_value("nobody-at-all").unwrap();
            event.insert("external_customer_id".into(), nobody);
        }
        event
    });
    let events: Vec<Object> = events.collect();
    let ingest = match case.get("raw_ingest_body") {
        Some(body) => Some(body.as_str().unwrap().to_owned()),
        None if events.is_empty() => None,
        None => Some(serde_json::to_string(&BTreeMap::from([("events", events)])).unwrap()),
    };
    let mut query: Vec<(String, String)> = Vec::new();
    for (key, value) in &case.query {
        if key == "metadata" {
            for (name, values) in parse::<Object>(value) {
                let values = list(&values).into_iter().map(|value| plain(&value));
                query.extend(values.map(|value| (format!("metadata[{name}]"), value)));
            }
        } else {
            let values = list(value).into_iter().filter(|value| value.get() != "null");
            query.extend(values.map(|value| (key.clone(), own(plain(&value)))));
        }
    }
    let query: Vec<_> = query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    Prepared { api, ingest, query: encode(&query) }
}

fn list(value: &RawValue) -> Vec<Raw> {
    if value.get().starts_with('[') { parse(value) } else { vec![value.to_owned()] }
}

/// Text as it is; anything else as JSON.
fn plain(value: &RawValue) -> String {
    if value.get().starts_with('"') { parse(value) } else { value.get().to_owned() }
}

fn meter_body(case: &Case) -> Value {
    let mut body = case.meter.clone();
    body["name"] = "replay".into();
    body
}

/// Sends a case up to `stage`, all before which must succeed.
fn send_up_to(case: &Case, stage: &str) -> Answer {
    let Prepared { api, ingest, query } = prepare(case);
    if let Some(body) = ingest {
        let answer = api.send("POST", "/v1/events/ingest", Some(body));
        if stage == "ingest" {
            return answer;
        }
        let expected = json!({"inserted": case.events.len(), "duplicates": 0});
        assert_eq!(answer.expect(200), expected, "{}", case.name);
    }
    let meter = api.post("/v1/meters/", &meter_body(case));
    if stage == "meter" {
        return meter;
    }
    let meter = id(&meter.expect(201));
    api.get(&format!("/v1/meters/{meter}/quantities?{query}"))
}

#[test]
fn recorded_quantities_are_ours_bit_for_bit() {
    let cases = read("vectors.jsonl");
    let (system, cases): (Vec<_>, Vec<_>) = cases.into_iter().partition(Case::has_system_events);
    // Cases that this cannot run must not grow in silence.
    assert_eq!((cases.len(), system.len()), (716, 17));
    run(&cases, |case| {
        let answer = send_up_to(case, "query").expect(200);
        let expected = case.get("expected").unwrap();
        let got = answer["quantities"].as_array().unwrap();
        let points = expected["quantities"].as_array().unwrap();
        assert_eq!(got.len(), points.len(), "{}", case.name);
        for (got, point) in got.iter().zip(points) {
            assert_eq!(got["timestamp"], point["timestamp"], "{}", case.name);
            same(case, &got["quantity"], &point["quantity"]);
        }
        same(case, &answer["total"], &expected["total"]);
    });
}

fn same(case: &Case, got: &Value, expected: &Value) {
    assert!(got.is_f64(), "{}: {got} is no float", case.name);
    let bits = |number: &Value| number.as_f64().unwrap().to_bits();
    assert_eq!(bits(got), bits(expected), "{}: {got}, not {expected}", case.name);
}

/// What an error says that clients rely on.
fn type_and_loc(item: &Value) -> (String, Vec<Value>) {
    (text(item, "type").to_owned(), item["loc"].as_array().unwrap().clone())
}

/// Polar's errors, less those of the branches of unions that Floe leaves out (contract sections
/// 1.11, 2.1 and 4.1).
fn expected_errors(case: &Case, response: &Value) -> Vec<(String, Vec<Value>)> {
    let list_branch = "json-or-python[json=list[uuid],\
                       python=chain[is-instance[Sequence],function-wrap[sequence_validator()]]]";
    let has = |key: &str| {
        case.events.iter().any(|event| event.get(key).is_some_and(|id| id.get() != "null"))
    };
    let other_branch = match (has("customer_id"), has("external_customer_id")) {
        (_, true) => Some("EventCreateCustomer"),
        (true, false) => Some("EventCreateExternalCustomer"),
        (false, false) => None,
    };
    let errors = response["detail"].as_array().unwrap().iter().map(type_and_loc);
    let errors = errors.filter(|(_, loc)| {
        // A clause looks like a clause, not like a filter.
        !loc.contains(&json!("Filter"))
            && !loc.contains(&json!("uuid"))
            && other_branch.is_none_or(|branch| !loc.contains(&json!(branch)))
    });
    errors
        .map(|(kind, mut loc)| {
            loc.retain(|part| part != list_branch);
            (kind, loc)
        })
        .collect()
}

#[test]
fn what_polar_refuses_is_refused_at_the_same_stage_with_the_same_errors() {
    let cases = read("validation.jsonl");
    assert_eq!(cases.len(), 43);
    run(&cases, |case| {
        let stage = case.get("stage").unwrap();
        let answer = send_up_to(case, stage.as_str().unwrap());
        assert_eq!(json!(answer.status), case.get("status").unwrap(), "{}", case.name);
        let response = case.get("response").unwrap();
        assert_eq!(answer.json["error"], response["error"], "{}", case.name);
        let got = answer.json["detail"].as_array().unwrap();
        let got: Vec<_> = got.iter().map(type_and_loc).collect();
        assert_eq!(got, expected_errors(case, &response), "{}", case.name);
    });
}

#[test]
fn what_breaks_polar_is_refused_or_answered() {
    let cases = read("hard-cases.jsonl");
    assert_eq!(cases.len(), 29);
    run(&cases, |case| {
        let name = case.name.as_str();
        let of = |total: f64| {
            let answer = send_up_to(case, "query").expect(200);
            assert_eq!(answer["total"], json!(total), "{name}");
        };
        let value = "value_error@body.filter.clauses.0.FilterClause.value";
        match name {
            // Averages of 8 and 16 numbers of which only 1.5e300 shows (semantics section 3).
            "numbers-010" => of(3e300 / 8.0),
            "numbers-037" => of(1.5e300 / 16.0),
            "avg-overflow" => of(1.7e308),
            "filter-int-too-big-for-float" => of(1.0),
            // The event is not in the period (S1).
            "timestamp-year-1-sum" => of(0.0),
            "sum-overflow" => of(f64::MAX),
            name if name.ends_with("-int-too-big-for-float") => of(f64::MAX),
            // S7.
            name if name.starts_with("bool-order-") || name.starts_with("timestamp-") => {
                send_up_to(case, "meter").refuses(value);
            }
            // S19.
            "lone-surrogate-in-metadata" => {
                let errors = send_up_to(case, "ingest").errors();
                let text = "@body.events.0.EventCreateExternalCustomer.metadata.a.constrained-str";
                assert!(errors.contains(&format!("string_unicode{text}")), "{errors:?}");
            }
            name if name.starts_with("ingest-") => {
                let errors = send_up_to(case, "ingest").errors();
                let float = "@body.events.0.EventCreateExternalCustomer.metadata.a.float";
                assert!(errors.contains(&format!("float_type{float}")), "{errors:?}");
            }
            other => panic!("no expectation for {other}"),
        }
    });
}
