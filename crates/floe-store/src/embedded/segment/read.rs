//! Reading a segment: rows of one row group, whose columns are read when they are first asked for.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::DataType;
use floe_core::limits::COST_DECIMAL_PLACES_MAX;
use floe_core::{
    CustomerId, CustomerRef, EventSource, Metadata, NewEvent, Number, Sequence, Timestamp, Value,
};
use uuid::Uuid;

use super::layout::{FIXED_COLUMNS, Kind};
use super::{Segment, SegmentError, rest};
use crate::embedded::chunk::Row;

pub(super) const SEQUENCE: usize = 0;
pub(super) const TIMESTAMP: usize = 1;
pub(super) const INGESTED_AT: usize = 2;
const NAME: usize = 3;
pub(super) const SOURCE: usize = 4;
const CUSTOMER_ID: usize = 5;
const EXTERNAL_CUSTOMER_ID: usize = 6;
const EXTERNAL_ID: usize = 7;
const PARENT_ID: usize = 8;
const EXTERNAL_MEMBER_ID: usize = 9;
pub(super) const REST: usize = 10;
const ORDER: usize = 11;

/// Consecutive rows of one row group.
#[derive(Debug)]
pub(in super::super) struct Batch {
    segment: Arc<Segment>,
    group: usize,
    /// Rows within the row group.
    rows: Range<usize>,
    columns: Vec<OnceLock<Column>>,
    names: OnceLock<Names>,
    customers: OnceLock<Customers>,
    /// The first failure to read a column: its values read as absent from then on, so whoever used
    /// this batch asks [`Batch::check`] before it believes what it saw.
    failed: OnceLock<SegmentError>,
}

/// A column in memory.
#[derive(Debug)]
pub(in super::super) enum Column {
    Int(Int64Array),
    Instant(TimestampMicrosecondArray),
    Float(Float64Array),
    Bool(BooleanArray),
    Decimal(Decimal128Array),
    Text(StringArray),
    /// Codes into distinct texts.
    Coded(Int32Array, StringArray),
    Bytes(BinaryArray),
    CodedBytes(Int32Array, BinaryArray),
    /// It has no value here.
    Absent,
    /// It could not be read.
    Failed,
}

impl Column {
    fn of(array: &ArrayRef) -> Self {
        match array.data_type() {
            DataType::Int64 => Self::Int(array.as_primitive::<Int64Type>().clone()),
            DataType::Timestamp(..) => {
                Self::Instant(array.as_primitive::<TimestampMicrosecondType>().clone())
            }
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>().clone()),
            DataType::Boolean => Self::Bool(array.as_boolean().clone()),
            DataType::Decimal128(..) => {
                Self::Decimal(array.as_primitive::<Decimal128Type>().clone())
            }
            DataType::Utf8 => Self::Text(array.as_string::<i32>().clone()),
            DataType::Binary => Self::Bytes(array.as_binary::<i32>().clone()),
            DataType::Dictionary(..) => {
                let coded = array.as_dictionary::<Int32Type>();
                match coded.values().data_type() {
                    DataType::Binary => Self::CodedBytes(
                        coded.keys().clone(),
                        coded.values().as_binary::<i32>().clone(),
                    ),
                    _ => {
                        Self::Coded(coded.keys().clone(), coded.values().as_string::<i32>().clone())
                    }
                }
            }
            _ => Self::Failed,
        }
    }

    fn instant(&self, row: usize) -> i64 {
        match self {
            Self::Instant(values) => values.value(row),
            Self::Int(values) => values.value(row),
            _ => 0,
        }
    }

    fn text(&self, row: usize) -> Option<&str> {
        match self {
            Self::Text(values) if values.is_valid(row) => Some(values.value(row)),
            Self::Coded(codes, values) if codes.is_valid(row) => {
                Some(values.value(code(codes, row)))
            }
            _ => None,
        }
    }

    fn bytes(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Bytes(values) if values.is_valid(row) => Some(values.value(row)),
            Self::CodedBytes(codes, values) if codes.is_valid(row) => {
                Some(values.value(code(codes, row)))
            }
            _ => None,
        }
    }

    /// Whether a row has a value of metadata.
    pub(in super::super) fn is_present(&self, row: usize) -> bool {
        match self {
            Self::Int(values) => values.is_valid(row),
            Self::Float(values) => values.is_valid(row),
            Self::Bool(values) => values.is_valid(row),
            Self::Decimal(values) => values.is_valid(row),
            Self::Text(values) => values.is_valid(row),
            Self::Coded(codes, _) => codes.is_valid(row),
            Self::Instant(_)
            | Self::Bytes(_)
            | Self::CodedBytes(..)
            | Self::Absent
            | Self::Failed => false,
        }
    }

    /// A metadata value of this kind.
    pub(in super::super) fn value(&self, kind: Kind, row: usize) -> Option<Value<'_>> {
        match self {
            Self::Bool(values) => values.is_valid(row).then(|| match kind {
                Kind::Null => Value::Null,
                Kind::Object => Value::Object(Metadata::default()),
                _ => Value::Bool(values.value(row)),
            }),
            Self::Int(values) => {
                values.is_valid(row).then(|| Value::Number(Number::Int(values.value(row))))
            }
            Self::Float(values) => {
                values.is_valid(row).then(|| Value::Number(Number::Float(values.value(row))))
            }
            Self::Decimal(values) => {
                let unscaled = values.is_valid(row).then(|| values.value(row))?;
                Number::decimal(i64::try_from(unscaled).ok()?, COST_DECIMAL_PLACES_MAX)
                    .map(Value::Number)
            }
            Self::Text(_) | Self::Coded(..) => {
                self.text(row).map(|text| Value::String(text.into()))
            }
            Self::Instant(_)
            | Self::Bytes(_)
            | Self::CodedBytes(..)
            | Self::Absent
            | Self::Failed => None,
        }
    }

    /// The distinct texts and, for each row, which of them it has.
    fn codes(&self, rows: usize) -> (Vec<&str>, Vec<Option<u32>>) {
        match self {
            Self::Coded(codes, values) => (
                (0..values.len()).map(|index| values.value(index)).collect(),
                codes.iter().map(|code| code.and_then(|code| u32::try_from(code).ok())).collect(),
            ),
            Self::Absent => (Vec::new(), vec![None; rows]),
            // Hardly any text repeats, else there were a dictionary: each row is its own.
            column => (
                (0..rows).map(|row| column.text(row).unwrap_or_default()).collect(),
                (0..rows)
                    .map(|row| column.text(row).and_then(|_| u32::try_from(row).ok()))
                    .collect(),
            ),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Int(values) => values.get_array_memory_size(),
            Self::Instant(values) => values.get_array_memory_size(),
            Self::Float(values) => values.get_array_memory_size(),
            Self::Bool(values) => values.get_array_memory_size(),
            Self::Decimal(values) => values.get_array_memory_size(),
            Self::Text(values) => values.get_array_memory_size(),
            // Large dictionaries are shared (see `SharedColumns`), and counted there.
            Self::Coded(codes, _) => 4 * codes.len(),
            Self::Bytes(values) => values.get_array_memory_size(),
            Self::CodedBytes(codes, values) => {
                codes.get_array_memory_size() + values.get_array_memory_size()
            }
            Self::Absent | Self::Failed => 0,
        }
    }
}

fn code(codes: &Int32Array, row: usize) -> usize {
    usize::try_from(codes.value(row)).unwrap_or(0)
}

/// The names of events with their sources, by code.
#[derive(Debug)]
struct Names {
    values: Vec<(EventSource, Box<str>)>,
    codes: Vec<u32>,
}

/// The customers of events, by code: first those by external id, then those by id.
#[derive(Debug)]
struct Customers {
    values: Vec<CustomerRef<'static>>,
    codes: Vec<u32>,
}

/// Where a property stands in a segment.
#[derive(Debug, Clone)]
pub(in super::super) struct SealedSlot {
    /// Columns of values at the path.
    exact: Vec<(Kind, usize)>,
    /// Columns of values below it.
    below: Vec<usize>,
    /// How many keys lead to it.
    depth: usize,
    /// The path, if the JSON column may hold it.
    rest: Option<Vec<String>>,
}

impl Batch {
    /// Rows of a row group.
    pub(in super::super) fn new(segment: Arc<Segment>, group: usize, rows: Range<usize>) -> Self {
        let columns = FIXED_COLUMNS.len() + segment.layout.columns.len();
        Self {
            columns: std::iter::repeat_with(OnceLock::new).take(columns).collect(),
            segment,
            group,
            rows,
            names: OnceLock::new(),
            customers: OnceLock::new(),
            failed: OnceLock::new(),
        }
    }

    /// A whole row group.
    pub(in super::super) fn of_group(segment: &Arc<Segment>, group: usize) -> Self {
        let rows = segment.row_groups.get(group).map_or(0, |group| group.rows as usize);
        Self::new(Arc::clone(segment), group, 0..rows)
    }

    /// Number of events.
    pub(in super::super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The segment's row of the first event.
    pub(in super::super) fn first_row(&self) -> Row {
        let start = self.segment.row_groups.get(self.group).map_or(0, |group| group.start);
        start + Row::try_from(self.rows.start).unwrap_or(Row::MAX)
    }

    /// Whether all that was asked for could be read.
    pub(in super::super) fn check(&self) -> Result<(), &SegmentError> {
        self.failed.get().map_or(Ok(()), Err)
    }

    /// The same, for a batch that is no longer needed.
    pub(in super::super) fn into_checked(self) -> Result<(), SegmentError> {
        self.failed.into_inner().map_or(Ok(()), Err)
    }

    /// Bytes of the columns that were read.
    pub(in super::super) fn memory(&self) -> usize {
        self.columns.iter().filter_map(OnceLock::get).map(Column::memory).sum()
    }

    fn column(&self, index: usize) -> &Column {
        self.columns[index].get_or_init(|| {
            match self.segment.column(self.group, index, self.rows.clone()) {
                Ok(Some(array)) => Column::of(&array),
                Ok(None) => Column::Absent,
                Err(error) => {
                    let _ = self.failed.set(error);
                    Column::Failed
                }
            }
        })
    }

    fn metadata_column(&self, index: usize) -> (&Column, Kind) {
        let kind = self.segment.layout.columns[index].kind;
        (self.column(FIXED_COLUMNS.len() + index), kind)
    }

    fn name_codes(&self) -> &Names {
        self.names.get_or_init(|| {
            let (values, codes) = self.column(NAME).codes(self.len());
            let source_of = |row: usize| {
                let source = self.column(SOURCE).text(row);
                u32::from(source == Some(EventSource::System.as_str()))
            };
            let values = values.into_iter().flat_map(|name| {
                [(EventSource::User, name.into()), (EventSource::System, name.into())]
            });
            let only_users = self.is_of_users();
            let codes = codes.into_iter().enumerate().map(|(row, code)| {
                2 * code.unwrap_or(0) + if only_users { 0 } else { source_of(row) }
            });
            Names { values: values.collect(), codes: codes.collect() }
        })
    }

    fn customer_codes(&self) -> &Customers {
        self.customers.get_or_init(|| {
            let (external, codes) = self.column(EXTERNAL_CUSTOMER_ID).codes(self.len());
            let (ids, id_codes) = self.column(CUSTOMER_ID).codes(self.len());
            let first_id = u32::try_from(external.len()).unwrap_or(u32::MAX);
            let external =
                external.into_iter().map(|text| CustomerRef::External(text.to_owned().into()));
            let ids = ids
                .into_iter()
                .map(|text| CustomerRef::Id(CustomerId(text.parse::<Uuid>().unwrap_or_default())));
            let codes =
                codes.into_iter().zip(id_codes).map(|(external, id)| match (external, id) {
                    (Some(code), _) => code,
                    (None, id) => first_id + id.unwrap_or(0),
                });
            Customers { values: external.chain(ids).collect(), codes: codes.collect() }
        })
    }

    /// The names that occur, by code, with the source of their events; also some that do not.
    pub(in super::super) fn names(&self) -> &[(EventSource, Box<str>)] {
        &self.name_codes().values
    }

    /// The code of a row's name and source.
    pub(in super::super) fn name_code_of(&self, row: Row) -> u32 {
        self.name_codes().codes[row as usize]
    }

    /// The customers that occur, by code.
    pub(in super::super) fn customers(&self) -> &[CustomerRef<'static>] {
        &self.customer_codes().values
    }

    /// The code of a row's customer.
    pub(in super::super) fn customer_code_of(&self, row: Row) -> u32 {
        self.customer_codes().codes[row as usize]
    }

    /// A row's event timestamp in microseconds.
    pub(in super::super) fn micros(&self, row: Row) -> i64 {
        self.column(TIMESTAMP).instant(row as usize)
    }

    /// The event timestamps of all rows in microseconds; none if they cannot be read.
    pub(in super::super) fn all_micros(&self) -> &[i64] {
        match self.column(TIMESTAMP) {
            Column::Instant(values) => values.values(),
            _ => &[],
        }
    }

    /// A row's time of ingestion in microseconds.
    pub(in super::super) fn ingested_micros(&self, row: Row) -> i64 {
        self.column(INGESTED_AT).instant(row as usize)
    }

    /// A row's sequence number.
    pub(in super::super) fn sequence(&self, row: Row) -> Sequence {
        Sequence(self.column(SEQUENCE).instant(row as usize).cast_unsigned())
    }

    /// A row's customer.
    pub(in super::super) fn customer(&self, row: Row) -> CustomerRef<'_> {
        match self.column(EXTERNAL_CUSTOMER_ID).text(row as usize) {
            Some(text) => CustomerRef::External(Cow::Borrowed(text)),
            None => {
                let id = self.column(CUSTOMER_ID).text(row as usize);
                CustomerRef::Id(CustomerId(id.and_then(|id| id.parse().ok()).unwrap_or_default()))
            }
        }
    }

    /// A row's external id.
    pub(in super::super) fn external_id(&self, row: Row) -> Option<&str> {
        self.column(EXTERNAL_ID).text(row as usize)
    }

    /// A row's parent, as ingested.
    pub(in super::super) fn parent_id(&self, row: Row) -> Option<&str> {
        self.column(PARENT_ID).text(row as usize)
    }

    /// A row's external member id.
    fn external_member_id(&self, row: Row) -> Option<&str> {
        self.column(EXTERNAL_MEMBER_ID).text(row as usize)
    }

    /// Where a property stands.
    pub(in super::super) fn resolve(&self, path: &[String]) -> SealedSlot {
        let node = self.segment.root.at(path);
        let mut below = Vec::new();
        if let Some(node) = node {
            node.columns_below(&mut below);
            // In the order of the layout, which is that of the paths: keys of one object together.
            below.sort_unstable();
        }
        SealedSlot {
            exact: node.map(|node| node.columns.clone()).unwrap_or_default(),
            below,
            depth: path.len(),
            rest: self.segment.has_rest.then(|| path.to_vec()),
        }
    }

    /// The columns of values at a slot, with their kinds: a row has a value in one of them at most.
    /// In which rows there may be one elsewhere tells [`mark_elsewhere`](Self::mark_elsewhere).
    pub(in super::super) fn columns_at(
        &self,
        slot: &SealedSlot,
    ) -> impl Iterator<Item = (Kind, &Column)> {
        slot.exact.iter().map(|(kind, column)| (*kind, self.metadata_column(*column).0))
    }

    /// Whether a row may have its value at a slot in none of its columns.
    pub(in super::super) fn has_elsewhere(&self, slot: &SealedSlot) -> bool {
        !slot.below.is_empty() || slot.rest.is_some()
    }

    /// Marks the rows whose value at a slot, if they have one, is in none of its columns: it is an
    /// object, or in the JSON column.
    pub(in super::super) fn mark_elsewhere(&self, slot: &SealedSlot, marks: &mut [bool]) {
        for &column in &slot.below {
            let (values, _) = self.metadata_column(column);
            for (row, mark) in marks.iter_mut().enumerate() {
                *mark |= values.is_present(row);
            }
        }
        let Some(path) = &slot.rest else { return };
        let rest = self.column(REST);
        for (row, mark) in marks.iter_mut().enumerate() {
            *mark = *mark || rest.text(row).is_some_and(|text| rest::may_hold(text, path));
        }
    }

    /// Whether no event here is Floe's own.
    pub(in super::super) fn is_of_users(&self) -> bool {
        self.segment.row_groups.get(self.group).is_some_and(|group| group.is_of_users)
    }

    /// The value of a row at a slot.
    pub(in super::super) fn value(&self, row: Row, slot: &SealedSlot) -> Option<Value<'_>> {
        let index = row as usize;
        for (kind, column) in &slot.exact {
            if let Some(value) = self.metadata_column(*column).0.value(*kind, index) {
                return Some(value);
            }
        }
        if !slot.below.is_empty() {
            let present = slot.below.iter().filter_map(|&column| self.leaf(column, index));
            let leaves: Vec<(&[String], Value<'_>)> = present.collect();
            if !leaves.is_empty() {
                return Some(Value::Object(object(leaves, slot.depth)));
            }
        }
        let path = slot.rest.as_deref()?;
        let text = self.column(REST).text(index).filter(|text| rest::may_hold(text, path))?;
        let rest = self.rest(text)?;
        rest.at(path).map(|value| value.borrowed().into_owned())
    }

    fn rest(&self, text: &str) -> Option<Metadata<'static>> {
        match rest::from_json(text) {
            Ok(rest) => Some(rest),
            Err(error) => {
                let file = self.segment.file.path().display().to_string();
                let _ = self.failed.set(SegmentError::Unreadable { file, why: error.to_string() });
                None
            }
        }
    }

    fn leaf(&self, column: usize, row: usize) -> Option<(&[String], Value<'_>)> {
        let (values, kind) = self.metadata_column(column);
        let value = values.value(kind, row)?;
        Some((&self.segment.layout.columns[column].path, value))
    }

    /// A row's metadata, with its keys in the order in which they came.
    pub(in super::super) fn metadata(&self, row: Row) -> Metadata<'_> {
        let index = row as usize;
        let Some(order) = self.column(ORDER).bytes(index) else { return Metadata::default() };
        let rest = self.column(REST).text(index).and_then(|text| self.rest(text));
        let mut rest = rest.map(Metadata::into_entries).unwrap_or_default().into_iter();
        let mut entries: Vec<(Cow<'_, str>, Value<'_>)> = Vec::new();
        let mut leaves: Vec<(&[String], Value<'_>)> = Vec::new();
        for column in rest::indexes(order) {
            match column {
                Some(column) => leaves.extend(self.leaf(column, index)),
                None => {
                    entries.extend(object_entries(std::mem::take(&mut leaves), 0));
                    entries.extend(rest.next());
                }
            }
        }
        entries.extend(object_entries(leaves, 0));
        Metadata::from_distinct(entries)
    }

    /// A row as the event that it was.
    pub(in super::super) fn event(&self, row: Row) -> NewEvent<'_> {
        let index = row as usize;
        let source = match self.column(SOURCE).text(index) {
            Some("system") => EventSource::System,
            _ => EventSource::User,
        };
        NewEvent {
            name: Cow::Borrowed(self.column(NAME).text(index).unwrap_or_default()),
            source,
            customer: self.customer(row),
            timestamp: Timestamp::from_micros(self.micros(row)).unwrap_or(Timestamp::MAX),
            external_id: self.external_id(row).map(Cow::Borrowed),
            parent_id: self.parent_id(row).map(Cow::Borrowed),
            external_member_id: self.external_member_id(row).map(Cow::Borrowed),
            metadata: self.metadata(row),
        }
    }
}

/// Builds the object at a depth from the values below it; those of one key stand together.
fn object<'v>(leaves: Vec<(&'v [String], Value<'v>)>, depth: usize) -> Metadata<'v> {
    Metadata::from_distinct(object_entries(leaves, depth))
}

fn object_entries<'v>(
    leaves: Vec<(&'v [String], Value<'v>)>,
    depth: usize,
) -> Vec<(Cow<'v, str>, Value<'v>)> {
    let mut entries = Vec::new();
    let mut rest = leaves.into_iter().peekable();
    while let Some((path, value)) = rest.next() {
        let Some(key) = path.get(depth) else { continue };
        if path.len() == depth + 1 {
            entries.push((Cow::Borrowed(key.as_str()), value));
            continue;
        }
        let mut group = vec![(path, value)];
        while let Some(next) = rest.next_if(|(path, _)| path.get(depth) == Some(key)) {
            group.push(next);
        }
        entries.push((Cow::Borrowed(key.as_str()), Value::Object(object(group, depth + 1))));
    }
    entries
}
