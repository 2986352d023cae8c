//! Runs: a piece of work with a name, a status, steps, replays and a timeline.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Failure, RetryPolicy, RetryPolicyRequest, absent};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RunStatus {
    /// Its command waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// An attempt failed, the next one waits for its time.
    Retrying,
    /// Parked until a time, a signal or a child.
    Waiting,
    /// Terminal: it has a result.
    Succeeded,
    /// Terminal: it is out of attempts.
    Failed,
    /// Terminal: somebody stopped it.
    Cancelled,
}

impl RunStatus {
    /// The status as it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether only a replay can move it on.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Running | Self::Retrying | Self::Waiting => false,
        }
    }
}

/// `POST /v1/runs`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StartRunRequest {
    /// Which workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Its input, any JSON; absent is `null`.
    #[serde(default, deserialize_with = "absent::json", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub input: Option<Box<RawValue>>,
    /// The run's id; absent, the server makes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The same key within the window starts one run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What the key stands for: the same key with another fingerprint is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_fingerprint: Option<String>,
    /// The tenant it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Where its command goes; absent is `runs.commands`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The group whose deliveries move it; absent is `workers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How it is tried again; filled field by field from the defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicyRequest>,
    /// Start it only at this time, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_at_ms: Option<u64>,
    /// To find it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// The answer of `POST /v1/runs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StartRunResponse {
    /// The run.
    pub run_id: String,
    /// Where it stands.
    pub status: RunStatus,
    /// Its replay: 0.
    pub replay_seq: u32,
    /// The topic with its timeline.
    pub events_topic: String,
    /// When it was created, epoch milliseconds.
    pub created_at_ms: u64,
    /// Which workflow.
    #[serde(default)]
    pub workflow: String,
    /// Where its command went.
    #[serde(default)]
    pub topic: String,
    /// The group whose deliveries move it.
    #[serde(default)]
    pub group: String,
    /// The tenant it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
}

/// The query of `GET /v1/runs`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RunListQuery {
    /// Only runs with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// Only runs of this workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Only runs of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Only runs with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Where the page before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The answer of `GET /v1/runs`: newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunSummary>,
    /// There is more; ask with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunSummary {
    /// The run.
    pub run_id: String,
    /// Which workflow.
    pub workflow: String,
    /// Where it stands.
    pub status: RunStatus,
    /// Its newest replay, from 0.
    pub replay_seq: u32,
    /// Attempts of that replay so far.
    pub attempts: u32,
    /// The topic with its timeline.
    pub events_topic: String,
    /// When it was created, epoch milliseconds.
    pub created_at_ms: u64,
    /// When a worker first had it, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// When it became terminal, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// The tenant it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// To find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// The query of `GET /v1/runs/{run_id}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RunQuery {
    /// Wait up to so many milliseconds until it is terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// The answer of `GET /v1/runs/{run_id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// The run.
    pub run_id: String,
    /// Which workflow.
    pub workflow: String,
    /// Where it stands.
    pub status: RunStatus,
    /// Its newest replay, from 0.
    pub replay_seq: u32,
    /// Attempts of that replay so far.
    pub attempts: u32,
    /// The topic with its timeline.
    pub events_topic: String,
    /// When it was created, epoch milliseconds.
    pub created_at_ms: u64,
    /// When a worker first had it, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// When it became terminal, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// The tenant it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// To find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where its command goes.
    pub topic: String,
    /// The group whose deliveries move it.
    pub group: String,
    /// How it is tried again.
    pub retry_policy: RetryPolicy,
    /// The input of its newest replay.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub input: Box<RawValue>,
    /// What it came to, once it succeeded.
    #[serde(default, deserialize_with = "absent::json", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub result: Option<Box<RawValue>>,
    /// The newest failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Its finished steps, in the order in which they finished.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Its replays, the first start included.
    #[serde(default)]
    pub replays: Vec<ReplaySummary>,
}

/// A finished step.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Its name.
    pub step: String,
    /// The replay that finished it.
    pub replay_seq: u32,
    /// The attempt that finished it.
    pub attempt: u32,
    /// When, epoch milliseconds.
    pub completed_at_ms: u64,
    /// How long it took, in milliseconds, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What it stored.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub output: Box<RawValue>,
}

/// One replay of a run; 0 is the first start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplaySummary {
    /// Its number.
    pub replay_seq: u32,
    /// How it ended, or where it stands.
    pub status: RunStatus,
    /// When a worker first had it, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// When it ended, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
}

/// `POST /v1/runs/{run_id}/replay`; an empty body is `{}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayRequest {
    /// Another input.
    #[serde(default, deserialize_with = "absent::json", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub input: Option<Box<RawValue>>,
    /// Changes to the input, RFC 7396.
    #[serde(default, deserialize_with = "absent::json", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub patch: Option<Box<RawValue>>,
    /// Forget this step and all that finished after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_step: Option<String>,
    /// Forget every step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh: Option<bool>,
    /// Who asks, for the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, at most 1 KiB; kept with the dead letter that is closed, and in the audit log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer of `POST /v1/runs/{run_id}/replay`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayResponse {
    /// The run.
    pub run_id: String,
    /// The number of the replay that began.
    pub replay_seq: u32,
    /// Where the run stands now.
    pub status: RunStatus,
}

/// The body of `POST /v1/runs/{run_id}/token`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunTokenRequest {
    /// How long the token is good for, in milliseconds; absent is ten minutes, a day at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

/// The answer of `POST /v1/runs/{run_id}/token`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunTokenResponse {
    /// A token that reads this run and nothing else; sent like any other, never in a URL.
    pub token: String,
    /// The run.
    pub run_id: String,
    /// When it ends, epoch milliseconds.
    pub expires_at_ms: u64,
}

/// `POST /v1/runs/{run_id}/cancel`; all of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CancelRunRequest {
    /// Who asks, for the audit log, when neither a token nor a header tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, for the audit log, at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer of `POST /v1/runs/{run_id}/cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CancelRunResponse {
    /// The run.
    pub run_id: String,
    /// The replay that was stopped.
    pub replay_seq: u32,
    /// `cancelled`.
    pub status: RunStatus,
}

/// `PUT /v1/runs/{run_id}/steps/{step}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepRequest {
    /// The live lease of the run's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<String>,
    /// What the step came to, any JSON; absent is `null`.
    #[serde(default, deserialize_with = "absent::json", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub output: Option<Box<RawValue>>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// The answer of `PUT /v1/runs/{run_id}/steps/{step}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepResponse {
    /// Its name.
    pub step: String,
    /// Whether this request stored it; `false`: it was finished before, `output` is what it stored.
    pub stored: bool,
    /// What is stored.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub output: Box<RawValue>,
}

/// The answer of `GET /v1/runs/{run_id}/steps`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepPage {
    /// Its finished steps, in the order in which they finished.
    pub steps: Vec<Step>,
}
