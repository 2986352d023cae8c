//! Deliveries: each attempt once, in order, under one live lease, and never after an ack.
//!
//! Two readers' lines may stand in another order than the server wrote to them. So attempts are compared by the
//! server's life in which they were read and by connection, and leases by the times the server itself named.

use std::collections::BTreeMap;

use super::{Rule, Violation, violation};
use crate::torture::{
    book::{At, Book, Delivery, Step, Story},
    ledger::Ask,
};

/// How far the times of two leases may disagree: both are rounded to milliseconds, at different moments.
const SLACK_MS: u64 = 50;

pub(super) fn check(book: &Book<'_>, found: &mut Vec<Violation>) {
    for ((group, place), story) in &book.stories {
        let name = format!("{place} of {group}");
        acked_stays_acked(&name, story, found);
        delivered_once(&name, story, found);
        attempts_forward(&name, story, found);
        attempts_bounded(book, &name, story, found);
        one_live_lease(&name, story, found);
    }
    leases_are_new(book, found);
}

fn acked_stays_acked(name: &str, story: &Story<'_>, found: &mut Vec<Violation>) {
    let granted = |ask: Ask| {
        let of = move |step: Step| matches!(step, Step::Granted { .. });
        story.questions.iter().filter(move |question| question.1.ask == ask && of(question.1.step))
    };
    for ack in granted(Ask::Ack) {
        for delivery in story.deliveries.iter().filter(|d| d.1.held.attempt > ack.1.held.attempt) {
            let what = format!("{name} was acked in attempt {} and came again", ack.1.held.attempt);
            found.push(violation(Rule::AckedStaysAcked, what, [ack.0, delivery.0]));
        }
        for other in
            granted(Ask::Ack).filter(|other| other.0 > ack.0 && other.1.held.lease != ack.1.held.lease)
        {
            found.push(violation(
                Rule::OneLiveLease,
                format!("{name} was acked by two leases"),
                [ack.0, other.0],
            ));
        }
        for nack in granted(Ask::Nack).filter(|nack| nack.1.held.lease == ack.1.held.lease) {
            found.push(violation(
                Rule::OneLiveLease,
                format!("{name}: one lease was acked and nacked"),
                [nack.0, ack.0],
            ));
        }
    }
}

fn delivered_once(name: &str, story: &Story<'_>, found: &mut Vec<Violation>) {
    let mut by_attempt: BTreeMap<u32, u64> = BTreeMap::new();
    for delivery in &story.deliveries {
        if let Some(first) = by_attempt.insert(delivery.1.held.attempt, delivery.0) {
            let what = format!("{name}: attempt {} was delivered twice", delivery.1.held.attempt);
            found.push(violation(Rule::DeliveredOnce, what, [first, delivery.0]));
        }
    }
}

/// What one life or connection delivered comes after what earlier ones did.
fn attempts_forward(name: &str, story: &Story<'_>, found: &mut Vec<Violation>) {
    let mut greatest: BTreeMap<u64, &At<Delivery<'_>>> = BTreeMap::new();
    let mut on_connection: BTreeMap<u64, &At<Delivery<'_>>> = BTreeMap::new();
    for delivery in &story.deliveries {
        let attempt = delivery.1.held.attempt;
        let earlier = greatest.range(..delivery.1.life).map(|(_, greatest)| *greatest);
        let mut before = earlier.chain(on_connection.get(&delivery.1.connection).copied());
        if let Some(higher) = before.find(|before| before.1.held.attempt > attempt) {
            let what = format!("{name}: attempt {attempt} came after attempt {}", higher.1.held.attempt);
            found.push(violation(Rule::AttemptsForward, what, [higher.0, delivery.0]));
        }
        on_connection.insert(delivery.1.connection, delivery);
        let known = greatest.entry(delivery.1.life).or_insert(delivery);
        if known.1.held.attempt < attempt {
            *known = delivery;
        }
    }
}

fn attempts_bounded(book: &Book<'_>, name: &str, story: &Story<'_>, found: &mut Vec<Violation>) {
    for delivery in &story.deliveries {
        let max = book.messages.get(delivery.1.id).map_or(0, |wanted| wanted.max_attempts);
        if delivery.1.held.attempt == 0 || (max > 0 && delivery.1.held.attempt > max) {
            let what = format!("{name}: attempt {} of {max}", delivery.1.held.attempt);
            found.push(violation(Rule::AttemptsForward, what, [delivery.0]));
        }
    }
}

/// A lease begins after the one before it has ended: by its time, or because its holder settled it.
fn one_live_lease(name: &str, story: &Story<'_>, found: &mut Vec<Violation>) {
    let mut deliveries: Vec<_> = story.deliveries.iter().collect();
    deliveries.sort_by_key(|delivery| delivery.1.held.attempt);
    for pair in deliveries.windows(2) {
        let [first, second] = pair else { continue };
        let of_first =
            || story.questions.iter().filter(|question| question.1.held.lease == first.1.held.lease);
        if of_first().any(|question| question.1.ask != Ask::Extend) {
            // Its holder asked to end it; whether that was granted before the second began is not known here.
            continue;
        }
        let extended = of_first().filter_map(|question| match question.1.step {
            Step::Granted { until_ms } => Some(until_ms),
            Step::Asking | Step::Refused => None,
        });
        let ends = extended.fold(first.1.until_ms, u64::max);
        let begins = second.1.until_ms.saturating_sub(second.1.lease_ms);
        if begins + SLACK_MS < ends {
            let what = format!("{name}: a lease began {} ms before the one before it ended", ends - begins);
            found.push(violation(Rule::OneLiveLease, what, [first.0, second.0]));
        }
    }
}

/// No lease id is given to two deliveries.
fn leases_are_new(book: &Book<'_>, found: &mut Vec<Violation>) {
    let mut given: BTreeMap<&str, u64> = BTreeMap::new();
    for story in book.stories.values() {
        for delivery in &story.deliveries {
            let held = delivery.1.held;
            if let Some(first) = given.insert(&held.lease, delivery.0) {
                let what = format!("{} was given to two deliveries", held.lease);
                found.push(violation(Rule::DeliveredOnce, what, [first, delivery.0]));
            }
        }
    }
}
