//! Checkpoints that are taken piece by piece while the log goes on.

use driftq_core::*;
use std::fmt::Write as _;

/// A checkpoint that begins in the middle of the log and takes one piece of an entity every other record.
pub(crate) fn from_fuzzy_checkpoint(log: &[Record], empty: &State) -> State {
    let middle = log.len() / 2;
    let mut running = empty.clone();
    let mut chunks = Vec::new();
    let mut ids = Vec::new().into_iter();
    let mut begun = None;
    for (index, record) in log.iter().enumerate() {
        apply(&mut running, Position(index as u64 + 1), record);
        if index == middle {
            ids = running.entities().into_iter();
            chunks.extend(ids.next().and_then(|id| running.freeze(id, 0)).into_iter().flatten());
        }
        if index > middle && index % 2 == 0 {
            chunks.extend(next_piece(&mut begun, &mut ids, &running));
        }
    }
    while let Some(piece) = next_piece(&mut begun, &mut ids, &running) {
        chunks.push(piece);
    }
    let mut state = empty.clone();
    for chunk in &chunks {
        state.adopt(Entity::decode(chunk).expect("an entity survives its encoding"));
    }
    let from = usize::try_from(state.applied.0).expect("a test's log is short");
    for (index, record) in log.iter().enumerate().skip(from) {
        apply(&mut state, Position(index as u64 + 1), record);
    }
    state
}

/// The next piece of the entity that was begun, or of the next one there is.
fn next_piece(
    begun: &mut Option<Frozen>,
    ids: &mut dyn Iterator<Item = EntityId>,
    state: &State,
) -> Option<Vec<u8>> {
    loop {
        if let Some(piece) = begun.as_mut().and_then(Iterator::next) {
            return Some(piece);
        }
        *begun = state.freeze(ids.next()?, 0);
    }
}

/// A state, and the records that made it.
struct World {
    state: State,
    log: Vec<Record>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { state: State::new(Limits::default()), log: Vec::new() };
        world.put(Record::TimeAdvanced(TimeAdvanced { now: Instant(1_000), wall: WallTime(1_000_000) }));
        world.ask(Command::CreateTopic(CreateTopic::plain(orders(), None)));
        world
    }

    fn put(&mut self, record: Record) {
        let position = self.state.applied.next();
        apply(&mut self.state, position, &record);
        self.log.push(record);
    }

    fn ask(&mut self, command: Command) -> Reply {
        let (records, reply) = decide(&self.state, Entropy(7), command).expect("the command is fine");
        records.into_iter().for_each(|record| self.put(record));
        reply
    }

    /// Produces keyed messages, some of them delayed, some with a deadline.
    fn produce(&mut self, count: u64) {
        let from = self.state.applied.0;
        let one = |number: u64| Produce {
            topic: orders(),
            target_topic: None,
            key: String::new(),
            partition: None,
            content: Content { value: b"1".to_vec(), ..Content::default() }.encode(),
            policy: None,
            due: if number % 3 == 1 { Due::After(Millis(5 + number % 7)) } else { Due::Now },
            deadline: number.is_multiple_of(5).then_some(WallTime(2_000_000 + number)),
            idempotency: Some(IdempotencyKey {
                tenant: String::new(),
                key: number.to_string(),
                fingerprint: None,
            }),
            tenant: None,
        };
        self.ask(Command::Produce((from..from + count).map(one).collect()));
    }

    fn lease(&mut self, max: u32) -> Vec<Delivery> {
        let open = OpenGroup { topic: orders(), group: workers(), start: Start::Earliest };
        let Reply::Group { group, .. } = self.ask(Command::OpenGroup(open)) else { panic!("a group") };
        let lease = LeaseMessages {
            group,
            owner: ann(),
            lease: Millis(60_000),
            max,
            bytes_max: u64::MAX,
            worker_version: None,
        };
        let Reply::Leased(held) = self.ask(Command::Lease(lease)) else { panic!("leases") };
        held
    }

    /// Lets time pass, with all that becomes due.
    fn wait(&mut self, wait: Millis) {
        let (now, wall) = (self.state.now.after(wait), self.state.wall.after(wait));
        self.put(Record::TimeAdvanced(TimeAdvanced { now, wall }));
        loop {
            let due = decide_due(&self.state, Entropy(7), 512, &|_| true);
            if due.is_empty() {
                return;
            }
            due.into_iter().for_each(|record| self.put(record));
        }
    }

    /// Acks every other one out of order, and nacks one in three of the rest.
    fn settle(&mut self, held: &[Delivery]) {
        for (number, delivery) in held.iter().enumerate().rev() {
            match number % 6 {
                0 | 2 | 4 => {
                    self.ask(Command::Ack(Ack { claim: claim(delivery), result: None }));
                }
                1 => {
                    self.ask(Command::Nack(Box::new(Nack {
                        claim: claim(delivery),
                        error: ErrorInfo::default(),
                        retry_after: Some(Millis(number as u64 % 40)),
                        retryable: number.is_multiple_of(4),
                    })));
                }
                _ => {}
            }
        }
    }
}

fn claim(delivery: &Delivery) -> Claim {
    Claim {
        topic: orders(),
        group: workers(),
        partition: delivery.at.partition,
        offset: delivery.at.offset,
        owner: ann(),
        lease: Some(delivery.lease),
    }
}

fn orders() -> TopicName {
    TopicName::parse("orders").expect("a topic")
}

fn workers() -> GroupName {
    GroupName::parse("workers").expect("a group")
}

fn ann() -> OwnerId {
    OwnerId::parse("ann").expect("an owner")
}

/// Long lists of every kind change while their pieces are written.
#[test]
fn a_checkpoint_of_long_lists_in_small_pieces_and_the_log_behind_it_make_the_same_state() {
    let mut world = World::new();
    for round in 0..3 {
        world.produce(2_000);
        let held = world.lease(700);
        world.settle(&held);
        world.wait(Millis(4 + round));
        let held = world.lease(300);
        world.settle(&held);
    }
    check(&world.state).expect("every invariant holds");
    let fuzzy = from_fuzzy_checkpoint(&world.log, &State::new(Limits::default()));
    check(&fuzzy).expect("every invariant holds after the recovery");
    assert!(fuzzy == world.state, "a checkpoint and the log behind it make the same state");
}

#[test]
fn no_piece_of_a_checkpoint_has_more_entries_than_its_bound_and_a_chunk() {
    let mut world = World::new();
    world.produce(9_000);
    let held = world.lease(5_000);
    world.settle(&held);
    // The largest entry is a note or a lease of less than 64 bytes; a chunk has at most 512 entries.
    let bytes_max = (1_000 + 512) * 64;
    for id in world.state.entities() {
        let pieces: Vec<_> =
            world.state.freeze(id, 1_000).expect("it is there").map(|piece| piece.len()).collect();
        assert!(pieces.iter().all(|bytes| *bytes <= bytes_max), "{id:?} has pieces of {pieces:?} bytes");
    }
}

impl World {
    /// Creates a run, hands its command out, and stores a step of it.
    fn run(&mut self, id: &str) -> Delivery {
        let run_id = RunId::parse(id).expect("a run id");
        self.ask(Command::CreateRun(Box::new(CreateRun {
            run_id: run_id.clone(),
            workflow: WorkflowName::parse("demo").expect("a workflow"),
            input: b"{}".to_vec(),
            idempotency: None,
            tenant: Some(TenantId::parse("acme").expect("a tenant")),
            topic: orders(),
            group: workers(),
            policy: RetryPolicy { max_attempts: 1, ..RetryPolicy::default() },
            due: Due::Now,
            tags: vec!["blue".to_owned()],
        })));
        let held = self.lease(1).remove(0);
        let step = StepName::parse("fetch").expect("a step");
        let (lease, output) = (held.lease, b"1".to_vec());
        self.ask(Command::StoreStep(Box::new(StoreStep { run_id, step, lease, output, duration: None })));
        held
    }
}

/// A change of a line is another format: raise `CHECKPOINT_FORMAT` with it, and a start reads the log instead.
#[test]
fn a_change_of_what_an_entity_keeps_is_another_checkpoint_format() {
    let mut world = World::new();
    world.run("run_1");
    let held = world.run("run_2");
    world.ask(Command::Nack(Box::new(Nack {
        claim: claim(&held),
        error: ErrorInfo::default(),
        retry_after: None,
        retryable: true,
    })));
    world.produce(6);
    let held = world.lease(2);
    world.settle(&held);
    let mut text = format!("format {CHECKPOINT_FORMAT}\n");
    for id in world.state.entities() {
        for piece in world.state.freeze(id, 0).expect("it is there") {
            let hex: String = piece.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{id:?} {hex}").expect("a string takes it");
        }
    }
    expect_test::expect_file!["../../../../spec/formats/entities.golden"].assert_eq(&text);
}
