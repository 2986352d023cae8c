//! Bulk redrives as they are shown.

use super::dead_letters::Seen;
use super::last_error;
use crate::convert::dead_letters::job_id;
use crate::shelf::{Miss, Shelf};
use driftq_api::{
    DeadLetterAddress, RedriveJob, RedriveJobFilter, RedriveJobPhase, RedriveJobStatus, RedriveProblem,
    RedriveSample,
};
use driftq_core::{DeadLetterFilter, JobStatus, MessageAt, SHARE_ONE, State};

/// The unit in which rates are kept: messages in so many seconds.
const RATE_UNIT: f64 = 1_000.0;

pub(crate) fn job(state: &State, job: &driftq_core::RedriveJob) -> RedriveJob {
    RedriveJob {
        job_id: job_id(job.no),
        status: status(job.status),
        phase: if job.is_in_canary() { RedriveJobPhase::Canary } else { RedriveJobPhase::Rest },
        filter: filter(state, &job.spec.filter),
        rate_per_s: f64::from(job.spec.rate_milli) / RATE_UNIT,
        canary: job.spec.canary,
        stop_at_failure_share: job.spec.stop_share.map(|share| f64::from(share) / f64::from(SHARE_ONE)),
        matched: job.matched,
        moved: job.moved,
        succeeded: job.succeeded,
        failed: job.failed,
        withdrawn: job.withdrawn,
        waiting: job.waiting(),
        skipped: job.skipped(),
        created_at_ms: job.created_at.0,
        ended_at_ms: job.ended_at.map(|at| at.0),
        actor: job.actor.clone(),
        reason: job.reason.clone(),
        stop_reason: job.stop_reason.clone(),
        problems: job.problems.iter().map(|(at, why)| problem(state, *at, why)).collect(),
    }
}

fn status(status: JobStatus) -> RedriveJobStatus {
    match status {
        JobStatus::Running => RedriveJobStatus::Running,
        JobStatus::Paused => RedriveJobStatus::Paused,
        JobStatus::Stopped => RedriveJobStatus::Stopped,
        JobStatus::Done => RedriveJobStatus::Done,
        JobStatus::Halted => RedriveJobStatus::Halted,
    }
}

fn filter(state: &State, filter: &DeadLetterFilter) -> RedriveJobFilter {
    let run = filter.run.and_then(|no| state.runs.get(&no));
    RedriveJobFilter {
        topic: filter.topic.as_ref().map(|topic| topic.as_str().to_owned()),
        group: filter.group.as_ref().map(|group| group.as_str().to_owned()),
        run_id: run.map(|run| run.id.as_str().to_owned()),
        reason: filter.reason.map(|reason| reason.as_str().to_owned()),
        fingerprint: filter.fingerprint.map(|fingerprint| fingerprint.to_string()),
        tenant_id: filter.tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
        since_ms: filter.since.map(|at| at.0),
        until_ms: filter.until.map(|at| at.0),
        q: None,
    }
}

fn problem(state: &State, at: MessageAt, why: &str) -> RedriveProblem {
    let topic = state.topics.get(&at.topic);
    RedriveProblem {
        dead_letter: DeadLetterAddress {
            topic: topic.map_or_else(String::new, |topic| topic.name.as_str().to_owned()),
            partition: at.partition.0,
            offset: at.offset.0,
        },
        message: why.to_owned(),
    }
}

pub(crate) fn sample(shelf: &Shelf<'_>, seen: &Seen) -> Result<RedriveSample, Miss> {
    Ok(RedriveSample {
        topic: shelf.name(seen.at.topic)?,
        partition: seen.at.partition.0,
        offset: seen.at.offset.0,
        original_topic: shelf.name(seen.dead.original.topic)?,
        last_error: last_error(shelf, &seen.dead.history, Some(seen.dead.reason))?,
    })
}
