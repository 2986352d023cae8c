//! The binary as people and scripts run it.

mod driftq;
#[path = "../../../driftq-client/tests/it/driftqd.rs"]
mod driftqd;
mod printed;
mod scripted;
mod story;
