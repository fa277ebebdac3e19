//! What filters and aggregations mean, as DuckDB's SQL over the columns of segments (semantics
//! sections 2 and 3): written apart from Floe's own code, to check it.

use std::fmt::Write as _;

use floe_core::{
    Aggregation, AggregationFunction, Clause, ClauseValue, Conjunction, Filter, FilterClause,
    Interval, MetadataCondition, Operator, Property, QuantityQuery,
};

use crate::columns::{Columns, Kind};

/// Whole seconds since the epoch; the events are all later.
const SECONDS: &str = "(epoch_us(timestamp) // 1000000)";

fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A float as the exact decimal that it shows.
fn decimal(column: &str) -> String {
    format!("CAST(CAST({column} AS VARCHAR) AS DECIMAL(38, 12))")
}

/// The text of a value: numbers in canonical decimal, `7.0` for a whole float.
fn text_of(column: &str, kind: Kind) -> String {
    match kind {
        Kind::String => column.to_owned(),
        Kind::Int | Kind::Bool => format!("CAST({column} AS VARCHAR)"),
        Kind::Float => {
            let digits = format!("CAST({} AS VARCHAR)", decimal(column));
            format!("regexp_replace(regexp_replace({digits}, '0+$', ''), '\\.$', '.0')")
        }
    }
}

/// A comparison of what stands left and right; `None` for `like` and `not_like`.
fn comparison(operator: Operator, left: &str, right: &str) -> Option<String> {
    let sign = match operator {
        Operator::Eq => "=",
        Operator::Ne => "<>",
        Operator::Gt => ">",
        Operator::Gte => ">=",
        Operator::Lt => "<",
        Operator::Lte => "<=",
        Operator::Like | Operator::NotLike => return None,
    };
    Some(format!("{left} {sign} {right}"))
}

/// Whether a text holds, or does not hold, another.
fn containment(operator: Operator, text: &str, needle: &str) -> String {
    let not = if operator == Operator::NotLike { "NOT " } else { "" };
    format!("{not}contains({text}, {})", text_literal(needle))
}

const NEVER: &str = "FALSE";

/// The needle of `like`, and what strings are compared with.
fn value_text(value: &ClauseValue) -> String {
    match value {
        ClauseValue::Text(text) => text.clone(),
        ClauseValue::Int(number) => number.to_string(),
        ClauseValue::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
    }
}

fn clause(of: &FilterClause, columns: &Columns) -> String {
    let (operator, value) = (of.operator(), of.value());
    let text = value_text(value);
    let compare_text = |left: &str| {
        comparison(operator, left, &text_literal(&text))
            .unwrap_or_else(|| containment(operator, left, &text))
    };
    match of.property() {
        Property::Name | Property::Source => match value {
            ClauseValue::Text(_) => compare_text(of.property_text()),
            ClauseValue::Int(_) | ClauseValue::Bool(_) => NEVER.to_owned(),
        },
        Property::Timestamp => match value {
            ClauseValue::Text(_) => NEVER.to_owned(),
            ClauseValue::Int(_) | ClauseValue::Bool(_) => comparison(operator, SECONDS, &text)
                .unwrap_or_else(|| {
                    containment(operator, &format!("CAST({SECONDS} AS VARCHAR)"), &text)
                }),
        },
        Property::Metadata(path) => {
            let of_kinds = [Kind::String, Kind::Int, Kind::Float, Kind::Bool].map(|kind| {
                let column = columns.of(path, kind)?;
                let holds = of_kind(operator, value, &column, kind)?;
                // An empty cell has no such value: it is never true.
                Some(format!("coalesce({holds}, {NEVER})"))
            });
            let any: Vec<String> = of_kinds.into_iter().flatten().collect();
            if any.is_empty() { NEVER.to_owned() } else { format!("({})", any.join(" OR ")) }
        }
    }
}

/// Whether a stored value of a kind passes; `None` if none of that kind does.
fn of_kind(operator: Operator, value: &ClauseValue, column: &str, kind: Kind) -> Option<String> {
    let text = value_text(value);
    if matches!(operator, Operator::Like | Operator::NotLike) {
        return Some(containment(operator, &text_of(column, kind), &text));
    }
    match (kind, value) {
        (Kind::String, _) => comparison(operator, column, &text_literal(&text)),
        (Kind::Int | Kind::Float, ClauseValue::Int(number)) => {
            comparison(operator, column, &number.to_string())
        }
        (Kind::Int | Kind::Float, ClauseValue::Bool(value)) => {
            comparison(operator, column, if *value { "1" } else { "0" })
        }
        (Kind::Bool, ClauseValue::Bool(value)) => {
            comparison(operator, column, if *value { "TRUE" } else { "FALSE" })
        }
        (Kind::Int | Kind::Float, ClauseValue::Text(_))
        | (Kind::Bool, ClauseValue::Text(_) | ClauseValue::Int(_)) => None,
    }
}

fn filter(of: &Filter, columns: &Columns) -> String {
    if of.clauses.is_empty() {
        return "TRUE".to_owned();
    }
    let clauses = of.clauses.iter().map(|member| match member {
        Clause::Leaf(leaf) => clause(leaf, columns),
        Clause::Filter(nested) => filter(nested, columns),
    });
    let word = match of.conjunction {
        Conjunction::And => " AND ",
        Conjunction::Or => " OR ",
    };
    format!("({})", clauses.collect::<Vec<_>>().join(word))
}

fn condition(of: &MetadataCondition, columns: &Columns) -> String {
    let wanted: Vec<String> = of.values.iter().map(|text| text_literal(text)).collect();
    let wanted = wanted.join(", ");
    let path = std::slice::from_ref(&of.key);
    let kinds = [Kind::String, Kind::Int, Kind::Float, Kind::Bool].into_iter();
    let of_kinds = kinds.filter_map(|kind| {
        let text = text_of(&columns.of(path, kind)?, kind);
        Some(format!("coalesce({text} IN ({wanted}), {NEVER})"))
    });
    let any: Vec<String> = of_kinds.collect();
    if any.is_empty() { NEVER.to_owned() } else { format!("({})", any.join(" OR ")) }
}

/// The number that an event contributes, as an exact decimal; null if it contributes none.
fn number(aggregation: &Aggregation, columns: &Columns) -> String {
    match aggregation.property() {
        Some(Property::Timestamp) => format!("CAST({SECONDS} AS DECIMAL(38, 12))"),
        Some(Property::Metadata(path)) => {
            let int = columns.of(path, Kind::Int);
            let int = int.map(|column| format!("CAST({column} AS DECIMAL(38, 12))"));
            let float = columns.of(path, Kind::Float).map(|column| decimal(&column));
            match (int, float) {
                (Some(int), Some(float)) => format!("coalesce({int}, {float})"),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => "CAST(NULL AS DECIMAL(38, 12))".to_owned(),
            }
        }
        // Names and sources are no numbers.
        Some(Property::Name | Property::Source) | None => {
            "CAST(NULL AS DECIMAL(38, 12))".to_owned()
        }
    }
}

/// A text that is the same for two events exactly if their values are: 1 and 1.0 are, 1 and "1"
/// are not; null if there is no value.
fn distinct_value(aggregation: &Aggregation, columns: &Columns) -> String {
    let Some(Property::Metadata(path)) = aggregation.property() else {
        return "CAST(NULL AS VARCHAR)".to_owned();
    };
    let mark = |mark: &str, kind| {
        let column = columns.of(path, kind)?;
        let text = text_of(&column, kind);
        let text =
            if kind == Kind::Float { format!("regexp_replace({text}, '\\.0$', '')") } else { text };
        Some(format!("'{mark}' || {text}"))
    };
    let texts = [mark("n", Kind::Int), mark("n", Kind::Float), mark("s", Kind::String)];
    let texts: Vec<String> = texts.into_iter().chain([mark("b", Kind::Bool)]).flatten().collect();
    if texts.is_empty() {
        return "CAST(NULL AS VARCHAR)".to_owned();
    }
    format!("coalesce({})", texts.join(", "))
}

/// What tells the calendar bucket of an instant from others, as text. DuckDB has its own calendar
/// and zones.
fn bucket(instant: &str, interval: Interval, zone: &str) -> String {
    let local = format!("timezone({}, {instant})", text_literal(zone));
    let start = format!("date_trunc('{}', {local})", interval.as_str());
    if interval == Interval::Hour {
        // An hour of the day may come twice: tell it by its instant.
        let offset = format!("(epoch_us({local}) - epoch_us({instant}))");
        return format!("CAST(epoch_us({start}) - {offset} AS VARCHAR)");
    }
    format!("CAST({start} AS VARCHAR)")
}

/// The question in SQL.
#[derive(Debug)]
pub(crate) struct Statements {
    /// The bucket of each point, in order.
    pub(crate) points: String,
    /// Bucket, customer or null, number of events, and sum, least, greatest, count of distinct
    /// values.
    pub(crate) groups: String,
    /// The count of distinct values in all buckets.
    pub(crate) distinct: String,
}

/// A margin around the points that every bucket of theirs is within: a year and a day.
const MARGIN_MICROS: i64 = 367 * crate::data::DAY_MICROS;

/// The statements of a query. `points` are the instants that are asked for, in microseconds;
/// `customers` the external ids that are selected.
pub(crate) fn statements(
    query: &QuantityQuery,
    points: &[i64],
    customers: Option<&[String]>,
    columns: &Columns,
) -> Statements {
    let zone = query.zone.name();
    let mut values = String::new();
    for (index, point) in points.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(values, "{}({index}, {point})", if index > 0 { ", " } else { "" });
    }
    let point_bucket = bucket("make_timestamptz(micros)", query.interval, zone);
    let points_sql = format!(
        "SELECT {point_bucket} FROM (VALUES {values}) AS points(number, micros) ORDER BY number"
    );
    let mut conditions = vec![
        filter(&query.filter, columns),
        "NOT (source = 'system' AND name IN ('meter.credited', 'meter.reset'))".to_owned(),
    ];
    if let (Some(first), Some(last)) = (points.first(), points.last()) {
        conditions.push(format!(
            "timestamp BETWEEN make_timestamptz({}) AND make_timestamptz({})",
            first - MARGIN_MICROS,
            last + MARGIN_MICROS
        ));
    }
    if let Some(customers) = customers {
        let ids: Vec<String> = customers.iter().map(|id| text_literal(id)).collect();
        conditions.push(format!("external_customer_id IN ({})", ids.join(", ")));
    }
    conditions.extend(query.metadata.iter().map(|of| condition(of, columns)));
    let aggregation = &query.aggregation;
    let function = aggregation.function();
    let (number, distinct) = (number(aggregation, columns), distinct_value(aggregation, columns));
    if !matches!(function, AggregationFunction::Count | AggregationFunction::Unique) {
        conditions.push(format!("{number} IS NOT NULL"));
    }
    let customer = match query.customer_aggregation {
        Some(_) => "coalesce('id ' || customer_id, external_customer_id)",
        None => "CAST(NULL AS VARCHAR)",
    };
    let event_bucket = bucket("timestamp", query.interval, zone);
    let measured = format!(
        "SELECT {event_bucket} AS bucket, {customer} AS customer, {number} AS number, \
         {distinct} AS value FROM events WHERE {}",
        conditions.join(" AND ")
    );
    let groups = format!(
        "SELECT bucket, customer, count(*), sum(number), min(number), max(number), \
         count(DISTINCT value) FROM ({measured}) AS measured GROUP BY bucket, customer"
    );
    let distinct = format!(
        "SELECT count(DISTINCT value) FROM ({measured}) AS measured \
         WHERE bucket IN ({points_sql})"
    )
    .replace(" ORDER BY number)", ")");
    Statements { points: points_sql, groups, distinct }
}
