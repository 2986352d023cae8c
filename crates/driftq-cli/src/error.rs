//! Why a command stopped, and what the shell is told.

use std::process::ExitCode;

use driftq_client::ClientError;
use serde::Serialize;

use crate::hints;

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

    /// As a program reads it.
    pub(crate) fn report<'a>(&self, about: Option<&'a str>) -> Report<'a> {
        let (error, client) = self.kind();
        let refusal = client.and_then(ClientError::refusal);
        let message = match (self, refusal) {
            (Self::Client(_), Some(refusal)) => refusal.message.clone(),
            _ => self.to_string(),
        };
        Report {
            error,
            message: hints::at_a_prompt(&message),
            about,
            status: refusal.map(|refusal| refusal.status),
            retryable: client.map(ClientError::retryable),
        }
    }

    /// A word for it, the server's if it has one, and what the client said.
    fn kind(&self) -> (&'static str, Option<&ClientError>) {
        match self {
            Self::Client(error) | Self::Line { error, .. } => (word(error), Some(error)),
            Self::Stopped { error, .. } => error.kind(),
            Self::Usage(_) => ("USAGE", None),
            Self::Declined => ("DECLINED", None),
            Self::Input { .. } => ("INPUT", None),
            Self::Output(_) => ("OUTPUT", None),
        }
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

/// What went wrong, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    error: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
}

fn word(error: &ClientError) -> &'static str {
    match error {
        ClientError::Refused(refusal) => refusal.code.map_or("REFUSED", |code| code.as_str()),
        ClientError::Unreachable { .. } => "UNREACHABLE",
        ClientError::UnknownHost { .. } => "UNKNOWN_HOST",
        ClientError::Untrusted { .. } => "UNTRUSTED",
        ClientError::Broken { .. } => "BROKEN",
        ClientError::Unreadable { .. } => "UNREADABLE",
        ClientError::BadUrl { .. }
        | ClientError::BadName(_)
        | ClientError::BadToken
        | ClientError::BadActor
        | ClientError::BadCertificate { .. }
        | ClientError::BadValue(_) => "USAGE",
        ClientError::Setup(_) => "SETUP",
    }
}
