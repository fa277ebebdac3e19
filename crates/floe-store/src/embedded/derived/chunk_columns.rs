//! Finds matches in memory column by column, as [`super::columns`] does in segments.

use floe_core::{Aggregation, Measure, Number, Value};

use super::columns::{Columns, rows_of};
use super::matches::{Contributions, Matches, NO_VALUE, Values};
use super::numbers::Numbers;
use crate::embedded::chunk::{Chunk, Row, ShapeValues, Slot};
use crate::embedded::rows::Rows;

/// Where a path stands in the events of one shape.
struct Place<'c> {
    slot: Slot,
    values: ShapeValues<'c>,
}

/// Where a path stands, by shape.
fn places<'c>(chunk: &'c Chunk, path: &[String]) -> Vec<Place<'c>> {
    let place = |shape| {
        let slot = chunk.resolve(shape, path);
        let values = chunk.values_at(shape, &slot);
        Place { slot, values }
    };
    (0..chunk.shape_count()).map(place).collect()
}

impl Columns for Chunk {
    fn rows(&self) -> Rows<'_> {
        Rows::Tail(self)
    }

    fn is_of_users(&self) -> bool {
        false
    }

    fn keep_values(&self, path: &[String], kept: &mut [bool], holds: impl Fn(&Value<'_>) -> bool) {
        let places = places(self, path);
        // Each text is asked about once.
        let mut verdicts: Vec<Option<bool>> = Vec::new();
        for (row, kept) in (0..).zip(kept).filter(|(_, kept)| **kept) {
            let Place { slot, values } = &places[self.shape_of(row)];
            let position = self.position_of(row);
            *kept = match values {
                ShapeValues::None => false,
                ShapeValues::Ints(values) => holds(&Value::Number(Number::Int(values[position]))),
                ShapeValues::Floats(values) => {
                    holds(&Value::Number(Number::Float(values[position])))
                }
                ShapeValues::Texts(codes) => {
                    let code = codes[position];
                    if verdicts.is_empty() {
                        verdicts.resize(self.text_count(), None);
                    }
                    *verdicts[code as usize]
                        .get_or_insert_with(|| holds(&Value::String(self.text(code).into())))
                }
                ShapeValues::Any => self.value(row, slot).is_some_and(|value| holds(&value)),
            };
        }
    }

    fn numbers(&self, path: &[String], aggregation: &Aggregation, kept: &mut [bool]) -> Matches {
        let places = places(self, path);
        let mut numbers = Numbers::default();
        for (row, kept) in (0..).zip(kept.iter_mut()).filter(|(_, kept)| **kept) {
            let Place { slot, values } = &places[self.shape_of(row)];
            let position = self.position_of(row);
            match values {
                ShapeValues::Ints(values) => numbers.push_int(values[position]),
                ShapeValues::Floats(values) => numbers.push_float(values[position]),
                // A text is no number.
                ShapeValues::None | ShapeValues::Texts(_) => *kept = false,
                ShapeValues::Any => match aggregation.measure_value(self.value(row, slot)) {
                    Some(Measure::Number(number)) => numbers.push(&number),
                    _ => *kept = false,
                },
            }
        }
        Matches { rows: rows_of(kept), contributions: Contributions::Numbers(numbers) }
    }

    fn values(&self, path: &[String], kept: &[bool]) -> Matches {
        let places = places(self, path);
        let mut found = Values::default();
        let mut text = String::new();
        let mut known = Vec::new();
        let rows = rows_of(kept);
        let code = |&row: &Row| {
            let Place { slot, values } = &places[self.shape_of(row)];
            let mut code_of = |value: &Value<'_>| {
                text.clear();
                value.write_canonical(&mut text);
                found.texts.code(&text) + 1
            };
            match values {
                ShapeValues::None => NO_VALUE,
                ShapeValues::Texts(codes) => {
                    let code = codes[self.position_of(row)];
                    if known.is_empty() {
                        known.resize(self.text_count(), NO_VALUE);
                    }
                    let known = &mut known[code as usize];
                    if *known == NO_VALUE {
                        *known = code_of(&Value::String(self.text(code).into()));
                    }
                    *known
                }
                ShapeValues::Ints(_) | ShapeValues::Floats(_) | ShapeValues::Any => {
                    self.value(row, slot).map_or(NO_VALUE, |value| code_of(&value))
                }
            }
        };
        found.codes = rows.iter().map(code).collect();
        Matches { rows, contributions: Contributions::Values(found) }
    }
}
