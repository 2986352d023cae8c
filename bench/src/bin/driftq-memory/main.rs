//! `driftq-memory`: what the broker's state costs a message, a lease, a key, a topic, a run, beside what it may cost.
//!
//! Promise: sizes come from an allocator that counts, eight bytes added for each block, so the same build always prints
//! the same. It ends with an error when a sum is exceeded.

mod scenes;
mod world;

use std::{alloc::System, io::Write, process::ExitCode};

use clap::Parser;
use serde::Serialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What an allocator keeps beside each block.
const BLOCK_OVERHEAD: usize = 8;

/// Prints what the broker's state costs, beside what it may cost.
#[derive(Debug, Parser)]
struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One sum.
#[derive(Clone, Debug, Serialize)]
struct Sum {
    name: &'static str,
    bytes: usize,
    bytes_max: usize,
}

impl Sum {
    fn is_met(&self) -> bool {
        self.bytes <= self.bytes_max
    }

    fn line(&self) -> String {
        let verdict = if self.is_met() { "met" } else { "EXCEEDED" };
        format!("{:<44} {:>5} B  of {:>5} B  {verdict}", self.name, self.bytes, self.bytes_max)
    }
}

/// Bytes that are allocated now.
fn allocated() -> usize {
    let stats = COUNTING.stats();
    let blocks = stats.allocations - stats.deallocations;
    stats.bytes_allocated - stats.bytes_deallocated + blocks * BLOCK_OVERHEAD
}

fn main() -> ExitCode {
    let args = Args::parse();
    let sums = scenes::all(&allocated);
    let text = if args.json {
        serde_json::to_string_pretty(&sums).expect("sums are JSON")
    } else {
        sums.iter().map(Sum::line).collect::<Vec<_>>().join("\n")
    };
    let is_told = writeln!(std::io::stdout(), "{text}").is_ok();
    if is_told && sums.iter().all(Sum::is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
