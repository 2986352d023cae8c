//! From a seed to a plan: which operations and faults a life has, how large its bounds are.
//!
//! Promise: each seed turns off about half of the operations and faults, so that rare ones meet; one seed in four has
//! no faults at all.

use crate::plan::{Fate, Input, Message, Op, Pick, Plan, Policy, Setup, Take, Way, Who};
use fastrand::Rng;

/// Steps of a short and of a long plan.
const OPS: (usize, usize) = (40, 1_000);
const TOPICS: u8 = 3;
/// The topic of runs' commands.
pub const COMMANDS: u8 = 4;
/// A topic of dead letters that people produce to.
const DEAD: u8 = 5;
const RUNS: u8 = 4;

/// Makes the plan of a seed.
#[must_use]
pub fn plan(seed: u64) -> Plan {
    let mut rng = Rng::with_seed(seed);
    let setup = setup(&mut rng);
    let kinds = swarm(&mut rng);
    let style = Style::new(&mut rng);
    let count = rng.usize(OPS.0..OPS.1);
    let mut ops = opening(&mut rng, &style);
    while ops.len() < count {
        let (kind, _) = kinds[weighted(&mut rng, &kinds)];
        ops.push(make(kind, &mut rng, &style));
    }
    Plan { seed, setup, ops: crate::operators::come(ops, seed) }
}

/// What all steps of one life have in common.
struct Style {
    lossy: bool,
    held: bool,
    padding: u32,
    delays: bool,
    deadlines: bool,
    keys: bool,
    policies: bool,
    long_waits: bool,
    groups: u8,
    owners: u8,
    topics: u8,
}

impl Style {
    fn new(rng: &mut Rng) -> Self {
        Self {
            lossy: rng.bool(),
            held: rng.bool(),
            padding: *pick(rng, &[0, 0, 40, 900, 1_500]),
            delays: rng.bool(),
            deadlines: rng.bool(),
            keys: rng.bool(),
            policies: rng.u8(..4) > 0,
            long_waits: rng.bool(),
            groups: rng.u8(1..=3),
            owners: rng.u8(1..=3),
            topics: rng.u8(1..=TOPICS),
        }
    }
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

fn setup(rng: &mut Rng) -> Setup {
    let hour = 60 * 60 * 1000;
    Setup {
        wall_ms: 1_700_000_000_000 + rng.u64(..1_000_000_000),
        segment_bytes: *pick(rng, &[64 << 10, 64 << 10, 128 << 10, 256 << 10]),
        reserve_bytes: *pick(rng, &[128 << 10, 256 << 10]),
        checkpoint_bytes: *pick(rng, &[500, 2_000, 10_000, 1 << 30]),
        key_window_ms: *pick(rng, &[0, 50, 3_000, 24 * hour, 24 * hour]),
        keys_max: *pick(rng, &[1, 3, 1_000, 1_000]),
        consumed_window_ms: *pick(rng, &[0, 2_000, 24 * hour, 24 * hour]),
        consumed_max: *pick(rng, &[1, 2, 1_000]),
        ack_window_ms: *pick(rng, &[100, 10 * 60_000, 10 * 60_000]),
        acks_max: *pick(rng, &[1, 2, 1_000, 1_000]),
        partition_messages_max: *pick(rng, &[None, None, None, Some(1), Some(6)]),
        partition_bytes_max: *pick(rng, &[None, None, None, Some(200), Some(2_000)]),
        idle_unused_ms: *pick(rng, &[300, 20_000, hour, hour]),
        idle_ms: *pick(rng, &[1_000, 60_000, 30 * 24 * hour]),
        groups_max: *pick(rng, &[1, 2, 100, 100]),
        topics_max: *pick(rng, &[6, 100, 100, 100]),
        auto_create: rng.u8(..4) == 0,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Topic,
    Produce,
    Open,
    Pull,
    Close,
    Poll,
    HangUp,
    Ack,
    Nack,
    Extend,
    Run,
    Events,
    Step,
    Replay,
    Cancel,
    Redrive,
    Discard,
    Job,
    Control,
    Follow,
    RunEnd,
    Look,
    Wait,
    Freeze,
    Jump,
    Crash,
    CrashAt,
    CrashAgainAt,
    FailSync,
    FailWrite,
    Stutter,
    Fill,
    Room,
    Drain,
    Restart,
}

const ALWAYS: [(Kind, u32); 3] = [(Kind::Produce, 16), (Kind::Poll, 12), (Kind::Wait, 8)];
const OPERATIONS: [(Kind, u32); 21] = [
    (Kind::Topic, 2),
    (Kind::Open, 4),
    (Kind::Pull, 14),
    (Kind::Close, 1),
    (Kind::HangUp, 1),
    (Kind::Ack, 18),
    (Kind::Nack, 12),
    (Kind::Extend, 5),
    (Kind::Run, 7),
    (Kind::Events, 4),
    (Kind::Step, 7),
    (Kind::Replay, 6),
    (Kind::Cancel, 2),
    (Kind::Redrive, 6),
    (Kind::Discard, 3),
    (Kind::Job, 5),
    (Kind::Control, 3),
    (Kind::Follow, 5),
    (Kind::RunEnd, 2),
    (Kind::Look, 2),
    (Kind::Freeze, 2),
];
const FAULTS: [(Kind, u32); 11] = [
    (Kind::Jump, 2),
    (Kind::Crash, 3),
    (Kind::CrashAt, 3),
    (Kind::CrashAgainAt, 2),
    (Kind::FailSync, 1),
    (Kind::FailWrite, 1),
    (Kind::Stutter, 1),
    (Kind::Fill, 2),
    (Kind::Room, 2),
    (Kind::Drain, 1),
    (Kind::Restart, 2),
];

fn swarm(rng: &mut Rng) -> Vec<(Kind, u32)> {
    let mut kinds = ALWAYS.to_vec();
    kinds.extend(OPERATIONS.iter().filter(|_| rng.u8(..5) > 1));
    if rng.u8(..4) > 0 {
        kinds.extend(FAULTS.iter().filter(|_| rng.bool()));
    }
    kinds
}

fn weighted(rng: &mut Rng, kinds: &[(Kind, u32)]) -> usize {
    let total: u32 = kinds.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.u32(..total);
    kinds
        .iter()
        .position(|(_, weight)| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        })
        .unwrap_or(0)
}

/// The topics that most lives have.
fn opening(rng: &mut Rng, style: &Style) -> Vec<Op> {
    let topic = |topic, partitions| Op::Topic { topic, partitions, fate: Fate::default() };
    let mut ops: Vec<Op> = (0..style.topics).map(|t| topic(t, *pick(rng, &[0, 1, 2, 3]))).collect();
    if rng.u8(..4) == 0 {
        ops.push(topic(COMMANDS, rng.u32(1..3)));
    }
    if rng.u8(..6) == 0 {
        ops.push(topic(DEAD, rng.u32(1..3)));
    }
    ops
}

fn make(kind: Kind, rng: &mut Rng, style: &Style) -> Op {
    match kind {
        Kind::Topic => {
            let topic = *pick(rng, &[0, 1, 2, 3, DEAD, 10 + RUNS]);
            Op::Topic { topic, partitions: rng.u32(..4), fate: fate(rng, style) }
        }
        Kind::Produce => {
            let count = *pick(rng, &[1, 1, 1, 1, 2, 3]);
            let messages = (0..count).map(|_| message(rng, style)).collect();
            Op::Produce { messages, fate: fate(rng, style) }
        }
        Kind::Open | Kind::Pull | Kind::Close | Kind::Poll | Kind::HangUp => consume(kind, rng, style),
        Kind::Ack | Kind::Nack | Kind::Extend => settle(kind, rng, style),
        Kind::Run | Kind::Events | Kind::Step | Kind::Replay | Kind::Cancel | Kind::Follow | Kind::RunEnd => {
            run(kind, rng, style)
        }
        Kind::Redrive => Op::Redrive {
            pick: rng.u32(..64),
            value: rng.u8(..4) == 0,
            target: (rng.u8(..5) == 0).then(|| topic(rng, style)),
            all_groups: rng.u8(..4) == 0,
            key: (rng.u8(..3) == 0).then(|| rng.u8(..2)),
            fate: fate(rng, style),
        },
        Kind::Discard => Op::Discard { pick: rng.u32(..64), fate: fate(rng, style) },
        Kind::Job => Op::Job {
            pick: rng.u32(..64),
            filter: rng.u8(..8),
            rate: *pick(rng, &[1, 20, 1_000, 10_000]),
            canary: (rng.u8(..3) == 0).then(|| rng.u64(1..4)),
            percent: (rng.u8(..3) == 0).then(|| rng.u32(1..101)),
            key: (rng.u8(..4) == 0).then(|| rng.u8(..2)),
            fate: fate(rng, style),
        },
        Kind::Control => Op::Control { pick: rng.u32(..64), act: rng.u8(..6), fate: fate(rng, style) },
        Kind::Look => Op::Look,
        Kind::Wait => Op::Wait { ms: wait(rng, style) },
        Kind::Freeze => Op::Freeze { ms: wait(rng, style) * 3 },
        Kind::Jump
        | Kind::Crash
        | Kind::CrashAt
        | Kind::CrashAgainAt
        | Kind::FailSync
        | Kind::FailWrite
        | Kind::Stutter
        | Kind::Fill
        | Kind::Room
        | Kind::Drain
        | Kind::Restart => fault(kind, rng),
    }
}

fn fate(rng: &mut Rng, style: &Style) -> Fate {
    let way = match rng.u8(..20) {
        0 if style.lossy => Way::Twice,
        1 if style.lossy => Way::Late(rng.u64(..5_000)),
        _ => Way::Once,
    };
    Fate { way, deaf: style.lossy && rng.u8(..12) == 0, hold: style.held && rng.u8(..3) == 0 }
}

fn topic(rng: &mut Rng, style: &Style) -> u8 {
    match rng.u8(..40) {
        0 => 3,
        1 => DEAD,
        2 => COMMANDS,
        3 => 10 + rng.u8(..RUNS),
        _ => rng.u8(..style.topics),
    }
}

fn message(rng: &mut Rng, style: &Style) -> Message {
    Message {
        topic: topic(rng, style),
        target: (rng.u8(..15) == 0).then(|| topic(rng, style)),
        key: rng.u8(..5),
        partition: (rng.u8(..8) == 0).then(|| rng.u32(..4)),
        padding: if style.padding > 0 { rng.u32(..style.padding) } else { 0 },
        policy: (style.policies && rng.u8(..3) > 0).then(|| policy(rng)),
        delay_ms: (style.delays && rng.u8(..4) == 0).then(|| rng.u64(..4_000)),
        as_time: rng.bool(),
        deadline_ms: (style.deadlines && rng.u8(..4) == 0).then(|| rng.i64(-200..6_000)),
        idempotency: (style.keys && rng.bool()).then(|| rng.u8(..4)),
        fingerprint: (rng.u8(..6) == 0).then(|| rng.u8(..2)),
        tenant: if rng.u8(..5) == 0 { rng.u8(..3) } else { 0 },
    }
}

fn policy(rng: &mut Rng) -> Policy {
    Policy {
        max_attempts: *pick(rng, &[0, 1, 1, 2, 2, 3, 5]),
        backoff_ms: *pick(rng, &[0, 0, 1, 100, 2_000]),
        max_backoff_ms: *pick(rng, &[0, 0, 150, 3_000]),
        jitter_ms: *pick(rng, &[0, 0, 30, 1_000]),
    }
}

fn wait(rng: &mut Rng, style: &Style) -> u64 {
    match rng.u8(..8) {
        0 => rng.u64(1..60),
        1 | 2 if style.long_waits => rng.u64(1..4_000_000),
        3 => rng.u64(1..40_000),
        _ => rng.u64(1..4_000),
    }
}

fn lease(rng: &mut Rng) -> u64 {
    *pick(rng, &[1, 100, 500, 2_000, 2_000, 10_000, 60_000, u64::MAX])
}

fn consume(kind: Kind, rng: &mut Rng, style: &Style) -> Op {
    let (bytes, stream) = (*pick(rng, &[1, 300, 1 << 20, 1 << 20]), rng.u32(..64));
    let take = *pick(rng, &[Take::All, Take::All, Take::All, Take::All, Take::First, Take::Nothing]);
    let place = (consumed_topic(rng, style), rng.u8(..style.groups), rng.u8(..style.owners));
    let (topic, group, owner) = place;
    match kind {
        Kind::Open => Op::Open {
            topic,
            group,
            owner,
            lease_ms: lease(rng),
            max_in_flight: *pick(rng, &[1, 1, 2, 100]),
            latest: rng.u8(..4) == 0,
        },
        Kind::Pull => {
            let max = *pick(rng, &[1, 1, 3, 100]);
            Op::Pull { stream, max, bytes, take, deaf: style.lossy && rng.u8(..12) == 0 }
        }
        Kind::Close => Op::Close { stream },
        Kind::HangUp => Op::HangUp,
        _ => Op::Poll {
            topic,
            group,
            owner,
            lease_ms: lease(rng),
            max: *pick(rng, &[1, 1, 2, 10]),
            bytes,
            wait_ms: *pick(rng, &[0, 0, 0, 500, 20_000]),
            take,
            fate: fate(rng, style),
        },
    }
}

fn consumed_topic(rng: &mut Rng, style: &Style) -> u8 {
    match rng.u8(..10) {
        0 => topic(rng, style),
        1..=4 => COMMANDS,
        _ => rng.u8(..style.topics),
    }
}

fn claim(rng: &mut Rng) -> Pick {
    let who = match rng.u8(..12) {
        0 | 1 => Who::Former,
        2 => Who::Stranger,
        3 if rng.bool() => Who::Nobody,
        _ => Who::Holder,
    };
    Pick { pick: rng.u32(..64), who, lease: rng.u8(..3) > 0 }
}

fn settle(kind: Kind, rng: &mut Rng, style: &Style) -> Op {
    let (claim, fate) = (claim(rng), fate(rng, style));
    match kind {
        Kind::Ack => Op::Ack { claim, result: rng.u8(..6) == 0, fate },
        Kind::Nack => {
            let retry_after_ms = (rng.u8(..6) == 0).then(|| rng.u64(..3_000));
            Op::Nack { claim, retry_after_ms, retryable: rng.u8(..6) > 0, fate }
        }
        _ => Op::Extend { claim, lease_ms: lease(rng), fate },
    }
}

fn run(kind: Kind, rng: &mut Rng, style: &Style) -> Op {
    let (run, fate) = (rng.u8(..RUNS), fate(rng, style));
    match kind {
        Kind::Run => Op::Run {
            run,
            topic: if rng.u8(..8) == 0 { rng.u8(..style.topics) } else { COMMANDS },
            group: if rng.u8(..4) == 0 { rng.u8(..style.groups) } else { 0 },
            key: (style.keys && rng.u8(..3) == 0).then(|| rng.u8(..3)),
            policy: policy(rng),
            delay_ms: (style.delays && rng.u8(..5) == 0).then(|| rng.u64(..3_000)),
            fate,
        },
        Kind::Events => {
            let fence = rng.bool().then(|| claim(rng));
            Op::Events { run, count: rng.u32(1..4), fence, fate }
        }
        Kind::Step => Op::Step { run, claim: claim(rng), step: rng.u8(..3), fate },
        Kind::Replay => Op::Replay {
            run,
            input: *pick(rng, &[Input::Same, Input::Same, Input::Whole, Input::Patched, Input::StalePatch]),
            from_step: rng.bool().then(|| rng.u8(..3)),
            fresh: rng.u8(..5) == 0,
            fate,
        },
        Kind::Cancel => Op::Cancel { run, fate },
        Kind::Follow => Op::Follow {
            run,
            after: rng.u64(..20),
            max: *pick(rng, &[1, 5, 1_000]),
            bytes: *pick(rng, &[1, 1_000, 1 << 20]),
        },
        _ => Op::RunEnd { run, wait_ms: *pick(rng, &[0, 500, 20_000]) },
    }
}

fn fault(kind: Kind, rng: &mut Rng) -> Op {
    let power = rng.bool();
    match kind {
        Kind::Jump => {
            let ten_years = 10 * 365 * 24 * 60 * 60 * 1000;
            let ms = if rng.bool() { rng.i64(-5_000..5_000) } else { rng.i64(-ten_years..ten_years) };
            Op::Jump { ms }
        }
        Kind::Crash => Op::Crash { power },
        Kind::CrashAt => Op::CrashAt { n: rng.u64(1..40), power },
        Kind::CrashAgainAt => Op::CrashAgainAt { n: rng.u64(1..80) },
        Kind::FailSync => Op::FailSync { n: rng.u64(1..12) },
        Kind::FailWrite => Op::FailWrite { n: rng.u64(1..12) },
        Kind::Stutter => Op::Stutter { n: *pick(rng, &[0, 2, 10]) },
        Kind::Fill => Op::Fill { spare_bytes: *pick(rng, &[0, 500, 100_000]) },
        Kind::Room => Op::Room,
        Kind::Drain => Op::Drain,
        _ => Op::Restart,
    }
}
