//! Makes an organization and a token that can only ingest.
//!
//! It takes `FLOE_URL` and, as `FLOE_TOKEN`, the root token. The argument is the slug.

use std::time::Duration;

use floe_client::{
    Client, Error, EventCreate, MetersList, OrganizationCreate, OrganizationUpdate, TokenCreate,
    TokenUpdate, TokensList,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let slug = std::env::args().nth(1).ok_or("name a slug")?;
    let root = Client::from_env()?;
    let acme = root.organizations().create(&OrganizationCreate::new("Acme", slug)).await?;
    let renamed = OrganizationUpdate::new().name("Acme Ltd");
    println!("{}", root.organizations().update(acme.id, &renamed).await?.name);

    let token = TokenCreate::new("ingestion", ["events:write"])
        .organization(acme.id)
        .expires_in(Duration::from_secs(90 * 86_400));
    let created = root.tokens().create(&token).await?;
    let token_id = created.organization_access_token.id;

    let client = Client::new(root.url(), &created.token)?;
    client.events().ingest(&[EventCreate::for_external_customer("a", "user-1")]).await?;
    match client.meters().list(&MetersList::new()).await {
        Err(Error::Forbidden { scope: Some(scope), .. }) => println!("it lacks {scope}"),
        other => println!("{other:?}"),
    }
    let more = TokenUpdate::new().scopes(["events:write", "meters:read"]);
    root.tokens().update(token_id, &more).await?;
    println!("{} meters", client.meters().list(&MetersList::new()).await?.items.len());

    let mut tokens = root.tokens().list_all(&TokensList::new().organization(acme.id));
    while let Some(token) = tokens.next().await {
        println!("{}", token?.comment);
    }
    root.tokens().revoke(token_id).await?;
    match client.meters().list(&MetersList::new()).await {
        Err(Error::Unauthorized) => println!("revoked"),
        other => println!("{other:?}"),
    }
    Ok(())
}
