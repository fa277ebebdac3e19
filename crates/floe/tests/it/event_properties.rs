//! `GET /v1/event-properties/`: which properties events have, of which kinds, with which values.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Api, Server, assert_keys, id, organization, root, server, text};

const PATH: &str = "/v1/event-properties/";

fn event(name: &str, hour: u32, metadata: Value) -> Value {
    json!({
        "name": name, "external_customer_id": "ada", "metadata": metadata,
        "timestamp": format!("2024-05-01T{hour:02}:00:00Z"),
    })
}

fn usage(api: &Api) {
    api.ingest(&json!([
        event("call", 1, json!({"tokens": 1, "model": "large", "ok": true})),
        event("call", 2, json!({"tokens": 2.5, "model": "small", "a.b": 1, "name": "x"})),
        event("call", 3, json!({"tokens": "7", "model": "large"})),
        event("call", 4, json!({"_cost": {"amount": "0.25", "currency": "usd"}, "tokens": 1})),
        event("login", 9, json!({"model": "none"})),
        event("nothing", 0, json!({})),
    ]));
}

/// Name, property, kinds, samples, occurrences and events of each item.
fn found(items: &[Value]) -> Vec<Value> {
    for item in items {
        assert_keys(item, "name property kinds samples occurrences events");
    }
    let keys = ["name", "property", "kinds", "samples", "occurrences", "events"];
    items.iter().map(|item| json!(keys.map(|key| &item[key]))).collect()
}

#[test]
fn properties_have_kinds_and_values() {
    let folder = TempDir::new().unwrap();
    let sealing = Server::start_with(folder.path(), &["--seal-events", "3"]);
    for api in [organization(), sealing.organization()] {
        usage(&api);
        let items = api.query(PATH, &[("limit", "100")]).items();
        // The newest value first, and each once.
        let expected = json!([
            ["login", "model", ["string"], ["none"], 1, 1],
            ["call", "tokens", ["integer", "float", "string"], [1, "7", 2.5], 4, 4],
            ["call", "model", ["string"], ["large", "small"], 3, 4],
            ["call", "_cost.amount", ["float"], [0.25], 1, 4],
            ["call", "_cost.currency", ["string"], ["usd"], 1, 4],
            ["call", "ok", ["boolean"], [true], 1, 4],
        ]);
        assert_eq!(json!(found(&items)), expected);
        let names = |parameters: &[(&str, &str)]| -> Vec<String> {
            let items = api.query(PATH, parameters).items();
            items
                .iter()
                .map(|of| format!("{}/{}", text(of, "name"), text(of, "property")))
                .collect()
        };
        assert_eq!(names(&[("query", "MOD")]), ["login/model", "call/model"]);
        assert_eq!(names(&[("name", "login"), ("name", "nobody")]), ["login/model"]);
        assert_eq!(names(&[("name", "call"), ("query", "T.A")]), ["call/_cost.amount"]);
        let page = api.query(PATH, &[("limit", "3"), ("page", "2")]).expect(200);
        assert_eq!(page["pagination"], json!({"total_count": 6, "max_page": 2}));
        assert_eq!(text(&page["items"][2], "property"), "ok");
    }
}

#[test]
fn each_property_is_what_filters_and_aggregations_call_it() {
    let api = organization();
    usage(&api);
    for item in api.query(PATH, &[("name", "call"), ("limit", "100")]).items() {
        let property = text(&item, "property");
        let meter = api.meter(
            &json!([
                {"property": "name", "operator": "eq", "value": "call"},
                {"property": property, "operator": "like", "value": ""},
            ]),
            &json!({"func": "count"}),
        );
        let (_, total) =
            api.quantities(&meter, "2024-05-01T00:00:00Z", "2024-05-01T23:00:00Z", &[]);
        assert_eq!(Some(total), item["occurrences"].as_f64(), "{property}");
    }
}

#[test]
fn the_newest_thousand_are_looked_at() {
    let api = organization();
    let long = "x".repeat(201);
    let mut events = vec![event("e", 0, json!({"old": 1})), event("e", 1, json!({"long": long}))];
    events.extend((0..999).map(|n| event("e", 2, json!({"n": n}))));
    api.ingest(&json!(events));
    let items = api.query(PATH, &[]).items();
    assert_eq!(
        json!(found(&items)),
        json!([
            ["e", "n", ["integer"], [998, 997, 996, 995, 994], 999, 1000],
            ["e", "long", ["string"], [], 1, 1000],
        ])
    );
}

#[test]
fn credits_and_resets_are_not_looked_at() {
    let api = organization();
    api.customer("ada@example.com", Some("ada"));
    let meter = api.count_meter();
    let row = api.get(&format!("/v1/customer-meters/?meter_id={meter}")).items().remove(0);
    let path = format!("/v1/customer-meters/{}/credits", id(&row));
    api.post(&path, &json!({"units": 5})).expect(201);
    assert!(api.query(PATH, &[]).items().is_empty());
}

#[test]
fn callers_see_their_own_organization() {
    let (api, other) = (organization(), organization());
    usage(&api);
    assert!(other.query(PATH, &[]).items().is_empty());
    let named = [("organization_id", api.organization_id.as_str())];
    other.query(PATH, &named).refuses_by_rule("organization_id@query.organization_id");
    root().query(PATH, &[]).refuses("missing@query.organization_id");
    assert_eq!(root().query(PATH, &named).items().len(), 6);
    let acting = root().with("Polar-Organization", &api.organization_id);
    assert_eq!(acting.query(PATH, &[]).items().len(), 6);
    for scope in ["events:read", "events:write"] {
        let reader = server().token(&api.organization_id, &[scope]);
        assert_eq!(reader.query(PATH, &[]).items().len(), 6);
    }
    let reader = server().token(&api.organization_id, &["meters:read"]);
    assert_eq!(reader.query(PATH, &[]).status, 403);
    assert_eq!(api.anonymous().query(PATH, &[]).status, 401);
    api.query(PATH, &[("page", "0"), ("limit", "x"), ("organization_id", "x")]).refuses(
        "uuid_parsing@query.organization_id greater_than@query.page int_parsing@query.limit",
    );
}
