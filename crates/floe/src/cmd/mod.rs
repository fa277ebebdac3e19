//! The commands, one file each.

pub(crate) mod backup;
pub(crate) mod customer_meters;
pub(crate) mod customers;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod meters;
pub(crate) mod organizations;
pub(crate) mod quickstart;
pub(crate) mod restore;
pub(crate) mod root_token;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod stats;
pub(crate) mod tokens;
pub(crate) mod verify;
