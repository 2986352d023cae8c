//! The command line.

mod dlq;
mod group;
mod message;
mod run;
mod tools;
mod topic;

use std::{
    ffi::OsString,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, Parser, Subcommand};
use driftq_client::{DeadLetterId, api::RetryPolicyRequest};

#[cfg(feature = "workbench")]
pub(crate) use dlq::DlqWorkbenchArgs;
pub(crate) use dlq::{
    AddressOrStdin, DlqCommand, DlqDiffArgs, DlqDiscardArgs, DlqGroupsArgs, DlqListArgs, DlqRedriveAllArgs,
    DlqRedriveArgs, DlqShowArgs, JobActArgs, JobCommand, JobListArgs,
};
pub(crate) use group::{GroupCommand, GroupDeleteArgs, GroupListArgs, GroupSeekArgs};
pub(crate) use message::{
    AckArgs, ConsumeArgs, DeliveryArgs, ExtendArgs, MessageOrRunArgs, NackArgs, ProduceArgs, RetryNowArgs,
};
pub(crate) use run::{
    RunCommand, RunDiffArgs, RunEventsArgs, RunListArgs, RunReplayArgs, RunStartArgs, RunTokenArgs,
    RunWatchArgs,
};
pub(crate) use tools::{DoctorArgs, LagArgs, TokenCommand, TokenNewArgs, TopArgs, VerbArg};
pub(crate) use topic::{TopicBrowseArgs, TopicCommand, TopicCreateArgs, TopicDeleteArgs};

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
    /// Where the server is, with or without http:// and /v1 [default: http://127.0.0.1:8080]
    #[arg(long, global = true, env = "DRIFTQ_HTTP_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
    /// The token to send
    #[arg(long, global = true, env = "DRIFTQ_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The certificates, in PEM, that vouch for an https server: its authority's, or its own [default: those of the
    /// system]
    #[arg(long, global = true, env = "DRIFTQ_CA_CERT", value_name = "FILE", hide_env_values = true,
        value_parser = clap::value_parser!(OsString))]
    pub(crate) ca_cert: Option<OsString>,
    /// Who does this, for the server's books [default: your user's name]
    #[arg(long, global = true, env = "DRIFTQ_ACTOR", value_name = "NAME", hide_env_values = true)]
    pub(crate) actor: Option<String>,
    /// One JSON value a line instead of tables; an error is one too, on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Do what cannot be undone without asking
    #[arg(long, short = 'y', global = true)]
    pub(crate) yes: bool,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Whether the server lives, is ready, and which one it is
    Health,
    /// What the server counts
    Stats,
    /// Topics, groups, lag and rates, live
    Top(TopArgs),
    /// What may be wrong between you and the server
    Doctor(DoctorArgs),
    /// Create, list, show, change, delete topics and look into them
    #[command(subcommand)]
    Topic(TopicCommand),
    /// List, move and delete groups
    #[command(subcommand)]
    Group(GroupCommand),
    /// How far behind the groups are
    Lag(LagArgs),
    /// Store a message, or many
    Produce(Box<ProduceArgs>),
    /// Print messages as they come due; without --ack each is held until its lease ends, which counts as an
    /// attempt (`topic browse` only looks)
    Consume(ConsumeArgs),
    /// Settle a message as done
    Ack(AckArgs),
    /// Give a message back as failed
    Nack(NackArgs),
    /// Hold a message for longer
    Extend(ExtendArgs),
    /// End the backoff or delay of a message, or of a run's command, now
    RetryNow(RetryNowArgs),
    /// Why a message, or a run's command, is not running
    Explain(MessageOrRunArgs),
    /// Start, watch, compare, replay and stop runs
    #[command(subcommand)]
    Run(Box<RunCommand>),
    /// Find, compare, mend, redrive and discard dead letters
    #[command(subcommand)]
    Dlq(Box<DlqCommand>),
    /// Make tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Print what completes this command in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
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

/// Milliseconds of a duration the parser below let through.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A moment on the command line: so long ago, or RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct When(u64);

impl When {
    /// Epoch milliseconds.
    pub(crate) fn epoch_ms(self) -> u64 {
        self.0
    }
}

fn when(text: &str) -> Result<When, String> {
    let at = match humantime::parse_duration(text) {
        Ok(ago) => SystemTime::now().checked_sub(ago),
        Err(_) => humantime::parse_rfc3339_weak(text).ok(),
    };
    let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since
        .map(|since| When(millis(since)))
        .ok_or_else(|| "a moment looks like 15m (so long ago) or 2026-01-31T12:00:00Z".to_owned())
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

/// Where a message lies: TOPIC/PARTITION/OFFSET.
pub(crate) fn address(text: &str) -> Result<DeadLetterId, String> {
    let mut parts = text.split('/');
    let parsed = (|| {
        let topic = parts.next().filter(|topic| !topic.is_empty())?.to_owned();
        let partition = parts.next()?.parse().ok()?;
        let offset = parts.next()?.parse().ok()?;
        Some(DeadLetterId { topic, partition, offset })
    })();
    match (parsed, parts.next()) {
        (Some(id), None) => Ok(id),
        _ => Err("an address looks like orders/0/17: topic, partition, offset".to_owned()),
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

    /// Every command's help, in the order of the top one.
    fn helps(command: &mut clap::Command, all: &mut String) {
        let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
        let rule = "=".repeat(name.len());
        let help = command.render_help().to_string();
        *all += &format!("{name}\n{rule}\n{help}\n");
        for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
            helps(inner, all);
        }
    }

    #[test]
    fn every_command_has_help_that_somebody_has_read() {
        // What every command takes is shown once.
        let mut all = Cli::command().render_help().to_string() + "\n";
        let mut cli = Cli::command().mut_args(|arg| {
            let is_global = arg.is_global_set();
            arg.hide(is_global)
        });
        cli.build();
        helps(&mut cli, &mut all);
        expect_test::expect_file!["../../tests/help.txt"].assert_eq(&all);
    }

    #[test]
    fn places_moments_and_shares_are_read_or_refused() {
        let Ok(Command::Group(GroupCommand::Seek(args))) =
            parse("group seek t g --since 2026-01-31T12:00:00Z")
        else {
            panic!("it is a seek")
        };
        assert_eq!(args.place(), driftq_client::api::SeekTo::Time { time_ms: 1_769_860_800_000 });
        assert_eq!(refused("group seek t g"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("group seek t g --earliest --latest"), ErrorKind::ArgumentConflict);
        assert_eq!(refused("group seek t g --since yesterday"), ErrorKind::ValueValidation);
        assert_eq!(refused("explain orders"), ErrorKind::ValueValidation);
        assert_eq!(refused("retry-now orders/0/1 --run r"), ErrorKind::ArgumentConflict);
        assert_eq!(refused("consume t --follow --idle 1s"), ErrorKind::ArgumentConflict);
        assert_eq!(refused("produce t v --lines"), ErrorKind::ArgumentConflict);
        assert_eq!(refused("dlq redrive-all --dry-run --watch"), ErrorKind::ArgumentConflict);
        assert_eq!(refused("token new --name n --verb everything"), ErrorKind::InvalidValue);
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
        assert!(parse("ack t/0/7 -o me").is_ok());
        assert_eq!(refused("ack t 0 7"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("ack t 0 -o me"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("ack t/0/7"), ErrorKind::MissingRequiredArgument);
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
