//! The file of tokens: their names, what they may do, and the hashes of their texts.
//!
//! Promise: a file is taken whole or not at all; what is wrong with it is named with its line. A token's own text is
//! never in it.

use super::caller::{Caller, Kind};
use super::verb::Verb;
use driftq_core::{Scope, TenantId};
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// The largest file of tokens, bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The most tokens.
const TOKENS_MAX: usize = 1_000;
/// The longest name of a token, bytes.
const NAME_BYTES_MAX: usize = 200;
/// The most topic prefixes of a token.
const PREFIXES_MAX: usize = 100;

/// Why a file of tokens is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("the token file {path} cannot be read: {source}")]
    Unreadable {
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is larger than its bound.
    #[error("the token file {path} is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// Where.
        path: String,
    },
    /// It does not say what it must.
    #[error("the token file {path}, line {line}: {what}")]
    Wrong {
        /// Where.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what to do.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<toml::Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    hash: String,
    verbs: Vec<Verb>,
    topics: Option<Vec<String>>,
    tenant: Option<String>,
    expires_at: Option<When>,
}

/// A time as a text or as TOML's own.
#[derive(Deserialize)]
#[serde(untagged)]
enum When {
    Text(String),
    Own(toml::value::Datetime),
}

/// The file's text.
pub(crate) fn read(path: &Path) -> Result<String, TokenFileError> {
    let shown = || path.display().to_string();
    let unreadable = |source| TokenFileError::Unreadable { path: shown(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(TokenFileError::TooLarge { path: shown() });
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// The tokens that a file's text lists.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Vec<Caller>, TokenFileError> {
    let wrong = |at: usize, what: String| TokenFileError::Wrong {
        path: path.display().to_string(),
        line: text.get(..at).unwrap_or_default().matches('\n').count() + 1,
        what,
    };
    let file: File = toml::from_str(text)
        .map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    if file.token.len() > TOKENS_MAX {
        return Err(wrong(0, format!("{} tokens; at most {TOKENS_MAX} are read", file.token.len())));
    }
    let (mut names, mut hashes, mut callers) = (HashSet::new(), HashSet::new(), Vec::new());
    for entry in file.token {
        let at = entry.span().start;
        let entry = entry.into_inner();
        let name = entry.name.clone();
        let caller = caller(entry).map_err(|what| wrong(at, what))?;
        if !names.insert(name.clone()) {
            return Err(wrong(at, format!("there is another token {name:?}; give each a name of its own")));
        }
        if let Kind::Named { hash, .. } = &caller.kind
            && !hashes.insert(*hash)
        {
            return Err(wrong(at, format!("token {name:?} has the hash of another one; make a new token")));
        }
        callers.push(caller);
    }
    Ok(callers)
}

fn caller(entry: Entry) -> Result<Caller, String> {
    let name = entry.name.trim();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(format!(
            "name {name:?} must have 1 to {NAME_BYTES_MAX} bytes without control characters"
        ));
    }
    let hash = sha256(&entry.hash).ok_or_else(|| {
        format!("the hash of token {name:?} must be sha256: and 64 hexadecimal digits; `driftq token new` makes one")
    })?;
    if entry.verbs.is_empty() {
        return Err(format!("token {name:?} has no verbs; say what it is for"));
    }
    let tenant = entry.tenant.as_deref().map(TenantId::parse).transpose();
    let tenant = tenant.map_err(|error| format!("token {name:?}: {error}"))?;
    let scope =
        Scope { prefixes: entry.topics.map(|topics| prefixes(name, topics)).transpose()?, tenant, run: None };
    let expires_at_ms = entry.expires_at.map(|at| epoch_ms(name, at)).transpose()?;
    let kind = Kind::Named { name: name.into(), verbs: entry.verbs.into(), hash };
    Ok(Caller { kind, scope: Arc::new(scope), expires_at_ms })
}

fn prefixes(name: &str, topics: Vec<String>) -> Result<Vec<String>, String> {
    if topics.is_empty() || topics.iter().any(String::is_empty) {
        return Err(format!(
            "the topics of token {name:?} must be beginnings of names; leave `topics` out for all of them"
        ));
    }
    if topics.len() > PREFIXES_MAX {
        return Err(format!("token {name:?} has {} topics; at most {PREFIXES_MAX} are read", topics.len()));
    }
    Ok(topics)
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    let digits = text.trim().strip_prefix("sha256:")?;
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

fn epoch_ms(name: &str, at: When) -> Result<u64, String> {
    let text = match at {
        When::Text(text) => text,
        When::Own(at) => at.to_string(),
    };
    let parsed: Result<jiff::Timestamp, _> = text.trim().parse();
    let at = parsed.map_err(|_| {
        format!("expires_at {text:?} of token {name:?} is not a time like 2030-01-31T12:00:00Z (RFC 3339)")
    })?;
    Ok(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

    fn refused(text: &str) -> String {
        parse(Path::new("tokens.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_says_who_may_do_what() {
        let text = format!(
            "[[token]]\nname = \"ci\"\nhash = \"{HASH}\"\nverbs = [\"produce\", \"runs:read\"]\n\
             topics = [\"orders.\"]\ntenant = \"acme\"\nexpires_at = 2030-01-31T12:00:00Z\n"
        );
        let [caller] = parse(Path::new("t"), &text).unwrap().try_into().unwrap();
        assert_eq!(caller.name(), "ci");
        assert!(caller.has_any(&[Verb::RunsRead]) && !caller.has_any(&[Verb::Consume, Verb::Admin]));
        assert_eq!(caller.scope.prefixes.as_deref(), Some(["orders.".to_owned()].as_slice()));
        assert_eq!(caller.expires_at_ms, Some(1_896_091_200_000));
        assert!(caller.is_over(1_896_091_200_000) && !caller.is_over(1_896_091_199_999));
        assert!(parse(Path::new("t"), "").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let entry = |rest: &str| format!("\n[[token]]\nname = \"ci\"\nhash = \"{HASH}\"\n{rest}\n");
        for (text, line, what) in [
            ("[[token]]\nname = 7".to_owned(), "line 2", "string"),
            (entry("verbs = [\"fly\"]"), "line 5", "fly"),
            (entry("verbs = [\"dlq\"]\ncolour = \"red\""), "line 6", "colour"),
            (entry("verbs = []"), "line 2", "no verbs"),
            (entry("verbs = [\"dlq\"]\ntopics = []"), "line 2", "leave `topics` out"),
            (entry("verbs = [\"dlq\"]\nexpires_at = \"soon\""), "line 2", "soon"),
            (format!("{}{}", entry("verbs = [\"dlq\"]"), entry("verbs = [\"dlq\"]")), "line 7", "another"),
            ("[[token]]\nname = \"x\"\nhash = \"md5:1\"\nverbs = [\"dlq\"]".to_owned(), "line 1", "sha256:"),
        ] {
            let said = refused(&text);
            assert!(said.contains("tokens.toml") && said.contains(line) && said.contains(what), "{said}");
        }
    }
}
