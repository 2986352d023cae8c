//! Settling: both shapes of ack, nack and extend as one claim.

use super::{group, owner, required, topic, trimmed};
use crate::extract::FromQuery;
use crate::json;
use crate::problem::Problem;
use driftq_api::{
    AckQuery, AckRequest, ExtendQuery, ExtendRequest, FailureRequest, NackQuery, NackRequest, WholeMessage,
};
use driftq_core::{
    Ack, Claim, ErrorInfo, Extend, LEASE_DEFAULT, LEASE_MAX, LeaseId, Millis, Nack, Offset, PartitionId,
};

/// What a nack says when it gives no reason.
const NO_REASON: &str = "nack";
/// The longest message of an error that is kept.
const ERROR_MESSAGE_MAX: usize = 4 * 1024;
/// The longest class name of an error that is kept.
const ERROR_KIND_MAX: usize = 200;
/// The longest stack of an error that is kept.
const ERROR_STACK_MAX: usize = 32 * 1024;

impl FromQuery<AckQuery> for AckRequest {
    fn from_query(query: AckQuery) -> Result<Self, Problem> {
        Ok(query.into())
    }
}

impl FromQuery<NackQuery> for NackRequest {
    fn from_query(query: NackQuery) -> Result<Self, Problem> {
        Ok(query.into())
    }
}

impl FromQuery<ExtendQuery> for ExtendRequest {
    fn from_query(query: ExtendQuery) -> Result<Self, Problem> {
        Ok(query.into())
    }
}

pub(crate) fn ack(asked: AckRequest, bytes_max: usize) -> Result<Ack, Problem> {
    let named = WholeMessage {
        topic: asked.topic,
        group: asked.group,
        owner: asked.owner,
        partition: asked.partition,
        offset: asked.offset,
        lease_id: asked.lease_id,
    };
    let result = asked.result.as_deref().map(|result| json::minified("result", result)).transpose()?;
    if result.as_ref().is_some_and(|result| result.len() > bytes_max) {
        return Err(Problem::too_large(format!("result is larger than {bytes_max} bytes")));
    }
    Ok(Ack { claim: claim(named, asked.msg)?, result })
}

pub(crate) fn nack(asked: NackRequest) -> Result<Nack, Problem> {
    let named = WholeMessage {
        topic: asked.topic,
        group: asked.group,
        owner: asked.owner,
        partition: asked.partition,
        offset: asked.offset,
        lease_id: asked.lease_id,
    };
    Ok(Nack {
        claim: claim(named, asked.msg)?,
        error: error(asked.error, asked.reason.as_deref()),
        retry_after: asked.retry_after_ms.map(Millis),
        retryable: asked.retryable.unwrap_or(true),
    })
}

pub(crate) fn extend(asked: ExtendRequest) -> Result<Extend, Problem> {
    let named = WholeMessage {
        topic: asked.topic,
        group: asked.group,
        owner: asked.owner,
        partition: asked.partition,
        offset: asked.offset,
        lease_id: asked.lease_id,
    };
    Ok(Extend { claim: claim(named, asked.msg)?, lease: lease(asked.lease_ms)? })
}

/// A lease's length: 0 or absent is the default, shorter than the shortest is the shortest.
pub(crate) fn lease(given: Option<u64>) -> Result<Millis, Problem> {
    match given.unwrap_or(0) {
        0 => Ok(LEASE_DEFAULT),
        ms if ms > LEASE_MAX.0 => {
            Err(Problem::invalid(format!("lease_ms {ms} is longer than 12 hours ({})", LEASE_MAX.0)))
        }
        ms => Ok(Millis(ms).max(driftq_core::LEASE_MIN)),
    }
}

/// A lease as a worker names it. What is no id of ours is a lease that nobody holds.
pub(crate) fn lease_id(text: &str) -> LeaseId {
    text.trim().parse().unwrap_or_default()
}

/// The fields beside the message win over those in it.
fn claim(fields: WholeMessage, msg: Option<WholeMessage>) -> Result<Claim, Problem> {
    let msg = msg.unwrap_or_default();
    let partition =
        fields.partition.or(msg.partition).ok_or_else(|| Problem::invalid("partition is required"))?;
    let offset = fields.offset.or(msg.offset).ok_or_else(|| Problem::invalid("offset is required"))?;
    let owner_text = fields.owner.or(msg.owner);
    let lease = fields.lease_id.or(msg.lease_id);
    Ok(Claim {
        topic: topic(fields.topic.or(msg.topic).as_deref())?,
        group: group(fields.group.or(msg.group).as_deref())?,
        partition: PartitionId(partition),
        offset: Offset(offset),
        owner: owner(Some(required("owner", owner_text.as_deref())?))?,
        lease: trimmed(lease.as_deref()).map(lease_id),
    })
}

fn error(given: Option<FailureRequest>, reason: Option<&str>) -> ErrorInfo {
    let given = given.unwrap_or_default();
    let message = trimmed(Some(&given.message)).or(trimmed(reason)).unwrap_or(NO_REASON);
    ErrorInfo {
        message: cut(message, ERROR_MESSAGE_MAX),
        kind: given.kind.as_deref().map(|kind| cut(kind, ERROR_KIND_MAX)),
        stack: given.stack.as_deref().map(|stack| cut(stack, ERROR_STACK_MAX)),
    }
}

/// The beginning of a text, at most `max` bytes and whole characters.
fn cut(text: &str, max: usize) -> String {
    text.char_indices()
        .take_while(|(at, letter)| at + letter.len_utf8() <= max)
        .map(|(_, letter)| letter)
        .collect()
}
