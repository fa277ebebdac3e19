//! Black-box tests: the built binary, over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bounds;
mod bulk;
mod cli;
mod cli_api;
mod client;
mod conformance;
mod customer_meters;
mod customers;
mod dashboard;
mod errors;
mod event_meters;
mod event_properties;
mod event_stream;
mod event_totals;
mod event_types;
mod events;
mod events_export;
mod export;
mod harness;
mod hostile;
mod import;
mod isolation;
mod meter_customers;
mod meter_preview;
mod meters;
mod organizations_tokens;
mod pagination_sorting;
mod restart;

mod system;
mod wire;
