//! The checker: a ledger against the broker's promises.
//!
//! Promise: it reads the ledger and nothing else. An unanswered request counts as "once or not at all". Each violation
//! names the promise and the lines that show it.

mod deliveries;
mod messages;
mod runs;

use super::{book::Book, ledger::Line};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// Which promise.
    pub rule: Rule,
    /// What happened.
    pub what: String,
    /// The numbers of the lines that show it, from 1.
    pub lines: Vec<u64>,
}

/// The promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// What was answered with a 2xx is there.
    NothingLost,
    /// A key is stored once.
    StoredOnce,
    /// Nothing is there that nobody sent, and nothing seen is unseen.
    NoGhost,
    /// Offsets grow by one.
    OffsetsWithoutGap,
    /// Every message ends: acked, or a dead letter, once.
    EverythingSettled,
    /// After a 2xx ack a message does not come again.
    AckedStaysAcked,
    /// An attempt is delivered once, and so is a lease.
    DeliveredOnce,
    /// Attempts never fall, and never exceed what the producer allows.
    AttemptsForward,
    /// A message has one live lease.
    OneLiveLease,
    /// A timeline is 1..n.
    TimelineWithoutGap,
    /// A replay ends once.
    EndsOnce,
    /// What a reader of a timeline saw stays as it was.
    SeenStaysSeen,
    /// Runs, results, events and steps that were answered with a 2xx are there, once.
    RunKept,
    /// The server starts, stops and drains.
    Alive,
}

/// Looks for broken promises.
#[must_use]
pub fn check(lines: &[Line]) -> Vec<Violation> {
    let book = Book::of(lines);
    let mut found = Vec::new();
    messages::check(&book, &mut found);
    deliveries::check(&book, &mut found);
    runs::check(&book, &mut found);
    alive(&book, &mut found);
    found
}

fn alive(book: &Book<'_>, found: &mut Vec<Violation>) {
    for stuck in &book.stuck {
        found.push(violation(Rule::Alive, stuck.1.to_owned(), [stuck.0]));
    }
    for stop in &book.bad_stops {
        let what = match stop.1 {
            Some(code) => format!("a SIGTERM ended in exit code {code}"),
            None => "a SIGTERM did not end it in order".to_owned(),
        };
        found.push(violation(Rule::Alive, what, [stop.0]));
    }
    for refused in &book.refused {
        found.push(violation(Rule::Alive, format!("{} was refused for good", refused.1), [refused.0]));
    }
    for lag in &book.lag {
        let (topic, group, lag_left) = lag.1;
        if lag_left > 0 {
            found.push(violation(
                Rule::Alive,
                format!("{lag_left} messages of {topic} were never handed to {group}"),
                [lag.0],
            ));
        }
    }
}

fn violation(rule: Rule, what: impl Into<String>, lines: impl IntoIterator<Item = u64>) -> Violation {
    Violation { rule, what: what.into(), lines: lines.into_iter().collect() }
}
