//! The binary as people and scripts run it.

mod doctor;
mod driftq;
#[path = "../../../driftq-client/tests/it/driftqd.rs"]
mod driftqd;
mod letters;
mod lines;
mod lossy;
mod printed;
mod prompt;
mod scripted;
mod story;
mod stranger;
mod tables;
