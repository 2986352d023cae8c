//! Attempts of runs and of dead letters, and what differs between two of them.

use super::dead_letters::seen;
use super::runs::unknown;
use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::convert;
use crate::extract::{DeadLetterParam, Query, RunParam};
use crate::problem::Problem;
use crate::render::attempts::{self, Found};
use crate::render::{self, diff};
use crate::shelf;
use axum::extract::State;
use driftq_api::{
    AttemptOutcome, AttemptRecord, DeadLetterDiff, DeadLetterDiffQuery, RunAttemptPage, RunAttemptQuery,
    RunDiff, RunDiffQuery,
};
use driftq_core::{Offset, Position, RunId};
use driftq_engine::Broker;

/// Events that one request reads at the most.
const EVENTS_MAX: u64 = 50_000;
/// Events that a difference looks at first, from the end; four times as many each time it finds too little.
const EVENTS_FIRST: u64 = 2_000;

/// Some events of a timeline, and where it ends.
struct Stretch {
    events: Vec<(u64, Position)>,
    last_seq: u64,
}

/// Events from one sequence number on.
async fn stretch(broker: &Broker, run_id: &RunId, from: u64, max: u64) -> Result<Stretch, Problem> {
    let asked = run_id.clone();
    let look = move |state: &driftq_core::State| {
        let run = state.run(&asked)?;
        let partition = state.topics.get(&run.timeline)?.partitions.first()?;
        let from = from.max(partition.first.0 + 1);
        let last_seq = partition.next_offset().0;
        let until = last_seq.min(from.saturating_add(max).saturating_sub(1));
        let event = |seq: u64| Some((seq, partition.entry(Offset(seq - 1))?.position));
        Some(Stretch { events: (from..=until).filter_map(event).collect(), last_seq })
    };
    broker.look(look).await?.ok_or_else(|| unknown(run_id))
}

/// `GET /v1/runs/{run_id}/attempts`: oldest first.
pub(crate) async fn list(
    State(app): State<App>,
    Engine(broker): Engine,
    RunParam(run_id): RunParam,
    Query(query): Query<RunAttemptQuery>,
) -> Result<Answer<RunAttemptPage>, Problem> {
    let limit = convert::limit(query.limit)?;
    let from = convert::cursor(query.cursor.as_deref())?.unwrap_or(1).max(1);
    let stretch = stretch(&broker, &run_id, from, EVENTS_MAX).await?;
    let (events, last_seq) = (stretch.events, stretch.last_seq);
    let read_until = events.last().map_or(last_seq, |(seq, _)| *seq);
    let mut found = shelf::render_apart(&broker, &app, move |shelf| attempts::read(shelf, &events)).await?;
    let mut next = (read_until < last_seq).then_some(read_until + 1);
    // An attempt that is cut off by the end of this look is read whole by the next page.
    if let (Some(_), Some(open)) = (next, found.last())
        && open.attempt.outcome == AttemptOutcome::Running
        && open.seq > from
    {
        next = Some(open.seq);
        found.pop();
    }
    if let Some(more) = found.get(limit) {
        next = Some(more.seq);
        found.truncate(limit);
    }
    Ok(ok(RunAttemptPage {
        attempts: found.into_iter().map(|found| found.attempt).collect(),
        next_cursor: next.map(|seq| seq.to_string()),
    }))
}

/// An attempt as somebody names it: `<replay>` or `<replay>.<attempt>`.
#[derive(Clone, Copy)]
struct Named {
    replay: u32,
    attempt: Option<u32>,
}

fn named(field: &str, given: Option<&str>) -> Result<Option<Named>, Problem> {
    let Some(text) = convert::trimmed(given) else { return Ok(None) };
    let bad = || Problem::invalid(format!("{field} must read <replay> or <replay>.<attempt>, not {text:?}"));
    let (replay, attempt) = match text.split_once('.') {
        Some((replay, attempt)) => (replay, Some(attempt.parse().map_err(|_| bad())?)),
        None => (text, None),
    };
    Ok(Some(Named { replay: replay.parse().map_err(|_| bad())?, attempt }))
}

fn pick(found: &[Found], named: Named) -> Option<&Found> {
    found.iter().rev().find(|found| {
        found.attempt.replay_seq == named.replay
            && named.attempt.is_none_or(|attempt| attempt == found.attempt.attempt)
    })
}

/// The newest attempt that failed before another one; without one, the newest before it; without that, itself.
fn failed_before<'a>(found: &'a [Found], other: &'a Found) -> &'a Found {
    let mut before = found.iter().rev().filter(|found| found.seq < other.seq);
    let has_failed = |found: &&Found| {
        matches!(found.attempt.outcome, AttemptOutcome::Failed | AttemptOutcome::LeaseExpired)
    };
    before.clone().find(has_failed).or_else(|| before.next()).unwrap_or(other)
}

/// `GET /v1/runs/{run_id}/diff`: what differs between two attempts.
pub(crate) async fn of_run(
    State(app): State<App>,
    Engine(broker): Engine,
    RunParam(run_id): RunParam,
    Query(query): Query<RunDiffQuery>,
) -> Result<Answer<RunDiff>, Problem> {
    let (a, b) = (named("a", query.a.as_deref())?, named("b", query.b.as_deref())?);
    let (a, b) = both(&app, &broker, &run_id, a, b).await?;
    let (one, other) = (a.clone(), b.clone());
    let look = move |state: &driftq_core::State| {
        let run = state.run(&run_id)?;
        Some((attempts::command_of(state, &run, &one)?, attempts::command_of(state, &run, &other)?))
    };
    let commands = broker.look(look).await?;
    let render = move |shelf: &shelf::Shelf<'_>| {
        let inputs = match commands {
            Some((a, b)) => attempts::input(shelf, a)?.zip(attempts::input(shelf, b)?),
            None => None,
        };
        let inputs = inputs.as_ref().map(|(a, b)| (a.as_slice(), b.as_slice()));
        let compared = diff::runs(&a.attempt, &b.attempt, inputs);
        Ok(RunDiff {
            a: a.attempt.clone(),
            b: b.attempt.clone(),
            changed: compared.changed,
            same: compared.same,
        })
    };
    Ok(ok(shelf::render_apart(&broker, &app, render).await?))
}

/// Two attempts, looked for from the timeline's end backwards.
async fn both(
    app: &App,
    broker: &Broker,
    run_id: &RunId,
    a: Option<Named>,
    b: Option<Named>,
) -> Result<(Found, Found), Problem> {
    let mut max = EVENTS_FIRST;
    loop {
        let last_seq = stretch(broker, run_id, u64::MAX, 0).await?.last_seq;
        let from = last_seq.saturating_sub(max - 1).max(1);
        let events = stretch(broker, run_id, from, max).await?.events;
        let found = shelf::render_apart(broker, app, move |shelf| attempts::read(shelf, &events)).await?;
        let is_whole = from == 1 || max >= EVENTS_MAX;
        let other = match b {
            Some(named) => pick(&found, named),
            None => found.last(),
        };
        let one = match (a, other) {
            (Some(named), _) => pick(&found, named),
            // Only the whole of it shows that no attempt before it failed.
            (None, Some(other)) => {
                let before = failed_before(&found, other);
                Some(before).filter(|before| is_whole || before.seq < other.seq)
            }
            (None, None) => None,
        };
        match (one, other) {
            (Some(one), Some(other)) => return Ok((one.clone(), other.clone())),
            _ if is_whole => return Err(missing(run_id, a.filter(|_| one.is_none()).or(b), from)),
            _ => max = (max * 4).min(EVENTS_MAX),
        }
    }
}

fn missing(run_id: &RunId, named: Option<Named>, from: u64) -> Problem {
    let which = match named {
        None => "no attempt".to_owned(),
        Some(Named { replay, attempt: None }) => format!("no attempt of replay {replay}"),
        Some(Named { replay, attempt: Some(attempt) }) => format!("no attempt {replay}.{attempt}"),
    };
    let among = if from > 1 { format!(" among its events from {from} on") } else { String::new() };
    Problem::not_found(format!("run {:?} has {which}{among}", run_id.as_str()))
}

/// `GET /v1/dlq/{topic}/{partition}/{offset}/diff`: what differs between two attempts that are kept.
pub(crate) async fn of_dead_letter(
    State(app): State<App>,
    Engine(broker): Engine,
    DeadLetterParam(at): DeadLetterParam,
    Query(query): Query<DeadLetterDiffQuery>,
) -> Result<Answer<DeadLetterDiff>, Problem> {
    let dead = seen(&broker, at).await?.dead;
    let read = move |shelf: &shelf::Shelf<'_>| render::attempts(shelf, &dead.history, dead.wall);
    let history: Vec<AttemptRecord> = shelf::render(&broker, &app, read).await?;
    let find = |asked: Option<u32>, otherwise: Option<&AttemptRecord>| match asked {
        Some(number) => history.iter().find(|attempt| attempt.attempt == number).cloned(),
        None => otherwise.cloned(),
    };
    let kept = |asked: Option<u32>| {
        let numbers: Vec<String> = history.iter().map(|attempt| attempt.attempt.to_string()).collect();
        match (asked, numbers.as_slice()) {
            (_, []) => Problem::not_found("the dead letter was never delivered, so it has no attempts"),
            (asked, _) => Problem::not_found(format!(
                "attempt {} is not kept; kept are {}",
                asked.unwrap_or_default(),
                numbers.join(", ")
            )),
        }
    };
    let a = find(query.a, history.first()).ok_or_else(|| kept(query.a))?;
    let b = find(query.b, history.last()).ok_or_else(|| kept(query.b))?;
    let compared = diff::letters(&a, &b);
    Ok(ok(DeadLetterDiff { a, b, changed: compared.changed, same: compared.same }))
}
