//! `driftq health`.

use driftq_client::api::ReadyState;
use serde::Serialize;

use crate::{
    Context, Outcome,
    error::CliError,
    output::{Tone, Word},
    text::bytes,
};

#[derive(Serialize)]
struct Report<'a> {
    url: &'a str,
    status: ReadyState,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    version: &'a str,
    commit: &'a str,
    wal_enabled: bool,
}

pub(super) async fn run(context: &Context) -> Result<Outcome, CliError> {
    let readiness = context.client.readiness().await?;
    let version = context.client.version().await?;
    let report = Report {
        url: context.client.url(),
        status: readiness.status,
        message: readiness.message.as_deref(),
        version: &version.version,
        commit: &version.commit,
        wal_enabled: version.wal_enabled,
    };
    let outcome = if report.status == ReadyState::Ready { Outcome::Good } else { Outcome::Bad };
    if context.output.is_json() {
        context.output.json(&report)?;
        return Ok(outcome);
    }
    let mut facts = vec![
        ("server", Word::from(report.url)),
        ("status", status(report.status)),
        ("version", Word::from(format_args!("{} ({})", report.version, report.commit))),
        ("storage", Word::from(if report.wal_enabled { "durable" } else { "memory only" })),
    ];
    facts.extend(report.message.map(|message| ("says", Word::from(message))));
    facts.extend(readiness.recovery.map(|recovery| {
        let progress = format!("{} of {} read", bytes(recovery.done_bytes), bytes(recovery.total_bytes));
        ("recovery", Word::from(progress))
    }));
    context.output.facts(facts)?;
    Ok(outcome)
}

fn status(state: ReadyState) -> Word {
    match state {
        ReadyState::Ready => Word::new("ready", Tone::Good),
        ReadyState::Recovering => Word::new("recovering", Tone::Busy),
        ReadyState::Draining => Word::new("draining", Tone::Busy),
        ReadyState::DiskFull => Word::new("disk full", Tone::Bad),
        ReadyState::Damaged => Word::new("damaged", Tone::Bad),
    }
}
