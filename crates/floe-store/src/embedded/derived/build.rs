//! One pass over the rows of a segment, on all cores.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::embedded::segment::{Batch, Segment, SegmentError};

/// How often a long build says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(3);
/// Threads of a build, at most: each holds a row group in memory.
const THREADS_MAX: usize = 4;

/// How far a question has got with what it must build first, for the log.
#[derive(Debug)]
pub(in super::super) struct Work {
    /// Rows that are to be looked at, at most: some have been before.
    rows: u64,
    done: AtomicU64,
    said: Mutex<Instant>,
}

impl Work {
    /// On so many rows, at most.
    pub(in super::super) fn new(rows: u64) -> Self {
        Self { rows, done: AtomicU64::new(0), said: Mutex::new(Instant::now()) }
    }

    fn did(&self, rows: u64) {
        let done = self.done.fetch_add(rows, Ordering::Relaxed) + rows;
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.elapsed() >= SAY_EVERY {
            *said = Instant::now();
            tracing::info!(events = done, of_at_most = self.rows, "preparing a meter's answers");
        }
    }
}

/// Calls `visit` with each row group of a segment, on as many threads as there are cores, each with
/// a state of its own; returns the states.
pub(super) fn each_group<T: Send>(
    segment: &Arc<Segment>,
    work: &Work,
    new: impl Fn() -> T + Sync,
    visit: impl Fn(&mut T, usize, &Batch) + Sync,
) -> Result<Vec<T>, SegmentError> {
    let groups = segment.row_groups();
    let next = AtomicUsize::new(0);
    let run = || -> Result<T, SegmentError> {
        let mut state = new();
        while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
            let index = segment.group_of(group.start);
            let batch = Batch::of_group(segment, index);
            visit(&mut state, index, &batch);
            batch.into_checked()?;
            work.did(u64::from(group.rows));
        }
        Ok(state)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(groups.len()).min(THREADS_MAX);
    if threads <= 1 {
        return Ok(vec![run()?]);
    }
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut states = vec![run()];
        for other in others {
            match other.join() {
                Ok(state) => states.push(state),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        states.into_iter().collect()
    })
}
