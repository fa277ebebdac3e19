//! The task that calls the server.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Method;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Flushed, IngestorError, Item, OnRefused, REFUSED_MAX, Space, batch};
use crate::client::{Client, Repeat};
use crate::error::Error;
use crate::events::{BODY_BYTES_MAX, Ingested};
use crate::retries::random_part;

/// The longest wait between calls that failed with all their tries.
const PAUSE_MAX: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// What the task is told.
pub(super) enum Message {
    Item(Item),
    Flush(oneshot::Sender<Result<Flushed, IngestorError>>),
    Stop,
    /// The ingestor was dropped.
    Leave,
}

/// The task. Its queue is bounded by the space that its items have.
pub(super) struct Worker {
    client: Client,
    space: Space,
    messages: UnboundedReceiver<Message>,
    batch_events: usize,
    batch_time: Duration,
    on_refused: Option<OnRefused>,
    queue: VecDeque<Item>,
    /// Bytes of the events in the queue.
    queue_bytes: usize,
    /// When the first of the queue came.
    since: Option<Instant>,
    /// Flushes, and how many events of the queue each waits for.
    flushes: Vec<(oneshot::Sender<Result<Flushed, IngestorError>>, usize)>,
    counts: Flushed,
    /// No call before this.
    pause_end: Option<Instant>,
    pause: Duration,
    is_stopping: bool,
    has_given_up: bool,
}

impl Worker {
    pub(super) fn new(
        client: Client,
        space: Space,
        messages: UnboundedReceiver<Message>,
        batch_events: usize,
        batch_time: Duration,
        on_refused: Option<OnRefused>,
    ) -> Self {
        Self {
            client,
            space,
            messages,
            batch_events,
            batch_time,
            on_refused,
            queue: VecDeque::new(),
            queue_bytes: 0,
            since: None,
            flushes: Vec::new(),
            counts: Flushed::default(),
            pause_end: None,
            pause: PAUSE_MIN,
            is_stopping: false,
            has_given_up: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            while let Ok(message) = self.messages.try_recv() {
                self.take(message);
            }
            self.answer_flushes();
            if self.is_stopping && (self.has_given_up || self.queue.is_empty()) {
                return;
            }
            let Some(due) = self.due() else {
                self.wait_for_message().await;
                continue;
            };
            if due > Instant::now() {
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = self.wait_for_message() => {}
                }
                continue;
            }
            let items = self.next_batch();
            if let Err(error) = self.send(items).await {
                self.fail(error);
                if self.is_stopping {
                    return;
                }
            }
        }
    }

    /// One more message; that the ingestor is gone means to stop as soon as all is sent.
    async fn wait_for_message(&mut self) {
        if self.is_stopping {
            return std::future::pending().await;
        }
        match self.messages.recv().await {
            Some(message) => self.take(message),
            None => self.is_stopping = true,
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Item(item) => {
                self.since.get_or_insert_with(Instant::now);
                self.queue_bytes += item.json.len();
                self.queue.push_back(item);
            }
            Message::Flush(reply) => {
                // Who asks wants to know now.
                self.pause_end = None;
                self.flushes.push((reply, self.queue.len()));
            }
            Message::Leave => self.is_stopping = true,
            Message::Stop => {
                self.is_stopping = true;
                // The flush before it failed: who stops does not want to wait any longer.
                self.has_given_up = self.pause_end.is_some();
            }
        }
    }

    /// When the next call is to be made, if one is.
    fn due(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.queue.is_empty())?;
        let is_urgent = self.is_stopping
            || !self.flushes.is_empty()
            || self.queue.len() >= self.batch_events
            || self.queue_bytes >= BODY_BYTES_MAX / 2
            // Somebody may be waiting for space.
            || self.space.events.available_permits() == 0;
        let due = if is_urgent { since } else { since + self.batch_time };
        Some(self.pause_end.map_or(due, |end| end.max(due)))
    }

    fn next_batch(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        let mut bytes = 0;
        while let Some(item) = self.queue.front() {
            let is_full = items.len() >= self.batch_events || !batch::fits(bytes, item);
            if is_full && !items.is_empty() {
                break;
            }
            bytes += item.json.len() + 1;
            self.queue_bytes -= item.json.len();
            items.extend(self.queue.pop_front());
        }
        items
    }

    /// Sends events until each is answered. Those that are not when a call fails go back to the
    /// head of the queue.
    async fn send(&mut self, items: Vec<Item>) -> Result<(), Error> {
        let mut parts = vec![items];
        while let Some(mut items) = parts.pop() {
            if items.is_empty() {
                continue;
            }
            let path = ["v1", "events", "ingest"];
            let body = batch::body(&items).into();
            let outcome = self.client.call_bytes(Method::POST, &path, body, Repeat::Always).await;
            match outcome.result {
                Ok(Ingested { inserted, duplicates }) => {
                    self.counts.inserted += inserted;
                    self.counts.duplicates += duplicates;
                    self.settle(items);
                }
                Err(Error::Validation(violations)) => {
                    match batch::by_event(&violations, items.len()) {
                        Some(mut found) => {
                            let mut left = Vec::with_capacity(items.len());
                            for (index, mut item) in items.into_iter().enumerate() {
                                match found.remove(&index) {
                                    None => left.push(item),
                                    Some(wrong)
                                        if item.is_stamped && batch::is_only_early(&wrong) =>
                                    {
                                        // The server's clock is behind ours: let it say.
                                        batch::unstamp(&mut item);
                                        left.push(item);
                                    }
                                    Some(wrong) => self.refuse(item, Error::Validation(wrong)),
                                }
                            }
                            parts.push(left);
                        }
                        None => self.halve(items, Error::Validation(violations), &mut parts),
                    }
                }
                Err(error @ Error::PayloadTooLarge { .. }) => {
                    self.halve(items, error, &mut parts);
                }
                Err(error) => {
                    // The parts are in order, the next one last.
                    parts.push(std::mem::take(&mut items));
                    for item in parts.into_iter().flat_map(|part| part.into_iter().rev()) {
                        self.queue_bytes += item.json.len();
                        self.queue.push_front(item);
                    }
                    return Err(error);
                }
            }
        }
        self.pause = PAUSE_MIN;
        self.pause_end = None;
        self.since = (!self.queue.is_empty()).then(Instant::now);
        Ok(())
    }

    /// Finds what is refused by sending halves; of one event there are none.
    fn halve(&mut self, mut items: Vec<Item>, error: Error, parts: &mut Vec<Vec<Item>>) {
        if items.len() == 1 {
            items.into_iter().for_each(|item| self.refuse(item, error_of_one(&error)));
            return;
        }
        let second = items.split_off(items.len() / 2);
        parts.push(second);
        parts.push(items);
    }

    fn refuse(&mut self, item: Item, reason: Error) {
        self.counts.refused_total += 1;
        if let Some(refused) = batch::refused(&item, reason) {
            match &self.on_refused {
                Some(tell) => tell(refused),
                None if self.counts.refused.len() < REFUSED_MAX => {
                    self.counts.refused.push(refused)
                }
                None => {}
            }
        }
        self.settle(vec![item]);
    }

    /// Events that need not be sent again.
    fn settle(&mut self, items: Vec<Item>) {
        for (_, waits_for) in &mut self.flushes {
            *waits_for = waits_for.saturating_sub(items.len());
        }
        for item in items {
            if let Some(kept) = item.kept {
                kept.settle();
            }
        }
    }

    fn answer_flushes(&mut self) {
        let all = std::mem::take(&mut self.flushes);
        for (reply, waits_for) in all {
            if waits_for > 0 {
                self.flushes.push((reply, waits_for));
            } else if let Err(Ok(counts)) = reply.send(Ok(std::mem::take(&mut self.counts))) {
                // Nobody waits any more; the next one shall know.
                self.counts = counts;
            }
        }
    }

    /// A call failed with all its tries: who waits is told, and the next one comes later.
    fn fail(&mut self, error: Error) {
        let until = self.pause + random_part(self.pause);
        self.pause_end = Some(Instant::now() + until);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        let text = error.to_string();
        let mut error = Some(error);
        for (reply, _) in std::mem::take(&mut self.flushes) {
            // An error cannot be cloned: the first who waits has it, the others its text.
            let told = error
                .take()
                .unwrap_or_else(|| Error::Unavailable { detail: text.clone(), retry_after: None });
            let _ = reply.send(Err(IngestorError::Call(told)));
        }
    }
}

/// An error again, as it cannot be cloned; of those that are told of one event.
fn error_of_one(error: &Error) -> Error {
    match error {
        Error::Validation(violations) => Error::Validation(violations.clone()),
        other => Error::PayloadTooLarge { detail: other.to_string() },
    }
}
