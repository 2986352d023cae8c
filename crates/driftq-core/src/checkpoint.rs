//! A state's entities as bytes, one at a time, and back.
//!
//! Promise: an entity is written as it stands, with the last record that changed it; a recovery that applies the log
//! again from any position at or before it ends in the same state. What is derived is not written.

use crate::state::Ids;
use crate::{
    Entry, Group, GroupId, Instant, KeyWindow, PartitionId, Position, Run, RunNo, State, Topic, TopicId,
    WallTime,
};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What entities look like; another number is another release's.
const FORMAT: u32 = 2;
/// Entries written at a time.
const ENTRIES_CHUNK: usize = 16_384;

/// Names one entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntityId {
    /// Time, epoch and ordinals.
    Header,
    /// A topic.
    Topic(TopicId),
    /// A group.
    Group(GroupId),
    /// A run.
    Run(RunNo),
    /// The idempotency keys.
    Keys,
    /// Some entries of a topic's partition, by their index.
    Entries {
        /// The topic.
        topic: TopicId,
        /// The partition.
        partition: PartitionId,
        /// The first index.
        from: usize,
        /// The index behind the last.
        to: usize,
    },
}

/// One entity, as it stands.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub enum Entity {
    /// Time, epoch and ordinals as the first format had them; what follows it is not read any more.
    Header {
        /// Core time.
        now: Instant,
        /// Wall-clock time.
        wall: WallTime,
        /// The running start's epoch.
        epoch: u32,
        /// The last record applied when it was written.
        applied: Position,
        /// The next topic, group, run and lease ordinals.
        ids: [u64; 4],
    },
    /// A topic.
    Topic(Topic),
    /// A group.
    Group(Group),
    /// A run.
    Run(Run),
    /// The idempotency keys.
    Keys(KeyWindow),
    /// Some entries of a topic's partition, behind those before.
    Entries {
        /// The topic.
        topic: TopicId,
        /// The partition.
        partition: PartitionId,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// What follows, then time, epoch and ordinals.
    Begin {
        /// What the entities that follow look like.
        format: u32,
        /// Core time.
        now: Instant,
        /// Wall-clock time.
        wall: WallTime,
        /// The running start's epoch.
        epoch: u32,
        /// The last record applied when it was written.
        applied: Position,
        /// The next topic, group, run and lease ordinals.
        ids: [u64; 4],
    },
}

/// An [`Entity`] that is written without being copied: the same variants in the same order.
#[derive(Serialize)]
enum EntityRef<'a> {
    #[expect(dead_code, reason = "it keeps the number of the first format's header")]
    Header,
    Topic(&'a Topic),
    Group(&'a Group),
    Run(&'a Run),
    Keys(&'a KeyWindow),
    Entries {
        topic: TopicId,
        partition: PartitionId,
        entries: Vec<Entry>,
    },
    Begin {
        format: u32,
        now: Instant,
        wall: WallTime,
        epoch: u32,
        applied: Position,
        ids: [u64; 4],
    },
}

/// The bytes are not an entity of this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint holds an entity that this release cannot read")]
pub struct CheckpointError;

impl Entity {
    /// Reads an entity back.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] when the bytes are not one, or begin a checkpoint of another release.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        match postcard::from_bytes(bytes) {
            Ok(Self::Header { .. }) | Err(_) => Err(CheckpointError),
            Ok(Self::Begin { format, .. }) if format != FORMAT => Err(CheckpointError),
            Ok(entity) => Ok(entity),
        }
    }
}

impl State {
    /// Every entity there is now, in the order in which a recovery has to take them in.
    ///
    /// The first is the header, which has to be encoded before anything else is applied: a recovery reads the log from
    /// right behind it. The others may be encoded later, while the log goes on.
    #[must_use]
    pub fn entities(&self) -> Vec<EntityId> {
        let mut ids = Vec::with_capacity(self.topics.len() + self.groups.len() + self.runs.len() + 2);
        ids.push(EntityId::Header);
        ids.extend(self.topics.keys().map(|id| EntityId::Topic(*id)));
        ids.extend(self.groups.keys().map(|id| EntityId::Group(*id)));
        ids.extend(self.runs.keys().map(|no| EntityId::Run(*no)));
        ids.push(EntityId::Keys);
        ids
    }

    /// Entries of a topic that have to be encoded right behind it, as many as there are now. What is appended later is
    /// told of by the log.
    #[must_use]
    pub fn entries_of(&self, topic: TopicId) -> Vec<EntityId> {
        let mut ids = Vec::new();
        let partitions = self.topics.get(&topic).map_or(&[][..], |topic| &topic.partitions);
        for (partition, index) in partitions.iter().zip(0..) {
            let count = partition.entries_apart();
            for from in (0..count).step_by(ENTRIES_CHUNK) {
                let to = count.min(from + ENTRIES_CHUNK);
                ids.push(EntityId::Entries { topic, partition: PartitionId(index), from, to });
            }
        }
        ids
    }

    /// An entity's bytes as it stands now; `None` when it is gone.
    #[must_use]
    pub fn encode_entity(&self, id: EntityId) -> Option<Vec<u8>> {
        let entity = match id {
            EntityId::Header => EntityRef::Begin {
                format: FORMAT,
                now: self.now,
                wall: self.wall,
                epoch: self.epoch,
                applied: self.applied,
                ids: [
                    u64::from(self.ids.topic.0),
                    u64::from(self.ids.group.0),
                    self.ids.run.0,
                    self.ids.lease,
                ],
            },
            EntityId::Topic(id) => EntityRef::Topic(self.topics.get(&id)?),
            EntityId::Group(id) => EntityRef::Group(self.groups.get(&id)?),
            EntityId::Run(no) => EntityRef::Run(self.runs.get(&no)?),
            EntityId::Keys => EntityRef::Keys(&self.keys),
            EntityId::Entries { topic, partition, from, to } => {
                let entries = self.topics.get(&topic)?.partition(partition)?.entries_in(from..to);
                EntityRef::Entries { topic, partition, entries }
            }
        };
        postcard::to_allocvec(&entity).ok()
    }

    /// Takes an entity in while a state is rebuilt.
    pub fn adopt(&mut self, entity: Entity) {
        match entity {
            Entity::Header { .. } => {}
            Entity::Begin { now, wall, epoch, applied, ids: [topic, group, run, lease], .. } => {
                self.now = now;
                self.wall = wall;
                self.epoch = epoch;
                self.applied = applied;
                self.ids = Ids {
                    topic: TopicId(u32::try_from(topic).unwrap_or(u32::MAX)),
                    group: GroupId(u32::try_from(group).unwrap_or(u32::MAX)),
                    run: RunNo(run),
                    lease,
                };
            }
            Entity::Topic(mut topic) => {
                topic.index_traits();
                self.adopt_topic(topic);
            }
            Entity::Group(group) => self.adopt_group(group),
            Entity::Run(run) => self.adopt_run(run),
            Entity::Keys(mut keys) => {
                keys.index_topics();
                self.keys = keys;
            }
            Entity::Entries { topic, partition, entries } => {
                let found = self.topics.get_mut(&topic).and_then(|topic| topic.partition_mut(partition));
                if let Some(found) = found {
                    found.adopt_entries(entries);
                }
            }
        }
    }
}
