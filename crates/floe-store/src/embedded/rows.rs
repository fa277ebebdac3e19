//! Events as rows of columns, wherever they are: in memory, or in a sealed segment.

use floe_core::{CustomerRef, EventSource, Metadata, NewEvent, Sequence, Timestamp, Value};

use super::chunk::{self, Chunk, Row};
use super::segment::{Batch, SealedSlot};

/// Some consecutive events of one organization.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rows<'r> {
    /// In memory.
    Tail(&'r Chunk),
    /// In a segment. What cannot be read looks absent: see [`Batch::check`].
    Sealed(&'r Batch),
}

/// Where a property stands in the rows of one shape.
#[derive(Debug, Clone)]
pub(super) enum Slot {
    /// In memory.
    Tail(chunk::Slot),
    /// In a segment.
    Sealed(SealedSlot),
}

impl<'r> Rows<'r> {
    /// Number of events.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Tail(chunk) => chunk.len(),
            Self::Sealed(batch) => batch.len(),
        }
    }

    /// How many shapes the events have.
    pub(super) fn shape_count(self) -> usize {
        match self {
            Self::Tail(chunk) => chunk.shape_count(),
            Self::Sealed(_) => 1,
        }
    }

    /// The shape of a row.
    pub(super) fn shape_of(self, row: Row) -> usize {
        match self {
            Self::Tail(chunk) => chunk.shape_of(row),
            Self::Sealed(_) => 0,
        }
    }

    /// The names that occur, by code, with the source of their events; also some that do not.
    pub(super) fn names(self) -> &'r [(EventSource, Box<str>)] {
        match self {
            Self::Tail(chunk) => chunk.names(),
            Self::Sealed(batch) => batch.names(),
        }
    }

    /// The code of a row's name and source.
    pub(super) fn name_code_of(self, row: Row) -> u32 {
        match self {
            Self::Tail(chunk) => chunk.name_code_of(row),
            Self::Sealed(batch) => batch.name_code_of(row),
        }
    }

    /// A row's source and name.
    pub(super) fn name(self, row: Row) -> &'r (EventSource, Box<str>) {
        &self.names()[self.name_code_of(row) as usize]
    }

    /// The customers that occur, by code.
    pub(super) fn customers(self) -> &'r [CustomerRef<'static>] {
        match self {
            Self::Tail(chunk) => chunk.customers(),
            Self::Sealed(batch) => batch.customers(),
        }
    }

    /// The code of a row's customer.
    pub(super) fn customer_code_of(self, row: Row) -> u32 {
        match self {
            Self::Tail(chunk) => chunk.customer_code_of(row),
            Self::Sealed(batch) => batch.customer_code_of(row),
        }
    }

    /// A row's customer.
    pub(super) fn customer(self, row: Row) -> CustomerRef<'r> {
        match self {
            Self::Tail(chunk) => chunk.customer(row).borrowed(),
            Self::Sealed(batch) => batch.customer(row),
        }
    }

    /// A row's event timestamp in microseconds.
    pub(super) fn micros(self, row: Row) -> i64 {
        match self {
            Self::Tail(chunk) => chunk.micros(row),
            Self::Sealed(batch) => batch.micros(row),
        }
    }

    /// The event timestamps of all rows in microseconds; none if they cannot be read.
    pub(super) fn all_micros(self) -> &'r [i64] {
        match self {
            Self::Tail(chunk) => chunk.all_micros(),
            Self::Sealed(batch) => batch.all_micros(),
        }
    }

    /// A row's event timestamp.
    pub(super) fn timestamp(self, row: Row) -> Timestamp {
        Timestamp::from_micros(self.micros(row)).unwrap_or(Timestamp::MAX)
    }

    /// A row's time of ingestion.
    pub(super) fn ingested_at(self, row: Row) -> Timestamp {
        match self {
            Self::Tail(chunk) => chunk.ingested_at(row),
            Self::Sealed(batch) => {
                Timestamp::from_micros(batch.ingested_micros(row)).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// A row's sequence number.
    pub(super) fn sequence(self, row: Row) -> Sequence {
        match self {
            Self::Tail(chunk) => chunk.sequence(row),
            Self::Sealed(batch) => batch.sequence(row),
        }
    }

    /// A row's external id.
    pub(super) fn external_id(self, row: Row) -> Option<&'r str> {
        match self {
            Self::Tail(chunk) => chunk.external_id(row),
            Self::Sealed(batch) => batch.external_id(row),
        }
    }

    /// A row's parent, as ingested.
    pub(super) fn parent_id(self, row: Row) -> Option<&'r str> {
        match self {
            Self::Tail(chunk) => chunk.parent_id(row),
            Self::Sealed(batch) => batch.parent_id(row),
        }
    }

    /// Where a property stands in the events of a shape.
    pub(super) fn resolve(self, shape: usize, path: &[String]) -> Slot {
        match self {
            Self::Tail(chunk) => Slot::Tail(chunk.resolve(shape, path)),
            Self::Sealed(batch) => Slot::Sealed(batch.resolve(path)),
        }
    }

    /// The value of a row at a slot of its shape.
    pub(super) fn value(self, row: Row, slot: &Slot) -> Option<Value<'r>> {
        match (self, slot) {
            (Self::Tail(chunk), Slot::Tail(slot)) => chunk.value(row, slot),
            (Self::Sealed(batch), Slot::Sealed(slot)) => batch.value(row, slot),
            // A slot is only ever used with the rows that it was resolved for.
            (Self::Tail(_), Slot::Sealed(_)) | (Self::Sealed(_), Slot::Tail(_)) => None,
        }
    }

    /// A row's metadata.
    pub(super) fn metadata(self, row: Row) -> Metadata<'r> {
        match self {
            Self::Tail(chunk) => chunk.metadata(row),
            Self::Sealed(batch) => batch.metadata(row),
        }
    }

    /// A row as the event that it was.
    pub(super) fn event(self, row: Row) -> NewEvent<'r> {
        match self {
            Self::Tail(chunk) => chunk.event(row),
            Self::Sealed(batch) => batch.event(row),
        }
    }
}
