//! `GET /v1/events/{id}/meters`: which meters count an event, and with what. Expected values are by
//! hand.

use serde_json::{Value, json};

use crate::harness::{Api, assert_keys, column, id, organization, root, server};

/// The one event of an organization.
fn path(api: &Api) -> String {
    format!("/v1/events/{}/meters", id(&api.get("/v1/events/").items()[0]))
}

fn named(name: &str, meter: &str, aggregation: &Value) -> Value {
    let clauses = json!([{"property": "name", "operator": "eq", "value": name}]);
    let filter = json!({"conjunction": "and", "clauses": clauses});
    json!({"name": meter, "filter": filter, "aggregation": aggregation})
}

#[test]
fn each_meter_that_counts_it_has_its_value() {
    let api = organization();
    let metadata = json!({
        "tokens": 12, "cost": 0.125, "model": "large", "flag": true,
        "big": 12_345_678_901_234_567_890_u64, "_cost": {"amount": "1.5", "currency": "usd"},
    });
    api.ingest(&json!([{
        "name": "call", "external_customer_id": "ada", "metadata": metadata,
        "timestamp": "2024-05-01T00:00:00.25Z",
    }]));
    let of = |func: &str, property: &str| json!({"func": func, "property": property});
    for (name, aggregation) in [
        ("count", json!({"func": "count"})),
        ("sum", of("sum", "tokens")),
        ("max", of("max", "cost")),
        ("min", of("min", "timestamp")),
        ("big", of("sum", "big")),
        ("model", of("unique", "model")),
        ("absent", of("unique", "absent")),
        ("inside", of("sum", "_cost.amount")),
        // A text is no number: it is left out.
        ("text", of("sum", "model")),
        ("none", of("avg", "absent")),
    ] {
        api.post("/v1/meters/", &named("call", name, &aggregation)).expect(201);
    }
    api.post("/v1/meters/", &named("other", "other", &json!({"func": "count"}))).expect(201);
    let items = api.get(&path(&api)).items();
    for item in &items {
        assert_keys(item, "meter value");
    }
    let found: Vec<_> = items
        .iter()
        .map(|item| (item["meter"]["name"].as_str().unwrap(), item["value"].clone()))
        .collect();
    let expected = [
        ("absent", Value::Null),
        ("big", json!(12_345_678_901_234_567_890_u64)),
        ("count", json!(1)),
        ("inside", json!(1.5)),
        ("max", json!(0.125)),
        ("min", json!(1_714_521_600)),
        ("model", json!("large")),
        ("sum", json!(12)),
    ];
    assert_eq!(found, expected);
    // The meters are those of the list.
    let listed = api.query("/v1/meters/", &[("query", "count")]).items();
    assert_eq!(items[2]["meter"], listed[0]);
}

#[test]
fn pages_and_archived_meters_are_chosen() {
    let api = organization();
    api.ingest(&json!([{"name": "call", "external_customer_id": "ada"}]));
    let count = json!({"func": "count"});
    for at in 0..130 {
        let made = api.post("/v1/meters/", &named("call", &format!("m {at:03}"), &count));
        if at < 20 {
            let meter = format!("/v1/meters/{}", id(&made.expect(201)));
            api.patch(&meter, &json!({"is_archived": true})).expect(200);
        }
    }
    let path = path(&api);
    let page = |query: &str| api.get(&format!("{path}?{query}")).expect(200);
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter().map(|item| item["meter"].clone());
        column(&items.collect::<Vec<_>>(), "name")
    };
    let all = page("limit=100");
    assert_eq!(all["pagination"], json!({"total_count": 130, "max_page": 2}));
    assert_eq!(names(&all)[..2], ["m 000", "m 001"]);
    let second = page("limit=100&page=2&is_archived=false");
    assert_eq!(second["pagination"], json!({"total_count": 110, "max_page": 2}));
    assert_eq!(names(&second).first().map(String::as_str), Some("m 120"));
    assert_eq!(names(&second).len(), 10);
    assert_eq!(page("is_archived=true")["pagination"]["total_count"], 20);
    api.get(&format!("{path}?limit=0&is_archived=2"))
        .refuses("bool_parsing@query.is_archived greater_than@query.limit");
}

#[test]
fn credits_and_resets_count_on_no_meter() {
    let api = organization();
    api.customer("ada@example.com", Some("ada"));
    let meter = api.count_meter();
    let row = api.get(&format!("/v1/customer-meters/?meter_id={meter}")).items().remove(0);
    let credits = format!("/v1/customer-meters/{}/credits", id(&row));
    api.post(&credits, &json!({"units": 5})).expect(201);
    let all = json!({"conjunction": "and", "clauses": []});
    let body = json!({"name": "all", "filter": all, "aggregation": {"func": "count"}});
    api.post("/v1/meters/", &body).expect(201);
    assert_eq!(api.get(&path(&api)).items(), Vec::<Value>::new());
}

#[test]
fn organizations_and_scopes_are_kept_apart() {
    let (api, other) = (organization(), organization());
    api.ingest(&json!([{"name": "call", "external_customer_id": "ada"}]));
    let all = json!({"conjunction": "and", "clauses": []});
    let body = json!({"name": "all", "filter": all, "aggregation": {"func": "count"}});
    for api in [&api, &other] {
        api.post("/v1/meters/", &body).expect(201);
    }
    let path = path(&api);
    other.get(&path).is_absent();
    let nobody = "/v1/events/c3c2b1e0-4a27-4c3e-8f4e-1f5f0b1f2d3c/meters";
    api.get(nobody).is_absent();
    api.get("/v1/events/x/meters").refuses("uuid_parsing@path.id");
    // No meter of another organization is asked, also by the root token.
    for api in [&api, &root()] {
        assert_eq!(api.get(&path).items().len(), 1);
    }
    for (scopes, status) in [
        (&["events:read", "meters:read"][..], 200),
        (&["events:write", "meters:write"], 200),
        (&["events:read"], 403),
        (&["meters:read"], 403),
    ] {
        let reader = server().token(&api.organization_id, scopes);
        assert_eq!(reader.get(&path).status, status, "{scopes:?}");
    }
    assert_eq!(api.anonymous().get(&path).status, 401);
}
