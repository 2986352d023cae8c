//! Processors that are kept awake while speeds are measured, the same for every side.
//!
//! A processor that sleeps may see a finished sync only at its next clock tick, some milliseconds late. Whether it
//! sleeps depends on who else is busy, so without this the same append takes 0.1 ms now and 4 ms a moment later.

use std::{path::Path, thread};

use tokio::process::Command;

use crate::{BenchError, Daemon};

/// The least weight there is: whoever has work to do comes first.
const NICE: i32 = 19;

/// Spins on every processor until the process is killed.
///
/// # Errors
///
/// [`BenchError::Io`] when it cannot step behind everybody else.
pub fn spin() -> Result<(), BenchError> {
    rustix::process::nice(NICE).map_err(|error| BenchError::io("lowering the priority")(error.into()))?;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                loop {
                    std::hint::spin_loop();
                }
            });
        }
    });
    Ok(())
}

/// Starts this program again, spinning.
pub(super) async fn spawn(folder: &Path) -> Result<Daemon, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
    let mut command = Command::new(own);
    command.arg("awake");
    Daemon::spawn_command(command, &folder.join("awake.log")).await
}
