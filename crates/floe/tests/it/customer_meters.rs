//! Customer meters, credits and resets (contract sections 5.7 and 5.8, semantics section 12).

use serde_json::{Value, json};

use crate::harness::{Answer, Api, column, id, organization, text};

/// An organization with a meter that sums `v`, and a customer; and the id of their row.
fn row() -> (Api, String) {
    let api = organization();
    api.meter(&json!([]), &json!({"func": "sum", "property": "v"}));
    api.customer("ada@example.com", Some("ada"));
    let row = id(&api.get("/v1/customer-meters/").items()[0]);
    (api, row)
}

fn consume(api: &Api, v: f64) {
    api.ingest(&json!([{"name": "e", "external_customer_id": "ada", "metadata": {"v": v}}]));
}

fn credit(api: &Api, row: &str, body: Value) -> Answer {
    api.post(&format!("/v1/customer-meters/{row}/credits"), &body)
}

fn reset(api: &Api, row: &str) -> Value {
    api.post(&format!("/v1/customer-meters/{row}/reset"), &json!({})).expect(201)
}

/// Consumed, credited and balance of a row.
fn units(api: &Api, row: &str) -> (f64, i64, f64) {
    let row = api.get(&format!("/v1/customer-meters/{row}")).expect(200);
    let float = |key: &str| {
        assert!(row[key].is_f64(), "{row}");
        row[key].as_f64().unwrap()
    };
    let credited = row["credited_units"].as_i64().expect("an integer");
    (float("consumed_units"), credited, float("balance"))
}

#[test]
fn a_row_exists_as_soon_as_customer_and_meter_do() {
    let (api, row) = row();
    assert_eq!(units(&api, &row), (0.0, 0, 0.0));
    let item = api.get("/v1/customer-meters/").items()[0].clone();
    let (customer, meter) = (item["customer"].clone(), item["meter"].clone());
    assert_eq!([&item["customer_id"], &item["meter_id"]], [&customer["id"], &meter["id"]]);
    assert_eq!(item["created_at"], customer["created_at"], "the later of the two");
    assert_eq!(item["modified_at"], Value::Null);
    assert_eq!(api.get(&format!("/v1/customer-meters/{row}")).expect(200), item);
    assert_eq!(api.get(&format!("/v1/customers/{}", id(&customer))).expect(200), customer);
    consume(&api, 2.5);
    let later = api.get(&format!("/v1/customer-meters/{row}")).expect(200);
    assert_eq!([&later["id"], &later["created_at"]], [&item["id"], &item["created_at"]]);
    assert!(later["modified_at"].is_string());
    assert_eq!(units(&api, &row), (2.5, 0, -2.5));
}

#[test]
fn usage_before_the_customer_exists_is_counted_at_once() {
    let api = organization();
    consume(&api, 7.0);
    api.meter(&json!([]), &json!({"func": "sum", "property": "v"}));
    api.customer("ada@example.com", Some("ada"));
    assert_eq!(api.get("/v1/customer-meters/").items()[0]["consumed_units"], 7.0);
}

#[test]
fn events_by_id_and_by_external_id_are_one_customers() {
    let (api, row) = row();
    let customer = api.get("/v1/customers/external/ada").expect(200);
    consume(&api, 1.0);
    api.ingest(&json!([
        {"name": "e", "customer_id": customer["id"], "metadata": {"v": 2}},
        {"name": "e", "external_customer_id": "other", "metadata": {"v": 4}},
    ]));
    assert_eq!(units(&api, &row).0, 3.0);
}

#[test]
fn credits_add_up_and_are_floored_at_zero_after_each() {
    let (api, row) = row();
    for (units_given, sum) in [(100, 100), (-150, 0), (50, 50)] {
        let answer = credit(&api, &row, json!({"units": units_given})).expect(201);
        assert_eq!(answer["credited_units"], sum);
    }
    consume(&api, 80.0);
    assert_eq!(units(&api, &row), (80.0, 50, -30.0));
}

#[test]
fn a_new_customer_is_credited_before_its_first_event() {
    let (api, row) = row();
    let answer = credit(&api, &row, json!({"units": 10})).expect(201);
    assert_eq!(text(&answer, "id"), row);
    assert_eq!(answer["balance"], 10.0);
    assert!(answer["modified_at"].is_string());
    assert_eq!(units(&api, &row), (0.0, 10, 10.0));
}

#[test]
fn the_same_external_id_credits_once_and_answers_200_after() {
    let (api, row) = row();
    let first = credit(&api, &row, json!({"units": 10, "external_id": "order-1"})).expect(201);
    let again = credit(&api, &row, json!({"units": 10, "external_id": "order-1"})).expect(200);
    assert_eq!(first, again);
    let other = credit(&api, &row, json!({"units": 999, "external_id": "order-1"})).expect(200);
    assert_eq!(other["credited_units"], 10);
    credit(&api, &row, json!({"units": 5, "external_id": "order-2"})).expect(201);
    credit(&api, &row, json!({"units": 5, "external_id": null})).expect(201);
    credit(&api, &row, json!({"units": 5})).expect(201);
    assert_eq!(units(&api, &row).1, 25);
}

#[test]
fn credits_and_events_share_external_ids() {
    let (api, row) = row();
    let event = |external_id: &str| {
        let event = json!({"name": "e", "external_customer_id": "ada", "external_id": external_id, "metadata": {"v": 1}});
        api.post("/v1/events/ingest", &json!({"events": [event]})).expect(200)["inserted"].clone()
    };
    assert_eq!(event("a"), 1);
    credit(&api, &row, json!({"units": 10, "external_id": "a"})).expect(200);
    assert_eq!(units(&api, &row), (1.0, 0, -1.0));
    credit(&api, &row, json!({"units": 10, "external_id": "b"})).expect(201);
    assert_eq!(event("b"), 0);
    assert_eq!(units(&api, &row), (1.0, 10, 9.0));
}

#[test]
fn wrong_credits_are_refused() {
    let (api, row) = row();
    for (body, errors) in [
        (json!({}), "missing@body.units"),
        (json!({"units": null}), "int_type@body.units"),
        (json!({"units": 1.5}), "int_from_float@body.units"),
        (json!({"units": "x"}), "int_parsing@body.units"),
        (json!({"units": 0}), "value_error@body.units"),
        (json!({"units": 2_147_483_648_u32}), "less_than_equal@body.units"),
        (json!({"units": -2_147_483_648_i32}), "greater_than_equal@body.units"),
        (json!({"units": 1, "rollover": "maybe"}), "bool_parsing@body.rollover"),
        (json!({"units": 1, "external_id": 5}), "string_type@body.external_id"),
        (json!({"units": 1, "external_id": "a\0"}), "value_error@body.external_id"),
        (json!([]), "model_attributes_type@body"),
    ] {
        credit(&api, &row, body).refuses(errors);
    }
    let path = format!("/v1/customer-meters/{row}/reset");
    api.send("POST", &path, None::<&str>).refuses("missing@body");
    assert_eq!(units(&api, &row), (0.0, 0, 0.0));
}

#[test]
fn a_reset_alone_sets_all_to_zero() {
    let (api, row) = row();
    consume(&api, 5.0);
    credit(&api, &row, json!({"units": 20})).expect(201);
    let after = reset(&api, &row);
    assert_eq!([&after["consumed_units"], &after["balance"]], [0.0, 0.0]);
    assert_eq!(after["credited_units"], 0);
    assert_eq!(units(&api, &row), (0.0, 0, 0.0));
    consume(&api, 3.0);
    credit(&api, &row, json!({"units": 1})).expect(201);
    assert_eq!(units(&api, &row), (3.0, 1, -2.0));
}

#[test]
fn a_window_is_cut_by_ingestion_so_a_late_event_counts_in_the_new_one() {
    let (api, row) = row();
    consume(&api, 5.0);
    reset(&api, &row);
    api.ingest(&json!([
        {"name": "e", "external_customer_id": "ada", "timestamp": "2020-01-01T00:00:00Z", "metadata": {"v": 2}},
    ]));
    assert_eq!(units(&api, &row).0, 2.0, "S28");
}

#[test]
fn what_rolls_over_is_what_is_left_of_credits_that_may() {
    // Carried = max(0, min(trunc(N + R - consumed), R)): R may roll over, N may not.
    for (rolling, plain, consumed, carried) in [
        (10, 0, 4.0, 6),
        (10, 5, 4.0, 10),
        (10, 5, 7.0, 8),
        (10, 5, 7.5, 7),
        (10, 5, 100.0, 0),
        (0, 5, 1.0, 0),
        (10, 0, 0.0, 10),
        (10, 0, 9.9, 0),
    ] {
        let (api, row) = row();
        if rolling > 0 {
            credit(&api, &row, json!({"units": rolling, "rollover": true})).expect(201);
        }
        if plain > 0 {
            credit(&api, &row, json!({"units": plain, "rollover": false})).expect(201);
        }
        if consumed > 0.0 {
            consume(&api, consumed);
        }
        let after = reset(&api, &row);
        let case = format!("{rolling} {plain} {consumed}");
        assert_eq!(after["credited_units"], carried, "{case}");
        assert_eq!(
            units(&api, &row),
            (0.0, carried, f64::from(i32::try_from(carried).unwrap())),
            "{case}"
        );
        // And what was carried rolls over again.
        assert_eq!(reset(&api, &row)["credited_units"], carried, "{case}");
    }
}

#[test]
fn an_archived_meter_is_hidden_in_the_list_alone() {
    let (api, row) = row();
    consume(&api, 1.0);
    let meter = id(&api.get("/v1/meters/").items()[0]);
    api.patch(&format!("/v1/meters/{meter}"), &json!({"is_archived": true})).expect(200);
    assert!(api.get("/v1/customer-meters/").items().is_empty());
    let asked_for = api.get(&format!("/v1/customer-meters/?meter_id={meter}")).items();
    assert_eq!(column(&asked_for, "id"), [row.as_str()]);
    assert_eq!(units(&api, &row).0, 1.0);
    let state = api.get("/v1/customers/external/ada/state").expect(200);
    assert_eq!(state["active_meters"][0]["consumed_units"], 1.0);
}

#[test]
fn parameters_of_the_list_are_joined_by_and() {
    let (api, row) = row();
    let bob = id(&api.customer("bob@example.com", Some("bob")));
    let other = api.count_meter();
    let count =
        |parameters: &[(&str, &str)]| api.query("/v1/customer-meters/", parameters).items().len();
    assert_eq!(count(&[]), 4);
    assert_eq!(count(&[("customer_id", &bob)]), 2);
    assert_eq!(count(&[("external_customer_id", "ada")]), 2);
    assert_eq!(count(&[("external_customer_id", "ada"), ("external_customer_id", "bob")]), 4);
    assert_eq!(count(&[("customer_id", &bob), ("external_customer_id", "ada")]), 0);
    assert_eq!(count(&[("meter_id", &other)]), 2);
    assert_eq!(count(&[("meter_id", &other), ("customer_id", &bob)]), 1);
    assert_eq!(count(&[("external_customer_id", "nobody")]), 0);
    assert_eq!(count(&[("organization_id", &api.organization_id)]), 4);
    assert_eq!(count(&[("customer_id", &row)]), 0);
}

#[test]
fn rows_sort_by_every_column_and_never_changed_ones_come_first_by_default() {
    let (api, first) = row();
    api.customer("zoe@example.com", Some("zoe"));
    consume(&api, 3.0);
    let rows = api.get("/v1/customer-meters/").items();
    assert_eq!([&rows[0]["modified_at"], &rows[1]["id"]], [&Value::Null, &json!(first)]);
    let other = id(&rows[0]);
    credit(&api, &other, json!({"units": 9})).expect(201);
    let order = |sorting: &str| {
        column(&api.get(&format!("/v1/customer-meters/?sorting={sorting}")).items(), "id")
    };
    for (sorting, ids) in [
        ("created_at", [&first, &other]),
        ("-modified_at", [&other, &first]),
        ("-consumed_units", [&first, &other]),
        ("credited_units", [&first, &other]),
        ("balance", [&first, &other]),
        ("-balance", [&other, &first]),
        ("meter_name", [&first, &other]),
        ("-meter_name", [&other, &first]),
    ] {
        // Equal names: creation, then id, in the direction of the first criterion.
        if sorting != "-meter_name" {
            assert_eq!(order(sorting).iter().collect::<Vec<_>>(), ids, "{sorting}");
        }
    }
    for sorting in ["customer_id", "customer_name", "meter_id", "-created_at"] {
        assert_eq!(order(sorting).len(), 2);
    }
}

#[test]
fn every_function_is_consumed_by_its_own_rule() {
    let api = organization();
    api.customer("ada@example.com", Some("ada"));
    for v in [4.0, 1.0, 4.0] {
        consume(&api, v);
    }
    api.ingest(&json!([{"name": "e", "external_customer_id": "ada", "metadata": {"v": "text"}}]));
    for (func, consumed) in
        [("count", 4.0), ("sum", 9.0), ("max", 4.0), ("min", 1.0), ("avg", 3.0), ("unique", 3.0)]
    {
        let meter = api.meter(&json!([]), &json!({"func": func, "property": "v"}));
        let row = api.get(&format!("/v1/customer-meters/?meter_id={meter}")).items()[0].clone();
        assert_eq!(row["consumed_units"], consumed, "{func}");
    }
}

#[test]
fn credits_of_one_meter_leave_another_alone() {
    let (api, row) = row();
    let other = api.count_meter();
    credit(&api, &row, json!({"units": 9})).expect(201);
    let other = id(&api.get(&format!("/v1/customer-meters/?meter_id={other}")).items()[0]);
    assert_eq!(units(&api, &other), (0.0, 0, 0.0));
    reset(&api, &other);
    assert_eq!(units(&api, &row).1, 9);
}
