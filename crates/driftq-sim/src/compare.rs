//! The broker's state beside the model: do they tell the same story?
//!
//! Promise: it compares what the wire contract can see (messages, standings, floors, lags, runs, keys), never how it is
//! kept.

use crate::model::{Message, Model, Partition, Progress, Standing, Verdict};
use driftq_core::{DeadLetterFilter, Fingerprint, Offset, PartitionId, Pending, Scope, State, Topic};
use std::collections::BTreeMap;

/// Compares everything; the first difference is the answer.
pub(crate) fn compare(model: &Model, state: &State) -> Verdict {
    let counts = (state.topics.len(), state.groups.len(), state.runs.len(), state.keys.len());
    let known = (model.topics.len(), model.groups.len(), model.runs.len(), model.keys.len());
    if counts != known {
        return Err(format!("the broker has {counts:?} topics, groups, runs and keys, the model {known:?}"));
    }
    if (state.now, state.wall, state.applied) != (model.now, model.wall, model.applied) {
        return Err(format!("the broker is at {}, the model at {}", state.applied, model.applied));
    }
    topics(model, state)?;
    groups(model, state)?;
    runs(model, state)?;
    kinds(model, state)?;
    jobs(model, state)
}

/// Open dead letters, counted by their fingerprints.
fn kinds(model: &Model, state: &State) -> Verdict {
    let mut known: BTreeMap<Fingerprint, u64> = BTreeMap::new();
    for (_, dead) in model.dead_letters().iter().filter(|(_, dead)| dead.closed.is_none()) {
        *known.entry(dead.fingerprint.ok_or("a dead letter without a fingerprint")?).or_default() += 1;
    }
    let page = state.dead_letter_kinds(&DeadLetterFilter::default(), None, usize::MAX);
    let counted: BTreeMap<_, _> = page.items.iter().map(|kind| (kind.fingerprint, kind.count)).collect();
    if counted == known { Ok(()) } else { Err(format!("{counted:?} are counted, {known:?} are open")) }
}

fn jobs(model: &Model, state: &State) -> Verdict {
    let page = state.redrive_jobs_page(&Scope::default(), None, None, usize::MAX);
    if page.items.len() != model.jobs.len() {
        return Err(format!("the broker has {} jobs, the model {}", page.items.len(), model.jobs.len()));
    }
    for job in page.items {
        let known = model.jobs.get(&job.no).ok_or_else(|| format!("the model has no job {}", job.no))?;
        let counts = (job.matched, job.moved, job.succeeded, job.failed, job.withdrawn, job.refused);
        let refused = known.refused.len() as u64;
        let same = (known.matched, known.moved, known.succeeded, known.failed, known.withdrawn, refused);
        if counts != same || (job.status, job.waiting()) != (known.status, known.waiting()) {
            return Err(format!("job {} is {job:?}, the model says {known:?}", job.no));
        }
    }
    match model.waits_in_vain() {
        Some(tracked) => Err(format!("a job waits for {tracked:?}, which has ended")),
        None => Ok(()),
    }
}

fn topics(model: &Model, state: &State) -> Verdict {
    for (id, topic) in &state.topics {
        let known = model.topics.get(id).ok_or_else(|| format!("the model has no topic {id}"))?;
        if topic.settings().cloned().unwrap_or_default() != known.settings {
            return Err(format!("the settings of topic {} differ", topic.name));
        }
        if topic.name != known.name || topic.partitions.len() != known.partitions.len() {
            return Err(format!("topic {} differs", topic.name));
        }
        for (number, (partition, known)) in topic.partitions.iter().zip(&known.partitions).enumerate() {
            let same = (partition.next_offset().0, partition.visible_end())
                == (known.messages.len() as u64, known.visible.len() as u64);
            let order = known.visible.iter().enumerate().rev().take(4);
            let order = order.into_iter().all(|(at, seen)| partition.visible_at(at as u64) == Some(*seen));
            let open = known.messages.iter().zip(0..).filter(|(message, _)| is_open(message));
            let open: Vec<Offset> = open.map(|(_, offset)| Offset(offset)).collect();
            if !same || !order || partition.open_dead_letters().collect::<Vec<_>>() != open {
                return Err(format!("partition {number} of topic {} differs", topic.name));
            }
        }
    }
    Ok(())
}

fn is_open(message: &Message) -> bool {
    message.dead.as_ref().is_some_and(|dead| dead.closed.is_none())
}

fn groups(model: &Model, state: &State) -> Verdict {
    for (id, group) in &state.groups {
        let known = model.groups.get(id).ok_or_else(|| format!("the model has no group {id}"))?;
        let topic = state.topics.get(&group.topic).ok_or("a group without a topic")?;
        for (number, (progress, known_progress)) in (0..).zip(group.partitions.iter().zip(&known.partitions))
        {
            let number = PartitionId(number);
            let partition = &model.topics[&group.topic].partitions[usize::try_from(number.0).unwrap_or(0)];
            let place = format!("group {} of topic {}, partition {number}", group.name, topic.name);
            pending(progress, known_progress).map_err(|why| format!("{place}: {why}"))?;
            let done = |offset| known.is_done(partition, number, offset);
            floor(progress, partition, topic, number, &done).map_err(|why| format!("{place}: {why}"))?;
        }
    }
    Ok(())
}

fn pending(progress: &driftq_core::Progress, known: &Progress) -> Verdict {
    let open = known.standings.iter().filter(|(_, standing)| !matches!(standing, Standing::Settled(_)));
    let mut open = open.collect::<Vec<_>>().into_iter();
    for (offset, pending) in progress.pending() {
        let same = match (open.next(), &pending) {
            (Some((at, Standing::Leased(known))), Pending::Leased(lease)) => {
                *at == offset
                    && (known.id, &known.owner, known.until, known.attempt, known.delivered)
                        == (lease.id, &lease.owner, lease.until, lease.attempt, lease.delivered)
                    && known.history == lease.history
            }
            (Some((at, Standing::Waiting(known))), Pending::Waiting(waiting)) => {
                *at == offset
                    && (known.due, known.attempts, &known.nacked_by)
                        == (waiting.due, waiting.attempts, &waiting.nacked_by)
                    && known.history == waiting.history
            }
            _ => false,
        };
        if !same {
            return Err(format!("offset {offset} is {pending:?}, and {:?}", known.standings.get(&offset)));
        }
    }
    match open.next() {
        Some((offset, standing)) => Err(format!("offset {offset} should be {standing:?}")),
        None => Ok(()),
    }
}

fn floor(
    progress: &driftq_core::Progress,
    partition: &Partition,
    topic: &Topic,
    number: PartitionId,
    done: &dyn Fn(Offset) -> bool,
) -> Verdict {
    let end = partition.messages.len() as u64;
    let first_open = (0..end).map(Offset).find(|offset| !done(*offset)).unwrap_or(Offset(end));
    if progress.floor != first_open {
        return Err(format!("the floor is {}, the first open offset {first_open}", progress.floor));
    }
    let open = (0..end).map(Offset).filter(|offset| !done(*offset));
    let open_bytes: u64 = open
        .clone()
        .filter_map(|offset| topic.partition(number)?.entry(offset))
        .map(|entry| u64::from(entry.bytes))
        .sum();
    let bytes = topic.partition(number).map_or(0, |partition| partition.bytes);
    if progress.lag(Offset(end)) != open.count() as u64 || bytes - progress.settled_bytes != open_bytes {
        return Err(format!(
            "the lag is {} of {end}, {open_bytes} bytes are open",
            progress.lag(Offset(end))
        ));
    }
    Ok(())
}

fn runs(model: &Model, state: &State) -> Verdict {
    for (no, run) in &state.runs {
        let known = model.runs.get(no).ok_or_else(|| format!("the model has no run {no}"))?;
        let steps = run.steps.iter().map(|(name, step)| (name, &step.position)).eq(known.steps.iter());
        let same = (run.status, run.attempt, run.replay_seq, run.input, run.command)
            == (known.status, known.attempt, known.replay_seq, known.input, known.command);
        let dead = run.dead_letters.iter().map(|dead| dead.at).eq(known.dead_letters.iter().copied());
        let tries = run.replays.len() as u64 == u64::from(run.replay_seq.0) + 1;
        if !(steps && same && dead && tries) {
            return Err(format!("run {} is {run:?}, the model says {known:?}", run.id));
        }
    }
    Ok(())
}

impl Model {
    /// Messages of this group that could be handed out right now.
    pub(crate) fn deliverable(&self, id: driftq_core::GroupId) -> Option<driftq_core::MessageOf> {
        let group = self.groups.get(&id)?;
        let topic = self.topics.get(&group.topic)?;
        for (number, (progress, partition)) in (0..).zip(group.partitions.iter().zip(&topic.partitions)) {
            for offset in partition.visible.iter().skip(progress.start) {
                let of =
                    driftq_core::MessageOf { group: id, partition: PartitionId(number), offset: *offset };
                let is_free = match progress.standings.get(offset) {
                    None => true,
                    Some(Standing::Waiting(waiting)) => waiting.due <= self.now,
                    Some(Standing::Leased(_) | Standing::Settled(_)) => false,
                };
                if is_free && self.why_skipped(of) == Ok(None) {
                    return Some(of);
                }
            }
        }
        None
    }

    /// Something that should have happened by now.
    pub(crate) fn overdue(&self) -> Option<String> {
        for (id, group) in &self.groups {
            for progress in &group.partitions {
                let over = progress.standings.iter().find(
                    |(_, standing)| matches!(standing, Standing::Leased(lease) if lease.until <= self.now),
                );
                if let Some((offset, standing)) = over {
                    return Some(format!(
                        "offset {offset} of group {id} is still {standing:?} at {}",
                        self.now
                    ));
                }
            }
        }
        for topic in self.topics.values() {
            for (number, partition) in (0..).zip(&topic.partitions) {
                for (offset, message) in (0..).zip(&partition.messages) {
                    let late = message.due.is_some_and(|due| due <= self.wall)
                        && topic.is_delayed(PartitionId(number), Offset(offset));
                    let alive =
                        message.deadline.is_some_and(|deadline| deadline <= self.wall) && !message.expired;
                    if late || alive {
                        return Some(format!("message {offset} of {} is overdue: {message:?}", topic.name));
                    }
                }
            }
        }
        None
    }

    /// Work that no group has settled, for the end of a life.
    pub(crate) fn unsettled(&self) -> Option<String> {
        for group in self.groups.values() {
            let topic = self.topics.get(&group.topic)?;
            for (number, partition) in (0..).zip(&topic.partitions) {
                for offset in (0..partition.messages.len() as u64).map(Offset) {
                    if !group.is_done(partition, PartitionId(number), offset) {
                        return Some(format!(
                            "group {} has not settled {}/{number}/{offset}",
                            group.name, topic.name
                        ));
                    }
                }
            }
        }
        None
    }
}

impl Model {
    pub(crate) fn now_is(&self, monotonic: driftq_core::Millis, wall: driftq_core::WallTime) -> bool {
        self.monotonic() == monotonic && self.wall == wall
    }

    /// The record that gave a lease out, while it is the newest of its message; 0 when it is unknown.
    pub(crate) fn lease_position(&self, lease: driftq_core::LeaseId) -> driftq_core::Position {
        self.lease_positions().get(&lease).copied().unwrap_or_default()
    }

    pub(crate) fn is_leased(&self, of: driftq_core::MessageOf, lease: driftq_core::LeaseId) -> bool {
        matches!(self.standing(of), Some(Standing::Leased(held)) if held.id == lease)
    }

    /// The newest sequence number of a run's timeline.
    pub(crate) fn last_seq(&self, run: &driftq_core::RunId) -> Option<u64> {
        let topic = self.topics.get(&self.run_named(run)?.timeline)?;
        topic.partitions.first().map(|partition| partition.messages.len() as u64)
    }
}
