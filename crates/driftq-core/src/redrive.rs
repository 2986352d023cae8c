//! Redriving: a dead letter's message is appended anew, after the cause was mended.
//!
//! Promise: the new message goes to the group that failed it, attempts from 1, with its policy and without its deadline;
//! the dead letter leaves the list in the same transition, so it is redriven once.

use crate::audit::admit_name;
use crate::closing::{Because, draft_closing};
use crate::dead_letter::find;
use crate::draft::Draft;
use crate::idempotency::{self, KeyHit, Scope};
use crate::produce::{find_key, make_room_for_key, partition_of};
use crate::run_replay::decide_replay;
use crate::{
    Body, Closing, DeadLetterState, KeyMark, MessageAppended, MessageAt, NewInput, PartitionId, Record,
    Redrive, Rejection, ReplayRun, Reply, State, Topic, TopicKind, TopicName, Tracked,
};
use alloc::{
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};

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
            (Some(KeyHit::Run(_, _) | KeyHit::RedriveJob(_)), _) | (None, _) => {}
        }
    }
    let as_it_is = redrive.value.is_none() && redrive.target_topic.is_none();
    if dead.closed.is_none() && dead.run.is_some() && !as_it_is {
        return Err(Rejection::RunDeadLetter);
    }
    let because = Because { actor: redrive.actor, reason: redrive.reason, moved: None };
    let way = Way {
        value: redrive.value,
        target: redrive.target_topic.map(|topic| (topic, redrive.key)),
        all_groups: redrive.all_groups,
        key,
    };
    draft_redrive(draft, at, dead, way, because)
}

/// How a dead letter is redriven; the default is as it was.
#[derive(Default)]
pub(crate) struct Way {
    pub(crate) value: Option<Vec<u8>>,
    /// Another topic, and the message's key for the choice of the partition there.
    pub(crate) target: Option<(TopicName, String)>,
    pub(crate) all_groups: bool,
    pub(crate) key: Option<KeyMark>,
}

/// Drafts one redrive, whoever asks for it. A rejection drafts nothing.
pub(crate) fn draft_redrive(
    draft: &mut Draft<'_>,
    at: MessageAt,
    dead: &DeadLetterState,
    way: Way,
    mut because: Because,
) -> Result<Reply, Rejection> {
    let state = draft.state;
    if dead.closed.is_some() {
        return Err(Rejection::DeadLetterClosed(dead.word()));
    }
    if let Some(of) = dead.run {
        let run = state.runs.get(&of.run).ok_or(Rejection::UnknownDeadLetter)?;
        let replay = ReplayRun {
            run_id: run.id.clone(),
            input: NewInput::Same,
            from_step: None,
            fresh: false,
            actor: because.actor.clone(),
            reason: None,
        };
        return decide_replay(draft, replay, way.key, because);
    }
    let dlq = state.topics.get(&at.topic).expect("the dead letter was found there");
    let original = dlq.name.original();
    let (target, partition) = target_of(state, &original, dead, way.target.as_ref())?;
    let is_elsewhere = target.name != original;
    admit_name(&target.name)?;
    if matches!(target.kind, TopicKind::Timeline(_)) {
        return Err(Rejection::NotOnTimeline("a redrive"));
    }
    if way.key.is_some() {
        make_room_for_key(draft);
    }
    let to = draft.next_message(target.id, partition);
    let entry = dlq
        .partition(at.partition)
        .and_then(|p| p.entry(at.offset))
        .expect("the dead letter was found there");
    let bytes =
        way.value.as_ref().map_or(entry.bytes, |value| u32::try_from(value.len()).unwrap_or(u32::MAX));
    let is_edited = way.value.is_some();
    draft.push(Record::MessageAppended(Box::new(MessageAppended {
        at: to,
        wall: state.wall,
        bytes,
        policy: dead.policy,
        due: None,
        deadline: None,
        key: way.key,
        only_group: dead.group.clone().filter(|_| !way.all_groups && !is_elsewhere),
        run: None,
        priority: 0,
        tenant: dlq.tenant(&entry).cloned(),
        body: match way.value {
            Some(value) => Body::Edited { of: dead.content, value },
            None => Body::Of(dead.content),
        },
    })));
    if let Some(moved) = &mut because.moved {
        moved.tracked = Tracked::Message(to);
    }
    draft_closing(draft, at, Closing::Redriven { to }, is_edited, because);
    Ok(Reply::Redriven { to, topic: target.name.clone() })
}

/// Where a dead letter goes: back to its partition, or where its key belongs in another topic. A deleted original has
/// its name's heir for a successor.
fn target_of<'a>(
    state: &'a State,
    original: &TopicName,
    dead: &DeadLetterState,
    wanted: Option<&(TopicName, String)>,
) -> Result<(&'a Topic, PartitionId), Rejection> {
    if let Some((name, key)) = wanted.filter(|(name, _)| name != original) {
        let topic = state.topic(name).ok_or_else(|| Rejection::UnknownTopic(name.as_str().to_string()))?;
        return Ok((topic, partition_of(key, topic.partition_count())));
    }
    let gone = || match wanted {
        Some((name, _)) => Rejection::UnknownTopic(name.as_str().to_string()),
        None => Rejection::OriginalDeleted(original.as_str().to_string()),
    };
    let topic = state.topic(original).ok_or_else(gone)?;
    Ok((topic, PartitionId(dead.original.partition.0 % topic.partition_count())))
}

fn name_of(draft: &Draft<'_>, at: MessageAt) -> TopicName {
    let topic = draft.state.topics.get(&at.topic);
    topic.expect("a key's message has its topic").name.clone()
}
