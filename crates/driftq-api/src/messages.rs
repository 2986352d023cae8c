//! One message under the glass: why it is not running, and how to make it due at once.

use serde::{Deserialize, Serialize};

use crate::{DeadLetterState, RunStatus};

/// `POST /v1/retry-now` as JSON: a message by its place, or a run by its id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryNowRequest {
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The group whose backoff ends; may be left out for a delayed message, whose delay ends for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Its offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The run whose command it is, instead of the four above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Why somebody asks, at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /v1/retry-now` as a query.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RetryNowQuery {
    /// The topic.
    pub topic: Option<String>,
    /// The group whose backoff ends; may be left out for a delayed message, whose delay ends for all.
    pub group: Option<String>,
    /// Its partition.
    pub partition: Option<u32>,
    /// Its offset.
    pub offset: Option<u64>,
    /// The run whose command it is, instead of the four above.
    pub run_id: Option<String>,
    /// Why somebody asks, at most 1 KiB.
    pub reason: Option<String>,
}

impl From<RetryNowQuery> for RetryNowRequest {
    fn from(query: RetryNowQuery) -> Self {
        Self {
            topic: query.topic,
            group: query.group,
            partition: query.partition,
            offset: query.offset,
            run_id: query.run_id,
            reason: query.reason,
        }
    }
}

/// The answer of `POST /v1/retry-now`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryNowResponse {
    /// `due`.
    pub status: String,
    /// What it waited for.
    pub was: RetryNowWas,
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// The group whose wait ended; absent when a delay ended for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What a message waited for before somebody made it due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RetryNowWas {
    /// The end of a backoff.
    Backoff,
    /// The end of its delay.
    Delayed,
    /// Nothing: it was due already.
    Due,
}

impl RetryNowWas {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backoff => "backoff",
            Self::Delayed => "delayed",
            Self::Due => "due",
        }
    }
}

/// The query of `GET /v1/explain`: a message by its place, or a run by its id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ExplainQuery {
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Its offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The group that should get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The run whose command it is, instead of the four above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

/// The answer of `GET /v1/explain`: how a message stands with a group, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Explanation {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// The group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The run whose command it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// How it stands.
    pub state: ExplainState,
    /// Why.
    pub code: ExplainCode,
    /// The same in one sentence for people.
    pub message: String,
    /// When that ends by itself, epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<ExplainedLease>,
    /// How often the group was handed it, as far as that is still known; 0 once it is settled and forgotten.
    pub attempts: u32,
    /// How often it may be handed out; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// The reasons of its failures, joined, the newest kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How many messages of its partition the group is handed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
    /// How many consumers of the group are connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<u64>,
    /// Where it went when it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<ExplainedDeadLetter>,
    /// How its run stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_status: Option<RunStatus>,
}

/// How a message stands with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ExplainState {
    /// It was not handed out yet, or waits for the next time.
    Waiting,
    /// Somebody works on it.
    Leased,
    /// The group is done with it.
    Settled,
    /// It was given up.
    DeadLettered,
    /// It is not kept any more.
    Removed,
}

impl ExplainState {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Leased => "leased",
            Self::Settled => "settled",
            Self::DeadLettered => "dead_lettered",
            Self::Removed => "removed",
        }
    }
}

/// Why a message stands as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ExplainCode {
    /// Somebody holds it until `until_ms`.
    Leased,
    /// It failed and is tried again at `until_ms`.
    Backoff,
    /// It becomes visible at `until_ms`.
    Delayed,
    /// It is visible, and `ahead` messages come first.
    Behind,
    /// A consumer gets it next; some are connected.
    Due,
    /// A consumer would get it next, and none is connected.
    NoConsumer,
    /// Nobody ever read the topic with that group.
    NoGroup,
    /// The group acked it, or moved past it.
    Acked,
    /// The group acked another message with the same idempotency key, or it is another group's redrive.
    SkippedDuplicate,
    /// It was given up.
    DeadLettered,
    /// Its run has ended, or was started again.
    RunEnded,
    /// Its deadline passed.
    Expired,
}

impl ExplainCode {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::Backoff => "backoff",
            Self::Delayed => "delayed",
            Self::Behind => "behind",
            Self::Due => "due",
            Self::NoConsumer => "no_consumer",
            Self::NoGroup => "no_group",
            Self::Acked => "acked",
            Self::SkippedDuplicate => "skipped_duplicate",
            Self::DeadLettered => "dead_lettered",
            Self::RunEnded => "run_ended",
            Self::Expired => "expired",
        }
    }
}

/// Who holds a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExplainedLease {
    /// Who.
    pub owner: String,
    /// By which lease.
    pub lease_id: String,
    /// Until when, epoch milliseconds.
    pub until_ms: u64,
}

/// Where a message went when it was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExplainedDeadLetter {
    /// The dead letter's topic.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// What became of it.
    pub state: DeadLetterState,
}
