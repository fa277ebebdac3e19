//! Every bound, with its unit, in one place.

/// One request body, in bytes, after decompression (contract section 1.4). There is no limit on
/// the number of events besides it.
pub const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Digits of an integer in event metadata (semantics section 3).
pub const INTEGER_DIGITS_MAX: usize = 4300;
/// Digits behind the point of `_cost.amount` (contract section 4.1).
pub const COST_DECIMAL_PLACES_MAX: u8 = 12;
/// Digits of `_cost.amount` in all (contract section 4.1).
pub const COST_DIGITS_MAX: u8 = 17;
/// Code points of an event's name.
pub const EVENT_NAME_CHARS_MAX: usize = 128;
/// Code points of a string in event metadata, and in that of meters and customers.
pub const METADATA_STRING_CHARS_MAX: usize = 500;
/// Keys in the metadata of a meter or customer (contract section 1.13).
pub const METADATA_KEYS_MAX: usize = 50;
/// Code points of a key in the metadata of a meter or customer.
pub const METADATA_KEY_CHARS_MAX: usize = 40;
/// Code points of a meter's name, at least.
pub const METER_NAME_CHARS_MIN: usize = 3;
/// Nesting of event metadata. What can be ingested nests once; stored values are read up to here.
pub const METADATA_LEVELS_MAX: usize = 64;
/// Code points of a filter clause's text.
pub const CLAUSE_VALUE_CHARS_MAX: usize = 1000;
/// Nesting of filters, the outermost included (contract section 2.1).
pub const FILTER_LEVELS_MAX: usize = 64;
/// Code points of a customer's name.
pub const CUSTOMER_NAME_CHARS_MAX: usize = 256;
/// Code points of an organization's name.
pub const ORGANIZATION_NAME_CHARS_MAX: usize = 128;
/// Bytes of an organization's slug.
pub const ORGANIZATION_SLUG_BYTES_MAX: usize = 64;
/// Code points of an event type's label.
pub const LABEL_CHARS_MAX: usize = 128;
/// Code points of an event type's label property selector.
pub const LABEL_PROPERTY_SELECTOR_CHARS_MAX: usize = 256;
/// Items on a list page (contract section 1.9): larger limits are clamped to it.
pub const PAGE_ITEMS_MAX: u64 = 100;
/// Code points of a text search over events, at least (contract section 4.2).
pub const EVENT_QUERY_CHARS_MIN: usize = 3;
/// Units of one credit, either way (they are a 32-bit integer in Polar).
pub const CREDIT_UNITS_MAX: i64 = i32::MAX as i64;
/// Characters of the root token, at least.
pub const ROOT_TOKEN_CHARS_MIN: usize = 16;
/// 2023-01-01T00:00:00Z, the earliest start of quantities (semantics section 8), in microseconds.
pub const QUANTITIES_START_MIN_MICROS: i64 = 1_672_531_200_000_000;
