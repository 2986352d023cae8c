//! Who waits for what: consumers and polls for messages, readers for events, callers for a run's end.
//!
//! Promise: whoever waits is found by the fact that wakes him; nothing is scanned and nothing polls. Those who went
//! away are swept when their number has doubled, so they cost no more than those who stayed.

use crate::ends::Ends;
use crate::handle::{ConsumerId, Deliveries, OpenConsumer, Readers, Respond, Timeline};
use driftq_core::{
    GroupId, JobNo, JobStatus, MessageOf, Offset, PartitionId, Record, RunId, RunNo, TopicId, WasWaiting,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const SWEEP_MIN: usize = 1_024;
/// Turns of those who are gone that a group's queue may hold besides.
const TURNS_SLACK: usize = 16;

/// One request for deliveries that waits.
pub(crate) struct Wanted {
    pub(crate) max: u32,
    pub(crate) bytes_max: u64,
    pub(crate) respond: Respond<Deliveries>,
}

/// An open stream.
pub(crate) struct Stream {
    pub(crate) open: OpenConsumer,
    pub(crate) group: GroupId,
    pub(crate) topic: TopicId,
    pub(crate) in_flight: u32,
    pub(crate) wanted: Option<Wanted>,
    is_queued: bool,
}

/// A poll that waits.
pub(crate) struct WaitingPoll {
    pub(crate) open: OpenConsumer,
    pub(crate) group: GroupId,
    pub(crate) topic: TopicId,
    pub(crate) wanted: Wanted,
    pub(crate) until: Duration,
}

/// Whose turn it is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Stream(ConsumerId),
    Poll(u64),
}

/// A reader that waits for the next event of a timeline.
pub(crate) struct Follower {
    pub(crate) run: RunId,
    pub(crate) after: u64,
    pub(crate) max: usize,
    pub(crate) bytes_max: u64,
    pub(crate) respond: Respond<Timeline>,
}

/// All that wait.
#[derive(Default)]
pub(crate) struct Waiters {
    pub(crate) streams: BTreeMap<ConsumerId, Stream>,
    pub(crate) polls: BTreeMap<u64, WaitingPoll>,
    poll_ends: BTreeSet<(Duration, u64)>,
    next_poll: u64,
    queues: BTreeMap<GroupId, (TopicId, VecDeque<Turn>)>,
    by_topic: BTreeMap<TopicId, BTreeSet<GroupId>>,
    open: BTreeMap<GroupId, u32>,
    holders: BTreeMap<MessageOf, ConsumerId>,
    dirty: BTreeSet<GroupId>,
    followers: BTreeMap<TopicId, Vec<Follower>>,
    follower_count: usize,
    sweep_at: usize,
    changed: BTreeSet<TopicId>,
    pub(crate) runs: Ends<RunNo>,
    pub(crate) jobs: Ends<JobNo>,
    /// What those wanted whose group is gone.
    orphans: Vec<Wanted>,
}

impl Readers for Waiters {
    fn of(&self, group: GroupId) -> u64 {
        u64::from(self.open.get(&group).copied().unwrap_or(0))
    }

    fn all(&self) -> u64 {
        (self.streams.len() + self.polls.len()) as u64
    }
}

impl Waiters {
    /// Whether a group has an open stream or poll.
    pub(crate) fn is_open(&self, group: GroupId) -> bool {
        self.open.get(&group).is_some_and(|count| *count > 0)
    }

    pub(crate) fn open_stream(&mut self, id: ConsumerId, open: OpenConsumer, group: GroupId, topic: TopicId) {
        *self.open.entry(group).or_default() += 1;
        self.streams.insert(id, Stream { open, group, topic, in_flight: 0, wanted: None, is_queued: false });
    }

    pub(crate) fn close_stream(&mut self, id: ConsumerId) {
        if let Some(stream) = self.streams.remove(&id) {
            self.close(stream.group);
            self.tidy(stream.group);
        }
    }

    /// Drops turns of those who are gone, once they are most of a group's queue.
    fn tidy(&mut self, group: GroupId) {
        let open = usize::try_from(self.open.get(&group).copied().unwrap_or(0)).unwrap_or(usize::MAX);
        let Some((topic, queue)) = self.queues.get_mut(&group) else { return };
        if queue.len() <= open.saturating_mul(2).saturating_add(TURNS_SLACK) && open > 0 {
            return;
        }
        let (streams, polls) = (&self.streams, &self.polls);
        queue.retain(|turn| match turn {
            Turn::Stream(id) => streams.contains_key(id),
            Turn::Poll(id) => polls.contains_key(id),
        });
        let (topic, is_empty) = (*topic, queue.is_empty());
        if is_empty {
            self.unqueue(group, topic);
        }
    }

    fn unqueue(&mut self, group: GroupId, topic: TopicId) {
        self.queues.remove(&group);
        if let Some(groups) = self.by_topic.get_mut(&topic) {
            groups.remove(&group);
            if groups.is_empty() {
                self.by_topic.remove(&topic);
            }
        }
    }

    fn close(&mut self, group: GroupId) {
        if let Some(count) = self.open.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&group);
            }
        }
    }

    /// A stream wants more; queued as soon as it may hold more.
    pub(crate) fn pull(&mut self, id: ConsumerId, wanted: Wanted) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.wanted = Some(wanted);
            self.queue_stream(id);
        }
    }

    fn queue_stream(&mut self, id: ConsumerId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.wanted.is_some() && !stream.is_queued && stream.in_flight < stream.open.max_in_flight {
            stream.is_queued = true;
            let (group, topic) = (stream.group, stream.topic);
            self.queue(group, topic, Turn::Stream(id));
        }
    }

    pub(crate) fn add_poll(&mut self, poll: WaitingPoll) {
        let id = self.next_poll;
        self.next_poll += 1;
        *self.open.entry(poll.group).or_default() += 1;
        self.poll_ends.insert((poll.until, id));
        self.queue(poll.group, poll.topic, Turn::Poll(id));
        self.polls.insert(id, poll);
    }

    pub(crate) fn remove_poll(&mut self, id: u64) -> Option<WaitingPoll> {
        let poll = self.polls.remove(&id)?;
        self.poll_ends.remove(&(poll.until, id));
        self.close(poll.group);
        self.tidy(poll.group);
        Some(poll)
    }

    fn queue(&mut self, group: GroupId, topic: TopicId, turn: Turn) {
        self.queues.entry(group).or_insert_with(|| (topic, VecDeque::new())).1.push_back(turn);
        self.by_topic.entry(topic).or_default().insert(group);
        self.dirty.insert(group);
    }

    /// The first in a group's queue that is still there.
    pub(crate) fn front(&mut self, group: GroupId) -> Option<Turn> {
        loop {
            let turn = *self.queues.get(&group)?.1.front()?;
            let is_there = match turn {
                Turn::Stream(id) => self.streams.get(&id).is_some_and(|stream| {
                    stream.in_flight < stream.open.max_in_flight
                        && stream.wanted.as_ref().is_some_and(|wanted| !wanted.respond.is_canceled())
                }),
                Turn::Poll(id) => self.polls.get(&id).is_some_and(|poll| !poll.wanted.respond.is_canceled()),
            };
            if is_there {
                return Some(turn);
            }
            self.pop(group);
            if let Turn::Poll(id) = turn {
                self.remove_poll(id);
            }
        }
    }

    /// Takes the first out of a group's queue.
    pub(crate) fn pop(&mut self, group: GroupId) {
        let Some((topic, queue)) = self.queues.get_mut(&group) else { return };
        let (topic, turn) = (*topic, queue.pop_front());
        if queue.is_empty() {
            self.unqueue(group, topic);
        }
        if let Some(Turn::Stream(id)) = turn
            && let Some(stream) = self.streams.get_mut(&id)
        {
            stream.is_queued = false;
        }
    }

    /// A stream holds these now.
    pub(crate) fn hold(&mut self, id: ConsumerId, of: impl Iterator<Item = MessageOf>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        for of in of {
            stream.in_flight += 1;
            self.holders.insert(of, id);
        }
    }

    fn let_go(&mut self, of: MessageOf) {
        let Some(id) = self.holders.remove(&of) else { return };
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.in_flight = stream.in_flight.saturating_sub(1);
            self.queue_stream(id);
        }
    }

    fn let_go_of_partition(&mut self, group: GroupId, partition: PartitionId) {
        let from = MessageOf { group, partition, offset: Offset(0) };
        let until = MessageOf { group, partition, offset: Offset(u64::MAX) };
        let held: Vec<MessageOf> = self.holders.range(from..=until).map(|(of, _)| *of).collect();
        for of in held {
            self.let_go(of);
        }
    }

    /// Ends the streams and polls of a group that is gone.
    fn end_group(&mut self, group: GroupId) {
        self.end_all(|of, _| of == group);
    }

    /// Ends the streams and polls of a topic that is gone.
    fn end_topic(&mut self, topic: TopicId) {
        self.end_all(|_, of| of == topic);
    }

    /// A walk over all that are connected: for what somebody does by hand, now and then.
    fn end_all(&mut self, is_over: impl Fn(GroupId, TopicId) -> bool) {
        let of = |(id, stream): (&ConsumerId, &Stream)| is_over(stream.group, stream.topic).then_some(*id);
        let streams: Vec<ConsumerId> = self.streams.iter().filter_map(of).collect();
        for id in streams {
            let wanted = self.streams.get_mut(&id).and_then(|stream| stream.wanted.take());
            self.orphans.extend(wanted);
            self.close_stream(id);
        }
        let of = |(id, poll): (&u64, &WaitingPoll)| is_over(poll.group, poll.topic).then_some(*id);
        let polls: Vec<u64> = self.polls.iter().filter_map(of).collect();
        for id in polls {
            let wanted = self.remove_poll(id).map(|poll| poll.wanted);
            self.orphans.extend(wanted);
        }
        self.holders.retain(|_, id| self.streams.contains_key(id));
    }

    /// What those wanted whose group is gone.
    pub(crate) fn take_orphans(&mut self) -> Vec<Wanted> {
        std::mem::take(&mut self.orphans)
    }

    /// Groups that may have something to hand out.
    pub(crate) fn take_dirty(&mut self) -> BTreeSet<GroupId> {
        std::mem::take(&mut self.dirty)
    }

    pub(crate) fn wake_group(&mut self, group: GroupId) {
        if self.queues.contains_key(&group) {
            self.dirty.insert(group);
        }
    }

    fn wake_topic(&mut self, topic: TopicId) {
        if let Some(groups) = self.by_topic.get(&topic) {
            self.dirty.extend(groups.iter().copied());
        }
    }

    /// What a fact means for those who wait.
    pub(crate) fn observe(&mut self, record: &Record) {
        match record {
            Record::MessageAppended(fact) if fact.due.is_none() => self.wake_topic(fact.at.topic),
            Record::MessageDue(at) | Record::DeadlinePassed(at) => self.wake_topic(at.topic),
            Record::DeadLettered(fact) => self.wake_topic(fact.at.topic),
            Record::EventAppended(fact) => {
                self.wake_topic(fact.topic);
                if self.followers.contains_key(&fact.topic) {
                    self.changed.insert(fact.topic);
                }
                if ends_run(&fact.event) {
                    self.runs.note(fact.of.run);
                }
            }
            Record::MadeDue(fact) => match fact.what {
                WasWaiting::Backoff(of) => self.wake_group(of.group),
                WasWaiting::Delay(at) => self.wake_topic(at.topic),
            },
            Record::GroupForgotten(group) => self.end_group(*group),
            Record::GroupDeleted(fact) => self.end_group(fact.group),
            Record::GroupSought(fact) => {
                for place in &fact.places {
                    self.let_go_of_partition(fact.group, place.partition);
                }
                self.wake_group(fact.group);
            }
            Record::TopicDeleted(fact) => self.end_topic(fact.topic),
            Record::Acked(fact) => self.let_go(fact.of),
            Record::Skipped(fact) => self.let_go(fact.of),
            Record::Failed(fact) => {
                self.let_go(fact.of);
                self.wake_group(fact.of.group);
            }
            Record::GivenBack(of) => {
                self.let_go(*of);
                self.wake_group(of.group);
            }
            Record::Started(_)
            | Record::TimeAdvanced(_)
            | Record::TopicCreated(_)
            | Record::MessageAppended(_)
            | Record::GroupCreated(_)
            | Record::GroupTouched(_)
            | Record::TopicSet(_)
            | Record::Delivered(_)
            | Record::Extended(_)
            | Record::DeadLetterClosed(_)
            | Record::KeysForgotten(_)
            | Record::RunCreated(_)
            | Record::RunReplayed(_)
            | Record::StepStored(_)
            | Record::Carried(_)
            | Record::DeadLetterMarked(_)
            | Record::ClosingNoted(_)
            | Record::RedriveJobStarted(_)
            | Record::RedriveJobAdvanced(_)
            | Record::RedriveEnded(_) => {}
            Record::RedriveJobChanged(fact) => {
                if fact.to != JobStatus::Running {
                    self.jobs.note(fact.job);
                }
            }
        }
    }

    /// The next moment at which a wait ends by itself.
    pub(crate) fn next_end(&self) -> Option<Duration> {
        let poll = self.poll_ends.first().map(|(at, _)| *at);
        [poll, self.runs.next(), self.jobs.next()].into_iter().flatten().min()
    }

    /// Polls whose wait is over.
    pub(crate) fn take_ended_polls(&mut self, now: Duration) -> Vec<WaitingPoll> {
        let over: Vec<u64> =
            self.poll_ends.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        over.into_iter().filter_map(|id| self.remove_poll(id)).collect()
    }

    /// All polls, and what all streams want.
    pub(crate) fn take_all_wanted(&mut self) -> Vec<Wanted> {
        let ids: Vec<u64> = self.polls.keys().copied().collect();
        let mut wanted: Vec<Wanted> =
            ids.into_iter().filter_map(|id| self.remove_poll(id)).map(|poll| poll.wanted).collect();
        wanted.extend(self.streams.values_mut().filter_map(|stream| stream.wanted.take()));
        wanted
    }

    pub(crate) fn follow(&mut self, topic: TopicId, follower: Follower) {
        if self.follower_count >= self.sweep_at.max(SWEEP_MIN) {
            self.sweep();
        }
        self.follower_count += 1;
        self.followers.entry(topic).or_default().push(follower);
    }

    fn sweep(&mut self) {
        self.followers.retain(|_, list| {
            list.retain(|follower| !follower.respond.is_canceled());
            !list.is_empty()
        });
        self.follower_count = self.followers.values().map(Vec::len).sum();
        self.sweep_at = self.follower_count * 2;
    }

    /// Whether somebody waits for what has changed.
    pub(crate) fn has_news(&self) -> bool {
        !self.changed.is_empty() || self.runs.has_news() || self.jobs.has_news()
    }

    /// Readers of the timelines that have changed.
    pub(crate) fn take_news(&mut self) -> Vec<Follower> {
        let changed = std::mem::take(&mut self.changed);
        let mut news = Vec::new();
        for topic in changed {
            news.extend(self.followers.remove(&topic).unwrap_or_default());
        }
        self.follower_count = self.follower_count.saturating_sub(news.len());
        news
    }

    /// All readers.
    pub(crate) fn take_followers(&mut self) -> Vec<Follower> {
        self.follower_count = 0;
        std::mem::take(&mut self.followers).into_values().flatten().collect()
    }

    /// Callers whose run or job has ended.
    pub(crate) fn take_ended(&mut self) -> Vec<Respond<()>> {
        let mut callers = self.runs.take_ended();
        callers.extend(self.jobs.take_ended());
        callers
    }

    /// Callers whose wait for an end is over.
    pub(crate) fn take_late_callers(&mut self, now: Duration) -> Vec<Respond<()>> {
        let mut callers = self.runs.take_late(now);
        callers.extend(self.jobs.take_late(now));
        callers
    }
}

fn ends_run(event: &driftq_core::Event) -> bool {
    use driftq_core::Event;
    match event {
        Event::Succeeded { .. } | Event::Failed { .. } | Event::Cancelled { .. } => true,
        Event::Created { .. }
        | Event::Received { .. }
        | Event::AttemptFailed { .. }
        | Event::RetryScheduled { .. }
        | Event::DeadLettered { .. }
        | Event::ReplayRequested(_)
        | Event::StepCompleted { .. }
        | Event::Worker { .. }
        | Event::Produced { .. } => false,
    }
}
