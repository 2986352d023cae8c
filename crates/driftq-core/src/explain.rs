//! Explaining: why a message is not being worked on.
//!
//! Promise: a pure function of the state that decides and changes nothing, exhaustive over the ways a message can stand
//! with a group. It says what a consumer that asks now would get, by the same rules that lease it.

use crate::group::Standing;
use crate::lease::{Place, is_about_to_expire};
use crate::{
    Attempt, AttemptRef, DeadLetterReason, DeadLetterState, Group, GroupName, Instant, Lease, MessageAt,
    MessageTarget, Note, Offset, Partition, Progress, Rejection, Run, RunStatus, SkipReason, State, Topic,
    WallTime,
};
use alloc::{borrow::Cow, string::ToString, vec::Vec};

/// How many messages that come first are counted one by one; what is beyond is counted as if all of it came.
pub const AHEAD_EXACT_MAX: usize = 10_000;
/// How many groups a refusal lists.
const GROUPS_LISTED_MAX: usize = 10;

/// How a message stands with a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained<'a> {
    /// The message.
    pub at: MessageAt,
    /// Its topic, unless that is deleted.
    pub topic: Option<&'a Topic>,
    /// The group that is asked about, by name.
    pub group: Option<GroupName>,
    /// The same group, if it exists.
    pub reader: Option<&'a Group>,
    /// Why it stands as it does.
    pub why: Why<'a>,
    /// How often the group was handed it, as far as that is known.
    pub attempts: Attempt,
    /// How often it may be handed out; 0 = no limit.
    pub max_attempts: u32,
    /// The attempts that failed.
    pub history: Vec<AttemptRef>,
    /// The run whose command it is.
    pub run: Option<Cow<'a, Run>>,
}

/// Why a message stands as it does.
#[derive(Clone, Debug, PartialEq)]
pub enum Why<'a> {
    /// It is not kept any more.
    Removed,
    /// Somebody holds it.
    Leased(Lease),
    /// It failed and waits for its next attempt.
    Backoff(Instant),
    /// It is not visible yet.
    Delayed(WallTime),
    /// That many messages of its partition are handed out first.
    Behind(u64),
    /// It is handed out next.
    Due,
    /// Nobody ever read the topic with that group.
    NoGroup,
    /// The group acked it, or was moved past it.
    Acked,
    /// The group acked another message with the same key.
    KeyAcked,
    /// It is another group's redrive.
    OtherGroup,
    /// It was given up.
    DeadLettered(MessageAt, &'a DeadLetterState),
    /// Its run has ended, or was started again.
    RunEnded,
    /// Its deadline passed; it may have a dead letter.
    Expired(Option<(MessageAt, &'a DeadLetterState)>),
}

impl State {
    /// Says how a message stands with a group, and why.
    ///
    /// Without a group it speaks of the only one there is.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when there is no such message, group or run, or the group has to be named.
    pub fn explain(&self, target: &MessageTarget) -> Result<Explained<'_>, Rejection> {
        match target {
            MessageTarget::Run(run_id) => {
                let run = crate::run::find_run(self, run_id)?;
                let topic = self.topics.get(&run.command.topic);
                let explained = self.explain_at(topic, run.command, Some(run.group.clone()));
                Ok(Explained { run: Some(run), ..explained })
            }
            MessageTarget::Message { topic: name, group, partition, offset } => {
                let topic =
                    self.topic(name).ok_or_else(|| Rejection::UnknownTopic(name.as_str().to_string()))?;
                let kept = topic.partition(*partition).ok_or_else(|| Rejection::PartitionOutOfRange {
                    topic: name.as_str().to_string(),
                    asked: u64::from(partition.0),
                    count: topic.partition_count(),
                })?;
                if *offset >= kept.next_offset() {
                    return Err(Rejection::UnknownMessage);
                }
                let at = MessageAt { topic: topic.id, partition: *partition, offset: *offset };
                let group = match group {
                    Some(group) => Some(group.clone()),
                    None if kept.delayed_until(*offset).is_some() => None,
                    None => only_group(topic)?,
                };
                Ok(self.explain_at(Some(topic), at, group))
            }
        }
    }

    fn explain_at<'a>(
        &'a self,
        topic: Option<&'a Topic>,
        at: MessageAt,
        group: Option<GroupName>,
    ) -> Explained<'a> {
        let kept = topic.and_then(|topic| topic.partition(at.partition));
        let note = kept.and_then(|kept| kept.note(at.offset));
        let entry = kept.and_then(|kept| kept.entry(at.offset));
        let policy = topic.zip(entry).and_then(|(topic, entry)| topic.policy(&entry));
        let run = kept.and_then(|kept| kept.command(at.offset)).and_then(|of| self.runs.get(&of.run));
        let reader = topic.zip(group.as_ref()).and_then(|(topic, name)| {
            self.groups.get(&topic.group(name)?).filter(|group| group.progress(at.partition).is_some())
        });
        let mut explained = Explained {
            at,
            topic,
            group,
            reader,
            why: Why::Removed,
            attempts: Attempt(0),
            max_attempts: policy.map_or(0, |policy| policy.max_attempts),
            history: Vec::new(),
            run,
        };
        let (Some(topic), Some(kept)) = (topic, kept.filter(|_| entry.is_some())) else { return explained };
        let case = Case { state: self, topic, kept, note, at };
        match reader.and_then(|group| Some((group, group.progress(at.partition)?))) {
            Some((group, progress)) => case.explain_reader(group, progress, &mut explained),
            None => explained.why = case.without_reader(explained.group.as_ref()),
        }
        if let Why::DeadLettered(_, dead) | Why::Expired(Some((_, dead))) = &explained.why {
            explained.attempts = dead.attempts;
            explained.history.clone_from(&dead.history);
        }
        let is_over = matches!(explained.why, Why::Acked | Why::RunEnded);
        if let Some(run) = explained.run.as_ref().filter(|run| is_over && run.command == at) {
            explained.attempts = run.attempt;
        }
        explained
    }
}

/// The only group of a topic; `None` when it has none.
fn only_group(topic: &Topic) -> Result<Option<GroupName>, Rejection> {
    let mut groups = topic.groups().map(|(name, _)| name);
    match (groups.next(), groups.next()) {
        (first, None) => Ok(first.cloned()),
        (_, Some(_)) => {
            let names: Vec<&str> =
                topic.groups().map(|(name, _)| name.as_str()).take(GROUPS_LISTED_MAX).collect();
            let more = if topic.groups().count() > GROUPS_LISTED_MAX { ", …" } else { "" };
            Err(Rejection::GroupUnclear(names.join(", ") + more))
        }
    }
}

/// One message that is kept.
struct Case<'a> {
    state: &'a State,
    topic: &'a Topic,
    kept: &'a Partition,
    note: Option<&'a Note>,
    at: MessageAt,
}

impl<'a> Case<'a> {
    fn explain_reader(&self, group: &'a Group, progress: &'a Progress, explained: &mut Explained<'a>) {
        let now = self.state.now;
        let place = Place { topic: self.topic, group, partition: self.at.partition };
        explained.why = match progress.standing(self.at.offset) {
            Standing::Settled => self.settled(group, progress),
            Standing::Leased(lease) => {
                explained.attempts = lease.attempt;
                explained.history.clone_from(&lease.history);
                if is_about_to_expire(self.state, self.note) {
                    Why::Expired(None)
                } else if lease.until > now {
                    Why::Leased(lease)
                } else {
                    // What its end leads to is decided in this very turn.
                    Why::Due
                }
            }
            Standing::Waiting(waiting) => {
                explained.attempts = waiting.attempts;
                explained.history = waiting.history;
                match self.unwanted(&place, group.name.clone()) {
                    Some(why) => why,
                    None if waiting.due > now => Why::Backoff(waiting.due),
                    None => behind(place.retries_ahead(self.state, progress, waiting.due, self.at.offset)),
                }
            }
            Standing::Unseen => {
                match (self.kept.delayed_until(self.at.offset), self.unwanted(&place, group.name.clone())) {
                    (Some(due), None) => Why::Delayed(due),
                    (_, Some(why)) => why,
                    (None, None) => behind(place.visible_ahead(self.state, progress, self.at.offset)),
                }
            }
        };
    }

    fn without_reader(&self, group: Option<&GroupName>) -> Why<'a> {
        if let Some(why) = self.expired(group) {
            return why;
        }
        let is_others = |only: &GroupName| group.is_some_and(|group| group != only);
        if self.note.and_then(|note| note.only_group.as_ref()).is_some_and(is_others) {
            return Why::OtherGroup;
        }
        if group.is_some_and(|group| self.is_run_over(group)) {
            return Why::RunEnded;
        }
        self.kept.delayed_until(self.at.offset).map_or(Why::NoGroup, Why::Delayed)
    }

    /// Why a message that the group has not settled is settled without a delivery.
    fn unwanted(&self, place: &Place<'_>, group: GroupName) -> Option<Why<'a>> {
        if is_about_to_expire(self.state, self.note) {
            return Some(Why::Expired(None));
        }
        let reason = place.skip_reason(self.state, self.kept, self.at.offset)?;
        Some(match reason {
            SkipReason::KeyAcked | SkipReason::SettledBefore => Why::KeyAcked,
            SkipReason::OtherGroup => Why::OtherGroup,
            SkipReason::RunOver => Why::RunEnded,
            SkipReason::DeadlinePassed => self.expired(Some(&group)).unwrap_or(Why::Expired(None)),
        })
    }

    fn expired(&self, group: Option<&GroupName>) -> Option<Why<'a>> {
        let is_expired =
            self.note.is_some_and(|note| note.expired) || is_about_to_expire(self.state, self.note);
        is_expired.then(|| {
            let dead = self.state.dead_letter_of(self.at, group);
            Why::Expired(dead.filter(|(_, dead)| dead.reason == DeadLetterReason::DeadlineExceeded))
        })
    }

    fn settled(&self, group: &'a Group, progress: &Progress) -> Why<'a> {
        if progress.is_ack_remembered(self.at.offset) {
            return Why::Acked;
        }
        match self.state.dead_letter_of(self.at, Some(&group.name)) {
            Some((at, dead)) if dead.reason == DeadLetterReason::DeadlineExceeded => {
                return Why::Expired(Some((at, dead)));
            }
            Some((at, dead)) => return Why::DeadLettered(at, dead),
            None => {}
        }
        if let Some(only) = self.note.and_then(|note| note.only_group.as_ref())
            && *only != group.name
        {
            return Why::OtherGroup;
        }
        if self.is_cancelled(&group.name) {
            return Why::RunEnded;
        }
        let by = self.kept.key(self.at.offset).and_then(|key| group.acked_by(&key, self.state));
        match by {
            Some(by) if (by.partition, by.offset) != (self.at.partition, self.at.offset) => Why::KeyAcked,
            Some(_) | None => Why::Acked,
        }
    }

    fn is_run_over(&self, group: &GroupName) -> bool {
        self.try_of(group).is_some_and(|(run, status)| run.status.is_terminal() || status.is_terminal())
    }

    fn is_cancelled(&self, group: &GroupName) -> bool {
        self.try_of(group).is_some_and(|(_, status)| status == RunStatus::Cancelled)
    }

    /// The run that deliveries of this message to the group move, and how the try that it carries stands.
    fn try_of(&self, group: &GroupName) -> Option<(Cow<'a, Run>, RunStatus)> {
        let of = self.kept.command(self.at.offset)?;
        let run = self.state.runs.get(&of.run).filter(|run| run.group == *group)?;
        let status = run.replays.iter().find(|replay| replay.replay_seq == of.replay_seq)?.status;
        Some((run, status))
    }
}

fn behind<'a>(ahead: u64) -> Why<'a> {
    if ahead == 0 { Why::Due } else { Why::Behind(ahead) }
}

/// What waits for a retry, in the order of dues.
fn retries(progress: &Progress) -> impl Iterator<Item = (Instant, Offset)> {
    core::iter::successors(progress.next_retry(None), |past| progress.next_retry(Some(*past)))
}

impl Place<'_> {
    /// Whether a message that is due would be handed out when it is met.
    fn is_wanted(&self, state: &State, kept: &Partition, offset: Offset) -> bool {
        let note = kept.note(offset);
        !is_about_to_expire(state, note) && self.skip_reason(state, kept, offset).is_none()
    }

    /// How many failed messages are handed out again before the one that is due then.
    fn retries_ahead(&self, state: &State, progress: &Progress, due: Instant, offset: Offset) -> u64 {
        let Some(kept) = self.topic.partition(self.partition) else { return 0 };
        let before = retries(progress).take_while(|other| *other < (due, offset)).take(AHEAD_EXACT_MAX);
        before.filter(|(_, offset)| self.is_wanted(state, kept, *offset)).count() as u64
    }

    /// How many messages are handed out before one that nobody was handed yet.
    fn visible_ahead(&self, state: &State, progress: &Progress, offset: Offset) -> u64 {
        let Some(kept) = self.topic.partition(self.partition) else { return 0 };
        let retries = retries(progress).take_while(|(due, _)| *due <= state.now).take(AHEAD_EXACT_MAX);
        let retries = retries.filter(|(_, offset)| self.is_wanted(state, kept, *offset)).count() as u64;
        let Some(index) = kept.visible_index(offset) else { return retries };
        let exact_until = index.min(progress.next.saturating_add(AHEAD_EXACT_MAX as u64));
        let met = (progress.next..exact_until).filter_map(|index| kept.visible_at(index));
        let handed_out = met.filter(|offset| {
            !progress.is_settled(*offset)
                && !progress.is_pending(*offset)
                && self.is_wanted(state, kept, *offset)
        });
        retries + handed_out.count() as u64 + (index - exact_until)
    }
}
