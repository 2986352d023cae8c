//! Topics and their partitions: which messages exist, where their bytes lie, in which order they became visible.
//!
//! Promise: a message costs one 16-byte entry; what only few messages have stands in a note beside it. Offsets are
//! dense. The visible sequence lists offsets in the order in which they became due, so a delayed message enters it once.

use crate::{
    DeadLetterState, GroupId, GroupName, KeyDigest, MessageAt, Offset, PartitionId, Position, RetryPolicy,
    RunNo, RunOf, TenantId, TopicId, TopicName, WallTime,
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::ops::Range;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Entries of a partition that are written together with their topic.
const ENTRIES_INLINE_MAX: usize = 4_096;

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TopicKind {
    /// Messages.
    Plain,
    /// Dead letters of another topic.
    DeadLetters,
    /// One run's events.
    Timeline(RunNo),
}

/// One incarnation of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its incarnation.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// What it is for.
    pub kind: TopicKind,
    /// The last record that changed it.
    pub applied: Position,
    /// Its partitions.
    pub partitions: Vec<Partition>,
    /// What it was told itself.
    pub(crate) settings: Option<Box<crate::TopicSettings>>,
    traits: Vec<Traits>,
    #[serde(skip)]
    traits_numbers: BTreeMap<Traits, u32>,
    #[serde(skip)]
    pub(crate) groups: BTreeMap<GroupName, GroupId>,
    /// The number of the first pattern of the configuration that fits its name.
    #[serde(skip)]
    pub(crate) pattern: Option<u16>,
}

/// What many messages have in common; each combination is kept once a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Traits {
    pub(crate) policy: Option<RetryPolicy>,
    pub(crate) tenant: Option<TenantId>,
}

/// One partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// The oldest offset kept.
    pub first: Offset,
    /// Bytes of all messages ever appended.
    pub bytes: u64,
    entries: Entries,
    visible: Visible,
    rare: Option<Box<Rare>>,
}

/// What only some partitions have: nothing of it costs a partition without.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rare {
    pub(crate) notes: BTreeMap<Offset, Box<Note>>,
    pub(crate) keys: BTreeMap<Offset, KeyDigest>,
    pub(crate) delayed: BTreeMap<Offset, WallTime>,
    pub(crate) open_dead: BTreeSet<Offset>,
}

static NOTHING_RARE: Rare = Rare {
    notes: BTreeMap::new(),
    keys: BTreeMap::new(),
    delayed: BTreeMap::new(),
    open_dead: BTreeSet::new(),
};

/// Where one message lies, and what it counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The record it was appended by.
    pub position: Position,
    /// Bytes it counts for.
    pub bytes: u32,
    traits: u32,
}

/// A partition's entries. Many of them are written to a checkpoint apart from their topic, a chunk at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entries(VecDeque<Entry>);

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_apart = self.0.len() > ENTRIES_INLINE_MAX;
        serializer.collect_seq(self.0.iter().take(if is_apart { 0 } else { self.0.len() }))
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        VecDeque::deserialize(deserializer).map(Self)
    }
}

/// What few messages have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When it is given up.
    pub deadline: Option<WallTime>,
    /// Whether that moment has passed.
    pub expired: bool,
    /// The only group that reads it.
    pub only_group: Option<GroupName>,
    /// The run whose command it is.
    pub run: Option<RunOf>,
    /// The record that holds its content, when that is another one.
    pub content: Option<Position>,
    /// What a dead letter knows of its original.
    pub dead: Option<Box<DeadLetterState>>,
}

/// The order in which offsets became visible, as runs of consecutive offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Visible {
    /// How many offsets ever became visible.
    end: u64,
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    /// Place in the sequence of its first offset.
    index: u64,
    offset: u64,
    len: u64,
}

impl Topic {
    pub(crate) fn new(
        id: TopicId,
        name: TopicName,
        kind: TopicKind,
        partitions: u32,
        applied: Position,
    ) -> Self {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        Self {
            id,
            name,
            kind,
            applied,
            partitions,
            settings: None,
            traits: Vec::new(),
            traits_numbers: BTreeMap::new(),
            groups: BTreeMap::new(),
            pattern: None,
        }
    }

    /// What it was told itself.
    #[must_use]
    pub fn settings(&self) -> Option<&crate::TopicSettings> {
        self.settings.as_deref()
    }

    /// How many partitions.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    /// A partition, if it exists.
    #[must_use]
    pub fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        self.partitions.get(usize::try_from(partition.0).ok()?)
    }

    pub(crate) fn partition_mut(&mut self, partition: PartitionId) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(partition.0).ok()?)
    }

    /// How many dead letters wait for somebody.
    pub(crate) fn open_dead_letters(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.rare().open_dead.len() as u64).sum()
    }

    /// Its groups, by name.
    pub fn groups(&self) -> impl Iterator<Item = (&GroupName, GroupId)> {
        self.groups.iter().map(|(name, id)| (name, *id))
    }

    /// A group's incarnation.
    #[must_use]
    pub fn group(&self, name: &GroupName) -> Option<GroupId> {
        self.groups.get(name).copied()
    }

    /// The retry policy of an entry.
    #[must_use]
    pub fn policy(&self, entry: &Entry) -> Option<RetryPolicy> {
        self.traits_of(entry).and_then(|traits| traits.policy)
    }

    /// The tenant of an entry.
    #[must_use]
    pub fn tenant(&self, entry: &Entry) -> Option<&TenantId> {
        self.traits_of(entry).and_then(|traits| traits.tenant.as_ref())
    }

    fn traits_of(&self, entry: &Entry) -> Option<&Traits> {
        let index = entry.traits.checked_sub(1)?;
        self.traits.get(usize::try_from(index).ok()?)
    }

    /// The number under which these traits are kept; 0 stands for none at all.
    fn traits_number(&mut self, traits: Traits) -> u32 {
        if traits == Traits::default() {
            return 0;
        }
        if let Some(number) = self.traits_numbers.get(&traits) {
            return *number;
        }
        self.traits.push(traits.clone());
        let number = u32::try_from(self.traits.len()).expect("a topic has fewer combinations than messages");
        self.traits_numbers.insert(traits, number);
        number
    }

    /// Derives what is not written to a checkpoint.
    pub(crate) fn index_traits(&mut self) {
        self.traits_numbers = self.traits.iter().cloned().zip(1..).collect();
    }

    /// Appends one entry; `due` keeps it out of the visible sequence until then.
    pub(crate) fn append(&mut self, at: MessageAt, appended: Appended) {
        let traits = self.traits_number(Traits { policy: appended.policy, tenant: appended.tenant });
        let Some(partition) = self.partition_mut(at.partition) else { return };
        assert!(at.offset == partition.next_offset(), "an append leaves no gap: {at:?}");
        partition.entries.0.push_back(Entry { position: appended.position, bytes: appended.bytes, traits });
        partition.bytes += u64::from(appended.bytes);
        match appended.due {
            Some(due) => {
                partition.rare_mut().delayed.insert(at.offset, due);
            }
            None => partition.visible.push(at.offset),
        }
        if appended.note != Note::default() {
            if appended.note.dead.is_some() {
                partition.rare_mut().open_dead.insert(at.offset);
            }
            partition.rare_mut().notes.insert(at.offset, Box::new(appended.note));
        }
        if let Some(key) = appended.key {
            partition.rare_mut().keys.insert(at.offset, key);
        }
    }
}

/// What an append brings, for any kind of topic.
pub(crate) struct Appended {
    pub(crate) position: Position,
    pub(crate) bytes: u32,
    pub(crate) policy: Option<RetryPolicy>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) due: Option<WallTime>,
    pub(crate) key: Option<KeyDigest>,
    pub(crate) note: Note,
}

impl Partition {
    /// The offset the next message gets.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.first.plus(self.entries.0.len() as u64)
    }

    /// How many messages are kept.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.entries.0.len() as u64
    }

    /// Whether no message is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.0.is_empty()
    }

    /// A message's entry, if it is kept.
    #[must_use]
    pub fn entry(&self, offset: Offset) -> Option<&Entry> {
        let index = offset.0.checked_sub(self.first.0)?;
        self.entries.0.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn entry_mut(&mut self, offset: Offset) -> Option<&mut Entry> {
        let index = offset.0.checked_sub(self.first.0)?;
        self.entries.0.get_mut(usize::try_from(index).ok()?)
    }

    /// A message's note, if it has one.
    #[must_use]
    pub fn note(&self, offset: Offset) -> Option<&Note> {
        self.rare().notes.get(&offset).map(|note| &**note)
    }

    /// Digest of a message's idempotency key.
    #[must_use]
    pub fn key(&self, offset: Offset) -> Option<KeyDigest> {
        self.rare().keys.get(&offset).copied()
    }

    pub(crate) fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING_RARE)
    }

    pub(crate) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(Box::default)
    }

    /// When a delayed message becomes visible.
    #[must_use]
    pub fn delayed_until(&self, offset: Offset) -> Option<WallTime> {
        self.rare().delayed.get(&offset).copied()
    }

    /// How many messages are delayed.
    #[must_use]
    pub fn delayed_count(&self) -> u64 {
        self.rare().delayed.len() as u64
    }

    /// Open dead letters, oldest first.
    pub fn open_dead_letters(&self) -> impl DoubleEndedIterator<Item = Offset> {
        self.rare().open_dead.iter().copied()
    }

    /// How many offsets ever became visible.
    #[must_use]
    pub fn visible_end(&self) -> u64 {
        self.visible.end
    }

    /// The offset at a place of the visible sequence.
    #[must_use]
    pub fn visible_at(&self, index: u64) -> Option<Offset> {
        self.visible.at(index)
    }

    /// The first place of the visible sequence from which on all visible offsets not below this one are met.
    pub(crate) fn visible_from(&self, offset: Offset) -> u64 {
        let holds = |span: &&Span| span.offset + span.len > offset.0;
        let found = self.visible.spans.iter().find(holds);
        found.map_or(self.visible.end, |span| span.index + offset.0.saturating_sub(span.offset))
    }

    /// The place of the visible sequence at which this offset is met; `None` while it is delayed.
    #[must_use]
    pub fn visible_index(&self, offset: Offset) -> Option<u64> {
        let holds = |span: &&Span| (span.offset..span.offset + span.len).contains(&offset.0);
        self.visible.spans.iter().find(holds).map(|span| span.index + (offset.0 - span.offset))
    }

    /// Bytes of the messages below an offset, and of those that are not kept any more.
    pub(crate) fn bytes_below(&self, offset: Offset) -> u64 {
        let below = usize::try_from(offset.0.saturating_sub(self.first.0)).unwrap_or(usize::MAX);
        let kept = self.entries.0.range(below.min(self.entries.0.len())..);
        let behind: u64 = kept.map(|entry| u64::from(entry.bytes)).sum();
        self.bytes.saturating_sub(behind)
    }

    /// Entries that are written apart, if they are many.
    pub(crate) fn entries_apart(&self) -> usize {
        if self.entries.0.len() > ENTRIES_INLINE_MAX { self.entries.0.len() } else { 0 }
    }

    pub(crate) fn entries_in(&self, range: Range<usize>) -> Vec<Entry> {
        self.entries.0.range(range.start..range.end.min(self.entries.0.len())).copied().collect()
    }

    pub(crate) fn adopt_entries(&mut self, entries: Vec<Entry>) {
        self.entries.0.extend(entries);
    }

    pub(crate) fn make_visible(&mut self, offset: Offset) {
        self.visible.push(offset);
    }
}

impl Visible {
    fn push(&mut self, offset: Offset) {
        match self.spans.last_mut() {
            Some(span) if span.offset + span.len == offset.0 => span.len += 1,
            _ => self.spans.push(Span { index: self.end, offset: offset.0, len: 1 }),
        }
        self.end += 1;
    }

    fn at(&self, index: u64) -> Option<Offset> {
        if index >= self.end {
            return None;
        }
        let place = self.spans.partition_point(|span| span.index <= index).checked_sub(1)?;
        let span = self.spans.get(place)?;
        Some(Offset(span.offset + (index - span.index)))
    }
}
