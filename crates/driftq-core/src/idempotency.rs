//! Idempotency: a key seen before gets the first answer.
//!
//! Promise: a window holds the newest keys only, and what leaves it leaves by a fact, so every replay of the log forgets
//! the same keys. Keys are kept as 128-bit BLAKE3 digests of scope and key: nobody can make two that collide.

use crate::digests::{Digests, Used};
use crate::ring::Ring;
use crate::{
    IdempotencyKey, Instant, KeyMark, MessageAt, Millis, Offset, PartitionId, Position, RunNo, State, TopicId,
};
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

/// How much older than its window a key gets before the timer drops it; keeps a steady stream from making a record a key.
const SLACK: Millis = Millis(1_000);

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyHit {
    /// A message.
    Message(MessageAt),
    /// A run.
    Run(RunNo),
}

/// A [`KeyHit`] in 16 bytes: there may be millions. No topic has the number that stands for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hit {
    topic: TopicId,
    partition: PartitionId,
    number: u64,
}

const RUN: TopicId = TopicId(u32::MAX);

impl From<KeyHit> for Hit {
    fn from(hit: KeyHit) -> Self {
        match hit {
            KeyHit::Message(at) => Self { topic: at.topic, partition: at.partition, number: at.offset.0 },
            KeyHit::Run(run) => Self { topic: RUN, partition: PartitionId(0), number: run.0 },
        }
    }
}

impl From<Hit> for KeyHit {
    fn from(hit: Hit) -> Self {
        if hit.topic == RUN {
            Self::Run(RunNo(hit.number))
        } else {
            let offset = Offset(hit.number);
            Self::Message(MessageAt { topic: hit.topic, partition: hit.partition, offset })
        }
    }
}

/// What is kept of a live key besides its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyEntry {
    fingerprint: u64,
    hit: Hit,
}

/// The live keys of all produces and runs, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyWindow {
    pub(crate) applied: Position,
    pub(crate) uses: Digests<KeyEntry>,
}

impl KeyWindow {
    /// How many keys are live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.uses.len()
    }

    /// Whether no key is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.uses.len() == 0
    }

    /// When the oldest live key was first used.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        self.uses.oldest().map(|used| used.at)
    }

    /// A key's fingerprint and what it found, if that is still remembered.
    pub(crate) fn find(&self, digest: &KeyDigest, now: Instant, window: Millis) -> Option<(u64, KeyHit)> {
        let used = self.uses.find(digest).filter(|used| used.at.after(window) > now)?;
        Some((used.value.fingerprint, used.value.hit.into()))
    }

    pub(crate) fn remember(&mut self, mark: &KeyMark, at: Instant, hit: KeyHit) {
        let entry = KeyEntry { fingerprint: mark.fingerprint, hit: hit.into() };
        self.uses.push(mark.digest, at, entry);
    }

    pub(crate) fn forget_oldest(&mut self, count: u32) {
        self.uses.forget_oldest(count);
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
        let over = self.uses.iter().take(max).take_while(|used| used.at.after(window) <= now).count();
        u32::try_from(over).unwrap_or(u32::MAX)
    }

    /// The same window without its index, for a checkpoint.
    pub(crate) fn unindexed(&self) -> Self {
        Self { applied: self.applied, uses: self.uses.unindexed() }
    }

    pub(crate) fn check(&self) -> bool {
        self.uses.check()
    }
}

/// Keys a group is done with, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConsumedKeys(Option<Box<Digests<()>>>);

impl ConsumedKeys {
    pub(crate) fn contains(&self, digest: &KeyDigest, now: Instant, window: Millis) -> bool {
        let used = self.0.as_ref().and_then(|uses| uses.find(digest));
        used.is_some_and(|used| used.at.after(window) > now)
    }

    pub(crate) fn remember(&mut self, digest: KeyDigest, at: Instant) {
        let uses = self.0.get_or_insert_default();
        // Two messages with one key that are acked at one instant are one use of it.
        if uses.find(&digest).map(|used| used.at) != Some(at) {
            uses.push(digest, at, ());
        }
    }

    pub(crate) fn forget_oldest(&mut self, count: u32) {
        if let Some(uses) = &mut self.0 {
            uses.forget_oldest(count);
        }
    }

    /// How many of the oldest leave when one more comes.
    pub(crate) fn surplus(&self, now: Instant, window: Millis, max: usize) -> u32 {
        let Some(uses) = &self.0 else { return 0 };
        let over = uses.iter().take(2).take_while(|used| used.at.after(window) <= now).count();
        let full = usize::from(uses.len() >= max);
        u32::try_from(over.max(full)).unwrap_or(0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |uses| uses.len())
    }

    /// Takes all uses out.
    pub(crate) fn take_uses(&mut self) -> Ring<Used<()>> {
        self.0.as_mut().map(|uses| uses.take_uses()).unwrap_or_default()
    }

    /// Takes uses in, behind those before.
    pub(crate) fn adopt(&mut self, uses: &Ring<Used<()>>) {
        self.0.get_or_insert_default().adopt(uses);
    }

    pub(crate) fn check(&self) -> bool {
        self.0.as_ref().is_none_or(|uses| uses.check())
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
        u64::from_le_bytes(head).max(1)
    });
    KeyMark { digest: KeyDigest(digest), fingerprint }
}

pub(crate) fn apply_key(state: &mut State, position: Position, key: Option<&KeyMark>, hit: KeyHit) {
    let Some(mark) = key else { return };
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
