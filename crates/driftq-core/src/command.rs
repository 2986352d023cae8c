//! All that can be asked and answered.
//!
//! Promise: a command carries parsed values only; a rejection changed nothing. Queries are not commands: they are
//! plain functions of the state, in `views`.

mod redrives;

pub use redrives::*;

use crate::{
    Attempt, AttemptRef, Audited, ErrorInfo, GroupId, GroupName, IdempotencyKey, JobNo, LeaseId, MessageAt,
    MessageOf, Millis, Offset, OwnerId, PartitionId, Position, ReplaySeq, RetryPolicy, Routing, RunId, RunNo,
    SettingsPatch, StepName, TenantId, TopicId, TopicName, WaitedFor, WallTime, WorkflowName,
};
use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};

/// The shortest lease; shorter ones are made this long.
pub const LEASE_MIN: Millis = Millis(100);
/// The longest lease.
pub const LEASE_MAX: Millis = Millis(12 * 60 * 60 * 1000);
/// The lease when none is asked for.
pub const LEASE_DEFAULT: Millis = Millis(2_000);

/// What can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Makes a topic, if it is not there.
    CreateTopic(CreateTopic),
    /// Appends messages, all or none.
    Produce(Vec<Produce>),
    /// Makes a group, if it is not there.
    OpenGroup(OpenGroup),
    /// Leases messages to an owner.
    Lease(LeaseMessages),
    /// Settles a message.
    Ack(Ack),
    /// Fails an attempt.
    Nack(Box<Nack>),
    /// Moves a lease's end.
    Extend(Extend),
    /// Gives leases back that were never written to their worker.
    GiveBack(Vec<Held>),
    /// Creates a run.
    CreateRun(Box<CreateRun>),
    /// Appends a worker's events to a timeline.
    AppendEvents(AppendEvents),
    /// Stores a step's output, once.
    StoreStep(Box<StoreStep>),
    /// Starts an ended run again.
    ReplayRun(Box<ReplayRun>),
    /// Ends a run.
    CancelRun(CancelRun),
    /// Appends a dead letter's message anew.
    Redrive(Box<Redrive>),
    /// Throws a dead letter away.
    Discard(Discard),
    /// Does what an operator asks for, and tells of it in the audit log.
    Audited(Box<Audited>),
    /// Starts a bulk redrive.
    StartRedriveJob(Box<StartRedriveJob>),
    /// Pauses, resumes or stops a bulk redrive.
    ControlRedriveJob(ControlRedriveJob),
    /// Changes a topic's settings.
    PatchTopic(Box<PatchTopic>),
    /// Deletes a topic.
    DeleteTopic(DeleteTopic),
    /// Moves a group to another place.
    SeekGroup(Box<SeekGroup>),
    /// Forgets a group.
    DeleteGroup(DeleteGroup),
    /// Ends a backoff or a delay.
    RetryNow(Box<RetryNow>),
}

/// See [`Command::PatchTopic`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchTopic {
    /// Which.
    pub topic: TopicName,
    /// What changes.
    pub settings: SettingsPatch,
    /// Who asks.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// See [`Command::DeleteTopic`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTopic {
    /// Which.
    pub topic: TopicName,
    /// Who asks.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// See [`Command::SeekGroup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeekGroup {
    /// Its topic.
    pub topic: TopicName,
    /// Which.
    pub group: GroupName,
    /// Where it reads on.
    pub to: SeekTo,
    /// Who asks.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Where a group reads on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// At the oldest message kept, in every partition.
    Earliest,
    /// Behind the newest message, in every partition; delayed messages are left to come.
    Latest,
    /// At an offset of one partition.
    Offset {
        /// The partition.
        partition: PartitionId,
        /// The first offset that comes again.
        offset: Offset,
    },
    /// At an offset each, which somebody looked up in this incarnation of the topic.
    Places {
        /// The incarnation.
        topic: TopicId,
        /// The partitions, and the first offsets that come again.
        places: Vec<(PartitionId, Offset)>,
    },
}

/// See [`Command::DeleteGroup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteGroup {
    /// Its topic.
    pub topic: TopicName,
    /// Which.
    pub group: GroupName,
    /// Who asks.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// See [`Command::RetryNow`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryNow {
    /// What.
    pub target: MessageTarget,
    /// Who asks.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// A message that is asked about, by its place or by its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageTarget {
    /// By its place.
    Message {
        /// Its topic.
        topic: TopicName,
        /// The group that is asked about.
        group: Option<GroupName>,
        /// Its partition.
        partition: PartitionId,
        /// Its offset.
        offset: Offset,
    },
    /// A run's command, in the run's group.
    Run(RunId),
}

/// See [`Command::CreateTopic`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions; `None` takes what is there, or 1.
    pub partitions: Option<u32>,
    /// What it is told, if it is made now.
    pub settings: Option<Box<SettingsPatch>>,
    /// Who asks.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl CreateTopic {
    /// Asks for a topic with nothing of its own.
    #[must_use]
    pub fn plain(name: TopicName, partitions: Option<u32>) -> Self {
        Self { name, partitions, settings: None, actor: None, reason: None }
    }
}

/// See [`Command::Produce`].
#[derive(Clone, Debug, PartialEq)]
pub struct Produce {
    /// The topic as asked.
    pub topic: TopicName,
    /// Where it is stored instead.
    pub target_topic: Option<TopicName>,
    /// The message's key, for the choice of the partition.
    pub key: String,
    /// The partition asked for.
    pub partition: Option<u32>,
    /// An encoded `Content`.
    pub content: Vec<u8>,
    /// How it is retried.
    pub policy: Option<RetryPolicy>,
    /// Not visible before.
    pub due: Due,
    /// When it is given up.
    pub deadline: Option<WallTime>,
    /// Its idempotency key.
    pub idempotency: Option<IdempotencyKey>,
    /// Its tenant.
    pub tenant: Option<TenantId>,
}

/// When a message becomes visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Due {
    /// At once.
    #[default]
    Now,
    /// That much later.
    After(Millis),
    /// At that time.
    At(WallTime),
}

/// See [`Command::OpenGroup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenGroup {
    /// The topic.
    pub topic: TopicName,
    /// The group.
    pub group: GroupName,
    /// Where a new group begins.
    pub start: Start,
}

/// Where a new group begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message kept.
    #[default]
    Earliest,
    /// Behind the newest visible message.
    Latest,
}

/// See [`Command::Lease`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseMessages {
    /// The group.
    pub group: GroupId,
    /// Who gets them.
    pub owner: OwnerId,
    /// How long; clamped to [`LEASE_MIN`]..[`LEASE_MAX`].
    pub lease: Millis,
    /// How many at most.
    pub max: u32,
    /// How many bytes at most; one message is always allowed.
    pub bytes_max: u64,
    /// The worker's own version.
    pub worker_version: Option<String>,
}

/// One leased message, named by whoever holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What.
    pub of: MessageOf,
    /// By which lease.
    pub lease: LeaseId,
}

/// A message as a worker names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The topic.
    pub topic: TopicName,
    /// The group.
    pub group: GroupName,
    /// The partition.
    pub partition: PartitionId,
    /// The offset.
    pub offset: Offset,
    /// Who claims to hold it.
    pub owner: OwnerId,
    /// By which lease; `None` means the owner's newest.
    pub lease: Option<LeaseId>,
}

/// See [`Command::Ack`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// What.
    pub claim: Claim,
    /// A run's result, minified JSON.
    pub result: Option<Vec<u8>>,
}

/// See [`Command::Nack`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// What.
    pub claim: Claim,
    /// Why.
    pub error: ErrorInfo,
    /// Replaces the backoff once.
    pub retry_after: Option<Millis>,
    /// Whether trying again is of use.
    pub retryable: bool,
}

/// See [`Command::Extend`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extend {
    /// What.
    pub claim: Claim,
    /// How long from now.
    pub lease: Millis,
}

/// See [`Command::CreateRun`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRun {
    /// Its id, made by the edge unless the user chose one.
    pub run_id: RunId,
    /// Its workflow.
    pub workflow: WorkflowName,
    /// Its input, minified JSON.
    pub input: Vec<u8>,
    /// Its idempotency key.
    pub idempotency: Option<IdempotencyKey>,
    /// Its tenant.
    pub tenant: Option<TenantId>,
    /// Its commands' topic.
    pub topic: TopicName,
    /// The group whose deliveries move it.
    pub group: GroupName,
    /// How its attempts are retried.
    pub policy: RetryPolicy,
    /// When its command becomes visible.
    pub due: Due,
    /// Its tags.
    pub tags: Vec<String>,
}

/// See [`Command::AppendEvents`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendEvents {
    /// Whose.
    pub run_id: RunId,
    /// Flat JSON objects with `type`, minified, without the broker's own fields, with the `ts` they were given, if any.
    pub events: Vec<WorkerEvent>,
    /// Only while this lease of the run's group is live.
    pub lease: Option<LeaseId>,
}

/// One event of a worker's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerEvent {
    /// A flat JSON object, minified.
    pub json: Vec<u8>,
    /// Its own time, wall clock.
    pub ts: Option<WallTime>,
}

/// See [`Command::StoreStep`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStep {
    /// Whose.
    pub run_id: RunId,
    /// Its name.
    pub step: StepName,
    /// The live lease of the run's group.
    pub lease: LeaseId,
    /// Its output, minified JSON.
    pub output: Vec<u8>,
    /// How long it took.
    pub duration: Option<Millis>,
}

/// See [`Command::ReplayRun`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRun {
    /// Which.
    pub run_id: RunId,
    /// The new input, minified JSON.
    pub input: NewInput,
    /// The first step that runs again.
    pub from_step: Option<StepName>,
    /// Whether all steps run again.
    pub fresh: bool,
    /// Who asks.
    pub actor: Option<String>,
    /// Why; kept with the dead letter that it closes.
    pub reason: Option<String>,
}

/// What a replay does to the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewInput {
    /// Nothing.
    Same,
    /// Replaces it.
    Whole(Vec<u8>),
    /// It was patched by the edge, from the input at `of`; steps are kept.
    Patched {
        /// The record that held the input the patch was made for.
        of: Position,
        /// The merged input.
        input: Vec<u8>,
        /// The patch's top-level keys.
        changed: Vec<String>,
    },
}

/// See [`Command::CancelRun`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRun {
    /// Which.
    pub run_id: RunId,
    /// Who asks.
    pub actor: Option<String>,
}

/// A dead letter, named by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterAt {
    /// Its topic, `dlq.…`.
    pub topic: TopicName,
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: Offset,
}

/// See [`Command::Redrive`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// Which.
    pub dead_letter: DeadLetterAt,
    /// Its new value, minified JSON.
    pub value: Option<Vec<u8>>,
    /// Where instead of the original topic.
    pub target_topic: Option<TopicName>,
    /// The message's key, for the choice of the partition in another topic.
    pub key: String,
    /// For every group, not the one that failed it.
    pub all_groups: bool,
    /// Once for this key.
    pub idempotency: Option<IdempotencyKey>,
    /// Who asks.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// See [`Command::Discard`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discard {
    /// Which.
    pub dead_letter: DeadLetterAt,
    /// Why; empty when nobody said.
    pub reason: String,
    /// Who asks.
    pub actor: Option<String>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The topic is there.
    Topic {
        /// Its partitions.
        partitions: u32,
        /// Whether it was made now.
        created: bool,
    },
    /// The messages are there, in the order asked.
    Produced(Vec<Produced>),
    /// The group is there.
    Group {
        /// Its incarnation.
        group: GroupId,
        /// Its topic's partitions.
        partitions: u32,
    },
    /// Messages were leased; perhaps none.
    Leased(Vec<Delivery>),
    /// The message is settled.
    Acked,
    /// The attempt is failed.
    Nacked,
    /// The lease's new end, wall clock.
    Extended {
        /// When.
        until: WallTime,
    },
    /// The leases are given back.
    GivenBack,
    /// The run is there.
    RunCreated {
        /// Which.
        run: RunNo,
        /// Whether an idempotency key found an earlier one.
        duplicate: bool,
    },
    /// The events are there.
    EventsAppended {
        /// Sequence number of the first.
        first_seq: u64,
        /// How many.
        count: u64,
    },
    /// The step's output is there.
    StepStored {
        /// Whether it was stored now.
        stored: bool,
        /// The record that holds the output.
        output: Position,
    },
    /// The run starts again.
    RunReplayed {
        /// Which.
        run: RunNo,
        /// As which try.
        replay_seq: ReplaySeq,
    },
    /// The run is cancelled.
    RunCancelled {
        /// Which.
        run: RunNo,
    },
    /// The dead letter's message is there anew.
    Redriven {
        /// Where.
        to: MessageAt,
        /// That topic's name.
        topic: TopicName,
    },
    /// The dead letter is gone from the list.
    Discarded,
    /// It stands in the audit log.
    Told,
    /// The bulk redrive is there.
    RedriveJob {
        /// Which.
        job: JobNo,
        /// Whether an idempotency key found an earlier one.
        duplicate: bool,
    },
    /// The topic's settings are these.
    TopicPatched {
        /// Which.
        topic: TopicId,
    },
    /// The topic is gone.
    TopicDeleted,
    /// The group reads on there.
    Sought {
        /// The partitions that were moved, and the first offset that comes again in each.
        partitions: Vec<(PartitionId, Offset)>,
    },
    /// The group is gone.
    GroupDeleted,
    /// The message is due.
    MadeDue {
        /// Which.
        at: MessageAt,
        /// Its topic's name.
        topic: TopicName,
        /// The group whose wait ended; `None` when it ended for all.
        group: Option<GroupName>,
        /// What it waited for.
        was: WaitedFor,
    },
}

/// Where a produced message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Its name.
    pub at: MessageAt,
    /// The topic that stores it.
    pub stored_in: TopicName,
    /// Whether an idempotency key found an earlier one.
    pub duplicate: bool,
}

/// A leased message, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its name.
    pub at: MessageAt,
    /// The group.
    pub group: GroupId,
    /// The lease.
    pub lease: LeaseId,
    /// The lease's end, wall clock.
    pub until: WallTime,
    /// Which attempt.
    pub attempt: Attempt,
    /// The record it was appended by.
    pub position: Position,
    /// Earlier attempts that failed.
    pub history: Vec<AttemptRef>,
    /// The run it moves, if any.
    pub run: Option<Box<RunContext>>,
    /// The mark that its topic gives it.
    pub routing: Option<Arc<Routing>>,
}

/// What a worker is told of its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunContext {
    /// The run's id.
    pub run_id: RunId,
    /// Which try.
    pub replay_seq: ReplaySeq,
    /// Which attempt of it.
    pub attempt: Attempt,
    /// Finished steps and the records that hold their outputs, in the order in which they finished.
    pub steps: Vec<(StepName, Position)>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No such topic.
    #[error("unknown topic {0:?}; create it with POST /v1/topics {{\"name\":{0:?}}}")]
    UnknownTopic(String),
    /// No such group on that topic.
    #[error("unknown group {group:?} on topic {topic:?}; a group is made by its first consume")]
    UnknownGroup {
        /// The topic.
        topic: String,
        /// The group.
        group: String,
    },
    /// The topic has other settings than it was to be made with.
    #[error(
        "topic {0:?} exists with other settings; change them with PATCH /v1/topics/{{topic}}, or leave them out"
    )]
    SettingsDiffer(String),
    /// The topic has another number of partitions.
    #[error("topic {name:?} has {existing} partitions, not {asked}; the number cannot be changed")]
    PartitionsDiffer {
        /// The topic.
        name: String,
        /// What it has.
        existing: u32,
        /// What was asked for.
        asked: u32,
    },
    /// No such partition.
    #[error("partition {asked} is out of range; topic {topic:?} has {count} partitions, 0 to {}", .count - 1)]
    PartitionOutOfRange {
        /// The topic.
        topic: String,
        /// What was asked for.
        asked: u64,
        /// How many there are.
        count: u32,
    },
    /// More partitions than allowed.
    #[error("at most {max} partitions, not {asked}")]
    TooManyPartitions {
        /// What was asked for.
        asked: u32,
        /// The bound.
        max: u32,
    },
    /// The deadline has passed already.
    #[error("the deadline is in the past")]
    DeadlinePassed,
    /// A timeline takes no such option.
    #[error("{0} has no meaning on a run's timeline; leave it out")]
    NotOnTimeline(&'static str),
    /// More topics than allowed.
    #[error("the broker holds {0} topics, which is its limit")]
    TooManyTopics(u32),
    /// More groups than allowed.
    #[error("the topic has {0} groups, which is its limit")]
    TooManyGroups(u32),
    /// A partition holds as much unsettled work as allowed.
    #[error("the partition holds too much unsettled work ({reason}); retry later")]
    Backpressure {
        /// `partition_buffer_full` or `partition_buffer_bytes_full`.
        reason: &'static str,
    },
    /// The key was used with another explicit fingerprint.
    #[error("the idempotency key was used with another fingerprint; use a new key for another request")]
    FingerprintDiffers,
    /// The group was never handed this message.
    #[error("the message was never delivered to this group")]
    NeverDelivered,
    /// Somebody else holds the lease, or nobody.
    #[error("not owner")]
    NotOwner,
    /// The run was cancelled.
    #[error("the run was cancelled")]
    Cancelled,
    /// A result was given outside of a run's group.
    #[error("result belongs to a run's command, acked by the run's own group")]
    ResultOutsideRun,
    /// No such run.
    #[error("unknown run {0:?}")]
    UnknownRun(String),
    /// The run id is taken.
    #[error("run {0:?} exists already; choose another run_id, or an idempotency_key for a safe repeat")]
    RunExists(String),
    /// The topic cannot hold commands.
    #[error("topic {0:?} holds timelines or dead letters; choose another topic for a run's commands")]
    NotForCommands(String),
    /// The events topic is there and not fit.
    #[error("topic {0:?} exists and is not an empty topic with one partition; choose another run_id")]
    TimelineTaken(String),
    /// The run has not ended.
    #[error("run {run_id:?} is {status}; only an ended run can be replayed")]
    RunNotEnded {
        /// The run.
        run_id: String,
        /// Its status.
        status: &'static str,
    },
    /// The run has ended.
    #[error("run {run_id:?} has ended: {status}")]
    RunEnded {
        /// The run.
        run_id: String,
        /// Its status.
        status: &'static str,
    },
    /// The run has stored as many steps as it may.
    #[error("run {run_id:?} has {max} finished steps, which is the limit; split the work into several runs")]
    TooManySteps {
        /// The run.
        run_id: String,
        /// The bound.
        max: usize,
    },
    /// The step never finished.
    #[error("run {run_id:?} has no finished step {step:?}")]
    UnknownStep {
        /// The run.
        run_id: String,
        /// The step.
        step: String,
    },
    /// The input changed while a patch was made for it.
    #[error("the run was replayed meanwhile; look at it and try again")]
    InputChanged,
    /// No such dead letter.
    #[error("no dead letter there")]
    UnknownDeadLetter,
    /// The dead letter was redriven, replayed or discarded before.
    #[error("the dead letter is {0} already")]
    DeadLetterClosed(&'static str),
    /// Only the broker writes there.
    #[error("topic {0:?} is written by the broker alone; choose a name that does not begin with driftq.")]
    Reserved(String),
    /// The caller may not use such names, or not for others.
    #[error("{0} is outside of what this token may use; leave it out, or choose one that it may")]
    OutOfScope(&'static str),
    /// The dead letter's original is deleted, and no topic has its name now.
    #[error("topic {0:?} is deleted; create it again, or name a target_topic")]
    OriginalDeleted(String),
    /// The topic of a run's commands is deleted.
    #[error("the topic of run {0:?}'s commands is deleted; start a new run")]
    CommandsDeleted(String),
    /// The topic is a run's timeline.
    #[error("topic {topic:?} is the timeline of run {run_id:?} and is kept as long as the run")]
    TimelineInUse {
        /// The topic.
        topic: String,
        /// The run.
        run_id: String,
    },
    /// Runs whose commands are in the topic have not ended.
    #[error(
        "topic {topic:?} holds the commands of {count} open runs; wait for their end or cancel them first"
    )]
    OpenRuns {
        /// The topic.
        topic: String,
        /// How many.
        count: u64,
    },
    /// Deliveries to the group move runs that have not ended.
    #[error("group {group:?} moves {count} open runs; wait for their end or cancel them first")]
    GroupMovesRuns {
        /// The group.
        group: String,
        /// How many runs.
        count: u64,
    },
    /// The partition does not reach from there.
    #[error(
        "offset {asked} is out of range; partition {partition} holds {first} to {next}, where {next} is its end"
    )]
    OffsetOutOfRange {
        /// What was asked for.
        asked: Offset,
        /// The partition.
        partition: PartitionId,
        /// The oldest offset kept.
        first: Offset,
        /// The offset the next message gets.
        next: Offset,
    },
    /// More delayed messages than one fact can list lie before the end.
    #[error(
        "delayed messages split what is stored into more than {0} stretches; seek to an offset of each partition instead"
    )]
    TooManyDelayed(usize),
    /// No such message.
    #[error("no message there")]
    UnknownMessage,
    /// A group is needed to say what is meant.
    #[error("the message is not delayed; name the group whose backoff is to end")]
    GroupNeeded,
    /// Several groups read the topic.
    #[error("several groups read the topic; say which one with group: {0}")]
    GroupUnclear(String),
    /// Somebody holds the message.
    #[error(
        "the message is leased by {owner:?} until {until} (epoch milliseconds); wait for its answer or the lease's end"
    )]
    LeasedBy {
        /// Who.
        owner: String,
        /// Until when.
        until: WallTime,
    },
    /// The group is done with the message.
    #[error("the group is done with the message; seek back to have it again")]
    SettledAlready,
    /// The message was given up.
    #[error(
        "the message is a dead letter: {topic}, partition {partition}, offset {offset}; redrive it there"
    )]
    DeadLetteredTo {
        /// The dead letter's topic.
        topic: String,
        /// Its partition.
        partition: PartitionId,
        /// Its offset.
        offset: Offset,
    },
    /// A routing mark needs a label.
    #[error("routing needs a label")]
    RoutingWithoutLabel,
    /// A run's dead letter takes no edits.
    #[error("this dead letter belongs to a run; change its input with POST /v1/runs/{{id}}/replay")]
    RunDeadLetter,
    /// A bulk redrive would move nothing.
    #[error("no open dead letter matches the filter")]
    NoDeadLetterMatches,
    /// More bulk redrives at once than allowed.
    #[error("{0} bulk redrives are going on, which is the limit; let one end, or stop one")]
    TooManyJobs(usize),
    /// The dead letters lie in more partitions than one bulk redrive walks through.
    #[error("the dead letters lie in more than {0} partitions; name a topic in the filter")]
    TooManyPartitionsToRedrive(usize),
    /// No such bulk redrive.
    #[error("unknown job \"job_{0}\"; GET /v1/dlq/jobs lists them")]
    UnknownJob(JobNo),
    /// The bulk redrive is over.
    #[error("the job is {0} already")]
    JobOver(&'static str),
}
