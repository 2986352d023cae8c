//! `driftq ack` and `driftq nack`.

use std::io::IsTerminal as _;

use driftq_client::api::{AckRequest, NackRequest, WholeMessage};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{
    Context, Outcome,
    args::{AckArgs, DeliveryArgs, NackArgs, millis},
    commands::json_option,
    error::CliError,
    output::{Tone, Word},
};

#[derive(Serialize)]
struct Settled<'a> {
    status: &'static str,
    #[serde(flatten)]
    message: &'a WholeMessage,
}

pub(super) async fn ack(args: AckArgs, context: &Context) -> Result<Outcome, CliError> {
    let result = json_option("result", args.result)?;
    let mut deliveries = Deliveries::new(args.delivery)?;
    while let Some(message) = deliveries.next().await? {
        let request =
            AckRequest { msg: Some(message.clone()), result: result.clone(), ..AckRequest::default() };
        context.client.ack(&request).await?;
        print("acked", &message, context)?;
    }
    Ok(Outcome::Good)
}

pub(super) async fn nack(args: NackArgs, context: &Context) -> Result<Outcome, CliError> {
    let mut deliveries = Deliveries::new(args.delivery)?;
    while let Some(message) = deliveries.next().await? {
        let request = NackRequest {
            msg: Some(message.clone()),
            reason: args.reason.clone(),
            retry_after_ms: args.retry_after.map(millis),
            retryable: args.no_retry.then_some(false),
            ..NackRequest::default()
        };
        context.client.nack(&request).await?;
        print("nacked", &message, context)?;
    }
    Ok(Outcome::Good)
}

fn print(status: &'static str, message: &WholeMessage, context: &Context) -> Result<(), CliError> {
    if context.output.is_json() {
        return context.output.json(&Settled { status, message });
    }
    let address = format!(
        "{}/{}/{}",
        message.topic.as_deref().unwrap_or_default(),
        message.partition.unwrap_or_default(),
        message.offset.unwrap_or_default()
    );
    context.output.line([Word::new(status, Tone::Good), Word::from(address)])
}

/// What is to be settled: one delivery, or one per line of standard input.
enum Deliveries {
    One(Option<Box<WholeMessage>>),
    Lines(BufReader<tokio::io::Stdin>),
}

impl Deliveries {
    fn new(args: DeliveryArgs) -> Result<Self, CliError> {
        if args.topic.is_none() {
            if std::io::stdin().is_terminal() {
                let how = "give TOPIC PARTITION OFFSET, or pipe in what `driftq consume --json` printed";
                return Err(CliError::Usage(how.to_owned()));
            }
            return Ok(Self::Lines(BufReader::new(tokio::io::stdin())));
        }
        Ok(Self::One(Some(Box::new(WholeMessage {
            topic: args.topic,
            group: Some(args.group),
            owner: args.owner,
            partition: args.partition,
            offset: args.offset,
            lease_id: args.lease_id,
        }))))
    }

    async fn next(&mut self) -> Result<Option<WholeMessage>, CliError> {
        let reader = match self {
            Self::One(message) => return Ok(message.take().map(|message| *message)),
            Self::Lines(reader) => reader,
        };
        loop {
            let mut line = String::new();
            let read = reader.read_line(&mut line).await;
            let read = read.map_err(|error| CliError::Input { what: "standard input".to_owned(), error })?;
            if read == 0 {
                return Ok(None);
            }
            if !line.trim().is_empty() {
                return serde_json::from_str(&line).map(Some).map_err(|error| {
                    CliError::Usage(format!("a line of standard input is no message: {error}"))
                });
            }
        }
    }
}
