//! `floe meters`.

use anyhow::anyhow;
use clap::builder::PossibleValuesParser;
use floe_client::{
    AggregationFunction, Client, Error, Filter, Interval, MetadataValue, Meter, MeterCreate,
    MeterCustomer, MeterCustomers, MeterQuantities, MeterQuantity, MeterUpdate, MetersList,
    Quantities, Uuid,
};

use crate::arguments::{
    AggregationArgument, CustomersArgument, filter, interval_names, key_value, show_aggregation,
    show_filter,
};
use crate::connection::{Connection, Failure, every, first, organization_id};
use crate::instant::Range;
use crate::output::{Column, Output, print, visible};

/// Make meters, and ask how much they counted.
///
/// A METER is its id or its exact name.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Meters {
    /// Make a meter. It counts what was there before it, too.
    Create(Create),
    /// Show a meter.
    Get {
        /// Its id or name
        meter: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
    /// List meters, by name.
    List(List),
    /// Show how much a meter counted, per hour, day, week, month or year.
    ///
    /// All intervals that the range touches are shown, and counted whole.
    Quantities(QuantitiesOf),
    /// Show how much of a meter's count each customer has, the greatest first.
    Customers(CustomersOf),
    /// Change a meter. The filter and the aggregation can change until something was counted.
    Update(Update),
    /// Take a meter out of lists. It still counts.
    Archive {
        /// Its id or name
        meter: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Put an archived meter back.
    Unarchive {
        /// Its id or name
        meter: String,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// What people call it
    name: String,
    /// Which events count, such as 'name = "chat" and tokens > 100'; JSON will do too [default: all]
    #[arg(long = "where", value_name = "FILTER", value_parser = filter)]
    filter: Option<Filter>,
    #[command(flatten)]
    aggregation: AggregationArgument,
    #[command(flatten)]
    unit: UnitArgument,
    /// Metadata of the meter; may repeat
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, MetadataValue)>,
    /// Whose meter it is; needed with the root token
    #[arg(long, value_name = "SLUG_OR_ID")]
    organization: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// What quantities are, for those who show them.
#[derive(Debug, Clone, clap::Args)]
struct UnitArgument {
    /// What a quantity is [default: scalar]
    #[arg(long, value_parser = PossibleValuesParser::new(["scalar", "token", "custom"]))]
    unit: Option<String>,
    /// What the unit `custom` is called
    #[arg(long, value_name = "TEXT")]
    custom_label: Option<String>,
    /// What quantities are divided by where they are shown, for the unit `custom`
    #[arg(long, value_name = "NUMBER")]
    custom_multiplier: Option<i64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those with this text in the name
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
    /// Only archived ones
    #[arg(long, conflicts_with = "all")]
    archived: bool,
    /// Archived ones too
    #[arg(long)]
    all: bool,
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
}

#[derive(Debug, clap::Args)]
pub(crate) struct QuantitiesOf {
    /// The meter's id or name
    meter: String,
    /// The length of what is counted together
    #[arg(long, default_value = "day", value_parser = interval_names())]
    interval: String,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    customers: CustomersArgument,
    /// Count each customer apart, and make one number of theirs with this function
    #[arg(long, value_name = "FUNCTION", value_parser = PossibleValuesParser::new(
        AggregationFunction::ALL.iter().map(|function| function.as_str())
    ))]
    customer_aggregation: Option<String>,
    /// Only of events with this in their metadata; may repeat
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, MetadataValue)>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CustomersOf {
    /// The meter's id or name
    meter: String,
    #[command(flatten)]
    range: Range,
    /// Only customers with this text in name or e-mail address, or at the start of the external id
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
    /// Only of events with this in their metadata; may repeat
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, MetadataValue)>,
    /// How many to show, at most
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// The meter's id or name
    meter: String,
    /// What people are to call it
    #[arg(long)]
    name: Option<String>,
    /// Which events are to count
    #[arg(long = "where", value_name = "FILTER", value_parser = filter)]
    filter: Option<Filter>,
    #[command(flatten)]
    aggregation: AggregationArgument,
    #[command(flatten)]
    unit: UnitArgument,
    /// Metadata in place of all that it has; may repeat
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, MetadataValue)>,
    /// Take all metadata away
    #[arg(long, conflicts_with = "metadata")]
    no_metadata: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

impl Meters {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(create) => create.run(),
            Self::Get { meter, output, connection } => {
                let meter = connection.run(async |client| find(client, &meter).await)?;
                show(output, &meter)
            }
            Self::List(list) => list.run(),
            Self::Quantities(quantities) => quantities.run(),
            Self::Customers(customers) => customers.run(),
            Self::Update(update) => update.run(),
            Self::Archive { meter, connection } => {
                let meter = connection.run(async |client| {
                    Ok(client.meters().archive(find(client, &meter).await?.id).await?)
                })?;
                print(&format!("Archived the meter `{}` ({}).", visible(&meter.name), meter.id))
            }
            Self::Unarchive { meter, connection } => {
                let meter = connection.run(async |client| {
                    Ok(client.meters().unarchive(find(client, &meter).await?.id).await?)
                })?;
                print(&format!("The meter `{}` ({}) is back.", visible(&meter.name), meter.id))
            }
        }
    }
}

/// The meter with an id or, exactly, a name.
pub(crate) async fn find(client: &Client, meter: &str) -> Result<Meter, Failure> {
    if let Ok(id) = meter.parse::<Uuid>() {
        return Ok(client.meters().get(id).await?);
    }
    // `%` and `_` would stand for other characters.
    let pattern = meter.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    let list = MetersList::new().query(&pattern);
    let mut found =
        every(async |page| client.meters().list(&list.clone().page(page)).await).await?;
    found.retain(|found| found.name == meter);
    // Of two with a name, the one in use is meant.
    if found.len() > 1 && found.iter().filter(|meter| meter.archived_at.is_none()).count() == 1 {
        found.retain(|meter| meter.archived_at.is_none());
    }
    let ids = found.iter().map(|meter| meter.id.to_string()).collect::<Vec<_>>().join(", ");
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(meter), None) => Ok(meter),
        (Some(_), Some(_)) => Err(anyhow!(
            "there are several meters of the name `{meter}`; say which by its id: {ids}"
        )
        .into()),
        _ => Err(Failure::NotThere(format!(
            "there is no meter `{meter}`; `floe meters list` shows those there are"
        ))),
    }
}

fn show(output: Output, meter: &Meter) -> anyhow::Result<()> {
    output.print(meter, std::slice::from_ref(meter), &columns())
}

fn columns() -> [Column<'static, Meter>; 6] {
    [
        Column::new("ID", |meter: &Meter| meter.id.to_string()),
        Column::new("NAME", |meter: &Meter| meter.name.clone()),
        Column::new("WHERE", |meter: &Meter| show_filter(&meter.filter)),
        Column::new("AGGREGATION", |meter: &Meter| show_aggregation(&meter.aggregation)),
        Column::new("CREATED", |meter: &Meter| meter.created_at.to_string()),
        Column::new("ARCHIVED", |meter: &Meter| meter.archived_at.map(|at| at.to_string())),
    ]
}

impl Create {
    fn run(self) -> anyhow::Result<()> {
        let Self { name, filter, aggregation, unit, metadata, organization, output, connection } =
            self;
        let Some(aggregation) = aggregation.given() else {
            return Err(crate::exit::usage(
                "say what the meter makes of events: --count, or --sum, --max, --min, --avg or \
                 --unique with a property",
            ));
        };
        let mut create = MeterCreate::new(name, filter.unwrap_or_else(Filter::and), aggregation);
        let UnitArgument { unit, custom_label, custom_multiplier } = unit;
        match unit.as_deref() {
            Some("token") => create = create.token_unit(),
            Some("custom") => create = create.custom_unit(custom_label.unwrap_or_default()),
            _ if custom_label.is_some() => {
                return Err(crate::exit::usage("--custom-label is for --unit custom"));
            }
            _ => {}
        }
        if let Some(multiplier) = custom_multiplier {
            create = create.custom_multiplier(multiplier);
        }
        if !metadata.is_empty() {
            create = create.metadata(metadata.into_iter().collect::<floe_client::Metadata>());
        }
        let meter = connection.run(async |client| {
            if let Some(organization) = organization {
                create = create.organization(organization_id(client, &organization).await?);
            }
            Ok(client.meters().create(&create).await?)
        })?;
        show(output, &meter)
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let Self { query, archived, all, metadata, organization, output, connection } = self;
        let meters = connection.run(async |client| {
            let mut list = MetersList::new();
            if let Some(query) = query {
                list = list.query(query);
            }
            if !all {
                list = list.is_archived(archived);
            }
            for (key, value) in metadata {
                list = list.metadata(key, value);
            }
            if let Some(organization) = organization {
                list = list.organization(organization_id(client, &organization).await?);
            }
            every(async |page| client.meters().list(&list.clone().page(page)).await).await
        })?;
        output.print(&meters, &meters, &columns())
    }
}

impl QuantitiesOf {
    fn run(self) -> anyhow::Result<()> {
        let Self {
            meter,
            interval,
            range,
            customers,
            customer_aggregation,
            metadata,
            output,
            connection,
        } = self;
        let interval: Interval = interval.parse()?;
        let (start, end) = range.whole_by(interval)?;
        let mut quantities = Quantities::new(start, end, interval).timezone(&range.timezone);
        for id in customers.external_ids {
            quantities = quantities.external_customer_id(id);
        }
        for id in customers.ids {
            quantities = quantities.customer_id(id);
        }
        if let Some(function) = customer_aggregation {
            quantities = quantities.customer_aggregation_function(function.parse()?);
        }
        for (key, value) in metadata {
            quantities = quantities.metadata(key, value);
        }
        let found = connection.run(async |client| {
            let meter = find(client, &meter).await?;
            Ok(client.meters().quantities(meter.id, &quantities).await?)
        })?;
        show_quantities(output, &found, interval, &range)
    }
}

fn show_quantities(
    output: Output,
    found: &MeterQuantities,
    interval: Interval,
    range: &Range,
) -> anyhow::Result<()> {
    let greatest = found.quantities.iter().map(|point| point.quantity).fold(0.0, f64::max);
    let local = |point: &MeterQuantity| range.local(point.timestamp, interval);
    let columns = [
        Column::new("START", |point: &MeterQuantity| {
            if output.is_for_people() { local(point) } else { point.timestamp.to_string() }
        }),
        Column::new("QUANTITY", |point: &MeterQuantity| point.quantity),
        Column::bar(
            |point: &MeterQuantity| {
                if greatest > 0.0 { point.quantity / greatest } else { 0.0 }
            },
        ),
    ];
    output.print(found, &found.quantities, &columns)?;
    if output.is_for_people() {
        print(&format!("\nTotal {} ({})", found.total, range.timezone))?;
    }
    Ok(())
}

impl CustomersOf {
    fn run(self) -> anyhow::Result<()> {
        let Self { meter, range, query, metadata, limit, output, connection } = self;
        let (start, end) = range.bounds_by(Interval::Day)?;
        // The wire leaves the end out; here it is in, so that a date is a whole day.
        let end = end.saturating_add(std::time::Duration::from_micros(1));
        let mut list = MeterCustomers::new(start, end);
        if let Some(query) = query {
            list = list.query(query);
        }
        for (key, value) in metadata {
            list = list.metadata(key, value);
        }
        let (customers, total) = connection.run(async |client| {
            let meter = find(client, &meter).await?;
            first(limit, async |page, on_page| {
                let list = list.clone().limit(on_page).page(page);
                client.meters().customers(meter.id, &list).await
            })
            .await
        })?;
        let greatest = customers.iter().map(|of| of.quantity).fold(0.0, f64::max);
        let columns = [
            Column::new("CUSTOMER", |of: &MeterCustomer| {
                of.external_customer_id.clone().or_else(|| of.customer_id.map(|id| id.to_string()))
            }),
            Column::new("NAME", |of: &MeterCustomer| of.customer.as_ref()?.name.clone()),
            Column::new("QUANTITY", |of: &MeterCustomer| of.quantity),
            Column::bar(
                |of: &MeterCustomer| {
                    if greatest > 0.0 { of.quantity / greatest } else { 0.0 }
                },
            ),
        ];
        output.print(&customers, &customers, &columns)?;
        if output.is_for_people() {
            print(&format!("\n{} of {total} customers, from {start} on", customers.len()))?;
        }
        Ok(())
    }
}

impl Update {
    fn run(self) -> anyhow::Result<()> {
        let Self {
            meter,
            name,
            filter,
            aggregation,
            unit,
            metadata,
            no_metadata,
            output,
            connection,
        } = self;
        let mut update = MeterUpdate::new();
        if let Some(name) = name {
            update = update.name(name);
        }
        if let Some(filter) = filter {
            update = update.filter(filter);
        }
        if let Some(aggregation) = aggregation.given() {
            update = update.aggregation(aggregation);
        }
        let UnitArgument { unit, custom_label, custom_multiplier } = unit;
        if let Some(unit) = unit {
            update = update.unit(unit.parse()?);
        }
        if let Some(label) = custom_label {
            update = update.custom_label(Some(label.as_str()).filter(|label| !label.is_empty()));
        }
        if let Some(multiplier) = custom_multiplier {
            update = update.custom_multiplier(Some(multiplier));
        }
        if no_metadata || !metadata.is_empty() {
            update = update.metadata(metadata.into_iter().collect::<floe_client::Metadata>());
        }
        let meter = connection.run(async |client| {
            let id = find(client, &meter).await?.id;
            match client.meters().update(id, &update).await {
                Err(Error::NotFound { .. }) => {
                    Err(Failure::NotThere(format!("there is no meter `{meter}`")))
                }
                updated => Ok(updated?),
            }
        })?;
        show(output, &meter)
    }
}
