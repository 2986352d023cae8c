//! The open dead letters by kind of failure: which there are, how many, since when.
//!
//! Promise: it is derived from the dead letters themselves and never stored. Counting a kind costs the number of its
//! facets (topic, group, tenant, reason), not the number of its dead letters; entering and leaving cost a logarithm.

use crate::{
    DeadLetterReason, DeadLetterState, Fingerprint, GroupName, MessageAt, PartitionId, State, TenantId,
    TopicId, WallTime,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// What dead letters of one kind may differ in, so that a filter picks whole sets of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Facet {
    /// The dead letters' own topic.
    pub(crate) topic: TopicId,
    pub(crate) group: Option<GroupName>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) reason: DeadLetterReason,
}

/// Dead letters of one facet, oldest first.
pub(crate) type Members = BTreeSet<(WallTime, MessageAt)>;

/// All open dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeadIndex {
    pub(crate) kinds: BTreeMap<Fingerprint, BTreeMap<Facet, Members>>,
    pub(crate) open: u64,
}

impl DeadIndex {
    fn insert(&mut self, fingerprint: Fingerprint, facet: Facet, member: (WallTime, MessageAt)) {
        let members = self.kinds.entry(fingerprint).or_default().entry(facet).or_default();
        self.open += u64::from(members.insert(member));
    }

    /// Takes in a dead letter as the state has it.
    pub(crate) fn file(&mut self, state: &State, at: MessageAt) {
        if let Some((fingerprint, facet, wall)) = state.filed(at) {
            self.insert(fingerprint, facet, (wall, at));
        }
    }

    fn remove(&mut self, fingerprint: Fingerprint, facet: &Facet, member: (WallTime, MessageAt)) {
        let Some(facets) = self.kinds.get_mut(&fingerprint) else { return };
        let Some(members) = facets.get_mut(facet) else { return };
        self.open -= u64::from(members.remove(&member));
        if members.is_empty() {
            facets.remove(facet);
        }
        if facets.is_empty() {
            self.kinds.remove(&fingerprint);
        }
    }
}

impl State {
    /// Takes an open dead letter in.
    pub(crate) fn index_dead_letter(&mut self, at: MessageAt) {
        if let Some((fingerprint, facet, wall)) = self.filed(at) {
            self.dead.insert(fingerprint, facet, (wall, at));
        }
    }

    /// Lets a dead letter go, before anything that it is found by changes.
    pub(crate) fn unindex_dead_letter(&mut self, at: MessageAt) {
        if let Some((fingerprint, facet, wall)) = self.filed(at) {
            self.dead.remove(fingerprint, &facet, (wall, at));
        }
    }

    /// Lets all dead letters of a topic go, before it is gone itself.
    pub(crate) fn unindex_topic(&mut self, id: TopicId) {
        let Some(topic) = self.topics.get(&id).filter(|topic| topic.name.is_dead_letters()) else { return };
        let partitions =
            topic.partitions.iter().zip(0..).map(|(partition, index)| (PartitionId(index), partition));
        let open = partitions.flat_map(|(partition, kept)| {
            kept.open_dead_letters().map(move |offset| MessageAt { topic: id, partition, offset })
        });
        let open: Vec<_> = open.collect();
        for at in open {
            self.unindex_dead_letter(at);
        }
    }

    /// Gives a dead letter its fingerprint, open or not.
    pub(crate) fn mark_dead_letter(&mut self, at: MessageAt, fingerprint: Fingerprint) {
        let is_open = self.dead_letter(at).is_some_and(|dead| dead.closed.is_none());
        if is_open {
            self.unindex_dead_letter(at);
        }
        if let Some(dead) = self.topics.get_mut(&at.topic).and_then(|topic| topic.dead_letter_mut(at)) {
            dead.fingerprint = fingerprint;
        }
        if is_open {
            self.index_dead_letter(at);
        }
    }

    fn filed(&self, at: MessageAt) -> Option<(Fingerprint, Facet, WallTime)> {
        let topic = self.topics.get(&at.topic)?;
        let partition = topic.partition(at.partition)?;
        let dead: &DeadLetterState = partition.note(at.offset)?.dead.as_deref()?;
        let tenant = topic.tenant(&partition.entry(at.offset)?).cloned();
        let facet = Facet { topic: at.topic, group: dead.group.clone(), tenant, reason: dead.reason };
        Some((dead.fingerprint, facet, dead.wall))
    }

    /// How many dead letters are open.
    #[must_use]
    pub fn dead_letters_open(&self) -> u64 {
        self.dead.open
    }
}
