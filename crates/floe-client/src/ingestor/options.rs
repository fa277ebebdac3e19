//! How an ingestor works, and its start.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use super::spool::Spool;
use super::worker::Worker;
use super::{Ingestor, IngestorError, Refused, Space};
use crate::client::Client;
use crate::events::BODY_BYTES_MAX;

/// How an [`Ingestor`] shall work.
///
/// ```no_run
/// # async fn example(client: floe_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use floe_client::IngestorOptions;
///
/// let ingestor = IngestorOptions::new()
///     .batch_events(500)
///     .batch_time(Duration::from_millis(200))
///     .queue_events(50_000)
///     .spool("/var/spool/my-service/floe")
///     .on_refused(|refused| eprintln!("{:?}: {}", refused.event, refused.reason))
///     .start(&client)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct IngestorOptions {
    batch_events: usize,
    batch_time: Duration,
    queue_events: usize,
    queue_bytes: usize,
    spool: Option<PathBuf>,
    on_refused: Option<OnRefused>,
}

pub(super) type OnRefused = Arc<dyn Fn(Refused) + Send + Sync>;

impl fmt::Debug for IngestorOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestorOptions")
            .field("batch_events", &self.batch_events)
            .field("batch_time", &self.batch_time)
            .field("queue_events", &self.queue_events)
            .field("queue_bytes", &self.queue_bytes)
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

impl Default for IngestorOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl IngestorOptions {
    /// Batches of 1,000 events or one second, a queue of 10,000 events or 64 MiB, and no spool.
    #[must_use]
    pub fn new() -> Self {
        Self {
            batch_events: 1000,
            batch_time: Duration::from_secs(1),
            queue_events: 10_000,
            queue_bytes: 64 * 1024 * 1024,
            spool: None,
            on_refused: None,
        }
    }

    /// Events in one call, at most; 0 means 1. A call is also full when it has
    /// [`BODY_BYTES_MAX`] bytes.
    #[must_use]
    pub fn batch_events(mut self, events: usize) -> Self {
        self.batch_events = events.max(1);
        self
    }

    /// How long an event waits for others to come along, at most.
    #[must_use]
    pub fn batch_time(mut self, time: Duration) -> Self {
        self.batch_time = time;
        self
    }

    /// Events that are sent and not yet answered, at most, from 1 to 1,000,000,000.
    #[must_use]
    pub fn queue_events(mut self, events: usize) -> Self {
        self.queue_events = events.clamp(1, 1_000_000_000);
        self
    }

    /// Bytes of events, as JSON, that are sent and not yet answered: memory, and space on disk with
    /// a spool. From [`BODY_BYTES_MAX`] to 1 GiB; what is beyond is taken for the nearer bound.
    #[must_use]
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes.clamp(BODY_BYTES_MAX, 1 << 30);
        self
    }

    /// A folder of this ingestor's own, made if it is not there, that keeps events until a server
    /// has them. What a process before left there, which crashed or had no server, is sent first.
    #[must_use]
    pub fn spool(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spool = Some(folder.into());
        self
    }

    /// Is told of each event that a server refused, in place of [`Ingestor::flush`]. It is called
    /// between calls to the server, and must not take long.
    #[must_use]
    pub fn on_refused(mut self, tell: impl Fn(Refused) + Send + Sync + 'static) -> Self {
        self.on_refused = Some(Arc::new(tell));
        self
    }

    /// Starts it, on the tokio runtime that this is called in.
    ///
    /// # Errors
    ///
    /// [`IngestorError::Spool`] if the spool's folder cannot be used, is another process's, or is
    /// damaged other than at the end of its last file.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(self, client: &Client) -> Result<Ingestor, IngestorError> {
        let (messages, received) = mpsc::unbounded_channel();
        let space = Space {
            events: Arc::new(Semaphore::new(self.queue_events)),
            bytes: Arc::new(Semaphore::new(self.queue_bytes)),
        };
        let spool = match &self.spool {
            Some(folder) => Some(Spool::open(folder, space.clone(), messages.clone())?),
            None => None,
        };
        let recovered = spool.as_ref().map_or(0, Spool::recovered);
        let worker = Worker::new(
            client.clone(),
            space.clone(),
            received,
            self.batch_events,
            self.batch_time,
            self.on_refused,
        );
        let worker = tokio::spawn(worker.run());
        Ok(Ingestor {
            id: Uuid::new_v4().simple().to_string(),
            count: AtomicU64::new(0),
            space,
            messages,
            spool,
            recovered,
            worker: Some(worker),
        })
    }
}
