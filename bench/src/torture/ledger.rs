//! The ledger: what the clients intended, what they were told, and what they saw, in the order in which they know it.
//!
//! Promise: an intent stands before its request is sent, a reply after it was read. The ledger is one JSON object a
//! line, only ever appended to, and lies outside the server's folder; the checker reads nothing else.

use std::{
    fs::File,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use driftq_client::api::RunEvent;
use serde::{Deserialize, Serialize};

use crate::BenchError;

/// Where a message lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
}

/// A lease on a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The group.
    pub group: String,
    /// The message.
    pub at: Place,
    /// The lease.
    pub lease: String,
    /// Which delivery to the group it is.
    pub attempt: u32,
}

/// What is asked about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// It is done.
    Ack,
    /// It failed.
    Nack,
    /// Hold it for longer.
    Extend,
}

/// An event of a timeline as a reader saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its number.
    pub seq: u64,
    /// Its type.
    pub kind: String,
    /// Its replay.
    pub replay: u32,
    /// Its attempt.
    pub attempt: u32,
    /// The step it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The mark a worker gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// Stands for all its bytes.
    pub hash: u64,
}

/// One thing somebody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The server was started.
    Spawned { life: u64 },
    /// It took requests.
    Ready { life: u64 },
    /// It was killed.
    Killed { life: u64, during: String },
    /// It ended after a SIGTERM; without a code it had to be killed.
    Stopped { life: u64, code: Option<i32> },
    /// What a life left in the folder: files of the log begun beyond the first one, and checkpoints.
    Left { life: u64, rotations: u64, checkpoints: u64 },
    /// Somebody wants a message stored; `max_attempts` 0 is no limit.
    ProduceIntent { id: String, topic: String, max_attempts: u32 },
    /// It is stored.
    Produced { id: String, at: Place, duplicate: bool },
    /// It was refused for good.
    ProduceRefused { id: String, status: u16 },
    /// A worker read a message: the `number`-th of a connection to the server in its `life`.
    Delivered { held: Held, id: String, life: u64, connection: u64, lease_ms: u64, until_ms: u64 },
    /// A worker is about to ask.
    Asking { ask: Ask, held: Held },
    /// It was granted.
    Granted { ask: Ask, held: Held, until_ms: u64 },
    /// It was refused.
    Refused { ask: Ask, held: Held, status: u16 },
    /// Somebody wants a run.
    RunIntent { run: String },
    /// It exists.
    RunCreated { run: String },
    /// A replay began.
    Replayed { run: String, replay: u32 },
    /// A run was cancelled.
    Cancelled { run: String, replay: u32 },
    /// A run's command was acked with a result.
    RunAcked { run: String, replay: u32, attempt: u32 },
    /// A worker's event was stored.
    EventStored { run: String, mark: String, seq: u64 },
    /// A step was stored by this very request.
    StepStored { run: String, replay: u32, attempt: u32, step: String },
    /// A live reader saw an event.
    EventSeen { run: String, reader: u64, event: Seen },
    /// At the end: a message that is kept.
    Kept { id: String, at: Place },
    /// At the end: a dead letter.
    DeadLetter { group: String, at: Place },
    /// At the end: an event of a timeline.
    TimelineEvent { run: String, event: Seen },
    /// At the end: where a run stands.
    RunFound { run: String, replay: u32, status: String },
    /// At the end: where a group stands.
    GroupFound { topic: String, group: String, lag: u64, in_flight: u64 },
    /// At the end: something that had to work did not.
    Stuck { what: String },
}

/// A line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Microseconds since the torture began.
    pub at_us: u64,
    /// What is known.
    #[serde(flatten)]
    pub fact: Fact,
}

/// The ledger while it is written.
#[derive(Debug)]
pub(crate) struct Ledger {
    began: Instant,
    file: Mutex<BufWriter<File>>,
}

impl Ledger {
    pub(crate) fn create(path: &Path) -> Result<Self, BenchError> {
        let file = File::create_new(path).map_err(BenchError::io(format!("creating {}", path.display())))?;
        Ok(Self { began: Instant::now(), file: Mutex::new(BufWriter::new(file)) })
    }

    /// Appends what somebody knows from now on.
    ///
    /// # Panics
    ///
    /// When the ledger cannot be written: without it nothing can be said.
    pub(crate) fn note(&self, fact: Fact) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let at_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let line = serde_json::to_string(&Line { at_us, fact }).expect("every fact has a JSON form");
        writeln!(file, "{line}").expect("the ledger can be written");
    }

    pub(crate) fn flush(&self) -> Result<(), BenchError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.flush().map_err(BenchError::io("writing the ledger"))
    }
}

/// Reads a whole ledger.
///
/// # Errors
///
/// [`BenchError`] when it cannot be read.
pub fn read(path: &Path) -> Result<Vec<Line>, BenchError> {
    let reading = || BenchError::io(format!("reading {}", path.display()));
    let file = BufReader::new(File::open(path).map_err(reading())?);
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(file.lines()) {
        let text = text.map_err(reading())?;
        lines
            .push(serde_json::from_str(&text).map_err(|source| BenchError::Ledger { line: number, source })?);
    }
    Ok(lines)
}

impl From<&RunEvent> for Seen {
    fn from(event: &RunEvent) -> Self {
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(event).unwrap_or_default().hash(&mut hasher);
        Self {
            seq: event.seq,
            kind: event.kind.clone(),
            replay: event.replay_seq,
            attempt: event.attempt,
            step: event.fields.read("step"),
            mark: event.fields.read("mark"),
            hash: hasher.finish(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}
