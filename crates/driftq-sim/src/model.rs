//! The reference model: the promises of the wire contract, written as plainly as possible.
//!
//! Promise: it follows the facts of the log one by one and refuses each that the contract does not allow, or that
//! nobody asked for, or that comes alone where several belong together. It is slow, keeps everything, and shares no
//! rule with the broker's core: only the words (records, names, numbers) are the same.

mod claims;
mod jobs;
mod leases;
mod messages;
mod operators;
mod replies;
mod runs;

pub(crate) use jobs::Job;
pub(crate) use replies::Surroundings;

use jobs::Noting;

use crate::calls::Sent;
use crate::marks::Marks;
use driftq_core::{
    Attempt, AttemptRef, Closing, DeadLetterReason, FailureCause, Fingerprint, GroupId, GroupName, Instant,
    JobNo, KeyDigest, LeaseId, Limits, MessageAt, MessageOf, Millis, Offset, OwnerId, PartitionId, Position,
    Record, ReplaySeq, RetryPolicy, RunId, RunNo, RunOf, RunStatus, StepName, TenantId, TopicId, TopicKind,
    TopicName, TopicSettings, Tracked, WallTime, WorkflowName,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What is wrong, in a sentence.
pub type Verdict<T = ()> = Result<T, String>;

/// A message as the model knows it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) position: Position,
    pub(crate) bytes: u32,
    pub(crate) policy: Option<RetryPolicy>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) due: Option<WallTime>,
    pub(crate) deadline: Option<WallTime>,
    pub(crate) expired: bool,
    pub(crate) key: Option<KeyDigest>,
    pub(crate) only_group: Option<GroupName>,
    pub(crate) run: Option<RunOf>,
    /// The record that holds its content.
    pub(crate) content: Position,
    pub(crate) dead: Option<Dead>,
}

/// What a dead letter tells.
#[derive(Clone, Debug)]
pub(crate) struct Dead {
    pub(crate) original: MessageAt,
    pub(crate) group: Option<GroupName>,
    pub(crate) run: Option<RunOf>,
    pub(crate) policy: Option<RetryPolicy>,
    pub(crate) closed: Option<Closing>,
    pub(crate) reason: DeadLetterReason,
    pub(crate) wall: WallTime,
    pub(crate) fingerprint: Option<Fingerprint>,
    /// What its newest error was, in a word.
    pub(crate) kind: &'static str,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Partition {
    pub(crate) messages: Vec<Message>,
    /// Offsets in the order in which they became visible.
    pub(crate) visible: Vec<Offset>,
}

#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) name: TopicName,
    pub(crate) kind: TopicKind,
    pub(crate) partitions: Vec<Partition>,
    /// What it was told itself.
    pub(crate) settings: TopicSettings,
}

/// How a message stands with a group that has seen it.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    Leased(Lease),
    Waiting(Waiting),
    Settled(How),
}

#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) id: LeaseId,
    pub(crate) owner: OwnerId,
    pub(crate) until: Instant,
    pub(crate) attempt: Attempt,
    pub(crate) delivered: Position,
    pub(crate) history: Vec<AttemptRef>,
}

#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) due: Instant,
    pub(crate) attempts: Attempt,
    /// Who nacked it last, and by which lease.
    pub(crate) nacked_by: Option<(OwnerId, LeaseId)>,
    pub(crate) history: Vec<AttemptRef>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Acked { owner: OwnerId, lease: LeaseId, at: Instant },
    Dead { owner: OwnerId, lease: LeaseId, at: Instant },
    Skipped,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The first place of the visible sequence that the group reads.
    pub(crate) start: usize,
    pub(crate) standings: BTreeMap<Offset, Standing>,
    /// Settled by a worker and still remembered, oldest first.
    pub(crate) memos: VecDeque<Offset>,
    /// Messages below may have been delivered before the group was moved.
    pub(crate) seen: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) topic: TopicId,
    pub(crate) name: GroupName,
    pub(crate) ever_acked: bool,
    pub(crate) used_at: Instant,
    pub(crate) partitions: Vec<Progress>,
    /// Keys of acked messages, oldest first, and which messages these were.
    pub(crate) consumed: VecDeque<(KeyDigest, Instant, PartitionId, Offset)>,
    /// The newest lease when it was made.
    pub(crate) born: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) no: RunNo,
    pub(crate) id: RunId,
    pub(crate) workflow: WorkflowName,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) group: GroupName,
    pub(crate) policy: RetryPolicy,
    pub(crate) timeline: TopicId,
    pub(crate) command: MessageAt,
    pub(crate) status: RunStatus,
    pub(crate) replay_seq: ReplaySeq,
    pub(crate) attempt: Attempt,
    pub(crate) input: Position,
    /// Finished steps by name: the record of the output.
    pub(crate) steps: BTreeMap<StepName, Position>,
    pub(crate) dead_letters: Vec<MessageAt>,
    /// Terminal events of the present try.
    pub(crate) ends: u32,
}

/// What a key found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    Message(MessageAt),
    Run(RunNo),
    Job(JobNo),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyUse {
    pub(crate) digest: KeyDigest,
    pub(crate) fingerprint: u64,
    pub(crate) at: Instant,
    pub(crate) hit: Hit,
    /// The topic that it goes with.
    pub(crate) topic: Option<TopicId>,
}

/// A fact that must come next, in the same transition.
pub(crate) struct Expected {
    pub(crate) what: String,
    /// A topic that may be made on the way.
    pub(crate) topic: Option<TopicName>,
    pub(crate) holds: Box<dyn Fn(&Record) -> bool>,
}

/// What the outside knows while facts are judged.
pub(crate) struct Context<'a> {
    /// Calls that may have caused them; `None` when they were judged before.
    pub(crate) calls: Option<&'a [Sent]>,
    pub(crate) monotonic: Millis,
    pub(crate) wall: WallTime,
    pub(crate) marks: &'a mut Marks,
}

/// What is never forgotten, not even by a crash.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Which key is behind which digest.
    pub(crate) digests: BTreeMap<KeyDigest, String>,
    /// How often a body may still be stored.
    pub(crate) allowed: BTreeMap<Vec<u8>, i64>,
    /// Leases that some worker took.
    pub(crate) taken: BTreeSet<LeaseId>,
    /// Leases that some worker was told of, taken or not.
    pub(crate) handed: BTreeSet<LeaseId>,
    /// Which kind of failure has which fingerprint.
    pub(crate) fingerprints: BTreeMap<&'static str, Fingerprint>,
}

/// The reference model.
pub(crate) struct Model {
    pub(crate) limits: Limits,
    pub(crate) now: Instant,
    pub(crate) wall: WallTime,
    pub(crate) epoch: u32,
    pub(crate) applied: Position,
    pub(crate) topics: BTreeMap<TopicId, Topic>,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) runs: BTreeMap<RunNo, Run>,
    pub(crate) keys: VecDeque<KeyUse>,
    pub(crate) jobs: BTreeMap<JobNo, Job>,
    pub(crate) tracked: BTreeMap<Tracked, JobNo>,
    pub(crate) expected: VecDeque<Expected>,
    pub(crate) known: Known,
    noting: Option<Noting>,
    last_cause: FailureCause,
    leases: BTreeMap<LeaseId, Position>,
    /// How many topics and groups were deleted.
    deletions: u64,
    base: (Instant, Millis),
}

impl Model {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            now: Instant(0),
            wall: WallTime(0),
            epoch: 0,
            applied: Position(0),
            topics: BTreeMap::new(),
            groups: BTreeMap::new(),
            runs: BTreeMap::new(),
            keys: VecDeque::new(),
            jobs: BTreeMap::new(),
            tracked: BTreeMap::new(),
            expected: VecDeque::new(),
            known: Known::default(),
            noting: None,
            last_cause: FailureCause::Nack,
            leases: BTreeMap::new(),
            deletions: 0,
            base: (Instant(0), Millis(0)),
        }
    }

    /// Follows one fact.
    pub(crate) fn follow(
        &mut self,
        position: Position,
        record: &Record,
        context: &mut Context<'_>,
    ) -> Verdict {
        self.applied = position;
        let was_expected = self.meet(record)?;
        match record {
            Record::Started(fact) => self.started(fact, context),
            Record::TimeAdvanced(fact) => self.time(fact, context),
            Record::TopicCreated(fact) => self.topic_created(fact, was_expected, context),
            Record::MessageAppended(fact) => self.appended(position, fact, was_expected, context),
            Record::MessageDue(at) => self.due(*at, context),
            Record::GroupCreated(fact) => self.group_created(fact, context),
            Record::GroupTouched(fact) => self.group_touched(fact.group, fact.at),
            Record::GroupForgotten(id) => self.group_forgotten(*id, context),
            Record::Delivered(fact) => self.delivered(position, fact, context),
            Record::Extended(fact) => self.extended(fact, context),
            Record::Acked(fact) => self.acked(fact, context),
            Record::Failed(fact) => self.failed(position, fact, context),
            Record::GivenBack(of) => self.given_back(*of, context),
            Record::Skipped(fact) => self.skipped(fact, was_expected, context),
            Record::DeadLettered(fact) => self.dead_lettered(position, fact, was_expected, context),
            Record::DeadLetterClosed(fact) => self.closed(fact, was_expected, context),
            Record::DeadlinePassed(at) => self.deadline_passed(*at, context),
            Record::KeysForgotten(count) => self.keys_forgotten(*count, context),
            Record::RunCreated(fact) => self.run_created(position, fact, context),
            Record::EventAppended(fact) => self.event(position, fact, was_expected, context),
            Record::RunReplayed(fact) => self.run_replayed(position, fact, context),
            Record::StepStored(fact) => self.step_stored(position, fact, context),
            Record::Carried(_) => Err("a record was carried although nothing was released".to_owned()),
            Record::TopicSet(fact) => self.topic_set(fact, context),
            Record::TopicDeleted(fact) => self.topic_deleted(fact, context),
            Record::GroupSought(fact) => self.group_sought(fact, context),
            Record::GroupDeleted(fact) => self.group_deleted(fact, context),
            Record::MadeDue(fact) => self.made_due(fact, context),
            Record::DeadLetterMarked(fact) => self.dead_letter_marked(*fact, was_expected),
            Record::ClosingNoted(fact) => self.noted(fact, was_expected, context),
            Record::RedriveJobStarted(fact) => self.job_started(position, fact, context),
            Record::RedriveJobAdvanced(fact) => self.job_advanced(fact, context),
            Record::RedriveJobChanged(fact) => self.job_changed(fact, context),
            Record::RedriveEnded(fact) => self.redrive_ended(*fact, was_expected, context),
        }?;
        self.expect_next(record);
        Ok(())
    }

    /// Whether a transition is whole.
    pub(crate) fn is_whole(&self) -> Verdict {
        match self.expected.front() {
            Some(expected) => Err(format!("a transition ended before its {}", expected.what)),
            None => Ok(()),
        }
    }

    fn meet(&mut self, record: &Record) -> Verdict<bool> {
        let Some(expected) = self.expected.front() else { return Ok(false) };
        if (expected.holds)(record) {
            self.expected.pop_front();
            return Ok(true);
        }
        if let Record::TopicCreated(made) = record
            && expected.topic.as_ref() == Some(&made.name)
        {
            return Ok(true);
        }
        Err(format!("expected {}, got {record:?}", expected.what))
    }

    pub(crate) fn expect(&mut self, what: impl Into<String>, holds: impl Fn(&Record) -> bool + 'static) {
        self.expected.push_back(Expected { what: what.into(), topic: None, holds: Box::new(holds) });
    }

    /// A fact that must come before all others that are expected.
    fn expect_first(&mut self, what: &str, holds: impl Fn(&Record) -> bool + 'static) {
        self.expected.push_front(Expected { what: what.to_owned(), topic: None, holds: Box::new(holds) });
    }

    fn started(&mut self, fact: &driftq_core::Started, context: &Context<'_>) -> Verdict {
        if fact.epoch <= self.epoch {
            return Err(format!("epoch {} does not fence epoch {}", fact.epoch, self.epoch));
        }
        self.epoch = fact.epoch;
        self.base = (self.now, context.monotonic);
        Ok(())
    }

    fn time(&mut self, fact: &driftq_core::TimeAdvanced, context: &Context<'_>) -> Verdict {
        if context.calls.is_some() {
            let passed = context.monotonic.0.saturating_sub(self.base.1.0);
            let now = self.base.0.after(Millis(passed)).max(self.now);
            if (fact.now, fact.wall) != (now, context.wall) {
                return Err(format!("time is {now} and {}, not {fact:?}", context.wall));
            }
        }
        if fact.now < self.now {
            return Err(format!("core time went back from {} to {}", self.now, fact.now));
        }
        (self.now, self.wall) = (fact.now, fact.wall);
        Ok(())
    }

    /// The monotonic clock that core time stands for.
    pub(crate) fn monotonic(&self) -> Millis {
        Millis(self.base.1.0 + self.base.0.until(self.now).0)
    }

    pub(crate) fn lease_positions(&self) -> &BTreeMap<LeaseId, Position> {
        &self.leases
    }

    // --- look-ups ---------------------------------------------------------------------------------------------

    pub(crate) fn topic_named(&self, name: &TopicName) -> Option<(TopicId, &Topic)> {
        self.topics.iter().find(|(_, topic)| topic.name == *name).map(|(id, topic)| (*id, topic))
    }

    pub(crate) fn group_named(&self, topic: &TopicName, name: &GroupName) -> Option<(GroupId, &Group)> {
        let (topic, _) = self.topic_named(topic)?;
        self.groups_on(topic).find(|(_, group)| group.name == *name)
    }

    pub(crate) fn groups_on(&self, topic: TopicId) -> impl Iterator<Item = (GroupId, &Group)> {
        self.groups.iter().filter(move |(_, group)| group.topic == topic).map(|(id, group)| (*id, group))
    }

    pub(crate) fn run_named(&self, id: &RunId) -> Option<&Run> {
        self.runs.values().find(|run| run.id == *id)
    }

    pub(crate) fn message(&self, at: MessageAt) -> Verdict<&Message> {
        self.message_at(at).ok_or_else(|| format!("there is no message at {at:?}"))
    }

    pub(crate) fn message_at(&self, at: MessageAt) -> Option<&Message> {
        let partition = self.topics.get(&at.topic)?.partitions.get(index(at.partition))?;
        partition.messages.get(usize::try_from(at.offset.0).ok()?)
    }

    fn message_mut(&mut self, at: MessageAt) -> Verdict<&mut Message> {
        let partition =
            self.topics.get_mut(&at.topic).and_then(|t| t.partitions.get_mut(index(at.partition)));
        let offset = usize::try_from(at.offset.0).unwrap_or(usize::MAX);
        partition.and_then(|p| p.messages.get_mut(offset)).ok_or_else(|| format!("no message at {at:?}"))
    }

    fn group(&self, id: GroupId) -> Verdict<&Group> {
        self.groups.get(&id).ok_or_else(|| format!("there is no group {id}"))
    }

    fn progress_mut(&mut self, of: MessageOf) -> Verdict<&mut Progress> {
        let group =
            self.groups.get_mut(&of.group).ok_or_else(|| format!("there is no group {}", of.group))?;
        group.partitions.get_mut(index(of.partition)).ok_or_else(|| format!("no partition for {of:?}"))
    }

    pub(crate) fn standing(&self, of: MessageOf) -> Option<&Standing> {
        self.groups.get(&of.group)?.partitions.get(index(of.partition))?.standings.get(&of.offset)
    }

    pub(crate) fn place(&self, of: MessageOf) -> Verdict<MessageAt> {
        let topic = self.group(of.group)?.topic;
        Ok(MessageAt { topic, partition: of.partition, offset: of.offset })
    }

    /// What core time shows on the wall clock.
    pub(crate) fn wall_at(&self, at: Instant) -> WallTime {
        WallTime(self.wall.0.saturating_add(at.0).saturating_sub(self.now.0))
    }

    /// Messages that are delayed, and those that wait for their next attempt, with the group in which they do.
    pub(crate) fn waiting(&self) -> Vec<(TopicName, Option<GroupName>, PartitionId, Offset)> {
        let mut found = Vec::new();
        for kept in self.topics.values() {
            for (number, partition) in (0..).map(PartitionId).zip(&kept.partitions) {
                let all = (0..partition.messages.len() as u64).map(Offset);
                let delayed = all.filter(|at| kept.is_delayed(number, *at));
                found.extend(delayed.map(|at| (kept.name.clone(), None, number, at)));
            }
        }
        for reader in self.groups.values() {
            let Some(topic) = self.topics.get(&reader.topic) else { continue };
            for (number, progress) in (0..).map(PartitionId).zip(&reader.partitions) {
                let waits = |(_, standing): &(&Offset, &Standing)| matches!(standing, Standing::Waiting(waiting) if waiting.due > self.now);
                let waiting = progress.standings.iter().filter(waits);
                let name = || (topic.name.clone(), Some(reader.name.clone()));
                found.extend(waiting.map(|(at, _)| (name().0, name().1, number, *at)));
            }
        }
        found
    }

    /// All dead letters, open or not.
    pub(crate) fn dead_letters(&self) -> Vec<(MessageAt, &Dead)> {
        let mut found = Vec::new();
        for (topic, kept) in &self.topics {
            for (partition, messages) in (0..).zip(&kept.partitions) {
                for (offset, message) in (0..).zip(&messages.messages) {
                    if let Some(dead) = &message.dead {
                        let partition = PartitionId(partition);
                        found.push((MessageAt { topic: *topic, partition, offset: Offset(offset) }, dead));
                    }
                }
            }
        }
        found
    }
}

pub(crate) fn index(partition: PartitionId) -> usize {
    usize::try_from(partition.0).unwrap_or(usize::MAX)
}

impl Group {
    /// Whether the group is done with a message, or never reads it.
    pub(crate) fn is_done(&self, partition: &Partition, number: PartitionId, offset: Offset) -> bool {
        let Some(progress) = self.partitions.get(index(number)) else { return true };
        match progress.standings.get(&offset) {
            Some(Standing::Settled(_)) => true,
            Some(Standing::Leased(_) | Standing::Waiting(_)) => false,
            None => partition.visible.iter().take(progress.start).any(|seen| *seen == offset),
        }
    }
}

impl Progress {
    pub(crate) fn settle(&mut self, offset: Offset, how: How) {
        self.standings.insert(offset, Standing::Settled(how));
    }

    /// Remembers who settled a message, after forgetting some of the oldest.
    pub(crate) fn remember(&mut self, offset: Offset, forget: u32) {
        for _ in 0..forget {
            self.memos.pop_front();
        }
        self.memos.push_back(offset);
    }
}
