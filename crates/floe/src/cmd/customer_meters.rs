//! `floe customer-meters`.

use floe_client::{Client, CreditCreate, CustomerMeter, CustomerMetersList, Uuid};

use crate::arguments::{CustomersArgument, confirm};
use crate::cmd::{customers, meters};
use crate::connection::{Connection, Failure, every, organization_id};
use crate::exit;
use crate::output::{Column, Output, visible};

/// Show what customers consumed and were credited on meters, credit them, begin anew.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum CustomerMeters {
    /// List customer meters, the last changed first.
    List {
        #[command(flatten)]
        customers: CustomersArgument,
        /// Only of this meter, by its id or name; may repeat
        #[arg(long)]
        meter: Vec<String>,
        /// Only this organization's
        #[arg(long, value_name = "SLUG_OR_ID")]
        organization: Option<String>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
    /// Credit units to a customer on a meter.
    Credit {
        #[command(flatten)]
        which: Which,
        /// How many; below 0 takes some back
        #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
        units: i32,
        /// Carry over what is left of them when the meter is reset
        #[arg(long)]
        rollover: bool,
        /// Your own id of the credit: what has one counts once, however often it is sent
        #[arg(long, value_name = "ID")]
        external_id: Option<String>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
    /// Begin a new period: nothing consumed, nothing credited but what is carried over.
    Reset {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
}

/// One customer meter: by its id, or by customer and meter.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Which {
    /// The customer meter's id
    #[arg(conflicts_with_all = ["customer", "meter"], required_unless_present = "customer")]
    id: Option<Uuid>,
    /// The customer, by its id or external id
    #[arg(long, requires = "meter")]
    customer: Option<String>,
    /// The meter, by its id or name
    #[arg(long, requires = "customer")]
    meter: Option<String>,
}

impl Which {
    async fn find(self, client: &Client) -> Result<CustomerMeter, Failure> {
        let Self { id, customer, meter } = self;
        if let Some(id) = id {
            return Ok(client.customer_meters().get(id).await?);
        }
        let (Some(customer), Some(meter)) = (customer, meter) else {
            return Err(exit::usage("name a customer meter, or --customer and --meter").into());
        };
        let customer = customers::find(client, &customer).await?;
        let meter = meters::find(client, &meter).await?;
        let list = CustomerMetersList::new().customer_id(customer.id).meter_id(meter.id);
        let found = client.customer_meters().list(&list).await?.items.into_iter().next();
        found.ok_or_else(|| {
            Failure::NotThere(format!(
                "the customer {} and the meter {} are of different organizations",
                customer.id, meter.id
            ))
        })
    }
}

impl CustomerMeters {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List { customers, meter, organization, output, connection } => {
                let found = connection.run(async |client| {
                    let mut list = CustomerMetersList::new();
                    for id in customers.external_ids {
                        list = list.external_customer_id(id);
                    }
                    for id in customers.ids {
                        list = list.customer_id(id);
                    }
                    for meter in meter {
                        list = list.meter_id(meters::find(client, &meter).await?.id);
                    }
                    if let Some(organization) = organization {
                        list = list.organization(organization_id(client, &organization).await?);
                    }
                    every(async |page| {
                        client.customer_meters().list(&list.clone().page(page)).await
                    })
                    .await
                })?;
                output.print(&found, &found, &columns())
            }
            Self::Credit { which, units, rollover, external_id, output, connection } => {
                // With an id of its own a credit can be sent again if the answer is lost.
                let external_id = external_id.unwrap_or_else(|| Uuid::new_v4().to_string());
                let credit = CreditCreate::new(units).rollover(rollover).external_id(external_id);
                let meter = connection.run(async |client| {
                    let id = which.find(client).await?.id;
                    Ok(client.customer_meters().credit(id, &credit).await?)
                })?;
                show(output, &meter)
            }
            Self::Reset { which, yes, output, connection } => {
                let meter = connection.run(async |client| {
                    let found = which.find(client).await?;
                    let question = format!(
                        "Reset `{}` of the customer {}, with a balance of {}?",
                        visible(&found.meter.name),
                        visible(&customer_name(&found)),
                        found.balance
                    );
                    confirm(&question, yes)?;
                    Ok(client.customer_meters().reset(found.id).await?)
                })?;
                show(output, &meter)
            }
        }
    }
}

fn customer_name(meter: &CustomerMeter) -> String {
    let customer = &meter.customer;
    let name = customer.external_id.clone().or_else(|| customer.email.clone());
    name.unwrap_or_else(|| customer.id.to_string())
}

fn columns() -> [Column<'static, CustomerMeter>; 6] {
    [
        Column::new("ID", |meter: &CustomerMeter| meter.id.to_string()),
        Column::new("CUSTOMER", customer_name),
        Column::new("METER", |meter: &CustomerMeter| meter.meter.name.clone()),
        Column::new("CONSUMED", |meter: &CustomerMeter| meter.consumed_units),
        Column::new("CREDITED", |meter: &CustomerMeter| meter.credited_units),
        Column::new("BALANCE", |meter: &CustomerMeter| meter.balance),
    ]
}

fn show(output: Output, meter: &CustomerMeter) -> anyhow::Result<()> {
    output.print(meter, std::slice::from_ref(meter), &columns())
}
