//! The one thread that writes events.
//!
//! Requests that wait at the same time share one journal record, hence one sync. Only after the
//! sync are their events put where readers see them, and only then are the requests answered. It
//! alone decides what is a duplicate, so two clients that send the same external id at once get
//! exactly one `inserted`.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use floe_core::{
    Customer, CustomerId, CustomerRef, EventSource, METER_CREDITED, METER_RESET, Metadata, Meter,
    MeterId, NewEvent, Number, OrganizationId, Sequence, Timestamp, Value, carried_over,
};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use tokio::sync::oneshot;

use super::codec::{self, EncodedEvents};
use super::customer_meters;
use super::dedup::KeyHash;
use super::describe;
use super::journal::Journal;
use super::maintain::{Maintainer, SealJob};
use super::view::{SealedReader, SharedTail, View, read};
use crate::port::{IngestReport, Result, StoreError};

/// Requests that may wait to be written; further ones are refused.
const WAITING_REQUESTS_MAX: usize = 4096;
/// Estimated bytes, once they are in memory, of events that may wait to be written.
const WAITING_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of encoded events after which a record takes no further request.
const RECORD_BYTES_TARGET: usize = 16 * 1024 * 1024;
/// Encoded events are at most twice their JSON, so the largest legal request fits a record.
const _: () = assert!(
    (RECORD_BYTES_TARGET + 2 * floe_core::limits::BODY_BYTES_MAX) as u64
        <= super::journal::RECORD_BYTES_MAX
);

/// What encoded events will about take in memory: measured with events of some few numbers and
/// texts, and more if names, customers or keys never repeat.
fn memory_bytes(events: &EncodedEvents) -> usize {
    2 * events.byte_len() + 96 * events.len()
}

/// What the committer is asked to do.
enum Command {
    Ingest(Ingest),
    Reset(Reset),
    Seal(oneshot::Sender<()>),
    Close,
}

struct Ingest {
    tail: Arc<SharedTail>,
    events: EncodedEvents,
    /// Whether the events' timestamps are that of the commit.
    stamp: bool,
    reply: oneshot::Sender<Result<IngestReport>>,
}

struct Reset {
    organization: OrganizationId,
    tail: Arc<SharedTail>,
    customer: Arc<Customer>,
    meter: Arc<Meter>,
    reply: oneshot::Sender<Result<()>>,
}

/// The committer, as others see it.
#[derive(Debug)]
pub(super) struct Committer {
    sender: SyncSender<Command>,
    shared: Arc<Shared>,
    maintainer: Arc<Maintainer>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the committer's thread tells others.
#[derive(Debug, Default)]
pub(super) struct Shared {
    waiting_bytes: AtomicUsize,
    tail_bytes: AtomicUsize,
    poisoned: OnceLock<String>,
}

impl Shared {
    /// Estimated bytes of the events in memory.
    pub(super) fn tail_bytes(&self) -> usize {
        self.tail_bytes.load(Ordering::Relaxed)
    }

    /// Notes that an organization's events grew.
    pub(super) fn add_tail_bytes(&self, bytes: usize) {
        let total = self.tail_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is an f64")]
        metrics::gauge!("floe_tail_bytes").set(total as f64);
    }

    /// Notes that events were sealed, and are no longer in memory.
    pub(super) fn remove_tail_bytes(&self, bytes: usize) {
        let total = self.tail_bytes.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is an f64")]
        metrics::gauge!("floe_tail_bytes").set(total as f64);
    }

    /// Why writing stopped, if it did.
    pub(super) fn poisoned(&self) -> Option<&str> {
        self.poisoned.get().map(String::as_str)
    }
}

/// What the committer works with.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) journal: Journal,
    /// The next event's sequence number.
    pub(super) next: Sequence,
    /// When the last event was ingested.
    pub(super) last_ingested_at: Timestamp,
    pub(super) clock: fn() -> Timestamp,
    pub(super) shared: Arc<Shared>,
    pub(super) reader: Arc<SealedReader>,
    pub(super) maintainer: Arc<Maintainer>,
    /// Estimated bytes of events in memory from which on they are sealed, and from which on
    /// further ones wait for that.
    pub(super) seal_bytes: usize,
    pub(super) tail_bytes_max: usize,
    /// As many events in memory are sealed, however few bytes they have.
    pub(super) seal_events: u64,
    /// Events before this one are sealed or being sealed.
    pub(super) set_aside: Sequence,
}

impl Committer {
    /// Starts the thread, behind a journal that was just recovered.
    pub(super) fn start(parts: Parts) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_REQUESTS_MAX);
        metrics::gauge!("floe_writing_stopped").set(0.0);
        let (shared, maintainer) = (Arc::clone(&parts.shared), Arc::clone(&parts.maintainer));
        let mut thread = Thread(parts);
        let thread =
            std::thread::Builder::new().name("floe-committer".into()).spawn(move || {
                let _guard = PanicGuard(Arc::clone(&thread.0.shared));
                thread.run(&receiver);
                match thread.0.journal.close() {
                    Ok(()) => tracing::debug!("the journal was closed"),
                    Err(error) => tracing::error!(%error, "the journal was not closed cleanly"),
                }
            })?;
        Ok(Self { sender, shared, maintainer, thread: Mutex::new(Some(thread)) })
    }

    /// Hands events over; the answer comes when they are durable and visible.
    pub(super) fn ingest(
        &self,
        tail: Arc<SharedTail>,
        events: EncodedEvents,
        stamp: bool,
        tail_bytes_max: usize,
    ) -> Result<oneshot::Receiver<Result<IngestReport>>> {
        let bytes = memory_bytes(&events);
        let waiting = self.shared.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        // Events in memory that cannot be sealed must not take all of it.
        let is_full = self.shared.tail_bytes() + waiting + bytes > tail_bytes_max;
        let refused = if is_full && let Some(why) = self.maintainer.progress.failed() {
            Err(StoreError::Full { limit_bytes: tail_bytes_max, why })
        } else if waiting > 0 && waiting + bytes > WAITING_BYTES_MAX {
            Err(StoreError::Busy)
        } else {
            self.send(Command::Ingest(Ingest { tail, events, stamp, reply }))
        };
        if let Err(error) = refused {
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(error);
        }
        Ok(answer)
    }

    /// Asks for a reset of a customer meter.
    pub(super) fn reset(
        &self,
        organization: OrganizationId,
        tail: Arc<SharedTail>,
        customer: Arc<Customer>,
        meter: Arc<Meter>,
    ) -> Result<oneshot::Receiver<Result<()>>> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Reset(Reset { organization, tail, customer, meter, reply }))?;
        Ok(answer)
    }

    /// Asks to seal all events in memory; the answer comes when that is done, or has failed.
    pub(super) fn seal(&self) -> Result<oneshot::Receiver<()>> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Seal(reply))?;
        Ok(answer)
    }

    fn send(&self, command: Command) -> Result<()> {
        if let Some(why) = self.shared.poisoned() {
            return Err(StoreError::Poisoned(why.to_owned()));
        }
        self.sender.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => stopped(),
        })
    }

    /// Writes what waits, closes the journal and ends the thread.
    pub(super) fn close(&self) {
        // A thread that has ended already needs no command.
        let _ = self.sender.send(Command::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the committer panicked");
        }
    }
}

impl Drop for Committer {
    /// The thread must not outlive the lock of the folder: another process may open it next.
    fn drop(&mut self) {
        self.close();
    }
}

/// Tells others that the committer's thread panicked.
struct PanicGuard(Arc<Shared>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.poisoned.set("the committer panicked".to_owned());
        }
    }
}

/// The answer of a committer that is no more.
pub(super) fn stopped() -> StoreError {
    StoreError::Poisoned("the committer has stopped".to_owned())
}

struct Thread(Parts);

/// An [`Ingest`] whose duplicates are known.
struct Checked {
    request: Ingest,
    /// Runs of events to keep.
    keep: Vec<Range<usize>>,
    inserted: usize,
}

impl Thread {
    fn run(&mut self, receiver: &Receiver<Command>) {
        while let Ok(command) = receiver.recv() {
            let mut group = Vec::new();
            let mut bytes = 0;
            let mut next = Some(command);
            while let Some(command) = next.take() {
                match command {
                    Command::Ingest(ingest) => {
                        bytes += ingest.events.byte_len();
                        group.push(ingest);
                    }
                    Command::Reset(reset) => {
                        // It closes a window over all that came before it.
                        self.commit(std::mem::take(&mut group));
                        bytes = 0;
                        self.reset(reset);
                    }
                    Command::Seal(reply) => {
                        self.commit(std::mem::take(&mut group));
                        bytes = 0;
                        self.seal_all();
                        let _ = reply.send(());
                    }
                    Command::Close => {
                        self.commit(group);
                        return;
                    }
                }
                if bytes < RECORD_BYTES_TARGET {
                    next = receiver.try_recv().ok();
                }
            }
            self.commit(group);
        }
    }

    /// The time of the next record: that of the clock, but never before an earlier record.
    fn time(&self) -> Timestamp {
        (self.0.clock)().max(self.0.last_ingested_at)
    }

    /// Writes the events of a group of requests as one record, shows them and answers.
    fn commit(&mut self, group: Vec<Ingest>) {
        if group.is_empty() {
            return;
        }
        let began = Instant::now();
        let ingested_at = self.time();
        let group = self.check_duplicates(group, ingested_at);
        let group = match group {
            Ok(group) => group,
            Err((group, error)) => return self.refuse(group, &error),
        };
        let inserted: usize = group.iter().map(|checked| checked.inserted).sum();
        let written = if inserted == 0 { Ok(()) } else { self.write(&group, ingested_at) };
        let waited: usize = group.iter().map(|checked| memory_bytes(&checked.request.events)).sum();
        if written.is_ok() {
            group.iter().for_each(|checked| self.show(checked, ingested_at));
            let events: usize = group.iter().map(|checked| checked.request.events.len()).sum();
            metrics::counter!("floe_events_ingested_total").increment(inserted as u64);
            metrics::counter!("floe_events_duplicate_total").increment((events - inserted) as u64);
        }
        self.0.shared.waiting_bytes.fetch_sub(waited, Ordering::Relaxed);
        // One behind the other: those who wait are woken once, not once each.
        for Checked { request: Ingest { tail, events, reply, .. }, inserted, .. } in group {
            let answer = match &written {
                Ok(()) => {
                    let duplicates = (events.len() - inserted) as u64;
                    if duplicates > 0 {
                        read(&tail).note_duplicates(duplicates);
                    }
                    Ok(IngestReport { inserted: inserted as u64, duplicates })
                }
                Err(why) => Err(StoreError::Poisoned(why.clone())),
            };
            // A client that went away needs no answer.
            let _ = reply.send(answer);
        }
        metrics::histogram!("floe_commit_seconds").record(began.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a histogram is of f64")]
        metrics::histogram!("floe_commit_events").record(inserted as f64);
        self.seal_if_due();
    }

    /// Sets the events in memory aside to be sealed if they are many, and lets go of journal files
    /// whose events are sealed.
    fn seal_if_due(&mut self) {
        self.0.maintainer.retry();
        let progress = &self.0.maintainer.progress;
        if let Some(file) = progress.take_journal_file()
            && let Err(error) = self.0.journal.release_before(file)
        {
            tracing::warn!(error = %describe(&error), "journal files of sealed events stay");
        }
        if self.0.shared.tail_bytes() >= self.0.tail_bytes_max {
            // Those who wait for this commit's successors wait for room; unless sealing fails.
            progress.wait();
        }
        let events = self.0.next.0 - self.0.set_aside.0;
        let is_due =
            self.0.shared.tail_bytes() >= self.0.seal_bytes || events >= self.0.seal_events;
        if is_due && !progress.is_running() {
            self.begin_sealing();
        }
    }

    /// Seals all events, and waits for it.
    fn seal_all(&mut self) {
        let maintainer = Arc::clone(&self.0.maintainer);
        maintainer.retry();
        maintainer.progress.wait();
        if self.0.next > self.0.set_aside && !maintainer.progress.is_running() {
            self.begin_sealing();
            maintainer.progress.wait();
        }
    }

    fn begin_sealing(&mut self) {
        let memtables: Vec<_> = {
            let tails = self.0.reader.tails.read().unwrap_or_else(PoisonError::into_inner);
            let begin = |(id, tail): (&OrganizationId, &Arc<SharedTail>)| {
                let memtable =
                    tail.write().unwrap_or_else(PoisonError::into_inner).begin_sealing()?;
                Some((*id, Arc::clone(tail), memtable))
            };
            tails.iter().filter_map(begin).collect()
        };
        self.0.set_aside = self.0.next;
        self.0.maintainer.seal(SealJob {
            end: self.0.next,
            last_ingested_at: self.0.last_ingested_at,
            journal_file: self.0.journal.last_file(),
            memtables,
        });
    }

    /// Answers that nothing of these requests was stored.
    fn refuse(&self, group: Vec<Ingest>, error: &StoreError) {
        for request in group {
            self.0.shared.waiting_bytes.fetch_sub(memory_bytes(&request.events), Ordering::Relaxed);
            let _ = request.reply.send(Err(StoreError::Damaged(error.to_string())));
        }
    }

    /// Appends a record with the kept events and syncs it.
    fn write(
        &mut self,
        group: &[Checked],
        ingested_at: Timestamp,
    ) -> std::result::Result<(), String> {
        if let Some(why) = self.0.shared.poisoned() {
            return Err(why.to_owned());
        }
        let mut head = Vec::with_capacity(32);
        codec::put_payload_head(self.0.next, ingested_at, &mut head);
        let mut heads = Vec::with_capacity(group.len());
        for checked in group {
            let mut head = Vec::with_capacity(20);
            let count = u32::try_from(checked.inserted).unwrap_or(u32::MAX);
            codec::put_run_head(checked.request.events.organization(), count, &mut head);
            heads.push(head);
        }
        let mut payload: Vec<&[u8]> = vec![&head];
        for (checked, head) in group.iter().zip(&heads).filter(|(c, _)| c.inserted > 0) {
            payload.push(head);
            payload.extend(checked.keep.iter().map(|run| checked.request.events.run(run.clone())));
        }
        self.0.journal.append(&payload).map_err(|error| {
            let why = describe(&error);
            tracing::error!(error = %why, "writing events failed; no more are accepted");
            let _ = self.0.shared.poisoned.set(why.clone());
            metrics::gauge!("floe_writing_stopped").set(1.0);
            why
        })?;
        self.0.last_ingested_at = ingested_at;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is an f64")]
        metrics::gauge!("floe_journal_bytes").set(self.0.journal.bytes() as f64);
        Ok(())
    }

    /// Puts a request's events where readers see them.
    fn show(&mut self, checked: &Checked, ingested_at: Timestamp) {
        let Checked { request, keep, inserted } = checked;
        if *inserted > 0 {
            let mut tail = request.tail.write().unwrap_or_else(PoisonError::into_inner);
            let before = tail.bytes();
            let events = keep.iter().cloned().flatten().map(|index| {
                let hash = request.events.external_id(index).map(|(_, hash)| hash);
                (request.events.event(index), hash)
            });
            if let Err(error) = tail.push_all(self.0.next, ingested_at, events) {
                // It was encoded by this process a moment ago.
                tracing::error!(%error, "an event cannot be shown");
            }
            self.0.next.0 += *inserted as u64;
            self.0.shared.add_tail_bytes(tail.bytes().saturating_sub(before));
        }
    }

    fn reset(&mut self, reset: Reset) {
        let Reset { organization, tail, customer, meter, reply } = reset;
        // Later than everything before it, so that the window it opens holds nothing of that.
        let at = (self.0.clock)().max(self.0.last_ingested_at.next());
        let view = View { organization, tail: &tail, reader: &self.0.reader };
        let windows = match customer_meters::customer_meters(Some(view), &[&customer], &[&meter]) {
            Ok(windows) => windows,
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
        };
        let carried = windows
            .iter()
            .flatten()
            .next()
            .map_or(0, |window| carried_over(&window.consumed.finish(), &window.credits));
        let mut events = EncodedEvents::new(organization, self.0.reader.dedup.hasher(), 2);
        events.push(&system_event(METER_RESET, customer.id, meter.id, at, None, Vec::new()));
        if carried > 0 {
            events.push(&credit_event(customer.id, meter.id, carried, true, at, None));
        }
        let (answer, _) = oneshot::channel();
        let count = events.len();
        let request = Ingest { tail, events, stamp: false, reply: answer };
        let keep = std::iter::once(0..count).collect();
        let checked = Checked { request, keep, inserted: count };
        let group = [checked];
        let written = self.write(&group, at).map_err(StoreError::Poisoned).map(|()| {
            group.iter().for_each(|checked| self.show(checked, at));
            metrics::counter!("floe_events_ingested_total").increment(count as u64);
        });
        let _ = reply.send(written);
    }

    /// Decides which events are new: an external id counts once, in the order of the requests.
    fn check_duplicates(
        &self,
        mut group: Vec<Ingest>,
        now: Timestamp,
    ) -> std::result::Result<Vec<Checked>, (Vec<Ingest>, StoreError)> {
        for request in group.iter_mut().filter(|request| request.stamp) {
            request.events.stamp(now);
        }
        let decisions = {
            let events = group.iter().map(|request| request.events.len()).sum();
            let mut in_group = HashTable::with_capacity(events);
            let decide = |request| self.new_events(request, &mut in_group);
            group.iter().map(decide).collect::<Result<Vec<_>>>()
        };
        match decisions {
            Ok(decisions) => Ok(group
                .into_iter()
                .zip(decisions)
                .map(|(request, keep)| {
                    let inserted = keep.iter().map(ExactSizeIterator::len).sum();
                    Checked { request, keep, inserted }
                })
                .collect()),
            Err(error) => Err((group, error)),
        }
    }

    /// Runs of the events of a request that are new, also to the requests before it.
    fn new_events<'r>(
        &self,
        request: &'r Ingest,
        in_group: &mut HashTable<ExternalId<'r>>,
    ) -> Result<Vec<Range<usize>>> {
        let organization = request.events.organization();
        let view = View { organization, tail: &request.tail, reader: &self.0.reader };
        let mut is_new = vec![true; request.events.len()];
        let mut ids: Vec<(usize, (&[u8], KeyHash))> = (0..request.events.len())
            .filter_map(|index| Some((index, request.events.external_id(index)?)))
            .collect();
        let sealed = {
            let tail = read(&request.tail);
            // By itself: in a short loop the processor waits for many places of the table at once.
            let may_be_known: Vec<bool> =
                ids.iter().map(|(_, (_, hash))| tail.may_have_external_id(*hash)).collect();
            let mut may_be_known = may_be_known.into_iter();
            ids.retain(|&(index, (id, hash))| {
                let is_known =
                    may_be_known.next().unwrap_or(true) && tail.by_external_id(hash, id).is_some();
                is_new[index] = !is_known && add((organization, id, hash), in_group);
                is_new[index]
            });
            tail.sealed()
        };
        // What is left is not known in memory, and here but once.
        let (places, ids): (Vec<usize>, Vec<(&[u8], KeyHash)>) = ids.into_iter().unzip();
        for place in view.sealed_external_ids(&sealed, &ids)? {
            is_new[places[place]] = false;
        }
        let mut keep: Vec<Range<usize>> = Vec::new();
        for (index, is_new) in is_new.into_iter().enumerate() {
            match keep.last_mut() {
                Some(run) if is_new && run.end == index => run.end += 1,
                _ if is_new => keep.push(index..index + 1),
                _ => {}
            }
        }
        Ok(keep)
    }
}

/// An external id of an organization, and its hash.
type ExternalId<'r> = (OrganizationId, &'r [u8], KeyHash);

/// Adds an external id to a table; whether it was not there.
fn add<'r>(id: ExternalId<'r>, to: &mut HashTable<ExternalId<'r>>) -> bool {
    let hash_of = |(.., hash): &ExternalId<'r>| hash.bits();
    match to.entry(hash_of(&id), |other| *other == id, hash_of) {
        Entry::Occupied(_) => false,
        Entry::Vacant(vacant) => {
            vacant.insert(id);
            true
        }
    }
}

/// A `meter.credited` event (semantics section 12).
pub(super) fn credit_event<'e>(
    customer: CustomerId,
    meter: MeterId,
    units: i64,
    rollover: bool,
    at: Timestamp,
    external_id: Option<&'e str>,
) -> NewEvent<'e> {
    let credit = vec![
        ("units".into(), Value::Number(Number::Int(units))),
        ("rollover".into(), Value::Bool(rollover)),
    ];
    system_event(METER_CREDITED, customer, meter, at, external_id, credit)
}

fn system_event<'e>(
    name: &'e str,
    customer: CustomerId,
    meter: MeterId,
    at: Timestamp,
    external_id: Option<&'e str>,
    more: Vec<(std::borrow::Cow<'e, str>, Value<'e>)>,
) -> NewEvent<'e> {
    let mut metadata = vec![("meter_id".into(), Value::String(meter.to_string().into()))];
    metadata.extend(more);
    NewEvent {
        name: name.into(),
        source: EventSource::System,
        customer: CustomerRef::Id(customer),
        timestamp: at,
        external_id: external_id.map(Into::into),
        parent_id: None,
        external_member_id: None,
        metadata: Metadata::from_distinct(metadata),
    }
}
