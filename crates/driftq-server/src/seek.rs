//! Where a seek goes: a time is looked up in the log.
//!
//! Promise: a time costs as many reads as the logarithm of what a partition holds, never on the writer's thread. Messages
//! are taken to be stored in the order of their times; where the wall clock jumped back, the place is one of those
//! between which the time lies.

use crate::problem::Problem;
use driftq_api::SeekTo;
use driftq_core::{Offset, PartitionId, Position, Record, State, TopicId, TopicName, WallTime};
use driftq_engine::{Bodies, Broker};
use std::sync::Arc;

/// What is left to search of a partition: the answer is in `from..=until`.
#[derive(Clone, Copy)]
struct Span {
    from: u64,
    until: u64,
}

impl Span {
    fn middle(self) -> Option<u64> {
        (self.from < self.until).then(|| self.from + (self.until - self.from) / 2)
    }
}

/// The place that a seek means.
pub(crate) async fn place(
    broker: &Broker,
    topic: &TopicName,
    to: SeekTo,
) -> Result<driftq_core::SeekTo, Problem> {
    match to {
        SeekTo::Earliest => Ok(driftq_core::SeekTo::Earliest),
        SeekTo::Latest => Ok(driftq_core::SeekTo::Latest),
        SeekTo::Offset { partition, offset } => {
            Ok(driftq_core::SeekTo::Offset { partition: PartitionId(partition), offset: Offset(offset) })
        }
        SeekTo::Time { time_ms } => at_time(broker, topic, WallTime(time_ms)).await,
    }
}

async fn at_time(broker: &Broker, name: &TopicName, time: WallTime) -> Result<driftq_core::SeekTo, Problem> {
    let asked = name.clone();
    let whole = move |state: &State| {
        let topic = state.topic(&asked)?;
        let span = |p: &driftq_core::Partition| Span { from: p.first.0, until: p.next_offset().0 };
        Some((topic.id, topic.partitions.iter().map(span).collect::<Vec<_>>()))
    };
    let unknown = || Problem::not_found(format!("there is no topic {:?}", name.as_str()));
    let (topic, mut spans) = broker.look(whole).await?.ok_or_else(unknown)?;
    while spans.iter().any(|span| span.middle().is_some()) {
        let middles: Vec<Option<u64>> = spans.iter().map(|span| span.middle()).collect();
        let look = move |state: &State| positions(state, topic, &middles);
        let found = broker.look(look).await?.ok_or_else(unknown)?;
        let bodies = Arc::clone(broker.bodies());
        let times = tokio::task::spawn_blocking(move || times(&bodies, &found)).await;
        let times = times.map_err(|_| Problem::internal("reading a stored message failed"))??;
        for (span, stored) in spans.iter_mut().zip(times) {
            let Some(middle) = span.middle() else { continue };
            match stored {
                Some(at) if at >= time => span.until = middle,
                // What is not kept any more was stored before.
                Some(_) | None => span.from = middle + 1,
            }
        }
    }
    let places = (0..).map(PartitionId).zip(spans.iter().map(|span| Offset(span.from))).collect();
    Ok(driftq_core::SeekTo::Places { topic, places })
}

/// The records of some offsets, a partition each; `None` when the topic is gone.
fn positions(state: &State, topic: TopicId, offsets: &[Option<u64>]) -> Option<Vec<Option<Position>>> {
    let topic = state.topics.get(&topic)?;
    let of = |(partition, offset): (&driftq_core::Partition, &Option<u64>)| {
        Some(partition.entry(Offset((*offset)?))?.position)
    };
    Some(topic.partitions.iter().zip(offsets).map(of).collect())
}

/// When these records were stored, by the wall clock.
fn times(bodies: &Bodies, found: &[Option<Position>]) -> Result<Vec<Option<WallTime>>, Problem> {
    found.iter().map(|at| at.map_or(Ok(None), |at| stored_at(bodies, at))).collect()
}

fn stored_at(bodies: &Bodies, at: Position) -> Result<Option<WallTime>, Problem> {
    let record = match bodies.cached(at) {
        Some(record) => record,
        None => bodies.record(at)?,
    };
    Ok(match &*record {
        Record::MessageAppended(message) => Some(message.wall),
        Record::EventAppended(event) => Some(event.wall),
        Record::DeadLettered(dead) => Some(dead.wall),
        _ => None,
    })
}
