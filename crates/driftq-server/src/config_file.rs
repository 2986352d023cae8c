//! The configuration file: every flag by its name, and what topics are told by patterns of theirs.
//!
//! Promise: a key that means nothing, or a value that its flag would not take, is refused with the file and the line. A
//! flag or an environment variable says more than the file.

use crate::convert;
use clap::{ArgAction, Command};
use driftq_api::{PatchTopicRequest, RetentionPatch, RetryPolicyPatch, RoutingPatch};
use driftq_core::{Patterns, TopicPattern, TopicSettings};
use serde::Deserialize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The table of patterns; every other key is a flag.
const TOPICS: &str = "topics";
/// The longest pattern, bytes.
const PATTERN_BYTES_MAX: usize = 400;
/// The most patterns.
const PATTERNS_MAX: usize = 1_000;

/// Why a configuration file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("config file {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it is wrong.
    #[error("config file {}, line {line}: {what}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// One flag that the file sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flag {
    /// Its id among the options.
    pub(crate) id: String,
    /// As it would stand on the command line; nothing for a switch that is off.
    pub(crate) arguments: Vec<String>,
}

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) flags: Vec<Flag>,
    pub(crate) patterns: Patterns,
}

/// Reads a file whose flags are those of `command`.
pub(crate) fn read(file: &Path, command: &Command) -> Result<ConfigFile, ConfigFileError> {
    let unreadable = |source| ConfigFileError::Unreadable { file: file.to_owned(), source };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    parse(file, &text, command)
}

fn parse(file: &Path, text: &str, command: &Command) -> Result<ConfigFile, ConfigFileError> {
    let at = |span: Option<Range<usize>>, what: String| {
        let start = span.map_or(0, |span| span.start).min(text.len());
        let line = 1 + text.as_bytes().iter().take(start).filter(|byte| **byte == b'\n').count();
        ConfigFileError::Line { file: file.to_owned(), line, what }
    };
    let table = DeTable::parse(text).map_err(|error| at(error.span(), error.message().to_owned()))?;
    let mut flags = Vec::new();
    for (key, value) in table.get_ref() {
        if key.get_ref() == TOPICS {
            continue;
        }
        let flag = flag(command, key.get_ref()).map_err(|what| at(Some(key.span()), what))?;
        let set = flag_of(command, flag, value.get_ref()).map_err(|what| at(Some(value.span()), what))?;
        flags.push(set);
    }
    let topics: Topics =
        toml::from_str(text).map_err(|error| at(error.span(), error.message().to_owned()))?;
    let patterns = topics
        .topics
        .into_iter()
        .map(|topic| {
            let span = topic.span();
            pattern(topic.into_inner()).map_err(|what| at(Some(span), what))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if patterns.len() > PATTERNS_MAX {
        return Err(at(None, format!("more than {PATTERNS_MAX} patterns")));
    }
    Ok(ConfigFile { flags, patterns: Patterns::new(patterns) })
}

/// The option that a key names, with hyphens or underscores.
fn flag<'a>(command: &'a Command, key: &str) -> Result<&'a clap::Arg, String> {
    let name = key.replace('_', "-");
    let is_it = |arg: &&clap::Arg| arg.get_env().is_some() && arg.get_long() == Some(name.as_str());
    let known = command.get_arguments().find(is_it).filter(|arg| arg.get_id() != "config");
    known
        .ok_or_else(|| format!("unknown key {key:?}; keys are the options of driftqd --help, and [[topics]]"))
}

fn flag_of(command: &Command, arg: &clap::Arg, value: &DeValue<'_>) -> Result<Flag, String> {
    let long = arg.get_long().unwrap_or_default();
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let arguments = match value {
        DeValue::Boolean(is_on) if is_switch => is_on.then(|| format!("--{long}")).into_iter().collect(),
        _ if is_switch => return Err(format!("{long} is true or false")),
        DeValue::String(text) => vec![format!("--{long}={text}")],
        DeValue::Integer(number) => vec![format!("--{long}={number}")],
        DeValue::Array(items) if matches!(arg.get_action(), ArgAction::Append) => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(format!("--{long}={text}")),
                _ => Err(format!("{long} is a list of texts")),
            })
            .collect::<Result<Vec<_>, _>>()?,
        _ => return Err(format!("{long} is a text or a whole number")),
    };
    let trial = std::iter::once("driftqd".to_owned()).chain(arguments.iter().cloned());
    match command.clone().try_get_matches_from(trial) {
        Ok(_) => Ok(Flag { id: arg.get_id().to_string(), arguments }),
        Err(error) => Err(first_sentence(&error)),
    }
}

/// What clap says of a value, without its hints on how to call the program.
fn first_sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The tables of patterns; whatever else is in the file was looked at already.
#[derive(Deserialize)]
struct Topics {
    #[serde(default)]
    topics: Vec<toml::Spanned<Topic>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    pattern: String,
    retry_policy: Option<RetryPolicyPatch>,
    idempotency_window_ms: Option<u64>,
    partition_max_messages: Option<u64>,
    partition_max_bytes: Option<u64>,
    retention: Option<RetentionPatch>,
    routing: Option<RoutingPatch>,
}

fn pattern(topic: Topic) -> Result<TopicPattern, String> {
    let pattern = topic.pattern.trim().to_owned();
    if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("a pattern has 1 to {PATTERN_BYTES_MAX} bytes"));
    }
    let asked = PatchTopicRequest {
        retry_policy: topic.retry_policy.map(Some),
        idempotency_window_ms: topic.idempotency_window_ms.map(Some),
        partition_max_messages: topic.partition_max_messages.map(Some),
        partition_max_bytes: topic.partition_max_bytes.map(Some),
        retention: topic.retention.map(Some),
        routing: topic.routing.map(Some),
        reason: None,
    };
    let patch = convert::topics::patch(asked).map_err(|problem| problem.message().to_owned())?;
    let settings = patch.over(&TopicSettings::default()).map_err(|rejection| rejection.to_string())?;
    Ok(TopicPattern { pattern, settings })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn told(text: &str) -> Result<ConfigFile, String> {
        parse(Path::new("driftq.toml"), text, &crate::config::Cli::command())
            .map_err(|error| error.to_string())
    }

    fn refusal(text: &str) -> String {
        told(text).expect_err("it must be refused")
    }

    #[test]
    fn keys_are_flags_with_hyphens_or_underscores() {
        let file = told(
            "addr = \":9000\"\nmax_topics = 7\nmemory = true\nreset-wal = false\n\
             allow-host = [\"a\", \"b\"]\n",
        )
        .expect("it is a file");
        let mut arguments: Vec<_> = file.flags.into_iter().flat_map(|flag| flag.arguments).collect();
        arguments.sort();
        assert_eq!(
            arguments,
            ["--addr=:9000", "--allow-host=a", "--allow-host=b", "--max-topics=7", "--memory"]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, expected) in [
            ("addr = \":1\"\nadr = \":2\"\n", "line 2: unknown key \"adr\""),
            ("config = \"x\"\n", "line 1: unknown key \"config\""),
            ("\n\nmax-topics = \"many\"\n", "line 3: invalid value 'many' for '--max-topics"),
            ("memory = 1\n", "line 1: memory is true or false"),
            ("addr = [\"a\"]\n", "line 1: addr is a text or a whole number"),
            ("addr = \n", "line 1: "),
            ("[[topics]]\npattern = \"a\"\ncolour = 1\n", "line 3: unknown field `colour`"),
            ("[[topics]]\nidempotency_window_ms = 1\n", "line 1: missing field `pattern`"),
            ("[[topics]]\npattern = \"a\"\nrouting = { meta = {} }\n", "routing needs a label"),
            ("[[topics]]\npattern = \"a\"\nretry_policy = { max_attempts = -1 }\n", "line 3: "),
        ] {
            let told = refusal(text);
            assert!(told.starts_with("config file driftq.toml, line "), "{told}");
            assert!(told.contains(expected), "{text:?}: {told}");
        }
    }
}
