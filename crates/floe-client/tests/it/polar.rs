//! Answers that Polar gave, as they were recorded: the client reads them all.

use floe_client::{
    Aggregation, Client, CreditCreate, Error, EventCreate, EventsList, Filter, Interval,
    MeterCreate, MeterQuantities, MeterUnit, MeterUpdate, MetersList, Quantities, Timestamp, Uuid,
};
use serde_json::{Value, json};

use crate::responder::{Responder, Step, ok, status};

const METER: &str = include_str!("fixtures/meter.json");
/// `{name, meter, query, expected}` a line: meters, and what was answered to a query of theirs.
const QUANTITIES: &str = include_str!("fixtures/quantities.jsonl");
/// `{name, stage, status, response}` a line: bodies of refusals.
const REFUSALS: &str = include_str!("fixtures/refusals.jsonl");

fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn march() -> Quantities {
    Quantities::new(time("2024-03-01T00:00:00Z"), time("2024-03-02T00:00:00Z"), Interval::Day)
}

/// The five functions, against one answer each.
async fn all_five(client: &Client) -> [Result<(), Error>; 5] {
    let id = Uuid::from_u128(1);
    let meters = client.meters();
    let create = MeterCreate::new("abc", Filter::and(), Aggregation::count());
    [
        meters.create(&create).await.map(drop),
        meters.get(id).await.map(drop),
        meters.list(&MetersList::new()).await.map(drop),
        meters.quantities(id, &march()).await.map(drop),
        meters.update(id, &MeterUpdate::new().name("abc")).await.map(drop),
    ]
}

#[tokio::test]
async fn the_five_functions_read_recorded_answers() {
    let page = format!(r#"{{"items":[{METER}],"pagination":{{"total_count":1,"max_page":1}}}}"#);
    let quantities = lines(QUANTITIES).next().unwrap()["expected"].to_string();
    let steps =
        [Step::Answer(201, "", METER.to_owned()), ok(METER), ok(&page), ok(&quantities), ok(METER)];
    let polar = Responder::new(steps);
    let client = polar.client();
    let id = Uuid::parse_str("a8ea8fc6-0a41-4545-90b9-11be3a6eaaac").unwrap();
    let meters = client.meters();
    let create = MeterCreate::new("abc", Filter::and(), Aggregation::unique("u"))
        .metadata([("k", "v")])
        .custom_unit("GB");
    let meter = meters.create(&create).await.unwrap();
    assert_eq!(meter.id, id);
    assert_eq!(meter.created_at, time("2026-11-23T02:27:38.96678Z"));
    assert_eq!([meter.modified_at, meter.archived_at], [None, None]);
    assert_eq!(meter.unit, MeterUnit::Scalar);
    assert_eq!(meter.aggregation, Aggregation::unique("u"));
    let written = serde_json::to_value(&meter).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(METER).unwrap(), "nothing is lost");
    assert_eq!(meters.get(id).await.unwrap(), meter);
    let list = MetersList::new().query("a b").is_archived(true).metadata("k", "v").limit(5).page(2);
    let page = meters.list(&list).await.unwrap();
    assert_eq!(page.items, std::slice::from_ref(&meter));
    assert_eq!((page.pagination.total_count, page.pagination.max_page), (1, 1));
    let query = march().timezone("Europe/Berlin").external_customer_id("a").metadata("m", 7);
    meters.quantities(id, &query).await.unwrap();
    let update = MeterUpdate::new().custom_label(None).is_archived(false);
    assert_eq!(meters.update(id, &update).await.unwrap(), meter);
    let path = "/v1/meters/a8ea8fc6-0a41-4545-90b9-11be3a6eaaac";
    assert_eq!(
        polar.lines(),
        [
            "POST /v1/meters/".to_owned(),
            format!("GET {path}"),
            "GET /v1/meters/?query=a+b&is_archived=true&metadata%5Bk%5D=v&limit=5&page=2"
                .to_owned(),
            format!(
                "GET {path}/quantities?start_timestamp=2024-03-01T00%3A00%3A00Z\
                 &end_timestamp=2024-03-02T00%3A00%3A00Z&interval=day&timezone=Europe%2FBerlin\
                 &external_customer_id=a&metadata%5Bm%5D=7"
            ),
            format!("PATCH {path}"),
        ]
    );
    let calls = polar.calls();
    assert_eq!(
        calls[0].body,
        json!({
            "name": "abc", "unit": "custom", "custom_label": "GB", "metadata": {"k": "v"},
            "filter": {"conjunction": "and", "clauses": []},
            "aggregation": {"func": "unique", "property": "u"},
        })
    );
    assert!(calls[0].headers.contains("authorization: bearer token"));
    assert_eq!(calls[4].body, json!({"custom_label": null, "is_archived": false}));
}

#[tokio::test]
async fn every_recorded_quantity_filter_and_aggregation_is_read() {
    let mut count = 0;
    for line in lines(QUANTITIES) {
        let (meter, expected) = (&line["meter"], &line["expected"]);
        let filter: Filter = serde_json::from_value(meter["filter"].clone()).unwrap();
        assert_eq!(serde_json::to_value(&filter).unwrap(), meter["filter"], "{}", line["name"]);
        let aggregation: Aggregation =
            serde_json::from_value(meter["aggregation"].clone()).unwrap();
        assert_eq!(serde_json::to_value(&aggregation).unwrap(), meter["aggregation"]);
        let interval: Interval = line["query"]["interval"].as_str().unwrap().parse().unwrap();
        let polar = Responder::new([ok(&expected.to_string())]);
        let query = Quantities::new(
            time(line["query"]["start_timestamp"].as_str().unwrap()),
            time(line["query"]["end_timestamp"].as_str().unwrap()),
            interval,
        );
        let client = polar.client();
        let answer: MeterQuantities =
            client.meters().quantities(Uuid::from_u128(1), &query).await.unwrap();
        assert_eq!(serde_json::to_value(&answer).unwrap(), *expected, "{}", line["name"]);
        count += 1;
    }
    assert!(count > 50, "{count} lines");
}

#[tokio::test]
async fn every_recorded_refusal_is_a_list_of_violations() {
    for line in lines(REFUSALS) {
        let code = u16::try_from(line["status"].as_u64().unwrap()).unwrap();
        let polar = Responder::new([Step::Answer(code, "", line["response"].to_string())]);
        for result in all_five(&polar.client()).await {
            let Err(Error::Validation(violations)) = result else { panic!("{line}: {result:?}") };
            let written = serde_json::to_value(&violations).unwrap();
            let expected = line["response"]["detail"].as_array().unwrap();
            for (violation, expected) in written.as_array().unwrap().iter().zip(expected) {
                for key in ["loc", "msg", "type", "input"] {
                    assert_eq!(violation[key], expected[key], "{line}");
                }
            }
            assert_eq!(violations.len(), expected.len());
        }
        assert_eq!(polar.calls().len(), 5, "a refusal is no reason to ask again");
    }
}

#[tokio::test]
async fn every_error_of_polar_has_its_variant() {
    let check = async |step: Step, is_it: fn(&Error) -> bool| {
        let polar = Responder::new([step.clone()]);
        let client = polar.client().with_retries(floe_client::Retries::none());
        for result in all_five(&client).await {
            let error = result.unwrap_err();
            assert!(is_it(&error), "{step:?}: {error:?}");
        }
    };
    let answer = |status, headers, body: &str| Step::Answer(status, headers, body.to_owned());
    check(answer(401, "", r#"{"error":"Unauthorized","detail":"Unauthorized"}"#), |error| {
        matches!(error, Error::Unauthorized)
    })
    .await;
    let oauth = r#"{"error": "invalid_token", "error_description": "The access token provided is expired, revoked, malformed, or invalid for other reasons."}"#;
    check(answer(401, "", oauth), |error| matches!(error, Error::Unauthorized)).await;
    let oauth = r#"{"error": "insufficient_scope", "error_description": "The request requires higher privileges than provided by the access token."}"#;
    let challenge = "www-authenticate: Bearer realm=\"polar\", scope=\"meters:read meters:write\", error=\"insufficient_scope\"\r\n";
    check(answer(403, challenge, oauth), |error| {
        matches!(error, Error::Forbidden { scope: Some(scope), detail }
            if scope == "meters:read meters:write" && detail.starts_with("The request requires"))
    })
    .await;
    check(
        answer(403, "", r#"{"error":"NotPermitted","detail":"No."}"#),
        |error| matches!(error, Error::Forbidden { scope: None, detail } if detail == "No"),
    )
    .await;
    check(
        answer(404, "", r#"{"error":"ResourceNotFound","detail":"Not found"}"#),
        |error| matches!(error, Error::NotFound { detail } if detail == "Not found"),
    )
    .await;
    let large = r#"{"error":"RequestBodyTooLarge","detail":"Request body exceeded the maximum allowed size of 10485760 bytes."}"#;
    check(answer(413, "", large), |error| matches!(error, Error::PayloadTooLarge { .. })).await;
    check(status(429, "retry-after: 17\r\n"), |error| {
        matches!(error, Error::RateLimited { retry_after: Some(wait) } if wait.as_secs() == 17)
    })
    .await;
    check(
        status(500, "x-request-id: r1\r\n"),
        |error| matches!(error, Error::Server { status: 500, request_id: Some(id) } if id == "r1"),
    )
    .await;
    check(status(503, ""), |error| matches!(error, Error::Unavailable { .. })).await;
    check(Step::Break, |error| matches!(error, Error::Transport { .. })).await;
    check(ok("[]"), |error| matches!(error, Error::Unexpected { .. })).await;
    check(
        status(307, "location: /v1/meters\r\n"),
        |error| matches!(error, Error::Unexpected { detail, .. } if detail.contains("/v1/meters")),
    )
    .await;
}

#[tokio::test]
async fn an_event_of_polars_own_is_read() {
    let event = json!({
        "id": Uuid::from_u128(1), "timestamp": "2024-01-01T00:00:00.123000Z",
        "organization_id": Uuid::from_u128(2), "customer_id": null, "customer": null,
        "external_customer_id": null, "member_id": null, "external_member_id": null,
        "child_count": 0, "parent_id": null, "label": "Customer Updated",
        "name": "customer.updated", "source": "system",
        "metadata": {"customer_id": "x", "customer_name": null, "updated_fields": {"name": "a"}},
    });
    let page = json!({"items": [event], "pagination": {"total_count": 1, "max_page": 1}});
    let polar = Responder::new([ok(&page.to_string())]);
    let client = polar.client();
    let filter = Filter::and();
    let events = client.events().list(&EventsList::new().filter(&filter)).await.unwrap();
    assert_eq!(serde_json::to_value(&events.items[0]).unwrap(), event);
    assert_eq!(
        polar.lines(),
        [
            "GET /v1/events/?filter=%7B%22conjunction%22%3A%22and%22%2C%22clauses%22%3A%5B%5D%7D&limit=100"
        ]
    );
    // Of older servers: no count of duplicates.
    let polar = Responder::new([ok(r#"{"inserted":1}"#)]);
    let event = EventCreate::for_external_customer("a", "x");
    let ingested = polar.client().events().ingest(&[event]).await.unwrap();
    assert_eq!((ingested.inserted, ingested.duplicates), (1, 0));
    let missing = r#"{"detail":"Not Found"}"#;
    let polar = Responder::new([Step::Answer(404, "", missing.to_owned())]);
    let client = polar.client();
    let credit = client.customer_meters().credit(Uuid::from_u128(1), &CreditCreate::new(1)).await;
    assert!(matches!(credit, Err(Error::NotFound { .. })), "Polar has no such call");
}
