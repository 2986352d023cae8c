//! Which message is asked about, and where a group is to read on.

use super::{group, required, topic, trimmed};
use crate::problem::Problem;
use driftq_api::{ExplainQuery, RetryNowRequest, SeekQuery, SeekRequest, SeekTo};
use driftq_core::{GroupName, MessageTarget, Offset, PartitionId, RunId};

/// The message that is to be retried now.
pub(crate) fn retried(asked: &RetryNowRequest) -> Result<MessageTarget, Problem> {
    target(
        asked.run_id.as_deref(),
        (asked.topic.as_deref(), asked.group.as_deref()),
        (asked.partition, asked.offset),
    )
}

/// The message that is to be explained.
pub(crate) fn explained(asked: &ExplainQuery) -> Result<MessageTarget, Problem> {
    target(
        asked.run_id.as_deref(),
        (asked.topic.as_deref(), asked.group.as_deref()),
        (asked.partition, asked.offset),
    )
}

fn target(
    run_id: Option<&str>,
    names: (Option<&str>, Option<&str>),
    place: (Option<u32>, Option<u64>),
) -> Result<MessageTarget, Problem> {
    if let Some(run_id) = trimmed(run_id) {
        let is_both = trimmed(names.0).or(trimmed(names.1)).is_some() || place != (None, None);
        if is_both {
            return Err(Problem::invalid("run_id says it all; leave topic, group, partition and offset out"));
        }
        return Ok(MessageTarget::Run(RunId::parse(run_id)?));
    }
    let needed = |name: &str| Problem::invalid(format!("{name} is required, or run_id instead"));
    if trimmed(names.0).is_none() {
        return Err(needed("topic"));
    }
    Ok(MessageTarget::Message {
        topic: topic(names.0)?,
        group: trimmed(names.1).map(GroupName::parse).transpose()?,
        partition: PartitionId(place.0.ok_or_else(|| needed("partition"))?),
        offset: Offset(place.1.ok_or_else(|| needed("offset"))?),
    })
}

/// A seek as its query says it.
pub(crate) fn seek(query: SeekQuery) -> Result<SeekRequest, Problem> {
    let to = match (trimmed(query.to.as_deref()), query.partition, query.offset, query.time_ms) {
        (Some(word), None, None, None) => Some(
            SeekTo::word(word)
                .ok_or_else(|| Problem::invalid(format!("to must be earliest or latest, not {word:?}")))?,
        ),
        (None, Some(partition), Some(offset), None) => Some(SeekTo::Offset { partition, offset }),
        (None, None, None, Some(time_ms)) => Some(SeekTo::Time { time_ms }),
        (None, None, None, None) => None,
        (_, _, _, _) => {
            return Err(Problem::invalid("send one of: to, partition with offset, time_ms"));
        }
    };
    Ok(SeekRequest { topic: query.topic, group: query.group, to, reason: query.reason })
}

/// Where a seek goes; it has to be said.
pub(crate) fn seek_to(asked: Option<SeekTo>) -> Result<SeekTo, Problem> {
    asked.ok_or_else(|| {
        Problem::invalid(
            "to is required: \"earliest\", \"latest\", {\"partition\",\"offset\"} or {\"time_ms\"}",
        )
    })
}

/// A topic and a group that have to be named.
pub(crate) fn reader(
    topic_name: Option<&str>,
    group_name: Option<&str>,
) -> Result<(driftq_core::TopicName, GroupName), Problem> {
    required("topic", topic_name)?;
    Ok((topic(topic_name)?, group(group_name)?))
}
