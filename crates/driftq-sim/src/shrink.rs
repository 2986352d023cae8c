//! Making a failing plan smaller, so that a person can read it.
//!
//! Promise: what comes out still fails, though perhaps in other words; it tries a bounded number of lives.

use crate::bugs::Bug;
use crate::life::live;
use crate::plan::{Fate, Op, Plan};

/// Lives that one shrinking may cost.
pub const LIVES_MAX: usize = 3_000;

/// A smaller plan that fails as well.
#[must_use]
pub fn shrink(plan: &Plan, bug: Option<Bug>, lives_max: usize) -> Plan {
    let mut shrinker = Shrinker { best: plan.clone(), bug, lives_left: lives_max };
    let Some((step, _)) = live(plan, bug).failure else { return plan.clone() };
    let mut cut = plan.clone();
    cut.ops.truncate(step + 1);
    shrinker.try_plan(cut);
    loop {
        let before = shrinker.best.clone();
        shrinker.remove_stretches();
        shrinker.calm_faults_of_travel();
        shrinker.thin_batches();
        if shrinker.best == before || shrinker.lives_left == 0 {
            return shrinker.best;
        }
    }
}

struct Shrinker {
    best: Plan,
    bug: Option<Bug>,
    lives_left: usize,
}

impl Shrinker {
    fn try_plan(&mut self, plan: Plan) -> bool {
        if self.lives_left == 0 {
            return false;
        }
        self.lives_left -= 1;
        let fails = live(&plan, self.bug).failure.is_some();
        if fails {
            self.best = plan;
        }
        fails
    }

    /// Takes away stretches of steps, long ones first.
    fn remove_stretches(&mut self) {
        let mut length = self.best.ops.len().div_ceil(2).max(1);
        loop {
            let mut at = 0;
            while at < self.best.ops.len() {
                let end = (at + length).min(self.best.ops.len());
                let mut plan = self.best.clone();
                plan.ops.drain(at..end);
                if !self.try_plan(plan) {
                    at = end;
                }
            }
            if length == 1 {
                return;
            }
            length = length.div_ceil(2);
        }
    }

    /// Calls arrive once, in time, and are answered.
    fn calm_faults_of_travel(&mut self) {
        for at in 0..self.best.ops.len() {
            let mut plan = self.best.clone();
            let calmed = plan.ops.get_mut(at).and_then(fate_of).is_some_and(|fate| {
                let was = std::mem::take(fate);
                was != Fate::default()
            });
            if calmed {
                self.try_plan(plan);
            }
        }
    }

    /// Batches lose messages, and messages lose what they need not have.
    fn thin_batches(&mut self) {
        for at in 0..self.best.ops.len() {
            let mut number = 0;
            while let Some(Op::Produce { messages, .. }) = self.best.ops.get(at)
                && number < messages.len()
            {
                for change in 0..6 {
                    let mut plan = self.best.clone();
                    if let Some(Op::Produce { messages, .. }) = plan.ops.get_mut(at) {
                        let changed = thin(messages, number, change);
                        if changed && self.try_plan(plan) && change == 0 {
                            break;
                        }
                    }
                }
                number += 1;
            }
        }
    }
}

fn thin(messages: &mut Vec<crate::plan::Message>, number: usize, change: u8) -> bool {
    if change == 0 {
        let removable = messages.len() > 1;
        if removable {
            messages.remove(number);
        }
        return removable;
    }
    let Some(message) = messages.get_mut(number) else { return false };
    let before = message.clone();
    match change {
        1 => message.policy = None,
        2 => (message.delay_ms, message.as_time) = (None, false),
        3 => message.deadline_ms = None,
        4 => (message.idempotency, message.fingerprint, message.tenant) = (None, None, 0),
        _ => (message.padding, message.key, message.partition, message.target) = (0, 0, None, None),
    }
    *message != before
}

fn fate_of(op: &mut Op) -> Option<&mut Fate> {
    match op {
        Op::Topic { fate, .. }
        | Op::Produce { fate, .. }
        | Op::Poll { fate, .. }
        | Op::Ack { fate, .. }
        | Op::Nack { fate, .. }
        | Op::Extend { fate, .. }
        | Op::Run { fate, .. }
        | Op::Events { fate, .. }
        | Op::Step { fate, .. }
        | Op::Replay { fate, .. }
        | Op::Cancel { fate, .. }
        | Op::Redrive { fate, .. }
        | Op::Discard { fate, .. }
        | Op::Job { fate, .. }
        | Op::Control { fate, .. }
        | Op::Patch { fate, .. }
        | Op::DeleteTopic { fate, .. }
        | Op::DeleteGroup { fate, .. }
        | Op::Seek { fate, .. }
        | Op::RetryNow { fate, .. } => Some(fate),
        Op::Open { .. }
        | Op::Pull { .. }
        | Op::Close { .. }
        | Op::HangUp
        | Op::Follow { .. }
        | Op::RunEnd { .. }
        | Op::Look
        | Op::Wait { .. }
        | Op::Freeze { .. }
        | Op::Jump { .. }
        | Op::Crash { .. }
        | Op::CrashAt { .. }
        | Op::CrashAgainAt { .. }
        | Op::FailSync { .. }
        | Op::FailWrite { .. }
        | Op::Stutter { .. }
        | Op::Fill { .. }
        | Op::Room
        | Op::Drain
        | Op::Restart => None,
    }
}
