//! The operators of a life: people who tell topics, delete, move groups, and end waits.
//!
//! Promise: they come on top of a plan whose other steps stay as they were; half of the lives have none. What an
//! operator does makes sense at the moment in which it happens.

use crate::calls::Ask;
use crate::model::Verdict;
use crate::plan::{Fate, Op, Policy, SeekPlace};
use crate::world::World;
use driftq_core::{
    Change, Command, DeleteGroup, DeleteTopic, GroupName, MessageTarget, Millis, Offset, PartitionId,
    PatchTopic, PolicyPatch, RetryNow, SeekGroup, SeekTo, SettingsPatch, TopicName,
};
use fastrand::Rng;

/// One operator's step for that many others.
const SHARE: usize = 14;
/// Keeps what operators do apart from what everybody else does.
const APART: u64 = 0x6f70_6572_6174_6f72;

/// Puts operators' steps between those of a plan.
pub(crate) fn come(ops: Vec<Op>, seed: u64) -> Vec<Op> {
    let mut rng = Rng::with_seed(seed ^ APART);
    if rng.bool() {
        return ops;
    }
    let kinds: Vec<u8> = (0..5).filter(|_| rng.u8(..3) > 0).collect();
    let mut all = Vec::with_capacity(ops.len() + ops.len() / SHARE);
    for op in ops {
        all.push(op);
        if !kinds.is_empty() && rng.usize(..SHARE) == 0 {
            all.push(step(kinds[rng.usize(..kinds.len())], &mut rng));
        }
    }
    all
}

fn step(kind: u8, rng: &mut Rng) -> Op {
    let topic = if rng.u8(..4) == 0 { *pick(rng, &[4, 5, 10, 11]) } else { rng.u8(..3) };
    let group = rng.u8(..3);
    let fate = Fate { hold: rng.u8(..4) == 0, ..Fate::default() };
    match kind {
        0 => Op::Patch {
            topic,
            policy: (rng.u8(..3) == 0).then(|| Policy {
                max_attempts: *pick(rng, &[0, 1, 2]),
                backoff_ms: *pick(rng, &[0, 100]),
                ..Policy::default()
            }),
            window_ms: rng.bool().then(|| *pick(rng, &[0, 50, 3_000, 48 * 60 * 60 * 1000])),
            messages_max: (rng.u8(..4) == 0).then(|| *pick(rng, &[0, 2, 50])),
            reset: rng.u8(..4) == 0,
            fate,
        },
        1 => Op::DeleteTopic { topic, fate },
        2 => Op::DeleteGroup { topic, group, fate },
        3 => {
            let to = match rng.u8(..6) {
                0 | 1 => SeekPlace::Earliest,
                2 => SeekPlace::Latest,
                _ => SeekPlace::Share { partition: rng.u32(..3), tenths: rng.u64(..12) },
            };
            Op::Seek { topic, group, to, fate }
        }
        _ => Op::RetryNow {
            topic,
            group: (rng.u8(..4) > 0).then_some(group),
            run: (rng.u8(..4) == 0).then(|| rng.u8(..4)),
            pick: rng.u32(..64),
            fate,
        },
    }
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

/// The names that numbers stand for.
pub(crate) struct Names {
    pub(crate) topic: fn(u8) -> TopicName,
    pub(crate) group: fn(u8) -> GroupName,
    pub(crate) run: fn(u8) -> driftq_core::RunId,
}

impl World {
    /// What an operator's step asks for.
    pub(crate) fn operation(&self, op: &Op, names: &Names) -> Verdict<(Ask, Fate)> {
        let (command, fate) = match op {
            Op::Patch { topic, policy, window_ms, messages_max, reset, fate } => {
                let settings = patch(*policy, *window_ms, *messages_max, *reset);
                // The reason tells one patch from another, so it is known which of them changed something.
                let (actor, reason) = (Some("ops".to_owned()), Some(format!("{settings:?}")));
                let patch = PatchTopic { topic: (names.topic)(*topic), settings, actor, reason };
                (Command::PatchTopic(Box::new(patch)), fate)
            }
            Op::DeleteTopic { topic, fate } => {
                let delete = DeleteTopic { topic: (names.topic)(*topic), actor: None, reason: None };
                (Command::DeleteTopic(delete), fate)
            }
            Op::DeleteGroup { topic, group, fate } => {
                let (topic, group) = ((names.topic)(*topic), (names.group)(*group));
                (Command::DeleteGroup(DeleteGroup { topic, group, actor: None, reason: None }), fate)
            }
            Op::Seek { topic, group, to, fate } => {
                let (topic, group) = ((names.topic)(*topic), (names.group)(*group));
                let to = self.seek_to(&topic, *to);
                let seek = SeekGroup { topic, group, to, actor: None, reason: None };
                (Command::SeekGroup(Box::new(seek)), fate)
            }
            Op::RetryNow { topic, group, run, pick, fate } => {
                let target = match run {
                    Some(run) => MessageTarget::Run((names.run)(*run)),
                    None => self.waiting_message((names.topic)(*topic), group.map(names.group), *pick),
                };
                (Command::RetryNow(Box::new(RetryNow { target, actor: None, reason: None })), fate)
            }
            other => return Err(format!("{other:?} is no operator's step")),
        };
        Ok((Ask::Command(command), *fate))
    }

    fn seek_to(&self, topic: &TopicName, to: SeekPlace) -> SeekTo {
        match to {
            SeekPlace::Earliest => SeekTo::Earliest,
            SeekPlace::Latest => SeekTo::Latest,
            SeekPlace::Share { partition, tenths } => {
                let found = self
                    .model
                    .topic_named(topic)
                    .and_then(|(_, topic)| topic.partitions.get(usize::try_from(partition).unwrap_or(0)));
                let end = found.map_or(0, |partition| partition.messages.len() as u64);
                // The eleventh tenth is behind the end.
                let offset = if tenths == 11 { end + 1 } else { end * tenths / 10 };
                SeekTo::Offset { partition: PartitionId(partition), offset: Offset(offset) }
            }
        }
    }

    /// Mostly a message that waits for something, wherever it is; now and then any.
    fn waiting_message(&self, topic: TopicName, group: Option<GroupName>, pick: u32) -> MessageTarget {
        let found = self.model.waiting();
        let (topic, group, partition, offset) =
            match usize::try_from(pick).ok().filter(|_| !pick.is_multiple_of(5)) {
                Some(pick) if !found.is_empty() => {
                    let (topic, reader, partition, offset) = found[pick % found.len()].clone();
                    // Whoever names no group has to be told that he must.
                    (topic, reader.or(group.clone()).filter(|_| group.is_some()), partition, offset)
                }
                Some(_) | None => (topic, group, PartitionId(0), Offset(u64::from(pick % 7))),
            };
        MessageTarget::Message { topic, group, partition, offset }
    }
}

fn patch(policy: Option<Policy>, window: Option<u64>, messages: Option<u64>, reset: bool) -> SettingsPatch {
    if reset {
        return SettingsPatch {
            policy: Change::Reset,
            key_window: Change::Reset,
            partition_messages_max: Change::Reset,
            ..SettingsPatch::default()
        };
    }
    let set = |policy: Policy| PolicyPatch {
        max_attempts: Change::Set(policy.max_attempts),
        backoff: Change::Set(Millis(policy.backoff_ms)),
        ..PolicyPatch::default()
    };
    SettingsPatch {
        policy: policy.map_or(Change::Keep, |policy| Change::Set(set(policy))),
        key_window: window.map_or(Change::Keep, |ms| Change::Set(Millis(ms))),
        partition_messages_max: messages.map_or(Change::Keep, Change::Set),
        ..SettingsPatch::default()
    }
}
