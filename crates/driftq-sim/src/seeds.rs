//! Many lives: a batch of seeds, what it met, and the first that failed.
//!
//! Promise: one seed in a hundred is lived twice and must leave the same trace; a failure is told with its seed and its
//! plan, made small.

use crate::bugs::Bug;
use crate::life::{Report, live};
use crate::marks::Marks;
use crate::plan::Plan;
use crate::shrink::shrink;
use crate::workload::plan;
use std::fmt;

/// One seed in so many is lived twice.
const TWICE_ONE_IN: u64 = 100;
/// How many of the rarest marks are told.
const RAREST: usize = 6;

/// What a batch came to.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Seeds lived.
    pub seeds: u64,
    /// Steps of their plans.
    pub steps: u64,
    /// Turns of their brokers.
    pub turns: u64,
    /// Records of their logs.
    pub records: u64,
    /// What they met.
    pub marks: Marks,
    /// The first failure.
    pub failure: Option<Failure>,
}

/// A life that went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What went wrong.
    pub why: String,
    /// At which step of its plan.
    pub step: usize,
    /// Its plan.
    pub plan: Plan,
}

impl Batch {
    /// Lives one seed; answers whether it went well.
    pub fn live(&mut self, seed: u64, bug: Option<Bug>) -> bool {
        let plan = plan(seed);
        let report = live(&plan, bug);
        self.add(&plan, &report);
        let mut failure = report.failure.clone();
        if failure.is_none() && seed.is_multiple_of(TWICE_ONE_IN) && live(&plan, bug).digest != report.digest
        {
            failure = Some((0, "the same plan left another trace the second time".to_owned()));
        }
        if let Some((step, why)) = failure {
            self.failure = Some(Failure { seed, why, step, plan });
        }
        self.failure.is_none()
    }

    fn add(&mut self, plan: &Plan, report: &Report) {
        self.seeds += 1;
        self.steps += plan.ops.len() as u64;
        self.turns += report.turns;
        self.records += report.records;
        self.marks.add(&report.marks);
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, steps, turns, records, .. } = self;
        write!(f, "{seeds} seeds, {steps} steps, {turns} turns, {records} records; rarest marks:")?;
        for (mark, count) in self.marks.rarest(RAREST) {
            write!(f, " {mark} {count},")?;
        }
        Ok(())
    }
}

impl Failure {
    /// The plan with all that is not needed taken away, and how that one fails.
    #[must_use]
    pub fn shrunk(&self, bug: Option<Bug>, lives_max: usize) -> Self {
        let plan = shrink(&self.plan, bug, lives_max);
        match live(&plan, bug).failure {
            Some((step, why)) => Self { seed: self.seed, why, step, plan },
            None => self.clone(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} fails at step {} of {}:", self.seed, self.step, self.plan.ops.len())?;
        writeln!(f, "  {}", self.why)?;
        writeln!(f, "run it again: driftq-sim --seed {}", self.seed)?;
        writeln!(f, "its plan (save it, edit it, run it with --plan FILE):")?;
        write!(f, "{}", self.plan)
    }
}
