//! One organization's events: segments, the events in memory, and what is maintained beside them.
//!
//! Events are numbered in order of ingestion. The first ones are in segments; those behind them
//! are in memory, in a table that is being sealed, if any, and the one that grows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use floe_core::{
    Credit, CustomerId, CustomerRef, CustomerSelection, EventId, EventSource, METER_CREDITED,
    METER_RESET, MeterId, NewEvent, Number, Sequence, Timestamp, Value,
};
use hashbrown::HashTable;
use uuid::Uuid;

use super::chunk::{Chunk, Row};
use super::codec::{self, DecodeError, RawEvent};
use super::dedup::KeyHash;
use super::segment::Segment;

/// Bytes of a deduplication entry, with the table's slack.
const EXTERNAL_ID_ENTRY_BYTES: usize = 28;

/// Bytes of a customer's earliest event beside the text, with the table's slack.
const FIRST_EVENT_ENTRY_BYTES: usize = 96;

/// Bytes that a customer's spelling takes on the heap.
fn text_bytes(customer: &CustomerRef<'_>) -> usize {
    match customer {
        CustomerRef::Id(_) => 0,
        CustomerRef::External(text) => text.len(),
    }
}

/// Events in memory, in order of ingestion, as chunks of columns.
#[derive(Debug)]
pub(super) struct Memtable {
    /// Number of events before the first one.
    first: u64,
    chunks: Arc<Vec<Arc<Chunk>>>,
    /// Number of events before each frozen chunk.
    chunk_starts: Vec<u64>,
    active: Chunk,
    /// Number of events before those of `active`.
    active_start: u64,
    /// Hash of an external id, and the event's number. Exact, since a hit is followed by a
    /// comparison of the stored id.
    external_ids: HashTable<(KeyHash, u64)>,
    first_user_event_at: HashMap<CustomerRef<'static>, Timestamp>,
    /// By code of a customer in the active chunk: what is known to be in `first_user_event_at`.
    active_first_user_event_at: Vec<Option<Timestamp>>,
    children_by_text: HashMap<Box<str>, Vec<u64>>,
    children_by_id: HashMap<Uuid, Vec<u64>>,
    /// Bytes of the frozen chunks and of what stands beside the chunks.
    other_bytes: usize,
}

/// An organization's segments.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    /// In order of their events, without gap.
    pub(super) segments: Vec<Arc<Segment>>,
}

impl Sealed {
    /// Number of events in segments.
    pub(super) fn len(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.meta.numbers().end)
    }

    /// The segment of an event, and its row there.
    pub(super) fn locate(&self, number: u64) -> Option<(&Arc<Segment>, Row)> {
        let after = |segment: &Arc<Segment>| segment.meta.numbers().end <= number;
        let segment = self.segments.get(self.segments.partition_point(after))?;
        Some((segment, row_of(number - segment.meta.first_number)))
    }
}

/// An organization's events.
#[derive(Debug)]
pub(super) struct OrganizationTail {
    sealed: Arc<Sealed>,
    /// What is being written as a segment.
    sealing: Option<Arc<Memtable>>,
    growing: Memtable,
    names: Vec<NameStats>,
    name_index: HashMap<(EventSource, Box<str>), usize>,
    /// By code of a name in the active chunk: its place in `names`.
    active_names: Vec<usize>,
    ledgers: HashMap<(CustomerId, MeterId), Ledger>,
    /// Events that were not stored, since their external id was known.
    duplicates: AtomicU64,
}

/// How often a name occurred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameStats {
    /// Where the events came from.
    pub(super) source: EventSource,
    /// The name.
    pub(super) name: Box<str>,
    /// How many there are.
    pub(super) occurrences: u64,
    /// The earliest event timestamp.
    pub(super) first_seen: Timestamp,
    /// The latest event timestamp.
    pub(super) last_seen: Timestamp,
    /// When the first one was ingested.
    pub(super) created_at: Timestamp,
}

impl NameStats {
    /// Adds what is known of the same name from other events.
    pub(super) fn merge(&mut self, other: &Self) {
        self.occurrences += other.occurrences;
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.created_at = self.created_at.min(other.created_at);
    }
}

/// Credits and resets of a customer and a meter, in order of ingestion.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    credits: Vec<(Timestamp, Timestamp, Credit)>,
    /// Timestamp of the latest reset.
    reset_at: Option<Timestamp>,
    /// When the newest credit or reset was ingested.
    modified_at: Option<Timestamp>,
}

impl Ledger {
    /// Events ingested from here on are inside the window; all if `None`.
    pub(super) fn window_start(&self) -> Option<Timestamp> {
        self.reset_at
    }

    /// The credits inside the window, by timestamp, then order of ingestion.
    pub(super) fn credits(&self) -> Vec<Credit> {
        let mut inside: Vec<_> = self
            .credits
            .iter()
            .filter(|(_, ingested_at, _)| self.reset_at.is_none_or(|start| *ingested_at >= start))
            .collect();
        inside.sort_by_key(|(timestamp, ..)| *timestamp);
        inside.into_iter().map(|(.., credit)| *credit).collect()
    }

    /// When the newest credit or reset was ingested.
    pub(super) fn modified_at(&self) -> Option<Timestamp> {
        self.modified_at
    }
}

/// A row and the chunk that it is in.
pub(super) type Located<'t> = (&'t Chunk, Row);

impl Memtable {
    fn new(first: u64) -> Self {
        Self {
            first,
            chunks: Arc::default(),
            chunk_starts: Vec::new(),
            active: Chunk::default(),
            active_start: first,
            external_ids: HashTable::new(),
            first_user_event_at: HashMap::new(),
            active_first_user_event_at: Vec::new(),
            children_by_text: HashMap::new(),
            children_by_id: HashMap::new(),
            other_bytes: 0,
        }
    }

    /// Number of events before the first one.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Number of events in it and before it.
    pub(super) fn end(&self) -> u64 {
        self.active_start + self.active.len() as u64
    }

    /// Estimated bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.active.bytes() + self.other_bytes
    }

    /// Appends all of an event but its external id's entry; returns the code of its name in the
    /// active chunk.
    fn push(
        &mut self,
        sequence: Sequence,
        ingested_at: Timestamp,
        event: &RawEvent<'_>,
    ) -> Result<u32, DecodeError> {
        let parent = event.parent_id.map(codec::checked_text).transpose()?;
        let number = self.end();
        let codes = self.active.push(sequence, ingested_at, event)?;
        if let Some(parent) = parent {
            self.children_by_text.entry(parent.into()).or_default().push(number);
            self.other_bytes += parent.len() + 64;
            if let Ok(id) = parent.parse() {
                self.children_by_id.entry(id).or_default().push(number);
                self.other_bytes += 64;
            }
        }
        if event.source == EventSource::User {
            self.note_user_event(event.timestamp, codes.customer);
        }
        Ok(codes.name)
    }

    /// Makes events known by their external ids.
    fn add_external_ids(&mut self, external_ids: &[(KeyHash, u64)]) {
        let hash_of = |(hash, _): &(KeyHash, u64)| hash.bits();
        self.external_ids.reserve(external_ids.len(), hash_of);
        self.other_bytes += external_ids.len() * EXTERNAL_ID_ENTRY_BYTES;
        for entry in external_ids {
            self.external_ids.insert_unique(hash_of(entry), *entry, hash_of);
        }
    }

    fn note_user_event(&mut self, timestamp: Timestamp, code: u32) {
        let customers = self.active.customers();
        let known = &mut self.active_first_user_event_at;
        if known.len() < customers.len() {
            known.resize(customers.len(), None);
        }
        let known = &mut known[code as usize];
        if known.is_some_and(|first| first <= timestamp) {
            return;
        }
        let customer = &customers[code as usize];
        let first = match self.first_user_event_at.get_mut(customer) {
            Some(first) => {
                *first = timestamp.min(*first);
                *first
            }
            None => {
                self.other_bytes += FIRST_EVENT_ENTRY_BYTES + text_bytes(customer);
                self.first_user_event_at.insert(customer.clone(), timestamp);
                timestamp
            }
        };
        *known = Some(first);
    }

    /// The earliest user event under one spelling of a customer.
    fn first_user_event_at(&self, customer: &CustomerRef<'_>) -> Option<Timestamp> {
        let map: &HashMap<CustomerRef<'_>, Timestamp> = &self.first_user_event_at;
        map.get(customer).copied()
    }

    fn freeze(&mut self) {
        let chunk = std::mem::take(&mut self.active);
        self.active_first_user_event_at.clear();
        self.other_bytes += chunk.bytes();
        self.chunk_starts.push(self.active_start);
        self.active_start += chunk.len() as u64;
        Arc::make_mut(&mut self.chunks).push(Arc::new(chunk));
    }

    /// All chunks with the number of events before each, in order.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (u64, &Chunk)> {
        let frozen = self.chunk_starts.iter().copied().zip(self.chunks.iter().map(|c| &**c));
        frozen.chain(std::iter::once((self.active_start, &self.active)))
    }

    /// The chunk and row of an event, by its number in the organization.
    fn locate(&self, number: u64) -> Option<Located<'_>> {
        if number < self.first || number >= self.end() {
            return None;
        }
        if let Some(row) = number.checked_sub(self.active_start) {
            return Some((&self.active, row_of(row)));
        }
        let index = self.chunk_starts.partition_point(|&start| start <= number).checked_sub(1)?;
        Some((self.chunks.get(index)?, row_of(number - self.chunk_starts.get(index)?)))
    }

    fn by_external_id(&self, hash: KeyHash, external_id: &[u8]) -> Option<u64> {
        let found = self.external_ids.find(hash.bits(), |&(stored, number)| {
            stored == hash
                && self.locate(number).is_some_and(|(chunk, row)| {
                    chunk.external_id(row).is_some_and(|text| text.as_bytes() == external_id)
                })
        });
        found.map(|&(_, number)| number)
    }

    fn may_have_external_id(&self, hash: KeyHash) -> bool {
        self.external_ids.find(hash.bits(), |&(stored, _)| stored == hash).is_some()
    }

    fn by_sequence(&self, sequence: Sequence) -> Option<u64> {
        if let Some(row) = self.active.find(sequence) {
            return Some(self.active_start + u64::from(row));
        }
        // Chunks ascend in sequence numbers, so only the last that begins before it can hold it.
        let index =
            self.chunks.partition_point(|chunk| chunk.sequence(0) <= sequence).checked_sub(1)?;
        let row = self.chunks.get(index)?.find(sequence)?;
        Some(self.chunk_starts.get(index)? + u64::from(row))
    }
}

impl OrganizationTail {
    /// One whose first events are in these segments.
    pub(super) fn new(sealed: Sealed) -> Self {
        Self {
            growing: Memtable::new(sealed.len()),
            sealed: Arc::new(sealed),
            sealing: None,
            names: Vec::new(),
            name_index: HashMap::new(),
            active_names: Vec::new(),
            ledgers: HashMap::new(),
            duplicates: AtomicU64::new(0),
        }
    }

    /// Takes note of events that were not stored, since their external id was known.
    pub(super) fn note_duplicates(&self, count: u64) {
        self.duplicates.fetch_add(count, Ordering::Relaxed);
    }

    /// Those that were noted since the process started.
    pub(super) fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// Estimated bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let sealing = self.sealing.as_ref().map_or(0, |sealing| sealing.bytes());
        sealing + self.growing.bytes()
    }

    /// Appends encoded events, with the hashes of their external ids, under sequence numbers from
    /// `first` on.
    ///
    /// # Errors
    ///
    /// That of the last event that cannot be decoded; all others are appended.
    pub(super) fn push_all<'e>(
        &mut self,
        first: Sequence,
        ingested_at: Timestamp,
        events: impl Iterator<Item = (&'e [u8], Option<KeyHash>)>,
    ) -> Result<(), DecodeError> {
        let mut result = Ok(());
        let mut external_ids = Vec::new();
        for (sequence, (encoded, hash)) in (first.0..).zip(events) {
            let number = self.growing.end();
            match self.push(Sequence(sequence), ingested_at, encoded) {
                Ok(()) => external_ids.extend(hash.map(|hash| (hash, number))),
                Err(error) => result = Err(error),
            }
        }
        // By themselves: in a short loop the processor waits for many places of the table at once.
        self.growing.add_external_ids(&external_ids);
        result
    }

    fn push(
        &mut self,
        sequence: Sequence,
        ingested_at: Timestamp,
        encoded: &[u8],
    ) -> Result<(), DecodeError> {
        let event = codec::read_event(encoded)?;
        let system = match event.source {
            EventSource::User => None,
            EventSource::System => Some(codec::decode_event(encoded)?),
        };
        let name = self.growing.push(sequence, ingested_at, &event)?;
        self.count_name(ingested_at, event.timestamp, name);
        if let Some(event) = system {
            self.note_system_event(ingested_at, &event);
        }
        if self.growing.active.is_full() {
            self.growing.freeze();
            self.active_names.clear();
        }
        Ok(())
    }

    /// Adds how often names occur in a segment.
    pub(super) fn add_names(&mut self, names: Vec<NameStats>) {
        for more in names {
            let key = (more.source, more.name.clone());
            match self.name_index.get(&key).and_then(|&index| self.names.get_mut(index)) {
                Some(known) => known.merge(&more),
                None => {
                    self.name_index.insert(key, self.names.len());
                    self.names.push(more);
                }
            }
        }
    }

    fn count_name(&mut self, ingested_at: Timestamp, timestamp: Timestamp, code: u32) {
        // Codes are given in order of first use.
        for key in self.growing.active.names().iter().skip(self.active_names.len()) {
            let index = match self.name_index.get(key) {
                Some(&index) => index,
                None => {
                    self.names.push(NameStats {
                        source: key.0,
                        name: key.1.clone(),
                        occurrences: 0,
                        first_seen: timestamp,
                        last_seen: timestamp,
                        created_at: ingested_at,
                    });
                    self.name_index.insert(key.clone(), self.names.len() - 1);
                    self.names.len() - 1
                }
            };
            self.active_names.push(index);
        }
        let stats = &mut self.names[self.active_names[code as usize]];
        stats.occurrences += 1;
        stats.first_seen = stats.first_seen.min(timestamp);
        stats.last_seen = stats.last_seen.max(timestamp);
    }

    /// Takes a credit or reset into its ledger; leaves other events alone.
    pub(super) fn note_system_event(&mut self, ingested_at: Timestamp, event: &NewEvent<'_>) {
        if event.source == EventSource::User {
            return;
        }
        let CustomerRef::Id(customer) = event.customer else { return };
        let text = |key: &str| match event.metadata.get(key) {
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        let Some(meter) = text("meter_id").map(MeterId) else { return };
        let ledger = match &*event.name {
            METER_CREDITED | METER_RESET => self.ledgers.entry((customer, meter)).or_default(),
            _ => return,
        };
        ledger.modified_at = ledger.modified_at.max(Some(ingested_at));
        if event.name == METER_RESET {
            ledger.reset_at = ledger.reset_at.max(Some(event.timestamp));
        } else if let Some(Value::Number(Number::Int(units))) = event.metadata.get("units") {
            let rollover = event.metadata.get("rollover") == Some(&Value::Bool(true));
            let credit = Credit { units: *units, rollover };
            ledger.credits.push((event.timestamp, ingested_at, credit));
        }
    }

    /// How many events in memory are of these customers.
    pub(super) fn count_of(&self, customers: &CustomerSelection) -> u64 {
        let of_chunk = |chunk: &Chunk| {
            let rows = customers.references().map(|of| chunk.rows_of(&of).len());
            rows.sum::<usize>() as u64
        };
        self.memtables().flat_map(Memtable::chunks).map(|(_, chunk)| of_chunk(chunk)).sum()
    }

    /// The segments, which can be read without the lock that guards this.
    pub(super) fn sealed(&self) -> Arc<Sealed> {
        Arc::clone(&self.sealed)
    }

    /// The events that are being sealed, which can be read without the lock that guards this.
    pub(super) fn sealing(&self) -> Option<Arc<Memtable>> {
        self.sealing.clone()
    }

    /// The frozen chunks of the growing table with the number of events before the first of them;
    /// they can be read without the lock that guards this.
    pub(super) fn frozen(&self) -> (u64, Arc<Vec<Arc<Chunk>>>) {
        (self.growing.first, Arc::clone(&self.growing.chunks))
    }

    /// The events that are not frozen yet, and the number of events before them.
    pub(super) fn active(&self) -> (u64, &Chunk) {
        (self.growing.active_start, &self.growing.active)
    }

    /// Sets the growing events aside to be sealed, unless there are none or others still are.
    pub(super) fn begin_sealing(&mut self) -> Option<Arc<Memtable>> {
        if self.sealing.is_some() || self.growing.end() == self.growing.first {
            return None;
        }
        let next = Memtable::new(self.growing.end());
        self.active_names.clear();
        let sealing = Arc::new(std::mem::replace(&mut self.growing, next));
        self.sealing = Some(Arc::clone(&sealing));
        Some(sealing)
    }

    /// Shows other segments; events that they hold are no longer kept in memory.
    pub(super) fn set_sealed(&mut self, sealed: Sealed) {
        if self.sealing.as_ref().is_some_and(|sealing| sealing.end() <= sealed.len()) {
            self.sealing = None;
        }
        self.sealed = Arc::new(sealed);
    }

    /// The chunk and row of an event that is in memory, by its number in this organization.
    pub(super) fn locate(&self, number: u64) -> Option<Located<'_>> {
        self.growing
            .locate(number)
            .or_else(|| self.sealing.as_ref().and_then(|sealing| sealing.locate(number)))
    }

    /// The number of the event in memory with an external id, which has this hash.
    pub(super) fn by_external_id(&self, hash: KeyHash, external_id: &[u8]) -> Option<u64> {
        self.memtables().find_map(|of| of.by_external_id(hash, external_id))
    }

    /// Whether there may be an event in memory with an external id of this hash. One place of a table
    /// is looked at, unless there is.
    pub(super) fn may_have_external_id(&self, hash: KeyHash) -> bool {
        self.memtables().any(|of| of.may_have_external_id(hash))
    }

    /// The number of the event in memory with a sequence number.
    pub(super) fn by_sequence(&self, sequence: Sequence) -> Option<u64> {
        self.growing
            .by_sequence(sequence)
            .or_else(|| self.sealing.as_ref().and_then(|of| of.by_sequence(sequence)))
    }

    fn memtables(&self) -> impl Iterator<Item = &Memtable> {
        std::iter::once(&self.growing).chain(self.sealing.as_deref())
    }

    /// Whether any event in memory names a parent.
    pub(super) fn has_children(&self) -> bool {
        self.memtables().any(|of| !of.children_by_text.is_empty())
    }

    /// The numbers of the events in memory that name a parent by this text.
    pub(super) fn children_by_text<'t>(
        &'t self,
        parent: &'t str,
    ) -> impl Iterator<Item = u64> + 't {
        self.memtables().flat_map(move |of| of.children_by_text.get(parent)).flatten().copied()
    }

    /// The numbers of the events in memory that name a parent by a text that reads as this id.
    pub(super) fn children_by_id(&self, parent: EventId) -> impl Iterator<Item = u64> {
        self.memtables().flat_map(move |of| of.children_by_id.get(&parent.0)).flatten().copied()
    }

    /// The names that occur, in order of their first ingestion.
    pub(super) fn names(&self) -> &[NameStats] {
        &self.names
    }

    /// The earliest user event in memory under one spelling of a customer.
    pub(super) fn first_user_event_at(&self, customer: &CustomerRef<'_>) -> Option<Timestamp> {
        self.memtables().filter_map(|of| of.first_user_event_at(customer)).min()
    }

    /// Credits and resets of a customer and a meter.
    pub(super) fn ledger(&self, customer: CustomerId, meter: MeterId) -> Option<&Ledger> {
        self.ledgers.get(&(customer, meter))
    }

    /// Whether a meter was ever credited or reset.
    pub(super) fn has_ledger_of(&self, meter: MeterId) -> bool {
        self.ledgers.keys().any(|(_, of)| *of == meter)
    }
}

/// Rows of a chunk fit 32 bits.
fn row_of(row: u64) -> Row {
    Row::try_from(row).unwrap_or(Row::MAX)
}
