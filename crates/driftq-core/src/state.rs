//! The state and its look-ups; no transition.
//!
//! Promise: everything in here is made of facts alone. Each entity (topic, group, run, key window) knows the last
//! record that changed it, so a fact that is applied again, or to an entity that is gone, does nothing.

use crate::dead_index::DeadIndex;
use crate::packed::{Packed, PackedSet};
use crate::redrive_job::Jobs;
use crate::timers::Timers;
use crate::{
    Group, GroupId, GroupName, Instant, KeyWindow, MessageAt, MessageOf, Millis, PartitionId, Patterns,
    Position, Run, RunId, RunNo, RunStatus, Runs, Table, Topic, TopicId, TopicKind, TopicName, WallTime,
};
use alloc::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// The broker's state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Core time.
    pub now: Instant,
    /// Wall-clock time.
    pub wall: WallTime,
    /// The epoch of the running start.
    pub epoch: u32,
    /// The last record applied.
    pub applied: Position,
    /// Topics by incarnation.
    pub topics: Table<TopicId, Topic>,
    /// Groups by incarnation.
    pub groups: Table<GroupId, Group>,
    /// Runs by ordinal.
    pub runs: Runs,
    /// Live idempotency keys.
    pub keys: KeyWindow,
    /// Bounds in force; configuration, not a fact.
    pub limits: Limits,
    pub(crate) topic_names: Packed<TopicName, TopicId>,
    pub(crate) dlq_topics: BTreeSet<TopicId>,
    pub(crate) dead: DeadIndex,
    pub(crate) jobs: Jobs,
    pub(crate) timers: Timers,
    pub(crate) ids: Ids,
    pub(crate) patterns: Patterns,
    /// How many topics have each produce window of their own.
    pub(crate) own_windows: BTreeMap<Millis, u32>,
    pub(crate) tally: Tally,
}

/// The next ordinals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) topic: TopicId,
    pub(crate) group: GroupId,
    pub(crate) run: RunNo,
    pub(crate) lease: u64,
}

/// Bounds and windows, all of them options of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Partitions of a topic.
    pub partitions_max: u32,
    /// Topics of the broker, timelines included.
    pub topics_max: u32,
    /// Groups of a topic.
    pub groups_per_topic_max: u32,
    /// Live idempotency keys.
    pub keys_max: usize,
    /// How long a produce key is remembered; 0 = off.
    pub key_window: Millis,
    /// How long a group remembers the keys it acked; 0 = off.
    pub consumed_key_window: Millis,
    /// Consumed keys a group remembers.
    pub consumed_keys_max: usize,
    /// Settled messages a group's partition remembers, so that a repeated ack is answered alike.
    pub acks_remembered_max: usize,
    /// How long it remembers them.
    pub ack_window: Millis,
    /// Messages of a partition that live groups may leave unsettled; `None` = no bound.
    pub partition_messages_max: Option<u64>,
    /// Bytes of a partition that live groups may leave unsettled; `None` = no bound.
    pub partition_bytes_max: Option<u64>,
    /// How long a group that never acked, or reads a timeline, may be unused.
    pub group_idle_unused_max: Millis,
    /// How long any other group may be unused.
    pub group_idle_max: Millis,
    /// Whether a produce to an unknown topic makes it.
    pub auto_create_topics: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            partitions_max: 256,
            topics_max: 1_000_000,
            groups_per_topic_max: 1_000,
            keys_max: 5_000_000,
            key_window: Millis(24 * 60 * 60 * 1000),
            consumed_key_window: Millis(24 * 60 * 60 * 1000),
            consumed_keys_max: 100_000,
            acks_remembered_max: 65_536,
            ack_window: Millis(10 * 60 * 1000),
            partition_messages_max: None,
            partition_bytes_max: None,
            group_idle_unused_max: Millis(60 * 60 * 1000),
            group_idle_max: Millis(30 * 24 * 60 * 60 * 1000),
            auto_create_topics: false,
        }
    }
}

/// Figures that are kept up with every fact, so that reading them costs nothing; all derived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) runs: BTreeMap<RunStatus, u64>,
    /// Runs that have not ended, by the topic of their commands and the group that moves them.
    pub(crate) open_runs: BTreeMap<(TopicId, GroupName), u64>,
    /// Each message that failed, and its dead letter.
    pub(crate) dead_of: PackedSet<(MessageAt, MessageAt)>,
}

impl State {
    /// The same state with these patterns; to be said before anything is taken in.
    #[must_use]
    pub fn with_patterns(self, patterns: Patterns) -> Self {
        Self { patterns, ..self }
    }

    /// An empty state with these bounds.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// A topic by name.
    #[must_use]
    pub fn topic(&self, name: &TopicName) -> Option<&Topic> {
        self.topics.get(self.topic_names.get(name)?)
    }

    /// A group by topic and name.
    #[must_use]
    pub fn group(&self, topic: &TopicName, name: &GroupName) -> Option<&Group> {
        self.groups.get(&self.topic(topic)?.group(name)?)
    }

    /// A run by id: its timeline has its name.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<Cow<'_, Run>> {
        match self.topic(&TopicName::timeline(id))?.kind {
            TopicKind::Timeline(no) => self.runs.get(&no).filter(|run| run.id == *id),
            TopicKind::Plain | TopicKind::DeadLetters => None,
        }
    }

    /// The group whose deliveries move a run, if it exists.
    #[must_use]
    pub fn group_of(&self, run: &Run) -> Option<&Group> {
        let id = self.topics.get(&run.command.topic)?.group(&run.group)?;
        self.groups.get(&id)
    }

    /// Topic names in order, from the first not before `from`.
    pub fn topic_names_from<'a>(
        &'a self,
        from: Option<&TopicName>,
    ) -> impl Iterator<Item = (&'a TopicName, TopicId)> {
        let lower = from.map_or(core::ops::Bound::Unbounded, |name| core::ops::Bound::Excluded(name.clone()));
        self.topic_names.range((lower, core::ops::Bound::Unbounded)).map(|(name, id)| (name, *id))
    }

    /// When core time makes something due next: a lease's end, a retry after `past`, a key's or a group's end.
    #[must_use]
    pub fn next_instant(&self, past: Instant) -> Option<Instant> {
        let least = MessageOf { group: GroupId(0), partition: PartitionId(0), offset: crate::Offset(0) };
        let lease = self.timers.leases.first().map(|((at, _), ())| *at);
        let retry = self.timers.retries.range((past.next(), least)..).next().map(|((at, _), ())| *at);
        let idle = self.timers.idle.first().map(|((at, _), ())| *at);
        let key = self.keys.next_expiry(self.key_window_longest());
        [lease, retry, idle, key].into_iter().flatten().min()
    }

    /// When the wall clock makes something due next: a delay's or a deadline's end.
    #[must_use]
    pub fn next_wall(&self) -> Option<WallTime> {
        let due = self.timers.due.first().map(|((at, _), ())| *at);
        let deadline = self.timers.deadlines.first().map(|((at, _), ())| *at);
        [due, deadline].into_iter().flatten().min()
    }

    /// Groups in which a retry became due after `past`, at the latest now.
    pub fn retries_due(&self, past: Instant) -> impl Iterator<Item = GroupId> {
        self.timers.retries_due(past, self.now).map(|of| of.group)
    }

    /// What core time shows on the wall clock.
    #[must_use]
    pub fn wall_at(&self, at: Instant) -> WallTime {
        if at >= self.now {
            self.wall.after(self.now.until(at))
        } else {
            WallTime(self.wall.0.saturating_sub(at.until(self.now).0))
        }
    }

    /// The topic that this record has not changed yet.
    pub(crate) fn topic_effect(&mut self, id: TopicId, position: Position) -> Option<&mut Topic> {
        let topic = self.topics.get_mut(&id)?;
        advance(&mut topic.applied, position).then_some(topic)
    }

    /// The group that this record has not changed yet.
    pub(crate) fn group_effect(&mut self, id: GroupId, position: Position) -> Option<&mut Group> {
        let group = self.groups.get_mut(&id)?;
        advance(&mut group.applied, position).then_some(group)
    }

    /// Takes a topic in that has no lists yet.
    pub(crate) fn adopt_topic(&mut self, mut topic: Topic) {
        topic.pattern = self.patterns.number_of(topic.name.as_str());
        self.count_window(topic.settings(), true);
        if topic.name.is_dead_letters() {
            self.dlq_topics.insert(topic.id);
        }
        self.topic_names.insert(topic.name.clone(), topic.id);
        self.topics.insert(topic.id, topic);
    }

    /// Lets a topic go, with its groups and all that is derived from it.
    pub(crate) fn drop_topic(&mut self, id: TopicId) {
        self.unindex_topic(id);
        let Some(topic) = self.topics.remove(&id) else { return };
        for (_, group) in topic.groups() {
            if let Some(group) = self.groups.remove(&group) {
                self.timers.drop_group(&group);
            }
        }
        self.timers.drop_topic(&topic);
        for (partition, index) in topic.partitions.iter().zip(0..) {
            for (offset, note) in partition.rare().notes.iter() {
                let at = MessageAt { topic: id, partition: PartitionId(index), offset: *offset };
                if let Some(dead) = &note.dead {
                    self.tally.dead_of.remove(&(dead.original, at));
                }
            }
        }
        self.dlq_topics.remove(&id);
        self.count_window(topic.settings(), false);
        if self.topic_names.get(&topic.name) == Some(&id) {
            self.topic_names.remove(&topic.name);
        }
    }

    /// Counts a run as it stands now instead of as it stood.
    pub(crate) fn recount_run(&mut self, no: RunNo, before: Option<RunStatus>) {
        let Some(run) = self.runs.get(&no) else { return };
        if before == Some(run.status) {
            return;
        }
        let open = || (run.command.topic, run.group.clone());
        if let Some(before) = before {
            count_down(&mut self.tally.runs, &before);
            if !before.is_terminal() {
                count_down(&mut self.tally.open_runs, &open());
            }
        }
        *self.tally.runs.entry(run.status).or_default() += 1;
        if !run.status.is_terminal() {
            *self.tally.open_runs.entry(open()).or_default() += 1;
        }
    }

    /// Open runs whose commands are in this topic.
    pub(crate) fn open_runs_of(&self, topic: TopicId) -> u64 {
        self.tally.open_runs.iter().filter(|((id, _), _)| *id == topic).map(|(_, count)| count).sum()
    }

    /// Open runs that deliveries from this topic to this group move.
    pub(crate) fn open_runs_moved_by(&self, topic: TopicId, group: &GroupName) -> u64 {
        self.tally.open_runs.get(&(topic, group.clone())).copied().unwrap_or(0)
    }

    /// Where a message of this group's went when it was given up: the newest dead letter.
    #[must_use]
    pub fn dead_letter_of(
        &self,
        original: MessageAt,
        group: Option<&GroupName>,
    ) -> Option<(MessageAt, &crate::DeadLetterState)> {
        let least = MessageAt { topic: TopicId(0), partition: PartitionId(0), offset: crate::Offset(0) };
        let all = self.tally.dead_of.range((original, least)..);
        let all = all.map(|(pair, ())| pair).take_while(|(of, _)| *of == original);
        let found = all.filter_map(|(_, at)| Some((*at, self.dead_letter(*at)?)));
        found.filter(|(_, dead)| dead.group.is_none() || dead.group.as_ref() == group).last()
    }

    /// Takes a group in that has no lists yet.
    pub(crate) fn adopt_group(&mut self, group: Group) {
        self.timers.idle.insert((group.armed, group.id), ());
        if let Some(topic) = self.topics.get_mut(&group.topic) {
            topic.groups.insert(group.name.clone(), group.id);
        }
        self.groups.insert(group.id, group);
    }

    /// Lets the idle timer of a group look again one unused window after `from`.
    pub(crate) fn rearm(&mut self, group: GroupId, from: Instant) {
        let wait = self.limits.group_idle_unused_max;
        let Some(found) = self.groups.get_mut(&group) else { return };
        self.timers.idle.remove(&(found.armed, group));
        found.armed = from.after(wait);
        self.timers.idle.insert((found.armed, group), ());
    }
}

fn count_down<K: Ord>(counts: &mut BTreeMap<K, u64>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
    }
}

fn advance(applied: &mut Position, position: Position) -> bool {
    let is_new = position > *applied;
    if is_new {
        *applied = position;
    }
    is_new
}
