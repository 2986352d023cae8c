//! Groups, leases, attempts and how they end.

use super::{Context, Group, How, Lease, Model, Progress, Standing, Verdict, Waiting, index};
use crate::calls::Sent;
use driftq_core::{
    Acked, AfterFailure, AttemptRef, Command, DeadLetterReason, Delivered, Extended, Failed, FailureCause,
    GroupCreated, GroupId, Instant, MessageAt, MessageOf, Millis, Nack, Offset, Position, RetryPolicy,
    SkipReason, Skipped, Start,
};
use std::collections::VecDeque;

/// How many of a message's newest attempts are told besides the first.
const NEWEST: usize = 32;
const HALF_DAY: u64 = 12 * 60 * 60 * 1000;

impl Model {
    pub(super) fn group_created(&mut self, fact: &GroupCreated, context: &mut Context<'_>) -> Verdict {
        let topic = self.topics.get(&fact.topic).ok_or("a group without a topic")?;
        if self.groups.contains_key(&fact.group)
            || self.groups_on(fact.topic).any(|(_, g)| g.name == fact.name)
        {
            return Err(format!("group {} was made twice", fact.name));
        }
        let latest = fact.starts.iter().any(|start| start.next > 0);
        if let Some(calls) = context.calls {
            let opens = |start: Start| {
                let wanted = |topic: &_, group: &_, from| {
                    *topic == self.topics[&fact.topic].name && *group == fact.name && from == start
                };
                calls.iter().any(|sent| {
                    sent.consumer().is_some_and(|open| wanted(&open.topic, &open.group, open.start))
                })
            };
            if !(opens(Start::Latest) || (!latest && opens(Start::Earliest))) {
                return Err(format!("nobody asked for group {}", fact.name));
            }
        }
        let mut partitions = Vec::new();
        for (start, partition) in fact.starts.iter().zip(&topic.partitions) {
            let next = usize::try_from(start.next).unwrap_or(usize::MAX);
            if next != 0 && next != partition.visible.len() {
                return Err(format!("group {} starts in the middle of a partition", fact.name));
            }
            partitions.push(Progress { start: next, ..Progress::default() });
        }
        if partitions.len() != topic.partitions.len() || fact.on_timeline != topic.is_timeline() {
            return Err(format!("group {} does not fit its topic", fact.name));
        }
        if latest {
            context.marks.hit("group latest");
        }
        let group = Group {
            topic: fact.topic,
            name: fact.name.clone(),
            ever_acked: false,
            used_at: fact.at,
            partitions,
            consumed: VecDeque::new(),
            born: self.newest_lease(),
        };
        self.groups.insert(fact.group, group);
        Ok(())
    }

    pub(super) fn group_touched(&mut self, id: GroupId, at: Instant) -> Verdict {
        if at > self.now {
            return Err(format!("group {id} was used in the future"));
        }
        let group = self.groups.get_mut(&id).ok_or("a group that is not there was used")?;
        group.used_at = group.used_at.max(at);
        Ok(())
    }

    pub(super) fn group_forgotten(&mut self, id: GroupId, context: &mut Context<'_>) -> Verdict {
        let group = self.group(id)?;
        let limits = &self.limits;
        let on_timeline = self.topics[&group.topic].is_timeline();
        let kept = if on_timeline || !group.ever_acked {
            limits.group_idle_unused_max
        } else {
            limits.group_idle_max
        };
        let busy = group.partitions.iter().any(|progress| {
            progress.standings.values().any(|standing| !matches!(standing, Standing::Settled(_)))
        });
        let name = &self.topics[&group.topic].name;
        let calls = context.calls.unwrap_or_default();
        let open = calls.iter().filter_map(Sent::consumer).any(|c| c.topic == *name && c.group == group.name);
        if busy || group.used_at.after(kept) > self.now || (open && self.is_wanted(id, calls)) {
            return Err(format!("group {} was forgotten while it was in use", group.name));
        }
        self.groups.remove(&id);
        context.marks.hit("group forgotten");
        Ok(())
    }

    /// Whether a poll, pull or stream of this group was waiting before this turn.
    fn is_wanted(&self, id: GroupId, calls: &[Sent]) -> bool {
        let Some(group) = self.groups.get(&id) else { return false };
        let name = &self.topics[&group.topic].name;
        calls.iter().any(|sent| {
            sent.consumer().is_some_and(|c| c.topic == *name && c.group == group.name) && sent.was_waiting
        })
    }

    pub(super) fn delivered(
        &mut self,
        position: Position,
        fact: &Delivered,
        context: &mut Context<'_>,
    ) -> Verdict {
        let at = self.place(fact.of)?;
        if self.leases.insert(fact.lease, position).is_some()
            || (context.calls.is_some() && self.known.handed.contains(&fact.lease))
        {
            return Err(format!("lease {} was given out twice", fact.lease));
        }
        if fact.lease.epoch != self.epoch || fact.at != self.now || fact.wall != self.wall {
            return Err(format!("{fact:?} is not of this start or time"));
        }
        self.may_deliver(fact, at)?;
        if let Some(calls) = context.calls {
            self.was_wanted(fact, calls)?;
        }
        let (attempts, history) = match self.standing(fact.of) {
            None => (0, Vec::new()),
            Some(Standing::Waiting(waiting)) => (waiting.attempts.0, waiting.history.clone()),
            Some(Standing::Leased(_) | Standing::Settled(_)) => {
                return Err(format!("{:?} was delivered while it is leased or settled", fact.of));
            }
        };
        if fact.attempt.0 != attempts + 1 {
            return Err(format!("attempt {} follows attempt {attempts}", fact.attempt));
        }
        let lease = Lease {
            id: fact.lease,
            owner: fact.owner.clone(),
            until: fact.until,
            attempt: fact.attempt,
            delivered: position,
            history,
        };
        self.progress_mut(fact.of)?.standings.insert(fact.of.offset, Standing::Leased(lease));
        if let Some(group) = self.groups.get_mut(&fact.of.group) {
            group.used_at = fact.at;
        }
        self.expect_received(fact)
    }

    /// Whether the contract lets this group have this message now.
    fn may_deliver(&self, fact: &Delivered, at: MessageAt) -> Verdict {
        if let Some(why) = self.why_skipped(fact.of)? {
            return Err(format!("{:?} was delivered although {why:?}", fact.of));
        }
        let message = self.message(at)?;
        if message.deadline.is_some_and(|deadline| deadline <= self.wall) {
            return Err(format!("{:?} was delivered after its deadline", fact.of));
        }
        match self.standing(fact.of) {
            Some(Standing::Waiting(waiting)) if waiting.due > self.now => {
                Err(format!("{:?} was delivered at {} but is due at {}", fact.of, self.now, waiting.due))
            }
            Some(_) => Ok(()),
            None => {
                let first = self.next_unseen(fact.of);
                if first == Some(fact.of.offset) {
                    Ok(())
                } else {
                    Err(format!("{:?} was delivered before {first:?}", fact.of))
                }
            }
        }
    }

    /// The first message of the visible sequence that the group has not seen and would be given.
    fn next_unseen(&self, of: MessageOf) -> Option<Offset> {
        let group = self.groups.get(&of.group)?;
        let progress = group.partitions.get(index(of.partition))?;
        let partition = self.topics.get(&group.topic)?.partitions.get(index(of.partition))?;
        let unseen = partition.visible.iter().skip(progress.start);
        unseen.copied().find(|offset| !progress.standings.contains_key(offset))
    }

    fn was_wanted(&self, fact: &Delivered, calls: &[Sent]) -> Verdict {
        let group = self.group(fact.of.group)?;
        let topic = &self.topics[&group.topic].name;
        let wanted = calls.iter().filter_map(Sent::consumer).any(|open| {
            open.topic == *topic
                && open.group == group.name
                && open.owner == fact.owner
                && self.now.after(clamp(open.lease)) == fact.until
        });
        if wanted { Ok(()) } else { Err(format!("nobody waited for {fact:?}")) }
    }

    /// Why a group never sees a message.
    pub(crate) fn why_skipped(&self, of: MessageOf) -> Verdict<Option<SkipReason>> {
        let message = self.message(self.place(of)?)?;
        let group = self.group(of.group)?;
        if message.expired {
            return Ok(Some(SkipReason::DeadlinePassed));
        }
        if message.only_group.as_ref().is_some_and(|only| *only != group.name) {
            return Ok(Some(SkipReason::OtherGroup));
        }
        let window = self.limits.consumed_key_window;
        // It counts as long as the message by which it was acked is done with.
        let topic = self.topics.get(&group.topic).ok_or("a group without a topic")?;
        let is_done = |partition, offset| {
            topic.partitions.get(index(partition)).is_some_and(|kept| group.is_done(kept, partition, offset))
        };
        let acked = |key| {
            let newest = group.consumed.iter().rfind(|(k, ..)| *k == key);
            newest.is_some_and(|(_, at, partition, offset)| {
                at.after(window) > self.now && is_done(*partition, *offset)
            })
        };
        if message.key.is_some_and(acked) {
            return Ok(Some(SkipReason::KeyAcked));
        }
        let run = message.run.and_then(|of| self.runs.get(&of.run).map(|run| (of, run)));
        let over = run.is_some_and(|(of, run)| {
            run.group == group.name && (run.status.is_terminal() || run.replay_seq != of.replay_seq)
        });
        Ok(over.then_some(SkipReason::RunOver))
    }

    pub(super) fn extended(&mut self, fact: &Extended, context: &mut Context<'_>) -> Verdict {
        let lease = self.live_lease(fact.of)?.clone();
        if let Some(calls) = context.calls {
            let asked = calls.iter().filter_map(Sent::command).any(|command| match command {
                Command::Extend(extend) => {
                    self.names(&extend.claim, fact.of, &lease)
                        && self.now.after(clamp(extend.lease)) == fact.until
                }
                _ => false,
            });
            if !asked {
                return Err(format!("nobody asked for {fact:?}"));
            }
            context.marks.hit("extended");
        }
        let extended = Lease { until: fact.until, ..lease };
        self.progress_mut(fact.of)?.standings.insert(fact.of.offset, Standing::Leased(extended));
        Ok(())
    }

    pub(super) fn acked(&mut self, fact: &Acked, context: &mut Context<'_>) -> Verdict {
        let lease = self.live_lease(fact.of)?.clone();
        let at = self.place(fact.of)?;
        if lease.id != fact.lease || lease.owner != fact.owner || fact.at != self.now {
            return Err(format!("{fact:?} by the holder of {lease:?}"));
        }
        let mut result = None;
        if let Some(calls) = context.calls {
            let runs = self.moved_run(fact.of).is_some();
            let asked = calls.iter().filter_map(Sent::command).find_map(|command| match command {
                Command::Ack(ack)
                    if self.names(&ack.claim, fact.of, &lease) && (runs || ack.result.is_none()) =>
                {
                    Some(ack)
                }
                _ => None,
            });
            result = Some(asked.ok_or_else(|| format!("nobody asked for {fact:?}"))?.result.clone());
            if lease.id.epoch != self.epoch {
                context.marks.hit("ack after restart");
            }
        }
        let message = self.message(at)?;
        let key = message.key.filter(|_| self.limits.consumed_key_window.0 > 0);
        if fact.key != key || fact.bytes != message.bytes {
            return Err(format!("{fact:?} forgets the message's key or size"));
        }
        self.consume_key(fact)?;
        let (how, forget) =
            (How::Acked { owner: fact.owner.clone(), lease: fact.lease, at: fact.at }, fact.forget_acks);
        self.settle_remembered(fact.of, how, forget)?;
        if let Some(group) = self.groups.get_mut(&fact.of.group) {
            group.ever_acked = true;
            group.used_at = fact.at;
        }
        self.expect_succeeded(fact.of, &lease, result)
    }

    fn consume_key(&mut self, fact: &Acked) -> Verdict {
        let limits = self.limits;
        let now = self.now;
        let group = self.groups.get_mut(&fact.of.group).ok_or("no group")?;
        for _ in 0..fact.forget_keys {
            let is_full = group.consumed.len() >= limits.consumed_keys_max;
            let (_, at, ..) = group.consumed.pop_front().ok_or("no consumed key to forget")?;
            if !is_full && at.after(limits.consumed_key_window) > now {
                return Err("a consumed key was forgotten inside its window".to_owned());
            }
        }
        // Two messages with one key that are acked at one instant are one use of it.
        if let Some(key) = fact.key {
            let used = (key, fact.at, fact.of.partition, fact.of.offset);
            match group.consumed.iter_mut().rfind(|(known, ..)| *known == key) {
                Some(newest) if newest.1 == fact.at => *newest = used,
                Some(_) | None => group.consumed.push_back(used),
            }
        }
        Ok(())
    }

    pub(super) fn settle_remembered(&mut self, of: MessageOf, how: How, forget: u32) -> Verdict {
        let max = self.limits.acks_remembered_max;
        let progress = self.progress_mut(of)?;
        if forget > 0 && progress.memos.len() + 1 - usize::try_from(forget).unwrap_or(usize::MAX) < max.min(1)
        {
            return Err("settled messages were forgotten too early".to_owned());
        }
        if forget > 0 && progress.memos.len() < max {
            return Err("a settled message was forgotten although there was room".to_owned());
        }
        progress.remember(of.offset, forget);
        progress.settle(of.offset, how);
        Ok(())
    }

    pub(super) fn failed(&mut self, position: Position, fact: &Failed, context: &mut Context<'_>) -> Verdict {
        let Some(Standing::Leased(lease)) = self.standing(fact.of).cloned() else {
            return Err(format!("{:?} failed without a lease", fact.of));
        };
        if (fact.lease, &fact.owner, fact.attempt, fact.at)
            != (lease.id, &lease.owner, lease.attempt, self.now)
        {
            return Err(format!("{fact:?} is not about {lease:?}"));
        }
        self.last_cause = fact.cause;
        let at = self.place(fact.of)?;
        let message = self.message(at)?.clone();
        let nack = self.cause(fact, &lease, context)?;
        let retryable = nack.as_ref().is_none_or(|nack| nack.retryable);
        let policy = message.policy.unwrap_or_default();
        let in_dlq = self.topics[&at.topic].name.is_dead_letters();
        let spent = policy.max_attempts > 0 && lease.attempt.0 >= policy.max_attempts;
        let reason = if context.calls.is_none() {
            None
        } else {
            match (in_dlq, retryable, spent) {
                (true, _, _) | (false, true, false) => None,
                (false, false, _) => Some(DeadLetterReason::NonRetryable),
                (false, true, true) => Some(DeadLetterReason::MaxAttempts),
            }
        };
        let history =
            remembered(&lease.history, AttemptRef { delivered: lease.delivered, failed: Some(position) });
        match fact.then {
            AfterFailure::Dead if reason.is_none() && context.calls.is_some() => {
                return Err(format!("{:?} was given up although it has attempts left", fact.of));
            }
            AfterFailure::Retry { .. } if reason.is_some() => {
                return Err(format!("{:?} is retried although it is out of attempts", fact.of));
            }
            AfterFailure::Dead => self.give_up(fact)?,
            AfterFailure::Retry { due } => {
                if context.calls.is_some() {
                    retry_in_bounds(self.now, due, fact, &policy, nack.as_ref(), context)?;
                }
                let nacked_by = (fact.cause == FailureCause::Nack).then(|| (fact.owner.clone(), fact.lease));
                let waiting = Waiting { due, attempts: lease.attempt, nacked_by, history: history.clone() };
                self.progress_mut(fact.of)?.standings.insert(fact.of.offset, Standing::Waiting(waiting));
            }
        }
        if in_dlq {
            context.marks.hit("dead letter in dlq topic not dead-lettered");
        }
        self.expect_failure(position, fact, &lease, at, reason, history)
    }

    /// A message that is given up is settled; a nack that did it may be repeated.
    fn give_up(&mut self, fact: &Failed) -> Verdict {
        if fact.cause == FailureCause::Nack {
            let how = How::Dead { owner: fact.owner.clone(), lease: fact.lease, at: fact.at };
            self.settle_remembered(fact.of, how, fact.forget_acks)
        } else {
            self.progress_mut(fact.of)?.settle(fact.of.offset, How::Skipped);
            Ok(())
        }
    }

    /// Who or what made the attempt fail.
    fn cause(&self, fact: &Failed, lease: &Lease, context: &mut Context<'_>) -> Verdict<Option<Nack>> {
        match fact.cause {
            FailureCause::LeaseExpired if lease.until > self.now => {
                Err(format!("{lease:?} expired before its end, at {}", self.now))
            }
            FailureCause::LeaseExpired => {
                context.marks.hit("lease expired");
                Ok(None)
            }
            FailureCause::DeadlineExceeded => Err("a deadline fails no attempt".to_owned()),
            FailureCause::Nack => {
                let Some(calls) = context.calls else {
                    return Ok(None);
                };
                self.live_lease(fact.of)?;
                let asked = calls.iter().filter_map(Sent::command).find_map(|command| match command {
                    Command::Nack(nack)
                        if self.names(&nack.claim, fact.of, lease) && nack.error == fact.error =>
                    {
                        Some((**nack).clone())
                    }
                    _ => None,
                });
                asked.map(Some).ok_or_else(|| format!("nobody asked for {fact:?}"))
            }
        }
    }

    pub(super) fn given_back(&mut self, of: MessageOf, context: &mut Context<'_>) -> Verdict {
        let Some(Standing::Leased(lease)) = self.standing(of).cloned() else {
            return Err(format!("{of:?} was given back without a lease"));
        };
        if self.known.taken.contains(&lease.id) {
            return Err(format!("{of:?} was given back although its worker has it"));
        }
        context.marks.hit("given back");
        let attempts = driftq_core::Attempt(lease.attempt.0 - 1);
        let waiting = Waiting { due: self.now, attempts, nacked_by: None, history: lease.history };
        self.progress_mut(of)?.standings.insert(of.offset, Standing::Waiting(waiting));
        Ok(())
    }

    pub(super) fn skipped(
        &mut self,
        fact: &Skipped,
        was_expected: bool,
        context: &mut Context<'_>,
    ) -> Verdict {
        if fact.why == SkipReason::SettledBefore {
            let at = self.place(fact.of)?;
            let partition = &self.topics[&at.topic].partitions[index(at.partition)];
            let is_done = self.group(fact.of.group)?.is_done(partition, at.partition, at.offset);
            return if is_done && fact.bytes == 0 {
                Ok(())
            } else {
                Err(format!("{:?} was passed over", fact.of))
            };
        }
        if matches!(self.standing(fact.of), Some(Standing::Settled(_))) && !was_expected {
            return Err(format!("{:?} was skipped after it was settled", fact.of));
        }
        if !was_expected {
            if matches!(self.standing(fact.of), Some(Standing::Leased(_))) {
                return Err(format!("{:?} was skipped while it is leased", fact.of));
            }
            let why = self.why_skipped(fact.of)?;
            if why != Some(fact.why) {
                return Err(format!("{:?} was skipped for {:?}, rightly {why:?}", fact.of, fact.why));
            }
        }
        match fact.why {
            SkipReason::KeyAcked => context.marks.hit("consumed key skipped"),
            SkipReason::OtherGroup => context.marks.hit("other group's redrive skipped"),
            SkipReason::RunOver => context.marks.hit("run over skipped"),
            SkipReason::DeadlinePassed | SkipReason::SettledBefore => {}
        }
        let progress = self.progress_mut(fact.of)?;
        if !matches!(progress.standings.get(&fact.of.offset), Some(Standing::Settled(_))) {
            progress.settle(fact.of.offset, How::Skipped);
        }
        Ok(())
    }

    /// The live lease of a message, whoever holds it.
    pub(super) fn live_lease(&self, of: MessageOf) -> Verdict<&Lease> {
        let message = self.message(self.place(of)?)?;
        match self.standing(of) {
            Some(Standing::Leased(lease))
                if lease.until > self.now && message.deadline.is_none_or(|at| at > self.wall) =>
            {
                Ok(lease)
            }
            other => Err(format!("{of:?} has no live lease: {other:?}")),
        }
    }
}

/// The first attempt and the newest ones.
fn remembered(history: &[AttemptRef], attempt: AttemptRef) -> Vec<AttemptRef> {
    let mut all = history.to_vec();
    all.push(attempt);
    if all.len() > NEWEST + 1 {
        all.remove(1);
    }
    all
}

pub(super) fn clamp(lease: Millis) -> Millis {
    Millis(lease.0.clamp(100, HALF_DAY))
}

/// `min(backoff_ms · 2^(attempts-1), max_backoff_ms)` and up to `jitter_ms`; without a policy at once, with a brake from
/// the fourth failure on.
fn retry_in_bounds(
    now: Instant,
    due: Instant,
    fact: &Failed,
    policy: &RetryPolicy,
    nack: Option<&Nack>,
    context: &mut Context<'_>,
) -> Verdict {
    let wait = due.0 - now.0;
    let doublings = fact.attempt.0.saturating_sub(1);
    let (least, most) = match nack {
        None => (0, 0),
        Some(Nack { retry_after: Some(wait), .. }) => (wait.0, wait.0),
        Some(_) if policy.backoff.0 == 0 && policy.jitter.0 == 0 && policy.max_attempts == 0 => {
            let brake = match fact.attempt.0 {
                0..=3 => 0,
                more => {
                    context.marks.hit("brake");
                    (100_u64 << (more - 4).min(20)).min(30_000)
                }
            };
            (brake, brake)
        }
        Some(_) => {
            let cap = if policy.max_backoff.0 == 0 { HALF_DAY } else { policy.max_backoff.0 };
            let base = (policy.backoff.0 << doublings.min(30)).min(cap);
            (base, base + policy.jitter.0)
        }
    };
    if (least..=most).contains(&wait) {
        Ok(())
    } else {
        Err(format!("{:?} is due after {wait} ms instead of {least} to {most}", fact.of))
    }
}
