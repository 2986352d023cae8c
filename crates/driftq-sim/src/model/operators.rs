//! What operators may do, as the contract says it: settings, deleted topics and groups, groups moved, waits ended.

use super::{Context, Group, Hit, How, Model, Progress, Standing, Topic, Verdict, index};
use crate::calls::Sent;
use driftq_core::{
    Change, Claim, Command, Event, GroupDeleted, GroupId, GroupName, GroupSought, MadeDue, MessageAt,
    MessageOf, MessageTarget, Millis, Offset, PartitionId, Position, Record, Rejection, Reply, RetryNow,
    SeekTo, SettingsPatch, SoughtPlace, TopicDeleted, TopicId, TopicName, TopicSet, TopicSettings, WaitedFor,
    WasWaiting,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Facts<'a> = &'a [(Position, Record)];

impl Model {
    // --- settings ---------------------------------------------------------------------------------------------

    /// How long a produce key counts on a topic.
    pub(super) fn window_of(&self, topic: TopicId) -> Millis {
        let own = self.topics.get(&topic).and_then(|topic| topic.settings.key_window);
        own.unwrap_or(self.limits.key_window)
    }

    /// The longest window in force anywhere.
    pub(super) fn longest_window(&self) -> Millis {
        let own = self.topics.values().filter_map(|topic| topic.settings.key_window);
        own.fold(self.limits.key_window, Millis::max)
    }

    /// Messages and bytes of a partition that a live group may leave unsettled.
    pub(super) fn bounds_of(&self, topic: TopicId) -> (Option<u64>, Option<u64>) {
        let own = self.topics.get(&topic).map(|topic| &topic.settings);
        let bound = |own: Option<u64>, limit: Option<u64>| own.or(limit).filter(|max| *max > 0);
        (
            bound(own.and_then(|own| own.partition_messages_max), self.limits.partition_messages_max),
            bound(own.and_then(|own| own.partition_bytes_max), self.limits.partition_bytes_max),
        )
    }

    pub(super) fn topic_set(&mut self, fact: &TopicSet, context: &mut Context<'_>) -> Verdict {
        let topic = self.topics.get(&fact.topic).ok_or("settings of no topic")?;
        if let Some(calls) = context.calls {
            let asked = calls.iter().filter_map(Sent::command).any(|command| match command {
                Command::PatchTopic(patch) => {
                    patch.topic == topic.name
                        && merged(&topic.settings, &patch.settings) == fact.settings
                        && (&patch.actor, &patch.reason) == (&fact.actor, &fact.reason)
                }
                _ => false,
            });
            if !asked {
                return Err(format!("nobody asked for {fact:?}"));
            }
        }
        context.marks.hit("topic told");
        self.topics.entry(fact.topic).and_modify(|topic| topic.settings = fact.settings.clone());
        Ok(())
    }

    // --- what is deleted --------------------------------------------------------------------------------------

    pub(super) fn topic_deleted(&mut self, fact: &TopicDeleted, context: &mut Context<'_>) -> Verdict {
        let topic = self.topics.get(&fact.topic).ok_or("a topic was deleted twice")?;
        if let Some(calls) = context.calls {
            let mut commands = calls.iter().filter_map(Sent::command);
            let asked =
                commands.any(|c| matches!(c, Command::DeleteTopic(delete) if delete.topic == topic.name));
            if !asked {
                return Err(format!("nobody asked for {fact:?}"));
            }
        }
        if self.is_timeline_of_run(topic) || self.open_runs(fact.topic, None) > 0 {
            return Err(format!("topic {} was deleted although runs need it", topic.name));
        }
        context.marks.hit("topic deleted");
        let gone: Vec<GroupId> = self.groups_on(fact.topic).map(|(id, _)| id).collect();
        for id in gone {
            self.groups.remove(&id);
        }
        self.keys.retain(|used| used.topic != Some(fact.topic));
        self.topics.remove(&fact.topic);
        self.withdraw_redrives_to(fact.topic, context);
        self.deletions += 1;
        Ok(())
    }

    pub(super) fn group_deleted(&mut self, fact: &GroupDeleted, context: &mut Context<'_>) -> Verdict {
        let group = self.group(fact.group)?;
        let topic = &self.topics[&group.topic].name;
        if let Some(calls) = context.calls {
            let asked = calls.iter().filter_map(Sent::command).any(|command| match command {
                Command::DeleteGroup(delete) => delete.topic == *topic && delete.group == group.name,
                _ => false,
            });
            if !asked {
                return Err(format!("nobody asked for {fact:?}"));
            }
        }
        if self.moves_runs(group) > 0 {
            return Err(format!("group {} was deleted although it moves runs", group.name));
        }
        context.marks.hit("group deleted");
        self.groups.remove(&fact.group);
        self.deletions += 1;
        Ok(())
    }

    /// Groups that this fact deletes, by their names.
    pub(crate) fn readers_gone_with(&self, record: &Record) -> Vec<(TopicName, GroupName)> {
        let names = |group: &Group| Some((self.topics.get(&group.topic)?.name.clone(), group.name.clone()));
        match record {
            Record::GroupDeleted(fact) => self.groups.get(&fact.group).and_then(names).into_iter().collect(),
            Record::TopicDeleted(fact) => {
                self.groups_on(fact.topic).filter_map(|(_, group)| names(group)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether a topic or a group was deleted since some moment.
    pub(super) fn was_something_deleted(&self) -> bool {
        self.deletions > 0
    }

    fn is_timeline_of_run(&self, topic: &Topic) -> bool {
        self.runs.values().any(|run| self.topics.get(&run.timeline).is_some_and(|t| t.name == topic.name))
    }

    fn moves_runs(&self, group: &Group) -> u64 {
        self.open_runs(group.topic, Some(group))
    }

    fn open_runs(&self, topic: TopicId, group: Option<&Group>) -> u64 {
        let open = self.runs.values().filter(|run| !run.status.is_terminal() && run.command.topic == topic);
        open.filter(|run| group.is_none_or(|group| group.name == run.group)).count() as u64
    }

    // --- what is moved ----------------------------------------------------------------------------------------

    pub(super) fn group_sought(&mut self, fact: &GroupSought, context: &mut Context<'_>) -> Verdict {
        let group = self.group(fact.group)?;
        let topic = &self.topics[&group.topic];
        if let Some(calls) = context.calls {
            let asked = calls.iter().filter_map(Sent::command).any(|command| match command {
                Command::SeekGroup(seek) => {
                    seek.topic == topic.name
                        && seek.group == group.name
                        && wanted(topic, &seek.to) == Some(floors(&fact.places))
                }
                _ => false,
            });
            if !asked {
                return Err(format!("nobody asked for {fact:?}"));
            }
        }
        if self.moves_runs(group) > 0 || fact.at != self.now {
            return Err(format!("group {} was moved although it moves runs", group.name));
        }
        let mut moved: Vec<(PartitionId, Progress)> = Vec::new();
        for place in &fact.places {
            let partition = topic.partitions.get(index(place.partition)).ok_or("no partition")?;
            let end = partition.messages.len() as u64;
            let is_done = |offset: u64| {
                offset < place.floor.0
                    || place.settled.iter().any(|(from, until)| (from.0..until.0).contains(&offset))
            };
            let done = partition.messages.iter().zip(0..).filter(|(_, offset)| is_done(*offset));
            let bytes: u64 = done.map(|(message, _)| u64::from(message.bytes)).sum();
            let unread = partition.visible.iter().position(|offset| !is_done(offset.0));
            let next = unread.unwrap_or(partition.visible.len()) as u64;
            if (place.bytes, place.seen.0, place.next) != (bytes, end, next) {
                return Err(format!("{place:?} should say {bytes} bytes, end {end}, next {next}"));
            }
            let before = group.partitions.get(index(place.partition)).ok_or("no progress")?;
            moved.push((place.partition, before.moved(end, &is_done)));
        }
        let is_back = fact.places.iter().any(|place| place.floor < place.seen);
        context.marks.hit(if is_back { "group moved back" } else { "group moved to the end" });
        let group = self.groups.get_mut(&fact.group).ok_or("no group")?;
        group.used_at = fact.at;
        for (partition, progress) in moved {
            if let Some(place) = group.partitions.get_mut(index(partition)) {
                *place = progress;
            }
        }
        Ok(())
    }

    // --- what is made due -------------------------------------------------------------------------------------

    pub(super) fn made_due(&mut self, fact: &MadeDue, context: &mut Context<'_>) -> Verdict {
        let at = match fact.what {
            WasWaiting::Backoff(of) => self.place(of)?,
            WasWaiting::Delay(at) => at,
        };
        if let Some(calls) = context.calls {
            let asked = calls.iter().filter_map(Sent::command).any(|command| match command {
                Command::RetryNow(ask) => self.target(&ask.target).is_some_and(|(found, _)| found == at),
                _ => false,
            });
            if !asked || fact.at != self.now {
                return Err(format!("nobody asked for {fact:?}"));
            }
        }
        match fact.what {
            WasWaiting::Delay(at) => {
                context.marks.hit("delay ended by hand");
                self.show_early(at)
            }
            WasWaiting::Backoff(of) => {
                let Some(Standing::Waiting(waiting)) = self.standing(of).cloned() else {
                    return Err(format!("{of:?} waits for nothing"));
                };
                if waiting.due <= self.now {
                    return Err(format!("{of:?} was due already"));
                }
                context.marks.hit("backoff ended by hand");
                let attempts = waiting.attempts;
                let due = super::Waiting { due: self.now, ..waiting };
                self.progress_mut(of)?.standings.insert(of.offset, Standing::Waiting(due));
                if let Some(run) = self.moved_run(of).cloned() {
                    let scheduled = Event::RetryScheduled {
                        at: self.wall,
                        delay: Millis(0),
                        next_attempt: attempts.next(),
                        max_attempts: run.policy.max_attempts,
                    };
                    self.expect_event(&run, attempts, "run.retry_scheduled", move |event| {
                        *event == scheduled
                    });
                }
                Ok(())
            }
        }
    }

    fn show_early(&mut self, at: MessageAt) -> Verdict {
        let topic = self.topics.get_mut(&at.topic).ok_or("no topic")?;
        if !topic.is_delayed(at.partition, at.offset) {
            return Err(format!("{at:?} is visible already"));
        }
        let partition = topic.partitions.get_mut(index(at.partition)).ok_or("no partition")?;
        partition.visible.push(at.offset);
        Ok(())
    }

    /// The message that is asked about, and the group of that name.
    fn target(&self, target: &MessageTarget) -> Option<(MessageAt, Option<GroupId>)> {
        let (at, group) = match target {
            MessageTarget::Message { topic, group, partition, offset } => {
                let (topic, _) = self.topic_named(topic)?;
                (MessageAt { topic, partition: *partition, offset: *offset }, group.clone())
            }
            MessageTarget::Run(id) => {
                let run = self.run_named(id)?;
                (run.command, Some(run.group.clone()))
            }
        };
        self.message_at(at)?;
        let found = group.and_then(|name| self.groups_on(at.topic).find(|(_, group)| group.name == name));
        Some((at, found.map(|(id, _)| id)))
    }

    // --- answers ----------------------------------------------------------------------------------------------

    pub(super) fn operated(&self, command: &Command, reply: &Reply, facts: Facts<'_>) -> bool {
        let has = |fits: &dyn Fn(&Record) -> bool| facts.iter().any(|(_, record)| fits(record));
        match (command, reply) {
            (Command::PatchTopic(patch), Reply::TopicPatched { topic }) => {
                self.topics.get(topic).is_some_and(|found| {
                    found.name == patch.topic && merged(&found.settings, &patch.settings) == found.settings
                })
            }
            (Command::DeleteTopic(_), Reply::TopicDeleted) => has(&|r| matches!(r, Record::TopicDeleted(_))),
            (Command::DeleteGroup(_), Reply::GroupDeleted) => has(&|r| matches!(r, Record::GroupDeleted(_))),
            (Command::SeekGroup(_), Reply::Sought { partitions }) => {
                has(&|r| matches!(r, Record::GroupSought(fact) if floors(&fact.places) == *partitions))
            }
            (Command::RetryNow(ask), Reply::MadeDue { at, was, .. }) => self.was_due(ask, *at, *was, facts),
            _ => false,
        }
    }

    fn was_due(&self, ask: &RetryNow, at: MessageAt, was: WaitedFor, facts: Facts<'_>) -> bool {
        let Some((found, group)) = self.target(&ask.target) else { return false };
        let made = |fits: &dyn Fn(&WasWaiting) -> bool| {
            facts.iter().any(|(_, record)| matches!(record, Record::MadeDue(fact) if fits(&fact.what)))
        };
        found == at
            && match was {
                WaitedFor::Delay => made(&|what| *what == WasWaiting::Delay(at)),
                WaitedFor::Backoff => made(&|what| {
                    matches!(what, WasWaiting::Backoff(of)
                        if Some(of.group) == group && (of.partition, of.offset) == (at.partition, at.offset))
                }),
                WaitedFor::Nothing => {
                    let of =
                        group.map(|group| MessageOf { group, partition: at.partition, offset: at.offset });
                    let visible = !self.topics[&at.topic].is_delayed(at.partition, at.offset);
                    visible
                        && match of.and_then(|of| self.standing(of)) {
                            None => true,
                            Some(Standing::Waiting(waiting)) => waiting.due <= self.now,
                            Some(Standing::Leased(lease)) => lease.until <= self.now,
                            Some(Standing::Settled(_)) => false,
                        }
                }
            }
    }

    pub(super) fn refuses_operation(&self, command: &Command, why: &Rejection) -> bool {
        match command {
            Command::PatchTopic(patch) => match (self.topic_named(&patch.topic), why) {
                (None, Rejection::UnknownTopic(_)) => true,
                (Some((_, topic)), Rejection::NotOnTimeline(_)) => {
                    topic.is_timeline() && merged(&topic.settings, &patch.settings).policy.is_some()
                }
                _ => false,
            },
            Command::DeleteTopic(delete) => match (self.topic_named(&delete.topic), why) {
                (None, Rejection::UnknownTopic(_)) => true,
                (Some((_, topic)), Rejection::TimelineInUse { .. }) => self.is_timeline_of_run(topic),
                (Some((id, _)), Rejection::OpenRuns { count, .. }) => {
                    *count > 0 && self.open_runs(id, None) == *count
                }
                _ => false,
            },
            Command::SeekGroup(seek) => match why {
                Rejection::OffsetOutOfRange { asked, next, .. } => asked > next,
                Rejection::PartitionOutOfRange { asked, count, .. } => *asked >= u64::from(*count),
                why => self.refuses_reader(&seek.topic, &seek.group, why),
            },
            Command::DeleteGroup(delete) => self.refuses_reader(&delete.topic, &delete.group, why),
            Command::RetryNow(ask) => self.refuses_retry(&ask.target, why),
            _ => false,
        }
    }

    fn refuses_reader(&self, topic: &TopicName, group: &GroupName, why: &Rejection) -> bool {
        match (self.topic_named(topic), self.group_named(topic, group), why) {
            (None, _, Rejection::UnknownTopic(_)) | (Some(_), None, Rejection::UnknownGroup { .. }) => true,
            (Some(_), Some((_, group)), Rejection::GroupMovesRuns { count, .. }) => {
                *count > 0 && self.moves_runs(group) == *count
            }
            _ => false,
        }
    }

    fn refuses_retry(&self, target: &MessageTarget, why: &Rejection) -> bool {
        let found = self.target(target);
        let standing = found.and_then(|(at, group)| {
            let of = MessageOf { group: group?, partition: at.partition, offset: at.offset };
            let partition = &self.topics.get(&at.topic)?.partitions[index(at.partition)];
            let is_done = self.groups.get(&of.group)?.is_done(partition, at.partition, at.offset);
            Some((self.standing(of), is_done))
        });
        match (why, target) {
            (Rejection::UnknownTopic(_), MessageTarget::Message { topic, .. }) => {
                self.topic_named(topic).is_none()
            }
            (Rejection::UnknownGroup { .. }, MessageTarget::Message { topic, group, .. }) => {
                group.as_ref().is_some_and(|group| self.group_named(topic, group).is_none())
            }
            (Rejection::UnknownMessage | Rejection::PartitionOutOfRange { .. }, _) => found.is_none(),
            (Rejection::UnknownRun(_), MessageTarget::Run(id)) => self.run_named(id).is_none(),
            (Rejection::RunEnded { .. }, MessageTarget::Run(id)) => {
                self.run_named(id).is_some_and(|run| run.status.is_terminal())
            }
            (Rejection::GroupNeeded, MessageTarget::Message { group, .. }) => group.is_none(),
            (Rejection::LeasedBy { owner, .. }, _) => {
                matches!(standing, Some((Some(Standing::Leased(lease)), _)) if lease.owner.as_str() == owner)
            }
            (Rejection::SettledAlready | Rejection::DeadLetteredTo { .. }, _) => {
                standing.is_some_and(|(_, is_done)| is_done)
            }
            _ => false,
        }
    }

    /// Whether this broker gave out a lease that a claim shows, to a topic or group that may be gone.
    pub(super) fn was_given_out(&self, claim: &Claim) -> bool {
        claim.lease.is_some_and(|lease| {
            lease.epoch <= self.epoch && (1..=self.newest_lease()).contains(&lease.serial)
        })
    }

    /// The serial of the newest lease.
    pub(super) fn newest_lease(&self) -> u64 {
        self.lease_positions().keys().map(|lease| lease.serial).max().unwrap_or(0)
    }

    /// Whether a claim is about what the group may have seen before it was moved or made anew.
    pub(super) fn was_seen(&self, claim: &Claim) -> bool {
        let Some((_, group)) = self.group_named(&claim.topic, &claim.group) else { return false };
        let seen = group.partitions.get(index(claim.partition)).map_or(0, |progress| progress.seen);
        claim.offset.0 < seen || claim.lease.is_some_and(|lease| (1..=group.born).contains(&lease.serial))
    }
}

impl Progress {
    /// After a move: what is done stays as it was settled, all else is as if it had never been seen.
    fn moved(&self, end: u64, is_done: &dyn Fn(u64) -> bool) -> Self {
        let settled = |offset: &Offset| match self.standings.get(offset) {
            Some(Standing::Settled(how)) => how.clone(),
            Some(Standing::Leased(_) | Standing::Waiting(_)) | None => How::Skipped,
        };
        let done = (0..end).filter(|offset| is_done(*offset)).map(Offset);
        let standings: BTreeMap<_, _> = done.map(|at| (at, Standing::Settled(settled(&at)))).collect();
        let memos: VecDeque<Offset> =
            self.memos.iter().copied().filter(|offset| standings.contains_key(offset)).collect();
        Self { start: 0, standings, memos, seen: self.seen.max(end) }
    }
}

/// Each partition that a seek moves, and where its first open message is then.
fn wanted(topic: &Topic, to: &SeekTo) -> Option<Vec<(PartitionId, Offset)>> {
    let all = || (0..).map(PartitionId).zip(&topic.partitions);
    Some(match to {
        SeekTo::Earliest => all().map(|(id, _)| (id, Offset(0))).collect(),
        SeekTo::Latest => all()
            .map(|(id, partition)| {
                let visible: BTreeSet<Offset> = partition.visible.iter().copied().collect();
                let end = partition.messages.len() as u64;
                let delayed = (0..end).map(Offset).find(|offset| !visible.contains(offset));
                (id, delayed.unwrap_or(Offset(end)))
            })
            .collect(),
        SeekTo::Offset { partition, offset } => {
            let end = topic.partitions.get(index(*partition))?.messages.len() as u64;
            if offset.0 > end {
                return None;
            }
            vec![(*partition, *offset)]
        }
        SeekTo::Places { places, .. } => places.clone(),
    })
}

fn floors(places: &[SoughtPlace]) -> Vec<(PartitionId, Offset)> {
    places.iter().map(|place| (place.partition, place.floor)).collect()
}

/// Settings after a patch, setting by setting.
fn merged(before: &TopicSettings, patch: &SettingsPatch) -> TopicSettings {
    fn one<T: Copy>(change: Change<T>, before: Option<T>) -> Option<T> {
        match change {
            Change::Keep => before,
            Change::Reset => None,
            Change::Set(value) => Some(value),
        }
    }
    let mut after = before.clone();
    match &patch.policy {
        Change::Keep => {}
        Change::Reset => after.policy = None,
        Change::Set(asked) => {
            let mut policy = before.policy.unwrap_or_default();
            policy.max_attempts = one(asked.max_attempts, Some(policy.max_attempts)).unwrap_or(0);
            policy.backoff = one(asked.backoff, Some(policy.backoff)).unwrap_or_default();
            policy.max_backoff = one(asked.max_backoff, Some(policy.max_backoff)).unwrap_or_default();
            policy.jitter = one(asked.jitter, Some(policy.jitter)).unwrap_or_default();
            after.policy = Some(policy);
        }
    }
    after.key_window = one(patch.key_window, before.key_window);
    after.partition_messages_max = one(patch.partition_messages_max, before.partition_messages_max);
    after.partition_bytes_max = one(patch.partition_bytes_max, before.partition_bytes_max);
    after
}

impl Hit {
    /// The topic that a key goes with, if there is one.
    pub(super) fn topic(self, model: &Model) -> Option<TopicId> {
        match self {
            Self::Message(at) => Some(at.topic),
            Self::Run(run) => model.runs.get(&run).map(|run| run.command.topic),
            Self::Job(_) => None,
        }
    }
}
