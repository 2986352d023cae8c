//! A ledger sorted by what its lines are about.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Ask, Fact, Held, Line, Place, Seen};

/// A group and a message.
pub(crate) type Share = (String, Place);

/// A fact with the number of its line, from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<T>(pub(crate) u64, pub(crate) T);

/// A message somebody wanted stored.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) intents: Vec<u64>,
    pub(crate) max_attempts: u32,
    pub(crate) replies: Vec<At<&'a Place>>,
    pub(crate) kept: Vec<At<&'a Place>>,
}

/// A delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) held: &'a Held,
    pub(crate) id: &'a str,
    pub(crate) life: u64,
    pub(crate) connection: u64,
    pub(crate) lease_ms: u64,
    pub(crate) until_ms: u64,
}

/// How a question about a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Asking,
    Granted { until_ms: u64 },
    Refused,
}

/// What was asked about a lease, and answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) ask: Ask,
    pub(crate) held: &'a Held,
    pub(crate) step: Step,
}

/// All about one message in one group.
#[derive(Debug, Default)]
pub(crate) struct Story<'a> {
    pub(crate) deliveries: Vec<At<Delivery<'a>>>,
    pub(crate) questions: Vec<At<Question<'a>>>,
    pub(crate) dead: Vec<u64>,
}

/// All about one run.
#[derive(Debug, Default)]
pub(crate) struct RunStory<'a> {
    pub(crate) intent: Option<u64>,
    pub(crate) created: Option<u64>,
    pub(crate) replayed: Vec<At<u32>>,
    pub(crate) cancelled: Vec<At<u32>>,
    pub(crate) acked: Vec<At<(u32, u32)>>,
    pub(crate) events_stored: Vec<At<(&'a str, u64)>>,
    pub(crate) steps_stored: Vec<At<(u32, u32, &'a str)>>,
    pub(crate) seen: Vec<At<(u64, &'a Seen)>>,
    pub(crate) timeline: Vec<At<&'a Seen>>,
    pub(crate) found: Option<At<(u32, &'a str)>>,
}

/// The whole ledger, sorted.
#[derive(Debug, Default)]
pub(crate) struct Book<'a> {
    pub(crate) messages: BTreeMap<&'a str, Wanted<'a>>,
    pub(crate) kept: BTreeMap<&'a Place, At<&'a str>>,
    pub(crate) groups: BTreeSet<(&'a str, &'a str)>,
    pub(crate) stories: BTreeMap<Share, Story<'a>>,
    pub(crate) runs: BTreeMap<&'a str, RunStory<'a>>,
    pub(crate) lag: Vec<At<(&'a str, &'a str, u64)>>,
    pub(crate) refused: Vec<At<&'a str>>,
    pub(crate) stuck: Vec<At<&'a str>>,
    pub(crate) bad_stops: Vec<At<Option<i32>>>,
}

impl<'a> Book<'a> {
    pub(crate) fn of(lines: &'a [Line]) -> Self {
        let mut book = Self::default();
        for (number, line) in (1..).zip(lines) {
            book.take(number, &line.fact);
        }
        book
    }

    fn take(&mut self, line: u64, fact: &'a Fact) {
        match fact {
            Fact::Spawned { .. } | Fact::Ready { .. } | Fact::Killed { .. } | Fact::Left { .. } => {}
            Fact::Stopped { code, .. } => {
                if *code != Some(0) {
                    self.bad_stops.push(At(line, *code));
                }
            }
            Fact::ProduceIntent { .. }
            | Fact::Produced { .. }
            | Fact::ProduceRefused { .. }
            | Fact::Kept { .. } => self.take_message(line, fact),
            Fact::Delivered { held, id, life, connection, lease_ms, until_ms } => {
                let (life, connection, lease_ms, until_ms) = (*life, *connection, *lease_ms, *until_ms);
                let delivery = Delivery { held, id, life, connection, lease_ms, until_ms };
                self.story(&held.group, &held.at).deliveries.push(At(line, delivery));
            }
            Fact::Asking { ask, held } => self.question(line, *ask, held, Step::Asking),
            Fact::Granted { ask, held, until_ms } => {
                self.question(line, *ask, held, Step::Granted { until_ms: *until_ms });
            }
            Fact::Refused { ask, held, status: _ } => self.question(line, *ask, held, Step::Refused),
            Fact::DeadLetter { group, at } => self.story(group, at).dead.push(line),
            Fact::GroupFound { topic, group, lag, in_flight: _ } => {
                self.groups.insert((topic, group));
                self.lag.push(At(line, (topic, group, *lag)));
            }
            Fact::Stuck { what } => self.stuck.push(At(line, what)),
            Fact::RunIntent { .. }
            | Fact::RunCreated { .. }
            | Fact::Replayed { .. }
            | Fact::Cancelled { .. }
            | Fact::RunAcked { .. }
            | Fact::EventStored { .. }
            | Fact::StepStored { .. }
            | Fact::EventSeen { .. }
            | Fact::TimelineEvent { .. }
            | Fact::RunFound { .. } => self.take_run(line, fact),
        }
    }

    fn take_message(&mut self, line: u64, fact: &'a Fact) {
        match fact {
            Fact::ProduceIntent { id, topic: _, max_attempts } => {
                let wanted = self.messages.entry(id).or_default();
                wanted.intents.push(line);
                wanted.max_attempts = *max_attempts;
            }
            Fact::Produced { id, at, duplicate: _ } => {
                self.messages.entry(id).or_default().replies.push(At(line, at));
            }
            Fact::Kept { id, at } => {
                self.kept.insert(at, At(line, id));
                self.messages.entry(id).or_default().kept.push(At(line, at));
            }
            Fact::ProduceRefused { id, status: _ } => self.refused.push(At(line, id)),
            // `take` hands over no other kind.
            _ => {}
        }
    }

    fn take_run(&mut self, line: u64, fact: &'a Fact) {
        match fact {
            Fact::RunIntent { run } => self.run(run).intent = Some(line),
            Fact::RunCreated { run } => self.run(run).created = Some(line),
            Fact::Replayed { run, replay } => self.run(run).replayed.push(At(line, *replay)),
            Fact::Cancelled { run, replay } => self.run(run).cancelled.push(At(line, *replay)),
            Fact::RunAcked { run, replay, attempt } => {
                self.run(run).acked.push(At(line, (*replay, *attempt)));
            }
            Fact::EventStored { run, mark, seq } => self.run(run).events_stored.push(At(line, (mark, *seq))),
            Fact::StepStored { run, replay, attempt, step } => {
                self.run(run).steps_stored.push(At(line, (*replay, *attempt, step)));
            }
            Fact::EventSeen { run, reader, event } => self.run(run).seen.push(At(line, (*reader, event))),
            Fact::TimelineEvent { run, event } => self.run(run).timeline.push(At(line, event)),
            Fact::RunFound { run, replay, status } => {
                self.run(run).found = Some(At(line, (*replay, status)));
            }
            // `take` hands over no other kind.
            _ => {}
        }
    }

    fn question(&mut self, line: u64, ask: Ask, held: &'a Held, step: Step) {
        self.story(&held.group, &held.at).questions.push(At(line, Question { ask, held, step }));
    }

    fn story(&mut self, group: &str, at: &Place) -> &mut Story<'a> {
        self.stories.entry((group.to_owned(), at.clone())).or_default()
    }

    fn run(&mut self, run: &'a str) -> &mut RunStory<'a> {
        self.runs.entry(run).or_default()
    }
}
