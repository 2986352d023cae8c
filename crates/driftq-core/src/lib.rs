//! The broker as a pure state machine: topics, groups, leases, retries, dead letters, idempotency and runs.
//!
//! Promise: [`decide`] looks at the state and answers with facts, [`apply`] turns facts into state and cannot fail.
//! Nothing here reads a clock, a disk, a socket or a random number: time is a fact, entropy an argument, and the
//! same records in the same order always make the same state. What it does *not* do: keep message bodies (they stay
//! in the log, the state holds positions), talk to anybody, or wait.
#![no_std]
#![warn(clippy::iter_over_hash_type)]

extern crate alloc;

mod audit;
mod broker;
mod check;
mod check_explained;
mod checkpoint;
mod closing;
mod coded;
mod command;
mod dead_index;
mod dead_letter;
mod dead_views;
mod digests;
mod draft;
mod event;
mod explain;
mod fingerprint;
mod group;
mod idempotency;
mod lease;
mod memos;
mod names;
mod packed;
mod partition;
mod parts;
mod pending;
mod produce;
mod progress;
mod record;
mod redrive;
mod redrive_drive;
mod redrive_job;
mod retry;
mod retry_now;
mod ring;
mod run;
mod run_replay;
mod runs;
mod scope;
mod seek;
mod settle;
mod state;
mod table;
mod timers;
mod topic;
mod topic_delete;
mod topic_settings;
mod units;
mod views;
mod visible;

pub use audit::{AUDIT_TOPIC, AuditEntry, Audited};
pub use broker::{apply, decide, decide_due};
pub use check::check;
pub use check_explained::check_explained;
pub use checkpoint::{CHECKPOINT_FORMAT, CheckpointError, Entity, EntityId, Frozen, Header};
pub use command::*;
pub use dead_letter::{AttemptRef, DeadLetterState, HISTORY_NEWEST_MAX};
pub use dead_views::{DeadLetterCursor, DeadLetterFilter, DeadLetterKind, KIND_NAMES_MAX};
pub use event::{Event, FailureCause, ReplayRequested};
pub use explain::{AHEAD_EXACT_MAX, Explained, Why};
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use group::{Group, Lease, Pending, Progress, Waiting};
pub use idempotency::{KeyDigest, KeyWindow};
pub use names::*;
pub use parts::Part;
pub use record::*;
pub use redrive_drive::decide_jobs;
pub use redrive_job::*;
pub use retry::{Entropy, RetryPolicy};
pub use retry_now::{MadeDue, WaitedFor, WasWaiting};
pub use run::{Replay, Run, RunDeadLetter, RunStatus, STEPS_MAX, StoredStep};
pub use runs::{Runs, Sealed};
pub use scope::Scope;
pub use seek::{GroupDeleted, GroupSought, SEEK_STRETCHES_MAX, SoughtPlace};
pub use state::{Limits, State};
pub use table::Table;
pub use topic::{Entry, Note, Partition, Topic, TopicKind};
pub use topic_delete::TopicDeleted;
pub use topic_settings::{
    Change, Effective, Patterns, PolicyPatch, Retention, RetentionPatch, Routing, RoutingPatch,
    SettingsPatch, TopicPattern, TopicSet, TopicSettings,
};
pub use units::*;
pub use views::*;
