//! `driftq ack`, `driftq nack` and `driftq extend`.

use std::io::IsTerminal as _;

use driftq_client::{
    DeadLetterId,
    api::{AckRequest, ExtendRequest, ExtendResponse, NackRequest, WholeMessage},
};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{
    Context, Outcome,
    args::{AckArgs, DeliveryArgs, ExtendArgs, NackArgs, millis},
    commands::json_option,
    error::CliError,
    output::{Tone, Word},
    text::moment,
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

pub(super) async fn extend(args: ExtendArgs, context: &Context) -> Result<Outcome, CliError> {
    #[derive(Serialize)]
    struct Extended<'a> {
        #[serde(flatten)]
        answer: ExtendResponse,
        #[serde(flatten)]
        message: &'a WholeMessage,
    }

    let mut deliveries = Deliveries::new(args.delivery)?;
    while let Some(message) = deliveries.next().await? {
        let request = ExtendRequest {
            msg: Some(message.clone()),
            lease_ms: Some(millis(args.lease)),
            ..ExtendRequest::default()
        };
        let answer = context.client.extend(&request).await?;
        if context.output.is_json() {
            context.output.json(&Extended { answer, message: &message })?;
            continue;
        }
        let until = format!("until {}", moment(answer.lease_until_ms));
        context.output.line([
            Word::new("held", Tone::Good),
            Word::from(address(&message)),
            Word::from(until),
        ])?;
    }
    Ok(Outcome::Good)
}

fn print(status: &'static str, message: &WholeMessage, context: &Context) -> Result<(), CliError> {
    if context.output.is_json() {
        return context.output.json(&Settled { status, message });
    }
    context.output.line([Word::new(status, Tone::Good), Word::from(address(message))])
}

fn address(message: &WholeMessage) -> String {
    format!(
        "{}/{}/{}",
        message.topic.as_deref().unwrap_or_default(),
        message.partition.unwrap_or_default(),
        message.offset.unwrap_or_default()
    )
}

/// Where a message lies, given in one word or in three.
fn place(topic: String, partition: Option<u32>, offset: Option<u64>) -> Result<DeadLetterId, CliError> {
    match (partition, offset) {
        (Some(partition), Some(offset)) => Ok(DeadLetterId { topic, partition, offset }),
        (None, None) => crate::args::address(&topic).map_err(CliError::Usage),
        (Some(_), None) | (None, Some(_)) => {
            Err(CliError::Usage("give TOPIC PARTITION OFFSET, or TOPIC/PARTITION/OFFSET".to_owned()))
        }
    }
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
                let how = "give TOPIC/PARTITION/OFFSET, or pipe in what `driftq consume --json` printed";
                return Err(CliError::Usage(how.to_owned()));
            }
            return Ok(Self::Lines(BufReader::new(tokio::io::stdin())));
        }
        let id = place(args.topic.unwrap_or_default(), args.partition, args.offset)?;
        Ok(Self::One(Some(Box::new(WholeMessage {
            topic: Some(id.topic),
            group: Some(args.group),
            owner: args.owner,
            partition: Some(id.partition),
            offset: Some(id.offset),
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
