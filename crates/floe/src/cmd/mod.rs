//! The commands, one file each.

pub(crate) mod organizations;
pub(crate) mod root_token;
pub(crate) mod serve;
pub(crate) mod tokens;
