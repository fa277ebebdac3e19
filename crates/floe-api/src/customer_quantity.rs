//! `GET /v1/meters/{id}/customers` on the wire: Floe's own route.

use floe_core::{Interval, MetadataCondition, TimeZone};
use serde::Serialize;
use uuid::Uuid;

use crate::customer::Customer;
use crate::errors::{Errors, Loc, ValidationFailure, Violation};
use crate::fields::unless_refused;
use crate::json::Json;
use crate::metadata::metadata_conditions;
use crate::quantity::{interval, span_error, start, timezone};
use crate::query::{Direction, Paging, QueryParams};
use crate::scalar::{self, AwareDateTime};

/// What the customers of a meter are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerQuantitySort {
    /// What each has.
    Quantity,
    /// The customer's name; none is null.
    CustomerName,
    /// The customer's external id; none is null.
    ExternalCustomerId,
}

/// Parameters of a request for the customers of a meter.
#[derive(Debug, Clone, PartialEq)]
pub struct MeterCustomersParams {
    /// Not before 2023.
    pub start: AwareDateTime,
    /// Not before `start` unless [`span_error`](Self::span_error) says so.
    pub end: AwareDateTime,
    /// The unit of the points whose intervals count; absent: exactly from start to end.
    pub interval: Option<Interval>,
    /// Whose calendar it is.
    pub timezone: TimeZone,
    /// In names and addresses, or at the beginning of external ids.
    pub query: Option<String>,
    /// Conditions on event metadata, all of which must hold.
    pub metadata: Vec<MetadataCondition>,
    /// Which page.
    pub paging: Paging,
    /// Criteria in order; at least one.
    pub sorting: Vec<(CustomerQuantitySort, Direction)>,
}

impl MeterCustomersParams {
    /// Reads a query; `None` after adding errors. The span is checked by
    /// [`span_error`](Self::span_error), once the meter is found.
    pub fn parse(query: &QueryParams, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        let options = [
            ("quantity", CustomerQuantitySort::Quantity),
            ("customer_name", CustomerQuantitySort::CustomerName),
            ("external_customer_id", CustomerQuantitySort::ExternalCustomerId),
        ];
        let default = [(CustomerQuantitySort::Quantity, Direction::Descending)];
        let start = query.required("start_timestamp", errors, start);
        let end = query.required("end_timestamp", errors, scalar::aware_datetime);
        let interval = query.optional("interval", errors, interval);
        let timezone = query.optional("timezone", errors, timezone);
        let paging = query.paging(errors);
        let sorting = query.sorting(&options, &default, errors);
        let params = Self {
            start: start?,
            end: end?,
            interval,
            timezone: timezone.unwrap_or_else(TimeZone::utc),
            query: query.last("query").map(str::to_owned),
            metadata: metadata_conditions(query),
            paging,
            sorting,
        };
        unless_refused(params, before, errors)
    }

    /// What to answer if the end is before the start, or with an interval the span is beyond its
    /// limit, as for quantities.
    #[must_use]
    pub fn span_error(&self) -> Option<ValidationFailure> {
        let Self { start, end, interval, .. } = self;
        if let Some(interval) = interval {
            return span_error(&Loc::QUERY, start, end, *interval);
        }
        if end.timestamp() >= start.timestamp() {
            return None;
        }
        let violation =
            Violation::plain("value_error", "end_timestamp must not be before start_timestamp.");
        let input = [start, end].map(|bound| Json::Str(bound.isoformat().into()));
        Some(ValidationFailure::business(&Loc::QUERY, violation, &Json::Array(input.into())))
    }
}

/// The parameters of `GET /v1/meters/{id}/customers`, for documentation; paging and
/// `metadata[key]=value` apart.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MeterCustomersQuery {
    /// The first point, or without `interval` the first instant; with an offset. Not before
    /// 2023-01-01T00:00:00Z.
    #[param(value_type = String, format = DateTime, example = "2026-01-01T00:00:00Z")]
    pub start_timestamp: String,
    /// No point is after it, one may be at it; without `interval` the first instant that no longer
    /// counts. With an offset. May lie in the future.
    #[param(value_type = String, format = DateTime, example = "2026-01-31T23:59:59Z")]
    pub end_timestamp: String,
    /// The calendar interval of quantities: with it the same events count as in quantities with the
    /// same parameters, and the span has the same limits. Without it, exactly those from
    /// `start_timestamp` to just before `end_timestamp` count, however long that is.
    #[param(value_type = Option<crate::schema::TimeInterval>, inline, example = "day")]
    pub interval: Option<String>,
    /// IANA name of the time zone in which calendar intervals begin.
    #[param(default = "UTC")]
    pub timezone: Option<String>,
    /// Only customers in whose name or e-mail address this occurs, or whose external id begins with
    /// it, whatever the case.
    pub query: Option<String>,
    /// `quantity`, `customer_name` or `external_customer_id`, with `-` in front to descend; may
    /// repeat.
    #[param(default = json!(["-quantity"]))]
    pub sorting: Option<Vec<String>>,
}

/// What one customer has on a meter over a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomerQuantity {
    /// The customer's id; null if the events have an external id that no customer has.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub customer_id: Option<Uuid>,
    /// The customer's external id, or the one that the events have; null if the customer has none
    /// or is deleted.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub external_customer_id: Option<String>,
    /// The customer; null as `customer_id` is.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub customer: Option<Customer>,
    /// What the meter computes from this customer's events.
    pub quantity: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: &str = "start_timestamp=2024-03-01T00:00:00Z&end_timestamp=2024-03-03T00:00:00Z";

    fn read(raw: &str) -> Result<MeterCustomersParams, Vec<String>> {
        let mut errors = Errors::new();
        let params = MeterCustomersParams::parse(&QueryParams::parse(raw), &mut errors);
        assert_eq!(params.is_none(), !errors.is_empty(), "{raw}");
        let kinds = || errors.items().iter().map(|item| item.violation().kind().to_owned());
        params.ok_or_else(|| kinds().collect())
    }

    #[test]
    fn a_request_has_defaults() {
        let params = read(SPAN).unwrap();
        assert_eq!((params.interval, params.query.clone()), (None, None));
        assert_eq!(params.timezone, TimeZone::utc());
        let default = [(CustomerQuantitySort::Quantity, Direction::Descending)];
        assert_eq!(params.sorting, default);
        let params = read(&format!(
            "{SPAN}&interval=day&timezone=Europe/Paris&query=a&sorting=customer_name\
             &sorting=-external_customer_id&sorting=quantity&metadata[plan]=pro&page=2"
        ))
        .unwrap();
        assert_eq!((params.interval, params.sorting.len()), (Some(Interval::Day), 3));
        assert_eq!((params.paging.page(), params.metadata.len()), (2, 1));
        assert_eq!(params.query.as_deref(), Some("a"));
    }

    #[test]
    fn wrong_parameters_are_all_told() {
        assert_eq!(read("").unwrap_err(), ["missing", "missing"]);
        assert_eq!(
            read(&format!("{SPAN}&interval=&timezone=x&limit=0&sorting=total")).unwrap_err(),
            ["enum", "TimeZoneName", "greater_than", "enum"]
        );
        let early = "start_timestamp=2022-12-31T23:59:59Z&end_timestamp=2024-03-03T00:00:00Z";
        assert_eq!(read(early).unwrap_err(), ["greater_than_equal"]);
    }

    #[test]
    fn only_an_interval_limits_a_span() {
        let is_allowed = |start: &str, end: &str, more: &str| {
            let raw = format!("start_timestamp={start}&end_timestamp={end}{more}");
            read(&raw).unwrap().span_error().is_none()
        };
        assert!(is_allowed("2023-01-01T00:00:00Z", "2099-01-01T00:00:00Z", ""));
        assert!(is_allowed("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", ""));
        assert!(!is_allowed("2024-01-01T00:00:01Z", "2024-01-01T00:00:00Z", ""));
        assert!(is_allowed("2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "&interval=day"));
        assert!(!is_allowed("2024-01-01T00:00:00Z", "2025-01-02T00:00:00Z", "&interval=day"));
    }
}
