//! All events of an organization: Floe's own route.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use floe_api::event::{EventsExportParams, EventsExportQuery, write_export_line};
use floe_store::port::{EventExport as _, EventStore, ExportQuery, Organizations};
use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::{meter_for_lists, one_organization, selection_for_lists};
use crate::app::App;
use crate::auth::{Caller, EventsRead};
use crate::backend::Backend;
use crate::error::{ApiError, json_bytes};
use crate::extract::{Query, parsed};
use crate::openapi::{MetadataQuery, Refusals};
use crate::slots::{Slot, Slots};

/// Bytes of lines that are made before they are sent.
const CHUNK_BYTES: usize = 256 * 1024;
/// How many exports are under way at a time, each with a chunk that its reader did not take, or else
/// with what is read of a segment at once; and how long further ones wait for their turn.
const EXPORTS_MAX: usize = 32;
const TURN_TIME_MAX: Duration = Duration::from_secs(20);

static EXPORTS: Slots = Slots::new(
    EXPORTS_MAX,
    "Too many exports of events are under way.",
    "Too many exports of events of this organization are under way.",
);

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Exports events, in order of ingestion.
///
/// Each line is an event as ingestion takes it. There are as many as were acknowledged when the
/// request came; credits and resets are not among them. If something fails on the way, the
/// connection is cut: an answer that ends as it should is complete. It is also cut if you read
/// nothing for a minute. A server makes up to 32 exports at a time, 8 of them of one organization; a
/// further one waits up to 20 seconds, and then the answer is 503.
///
/// What is exported can be ingested into another organization, where meters give the same
/// quantities. For that
///
/// - an event without an external id gets its id for one, so that the same event counts once
///   however often it is ingested there, and a parent is called by its external id likewise;
/// - a customer who has an external id is called by it. One without is called by `customer_id`,
///   which only its own organization knows: give customers external ids before you export;
/// - events that came with the id of a customer who is deleted have that id for an external
///   customer id.
///
/// Parameters of one kind that repeat are alternatives; different ones must all hold, except that
/// `customer_id` and `external_customer_id` add up.
#[utoipa::path(
    get, path = "/v1/events/export", tag = "events",
    params(EventsExportQuery, MetadataQuery),
    responses(
        (
            status = 200,
            description = "Events, one a line, as in the `events` of an ingestion.",
            content_type = "application/x-ndjson",
            body = String,
        ),
        Refusals<EventsRead>,
    ),
)]
pub(crate) async fn export_events(
    State(app): State<App>,
    caller: Caller<EventsRead>,
    Query(query): Query,
) -> Result<Response, ApiError> {
    let own = caller.organization();
    let EventsExportParams {
        organization_id,
        filter,
        start,
        end,
        customer_ids,
        external_customer_ids,
        meter_id,
        names,
        metadata,
    } = parsed(|errors| EventsExportParams::parse(&query, own.is_some(), errors))?;
    let organization = one_organization(&app, &caller, organization_id)?;
    let meter = meter_for_lists(&app, &Organizations::one(organization), meter_id)?;
    let query = ExportQuery {
        filter,
        start,
        end,
        customers: selection_for_lists(
            &app,
            organization,
            customer_ids.as_ref(),
            external_customer_ids.as_ref(),
        ),
        meter: meter.map(|meter| (meter.filter.clone(), meter.aggregation.clone())),
        names: names.unwrap_or_default(),
        metadata,
    };
    // It has the events that there are now, also if it has to wait.
    let export = app.store.export_events(organization, query);
    let slot = EXPORTS.take(Some(organization), TURN_TIME_MAX).await?;
    Lines { export, _slot: slot }.respond().await
}

/// The lines while they are sent.
struct Lines {
    export: <Backend as EventStore>::Export,
    _slot: Slot,
}

impl Lines {
    async fn respond(mut self) -> Result<Response, ApiError> {
        // What fails at once is answered as a failure.
        let first = self.chunk().await?.unwrap_or_default();
        let rest =
            stream::unfold(self, async |mut lines| Some((lines.chunk().await.transpose()?, lines)));
        // The head is sent: all that an error can do is to end the answer early.
        let rest =
            rest.map(|chunk| chunk.map_err(|_| std::io::Error::other("the export broke off")));
        let body = axum::body::Body::from_stream(stream::iter([Ok(first)]).chain(rest));
        let mut response = json_bytes(StatusCode::OK, body);
        response.headers_mut().insert(CONTENT_TYPE, NDJSON);
        Ok(response)
    }

    /// The next lines; `None` behind the last one.
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        loop {
            let lines = self.export.next(write_export_line, CHUNK_BYTES).await;
            match lines.inspect_err(|error| tracing::error!(%error, "an export broke off"))? {
                // Among many events few may match. In between the connection is looked after: a
                // client that went away ends this.
                Some(lines) if lines.is_empty() => tokio::task::yield_now().await,
                lines => return Ok(lines),
            }
        }
    }
}
