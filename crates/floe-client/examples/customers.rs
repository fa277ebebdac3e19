//! Makes a customer, credits units to it, and shows what is left of them.
//!
//! It takes `FLOE_URL` and `FLOE_TOKEN`, a token of an organization.

use floe_client::{
    Address, Aggregation, Client, CreditCreate, CustomerCreate, CustomerDelete, CustomerMetersList,
    CustomerUpdate, Error, EventCreate, EventTypeUpdate, EventTypesList, Filter, FilterClause,
    Metadata, MeterCreate,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let ada = CustomerCreate::new("ada@example.com")
        .external_id("user-1")
        .name("Ada")
        .billing_address(Address::new("GB").city("London"))
        .metadata(Metadata::new().with("plan", "pro"));
    let ada = client.customers().create(&ada).await?;

    let filter = Filter::and().clause(FilterClause::equal("name", "upload"));
    let meter = MeterCreate::new("Uploads", filter, Aggregation::sum("bytes")).custom_unit("B");
    client.meters().create(&meter).await?;
    let event = EventCreate::for_customer("upload", ada.id).property("bytes", 300);
    client.events().ingest(&[event]).await?;

    let list = CustomerMetersList::new().external_customer_id("user-1");
    for found in client.customer_meters().list(&list).await?.items {
        let credit = CreditCreate::new(1000).external_id("invoice-1");
        client.customer_meters().credit(found.id, &credit).await?;
        // The same credit again counts once.
        let found = client.customer_meters().credit(found.id, &credit).await?;
        println!("{}: {} of {} left", found.meter.name, found.balance, found.credited_units);
        let found = client.customer_meters().reset(found.id).await?;
        println!("{}: {} left", found.meter.name, found.balance);
    }

    for found in client.event_types().list(&EventTypesList::new().query("upload")).await?.items {
        if let Some(id) = found.id {
            let labelled = client.event_types().update(id, &EventTypeUpdate::new("Upload")).await?;
            println!("{} is called {}", labelled.name, labelled.label);
        }
    }

    // A second one cannot have the same address.
    match client.customers().create(&CustomerCreate::new("ADA@example.com")).await {
        Err(Error::Validation(violations)) => println!("{}", violations[0]),
        other => println!("{other:?}"),
    }
    let unnamed = CustomerUpdate::new().name(None);
    let ada = client.customers().update_external("user-1", &unnamed).await?;
    assert_eq!(ada.name, None);
    println!("{} meters", client.customers().state(ada.id).await?.active_meters.len());
    client.customers().delete(ada.id, CustomerDelete::Anonymize).await?;
    match client.customers().get_external("user-1").await {
        Err(Error::NotFound { .. }) => println!("gone"),
        other => println!("{other:?}"),
    }
    Ok(())
}
