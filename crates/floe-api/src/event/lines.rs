//! Events one by one, as lines of `POST /v1/events/bulk`: each is right or refused for itself.

use floe_core::{CustomerId, NewEvent, Timestamp};

use super::ingest::{EventReferences, IngestRequest};
use crate::errors::{self, ErrorItem, Errors, Loc, ValidationFailure};
use crate::json::{self, Json, ParseError};

/// Parts of `loc` in front of those that are about an event of a batch: `body`, `events`, index.
const BATCH_LOC_PARTS: usize = 3;
/// Parts of `loc` in front of the offset of a syntax error: `body`.
const BODY_LOC_PARTS: usize = 1;

/// An event, and the ids in it that business rules have to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct EventLine<'a> {
    /// The event.
    pub event: NewEvent<'a>,
    /// The ids; its index is 0.
    pub references: EventReferences,
}

impl EventLine<'_> {
    /// Reads the JSON text of one event. `now` is when an event without a timestamp happened, and
    /// the latest timestamp that there may be.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, as the ingestion of a batch says it, with `loc` from the event
    /// on.
    ///
    /// ```
    /// use floe_api::EventLine;
    /// let now = floe_core::Timestamp::MAX;
    /// let line = br#"{"name": "a", "external_customer_id": "x"}"#;
    /// assert_eq!(EventLine::parse(line, now).unwrap().event.name, "a");
    /// let refused = EventLine::parse(br#"{"external_customer_id": "x"}"#, now).unwrap_err();
    /// assert_eq!(refused[0].violation().kind(), "missing");
    /// ```
    pub fn parse(line: &[u8], now: Timestamp) -> Result<EventLine<'static>, Vec<ErrorItem>> {
        let json = match json::parse(line) {
            Ok(json) => json,
            Err(ParseError::NotUtf8) => return Err(not_utf8()),
            Err(error) => {
                let failure = ValidationFailure::of_body(&error);
                return Err(failure.map_or_else(not_utf8, |f| from_event(f, BODY_LOC_PARTS)));
            }
        };
        let mut errors = Errors::new();
        let events_loc = Loc::BODY.key("events");
        let parsed = IngestRequest::parse_event(&json, &events_loc.index(0), now, &mut errors);
        match parsed {
            Some((event, references)) if errors.is_empty() => {
                Ok(EventLine { event: event.into_owned(), references })
            }
            _ => Err(errors.into_items().into_iter().map(|i| i.from(BATCH_LOC_PARTS)).collect()),
        }
    }

    /// What to answer if business rules are not met, with `loc` from the event on; see
    /// [`IngestRequest::business_error`].
    #[must_use]
    pub fn business_error(
        &self,
        is_organization_token: bool,
        is_customer: impl FnMut(CustomerId) -> bool,
    ) -> Option<Vec<ErrorItem>> {
        let references = &self.references;
        if references.is_empty() {
            return None;
        }
        let request = IngestRequest { events: Vec::new(), references: vec![*references] };
        let failure = request.business_error(is_organization_token, is_customer)?;
        Some(from_event(failure, BATCH_LOC_PARTS))
    }
}

fn from_event(failure: ValidationFailure, parts: usize) -> Vec<ErrorItem> {
    failure.into_items().into_iter().map(|item| item.from(parts)).collect()
}

fn not_utf8() -> Vec<ErrorItem> {
    let violation = errors::json_invalid_body("the line is not UTF-8".to_owned());
    one(violation, &Json::Object(Vec::new()))
}

fn one(violation: errors::Violation, input: &Json<'_>) -> Vec<ErrorItem> {
    let mut errors = Errors::new();
    errors.push(&Loc::BODY, violation, input);
    errors.into_items().into_iter().map(|item| item.from(BODY_LOC_PARTS)).collect()
}

/// One error about a line as a whole.
#[must_use]
pub fn line_error(kind: &'static str, msg: String) -> Vec<ErrorItem> {
    one(errors::Violation::plain(kind, msg), &Json::Null)
}

/// One error about a member of an event.
#[must_use]
pub fn member_error(key: &str, violation: errors::Violation, input: &str) -> Vec<ErrorItem> {
    let mut errors = Errors::new();
    errors.push_text(&Loc::BODY.key(key), violation, input);
    errors.into_items().into_iter().map(|item| item.from(BODY_LOC_PARTS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::UsualLines;

    fn refusal(line: &[u8]) -> String {
        let items = EventLine::parse(line, Timestamp::MAX).unwrap_err();
        serde_json::to_string(&items).unwrap()
    }

    #[test]
    fn places_are_told_from_the_event_on() {
        let text = refusal(br#"{"name": 5, "external_customer_id": "x"}"#);
        let expected = r#"[{"type":"string_type","loc":["EventCreateExternalCustomer","name"],"msg":"Input should be a valid string","input":5}]"#;
        assert_eq!(text, expected);
        let text = refusal(br#"{"name": }"#);
        assert!(text.starts_with(r#"[{"type":"json_invalid","loc":[9],"#), "{text}");
        let text = refusal(b"{\"name\": \"\xff\"}");
        assert!(text.contains("not UTF-8") && text.contains(r#""loc":[]"#), "{text}");
        assert!(refusal(b"[]").contains("model_attributes_type"));
        assert!(refusal(b"null").contains("model_attributes_type"));
    }

    #[test]
    fn business_rules_are_told_alike() {
        let id = "0d30ad8f-3dbc-4c34-8e33-95db6d0e7b6a";
        let line = format!(r#"{{"name": "a", "customer_id": "{id}"}}"#);
        let line = EventLine::parse(line.as_bytes(), Timestamp::MAX).unwrap();
        assert!(line.business_error(true, |_| true).is_none());
        let items = line.business_error(true, |_| false).unwrap();
        let text = serde_json::to_string(&items).unwrap();
        assert!(text.contains(r#""loc":["customer_id"]"#), "{text}");
    }

    #[test]
    fn the_quick_way_reads_one_event_a_line_and_no_part_of_another() {
        let mut lines = UsualLines::new(Timestamp::MAX);
        let good = br#" {"name":"a","external_customer_id":"x","metadata":{"n":1}} "#;
        let read = lines.read(good).unwrap();
        assert_eq!(read, EventLine::parse(good, Timestamp::MAX).unwrap());
        for bad in [
            r#"{"name":"a","external_customer_id":"x"},{"name":"b","external_customer_id":"x"}"#,
            r#"{"name":"a","external_customer_id":"x"}]"#,
            r#"{"name":"a","#,
            "",
        ] {
            assert!(lines.read(bad.as_bytes()).is_none(), "{bad}");
        }
        // What was half read leaves nothing behind.
        assert!(lines.read(br#"{"name":"a","metadata":{"n":1,"m":[]}}"#).is_none());
        assert_eq!(lines.read(good).unwrap(), read);
    }
}
