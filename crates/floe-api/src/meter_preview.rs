//! `POST /v1/meters/preview` on the wire: Floe's own route.

use floe_core::{
    Aggregation, Clause, ClauseValue, EventFields, Filter, FilterClause, Interval, Judgement,
    Measure, Mismatch, NewEvent, Number, Operator, Property, TimeZone, Value, judge,
};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::errors::{Errors, Loc, ValidationFailure};
use crate::fields::Fields;
use crate::json::Json;
use crate::metadata::WireValue;
use crate::meter::{parse_aggregation, parse_filter};
use crate::quantity::{interval, span_error, start, timezone};
use crate::scalar::{self, AwareDateTime, IntBounds};

/// Events that are shown unless the request says otherwise, and at most.
const LIMIT_DEFAULT: u64 = 20;
const LIMIT_MAX: i64 = 100;
/// Characters of a value that a reason repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// A meter that is to be tried out before it is saved.
#[derive(Debug, Clone, PartialEq)]
pub struct MeterPreviewCreate {
    /// Which events it counts.
    pub filter: Filter,
    /// What it computes from them.
    pub aggregation: Aggregation,
    /// Whose events: needed with the root token, not allowed with an organization's.
    pub organization_id: Option<Uuid>,
    /// Not before 2023.
    pub start: Option<AwareDateTime>,
    /// Not before `start` unless [`span_error`](Self::span_error) says so.
    pub end: Option<AwareDateTime>,
    /// The unit of the points.
    pub interval: Option<Interval>,
    /// Whose calendar it is.
    pub timezone: TimeZone,
    /// How many events are shown.
    pub limit: u64,
}

impl MeterPreviewCreate {
    /// Reads a body; `None` after adding errors.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let before = errors.len();
        let filter = fields.required("filter", errors, parse_filter);
        let aggregation = fields.required("aggregation", errors, parse_aggregation);
        let organization_id = fields.optional("organization_id", errors, scalar::uuid4);
        let start = fields.optional("start_timestamp", errors, start);
        let end = fields.optional("end_timestamp", errors, scalar::aware_datetime);
        let interval = fields.optional("interval", errors, interval);
        let timezone = fields.optional("timezone", errors, timezone);
        let limit = fields.optional("limit", errors, |json, loc, errors| {
            let bounds = IntBounds { ge: Some(1), le: Some(LIMIT_MAX), ..IntBounds::default() };
            scalar::int_within(json, loc, errors, bounds)
        });
        if errors.len() > before {
            return None;
        }
        Some(Self {
            filter: filter?,
            aggregation: aggregation?,
            organization_id,
            start,
            end,
            interval,
            timezone: timezone.unwrap_or_else(TimeZone::utc),
            limit: limit.and_then(|limit| u64::try_from(limit).ok()).unwrap_or(LIMIT_DEFAULT),
        })
    }

    /// The series that quantities are wanted for, if all that makes one is given.
    #[must_use]
    pub fn series(&self) -> Option<(AwareDateTime, AwareDateTime, Interval)> {
        Some((self.start?, self.end?, self.interval?))
    }

    /// What to answer if the end is before the start or the span is beyond the interval's limit,
    /// as for quantities.
    #[must_use]
    pub fn span_error(&self) -> Option<ValidationFailure> {
        let (start, end, interval) = self.series()?;
        span_error(&Loc::BODY, &start, &end, interval)
    }

    /// Whether an event counts on this meter.
    #[must_use]
    pub fn counts(&self, event: &NewEvent<'_>) -> bool {
        matches!(judge(&self.filter, &self.aggregation, event), Judgement::Counts(_))
    }

    /// What becomes of an event on this meter.
    #[must_use]
    pub fn verdict<'e>(&self, event: &'e NewEvent<'_>) -> Verdict<'e> {
        let left_out = |part, clause, text| Verdict {
            matches: false,
            value: None,
            reason: Some(PreviewReason { part, clause, text }),
        };
        match judge(&self.filter, &self.aggregation, event) {
            Judgement::Counts(measure) => {
                Verdict { matches: true, value: contribution(measure), reason: None }
            }
            Judgement::CreditOrReset => {
                let text = "Credits and resets are no usage.".to_owned();
                left_out(ReasonPart::Event, Vec::new(), text)
            }
            Judgement::Filtered(place) => {
                let text = failing_text(&self.filter, &place, event);
                left_out(ReasonPart::Filter, place, text)
            }
            Judgement::NoNumber => {
                left_out(ReasonPart::Aggregation, Vec::new(), self.no_number_text(event))
            }
        }
    }

    fn no_number_text(&self, event: &NewEvent<'_>) -> String {
        let property = self.aggregation.property_text().unwrap_or_default();
        let function = self.aggregation.function().as_str();
        let shown = self.aggregation.property().and_then(|property| shown_value(property, event));
        match shown {
            Some(value) => format!("`{property}` is {value}: no number for {function}."),
            None => format!("There is no `{property}` for {function}."),
        }
    }
}

/// What becomes of an event on a meter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict<'e> {
    /// Whether it counts.
    pub matches: bool,
    /// What it contributes, if it counts.
    #[serde(serialize_with = "optional_value")]
    pub value: Option<Value<'e>>,
    /// Why it does not count.
    pub reason: Option<PreviewReason>,
}

/// What leaves an event out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReasonPart {
    /// The filter does not hold.
    Filter,
    /// The filter holds, but the property that is aggregated is no number.
    Aggregation,
    /// It is a credit or a reset, which no meter counts.
    Event,
}

/// Why an event does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewReason {
    /// What leaves it out.
    pub part: ReasonPart,
    /// Which clause does not hold: its position in `filter.clauses`, then that in the clauses of
    /// what stands there, and so on. Of alternatives none of which holds it is the filter that has
    /// them. Empty if that is the whole filter, and if it is not the filter that leaves the event
    /// out.
    pub clause: Vec<usize>,
    /// The same for people.
    pub text: String,
}

/// What an event that counts contributes, as a value.
pub(crate) fn contribution(measure: Measure<'_>) -> Option<Value<'_>> {
    match measure {
        Measure::Event => Some(Value::Number(Number::Int(1))),
        Measure::Number(number) => Some(Value::Number(number)),
        Measure::Value(value) => Some(value),
        Measure::Nothing => None,
    }
}

pub(crate) fn optional_value<S: Serializer>(
    value: &Option<Value<'_>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    value.as_ref().map(WireValue).serialize(to)
}

fn failing_text(filter: &Filter, place: &[usize], event: &NewEvent<'_>) -> String {
    let alternatives = match filter.at(place) {
        Some(Clause::Leaf(clause)) => return clause_text(clause, event),
        Some(Clause::Filter(inner)) => inner.clauses.len(),
        None => filter.clauses.len(),
    };
    format!("None of {alternatives} alternatives holds.")
}

fn clause_text(clause: &FilterClause, event: &NewEvent<'_>) -> String {
    let property = clause.property_text();
    let Some(value) = shown_value(clause.property(), event) else {
        return format!("There is no `{property}`.");
    };
    let wanted = match clause.value() {
        ClauseValue::Text(text) => quoted(text),
        ClauseValue::Int(value) => value.to_string(),
        ClauseValue::Bool(value) => value.to_string(),
    };
    if clause.mismatch(event) == Some(Mismatch::NotComparable) {
        return format!("`{property}` is {value}, which is not compared with {wanted}.");
    }
    let rest = match clause.operator() {
        Operator::Eq => format!("not {wanted}"),
        Operator::Ne => "which is left out".to_owned(),
        Operator::Gt => format!("not greater than {wanted}"),
        Operator::Gte => format!("not {wanted} or more"),
        Operator::Lt => format!("not less than {wanted}"),
        Operator::Lte => format!("not {wanted} or less"),
        Operator::Like => format!("without {wanted} in it"),
        Operator::NotLike => format!("with {wanted} in it"),
    };
    format!("`{property}` is {value}, {rest}.")
}

/// A property's value as people write it, shortened; `None` if it is not there.
fn shown_value(property: &Property, event: &NewEvent<'_>) -> Option<String> {
    Some(match property {
        Property::Name => quoted(&event.name),
        Property::Source => quoted(event.source.as_str()),
        Property::Timestamp => event.timestamp.epoch_seconds().to_string(),
        Property::Metadata(path) => match event.property(path)? {
            Value::String(text) => quoted(&text),
            Value::Null => "null".to_owned(),
            value => shortened(&value.text()?),
        },
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", shortened(text))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(feature = "openapi")]
pub use self::documentation::*;

#[cfg(feature = "openapi")]
mod documentation {
    use super::PreviewReason;
    use crate::Event;

    /// A meter that is to be tried out before it is saved.
    #[derive(Debug, utoipa::ToSchema)]
    pub struct MeterPreviewInput {
        /// Which events it counts.
        #[schema(value_type = crate::schema::Filter)]
        pub filter: serde_json::Value,
        /// What it computes from them.
        #[schema(value_type = crate::schema::Aggregation)]
        pub aggregation: serde_json::Value,
        /// Whose events: needed with the root token, not allowed with an organization's.
        #[schema(value_type = Option<String>, format = "uuid")]
        pub organization_id: Option<String>,
        /// The first point, as for quantities; with an offset. Not before 2023-01-01T00:00:00Z.
        #[schema(value_type = Option<String>, format = DateTime)]
        pub start_timestamp: Option<String>,
        /// No point is after it; with an offset.
        #[schema(value_type = Option<String>, format = DateTime)]
        pub end_timestamp: Option<String>,
        /// The unit of the points. Without it, or one of the bounds, there are no quantities.
        #[schema(value_type = Option<crate::schema::TimeInterval>)]
        pub interval: Option<String>,
        /// Whose calendar it is, by its name in the IANA database; UTC if absent.
        pub timezone: Option<String>,
        /// How many events to show.
        #[schema(minimum = 1, maximum = 100, default = 20)]
        pub limit: Option<u64>,
    }

    /// What a meter that is not saved would count.
    #[derive(Debug, utoipa::ToSchema)]
    pub struct MeterPreview {
        /// How many events were looked at: the newest 1,000, or all if there are fewer.
        pub looked_at: u64,
        /// How many of them count.
        pub matching: u64,
        /// The newest of them.
        pub events: Vec<PreviewedEvent>,
        /// What the meter's quantities would be; null if they were not asked for, or take longer
        /// than 5 seconds.
        #[schema(required = true)]
        pub quantities: Option<crate::MeterQuantities>,
    }

    /// An event, and what becomes of it.
    #[derive(Debug, utoipa::ToSchema)]
    pub struct PreviewedEvent {
        /// The event.
        pub event: Event,
        /// Whether it counts.
        pub matches: bool,
        /// What it contributes: a number, 1 for a count; for `unique` the value, null if it has
        /// none. Null if it does not count.
        #[schema(required = true)]
        pub value: Option<serde_json::Value>,
        /// Why it does not count; null if it does.
        #[schema(required = true)]
        pub reason: Option<PreviewReason>,
    }
}
