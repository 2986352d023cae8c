//! One partition of a topic: which messages it has, where their bytes lie, in which order they became visible.
//!
//! Promise: a message costs one 16-byte entry, an event of a timeline a few bytes; what only few messages have stands
//! beside it. Offsets are dense. The visible sequence lists offsets in the order in which they became due, so a delayed
//! message enters it once.

use crate::coded::Coded;
use crate::packed::{Packed, PackedSet};
use crate::parts::OfPartition;
use crate::ring::Ring;
use crate::topic::Appended;
use crate::visible::Visible;
use crate::{DeadLetterState, GroupName, KeyDigest, Offset, Position, RunOf, TopicKind, WallTime};
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

/// Coded entries of a timeline; a longer one keeps them plain.
const CODED_MAX: usize = 2_048;

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
    pub(crate) notes: Packed<Offset, Box<Note>>,
    pub(crate) commands: Packed<Offset, RunOf>,
    pub(crate) keys: Packed<Offset, KeyDigest>,
    pub(crate) delayed: Packed<Offset, WallTime>,
    #[serde(skip)]
    pub(crate) open_dead: PackedSet<Offset>,
}

static NOTHING_RARE: Rare = Rare {
    notes: Packed::new(),
    commands: Packed::new(),
    keys: Packed::new(),
    delayed: Packed::new(),
    open_dead: PackedSet::new(),
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

/// A partition's entries: found at once, or in few bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Entries {
    Plain(Ring<Entry>),
    Coded(Coded),
}

impl Default for Entries {
    fn default() -> Self {
        Self::Plain(Ring::new())
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
    /// The record that holds its content, when that is another one.
    pub content: Option<Position>,
    /// What a dead letter knows of its original.
    pub dead: Option<Box<DeadLetterState>>,
}

impl Note {
    pub(crate) fn is_open_dead_letter(&self) -> bool {
        self.dead.as_ref().is_some_and(|dead| dead.closed.is_none())
    }
}

impl Entry {
    pub(crate) const fn new(position: Position, bytes: u32, traits: u32) -> Self {
        Self { position, bytes, traits }
    }

    /// The number of its traits within its topic; 0 stands for none.
    pub(crate) const fn traits(&self) -> u32 {
        self.traits
    }
}

impl Partition {
    pub(crate) fn new(kind: TopicKind) -> Self {
        let mut partition = Self::default();
        partition.become_kind(kind);
        partition
    }

    /// A partition without a message keeps its entries as its topic's kind asks for.
    pub(crate) fn become_kind(&mut self, kind: TopicKind) {
        let is_timeline = matches!(kind, TopicKind::Timeline(_));
        if is_timeline && self.is_empty() {
            self.entries = Entries::Coded(Coded::default());
        }
    }

    /// The offset the next message gets.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.first.plus(self.len())
    }

    /// How many messages are kept.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.entries {
            Entries::Plain(entries) => entries.len() as u64,
            Entries::Coded(entries) => entries.len() as u64,
        }
    }

    /// Whether no message is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A message's entry, if it is kept.
    #[must_use]
    pub fn entry(&self, offset: Offset) -> Option<Entry> {
        let index = usize::try_from(offset.0.checked_sub(self.first.0)?).ok()?;
        match &self.entries {
            Entries::Plain(entries) => entries.get(index).copied(),
            Entries::Coded(entries) => entries.get(index),
        }
    }

    /// Finds a message at another position from now on, if it was at `from`.
    pub(crate) fn carry(&mut self, offset: Offset, from: Position, to: Position) {
        let Some(entry) = self.entry(offset).filter(|entry| entry.position == from) else { return };
        let Some(index) = offset.0.checked_sub(self.first.0).and_then(|i| usize::try_from(i).ok()) else {
            return;
        };
        let carried = Entry { position: to, ..entry };
        match &mut self.entries {
            Entries::Plain(entries) => entries.get_mut(index).into_iter().for_each(|own| *own = carried),
            Entries::Coded(entries) => entries.set(index, carried),
        }
    }

    /// Takes the next message in; `due` keeps it out of the visible sequence until then.
    pub(crate) fn append(&mut self, offset: Offset, traits: u32, appended: Appended) {
        assert!(offset == self.next_offset(), "an append leaves no gap: {offset}");
        let entry = Entry { position: appended.position, bytes: appended.bytes, traits };
        match &mut self.entries {
            Entries::Plain(entries) => entries.push_back(entry),
            Entries::Coded(entries) if entries.len() < CODED_MAX => entries.push(entry),
            Entries::Coded(entries) => {
                let plain = entries.iter().chain([entry]).collect();
                self.entries = Entries::Plain(plain);
            }
        }
        self.bytes += u64::from(appended.bytes);
        match appended.due {
            Some(due) => {
                self.rare_mut().delayed.insert(offset, due);
            }
            None => self.visible.push(offset),
        }
        if let Some(run) = appended.run {
            self.rare_mut().commands.insert(offset, run);
        }
        if appended.note != Note::default() {
            if appended.note.dead.is_some() {
                self.rare_mut().open_dead.insert(offset, ());
            }
            self.rare_mut().notes.insert(offset, Box::new(appended.note));
        }
        if let Some(key) = appended.key {
            self.rare_mut().keys.insert(offset, key);
        }
    }

    /// A message's note, if it has one.
    #[must_use]
    pub fn note(&self, offset: Offset) -> Option<&Note> {
        self.rare().notes.get(&offset).map(|note| &**note)
    }

    pub(crate) fn dead_letter_mut(&mut self, offset: Offset) -> Option<&mut DeadLetterState> {
        self.rare.as_mut()?.notes.get_mut(&offset)?.dead.as_deref_mut()
    }

    /// The run whose command a message is.
    #[must_use]
    pub fn command(&self, offset: Offset) -> Option<RunOf> {
        self.rare().commands.get(&offset).copied()
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
        self.rare().open_dead.keys().copied()
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
        self.visible.from(offset)
    }

    /// The place of the visible sequence at which this offset is met; `None` while it is delayed.
    #[must_use]
    pub fn visible_index(&self, offset: Offset) -> Option<u64> {
        self.visible.index_of(offset)
    }

    /// Bytes of the messages below an offset, and of those that are not kept any more.
    pub(crate) fn bytes_below(&self, offset: Offset) -> u64 {
        let below = usize::try_from(offset.0.saturating_sub(self.first.0)).unwrap_or(usize::MAX);
        let behind: u64 = match &self.entries {
            Entries::Plain(entries) => entries.iter().skip(below).map(|entry| u64::from(entry.bytes)).sum(),
            Entries::Coded(entries) => entries.iter().skip(below).map(|entry| u64::from(entry.bytes)).sum(),
        };
        self.bytes.saturating_sub(behind)
    }

    pub(crate) fn make_visible(&mut self, offset: Offset) {
        self.visible.push(offset);
    }

    /// Gives back room that is not used: nothing more is expected.
    pub(crate) fn shrink(&mut self) {
        match &mut self.entries {
            Entries::Plain(_) => {}
            Entries::Coded(entries) => entries.shrink(),
        }
    }

    /// Entries of its lists.
    pub(crate) fn weight(&self) -> usize {
        let rare = self.rare();
        let spans = self.visible.spans.as_ref().map_or(0, |spans| spans.len());
        let rest = rare.notes.len() + rare.commands.len() + rare.keys.len() + rare.delayed.len();
        usize::try_from(self.len()).unwrap_or(usize::MAX).saturating_add(spans + rest)
    }

    /// Takes its lists out, but for coded entries.
    pub(crate) fn take_parts(&mut self) -> impl Iterator<Item = OfPartition> + use<> {
        let entries = match &mut self.entries {
            Entries::Plain(entries) => Some(OfPartition::Entries(core::mem::take(entries))),
            Entries::Coded(_) => None,
        };
        let spans = self.visible.spans.as_mut().map(|spans| OfPartition::Spans(core::mem::take(spans)));
        let rare = self.rare.as_mut().map(|rare| {
            rare.open_dead = PackedSet::new();
            [
                OfPartition::Notes(core::mem::take(&mut rare.notes)),
                OfPartition::Commands(core::mem::take(&mut rare.commands)),
                OfPartition::Keys(core::mem::take(&mut rare.keys)),
                OfPartition::Delayed(core::mem::take(&mut rare.delayed)),
            ]
        });
        entries.into_iter().chain(spans).chain(rare.into_iter().flatten())
    }

    /// Takes entries of a list in, behind those before.
    pub(crate) fn adopt(&mut self, part: OfPartition) {
        match part {
            OfPartition::Entries(more) => match &mut self.entries {
                Entries::Plain(entries) => entries.extend(more.iter().copied()),
                Entries::Coded(entries) => more.iter().for_each(|entry| entries.push(*entry)),
            },
            OfPartition::Spans(more) => {
                self.visible.spans.get_or_insert_default().extend(more.iter().copied());
            }
            OfPartition::Notes(notes) => {
                let open = notes.iter().filter(|(_, note)| note.is_open_dead_letter());
                let open = open.map(|(offset, _)| (*offset, ()));
                let rare = self.rare_mut();
                rare.open_dead.extend(open);
                rare.notes.append(notes);
            }
            OfPartition::Commands(commands) => self.rare_mut().commands.append(commands),
            OfPartition::Keys(keys) => self.rare_mut().keys.append(keys),
            OfPartition::Delayed(delayed) => self.rare_mut().delayed.append(delayed),
        }
    }

    /// Whether what is visible and what is delayed are all, and open dead letters are those that are open.
    pub(crate) fn check(&self) -> bool {
        let open = self.rare().notes.iter().filter(|(_, note)| note.is_open_dead_letter());
        self.visible.end + self.delayed_count() == self.next_offset().0
            && self.rare().open_dead.keys().eq(open.map(|(offset, _)| offset))
    }
}
