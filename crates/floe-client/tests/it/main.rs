//! The client against answers that were recorded or scripted, and its documentation.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod documentation;
mod ingestor;
mod polar;
mod responder;
mod retries;
