//! Topics: how much is in them, and how far their groups have come.

use super::policy;
use driftq_api::{
    GroupPartition, Retention, RetryPolicy, Routing, Topic, TopicGroup, TopicPartition, TopicSettings,
    TopicSummary,
};
use driftq_core::{Effective, Group, State};

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
    let effective = state.effective(topic);
    Topic {
        name: topic.name.as_str().to_owned(),
        partitions: partitions.collect(),
        groups: state.groups_of(topic.id).map(|found| group(topic, found)).collect(),
        settings: topic.settings().map(own).unwrap_or_default(),
        pattern: effective.pattern.map(str::to_owned),
        effective: in_force(&effective),
    }
}

/// A topic's own settings.
fn own(settings: &driftq_core::TopicSettings) -> TopicSettings {
    TopicSettings {
        retry_policy: settings.policy.as_ref().map(policy),
        idempotency_window_ms: settings.key_window.map(|window| window.0),
        partition_max_messages: settings.partition_messages_max,
        partition_max_bytes: settings.partition_bytes_max,
        retention: settings.retention.map(retention),
        routing: settings.routing.as_deref().map(routing),
    }
}

fn in_force(effective: &Effective<'_>) -> TopicSettings {
    TopicSettings {
        retry_policy: Some(effective.policy.as_ref().map_or_else(RetryPolicy::default, policy)),
        idempotency_window_ms: Some(effective.key_window.0),
        partition_max_messages: Some(effective.partition_messages_max.unwrap_or(0)),
        partition_max_bytes: Some(effective.partition_bytes_max.unwrap_or(0)),
        retention: Some(effective.retention.map(retention).unwrap_or_default()),
        routing: effective.routing.map(|mark| routing(mark)),
    }
}

fn retention(kept: driftq_core::Retention) -> Retention {
    Retention {
        age_ms: kept.age.map(|age| age.0),
        bytes: kept.bytes,
        dead_letter_age_ms: kept.dead_letter_age.map(|age| age.0),
        enforced: false,
    }
}

pub(crate) fn routing(mark: &driftq_core::Routing) -> Routing {
    Routing { label: mark.label.clone(), meta: mark.meta.clone() }
}

pub(crate) fn group(topic: &driftq_core::Topic, group: &Group) -> TopicGroup {
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
