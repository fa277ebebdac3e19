//! What an aggregation means (semantics section 3).

use std::collections::HashSet;

use crate::event::EventFields;
use crate::filter::Property;
use crate::number::{Exact, Number};
use crate::value::Value;

/// The functions of an aggregation, and of an aggregation over customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregationFunction {
    /// Number of events.
    Count,
    /// Exact sum.
    Sum,
    /// Greatest number.
    Max,
    /// Least number.
    Min,
    /// Exact sum divided by the count, rounded once.
    Avg,
    /// Number of distinct values.
    Unique,
}

impl AggregationFunction {
    /// All, in the order of the wire's error messages.
    pub const ALL: [(&'static str, Self); 6] = [
        ("count", Self::Count),
        ("sum", Self::Sum),
        ("max", Self::Max),
        ("min", Self::Min),
        ("avg", Self::Avg),
        ("unique", Self::Unique),
    ];

    /// The wire's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Min => "min",
            Self::Avg => "avg",
            Self::Unique => "unique",
        }
    }
}

/// What a meter computes from the events that pass its filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregation {
    function: AggregationFunction,
    /// As stored and shown, and what it names; absent for a count alone.
    property: Option<(String, Property)>,
}

impl Aggregation {
    /// The number of events.
    #[must_use]
    pub const fn count() -> Self {
        Self { function: AggregationFunction::Count, property: None }
    }

    /// A function of a property as stored (no leading `metadata.`). A count has no property and
    /// drops it. `unique` always looks at metadata, also under `name`, `source`, `timestamp`.
    #[must_use]
    pub fn of(function: AggregationFunction, property: String) -> Self {
        let parsed = match function {
            AggregationFunction::Count => return Self::count(),
            AggregationFunction::Unique => Property::metadata(&property),
            _ => Property::parse(&property),
        };
        Self { function, property: Some((property, parsed)) }
    }

    /// The function.
    #[must_use]
    pub fn function(&self) -> AggregationFunction {
        self.function
    }

    /// The property as stored and shown.
    #[must_use]
    pub fn property_text(&self) -> Option<&str> {
        self.property.as_ref().map(|(text, _)| text.as_str())
    }

    /// What the property names.
    #[must_use]
    pub fn property(&self) -> Option<&Property> {
        self.property.as_ref().map(|(_, property)| property)
    }

    /// What an event contributes; `None` if the aggregation leaves the event out.
    pub fn measure<'e>(&self, event: &'e impl EventFields) -> Option<Measure<'e>> {
        match self.property() {
            None => Some(Measure::Event),
            Some(Property::Name | Property::Source) => None,
            Some(Property::Timestamp) => {
                Some(Measure::Number(Number::Int(event.timestamp().epoch_seconds())))
            }
            Some(Property::Metadata(path)) => self.measure_value(event.property(path)),
        }
    }

    /// The same for an aggregation over metadata, given the value at its path.
    #[must_use]
    pub fn measure_value<'e>(&self, value: Option<Value<'e>>) -> Option<Measure<'e>> {
        match (self.function, value) {
            (AggregationFunction::Count, _) => Some(Measure::Event),
            (AggregationFunction::Unique, Some(value)) => Some(Measure::Value(value)),
            (AggregationFunction::Unique, None) => Some(Measure::Nothing),
            (_, Some(Value::Number(number))) => Some(Measure::Number(number)),
            _ => None,
        }
    }
}

/// What one event contributes to an aggregation.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure<'e> {
    /// Itself: it is counted.
    Event,
    /// A number to be summed or compared.
    Number(Number<'e>),
    /// A value to be told from others.
    Value(Value<'e>),
    /// It is there, but without a value.
    Nothing,
}

/// An aggregation under way. Accumulators of parts [`merge`](Self::merge) into that of the
/// whole, in any order, with the same bits.
#[derive(Debug, Clone)]
pub enum Accumulator {
    /// Of `count`.
    Count(u64),
    /// Of `sum`.
    Sum(Exact),
    /// Of `max`: the greatest so far.
    Max(Option<Exact>),
    /// Of `min`: the least so far.
    Min(Option<Exact>),
    /// Of `avg`.
    Avg {
        /// Sum of the numbers.
        sum: Exact,
        /// How many there were.
        count: u64,
    },
    /// Of `unique`: canonical texts of the values.
    Unique(HashSet<Box<str>>),
}

impl Accumulator {
    /// An empty one.
    #[must_use]
    pub fn new(function: AggregationFunction) -> Self {
        match function {
            AggregationFunction::Count => Self::Count(0),
            AggregationFunction::Sum => Self::Sum(Exact::default()),
            AggregationFunction::Max => Self::Max(None),
            AggregationFunction::Min => Self::Min(None),
            AggregationFunction::Avg => Self::Avg { sum: Exact::default(), count: 0 },
            AggregationFunction::Unique => Self::Unique(HashSet::new()),
        }
    }

    /// Adds what one event contributes.
    pub fn add(&mut self, measure: &Measure<'_>) {
        self.add_with(measure, &mut String::new());
    }

    /// The same, with space for a text that the caller keeps from one event to the next.
    pub fn add_with(&mut self, measure: &Measure<'_>, text: &mut String) {
        match (self, measure) {
            (Self::Count(count), _) => *count += 1,
            (Self::Unique(values), Measure::Value(value)) => {
                text.clear();
                value.write_canonical(text);
                if !values.contains(text.as_str()) {
                    values.insert(text.as_str().into());
                }
            }
            (Self::Sum(sum), Measure::Number(number)) => sum.add_number(number),
            (Self::Avg { sum, count }, Measure::Number(number)) => {
                sum.add_number(number);
                *count += 1;
            }
            (Self::Max(greatest), Measure::Number(number)) => keep_max(greatest, number.exact()),
            (Self::Min(least), Measure::Number(number)) => keep_min(least, number.exact()),
            (_, Measure::Event | Measure::Nothing | Measure::Number(_) | Measure::Value(_)) => {}
        }
    }

    /// Adds so many events, of which nothing but that they are there matters: to a count, or as
    /// without a value.
    pub fn add_events(&mut self, events: u64) {
        if let Self::Count(count) = self {
            *count += events;
        }
    }

    /// Adds as many events as there are mantissas, each with the number `mantissa / 10^scale`: what
    /// adding one after the other does, only faster. Of `unique` they count as without a value.
    pub fn add_numbers<M: Mantissa>(&mut self, mantissas: &[M], scale: u32) {
        let exact = |mantissa: &M| Exact::new((*mantissa).into(), scale);
        match self {
            Self::Count(count) => *count += mantissas.len() as u64,
            Self::Sum(sum) => M::add_all(mantissas, scale, sum),
            Self::Avg { sum, count } => {
                M::add_all(mantissas, scale, sum);
                *count += mantissas.len() as u64;
            }
            Self::Max(greatest) => {
                if let Some(value) = mantissas.iter().max() {
                    keep_max(greatest, exact(value));
                }
            }
            Self::Min(least) => {
                if let Some(value) = mantissas.iter().min() {
                    keep_min(least, exact(value));
                }
            }
            Self::Unique(_) => {}
        }
    }

    /// Adds an event with an exact number; of `unique`, the number is its value.
    pub fn add_exact(&mut self, number: &Exact) {
        match self {
            Self::Count(count) => *count += 1,
            Self::Sum(sum) => sum.add(number),
            Self::Avg { sum, count } => {
                sum.add(number);
                *count += 1;
            }
            Self::Max(greatest) => keep_max(greatest, number.clone()),
            Self::Min(least) => keep_min(least, number.clone()),
            Self::Unique(values) => {
                values.insert(number.canonical_text().into());
            }
        }
    }

    /// Adds what another accumulator of the same function holds.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(count), Self::Count(more)) => *count += more,
            (Self::Sum(sum), Self::Sum(more)) => sum.add(more),
            (Self::Max(greatest), Self::Max(Some(more))) => keep_max(greatest, more.clone()),
            (Self::Min(least), Self::Min(Some(more))) => keep_min(least, more.clone()),
            (Self::Avg { sum, count }, Self::Avg { sum: more, count: more_count }) => {
                sum.add(more);
                *count += more_count;
            }
            (Self::Unique(values), Self::Unique(more)) => values.extend(more.iter().cloned()),
            (_, _) => {}
        }
    }

    /// The value; 0 if there was nothing. An average is its nearest f64, as a decimal.
    #[must_use]
    pub fn finish(&self) -> Exact {
        match self {
            Self::Count(count) => Exact::count(*count),
            Self::Sum(sum) => sum.clone(),
            Self::Max(extreme) | Self::Min(extreme) => extreme.clone().unwrap_or_default(),
            Self::Avg { sum, count } => Exact::from_shortest_decimal(sum.divided_by(*count)),
            Self::Unique(values) => Exact::count(values.len() as u64),
        }
    }
}

/// Integers that numbers of one scale are kept as.
pub trait Mantissa: Copy + Ord + Into<i128> {
    /// Adds each of these numbers of one scale to a sum.
    fn add_all(mantissas: &[Self], scale: u32, sum: &mut Exact);
}

impl Mantissa for i64 {
    fn add_all(mantissas: &[Self], scale: u32, sum: &mut Exact) {
        // No slice is long enough for 128 bits to overflow.
        let total: i128 = mantissas.iter().map(|&mantissa| i128::from(mantissa)).sum();
        sum.add(&Exact::new(total, scale));
    }
}

impl Mantissa for i128 {
    fn add_all(mantissas: &[Self], scale: u32, sum: &mut Exact) {
        for &mantissa in mantissas {
            sum.add(&Exact::new(mantissa, scale));
        }
    }
}

fn keep_max(greatest: &mut Option<Exact>, value: Exact) {
    if greatest.as_ref().is_none_or(|greatest| value > *greatest) {
        *greatest = Some(value);
    }
}

fn keep_min(least: &mut Option<Exact>, value: Exact) {
    if least.as_ref().is_none_or(|least| value < *least) {
        *least = Some(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn function() -> impl Strategy<Value = AggregationFunction> {
        proptest::sample::select(AggregationFunction::ALL.map(|(_, function)| function).to_vec())
    }

    /// What it comes to, and what it holds.
    fn facts(of: &Accumulator) -> (String, String) {
        (of.finish().canonical_text(), format!("{of:?}").chars().take(3).collect())
    }

    proptest! {
        #[test]
        fn many_numbers_at_once_are_as_one_by_one(
            function in function(),
            mantissas in prop::collection::vec(any::<i64>(), 0..20),
            wide in prop::collection::vec(any::<i128>(), 0..20),
            scale in 0_u8..12,
        ) {
            prop_assume!(function != AggregationFunction::Unique);
            let (mut one, mut many) = (Accumulator::new(function), Accumulator::new(function));
            for &mantissa in &mantissas {
                let number = Exact::new(mantissa.into(), scale.into());
                one.add_exact(&number);
            }
            many.add_numbers(&mantissas, scale.into());
            prop_assert_eq!(facts(&one), facts(&many));
            for &mantissa in &wide {
                one.add_exact(&Exact::new(mantissa, scale.into()));
            }
            many.add_numbers(&wide, scale.into());
            prop_assert_eq!(facts(&one), facts(&many));
        }

        #[test]
        fn an_exact_number_is_added_as_the_number_is(
            function in function(),
            numbers in prop::collection::vec((any::<i32>(), 0_u8..=12), 0..20),
        ) {
            let (mut one, mut other) = (Accumulator::new(function), Accumulator::new(function));
            for (mantissa, scale) in numbers {
                let number = Number::decimal(mantissa.into(), scale).unwrap_or(Number::Int(0));
                let measure = match function {
                    AggregationFunction::Count => Measure::Event,
                    AggregationFunction::Unique => Measure::Value(Value::Number(number.clone())),
                    _ => Measure::Number(number.clone()),
                };
                one.add(&measure);
                other.add_exact(&number.exact());
            }
            prop_assert_eq!(facts(&one), facts(&other));
        }
    }
}
