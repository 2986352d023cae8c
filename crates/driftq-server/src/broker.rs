//! Starting the engine over its log: a folder on the disk, or memory.

use crate::config::Config;
use driftq_engine::{
    Checkpoints, DiskCheckpoints, Engine, EngineError, EngineOptions, HandClock, NoCheckpoints, SystemClock,
    ThreadedCheckpoints,
};
use driftq_log::{Log, LogError, MemoryLog, OsDisk, Progress, Recovered, Wal, WalOptions, load_snapshot};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// A running engine, and what its start found.
pub(crate) struct Started {
    pub(crate) engine: Engine,
    /// What opening the log found; `None` in memory.
    pub(crate) log: Option<Recovered>,
    /// Where an older folder was moved to.
    pub(crate) moved_to: Option<PathBuf>,
}

/// Opens the log and recovers the engine. Blocks on the disk.
pub(crate) fn start(
    config: &Config,
    clock: Option<HandClock>,
    progress: Progress,
) -> Result<Started, EngineError> {
    let options = EngineOptions {
        limits: config.limits(),
        patterns: config.patterns.clone(),
        seed: fastrand::u64(..),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        checkpoint_bytes: config.checkpoint_bytes,
        progress: progress.clone(),
        ..EngineOptions::default()
    };
    if config.memory {
        let engine = start_engine(clock, MemoryLog::new(), NoCheckpoints, options)?;
        return Ok(Started { engine, log: None, moved_to: None });
    }
    let moved_to = if config.reset_wal { reset(config)? } else { None };
    let disk = OsDisk::open(&config.wal)?;
    let proven = load_snapshot(&disk)?.snapshot.map_or_else(Default::default, |snapshot| snapshot.at);
    let wal_options = WalOptions {
        segment_bytes: config.segment_bytes,
        reserve_bytes: config.disk_reserve_bytes,
        quarantine: config.quarantine,
        proven,
        progress,
        ..WalOptions::default()
    };
    let (wal, log) = Wal::open(disk.clone(), wal_options)?;
    let checkpoints = ThreadedCheckpoints::new(DiskCheckpoints::new(disk));
    let engine = start_engine(clock, wal, checkpoints, options)?;
    Ok(Started { engine, log: Some(log), moved_to })
}

fn start_engine(
    clock: Option<HandClock>,
    log: impl Log + 'static,
    checkpoints: impl Checkpoints,
    options: EngineOptions,
) -> Result<Engine, EngineError> {
    match clock {
        Some(clock) => driftq_engine::start(log, checkpoints, clock, options),
        None => driftq_engine::start(log, checkpoints, SystemClock::new(), options),
    }
}

fn reset(config: &Config) -> Result<Option<PathBuf>, LogError> {
    if !config.wal.exists() {
        return Ok(None);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    driftq_log::reset(&config.wal, now.as_secs()).map(Some)
}
