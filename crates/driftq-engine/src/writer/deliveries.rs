//! Deliveries: the groups in which something became due hand it to the first in their queue.
//!
//! Promise: a delivery goes out when its message is durable and its lease is written; whoever went away has taken nothing.

use super::{Answer, Writer};
use crate::checkpoint::Checkpoints;
use crate::handle::Deliveries;
use crate::waiters::{Turn, Wanted};
use crate::{Clock, EngineError};
use driftq_core::{Command, Delivery, GroupId, LeaseMessages, MessageOf, Position, Reply, decide};
use driftq_log::Log;

/// Deliveries handed to one consumer at a time, so that others get their turn.
const DELIVERIES_MAX: u32 = 64;

impl<L: Log, K: Checkpoints, C: Clock> Writer<L, K, C> {
    pub(super) fn serve(&mut self) -> Result<(), EngineError> {
        if self.room.is_none() {
            return Ok(());
        }
        loop {
            let dirty = self.waiters.take_dirty();
            if dirty.is_empty() {
                return Ok(());
            }
            for group in dirty {
                while let Some(turn) = self.waiters.front(group) {
                    if !self.has_room()? {
                        // Asked again with the next turn that finds room.
                        self.waiters.wake_group(group);
                        return Ok(());
                    }
                    if !self.lease(group, turn)? {
                        break;
                    }
                }
            }
        }
    }

    /// Leases to the first in a group's queue; answers whether to go on with the group.
    fn lease(&mut self, group: GroupId, turn: Turn) -> Result<bool, EngineError> {
        let Some(ask) = self.lease_command(group, turn) else { return Ok(false) };
        let entropy = self.draw();
        let needs = self.binding;
        match decide(&self.state, entropy, Command::Lease(ask)) {
            Ok((records, Reply::Leased(deliveries))) => {
                let has_facts = !records.is_empty();
                self.commit(records)?;
                if deliveries.is_empty() {
                    return Ok(has_facts);
                }
                self.hand_out(group, turn, deliveries, needs);
                Ok(true)
            }
            Ok((_, other)) => unreachable!("a lease was answered with {other:?}"),
            Err(rejection) => {
                if let Some(wanted) = self.take_wanted(group, turn) {
                    self.answer(wanted.respond, Err(rejection.into()));
                }
                Ok(true)
            }
        }
    }

    fn lease_command(&self, group: GroupId, turn: Turn) -> Option<LeaseMessages> {
        let (open, max, bytes_max) = match turn {
            Turn::Stream(id) => {
                let stream = self.waiters.streams.get(&id)?;
                let wanted = stream.wanted.as_ref()?;
                let free = stream.open.max_in_flight.saturating_sub(stream.in_flight);
                (&stream.open, wanted.max.min(free).min(DELIVERIES_MAX), wanted.bytes_max)
            }
            Turn::Poll(id) => {
                let poll = self.waiters.polls.get(&id)?;
                (&poll.open, poll.wanted.max, poll.wanted.bytes_max)
            }
        };
        Some(LeaseMessages {
            group,
            owner: open.owner.clone(),
            lease: open.lease,
            max,
            bytes_max,
            worker_version: open.worker_version.clone(),
        })
    }

    fn take_wanted(&mut self, group: GroupId, turn: Turn) -> Option<Wanted> {
        self.waiters.pop(group);
        match turn {
            Turn::Stream(id) => self.waiters.streams.get_mut(&id)?.wanted.take(),
            Turn::Poll(id) => self.waiters.remove_poll(id).map(|poll| poll.wanted),
        }
    }

    fn hand_out(&mut self, group: GroupId, turn: Turn, deliveries: Vec<Delivery>, needs: Position) {
        let Some(wanted) = self.take_wanted(group, turn) else { return };
        if let Turn::Stream(id) = turn {
            let of = |d: &Delivery| MessageOf { group, partition: d.at.partition, offset: d.at.offset };
            self.waiters.hold(id, deliveries.iter().map(of));
        }
        // A timeline's event may be as young as the lease that made it.
        let needs = deliveries.iter().map(|delivery| delivery.position).fold(needs, Position::max);
        let deliveries = Deliveries::new(deliveries, self.broker());
        let send = Box::new(move || {
            // Whoever went away, before or after this, has taken nothing: what is dropped is given back.
            let _gone = wanted.respond.send(Ok(deliveries));
        });
        self.answers.push(Answer { needs, send });
    }

    pub(super) fn end_waits(&mut self) {
        let now = self.clock.monotonic();
        for poll in self.waiters.take_ended_polls(now) {
            self.answer_empty(poll.wanted.respond);
        }
        for wanted in self.waiters.take_orphans() {
            self.answer_empty(wanted.respond);
        }
        for respond in self.waiters.take_late_callers(now) {
            self.answer(respond, Ok(()));
        }
    }
}
