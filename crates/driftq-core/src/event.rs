//! What can stand on a run's timeline.
//!
//! Promise: an event is stored as what happened, not as its JSON: texts that are in the log already (an error, a
//! result) are referred to by position, and the edge renders them.

use crate::{
    Attempt, Instant, MessageAt, Millis, OwnerId, Position, ReplaySeq, StepName, WallTime, WorkflowName,
};
use alloc::{boxed::Box, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// One event, without the fields that all events share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// `run.created`.
    Created {
        /// The workflow.
        workflow: WorkflowName,
    },
    /// `worker.received`: the run's command was leased.
    Received {
        /// To whom.
        owner: OwnerId,
        /// The lease's end, wall clock.
        lease_until: WallTime,
    },
    /// `run.attempt_failed`; what the worker said is in the `Failed` record at `failure`.
    AttemptFailed {
        /// Nack, or the lease's end.
        cause: FailureCause,
        /// The `Failed` record.
        failure: Position,
        /// Attempts the policy allows; 0 = no limit.
        max_attempts: u32,
    },
    /// `run.retry_scheduled`.
    RetryScheduled {
        /// When, wall clock.
        at: WallTime,
        /// How long from now.
        delay: Millis,
        /// Which attempt it will be.
        next_attempt: Attempt,
        /// Attempts the policy allows; 0 = no limit.
        max_attempts: u32,
    },
    /// `run.dlq`.
    DeadLettered {
        /// Why.
        reason: crate::DeadLetterReason,
        /// The dead letter.
        at: MessageAt,
        /// The last `Failed` record, if an attempt failed.
        failure: Option<Position>,
    },
    /// `run.failed`.
    Failed {
        /// The last `Failed` record, if an attempt failed.
        failure: Option<Position>,
    },
    /// `run.succeeded`.
    Succeeded {
        /// The worker's result, minified JSON (`null` when it gave none).
        #[serde(with = "serde_bytes")]
        result: Vec<u8>,
    },
    /// `run.cancelled`.
    Cancelled {
        /// Who asked for it.
        actor: Option<String>,
    },
    /// `run.replay_requested`.
    ReplayRequested(Box<ReplayRequested>),
    /// `step.completed`; the output is in the `StepStored` record of the same batch.
    StepCompleted {
        /// The step.
        step: StepName,
        /// How long it took, when the worker said so.
        duration: Option<Millis>,
    },
    /// An event of the worker's: a flat JSON object with `type`, without the broker's own fields.
    Worker {
        /// The object, minified JSON.
        #[serde(with = "serde_bytes")]
        json: Vec<u8>,
    },
    /// A plain produce to the timeline's topic: an encoded `Content`.
    Produced {
        /// The content.
        #[serde(with = "serde_bytes")]
        content: Vec<u8>,
    },
}

/// See [`Event::ReplayRequested`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRequested {
    /// Who asked for it.
    pub actor: Option<String>,
    /// The first step that runs again.
    pub from_step: Option<StepName>,
    /// Top-level keys of the input that changed, or `input`.
    pub changed: Vec<String>,
    /// Which try it begins.
    pub replay_seq: ReplaySeq,
    /// When, core time.
    pub at: Instant,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureCause {
    /// The worker said so.
    Nack,
    /// The lease ended without an answer.
    LeaseExpired,
    /// The message's deadline passed while it was leased.
    DeadlineExceeded,
}

impl FailureCause {
    /// The word on the wire, as `reason` of `run.attempt_failed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nack => "error",
            Self::LeaseExpired => "lease_expired",
            Self::DeadlineExceeded => "deadline_exceeded",
        }
    }
}
