//! What can go wrong with a log, cut by what the caller does about it.

use std::io;
use std::path::PathBuf;

use crate::Position;

/// An error of a log; each sentence names the way out.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No space for this append. Nothing was appended, and asking again is right.
    #[error("the disk is full ({what}); free space or raise the limit, and appends resume by themselves")]
    Full {
        /// Which room could not be had.
        what: String,
    },
    /// Something failed that may work the next time; nothing durable has changed.
    #[error("{what} did not work ({source}); it can be tried again")]
    Retry {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A later writer has opened this log: stop answering and exit.
    #[error("another writer has opened this log since; stop this one")]
    Fenced,
    /// Bytes are not the ones that were written.
    #[error(
        "{file} is damaged at byte {offset} (up to byte {end}), which holds records {first} to {last}; \
         restore the folder from a backup, or start once with the quarantine flag, which sets the damaged \
         file aside and goes on without those records"
    )]
    Corrupt {
        /// The file.
        file: String,
        /// The first bad byte.
        offset: u64,
        /// The byte after the last bad one.
        end: u64,
        /// The first record that is lost with it.
        first: Position,
        /// The last record that is lost with it.
        last: Position,
    },
    /// A write or sync failed for good. What is above the durable mark may not be acknowledged; exit.
    #[error("{what} failed for good ({reason}); stop the process, look after the disk, and start again")]
    Fatal {
        /// What was tried.
        what: String,
        /// What the system said.
        reason: String,
    },
    /// The record was released.
    #[error("records before {first} have been removed by retention; read from {first}")]
    Trimmed {
        /// The first record that is left.
        first: Position,
    },
    /// There is no such record.
    #[error("there is no record {at}; the last one is {last}")]
    NotFound {
        /// What was asked for.
        at: Position,
        /// The last record there is.
        last: Position,
    },
    /// The record was set aside by the quarantine flag.
    #[error(
        "record {at} was damaged and has been set aside by the quarantine flag; look for *.quarantine-* in the data folder"
    )]
    Lost {
        /// What was asked for.
        at: Position,
    },
    /// The batch is larger than a frame may be.
    #[error("a batch of {bytes} bytes is more than one frame may hold; send at most {max} bytes")]
    TooLarge {
        /// The size of the batch.
        bytes: usize,
        /// The most it may be.
        max: usize,
    },
    /// Another process holds the folder.
    #[error("{} is in use by another process; stop that one, or choose another data folder", .folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// The format is newer than this program.
    #[error(
        "{file} has format {found}, and this program reads up to {known}; start the newer version, or choose \
         another data folder"
    )]
    Newer {
        /// The file.
        file: String,
        /// Its format.
        found: u32,
        /// The newest format that can be read.
        known: u32,
    },
    /// The folder cannot be used.
    #[error("{} cannot be used as a data folder: {reason}; nothing in it was changed", .folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// Why, with the way out.
        reason: String,
    },
}

impl LogError {
    /// Whether the same call may work later, without a restart.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Full { .. } | Self::Retry { .. } => true,
            Self::Fenced
            | Self::Corrupt { .. }
            | Self::Fatal { .. }
            | Self::Trimmed { .. }
            | Self::NotFound { .. }
            | Self::Lost { .. }
            | Self::TooLarge { .. }
            | Self::Locked { .. }
            | Self::Newer { .. }
            | Self::Unusable { .. } => false,
        }
    }

    pub(crate) fn fatal(what: impl Into<String>, error: &io::Error) -> Self {
        Self::Fatal { what: what.into(), reason: error.to_string() }
    }
}
