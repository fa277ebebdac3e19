//! What is found in a segment without a scan: the events of a customer, the children of a parent,
//! the names, and the credits and resets.
//!
//! Derived from the segment alone and kept in `cache/`: a file that is missing, damaged or of
//! another segment is built again. The bytes are described in `docs/format.md`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_core::{CustomerId, CustomerRef, EventSource, Timestamp};
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use uuid::Uuid;

use super::blocks::{BlockCache, BlockError, BlockFile, BlockWriter, Durability, Result};
use super::chunk::Row;
use super::fs::Fs;
use super::rows::Rows;
use super::segment::SegmentMeta;
use super::tail::NameStats;

const KIND: [u8; 4] = *b"SIDX";
/// Version of what stands in the blocks.
const VERSION: u32 = 1;

/// Bytes of a customer's entry: where its text begins and how long it is, where its rows begin and
/// how many they are, and its earliest user event.
const CUSTOMER_BYTES: usize = 32;
/// Bytes of a child's entry: the hash of what it calls its parent, and its row.
const CHILD_BYTES: usize = 20;
/// Length of a text that is the 16 bytes of an id instead.
const IS_ID: u32 = u32::MAX;

/// A hash of a parent's name: long and keyed, so equal hashes mean equal names.
pub(super) type ParentHash = [u8; 16];

/// Hashes what events call their parents, by a key that outsiders do not know.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParentHasher {
    key: [u8; 16],
}

impl ParentHasher {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    fn hash(self, domain: u8, bytes: &[u8]) -> ParentHash {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        std::hash::Hasher::write(&mut hasher, &[domain]);
        std::hash::Hasher::write(&mut hasher, bytes);
        hasher.finish128().as_bytes()
    }

    /// The hash of a `parent_id` as it was ingested.
    pub(super) fn text(self, parent: &str) -> ParentHash {
        self.hash(0, parent.as_bytes())
    }

    /// The hash of a `parent_id` that reads as an id.
    pub(super) fn id(self, parent: Uuid) -> ParentHash {
        self.hash(1, parent.as_bytes())
    }
}

/// Gathers what an index holds, from rows in order.
#[derive(Debug)]
pub(super) struct IndexBuilder {
    hasher: ParentHasher,
    rows: Row,
    codes: HashMap<CustomerRef<'static>, usize>,
    customers: Vec<CustomerRows>,
    names: HashMap<(EventSource, Box<str>), NameStats>,
    system_rows: Vec<Row>,
    children: Vec<(ParentHash, Row)>,
}

#[derive(Debug)]
struct CustomerRows {
    rows: Vec<Row>,
    first_user_micros: i64,
}

impl IndexBuilder {
    pub(super) fn new(hasher: ParentHasher) -> Self {
        Self {
            hasher,
            rows: 0,
            codes: HashMap::new(),
            customers: Vec::new(),
            names: HashMap::new(),
            system_rows: Vec::new(),
            children: Vec::new(),
        }
    }

    /// Adds rows that follow those before.
    pub(super) fn add(&mut self, rows: Rows<'_>) {
        let (names, customers) = (rows.names(), rows.customers());
        let mut places: Vec<Option<usize>> = vec![None; customers.len()];
        let mut stats: Vec<Option<NameStats>> = vec![None; names.len()];
        let count = super::chunk::position(rows.len());
        for row in 0..count {
            let number = self.rows + row;
            let name = rows.name_code_of(row) as usize;
            let is_system = names[name].0 == EventSource::System;
            let micros = rows.micros(row);
            let code = rows.customer_code_of(row) as usize;
            let place = *places[code].get_or_insert_with(|| {
                let customer = &customers[code];
                if let Some(&place) = self.codes.get(customer) {
                    return place;
                }
                self.codes.insert(customer.clone(), self.customers.len());
                self.customers.push(CustomerRows { rows: Vec::new(), first_user_micros: i64::MAX });
                self.customers.len() - 1
            });
            let customer = &mut self.customers[place];
            customer.rows.push(number);
            if is_system {
                self.system_rows.push(number);
            } else {
                customer.first_user_micros = customer.first_user_micros.min(micros);
            }
            let at = rows.timestamp(row);
            let of_name = stats[name].get_or_insert_with(|| NameStats {
                source: names[name].0,
                name: names[name].1.clone(),
                occurrences: 0,
                first_seen: at,
                last_seen: at,
                // Times of ingestion ascend.
                created_at: rows.ingested_at(row),
            });
            of_name.occurrences += 1;
            of_name.first_seen = of_name.first_seen.min(at);
            of_name.last_seen = of_name.last_seen.max(at);
            if let Some(parent) = rows.parent_id(row) {
                self.children.push((self.hasher.text(parent), number));
                if let Ok(id) = parent.parse() {
                    self.children.push((self.hasher.id(id), number));
                }
            }
        }
        for more in stats.into_iter().flatten() {
            match self.names.get_mut(&(more.source, more.name.clone())) {
                Some(known) => known.merge(&more),
                None => {
                    self.names.insert((more.source, more.name.clone()), more);
                }
            }
        }
        self.rows += count;
    }

    /// What an index tells otherwise than the rows that were added, if anything.
    pub(super) fn difference(
        mut self,
        index: &SegmentIndex,
        cache: &BlockCache,
    ) -> Result<Option<String>> {
        let mut customers: Vec<(&CustomerRef<'static>, usize)> =
            self.codes.iter().map(|(customer, place)| (customer, *place)).collect();
        customers.sort_unstable();
        let found = index.customers()?;
        if !found.iter().eq(customers.iter().map(|(customer, _)| *customer)) {
            return Ok(Some("it has other customers than the events".to_owned()));
        }
        for (code, (customer, place)) in (0..).zip(&customers) {
            let of = &self.customers[*place];
            let first = (of.first_user_micros != i64::MAX).then_some(of.first_user_micros);
            if index.rows_of(cache, code)? != of.rows
                || index.first_user_micros(cache, code)? != first
            {
                return Ok(Some(format!("it has other events of {customer:?} than there are")));
            }
        }
        if index.system_rows()? != self.system_rows {
            return Ok(Some("it has other credits and resets than there are".to_owned()));
        }
        self.children.sort_unstable();
        if index.all_children()? != self.children {
            return Ok(Some("it has other children of events than there are".to_owned()));
        }
        let names = index.names()?;
        if names.len() != self.names.len()
            || names.iter().any(|of| {
                let key = (of.source, of.name.clone());
                self.names.get(&key) != Some(of)
            })
        {
            return Ok(Some("it counts other names than there are".to_owned()));
        }
        Ok(None)
    }

    /// Writes the index of a segment.
    pub(super) fn finish(
        mut self,
        fs: &Arc<dyn Fs>,
        path: &Path,
        segment: &SegmentMeta,
    ) -> Result<SegmentIndex> {
        let mut writer = BlockWriter::create(fs, path, KIND, Durability::Unsynced)?;
        let mut customers: Vec<(CustomerRef<'static>, usize)> = self.codes.into_iter().collect();
        customers.sort_unstable();
        let mut texts: Vec<u8> = Vec::new();
        let mut first_row = 0_u32;
        for (customer, place) in &customers {
            let of = &self.customers[*place];
            let rows = super::chunk::position(of.rows.len());
            writer.write(&(texts.len() as u64).to_le_bytes())?;
            match customer {
                CustomerRef::Id(id) => {
                    texts.extend_from_slice(id.0.as_bytes());
                    writer.write(&IS_ID.to_le_bytes())?;
                }
                CustomerRef::External(text) => {
                    texts.extend_from_slice(text.as_bytes());
                    writer.write(&super::chunk::position(text.len()).to_le_bytes())?;
                }
            }
            writer.write(&first_row.to_le_bytes())?;
            writer.write(&rows.to_le_bytes())?;
            writer.write(&[0; 4])?;
            writer.write(&of.first_user_micros.to_le_bytes())?;
            first_row += rows;
        }
        let texts_at = writer.position();
        writer.write(&texts)?;
        let rows_at = writer.position();
        for (_, place) in &customers {
            for row in &self.customers[*place].rows {
                writer.write(&row.to_le_bytes())?;
            }
        }
        let children_at = writer.position();
        self.children.sort_unstable();
        for (hash, row) in &self.children {
            writer.write(hash)?;
            writer.write(&row.to_le_bytes())?;
        }
        let system_at = writer.position();
        for row in &self.system_rows {
            writer.write(&row.to_le_bytes())?;
        }
        let names_at = writer.position();
        let mut names: Vec<&NameStats> = self.names.values().collect();
        names.sort_unstable_by_key(|stats| (stats.source.as_str(), &stats.name));
        for stats in &names {
            writer.write(&[u8::from(stats.source == EventSource::System)])?;
            writer.write(&super::chunk::position(stats.name.len()).to_le_bytes())?;
            writer.write(stats.name.as_bytes())?;
            writer.write(&stats.occurrences.to_le_bytes())?;
            for at in [stats.first_seen, stats.last_seen, stats.created_at] {
                writer.write(&at.micros().to_le_bytes())?;
            }
        }
        let header = Header {
            customers: customers.len() as u64,
            texts_at,
            rows_at,
            children_at,
            system_at,
            names_at,
            names: names.len() as u64,
        };
        let file = writer.finish(&header.encode(segment))?;
        Ok(SegmentIndex { file, header })
    }
}

/// Where the parts of an index begin in its body, and how many entries they have.
#[derive(Debug, Clone, Copy)]
struct Header {
    customers: u64,
    texts_at: u64,
    rows_at: u64,
    children_at: u64,
    system_at: u64,
    names_at: u64,
    names: u64,
}

impl Header {
    fn encode(&self, segment: &SegmentMeta) -> Vec<u8> {
        let Self { customers, texts_at, rows_at, children_at, system_at, names_at, names } = self;
        let mut bytes = VERSION.to_le_bytes().to_vec();
        bytes.extend_from_slice(&segment.identity());
        for value in [customers, texts_at, rows_at, children_at, system_at, names_at, names] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8], segment: &SegmentMeta) -> Option<Self> {
        let rest = bytes.strip_prefix(&VERSION.to_le_bytes())?;
        let rest = rest.strip_prefix(&segment.identity())?;
        let (values, []) = rest.as_chunks::<8>() else { return None };
        let values: Vec<u64> = values.iter().map(|value| u64::from_le_bytes(*value)).collect();
        let &[customers, texts_at, rows_at, children_at, system_at, names_at, names] =
            values.as_slice()
        else {
            return None;
        };
        Some(Self { customers, texts_at, rows_at, children_at, system_at, names_at, names })
    }
}

/// The index of one segment.
#[derive(Debug)]
pub(super) struct SegmentIndex {
    file: BlockFile,
    header: Header,
}

/// A customer's entry.
#[derive(Debug, Clone, Copy)]
struct Entry {
    text_at: u64,
    text_bytes: u32,
    first_row: u32,
    rows: u32,
    first_user_micros: i64,
}

/// The file of a segment's index.
pub(super) fn index_path(folder: &Path, segment: u64) -> PathBuf {
    folder.join("cache").join(format!("{segment:08}.index"))
}

fn le_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn le_u64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

impl SegmentIndex {
    /// Opens the index of a segment; `None` if there is none, or that of another segment.
    pub(super) fn open(fs: &dyn Fs, path: &Path, segment: &SegmentMeta) -> Result<Option<Self>> {
        if !fs.exists(path).unwrap_or(false) {
            return Ok(None);
        }
        let file = BlockFile::open(fs, path, KIND)?;
        let header = Header::decode(file.owner_header(), segment);
        Ok(header.map(|header| Self { file, header }))
    }

    /// Reads and checks every block.
    pub(super) fn verify(&self) -> Result<()> {
        self.file.verify()
    }

    fn damaged(&self, why: &str) -> BlockError {
        BlockError::damaged(self.file.path(), why)
    }

    /// How many customers it has; their codes are the numbers below that, in the order of
    /// [`CustomerRef`].
    pub(super) fn customer_count(&self) -> u32 {
        u32::try_from(self.header.customers).unwrap_or(u32::MAX)
    }

    fn entry(&self, cache: &BlockCache, code: u32) -> Result<Entry> {
        let mut bytes = [0; CUSTOMER_BYTES];
        self.file.read_at(cache, u64::from(code) * CUSTOMER_BYTES as u64, &mut bytes)?;
        Ok(Entry::decode(&bytes))
    }

    fn customer_of(&self, entry: Entry, text: &[u8]) -> Result<CustomerRef<'static>> {
        if entry.text_bytes == IS_ID {
            let id = Uuid::from_slice(text).map_err(|_| self.damaged("an id has not 16 bytes"))?;
            return Ok(CustomerRef::Id(CustomerId(id)));
        }
        let text = str::from_utf8(text).map_err(|_| self.damaged("a customer is not UTF-8"))?;
        Ok(CustomerRef::External(text.to_owned().into()))
    }

    /// The code of a customer, if it has events here.
    pub(super) fn code_of(
        &self,
        cache: &BlockCache,
        customer: &CustomerRef<'_>,
    ) -> Result<Option<u32>> {
        let (mut low, mut high) = (0, self.customer_count());
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.entry(cache, middle)?;
            let mut text = vec![0; entry.text_length()];
            self.file.read_at(cache, self.header.texts_at + entry.text_at, &mut text)?;
            match self.customer_of(entry, &text)?.cmp(customer) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// All customers, in order of their codes.
    pub(super) fn customers(&self) -> Result<Vec<CustomerRef<'static>>> {
        let entries = self.read(0..self.header.customers * CUSTOMER_BYTES as u64)?;
        let texts = self.read(self.header.texts_at..self.header.rows_at)?;
        let (entries, _) = entries.as_chunks::<CUSTOMER_BYTES>();
        let customer = |bytes: &[u8; CUSTOMER_BYTES]| {
            let entry = Entry::decode(bytes);
            let start = usize::try_from(entry.text_at).unwrap_or(usize::MAX);
            let text = texts
                .get(start..start.saturating_add(entry.text_length()))
                .ok_or_else(|| self.damaged("a customer's text is not there"))?;
            self.customer_of(entry, text)
        };
        entries.iter().map(customer).collect()
    }

    /// The rows of a customer, ascending.
    pub(super) fn rows_of(&self, cache: &BlockCache, code: u32) -> Result<Vec<Row>> {
        let entry = self.entry(cache, code)?;
        let start = self.header.rows_at + 4 * u64::from(entry.first_row);
        self.rows_at(cache, start, entry.rows as usize)
    }

    /// How many rows a customer has.
    pub(super) fn count_of(&self, cache: &BlockCache, code: u32) -> Result<u32> {
        Ok(self.entry(cache, code)?.rows)
    }

    fn rows_at(&self, cache: &BlockCache, start: u64, count: usize) -> Result<Vec<Row>> {
        let mut bytes = vec![0; 4 * count];
        self.file.read_at(cache, start, &mut bytes)?;
        let (rows, _) = bytes.as_chunks::<4>();
        Ok(rows.iter().map(|row| Row::from_le_bytes(*row)).collect())
    }

    /// Calls `visit` with the code and the rows, ascending, of each customer, in order of codes.
    pub(super) fn each_customer(
        &self,
        mut visit: impl FnMut(u32, &[Row]) -> Result<()>,
    ) -> Result<()> {
        const AT_ONCE: usize = 1024;
        let mut code = 0;
        while code < self.customer_count() {
            let to = self.customer_count().min(code + super::chunk::position(AT_ONCE));
            let range = [code, to].map(|code| u64::from(code) * CUSTOMER_BYTES as u64);
            let entries = self.read(range[0]..range[1])?;
            let entries: Vec<Entry> = entries.as_chunks().0.iter().map(Entry::decode).collect();
            let (Some(first), Some(last)) = (entries.first(), entries.last()) else { break };
            let start = first.first_row;
            let bytes = [start, last.first_row.saturating_add(last.rows)]
                .map(|row| self.header.rows_at + u64::from(row) * size_of::<Row>() as u64);
            let rows = self.read(bytes[0]..bytes[1])?;
            let rows: Vec<Row> =
                rows.as_chunks().0.iter().map(|row| Row::from_le_bytes(*row)).collect();
            for (code, entry) in (code..).zip(&entries) {
                let from = entry.first_row.checked_sub(start);
                let from =
                    from.ok_or_else(|| self.damaged("its customers are in disorder"))? as usize;
                let own = rows.get(from..from + entry.rows as usize);
                visit(code, own.ok_or_else(|| self.damaged("a customer's rows are not there"))?)?;
            }
            code = to;
        }
        Ok(())
    }

    /// The earliest user event of a customer, in microseconds, if it has any here.
    pub(super) fn first_user_micros(&self, cache: &BlockCache, code: u32) -> Result<Option<i64>> {
        let micros = self.entry(cache, code)?.first_user_micros;
        Ok((micros != i64::MAX).then_some(micros))
    }

    /// Whether any event here names a parent.
    pub(super) fn has_children(&self) -> bool {
        self.header.system_at > self.header.children_at
    }

    /// How many events here name a parent so, and where their entries begin.
    fn children_range(&self, cache: &BlockCache, parent: ParentHash) -> Result<(u64, u64)> {
        let count = (self.header.system_at - self.header.children_at) / CHILD_BYTES as u64;
        let partition = |is_before: &dyn Fn(&ParentHash) -> bool| -> Result<u64> {
            let (mut low, mut high) = (0, count);
            while low < high {
                let middle = low + (high - low) / 2;
                let mut hash = ParentHash::default();
                let at = self.header.children_at + middle * CHILD_BYTES as u64;
                self.file.read_at(cache, at, &mut hash)?;
                if is_before(&hash) { low = middle + 1 } else { high = middle }
            }
            Ok(low)
        };
        let first = partition(&|hash| *hash < parent)?;
        let end = partition(&|hash| *hash <= parent)?;
        Ok((first, end))
    }

    /// How many events here name a parent so.
    pub(super) fn child_count(&self, cache: &BlockCache, parent: ParentHash) -> Result<u64> {
        let (first, end) = self.children_range(cache, parent)?;
        Ok(end - first)
    }

    /// The rows of the events here that name a parent so, ascending.
    pub(super) fn children(&self, cache: &BlockCache, parent: ParentHash) -> Result<Vec<Row>> {
        let (first, end) = self.children_range(cache, parent)?;
        let mut rows = Vec::new();
        for number in first..end {
            let mut row = [0; 4];
            let at = self.header.children_at + number * CHILD_BYTES as u64 + 16;
            self.file.read_at(cache, at, &mut row)?;
            rows.push(Row::from_le_bytes(row));
        }
        Ok(rows)
    }

    /// All children, by what they call their parents.
    fn all_children(&self) -> Result<Vec<(ParentHash, Row)>> {
        let bytes = self.read(self.header.children_at..self.header.system_at)?;
        let (entries, _) = bytes.as_chunks::<CHILD_BYTES>();
        let child = |entry: &[u8; CHILD_BYTES]| {
            let hash = entry.first_chunk().copied().unwrap_or_default();
            (hash, le_u32(entry, 16))
        };
        Ok(entries.iter().map(child).collect())
    }

    /// The rows of system events, ascending.
    pub(super) fn system_rows(&self) -> Result<Vec<Row>> {
        let bytes = self.read(self.header.system_at..self.header.names_at)?;
        let (rows, _) = bytes.as_chunks::<4>();
        Ok(rows.iter().map(|row| Row::from_le_bytes(*row)).collect())
    }

    /// How often each name occurs.
    pub(super) fn names(&self) -> Result<Vec<NameStats>> {
        let bytes = self.read(self.header.names_at..self.file.body_bytes())?;
        let mut at = 0;
        let mut names = Vec::new();
        let instant = |at: usize| {
            Timestamp::from_micros(le_u64(&bytes, at).cast_signed())
                .ok_or_else(|| self.damaged("an instant is out of range"))
        };
        for _ in 0..self.header.names {
            let source = match bytes.get(at) {
                Some(0) => EventSource::User,
                Some(_) => EventSource::System,
                None => return Err(self.damaged("its names end early")),
            };
            let length = le_u32(&bytes, at + 1) as usize;
            at += 5;
            let name = bytes.get(at..at + length).and_then(|name| str::from_utf8(name).ok());
            let name = name.ok_or_else(|| self.damaged("a name is not UTF-8"))?;
            at += length;
            names.push(NameStats {
                source,
                name: name.into(),
                occurrences: le_u64(&bytes, at),
                first_seen: instant(at + 8)?,
                last_seen: instant(at + 16)?,
                created_at: instant(at + 24)?,
            });
            at += 32;
        }
        Ok(names)
    }

    /// Reads a part at once, past the cache.
    fn read(&self, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        self.file.scan(range, |bytes| {
            all.extend_from_slice(bytes);
            Ok::<(), BlockError>(())
        })?;
        Ok(all)
    }
}

impl Entry {
    fn decode(bytes: &[u8; CUSTOMER_BYTES]) -> Self {
        Self {
            text_at: le_u64(bytes, 0),
            text_bytes: le_u32(bytes, 8),
            first_row: le_u32(bytes, 12),
            rows: le_u32(bytes, 16),
            first_user_micros: le_u64(bytes, 24).cast_signed(),
        }
    }

    fn text_length(self) -> usize {
        if self.text_bytes == IS_ID { 16 } else { self.text_bytes as usize }
    }
}
