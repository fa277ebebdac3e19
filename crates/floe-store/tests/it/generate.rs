//! Random events, meters and questions.

use std::collections::HashSet;

use floe_core::{
    Aggregation, AggregationFunction, Clause, ClauseValue, Conjunction, CustomerId, CustomerRef,
    EventSource, Filter, FilterClause, Interval, METER_CREDITED, METER_RESET, Metadata,
    MetadataCondition, NewEvent, Number, Operator, QuantityQuery, TimeZone, Value,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use crate::support::{DAY_ONE, HOUR, instant};

/// External ids of customers; the first ones are of customers that exist.
pub(crate) const EXTERNAL_CUSTOMERS: [&str; 5] = ["c0", "c1", "nobody", "Öhm 🦀", ""];
/// Customers that exist; the first ones have external ids.
pub(crate) const CUSTOMERS: usize = 4;
/// How many of them have one.
pub(crate) const CUSTOMERS_WITH_EXTERNAL_ID: usize = 2;

const KEYS: [&str; 12] =
    ["a", "b", "o", "s", "tokens", "x.y", "name", "source", "timestamp", "", "ключ", "A"];
const TEXTS: [&str; 16] = [
    "5",
    "10",
    "abc",
    "ABC",
    "",
    "a%b_c",
    "true",
    "t",
    "True",
    "1",
    "Zürich ß",
    "ΣΑΣ",
    "\"\\\n\u{1}",
    "user",
    "call",
    "-3",
];
const PROPERTIES: [&str; 22] = [
    "name",
    "source",
    "timestamp",
    "a",
    "b",
    "o",
    "o.a",
    "o.o",
    "o.o.b",
    "s",
    "tokens",
    "x.y",
    "",
    "ключ",
    "_cost",
    "_cost.amount",
    "_cost.currency",
    "_llm",
    "_llm.total_tokens",
    "_llm.prompt",
    "k3",
    "s7",
];
const NAMES: [&str; 6] = ["call", "Beta%_/", "", "ИМЯ", "meter.credited", "İstanbul"];
const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",
    "Africa/Cairo",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Europe/Dublin",
];

/// A placeholder of the customer with this number, for [`with_customers`] to replace.
pub(crate) fn placeholder(number: usize) -> CustomerId {
    CustomerId(Uuid::from_u128(number as u128))
}

/// The same event of real customers.
pub(crate) fn with_customers(
    mut event: NewEvent<'static>,
    ids: &[CustomerId],
) -> NewEvent<'static> {
    if let CustomerRef::Id(id) = event.customer
        && let Some(real) = ids.get(id.0.as_u128() as usize)
    {
        event.customer = CustomerRef::Id(*real);
    }
    event
}

fn number() -> impl Strategy<Value = Number<'static>> {
    let digits = "[1-9][0-9]{19,45}".prop_map(|digits| Number::Big(digits.into()));
    prop_oneof![
        8 => (-20_i64..20).prop_map(Number::Int),
        1 => any::<i64>().prop_map(Number::Int),
        4 => select(vec![0.1, 0.2, 0.5, 5.5, 7.0, 1e16, 1e20, -0.25, 1e300, -1e308, 1e-300, 0.0])
            .prop_map(Number::Float),
        1 => any::<f64>().prop_filter_map("finite", Number::float),
        1 => digits.clone(),
        1 => digits.prop_map(|number| Number::Big(format!("-{number}").into())),
    ]
}

fn scalar() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        6 => number().prop_map(Value::Number),
        4 => select(TEXTS.to_vec()).prop_map(|text| Value::String(text.into())),
        1 => "\\PC{0,12}".prop_map(|text| Value::String(text.into())),
        2 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
        1 => vec(number().prop_map(Value::Number), 0..3).prop_map(Value::Array),
    ]
}

fn object(
    value: impl Strategy<Value = Value<'static>>,
) -> impl Strategy<Value = Metadata<'static>> {
    vec((select(KEYS.to_vec()), value), 0..5).prop_map(|entries| {
        let mut seen = HashSet::new();
        let distinct = entries.into_iter().filter(|(key, _)| seen.insert(*key));
        Metadata::from_distinct(distinct.map(|(key, value)| (key.into(), value)).collect())
    })
}

fn value() -> impl Strategy<Value = Value<'static>> {
    scalar().prop_recursive(3, 12, 4, |inner| object(inner).prop_map(Value::Object))
}

fn cost() -> impl Strategy<Value = Value<'static>> {
    (0_i64..99_999, 0_u8..=12).prop_map(|(mantissa, scale)| {
        Value::Object(Metadata::from_distinct(vec![
            ("amount".into(), Value::Number(Number::decimal(mantissa, scale).unwrap())),
            ("currency".into(), Value::String("usd".into())),
        ]))
    })
}

fn llm() -> impl Strategy<Value = Value<'static>> {
    (0_i64..5000, option::of(select(TEXTS.to_vec()))).prop_map(|(tokens, prompt)| {
        let prompt = prompt.map_or(Value::Null, |text| Value::String(text.into()));
        Value::Object(Metadata::from_distinct(vec![
            ("vendor".into(), Value::String("acme".into())),
            ("total_tokens".into(), Value::Number(Number::Int(tokens))),
            ("prompt".into(), prompt),
            ("response".into(), Value::Null),
        ]))
    })
}

/// What an event's metadata has besides ordinary keys.
#[derive(Debug, Clone)]
enum More {
    Nothing,
    /// A key that few others have: a shape of its own.
    RareKey(u16),
    /// More keys than a shape has.
    ManyKeys,
}

fn metadata() -> impl Strategy<Value = Metadata<'static>> {
    let more = prop_oneof![
        12 => Just(More::Nothing),
        3 => (0_u16..600).prop_map(More::RareKey),
        1 => Just(More::ManyKeys),
    ];
    (object(value()), option::weighted(0.2, cost()), option::weighted(0.2, llm()), more).prop_map(
        |(object, cost, llm, more)| {
            let mut entries = object.into_entries();
            entries.extend(cost.map(|cost| ("_cost".into(), cost)));
            entries.extend(llm.map(|llm| ("_llm".into(), llm)));
            let integer = |value| Value::Number(Number::Int(value));
            match more {
                More::Nothing => {}
                More::RareKey(key) => {
                    entries.push((format!("s{key}").into(), integer(i64::from(key))));
                }
                More::ManyKeys => {
                    entries.extend((0..70).map(|key| (format!("k{key}").into(), integer(key))));
                }
            }
            Metadata::from_distinct(entries)
        },
    )
}

fn customer() -> impl Strategy<Value = CustomerRef<'static>> {
    prop_oneof![
        (0..CUSTOMERS).prop_map(|number| CustomerRef::Id(placeholder(number))),
        select(EXTERNAL_CUSTOMERS.to_vec()).prop_map(|text| CustomerRef::External(text.into())),
    ]
}

/// Microseconds: some around a change of clocks and a new year, some anywhere near.
fn micros() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => (0..100 * 24 * 4_i64).prop_map(|quarter| DAY_ONE + quarter * HOUR / 4),
        2 => (-36_i64 * 4..36 * 4).prop_map(|quarter| DAY_ONE + 90 * 24 * HOUR + quarter * HOUR / 4),
        1 => (-2 * 366 * 24_i64..2 * 366 * 24)
            .prop_map(|hour| DAY_ONE + hour * HOUR + 900_001),
        1 => (0..10_i64).prop_map(|few| DAY_ONE - 1 + few),
    ]
}

/// An event of placeholders of customers.
pub(crate) fn event() -> impl Strategy<Value = NewEvent<'static>> {
    let source = prop_oneof![9 => Just(EventSource::User), 1 => Just(EventSource::System)];
    let id = |range| option::weighted(0.5, range);
    let fields = (select(NAMES.to_vec()), source, customer(), micros(), metadata());
    let more = (id(0_u32..40), option::weighted(0.2, 0_u32..40), option::weighted(0.1, 0_u32..3));
    (fields, more).prop_map(|((name, source, customer, micros, metadata), (id, parent, member))| {
        let external_id = |number: u32| format!("e{number}").into();
        NewEvent {
            name: name.into(),
            source,
            customer,
            timestamp: instant(micros),
            external_id: id.map(external_id),
            parent_id: parent.map(external_id),
            external_member_id: member.map(external_id),
            metadata,
        }
    })
}

/// A user's event that a simple meter counts.
pub(crate) fn plain_event() -> impl Strategy<Value = NewEvent<'static>> {
    event().prop_map(|mut event| {
        event.source = EventSource::User;
        event
    })
}

/// What stays of these events when an external id counts once.
pub(crate) fn kept(events: &[NewEvent<'static>]) -> Vec<NewEvent<'static>> {
    let mut seen = HashSet::new();
    let is_new = |event: &&NewEvent<'static>| {
        event.external_id.as_ref().is_none_or(|id| seen.insert(id.clone()))
    };
    events.iter().filter(is_new).cloned().collect()
}

fn clause() -> impl Strategy<Value = Clause> {
    let value = prop_oneof![
        3 => select(TEXTS.to_vec()).prop_map(|text| ClauseValue::Text(text.to_owned())),
        3 => (-20_i32..20).prop_map(ClauseValue::Int),
        1 => (1_704_067_200_i32..1_704_067_200 + 100 * 86_400).prop_map(ClauseValue::Int),
        1 => any::<bool>().prop_map(ClauseValue::Bool),
    ];
    let operator = select(Operator::ALL.map(|(_, operator)| operator).to_vec());
    (select(PROPERTIES.to_vec()), operator, value).prop_filter_map(
        "booleans have no order",
        |(property, operator, value)| {
            FilterClause::new(property.to_owned(), operator, value).ok().map(Clause::Leaf)
        },
    )
}

fn filter_of(clauses: impl Strategy<Value = Clause>, most: usize) -> impl Strategy<Value = Filter> {
    (select(vec![Conjunction::And, Conjunction::Or]), vec(clauses, 0..most))
        .prop_map(|(conjunction, clauses)| Filter { conjunction, clauses })
}

pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    let nested =
        clause().prop_recursive(3, 12, 3, |inner| filter_of(inner, 4).prop_map(Clause::Filter));
    filter_of(nested, 4)
}

fn function() -> impl Strategy<Value = AggregationFunction> {
    select(AggregationFunction::ALL.map(|(_, function)| function).to_vec())
}

pub(crate) fn aggregation() -> impl Strategy<Value = Aggregation> {
    (function(), select(PROPERTIES.to_vec()))
        .prop_map(|(function, property)| Aggregation::of(function, property.to_owned()))
}

pub(crate) fn condition() -> impl Strategy<Value = MetadataCondition> {
    (select(KEYS.to_vec()), vec(select(TEXTS.to_vec()), 1..3)).prop_map(|(key, values)| {
        MetadataCondition {
            key: key.to_owned(),
            values: values.into_iter().map(str::to_owned).collect(),
        }
    })
}

/// Which customers are asked for: numbers of those that exist, and external ids.
pub(crate) type Customers = Option<(Vec<usize>, Vec<String>)>;

pub(crate) fn customers() -> impl Strategy<Value = Customers> {
    let external_ids = vec(select(EXTERNAL_CUSTOMERS.to_vec()).prop_map(str::to_owned), 0..3);
    // One number more: a customer that is not there.
    option::of((vec(0..=CUSTOMERS, 0..3), external_ids))
}

/// A question about a meter, of customers that are still to be resolved.
pub(crate) fn query() -> impl Strategy<Value = (QuantityQuery, Customers)> {
    let meter = (filter(), aggregation());
    let interval = select(Interval::ALL.to_vec());
    let times = (interval, micros(), 0..40_i64, select(ZONES.to_vec()));
    let who = (customers(), option::of(function()), vec(condition(), 0..2));
    (meter, times, who).prop_map(|((filter, aggregation), times, who)| {
        let (interval, start, steps, zone) = times;
        let (customers, customer_aggregation, metadata) = who;
        let step = match interval {
            Interval::Hour => HOUR,
            Interval::Day => 24 * HOUR,
            Interval::Week => 7 * 24 * HOUR,
            Interval::Month => 30 * 24 * HOUR,
            Interval::Year => 365 * 24 * HOUR,
        };
        let query = QuantityQuery {
            filter,
            aggregation,
            start: instant(start),
            end: instant(start + steps.min(if interval == Interval::Year { 4 } else { 40 }) * step),
            interval,
            zone: TimeZone::named(zone).unwrap(),
            customers: None,
            customer_aggregation,
            metadata,
        };
        (query, customers)
    })
}

/// A credit or reset as a backend may find it in its journal: with any timestamp.
pub(crate) fn system_event(
    customer: CustomerId,
    meter: floe_core::MeterId,
    micros: i64,
    credit: Option<(i64, bool)>,
) -> NewEvent<'static> {
    let mut metadata = vec![("meter_id".into(), Value::String(meter.to_string().into()))];
    if let Some((units, rollover)) = credit {
        metadata.push(("units".into(), Value::Number(Number::Int(units))));
        metadata.push(("rollover".into(), Value::Bool(rollover)));
    }
    NewEvent {
        name: if credit.is_some() { METER_CREDITED } else { METER_RESET }.into(),
        source: EventSource::System,
        customer: CustomerRef::Id(customer),
        timestamp: instant(micros),
        external_id: None,
        parent_id: None,
        external_member_id: None,
        metadata: Metadata::from_distinct(metadata),
    }
}
