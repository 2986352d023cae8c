//! Who waits is woken by the fact, and what nobody takes comes back.

use crate::harness::{World, claim, consumer, message, told, topic};
use driftq_core::*;
use driftq_engine::Refusal;
use futures_util::FutureExt as _;

#[test]
fn a_poll_is_woken_by_a_produce_and_ends_empty_when_its_wait_is_over() {
    let mut world = World::new();
    world.topic("orders");
    let poll = world.poll("orders", 1_000);
    let mut poll = world.begin(poll);
    world.produce("orders", "m0").expect("stored");
    let mut taken = poll.as_mut().now_or_never().expect("woken").expect("leased");
    assert_eq!(told(&taken), [(0, 1)]);
    taken.take_all();

    let poll = world.poll("orders", 1_000);
    let mut poll = world.begin(poll);
    world.pass(999);
    assert!(poll.as_mut().now_or_never().is_none());
    world.pass(1);
    assert!(poll.as_mut().now_or_never().expect("over").expect("empty").is_empty());
}

#[test]
fn p07_a_lease_that_ends_wakes_who_waits() {
    let mut world = World::new();
    world.topic("orders");
    world.produce("orders", "m0").expect("stored");
    let poll = world.poll("orders", 0);
    world.ask(poll).expect("leased").take_all();
    let poll = world.poll("orders", 60_000);
    let mut poll = world.begin(poll);
    world.pass(1_999);
    assert!(poll.as_mut().now_or_never().is_none());
    world.pass(1);
    let mut taken = poll.as_mut().now_or_never().expect("woken").expect("leased");
    assert_eq!(told(&taken), [(0, 2)]);
    taken.take_all();
}

#[test]
fn a_retry_and_a_delay_wake_who_waits() {
    let mut world = World::new();
    world.topic("orders");
    let broker = world.broker.clone();
    let late = Produce { due: Due::After(Millis(500)), ..message("orders", "late") };
    world.ask(async move { broker.produce(vec![late]).await }).expect("stored");
    let poll = world.poll("orders", 60_000);
    let mut poll = world.begin(poll);
    world.pass(499);
    assert!(poll.as_mut().now_or_never().is_none());
    world.pass(1);
    poll.as_mut().now_or_never().expect("woken").expect("leased").take_all();

    let broker = world.broker.clone();
    let nack = Nack {
        claim: claim("orders", "ann", 0),
        error: ErrorInfo { message: "boom".into(), kind: None, stack: None },
        retry_after: Some(Millis(700)),
        retryable: true,
    };
    world.ask(async move { broker.nack(nack).await }).expect("nacked");
    let poll = world.poll("orders", 60_000);
    let mut poll = world.begin(poll);
    world.pass(699);
    assert!(poll.as_mut().now_or_never().is_none());
    world.pass(1);
    poll.as_mut().now_or_never().expect("woken").expect("leased").take_all();
}

#[test]
fn a_stream_holds_no_more_than_it_may_and_gets_more_for_an_ack() {
    let mut world = World::new();
    world.topic("orders");
    for value in ["m0", "m1", "m2"] {
        world.produce("orders", value).expect("stored");
    }
    let broker = world.broker.clone();
    let open = consumer("orders", "ann", 2);
    let mut stream = world.ask(async move { broker.open_consumer(open).await }).expect("opened");
    let mut first = world.ask(stream.next(10, u64::MAX)).expect("leased");
    assert_eq!(told(&first), [(0, 1), (1, 1)]);
    first.take_all();
    let mut next = Box::pin(stream.next(10, u64::MAX));
    assert!(next.as_mut().now_or_never().is_none());
    world.settle();
    assert!(next.as_mut().now_or_never().is_none(), "two are held");
    world.ack("orders", "ann", 1).expect("acked");
    let mut second = next.as_mut().now_or_never().expect("woken").expect("leased");
    assert_eq!(told(&second), [(2, 1)]);
    second.take_all();
}

#[test]
fn what_nobody_takes_comes_back_uncounted() {
    let mut world = World::new();
    world.topic("orders");
    let poll = world.poll("orders", 60_000);
    drop(world.begin(poll));
    world.produce("orders", "m0").expect("stored");
    let poll = world.poll("orders", 0);
    let untaken = world.ask(poll).expect("leased");
    assert_eq!(told(&untaken), [(0, 1)]);
    drop(untaken);
    let poll = world.poll("orders", 0);
    let mut taken = world.ask(poll).expect("leased");
    assert_eq!(told(&taken), [(0, 1)], "the attempt was not counted");
    taken.take_all();
}

#[test]
fn a_reader_of_a_timeline_is_woken_and_never_skips() {
    let mut world = World::new();
    world.run("r1");
    let id = RunId::parse("r1").expect("a run id");
    let follow = |world: &World, after| {
        let (broker, id) = (world.broker.clone(), id.clone());
        async move { broker.follow(id, after, 100, u64::MAX).await }
    };
    let first = world.ask(follow(&world, 0)).expect("there");
    assert_eq!(first.items.iter().map(|item| item.seq).collect::<Vec<_>>(), [1]);
    let mut waiting = world.begin(follow(&world, 1));
    assert!(waiting.as_mut().now_or_never().is_none());
    let poll = world.poll("runs.commands", 0);
    world.ask(poll).expect("leased").take_all();
    let second = waiting.as_mut().now_or_never().expect("woken").expect("there");
    assert_eq!(second.items.iter().map(|item| item.seq).collect::<Vec<_>>(), [2]);
    let ahead = world.ask(follow(&world, 50)).expect("answered at once");
    assert!(ahead.items.is_empty());
    assert_eq!(ahead.last_seq, 2);
}

#[test]
fn who_waits_for_a_runs_end_is_told_and_who_waits_too_long_too() {
    let mut world = World::new();
    world.run("r1");
    let wait = |world: &World, ms| {
        let (broker, id) = (world.broker.clone(), RunId::parse("r1").expect("a run id"));
        async move { broker.run_end(id, Millis(ms)).await }
    };
    let mut short = world.begin(wait(&world, 10));
    let mut long = world.begin(wait(&world, 60_000));
    world.pass(10);
    assert!(short.as_mut().now_or_never().is_some());
    assert!(long.as_mut().now_or_never().is_none());
    let poll = world.poll("runs.commands", 0);
    world.ask(poll).expect("leased").take_all();
    world.ack("runs.commands", "ann", 0).expect("acked");
    assert!(long.as_mut().now_or_never().is_some());
}

#[test]
fn p16_draining_ends_what_waits_and_takes_nothing_new() {
    let mut world = World::new();
    world.topic("orders");
    world.produce("orders", "m0").expect("stored");
    let poll = world.poll("orders", 0);
    world.ask(poll).expect("leased").take_all();
    let poll = world.poll("orders", 60_000);
    let mut poll = world.begin(poll);
    world.broker.drain();
    world.settle();
    assert!(poll.as_mut().now_or_never().expect("ended").expect("empty").is_empty());
    assert_eq!(world.produce("orders", "m1"), Err(Refusal::Draining));
    assert_eq!(world.ack("orders", "ann", 0), Ok(()), "what is held may still be settled");
    let _name = topic("orders");
}

#[test]
fn an_idle_writer_sleeps() {
    let mut world = World::new();
    world.topic("orders");
    world.produce("orders", "m0").expect("stored");
    world.pass(60);
    world.pass(60);
    let wake = world.writer.next_wake();
    assert_eq!(wake, None, "nothing is due, nothing is unsynced, the mark is written");
}
