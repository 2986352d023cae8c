//! Messages: nothing lost, nothing twice, nothing made up, everything settled.

use super::{Rule, Violation, violation};
use crate::torture::{
    book::{At, Book, Step, Story, Wanted},
    ledger::{Ask, Place},
};

pub(super) fn check(book: &Book<'_>, found: &mut Vec<Violation>) {
    for (id, wanted) in &book.messages {
        lost(book, id, wanted, found);
        stored_once(id, wanted, found);
        if wanted.intents.is_empty() {
            let lines = wanted.kept.iter().map(|kept| kept.0);
            found.push(violation(Rule::NoGhost, format!("{id} is kept, but nobody sent it"), lines));
        }
    }
    unseen(book, found);
    gaps(book, found);
    settled(book, found);
}

fn lost(book: &Book<'_>, id: &str, wanted: &Wanted<'_>, found: &mut Vec<Violation>) {
    for reply in &wanted.replies {
        let there = book.kept.get(reply.1);
        if there.is_none_or(|kept| kept.1 != id) {
            let lines = wanted.intents.iter().copied().chain([reply.0]).chain(there.map(|kept| kept.0));
            found.push(violation(
                Rule::NothingLost,
                format!("{id} was stored at {}, and is not there", reply.1),
                lines,
            ));
        }
    }
}

fn stored_once(id: &str, wanted: &Wanted<'_>, found: &mut Vec<Violation>) {
    let mut places: Vec<(&Place, u64)> =
        wanted.replies.iter().chain(&wanted.kept).map(|at| (at.1, at.0)).collect();
    places.sort_unstable();
    places.dedup_by_key(|(place, _)| *place);
    if places.len() > 1 {
        let lines = wanted.intents.iter().copied().chain(places.iter().map(|(_, line)| *line));
        found.push(violation(Rule::StoredOnce, format!("{id} is at {} places", places.len()), lines));
    }
}

/// What was delivered is still what lies there.
fn unseen(book: &Book<'_>, found: &mut Vec<Violation>) {
    for ((_, place), story) in &book.stories {
        for delivery in &story.deliveries {
            let is_ours = book.messages.contains_key(delivery.1.id);
            let kept = book.kept.get(place);
            if is_ours && kept.is_none_or(|kept| kept.1 != delivery.1.id) {
                let what = format!("{} was delivered from {place}, and is not there", delivery.1.id);
                let lines = [delivery.0].into_iter().chain(kept.map(|kept| kept.0));
                found.push(violation(Rule::NoGhost, what, lines));
            }
        }
    }
}

fn gaps(book: &Book<'_>, found: &mut Vec<Violation>) {
    let mut before: Option<At<&Place>> = None;
    for (place, kept) in &book.kept {
        let expected = match before {
            Some(At(_, last)) if last.topic == place.topic && last.partition == place.partition => {
                last.offset + 1
            }
            _ => 0,
        };
        if place.offset != expected {
            let lines = before.iter().map(|last| last.0).chain([kept.0]);
            let what = format!("{place} follows where {expected} is due");
            found.push(violation(Rule::OffsetsWithoutGap, what, lines));
        }
        before = Some(At(kept.0, place));
    }
}

fn settled(book: &Book<'_>, found: &mut Vec<Violation>) {
    for (place, kept) in &book.kept {
        for (_, group) in book.groups.iter().filter(|(topic, _)| *topic == place.topic) {
            let story = book.stories.get(&((*group).to_owned(), (*place).clone()));
            if !story.is_some_and(|story| may_be_acked(story) || !story.dead.is_empty()) {
                let lines = story.into_iter().flat_map(lines_of).chain([kept.0]);
                let what = format!("{} at {place} was never settled by {group}", kept.1);
                found.push(violation(Rule::EverythingSettled, what, lines));
            }
        }
    }
    for ((group, place), story) in &book.stories {
        let acked = story.questions.iter().find(|question| is_granted(question.1.ask, question.1.step));
        let has_both = acked.is_some() && !story.dead.is_empty();
        if story.dead.len() > 1 || has_both {
            let what = match acked {
                Some(_) => format!("{place} was acked by {group} and is a dead letter"),
                None => format!("{place} of {group} is {} dead letters", story.dead.len()),
            };
            let lines = acked.map(|acked| acked.0).into_iter().chain(story.dead.iter().copied());
            found.push(violation(Rule::EverythingSettled, what, lines));
        }
    }
}

/// Whether an ack was granted, or nobody knows what became of one.
fn may_be_acked(story: &Story<'_>) -> bool {
    let mut unanswered = 0_i64;
    for question in story.questions.iter().filter(|question| question.1.ask == Ask::Ack) {
        match question.1.step {
            Step::Granted { .. } => return true,
            Step::Asking => unanswered += 1,
            Step::Refused => unanswered -= 1,
        }
    }
    unanswered > 0
}

fn is_granted(ask: Ask, step: Step) -> bool {
    ask == Ask::Ack && matches!(step, Step::Granted { .. })
}

fn lines_of(story: &Story<'_>) -> Vec<u64> {
    let deliveries = story.deliveries.iter().map(|delivery| delivery.0);
    deliveries.chain(story.questions.iter().map(|question| question.0)).collect()
}
