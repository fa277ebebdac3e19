//! Columns of whole row groups that were decoded lately because of their large dictionaries.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arrow_array::{Array as _, ArrayRef};

/// Segment, row group and column.
type Key = (u64, usize, usize);

/// Columns within a budget of memory; what was not used for longest goes first.
#[derive(Debug)]
pub(in super::super) struct SharedColumns {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    columns: HashMap<Key, (ArrayRef, u64)>,
    bytes: usize,
    clock: u64,
}

impl SharedColumns {
    /// An empty one, for so many bytes.
    pub(in super::super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    pub(super) fn get(&self, key: Key) -> Option<ArrayRef> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        let (column, used) = state.columns.get_mut(&key)?;
        *used = now;
        Some(ArrayRef::clone(column))
    }

    pub(super) fn put(&self, key: Key, column: &ArrayRef) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        state.clock += 1;
        state.bytes += column.get_array_memory_size();
        if let Some((old, _)) = state.columns.insert(key, (ArrayRef::clone(column), state.clock)) {
            state.bytes -= old.get_array_memory_size();
        }
        while state.bytes > self.bytes_max && state.columns.len() > 1 {
            let oldest = state.columns.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else { break };
            if let Some((gone, _)) = state.columns.remove(&oldest) {
                state.bytes -= gone.get_array_memory_size();
            }
        }
    }
}
