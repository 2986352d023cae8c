//! Dead letters: what failed for good, with every attempt, until it is redriven or discarded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{DeadLetterAddress, Failure, absent};

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeadLetterState {
    /// It waits for somebody.
    Open,
    /// It was produced anew.
    Redriven,
    /// Its run was replayed.
    Replayed,
    /// It was given up.
    Discarded,
}

impl DeadLetterState {
    /// The state as it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Redriven => "redriven",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}

/// The query of `GET /v1/dlq`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct DeadLetterQuery {
    /// Only those that failed in this topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Only those that this group failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only those of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Only those with this reason: `max_attempts`, `deadline_exceeded` or `non_retryable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only those with this fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Only those of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Only those that failed at this time or later, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Only those that failed before this time, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Only those with this text in their key, value or last error, upper and lower case alike; 1 to 200 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Where the page before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The query of `GET /v1/dlq/fingerprints`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct FingerprintQuery {
    /// Only those that failed in this topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Only those that this group failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only those of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Only those with this reason: `max_attempts`, `deadline_exceeded` or `non_retryable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only this fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Only those of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Only those that failed at this time or later, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// Only those that failed before this time, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Where the page before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The answer of `GET /v1/dlq/fingerprints`: kinds of failure among the open dead letters, the most frequent first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FingerprintPage {
    /// The kinds.
    pub fingerprints: Vec<Fingerprint>,
    /// There is more; ask with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Open dead letters whose newest errors read alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fingerprint {
    /// 16 hex digits: the newest error's type and message, with numbers, ids and quoted parts blanked.
    pub fingerprint: String,
    /// How many there are.
    pub count: u64,
    /// The newest one's error, without its stack.
    pub error: Failure,
    /// The newest one's reason.
    pub reason: String,
    /// When the oldest failed, epoch milliseconds.
    pub first_at_ms: u64,
    /// When the newest failed, epoch milliseconds.
    pub last_at_ms: u64,
    /// The topics they failed in, at most ten.
    pub topics: Vec<String>,
    /// The groups that failed them, at most ten.
    pub groups: Vec<String>,
    /// The newest one.
    pub sample: DeadLetterAddress,
}

/// The answer of `GET /v1/dlq`: open dead letters.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterPage {
    /// The dead letters.
    pub items: Vec<DeadLetter>,
    /// There is more; ask with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A dead letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetter {
    /// Its own topic, `dlq.…`.
    pub topic: String,
    /// Its partition there.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// The topic it failed in.
    pub original_topic: String,
    /// Its partition there.
    pub original_partition: u32,
    /// Its offset there.
    pub original_offset: u64,
    /// The group that failed it; empty when its deadline passed without one.
    pub group: String,
    /// `max_attempts`, `deadline_exceeded` or `non_retryable`.
    pub reason: String,
    /// How often it was delivered.
    pub attempts: u32,
    /// The reasons, joined, the newest kept.
    pub last_error: String,
    /// 16 hex digits: the newest error's type and message, with numbers, ids and quoted parts blanked.
    #[serde(default)]
    pub fingerprint: String,
    /// When it became a dead letter, epoch milliseconds.
    pub routed_at_ms: u64,
    /// The run it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The tenant it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Its key; empty when there is none.
    pub key: String,
    /// Its value, as it was produced.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub value: Box<RawValue>,
    /// Its headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What became of it.
    pub state: DeadLetterState,
}

/// The answer of `GET /v1/dlq/{topic}/{partition}/{offset}`: a dead letter and its attempts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterDetail {
    /// Its own topic, `dlq.…`.
    pub topic: String,
    /// Its partition there.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// The topic it failed in.
    pub original_topic: String,
    /// Its partition there.
    pub original_partition: u32,
    /// Its offset there.
    pub original_offset: u64,
    /// The group that failed it; empty when its deadline passed without one.
    pub group: String,
    /// `max_attempts`, `deadline_exceeded` or `non_retryable`.
    pub reason: String,
    /// How often it was delivered.
    pub attempts: u32,
    /// The reasons, joined, the newest kept.
    pub last_error: String,
    /// 16 hex digits: the newest error's type and message, with numbers, ids and quoted parts blanked.
    #[serde(default)]
    pub fingerprint: String,
    /// When it became a dead letter, epoch milliseconds.
    pub routed_at_ms: u64,
    /// The run it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The tenant it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Its key; empty when there is none.
    pub key: String,
    /// Its value, as it was produced.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub value: Box<RawValue>,
    /// Its headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What became of it.
    pub state: DeadLetterState,
    /// How it left the list, when it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<DeadLetterClosing>,
    /// The first attempt and the newest ones, in order.
    pub history: Vec<AttemptRecord>,
}

/// How a dead letter left the list of open ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterClosing {
    /// `redriven`, `replayed` or `discarded`.
    pub state: DeadLetterState,
    /// When, epoch milliseconds; absent when an older release closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, as they said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The job that moved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Where its message is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redriven_to: Option<DeadLetterAddress>,
    /// Whether it was redriven with another value than its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<bool>,
    /// The replay of its run that began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_seq: Option<u32>,
}

/// One attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptRecord {
    /// Its number, from 1.
    pub attempt: u32,
    /// Who had the message.
    pub owner: String,
    /// When it was handed out, epoch milliseconds.
    pub started_at_ms: u64,
    /// When it failed, epoch milliseconds.
    pub ended_at_ms: u64,
    /// `error`, `lease_expired`, or what the worker said.
    pub reason: String,
    /// What went wrong.
    pub error: Failure,
    /// The release of the worker, when it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_version: Option<String>,
}

/// `POST /v1/dlq/{topic}/{partition}/{offset}/redrive`; an empty body is `{}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RedriveRequest {
    /// Another value; not for a run's dead letter.
    #[serde(default, deserialize_with = "absent::json", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub value: Option<Box<RawValue>>,
    /// Another topic, then for all of its groups; not for a run's dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_topic: Option<String>,
    /// For every group, not only the one that failed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_groups: Option<bool>,
    /// Why, for whoever looks at it later; at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer of a redrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RedriveResponse {
    /// The message was produced anew.
    Redriven {
        /// The topic that has it.
        topic: String,
        /// Its partition.
        partition: u32,
        /// Its offset.
        offset: u64,
        /// Its id.
        message_id: String,
    },
    /// It belonged to a run, which was replayed.
    Replayed {
        /// The run.
        run_id: String,
        /// The number of the replay that began.
        replay_seq: u32,
    },
}

/// `POST /v1/dlq/{topic}/{partition}/{offset}/discard`; an empty body is `{}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiscardRequest {
    /// Why it is given up; at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer of a discard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiscardResponse {
    /// `discarded`.
    pub status: String,
}

/// The query of `GET /v1/runs/{run_id}/dlq`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RunDeadLetterQuery {
    /// Which replay; absent is the newest that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_seq: Option<u32>,
}

/// The answer of `GET /v1/runs/{run_id}/dlq`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDeadLetter {
    /// `runs.dlq`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The run.
    pub run_id: String,
    /// The replay that failed.
    pub replay_seq: u32,
    /// `max_attempts`, `deadline_exceeded` or `non_retryable`.
    pub reason: String,
    /// The last failure.
    pub error: Failure,
    /// The command that failed, as workers got it.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub command: Box<RawValue>,
    /// The first attempt and the newest ones, in order.
    pub attempts: Vec<AttemptRecord>,
    /// What became of it.
    pub state: DeadLetterState,
    /// Its own topic, `dlq.…`.
    pub topic: String,
    /// Its partition there.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// When it became a dead letter, epoch milliseconds.
    pub routed_at_ms: u64,
}
