//! One page of figures for people and consoles; each costs nothing to read.

use serde::{Deserialize, Serialize};

/// The answer of `GET /v1/stats`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stats {
    /// The release.
    pub version: String,
    /// How long the process runs, milliseconds.
    pub uptime_ms: u64,
    /// How many topics there are, timelines and dead letter topics included.
    pub topics: u64,
    /// How many groups there are.
    pub groups: u64,
    /// How many runs stand how.
    pub runs: RunCounts,
    /// Dead letters that wait for somebody.
    pub dead_letters_open: u64,
    /// Messages produced since the process started.
    pub messages_total: u64,
    /// Messages delivered since the process started, each attempt counted.
    pub delivered_total: u64,
    /// Messages acked since the process started.
    pub acked_total: u64,
    /// Messages nacked since the process started.
    pub nacked_total: u64,
    /// Messages under a lease.
    pub in_flight: u64,
    /// Polls and streams that are connected.
    pub consumers: u64,
    /// The log.
    pub log: LogStats,
    /// Memory the process holds, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// How many runs stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunCounts {
    /// Nobody has taken their command yet.
    pub queued: u64,
    /// A worker has them.
    pub running: u64,
    /// An attempt failed, the next one waits for its time.
    pub retrying: u64,
    /// Parked.
    pub waiting: u64,
    /// They have a result.
    pub succeeded: u64,
    /// They are out of attempts.
    pub failed: u64,
    /// Somebody stopped them.
    pub cancelled: u64,
}

/// The log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogStats {
    /// Bytes it takes.
    pub bytes: u64,
    /// Segments it is made of, when it is on a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<u64>,
    /// Free bytes of its disk, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
}
