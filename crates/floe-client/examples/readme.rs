//! The example of the README: a test sees to it that this is the same.
//!
//! It takes `FLOE_URL` and `FLOE_TOKEN`, a token of an organization.

use floe_client::{
    Aggregation, Client, EventCreate, Filter, FilterClause, Interval, MeterCreate, Quantities,
    Timestamp,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // FLOE_URL, or http://127.0.0.1:7070, and FLOE_TOKEN.
    let client = Client::from_env()?;

    let events = [EventCreate::for_external_customer("ai_usage", "user-1").property("tokens", 120)];
    client.events().ingest(&events).await?;

    let filter = Filter::and().clause(FilterClause::equal("name", "ai_usage"));
    let tokens = MeterCreate::new("Tokens", filter, Aggregation::sum("tokens"));
    let meter = client.meters().create(&tokens).await?;

    let now = Timestamp::now();
    let this_year = Quantities::new(now, now, Interval::Year).external_customer_id("user-1");
    println!("{}", client.meters().quantities(meter.id, &this_year).await?.total);
    Ok(())
}
