//! What a bulk redrive does by itself when its time has come.
//!
//! Promise: one job at a time, a bounded look and a bounded number of messages; the rate holds over every stretch of
//! time, and time in which a job could not work is not made up for, a moment's lateness aside.

use crate::closing::Because;
use crate::draft::Draft;
use crate::redrive::{Way, draft_redrive};
use crate::redrive_job::{Stage, Walk, draft_change, ns};
use crate::{
    Entropy, JobMove, JobSpan, JobStatus, MessageAt, Millis, Offset, Record, RedriveJob, RedriveJobAdvanced,
    RedriveSpec, RunNo, SHARE_ONE, State, Tracked,
};
use alloc::collections::BTreeSet;
use alloc::{boxed::Box, format, string::String, string::ToString, vec::Vec};

/// Dead letters that one step looks at.
const LOOK_MAX: usize = 2_000;
/// Dead letters that one step cannot move before it ends.
const PROBLEMS_MAX: usize = 64;
/// The shortest rest between two steps that have caught up.
const REST_MIN: Millis = Millis(10);
/// How much lateness is made up for.
const CATCH_UP_NS: u64 = 200_000_000;

/// Decides what the job does whose turn it is, about `max` facts at the most; empty when no job is due.
#[must_use]
pub fn decide_jobs(state: &State, entropy: Entropy, max: usize) -> Vec<Record> {
    let mut draft = Draft::new(state, entropy);
    let active = state.jobs.active.iter().filter_map(|no| state.jobs.all.get(no));
    let due = active.filter(|job| job.due().is_some_and(|at| at <= state.now));
    if let Some(job) = due.min_by_key(|job| job.applied) {
        step(&mut draft, job, max);
    }
    draft.finish()
}

fn step(draft: &mut Draft<'_>, job: &RedriveJob, max: usize) {
    match job.stage() {
        Stage::Rest => {}
        Stage::Finish => draft_change(draft, job, JobStatus::Done, job.is_past_canary, None, None),
        Stage::Halt => {
            draft_change(draft, job, JobStatus::Halted, job.is_past_canary, None, Some(why_halted(job)))
        }
        Stage::Judge if has_failed_canary(job) => {
            draft_change(draft, job, JobStatus::Halted, job.is_past_canary, None, Some(why_halted(job)));
        }
        Stage::Judge => draft_change(draft, job, JobStatus::Running, true, None, None),
        Stage::Move(most) => move_some(draft, job, most, max),
    }
}

fn has_failed_canary(job: &RedriveJob) -> bool {
    match job.spec.stop_share {
        Some(_) => job.is_share_reached(),
        None => job.judged().1 > 0,
    }
}

fn why_halted(job: &RedriveJob) -> String {
    let (succeeded, failed) = job.judged();
    let of = if job.is_in_canary() { "the canary's " } else { "" };
    let limit = job.spec.stop_share.map_or(String::new(), |share| {
        let hundredths = u64::from(share) * 10_000 / u64::from(SHARE_ONE);
        format!(", the limit is {}.{:02} %", hundredths / 100, hundredths % 100)
    });
    format!("{failed} of {of}{} that ended died again{limit}", succeeded + failed)
}

/// What one step has done so far.
struct Step {
    walk: Walk,
    due_ns: u64,
    looked: usize,
    runs: BTreeSet<RunNo>,
    problems: Vec<(MessageAt, String)>,
}

fn move_some(draft: &mut Draft<'_>, job: &RedriveJob, most: u64, max: usize) {
    let state = draft.state;
    let now_ns = ns(state.now);
    let (walk, spans) = job.walk();
    let due_ns = job.due_ns().max(now_ns.saturating_sub(CATCH_UP_NS));
    let mut step = Step { walk, due_ns, looked: 0, runs: BTreeSet::new(), problems: Vec::new() };
    let mut left = most;
    while left > 0 && step.due_ns <= now_ns && draft.len() < max && step.problems.len() < PROBLEMS_MAX {
        let before = step.walk;
        let Some(at) = step.next(state, &job.spec, spans) else { break };
        match move_one(draft, job, at, &mut step.runs) {
            Moved::Yes => {
                step.due_ns += job.spec.interval_ns();
                left -= 1;
            }
            Moved::Not(why) => step.problems.push((at, why)),
            Moved::Later => {
                step.walk = before;
                break;
            }
        }
    }
    let has_caught_up = step.due_ns > now_ns;
    draft.push(Record::RedriveJobAdvanced(Box::new(RedriveJobAdvanced {
        job: job.no,
        span: step.walk.span,
        from: step.walk.from,
        due_ns: step.due_ns,
        not_before: if has_caught_up { state.now.after(REST_MIN) } else { state.now },
        problems: step.problems,
    })));
}

impl Step {
    /// The next dead letter that is open and wanted; `None` at the end, or after a bounded look.
    fn next(&mut self, state: &State, spec: &RedriveSpec, spans: &[JobSpan]) -> Option<MessageAt> {
        loop {
            let span = spans.get(usize::try_from(self.walk.span).ok()?)?;
            if self.looked >= LOOK_MAX {
                return None;
            }
            self.looked += 1;
            let Some(offset) = next_open(state, span, self.walk.from) else {
                let next = spans.get(usize::try_from(self.walk.span).ok()? + 1);
                self.walk = Walk { span: self.walk.span + 1, from: next.map_or(Offset(0), |span| span.from) };
                continue;
            };
            self.walk.from = offset.next();
            let at = MessageAt { topic: span.topic, partition: span.partition, offset };
            if is_wanted(state, spec, at) {
                return Some(at);
            }
        }
    }
}

fn next_open(state: &State, span: &JobSpan, from: Offset) -> Option<Offset> {
    let partition = state.topics.get(&span.topic)?.partition(span.partition)?;
    if from >= span.until {
        return None;
    }
    partition.rare().open_dead.range(from..span.until).next().map(|(offset, ())| *offset)
}

fn is_wanted(state: &State, spec: &RedriveSpec, at: MessageAt) -> bool {
    let Some(topic) = state.topics.get(&at.topic) else { return false };
    let entry = topic.partition(at.partition).and_then(|partition| partition.entry(at.offset));
    let tenant = entry.as_ref().and_then(|entry| topic.tenant(entry));
    let is_wanted = state.dead_letter(at).is_some_and(|dead| spec.filter.wants(dead, tenant));
    is_wanted && spec.filter.scope.sees_dead_letter(state, at)
}

enum Moved {
    Yes,
    Not(String),
    /// Its run is replayed in this very step.
    Later,
}

fn move_one(draft: &mut Draft<'_>, job: &RedriveJob, at: MessageAt, runs: &mut BTreeSet<RunNo>) -> Moved {
    let Some(dead) = draft.state.dead_letter(at) else { return Moved::Not("it is gone".to_string()) };
    let tracked = match dead.run {
        Some(of) if !runs.insert(of.run) => return Moved::Later,
        Some(of) => Tracked::Run(of.run),
        None => Tracked::Message(at),
    };
    let moved = JobMove { job: job.no, tracked };
    let because = Because { actor: job.actor.clone(), reason: job.reason.clone(), moved: Some(moved) };
    match draft_redrive(draft, at, dead, Way::default(), because) {
        Ok(_) => Moved::Yes,
        Err(rejection) => Moved::Not(rejection.to_string()),
    }
}
