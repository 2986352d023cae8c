//! What was answered survives; what cannot be kept is not answered.

use crate::harness::{World, consumer, stopped, told};
use driftq_core::*;
use driftq_engine::{Checkpoints, DiskCheckpoints, Refusal};
use driftq_log::{Fault, Operation};
use futures_util::FutureExt as _;

#[test]
fn p01_what_was_answered_survives_a_power_cut() {
    let mut world = World::new();
    world.topic("orders");
    for value in ["m0", "m1", "m2"] {
        world.produce("orders", value).expect("stored");
    }
    let before = world.writer.state().topics.clone();
    let mut world = world.power_cut();
    assert_eq!(world.writer.state().topics, before);
    let poll = world.poll("orders", 0);
    assert_eq!(told(&world.ask(poll).expect("leased")), [(0, 1), (1, 1), (2, 1)]);
}

#[test]
fn p05_attempts_and_leases_survive_a_kill() {
    let mut world = World::new();
    world.topic("orders");
    world.produce("orders", "m0").expect("stored");
    let poll = world.poll("orders", 0);
    world.ask(poll).expect("leased").take_all();
    let mut world = world.killed();
    assert_eq!(world.ack("orders", "ann", 0), Ok(()), "a worker acks over a restart");

    world.produce("orders", "m1").expect("stored");
    let poll = world.poll("orders", 0);
    world.ask(poll).expect("leased").take_all();
    let mut world = world.killed();
    world.pass(2_000);
    let poll = world.poll("orders", 0);
    let mut again = world.ask(poll).expect("leased");
    assert_eq!(told(&again), [(1, 2)]);
    again.take_all();
}

#[test]
fn p15_after_a_failed_sync_nobody_is_answered_any_more() {
    let mut world = World::new();
    world.topic("orders");
    world.disk.plan(Operation::Sync, 1, Fault::Error);
    let broker = world.broker.clone();
    let message = crate::harness::message("orders", "m0");
    let mut produced = Box::pin(async move { broker.produce(vec![message]).await });
    assert!(produced.as_mut().now_or_never().is_none());
    let _why = stopped(world.writer.step());
    assert!(
        produced.as_mut().now_or_never().is_none(),
        "no 2xx, no 4xx: the caller learns it when the writer is gone"
    );
    let World { writer, disk, .. } = world;
    drop(writer);
    assert!(!disk.files().is_empty());
}

#[test]
fn p13_a_full_disk_refuses_growth_lets_settling_go_on_and_recovers_by_itself() {
    let mut world = World::new();
    world.topic("orders");
    world.produce("orders", "m0").expect("stored");
    let poll = world.poll("orders", 0);
    world.ask(poll).expect("leased").take_all();
    world.disk.limit(Some(world.disk.used()));
    let large = "x".repeat(200_000);
    let mut refused = None;
    for _ in 0..200 {
        if let Err(refusal) = world.produce("orders", &large) {
            refused = Some(refusal);
            break;
        }
    }
    assert_eq!(refused, Some(Refusal::DiskFull));
    assert!(world.broker.status().disk_full);
    assert_eq!(world.ack("orders", "ann", 0), Ok(()));
    world.disk.limit(None);
    world.produce("orders", "m1").expect("room again");
    assert!(!world.broker.status().disk_full);
}

#[test]
fn a_start_from_a_checkpoint_makes_the_same_state() {
    let mut world = World::with_checkpoints_every(2_000);
    world.topic("orders");
    for index in 0..200 {
        world.produce("orders", &format!("m{index}")).expect("stored");
        if index % 3 == 0 {
            let poll = world.poll("orders", 0);
            world.ask(poll).expect("leased").take_all();
            world.ack("orders", "ann", index / 3).expect("acked");
        }
        if index % 50 == 0 {
            world.run(&format!("r{index}"));
        }
        world.pass(1);
    }
    let topics = world.writer.state().topics.clone();
    let groups = world.writer.state().groups.clone();
    let runs = world.writer.state().runs.clone();
    let world = world.power_cut();
    assert!(world.recovery.checkpoint > 0, "{:?}", world.recovery);
    assert!(world.recovery.records < 600, "the start read the tail only: {:?}", world.recovery);
    assert!(world.writer.state().topics == topics);
    assert!(world.writer.state().runs == runs);
    assert_eq!(world.writer.state().groups.len(), groups.len());
    assert_eq!(check(world.writer.state()), Ok(()));
}

#[test]
fn a_checkpoint_of_a_long_queue_is_taken_while_it_grows() {
    let mut world = World::with_checkpoints_every(400_000);
    world.topic("orders");
    for _ in 0..200 {
        let broker = world.broker.clone();
        let messages =
            (0..100).map(|index| crate::harness::message("orders", &format!("m{index}"))).collect();
        world.ask(async move { broker.produce(messages).await }).expect("stored");
    }
    let topics = world.writer.state().topics.clone();
    let mut world = world.power_cut();
    assert!(world.recovery.checkpoint > 4_096, "{:?}", world.recovery);
    assert!(world.writer.state().topics == topics);
    world.produce("orders", "one more").expect("stored");
}

#[test]
fn a_checkpoint_of_another_format_costs_a_longer_start_and_no_data() {
    let mut world = World::with_checkpoints_every(2_000);
    world.topic("orders");
    for index in 0..100 {
        world.produce("orders", &format!("m{index}")).expect("stored");
    }
    let topics = world.writer.state().topics.clone();
    let mut older = DiskCheckpoints::new(world.disk.clone());
    let (newest, _) = older.load(&mut |_| {}).expect("readable");
    older.begin(newest.expect("there is one"));
    older.push(vec![1, 0, 0]);
    older.commit();
    assert!(matches!(older.finished(), Some(Ok(_))));
    let mut world = world.killed();
    assert_eq!((world.recovery.checkpoint, world.recovery.warnings.len()), (0, 1), "{:?}", world.recovery);
    assert!(world.recovery.records > 100, "the whole log was read: {:?}", world.recovery);
    assert!(world.writer.state().topics == topics);
    world.produce("orders", "one more").expect("stored");
}

#[test]
fn p02_a_message_is_handed_out_only_once_it_is_durable() {
    let mut world = World::new();
    world.topic("orders");
    let broker = world.broker.clone();
    let open = consumer("orders", "ann", 1);
    let mut stream = world.ask(async move { broker.open_consumer(open).await }).expect("opened");
    let mut next = Box::pin(stream.next(1, u64::MAX));
    assert!(next.as_mut().now_or_never().is_none());
    world.settle();
    world.disk.plan(Operation::Sync, 1, Fault::Error);
    let broker = world.broker.clone();
    let message = crate::harness::message("orders", "m0");
    let mut produced = Box::pin(async move { broker.produce(vec![message]).await });
    assert!(produced.as_mut().now_or_never().is_none());
    let _why = stopped(world.writer.step());
    assert!(next.as_mut().now_or_never().is_none(), "the message was never synced, so nobody saw it");
}

#[test]
fn the_engine_runs_on_its_own_thread_and_ends_in_order() {
    use driftq_engine::{EngineOptions, NoCheckpoints, SystemClock, start};
    let log = driftq_log::MemoryLog::new();
    let engine = start(log, NoCheckpoints, SystemClock::new(), EngineOptions::default()).expect("started");
    let broker = engine.broker.clone();
    let create = CreateTopic::plain(crate::harness::topic("orders"), Some(2));
    let made = futures_util::future::FutureExt::boxed(async move { broker.create_topic(create).await });
    assert_eq!(futures_executor::block_on(made), Ok((2, true)));
    engine.broker.stop();
    let ended = futures_executor::block_on(engine.ended).expect("the writer says how it ended");
    assert!(ended.is_ok());
}
