//! Questions to the state: plain functions that look and decide nothing.
//!
//! Promise: each costs no more than what it answers; where a filter may pass over much, a page ends after a bounded
//! look and says where to go on.

use crate::{
    Group, MessageAt, Position, Run, RunNo, RunStatus, Scope, State, TenantId, TopicId, WorkflowName,
};
use alloc::{borrow::Cow, string::String, vec::Vec};

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
