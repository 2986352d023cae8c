//! Dead letters: list, show, redrive, discard, and a run's own.

use super::runs::unknown;
use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::convert;
use crate::extract::{DeadLetterParam, Json, KeyHeader, Query, RunParam};
use crate::json;
use crate::operator::{Act, Operator};
use crate::problem::Problem;
use crate::render::dead_letters::{self, Seen};
use crate::render::message_id;
use crate::shelf;
use axum::extract::State;
use driftq_api::{
    DeadLetterDetail, DeadLetterPage, DeadLetterQuery, DiscardRequest, DiscardResponse, RedriveRequest,
    RedriveResponse, RunDeadLetter, RunDeadLetterQuery,
};
use driftq_core::{
    DeadLetterAt, DeadLetterFilter, DeadLetterReason, Discard, GroupName, MessageAt, Offset, PartitionId,
    Redrive, Rejection, Reply, RunId, Scope, TopicId, TopicName,
};
use driftq_engine::Broker;

/// What a discard says when it gives no reason.
const NO_REASON: &str = "discarded";
/// The longest reason of a discard, bytes.
const REASON_MAX: usize = 4 * 1024;

/// `GET /v1/dlq`: open dead letters in the order of their place.
pub(crate) async fn list(
    State(app): State<App>,
    Engine(broker): Engine,
    Query(query): Query<DeadLetterQuery>,
) -> Result<Answer<DeadLetterPage>, Problem> {
    let filter = DeadLetterFilter { scope: broker.scope(), ..filter(&query)? };
    let run_id = convert::trimmed(query.run_id.as_deref()).map(RunId::parse).transpose()?;
    let after = convert::trimmed(query.cursor.as_deref()).map(place).transpose()?;
    let limit = convert::limit(query.limit)?;
    let (found, next) = broker.look(move |state| page(state, filter, run_id.as_ref(), after, limit)).await?;
    let render = move |shelf: &shelf::Shelf<'_>| {
        found.iter().map(|seen| dead_letters::dead_letter(shelf, seen)).collect()
    };
    let items = shelf::render(&broker, &app, render).await?;
    Ok(ok(DeadLetterPage {
        items,
        next_cursor: next.map(|at| format!("{}.{}.{}", at.topic, at.partition, at.offset)),
    }))
}

fn filter(query: &DeadLetterQuery) -> Result<DeadLetterFilter, Problem> {
    let reasons =
        [DeadLetterReason::MaxAttempts, DeadLetterReason::DeadlineExceeded, DeadLetterReason::NonRetryable];
    let reason = convert::trimmed(query.reason.as_deref()).map(|text| {
        let known = reasons.into_iter().find(|reason| reason.as_str() == text);
        known.ok_or_else(|| {
            Problem::invalid(format!(
                "reason {text:?} is none of max_attempts, deadline_exceeded, non_retryable"
            ))
        })
    });
    Ok(DeadLetterFilter {
        topic: convert::trimmed(query.topic.as_deref()).map(TopicName::parse).transpose()?,
        group: convert::trimmed(query.group.as_deref()).map(GroupName::parse).transpose()?,
        run: None,
        reason: reason.transpose()?,
        scope: Scope::default(),
    })
}

/// A cursor: the place of the last dead letter that was looked at.
fn place(text: &str) -> Result<MessageAt, Problem> {
    let bad = || Problem::invalid(format!("cursor {text:?} is not one that this server gave out"));
    let mut numbers = text.split('.').map(str::parse::<u64>);
    let mut next = || numbers.next().and_then(Result::ok).ok_or_else(bad);
    let (topic, partition, offset) = (next()?, next()?, next()?);
    Ok(MessageAt {
        topic: TopicId(u32::try_from(topic).map_err(|_| bad())?),
        partition: PartitionId(u32::try_from(partition).map_err(|_| bad())?),
        offset: Offset(offset),
    })
}

fn page(
    state: &driftq_core::State,
    filter: DeadLetterFilter,
    run_id: Option<&RunId>,
    after: Option<MessageAt>,
    limit: usize,
) -> (Vec<Seen>, Option<MessageAt>) {
    let run = run_id.map(|id| state.run(id).map(|run| run.no));
    if run == Some(None) {
        return (Vec::new(), None);
    }
    let page = state.dead_letters_page(&DeadLetterFilter { run: run.flatten(), ..filter }, after, limit);
    let seen = page.items.into_iter().filter_map(|(at, dead)| Seen::of(state, at, dead)).collect();
    (seen, page.next)
}

/// `GET /v1/dlq/{topic}/{partition}/{offset}`: with every attempt that is kept.
pub(crate) async fn show(
    State(app): State<App>,
    Engine(broker): Engine,
    DeadLetterParam(at): DeadLetterParam,
) -> Result<Answer<DeadLetterDetail>, Problem> {
    let seen = seen(&broker, at).await?;
    Ok(ok(shelf::render(&broker, &app, move |shelf| dead_letters::detail(shelf, &seen)).await?))
}

async fn seen(broker: &Broker, at: DeadLetterAt) -> Result<Seen, Problem> {
    let look = move |state: &driftq_core::State| {
        let at = MessageAt { topic: state.topic(&at.topic)?.id, partition: at.partition, offset: at.offset };
        Seen::of(state, at, state.dead_letter(at)?)
    };
    broker.look(look).await?.ok_or_else(|| Rejection::UnknownDeadLetter.into())
}

/// `POST /v1/dlq/{topic}/{partition}/{offset}/redrive`: appended anew, or its run replayed.
pub(crate) async fn redrive(
    State(app): State<App>,
    operator: Operator,
    DeadLetterParam(at): DeadLetterParam,
    KeyHeader(key): KeyHeader,
    Json(asked): Json<RedriveRequest>,
) -> Result<Answer<RedriveResponse>, Problem> {
    let run_id = seen(operator.broker(), at.clone()).await?.run_id;
    let act = Act::new("dead_letter.redriven", target_of(&at)).changing(&[
        ("value", asked.value.is_some()),
        ("target_topic", asked.target_topic.is_some()),
        ("all_groups", asked.all_groups.is_some()),
    ]);
    let broker = operator.acting(act);
    let redrive = redrive_of(at, key.as_deref(), &asked, app.config.max_message_bytes)?;
    let redrive = Redrive { actor: operator.actor(), ..redrive };
    match broker.redrive(redrive).await? {
        Reply::Redriven { to, topic } => Ok(ok(RedriveResponse::Redriven {
            topic: topic.as_str().to_owned(),
            partition: to.partition.0,
            offset: to.offset.0,
            message_id: message_id(to),
        })),
        Reply::RunReplayed { replay_seq, .. } => {
            Ok(ok(RedriveResponse::Replayed { run_id: run_id.unwrap_or_default(), replay_seq: replay_seq.0 }))
        }
        _ => Err(Problem::internal("the redrive was not answered")),
    }
}

fn target_of(at: &DeadLetterAt) -> serde_json::Value {
    serde_json::json!({"topic": at.topic.as_str(), "partition": at.partition.0, "offset": at.offset.0})
}

fn redrive_of(
    at: DeadLetterAt,
    key: Option<&str>,
    asked: &RedriveRequest,
    bytes_max: usize,
) -> Result<Redrive, Problem> {
    let value = asked.value.as_deref().map(|value| json::minified("value", value)).transpose()?;
    match &value {
        Some(value) if value == b"null" || value == b"\"\"" => {
            return Err(Problem::invalid(
                "value must not be null or an empty string; leave it out to keep the one there is",
            ));
        }
        Some(value) if value.len() > bytes_max => {
            return Err(Problem::too_large(format!("value is larger than {bytes_max} bytes")));
        }
        Some(_) | None => {}
    }
    Ok(Redrive {
        dead_letter: at,
        value,
        target_topic: convert::trimmed(asked.target_topic.as_deref()).map(TopicName::parse).transpose()?,
        all_groups: asked.all_groups.unwrap_or(false),
        idempotency: convert::idempotency(key, None, None)?,
        actor: None,
    })
}

/// `POST /v1/dlq/{topic}/{partition}/{offset}/discard`: given up for good.
pub(crate) async fn discard(
    operator: Operator,
    DeadLetterParam(dead_letter): DeadLetterParam,
    Json(asked): Json<DiscardRequest>,
) -> Result<Answer<DiscardResponse>, Problem> {
    let reason = convert::trimmed(asked.reason.as_deref()).unwrap_or(NO_REASON);
    if reason.len() > REASON_MAX {
        return Err(Problem::invalid(format!("reason is longer than {REASON_MAX} bytes")));
    }
    let act = Act::new("dead_letter.discarded", target_of(&dead_letter)).because(Some(reason));
    let discard = Discard { dead_letter, reason: reason.to_owned(), actor: operator.actor() };
    let discarded = operator.acting(act).discard(discard).await;
    discarded.map_err(|refusal| Problem::from(refusal).into_not_found())?;
    Ok(ok(DiscardResponse { status: "discarded".to_owned() }))
}

/// `GET /v1/runs/{run_id}/dlq`: the newest dead letter of a run, or that of one replay.
pub(crate) async fn of_run(
    State(app): State<App>,
    Engine(broker): Engine,
    RunParam(run_id): RunParam,
    Query(query): Query<RunDeadLetterQuery>,
) -> Result<Answer<RunDeadLetter>, Problem> {
    let asked = run_id.clone();
    let look = move |state: &driftq_core::State| {
        let run = state.run(&asked)?;
        let mut dead = run.dead_letters.iter().rev();
        let dead = dead.find(|dead| query.replay_seq.is_none_or(|seq| dead.replay_seq.0 == seq));
        Some(dead.and_then(|dead| {
            Some((dead.replay_seq.0, Seen::of(state, dead.at, state.dead_letter(dead.at)?)?))
        }))
    };
    let found = broker.look(look).await?.ok_or_else(|| unknown(&run_id))?;
    let (replay_seq, seen) =
        found.ok_or_else(|| Problem::not_found(format!("run {:?} has no dead letter", run_id.as_str())))?;
    let render =
        move |shelf: &shelf::Shelf<'_>| dead_letters::of_run(shelf, run_id.as_str(), replay_seq, &seen);
    Ok(ok(shelf::render(&broker, &app, render).await?))
}
