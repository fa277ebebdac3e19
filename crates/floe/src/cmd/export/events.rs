//! `floe export events`.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use floe_client::{Client, EventsExport, Filter, Uuid};

use super::output::{Output, Progress, is_broken_pipe};
use super::spool::Spool;
use super::{Destination, Format, csv, parquet};
use crate::arguments::filter;
use crate::cmd::meters;
use crate::connection::{Connection, Failure, organization_id};
use crate::instant::Range;

/// Write all events that customers caused, in order of ingestion.
///
/// What is ingested into another organization counts there as it does here. Credits and resets are
/// not among the events.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportEvents {
    #[command(flatten)]
    destination: Destination,
    /// Whose events; needed with the root token, and left out with an organization's
    #[arg(long, value_name = "SLUG_OR_ID")]
    organization: Option<String>,
    #[command(flatten)]
    range: Range,
    /// Only events of this name; may repeat
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// Only events of the customer with this external id, or id; may repeat
    #[arg(long, value_name = "CUSTOMER")]
    customer: Vec<String>,
    /// Only those for which this holds, such as 'tokens > 100'
    #[arg(long = "where", value_name = "FILTER", value_parser = filter)]
    filter: Option<Filter>,
    /// Only those that this meter counts, by its id or name
    #[arg(long)]
    meter: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl ExportEvents {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self { destination, organization, range, name, customer, filter, meter, connection } =
            self;
        let (format, compression) = destination.kind()?;
        let Destination { output: path, force, .. } = destination;
        let (start, end) = range.bounds()?;
        let mut export = EventsExport::new();
        if let Some(start) = start {
            export = export.start(start);
        }
        if let Some(end) = end {
            // The wire leaves the end out; here it is in, so that a date is a whole day.
            export = export.end(end.saturating_add(Duration::from_micros(1)));
        }
        for name in name {
            export = export.name(name);
        }
        for customer in customer {
            // A customer's own id may look like one of the server's: whoever is meant is found.
            if let Ok(id) = customer.parse::<Uuid>()
                && id.get_version_num() == 4
            {
                export = export.customer_id(id);
            }
            export = export.external_customer_id(customer);
        }
        if let Some(filter) = &filter {
            export = export.filter(filter);
        }
        let output = Output::create(path.as_deref(), force, compression)?;
        let progress = Progress::new("events");
        let written = connection.run(async |client| {
            if let Some(meter) = meter {
                export = export.meter_id(meters::find(client, &meter).await?.id);
            }
            if let Some(organization) = organization {
                export = export.organization(organization_id(client, &organization).await?);
            }
            let all = write(client, &export, format, output, &progress);
            tokio::select! {
                written = all => written,
                // So that no temporary file stays behind.
                stopped = progress.stopped() => Err(stopped.into()),
            }
        });
        match written {
            Ok((count, bytes)) => progress.finish(count, bytes, path.as_deref()),
            // Who stops reading early, as `head` does, has read enough.
            Err(error) if path.is_none() && is_broken_pipe(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// How long the server may be silent: it looks through many events where few match.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// Writes an export; returns how many events and bytes there were.
async fn write(
    client: &Client,
    export: &EventsExport,
    format: Format,
    mut output: Output,
    progress: &Progress,
) -> Result<(u64, u64), Failure> {
    let client = client.clone().with_timeout(SILENCE_MAX);
    let mut events = client.events().export(export).await?;
    let mut spool = match format {
        Format::Ndjson => None,
        Format::Csv | Format::Parquet => Some(Spool::new()?),
    };
    let mut count = 0;
    // Whole lines: what is written is valid even if it breaks off.
    while let Some(lines) = events.next().await? {
        let lines = lines.split_inclusive(|&byte| byte == b'\n');
        let mut here = 0;
        for line in lines {
            match &mut spool {
                None => output.write_all(line).context("cannot write")?,
                Some(spool) => spool.push(line.trim_ascii_end())?,
            }
            here += 1;
        }
        count += here;
        progress.add(here);
    }
    let table = match (format, spool) {
        (Format::Csv, Some(spool)) => csv::write(spool, &mut output, progress),
        (Format::Parquet, Some(spool)) => parquet::write(spool, &mut output, progress),
        _ => Ok(()),
    };
    table.context("cannot write")?;
    let bytes = output.finish().context("cannot write")?;
    Ok((count, bytes))
}
