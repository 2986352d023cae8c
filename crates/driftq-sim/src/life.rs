//! One life: a plan from its first step to the proof that nothing is stuck.
//!
//! Promise: when the faults stop, all that was accepted is acked or dead-lettered, a fresh produce works, and a last
//! power cut takes nothing away.

use crate::actions::{group_name, topic_name};
use crate::bugs::Bug;
use crate::calls::Ask;
use crate::marks::Marks;
use crate::model::{Standing, Verdict};
use crate::plan::{Plan, Take};
use crate::world::World;
use driftq_core::{
    Ack, Claim, Command, Content, CreateTopic, Due, Millis, OwnerId, Produce, Start, WallTime,
};
use driftq_engine::{OpenConsumer, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Rounds of polling and acking until nothing may be left.
const ROUNDS_MAX: usize = 300;
/// How long a round may wait at once: longer than the longest lease, so that a dead worker's lease ends.
const ROUND_WAIT_MAX: u64 = 13 * 60 * 60 * 1000;
/// How long a job may need for its next message: it moves one a second at the least.
const JOB_WAIT: u64 = 1_000;

/// What one life came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// What went wrong, and at which step of the plan (its length: at the end).
    pub failure: Option<(usize, String)>,
    /// What it met.
    pub marks: Marks,
    /// Turns of the broker.
    pub turns: u64,
    /// Records of its log.
    pub records: u64,
    /// A digest of all facts and answers.
    pub digest: u64,
}

/// Lives a plan through.
#[must_use]
pub fn live(plan: &Plan, bug: Option<Bug>) -> Report {
    Bug::plant(bug);
    let mut step = 0;
    let mut world = None;
    let lived = catch_unwind(AssertUnwindSafe(|| live_through(plan, bug, &mut step, &mut world)));
    Bug::plant(None);
    let failure = match lived {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some((step, why)),
        Err(panic) => Some((step, format!("panic: {}", words(&*panic)))),
    };
    let mut report = Report { failure, marks: Marks::default(), turns: 0, records: 0, digest: 0 };
    if let Some(world) = world {
        report.turns = world.turns;
        report.records = world.model.applied.0;
        report.digest = world.trace.digest();
        // A world that panicked may hold a lock of the broker's: its parts are not touched any more.
        let is_broken = report.failure.as_ref().is_some_and(|(_, why)| why.starts_with("panic"));
        report.marks = world.marks.clone();
        if is_broken {
            std::mem::forget(world);
        }
    }
    report
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn live_through(plan: &Plan, bug: Option<Bug>, step: &mut usize, place: &mut Option<World>) -> Verdict {
    let world = place.insert(World::new(plan.seed, &plan.setup, bug)?);
    for (number, op) in plan.ops.iter().enumerate() {
        *step = number;
        world.act(op)?;
    }
    *step = plan.ops.len();
    end(world)
}

/// The faults stop; everything comes to its end.
fn end(world: &mut World) -> Verdict {
    world.settle()?;
    world.disk.stutter(0);
    world.make_room()?;
    world.clock.jump_wall(world.true_wall());
    world.hang_up();
    world.streams.iter_mut().for_each(|stream| {
        stream.consumer = None;
        stream.is_open = false;
    });
    world.settle()?;
    // A planned stop may still lie ahead.
    world.armed.power = true;
    world.die(None)?;
    for _ in 0..ROUNDS_MAX {
        empty_all(world)?;
        match next_event(world) {
            None if world.late.is_empty() => break,
            Some(wait) if wait > ROUND_WAIT_MAX => {
                // Delayed by a clock that went wrong for years: no lease is that long.
                let wall = world.wall();
                world.clock.jump_wall(WallTime(wall.0 + wait));
                world.settle()?;
            }
            Some(wait) => world.wait(wait.max(1))?,
            None => world.wait(5_000)?,
        }
    }
    if let Some(left) = world.model.unsettled().or_else(|| world.model.idle_job()) {
        return Err(format!("at the end, {left}"));
    }
    produce_fresh(world)?;
    world.armed.power = true;
    world.die(None)
}

/// Every group takes and acks what it can.
fn empty_all(world: &mut World) -> Verdict {
    let groups: Vec<_> = world.model.groups.keys().copied().collect();
    for id in groups {
        while world.model.deliverable(id).is_some() {
            let Some(group) = world.model.groups.get(&id) else { break };
            let topic = world.model.topics[&group.topic].name.clone();
            let open = janitor(topic, group.name.clone());
            let poll = Poll { consumer: open, wait: Millis(0), bytes_max: 4_000 };
            let before = world.in_hand.len();
            world.send(Ask::Poll(poll), Take::All, false, None);
            world.settle()?;
            if world.in_hand.len() == before {
                return Err(format!("a poll of group {id} got nothing although something is there"));
            }
            for at in before..world.in_hand.len() {
                let held = world.in_hand[at].clone();
                let claim = Claim {
                    topic: held.topic,
                    group: held.group,
                    partition: held.delivery.at.partition,
                    offset: held.delivery.at.offset,
                    owner: held.owner,
                    lease: Some(held.delivery.lease),
                };
                let ack = Ask::Command(Command::Ack(Ack { claim, result: None }));
                world.send(ack, Take::All, false, None);
            }
            world.settle()?;
        }
    }
    skip_unseen(world)
}

/// Groups in which only messages are left that they never see settle those with their next poll.
fn skip_unseen(world: &mut World) -> Verdict {
    let groups: Vec<_> = world.model.groups.values().map(|group| (group.topic, group.name.clone())).collect();
    for (topic, group) in groups {
        let topic = world.model.topics[&topic].name.clone();
        let poll = Poll { consumer: janitor(topic, group), wait: Millis(0), bytes_max: 1 };
        world.send(Ask::Poll(poll), Take::Nothing, false, None);
    }
    world.settle()
}

fn janitor(topic: driftq_core::TopicName, group: driftq_core::GroupName) -> OpenConsumer {
    OpenConsumer {
        topic,
        group,
        owner: OwnerId::parse("janitor").expect("a valid name"),
        lease: Millis(30_000),
        max_in_flight: 50,
        start: Start::Earliest,
        worker_version: None,
    }
}

/// How long until something happens by itself, if anything does.
fn next_event(world: &World) -> Option<u64> {
    let model = &world.model;
    let mut next: Option<u64> = None;
    let mut at = |wait: u64| next = Some(next.map_or(wait, |known| known.min(wait)));
    for group in model.groups.values() {
        for standing in group.partitions.iter().flat_map(|progress| progress.standings.values()) {
            match standing {
                Standing::Leased(lease) => at(lease.until.0 - model.now.0.min(lease.until.0)),
                Standing::Waiting(waiting) => at(waiting.due.0 - model.now.0.min(waiting.due.0)),
                Standing::Settled(_) => {}
            }
        }
    }
    if model.idle_job().is_some() {
        at(JOB_WAIT);
    }
    for topic in model.topics.values() {
        for (number, partition) in (0..).zip(&topic.partitions) {
            for (offset, message) in (0..).zip(&partition.messages) {
                let hidden = topic.is_delayed(driftq_core::PartitionId(number), driftq_core::Offset(offset));
                if let Some(due) = message.due.filter(|_| hidden) {
                    at(due.0.saturating_sub(model.wall.0));
                }
            }
        }
    }
    next
}

/// A message through a topic of its own, or an old one where no more topics fit.
fn produce_fresh(world: &mut World) -> Verdict {
    let fits = world.model.topics.len() < usize::try_from(world.limits.topics_max).unwrap_or(usize::MAX);
    let mut topics = world.model.topics.values();
    let known = topics.find(|topic| !topic.is_timeline() && !topic.name.is_reserved());
    let known = known.map(|topic| topic.name.clone());
    let Some(topic) = (if fits { Some(topic_name(9)) } else { known }) else { return Ok(()) };
    let create = CreateTopic::plain(topic.clone(), None);
    world.send(Ask::Command(Command::CreateTopic(create)), Take::All, false, None);
    // The topic's making is told in the audit log, which counts as a message of its own.
    world.settle()?;
    let content = Content { value: b"\"fresh\"".to_vec(), ..Content::default() }.encode();
    let produce = Produce {
        topic: topic.clone(),
        target_topic: None,
        key: String::new(),
        partition: None,
        content,
        policy: None,
        due: Due::Now,
        deadline: None,
        idempotency: None,
        tenant: None,
    };
    let before = world.model.message_count();
    world.send(Ask::Command(Command::Produce(vec![produce])), Take::All, false, None);
    world.settle()?;
    if world.model.message_count() != before + 1 {
        return Err("a fresh produce was refused".to_owned());
    }
    if fits {
        let consumer = janitor(topic, group_name(9));
        let before = world.in_hand.len();
        world.send(Ask::Poll(Poll { consumer, wait: Millis(0), bytes_max: 1 }), Take::All, false, None);
        world.settle()?;
        if world.in_hand.len() != before + 1 {
            return Err("a fresh message was not delivered".to_owned());
        }
    }
    Ok(())
}
