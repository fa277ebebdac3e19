//! Organizations, tokens and scopes (design section 5, contract sections 1.3 and 5.9).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Api, SCOPES, assert_keys, column, id, organization, root, server, text};

const UNKNOWN: &str = "a8ea8fc6-0a41-4545-90b9-11be3a6eaaac";

fn slug() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// One endpoint, and the scopes of which a token needs one; none: the root token alone.
struct Endpoint(&'static str, &'static str, &'static [&'static str]);

const ENDPOINTS: [Endpoint; 38] = [
    Endpoint("POST", "/v1/system/backup", &[]),
    Endpoint("GET", "/v1/system/storage", &[]),
    Endpoint("GET", "/v1/meters/", &["meters:read", "meters:write"]),
    Endpoint("GET", "/v1/meters/{id}", &["meters:read", "meters:write"]),
    Endpoint("GET", "/v1/meters/{id}/customers", &["meters:read", "meters:write"]),
    Endpoint("GET", "/v1/meters/{id}/quantities", &["meters:read", "meters:write"]),
    Endpoint("POST", "/v1/meters/", &["meters:write"]),
    Endpoint("PATCH", "/v1/meters/{id}", &["meters:write"]),
    Endpoint("GET", "/v1/events/", &["events:read", "events:write"]),
    Endpoint("GET", "/v1/events/export", &["events:read", "events:write"]),
    Endpoint("GET", "/v1/events/names", &["events:read", "events:write"]),
    Endpoint("GET", "/v1/events/{id}", &["events:read", "events:write"]),
    Endpoint("GET", "/v1/event-types/", &["events:read", "events:write"]),
    Endpoint("POST", "/v1/events/ingest", &["events:write"]),
    Endpoint("PATCH", "/v1/event-types/{id}", &["events:write"]),
    Endpoint("GET", "/v1/customers/", &["customers:read", "customers:write"]),
    Endpoint("GET", "/v1/customers/{id}", &["customers:read", "customers:write"]),
    Endpoint("GET", "/v1/customers/{id}/state", &["customers:read", "customers:write"]),
    Endpoint("GET", "/v1/customers/external/x", &["customers:read", "customers:write"]),
    Endpoint("GET", "/v1/customers/external/x/state", &["customers:read", "customers:write"]),
    Endpoint("POST", "/v1/customers/", &["customers:write"]),
    Endpoint("PATCH", "/v1/customers/{id}", &["customers:write"]),
    Endpoint("PATCH", "/v1/customers/external/x", &["customers:write"]),
    Endpoint("DELETE", "/v1/customers/{id}", &["customers:write"]),
    Endpoint("DELETE", "/v1/customers/external/x", &["customers:write"]),
    Endpoint("GET", "/v1/customer-meters/", &["customer_meters:read"]),
    Endpoint("GET", "/v1/customer-meters/{id}", &["customer_meters:read"]),
    Endpoint("POST", "/v1/customer-meters/{id}/credits", &["customer_meters:write"]),
    Endpoint("POST", "/v1/customer-meters/{id}/reset", &["customer_meters:write"]),
    Endpoint("GET", "/v1/organizations/{id}", &["organizations:read"]),
    Endpoint("POST", "/v1/organizations/", &[]),
    Endpoint("PATCH", "/v1/organizations/{id}", &[]),
    Endpoint(
        "GET",
        "/v1/organization-access-tokens/",
        &["organization_access_tokens:read", "organization_access_tokens:write"],
    ),
    Endpoint("POST", "/v1/organization-access-tokens/", &["organization_access_tokens:write"]),
    Endpoint("PATCH", "/v1/organization-access-tokens/{id}", &["organization_access_tokens:write"]),
    Endpoint(
        "DELETE",
        "/v1/organization-access-tokens/{id}",
        &["organization_access_tokens:write"],
    ),
    Endpoint("GET", "/v1/events/ingest", &["events:read", "events:write"]),
    Endpoint("GET", "/v1/customers/external", &["customers:read", "customers:write"]),
];

#[test]
fn every_endpoint_takes_each_scope_that_helps_and_no_other() {
    let organization = organization().organization_id;
    for scope in SCOPES {
        let api = server().token(&organization, &[scope]);
        for Endpoint(method, path, scopes) in ENDPOINTS {
            let path = path.replace("{id}", UNKNOWN);
            // A body that no schema takes: beyond the scope, the answer is 422 or 404.
            let body = (!matches!(method, "GET" | "DELETE")).then_some("[]");
            let answer = api.send(method, &path, body);
            let case = format!("{method} {path} with {scope}: {}", answer.text);
            if scopes.contains(&scope) {
                assert!(matches!(answer.status, 200 | 404 | 422), "{case}");
            } else {
                assert_eq!(answer.status, 403, "{case}");
                assert_eq!(answer.json["error"], "insufficient_scope", "{case}");
            }
        }
    }
    let none = server().token(&organization, &[]);
    let anonymous = none.anonymous();
    for Endpoint(method, path, _) in ENDPOINTS {
        let path = path.replace("{id}", UNKNOWN);
        assert_eq!(none.send(method, &path, None::<&str>).status, 403, "{method} {path}");
        assert_eq!(anonymous.send(method, &path, None::<&str>).status, 401, "{method} {path}");
    }
}

#[test]
fn an_organization_is_made_renamed_and_listed_by_the_root_token() {
    let root = root();
    let slug = slug();
    let made = root.post("/v1/organizations/", &json!({"name": "First", "slug": slug})).expect(201);
    assert_keys(&made, "id created_at modified_at name slug");
    assert_eq!([&made["name"], &made["slug"]], ["First", slug.as_str()]);
    assert_eq!(made["modified_at"], Value::Null);
    let path = format!("/v1/organizations/{}", id(&made));
    assert_eq!(root.get(&path).expect(200), made);
    let after = root.patch(&path, &json!({"name": "Second", "slug": "ignored"})).expect(200);
    assert_eq!([&after["name"], &after["slug"]], ["Second", slug.as_str()]);
    assert!(after["modified_at"].is_string());
    let found = root.get(&format!("/v1/organizations/?slug={slug}")).items();
    assert_eq!(found, [after]);
    let taken = root.post("/v1/organizations/", &json!({"name": "x", "slug": slug}));
    taken.refuses_by_rule("value_error@body.slug");
}

#[test]
fn wrong_organizations_are_refused() {
    for (body, error) in [
        (json!({}), "missing@body.name missing@body.slug"),
        (json!({"name": "", "slug": "a"}), "string_too_short@body.name"),
        (json!({"name": "x".repeat(129), "slug": "a"}), "string_too_long@body.name"),
        (json!({"name": "x", "slug": ""}), "string_pattern_mismatch@body.slug"),
        (json!({"name": "x", "slug": "A"}), "string_pattern_mismatch@body.slug"),
        (json!({"name": "x", "slug": "a b"}), "string_pattern_mismatch@body.slug"),
        (json!({"name": "x", "slug": "a\n"}), "string_pattern_mismatch@body.slug"),
        (json!({"name": "x", "slug": "x".repeat(65)}), "string_pattern_mismatch@body.slug"),
        (json!({"name": "x\0", "slug": "a"}), "value_error@body.name"),
    ] {
        root().post("/v1/organizations/", &body).refuses(error);
    }
    let name = "ä".repeat(128);
    root().post("/v1/organizations/", &json!({"name": name, "slug": slug()})).expect(201);
}

#[test]
fn an_organization_token_may_read_its_own_organization_alone() {
    let (api, other) = (organization(), organization());
    let own = api.get(&format!("/v1/organizations/{}", api.organization_id)).expect(200);
    assert_eq!(id(&own), api.organization_id);
    api.get(&format!("/v1/organizations/{}", other.organization_id)).is_absent();
}

#[test]
fn without_an_organization_the_root_token_must_name_one_to_create() {
    let root = root();
    let organization = organization().organization_id;
    let meter = json!({
        "name": "abc", "filter": {"conjunction": "and", "clauses": []},
        "aggregation": {"func": "count"},
    });
    let customer = json!({"email": "a@example.com"});
    let token = json!({"comment": "c", "scopes": []});
    for (path, mut body) in [
        ("/v1/meters/", meter),
        ("/v1/customers/", customer),
        ("/v1/organization-access-tokens/", token),
    ] {
        root.post(path, &body).refuses("missing@body.organization_id");
        body["organization_id"] = UNKNOWN.into();
        let answer = root.post(path, &body);
        assert_eq!(answer.status, 422);
        body["organization_id"] = organization.clone().into();
        let made = root.post(path, &body).expect(201);
        let made = made.get("organization_access_token").unwrap_or(&made);
        assert_eq!(made["organization_id"], organization.as_str());
    }
    let event = |organization: Value| {
        let mut event = json!({"name": "e", "external_customer_id": "c"});
        event["organization_id"] = organization;
        event
    };
    let ingest = |events: Value| root.post("/v1/events/ingest", &json!({"events": events}));
    let own = json!(organization);
    ingest(json!([event(own.clone()), event(Value::Null)]))
        .refuses("missing@body.events.1.organization_id");
    let other = json!(crate::harness::organization().organization_id);
    let mixed = ingest(json!([event(own.clone()), event(other)]));
    assert_eq!(mixed.errors().len(), 1, "one batch, one organization");
    ingest(json!([event(own.clone()), event(own)])).expect(200);
}

#[test]
fn the_root_token_acts_as_the_organization_in_the_header() {
    let (api, other) = (organization(), organization());
    let meter = api.count_meter();
    other.count_meter();
    let acting = root().with("Polar-Organization", &api.organization_id);
    assert_eq!(column(&acting.get("/v1/meters/").items(), "id"), [meter.as_str()]);
    acting.get(&format!("/v1/meters/{meter}")).expect(200);
    let body = json!({"email": "a@example.com", "external_id": "x"});
    let made = acting.post("/v1/customers/", &body).expect(201);
    assert_eq!(made["organization_id"], api.organization_id.as_str());
    acting.get("/v1/customers/external/x").expect(200);
    let named = json!({"email": "b@example.com", "organization_id": api.organization_id});
    acting
        .post("/v1/customers/", &named)
        .refuses_by_rule("organization_token@body.organization_id");
    root().with("Polar-Organization", UNKNOWN).get("/v1/meters/").expect(403);
    acting.ingest(&json!([{"name": "e", "external_customer_id": "x"}]));
    assert_eq!(api.get("/v1/events/").items().len(), 1);
    assert!(other.get("/v1/events/").items().is_empty());
}

#[test]
fn lists_of_the_root_token_span_organizations() {
    let (a, b) = (organization(), organization());
    let meters = [a.count_meter(), b.count_meter()];
    let query = [
        ("organization_id", a.organization_id.as_str()),
        ("organization_id", b.organization_id.as_str()),
        ("sorting", "created_at"),
    ];
    assert_eq!(column(&root().query("/v1/meters/", &query).items(), "id"), meters);
    let total = |api: &Api| {
        api.get("/v1/meters/?limit=1").expect(200)["pagination"]["total_count"].as_u64()
    };
    assert!(total(&root()) >= Some(2));
    a.customer("a@example.com", Some("same"));
    b.customer("b@example.com", Some("same"));
    let path = "/v1/customers/external/same";
    root().get(path).refuses("missing@query.organization_id");
    let found = root().get(&format!("{path}?organization_id={}", b.organization_id)).expect(200);
    assert_eq!(found["email"], "b@example.com");
    root().get(&format!("{path}?organization_id={UNKNOWN}")).is_absent();
}

#[test]
fn a_token_is_made_used_changed_and_revoked() {
    let api = organization();
    let body = json!({"comment": "ci", "scopes": ["meters:read", "events:read", "meters:read"]});
    let made = api.post("/v1/organization-access-tokens/", &body).expect(201);
    let secret = text(&made, "token").to_owned();
    assert!(secret.starts_with("floe_oat_"));
    let made = made["organization_access_token"].clone();
    assert_eq!(made["scopes"].as_array().unwrap().len(), 2, "each scope once");
    assert_eq!(
        [&made["expires_at"], &made["last_used_at"], &made["modified_at"]],
        [&Value::Null; 3]
    );
    let token = api.with_token(&secret);
    token.get("/v1/meters/").expect(200);
    token.get("/v1/customers/").expect(403);
    let listed = || {
        let page = api.get("/v1/organization-access-tokens/");
        assert!(!page.text.contains(&secret), "the secret is shown once");
        page.items().into_iter().find(|item| item["id"] == made["id"])
    };
    let used = listed().unwrap()["last_used_at"].clone();
    assert!(used.is_string(), "true to a minute: {used}");
    let path = format!("/v1/organization-access-tokens/{}", id(&made));
    let change = json!({"comment": "new", "scopes": ["customers:read"]});
    let after = api.patch(&path, &change).expect(200);
    assert_eq!([&after["comment"], &after["scopes"]], [&json!("new"), &json!(["customers:read"])]);
    token.get("/v1/meters/").expect(403);
    token.get("/v1/customers/").expect(200);
    api.delete(&path).expect(204);
    assert_eq!(token.get("/v1/customers/").expect(401)["error"], "invalid_token");
    assert_eq!(listed(), None);
    api.delete(&path).is_absent();
}

#[test]
fn wrong_tokens_are_refused() {
    let api = organization();
    let path = "/v1/organization-access-tokens/";
    for (body, error) in [
        (json!({}), "missing@body.comment missing@body.scopes"),
        (json!({"comment": 5, "scopes": []}), "string_type@body.comment"),
        (json!({"comment": "c", "scopes": "meters:read"}), "list_type@body.scopes"),
        (json!({"comment": "c", "scopes": ["meters:read", "x"]}), "enum@body.scopes.1"),
        (json!({"comment": "c", "scopes": [], "expires_in": 0}), "greater_than@body.expires_in"),
        (
            json!({"comment": "c", "scopes": [], "expires_in": "soon"}),
            "time_delta_parsing@body.expires_in",
        ),
    ] {
        api.post(path, &body).refuses(error);
    }
    let body = json!({"comment": "c", "scopes": [], "organization_id": api.organization_id});
    api.post(path, &body).refuses_by_rule("organization_token@body.organization_id");
}

#[test]
fn nobody_grants_a_scope_that_they_lack() {
    let all = organization();
    let api =
        server().token(&all.organization_id, &["organization_access_tokens:write", "meters:read"]);
    let path = "/v1/organization-access-tokens/";
    let ask = |scopes: &[&str]| api.post(path, &json!({"comment": "c", "scopes": scopes}));
    let made = ask(&["meters:read", "organization_access_tokens:write"]).expect(201);
    for scopes in [
        &["meters:write"][..],
        &["meters:read", "events:write"],
        &["organization_access_tokens:read"],
    ] {
        let answer = ask(scopes);
        answer.refuses_by_rule("value_error@body.scopes");
        let text = "Requested scopes exceed the caller's own scopes.";
        assert_eq!(answer.json["detail"][0]["msg"], text);
    }
    let path = format!("{path}{}", id(&made["organization_access_token"]));
    api.patch(&path, &json!({"scopes": ["meters:write"]}))
        .refuses_by_rule("value_error@body.scopes");
    api.patch(&path, &json!({"scopes": ["meters:read"]})).expect(200);
}

#[test]
fn a_token_ends_when_it_expires() {
    let api = organization();
    let make = |expires_in: Value| {
        let body = json!({"comment": "c", "scopes": ["meters:read"], "expires_in": expires_in});
        api.post("/v1/organization-access-tokens/", &body).expect(201)
    };
    let made = make(json!(1));
    let expires_at = made["organization_access_token"]["expires_at"].clone();
    let token = api.with_token(text(&made, "token"));
    let began = Instant::now();
    while token.get("/v1/meters/").status == 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "it should end at {expires_at}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() > Duration::from_millis(500), "not at once");
    assert_eq!(token.get("/v1/meters/").expect(401)["error"], "invalid_token");
    for lasting in [json!("P1D"), json!("PT1H"), json!(3600.5), json!("3 days")] {
        let made = make(lasting);
        assert!(made["organization_access_token"]["expires_at"].is_string());
        api.with_token(text(&made, "token")).get("/v1/meters/").expect(200);
    }
}

#[test]
fn metrics_are_for_the_root_token() {
    let api = organization();
    let client = reqwest::blocking::Client::new();
    let ask = |token: Option<&str>| {
        let request = client.get(format!("http://{}/metrics", api.address));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().unwrap().status().as_u16()
    };
    assert_eq!(ask(None), 401);
    assert_eq!(ask(api.token.as_deref()), 403);
    assert_eq!(ask(root().token.as_deref()), 200);
}

#[test]
fn backups_and_storage_are_the_root_tokens_alone() {
    let (root, organization) = (root(), organization());
    organization.post("/v1/system/backup", &json!({"path": "relative/path"})).expect(403);
    let relative = root.post("/v1/system/backup", &json!({"path": "relative/path"})).expect(422);
    assert_eq!(relative["detail"][0]["loc"], json!(["body", "path"]));
    assert_eq!(relative["detail"][0]["msg"], "Value error, The path must be absolute");
    let nowhere = json!({"path": "/no/such/folder/backup"});
    let nowhere = root.post("/v1/system/backup", &nowhere).expect(422);
    assert_eq!(nowhere["detail"][0]["msg"], "there is no folder /no/such/folder to make it in");
    organization.get("/v1/system/storage").expect(403);
    let storage = root.get("/v1/system/storage").expect(200);
    assert!(storage["journal_bytes"].as_u64().unwrap() > 0, "{storage}");
}
