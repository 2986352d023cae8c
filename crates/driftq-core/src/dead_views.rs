//! Questions about dead letters: lists, counts, kinds of failure.
//!
//! Promise: a list costs what it answers and at most a bounded look besides; a count costs the facets it covers, and
//! what lies in the time it is limited to.

use crate::dead_index::{Facet, Members};
use crate::views::{Page, SCAN_MAX};
use crate::{
    DeadLetterReason, DeadLetterState, Fingerprint, GroupName, MessageAt, Offset, PartitionId, RunNo, Scope,
    State, TenantId, Topic, TopicId, TopicName, WallTime,
};
use alloc::collections::{BTreeSet, BinaryHeap};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Bound;
use serde::{Deserialize, Serialize};

/// Topics and groups that are named with a kind of failure.
pub const KIND_NAMES_MAX: usize = 10;

/// Which dead letters are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterFilter {
    /// Of this original topic.
    pub topic: Option<TopicName>,
    /// Failed by this group.
    pub group: Option<GroupName>,
    /// Of this run.
    pub run: Option<RunNo>,
    /// For this reason.
    pub reason: Option<DeadLetterReason>,
    /// With this fingerprint.
    pub fingerprint: Option<Fingerprint>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Dead since then or later.
    pub since: Option<WallTime>,
    /// Dead before then.
    pub until: Option<WallTime>,
    /// Of what may be seen.
    pub scope: Scope,
}

/// Where a list of dead letters goes on: behind this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterCursor {
    /// In the order of their place.
    Place(MessageAt),
    /// In the order of their time, as those with one fingerprint are listed.
    Time(WallTime, MessageAt),
}

/// Open dead letters with one fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterKind {
    /// The fingerprint.
    pub fingerprint: Fingerprint,
    /// How many.
    pub count: u64,
    /// When the oldest failed.
    pub first: WallTime,
    /// When the newest failed.
    pub last: WallTime,
    /// The newest.
    pub newest: MessageAt,
    /// Their own topics, at most [`KIND_NAMES_MAX`].
    pub topics: Vec<TopicId>,
    /// The groups that failed them, at most [`KIND_NAMES_MAX`].
    pub groups: Vec<GroupName>,
}

impl DeadLetterFilter {
    /// Whether a dead letter is wanted, its topic aside.
    pub(crate) fn wants(&self, dead: &DeadLetterState, tenant: Option<&TenantId>) -> bool {
        self.group.as_ref().is_none_or(|group| dead.group.as_ref() == Some(group))
            && self.run.is_none_or(|run| dead.run.is_some_and(|of| of.run == run))
            && self.reason.is_none_or(|reason| dead.reason == reason)
            && self.fingerprint.is_none_or(|fingerprint| dead.fingerprint == fingerprint)
            && self.tenant.as_ref().is_none_or(|wanted| tenant == Some(wanted))
            && self.since.is_none_or(|since| dead.wall >= since)
            && self.until.is_none_or(|until| dead.wall < until)
    }

    fn covers(&self, facet: &Facet, topic: Option<TopicId>) -> bool {
        topic.is_none_or(|topic| facet.topic == topic)
            && self.group.as_ref().is_none_or(|group| facet.group.as_ref() == Some(group))
            && self.tenant.as_ref().is_none_or(|tenant| facet.tenant.as_ref() == Some(tenant))
            && self.reason.is_none_or(|reason| facet.reason == reason)
    }

    /// The wanted part of a facet, oldest first.
    fn within<'a>(
        &self,
        members: &'a Members,
    ) -> impl DoubleEndedIterator<Item = &'a (WallTime, MessageAt)> + use<'a> {
        let since = self.since.unwrap_or(WallTime(0));
        let until = self.until.unwrap_or(WallTime(u64::MAX)).max(since);
        members.range((since, FIRST)..(until, FIRST))
    }

    fn count_within(&self, members: &Members) -> u64 {
        if self.since.is_none() && self.until.is_none() {
            return members.len() as u64;
        }
        self.within(members).count() as u64
    }
}

const FIRST: MessageAt = MessageAt { topic: TopicId(0), partition: PartitionId(0), offset: Offset(0) };

impl State {
    /// A dead letter's own state.
    #[must_use]
    pub fn dead_letter(&self, at: MessageAt) -> Option<&DeadLetterState> {
        self.topics.get(&at.topic)?.partition(at.partition)?.note(at.offset)?.dead.as_deref()
    }

    /// Open dead letters from behind `after`: in the order of their place, or of their time when a fingerprint is asked
    /// for.
    #[must_use]
    pub fn dead_letters_page(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: usize,
    ) -> Page<(MessageAt, &DeadLetterState), DeadLetterCursor> {
        match (filter.run, filter.fingerprint) {
            (Some(run), _) => self.dead_letters_of_run(filter, run),
            (None, Some(fingerprint)) => self.dead_letters_of_kind(filter, fingerprint, after, limit),
            (None, None) => {
                let after = match after {
                    Some(DeadLetterCursor::Place(at) | DeadLetterCursor::Time(_, at)) => Some(at),
                    None => None,
                };
                let page = self.dead_letters_by_place(filter, after, limit);
                Page { items: page.items, next: page.next.map(DeadLetterCursor::Place) }
            }
        }
    }

    /// A run's open dead letters: one at the most, as a replay closes those before.
    fn dead_letters_of_run(
        &self,
        filter: &DeadLetterFilter,
        run: RunNo,
    ) -> Page<(MessageAt, &DeadLetterState), DeadLetterCursor> {
        let run = self.runs.get(&run);
        let newest = run.iter().flat_map(|run| run.dead_letters.iter().rev()).take(SCAN_MAX);
        let open = newest.filter_map(|dead| self.open_and_wanted(filter, dead.at));
        Page { items: open.collect(), next: None }
    }

    /// A dead letter that is open and wanted, its topic included.
    pub(crate) fn open_and_wanted(
        &self,
        filter: &DeadLetterFilter,
        at: MessageAt,
    ) -> Option<(MessageAt, &DeadLetterState)> {
        let topic = self.topics.get(&at.topic)?;
        let is_there = filter.topic.as_ref().is_none_or(|name| topic.name == name.dead_letters());
        let entry = topic.partition(at.partition)?.entry(at.offset)?;
        let dead = self.dead_letter(at).filter(|dead| dead.closed.is_none() && is_there)?;
        let is_seen = filter.scope.sees_dead_letter(self, at);
        (is_seen && filter.wants(dead, topic.tenant(&entry))).then_some((at, dead))
    }

    fn dead_letters_of_kind(
        &self,
        filter: &DeadLetterFilter,
        fingerprint: Fingerprint,
        after: Option<DeadLetterCursor>,
        limit: usize,
    ) -> Page<(MessageAt, &DeadLetterState), DeadLetterCursor> {
        let after = match after {
            Some(DeadLetterCursor::Time(wall, at)) => Some((wall, at)),
            Some(DeadLetterCursor::Place(_)) | None => None,
        };
        let mut streams: Vec<_> = self
            .facets(filter)
            .filter(|(of, _, _)| *of == fingerprint)
            .map(|(_, _, members)| {
                let from = after
                    .map_or(Bound::Included((filter.since.unwrap_or(WallTime(0)), FIRST)), Bound::Excluded);
                members.range((from, Bound::Unbounded)).copied()
            })
            .collect();
        let mut heads: BinaryHeap<_> = streams
            .iter_mut()
            .enumerate()
            .filter_map(|(index, s)| s.next().map(|head| Reverse((head, index))))
            .collect();
        let mut items = Vec::new();
        let mut last = after;
        while let Some(Reverse((head, index))) = heads.pop() {
            if filter.until.is_some_and(|until| head.0 >= until) {
                break;
            }
            if items.len() >= limit {
                return Page { items, next: last.map(|(wall, at)| DeadLetterCursor::Time(wall, at)) };
            }
            heads.extend(streams.get_mut(index).and_then(Iterator::next).map(|next| Reverse((next, index))));
            last = Some(head);
            items.extend(self.dead_letter(head.1).map(|dead| (head.1, dead)));
        }
        Page { items, next: None }
    }

    fn dead_letters_by_place(
        &self,
        filter: &DeadLetterFilter,
        after: Option<MessageAt>,
        limit: usize,
    ) -> Page<(MessageAt, &DeadLetterState), MessageAt> {
        let mut items = Vec::new();
        let mut last = after;
        let mut looked = 0;
        for (id, topic) in self.dead_letter_topics(filter, after) {
            for at in self.open_dead_letters(id, after) {
                if items.len() >= limit || looked >= SCAN_MAX {
                    return Page { items, next: last };
                }
                looked += 1;
                last = Some(at);
                let entry = topic.partition(at.partition).and_then(|partition| partition.entry(at.offset));
                let tenant = entry.as_ref().and_then(|entry| topic.tenant(entry));
                let is_wanted = |dead: &&DeadLetterState| {
                    filter.wants(dead, tenant) && filter.scope.sees_dead_letter(self, at)
                };
                if let Some(dead) = self.dead_letter(at).filter(is_wanted) {
                    items.push((at, dead));
                }
            }
        }
        Page { items, next: None }
    }

    /// How many open dead letters are wanted.
    #[must_use]
    pub fn dead_letters_count(&self, filter: &DeadLetterFilter) -> u64 {
        match filter.run {
            Some(run) => self.dead_letters_of_run(filter, run).items.len() as u64,
            None => self.facets(filter).map(|(_, _, members)| filter.count_within(members)).sum(),
        }
    }

    /// Kinds of failure among the open dead letters, the most frequent first, from behind `after`.
    #[must_use]
    pub fn dead_letter_kinds(
        &self,
        filter: &DeadLetterFilter,
        after: Option<(u64, Fingerprint)>,
        limit: usize,
    ) -> Page<DeadLetterKind, (u64, Fingerprint)> {
        let mut kinds = match filter.run {
            Some(run) => self.kinds_of_run(filter, run),
            None => self.kinds(filter),
        };
        kinds.sort_by_key(rank);
        if let Some((count, fingerprint)) = after {
            kinds.retain(|kind| rank(kind) > (Reverse(count), fingerprint));
        }
        let has_more = kinds.len() > limit;
        kinds.truncate(limit);
        let next = kinds.last().filter(|_| has_more).map(|kind| (kind.count, kind.fingerprint));
        Page { items: kinds, next }
    }

    fn kinds(&self, filter: &DeadLetterFilter) -> Vec<DeadLetterKind> {
        let mut kinds: Vec<DeadLetterKind> = Vec::new();
        for (fingerprint, facet, members) in self.facets(filter) {
            let (Some(first), Some(last)) =
                (filter.within(members).next(), filter.within(members).next_back())
            else {
                continue;
            };
            let found = DeadLetterKind {
                fingerprint,
                count: filter.count_within(members),
                first: first.0,
                last: last.0,
                newest: last.1,
                topics: [facet.topic].into(),
                groups: facet.group.clone().into_iter().collect(),
            };
            match kinds.last_mut().filter(|kind| kind.fingerprint == fingerprint) {
                Some(kind) => kind.add(found),
                None => kinds.push(found),
            }
        }
        kinds
    }

    fn kinds_of_run(&self, filter: &DeadLetterFilter, run: RunNo) -> Vec<DeadLetterKind> {
        let mut kinds: Vec<DeadLetterKind> = Vec::new();
        for (at, dead) in self.dead_letters_of_run(filter, run).items {
            let found = DeadLetterKind {
                fingerprint: dead.fingerprint,
                count: 1,
                first: dead.wall,
                last: dead.wall,
                newest: at,
                topics: [at.topic].into(),
                groups: dead.group.clone().into_iter().collect(),
            };
            match kinds.iter_mut().find(|kind| kind.fingerprint == dead.fingerprint) {
                Some(kind) => kind.add(found),
                None => kinds.push(found),
            }
        }
        kinds
    }

    /// Facets that a filter covers, by fingerprint.
    fn facets<'a>(
        &'a self,
        filter: &'a DeadLetterFilter,
    ) -> impl Iterator<Item = (Fingerprint, &'a Facet, &'a Members)> {
        let topic = filter.topic.as_ref().map(|name| self.topic(&name.dead_letters()).map(|topic| topic.id));
        let is_possible = topic != Some(None);
        let range = match filter.fingerprint {
            Some(only) => only..=only,
            None => Fingerprint(0)..=Fingerprint(u64::MAX),
        };
        let kinds = self.dead.kinds.range(range).filter(move |_| is_possible);
        kinds.flat_map(move |(fingerprint, facets)| {
            let covered = facets.iter().filter(move |(facet, _)| {
                filter.covers(facet, topic.flatten()) && self.is_facet_seen(filter, facet)
            });
            covered.map(move |(facet, members)| (*fingerprint, facet, members))
        })
    }

    fn is_facet_seen(&self, filter: &DeadLetterFilter, facet: &Facet) -> bool {
        let topic = self.topics.get(&facet.topic);
        filter.scope.is_whole()
            || topic
                .is_some_and(|topic| filter.scope.sees_dead_letters_of(self, topic, facet.tenant.as_ref()))
    }

    pub(crate) fn dead_letter_topics(
        &self,
        filter: &DeadLetterFilter,
        after: Option<MessageAt>,
    ) -> impl Iterator<Item = (TopicId, &Topic)> {
        let only = filter.topic.as_ref().map(|name| self.topic(&name.dead_letters()).map(|topic| topic.id));
        let from = after.map_or(TopicId(0), |at| at.topic);
        self.dlq_topics.range(from..).filter_map(move |id| {
            let is_wanted = only.is_none_or(|only| only == Some(*id));
            self.topics.get(id).filter(|_| is_wanted).map(|topic| (*id, topic))
        })
    }

    fn open_dead_letters(&self, topic: TopicId, after: Option<MessageAt>) -> impl Iterator<Item = MessageAt> {
        let partitions = self.topics.get(&topic).map_or(&[][..], |topic| &topic.partitions);
        let least = after.filter(|after| after.topic == topic);
        partitions.iter().zip(0..).flat_map(move |(partition, index)| {
            let id = PartitionId(index);
            let from = match least {
                Some(after) if id < after.partition => Bound::Excluded(Offset(u64::MAX)),
                Some(after) if id == after.partition => Bound::Excluded(after.offset),
                Some(_) | None => Bound::Unbounded,
            };
            let open = partition.rare().open_dead.range((from, Bound::Unbounded));
            open.map(move |(offset, ())| MessageAt { topic, partition: id, offset: *offset })
        })
    }
}

fn rank(kind: &DeadLetterKind) -> (Reverse<u64>, Fingerprint) {
    (Reverse(kind.count), kind.fingerprint)
}

impl DeadLetterKind {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        if (other.last, other.newest) > (self.last, self.newest) {
            (self.last, self.newest) = (other.last, other.newest);
        }
        merge(&mut self.topics, other.topics);
        merge(&mut self.groups, other.groups);
    }
}

fn merge<T: Ord>(into: &mut Vec<T>, more: Vec<T>) {
    let all: BTreeSet<T> = core::mem::take(into).into_iter().chain(more).collect();
    into.extend(all.into_iter().take(KIND_NAMES_MAX));
}
