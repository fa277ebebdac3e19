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
/// ```
/// # floe_client_doc::run(async |client| {
/// # let folder = floe_client_doc::tempfile::tempdir()?;
/// # let folder = folder.path().join("spool");
/// use std::time::Duration;
/// use floe_client::{EventCreate, IngestorOptions};
///
/// let ingestor = IngestorOptions::new()
///     .batch_events(500)
///     .batch_time(Duration::from_millis(200))
///     .queue_events(50_000)
///     .spool(folder)
///     .on_refused(|refused| eprintln!("{:?}: {}", refused.event, refused.reason))
///     .start(&client)?;
/// ingestor.send(EventCreate::for_external_customer("chat", "user-1")).await?;
/// assert_eq!(ingestor.close().await?.inserted, 1);
/// # Ok(())
/// # });
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
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{EventCreate, IngestorOptions};
    ///
    /// let ingestor = IngestorOptions::new().start(&client)?;
    /// ingestor.send(EventCreate::for_external_customer("chat", "user-1")).await?;
    /// ingestor.close().await?;
    /// # Ok(())
    /// # });
    /// ```
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
    ///
    /// ```
    /// use floe_client::IngestorOptions;
    ///
    /// let small_calls = IngestorOptions::new().batch_events(100);
    /// ```
    #[must_use]
    pub fn batch_events(mut self, events: usize) -> Self {
        self.batch_events = events.max(1);
        self
    }

    /// How long an event waits for others to come along, at most.
    ///
    /// ```
    /// use std::time::Duration;
    /// use floe_client::IngestorOptions;
    ///
    /// let soon = IngestorOptions::new().batch_time(Duration::from_millis(50));
    /// ```
    #[must_use]
    pub fn batch_time(mut self, time: Duration) -> Self {
        self.batch_time = time;
        self
    }

    /// Events that are sent and not yet answered, at most, from 1 to 1,000,000,000.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let client = floe_client_doc::nowhere()?;
    /// use floe_client::{EventCreate, IngestorError, IngestorOptions};
    ///
    /// let ingestor = IngestorOptions::new().queue_events(1).start(&client)?;
    /// let event = EventCreate::for_external_customer("chat", "user-1");
    /// // No server takes the first one, so there is no space for the second.
    /// ingestor.try_send(event.clone()).await?;
    /// assert!(matches!(ingestor.try_send(event).await, Err(IngestorError::Full)));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn queue_events(mut self, events: usize) -> Self {
        self.queue_events = events.clamp(1, 1_000_000_000);
        self
    }

    /// Bytes of events, as JSON, that are sent and not yet answered: memory, and space on disk with
    /// a spool. From [`BODY_BYTES_MAX`] to 1 GiB; what is beyond is taken for the nearer bound.
    ///
    /// ```
    /// use floe_client::IngestorOptions;
    ///
    /// let large_events = IngestorOptions::new().queue_bytes(256 * 1024 * 1024);
    /// ```
    #[must_use]
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes.clamp(BODY_BYTES_MAX, 1 << 30);
        self
    }

    /// A folder of this ingestor's own, made if it is not there, that keeps events until a server
    /// has them. What a process before left there, which crashed or had no server, is sent first.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let folder = floe_client_doc::tempfile::tempdir()?;
    /// # let folder = folder.path().join("spool");
    /// # let nowhere = floe_client_doc::nowhere()?;
    /// use floe_client::{EventCreate, IngestorOptions};
    ///
    /// // No server answers, so the event stays in the folder.
    /// let ingestor = IngestorOptions::new().spool(&folder).start(&nowhere)?;
    /// ingestor.send(EventCreate::for_external_customer("chat", "user-1")).await?;
    /// assert!(ingestor.close().await.is_err());
    ///
    /// let ingestor = IngestorOptions::new().spool(&folder).start(&client)?;
    /// assert_eq!(ingestor.recovered(), 1);
    /// assert_eq!(ingestor.close().await?.inserted, 1);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn spool(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spool = Some(folder.into());
        self
    }

    /// Is told of each event that a server refused, in place of [`Ingestor::flush`]. It is called
    /// between calls to the server, and must not take long.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use std::sync::mpsc;
    /// use floe_client::{EVENT_NAME_CHARS_MAX, EventCreate, IngestorOptions};
    ///
    /// let (tell, told) = mpsc::channel();
    /// let ingestor = IngestorOptions::new()
    ///     .on_refused(move |refused| tell.send(refused).expect("somebody listens"))
    ///     .start(&client)?;
    /// let long = "a".repeat(EVENT_NAME_CHARS_MAX + 1);
    /// ingestor.send(EventCreate::for_external_customer(long, "user-1")).await?;
    /// ingestor.close().await?;
    /// assert_eq!(told.recv()?.reason.violations()[0].kind, "string_too_long");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn on_refused(mut self, tell: impl Fn(Refused) + Send + Sync + 'static) -> Self {
        self.on_refused = Some(Arc::new(tell));
        self
    }

    /// Starts it, on the tokio runtime that this is called in.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::IngestorOptions;
    ///
    /// let ingestor = IngestorOptions::new().start(&client)?;
    /// assert_eq!(ingestor.recovered(), 0);
    /// # Ok(())
    /// # });
    /// ```
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
