//! What operators do to those who are connected, and to a start.

use crate::harness::{World, consumer, message, told, topic};
use driftq_core::*;
use driftq_engine::{Checkpoints, recover};
use driftq_log::{Log as _, LogError, MemoryLog};
use futures_util::FutureExt as _;
use std::future::Future;
use std::time::Duration;

fn group() -> GroupName {
    GroupName::parse("workers").expect("a group")
}

fn delete_group(world: &mut World) {
    let broker = world.broker.clone();
    let delete = DeleteGroup { topic: topic("orders"), group: group(), actor: None, reason: None };
    world.ask(async move { broker.delete_group(delete).await }).expect("deleted");
}

fn delete_topic(world: &mut World) {
    let broker = world.broker.clone();
    let delete = DeleteTopic { topic: topic("orders"), actor: None, reason: None };
    world.ask(async move { broker.delete_topic(delete).await }).expect("deleted");
}

fn connected(world: &mut World) -> u64 {
    let broker = world.broker.clone();
    world.ask(async move { broker.look_with_readers(|_, readers| readers.all()).await }).expect("seen")
}

#[test]
fn a_deleted_group_ends_its_streams_and_polls_and_a_new_one_begins_anew() {
    let mut world = World::new();
    world.topic("orders");
    world.produce("orders", "m0").expect("stored");
    let broker = world.broker.clone();
    let open = consumer("orders", "ann", 1);
    let mut stream = world.ask(async move { broker.open_consumer(open).await }).expect("opened");
    let mut first = Box::pin(stream.next(1, u64::MAX));
    assert!(first.as_mut().now_or_never().is_none());
    world.settle();
    first.now_or_never().expect("it is there").expect("leased").take_all();
    let mut second = Box::pin(stream.next(1, u64::MAX));
    assert!(second.as_mut().now_or_never().is_none());
    let poll = world.poll("orders", 60_000);
    let mut poll = world.begin(poll);
    assert_eq!(connected(&mut world), 2);
    delete_group(&mut world);
    assert_eq!(connected(&mut world), 0);
    let ended = second.as_mut().now_or_never().expect("the stream is told").expect("it ends in order");
    assert!(ended.is_empty());
    let ended = poll.as_mut().now_or_never().expect("the poll is told").expect("it ends in order");
    assert!(ended.is_empty());
    drop(second);
    let mut third = Box::pin(stream.next(1, u64::MAX));
    assert!(third.as_mut().now_or_never().is_none());
    world.settle();
    assert!(third.now_or_never().expect("it is answered").is_err(), "the stream stays ended");
    let poll = world.poll("orders", 0);
    let mut again = world.ask(poll).expect("leased");
    assert_eq!(told(&again), [(0, 1)]);
    again.take_all();
    assert_eq!(check(world.writer.state()), Ok(()));
}

#[test]
fn a_deleted_topic_ends_its_streams_and_polls() {
    let mut world = World::new();
    world.topic("orders");
    let poll = world.poll("orders", 60_000);
    let mut poll = world.begin(poll);
    delete_topic(&mut world);
    assert!(poll.as_mut().now_or_never().expect("the poll is told").expect("in order").is_empty());
    assert_eq!(connected(&mut world), 0);
    world.topic("orders");
    world.produce("orders", "b0").expect("stored");
    let world = world.power_cut();
    assert_eq!(world.writer.state().topics.len(), 1);
    assert!(world.writer.state().groups.is_empty());
}

#[test]
fn a_seek_frees_what_a_stream_holds_and_hands_it_out_again() {
    let mut world = World::new();
    world.topic("orders");
    world.produce("orders", "m0").expect("stored");
    let broker = world.broker.clone();
    let open = consumer("orders", "ann", 1);
    let mut stream = world.ask(async move { broker.open_consumer(open).await }).expect("opened");
    let mut first = Box::pin(stream.next(1, u64::MAX));
    assert!(first.as_mut().now_or_never().is_none());
    world.settle();
    let held = first.now_or_never().expect("it is there").expect("leased").take_all();
    let mut second = Box::pin(stream.next(1, u64::MAX));
    assert!(second.as_mut().now_or_never().is_none(), "one at a time");
    world.settle();
    let broker = world.broker.clone();
    let seek =
        SeekGroup { topic: topic("orders"), group: group(), to: SeekTo::Earliest, actor: None, reason: None };
    let places = world.ask(async move { broker.seek_group(seek).await }).expect("moved");
    assert_eq!(places, [(PartitionId(0), Offset(0))]);
    let again = second.now_or_never().expect("it is there again").expect("leased").take_all();
    assert_eq!(again[0].attempt, Attempt(1));
    assert_ne!(again[0].lease, held[0].lease);
}

#[test]
fn p07_what_is_made_due_goes_out_at_once() {
    let mut world = World::new();
    world.topic("orders");
    let broker = world.broker.clone();
    let delayed = Produce { due: Due::After(Millis(60_000)), ..message("orders", "d0") };
    world.ask(async move { broker.produce(vec![delayed]).await }).expect("stored");
    let poll = world.poll("orders", 30_000);
    let poll = world.begin(poll);
    let retry = |world: &mut World, group| {
        let broker = world.broker.clone();
        let target = MessageTarget::Message {
            topic: topic("orders"),
            group,
            partition: PartitionId(0),
            offset: Offset(0),
        };
        let ask = RetryNow { target, actor: None, reason: None };
        match world.ask(async move { broker.retry_now(ask).await }) {
            Ok(Reply::MadeDue { was, .. }) => was,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(retry(&mut world, None), WaitedFor::Delay);
    let taken = poll.now_or_never().expect("it went out").expect("leased").take_all();
    let broker = world.broker.clone();
    let nack = Nack {
        claim: Claim { lease: Some(taken[0].lease), ..crate::harness::claim("orders", "ann", 0) },
        error: ErrorInfo::default(),
        retry_after: Some(Millis(60_000)),
        retryable: true,
    };
    world.ask(async move { broker.nack(nack).await }).expect("nacked");
    let poll = world.poll("orders", 30_000);
    let poll = world.begin(poll);
    assert_eq!(retry(&mut world, Some(group())), WaitedFor::Backoff);
    let taken = poll.now_or_never().expect("it went out").expect("leased").take_all();
    assert_eq!(taken[0].attempt, Attempt(2));
}

/// Asks and turns exactly once.
fn in_one_turn<T>(world: &mut World, future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    assert!(future.as_mut().now_or_never().is_none(), "nothing is answered before a turn");
    world.turn();
    future.as_mut().now_or_never().expect("the answer is there after a turn")
}

#[test]
fn a_topic_that_is_deleted_while_a_checkpoint_takes_it_does_not_stop_the_next_start() {
    for turns in 0..3 {
        let mut world = World::with_checkpoints_every(10_000_000);
        world.topic("orders");
        let broker = world.broker.clone();
        let many = || (0..200).map(|_| message("orders", "m")).collect::<Vec<_>>();
        let is_encoding = |world: &World| world.writer.next_wake() == Some(Duration::ZERO);
        while !is_encoding(&world) {
            in_one_turn(&mut world, broker.produce(many())).expect("stored");
        }
        for _ in 0..turns {
            world.turn();
        }
        in_one_turn(&mut world, broker.produce(many())).expect("stored");
        let delete = DeleteTopic { topic: topic("orders"), actor: None, reason: None };
        in_one_turn(&mut world, broker.delete_topic(delete)).expect("deleted");
        world.topic("orders");
        world.produce("orders", "b").expect("stored");
        let topics = world.writer.state().topics.clone();
        let world = world.power_cut();
        assert!(world.recovery.checkpoint > 0, "{:?}", world.recovery);
        assert!(world.writer.state().topics == topics);
        assert_eq!(check(world.writer.state()), Ok(()));
    }
}

/// A checkpoint whose only chunk is a header as the first format had it.
struct FirstFormat;

impl Checkpoints for FirstFormat {
    fn load(&mut self, each: &mut dyn FnMut(&[u8])) -> Result<(Option<Position>, Vec<String>), LogError> {
        let header = [1, 0, 5, 6, 1, 40, 9, 9, 9, 9];
        each(&header);
        Ok((Some(Position(40)), Vec::new()))
    }

    fn begin(&mut self, _at: Position) {}

    fn push(&mut self, _chunk: Vec<u8>) {}

    fn commit(&mut self) {}

    fn finished(&mut self) -> Option<Result<Position, LogError>> {
        None
    }
}

#[test]
fn p21_a_checkpoint_of_another_format_costs_a_longer_start_and_nothing_else() {
    let mut log = MemoryLog::new();
    let mut batch = driftq_log::Batch::new();
    let mut bytes = Vec::new();
    let made =
        TopicCreated { topic: TopicId(0), name: topic("orders"), partitions: 1, kind: TopicKind::Plain };
    Record::TopicCreated(made).encode(&mut bytes);
    batch.push(&bytes);
    log.append(&batch).expect("appended");
    let (state, recovery) = recover(
        &log.reader(),
        &mut FirstFormat,
        Limits::default(),
        &Patterns::default(),
        &driftq_log::Progress::default(),
    )
    .expect("it starts");
    assert_eq!((recovery.checkpoint, recovery.records), (0, 1));
    assert_eq!(recovery.warnings.len(), 1, "{:?}", recovery.warnings);
    assert!(state.topic(&topic("orders")).is_some());
}
