//! Runs: start, events, steps and replays as their workers and users ask for them.

use super::produce::due;
use super::settle::lease_id;
use super::{group, idempotency, required, tenant, topic, trimmed};
use crate::json;
use crate::problem::Problem;
use driftq_api::{
    NewEvent, PostEventsRequest, RawValue, RetryPolicyRequest, RunListQuery, StartRunRequest, StepRequest,
};
use driftq_core::{
    AppendEvents, CreateRun, Millis, RetryPolicy, RunFilter, RunId, RunStatus, Scope, StepName, StoreStep,
    TenantId, WallTime, WorkerEvent, WorkflowName,
};

const TOPIC_DEFAULT: &str = "runs.commands";
const GROUP_DEFAULT: &str = "workers";
const MAX_ATTEMPTS_DEFAULT: u32 = 5;
const BACKOFF_DEFAULT: u64 = 1_000;
const MAX_BACKOFF_DEFAULT: u64 = 60_000;
/// The most tags of a run.
const TAGS_MAX: usize = 32;
/// The longest tag, bytes.
const TAG_BYTES_MAX: usize = 200;
/// The most events of one request.
const EVENTS_MAX: usize = 1_000;
/// The longest type of an event, bytes.
const EVENT_KIND_MAX: usize = 200;
/// What of `run.*` a worker may write.
const WORKER_RUN_EVENTS: [&str; 3] = ["run.started", "run.log", "run.progress"];
/// What only the broker sets.
const BROKER_FIELDS: [&str; 4] = ["seq", "run_id", "replay_seq", "attempt"];

pub(crate) fn start(
    asked: StartRunRequest,
    header_key: Option<&str>,
    bytes_max: usize,
    own_tenant: Option<&TenantId>,
) -> Result<CreateRun, Problem> {
    let tenant = tenant(asked.tenant_id.as_deref())?.or(own_tenant.cloned());
    let key = asked.idempotency_key.as_deref().filter(|key| !key.is_empty()).or(header_key);
    Ok(CreateRun {
        run_id: match trimmed(asked.run_id.as_deref()) {
            Some(text) => RunId::parse(text)?,
            None => made_run_id(),
        },
        workflow: WorkflowName::parse(required("workflow", asked.workflow.as_deref())?)?,
        input: document("input", asked.input.as_deref(), bytes_max)?,
        idempotency: idempotency(key, asked.idempotency_fingerprint, tenant.as_ref())?,
        tenant,
        topic: topic(Some(trimmed(asked.topic.as_deref()).unwrap_or(TOPIC_DEFAULT)))?,
        group: group(Some(trimmed(asked.group.as_deref()).unwrap_or(GROUP_DEFAULT)))?,
        policy: policy(asked.retry_policy.unwrap_or_default()),
        due: due(None, asked.deliver_at_ms)?,
        tags: tags(asked.tags.unwrap_or_default())?,
    })
}

/// A policy filled field by field from the defaults.
fn policy(asked: RetryPolicyRequest) -> RetryPolicy {
    RetryPolicy {
        max_attempts: asked.max_attempts.unwrap_or(MAX_ATTEMPTS_DEFAULT),
        backoff: Millis(asked.backoff_ms.unwrap_or(BACKOFF_DEFAULT)),
        max_backoff: Millis(asked.max_backoff_ms.unwrap_or(MAX_BACKOFF_DEFAULT)),
        jitter: Millis(asked.jitter_ms.unwrap_or(0)),
    }
}

fn made_run_id() -> RunId {
    RunId::parse(&format!("run_{}", uuid::Uuid::now_v7().simple())).expect("a made run id is a valid one")
}

fn tags(given: Vec<String>) -> Result<Vec<String>, Problem> {
    if given.len() > TAGS_MAX {
        return Err(Problem::invalid(format!("at most {TAGS_MAX} tags, not {}", given.len())));
    }
    let is_bad =
        |tag: &&String| tag.is_empty() || tag.len() > TAG_BYTES_MAX || tag.chars().any(char::is_control);
    match given.iter().find(is_bad) {
        Some(tag) => Err(Problem::invalid(format!(
            "tag {tag:?} must have 1 to {TAG_BYTES_MAX} bytes without control characters"
        ))),
        None => Ok(given),
    }
}

/// A user's document as it is stored; absent is `null`.
pub(crate) fn document(name: &str, given: Option<&RawValue>, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let json = given.map_or_else(|| Ok(b"null".to_vec()), |given| json::minified(name, given))?;
    if json.len() > bytes_max {
        return Err(Problem::too_large(format!(
            "{name} has {} bytes; at most {bytes_max} are taken",
            json.len()
        )));
    }
    Ok(json)
}

pub(crate) fn filter(query: &RunListQuery, scope: Scope) -> Result<RunFilter, Problem> {
    use driftq_api::RunStatus as Wire;
    Ok(RunFilter {
        status: query.status.map(|status| match status {
            Wire::Queued => RunStatus::Queued,
            Wire::Running => RunStatus::Running,
            Wire::Retrying => RunStatus::Retrying,
            Wire::Waiting => RunStatus::Waiting,
            Wire::Succeeded => RunStatus::Succeeded,
            Wire::Failed => RunStatus::Failed,
            Wire::Cancelled => RunStatus::Cancelled,
        }),
        workflow: trimmed(query.workflow.as_deref()).map(WorkflowName::parse).transpose()?,
        tenant: tenant(query.tenant_id.as_deref())?,
        tag: query.tag.clone(),
        scope,
    })
}

pub(crate) fn events(
    run_id: RunId,
    asked: PostEventsRequest,
    bytes_max: usize,
) -> Result<AppendEvents, Problem> {
    if asked.events.is_empty() || asked.events.len() > EVENTS_MAX {
        return Err(Problem::invalid(format!(
            "events must be 1 to {EVENTS_MAX}, not {}",
            asked.events.len()
        )));
    }
    let events = asked.events.into_iter().enumerate();
    let events: Vec<_> = events
        .map(|(index, event)| {
            worker_event(event).map_err(|problem| problem.within(&format!("events[{index}]")))
        })
        .collect::<Result<_, _>>()?;
    let bytes: usize = events.iter().map(|event| event.json.len()).sum();
    if bytes > bytes_max {
        return Err(Problem::too_large(format!(
            "the events have {bytes} bytes; at most {bytes_max} are taken at once"
        )));
    }
    Ok(AppendEvents { run_id, events, lease: trimmed(asked.lease_id.as_deref()).map(lease_id) })
}

fn worker_event(event: NewEvent) -> Result<WorkerEvent, Problem> {
    let kind = event.kind.as_str();
    let is_named = !kind.is_empty() && kind.len() <= EVENT_KIND_MAX && !kind.chars().any(char::is_control);
    if !is_named {
        return Err(Problem::invalid(format!(
            "type {kind:?} must have 1 to {EVENT_KIND_MAX} bytes without control characters"
        )));
    }
    let is_reserved = kind.starts_with("run.") && !WORKER_RUN_EVENTS.contains(&kind);
    if is_reserved || kind.starts_with("worker.") || kind == "step.completed" {
        return Err(Problem::invalid(format!(
            "type {kind:?} is written by the broker alone; choose a name of your own"
        )));
    }
    let mut ts = None;
    let mut json = br#"{"type":"#.to_vec();
    json.extend(json::bytes_of(&kind));
    for (name, value) in &event.fields.0 {
        if BROKER_FIELDS.contains(&name.as_str()) {
            return Err(Problem::invalid(format!("field {name:?} is set by the broker; leave it out")));
        }
        let value = json::minified(name, value)?;
        if name == "ts" {
            let at = serde_json::from_slice(&value);
            ts =
                Some(WallTime(at.map_err(|_| {
                    Problem::invalid("ts must be a whole number of milliseconds since 1970")
                })?));
            continue;
        }
        json.push(b',');
        json.extend(json::bytes_of(name));
        json.push(b':');
        json.extend(value);
    }
    json.push(b'}');
    Ok(WorkerEvent { json, ts })
}

pub(crate) fn step(
    run_id: RunId,
    step: StepName,
    asked: &StepRequest,
    bytes_max: usize,
) -> Result<StoreStep, Problem> {
    Ok(StoreStep {
        run_id,
        step,
        lease: lease_id(required("lease_id", asked.lease_id.as_deref())?),
        output: document("output", asked.output.as_deref(), bytes_max)?,
        duration: asked.duration_ms.map(Millis),
    })
}
