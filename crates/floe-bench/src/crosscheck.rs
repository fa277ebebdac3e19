//! Random meters, asked of Floe and of DuckDB on the same segments: the answers must be the same,
//! to the last bit.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use floe_core::{
    Aggregation, AggregationFunction, Clause, ClauseValue, Conjunction, Filter, FilterClause,
    Interval, MetadataCondition, Operator, QuantityQuery, TimeZone, Timestamp,
};
use floe_store::port::{Catalog as _, EventStore as _};
use serde_json::{Value, json};

use crate::columns::Columns;
use crate::data::{CUSTOMERS, DAY_MICROS, DAYS, MODELS, NAMES, REGIONS, START_MICROS, customer};
use crate::folder::{self, Folder};
use crate::peers::{Peer, Python};
use crate::queries::Floe;
use crate::random::Random;
use crate::sql;

/// Asks random meters of Floe and of DuckDB on the segments, and compares the answers exactly.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Crosscheck {
    /// A data folder that `load` made
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// How many meters
    #[arg(long, default_value_t = 200)]
    pub(crate) meters: u64,
    /// What the random numbers come from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Parquet files for DuckDB, in place of the folder's segments
    #[arg(long)]
    pub(crate) parquet: Option<String>,
    #[command(flatten)]
    pub(crate) python: Python,
}

/// A random meter, and what is asked of it.
#[derive(Debug)]
struct Asked {
    query: QuantityQuery,
    customers: Option<Vec<String>>,
}

impl Crosscheck {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let files = match &self.parquet {
            Some(files) => files.clone(),
            None => folder::segments(&self.data)?,
        };
        let mut duckdb = self.python.duckdb(&files)?;
        let columns = Columns::new(duckdb.columns()?);
        let floe = Floe::open(&self.data)?;
        check_events(&mut duckdb, floe.folder.events)?;
        let mut functions: BTreeMap<&str, u64> = BTreeMap::new();
        let mut filled = 0;
        for number in 0..self.meters {
            let mut asked = random_meter(&mut Random::new(self.seed, number))?;
            let told = format!("meter {number} of seed {}: {asked:?}", self.seed);
            let is_filled = check(&floe, &mut duckdb, &columns, &mut asked).context(told)?;
            filled += u64::from(is_filled);
            *functions.entry(asked.query.aggregation.function().as_str()).or_default() += 1;
        }
        let by_function: Vec<String> =
            functions.iter().map(|(name, count)| format!("{count} {name}")).collect();
        println!(
            "\n{} random meters over {} events: Floe and DuckDB agree on all, to the last bit \
             ({}; {filled} of them counted something).",
            self.meters,
            floe.folder.events,
            by_function.join(", ")
        );
        floe.close();
        Ok(())
    }
}

/// DuckDB must see the same events, all of them in typed columns.
fn check_events(duckdb: &mut Peer, events: u64) -> anyhow::Result<()> {
    let sql = "SELECT count(*), count(metadata), count(*) - count(DISTINCT sequence) FROM events";
    let (_, rows) = duckdb.query(sql, std::time::Duration::ZERO)?;
    let seen = rows.first().map(ToString::to_string).unwrap_or_default();
    let expected = json!([events.to_string(), "0", "0"]).to_string();
    ensure!(
        seen == expected,
        "events, those with metadata in the JSON column, and repeated ones: {seen} and not \
         {expected}; are all events sealed?"
    );
    Ok(())
}

/// Asks both; whether anything was counted.
fn check(
    floe: &Floe,
    duckdb: &mut Peer,
    columns: &Columns,
    asked: &mut Asked,
) -> anyhow::Result<bool> {
    let Folder { store, organization, .. } = &floe.folder;
    asked.query.customers = asked
        .customers
        .as_ref()
        .map(|customers| store.select_customers(*organization, &[], customers, false));
    let answer = floe.run(store.quantities(*organization, asked.query.clone()))?;
    let points: Vec<i64> = answer.quantities.iter().map(|point| point.timestamp.micros()).collect();
    let statements = sql::statements(&asked.query, &points, asked.customers.as_deref(), columns);
    let other = duckdb.ask(&json!({
        "ask": "quantities",
        "points": statements.points,
        "groups": statements.groups,
        "distinct": statements.distinct,
        "function": asked.query.aggregation.function().as_str(),
        "customer_function": asked.query.customer_aggregation.map(AggregationFunction::as_str),
    }))?;
    let figures = other.get("quantities").and_then(Value::as_array).context("no quantities")?;
    ensure!(figures.len() == points.len(), "{} points of DuckDB", figures.len());
    for (point, figure) in answer.quantities.iter().zip(figures) {
        let same = figure.as_f64().map(f64::to_bits) == Some(point.quantity.to_bits());
        let at = point.timestamp;
        ensure!(same, "at {at} Floe {}, DuckDB {figure} ({})", point.quantity, statements.groups);
    }
    let total = other.get("total").and_then(Value::as_f64).context("no total")?;
    let same = total.to_bits() == answer.total.to_bits();
    ensure!(same, "total: Floe {}, DuckDB {total} ({})", answer.total, statements.groups);
    Ok(answer.quantities.iter().any(|point| point.quantity != 0.0))
}

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Cairo",
];

fn random_meter(random: &mut Random) -> anyhow::Result<Asked> {
    let function = random.pick(&AggregationFunction::ALL.map(|(_, function)| function));
    let properties = ["tokens", "latency", "model", "region", "timestamp", "name", "absent"];
    // Mostly the two that are numbers.
    let likely = if random.chance(75) { &properties[..2] } else { &properties };
    let property = random.pick(likely);
    let zone = TimeZone::named(random.pick(&ZONES)).context("no such zone")?;
    let interval = random.pick(&Interval::ALL);
    let (start, end) = random_span(interval, random);
    let customers = random.chance(35).then(|| {
        let count = 1 + random.below(3);
        let any = (0..count).map(|_| {
            // The first customers have the most events.
            let end = if random.chance(50) { 20 } else { CUSTOMERS };
            customer(random.below(end))
        });
        any.collect()
    });
    let customer_aggregation = random
        .chance(25)
        .then(|| random.pick(&AggregationFunction::ALL.map(|(_, function)| function)));
    let metadata = if random.chance(15) {
        let values = vec![random.pick(&MODELS).to_owned(), "12".to_owned()];
        vec![MetadataCondition { key: random.pick(&["model", "tokens"]).to_owned(), values }]
    } else {
        Vec::new()
    };
    let query = QuantityQuery {
        filter: random_filter(random, 2)?,
        aggregation: Aggregation::of(function, property.to_owned()),
        start: Timestamp::from_micros(start).context("no instant")?,
        end: Timestamp::from_micros(end).context("no instant")?,
        interval,
        zone,
        customers: None,
        customer_aggregation,
        metadata,
    };
    Ok(Asked { query, customers })
}

/// Start and end, in microseconds; not aligned to anything.
fn random_span(interval: Interval, random: &mut Random) -> (i64, i64) {
    let micros = |random: &mut Random, days: i64| {
        i64::try_from(random.below(u64::try_from(days * DAY_MICROS).unwrap_or(1))).unwrap_or(0)
    };
    let longest = match interval {
        Interval::Hour => 7,
        Interval::Day | Interval::Week => DAYS,
        Interval::Month | Interval::Year => 2 * DAYS,
    };
    let start = START_MICROS + micros(random, DAYS) - 5 * DAY_MICROS;
    (start, start + micros(random, longest))
}

fn random_filter(random: &mut Random, levels: u32) -> anyhow::Result<Filter> {
    let conjunction = random.pick(&[Conjunction::And, Conjunction::Or]);
    let mut clauses = Vec::new();
    for _ in 0..random.below(4) {
        clauses.push(if levels > 1 && random.chance(10) {
            Clause::Filter(random_filter(random, levels - 1)?)
        } else {
            Clause::Leaf(random_clause(random)?)
        });
    }
    Ok(Filter { conjunction, clauses })
}

/// A clause that often holds for some events and not for others, and sometimes compares what
/// cannot be compared.
fn random_clause(random: &mut Random) -> anyhow::Result<FilterClause> {
    let int = |random: &mut Random, end| i32::try_from(random.below(end)).unwrap_or(0);
    let text = |text: &str| ClauseValue::Text(text.to_owned());
    let equality = [Operator::Eq, Operator::Ne, Operator::Like, Operator::NotLike];
    let any = Operator::ALL.map(|(_, operator)| operator);
    let (property, operator, value) = match random.below(8) {
        0 => ("name", random.pick(&any), text(random.pick(&NAMES))),
        1 => ("name", random.pick(&equality), text(random.pick(&["ea", "ing", "", "x'%_"]))),
        2 => ("model", random.pick(&any), text(random.pick(&MODELS))),
        3 => ("region", random.pick(&any), text(random.pick(&REGIONS))),
        4 => ("tokens", random.pick(&any), ClauseValue::Int(int(random, 1000))),
        5 => ("latency", random.pick(&any), ClauseValue::Int(int(random, 500))),
        6 => {
            let days = u64::try_from(DAYS).unwrap_or(0) * 86_400;
            let seconds = i32::try_from(START_MICROS / 1_000_000)? + int(random, days);
            ("timestamp", random.pick(&any), ClauseValue::Int(seconds))
        }
        _ => {
            let properties =
                ["name", "source", "model", "region", "tokens", "latency", "timestamp", "absent"];
            let property = random.pick(&properties);
            let value = match random.below(4) {
                0 => ClauseValue::Int(int(random, 9)),
                1 => ClauseValue::Bool(random.chance(50)),
                2 => text(random.pick(&["5", "user", "m", ".5", ""])),
                _ => text(&random.below(1000).to_string()),
            };
            // Of a boolean, only these are allowed everywhere.
            let operators = match (&value, property) {
                (ClauseValue::Bool(_), "timestamp") => &equality[2..],
                (ClauseValue::Bool(_), _) => &equality[..],
                _ => &any[..],
            };
            (property, random.pick(operators), value)
        }
    };
    Ok(FilterClause::new(property.to_owned(), operator, value)?)
}
