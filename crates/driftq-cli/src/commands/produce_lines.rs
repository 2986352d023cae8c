//! `driftq produce --lines`: many messages, stored batch by batch.
//!
//! Promise: a batch is stored whole or not at all, and the next is sent only when the one before is
//! durable; so what was stored is always the beginning of the input, and an error says how much that
//! is. Memory holds one batch.

use std::io::{self, BufRead, BufReader, Read as _};

use driftq_client::{
    Client, ClientError,
    api::{BatchRequest, ErrorCode, ProduceRequest, ProduceResponse},
};
use indicatif::{ProgressBar, ProgressStyle};

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

pub(super) async fn run(args: &ProduceArgs, context: &Context) -> Result<Outcome, CliError> {
    let (mut lines, bar) = Lines::open(args)?;
    let mut done = Done::default();
    let stored = store(args, context, &mut lines, &bar, &mut done).await;
    bar.finish_and_clear();
    if let Err(error) = stored {
        context
            .output
            .note(format_args!("{} stored before this; go on after line {}", done.stored, done.lines));
        return Err(error);
    }
    if args.dry_run {
        context.output.note(format_args!("{} messages; nothing was stored", done.lines));
    } else if !context.output.is_json() {
        let known = (done.duplicates > 0)
            .then(|| Word::new(format!("{} known already", done.duplicates), Tone::Busy));
        let stored = Word::new(format!("{} stored", done.stored), Tone::Good);
        context.output.line([Word::from(&args.topic), stored].into_iter().chain(known))?;
    }
    Ok(Outcome::Good)
}

/// How far it came.
#[derive(Default)]
struct Done {
    lines: u64,
    stored: u64,
    duplicates: u64,
}

async fn store(
    args: &ProduceArgs,
    context: &Context,
    lines: &mut Lines,
    bar: &ProgressBar,
    done: &mut Done,
) -> Result<(), CliError> {
    loop {
        let (batch, bytes) = lines.batch(args)?;
        let count = batch.len() as u64;
        if count == 0 {
            return Ok(());
        }
        if !args.dry_run {
            for answer in produce(&context.client, batch).await? {
                done.stored += u64::from(!answer.duplicate);
                done.duplicates += u64::from(answer.duplicate);
                if context.output.is_json() {
                    context.output.json(&answer)?;
                }
            }
        }
        done.lines += count;
        bar.inc(bytes);
        bar.set_message(format!("{} messages", done.lines));
    }
}

/// Stores a batch; one that the server finds too large is halved until it fits.
async fn produce(
    client: &Client,
    mut messages: Vec<ProduceRequest>,
) -> Result<Vec<ProduceResponse>, ClientError> {
    let mut answers = Vec::with_capacity(messages.len());
    let mut size = messages.len();
    while !messages.is_empty() {
        let batch = BatchRequest { messages: messages.iter().take(size).cloned().collect() };
        match client.produce_batch(batch).await {
            Ok(stored) => {
                answers.extend(stored.results);
                messages.drain(..size.min(messages.len()));
            }
            Err(error) if error.code() == Some(ErrorCode::PayloadTooLarge) && size > 1 => {
                size = size.div_ceil(2)
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answers)
}

/// The input, line by line.
struct Lines {
    input: Box<dyn BufRead>,
    number: u64,
    /// A message that did not fit into the batch before.
    left: Option<(ProduceRequest, u64)>,
}

impl Lines {
    /// The file or standard input, and a bar of how much of it was stored.
    fn open(args: &ProduceArgs) -> Result<(Self, ProgressBar), CliError> {
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
        Ok((Self { input, number: 0, left: None }, bar))
    }

    /// The next messages, and how many bytes of input they were; none at the end.
    fn batch(&mut self, args: &ProduceArgs) -> Result<(Vec<ProduceRequest>, u64), CliError> {
        let (mut messages, mut bytes, mut size) = (Vec::new(), 0, 0);
        while messages.len() < args.batch as usize {
            let Some((message, length)) =
                self.left.take().map_or_else(|| self.next(args), |left| Ok(Some(left)))?
            else {
                break;
            };
            size += message.value.as_ref().map_or(0, |value| value.get().len());
            if size > BATCH_BYTES_MAX && !messages.is_empty() {
                self.left = Some((message, length));
                break;
            }
            bytes += length;
            messages.push(message);
        }
        Ok((messages, bytes))
    }

    /// The message of the next line that is not empty, and its length in the input.
    fn next(&mut self, args: &ProduceArgs) -> Result<Option<(ProduceRequest, u64)>, CliError> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            let failed = |error| CliError::Input { what: "the input".to_owned(), error };
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
            if !line.trim().is_empty() {
                return Ok(Some((self.message(line.trim_end_matches(['\r', '\n']), args)?, length)));
            }
        }
    }

    fn message(&self, line: &str, args: &ProduceArgs) -> Result<ProduceRequest, CliError> {
        if !args.messages {
            return Ok(request(args, value(line, args.string)?));
        }
        let message: ProduceRequest = serde_json::from_str(line).map_err(|error| {
            CliError::Usage(format!(
                "line {} is no message as `POST /v1/produce` takes it: {error}",
                self.number
            ))
        })?;
        Ok(ProduceRequest { topic: Some(args.topic.clone()), ..message })
    }
}

fn styled(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is one of the two above")
}
