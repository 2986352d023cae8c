//! Bulk redrive: a job that moves open dead letters at a rate and follows what becomes of them.
//!
//! Promise: a job is a few numbers and a place in the list, all of them facts; each message is moved in one transition
//! with the job's own progress, so nothing is moved twice. What it moved is watched at the cost of one small entry a
//! message, until that message has ended. It needs nobody who is connected.

use crate::draft::Draft;
use crate::idempotency::{self, KeyHit};
use crate::produce::{find_key, make_room_for_key};
use crate::views::{Page, SCAN_MAX};
use crate::{
    ControlRedriveJob, DeadLetterFilter, Event, Instant, JobAct, JobMove, JobNo, JobSpan, MessageAt, Offset,
    PartitionId, Position, Record, RedriveEnded, RedriveJobAdvanced, RedriveJobChanged, RedriveJobStarted,
    RedriveOutcome, Rejection, Reply, Scope, StartRedriveJob, State, Tracked, WallTime,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::{boxed::Box, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// Jobs that are not over, at the most.
pub const JOBS_ACTIVE_MAX: usize = 16;
/// Jobs that are kept, those that are over included.
pub const JOBS_KEPT_MAX: usize = 1_000;
/// Partitions that one job walks through.
pub const JOB_SPANS_MAX: usize = 16_384;
/// Dead letters that could not be moved, as a job remembers them.
pub const JOB_PROBLEMS_MAX: usize = 5;
/// Moved messages that must have ended before a share of failures says anything.
pub const JOB_SAMPLE_MIN: u64 = 10;
/// A share of one, in the unit in which shares are kept.
pub const SHARE_ONE: u32 = 1_000_000;
/// The rates a job may have, messages in 1 000 seconds.
pub const RATE_MILLI_MAX: u32 = 10_000_000;

const NS_PER_MS: u64 = 1_000_000;
const MS_PER_RATE: u64 = 1_000_000;

/// What a job moves, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveSpec {
    /// Which open dead letters.
    pub filter: DeadLetterFilter,
    /// How many in 1 000 seconds, 1 to [`RATE_MILLI_MAX`].
    pub rate_milli: u32,
    /// How many first.
    pub canary: Option<u64>,
    /// The share of failures at which it halts, of [`SHARE_ONE`].
    pub stop_share: Option<u32>,
}

impl RedriveSpec {
    /// The time from one message to the next.
    pub(crate) fn interval_ns(&self) -> u64 {
        MS_PER_RATE * NS_PER_MS / u64::from(self.rate_milli.max(1))
    }
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobStatus {
    /// It moves messages, or waits for those it moved.
    Running,
    /// Somebody paused it.
    Paused,
    /// Somebody stopped it for good.
    Stopped,
    /// All is moved and has ended.
    Done,
    /// Too many died again.
    Halted,
}

impl JobStatus {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Halted => "halted",
        }
    }

    /// Whether nothing can move it on.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Stopped | Self::Done => true,
            Self::Running | Self::Paused | Self::Halted => false,
        }
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveJob {
    /// Its ordinal.
    pub no: JobNo,
    /// The last record that changed it.
    pub applied: Position,
    /// What it moves, and how.
    pub spec: RedriveSpec,
    /// How it stands.
    pub status: JobStatus,
    /// Whether its canary, if it has one, is behind it.
    pub is_past_canary: bool,
    /// How many open dead letters it covers.
    pub matched: u64,
    /// How many it moved.
    pub moved: u64,
    /// How many of those ended well.
    pub succeeded: u64,
    /// How many of those are dead again.
    pub failed: u64,
    /// How many of those were taken away.
    pub withdrawn: u64,
    /// How many could not be moved.
    pub refused: u64,
    /// The newest of those, and why.
    pub problems: Vec<(MessageAt, String)>,
    /// When it began, wall clock.
    pub created_at: WallTime,
    /// When it was over, wall clock.
    pub ended_at: Option<WallTime>,
    /// Who began it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Why it is paused, stopped or halted.
    pub stop_reason: Option<String>,
    /// Successes and failures that are forgiven since it went on after a halt.
    forgiven: (u64, u64),
    spans: Vec<JobSpan>,
    walk: Walk,
    due_ns: u64,
    not_before: Instant,
}

/// Where a job looks on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Walk {
    pub(crate) span: u32,
    pub(crate) from: Offset,
}

/// What a job would do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing by itself.
    Rest,
    /// Move the next messages, at most so many.
    Move(u64),
    /// Judge the canary.
    Judge,
    /// Halt.
    Halt,
    /// Be done.
    Finish,
}

impl RedriveJob {
    /// How many moved messages have not ended.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.moved.saturating_sub(self.succeeded + self.failed + self.withdrawn)
    }

    /// How many it passed over.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        let is_complete = self.is_walked_out() && self.status != JobStatus::Stopped;
        if is_complete { self.matched.saturating_sub(self.moved) } else { self.refused }
    }

    /// Whether it moves its canary, or waits for it.
    #[must_use]
    pub fn is_in_canary(&self) -> bool {
        self.spec.canary.is_some() && !self.is_past_canary
    }

    /// Successes and failures that count for a halt.
    pub(crate) fn judged(&self) -> (u64, u64) {
        (self.succeeded.saturating_sub(self.forgiven.0), self.failed.saturating_sub(self.forgiven.1))
    }

    fn is_walked_out(&self) -> bool {
        usize::try_from(self.walk.span).is_ok_and(|span| span >= self.spans.len())
    }

    pub(crate) fn walk(&self) -> (Walk, &[JobSpan]) {
        (self.walk, &self.spans)
    }

    pub(crate) fn due_ns(&self) -> u64 {
        self.due_ns
    }

    pub(crate) fn is_share_reached(&self) -> bool {
        let (succeeded, failed) = self.judged();
        let ended = succeeded + failed;
        self.spec.stop_share.is_some_and(|share| {
            ended > 0 && u128::from(failed) * u128::from(SHARE_ONE) >= u128::from(share) * u128::from(ended)
        })
    }

    pub(crate) fn stage(&self) -> Stage {
        let (succeeded, failed) = self.judged();
        let has_ended = self.waiting() == 0;
        let canary_left = match self.spec.canary {
            Some(canary) if self.is_in_canary() => canary.saturating_sub(self.moved),
            Some(_) | None => u64::MAX,
        };
        match self.status {
            JobStatus::Paused | JobStatus::Stopped | JobStatus::Done | JobStatus::Halted => Stage::Rest,
            JobStatus::Running if self.is_walked_out() && has_ended => Stage::Finish,
            JobStatus::Running if self.is_walked_out() => Stage::Rest,
            JobStatus::Running if canary_left == 0 && has_ended => Stage::Judge,
            JobStatus::Running if succeeded + failed >= JOB_SAMPLE_MIN && self.is_share_reached() => {
                Stage::Halt
            }
            JobStatus::Running if canary_left == 0 => Stage::Rest,
            JobStatus::Running => Stage::Move(canary_left),
        }
    }

    /// When core time lets it do something by itself.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match self.stage() {
            Stage::Rest => None,
            Stage::Judge | Stage::Halt | Stage::Finish => Some(Instant(0)),
            Stage::Move(_) => Some(Instant(self.due_ns.div_ceil(NS_PER_MS)).max(self.not_before)),
        }
    }
}

pub(crate) fn ns(at: Instant) -> u64 {
    at.0.saturating_mul(NS_PER_MS)
}

/// All jobs, and what they wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Jobs {
    pub(crate) all: BTreeMap<JobNo, RedriveJob>,
    pub(crate) active: BTreeSet<JobNo>,
    pub(crate) tracked: BTreeMap<Tracked, JobNo>,
}

impl Jobs {
    pub(crate) fn adopt(&mut self, job: RedriveJob, tracked: Vec<Tracked>) {
        self.tracked.extend(tracked.into_iter().map(|tracked| (tracked, job.no)));
        if !job.status.is_over() {
            self.active.insert(job.no);
        }
        self.all.insert(job.no, job);
    }

    pub(crate) fn tracked_by(&self, no: JobNo) -> Vec<Tracked> {
        let is_waiting = self.all.get(&no).is_some_and(|job| job.waiting() > 0);
        let tracked = self.tracked.iter().filter(|(_, job)| is_waiting && **job == no);
        tracked.map(|(tracked, _)| *tracked).collect()
    }

    /// What a fact ends of what was moved.
    pub(crate) fn ended_by(&self, state: &State, record: &Record) -> Option<RedriveEnded> {
        if self.tracked.is_empty() {
            return None;
        }
        let (tracked, outcome) = match record {
            Record::Acked(fact) => {
                let topic = state.groups.get(&fact.of.group)?.topic;
                let at = MessageAt { topic, partition: fact.of.partition, offset: fact.of.offset };
                (Tracked::Message(at), RedriveOutcome::Succeeded)
            }
            Record::DeadLettered(fact) => (Tracked::Message(fact.original), RedriveOutcome::DeadAgain),
            Record::EventAppended(fact) => {
                let outcome = match &fact.event {
                    Event::Succeeded { .. } => RedriveOutcome::Succeeded,
                    Event::Failed { .. } => RedriveOutcome::DeadAgain,
                    Event::Cancelled { .. } => RedriveOutcome::Withdrawn,
                    _ => return None,
                };
                (Tracked::Run(fact.of.run), outcome)
            }
            _ => return None,
        };
        let job = *self.tracked.get(&tracked)?;
        Some(RedriveEnded { job, tracked, outcome })
    }

    fn forget(&mut self, no: JobNo) {
        self.tracked.retain(|_, job| *job != no);
        self.active.remove(&no);
        self.all.remove(&no);
    }
}

impl State {
    /// A job.
    #[must_use]
    pub fn redrive_job(&self, no: JobNo) -> Option<&RedriveJob> {
        self.jobs.all.get(&no)
    }

    /// Jobs, newest first, below `before`.
    #[must_use]
    pub fn redrive_jobs_page(
        &self,
        scope: &Scope,
        status: Option<JobStatus>,
        before: Option<JobNo>,
        limit: usize,
    ) -> Page<&RedriveJob, JobNo> {
        let mut items = Vec::new();
        let mut last = None;
        let upper = before.unwrap_or(JobNo(u64::MAX));
        for (looked, (no, job)) in self.jobs.all.range(..upper).rev().enumerate() {
            if items.len() >= limit || looked >= SCAN_MAX {
                return Page { items, next: last };
            }
            last = Some(*no);
            if status.is_none_or(|status| job.status == status) && scope.sees_job(job) {
                items.push(job);
            }
        }
        Page { items, next: None }
    }

    /// When core time lets a job do something next.
    #[must_use]
    pub fn next_job(&self) -> Option<Instant> {
        let active = self.jobs.active.iter().filter_map(|no| self.jobs.all.get(no));
        active.filter_map(RedriveJob::due).min()
    }

    /// The job that this record has not changed yet.
    fn job_effect(&mut self, no: JobNo, position: Position) -> Option<&mut RedriveJob> {
        let job = self.jobs.all.get_mut(&no)?;
        let is_new = position > job.applied;
        job.applied = job.applied.max(position);
        is_new.then_some(job)
    }
}

pub(crate) fn decide_start(draft: &mut Draft<'_>, start: StartRedriveJob) -> Result<Reply, Rejection> {
    let state = draft.state;
    let key = start.idempotency.as_ref().map(|key| idempotency::mark(key, idempotency::Scope::RedriveJob));
    if let Some(mark) = &key
        && let Some(KeyHit::RedriveJob(job)) = find_key(draft, mark, state.limits.key_window)?
    {
        return Ok(Reply::RedriveJob { job, duplicate: true });
    }
    if state.jobs.active.len() >= JOBS_ACTIVE_MAX {
        return Err(Rejection::TooManyJobs(JOBS_ACTIVE_MAX));
    }
    let matched = state.dead_letters_count(&start.spec.filter);
    if matched == 0 {
        return Err(Rejection::NoDeadLetterMatches);
    }
    let spans = spans(state, &start.spec.filter);
    if spans.len() > JOB_SPANS_MAX {
        return Err(Rejection::TooManyPartitionsToRedrive(JOB_SPANS_MAX));
    }
    let job = state.jobs.all.keys().next_back().map_or(JobNo(1), |newest| newest.next());
    let mut over = state.jobs.all.values().filter(|job| job.status.is_over());
    let forget = over.next().filter(|_| state.jobs.all.len() >= JOBS_KEPT_MAX).map(|job| job.no);
    if key.is_some() {
        make_room_for_key(draft);
    }
    draft.push(Record::RedriveJobStarted(Box::new(RedriveJobStarted {
        job,
        spec: start.spec,
        matched,
        spans,
        at: state.now,
        wall: state.wall,
        actor: start.actor,
        reason: start.reason,
        key,
        forget,
    })));
    Ok(Reply::RedriveJob { job, duplicate: false })
}

/// Where the open dead letters lie that a filter may want; what comes later is behind their ends.
fn spans(state: &State, filter: &DeadLetterFilter) -> Vec<JobSpan> {
    if filter.run.is_some() {
        let page = state.dead_letters_page(filter, None, SCAN_MAX);
        let of = |at: MessageAt| JobSpan {
            topic: at.topic,
            partition: at.partition,
            from: at.offset,
            until: at.offset.next(),
        };
        return page.items.into_iter().map(|(at, _)| of(at)).collect();
    }
    let mut spans = Vec::new();
    for (id, topic) in state.dead_letter_topics(filter, None) {
        for (partition, index) in topic.partitions.iter().zip(0..) {
            let mut open = partition.open_dead_letters();
            let Some(from) = open.next() else { continue };
            let until = open.next_back().unwrap_or(from).next();
            spans.push(JobSpan { topic: id, partition: PartitionId(index), from, until });
            if spans.len() > JOB_SPANS_MAX {
                return spans;
            }
        }
    }
    spans
}

pub(crate) fn decide_control(draft: &mut Draft<'_>, control: ControlRedriveJob) -> Result<Reply, Rejection> {
    let job = draft.state.jobs.all.get(&control.job).ok_or(Rejection::UnknownJob(control.job))?;
    if job.status.is_over() {
        return Err(Rejection::JobOver(job.status.as_str()));
    }
    let to = match (control.act, job.status) {
        (JobAct::Pause, JobStatus::Running) => Some(JobStatus::Paused),
        (JobAct::Resume, JobStatus::Paused | JobStatus::Halted) => Some(JobStatus::Running),
        (JobAct::Stop, _) => Some(JobStatus::Stopped),
        (JobAct::Pause | JobAct::Resume, _) => None,
    };
    if let Some(to) = to {
        // Whoever resumes after a halt has seen the canary.
        let is_past_canary = job.is_past_canary || job.status == JobStatus::Halted;
        draft_change(draft, job, to, is_past_canary, control.actor, control.reason);
    }
    Ok(Reply::RedriveJob { job: control.job, duplicate: false })
}

pub(crate) fn draft_change(
    draft: &mut Draft<'_>,
    job: &RedriveJob,
    to: JobStatus,
    is_past_canary: bool,
    actor: Option<String>,
    reason: Option<String>,
) {
    let (at, wall) = (draft.state.now, draft.state.wall);
    let changed = RedriveJobChanged { job: job.no, to, is_past_canary, at, wall, actor, reason };
    draft.push(Record::RedriveJobChanged(Box::new(changed)));
}

pub(crate) fn apply_started(state: &mut State, position: Position, fact: &RedriveJobStarted) {
    idempotency::apply_key(state, position, fact.key.as_ref(), KeyHit::RedriveJob(fact.job));
    if let Some(old) = fact.forget {
        state.jobs.forget(old);
    }
    if state.jobs.all.contains_key(&fact.job) {
        return;
    }
    let job = RedriveJob {
        no: fact.job,
        applied: position,
        spec: fact.spec.clone(),
        status: JobStatus::Running,
        is_past_canary: false,
        matched: fact.matched,
        moved: 0,
        succeeded: 0,
        failed: 0,
        withdrawn: 0,
        refused: 0,
        problems: Vec::new(),
        created_at: fact.wall,
        ended_at: None,
        actor: fact.actor.clone(),
        reason: fact.reason.clone(),
        stop_reason: None,
        forgiven: (0, 0),
        walk: Walk { span: 0, from: fact.spans.first().map_or(Offset(0), |span| span.from) },
        spans: fact.spans.clone(),
        due_ns: ns(fact.at),
        not_before: fact.at,
    };
    state.jobs.adopt(job, Vec::new());
}

pub(crate) fn apply_moved(state: &mut State, position: Position, moved: &JobMove) {
    if let Some(job) = state.job_effect(moved.job, position) {
        job.moved += 1;
        state.jobs.tracked.insert(moved.tracked, moved.job);
    }
}

pub(crate) fn apply_advanced(state: &mut State, position: Position, fact: &RedriveJobAdvanced) {
    let Some(job) = state.job_effect(fact.job, position) else { return };
    job.walk = Walk { span: fact.span, from: fact.from };
    job.due_ns = fact.due_ns;
    job.not_before = fact.not_before;
    job.refused += fact.problems.len() as u64;
    job.problems.extend(fact.problems.iter().cloned());
    let surplus = job.problems.len().saturating_sub(JOB_PROBLEMS_MAX);
    job.problems.drain(..surplus);
}

pub(crate) fn apply_changed(state: &mut State, position: Position, fact: &RedriveJobChanged) {
    let Some(job) = state.job_effect(fact.job, position) else { return };
    let before = core::mem::replace(&mut job.status, fact.to);
    job.is_past_canary = fact.is_past_canary;
    match fact.to {
        JobStatus::Running => {
            // What it did not move meanwhile it does not make up for.
            job.due_ns = job.due_ns.max(ns(fact.at));
            job.stop_reason = None;
            if before == JobStatus::Halted {
                job.forgiven = (job.succeeded, job.failed);
            }
        }
        JobStatus::Paused | JobStatus::Halted => job.stop_reason = fact.reason.clone(),
        JobStatus::Stopped | JobStatus::Done => {
            job.stop_reason = fact.reason.clone();
            job.ended_at = Some(fact.wall);
            job.spans = Vec::new();
            state.jobs.active.remove(&fact.job);
        }
    }
}

pub(crate) fn apply_ended(state: &mut State, position: Position, fact: RedriveEnded) {
    let Some(job) = state.job_effect(fact.job, position) else { return };
    let count = match fact.outcome {
        RedriveOutcome::Succeeded => &mut job.succeeded,
        RedriveOutcome::DeadAgain => &mut job.failed,
        RedriveOutcome::Withdrawn => &mut job.withdrawn,
    };
    *count += 1;
    state.jobs.tracked.remove(&fact.tracked);
}

/// Stops waiting for messages that nobody will settle any more, because what they lay in is gone or was passed by.
/// `is_gone` has to follow from the fact alone: the state around it may be newer.
pub(crate) fn withdraw(state: &mut State, position: Position, is_gone: impl Fn(MessageAt) -> bool) {
    let gone = state.jobs.tracked.iter().filter(|(tracked, _)| match tracked {
        Tracked::Message(at) => is_gone(*at),
        Tracked::Run(_) => false,
    });
    let gone: Vec<_> = gone.map(|(tracked, job)| (*tracked, *job)).collect();
    let mut counts: BTreeMap<JobNo, u64> = BTreeMap::new();
    for (tracked, job) in gone {
        state.jobs.tracked.remove(&tracked);
        *counts.entry(job).or_default() += 1;
    }
    for (job, count) in counts {
        if let Some(job) = state.job_effect(job, position) {
            job.withdrawn += count;
        }
    }
}
