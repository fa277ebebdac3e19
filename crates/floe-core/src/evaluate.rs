//! The reference evaluator: quantities straight from a list of events, one bucket start an event.

use std::collections::HashMap;

use crate::calendar::bucket_start;
use crate::customer::{CustomerDirectory, CustomerKey};
use crate::event::{NewEvent, is_credit_or_reset};
use crate::quantity::{EVERYBODY, MeterQuantities, QuantityAccumulator, QuantityQuery};

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
            && !is_credit_or_reset(event.source, &event.name)
            && query
                .metadata
                .iter()
                .all(|condition| condition.holds(event.metadata.get(&condition.key)))
            && query.filter.matches(event);
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
