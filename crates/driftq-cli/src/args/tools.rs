//! What looks at a server as a whole, and what makes tokens, on the command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use super::duration;

/// `driftq lag`.
#[derive(Debug, Args)]
pub(crate) struct LagArgs {
    /// The topics [default: all but the runs' timelines]
    pub(crate) topics: Vec<String>,
}

/// `driftq top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Print it once and end
    #[arg(long)]
    pub(crate) once: bool,
    /// How often it is asked
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    pub(crate) interval: Duration,
    /// At most so many groups, those with the most before them first
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
}

/// `driftq doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The address of an event stream as browsers see it, proxies and all
    #[arg(value_name = "SSE_URL")]
    pub(crate) stream: Option<String>,
    /// How long to listen to it; the server sends a sign of life every 15 s
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "20s")]
    pub(crate) listen: Duration,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print its secret, once; the server is not asked
    New(TokenNewArgs),
}

/// `driftq token new`.
#[derive(Debug, Args)]
pub(crate) struct TokenNewArgs {
    /// Whose it is; the server's books call its acts by this name
    #[arg(long)]
    pub(crate) name: String,
    /// What it may do; may be given more than once
    #[arg(long = "verb", value_name = "VERB", value_enum, required = true)]
    pub(crate) verbs: Vec<VerbArg>,
    /// Only topics that begin so; may be given more than once [default: all]
    #[arg(long = "topic", value_name = "PREFIX")]
    pub(crate) topics: Vec<String>,
    /// Only this tenant [default: all]
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// How long it is good, 30d say [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) expires_in: Option<Duration>,
    /// Add it to this file, which `driftqd --token-file` reads [default: print it]
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerbArg {
    /// Store messages
    Produce,
    /// Take and settle messages, work on runs
    Consume,
    /// Look at runs
    #[value(name = "runs:read")]
    RunsRead,
    /// Start, replay and stop runs
    #[value(name = "runs:write")]
    RunsWrite,
    /// All about dead letters
    Dlq,
    /// Topics, groups, counters
    Admin,
}

impl VerbArg {
    /// The verb as it is written in a file of tokens.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
            Self::RunsRead => "runs:read",
            Self::RunsWrite => "runs:write",
            Self::Dlq => "dlq",
            Self::Admin => "admin",
        }
    }
}
