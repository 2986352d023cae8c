//! Every order of a few deeds, to the end: three messages, two workers, two attempts.
//!
//! States that look alike to everybody outside are visited once, so the search ends by itself.

use driftq_core::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const MESSAGES: u64 = 3;

#[derive(Clone)]
struct Walk {
    state: State,
    /// Who was told that his ack counts.
    acked: BTreeSet<u64>,
    /// Dead letters seen in the facts.
    dead: BTreeMap<u64, u32>,
    /// The newest attempt that anybody was handed.
    attempts: BTreeMap<u64, u32>,
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Lease(&'static str),
    Ack(&'static str, u64),
    Nack(&'static str, u64, bool),
    Extend(&'static str, u64),
    GiveBack,
    Pass(u64),
}

fn deeds() -> Vec<Deed> {
    let mut deeds = vec![Deed::GiveBack, Deed::Pass(1_000), Deed::Pass(2_000)];
    for owner in ["ann", "bob"] {
        deeds.push(Deed::Lease(owner));
        for offset in 0..MESSAGES {
            deeds.extend([
                Deed::Ack(owner, offset),
                Deed::Nack(owner, offset, true),
                Deed::Nack(owner, offset, false),
                Deed::Extend(owner, offset),
            ]);
        }
    }
    deeds
}

impl Walk {
    fn begin() -> Self {
        let state = State::new(Limits::default());
        let mut walk =
            Self { state, acked: BTreeSet::new(), dead: BTreeMap::new(), attempts: BTreeMap::new() };
        let name = TopicName::parse("orders").expect("a topic");
        walk.ask(Command::CreateTopic(CreateTopic::plain(name.clone(), None)));
        let policy = RetryPolicy { max_attempts: 2, backoff: Millis(1_000), ..RetryPolicy::default() };
        for _ in 0..MESSAGES {
            walk.ask(Command::Produce(vec![Produce {
                topic: name.clone(),
                target_topic: None,
                key: String::new(),
                partition: None,
                content: Content::default().encode(),
                policy: Some(policy),
                due: Due::Now,
                deadline: None,
                idempotency: None,
                tenant: None,
            }]));
        }
        let group = GroupName::parse("workers").expect("a group");
        walk.ask(Command::OpenGroup(OpenGroup { topic: name, group, start: Start::Earliest }));
        walk
    }

    fn commit(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Delivered(fact) => {
                    assert!(!self.acked.contains(&fact.of.offset.0), "an acked message came again");
                    assert!(!self.dead.contains_key(&fact.of.offset.0), "a dead message came again");
                    self.attempts.insert(fact.of.offset.0, fact.attempt.0);
                    assert!(fact.attempt.0 <= 2);
                }
                Record::Acked(fact) => assert!(self.acked.insert(fact.of.offset.0), "acked twice"),
                Record::DeadLettered(fact) => *self.dead.entry(fact.original.offset.0).or_default() += 1,
                _ => {}
            }
            let position = self.state.applied.next();
            apply(&mut self.state, position, record);
        }
        assert_eq!(check(&self.state), Ok(()));
        assert!(self.dead.iter().all(|(offset, count)| *count == 1 && !self.acked.contains(offset)));
    }

    fn ask(&mut self, command: Command) {
        let before = self.state.clone();
        match decide(&self.state, Entropy(1), command) {
            Ok((records, _)) => self.commit(&records),
            Err(_) => assert!(before == self.state, "a refusal changed something"),
        }
    }

    fn act(&mut self, deed: Deed) {
        let claim = |owner: &str, offset| Claim {
            topic: TopicName::parse("orders").expect("a topic"),
            group: GroupName::parse("workers").expect("a group"),
            partition: PartitionId(0),
            offset: Offset(offset),
            owner: OwnerId::parse(owner).expect("an owner"),
            lease: None,
        };
        match deed {
            Deed::Lease(owner) => self.ask(Command::Lease(LeaseMessages {
                group: GroupId(0),
                owner: OwnerId::parse(owner).expect("an owner"),
                lease: Millis(2_000),
                max: 1,
                bytes_max: u64::MAX,
                worker_version: None,
            })),
            Deed::Ack(owner, offset) => {
                self.ask(Command::Ack(Ack { claim: claim(owner, offset), result: None }))
            }
            Deed::Nack(owner, offset, retryable) => self.ask(Command::Nack(Box::new(Nack {
                claim: claim(owner, offset),
                error: ErrorInfo::default(),
                retry_after: None,
                retryable,
            }))),
            Deed::Extend(owner, offset) => {
                self.ask(Command::Extend(Extend { claim: claim(owner, offset), lease: Millis(2_000) }));
            }
            Deed::GiveBack => {
                let held = self.pending().filter_map(|(offset, pending)| match pending {
                    Pending::Leased(lease) => Some(Held { of: of(offset), lease: lease.id }),
                    Pending::Waiting(_) => None,
                });
                let held = held.collect();
                self.ask(Command::GiveBack(held));
            }
            Deed::Pass(ms) => self.pass(ms),
        }
    }

    fn pass(&mut self, ms: u64) {
        let now = Instant(self.state.now.0 + ms);
        self.commit(&[Record::TimeAdvanced(TimeAdvanced { now, wall: WallTime(now.0) })]);
        loop {
            let due = decide_due(&self.state, Entropy(1), 1, &|_| true);
            if due.is_empty() {
                return;
            }
            self.commit(&due);
        }
    }

    fn pending(&self) -> impl Iterator<Item = (Offset, Pending)> {
        self.state.groups[&GroupId(0)].partitions[0].pending()
    }

    /// What an outsider can tell: times are relative, ids and positions do not count.
    fn outside(&self) -> String {
        let progress = &self.state.groups[&GroupId(0)].partitions[0];
        let now = self.state.now;
        let standing = (0..MESSAGES).map(|offset| match progress.pending_at(Offset(offset)) {
            Some(Pending::Leased(lease)) => {
                format!("L{}{}:{} ", lease.owner.as_str(), lease.attempt, now.until(lease.until))
            }
            Some(Pending::Waiting(waiting)) => format!("W{}:{} ", waiting.attempts, now.until(waiting.due)),
            None if progress.is_settled(Offset(offset)) => "S ".to_owned(),
            None => "U ".to_owned(),
        });
        let standing: String = standing.collect();
        format!("{standing}{:?} {:?}", self.acked, self.dead.keys())
    }
}

fn of(offset: Offset) -> MessageOf {
    MessageOf { group: GroupId(0), partition: PartitionId(0), offset }
}

#[test]
fn every_order_of_deeds_keeps_every_promise() {
    let deeds = deeds();
    let first = Walk::begin();
    let mut seen = BTreeSet::from([first.outside()]);
    let mut queue = VecDeque::from([first]);
    let mut ended = 0;
    while let Some(walk) = queue.pop_front() {
        let is_over = walk.acked.len() + walk.dead.len() == usize::try_from(MESSAGES).expect("few");
        ended += u32::from(is_over);
        for deed in &deeds {
            let mut next = walk.clone();
            next.act(*deed);
            if seen.insert(next.outside()) {
                queue.push_back(next);
            }
        }
    }
    assert!(seen.len() > 1_000, "the search went somewhere: {}", seen.len());
    assert_eq!(ended, 8, "each message ends acked or dead, in every combination");
}
