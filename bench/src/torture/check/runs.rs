//! Runs: timelines 1..n that never change, each replay ended once, and nothing answered that is not there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rule, Violation, violation};
use crate::torture::{
    book::{At, Book, RunStory},
    ledger::Seen,
};

pub(super) fn check(book: &Book<'_>, found: &mut Vec<Violation>) {
    for (run, story) in &book.runs {
        without_gap(run, story, found);
        ends_once(run, story, found);
        attempts_forward(run, story, found);
        seen_stays_seen(run, story, found);
        events_kept(run, story, found);
        outcomes_kept(run, story, found);
        steps_once(run, story, found);
    }
}

fn without_gap(run: &str, story: &RunStory<'_>, found: &mut Vec<Violation>) {
    for (expected, event) in (1..).zip(&story.timeline) {
        if event.1.seq != expected {
            let what = format!("{run}: event {} stands where {expected} is due", event.1.seq);
            found.push(violation(Rule::TimelineWithoutGap, what, [event.0]));
            // What follows is out of step as well, and says nothing new.
            return;
        }
    }
}

fn is_terminal(kind: &str) -> bool {
    matches!(kind, "run.succeeded" | "run.failed" | "run.cancelled")
}

fn ends_once(run: &str, story: &RunStory<'_>, found: &mut Vec<Violation>) {
    let mut ends: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for event in story.timeline.iter().filter(|event| is_terminal(&event.1.kind)) {
        ends.entry(event.1.replay).or_default().push(event.0);
    }
    for (replay, lines) in ends.iter().filter(|(_, lines)| lines.len() > 1) {
        let what = format!("{run}: replay {replay} ended {} times", lines.len());
        found.push(violation(Rule::EndsOnce, what, lines.iter().copied()));
    }
    let Some(At(line, (newest, status))) = story.found else { return };
    if !matches!(status, "succeeded" | "failed" | "cancelled") {
        found.push(violation(Rule::Alive, format!("{run} never ended; it is {status}"), [line]));
    }
    for replay in (0..=newest).filter(|replay| !ends.contains_key(replay)) {
        found.push(violation(Rule::EndsOnce, format!("{run}: replay {replay} has no end"), [line]));
    }
    let last = story.timeline.iter().rfind(|event| is_terminal(&event.1.kind));
    if let Some(last) = last
        && last.1.kind.strip_prefix("run.") != Some(status)
    {
        let what = format!("{run} is {status}, but its timeline ends with {}", last.1.kind);
        found.push(violation(Rule::EndsOnce, what, [last.0, line]));
    }
}

fn attempts_forward(run: &str, story: &RunStory<'_>, found: &mut Vec<Violation>) {
    let mut last: Option<&At<&Seen>> = None;
    for event in story.timeline.iter().filter(|event| event.1.kind == "worker.received") {
        if let Some(before) = last
            && before.1.replay == event.1.replay
            && before.1.attempt > event.1.attempt
        {
            let what = format!("{run}: attempt {} came after {}", event.1.attempt, before.1.attempt);
            found.push(violation(Rule::AttemptsForward, what, [before.0, event.0]));
        }
        last = Some(event);
    }
}

fn seen_stays_seen(run: &str, story: &RunStory<'_>, found: &mut Vec<Violation>) {
    let by_seq: BTreeMap<u64, &At<&Seen>> = story.timeline.iter().map(|event| (event.1.seq, event)).collect();
    let mut last_of: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for At(line, (reader, event)) in &story.seen {
        match by_seq.get(&event.seq) {
            Some(kept) if kept.1 == *event => {}
            kept => {
                let lines = [*line].into_iter().chain(kept.map(|kept| kept.0));
                let what = format!("{run}: event {} is not what a reader saw", event.seq);
                found.push(violation(Rule::SeenStaysSeen, what, lines));
            }
        }
        let (last_line, last) = last_of.insert(*reader, (*line, event.seq)).unwrap_or((*line, 0));
        if event.seq != last + 1 {
            let what = format!("{run}: a reader saw event {} after event {last}", event.seq);
            found.push(violation(Rule::TimelineWithoutGap, what, [last_line, *line]));
        }
    }
}

fn events_kept(run: &str, story: &RunStory<'_>, found: &mut Vec<Violation>) {
    let mut marks: BTreeMap<&str, &At<&Seen>> = BTreeMap::new();
    for event in &story.timeline {
        if let Some(mark) = &event.1.mark
            && let Some(first) = marks.insert(mark, event)
        {
            found.push(violation(
                Rule::RunKept,
                format!("{run}: the event {mark} is there twice"),
                [first.0, event.0],
            ));
        }
    }
    for At(line, (mark, seq)) in &story.events_stored {
        match marks.get(mark) {
            Some(event) if event.1.seq == *seq => {}
            other => {
                let lines = [*line].into_iter().chain(other.map(|event| event.0));
                let what = format!("{run}: the event {mark} was stored as {seq}, and is not there");
                found.push(violation(Rule::RunKept, what, lines));
            }
        }
    }
}

/// Creations, replays, cancels and results that were answered with a 2xx.
fn outcomes_kept(run: &str, story: &RunStory<'_>, found: &mut Vec<Violation>) {
    let has = |kind: &str, replay: u32, attempt: Option<u32>| {
        story.timeline.iter().any(|event| {
            event.1.kind == kind
                && event.1.replay == replay
                && attempt.is_none_or(|attempt| event.1.attempt == attempt)
        })
    };
    let mut missing =
        |line: u64, what: String| found.push(violation(Rule::RunKept, format!("{run}: {what}"), [line]));
    if let Some(line) = story.created
        && (story.found.is_none() || !has("run.created", 0, None))
    {
        missing(line, "it was created, and is not there".to_owned());
    }
    for At(line, replay) in &story.replayed {
        if !has("run.replay_requested", *replay, None) {
            missing(*line, format!("replay {replay} began, and is not there"));
        }
    }
    for At(line, replay) in &story.cancelled {
        if !has("run.cancelled", *replay, None) {
            missing(*line, format!("replay {replay} was cancelled, and is not"));
        }
    }
    for At(line, (replay, attempt)) in &story.acked {
        if !has("run.succeeded", *replay, Some(*attempt)) {
            missing(*line, format!("attempt {attempt} of replay {replay} succeeded, and did not"));
        }
    }
    if story.intent.is_none() {
        let line = story.found.map(|found| found.0).or_else(|| story.timeline.first().map(|event| event.0));
        found.extend(line.map(|line| violation(Rule::NoGhost, format!("{run}: nobody wanted it"), [line])));
    }
}

/// A step is finished once until a replay forgets it, and what was answered is there.
fn steps_once(run: &str, story: &RunStory<'_>, found: &mut Vec<Violation>) {
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    let mut all: BTreeSet<(u32, u32, &str)> = BTreeSet::new();
    for event in &story.timeline {
        match (event.1.kind.as_str(), &event.1.step) {
            ("run.replay_requested", _) => done.clear(),
            ("step.completed", Some(step)) => {
                all.insert((event.1.replay, event.1.attempt, step));
                if let Some(first) = done.insert(step, event.0) {
                    let what = format!("{run}: the step {step} was finished twice");
                    found.push(violation(Rule::RunKept, what, [first, event.0]));
                }
            }
            _ => {}
        }
    }
    for At(line, (replay, attempt, step)) in &story.steps_stored {
        if !all.contains(&(*replay, *attempt, *step)) {
            found.push(violation(
                Rule::RunKept,
                format!("{run}: the step {step} was stored, and is not there"),
                [*line],
            ));
        }
    }
}
