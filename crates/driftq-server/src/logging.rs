//! Logs by `tracing`: text for people on a terminal, otherwise a JSON object a line.

use crate::config::{Config, LogFormat};
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error.
///
/// # Errors
///
/// When the level is none.
pub fn start(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log_level)
        .map_err(|_| format!("--log-level {:?} is not a level such as info or debug", config.log_level))?;
    let is_terminal = std::io::stderr().is_terminal();
    let format = config.log_format.unwrap_or(if is_terminal { LogFormat::Text } else { LogFormat::Json });
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let started = match format {
        LogFormat::Text => logs.with_ansi(is_terminal).try_init(),
        LogFormat::Json => {
            logs.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
        }
    };
    started.map_err(|error| format!("logging cannot start: {error}"))
}
