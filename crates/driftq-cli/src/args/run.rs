//! `driftq run` on the command line.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use driftq_client::api::RunStatus;

use super::{RetryArgs, duration};

/// What can be done with runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// Start a run
    Start(RunStartArgs),
    /// Runs, newest first
    List(RunListArgs),
    /// A run with its steps, replays and error
    Show {
        /// The run
        run_id: String,
    },
    /// Print a run's timeline as it happens; exits with 0 if the run succeeded, 1 if not
    Watch(RunWatchArgs),
    /// Print a run's timeline as it is now
    Events(RunEventsArgs),
    /// Every attempt over all replays
    Attempts {
        /// The run
        run_id: String,
    },
    /// What differs between two attempts
    Diff(RunDiffArgs),
    /// What finished steps have stored
    Steps {
        /// The run
        run_id: String,
    },
    /// Run a terminal run again
    Replay(RunReplayArgs),
    /// Stop a run
    Cancel {
        /// The run
        run_id: String,
    },
    /// Make a token that only reads this run, for a browser
    Token(RunTokenArgs),
}

/// `driftq run start`.
#[derive(Debug, Args)]
pub(crate) struct RunStartArgs {
    /// Which workflow
    pub(crate) workflow: String,
    /// Its input; - reads standard input
    #[arg(long, short, value_name = "JSON")]
    pub(crate) input: Option<String>,
    /// An id of your own
    #[arg(long, value_name = "ID")]
    pub(crate) run_id: Option<String>,
    /// The same key within the window starts one run [default: one of its own]
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// The tenant it belongs to
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// Where its command goes [default: runs.commands]
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// The group that works on it [default: workers]
    #[arg(long, short, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// To find it by; may be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    #[command(flatten)]
    pub(crate) retry: RetryArgs,
    /// Then watch it
    #[arg(long, short)]
    pub(crate) watch: bool,
}

/// `driftq run list`.
#[derive(Debug, Args)]
pub(crate) struct RunListArgs {
    /// Only runs with this status
    #[arg(long, value_enum)]
    pub(crate) status: Option<StatusArg>,
    /// Only runs of this workflow
    #[arg(long, value_name = "WORKFLOW")]
    pub(crate) workflow: Option<String>,
    /// Only runs of this tenant
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// Only runs with this tag
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}

/// A run's status on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusArg {
    /// Its command waits for a worker
    Queued,
    /// A worker has it
    Running,
    /// The next attempt waits for its time
    Retrying,
    /// Parked
    Waiting,
    /// It has a result
    Succeeded,
    /// It is out of attempts
    Failed,
    /// Somebody stopped it
    Cancelled,
}

impl From<StatusArg> for RunStatus {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Queued => Self::Queued,
            StatusArg::Running => Self::Running,
            StatusArg::Retrying => Self::Retrying,
            StatusArg::Waiting => Self::Waiting,
            StatusArg::Succeeded => Self::Succeeded,
            StatusArg::Failed => Self::Failed,
            StatusArg::Cancelled => Self::Cancelled,
        }
    }
}

/// `driftq run watch`.
#[derive(Debug, Args)]
pub(crate) struct RunWatchArgs {
    /// The run
    pub(crate) run_id: String,
    /// Only events after this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub(crate) after: u64,
    /// Stay after the end of the run, for a replay that may follow
    #[arg(long, short)]
    pub(crate) follow: bool,
}

/// `driftq run replay`.
#[derive(Debug, Args)]
pub(crate) struct RunReplayArgs {
    /// The run
    pub(crate) run_id: String,
    /// Another input; - reads standard input
    #[arg(long, short, value_name = "JSON", conflicts_with = "patch")]
    pub(crate) input: Option<String>,
    /// Changes to the input (a JSON merge patch); - reads standard input
    #[arg(long, short, value_name = "JSON")]
    pub(crate) patch: Option<String>,
    /// Forget this step and all that finished after it
    #[arg(long, value_name = "STEP", conflicts_with = "fresh")]
    pub(crate) from_step: Option<String>,
    /// Forget every step
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Why; it is kept with the dead letter and in the audit log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Then watch it
    #[arg(long, short)]
    pub(crate) watch: bool,
}

/// `driftq run events`.
#[derive(Debug, Args)]
pub(crate) struct RunEventsArgs {
    /// The run
    pub(crate) run_id: String,
    /// Only events after this number
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1_000)]
    pub(crate) limit: u32,
}

/// `driftq run diff`.
#[derive(Debug, Args)]
pub(crate) struct RunDiffArgs {
    /// The run
    pub(crate) run_id: String,
    /// The one: REPLAY.ATTEMPT, or REPLAY for its newest attempt [default: the newest that failed]
    #[arg(value_parser = attempt)]
    pub(crate) a: Option<String>,
    /// The other one [default: the newest]
    #[arg(value_parser = attempt)]
    pub(crate) b: Option<String>,
}

/// `driftq run token`.
#[derive(Debug, Args)]
pub(crate) struct RunTokenArgs {
    /// The run
    pub(crate) run_id: String,
    /// How long it is good [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
}

fn attempt(text: &str) -> Result<String, String> {
    let (replay, attempt) = text.split_once('.').unwrap_or((text, "0"));
    match (replay.parse::<u32>(), attempt.parse::<u32>()) {
        (Ok(_), Ok(_)) => Ok(text.to_owned()),
        _ => Err("an attempt looks like 0.2: the replay (0 is the first start) and the attempt".to_owned()),
    }
}
