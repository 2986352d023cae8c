//! What can keep a measurement or a torture from being made. A broken promise of the broker is none of these.

use std::path::PathBuf;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// There is no server to start.
    #[error("no driftqd at {}; build it with `cargo build --release -p driftq-server`, or set DRIFTQD_BIN", .0.display())]
    NoDaemon(PathBuf),
    /// A file or a process could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server ended, or said nothing, before it was ready.
    #[error("driftqd {what}; its last lines:\n{log}")]
    NotReady {
        /// What it did instead.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// The server answered something else than it had to.
    #[error("{request} was answered {status}: {body}")]
    Answer {
        /// What was asked.
        request: String,
        /// The status.
        status: u16,
        /// The body, in part.
        body: String,
    },
    /// Bytes that are no HTTP answer, or no JSON.
    #[error("cannot read the answer to {request}: {cause}")]
    Unreadable {
        /// What was asked.
        request: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The client could not do it.
    #[error(transparent)]
    Client(#[from] driftq_client::ClientError),
    /// A line of a ledger that cannot be read.
    #[error("line {line} of the ledger: {source}")]
    Ledger {
        /// Which one, from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl BenchError {
    /// An IO error with what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
