//! Runs: their facts, and which of them belong together.

use super::jobs::Noting;
use super::messages::{asked_for, bind, spend};
use super::{Context, Hit, Lease, Message, Model, Run, Standing, Verdict};
use crate::calls::Sent;
use driftq_core::{
    AfterFailure, Attempt, AttemptRef, Body, Closing, Command, DeadLetterReason, Delivered, Event,
    EventAppended, Failed, MessageAt, MessageOf, NewInput, Offset, PartitionId, Position, Record, ReplayRun,
    ReplaySeq, RunCreated, RunOf, RunReplayed, RunStatus, SkipReason, StepName, StepStored, TopicId,
    TopicKind,
};
use std::collections::{BTreeMap, BTreeSet};

impl Model {
    /// The run that this group's deliveries of this message move.
    pub(super) fn moved_run(&self, of: MessageOf) -> Option<&Run> {
        let group = self.groups.get(&of.group)?;
        let at = MessageAt { topic: group.topic, partition: of.partition, offset: of.offset };
        let command = self.message_at(at)?.run?;
        let run = self.runs.get(&command.run)?;
        let moves = run.group == group.name
            && run.replay_seq == command.replay_seq
            && run.status != RunStatus::Cancelled;
        moves.then_some(run)
    }

    pub(super) fn expect_event(
        &mut self,
        run: &Run,
        attempt: Attempt,
        what: &str,
        fits: impl Fn(&Event) -> bool + 'static,
    ) {
        let (topic, of, wall) = (run.timeline, RunOf { run: run.no, replay_seq: run.replay_seq }, self.wall);
        self.expect(format!("{what} of run {}", run.id), move |record| match record {
            Record::EventAppended(event) => {
                (event.topic, event.of, event.attempt, event.wall) == (topic, of, attempt, wall)
                    && fits(&event.event)
            }
            _ => false,
        });
    }

    pub(super) fn expect_received(&mut self, fact: &Delivered) -> Verdict {
        let Some(run) = self.moved_run(fact.of).cloned() else { return Ok(()) };
        let (owner, until) = (fact.owner.clone(), self.wall_at(fact.until));
        self.expect_event(&run, fact.attempt, "worker.received", move |event| {
            matches!(event, Event::Received { owner: o, lease_until } if *o == owner && *lease_until == until)
        });
        Ok(())
    }

    /// `result` is `None` when nobody knows any more what was asked.
    pub(super) fn expect_succeeded(
        &mut self,
        of: MessageOf,
        lease: &Lease,
        result: Option<Option<Vec<u8>>>,
    ) -> Verdict {
        let Some(run) = self.moved_run(of).cloned() else {
            return match result {
                Some(Some(_)) => Err("a result was taken outside of a run".to_owned()),
                Some(None) | None => Ok(()),
            };
        };
        self.expect_event(&run, lease.attempt, "run.succeeded", move |event| match (event, &result) {
            (Event::Succeeded { .. }, None) => true,
            (Event::Succeeded { result: got }, Some(Some(asked))) => got == asked,
            (Event::Succeeded { result: got }, Some(None)) => got == b"null",
            _ => false,
        });
        Ok(())
    }

    pub(super) fn expect_failure(
        &mut self,
        position: Position,
        fact: &Failed,
        lease: &Lease,
        original: MessageAt,
        reason: Option<DeadLetterReason>,
        history: Vec<AttemptRef>,
    ) -> Verdict {
        let run = self.moved_run(fact.of).cloned();
        let max = self.message(original)?.policy.unwrap_or_default().max_attempts;
        if let Some(run) = &run {
            let cause = fact.cause;
            self.expect_event(run, lease.attempt, "run.attempt_failed", move |event| {
                *event == Event::AttemptFailed { cause, failure: position, max_attempts: max }
            });
            if let AfterFailure::Retry { due } = fact.then {
                let scheduled = Event::RetryScheduled {
                    at: self.wall_at(due),
                    delay: self.now.until(due),
                    next_attempt: lease.attempt.next(),
                    max_attempts: max,
                };
                self.expect_event(run, lease.attempt, "run.retry_scheduled", move |event| {
                    *event == scheduled
                });
            }
        }
        let AfterFailure::Dead = fact.then else { return Ok(()) };
        let group = self.groups.get(&fact.of.group).map(|group| group.name.clone());
        let attempts = lease.attempt;
        self.expect_dead_letter(original, group, reason)?;
        if let Some(expected) = self.expected.back_mut() {
            let holds = std::mem::replace(&mut expected.holds, Box::new(|_| false));
            expected.holds = Box::new(move |record| {
                holds(record)
                    && matches!(record, Record::DeadLettered(dead)
                        if dead.attempts == attempts && dead.history == history)
            });
        }
        if let Some(run) = &run {
            self.expect_event(run, lease.attempt, "run.dlq", move |event| {
                matches!(event, Event::DeadLettered { failure, .. } if *failure == Some(position))
            });
            self.expect_event(run, lease.attempt, "run.failed", move |event| {
                *event == Event::Failed { failure: Some(position) }
            });
        }
        Ok(())
    }

    fn expect_command(&mut self, run: &Run, at: MessageAt, input: Position) {
        let of = RunOf { run: run.no, replay_seq: run.replay_seq };
        let (id, workflow, tenant) = (run.id.clone(), run.workflow.clone(), run.tenant.clone());
        let policy = run.policy;
        self.expect(format!("command of run {}", run.id), move |record| match record {
            Record::MessageAppended(message) => {
                let body = Body::RunCommand {
                    run_id: id.clone(),
                    workflow: workflow.clone(),
                    replay_seq: of.replay_seq,
                    input,
                    tenant: tenant.clone(),
                };
                message.at == at
                    && message.run == Some(of)
                    && message.body == body
                    && message.policy == Some(policy)
                    && message.key.is_none()
                    && message.deadline.is_none()
            }
            _ => false,
        });
    }

    pub(super) fn run_created(
        &mut self,
        position: Position,
        fact: &RunCreated,
        context: &mut Context<'_>,
    ) -> Verdict {
        if self.runs.contains_key(&fact.run) || self.run_named(&fact.run_id).is_some() {
            return Err(format!("run {} was created twice", fact.run_id));
        }
        if let Some(calls) = context.calls {
            let asked = calls.iter().filter_map(Sent::command).find_map(|command| match command {
                Command::CreateRun(create) if create.run_id == fact.run_id && create.input == fact.input => {
                    Some(&**create)
                }
                _ => None,
            });
            let create = asked.ok_or_else(|| format!("nobody asked for run {}", fact.run_id))?;
            let same = (&create.workflow, &create.tenant, &create.group, create.policy, &create.tags)
                == (&fact.workflow, &fact.tenant, &fact.group, fact.policy, &fact.tags);
            let topic = self.topic_named(&create.topic).map(|(id, _)| id);
            if !same || topic != Some(fact.topic) || fact.key.is_some() != create.idempotency.is_some() {
                return Err(format!("{fact:?} is not what was asked for: {create:?}"));
            }
            if let (Some(mark), Some(key)) = (&fact.key, &create.idempotency) {
                bind(&mut self.known, mark, key, &format!("run {}", fact.topic))?;
            }
        }
        let timeline = self.topics.get_mut(&fact.timeline).ok_or("a run without a timeline")?;
        if timeline.partitions.len() != 1 || !timeline.partitions.iter().all(|p| p.messages.is_empty()) {
            return Err(format!("run {} took a timeline that is in use", fact.run_id));
        }
        timeline.kind = TopicKind::Timeline(fact.run);
        let run = Run {
            no: fact.run,
            id: fact.run_id.clone(),
            workflow: fact.workflow.clone(),
            tenant: fact.tenant.clone(),
            group: fact.group.clone(),
            policy: fact.policy,
            timeline: fact.timeline,
            command: fact.command,
            status: RunStatus::Queued,
            replay_seq: ReplaySeq(0),
            attempt: Attempt(0),
            input: position,
            steps: BTreeMap::new(),
            dead_letters: Vec::new(),
            ends: 0,
        };
        let workflow = fact.workflow.clone();
        self.expect_event(&run, Attempt(0), "run.created", move |event| {
            *event == Event::Created { workflow: workflow.clone() }
        });
        self.expect_command(&run, fact.command, position);
        self.runs.insert(fact.run, run);
        self.use_key(fact.key.as_ref(), Hit::Run(fact.run), None)
    }

    pub(super) fn event(
        &mut self,
        position: Position,
        fact: &EventAppended,
        was_expected: bool,
        context: &mut Context<'_>,
    ) -> Verdict {
        let run = self.runs.get(&fact.of.run).ok_or("an event of no run")?;
        let present = (run.timeline, run.replay_seq);
        if present != (fact.topic, fact.of.replay_seq) {
            return Err(format!("{fact:?} is not of its run's present try"));
        }
        if !was_expected {
            let (attempt, timeline) = (run.attempt, run.timeline);
            self.worker_event(fact, attempt, timeline, context)?;
        }
        let window = Some(self.window_of(fact.topic));
        self.use_key(fact.key.as_ref(), Hit::Message(timeline_place(fact.topic, fact.offset)), window)?;
        let message = Message {
            position,
            bytes: fact.bytes,
            policy: None,
            tenant: None,
            due: None,
            deadline: None,
            expired: false,
            key: fact.key.map(|mark| mark.digest),
            only_group: None,
            run: None,
            content: position,
            dead: None,
        };
        self.append(timeline_place(fact.topic, fact.offset), message)?;
        if matches!(fact.event, Event::Cancelled { .. }) {
            self.expect_cancelled(fact.of.run);
        }
        self.move_run(fact, context)
    }

    /// An event that a worker or a producer wrote.
    fn worker_event(
        &mut self,
        fact: &EventAppended,
        attempt: Attempt,
        timeline: TopicId,
        context: &mut Context<'_>,
    ) -> Verdict {
        let Some(calls) = context.calls else { return Ok(()) };
        if fact.attempt != attempt {
            return Err(format!("{fact:?} belongs to attempt {attempt}"));
        }
        match &fact.event {
            Event::Worker { json } => {
                let commands = calls.iter().filter_map(Sent::command);
                let asked = commands.filter_map(|command| match command {
                    Command::AppendEvents(append) => Some(append),
                    _ => None,
                });
                let id = &self.runs[&fact.of.run].id;
                let asked = asked.into_iter().find(|append| {
                    append.run_id == *id && append.events.iter().any(|event| event.json == *json)
                });
                let append = asked.ok_or_else(|| format!("nobody asked for {fact:?}"))?;
                if append.lease.is_some_and(|lease| !self.holds(id, lease)) {
                    return Err(format!("{fact:?} came by a lease that is not live"));
                }
                spend(&mut self.known, json)
            }
            Event::Produced { content } => {
                let produce = asked_for(calls, content).ok_or("an event appeared that nobody produced")?;
                let stored_in = produce.target_topic.as_ref().unwrap_or(&produce.topic);
                if self.topics[&timeline].name != *stored_in {
                    return Err("an event went to another timeline".to_owned());
                }
                if let (Some(mark), Some(key)) = (&fact.key, &produce.idempotency) {
                    bind(&mut self.known, mark, key, &format!("produce {timeline}"))?;
                }
                context.marks.hit("produced event");
                spend(&mut self.known, content)
            }
            Event::Cancelled { .. } => {
                let run = self.runs[&fact.of.run].clone();
                let asked = calls
                    .iter()
                    .filter_map(Sent::command)
                    .any(|command| matches!(command, Command::CancelRun(cancel) if cancel.run_id == run.id));
                if asked && !run.status.is_terminal() {
                    Ok(())
                } else {
                    Err(format!("nobody could ask for {fact:?}"))
                }
            }
            _ => Err(format!("{fact:?} came alone")),
        }
    }

    /// A cancelled run's command is settled for its group, if there is one.
    fn expect_cancelled(&mut self, no: driftq_core::RunNo) {
        let run = &self.runs[&no];
        let group = self.groups_on(run.command.topic).find(|(_, group)| group.name == run.group);
        let Some((group, _)) = group else { return };
        let of = MessageOf { group, partition: run.command.partition, offset: run.command.offset };
        self.expect(format!("skip of {of:?}"), move |record| {
            matches!(record, Record::Skipped(skipped) if skipped.of == of && skipped.why == SkipReason::RunOver)
        });
    }

    /// Whether this is the live lease of the run's group.
    pub(super) fn holds(&self, id: &driftq_core::RunId, lease: driftq_core::LeaseId) -> bool {
        let Some(run) = self.run_named(id) else { return false };
        let group = self.groups_on(run.command.topic).find(|(_, group)| group.name == run.group);
        let Some((group, _)) = group else { return false };
        let of = MessageOf { group, partition: run.command.partition, offset: run.command.offset };
        let held = matches!(self.standing(of), Some(Standing::Leased(held))
            if held.id == lease && held.until > self.now);
        held && run.status != RunStatus::Cancelled
    }

    fn move_run(&mut self, fact: &EventAppended, context: &mut Context<'_>) -> Verdict {
        let run = self.runs.get_mut(&fact.of.run).ok_or("an event of no run")?;
        match &fact.event {
            Event::Received { .. } => {
                (run.attempt, run.status) = (fact.attempt, RunStatus::Running);
            }
            Event::RetryScheduled { .. } => run.status = RunStatus::Retrying,
            Event::DeadLettered { at, .. } => run.dead_letters.push(*at),
            Event::Succeeded { .. } => {
                context.marks.hit("run succeeded");
                (run.status, run.ends) = (RunStatus::Succeeded, run.ends + 1);
            }
            Event::Failed { .. } => {
                context.marks.hit("run failed");
                (run.status, run.ends) = (RunStatus::Failed, run.ends + 1);
            }
            Event::Cancelled { .. } => {
                context.marks.hit("run cancelled");
                (run.status, run.ends) = (RunStatus::Cancelled, run.ends + 1);
            }
            Event::Created { .. }
            | Event::AttemptFailed { .. }
            | Event::ReplayRequested(_)
            | Event::StepCompleted { .. }
            | Event::Worker { .. }
            | Event::Produced { .. } => {}
        }
        if run.ends > 1 { Err(format!("run {} ended twice in one try", run.id)) } else { Ok(()) }
    }

    pub(super) fn step_stored(
        &mut self,
        position: Position,
        fact: &StepStored,
        context: &mut Context<'_>,
    ) -> Verdict {
        let run = self.runs.get(&fact.of.run).ok_or("a step of no run")?.clone();
        if run.steps.contains_key(&fact.step)
            || fact.of.replay_seq != run.replay_seq
            || fact.attempt != run.attempt
        {
            return Err(format!("{fact:?} is stored twice, or not of the present attempt"));
        }
        if let Some(calls) = context.calls {
            let asked = calls.iter().filter_map(Sent::command).any(|command| match command {
                Command::StoreStep(store) => {
                    store.run_id == run.id
                        && store.step == fact.step
                        && store.output == fact.output
                        && self.holds(&run.id, store.lease)
                }
                _ => false,
            });
            if !asked {
                return Err(format!("nobody asked for {fact:?}"));
            }
        }
        let (step, duration) = (fact.step.clone(), fact.duration);
        self.expect_event(&run, run.attempt, "step.completed", move |event| {
            *event == Event::StepCompleted { step: step.clone(), duration }
        });
        if let Some(run) = self.runs.get_mut(&fact.of.run) {
            run.steps.insert(fact.step.clone(), position);
        }
        Ok(())
    }

    pub(super) fn run_replayed(
        &mut self,
        position: Position,
        fact: &RunReplayed,
        context: &mut Context<'_>,
    ) -> Verdict {
        let run = self.runs.get(&fact.of.run).ok_or("a replay of no run")?.clone();
        if !run.status.is_terminal() || fact.of.replay_seq != run.replay_seq.next() {
            return Err(format!("run {} was replayed as {:?} while {:?}", run.id, fact.of, run.status));
        }
        match context.calls {
            Some(calls) => self.replay_asked(fact, &run, calls, context.marks)?,
            None => {
                let by_jobs = self.jobs.keys().copied().collect();
                self.noting = Some(Noting { by_call: true, by_jobs, edited: None });
            }
        }
        self.use_key(fact.key.as_ref(), Hit::Run(run.no), None)?;
        let mut next = run.clone();
        next.replay_seq = fact.of.replay_seq;
        (next.attempt, next.status, next.ends) = (Attempt(0), RunStatus::Queued, 0);
        next.command = fact.command;
        if fact.input.is_some() {
            next.input = position;
        }
        next.steps.retain(|_, at| fact.forget_from.is_none_or(|from| *at < from));
        for at in run.dead_letters.iter().copied() {
            if self
                .message_at(at)
                .and_then(|message| message.dead.as_ref())
                .is_some_and(|dead| dead.closed.is_none())
            {
                let replay_seq = fact.of.replay_seq;
                self.expect(format!("closing of {at:?}"), move |record| {
                    matches!(record, Record::DeadLetterClosed(closed)
                        if closed.at == at && closed.how == Closing::Replayed { replay_seq })
                });
            }
        }
        let replay_seq = next.replay_seq;
        self.expect_event(
            &next,
            Attempt(0),
            "run.replay_requested",
            move |event| matches!(event, Event::ReplayRequested(asked) if asked.replay_seq == replay_seq),
        );
        self.expect_command(&next, fact.command, next.input);
        self.runs.insert(run.no, next);
        Ok(())
    }

    fn replay_asked(
        &mut self,
        fact: &RunReplayed,
        run: &Run,
        calls: &[Sent],
        marks: &mut crate::marks::Marks,
    ) -> Verdict {
        let forgotten = forgotten_by(run, fact);
        let movers = self.run_movers(fact, run);
        self.noting = Some(Noting { by_call: true, by_jobs: movers.clone(), edited: Some(false) });
        for command in calls.iter().filter_map(Sent::command) {
            match command {
                Command::ReplayRun(replay) if replay.run_id == run.id => {
                    let input = match &replay.input {
                        NewInput::Same => None,
                        NewInput::Whole(input) => Some(input),
                        NewInput::Patched { of, input, .. } if *of == run.input => Some(input),
                        NewInput::Patched { .. } => continue,
                    };
                    if input != fact.input.as_ref().map(|input| &input.0) {
                        continue;
                    }
                    if steps_to_forget(run, replay).is_some_and(|steps| steps == forgotten) {
                        if replay.from_step.is_some() {
                            marks.hit("replay from step");
                        }
                        if matches!(replay.input, NewInput::Patched { .. }) {
                            marks.hit("replay patched");
                        }
                        if !run.steps.is_empty() && forgotten.is_empty() {
                            marks.hit("replay keeps steps");
                        }
                        return Ok(());
                    }
                }
                Command::Redrive(redrive) => {
                    let at = self.dead_letter_named(&redrive.dead_letter);
                    let dead = at.and_then(|at| self.message_at(at)?.dead.as_ref());
                    let is_of_run = dead.is_some_and(|dead| dead.run.is_some_and(|of| of.run == run.no));
                    let keeps = run.status != RunStatus::Succeeded || run.steps.is_empty();
                    let right = forgotten.is_empty() == keeps;
                    let keyed = fact.key.is_some() == redrive.idempotency.is_some();
                    if is_of_run && fact.input.is_none() && right && keyed {
                        if let (Some(mark), Some(key), Some(at)) = (&fact.key, &redrive.idempotency, at) {
                            bind(&mut self.known, mark, key, &format!("redrive {at:?}"))?;
                        }
                        marks.hit("redriven run");
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
        if movers.is_empty() {
            return Err(format!("nobody asked for {fact:?}; finished were {:?}", run.steps));
        }
        self.noting = Some(Noting { by_call: false, by_jobs: movers, edited: Some(false) });
        Ok(())
    }

    /// Jobs that may replay this run: as it was, its finished steps kept.
    fn run_movers(&self, fact: &RunReplayed, run: &Run) -> Vec<driftq_core::JobNo> {
        if fact.input.is_some() || fact.key.is_some() || !forgotten_by(run, fact).is_empty() {
            return Vec::new();
        }
        run.dead_letters.iter().flat_map(|at| self.movers(*at)).collect()
    }
}

/// The finished steps that a replay forgets.
fn forgotten_by<'a>(run: &'a Run, fact: &RunReplayed) -> BTreeSet<&'a StepName> {
    let is_forgotten = |at: Position| fact.forget_from.is_some_and(|from| at >= from);
    run.steps.iter().filter(|(_, at)| is_forgotten(**at)).map(|(step, _)| step).collect()
}

/// `fresh` forgets all; `from_step` that step and all finished after it; a patch keeps them; a new input, or a run that
/// succeeded, starts whole; else they are kept. `None`: an unknown step.
pub(super) fn steps_to_forget<'a>(run: &'a Run, replay: &ReplayRun) -> Option<BTreeSet<&'a StepName>> {
    let all = || run.steps.keys().collect();
    let from = match &replay.from_step {
        Some(step) => Some(*run.steps.get(step)?),
        None => None,
    };
    Some(match (&replay.input, from) {
        _ if replay.fresh => all(),
        (_, Some(from)) => run.steps.iter().filter(|(_, at)| **at >= from).map(|(step, _)| step).collect(),
        (NewInput::Patched { .. }, None) => BTreeSet::new(),
        (NewInput::Whole(_), None) => all(),
        (NewInput::Same, None) if run.status == RunStatus::Succeeded => all(),
        (NewInput::Same, None) => BTreeSet::new(),
    })
}

fn timeline_place(topic: TopicId, offset: Offset) -> MessageAt {
    MessageAt { topic, partition: PartitionId(0), offset }
}
