//! Asking before what cannot be undone.
//!
//! Promise: without `--yes` nothing of that kind happens unless a person at a terminal said so; where
//! there is nobody to ask it is refused, never assumed.

use std::io::{IsTerminal as _, Write as _};

use crate::{Context, error::CliError, text::visible};

/// Asks whether `what` shall be done; without a yes there is an error.
pub(crate) fn confirm(what: &str, context: &Context) -> Result<(), CliError> {
    if context.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(CliError::Usage(format!("this would {what}; say so with --yes")));
    }
    let failed = |error| CliError::Input { what: "your answer".to_owned(), error };
    write!(std::io::stderr(), "{}? [y/N] ", visible(&capitalized(what))).map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::Declined),
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
