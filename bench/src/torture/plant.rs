//! Planted faults: a ledger changed so that one promise looks broken. A checker that misses one proves nothing.

use driftq_client::api::RunStatus;

use super::{
    Rule,
    ledger::{Ask, Fact, Held, Line},
};

/// A fault that can be planted.
#[derive(Clone, Copy, Debug)]
pub struct Plant {
    /// What it looks like.
    pub name: &'static str,
    /// The promise that it breaks.
    pub breaks: Rule,
    change: fn(&mut Vec<Line>) -> Option<()>,
}

/// All faults that can be planted.
pub const PLANTS: [Plant; 14] = [
    Plant { name: "a stored message is gone", breaks: Rule::NothingLost, change: lose },
    Plant { name: "a key is stored twice", breaks: Rule::StoredOnce, change: store_twice },
    Plant { name: "a message nobody sent", breaks: Rule::NoGhost, change: invent },
    Plant { name: "a hole in the offsets", breaks: Rule::OffsetsWithoutGap, change: skip_offset },
    Plant { name: "a dead letter twice", breaks: Rule::EverythingSettled, change: bury_twice },
    Plant { name: "an acked message that comes again", breaks: Rule::AckedStaysAcked, change: redeliver },
    Plant { name: "an attempt delivered twice", breaks: Rule::DeliveredOnce, change: deliver_twice },
    Plant { name: "an attempt that falls", breaks: Rule::AttemptsForward, change: fall_back },
    Plant { name: "two live leases", breaks: Rule::OneLiveLease, change: lease_early },
    Plant { name: "a timeline with a gap", breaks: Rule::TimelineWithoutGap, change: drop_event },
    Plant { name: "two terminal events", breaks: Rule::EndsOnce, change: end_twice },
    Plant {
        name: "an event that changes after it was seen",
        breaks: Rule::SeenStaysSeen,
        change: |lines| rewrite_event(lines),
    },
    Plant { name: "a result that is gone", breaks: Rule::RunKept, change: |lines| lose_result(lines) },
    Plant { name: "a group that is never served", breaks: Rule::Alive, change: |lines| starve(lines) },
];

impl Plant {
    /// The ledger with the fault in it; `None` when it has no place for it.
    #[must_use]
    pub fn apply(&self, lines: &[Line]) -> Option<Vec<Line>> {
        let mut changed = lines.to_vec();
        (self.change)(&mut changed).map(|()| changed)
    }
}

fn position(lines: &[Line], wanted: impl Fn(&Fact) -> bool) -> Option<usize> {
    lines.iter().position(|line| wanted(&line.fact))
}

fn add(lines: &mut Vec<Line>, fact: Fact) -> Option<()> {
    let at_us = lines.last()?.at_us;
    lines.push(Line { at_us, fact });
    Some(())
}

fn lose(lines: &mut Vec<Line>) -> Option<()> {
    let produced = position(lines, |fact| matches!(fact, Fact::Produced { .. }))?;
    let Fact::Produced { id, .. } = lines.get(produced)?.fact.clone() else { return None };
    lines.retain(|line| !matches!(&line.fact, Fact::Kept { id: kept, .. } if *kept == id));
    Some(())
}

/// The last message of its partition, so that one more behind it leaves no gap.
fn last_kept(lines: &[Line]) -> Option<Fact> {
    let kept = lines.iter().rev().map(|line| &line.fact);
    kept.into_iter().find(|fact| matches!(fact, Fact::Kept { .. })).cloned()
}

fn store_twice(lines: &mut Vec<Line>) -> Option<()> {
    let Fact::Kept { id, mut at } = last_kept(lines)? else { return None };
    at.offset += 1;
    add(lines, Fact::Kept { id, at })
}

fn invent(lines: &mut Vec<Line>) -> Option<()> {
    let Fact::Kept { mut at, .. } = last_kept(lines)? else { return None };
    at.offset += 1;
    add(lines, Fact::Kept { id: "nobody-0".to_owned(), at })
}

fn skip_offset(lines: &mut Vec<Line>) -> Option<()> {
    let Fact::Kept { id, mut at } = last_kept(lines)? else { return None };
    at.offset += 2;
    add(lines, Fact::Kept { id, at })
}

fn bury_twice(lines: &mut Vec<Line>) -> Option<()> {
    let dead = position(lines, |fact| matches!(fact, Fact::DeadLetter { .. }))?;
    let fact = lines.get(dead)?.fact.clone();
    add(lines, fact)
}

fn first_ack(lines: &[Line]) -> Option<Held> {
    lines.iter().find_map(|line| match &line.fact {
        Fact::Granted { ask: Ask::Ack, held, .. } => Some(held.clone()),
        _ => None,
    })
}

/// The delivery that a lease is from.
fn delivery_of(lines: &[Line], held: &Held) -> Option<Fact> {
    let of = |fact: &&Fact| matches!(fact, Fact::Delivered { held: other, .. } if other.lease == held.lease);
    lines.iter().map(|line| &line.fact).find(of).cloned()
}

fn redeliver(lines: &mut Vec<Line>) -> Option<()> {
    let acked = first_ack(lines)?;
    let mut fact = delivery_of(lines, &acked)?;
    if let Fact::Delivered { held, until_ms, .. } = &mut fact {
        held.attempt += 1;
        held.lease.push_str("-again");
        *until_ms += 3_600_000;
    }
    add(lines, fact)
}

fn deliver_twice(lines: &mut Vec<Line>) -> Option<()> {
    let acked = first_ack(lines)?;
    let mut fact = delivery_of(lines, &acked)?;
    if let Fact::Delivered { connection, .. } = &mut fact {
        *connection += 1_000_000;
    }
    add(lines, fact)
}

fn fall_back(lines: &mut Vec<Line>) -> Option<()> {
    let second = position(lines, |fact| matches!(fact, Fact::Delivered { held, .. } if held.attempt > 1))?;
    let mut fact = lines.get(second)?.fact.clone();
    if let Fact::Delivered { held, life, connection, .. } = &mut fact {
        held.attempt -= 1;
        held.lease.push_str("-later");
        *life += 1_000_000;
        *connection += 1_000_000;
    }
    add(lines, fact)
}

fn lease_early(lines: &mut Vec<Line>) -> Option<()> {
    let is_settled = |lease: &str| {
        lines.iter().any(|line| matches!(&line.fact, Fact::Asking { held, .. } if held.lease == lease))
    };
    let mut fact = lines.iter().map(|line| &line.fact).find_map(|fact| match fact {
        Fact::Delivered { held, .. } if !is_settled(&held.lease) => Some(fact.clone()),
        _ => None,
    })?;
    if let Fact::Delivered { held, connection, lease_ms, until_ms, .. } = &mut fact {
        held.attempt += 1;
        held.lease.push_str("-early");
        *connection += 1_000_000;
        // It begins half a lease before the one it follows has ended.
        *until_ms += *lease_ms / 2;
    }
    let Fact::Delivered { held, .. } = &fact else { return None };
    // The real next attempt would hide it.
    let (at, group, attempt) = (held.at.clone(), held.group.clone(), held.attempt);
    lines.retain(|line| {
        !matches!(&line.fact, Fact::Delivered { held, .. }
            if held.at == at && held.group == group && held.attempt >= attempt)
    });
    add(lines, fact)
}

fn drop_event(lines: &mut Vec<Line>) -> Option<()> {
    let second = position(lines, |fact| matches!(fact, Fact::TimelineEvent { event, .. } if event.seq == 2))?;
    lines.remove(second);
    Some(())
}

fn is_end(kind: &str) -> bool {
    let ends = [RunStatus::Succeeded, RunStatus::Failed, RunStatus::Cancelled];
    ends.iter().any(|status| kind.strip_prefix("run.") == Some(status.as_str()))
}

/// The end of a run whose timeline ends with it, once more.
fn end_twice(lines: &mut Vec<Line>) -> Option<()> {
    let end =
        position(lines, |fact| matches!(fact, Fact::TimelineEvent { event, .. } if is_end(&event.kind)))?;
    let Fact::TimelineEvent { run, mut event } = lines.get(end)?.fact.clone() else { return None };
    let of_run = |line: &&Line| matches!(&line.fact, Fact::TimelineEvent { run: other, .. } if *other == run);
    event.seq = lines.iter().filter(of_run).count() as u64 + 1;
    add(lines, Fact::TimelineEvent { run, event })
}

fn rewrite_event(lines: &mut [Line]) -> Option<()> {
    let seen = position(lines, |fact| matches!(fact, Fact::EventSeen { .. }))?;
    if let Fact::EventSeen { event, .. } = &mut lines.get_mut(seen)?.fact {
        event.hash = !event.hash;
    }
    Some(())
}

fn lose_result(lines: &mut [Line]) -> Option<()> {
    let acked = position(lines, |fact| matches!(fact, Fact::RunAcked { .. }))?;
    if let Fact::RunAcked { attempt, .. } = &mut lines.get_mut(acked)?.fact {
        *attempt += 1_000;
    }
    Some(())
}

fn starve(lines: &mut [Line]) -> Option<()> {
    let group = position(lines, |fact| matches!(fact, Fact::GroupFound { .. }))?;
    if let Fact::GroupFound { lag, .. } = &mut lines.get_mut(group)?.fact {
        *lag += 1;
    }
    Some(())
}
