//! Groups moved to another place, and groups forgotten on purpose.
//!
//! Promise: a seek is one fact with a few numbers a partition, however much lies between. All leases of a partition that
//! is moved end: their holders prove nothing any more. What lies behind the new place comes again, attempts from 1;
//! what lies before it is settled. A group that moves open runs is left alone.

use crate::draft::Draft;
use crate::{
    DeleteGroup, Group, GroupId, Instant, Offset, Partition, PartitionId, Position, Record, Rejection, Reply,
    SeekGroup, SeekTo, State, Topic,
};
use alloc::{boxed::Box, string::String, string::ToString, vec::Vec};
use serde::{Deserialize, Serialize};

/// Settled stretches that the fact of a seek may list, all partitions together.
pub const SEEK_STRETCHES_MAX: usize = 10_000;

/// See [`Record::GroupSought`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSought {
    /// Which group.
    pub group: GroupId,
    /// When, core time.
    pub at: Instant,
    /// The partitions that were moved.
    pub places: Vec<SoughtPlace>,
    /// Who asked for it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Where a group reads on in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoughtPlace {
    /// The partition.
    pub partition: PartitionId,
    /// The next place of the visible sequence that it reads.
    pub next: u64,
    /// Everything below is settled.
    pub floor: Offset,
    /// Bytes of the partition that count as settled.
    pub bytes: u64,
    /// The partition's end: below, messages may have been delivered before.
    pub seen: Offset,
    /// Stretches above the floor that are settled too: from, and the first one behind.
    pub settled: Vec<(Offset, Offset)>,
}

/// See [`Record::GroupDeleted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDeleted {
    /// Which incarnation.
    pub group: GroupId,
    /// When, core time.
    pub at: Instant,
    /// Who asked for it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

pub(crate) fn decide_seek(draft: &mut Draft<'_>, seek: SeekGroup) -> Result<Reply, Rejection> {
    let state = draft.state;
    let (topic, group) = find(state, &seek.topic, &seek.group)?;
    admit(state, topic, group)?;
    let places = places(topic, &seek.to)?;
    if places.iter().map(|place| place.settled.len()).sum::<usize>() > SEEK_STRETCHES_MAX {
        return Err(Rejection::TooManyDelayed(SEEK_STRETCHES_MAX));
    }
    let partitions = places.iter().map(|place| (place.partition, place.floor)).collect();
    draft.push(Record::GroupSought(Box::new(GroupSought {
        group: group.id,
        at: state.now,
        places,
        actor: seek.actor,
        reason: seek.reason,
    })));
    Ok(Reply::Sought { partitions })
}

pub(crate) fn decide_delete(draft: &mut Draft<'_>, delete: DeleteGroup) -> Result<Reply, Rejection> {
    let state = draft.state;
    let (topic, group) = find(state, &delete.topic, &delete.group)?;
    admit(state, topic, group)?;
    draft.push(Record::GroupDeleted(Box::new(GroupDeleted {
        group: group.id,
        at: state.now,
        actor: delete.actor,
        reason: delete.reason,
    })));
    Ok(Reply::GroupDeleted)
}

fn find<'a>(
    state: &'a State,
    topic: &crate::TopicName,
    group: &crate::GroupName,
) -> Result<(&'a Topic, &'a Group), Rejection> {
    let found = state.topic(topic).ok_or_else(|| Rejection::UnknownTopic(topic.as_str().to_string()))?;
    let unknown =
        || Rejection::UnknownGroup { topic: topic.as_str().to_string(), group: group.as_str().to_string() };
    let group = found.group(group).and_then(|id| state.groups.get(&id)).ok_or_else(unknown)?;
    Ok((found, group))
}

/// Refuses when deliveries to this group move runs that are open: they would stand still for ever.
fn admit(state: &State, topic: &Topic, group: &Group) -> Result<(), Rejection> {
    match state.open_runs_moved_by(topic.id, &group.name) {
        0 => Ok(()),
        count => Err(Rejection::GroupMovesRuns { group: group.name.as_str().to_string(), count }),
    }
}

fn places(topic: &Topic, to: &SeekTo) -> Result<Vec<SoughtPlace>, Rejection> {
    let all = || topic.partitions.iter().zip(0..).map(|(partition, index)| (PartitionId(index), partition));
    match to {
        SeekTo::Earliest => Ok(all().map(|(id, p)| place_at(id, p, p.first)).collect()),
        SeekTo::Latest => Ok(all().map(|(id, p)| place_at_end(id, p)).collect()),
        SeekTo::Offset { partition, offset } => {
            place_within(topic, *partition, *offset).map(|p| alloc::vec![p])
        }
        SeekTo::Places { topic: of, places } if *of == topic.id => {
            places.iter().map(|(partition, offset)| place_within(topic, *partition, *offset)).collect()
        }
        SeekTo::Places { .. } => Err(Rejection::UnknownTopic(topic.name.as_str().to_string())),
    }
}

fn place_within(topic: &Topic, id: PartitionId, offset: Offset) -> Result<SoughtPlace, Rejection> {
    let partition = topic.partition(id).ok_or_else(|| Rejection::PartitionOutOfRange {
        topic: topic.name.as_str().to_string(),
        asked: u64::from(id.0),
        count: topic.partition_count(),
    })?;
    if offset < partition.first || offset > partition.next_offset() {
        return Err(Rejection::OffsetOutOfRange {
            asked: offset,
            partition: id,
            first: partition.first,
            next: partition.next_offset(),
        });
    }
    Ok(place_at(id, partition, offset))
}

fn place_at(partition: PartitionId, kept: &Partition, floor: Offset) -> SoughtPlace {
    SoughtPlace {
        partition,
        next: kept.visible_from(floor),
        floor,
        bytes: kept.bytes_below(floor),
        seen: kept.next_offset(),
        settled: Vec::new(),
    }
}

/// Behind the newest message: of what is stored, only delayed messages are left to come.
fn place_at_end(partition: PartitionId, kept: &Partition) -> SoughtPlace {
    let start = crate::draft::group_start(kept, crate::Start::Latest);
    SoughtPlace {
        partition,
        next: start.next,
        floor: start.floor,
        bytes: start.bytes,
        seen: kept.next_offset(),
        settled: start.settled,
    }
}

pub(crate) fn apply_sought(state: &mut State, position: Position, fact: &GroupSought) {
    let Some(group) = state.group_effect(fact.group, position) else { return };
    group.used_at = fact.at;
    let mut dropped = Vec::new();
    for place in &fact.places {
        let Some(progress) = group.progress_mut(place.partition) else { continue };
        let pending = progress.move_to(place);
        dropped.extend(pending.into_iter().map(|(offset, pending)| {
            (crate::group::message_of(fact.group, place.partition, offset), pending)
        }));
    }
    for (of, pending) in dropped {
        state.timers.drop_pending(of, &pending);
    }
}
