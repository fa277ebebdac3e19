//! Events on disk until a server has them.
//!
//! A thread owns the files. It appends what is sent, many events with one sync, and gives each to
//! the worker once it is on disk. A file that has grown enough is sealed and another begun; one
//! whose events are all settled is removed, or cut to nothing if it is the one being written.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::worker::Message;
use super::{IngestorError, Item, Space, spool_file};

/// A file that has so many bytes is sealed.
const FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Events that are synced together, at most.
const GROUP_EVENTS_MAX: usize = 4096;
/// How often it looks whether it is needed.
const LEFT_TIME: Duration = Duration::from_millis(500);
const LOCK_NAME: &str = "lock";
const EXTENSION: &str = "spool";

enum Request {
    Keep(Item, oneshot::Sender<Result<(), IngestorError>>),
    /// All events of some file are settled.
    Settled,
    Close(oneshot::Sender<()>),
    /// The ingestor was dropped.
    Leave,
}

/// The spool, as an ingestor sees it.
#[derive(Debug)]
pub(super) struct Spool {
    requests: Sender<Request>,
    recovered: u64,
    is_recovering: Arc<AtomicBool>,
}

/// A file, and how many of its events are not settled.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    open: AtomicU64,
}

/// Where an event is kept.
#[derive(Debug)]
pub(super) struct Kept {
    segment: Arc<Segment>,
    requests: Sender<Request>,
}

impl Kept {
    /// The event need not be kept any more.
    pub(super) fn settle(self) {
        if self.segment.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Without the thread nobody removes the file; the next ingestor will.
            let _ = self.requests.send(Request::Settled);
        }
    }
}

impl Spool {
    /// Takes a folder, and starts to send what is left there.
    pub(super) fn open(
        folder: &Path,
        space: Space,
        messages: UnboundedSender<Message>,
    ) -> Result<Self, IngestorError> {
        let failed = |reason: &'static str| {
            move |error: io::Error| IngestorError::spool(folder, reason, error)
        };
        fs::create_dir_all(folder).map_err(failed("it cannot be made"))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK_NAME))
            .map_err(failed("it cannot be written to"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(IngestorError::Spool {
                    folder: folder.to_owned(),
                    reason: "another ingestor uses it".to_owned(),
                    source: None,
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed("it cannot be locked")(error)),
        }
        let (left, recovered) = leftovers(folder)?;
        let (requests, received) = channel();
        let is_recovering = Arc::new(AtomicBool::new(true));
        let last = left.last().map_or(0, |(number, _)| *number);
        let mut thread = Thread {
            folder: folder.to_owned(),
            number: last,
            active: None,
            segments: Vec::new(),
            failure: None,
            messages,
            requests: requests.clone(),
            _lock: lock,
        };
        let (runtime, recovering) = (Handle::current(), Arc::clone(&is_recovering));
        std::thread::Builder::new()
            .name("floe-spool".to_owned())
            .spawn(move || {
                thread.recover(left, &space, &runtime);
                recovering.store(false, Ordering::Release);
                let closed = thread.run(&received);
                // First the lock.
                drop(thread);
                if let Some(closed) = closed {
                    let _ = closed.send(());
                }
            })
            .map_err(failed("its thread cannot be started"))?;
        Ok(Self { requests, recovered, is_recovering })
    }

    pub(super) fn recovered(&self) -> u64 {
        self.recovered
    }

    /// Whether events of the last run still wait for space in the queue.
    pub(super) fn is_recovering(&self) -> bool {
        self.is_recovering.load(Ordering::Acquire)
    }

    /// Keeps an event and gives it to the worker.
    pub(super) async fn keep(&self, item: Item) -> Result<(), IngestorError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Keep(item, reply)).map_err(|_| IngestorError::Stopped)?;
        answer.await.map_err(|_| IngestorError::Stopped)?
    }

    /// Lets go of the folder.
    pub(super) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::Close(reply)).is_ok() {
            let _ = answer.await;
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = self.requests.send(Request::Leave);
    }
}

/// The files of a folder by number, the earliest first, and their events. What a crash tore off the
/// last one is cut off.
fn leftovers(folder: &Path) -> Result<(Vec<(u64, PathBuf)>, u64), IngestorError> {
    let failed =
        |reason: &'static str| move |error: io::Error| IngestorError::spool(folder, reason, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("it cannot be read"))? {
        let path = entry.map_err(failed("it cannot be read"))?.path();
        let is_ours = path.extension().is_some_and(|extension| extension == EXTENSION);
        let number = path.file_stem().and_then(|stem| stem.to_str());
        let number = number.and_then(|stem| u64::from_str_radix(stem, 16).ok());
        if let Some(number) = number.filter(|_| is_ours) {
            files.push((number, path));
        }
    }
    files.sort_unstable();
    let mut events = 0;
    for (index, (_, path)) in files.iter().enumerate() {
        let contents = spool_file::read(path).map_err(failed("a file cannot be read"))?;
        events += contents.events.len() as u64;
        if !contents.is_torn {
            continue;
        }
        if index + 1 < files.len() {
            return Err(IngestorError::Spool {
                folder: folder.to_owned(),
                reason: format!(
                    "{} is damaged at byte {}; move it away to go on without the events in it",
                    path.display(),
                    contents.whole_bytes
                ),
                source: None,
            });
        }
        let cut = || {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(contents.whole_bytes)?;
            file.sync_all()
        };
        cut().map_err(failed("its last file cannot be cut"))?;
    }
    Ok((files, events))
}

struct Thread {
    folder: PathBuf,
    /// Of the last file that was begun.
    number: u64,
    active: Option<Active>,
    /// All files that are there.
    segments: Vec<Arc<Segment>>,
    /// Why nothing can be written any more. A failed write is not tried again: nobody knows what
    /// of it is on disk.
    failure: Option<(io::ErrorKind, String)>,
    messages: UnboundedSender<Message>,
    requests: Sender<Request>,
    /// Held as long as the folder is ours.
    _lock: File,
}

struct Active {
    file: File,
    bytes: u64,
    segment: Arc<Segment>,
}

impl Thread {
    /// Gives the worker what was left, as fast as the queue takes it.
    fn recover(&mut self, left: Vec<(u64, PathBuf)>, space: &Space, runtime: &Handle) {
        for (_, path) in left {
            // It could be read a moment ago. If it cannot now, it stays for the next time.
            let Ok(contents) = spool_file::read(&path) else { continue };
            let open = AtomicU64::new(contents.events.len() as u64);
            let segment = Arc::new(Segment { path, open });
            self.segments.push(Arc::clone(&segment));
            for json in contents.events {
                let Ok(permits) = runtime.block_on(space.acquire(json.len())) else { return };
                let item =
                    Item { json, is_stamped: false, kept: self.kept(&segment), _permits: permits };
                if self.messages.send(Message::Item(item)).is_err() {
                    return;
                }
            }
        }
        self.remove_settled();
    }

    fn kept(&self, segment: &Arc<Segment>) -> Option<Kept> {
        Some(Kept { segment: Arc::clone(segment), requests: self.requests.clone() })
    }

    /// Works until it is told to close; or, once the ingestor was dropped, until the worker has
    /// ended or has settled all.
    fn run(&mut self, requests: &Receiver<Request>) -> Option<oneshot::Sender<()>> {
        let mut is_left = false;
        loop {
            let first = match requests.recv_timeout(LEFT_TIME) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return None,
            };
            let mut group = Vec::new();
            let mut closed = None;
            for request in first.into_iter().chain(requests.try_iter()) {
                match request {
                    Request::Keep(item, reply) => group.push((item, reply)),
                    Request::Settled => {}
                    Request::Close(reply) => closed = Some(reply),
                    Request::Leave => is_left = true,
                }
                if group.len() >= GROUP_EVENTS_MAX || closed.is_some() {
                    break;
                }
            }
            self.keep(group);
            self.remove_settled();
            let is_settled =
                || self.segments.iter().all(|segment| segment.open.load(Ordering::Acquire) == 0);
            if closed.is_some() || is_left && (self.messages.is_closed() || is_settled()) {
                self.remove_active();
                return closed;
            }
        }
    }

    fn keep(&mut self, group: Vec<(Item, oneshot::Sender<Result<(), IngestorError>>)>) {
        if group.is_empty() {
            return;
        }
        let written = match &self.failure {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => self.write(&group),
        };
        match written {
            Ok(segment) => {
                segment.open.fetch_add(group.len() as u64, Ordering::AcqRel);
                for (mut item, reply) in group {
                    item.kept = self.kept(&segment);
                    let sent = self.messages.send(Message::Item(item));
                    // Who does not wait any more sent it nevertheless.
                    let _ = reply.send(sent.map_err(|_| IngestorError::Stopped));
                }
            }
            Err(error) => {
                self.failure = Some((error.kind(), error.to_string()));
                for (_, reply) in group {
                    let error = io::Error::new(error.kind(), error.to_string());
                    let reason = "it cannot be written to";
                    let _ = reply.send(Err(IngestorError::spool(&self.folder, reason, error)));
                }
            }
        }
    }

    /// Appends and syncs.
    fn write(
        &mut self,
        group: &[(Item, oneshot::Sender<Result<(), IngestorError>>)],
    ) -> io::Result<Arc<Segment>> {
        if self.active.as_ref().is_some_and(|active| active.bytes >= FILE_BYTES) {
            self.active = None;
        }
        let active = match &mut self.active {
            Some(active) => active,
            None => {
                self.number += 1;
                let path = self.folder.join(format!("{:016x}.{EXTENSION}", self.number));
                let file = spool_file::create(&path)?;
                spool_file::sync_folder(&self.folder)?;
                let segment = Arc::new(Segment { path, open: AtomicU64::new(0) });
                self.segments.push(Arc::clone(&segment));
                self.active.insert(Active { file, bytes: spool_file::EMPTY_BYTES, segment })
            }
        };
        let mut bytes = Vec::new();
        for (item, _) in group {
            spool_file::add_record(&mut bytes, &item.json)?;
        }
        active.file.write_all(&bytes)?;
        active.file.sync_data()?;
        active.bytes += bytes.len() as u64;
        Ok(Arc::clone(&active.segment))
    }

    /// Removes files, and cuts the one being written, as far as their events are settled. A failure
    /// does no harm: the events are sent once more by the next ingestor.
    fn remove_settled(&mut self) {
        let active = self.active.as_ref().map(|active| Arc::clone(&active.segment));
        self.segments.retain(|segment| {
            if segment.open.load(Ordering::Acquire) > 0 {
                return true;
            }
            if active.as_ref().is_some_and(|active| Arc::ptr_eq(active, segment)) {
                return true;
            }
            let _ = fs::remove_file(&segment.path);
            false
        });
        if let Some(active) = &mut self.active {
            let is_settled = active.segment.open.load(Ordering::Acquire) == 0;
            let is_cut = is_settled
                && active.bytes > spool_file::EMPTY_BYTES
                && active.file.set_len(spool_file::EMPTY_BYTES).is_ok();
            if is_cut {
                active.bytes = spool_file::EMPTY_BYTES;
            }
        }
    }

    /// Removes the file being written if its events are settled.
    fn remove_active(&mut self) {
        if let Some(active) = self.active.take()
            && active.segment.open.load(Ordering::Acquire) == 0
        {
            let _ = fs::remove_file(&active.segment.path);
        }
    }
}
