//! Rows of an input as events, whatever its format.

use super::ids::Ids;

/// Bytes of an event on the wire.
pub(super) const LINE_BYTES_MAX: usize = 1024 * 1024;

/// What became of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is an event, whose JSON text was written.
    Event,
    /// It is none.
    Refused(Refused),
}

/// A row that is no event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Why.
    pub(super) reason: String,
    /// The row, as JSON text.
    pub(super) row: String,
}

/// The rows of an input.
pub(super) trait Rows {
    /// Writes the next row's event, without an end of line; says its number, from 1, which is that
    /// of its line if it has one. `None` at the end.
    ///
    /// # Errors
    ///
    /// The input cannot be read on, or not as it was asked to be.
    fn next(&mut self, ids: &mut Ids, out: &mut Vec<u8>) -> anyhow::Result<Option<(u64, Outcome)>>;
}
