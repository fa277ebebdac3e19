//! Meters a day's events: ingests some, makes a meter, and asks for quantities.
//!
//! It takes `FLOE_URL` and `FLOE_TOKEN`, a token of an organization.

use floe_client::{
    Aggregation, Client, EventCreate, Filter, FilterClause, Interval, MeterCreate, MeterUpdate,
    MetersList, Quantities,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let at = |text: &str| text.parse();
    let events = [
        EventCreate::for_external_customer("ai_usage", "user-1")
            .timestamp(at("2026-03-01T09:00:00Z")?)
            .external_id("request-1")
            .property("tokens", 120)
            .property("model", "small"),
        EventCreate::for_external_customer("ai_usage", "user-1")
            .timestamp(at("2026-03-02T09:00:00Z")?)
            .external_id("request-2")
            .property("tokens", 80)
            .property("model", "acme-large"),
        EventCreate::for_external_customer("ai_usage", "user-2")
            .timestamp(at("2026-03-02T10:00:00Z")?)
            .external_id("request-3")
            .property("tokens", 5)
            .property("model", "test"),
    ];
    let ingested = client.events().ingest(&events).await?;
    println!("{} new, {} known", ingested.inserted, ingested.duplicates);

    let filter = Filter::and().clause(FilterClause::equal("name", "ai_usage")).nest(
        Filter::or()
            .clause(FilterClause::greater("tokens", 100))
            .clause(FilterClause::like("model", "-large")),
    )?;
    let meter = client
        .meters()
        .create(&MeterCreate::new("Large requests", filter, Aggregation::sum("tokens")))
        .await?;

    let (start, end) = (at("2026-03-01T00:00:00Z")?, at("2026-03-02T23:59:59Z")?);
    let days = Quantities::new(start, end, Interval::Day);
    let answer = client.meters().quantities(meter.id, &days).await?;
    for day in &answer.quantities {
        println!("{} {}", day.timestamp, day.quantity);
    }
    println!("total {}", answer.total);

    let meter = client.meters().update(meter.id, &MeterUpdate::new().name("Large")).await?;
    let mut meters = client.meters().list_all(&MetersList::new().is_archived(false));
    while let Some(found) = meters.next().await {
        println!("{}", found?.name);
    }
    assert!(client.meters().archive(meter.id).await?.archived_at.is_some());
    Ok(())
}
