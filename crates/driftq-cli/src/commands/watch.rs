//! `driftq run watch`: a timeline, live.
//!
//! Promise: with `--json` a line is an event, as the server tells it. For people the events stand
//! under their attempt, and on a terminal a last line says what is waited for, counted down.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use driftq_client::{
    EventsFrom, TimelineItem,
    api::{Failure, RawValue, RunEvent, RunStatus, TimelineReset, TimelineResetReason},
};
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    Context, Outcome,
    args::RunWatchArgs,
    commands::TIMELINES,
    error::CliError,
    output::{Tone, Word},
    text::{brief, moment, shorten, span, time_of_day},
};

/// How often the last line is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// Prints the timeline until the run is terminal, or for ever.
pub(super) async fn run(args: RunWatchArgs, context: &Context) -> Result<Outcome, CliError> {
    let from = EventsFrom { after: args.after, until_terminal: !args.follow };
    let mut items = context.client.follow_run(&args.run_id, from);
    let (mut timeline, last_line) = (Timeline::default(), LastLine::new(context));
    let mut ticks = tokio::time::interval(TICK);
    loop {
        let item = tokio::select! {
            item = items.next() => item,
            _ = ticks.tick(), if last_line.is_shown() => {
                last_line.say(timeline.waits_for(now_ms()));
                continue;
            }
        };
        let Some(item) = item else { break };
        let item = item?;
        last_line.beside(|| match &item {
            TimelineItem::Event(event) => timeline.print(event, context),
            TimelineItem::Reset(reset) => {
                context.output.note(gap(reset));
                Ok(())
            }
        })?;
    }
    last_line.clear();
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

fn gap(reset: &TimelineReset) -> String {
    let why = match reset.reason {
        TimelineResetReason::Trimmed => "earlier events were removed",
        TimelineResetReason::Ahead => "the timeline is shorter than that",
    };
    format!("{why}; going on with event {}", reset.first_seq)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What was printed so far, as far as the next line depends on it.
#[derive(Default)]
pub(super) struct Timeline {
    /// The replay and attempt that the lines stand under.
    under: Option<(u32, u32)>,
    /// When it began, if that was seen.
    began_ms: Option<u64>,
    /// What the run waits for, and until when.
    waiting: Option<(String, u64)>,
}

impl Timeline {
    /// Prints an event, under the line of its attempt.
    pub(super) fn print(&mut self, event: &RunEvent, context: &Context) -> Result<(), CliError> {
        if context.output.is_json() {
            return context.output.json(event);
        }
        self.head(event, context)?;
        self.note_wait(event);
        let indent = if event.attempt == 0 { "" } else { "  " };
        context.output.line([
            Word::new(format!("{indent}{:<4}", event.seq), Tone::Quiet),
            Word::new(time_of_day(event.ts), Tone::Quiet),
            Word::new(format!("{:<20}", event.kind), tone(&event.kind)),
            Word::from(self.details(event)),
        ])
    }

    /// Begins a new attempt with a line of its own.
    fn head(&mut self, event: &RunEvent, context: &Context) -> Result<(), CliError> {
        let under = (event.replay_seq, event.attempt);
        if event.attempt == 0 || self.under == Some(under) {
            return Ok(());
        }
        self.under = Some(under);
        self.began_ms = (event.kind == "worker.received").then_some(event.ts);
        let replay = (event.replay_seq > 0).then(|| format!(" of replay {}", event.replay_seq));
        let owner: Option<String> = event.fields.read("owner");
        let by = owner.map(|owner| format!(" by {owner}")).unwrap_or_default();
        let line = format!("attempt {}{}{by}", event.attempt, replay.unwrap_or_default());
        context.output.line([Word::new(line, Tone::Strong)])
    }

    /// The fields of an event; an end of an attempt with how long that took.
    fn details(&self, event: &RunEvent) -> String {
        let mut details: Vec<_> = event.fields.0.iter().map(|(name, value)| detail(name, value)).collect();
        if matches!(event.kind.as_str(), "run.attempt_failed" | "run.succeeded" | "run.cancelled")
            && let Some(began_ms) = self.began_ms
        {
            details.push(format!("after={}", span(event.ts.saturating_sub(began_ms)).replace(' ', "")));
        }
        details.join(" ")
    }

    fn note_wait(&mut self, event: &RunEvent) {
        let number = |name| event.fields.read::<u64>(name);
        let wait = match event.kind.as_str() {
            "run.created" | "run.replay_requested" => Some(("waits for a worker".to_owned(), 0)),
            "run.retry_scheduled" => {
                let next = number("next_attempt").unwrap_or_default();
                let of = number("max_attempts").filter(|max| *max > 0).map(|max| format!(" of {max}"));
                let what = format!("attempt {next}{}", of.unwrap_or_default());
                Some((what, number("at_ms").unwrap_or_default()))
            }
            "worker.received" => Some((format!("attempt {} is at work", event.attempt), 0)),
            "run.succeeded" | "run.failed" | "run.cancelled" => None,
            _ => return,
        };
        self.waiting = wait;
    }

    /// What the run waits for at a time.
    fn waits_for(&self, now_ms: u64) -> String {
        match &self.waiting {
            None => "the run has ended; waiting for a replay".to_owned(),
            Some((what, 0)) => what.clone(),
            Some((what, at_ms)) if *at_ms <= now_ms => format!("{what} waits for a worker"),
            Some((what, at_ms)) => {
                let left = at_ms - now_ms;
                format!("{what} in {}.{} s", left / 1_000, left % 1_000 / 100)
            }
        }
    }
}

/// The line below all others; only on a terminal.
struct LastLine(Option<ProgressBar>);

impl LastLine {
    fn new(context: &Context) -> Self {
        let is_wanted = context.output.is_terminal() && !context.output.is_json();
        let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is this one");
        Self(is_wanted.then(|| ProgressBar::new_spinner().with_style(style)))
    }

    fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    fn say(&self, text: String) {
        if let Some(bar) = &self.0 {
            bar.set_message(text);
            bar.tick();
        }
    }

    /// Prints something above it.
    fn beside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
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
        && let Ok(error) = serde_json::from_str::<Failure>(value.get())
    {
        let kind = error.kind.map(|kind| format!("{kind}: ")).unwrap_or_default();
        return format!("error={kind}{}", shorten(&error.message));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: &[&str]) -> Timeline {
        let mut timeline = Timeline::default();
        for text in events {
            timeline.note_wait(&serde_json::from_str(text).expect("it is an event"));
        }
        timeline
    }

    #[test]
    fn the_last_line_counts_down_to_the_next_attempt() {
        let scheduled = r#"{"seq":3,"ts":1,"type":"run.retry_scheduled","run_id":"r","replay_seq":0,"attempt":1,"at_ms":5000,"delay_ms":4000,"next_attempt":2,"max_attempts":5}"#;
        let timeline = after(&[scheduled]);
        assert_eq!(timeline.waits_for(2_660), "attempt 2 of 5 in 2.3 s");
        assert_eq!(timeline.waits_for(5_000), "attempt 2 of 5 waits for a worker");
        let received = r#"{"seq":4,"ts":1,"type":"worker.received","run_id":"r","replay_seq":0,"attempt":2,"owner":"w","lease_until_ms":9}"#;
        assert_eq!(after(&[scheduled, received]).waits_for(5_000), "attempt 2 is at work");
        let failed = r#"{"seq":5,"ts":1,"type":"run.failed","run_id":"r","replay_seq":0,"attempt":2}"#;
        assert_eq!(after(&[received, failed]).waits_for(0), "the run has ended; waiting for a replay");
    }
}
