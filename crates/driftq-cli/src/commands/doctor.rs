//! `driftq doctor`: what may be wrong between a person and a server.
//!
//! Promise: nothing is changed anywhere. Each finding says what was measured; what could not be
//! measured is said to be so, never assumed to be well.

use std::time::{Duration, SystemTime};

use driftq_client::{
    ClientError, Probe,
    api::{ErrorCode, ReadyState},
};
use serde::Serialize;

use super::doctor_stream;
use crate::{
    Context, Outcome,
    args::DoctorArgs,
    error::CliError,
    output::{Tone, Word},
};

/// A clock that is further off makes delays and deadlines surprising. The header has whole seconds.
const SKEW_MAX: Duration = Duration::from_secs(2);

/// A round trip that is longer is worth a word.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(250);

/// What one check found.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    status: Verdict,
    message: String,
}

/// How well it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// As it should be.
    Good,
    /// It works, but look at it.
    Warning,
    /// It does not work.
    Bad,
    /// It could not be measured.
    Unknown,
}

impl Finding {
    pub(super) fn new(check: &'static str, status: Verdict, message: impl Into<String>) -> Self {
        Self { check, status, message: message.into() }
    }
}

pub(super) async fn run(args: DoctorArgs, context: &Context) -> Result<Outcome, CliError> {
    let mut findings = Vec::new();
    let is_there = address(context, &mut findings).await;
    tell(&findings, context)?;
    let mut is_bad = findings.iter().any(|finding| finding.status == Verdict::Bad);
    if is_there {
        let found = server(context).await;
        is_bad |= found.iter().any(|finding| finding.status == Verdict::Bad);
        tell(&found, context)?;
    }
    match &args.stream {
        Some(url) => {
            let found = doctor_stream::check(url, args.listen, context).await;
            is_bad |= found.iter().any(|finding| finding.status == Verdict::Bad);
            tell(&found, context)?;
        }
        None => context.output.note(
            "give the address of an event stream, as browsers see it, to have proxies in between checked",
        ),
    }
    Ok(if is_bad { Outcome::Bad } else { Outcome::Good })
}

fn tell(findings: &[Finding], context: &Context) -> Result<(), CliError> {
    if context.output.is_json() {
        return findings.iter().try_for_each(|finding| context.output.json(finding));
    }
    findings.iter().try_for_each(|finding| {
        let (mark, tone) = match finding.status {
            Verdict::Good => ("ok", Tone::Good),
            Verdict::Warning => ("look", Tone::Busy),
            Verdict::Bad => ("bad", Tone::Bad),
            Verdict::Unknown => ("?", Tone::Quiet),
        };
        context.output.line([
            Word::new(format!("{mark:<4}"), tone),
            Word::from(format_args!("{:<12}", finding.check)),
            Word::from(&finding.message),
        ])
    })
}

/// Whether anybody is there, how far away, and what its clock says; `false` when nobody is.
async fn address(context: &Context, findings: &mut Vec<Finding>) -> bool {
    let url = context.client.url();
    let probed = context.client.probe(&format!("{url}/v1/healthz"), "application/json").await;
    let probe = match probed {
        Ok(probe) => probe,
        Err(error) => {
            let message = match error {
                ClientError::Unreachable { .. } => {
                    format!("nothing answers at {url}; start it with `driftqd`")
                }
                other => other.to_string(),
            };
            findings.push(Finding::new("address", Verdict::Bad, message));
            return false;
        }
    };
    if probe.status != 200 {
        let message = format!("{url}/v1/healthz answered {}: is that a driftqd?", probe.status);
        findings.push(Finding::new("address", Verdict::Bad, message));
        return false;
    }
    let took = probe.head_after;
    let verdict = if took > ROUND_TRIP_MAX { Verdict::Warning } else { Verdict::Good };
    let message = format!("{url} answers after {} ms", took.as_millis());
    findings.push(Finding::new("address", verdict, message));
    findings.push(clock(&probe));
    if let Some(via) = probe.header("via") {
        findings.push(Finding::new("proxy", Verdict::Warning, format!("requests go through {via}")));
    }
    true
}

/// How far the server's clock is from this one; its own second and the way are the error.
fn clock(probe: &Probe) -> Finding {
    let date = probe.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
    let Some(theirs) = date else {
        return Finding::new("clock", Verdict::Unknown, "the server does not say what time it is");
    };
    // The second it names began at some time between the question and up to a second before it.
    let ours = SystemTime::now().checked_sub(probe.head_after / 2).unwrap_or_else(SystemTime::now);
    let (skew, which) = match ours.duration_since(theirs) {
        Ok(behind) => (behind.saturating_sub(Duration::from_millis(500)), "behind"),
        Err(ahead) => (ahead.duration() + Duration::from_millis(500), "ahead of"),
    };
    if skew <= SKEW_MAX {
        return Finding::new("clock", Verdict::Good, "the server's clock and this one agree");
    }
    let message = format!(
        "the server's clock is {} s {which} this one; delays and deadlines follow it",
        skew.as_secs()
    );
    Finding::new("clock", Verdict::Warning, message)
}

/// What the server says about itself.
async fn server(context: &Context) -> Vec<Finding> {
    let mut findings = Vec::new();
    match context.client.version().await {
        Ok(version) => {
            let ours = env!("CARGO_PKG_VERSION");
            let verdict = if version.version == ours { Verdict::Good } else { Verdict::Warning };
            let message = format!("driftqd {} ({}), driftq {ours}", version.version, version.commit);
            findings.push(Finding::new("version", verdict, message));
            findings.push(if version.wal_enabled {
                Finding::new("storage", Verdict::Good, "answers are durable")
            } else {
                let message = "memory only: all is lost when the server ends; start it with --wal FOLDER";
                Finding::new("storage", Verdict::Warning, message)
            });
        }
        Err(error) => findings.push(refused("version", &error)),
    }
    match context.client.readiness().await {
        Ok(readiness) => {
            let verdict = if readiness.status == ReadyState::Ready { Verdict::Good } else { Verdict::Bad };
            let message = readiness.message.unwrap_or_else(|| state(readiness.status).to_owned());
            findings.push(Finding::new("ready", verdict, message));
        }
        Err(error) => findings.push(refused("ready", &error)),
    }
    findings.push(disk(context).await);
    findings
}

/// How long the disk takes; only a server that measures it can tell.
async fn disk(context: &Context) -> Finding {
    let url = format!("{}/metrics", context.client.url());
    let text = match context.client.probe(&url, "text/plain").await {
        Ok(mut probe) if probe.status == 200 => {
            let mut bytes = Vec::new();
            while let Some(piece) = probe.next(Duration::from_secs(5)).await {
                bytes.extend(piece.bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Ok(_) | Err(_) => String::new(),
    };
    let value =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    let measured = value("driftq_log_sync_seconds_sum ").zip(value("driftq_log_sync_seconds_count "));
    match measured {
        Some((sum, count)) if count > 0.0 => {
            let message = format!("a sync takes {:.1} ms on average", sum / count * 1_000.0);
            Finding::new("disk", Verdict::Good, message)
        }
        _ => Finding::new("disk", Verdict::Unknown, "the server does not say how long a sync takes"),
    }
}

fn refused(check: &'static str, error: &ClientError) -> Finding {
    let hint = match error.code() {
        Some(ErrorCode::Unauthenticated) => "; set DRIFTQ_TOKEN, or --token",
        _ => "",
    };
    Finding::new(check, Verdict::Bad, format!("{error}{hint}"))
}

const fn state(state: ReadyState) -> &'static str {
    match state {
        ReadyState::Ready => "ready",
        ReadyState::Recovering => "recovering",
        ReadyState::Draining => "draining",
        ReadyState::DiskFull => "the disk is full",
        ReadyState::Damaged => "the log is damaged",
    }
}
