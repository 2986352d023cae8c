//! The command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use driftq_client::{
    DeadLetterId,
    api::{RetryPolicyRequest, RunStatus},
};

/// The group a person at a prompt belongs to.
pub(crate) const GROUP_DEFAULT: &str = "driftq-cli";

/// DriftQ on the command line.
#[derive(Debug, Parser)]
#[command(name = "driftq", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Data goes to standard output, talk to standard error.\n\
    Exit status: 0 all went well, 1 the server or a run said no, 2 the command line is wrong.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where the server is, with or without /v1 [default: http://127.0.0.1:8080]
    #[arg(long, global = true, env = "DRIFTQ_HTTP_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The token to send
    #[arg(long, global = true, env = "DRIFTQ_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// One JSON value a line instead of tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Whether the server lives, is ready, and which one it is
    Health,
    /// Create, list and show topics
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Store a message
    Produce(ProduceArgs),
    /// Print messages as they come due
    Consume(ConsumeArgs),
    /// Settle a message as done
    Ack(AckArgs),
    /// Give a message back as failed
    Nack(NackArgs),
    /// How far behind the groups are
    Lag(LagArgs),
    /// Start, watch, replay and stop runs
    #[command(subcommand)]
    Run(RunCommand),
    /// List, show, redrive and discard dead letters
    #[command(subcommand)]
    Dlq(DlqCommand),
}

/// What can be done with topics.
#[derive(Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// Create a topic, or find it created
    Create {
        /// Its name
        name: String,
        /// How many partitions
        #[arg(long, short, value_name = "N")]
        partitions: Option<u32>,
    },
    /// All topics
    List,
    /// A topic with its partitions and groups
    Show {
        /// Its name
        name: String,
    },
}

/// How a failed message is tried again.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RetryArgs {
    /// Deliveries before it is a dead letter
    #[arg(long, value_name = "N")]
    pub(crate) max_attempts: Option<u32>,
    /// The wait after the first failure; it doubles with each further one
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) backoff: Option<Duration>,
    /// The longest wait
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) max_backoff: Option<Duration>,
    /// Up to so much is added to each wait at random
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) jitter: Option<Duration>,
}

impl RetryArgs {
    /// The policy, when any part of it was given.
    pub(crate) fn policy(&self) -> Option<RetryPolicyRequest> {
        let policy = RetryPolicyRequest {
            max_attempts: self.max_attempts,
            backoff_ms: self.backoff.map(millis),
            max_backoff_ms: self.max_backoff.map(millis),
            jitter_ms: self.jitter.map(millis),
        };
        (policy != RetryPolicyRequest::default()).then_some(policy)
    }
}

/// `driftq produce`.
#[derive(Debug, Args)]
pub(crate) struct ProduceArgs {
    /// The topic
    pub(crate) topic: String,
    /// The value: JSON if it reads as JSON, otherwise a string; - or nothing reads standard input
    pub(crate) value: Option<String>,
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
    /// End after so many messages
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max: Option<u32>,
    /// End when nothing came for so long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) idle: Option<Duration>,
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
    /// The topic; without it messages are read from standard input, as `consume --json` printed them
    #[arg(requires = "partition")]
    pub(crate) topic: Option<String>,
    /// Its partition
    #[arg(requires = "offset")]
    pub(crate) partition: Option<u32>,
    /// Its offset
    #[arg(requires = "owner")]
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

/// `driftq lag`.
#[derive(Debug, Args)]
pub(crate) struct LagArgs {
    /// The topics [default: all but the runs' timelines]
    pub(crate) topics: Vec<String>,
}

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
    /// Run a terminal run again
    Replay(RunReplayArgs),
    /// Stop a run
    Cancel {
        /// The run
        run_id: String,
    },
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
    /// Then watch it
    #[arg(long, short)]
    pub(crate) watch: bool,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// Open dead letters
    List(DlqListArgs),
    /// A dead letter with every attempt
    Show(DlqShowArgs),
    /// Produce dead letters anew, or replay their runs
    Redrive(DlqRedriveArgs),
    /// Give dead letters up
    Discard(DlqDiscardArgs),
}

/// `driftq dlq list`.
#[derive(Debug, Args)]
pub(crate) struct DlqListArgs {
    /// Only those that failed in this topic
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// Only those that this group failed
    #[arg(long, short, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Only those of this run
    #[arg(long, value_name = "RUN_ID")]
    pub(crate) run: Option<String>,
    /// Only those with this reason
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}

/// `driftq dlq show`.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false, args = ["address", "run"])]
pub(crate) struct DlqShowArgs {
    /// Where it lies: TOPIC/PARTITION/OFFSET, as `dlq list` prints it
    #[arg(value_parser = address)]
    pub(crate) address: Option<DeadLetterId>,
    /// The newest of this run instead
    #[arg(long, value_name = "RUN_ID")]
    pub(crate) run: Option<String>,
}

/// `driftq dlq redrive`.
#[derive(Debug, Args)]
pub(crate) struct DlqRedriveArgs {
    /// Where they lie: TOPIC/PARTITION/OFFSET, as `dlq list` prints it
    #[arg(required = true, value_name = "ADDRESS", value_parser = address)]
    pub(crate) addresses: Vec<DeadLetterId>,
    /// Another value; - reads standard input
    #[arg(long, value_name = "JSON")]
    pub(crate) value: Option<String>,
    /// Another topic, then for all of its groups
    #[arg(long, value_name = "TOPIC")]
    pub(crate) target_topic: Option<String>,
    /// For every group, not only the one that failed it
    #[arg(long)]
    pub(crate) all_groups: bool,
}

/// `driftq dlq discard`.
#[derive(Debug, Args)]
pub(crate) struct DlqDiscardArgs {
    /// Where they lie: TOPIC/PARTITION/OFFSET, as `dlq list` prints it
    #[arg(required = true, value_name = "ADDRESS", value_parser = address)]
    pub(crate) addresses: Vec<DeadLetterId>,
    /// Why
    #[arg(long, short)]
    pub(crate) reason: Option<String>,
}

/// Milliseconds of a duration the parser below let through.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "a time looks like 500ms, 2s, 5m or 1h 30m".to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a header looks like name=value".to_owned()),
    }
}

fn address(text: &str) -> Result<DeadLetterId, String> {
    let mut parts = text.split('/');
    let parsed = (|| {
        let topic = parts.next().filter(|topic| !topic.is_empty())?.to_owned();
        let partition = parts.next()?.parse().ok()?;
        let offset = parts.next()?.parse().ok()?;
        Some(DeadLetterId { topic, partition, offset })
    })();
    match (parsed, parts.next()) {
        (Some(id), None) => Ok(id),
        _ => Err("an address looks like dlq.orders/0/17".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, error::ErrorKind};

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(std::iter::once("driftq").chain(line.split_whitespace())).map(|cli| cli.command)
    }

    fn refused(line: &str) -> ErrorKind {
        parse(line).expect_err("it must be refused").kind()
    }

    #[test]
    fn the_grammar_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units_and_become_milliseconds() {
        let Ok(Command::Produce(args)) =
            parse("produce t v --max-attempts 3 --backoff 1s --max-backoff 1m --jitter 5ms --delay 2h")
        else {
            panic!("it is a produce")
        };
        let policy = args.retry.policy().expect("it was given");
        assert_eq!((policy.max_attempts, policy.backoff_ms), (Some(3), Some(1_000)));
        assert_eq!((policy.max_backoff_ms, policy.jitter_ms), (Some(60_000), Some(5)));
        assert_eq!(args.delay.map(millis), Some(7_200_000));
        assert_eq!(refused("produce t v --delay 5"), ErrorKind::ValueValidation);
    }

    #[test]
    fn no_retry_flag_is_no_policy() {
        let Ok(Command::Produce(args)) = parse("produce t v") else { panic!("it is a produce") };
        assert_eq!(args.retry.policy(), None);
    }

    #[test]
    fn headers_are_split_at_the_first_equals_sign() {
        let Ok(Command::Produce(args)) = parse("produce t v -H a=b=c -H d=") else {
            panic!("it is a produce")
        };
        assert_eq!(args.headers, [("a".into(), "b=c".into()), ("d".into(), String::new())]);
        assert_eq!(refused("produce t v -H =x"), ErrorKind::ValueValidation);
        assert_eq!(refused("produce t v -H x"), ErrorKind::ValueValidation);
    }

    #[test]
    fn a_dead_letter_has_one_address() {
        assert_eq!(
            address("dlq.a b/3/17"),
            Ok(DeadLetterId { topic: "dlq.a b".into(), partition: 3, offset: 17 })
        );
        for bad in ["", "dlq.t", "dlq.t/0", "/0/1", "dlq.t/0/1/2", "dlq.t/-1/1", "dlq.t/0/x"] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert_eq!(refused("dlq show"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("dlq show dlq.t/0/1 --run r"), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn a_delivery_is_named_in_full_or_not_at_all() {
        assert!(parse("ack").is_ok());
        assert!(parse("ack t 0 7 -o me").is_ok());
        assert_eq!(refused("ack t"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("ack t 0 7"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("nack t 0 7 -o me --no-retry --retry-after 1s"), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn options_of_all_commands_may_stand_anywhere() {
        let cli = Cli::try_parse_from([
            "driftq", "run", "list", "--status", "failed", "--json", "--url", "http://h",
        ])
        .expect("it is a command");
        assert!(cli.global.json);
        assert_eq!(cli.global.url.as_deref(), Some("http://h"));
        assert_eq!(refused("run list --status done"), ErrorKind::InvalidValue);
        assert_eq!(refused("run replay r --input 1 --patch {}"), ErrorKind::ArgumentConflict);
    }
}
