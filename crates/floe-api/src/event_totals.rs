//! `GET /v1/event-totals` on the wire: Floe's own route.

use floe_core::OrganizationId;
use serde::Serialize;

use crate::WireTimestamp;
use crate::errors::Errors;
use crate::event::one_organization;
use crate::fields::unless_refused;
use crate::query::QueryParams;

/// Parameters of `GET /v1/event-totals`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTotalsParams {
    /// The organization; a caller that is one need not name it.
    pub organization_id: Option<OrganizationId>,
}

impl EventTotalsParams {
    /// Reads a query; `None` after adding errors. A caller that is no organization must name one.
    pub fn parse(
        query: &QueryParams,
        is_organization_token: bool,
        errors: &mut Errors,
    ) -> Option<Self> {
        let before = errors.len();
        let organization_id = one_organization(query, is_organization_token, errors);
        unless_refused(Self { organization_id }, before, errors)
    }
}

/// The parameters of `GET /v1/event-totals`, for documentation.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventTotalsQuery {
    /// The organization; needed with the root token.
    pub organization_id: Option<uuid::Uuid>,
}

/// How many events an organization has, and how many it sent twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventTotals {
    /// Events that are stored, credits and resets included.
    pub events: u64,
    /// Events that were not stored because their `external_id` was known, since the server was
    /// started: as the answers to their ingestion said.
    pub duplicates: u64,
    /// When the server was started.
    pub duplicates_since: WireTimestamp,
}
