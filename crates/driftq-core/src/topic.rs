//! Topics: a name, partitions, and the groups that read them.
//!
//! Promise: a topic is an entry in a table, never a file, a task or a timer; one partition lies within it. What many
//! messages have in common is kept once.

pub use crate::partition::{Entry, Note, Partition};
use crate::{
    DeadLetterState, GroupId, GroupName, KeyDigest, MessageAt, PartitionId, Position, RetryPolicy, RunNo,
    RunOf, TenantId, TopicId, TopicName, WallTime,
};
use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TopicKind {
    /// Messages.
    Plain,
    /// Dead letters of another topic.
    DeadLetters,
    /// One run's events.
    Timeline(RunNo),
}

/// One incarnation of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its incarnation.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// What it is for.
    pub kind: TopicKind,
    /// The last record that changed it.
    pub applied: Position,
    /// Its partitions.
    pub partitions: SmallVec<[Partition; 1]>,
    /// What it was told itself.
    pub(crate) settings: Option<Box<crate::TopicSettings>>,
    traits: Option<Box<AllTraits>>,
    #[serde(skip)]
    pub(crate) groups: GroupNames,
    /// The number of the first pattern of the configuration that fits its name.
    #[serde(skip)]
    pub(crate) pattern: Option<u16>,
}

/// A topic's groups, in the order of their names: few at most, and none for most timelines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupNames(Vec<(GroupName, GroupId)>);

/// All combinations of traits that a topic's messages have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct AllTraits {
    list: Vec<Traits>,
    #[serde(skip)]
    numbers: BTreeMap<Traits, u32>,
}

/// What many messages have in common; each combination is kept once a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Traits {
    pub(crate) policy: Option<RetryPolicy>,
    pub(crate) tenant: Option<TenantId>,
}

impl Topic {
    pub(crate) fn new(
        id: TopicId,
        name: TopicName,
        kind: TopicKind,
        partitions: u32,
        applied: Position,
    ) -> Self {
        let partitions = (0..partitions).map(|_| Partition::new(kind)).collect();
        let groups = GroupNames::default();
        Self { id, name, kind, applied, partitions, settings: None, traits: None, groups, pattern: None }
    }

    /// What it was told itself.
    #[must_use]
    pub fn settings(&self) -> Option<&crate::TopicSettings> {
        self.settings.as_deref()
    }

    /// How many dead letters wait for somebody.
    pub(crate) fn open_dead_letters(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.rare().open_dead.len() as u64).sum()
    }

    /// Lets a topic without a message be a run's timeline from now on.
    pub(crate) fn become_timeline(&mut self, run: RunNo) {
        self.kind = TopicKind::Timeline(run);
        self.partitions.iter_mut().for_each(|partition| partition.become_kind(self.kind));
    }

    /// How many partitions.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    /// A partition, if it exists.
    #[must_use]
    pub fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        self.partitions.get(usize::try_from(partition.0).ok()?)
    }

    pub(crate) fn partition_mut(&mut self, partition: PartitionId) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(partition.0).ok()?)
    }

    pub(crate) fn dead_letter_mut(&mut self, at: MessageAt) -> Option<&mut DeadLetterState> {
        self.partition_mut(at.partition)?.dead_letter_mut(at.offset)
    }

    /// Its groups, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&GroupName, GroupId)> {
        self.groups.0.iter().map(|(name, id)| (name, *id))
    }

    /// A group's incarnation.
    #[must_use]
    pub fn group(&self, name: &GroupName) -> Option<GroupId> {
        self.groups.get(name)
    }

    /// The retry policy of an entry.
    #[must_use]
    pub fn policy(&self, entry: &Entry) -> Option<RetryPolicy> {
        self.traits_of(entry).and_then(|traits| traits.policy)
    }

    /// The tenant of an entry.
    #[must_use]
    pub fn tenant(&self, entry: &Entry) -> Option<&TenantId> {
        self.traits_of(entry).and_then(|traits| traits.tenant.as_ref())
    }

    fn traits_of(&self, entry: &Entry) -> Option<&Traits> {
        let index = entry.traits().checked_sub(1)?;
        self.traits.as_ref()?.list.get(usize::try_from(index).ok()?)
    }

    /// The number under which these traits are kept; 0 stands for none at all.
    fn traits_number(&mut self, traits: Traits) -> u32 {
        if traits == Traits::default() {
            return 0;
        }
        let all = self.traits.get_or_insert_default();
        if let Some(number) = all.numbers.get(&traits) {
            return *number;
        }
        all.list.push(traits.clone());
        let number = u32::try_from(all.list.len()).expect("a topic has fewer combinations than messages");
        all.numbers.insert(traits, number);
        number
    }

    /// Derives what is not written to a checkpoint.
    pub(crate) fn index(&mut self) {
        if let Some(all) = &mut self.traits {
            all.numbers = all.list.iter().cloned().zip(1..).collect();
        }
    }

    /// Entries of its lists.
    pub(crate) fn weight(&self) -> usize {
        self.partitions.iter().map(Partition::weight).sum()
    }

    /// Appends a message.
    pub(crate) fn append(&mut self, at: MessageAt, appended: Appended) {
        let traits = self.traits_number(Traits { policy: appended.policy, tenant: appended.tenant.clone() });
        if let Some(partition) = self.partition_mut(at.partition) {
            partition.append(at.offset, traits, appended);
        }
    }
}

impl GroupNames {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn insert(&mut self, name: GroupName, group: GroupId) {
        match self.place(&name) {
            Ok(place) => self.0.get_mut(place).into_iter().for_each(|(_, known)| *known = group),
            Err(place) => {
                // Most topics have one group; more than a few double their room.
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact(self.0.len().max(1));
                }
                self.0.insert(place, (name, group));
            }
        }
    }

    pub(crate) fn remove(&mut self, name: &GroupName) {
        if let Ok(place) = self.place(name) {
            self.0.remove(place);
        }
    }

    fn get(&self, name: &GroupName) -> Option<GroupId> {
        self.0.get(self.place(name).ok()?).map(|(_, group)| *group)
    }

    fn place(&self, name: &GroupName) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| own.cmp(name))
    }
}

/// What an append brings, for any kind of topic.
pub(crate) struct Appended {
    pub(crate) position: Position,
    pub(crate) bytes: u32,
    pub(crate) policy: Option<RetryPolicy>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) due: Option<WallTime>,
    pub(crate) key: Option<KeyDigest>,
    pub(crate) run: Option<RunOf>,
    pub(crate) note: Note,
}
