//! Rollups in memory, within a budget of bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use floe_core::OrganizationId;

use super::Rollup;
use super::definition::Key;

/// Rows that do not change any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Unit {
    /// A segment, by its number.
    Segment(u64),
    /// A chunk, by the number of events before it: as long as this process lives, no other chunk
    /// begins there.
    Chunk(OrganizationId, u64),
}

/// Bytes of an entry besides the rollup.
const ENTRY_BYTES: usize = 160;

/// Rollups that were used lately. What was not used for longest goes first.
#[derive(Debug)]
pub(super) struct RollupCache {
    bytes_max: usize,
    bytes: usize,
    entries: HashMap<(Unit, Key), Entry>,
    /// The entries by their last use.
    by_use: BTreeMap<u64, (Unit, Key)>,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    rollup: Arc<Rollup>,
    bytes: usize,
    used: u64,
}

impl RollupCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        let (entries, by_use) = (HashMap::new(), BTreeMap::new());
        Self { bytes_max, bytes: 0, entries, by_use, clock: 0 }
    }

    pub(super) fn get(&mut self, unit: Unit, key: Key) -> Option<Arc<Rollup>> {
        let entry = self.entries.get_mut(&(unit, key))?;
        self.clock += 1;
        self.by_use.remove(&entry.used);
        self.by_use.insert(self.clock, (unit, key));
        entry.used = self.clock;
        Some(Arc::clone(&entry.rollup))
    }

    /// Keeps a rollup, unless it is larger than the budget.
    pub(super) fn insert(&mut self, unit: Unit, key: Key, rollup: Rollup) -> Arc<Rollup> {
        let rollup = Arc::new(rollup);
        let bytes = rollup.memory() + ENTRY_BYTES;
        self.remove(unit, key);
        if bytes > self.bytes_max {
            return rollup;
        }
        while self.bytes + bytes > self.bytes_max {
            let Some((_, (unit, key))) = self.by_use.first_key_value() else { break };
            let (unit, key) = (*unit, *key);
            self.remove(unit, key);
        }
        self.clock += 1;
        self.bytes += bytes;
        self.by_use.insert(self.clock, (unit, key));
        let entry = Entry { rollup: Arc::clone(&rollup), bytes, used: self.clock };
        self.entries.insert((unit, key), entry);
        rollup
    }

    fn remove(&mut self, unit: Unit, key: Key) {
        if let Some(gone) = self.entries.remove(&(unit, key)) {
            self.by_use.remove(&gone.used);
            self.bytes -= gone.bytes;
        }
    }

    /// Forgets the rollups of units that are gone.
    pub(super) fn forget(&mut self, is_gone: impl Fn(Unit) -> bool) {
        let gone: Vec<_> =
            self.entries.keys().filter(|(unit, _)| is_gone(*unit)).copied().collect();
        gone.into_iter().for_each(|(unit, key)| self.remove(unit, key));
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use floe_core::{Aggregation, Filter};

    use super::super::Definition;
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let key = Definition::new(&Filter::all(), &Aggregation::count()).unwrap().key();
        let each = Rollup::default().memory() + ENTRY_BYTES;
        let mut cache = RollupCache::new(3 * each);
        for segment in 0..3 {
            cache.insert(Unit::Segment(segment), key, Rollup::default());
        }
        assert!(cache.get(Unit::Segment(0), key).is_some());
        cache.insert(Unit::Segment(3), key, Rollup::default());
        assert_eq!(cache.bytes(), 3 * each);
        let mut has = |segment| cache.get(Unit::Segment(segment), key).is_some();
        assert_eq!([has(0), has(1), has(2), has(3)], [true, false, true, true]);
        cache.forget(|unit| unit == Unit::Segment(0));
        assert!(cache.get(Unit::Segment(0), key).is_none());
        assert_eq!(cache.bytes(), 2 * each);
        let mut none = RollupCache::new(each - 1);
        none.insert(Unit::Segment(0), key, Rollup::default());
        assert_eq!((none.bytes(), none.get(Unit::Segment(0), key).is_none()), (0, true));
    }
}
