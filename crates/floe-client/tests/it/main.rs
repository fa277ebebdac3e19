//! The client against answers that were recorded or scripted.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod ingestor;
mod polar;
mod responder;
mod retries;
