//! Pages and their order (contract sections 1.9 and 1.10).

use serde_json::{Value, json};

use crate::harness::{Api, column, organization};

fn page(api: &Api, path: &str) -> (Vec<Value>, u64, u64) {
    let page = api.get(path).expect(200);
    let number = |key: &str| page["pagination"][key].as_u64().expect("an integer");
    (page["items"].as_array().unwrap().clone(), number("total_count"), number("max_page"))
}

fn meter(api: &Api, name: &str) {
    let body = json!({
        "name": name, "filter": {"conjunction": "and", "clauses": []},
        "aggregation": {"func": "count"},
    });
    api.post("/v1/meters/", &body).expect(201);
}

#[test]
fn a_page_tells_how_many_there_are() {
    let api = organization();
    for n in 0..12 {
        meter(&api, &format!("meter {n:02}"));
    }
    for (query, items, max_page) in [
        ("", 10, 2),
        ("?page=2", 2, 2),
        ("?limit=5", 5, 3),
        ("?limit=5&page=3", 2, 3),
        ("?limit=12", 12, 1),
        ("?limit=11&page=2", 1, 2),
        ("?limit=1000", 12, 1),
        ("?limit=5&page=4", 0, 3),
        ("?page=1000000", 0, 2),
        ("?limit=1&page=12", 1, 12),
    ] {
        let (found, total, last) = page(&api, &format!("/v1/meters/{query}"));
        assert_eq!((found.len(), total, last), (items, 12, max_page), "{query}");
    }
}

#[test]
fn an_empty_list_has_no_page() {
    let api = organization();
    for path in [
        "/v1/meters/",
        "/v1/events/",
        "/v1/events/names",
        "/v1/event-types/",
        "/v1/customers/",
        "/v1/customer-meters/",
    ] {
        assert_eq!(page(&api, path), (Vec::new(), 0, 0), "{path}");
    }
}

#[test]
fn a_limit_over_100_is_clamped_and_counts_so_in_max_page() {
    let api = organization();
    let events: Vec<_> =
        (0..250).map(|n| json!({"name": n.to_string(), "external_customer_id": "c"})).collect();
    api.ingest(&json!(events));
    for limit in ["100", "101", "1000", "9223372036854775807", "18446744073709551616"] {
        let (items, total, last) = page(&api, &format!("/v1/events/?limit={limit}"));
        assert_eq!((items.len(), total, last), (100, 250, 3), "{limit}");
        let (items, ..) = page(&api, &format!("/v1/events/names?limit={limit}&page=3"));
        assert_eq!(items.len(), 50, "{limit}");
    }
}

#[test]
fn a_page_beyond_64_bits_is_empty_with_the_true_count() {
    let api = organization();
    meter(&api, "meter");
    api.customer("a@example.com", None);
    api.ingest(&json!([{"name": "e", "external_customer_id": "c"}]));
    for path in [
        "/v1/meters/",
        "/v1/events/",
        "/v1/events/names",
        "/v1/event-types/",
        "/v1/customers/",
        "/v1/customer-meters/",
        "/v1/organization-access-tokens/",
    ] {
        for number in [
            "2",
            "9223372036854775807",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999999999999999999",
        ] {
            let (items, total, last) = page(&api, &format!("{path}?limit=100&page={number}"));
            // S22.
            assert_eq!((items.len(), total, last), (0, 1, 1), "{path} {number}");
        }
    }
}

#[test]
fn criteria_apply_in_order() {
    let api = organization();
    for name in ["bbb", "aaa", "bbb", "ccc"] {
        meter(&api, name);
    }
    let order = |query: &str| {
        let items = api.get(&format!("/v1/meters/?{query}")).items();
        let mut made = column(&api.get("/v1/meters/?sorting=created_at").items(), "id");
        let ids = column(&items, "id");
        made.iter_mut().for_each(|id| {
            *id = (ids.iter().position(|other| other == id).unwrap() + 1).to_string();
        });
        // At which place each meter is, by creation.
        made.join("")
    };
    assert_eq!(order(""), "2134", "by name, then creation");
    assert_eq!(order("sorting=name"), "2134");
    assert_eq!(order("sorting=created_at"), "1234");
    assert_eq!(order("sorting=-created_at"), "4321");
    assert_eq!(order("sorting=name&sorting=-created_at"), "3124");
    assert_eq!(order("sorting=-name&sorting=created_at"), "2431");
    assert_eq!(order("sorting=-name&sorting=-created_at"), "3421");
}

#[test]
fn names_are_compared_without_case_first() {
    let api = organization();
    for name in ["bbb", "AAA", "aaa", "Zzz", "ccc"] {
        meter(&api, name);
    }
    let names = column(&api.get("/v1/meters/").items(), "name");
    assert_eq!(names, ["AAA", "aaa", "bbb", "ccc", "Zzz"]);
}

#[test]
fn nulls_are_last_ascending_and_first_descending() {
    let api = organization();
    for (email, name) in
        [("a@example.com", Some("b")), ("b@example.com", None), ("c@example.com", Some("a"))]
    {
        api.post("/v1/customers/", &json!({"email": email, "name": name})).expect(201);
    }
    let order = |sorting: &str| {
        let items = api.get(&format!("/v1/customers/?sorting={sorting}")).items();
        column(&items, "email").iter().map(|email| email[..1].to_owned()).collect::<String>()
    };
    assert_eq!(order("name"), "cab");
    assert_eq!(order("-name"), "bac");
    assert_eq!(order("email"), "abc");
    assert_eq!(order("-email"), "cba");
}

#[test]
fn events_of_one_instant_are_in_the_order_of_ingestion_in_the_direction_of_the_sort() {
    let api = organization();
    let time = "2024-01-01T00:00:00Z";
    let batch = |names: std::ops::Range<u32>| {
        let events = names.map(
            |n| json!({"name": n.to_string(), "external_customer_id": "c", "timestamp": time}),
        );
        api.ingest(&json!(events.collect::<Vec<_>>()));
    };
    batch(0..7);
    batch(7..9);
    batch(9..25);
    let all = |sorting: &str, limit: usize| {
        let mut names = Vec::new();
        for page in 1..=25_usize.div_ceil(limit) {
            let path = format!("/v1/events/?sorting={sorting}&limit={limit}&page={page}");
            names.extend(column(&api.get(&path).items(), "name"));
        }
        names
    };
    let ascending: Vec<_> = (0..25).map(|n| n.to_string()).collect();
    let mut descending = ascending.clone();
    descending.reverse();
    for limit in [1, 4, 10, 100] {
        assert_eq!(all("timestamp", limit), ascending, "{limit}");
        assert_eq!(all("-timestamp", limit), descending, "{limit}");
    }
    assert_eq!(column(&api.get("/v1/events/?limit=3").items(), "name"), ["24", "23", "22"]);
    // Of several, the first criterion counts.
    let items = api.get("/v1/events/?sorting=timestamp&sorting=-timestamp&limit=2").items();
    assert_eq!(column(&items, "name"), ["0", "1"]);
}

#[test]
fn pages_neither_repeat_nor_lose_rows_with_equal_keys() {
    let api = organization();
    for _ in 0..23 {
        meter(&api, "same");
    }
    for sorting in ["name", "-name", "created_at", "-created_at"] {
        let mut ids = Vec::new();
        for number in 1..=5 {
            let path = format!("/v1/meters/?sorting={sorting}&limit=5&page={number}");
            ids.extend(column(&api.get(&path).items(), "id"));
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 23, "{sorting}");
    }
}
