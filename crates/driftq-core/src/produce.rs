//! Producing: topics are made, messages appended, keys remembered.
//!
//! Promise: a batch is appended whole or not at all; a repeated idempotency key gets the first answer and stores
//! nothing; a message that is refused leaves no trace.

use crate::audit::{AUDIT_TOPIC, admit_name};
use crate::draft::Draft;
use crate::idempotency::{self, KeyHit, Scope};
use crate::topic::Appended;
use crate::topic_settings;
use crate::{
    Attempt, Body, CreateTopic, Due, Effective, Event, EventAppended, Group, KeyMark, MessageAppended,
    MessageAt, Millis, Note, PartitionId, Position, Produce, Produced, Record, Rejection, Reply, RunOf,
    State, Topic, TopicCreated, TopicId, TopicKind, TopicName, WallTime,
};
use alloc::{boxed::Box, string::ToString, vec::Vec};

/// How long an idle group counts as one that will go on reading.
const GROUP_LIVE_MAX: Millis = Millis(5 * 60 * 1000);
const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

/// 32-bit FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(FNV_OFFSET, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// The partition of a key: an empty key goes to 0.
pub(crate) fn partition_of(key: &str, count: u32) -> PartitionId {
    if key.is_empty() { PartitionId(0) } else { PartitionId(fnv1a(key.as_bytes()) % count) }
}

pub(crate) fn decide_create_topic(draft: &mut Draft<'_>, create: &CreateTopic) -> Result<Reply, Rejection> {
    admit_name(&create.name)?;
    let limits = draft.state.limits;
    let asked = create.partitions.filter(|count| *count > 0);
    if let Some((_, existing)) = draft.find_topic(&create.name) {
        admit_same_settings(draft.state, create)?;
        return match asked {
            Some(asked) if asked != existing => {
                Err(Rejection::PartitionsDiffer { name: create.name.as_str().to_string(), existing, asked })
            }
            Some(_) | None => Ok(Reply::Topic { partitions: existing, created: false }),
        };
    }
    let partitions = asked.unwrap_or(1);
    if partitions > limits.partitions_max {
        return Err(Rejection::TooManyPartitions { asked: partitions, max: limits.partitions_max });
    }
    admit_topics(draft.state, 1)?;
    let none = crate::TopicSettings::default();
    let settings = create.settings.as_ref().map_or(Ok(none.clone()), |patch| patch.over(&none))?;
    let kind = if create.name.is_dead_letters() { TopicKind::DeadLetters } else { TopicKind::Plain };
    let (topic, _) = draft.ensure_topic(&create.name, partitions, kind);
    if settings != none {
        let (actor, reason) = (create.actor.clone(), create.reason.clone());
        draft.push(topic_settings::set(topic, settings, draft.state.now, actor, reason));
    }
    Ok(Reply::Topic { partitions, created: true })
}

/// Refuses settings that the topic of that name does not have: they would be ignored.
fn admit_same_settings(state: &State, create: &CreateTopic) -> Result<(), Rejection> {
    let (Some(patch), Some(topic)) = (&create.settings, state.topic(&create.name)) else { return Ok(()) };
    let before = topic.settings().cloned().unwrap_or_default();
    if patch.over(&before)? == before {
        return Ok(());
    }
    Err(Rejection::SettingsDiffer(create.name.as_str().to_string()))
}

/// Refuses when the broker holds as many topics as it may.
pub(crate) fn admit_topics(state: &State, more: usize) -> Result<(), Rejection> {
    let max = state.limits.topics_max;
    // The broker's own topics take nobody's place.
    let own = TopicName::parse(AUDIT_TOPIC).is_ok_and(|name| state.topic(&name).is_some());
    if state.topics.len() + more - usize::from(own) > usize::try_from(max).unwrap_or(usize::MAX) {
        return Err(Rejection::TooManyTopics(max));
    }
    Ok(())
}

pub(crate) fn decide_produce(draft: &mut Draft<'_>, messages: Vec<Produce>) -> Result<Reply, Rejection> {
    let produced =
        messages.into_iter().map(|message| produce_one(draft, message)).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::Produced(produced))
}

fn produce_one(draft: &mut Draft<'_>, produce: Produce) -> Result<Produced, Rejection> {
    let state = draft.state;
    known_topic(draft, &produce.topic)?;
    let stored_in = match &produce.target_topic {
        Some(target) => {
            known_topic(draft, target)?;
            target.clone()
        }
        None => produce.topic.clone(),
    };
    let (topic, count) = known_topic(draft, &stored_in)?;
    let effective = match state.topics.get(&topic) {
        Some(found) => state.effective(found),
        None => state.effective_when_made(stored_in.as_str()),
    };
    let window = effective.key_window;
    let partition = chosen_partition(&produce, &stored_in, count)?;
    let key = match &produce.idempotency {
        Some(key) if window.0 > 0 => {
            let mark = idempotency::mark(key, Scope::Produce(topic));
            if let Some(KeyHit::Message(at)) = find_key(draft, &mark, window)? {
                return Ok(Produced { at, stored_in, duplicate: true });
            }
            // A repeat of what was stored in time is answered alike, so the key comes first.
            admit_deadline(state, &produce)?;
            make_room_for_key(draft);
            Some(mark)
        }
        // The window is off, but a group still settles a key that it acked before.
        Some(key) => Some(idempotency::windowless(key, Scope::Produce(topic))),
        None => None,
    };
    admit_deadline(state, &produce)?;
    if let Some(found) = state.topics.get(&topic) {
        admit_bytes(state, found, partition, &effective)?;
    }
    let at = draft.next_message(topic, partition);
    if let Some(mark) = key.filter(|_| window.0 > 0) {
        draft.keys.insert(mark.digest, (mark.fingerprint, at));
    }
    let run = state.topics.get(&topic).and_then(|topic| match topic.kind {
        TopicKind::Timeline(run) => Some(run),
        TopicKind::Plain | TopicKind::DeadLetters => None,
    });
    match run.and_then(|run| state.runs.get(&run)) {
        Some(run) => {
            let of = RunOf { run: run.no, replay_seq: run.replay_seq };
            push_produced_event(draft, at, of, run.attempt, key, produce)?;
        }
        None => {
            let policy = produce.policy.or(effective.policy);
            push_message(draft, at, key, Produce { policy, ..produce });
        }
    }
    Ok(Produced { at, stored_in, duplicate: false })
}

fn push_message(draft: &mut Draft<'_>, at: MessageAt, key: Option<KeyMark>, produce: Produce) {
    let wall = draft.state.wall;
    draft.push(Record::MessageAppended(Box::new(MessageAppended {
        at,
        wall,
        bytes: u32::try_from(produce.content.len()).unwrap_or(u32::MAX),
        policy: produce.policy,
        due: due_at(produce.due, wall),
        deadline: produce.deadline,
        key,
        only_group: None,
        run: None,
        priority: 0,
        tenant: produce.tenant,
        body: Body::Inline(produce.content),
    })));
}

fn push_produced_event(
    draft: &mut Draft<'_>,
    at: MessageAt,
    of: RunOf,
    attempt: Attempt,
    key: Option<KeyMark>,
    produce: Produce,
) -> Result<(), Rejection> {
    if produce.due != Due::Now {
        return Err(Rejection::NotOnTimeline("a delay"));
    }
    if produce.deadline.is_some() {
        return Err(Rejection::NotOnTimeline("a deadline"));
    }
    let event = Event::Produced { content: produce.content };
    draft.push(Record::EventAppended(Box::new(EventAppended {
        topic: at.topic,
        offset: at.offset,
        of,
        attempt,
        wall: draft.state.wall,
        bytes: crate::draft::event_bytes(&event),
        key,
        event,
    })));
    Ok(())
}

/// When a delayed message is due, `None` when it is due at once.
pub(crate) fn due_at(due: Due, wall: WallTime) -> Option<WallTime> {
    match due {
        Due::Now => None,
        Due::After(wait) => Some(wall.after(wait)).filter(|at| *at > wall),
        Due::At(at) => Some(at).filter(|at| *at > wall),
    }
}

/// What this key found, in the window or earlier in this transition.
pub(crate) fn find_key(
    draft: &Draft<'_>,
    mark: &KeyMark,
    window: Millis,
) -> Result<Option<KeyHit>, Rejection> {
    let state = draft.state;
    let drafted = draft.keys.get(&mark.digest).map(|(fingerprint, at)| (*fingerprint, KeyHit::Message(*at)));
    let kept = state.keys.find(&mark.digest, state.now, window);
    let Some((fingerprint, hit)) = drafted.or(kept) else { return Ok(None) };
    if fingerprint != 0 && mark.fingerprint != 0 && fingerprint != mark.fingerprint {
        return Err(Rejection::FingerprintDiffers);
    }
    Ok(Some(hit))
}

/// Lets the oldest key go when the window is full.
pub(crate) fn make_room_for_key(draft: &mut Draft<'_>) {
    if draft.state.keys.len() + draft.keys.len() >= draft.state.limits.keys_max {
        draft.push(Record::KeysForgotten(1));
    }
}

fn known_topic(draft: &mut Draft<'_>, name: &TopicName) -> Result<(TopicId, u32), Rejection> {
    admit_name(name)?;
    if let Some(found) = draft.find_topic(name) {
        return Ok(found);
    }
    if !draft.state.limits.auto_create_topics {
        return Err(Rejection::UnknownTopic(name.as_str().to_string()));
    }
    admit_topics(draft.state, 1)?;
    let kind = if name.is_dead_letters() { TopicKind::DeadLetters } else { TopicKind::Plain };
    Ok(draft.ensure_topic(name, 1, kind))
}

fn chosen_partition(produce: &Produce, topic: &TopicName, count: u32) -> Result<PartitionId, Rejection> {
    match produce.partition {
        Some(asked) if asked >= count => Err(Rejection::PartitionOutOfRange {
            topic: topic.as_str().to_string(),
            asked: u64::from(asked),
            count,
        }),
        Some(asked) => Ok(PartitionId(asked)),
        None => Ok(partition_of(&produce.key, count)),
    }
}

fn admit_deadline(state: &State, produce: &Produce) -> Result<(), Rejection> {
    let has_passed = produce.deadline.is_some_and(|deadline| deadline <= state.wall);
    if has_passed { Err(Rejection::DeadlinePassed) } else { Ok(()) }
}

/// Refuses when live groups have left too much of the partition unsettled.
fn admit_bytes(
    state: &State,
    topic: &Topic,
    partition: PartitionId,
    limits: &Effective<'_>,
) -> Result<(), Rejection> {
    if limits.partition_messages_max.is_none() && limits.partition_bytes_max.is_none() {
        return Ok(());
    }
    let Some(found) = topic.partition(partition) else { return Ok(()) };
    let progresses = || {
        let is_live = |group: &&Group| !group.is_idle() || group.used_at.after(GROUP_LIVE_MAX) > state.now;
        let groups = topic.groups().filter_map(|(_, id)| state.groups.get(&id)).filter(is_live);
        groups.filter_map(|group| group.progress(partition))
    };
    let messages = progresses().map(|progress| progress.lag(found.next_offset())).max().unwrap_or(0);
    if limits.partition_messages_max.is_some_and(|max| messages >= max) {
        return Err(Rejection::Backpressure { reason: "partition_buffer_full" });
    }
    let bytes =
        progresses().map(|progress| found.bytes.saturating_sub(progress.settled_bytes)).max().unwrap_or(0);
    if limits.partition_bytes_max.is_some_and(|max| bytes >= max) {
        return Err(Rejection::Backpressure { reason: "partition_buffer_bytes_full" });
    }
    Ok(())
}

pub(crate) fn apply_topic_created(state: &mut State, position: Position, fact: &TopicCreated) {
    state.ids.topic = state.ids.topic.max(fact.topic.next());
    if !state.topics.contains_key(&fact.topic) {
        state.adopt_topic(Topic::new(fact.topic, fact.name.clone(), fact.kind, fact.partitions, position));
    }
}

pub(crate) fn apply_appended(state: &mut State, position: Position, fact: &MessageAppended) {
    idempotency::apply_key(state, position, fact.key.as_ref(), KeyHit::Message(fact.at));
    let Some(topic) = state.topic_effect(fact.at.topic, position) else { return };
    let content = match &fact.body {
        Body::Of(of) => Some(*of),
        Body::Inline(_) | Body::Edited { .. } | Body::RunCommand { .. } => None,
    };
    let note = Note {
        deadline: fact.deadline,
        expired: false,
        only_group: fact.only_group.clone(),
        content,
        dead: None,
    };
    let appended = Appended {
        position,
        bytes: fact.bytes,
        policy: fact.policy,
        tenant: fact.tenant.clone(),
        due: fact.due,
        key: fact.key.map(|mark| mark.digest),
        run: fact.run,
        note,
    };
    topic.append(fact.at, appended);
    if let Some(due) = fact.due {
        state.timers.due.insert((due, fact.at), ());
    }
    if let Some(deadline) = fact.deadline {
        state.timers.deadlines.insert((deadline, fact.at), ());
    }
}

pub(crate) fn apply_event(state: &mut State, position: Position, fact: &EventAppended) {
    let at = MessageAt { topic: fact.topic, partition: PartitionId(0), offset: fact.offset };
    idempotency::apply_key(state, position, fact.key.as_ref(), KeyHit::Message(at));
    if let Some(topic) = state.topic_effect(fact.topic, position) {
        let key = fact.key.map(|mark| mark.digest);
        let appended = Appended {
            position,
            bytes: fact.bytes,
            policy: None,
            tenant: None,
            due: None,
            key,
            run: None,
            note: Note::default(),
        };
        topic.append(at, appended);
    }
    crate::run::apply_event(state, position, fact);
}

pub(crate) fn apply_due(state: &mut State, position: Position, at: MessageAt) {
    let Some(topic) = state.topic_effect(at.topic, position) else { return };
    let Some(partition) = topic.partition_mut(at.partition) else { return };
    if let Some(due) = partition.rare_mut().delayed.remove(&at.offset) {
        partition.make_visible(at.offset);
        state.timers.due.remove(&(due, at));
    }
}
