//! Events as bytes: what a journal record holds, and what the engine passes around.
//!
//! An event is encoded once, by the thread that received it; the committer only decides which
//! encoded events to keep, and recovery applies the very same bytes. The layout is described in
//! `docs/format.md`.

use std::borrow::Cow;
use std::ops::Range;

use floe_core::limits::METADATA_LEVELS_MAX;
use floe_core::{
    CustomerId, CustomerRef, EventSource, Metadata, NewEvent, Number, OrganizationId, Sequence,
    Timestamp, Value,
};
use uuid::Uuid;

use super::dedup::{KeyHash, KeyHasher};

/// Version of the payload of a journal record.
const PAYLOAD_VERSION: u8 = 1;

/// Why bytes are no events. Journal records carry a checksum, so this means a fault of ours or a
/// payload of a newer Floe.
#[derive(Debug, thiserror::Error)]
#[error("undecodable journal payload: {0}")]
pub(super) struct DecodeError(&'static str);

type Result<T> = std::result::Result<T, DecodeError>;

const TOO_DEEP: DecodeError = DecodeError("a value nests too deep");

const FLAG_SYSTEM: u8 = 1;
const FLAG_CUSTOMER_ID: u8 = 2;
const FLAG_EXTERNAL_ID: u8 = 4;
const FLAG_PARENT_ID: u8 = 8;
const FLAG_MEMBER_ID: u8 = 16;

/// Where an encoded event's timestamp stands, for the committer to fill in.
const TIMESTAMP_AT: Range<usize> = 1..9;

/// Encoded events of one organization, in order, each behind its length: a journal record holds
/// these bytes as they are.
#[derive(Debug, Clone)]
pub(super) struct EncodedEvents {
    organization: OrganizationId,
    hasher: KeyHasher,
    bytes: Vec<u8>,
    spans: Vec<EncodedSpan>,
}

/// One encoded event in [`EncodedEvents`], without its length.
#[derive(Debug, Clone)]
struct EncodedSpan {
    bytes: Range<u32>,
    external_id: Option<(Range<u32>, KeyHash)>,
}

/// Bytes of the length in front of an event.
const LENGTH_BYTES: usize = 4;

/// Bytes that an encoded event has room for at first.
const EVENT_BYTES_EXPECTED: usize = 192;

impl EncodedEvents {
    /// None yet, with room for so many of common size. Their external ids are hashed here, by
    /// whoever encodes, and not by the one thread that all wait for.
    pub(super) fn new(organization: OrganizationId, hasher: &KeyHasher, events: usize) -> Self {
        Self {
            organization,
            hasher: hasher.clone(),
            bytes: Vec::with_capacity(events * EVENT_BYTES_EXPECTED),
            spans: Vec::with_capacity(events),
        }
    }

    /// Whose they are.
    pub(super) fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// Appends an event.
    pub(super) fn push(&mut self, event: &NewEvent<'_>) {
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        let start = position(&self.bytes);
        let external_id = encode_event(event, &mut self.bytes).map(|span| {
            let text = &self.bytes[span.start as usize..span.end as usize];
            let hash = self.hasher.hash(self.organization, text);
            (span, hash)
        });
        let end = position(&self.bytes);
        self.bytes[length_at..length_at + LENGTH_BYTES]
            .copy_from_slice(&(end - start).to_le_bytes());
        self.spans.push(EncodedSpan { bytes: start..end, external_id });
    }

    /// How many events.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Their size in bytes, lengths included.
    pub(super) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of an event.
    pub(super) fn event(&self, index: usize) -> &[u8] {
        let span = &self.spans[index].bytes;
        &self.bytes[span.start as usize..span.end as usize]
    }

    /// The bytes of consecutive events with their lengths.
    pub(super) fn run(&self, events: Range<usize>) -> &[u8] {
        match (self.spans.get(events.start), events.end.checked_sub(1)) {
            (Some(first), Some(last)) if events.start <= last => {
                let start = first.bytes.start as usize - LENGTH_BYTES;
                &self.bytes[start..self.spans[last].bytes.end as usize]
            }
            _ => &[],
        }
    }

    /// The external id of an event, and its hash.
    pub(super) fn external_id(&self, index: usize) -> Option<(&[u8], KeyHash)> {
        let (span, hash) = self.spans[index].external_id.as_ref()?;
        Some((&self.bytes[span.start as usize..span.end as usize], *hash))
    }

    /// Sets the timestamp of every event, for those whose time is that of the commit.
    pub(super) fn stamp(&mut self, timestamp: Timestamp) {
        for span in &self.spans {
            let start = span.bytes.start as usize;
            self.bytes[start + TIMESTAMP_AT.start..start + TIMESTAMP_AT.end]
                .copy_from_slice(&timestamp.micros().to_le_bytes());
        }
    }
}

/// A position in a batch: batches are bounded by the body limit, far below 4 GiB.
fn position(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Appends the head of a journal payload: version, first sequence number, time of ingestion.
pub(super) fn put_payload_head(first: Sequence, ingested_at: Timestamp, out: &mut Vec<u8>) {
    out.push(PAYLOAD_VERSION);
    out.extend_from_slice(&first.0.to_le_bytes());
    out.extend_from_slice(&ingested_at.micros().to_le_bytes());
}

/// Appends the head of a run of events of one organization.
pub(super) fn put_run_head(organization: OrganizationId, count: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(organization.0.as_bytes());
    out.extend_from_slice(&count.to_le_bytes());
}

/// Reads a journal payload; calls `apply` with every event in it.
pub(super) fn read_payload<E: From<DecodeError>>(
    payload: &[u8],
    mut apply: impl FnMut(OrganizationId, Sequence, Timestamp, &[u8]) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut reader = Reader(payload);
    if reader.byte()? != PAYLOAD_VERSION {
        return Err(DecodeError("its version is not 1").into());
    }
    let mut sequence = u64::from_le_bytes(reader.array()?);
    let ingested_at = reader.timestamp()?;
    while !reader.0.is_empty() {
        let organization = OrganizationId(Uuid::from_bytes(reader.array()?));
        for _ in 0..u32::from_le_bytes(reader.array()?) {
            let length = u32::from_le_bytes(reader.array()?) as usize;
            apply(organization, Sequence(sequence), ingested_at, reader.take(length)?)?;
            sequence += 1;
        }
    }
    Ok(())
}

/// Appends an event; returns where its external id stands.
fn encode_event(event: &NewEvent<'_>, out: &mut Vec<u8>) -> Option<Range<u32>> {
    let NewEvent {
        name,
        source,
        customer,
        timestamp,
        external_id,
        parent_id,
        external_member_id,
        metadata,
    } = event;
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(
        flag(*source == EventSource::System, FLAG_SYSTEM)
            | flag(matches!(customer, CustomerRef::Id(_)), FLAG_CUSTOMER_ID)
            | flag(external_id.is_some(), FLAG_EXTERNAL_ID)
            | flag(parent_id.is_some(), FLAG_PARENT_ID)
            | flag(external_member_id.is_some(), FLAG_MEMBER_ID),
    );
    out.extend_from_slice(&timestamp.micros().to_le_bytes());
    put_text(name, out);
    match customer {
        CustomerRef::Id(id) => out.extend_from_slice(id.0.as_bytes()),
        CustomerRef::External(external_id) => put_text(external_id, out),
    }
    let external_id = external_id.as_ref().map(|text| {
        put_text(text, out);
        position(out) - position(text.as_bytes())..position(out)
    });
    parent_id.iter().chain(external_member_id).for_each(|text| put_text(text, out));
    encode_metadata(metadata, out);
    external_id
}

/// An encoded event, taken apart but for its metadata. Texts are as they were encoded: who keeps
/// one checks that it is UTF-8.
pub(super) struct RawEvent<'e> {
    pub(super) source: EventSource,
    pub(super) timestamp: Timestamp,
    pub(super) name: &'e [u8],
    pub(super) customer: RawCustomer<'e>,
    pub(super) external_id: Option<&'e [u8]>,
    pub(super) parent_id: Option<&'e [u8]>,
    pub(super) external_member_id: Option<&'e [u8]>,
    /// For [`read_leaves`] and [`decode_metadata`].
    pub(super) metadata: &'e [u8],
}

/// Whom an encoded event is of.
#[derive(Clone, Copy)]
pub(super) enum RawCustomer<'e> {
    Id(CustomerId),
    External(&'e [u8]),
}

/// Takes an event apart, without allocating.
pub(super) fn read_event(bytes: &[u8]) -> Result<RawEvent<'_>> {
    let mut reader = Reader(bytes);
    let flags = reader.byte()?;
    let has = |flag: u8| flags & flag != 0;
    let timestamp = reader.timestamp()?;
    let name = reader.text_bytes()?;
    let customer = if has(FLAG_CUSTOMER_ID) {
        RawCustomer::Id(CustomerId(Uuid::from_bytes(reader.array()?)))
    } else {
        RawCustomer::External(reader.text_bytes()?)
    };
    let mut optional = |flag: u8| has(flag).then(|| reader.text_bytes()).transpose();
    let external_id = optional(FLAG_EXTERNAL_ID)?;
    let parent_id = optional(FLAG_PARENT_ID)?;
    let external_member_id = optional(FLAG_MEMBER_ID)?;
    let source = if has(FLAG_SYSTEM) { EventSource::System } else { EventSource::User };
    Ok(RawEvent {
        source,
        timestamp,
        name,
        customer,
        external_id,
        parent_id,
        external_member_id,
        metadata: reader.0,
    })
}

/// A text that is about to be kept.
pub(super) fn checked_text(bytes: &[u8]) -> Result<&str> {
    str::from_utf8(bytes).map_err(|_| DecodeError("a text is not UTF-8"))
}

/// Reads an event; its texts borrow from the bytes.
pub(super) fn decode_event(bytes: &[u8]) -> Result<NewEvent<'_>> {
    let mut reader = Reader(bytes);
    let flags = reader.byte()?;
    let has = |flag: u8| flags & flag != 0;
    let timestamp = reader.timestamp()?;
    let name = Cow::Borrowed(reader.text()?);
    let customer = if has(FLAG_CUSTOMER_ID) {
        CustomerRef::Id(CustomerId(Uuid::from_bytes(reader.array()?)))
    } else {
        CustomerRef::External(Cow::Borrowed(reader.text()?))
    };
    let mut optional = |flag: u8| has(flag).then(|| reader.text().map(Cow::Borrowed)).transpose();
    let external_id = optional(FLAG_EXTERNAL_ID)?;
    let parent_id = optional(FLAG_PARENT_ID)?;
    let external_member_id = optional(FLAG_MEMBER_ID)?;
    let metadata = reader.metadata()?;
    let source = if has(FLAG_SYSTEM) { EventSource::System } else { EventSource::User };
    Ok(NewEvent {
        name,
        source,
        customer,
        timestamp,
        external_id,
        parent_id,
        external_member_id,
        metadata,
    })
}

/// Appends metadata: a count, then keys and values.
pub(super) fn encode_metadata(metadata: &Metadata<'_>, out: &mut Vec<u8>) {
    let entries = metadata.iter();
    put_varint(entries.len() as u64, out);
    for (key, value) in entries {
        put_text(key, out);
        encode_value(value, out);
    }
}

/// Reads what [`encode_metadata`] wrote.
pub(super) fn decode_metadata(bytes: &[u8]) -> Result<Metadata<'_>> {
    Reader(bytes).metadata()
}

/// A value of encoded metadata that is no object, or an empty one. It holds positions and no
/// slices, so that one buffer serves all events.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leaf {
    Null,
    EmptyObject,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// The mantissa; the scale is in the signature.
    Decimal(i64),
    /// The digits.
    Big(Span),
    Text(Span),
    /// The encoded value.
    Array(Span),
}

/// A stretch of encoded metadata.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The bytes in the metadata that the span was read from.
    pub(super) fn of<'e>(&self, metadata: &'e [u8]) -> &'e [u8] {
        &metadata[self.start as usize..self.end as usize]
    }
}

/// What a signature says of a value; decimals add their scale to the last.
const SIGN_NULL: u8 = 0;
const SIGN_EMPTY_OBJECT: u8 = 1;
const SIGN_BOOL: u8 = 2;
const SIGN_INT: u8 = 3;
const SIGN_FLOAT: u8 = 4;
const SIGN_BIG: u8 = 5;
const SIGN_TEXT: u8 = 6;
const SIGN_ARRAY: u8 = 7;
const SIGN_OBJECT: u8 = 8;
const SIGN_DECIMAL: u8 = 16;

/// Reads the values of encoded metadata in order, and appends a signature: two are equal exactly
/// if their metadata has the same keys in the same order, and values of the same kinds.
pub(super) fn read_leaves(
    metadata: &[u8],
    leaves: &mut Vec<Leaf>,
    signature: &mut Vec<u8>,
) -> Result<()> {
    let mut reader = LeafReader { all: metadata, reader: Reader(metadata), leaves, signature };
    reader.object(0)?;
    if !reader.reader.0.is_empty() {
        return Err(DecodeError("something stands behind the metadata"));
    }
    Ok(())
}

struct LeafReader<'e, 'o> {
    all: &'e [u8],
    reader: Reader<'e>,
    leaves: &'o mut Vec<Leaf>,
    signature: &'o mut Vec<u8>,
}

impl LeafReader<'_, '_> {
    fn position(&self) -> usize {
        self.all.len() - self.reader.0.len()
    }

    /// What was read since `start`.
    fn span(&self, start: usize) -> Span {
        let narrow = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
        Span { start: narrow(start), end: narrow(self.position()) }
    }

    /// As much as was read since `start` belongs to the signature.
    fn sign(&mut self, start: usize) {
        self.signature.extend_from_slice(&self.all[start..self.position()]);
    }

    fn object(&mut self, level: usize) -> Result<()> {
        let start = self.position();
        let count = self.reader.length()?;
        if count == 0 && level > 0 {
            self.signature.push(SIGN_EMPTY_OBJECT);
            self.leaves.push(Leaf::EmptyObject);
            return Ok(());
        }
        if level > 0 {
            self.signature.push(SIGN_OBJECT);
        }
        self.sign(start);
        for _ in 0..count {
            let start = self.position();
            self.reader.text_bytes()?;
            self.sign(start);
            self.value(level + 1)?;
        }
        Ok(())
    }

    fn value(&mut self, level: usize) -> Result<()> {
        if level > METADATA_LEVELS_MAX {
            return Err(TOO_DEEP);
        }
        let start = self.position();
        let tag = self.reader.byte()?;
        let (sign, leaf) = match tag {
            TAG_NULL => (SIGN_NULL, Leaf::Null),
            TAG_FALSE | TAG_TRUE => (SIGN_BOOL, Leaf::Bool(tag == TAG_TRUE)),
            TAG_INT => (SIGN_INT, Leaf::Int(unzigzag(self.reader.varint()?))),
            TAG_TEXT => {
                let length = self.reader.length()?;
                let start = self.position();
                self.reader.take(length)?;
                (SIGN_TEXT, Leaf::Text(self.span(start)))
            }
            TAG_OBJECT => return self.object(level),
            TAG_FLOAT => {
                let number = self.reader.float()?;
                self.number(&number)?
            }
            TAG_DECIMAL => {
                let number = self.reader.decimal()?;
                self.number(&number)?
            }
            TAG_BIG => {
                let number = self.reader.big()?;
                self.number(&number)?
            }
            _ => {
                // Rare, and large beside this: read it for its errors, keep it as it is.
                let mut whole = Reader(&self.all[start..]);
                whole.value(level)?;
                self.reader = whole;
                (SIGN_ARRAY, Leaf::Array(self.span(start)))
            }
        };
        self.signature.push(sign);
        self.leaves.push(leaf);
        Ok(())
    }

    /// A number that was just read.
    fn number(&self, number: &Number<'_>) -> Result<(u8, Leaf)> {
        Ok(match number {
            Number::Int(value) => (SIGN_INT, Leaf::Int(*value)),
            Number::Float(value) => (SIGN_FLOAT, Leaf::Float(*value)),
            Number::Decimal { mantissa, scale } => (SIGN_DECIMAL + scale, Leaf::Decimal(*mantissa)),
            Number::Big(Cow::Borrowed(digits)) => {
                (SIGN_BIG, Leaf::Big(self.span(self.position() - digits.len())))
            }
            Number::Big(Cow::Owned(_)) => {
                return Err(DecodeError("an integer has leading zeros"));
            }
        })
    }
}

/// Reads what [`encode_value`] wrote.
pub(super) fn decode_value(bytes: &[u8]) -> Result<Value<'_>> {
    Reader(bytes).value(0)
}

const TAG_NULL: u8 = 0;
const TAG_FALSE: u8 = 1;
const TAG_TRUE: u8 = 2;
const TAG_INT: u8 = 3;
const TAG_FLOAT: u8 = 4;
const TAG_DECIMAL: u8 = 5;
const TAG_BIG: u8 = 6;
const TAG_TEXT: u8 = 7;
const TAG_ARRAY: u8 = 8;
const TAG_OBJECT: u8 = 9;

/// Appends a value: a tag, then what it needs.
pub(super) fn encode_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(TAG_NULL),
        Value::Bool(false) => out.push(TAG_FALSE),
        Value::Bool(true) => out.push(TAG_TRUE),
        Value::Number(Number::Int(value)) => {
            out.push(TAG_INT);
            put_varint(zigzag(*value), out);
        }
        Value::Number(Number::Float(value)) => {
            out.push(TAG_FLOAT);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        Value::Number(Number::Decimal { mantissa, scale }) => {
            out.extend_from_slice(&[TAG_DECIMAL, *scale]);
            put_varint(zigzag(*mantissa), out);
        }
        Value::Number(Number::Big(digits)) => {
            out.push(TAG_BIG);
            put_text(digits, out);
        }
        Value::String(text) => {
            out.push(TAG_TEXT);
            put_text(text, out);
        }
        Value::Array(items) => {
            out.push(TAG_ARRAY);
            put_varint(items.len() as u64, out);
            items.iter().for_each(|item| encode_value(item, out));
        }
        Value::Object(object) => {
            out.push(TAG_OBJECT);
            encode_metadata(object, out);
        }
    }
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[inline]
fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DecodeError("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError("it ends early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64> {
        // Most are lengths below 128.
        match self.0.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.0 = rest;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError("a number has more than ten bytes"))
    }

    fn length(&mut self) -> Result<usize> {
        usize::try_from(self.varint()?).map_err(|_| DecodeError("a length is beyond this machine"))
    }

    fn text_bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str> {
        checked_text(self.text_bytes()?)
    }

    fn timestamp(&mut self) -> Result<Timestamp> {
        Timestamp::from_micros(i64::from_le_bytes(self.array()?))
            .ok_or(DecodeError("a time is outside the years 1 to 9999"))
    }

    fn float(&mut self) -> Result<Number<'a>> {
        let value = f64::from_bits(u64::from_le_bytes(self.array()?));
        Number::float(value).ok_or(DecodeError("a float is not finite"))
    }

    fn decimal(&mut self) -> Result<Number<'a>> {
        let scale = self.byte()?;
        let mantissa = unzigzag(self.varint()?);
        Number::decimal(mantissa, scale).ok_or(DecodeError("a scale is over 12"))
    }

    fn big(&mut self) -> Result<Number<'a>> {
        Number::integer(self.text()?).ok_or(DecodeError("an integer is not digits"))
    }

    fn metadata(&mut self) -> Result<Metadata<'a>> {
        self.object(0)
    }

    fn object(&mut self, level: usize) -> Result<Metadata<'a>> {
        let count = self.length()?;
        // A damaged count must not reserve memory that the bytes cannot fill.
        let mut entries = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            entries.push((Cow::Borrowed(self.text()?), self.value(level + 1)?));
        }
        Ok(Metadata::from_distinct(entries))
    }

    fn value(&mut self, level: usize) -> Result<Value<'a>> {
        if level > METADATA_LEVELS_MAX {
            return Err(TOO_DEEP);
        }
        Ok(match self.byte()? {
            TAG_NULL => Value::Null,
            TAG_FALSE => Value::Bool(false),
            TAG_TRUE => Value::Bool(true),
            TAG_INT => Value::Number(Number::Int(unzigzag(self.varint()?))),
            TAG_FLOAT => Value::Number(self.float()?),
            TAG_DECIMAL => Value::Number(self.decimal()?),
            TAG_BIG => Value::Number(self.big()?),
            TAG_TEXT => Value::String(Cow::Borrowed(self.text()?)),
            TAG_ARRAY => {
                let count = self.length()?;
                let mut items = Vec::with_capacity(count.min(self.0.len()));
                for _ in 0..count {
                    items.push(self.value(level + 1)?);
                }
                Value::Array(items)
            }
            TAG_OBJECT => Value::Object(self.object(level + 1)?),
            _ => return Err(DecodeError("a value has an unknown tag")),
        })
    }
}
