//! A state to be measured, made by commands as the broker makes it: each record is read back from its bytes first.

use driftq_core::*;

/// The topic that most scenes use.
pub(crate) const TOPIC: &str = "orders";
/// The topic of runs' commands.
pub(crate) const COMMANDS: &str = "runs.commands";

/// A state that grows.
pub(crate) struct World {
    pub(crate) state: State,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self { state: State::new(Limits::default()) };
        world.put(Record::TimeAdvanced(TimeAdvanced {
            now: Instant(1_000),
            wall: WallTime(1_700_000_000_000),
        }));
        world.create_topic(TOPIC);
        world
    }

    fn put(&mut self, record: Record) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let record = Record::decode(&bytes).expect("a record is read back");
        let position = self.state.applied.next();
        apply(&mut self.state, position, &record);
    }

    pub(crate) fn ask(&mut self, command: Command) -> Reply {
        let (records, reply) = decide(&self.state, Entropy(1), command).expect("the command is fine");
        records.into_iter().for_each(|record| self.put(record));
        reply
    }

    pub(crate) fn create_topic(&mut self, name: &str) {
        self.ask(Command::CreateTopic(CreateTopic::plain(topic(name), None)));
    }

    pub(crate) fn produce(&mut self, message: Produce) {
        self.ask(Command::Produce(vec![message]));
    }

    pub(crate) fn open_group(&mut self, name: &str) -> GroupId {
        let open = OpenGroup { topic: topic(name), group: group(), start: Start::Earliest };
        match self.ask(Command::OpenGroup(open)) {
            Reply::Group { group, .. } => group,
            other => unreachable!("a group is opened, not {other:?}"),
        }
    }

    pub(crate) fn lease(&mut self, name: &str, max: u32, lease: Millis) -> Vec<Delivery> {
        let group = self.open_group(name);
        let owner = owner();
        let ask = LeaseMessages { group, owner, lease, max, bytes_max: u64::MAX, worker_version: None };
        match self.ask(Command::Lease(ask)) {
            Reply::Leased(held) => held,
            other => unreachable!("messages are leased, not {other:?}"),
        }
    }

    pub(crate) fn ack(&mut self, name: &str, offset: u64) {
        self.ask(Command::Ack(Ack { claim: claim(name, offset), result: None }));
    }

    pub(crate) fn nack(&mut self, offset: u64, retry_after: Millis) {
        self.ask(Command::Nack(Box::new(Nack {
            claim: claim(TOPIC, offset),
            error: ErrorInfo::default(),
            retry_after: Some(retry_after),
            retryable: true,
        })));
    }
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::parse(name).expect("a topic")
}

pub(crate) fn group() -> GroupName {
    GroupName::parse("workers").expect("a group")
}

fn owner() -> OwnerId {
    OwnerId::parse("worker-1").expect("an owner")
}

fn claim(name: &str, offset: u64) -> Claim {
    Claim {
        topic: topic(name),
        group: group(),
        partition: PartitionId(0),
        offset: Offset(offset),
        owner: owner(),
        lease: None,
    }
}

/// A plain message.
pub(crate) fn message() -> Produce {
    Produce {
        topic: topic(TOPIC),
        target_topic: None,
        key: String::new(),
        partition: None,
        content: Content { value: b"12345678".to_vec(), ..Content::default() }.encode(),
        policy: Some(RetryPolicy { max_attempts: 3, ..RetryPolicy::default() }),
        due: Due::Now,
        deadline: None,
        idempotency: None,
        tenant: None,
    }
}
