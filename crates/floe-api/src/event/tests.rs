mod usual;

use proptest::prelude::*;

use super::*;
use crate::errors::Errors;
use crate::json::{self, Json};
use crate::metadata::json_text;
use crate::query::{Direction, QueryParams};
use floe_core::{Number, Value};

const ID: &str = "36f675cc-81e7-4ef5-a8e2-5d940ed90475";
const OTHER_ID: &str = "1dbfc517-0bbf-4301-9ba8-555ca42b9737";

fn now() -> Timestamp {
    Timestamp::from_micros(1_800_000_000_123_456).unwrap()
}

/// Reads a body and looks at what comes of it.
fn ingest<T>(body: &str, look: impl FnOnce(Option<IngestRequest<'_>>, Errors) -> T) -> T {
    let json = json::parse(body.as_bytes()).unwrap();
    let mut errors = Errors::new();
    let request = IngestRequest::parse(&json, now(), &mut errors);
    assert_eq!(request.is_none(), !errors.is_empty(), "{body}: {errors:?}");
    look(request, errors)
}

fn batch(event: &str) -> String {
    format!(r#"{{"events":[{event}]}}"#)
}

/// An event of an external customer with these members.
fn external(members: &str) -> String {
    batch(&format!(r#"{{"name":"a","external_customer_id":"x"{members}}}"#))
}

#[track_caller]
fn event(body: &str) -> NewEvent<'static> {
    ingest(body, |request, errors| {
        let request = request.unwrap_or_else(|| panic!("{body}: {errors:?}"));
        request.events.into_iter().next().unwrap().into_owned()
    })
}

/// Checks the errors, as `type loc`; `at` stands for the place of the first event.
#[track_caller]
fn check(body: &str, expected: &[&str]) {
    let found = ingest(body, |_, errors| {
        let items = errors.items().iter().map(|item| {
            let loc = serde_json::to_string(item.loc()).unwrap();
            format!("{} {loc}", item.violation().kind())
        });
        items.collect::<Vec<_>>()
    });
    let expected: Vec<_> =
        expected.iter().map(|item| item.replace("[at,", r#"["body","events",0,"#)).collect();
    assert_eq!(found, expected, "{body}");
}

#[track_caller]
fn check_items(body: &str, expected: &str) {
    ingest(body, |_, errors| {
        assert_eq!(serde_json::to_string(errors.items()).unwrap(), expected, "{body}");
    });
}

#[test]
fn the_body_is_an_object_with_a_list() {
    check("null", &[r#"missing ["body"]"#]);
    check("[]", &[r#"model_attributes_type ["body"]"#]);
    check("{}", &[r#"missing ["body","events"]"#]);
    check(r#"{"events":null}"#, &[r#"list_type ["body","events"]"#]);
    check(
        r#"{"events":[1]}"#,
        &[
            r#"model_attributes_type [at,"EventCreateCustomer"]"#,
            r#"model_attributes_type [at,"EventCreateExternalCustomer"]"#,
        ],
    );
    ingest(r#"{"events":[]}"#, |request, _| assert!(request.unwrap().events.is_empty()));
}

#[test]
fn an_event_has_defaults() {
    let found = event(&external(""));
    assert_eq!(
        found,
        NewEvent {
            name: "a".into(),
            source: EventSource::User,
            customer: CustomerRef::External("x".into()),
            timestamp: now(),
            external_id: None,
            parent_id: None,
            external_member_id: None,
            metadata: Metadata::default(),
        }
    );
    let found = event(&external(
        r#","timestamp":"2027-01-15T09:00:00.1234569+01:00","external_id":"","parent_id":"p",
           "external_member_id":"m","metadata":{},"organization_id":null,"unknown":"\u0000""#,
    ));
    assert_eq!(found.timestamp.to_string(), "2027-01-15T08:00:00.123456Z");
    assert_eq!(found.external_id.as_deref(), Some(""));
    assert_eq!(found.parent_id.as_deref(), Some("p"));
    assert_eq!(found.external_member_id.as_deref(), Some("m"));
    let found =
        event(&external(r#","external_id":null,"parent_id":null,"external_member_id":null"#));
    assert_eq!((found.external_id, found.parent_id, found.external_member_id), (None, None, None));
}

#[test]
fn an_event_borrows_from_its_body() {
    let text = external(
        r#","external_id":"e","metadata":{"k":"v","_cost":{"amount":1,"currency":"usd"}}"#,
    );
    let json = json::parse(text.as_bytes()).unwrap();
    let request = IngestRequest::parse(&json, now(), &mut Errors::new()).unwrap();
    let event = &request.events[0];
    let is_borrowed =
        |text: &std::borrow::Cow<'_, str>| matches!(text, std::borrow::Cow::Borrowed(_));
    assert!(is_borrowed(&event.name) && event.external_id.as_ref().is_some_and(is_borrowed));
    assert!(matches!(event.metadata.get("k"), Some(Value::String(text)) if is_borrowed(text)));
    assert!(request.references.is_empty());
}

#[test]
fn the_future_is_refused_under_the_form_that_is_meant() {
    check_items(
        &external(r#","timestamp":"2999-01-01T00:00:00Z""#),
        r#"[{"type":"value_error","loc":["body","events",0,"EventCreateExternalCustomer","timestamp"],"msg":"Value error, Timestamp must be in the past.","input":"2999-01-01T00:00:00Z","ctx":{"error":{}}}]"#,
    );
    event(&external(&format!(r#","timestamp":"{}""#, now())));
    check(
        &external(&format!(r#","timestamp":"{}""#, now().next())),
        &[r#"value_error [at,"EventCreateExternalCustomer","timestamp"]"#],
    );
    check(
        &external(r#","timestamp":null"#),
        &[r#"datetime_type [at,"EventCreateExternalCustomer","timestamp"]"#],
    );
    check(
        &external(r#","timestamp":"2024-01-01T00:00:00""#),
        &[r#"timezone_aware [at,"EventCreateExternalCustomer","timestamp"]"#],
    );
}

/// What a customer's keys make of an event.
#[derive(Debug, PartialEq)]
enum Outcome {
    ById,
    ByExternalId,
    Refused(Vec<&'static str>),
}

#[track_caller]
fn check_union(keys: &str, expected: &Outcome) {
    let keys = keys.replace("ID", &format!("\"{ID}\""));
    let body = batch(&format!(r#"{{"name":"a",{keys}}}"#));
    match expected {
        Outcome::Refused(items) => check(&body, items),
        expected => {
            let found = match event(&body).customer {
                CustomerRef::Id(_) => Outcome::ById,
                CustomerRef::External(_) => Outcome::ByExternalId,
            };
            assert_eq!(found, *expected, "{keys}");
        }
    }
}

#[test]
fn of_two_customer_forms_one_is_chosen() {
    use Outcome::{ByExternalId, ById, Refused};
    check_union(r#""customer_id":ID"#, &ById);
    check_union(r#""external_customer_id":"""#, &ByExternalId);
    // A tie goes to the external one.
    check_union(r#""customer_id":ID,"external_customer_id":"x""#, &ByExternalId);
    check_union(r#""customer_id":ID,"member_id":ID,"external_customer_id":"x""#, &ById);
    check_union(r#""customer_id":ID,"member_id":null,"external_customer_id":"x""#, &ById);
    check_union(
        r#""customer_id":ID,"member_id":ID,"external_customer_id":"x","external_member_id":null"#,
        &ByExternalId,
    );
    check_union(
        r#""customer_id":ID,"external_customer_id":"x","external_member_id":"m""#,
        &ByExternalId,
    );
    // A form that fails is skipped.
    check_union(r#""customer_id":null,"external_customer_id":"x""#, &ByExternalId);
    check_union(r#""customer_id":"bad","external_customer_id":"x""#, &ByExternalId);
    check_union(r#""customer_id":ID,"member_id":"bad","external_customer_id":"x""#, &ByExternalId);
    check_union(r#""customer_id":ID,"external_customer_id":null"#, &ById);
    check_union(r#""customer_id":ID,"external_customer_id":5"#, &ById);
    check_union(r#""customer_id":ID,"external_customer_id":"\u0000""#, &ById);
    check_union(r#""customer_id":ID,"external_customer_id":"x","external_member_id":5"#, &ById);
    // Members of the other form do not matter.
    check_union(r#""customer_id":ID,"external_member_id":5"#, &ById);
    check_union(r#""external_customer_id":"x","member_id":5"#, &ByExternalId);
    check_union(
        r#""customer_id":null"#,
        &Refused(vec![r#"uuid_type [at,"EventCreateCustomer","customer_id"]"#]),
    );
    check_union(
        r#""customer_id":"x","member_id":"y""#,
        &Refused(vec![
            r#"uuid_parsing [at,"EventCreateCustomer","customer_id"]"#,
            r#"uuid_parsing [at,"EventCreateCustomer","member_id"]"#,
        ]),
    );
    check_union(
        r#""external_customer_id":null"#,
        &Refused(vec![r#"string_type [at,"EventCreateExternalCustomer","external_customer_id"]"#]),
    );
    check_union(
        r#""customer_id":null,"external_customer_id":null"#,
        &Refused(vec![r#"string_type [at,"EventCreateExternalCustomer","external_customer_id"]"#]),
    );
    check_union(
        r#""customer_id":ID,"external_customer_id":null,"timestamp":5e18"#,
        &Refused(vec![
            r#"datetime_parsing [at,"EventCreateExternalCustomer","timestamp"]"#,
            r#"string_type [at,"EventCreateExternalCustomer","external_customer_id"]"#,
        ]),
    );
    check_union(
        r#""customer_id":"bad","external_customer_id":"x","timestamp":null"#,
        &Refused(vec![r#"datetime_type [at,"EventCreateExternalCustomer","timestamp"]"#]),
    );
    check_union(
        r#""member_id":null"#,
        &Refused(vec![
            r#"missing [at,"EventCreateCustomer","customer_id"]"#,
            r#"missing [at,"EventCreateExternalCustomer","external_customer_id"]"#,
        ]),
    );
    check_union(
        r#""timestamp":null,"member_id":1,"external_member_id":2"#,
        &Refused(vec![
            r#"datetime_type [at,"EventCreateCustomer","timestamp"]"#,
            r#"missing [at,"EventCreateCustomer","customer_id"]"#,
            r#"uuid_type [at,"EventCreateCustomer","member_id"]"#,
            r#"datetime_type [at,"EventCreateExternalCustomer","timestamp"]"#,
            r#"missing [at,"EventCreateExternalCustomer","external_customer_id"]"#,
            r#"string_type [at,"EventCreateExternalCustomer","external_member_id"]"#,
        ]),
    );
}

#[test]
fn errors_come_in_the_order_of_the_schema() {
    check(
        &batch(
            r#"{"external_member_id":1,"external_customer_id":1,"metadata":null,"parent_id":1,
                "external_id":1,"organization_id":1,"timestamp":"x"}"#,
        ),
        &[
            r#"datetime_from_date_parsing [at,"EventCreateExternalCustomer","timestamp"]"#,
            r#"missing [at,"EventCreateExternalCustomer","name"]"#,
            r#"uuid_type [at,"EventCreateExternalCustomer","organization_id"]"#,
            r#"string_type [at,"EventCreateExternalCustomer","external_id"]"#,
            r#"string_type [at,"EventCreateExternalCustomer","parent_id"]"#,
            r#"dict_type [at,"EventCreateExternalCustomer","metadata"]"#,
            r#"string_type [at,"EventCreateExternalCustomer","external_customer_id"]"#,
            r#"string_type [at,"EventCreateExternalCustomer","external_member_id"]"#,
        ],
    );
}

#[test]
fn every_event_is_checked() {
    ingest(
        r#"{"events":[{"name":"a","customer_id":"x"},{"name":"b","external_customer_id":"x"},{"name":1,"external_customer_id":"x"}]}"#,
        |request, errors| {
            assert!(request.is_none());
            let locs: Vec<_> = errors.items().iter().map(|item| item.loc()[2].clone()).collect();
            assert_eq!(locs, [0_usize.into(), 2_usize.into()]);
        },
    );
}

#[test]
fn texts_are_checked() {
    let at = |field: &str| format!(r#"[at,"EventCreateExternalCustomer","{field}"]"#);
    let name = |name: &str| batch(&format!(r#"{{"name":"{name}","external_customer_id":"x"}}"#));
    event(&name(""));
    event(&name(&"ä".repeat(128)));
    check(&name(&"ä".repeat(129)), &[&format!("string_too_long {}", at("name"))]);
    check(&name(r"a\u0000"), &[&format!("value_error {}", at("name"))]);
    check(&name(r"a\ud800"), &[&format!("string_unicode {}", at("name"))]);
    for field in ["external_id", "parent_id", "external_member_id"] {
        for (value, kind) in [
            (r#""\u0000""#, "value_error"),
            (r#""\udfff""#, "string_unicode"),
            ("5", "string_type"),
        ] {
            let body = external(&format!(r#","{field}":{value}"#));
            check(&body, &[&format!("{kind} {}", at(field))]);
        }
    }
    event(&external(&format!(r#","external_id":"{}""#, "x".repeat(100_000))));
}

#[track_caller]
fn check_metadata(metadata: &str, expected: &[&str]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|item| item.replace("[md", r#"[at,"EventCreateExternalCustomer","metadata""#))
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(&external(&format!(r#","metadata":{metadata}"#)), &expected);
}

#[track_caller]
fn metadata(metadata: &str) -> Metadata<'static> {
    event(&external(&format!(r#","metadata":{metadata}"#))).metadata
}

#[test]
fn plain_values_keep_their_types() {
    let digits = "9".repeat(4300);
    let found = metadata(&format!(
        r#"{{"i":1,"f":1.0,"s":"1","b":true,"big":-99999999999999999999,"huge":{digits},"z":-0.0,
             "":"ä","{}":1}}"#,
        "k".repeat(10_000)
    ));
    assert_eq!(found.get("i"), Some(&Value::Number(Number::Int(1))));
    assert_eq!(found.get("f"), Some(&Value::Number(Number::Float(1.0))));
    assert_eq!(found.get("s"), Some(&Value::String("1".into())));
    assert_eq!(found.get("b"), Some(&Value::Bool(true)));
    assert_eq!(found.get("big"), Some(&Value::Number(Number::Big("-99999999999999999999".into()))));
    assert_eq!(found.get("huge"), Some(&Value::Number(Number::Big(digits.into()))));
    assert!(
        matches!(found.get("z"), Some(Value::Number(Number::Float(z))) if z.is_sign_positive())
    );
    let keys: String = (0..1000).map(|key| format!("\"{key}\":{key},")).collect();
    assert_eq!(metadata(&format!("{{{}}}", keys.trim_end_matches(','))).iter().len(), 1000);
    assert_eq!(metadata(r#"{"a":1,"a":2}"#).get("a"), Some(&Value::Number(Number::Int(2))));
    metadata(&format!(r#"{{"a":"{}"}}"#, "ä".repeat(500)));
}

#[test]
fn a_bad_plain_value_is_none_of_four_types() {
    let kinds = |value: &str, kinds: [&str; 4]| {
        let expected = kinds.iter().zip(["constrained-str", "int", "float", "bool"]);
        let expected: Vec<_> =
            expected.map(|(kind, name)| format!(r#"{kind} [md,"a","{name}"]"#)).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check_metadata(&format!(r#"{{"a":{value}}}"#), &expected);
    };
    kinds("null", ["string_type", "int_type", "float_type", "bool_type"]);
    kinds("[1]", ["string_type", "int_type", "float_type", "bool_type"]);
    kinds("{\"b\":1}", ["string_type", "int_type", "float_type", "bool_type"]);
    kinds("\"\"", ["string_too_short", "int_parsing", "float_parsing", "bool_parsing"]);
    let long = format!("\"{}\"", "x".repeat(501));
    kinds(&long, ["string_too_long", "int_parsing", "float_parsing", "bool_parsing"]);
    kinds("NaN", ["string_type", "finite_number", "float_type", "bool_type"]);
    kinds("-Infinity", ["string_type", "finite_number", "float_type", "bool_type"]);
    kinds("1e400", ["string_type", "finite_number", "float_type", "bool_type"]);
    let endless = "9".repeat(4301);
    kinds(&endless, ["string_type", "int_parsing_size", "float_type", "bool_type"]);
    kinds("\"\\ud800\"", ["string_unicode"; 4]);
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    kinds(&deep, ["string_type", "int_type", "float_type", "bool_type"]);
    // Text that only its length keeps from being text is not read as a number.
    check_metadata(
        &format!(r#"{{"a":"{}"}}"#, "0".repeat(501)),
        &[r#"string_too_long [md,"a","constrained-str"]"#, r#"bool_parsing [md,"a","bool"]"#],
    );
}

#[test]
fn nul_in_metadata_is_refused_as_a_whole() {
    for nul in [
        r#"{"a":"x\u0000y"}"#,
        r#"{"x\u0000":1}"#,
        r#"{"_llm":{"vendor":"\u0000","model":"m","input_tokens":1,"output_tokens":1,"total_tokens":1}}"#,
        r#"{"_cost":{"amount":"\u0000","currency":"usd"}}"#,
    ] {
        check_metadata(nul, &["value_error [md]"]);
    }
}

#[test]
fn a_cost_is_an_exact_amount() {
    let cost = |amount: &str| {
        let found =
            metadata(&format!(r#"{{"_cost":{{"x":[null],"currency":"usd","amount":{amount}}}}}"#));
        json_text(&crate::metadata::WireEventMetadata(&found))
    };
    for (amount, expected) in [
        ("1.5", "1.5"),
        ("\"1.50\"", "1.5"),
        ("10", "10"),
        ("10.0", "10"),
        ("-0.000000000001", "-0.000000000001"),
        ("\"12345.123456789012\"", "12345.123456789012"),
        ("1e-3", "0.001"),
        ("0", "0"),
    ] {
        assert_eq!(
            cost(amount),
            format!(r#"{{"_cost":{{"amount":"{expected}","currency":"usd"}}}}"#)
        );
    }
    for (amount, kind) in [
        ("123456", "decimal_whole_digits"),
        ("0.1234567890123", "decimal_max_places"),
        ("\"abc\"", "decimal_parsing"),
        ("true", "decimal_type"),
        ("null", "decimal_type"),
    ] {
        check_metadata(
            &format!(r#"{{"_cost":{{"amount":{amount},"currency":"usd"}}}}"#),
            &[&format!(r#"{kind} [md,"_cost","amount"]"#)],
        );
    }
    for currency in ["\"eur\"", "\"xusdx\"", "\"USD\"", "\"usd \""] {
        check_metadata(
            &format!(r#"{{"_cost":{{"amount":1,"currency":{currency}}}}}"#),
            &[r#"string_pattern_mismatch [md,"_cost","currency"]"#],
        );
    }
    check_metadata(
        r#"{"_cost":{}}"#,
        &[r#"missing [md,"_cost","amount"]"#, r#"missing [md,"_cost","currency"]"#],
    );
    check_metadata(r#"{"_cost":"x"}"#, &[r#"dict_type [md,"_cost"]"#]);
    check_metadata(r#"{"_cost":null}"#, &[r#"dict_type [md,"_cost"]"#]);
}

#[test]
fn a_model_call_has_known_keys() {
    let found = metadata(
        r#"{"_llm":{"total_tokens":"3","output_tokens":2.0,"input_tokens":true,"model":"","vendor":"v","x":null}}"#,
    );
    assert_eq!(
        json_text(&crate::metadata::WireEventMetadata(&found)),
        r#"{"_llm":{"vendor":"v","model":"","prompt":null,"response":null,"input_tokens":1,"output_tokens":2,"total_tokens":3}}"#
    );
    let found = metadata(
        r#"{"_llm":{"vendor":"v","model":"m","prompt":"","response":null,"input_tokens":123456789012345678901,
            "cached_input_tokens":0,"output_tokens":" +1_23456789012345678901.0 ","total_tokens":"-99999999999999999999"}}"#,
    );
    assert_eq!(
        json_text(&crate::metadata::WireEventMetadata(&found)),
        r#"{"_llm":{"vendor":"v","model":"m","prompt":"","response":null,"input_tokens":123456789012345678901,"cached_input_tokens":0,"output_tokens":123456789012345678901,"total_tokens":-99999999999999999999}}"#
    );
    check_metadata(
        r#"{"_llm":{"prompt":1,"response":2,"cached_input_tokens":null,"output_tokens":1.5}}"#,
        &[
            r#"missing [md,"_llm","vendor"]"#,
            r#"missing [md,"_llm","model"]"#,
            r#"string_type [md,"_llm","prompt"]"#,
            r#"string_type [md,"_llm","response"]"#,
            r#"missing [md,"_llm","input_tokens"]"#,
            r#"int_type [md,"_llm","cached_input_tokens"]"#,
            r#"int_from_float [md,"_llm","output_tokens"]"#,
            r#"missing [md,"_llm","total_tokens"]"#,
        ],
    );
    check_metadata(r#"{"_llm":1}"#, &[r#"dict_type [md,"_llm"]"#]);
}

#[test]
fn each_event_breaks_at_most_one_business_rule() {
    let body = format!(
        r#"{{"events":[{{"name":"a","customer_id":"{ID}"}},
            {{"name":"a","external_customer_id":"x"}},
            {{"name":"a","customer_id":"{OTHER_ID}","organization_id":"{OTHER_ID}"}},
            {{"name":"a","customer_id":"{ID}","member_id":"{OTHER_ID}"}},
            {{"name":"a","customer_id":"{OTHER_ID}","member_id":"{OTHER_ID}"}}]}}"#
    );
    ingest(&body, |request, _| {
        let request = request.unwrap();
        let known = |id: CustomerId| id.0.to_string() == ID;
        let places: Vec<_> = request.references.iter().map(|event| event.index).collect();
        assert_eq!(places, [0, 2, 3, 4]);
        assert_eq!(
            json_text(&request.business_error(true, known).unwrap()),
            format!(
                r#"{{"error":"PolarRequestValidationError","detail":[{{"type":"organization_token","loc":["body","events",2,"organization_id"],"msg":"Setting organization_id is disallowed when using an organization token.","input":"{OTHER_ID}"}},{{"type":"member_id","loc":["body","events",3,"member_id"],"msg":"Member not found.","input":"{OTHER_ID}"}},{{"type":"customer_id","loc":["body","events",4,"customer_id"],"msg":"Customer not found.","input":"{OTHER_ID}"}}]}}"#
            )
        );
        let kinds = |failure: crate::errors::ValidationFailure| {
            let kinds = failure.items().iter().map(|item| item.violation().kind().to_owned());
            kinds.collect::<Vec<_>>()
        };
        assert_eq!(
            kinds(request.business_error(false, known).unwrap()),
            ["customer_id", "member_id", "customer_id"]
        );
    });
    ingest(&external(""), |request, _| {
        assert!(request.unwrap().business_error(true, |_| false).is_none());
    });
}

#[test]
fn an_answer_has_every_field() {
    let body = external(
        r#","timestamp":0,"external_id":"e","external_member_id":"m","metadata":{"_cost":{"amount":1.5,"currency":"usd"},"n":1e20}"#,
    );
    let context = EventContext {
        id: EventId(Uuid::parse_str(ID).unwrap()),
        organization_id: OrganizationId(Uuid::parse_str(OTHER_ID).unwrap()),
        customer: None,
        child_count: 2,
        parent_id: None,
        label: None,
    };
    let answer = json_text(&Event::new(event(&body), context.clone()));
    let rest = answer.strip_prefix(&format!(
        r#"{{"id":"{ID}","timestamp":"1970-01-01T00:00:00Z","organization_id":"{OTHER_ID}","customer_id":null,"customer":null,"external_customer_id":"x","member_id":null,"external_member_id":"m","child_count":2,"parent_id":null,"label":"a","name":"a","source":"user","metadata":{{"_cost":{{"amount":"1.5","currency":"usd"}},"n":100000000000000000000"#
    ));
    assert!(rest.is_some(), "{answer}");
    let by_id = event(&batch(&format!(r#"{{"name":"a","customer_id":"{ID}"}}"#)));
    let label = Some("Call".to_owned());
    let answer = Event::new(by_id, EventContext { label, ..context });
    assert_eq!((answer.label.as_str(), answer.external_customer_id), ("Call", None));
    assert_eq!(answer.customer_id.map(|id| id.to_string()).as_deref(), Some(ID));
    assert_eq!(label_of(EventSource::System, METER_CREDITED), "Meter Credited");
    assert_eq!(label_of(EventSource::System, METER_RESET), "Meter Reset");
    assert_eq!(label_of(EventSource::User, METER_RESET), METER_RESET);
    assert_eq!(
        json_text(&IngestResponse { inserted: 1, duplicates: 0 }),
        r#"{"inserted":1,"duplicates":0}"#
    );
    let name = EventName {
        name: "a".to_owned(),
        label: "A".to_owned(),
        source: EventSource::System,
        occurrences: 3,
        first_seen: now(),
        last_seen: now(),
    };
    assert_eq!(
        json_text(&name),
        r#"{"name":"a","label":"A","source":"system","occurrences":3,"first_seen":"2027-01-15T08:00:00.123456Z","last_seen":"2027-01-15T08:00:00.123456Z"}"#
    );
}

fn label_of(source: EventSource, name: &str) -> String {
    label(source, name, None)
}

fn list(raw: &str, is_organization_token: bool) -> Result<EventsListParams, String> {
    let mut errors = Errors::new();
    let params =
        EventsListParams::parse(&QueryParams::parse(raw), is_organization_token, &mut errors);
    assert_eq!(params.is_none(), !errors.is_empty(), "{raw}");
    params.ok_or_else(|| serde_json::to_string(errors.items()).unwrap())
}

#[test]
fn a_list_has_defaults() {
    let params = list("hierarchical=false&aggregate_fields=x&sorting=", true).unwrap_err();
    assert!(params.contains(r#""loc":["query","sorting",0]"#));
    let params = list("", true).unwrap();
    assert_eq!(params.direction, Direction::Descending);
    assert_eq!((params.depth, params.query, params.filter), (None, None, None));
    let params = list(
        &format!(
            "filter={{\"conjunction\":\"or\",\"clauses\":[]}}&start_timestamp=2024-01-01T00:00:00Z\
             &end_timestamp=1704067200&organization_id={ID}&customer_id={ID}&customer_id={OTHER_ID}\
             &external_customer_id=a,b&external_customer_id=&meter_id={ID}&name=a&name=b\
             &source=user&source=system&query=%C3%A4bc&parent_id={ID}&depth=5&metadata[k]=v\
             &page=2&limit=3&sorting=timestamp&sorting=-timestamp"
        ),
        false,
    )
    .unwrap();
    assert_eq!(params.start, params.end);
    assert_eq!(params.external_customer_ids, Some(vec!["a,b".to_owned(), String::new()]));
    assert_eq!(params.customer_ids.map(|ids| ids.len()), Some(2));
    assert_eq!(params.sources, Some(vec![EventSource::User, EventSource::System]));
    assert_eq!((params.query.as_deref(), params.depth), (Some("äbc"), Some(5)));
    assert_eq!(params.direction, Direction::Ascending);
    assert_eq!(params.paging.offset(), 3);
}

#[test]
fn the_errors_of_a_list_are_those_recorded() {
    assert_eq!(
        list("query=abc", false).unwrap_err(),
        r#"[{"type":"value_error","loc":["query","query"],"msg":"Query is only supported when organization_id is provided.","input":"abc"}]"#
    );
    let short = r#"[{"type":"query","loc":["query","query"],"msg":"Query must be at least 3 characters.","input":"ab"}]"#;
    assert_eq!(list("query=ab", true).unwrap_err(), short);
    assert_eq!(list(&format!("query=ab&organization_id={ID}"), false).unwrap_err(), short);
    assert_eq!(
        list("filter=x&query=a", true).unwrap_err(),
        r#"[{"type":"json_invalid","loc":["query","filter"],"msg":"Invalid JSON: expected value at line 1 column 1","input":"x","ctx":{"error":"expected value at line 1 column 1"}}]"#
    );
    for (raw, expected) in [
        ("depth=6", r#"less_than_equal"#),
        ("depth=-1", "greater_than_equal"),
        ("depth=x", "int_parsing"),
        ("source=admin", "enum"),
        ("start_timestamp=2024-01-01T00:00:00", "timezone_aware"),
        ("meter_id=x", "uuid_parsing"),
        ("parent_id=", "uuid_parsing"),
    ] {
        let found = list(raw, true).unwrap_err();
        assert!(found.starts_with(&format!(r#"[{{"type":"{expected}""#)), "{raw}: {found}");
    }
    assert_eq!(
        json_text(&meter_not_found(floe_core::MeterId(Uuid::parse_str(ID).unwrap()))),
        format!(
            r#"{{"error":"PolarRequestValidationError","detail":[{{"type":"meter_id","loc":["query","meter_id"],"msg":"Meter not found.","input":"{ID}"}}]}}"#
        )
    );
}

#[test]
fn names_have_other_parameters() {
    let names = |raw: &str| {
        let mut errors = Errors::new();
        EventNamesParams::parse(&QueryParams::parse(raw), &mut errors)
    };
    let params = names("query=a&source=user").unwrap();
    assert_eq!(params.sorting, [(EventNameSort::LastSeen, Direction::Descending)]);
    assert_eq!(params.query.as_deref(), Some("a"));
    let params = names("sorting=-occurrences&sorting=name&sorting=first_seen").unwrap();
    assert_eq!(
        params.sorting,
        [
            (EventNameSort::Occurrences, Direction::Descending),
            (EventNameSort::Name, Direction::Ascending),
            (EventNameSort::FirstSeen, Direction::Ascending)
        ]
    );
    assert_eq!(names("sorting=timestamp"), None);
    assert_eq!(names("source=x"), None);
}

/// JSON text of all kinds, with keys that mean something.
fn any_json() -> impl Strategy<Value = String> {
    const SCALARS: [&str; 18] = [
        "null",
        "true",
        "0",
        "5.0",
        "1.5",
        "1e400",
        "NaN",
        "99999999999999999999",
        "\"\"",
        r#""\ud800""#,
        r#""a\u0000""#,
        "\"and\"",
        "\"eq\"",
        "\"sum\"",
        "\"usd\"",
        "\"2024-01-01T00:00:00Z\"",
        "\"36f675cc-81e7-4ef5-a8e2-5d940ed90475\"",
        "\"custom\"",
    ];
    const KEYS: [&str; 32] = [
        "events",
        "name",
        "timestamp",
        "organization_id",
        "external_id",
        "parent_id",
        "metadata",
        "customer_id",
        "member_id",
        "external_customer_id",
        "external_member_id",
        "_cost",
        "_llm",
        "amount",
        "currency",
        "vendor",
        "model",
        "prompt",
        "input_tokens",
        "total_tokens",
        "filter",
        "aggregation",
        "func",
        "property",
        "operator",
        "value",
        "clauses",
        "conjunction",
        "unit",
        "custom_label",
        "custom_multiplier",
        "is_archived",
    ];
    let scalar = prop_oneof![
        4 => prop::sample::select(&SCALARS[..]).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|value| value.to_string()),
        1 => "[a-z ]{0,5}".prop_map(|text| format!("\"{text}\"")),
    ];
    scalar.prop_recursive(6, 60, 8, |inner| {
        let member = (prop::sample::select(&KEYS[..]), inner.clone());
        let member = member.prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop_oneof![
            1 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            4 => prop::collection::vec(member, 0..8)
                .prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_a_reader_panic(text in any_json()) {
        let json = json::parse(text.as_bytes()).unwrap();
        let refused = |is_none: bool, errors: &Errors| assert_eq!(is_none, !errors.is_empty());
        let mut errors = Errors::new();
        refused(IngestRequest::parse(&json, now(), &mut errors).is_none(), &errors);
        let wrapped = Json::Object(vec![("events".into(), Json::Array(vec![json.clone()]))]);
        let mut errors = Errors::new();
        refused(IngestRequest::parse(&wrapped, now(), &mut errors).is_none(), &errors);
        let mut errors = Errors::new();
        refused(crate::MeterCreate::parse(&json, &mut errors).is_none(), &errors);
        let mut errors = Errors::new();
        refused(crate::MeterUpdate::parse(&json, &mut errors).is_none(), &errors);
        let loc = crate::errors::Loc::BODY;
        let mut errors = Errors::new();
        refused(crate::meter::parse_filter(&json, &loc, &mut errors).is_none(), &errors);
        let mut errors = Errors::new();
        refused(crate::metadata::parse_metadata(&json, &loc, &mut errors).is_none(), &errors);
    }
}
