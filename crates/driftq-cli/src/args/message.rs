//! Messages on the command line: producing, consuming, settling, and one message under the glass.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use driftq_client::DeadLetterId;

use super::{GROUP_DEFAULT, RetryArgs, address, duration, header};

/// `driftq produce`.
#[derive(Debug, Args)]
pub(crate) struct ProduceArgs {
    /// The topic
    pub(crate) topic: String,
    /// The value: JSON if it reads as JSON, otherwise a string; - or nothing reads standard input
    #[arg(conflicts_with = "file")]
    pub(crate) value: Option<String>,
    /// Read the value, or with --lines the lines, from a file
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Each line is a message: a value, or with --messages what the API takes; one that begins like JSON must
    /// be JSON
    #[arg(long, short, conflicts_with_all = ["value", "idempotency_key"])]
    pub(crate) lines: bool,
    /// Each line is an object as `POST /v1/produce` takes it: value, key, headers, envelope …
    #[arg(long, requires = "lines")]
    pub(crate) messages: bool,
    /// How many lines are stored at once
    #[arg(long, value_name = "N", requires = "lines", default_value_t = 500,
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) batch: u32,
    /// With --lines: the idempotency key of a line is PREFIX-LINE, so the same input sent again with the
    /// same prefix stores nothing twice; one prefix per input [default: a new one]
    #[arg(long, value_name = "PREFIX", requires = "lines")]
    pub(crate) idempotency_prefix: Option<String>,
    /// With --lines: pass over the lines before this one
    #[arg(long, value_name = "LINE", requires = "lines", default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) from_line: u64,
    /// With --lines: how long a batch that was not answered is sent again
    #[arg(long, value_name = "TIME", requires = "lines", value_parser = duration, default_value = "30s")]
    pub(crate) patience: Duration,
    /// Only say what would be stored
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take the value as a string, whatever it looks like
    #[arg(long)]
    pub(crate) string: bool,
    /// What decides the partition
    #[arg(long, short)]
    pub(crate) key: Option<String>,
    /// A header; may be given more than once
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// The same key within the window is stored once [default: one of its own]
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// The tenant it belongs to
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// Hand it out only after so long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) delay: Option<Duration>,
    /// When it is of no use any more, RFC 3339
    #[arg(long, value_name = "WHEN")]
    pub(crate) deadline: Option<String>,
    /// The partition, whatever the key says
    #[arg(long, value_name = "N")]
    pub(crate) partition: Option<u32>,
    #[command(flatten)]
    pub(crate) retry: RetryArgs,
}

/// `driftq consume`.
#[derive(Debug, Args)]
pub(crate) struct ConsumeArgs {
    /// The topic
    pub(crate) topic: String,
    /// The group
    #[arg(long, short, default_value = GROUP_DEFAULT)]
    pub(crate) group: String,
    /// Who consumes [default: cli- and the process id]
    #[arg(long, short)]
    pub(crate) owner: Option<String>,
    /// Ack each message once it is printed
    #[arg(long)]
    pub(crate) ack: bool,
    /// Stay and print what comes
    #[arg(long, short, conflicts_with = "idle")]
    pub(crate) follow: bool,
    /// End after so many messages
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max: Option<u32>,
    /// End when nothing came for so long
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s")]
    pub(crate) idle: Duration,
    /// How long a message is held
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub(crate) lease: Duration,
    /// A group that is new begins with the next message, not with the oldest
    #[arg(long)]
    pub(crate) latest: bool,
}

/// Which delivery: given in full, or read as it was consumed.
#[derive(Debug, Args)]
pub(crate) struct DeliveryArgs {
    /// The topic, or the whole TOPIC/PARTITION/OFFSET; without it messages are read from standard input, as
    /// `consume --json` printed them
    #[arg(requires = "owner")]
    pub(crate) topic: Option<String>,
    /// Its partition
    #[arg(requires = "offset")]
    pub(crate) partition: Option<u32>,
    /// Its offset
    pub(crate) offset: Option<u64>,
    /// The group
    #[arg(long, short, default_value = GROUP_DEFAULT)]
    pub(crate) group: String,
    /// Who holds it
    #[arg(long, short)]
    pub(crate) owner: Option<String>,
    /// The lease [default: the owner's newest]
    #[arg(long, value_name = "ID")]
    pub(crate) lease_id: Option<String>,
}

/// `driftq ack`.
#[derive(Debug, Args)]
pub(crate) struct AckArgs {
    #[command(flatten)]
    pub(crate) delivery: DeliveryArgs,
    /// What a run's command came to
    #[arg(long, value_name = "JSON")]
    pub(crate) result: Option<String>,
}

/// `driftq nack`.
#[derive(Debug, Args)]
pub(crate) struct NackArgs {
    #[command(flatten)]
    pub(crate) delivery: DeliveryArgs,
    /// Why
    #[arg(long, short)]
    pub(crate) reason: Option<String>,
    /// Try again after so long, instead of the backoff
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "no_retry")]
    pub(crate) retry_after: Option<Duration>,
    /// No further try: it is a dead letter now
    #[arg(long)]
    pub(crate) no_retry: bool,
}

/// `driftq extend`.
#[derive(Debug, Args)]
pub(crate) struct ExtendArgs {
    #[command(flatten)]
    pub(crate) delivery: DeliveryArgs,
    /// How long from now
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub(crate) lease: Duration,
}

/// Which message, or which run's command.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false, args = ["address", "run"])]
pub(crate) struct MessageArgs {
    /// Where the message lies: TOPIC/PARTITION/OFFSET
    #[arg(value_name = "ADDRESS", value_parser = address)]
    pub(crate) address: Option<DeadLetterId>,
    /// The command of this run instead
    #[arg(long, value_name = "RUN_ID")]
    pub(crate) run: Option<String>,
}

/// `driftq explain`.
#[derive(Debug, Args)]
pub(crate) struct MessageOrRunArgs {
    #[command(flatten)]
    pub(crate) message: MessageArgs,
    /// For this group [default: the run's, or the only one]
    #[arg(long, short, value_name = "GROUP")]
    pub(crate) group: Option<String>,
}

/// `driftq retry-now`.
#[derive(Debug, Args)]
pub(crate) struct RetryNowArgs {
    #[command(flatten)]
    pub(crate) message: MessageArgs,
    /// The group it waits for; a delay ends for all groups
    #[arg(long, short, value_name = "GROUP", conflicts_with = "run")]
    pub(crate) group: Option<String>,
    /// Why, for the server's books
    #[arg(long, short)]
    pub(crate) reason: Option<String>,
}
