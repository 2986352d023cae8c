//! Ten thousand dead letters on virtual time: the rate, the counts and the restarts of a bulk redrive.

use driftq_core::*;
use std::collections::{BTreeMap, BTreeSet};

const COUNT: u64 = 10_000;
const LEASED_AT_ONCE: u32 = 500;
/// What may come beside the rate: the first message of a stretch, and a moment's lateness made up for.
const SLACK: usize = 11;

/// A broker's core, its log, and when each message was moved.
struct World {
    state: State,
    log: Vec<Vec<u8>>,
    moves: Vec<(u64, MessageAt)>,
    group: GroupId,
}

impl World {
    fn new() -> Self {
        let state = State::new(Limits::default());
        let mut world = Self { state, log: Vec::new(), moves: Vec::new(), group: GroupId(0) };
        world.commit(vec![Record::Started(Started { epoch: 1, release: "test".into() })]);
        world.reach(1_000);
        world
    }

    fn commit(&mut self, records: Vec<Record>) {
        for record in records {
            if let Record::ClosingNoted(note) = &record {
                self.moves.push((self.state.now.0, note.at));
            }
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            self.log.push(bytes);
            apply(&mut self.state, Position(self.log.len() as u64), &record);
        }
    }

    fn ask(&mut self, command: Command) -> Reply {
        let (records, reply) = decide(&self.state, Entropy(1), command).expect("the command is fit");
        self.commit(records);
        reply
    }

    /// Lets time go on from one due moment to the next, until `now`.
    fn reach(&mut self, now: u64) {
        loop {
            let due = [self.state.next_instant(self.state.now), self.state.next_job()];
            let next = due.into_iter().flatten().min().map_or(now, |at| at.0.clamp(self.state.now.0, now));
            let time = TimeAdvanced { now: Instant(next), wall: WallTime(next + 1_000_000) };
            self.commit(vec![Record::TimeAdvanced(time)]);
            loop {
                let mut records = decide_due(&self.state, Entropy(1), 512, &|_| true);
                if records.is_empty() {
                    records = decide_jobs(&self.state, Entropy(1), 512);
                }
                if records.is_empty() {
                    break;
                }
                self.commit(records);
            }
            if next >= now {
                return;
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.reach(self.state.now.0 + ms);
    }

    /// What a start makes of the log: the same state, and the same jobs.
    fn kill(&mut self) {
        let mut again = State::new(self.state.limits);
        for (bytes, position) in self.log.iter().zip(1..) {
            let record = Record::decode(bytes).expect("a record survives its encoding");
            apply(&mut again, Position(position), &record);
        }
        assert!(again == self.state, "the log makes the same state again");
        self.state = again;
        self.commit(vec![Record::Started(Started { epoch: self.state.epoch + 1, release: "test".into() })]);
    }

    fn topic(&self) -> TopicName {
        TopicName::parse("orders").expect("a topic")
    }

    /// Leases what is due and settles each with `settle`; answers how many.
    fn work(&mut self, settle: impl Fn(u64) -> Result<(), &'static str>) -> usize {
        let ask = LeaseMessages {
            group: self.group,
            owner: OwnerId::parse("ann").expect("an owner"),
            lease: Millis(60_000),
            max: LEASED_AT_ONCE,
            bytes_max: u64::MAX,
            worker_version: None,
        };
        let Reply::Leased(leased) = self.ask(Command::Lease(ask)) else { panic!("leases were asked for") };
        for (delivery, number) in leased.iter().zip(0..) {
            let claim = Claim {
                topic: self.topic(),
                group: GroupName::parse("workers").expect("a group"),
                partition: delivery.at.partition,
                offset: delivery.at.offset,
                owner: OwnerId::parse("ann").expect("an owner"),
                lease: Some(delivery.lease),
            };
            let command = match settle(number) {
                Ok(()) => Command::Ack(Ack { claim, result: None }),
                Err(message) => {
                    let error = ErrorInfo { message: message.into(), kind: None, stack: None };
                    Command::Nack(Box::new(Nack { claim, error, retry_after: None, retryable: false }))
                }
            };
            self.ask(command);
        }
        leased.len()
    }

    /// Makes ten thousand dead letters; one in four has another error.
    fn fail_all(&mut self) {
        let name = self.topic();
        self.ask(Command::CreateTopic(CreateTopic::plain(name.clone(), Some(4))));
        let open = OpenGroup {
            topic: name.clone(),
            group: GroupName::parse("workers").expect("a group"),
            start: Start::Earliest,
        };
        let Reply::Group { group, .. } = self.ask(Command::OpenGroup(open)) else {
            panic!("a group was asked for")
        };
        self.group = group;
        for number in 0..COUNT {
            let message = Produce {
                topic: name.clone(),
                target_topic: None,
                key: format!("k{number}"),
                partition: None,
                content: Content { value: b"1".to_vec(), ..Content::default() }.encode(),
                policy: None,
                due: Due::Now,
                deadline: None,
                idempotency: None,
                tenant: None,
            };
            self.ask(Command::Produce(vec![message]));
        }
        while self.work(|number| Err(if number % 4 == 0 { "no user 'ann'" } else { "timeout after 5 s" })) > 0
        {
        }
        self.moves.clear();
    }

    fn start(&mut self, rate: u32) -> JobNo {
        let spec = RedriveSpec {
            filter: DeadLetterFilter { topic: Some(self.topic()), ..DeadLetterFilter::default() },
            rate_milli: rate * 1_000,
            canary: None,
            stop_share: None,
        };
        let start = StartRedriveJob { spec, idempotency: None, actor: Some("eve".into()), reason: None };
        match self.ask(Command::StartRedriveJob(Box::new(start))) {
            Reply::RedriveJob { job, .. } => job,
            other => panic!("a job was asked for: {other:?}"),
        }
    }

    fn control(&mut self, job: JobNo, act: JobAct) {
        self.ask(Command::ControlRedriveJob(ControlRedriveJob { job, act, actor: None, reason: None }));
    }

    fn job(&self, job: JobNo) -> &RedriveJob {
        self.state.redrive_job(job).expect("the job is kept")
    }

    /// The most messages that were moved within any ten seconds.
    fn most_in_ten_seconds(&self) -> usize {
        let times: Vec<u64> = self.moves.iter().map(|(at, _)| *at).collect();
        let within = |(index, from): (usize, &u64)| times[index..].partition_point(|at| *at < from + 10_000);
        times.iter().enumerate().map(within).max().unwrap_or(0)
    }
}

#[test]
fn ten_thousand_dead_letters_are_redriven_at_a_rate_watched_stopped_and_gone_on_with() {
    let mut world = World::new();
    world.fail_all();
    let kinds = world.state.dead_letter_kinds(&DeadLetterFilter::default(), None, 10).items;
    assert_eq!(kinds.iter().map(|kind| kind.count).collect::<Vec<_>>(), [7_500, 2_500]);
    assert_eq!(world.state.dead_letters_open(), COUNT);

    let job = world.start(50);
    world.pass(20_000);
    assert_eq!(world.job(job).moved, 1_001, "50 a second, from the first moment on");
    while world.work(|number| if number % 10 == 0 { Err("still bad") } else { Ok(()) }) > 0 {}
    let (moved, failed) = (world.job(job).moved, world.job(job).failed);
    assert_eq!((world.job(job).succeeded, world.job(job).waiting()), (moved - failed, 0));
    assert!(failed >= moved / 10, "{failed} of {moved}");

    world.control(job, JobAct::Pause);
    world.pass(60_000);
    assert_eq!(world.job(job).moved, moved, "a paused job moves nothing");
    world.control(job, JobAct::Resume);
    world.pass(10_000);
    assert!((498..=501).contains(&(world.job(job).moved - moved)), "no burst after a pause");

    let moved = world.job(job).moved;
    world.kill();
    assert_eq!(check(&world.state), Ok(()));
    world.pass(10_000);
    assert!((499..=501).contains(&(world.job(job).moved - moved)), "a start goes on where it was killed");

    world.control(job, JobAct::Stop);
    let moved = world.job(job).moved;
    world.pass(60_000);
    assert_eq!(world.job(job).moved, moved, "a stopped job moves nothing");

    let rest = world.start(50);
    assert_eq!(
        world.job(rest).matched,
        COUNT - moved + failed,
        "what is open is covered, what died again included"
    );
    world.pass(300_000);
    while world.work(|_| Ok(())) > 0 {}
    world.pass(1);
    assert_eq!(world.job(rest).status, JobStatus::Done);
    assert_eq!(world.job(rest).succeeded, world.job(rest).matched);
    assert_eq!(world.job(job).waiting(), 0, "what a stopped job had moved is followed to its end");
    assert_eq!(world.state.dead_letters_open(), 0);
    assert!(world.most_in_ten_seconds() <= 500 + SLACK, "{}", world.most_in_ten_seconds());
    let once: BTreeSet<MessageAt> = world.moves.iter().map(|(_, at)| *at).collect();
    assert_eq!(once.len(), world.moves.len(), "nothing is moved twice");
    assert_eq!(check(&world.state), Ok(()));
}

#[test]
fn a_job_that_was_held_up_does_not_make_up_for_it_in_a_burst() {
    let mut world = World::new();
    world.fail_all();
    let job = world.start(1_000);
    // The writer was busy for a second.
    let late = TimeAdvanced { now: Instant(world.state.now.0 + 1_000), wall: WallTime(2_000_000) };
    world.commit(vec![Record::TimeAdvanced(late)]);
    world.pass(1);
    let moved = world.job(job).moved;
    assert!((200..=203).contains(&moved), "a moment's lateness is made up for, no more: {moved}");
    world.pass(1_000);
    assert!((990..=1_010).contains(&(world.job(job).moved - moved)));
}

#[test]
fn two_jobs_over_the_same_dead_letters_move_each_once() {
    let mut world = World::new();
    world.fail_all();
    let jobs = [world.start(10_000), world.start(10_000)];
    world.pass(2_000);
    let moved = jobs.map(|job| world.job(job).moved);
    assert_eq!(moved.iter().sum::<u64>(), COUNT);
    assert!(moved.iter().all(|moved| *moved > COUNT / 4), "they take turns: {moved:?}");
    let mut times: BTreeMap<MessageAt, u32> = BTreeMap::new();
    for (_, at) in &world.moves {
        *times.entry(*at).or_default() += 1;
    }
    assert!(times.values().all(|times| *times == 1));
    while world.work(|_| Ok(())) > 0 {}
    world.pass(10);
    for job in jobs {
        let job = world.job(job);
        assert_eq!((job.status, job.skipped()), (JobStatus::Done, job.matched - job.moved));
    }
}
