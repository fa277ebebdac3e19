//! Customers and their states (contract sections 5.1 to 5.6).

use serde_json::{Value, json};

use crate::harness::{Api, column, id, organization, text};

fn make(api: &Api, body: Value) -> Value {
    api.post("/v1/customers/", &body).expect(201)
}

#[test]
fn a_customer_is_answered_as_it_was_made() {
    let api = organization();
    let made = make(
        &api,
        json!({
            "email": "User@Example.COM", "external_id": "  x  ", "name": " Ada ", "locale": "FR-ca",
            "billing_address": {
                "line1": "1 Main St", "postal_code": "94105", "city": "SF", "state": "CA", "country": "us",
            },
            "metadata": {"a": 1, "b": 1.0, "c": "1", "d": true},
            "owner": {"email": "o@example.com"},
        }),
    );
    assert_eq!(made["email"], "User@example.com");
    assert_eq!([&made["external_id"], &made["name"]], ["x", "Ada"]);
    assert_eq!([&made["locale"], &made["type"]], ["fr-CA", "individual"]);
    assert_eq!(made["billing_name"], "Ada", "it falls back to the name");
    assert_eq!(made["email_verified"], false);
    let address = json!({
        "line1": "1 Main St", "line2": null, "postal_code": "94105", "city": "SF",
        "state": "US-CA", "country": "US",
    });
    assert_eq!(made["billing_address"], address);
    assert_eq!(made["metadata"].to_string(), r#"{"a":1,"b":1.0,"c":"1","d":true}"#);
    for key in
        ["modified_at", "tax_id", "default_payment_method_id", "deleted_at", "first_user_event_at"]
    {
        assert_eq!(made[key], Value::Null, "{key}");
    }
    for path in [format!("/v1/customers/{}", id(&made)), "/v1/customers/external/x".to_owned()] {
        assert_eq!(api.get(&path).expect(200), made);
    }
    let blank = make(&api, json!({"email": "b@example.com", "external_id": " ", "name": ""}));
    assert_eq!([&blank["external_id"], &blank["name"]], [&Value::Null; 2]);
}

#[test]
fn a_team_needs_an_address_or_an_owner() {
    let api = organization();
    let team = make(&api, json!({"type": "team", "owner": {"email": "o@example.com"}}));
    assert_eq!([&team["type"], &team["email"]], [&json!("team"), &Value::Null]);
    assert_eq!(team["avatar_url"], Value::Null);
    let team = make(&api, json!({"type": "team", "email": "t@example.com"}));
    assert_eq!(team["email"], "t@example.com");
}

#[test]
fn customers_are_found_by_address_text_and_metadata() {
    let api = organization();
    make(
        &api,
        json!({"email": "ada@example.com", "name": "50% Ada", "external_id": "ext-1", "metadata": {"p": 7}}),
    );
    make(&api, json!({"email": "bob@example.com", "name": "Bob_", "external_id": "x-ext-1"}));
    let find = |parameters: &[(&str, &str)]| {
        let mut all = vec![("sorting", "email")];
        all.extend(parameters);
        column(&api.query("/v1/customers/", &all).items(), "email")
    };
    let (ada, bob) = ("ada@example.com", "bob@example.com");
    assert_eq!(find(&[("email", "ADA@example.com")]), [ada]);
    assert_eq!(find(&[("email", "ada@example")]), [""; 0]);
    assert_eq!(find(&[("query", "EXAMPLE")]), [ada, bob]);
    assert_eq!(find(&[("query", "%")]), [ada]);
    assert_eq!(find(&[("query", "_")]), [bob]);
    // A prefix of the external id, and no more.
    assert_eq!(find(&[("query", "ext-")]), [ada]);
    assert_eq!(find(&[("query", "EXT-1")]), [ada]);
    assert_eq!(find(&[("metadata[p]", "7")]), [ada]);
    assert_eq!(find(&[("active", "true")]), [""; 0]);
    assert_eq!(find(&[("active", "false")]), [ada, bob]);
    assert_eq!(find(&[("organization_id", &api.organization_id)]), [ada, bob]);
    assert_eq!(find(&[("organization_id", "a8ea8fc6-0a41-4545-90b9-11be3a6eaaac")]), [""; 0]);
    // By default the newest first.
    assert_eq!(column(&api.get("/v1/customers/").items(), "email"), [bob, ada]);
}

#[test]
fn only_keys_that_are_present_change_a_customer() {
    let api = organization();
    let made = make(
        &api,
        json!({
            "email": "a@example.com", "name": "Ada", "locale": "en", "metadata": {"a": 1},
            "billing_address": {"country": "FR"},
        }),
    );
    let path = format!("/v1/customers/{}", id(&made));
    assert_eq!(api.patch(&path, &json!({})).expect(200), made);
    let after = api
        .patch(&path, &json!({"email": null, "name": null, "locale": null, "tax_id": null}))
        .expect(200);
    assert_eq!(
        [&after["email"], &after["name"], &after["locale"]],
        [&json!("a@example.com"), &Value::Null, &Value::Null]
    );
    assert!(after["modified_at"].is_string());
    api.patch(&path, &json!({"metadata": null})).refuses("dict_type@body.metadata");
    let after = api.patch(&path, &json!({"metadata": {"b": 2}})).expect(200);
    assert_eq!(after["metadata"], json!({"b": 2}));
    let after = api.patch(&path, &json!({"email": "B@EXAMPLE.com"})).expect(200);
    assert_eq!(after["email"], "B@example.com");
    // Its own address in another case is not taken.
    api.patch(&path, &json!({"email": "b@example.com"})).expect(200);
    let after = api.patch(&path, &json!({"external_id": "first"})).expect(200);
    assert_eq!(after["external_id"], "first");
    api.patch(&path, &json!({"external_id": "first"})).expect(200);
    let by_external = "/v1/customers/external/first";
    let after =
        api.patch(by_external, &json!({"name": "New", "external_id": "ignored"})).expect(200);
    assert_eq!([&after["name"], &after["external_id"]], ["New", "first"]);
    let after = api.patch(&path, &json!({"type": "team"})).expect(200);
    assert_eq!(after["type"], "team");
}

#[test]
fn changes_that_rules_forbid_are_all_told() {
    let api = organization();
    make(&api, json!({"email": "taken@example.com", "external_id": "taken"}));
    let made = make(&api, json!({"email": "a@example.com", "external_id": "own", "type": "team"}));
    let path = format!("/v1/customers/{}", id(&made));
    let change = json!({
        "email": "TAKEN@example.com", "billing_address": null, "external_id": "other",
        "type": "individual",
    });
    let answer = api.patch(&path, &change);
    answer.refuses_by_rule(
        "value_error@body.email value_error@body.billing_address value_error@body.external_id \
         value_error@body.type",
    );
    let msgs: Vec<_> =
        answer.json["detail"].as_array().unwrap().iter().map(|item| text(item, "msg")).collect();
    assert_eq!(
        msgs,
        [
            "A customer with this email address already exists.",
            "Customer billing address cannot be reset to null once set.",
            "Customer external ID cannot be updated.",
            "Customer type cannot be downgraded from 'team' to 'individual'.",
        ]
    );
    assert_eq!(api.get(&path).expect(200), made, "nothing was changed");
    api.patch(&path, &json!({"external_id": null})).refuses_by_rule("value_error@body.external_id");
    api.patch(&path, &json!({"type": null})).refuses_by_rule("value_error@body.type");
    let second = make(&api, json!({"email": "b@example.com"}));
    let answer =
        api.patch(&format!("/v1/customers/{}", id(&second)), &json!({"external_id": "taken"}));
    answer.refuses_by_rule("value_error@body.external_id");
    let text = "A customer with this external ID already exists.";
    assert_eq!(answer.json["detail"][0]["msg"], text);
}

#[test]
fn a_deleted_customer_is_gone_and_its_keys_are_free() {
    let api = organization();
    api.count_meter();
    let made = make(&api, json!({"email": "a@example.com", "external_id": "a"}));
    api.ingest(&json!([{"name": "e", "external_customer_id": "a"}]));
    let path = format!("/v1/customers/{}", id(&made));
    let gone = api.delete("/v1/customers/external/a");
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    for path in [
        path.clone(),
        format!("{path}/state"),
        "/v1/customers/external/a".to_owned(),
        "/v1/customers/external/a/state".to_owned(),
    ] {
        api.get(&path).is_absent();
    }
    api.delete(&path).is_absent();
    api.patch(&path, &json!({})).is_absent();
    assert!(api.get("/v1/customers/").items().is_empty());
    // S32.
    assert!(api.get("/v1/customer-meters/").items().is_empty());
    assert_eq!(api.get("/v1/events/").items().len(), 1, "events stay");
    let send = json!({"events": [{"name": "e", "customer_id": made["id"]}]});
    api.post("/v1/events/ingest", &send).refuses_by_rule("customer_id@body.events.0.customer_id");
    // S29: who takes the external id takes its usage.
    make(&api, json!({"email": "A@example.com", "external_id": "a"}));
    let row = api.get("/v1/customer-meters/").items()[0].clone();
    assert_eq!(row["consumed_units"], 1.0);
    api.delete("/v1/customers/external/a?anonymize=true").expect(204);
    api.delete("/v1/customers/external/a?anonymize=maybe").refuses("bool_parsing@query.anonymize");
}

#[test]
fn an_anonymized_customer_shows_nothing_of_itself_in_events() {
    let api = organization();
    let body = json!({
        "email": "secret@example.com", "name": "Secret", "billing_address": {"country": "FR", "city": "Paris"},
    });
    let made = make(&api, body);
    api.ingest(&json!([{"name": "e", "customer_id": made["id"]}]));
    api.delete(&format!("/v1/customers/{}?anonymize=true", id(&made))).expect(204);
    let text = api.get("/v1/events/").text.to_lowercase();
    for word in ["secret", "paris"] {
        assert!(!text.contains(word), "{text}");
    }
}

#[test]
fn earlier_events_are_adopted_when_the_external_id_is_set() {
    let api = organization();
    let meter = api.count_meter();
    api.ingest(
        &json!([{"name": "e", "external_customer_id": "x", "timestamp": "2024-01-01T00:00:00Z"}]),
    );
    let made = make(&api, json!({"email": "a@example.com"}));
    assert_eq!(made["first_user_event_at"], Value::Null);
    let path = format!("/v1/customers/{}", id(&made));
    let after = api.patch(&path, &json!({"external_id": "x"})).expect(200);
    assert_eq!(after["first_user_event_at"], "2024-01-01T00:00:00Z");
    let state = api.get(&format!("{path}/state")).expect(200);
    assert_eq!(state["active_meters"][0]["meter_id"], meter.as_str());
    assert_eq!(state["active_meters"][0]["consumed_units"], 1.0);
}

#[test]
fn a_state_lists_all_meters_by_creation_archived_and_untouched_ones_too() {
    let api = organization();
    let first = api.count_meter();
    make(&api, json!({"email": "a@example.com", "external_id": "a"}));
    let second = api.count_meter();
    let third = api.count_meter();
    api.patch(&format!("/v1/meters/{second}"), &json!({"is_archived": true})).expect(200);
    let state = api.get("/v1/customers/external/a/state").expect(200);
    let meters = state["active_meters"].as_array().unwrap();
    assert_eq!(column(meters, "meter_id"), [first, second, third]);
    for meter in meters {
        assert_eq!(meter["credited_units"].to_string(), "0");
        assert_eq!(meter["consumed_units"].to_string(), "0.0");
        assert_eq!(meter["balance"].to_string(), "0.0");
        assert_eq!(meter["modified_at"], Value::Null);
    }
}
