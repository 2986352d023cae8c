//! `driftq token new`.
//!
//! Promise: the secret is printed once and kept nowhere; the file gets its hash only. A file that
//! cannot be read as tokens is left as it is.

use std::{fs, io::Write as _, path::Path, time::SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    Context, Outcome,
    args::{TokenCommand, TokenNewArgs, VerbArg},
    error::CliError,
};

/// What a secret begins with, so that a leak is recognised.
const PREFIX: &str = "dq_";

/// How much of a secret is random.
const SECRET_BYTES: usize = 32;

/// One token, without its secret.
#[derive(Serialize)]
struct Token {
    name: String,
    hash: String,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    topics: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// The part of a file that a token adds.
#[derive(Serialize)]
struct Entry<'a> {
    token: [&'a Token; 1],
}

/// What is looked at in a file that is there already.
#[derive(Deserialize)]
struct Present {
    #[serde(default)]
    token: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Serialize)]
struct Made<'a> {
    secret: &'a str,
    #[serde(flatten)]
    token: &'a Token,
}

pub(super) fn run(command: TokenCommand, context: &Context) -> Result<Outcome, CliError> {
    let TokenCommand::New(args) = command;
    let secret = secret()?;
    let token = token(&args, &secret)?;
    let entry = toml::to_string(&Entry { token: [&token] })
        .map_err(|error| CliError::Usage(format!("the token cannot be written: {error}")))?;
    if let Some(file) = &args.file {
        append(file, &args.name, &entry)?;
    }
    if context.output.is_json() {
        context.output.json(&Made { secret: &secret, token: &token })?;
        return Ok(Outcome::Good);
    }
    match &args.file {
        Some(file) => context.output.note(format_args!("its hash is in {}", file.display())),
        None => {
            context.output.note("this goes into the file that `driftqd --token-file` reads:");
            entry.lines().for_each(|line| context.output.note(line));
        }
    }
    context.output.note("this is the secret; nobody can show it again:");
    context.output.line([secret.into()])?;
    Ok(Outcome::Good)
}

fn secret() -> Result<String, CliError> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| CliError::Input { what: "chance".to_owned(), error: error.into() })?;
    Ok(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}

fn token(args: &TokenNewArgs, secret: &str) -> Result<Token, CliError> {
    if args.name.trim().is_empty() {
        return Err(CliError::Usage(
            "a token needs a --name: the server's books call its acts by it".to_owned(),
        ));
    }
    let expires_at = match args.expires_in {
        None => None,
        Some(time) => {
            let at = SystemTime::now().checked_add(time);
            let at = at.ok_or_else(|| CliError::Usage("--expires-in is too far away".to_owned()))?;
            Some(humantime::format_rfc3339_seconds(at).to_string())
        }
    };
    Ok(Token {
        name: args.name.trim().to_owned(),
        hash: hash(secret),
        verbs: args.verbs.iter().copied().map(VerbArg::as_str).collect(),
        topics: args.topics.clone(),
        tenant: args.tenant.clone(),
        expires_at,
    })
}

fn hash(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Adds an entry to a file that has no token of this name yet.
fn append(path: &Path, name: &str, entry: &str) -> Result<(), CliError> {
    let failed = |error| CliError::Input { what: path.display().to_string(), error };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let present: Present = toml::from_str(&text)
        .map_err(|error| CliError::Usage(format!("{} is no file of tokens: {error}", path.display())))?;
    if present.token.iter().any(|token| token.name == name.trim()) {
        let how = "take another name, or remove it first";
        return Err(CliError::Usage(format!("{} has a token `{name}` already; {how}", path.display())));
    }
    let gap = if text.is_empty() || text.ends_with("\n\n") {
        ""
    } else if text.ends_with('\n') {
        "\n"
    } else {
        "\n\n"
    };
    // One write at the end: a server that reads meanwhile sees the old file, or the old file and a part that
    // it refuses until the rest is there.
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    file.write_all(format!("{gap}{entry}").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_and_never_the_same() {
        let (one, other) = (secret().expect("there is chance"), secret().expect("there is chance"));
        assert_eq!((one.len(), &one[..3]), (46, "dq_"));
        assert_ne!(one, other);
    }

    #[test]
    fn a_hash_is_the_one_that_everybody_computes() {
        let known = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash("abc"), known);
    }
}
