//! Options: flags with one or two dashes, each also an environment variable.

use crate::config_file::{self, ConfigFile, ConfigFileError};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use driftq_core::{Limits, Millis, Patterns};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0   ended in order
  2   an option is wrong
  65  the data folder is damaged
  69  the address cannot be listened on
  70  the server failed
  73  the data folder cannot be used
  74  the disk failed
  75  the data folder is in use by another process
  78  the data folder was written by a newer release";

/// The smallest file of the log: smaller ones could not hold what one turn of the writer may need.
const SEGMENT_BYTES_MIN: u64 = 1024 * 1024;

/// A durable broker with runs, retries, dead letters and replay.
#[derive(Debug, Parser)]
#[command(name = "driftqd", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// The options.
    #[command(flatten)]
    pub config: Config,
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Task>,
}

/// What driftqd can do besides serving.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Task {
    /// Ask a running server whether it is well; for containers without a shell.
    Healthcheck,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// The options in force.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where to listen; `:8080` is every interface.
    #[arg(
        long,
        env = "DRIFTQ_ADDR",
        default_value = "127.0.0.1:8080",
        global = true,
        value_name = "HOST:PORT"
    )]
    pub addr: String,
    /// The folder that keeps the data.
    #[arg(long, env = "DRIFTQ_WAL", default_value = "./driftq-data", value_name = "PATH")]
    pub wal: PathBuf,
    /// Keep everything in memory; it is lost at the end.
    #[arg(long, env = "DRIFTQ_MEMORY")]
    pub memory: bool,
    /// Move the data folder aside to `<folder>.bak.<unix time>` and start empty.
    #[arg(long, env = "DRIFTQ_RESET_WAL")]
    pub reset_wal: bool,
    /// Set damaged files aside and go on without the records in them.
    #[arg(long, env = "DRIFTQ_QUARANTINE")]
    pub quarantine: bool,
    /// What is logged: error, warn, info, debug, trace, or a filter per module.
    #[arg(long, env = "DRIFTQ_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// How logs are written; text on a terminal, otherwise JSON.
    #[arg(long, env = "DRIFTQ_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// A name by which this server may be called; may be repeated.
    #[arg(long, env = "DRIFTQ_ALLOW_HOST", value_delimiter = ',', value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// An origin whose pages may call this server, such as https://app.example.com; may be repeated.
    #[arg(long, env = "DRIFTQ_ALLOW_ORIGIN", value_delimiter = ',', value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,
    /// A file of tokens (TOML); with it every request needs one. Taken over anew when it changes.
    #[arg(long, env = "DRIFTQ_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The certificate with which the server speaks TLS, PEM; taken over anew when it changes.
    #[arg(long, env = "DRIFTQ_TLS_CERT", global = true, requires = "tls_key", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// That certificate's private key, PEM.
    #[arg(long, env = "DRIFTQ_TLS_KEY", global = true, requires = "tls_cert", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Let a produce to an unknown topic make it.
    #[arg(long, env = "DRIFTQ_AUTO_CREATE_TOPICS")]
    pub auto_create_topics: bool,
    /// The largest message, in bytes.
    #[arg(long, env = "DRIFTQ_MAX_MESSAGE_BYTES", default_value_t = 1024 * 1024)]
    pub max_message_bytes: usize,
    /// The largest request, in bytes.
    #[arg(long, env = "DRIFTQ_MAX_REQUEST_BYTES", default_value_t = 8 * 1024 * 1024)]
    pub max_request_bytes: usize,
    /// The most messages of a batch.
    #[arg(long, env = "DRIFTQ_MAX_BATCH_MESSAGES", default_value_t = 1_000)]
    pub max_batch_messages: usize,
    /// The most bytes of request bodies that are held at once.
    #[arg(long, env = "DRIFTQ_BODY_BUDGET_BYTES", default_value_t = 256 * 1024 * 1024)]
    pub body_budget_bytes: usize,
    /// The most connections at once.
    #[arg(long, env = "DRIFTQ_MAX_CONNECTIONS", default_value_t = 20_000)]
    pub max_connections: usize,
    /// How long a client may take for a request's head, and a connection may be idle, in milliseconds.
    #[arg(long, env = "DRIFTQ_HEAD_TIME_MS", default_value_t = 30_000,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub head_time_ms: u64,
    /// The most partitions of a topic.
    #[arg(long, env = "DRIFTQ_MAX_PARTITIONS", default_value_t = Limits::default().partitions_max)]
    pub max_partitions: u32,
    /// The most topics, timelines included.
    #[arg(long, env = "DRIFTQ_MAX_TOPICS", default_value_t = Limits::default().topics_max)]
    pub max_topics: u32,
    /// The most groups of a topic.
    #[arg(long, env = "DRIFTQ_MAX_GROUPS_PER_TOPIC", default_value_t = Limits::default().groups_per_topic_max)]
    pub max_groups_per_topic: u32,
    /// The most messages of a partition that live groups may leave unsettled.
    #[arg(long, env = "DRIFTQ_PARTITION_MAX_MESSAGES")]
    pub partition_max_messages: Option<u64>,
    /// The most bytes of a partition that live groups may leave unsettled.
    #[arg(long, env = "DRIFTQ_PARTITION_MAX_BYTES")]
    pub partition_max_bytes: Option<u64>,
    /// How long a produce key is remembered, in milliseconds; 0 is off.
    #[arg(long, env = "DRIFTQ_IDEMPOTENCY_WINDOW_MS", default_value_t = Limits::default().key_window.0)]
    pub idempotency_window_ms: u64,
    /// The most produce keys that are remembered.
    #[arg(long, env = "DRIFTQ_IDEMPOTENCY_MAX_KEYS", default_value_t = Limits::default().keys_max)]
    pub idempotency_max_keys: usize,
    /// How long a group remembers the keys it acked, in milliseconds; 0 is off.
    #[arg(long, env = "DRIFTQ_CONSUMED_KEY_WINDOW_MS", default_value_t = Limits::default().consumed_key_window.0)]
    pub consumed_key_window_ms: u64,
    /// The most acks that are remembered, per partition of a group.
    #[arg(long, env = "DRIFTQ_ACKS_REMEMBERED", default_value_t = Limits::default().acks_remembered_max)]
    pub acks_remembered: usize,
    /// How long an unused group is kept that never acked, or reads a timeline, in milliseconds.
    #[arg(long, env = "DRIFTQ_GROUP_IDLE_UNUSED_MS", default_value_t = Limits::default().group_idle_unused_max.0)]
    pub group_idle_unused_ms: u64,
    /// How long any other unused group is kept, in milliseconds.
    #[arg(long, env = "DRIFTQ_GROUP_IDLE_MS", default_value_t = Limits::default().group_idle_max.0)]
    pub group_idle_ms: u64,
    /// The room on the disk that is held back for settling, in bytes.
    #[arg(long, env = "DRIFTQ_DISK_RESERVE_BYTES", default_value_t = 64 * 1024 * 1024)]
    pub disk_reserve_bytes: u64,
    /// The size of a file of the log, in bytes, 1 MiB at least: half of it bounds one atomic write.
    #[arg(long, env = "DRIFTQ_SEGMENT_BYTES", default_value_t = 64 * 1024 * 1024,
        value_parser = clap::value_parser!(u64).range(SEGMENT_BYTES_MIN..))]
    pub segment_bytes: u64,
    /// Bytes of log after which a checkpoint is written.
    #[arg(long, env = "DRIFTQ_CHECKPOINT_BYTES", default_value_t = 256 * 1024 * 1024)]
    pub checkpoint_bytes: u64,
    /// A file that sets options by their names, and tells topics by patterns; flags and the environment say more.
    #[arg(long, env = "DRIFTQ_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What the configuration file tells topics by patterns of their names.
    #[arg(skip)]
    pub patterns: Patterns,
    /// For tests of applications: time stands still until POST /v1/dev/clock moves it.
    #[arg(long, env = "DRIFTQ_DEV_CLOCK")]
    pub dev_clock: bool,
    /// Print every option, its value and where it comes from, and exit.
    #[arg(long)]
    pub print_config: bool,
}

impl Config {
    /// A server for tests: in memory, on a free port, with every other option at its default.
    #[must_use]
    pub fn in_memory() -> Self {
        let arguments = ["driftqd", "--memory", "--addr", "127.0.0.1:0"];
        let cli = Cli::try_parse_from(arguments);
        cli.map(|cli| cli.config).unwrap_or_else(|error| error.exit())
    }

    /// The bounds of the broker.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            partitions_max: self.max_partitions,
            topics_max: self.max_topics,
            groups_per_topic_max: self.max_groups_per_topic,
            keys_max: self.idempotency_max_keys,
            key_window: Millis(self.idempotency_window_ms),
            consumed_key_window: Millis(self.consumed_key_window_ms),
            acks_remembered_max: self.acks_remembered,
            partition_messages_max: self.partition_max_messages,
            partition_bytes_max: self.partition_max_bytes,
            group_idle_unused_max: Millis(self.group_idle_unused_ms),
            group_idle_max: Millis(self.group_idle_ms),
            auto_create_topics: self.auto_create_topics,
            ..Limits::default()
        }
    }
}

/// Why the options are not taken.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// A flag or a variable is wrong, or only help was asked for.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// The configuration file is wrong.
    #[error(transparent)]
    File(#[from] ConfigFileError),
}

/// Options as clap reads them, and where they come from.
struct Read {
    /// With what the file adds.
    matches: ArgMatches,
    /// Options that only the file sets.
    from_file: BTreeSet<String>,
    patterns: Patterns,
}

/// Reads the options of this process, with those of its configuration file.
///
/// # Errors
///
/// When an option is wrong, or only help was asked for.
pub fn parse<I, T>(arguments: I) -> Result<Cli, OptionsError>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let read = read(arguments)?;
    let mut cli = Cli::from_arg_matches(&read.matches)?;
    cli.config.patterns = read.patterns;
    Ok(cli)
}

fn read<I, T>(arguments: I) -> Result<Read, OptionsError>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let given: Vec<OsString> = arguments.into_iter().map(|argument| two_dashes(argument.into())).collect();
    let command = Cli::command();
    let matches = command.clone().try_get_matches_from(&given)?;
    let Some(file) = matches.get_one::<PathBuf>("config") else {
        return Ok(Read { matches, from_file: BTreeSet::new(), patterns: Patterns::default() });
    };
    let ConfigFile { flags, patterns } = config_file::read(file, &command)?;
    // An option that nobody else set stands in front, where a subcommand cannot follow it.
    let is_unset = |id: &str| {
        !matches!(matches.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let (mut with_file, rest) = (given.iter().take(1).cloned().collect::<Vec<_>>(), given.iter().skip(1));
    let mut from_file = BTreeSet::new();
    for flag in flags.into_iter().filter(|flag| is_unset(&flag.id)) {
        with_file.extend(flag.arguments.into_iter().map(OsString::from));
        from_file.insert(flag.id);
    }
    with_file.extend(rest.cloned());
    Ok(Read { matches: command.try_get_matches_from(with_file)?, from_file, patterns })
}

/// Writes long flags with one dash (`-addr`) as clap reads them.
fn two_dashes(argument: OsString) -> OsString {
    let is_long = argument.to_str().and_then(|text| text.strip_prefix('-')).is_some_and(|name| {
        let mut letters = name.chars();
        letters.next().is_some_and(char::is_alphabetic) && letters.next().is_some()
    });
    if !is_long {
        return argument;
    }
    let mut with = OsString::from("-");
    with.push(argument);
    with
}

/// Every option with its value and where it comes from, one a line.
///
/// # Errors
///
/// When an option is wrong.
pub fn print_config<I, T>(arguments: I) -> Result<String, OptionsError>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let ids: Vec<_> = Config::command_ids();
    let Read { matches, from_file, .. } = read(arguments)?;
    Cli::from_arg_matches(&matches)?;
    let mut out = String::new();
    for (id, flag) in ids {
        let values = matches.get_raw(&id).into_iter().flatten().map(|value| value.to_string_lossy());
        let value = values.collect::<Vec<_>>().join(",");
        let source = match matches.value_source(&id) {
            _ if from_file.contains(&id) => "file",
            Some(ValueSource::CommandLine) => "flag",
            Some(ValueSource::EnvVariable) => "environment",
            _ => "default",
        };
        let _infallible =
            writeln!(out, "{flag:<28} {:<24} {source}", if value.is_empty() { "-" } else { &value });
    }
    Ok(out)
}

impl Config {
    /// Every option's id and flag, in the order of the help.
    fn command_ids() -> Vec<(String, String)> {
        let command = Cli::command();
        let arguments = command.get_arguments().filter(|argument| argument.get_env().is_some());
        let named = arguments.filter_map(|argument| {
            Some((argument.get_id().to_string(), format!("--{}", argument.get_long()?)))
        });
        named.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn one_dash_does() {
        let cli =
            parse(["driftqd", "-addr", ":9000", "-wal=/tmp/x", "-reset-wal", "-log-format", "json"]).unwrap();
        assert_eq!(cli.config.addr, ":9000");
        assert_eq!(cli.config.wal, PathBuf::from("/tmp/x"));
        assert!(cli.config.reset_wal);
        assert_eq!(cli.config.log_format, Some(LogFormat::Json));
    }

    #[test]
    fn a_flag_says_more_than_the_file_and_the_file_more_than_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("driftq.toml");
        std::fs::write(&file, "addr = \":1\"\nmax-topics = 7\nauto-create-topics = true\n").unwrap();
        let file = file.to_str().unwrap();
        let arguments = ["driftqd", "-config", file, "-addr", ":9000", "healthcheck"];
        let cli = parse(arguments).unwrap();
        assert_eq!((cli.config.addr.as_str(), cli.config.max_topics), (":9000", 7));
        assert!(cli.config.auto_create_topics && cli.command.is_some());
        let printed = print_config(["driftqd", "--config", file]).unwrap();
        assert!(
            printed.lines().any(|line| line.starts_with("--max-topics ") && line.ends_with("file")),
            "{printed}"
        );
    }

    #[test]
    fn the_printed_options_say_where_they_come_from() {
        let printed = print_config(["driftqd", "-addr", ":9000"]).unwrap();
        assert!(
            printed.lines().any(|line| line.starts_with("--addr ") && line.ends_with("flag")),
            "{printed}"
        );
        assert!(
            printed.lines().any(|line| line.starts_with("--max-topics ") && line.ends_with("default")),
            "{printed}"
        );
    }
}
