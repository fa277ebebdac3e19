//! Which storage backend serves. The only file that names one.

use floe_store::embedded::EmbeddedStore;

/// The backend. It becomes an enum when there is a second one.
pub(crate) type Backend = EmbeddedStore;
