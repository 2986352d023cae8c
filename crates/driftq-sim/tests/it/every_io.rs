//! A crash at every call of the disk, and again inside the recovery from it.

use driftq_sim::{Op, Plan, live, plan};

/// Steps of the plans that are cut everywhere.
const STEPS: usize = 18;
/// Plans that are cut everywhere.
const PLANS: u64 = 4;
/// Disk calls at which each is cut; a short plan makes fewer.
const CALLS_MAX: u64 = 250;

/// A short plan without faults, over a log that writes checkpoints all the time.
fn short(seed: u64) -> Plan {
    let mut plan = plan(seed);
    plan.setup.checkpoint_bytes = 400;
    plan.ops.retain(|op| {
        !matches!(
            op,
            Op::Crash { .. }
                | Op::CrashAt { .. }
                | Op::CrashAgainAt { .. }
                | Op::FailSync { .. }
                | Op::FailWrite { .. }
                | Op::Stutter { .. }
                | Op::Fill { .. }
                | Op::Drain
                | Op::Restart
        )
    });
    plan.ops.truncate(STEPS);
    plan
}

fn cut_at(plan: &Plan, n: u64, power: bool, again: Option<u64>) -> Plan {
    let mut cut = plan.clone();
    cut.ops.insert(0, Op::CrashAt { n, power });
    if let Some(n) = again {
        cut.ops.insert(0, Op::CrashAgainAt { n });
    }
    cut
}

#[test]
fn a_crash_at_any_call_of_the_disk_breaks_no_promise() {
    for seed in 0..PLANS {
        let plan = short(seed);
        for n in 1..=CALLS_MAX {
            let cut = cut_at(&plan, n, n % 2 == 0, None);
            assert_eq!(live(&cut, None).failure, None, "cut at call {n}:\n{cut}");
        }
    }
}

#[test]
fn a_second_crash_at_any_call_of_the_recovery_breaks_no_promise() {
    for seed in 0..PLANS {
        let plan = short(seed);
        for n in 1..=CALLS_MAX {
            let cut = cut_at(&plan, 1 + n % 60, n % 3 != 0, Some(n));
            assert_eq!(live(&cut, None).failure, None, "cut again at call {n}:\n{cut}");
        }
    }
}
