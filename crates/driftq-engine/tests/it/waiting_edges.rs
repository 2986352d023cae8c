//! Waiting at its edges: clients that go away, busy turns, late deadlines, a disk that fills.

use crate::harness::{World, consumer, message, told, topic};
use driftq_core::*;
use driftq_engine::{Poll, Refusal};
use futures_util::FutureExt as _;
use std::time::Duration;

#[test]
fn what_was_answered_and_never_looked_at_comes_back_uncounted() {
    let mut world = World::new();
    world.topic("orders");
    let poll = world.poll("orders", 60_000);
    let waiting = world.begin(poll);
    world.produce("orders", "m0").expect("stored");
    drop(waiting); // the client goes away with the answer on its way to it
    world.settle();
    let poll = world.poll("orders", 0);
    let mut taken = world.ask(poll).expect("leased");
    assert_eq!(told(&taken), [(0, 1)], "a client that goes away while waiting takes no message with it");
    taken.take_all();
}

#[test]
fn p02_a_timelines_event_is_handed_to_a_group_only_once_it_is_durable() {
    let mut world = World::new();
    world.run("r1");
    let events = topic("runs.events.r1");
    let broker = world.broker.clone();
    let tab = OpenGroup {
        topic: events,
        group: GroupName::parse("workers").expect("a name"),
        start: Start::Earliest,
    };
    let workers = OpenGroup { topic: topic("runs.commands"), ..tab.clone() };
    world.ask(async move { broker.open_group(tab).await }).expect("opened");
    let broker = world.broker.clone();
    world.ask(async move { broker.open_group(workers).await }).expect("opened");
    let poll = world.poll("runs.events.r1", 0);
    world.ask(poll).expect("run.created").take_all();
    let poll = world.poll("runs.events.r1", 60_000);
    let mut waiting = world.begin(poll);
    world.pass(200);
    let poll = world.poll("runs.commands", 0);
    world.ask(poll).expect("leased").take_all();
    let seen = waiting.as_mut().now_or_never().map(|seen| seen.expect("leased").take_all());
    let durable = world.broker.status().durable;
    for delivery in seen.unwrap_or_default() {
        assert!(delivery.position.0 <= durable, "shown at {}, durable up to {durable}", delivery.position);
    }
}

#[test]
fn a_deadline_that_comes_late_wakes_who_waits_behind_it() {
    let mut world = World::new();
    world.topic("orders");
    let broker = world.broker.clone();
    let open = OpenGroup {
        topic: topic("orders"),
        group: GroupName::parse("workers").expect("a name"),
        start: Start::Earliest,
    };
    world.ask(async move { broker.open_group(open).await }).expect("opened");
    let deadline = Some(WallTime(1_000_000 + 10_000));
    for _ in 0..20 {
        let broker = world.broker.clone();
        let many = (0..200).map(|_| Produce { deadline, ..message("orders", "old") }).collect();
        world.ask(async move { broker.produce(many).await }).expect("stored");
    }
    world.produce("orders", "fresh").expect("stored");
    world.clock.advance(Duration::from_millis(10_000));
    let poll = world.poll("orders", 20_000);
    let mut poll = world.begin(poll);
    world.pass(250);
    let mut taken =
        poll.as_mut().now_or_never().expect("the fresh one is due within 250 ms").expect("leased");
    assert_eq!(told(&taken), [(4_000, 1)]);
    taken.take_all();
}

#[test]
fn p13_room_again_is_seen_without_a_request() {
    let mut world = World::new();
    world.topic("orders");
    world.disk.limit(Some(world.disk.used()));
    let large = "x".repeat(200_000);
    while world.produce("orders", &large).is_ok() {}
    assert!(world.broker.status().disk_full);
    world.disk.limit(None);
    for _ in 0..10 {
        world.clock.advance(Duration::from_millis(1_000));
        world.turn();
        world.turn();
    }
    assert_ne!(world.writer.next_wake(), Some(Duration::ZERO), "nothing is due, so the writer sleeps");
    assert!(!world.broker.status().disk_full, "ready again by itself");
}

#[test]
fn p13_a_busy_turn_on_a_full_disk_does_not_end_the_writer() {
    let mut world = World::new();
    world.topic("orders");
    for _ in 0..800 {
        let broker = world.broker.clone();
        let many = (0..100).map(|_| message("orders", "m")).collect();
        world.ask(async move { broker.produce(many).await }).expect("stored");
    }
    let open = consumer("orders", "ann", 1);
    let broker = world.broker.clone();
    world
        .ask(async move {
            broker
                .open_group(OpenGroup { topic: open.topic, group: open.group, start: Start::Earliest })
                .await
        })
        .expect("opened");
    world.disk.limit(Some(world.disk.used()));
    let large = "x".repeat(200_000);
    while world.produce("orders", &large).is_ok() {}
    let mut polls = Vec::new();
    for _ in 0..80 {
        let broker = world.broker.clone();
        let poll = Poll {
            consumer: consumer("orders", &"o".repeat(200), 1_000),
            wait: Millis(0),
            bytes_max: u64::MAX,
        };
        let mut poll = Box::pin(async move { broker.poll(poll).await });
        assert!(poll.as_mut().now_or_never().is_none());
        polls.push(poll);
    }
    world.writer.step().expect("a full disk refuses, it does not kill");
}

#[test]
fn a_group_is_forgotten_an_hour_after_its_stream_closed_not_a_minute() {
    let mut world = World::new();
    world.topic("orders");
    let broker = world.broker.clone();
    let open = consumer("orders", "ann", 1);
    let stream = world.ask(async move { broker.open_consumer(open).await }).expect("opened");
    for _ in 0..118 {
        world.pass(60_000);
    }
    world.pass(59_000);
    drop(stream);
    world.settle();
    world.pass(61_000);
    world.pass(1);
    assert_eq!(world.writer.state().groups.len(), 1, "closed a minute ago");
    world.pass(3_600_000);
    world.pass(3_600_000);
    assert_eq!(world.writer.state().groups.len(), 0);
}

#[test]
fn a_stream_whose_opener_went_away_is_closed() {
    let mut world = World::new();
    world.topic("orders");
    let broker = world.broker.clone();
    let open = consumer("orders", "ann", 1);
    let mut opening = Box::pin(async move { broker.open_consumer(open).await });
    assert!(opening.as_mut().now_or_never().is_none());
    drop(opening);
    world.settle();
    for _ in 0..4 {
        world.pass(3_600_000);
    }
    assert_eq!(world.writer.state().groups.len(), 0, "nobody holds a stream");
}

#[test]
fn a_replay_with_a_long_actor_is_refused_and_ends_nothing() {
    let mut world = World::new();
    world.run("r1");
    let broker = world.broker.clone();
    world
        .ask(async move {
            broker.cancel_run(CancelRun { run_id: RunId::parse("r1").expect("a name"), actor: None }).await
        })
        .expect("cancelled");
    let broker = world.broker.clone();
    let replay = ReplayRun {
        run_id: RunId::parse("r1").expect("a name"),
        input: NewInput::Same,
        from_step: None,
        fresh: false,
        actor: Some("x".repeat(8 << 20)),
        reason: None,
    };
    let answer = world.ask(async move { broker.replay_run(replay).await });
    assert!(matches!(answer, Err(Refusal::TooLarge { .. })), "{answer:?}");
}

#[test]
fn a_run_of_many_steps_can_still_be_replayed_afresh() {
    let mut world = World::new();
    world.run("r1");
    let poll = world.poll("runs.commands", 0);
    let lease = world.ask(poll).expect("leased").take_all()[0].lease;
    for index in 0..6_000 {
        let broker = world.broker.clone();
        let step = StepName::parse(&format!("{index:0>200}")).expect("a name");
        let store = StoreStep {
            run_id: RunId::parse("r1").expect("a name"),
            step,
            lease,
            output: b"1".to_vec(),
            duration: None,
        };
        world.ask(async move { broker.store_step(store).await }).expect("stored");
    }
    world.ack("runs.commands", "ann", 0).expect("acked");
    let broker = world.broker.clone();
    let replay = ReplayRun {
        run_id: RunId::parse("r1").expect("a name"),
        input: NewInput::Same,
        from_step: None,
        fresh: true,
        actor: None,
        reason: None,
    };
    assert_eq!(world.ask(async move { broker.replay_run(replay).await }), Ok(ReplaySeq(1)));
}
