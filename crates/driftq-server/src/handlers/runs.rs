//! Runs: start, list, show, replay, cancel.

use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::convert;
use crate::convert::consume::WAIT_MAX_MS;
use crate::extract::{Json, KeyHeader, Query, RunParam};
use crate::json;
use crate::operator::{Act, Operator};
use crate::problem::Problem;
use crate::render::runs::{self, Seen};
use crate::shelf;
use axum::extract::State;
use driftq_api::{
    CancelRunRequest, CancelRunResponse, ReplayRequest, ReplayResponse, Run, RunListQuery, RunPage, RunQuery,
    RunStatus, RunTokenRequest, RunTokenResponse, StartRunRequest, StartRunResponse,
};
use driftq_core::{CancelRun, Millis, NewInput, Rejection, ReplayRun, RunId, RunNo, StepName};
use driftq_engine::{Broker, Refusal};
use http::StatusCode;
use serde_json::json;

/// How long a run token is good for when it is not said.
const TOKEN_TIME_DEFAULT_MS: u64 = 10 * 60 * 1_000;
/// The longest that a run token may be good for.
const TOKEN_TIME_MAX_MS: u64 = 24 * 60 * 60 * 1_000;
/// How often a patch is made anew because the run was replayed meanwhile.
const PATCH_TRIES: usize = 5;

/// `POST /v1/runs`: 201, or 200 for a repeated idempotency key.
pub(crate) async fn start(
    State(app): State<App>,
    Engine(broker): Engine,
    KeyHeader(key): KeyHeader,
    Json(asked): Json<StartRunRequest>,
) -> Result<Answer<StartRunResponse>, Problem> {
    let create = convert::runs::start(asked, key.as_deref(), app.config.max_message_bytes, broker.tenant())?;
    let (no, is_repeat) = broker.create_run(create).await?;
    let seen = broker.look(move |state| state.runs.get(&no).map(|run| Seen::of(state, &run))).await?;
    let seen = seen.ok_or_else(|| Problem::internal("the run is gone"))?;
    Ok(Answer(if is_repeat { StatusCode::OK } else { StatusCode::CREATED }, runs::started(&seen)))
}

/// `GET /v1/runs`: newest first.
pub(crate) async fn list(
    Engine(broker): Engine,
    Query(query): Query<RunListQuery>,
) -> Result<Answer<RunPage>, Problem> {
    let filter = convert::runs::filter(&query, broker.scope())?;
    let limit = convert::limit(query.limit)?;
    let before = convert::cursor(query.cursor.as_deref())?.map(RunNo);
    let look = move |state: &driftq_core::State| {
        let page = state.runs_page(&filter, before, limit);
        let next_cursor = page.next.map(|next| next.to_string());
        RunPage { runs: page.items.iter().map(|run| runs::summary(run)).collect(), next_cursor }
    };
    Ok(ok(broker.look(look).await?))
}

/// `GET /v1/runs/{run_id}`, with `wait_ms` once it is terminal.
pub(crate) async fn show(
    State(app): State<App>,
    Engine(broker): Engine,
    RunParam(run_id): RunParam,
    Query(query): Query<RunQuery>,
) -> Result<Answer<Run>, Problem> {
    if let Some(wait) = query.wait_ms.filter(|wait| *wait > 0) {
        broker.run_end(run_id.clone(), Millis(wait.min(WAIT_MAX_MS))).await?;
    }
    let seen = seen(&broker, &run_id).await?;
    Ok(ok(shelf::render(&broker, &app, move |shelf| runs::run(shelf, &seen)).await?))
}

/// `POST /v1/runs/{run_id}/replay`: 409 unless the run has ended.
pub(crate) async fn replay(
    State(app): State<App>,
    operator: Operator,
    RunParam(run_id): RunParam,
    Json(mut asked): Json<ReplayRequest>,
) -> Result<Answer<ReplayResponse>, Problem> {
    let operator = operator.called(convert::actor(asked.actor.take())?);
    asked.actor = operator.actor();
    asked.reason = convert::reason(asked.reason)?;
    let act = Act::new("run.replayed", json!({"run_id": run_id.as_str()}));
    let act = act.because(asked.reason.as_deref()).changing(&[
        ("input", asked.input.is_some()),
        ("patch", asked.patch.is_some()),
        ("from_step", asked.from_step.is_some()),
        ("fresh", asked.fresh.is_some()),
    ]);
    let broker = operator.acting(act);
    let mut tries = 1;
    loop {
        let replay = replay_of(&app, &broker, &run_id, &asked).await?;
        match broker.replay_run(replay).await {
            Err(Refusal::Rejected(Rejection::InputChanged)) if tries < PATCH_TRIES => tries += 1,
            Err(refusal) => return Err(refusal.into()),
            Ok(replay_seq) => {
                let run_id = run_id.as_str().to_owned();
                return Ok(ok(ReplayResponse {
                    run_id,
                    replay_seq: replay_seq.0,
                    status: RunStatus::Queued,
                }));
            }
        }
    }
}

async fn replay_of(
    app: &App,
    broker: &Broker,
    run_id: &RunId,
    asked: &ReplayRequest,
) -> Result<ReplayRun, Problem> {
    let max = app.config.max_message_bytes;
    let input = match (&asked.input, &asked.patch) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("input and patch exclude each other; send one of them"));
        }
        (Some(input), None) => NewInput::Whole(convert::runs::document("input", Some(input), max)?),
        (None, Some(patch)) => {
            patched(app, broker, run_id, &convert::runs::document("patch", Some(patch), max)?).await?
        }
        (None, None) => NewInput::Same,
    };
    Ok(ReplayRun {
        run_id: run_id.clone(),
        input,
        from_step: convert::trimmed(asked.from_step.as_deref()).map(StepName::parse).transpose()?,
        fresh: asked.fresh.unwrap_or(false),
        actor: asked.actor.clone(),
        reason: asked.reason.clone(),
    })
}

async fn patched(app: &App, broker: &Broker, run_id: &RunId, patch: &[u8]) -> Result<NewInput, Problem> {
    let of = seen(broker, run_id).await?.run.input;
    let input = shelf::render(broker, app, move |shelf| shelf.input(of)).await?;
    let (input, changed) = json::patched(&input, patch);
    if input.len() > app.config.max_message_bytes {
        return Err(Problem::too_large("the patched input is too large"));
    }
    Ok(NewInput::Patched { of, input, changed })
}

/// `POST /v1/runs/{run_id}/cancel`: 409 when the run has ended.
pub(crate) async fn cancel(
    operator: Operator,
    RunParam(run_id): RunParam,
    Json(asked): Json<CancelRunRequest>,
) -> Result<Answer<CancelRunResponse>, Problem> {
    let operator = operator.called(convert::actor(asked.actor)?);
    let reason = convert::reason(asked.reason)?;
    let act = Act::new("run.cancelled", json!({"run_id": run_id.as_str()}));
    let broker = operator.acting(act.because(reason.as_deref()));
    broker.cancel_run(CancelRun { run_id: run_id.clone(), actor: operator.actor() }).await?;
    let run = seen(&broker, &run_id).await?.run;
    let run_id = run_id.as_str().to_owned();
    Ok(ok(CancelRunResponse { run_id, replay_seq: run.replay_seq.0, status: RunStatus::Cancelled }))
}

/// `POST /v1/runs/{run_id}/token`: a token that reads this run and nothing else.
pub(crate) async fn token(
    State(app): State<App>,
    operator: Operator,
    RunParam(run_id): RunParam,
    Json(asked): Json<RunTokenRequest>,
) -> Result<Answer<RunTokenResponse>, Problem> {
    let ttl = asked.ttl_ms.unwrap_or(TOKEN_TIME_DEFAULT_MS);
    if !(1..=TOKEN_TIME_MAX_MS).contains(&ttl) {
        return Err(Problem::invalid(format!("ttl_ms must be from 1 to {TOKEN_TIME_MAX_MS}, not {ttl}")));
    }
    let run = seen(operator.broker(), &run_id).await?.run;
    let expires_at_ms = app.now_ms().saturating_add(ttl);
    let token = app.access.signer()?.sign(run.no, expires_at_ms);
    let target = json!({"run_id": run_id.as_str(), "expires_at_ms": expires_at_ms});
    operator.tell(Act::new("run_token.made", target)).await?;
    Ok(ok(RunTokenResponse { token, run_id: run_id.as_str().to_owned(), expires_at_ms }))
}

/// A run as it is now, or a 404.
pub(crate) async fn seen(broker: &Broker, run_id: &RunId) -> Result<Seen, Problem> {
    let asked = run_id.clone();
    let seen = broker.look(move |state| state.run(&asked).map(|run| Seen::of(state, &run))).await?;
    seen.ok_or_else(|| unknown(run_id))
}

pub(crate) fn unknown(run_id: &RunId) -> Problem {
    Problem::from(Rejection::UnknownRun(run_id.as_str().to_owned()))
}
