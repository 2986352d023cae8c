//! Planted bugs: an oracle that misses one of them is not worth its name.

use driftq_sim::{Bug, live, plan, shrink};

/// Within so many seeds each bug must be found.
const SEEDS_MAX: u64 = 2_000;

/// Runs seeds until one fails.
fn first_failing(bug: Bug) -> Option<u64> {
    (0..SEEDS_MAX).find(|seed| live(&plan(*seed), Some(bug)).failure.is_some())
}

#[test]
fn every_planted_bug_is_found() {
    std::panic::set_hook(Box::new(|_| {}));
    let found: Vec<(Bug, Option<u64>)> =
        Bug::all().into_iter().map(|bug| (bug, first_failing(bug))).collect();
    let _printing_again = std::panic::take_hook();
    for (bug, seed) in &found {
        println!("{}: {seed:?}", bug.name());
    }
    let missed: Vec<&str> =
        found.iter().filter(|(_, seed)| seed.is_none()).map(|(bug, _)| bug.name()).collect();
    assert_eq!(missed, [""; 0], "planted bugs that {SEEDS_MAX} seeds did not find");
    assert!(found.len() >= 25, "there are {} planted bugs", found.len());
}

#[test]
fn a_failing_plan_shrinks_to_a_few_steps() {
    let bug = Bug::named("ack-dropped").expect("a planted bug");
    std::panic::set_hook(Box::new(|_| {}));
    let seed = first_failing(bug).expect("a seed that finds it");
    let whole = plan(seed);
    let small = shrink(&whole, Some(bug), 1_000);
    let _printing_again = std::panic::take_hook();
    assert!(live(&small, Some(bug)).failure.is_some());
    assert_eq!(live(&small, None).failure, None, "without the bug the plan is sound");
    assert!(small.ops.len() < whole.ops.len().min(20), "{} steps are left", small.ops.len());
}
