//! Editing JSON in the editor that the person has set.
//!
//! Promise: what comes back is JSON, or an error that names the file that still has the text, so that
//! nothing typed is lost. A text that was not changed comes back as nothing.

use std::{
    io::{Read as _, Write as _},
    process::Command,
};

use driftq_client::api::RawValue;

use crate::error::CliError;

/// The editor when nobody set one.
const EDITOR: &str = "vi";

/// Lets a person edit a value; `None` when it was left as it is.
pub(crate) fn edit(value: &RawValue) -> Result<Option<Box<RawValue>>, CliError> {
    let failed = |error| CliError::Input { what: "the text to edit".to_owned(), error };
    let pretty = pretty(value);
    let mut file = tempfile::Builder::new().prefix("driftq-").suffix(".json").tempfile().map_err(failed)?;
    writeln!(file, "{pretty}").map_err(failed)?;
    open(file.path())?;
    let mut text = String::new();
    // Opened anew: many editors put another file in its place.
    std::fs::File::open(file.path())
        .and_then(|mut edited| edited.read_to_string(&mut text))
        .map_err(failed)?;
    if text.trim() == pretty {
        return Ok(None);
    }
    match serde_json::from_str::<Box<RawValue>>(&text) {
        Ok(edited) => Ok(Some(edited)),
        Err(error) => {
            let (_, path) = file.keep().map_err(|error| failed(error.error))?;
            Err(CliError::Usage(format!(
                "what was edited is not JSON: {error}; it is kept in {}",
                path.display()
            )))
        }
    }
}

/// Waits for the editor in `VISUAL` or `EDITOR`, which may have arguments of its own.
fn open(path: &std::path::Path) -> Result<(), CliError> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| EDITOR.to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or(EDITOR);
    let ended = Command::new(program).args(words).arg(path).status().map_err(|error| {
        CliError::Usage(format!("the editor `{editor}` cannot be started ({error}); set EDITOR to yours"))
    })?;
    if ended.success() {
        return Ok(());
    }
    Err(CliError::Usage(format!("the editor `{editor}` gave up ({ended}); nothing was changed")))
}

/// A value over several lines, every number and string as it was written.
pub(crate) fn pretty(value: &RawValue) -> String {
    let mut printed = Printed::default();
    let mut chars = value.get().chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                printed.text.push(char);
                while let Some(inner) = chars.next() {
                    printed.text.push(inner);
                    match inner {
                        '"' => break,
                        '\\' => printed.text.extend(chars.next()),
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                printed.text.push(char);
                match chars.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => printed.text.push(end),
                    None => printed.line(1),
                }
            }
            '}' | ']' => {
                printed.line(-1);
                printed.text.push(char);
            }
            ',' => {
                printed.text.push(char);
                printed.line(0);
            }
            ':' => printed.text.push_str(": "),
            other if other.is_ascii_whitespace() => {}
            other => printed.text.push(other),
        }
    }
    printed.text
}

/// Text so far, and how deep it is.
#[derive(Default)]
struct Printed {
    text: String,
    depth: usize,
}

impl Printed {
    /// Begins a line, so much deeper than the one before.
    fn line(&mut self, deeper: isize) {
        self.depth = self.depth.saturating_add_signed(deeper);
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", self.depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_laid_out_and_nothing_in_it_changes() {
        for (given, laid_out) in [
            ("1.50", "1.50"),
            ("{}", "{}"),
            (
                r#"{"a":1.50,"b":[ ],"c":[12345678901234567890,{"d":"x, [y]: \"z\" \\"}]}"#,
                "{\n  \"a\": 1.50,\n  \"b\": [],\n  \"c\": [\n    12345678901234567890,\n    {\n      \"d\": \"x, [y]: \\\"z\\\" \\\\\"\n    }\n  ]\n}",
            ),
        ] {
            let value = RawValue::from_string(given.to_owned()).expect("it is JSON");
            assert_eq!(pretty(&value), laid_out);
        }
    }
}
