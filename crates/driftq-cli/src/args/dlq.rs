//! `driftq dlq` on the command line.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use driftq_client::{
    DeadLetterId,
    api::{DeadLetterQuery, FingerprintQuery, RedriveJobFilter, RedriveJobStatus},
};

use super::{When, address, duration, when};

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DlqCommand {
    /// Open dead letters
    List(DlqListArgs),
    /// Open dead letters by what went wrong, the most frequent first
    Groups(DlqGroupsArgs),
    /// A dead letter with every attempt
    Show(DlqShowArgs),
    /// What differs between two attempts of a dead letter
    Diff(DlqDiffArgs),
    /// Produce dead letters anew, or replay their runs
    Redrive(DlqRedriveArgs),
    /// Let the server redrive all that match, at a rate
    RedriveAll(DlqRedriveAllArgs),
    /// Give dead letters up
    Discard(DlqDiscardArgs),
    /// Watch, pause, resume and stop what `redrive-all` started
    #[command(subcommand)]
    Job(JobCommand),
    /// Read, compare, edit, redrive and discard on one screen
    #[cfg(feature = "workbench")]
    Workbench(DlqWorkbenchArgs),
}

/// Which dead letters.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct DlqFilterArgs {
    /// Only those that failed in this topic
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// Only those that this group failed
    #[arg(long, short, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Only those of this run
    #[arg(long, value_name = "RUN_ID")]
    pub(crate) run: Option<String>,
    /// Only those that became dead letters by this: max_attempts, deadline_exceeded, non_retryable
    #[arg(long, value_name = "CAUSE")]
    pub(crate) cause: Option<String>,
    /// Only those where this went wrong, as `dlq groups` prints it
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) fingerprint: Option<String>,
    /// Only those of this tenant
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// Only those that failed since then: 15m (so long ago), or RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub(crate) since: Option<When>,
    /// Only those that failed before then
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub(crate) until: Option<When>,
}

impl DlqFilterArgs {
    /// As a list is asked for.
    pub(crate) fn query(&self) -> DeadLetterQuery {
        DeadLetterQuery {
            topic: self.topic.clone(),
            group: self.group.clone(),
            run_id: self.run.clone(),
            reason: self.cause.clone(),
            fingerprint: self.fingerprint.clone(),
            tenant_id: self.tenant.clone(),
            since_ms: self.since.map(When::epoch_ms),
            until_ms: self.until.map(When::epoch_ms),
            ..DeadLetterQuery::default()
        }
    }

    /// Whether it lets every dead letter through.
    pub(crate) fn is_open(&self) -> bool {
        let Self { topic, group, run, cause, fingerprint, tenant, since, until } = self;
        let names = [topic, group, run, cause, fingerprint, tenant];
        names.into_iter().all(Option::is_none) && since.or(*until).is_none()
    }

    /// As they are grouped.
    pub(crate) fn fingerprints(&self) -> FingerprintQuery {
        FingerprintQuery {
            topic: self.topic.clone(),
            group: self.group.clone(),
            run_id: self.run.clone(),
            reason: self.cause.clone(),
            fingerprint: self.fingerprint.clone(),
            tenant_id: self.tenant.clone(),
            since_ms: self.since.map(When::epoch_ms),
            until_ms: self.until.map(When::epoch_ms),
            ..FingerprintQuery::default()
        }
    }

    /// As a job moves them.
    pub(crate) fn job(&self) -> RedriveJobFilter {
        RedriveJobFilter {
            topic: self.topic.clone(),
            group: self.group.clone(),
            run_id: self.run.clone(),
            reason: self.cause.clone(),
            fingerprint: self.fingerprint.clone(),
            tenant_id: self.tenant.clone(),
            since_ms: self.since.map(When::epoch_ms),
            until_ms: self.until.map(When::epoch_ms),
            ..RedriveJobFilter::default()
        }
    }
}

/// `driftq dlq list`.
#[derive(Debug, Args)]
pub(crate) struct DlqListArgs {
    #[command(flatten)]
    pub(crate) filter: DlqFilterArgs,
    /// Only those with this text in key, value or error
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) query: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}

/// `driftq dlq groups`.
#[derive(Debug, Args)]
pub(crate) struct DlqGroupsArgs {
    #[command(flatten)]
    pub(crate) filter: DlqFilterArgs,
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

/// `driftq dlq diff`.
#[derive(Debug, Args)]
pub(crate) struct DlqDiffArgs {
    /// Where it lies: TOPIC/PARTITION/OFFSET, as `dlq list` prints it
    #[arg(value_parser = address)]
    pub(crate) address: DeadLetterId,
    /// The one attempt [default: the first]
    pub(crate) a: Option<u32>,
    /// The other one [default: the newest]
    pub(crate) b: Option<u32>,
}

/// `driftq dlq redrive`.
#[derive(Debug, Args)]
pub(crate) struct DlqRedriveArgs {
    /// Where they lie: TOPIC/PARTITION/OFFSET, as `dlq list` prints it; - reads them from standard input, one a
    /// line
    #[arg(required = true, value_name = "ADDRESS", value_parser = address_or_stdin)]
    pub(crate) addresses: Vec<AddressOrStdin>,
    /// Another value; - reads standard input. The original stays as it is
    #[arg(long, value_name = "JSON")]
    pub(crate) value: Option<String>,
    /// Edit each value in $VISUAL or $EDITOR first; a run's command is replayed with the edited input. One that
    /// is left as it is is not redriven
    #[arg(long, conflicts_with = "value")]
    pub(crate) edit: bool,
    /// Another topic, then for all of its groups
    #[arg(long, value_name = "TOPIC")]
    pub(crate) target_topic: Option<String>,
    /// For every group, not only the one that failed it
    #[arg(long)]
    pub(crate) all_groups: bool,
    /// Why, for the server's books
    #[arg(long, short)]
    pub(crate) reason: Option<String>,
}

/// `driftq dlq redrive-all`.
#[derive(Debug, Args)]
pub(crate) struct DlqRedriveAllArgs {
    #[command(flatten)]
    pub(crate) filter: DlqFilterArgs,
    /// All there are, without asking; only when nothing says which
    #[arg(long, conflicts_with_all = ["topic", "group", "run", "cause", "fingerprint", "tenant", "since", "until"])]
    pub(crate) all: bool,
    /// How many a second [default: 100]
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<f64>,
    /// Move so many first, and the rest only when those went well
    #[arg(long, value_name = "N")]
    pub(crate) canary: Option<u64>,
    /// Halt when this share of those that ended has failed again: 0.1, or 10%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) stop_at: Option<f64>,
    /// Why, for the server's books
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Only say what would be moved
    #[arg(long, conflicts_with = "watch")]
    pub(crate) dry_run: bool,
    /// Stay and watch it; Ctrl-C leaves it running
    #[arg(long, short)]
    pub(crate) watch: bool,
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

/// `driftq dlq workbench`.
#[cfg(feature = "workbench")]
#[derive(Debug, Args)]
pub(crate) struct DlqWorkbenchArgs {
    #[command(flatten)]
    pub(crate) filter: DlqFilterArgs,
    /// Only those with this text in key, value or error
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) query: Option<String>,
}

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Jobs, newest first
    List(JobListArgs),
    /// A job
    Show {
        /// The job
        job_id: String,
    },
    /// Print a job's progress until it has ended; exits with 1 if it halted or was stopped
    Watch {
        /// The job
        job_id: String,
        /// How often it is asked
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "500ms")]
        interval: Duration,
    },
    /// Let a job rest
    Pause(JobActArgs),
    /// Let a paused or halted job go on
    Resume(JobActArgs),
    /// End a job for good; what it has not moved stays where it is
    Stop(JobActArgs),
}

/// `driftq dlq job list`.
#[derive(Debug, Args)]
pub(crate) struct JobListArgs {
    /// Only jobs with this status
    #[arg(long, value_enum)]
    pub(crate) status: Option<JobStatusArg>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}

/// A job's status on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JobStatusArg {
    /// It moves messages, or waits for those it moved
    Running,
    /// Somebody paused it
    Paused,
    /// Somebody ended it
    Stopped,
    /// All is moved and has ended
    Done,
    /// Too much failed again
    Halted,
}

impl From<JobStatusArg> for RedriveJobStatus {
    fn from(status: JobStatusArg) -> Self {
        match status {
            JobStatusArg::Running => Self::Running,
            JobStatusArg::Paused => Self::Paused,
            JobStatusArg::Stopped => Self::Stopped,
            JobStatusArg::Done => Self::Done,
            JobStatusArg::Halted => Self::Halted,
        }
    }
}

/// What is done to a job.
#[derive(Debug, Args)]
pub(crate) struct JobActArgs {
    /// The job
    pub(crate) job_id: String,
    /// Why, for the server's books
    #[arg(long, short)]
    pub(crate) reason: Option<String>,
}

/// An address, or where addresses are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AddressOrStdin {
    /// One address.
    Address(DeadLetterId),
    /// One in each line of standard input.
    Stdin,
}

fn address_or_stdin(text: &str) -> Result<AddressOrStdin, String> {
    if text == "-" { Ok(AddressOrStdin::Stdin) } else { address(text).map(AddressOrStdin::Address) }
}

fn share(text: &str) -> Result<f64, String> {
    let (number, of) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
    match number.trim().parse::<f64>() {
        Ok(share) if share > 0.0 && share / of <= 1.0 => Ok(share / of),
        _ => Err("a share looks like 0.1 or 10%, more than nothing and at most all".to_owned()),
    }
}
