//! The bare echo: what axum and JSON cost without a broker, in a process of its own.

use std::path::Path;

use axum::{Json, Router};
use serde_json::Value;
use tokio::{net::TcpListener, process::Command};

use crate::{BenchError, Daemon};

/// What the echo says before its address.
pub const SAYS: &str = "echo listens on";

/// Answers every POST with the JSON it brought, until the process is killed; `say` gets the address.
///
/// # Errors
///
/// [`BenchError::Io`] when it cannot listen.
pub async fn serve(say: impl FnOnce(String)) -> Result<(), BenchError> {
    let listening = || BenchError::io("listening");
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(listening())?;
    let address = listener.local_addr().map_err(listening())?;
    say(format!("{SAYS} {address}"));
    let router = Router::new().fallback(async |Json(value): Json<Value>| Json(value));
    axum::serve(listener, router).await.map_err(listening())
}

/// Starts this program again as an echo.
pub(super) async fn spawn(folder: &Path) -> Result<Daemon, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
    let mut command = Command::new(own);
    command.arg("echo");
    Daemon::spawn_command(command, &folder.join("echo.log")).await
}
