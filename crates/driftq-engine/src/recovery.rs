//! Recovery: the newest checkpoint, then the log behind it.
//!
//! Promise: the state that comes out is the one that applying the whole log would give; reading starts at the checkpoint,
//! so a start costs checkpoint and tail, not history. A checkpoint of another format costs a longer start, never data.

use crate::EngineError;
use crate::checkpoint::{Assembler, Checkpoints};
use driftq_core::{Limits, Patterns, Position, Record, State, apply};
use driftq_log::{LogReader, Progress};
use std::ops::ControlFlow;

/// What a start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The checkpoint it began with; 0 without one.
    pub checkpoint: u64,
    /// Records applied behind it.
    pub records: u64,
    /// Bytes of those records.
    pub bytes: u64,
    /// Topics that exist.
    pub topics: u64,
    /// Runs that are kept.
    pub runs: u64,
    /// What was passed over, in sentences.
    pub warnings: Vec<String>,
}

/// Rebuilds the state from the newest checkpoint and the log behind it.
///
/// # Errors
///
/// [`EngineError`] when the log or the checkpoint cannot be read.
pub fn recover<R: LogReader>(
    reader: &R,
    checkpoints: &mut dyn Checkpoints,
    limits: Limits,
    patterns: &Patterns,
    progress: &Progress,
) -> Result<(State, Recovery), EngineError> {
    let empty = || State::new(limits).with_patterns(patterns.clone());
    let mut state = empty();
    let mut recovery = Recovery::default();
    let mut assembler = Assembler::default();
    let mut is_readable = true;
    let (at, warnings) = checkpoints.load(&mut |chunk| match assembler.take(chunk) {
        Some(Ok(entity)) if is_readable => state.adopt(entity),
        Some(Err(_)) => is_readable = false,
        Some(Ok(_)) | None => {}
    })?;
    recovery.warnings = warnings;
    recovery.checkpoint = at.map_or(0, |at| at.0);
    if !is_readable {
        let at = std::mem::take(&mut recovery.checkpoint);
        recovery.warnings.push(format!(
            "the checkpoint at record {at} is of another release's format; the log is read from its begin"
        ));
        state = empty();
    }
    let from = state.applied.next();
    let mut failure = None;
    progress.expect(reader.bytes_from(driftq_log::Position(from.0)));
    reader.scan(driftq_log::Position(from.0), &mut |position, bytes| match Record::decode(bytes) {
        Ok(record) => {
            apply(&mut state, Position(position.0), &record);
            recovery.records += 1;
            recovery.bytes += bytes.len() as u64;
            progress.add(bytes.len() as u64);
            ControlFlow::Continue(())
        }
        Err(source) => {
            failure = Some(EngineError::Unreadable { position: position.0, source });
            ControlFlow::Break(())
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    recovery.topics = state.topics.len() as u64;
    recovery.runs = state.runs.len() as u64;
    Ok((state, recovery))
}
