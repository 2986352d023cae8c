//! Topics, messages, keys and dead letters.

use super::jobs::Noting;
use super::{Context, Dead, Hit, KeyUse, Known, Message, Model, Partition, Topic, Verdict, index};
use crate::acts;
use crate::calls::Sent;
use driftq_core::{
    AUDIT_TOPIC, Body, Closing, Command, DeadLetterClosed, DeadLetterReason, DeadLettered, Due, FailureCause,
    GroupName, IdempotencyKey, KeyMark, MessageAppended, MessageAt, MessageOf, Millis, Offset, PartitionId,
    Position, Produce, Record, SkipReason, TopicCreated, TopicKind, TopicName, TopicSettings, WallTime,
};
use std::collections::BTreeSet;

impl Model {
    pub(super) fn topic_created(
        &mut self,
        fact: &TopicCreated,
        was_expected: bool,
        context: &Context<'_>,
    ) -> Verdict {
        if self.topics.contains_key(&fact.topic) || self.topic_named(&fact.name).is_some() {
            return Err(format!("topic {} was made twice", fact.name));
        }
        if let Some(calls) = context.calls.filter(|_| !was_expected) {
            let limits = &self.limits;
            let asked = calls.iter().filter_map(Sent::command).any(|command| match command {
                act if fact.name.as_str() == AUDIT_TOPIC => {
                    fact.partitions == 1 && acts::entry_of(act).is_some()
                }
                Command::CreateTopic(create) => {
                    let partitions = create.partitions.filter(|count| *count > 0).unwrap_or(1);
                    create.name == fact.name && partitions == fact.partitions
                }
                Command::Produce(messages) => {
                    limits.auto_create_topics
                        && fact.partitions == 1
                        && messages
                            .iter()
                            .any(|m| m.topic == fact.name || m.target_topic.as_ref() == Some(&fact.name))
                }
                Command::CreateRun(create) => {
                    fact.partitions == 1
                        && (create.topic == fact.name || TopicName::timeline(&create.run_id) == fact.name)
                }
                _ => false,
            });
            if !asked {
                return Err(format!("nobody asked for topic {}", fact.name));
            }
        }
        let partitions = (0..fact.partitions).map(|_| Partition::default()).collect();
        let kind = fact.kind;
        self.topics.insert(
            fact.topic,
            Topic { name: fact.name.clone(), kind, partitions, settings: TopicSettings::default() },
        );
        Ok(())
    }

    pub(super) fn appended(
        &mut self,
        position: Position,
        fact: &MessageAppended,
        was_expected: bool,
        context: &mut Context<'_>,
    ) -> Verdict {
        match &fact.body {
            Body::Inline(content) if self.is_audit(fact.at) => self.told(content, context)?,
            Body::Inline(content) => self.produced(fact, content, context)?,
            Body::Of(_) | Body::Edited { .. } => self.redriven(fact, context)?,
            Body::RunCommand { .. } if was_expected => {}
            Body::RunCommand { .. } => return Err("a run's command came alone".to_owned()),
        }
        let window = matches!(fact.body, Body::Inline(_)).then(|| self.window_of(fact.at.topic));
        self.use_key(fact.key.as_ref(), Hit::Message(fact.at), window)?;
        let content = match &fact.body {
            Body::Of(of) => *of,
            Body::Inline(_) | Body::Edited { .. } | Body::RunCommand { .. } => position,
        };
        let message = Message {
            position,
            bytes: fact.bytes,
            policy: fact.policy,
            tenant: fact.tenant.clone(),
            due: fact.due,
            deadline: fact.deadline,
            expired: false,
            key: fact.key.map(|mark| mark.digest),
            only_group: fact.only_group.clone(),
            run: fact.run,
            content,
            dead: None,
        };
        self.append(fact.at, message)
    }

    fn is_audit(&self, at: MessageAt) -> bool {
        self.topics.get(&at.topic).is_some_and(|topic| topic.name.as_str() == AUDIT_TOPIC)
    }

    /// An entry of the audit log: of a call that was made, told at most once for each.
    fn told(&mut self, content: &[u8], context: &mut Context<'_>) -> Verdict {
        let Some(calls) = context.calls else { return Ok(()) };
        let content = driftq_core::Content::decode(content).map_err(|error| error.to_string())?;
        let mut entries = calls.iter().filter_map(Sent::command).filter_map(acts::entry_of);
        let entry = entries.find(|entry| acts::told_at(entry, self.wall) == content.value);
        let entry = entry.ok_or("the audit log tells of what nobody asked for")?;
        context.marks.hit("act told");
        spend(&mut self.known, entry.as_bytes())
    }

    /// Puts a message at the end of its partition.
    pub(super) fn append(&mut self, at: MessageAt, message: Message) -> Verdict {
        let topic = self.topics.get_mut(&at.topic).ok_or_else(|| format!("no topic for {at:?}"))?;
        let partition = topic.partitions.get_mut(index(at.partition));
        let partition = partition.ok_or_else(|| format!("no partition for {at:?}"))?;
        if at.offset.0 != partition.messages.len() as u64 {
            return Err(format!("offset {} does not follow {}", at.offset, partition.messages.len()));
        }
        if message.due.is_none() {
            partition.visible.push(at.offset);
        }
        partition.messages.push(message);
        Ok(())
    }

    fn produced(&mut self, fact: &MessageAppended, content: &[u8], context: &mut Context<'_>) -> Verdict {
        let Some(calls) = context.calls else { return Ok(()) };
        let produce = asked_for(calls, content).ok_or("a message appeared that nobody produced")?;
        spend(&mut self.known, content)?;
        let stored_in = produce.target_topic.as_ref().unwrap_or(&produce.topic);
        let (topic, found) = self.topic_named(stored_in).ok_or("stored in a topic that is not there")?;
        let partition = partition_for(produce, found.partitions.len());
        let due = match produce.due {
            Due::Now => None,
            Due::After(wait) => Some(WallTime(self.wall.0 + wait.0)).filter(|at| *at > self.wall),
            Due::At(at) => Some(at).filter(|at| *at > self.wall),
        };
        if fact.at.topic != topic || fact.at.partition != partition {
            return Err(format!("stored at {:?} instead of {topic}/{partition}", fact.at));
        }
        if fact.deadline.is_some_and(|deadline| deadline <= self.wall) {
            return Err("a message was stored after its deadline".to_owned());
        }
        let policy = produce.policy.or(found.settings.policy);
        let same = (fact.policy, fact.due, fact.deadline, &fact.tenant)
            == (policy, due, produce.deadline, &produce.tenant);
        if !same
            || fact.run.is_some()
            || fact.only_group.is_some()
            || fact.key.is_some() != produce.idempotency.is_some()
        {
            return Err(format!("{fact:?} is not what was produced: {produce:?}"));
        }
        if let (Some(mark), Some(key)) = (&fact.key, &produce.idempotency) {
            bind(&mut self.known, mark, key, &format!("produce {topic}"))?;
        }
        if produce.partition.is_some() {
            context.marks.hit("partition chosen");
        }
        Ok(())
    }

    fn redriven(&mut self, fact: &MessageAppended, context: &mut Context<'_>) -> Verdict {
        let calls = context.calls.unwrap_or_default();
        let commands = calls.iter().filter_map(Sent::command);
        let found = commands.filter_map(|command| match command {
            Command::Redrive(redrive) => Some(&**redrive),
            _ => None,
        });
        let found = found.filter_map(|redrive| {
            let at = self.dead_letter_named(&redrive.dead_letter)?;
            let message = self.message_at(at)?;
            let dead = message.dead.as_ref()?;
            let same = match &fact.body {
                Body::Of(of) => *of == message.content && redrive.value.is_none(),
                Body::Edited { of, value } => *of == message.content && redrive.value.as_ref() == Some(value),
                Body::Inline(_) | Body::RunCommand { .. } => false,
            };
            (same && dead.closed.is_none()).then_some((redrive, at, message, dead))
        });
        let found: Vec<_> = found.collect();
        let to = fact.at;
        if context.calls.is_none() {
            let by_jobs = self.jobs.keys().copied().collect();
            self.noting = Some(Noting { by_call: true, by_jobs, edited: None });
            self.expect("redriven dead letter", move |record| closes(record, to));
            return Ok(());
        }
        let mut fits = found.iter().filter(|(redrive, at, message, dead)| {
            let original = self.original_of(*at);
            let name = redrive.target_topic.clone().or_else(|| original.clone());
            let target = name.as_ref().and_then(|name| self.topic_named(name)).map(|(id, _)| id);
            let Some(target) = target else { return false };
            let count = self.topics.get(&target).map_or(1, |topic| topic.partitions.len());
            let back = index(dead.original.partition) % count.max(1);
            let partition =
                if name == original { back } else { index(partition_of_key(&redrive.key, count)) };
            let only = dead.group.clone().filter(|_| !redrive.all_groups && name == original);
            to.topic == target
                && index(to.partition) == partition
                && fact.only_group == only
                && fact.policy == dead.policy
                && fact.tenant == message.tenant
                && fact.due.is_none()
                && fact.deadline.is_none()
                && fact.run.is_none()
                && dead.run.is_none()
                && fact.key.is_some() == redrive.idempotency.is_some()
        });
        let Some((redrive, at, _, _)) = fits.next() else {
            return self.moved_by_job(fact);
        };
        let (redrive, at) = (*redrive, *at);
        let is_plain = redrive.value.is_none() && fact.key.is_none();
        let mut others = if is_plain { self.fit_for_jobs(fact) } else { BTreeSet::new() };
        let by_jobs = others.iter().flat_map(|at| self.movers(*at)).collect();
        others.extend(fits.map(|(_, at, _, _)| *at));
        self.noting = Some(Noting { by_call: true, by_jobs, edited: Some(redrive.value.is_some()) });
        if let (Some(mark), Some(key)) = (&fact.key, &redrive.idempotency) {
            bind(&mut self.known, mark, key, &format!("redrive {at:?}"))?;
        }
        context.marks.hit(if redrive.value.is_some() { "redriven edited" } else { "redriven" });
        self.expect("redriven dead letter", move |record| {
            let is_one = |closed: MessageAt| closed == at || others.contains(&closed);
            matches!(record, Record::DeadLetterClosed(closed) if is_one(closed.at)) && closes(record, to)
        });
        Ok(())
    }

    /// A job redrives a dead letter as it was: to its group, its topic and its partition.
    fn moved_by_job(&mut self, fact: &MessageAppended) -> Verdict {
        let (to, fits) = (fact.at, self.fit_for_jobs(fact));
        if fits.is_empty() {
            return Err(format!("{fact:?} is no redrive that was asked for, by a call or by a job"));
        }
        let by_jobs = fits.iter().flat_map(|at| self.movers(*at)).collect();
        self.noting = Some(Noting { by_call: false, by_jobs, edited: Some(false) });
        self.expect("redriven dead letter", move |record| {
            matches!(record, Record::DeadLetterClosed(closed) if fits.contains(&closed.at))
                && closes(record, to)
        });
        Ok(())
    }

    /// The dead letters that a job may have redriven by this fact. More than one when a message failed again in a group
    /// that had failed it before: it was redriven for all groups, or the group was forgotten and came anew.
    fn fit_for_jobs(&self, fact: &MessageAppended) -> BTreeSet<MessageAt> {
        let to = fact.at;
        let fits = self.dead_letters().into_iter().filter(|(at, dead)| {
            let Some(message) = self.message_at(*at) else { return false };
            let count = self.topics.get(&to.topic).map_or(1, |topic| topic.partitions.len());
            let expected = (&Body::Of(message.content), &dead.group, dead.policy, &message.tenant);
            (&fact.body, &fact.only_group, fact.policy, &fact.tenant) == expected
                && self
                    .original_of(*at)
                    .and_then(|name| self.topic_named(&name))
                    .is_some_and(|(id, _)| id == to.topic)
                && index(to.partition) == index(dead.original.partition) % count.max(1)
                && (fact.due, fact.deadline, fact.run, fact.key) == (None, None, None, None)
                && dead.run.is_none()
                && !self.movers(*at).is_empty()
        });
        fits.map(|(at, _)| at).collect()
    }

    pub(super) fn due(&mut self, at: MessageAt, context: &mut Context<'_>) -> Verdict {
        let wall = self.wall;
        let due = self.message(at)?.due;
        if due.is_none_or(|due| due > wall) {
            return Err(format!("{at:?} became visible at {wall}, due at {due:?}"));
        }
        let partition =
            self.topics.get_mut(&at.topic).and_then(|t| t.partitions.get_mut(index(at.partition)));
        let partition = partition.ok_or("no partition")?;
        if partition.visible.contains(&at.offset) {
            return Err(format!("{at:?} became visible twice"));
        }
        partition.visible.push(at.offset);
        context.marks.hit("delay ended");
        Ok(())
    }

    /// The name of the topic whose dead letters this one is among.
    pub(super) fn original_of(&self, at: MessageAt) -> Option<TopicName> {
        let name = self.topics.get(&at.topic)?.name.as_str().strip_prefix("dlq.")?;
        TopicName::parse(name).ok()
    }

    /// Takes a key into the window; it must not be live. `produced` is the window of a produce's topic.
    pub(super) fn use_key(&mut self, mark: Option<&KeyMark>, hit: Hit, produced: Option<Millis>) -> Verdict {
        let Some(mark) = mark else { return Ok(()) };
        let is_off = produced == Some(Millis(0));
        if is_off != (mark.fingerprint == u64::MAX) {
            return Err(format!("{mark:?} is kept although the window is {produced:?}"));
        }
        if is_off {
            return Ok(());
        }
        if let Some(live) = self.live_key(mark.digest, produced.unwrap_or(self.limits.key_window)) {
            return Err(format!("a key stored {:?} and then {hit:?}", live.hit));
        }
        let (digest, fingerprint) = (mark.digest, mark.fingerprint);
        let topic = hit.topic(self);
        self.keys.push_back(KeyUse { digest, fingerprint, at: self.now, hit, topic });
        Ok(())
    }

    /// A key inside its window.
    pub(super) fn live_key(&self, digest: driftq_core::KeyDigest, window: Millis) -> Option<&KeyUse> {
        self.keys.iter().rev().find(|used| used.digest == digest && used.at.after(window) > self.now)
    }

    pub(super) fn keys_forgotten(&mut self, count: u32, context: &mut Context<'_>) -> Verdict {
        for _ in 0..count {
            let is_full = self.keys.len() >= self.limits.keys_max;
            let oldest = self.keys.pop_front().ok_or("a key was forgotten that was not there")?;
            if !is_full && oldest.at.after(self.longest_window()) > self.now {
                return Err("a key was forgotten inside its window".to_owned());
            }
        }
        context.marks.hit("keys forgotten");
        Ok(())
    }

    pub(super) fn deadline_passed(&mut self, at: MessageAt, context: &mut Context<'_>) -> Verdict {
        let message = self.message(at)?;
        if message.expired || message.deadline.is_none_or(|deadline| deadline > self.wall) {
            return Err(format!("the deadline of {at:?} has not passed, or had"));
        }
        self.message_mut(at)?.expired = true;
        context.marks.hit("deadline passed");
        let topic = &self.topics[&at.topic];
        let partition = &topic.partitions[index(at.partition)];
        let mut groups: Vec<_> = self.groups_on(at.topic).collect();
        groups.sort_by_key(|(_, group)| group.name.clone());
        let has_groups = !groups.is_empty();
        groups.retain(|(_, group)| !group.is_done(partition, at.partition, at.offset));
        let open: Vec<_> = groups.iter().map(|(id, group)| (*id, group.name.clone())).collect();
        let is_plain = !topic.name.is_dead_letters();
        for (group, _) in &open {
            let of = MessageOf { group: *group, partition: at.partition, offset: at.offset };
            if matches!(self.standing(of), Some(super::Standing::Leased(_))) {
                context.marks.hit("deadline passed while leased");
            }
            self.expect(format!("skip of {of:?}"), move |record| {
                matches!(record, Record::Skipped(skipped)
                    if skipped.of == of && skipped.why == SkipReason::DeadlinePassed)
            });
        }
        if is_plain && !(has_groups && open.is_empty()) {
            let group = match open.as_slice() {
                [(_, only)] => Some(only.clone()),
                _ => None,
            };
            self.expect_dead_letter(at, group, Some(DeadLetterReason::DeadlineExceeded))?;
        }
        Ok(())
    }

    pub(super) fn expect_dead_letter(
        &mut self,
        original: MessageAt,
        group: Option<GroupName>,
        reason: Option<DeadLetterReason>,
    ) -> Verdict {
        let topic = self.topics.get(&original.topic).ok_or("no topic")?;
        let dlq = topic.name.dead_letters();
        let message = self.message(original)?.clone();
        let run = message
            .run
            .filter(|of| self.runs.get(&of.run).is_some_and(|run| group.as_ref() == Some(&run.group)));
        self.expect(format!("dead letter of {original:?} for {reason:?}"), move |record| match record {
            Record::DeadLettered(dead) => {
                dead.original == original
                    && dead.group == group
                    && reason.is_none_or(|reason| dead.reason == reason)
                    && dead.content == message.content
                    && dead.policy == message.policy
                    && dead.tenant == message.tenant
                    && dead.run == run
                    && dead.bytes == message.bytes
            }
            _ => false,
        });
        if let Some(expected) = self.expected.back_mut() {
            expected.topic = Some(dlq);
        }
        Ok(())
    }

    pub(super) fn dead_lettered(
        &mut self,
        position: Position,
        fact: &DeadLettered,
        was_expected: bool,
        context: &mut Context<'_>,
    ) -> Verdict {
        if !was_expected {
            return Err(format!("{:?} was dead-lettered out of turn", fact.original));
        }
        let original = self.topics.get(&fact.original.topic).ok_or("no topic")?.name.dead_letters();
        let topic = self.topics.get(&fact.at.topic).ok_or("no topic")?;
        if topic.name != original {
            return Err(format!("a dead letter went to {}", topic.name));
        }
        if index(fact.at.partition) != index(fact.original.partition) % topic.partitions.len() {
            return Err(format!("a dead letter went to partition {}", fact.at.partition));
        }
        context.marks.hit(match fact.reason {
            DeadLetterReason::MaxAttempts => "dlq max attempts",
            DeadLetterReason::DeadlineExceeded => "dlq deadline",
            DeadLetterReason::NonRetryable => "dlq non retryable",
        });
        let dead = Dead {
            original: fact.original,
            group: fact.group.clone(),
            run: fact.run,
            policy: fact.policy,
            closed: None,
            reason: fact.reason,
            wall: fact.wall,
            fingerprint: None,
            kind: match (fact.reason, self.last_cause) {
                (DeadLetterReason::DeadlineExceeded, _) => "deadline",
                (_, FailureCause::LeaseExpired) => "lease expired",
                (_, _) => "nack",
            },
        };
        let message = Message {
            position,
            bytes: fact.bytes,
            policy: None,
            tenant: fact.tenant.clone(),
            due: None,
            deadline: None,
            expired: false,
            key: None,
            only_group: None,
            run: None,
            content: fact.content,
            dead: Some(dead),
        };
        self.append(fact.at, message)
    }

    pub(super) fn closed(
        &mut self,
        fact: &DeadLetterClosed,
        was_expected: bool,
        context: &mut Context<'_>,
    ) -> Verdict {
        if let Some(calls) = context.calls.filter(|_| !was_expected) {
            let Closing::Discarded { reason } = &fact.how else {
                return Err(format!("{fact:?} came alone"));
            };
            let asked = calls.iter().filter_map(Sent::command).any(|command| match command {
                Command::Discard(discard) => {
                    self.dead_letter_named(&discard.dead_letter) == Some(fact.at) && discard.reason == *reason
                }
                _ => false,
            });
            if !asked {
                return Err(format!("nobody asked for {fact:?}"));
            }
            context.marks.hit("dead letter discarded");
        }
        let dead = self.message_mut(fact.at)?.dead.as_mut().ok_or("not a dead letter")?;
        if dead.closed.is_some() {
            return Err(format!("the dead letter at {:?} left the list twice", fact.at));
        }
        dead.closed = Some(fact.how.clone());
        Ok(())
    }

    pub(super) fn dead_letter_named(&self, at: &driftq_core::DeadLetterAt) -> Option<MessageAt> {
        let (topic, _) = self.topic_named(&at.topic)?;
        let at = MessageAt { topic, partition: at.partition, offset: at.offset };
        self.message_at(at)?.dead.as_ref().map(|_| at)
    }
}

fn closes(record: &Record, to: MessageAt) -> bool {
    matches!(record, Record::DeadLetterClosed(closed) if closed.how == Closing::Redriven { to })
}

/// The produce that asked for this content.
pub(super) fn asked_for<'a>(calls: &'a [Sent], content: &[u8]) -> Option<&'a Produce> {
    calls.iter().filter_map(Sent::command).find_map(|command| match command {
        Command::Produce(messages) => messages.iter().find(|message| message.content == content),
        _ => None,
    })
}

/// Counts one storing of something that was asked for so often.
pub(super) fn spend(known: &mut Known, what: &[u8]) -> Verdict {
    let left = known.allowed.entry(what.to_vec()).or_default();
    *left -= 1;
    if *left < 0 { Err("something was stored more often than it was asked for".to_owned()) } else { Ok(()) }
}

/// A digest stands for one key of one scope, and the other way round.
pub(super) fn bind(known: &mut Known, mark: &KeyMark, key: &IdempotencyKey, scope: &str) -> Verdict {
    let name = format!("{scope} / {} / {}", key.tenant, key.key);
    let first = known.digests.entry(mark.digest).or_insert_with(|| name.clone());
    if *first != name {
        return Err(format!("keys {first:?} and {name:?} are taken for one"));
    }
    let twin = known.digests.iter().find(|(digest, other)| **other == name && **digest != mark.digest);
    match twin {
        Some(_) => Err(format!("key {name:?} has two digests")),
        None => Ok(()),
    }
}

/// Where a message belongs: the override, or 32-bit FNV-1a of the key modulo the count.
pub(super) fn partition_for(produce: &Produce, count: usize) -> PartitionId {
    if let Some(asked) = produce.partition {
        return PartitionId(asked);
    }
    partition_of_key(&produce.key, count)
}

fn partition_of_key(key: &str, count: usize) -> PartitionId {
    if key.is_empty() {
        return PartitionId(0);
    }
    let mut hash: u32 = 2_166_136_261;
    for byte in key.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    }
    PartitionId(hash % u32::try_from(count.max(1)).unwrap_or(u32::MAX))
}

impl Topic {
    pub(crate) fn is_delayed(&self, partition: PartitionId, offset: Offset) -> bool {
        self.partitions.get(index(partition)).is_some_and(|found| !found.visible.contains(&offset))
    }

    pub(crate) fn is_timeline(&self) -> bool {
        matches!(self.kind, TopicKind::Timeline(_))
    }
}
