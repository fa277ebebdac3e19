//! Scalars of answers, shared by all resources.

use floe_core::Timestamp;
use serde::{Serialize, Serializer};

/// An instant in UTC: `2024-01-01T00:00:00Z`, or to the microsecond `2024-01-01T00:00:00.123000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(
        as = Timestamp,
        value_type = String,
        format = DateTime,
        example = "2024-01-01T00:00:00.123000Z"
    )
)]
pub struct WireTimestamp(pub Timestamp);

impl From<Timestamp> for WireTimestamp {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp)
    }
}

impl Serialize for WireTimestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
