//! Runs, their steps and their replays.

use super::failure_in_public;
use crate::json;
use crate::shelf::{Miss, Shelf, unreadable};
use driftq_api::{
    Failure, RawValue, ReplaySummary, RetryPolicy, Run, RunStatus, RunSummary, StartRunResponse, Step,
};
use driftq_core::{Event, Position, Record, TopicName};

/// A run as the state has it, with the name of its commands' topic.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) run: driftq_core::Run,
    pub(crate) topic: String,
}

impl Seen {
    /// Looks at a run.
    pub(crate) fn of(state: &driftq_core::State, run: &driftq_core::Run) -> Self {
        let topic = state.topics.get(&run.command.topic);
        Self {
            run: run.clone(),
            topic: topic.map_or_else(String::new, |topic| topic.name.as_str().to_owned()),
        }
    }
}

pub(crate) fn status(status: driftq_core::RunStatus) -> RunStatus {
    match status {
        driftq_core::RunStatus::Queued => RunStatus::Queued,
        driftq_core::RunStatus::Running => RunStatus::Running,
        driftq_core::RunStatus::Retrying => RunStatus::Retrying,
        driftq_core::RunStatus::Waiting => RunStatus::Waiting,
        driftq_core::RunStatus::Succeeded => RunStatus::Succeeded,
        driftq_core::RunStatus::Failed => RunStatus::Failed,
        driftq_core::RunStatus::Cancelled => RunStatus::Cancelled,
    }
}

/// The answer to a start. A repeat gets the first answer, whatever has become of the run since.
pub(crate) fn started(seen: &Seen) -> StartRunResponse {
    let run = &seen.run;
    StartRunResponse {
        run_id: run.id.as_str().to_owned(),
        status: RunStatus::Queued,
        replay_seq: 0,
        events_topic: events_topic(run),
        created_at_ms: run.created_at.0,
        workflow: run.workflow.as_str().to_owned(),
        topic: seen.topic.clone(),
        group: run.group.as_str().to_owned(),
        tenant_id: tenant(run),
    }
}

pub(crate) fn summary(run: &driftq_core::Run) -> RunSummary {
    RunSummary {
        run_id: run.id.as_str().to_owned(),
        workflow: run.workflow.as_str().to_owned(),
        status: status(run.status),
        replay_seq: run.replay_seq.0,
        attempts: run.attempt.0,
        events_topic: events_topic(run),
        created_at_ms: run.created_at.0,
        started_at_ms: started_at(run),
        ended_at_ms: ended_at(run),
        tenant_id: tenant(run),
        tags: run.tags.clone(),
    }
}

pub(crate) fn run(shelf: &Shelf<'_>, seen: &Seen) -> Result<Run, Miss> {
    let run = &seen.run;
    Ok(Run {
        run_id: run.id.as_str().to_owned(),
        workflow: run.workflow.as_str().to_owned(),
        status: status(run.status),
        replay_seq: run.replay_seq.0,
        attempts: run.attempt.0,
        events_topic: events_topic(run),
        created_at_ms: run.created_at.0,
        started_at_ms: started_at(run),
        ended_at_ms: ended_at(run),
        tenant_id: tenant(run),
        tags: run.tags.clone(),
        topic: seen.topic.clone(),
        group: run.group.as_str().to_owned(),
        retry_policy: RetryPolicy {
            max_attempts: Some(run.policy.max_attempts),
            backoff_ms: Some(run.policy.backoff.0),
            max_backoff_ms: Some(run.policy.max_backoff.0),
            jitter_ms: Some(run.policy.jitter.0),
        },
        input: json::raw(&shelf.input(run.input)?),
        result: run.result.map(|at| result(shelf, at)).transpose()?,
        error: run.failure.map(|at| error(shelf, at)).transpose()?,
        steps: steps(shelf, run)?,
        replays: run.replays.iter().map(replay).collect(),
    })
}

/// Finished steps in the order in which they finished.
pub(crate) fn steps(shelf: &Shelf<'_>, run: &driftq_core::Run) -> Result<Vec<Step>, Miss> {
    let mut stored: Vec<_> = run.steps.iter().collect();
    stored.sort_by_key(|(_, step)| step.position);
    let step = |(name, stored): (&driftq_core::StepName, &driftq_core::StoredStep)| {
        Ok(Step {
            step: name.as_str().to_owned(),
            replay_seq: stored.replay_seq.0,
            attempt: stored.attempt.0,
            completed_at_ms: stored.completed_at.0,
            duration_ms: stored.duration.map(|duration| duration.0),
            output: json::raw(&shelf.output(stored.position)?),
        })
    };
    stored.into_iter().map(step).collect()
}

fn result(shelf: &Shelf<'_>, at: Position) -> Result<Box<RawValue>, Miss> {
    match &*shelf.record(at)? {
        Record::EventAppended(appended) => match &appended.event {
            Event::Succeeded { result } => Ok(json::raw(result)),
            _ => Err(unreadable(at)),
        },
        _ => Err(unreadable(at)),
    }
}

fn error(shelf: &Shelf<'_>, at: Position) -> Result<Failure, Miss> {
    Ok(failure_in_public(&shelf.failed(at)?.error))
}

fn replay(replay: &driftq_core::Replay) -> ReplaySummary {
    ReplaySummary {
        replay_seq: replay.replay_seq.0,
        status: status(replay.status),
        started_at_ms: replay.started_at.map(|at| at.0),
        ended_at_ms: replay.ended_at.map(|at| at.0),
    }
}

fn events_topic(run: &driftq_core::Run) -> String {
    TopicName::timeline(&run.id).as_str().to_owned()
}

fn tenant(run: &driftq_core::Run) -> Option<String> {
    run.tenant.as_ref().map(|tenant| tenant.as_str().to_owned())
}

/// When a worker first had it.
fn started_at(run: &driftq_core::Run) -> Option<u64> {
    run.replays.first().and_then(|replay| replay.started_at).map(|at| at.0)
}

/// When its newest replay ended.
fn ended_at(run: &driftq_core::Run) -> Option<u64> {
    run.replays.last().and_then(|replay| replay.ended_at).map(|at| at.0)
}
