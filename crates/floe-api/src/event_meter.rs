//! `GET /v1/events/{id}/meters` on the wire: Floe's own route.

use floe_core::{EventFields, Judgement, Value, judge};
use serde::Serialize;

use crate::errors::Errors;
use crate::fields::unless_refused;
use crate::meter_preview::{contribution, optional_value};
use crate::query::{Paging, QueryParams};
use crate::{Meter, scalar};

/// Parameters of `GET /v1/events/{id}/meters`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMetersParams {
    /// Only meters that are archived, or only those that are not.
    pub is_archived: Option<bool>,
    /// Which page.
    pub paging: Paging,
}

impl EventMetersParams {
    /// Reads a query; `None` after adding errors.
    pub fn parse(query: &QueryParams, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        let params = Self {
            is_archived: query.optional("is_archived", errors, scalar::boolean),
            paging: query.paging(errors),
        };
        unless_refused(params, before, errors)
    }
}

/// The parameters of `GET /v1/events/{id}/meters`, for documentation; paging apart.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventMetersQuery {
    /// Only archived meters, or only others.
    pub is_archived: Option<bool>,
}

/// A meter that counts an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventMeter<'e> {
    /// The meter.
    pub meter: Meter,
    /// What the event contributes.
    #[serde(serialize_with = "optional_value")]
    pub value: Option<Value<'e>>,
}

impl<'e> EventMeter<'e> {
    /// The meter with what the event contributes to it; `None` if it does not count the event.
    pub fn of(meter: &floe_core::Meter, event: &'e impl EventFields) -> Option<Self> {
        match judge(&meter.filter, &meter.aggregation, event) {
            Judgement::Counts(measure) => {
                Some(Self { meter: Meter::from(meter), value: contribution(measure) })
            }
            Judgement::CreditOrReset | Judgement::Filtered(_) | Judgement::NoNumber => None,
        }
    }
}

#[cfg(feature = "openapi")]
pub use self::documentation::EventMeter as EventMeterSchema;

#[cfg(feature = "openapi")]
mod documentation {
    use crate::Meter;

    /// A meter that counts an event.
    #[derive(Debug, serde::Serialize, utoipa::ToSchema)]
    pub struct EventMeter {
        /// The meter.
        pub meter: Meter,
        /// What the event contributes: a number, 1 for a count; for `unique` the value, null if it
        /// has none.
        #[schema(required = true)]
        pub value: Option<serde_json::Value>,
    }
}
