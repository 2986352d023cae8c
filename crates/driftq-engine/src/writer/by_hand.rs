//! Time that is moved by hand: for tests of applications, never in production.
//!
//! Promise: time passes from one moment at which something is due to the next, so that leases, delays and deadlines end
//! in their order and at their own times; consumers get what became due once time stands still again.

use super::Writer;
use crate::checkpoint::Checkpoints;
use crate::handle::Respond;
use crate::{Clock, EngineError};
use driftq_core::{Instant, Millis, WallTime};
use driftq_log::Log;

/// Moments at which time stops on its way; behind the last it goes to its end in one step.
const STOPS_MAX: usize = 10_000;
/// Stops after which room for more facts is asked for.
const STOPS_PER_ROOM: usize = 256;

impl<L: Log, K: Checkpoints, C: Clock> Writer<L, K, C> {
    pub(super) fn advance(&mut self, by: Millis, respond: Respond<WallTime>) -> Result<(), EngineError> {
        let target = self.instant().after(by);
        self.do_all_due()?;
        for stop in 1..=STOPS_MAX {
            let Some(wait) = self.until_next_due().filter(|wait| self.instant().after(*wait) < target) else {
                break;
            };
            self.pass(wait);
            self.do_all_due()?;
            if stop % STOPS_PER_ROOM == 0 {
                self.flush()?;
                self.find_room(self.room_owed.0, self.room_owed.1)?;
            }
        }
        self.pass(self.instant().until(target));
        self.do_all_due()?;
        self.answer(respond, Ok(self.clock.wall()));
        Ok(())
    }

    fn pass(&mut self, by: Millis) {
        if let Some(hand) = self.clock.by_hand() {
            hand.advance(by);
        }
    }

    /// How long until a moment later than now at which something is due; `None` when time goes by itself.
    fn until_next_due(&self) -> Option<Millis> {
        self.clock.by_hand()?;
        let past: Instant = self.state.now.max(self.retried_until);
        let core = self.state.next_instant(past).map(|at| self.state.now.until(at));
        let wall = self.state.next_wall().map(|at| self.state.wall.until(at));
        // What is due already could not be done: the disk is full.
        [core, wall].into_iter().flatten().min().filter(|wait| *wait > Millis(0))
    }

    fn do_all_due(&mut self) -> Result<(), EngineError> {
        if self.room.is_none() {
            return Ok(());
        }
        self.advance_time()?;
        self.decide_due()?;
        while self.has_due_left && self.room.is_some() {
            self.decide_due()?;
        }
        Ok(())
    }
}
