//! Redriving: a dead letter's message is appended anew, after the cause was mended.
//!
//! Promise: the new message goes to the group that failed it, attempts from 1, with its policy and without its deadline;
//! the dead letter leaves the list in the same transition, so it is redriven once.

use crate::audit::admit_name;
use crate::dead_letter::find;
use crate::draft::Draft;
use crate::idempotency::{self, KeyHit, Scope};
use crate::produce::{find_key, make_room_for_key};
use crate::run_replay::decide_replay;
use crate::{
    Body, Closing, DeadLetterClosed, MessageAppended, MessageAt, NewInput, PartitionId, Record, Redrive,
    Rejection, ReplayRun, Reply, TopicKind, TopicName,
};
use alloc::{boxed::Box, string::ToString};

pub(crate) fn decide_redrive(draft: &mut Draft<'_>, redrive: Redrive) -> Result<Reply, Rejection> {
    let state = draft.state;
    let (at, dead) = find(state, &redrive.dead_letter)?;
    let key = redrive.idempotency.as_ref().map(|key| idempotency::mark(key, Scope::Redrive(at)));
    if let Some(mark) = &key {
        match (find_key(draft, mark, state.limits.key_window)?, &dead.closed) {
            (Some(KeyHit::Message(to)), _) => return Ok(Reply::Redriven { to, topic: name_of(draft, to) }),
            (Some(KeyHit::Run(run, _)), Some(Closing::Replayed { replay_seq })) => {
                return Ok(Reply::RunReplayed { run, replay_seq: *replay_seq });
            }
            (Some(KeyHit::Run(_, _)), _) | (None, _) => {}
        }
    }
    if dead.closed.is_some() {
        return Err(Rejection::DeadLetterClosed(dead.word()));
    }
    if let Some(of) = dead.run {
        if redrive.value.is_some() || redrive.target_topic.is_some() {
            return Err(Rejection::RunDeadLetter);
        }
        let run = state.runs.get(&of.run).ok_or(Rejection::UnknownDeadLetter)?;
        return decide_replay(
            draft,
            ReplayRun {
                run_id: run.id.clone(),
                input: NewInput::Same,
                from_step: None,
                fresh: false,
                actor: redrive.actor,
            },
            key,
        );
    }
    // A deleted original has its name's heir for a successor.
    let original = redrive.dead_letter.topic.original();
    let target = match (&redrive.target_topic, &original) {
        (Some(name), _) => {
            state.topic(name).ok_or_else(|| Rejection::UnknownTopic(name.as_str().to_string()))?
        }
        (None, name) => {
            state.topic(name).ok_or_else(|| Rejection::OriginalDeleted(name.as_str().to_string()))?
        }
    };
    admit_name(&target.name)?;
    let is_elsewhere = target.name != original;
    let partition = PartitionId(dead.original.partition.0 % target.partition_count());
    if key.is_some() {
        make_room_for_key(draft);
    }
    let to = draft.next_message(target.id, partition);
    let dlq = state.topics.get(&at.topic).expect("the dead letter was found there");
    let entry = dlq
        .partition(at.partition)
        .and_then(|p| p.entry(at.offset))
        .expect("the dead letter was found there");
    let bytes =
        redrive.value.as_ref().map_or(entry.bytes, |value| u32::try_from(value.len()).unwrap_or(u32::MAX));
    let tenant = dlq.tenant(&entry).cloned();
    if matches!(target.kind, TopicKind::Timeline(_)) {
        return Err(Rejection::NotOnTimeline("a redrive"));
    }
    draft.push(Record::MessageAppended(Box::new(MessageAppended {
        at: to,
        wall: state.wall,
        bytes,
        policy: dead.policy,
        due: None,
        deadline: None,
        key,
        only_group: dead.group.clone().filter(|_| !redrive.all_groups && !is_elsewhere),
        run: None,
        priority: 0,
        tenant,
        body: match redrive.value {
            Some(value) => Body::Edited { of: dead.content, value },
            None => Body::Of(dead.content),
        },
    })));
    draft.push(Record::DeadLetterClosed(DeadLetterClosed {
        at,
        how: Closing::Redriven { to },
        actor: redrive.actor,
    }));
    Ok(Reply::Redriven { to, topic: target.name.clone() })
}

fn name_of(draft: &Draft<'_>, at: MessageAt) -> TopicName {
    let topic = draft.state.topics.get(&at.topic);
    topic.expect("a key's message has its topic").name.clone()
}
