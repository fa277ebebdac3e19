//! What examples find on their servers, if they ask for it.

use floe_client::{
    Aggregation, Client, Customer, CustomerCreate, CustomerMeter, CustomerMetersList, EventCreate,
    Filter, FilterClause, Meter, MeterCreate, TokenCreate,
};

use crate::Outcome;

/// Ingests two events `ai_usage`: `request-1` of `user-1`, with 120 tokens on 1 March 2026, and
/// `request-2` of `user-2`, with 80 tokens on the day after.
///
/// # Errors
///
/// The client's.
pub async fn events(client: &Client) -> Outcome {
    let events = [
        EventCreate::for_external_customer("ai_usage", "user-1")
            .timestamp("2026-03-01T12:00:00Z".parse()?)
            .external_id("request-1")
            .property("tokens", 120)
            .property("model", "small"),
        EventCreate::for_external_customer("ai_usage", "user-2")
            .timestamp("2026-03-02T12:00:00Z".parse()?)
            .external_id("request-2")
            .property("tokens", 80)
            .property("model", "acme-large"),
    ];
    client.events().ingest(&events).await?;
    Ok(())
}

/// Makes the meter `Tokens`: the sum of the tokens of [`events`], which are ingested, too.
///
/// # Errors
///
/// The client's.
pub async fn meter(client: &Client) -> Outcome<Meter> {
    events(client).await?;
    let filter = Filter::and().clause(FilterClause::equal("name", "ai_usage"));
    let meter =
        MeterCreate::new("Tokens", filter, Aggregation::sum("tokens")).metadata([("plan", "pro")]);
    Ok(client.meters().create(&meter).await?)
}

/// Makes the customer Ada, whose external id is `user-1`.
///
/// # Errors
///
/// The client's.
pub async fn ada(client: &Client) -> Outcome<Customer> {
    let ada = CustomerCreate::new("ada@example.com")
        .external_id("user-1")
        .name("Ada")
        .metadata([("plan", "pro")]);
    Ok(client.customers().create(&ada).await?)
}

/// What [`ada`] consumed of [`meter`], all of which are made.
///
/// # Errors
///
/// The client's.
pub async fn customer_meter(client: &Client) -> Outcome<CustomerMeter> {
    meter(client).await?;
    ada(client).await?;
    let page = client.customer_meters().list(&CustomerMetersList::new()).await?;
    page.items.into_iter().next().ok_or_else(|| "there is no customer meter".into())
}

/// Makes one more token of the client's organization, that may read and write meters.
///
/// # Errors
///
/// The client's.
pub async fn new_token(client: &Client) -> Outcome<String> {
    let token = TokenCreate::new("one more", ["meters:read", "meters:write"]);
    Ok(client.tokens().create(&token).await?.token)
}
