//! Events in memory, as columns.
//!
//! Events whose metadata has the same keys and kinds have the same *shape* and share a dense
//! table: one column per key path and kind, so a string `"5"` and a number `5` never mix. A
//! filter is resolved once per shape, then runs over plain vectors.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher as _;

use floe_core::{CustomerRef, EventSource, Metadata, NewEvent, Number, Sequence, Timestamp, Value};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::codec::{self, DecodeError, Leaf, RawCustomer, RawEvent};
use super::segment::{ColumnCounts, Kind};

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
    name_codes: HashTable<u32>,
    customer_values: Vec<CustomerRef<'static>>,
    customer_codes: HashTable<u32>,
    /// Rows of each customer, ascending.
    customer_rows: Vec<Vec<Row>>,
    shapes: Vec<Shape>,
    shape_codes: HashTable<u32>,
    /// The shape of events whose metadata is kept encoded.
    encoded_shape: Option<u32>,
    strings: Strings,
    /// Seeded at random, so that nobody can choose texts that collide; what is hashed here is at
    /// most what one chunk holds.
    hasher: DefaultHashBuilder,
    scratch: Scratch,

    timestamp_range: Option<(i64, i64)>,
    bytes: usize,
}

/// Buffers that are used again for every event.
#[derive(Debug, Default)]
struct Scratch {
    leaves: Vec<Leaf>,
    signature: Vec<u8>,
    /// Of each leaf that is a text or a long integer: its code.
    codes: Vec<u32>,
}

/// What an event's name and customer are called in its chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Codes {
    pub(super) name: u32,
    pub(super) customer: u32,
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

/// Distinct strings of metadata, end to end, and their codes.
#[derive(Debug, Default)]
struct Strings {
    text: String,
    ends: Vec<u32>,
    codes: HashTable<u32>,
}

/// Bytes of a string beside its text: where it ends, and its code with the table's slack.
const STRING_ENTRY_BYTES: usize = 16;

impl Strings {
    fn get(&self, code: u32) -> &str {
        text_at(&self.text, &self.ends, code)
    }

    fn code(
        &mut self,
        text: &[u8],
        hasher: &DefaultHashBuilder,
        bytes: &mut usize,
    ) -> Result<u32, DecodeError> {
        let Self { text: all, ends, codes } = self;
        let hash = hasher.hash_one(text);
        let known = codes.find(hash, |&code| text_at(all, ends, code).as_bytes() == text);
        if let Some(&code) = known {
            return Ok(code);
        }
        let code = position(ends.len());
        all.push_str(codec::checked_text(text)?);
        ends.push(position(all.len()));
        let hash_of = |&code: &u32| hasher.hash_one(text_at(all, ends, code).as_bytes());
        codes.insert_unique(hash, code, hash_of);
        *bytes += text.len() + STRING_ENTRY_BYTES;
        Ok(code)
    }
}

/// The text with a code, where all stand end to end.
fn text_at<'t>(all: &'t str, ends: &[u32], code: u32) -> &'t str {
    let code = code as usize;
    let start = code.checked_sub(1).map_or(0, |before| ends[before]);
    &all[start as usize..ends[code] as usize]
}

/// Sizes within a chunk fit 32 bits: it is frozen long before.
pub(super) fn position(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The events of one combination of key paths and kinds.
#[derive(Debug)]
struct Shape {
    /// Of the events' metadata; empty where they are kept encoded.
    signature: Box<[u8]>,
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

/// Paths and kinds of values that are no objects with keys.
pub(super) type Leaves<'c> = Vec<(&'c [Box<str>], Kind)>;

/// Where a property stands in the events of a shape.
#[derive(Debug, Clone)]
pub(super) struct Slot(SlotKind);

/// The values of a shape's events at a slot.
#[derive(Debug, Clone, Copy)]
pub(super) enum ShapeValues<'c> {
    /// There is none.
    None,
    Ints(&'c [i64]),
    Floats(&'c [f64]),
    /// Codes of texts.
    Texts(&'c [u32]),
    /// Others, to be [asked for](Chunk::value) one by one.
    Any,
}

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

    /// Appends an event. If it cannot be decoded, nothing is appended.
    pub(super) fn push(
        &mut self,
        sequence: Sequence,
        ingested_at: Timestamp,
        event: &RawEvent<'_>,
    ) -> Result<Codes, DecodeError> {
        // All that can fail comes first.
        let external_id = event.external_id.map(codec::checked_text).transpose()?;
        let parent_id = event.parent_id.map(codec::checked_text).transpose()?;
        let member_id = event.external_member_id.map(codec::checked_text).transpose()?;
        let prepared = self.prepare_metadata(event.metadata)?;
        let customer = self.customer_code(event.customer)?;
        let name = self.name_code(event.source, event.name)?;
        let (shape, position_in_shape) = match prepared {
            Some(code) => self.push_leaves(code, event.metadata),
            None => self.push_encoded(event.metadata),
        };

        let row = position(self.len());
        let micros = event.timestamp.micros();
        self.sequences.push(sequence.0);
        self.timestamps.push(micros);
        self.ingested_at.push(ingested_at.micros());
        self.timestamp_range = Some(match self.timestamp_range {
            None => (micros, micros),
            Some((first, last)) => (first.min(micros), last.max(micros)),
        });
        self.names.push(name);
        self.customers.push(customer);
        self.customer_rows[customer as usize].push(row);
        self.external_ids.push(external_id);
        self.bytes += 56 + external_id.map_or(0, str::len);
        for (text, texts) in [(parent_id, &mut self.parent_ids), (member_id, &mut self.member_ids)]
        {
            if let Some(text) = text {
                texts.insert(row, text.into());
                self.bytes += text.len() + 48;
            }
        }
        self.shape_of.push(shape);
        self.position_of.push(position_in_shape);
        Ok(Codes { name, customer })
    }

    fn name_code(&mut self, source: EventSource, name: &[u8]) -> Result<u32, DecodeError> {
        let Self { name_values: values, name_codes: codes, hasher, bytes, .. } = self;
        let same = |(s, n): &(EventSource, Box<str>)| *s == source && n.as_bytes() == name;
        // Few names, all in cache: comparing beats hashing.
        if let Some(index) = values.iter().take(4).position(same) {
            return Ok(position(index));
        }
        let hash = hasher.hash_one((source, name));
        if let Some(&code) = codes.find(hash, |&code| same(&values[code as usize])) {
            return Ok(code);
        }
        let code = position(values.len());
        values.push((source, codec::checked_text(name)?.into()));
        codes.insert_unique(hash, code, |&code| {
            let (source, name) = &values[code as usize];
            hasher.hash_one((*source, name.as_bytes()))
        });
        *bytes += name.len() + 64;
        Ok(code)
    }

    fn customer_code(&mut self, customer: RawCustomer<'_>) -> Result<u32, DecodeError> {
        let hash = hash_customer(&self.hasher, customer);
        if let Some(code) = self.known_customer(hash, customer) {
            return Ok(code);
        }
        let owned = match customer {
            RawCustomer::Id(id) => CustomerRef::Id(id),
            RawCustomer::External(text) => {
                CustomerRef::External(Cow::Owned(codec::checked_text(text)?.to_owned()))
            }
        };
        self.bytes += 120
            + match &owned {
                CustomerRef::External(text) => text.len(),
                CustomerRef::Id(_) => 0,
            };
        let code = position(self.customer_values.len());
        self.customer_values.push(owned);
        self.customer_rows.push(Vec::new());
        let Self { customer_values: values, customer_codes: codes, hasher, .. } = self;
        codes.insert_unique(hash, code, |&code| {
            hash_customer(hasher, raw_customer(&values[code as usize]))
        });
        Ok(code)
    }

    fn known_customer(&self, hash: u64, customer: RawCustomer<'_>) -> Option<u32> {
        let found = self.customer_codes.find(hash, |&code| {
            match (&self.customer_values[code as usize], customer) {
                (CustomerRef::Id(a), RawCustomer::Id(b)) => *a == b,
                (CustomerRef::External(a), RawCustomer::External(b)) => a.as_bytes() == b,
                _ => false,
            }
        });
        found.copied()
    }

    /// Reads metadata into the scratch buffers; returns its shape, which may be new, or `None` if
    /// it is to be kept encoded.
    fn prepare_metadata(&mut self, metadata: &[u8]) -> Result<Option<u32>, DecodeError> {
        let Scratch { leaves, signature, codes } = &mut self.scratch;
        leaves.clear();
        signature.clear();
        codes.clear();
        codec::read_leaves(metadata, leaves, signature)?;
        let Some(shape) = self.shape_code(metadata)? else {
            // Texts that are taken apart are checked when they are kept; these, here.
            codec::decode_metadata(metadata)?;
            return Ok(None);
        };
        let Scratch { leaves, codes, .. } = &mut self.scratch;
        for leaf in leaves {
            if let Leaf::Text(span) | Leaf::Big(span) = leaf {
                let text = span.of(metadata);
                codes.push(self.strings.code(text, &self.hasher, &mut self.bytes)?);
            }
        }
        Ok(Some(shape))
    }

    fn shape_code(&mut self, metadata: &[u8]) -> Result<Option<u32>, DecodeError> {
        let Self { shapes, shape_codes: codes, hasher, scratch, .. } = self;
        let Scratch { leaves, signature, .. } = scratch;
        if leaves.len() > SHAPE_FIELDS_MAX {
            return Ok(None);
        }
        let is_it = |code: u32| *shapes[code as usize].signature == **signature;
        // Events of a shape come in runs.
        if let Some(&code) = self.shape_of.last()
            && is_it(code)
        {
            return Ok(Some(code));
        }
        let hash = hasher.hash_one(signature.as_slice());
        if let Some(&code) = codes.find(hash, |&code| is_it(code)) {
            return Ok(Some(code));
        }
        if shapes.len() >= SHAPES_MAX {
            return Ok(None);
        }
        let code = position(shapes.len());
        let mut fields = Vec::with_capacity(leaves.len());
        collect_fields(&codec::decode_metadata(metadata)?, &mut Vec::new(), &mut fields);
        self.bytes += signature.len() + 160 + 96 * fields.len();
        shapes.push(Shape { signature: signature.as_slice().into(), fields, len: 0 });
        codes.insert_unique(hash, code, |&code| hasher.hash_one(&*shapes[code as usize].signature));
        Ok(Some(code))
    }

    /// Puts what the scratch buffers hold into the columns of a shape.
    fn push_leaves(&mut self, code: u32, metadata: &[u8]) -> (u32, u32) {
        let shape = &mut self.shapes[code as usize];
        let Scratch { leaves, codes, .. } = &self.scratch;
        let mut codes = codes.iter();
        for (field, leaf) in shape.fields.iter_mut().zip(leaves) {
            field.column.push(leaf, &mut codes, metadata, &mut self.bytes);
        }
        self.bytes += 8 * shape.fields.len();
        (code, shape.next_position())
    }

    fn push_encoded(&mut self, metadata: &[u8]) -> (u32, u32) {
        let code = match self.encoded_shape {
            Some(code) => code,
            None => {
                let code = position(self.shapes.len());
                let field = Field { path: Vec::new(), column: Column::Encoded(Vec::new()) };
                self.shapes.push(Shape { signature: Box::default(), fields: vec![field], len: 0 });
                self.bytes += 256;
                *self.encoded_shape.insert(code)
            }
        };
        self.bytes += metadata.len() + 32;
        let shape = &mut self.shapes[code as usize];
        if let Some(Field { column: Column::Encoded(values), .. }) = shape.fields.first_mut() {
            values.push(metadata.into());
        }
        (code, shape.next_position())
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
        let customer = raw_customer(customer);
        self.known_customer(hash_customer(&self.hasher, customer), customer)
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

    /// The event timestamps of all rows in microseconds.
    pub(super) fn all_micros(&self) -> &[i64] {
        &self.timestamps
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
        let position = self.position_of(row);
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

    /// The values of a shape's events at a slot, by [position](Self::position_of).
    pub(super) fn values_at(&self, shape: usize, slot: &Slot) -> ShapeValues<'_> {
        match &slot.0 {
            SlotKind::Absent => ShapeValues::None,
            SlotKind::Field(index) => match &self.shapes[shape].fields[*index].column {
                Column::Int(values) => ShapeValues::Ints(values),
                Column::Float(values) => ShapeValues::Floats(values),
                Column::Text(codes) => ShapeValues::Texts(codes),
                _ => ShapeValues::Any,
            },
            SlotKind::Object(..) | SlotKind::Encoded(_) => ShapeValues::Any,
        }
    }

    /// The place of a row among the events of its shape.
    pub(super) fn position_of(&self, row: Row) -> usize {
        self.position_of[row as usize] as usize
    }

    /// How many distinct texts there are in metadata.
    pub(super) fn text_count(&self) -> usize {
        self.strings.ends.len()
    }

    /// The text with a code.
    pub(super) fn text(&self, code: u32) -> &str {
        self.strings.get(code)
    }

    /// A row's metadata.
    pub(super) fn metadata(&self, row: Row) -> Metadata<'_> {
        let shape = &self.shapes[self.shape_of(row)];
        let position = self.position_of(row);
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

    /// The paths and kinds of what the metadata of a shape hold, in order; `None` if they are kept
    /// encoded, or one is of a kind that no column of a segment holds.
    pub(super) fn leaves(&self, shape: usize) -> Option<Leaves<'_>> {
        fn leaf(field: &Field) -> Option<(&[Box<str>], Kind)> {
            let kind = match &field.column {
                Column::Null => Kind::Null,
                Column::EmptyObject => Kind::Object,
                Column::Bool(_) => Kind::Bool,
                Column::Int(_) => Kind::Int,
                Column::Float(_) => Kind::Float,
                Column::Decimal { .. } => Kind::Decimal,
                Column::Text(_) => Kind::String,
                Column::Big(_) | Column::Encoded(_) => return None,
            };
            Some((&field.path, kind))
        }
        self.shapes[shape].fields.iter().map(leaf).collect()
    }

    /// What stands at the [leaves](Self::leaves) of a row's shape.
    pub(super) fn leaf_values(&self, row: Row) -> impl Iterator<Item = Value<'_>> {
        let position = self.position_of(row);
        let fields = &self.shapes[self.shape_of(row)].fields;
        fields.iter().map(move |field| field.column.get(position, &self.strings))
    }

    /// A row as the event that it was.
    pub(super) fn event(&self, row: Row) -> NewEvent<'_> {
        NewEvent { metadata: self.metadata(row), ..self.event_without_metadata(row) }
    }

    /// A row as an event without any metadata.
    pub(super) fn event_without_metadata(&self, row: Row) -> NewEvent<'_> {
        let (source, name) = &self.name_values[self.names[row as usize] as usize];
        NewEvent {
            name: Cow::Borrowed(name),
            source: *source,
            customer: self.customer(row).borrowed(),
            timestamp: self.timestamp(row),
            external_id: self.external_id(row).map(Cow::Borrowed),
            parent_id: self.parent_id(row).map(Cow::Borrowed),
            external_member_id: self.external_member_id(row).map(Cow::Borrowed),
            metadata: Metadata::default(),
        }
    }

    /// A row's event timestamp.
    pub(super) fn timestamp(&self, row: Row) -> Timestamp {
        Timestamp::from_micros(self.micros(row)).unwrap_or(Timestamp::MAX)
    }
}

fn raw_customer<'c>(customer: &'c CustomerRef<'_>) -> RawCustomer<'c> {
    match customer {
        CustomerRef::Id(id) => RawCustomer::Id(*id),
        CustomerRef::External(text) => RawCustomer::External(text.as_bytes()),
    }
}

fn hash_customer(hasher: &DefaultHashBuilder, customer: RawCustomer<'_>) -> u64 {
    match customer {
        RawCustomer::Id(id) => hasher.hash_one(id.0.as_bytes()),
        RawCustomer::External(text) => hasher.hash_one(text),
    }
}

/// Appends a field for each value of an object, in the order of [`codec::read_leaves`].
fn collect_fields(object: &Metadata<'_>, path: &mut Vec<Box<str>>, fields: &mut Vec<Field>) {
    for (key, value) in object.iter() {
        path.push(key.into());
        let column = match value {
            Value::Object(inner) if inner.iter().len() > 0 => {
                collect_fields(inner, path, fields);
                path.pop();
                continue;
            }
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
        fields.push(Field { path: path.clone(), column });
        path.pop();
    }
}

impl Column {
    /// Appends a value of the metadata; the next of `codes` is its code if it has one.
    fn push<'c>(
        &mut self,
        leaf: &Leaf,
        codes: &mut impl Iterator<Item = &'c u32>,
        metadata: &[u8],
        bytes: &mut usize,
    ) {
        match (self, leaf) {
            (Self::Bool(values), Leaf::Bool(value)) => values.push(*value),
            (Self::Int(values), Leaf::Int(value)) => values.push(*value),
            (Self::Float(values), Leaf::Float(value)) => values.push(*value),
            (Self::Decimal { mantissas, .. }, Leaf::Decimal(mantissa)) => {
                mantissas.push(*mantissa);
            }
            (Self::Big(column), Leaf::Big(_)) | (Self::Text(column), Leaf::Text(_)) => {
                column.extend(codes.next());
            }
            (Self::Encoded(values), Leaf::Array(span)) => {
                let encoded = span.of(metadata);
                *bytes += encoded.len() + 16;
                values.push(encoded.into());
            }
            // A shape's signature holds the kind of each of its fields.
            (_, _) => {}
        }
    }

    fn get<'s>(&'s self, position: usize, strings: &'s Strings) -> Value<'s> {
        let text = |code: u32| strings.get(code);
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
