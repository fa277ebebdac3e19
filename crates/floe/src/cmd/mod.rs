//! The commands, one file each.

pub(crate) mod backup;
pub(crate) mod organizations;
pub(crate) mod restore;
pub(crate) mod root_token;
pub(crate) mod serve;
pub(crate) mod stats;
pub(crate) mod tokens;
pub(crate) mod verify;
