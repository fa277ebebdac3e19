//! The embedded engine through the storage port: its answers, its promises and its refusals.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "a test fails by panicking, its numbers are small, and bits are compared"
)]

mod agrees;
mod backup;
mod concurrency;
mod customer_quantities;
mod faults;
mod generate;
mod parents;
#[path = "../../../floe-core/tests/recorded/mod.rs"]
mod recorded;
mod simulation;
mod support;
mod verify;
