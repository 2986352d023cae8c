//! One writer, turned by hand, over a log on a disk in memory.

use driftq_core::*;
use driftq_engine::{
    Broker, Deliveries, DiskCheckpoints, EngineError, EngineOptions, ManualClock, OpenConsumer, Poll,
    Recovery, Refusal, Writer,
};
use driftq_log::{FaultyDisk, Wal, WalOptions};
use futures_util::FutureExt as _;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub(crate) type Pending<T> = Pin<Box<dyn Future<Output = T>>>;

pub(crate) struct World {
    pub(crate) disk: FaultyDisk,
    pub(crate) clock: ManualClock,
    pub(crate) writer: Writer<Wal<FaultyDisk>, DiskCheckpoints<FaultyDisk>, ManualClock>,
    pub(crate) broker: Broker,
    pub(crate) recovery: Recovery,
    checkpoint_bytes: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_checkpoints_every(u64::MAX)
    }

    pub(crate) fn with_checkpoints_every(checkpoint_bytes: u64) -> Self {
        Self::open(FaultyDisk::new(1), ManualClock::at(WallTime(1_000_000)), checkpoint_bytes)
    }

    fn open(disk: FaultyDisk, clock: ManualClock, checkpoint_bytes: u64) -> Self {
        let options = WalOptions { segment_bytes: 4 << 20, reserve_bytes: 4 << 20, ..WalOptions::default() };
        let (log, _) = Wal::open(disk.clone(), options).expect("the log opens");
        let checkpoints = DiskCheckpoints::new(disk.clone());
        let options = EngineOptions { checkpoint_bytes, ..EngineOptions::default() };
        let (writer, recovery) =
            Writer::open(log, checkpoints, clock.clone(), options).expect("the engine opens");
        let broker = writer.broker();
        Self { disk, clock, writer, broker, recovery, checkpoint_bytes }
    }

    /// Kills the process: what was handed to the system is still there.
    pub(crate) fn killed(self) -> Self {
        Self::open(self.disk.after_kill(), self.clock.clone(), self.checkpoint_bytes)
    }

    /// Cuts the power.
    pub(crate) fn power_cut(self) -> Self {
        Self::open(self.disk.after_crash(), self.clock.clone(), self.checkpoint_bytes)
    }

    pub(crate) fn turn(&mut self) {
        self.writer.step().expect("the writer goes on");
    }

    /// Turns until nothing is left to do at this moment.
    pub(crate) fn settle(&mut self) {
        self.turn();
        while self.writer.next_wake() == Some(Duration::ZERO) {
            self.turn();
        }
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        self.settle();
    }

    /// Asks, turns, and takes the answer, which has to be there then.
    pub(crate) fn ask<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = Box::pin(future);
        if let Some(answer) = future.as_mut().now_or_never() {
            return answer;
        }
        self.settle();
        future.as_mut().now_or_never().expect("the answer is there after a turn")
    }

    /// Asks and turns; the answer may come later.
    pub(crate) fn begin<T>(&mut self, future: impl Future<Output = T> + 'static) -> Pending<T> {
        let mut future: Pending<T> = Box::pin(future);
        assert!(future.as_mut().now_or_never().is_none(), "nothing is answered before a turn");
        self.settle();
        future
    }

    pub(crate) fn topic(&mut self, name: &str) {
        let broker = self.broker.clone();
        let create = CreateTopic::plain(topic(name), None);
        self.ask(async move { broker.create_topic(create).await }).expect("the topic is made");
    }

    pub(crate) fn produce(&mut self, name: &str, value: &str) -> Result<Vec<Produced>, Refusal> {
        let broker = self.broker.clone();
        let messages = vec![message(name, value)];
        self.ask(async move { broker.produce(messages).await })
    }

    pub(crate) fn poll(&mut self, name: &str, wait: u64) -> Pending<Result<Deliveries, Refusal>> {
        let broker = self.broker.clone();
        let poll = Poll { consumer: consumer(name, "ann", 10), wait: Millis(wait), bytes_max: u64::MAX };
        Box::pin(async move { broker.poll(poll).await })
    }

    pub(crate) fn ack(&mut self, name: &str, owner: &str, offset: u64) -> Result<(), Refusal> {
        let broker = self.broker.clone();
        let ack = Ack { claim: claim(name, owner, offset), result: None };
        self.ask(async move { broker.ack(ack).await })
    }

    pub(crate) fn run(&mut self, id: &str) {
        let broker = self.broker.clone();
        let create = CreateRun {
            run_id: RunId::parse(id).expect("a run id"),
            workflow: WorkflowName::parse("demo").expect("a workflow"),
            input: b"{}".to_vec(),
            idempotency: None,
            tenant: None,
            topic: topic("runs.commands"),
            group: GroupName::parse("workers").expect("a group"),
            policy: RetryPolicy { max_attempts: 3, ..RetryPolicy::default() },
            due: Due::Now,
            tags: Vec::new(),
        };
        self.ask(async move { broker.create_run(create).await }).expect("the run is created");
    }
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::parse(name).expect("a topic")
}

pub(crate) fn message(name: &str, value: &str) -> Produce {
    let content = Content { value: format!("\"{value}\"").into_bytes(), ..Content::default() };
    Produce {
        topic: topic(name),
        target_topic: None,
        key: String::new(),
        partition: None,
        content: content.encode(),
        policy: None,
        due: Due::Now,
        deadline: None,
        idempotency: None,
        tenant: None,
    }
}

pub(crate) fn consumer(name: &str, owner: &str, max_in_flight: u32) -> OpenConsumer {
    OpenConsumer {
        topic: topic(name),
        group: GroupName::parse("workers").expect("a group"),
        owner: OwnerId::parse(owner).expect("an owner"),
        lease: Millis(2_000),
        max_in_flight,
        start: Start::Earliest,
        worker_version: None,
    }
}

pub(crate) fn claim(name: &str, owner: &str, offset: u64) -> Claim {
    Claim {
        topic: topic(name),
        group: GroupName::parse("workers").expect("a group"),
        partition: PartitionId(0),
        offset: Offset(offset),
        owner: OwnerId::parse(owner).expect("an owner"),
        lease: None,
    }
}

/// Offsets and attempts of what was handed out.
pub(crate) fn told(deliveries: &Deliveries) -> Vec<(u64, u32)> {
    deliveries.peek().map(|delivery| (delivery.at.offset.0, delivery.attempt.0)).collect()
}

pub(crate) fn stopped(result: Result<(), EngineError>) -> EngineError {
    result.expect_err("the writer stops")
}
