//! `driftq completions`.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::{Context, Outcome, args::Cli, error::CliError};

pub(super) fn run(shell: Shell, context: &Context) -> Result<Outcome, CliError> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "driftq", &mut script);
    context.output.script(&script)?;
    Ok(Outcome::Good)
}
