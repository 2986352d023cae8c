//! Idempotency: a key seen before gets the first answer.
//!
//! Promise: a window holds the newest keys only, and what leaves it leaves by a fact, so every replay of the log forgets
//! the same keys. Keys are kept as 128-bit BLAKE3 digests of scope and key: nobody can make two that collide.

use crate::digests::{Digests, Used};
use crate::ring::Ring;
use crate::{
    IdempotencyKey, Instant, JobNo, KeyMark, MessageAt, Millis, Offset, PartitionId, Position, RunNo, State,
    TopicId,
};
use alloc::{boxed::Box, collections::BTreeMap};
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
    RedriveJob,
}

/// What a key found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyHit {
    /// A message.
    Message(MessageAt),
    /// A run, and the topic of its commands.
    Run(RunNo, TopicId),
    /// A bulk redrive.
    RedriveJob(JobNo),
}

/// A [`KeyHit`] in 16 bytes: there may be millions. No topic has the numbers that stand for a run
/// and for a bulk redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hit {
    topic: TopicId,
    partition: PartitionId,
    number: u64,
}

const RUN: TopicId = TopicId(u32::MAX);
const JOB: TopicId = TopicId(u32::MAX - 1);

impl From<KeyHit> for Hit {
    fn from(hit: KeyHit) -> Self {
        match hit {
            KeyHit::Message(at) => Self { topic: at.topic, partition: at.partition, number: at.offset.0 },
            // A run has no partition: the topic of its commands stands there.
            KeyHit::Run(run, topic) => Self { topic: RUN, partition: PartitionId(topic.0), number: run.0 },
            KeyHit::RedriveJob(job) => Self { topic: JOB, partition: PartitionId(0), number: job.0 },
        }
    }
}

impl From<Hit> for KeyHit {
    fn from(hit: Hit) -> Self {
        if hit.topic == RUN {
            Self::Run(RunNo(hit.number), TopicId(hit.partition.0))
        } else if hit.topic == JOB {
            Self::RedriveJob(JobNo(hit.number))
        } else {
            let offset = Offset(hit.number);
            Self::Message(MessageAt { topic: hit.topic, partition: hit.partition, offset })
        }
    }
}

impl Hit {
    /// The topic whose end is the end of this key; a bulk redrive's key has none, its stand-in is [`JOB`].
    fn topic(self) -> TopicId {
        if self.topic == RUN { TopicId(self.partition.0) } else { self.topic }
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
    /// How many uses each topic has.
    #[serde(skip)]
    by_topic: BTreeMap<TopicId, u32>,
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
        *self.by_topic.entry(entry.hit.topic()).or_default() += 1;
        self.uses.push(mark.digest, at, entry);
    }

    pub(crate) fn forget_oldest(&mut self, count: u32) {
        for _ in 0..count {
            let Some(oldest) = self.uses.pop_oldest() else { return };
            let topic = oldest.value.hit.topic();
            let Some(left) = self.by_topic.get_mut(&topic) else { continue };
            *left -= 1;
            if *left == 0 {
                self.by_topic.remove(&topic);
            }
        }
    }

    /// Forgets the keys of a topic that is deleted.
    pub(crate) fn forget_topic(&mut self, topic: TopicId, position: Position) {
        if self.applied >= position {
            return;
        }
        self.applied = position;
        if self.by_topic.remove(&topic).is_some() {
            self.uses.retain(|used| used.value.hit.topic() != topic);
        }
    }

    /// The topics that keys belong to.
    pub(crate) fn topics(&self) -> impl Iterator<Item = TopicId> {
        self.by_topic.keys().copied().filter(|topic| *topic != JOB)
    }

    /// Takes all uses out.
    pub(crate) fn take_uses(&mut self) -> Ring<Used<KeyEntry>> {
        self.by_topic.clear();
        self.uses.take_uses()
    }

    /// Takes uses in, behind those before.
    pub(crate) fn adopt(&mut self, uses: &Ring<Used<KeyEntry>>) {
        for used in uses.iter() {
            *self.by_topic.entry(used.value.hit.topic()).or_default() += 1;
        }
        self.uses.adopt(uses);
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
        Self { applied: self.applied, uses: self.uses.unindexed(), by_topic: BTreeMap::new() }
    }

    pub(crate) fn check(&self) -> bool {
        let counted: usize = self.by_topic.values().map(|count| usize::try_from(*count).unwrap_or(0)).sum();
        self.uses.check() && counted == self.uses.len()
    }
}

/// The message by which a group acked a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AckedAt {
    pub(crate) partition: PartitionId,
    pub(crate) offset: Offset,
}

/// Keys a group is done with, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConsumedKeys(Option<Box<Digests<AckedAt>>>);

impl ConsumedKeys {
    /// The message by which a key was acked, while that counts.
    pub(crate) fn find(&self, digest: &KeyDigest, now: Instant, window: Millis) -> Option<AckedAt> {
        let used = self.0.as_ref().and_then(|uses| uses.find(digest))?;
        (used.at.after(window) > now).then_some(used.value)
    }

    pub(crate) fn remember(&mut self, digest: KeyDigest, at: Instant, place: AckedAt) {
        let uses = self.0.get_or_insert_default();
        // Two messages with one key that are acked at one instant are one use of it.
        match uses.find_mut(&digest) {
            Some(used) if used.at == at => used.value = place,
            Some(_) | None => uses.push(digest, at, place),
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
    pub(crate) fn take_uses(&mut self) -> Ring<Used<AckedAt>> {
        self.0.as_mut().map(|uses| uses.take_uses()).unwrap_or_default()
    }

    /// Takes uses in, behind those before.
    pub(crate) fn adopt(&mut self, uses: &Ring<Used<AckedAt>>) {
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
        Scope::RedriveJob => hasher.update(b"redrive job"),
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
