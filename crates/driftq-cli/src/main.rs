//! `driftq`: DriftQ on the command line.
//!
//! Promise: data goes to standard output and talk to standard error, so a pipe gets data only. It
//! exits with 0 when all went well, 1 when the server or a run said no, 2 when the command line is
//! wrong.

mod args;
mod commands;
mod confirm;
mod editor;
mod error;
mod hints;
mod output;
mod pages;
mod text;
mod user;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;
use driftq_client::{Client, Retry};

use crate::{
    args::{Cli, Global},
    error::CliError,
    output::Output,
};

/// Nobody likes to wait at a prompt: three tries within half a second.
const PROMPT_RETRY: Retry = Retry {
    tries: 3,
    base: Duration::from_millis(100),
    cap: Duration::from_millis(300),
    retry_after_max: Duration::from_secs(10),
};

/// What every command is given.
struct Context {
    client: Client,
    output: Output,
    /// What cannot be undone is done without asking.
    yes: bool,
}

/// How a command ended that did all it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Well.
    Good,
    /// It told of something that went wrong: a run that failed, a server that is not ready.
    Bad,
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| wrong(&error));
    let output = Output::new(cli.global.json);
    match run(cli, output) {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::FAILURE,
        // Whoever read us has enough; that is no failure of ours.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error, None);
            error.exit_code()
        }
    }
}

/// Ends with what is wrong with the command line; asking for help ends here as well.
fn wrong(error: &clap::Error) -> ! {
    if !error.use_stderr() || !std::env::args_os().any(|arg| arg == "--json") {
        error.exit();
    }
    let text = error.render().to_string();
    let text = text.trim().strip_prefix("error: ").unwrap_or(&text).trim();
    Output::new(true).error(&CliError::Usage(text.to_owned()), None);
    std::process::exit(2)
}

fn run(cli: Cli, output: Output) -> Result<Outcome, CliError> {
    let context = Context { client: client(&cli.global)?, output, yes: cli.global.yes };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Input { what: "the event loop".to_owned(), error })?;
    let outcome = runtime.block_on(Box::pin(commands::run(cli.command, context)));
    // A reader of standard input may still be blocked; nobody waits for it.
    runtime.shutdown_background();
    outcome
}

fn client(global: &Global) -> Result<Client, CliError> {
    let mut builder = Client::builder().request_retry(PROMPT_RETRY);
    if let Some(url) = global.url.as_deref().filter(|url| !url.trim().is_empty()) {
        builder = builder.url(url);
    }
    if let Some(token) = global.token.as_deref().filter(|token| !token.trim().is_empty()) {
        builder = builder.token(token);
    }
    if let Some(file) = global.ca_cert.as_ref().filter(|file| !file.as_os_str().is_empty()) {
        builder = builder.ca_certificate(file);
    }
    let given = global.actor.clone().filter(|actor| !actor.trim().is_empty());
    if let Some(actor) = given.or_else(user::name) {
        builder = builder.actor(actor);
    }
    Ok(builder.build()?)
}
