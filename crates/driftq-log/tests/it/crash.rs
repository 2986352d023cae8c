//! A crash at every call to the disk, and again inside the recovery.
//!
//! The oracle knows only what the log answered: what it called durable must be there, in the same bytes;
//! what it never appended must not; between the two any prefix is right.

use std::time::Duration;

use driftq_log::conformance::read_from;
use driftq_log::{Batch, Fault, FaultyDisk, Log, LogError, LogReader, Operation, Position, Wal};

use crate::util;

/// Plans in the quick pass, and those where every crash in every recovery is played.
const PLANS: u64 = 200;
const PLANS_NESTED: u64 = 6;
/// Logs that live through many faults, and how often each is opened.
const LIVES_SEEDS: u64 = 2000;
const LIVES: u64 = 12;

/// What the test knows about the log.
#[derive(Clone, Debug, Default)]
struct Oracle {
    /// Everything that may be there, in order.
    appended: Vec<Vec<u8>>,
    /// How many of them must be.
    durable: u64,
    /// Nothing from here on may be released.
    released_before: u64,
    opened: u32,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

impl Oracle {
    fn batch(&self, random: &mut Random) -> Batch {
        let mut batch = Batch::new();
        for number in 0..=random.below(4) {
            let position = self.appended.len() as u64 + number + 1;
            let size = random.below(180) as usize;
            let mut record = format!("{position}/{}/", self.opened).into_bytes();
            record.extend((0..size).map(|_| random.below(256) as u8));
            batch.push(&record);
        }
        batch
    }

    /// Runs one plan on the disk until it is through or the disk stops.
    fn run(&mut self, disk: &FaultyDisk, seed: u64) -> Result<(), LogError> {
        let mut random = Random(seed);
        let (mut log, _) = util::try_open(disk)?;
        self.opened_with(&log)?;
        for _ in 0..12 {
            match random.below(8) {
                0..=3 => {
                    let batch = self.batch(&mut random);
                    // It may be there from now on, whatever the answer.
                    self.appended.extend(batch.iter().map(<[u8]>::to_vec));
                    assert_eq!(log.append(&batch)?, Position(self.appended.len() as u64));
                }
                4 | 5 => self.durable = log.wait(log.durable(), Duration::ZERO)?.0,
                6 => {
                    log.mark()?;
                    self.durable = log.durable().0;
                }
                _ => {
                    self.released_before = log.durable().0 / 2;
                    log.release(Position(self.released_before))?;
                }
            }
        }
        if random.below(2) == 0 {
            log.close()?;
        } else {
            log.wait(log.durable(), Duration::ZERO)?;
        }
        self.durable = self.appended.len() as u64;
        Ok(())
    }

    /// Checks an opened log, and takes what it serves for durable.
    fn opened_with(&mut self, log: &Wal<FaultyDisk>) -> Result<(), LogError> {
        let (last, reader) = (log.last().0, log.reader());
        assert!(last >= self.durable, "{} were durable, {last} are left", self.durable);
        assert!(last <= self.appended.len() as u64, "{last} are more than were appended");
        let first = reader.first();
        assert!(first.0 <= self.released_before.max(1), "{first} is above what was released");
        let found = read_from(&reader, first)?;
        let expected: Vec<_> =
            (first.0..=last).map(|at| (Position(at), self.appended[at as usize - 1].clone())).collect();
        assert_eq!(found, expected);
        self.appended.truncate(last as usize);
        self.durable = last;
        self.opened += 1;
        Ok(())
    }
}

/// Plays the plan with a stop at call `n` of its last round; says whether it got through before that.
fn play(seed: u64, n: u64) -> (FaultyDisk, Oracle, bool) {
    let mut disk = FaultyDisk::new(seed ^ (n << 20));
    let mut oracle = Oracle::default();
    for round in 0..seed % 3 {
        oracle.run(&disk, seed + round * 1000).expect("no fault was planned");
        disk = if seed.is_multiple_of(2) { disk.after_kill() } else { disk.after_crash() };
    }
    disk.stop_at(n);
    let through = match oracle.run(&disk, seed + 7777) {
        Ok(()) => true,
        Err(LogError::Fatal { .. } | LogError::Retry { .. }) => false,
        Err(error) => panic!("a crash is no {error:?}"),
    };
    (disk, oracle, through)
}

/// Opens the log in a good world and checks it, twice, since the first opening must not depend on luck.
fn check_twice(disk: &FaultyDisk, oracle: &mut Oracle, story: &str) {
    let mut disk = disk.clone();
    for _ in 0..2 {
        let (log, _) = util::try_open(&disk).unwrap_or_else(|error| panic!("{story}: {error}"));
        oracle.opened_with(&log).expect("a sound log");
        disk = disk.after_crash();
    }
}

/// Stops the plan at each of its calls; returns how many there were.
fn crash_everywhere(seed: u64) -> u64 {
    for n in 1.. {
        let (disk, mut oracle, through) = play(seed, n);
        let killed = n % 2 == 0;
        let next = if killed { disk.after_kill() } else { disk.after_crash() };
        let story = format!("plan {seed}, stopped at call {n} (killed: {killed})");
        check_twice(&next, &mut oracle, &story);
        if through {
            return n;
        }
    }
    unreachable!("a plan ends")
}

#[test]
fn p01_a_crash_at_every_call_loses_nothing_durable() {
    let points: u64 = (0..PLANS).map(crash_everywhere).sum();
    assert!(points > PLANS * 30, "only {points} crashes were played");
}

#[test]
fn p01_a_crash_in_the_recovery_from_a_crash_loses_nothing_durable() {
    let mut points = 0_u64;
    for seed in 0..PLANS_NESTED {
        for m in 1.. {
            // Every third call of the plan, each time with a stop at call `m` of the opening after it.
            let mut reached = false;
            for n in (1 + m % 3..).step_by(3) {
                let (disk, mut oracle, through) = play(seed, n);
                let next = if (n + m) % 2 == 0 { disk.after_kill() } else { disk.after_crash() };
                next.stop_at(m);
                reached |= util::try_open(&next).is_err();
                let story = format!("plan {seed}, stopped at call {n}, then at call {m} of the opening");
                let next = if m % 2 == 0 { next.after_kill() } else { next.after_crash() };
                check_twice(&next, &mut oracle, &story);
                points += 1;
                if through {
                    break;
                }
            }
            if !reached {
                break;
            }
        }
    }
    assert!(points > PLANS_NESTED * 500, "only {points} crashes were played");
}

/// Many lives of one log: each ends by a fault, a kill, a power cut or in order.
#[test]
fn many_lives_with_random_faults_lose_nothing_durable() {
    for seed in 0..LIVES_SEEDS {
        let mut random = Random(seed);
        let mut disk = FaultyDisk::new(seed);
        let mut oracle = Oracle::default();
        for life in 0..LIVES {
            if random.below(3) > 0 {
                let operation = [Operation::Write, Operation::Sync, Operation::SyncFolder, Operation::Resize]
                    [random.below(4) as usize];
                let at = 1 + random.below(20);
                disk.plan(operation, at, Fault::Error);
                disk.plan(operation, at + 1, Fault::Error);
            }
            if random.below(3) == 0 {
                disk.stop_at(1 + random.below(150));
            }
            disk.stutter([0, 3][random.below(2) as usize]);
            match oracle.run(&disk, seed * 1000 + life) {
                Ok(()) | Err(LogError::Fatal { .. } | LogError::Retry { .. }) => {}
                Err(error) => panic!("seed {seed}, life {life}: {error}"),
            }
            disk = if random.below(2) == 0 { disk.after_kill() } else { disk.after_crash() };
        }
        check_twice(&disk, &mut oracle, &format!("seed {seed}"));
    }
}

#[test]
fn the_same_seed_leaves_the_same_bytes() {
    for n in [5, 40, 90] {
        let files = |(disk, _, _): (FaultyDisk, Oracle, bool)| {
            let disk = disk.after_crash();
            disk.files().into_iter().map(|name| (disk.contents(&name), name)).collect::<Vec<_>>()
        };
        assert_eq!(files(play(3, n)), files(play(3, n)));
    }
}
