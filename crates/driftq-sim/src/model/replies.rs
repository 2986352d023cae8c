//! Which answer a call may get, given what stands in the log.
//!
//! Promise: an answer that says something was done needs the fact; an answer that says nothing was done needs the reason
//! for it, at some moment of the very turn that gave the answer.

use super::claims::Ruling;
use super::messages::partition_for;
use super::runs::steps_to_forget;
use super::{Hit, Model, Standing, index};
use crate::acts;
use crate::calls::{Ask, Outcome, Sent};
use driftq_core::{
    Claim, Closing, Command, CreateRun, CreateTopic, Event, IdempotencyKey, LeaseId, Millis, Nack, NewInput,
    Position, Produce, Produced, Record, Redrive, Rejection, ReplayRun, Reply, RunId, TopicName, WaitedFor,
};
use driftq_engine::{Refusal, Timeline};

/// Whether the answer may be that of another call with the same key.
fn is_keyed_redrive(command: &Command) -> bool {
    matches!(command, Command::Redrive(redrive) if redrive.idempotency.is_some())
}

/// Whether there is an entry in the audit log for each closing of a turn, whoever asked for it.
fn each_closing_is_told(facts: Facts<'_>) -> bool {
    let closings = facts.iter().filter(|(_, record)| matches!(record, Record::DeadLetterClosed(_))).count();
    let told = facts.iter().filter(|(_, record)| acts::is_entry(record)).count();
    told >= closings
}

/// What the outside knows when an answer is judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Surroundings {
    /// The broker was told to drain.
    pub(crate) draining: bool,
    /// The disk has had little room.
    pub(crate) full: bool,
    /// The broker died in this turn.
    pub(crate) died: bool,
    /// The power failed in this turn: leases that went out in it may be forgotten.
    pub(crate) power_failed: bool,
    /// How long the caller has waited, milliseconds.
    pub(crate) waited: u64,
}

/// What a message may take in the log besides its content.
const RECORD_OVERHEAD: usize = 2_048;
/// How long an idle group counts as one that will go on reading.
const GROUP_LIVE_MAX: Millis = Millis(5 * 60 * 1000);

type Facts<'a> = &'a [(Position, Record)];

impl Model {
    /// Whether this answer is right at this moment, `facts` being what this turn has put into the log so far.
    pub(crate) fn justifies(&self, sent: &Sent, facts: Facts<'_>, around: Surroundings) -> bool {
        let Some(outcome) = &sent.outcome else { return true };
        match (&sent.ask, outcome) {
            (_, Outcome::Refused(Refusal::Draining)) => around.draining,
            (_, Outcome::Refused(Refusal::DiskFull)) => around.full,
            (_, Outcome::Refused(Refusal::Stopped)) => around.died,
            (_, Outcome::Refused(Refusal::Overloaded)) => false,
            (Ask::Command(Command::Produce(messages)), Outcome::Refused(Refusal::TooLarge { max })) => {
                messages.iter().map(|message| message.content.len() + RECORD_OVERHEAD).sum::<usize>() > *max
            }
            (_, Outcome::Refused(Refusal::TooLarge { .. })) => false,
            (Ask::Command(command), Outcome::Reply(reply)) => self.reply(command, reply, facts),
            (Ask::Command(command), Outcome::Refused(Refusal::Rejected(why))) => self.rejection(command, why),
            (Ask::Open(open), Outcome::Opened) => self.group_named(&open.topic, &open.group).is_some(),
            (
                Ask::Open(_) | Ask::Pull { .. } | Ask::Poll(_),
                Outcome::Refused(Refusal::Rejected(Rejection::UnknownTopic(name))),
            ) => self.is_unknown(name),
            (
                Ask::Open(_) | Ask::Pull { .. } | Ask::Poll(_),
                Outcome::Refused(Refusal::Rejected(Rejection::TooManyGroups(max))),
            ) => sent.consumer().is_some_and(|open| self.is_full_of_groups(&open.topic, *max)),
            (Ask::Pull { open, .. }, Outcome::Refused(Refusal::Rejected(Rejection::UnknownGroup { .. }))) => {
                // A stream that ended with its group stays ended.
                self.was_something_deleted() || self.group_named(&open.topic, &open.group).is_none()
            }
            (Ask::Pull { max, .. }, Outcome::Deliveries { taken, untaken }) => {
                let count = taken.len() + untaken.len();
                let all = taken.iter().chain(untaken);
                let fits = (count > 0 || around.draining || is_deletion(facts))
                    && count <= usize::try_from(*max).unwrap_or(0);
                fits && all
                    .into_iter()
                    .all(|d| self.is_delivery(d, facts, sent) || self.may_be_forgotten(d, around))
            }
            (Ask::Poll(poll), Outcome::Deliveries { taken, untaken }) => {
                let count = taken.len() + untaken.len();
                let all = taken.iter().chain(untaken);
                let fits = count > 0 || around.draining || around.waited >= poll.wait.0 || is_deletion(facts);
                let most = usize::try_from(poll.consumer.max_in_flight).unwrap_or(0);
                fits && count <= most
                    && all
                        .into_iter()
                        .all(|d| self.is_delivery(d, facts, sent) || self.may_be_forgotten(d, around))
            }
            (Ask::Follow { run, after, max, .. }, Outcome::Timeline(timeline)) => {
                self.is_timeline(run, *after, *max, timeline, around)
            }
            (Ask::RunEnd { run, wait }, Outcome::Ended) => {
                let ended = self.run_named(run).is_some_and(|run| run.status.is_terminal());
                ended || around.draining || around.waited >= wait.0
            }
            (
                Ask::Follow { run, .. } | Ask::RunEnd { run, .. },
                Outcome::Refused(Refusal::Rejected(Rejection::UnknownRun(_))),
            ) => self.run_named(run).is_none(),
            (Ask::Look, Outcome::Looked(seen)) => {
                seen.applied == self.applied && seen.messages == self.message_count()
            }
            _ => false,
        }
    }

    pub(crate) fn message_count(&self) -> u64 {
        self.topics.values().flat_map(|topic| &topic.partitions).map(|p| p.messages.len() as u64).sum()
    }

    fn is_unknown(&self, name: &str) -> bool {
        !self.topics.values().any(|topic| topic.name.as_str() == name)
    }

    fn is_full_of_groups(&self, topic: &TopicName, max: u32) -> bool {
        let Some((topic, _)) = self.topic_named(topic) else { return false };
        max == self.limits.groups_per_topic_max
            && self.groups_on(topic).count() >= usize::try_from(max).unwrap_or(usize::MAX)
    }

    fn is_delivery(&self, delivery: &driftq_core::Delivery, facts: Facts<'_>, sent: &Sent) -> bool {
        let Some(open) = sent.consumer() else { return false };
        let fact = facts.iter().find_map(|(_, record)| match record {
            Record::Delivered(fact) if fact.lease == delivery.lease => Some(fact),
            _ => None,
        });
        let Some(fact) = fact else { return false };
        let Some(message) = self.message_at(delivery.at) else { return false };
        let Some(Standing::Leased(lease)) = self.standing(fact.of) else { return false };
        fact.owner == open.owner
            && self.place(fact.of).as_ref() == Ok(&delivery.at)
            && self.group_named(&open.topic, &open.group).map(|(id, _)| id) == Some(delivery.group)
            && (fact.of.group, fact.attempt) == (delivery.group, delivery.attempt)
            && delivery.until == self.wall_at(fact.until)
            && delivery.position == message.position
            && delivery.history == lease.history
            && self.is_context(delivery, fact.of)
    }

    /// Whether a power cut may have taken this lease away; never its message.
    fn may_be_forgotten(&self, delivery: &driftq_core::Delivery, around: Surroundings) -> bool {
        let is_unknown = !self.lease_positions().contains_key(&delivery.lease);
        let message = self.message_at(delivery.at);
        around.power_failed && is_unknown && message.is_some_and(|m| m.position == delivery.position)
    }

    fn is_context(&self, delivery: &driftq_core::Delivery, of: driftq_core::MessageOf) -> bool {
        match (self.moved_run(of), &delivery.run) {
            (None, None) => true,
            (Some(run), Some(told)) => {
                let mut steps: Vec<_> = run.steps.iter().map(|(step, at)| (step.clone(), *at)).collect();
                steps.sort_by_key(|(_, at)| *at);
                (&run.id, run.replay_seq, delivery.attempt, &steps)
                    == (&told.run_id, told.replay_seq, told.attempt, &told.steps)
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    fn is_timeline(
        &self,
        id: &RunId,
        after: u64,
        max: usize,
        timeline: &Timeline,
        around: Surroundings,
    ) -> bool {
        let Some(run) = self.run_named(id) else { return false };
        let Some(topic) = self.topics.get(&run.timeline) else { return false };
        let messages = topic.partitions.first().map_or(&[][..], |partition| &partition.messages);
        let last = messages.len() as u64;
        let items = timeline.items.iter().enumerate().all(|(number, item)| {
            let seq = after + 1 + number as u64;
            let kept = usize::try_from(seq - 1).ok().and_then(|offset| messages.get(offset));
            item.seq == seq && kept.is_some_and(|message| message.position == item.position)
        });
        let some = !timeline.items.is_empty() || after != last || around.draining;
        let missing = timeline.items.is_empty() && after < last && max > 0;
        items
            && some
            && !missing
            && timeline.items.len() <= max
            && (timeline.first_seq, timeline.last_seq, timeline.topic) == (1, last, run.timeline)
            && (timeline.status, timeline.replay_seq) == (run.status, run.replay_seq)
    }

    // --- what was done ----------------------------------------------------------------------------------------

    fn reply(&self, command: &Command, reply: &Reply, facts: Facts<'_>) -> bool {
        self.is_told(command, reply, facts) && self.is_done(command, reply, facts)
    }

    /// Whether an act that changed something stands in the audit log, written in the same turn.
    fn is_told(&self, command: &Command, reply: &Reply, facts: Facts<'_>) -> bool {
        let Some(entry) = acts::entry_of(command) else { return true };
        let has_changed = match reply {
            Reply::Topic { created, .. } => *created,
            Reply::RunReplayed { run, replay_seq } => replayed(facts, *run, *replay_seq),
            Reply::Redriven { to, .. } => facts.iter().any(|(_, record)| {
                matches!(record, Record::DeadLetterClosed(closed) if closed.how == Closing::Redriven { to: *to })
            }),
            Reply::RedriveJob { job, duplicate } => match command {
                Command::ControlRedriveJob(control) => facts.iter().any(|(_, record)| {
                    matches!(record, Record::RedriveJobChanged(fact)
                        if fact.job == *job && fact.actor.is_some() && fact.actor == control.actor)
                }),
                _ => !*duplicate,
            },
            Reply::TopicPatched { topic } => facts.iter().any(|(_, record)| {
                matches!((command, record), (Command::PatchTopic(patch), Record::TopicSet(fact))
                    if fact.topic == *topic && (&fact.actor, &fact.reason) == (&patch.actor, &patch.reason))
            }),
            Reply::MadeDue { was, .. } => *was != WaitedFor::Nothing,
            _ => true,
        };
        let value = acts::told_at(&entry, self.wall);
        let is_told = facts.iter().any(|(_, record)| acts::value_of(record).as_ref() == Some(&value));
        is_told || !has_changed || is_keyed_redrive(command) && each_closing_is_told(facts)
    }

    fn is_done(&self, command: &Command, reply: &Reply, facts: Facts<'_>) -> bool {
        match (command, reply) {
            (Command::CreateTopic(create), Reply::Topic { partitions, created }) => {
                let made = facts.iter().any(
                    |(_, record)| matches!(record, Record::TopicCreated(made) if made.name == create.name),
                );
                let known = self.topic_named(&create.name).map(|(_, topic)| topic.partitions.len() as u64);
                known == Some(u64::from(*partitions)) && (made || !created)
            }
            (Command::Produce(messages), Reply::Produced(produced)) => {
                messages.len() == produced.len()
                    && messages
                        .iter()
                        .zip(produced)
                        .all(|(m, p)| self.is_produced(m, p, facts, messages.len() > 1))
            }
            (Command::OpenGroup(open), Reply::Group { group, .. }) => {
                self.group_named(&open.topic, &open.group).map(|(id, _)| id) == Some(*group)
            }
            (Command::Ack(ack), Reply::Acked) => {
                self.is_remembered(&ack.claim, true) || self.is_in(facts, &ack.claim, acked_by)
            }
            (Command::Nack(nack), Reply::Nacked) => {
                self.is_in(facts, &nack.claim, failed_by) || self.is_repeated_nack(nack)
            }
            (Command::Extend(extend), Reply::Extended { until }) => {
                let of = self.place_of(&extend.claim);
                let fact = facts.iter().rev().find_map(|(_, record)| match record {
                    Record::Extended(fact) if Some(fact.of) == of => Some(fact),
                    _ => None,
                });
                fact.is_some_and(|fact| self.wall_at(fact.until) == *until)
                    && matches!(self.rule(&extend.claim), Ruling::Held)
            }
            (Command::CreateRun(create), Reply::RunCreated { run, duplicate }) => {
                self.is_run_created(create, *run, *duplicate, facts)
            }
            (Command::AppendEvents(append), Reply::EventsAppended { first_seq, count }) => {
                append.events.len() as u64 == *count && self.are_events(append, *first_seq)
            }
            (Command::StoreStep(store), Reply::StepStored { stored, output }) => {
                let run = self.run_named(&store.run_id);
                let known = run.and_then(|run| run.steps.get(&store.step));
                let now = facts.iter().any(|(at, record)| {
                    at == output && matches!(record, Record::StepStored(s) if s.output == store.output)
                });
                known == Some(output) && (now || !*stored)
            }
            (Command::ReplayRun(replay), Reply::RunReplayed { run, replay_seq }) => {
                let found = self.run_named(&replay.run_id);
                found.is_some_and(|found| found.no == *run) && replayed(facts, *run, *replay_seq)
            }
            (Command::Redrive(redrive), Reply::RunReplayed { run, replay_seq }) => {
                let at = self.dead_letter_named(&redrive.dead_letter);
                let dead = at.and_then(|at| self.message_at(at)?.dead.as_ref());
                let again = redrive.idempotency.is_some()
                    && dead.is_some_and(|dead| {
                        dead.closed == Some(Closing::Replayed { replay_seq: *replay_seq })
                    });
                again || (redrive.value.is_none() && replayed(facts, *run, *replay_seq))
            }
            (Command::Redrive(redrive), Reply::Redriven { to, topic }) => {
                let at = self.dead_letter_named(&redrive.dead_letter);
                let dead = at.and_then(|at| self.message_at(at)?.dead.as_ref());
                let named = self.topics.get(&to.topic).is_some_and(|found| found.name == *topic);
                named && dead.is_some_and(|dead| dead.closed == Some(Closing::Redriven { to: *to }))
            }
            (Command::CancelRun(cancel), Reply::RunCancelled { run }) => {
                let found = self.run_named(&cancel.run_id).is_some_and(|found| found.no == *run);
                found
                    && facts.iter().any(|(_, record)| {
                        matches!(record, Record::EventAppended(event)
                        if event.of.run == *run && matches!(event.event, Event::Cancelled { .. }))
                    })
            }
            (Command::Discard(discard), Reply::Discarded) => {
                let at = self.dead_letter_named(&discard.dead_letter);
                facts.iter().any(|(_, record)| matches!(record, Record::DeadLetterClosed(closed)
                    if Some(closed.at) == at && closed.how == Closing::Discarded { reason: discard.reason.clone() }))
            }
            (Command::StartRedriveJob(start), Reply::RedriveJob { job, duplicate }) => {
                self.is_job_started(start, *job, *duplicate, facts)
            }
            (Command::ControlRedriveJob(control), Reply::RedriveJob { job, .. }) => {
                control.job == *job && self.is_controlled(control)
            }
            _ => self.operated(command, reply, facts),
        }
    }

    fn is_produced(&self, asked: &Produce, got: &Produced, facts: Facts<'_>, is_batch: bool) -> bool {
        let stored_in = asked.target_topic.as_ref().unwrap_or(&asked.topic);
        let Some((topic, found)) = self.topic_named(stored_in) else { return false };
        if got.stored_in != *stored_in || got.at.topic != topic {
            return false;
        }
        if got.duplicate {
            let hit = asked
                .idempotency
                .as_ref()
                .and_then(|key| self.hit(key, &format!("produce {topic}"), self.window_of(topic)));
            // Another message of the same batch may have pushed the key out since.
            let known = || {
                let key = asked.idempotency.as_ref()?;
                let digest = self.digest(key, &format!("produce {topic}"))?;
                Some(is_batch && self.message_at(got.at)?.key == Some(digest))
            };
            return hit == Some(Hit::Message(got.at)) || known() == Some(true);
        }
        got.at.partition == partition_for(asked, found.partitions.len())
            && facts.iter().any(|(_, record)| match record {
                Record::MessageAppended(message) => {
                    message.at == got.at
                        && matches!(&message.body, driftq_core::Body::Inline(content) if *content == asked.content)
                }
                Record::EventAppended(event) => {
                    (event.topic, event.offset) == (got.at.topic, got.at.offset)
                        && matches!(&event.event, Event::Produced { content } if *content == asked.content)
                }
                _ => false,
            })
    }

    fn is_run_created(
        &self,
        create: &CreateRun,
        run: driftq_core::RunNo,
        duplicate: bool,
        facts: Facts<'_>,
    ) -> bool {
        if !duplicate {
            return facts.iter().any(|(_, record)| {
                matches!(record, Record::RunCreated(made)
                if made.run == run && made.run_id == create.run_id && made.input == create.input)
            });
        }
        let topic = self.topic_named(&create.topic).map(|(id, _)| id);
        let hit = topic
            .zip(create.idempotency.as_ref())
            .and_then(|(topic, key)| self.hit(key, &format!("run {topic}"), self.limits.key_window));
        hit == Some(Hit::Run(run))
    }

    fn are_events(&self, append: &driftq_core::AppendEvents, first_seq: u64) -> bool {
        let run = self.run_named(&append.run_id);
        let topic = run.and_then(|run| self.topics.get(&run.timeline));
        let last = topic.and_then(|topic| topic.partitions.first()).map_or(0, |p| p.messages.len() as u64);
        first_seq > 0 && first_seq + append.events.len() as u64 - 1 <= last
    }

    fn is_in(
        &self,
        facts: Facts<'_>,
        claim: &Claim,
        fits: fn(&Record, &Claim) -> Option<driftq_core::MessageOf>,
    ) -> bool {
        let of = self.place_of(claim);
        of.is_some() && facts.iter().any(|(_, record)| fits(record, claim) == of)
    }

    fn is_repeated_nack(&self, nack: &Nack) -> bool {
        let Some(lease) = nack.claim.lease else { return false };
        let of = self.place_of(&nack.claim);
        let waiting = of.and_then(|of| self.standing(of));
        let by = Some((nack.claim.owner.clone(), lease));
        let again = matches!(waiting, Some(Standing::Waiting(waiting)) if waiting.nacked_by == by);
        again || self.is_remembered(&nack.claim, false)
    }

    fn digest(&self, key: &IdempotencyKey, scope: &str) -> Option<driftq_core::KeyDigest> {
        let name = format!("{scope} / {} / {}", key.tenant, key.key);
        self.known.digests.iter().find(|(_, known)| **known == name).map(|(digest, _)| *digest)
    }

    /// What a live key found.
    pub(super) fn hit(&self, key: &IdempotencyKey, scope: &str, window: Millis) -> Option<Hit> {
        let digest = self.digest(key, scope)?;
        self.live_key(digest, window).map(|used| used.hit)
    }

    // --- what was not done ------------------------------------------------------------------------------------

    fn rejection(&self, command: &Command, why: &Rejection) -> bool {
        match command {
            Command::CreateTopic(create) => self.refuses_topic(create, why),
            Command::Produce(messages) => messages.iter().any(|m| self.refuses_produce(m, why)),
            Command::OpenGroup(open) => match why {
                Rejection::UnknownTopic(name) => self.is_unknown(name),
                Rejection::TooManyGroups(max) => self.is_full_of_groups(&open.topic, *max),
                _ => false,
            },
            Command::Ack(ack) => match why {
                Rejection::ResultOutsideRun => {
                    let of = self.place_of(&ack.claim);
                    ack.result.is_some() && of.is_some_and(|of| self.moved_run(of).is_none())
                }
                why => self.may_refuse(&ack.claim, why) && !self.is_remembered(&ack.claim, true),
            },
            Command::Nack(nack) => self.may_refuse(&nack.claim, why) && !self.is_repeated_nack(nack),
            Command::Extend(extend) => self.may_refuse(&extend.claim, why),
            Command::CreateRun(create) => self.refuses_run(create, why),
            Command::AppendEvents(append) => match append.lease {
                Some(lease) => self.refuses_fenced(&append.run_id, lease, why),
                None => self.is_unknown_run(&append.run_id, why),
            },
            Command::StoreStep(store) => self.refuses_fenced(&store.run_id, store.lease, why),
            Command::ReplayRun(replay) => self.refuses_replay(replay, why),
            Command::CancelRun(cancel) => match why {
                Rejection::RunEnded { .. } => {
                    self.run_named(&cancel.run_id).is_some_and(|run| run.status.is_terminal())
                }
                why => self.is_unknown_run(&cancel.run_id, why),
            },
            Command::Redrive(redrive) => self.refuses_redrive(redrive, why),
            Command::Discard(discard) => self.refuses_dead_letter(&discard.dead_letter, why),
            Command::StartRedriveJob(start) => self.refuses_job(start, why),
            Command::ControlRedriveJob(control) => self.refuses_control(control, why),
            Command::Lease(_) | Command::GiveBack(_) | Command::Audited(_) => false,
            Command::PatchTopic(_)
            | Command::DeleteTopic(_)
            | Command::SeekGroup(_)
            | Command::DeleteGroup(_)
            | Command::RetryNow(_) => self.refuses_operation(command, why),
        }
    }

    fn refuses_topic(&self, create: &CreateTopic, why: &Rejection) -> bool {
        let known = self.topic_named(&create.name).map(|(_, topic)| topic.partitions.len() as u64);
        match why {
            Rejection::PartitionsDiffer { existing, asked, .. } => {
                known == Some(u64::from(*existing)) && create.partitions == Some(*asked) && asked != existing
            }
            Rejection::TooManyPartitions { asked, max } => {
                known.is_none()
                    && create.partitions == Some(*asked)
                    && *max == self.limits.partitions_max
                    && asked > max
            }
            Rejection::TooManyTopics(_) => known.is_none() && self.is_full_of_topics(1),
            _ => false,
        }
    }

    fn is_full_of_topics(&self, more: usize) -> bool {
        let own = self.topics.values().filter(|topic| topic.name.is_reserved()).count();
        self.topics.len() - own + more > usize::try_from(self.limits.topics_max).unwrap_or(usize::MAX)
    }

    fn refuses_produce(&self, asked: &Produce, why: &Rejection) -> bool {
        let stored_in = asked.target_topic.as_ref().unwrap_or(&asked.topic);
        let found = self.topic_named(stored_in);
        match why {
            Rejection::UnknownTopic(name) => {
                (asked.topic.as_str() == name || stored_in.as_str() == name)
                    && self.is_unknown(name)
                    && !self.limits.auto_create_topics
            }
            Rejection::TooManyTopics(_) => self.limits.auto_create_topics && self.is_full_of_topics(1),
            Rejection::PartitionOutOfRange { asked: partition, .. } => {
                let count = found.map_or(1, |(_, topic)| topic.partitions.len() as u64);
                asked.partition.map(u64::from) == Some(*partition) && *partition >= count
            }
            Rejection::DeadlinePassed => {
                // A repeat of what was stored in time gets the first answer.
                let again = found.zip(asked.idempotency.as_ref());
                let again = again.is_some_and(|((id, _), key)| {
                    self.hit(key, &format!("produce {id}"), self.window_of(id)).is_some()
                });
                asked.deadline.is_some_and(|deadline| deadline <= self.wall) && !again
            }
            Rejection::FingerprintDiffers => asked.idempotency.as_ref().is_some_and(|key| {
                let window = found.map_or(self.limits.key_window, |(id, _)| self.window_of(id));
                let digest = found.and_then(|(id, _)| self.digest(key, &format!("produce {id}")));
                // Two messages of one batch may differ in it as well; then the first one left no fact.
                key.fingerprint.is_some()
                    && digest.is_none_or(|digest| {
                        self.live_key(digest, window).is_none_or(|live| live.fingerprint != 0)
                    })
            }),
            Rejection::Backpressure { reason } => found.is_some_and(|(id, topic)| {
                let partition = partition_for(asked, topic.partitions.len());
                self.is_over(id, partition, reason)
            }),
            Rejection::NotOnTimeline(_) => {
                let delayed = asked.due != driftq_core::Due::Now || asked.deadline.is_some();
                delayed && found.is_some_and(|(_, topic)| topic.is_timeline())
            }
            _ => false,
        }
    }

    /// Whether some group has left too much of a partition unsettled.
    fn is_over(&self, topic: driftq_core::TopicId, number: driftq_core::PartitionId, reason: &str) -> bool {
        let Some(partition) = self.topics.get(&topic).and_then(|t| t.partitions.get(index(number))) else {
            return false;
        };
        let (messages_max, bytes_max) = self.bounds_of(topic);
        let now = self.now;
        let is_live = |group: &super::Group| {
            let mut standings = group.partitions.iter().flat_map(|progress| progress.standings.values());
            let busy = standings.any(|standing| !matches!(standing, Standing::Settled(_)));
            busy || group.used_at.after(GROUP_LIVE_MAX) > now
        };
        self.groups_on(topic).filter(|(_, group)| is_live(group)).any(|(_, group)| {
            let offsets = (0..).map(driftq_core::Offset).zip(&partition.messages);
            let open = offsets.filter(|(offset, _)| !group.is_done(partition, number, *offset));
            let (count, bytes) =
                open.fold((0, 0), |(count, bytes), (_, m)| (count + 1, bytes + u64::from(m.bytes)));
            match reason {
                "partition_buffer_full" => messages_max.is_some_and(|max| count >= max),
                _ => bytes_max.is_some_and(|max| bytes >= max),
            }
        })
    }

    fn is_unknown_run(&self, id: &RunId, why: &Rejection) -> bool {
        matches!(why, Rejection::UnknownRun(_)) && self.run_named(id).is_none()
    }

    fn refuses_fenced(&self, id: &RunId, lease: LeaseId, why: &Rejection) -> bool {
        let cancelled = self.run_named(id).is_some_and(|run| run.status == driftq_core::RunStatus::Cancelled);
        match why {
            Rejection::NotOwner => self.run_named(id).is_some() && !cancelled && !self.holds(id, lease),
            Rejection::Cancelled => cancelled,
            why => self.is_unknown_run(id, why),
        }
    }

    fn refuses_run(&self, create: &CreateRun, why: &Rejection) -> bool {
        match why {
            Rejection::RunExists(_) => self.run_named(&create.run_id).is_some(),
            Rejection::TimelineTaken(_) => {
                let timeline = self.topic_named(&TopicName::timeline(&create.run_id));
                timeline.is_some_and(|(_, topic)| {
                    topic.partitions.len() != 1 || topic.partitions.iter().any(|p| !p.messages.is_empty())
                })
            }
            Rejection::TooManyTopics(_) => {
                let names = [create.topic.clone(), TopicName::timeline(&create.run_id)];
                let missing = names.iter().filter(|name| self.topic_named(name).is_none()).count();
                self.is_full_of_topics(missing)
            }
            _ => false,
        }
    }

    fn refuses_replay(&self, replay: &ReplayRun, why: &Rejection) -> bool {
        let run = self.run_named(&replay.run_id);
        match (why, run) {
            (Rejection::RunNotEnded { .. }, Some(run)) => !run.status.is_terminal(),
            (Rejection::InputChanged, Some(run)) => {
                matches!(&replay.input, NewInput::Patched { of, .. } if *of != run.input)
            }
            (Rejection::CommandsDeleted(_), Some(run)) => !self.topics.contains_key(&run.command.topic),
            (Rejection::UnknownStep { .. }, Some(run)) => steps_to_forget(run, replay).is_none(),
            (why, _) => self.is_unknown_run(&replay.run_id, why),
        }
    }

    fn refuses_dead_letter(&self, at: &driftq_core::DeadLetterAt, why: &Rejection) -> bool {
        let dead = self.dead_letter_named(at).and_then(|at| self.message_at(at)?.dead.as_ref());
        match why {
            Rejection::UnknownTopic(name) => self.is_unknown(name),
            Rejection::UnknownDeadLetter => dead.is_none(),
            Rejection::DeadLetterClosed(_) => dead.is_some_and(|dead| dead.closed.is_some()),
            _ => false,
        }
    }

    fn refuses_redrive(&self, redrive: &Redrive, why: &Rejection) -> bool {
        let at = self.dead_letter_named(&redrive.dead_letter);
        let dead = at.and_then(|at| self.message_at(at)?.dead.as_ref());
        match why {
            Rejection::RunDeadLetter => {
                dead.is_some_and(|dead| dead.run.is_some())
                    && (redrive.value.is_some() || redrive.target_topic.is_some())
            }
            Rejection::RunNotEnded { .. } => {
                let run = dead.and_then(|dead| self.runs.get(&dead.run?.run));
                run.is_some_and(|run| !run.status.is_terminal())
            }
            Rejection::NotOnTimeline(_) => {
                let target = redrive.target_topic.as_ref().and_then(|name| self.topic_named(name));
                let original = at.and_then(|at| self.original_of(at));
                let original = original.as_ref().and_then(|name| self.topic_named(name));
                target.or(original).is_some_and(|(_, topic)| topic.is_timeline())
            }
            Rejection::OriginalDeleted(_) => {
                let original = at.and_then(|at| self.original_of(at));
                redrive.target_topic.is_none()
                    && original.is_some_and(|name| self.topic_named(&name).is_none())
            }
            Rejection::CommandsDeleted(_) => {
                let run = dead.and_then(|dead| self.runs.get(&dead.run?.run));
                run.is_some_and(|run| !self.topics.contains_key(&run.command.topic))
            }
            why => self.refuses_dead_letter(&redrive.dead_letter, why),
        }
    }
}

/// Whether a topic or a group was deleted in this turn, which ends who waits there.
fn is_deletion(facts: Facts<'_>) -> bool {
    facts.iter().any(|(_, record)| matches!(record, Record::TopicDeleted(_) | Record::GroupDeleted(_)))
}

fn acked_by(record: &Record, claim: &Claim) -> Option<driftq_core::MessageOf> {
    match record {
        Record::Acked(fact)
            if fact.owner == claim.owner && claim.lease.is_none_or(|lease| lease == fact.lease) =>
        {
            Some(fact.of)
        }
        _ => None,
    }
}

fn failed_by(record: &Record, claim: &Claim) -> Option<driftq_core::MessageOf> {
    match record {
        Record::Failed(fact)
            if fact.cause == driftq_core::FailureCause::Nack
                && fact.owner == claim.owner
                && claim.lease.is_none_or(|lease| lease == fact.lease) =>
        {
            Some(fact.of)
        }
        _ => None,
    }
}

fn replayed(facts: Facts<'_>, run: driftq_core::RunNo, replay_seq: driftq_core::ReplaySeq) -> bool {
    facts.iter().any(|(_, record)| {
        matches!(record, Record::RunReplayed(fact) if (fact.of.run, fact.of.replay_seq) == (run, replay_seq))
    })
}
