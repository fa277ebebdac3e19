//! Meters that are not saved yet: Floe's own route.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use floe_api::MeterQuantities;
use floe_api::meter_preview::{MeterPreview, MeterPreviewCreate, MeterPreviewInput};
use floe_core::{EventId, NewEvent, QuantityQuery};
use floe_store::port::{EventAddress, EventQuery, EventStore as _};
use tokio::sync::Semaphore;

use super::events::{EventPage, no_json};
use crate::app::App;
use crate::auth::{Caller, EventsRead, MetersRead};
use crate::error::ApiError;
use crate::extract::{Body, parsed};
use crate::openapi::Refusals;

/// Events that are judged.
const EVENTS_MAX: u64 = 1000;
/// The time for quantities: nothing is kept that would make the next answer faster.
const QUANTITIES_TIME_MAX: Duration = Duration::from_secs(5);
/// Previews that look at events at a time; others wait.
const PREVIEWS_MAX: usize = 2;

static PREVIEWS: Semaphore = Semaphore::const_new(PREVIEWS_MAX);

/// Tells what a meter would count, before it is saved.
///
/// The newest 1,000 events of the organization, credits and resets included, are judged by the
/// filter and the aggregation, and the newest `limit` of them are shown, each with what it would
/// contribute, or with the reason why it does not count.
///
/// With `start_timestamp`, `end_timestamp` and `interval` there are quantities, the same that the
/// meter would have once it is saved. They are computed from the events alone, and nothing of that
/// is kept; so they take longer than those of a meter, and are null if they take more than 5
/// seconds.
///
/// Since it shows events, the scope `events:read` (or `events:write`) is needed besides.
#[utoipa::path(
    post, path = "/v1/meters/preview", tag = "meters",
    request_body(content = MeterPreviewInput, example = json!({
        "filter": {
            "conjunction": "and",
            "clauses": [{"property": "name", "operator": "eq", "value": "completion"}]
        },
        "aggregation": {"func": "sum", "property": "tokens"},
        "start_timestamp": "2026-01-01T00:00:00Z",
        "end_timestamp": "2026-01-31T23:59:59Z",
        "interval": "day"
    })),
    responses(
        (status = 200, description = "What it would count.", body = MeterPreview),
        Refusals<MetersRead>,
    ),
)]
pub(crate) async fn preview_meter(
    State(app): State<App>,
    caller: Caller<MetersRead>,
    _: Caller<EventsRead>,
    body: Body,
) -> Result<Response, ApiError> {
    let (organization, preview) = body.read(|json| {
        let preview = parsed(|errors| MeterPreviewCreate::parse(json, errors))?;
        let organization = caller.organization_for_create(&app, preview.organization_id, json)?;
        Ok((organization, Arc::new(preview)))
    })?;
    if let Some(error) = preview.span_error() {
        return Err(error.into());
    }
    // The semaphore is never closed.
    let _turn = PREVIEWS.acquire().await.ok();
    let judged =
        Judged { preview: Arc::clone(&preview), looked_at: 0, matching: 0, shown: Vec::new() };
    let Judged { looked_at, matching, shown, .. } = app
        .store
        .newest_events(organization, EventQuery::default(), EVENTS_MAX, judged, Judged::look)
        .await?;
    let quantities = match preview.series() {
        None => None,
        Some((start, end, interval)) => {
            let query = QuantityQuery {
                filter: preview.filter.clone(),
                aggregation: preview.aggregation.clone(),
                start: start.timestamp(),
                end: end.timestamp(),
                interval,
                zone: preview.timezone.clone(),
                customers: None,
                customer_aggregation: None,
                metadata: Vec::new(),
            };
            app.store.quantities_once(organization, query, QUANTITIES_TIME_MAX).await?
        }
    };
    let quantities = quantities.as_ref().map(MeterQuantities::from);
    let quantities = serde_json::to_string(&quantities).map_err(|error| no_json(&error))?;
    let begin = format!(r#"{{"looked_at":{looked_at},"matching":{matching},"events":["#);
    let end = format!(r#"],"quantities":{quantities}}}"#);
    let addresses =
        shown.into_iter().map(|id| EventAddress { organization_id: organization, id }).collect();
    let beside = move |event: &NewEvent<'_>| {
        serde_json::to_vec(&preview.verdict(event)).map_err(|error| no_json(&error))
    };
    EventPage::wrapped(app, addresses, begin, end, Some(Box::new(beside))).respond().await
}

/// What was found among the newest events.
struct Judged {
    preview: Arc<MeterPreviewCreate>,
    looked_at: u64,
    matching: u64,
    shown: Vec<EventId>,
}

impl Judged {
    fn look(&mut self, id: EventId, event: &NewEvent<'_>) {
        if self.looked_at < self.preview.limit {
            self.shown.push(id);
        }
        self.looked_at += 1;
        self.matching += u64::from(self.preview.counts(event));
    }
}
