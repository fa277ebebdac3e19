//! Events in memory, as columns.
//!
//! Events whose metadata has the same keys and kinds have the same *shape* and share a dense
//! table: one column per key path and kind, so a string `"5"` and a number `5` never mix. A
//! filter is resolved once per shape, then runs over plain vectors.

use std::borrow::Cow;
use std::collections::HashMap;

use floe_core::{CustomerRef, EventSource, Metadata, NewEvent, Number, Sequence, Timestamp, Value};

use super::codec;
use super::segment::ColumnCounts;

/// Rows of a chunk; then it is frozen. Readers hold a lock while they scan the unfrozen one, so
/// this bounds how long they can keep the committer waiting.
const ROWS_MAX: usize = 16 * 1024;
/// Estimated bytes of a chunk; then it is frozen.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Shapes of a chunk; events of further shapes keep their metadata encoded, so that hostile keys
/// cost no more memory than their bytes.
const SHAPES_MAX: usize = 256;
/// Fields of a shape; events with more keep their metadata encoded.
const SHAPE_FIELDS_MAX: usize = 64;

/// A row of a [`Chunk`].
pub(super) type Row = u32;

/// Up to [`ROWS_MAX`] events of one organization, in order of ingestion.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    sequences: Vec<u64>,
    timestamps: Vec<i64>,
    ingested_at: Vec<i64>,
    names: Vec<u32>,
    customers: Vec<u32>,
    external_ids: Texts,
    /// Rare: by row.
    parent_ids: HashMap<Row, Box<str>>,
    member_ids: HashMap<Row, Box<str>>,
    shape_of: Vec<u32>,
    position_of: Vec<u32>,

    name_values: Vec<(EventSource, Box<str>)>,
    name_codes: HashMap<(EventSource, Box<str>), u32>,
    customer_values: Vec<CustomerRef<'static>>,
    customer_codes: HashMap<CustomerRef<'static>, u32>,
    /// Rows of each customer, ascending.
    customer_rows: Vec<Vec<Row>>,
    shapes: Vec<Shape>,
    shape_codes: HashMap<Box<[u8]>, u32>,
    strings: Strings,

    timestamp_range: Option<(i64, i64)>,
    bytes: usize,
}

/// Optional texts of rows, end to end.
#[derive(Debug, Default)]
struct Texts {
    text: String,
    spans: Vec<Option<(u32, u32)>>,
}

impl Texts {
    fn push(&mut self, text: Option<&str>) {
        self.spans.push(text.map(|text| {
            let start = position(self.text.len());
            self.text.push_str(text);
            (start, position(self.text.len()))
        }));
    }

    fn get(&self, row: Row) -> Option<&str> {
        let (start, end) = self.spans[row as usize]?;
        Some(&self.text[start as usize..end as usize])
    }
}

/// Distinct strings of metadata and their codes.
#[derive(Debug, Default)]
struct Strings {
    values: Vec<Box<str>>,
    codes: HashMap<Box<str>, u32>,
}

impl Strings {
    fn code(&mut self, text: &str, bytes: &mut usize) -> u32 {
        if let Some(&code) = self.codes.get(text) {
            return code;
        }
        let code = position(self.values.len());
        self.values.push(text.into());
        self.codes.insert(text.into(), code);
        *bytes += 2 * text.len() + 64;
        code
    }
}

/// Sizes within a chunk fit 32 bits: it is frozen long before.
pub(super) fn position(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The events of one combination of key paths and kinds.
#[derive(Debug)]
struct Shape {
    fields: Vec<Field>,
    /// How many events it has: the length of each column.
    len: u32,
}

impl Shape {
    /// The position of an event that was just put into the columns.
    fn next_position(&mut self) -> u32 {
        self.len += 1;
        self.len - 1
    }

    /// Whether its events keep their metadata encoded.
    fn is_encoded(&self) -> bool {
        self.fields.first().is_some_and(|field| field.path.is_empty())
    }

    /// The metadata of an event that is kept encoded. The bytes are our own, so they decode.
    fn encoded_metadata(&self, position: usize) -> Metadata<'_> {
        match self.fields.first() {
            Some(Field { column: Column::Encoded(values), .. }) => {
                codec::decode_metadata(&values[position]).unwrap_or_default()
            }
            _ => Metadata::default(),
        }
    }
}

#[derive(Debug)]
struct Field {
    /// Keys from the outside in; empty if the column holds whole encoded metadata.
    path: Vec<Box<str>>,
    column: Column,
}

/// The values of one key path and kind.
#[derive(Debug)]
enum Column {
    Null,
    EmptyObject,
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Decimal {
        scale: u8,
        mantissas: Vec<i64>,
    },
    Big(Vec<u32>),
    Text(Vec<u32>),
    /// Encoded by [`codec::encode_value`], or as whole metadata under the empty path.
    Encoded(Vec<Box<[u8]>>),
}

/// Where a property stands in the events of a shape.
#[derive(Debug, Clone)]
pub(super) struct Slot(SlotKind);

#[derive(Debug, Clone)]
enum SlotKind {
    Absent,
    Field(usize),
    /// The fields below an object, and how many keys lead to it.
    Object(Vec<usize>, usize),
    /// A path into metadata that is kept encoded.
    Encoded(Vec<String>),
}

impl Chunk {
    /// Number of events.
    pub(super) fn len(&self) -> usize {
        self.sequences.len()
    }

    /// Estimated bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it should be frozen.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= ROWS_MAX || self.bytes >= BYTES_MAX
    }

    /// The first and last event timestamp, in microseconds; `None` if it is empty.
    pub(super) fn timestamp_range(&self) -> Option<(i64, i64)> {
        self.timestamp_range
    }

    /// Appends an event that was decoded from `encoded`.
    pub(super) fn push(
        &mut self,
        sequence: Sequence,
        ingested_at: Timestamp,
        event: &NewEvent<'_>,
    ) {
        let row = position(self.len());
        let micros = event.timestamp.micros();
        self.sequences.push(sequence.0);
        self.timestamps.push(micros);
        self.ingested_at.push(ingested_at.micros());
        self.timestamp_range = Some(match self.timestamp_range {
            None => (micros, micros),
            Some((first, last)) => (first.min(micros), last.max(micros)),
        });
        let name = self.name_code(event.source, &event.name);
        self.names.push(name);
        let customer = self.customer_code(&event.customer);
        self.customers.push(customer);
        self.customer_rows[customer as usize].push(row);
        self.external_ids.push(event.external_id.as_deref());
        self.bytes += 56 + event.external_id.as_ref().map_or(0, |text| text.len());
        for (text, texts) in [
            (&event.parent_id, &mut self.parent_ids),
            (&event.external_member_id, &mut self.member_ids),
        ] {
            if let Some(text) = text {
                texts.insert(row, (&**text).into());
                self.bytes += text.len() + 48;
            }
        }
        let (shape, position) = self.push_metadata(&event.metadata);
        self.shape_of.push(shape);
        self.position_of.push(position);
    }

    fn name_code(&mut self, source: EventSource, name: &str) -> u32 {
        // Few names, all in cache: comparing beats building an owned key to look up.
        let found = self.name_values.iter().take(8).position(|(s, n)| *s == source && **n == *name);
        if let Some(index) = found {
            return position(index);
        }
        let key = (source, Box::from(name));
        let (values, bytes) = (&mut self.name_values, &mut self.bytes);
        *self.name_codes.entry(key).or_insert_with_key(|key| {
            values.push(key.clone());
            *bytes += 2 * name.len() + 96;
            position(values.len() - 1)
        })
    }

    fn customer_code(&mut self, customer: &CustomerRef<'_>) -> u32 {
        if let Some(code) = lookup(&self.customer_codes, customer) {
            return code;
        }
        let code = position(self.customer_values.len());
        let owned = customer.borrowed().into_owned();
        self.bytes += 160
            + match &owned {
                CustomerRef::External(text) => 2 * text.len(),
                CustomerRef::Id(_) => 0,
            };
        self.customer_values.push(owned.clone());
        self.customer_codes.insert(owned, code);
        self.customer_rows.push(Vec::new());
        code
    }

    fn push_metadata(&mut self, metadata: &Metadata<'_>) -> (u32, u32) {
        let mut leaves = Vec::new();
        let mut path = Vec::new();
        collect_leaves(metadata, &mut path, &mut leaves);
        let mut signature = Vec::with_capacity(16 * leaves.len());
        leaves.iter().for_each(|leaf| leaf.sign(&mut signature));
        let known = self.shape_codes.get(signature.as_slice()).copied();
        let code = match known {
            Some(code) => code,
            None if leaves.len() <= SHAPE_FIELDS_MAX && self.shapes.len() < SHAPES_MAX => {
                let fields = leaves.iter().map(Leaf::new_field).collect();
                self.add_shape(signature, fields)
            }
            None => return self.push_encoded(metadata),
        };
        let shape = &mut self.shapes[code as usize];
        for (field, leaf) in shape.fields.iter_mut().zip(&leaves) {
            self.bytes += 8;
            field.column.push(leaf.value, &mut self.strings, &mut self.bytes);
        }
        (code, shape.next_position())
    }

    fn push_encoded(&mut self, metadata: &Metadata<'_>) -> (u32, u32) {
        // No leaf signs itself as an empty path.
        const SIGNATURE: &[u8] = b"encoded";
        let code = match self.shape_codes.get(SIGNATURE) {
            Some(&code) => code,
            None => {
                let field = Field { path: Vec::new(), column: Column::Encoded(Vec::new()) };
                self.add_shape(SIGNATURE.to_vec(), vec![field])
            }
        };
        let mut encoded = Vec::new();
        codec::encode_metadata(metadata, &mut encoded);
        self.bytes += encoded.len() + 32;
        let shape = &mut self.shapes[code as usize];
        if let Some(Field { column: Column::Encoded(values), .. }) = shape.fields.first_mut() {
            values.push(encoded.into_boxed_slice());
        }
        (code, shape.next_position())
    }

    fn add_shape(&mut self, signature: Vec<u8>, fields: Vec<Field>) -> u32 {
        let code = position(self.shapes.len());
        self.bytes += 2 * signature.len() + 128 + 96 * fields.len();
        self.shape_codes.insert(signature.into_boxed_slice(), code);
        self.shapes.push(Shape { fields, len: 0 });
        code
    }

    /// The row of a sequence number, if it is here.
    pub(super) fn find(&self, sequence: Sequence) -> Option<Row> {
        self.sequences.binary_search(&sequence.0).ok().map(position)
    }

    /// How many shapes its events have.
    pub(super) fn shape_count(&self) -> usize {
        self.shapes.len()
    }

    /// The shape of a row.
    pub(super) fn shape_of(&self, row: Row) -> usize {
        self.shape_of[row as usize] as usize
    }

    /// Adds which paths and kinds its events have.
    pub(super) fn count_columns(&self, counts: &mut ColumnCounts) {
        for shape in &self.shapes {
            if shape.is_encoded() {
                let all = 0..shape.len as usize;
                all.for_each(|position| counts.add_event(&shape.encoded_metadata(position)));
            } else if shape.len > 0 {
                let fields: Vec<usize> = (0..shape.fields.len()).collect();
                counts.add_events(u64::from(shape.len), &self.object(shape, 0, &fields, 0));
            }
        }
    }

    /// The customers that occur, by code.
    pub(super) fn customers(&self) -> &[CustomerRef<'static>] {
        &self.customer_values
    }

    /// The code of a row's customer.
    pub(super) fn customer_code_of(&self, row: Row) -> u32 {
        self.customers[row as usize]
    }

    /// The rows of a customer, ascending.
    pub(super) fn rows_of(&self, customer: &CustomerRef<'_>) -> &[Row] {
        lookup(&self.customer_codes, customer)
            .map_or(&[], |code| self.customer_rows[code as usize].as_slice())
    }

    /// The names that occur, by code, with the source of their events.
    pub(super) fn names(&self) -> &[(EventSource, Box<str>)] {
        &self.name_values
    }

    /// The code of a row's name and source.
    pub(super) fn name_code_of(&self, row: Row) -> u32 {
        self.names[row as usize]
    }

    /// A row's event timestamp in microseconds.
    pub(super) fn micros(&self, row: Row) -> i64 {
        self.timestamps[row as usize]
    }

    /// A row's time of ingestion.
    pub(super) fn ingested_at(&self, row: Row) -> Timestamp {
        Timestamp::from_micros(self.ingested_at[row as usize]).unwrap_or(Timestamp::MAX)
    }

    /// A row's sequence number.
    pub(super) fn sequence(&self, row: Row) -> Sequence {
        Sequence(self.sequences[row as usize])
    }

    /// A row's customer.
    pub(super) fn customer(&self, row: Row) -> &CustomerRef<'static> {
        &self.customer_values[self.customers[row as usize] as usize]
    }

    /// A row's external id.
    pub(super) fn external_id(&self, row: Row) -> Option<&str> {
        self.external_ids.get(row)
    }

    /// A row's parent, as ingested.
    pub(super) fn parent_id(&self, row: Row) -> Option<&str> {
        self.parent_ids.get(&row).map(|text| &**text)
    }

    /// A row's external member id.
    pub(super) fn external_member_id(&self, row: Row) -> Option<&str> {
        self.member_ids.get(&row).map(|text| &**text)
    }

    /// Where a property stands in the events of a shape.
    pub(super) fn resolve(&self, shape: usize, path: &[String]) -> Slot {
        let fields = &self.shapes[shape].fields;
        let starts_with = |field: &Field| {
            field.path.len() >= path.len() && field.path.iter().zip(path).all(|(a, b)| **a == **b)
        };
        Slot(match fields.as_slice() {
            [Field { path: root, .. }] if root.is_empty() => SlotKind::Encoded(path.to_vec()),
            _ => match fields.iter().position(|f| starts_with(f) && f.path.len() == path.len()) {
                Some(index) => SlotKind::Field(index),
                None => {
                    let below: Vec<usize> =
                        (0..fields.len()).filter(|&index| starts_with(&fields[index])).collect();
                    if below.is_empty() {
                        SlotKind::Absent
                    } else {
                        SlotKind::Object(below, path.len())
                    }
                }
            },
        })
    }

    /// The value of a row at a slot of its shape.
    pub(super) fn value(&self, row: Row, slot: &Slot) -> Option<Value<'_>> {
        let shape = &self.shapes[self.shape_of(row)];
        let position = self.position_of[row as usize] as usize;
        match &slot.0 {
            SlotKind::Absent => None,
            SlotKind::Field(index) => {
                Some(shape.fields[*index].column.get(position, &self.strings))
            }
            SlotKind::Object(below, depth) => {
                Some(Value::Object(self.object(shape, position, below, *depth)))
            }
            SlotKind::Encoded(path) => {
                shape.encoded_metadata(position).at(path).map(|value| value.borrowed().into_owned())
            }
        }
    }

    /// A row's metadata.
    pub(super) fn metadata(&self, row: Row) -> Metadata<'_> {
        let shape = &self.shapes[self.shape_of(row)];
        let position = self.position_of[row as usize] as usize;
        if shape.is_encoded() {
            return shape.encoded_metadata(position);
        }
        let all: Vec<usize> = (0..shape.fields.len()).collect();
        self.object(shape, position, &all, 0)
    }

    /// Builds the object at depth `depth` from the fields below it, which stand together in the
    /// order of the event's keys.
    fn object<'s>(
        &'s self,
        shape: &'s Shape,
        position: usize,
        below: &[usize],
        depth: usize,
    ) -> Metadata<'s> {
        let mut entries: Vec<(Cow<'s, str>, Value<'s>)> = Vec::new();
        let mut rest = below;
        while let Some((&first, _)) = rest.split_first() {
            let field = &shape.fields[first];
            // An empty object stands at its own path and has nothing below it.
            let Some(key) = field.path.get(depth) else { break };
            let same = rest
                .iter()
                .take_while(|&&index| shape.fields[index].path.get(depth) == Some(key))
                .count();
            let (group, others) = rest.split_at(same);
            let value = if field.path.len() == depth + 1 {
                field.column.get(position, &self.strings)
            } else {
                Value::Object(self.object(shape, position, group, depth + 1))
            };
            entries.push((Cow::Borrowed(key), value));
            rest = others;
        }
        Metadata::from_distinct(entries)
    }

    /// A row as the event that it was.
    pub(super) fn event(&self, row: Row) -> NewEvent<'_> {
        let (source, name) = &self.name_values[self.names[row as usize] as usize];
        NewEvent {
            name: Cow::Borrowed(name),
            source: *source,
            customer: self.customer(row).borrowed(),
            timestamp: self.timestamp(row),
            external_id: self.external_id(row).map(Cow::Borrowed),
            parent_id: self.parent_id(row).map(Cow::Borrowed),
            external_member_id: self.external_member_id(row).map(Cow::Borrowed),
            metadata: self.metadata(row),
        }
    }

    /// A row's event timestamp.
    pub(super) fn timestamp(&self, row: Row) -> Timestamp {
        Timestamp::from_micros(self.micros(row)).unwrap_or(Timestamp::MAX)
    }
}

/// Looks a borrowed customer up in a map of owned ones.
fn lookup(codes: &HashMap<CustomerRef<'static>, u32>, customer: &CustomerRef<'_>) -> Option<u32> {
    // A map of longer-lived keys is also a map of shorter-lived ones (it is covariant).
    let codes: &HashMap<CustomerRef<'_>, u32> = codes;
    codes.get(customer).copied()
}

/// One value of an event's metadata and the keys that lead to it.
struct Leaf<'v, 'e> {
    path: Vec<&'v str>,
    value: &'v Value<'e>,
}

fn collect_leaves<'v, 'e>(
    object: &'v Metadata<'e>,
    path: &mut Vec<&'v str>,
    leaves: &mut Vec<Leaf<'v, 'e>>,
) {
    for (key, value) in object.iter() {
        path.push(key);
        match value {
            Value::Object(inner) if inner.iter().len() > 0 => collect_leaves(inner, path, leaves),
            value => leaves.push(Leaf { path: path.clone(), value }),
        }
        path.pop();
    }
}

impl Leaf<'_, '_> {
    /// Appends what tells its path and kind from others.
    fn sign(&self, out: &mut Vec<u8>) {
        out.push(match self.value {
            Value::Null => 0,
            Value::Object(_) => 1,
            Value::Bool(_) => 2,
            Value::Number(Number::Int(_)) => 3,
            Value::Number(Number::Float(_)) => 4,
            Value::Number(Number::Big(_)) => 5,
            Value::String(_) => 6,
            Value::Array(_) => 7,
            Value::Number(Number::Decimal { scale, .. }) => 16 + *scale,
        });
        out.extend_from_slice(&position(self.path.len()).to_le_bytes());
        for key in &self.path {
            out.extend_from_slice(&position(key.len()).to_le_bytes());
            out.extend_from_slice(key.as_bytes());
        }
    }

    fn new_field(&self) -> Field {
        let column = match self.value {
            Value::Null => Column::Null,
            Value::Object(_) => Column::EmptyObject,
            Value::Bool(_) => Column::Bool(Vec::new()),
            Value::Number(Number::Int(_)) => Column::Int(Vec::new()),
            Value::Number(Number::Float(_)) => Column::Float(Vec::new()),
            Value::Number(Number::Big(_)) => Column::Big(Vec::new()),
            Value::Number(Number::Decimal { scale, .. }) => {
                Column::Decimal { scale: *scale, mantissas: Vec::new() }
            }
            Value::String(_) => Column::Text(Vec::new()),
            Value::Array(_) => Column::Encoded(Vec::new()),
        };
        Field { path: self.path.iter().map(|&key| key.into()).collect(), column }
    }
}

impl Column {
    fn push(&mut self, value: &Value<'_>, strings: &mut Strings, bytes: &mut usize) {
        match (self, value) {
            (Self::Bool(values), Value::Bool(value)) => values.push(*value),
            (Self::Int(values), Value::Number(Number::Int(value))) => values.push(*value),
            (Self::Float(values), Value::Number(Number::Float(value))) => values.push(*value),
            (Self::Decimal { mantissas, .. }, Value::Number(Number::Decimal { mantissa, .. })) => {
                mantissas.push(*mantissa)
            }
            (Self::Big(codes), Value::Number(Number::Big(digits))) => {
                codes.push(strings.code(digits, bytes));
            }
            (Self::Text(codes), Value::String(text)) => codes.push(strings.code(text, bytes)),
            (Self::Encoded(values), value) => {
                let mut encoded = Vec::new();
                codec::encode_value(value, &mut encoded);
                *bytes += encoded.len() + 16;
                values.push(encoded.into_boxed_slice());
            }
            // A shape's signature holds the kind of each of its fields.
            (_, _) => {}
        }
    }

    fn get<'s>(&'s self, position: usize, strings: &'s Strings) -> Value<'s> {
        let text = |code: u32| &*strings.values[code as usize];
        match self {
            Self::Null => Value::Null,
            Self::EmptyObject => Value::Object(Metadata::default()),
            Self::Bool(values) => Value::Bool(values[position]),
            Self::Int(values) => Value::Number(Number::Int(values[position])),
            Self::Float(values) => Value::Number(Number::Float(values[position])),
            Self::Decimal { scale, mantissas } => {
                Value::Number(Number::Decimal { mantissa: mantissas[position], scale: *scale })
            }
            Self::Big(codes) => Value::Number(Number::Big(Cow::Borrowed(text(codes[position])))),
            Self::Text(codes) => Value::String(Cow::Borrowed(text(codes[position]))),
            Self::Encoded(values) => codec::decode_value(&values[position]).unwrap_or(Value::Null),
        }
    }
}
