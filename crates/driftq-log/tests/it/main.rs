//! The log's integration tests: the contract, the promises, and what crashes leave.

mod conformance;
mod crash;
mod damage;
mod disk_full;
mod folder;
mod golden;
mod readers;
mod snapshot;
mod stories;
mod util;
