//! Why a command stopped, and what the shell is told.

use std::process::ExitCode;

use driftq_client::ClientError;

/// Why a command stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The server said no, or nobody answered.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server said no to a line of the input.
    #[error("line {number}: {what}")]
    Line {
        /// Which, from 1.
        number: u64,
        /// What is wrong with it.
        what: String,
        /// What it said.
        error: ClientError,
    },
    /// It stopped on the way, and this is how to go on.
    #[error("{error}\n{way_on}")]
    Stopped {
        /// Why it stopped.
        error: Box<CliError>,
        /// How to go on.
        way_on: String,
    },
    /// The command line asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The person at the terminal said no.
    #[error("nothing was done")]
    Declined,
    /// Something given could not be read.
    #[error("{what} cannot be read: {error}")]
    Input {
        /// What was read.
        what: String,
        /// Why it failed.
        error: std::io::Error,
    },
    /// Nobody takes the output.
    #[error("the output cannot be written: {0}")]
    Output(std::io::Error),
}

impl CliError {
    /// The same with how to go on.
    pub(crate) fn and(self, way_on: String) -> Self {
        Self::Stopped { error: Box::new(self), way_on }
    }

    /// What the shell is told: 2 for a wrong command line, as for one that does not parse.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_)
            | Self::Client(
                ClientError::BadUrl { .. }
                | ClientError::BadToken
                | ClientError::BadActor
                | ClientError::BadCertificate { .. },
            ) => ExitCode::from(2),
            Self::Stopped { error, .. } => error.exit_code(),
            Self::Client(_) | Self::Line { .. } | Self::Declined | Self::Input { .. } | Self::Output(_) => {
                ExitCode::FAILURE
            }
        }
    }
}
