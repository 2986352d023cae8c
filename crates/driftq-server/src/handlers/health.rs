//! Whether the server lives, is ready, and which one it is.

use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::problem::Problem;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use driftq_api::{Health, Readiness, ReadyState, Version};
use driftq_engine::Phase;
use http::{StatusCode, header};

/// The commit this was built from, when the build was told.
const COMMIT: &str = match option_env!("DRIFTQ_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// `GET /v1/healthz`: the broker answers.
pub(crate) async fn healthz(Engine(_): Engine) -> Answer<Health> {
    livez().await
}

/// `GET /v1/livez`: the process answers.
pub(crate) async fn livez() -> Answer<Health> {
    ok(Health { status: "ok".to_owned() })
}

/// `GET /v1/readyz`: whether requests are welcome.
pub(crate) async fn readyz(State(app): State<App>) -> Answer<Readiness> {
    let (status, message) = match app.broker().map(driftq_engine::Broker::status) {
        None => (ReadyState::Recovering, Some("the log is being read")),
        Some(status) => match status.phase {
            Phase::Ready if status.disk_full => {
                (ReadyState::DiskFull, Some("the disk is full; reading and settling go on"))
            }
            Phase::Ready => (ReadyState::Ready, None),
            Phase::Draining | Phase::Stopped => (ReadyState::Draining, Some("the process was told to stop")),
        },
    };
    let code = if status == ReadyState::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Answer(
        code,
        Readiness {
            status,
            message: message.map(str::to_owned),
            recovery: None,
            dev_clock: app.config.dev_clock,
        },
    )
}

/// `GET /v1/version`.
pub(crate) async fn version(State(app): State<App>) -> Answer<Version> {
    ok(Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: COMMIT.to_owned(),
        wal_enabled: app.wal_enabled,
    })
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let text = crate::metrics::scrape(&app).await?;
    Ok(([(header::CONTENT_TYPE, crate::metrics::MEDIA_TYPE)], text).into_response())
}

/// `GET /v1/openapi.json`.
pub(crate) async fn openapi() -> Response {
    crate::answer::raw(StatusCode::OK, crate::openapi::document().into_bytes())
}
