//! `driftqd`, a server that a test can start too.
//!
//! Promise: this crate alone knows both the wire and the broker. A handler extracts, converts, calls the engine and
//! converts again; what may cost a stranger memory or time has a bound here. It decides nothing about messages or runs.

mod access;
mod answer;
mod app;
mod broker;
mod config;
mod config_file;
mod convert;
mod courtesy;
mod extract;
mod gate;
mod guard;
mod handlers;
pub mod healthcheck;
mod json;
pub mod logging;
mod metrics;
mod ndjson;
mod openapi;
mod operator;
mod problem;
mod render;
mod routes;
mod seek;
mod server;
mod shelf;
mod sse;
mod system;
mod tls;

pub use access::TokenFileError;
pub use config::{Cli, Config, LogFormat, OptionsError, Task, parse, print_config};
pub use config_file::ConfigFileError;
pub use server::{Server, ServerError};
pub use tls::TlsError;

/// The OpenAPI document of this release, as `spec/openapi.json` has it.
#[must_use]
pub fn openapi_document() -> String {
    openapi::document()
}
