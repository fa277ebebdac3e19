//! Events as they are ingested: Floe's own route.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use floe_api::event::{
    BEFORE_ALL_EVENTS, EventStreamParams, EventStreamQuery, LAST_EVENT_ID, last_event_not_found,
    write_stream_event, write_stream_place,
};
use floe_core::{EventId, OrganizationId};
use floe_store::port::{Catalog as _, EventStore as _, FollowQuery, Followed, Organizations};
use futures_util::stream;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use super::events::wire_event;
use super::{meter_for_lists, one_organization, selection_for_lists};
use crate::app::App;
use crate::auth::{Caller, EventsRead, Identity};
use crate::error::{ApiError, json_bytes};
use crate::extract::{Query, parsed};
use crate::openapi::Refusals;
use crate::slots::{Slot, Slots};

/// How often it is looked for new events.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often a comment is sent, so that a connection that broke is noticed on either side.
const ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// How often it is asked whether the caller may still read.
const ALLOWED_INTERVAL: Duration = Duration::from_secs(1);
/// Streams at a time.
const STREAMS_MAX: usize = 1000;
/// Events that are looked up in one step.
const STEP_EVENTS: usize = 256;
/// Bytes of events that are made before they are sent.
const CHUNK_BYTES: usize = 64 * 1024;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Streams of this process.
static STREAMS: Slots = Slots::new(
    STREAMS_MAX,
    "Too many streams of events are open.",
    "Too many streams of events of this organization are open.",
);

/// Sends events as they are ingested, as server-sent events.
///
/// It begins with the events that are ingested after the request came, and has them in order of
/// ingestion, each as soon as it is on disk. Every message is of this form:
///
/// ```text
/// id: 4f0c0a3e-0d3c-4a54-8a3f-1f4b7f0a9d11
/// event: event
/// data: {"id":"4f0c0a3e-…","name":"completion",…}
/// ```
///
/// with the event as in the list of events. The line `: alive` comes at once and every 15 seconds;
/// if nothing comes for longer than that the connection is broken. Then ask again with the header
/// `Last-Event-ID: <the last id that came>`: what was ingested after that follows, without a gap.
/// After `: alive` a line `id: …` without `data:` may stand, which readers of server-sent events
/// take note of: up to there nothing is missing, if no event came yet. Nothing is kept for a client in memory: one that reads slowly gets what it missed from
/// disk. If it reads nothing for a minute its connection is cut.
///
/// The answer ends when the token is revoked, expires or loses its scope, within a second or two,
/// and when the server stops. A server has up to 1,000 streams at a time, 250 of them of one
/// organization, and answers 503 to further ones.
///
/// Parameters of one kind that repeat are alternatives; different ones must all hold, except that
/// `customer_id` and `external_customer_id` add up.
#[utoipa::path(
    get, path = "/v1/event-stream", tag = "events",
    params(
        EventStreamQuery,
        (
            "Last-Event-ID" = Option<String>, Header,
            description = "The id of the last message that came; what follows it is sent.",
        ),
    ),
    responses(
        (
            status = 200,
            description = "Events, as they are ingested.",
            content_type = "text/event-stream",
            body = String,
        ),
        Refusals<EventsRead>,
    ),
)]
pub(crate) async fn stream_events(
    State(app): State<App>,
    caller: Caller<EventsRead>,
    headers: HeaderMap,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let own = caller.organization();
    let params = parsed(|errors| EventStreamParams::parse(&query, own.is_some(), errors))?;
    let organization = one_organization(&app, &caller, params.organization_id)?;
    meter_for_lists(&app, &Organizations::one(organization), params.meter_id)?;
    let from = match headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) {
        None => app.store.count_events(organization),
        Some(value) => after(&app, organization, value).await?,
    };
    // Others go on for as long as their readers like: it would be no use to wait.
    let slot = STREAMS.take(Some(organization), Duration::ZERO).await?;
    let names = [AUTHORIZATION, HeaderName::from_static("polar-organization")];
    let credentials =
        names.into_iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
    let now = Instant::now();
    let messages = Messages {
        credentials: credentials.collect(),
        app,
        organization,
        params,
        next: from,
        found: Vec::new().into_iter(),
        alive_at: now,
        allowed_at: now + ALLOWED_INTERVAL,
        _slot: slot,
    };
    let parts = stream::unfold(messages, async |mut messages| {
        Some((messages.part().await.transpose()?, messages))
    });
    let mut response = json_bytes(StatusCode::OK, axum::body::Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    // Some proxies would hold messages back.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    Ok(response)
}

/// The number behind the event that a header names.
async fn after(
    app: &App,
    organization: OrganizationId,
    value: &HeaderValue,
) -> Result<u64, ApiError> {
    let text = String::from_utf8_lossy(value.as_bytes());
    let number = match text.parse() {
        Ok(BEFORE_ALL_EVENTS) => return Ok(0),
        Ok(id) => app.store.event_number(organization, EventId(id)).await?,
        Err(_) => None,
    };
    number.map(|number| number + 1).ok_or_else(|| last_event_not_found(&text).into())
}

/// What is still to be sent: no events but the ids of a few.
struct Messages {
    app: App,
    /// What the caller proved to be somebody with.
    credentials: HeaderMap,
    organization: OrganizationId,
    params: EventStreamParams,
    /// The number of the event to look at next.
    next: u64,
    /// What was found and is not sent.
    found: std::vec::IntoIter<EventId>,
    /// When to send a comment, and when to ask whether the caller may still read.
    alive_at: Instant,
    allowed_at: Instant,
    _slot: Slot,
}

impl Messages {
    /// The next messages, once there are any; `None` if there will be none. It is only called when
    /// the connection takes more, so a slow one has no more than a part in memory.
    async fn part(&mut self) -> Result<Option<Vec<u8>>, std::io::Error> {
        loop {
            let now = Instant::now();
            if *self.app.stopping.borrow() || (now >= self.allowed_at && !self.is_allowed(now)) {
                return Ok(None);
            }
            let mut part = Vec::new();
            let made = async {
                if now >= self.alive_at {
                    self.alive_at = now + ALIVE_INTERVAL;
                    write_stream_place(self.place().await?, &mut part);
                }
                self.fill(&mut part).await
            };
            made.await.map_err(|error| {
                tracing::error!(?error, "a stream of events broke off");
                std::io::Error::other("the stream broke off")
            })?;
            if !part.is_empty() {
                return Ok(Some(part));
            }
            if self.next < self.app.store.count_events(self.organization) {
                // Among many events few may match. In between the connection is looked after.
                tokio::task::yield_now().await;
                continue;
            }
            let mut stopping = self.app.stopping.clone();
            // However it ends, it is looked again.
            let _ = tokio::time::timeout(LOOK_INTERVAL, stopping.changed()).await;
        }
    }

    /// Whether the caller may still read.
    fn is_allowed(&mut self, now: Instant) -> bool {
        self.allowed_at = now + ALLOWED_INTERVAL;
        let identity = Identity::of(&self.app, &self.credentials);
        identity.is_ok_and(|identity| identity.may::<EventsRead>())
    }

    /// The id of the last event that was looked at, if nothing is left of what was found.
    async fn place(&self) -> Result<Option<Uuid>, ApiError> {
        if self.found.len() > 0 {
            return Ok(None);
        }
        match self.next.checked_sub(1) {
            None => Ok(Some(BEFORE_ALL_EVENTS)),
            Some(last) => {
                let id = self.app.store.event_id(self.organization, last).await?;
                Ok(id.map(|id| id.0))
            }
        }
    }

    /// Adds the events that are there, as many as fit.
    async fn fill(&mut self, part: &mut Vec<u8>) -> Result<(), ApiError> {
        let Self { app, organization, params, .. } = self;
        let organization = *organization;
        if self.found.len() == 0 && self.next < app.store.count_events(organization) {
            let query = FollowQuery {
                filter: params.filter.clone(),
                // Customers are those of now.
                customers: selection_for_lists(
                    app,
                    organization,
                    params.customer_ids.as_ref(),
                    params.external_customer_ids.as_ref(),
                ),
                names: params.names.clone().unwrap_or_default(),
                // As it is now: one that counts nothing yet may be changed, and none is removed.
                meter: params
                    .meter_id
                    .and_then(|id| app.store.meter(&Organizations::one(organization), id))
                    .map(|meter| (meter.filter.clone(), meter.aggregation.clone())),
            };
            let Followed { events, next } =
                app.store.follow_events(organization, self.next, query, STEP_EVENTS).await?;
            (self.found, self.next) = (events.into_iter(), next);
        }
        while part.len() < CHUNK_BYTES {
            let Some(id) = self.found.next() else { break };
            let row = app.store.event(&Organizations::one(organization), id).await?;
            let Some(row) = row else { continue };
            write_stream_event(id, &wire_event(app, row).await?, part);
        }
        Ok(())
    }
}
