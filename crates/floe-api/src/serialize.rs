//! How single values of answers are written (contract section 1.5).

use std::fmt::Display;

use floe_core::{EventSource, MeterUnit};
use serde::Serializer;

/// Ids and timestamps, as strings.
pub(crate) fn display<T: Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Ids and timestamps that may be null.
pub(crate) fn optional_display<T: Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

pub(crate) fn source<S: Serializer>(
    source: &EventSource,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(source.as_str())
}

pub(crate) fn unit<S: Serializer>(unit: &MeterUnit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(unit.as_str())
}
