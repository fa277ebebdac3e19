//! `floe customers`.

use floe_client::{
    Client, Customer, CustomerCreate, CustomerDelete, CustomerState, CustomerStateMeter,
    CustomerUpdate, CustomersList, Error, Metadata, MetadataValue, Uuid,
};

use crate::arguments::{confirm, key_value};
use crate::connection::{Connection, Failure, every, organization_id};
use crate::output::{Column, Output, print, visible};

/// Make, show and change customers.
///
/// A CUSTOMER is its id or its external id. Events count for an external id without a customer,
/// too; a customer gives it a name, an address and credits.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Customers {
    /// Make a customer. Events of its external id are its own, earlier ones too.
    Create {
        /// Its e-mail address
        email: String,
        /// Your own id of the customer
        #[arg(long, value_name = "ID")]
        external_id: Option<String>,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        /// Metadata of the customer; may repeat
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        metadata: Vec<(String, MetadataValue)>,
        /// Whose customer it is; needed with the root token
        #[arg(long, value_name = "SLUG_OR_ID")]
        organization: Option<String>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show a customer.
    Get {
        /// Its id or external id
        customer: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show what a customer consumed and was credited on each meter.
    State {
        /// Its id or external id
        customer: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
    /// List customers, newest first.
    List {
        /// Only those with this text in name or e-mail address, or at the start of the external id
        #[arg(long, value_name = "TEXT")]
        query: Option<String>,
        /// Only the one with this e-mail address
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// Only those with this in their metadata; may repeat
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        metadata: Vec<(String, MetadataValue)>,
        /// Only this organization's
        #[arg(long, value_name = "SLUG_OR_ID")]
        organization: Option<String>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
    /// Change a customer.
    Update {
        /// Its id or external id
        customer: String,
        /// Its new e-mail address
        #[arg(long)]
        email: Option<String>,
        /// What people are to call it; empty for nothing
        #[arg(long)]
        name: Option<String>,
        /// Your own id of the customer, if it has none yet
        #[arg(long, value_name = "ID")]
        external_id: Option<String>,
        /// Metadata in place of all that it has; may repeat
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        metadata: Vec<(String, MetadataValue)>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
    /// Delete a customer. Its events stay and count.
    Delete {
        /// Its id or external id
        customer: String,
        /// Replace its e-mail address and name by hashes
        #[arg(long)]
        anonymize: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

/// The customer with an id or an external id.
pub(crate) async fn find(client: &Client, customer: &str) -> Result<Customer, Failure> {
    let mut found = Err(Error::NotFound { detail: String::new() });
    if let Ok(id) = customer.parse::<Uuid>() {
        found = client.customers().get(id).await;
    }
    if matches!(found, Err(Error::NotFound { .. })) {
        found = client.customers().get_external(customer).await;
    }
    match found {
        Err(Error::NotFound { .. }) => Err(Failure::NotThere(format!(
            "there is no customer `{customer}`; `floe customers list` shows those there are"
        ))),
        found => Ok(found?),
    }
}

impl Customers {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create {
                email,
                external_id,
                name,
                metadata,
                organization,
                output,
                connection,
            } => {
                let mut create = CustomerCreate::new(email);
                if let Some(id) = external_id {
                    create = create.external_id(id);
                }
                if let Some(name) = name {
                    create = create.name(name);
                }
                if !metadata.is_empty() {
                    create = create.metadata(metadata.into_iter().collect::<Metadata>());
                }
                let customer = connection.run(async |client| {
                    if let Some(organization) = organization {
                        create = create.organization(organization_id(client, &organization).await?);
                    }
                    Ok(client.customers().create(&create).await?)
                })?;
                show(output, &customer)
            }
            Self::Get { customer, output, connection } => {
                let customer = connection.run(async |client| find(client, &customer).await)?;
                show(output, &customer)
            }
            Self::State { customer, output, connection } => {
                let state = connection.run(async |client| {
                    let id = find(client, &customer).await?.id;
                    Ok(client.customers().state(id).await?)
                })?;
                show_state(output, &state)
            }
            Self::List { query, email, metadata, organization, output, connection } => {
                let customers = connection.run(async |client| {
                    let mut list = CustomersList::new();
                    if let Some(query) = query {
                        list = list.query(query);
                    }
                    if let Some(email) = email {
                        list = list.email(email);
                    }
                    for (key, value) in metadata {
                        list = list.metadata(key, value);
                    }
                    if let Some(organization) = organization {
                        list = list.organization(organization_id(client, &organization).await?);
                    }
                    every(async |page| client.customers().list(&list.clone().page(page)).await)
                        .await
                })?;
                output.print(&customers, &customers, &columns())
            }
            Self::Update { customer, email, name, external_id, metadata, output, connection } => {
                let mut update = CustomerUpdate::new();
                if let Some(email) = email {
                    update = update.email(email);
                }
                if let Some(name) = name {
                    update = update.name(Some(name.as_str()).filter(|name| !name.is_empty()));
                }
                if let Some(id) = external_id {
                    update = update.external_id(id);
                }
                if !metadata.is_empty() {
                    update = update.metadata(metadata.into_iter().collect::<Metadata>());
                }
                let customer = connection.run(async |client| {
                    let id = find(client, &customer).await?.id;
                    Ok(client.customers().update(id, &update).await?)
                })?;
                show(output, &customer)
            }
            Self::Delete { customer, anonymize, yes, connection } => {
                let deleted = connection.run(async |client| {
                    let found = find(client, &customer).await?;
                    confirm(&format!("Delete the customer {}?", described(&found)), yes)?;
                    let how =
                        if anonymize { CustomerDelete::Anonymize } else { CustomerDelete::Keep };
                    client.customers().delete(found.id, how).await?;
                    Ok(found)
                })?;
                print(&format!("Deleted the customer {}.", described(&deleted)))
            }
        }
    }
}

fn described(customer: &Customer) -> String {
    let name = customer.external_id.as_ref().or(customer.email.as_ref());
    match name {
        Some(name) => format!("`{}` ({})", visible(name), customer.id),
        None => customer.id.to_string(),
    }
}

fn columns() -> [Column<'static, Customer>; 5] {
    [
        Column::new("ID", |customer: &Customer| customer.id.to_string()),
        Column::new("EXTERNAL ID", |customer: &Customer| customer.external_id.clone()),
        Column::new("EMAIL", |customer: &Customer| customer.email.clone()),
        Column::new("NAME", |customer: &Customer| customer.name.clone()),
        Column::new("CREATED", |customer: &Customer| customer.created_at.to_string()),
    ]
}

fn show(output: Output, customer: &Customer) -> anyhow::Result<()> {
    output.print(customer, std::slice::from_ref(customer), &columns())
}

fn show_state(output: Output, state: &CustomerState) -> anyhow::Result<()> {
    let columns = [
        Column::new("METER", |meter: &CustomerStateMeter| meter.meter_id.to_string()),
        Column::new("CONSUMED", |meter: &CustomerStateMeter| meter.consumed_units),
        Column::new("CREDITED", |meter: &CustomerStateMeter| meter.credited_units),
        Column::new("BALANCE", |meter: &CustomerStateMeter| meter.balance),
    ];
    output.print(state, &state.active_meters, &columns)
}
