//! Ingestion and the list of events (contract section 4, semantics sections 9 and 10).

use serde_json::{Value, json};

use crate::harness::{Api, column, id, organization, text};

const DAY: &str = "2024-01-01T00:00:00Z";

fn event(name: &str, change: Value) -> Value {
    let mut event = json!({"name": name, "external_customer_id": "c", "timestamp": DAY});
    for (key, value) in change.as_object().unwrap() {
        event[key] = value.clone();
    }
    event
}

/// The names of the events that a query finds, in order.
fn names(api: &Api, parameters: &[(&str, &str)]) -> String {
    let mut all = vec![("sorting", "timestamp"), ("limit", "100")];
    all.extend(parameters);
    column(&api.query("/v1/events/", &all).items(), "name").join(" ")
}

fn ingest(api: &Api, events: Value) -> (u64, u64) {
    let answer = api.post("/v1/events/ingest", &json!({"events": events})).expect(200);
    (answer["inserted"].as_u64().unwrap(), answer["duplicates"].as_u64().unwrap())
}

#[test]
fn an_event_is_answered_as_it_was_sent() {
    let api = organization();
    let sent = json!({
        "name": "chat", "external_customer_id": "", "external_member_id": "m", "external_id": "x",
        "timestamp": "2024-01-01T00:00:00.5+01:00",
        "metadata": {"b": true, "a": 1, "f": 1.0, "dotted.key": "v", "k".repeat(1000): "long"},
    });
    api.ingest(&json!([sent]));
    let event = api.get("/v1/events/").items()[0].clone();
    assert_eq!(
        event,
        json!({
            "id": event["id"], "timestamp": "2023-12-31T23:00:00.500000Z",
            "organization_id": api.organization_id, "customer_id": null, "customer": null,
            "external_customer_id": "", "member_id": null, "external_member_id": "m",
            "child_count": 0, "parent_id": null, "label": "chat", "name": "chat", "source": "user",
            "metadata": sent["metadata"],
        })
    );
    assert_eq!(event["metadata"]["f"].to_string(), "1.0");
    assert_eq!(api.get(&format!("/v1/events/{}", id(&event))).expect(200), event);
}

#[test]
fn an_event_without_a_time_is_of_now() {
    let api = organization();
    api.ingest(&json!([{"name": "", "external_customer_id": "c"}]));
    let event = api.get("/v1/events/").items()[0].clone();
    assert_eq!(event["name"], "");
    let made = api.customer("a@example.com", None);
    assert!(text(&event, "timestamp") < text(&made, "created_at"));
    assert!(text(&event, "timestamp") > "2026");
}

#[test]
fn an_empty_batch_is_fine() {
    assert_eq!(ingest(&organization(), json!([])), (0, 0));
}

#[test]
fn of_equal_external_ids_the_first_wins() {
    let api = organization();
    let first = ingest(
        &api,
        json!([
            event("first", json!({"external_id": "1"})),
            event("second", json!({"external_id": "1"})),
            event("third", json!({"external_id": "2"})),
            event("fourth", json!({"external_id": null})),
            event("fifth", json!({})),
            event("sixth", json!({"external_id": ""})),
        ]),
    );
    assert_eq!(first, (5, 1));
    let again = ingest(
        &api,
        json!([
            event("x", json!({"external_id": "1"})),
            event("seventh", json!({"external_id": "3"})),
            event("x", json!({"external_id": ""})),
        ]),
    );
    assert_eq!(again, (1, 2));
    assert_eq!(names(&api, &[]), "first third fourth fifth sixth seventh");
    // A duplicate is still validated.
    let bad = json!({"events": [event("x", json!({"external_id": "1", "metadata": {"a": null}}))]});
    assert_eq!(api.post("/v1/events/ingest", &bad).status, 422);
}

#[test]
fn one_wrong_event_stores_nothing_of_its_batch() {
    let api = organization();
    let batch = json!({"events": [event("a", json!({"external_id": "1"})), event("b", json!({"name": 5}))]});
    api.post("/v1/events/ingest", &batch)
        .refuses("string_type@body.events.1.EventCreateExternalCustomer.name");
    assert_eq!(names(&api, &[]), "");
    assert_eq!(ingest(&api, json!([event("a", json!({"external_id": "1"}))])), (1, 0));
}

#[test]
fn of_two_customer_keys_the_better_form_wins() {
    let api = organization();
    let customer = id(&api.customer("a@example.com", None));
    let send = |change: Value| {
        let mut event = json!({"name": "e"});
        for (key, value) in change.as_object().unwrap() {
            event[key] = value.clone();
        }
        api.post("/v1/events/ingest", &json!({"events": [event]}))
    };
    let last = || {
        let event = api.get("/v1/events/?limit=1").items()[0].clone();
        (event["customer_id"].clone(), event["external_customer_id"].clone())
    };
    // On a tie the external id wins (S27).
    send(json!({"customer_id": customer, "external_customer_id": "x"})).expect(200);
    assert_eq!(last(), (json!(null), json!("x")));
    // A form whose fields fail is skipped.
    for bad in [json!(null), json!("nonsense"), json!(5)] {
        send(json!({"customer_id": bad, "external_customer_id": "y"})).expect(200);
        assert_eq!(last(), (json!(null), json!("y")));
    }
    for bad in [json!(null), json!(5)] {
        send(json!({"customer_id": customer, "external_customer_id": bad})).expect(200);
        assert_eq!(last(), (json!(customer), json!(null)));
    }
    // More recognised keys: the customer's form, whose member is then not found.
    let member = "a8ea8fc6-0a41-4545-90b9-11be3a6eaaac";
    let both = json!({"customer_id": customer, "member_id": member, "external_customer_id": "x"});
    send(both).refuses_by_rule("member_id@body.events.0.member_id");
    // Equal again with a member each.
    let all = json!({
        "customer_id": customer, "member_id": member, "external_customer_id": "z",
        "external_member_id": "m",
    });
    send(all).expect(200);
    assert_eq!(last(), (json!(null), json!("z")));
}

#[test]
fn the_two_reserved_keys_are_checked_and_trimmed() {
    let api = organization();
    api.ingest(&json!([
        event(
            "e",
            json!({"metadata": {
                "_llm": {
                    "vendor": "v", "model": "m", "input_tokens": 1, "output_tokens": 2.0,
                    "total_tokens": 3, "cached_input_tokens": 4, "more": 5,
                },
                "_cost": {"amount": 1, "currency": "usd"},
            }})
        ),
        event(
            "f",
            json!({"metadata": {
                "_llm": {"vendor": "", "model": "", "input_tokens": 0, "output_tokens": 0,
                         "total_tokens": 0, "prompt": "p"},
            }})
        )
    ]));
    let events = api.get("/v1/events/?sorting=timestamp").items();
    assert_eq!(
        events[0]["metadata"],
        json!({
            "_llm": {
                "vendor": "v", "model": "m", "prompt": null, "response": null, "input_tokens": 1,
                "cached_input_tokens": 4, "output_tokens": 2, "total_tokens": 3,
            },
            "_cost": {"amount": "1", "currency": "usd"},
        })
    );
    assert_eq!(
        events[1]["metadata"]["_llm"],
        json!({
            "vendor": "", "model": "", "prompt": "p", "response": null, "input_tokens": 0,
            "output_tokens": 0, "total_tokens": 0,
        })
    );
}

#[test]
fn the_customer_of_an_event_is_found_when_it_is_read() {
    let api = organization();
    api.ingest(&json!([event("e", json!({"external_customer_id": "late"}))]));
    assert_eq!(api.get("/v1/events/").items()[0]["customer"], Value::Null);
    let made = api.customer("late@example.com", Some("late"));
    let event = api.get("/v1/events/").items()[0].clone();
    assert_eq!(event["customer"]["id"], made["id"]);
    assert_eq!(event["customer_id"], Value::Null);
    assert_eq!(made["first_user_event_at"], DAY);
    api.ingest(&json!([{"name": "f", "customer_id": made["id"]}]));
    api.delete(&format!("/v1/customers/{}", id(&made))).expect(204);
    let events = api.get("/v1/events/?sorting=timestamp").items();
    assert_eq!(events.len(), 2, "events stay");
    assert_eq!(events[1]["customer_id"], made["id"]);
}

#[test]
fn bounds_of_time_are_exclusive() {
    let api = organization();
    for second in 0..4 {
        let time = format!("2024-01-01T00:00:0{second}Z");
        api.ingest(&json!([event(&second.to_string(), json!({"timestamp": time}))]));
    }
    let at = |second: u32| format!("2024-01-01T00:00:0{second}Z");
    assert_eq!(names(&api, &[("start_timestamp", &at(0)), ("end_timestamp", &at(3))]), "1 2");
    assert_eq!(names(&api, &[("start_timestamp", &at(2))]), "3");
    assert_eq!(names(&api, &[("end_timestamp", &at(0))]), "");
    assert_eq!(names(&api, &[("start_timestamp", "2024-01-01T00:00:01.999999Z")]), "2 3");
}

#[test]
fn events_are_filtered_by_every_parameter() {
    let api = organization();
    let ada = id(&api.customer("ada@example.com", Some("ada")));
    let bob = id(&api.customer("bob@example.com", None));
    api.ingest(&json!([
        event("a", json!({"external_customer_id": "ada", "metadata": {"k": "v", "n": 7}})),
        {"name": "b", "customer_id": ada, "timestamp": DAY, "metadata": {"k": "w", "n": 7.0}},
        {"name": "c", "customer_id": bob, "timestamp": DAY, "metadata": {"k": "v", "t": true}},
        event("d,e", json!({"external_customer_id": "nobody"})),
    ]));
    for (parameters, expected) in [
        (vec![("customer_id", ada.as_str())], "a b"),
        (vec![("external_customer_id", "ada")], "a b"),
        (vec![("external_customer_id", "ada"), ("customer_id", &bob)], "a b c"),
        (vec![("external_customer_id", "nobody")], "d,e"),
        (vec![("name", "a"), ("name", "c")], "a c"),
        (vec![("name", "d,e")], "d,e"),
        (vec![("name", "A")], ""),
        (vec![("source", "user")], "a b c d,e"),
        (vec![("source", "system")], ""),
        (vec![("source", "system"), ("source", "user")], "a b c d,e"),
        (vec![("metadata[k]", "v")], "a c"),
        (vec![("metadata[n]", "7")], "a"),
        (vec![("metadata[n]", "7.0")], "b"),
        (vec![("metadata[t]", "true")], "c"),
        (vec![("metadata[k]", "v"), ("metadata[t]", "true")], "c"),
        (vec![("organization_id", api.organization_id.as_str())], "a b c d,e"),
        (vec![("organization_id", "a8ea8fc6-0a41-4545-90b9-11be3a6eaaac")], ""),
        // Text is sought in name, metadata, ids, e-mail address.
        (vec![("query", "D,E")], "d,e"),
        (vec![("query", "BOB@EX")], "c"),
        (vec![("query", "nobod")], "d,e"),
        (vec![("query", "use")], "a b c d,e"),
        (vec![("query", "%%%")], ""),
        (vec![("name", "a"), ("customer_id", &bob)], ""),
    ] {
        assert_eq!(names(&api, &parameters), expected, "{parameters:?}");
    }
    // A deleted customer's id still finds what was sent by it (semantics section 6).
    api.delete(&format!("/v1/customers/{bob}")).expect(204);
    assert_eq!(names(&api, &[("customer_id", &bob)]), "c");
}

#[test]
fn the_events_of_a_meter_are_those_that_it_counts() {
    let api = organization();
    let clause = json!({"property": "name", "operator": "eq", "value": "chat"});
    let meter = api.meter(&json!([clause]), &json!({"func": "sum", "property": "n"}));
    api.ingest(&json!([
        event("chat", json!({"metadata": {"n": 1}})),
        event("chat", json!({"metadata": {"n": "1"}})),
        event("other", json!({"metadata": {"n": 1}})),
        event("chat", json!({})),
    ]));
    let events = api.get(&format!("/v1/events/?meter_id={meter}")).items();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["metadata"], json!({"n": 1}));
}

#[test]
fn parents_are_found_by_external_id_then_by_id_and_may_come_later() {
    let api = organization();
    api.ingest(&json!([
        event("child", json!({"parent_id": "p"})),
        event("orphan", json!({"parent_id": "never"}))
    ]));
    let find = |name: &str| api.query("/v1/events/", &[("name", name)]).items()[0].clone();
    // S18: visible at once, without a parent.
    assert_eq!(find("child")["parent_id"], Value::Null);
    assert_eq!(find("orphan")["parent_id"], Value::Null);
    api.ingest(&json!([event("parent", json!({"external_id": "p"}))]));
    let parent = find("parent");
    assert_eq!(find("child")["parent_id"], parent["id"]);
    api.ingest(&json!([event("by-id", json!({"parent_id": parent["id"]}))]));
    assert_eq!(find("by-id")["parent_id"], parent["id"]);
    // Itself excluded.
    api.ingest(&json!([event("self", json!({"external_id": "self", "parent_id": "self"}))]));
    assert_eq!(find("self")["parent_id"], Value::Null);
    // S17: direct children, in both views.
    let child = find("child");
    api.ingest(&json!([event("grandchild", json!({"parent_id": child["id"]}))]));
    for (event, count) in [(&parent, 2), (&child, 1)] {
        assert_eq!(find(text(event, "name"))["child_count"], count);
        assert_eq!(api.get(&format!("/v1/events/{}", id(event))).expect(200)["child_count"], count);
    }
}

#[test]
fn depth_counts_ancestors() {
    let api = organization();
    let chain = ["0", "1", "2", "3", "4", "5", "6"];
    for (n, name) in chain.iter().enumerate() {
        let parent = n.checked_sub(1).map(|n| chain[n]);
        api.ingest(&json!([event(name, json!({"external_id": name, "parent_id": parent}))]));
    }
    api.ingest(&json!([event("root", json!({}))]));
    let zero = id(&api.query("/v1/events/", &[("name", "0")]).items()[0]);
    let two = id(&api.query("/v1/events/", &[("name", "2")]).items()[0]);
    for (parameters, expected) in [
        (vec![("depth", "0")], "0 root"),
        (vec![("depth", "2")], "0 1 2 root"),
        (vec![("depth", "5")], "0 1 2 3 4 5 root"),
        (vec![("parent_id", zero.as_str())], "1"),
        (vec![("parent_id", &two), ("depth", "2")], "3 4"),
        (vec![("parent_id", &zero), ("depth", "5")], "1 2 3 4 5"),
        (vec![("parent_id", &zero), ("depth", "0")], ""),
    ] {
        assert_eq!(names(&api, &parameters), expected, "{parameters:?}");
    }
}

#[test]
fn parents_that_form_a_ring_do_not_hang() {
    let api = organization();
    api.ingest(&json!([
        event("a", json!({"external_id": "a", "parent_id": "b"})),
        event("b", json!({"external_id": "b", "parent_id": "a"})),
    ]));
    for depth in ["0", "1", "5"] {
        names(&api, &[("depth", depth)]);
        let a = id(&api.query("/v1/events/", &[("name", "a")]).items()[0]);
        names(&api, &[("depth", depth), ("parent_id", &a)]);
    }
}

#[test]
fn events_are_seen_as_soon_as_ingestion_answers() {
    let api = organization();
    let meter = api.count_meter();
    api.customer("c@example.com", Some("c"));
    for count in 1..=20 {
        api.ingest(&json!([event("e", json!({}))]));
        assert_eq!(api.quantities(&meter, DAY, DAY, &[]).1, f64::from(count));
        let page = api.get("/v1/events/?limit=1").expect(200);
        assert_eq!(page["pagination"]["total_count"], count);
        let row = api.get("/v1/customer-meters/").items()[0].clone();
        assert_eq!(row["consumed_units"], f64::from(count));
    }
}

#[test]
fn names_are_grouped_with_their_numbers() {
    let api = organization();
    let ada = id(&api.customer("ada@example.com", Some("ada")));
    api.ingest(&json!([
        event("Chat", json!({"timestamp": "2024-01-02T00:00:00Z"})),
        event("Chat", json!({"timestamp": "2024-01-01T00:00:00Z", "external_customer_id": "ada"})),
        event("chat", json!({"timestamp": "2024-01-03T00:00:00.5Z"})),
        {"name": "a%b", "customer_id": ada, "timestamp": DAY},
    ]));
    let ask = |parameters: &[(&str, &str)]| api.query("/v1/events/names", parameters).items();
    let all = ask(&[]);
    assert_eq!(column(&all, "name"), ["chat", "Chat", "a%b"], "last seen first");
    assert_eq!(
        all[1],
        json!({
            "name": "Chat", "label": "Chat", "source": "user", "occurrences": 2,
            "first_seen": "2024-01-01T00:00:00Z", "last_seen": "2024-01-02T00:00:00Z",
        })
    );
    assert_eq!(column(&ask(&[("sorting", "-occurrences")]), "name")[0], "Chat");
    assert_eq!(column(&ask(&[("query", "C")]), "name"), ["chat", "Chat"]);
    assert_eq!(column(&ask(&[("query", "%")]), "name"), ["a%b"]);
    assert_eq!(column(&ask(&[("customer_id", &ada)]), "name"), ["Chat", "a%b"]);
    assert_eq!(ask(&[("customer_id", &ada)])[0]["occurrences"], 1);
    assert_eq!(ask(&[("source", "system")]).len(), 0);
    assert_eq!(ask(&[("limit", "1"), ("page", "2")])[0]["name"], "Chat");
}

#[test]
fn credits_and_resets_are_system_events_with_fixed_labels() {
    let api = organization();
    let meter = api.count_meter();
    let customer = id(&api.customer("a@example.com", Some("a")));
    let row = id(&api.get("/v1/customer-meters/").items()[0]);
    let path = format!("/v1/customer-meters/{row}");
    api.post(&format!("{path}/credits"), &json!({"units": 5, "rollover": true})).expect(201);
    api.post(&format!("{path}/reset"), &json!({})).expect(201);
    let events = api.get("/v1/events/?source=system&sorting=timestamp").items();
    let seen: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(event["customer_id"], customer.as_str());
            assert_eq!(event["source"], "system");
            (text(event, "name"), text(event, "label"), event["metadata"].clone())
        })
        .collect();
    let credited = |units: u32| {
        let metadata = json!({"meter_id": meter, "units": units, "rollover": true});
        ("meter.credited", "Meter Credited", metadata)
    };
    // All five units roll over, as nothing was consumed.
    assert_eq!(
        seen,
        [credited(5), ("meter.reset", "Meter Reset", json!({"meter_id": meter})), credited(5),]
    );
    let names = api.get("/v1/events/names?source=system&sorting=name").items();
    assert_eq!(column(&names, "label"), ["Meter Credited", "Meter Reset"]);
}
