//! `driftq-torture`: kills `driftqd` under load, and says whether it kept its promises.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use driftq_bench::{
    BenchError, Binary,
    torture::{Line, Options, Verdict, recheck, torture},
};

/// How many violations, and lines of each, are shown.
const SHOWN_MAX: usize = 20;
/// The exit code of a broken promise.
const BROKEN: u8 = 1;
/// The exit code of a torture that could not be made.
const FAILED: u8 = 2;

/// Kills driftqd with -9 under load, again and again, and compares what it has with what it answered.
#[derive(Debug, Parser)]
struct Args {
    /// How often the server is killed or stopped.
    #[arg(long, default_value_t = 50)]
    cycles: u64,
    /// After so many seconds no further cycle begins.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where the randomness of the clients begins; drawn when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Where data, log and ledger go, and stay; a temporary folder that stays only after a failure when absent.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Only check this ledger again.
    #[arg(long, conflicts_with_all = ["cycles", "seconds", "seed", "folder"])]
    check: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BROKEN),
        Err(error) => {
            say(&format!("the torture could not be made: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

async fn run(args: Args) -> Result<bool, BenchError> {
    if let Some(path) = &args.check {
        let (verdict, lines) = recheck(path)?;
        report(&args, &verdict, &lines);
        return Ok(verdict.is_good());
    }
    let failed = |source| BenchError::Io { what: "making a folder".to_owned(), source };
    let mut folder = tempfile::Builder::new().prefix("driftq-torture-").tempdir().map_err(failed)?;
    let path = match &args.folder {
        Some(path) => path.clone(),
        None => folder.path().to_owned(),
    };
    std::fs::create_dir_all(&path).map_err(failed)?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    if !args.json {
        say(&format!("seed {seed}, in {}", path.display()));
    }
    let time = Duration::from_secs(args.seconds);
    let options = Options { cycles: args.cycles, time, seed, folder: path };
    let outcome = torture(&Binary::find()?, &options).await;
    let is_good = outcome.as_ref().is_ok_and(|(verdict, _)| verdict.is_good());
    folder.disable_cleanup(!is_good);
    let (verdict, lines) = outcome?;
    report(&args, &verdict, &lines);
    Ok(is_good)
}

fn report(args: &Args, verdict: &Verdict, lines: &[Line]) {
    if args.json {
        say(&serde_json::to_string_pretty(verdict).unwrap_or_default());
        return;
    }
    for (name, count) in &verdict.ends {
        say(&format!("{count:>9}  {name}"));
    }
    for (name, count) in &verdict.counts {
        say(&format!("{count:>9}  {name}"));
    }
    say(&format!("{:>9}  planted faults found", verdict.planted_found));
    for missed in &verdict.planted_missed {
        say(&format!("the checker missed a planted fault: {missed}"));
    }
    for impossible in &verdict.planted_impossible {
        say(&format!("not measured: {impossible} (this ledger has no place for it)"));
    }
    for missing in verdict.not_exercised() {
        say(&format!("not measured: {missing} never happened; give it more time"));
    }
    say(&format!("{:>9}  violations", verdict.violations.len()));
    for violation in verdict.violations.iter().take(SHOWN_MAX) {
        say(&format!("\n{:?}: {}", violation.rule, violation.what));
        for number in violation.lines.iter().take(SHOWN_MAX) {
            let line = usize::try_from(*number).ok().and_then(|number| lines.get(number.checked_sub(1)?));
            let text = line.and_then(|line| serde_json::to_string(line).ok()).unwrap_or_default();
            say(&format!("  {number}: {text}"));
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn say(text: &str) {
    println!("{text}");
}
