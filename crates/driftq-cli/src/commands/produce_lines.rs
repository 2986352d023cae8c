//! `driftq produce --lines`: many messages, stored batch by batch.
//!
//! Promise: a batch is stored whole or not at all, and the next is sent only when the one before is
//! durable; so what was stored is the beginning of the input. Each message has a key made of the
//! prefix and its line, so a batch without an answer is sent again, by this run or by the next, and
//! nothing is stored twice. An error says with which line to go on. Memory holds one batch.

use std::{
    io::{self, BufRead, BufReader, Read as _},
    time::{Duration, Instant},
};

use driftq_client::{
    Client, ClientError, Retry,
    api::{BatchRequest, ErrorCode, ProduceRequest, ProduceResponse},
};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest as _, Sha256};

use super::produce::{request, value};
use crate::{
    Context, Outcome,
    args::ProduceArgs,
    error::CliError,
    output::{Tone, Word},
};

/// The longest line; the server takes less.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// How many bytes of messages are sent at once, so that the server's bound is kept with its own fields.
const BATCH_BYTES_MAX: usize = 768 << 10;

/// How long a server is looked for that has not answered at all yet.
const FIRST_ANSWER: Duration = Duration::from_millis(500);

/// The first wait before a batch is sent again; it doubles up to the longest.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The longest such wait.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(2);

pub(super) async fn run(args: &ProduceArgs, context: &Context) -> Result<Outcome, CliError> {
    let prefix = args.idempotency_prefix.clone().map_or_else(prefix, Ok)?;
    let (mut lines, bar) = Lines::open(args, &prefix)?;
    let client = context.client.with_request_retry(Retry::NEVER);
    let mut sender = Sender { client, args, context, done: Done::default() };
    let stored = store(&mut sender, &mut lines, &bar).await;
    bar.finish_and_clear();
    let done = sender.done;
    match stored {
        Ok(()) => {}
        // Nobody is left to read on, or nothing was to be stored.
        Err(error @ CliError::Output(_)) => return Err(error),
        Err(error) if args.dry_run => return Err(error),
        Err(error) => return Err(error.and(done.way_on(args, &prefix))),
    }
    if args.dry_run {
        context.output.note(format_args!("{} messages; nothing was stored", done.messages));
    } else if !context.output.is_json() {
        let known = (done.duplicates > 0)
            .then(|| Word::new(format!("{} known already", done.duplicates), Tone::Busy));
        let stored = Word::new(format!("{} stored", done.stored), Tone::Good);
        context.output.line([Word::from(&args.topic), stored].into_iter().chain(known))?;
    }
    Ok(Outcome::Good)
}

/// A prefix that nobody else has.
fn prefix() -> Result<String, CliError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| CliError::Input {
        what: "the system's randomness".to_owned(),
        error: error.into(),
    })?;
    Ok(format!("lines-{}", hex(&bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How far it came.
#[derive(Default)]
struct Done {
    messages: u64,
    stored: u64,
    duplicates: u64,
    /// The last line that is surely stored; 0 is none.
    through: u64,
    /// The first and the last line of what was sent and may be stored or not.
    uncertain: Option<(u64, u64)>,
}

impl Done {
    /// How to go on after an error without storing anything twice.
    fn way_on(&self, args: &ProduceArgs, prefix: &str) -> String {
        let again = |line: u64| format!("run again with --idempotency-prefix {prefix} --from-line {line}");
        match self.uncertain {
            Some((first, last)) if first == last => format!("line {first} is uncertain; {}", again(first)),
            Some((first, last)) => format!("lines {first}–{last} are uncertain; {}", again(first)),
            None if self.through > 0 => {
                format!("all up to line {} is stored; {}", self.through, again(self.through + 1))
            }
            None => match args.from_line {
                1 => "nothing was stored".to_owned(),
                line => format!("nothing was stored from line {line} on"),
            },
        }
    }
}

/// A message, and where in the input it stands.
struct Line {
    number: u64,
    /// Its length in the input.
    length: u64,
    message: ProduceRequest,
}

async fn store(sender: &mut Sender<'_>, lines: &mut Lines<'_>, bar: &ProgressBar) -> Result<(), CliError> {
    loop {
        let batch = lines.batch()?;
        if batch.is_empty() {
            return Ok(());
        }
        if !sender.args.dry_run {
            sender.store(&batch).await?;
        }
        sender.done.messages += batch.len() as u64;
        bar.inc(batch.iter().map(|line| line.length).sum());
        bar.set_message(format!("{} messages", sender.done.messages));
    }
}

/// Who sends batches, and keeps the books.
struct Sender<'a> {
    /// It sends once: what became of each try is looked at here.
    client: Client,
    args: &'a ProduceArgs,
    context: &'a Context,
    done: Done,
}

impl Sender<'_> {
    /// Stores lines; what the server finds too large for one batch is halved until it fits.
    async fn store(&mut self, mut lines: &[Line]) -> Result<(), CliError> {
        let mut size = lines.len();
        while !lines.is_empty() {
            let (part, rest) = lines.split_at(size.min(lines.len()));
            match self.send(part).await {
                Ok(answers) => {
                    self.stored(part, &answers)?;
                    lines = rest;
                }
                Err(error) if error.code() == Some(ErrorCode::PayloadTooLarge) && part.len() > 1 => {
                    size = part.len().div_ceil(2);
                }
                Err(error) => return Err(refused(error, part)),
            }
        }
        Ok(())
    }

    /// Sends a batch until it is answered, refused, or given up.
    async fn send(&mut self, lines: &[Line]) -> Result<Vec<ProduceResponse>, ClientError> {
        let batch = BatchRequest { messages: lines.iter().map(|line| line.message.clone()).collect() };
        let (began, mut wait) = (Instant::now(), AGAIN_AFTER);
        loop {
            let error = match self.client.produce_batch(batch.clone()).await {
                Ok(stored) => return Ok(stored.results),
                Err(error) => error,
            };
            if may_be_stored(&error) {
                self.done.uncertain =
                    lines.first().map(|line| line.number).zip(lines.last().map(|line| line.number));
            }
            let was_there = self.done.messages > 0 || self.done.uncertain.is_some();
            let patience = if was_there { self.args.patience } else { FIRST_ANSWER.min(self.args.patience) };
            let pause = wait.max(error.retry_after().unwrap_or_default());
            if !error.retryable() || began.elapsed() + pause > patience {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            wait = (wait * 2).min(AGAIN_AFTER_MAX);
        }
    }

    fn stored(&mut self, lines: &[Line], answers: &[ProduceResponse]) -> Result<(), CliError> {
        let done = &mut self.done;
        // What a try before this stored is known already by now, and new all the same.
        let is_new = done.uncertain.take().is_some();
        done.through = lines.last().map_or(done.through, |line| line.number);
        let duplicates = answers.iter().filter(|answer| answer.duplicate && !is_new).count() as u64;
        done.duplicates += duplicates;
        done.stored += answers.len() as u64 - duplicates;
        if self.context.output.is_json() {
            answers.iter().try_for_each(|answer| self.context.output.json(answer))?;
        }
        Ok(())
    }
}

/// Whether a try that ended so may have stored its batch.
fn may_be_stored(error: &ClientError) -> bool {
    match error {
        ClientError::Broken { .. } | ClientError::Unreadable { .. } => true,
        ClientError::Refused(refusal) => refusal.status >= 500,
        ClientError::Unreachable { .. }
        | ClientError::UnknownHost { .. }
        | ClientError::Untrusted { .. }
        | ClientError::BadUrl { .. }
        | ClientError::BadName(_)
        | ClientError::BadToken
        | ClientError::BadActor
        | ClientError::BadCertificate { .. }
        | ClientError::BadValue(_)
        | ClientError::Setup(_) => false,
    }
}

/// A refusal with the line of the input it is about, where it is about one.
fn refused(error: ClientError, lines: &[Line]) -> CliError {
    let named = error.refusal().and_then(|refusal| {
        let (index, _) = refusal.message.strip_prefix("messages[")?.split_once(']')?;
        lines.get(index.parse::<usize>().ok()?)
    });
    let only = || lines.first().filter(|_| lines.len() == 1 && error.refusal().is_some());
    match named.or_else(only) {
        Some(line) => {
            let said = error.to_string();
            // Its place in the batch is of no use to anybody.
            let what = said.strip_prefix("messages[").and_then(|rest| rest.split_once("]: "));
            let what = what.map_or(said.as_str(), |(_, what)| what).to_owned();
            CliError::Line { number: line.number, what, error }
        }
        None => error.into(),
    }
}

/// The input, line by line.
struct Lines<'a> {
    input: Box<dyn BufRead>,
    args: &'a ProduceArgs,
    prefix: &'a str,
    number: u64,
    /// A message that did not fit into the batch before.
    left: Option<Line>,
}

impl<'a> Lines<'a> {
    /// The file or standard input, and a bar of how much of it was stored.
    fn open(args: &'a ProduceArgs, prefix: &'a str) -> Result<(Self, ProgressBar), CliError> {
        let (input, bar): (Box<dyn BufRead>, _) = match &args.file {
            Some(path) => {
                let failed = |error| CliError::Input { what: path.display().to_string(), error };
                let file = std::fs::File::open(path).map_err(failed)?;
                let length = file.metadata().map_err(failed)?.len();
                let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg} {eta}";
                (Box::new(BufReader::new(file)), ProgressBar::new(length).with_style(styled(style)))
            }
            None => {
                let style = "{spinner} {bytes} {bytes_per_sec} {msg}";
                (Box::new(BufReader::new(io::stdin())), ProgressBar::new_spinner().with_style(styled(style)))
            }
        };
        Ok((Self { input, args, prefix, number: 0, left: None }, bar))
    }

    /// The next messages; none at the end.
    fn batch(&mut self) -> Result<Vec<Line>, CliError> {
        let (mut lines, mut size) = (Vec::new(), 0);
        while lines.len() < self.args.batch as usize {
            let next = self.left.take().map_or_else(|| self.next(), |left| Ok(Some(left)));
            let Some(line) = next? else { break };
            size += line.message.value.as_ref().map_or(0, |value| value.get().len());
            if size > BATCH_BYTES_MAX && !lines.is_empty() {
                self.left = Some(line);
                break;
            }
            lines.push(line);
        }
        Ok(lines)
    }

    /// The message of the next line that is wanted and not empty.
    fn next(&mut self) -> Result<Option<Line>, CliError> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            let failed = |error| CliError::Input { what: format!("line {}", self.number + 1), error };
            let read = self.input.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).map_err(failed)?;
            length += read as u64;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read as u64 == LINE_BYTES_MAX {
                let number = self.number;
                return Err(CliError::Usage(format!("line {number} is longer than {LINE_BYTES_MAX} bytes")));
            }
            if self.number >= self.args.from_line && !line.trim().is_empty() {
                let message = self.message(line.trim_end_matches(['\r', '\n']))?;
                return Ok(Some(Line { number: self.number, length, message }));
            }
        }
    }

    fn message(&self, line: &str) -> Result<ProduceRequest, CliError> {
        let (args, number) = (self.args, self.number);
        if !args.messages {
            if !args.string && looks_like_json(line) {
                serde_json::from_str::<serde::de::IgnoredAny>(line).map_err(|error| {
                    CliError::Usage(format!(
                        "line {number} begins like JSON but is none ({error}); --string takes every line as a string"
                    ))
                })?;
            }
            return Ok(self.with_key(line, request(args, value(line, args.string)?)));
        }
        let message: ProduceRequest = serde_json::from_str(line).map_err(|error| {
            CliError::Usage(format!("line {number} is no message as `POST /v1/produce` takes it: {error}"))
        })?;
        Ok(self.with_key(line, ProduceRequest { topic: Some(args.topic.clone()), ..message }))
    }

    /// The message with a key, unless it has one of its own; the fingerprint tells the line from
    /// another one that got the same key.
    fn with_key(&self, line: &str, message: ProduceRequest) -> ProduceRequest {
        let in_envelope = message.envelope.as_ref().and_then(|envelope| envelope.idempotency_key.as_ref());
        if in_envelope.or(message.idempotency_key.as_ref()).is_some() {
            return message;
        }
        ProduceRequest {
            idempotency_key: Some(format!("{}-{}", self.prefix, self.number)),
            idempotency_fingerprint: Some(hex(&Sha256::digest(line.as_bytes())[..16])),
            ..message
        }
    }
}

/// Whether somebody who wrote this meant JSON.
fn looks_like_json(line: &str) -> bool {
    line.trim_start().starts_with(['{', '[', '"'])
}

fn styled(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is one of the two above")
}
