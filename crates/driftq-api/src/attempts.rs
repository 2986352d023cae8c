//! Attempts and what differs between two of them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{AttemptRecord, Failure};

/// How an attempt of a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AttemptOutcome {
    /// A worker has it.
    Running,
    /// It gave the run's result.
    Succeeded,
    /// The worker said so.
    Failed,
    /// Its lease ended without an answer.
    LeaseExpired,
    /// Its run was cancelled.
    Cancelled,
}

impl AttemptOutcome {
    /// The outcome as it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::LeaseExpired => "lease_expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One attempt of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunAttempt {
    /// The replay it belongs to, from 0.
    pub replay_seq: u32,
    /// Its number in that replay, from 1.
    pub attempt: u32,
    /// Who had the command.
    pub owner: String,
    /// The release of the worker, when it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_version: Option<String>,
    /// When it was handed out, epoch milliseconds.
    pub started_at_ms: u64,
    /// When it ended, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What went wrong, without its stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The steps that finished in it, in order.
    #[serde(default)]
    pub steps: Vec<String>,
}

/// The query of `GET /v1/runs/{run_id}/attempts`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RunAttemptQuery {
    /// Where the page before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The answer of `GET /v1/runs/{run_id}/attempts`: oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunAttemptPage {
    /// The attempts.
    pub attempts: Vec<RunAttempt>,
    /// There is more; ask with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The query of `GET /v1/runs/{run_id}/diff`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RunDiffQuery {
    /// `<replay>` or `<replay>.<attempt>`; absent is the newest attempt that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<String>,
    /// `<replay>` or `<replay>.<attempt>`; absent is the newest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<String>,
}

/// The answer of `GET /v1/runs/{run_id}/diff`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDiff {
    /// The one.
    pub a: RunAttempt,
    /// The other.
    pub b: RunAttempt,
    /// What differs.
    pub changed: Vec<Difference>,
    /// The fields that are the same.
    pub same: Vec<String>,
}

/// The query of `GET /v1/dlq/{topic}/{partition}/{offset}/diff`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct DeadLetterDiffQuery {
    /// The number of an attempt; absent is the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<u32>,
    /// The number of an attempt; absent is the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<u32>,
}

/// The answer of `GET /v1/dlq/{topic}/{partition}/{offset}/diff`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterDiff {
    /// The one.
    pub a: AttemptRecord,
    /// The other.
    pub b: AttemptRecord,
    /// What differs.
    pub changed: Vec<Difference>,
    /// The fields that are the same.
    pub same: Vec<String>,
}

/// One thing in which two attempts differ.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Difference {
    /// `owner`, `worker_version`, `duration_ms`, `outcome`, `error.message`, `error.type`, `steps` or `input`.
    pub field: String,
    /// Where in that field, as a JSON pointer; absent means all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the one has; `null` when it has nothing there.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub a: Box<RawValue>,
    /// What the other has; `null` when it has nothing there.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub b: Box<RawValue>,
}
