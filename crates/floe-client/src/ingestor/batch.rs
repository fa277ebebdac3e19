//! What goes into one call.

use std::collections::BTreeMap;

use super::{BODY_BYTES_EXTRA, Item, Refused};
use crate::error::{Error, LocPart, Violation};
use crate::event_create::EventCreate;
use crate::events::BODY_BYTES_MAX;

/// The body of these events.
pub(super) fn body(items: &[Item]) -> Vec<u8> {
    let bytes: usize = items.iter().map(|item| item.json.len() + 1).sum();
    let mut body = Vec::with_capacity(bytes + BODY_BYTES_EXTRA);
    body.extend_from_slice(br#"{"events":["#);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&item.json);
    }
    body.extend_from_slice(b"]}");
    body
}

/// Whether one more event fits in a body that has so many bytes of events.
pub(super) fn fits(bytes: usize, item: &Item) -> bool {
    bytes + item.json.len() + 1 + BODY_BYTES_EXTRA <= BODY_BYTES_MAX
}

/// Violations by the position of their event; `None` if one is of no event of these.
pub(super) fn by_event(
    violations: &[Violation],
    events: usize,
) -> Option<BTreeMap<usize, Vec<Violation>>> {
    let mut found: BTreeMap<usize, Vec<Violation>> = BTreeMap::new();
    for violation in violations {
        let [LocPart::Key(body), LocPart::Key(key), LocPart::Index(index), ..] =
            violation.loc.as_slice()
        else {
            return None;
        };
        let index = usize::try_from(*index).ok().filter(|index| *index < events)?;
        if body != "body" || key != "events" {
            return None;
        }
        let mut violation = violation.clone();
        violation.loc[2] = LocPart::Index(0);
        found.entry(index).or_default().push(violation);
    }
    (!found.is_empty()).then_some(found)
}

/// Whether all that is wrong is that the timestamp is not in the past.
pub(super) fn is_only_early(violations: &[Violation]) -> bool {
    violations.iter().all(|violation| {
        let is_timestamp =
            violation.loc.last().is_some_and(|last| *last == LocPart::Key("timestamp".to_owned()));
        is_timestamp && violation.kind == "value_error"
    })
}

/// Takes our timestamp off an event, so that the server's clock gives one.
pub(super) fn unstamp(item: &mut Item) {
    let event = serde_json::from_slice::<EventCreate>(&item.json);
    let json = event.ok().and_then(|event| event.without_timestamp().to_json().ok());
    if let Some(json) = json {
        item.json = json;
    }
    item.is_stamped = false;
}

/// What is told of a refused event.
pub(super) fn refused(item: &Item, reason: Error) -> Option<Refused> {
    // It was written by us, so it can be read.
    let event = serde_json::from_slice(&item.json).ok()?;
    Some(Refused { event, reason })
}
