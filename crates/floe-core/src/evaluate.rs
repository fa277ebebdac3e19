//! The reference evaluator: quantities straight from a list of events, one bucket start an event.

use std::collections::{BTreeMap, HashMap};

use crate::aggregation::{Accumulator, AggregationFunction};
use crate::calendar::bucket_start;
use crate::customer::{CustomerDirectory, CustomerKey};
use crate::customer_quantity::{CustomerQuantitiesQuery, CustomerQuantity};
use crate::event::{NewEvent, is_credit_or_reset};
use crate::filter::Filter;
use crate::quantity::{
    EVERYBODY, MetadataCondition, MeterQuantities, QuantityAccumulator, QuantityQuery,
};

/// The quantities of a meter over these events, by the letter of semantics section 5.
///
/// It asks for the calendar bucket of each event by itself, where engines compare with edges
/// that they computed once; so the two check each other.
#[must_use]
pub fn evaluate<'e>(
    query: &QuantityQuery,
    events: impl IntoIterator<Item = &'e NewEvent<'e>>,
    directory: &impl CustomerDirectory,
) -> MeterQuantities {
    let series = query.series();
    let mut accumulator = QuantityAccumulator::new(
        query.aggregation.function(),
        query.customer_aggregation,
        series.bucket_count(),
    );
    let start = |timestamp| bucket_start(query.interval, timestamp, &query.zone);
    let buckets: HashMap<_, _> = series
        .points()
        .iter()
        .enumerate()
        .map(|(point, &timestamp)| (start(timestamp), series.bucket_of_point(point)))
        .collect();
    for event in events {
        let selected = query.customers.as_ref().is_none_or(|set| set.contains(&event.customer))
            && passes(event, &query.filter, &query.metadata);
        if !selected {
            continue;
        }
        let Some(&bucket) = buckets.get(&start(event.timestamp)) else { continue };
        let Some(measure) = query.aggregation.measure(event) else { continue };
        let customer = if accumulator.is_per_customer() {
            accumulator.slot(CustomerKey::of(&event.customer, directory))
        } else {
            EVERYBODY
        };
        accumulator.add(bucket, customer, &measure);
    }
    accumulator.finish(&series)
}

/// The quantity of each customer, in the order of customers, by the letter of
/// [`CustomerQuantitiesQuery`]: each customer's events are a question of their own. Listed is who
/// has an event that counts.
#[must_use]
pub fn evaluate_customers<'e>(
    query: &CustomerQuantitiesQuery,
    events: impl IntoIterator<Item = &'e NewEvent<'e>>,
    directory: &impl CustomerDirectory,
) -> Vec<CustomerQuantity> {
    let mut of_customers: BTreeMap<CustomerKey, Vec<&NewEvent<'e>>> = BTreeMap::new();
    for event in events {
        of_customers.entry(CustomerKey::of(&event.customer, directory)).or_default().push(event);
    }
    let quantity = |events: Vec<&'e NewEvent<'e>>| match query.interval {
        Some(interval) => {
            let ask = |customer_aggregation| QuantityQuery {
                filter: query.filter.clone(),
                aggregation: query.aggregation.clone(),
                start: query.start,
                end: query.end,
                interval,
                zone: query.zone.clone(),
                customers: None,
                customer_aggregation,
                metadata: query.metadata.clone(),
            };
            let count = ask(Some(AggregationFunction::Count));
            let count = evaluate(&count, events.iter().copied(), directory);
            let has_any = count.quantities.iter().any(|point| point.quantity > 0.0);
            has_any.then(|| evaluate(&ask(None), events, directory).total)
        }
        None => {
            let inside = |event: &&NewEvent<'_>| {
                (query.start..query.end).contains(&event.timestamp)
                    && passes(event, &query.filter, &query.metadata)
            };
            let measures = events.into_iter().filter(inside);
            let measures: Vec<_> =
                measures.filter_map(|event| query.aggregation.measure(event)).collect();
            let mut whole = Accumulator::new(query.aggregation.function());
            measures.iter().for_each(|measure| whole.add(measure));
            (!measures.is_empty()).then(|| whole.finish().to_f64())
        }
    };
    let of_customers = of_customers.into_iter();
    let quantities = of_customers.filter_map(|(customer, events)| {
        Some(CustomerQuantity { customer, quantity: quantity(events)? })
    });
    quantities.collect()
}

/// Whether a meter with this filter looks at an event, and the event meets the conditions.
fn passes(event: &NewEvent<'_>, filter: &Filter, metadata: &[MetadataCondition]) -> bool {
    !is_credit_or_reset(event.source, &event.name)
        && metadata.iter().all(|condition| condition.holds(event.metadata.get(&condition.key)))
        && filter.matches(event)
}
