//! Replaying a run: the same work again, after the cause was mended.
//!
//! Promise: only an ended run is replayed; which finished steps are kept follows one order of rules; the run's open
//! dead letter leaves the list in the same transition.

use crate::closing::{Because, draft_closing};
use crate::draft::Draft;
use crate::event::ReplayRequested;
use crate::idempotency::{self, KeyHit};
use crate::produce::make_room_for_key;
use crate::run::{Run, RunStatus, command_message, find_run};
use crate::{
    Attempt, Body, Closing, Event, KeyMark, NewInput, Position, Record, Rejection, Replay, ReplayRun, Reply,
    RunInput, RunOf, RunReplayed, State,
};
use alloc::{boxed::Box, string::ToString, vec, vec::Vec};

pub(crate) fn decide_replay(
    draft: &mut Draft<'_>,
    replay: ReplayRun,
    key: Option<KeyMark>,
    because: Because,
) -> Result<Reply, Rejection> {
    let state = draft.state;
    let run = find_run(state, &replay.run_id)?;
    if !run.status.is_terminal() {
        let run_id = run.id.as_str().to_string();
        return Err(Rejection::RunNotEnded { run_id, status: run.status.as_str() });
    }
    if matches!(&replay.input, NewInput::Patched { of, .. } if *of != run.input) {
        return Err(Rejection::InputChanged);
    }
    if !state.topics.contains_key(&run.command.topic) {
        return Err(Rejection::CommandsDeleted(run.id.as_str().to_string()));
    }
    let forget_from = forgotten_steps(&run, &replay)?;
    let (input, changed) = match replay.input {
        NewInput::Same => (None, Vec::new()),
        NewInput::Whole(input) => (Some(input), vec!["input".to_string()]),
        NewInput::Patched { input, changed, .. } => (Some(input), changed),
    };
    let of = RunOf { run: run.no, replay_seq: run.replay_seq.next() };
    let command = draft.next_message(run.command.topic, run.command.partition);
    let entry = state.topics.get(&run.command.topic).and_then(|t| t.partition(run.command.partition));
    let before =
        entry.and_then(|partition| partition.entry(run.command.offset)).map_or(0, |entry| entry.bytes);
    let input_len = input.as_ref().map_or(usize::try_from(before).unwrap_or(0), Vec::len);
    if key.is_some() {
        make_room_for_key(draft);
    }
    let body = Body::RunCommand {
        run_id: run.id.clone(),
        workflow: run.workflow.clone(),
        replay_seq: of.replay_seq,
        input: if input.is_some() { draft.next_position() } else { run.input },
        tenant: run.tenant.clone(),
    };
    draft.push(Record::RunReplayed(Box::new(RunReplayed {
        of,
        input: input.map(RunInput),
        forget_from,
        command,
        wall: state.wall,
        key,
    })));
    close_dead_letters(draft, &run, of, because);
    let asked = ReplayRequested {
        actor: replay.actor,
        from_step: replay.from_step,
        changed,
        replay_seq: of.replay_seq,
        at: state.now,
    };
    draft.event(run.timeline, of, Attempt(0), Event::ReplayRequested(Box::new(asked)));
    let message = command_message(state, command, of, run.policy, run.tenant.clone(), None, body, input_len);
    draft.push(message);
    Ok(Reply::RunReplayed { run: run.no, replay_seq: of.replay_seq })
}

/// From which record on finished steps run again. The order of the rules is the contract's.
fn forgotten_steps(run: &Run, replay: &ReplayRun) -> Result<Option<Position>, Rejection> {
    const ALL: Option<Position> = Some(Position(0));
    let from = match &replay.from_step {
        Some(step) => Some(run.steps.get(step).ok_or_else(|| Rejection::UnknownStep {
            run_id: run.id.as_str().to_string(),
            step: step.as_str().to_string(),
        })?),
        None => None,
    };
    if replay.fresh {
        return Ok(ALL);
    }
    if let Some(from) = from {
        return Ok(Some(from.position));
    }
    Ok(match &replay.input {
        NewInput::Patched { .. } => None,
        NewInput::Whole(_) => ALL,
        NewInput::Same if run.status == RunStatus::Succeeded => ALL,
        NewInput::Same => None,
    })
}

fn close_dead_letters(draft: &mut Draft<'_>, run: &Run, of: RunOf, mut because: Because) {
    let state = draft.state;
    for dead in &run.dead_letters {
        let partition = state.topics.get(&dead.at.topic).and_then(|topic| topic.partition(dead.at.partition));
        if partition.is_some_and(|partition| partition.rare().open_dead.contains(&dead.at.offset)) {
            let how = Closing::Replayed { replay_seq: of.replay_seq };
            draft_closing(draft, dead.at, how, false, because.clone());
            // One replay is one move.
            because.moved = None;
        }
    }
}

pub(crate) fn apply_replayed(state: &mut State, position: Position, fact: &RunReplayed) {
    idempotency::apply_key(state, position, fact.key.as_ref(), KeyHit::Run(fact.of.run, fact.command.topic));
    let before = state.runs.get(&fact.of.run).map(|run| run.status);
    let Some(run) = state.runs.effect(fact.of.run, position) else { return };
    run.replay_seq = fact.of.replay_seq;
    run.attempt = Attempt(0);
    run.status = RunStatus::Queued;
    run.command = fact.command;
    run.result = None;
    run.failure = None;
    if fact.input.is_some() {
        run.input = position;
    }
    if let Some(from) = fact.forget_from {
        run.steps.retain(|_, step| step.position < from);
    }
    run.replays.push(Replay {
        replay_seq: fact.of.replay_seq,
        status: RunStatus::Queued,
        created_at: fact.wall,
        started_at: None,
        ended_at: None,
    });
    state.recount_run(fact.of.run, before);
}
