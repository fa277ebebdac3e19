//! `floe export quantities`.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::ArrayRef;
use arrow_array::builder::{Float64Builder, StringBuilder};
use arrow_schema::{DataType, Field};
use floe_client::{
    Client, Error, Interval, MeterCustomerSort, MeterCustomers, Quantities, Timestamp, Uuid,
};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::output::{Output, Progress, is_broken_pipe};
use super::{Destination, Format, parquet};
use crate::arguments::interval_names;
use crate::cmd::meters;
use crate::connection::{Connection, Failure};
use crate::instant::Range;

/// Calls that are made at a time.
const CALLS_MAX: usize = 8;

/// Write the quantities of a meter, of each customer and interval.
///
/// Listed is who has an event that counts in the time; intervals without usage have 0. All
/// intervals that the time touches are written, and counted whole.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportQuantities {
    /// The meter, by its id or its name
    #[arg(value_name = "METER")]
    meter: String,
    #[command(flatten)]
    destination: Destination,
    /// What each quantity is of
    #[arg(long, default_value = "day", value_parser = interval_names())]
    interval: String,
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    connection: Connection,
}

/// A row of the export.
#[derive(Debug, Serialize)]
struct Row {
    external_customer_id: Option<String>,
    customer_id: Option<Uuid>,
    timestamp: Timestamp,
    quantity: f64,
}

/// A customer who has quantities.
struct Who {
    external_customer_id: Option<String>,
    customer_id: Option<Uuid>,
}

impl ExportQuantities {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self { meter, destination, interval, range, connection } = self;
        let interval = interval.parse()?;
        let (start, end) = range.whole_by(interval)?;
        let (format, compression) = destination.kind()?;
        let Destination { output: path, force, .. } = destination;
        let rows = Rows::new(format, Output::create(path.as_deref(), force, compression)?)?;
        let progress = Progress::new("quantities");
        let question = Question { start, end, interval, timezone: range.timezone };
        let written = connection.run(async |client| {
            let meter = meters::find(client, &meter).await?.id;
            let all = async {
                let mut rows = rows;
                let deleted = write(client, meter, &question, &mut rows, &progress).await?;
                let count = rows.count;
                Ok::<_, Failure>((count, rows.finish().context("cannot write")?, deleted))
            };
            tokio::select! {
                written = all => written,
                stopped = progress.stopped() => Err(stopped.into()),
            }
        });
        match written {
            Ok((count, bytes, deleted)) => {
                progress.finish(count, bytes, path.as_deref());
                if deleted > 0 {
                    eprintln!(
                        "{deleted} deleted customers are left out: the server tells their \
                         quantities for the whole time alone."
                    );
                }
            }
            Err(error) if path.is_none() && is_broken_pipe(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What is asked of each customer.
struct Question {
    start: Timestamp,
    end: Timestamp,
    interval: Interval,
    timezone: String,
}

impl Question {
    /// The rows of a customer.
    async fn rows(&self, client: &Client, meter: Uuid, who: Who) -> Result<Vec<Row>, Error> {
        let mut query =
            Quantities::new(self.start, self.end, self.interval).timezone(&self.timezone);
        // Either spelling finds all of a customer who has both.
        match (&who.external_customer_id, who.customer_id) {
            (Some(external_id), _) => query = query.external_customer_id(external_id),
            (None, Some(id)) => query = query.customer_id(id),
            (None, None) => {}
        }
        let answer = client.meters().quantities(meter, &query).await?;
        let row = |point: &floe_client::MeterQuantity| Row {
            external_customer_id: who.external_customer_id.clone(),
            customer_id: who.customer_id,
            timestamp: point.timestamp,
            quantity: point.quantity,
        };
        Ok(answer.quantities.iter().map(row).collect())
    }
}

/// Writes all rows, customer by customer; returns how many customers were left out.
async fn write(
    client: &Client,
    meter: Uuid,
    question: &Question,
    rows: &mut Rows,
    progress: &Progress,
) -> Result<u64, Failure> {
    let mut deleted = 0;
    for page in 1.. {
        // In an order that does not change while events come.
        let list = MeterCustomers::new(question.start, question.end)
            .interval(question.interval)
            .timezone(&question.timezone)
            .ascending(MeterCustomerSort::ExternalCustomerId)
            .page(page);
        let answer = client.meters().customers(meter, &list).await?;
        let mut all = Vec::new();
        for item in answer.items {
            if item.customer.is_some_and(|customer| customer.deleted_at.is_some()) {
                deleted += 1;
                continue;
            }
            let (external_customer_id, customer_id) = (item.external_customer_id, item.customer_id);
            all.push(Who { external_customer_id, customer_id });
        }
        let mut answers =
            stream::iter(all).map(|who| question.rows(client, meter, who)).buffered(CALLS_MAX);
        while let Some(of_customer) = answers.try_next().await? {
            progress.add(of_customer.len() as u64);
            for row in of_customer {
                rows.push(row).context("cannot write")?;
            }
        }
        if page >= answer.pagination.max_page {
            break;
        }
    }
    Ok(deleted)
}

/// Where rows are written.
struct Rows {
    to: To,
    count: u64,
}

enum To {
    Ndjson(Box<Output>),
    Csv(Box<csv::Writer<Output>>),
    Parquet(Box<Table>),
}

/// Rows of a Parquet file.
struct Table {
    file: parquet::File<Output>,
    waiting: Vec<Row>,
}

/// Rows of a Parquet file that are written at a time.
const TABLE_ROWS: usize = 8192;

const HEADS: [&str; 4] = ["external_customer_id", "customer_id", "timestamp", "quantity"];

impl Rows {
    fn new(format: Format, output: Output) -> anyhow::Result<Self> {
        let to = match format {
            Format::Ndjson => To::Ndjson(Box::new(output)),
            Format::Csv => {
                let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(output);
                csv.write_record(HEADS)?;
                To::Csv(Box::new(csv))
            }
            Format::Parquet => {
                let [external_id, id, timestamp, quantity] = HEADS;
                let fields = vec![
                    parquet::text_field(external_id, true),
                    parquet::text_field(id, true),
                    parquet::instant_field(timestamp),
                    Field::new(quantity, DataType::Float64, false),
                ];
                let file = parquet::File::new(output, fields, &[])?;
                To::Parquet(Box::new(Table { file, waiting: Vec::new() }))
            }
        };
        Ok(Self { to, count: 0 })
    }

    fn push(&mut self, row: Row) -> anyhow::Result<()> {
        self.count += 1;
        match &mut self.to {
            To::Ndjson(output) => {
                serde_json::to_writer(&mut **output, &row)?;
                output.write_all(b"\n")?;
            }
            To::Csv(csv) => csv.serialize(row)?,
            To::Parquet(table) => {
                table.waiting.push(row);
                if table.waiting.len() == TABLE_ROWS {
                    table.write()?;
                }
            }
        }
        Ok(())
    }

    /// Lets the file appear. Returns the bytes that were written.
    fn finish(self) -> anyhow::Result<u64> {
        match self.to {
            To::Ndjson(output) => output.finish(),
            To::Csv(csv) => csv.into_inner().map_err(|error| error.into_error())?.finish(),
            To::Parquet(mut table) => {
                table.write()?;
                table.file.into_inner()?.finish()
            }
        }
    }
}

impl Table {
    fn write(&mut self) -> anyhow::Result<()> {
        let (mut external_ids, mut ids) = (StringBuilder::new(), StringBuilder::new());
        let (mut timestamps, mut quantities) = (parquet::instants(), Float64Builder::new());
        for row in self.waiting.drain(..) {
            external_ids.append_option(row.external_customer_id);
            ids.append_option(row.customer_id.map(|id| id.to_string()));
            timestamps.append_value(row.timestamp.unix_micros());
            quantities.append_value(row.quantity);
        }
        let columns: [ArrayRef; 4] = [
            Arc::new(external_ids.finish()),
            Arc::new(ids.finish()),
            Arc::new(timestamps.finish()),
            Arc::new(quantities.finish()),
        ];
        self.file.write(columns.into())
    }
}
