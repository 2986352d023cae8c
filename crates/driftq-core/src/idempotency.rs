//! Idempotency: a key seen before gets the first answer.
//!
//! Promise: a window holds the newest keys only, and what leaves it leaves by a fact, so every replay of the log forgets
//! the same keys. Keys are kept as 128-bit BLAKE3 digests of scope and key: nobody can make two that collide.

use crate::{
    IdempotencyKey, Instant, KeyMark, MessageAt, Millis, Offset, PartitionId, Position, RunNo, State, TopicId,
};
use alloc::collections::{BTreeMap, VecDeque};
use serde::{Deserialize, Serialize};

/// How much older than its window a key gets before the timer drops it; keeps a steady stream from making a record a key.
const SLACK: Millis = Millis(1_000);

/// The fingerprint of a key that no window keeps.
const WINDOWLESS: u64 = u64::MAX;

/// A digest of tenant, scope and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyDigest(pub [u8; 16]);

/// What a key is unique in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    Produce(TopicId),
    Run(TopicId),
    Redrive(MessageAt),
}

/// What a key found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyHit {
    /// A message.
    Message(MessageAt),
    /// A run, and the topic of its commands.
    Run(RunNo, TopicId),
}

/// One live key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyEntry {
    pub(crate) fingerprint: u64,
    pub(crate) at: Instant,
    pub(crate) hit: KeyHit,
}

/// The live keys of all produces and runs, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyWindow {
    pub(crate) applied: Position,
    entries: BTreeMap<KeyDigest, KeyEntry>,
    order: VecDeque<(KeyDigest, Instant)>,
    /// How many entries each topic has.
    #[serde(skip)]
    by_topic: BTreeMap<TopicId, u32>,
}

impl KeyHit {
    /// The topic whose end is the end of this key.
    fn topic(self) -> TopicId {
        match self {
            Self::Message(at) => at.topic,
            Self::Run(_, topic) => topic,
        }
    }
}

impl KeyWindow {
    /// How many keys are live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether no key is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// When the oldest live key was first used.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.order.front().map(|(_, at)| *at)
    }

    pub(crate) fn find(&self, digest: &KeyDigest, now: Instant, window: Millis) -> Option<&KeyEntry> {
        self.entries.get(digest).filter(|entry| entry.at.after(window) > now)
    }

    pub(crate) fn remember(&mut self, mark: &KeyMark, at: Instant, hit: KeyHit) {
        let entry = KeyEntry { fingerprint: mark.fingerprint, at, hit };
        *self.by_topic.entry(hit.topic()).or_default() += 1;
        if let Some(before) = self.entries.insert(mark.digest, entry) {
            self.uncount(before.hit.topic());
        }
        self.order.push_back((mark.digest, at));
    }

    fn uncount(&mut self, topic: TopicId) {
        let Some(count) = self.by_topic.get_mut(&topic) else { return };
        *count -= 1;
        if *count == 0 {
            self.by_topic.remove(&topic);
        }
    }

    /// Forgets the keys of a topic that is deleted.
    pub(crate) fn forget_topic(&mut self, topic: TopicId, position: Position) {
        if self.applied >= position {
            return;
        }
        self.applied = position;
        if self.by_topic.remove(&topic).is_some() {
            self.entries.retain(|_, entry| entry.hit.topic() != topic);
            let entries = &self.entries;
            self.order.retain(|(digest, at)| entries.get(digest).is_some_and(|entry| entry.at == *at));
        }
    }

    /// Derives what is not written to a checkpoint.
    pub(crate) fn index_topics(&mut self) {
        self.by_topic.clear();
        for entry in self.entries.values() {
            *self.by_topic.entry(entry.hit.topic()).or_default() += 1;
        }
    }

    /// The topics that keys belong to.
    pub(crate) fn topics(&self) -> impl Iterator<Item = TopicId> {
        self.by_topic.keys().copied()
    }

    pub(crate) fn forget_oldest(&mut self, count: u32) {
        for _ in 0..count {
            let Some((digest, at)) = self.order.pop_front() else { return };
            // A key used again after its window has a newer entry, which stays.
            if self.entries.get(&digest).is_some_and(|entry| entry.at == at)
                && let Some(entry) = self.entries.remove(&digest)
            {
                self.uncount(entry.hit.topic());
            }
        }
    }

    /// When the timer has to look at it again.
    pub(crate) fn next_expiry(&self, window: Millis) -> Option<Instant> {
        self.oldest().map(|at| at.after(window).after(SLACK))
    }

    /// How many of the oldest keys are over at `now`, at most `max`.
    pub(crate) fn over(&self, now: Instant, window: Millis, max: usize) -> u32 {
        if self.next_expiry(window).is_none_or(|at| at > now) {
            return 0;
        }
        let over = self.order.iter().take(max).take_while(|(_, at)| at.after(window) <= now).count();
        u32::try_from(over).unwrap_or(u32::MAX)
    }

    pub(crate) fn check(&self) -> bool {
        let counted: usize = self.by_topic.values().map(|count| usize::try_from(*count).unwrap_or(0)).sum();
        self.entries.len() <= self.order.len() && counted == self.entries.len()
    }
}

/// Keys a group is done with, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConsumedKeys {
    entries: BTreeMap<KeyDigest, Consumed>,
    order: VecDeque<(KeyDigest, Instant)>,
}

/// When a key was acked, and by which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Consumed {
    pub(crate) at: Instant,
    pub(crate) partition: PartitionId,
    pub(crate) offset: Offset,
}

impl ConsumedKeys {
    /// The message by which a key was acked, while that counts.
    pub(crate) fn find(&self, digest: &KeyDigest, now: Instant, window: Millis) -> Option<&Consumed> {
        self.entries.get(digest).filter(|consumed| consumed.at.after(window) > now)
    }

    pub(crate) fn remember(&mut self, digest: KeyDigest, consumed: Consumed) {
        // Two messages with one key that are acked at one instant are one use of it.
        let before = self.entries.insert(digest, consumed);
        if before.is_none_or(|before| before.at != consumed.at) {
            self.order.push_back((digest, consumed.at));
        }
    }

    pub(crate) fn forget_oldest(&mut self, count: u32) {
        for _ in 0..count {
            let Some((digest, at)) = self.order.pop_front() else { return };
            if self.entries.get(&digest).is_some_and(|consumed| consumed.at == at) {
                self.entries.remove(&digest);
            }
        }
    }

    /// How many of the oldest leave when one more comes.
    pub(crate) fn surplus(&self, now: Instant, window: Millis, max: usize) -> u32 {
        let over = self.order.iter().take(2).take_while(|(_, at)| at.after(window) <= now).count();
        let full = usize::from(self.order.len() >= max);
        u32::try_from(over.max(full)).unwrap_or(0)
    }
}

/// The digest under which a window keeps this key.
pub(crate) fn mark(key: &IdempotencyKey, scope: Scope) -> KeyMark {
    let mut hasher = blake3::Hasher::new();
    match scope {
        Scope::Produce(topic) => hasher.update(b"produce").update(&topic.0.to_le_bytes()),
        Scope::Run(topic) => hasher.update(b"run").update(&topic.0.to_le_bytes()),
        Scope::Redrive(at) => hasher
            .update(b"redrive")
            .update(&at.topic.0.to_le_bytes())
            .update(&at.partition.0.to_le_bytes())
            .update(&at.offset.0.to_le_bytes()),
    };
    hasher
        .update(&(key.tenant.len() as u64).to_le_bytes())
        .update(key.tenant.as_bytes())
        .update(key.key.as_bytes());
    let mut digest = [0; 16];
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    let fingerprint = key.fingerprint.as_deref().map_or(0, |text| {
        let mut head = [0; 8];
        head.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..8]);
        u64::from_le_bytes(head).clamp(1, WINDOWLESS - 1)
    });
    KeyMark { digest: KeyDigest(digest), fingerprint }
}

/// The mark of a key on a topic whose window is off: only groups look at it.
pub(crate) fn windowless(key: &IdempotencyKey, scope: Scope) -> KeyMark {
    KeyMark { fingerprint: WINDOWLESS, ..mark(key, scope) }
}

pub(crate) fn apply_key(state: &mut State, position: Position, key: Option<&KeyMark>, hit: KeyHit) {
    let Some(mark) = key.filter(|mark| mark.fingerprint != WINDOWLESS) else { return };
    let now = state.now;
    if state.keys.applied < position {
        state.keys.applied = position;
        state.keys.remember(mark, now, hit);
    }
}

pub(crate) fn apply_keys_forgotten(state: &mut State, position: Position, count: u32) {
    if state.keys.applied < position {
        state.keys.applied = position;
        state.keys.forget_oldest(count);
    }
}
