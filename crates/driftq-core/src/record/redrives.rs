//! Facts of dead letters' fingerprints, closings and bulk redrives.
//!
//! Promise: as for all facts, nothing here is ever changed once a release has written it.

use super::{KeyMark, MessageAt};
#[cfg(doc)]
use crate::Record;
use crate::{
    Fingerprint, Instant, JobNo, JobStatus, Offset, PartitionId, RedriveSpec, RunNo, TopicId, WallTime,
};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// See [`Record::DeadLetterMarked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterMarked {
    /// Which.
    pub at: MessageAt,
    /// Its kind of failure.
    pub fingerprint: Fingerprint,
}

/// See [`Record::ClosingNoted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosingNoted {
    /// Which dead letter.
    pub at: MessageAt,
    /// When, wall clock.
    pub wall: WallTime,
    /// Who asked for it.
    pub actor: Option<String>,
    /// Why, as they said it.
    pub reason: Option<String>,
    /// Whether it went on with another value than its own.
    pub edited: bool,
    /// The bulk redrive that moved it.
    pub moved: Option<JobMove>,
}

/// One step of a bulk redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMove {
    /// The bulk redrive.
    pub job: JobNo,
    /// What to watch for its end.
    pub tracked: Tracked,
}

/// What became of a dead letter that was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tracked {
    /// A message.
    Message(MessageAt),
    /// A run's newest replay.
    Run(RunNo),
}

/// See [`Record::RedriveJobStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveJobStarted {
    /// Its ordinal.
    pub job: JobNo,
    /// What it moves, and how.
    pub spec: RedriveSpec,
    /// How many open dead letters it covers.
    pub matched: u64,
    /// Where they lie.
    pub spans: Vec<JobSpan>,
    /// When, core time.
    pub at: Instant,
    /// When, wall clock.
    pub wall: WallTime,
    /// Who asked for it.
    pub actor: Option<String>,
    /// Why, as they said it.
    pub reason: Option<String>,
    /// Its idempotency key.
    pub key: Option<KeyMark>,
    /// An older one that is over and no longer kept.
    pub forget: Option<JobNo>,
}

/// A stretch of dead letters: those of a partition below an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpan {
    /// Their topic.
    pub topic: TopicId,
    /// Their partition.
    pub partition: PartitionId,
    /// The first offset that belongs to it.
    pub from: Offset,
    /// The first offset behind it.
    pub until: Offset,
}

/// See [`Record::RedriveJobAdvanced`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveJobAdvanced {
    /// Which.
    pub job: JobNo,
    /// The span it looks through.
    pub span: u32,
    /// The offset from which it looks on there.
    pub from: Offset,
    /// When the next message is due, nanoseconds of core time.
    pub due_ns: u64,
    /// It rests until then, core time.
    pub not_before: Instant,
    /// Dead letters that could not be moved, and why.
    pub problems: Vec<(MessageAt, String)>,
}

/// See [`Record::RedriveJobChanged`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveJobChanged {
    /// Which.
    pub job: JobNo,
    /// To what.
    pub to: JobStatus,
    /// Whether the canary is behind it.
    pub is_past_canary: bool,
    /// When, core time.
    pub at: Instant,
    /// When, wall clock.
    pub wall: WallTime,
    /// Who asked for it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// See [`Record::RedriveEnded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveEnded {
    /// The bulk redrive that moved it.
    pub job: JobNo,
    /// What ended.
    pub tracked: Tracked,
    /// How.
    pub outcome: RedriveOutcome,
}

/// How a moved dead letter ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedriveOutcome {
    /// It was acked, or its run succeeded.
    Succeeded,
    /// It is a dead letter again, or its run failed again.
    DeadAgain,
    /// It was taken away before: its run was cancelled.
    Withdrawn,
}
