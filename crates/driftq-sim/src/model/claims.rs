//! Who may settle what, as the contract says it.

use super::{How, Lease, Model, Standing, index};
use driftq_core::{Claim, MessageOf, Rejection, RunStatus};

/// How a claim stands right now.
#[derive(Debug)]
pub(super) enum Ruling {
    UnknownTopic,
    UnknownGroup,
    NoPartition,
    NeverDelivered,
    Held,
    Lost,
    /// It was held, before the group was moved or what it is about was deleted.
    Moved,
}

impl Model {
    pub(super) fn place_of(&self, claim: &Claim) -> Option<MessageOf> {
        let (group, _) = self.group_named(&claim.topic, &claim.group)?;
        Some(MessageOf { group, partition: claim.partition, offset: claim.offset })
    }

    /// Whether a claim names this lease.
    pub(super) fn names(&self, claim: &Claim, of: MessageOf, lease: &Lease) -> bool {
        self.place_of(claim) == Some(of)
            && claim.owner == lease.owner
            && claim.lease.is_none_or(|id| id == lease.id)
    }

    pub(super) fn rule(&self, claim: &Claim) -> Ruling {
        let gone = |unknown| if self.was_given_out(claim) { Ruling::Moved } else { unknown };
        let Some((_, topic)) = self.topic_named(&claim.topic) else { return gone(Ruling::UnknownTopic) };
        let Some(of) = self.place_of(claim) else { return gone(Ruling::UnknownGroup) };
        if index(claim.partition) >= topic.partitions.len() {
            return Ruling::NoPartition;
        }
        match self.standing(of) {
            None if self.was_seen(claim) => Ruling::Moved,
            None => Ruling::NeverDelivered,
            Some(Standing::Leased(lease)) if self.names(claim, of, lease) && self.live_lease(of).is_ok() => {
                Ruling::Held
            }
            Some(_) => Ruling::Lost,
        }
    }

    /// Whether a claim may be refused like this.
    pub(super) fn may_refuse(&self, claim: &Claim, rejection: &Rejection) -> bool {
        match (self.rule(claim), rejection) {
            (Ruling::UnknownTopic, Rejection::UnknownTopic(_))
            | (Ruling::UnknownGroup, Rejection::UnknownGroup { .. })
            | (Ruling::NoPartition, Rejection::PartitionOutOfRange { .. })
            | (Ruling::NeverDelivered, Rejection::NeverDelivered) => true,
            (Ruling::NeverDelivered, Rejection::NotOwner | Rejection::Cancelled) => {
                // A group that began behind it is done with it all the same.
                self.place_of(claim).is_some_and(|of| {
                    let place = self.place(of).ok();
                    let topic = place.and_then(|at| self.topics.get(&at.topic));
                    let partition = topic.and_then(|topic| topic.partitions.get(index(of.partition)));
                    let group = self.groups.get(&of.group);
                    partition.zip(group).is_some_and(|(p, group)| group.is_done(p, of.partition, of.offset))
                })
            }
            (Ruling::Moved, Rejection::NotOwner) => true,
            // A group that began behind it is done with it all the same.
            (Ruling::Moved, Rejection::Cancelled) => self.is_cancelled(claim),
            (Ruling::Lost, Rejection::NotOwner) => !self.is_cancelled(claim),
            (Ruling::Lost, Rejection::Cancelled) => self.is_cancelled(claim),
            _ => false,
        }
    }

    /// Whether a claim is about the command of a cancelled run's present try.
    pub(super) fn is_cancelled(&self, claim: &Claim) -> bool {
        let Some(of) = self.place_of(claim) else { return false };
        let Some(command) = self.place(of).ok().and_then(|at| self.message_at(at)).and_then(|m| m.run) else {
            return false;
        };
        self.runs.get(&command.run).is_some_and(|run| {
            run.status == RunStatus::Cancelled
                && run.replay_seq == command.replay_seq
                && run.group == claim.group
        })
    }

    /// Whether the same owner settled this before, and that is still remembered.
    pub(super) fn is_remembered(&self, claim: &Claim, by_ack: bool) -> bool {
        let Some(of) = self.place_of(claim) else { return false };
        let Some(Standing::Settled(how)) = self.standing(of) else { return false };
        let kept = self.groups.get(&of.group).and_then(|group| group.partitions.get(index(of.partition)));
        if kept.is_none_or(|progress| !progress.memos.contains(&of.offset)) {
            return false;
        }
        match how {
            How::Acked { owner, lease, at } if by_ack => {
                *owner == claim.owner
                    && claim.lease.is_none_or(|id| id == *lease)
                    && at.after(self.limits.ack_window) > self.now
            }
            How::Dead { owner, lease, at } if !by_ack => {
                *owner == claim.owner
                    && claim.lease == Some(*lease)
                    && at.after(self.limits.ack_window) > self.now
            }
            How::Acked { .. } | How::Dead { .. } | How::Skipped => false,
        }
    }
}
