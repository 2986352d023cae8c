//! Defects on purpose: a simulation plants one and must find it.
//!
//! Promise: compiled only with the feature `planted`, and without effect until [`plant`] names a defect for the thread
//! that turns the writer. Each changes facts between their decision and the log, as a slip in the core would.

use driftq_core::{
    AfterFailure, Attempt, FailureCause, LeaseId, MessageAppended, MessageOf, Millis, PartitionId, Pending,
    Record, SkipReason, Skipped, State,
};
use std::cell::Cell;

macro_rules! defects {
    ($($(#[$doc:meta])* $name:ident $word:literal),* $(,)?) => {
        /// A defect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Defect { $($(#[$doc])* $name),* }

        impl Defect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }
    };
}

defects! {
    /// An ack is answered but not kept.
    AckDropped "ack-dropped",
    /// An ack settles what lies below it.
    FloorOverHole "floor-over-hole",
    /// A dead letter is appended twice.
    DeadLetterTwice "dead-letter-twice",
    /// A message is given up without a dead letter.
    DeadLetterLost "dead-letter-lost",
    /// A dead letter forgets an attempt.
    HistoryCut "history-cut",
    /// A message is given up one attempt too early.
    GivenUpEarly "given-up-early",
    /// A lease gets the id of an earlier one.
    LeaseReused "lease-reused",
    /// A lease lasts longer than asked.
    LeaseStretched "lease-stretched",
    /// Leases never end.
    LeaseEternal "lease-eternal",
    /// A redelivery counts as the first attempt.
    AttemptLost "attempt-lost",
    /// A redelivery counts twice.
    AttemptDoubled "attempt-doubled",
    /// A lease that was given back counts.
    GivenBackLost "given-back-lost",
    /// A heartbeat is answered but not kept.
    ExtendLost "extend-lost",
    /// A produce key is not kept.
    ProduceKeyLost "produce-key-lost",
    /// An acked key is not kept.
    ConsumedKeyLost "consumed-key-lost",
    /// A message is stored twice.
    StoredTwice "stored-twice",
    /// The last message of a batch is not stored.
    BatchCut "batch-cut",
    /// A message goes to the next partition.
    WrongPartition "wrong-partition",
    /// A delay is ignored.
    DelayIgnored "delay-ignored",
    /// A deadline is ignored.
    DeadlineIgnored "deadline-ignored",
    /// A backoff is ignored.
    BackoffIgnored "backoff-ignored",
    /// A backoff is doubled.
    BackoffDoubled "backoff-doubled",
    /// A redrive goes to all groups.
    RedriveToAll "redrive-to-all",
    /// A redrive forgets the retry policy.
    RedriveWithoutPolicy "redrive-without-policy",
    /// A redriven dead letter stays in the list.
    DeadLetterStays "dead-letter-stays",
    /// A dead letter keeps no fingerprint.
    FingerprintLost "fingerprint-lost",
    /// A bulk redrive is not told of an end.
    RedriveEndLost "redrive-end-lost",
    /// A bulk redrive counts no move.
    MoveUncounted "move-uncounted",
    /// A bulk redrive is faster than asked.
    JobHurries "job-hurries",
    /// A timeline misses an event.
    EventLost "event-lost",
    /// A timeline has an event twice.
    EventTwice "event-twice",
    /// A run does not end.
    EndLost "end-lost",
    /// A step's output is answered but not kept.
    StepLost "step-lost",
    /// A replay keeps steps that it should forget.
    ReplayKeepsSteps "replay-keeps-steps",
    /// A cancelled run's command stays.
    CancelledCommandStays "cancelled-command-stays",
    /// An operator's act is not told in the audit log.
    ActUntold "act-untold",
    /// Core time follows the wall clock.
    TimeFollowsWall "time-follows-wall",
}

thread_local! {
    static PLANTED: Cell<Option<Defect>> = const { Cell::new(None) };
}

/// Plants a defect for writers of this thread, or removes it.
pub fn plant(defect: Option<Defect>) {
    PLANTED.set(defect);
}

/// What becomes of a transition.
pub(crate) fn spoil(state: &State, records: Vec<Record>) -> Vec<Record> {
    let Some(defect) = PLANTED.get() else { return records };
    let count = records.len();
    let mut spoiled = Vec::with_capacity(count + 1);
    for (index, record) in records.into_iter().enumerate() {
        spoil_one(defect, state, record, index + 1 == count && count > 1, &mut spoiled);
    }
    spoiled
}

fn spoil_one(defect: Defect, state: &State, record: Record, is_last_of_many: bool, out: &mut Vec<Record>) {
    use Defect as D;
    match (defect, record) {
        (D::AckDropped, Record::Acked(fact)) if fact.of.offset.0 % 3 == 2 => {}
        (D::DeadLetterLost, Record::DeadLettered(_))
        | (D::LeaseEternal, Record::Failed(_))
        | (D::GivenBackLost, Record::GivenBack(_))
        | (D::ExtendLost, Record::Extended(_))
        | (D::StepLost, Record::StepStored(_))
        | (D::DeadLetterStays, Record::DeadLetterClosed(_))
        | (D::FingerprintLost, Record::DeadLetterMarked(_))
        | (D::RedriveEndLost, Record::RedriveEnded(_)) => {}
        (D::ActUntold, Record::MessageAppended(fact)) if is_audit(state, &fact) => {}
        (D::BatchCut, Record::MessageAppended(fact)) if is_last_of_many && fact.run.is_none() => {}
        (D::EventLost, Record::EventAppended(_)) if is_last_of_many => {}
        (D::EndLost, Record::EventAppended(fact))
            if matches!(fact.event, driftq_core::Event::Succeeded { .. }) => {}
        (D::CancelledCommandStays, Record::Skipped(fact))
            if fact.why == SkipReason::RunOver && fact.next.is_none() => {}
        (D::FloorOverHole, Record::Acked(fact)) => {
            let hole = hole_below(state, fact.of);
            out.push(Record::Acked(fact));
            out.extend(hole);
        }
        (D::DeadLetterTwice, Record::DeadLettered(fact)) => {
            let mut twin = fact.clone();
            twin.at.offset = twin.at.offset.next();
            out.extend([Record::DeadLettered(fact), Record::DeadLettered(twin)]);
        }
        (D::StoredTwice, Record::MessageAppended(fact)) if fact.key.is_none() && !is_last_of_many => {
            let mut twin = fact.clone();
            twin.at.offset = twin.at.offset.next();
            out.extend([Record::MessageAppended(fact), Record::MessageAppended(twin)]);
        }
        (D::EventTwice, Record::EventAppended(fact)) if is_last_of_many => {
            let mut twin = fact.clone();
            twin.offset = twin.offset.next();
            out.extend([Record::EventAppended(fact), Record::EventAppended(twin)]);
        }
        (defect, mut record) => {
            change(defect, state, &mut record);
            out.push(record);
        }
    }
}

/// Changes a fact in place.
fn change(defect: Defect, state: &State, record: &mut Record) {
    use Defect as D;
    match (defect, record) {
        (D::HistoryCut, Record::DeadLettered(fact)) => {
            fact.history.pop();
        }
        (D::LeaseReused, Record::Delivered(fact)) if fact.lease.serial % 4 == 0 => {
            fact.lease = LeaseId { serial: fact.lease.serial - 1, ..fact.lease };
        }
        (D::LeaseStretched, Record::Delivered(fact)) => fact.until = fact.until.after(Millis(1_000)),
        (D::AttemptLost, Record::Delivered(fact)) if fact.attempt.0 > 2 => fact.attempt = Attempt(1),
        (D::AttemptDoubled, Record::Delivered(fact)) if fact.attempt.0 > 1 => {
            fact.attempt = fact.attempt.next();
        }
        (D::ProduceKeyLost, Record::MessageAppended(fact)) => fact.key = None,
        (D::ConsumedKeyLost, Record::Acked(fact)) => fact.key = None,
        (D::WrongPartition, Record::MessageAppended(fact)) => wrong_partition(state, fact),
        (D::DelayIgnored, Record::MessageAppended(fact)) => fact.due = None,
        (D::DeadlineIgnored, Record::MessageAppended(fact)) => fact.deadline = None,
        (D::RedriveToAll, Record::MessageAppended(fact)) => fact.only_group = None,
        (D::RedriveWithoutPolicy, Record::MessageAppended(fact))
            if matches!(fact.body, driftq_core::Body::Of(_)) =>
        {
            fact.policy = None;
        }
        (D::GivenUpEarly, Record::Failed(fact)) if fact.attempt.0 > 1 => fact.then = AfterFailure::Dead,
        (D::BackoffIgnored, Record::Failed(fact)) if fact.then != AfterFailure::Dead => {
            fact.then = AfterFailure::Retry { due: fact.at };
        }
        (D::BackoffDoubled, Record::Failed(fact)) if fact.cause == FailureCause::Nack => {
            if let AfterFailure::Retry { due } = &mut fact.then {
                *due = due.after(fact.at.until(*due)).after(Millis(1));
            }
        }
        (D::ReplayKeepsSteps, Record::RunReplayed(fact)) => fact.forget_from = None,
        (D::MoveUncounted, Record::ClosingNoted(fact)) => fact.moved = None,
        (D::JobHurries, Record::RedriveJobAdvanced(fact)) => fact.due_ns -= fact.due_ns / 16,
        (D::TimeFollowsWall, Record::TimeAdvanced(fact)) => {
            let jump = state.wall.until(fact.wall);
            fact.now = fact.now.max(state.now.after(jump));
        }
        _ => {}
    }
}

fn wrong_partition(state: &State, fact: &mut MessageAppended) {
    let Some(topic) = state.topics.get(&fact.at.topic) else { return };
    if fact.run.is_some() || topic.partition_count() < 2 {
        return;
    }
    let next = PartitionId((fact.at.partition.0 + 1) % topic.partition_count());
    if let Some(partition) = topic.partition(next) {
        (fact.at.partition, fact.at.offset) = (next, partition.next_offset());
    }
}

fn is_audit(state: &State, fact: &MessageAppended) -> bool {
    state.topics.get(&fact.at.topic).is_some_and(|topic| topic.name.as_str() == driftq_core::AUDIT_TOPIC)
}

/// What an ack that lets the floor pass too far would settle with it.
fn hole_below(state: &State, of: MessageOf) -> Option<Record> {
    let progress = state.groups.get(&of.group)?.progress(of.partition)?;
    let below = progress
        .pending()
        .find(|(offset, pending)| *offset < of.offset && matches!(pending, Pending::Waiting(_)))?
        .0;
    let of = MessageOf { offset: below, ..of };
    Some(Record::Skipped(Skipped { of, why: SkipReason::KeyAcked, bytes: 0, next: None }))
}
