//! A clock that is moved by hand: nothing happens until it moves, and then everything that is due.

use crate::harness::{claim, consumer, message, told, topic};
use driftq_core::*;
use driftq_engine::{Broker, DiskCheckpoints, EngineOptions, HandClock, OpenConsumer, Poll, Writer};
use driftq_log::{FaultyDisk, Wal, WalOptions};
use futures_util::FutureExt as _;
use std::time::Duration;

const MINUTE: u64 = 60 * 1000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

struct World {
    disk: FaultyDisk,
    writer: Writer<Wal<FaultyDisk>, DiskCheckpoints<FaultyDisk>, HandClock>,
    broker: Broker,
}

impl World {
    fn on(disk: FaultyDisk) -> Self {
        let options = WalOptions { segment_bytes: 4 << 20, reserve_bytes: 4 << 20, ..WalOptions::default() };
        let (log, _) = Wal::open(disk.clone(), options).expect("the log opens");
        let checkpoints = DiskCheckpoints::new(disk.clone());
        let (writer, _) = Writer::open(log, checkpoints, HandClock::new(), EngineOptions::default())
            .expect("the engine opens");
        let broker = writer.broker();
        Self { disk, writer, broker }
    }

    fn ask<T>(&mut self, ask: impl AsyncFnOnce(Broker) -> T) -> T {
        let mut future = Box::pin(ask(self.broker.clone()));
        if let Some(answer) = future.as_mut().now_or_never() {
            return answer;
        }
        for _ in 0..10 {
            self.writer.step().expect("the writer goes on");
            if let Some(answer) = future.as_mut().now_or_never() {
                return answer;
            }
        }
        panic!("no answer")
    }

    fn topic(&mut self, name: &str) {
        let create = CreateTopic::plain(topic(name), None);
        self.ask(async |broker| broker.create_topic(create).await).expect("made");
    }

    fn produce(&mut self, message: Produce) {
        self.ask(async |broker| broker.produce(vec![message]).await).expect("stored");
    }

    /// Offsets and attempts of what is due.
    fn poll(&mut self, name: &str) -> Vec<(u64, u32)> {
        let poll = Poll { consumer: consumer(name, "ann", 10), wait: Millis(0), bytes_max: u64::MAX };
        let mut taken = self.ask(async |broker| broker.poll(poll).await).expect("polled");
        let told = told(&taken);
        taken.take_all();
        told
    }

    fn nack(&mut self, name: &str, offset: u64, retry_after: u64) {
        let nack = Nack {
            claim: claim(name, "ann", offset),
            error: ErrorInfo::default(),
            retry_after: Some(Millis(retry_after)),
            retryable: true,
        };
        self.ask(async |broker| broker.nack(nack).await).expect("failed");
    }

    fn pass(&mut self, ms: u64) -> WallTime {
        self.ask(async |broker| broker.advance(Millis(ms)).await).expect("passed")
    }

    fn wall(&self) -> WallTime {
        self.writer.state().wall
    }
}

#[test]
fn nothing_happens_until_time_is_moved_and_then_all_that_is_due() {
    let mut world = World::on(FaultyDisk::new(1));
    world.topic("orders");
    world.produce(message("orders", "m0"));
    assert_eq!(world.poll("orders"), [(0, 1)]);
    world.nack("orders", 0, 3 * DAY);
    let before = world.wall();
    assert_eq!(world.pass(3 * DAY - 1), before.after(Millis(3 * DAY - 1)));
    assert_eq!(world.poll("orders"), []);
    world.pass(1);
    assert_eq!(world.poll("orders"), [(0, 2)]);
    world.pass(1_999);
    assert_eq!(world.poll("orders"), [], "the lease stands");
    world.pass(1);
    assert_eq!(world.poll("orders"), [(0, 3)], "the lease is over");
}

#[test]
fn what_is_due_on_the_way_happens_in_its_order_and_at_its_own_time() {
    let mut world = World::on(FaultyDisk::new(1));
    world.topic("orders");
    let policy = RetryPolicy { max_attempts: 1, ..RetryPolicy::default() };
    let deadline = world.wall().after(Millis(90 * MINUTE + 1));
    world.produce(Produce { deadline: Some(deadline), policy: Some(policy), ..message("orders", "m0") });
    let consumer = OpenConsumer { lease: Millis(90 * MINUTE), ..consumer("orders", "ann", 10) };
    let poll = Poll { consumer, wait: Millis(0), bytes_max: u64::MAX };
    let mut leased = world.ask(async |broker| broker.poll(poll).await).expect("polled");
    assert_eq!(told(&leased), [(0, 1)]);
    leased.take_all();
    let start = world.wall();
    world.pass(30 * DAY);
    let state = world.writer.state();
    let dead = state.dead_letters_page(&DeadLetterFilter::default(), None, 10).items;
    let [(_, dead)] = dead.as_slice() else { panic!("one dead letter, not {dead:?}") };
    assert_eq!(dead.reason, DeadLetterReason::MaxAttempts, "the lease ends before the deadline");
    assert_eq!(dead.wall, start.after(Millis(90 * MINUTE)));
}

#[test]
fn a_retry_after_days_reaches_who_waits_with_a_whole_lease() {
    let mut world = World::on(FaultyDisk::new(1));
    world.topic("orders");
    world.produce(message("orders", "m0"));
    world.poll("orders");
    world.nack("orders", 0, HOUR);
    let broker = world.broker.clone();
    let poll = Poll { consumer: consumer("orders", "ann", 10), wait: Millis(60_000), bytes_max: u64::MAX };
    let mut waiting = Box::pin(async move { broker.poll(poll).await });
    assert!(waiting.as_mut().now_or_never().is_none());
    let now = world.pass(3 * DAY);
    let mut taken = waiting.as_mut().now_or_never().expect("woken").expect("leased");
    let until: Vec<_> = taken.peek().map(|delivery| delivery.until).collect();
    assert_eq!((told(&taken), until), (vec![(0, 2)], vec![now.after(Millis(2_000))]));
    taken.take_all();
}

#[test]
fn a_restart_goes_on_where_time_stood() {
    let mut world = World::on(FaultyDisk::new(1));
    world.topic("orders");
    world.produce(Produce { due: Due::After(Millis(2 * DAY)), ..message("orders", "late") });
    let stood = world.pass(DAY);
    let mut world = World::on(world.disk.after_kill());
    assert_eq!(world.wall(), stood);
    assert_eq!(world.poll("orders"), []);
    assert_eq!(world.pass(DAY), stood.after(Millis(DAY)));
    assert_eq!(world.poll("orders"), [(0, 1)]);
}

#[test]
fn a_writer_sleeps_while_time_stands_still() {
    let mut world = World::on(FaultyDisk::new(1));
    world.topic("orders");
    world.produce(Produce { due: Due::After(Millis(1)), ..message("orders", "late") });
    world.poll("orders");
    // The machine's own waits (a sync, a mark) are left; once they are over there is nothing to wake up for.
    while let Some(wait) = world.writer.next_wake() {
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        world.writer.step().expect("the writer goes on");
    }
}
