//! The process: options, logs, signals, exit code.

use driftq_engine::EngineError;
use driftq_log::LogError;
use driftq_server::{
    Cli, Config, OptionsError, Server, ServerError, Task, healthcheck, logging, parse, print_config,
};
use std::io::Write as _;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `SIGXFSZ` on Linux and macOS: by default a file limit would kill the process.
const FILE_LIMIT_SIGNAL: i32 = 25;
/// A second signal ends the process like an interrupt does.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    let cli = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return refuse(error),
    };
    if cli.config.print_config {
        return match print_config(std::env::args_os()) {
            Ok(text) => say(&text),
            Err(error) => refuse(error),
        };
    }
    match cli {
        Cli { config, command: Some(Task::Healthcheck) } => check(&config),
        Cli { config, command: None } => serve(config),
    }
}

/// Says what is wrong with the options.
fn refuse(error: OptionsError) -> ExitCode {
    match error {
        OptionsError::Flags(error) => error.exit(),
        OptionsError::File(error) => {
            complain(error);
            ExitCode::from(2)
        }
    }
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: impl std::fmt::Display) {
    // Without a standard error there is nobody to tell.
    let _untold = writeln!(std::io::stderr(), "driftqd: {text}");
}

fn check(config: &Config) -> ExitCode {
    let addr = &config.addr;
    match healthcheck::run(addr, config.tls_cert.as_deref()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            complain(format_args!("the server at {addr} is not well"));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(format_args!("nothing answers at {addr}: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> ExitCode {
    if let Err(error) = logging::start(&config) {
        complain(error);
        return ExitCode::from(2);
    }
    raise_file_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("the runtime cannot start: {error}"));
            return ExitCode::from(70);
        }
    };
    let result = runtime.block_on(until_stopped(config));
    // What still runs has been given its time.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Each connection needs a file descriptor, and many systems start a process with a low soft limit.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // A system that says no keeps its limit.
    let _kept = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

async fn until_stopped(config: Config) -> Result<(), ServerError> {
    let listen = |kind| signal(kind).map_err(|source| ServerError::Signals { source });
    // A handler takes the place of the deadly default; the write then fails with an error that is handled.
    let _file_limit = listen(SignalKind::from_raw(FILE_LIMIT_SIGNAL))?;
    let (mut term, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let server = tokio::select! {
        server = Server::start(config.clone()) => server?,
        () = either(&mut term, &mut interrupt) => return Ok(()),
    };
    announce(&config, &server);
    let stop = async {
        either(&mut term, &mut interrupt).await;
        tracing::info!("draining; a second signal stops at once");
        tokio::spawn(async move {
            either(&mut term, &mut interrupt).await;
            complain("stopped by a second signal");
            std::process::exit(INTERRUPTED);
        });
    };
    server.run(stop).await?;
    tracing::info!("ended in order");
    Ok(())
}

async fn either(term: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Says where it listens, where the data are, and what was recovered.
fn announce(config: &Config, server: &Server) {
    let recovery = &server.recovery;
    let log = server.log.clone().unwrap_or_default();
    for warning in log.warnings.iter().chain(&recovery.warnings) {
        tracing::warn!("{warning}");
    }
    if let Some(moved_to) = &server.moved_to {
        tracing::warn!("the data of before were moved to {}", moved_to.display());
    }
    if !server.addr().ip().is_loopback() && config.token_file.is_none() {
        tracing::warn!("listening beyond this machine without a token: whoever reaches it may use it");
    }
    if config.dev_clock {
        tracing::warn!("time stands still until POST /v1/dev/clock moves it (--dev-clock): for tests only");
    }
    let data = match server.log {
        Some(_) => {
            std::path::absolute(&config.wal).unwrap_or_else(|_| config.wal.clone()).display().to_string()
        }
        None => "memory (lost at the end)".to_owned(),
    };
    let scheme = if config.tls_cert.is_some() { "https" } else { "http" };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        topics = recovery.topics,
        runs = recovery.runs,
        records = log.records,
        replayed = recovery.records,
        checkpoint = recovery.checkpoint,
        cut_bytes = log.cut_bytes,
        clean = log.clean,
        "driftqd listens on {scheme}://{}, data in {data}",
        server.addr(),
    );
}

fn exit_code(error: &ServerError) -> u8 {
    match error {
        ServerError::Listen { .. } => 69,
        ServerError::Tokens(_) | ServerError::Tls(_) => 2,
        ServerError::Key { .. } => 73,
        ServerError::Engine(error) => engine_exit_code(error),
        ServerError::Signals { .. } | ServerError::Gone | ServerError::Slow => 70,
    }
}

fn engine_exit_code(error: &EngineError) -> u8 {
    match error {
        EngineError::Log(log) => match log {
            LogError::Fatal { .. } => 74,
            LogError::Locked { .. } => 75,
            LogError::Newer { .. } => 78,
            LogError::Corrupt { .. } | LogError::Lost { .. } => 65,
            LogError::Unusable { .. } | LogError::Full { .. } => 73,
            LogError::Retry { .. }
            | LogError::Fenced
            | LogError::Trimmed { .. }
            | LogError::NotFound { .. }
            | LogError::TooLarge { .. } => 70,
        },
        EngineError::Unreadable { .. } => 78,
        EngineError::Order { .. } | EngineError::Thread(_) => 70,
    }
}
