//! `driftq-bench`: prints what `driftqd` does a second, how fast it answers, and what it costs, beside bare baselines.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};
use driftq_bench::{
    BenchError, Binary,
    figures::{self, Load, Options, Part},
};

/// Measures driftqd beside bare baselines in the same run. It prints, and never fails because of a speed.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Take some 20 seconds, and leave out the start over a million messages.
    #[arg(long)]
    quick: bool,
    /// Measure only these; the others are printed as not measured.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<PartName>,
    /// Seconds that each single measurement lasts.
    #[arg(long)]
    seconds: Option<f64>,
    /// How many messages the start is measured over.
    #[arg(long, default_value_t = 1_000_000)]
    pending: u64,
    /// Where the data go; the disk there is the one that is measured. A temporary folder when absent.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be the bare echo server.
    Echo,
    /// Keep every processor awake.
    Awake,
    /// Load a server that runs already, to watch it with other tools.
    Load {
        /// Where it listens.
        address: SocketAddr,
        /// What it is asked.
        #[arg(long, value_enum, default_value = "produce")]
        what: LoadName,
        /// Over how many connections or streams.
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// For how long.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PartName {
    Produce,
    Delivery,
    Idle,
    Timeline,
    Pending,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LoadName {
    Produce,
    Delivery,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // The echo is a server as driftqd is; the client has one thread, so that servers have the rest of the machine.
    let mut runtime = match args.command {
        Some(Command::Echo) => tokio::runtime::Builder::new_multi_thread(),
        Some(Command::Load { .. } | Command::Awake) | None => tokio::runtime::Builder::new_current_thread(),
    };
    let outcome = runtime
        .enable_all()
        .build()
        .map_err(|source| BenchError::Io { what: "starting the runtime".to_owned(), source })
        .and_then(|runtime| runtime.block_on(run(args)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("not measured: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), BenchError> {
    match args.command {
        Some(Command::Echo) => figures::echo(|address| say(&address)).await,
        Some(Command::Awake) => figures::awake(),
        Some(Command::Load { address, what, connections, seconds }) => {
            let load = match what {
                LoadName::Produce => Load::Produce,
                LoadName::Delivery => Load::Delivery,
            };
            let rate = figures::drive(address, load, connections, Duration::from_secs(seconds)).await?;
            say(&format!("{rate:.0} /s"));
            Ok(())
        }
        None => measure(args).await,
    }
}

async fn measure(args: Args) -> Result<(), BenchError> {
    let failed = |source| BenchError::Io { what: "making a folder".to_owned(), source };
    let temporary = match &args.folder {
        Some(folder) => std::fs::create_dir_all(folder).map(|()| None).map_err(failed)?,
        None => Some(tempfile::Builder::new().prefix("driftq-bench-").tempdir().map_err(failed)?),
    };
    let folder =
        temporary.as_ref().map(|folder| folder.path().to_owned()).or(args.folder).unwrap_or_default();
    let leg = args.seconds.unwrap_or(if args.quick { 1.0 } else { 3.0 });
    let options = Options {
        parts: parts(&args.only, args.quick),
        leg: Duration::from_secs_f64(leg),
        rounds: if args.quick { 1 } else { 3 },
        idle: Duration::from_secs(if args.quick { 3 } else { 10 }),
        pending: args.pending,
        folder,
    };
    let report = figures::measure(&Binary::find()?, &options).await?;
    say(&if args.json { report.json() } else { report.table() });
    Ok(())
}

fn parts(only: &[PartName], quick: bool) -> Vec<Part> {
    let all = [PartName::Produce, PartName::Delivery, PartName::Timeline, PartName::Idle, PartName::Pending];
    let chosen = match only {
        [] if quick => all.get(..4).unwrap_or_default(),
        [] => &all,
        only => only,
    };
    let part = |name: &PartName| match name {
        PartName::Produce => Part::Produce,
        PartName::Delivery => Part::Delivery,
        PartName::Idle => Part::Idle,
        PartName::Timeline => Part::Timeline,
        PartName::Pending => Part::Pending,
    };
    chosen.iter().map(part).collect()
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn say(text: &str) {
    println!("{text}");
}
