//! Which rows a definition counts, and what they contribute, as columns.

use floe_core::{AggregationFunction, Measure};

use super::Definition;
use super::numbers::Numbers;
use super::texts::TextCodes;
use crate::embedded::chunk::Row;
use crate::embedded::query::{Condition, RowsPlan, is_usage};
use crate::embedded::rows::Rows;
use crate::embedded::view::Selected;

/// The rows that a definition counts, with what they contribute.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// Ascending.
    pub(super) rows: Vec<Row>,
    pub(super) contributions: Contributions,
}

/// What rows contribute, in their order.
#[derive(Debug, Default)]
pub(super) enum Contributions {
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
pub(super) struct Values {
    pub(super) codes: Vec<u32>,
    pub(super) texts: TextCodes,
}

/// The code of rows that are there without a value.
pub(super) const NO_VALUE: u32 = 0;

impl Contributions {
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

/// Finds matches one row after the other. This is what they are: the way by columns is tested
/// against it.
pub(super) fn by_row(definition: &Definition, rows: Rows<'_>) -> Matches {
    let condition = Condition {
        name: Some(&is_usage),
        metadata: &[],
        filters: &[&definition.filter],
        aggregation: Some(&definition.aggregation),
    };
    let mut matches = Matches {
        rows: Vec::new(),
        contributions: Contributions::new(definition.aggregation.function()),
    };
    let mut text = String::new();
    RowsPlan::new(condition, rows).each_match(rows, Selected::All, |row, measure| {
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
