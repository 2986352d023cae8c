//! Parts of an entity: its long lists, which a checkpoint writes a piece at a time behind the entity itself.
//!
//! Promise: a piece holds about as many entries as it may, to the end of a chunk. An entity that takes all its parts in again is
//! what it was, with what is derived from them.

use crate::digests::Used;
use crate::idempotency::{AckedAt, KeyEntry};
use crate::memos::Memo;
use crate::packed::Packed;
use crate::pending::Slot;
use crate::ring::Ring;
use crate::visible::Span;
use crate::{
    Entry, Group, GroupId, KeyDigest, MessageAt, MessageOf, Note, Offset, PartitionId, Progress, RunOf,
    State, Topic, TopicId, WallTime,
};
use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use serde::{Deserialize, Serialize};

/// Some entries of a long list, behind those before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Topic(TopicId, PartitionId, OfPartition),
    Group(GroupId, PartitionId, OfProgress),
    Consumed(GroupId, Ring<Used<AckedAt>>),
    Keys(Ring<Used<KeyEntry>>),
}

/// A long list of a topic's partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OfPartition {
    Entries(Ring<Entry>),
    Spans(Ring<Span>),
    Notes(Packed<Offset, Box<Note>>),
    Commands(Packed<Offset, RunOf>),
    Keys(Packed<Offset, KeyDigest>),
    Delayed(Packed<Offset, WallTime>),
}

/// A long list of a group's partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OfProgress {
    Ranges(Packed<u64, u64>),
    Slots(Packed<Offset, Slot>),
    Memos(Ring<Memo>),
}

impl Part {
    fn len(&self) -> usize {
        match &self.0 {
            Kind::Topic(_, _, part) => part.len(),
            Kind::Group(_, _, part) => part.len(),
            Kind::Consumed(_, uses) => uses.len(),
            Kind::Keys(uses) => uses.len(),
        }
    }

    /// Takes the first entries, about `max`.
    fn split_front(&mut self, max: usize) -> Self {
        Self(match &mut self.0 {
            Kind::Topic(topic, partition, part) => Kind::Topic(*topic, *partition, part.split_front(max)),
            Kind::Group(group, partition, part) => Kind::Group(*group, *partition, part.split_front(max)),
            Kind::Consumed(group, uses) => Kind::Consumed(*group, uses.split_front(max)),
            Kind::Keys(uses) => Kind::Keys(uses.split_front(max)),
        })
    }
}

impl OfPartition {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Entries(part) => part.len(),
            Self::Spans(part) => part.len(),
            Self::Notes(part) => part.len(),
            Self::Commands(part) => part.len(),
            Self::Keys(part) => part.len(),
            Self::Delayed(part) => part.len(),
        }
    }

    fn split_front(&mut self, max: usize) -> Self {
        match self {
            Self::Entries(part) => Self::Entries(part.split_front(max)),
            Self::Spans(part) => Self::Spans(part.split_front(max)),
            Self::Notes(part) => Self::Notes(part.split_front(max)),
            Self::Commands(part) => Self::Commands(part.split_front(max)),
            Self::Keys(part) => Self::Keys(part.split_front(max)),
            Self::Delayed(part) => Self::Delayed(part.split_front(max)),
        }
    }
}

impl OfProgress {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ranges(part) => part.len(),
            Self::Slots(part) => part.len(),
            Self::Memos(part) => part.len(),
        }
    }

    fn split_front(&mut self, max: usize) -> Self {
        match self {
            Self::Ranges(part) => Self::Ranges(part.split_front(max)),
            Self::Slots(part) => Self::Slots(part.split_front(max)),
            Self::Memos(part) => Self::Memos(part.split_front(max)),
        }
    }
}

/// Parts that are still to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(VecDeque<Part>);

impl Parts {
    /// Takes a topic's lists out of it.
    pub(crate) fn of_topic(topic: &mut Topic) -> Self {
        let id = topic.id;
        let partitions = (0..).map(PartitionId).zip(topic.partitions.iter_mut());
        let parts = partitions.flat_map(|(number, partition)| {
            partition.take_parts().map(move |part| Part(Kind::Topic(id, number, part)))
        });
        Self(parts.filter(|part| part.len() > 0).collect())
    }

    /// Takes a group's lists out of it.
    pub(crate) fn of_group(group: &mut Group) -> Self {
        let id = group.id;
        let partitions = (0..).map(PartitionId).zip(group.partitions.iter_mut());
        let parts = partitions.flat_map(|(number, progress)| {
            progress.take_parts().map(move |part| Part(Kind::Group(id, number, part)))
        });
        let consumed = Part(Kind::Consumed(id, group.consumed.take_uses()));
        Self(parts.chain([consumed]).filter(|part| part.len() > 0).collect())
    }

    /// Takes the keys out of their window.
    pub(crate) fn of_keys(keys: &mut crate::KeyWindow) -> Self {
        let part = Part(Kind::Keys(keys.take_uses()));
        Self(Some(part).filter(|part| part.len() > 0).into_iter().collect())
    }

    /// The next piece, of about `max` entries.
    pub(crate) fn next(&mut self, max: usize) -> Option<Part> {
        let first = self.0.front_mut()?;
        let piece = first.split_front(max);
        if first.len() == 0 {
            self.0.pop_front();
        }
        Some(piece)
    }
}

impl IntoIterator for Parts {
    type Item = Part;
    type IntoIter = alloc::collections::vec_deque::IntoIter<Part>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The open dead letters among these notes; their entries came before.
fn open_dead_letters(part: &OfPartition) -> Vec<Offset> {
    match part {
        OfPartition::Notes(notes) => {
            let open = notes.iter().filter(|(_, note)| note.is_open_dead_letter());
            open.map(|(offset, _)| *offset).collect()
        }
        OfPartition::Entries(_)
        | OfPartition::Spans(_)
        | OfPartition::Commands(_)
        | OfPartition::Keys(_)
        | OfPartition::Delayed(_) => Vec::new(),
    }
}

impl State {
    /// Takes a part in, with all that is derived from it.
    pub(crate) fn adopt_part(&mut self, part: Part) {
        match part.0 {
            Kind::Topic(topic, partition, part) => {
                self.adopt_timers_of(topic, partition, &part);
                let open = open_dead_letters(&part);
                let found = self.topics.get_mut(&topic).and_then(|topic| topic.partition_mut(partition));
                if let Some(found) = found {
                    found.adopt(part);
                }
                for offset in open {
                    self.index_dead_letter(MessageAt { topic, partition, offset });
                }
            }
            Kind::Group(group, partition, part) => self.adopt_progress(group, partition, part),
            Kind::Consumed(group, uses) => {
                if let Some(found) = self.groups.get_mut(&group) {
                    found.consumed.adopt(&uses);
                }
            }
            Kind::Keys(uses) => self.keys.adopt(&uses),
        }
    }

    fn adopt_timers_of(&mut self, topic: TopicId, partition: PartitionId, part: &OfPartition) {
        let at = |offset: &Offset| MessageAt { topic, partition, offset: *offset };
        match part {
            OfPartition::Delayed(delayed) => {
                delayed.iter().for_each(|(offset, due)| {
                    self.timers.due.insert((*due, at(offset)), ());
                });
            }
            OfPartition::Notes(notes) => {
                let waiting = notes.iter().filter(|(_, note)| !note.expired);
                let deadlines = waiting.filter_map(|(offset, note)| Some((note.deadline?, at(offset))));
                deadlines.for_each(|deadline| {
                    self.timers.deadlines.insert(deadline, ());
                });
                for (offset, note) in notes.iter() {
                    if let Some(dead) = &note.dead {
                        self.tally.dead_of.insert((dead.original, at(offset)), ());
                    }
                }
            }
            OfPartition::Entries(_)
            | OfPartition::Spans(_)
            | OfPartition::Commands(_)
            | OfPartition::Keys(_) => {}
        }
    }

    fn adopt_progress(&mut self, group: GroupId, partition: PartitionId, part: OfProgress) {
        let Some(found) = self.groups.get_mut(&group) else { return };
        let Some(progress) = found.progress_mut(partition) else { return };
        let offsets: Vec<Offset> = match &part {
            OfProgress::Slots(slots) => slots.keys().copied().collect(),
            OfProgress::Ranges(_) | OfProgress::Memos(_) => Vec::new(),
        };
        progress.adopt(part);
        for offset in offsets {
            let of = MessageOf { group, partition, offset };
            if let Some(pending) = Progress::pending_at(progress, offset) {
                self.timers.add_pending(of, &pending);
            }
        }
    }
}
