//! `POST /v1/events/bulk`: events by the million, one a line. Floe's own; Polar has nothing like
//! it.
//!
//! The body is never in memory as a whole. Blocks of lines are parsed as they arrive and handed to
//! the store, a few of which are in flight: while one is synced, the next is parsed.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use floe_api::errors::{ErrorItem, Violation};
use floe_api::event::{line_error, member_error};
use floe_api::{EventLine, UsualLines};
use floe_core::{NewEvent, OrganizationId, Timestamp};
use floe_store::embedded::system_time;
use floe_store::port::{Catalog as _, EventStore as _, IngestReport, Organizations, StoreError};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::{Caller, EventsWrite};
use crate::encoding::Coding;
use crate::error::{ApiError, json_response};
use crate::extract::{LARGE_BODY_BYTES, discard, turn};
use crate::lines::{Block, LINE_BYTES_MAX, Lines};
use crate::openapi::{Refusals, ValidationError};
use crate::slots::Slots;

/// The path, of whose bodies the length is not limited.
pub(crate) const PATH: &str = "/v1/events/bulk";
/// The one media type of a body.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// How many bodies are read at a time, each with at most a block, a line and a decoder's window;
/// and how long further ones wait for their turn.
const READERS_MAX: usize = 32;
const TURN_TIME_MAX: Duration = Duration::from_secs(20);
/// Blocks of one body that the store has and did not answer yet.
const BLOCKS_IN_FLIGHT_MAX: usize = 2;
/// Pauses before a block is handed over again that the store was too busy for, and how long it may
/// be too busy.
const BUSY_PAUSE_MIN: Duration = Duration::from_millis(5);
const BUSY_PAUSE_MAX: Duration = Duration::from_millis(250);
const BUSY_TIME_MAX: Duration = Duration::from_secs(120);
/// Refused lines that are answered one by one.
const REFUSED_MAX: usize = 1000;
/// Errors of one line that are answered, and bytes of them; and bytes for all lines, from which on
/// each has one, without its place and input.
const REFUSED_ITEMS_MAX: usize = 20;
const REFUSED_LINE_BYTES_MAX: usize = 16 * 1024;
const REFUSED_BYTES_MAX: usize = 4 * 1024 * 1024;

static READERS: Slots = Slots::new(
    READERS_MAX,
    "Too many bodies of lines are being read.",
    "Too many bodies of lines of this caller are being read.",
);

/// What became of the lines of a body.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct BulkIngestResponse {
    /// New events; they are on disk.
    inserted: u64,
    /// Events whose `external_id` was known already, or came earlier in the body.
    duplicates: u64,
    /// Lines that are no right events. All others are stored.
    refused_total: u64,
    /// The first 1,000 of them, in order.
    refused: Vec<RefusedLine>,
}

/// A line that is no right event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedLine {
    /// Its number, from 1, empty lines included.
    line: u64,
    /// What is wrong with it, as the ingestion of a batch says it; `loc` starts in the event. At
    /// most 20 errors. If they are long, `loc` is empty and `input` null.
    #[schema(value_type = Vec<ValidationError>)]
    detail: Box<RawValue>,
}

/// Stores events, one a line.
///
/// The body is any number of lines (ended by LF or CRLF; the last may lack its end), each the JSON
/// of one event as in a batch, of at most 1 MiB (1048576 bytes). Empty lines are passed over. There
/// is no limit to the body. It may be compressed: `Content-Encoding: gzip` or `zstd`.
///
/// Lines are stored in blocks of up to 1,000 while they arrive, so this is no transaction: a line
/// that is wrong is refused by itself, and if the body breaks off or the server ends early, what
/// was stored stays. To send safely again, give each event an `external_id`: then it is counted in
/// `duplicates` and not stored twice.
///
/// An answer other than 200 says in `inserted` and `duplicates` what was stored before, if anything
/// was. A body must not pause for more than 20 seconds, nor bring less than 16 KiB in 30 seconds
/// for long; there is no limit to the time it takes. A server reads up to 32 bodies at a time, 8 of
/// them of one organization (or of the root token without `Polar-Organization`); a further one waits
/// up to 20 seconds, and then the answer is 503.
#[utoipa::path(
    post, path = "/v1/events/bulk", tag = "events",
    request_body(
        content = String, content_type = "application/x-ndjson",
        description = "One `EventCreateExternalCustomer` or `EventCreateCustomer` a line.",
        example = json!("{\"name\":\"completion\",\"external_customer_id\":\"user_123\",\"external_id\":\"request_456\",\"timestamp\":\"2026-01-15T10:30:00Z\",\"metadata\":{\"tokens\":1200}}\n{\"name\":\"completion\",\"external_customer_id\":\"user_124\",\"external_id\":\"request_457\",\"timestamp\":\"2026-01-15T10:30:01Z\",\"metadata\":{\"tokens\":40}}\n"),
    ),
    responses(
        (
            status = 200,
            description = "All lines were read. What is not refused is on disk.",
            body = BulkIngestResponse,
        ),
        Refusals<EventsWrite>,
    ),
)]
pub(crate) async fn ingest_bulk(
    State(app): State<App>,
    caller: Caller<EventsWrite>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let coding = match Coding::of(&parts.headers) {
        Ok(coding) if is_ndjson(&parts.headers) => coding,
        refused => {
            discard(body).await;
            return Err(refused.err().unwrap_or(ApiError::UnsupportedType(NDJSON)));
        }
    };
    // Which organization the root token's lines are of is not known yet.
    let slot = match READERS.take(caller.organization(), TURN_TIME_MAX).await {
        Ok(slot) => slot,
        Err(error) => {
            discard(body).await;
            return Err(error);
        }
    };
    let mut lines = Lines::new(body, coding)?;
    let mut bulk = Bulk {
        app,
        organization: caller.organization(),
        is_organization_token: caller.organization().is_some(),
        in_flight: VecDeque::new(),
        answer: BulkIngestResponse::default(),
        refused_bytes: 0,
    };
    let read = bulk.read(&mut lines).await;
    // Also if that failed: what the store has is stored, and counted.
    let settled = bulk.settle(0).await;
    drop(slot);
    let Bulk { answer, .. } = bulk;
    match read.and(settled) {
        Ok(()) => Ok(json_response(StatusCode::OK, &answer)),
        Err(error) => {
            if !matches!(error, ApiError::BrokenBody | ApiError::TooSlow) {
                discard(lines.into_body()).await;
            }
            let BulkIngestResponse { inserted, duplicates, .. } = answer;
            Err(ApiError::Partial { error: Box::new(error), inserted, duplicates })
        }
    }
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or("").split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case(NDJSON)
}

/// A block that the store has.
type Storing = Pin<Box<dyn Future<Output = Result<IngestReport, StoreError>> + Send>>;

/// A body that is being stored.
struct Bulk {
    app: App,
    /// Whose events they are: the caller's own organization, or for the root token the one that
    /// the first event names.
    organization: Option<OrganizationId>,
    is_organization_token: bool,
    in_flight: VecDeque<Storing>,
    answer: BulkIngestResponse,
    /// Bytes of the details of refused lines.
    refused_bytes: usize,
}

impl Bulk {
    async fn read(&mut self, lines: &mut Lines) -> Result<(), ApiError> {
        let mut block = Block::default();
        loop {
            lines.fill(&mut block).await?;
            if block.is_empty() {
                return Ok(());
            }
            let turn = turn(block.byte_len()).await;
            let events = if block.byte_len() < LARGE_BODY_BYTES {
                self.parse(&block)
            } else {
                tokio::task::block_in_place(|| self.parse(&block))
            };
            drop(turn);
            self.settle(BLOCKS_IN_FLIGHT_MAX - 1).await?;
            self.store(&events).await?;
        }
    }

    /// Reads the lines of a block, and notes those that are refused.
    fn parse<'a>(&mut self, block: &'a Block) -> Vec<NewEvent<'a>> {
        let now = system_time();
        let mut usual = UsualLines::new(now);
        let mut events = Vec::new();
        for (number, text) in block.lines() {
            match self.event(text, now, &mut usual) {
                Ok(event) => events.push(event),
                Err(detail) => self.refuse(number, &detail),
            }
        }
        events
    }

    fn event<'a>(
        &mut self,
        text: Option<&'a [u8]>,
        now: Timestamp,
        usual: &mut UsualLines<'a>,
    ) -> Result<NewEvent<'a>, Vec<ErrorItem>> {
        let Some(text) = text else {
            let msg = format!("A line should have at most {LINE_BYTES_MAX} bytes");
            return Err(line_error("line_too_long", msg));
        };
        let line = match usual.read(text) {
            Some(line) => line,
            None => EventLine::parse(text, now)?,
        };
        if !self.is_organization_token {
            self.check_organization(&line)?;
        }
        let Some(organization) = self.organization else { return Ok(line.event) };
        let of = Organizations::one(organization);
        let is_customer = |id| self.app.store.customer(&of, id).is_some();
        match line.business_error(self.is_organization_token, is_customer) {
            Some(detail) => Err(detail),
            None => Ok(line.event),
        }
    }

    /// With the root token each event names its organization, all of them the same.
    fn check_organization(&mut self, line: &EventLine<'_>) -> Result<(), Vec<ErrorItem>> {
        let key = "organization_id";
        let Some(id) = line.references.organization_id else {
            return Err(member_error(key, floe_api::errors::missing(), ""));
        };
        let named = OrganizationId(id);
        let refused = match self.organization {
            Some(organization) if organization == named => return Ok(()),
            Some(_) => "All events of a body must be of one organization.",
            None if self.app.store.organization(named).is_some() => {
                self.organization = Some(named);
                return Ok(());
            }
            None => "Organization not found.",
        };
        Err(member_error(key, Violation::plain(key, refused), &id.to_string()))
    }

    fn refuse(&mut self, line: u64, detail: &[ErrorItem]) {
        self.answer.refused_total += 1;
        if self.answer.refused.len() == REFUSED_MAX {
            return;
        }
        let shown = detail.get(..detail.len().min(REFUSED_ITEMS_MAX)).unwrap_or(detail);
        let whole = to_raw_value(shown).ok().filter(|text| {
            let bytes = text.get().len();
            bytes <= REFUSED_LINE_BYTES_MAX && self.refused_bytes + bytes <= REFUSED_BYTES_MAX
        });
        let detail = whole.unwrap_or_else(|| {
            // What an error is, and no part of what was sent.
            let short = detail.first().map(|item| {
                let msg: String = item.violation().msg().chars().take(200).collect();
                let no_loc: [(); 0] = [];
                let (kind, input) = (item.violation().kind(), ());
                serde_json::json!({"type": kind, "loc": no_loc, "msg": msg, "input": input})
            });
            to_raw_value(&short.as_slice()).unwrap_or_default()
        });
        self.refused_bytes += detail.get().len();
        self.answer.refused.push(RefusedLine { line, detail });
    }

    /// Hands a block to the store, and waits while that is too busy to take it.
    async fn store(&mut self, events: &[NewEvent<'_>]) -> Result<(), ApiError> {
        let Some(organization) = self.organization.filter(|_| !events.is_empty()) else {
            return Ok(());
        };
        if self.app.parse_only {
            self.answer.inserted += events.len() as u64;
            return Ok(());
        }
        let (mut pause, mut waited) = (BUSY_PAUSE_MIN, Duration::ZERO);
        loop {
            let mut storing: Storing = Box::pin(self.app.store.ingest(organization, events));
            // Whether it was taken shows at the first look.
            match poll_fn(|context| Poll::Ready(storing.as_mut().poll(context))).await {
                Poll::Ready(Err(StoreError::Busy)) if waited < BUSY_TIME_MAX => {}
                Poll::Ready(stored) => {
                    self.count(stored?);
                    return Ok(());
                }
                Poll::Pending => {
                    self.in_flight.push_back(storing);
                    return Ok(());
                }
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (2 * pause).min(BUSY_PAUSE_MAX);
        }
    }

    /// Waits until at most so many blocks are in flight.
    async fn settle(&mut self, in_flight: usize) -> Result<(), ApiError> {
        let mut settled = Ok(());
        while self.in_flight.len() > in_flight
            && let Some(storing) = self.in_flight.pop_front()
        {
            match storing.await {
                Ok(report) => self.count(report),
                // The others may be stored nevertheless.
                Err(error) => settled = settled.and(Err(error.into())),
            }
        }
        settled
    }

    fn count(&mut self, report: IngestReport) {
        let IngestReport { inserted, duplicates } = report;
        self.answer.inserted += inserted;
        self.answer.duplicates += duplicates;
    }
}
