//! Which rows a definition counts, and what they contribute, as columns.

use floe_core::{Accumulator, AggregationFunction, CustomerSlot, Measure, QuantityAccumulator};

use super::Definition;
use super::columns::{Columns, by_column};
use super::numbers::Numbers;
use super::rollup::distinct;
use super::texts::TextCodes;
use crate::embedded::chunk::Row;
use crate::embedded::query::{Condition, Names, RowsPlan};
use crate::embedded::rows::Rows;
use crate::embedded::view::Selected;

/// The rows that a definition counts, with what they contribute.
#[derive(Debug, Default)]
pub(in super::super) struct Matches {
    /// Ascending.
    pub(in super::super) rows: Vec<Row>,
    pub(super) contributions: Contributions,
}

/// What rows contribute, in their order.
#[derive(Debug, Default)]
pub(in super::super) enum Contributions {
    /// Themselves: they are counted.
    #[default]
    Events,
    /// A number each.
    Numbers(Numbers),
    /// A value each, or none.
    Values(Values),
}

/// Codes of the values of rows, [`NO_VALUE`] where there is none; a value's code is one more than
/// that of its canonical text.
#[derive(Debug, Default)]
pub(in super::super) struct Values {
    pub(super) codes: Vec<u32>,
    pub(super) texts: TextCodes,
}

/// The code of rows that are there without a value.
pub(super) const NO_VALUE: u32 = 0;

impl Matches {
    /// Adds matches to the buckets and customers that `place` gives for their rows, if any.
    pub(in super::super) fn add_to(
        &self,
        accumulator: &mut QuantityAccumulator,
        mut place: impl FnMut(Row, &mut QuantityAccumulator) -> Option<(usize, CustomerSlot)>,
    ) {
        let function = accumulator.function();
        let mut of_codes = Vec::new();
        if let Contributions::Values(values) = &self.contributions {
            of_codes.resize(values.texts.texts().len(), None);
        }
        let mut from = 0;
        let mut here = self.rows.first().and_then(|&row| place(row, accumulator));
        while from < self.rows.len() {
            // Rows of one bucket and customer often stand together.
            let (mut to, mut next) = (from + 1, None);
            while let Some(&row) = self.rows.get(to) {
                next = place(row, accumulator);
                if next != here {
                    break;
                }
                to += 1;
            }
            if let Some((bucket, customer)) = here {
                let mut part = Accumulator::new(function);
                match &self.contributions {
                    Contributions::Events => part.add_events((to - from) as u64),
                    Contributions::Numbers(numbers) => numbers.add_to(from..to, &mut part),
                    Contributions::Values(values) => {
                        let codes = &values.codes[from..to];
                        let texts = values.texts.texts();
                        let values = distinct(codes, &mut of_codes, texts, accumulator);
                        accumulator.cell(bucket, customer).add_values(values);
                    }
                }
                accumulator.cell(bucket, customer).merge(&part);
            }
            (from, here) = (to, next);
        }
    }
}

impl Contributions {
    /// The canonical text of the number or value at a place, if there is one.
    pub(super) fn text(&self, place: usize) -> Option<String> {
        match self {
            Self::Events => None,
            Self::Numbers(numbers) => Some(numbers.get(place).canonical_text()),
            Self::Values(values) => match values.codes[place] {
                NO_VALUE => None,
                code => Some(values.texts.texts().get(code as usize - 1).to_owned()),
            },
        }
    }

    pub(super) fn new(function: AggregationFunction) -> Self {
        match function {
            AggregationFunction::Count => Self::Events,
            AggregationFunction::Unique => Self::Values(Values::default()),
            AggregationFunction::Sum
            | AggregationFunction::Max
            | AggregationFunction::Min
            | AggregationFunction::Avg => Self::Numbers(Numbers::default()),
        }
    }
}

impl Definition {
    /// Which events count.
    pub(in super::super) fn condition(&self) -> Condition<'_> {
        Condition {
            names: Names::Usage,
            metadata: &[],
            filters: [Some(&self.filter), None],
            aggregation: Some(&self.aggregation),
        }
    }
}

/// Finds matches one row after the other. This is what they are: the way by columns is tested
/// against it.
pub(super) fn by_row(definition: &Definition, rows: Rows<'_>) -> Matches {
    let mut matches = Matches {
        rows: Vec::new(),
        contributions: Contributions::new(definition.aggregation.function()),
    };
    let mut text = String::new();
    RowsPlan::new(definition.condition(), rows).each_match(rows, Selected::All, |row, measure| {
        matches.rows.push(row);
        match (&mut matches.contributions, measure) {
            (Contributions::Numbers(numbers), Measure::Number(number)) => numbers.push(&number),
            (Contributions::Values(values), Measure::Value(value)) => {
                text.clear();
                value.write_canonical(&mut text);
                values.codes.push(values.texts.code(&text) + 1);
            }
            (Contributions::Values(values), _) => values.codes.push(NO_VALUE),
            // An aggregation of numbers measures numbers, and a count needs no more than the row.
            (Contributions::Events | Contributions::Numbers(_), _) => {}
        }
    });
    matches
}

/// The same by columns.
pub(super) fn of_columns(definition: &Definition, columns: &impl Columns) -> Matches {
    by_column(definition.condition(), columns)
}

/// The rows that meet a condition, found by columns.
pub(in super::super) fn matching(condition: Condition<'_>, rows: Rows<'_>) -> Matches {
    match rows {
        Rows::Tail(chunk) => by_column(condition, chunk),
        Rows::Sealed(batch) => by_column(condition, batch),
    }
}
