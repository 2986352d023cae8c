//! Seeds: fresh ones, and those that once failed.

use driftq_sim::{Batch, Plan, live, plan};
use std::time::{SystemTime, UNIX_EPOCH};

/// Fresh seeds of one run.
const FRESH: u64 = 1_000;
/// Lives that the shrinking of a failure may cost.
const SHRINK_LIVES: usize = 1_500;

/// Seeds that once failed, each with what it showed.
const REGRESSIONS: &[(u64, &str)] = &[
    (3, "a group that starts behind the newest message, beside delayed ones, has no lag"),
    (69, "two messages with one key that are acked at one instant are one use of it"),
    (85, "a turn of many requests asks for no more room than a log can hold"),
    (1_034, "a broker on a full disk sleeps between its questions for room"),
    (2_144, "a timeline's event is dead-lettered and redriven like a message"),
    (17_342, "a run's command that another group gave up is a message, not the run"),
    (1_206, "a broker on a full disk sleeps between its questions for room"),
];

/// `DRIFTQ_SIM_SEED`, or one that no run had before.
fn base() -> u64 {
    let given = std::env::var("DRIFTQ_SIM_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
        now.as_secs() * FRESH
    })
}

#[test]
fn fresh_seeds_keep_every_promise_and_meet_every_mark() {
    let base = base();
    println!("seeds from {base}; again with DRIFTQ_SIM_SEED={base}");
    let mut batch = Batch::default();
    for seed in base..base + FRESH {
        if !batch.live(seed, None) {
            let failure = batch.failure.take().expect("a life that failed says how");
            panic!("{}", failure.shrunk(None, SHRINK_LIVES));
        }
    }
    println!("{batch}");
    assert_eq!(batch.marks.unhit(), [""; 0], "marks that nothing hit");
}

#[test]
fn seeds_that_once_failed_pass() {
    for (seed, what) in REGRESSIONS {
        let report = live(&plan(*seed), None);
        assert_eq!(report.failure, None, "seed {seed}: {what}");
    }
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    for seed in 0..20 {
        let (one, other) = (live(&plan(seed), None), live(&plan(seed), None));
        assert_eq!((one.digest, one.turns, one.marks), (other.digest, other.turns, other.marks));
        assert!(one.records > 0, "seed {seed} did nothing");
    }
}

#[test]
fn a_plan_reads_back_as_it_was_printed() {
    for seed in 0..50 {
        let plan = plan(seed);
        let again: Plan = plan.to_string().parse().expect("a printed plan");
        assert_eq!(again, plan);
    }
}
