//! Dead letters: list, search, count by kind, show, redrive, discard, and a run's own.

use super::runs::unknown;
use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::convert;
use crate::convert::dead_letters::{self as asked, Wanted};
use crate::extract::{DeadLetterParam, Json, KeyHeader, Query, RunParam};
use crate::operator::{Act, Operator};
use crate::problem::Problem;
use crate::render::dead_letters::{self, Kind, Seen};
use crate::render::{message_id, messages};
use crate::shelf;
use axum::extract::State;
use driftq_api::{
    DeadLetterDetail, DeadLetterPage, DeadLetterQuery, DiscardRequest, DiscardResponse, FingerprintPage,
    FingerprintQuery, RedriveRequest, RedriveResponse, RunDeadLetter, RunDeadLetterQuery,
};
use driftq_core::{DeadLetterAt, DeadLetterCursor, Discard, MessageAt, Rejection, Reply};
use driftq_engine::Broker;

/// Dead letters whose text one page of a search looks at.
const SEARCH_LETTERS_MAX: usize = 500;

/// `GET /v1/dlq`: open dead letters in the order of their place, or of their time when a fingerprint is named.
pub(crate) async fn list(
    State(app): State<App>,
    Engine(broker): Engine,
    Query(query): Query<DeadLetterQuery>,
) -> Result<Answer<DeadLetterPage>, Problem> {
    let wanted = asked::listed(&query)?.within(broker.scope());
    let text = asked::searched(query.q.as_deref())?;
    let after = asked::cursor(query.cursor.as_deref())?;
    let limit = convert::limit(query.limit)?;
    let look_at = if text.is_some() { SEARCH_LETTERS_MAX } else { limit };
    let by_time = query.fingerprint.is_some();
    let (found, rest) = broker.look(move |state| page(state, &wanted, after, look_at)).await?;
    let places: Vec<DeadLetterCursor> = found.iter().map(|seen| place(seen, by_time)).collect();
    let render = move |shelf: &shelf::Shelf<'_>| dead_letters::page(shelf, &found, text.as_deref(), limit);
    let (items, looked) = shelf::render_apart(&broker, &app, render).await?;
    let cut =
        looked.checked_sub(1).filter(|_| looked < places.len()).and_then(|last| places.get(last).copied());
    Ok(ok(DeadLetterPage { items, next_cursor: cut.or(rest).map(asked::cursor_text) }))
}

fn place(seen: &Seen, by_time: bool) -> DeadLetterCursor {
    if by_time { DeadLetterCursor::Time(seen.dead.wall, seen.at) } else { DeadLetterCursor::Place(seen.at) }
}

fn page(
    state: &driftq_core::State,
    wanted: &Wanted,
    after: Option<DeadLetterCursor>,
    limit: usize,
) -> (Vec<Seen>, Option<DeadLetterCursor>) {
    let Some(filter) = wanted.resolve(state) else { return (Vec::new(), None) };
    let page = state.dead_letters_page(&filter, after, limit);
    let seen = page.items.into_iter().filter_map(|(at, dead)| Seen::of(state, at, dead)).collect();
    (seen, page.next)
}

/// `GET /v1/dlq/fingerprints`: what is failing, the most frequent first.
pub(crate) async fn fingerprints(
    State(app): State<App>,
    Engine(broker): Engine,
    Query(query): Query<FingerprintQuery>,
) -> Result<Answer<FingerprintPage>, Problem> {
    let wanted = asked::counted(&query)?.within(broker.scope());
    let after = asked::kind_cursor(query.cursor.as_deref())?;
    let limit = convert::limit(query.limit)?;
    let look = move |state: &driftq_core::State| {
        let filter = wanted.resolve(state)?;
        let page = state.dead_letter_kinds(&filter, after, limit);
        let kinds: Vec<Kind> = page.items.into_iter().filter_map(|kind| Kind::of(state, kind)).collect();
        Some((kinds, page.next))
    };
    let (kinds, next) = broker.look(look).await?.unwrap_or_default();
    let render = move |shelf: &shelf::Shelf<'_>| {
        kinds.iter().map(|kind| dead_letters::fingerprint(shelf, kind)).collect()
    };
    let fingerprints = shelf::render(&broker, &app, render).await?;
    Ok(ok(FingerprintPage {
        fingerprints,
        next_cursor: next.map(|(count, fingerprint)| format!("{count}.{fingerprint}")),
    }))
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

pub(crate) async fn seen(broker: &Broker, at: DeadLetterAt) -> Result<Seen, Problem> {
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
    let seen = seen(operator.broker(), at.clone()).await?;
    let run_id = seen.run_id.clone();
    let act = Act::new("dead_letter.redriven", target_of(&at)).because(asked.reason.as_deref()).changing(&[
        ("value", asked.value.is_some()),
        ("target_topic", asked.target_topic.is_some()),
        ("all_groups", asked.all_groups.is_some()),
    ]);
    let mut redrive =
        asked::redrive(at, key.as_deref(), operator.actor(), &asked, app.config.max_message_bytes)?;
    if redrive.target_topic.is_some() {
        let key = move |shelf: &shelf::Shelf<'_>| Ok(messages::message(shelf, seen.position)?.key);
        redrive.key = shelf::render(operator.broker(), &app, key).await?;
    }
    let broker = operator.acting(act);
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

/// `POST /v1/dlq/{topic}/{partition}/{offset}/discard`: given up for good.
pub(crate) async fn discard(
    operator: Operator,
    DeadLetterParam(dead_letter): DeadLetterParam,
    Json(asked): Json<DiscardRequest>,
) -> Result<Answer<DiscardResponse>, Problem> {
    let reason = asked::reason(asked.reason.as_deref())?;
    let act = Act::new("dead_letter.discarded", target_of(&dead_letter)).because(reason.as_deref());
    let discard = Discard { dead_letter, reason: reason.unwrap_or_default(), actor: operator.actor() };
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
