//! One file per command: each asks the server and hands what it said to the output.

mod completions;
mod consume;
mod differences;
mod dlq;
mod dlq_jobs;
mod dlq_redrive;
mod doctor;
mod doctor_stream;
mod group;
mod health;
mod lag;
mod message;
mod produce;
mod produce_lines;
mod run;
mod run_history;
#[cfg(feature = "workbench")]
mod screen;
mod settle;
mod stats;
mod token;
mod top;
#[cfg(feature = "workbench")]
mod top_screen;
mod topic;
mod watch;
#[cfg(feature = "workbench")]
mod workbench;

use std::io::{IsTerminal as _, Read as _};

use driftq_client::api::RawValue;

use crate::{Context, Outcome, args::Command, error::CliError};

/// The most that is read from standard input for one value; the server takes less.
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// What a timeline's topic begins with; there is one per run, and nobody works on it.
const TIMELINES: &str = "runs.events.";

/// Runs a command.
pub(crate) async fn run(command: Command, context: Context) -> Result<Outcome, CliError> {
    match command {
        Command::Health => health::run(&context).await,
        Command::Stats => stats::run(&context).await,
        Command::Top(args) => top::run(args, &context).await,
        Command::Doctor(args) => doctor::run(args, &context).await,
        Command::Topic(command) => topic::run(command, &context).await,
        Command::Group(command) => group::run(command, &context).await,
        Command::Lag(args) => lag::run(args, &context).await,
        Command::Produce(args) => produce::run(*args, &context).await,
        Command::Consume(args) => consume::run(args, &context).await,
        Command::Ack(args) => settle::ack(args, &context).await,
        Command::Nack(args) => settle::nack(args, &context).await,
        Command::Extend(args) => settle::extend(args, &context).await,
        Command::RetryNow(args) => message::retry_now(args, &context).await,
        Command::Explain(args) => message::explain(args, &context).await,
        Command::Run(command) => run::run(*command, &context).await,
        Command::Dlq(command) => dlq::run(*command, &context).await,
        Command::Token(command) => token::run(command, &context),
        Command::Completions { shell } => completions::run(shell, &context),
    }
}

/// All of standard input, without the last line's end.
fn stdin_text() -> Result<String, CliError> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(CliError::Usage(
            "nothing is piped into standard input; give the value as an argument".into(),
        ));
    }
    let failed = |error| CliError::Input { what: "standard input".to_owned(), error };
    let mut text = String::new();
    stdin.lock().take(INPUT_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > INPUT_BYTES_MAX {
        return Err(CliError::Usage(format!("standard input is longer than {INPUT_BYTES_MAX} bytes")));
    }
    Ok(without_line_end(&text).to_owned())
}

/// A text without the end of its last line.
fn without_line_end(text: &str) -> &str {
    let without_end = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    without_end.unwrap_or(text)
}

/// An option that must be JSON; `-` reads standard input.
fn json_option(name: &str, text: Option<String>) -> Result<Option<Box<RawValue>>, CliError> {
    let Some(text) = text else { return Ok(None) };
    let text = if text == "-" { stdin_text()? } else { text };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        CliError::Usage(format!("--{name} is not JSON (a string needs its quotes): {error}"))
    })
}
