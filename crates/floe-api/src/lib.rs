//! Floe's JSON as it stands on the wire, and its conversions to the domain.
//!
//! [`json`] is a borrowed tree of a request; [`scalar`], [`query`] and [`errors`] read and refuse as
//! the contract says; one module a resource holds its requests and answers.

pub mod customer;
pub mod customer_meter;
pub mod customer_quantity;
pub mod errors;
pub mod event;
pub mod event_meter;
pub mod event_property;
pub mod event_totals;
pub mod event_type;
mod fields;
pub mod json;
pub mod metadata;
pub mod meter;
pub mod meter_preview;
pub mod organization;
pub mod page;
pub mod quantity;
pub mod query;
pub mod scalar;
mod scan;
#[cfg(feature = "openapi")]
pub mod schema;
mod serialize;
pub mod system;
pub mod token;
mod wire;
pub use customer::Customer;
pub use customer_meter::CustomerMeter;
pub use customer_quantity::CustomerQuantity;
pub use organization::Organization;
pub use page::Page;
pub use token::AccessToken;
pub use wire::WireTimestamp;

pub use event::{
    Event, EventContext, EventLine, EventName, EventNamesParams, EventsListParams, IngestRequest,
    IngestResponse, UsualLines,
};
pub use meter::{Meter, MeterCreate, MeterUpdate, MetersListParams};
pub use quantity::{MeterQuantities, MeterQuantity, QuantitiesParams};
