//! One organization's events in memory, and what is maintained beside them.

use std::collections::HashMap;
use std::hash::Hasher as _;
use std::sync::Arc;

use floe_core::{
    Credit, CustomerId, CustomerRef, EventId, EventSource, IdCipher, METER_CREDITED, METER_RESET,
    MeterId, NewEvent, Number, Sequence, Timestamp, Value,
};
use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use uuid::Uuid;

use super::chunk::{Chunk, Row};

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

/// An organization's events, in order of ingestion, as chunks of columns.
#[derive(Debug)]
pub(super) struct OrganizationTail {
    chunks: Arc<Vec<Arc<Chunk>>>,
    /// Number of events before each frozen chunk.
    chunk_starts: Vec<u64>,
    active: Chunk,
    frozen_rows: u64,
    external_ids: ExternalIds,
    names: Vec<NameStats>,
    name_index: HashMap<(EventSource, Box<str>), usize>,
    first_user_event_at: HashMap<CustomerRef<'static>, Timestamp>,
    ledgers: HashMap<(CustomerId, MeterId), Ledger>,
    children_by_text: HashMap<Box<str>, Vec<u64>>,
    children_by_id: HashMap<Uuid, Vec<u64>>,
    /// Bytes of all that stands beside the chunks, and of the frozen ones.
    other_bytes: usize,
    cipher: IdCipher,
}

/// How often a name occurred.
#[derive(Debug, Clone)]
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

/// External ids to events: exact, since a hit of the hash is followed by a comparison of the
/// stored key.
#[derive(Debug)]
struct ExternalIds {
    /// Hash and event number.
    table: HashTable<(u64, u64)>,
    /// Random, so that nobody can choose ids that collide.
    key: [u8; 16],
}

impl ExternalIds {
    fn hash(&self, external_id: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(external_id);
        hasher.finish()
    }
}

/// A row and the chunk that it is in.
pub(super) type Located<'t> = (&'t Chunk, Row);

impl OrganizationTail {
    /// An empty one.
    pub(super) fn new(cipher: IdCipher) -> Self {
        Self {
            chunks: Arc::default(),
            chunk_starts: Vec::new(),
            active: Chunk::default(),
            frozen_rows: 0,
            external_ids: ExternalIds { table: HashTable::new(), key: *Uuid::new_v4().as_bytes() },
            names: Vec::new(),
            name_index: HashMap::new(),
            first_user_event_at: HashMap::new(),
            ledgers: HashMap::new(),
            children_by_text: HashMap::new(),
            children_by_id: HashMap::new(),
            other_bytes: 0,
            cipher,
        }
    }

    /// Number of events.
    pub(super) fn len(&self) -> u64 {
        self.frozen_rows + self.active.len() as u64
    }

    /// Estimated bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.active.bytes() + self.other_bytes
    }

    /// Appends an event.
    pub(super) fn push(
        &mut self,
        sequence: Sequence,
        ingested_at: Timestamp,
        event: &NewEvent<'_>,
    ) {
        let number = self.len();
        if let Some(external_id) = &event.external_id {
            let hash = self.external_ids.hash(external_id.as_bytes());
            self.external_ids.table.insert_unique(hash, (hash, number), |(hash, _)| *hash);
            self.other_bytes += EXTERNAL_ID_ENTRY_BYTES;
        }
        if let Some(parent) = &event.parent_id {
            self.children_by_text.entry((&**parent).into()).or_default().push(number);
            self.other_bytes += parent.len() + 64;
            if let Ok(id) = parent.parse() {
                self.children_by_id.entry(id).or_default().push(number);
                self.other_bytes += 64;
            }
        }
        self.count_name(ingested_at, event);
        match event.source {
            EventSource::User => self.note_user_event(event),
            EventSource::System => self.note_system_event(ingested_at, event),
        }
        self.active.push(sequence, ingested_at, event);
        if self.active.is_full() {
            self.freeze();
        }
    }

    fn freeze(&mut self) {
        let chunk = std::mem::take(&mut self.active);
        self.other_bytes += chunk.bytes();
        self.chunk_starts.push(self.frozen_rows);
        self.frozen_rows += chunk.len() as u64;
        Arc::make_mut(&mut self.chunks).push(Arc::new(chunk));
    }

    fn count_name(&mut self, ingested_at: Timestamp, event: &NewEvent<'_>) {
        let key = (event.source, Box::from(&*event.name));
        let index = match self.name_index.get(&key) {
            Some(&index) => index,
            None => {
                self.other_bytes += 2 * event.name.len() + 192;
                self.names.push(NameStats {
                    source: event.source,
                    name: key.1.clone(),
                    occurrences: 0,
                    first_seen: event.timestamp,
                    last_seen: event.timestamp,
                    created_at: ingested_at,
                });
                self.name_index.insert(key, self.names.len() - 1);
                self.names.len() - 1
            }
        };
        let stats = &mut self.names[index];
        stats.occurrences += 1;
        stats.first_seen = stats.first_seen.min(event.timestamp);
        stats.last_seen = stats.last_seen.max(event.timestamp);
    }

    fn note_user_event(&mut self, event: &NewEvent<'_>) {
        match self.first_user_event_at(&event.customer) {
            Some(first) if first <= event.timestamp => {}
            known => {
                let customer = event.customer.borrowed().into_owned();
                if known.is_none() {
                    self.other_bytes += FIRST_EVENT_ENTRY_BYTES + text_bytes(&customer);
                }
                self.first_user_event_at.insert(customer, event.timestamp);
            }
        }
    }

    fn note_system_event(&mut self, ingested_at: Timestamp, event: &NewEvent<'_>) {
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
        self.other_bytes += 96;
        ledger.modified_at = ledger.modified_at.max(Some(ingested_at));
        if event.name == METER_RESET {
            ledger.reset_at = ledger.reset_at.max(Some(event.timestamp));
        } else if let Some(Value::Number(Number::Int(units))) = event.metadata.get("units") {
            let rollover = event.metadata.get("rollover") == Some(&Value::Bool(true));
            let credit = Credit { units: *units, rollover };
            ledger.credits.push((event.timestamp, ingested_at, credit));
        }
    }

    /// The frozen chunks, which can be read without the lock that guards this.
    pub(super) fn frozen(&self) -> Arc<Vec<Arc<Chunk>>> {
        Arc::clone(&self.chunks)
    }

    /// The events that are not frozen yet.
    pub(super) fn active(&self) -> &Chunk {
        &self.active
    }

    /// Number of events in frozen chunks: that of the first event of [`Self::active`].
    pub(super) fn frozen_len(&self) -> u64 {
        self.frozen_rows
    }

    /// The chunk and row of an event, by its number in this organization.
    pub(super) fn locate(&self, number: u64) -> Located<'_> {
        if let Some(row) = number.checked_sub(self.frozen_rows) {
            return (&self.active, row_of(row));
        }
        let index = self.chunk_starts.partition_point(|&start| start <= number).saturating_sub(1);
        (&self.chunks[index], row_of(number - self.chunk_starts[index]))
    }

    /// The number of the event with an external id.
    pub(super) fn by_external_id(&self, external_id: &[u8]) -> Option<u64> {
        let hash = self.external_ids.hash(external_id);
        let found = self.external_ids.table.find(hash, |&(stored, number)| {
            stored == hash && {
                let (chunk, row) = self.locate(number);
                chunk.external_id(row).is_some_and(|text| text.as_bytes() == external_id)
            }
        });
        found.map(|&(_, number)| number)
    }

    /// The number of the event with an id.
    pub(super) fn by_id(&self, id: EventId) -> Option<u64> {
        let sequence = self.cipher.sequence(id)?;
        if let Some(row) = self.active.find(sequence) {
            return Some(self.frozen_rows + u64::from(row));
        }
        // Chunks ascend in sequence numbers, so only the last that begins before it can hold it.
        let index =
            self.chunks.partition_point(|chunk| chunk.sequence(0) <= sequence).checked_sub(1)?;
        let row = self.chunks[index].find(sequence)?;
        Some(self.chunk_starts[index] + u64::from(row))
    }

    /// The id of an event, by its number in this organization.
    pub(super) fn event_id(&self, number: u64) -> EventId {
        let (chunk, row) = self.locate(number);
        self.cipher.event_id(chunk.sequence(row))
    }

    /// The number of an event's parent: its `parent_id` is an external id or else an event id of
    /// another event that is there (semantics section 9).
    pub(super) fn parent_of(&self, number: u64) -> Option<u64> {
        let (chunk, row) = self.locate(number);
        self.resolve_parent(number, chunk.parent_id(row)?)
    }

    fn resolve_parent(&self, child: u64, parent: &str) -> Option<u64> {
        let other = |number: &u64| *number != child;
        self.by_external_id(parent.as_bytes()).filter(other).or_else(|| {
            let id = parent.parse().ok()?;
            self.by_id(EventId(id)).filter(other)
        })
    }

    /// The numbers of an event's direct children.
    pub(super) fn children_of(&self, number: u64) -> Vec<u64> {
        let (chunk, row) = self.locate(number);
        let by_text = chunk.external_id(row).and_then(|text| self.children_by_text.get(text));
        let by_id = self.children_by_id.get(&self.event_id(number).0);
        let mut children: Vec<u64> = by_text.into_iter().chain(by_id).flatten().copied().collect();
        children.sort_unstable();
        children.dedup();
        children.retain(|&child| self.parent_of(child) == Some(number));
        children
    }

    /// How many direct children an event has: as many as [`Self::children_of`] tells, without
    /// visiting each of those that name its external id.
    pub(super) fn child_count(&self, number: u64) -> u64 {
        if self.children_by_text.is_empty() {
            return 0;
        }
        let (chunk, row) = self.locate(number);
        let external_id = chunk.external_id(row);
        let by_text = external_id.and_then(|text| self.children_by_text.get(text));
        // An external id comes first, so all who name it are children, but for the event itself.
        let itself = external_id.is_some() && external_id == chunk.parent_id(row);
        let by_text = by_text.map_or(0, Vec::len) - usize::from(itself);
        let by_id = self.children_by_id.get(&self.event_id(number).0).into_iter().flatten();
        let by_id = by_id.filter(|&&child| {
            let (chunk, row) = self.locate(child);
            chunk.parent_id(row) != external_id && self.parent_of(child) == Some(number)
        });
        (by_text + by_id.count()) as u64
    }

    /// The names that occur, in order of their first ingestion.
    pub(super) fn names(&self) -> &[NameStats] {
        &self.names
    }

    /// The earliest user event under one spelling of a customer.
    pub(super) fn first_user_event_at(&self, customer: &CustomerRef<'_>) -> Option<Timestamp> {
        let map: &HashMap<CustomerRef<'_>, Timestamp> = &self.first_user_event_at;
        map.get(customer).copied()
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
