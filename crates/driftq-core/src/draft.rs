//! A transition while it is being decided: its facts so far, and the offsets and names they take.
//!
//! Promise: facts of one transition see each other's effects where it matters (offsets, new topics, keys), without the
//! state being touched.

use crate::{
    Attempt, Entropy, Event, EventAppended, GroupId, GroupName, KeyDigest, MessageAt, Offset, PartitionId,
    Position, Record, Rejection, Run, RunOf, Start, State, TopicCreated, TopicId, TopicKind, TopicName,
    Tracked,
};
use crate::{GroupCreated, GroupStart};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

/// A transition while it is being decided.
pub(crate) struct Draft<'a> {
    pub(crate) state: &'a State,
    entropy: Entropy,
    draws: u64,
    records: Vec<Record>,
    heads: BTreeMap<(TopicId, PartitionId), Offset>,
    topics: BTreeMap<TopicName, (TopicId, u32)>,
    pub(crate) keys: BTreeMap<KeyDigest, (u64, MessageAt)>,
    ended: BTreeSet<Tracked>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(state: &'a State, entropy: Entropy) -> Self {
        Self {
            state,
            entropy,
            draws: 0,
            records: Vec::new(),
            heads: BTreeMap::new(),
            topics: BTreeMap::new(),
            keys: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    /// Adds a fact; what it ends for a bulk redrive follows it.
    pub(crate) fn push(&mut self, record: Record) {
        let ended = self.state.jobs.ended_by(self.state, &record);
        self.records.push(record);
        if let Some(ended) = ended.filter(|ended| self.ended.insert(ended.tracked)) {
            self.records.push(Record::RedriveEnded(ended));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn finish(self) -> Vec<Record> {
        self.records
    }

    pub(crate) fn draw(&mut self) -> Entropy {
        self.draws += 1;
        self.entropy.nth(self.draws)
    }

    /// The position the next pushed record gets.
    pub(crate) fn next_position(&self) -> Position {
        self.state.applied.plus(self.records.len() as u64 + 1)
    }

    /// Takes the next offset of a partition.
    pub(crate) fn next_message(&mut self, topic: TopicId, partition: PartitionId) -> MessageAt {
        let state = self.state;
        let head = self.heads.entry((topic, partition)).or_insert_with(|| {
            let found = state.topics.get(&topic).and_then(|topic| topic.partition(partition));
            found.map_or(Offset(0), crate::Partition::next_offset)
        });
        let at = MessageAt { topic, partition, offset: *head };
        *head = head.next();
        at
    }

    /// A topic that exists, or was made by this transition: its incarnation and number of partitions.
    pub(crate) fn find_topic(&self, name: &TopicName) -> Option<(TopicId, u32)> {
        let made = self.topics.get(name).copied();
        made.or_else(|| self.state.topic(name).map(|topic| (topic.id, topic.partition_count())))
    }

    /// That topic, made now if it is not there.
    pub(crate) fn ensure_topic(
        &mut self,
        name: &TopicName,
        partitions: u32,
        kind: TopicKind,
    ) -> (TopicId, u32) {
        if let Some(found) = self.find_topic(name) {
            return found;
        }
        let made = u32::try_from(self.topics.len()).unwrap_or(u32::MAX);
        let topic = TopicId(self.state.ids.topic.0.saturating_add(made));
        self.topics.insert(name.clone(), (topic, partitions));
        self.push(Record::TopicCreated(TopicCreated { topic, name: name.clone(), partitions, kind }));
        (topic, partitions)
    }

    /// Appends an event to a run's timeline; answers its offset.
    pub(crate) fn event(&mut self, timeline: TopicId, of: RunOf, attempt: Attempt, event: Event) -> Offset {
        self.event_at(timeline, of, attempt, event, self.state.wall)
    }

    pub(crate) fn event_at(
        &mut self,
        timeline: TopicId,
        of: RunOf,
        attempt: Attempt,
        event: Event,
        wall: crate::WallTime,
    ) -> Offset {
        let offset = self.next_message(timeline, PartitionId(0)).offset;
        let bytes = event_bytes(&event);
        self.push(Record::EventAppended(Box::new(EventAppended {
            topic: timeline,
            offset,
            of,
            attempt,
            wall,
            bytes,
            key: None,
            event,
        })));
        offset
    }

    /// Appends an event of a run's present try.
    pub(crate) fn run_event(&mut self, run: &Run, attempt: Attempt, event: Event) -> Offset {
        self.event(run.timeline, RunOf { run: run.no, replay_seq: run.replay_seq }, attempt, event)
    }

    /// Makes a group that reads an existing topic.
    pub(crate) fn create_group(
        &mut self,
        topic: &crate::Topic,
        name: &GroupName,
        start: Start,
    ) -> Result<GroupId, Rejection> {
        let max = self.state.limits.groups_per_topic_max;
        if topic.groups.len() >= usize::try_from(max).unwrap_or(usize::MAX) {
            return Err(Rejection::TooManyGroups(max));
        }
        let starts = topic.partitions.iter().map(|partition| group_start(partition, start)).collect();
        let group = self.state.ids.group;
        self.push(Record::GroupCreated(GroupCreated {
            group,
            topic: topic.id,
            name: name.clone(),
            on_timeline: matches!(topic.kind, TopicKind::Timeline(_)),
            at: self.state.now,
            starts,
        }));
        Ok(group)
    }
}

pub(crate) fn group_start(partition: &crate::Partition, start: Start) -> GroupStart {
    match start {
        Start::Earliest => GroupStart { next: 0, floor: partition.first, bytes: 0, settled: Vec::new() },
        Start::Latest => {
            // Delayed messages come later: only they are left, so the floor stops at the first of them.
            let end = partition.next_offset();
            let mut delayed = partition.rare().delayed.keys().copied();
            let floor = delayed.next().unwrap_or(end);
            let mut from = floor.next();
            let mut settled = Vec::new();
            for until in delayed.chain(core::iter::once(end)) {
                if from < until {
                    settled.push((from, until));
                }
                from = until.next();
            }
            let open = partition.rare().delayed.keys().filter_map(|offset| partition.entry(*offset));
            let open: u64 = open.map(|entry| u64::from(entry.bytes)).sum();
            GroupStart { next: partition.visible_end(), floor, bytes: partition.bytes - open, settled }
        }
    }
}

/// Bytes an event counts for.
pub(crate) fn event_bytes(event: &Event) -> u32 {
    const FRAME: usize = 96;
    let own = match event {
        Event::Worker { json } => json.len(),
        Event::Succeeded { result } => result.len(),
        Event::Produced { content } => content.len(),
        Event::Created { .. }
        | Event::Received { .. }
        | Event::AttemptFailed { .. }
        | Event::RetryScheduled { .. }
        | Event::DeadLettered { .. }
        | Event::Failed { .. }
        | Event::Cancelled { .. }
        | Event::ReplayRequested(_)
        | Event::StepCompleted { .. } => 0,
    };
    u32::try_from(own + FRAME).unwrap_or(u32::MAX)
}
