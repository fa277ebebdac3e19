//! `floe events`.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use floe_client::{
    Client, Event, EventCreate, EventName, EventNamesList, EventSort, EventsList, EventsStream,
    Filter, Metadata, MetadataValue, Retries, Uuid,
};

use crate::arguments::{CustomersArgument, filter, key_value, read_text};
use crate::cmd::meters;
use crate::connection::{Connection, Failure, every, first, organization_id};
use crate::exit;
use crate::instant::{Range, at};
use crate::output::{Column, Output, print, visible};

/// Send events, and look at those that were sent.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Events {
    /// Send an event, or some from a file of JSON.
    ///
    /// Either --name and --customer describe one event, or a file holds events as the API takes
    /// them: one object, a list, {"events": […]}, or one object a line. For many, `floe import` is
    /// the better way.
    ///
    /// An event without an external id is given one, so that it counts once whatever happens on
    /// the way.
    Ingest(Ingest),
    /// List events, newest first.
    List(List),
    /// Show an event.
    Get {
        /// Its id
        id: Uuid,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
    /// Print events as they are ingested, until Ctrl-C.
    ///
    /// When the server is lost, that is said on standard error; when it is back, what was ingested
    /// meanwhile comes first.
    Tail(Tail),
    /// List the names that events have, the last seen first.
    Names {
        /// Only those with this text in them
        #[arg(long, value_name = "TEXT")]
        query: Option<String>,
        #[command(flatten)]
        customers: CustomersArgument,
        /// Only this organization's
        #[arg(long, value_name = "SLUG_OR_ID")]
        organization: Option<String>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ingest {
    /// A file of events as JSON; `-` is standard input
    #[arg(conflicts_with_all = ["name", "customer", "customer_id", "external_id", "timestamp", "parent", "metadata"])]
    file: Option<PathBuf>,
    /// What happened
    #[arg(long, required_unless_present = "file")]
    name: Option<String>,
    /// The external id of the customer to whom it happened
    #[arg(long, value_name = "EXTERNAL_ID", required_unless_present_any = ["file", "customer_id"])]
    customer: Option<String>,
    /// The customer's id, in place of the external id
    #[arg(long, value_name = "ID", conflicts_with = "customer")]
    customer_id: Option<Uuid>,
    /// Your own id of the event: what has one counts once, however often it is sent
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// When it happened [default: now]
    #[arg(long, value_name = "TIME")]
    timestamp: Option<String>,
    /// The event that it is part of, by its external id or id
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    /// A property; may repeat
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, MetadataValue)>,
    /// Whose event it is; needed with the root token
    #[arg(long, value_name = "SLUG_OR_ID")]
    organization: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only of this name; may repeat
    #[arg(long)]
    name: Vec<String>,
    #[command(flatten)]
    customers: CustomersArgument,
    /// Only those for which this holds, such as 'tokens > 100'
    #[arg(long = "where", value_name = "FILTER", value_parser = filter)]
    filter: Option<Filter>,
    /// Only those that this meter counts, by its id or name
    #[arg(long)]
    meter: Option<String>,
    /// Only those with this text in their name, metadata or customer; at least 3 characters
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
    /// Only those with this in their metadata; may repeat
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, MetadataValue)>,
    /// Only children of this event
    #[arg(long, value_name = "ID")]
    parent: Option<Uuid>,
    #[command(flatten)]
    range: Range,
    /// Oldest first
    #[arg(long)]
    oldest_first: bool,
    /// How many to show, at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    limit: u64,
    /// Only this organization's
    #[arg(long, value_name = "SLUG_OR_ID")]
    organization: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Tail {
    /// Only of this name; may repeat
    #[arg(long)]
    name: Vec<String>,
    #[command(flatten)]
    customers: CustomersArgument,
    /// Only those for which this holds, such as 'tokens > 100'
    #[arg(long = "where", value_name = "FILTER", value_parser = filter)]
    filter: Option<Filter>,
    /// Only those that this meter counts, by its id or name
    #[arg(long)]
    meter: Option<String>,
    /// Whose events; needed with the root token, and left out with an organization's
    #[arg(long, value_name = "SLUG_OR_ID")]
    organization: Option<String>,
    /// Print each event as JSON, one a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Events {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Ingest(ingest) => ingest.run(),
            Self::List(list) => list.run(),
            Self::Tail(tail) => tail.run(),
            Self::Get { id, output, connection } => {
                let event = connection.run(async |client| Ok(client.events().get(id).await?))?;
                output.print(&event, std::slice::from_ref(&event), &columns())
            }
            Self::Names { query, customers, organization, output, connection } => {
                let names = connection.run(async |client| {
                    let mut list = EventNamesList::new();
                    if let Some(query) = query {
                        list = list.query(query);
                    }
                    for id in customers.external_ids {
                        list = list.external_customer_id(id);
                    }
                    for id in customers.ids {
                        list = list.customer_id(id);
                    }
                    if let Some(organization) = organization {
                        list = list.organization(organization_id(client, &organization).await?);
                    }
                    every(async |page| client.events().names(&list.clone().page(page)).await).await
                })?;
                let columns = [
                    Column::new("NAME", |name: &EventName| name.name.clone()),
                    Column::new("SOURCE", |name: &EventName| name.source.as_str()),
                    Column::new("OCCURRENCES", |name: &EventName| name.occurrences),
                    Column::new("FIRST SEEN", |name: &EventName| name.first_seen.to_string()),
                    Column::new("LAST SEEN", |name: &EventName| name.last_seen.to_string()),
                ];
                output.print(&names, &names, &columns)
            }
        }
    }
}

/// Whom an event is of, as people would say it.
fn customer_of(event: &Event) -> Option<String> {
    let id = event.customer_id.map(|id| id.to_string());
    let of_customer = |event: &Event| event.customer.as_ref()?.external_id.clone();
    event.external_customer_id.clone().or_else(|| of_customer(event)).or(id)
}

pub(crate) fn columns() -> [Column<'static, Event>; 5] {
    [
        Column::new("TIMESTAMP", |event: &Event| event.timestamp.to_string()),
        Column::new("NAME", |event: &Event| event.name.clone()),
        Column::new("CUSTOMER", customer_of),
        Column::new("METADATA", |event: &Event| {
            serde_json::to_string(&event.metadata).unwrap_or_default()
        }),
        Column::new("ID", |event: &Event| event.id.to_string()),
    ]
}

impl Ingest {
    fn run(self) -> anyhow::Result<()> {
        let Self {
            file,
            name,
            customer,
            customer_id,
            external_id,
            timestamp,
            parent,
            metadata,
            organization,
            connection,
        } = self;
        let mut events = match (file, name) {
            (Some(file), _) => read_events(&read_text(&file)?)?,
            (None, name) => {
                let name = name.unwrap_or_default();
                let mut event = match customer_id {
                    Some(id) => EventCreate::for_customer(name, id),
                    None => EventCreate::for_external_customer(name, customer.unwrap_or_default()),
                };
                if let Some(text) = timestamp {
                    event = event.timestamp(at(&text).context("--timestamp")?);
                }
                if let Some(id) = external_id {
                    event = event.external_id(id);
                }
                if let Some(id) = parent {
                    event = event.parent_id(id);
                }
                vec![event.metadata(metadata.into_iter().collect::<Metadata>())]
            }
        };
        if events.is_empty() {
            return Err(anyhow!("there are no events in it"));
        }
        let ingested = connection.run(async |client| {
            if let Some(organization) = organization {
                let id = organization_id(client, &organization).await?;
                events = events.into_iter().map(|event| event.organization(id)).collect();
            }
            Ok(client.events().ingest(&events).await?)
        })?;
        print(&format!("{} inserted, {} duplicates", ingested.inserted, ingested.duplicates))
    }
}

/// Events as JSON: one, a list, `{"events": […]}`, or one a line.
fn read_events(text: &str) -> anyhow::Result<Vec<EventCreate>> {
    #[derive(serde::Deserialize)]
    struct Request {
        events: Vec<EventCreate>,
    }
    let text = text.trim();
    if text.starts_with('[') {
        return serde_json::from_str(text).context("it holds no list of events");
    }
    if let Ok(Request { events }) = serde_json::from_str(text) {
        return Ok(events);
    }
    let mut events = Vec::new();
    for event in serde_json::Deserializer::from_str(text).into_iter::<EventCreate>() {
        let number = events.len() + 1;
        events.push(event.with_context(|| format!("its event number {number} is none"))?);
    }
    Ok(events)
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let Self {
            name,
            customers,
            filter,
            meter,
            query,
            metadata,
            parent,
            range,
            oldest_first,
            limit,
            organization,
            output,
            connection,
        } = self;
        let (start, end) = range.bounds()?;
        let mut list = EventsList::new();
        list = name.into_iter().fold(list, EventsList::name);
        list = customers.external_ids.into_iter().fold(list, EventsList::external_customer_id);
        list = customers.ids.into_iter().fold(list, EventsList::customer_id);
        if let Some(filter) = filter {
            list = list.filter(&filter);
        }
        if let Some(query) = query {
            list = list.query(query);
        }
        for (key, value) in metadata {
            list = list.metadata(key, value);
        }
        if let Some(id) = parent {
            list = list.parent_id(id);
        }
        // The wire leaves both bounds out; here they are in.
        let microsecond = std::time::Duration::from_micros(1);
        if let Some(start) = start {
            list = list.after(start.saturating_sub(microsecond));
        }
        if let Some(end) = end {
            list = list.before(end.saturating_add(microsecond));
        }
        if oldest_first {
            list = list.ascending(EventSort::Timestamp);
        }
        if limit == 0 {
            return Err(exit::usage("--limit must be above 0"));
        }
        let (events, total) = connection.run(async |client| {
            if let Some(meter) = meter {
                list = list.meter_id(meters::find(client, &meter).await?.id);
            }
            if let Some(organization) = organization {
                list = list.organization(organization_id(client, &organization).await?);
            }
            first(limit, async |page, on_page| {
                client.events().list(&list.clone().limit(on_page).page(page)).await
            })
            .await
        })?;
        output.print(&events, &events, &columns())?;
        if output.is_for_people() {
            print(&format!("\n{} of {total} events", events.len()))?;
        }
        Ok(())
    }
}

/// The wait before a server that is lost is looked for again.
const LOST_WAIT: Duration = Duration::from_secs(1);

impl Tail {
    fn run(self) -> anyhow::Result<()> {
        let Self { name, customers, filter, meter, organization, json, connection } = self;
        let mut stream = EventsStream::new();
        stream = name.into_iter().fold(stream, EventsStream::name);
        stream =
            customers.external_ids.into_iter().fold(stream, EventsStream::external_customer_id);
        stream = customers.ids.into_iter().fold(stream, EventsStream::customer_id);
        if let Some(filter) = filter {
            stream = stream.filter(&filter);
        }
        let ended = connection.run(async |client| {
            if let Some(meter) = meter {
                stream = stream.meter_id(meters::find(client, &meter).await?.id);
            }
            if let Some(organization) = organization {
                stream = stream.organization(organization_id(client, &organization).await?);
            }
            tokio::select! {
                ended = follow(client, stream, json) => ended,
                // What was printed is whole lines.
                stop = tokio::signal::ctrl_c() => {
                    Ok(stop.context("cannot listen for Ctrl-C")?)
                }
            }
        });
        match ended {
            // Who stops reading early, as `head` does, has read enough.
            Err(error) if is_broken_pipe(&error) => Ok(()),
            ended => ended,
        }
    }
}

/// Prints events until something fails that is not the connection.
async fn follow(client: &Client, stream: EventsStream, json: bool) -> Result<(), Failure> {
    // Each failure is said, so each is tried again here.
    let client = client.clone().with_retries(Retries::none());
    let mut events = client.events().stream(stream).await?;
    let mut is_lost = false;
    loop {
        let next = match events.connect().await {
            Ok(()) => {
                if std::mem::take(&mut is_lost) {
                    eprintln!("The server is back.");
                }
                events.next().await
            }
            Err(error) => Err(error),
        };
        match next {
            Ok(event) => write_line(&event, json)?,
            Err(error) if error.is_passing() => {
                if !std::mem::replace(&mut is_lost, true) {
                    eprintln!("Lost the server: {error}. Looking for it again.");
                }
                tokio::time::sleep(LOST_WAIT).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Prints an event as one line, at once.
fn write_line(event: &Event, json: bool) -> anyhow::Result<()> {
    let mut line = if json {
        serde_json::to_string(event)?
    } else {
        let metadata = serde_json::to_string(&event.metadata)?;
        let customer = customer_of(event).unwrap_or_default();
        let parts = [event.timestamp.to_string(), event.name.clone(), customer, metadata];
        parts.map(|part| visible(&part)).join("  ")
    };
    line.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("cannot write")
}

/// Whether an error says that nobody reads standard output any longer.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
