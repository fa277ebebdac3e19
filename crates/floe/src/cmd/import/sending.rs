//! Sends events to the server: a few requests at a time, again and again until one is answered.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use bytes::Bytes;
use floe_client::{BulkBody, BulkIngested, Client, Error, LocPart, Violation};
use futures_util::future::try_join_all;
use tokio::sync::Mutex;
use tokio::sync::mpsc::Receiver;

use super::report::{Counts, Progress, RefusedFile, RefusedRow, raw};
use crate::connection::Failure;

/// Lines of a request: as many as the server stores at a time.
pub(super) const CHUNK_LINES_MAX: usize = 1000;
/// Bytes after which a request takes no further line.
pub(super) const CHUNK_BYTES_TARGET: usize = 1024 * 1024;
/// Chunks that wait to be sent.
pub(super) const CHUNKS_WAITING_MAX: usize = 8;
/// Time for one request, beyond which it is sent again.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(120);
/// Pauses between attempts.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Events that are sent together.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Events, one a line.
    pub(super) body: Vec<u8>,
    /// The numbers of their rows, in the order of the lines.
    pub(super) rows: Vec<u64>,
    /// Where those go that are refused.
    pub(super) refused: Arc<RefusedFile>,
}

impl Chunk {
    pub(super) fn new(refused: Arc<RefusedFile>) -> Self {
        let body = Vec::with_capacity(CHUNK_BYTES_TARGET / 2);
        Self { body, rows: Vec::with_capacity(CHUNK_LINES_MAX), refused }
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= CHUNK_LINES_MAX || self.body.len() >= CHUNK_BYTES_TARGET
    }
}

/// Who sends.
pub(super) struct Sending<'a> {
    client: Client,
    counts: &'a Counts,
    progress: &'a Progress,
    /// For how long a request is tried again.
    retry_time: Duration,
    /// Whether the server has ever answered: if it never did, it is not there.
    has_answered: AtomicBool,
    /// Whether it was said that requests fail.
    is_waiting: AtomicBool,
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        client: &Client,
        counts: &'a Counts,
        progress: &'a Progress,
        retry_time: Duration,
    ) -> Self {
        Self {
            client: client.clone().with_timeout(REQUEST_TIME_MAX),
            counts,
            progress,
            retry_time,
            has_answered: AtomicBool::new(false),
            is_waiting: AtomicBool::new(false),
        }
    }

    /// Sends all chunks there are, over so many connections.
    pub(super) async fn run(
        &self,
        chunks: Receiver<Chunk>,
        connections: usize,
    ) -> Result<(), Failure> {
        let chunks = Mutex::new(chunks);
        let senders = (0..connections).map(async |_| {
            loop {
                let chunk = chunks.lock().await.recv().await;
                let Some(chunk) = chunk else { return Ok::<_, Failure>(()) };
                self.send(chunk).await?;
            }
        });
        try_join_all(senders).await.map(drop)
    }

    async fn send(&self, chunk: Chunk) -> Result<(), Failure> {
        let Chunk { body, rows, refused } = chunk;
        let body = Bytes::from(body);
        let answer = self.answer(&body).await?;
        let BulkIngested { inserted, duplicates, refused_total, refused: lines, .. } = answer;
        let settled = inserted + duplicates + refused_total;
        if settled != rows.len() as u64 || lines.len() as u64 != refused_total {
            let sent = rows.len();
            let text = format!("the server answered for {settled} lines, and {sent} were sent");
            return Err(anyhow!(text).into());
        }
        self.counts.inserted.fetch_add(inserted, Ordering::Relaxed);
        self.counts.duplicates.fetch_add(duplicates, Ordering::Relaxed);
        self.counts.refused.fetch_add(refused_total, Ordering::Relaxed);
        let mut events = body.split(|byte| *byte == b'\n').enumerate();
        for line in lines {
            let index = usize::try_from(line.line).unwrap_or(0).wrapping_sub(1);
            // They are told in order.
            let event = events.find(|(at, _)| *at == index).map(|(_, event)| event);
            let lacks_organization = |violation: &Violation| {
                violation.kind == "missing" && is_organization(&violation.loc)
            };
            if line.detail.iter().any(lacks_organization) {
                let text = "the root token is of no organization: name one with --organization";
                return Err(anyhow!(text).into());
            }
            let reason =
                |of: &Violation| violation(of.loc.iter().map(ToString::to_string), &of.msg);
            let reasons: Vec<_> = line.detail.iter().map(reason).collect();
            let event = raw(&String::from_utf8_lossy(event.unwrap_or_default()));
            refused.add(&RefusedRow {
                line: rows.get(index).copied().unwrap_or(0),
                reason: &reasons.join("; "),
                row: None,
                event: Some(&event),
            })?;
        }
        Ok(())
    }

    /// Sends a body until it is answered. It may be sent again: its events have external ids.
    async fn answer(&self, body: &Bytes) -> Result<BulkIngested, Failure> {
        let mut pause = PAUSE_MIN;
        let mut failing: Option<Instant> = None;
        loop {
            let error = match self.client.events().bulk(BulkBody::from(body.clone())).await {
                Ok(answer) => {
                    self.has_answered.store(true, Ordering::Relaxed);
                    if self.is_waiting.swap(false, Ordering::Relaxed) {
                        self.progress.say("the server answers again");
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let since = *failing.get_or_insert_with(Instant::now);
            let may_pass = match &error {
                Error::Connect { .. } => self.has_answered.load(Ordering::Relaxed),
                error => is_passing(error),
            };
            if !may_pass || since.elapsed() > self.retry_time {
                return Err(error.into());
            }
            // Once for all connections, which fail together.
            if !self.is_waiting.swap(true, Ordering::Relaxed) {
                let seconds = self.retry_time.as_secs();
                self.progress.say(&format!("{error}; trying again for {seconds} s"));
            }
            tokio::time::sleep(pause.mul_f64(0.5 + random())).await;
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }
}

fn is_organization(loc: &[LocPart]) -> bool {
    matches!(loc, [LocPart::Key(key)] if key == "organization_id")
}

/// What is wrong and where, for people: without the name of the form that the event was taken for.
pub(super) fn violation(loc: impl Iterator<Item = String>, msg: &str) -> String {
    let is_form = |part: &String| part.starts_with("EventCreate");
    let loc: Vec<_> = loc.filter(|part| !is_form(part)).collect();
    if loc.is_empty() { msg.to_owned() } else { format!("{}: {msg}", loc.join(".")) }
}

/// Whether the same request may be answered another time.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Timeout { .. }
        | Error::Transport { .. }
        | Error::RateLimited { .. }
        | Error::Unavailable { .. } => true,
        Error::Server { status, .. } => matches!(status, 502 | 504),
        Error::Unexpected { status, .. } => matches!(status, 408 | 502..=504),
        _ => false,
    }
}

/// A number from 0 to 1, so that those who failed together do not come again together.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
