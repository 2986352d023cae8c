//! Why a caller gets no answer, and why an engine stops.

use driftq_core::Rejection;
use driftq_log::LogError;

/// Why a request was not carried out. Nothing was changed, except where a variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The core refused it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The queue is full.
    #[error("the broker is overloaded; retry later")]
    Overloaded,
    /// The disk is full; settling and reading go on.
    #[error("the disk is full; free some room and retry")]
    DiskFull,
    /// The broker is going down and takes nothing new.
    #[error("the broker is draining; retry on its next start")]
    Draining,
    /// The request is larger than one log frame can hold.
    #[error("the request is too large for one atomic write of at most {max} bytes")]
    TooLarge {
        /// The bound in bytes.
        max: usize,
    },
    /// The writer is gone. Whether the request was carried out is unknown: "once or not at all".
    #[error("the broker has stopped; the request was carried out once or not at all")]
    Stopped,
}

/// Why an engine cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record that this release cannot read.
    #[error("record {position} of the log: {source}")]
    Unreadable {
        /// Where.
        position: u64,
        /// What is wrong with it.
        source: driftq_core::UnknownRecord,
    },
    /// The log gave a record another position than the state expected.
    #[error(
        "the log and the state disagree: expected position {expected}, got {got}; restart, and report this"
    )]
    Order {
        /// What the state expected.
        expected: u64,
        /// What the log gave.
        got: u64,
    },
    /// The writer's thread could not be started.
    #[error("cannot start the writer's thread: {0}")]
    Thread(std::io::Error),
}
