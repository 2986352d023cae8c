//! `GET /v1/stats`: figures that cost nothing to read.

use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::problem::Problem;
use crate::system;
use axum::extract::State;
use driftq_api::{LogStats, RunCounts, Stats};
use driftq_core::{Figures, RunStatus};

/// `GET /v1/stats`.
pub(crate) async fn stats(State(app): State<App>, Engine(broker): Engine) -> Result<Answer<Stats>, Problem> {
    let look =
        |state: &driftq_core::State, readers: &dyn driftq_engine::Readers| (state.figures(), readers.all());
    let (figures, consumers) = broker.look_with_readers(look).await?;
    let status = broker.status();
    let folder = app.wal_enabled.then(|| app.config.wal.clone());
    let system = tokio::task::spawn_blocking(move || system::look(folder.as_deref())).await;
    let system = system.unwrap_or_default();
    Ok(ok(Stats {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: app.uptime_ms(),
        topics: figures.topics,
        groups: figures.groups,
        runs: runs(&figures),
        dead_letters_open: figures.dead_letters_open,
        messages_total: status.totals.produced,
        delivered_total: status.totals.delivered,
        acked_total: status.totals.acked,
        nacked_total: status.totals.nacked,
        in_flight: figures.in_flight,
        consumers,
        log: LogStats {
            bytes: status.log_bytes,
            segments: system.segments,
            disk_free_bytes: system.disk_free_bytes,
        },
        memory_bytes: system.memory_bytes,
    }))
}

fn runs(figures: &Figures) -> RunCounts {
    let of = |status: RunStatus| figures.runs.get(&status).copied().unwrap_or(0);
    RunCounts {
        queued: of(RunStatus::Queued),
        running: of(RunStatus::Running),
        retrying: of(RunStatus::Retrying),
        waiting: of(RunStatus::Waiting),
        succeeded: of(RunStatus::Succeeded),
        failed: of(RunStatus::Failed),
        cancelled: of(RunStatus::Cancelled),
    }
}
