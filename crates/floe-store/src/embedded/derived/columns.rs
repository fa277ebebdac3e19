//! Finds matches column by column.
//!
//! A clause is asked once for each distinct text of a column and for each other value once, without
//! a look at the rows' other columns. What a clause says of a value, and what a value contributes,
//! are calls into `floe-core`; that this is the same as going row by row is tested.

use arrow_array::{Array as _, Int32Array};
use floe_core::{
    Aggregation, AggregationFunction, EventSource, FilterClause, Measure, Number, Property,
    Timestamp, Value,
};
use rustc_hash::FxHashMap;

use super::matches::{Contributions, Matches, NO_VALUE, Values};
use super::numbers::Numbers;
use super::position;
use crate::embedded::chunk::Row;
use crate::embedded::query::{Condition, Names, is_usage};
use crate::embedded::rows::Rows;
use crate::embedded::segment::{Batch, Column, Kind, SealedSlot};

/// Events that are looked at column by column: those of a segment here, those in memory in
/// [`super::chunk_columns`].
pub(super) trait Columns {
    /// The same events as rows.
    fn rows(&self) -> Rows<'_>;

    /// Whether no event is Floe's own, as far as that is known without a look at them.
    fn is_of_users(&self) -> bool;

    /// Takes off the rows that have no value at a path for which this holds.
    fn keep_values(&self, path: &[String], kept: &mut [bool], holds: impl Fn(&Value<'_>) -> bool);

    /// The numbers of the kept rows at a path; those without one are taken off.
    fn numbers(&self, path: &[String], aggregation: &Aggregation, kept: &mut [bool]) -> Matches;

    /// The codes of the kept rows' values at a path; a row without a value is kept.
    fn values(&self, path: &[String], kept: &[bool]) -> Matches;
}

impl Columns for Batch {
    fn rows(&self) -> Rows<'_> {
        Rows::Sealed(self)
    }

    fn is_of_users(&self) -> bool {
        Self::is_of_users(self)
    }

    fn keep_values(&self, path: &[String], kept: &mut [bool], holds: impl Fn(&Value<'_>) -> bool) {
        keep_values(self, &self.resolve(path), kept, holds);
    }

    fn numbers(&self, path: &[String], aggregation: &Aggregation, kept: &mut [bool]) -> Matches {
        numbers(self, &self.resolve(path), aggregation, kept)
    }

    fn values(&self, path: &[String], kept: &[bool]) -> Matches {
        values(self, &self.resolve(path), kept)
    }
}

/// Finds the rows that meet a condition.
pub(super) fn by_column(condition: Condition<'_>, columns: &impl Columns) -> Matches {
    let Condition { names, metadata, filters, aggregation } = condition;
    let mut kept = vec![true; columns.rows().len()];
    match names {
        Names::All => {}
        // What users send is all usage.
        Names::Usage if columns.is_of_users() => {}
        Names::Usage => keep_names(columns.rows(), &mut kept, is_usage),
        Names::These(test) => keep_names(columns.rows(), &mut kept, test),
    }
    for condition in metadata {
        let path = std::slice::from_ref(&condition.key);
        columns.keep_values(path, &mut kept, |value| condition.holds(Some(value)));
    }
    for filter in filters.into_iter().flatten() {
        filter.keep(&mut kept, &mut |clause, kept| keep_clause(columns, clause, kept));
    }
    match aggregation {
        Some(aggregation) => contributions(columns, aggregation, &mut kept),
        None => Matches { rows: rows_of(&kept), contributions: Contributions::Events },
    }
}

pub(super) fn rows_of(kept: &[bool]) -> Vec<Row> {
    (0..).zip(kept).filter(|(_, kept)| **kept).map(|(row, _)| row).collect()
}

fn keep_clause(columns: &impl Columns, clause: &FilterClause, kept: &mut [bool]) {
    let rows = columns.rows();
    match clause.property() {
        Property::Name => keep_names(rows, kept, |_, name| clause.holds_for_field(name)),
        Property::Source => {
            keep_names(rows, kept, |source, _| clause.holds_for_field(source.as_str()));
        }
        Property::Timestamp => {
            for (kept, micros) in kept.iter_mut().zip(rows.all_micros()) {
                *kept = *kept && clause.holds_for_timestamp(epoch_seconds(*micros));
            }
        }
        Property::Metadata(path) => {
            columns.keep_values(path, kept, |value| clause.holds_for_value(value));
        }
    }
}

fn epoch_seconds(micros: i64) -> i64 {
    Timestamp::from_micros(micros).unwrap_or(Timestamp::MAX).epoch_seconds()
}

/// Takes off the rows whose source and name do not hold.
fn keep_names(rows: Rows<'_>, kept: &mut [bool], holds: impl Fn(EventSource, &str) -> bool) {
    let verdicts: Vec<bool> =
        rows.names().iter().map(|(source, name)| holds(*source, name)).collect();
    if verdicts.iter().all(|holds| *holds) {
        return;
    }
    for (row, kept) in (0..).zip(kept) {
        *kept = *kept && verdicts[rows.name_code_of(row) as usize];
    }
}

/// Takes off the rows that have no value at a slot for which this holds.
fn keep_values(
    batch: &Batch,
    slot: &SealedSlot,
    kept: &mut [bool],
    holds: impl Fn(&Value<'_>) -> bool,
) {
    let mut held = vec![false; kept.len()];
    for (kind, column) in batch.columns_at(slot) {
        hold(column, kind, kept, &mut held, &holds);
    }
    for row in rows_elsewhere(batch, slot, kept) {
        held[row as usize] |= batch.value(row, slot).is_some_and(|value| holds(&value));
    }
    kept.copy_from_slice(&held);
}

/// The kept rows whose value at a slot may be in none of its columns.
fn rows_elsewhere(batch: &Batch, slot: &SealedSlot, kept: &[bool]) -> Vec<Row> {
    if !batch.has_elsewhere(slot) {
        return Vec::new();
    }
    let mut marks = vec![false; kept.len()];
    batch.mark_elsewhere(slot, &mut marks);
    for (_, column) in batch.columns_at(slot) {
        for (mark, row) in marks.iter_mut().zip(0..) {
            *mark = *mark && !column.is_present(row);
        }
    }
    marks.iter_mut().zip(kept).for_each(|(mark, kept)| *mark &= kept);
    rows_of(&marks)
}

/// Calls `visit` with the kept rows that are valid in an array.
fn each_present(array: &impl arrow_array::Array, kept: &[bool], mut visit: impl FnMut(usize)) {
    match array.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
        None => (0..kept.len()).filter(|&row| kept[row]).for_each(visit),
        Some(nulls) => nulls.valid_indices().for_each(|row| {
            if kept[row] {
                visit(row);
            }
        }),
    }
}

fn code(codes: &Int32Array, row: usize) -> usize {
    usize::try_from(codes.value(row)).unwrap_or(0)
}

/// Marks the kept rows whose value in a column holds.
fn hold(
    column: &Column,
    kind: Kind,
    kept: &[bool],
    held: &mut [bool],
    holds: &impl Fn(&Value<'_>) -> bool,
) {
    let holds_for = |row: usize| column.value(kind, row).is_some_and(|value| holds(&value));
    match column {
        Column::Int(values) => each_present(values, kept, |row| {
            held[row] = holds(&Value::Number(Number::Int(values.value(row))));
        }),
        Column::Float(values) => each_present(values, kept, |row| {
            held[row] = holds(&Value::Number(Number::Float(values.value(row))));
        }),
        Column::Decimal(values) => each_present(values, kept, |row| held[row] = holds_for(row)),
        Column::Bool(values) => {
            // Two states at most, of which each is asked about once.
            let mut verdicts = [None; 2];
            each_present(values, kept, |row| {
                let verdict = &mut verdicts[usize::from(values.value(row))];
                held[row] = *verdict.get_or_insert_with(|| holds_for(row));
            });
        }
        Column::Text(values) => each_present(values, kept, |row| {
            held[row] = holds(&Value::String(values.value(row).into()));
        }),
        Column::Coded(codes, texts) => {
            let verdict =
                |text: Option<&str>| holds(&Value::String(text.unwrap_or_default().into()));
            let verdicts: Vec<bool> = texts.iter().map(verdict).collect();
            each_present(codes, kept, |row| {
                held[row] = verdicts.get(code(codes, row)).copied().unwrap_or(false);
            });
        }
        Column::Instant(_)
        | Column::Bytes(_)
        | Column::CodedBytes(..)
        | Column::Absent
        | Column::Failed => {}
    }
}

/// What the kept rows contribute; those that an aggregation leaves out are taken off.
fn contributions(columns: &impl Columns, aggregation: &Aggregation, kept: &mut [bool]) -> Matches {
    match (aggregation.function(), aggregation.property()) {
        (_, None) => Matches { rows: rows_of(kept), contributions: Contributions::Events },
        (_, Some(Property::Name | Property::Source)) => {
            Matches { rows: Vec::new(), contributions: Contributions::new(aggregation.function()) }
        }
        (_, Some(Property::Timestamp)) => {
            let rows = rows_of(kept);
            let mut numbers = Numbers::default();
            let micros = columns.rows().all_micros();
            for &row in &rows {
                numbers.push_int(micros.get(row as usize).map_or(0, |&at| epoch_seconds(at)));
            }
            Matches { rows, contributions: Contributions::Numbers(numbers) }
        }
        (AggregationFunction::Unique, Some(Property::Metadata(path))) => columns.values(path, kept),
        (_, Some(Property::Metadata(path))) => columns.numbers(path, aggregation, kept),
    }
}

/// The numbers of kept rows.
fn numbers(
    batch: &Batch,
    slot: &SealedSlot,
    aggregation: &Aggregation,
    kept: &mut [bool],
) -> Matches {
    let counts = |value| match aggregation.measure_value(Some(value)) {
        Some(Measure::Number(number)) => Some(number.into_owned()),
        _ => None,
    };
    let elsewhere: FxHashMap<Row, Number<'static>> = rows_elsewhere(batch, slot, kept)
        .into_iter()
        .filter_map(|row| Some((row, counts(batch.value(row, slot)?)?)))
        .collect();
    let is_number =
        |(kind, _): &(Kind, &Column)| matches!(kind, Kind::Int | Kind::Float | Kind::Decimal);
    let columns: Vec<(Kind, &Column)> = batch.columns_at(slot).filter(is_number).collect();
    match columns.as_slice() {
        [(_, column)] if elsewhere.is_empty() => keep_present(column, kept),
        columns => {
            for (row, kept) in kept.iter_mut().enumerate() {
                *kept = *kept
                    && (columns.iter().any(|(_, column)| column.is_present(row))
                        || elsewhere.contains_key(&position(row)));
            }
        }
    }
    let rows = rows_of(kept);
    let mut numbers = Numbers::default();
    match columns.as_slice() {
        [(_, Column::Int(values))] if elsewhere.is_empty() => {
            rows.iter().for_each(|&row| numbers.push_int(values.value(row as usize)));
        }
        [(_, Column::Float(values))] if elsewhere.is_empty() => {
            rows.iter().for_each(|&row| numbers.push_float(values.value(row as usize)));
        }
        columns => {
            for &row in &rows {
                let value = columns.iter().find_map(|(kind, of)| of.value(*kind, row as usize));
                match (value, elsewhere.get(&row)) {
                    (Some(Value::Number(number)), _) => numbers.push(&number),
                    (_, Some(number)) => numbers.push(number),
                    // Not kept.
                    (_, None) => {}
                }
            }
        }
    }
    Matches { rows, contributions: Contributions::Numbers(numbers) }
}

/// Takes off the rows that have no value in a column.
fn keep_present(column: &Column, kept: &mut [bool]) {
    let nulls = match column {
        Column::Int(values) => values.nulls(),
        Column::Float(values) => values.nulls(),
        Column::Decimal(values) => values.nulls(),
        // No column of numbers, or none of them here.
        _ => return kept.fill(false),
    };
    if let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) {
        kept.iter_mut().zip(nulls).for_each(|(kept, is_valid)| *kept &= is_valid);
    }
}

/// The codes of the kept rows' values; a row without a value is kept.
fn values(batch: &Batch, slot: &SealedSlot, kept: &[bool]) -> Matches {
    let mut found = Values::default();
    let mut of_rows = vec![NO_VALUE; kept.len()];
    let mut text = String::new();
    let mut code_of = |value: &Value<'_>| {
        text.clear();
        value.write_canonical(&mut text);
        found.texts.code(&text) + 1
    };
    for (kind, column) in batch.columns_at(slot) {
        match column {
            Column::Coded(codes, texts) => {
                let mut known = vec![NO_VALUE; texts.len()];
                each_present(codes, kept, |row| {
                    let own = code(codes, row);
                    if known[own] == NO_VALUE {
                        known[own] = code_of(&Value::String(texts.value(own).into()));
                    }
                    of_rows[row] = known[own];
                });
            }
            Column::Text(texts) => each_present(texts, kept, |row| {
                of_rows[row] = code_of(&Value::String(texts.value(row).into()));
            }),
            Column::Bool(states) => {
                let mut known = [NO_VALUE; 2];
                each_present(states, kept, |row| {
                    let known = &mut known[usize::from(states.value(row))];
                    if *known == NO_VALUE {
                        *known = column.value(kind, row).map_or(NO_VALUE, |value| code_of(&value));
                    }
                    of_rows[row] = *known;
                });
            }
            Column::Int(values) => {
                let mut known: FxHashMap<i64, u32> = FxHashMap::default();
                each_present(values, kept, |row| {
                    let value = values.value(row);
                    of_rows[row] = *known
                        .entry(value)
                        .or_insert_with(|| code_of(&Value::Number(Number::Int(value))));
                });
            }
            Column::Float(values) => each_present(values, kept, |row| {
                of_rows[row] = code_of(&Value::Number(Number::Float(values.value(row))));
            }),
            Column::Decimal(values) => each_present(values, kept, |row| {
                if let Some(value) = column.value(kind, row) {
                    of_rows[row] = code_of(&value);
                }
            }),
            Column::Instant(_)
            | Column::Bytes(_)
            | Column::CodedBytes(..)
            | Column::Absent
            | Column::Failed => {}
        }
    }
    for row in rows_elsewhere(batch, slot, kept) {
        if let Some(value) = batch.value(row, slot) {
            of_rows[row as usize] = code_of(&value);
        }
    }
    let rows = rows_of(kept);
    found.codes = rows.iter().map(|&row| of_rows[row as usize]).collect();
    Matches { rows, contributions: Contributions::Values(found) }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use floe_core::{
        Clause, ClauseValue, Conjunction, CustomerRef, Filter, METER_CREDITED, Metadata, NewEvent,
        Operator, OrganizationId, Sequence,
    };

    use super::super::Definition;
    use super::super::matches::{by_row, of_columns};
    use super::*;
    use crate::embedded::chunk::Chunk;
    use crate::embedded::codec::{self, EncodedEvents};
    use crate::embedded::dedup::KeyHasher;
    use crate::embedded::fs::RealFs;
    use crate::embedded::segment::{
        ColumnCounts, Segment, SegmentMeta, SegmentWriter, SharedColumns,
    };

    fn event(number: i64) -> NewEvent<'static> {
        let int = |value| Value::Number(Number::Int(value));
        let text = |text: String| Value::String(text.into());
        let mut entries: Vec<(Cow<'static, str>, Value<'static>)> = vec![
            ("long".into(), text(format!("{number:0500}"))),
            ("few".into(), text(format!("f{}", number % 5))),
            (
                "flag".into(),
                if number % 7 == 0 { Value::Null } else { Value::Bool(number % 2 == 0) },
            ),
        ];
        let mixed = match number % 8 {
            0..4 => Some(int(number % 100 - 50)),
            4 => Some(Value::Number(Number::Float((number % 40) as f64 / 8.0))),
            5 => Some(text((number % 10).to_string())),
            6 => Some(Value::Object(Metadata::from_distinct(vec![("x".into(), int(number % 3))]))),
            _ => None,
        };
        entries.extend(mixed.map(|value| ("mixed".into(), value)));
        if number % 4 != 0 {
            entries.push((
                "price".into(),
                Value::Number(Number::Float((number % 1000) as f64 / 100.0)),
            ));
        }
        if number % 3 == 0 {
            let amount = Number::decimal(number % 1000, 3).unwrap();
            let cost = vec![("amount".into(), Value::Number(amount))];
            entries.push(("_cost".into(), Value::Object(Metadata::from_distinct(cost))));
        }
        match number % 1000 {
            1 => entries.push(("rare".into(), int(number))),
            2 => entries.push(("few2".into(), Value::Number(Number::Big("9".repeat(30).into())))),
            3 => entries.push(("rare".into(), Value::Array(vec![int(1)]))),
            _ => {}
        }
        let is_credit = number % 500 == 9;
        NewEvent {
            name: if is_credit {
                METER_CREDITED
            } else {
                ["a", "b", "c"][usize::try_from(number).unwrap() % 3]
            }
            .into(),
            source: if number % 50 == 9 { EventSource::System } else { EventSource::User },
            customer: CustomerRef::External(format!("c{}", number % 9).into()),
            timestamp: Timestamp::from_micros(number * 700_000).unwrap(),
            external_id: None,
            parent_id: None,
            external_member_id: None,
            metadata: Metadata::from_distinct(entries),
        }
    }

    /// A segment with columns of each kind: texts with and without a dictionary, numbers of two
    /// kinds at one path, objects, and what is only in the JSON column.
    fn segment(folder: &std::path::Path, events: i64) -> Arc<Segment> {
        let path = folder.join("a.parquet");
        let mut counts = ColumnCounts::default();
        (0..events).for_each(|number| counts.add_event(&event(number).metadata));
        let mut writer = SegmentWriter::create(&RealFs, &path, counts, 512).unwrap();
        for number in 0..events {
            let at = Timestamp::from_micros(number).unwrap();
            writer.push(Sequence(number.cast_unsigned()), at, &event(number)).unwrap();
        }
        let written = writer.finish().unwrap();
        let (first_sequence, last_sequence) = written.sequences.unwrap();
        let (first_micros, last_micros) = written.micros.unwrap();
        let meta = SegmentMeta {
            id: 1,
            first_number: 0,
            rows: written.rows,
            first_sequence,
            last_sequence,
            first_micros,
            last_micros,
            last_ingested_micros: events - 1,
            bytes: written.bytes,
            data_bytes: written.data_bytes,
            end_crc32c: written.end_crc32c,
        };
        let shared = Arc::new(SharedColumns::new(1 << 20));
        Arc::new(Segment::open(&RealFs, &path, meta, &shared).unwrap())
    }

    fn filters() -> Vec<Filter> {
        let text = |text: &str| ClauseValue::Text(text.to_owned());
        let clause = |property: &str, operator, value| {
            Clause::Leaf(FilterClause::new(property.to_owned(), operator, value).unwrap())
        };
        let of = |conjunction, clauses| Filter { conjunction, clauses };
        let all = |clauses| of(Conjunction::And, clauses);
        vec![
            Filter::all(),
            all(vec![clause("few", Operator::Eq, text("f1"))]),
            all(vec![
                clause("few", Operator::Ne, text("f1")),
                clause("name", Operator::Eq, text("b")),
            ]),
            all(vec![clause("long", Operator::Like, text("77"))]),
            all(vec![clause("mixed", Operator::Gt, ClauseValue::Int(2))]),
            all(vec![clause("mixed", Operator::Like, text("1"))]),
            all(vec![clause("mixed", Operator::NotLike, text("1"))]),
            all(vec![clause("mixed.x", Operator::Eq, ClauseValue::Int(1))]),
            all(vec![clause("flag", Operator::Eq, ClauseValue::Bool(true))]),
            all(vec![clause("flag", Operator::Like, text("a"))]),
            all(vec![clause("rare", Operator::Gte, ClauseValue::Int(3000))]),
            all(vec![clause("_cost.amount", Operator::Lt, ClauseValue::Int(1))]),
            all(vec![clause("source", Operator::Eq, text("system"))]),
            all(vec![clause("timestamp", Operator::Lt, ClauseValue::Int(2000))]),
            of(
                Conjunction::Or,
                vec![
                    clause("few", Operator::Eq, text("f1")),
                    clause("price", Operator::Gt, ClauseValue::Int(5)),
                    Clause::Filter(all(vec![clause("nothing", Operator::Eq, text(""))])),
                ],
            ),
        ]
    }

    /// Rows with their numbers or values.
    fn facts(matches: &Matches) -> Vec<(Row, Option<String>)> {
        let fact = |(place, &row): (usize, &Row)| (row, matches.contributions.text(place));
        matches.rows.iter().enumerate().map(fact).collect()
    }

    /// Finds the same matches both ways, for all filters and aggregations.
    fn compare(columns: &impl Columns) {
        let properties = [
            "few",
            "long",
            "mixed",
            "mixed.x",
            "flag",
            "price",
            "rare",
            "few2",
            "_cost",
            "_cost.amount",
            "timestamp",
            "name",
            "nothing",
        ];
        let mut rows = 0;
        for filter in filters() {
            let (sum, unique) = (AggregationFunction::Sum, AggregationFunction::Unique);
            for function in [AggregationFunction::Count, sum, unique] {
                for property in properties {
                    if function == AggregationFunction::Count && property != "few" {
                        continue;
                    }
                    let aggregation = Aggregation::of(function, property.to_owned());
                    let definition = Definition::new(&filter, &aggregation).unwrap();
                    let expected = facts(&by_row(&definition, columns.rows()));
                    let got = facts(&of_columns(&definition, columns));
                    assert_eq!(got, expected, "{filter:?} {function:?} {property}");
                    rows += got.len();
                }
            }
        }
        assert!(rows > 200_000, "{rows}");
    }

    #[test]
    fn columns_in_memory_are_as_rows() {
        let mut chunk = Chunk::default();
        for number in 0..4500 {
            let mut bytes =
                EncodedEvents::new(OrganizationId(uuid::Uuid::nil()), &KeyHasher::new(&[0; 16]), 1);
            bytes.push(&event(number));
            let at = Timestamp::from_micros(number).unwrap();
            let raw = codec::read_event(bytes.event(0)).unwrap();
            chunk.push(Sequence(number.cast_unsigned()), at, &raw).unwrap();
        }
        compare(&chunk);
    }

    #[test]
    fn columns_of_a_segment_are_as_rows() {
        let folder = tempfile::tempdir().unwrap();
        let segment = segment(folder.path(), 4500);
        let batch = Batch::of_group(&segment, 0);
        assert_eq!(batch.len(), 4500);
        compare(&batch);
        batch.check().unwrap();
        let is_coded = |path: &str| {
            let slot = batch.resolve(&[path.to_owned()]);
            batch.columns_at(&slot).any(|(_, column)| matches!(column, Column::Coded(..)))
        };
        assert!(is_coded("few") && !is_coded("long"));
    }
}
