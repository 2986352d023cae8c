//! The binary as people and scripts run it.

mod driftq;
mod printed;
mod scripted;
mod story;
