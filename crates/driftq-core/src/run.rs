//! Runs: one piece of a workflow's work, its tries, its steps and its end.
//!
//! Promise: a run, its timeline and its command come into being in one transition. Only the broker's own events move a
//! run; a step's output is stored once by name and kept by retries; the last three statuses are terminal.

use crate::audit::admit_name;
use crate::draft::Draft;
use crate::idempotency::{self, KeyHit, Scope};
use crate::produce::{admit_topics, due_at, find_key, make_room_for_key, partition_of};
use crate::{
    AppendEvents, Attempt, Body, CancelRun, CreateRun, Event, EventAppended, GroupName, LeaseId,
    MessageAppended, MessageAt, Offset, Pending, Position, Record, Rejection, ReplaySeq, Reply, RetryPolicy,
    RunCreated, RunId, RunNo, RunOf, SkipReason, Skipped, State, StepName, StepStored, StoreStep, TenantId,
    TopicId, TopicKind, TopicName, WallTime, WorkflowName,
};
use alloc::{borrow::Cow, boxed::Box, collections::BTreeMap, string::String, string::ToString, vec::Vec};
use serde::{Deserialize, Serialize};

/// Finished steps that a run may have stored.
pub const STEPS_MAX: usize = 10_000;

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RunStatus {
    /// Nobody has taken its command yet.
    Queued,
    /// A worker holds its command.
    Running,
    /// An attempt failed and another is due.
    Retrying,
    /// It waits for a signal, a time or a child.
    Waiting,
    /// It ended with a result.
    Succeeded,
    /// It was given up.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl RunStatus {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Running | Self::Retrying | Self::Waiting => false,
        }
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    // The first four fields are read off a sealed run without the others.
    /// How it stands.
    pub status: RunStatus,
    /// Its workflow.
    pub workflow: WorkflowName,
    /// Its tenant.
    pub tenant: Option<TenantId>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its ordinal, in order of creation.
    pub no: RunNo,
    /// Its id.
    pub id: RunId,
    /// The last record that changed it.
    pub applied: Position,
    /// The group whose deliveries move it.
    pub group: GroupName,
    /// How its attempts are retried.
    pub policy: RetryPolicy,
    /// Its timeline.
    pub timeline: TopicId,
    /// The present try's command.
    pub command: MessageAt,
    /// The present try.
    pub replay_seq: ReplaySeq,
    /// The present try's attempt, 0 before the first.
    pub attempt: Attempt,
    /// When it was created.
    pub created_at: WallTime,
    /// The record that holds its input.
    pub input: Position,
    /// The record that holds its result (`run.succeeded`), once it succeeded.
    pub result: Option<Position>,
    /// The `Failed` record of its last failure, while it is not mended.
    pub failure: Option<Position>,
    /// Finished steps.
    pub steps: BTreeMap<StepName, StoredStep>,
    /// Its tries, oldest first.
    pub replays: Vec<Replay>,
    /// Its dead letters, oldest first.
    pub dead_letters: Vec<RunDeadLetter>,
}

/// One try of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Which.
    pub replay_seq: ReplaySeq,
    /// How it stands, or ended.
    pub status: RunStatus,
    /// When it was asked for.
    pub created_at: WallTime,
    /// When a worker first took it.
    pub started_at: Option<WallTime>,
    /// When it ended.
    pub ended_at: Option<WallTime>,
}

/// A finished step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredStep {
    /// The record that holds its output; also the order in which steps finished.
    pub position: Position,
    /// The try that finished it.
    pub replay_seq: ReplaySeq,
    /// The attempt that finished it.
    pub attempt: Attempt,
    /// When.
    pub completed_at: WallTime,
    /// How long it took, when the worker said so.
    pub duration: Option<crate::Millis>,
}

/// A dead letter of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDeadLetter {
    /// The try that failed.
    pub replay_seq: ReplaySeq,
    /// Where it is.
    pub at: MessageAt,
    /// The command that failed.
    pub command: MessageAt,
}

impl Run {
    /// The present try's name.
    #[must_use]
    pub fn of(&self) -> RunOf {
        RunOf { run: self.no, replay_seq: self.replay_seq }
    }
}

pub(crate) fn decide_create(draft: &mut Draft<'_>, create: CreateRun) -> Result<Reply, Rejection> {
    let state = draft.state;
    admit_name(&create.topic)?;
    if create.topic.is_dead_letters() || create.topic.timeline_of().is_some() {
        return Err(Rejection::NotForCommands(create.topic.as_str().to_string()));
    }
    let missing = [&create.topic, &TopicName::timeline(&create.run_id)];
    let missing = missing.into_iter().filter(|name| draft.find_topic(name).is_none()).count();
    let found = draft.find_topic(&create.topic);
    // The key's scope needs the command topic; while that does not exist no key can have been used on it.
    let mark = create.idempotency.as_ref().map(|key| {
        let topic = found.map_or(state.ids.topic, |(topic, _)| topic);
        idempotency::mark(key, Scope::Run(topic))
    });
    if let Some(mark) = &mark
        && let Some(KeyHit::Run(run, _)) = find_key(draft, mark, state.limits.key_window)?
    {
        return Ok(Reply::RunCreated { run, duplicate: true });
    }
    let timeline_name = TopicName::timeline(&create.run_id);
    if state.run(&create.run_id).is_some() {
        return Err(Rejection::RunExists(create.run_id.as_str().to_string()));
    }
    if let Some(topic) = state.topic(&timeline_name) {
        let is_empty = topic.partitions.iter().all(|partition| partition.next_offset() == Offset(0));
        if topic.partition_count() != 1 || !is_empty {
            return Err(Rejection::TimelineTaken(timeline_name.as_str().to_string()));
        }
    }
    admit_topics(state, missing)?;
    let run = state.ids.run;
    let (topic, count) = draft.ensure_topic(&create.topic, 1, TopicKind::Plain);
    let timeline = draft.ensure_topic(&timeline_name, 1, TopicKind::Timeline(run)).0;
    if mark.is_some() {
        make_room_for_key(draft);
    }
    let command = draft.next_message(topic, partition_of(create.run_id.as_str(), count));
    let input = draft.next_position();
    let of = RunOf { run, replay_seq: ReplaySeq(0) };
    let due = due_at(create.due, state.wall);
    let body = Body::RunCommand {
        run_id: create.run_id.clone(),
        workflow: create.workflow.clone(),
        replay_seq: of.replay_seq,
        input,
        tenant: create.tenant.clone(),
    };
    let message = command_message(
        state,
        command,
        of,
        create.policy,
        create.tenant.clone(),
        due,
        body,
        create.input.len(),
    );
    draft.push(Record::RunCreated(Box::new(RunCreated {
        run,
        run_id: create.run_id,
        workflow: create.workflow.clone(),
        tenant: create.tenant,
        tags: create.tags,
        topic,
        command,
        group: create.group,
        timeline,
        policy: create.policy,
        wall: state.wall,
        key: mark,
        input: create.input,
    })));
    draft.event(timeline, of, Attempt(0), Event::Created { workflow: create.workflow });
    draft.push(message);
    Ok(Reply::RunCreated { run, duplicate: false })
}

/// The message that carries a try of a run to its workers.
#[expect(clippy::too_many_arguments, reason = "one fact, built in two places, with nothing to group")]
pub(crate) fn command_message(
    state: &State,
    at: MessageAt,
    of: RunOf,
    policy: RetryPolicy,
    tenant: Option<TenantId>,
    due: Option<WallTime>,
    body: Body,
    input_len: usize,
) -> Record {
    const FRAME: usize = 128;
    Record::MessageAppended(Box::new(MessageAppended {
        at,
        wall: state.wall,
        bytes: u32::try_from(input_len + FRAME).unwrap_or(u32::MAX),
        policy: Some(policy),
        due,
        deadline: None,
        key: None,
        only_group: None,
        run: Some(of),
        priority: 0,
        tenant,
        body,
    }))
}

pub(crate) fn find_run<'a>(state: &'a State, id: &RunId) -> Result<Cow<'a, Run>, Rejection> {
    state.run(id).ok_or_else(|| Rejection::UnknownRun(id.as_str().to_string()))
}

/// Whether this lease of the run's group is live; says why not.
fn prove_lease(state: &State, run: &Run, lease: LeaseId) -> Result<(), Rejection> {
    if run.status == RunStatus::Cancelled {
        return Err(Rejection::Cancelled);
    }
    let progress = state.group_of(run).and_then(|group| group.progress(run.command.partition));
    match progress.and_then(|progress| progress.pending_at(run.command.offset)) {
        Some(Pending::Leased(held)) if held.id == lease && held.until > state.now => Ok(()),
        Some(_) | None => Err(Rejection::NotOwner),
    }
}

pub(crate) fn decide_events(draft: &mut Draft<'_>, append: AppendEvents) -> Result<Reply, Rejection> {
    let state = draft.state;
    let run = find_run(state, &append.run_id)?;
    if let Some(lease) = append.lease {
        prove_lease(state, &run, lease)?;
    }
    let count = append.events.len() as u64;
    let mut first = None;
    for event in append.events {
        let wall = event.ts.unwrap_or(state.wall);
        let offset =
            draft.event_at(run.timeline, run.of(), run.attempt, Event::Worker { json: event.json }, wall);
        first.get_or_insert(offset.0 + 1);
    }
    Ok(Reply::EventsAppended { first_seq: first.unwrap_or(0), count })
}

pub(crate) fn decide_step(draft: &mut Draft<'_>, store: StoreStep) -> Result<Reply, Rejection> {
    let state = draft.state;
    let run = find_run(state, &store.run_id)?;
    prove_lease(state, &run, store.lease)?;
    if let Some(kept) = run.steps.get(&store.step) {
        return Ok(Reply::StepStored { stored: false, output: kept.position });
    }
    if run.steps.len() >= STEPS_MAX {
        let run_id = run.id.as_str().to_string();
        return Err(Rejection::TooManySteps { run_id, max: STEPS_MAX });
    }
    let output = draft.next_position();
    draft.push(Record::StepStored(Box::new(StepStored {
        of: run.of(),
        attempt: run.attempt,
        step: store.step.clone(),
        duration: store.duration,
        wall: state.wall,
        output: store.output,
    })));
    draft.run_event(&run, run.attempt, Event::StepCompleted { step: store.step, duration: store.duration });
    Ok(Reply::StepStored { stored: true, output })
}

pub(crate) fn decide_cancel(draft: &mut Draft<'_>, cancel: CancelRun) -> Result<Reply, Rejection> {
    let state = draft.state;
    let run = find_run(state, &cancel.run_id)?;
    if run.status.is_terminal() {
        let run_id = run.id.as_str().to_string();
        return Err(Rejection::RunEnded { run_id, status: run.status.as_str() });
    }
    draft.run_event(&run, run.attempt, Event::Cancelled { actor: cancel.actor });
    let bytes = state.topics.get(&run.command.topic).and_then(|topic| topic.partition(run.command.partition));
    let bytes =
        bytes.and_then(|partition| partition.entry(run.command.offset)).map_or(0, |entry| entry.bytes);
    if let Some(group) = state.group_of(&run) {
        let of = crate::group::message_of(group.id, run.command.partition, run.command.offset);
        draft.push(Record::Skipped(Skipped { of, why: SkipReason::RunOver, bytes, next: None }));
    }
    Ok(Reply::RunCancelled { run: run.no })
}

pub(crate) fn apply_run_created(state: &mut State, position: Position, fact: &RunCreated) {
    state.ids.run = state.ids.run.max(fact.run.next());
    idempotency::apply_key(state, position, fact.key.as_ref(), KeyHit::Run(fact.run, fact.topic));
    // A topic of that name that was there before becomes the timeline now.
    if let Some(topic) = state.topic_effect(fact.timeline, position) {
        topic.become_timeline(fact.run);
    }
    if state.runs.contains_key(&fact.run) {
        return;
    }
    let first = Replay {
        replay_seq: ReplaySeq(0),
        status: RunStatus::Queued,
        created_at: fact.wall,
        started_at: None,
        ended_at: None,
    };
    state.runs.insert(Run {
        no: fact.run,
        id: fact.run_id.clone(),
        applied: position,
        workflow: fact.workflow.clone(),
        tenant: fact.tenant.clone(),
        tags: fact.tags.clone(),
        group: fact.group.clone(),
        policy: fact.policy,
        timeline: fact.timeline,
        command: fact.command,
        status: RunStatus::Queued,
        replay_seq: ReplaySeq(0),
        attempt: Attempt(0),
        created_at: fact.wall,
        input: position,
        result: None,
        failure: None,
        steps: BTreeMap::new(),
        replays: alloc::vec![first],
        dead_letters: Vec::new(),
    });
    state.recount_run(fact.run, None);
}

pub(crate) fn apply_step(state: &mut State, position: Position, fact: &StepStored) {
    let Some(run) = state.runs.effect(fact.of.run, position) else { return };
    run.steps.insert(
        fact.step.clone(),
        StoredStep {
            position,
            replay_seq: fact.of.replay_seq,
            attempt: fact.attempt,
            completed_at: fact.wall,
            duration: fact.duration,
        },
    );
}

/// What the broker's own events do to their run.
pub(crate) fn apply_event(state: &mut State, position: Position, fact: &EventAppended) {
    match &fact.event {
        Event::Created { .. }
        | Event::ReplayRequested(_)
        | Event::StepCompleted { .. }
        | Event::Worker { .. }
        | Event::Produced { .. } => return state.runs.advance(fact.of.run, position),
        Event::Received { .. }
        | Event::AttemptFailed { .. }
        | Event::RetryScheduled { .. }
        | Event::DeadLettered { .. }
        | Event::Failed { .. }
        | Event::Succeeded { .. }
        | Event::Cancelled { .. } => {}
    }
    let before = state.runs.get(&fact.of.run).map(|run| run.status);
    let Some(run) = state.runs.effect(fact.of.run, position) else { return };
    move_by(run, position, fact);
    let is_over = run.status.is_terminal();
    let timeline = run.timeline;
    state.recount_run(fact.of.run, before);
    if is_over {
        // Little is expected of it now, and there are many.
        let timeline = state.topics.get_mut(&timeline).and_then(|topic| topic.partitions.first_mut());
        timeline.into_iter().for_each(crate::Partition::shrink);
        state.runs.seal(fact.of.run);
    }
}

fn move_by(run: &mut Run, position: Position, fact: &EventAppended) {
    match &fact.event {
        Event::Received { .. } => {
            run.attempt = fact.attempt;
            run.status = RunStatus::Running;
            if let Some(replay) = run.replays.last_mut() {
                replay.status = RunStatus::Running;
                replay.started_at.get_or_insert(fact.wall);
            }
        }
        Event::AttemptFailed { failure, .. } => run.failure = Some(*failure),
        Event::RetryScheduled { .. } => move_to(run, RunStatus::Retrying),
        Event::DeadLettered { at, .. } => {
            let dead = RunDeadLetter { replay_seq: fact.of.replay_seq, at: *at, command: run.command };
            run.dead_letters.push(dead);
        }
        Event::Failed { .. } => end(run, RunStatus::Failed, fact.wall),
        Event::Succeeded { .. } => {
            run.result = Some(position);
            run.failure = None;
            end(run, RunStatus::Succeeded, fact.wall);
        }
        Event::Cancelled { .. } => end(run, RunStatus::Cancelled, fact.wall),
        Event::Created { .. }
        | Event::ReplayRequested(_)
        | Event::StepCompleted { .. }
        | Event::Worker { .. }
        | Event::Produced { .. } => {}
    }
}

fn move_to(run: &mut Run, status: RunStatus) {
    run.status = status;
    if let Some(replay) = run.replays.last_mut() {
        replay.status = status;
    }
}

fn end(run: &mut Run, status: RunStatus, wall: WallTime) {
    move_to(run, status);
    if let Some(replay) = run.replays.last_mut() {
        replay.ended_at = Some(wall);
    }
}
