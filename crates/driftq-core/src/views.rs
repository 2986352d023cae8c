//! Questions to the state: plain functions that look and decide nothing.
//!
//! Promise: each costs no more than what it answers; where a filter may pass over much, a page ends after a bounded
//! look and says where to go on.

use crate::{
    Group, GroupName, MessageAt, Position, Run, RunNo, RunStatus, Scope, State, TenantId, TopicId, TopicName,
    WorkflowName,
};
use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec::Vec};
use core::ops::Bound;

/// How many entries a filtered page looks at.
pub const SCAN_MAX: usize = 10_000;

/// Which runs are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// In this status.
    pub status: Option<RunStatus>,
    /// Of this workflow.
    pub workflow: Option<WorkflowName>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// With this tag.
    pub tag: Option<String>,
    /// Of what may be seen.
    pub scope: Scope,
}

/// Figures of the whole broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Topics of every kind.
    pub topics: u64,
    /// Groups.
    pub groups: u64,
    /// Runs by status; a status that no run has is left out.
    pub runs: BTreeMap<RunStatus, u64>,
    /// Open dead letters.
    pub dead_letters_open: u64,
    /// Messages under a lease.
    pub in_flight: u64,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C> {
    /// What was found.
    pub items: Vec<T>,
    /// Where the next page begins, if there may be more.
    pub next: Option<C>,
}

impl State {
    /// Runs, newest first, below `before`.
    #[must_use]
    pub fn runs_page(
        &self,
        filter: &RunFilter,
        before: Option<RunNo>,
        limit: usize,
    ) -> Page<Cow<'_, Run>, RunNo> {
        let mut items = Vec::new();
        let mut last = None;
        let upper = before.unwrap_or(RunNo(u64::MAX));
        for (looked, (no, look)) in self.runs.range(..upper).rev().enumerate() {
            if items.len() >= limit || looked >= SCAN_MAX {
                return Page { items, next: last };
            }
            last = Some(*no);
            if look.is_wanted(filter) {
                let run = look.run();
                if filter.scope.sees_run(self, &run) {
                    items.push(run);
                }
            }
        }
        Page { items, next: None }
    }

    /// Figures of the whole broker; each is kept up with every fact, so asking costs nothing.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            topics: self.topics.len() as u64,
            groups: self.groups.len() as u64,
            runs: self.tally.runs.clone(),
            dead_letters_open: self.dead.open,
            in_flight: self.timers.leases.len() as u64,
        }
    }

    /// Groups in the order of topic and name, from behind `after`; of one topic only, if it is named.
    #[must_use]
    pub fn groups_page(
        &self,
        scope: &Scope,
        topic: Option<&TopicName>,
        after: Option<&(TopicName, Option<GroupName>)>,
        limit: usize,
    ) -> Page<(&crate::Topic, &Group), (TopicName, Option<GroupName>)> {
        let mut items = Vec::new();
        let from = topic.or(after.map(|(topic, _)| topic));
        let lower = from.map_or(Bound::Unbounded, |from| Bound::Included(from.clone()));
        let names = self.topic_names.range((lower, Bound::Unbounded));
        for (looked, (name, id)) in names.enumerate() {
            if topic.is_some_and(|topic| topic != name) {
                break;
            }
            if looked >= SCAN_MAX {
                return Page { items, next: Some((name.clone(), None)) };
            }
            let Some(found) = self.topics.get(id).filter(|topic| scope.sees_topic(self, topic)) else {
                continue;
            };
            let behind = after.filter(|(topic, _)| topic == name).and_then(|(_, group)| group.as_ref());
            let groups = found.groups().skip_while(|(name, _)| behind.is_some_and(|behind| *name <= behind));
            for (_, id) in groups {
                if items.len() >= limit {
                    return Page { next: items.last().map(place_of), items };
                }
                if let Some(group) = self.groups.get(&id) {
                    items.push((found, group));
                }
            }
        }
        Page { items, next: None }
    }

    /// The record a message was appended by.
    #[must_use]
    pub fn position_of(&self, at: MessageAt) -> Option<Position> {
        Some(self.topics.get(&at.topic)?.partition(at.partition)?.entry(at.offset)?.position)
    }

    /// A topic's groups.
    pub fn groups_of(&self, topic: TopicId) -> impl Iterator<Item = &Group> {
        let topic = self.topics.get(&topic);
        topic.into_iter().flat_map(crate::Topic::groups).filter_map(|(_, id)| self.groups.get(&id))
    }
}

fn place_of((topic, group): &(&crate::Topic, &Group)) -> (TopicName, Option<GroupName>) {
    (topic.name.clone(), Some(group.name.clone()))
}
