//! Messages as consumers and browsers get them.

use super::{events, last_error, message_id, policy};
use crate::json;
use crate::shelf::{Miss, Shelf, Source, unreadable};
use driftq_api::{BrowsedMessage, ConsumeItem, DeadLetterMark, Envelope, RawValue, RunContext, ValueFormat};
use driftq_core::{
    Body, DeadLettered, Delivery, Event, EventAppended, MessageAppended, MessageAt, Position, Record,
    WallTime,
};
use std::collections::BTreeMap;

/// Bytes of step outputs that travel with a run's command.
const STEPS_BYTES_MAX: usize = 256 * 1024;

/// What is the same for all items of one consumer.
#[derive(Clone, Debug)]
pub(crate) struct Recipient {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) owner: String,
    pub(crate) format: ValueFormat,
}

/// What a message says.
pub(crate) struct Message {
    pub(crate) key: String,
    pub(crate) value: Box<RawValue>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) envelope: Option<Envelope>,
    pub(crate) at: WallTime,
}

/// A delivery as one JSON object.
pub(crate) fn item(shelf: &Shelf<'_>, to: &Recipient, delivery: &Delivery) -> Result<Vec<u8>, Miss> {
    let message = message(shelf, delivery.position)?;
    let item = ConsumeItem {
        partition: delivery.at.partition.0,
        offset: delivery.at.offset.0,
        attempts: delivery.attempt.0,
        key: message.key,
        value: formatted(message.value, to.format),
        last_error: last_error(shelf, &delivery.history, None)?,
        routing: delivery.routing.as_deref().map(super::topics::routing),
        envelope: message.envelope,
        topic: to.topic.clone(),
        group: to.group.clone(),
        owner: to.owner.clone(),
        lease_id: delivery.lease.to_string(),
        lease_until_ms: delivery.until.0,
        message_id: message_id(delivery.at),
        produced_at_ms: message.at.0,
        headers: message.headers,
        run: delivery.run.as_ref().map(|run| context(shelf, run)).transpose()?,
    };
    Ok(json::bytes_of(&item))
}

/// A message that somebody only looks at.
pub(crate) fn browsed(shelf: &Shelf<'_>, at: MessageAt, position: Position) -> Result<BrowsedMessage, Miss> {
    let message = message(shelf, position)?;
    Ok(BrowsedMessage {
        partition: at.partition.0,
        offset: at.offset.0,
        key: message.key,
        value: message.value,
        headers: message.headers,
        envelope: message.envelope,
        produced_at_ms: message.at.0,
        message_id: message_id(at),
    })
}

/// A message by the record that appended it.
pub(crate) fn message(shelf: &Shelf<'_>, position: Position) -> Result<Message, Miss> {
    match &*shelf.record(position)? {
        Record::MessageAppended(appended) => {
            let mut message = from_source(shelf, shelf.source(position)?, appended.wall)?;
            if matches!(appended.body, Body::Of(_) | Body::Edited { .. }) {
                message.envelope =
                    message.envelope.map(redriven).filter(|envelope| *envelope != Envelope::default());
            }
            Ok(message)
        }
        Record::DeadLettered(dead) => {
            let mut message = from_source(shelf, shelf.source(dead.content)?, dead.wall)?;
            let envelope = message.envelope.unwrap_or_default();
            let mark = Some(mark(shelf, dead)?);
            message.envelope = Some(Envelope { retry_policy: None, dlq: mark, ..redriven(envelope) });
            Ok(message)
        }
        Record::EventAppended(event) => from_event(shelf, event),
        _ => Err(unreadable(position)),
    }
}

/// What is left of an envelope behind the first topic: where it wanted to go, and until when, is over.
fn redriven(envelope: Envelope) -> Envelope {
    Envelope { target_topic: None, deadline: None, partition_override: None, ..envelope }
}

fn from_source(shelf: &Shelf<'_>, source: Source, at: WallTime) -> Result<Message, Miss> {
    match source {
        Source::Produced(content) => Ok(Message {
            key: content.key,
            value: json::raw(&content.value),
            headers: content.headers.into_iter().collect(),
            envelope: envelope(content.envelope),
            at,
        }),
        Source::Command(command) => run_command(shelf, &command, at),
        Source::Event(event) => from_event(shelf, &event),
    }
}

/// An event as consumers of its topic get it: what was produced, or the event itself.
fn from_event(shelf: &Shelf<'_>, event: &EventAppended) -> Result<Message, Miss> {
    if let Event::Produced { content } = &event.event
        && let Ok(content) = driftq_core::Content::decode(content)
    {
        return from_source(shelf, Source::Produced(Box::new(content)), event.wall);
    }
    let value = json::raw_of(&events::event(shelf, event)?);
    Ok(Message { key: String::new(), value, headers: BTreeMap::new(), envelope: None, at: event.wall })
}

#[derive(serde::Serialize)]
struct RunCommand<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    run_id: &'a str,
    workflow: &'a str,
    input: Box<RawValue>,
    replay_seq: u32,
}

fn run_command(shelf: &Shelf<'_>, command: &MessageAppended, at: WallTime) -> Result<Message, Miss> {
    let Body::RunCommand { run_id, workflow, replay_seq, input, tenant } = &command.body else {
        return Err(unreadable(Position(0)));
    };
    let value = RunCommand {
        kind: "run.command",
        run_id: run_id.as_str(),
        workflow: workflow.as_str(),
        input: json::raw(&shelf.input(*input)?),
        replay_seq: replay_seq.0,
    };
    let envelope = Envelope {
        run_id: Some(run_id.as_str().to_owned()),
        tenant_id: tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
        retry_policy: command.policy.as_ref().map(policy),
        ..Envelope::default()
    };
    Ok(Message {
        key: run_id.as_str().to_owned(),
        value: json::raw_of(&value),
        headers: BTreeMap::new(),
        envelope: Some(envelope),
        at,
    })
}

fn envelope(stored: driftq_core::Envelope) -> Option<Envelope> {
    let envelope = Envelope {
        run_id: stored.run_id,
        step_id: stored.step_id,
        parent_step_id: stored.parent_step_id,
        tenant_id: stored.tenant_id,
        idempotency_key: stored.idempotency_key,
        target_topic: stored.target_topic,
        deadline: stored.deadline,
        retry_policy: stored.retry_policy.as_ref().map(policy),
        partition_override: stored.partition_override,
        dlq: None,
    };
    Some(envelope).filter(|envelope| *envelope != Envelope::default())
}

fn mark(shelf: &Shelf<'_>, dead: &DeadLettered) -> Result<DeadLetterMark, Miss> {
    Ok(DeadLetterMark {
        original_topic: original(&shelf.name(dead.at.topic)?),
        original_partition: dead.original.partition.0,
        original_offset: dead.original.offset.0,
        attempts: dead.attempts.0,
        last_error: last_error(shelf, &dead.history, Some(dead.reason))?,
        routed_at_ms: dead.wall.0,
        group: dead.group.as_ref().map_or_else(String::new, |group| group.as_str().to_owned()),
        reason: dead.reason.as_str().to_owned(),
    })
}

/// The topic whose dead letters this one holds, also when it is deleted.
pub(crate) fn original(topic: &str) -> String {
    topic.strip_prefix(driftq_core::DLQ_PREFIX).unwrap_or(topic).to_owned()
}

fn context(shelf: &Shelf<'_>, run: &driftq_core::RunContext) -> Result<RunContext, Miss> {
    let mut steps = BTreeMap::new();
    let mut bytes = 0;
    for (step, position) in &run.steps {
        let output = shelf.output(*position)?;
        bytes += output.len();
        if bytes > STEPS_BYTES_MAX {
            break;
        }
        steps.insert(step.as_str().to_owned(), json::raw(&output));
    }
    Ok(RunContext {
        run_id: run.run_id.as_str().to_owned(),
        replay_seq: run.replay_seq.0,
        attempt: run.attempt.0,
        steps_more: steps.len() < run.steps.len(),
        steps,
    })
}

fn formatted(value: Box<RawValue>, format: ValueFormat) -> Box<RawValue> {
    match format {
        ValueFormat::Json => value,
        ValueFormat::String if value.get().starts_with('"') => value,
        ValueFormat::String => json::raw_of(&value.get()),
    }
}
