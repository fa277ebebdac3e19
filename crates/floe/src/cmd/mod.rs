//! The commands, one file each.

pub(crate) mod root_token;
pub(crate) mod serve;
