//! Each sum's scene: a state that gets many of one thing.

use driftq_core::*;

use crate::Sum;
use crate::world::{COMMANDS, TOPIC, World, group, message, topic};

/// How many of a thing a scene makes.
const MANY: u64 = 100_000;
/// How many of what costs more time to make.
const SOME: u64 = 20_000;
/// Acks that a group's partition remembers.
const ACKS: u64 = 60_000;

const QUEUED: usize = 32;
const HELD: usize = 160;
const KEY: usize = 96;
const TOPIC_EMPTY: usize = 400;
const GROUP: usize = 300;
const ACK: usize = 32;
const RUN: usize = 700;

/// Measures every sum; `allocated` tells how many bytes are in use.
pub(crate) fn all(allocated: &dyn Fn() -> usize) -> Vec<Sum> {
    let mut sums = messages(allocated);
    sums.push(mixed_leases(allocated));
    sums.push(delayed(allocated));
    sums.push(keyed(allocated));
    sums.push(acks(allocated));
    sums.extend(topics_and_groups(allocated));
    sums.push(ended_runs(allocated));
    sums
}

/// Bytes that each of `count` things costs which `make` makes.
fn each(allocated: &dyn Fn() -> usize, count: u64, make: impl FnOnce()) -> usize {
    let before = allocated();
    make();
    allocated().saturating_sub(before) / usize::try_from(count).unwrap_or(usize::MAX)
}

fn messages(allocated: &dyn Fn() -> usize) -> Vec<Sum> {
    let mut world = World::new();
    let queued = each(allocated, MANY, || (0..MANY).for_each(|_| world.produce(message())));
    let leased = each(allocated, MANY, || {
        (0..MANY / 1_000).for_each(|_| drop(world.lease(TOPIC, 1_000, Millis(60_000))));
    });
    let failed = each(allocated, MANY, || {
        (0..MANY).for_each(|offset| world.nack(offset, Millis(1 + offset * 7_919 % 50_000)));
    });
    vec![
        Sum { name: "queued message", bytes: queued, bytes_max: QUEUED },
        Sum { name: "leased message", bytes: leased, bytes_max: HELD },
        Sum { name: "message that failed once and waits", bytes: leased + failed, bytes_max: HELD },
    ]
}

/// Leases of many lengths, of which every other one is settled, in no order.
fn mixed_leases(allocated: &dyn Fn() -> usize) -> Sum {
    let mut world = World::new();
    (0..MANY).for_each(|_| world.produce(message()));
    let bytes = each(allocated, MANY / 2, || {
        for turn in 0..MANY / 100 {
            drop(world.lease(TOPIC, 100, Millis(10_000 + turn * 7_919 % 600_000)));
        }
        // An ack is remembered; that sum is another one. What is given back for good leaves nothing.
        for step in 0..MANY {
            let offset = step * 7_919 % MANY;
            if offset.is_multiple_of(2) {
                world.ack(TOPIC, offset);
            }
        }
    });
    let bytes = bytes.saturating_sub(ACK);
    Sum { name: "leased message, others settled in any order", bytes, bytes_max: HELD }
}

fn delayed(allocated: &dyn Fn() -> usize) -> Sum {
    let mut world = World::new();
    let bytes = each(allocated, MANY, || {
        for number in 0..MANY {
            let due = Due::After(Millis(1_000 + number * 7_919 % 600_000));
            world.produce(Produce { due, ..message() });
        }
    });
    Sum { name: "delayed message", bytes, bytes_max: HELD }
}

fn keyed(allocated: &dyn Fn() -> usize) -> Sum {
    let mut world = World::new();
    let bytes = each(allocated, MANY, || {
        for number in 0..MANY {
            let key = IdempotencyKey { tenant: String::new(), key: number.to_string(), fingerprint: None };
            world.produce(Produce { idempotency: Some(key), ..message() });
        }
    });
    Sum { name: "queued message with a live key", bytes, bytes_max: QUEUED + KEY }
}

fn acks(allocated: &dyn Fn() -> usize) -> Sum {
    let mut world = World::new();
    (0..ACKS).for_each(|_| world.produce(message()));
    let bytes = each(allocated, ACKS, || {
        for offset in 0..ACKS {
            drop(world.lease(TOPIC, 1, Millis(60_000)));
            world.ack(TOPIC, offset);
        }
    });
    Sum { name: "remembered ack", bytes, bytes_max: ACK }
}

fn topics_and_groups(allocated: &dyn Fn() -> usize) -> Vec<Sum> {
    let mut world = World::new();
    let name = |number: u64| format!("topic-number-{number:08}");
    let topics = each(allocated, SOME, || (0..SOME).for_each(|number| world.create_topic(&name(number))));
    let groups = each(allocated, SOME, || {
        for number in 0..SOME {
            world.open_group(&name(number));
        }
    });
    vec![
        Sum { name: "empty topic", bytes: topics, bytes_max: TOPIC_EMPTY },
        Sum { name: "group of one partition", bytes: groups, bytes_max: GROUP },
    ]
}

/// A run with 13 events and 4 steps, its command that is kept, and the ack that ended it.
fn ended_runs(allocated: &dyn Fn() -> usize) -> Sum {
    let mut world = World::new();
    let bytes = each(allocated, SOME, || (0..SOME).for_each(|number| run_to_its_end(&mut world, number)));
    Sum { name: "ended run, its timeline, command and ack", bytes, bytes_max: RUN + QUEUED + ACK }
}

fn run_to_its_end(world: &mut World, number: u64) {
    let run_id = RunId::parse(&format!("run_0198f0a2b3c47d5e8f90{number:012}")).expect("a run id");
    world.ask(Command::CreateRun(Box::new(CreateRun {
        run_id: run_id.clone(),
        workflow: WorkflowName::parse("demo").expect("a workflow"),
        input: b"{}".to_vec(),
        idempotency: None,
        tenant: None,
        topic: topic(COMMANDS),
        group: group(),
        policy: RetryPolicy { max_attempts: 5, ..RetryPolicy::default() },
        due: Due::Now,
        tags: Vec::new(),
    })));
    let held = world.lease(COMMANDS, 1, Millis(60_000)).remove(0);
    let event = WorkerEvent { json: b"{}".to_vec(), ts: None };
    let events = vec![event; 6];
    world.ask(Command::AppendEvents(AppendEvents {
        run_id: run_id.clone(),
        events,
        lease: Some(held.lease),
    }));
    for step in ["fetch_input", "transform", "tool_call", "finalize"] {
        world.ask(Command::StoreStep(Box::new(StoreStep {
            run_id: run_id.clone(),
            step: StepName::parse(step).expect("a step"),
            lease: held.lease,
            output: b"1".to_vec(),
            duration: None,
        })));
    }
    world.ack(COMMANDS, number);
}
