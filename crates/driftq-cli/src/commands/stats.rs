//! `driftq stats`.

use driftq_client::api::Stats;

use crate::{
    Context, Outcome,
    error::CliError,
    output::{Tone, Word},
    text::{bytes, span},
};

pub(super) async fn run(context: &Context) -> Result<Outcome, CliError> {
    let stats = context.client.stats().await?;
    if context.output.is_json() {
        context.output.json(&stats)?;
    } else {
        context.output.facts(facts(&stats))?;
    }
    Ok(Outcome::Good)
}

/// What is counted, by the names people read.
pub(super) fn facts(stats: &Stats) -> Vec<(&'static str, Word)> {
    let bad = |count: u64| Word::new(count.to_string(), if count == 0 { Tone::Good } else { Tone::Bad });
    let runs = &stats.runs;
    let facts = [
        ("version", Some(Word::from(&stats.version))),
        ("up for", Some(Word::from(span(stats.uptime_ms / 1_000 * 1_000)))),
        ("topics", Some(Word::from(stats.topics))),
        ("groups", Some(Word::from(stats.groups))),
        ("consumers", Some(Word::from(stats.consumers))),
        ("in flight", Some(Word::from(stats.in_flight))),
        ("produced", Some(Word::from(stats.messages_total))),
        ("delivered", Some(Word::from(stats.delivered_total))),
        ("acked", Some(Word::from(stats.acked_total))),
        ("nacked", Some(Word::from(stats.nacked_total))),
        ("dead letters", Some(bad(stats.dead_letters_open))),
        ("runs queued", Some(Word::from(runs.queued))),
        ("runs running", Some(Word::from(runs.running))),
        ("runs retrying", Some(Word::from(runs.retrying))),
        ("runs waiting", Some(Word::from(runs.waiting))),
        ("runs succeeded", Some(Word::from(runs.succeeded))),
        ("runs failed", Some(Word::from(runs.failed))),
        ("runs cancelled", Some(Word::from(runs.cancelled))),
        ("log", Some(Word::from(log(stats)))),
        ("disk free", stats.log.disk_free_bytes.map(bytes).map(Word::from)),
        ("memory", stats.memory_bytes.map(bytes).map(Word::from)),
    ];
    facts.into_iter().filter_map(|(name, word)| Some((name, word?))).collect()
}

fn log(stats: &Stats) -> String {
    match stats.log.segments {
        Some(segments) => format!("{} in {segments} segments", bytes(stats.log.bytes)),
        None => bytes(stats.log.bytes),
    }
}
