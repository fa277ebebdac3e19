//! `GET /v1/event-totals`: how many events there are, and how many were sent twice.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Api, Server, assert_keys, id, organization, root, server};

const PATH: &str = "/v1/event-totals";

fn send(api: &Api, ids: &[&str]) -> Value {
    let events: Vec<_> = ids
        .iter()
        .map(|id| json!({"name": "use", "external_customer_id": "ada", "external_id": id}))
        .collect();
    api.post("/v1/events/ingest", &json!({"events": events})).expect(200)
}

fn totals(api: &Api) -> (u64, u64) {
    let json = api.get(PATH).expect(200);
    assert_keys(&json, "events duplicates duplicates_since");
    (json["events"].as_u64().unwrap(), json["duplicates"].as_u64().unwrap())
}

#[test]
fn duplicates_are_counted_by_organization() {
    let (api, other) = (organization(), organization());
    assert_eq!(totals(&api), (0, 0));
    assert_eq!(send(&api, &["a", "b", "a"])["duplicates"], 1);
    assert_eq!(totals(&api), (2, 1));
    // A batch of nothing new counts too, one that is refused does not.
    assert_eq!(send(&api, &["a", "b"])["inserted"], 0);
    let refused = json!({"events": [
        {"name": "use", "external_customer_id": "ada", "external_id": "a"},
        {"name": "use"},
    ]});
    assert_eq!(api.post("/v1/events/ingest", &refused).status, 422);
    assert_eq!(totals(&api), (2, 3));
    send(&other, &["a"]);
    assert_eq!(totals(&other), (1, 0));
    let system = root().get("/v1/system").expect(200);
    assert_eq!(api.get(PATH).expect(200)["duplicates_since"], system["started_at"]);
}

#[test]
fn the_count_begins_anew_with_the_server() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let first = Server::start(&data);
    let api = first.organization();
    send(&api, &["a", "a", "a"]);
    assert_eq!(totals(&api), (1, 2));
    first.terminate();
    let second = Server::start(&data);
    let api = second.token(&api.organization_id, &["events:read"]);
    assert_eq!(totals(&api), (1, 0));
}

#[test]
fn organizations_and_scopes_are_kept_apart() {
    let (api, other) = (organization(), organization());
    send(&api, &["a", "a"]);
    let query = [("organization_id", api.organization_id.as_str())];
    let found = root().query(PATH, &query).expect(200);
    assert_eq!((&found["events"], &found["duplicates"]), (&json!(1), &json!(1)));
    let acting = root().with("Polar-Organization", &api.organization_id);
    assert_eq!(totals(&acting), (1, 1));
    root().get(PATH).refuses("missing@query.organization_id");
    other.query(PATH, &query).refuses_by_rule("organization_id@query.organization_id");
    for scope in ["events:read", "events:write"] {
        assert_eq!(totals(&server().token(&api.organization_id, &[scope])), (1, 1));
    }
    let reader = server().token(&api.organization_id, &["meters:read"]);
    assert_eq!(reader.get(PATH).status, 403);
    assert_eq!(api.anonymous().get(PATH).status, 401);
    // A credit is an event.
    let customer = id(&api.customer("ada@example.com", Some("ada")));
    api.count_meter();
    let row = api.query("/v1/customer-meters/", &[("customer_id", &customer)]).items().remove(0);
    let credits = format!("/v1/customer-meters/{}/credits", id(&row));
    api.post(&credits, &json!({"units": 5})).expect(201);
    assert_eq!(totals(&api), (2, 1));
}
