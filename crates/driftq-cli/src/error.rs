//! Why a command stopped, and what the shell is told.

use std::process::ExitCode;

use driftq_client::ClientError;

/// Why a command stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The server said no, or nobody answered.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The command line asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
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
    /// What the shell is told: 2 for a wrong command line, as for one that does not parse.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_)
            | Self::Client(
                ClientError::BadUrl { .. } | ClientError::BadToken | ClientError::BadCertificate { .. },
            ) => ExitCode::from(2),
            Self::Client(_) | Self::Input { .. } | Self::Output(_) => ExitCode::FAILURE,
        }
    }
}
