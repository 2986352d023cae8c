//! `driftq-sim`: lives seeds, or a plan, and tells what went wrong.
//!
//! Promise: what it prints for a seed is the same every time; it exits with 1 when something failed.

use clap::Parser;
use driftq_sim::{Batch, Bug, Failure, LIVES_MAX, Plan, live, plan};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Simulated lives of a broker: crashes, lost calls, full disks, and an oracle that judges every answer.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Goes on for so many seconds instead.
    #[arg(long)]
    seconds: Option<u64>,
    /// Lives the plan in this file.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Prints the seed's plan and lives nothing.
    #[arg(long)]
    print: bool,
    /// Plants a bug (needs the feature `planted`).
    #[arg(long)]
    bug: Option<String>,
    /// Does not make a failing plan smaller.
    #[arg(long)]
    whole: bool,
    /// Goes on after a failure, and prints one line for each.
    #[arg(long)]
    go_on: bool,
    /// Fails when a coverage mark was not hit.
    #[arg(long)]
    marks: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // A broker that panics is a finding of its seed; its backtrace is noise in between.
    std::panic::set_hook(Box::new(|_| {}));
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "driftq-sim: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<bool, Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    let bug = match &args.bug {
        Some(name) => Some(Bug::named(name).ok_or_else(|| format!("no planted bug {name:?}: {}", bugs()))?),
        None => None,
    };
    if args.print {
        write!(out, "{}", plan(args.seed))?;
        return Ok(true);
    }
    if let Some(path) = &args.plan {
        let plan: Plan = std::fs::read_to_string(path)?.parse()?;
        return Ok(live_plan(&plan, bug, args, &mut out)?);
    }
    Ok(live_seeds(args, bug, &mut out)?)
}

fn bugs() -> String {
    let names: Vec<&str> = Bug::all().into_iter().map(Bug::name).collect();
    names.join(", ")
}

fn live_plan(plan: &Plan, bug: Option<Bug>, args: &Args, out: &mut impl Write) -> std::io::Result<bool> {
    let report = live(plan, bug);
    match report.failure {
        None => {
            writeln!(out, "the plan went well: {} records, trace {:016x}", report.records, report.digest)?;
            Ok(true)
        }
        Some((step, why)) => {
            let failure = Failure { seed: plan.seed, why, step, plan: plan.clone() };
            tell(&failure, bug, args, out)?;
            Ok(false)
        }
    }
}

fn tell(failure: &Failure, bug: Option<Bug>, args: &Args, out: &mut impl Write) -> std::io::Result<()> {
    if args.whole { write!(out, "{failure}") } else { write!(out, "{}", failure.shrunk(bug, LIVES_MAX)) }
}

fn live_seeds(args: &Args, bug: Option<Bug>, out: &mut impl Write) -> std::io::Result<bool> {
    let mut batch = Batch::default();
    let mut failures = 0_u64;
    let end = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut seed = args.seed;
    while end.map_or(seed < args.seed.saturating_add(args.seeds), |end| Instant::now() < end) {
        if !batch.live(seed, bug) {
            failures += 1;
            let Some(failure) = batch.failure.take() else { continue };
            if !args.go_on {
                tell(&failure, bug, args, out)?;
                return Ok(false);
            }
            writeln!(
                out,
                "seed {seed}, step {} of {}: {}",
                failure.step,
                failure.plan.ops.len(),
                failure.why
            )?;
        }
        seed = seed.wrapping_add(1);
    }
    writeln!(out, "{batch}, {failures} failed")?;
    let unhit = batch.marks.unhit();
    if args.marks && !unhit.is_empty() {
        writeln!(out, "marks that nothing hit: {}", unhit.join(", "))?;
    }
    Ok(failures == 0 && (!args.marks || unhit.is_empty()))
}
