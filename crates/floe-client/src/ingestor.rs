//! Events sent in the background.

mod batch;
mod options;
mod spool;
mod spool_file;
mod worker;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};
use tokio::task::JoinHandle;

pub use self::options::IngestorOptions;
use self::options::OnRefused;
use self::spool::Spool;
use self::worker::Message;
use crate::error::{Cause, Error};
use crate::event_create::EventCreate;
use crate::events::BODY_BYTES_MAX;
use crate::timestamp::Timestamp;

/// Bytes that a body has beside its events, and that JSON may need between them.
const BODY_BYTES_EXTRA: usize = 64;
/// Bytes of one event as JSON, at most: it must fit in a body.
const EVENT_BYTES_MAX: usize = BODY_BYTES_MAX - BODY_BYTES_EXTRA;
/// Refused events that [`Ingestor::flush`] returns, at most.
const REFUSED_MAX: usize = 1000;

/// What bounds the queue. An event has a part of both until it is answered.
#[derive(Debug, Clone)]
struct Space {
    events: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A part of the queue's space.
#[derive(Debug)]
struct Permits {
    _events: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Space {
    async fn acquire(&self, bytes: usize) -> Result<Permits, AcquireError> {
        Ok(Permits {
            _events: Arc::clone(&self.events).acquire_owned().await?,
            _bytes: Arc::clone(&self.bytes).acquire_many_owned(permits(bytes)).await?,
        })
    }

    fn try_acquire(&self, bytes: usize) -> Result<Permits, TryAcquireError> {
        Ok(Permits {
            _events: Arc::clone(&self.events).try_acquire_owned()?,
            _bytes: Arc::clone(&self.bytes).try_acquire_many_owned(permits(bytes))?,
        })
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// One event on its way.
#[derive(Debug)]
struct Item {
    /// The event as JSON.
    json: Vec<u8>,
    /// Whether its timestamp is ours, not the caller's.
    is_stamped: bool,
    /// Where it is on disk.
    kept: Option<spool::Kept>,
    _permits: Permits,
}

/// Sends events in the background, many in a call, in the order in which they came.
///
/// Each event gets an external id and a timestamp when it is sent, unless the caller gave them, so
/// that it counts once and at its time, however late and however often it reaches the server. Calls
/// that fail are made again, first as the client's [`Retries`](crate::Retries) say, then every few
/// seconds, until the server has the events. Until then they take space in the queue, and when that
/// is full, [`send`](Self::send) waits.
///
/// Events that a server refuses do not hold the others up: they are taken out, and told to
/// [`IngestorOptions::on_refused`] or by the next [`flush`](Self::flush).
///
/// # Crashes
///
/// Without a spool, events are in memory, and lost if the process ends before they are answered.
/// With one, they are in files of a folder, and synced to disk before `send` returns; the next
/// ingestor with that folder sends what is left. One that was sent and not known to be sent goes
/// again, and counts once by its external id. A folder is one process's at a time. Its files hold
/// the events' contents: no token, but all that callers put there.
///
/// # Dropping it
///
/// Call [`close`](Self::close) to know that all is sent. An ingestor that is dropped sends what it
/// has as long as its runtime runs and the server answers; then it stops, and what is left is lost,
/// or in the spool.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{EventCreate, IngestorOptions};
///
/// let ingestor = IngestorOptions::new().start(&client)?;
/// for tokens in 1..=10_000 {
///     let event = EventCreate::for_external_customer("ai_usage", "user-1");
///     ingestor.send(event.property("tokens", tokens)).await?;
/// }
/// let flushed = ingestor.close().await?;
/// assert_eq!((flushed.inserted, flushed.refused_total), (10_000, 0));
/// # Ok(())
/// # });
/// ```
pub struct Ingestor {
    /// Random; with the count, external ids that nobody else makes.
    id: String,
    count: AtomicU64,
    space: Space,
    messages: mpsc::UnboundedSender<Message>,
    spool: Option<Spool>,
    recovered: u64,
    worker: Option<JoinHandle<()>>,
}

impl fmt::Debug for Ingestor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingestor")
            .field("queue_events_free", &self.space.events.available_permits())
            .field("queue_bytes_free", &self.space.bytes.available_permits())
            .field("has_spool", &self.spool.is_some())
            .finish_non_exhaustive()
    }
}

impl Ingestor {
    /// Sends an event, and waits for space in the queue. With a spool, it is on disk with the
    /// answer.
    ///
    /// To drop the future while it waits for space sends nothing. While it waits for the disk, the
    /// event may be sent or not.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ingestor = floe_client::IngestorOptions::new().start(&client)?;
    /// use floe_client::EventCreate;
    ///
    /// let event = EventCreate::for_external_customer("ai_usage", "user-1").property("tokens", 120);
    /// ingestor.send(event).await?;
    /// # assert_eq!(ingestor.flush().await?.inserted, 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`IngestorError::TooLarge`] for an event that no body can hold, and
    /// [`IngestorError::Spool`] if it cannot be written to disk; from then on no event can.
    pub async fn send(&self, event: EventCreate) -> Result<(), IngestorError> {
        let (json, is_stamped) = self.prepare(event)?;
        let permits = self.space.acquire(json.len()).await.map_err(|_| IngestorError::Stopped)?;
        self.enqueue(json, is_stamped, permits).await
    }

    /// Sends an event if there is space in the queue at once. With a spool it waits for the disk,
    /// as [`send`](Self::send) does.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ingestor = floe_client::IngestorOptions::new().start(&client)?;
    /// # let event = floe_client::EventCreate::for_external_customer("ai_usage", "user-1");
    /// use floe_client::IngestorError;
    ///
    /// match ingestor.try_send(event).await {
    ///     Ok(()) => {}
    ///     Err(IngestorError::Full) => eprintln!("dropped an event"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # assert_eq!(ingestor.flush().await?.inserted, 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`IngestorError::Full`], and those of [`send`](Self::send).
    pub async fn try_send(&self, event: EventCreate) -> Result<(), IngestorError> {
        let (json, is_stamped) = self.prepare(event)?;
        let permits = self.space.try_acquire(json.len()).map_err(|error| match error {
            TryAcquireError::NoPermits => IngestorError::Full,
            TryAcquireError::Closed => IngestorError::Stopped,
        })?;
        self.enqueue(json, is_stamped, permits).await
    }

    /// The event as JSON, with an external id and a timestamp.
    fn prepare(&self, mut event: EventCreate) -> Result<(Vec<u8>, bool), IngestorError> {
        if !event.has_external_id() {
            let count = self.count.fetch_add(1, Ordering::Relaxed);
            event = event.external_id(format!("{}-{count}", self.id));
        }
        let is_stamped = !event.has_timestamp();
        if is_stamped {
            event = event.timestamp(Timestamp::now());
        }
        let json =
            event.to_json().map_err(|error| IngestorError::Call(Error::Serialize(error.into())))?;
        if json.len() > EVENT_BYTES_MAX {
            return Err(IngestorError::TooLarge { bytes: json.len() });
        }
        Ok((json, is_stamped))
    }

    async fn enqueue(
        &self,
        json: Vec<u8>,
        is_stamped: bool,
        permits: Permits,
    ) -> Result<(), IngestorError> {
        let item = Item { json, is_stamped, kept: None, _permits: permits };
        match &self.spool {
            Some(spool) => spool.keep(item).await,
            None => self.messages.send(Message::Item(item)).map_err(|_| IngestorError::Stopped),
        }
    }

    /// Waits until everything sent before is answered, without waiting for batches to fill.
    ///
    /// The counts are those since the last flush that succeeded. To drop the future loses no event;
    /// with a spool that still sends what the last run left, it may lose counts.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ingestor = floe_client::IngestorOptions::new().start(&client)?;
    /// use floe_client::EventCreate;
    ///
    /// ingestor.send(EventCreate::for_external_customer("ai_usage", "user-1")).await?;
    /// let flushed = ingestor.flush().await?;
    /// for refused in &flushed.refused {
    ///     eprintln!("{:?}: {}", refused.event, refused.reason);
    /// }
    /// assert_eq!(flushed.inserted, 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`IngestorError::Call`] if a call failed with all its tries. Its events are still in the
    /// queue, and are tried again.
    pub async fn flush(&self) -> Result<Flushed, IngestorError> {
        let mut all = Flushed::default();
        loop {
            // Looked at before, since what comes of the last run comes until this is false.
            let is_last = self.spool.as_ref().is_none_or(|spool| !spool.is_recovering());
            let (reply, answer) = oneshot::channel();
            self.messages.send(Message::Flush(reply)).map_err(|_| IngestorError::Stopped)?;
            let flushed = answer.await.map_err(|_| IngestorError::Stopped)??;
            all.add(flushed);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Flushes, and ends. When it returns, the spool is free for another ingestor, and empty if it
    /// succeeded.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let ingestor = floe_client::IngestorOptions::new().start(&client)?;
    /// use floe_client::EventCreate;
    ///
    /// ingestor.send(EventCreate::for_external_customer("ai_usage", "user-1")).await?;
    /// assert_eq!(ingestor.close().await?.inserted, 1);
    /// # Ok(())
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush). What is not sent by then is in the spool; without one it is
    /// lost: call `flush` first where that matters.
    pub async fn close(mut self) -> Result<Flushed, IngestorError> {
        let flushed = self.flush().await;
        let _ = self.messages.send(Message::Stop);
        if let Some(worker) = self.worker.take() {
            let _ = worker.await;
        }
        if let Some(spool) = self.spool.take() {
            spool.close().await;
        }
        flushed
    }

    /// Events that the spool held as this ingestor started, which are sent again.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # let folder = floe_client_doc::tempfile::tempdir()?;
    /// # let folder = folder.path().join("spool");
    /// use floe_client::IngestorOptions;
    ///
    /// let ingestor = IngestorOptions::new().spool(folder).start(&client)?;
    /// assert_eq!(ingestor.recovered(), 0, "the folder is new");
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn recovered(&self) -> u64 {
        self.recovered
    }
}

impl Drop for Ingestor {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Leave);
    }
}

/// What became of events that were sent.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let ingestor = floe_client::IngestorOptions::new().start(&client)?;
/// use floe_client::EventCreate;
///
/// let chat = EventCreate::for_external_customer("chat", "user-1").external_id("chat-1");
/// ingestor.send(chat.clone()).await?;
/// ingestor.send(chat).await?;
/// let flushed = ingestor.flush().await?;
/// assert_eq!((flushed.inserted, flushed.duplicates, flushed.refused_total), (1, 1, 0));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Flushed {
    /// Events that are new.
    pub inserted: u64,
    /// Events whose external ids were known; also those whose first answer was lost.
    pub duplicates: u64,
    /// Events that were refused.
    pub refused_total: u64,
    /// The first thousand of them; none if [`IngestorOptions::on_refused`] was told of them.
    pub refused: Vec<Refused>,
}

impl Flushed {
    fn add(&mut self, Self { inserted, duplicates, refused_total, refused }: Self) {
        self.inserted += inserted;
        self.duplicates += duplicates;
        self.refused_total += refused_total;
        let space = REFUSED_MAX.saturating_sub(self.refused.len());
        self.refused.extend(refused.into_iter().take(space));
    }
}

/// An event that a server refused, and why. It is not sent again.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # let ingestor = floe_client::IngestorOptions::new().start(&client)?;
/// use floe_client::{EVENT_NAME_CHARS_MAX, EventCreate};
///
/// let long = "a".repeat(EVENT_NAME_CHARS_MAX + 1);
/// ingestor.send(EventCreate::for_external_customer(long, "user-1")).await?;
/// let refused = &ingestor.flush().await?.refused[0];
/// assert_eq!(refused.reason.violations()[0].kind, "string_too_long");
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Refused {
    /// The event, with the external id and timestamp that it was sent with.
    pub event: EventCreate,
    /// [`Error::Validation`], at `body.events.0` as if it had been sent
    /// alone, or [`Error::PayloadTooLarge`].
    pub reason: Error,
}

/// Why an [`Ingestor`] cannot do what it should.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # use floe_client::{EventCreate, IngestorOptions, Retries};
/// # let revoked = floe_client::Client::new(client.url(), "floe_oat_0123")?;
/// # let ingestor = IngestorOptions::new().start(&revoked)?;
/// # ingestor.send(EventCreate::for_external_customer("chat", "user-1")).await?;
/// use floe_client::{Error, IngestorError};
///
/// match ingestor.flush().await {
///     Err(IngestorError::Call(Error::Unauthorized)) => eprintln!("the token was revoked"),
///     Err(error) => eprintln!("{error}"),
///     Ok(flushed) => println!("{} new", flushed.inserted),
/// }
/// # assert!(matches!(ingestor.flush().await, Err(IngestorError::Call(Error::Unauthorized))));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestorError {
    /// There is no space in the queue.
    #[error("the queue is full")]
    Full,
    /// The event does not fit in a body of [`BODY_BYTES_MAX`] bytes.
    #[error("the event has {bytes} bytes as JSON, and at most {EVENT_BYTES_MAX} can be sent")]
    TooLarge {
        /// Its bytes, as JSON.
        bytes: usize,
    },
    /// A call failed, with all its tries.
    #[error(transparent)]
    Call(Error),
    /// The spool cannot be used.
    #[error("the spool in {folder} cannot be used: {reason}")]
    Spool {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
        /// Why.
        #[source]
        source: Option<Cause>,
    },
    /// The ingestor has ended, for example with its runtime.
    #[error("the ingestor has ended")]
    Stopped,
}

impl IngestorError {
    fn spool(folder: &std::path::Path, reason: &str, error: io::Error) -> Self {
        let source: Option<Cause> = Some(error.into());
        Self::Spool { folder: folder.to_owned(), reason: reason.to_owned(), source }
    }
}
