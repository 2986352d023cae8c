//! `driftq group` on the command line.

use clap::{Args, Subcommand};
use driftq_client::api::SeekTo;

use super::{When, when};

/// What can be done with groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Groups with what they have before them
    List(GroupListArgs),
    /// Move a group to another place: what lies behind it comes again, what lies before it is skipped
    Seek(GroupSeekArgs),
    /// Forget a group and where it was
    Delete(GroupDeleteArgs),
}

/// `driftq group list`.
#[derive(Debug, Args)]
pub(crate) struct GroupListArgs {
    /// Only groups of this topic
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 200)]
    pub(crate) limit: u32,
}

/// `driftq group seek`.
#[derive(Debug, Args)]
pub(crate) struct GroupSeekArgs {
    /// The topic
    pub(crate) topic: String,
    /// The group
    pub(crate) group: String,
    #[command(flatten)]
    pub(crate) to: SeekPlaceArgs,
    /// The partition that --offset is in
    #[arg(long, short, value_name = "N", requires = "offset", default_value_t = 0)]
    pub(crate) partition: u32,
    /// Why, for the server's books
    #[arg(long, short)]
    pub(crate) reason: Option<String>,
}

/// Where to.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SeekPlaceArgs {
    /// The oldest message kept
    #[arg(long)]
    pub(crate) earliest: bool,
    /// The next message produced
    #[arg(long)]
    pub(crate) latest: bool,
    /// This offset of one partition
    #[arg(long, value_name = "OFFSET")]
    pub(crate) offset: Option<u64>,
    /// The first message since then: 15m (so long ago), or RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub(crate) since: Option<When>,
}

impl GroupSeekArgs {
    /// Where to, as the server is asked; the parser let exactly one place through.
    pub(crate) fn place(&self) -> SeekTo {
        match (self.to.offset, self.to.since) {
            (Some(offset), _) => SeekTo::Offset { partition: self.partition, offset },
            (None, Some(since)) => SeekTo::Time { time_ms: since.epoch_ms() },
            (None, None) if self.to.latest => SeekTo::Latest,
            (None, None) => SeekTo::Earliest,
        }
    }
}

/// `driftq group delete`.
#[derive(Debug, Args)]
pub(crate) struct GroupDeleteArgs {
    /// The topic
    pub(crate) topic: String,
    /// The group
    pub(crate) group: String,
    /// Why, for the server's books
    #[arg(long, short)]
    pub(crate) reason: Option<String>,
}
