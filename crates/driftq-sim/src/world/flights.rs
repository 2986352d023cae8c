//! Calls under way: how they leave, and how they land.
//!
//! Promise: a call is in the broker's queue as soon as it is sent; a caller that goes away drops it like a broken
//! connection would.

use super::{Flight, Flying, Landed, Stream, World};
use crate::acts;
use crate::calls::{Ask, Looked, Outcome, Sent};
use crate::plan::Take;
use driftq_core::State;
use driftq_engine::{Broker, Consumer, Deliveries, Refusal};
use futures_util::FutureExt;

impl World {
    /// Sends a call; `deaf` callers go away before the answer.
    pub(crate) fn send(&mut self, ask: Ask, take: Take, deaf: bool, stream: Option<usize>) {
        let Some(broker) = self.broker.clone() else { return };
        self.allow(&ask);
        let consumer = stream.and_then(|at| self.streams.get_mut(at)).and_then(|s| s.consumer.take());
        let mut future = fly(broker, ask.clone(), consumer);
        let sent = Sent { ask, at: self.now(), was_waiting: false, outcome: None };
        // The first poll puts the request into the queue.
        let landed = future.as_mut().now_or_never();
        let future = if deaf {
            self.marks.hit("answer lost");
            if let Some(stream) = stream.and_then(|at| self.streams.get_mut(at)) {
                // The future held the consumer: with it the stream is gone.
                stream.is_open = false;
            }
            None
        } else {
            Some(future)
        };
        self.flights.push(Flight { sent, future, take, stream });
        if let Some(landed) = landed {
            let last = self.flights.len() - 1;
            self.land(last, landed);
        }
    }

    /// Notes what may be stored once more.
    pub(super) fn allow(&mut self, ask: &Ask) {
        for body in bodies_of(ask) {
            *self.model.known.allowed.entry(body).or_default() += 1;
        }
    }

    pub(super) fn land(&mut self, at: usize, landed: Landed) {
        let Some(flight) = self.flights.get_mut(at) else { return };
        flight.future = None;
        let take = flight.take;
        let outcome = match landed {
            Landed::Plain(outcome) => outcome,
            Landed::Deliveries(Ok(deliveries)) => taken(deliveries, take),
            Landed::Opened(Ok(consumer)) => {
                if let (Ask::Open(open), Some(number)) = (&flight.sent.ask, flight.stream) {
                    let open = open.clone();
                    if let Some(stream) = self.streams.get_mut(number) {
                        *stream =
                            Stream { open, consumer: Some(consumer), is_open: true, leases: Vec::new() };
                    }
                }
                Outcome::Opened
            }
            Landed::Pulled(consumer, result) => {
                if let Some(stream) = flight.stream.and_then(|number| self.streams.get_mut(number)) {
                    stream.consumer = Some(consumer);
                }
                match result {
                    Ok(deliveries) => taken(deliveries, take),
                    Err(refusal) => Outcome::Refused(refusal),
                }
            }
            Landed::Deliveries(Err(refusal)) | Landed::Opened(Err(refusal)) => Outcome::Refused(refusal),
        };
        flight.sent.outcome = Some(outcome);
    }

    pub(super) fn poll_flights(&mut self) {
        for at in 0..self.flights.len() {
            let landed = self.flights[at].future.as_mut().and_then(|future| future.as_mut().now_or_never());
            if let Some(landed) = landed {
                self.land(at, landed);
            }
        }
    }
}

fn taken(mut deliveries: Deliveries, take: Take) -> Outcome {
    let mut taken = Vec::new();
    match take {
        Take::All => taken = deliveries.take_all(),
        Take::First => taken.extend(deliveries.take_first()),
        Take::Nothing => {}
    }
    let untaken = deliveries.peek().cloned().collect();
    Outcome::Deliveries { taken, untaken }
}

/// Bodies that a call asks to be stored.
pub(super) fn bodies_of(ask: &Ask) -> Vec<Vec<u8>> {
    match ask {
        Ask::Command(driftq_core::Command::Produce(messages)) => {
            messages.iter().map(|message| message.content.clone()).collect()
        }
        Ask::Command(driftq_core::Command::AppendEvents(append)) => {
            append.events.iter().map(|event| event.json.clone()).collect()
        }
        Ask::Command(command) => acts::entry_of(command).map(String::into_bytes).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn fly(broker: Broker, ask: Ask, consumer: Option<Consumer>) -> Flying {
    Box::pin(async move {
        match ask {
            Ask::Command(command) => Landed::Plain(match acting(broker, &command).command(command).await {
                Ok(reply) => Outcome::Reply(reply),
                Err(refusal) => Outcome::Refused(refusal),
            }),
            Ask::Open(open) => Landed::Opened(broker.open_consumer(open).await),
            Ask::Pull { max, bytes, .. } => match consumer {
                Some(mut consumer) => {
                    let result = consumer.next(max, bytes).await;
                    Landed::Pulled(consumer, result)
                }
                None => Landed::Plain(Outcome::Refused(Refusal::Stopped)),
            },
            Ask::Poll(poll) => Landed::Deliveries(broker.poll(poll).await),
            Ask::Follow { run, after, max, bytes } => {
                Landed::Plain(match broker.follow(run, after, max, bytes).await {
                    Ok(timeline) => Outcome::Timeline(Box::new(timeline)),
                    Err(refusal) => Outcome::Refused(refusal),
                })
            }
            Ask::RunEnd { run, wait } => Landed::Plain(match broker.run_end(run, wait).await {
                Ok(()) => Outcome::Ended,
                Err(refusal) => Outcome::Refused(refusal),
            }),
            Ask::Look => Landed::Plain(match broker.look(look).await {
                Ok(looked) => Outcome::Looked(looked),
                Err(refusal) => Outcome::Refused(refusal),
            }),
        }
    })
}

/// Operators' acts are told in the audit log.
fn acting(broker: Broker, command: &driftq_core::Command) -> Broker {
    match acts::audit_of(command) {
        Some(entry) => broker.acting(entry),
        None => broker,
    }
}

fn look(state: &State) -> Looked {
    let partitions = state.topics.values().flat_map(|topic| &topic.partitions);
    Looked { applied: state.applied, messages: partitions.map(driftq_core::Partition::len).sum() }
}
