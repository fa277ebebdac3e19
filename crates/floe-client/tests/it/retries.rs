//! Calls that are made again, and those that are not.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use floe_client::{
    Aggregation, Client, CreditCreate, CustomerCreate, CustomerDelete, Error, EventCreate, Filter,
    MeterCreate, MeterUpdate, MetersList, Retries, Uuid,
};
use serde_json::json;

use crate::responder::{Responder, Step, ok, status};

const EMPTY_PAGE: &str = r#"{"items":[],"pagination":{"total_count":0,"max_page":0}}"#;
const INGESTED: &str = r#"{"inserted":2,"duplicates":0}"#;

fn passing() -> [Step; 5] {
    [Step::Break, Step::BreakInBody, status(503, ""), status(502, ""), status(504, "")]
}

#[tokio::test]
async fn a_get_is_made_again() {
    for step in passing() {
        let server = Responder::new([step, ok(EMPTY_PAGE)]);
        let page = server.client().meters().list(&MetersList::new()).await.unwrap();
        assert!(page.items.is_empty());
        assert_eq!(server.lines(), ["GET /v1/meters/?limit=100"; 2]);
    }
}

#[tokio::test]
async fn events_are_ingested_again_under_the_same_ids() {
    for step in passing() {
        let server = Responder::new([step.clone(), step, ok(INGESTED)]);
        let events = [
            EventCreate::for_external_customer("a", "x"),
            EventCreate::for_external_customer("a", "x").external_id("own"),
        ];
        assert_eq!(server.client().events().ingest(&events).await.unwrap().inserted, 2);
        let calls = server.calls();
        assert_eq!(calls.len(), 3);
        assert_eq!(calls[0].body, calls[1].body);
        assert_eq!(calls[0].body, calls[2].body);
        let events = &calls[0].body["events"];
        assert!(events[0]["external_id"].as_str().unwrap().len() > 32);
        assert_eq!(events[1]["external_id"], "own");
    }
}

#[tokio::test]
async fn tries_are_counted() {
    let server = Responder::new([status(503, "")]);
    let client = server.client();
    let list = MetersList::new();
    let error = client.meters().list(&list).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(server.calls().len(), 4);
    let once = client.with_retries(Retries::none());
    once.meters().list(&list).await.unwrap_err();
    assert_eq!(server.calls().len(), 5);
    let server = Responder::new([status(500, "")]);
    server.client().meters().list(&list).await.unwrap_err();
    assert_eq!(server.calls().len(), 1, "500 is no passing state");
}

#[tokio::test]
async fn the_wait_that_a_server_names_is_heeded() {
    let server = Responder::new([status(429, "retry-after: 1\r\n"), ok(EMPTY_PAGE)]);
    let began = Instant::now();
    server.client().meters().list(&MetersList::new()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    let server = Responder::new([status(429, "retry-after: 3600\r\n"), ok(EMPTY_PAGE)]);
    let error = server.client().meters().list(&MetersList::new()).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { retry_after: Some(_) }), "too long to wait");
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again() {
    let id = Uuid::from_u128(1);
    for step in passing().into_iter().chain([status(429, "")]) {
        let server = Responder::new([step]);
        let client = server.client();
        let meter = MeterCreate::new("abc", Filter::and(), Aggregation::count());
        client.meters().create(&meter).await.unwrap_err();
        client.meters().update(id, &MeterUpdate::new().name("abc")).await.unwrap_err();
        client.customers().create(&CustomerCreate::new("a@example.com")).await.unwrap_err();
        client.customers().delete(id, CustomerDelete::Keep).await.unwrap_err();
        client.customer_meters().credit(id, &CreditCreate::new(1)).await.unwrap_err();
        client.customer_meters().reset(id).await.unwrap_err();
        assert_eq!(server.calls().len(), 6);
        let credit = CreditCreate::new(1).external_id("i");
        client.customer_meters().credit(id, &credit).await.unwrap_err();
        assert_eq!(server.calls().len(), 10, "with an external id it counts once");
    }
}

#[tokio::test]
async fn a_customer_that_was_made_without_an_answer_is_found() {
    let customer = json!({
        "id": Uuid::from_u128(1), "created_at": "2024-01-01T00:00:00Z", "modified_at": null,
        "metadata": {}, "external_id": "u/1", "email": "a@example.com", "email_verified": false,
        "type": "individual", "name": null, "billing_name": null, "billing_address": null,
        "tax_id": null, "locale": null, "organization_id": Uuid::from_u128(2),
        "default_payment_method_id": null, "deleted_at": null, "first_user_event_at": null,
        "avatar_url": null,
    });
    let taken = json!({"error": "PolarRequestValidationError", "detail": [
        {"type": "value_error", "loc": ["body", "email"], "msg": "A customer …", "input": "…"},
        {"type": "value_error", "loc": ["body", "external_id"], "msg": "A customer …", "input": "…"},
    ]});
    let taken = Step::Answer(422, "", taken.to_string());
    let found = ok(&customer.to_string());
    let ada = CustomerCreate::new("a@EXAMPLE.com").external_id("u/1");
    let server = Responder::new([Step::Break, taken.clone(), found.clone()]);
    let made = server.client().customers().create(&ada).await.unwrap();
    assert_eq!(made.id, Uuid::from_u128(1));
    let post = "POST /v1/customers/";
    assert_eq!(server.lines(), [post, post, "GET /v1/customers/external/u%2F1"]);
    // Another customer has the id.
    let server = Responder::new([Step::Break, taken.clone(), found]);
    let bob = CustomerCreate::new("bob@example.com").external_id("u/1");
    let error = server.client().customers().create(&bob).await.unwrap_err();
    assert_eq!(error.violations().len(), 2);
    // Nothing was lost, so it is taken.
    let server = Responder::new([taken]);
    server.client().customers().create(&ada).await.unwrap_err();
    assert_eq!(server.calls().len(), 1);
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn without_a_connection_everything_is_tried_again() {
    let port = closed_port();
    let retries = Retries::new()
        .attempts(50)
        .first_wait(Duration::from_millis(20))
        .longest_wait(Duration::from_millis(50));
    let client =
        Client::new(format!("http://127.0.0.1:{port}"), "t").unwrap().with_retries(retries);
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let (stream, _) = listener.accept().unwrap();
        drop(stream);
    });
    let meter = MeterCreate::new("abc", Filter::and(), Aggregation::count());
    let error = client.meters().create(&meter).await.unwrap_err();
    // It came as far as the connection, which broke: then it is not tried again.
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    later.join().unwrap();
    let client = client.with_retries(Retries::none());
    let error = client.meters().create(&meter).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
}

#[tokio::test]
async fn a_list_is_read_page_by_page_and_ends_with_an_error() {
    let page = |items: &str, max_page: u32| {
        ok(&format!(
            r#"{{"items":[{items}],"pagination":{{"total_count":3,"max_page":{max_page}}}}}"#
        ))
    };
    let organization = |n: u128| {
        json!({"id": Uuid::from_u128(n), "created_at": "2024-01-01T00:00:00Z", "modified_at": null,
            "name": "a", "slug": format!("s{n}")})
        .to_string()
    };
    let both = format!("{},{}", organization(1), organization(2));
    let list = floe_client::OrganizationsList::new().limit(2);
    let server = Responder::new([page(&both, 2), page(&organization(3), 2)]);
    let client = server.client();
    let mut all = client.organizations().list_all(&list);
    let mut slugs = Vec::new();
    while let Some(found) = all.next().await {
        slugs.push(found.unwrap().slug);
        if slugs.len() == 1 {
            assert_eq!(server.calls().len(), 1, "one page at a time");
        }
    }
    assert_eq!(slugs, ["s1", "s2", "s3"]);
    let path = "GET /v1/organizations/?limit=2&sorting=created_at&page=";
    assert_eq!(server.lines(), [format!("{path}1"), format!("{path}2")]);
    let server = Responder::new([page(&both, 2), status(500, "")]);
    let client = server.client();
    let mut all = client.organizations().list_all(&list);
    assert!(all.next().await.unwrap().is_ok());
    assert!(all.next().await.unwrap().is_ok());
    assert!(matches!(all.next().await, Some(Err(Error::Server { status: 500, .. }))));
    assert!(all.next().await.is_none());
}
