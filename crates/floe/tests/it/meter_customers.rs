//! `GET /v1/meters/{id}/customers`: the quantity of each customer, by hand.

use serde_json::{Value, json};

use crate::harness::{Answer, Api, assert_keys, id, organization, server};

const MAY: [(&str, &str); 2] =
    [("start_timestamp", "2024-05-01T00:00:00Z"), ("end_timestamp", "2024-05-03T00:00:00Z")];

fn used(customer: (&str, &str), at: &str, v: Value) -> Value {
    json!({"name": "use", customer.0: customer.1, "timestamp": at, "metadata": {"v": v}})
}

fn ask(api: &Api, meter: &str, more: &[(&str, &str)]) -> Answer {
    let parameters: Vec<_> = MAY.iter().chain(more).copied().collect();
    api.query(&format!("/v1/meters/{meter}/customers"), &parameters)
}

/// External id and quantity of each item.
fn quantities(api: &Api, meter: &str, more: &[(&str, &str)]) -> Vec<(String, f64)> {
    let item = |item: &Value| {
        let external_id = item["external_customer_id"].as_str().unwrap_or("-").to_owned();
        assert!(item["quantity"].is_f64(), "{item}");
        (external_id, item["quantity"].as_f64().unwrap())
    };
    ask(api, meter, more).items().iter().map(item).collect()
}

fn pairs(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
    pairs.iter().map(|(text, quantity)| ((*text).to_owned(), *quantity)).collect()
}

/// Ada is known by both ids, Bob by his own alone; nobody is called `eve`.
///
/// | | 30 April 23:00 | 1 May 10:00 | 2 May 10:00 | 3 May 00:00 | 3 May 10:00 |
/// | --- | --- | --- | --- | --- | --- |
/// | ada | 100 | 1 (by id) | 2.5 | 4 | 8 |
/// | Bob | | 10 | | | 20 |
/// | eve | | | 0.1, 0.2 | | |
fn usage() -> (Api, Value, Value) {
    let api = organization();
    let ada = api.customer("ada@example.com", Some("ada"));
    let body = json!({"email": "bob@example.com", "name": "Bob Builder"});
    let bob = api.post("/v1/customers/", &body).expect(201);
    let (ada_id, bob_id) = (id(&ada), id(&bob));
    let by_id = ("customer_id", ada_id.as_str());
    let (by_external_id, bobs) =
        (("external_customer_id", "ada"), ("customer_id", bob_id.as_str()));
    let eves = ("external_customer_id", "eve");
    api.ingest(&json!([
        used(by_id, "2024-04-30T23:00:00Z", json!(100)),
        used(by_id, "2024-05-01T10:00:00Z", json!(1)),
        used(by_external_id, "2024-05-02T10:00:00Z", json!(2.5)),
        used(by_external_id, "2024-05-03T00:00:00Z", json!(4)),
        used(by_external_id, "2024-05-03T10:00:00Z", json!(8)),
        used(bobs, "2024-05-01T10:00:00Z", json!(10)),
        used(bobs, "2024-05-03T10:00:00Z", json!(20)),
        used(eves, "2024-05-02T10:00:00Z", json!(0.1)),
        used(eves, "2024-05-02T10:00:00Z", json!(0.2)),
        // Nothing to add up.
        used(("external_customer_id", "text"), "2024-05-02T10:00:00Z", json!("7")),
    ]));
    (api, ada, bob)
}

fn sum(api: &Api) -> String {
    api.meter(&json!([]), &json!({"func": "sum", "property": "v"}))
}

#[test]
fn a_customer_known_by_both_ids_is_one_item() {
    let (api, ada, bob) = usage();
    let meter = sum(&api);
    let items = ask(&api, &meter, &[]).items();
    assert_eq!(items.len(), 3);
    for item in &items {
        assert_keys(item, "customer_id external_customer_id customer quantity");
    }
    let [first, second, third] = &items[..] else { panic!("{items:?}") };
    let item = |customer: &Value, external_id, quantity| {
        let customer = api.get(&format!("/v1/customers/{}", id(customer))).expect(200);
        json!({
            "customer_id": id(&customer), "external_customer_id": external_id,
            "customer": customer, "quantity": quantity,
        })
    };
    assert_eq!(*first, item(&bob, Value::Null, 10.0));
    assert_eq!(*second, item(&ada, json!("ada"), 3.5));
    let eve = json!({
        "customer_id": null, "external_customer_id": "eve", "customer": null, "quantity": 0.3,
    });
    assert_eq!(*third, eve);
}

#[test]
fn bounds_are_exact_without_an_interval_and_those_of_quantities_with_one() {
    let (api, ..) = usage();
    let meter = sum(&api);
    assert_eq!(quantities(&api, &meter, &[]), pairs(&[("-", 10.0), ("ada", 3.5), ("eve", 0.3)]));
    // 3 May at midnight is a point, so the whole day counts.
    let by_day = pairs(&[("-", 30.0), ("ada", 15.5), ("eve", 0.3)]);
    assert_eq!(quantities(&api, &meter, &[("interval", "day")]), by_day);
    let total = |more: &[(&str, &str)]| {
        let parameters: Vec<_> = MAY.iter().chain(more).copied().collect();
        api.points(&meter, &parameters).1
    };
    assert_eq!(total(&[("interval", "day")]), 45.8);
    // In Paris 30 April ends at 22:00 UTC, and 3 May begins before the last point.
    let paris = [("interval", "day"), ("timezone", "Europe/Paris")];
    let in_paris = pairs(&[("ada", 115.5), ("-", 30.0), ("eve", 0.3)]);
    assert_eq!(quantities(&api, &meter, &paris), in_paris);
    assert_eq!(total(&paris), 145.8);
    // The only month with a point is May.
    let month = pairs(&[("-", 30.0), ("ada", 15.5), ("eve", 0.3)]);
    assert_eq!(quantities(&api, &meter, &[("interval", "month")]), month);
    let only = [("interval", "day"), ("metadata[v]", "10"), ("metadata[v]", "8")];
    assert_eq!(quantities(&api, &meter, &only), pairs(&[("-", 10.0), ("ada", 8.0)]));
}

#[test]
fn each_function_has_its_total() {
    let (api, ..) = usage();
    let of = |func: &str| {
        let aggregation = match func {
            "count" => json!({"func": func}),
            _ => json!({"func": func, "property": "v"}),
        };
        let meter = api.meter(&json!([]), &aggregation);
        let by = [("interval", "day"), ("sorting", "external_customer_id")];
        quantities(&api, &meter, &by)
    };
    let all = |ada, eve, bob| pairs(&[("ada", ada), ("eve", eve), ("-", bob)]);
    assert_eq!(of("max"), all(8.0, 0.2, 20.0));
    assert_eq!(of("min"), all(1.0, 0.1, 10.0));
    assert_eq!(of("avg"), all(3.875, 0.15, 15.0));
    let with_text = |ada, eve, bob| pairs(&[("ada", ada), ("eve", eve), ("text", 1.0), ("-", bob)]);
    assert_eq!(of("count"), with_text(4.0, 2.0, 2.0));
    assert_eq!(of("unique"), with_text(4.0, 2.0, 2.0));
}

#[test]
fn items_are_sorted_searched_and_paged() {
    let (api, ..) = usage();
    let meter = api.count_meter();
    let sorted = |by: &str| -> Vec<String> {
        quantities(&api, &meter, &[("sorting", by)]).into_iter().map(|(id, _)| id).collect()
    };
    // Ada has 2, Bob 1, eve 2, text 1; Ada was made first, and who is no customer comes last.
    assert_eq!(sorted("quantity"), ["-", "text", "ada", "eve"]);
    assert_eq!(sorted("-quantity"), ["eve", "ada", "text", "-"]);
    assert_eq!(sorted("customer_name"), ["-", "ada", "eve", "text"]);
    assert_eq!(sorted("external_customer_id"), ["ada", "eve", "text", "-"]);
    assert_eq!(sorted("-external_customer_id"), ["-", "text", "eve", "ada"]);
    let found = |text: &str| quantities(&api, &meter, &[("query", text)]);
    assert_eq!(found("BUILD"), pairs(&[("-", 1.0)]));
    assert_eq!(found("example.com").len(), 2);
    assert_eq!(found("E"), pairs(&[("eve", 2.0), ("ada", 2.0), ("-", 1.0)]));
    assert_eq!(found("ve"), []);
    let page = |number: &str| {
        let more = [("limit", "3"), ("page", number), ("sorting", "external_customer_id")];
        let json = ask(&api, &meter, &more).expect(200);
        assert_eq!(json["pagination"], json!({"total_count": 4, "max_page": 2}));
        json["items"].as_array().unwrap().len()
    };
    assert_eq!([page("1"), page("2"), page("3")], [3, 1, 0]);
}

#[test]
fn deleted_customers_keep_what_came_with_their_ids() {
    let (api, ada, _) = usage();
    let meter = sum(&api);
    assert_eq!(api.delete(&format!("/v1/customers/{}", id(&ada))).status, 204);
    let items = ask(&api, &meter, &[("sorting", "-quantity")]).items();
    let seen: Vec<_> = items
        .iter()
        .map(|item| (&item["customer_id"], &item["external_customer_id"], &item["quantity"]))
        .collect();
    // 1 came with her id, 2.5 with an external id that now is nobody's.
    assert_eq!(
        seen[1..],
        [
            (&Value::Null, &json!("ada"), &json!(2.5)),
            (&ada["id"], &Value::Null, &json!(1.0)),
            (&Value::Null, &json!("eve"), &json!(0.3)),
        ]
    );
    assert!(items[2]["customer"]["deleted_at"].is_string());
    // Another customer who takes the external id takes the usage.
    let other = api.customer("other@example.com", Some("eve"));
    let items = ask(&api, &meter, &[("query", "eve")]).items();
    assert_eq!(items.len(), 1);
    assert_eq!((&items[0]["customer_id"], &items[0]["quantity"]), (&other["id"], &json!(0.3)));
}

#[test]
fn credits_and_resets_are_no_usage() {
    let (api, ..) = usage();
    let meter = api.count_meter();
    let before = quantities(&api, &meter, &[("interval", "year")]);
    for row in api.get(&format!("/v1/customer-meters/?meter_id={meter}")).items() {
        let path = format!("/v1/customer-meters/{}", id(&row));
        api.post(&format!("{path}/credits"), &json!({"units": 5})).expect(201);
        api.post(&format!("{path}/reset"), &json!({})).expect(201);
    }
    assert_eq!(quantities(&api, &meter, &[("interval", "year")]), before);
}

#[test]
fn wrong_requests_are_refused() {
    let (api, ..) = usage();
    let meter = api.count_meter();
    let path = format!("/v1/meters/{meter}/customers");
    api.get(&path).refuses("missing@query.start_timestamp missing@query.end_timestamp");
    ask(&api, &meter, &[("interval", "minute"), ("sorting", "total"), ("page", "0")])
        .refuses("enum@query.interval greater_than@query.page enum@query.sorting.0");
    let reversed =
        [("start_timestamp", "2024-05-03T00:00:01Z"), ("end_timestamp", "2024-05-03T00:00:00Z")];
    api.query(&path, &reversed).refuses_by_rule("value_error@query");
    let long =
        [("start_timestamp", "2023-01-01T00:00:00Z"), ("end_timestamp", "2026-01-01T00:00:00Z")];
    assert_eq!(api.query(&path, &long).items().len(), 4);
    let by_day = [long[0], long[1], ("interval", "day")];
    api.query(&path, &by_day).refuses_by_rule("value_error@query");
    ask(&api, "c3c2b1e0-4a27-4c3e-8f4e-1f5f0b1f2d3c", &[]).is_absent();
    ask(&organization(), &meter, &[]).is_absent();
    for scope in ["meters:read", "meters:write"] {
        let reader = server().token(&api.organization_id, &[scope]);
        assert_eq!(ask(&reader, &meter, &[]).items().len(), 4);
    }
    let other = server().token(&api.organization_id, &["events:read"]);
    assert_eq!(ask(&other, &meter, &[]).status, 403);
    assert_eq!(ask(&api.anonymous(), &meter, &[]).status, 401);
}
