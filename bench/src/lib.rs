//! What watches `driftqd` from outside: figures that are printed, and promises that are checked under `kill -9`.
//!
//! Promise: nothing here reaches into the broker (the program `driftq-memory`, which weighs its state, stands apart); it starts real processes and speaks HTTP to them. A figure is never
//! asserted. A broken promise is always told with the lines of the ledger that show it.

mod daemon;
mod error;
pub mod figures;
mod report;
mod stats;
pub mod torture;
mod wire;

pub use daemon::{Binary, Daemon};
pub use error::BenchError;
pub use report::{Figure, Report};
