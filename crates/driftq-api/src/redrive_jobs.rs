//! Bulk redrive: many dead letters moved by the server itself, at a rate, under somebody's eyes.

use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::DeadLetterAddress;

/// Which open dead letters a job moves; all that is given must fit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RedriveJobFilter {
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
    /// Refused: a job searches no text; list with `q` first, then name what is found, such as its fingerprint.
    #[serde(skip_serializing)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub q: Option<IgnoredAny>,
}

/// `POST /v1/dlq/redrive`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StartRedriveJobRequest {
    /// Which open dead letters; `{}` means all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<RedriveJobFilter>,
    /// How many a second, above 0 and at most 10 000; absent is 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_s: Option<f64>,
    /// Move so many first, and the rest only when those have ended well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<u64>,
    /// Halt when this share of those that ended died again: above 0, at most 1. It is looked at once ten have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_at_failure_share: Option<f64>,
    /// Only say what would be moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Why, for whoever looks at it later; at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer of `POST /v1/dlq/redrive` with `dry_run`: nothing was moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RedriveDryRun {
    /// `true`.
    pub dry_run: bool,
    /// How many a job would move.
    pub matched: u64,
    /// The first ones, at most five.
    pub sample: Vec<RedriveSample>,
}

/// One dead letter that a job would move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RedriveSample {
    /// Its own topic, `dlq.…`.
    pub topic: String,
    /// Its partition there.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// The topic it failed in.
    pub original_topic: String,
    /// The reasons, joined, the newest kept.
    pub last_error: String,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RedriveJobStatus {
    /// It moves messages, or waits for those it moved.
    Running,
    /// Somebody paused it; a resume goes on.
    Paused,
    /// Somebody stopped it for good.
    Stopped,
    /// It moved all there was, and all of that has ended.
    Done,
    /// Too many died again; a resume goes on all the same.
    Halted,
}

impl RedriveJobStatus {
    /// The status as it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Halted => "halted",
        }
    }

    /// Whether nothing can move it on.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Stopped | Self::Done => true,
            Self::Running | Self::Paused | Self::Halted => false,
        }
    }
}

/// What a job is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RedriveJobPhase {
    /// The first few, which are waited for.
    Canary,
    /// All the others.
    Rest,
}

/// A bulk redrive.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RedriveJob {
    /// Its id, `job_…`.
    pub job_id: String,
    /// How it stands.
    pub status: RedriveJobStatus,
    /// What it is at.
    pub phase: RedriveJobPhase,
    /// Which dead letters it moves, of those that were open when it began.
    pub filter: RedriveJobFilter,
    /// How many a second.
    pub rate_per_s: f64,
    /// How many are moved first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<u64>,
    /// It halts when this share of those that ended died again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_at_failure_share: Option<f64>,
    /// How many there were when it began.
    pub matched: u64,
    /// How many it moved.
    pub moved: u64,
    /// How many of those ended well.
    pub succeeded: u64,
    /// How many of those are dead again.
    pub failed: u64,
    /// How many of those were taken away before they ended: their run was cancelled, their topic deleted.
    #[serde(default)]
    pub withdrawn: u64,
    /// How many of those have not ended yet.
    pub waiting: u64,
    /// How many it passed over: closed meanwhile, or not to be moved.
    pub skipped: u64,
    /// When it began, epoch milliseconds.
    pub created_at_ms: u64,
    /// When it was over, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// Who began it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, as they said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it is paused, stopped or halted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// The newest dead letters it could not move, and why, at most five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<RedriveProblem>,
}

/// A dead letter that a job passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RedriveProblem {
    /// Which.
    pub dead_letter: DeadLetterAddress,
    /// Why.
    pub message: String,
}

/// The query of `GET /v1/dlq/jobs`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RedriveJobListQuery {
    /// Only jobs with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<RedriveJobStatus>,
    /// Where the page before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The answer of `GET /v1/dlq/jobs`: newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RedriveJobPage {
    /// The jobs.
    pub jobs: Vec<RedriveJob>,
    /// There is more; ask with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The query of `GET /v1/dlq/jobs/{job_id}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RedriveJobQuery {
    /// Wait up to so many milliseconds while it is `running`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// `POST /v1/dlq/jobs/{job_id}/pause`, `…/resume`, `…/stop`; an empty body is `{}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RedriveJobAct {
    /// Why, for whoever looks at it later; at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
