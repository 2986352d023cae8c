//! Facts: all that can have happened, as it stands in the log.
//!
//! Promise: a record states what was decided and never asks again; no fact copies a body that is in the log already,
//! it refers to it by position. The encoding is postcard's (<https://postcard.jamesmunns.com/wire-format>): variants
//! are numbered in the order written here. A release adds variants at the end and never changes one.

mod redrives;

pub use redrives::*;

use crate::{
    Attempt, Event, GroupId, GroupName, Instant, KeyDigest, LeaseId, Millis, Offset, OwnerId, PartitionId,
    Position, ReplaySeq, RetryPolicy, RunId, RunNo, StepName, TenantId, TopicId, TopicKind, TopicName,
    WallTime, WorkflowName,
};
use alloc::{boxed::Box, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// One fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A broker started; leases given out from here on carry this epoch.
    Started(Started),
    /// Time went on.
    TimeAdvanced(TimeAdvanced),
    /// A topic was made.
    TopicCreated(TopicCreated),
    /// A message was appended to a partition.
    MessageAppended(Box<MessageAppended>),
    /// A delayed message became visible.
    MessageDue(MessageAt),
    /// A group began to read a topic.
    GroupCreated(GroupCreated),
    /// A group is still wanted.
    GroupTouched(GroupTouched),
    /// A group nobody used was forgotten.
    GroupForgotten(GroupId),
    /// A message was leased to an owner.
    Delivered(Box<Delivered>),
    /// A lease's end was moved.
    Extended(Extended),
    /// A group is done with a message.
    Acked(Acked),
    /// An attempt failed.
    Failed(Box<Failed>),
    /// A lease was given back unwritten; it does not count.
    GivenBack(MessageOf),
    /// A message was settled for a group without a delivery.
    Skipped(Skipped),
    /// A dead letter was appended.
    DeadLettered(Box<DeadLettered>),
    /// A dead letter left the list of open ones.
    DeadLetterClosed(DeadLetterClosed),
    /// A message's deadline passed before all groups were done with it.
    DeadlinePassed(MessageAt),
    /// The oldest idempotency keys left their window.
    KeysForgotten(u32),
    /// A run was created.
    RunCreated(Box<RunCreated>),
    /// An event was appended to a run's timeline.
    EventAppended(Box<EventAppended>),
    /// A run was started again.
    RunReplayed(Box<RunReplayed>),
    /// A step's output was stored.
    StepStored(Box<StepStored>),
    /// A record was appended again at the tail so that its old place can be released.
    Carried(Carried),
    /// A dead letter got its fingerprint.
    DeadLetterMarked(DeadLetterMarked),
    /// Who closed a dead letter, when and why.
    ClosingNoted(Box<ClosingNoted>),
    /// A bulk redrive began.
    RedriveJobStarted(Box<RedriveJobStarted>),
    /// A bulk redrive looked on: where it goes on, and when.
    RedriveJobAdvanced(Box<RedriveJobAdvanced>),
    /// A bulk redrive stands differently.
    RedriveJobChanged(Box<RedriveJobChanged>),
    /// What a bulk redrive moved has ended.
    RedriveEnded(RedriveEnded),
    /// A topic's own settings are these from now on.
    TopicSet(Box<crate::TopicSet>),
    /// A topic was deleted, with all that was in it.
    TopicDeleted(Box<crate::TopicDeleted>),
    /// A group was moved to another place.
    GroupSought(Box<crate::GroupSought>),
    /// A group was deleted.
    GroupDeleted(Box<crate::GroupDeleted>),
    /// A backoff or a delay was ended by somebody.
    MadeDue(Box<crate::MadeDue>),
}

/// See [`Record::Started`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The log's epoch.
    pub epoch: u32,
    /// The release that wrote it.
    pub release: String,
}

/// See [`Record::TimeAdvanced`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeAdvanced {
    /// Core time.
    pub now: Instant,
    /// Wall-clock time.
    pub wall: WallTime,
}

/// See [`Record::TopicCreated`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicCreated {
    /// Its incarnation.
    pub topic: TopicId,
    /// Its name.
    pub name: TopicName,
    /// How many partitions.
    pub partitions: u32,
    /// What it is for.
    pub kind: TopicKind,
}

/// A message's one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageAt {
    /// The topic's incarnation.
    pub topic: TopicId,
    /// The partition.
    pub partition: PartitionId,
    /// The offset.
    pub offset: Offset,
}

/// A message as one group sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageOf {
    /// The group.
    pub group: GroupId,
    /// The partition.
    pub partition: PartitionId,
    /// The offset.
    pub offset: Offset,
}

/// See [`Record::MessageAppended`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageAppended {
    /// Where.
    pub at: MessageAt,
    /// When, by the wall clock.
    pub wall: WallTime,
    /// Bytes it counts for.
    pub bytes: u32,
    /// How it is retried; `None` without a policy.
    pub policy: Option<RetryPolicy>,
    /// Not visible before.
    pub due: Option<WallTime>,
    /// Dead-lettered when not acked by all groups before.
    pub deadline: Option<WallTime>,
    /// Its idempotency key.
    pub key: Option<KeyMark>,
    /// The only group that reads it (a redrive), by name.
    pub only_group: Option<GroupName>,
    /// The run whose command it is.
    pub run: Option<RunOf>,
    /// Its priority; 0 is normal.
    pub priority: u8,
    /// Its tenant.
    pub tenant: Option<TenantId>,
    /// What it says.
    pub body: Body,
}

/// An idempotency key as the window keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMark {
    /// Digest of scope and key.
    pub digest: KeyDigest,
    /// Digest of the explicit fingerprint, 0 without one; `u64::MAX` when no window keeps the key.
    pub fingerprint: u64,
}

/// One try of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunOf {
    /// The run.
    pub run: RunNo,
    /// The replay.
    pub replay_seq: ReplaySeq,
}

/// Where a message's key, value, headers and envelope come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// Here: a [`Content`], encoded.
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The content of another record, as it is (a redrive).
    Of(Position),
    /// The content of another record with its value replaced by this JSON token (a redrive with an edit).
    Edited {
        /// The record.
        of: Position,
        /// The new value, minified JSON.
        #[serde(with = "serde_bytes")]
        value: Vec<u8>,
    },
    /// A run's command; its input is read from the record at `input`.
    RunCommand {
        /// The run's id.
        run_id: RunId,
        /// Its workflow.
        workflow: WorkflowName,
        /// Which try.
        replay_seq: ReplaySeq,
        /// The record that holds the input: `RunCreated` or `RunReplayed`.
        input: Position,
        /// Its tenant.
        tenant: Option<TenantId>,
    },
}

/// What a producer gave, as stored in [`Body::Inline`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The message's key, never trimmed.
    pub key: String,
    /// The value: a minified JSON token; a string value is a JSON string.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
    /// Headers in the producer's order.
    pub headers: Vec<(String, String)>,
    /// The envelope's fields.
    pub envelope: Envelope,
}

/// A producer's envelope: what is handed back to consumers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The run it says it belongs to.
    pub run_id: Option<String>,
    /// The step it says it belongs to.
    pub step_id: Option<String>,
    /// That step's parent.
    pub parent_step_id: Option<String>,
    /// The tenant.
    pub tenant_id: Option<String>,
    /// The idempotency key.
    pub idempotency_key: Option<String>,
    /// Where it asked to be stored.
    pub target_topic: Option<String>,
    /// The deadline, as given (RFC 3339).
    pub deadline: Option<String>,
    /// The retry policy.
    pub retry_policy: Option<RetryPolicy>,
    /// The partition it asked for.
    pub partition_override: Option<u32>,
}

/// See [`Record::GroupCreated`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCreated {
    /// Its incarnation.
    pub group: GroupId,
    /// The topic it reads.
    pub topic: TopicId,
    /// Its name.
    pub name: GroupName,
    /// Whether that topic is a run's timeline.
    pub on_timeline: bool,
    /// When, core time.
    pub at: Instant,
    /// Where it starts, a partition each.
    pub starts: Vec<GroupStart>,
}

/// Where a group starts in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStart {
    /// The first place of the visible sequence that it reads.
    pub next: u64,
    /// Everything below is settled.
    pub floor: Offset,
    /// Bytes of the partition that do not count for it.
    pub bytes: u64,
    /// Stretches above the floor that do not count for it either: from, and the first one behind.
    pub settled: Vec<(Offset, Offset)>,
}

/// See [`Record::GroupTouched`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTouched {
    /// The group.
    pub group: GroupId,
    /// When, core time.
    pub at: Instant,
}

/// See [`Record::Delivered`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// What, to whom.
    pub of: MessageOf,
    /// The lease.
    pub lease: LeaseId,
    /// Its owner.
    pub owner: OwnerId,
    /// Its end, core time.
    pub until: Instant,
    /// When, core time.
    pub at: Instant,
    /// When, wall clock.
    pub wall: WallTime,
    /// The attempt it is.
    pub attempt: Attempt,
    /// The place in the visible sequence behind it, when it is a first delivery.
    pub next: Option<u64>,
    /// The worker's own version.
    pub worker_version: Option<String>,
}

/// See [`Record::Extended`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extended {
    /// What.
    pub of: MessageOf,
    /// The lease's new end, core time.
    pub until: Instant,
}

/// See [`Record::Acked`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acked {
    /// What.
    pub of: MessageOf,
    /// Who.
    pub owner: OwnerId,
    /// By which lease.
    pub lease: LeaseId,
    /// When, core time.
    pub at: Instant,
    /// The message's bytes.
    pub bytes: u32,
    /// Its idempotency key: a later message with it is settled without delivery.
    pub key: Option<KeyDigest>,
    /// How many of the oldest remembered acks are forgotten.
    pub forget_acks: u32,
    /// How many of the oldest remembered consume keys are forgotten.
    pub forget_keys: u32,
}

/// See [`Record::Failed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// What.
    pub of: MessageOf,
    /// By which lease.
    pub lease: LeaseId,
    /// Its owner.
    pub owner: OwnerId,
    /// Which attempt.
    pub attempt: Attempt,
    /// Why.
    pub cause: crate::FailureCause,
    /// What the worker said.
    pub error: ErrorInfo,
    /// When, core time.
    pub at: Instant,
    /// When, wall clock.
    pub wall: WallTime,
    /// What becomes of the message.
    pub then: AfterFailure,
    /// The message's bytes.
    pub bytes: u32,
    /// How many of the oldest remembered acks are forgotten.
    pub forget_acks: u32,
}

/// What becomes of a message whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterFailure {
    /// It is due again at that core time.
    Retry {
        /// When.
        due: Instant,
    },
    /// It was dead-lettered, which settles it.
    Dead,
}

/// An error as a worker describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorInfo {
    /// What happened.
    pub message: String,
    /// Its class.
    pub kind: Option<String>,
    /// Where.
    pub stack: Option<String>,
}

/// See [`Record::Skipped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// What.
    pub of: MessageOf,
    /// Why.
    pub why: SkipReason,
    /// The message's bytes.
    pub bytes: u32,
    /// The place in the visible sequence behind it, when it was met there.
    pub next: Option<u64>,
}

/// Why a message was settled for a group without a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SkipReason {
    /// The group acked a message with the same idempotency key.
    KeyAcked,
    /// It is a redrive for another group.
    OtherGroup,
    /// Its deadline passed.
    DeadlinePassed,
    /// Its run was cancelled, or it is an older try of it.
    RunOver,
    /// It was settled before the group met it; only the place in the visible sequence moves.
    SettledBefore,
}

/// See [`Record::DeadLettered`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLettered {
    /// Where the dead letter is.
    pub at: MessageAt,
    /// The message that failed.
    pub original: MessageAt,
    /// The record that holds its content.
    pub content: Position,
    /// The group that failed it; `None` when it is for all.
    pub group: Option<GroupName>,
    /// Why.
    pub reason: DeadLetterReason,
    /// How many attempts.
    pub attempts: Attempt,
    /// The first attempt and the newest ones.
    pub history: Vec<crate::AttemptRef>,
    /// The run whose command it is.
    pub run: Option<RunOf>,
    /// Its tenant.
    pub tenant: Option<TenantId>,
    /// The policy a redrive gets back.
    pub policy: Option<RetryPolicy>,
    /// When, wall clock.
    pub wall: WallTime,
    /// Bytes it counts for.
    pub bytes: u32,
}

/// Why a message was dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DeadLetterReason {
    /// Its attempts were used up.
    MaxAttempts,
    /// Its deadline passed.
    DeadlineExceeded,
    /// The worker said that trying again is of no use.
    NonRetryable,
}

impl DeadLetterReason {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxAttempts => "max_attempts",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::NonRetryable => "non_retryable",
        }
    }
}

/// See [`Record::DeadLetterClosed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterClosed {
    /// Which.
    pub at: MessageAt,
    /// How.
    pub how: Closing,
    /// Who asked for it.
    pub actor: Option<String>,
}

/// How a dead letter left the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Closing {
    /// Appended anew.
    Redriven {
        /// Where.
        to: MessageAt,
    },
    /// Its run was replayed.
    Replayed {
        /// As which replay.
        replay_seq: ReplaySeq,
    },
    /// Thrown away.
    Discarded {
        /// Why.
        reason: String,
    },
}

/// See [`Record::RunCreated`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunCreated {
    /// Its ordinal.
    pub run: RunNo,
    /// Its id.
    pub run_id: RunId,
    /// Its workflow.
    pub workflow: WorkflowName,
    /// Its tenant.
    pub tenant: Option<TenantId>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its commands' topic.
    pub topic: TopicId,
    /// Where its command is.
    pub command: MessageAt,
    /// The group whose deliveries move it.
    pub group: GroupName,
    /// Its timeline.
    pub timeline: TopicId,
    /// How its attempts are retried.
    pub policy: RetryPolicy,
    /// When, wall clock.
    pub wall: WallTime,
    /// Its idempotency key.
    pub key: Option<KeyMark>,
    /// Its input, minified JSON.
    #[serde(with = "serde_bytes")]
    pub input: Vec<u8>,
}

/// See [`Record::EventAppended`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventAppended {
    /// The timeline.
    pub topic: TopicId,
    /// Its place there; `seq` is one more.
    pub offset: Offset,
    /// Whose.
    pub of: RunOf,
    /// The attempt it belongs to, 0 before the first delivery of a try.
    pub attempt: Attempt,
    /// When, wall clock.
    pub wall: WallTime,
    /// Bytes it counts for.
    pub bytes: u32,
    /// The idempotency key of a plain produce.
    pub key: Option<KeyMark>,
    /// What happened.
    pub event: Event,
}

/// See [`Record::RunReplayed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReplayed {
    /// The run, and the new try's number.
    pub of: RunOf,
    /// The new input, minified JSON; `None` when it stays.
    pub input: Option<RunInput>,
    /// Finished steps stored at this record or later are forgotten; `None` keeps all. A place instead of names: a run
    /// may have more names than a record may have bytes.
    pub forget_from: Option<Position>,
    /// Where the new command is.
    pub command: MessageAt,
    /// When, wall clock.
    pub wall: WallTime,
    /// The idempotency key of the redrive that asked for it.
    pub key: Option<KeyMark>,
}

/// A run's input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInput(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// See [`Record::StepStored`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepStored {
    /// The run and its try.
    pub of: RunOf,
    /// The attempt.
    pub attempt: Attempt,
    /// The step.
    pub step: StepName,
    /// How long it took, when the worker said so.
    pub duration: Option<Millis>,
    /// When, wall clock.
    pub wall: WallTime,
    /// Its output, minified JSON.
    #[serde(with = "serde_bytes")]
    pub output: Vec<u8>,
}

/// See [`Record::Carried`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Where it was.
    pub from: Position,
    /// The record's bytes, unchanged.
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
}

/// A record's bytes are not one that this release knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record is not one that this release can read; start it with the release that wrote it, or a newer one"
)]
pub struct UnknownRecord;

impl Record {
    /// Appends this record's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_into(self, out);
    }

    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// [`UnknownRecord`] when the bytes were written by a newer release, or are not a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, UnknownRecord> {
        match postcard::take_from_bytes(bytes) {
            Ok((record, [])) => Ok(record),
            Ok(_) | Err(_) => Err(UnknownRecord),
        }
    }
}

impl Content {
    /// This content's bytes, for [`Body::Inline`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.key.len() + self.value.len() + 64);
        encode_into(self, &mut out);
        out
    }

    /// Reads a content back.
    ///
    /// # Errors
    ///
    /// [`UnknownRecord`] when the bytes are not a content.
    pub fn decode(bytes: &[u8]) -> Result<Self, UnknownRecord> {
        postcard::from_bytes(bytes).map_err(|_| UnknownRecord)
    }
}

fn encode_into<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    struct Tail<'a>(&'a mut Vec<u8>);

    impl postcard::ser_flavors::Flavor for Tail<'_> {
        type Output = ();

        fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
            self.0.push(byte);
            Ok(())
        }

        fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn finalize(self) -> postcard::Result<()> {
            Ok(())
        }
    }

    postcard::serialize_with_flavor(value, Tail(out))
        .expect("a vector takes every byte, and no record holds an unsized sequence");
}
