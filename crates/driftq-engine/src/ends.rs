//! Callers that wait for something to end: a run, a job.
//!
//! Promise: each is answered once, by the end or by the end of its own wait, whichever comes first.

use crate::handle::Respond;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Who waits for the end of what.
pub(crate) struct Ends<K> {
    waiting: BTreeMap<K, Vec<(Duration, Respond<()>)>>,
    deadlines: BTreeSet<(Duration, K)>,
    ended: BTreeSet<K>,
}

impl<K> Default for Ends<K> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), deadlines: BTreeSet::new(), ended: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Ends<K> {
    /// Waits for an end, at most until then.
    pub(crate) fn wait(&mut self, what: K, until: Duration, respond: Respond<()>) {
        self.waiting.entry(what).or_default().push((until, respond));
        self.deadlines.insert((until, what));
    }

    /// Notes an end, if somebody waits for it.
    pub(crate) fn note(&mut self, what: K) {
        if self.waiting.contains_key(&what) {
            self.ended.insert(what);
        }
    }

    /// Whether an end was noted.
    pub(crate) fn has_news(&self) -> bool {
        !self.ended.is_empty()
    }

    /// When the next wait is over.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Callers whose wait has met its end.
    pub(crate) fn take_ended(&mut self) -> Vec<Respond<()>> {
        let mut callers = Vec::new();
        for what in std::mem::take(&mut self.ended) {
            for (until, respond) in self.waiting.remove(&what).unwrap_or_default() {
                self.deadlines.remove(&(until, what));
                callers.push(respond);
            }
        }
        callers
    }

    /// Callers whose wait is over.
    pub(crate) fn take_late(&mut self, now: Duration) -> Vec<Respond<()>> {
        let late: Vec<_> = self.deadlines.iter().take_while(|(at, _)| *at <= now).copied().collect();
        let mut callers = Vec::new();
        for (at, what) in late {
            self.deadlines.remove(&(at, what));
            let Some(waiting) = self.waiting.get_mut(&what) else { continue };
            let (over, rest): (Vec<_>, Vec<_>) =
                std::mem::take(waiting).into_iter().partition(|(until, _)| *until <= now);
            *waiting = rest;
            if waiting.is_empty() {
                self.waiting.remove(&what);
            }
            callers.extend(over.into_iter().map(|(_, respond)| respond));
        }
        callers
    }
}
