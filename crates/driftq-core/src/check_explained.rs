//! Explanations against what happens: each message is explained, and then everything is leased on paper.
//!
//! Promise: nothing is changed. It costs the square of what is kept, so it runs in tests and in the simulation.

use crate::{
    Command, Entropy, Group, GroupName, LeaseMessages, MessageAt, MessageTarget, Millis, OwnerId,
    PartitionId, Reply, State, Topic, Why, decide,
};
use alloc::{format, string::String, vec::Vec};

/// Says where an explanation and a consumer would disagree.
///
/// # Errors
///
/// A sentence about the first message for which they do.
pub fn check_explained(state: &State) -> Result<(), String> {
    let is_due = state.timers.leases.first().is_some_and(|((until, _), ())| *until <= state.now)
        || state.next_wall().is_some_and(|at| at <= state.wall);
    if is_due {
        // What is due by itself is decided before any consumer is served.
        return Ok(());
    }
    for group in state.groups.values() {
        let Some(topic) = state.topics.get(&group.topic) else { continue };
        let leased = lease_all(state, group)?;
        for index in (0..topic.partition_count()).map(PartitionId) {
            let of_partition: Vec<MessageAt> =
                leased.iter().filter(|at| at.partition == index).copied().collect();
            let explained = expected(state, topic, &group.name, index)?;
            if of_partition != explained {
                let name = &topic.name;
                return Err(format!(
                    "group {} of {name}/{index} is handed {of_partition:?}, and explained to get {explained:?}",
                    group.name
                ));
            }
        }
    }
    Ok(())
}

/// What a consumer without bounds is handed, in order.
fn lease_all(state: &State, group: &Group) -> Result<Vec<MessageAt>, String> {
    let ask = LeaseMessages {
        group: group.id,
        owner: OwnerId::parse("nobody").map_err(|error| format!("{error}"))?,
        lease: Millis(1_000),
        max: u32::MAX,
        bytes_max: u64::MAX,
        worker_version: None,
    };
    match decide(state, Entropy(0), Command::Lease(ask)) {
        Ok((_, Reply::Leased(deliveries))) => Ok(deliveries.iter().map(|delivery| delivery.at).collect()),
        other => Err(format!("a lease was answered with {other:?}")),
    }
}

/// What the explanations say that it is handed, in order.
fn expected(
    state: &State,
    topic: &Topic,
    group: &GroupName,
    partition: PartitionId,
) -> Result<Vec<MessageAt>, String> {
    let Some(kept) = topic.partition(partition) else { return Ok(Vec::new()) };
    let mut due = Vec::new();
    let mut offset = kept.first;
    while offset < kept.next_offset() {
        let target = MessageTarget::Message {
            topic: topic.name.clone(),
            group: Some(group.clone()),
            partition,
            offset,
        };
        let explained = state.explain(&target).map_err(|rejection| format!("{target:?}: {rejection}"))?;
        match explained.why {
            Why::Due => due.push((0, explained.at)),
            Why::Behind(ahead) => due.push((ahead, explained.at)),
            Why::NoGroup => return Err(format!("{target:?} has its group")),
            Why::Removed
            | Why::Leased(_)
            | Why::Backoff(_)
            | Why::Delayed(_)
            | Why::Acked
            | Why::KeyAcked
            | Why::OtherGroup
            | Why::DeadLettered(..)
            | Why::RunEnded
            | Why::Expired(_) => {}
        }
        offset = offset.next();
    }
    due.sort_unstable();
    let places = due.iter().map(|(ahead, _)| *ahead);
    if !places.eq(0..due.len() as u64) {
        return Err(format!("the places of what is due are {due:?}"));
    }
    Ok(due.into_iter().map(|(_, at)| at).collect())
}
