//! Event types (contract section 4.5).

use serde_json::{Value, json};

use crate::harness::{column, id, organization};

#[test]
fn a_type_is_made_at_the_first_event_of_a_name_and_lists_its_numbers() {
    let api = organization();
    assert!(api.get("/v1/event-types/").items().is_empty());
    api.ingest(&json!([
        {"name": "a", "external_customer_id": "x", "timestamp": "2024-01-01T00:00:00Z", "external_id": "root"},
        {"name": "a", "external_customer_id": "y", "timestamp": "2024-01-03T00:00:00Z"},
        {"name": "b", "external_customer_id": "x", "timestamp": "2024-01-02T00:00:00Z", "parent_id": "root"},
    ]));
    let types = api.get("/v1/event-types/").items();
    assert_eq!(column(&types, "name"), ["a", "b"], "last seen first");
    let a = &types[0];
    assert_eq!([&a["label"], &a["source"]], ["a", "user"]);
    assert_eq!(a["occurrences"], 2);
    assert_eq!(a["first_seen"], "2024-01-01T00:00:00Z");
    assert_eq!(a["last_seen"], "2024-01-03T00:00:00Z");
    assert_eq!([&a["label_property_selector"], &a["modified_at"]], [&Value::Null; 2]);
    assert_eq!(a["organization_id"], api.organization_id.as_str());
    let names =
        |query: &str| column(&api.get(&format!("/v1/event-types/?{query}")).items(), "name");
    assert_eq!(names("root_events=true"), ["a"]);
    assert_eq!(names("external_customer_id=y"), ["a"]);
    assert_eq!(names("external_customer_id=x"), ["b", "a"]);
    assert_eq!(names("query=B"), ["b"]);
    assert_eq!(names("source=system"), [""; 0]);
    assert_eq!(names("sorting=-name"), ["b", "a"]);
    assert_eq!(names("sorting=occurrences"), ["b", "a"]);
    let root = id(&api.get("/v1/events/?name=a&sorting=timestamp").items()[0]);
    assert_eq!(names(&format!("parent_id={root}")), ["b"]);
}

#[test]
fn a_label_is_trimmed_and_shown_wherever_the_name_is() {
    let api = organization();
    api.ingest(&json!([{"name": "a", "external_customer_id": "x"}]));
    let before = api.get("/v1/event-types/").items()[0].clone();
    let path = format!("/v1/event-types/{}", id(&before));
    let body = json!({"label": "  Label ", "label_property_selector": " subject "});
    let after = api.patch(&path, &body).expect(200);
    assert_eq!([&after["label"], &after["label_property_selector"]], ["Label", "subject"]);
    assert_eq!([&after["id"], &after["created_at"]], [&before["id"], &before["created_at"]]);
    assert!(after["modified_at"].is_string());
    assert_eq!(api.get("/v1/events/").items()[0]["label"], "Label");
    assert_eq!(api.get("/v1/events/names").items()[0]["label"], "Label");
    let listed = api.get("/v1/event-types/?query=LABEL").items()[0].clone();
    assert_eq!([&listed["label"], &listed["name"]], ["Label", "a"]);
    // The selector is reset when left out.
    let after = api.patch(&path, &json!({"label": "L"})).expect(200);
    assert_eq!(after["label_property_selector"], Value::Null);
    api.patch(&path, &json!({"label": "x".repeat(128)})).expect(200);
    api.patch(&path, &json!({"label": "x", "label_property_selector": null})).expect(200);
}

#[test]
fn wrong_labels_are_refused() {
    let api = organization();
    api.ingest(&json!([{"name": "a", "external_customer_id": "x"}]));
    let path = format!("/v1/event-types/{}", id(&api.get("/v1/event-types/").items()[0]));
    for (body, errors) in [
        (json!({}), "missing@body.label"),
        (json!({"label": null}), "string_type@body.label"),
        (json!({"label": ""}), "string_too_short@body.label"),
        (json!({"label": "x".repeat(129)}), "string_too_long@body.label"),
        (
            json!({"label": "x", "label_property_selector": ""}),
            "string_too_short@body.label_property_selector",
        ),
        (
            json!({"label": "x", "label_property_selector": "x".repeat(257)}),
            "string_too_long@body.label_property_selector",
        ),
    ] {
        api.patch(&path, &body).refuses(errors);
    }
    let blank = api.patch(&path, &json!({"label": "   "}));
    blank.refuses("value_error@body.label");
    let text = "Value error, Label cannot be empty or only whitespace";
    assert_eq!(blank.json["detail"][0]["msg"], text);
}

#[test]
fn types_of_system_events_have_no_row_of_their_own() {
    let api = organization();
    api.count_meter();
    api.customer("a@example.com", None);
    let row = id(&api.get("/v1/customer-meters/").items()[0]);
    api.post(&format!("/v1/customer-meters/{row}/credits"), &json!({"units": 1})).expect(201);
    let types = api.get("/v1/event-types/?source=system").items();
    assert_eq!(column(&types, "name"), ["meter.credited"]);
    for key in ["id", "created_at", "modified_at"] {
        assert_eq!(types[0][key], Value::Null, "{key}");
    }
}
