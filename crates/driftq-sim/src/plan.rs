//! A plan: all that one simulated life of a broker is made of, as text that can be read, edited and cut.
//!
//! Promise: the same plan gives the same trace, byte for byte. Steps name things by small numbers that are resolved
//! when they run, so a plan from which steps were taken away is still a plan.

use driftq_core::{Limits, Millis, RetryPolicy};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One simulated life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Decides what crashes keep, and the jitter of backoffs.
    pub seed: u64,
    /// Sizes and bounds.
    pub setup: Setup,
    /// What happens, in order.
    pub ops: Vec<Op>,
}

/// Sizes and bounds of a broker and its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Wall clock at the beginning, milliseconds since 1970.
    pub wall_ms: u64,
    /// Bytes of a log segment.
    pub segment_bytes: u64,
    /// Bytes held back for settling.
    pub reserve_bytes: u64,
    /// Bytes of log after which a checkpoint is written.
    pub checkpoint_bytes: u64,
    /// How long a produce key is remembered.
    pub key_window_ms: u64,
    /// How many produce keys are.
    pub keys_max: usize,
    /// How long a group remembers the keys it acked.
    pub consumed_window_ms: u64,
    /// How many of them.
    pub consumed_max: usize,
    /// How long a settled message is remembered.
    pub ack_window_ms: u64,
    /// How many of them.
    pub acks_max: usize,
    /// Messages that a group may leave unsettled in a partition.
    pub partition_messages_max: Option<u64>,
    /// Bytes that a group may leave unsettled in a partition.
    pub partition_bytes_max: Option<u64>,
    /// How long an unused group is kept that never acked.
    pub idle_unused_ms: u64,
    /// How long any other unused group is kept.
    pub idle_ms: u64,
    /// Groups of a topic.
    pub groups_max: u32,
    /// Topics.
    pub topics_max: u32,
    /// Whether a produce makes its topic.
    pub auto_create: bool,
}

impl Setup {
    /// The broker's bounds.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            partitions_max: 8,
            topics_max: self.topics_max,
            groups_per_topic_max: self.groups_max,
            keys_max: self.keys_max,
            key_window: Millis(self.key_window_ms),
            consumed_key_window: Millis(self.consumed_window_ms),
            consumed_keys_max: self.consumed_max,
            acks_remembered_max: self.acks_max,
            ack_window: Millis(self.ack_window_ms),
            partition_messages_max: self.partition_messages_max,
            partition_bytes_max: self.partition_bytes_max,
            group_idle_unused_max: Millis(self.idle_unused_ms),
            group_idle_max: Millis(self.idle_ms),
            auto_create_topics: self.auto_create,
        }
    }
}

/// How a call travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// Whether it arrives, and how often.
    #[serde(default, skip_serializing_if = "is_default")]
    pub way: Way,
    /// Its caller goes away before the answer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deaf: bool,
    /// The broker's next turn waits for the next step of the plan, so that several calls share it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hold: bool,
}

/// See [`Fate::way`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// As it should.
    #[default]
    Once,
    /// Twice in a row.
    Twice,
    /// That many milliseconds later.
    Late(u64),
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A message to produce.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The topic.
    pub topic: u8,
    /// Another topic that stores it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub target: Option<u8>,
    /// The key; 0 = none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key: u8,
    /// The partition asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub partition: Option<u32>,
    /// Bytes that its value is padded by.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: u32,
    /// How it is retried.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Option<Policy>,
    /// How long it is delayed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delay_ms: Option<u64>,
    /// Whether that is said as a time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub as_time: bool,
    /// When it is given up, from now; negative = in the past.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deadline_ms: Option<i64>,
    /// Its idempotency key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub idempotency: Option<u8>,
    /// Its explicit fingerprint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fingerprint: Option<u8>,
    /// Its tenant; 0 = none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tenant: u8,
}

/// A retry policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// See [`RetryPolicy`].
    pub max_attempts: u32,
    /// See [`RetryPolicy`].
    pub backoff_ms: u64,
    /// See [`RetryPolicy`].
    pub max_backoff_ms: u64,
    /// See [`RetryPolicy`].
    pub jitter_ms: u64,
}

impl From<Policy> for RetryPolicy {
    fn from(policy: Policy) -> Self {
        Self {
            max_attempts: policy.max_attempts,
            backoff: Millis(policy.backoff_ms),
            max_backoff: Millis(policy.max_backoff_ms),
            jitter: Millis(policy.jitter_ms),
        }
    }
}

/// Which messages of an answer their worker takes; the rest is given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Take {
    /// All.
    #[default]
    All,
    /// The first one.
    First,
    /// None.
    Nothing,
}

/// Which delivery a worker speaks of, and as whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// Which one, modulo how many there are.
    pub pick: u32,
    /// Whose it is.
    pub who: Who,
    /// Whether the lease is named.
    pub lease: bool,
}

/// See [`Pick::who`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// Its holder, of what is not settled as far as he knows.
    #[default]
    Holder,
    /// Its holder, of anything he ever held.
    Former,
    /// Somebody else.
    Stranger,
    /// Anybody, of a message that was never delivered.
    Nobody,
}

/// What a replay does to its run's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Nothing.
    #[default]
    Same,
    /// Replaces it.
    Whole,
    /// Patches the present one.
    Patched,
    /// Patches one that is not the present one.
    StalePatch,
}

/// Where a seek goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeekPlace {
    /// To the oldest message.
    Earliest,
    /// Behind the newest one.
    Latest,
    /// So many tenths into a partition; eleven is behind its end.
    Share {
        /// The partition.
        partition: u32,
        /// How far.
        tenths: u64,
    },
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "fields repeat the names of the commands they become")]
pub enum Op {
    /// Makes a topic; 0 partitions = not said.
    Topic { topic: u8, partitions: u32, fate: Fate },
    /// Produces.
    Produce { messages: Vec<Message>, fate: Fate },
    /// Opens a stream.
    Open { topic: u8, group: u8, owner: u8, lease_ms: u64, max_in_flight: u32, latest: bool },
    /// Asks a stream for more.
    Pull { stream: u32, max: u32, bytes: u64, take: Take, deaf: bool },
    /// Closes a stream.
    Close { stream: u32 },
    /// Polls.
    Poll {
        topic: u8,
        group: u8,
        owner: u8,
        lease_ms: u64,
        max: u32,
        bytes: u64,
        wait_ms: u64,
        take: Take,
        fate: Fate,
    },
    /// Takes back all that is waiting: polls, pulls, readers.
    HangUp,
    /// Acks.
    Ack { claim: Pick, result: bool, fate: Fate },
    /// Nacks.
    Nack { claim: Pick, retry_after_ms: Option<u64>, retryable: bool, fate: Fate },
    /// Extends.
    Extend { claim: Pick, lease_ms: u64, fate: Fate },
    /// Creates a run.
    Run { run: u8, topic: u8, group: u8, key: Option<u8>, policy: Policy, delay_ms: Option<u64>, fate: Fate },
    /// Appends events.
    Events { run: u8, count: u32, fence: Option<Pick>, fate: Fate },
    /// Stores a step.
    Step { run: u8, claim: Pick, step: u8, fate: Fate },
    /// Replays a run.
    Replay { run: u8, input: Input, from_step: Option<u8>, fresh: bool, fate: Fate },
    /// Cancels a run.
    Cancel { run: u8, fate: Fate },
    /// Redrives a dead letter.
    Redrive { pick: u32, value: bool, target: Option<u8>, all_groups: bool, key: Option<u8>, fate: Fate },
    /// Discards a dead letter.
    Discard { pick: u32, fate: Fate },
    /// Starts a bulk redrive over what is like some dead letter.
    Job {
        pick: u32,
        filter: u8,
        rate: u32,
        canary: Option<u64>,
        percent: Option<u32>,
        key: Option<u8>,
        fate: Fate,
    },
    /// Pauses, resumes or stops a bulk redrive.
    Control { pick: u32, act: u8, fate: Fate },
    /// Changes a topic's settings; `reset` takes all of them back.
    Patch {
        topic: u8,
        policy: Option<Policy>,
        window_ms: Option<u64>,
        messages_max: Option<u64>,
        reset: bool,
        fate: Fate,
    },
    /// Deletes a topic.
    DeleteTopic { topic: u8, fate: Fate },
    /// Deletes a group.
    DeleteGroup { topic: u8, group: u8, fate: Fate },
    /// Moves a group.
    Seek { topic: u8, group: u8, to: SeekPlace, fate: Fate },
    /// Ends a wait: of a run's command, or of one of a topic's messages that wait.
    RetryNow { topic: u8, group: Option<u8>, run: Option<u8>, pick: u32, fate: Fate },
    /// Reads a timeline from somewhere.
    Follow { run: u8, after: u64, max: u32, bytes: u64 },
    /// Waits for a run's end.
    RunEnd { run: u8, wait_ms: u64 },
    /// Looks at the state.
    Look,
    /// Time passes, and the broker wakes whenever it wants to.
    Wait { ms: u64 },
    /// Time passes, and the broker is frozen.
    Freeze { ms: u64 },
    /// The wall clock jumps.
    Jump { ms: i64 },
    /// The power fails, or the process is killed.
    Crash { power: bool },
    /// The same in the middle of the disk's n-th call from now.
    CrashAt { n: u64, power: bool },
    /// The same in the recovery.
    CrashAgainAt { n: u64 },
    /// The n-th sync from now fails.
    FailSync { n: u64 },
    /// The n-th write from now fails once.
    FailWrite { n: u64 },
    /// One in n reads and writes is short or interrupted; 0 = none any more.
    Stutter { n: u64 },
    /// Only that many more bytes fit on the disk.
    Fill { spare_bytes: u64 },
    /// There is room again.
    Room,
    /// The broker drains.
    Drain,
    /// The broker is stopped in order, and started again.
    Restart,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = serde_json::to_string(&(self.seed, &self.setup)).map_err(|_| fmt::Error)?;
        writeln!(f, "{head}")?;
        for op in &self.ops {
            writeln!(f, "{}", serde_json::to_string(op).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

/// Why a text is not a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is nothing in it.
    #[error("the plan is empty; its first line is [seed, setup]")]
    Empty,
    /// A line that is not what it should be.
    #[error("line {line}: {source}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl std::str::FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let at = |line: usize| move |source| PlanError::Line { line: line + 1, source };
        let (number, head) = lines.next().ok_or(PlanError::Empty)?;
        let (seed, setup) = serde_json::from_str(head).map_err(at(number))?;
        let ops = lines.map(|(number, line)| serde_json::from_str(line).map_err(at(number)));
        Ok(Self { seed, setup, ops: ops.collect::<Result<_, _>>()? })
    }
}
