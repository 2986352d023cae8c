//! Bulk redrives: start, list, show, pause, resume, stop.

use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::convert;
use crate::convert::consume::WAIT_MAX_MS;
use crate::convert::dead_letters::{self as asked, job_id, job_no, job_status};
use crate::extract::{JobParam, Json, KeyHeader, Query};
use crate::operator::{Act, Operator};
use crate::problem::Problem;
use crate::render::dead_letters::Seen;
use crate::render::redrive_jobs;
use crate::shelf;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use driftq_api::{
    RedriveDryRun, RedriveJob, RedriveJobAct, RedriveJobListQuery, RedriveJobPage, RedriveJobQuery,
    StartRedriveJobRequest,
};
use driftq_core::{ControlRedriveJob, JobAct, JobNo, Millis, Rejection, StartRedriveJob};
use driftq_engine::Broker;
use http::StatusCode;
use serde_json::json;

/// Dead letters that a dry run shows.
const SAMPLE_MAX: usize = 5;

/// `POST /v1/dlq/redrive`: 202 with the job, or 200 with what it would do.
pub(crate) async fn start(
    State(app): State<App>,
    operator: Operator,
    KeyHeader(key): KeyHeader,
    Json(request): Json<StartRedriveJobRequest>,
) -> Result<Response, Problem> {
    let broker = operator.broker();
    let job = asked::job(&request)?;
    let wanted = job.wanted.clone().within(broker.scope());
    let reason = asked::reason(request.reason.as_deref())?;
    if request.dry_run == Some(true) {
        return dry_run(&app, broker, wanted).await.map(|answer| ok(answer).into_response());
    }
    let idempotency = convert::idempotency(key.as_deref(), None, None)?;
    let target = json!({
        "filter": request.filter,
        "rate_per_s": request.rate_per_s,
        "canary": request.canary,
        "stop_at_failure_share": request.stop_at_failure_share,
    });
    let filter = broker.look(move |state| wanted.resolve(state)).await?;
    let filter = filter.ok_or(Rejection::NoDeadLetterMatches)?;
    let act = Act::new("redrive_job.started", target).because(reason.as_deref());
    let start = StartRedriveJob { spec: job.spec(filter), idempotency, actor: operator.actor(), reason };
    let (no, _) = operator.acting(act).start_redrive_job(start).await?;
    Ok(Answer(StatusCode::ACCEPTED, seen(broker, no).await?).into_response())
}

async fn dry_run(app: &App, broker: &Broker, wanted: asked::Wanted) -> Result<RedriveDryRun, Problem> {
    let look = move |state: &driftq_core::State| {
        let Some(filter) = wanted.resolve(state) else { return (0, Vec::new()) };
        let matched = state.dead_letters_count(&filter);
        let (mut sample, mut after) = (Vec::new(), None);
        while (sample.len() as u64) < matched.min(SAMPLE_MAX as u64) {
            let page = state.dead_letters_page(&filter, after, SAMPLE_MAX - sample.len());
            sample.extend(page.items.into_iter().filter_map(|(at, dead)| Seen::of(state, at, dead)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        (matched, sample)
    };
    let (matched, sample) = broker.look(look).await?;
    let render =
        move |shelf: &shelf::Shelf<'_>| sample.iter().map(|seen| redrive_jobs::sample(shelf, seen)).collect();
    Ok(RedriveDryRun { dry_run: true, matched, sample: shelf::render(broker, app, render).await? })
}

/// `GET /v1/dlq/jobs`: newest first.
pub(crate) async fn list(
    Engine(broker): Engine,
    Query(query): Query<RedriveJobListQuery>,
) -> Result<Answer<RedriveJobPage>, Problem> {
    let status = query.status.map(job_status);
    let before = convert::cursor(query.cursor.as_deref())?.map(JobNo);
    let limit = convert::limit(query.limit)?;
    let scope = broker.scope();
    let look = move |state: &driftq_core::State| {
        let page = state.redrive_jobs_page(&scope, status, before, limit);
        RedriveJobPage {
            jobs: page.items.into_iter().map(|job| redrive_jobs::job(state, job)).collect(),
            next_cursor: page.next.map(|next| next.to_string()),
        }
    };
    Ok(ok(broker.look(look).await?))
}

/// `GET /v1/dlq/jobs/{job_id}`, with `wait_ms` once it no longer runs.
pub(crate) async fn show(
    Engine(broker): Engine,
    JobParam(id): JobParam,
    Query(query): Query<RedriveJobQuery>,
) -> Result<Answer<RedriveJob>, Problem> {
    let no = named(&id)?;
    seen(&broker, no).await?;
    if let Some(wait) = query.wait_ms.filter(|wait| *wait > 0) {
        broker.job_end(no, Millis(wait.min(WAIT_MAX_MS))).await?;
    }
    Ok(ok(seen(&broker, no).await?))
}

/// `POST /v1/dlq/jobs/{job_id}/pause`: it moves nothing until it is resumed.
pub(crate) async fn pause(
    operator: Operator,
    id: JobParam,
    asked: Json<RedriveJobAct>,
) -> Result<Answer<RedriveJob>, Problem> {
    control(JobAct::Pause, operator, id, asked).await
}

/// `POST /v1/dlq/jobs/{job_id}/resume`: it goes on, also after it halted.
pub(crate) async fn resume(
    operator: Operator,
    id: JobParam,
    asked: Json<RedriveJobAct>,
) -> Result<Answer<RedriveJob>, Problem> {
    control(JobAct::Resume, operator, id, asked).await
}

/// `POST /v1/dlq/jobs/{job_id}/stop`: it moves nothing any more.
pub(crate) async fn stop(
    operator: Operator,
    id: JobParam,
    asked: Json<RedriveJobAct>,
) -> Result<Answer<RedriveJob>, Problem> {
    control(JobAct::Stop, operator, id, asked).await
}

async fn control(
    act: JobAct,
    operator: Operator,
    JobParam(id): JobParam,
    Json(request): Json<RedriveJobAct>,
) -> Result<Answer<RedriveJob>, Problem> {
    let job = named(&id)?;
    let reason = asked::reason(request.reason.as_deref())?;
    let told = match act {
        JobAct::Pause => "redrive_job.paused",
        JobAct::Resume => "redrive_job.resumed",
        JobAct::Stop => "redrive_job.stopped",
    };
    let told = Act::new(told, serde_json::json!({"job_id": job_id(job)})).because(reason.as_deref());
    let control = ControlRedriveJob { job, act, actor: operator.actor(), reason };
    operator.acting(told).control_redrive_job(control).await?;
    Ok(ok(seen(operator.broker(), job).await?))
}

fn named(id: &str) -> Result<JobNo, Problem> {
    job_no(id).ok_or_else(|| Problem::not_found(format!("unknown job {id:?}; GET /v1/dlq/jobs lists them")))
}

async fn seen(broker: &Broker, no: JobNo) -> Result<RedriveJob, Problem> {
    let scope = broker.scope();
    let look = move |state: &driftq_core::State| {
        let job = state.redrive_job(no).filter(|job| scope.sees_job(job));
        job.map(|job| redrive_jobs::job(state, job))
    };
    broker.look(look).await?.ok_or_else(|| Rejection::UnknownJob(no).into())
}
