//! `driftq health`.

use driftq_client::{
    ClientError,
    api::{ReadyState, Version},
};
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
    #[serde(flatten)]
    version: Option<Version>,
}

pub(super) async fn run(context: &Context) -> Result<Outcome, CliError> {
    let readiness = context.client.readiness().await?;
    let version = match context.client.version().await {
        Ok(version) => Some(version),
        // Whether it is well is told to everybody, which one it is only to those it knows.
        Err(ClientError::Refused(refusal)) if matches!(refusal.status, 401 | 403) => None,
        Err(error) => return Err(error.into()),
    };
    let report = Report {
        url: context.client.url(),
        status: readiness.status,
        message: readiness.message.as_deref(),
        version,
    };
    let outcome = if report.status == ReadyState::Ready { Outcome::Good } else { Outcome::Bad };
    if context.output.is_json() {
        context.output.json(&report)?;
        return Ok(outcome);
    }
    let mut facts = vec![("server", Word::from(report.url)), ("status", status(report.status))];
    if let Some(version) = &report.version {
        facts.push(("version", Word::from(format_args!("{} ({})", version.version, version.commit))));
        facts.push(("storage", Word::from(if version.wal_enabled { "durable" } else { "memory only" })));
    }
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
