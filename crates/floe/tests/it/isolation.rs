//! An organization sees, counts and guesses nothing of another.

use serde_json::{Value, json};

use crate::harness::{Api, id, organization, text};

/// All that an organization can have, by what a request may name of it.
struct Belongings {
    api: Api,
    meter: String,
    customer: String,
    event: String,
    event_type: String,
    customer_meter: String,
    token: String,
}

fn rich() -> Belongings {
    let api = organization();
    let meter = api.count_meter();
    let customer = id(&api.customer("secret@example.com", Some("secret-id")));
    api.ingest(&json!([{
        "name": "secret-name", "external_customer_id": "secret-id", "external_id": "secret-event",
        "timestamp": "2024-01-01T00:00:00Z", "metadata": {"secret": "value"},
    }]));
    let first = |path: &str| id(&api.get(path).items()[0]);
    Belongings {
        meter,
        customer,
        event: first("/v1/events/"),
        event_type: first("/v1/event-types/"),
        customer_meter: first("/v1/customer-meters/"),
        token: first("/v1/organization-access-tokens/"),
        api,
    }
}

#[test]
fn rows_of_another_organization_are_absent_for_every_method() {
    let (b, a) = (rich(), organization());
    let span =
        "interval=day&start_timestamp=2024-01-01T00:00:00Z&end_timestamp=2024-01-01T00:00:00Z";
    let Belongings { meter, customer, event, event_type, customer_meter, token, .. } = &b;
    for path in [
        format!("/v1/meters/{meter}"),
        format!("/v1/meters/{meter}/quantities?{span}"),
        format!("/v1/meters/{meter}/customers?{span}"),
        format!("/v1/events/{event}"),
        format!("/v1/events/{event}/meters"),
        format!("/v1/customers/{customer}"),
        format!("/v1/customers/{customer}/state"),
        "/v1/customers/external/secret-id".to_owned(),
        "/v1/customers/external/secret-id/state".to_owned(),
        format!("/v1/customer-meters/{customer_meter}"),
        format!("/v1/organizations/{}", b.api.organization_id),
    ] {
        b.api.get(&path).expect(200);
        a.get(&path).is_absent();
    }
    for (path, body) in [
        (format!("/v1/meters/{meter}"), json!({"name": "stolen"})),
        (format!("/v1/customers/{customer}"), json!({"name": "stolen"})),
        ("/v1/customers/external/secret-id".to_owned(), json!({"name": "stolen"})),
        (format!("/v1/event-types/{event_type}"), json!({"label": "stolen"})),
        (format!("/v1/organization-access-tokens/{token}"), json!({"comment": "stolen"})),
    ] {
        a.patch(&path, &body).is_absent();
    }
    for path in [
        format!("/v1/customers/{customer}"),
        "/v1/customers/external/secret-id".to_owned(),
        format!("/v1/organization-access-tokens/{token}"),
    ] {
        a.delete(&path).is_absent();
    }
    a.post(&format!("/v1/customer-meters/{customer_meter}/credits"), &json!({"units": 1}))
        .is_absent();
    a.post(&format!("/v1/customer-meters/{customer_meter}/reset"), &json!({})).is_absent();
    let all =
        ["meters", "customers", "event-types", "customer-meters", "organization-access-tokens"];
    for resource in all {
        let text = b.api.get(&format!("/v1/{resource}/")).text;
        assert!(!text.contains("stolen") && text.contains("\"total_count\":1,"), "{text}");
    }
}

#[test]
fn lists_and_filters_with_another_organizations_ids_are_empty() {
    let (b, a) = (rich(), organization());
    let Belongings { meter, customer, event, .. } = &b;
    let organization = &b.api.organization_id;
    for path in [
        "/v1/meters/".to_owned(),
        "/v1/events/".to_owned(),
        "/v1/events/names".to_owned(),
        "/v1/event-types/".to_owned(),
        "/v1/customers/".to_owned(),
        "/v1/customer-meters/".to_owned(),
        format!("/v1/events/?customer_id={customer}"),
        "/v1/events/?external_customer_id=secret-id".to_owned(),
        "/v1/events/?name=secret-name".to_owned(),
        "/v1/events/?query=secret".to_owned(),
        "/v1/events/?metadata[secret]=value".to_owned(),
        format!("/v1/events/?parent_id={event}"),
        format!("/v1/events/?parent_id={event}&depth=5"),
        format!("/v1/events/names?customer_id={customer}"),
        "/v1/events/names?query=secret".to_owned(),
        format!("/v1/event-types/?parent_id={event}"),
        "/v1/customers/?query=secret".to_owned(),
        "/v1/customers/?email=secret@example.com".to_owned(),
        format!("/v1/customer-meters/?customer_id={customer}"),
        format!("/v1/customer-meters/?meter_id={meter}"),
        "/v1/customer-meters/?external_customer_id=secret-id".to_owned(),
        format!("/v1/meters/?organization_id={organization}"),
        format!("/v1/events/?organization_id={organization}"),
        format!("/v1/customers/?organization_id={organization}"),
        format!("/v1/customer-meters/?organization_id={organization}"),
        format!("/v1/event-types/?organization_id={organization}"),
        format!("/v1/events/names?organization_id={organization}"),
        format!("/v1/organization-access-tokens/?organization_id={organization}"),
    ] {
        let page = a.get(&path).expect(200);
        let empty = json!({"items": [], "pagination": {"total_count": 0, "max_page": 0}});
        assert_eq!(page, empty, "{path}");
    }
    a.get(&format!("/v1/events/?meter_id={meter}")).refuses_by_rule("meter_id@query.meter_id");
    // Their own tokens alone.
    assert_eq!(a.get("/v1/organization-access-tokens/").items().len(), 1);
}

#[test]
fn an_event_of_another_organizations_customer_is_refused_as_unknown() {
    let (b, a) = (rich(), organization());
    let send = |customer: &str| {
        let body = json!({"events": [{"name": "e", "customer_id": customer}]});
        let mut answer = a.post("/v1/events/ingest", &body).expect(422);
        answer["detail"][0]["input"] = Value::Null;
        answer
    };
    // Not to be told from an id of nobody.
    assert_eq!(send(&b.customer), send("a8ea8fc6-0a41-4545-90b9-11be3a6eaaac"));
}

#[test]
fn events_have_no_parents_in_other_organizations() {
    let (b, a) = (rich(), organization());
    for parent in ["secret-event", b.event.as_str()] {
        a.ingest(&json!([{"name": parent, "external_customer_id": "x", "parent_id": parent}]));
    }
    for event in a.get("/v1/events/").items() {
        assert_eq!(event["parent_id"], Value::Null, "{event}");
    }
    let parent = b.api.get(&format!("/v1/events/{}", b.event)).expect(200);
    assert_eq!(parent["child_count"], 0);
}

#[test]
fn external_ids_and_addresses_are_each_organizations_own() {
    let (b, a) = (rich(), organization());
    // The same external ids of events and customers, and the same address.
    a.ingest(
        &json!([{"name": "e", "external_customer_id": "secret-id", "external_id": "secret-event"}]),
    );
    let made = a.customer("secret@example.com", Some("secret-id"));
    assert_ne!(id(&made), b.customer);
    let event = a.get("/v1/events/").items()[0].clone();
    assert_eq!(event["customer"]["id"], made["id"]);
    a.count_meter();
    let row = a.get("/v1/customer-meters/").items()[0].clone();
    assert_eq!(row["consumed_units"], 1.0);
    assert_ne!(id(&row), b.customer_meter);
    let credit = json!({"units": 5, "external_id": "c"});
    a.post(&format!("/v1/customer-meters/{}/credits", id(&row)), &credit).expect(201);
    let path = format!("/v1/customer-meters/{}/credits", b.customer_meter);
    b.api.post(&path, &credit).expect(201);
    let rows = b.api.get("/v1/customer-meters/").items();
    assert_eq!([&rows[0]["consumed_units"], &rows[0]["balance"]], [1.0, 4.0]);
}

#[test]
fn event_types_of_the_same_name_have_their_own_ids_and_labels() {
    let (b, a) = (rich(), organization());
    a.ingest(&json!([{"name": "secret-name", "external_customer_id": "x"}]));
    let own = a.get("/v1/event-types/").items()[0].clone();
    assert_ne!(id(&own), b.event_type);
    a.patch(&format!("/v1/event-types/{}", id(&own)), &json!({"label": "Mine"})).expect(200);
    assert_eq!(text(&b.api.get("/v1/event-types/").items()[0], "label"), "secret-name");
}
