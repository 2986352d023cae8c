//! All runs: those that go on as they are, those that have ended sealed into a few bytes.
//!
//! Promise: a run that has ended is the same run when it is looked at, and is opened again only by what changes it. What
//! a list asks for is read off a sealed run without opening it.

use crate::packed::Packed;
use crate::views::RunFilter;
use crate::{Position, Run, RunNo, RunStatus};
use alloc::{borrow::Cow, boxed::Box, vec::Vec};
use core::ops::RangeBounds;
use serde::{Deserialize, Serialize};

/// All runs by their ordinals, in order of creation.
#[derive(Clone, Debug, Default)]
pub struct Runs(Packed<RunNo, Slot>);

#[derive(Clone, Debug)]
enum Slot {
    Open(Box<Run>),
    Sealed(Sealed),
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    applied: Position,
    #[serde(with = "serde_bytes")]
    run: Box<[u8]>,
}

/// What a list asks for: the first fields of a [`Run`], in their order.
#[derive(Deserialize)]
struct Glance<'a> {
    status: RunStatus,
    #[serde(borrow)]
    workflow: &'a str,
    tenant: Option<&'a str>,
    tags: Vec<&'a str>,
}

/// A run that may be the one that is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a>(&'a Slot);

impl Runs {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, no: &RunNo) -> Option<Cow<'_, Run>> {
        self.0.get(no).map(|slot| Look(slot).run())
    }

    /// Whether it is there.
    #[must_use]
    pub fn contains_key(&self, no: &RunNo) -> bool {
        self.0.contains(no)
    }

    /// All ordinals, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &RunNo> {
        self.0.keys()
    }

    /// All runs, in order.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = Cow<'_, Run>> {
        self.0.values().map(|slot| Look(slot).run())
    }

    /// All, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&RunNo, Cow<'_, Run>)> {
        self.0.iter().map(|(no, slot)| (no, Look(slot).run()))
    }

    /// Those within bounds, in order, to be looked at without opening them.
    pub(crate) fn range<R: RangeBounds<RunNo>>(
        &self,
        bounds: R,
    ) -> impl DoubleEndedIterator<Item = (&RunNo, Look<'_>)> {
        self.0.range(bounds).map(|(no, slot)| (no, Look(slot)))
    }

    pub(crate) fn insert(&mut self, run: Run) {
        self.0.insert(run.no, Slot::Open(Box::new(run)));
    }

    /// The run that this record has not changed yet, opened if it was sealed.
    pub(crate) fn effect(&mut self, no: RunNo, position: Position) -> Option<&mut Run> {
        let slot = self.0.get_mut(&no)?;
        if position <= slot.applied() {
            return None;
        }
        if let Slot::Sealed(sealed) = slot {
            *slot = Slot::Open(Box::new(sealed.opened()));
        }
        match slot {
            Slot::Open(run) => {
                run.applied = position;
                Some(run)
            }
            Slot::Sealed(_) => None,
        }
    }

    /// Notes that this record has told of the run and changed nothing else about it.
    pub(crate) fn advance(&mut self, no: RunNo, position: Position) {
        match self.0.get_mut(&no) {
            Some(Slot::Open(run)) => run.applied = run.applied.max(position),
            Some(Slot::Sealed(sealed)) => sealed.applied = sealed.applied.max(position),
            None => {}
        }
    }

    /// Seals a run that has ended.
    pub(crate) fn seal(&mut self, no: RunNo) {
        if let Some(slot) = self.0.get_mut(&no)
            && let Slot::Open(run) = slot
            && run.status.is_terminal()
        {
            *slot = Slot::Sealed(Sealed::of(run));
        }
    }

    /// A run as a checkpoint writes it: as it is, or sealed.
    pub(crate) fn written(&self, no: RunNo) -> Option<Result<&Run, &Sealed>> {
        self.0.get(&no).map(|slot| match slot {
            Slot::Open(run) => Ok(&**run),
            Slot::Sealed(sealed) => Err(sealed),
        })
    }

    pub(crate) fn adopt_sealed(&mut self, no: RunNo, sealed: Sealed) {
        self.0.insert(no, Slot::Sealed(sealed));
    }
}

impl PartialEq for Runs {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<'a> IntoIterator for &'a Runs {
    type Item = (&'a RunNo, Cow<'a, Run>);
    type IntoIter = Box<dyn DoubleEndedIterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl Slot {
    fn applied(&self) -> Position {
        match self {
            Self::Open(run) => run.applied,
            Self::Sealed(sealed) => sealed.applied,
        }
    }
}

impl Sealed {
    fn of(run: &Run) -> Self {
        let bytes = postcard::to_allocvec(run).expect("every run has bytes");
        Self { applied: run.applied, run: bytes.into_boxed_slice() }
    }

    fn opened(&self) -> Run {
        let run: Run = postcard::from_bytes(&self.run).expect("a sealed run was one");
        Run { applied: self.applied, ..run }
    }

    fn glance(&self) -> Glance<'_> {
        postcard::take_from_bytes(&self.run).expect("a sealed run was one").0
    }
}

impl<'a> Look<'a> {
    pub(crate) fn run(self) -> Cow<'a, Run> {
        match self.0 {
            Slot::Open(run) => Cow::Borrowed(run),
            Slot::Sealed(sealed) => Cow::Owned(sealed.opened()),
        }
    }

    pub(crate) fn is_wanted(self, filter: &RunFilter) -> bool {
        let glance = match self.0 {
            Slot::Open(run) => Glance {
                status: run.status,
                workflow: run.workflow.as_str(),
                tenant: run.tenant.as_ref().map(|tenant| tenant.as_str()),
                tags: run.tags.iter().map(|tag| &**tag).collect(),
            },
            Slot::Sealed(sealed) => sealed.glance(),
        };
        filter.status.is_none_or(|status| status == glance.status)
            && filter.workflow.as_ref().is_none_or(|workflow| workflow.as_str() == glance.workflow)
            && filter.tenant.as_ref().is_none_or(|tenant| glance.tenant == Some(tenant.as_str()))
            && filter.tag.as_ref().is_none_or(|tag| glance.tags.contains(&tag.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Attempt, GroupName, MessageAt, Offset, PartitionId, Replay, ReplaySeq, RetryPolicy, RunId, StepName,
        StoredStep, TenantId, TopicId, WallTime, WorkflowName,
    };
    use alloc::{collections::BTreeMap, string::ToString};

    fn run() -> Run {
        let at = WallTime(1_700_000_000_000);
        let step = StoredStep {
            position: Position(40),
            replay_seq: ReplaySeq(1),
            attempt: Attempt(2),
            completed_at: at,
            duration: None,
        };
        Run {
            status: RunStatus::Failed,
            workflow: WorkflowName::parse("demo").expect("a workflow"),
            tenant: Some(TenantId::parse("acme").expect("a tenant")),
            tags: alloc::vec!["blue".to_string(), "green".to_string()],
            no: RunNo(7),
            id: RunId::parse("run_1").expect("a run id"),
            applied: Position(50),
            group: GroupName::parse("workers").expect("a group"),
            policy: RetryPolicy::default(),
            timeline: TopicId(3),
            command: MessageAt { topic: TopicId(2), partition: PartitionId(0), offset: Offset(9) },
            replay_seq: ReplaySeq(1),
            attempt: Attempt(2),
            created_at: at,
            input: Position(30),
            result: None,
            failure: Some(Position(45)),
            steps: BTreeMap::from([(StepName::parse("fetch").expect("a step"), step)]),
            replays: alloc::vec![Replay {
                replay_seq: ReplaySeq(1),
                status: RunStatus::Failed,
                created_at: at,
                started_at: Some(at),
                ended_at: None,
            }],
            dead_letters: Vec::new(),
        }
    }

    #[test]
    fn a_sealed_run_is_the_same_run_and_is_found_by_the_same_filters() {
        let mut runs = Runs::default();
        runs.insert(run());
        let open = runs.clone();
        runs.seal(RunNo(7));
        assert!(matches!(runs.0.get(&RunNo(7)), Some(Slot::Sealed(_))));
        assert_eq!(runs, open);
        let wanted = RunFilter {
            status: Some(RunStatus::Failed),
            workflow: Some(WorkflowName::parse("demo").expect("a workflow")),
            tenant: Some(TenantId::parse("acme").expect("a tenant")),
            tag: Some("green".to_string()),
            scope: crate::Scope::default(),
        };
        let others = [
            RunFilter { status: Some(RunStatus::Queued), ..wanted.clone() },
            RunFilter { workflow: Some(WorkflowName::parse("other").expect("one")), ..wanted.clone() },
            RunFilter { tenant: Some(TenantId::parse("other").expect("one")), ..wanted.clone() },
            RunFilter { tag: Some("gree".to_string()), ..wanted.clone() },
        ];
        for runs in [&runs, &open] {
            assert!(runs.range(..).all(|(_, look)| look.is_wanted(&wanted)));
            assert!(others.iter().all(|filter| !runs.range(..).any(|(_, look)| look.is_wanted(filter))));
        }
    }

    #[test]
    fn only_a_newer_record_opens_a_sealed_run() {
        let mut runs = Runs::default();
        runs.insert(run());
        runs.seal(RunNo(7));
        assert!(runs.effect(RunNo(7), Position(50)).is_none());
        runs.advance(RunNo(7), Position(60));
        assert!(runs.effect(RunNo(7), Position(60)).is_none());
        assert!(matches!(runs.0.get(&RunNo(7)), Some(Slot::Sealed(_))));
        assert_eq!(runs.effect(RunNo(7), Position(61)).map(|run| run.applied), Some(Position(61)));
        assert_eq!(
            runs.get(&RunNo(7)).map(|found| found.into_owned()),
            Some(Run { applied: Position(61), ..run() })
        );
    }
}
