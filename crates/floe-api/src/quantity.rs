//! `GET /v1/meters/{id}/quantities` on the wire (contract section 3.5).

use floe_core::limits::QUANTITIES_START_MIN_MICROS;
use floe_core::{
    AggregationFunction, CustomerId, Interval, MetadataCondition, TimeZone, Timestamp,
};
use serde::Serialize;

use crate::errors::{self, Errors, Loc, ValidationFailure, Violation};
use crate::json::Json;
use crate::metadata::metadata_conditions;
use crate::query::QueryParams;
use crate::scalar::{self, AwareDateTime};
use crate::serialize::display;

/// Parameters of a quantities request.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantitiesParams {
    /// Not before 2023.
    pub start: AwareDateTime,
    /// Not before `start` unless [`span_error`](Self::span_error) says so.
    pub end: AwareDateTime,
    /// The unit of the points.
    pub interval: Interval,
    /// Whose calendar it is.
    pub timezone: TimeZone,
    /// Any of these customers.
    pub customer_ids: Option<Vec<CustomerId>>,
    /// Or any of these.
    pub external_customer_ids: Option<Vec<String>>,
    /// Aggregates per customer first, then by this function over the customers.
    pub customer_aggregation: Option<AggregationFunction>,
    /// Conditions on event metadata, all of which must hold.
    pub metadata: Vec<MetadataCondition>,
}

impl QuantitiesParams {
    /// Reads a query; `None` after adding errors. The span is checked by
    /// [`span_error`](Self::span_error), once the meter is found (contract section 1.8).
    pub fn parse(query: &QueryParams, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        let start = query.required("start_timestamp", errors, start);
        let end = query.required("end_timestamp", errors, scalar::aware_datetime);
        let interval = query.required("interval", errors, interval);
        let timezone = query.optional("timezone", errors, timezone);
        let customer_ids = customer_ids(query, errors);
        let customer_aggregation =
            query.optional("customer_aggregation_function", errors, |json, loc, errors| {
                scalar::enum_value(json, loc, errors, &AggregationFunction::ALL)
            });
        if errors.len() > before {
            return None;
        }
        Some(Self {
            start: start?,
            end: end?,
            interval: interval?,
            timezone: timezone.unwrap_or_else(TimeZone::utc),
            customer_ids,
            external_customer_ids: query.strings("external_customer_id"),
            customer_aggregation,
            metadata: metadata_conditions(query),
        })
    }

    /// What to answer if the end is before the start or the span is beyond the interval's limit
    /// (semantics section 8): days between the two calendar dates, each as it was written.
    #[must_use]
    pub fn span_error(&self) -> Option<ValidationFailure> {
        span_error(&Loc::QUERY, &self.start, &self.end, self.interval)
    }
}

/// See [`QuantitiesParams::span_error`].
pub(crate) fn span_error(
    loc: &Loc<'_>,
    start: &AwareDateTime,
    end: &AwareDateTime,
    interval: Interval,
) -> Option<ValidationFailure> {
    let days_max = match interval {
        Interval::Hour => 7,
        Interval::Day => 366,
        Interval::Week => 371,
        Interval::Month => 1460,
        Interval::Year => 3650,
    };
    let days = end.civil_date_days() - start.civil_date_days();
    if end.timestamp() >= start.timestamp() && days <= days_max {
        return None;
    }
    let violation = Violation::plain(
        "value_error",
        "The interval is too small for the given date range. \
         Use a larger interval or reduce the date range.",
    );
    let input = Json::Array(vec![
        Json::Str(start.isoformat().into()),
        Json::Str(end.isoformat().into()),
        Json::Str(interval.as_str().into()),
    ]);
    Some(ValidationFailure::business(loc, violation, &input))
}

/// The parameter `interval`.
pub(crate) fn interval(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Interval> {
    let options = Interval::ALL.map(|interval| (interval.as_str(), interval));
    scalar::enum_value(json, loc, errors, &options)
}

/// The parameter `start_timestamp`.
pub(crate) fn start(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<AwareDateTime> {
    let start = scalar::aware_datetime(json, loc, errors)?;
    let earliest = Timestamp::from_micros(QUANTITIES_START_MIN_MICROS)?;
    if start.timestamp() < earliest {
        errors.push(loc, errors::greater_than_equal_instant(earliest), json);
        return None;
    }
    Some(start)
}

/// The parameter `timezone`.
pub(crate) fn timezone(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<TimeZone> {
    let name = scalar::sized_string(json, loc, errors, 1, usize::MAX)?;
    let zone = TimeZone::named(name);
    if zone.is_none() {
        errors.push(loc, errors::time_zone_name(), json);
    }
    zone
}

/// The parameter `customer_id` of lists and quantities.
pub(crate) fn customer_ids(query: &QueryParams, errors: &mut Errors) -> Option<Vec<CustomerId>> {
    let ids = query.uuids("customer_id", errors)?;
    Some(ids.into_iter().map(CustomerId).collect())
}

/// A series of quantities.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeterQuantities {
    /// Ascending by time, at least one.
    pub quantities: Vec<MeterQuantity>,
    /// Of the covered period; not always the sum of the quantities.
    pub total: f64,
}

/// The quantity of one point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MeterQuantity {
    /// The point, aligned to the start of the request.
    #[serde(serialize_with = "display")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub timestamp: Timestamp,
    /// Of the calendar interval that the point lies in; 0.0 if nothing was used.
    pub quantity: f64,
}

impl From<&floe_core::MeterQuantities> for MeterQuantities {
    fn from(answer: &floe_core::MeterQuantities) -> Self {
        let point = |point: &floe_core::MeterQuantity| MeterQuantity {
            timestamp: point.timestamp,
            quantity: point.quantity,
        };
        Self { quantities: answer.quantities.iter().map(point).collect(), total: answer.total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::json_text;

    const SPAN: &str = "start_timestamp=2024-03-01T00:00:00Z&end_timestamp=2024-03-03T00:00:00Z";

    fn read(raw: &str) -> Result<QuantitiesParams, String> {
        let mut errors = Errors::new();
        let params = QuantitiesParams::parse(&QueryParams::parse(raw), &mut errors);
        assert_eq!(params.is_none(), !errors.is_empty(), "{raw}");
        params.ok_or_else(|| serde_json::to_string(errors.items()).unwrap())
    }

    #[test]
    fn three_parameters_are_needed() {
        assert_eq!(
            read("").unwrap_err(),
            r#"[{"type":"missing","loc":["query","start_timestamp"],"msg":"Field required","input":null},{"type":"missing","loc":["query","end_timestamp"],"msg":"Field required","input":null},{"type":"missing","loc":["query","interval"],"msg":"Field required","input":null}]"#
        );
    }

    #[test]
    fn a_request_has_defaults() {
        let params = read(&format!("{SPAN}&interval=day")).unwrap();
        assert_eq!(params.timezone, TimeZone::utc());
        assert_eq!(params.interval, Interval::Day);
        assert_eq!((params.customer_ids, params.external_customer_ids), (None, None));
        let params = read(&format!(
            "{SPAN}&interval=hour&timezone=US/Pacific&external_customer_id=a&external_customer_id=b\
             &customer_id=36f675cc-81e7-4ef5-a8e2-5d940ed90475&customer_aggregation_function=avg\
             &metadata[plan]=pro"
        ))
        .unwrap();
        assert_eq!(params.timezone.name(), "US/Pacific");
        assert_eq!(params.customer_ids.map(|ids| ids.len()), Some(1));
        assert_eq!(params.external_customer_ids, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(params.customer_aggregation, Some(AggregationFunction::Avg));
        assert_eq!(params.metadata[0].key, "plan");
    }

    #[test]
    fn parameters_are_checked_one_by_one() {
        for (raw, kind, name) in [
            ("&interval=minute", "enum", "\"interval\""),
            ("&interval=", "enum", "\"interval\""),
            ("&interval=day&timezone=", "string_too_short", "\"timezone\""),
            ("&interval=day&timezone=europe/paris", "TimeZoneName", "\"timezone\""),
            ("&interval=day&customer_id=nope", "uuid_parsing", "\"customer_id\",0"),
            (
                "&interval=day&customer_aggregation_function=median",
                "enum",
                "\"customer_aggregation_function\"",
            ),
            (
                "&interval=day&start_timestamp=2022-12-31T23:59:59.999999Z",
                "greater_than_equal",
                "\"start_timestamp\"",
            ),
            ("&interval=day&end_timestamp=x", "datetime_from_date_parsing", "\"end_timestamp\""),
        ] {
            let errors = read(&format!("{SPAN}{raw}")).unwrap_err();
            let expected = format!(r#"[{{"type":"{kind}","loc":["query",{name}],"#);
            assert!(errors.starts_with(&expected), "{raw}: {errors}");
        }
        read(&format!("{SPAN}&interval=day&start_timestamp=2023-01-01T01:00:00%2B01:00")).unwrap();
    }

    #[track_caller]
    fn check_span(start: &str, end: &str, interval: &str, is_allowed: bool) {
        let encoded = |text: &str| text.replace('+', "%2B");
        let params = read(&format!(
            "start_timestamp={}&end_timestamp={}&interval={interval}",
            encoded(start),
            encoded(end)
        ));
        let error = params.unwrap().span_error();
        assert_eq!(error.is_none(), is_allowed, "{start} {end} {interval}");
    }

    #[test]
    fn a_span_has_limits_in_calendar_days_as_written() {
        check_span("2024-01-01T00:00:00Z", "2024-01-08T23:59:59Z", "hour", true);
        check_span("2024-01-01T23:00:00Z", "2024-01-09T00:00:00Z", "hour", false);
        check_span("2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "day", true);
        check_span("2024-01-01T00:00:00Z", "2025-01-02T00:00:00Z", "day", false);
        check_span("2024-01-01T00:00:00Z", "2025-01-06T00:00:00Z", "week", true);
        check_span("2024-01-01T00:00:00Z", "2025-01-07T00:00:00Z", "week", false);
        check_span("2023-01-01T00:00:00Z", "2026-12-31T00:00:00Z", "month", true);
        check_span("2023-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "month", false);
        check_span("2023-01-01T00:00:00Z", "2032-12-29T00:00:00Z", "year", true);
        check_span("2023-01-01T00:00:00Z", "2032-12-30T00:00:00Z", "year", false);
        // One instant more, but one date less.
        check_span("2024-01-01T00:00:00-10:00", "2024-01-08T23:00:00-10:00", "hour", true);
        check_span("2024-01-01T00:00:00+14:00", "2024-01-08T23:00:00-12:00", "hour", true);
        check_span("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "hour", true);
        check_span("2024-01-01T00:00:00Z", "2023-12-31T23:59:59Z", "year", false);
        check_span("2024-03-01T01:00:00-10:00", "2024-03-01T23:00:00+14:00", "day", false);
    }

    #[test]
    fn a_span_error_is_as_recorded() {
        let params = read(
            "start_timestamp=2024-01-01T00:00:00Z&end_timestamp=2024-01-31T00:00:00Z&interval=hour",
        );
        assert_eq!(
            json_text(&params.unwrap().span_error().unwrap()),
            r#"{"error":"PolarRequestValidationError","detail":[{"type":"value_error","loc":["query"],"msg":"The interval is too small for the given date range. Use a larger interval or reduce the date range.","input":["2024-01-01T00:00:00+00:00","2024-01-31T00:00:00+00:00","hour"]}]}"#
        );
    }

    #[test]
    fn an_answer_shows_floats() {
        let timestamp = Timestamp::from_micros(1_704_067_200_123_000).unwrap();
        let point = |quantity| floe_core::MeterQuantity { timestamp, quantity };
        let answer = floe_core::MeterQuantities {
            quantities: vec![point(0.0), point(0.1 + 0.2)],
            total: 10.0,
        };
        assert_eq!(
            json_text(&MeterQuantities::from(&answer)),
            r#"{"quantities":[{"timestamp":"2024-01-01T00:00:00.123000Z","quantity":0.0},{"timestamp":"2024-01-01T00:00:00.123000Z","quantity":0.30000000000000004}],"total":10.0}"#
        );
    }
}
