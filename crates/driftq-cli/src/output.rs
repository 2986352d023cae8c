//! The only place that writes to standard output.
//!
//! Promise: with `--json` every line is one JSON value; without it tables and lines for people,
//! in colour only on a terminal and only without `NO_COLOR`. Control characters in somebody's data
//! are shown, never sent to the terminal.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::{
    error::CliError,
    hints,
    text::{visible, visible_lines},
};

/// Narrower than this (some terminals say 0) nothing can be laid out: lines are left to the terminal.
const WIDTH_MIN: u16 = 40;

/// Where a command writes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    terminal: bool,
    color: bool,
}

/// What a word means for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Look here.
    Bad,
    /// Under way.
    Busy,
    /// Of less interest.
    Quiet,
    /// A heading.
    Strong,
    /// Neither.
    Plain,
}

/// A word, and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    text: String,
    tone: Tone,
}

impl Word {
    /// A word with a meaning.
    pub(crate) fn new(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: visible(text.as_ref()), tone }
    }
}

impl<T: std::fmt::Display> From<T> for Word {
    fn from(text: T) -> Self {
        Self::new(text.to_string(), Tone::Plain)
    }
}

impl Output {
    /// Lines of JSON, or something for people.
    pub(crate) fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, terminal, color: terminal && !unwanted }
    }

    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person looks at it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// One JSON value on one line.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), CliError> {
        let line = serde_json::to_string(value).map_err(|error| CliError::Output(error.into()))?;
        self.write(&line)
    }

    /// One line for people.
    pub(crate) fn line(&self, words: impl IntoIterator<Item = Word>) -> Result<(), CliError> {
        let words: Vec<_> = words.into_iter().map(|word| self.paint(&word)).collect();
        self.write(words.join("  ").trim_end())
    }

    /// Names and what they are, one a line.
    pub(crate) fn facts(
        &self,
        facts: impl IntoIterator<Item = (&'static str, Word)>,
    ) -> Result<(), CliError> {
        let mut table = self.blank();
        for (name, word) in facts {
            table.add_row([self.cell(Word::new(name, Tone::Quiet)), self.cell(word)]);
        }
        self.print(table)
    }

    /// Rows under headings; without a row only talk. Of no use for JSON, which has its own lines.
    pub(crate) fn table<const N: usize>(
        &self,
        headings: [&'static str; N],
        rows: impl IntoIterator<Item = [Word; N]>,
    ) -> Result<(), CliError> {
        self.columns(headings.map(str::to_owned), rows)
    }

    /// The same with headings of the moment.
    pub(crate) fn columns<const N: usize>(
        &self,
        headings: [String; N],
        rows: impl IntoIterator<Item = [Word; N]>,
    ) -> Result<(), CliError> {
        if self.json {
            return Ok(());
        }
        let mut table = self.blank();
        table.set_header(headings.map(|heading| self.cell(Word::new(heading, Tone::Quiet))));
        for row in rows {
            table.add_row(row.map(|word| self.cell(word)));
        }
        if table.is_empty() {
            self.note("nothing to show");
            return Ok(());
        }
        self.print(table)
    }

    /// An empty line between two parts, for people.
    pub(crate) fn gap(&self) -> Result<(), CliError> {
        self.write("")
    }

    /// Text that a program reads, as it is.
    pub(crate) fn script(&self, text: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text).and_then(|()| stdout.flush()).map_err(CliError::Output)
    }

    /// Talk: something to know that is no data.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        // A closed standard error leaves nobody to tell.
        drop(writeln!(io::stderr(), "{}", visible(&text.to_string())));
    }

    /// What went wrong, with `--json` as a JSON value; `about` is the one of several it is about.
    pub(crate) fn error(&self, error: &CliError, about: Option<&str>) {
        let report = error.report(about);
        let line = if self.json {
            serde_json::to_string(&report).unwrap_or_default()
        } else {
            let about = about.map(|about| format!("{about}: ")).unwrap_or_default();
            format!("error: {}", visible_lines(&format!("{about}{}", hints::at_a_prompt(&error.to_string()))))
        };
        // A closed standard error leaves nobody to tell.
        drop(writeln!(io::stderr(), "{line}"));
    }

    fn blank(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if !self.terminal {
            table.force_no_tty();
        } else if table.width().is_some_and(|width| width >= WIDTH_MIN) {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        } else {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        if self.color {
            table.enforce_styling();
        }
        table
    }

    fn print(&self, mut table: Table) -> Result<(), CliError> {
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        self.write(&lines.join("\n"))
    }

    fn cell(&self, word: Word) -> Cell {
        let cell = Cell::new(word.text);
        if !self.color {
            return cell;
        }
        match word.tone {
            Tone::Good => cell.fg(Color::Green),
            Tone::Bad => cell.fg(Color::Red),
            Tone::Busy => cell.fg(Color::Yellow),
            Tone::Quiet => cell.add_attribute(Attribute::Dim),
            Tone::Strong => cell.add_attribute(Attribute::Bold),
            Tone::Plain => cell,
        }
    }

    fn paint(&self, word: &Word) -> String {
        let code = match word.tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Busy => "33",
            Tone::Quiet => "2",
            Tone::Strong => "1",
            Tone::Plain => return word.text.clone(),
        };
        if self.color { format!("\u{1b}[{code}m{}\u{1b}[0m", word.text) } else { word.text.clone() }
    }

    fn write(&self, line: &str) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        // Flushed a line at a time, so that who reads a pipe sees events when they happen.
        writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(CliError::Output)
    }
}
