//! Floe's HTTP server: authenticate, parse once into domain types, ask the store, answer.

mod app;
mod auth;
mod backend;
mod config;
mod connection;
mod dashboard;
mod docs_page;
mod encoding;
mod error;
mod extract;
mod latency;
mod lines;
mod openapi;
mod routes;
mod secret;
mod serve;
mod slots;
mod telemetry;

pub use config::{Config, ConfigError, ConfigFile, LogFormat};
pub use secret::root_token as new_root_token;
pub use serve::{MadeSecrets, ServeError, Server};
pub use telemetry::init_logs;
