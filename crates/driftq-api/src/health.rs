//! Whether the server lives, is ready, and which one it is.

use serde::{Deserialize, Serialize};

/// The answer of `GET /v1/healthz` and `GET /v1/livez`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok`.
    pub status: String,
}

/// The answer of `GET /v1/version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Version {
    /// The release.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// Whether what it stores survives its end.
    pub wal_enabled: bool,
}

/// The answer of `GET /v1/readyz`: 200 when `ready`, otherwise 503 with the same shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// Whether requests are welcome, and if not, why.
    pub status: ReadyState,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How far a start has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// Whether the broker's time stands still until it is moved by hand: for tests of applications only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dev_clock: bool,
}

/// Whether requests are welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReadyState {
    /// They are.
    Ready,
    /// The log is being read.
    Recovering,
    /// The process was told to stop.
    Draining,
    /// Nothing can be appended.
    DiskFull,
    /// Stored bytes could not be read back; what is whole is still served.
    Damaged,
}

/// How far a start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Recovery {
    /// Bytes of the log that were read.
    pub done_bytes: u64,
    /// Bytes of the log there are to read.
    pub total_bytes: u64,
}
