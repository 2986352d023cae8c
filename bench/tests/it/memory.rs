//! The sums of memory: what the broker's state may cost, weighed in a process of its own.

use std::process::Command;

#[test]
fn p18_every_sum_of_memory_is_kept() {
    let weighed = Command::new(env!("CARGO_BIN_EXE_driftq-memory")).output().expect("it starts");
    let told = String::from_utf8_lossy(&weighed.stdout);
    assert!(weighed.status.success(), "a sum is exceeded:\n{told}");
    assert_eq!(told.lines().count(), 10, "every sum is told:\n{told}");
    assert!(told.lines().all(|line| line.ends_with(" met")), "every sum is kept:\n{told}");
}
