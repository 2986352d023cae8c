//! `driftq topic` on the command line.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use driftq_client::api::{
    CreateTopicRequest, PatchTopicRequest, RetentionPatch, RetryPolicyPatch, RoutingPatch,
};

use super::{RetryArgs, duration, millis};

/// What can be done with topics.
#[derive(Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// Create a topic, or find it created
    Create(TopicCreateArgs),
    /// All topics
    List,
    /// A topic with its partitions, groups and settings
    Show {
        /// Its name
        name: String,
    },
    /// Change a topic's settings
    Set(TopicSetArgs),
    /// Delete a topic with its messages and groups
    Delete(TopicDeleteArgs),
    /// Look at messages without taking them
    Browse(TopicBrowseArgs),
}

/// `driftq topic create`.
#[derive(Debug, Args)]
pub(crate) struct TopicCreateArgs {
    /// Its name
    pub(crate) name: String,
    /// How many partitions
    #[arg(long, short, value_name = "N")]
    pub(crate) partitions: Option<u32>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// `driftq topic set`.
#[derive(Debug, Args)]
#[command(override_usage = "driftq topic set [OPTIONS] <NAME>")]
#[command(group(clap::ArgGroup::new("change").multiple(true).required(true).args([
    "max_attempts", "backoff", "max_backoff", "jitter", "idempotency_window", "partition_max_messages",
    "partition_max_bytes", "keep_for", "keep_bytes", "keep_dead_letters_for", "label", "reset",
])))]
pub(crate) struct TopicSetArgs {
    /// Its name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// Back to the default; may be given more than once
    #[arg(long, value_name = "SETTING", value_enum)]
    pub(crate) reset: Vec<SettingArg>,
    /// Why, for the server's books
    #[arg(long, short)]
    pub(crate) reason: Option<String>,
}

/// A topic's settings.
#[derive(Debug, Default, Args)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    pub(crate) retry: RetryArgs,
    /// How long an idempotency key counts; 0s is not at all
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) idempotency_window: Option<Duration>,
    /// Messages of a partition that groups may leave unsettled; then producers are told to wait
    #[arg(long, value_name = "N")]
    pub(crate) partition_max_messages: Option<u64>,
    /// The same in bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) partition_max_bytes: Option<u64>,
    /// How long messages are kept
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) keep_for: Option<Duration>,
    /// How many bytes are kept
    #[arg(long, value_name = "BYTES")]
    pub(crate) keep_bytes: Option<u64>,
    /// How long its dead letters are kept
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) keep_dead_letters_for: Option<Duration>,
    /// The mark that its messages are handed out with
    #[arg(long, value_name = "LABEL")]
    pub(crate) label: Option<String>,
}

/// A setting that can go back to its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SettingArg {
    /// How a failed message is tried again
    RetryPolicy,
    /// How long an idempotency key counts
    IdempotencyWindow,
    /// How many messages groups may leave unsettled
    PartitionMaxMessages,
    /// How many bytes groups may leave unsettled
    PartitionMaxBytes,
    /// How long messages are kept
    Retention,
    /// The mark that messages are handed out with
    Routing,
}

impl SettingsArgs {
    fn retry_policy(&self) -> Option<RetryPolicyPatch> {
        self.retry.policy().map(|policy| RetryPolicyPatch {
            max_attempts: policy.max_attempts.map(Some),
            backoff_ms: policy.backoff_ms.map(Some),
            max_backoff_ms: policy.max_backoff_ms.map(Some),
            jitter_ms: policy.jitter_ms.map(Some),
        })
    }

    fn retention(&self) -> Option<RetentionPatch> {
        let retention = RetentionPatch {
            age_ms: self.keep_for.map(millis).map(Some),
            bytes: self.keep_bytes.map(Some),
            dead_letter_age_ms: self.keep_dead_letters_for.map(millis).map(Some),
        };
        (retention != RetentionPatch::default()).then_some(retention)
    }

    fn routing(&self) -> Option<RoutingPatch> {
        self.label.clone().map(|label| RoutingPatch { label: Some(label), meta: None })
    }
}

impl TopicCreateArgs {
    /// What is asked of the server.
    pub(crate) fn request(&self) -> CreateTopicRequest {
        CreateTopicRequest {
            name: Some(self.name.clone()),
            partitions: self.partitions,
            retry_policy: self.settings.retry_policy(),
            idempotency_window_ms: self.settings.idempotency_window.map(millis),
            partition_max_messages: self.settings.partition_max_messages,
            partition_max_bytes: self.settings.partition_max_bytes,
            retention: self.settings.retention(),
            routing: self.settings.routing(),
        }
    }
}

impl TopicSetArgs {
    /// What is asked of the server; a setting that is both reset and given is given.
    pub(crate) fn patch(&self) -> PatchTopicRequest {
        fn given<T>(value: Option<T>, is_reset: bool) -> Option<Option<T>> {
            value.map(Some).or(is_reset.then_some(None))
        }
        let is_reset = |setting| self.reset.contains(&setting);
        PatchTopicRequest {
            retry_policy: given(self.settings.retry_policy(), is_reset(SettingArg::RetryPolicy)),
            idempotency_window_ms: given(
                self.settings.idempotency_window.map(millis),
                is_reset(SettingArg::IdempotencyWindow),
            ),
            partition_max_messages: given(
                self.settings.partition_max_messages,
                is_reset(SettingArg::PartitionMaxMessages),
            ),
            partition_max_bytes: given(
                self.settings.partition_max_bytes,
                is_reset(SettingArg::PartitionMaxBytes),
            ),
            retention: given(self.settings.retention(), is_reset(SettingArg::Retention)),
            routing: given(self.settings.routing(), is_reset(SettingArg::Routing)),
            reason: self.reason.clone(),
        }
    }
}

/// `driftq topic delete`.
#[derive(Debug, Args)]
pub(crate) struct TopicDeleteArgs {
    /// Its name
    pub(crate) name: String,
    /// Why, for the server's books
    #[arg(long, short)]
    pub(crate) reason: Option<String>,
    /// Only say what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `driftq topic browse`.
#[derive(Debug, Args)]
pub(crate) struct TopicBrowseArgs {
    /// The topic
    pub(crate) name: String,
    /// Its partition
    #[arg(long, short, value_name = "N", default_value_t = 0)]
    pub(crate) partition: u32,
    /// From this offset on [default: the oldest]
    #[arg(long, value_name = "OFFSET")]
    pub(crate) from: Option<u64>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}
