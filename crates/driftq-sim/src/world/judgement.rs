//! Judging a turn: its facts one by one, its answers beside them.
//!
//! Promise: an answer is right if some moment of its turn justifies it; from then on what it rests on is promised.

use super::flights::bodies_of;
use super::{Flight, InHand, World};
use crate::calls::{Ask, Outcome, Sent};
use crate::model::{Context, Surroundings, Verdict};
use driftq_core::{Body, Content, Delivery, GroupName, Millis, Position, Record, TopicName};
use driftq_engine::{Bodies, OpenConsumer, Refusal};

impl World {
    /// Judges new facts, and answers that came with them.
    pub(super) fn judge(&mut self, records: &[Vec<u8>]) -> Verdict {
        let mut calls: Vec<Sent> = self.flights.iter().map(|flight| flight.sent.clone()).collect();
        for stream in self.streams.iter().filter(|stream| stream.is_open) {
            let ask = Ask::Open(stream.open.clone());
            calls.push(Sent { ask, at: Millis(0), was_waiting: true, outcome: None });
        }
        let mut open: Vec<usize> =
            (0..self.flights.len()).filter(|at| calls[*at].outcome.is_some()).collect();
        let mut facts: Vec<(Position, Record)> = Vec::new();
        self.justify(&calls, &mut open, &facts);
        for bytes in records {
            let record = Record::decode(bytes).map_err(|error| error.to_string())?;
            self.trace.add(bytes);
            let position = self.model.applied.next();
            let (monotonic, wall) = (self.now(), self.wall());
            let mut context = Context { calls: Some(&calls), monotonic, wall, marks: &mut self.marks };
            let gone = self.model.readers_gone_with(&record);
            self.model.follow(position, &record, &mut context)?;
            self.end_streams(&gone);
            self.history.push(bytes.clone());
            self.keep_body(position, &record);
            facts.push((position, record));
            self.justify(&calls, &mut open, &facts);
        }
        self.facts = facts;
        self.model.is_whole()?;
        if let Some(at) = open.first() {
            let call = &calls[*at];
            return Err(format!("{:?} was answered without reason to {:?}", call.outcome, call.ask));
        }
        self.conclude()
    }

    /// The streams of groups that are deleted have ended.
    fn end_streams(&mut self, gone: &[(TopicName, GroupName)]) {
        for stream in &mut self.streams {
            let is_gone =
                |(topic, group): &(_, _)| stream.open.topic == *topic && stream.open.group == *group;
            stream.is_open &= !gone.iter().any(is_gone);
        }
    }

    /// Ticks off the answers that are right at this moment, and notes what they promise.
    pub(super) fn justify(&mut self, calls: &[Sent], open: &mut Vec<usize>, facts: &[(Position, Record)]) {
        let now = self.now();
        let model = &self.model;
        let mut promised = self.promised;
        open.retain(|at| {
            let sent = &calls[*at];
            let around = Surroundings {
                draining: self.draining,
                full: self.full,
                died: self.died,
                power_failed: self.power_failed,
                waited: now.0.saturating_sub(sent.at.0),
            };
            let right = model.justifies(sent, facts, around);
            if right {
                promised = promised.max(promise(sent, model.applied));
            }
            !right
        });
        self.promised = promised;
    }

    /// Takes the answers to heart and forgets the calls that are over.
    pub(super) fn conclude(&mut self) -> Verdict {
        self.untaken.clear();
        let now = self.now();
        let is_queued = self.queued() > 0;
        for flight in std::mem::take(&mut self.flights) {
            let Some(outcome) = &flight.sent.outcome else {
                let is_over = flight.future.is_none();
                let must_be_answered = matches!(flight.sent.ask, Ask::Command(_) | Ask::Open(_) | Ask::Look);
                if is_queued {
                    // A full turn left it, or may have left it, in the queue.
                    self.flights.push(flight);
                    continue;
                }
                if !is_over && must_be_answered && self.node.is_some() {
                    return Err(format!("{:?} got no answer", flight.sent.ask));
                }
                if !is_over {
                    let sent = Sent { was_waiting: true, ..flight.sent };
                    self.flights.push(Flight { sent, ..flight });
                }
                continue;
            };
            self.trace.add(format!("{outcome:?}").as_bytes());
            self.learn(&flight, now)?;
        }
        Ok(())
    }

    pub(super) fn learn(&mut self, flight: &Flight, now: Millis) -> Verdict {
        let Some(outcome) = &flight.sent.outcome else { return Ok(()) };
        self.mark(&flight.sent, outcome);
        match outcome {
            Outcome::Refused(_) => self.disallow(&flight.sent.ask, |_| true)?,
            Outcome::Reply(driftq_core::Reply::Produced(produced)) => {
                let duplicate: Vec<bool> = produced.iter().map(|p| p.duplicate).collect();
                self.disallow(&flight.sent.ask, |at| duplicate.get(at) == Some(&true))?;
            }
            Outcome::Deliveries { taken, untaken } => {
                for delivery in taken.iter().chain(untaken) {
                    self.model.known.handed.insert(delivery.lease);
                    self.handed.push((now, delivery.lease));
                }
                self.untaken.extend(untaken.iter().map(|delivery| delivery.lease));
                let Some(open) = flight.sent.consumer().cloned() else { return Ok(()) };
                for delivery in taken {
                    self.take_in_hand(delivery, &open, flight.stream)?;
                }
            }
            Outcome::Reply(_)
            | Outcome::Opened
            | Outcome::Timeline(_)
            | Outcome::Ended
            | Outcome::Looked(_) => {}
        }
        Ok(())
    }

    pub(super) fn disallow(&mut self, ask: &Ask, which: impl Fn(usize) -> bool) -> Verdict {
        for (at, body) in bodies_of(ask).into_iter().enumerate() {
            let left = self.model.known.allowed.entry(body).or_default();
            if which(at) {
                *left -= 1;
            }
            if *left < 0 {
                return Err(format!("{ask:?} was refused, and yet it was stored"));
            }
        }
        Ok(())
    }

    pub(super) fn take_in_hand(
        &mut self,
        delivery: &Delivery,
        open: &OpenConsumer,
        stream: Option<usize>,
    ) -> Verdict {
        if !self.model.known.taken.insert(delivery.lease) {
            return Err(format!("lease {} was handed out twice", delivery.lease));
        }
        let of = driftq_core::MessageOf {
            group: delivery.group,
            partition: delivery.at.partition,
            offset: delivery.at.offset,
        };
        if let Some(stream) = stream.and_then(|number| self.streams.get_mut(number)) {
            stream.leases.push((of, delivery.lease));
        }
        self.in_hand.push(InHand {
            delivery: delivery.clone(),
            topic: open.topic.clone(),
            group: open.group.clone(),
            owner: open.owner.clone(),
            is_done: false,
        });
        self.read_body(delivery)
    }

    pub(super) fn keep_body(&mut self, position: Position, record: &Record) {
        let Record::MessageAppended(message) = record else { return };
        let body = match &message.body {
            Body::Inline(content) => Content::decode(content).ok().map(|c| (c.key, c.value)),
            Body::Edited { of, value } => self.bodies.get(&of.0).map(|(key, _)| (key.clone(), value.clone())),
            Body::Of(_) | Body::RunCommand { .. } => None,
        };
        match body {
            Some(body) => self.bodies.insert(position.0, body),
            None => self.bodies.remove(&position.0),
        };
    }

    /// Whether a content goes back to an event of a timeline.
    fn is_event(&self, at: Position) -> bool {
        let number = usize::try_from(at.0).ok().and_then(|number| number.checked_sub(1));
        let bytes = number.and_then(|number| self.history.get(number));
        match bytes.and_then(|bytes| Record::decode(bytes).ok()) {
            Some(Record::EventAppended(_)) => true,
            Some(Record::MessageAppended(message)) => match message.body {
                Body::Edited { of, .. } => self.is_event(of),
                Body::Inline(_) | Body::Of(_) | Body::RunCommand { .. } => false,
            },
            _ => false,
        }
    }

    /// A message's body must be what its producer gave.
    pub(super) fn read_body(&mut self, delivery: &Delivery) -> Verdict {
        let Some(broker) = &self.broker else { return Ok(()) };
        if self.armed.stop {
            return Ok(());
        }
        // It may have been deleted since, with its topic.
        let Some(message) = self.model.message_at(delivery.at) else { return Ok(()) };
        if self.is_event(message.content) {
            // An event's text is rendered by the edge.
            return Ok(());
        }
        let content = content_of(broker.bodies(), message.position)?;
        let root = message.content.0;
        match (content, self.bodies.get(&root)) {
            (Some(content), Some((key, value))) if content.key == *key && content.value == *value => Ok(()),
            (None, None) => Ok(()),
            (content, known) => Err(format!("{delivery:?} says {content:?}, was {known:?}")),
        }
    }

    /// Notes what an answer shows that facts alone do not.
    fn mark(&mut self, sent: &Sent, outcome: &Outcome) {
        use driftq_core::{Rejection as No, Reply};
        let marks = &mut self.marks;
        let is_settled_now =
            self.facts.iter().any(|(_, fact)| matches!(fact, Record::Acked(_) | Record::Failed(_)));
        match outcome {
            Outcome::Reply(Reply::Acked) if !is_settled_now => marks.hit("ack repeated"),
            Outcome::Reply(Reply::Nacked) if !is_settled_now => marks.hit("nack repeated"),
            Outcome::Reply(Reply::Produced(produced)) if produced.iter().any(|p| p.duplicate) => {
                marks.hit("duplicate produce");
            }
            Outcome::Reply(Reply::RunCreated { duplicate: true, .. }) => marks.hit("duplicate run"),
            Outcome::Reply(Reply::StepStored { stored: false, .. }) => marks.hit("step stored once"),
            Outcome::Reply(_) if self.full && is_settling(sent) => marks.hit("disk full settles"),
            Outcome::Refused(Refusal::DiskFull) => marks.hit("disk full"),
            Outcome::Refused(Refusal::Draining) => marks.hit("draining refused"),
            Outcome::Refused(Refusal::Rejected(why)) => match why {
                No::Backpressure { .. } => marks.hit("backpressure"),
                No::FingerprintDiffers => marks.hit("fingerprint differs"),
                No::Cancelled => marks.hit("cancelled run told to its worker"),
                No::InputChanged => marks.hit("stale patch refused"),
                No::NotOwner => match &sent.ask {
                    Ask::Command(driftq_core::Command::AppendEvents(_)) => marks.hit("event fenced out"),
                    Ask::Command(driftq_core::Command::Ack(ack))
                        if ack.claim.owner.as_str() == "stranger" =>
                    {
                        marks.hit("ack by a stranger refused");
                    }
                    _ => {}
                },
                _ => {}
            },
            Outcome::Timeline(_) if sent.was_waiting => marks.hit("follow woken"),
            Outcome::Timeline(_) => marks.hit("follow answered"),
            Outcome::Deliveries { taken, untaken }
                if taken.is_empty() && untaken.is_empty() && sent.was_waiting =>
            {
                marks.hit("poll ended empty");
            }
            Outcome::Deliveries { .. } if sent.was_waiting => marks.hit("poll woken"),
            _ => {}
        }
    }
}

fn is_settling(sent: &Sent) -> bool {
    matches!(sent.command(), Some(driftq_core::Command::Ack(_) | driftq_core::Command::Nack(_)))
}

/// What an answer says that must never be unsaid.
fn promise(sent: &Sent, applied: Position) -> Position {
    match &sent.outcome {
        Some(Outcome::Reply(_) | Outcome::Refused(Refusal::Rejected(_)) | Outcome::Opened) => applied,
        Some(Outcome::Timeline(_) | Outcome::Looked(_)) => applied,
        Some(Outcome::Deliveries { taken, untaken }) => {
            let all = taken.iter().chain(untaken);
            all.map(|delivery| delivery.position).max().unwrap_or(Position(0))
        }
        Some(Outcome::Ended | Outcome::Refused(_)) | None => Position(0),
    }
}

/// A message's content as any reader finds it: by its position, over dead letters, redrives and edits to the root. `None` for
/// a run's command, which the edge renders.
fn content_of(bodies: &Bodies, mut at: Position) -> Result<Option<Content>, String> {
    let mut edited = None;
    loop {
        let record = bodies.record(at).map_err(|error| error.to_string())?;
        at = match &*record {
            Record::DeadLettered(dead) => dead.content,
            Record::MessageAppended(message) => match &message.body {
                Body::RunCommand { .. } => return Ok(None),
                Body::Of(of) => *of,
                Body::Edited { of, value } => {
                    edited.get_or_insert_with(|| value.clone());
                    *of
                }
                Body::Inline(bytes) => {
                    let mut content = Content::decode(bytes).map_err(|error| error.to_string())?;
                    content.value = edited.unwrap_or(content.value);
                    return Ok(Some(content));
                }
            },
            other => return Err(format!("a message's body cannot be {other:?}")),
        };
    }
}
