//! The six questions: to Floe's store, over HTTP, and as SQL.

use std::collections::BTreeMap;

use anyhow::Context as _;
use floe_core::{
    Aggregation, AggregationFunction, Clause, ClauseValue, Conjunction, Filter, FilterClause,
    Interval, Metadata, MeterUnit, Operator, OrganizationId, QuantityQuery, TimeZone, Timestamp,
};
use floe_store::embedded::EmbeddedStore;
use floe_store::port::{
    Catalog as _, Direction, EventQuery, EventStore as _, NewMeter, Organizations, PageRequest,
};

use crate::data::{DAY_MICROS, DAYS, START_MICROS};

/// A meter of the questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MeterOf {
    /// `sum` of `tokens`.
    Tokens,
    /// `unique` of `model`.
    Models,
    /// `count` of events with model `m1` in region `r2`.
    Calls,
}

impl MeterOf {
    /// All.
    pub(crate) const ALL: [Self; 3] = [Self::Tokens, Self::Models, Self::Calls];

    /// Its name in the catalog.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Models => "models",
            Self::Calls => "calls of m1 in r2",
        }
    }

    fn filter(self) -> anyhow::Result<Filter> {
        if self != Self::Calls {
            return Ok(Filter::all());
        }
        let equal = |property: &str, value: &str| -> anyhow::Result<Clause> {
            let value = ClauseValue::Text(value.to_owned());
            Ok(Clause::Leaf(FilterClause::new(property.to_owned(), Operator::Eq, value)?))
        };
        let clauses = vec![equal("model", "m1")?, equal("region", "r2")?];
        Ok(Filter { conjunction: Conjunction::And, clauses })
    }

    fn aggregation(self) -> Aggregation {
        match self {
            Self::Tokens => Aggregation::of(AggregationFunction::Sum, "tokens".to_owned()),
            Self::Models => Aggregation::of(AggregationFunction::Unique, "model".to_owned()),
            Self::Calls => Aggregation::count(),
        }
    }

    /// To create it.
    pub(crate) fn to_new(self) -> anyhow::Result<NewMeter> {
        Ok(NewMeter {
            name: self.name().to_owned(),
            unit: MeterUnit::Scalar,
            custom_label: None,
            custom_multiplier: None,
            filter: self.filter()?,
            aggregation: self.aggregation(),
            metadata: Metadata::default(),
        })
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
enum Ask {
    /// Quantities of a meter; hours of one week, else days of the whole data set.
    Quantities { meter: MeterOf, interval: Interval, most_of_customers: bool },
    /// The newest 100 events.
    Newest,
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    /// Q1 to Q6.
    pub(crate) name: &'static str,
    /// In words.
    pub(crate) what: String,
    /// The external id of the customer that it is about, if one.
    customer: Option<String>,
    ask: Ask,
}

/// Q1 to Q6, with one customer in Q2 and Q6.
pub(crate) fn all(customer: &str) -> Vec<Question> {
    let question =
        |name, what: &str, ask| Question { name, what: what.to_owned(), customer: None, ask };
    let days = |meter| Ask::Quantities { meter, interval: Interval::Day, most_of_customers: false };
    let hours = Ask::Quantities {
        meter: MeterOf::Calls,
        interval: Interval::Hour,
        most_of_customers: false,
    };
    let most = Ask::Quantities {
        meter: MeterOf::Tokens,
        interval: Interval::Day,
        most_of_customers: true,
    };
    vec![
        question("Q1", "sum(tokens) by day", days(MeterOf::Tokens)),
        question("Q2", "the same of one customer", days(MeterOf::Tokens)).of(customer),
        question("Q3", "distinct model by day", days(MeterOf::Models)),
        question("Q4", "count where model = m1 and region = r2, by hour of a week", hours),
        question("Q5", "sum(tokens) by day and customer, then the greatest by day", most),
        question("Q6", "the newest 100 events of one customer", Ask::Newest).of(customer),
    ]
}

/// An answer, in a form that is the same whoever gives it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// Quantities that are not 0, by the start of their bucket in seconds since the epoch.
    Quantities(BTreeMap<i64, f64>),
    /// External ids, the newest event first.
    Events(Vec<String>),
}

/// The first day of the week that Q4 is about.
const WEEK_DAY: i64 = 31;

impl Question {
    /// The same of one customer.
    pub(crate) fn of(mut self, customer: &str) -> Self {
        self.customer = Some(customer.to_owned());
        self
    }

    /// Whether no question before it asked its meter.
    pub(crate) fn is_first_of_meter(&self) -> bool {
        matches!(self.name, "Q1" | "Q3" | "Q4")
    }

    /// First instant, and the one behind the last, in microseconds.
    fn span(&self) -> (i64, i64) {
        match &self.ask {
            Ask::Quantities { interval: Interval::Hour, .. } => {
                let start = START_MICROS + WEEK_DAY * DAY_MICROS;
                (start, start + 7 * DAY_MICROS)
            }
            _ => (START_MICROS, START_MICROS + DAYS * DAY_MICROS),
        }
    }

    /// Asks a store.
    pub(crate) async fn ask(
        &self,
        store: &EmbeddedStore,
        organization: OrganizationId,
    ) -> anyhow::Result<Answer> {
        let customers = self.customer.as_ref().map(|customer| {
            store.select_customers(organization, &[], std::slice::from_ref(customer), false)
        });
        let Ask::Quantities { meter, interval, most_of_customers } = self.ask else {
            let query = EventQuery { customers, ..EventQuery::default() };
            return newest(store, organization, query).await;
        };
        let (start, end) = self.span();
        let instant = |micros| Timestamp::from_micros(micros).context("no instant");
        let query = QuantityQuery {
            filter: meter.filter()?,
            aggregation: meter.aggregation(),
            start: instant(start)?,
            end: instant(end - 1)?,
            interval,
            zone: TimeZone::utc(),
            customers,
            customer_aggregation: most_of_customers.then_some(AggregationFunction::Max),
            metadata: Vec::new(),
        };
        let answer = store.quantities(organization, query).await?;
        let points = answer.quantities.iter();
        let points = points.map(|point| (point.timestamp.epoch_seconds(), point.quantity));
        Ok(Answer::Quantities(points.filter(|(_, quantity)| *quantity != 0.0).collect()))
    }

    /// The path and query of the same over HTTP; `meter_id` gives the ids of meters.
    pub(crate) fn path(
        &self,
        meter_id: impl Fn(MeterOf) -> anyhow::Result<String>,
    ) -> anyhow::Result<String> {
        let customer = self.customer.as_ref();
        let customer = customer.map(|id| format!("&external_customer_id={id}")).unwrap_or_default();
        let Ask::Quantities { meter, interval, most_of_customers } = self.ask else {
            return Ok(format!("/v1/events?limit=100{customer}"));
        };
        let (start, end) = self.span();
        let instant = |micros| Timestamp::from_micros(micros).context("no instant");
        Ok(format!(
            "/v1/meters/{}/quantities?start_timestamp={}&end_timestamp={}&interval={}{customer}{}",
            meter_id(meter)?,
            instant(start)?,
            instant(end - 1)?,
            interval.as_str(),
            if most_of_customers { "&customer_aggregation_function=max" } else { "" }
        ))
    }

    /// The same as SQL over a table `events`.
    pub(crate) fn sql(&self, dialect: &Dialect) -> String {
        let Dialect { day, hour, instant, distinct, tokens, model, region } = dialect;
        let customer = self.customer.as_ref();
        let of_customer =
            customer.map(|id| format!(" WHERE external_customer_id = '{id}'")).unwrap_or_default();
        let Ask::Quantities { meter, most_of_customers, .. } = &self.ask else {
            return format!(
                "SELECT external_id, * FROM events{of_customer} \
                 ORDER BY timestamp DESC, sequence DESC LIMIT 100"
            );
        };
        match meter {
            MeterOf::Tokens if *most_of_customers => format!(
                "SELECT bucket, max(consumed) FROM (SELECT {day} AS bucket, \
                 external_customer_id, sum({tokens}) AS consumed FROM events \
                 GROUP BY bucket, external_customer_id) AS by_customer GROUP BY bucket"
            ),
            MeterOf::Tokens => format!(
                "SELECT {day} AS bucket, sum({tokens}) FROM events{of_customer} GROUP BY bucket"
            ),
            MeterOf::Models => format!(
                "SELECT {day} AS bucket, {distinct}{model}) FROM events{of_customer} \
                 GROUP BY bucket"
            ),
            MeterOf::Calls => {
                let (start, end) = self.span();
                format!(
                    "SELECT {hour} AS bucket, count(*) FROM events WHERE {model} = 'm1' AND \
                     {region} = 'r2' AND timestamp >= {instant}({start}) AND \
                     timestamp < {instant}({end}) GROUP BY bucket"
                )
            }
        }
    }

    /// The answer that rows of SQL are: numbers of buckets since the epoch with quantities, or
    /// events whose external id comes first.
    pub(crate) fn answer_of(&self, rows: &[serde_json::Value]) -> anyhow::Result<Answer> {
        let Ask::Quantities { interval, .. } = self.ask else {
            let ids = rows.iter().map(|row| Some(row.get(0)?.as_str()?.to_owned()));
            return Ok(Answer::Events(ids.collect::<Option<_>>().context("no external id")?));
        };
        let seconds = if interval == Interval::Hour { 3600 } else { 86_400 };
        let mut quantities = BTreeMap::new();
        for row in rows {
            // All cells come as text, so that no digit is lost on the way.
            let cell = |index: usize| row.get(index).and_then(serde_json::Value::as_str);
            let bucket: i64 = cell(0).context("no bucket")?.parse()?;
            // A sum of nothing but nulls.
            let quantity: f64 = cell(1).map_or(Ok(0.0), str::parse)?;
            if quantity != 0.0 {
                quantities.insert(bucket * seconds, quantity);
            }
        }
        Ok(Answer::Quantities(quantities))
    }
}

async fn newest(
    store: &EmbeddedStore,
    organization: OrganizationId,
    query: EventQuery,
) -> anyhow::Result<Answer> {
    let page = PageRequest { offset: 0, limit: 100 };
    let searches = vec![(organization, query)];
    let found = store.list_events(searches, page, Direction::Descending).await?;
    let of = Organizations::one(organization);
    let mut ids = Vec::new();
    for address in found.items {
        let row = store.event(&of, address.id).await?.context("an event is not there")?;
        ids.push(row.event.external_id.map(String::from).unwrap_or_default());
    }
    Ok(Answer::Events(ids))
}

/// How an engine writes what differs.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// Number of the day of an event since the epoch, UTC.
    day: &'static str,
    /// The same of the hour.
    hour: &'static str,
    /// A function that makes an instant of microseconds.
    instant: &'static str,
    /// The beginning of a count of distinct values.
    distinct: &'static str,
    tokens: &'static str,
    model: &'static str,
    region: &'static str,
}

/// DuckDB. It divides integers faster than it truncates dates: `date_trunc` costs it 5 times as
/// much.
pub(crate) const DUCKDB: Dialect = Dialect {
    day: "epoch_us(timestamp) // 86400000000",
    hour: "epoch_us(timestamp) // 3600000000",
    instant: "make_timestamptz",
    distinct: "count(DISTINCT ",
    tokens: "\"metadata.tokens:int\"",
    model: "\"metadata.model:string\"",
    region: "\"metadata.region:string\"",
};

/// ClickHouse, with the table that `crate::peers` loads.
pub(crate) const CLICKHOUSE: Dialect = Dialect {
    day: "toRelativeDayNum(timestamp)",
    hour: "toRelativeHourNum(timestamp)",
    instant: "fromUnixTimestamp64Micro",
    distinct: "uniqExact(",
    tokens: "tokens",
    model: "model",
    region: "region",
};
