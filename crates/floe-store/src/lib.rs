//! The storage port, and the embedded engine behind it.
//!
//! [`port`] says what Floe asks of a backend; [`embedded`] is the one that keeps everything in one
//! data folder. This crate knows nothing of HTTP.

pub mod embedded;
pub mod port;
pub mod sort;
