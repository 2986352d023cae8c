//! What can be asked of bulk redrives.
//!
//! Promise: as for all commands, only parsed values.

#[cfg(doc)]
use crate::Command;
use crate::{IdempotencyKey, JobNo, RedriveSpec};
use alloc::string::String;

/// See [`Command::StartRedriveJob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRedriveJob {
    /// What it moves, and how.
    pub spec: RedriveSpec,
    /// Once for this key.
    pub idempotency: Option<IdempotencyKey>,
    /// Who asks.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// See [`Command::ControlRedriveJob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlRedriveJob {
    /// Which.
    pub job: JobNo,
    /// What to do.
    pub act: JobAct,
    /// Who asks.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// What can be done to a bulk redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobAct {
    /// Move nothing until it is resumed.
    Pause,
    /// Go on, also after it halted.
    Resume,
    /// Move nothing any more.
    Stop,
}
