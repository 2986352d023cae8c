//! `driftq run watch`: a timeline, live.

use driftq_client::{
    EventsFrom, TimelineItem,
    api::{RawValue, RunEvent, RunStatus, TimelineResetReason},
};
use futures_util::StreamExt as _;

use crate::{
    Context, Outcome,
    args::RunWatchArgs,
    commands::TIMELINES,
    error::CliError,
    output::{Tone, Word},
    text::{brief, moment, span, time_of_day},
};

/// Prints the timeline until the run is terminal, or for ever.
pub(super) async fn run(args: RunWatchArgs, context: &Context) -> Result<Outcome, CliError> {
    let from = EventsFrom { after: args.after, until_terminal: !args.follow };
    let mut items = context.client.follow_run(&args.run_id, from);
    while let Some(item) = items.next().await {
        match item? {
            TimelineItem::Event(event) => print(&event, context)?,
            TimelineItem::Reset(reset) => {
                let why = match reset.reason {
                    TimelineResetReason::Trimmed => "earlier events were removed",
                    TimelineResetReason::Ahead => "the timeline is shorter than that",
                };
                context.output.note(format_args!("{why}; going on with event {}", reset.first_seq));
            }
        }
    }
    // The status is asked for, not read off the events: anybody may have produced one that looks like an end.
    let run = context.client.run(&args.run_id).await?;
    Ok(if run.status == RunStatus::Succeeded { Outcome::Good } else { Outcome::Bad })
}

/// The number of a timeline's last event; 0 when there is none.
pub(super) async fn last_seq(run_id: &str, context: &Context) -> Result<u64, CliError> {
    // Numbers are offsets plus one, so the next offset is the last number.
    let timeline = context.client.topic(&format!("{TIMELINES}{run_id}")).await?;
    Ok(timeline.partitions.first().map_or(0, |partition| partition.next_offset))
}

fn print(event: &RunEvent, context: &Context) -> Result<(), CliError> {
    if context.output.is_json() {
        return context.output.json(event);
    }
    let attempt = if event.attempt == 0 { String::new() } else { format!("#{}", event.attempt) };
    let details: Vec<_> = event.fields.0.iter().map(|(name, value)| detail(name, value)).collect();
    context.output.line([
        Word::new(format!("{:<4}", event.seq), Tone::Quiet),
        Word::new(time_of_day(event.ts), Tone::Quiet),
        Word::from(format_args!("{attempt:<3}")),
        Word::new(format!("{:<20}", event.kind), tone(&event.kind)),
        Word::from(details.join(" ")),
    ])
}

fn tone(kind: &str) -> Tone {
    match kind {
        "run.succeeded" | "step.completed" => Tone::Good,
        "run.failed" | "run.attempt_failed" | "run.dlq" | "step.failed" => Tone::Bad,
        "run.retry_scheduled" | "run.replay_requested" | "run.cancelled" => Tone::Busy,
        _ => Tone::Plain,
    }
}

/// A field as people read it: what went wrong by its message, times as times.
fn detail(name: &str, value: &RawValue) -> String {
    let number = || serde_json::from_str::<u64>(value.get()).ok();
    if name == "error"
        && let Ok(error) = serde_json::from_str::<driftq_client::api::Failure>(value.get())
    {
        let kind = error.kind.map(|kind| format!("{kind}: ")).unwrap_or_default();
        return format!("error={kind}{}", crate::text::shorten(&error.message));
    }
    if let Some(short) = name.strip_suffix("_at_ms").or_else(|| name.strip_suffix("_until_ms"))
        && let Some(ms) = number()
    {
        return format!("{short}={}", moment(ms));
    }
    match (name, number()) {
        ("at_ms", Some(ms)) => format!("at={}", time_of_day(ms)),
        ("delay_ms" | "duration_ms", Some(ms)) => {
            format!("{}={}", name.trim_end_matches("_ms"), span(ms).replace(' ', ""))
        }
        _ => format!("{name}={}", brief(value)),
    }
}
