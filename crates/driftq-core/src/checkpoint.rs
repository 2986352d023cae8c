//! A state's entities as bytes, one at a time, and back.
//!
//! Promise: an entity is written as it stood at one moment, with the last record that changed it, though a long one is
//! encoded a piece at a time while the broker goes on; a recovery that applies the log again from any position at or
//! before it ends in the same state. What is derived is not written.

use crate::parts::{Part, Parts};
use crate::state::Ids;
use crate::{
    Group, GroupId, Instant, JobNo, KeyWindow, Position, RedriveJob, Run, RunNo, Sealed, State, Topic,
    TopicId, Tracked, WallTime,
};
use alloc::{boxed::Box, vec::Vec};
use serde::{Deserialize, Serialize};

/// The format of entities. Any change of what a topic, group, run or key window keeps is another one; a checkpoint of
/// another format is passed over and the log is read instead.
pub const CHECKPOINT_FORMAT: u8 = 3;

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
    /// A bulk redrive.
    RedriveJob(JobNo),
}

/// One entity as it stood, or a part of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Entity {
    /// Time, epoch and ordinals.
    Header(Header),
    /// A topic.
    Topic(Box<Topic>),
    /// A group.
    Group(Box<Group>),
    /// A run.
    Run(Box<Run>),
    /// A run that has ended.
    Ended(RunNo, Sealed),
    /// The idempotency keys.
    Keys(KeyWindow),
    /// Some more of the entity before.
    Part(Part),
    /// A bulk redrive, and what it moved and waits for.
    RedriveJob(Box<RedriveJob>, Vec<Tracked>),
}

/// What belongs to no entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Core time.
    pub now: Instant,
    /// Wall-clock time.
    pub wall: WallTime,
    /// The running start's epoch.
    pub epoch: u32,
    /// The last record applied when it was written.
    pub applied: Position,
    /// The next topic, group, run and lease ordinals.
    pub ids: [u64; 4],
}

/// An [`Entity`] that is written without being copied: the same variants in the same order.
#[derive(Serialize)]
enum EntityRef<'a> {
    Header(Header),
    Topic(&'a Topic),
    Group(&'a Group),
    Run(&'a Run),
    Ended(RunNo, &'a Sealed),
    Keys(&'a KeyWindow),
    Part(&'a Part),
    RedriveJob(&'a RedriveJob, Vec<Tracked>),
}

/// The bytes are not an entity of this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the checkpoint holds an entity that this release cannot read")]
pub struct CheckpointError;

/// An entity as it stood when it was taken: it shares what did not change since, and is encoded a piece at a time.
#[derive(Debug)]
pub struct Frozen {
    whole: Option<Vec<u8>>,
    parts: Parts,
    piece_max: usize,
}

impl Iterator for Frozen {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.whole
            .take()
            .or_else(|| self.parts.next(self.piece_max).map(|part| encoded(&EntityRef::Part(&part))))
    }
}

impl Entity {
    /// Reads an entity back.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] when the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        postcard::from_bytes(bytes).map_err(|_| CheckpointError)
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
        ids.extend(self.jobs.all.keys().map(|no| EntityId::RedriveJob(*no)));
        ids
    }

    /// An entity as it stands now, to be encoded piece by piece at leisure; `None` when it is gone.
    ///
    /// One that has at most `piece_max` entries is encoded at once, a longer one in pieces of about as many. Taking it
    /// copies none of them, only a pointer for every chunk.
    #[must_use]
    pub fn freeze(&self, id: EntityId, piece_max: usize) -> Option<Frozen> {
        match id {
            EntityId::Header => Some(whole(&EntityRef::Header(self.header()))),
            EntityId::Topic(id) => {
                let topic = self.topics.get(&id)?;
                if topic.weight() <= piece_max {
                    return Some(whole(&EntityRef::Topic(topic)));
                }
                let mut topic = topic.clone();
                let parts = Parts::of_topic(&mut topic);
                Some(Frozen { parts, piece_max, ..whole(&EntityRef::Topic(&topic)) })
            }
            EntityId::Group(id) => {
                let group = self.groups.get(&id)?;
                if group.weight() <= piece_max {
                    return Some(whole(&EntityRef::Group(group)));
                }
                let mut group = group.clone();
                let parts = Parts::of_group(&mut group);
                Some(Frozen { parts, piece_max, ..whole(&EntityRef::Group(&group)) })
            }
            EntityId::Run(no) => Some(whole(&match self.runs.written(no)? {
                Ok(run) => EntityRef::Run(run),
                Err(sealed) => EntityRef::Ended(no, sealed),
            })),
            EntityId::RedriveJob(no) => {
                let job = self.jobs.all.get(&no)?;
                Some(whole(&EntityRef::RedriveJob(job, self.jobs.tracked_by(no))))
            }
            EntityId::Keys => {
                let mut keys = self.keys.unindexed();
                let parts = Parts::of_keys(&mut keys);
                Some(Frozen { parts, piece_max, ..whole(&EntityRef::Keys(&keys)) })
            }
        }
    }

    fn header(&self) -> Header {
        let Ids { topic, group, run, lease } = self.ids;
        Header {
            now: self.now,
            wall: self.wall,
            epoch: self.epoch,
            applied: self.applied,
            ids: [u64::from(topic.0), u64::from(group.0), run.0, lease],
        }
    }

    /// Takes an entity, or a part of the one before, in while a state is rebuilt.
    pub fn adopt(&mut self, entity: Entity) {
        match entity {
            Entity::Header(Header { now, wall, epoch, applied, ids: [topic, group, run, lease] }) => {
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
                let parts = Parts::of_topic(&mut topic);
                topic.index();
                self.adopt_topic(*topic);
                parts.into_iter().for_each(|part| self.adopt_part(part));
            }
            Entity::Group(mut group) => {
                let parts = Parts::of_group(&mut group);
                self.adopt_group(*group);
                parts.into_iter().for_each(|part| self.adopt_part(part));
            }
            Entity::Run(run) => {
                let no = run.no;
                self.runs.insert(*run);
                self.recount_run(no, None);
            }
            Entity::Ended(no, sealed) => {
                self.runs.adopt_sealed(no, sealed);
                self.recount_run(no, None);
            }
            Entity::Keys(mut keys) => {
                let parts = Parts::of_keys(&mut keys);
                self.keys = keys;
                parts.into_iter().for_each(|part| self.adopt_part(part));
            }
            Entity::Part(part) => self.adopt_part(part),
            Entity::RedriveJob(job, tracked) => self.jobs.adopt(*job, tracked),
        }
    }
}

fn whole(entity: &EntityRef<'_>) -> Frozen {
    Frozen { whole: Some(encoded(entity)), parts: Parts::default(), piece_max: 0 }
}

fn encoded(entity: &EntityRef<'_>) -> Vec<u8> {
    postcard::to_allocvec(entity).expect("every entity has bytes")
}
