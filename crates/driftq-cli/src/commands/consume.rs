//! `driftq consume`.

use std::io::IsTerminal as _;

use driftq_client::api::{ConsumeItem, ConsumeRequest, ConsumeStart};
use futures_util::StreamExt as _;

use crate::{
    Context, Outcome,
    args::{ConsumeArgs, millis},
    error::CliError,
    output::{Tone, Word},
    text::{brief, shorten},
};

/// How many messages are shown at once when none of them is acked.
const HELD_MAX: u32 = 1_000;

/// What somebody who only wants to look must know.
const LEASES: &str = "each printed message is held until its lease ends, which counts as an attempt; \
    `driftq topic browse` only looks, --ack settles";

pub(super) async fn run(args: ConsumeArgs, context: &Context) -> Result<Outcome, CliError> {
    if !args.ack && std::io::stderr().is_terminal() {
        context.output.note(LEASES);
    }
    let owner = args.owner.clone().unwrap_or_else(|| format!("cli-{}", std::process::id()));
    // Whoever acks each message before the next holds one; others would get no second message.
    let max_in_flight = if args.ack { 1 } else { args.max.unwrap_or(HELD_MAX) };
    let mut messages = context.client.consume(ConsumeRequest {
        topic: Some(args.topic.clone()),
        group: Some(args.group.clone()),
        owner: Some(owner.clone()),
        lease_ms: Some(millis(args.lease)),
        max_in_flight: Some(max_in_flight),
        start: args.latest.then_some(ConsumeStart::Latest),
        ..ConsumeRequest::default()
    });
    let mut count: u32 = 0;
    while args.max.is_none_or(|max| count < max) {
        let next = messages.next();
        let item = if args.follow {
            next.await
        } else {
            match tokio::time::timeout(args.idle, next).await {
                Ok(item) => item,
                Err(_) => break,
            }
        };
        let Some(item) = item.transpose()? else { break };
        print(&item, context)?;
        if args.ack {
            context.client.ack_item(&item).await?;
        }
        count += 1;
    }
    if !args.ack && count > 0 && !context.output.is_json() {
        context.output.note(format_args!(
            "{count} held by {owner} of {}; settle with `driftq ack TOPIC/PARTITION/OFFSET -g {} -o {owner}`",
            args.group, args.group
        ));
    }
    Ok(Outcome::Good)
}

fn print(item: &ConsumeItem, context: &Context) -> Result<(), CliError> {
    if context.output.is_json() {
        return context.output.json(item);
    }
    let address = format!("{}/{}/{}", item.topic, item.partition, item.offset);
    let key = (!item.key.is_empty()).then(|| Word::new(format!("key={}", item.key), Tone::Quiet));
    let attempts = (item.attempts > 1).then(|| {
        Word::new(format!("attempt {} after: {}", item.attempts, shorten(&item.last_error)), Tone::Busy)
    });
    let words = [Some(Word::new(address, Tone::Good)), key, Some(Word::from(brief(&item.value))), attempts];
    context.output.line(words.into_iter().flatten())
}
