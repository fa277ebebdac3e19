//! Ingests in the background, with a spool in the folder that is the argument.
//!
//! It takes `FLOE_URL` and `FLOE_TOKEN`, a token of an organization.

use std::time::Duration;

use floe_client::{Client, Cost, EventCreate, EventsList, IngestorOptions, Llm, Retries};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("name a folder")?;
    let client = Client::from_env()?
        .with_timeout(Duration::from_secs(10))
        .with_retries(Retries::new().attempts(6));
    let ingestor = IngestorOptions::new()
        .batch_events(100)
        .batch_time(Duration::from_millis(50))
        .spool(folder)
        .start(&client)?;
    println!("{} of the last run", ingestor.recovered());
    for n in 0..250 {
        let event = EventCreate::for_external_customer("completion", format!("user-{}", n % 2))
            .property("_cost", Cost::usd("0.0125")?)
            .property("_llm", Llm::new("acme", "acme-large", n, 1));
        ingestor.send(event).await?;
    }
    // An event that the server refuses does not hold the others up.
    ingestor.send(EventCreate::for_external_customer("x".repeat(129), "user-1")).await?;
    let flushed = ingestor.close().await?;
    println!("{} new, {} refused", flushed.inserted, flushed.refused_total);
    for refused in &flushed.refused {
        println!("{}", refused.reason);
    }

    let mut events = client.events().list_all(&EventsList::new().name("completion").limit(100));
    let mut count = 0;
    while let Some(event) = events.next().await {
        event?;
        count += 1;
    }
    println!("{count} listed");
    Ok(())
}
