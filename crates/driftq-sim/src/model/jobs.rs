//! Bulk redrives: who asked for them, what they may move and when, and what they wait for.

use super::{Context, Dead, Hit, Known, Model, Verdict};
use crate::calls::Sent;
use driftq_core::{
    ClosingNoted, Command, ControlRedriveJob, DeadLetterFilter, DeadLetterMarked, Event, Fingerprint, JobAct,
    JobNo, JobStatus, MessageAt, Position, Record, RedriveEnded, RedriveJobAdvanced, RedriveJobChanged,
    RedriveJobStarted, RedriveOutcome, RedriveSpec, Rejection, RunStatus, StartRedriveJob, TopicId, Tracked,
};
use std::collections::BTreeSet;

/// Jobs that may go on at once.
const ACTIVE_MAX: usize = 16;
/// How many must have ended before a share of failures halts a job.
const SAMPLE_MIN: u64 = 10;
/// A share of one.
const WHOLE: u64 = 1_000_000;
/// How much lateness is made up for.
const CATCH_UP_NS: u64 = 200_000_000;

/// A bulk redrive as the model knows it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) spec: RedriveSpec,
    pub(crate) status: JobStatus,
    pub(crate) past_canary: bool,
    /// It covers the dead letters that are older.
    pub(crate) began: Position,
    pub(crate) matched: u64,
    pub(crate) moved: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) withdrawn: u64,
    /// What it could not move.
    pub(crate) refused: BTreeSet<MessageAt>,
    /// Successes and failures before it went on after a halt.
    forgiven: (u64, u64),
    due_ns: u64,
}

impl Job {
    pub(crate) fn waiting(&self) -> u64 {
        self.moved - self.succeeded - self.failed - self.withdrawn
    }

    fn counted(&self) -> (u64, u64) {
        (self.succeeded - self.forgiven.0, self.failed - self.forgiven.1)
    }

    fn reaches_share(&self) -> bool {
        let (succeeded, failed) = self.counted();
        let (share, ended) = (self.spec.stop_share.map(u64::from), succeeded + failed);
        share.is_some_and(|share| ended > 0 && failed * WHOLE >= share * ended)
    }

    fn canary_left(&self) -> u64 {
        match self.spec.canary {
            Some(canary) if !self.past_canary => canary.saturating_sub(self.moved),
            Some(_) | None => u64::MAX,
        }
    }
}

/// How a closing that comes next has to be noted.
#[derive(Clone, Debug, Default)]
pub(super) struct Noting {
    /// Somebody asked for it by a call.
    pub(super) by_call: bool,
    /// Jobs that may have done it.
    pub(super) by_jobs: Vec<JobNo>,
    /// Whether its value was edited; `None` when that is not known any more.
    pub(super) edited: Option<bool>,
}

fn ns(ms: u64) -> u64 {
    ms * 1_000_000
}

impl Model {
    /// What has to come right behind a fact, whatever else its transition holds.
    pub(super) fn expect_next(&mut self, record: &Record) {
        match record {
            Record::DeadLettered(fact) => {
                let at = fact.at;
                self.expect_first(
                    "fingerprint",
                    move |record| matches!(record, Record::DeadLetterMarked(marked) if marked.at == at),
                );
            }
            Record::DeadLetterClosed(fact) => {
                let (at, wall, actor) = (fact.at, self.wall, fact.actor.clone());
                let noting = self.noting.take().unwrap_or(Noting { by_call: true, ..Noting::default() });
                self.expect_first("note of a closing", move |record| {
                    let Record::ClosingNoted(note) = record else { return false };
                    let by = match note.moved {
                        Some(moved) => noting.by_jobs.contains(&moved.job),
                        None => noting.by_call,
                    };
                    let is_whole = (note.at, note.wall, &note.actor) == (at, wall, &actor);
                    is_whole && by && noting.edited.is_none_or(|edited| edited == note.edited)
                });
            }
            _ => {}
        }
        if let Some((job, tracked, outcome)) = self.ended_by(record) {
            self.expect_first("end of a redrive", move |record| {
                matches!(record, Record::RedriveEnded(ended)
                    if (ended.job, ended.tracked, ended.outcome) == (job, tracked, outcome))
            });
        }
    }

    fn ended_by(&self, record: &Record) -> Option<(JobNo, Tracked, RedriveOutcome)> {
        let (tracked, outcome) = match record {
            Record::Acked(fact) => (Tracked::Message(self.place(fact.of).ok()?), RedriveOutcome::Succeeded),
            Record::DeadLettered(fact) => (Tracked::Message(fact.original), RedriveOutcome::DeadAgain),
            Record::EventAppended(fact) => {
                let outcome = match fact.event {
                    Event::Succeeded { .. } => RedriveOutcome::Succeeded,
                    Event::Failed { .. } => RedriveOutcome::DeadAgain,
                    Event::Cancelled { .. } => RedriveOutcome::Withdrawn,
                    _ => return None,
                };
                (Tracked::Run(fact.of.run), outcome)
            }
            _ => return None,
        };
        self.tracked.get(&tracked).map(|job| (*job, tracked, outcome))
    }

    pub(super) fn dead_letter_marked(&mut self, fact: DeadLetterMarked, was_expected: bool) -> Verdict {
        if !was_expected {
            return Err(format!("{fact:?} came alone"));
        }
        let kind = self.kind_of(fact.at)?;
        learn(&mut self.known, kind, fact.fingerprint)?;
        let dead = self.message_mut(fact.at)?.dead.as_mut().ok_or("not a dead letter")?;
        dead.fingerprint = Some(fact.fingerprint);
        Ok(())
    }

    /// What the newest error of a dead letter is, in a word: simulated workers differ in a number only.
    fn kind_of(&self, at: MessageAt) -> Verdict<&'static str> {
        let dead = self.message(at)?.dead.as_ref().ok_or("not a dead letter")?;
        Ok(dead.kind)
    }

    // --- jobs -------------------------------------------------------------------------------------------------

    /// Whether a filter wants an open dead letter.
    pub(crate) fn wants(&self, filter: &DeadLetterFilter, at: MessageAt, dead: &Dead) -> bool {
        let topic = self.topics.get(&at.topic).map(|topic| topic.name.clone());
        let tenant = self.message_at(at).and_then(|message| message.tenant.clone());
        dead.closed.is_none()
            && filter.topic.as_ref().is_none_or(|name| topic == Some(name.dead_letters()))
            && filter.group.as_ref().is_none_or(|group| dead.group.as_ref() == Some(group))
            && filter.run.is_none_or(|run| dead.run.is_some_and(|of| of.run == run))
            && filter.reason.is_none_or(|reason| dead.reason == reason)
            && filter.fingerprint.is_none_or(|print| dead.fingerprint == Some(print))
            && (filter.tenant.is_none() || filter.tenant == tenant)
            && filter.since.is_none_or(|since| dead.wall >= since)
            && filter.until.is_none_or(|until| dead.wall < until)
    }

    pub(crate) fn wanted(&self, filter: &DeadLetterFilter) -> u64 {
        self.dead_letters().iter().filter(|(at, dead)| self.wants(filter, *at, dead)).count() as u64
    }

    /// What a job has still to move.
    pub(crate) fn left_for(&self, job: &Job) -> Vec<MessageAt> {
        let all = self.dead_letters();
        let covers = |at: MessageAt| self.message_at(at).is_some_and(|message| message.position < job.began);
        let left = all.into_iter().filter(|(at, dead)| {
            covers(*at) && self.wants(&job.spec.filter, *at, dead) && !job.refused.contains(at)
        });
        left.map(|(at, _)| at).collect()
    }

    /// Jobs that may move this dead letter now.
    pub(super) fn movers(&self, at: MessageAt) -> Vec<JobNo> {
        let running = self.jobs.iter().filter(|(_, job)| job.status == JobStatus::Running);
        running.filter(|(_, job)| self.left_for(job).contains(&at)).map(|(no, _)| *no).collect()
    }

    pub(super) fn job_started(
        &mut self,
        position: Position,
        fact: &RedriveJobStarted,
        context: &mut Context<'_>,
    ) -> Verdict {
        let next = self.jobs.keys().next_back().map_or(JobNo(1), |newest| newest.next());
        if fact.job != next || fact.matched != self.wanted(&fact.spec.filter) || fact.matched == 0 {
            return Err(format!("{fact:?} should be job {next} over {}", self.wanted(&fact.spec.filter)));
        }
        if let Some(calls) = context.calls {
            let asked = calls.iter().filter_map(Sent::command).find_map(|command| match command {
                Command::StartRedriveJob(start)
                    if (&start.spec, &start.reason) == (&fact.spec, &fact.reason) =>
                {
                    Some(start)
                }
                _ => None,
            });
            let asked = asked.ok_or_else(|| format!("nobody asked for {fact:?}"))?;
            if let (Some(mark), Some(key)) = (&fact.key, &asked.idempotency) {
                super::messages::bind(&mut self.known, mark, key, "redrive job")?;
            }
            context.marks.hit("job started");
        }
        self.use_key(fact.key.as_ref(), Hit::Job(fact.job), None)?;
        let job = Job {
            spec: fact.spec.clone(),
            status: JobStatus::Running,
            past_canary: false,
            began: position,
            matched: fact.matched,
            moved: 0,
            succeeded: 0,
            failed: 0,
            withdrawn: 0,
            refused: BTreeSet::new(),
            forgiven: (0, 0),
            due_ns: ns(self.now.0),
        };
        self.jobs.insert(fact.job, job);
        Ok(())
    }

    pub(super) fn noted(
        &mut self,
        fact: &ClosingNoted,
        was_expected: bool,
        context: &mut Context<'_>,
    ) -> Verdict {
        if !was_expected {
            return Err(format!("{fact:?} came alone"));
        }
        let Some(moved) = fact.moved else { return Ok(()) };
        let now_ns = ns(self.now.0);
        let job = self.jobs.get_mut(&moved.job).ok_or_else(|| format!("{fact:?} of no job"))?;
        let due = job.due_ns.max(now_ns.saturating_sub(CATCH_UP_NS));
        if due > now_ns || job.canary_left() == 0 || job.moved >= job.matched {
            return Err(format!("{fact:?} was moved too early, too far or too often by {job:?}"));
        }
        job.due_ns = due + 1_000_000_000_000 / u64::from(job.spec.rate_milli);
        job.moved += 1;
        context.marks.hit(match moved.tracked {
            Tracked::Message(_) => "job moved a message",
            Tracked::Run(_) => "job replayed a run",
        });
        if self.tracked.insert(moved.tracked, moved.job).is_some() {
            return Err(format!("{:?} was moved while it was waited for", moved.tracked));
        }
        Ok(())
    }

    pub(super) fn job_advanced(&mut self, fact: &RedriveJobAdvanced, context: &mut Context<'_>) -> Verdict {
        let now_ns = ns(self.now.0);
        let job = self.jobs.get_mut(&fact.job).ok_or("an advance of no job")?;
        let due = job.due_ns.max(now_ns.saturating_sub(CATCH_UP_NS));
        if job.status != JobStatus::Running || fact.due_ns != due {
            return Err(format!("{fact:?}, but it is due at {due} ns: {job:?}"));
        }
        job.due_ns = due;
        for (at, _) in &fact.problems {
            context.marks.hit("job passed over a dead letter");
            if !job.refused.insert(*at) {
                return Err(format!("{at:?} was passed over twice"));
            }
        }
        Ok(())
    }

    pub(super) fn job_changed(&mut self, fact: &RedriveJobChanged, context: &mut Context<'_>) -> Verdict {
        let job = self.jobs.get(&fact.job).ok_or("a change of no job")?.clone();
        let asked = |act: JobAct| {
            context.calls.is_none_or(|calls| {
                calls.iter().filter_map(Sent::command).any(|command| {
                    matches!(command, Command::ControlRedriveJob(control)
                        if control.job == fact.job && control.act == act)
                })
            })
        };
        let (succeeded, failed) = job.counted();
        let has_ended = job.waiting() == 0;
        let is_judged = job.canary_left() == 0 && has_ended;
        let canary_failed = if job.spec.stop_share.is_some() { job.reaches_share() } else { failed > 0 };
        let (mark, is_right) = match (job.status, fact.to) {
            (JobStatus::Running, JobStatus::Paused) => ("job paused", asked(JobAct::Pause)),
            (JobStatus::Paused | JobStatus::Halted, JobStatus::Running) => {
                ("job resumed", asked(JobAct::Resume))
            }
            (JobStatus::Running | JobStatus::Paused | JobStatus::Halted, JobStatus::Stopped) => {
                ("job stopped", asked(JobAct::Stop))
            }
            (JobStatus::Running, JobStatus::Halted) => {
                let is_over_share = succeeded + failed >= SAMPLE_MIN && job.reaches_share();
                ("job halted", (is_judged && canary_failed) || is_over_share)
            }
            (JobStatus::Running, JobStatus::Running) => {
                ("canary passed", is_judged && !canary_failed && fact.is_past_canary)
            }
            (JobStatus::Running, JobStatus::Done) => {
                ("job done", has_ended && self.left_for(&job).is_empty())
            }
            _ => ("job done", false),
        };
        if !is_right {
            return Err(format!("{fact:?} has no reason: {job:?}"));
        }
        context.marks.hit(mark);
        let now_ns = ns(self.now.0);
        if let Some(job) = self.jobs.get_mut(&fact.job) {
            if fact.to == JobStatus::Running {
                job.due_ns = job.due_ns.max(now_ns);
            }
            if (job.status, fact.to) == (JobStatus::Halted, JobStatus::Running) {
                job.forgiven = (job.succeeded, job.failed);
                job.past_canary = true;
            }
            job.past_canary |= fact.is_past_canary;
            job.status = fact.to;
        }
        Ok(())
    }

    pub(super) fn redrive_ended(
        &mut self,
        fact: RedriveEnded,
        was_expected: bool,
        context: &mut Context<'_>,
    ) -> Verdict {
        if !was_expected {
            return Err(format!("{fact:?} came alone"));
        }
        self.tracked.remove(&fact.tracked);
        let job = self.jobs.get_mut(&fact.job).ok_or("an end of no job")?;
        let (count, mark) = match fact.outcome {
            RedriveOutcome::Succeeded => (&mut job.succeeded, "redrive succeeded"),
            RedriveOutcome::DeadAgain => (&mut job.failed, "redrive dead again"),
            RedriveOutcome::Withdrawn => (&mut job.withdrawn, "redrive withdrawn"),
        };
        *count += 1;
        context.marks.hit(mark);
        Ok(())
    }

    /// What was moved into a topic that is gone now will not end.
    pub(super) fn withdraw_redrives_to(&mut self, topic: TopicId, context: &mut Context<'_>) {
        let gone = self.tracked.iter().filter(|(tracked, _)| match tracked {
            Tracked::Message(at) => at.topic == topic,
            Tracked::Run(_) => false,
        });
        let gone: Vec<_> = gone.map(|(tracked, job)| (*tracked, *job)).collect();
        for (tracked, job) in gone {
            self.tracked.remove(&tracked);
            context.marks.hit("redrive withdrawn with its topic");
            self.jobs.entry(job).and_modify(|job| job.withdrawn += 1);
        }
    }

    pub(crate) fn active_jobs(&self) -> usize {
        self.jobs.values().filter(|job| !job.status.is_over()).count()
    }

    pub(super) fn is_job_started(
        &self,
        start: &StartRedriveJob,
        job: JobNo,
        duplicate: bool,
        facts: &[(Position, Record)],
    ) -> bool {
        let started = facts.iter().any(|(_, record)| {
            matches!(record, Record::RedriveJobStarted(fact) if fact.job == job && fact.spec == start.spec)
        });
        let hit =
            start.idempotency.as_ref().and_then(|key| self.hit(key, "redrive job", self.limits.key_window));
        if duplicate { hit == Some(Hit::Job(job)) } else { started }
    }

    pub(super) fn is_controlled(&self, control: &ControlRedriveJob) -> bool {
        let found = self.jobs.get(&control.job).map(|job| job.status);
        match control.act {
            JobAct::Pause => matches!(found, Some(JobStatus::Paused | JobStatus::Halted)),
            JobAct::Resume => found == Some(JobStatus::Running),
            JobAct::Stop => found == Some(JobStatus::Stopped),
        }
    }

    pub(super) fn refuses_job(&self, start: &StartRedriveJob, why: &Rejection) -> bool {
        match why {
            Rejection::NoDeadLetterMatches => self.wanted(&start.spec.filter) == 0,
            Rejection::TooManyJobs(_) => self.active_jobs() >= ACTIVE_MAX,
            _ => false,
        }
    }

    pub(super) fn refuses_control(&self, control: &ControlRedriveJob, why: &Rejection) -> bool {
        let job = self.jobs.get(&control.job);
        match why {
            Rejection::UnknownJob(no) => job.is_none() && *no == control.job,
            Rejection::JobOver(word) => {
                job.is_some_and(|job| job.status.is_over() && job.status.as_str() == *word)
            }
            _ => false,
        }
    }

    /// A running job that does nothing although it could.
    pub(crate) fn idle_job(&self) -> Option<String> {
        self.jobs.iter().filter(|(_, job)| job.status == JobStatus::Running).find_map(|(no, job)| {
            let left = self.left_for(job).len();
            let may_move = left > 0 && job.canary_left() > 0;
            let is_done = left == 0 && job.waiting() == 0;
            (may_move || is_done).then(|| format!("job {no} has {left} to move, and rests: {job:?}"))
        })
    }

    /// Whether what a job waits for can still end: a run that has ended cannot be waited for.
    pub(crate) fn waits_in_vain(&self) -> Option<Tracked> {
        let over = |tracked: &&Tracked| match tracked {
            Tracked::Message(at) => self.message_at(*at).is_none(),
            Tracked::Run(no) => self.runs.get(no).is_none_or(|run| {
                matches!(run.status, RunStatus::Succeeded | RunStatus::Failed | RunStatus::Cancelled)
            }),
        };
        self.tracked.keys().find(over).copied()
    }
}

/// Errors of one kind have one fingerprint, and no other kind has it.
fn learn(known: &mut Known, kind: &'static str, fingerprint: Fingerprint) -> Verdict {
    let first = *known.fingerprints.entry(kind).or_insert(fingerprint);
    let twin = known.fingerprints.iter().find(|(other, print)| **other != kind && **print == fingerprint);
    match twin {
        _ if first != fingerprint => Err(format!("{kind} has two fingerprints, {first} and {fingerprint}")),
        Some((other, _)) => Err(format!("{kind} and {other} have one fingerprint")),
        None => Ok(()),
    }
}
