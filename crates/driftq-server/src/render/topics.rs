//! Topics: how much is in them, and how far their groups have come.

use driftq_api::{GroupPartition, Topic, TopicGroup, TopicPartition, TopicSettings, TopicSummary};
use driftq_core::{Group, State};

pub(crate) fn summary(topic: &driftq_core::Topic) -> TopicSummary {
    TopicSummary {
        name: topic.name.as_str().to_owned(),
        partitions: topic.partition_count(),
        messages: topic.partitions.iter().map(driftq_core::Partition::len).sum(),
        bytes: topic.partitions.iter().map(|partition| partition.bytes).sum(),
        groups: u32::try_from(topic.groups().count()).unwrap_or(u32::MAX),
    }
}

pub(crate) fn topic(state: &State, topic: &driftq_core::Topic) -> Topic {
    let partitions = (0_u32..).zip(&topic.partitions);
    let partitions = partitions.map(|(partition, kept)| TopicPartition {
        partition,
        first_offset: kept.first.0,
        next_offset: kept.next_offset().0,
        bytes: kept.bytes,
        messages: kept.len(),
    });
    Topic {
        name: topic.name.as_str().to_owned(),
        partitions: partitions.collect(),
        groups: state.groups_of(topic.id).map(|found| group(topic, found)).collect(),
        settings: TopicSettings::default(),
        effective: TopicSettings::default(),
        pattern: None,
    }
}

fn group(topic: &driftq_core::Topic, group: &Group) -> TopicGroup {
    let partitions = (0_u32..).zip(topic.partitions.iter().zip(&group.partitions));
    let partitions = partitions.map(|(partition, (kept, progress))| GroupPartition {
        partition,
        lag: progress.lag(kept.next_offset()),
        in_flight: u64::from(progress.leased),
    });
    let partitions: Vec<_> = partitions.collect();
    TopicGroup {
        group: group.name.as_str().to_owned(),
        lag: partitions.iter().map(|partition| partition.lag).sum(),
        in_flight: partitions.iter().map(|partition| partition.in_flight).sum(),
        partitions,
    }
}
