//! The evaluations of Polar's server that are recorded in `conformance/`, parsed.
//!
//! The store's tests include this file too.

use std::borrow::Cow;
use std::collections::BTreeMap;

use floe_core::{
    Aggregation, AggregationFunction, Clause, ClauseValue, Conjunction, CustomerId, CustomerRef,
    CustomerSelection, EventSource, Filter, FilterClause, Interval, Metadata, MetadataCondition,
    MeterQuantities, NewEvent, Number, Operator, QuantityQuery, TimeZone, Timestamp, Value,
    strip_metadata_prefix,
};
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

/// The text of a file of cases.
pub(crate) fn read(name: &str) -> String {
    let path = format!("{}/../../conformance/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// The cases in a text, one a line.
pub(crate) fn cases(text: &str) -> Vec<Case<'_>> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[derive(Deserialize)]
pub(crate) struct Case<'a> {
    name: String,
    customers: Json,
    #[serde(borrow)]
    events: Vec<RecordedEvent<'a>>,
    meter: Json,
    query: Json,
    expected: Json,
}

#[derive(Deserialize)]
struct RecordedEvent<'a> {
    name: String,
    source: String,
    timestamp: Json,
    customer_id: Json,
    external_customer_id: Option<String>,
    /// Raw, since integers here have more digits than serde_json keeps.
    #[serde(borrow)]
    metadata: &'a RawValue,
}

impl<'a> Case<'a> {
    /// The customers, with their external ids.
    pub(crate) fn customers(&self) -> Vec<(CustomerId, Option<String>)> {
        let entry = |customer: &Json| {
            let external_id = customer["external_id"].as_str().map(str::to_owned);
            (customer_id(&customer["id"]), external_id)
        };
        items(&self.customers).iter().map(entry).collect()
    }

    /// The events.
    pub(crate) fn events(&self) -> Vec<NewEvent<'a>> {
        self.events.iter().map(event).collect()
    }

    /// What is wrong with an answer, if anything is.
    pub(crate) fn disagreement(&self, answer: &MeterQuantities) -> Option<String> {
        let name = &self.name;
        let expected = items(&self.expected["quantities"]);
        if answer.quantities.len() != expected.len() {
            return Some(format!("{name}: {} points", answer.quantities.len()));
        }
        for (got, want) in answer.quantities.iter().zip(expected) {
            let (point, quantity) = (timestamp(&want["timestamp"]), float(&want["quantity"]));
            if (got.timestamp, got.quantity) != (point, quantity) {
                return Some(format!("{name}: {got:?}, expected {want}"));
            }
        }
        let total = float(&self.expected["total"]);
        (answer.total != total).then(|| format!("{name}: total {}, expected {total}", answer.total))
    }

    /// The question; `select` resolves customers by ids and external ids.
    pub(crate) fn query(
        &self,
        select: impl FnOnce(&[CustomerId], &[String]) -> CustomerSelection,
    ) -> QuantityQuery {
        let (meter, query) = (&self.meter, &self.query);
        let ids: Vec<_> = list(&query["customer_id"]).into_iter().map(customer_id).collect();
        let external_ids: Vec<_> =
            list(&query["external_customer_id"]).into_iter().map(text).collect();
        let selected = !ids.is_empty() || !external_ids.is_empty();
        let metadata = query["metadata"].as_object().into_iter().flatten();
        QuantityQuery {
            filter: filter(&meter["filter"]),
            aggregation: aggregation(&meter["aggregation"]),
            start: timestamp(&query["start_timestamp"]),
            end: timestamp(&query["end_timestamp"]),
            interval: Interval::from_name(query["interval"].as_str().unwrap()).unwrap(),
            zone: TimeZone::named(query["timezone"].as_str().unwrap_or("UTC")).unwrap(),
            customers: selected.then(|| select(&ids, &external_ids)),
            customer_aggregation: query["customer_aggregation_function"].as_str().map(function),
            metadata: metadata
                .map(|(key, values)| MetadataCondition {
                    key: key.clone(),
                    values: list(values).into_iter().map(query_text).collect(),
                })
                .collect(),
        }
    }
}

fn filter(json: &Json) -> Filter {
    let clause = |json: &Json| {
        if json.get("clauses").is_some() {
            return Clause::Filter(filter(json));
        }
        let property = strip_metadata_prefix(json["property"].as_str().unwrap()).to_owned();
        let operator = named(&Operator::ALL, json["operator"].as_str().unwrap());
        let value = match &json["value"] {
            Json::String(text) => ClauseValue::Text(text.clone()),
            Json::Bool(value) => ClauseValue::Bool(*value),
            number => ClauseValue::Int(number.as_f64().unwrap() as i32),
        };
        Clause::Leaf(FilterClause::new(property, operator, value).unwrap())
    };
    let conjunction = if json["conjunction"] == "and" { Conjunction::And } else { Conjunction::Or };
    Filter { conjunction, clauses: items(&json["clauses"]).iter().map(clause).collect() }
}

fn aggregation(json: &Json) -> Aggregation {
    let property = strip_metadata_prefix(json["property"].as_str().unwrap_or_default());
    Aggregation::of(function(json["func"].as_str().unwrap()), property.to_owned())
}

fn function(name: &str) -> AggregationFunction {
    named(&AggregationFunction::ALL, name)
}

fn event<'a>(recorded: &RecordedEvent<'a>) -> NewEvent<'a> {
    let customer = match (&recorded.customer_id, &recorded.external_customer_id) {
        (_, Some(external_id)) => CustomerRef::External(external_id.clone().into()),
        (Json::Null, None) => CustomerRef::External("nobody".into()),
        (id, None) => CustomerRef::Id(customer_id(id)),
    };
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(recorded.metadata.get()).unwrap();
    let metadata = members.into_iter().map(|(key, raw)| {
        let value = match key.as_str() {
            "_cost" => cost(raw),
            "_llm" => llm(raw),
            _ => value(raw),
        };
        (Cow::Owned(key), value)
    });
    NewEvent {
        name: recorded.name.clone().into(),
        source: named(&EventSource::ALL, &recorded.source),
        customer,
        timestamp: timestamp(&recorded.timestamp),
        external_id: None,
        parent_id: None,
        external_member_id: None,
        metadata: Metadata::from_distinct(metadata.collect()),
    }
}

fn value(raw: &RawValue) -> Value<'_> {
    let text = raw.get();
    if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Value::Number(if text.contains(['.', 'e', 'E']) {
            Number::float(text.parse().unwrap()).unwrap()
        } else {
            Number::integer(text).unwrap()
        });
    }
    match serde_json::from_str(text).unwrap() {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::String(text) => Value::String(text.into()),
        Json::Array(_) => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            Value::Array(items.into_iter().map(value).collect())
        }
        Json::Object(_) => Value::Object(object(raw)),
        Json::Number(_) => unreachable!(),
    }
}

fn object(raw: &RawValue) -> Metadata<'_> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap();
    let entries = members.into_iter().map(|(key, member)| (key.into(), value(member)));
    Metadata::from_distinct(entries.collect())
}

/// An amount is ingested as a decimal, be it written as a number or as text.
fn cost(raw: &RawValue) -> Value<'_> {
    let cost: Json = serde_json::from_str(raw.get()).unwrap();
    let amount = query_text(&cost["amount"]);
    let (whole, fraction) = amount.split_once('.').unwrap_or((&amount, ""));
    let digits = format!("{whole}{fraction}").parse().unwrap();
    let amount = Number::decimal(digits, fraction.len() as u8).unwrap();
    Value::Object(Metadata::from_distinct(vec![
        ("amount".into(), Value::Number(amount)),
        ("currency".into(), Value::String("usd".into())),
    ]))
}

/// Ingestion stores an absent prompt and response as null.
fn llm(raw: &RawValue) -> Value<'_> {
    let mut entries = object(raw).into_entries();
    for key in ["prompt", "response"] {
        if !entries.iter().any(|(name, _)| name == key) {
            entries.push((key.into(), Value::Null));
        }
    }
    Value::Object(Metadata::from_distinct(entries))
}

/// A query parameter's text: recorded queries hold some as JSON numbers and booleans.
fn query_text(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn text(json: &Json) -> String {
    json.as_str().unwrap().to_owned()
}

fn list(json: &Json) -> Vec<&Json> {
    match json {
        Json::Null => Vec::new(),
        Json::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

fn items(json: &Json) -> &[Json] {
    json.as_array().unwrap()
}

fn customer_id(json: &Json) -> CustomerId {
    CustomerId(json.as_str().unwrap().parse().unwrap())
}

fn timestamp(json: &Json) -> Timestamp {
    let text = json.as_str().unwrap();
    let instant = match text.parse::<f64>() {
        Ok(seconds) => return Timestamp::from_micros((seconds * 1e6) as i64).unwrap(),
        Err(_) => text.parse::<jiff::Timestamp>().unwrap(),
    };
    Timestamp::from_micros(instant.as_microsecond()).unwrap()
}

fn float(json: &Json) -> f64 {
    json.to_string().parse().unwrap()
}

fn named<T: Copy>(all: &[(&str, T)], name: &str) -> T {
    all.iter().find(|(text, _)| *text == name).unwrap().1
}
