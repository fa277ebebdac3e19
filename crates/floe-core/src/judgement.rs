//! What becomes of one event on a meter, and why.

use crate::aggregation::{Aggregation, Measure};
use crate::event::{EventFields, is_credit_or_reset};
use crate::filter::Filter;

/// What becomes of an event on a meter.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement<'e> {
    /// It counts, with this.
    Counts(Measure<'e>),
    /// It is a credit or a reset, and no usage.
    CreditOrReset,
    /// The filter does not hold, because of what stands at this place (see [`Filter::failing`]).
    Filtered(Vec<usize>),
    /// The filter holds, but the property that is aggregated is no number.
    NoNumber,
}

/// Judges an event as quantities do.
///
/// ```
/// use floe_core::{
///     Aggregation, AggregationFunction, CustomerRef, EventSource, Filter, Judgement, Measure,
///     Metadata, NewEvent, Number, Timestamp, Value, judge,
/// };
/// let event = NewEvent {
///     name: "use".into(),
///     source: EventSource::User,
///     customer: CustomerRef::External("ada".into()),
///     timestamp: Timestamp::from_micros(0).unwrap(),
///     external_id: None,
///     parent_id: None,
///     external_member_id: None,
///     metadata: Metadata::from_distinct(vec![("n".into(), Value::Number(Number::Int(5)))]),
/// };
/// let sum = |property: &str| Aggregation::of(AggregationFunction::Sum, property.to_owned());
/// let filter = Filter::all();
/// let five = Judgement::Counts(Measure::Number(Number::Int(5)));
/// assert_eq!(judge(&filter, &sum("n"), &event), five);
/// assert_eq!(judge(&filter, &sum("m"), &event), Judgement::NoNumber);
/// ```
pub fn judge<'e>(
    filter: &Filter,
    aggregation: &Aggregation,
    event: &'e impl EventFields,
) -> Judgement<'e> {
    if is_credit_or_reset(event.source(), event.name()) {
        return Judgement::CreditOrReset;
    }
    if let Some(place) = filter.failing(&mut |clause| clause.matches(event)) {
        return Judgement::Filtered(place);
    }
    aggregation.measure(event).map_or(Judgement::NoNumber, Judgement::Counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AggregationFunction, Clause, ClauseValue, Conjunction, CustomerRef, EventSource,
        FilterClause, METER_CREDITED, Metadata, NewEvent, Number, Operator, Timestamp, Value,
    };

    fn event(source: EventSource, name: &'static str) -> NewEvent<'static> {
        NewEvent {
            name: name.into(),
            source,
            customer: CustomerRef::External("ada".into()),
            timestamp: Timestamp::from_micros(7_000_000).unwrap(),
            external_id: None,
            parent_id: None,
            external_member_id: None,
            metadata: Metadata::from_distinct(vec![
                ("n".into(), Value::Number(Number::Int(5))),
                ("t".into(), Value::String("5".into())),
            ]),
        }
    }

    fn clause(property: &str, operator: Operator, value: ClauseValue) -> Clause {
        Clause::Leaf(FilterClause::new(property.to_owned(), operator, value).unwrap())
    }

    #[test]
    fn what_quantities_leave_out_is_said() {
        let of = |function, property: &str| Aggregation::of(function, property.to_owned());
        let sum = |property| of(AggregationFunction::Sum, property);
        let used = event(EventSource::User, "use");
        let filter = |clauses| Filter { conjunction: Conjunction::And, clauses };
        let all = Filter::all();
        let text = |text: &str| ClauseValue::Text(text.to_owned());
        let named = || clause("name", Operator::Eq, text("use"));
        let more = || clause("n", Operator::Gt, ClauseValue::Int(5));
        let less = || clause("n", Operator::Lt, ClauseValue::Int(5));
        let either = |clauses| Clause::Filter(Filter { conjunction: Conjunction::Or, clauses });
        let judged = |clauses: Vec<Clause>| judge(&filter(clauses), &Aggregation::count(), &used);
        assert_eq!(judged(vec![named()]), Judgement::Counts(Measure::Event));
        assert_eq!(judged(vec![named(), more(), less()]), Judgement::Filtered(vec![1]));
        assert_eq!(judged(vec![either(vec![more(), less()])]), Judgement::Filtered(vec![0]));
        assert_eq!(judged(vec![either(vec![more()])]), Judgement::Filtered(vec![0, 0]));
        assert_eq!(judged(vec![either(vec![more(), named()])]), Judgement::Counts(Measure::Event));
        let credit = event(EventSource::System, METER_CREDITED);
        assert_eq!(judge(&all, &Aggregation::count(), &credit), Judgement::CreditOrReset);
        // A user's event may have any name.
        let named_so = event(EventSource::User, METER_CREDITED);
        let counted = judge(&all, &Aggregation::count(), &named_so);
        assert_eq!(counted, Judgement::Counts(Measure::Event));
        let number = |number| Judgement::Counts(Measure::Number(Number::Int(number)));
        assert_eq!(judge(&all, &sum("n"), &used), number(5));
        assert_eq!(judge(&all, &sum("timestamp"), &used), number(7));
        for property in ["t", "name", "absent", "n.x"] {
            assert_eq!(judge(&all, &sum(property), &used), Judgement::NoNumber, "{property}");
        }
        let unique = |property| judge(&all, &of(AggregationFunction::Unique, property), &used);
        let value = Judgement::Counts(Measure::Value(Value::String("5".into())));
        assert_eq!(unique("t"), value);
        assert_eq!(unique("absent"), Judgement::Counts(Measure::Nothing));
    }
}
