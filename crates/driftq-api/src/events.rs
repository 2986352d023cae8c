//! A run's timeline: flat events in one order, numbered from 1.
//!
//! Promise: an event is read and written as it is, every field of it kept as its own text and in
//! its own place.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap as _,
};
use serde_json::value::RawValue;

use crate::Failure;

/// The query of `GET /v1/runs/{run_id}/events`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct EventQuery {
    /// JSON page: only events after this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// JSON page: at most so many events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// JSON page: where the page before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Stream: the last event that was seen, for those who cannot send `Last-Event-ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_event_id: Option<String>,
    /// Stream: when it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<EventUntil>,
    /// For logs; it changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// When a stream of events ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventUntil {
    /// With the run.
    Terminal,
}

/// A page of a timeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventPage {
    /// The events, in order.
    pub events: Vec<RunEvent>,
    /// There is more; ask with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// An event of a timeline.
#[derive(Clone, Debug)]
pub struct RunEvent {
    /// Its number, from 1 without a gap.
    pub seq: u64,
    /// When, epoch milliseconds.
    pub ts: u64,
    /// What happened; `type` on the wire.
    pub kind: String,
    /// The run.
    pub run_id: String,
    /// The replay, from 0.
    pub replay_seq: u32,
    /// The attempt within the replay; 0 before the first delivery.
    pub attempt: u32,
    /// Everything else.
    pub fields: Fields,
}

/// An event a worker writes.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// What happened; `type` on the wire.
    pub kind: String,
    /// Everything else; a `ts` among them is kept.
    pub fields: Fields,
}

/// `POST /v1/runs/{run_id}/events`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PostEventsRequest {
    /// The events, in order; all are written or none.
    pub events: Vec<NewEvent>,
    /// The live lease of the run's command; a former holder is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<String>,
}

/// The answer of `POST /v1/runs/{run_id}/events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PostEventsResponse {
    /// The number of the first event written.
    pub first_seq: u64,
    /// The number of the last one.
    pub last_seq: u64,
}

/// What a stream says first when it cannot begin where the reader left off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TimelineReset {
    /// `timeline.reset`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Why.
    pub reason: TimelineResetReason,
    /// The number of the event that comes next.
    pub first_seq: u64,
}

/// Why a stream cannot begin where the reader left off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TimelineResetReason {
    /// What followed was removed by retention.
    Trimmed,
    /// The reader names an event that is not there yet.
    Ahead,
}

/// What only the broker writes: the type of an event and its own fields.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BrokerEvent {
    /// The run exists.
    #[serde(rename = "run.created")]
    RunCreated {
        /// Which workflow.
        workflow: String,
    },
    /// A worker was handed the command.
    #[serde(rename = "worker.received")]
    WorkerReceived {
        /// Who.
        owner: String,
        /// When its lease ends, epoch milliseconds.
        lease_until_ms: u64,
    },
    /// An attempt failed.
    #[serde(rename = "run.attempt_failed")]
    RunAttemptFailed {
        /// `error` or `lease_expired`.
        reason: String,
        /// What went wrong.
        error: Failure,
        /// How many attempts there are; 0 is no limit.
        max_attempts: u32,
    },
    /// The next attempt has its time.
    #[serde(rename = "run.retry_scheduled")]
    RunRetryScheduled {
        /// When, epoch milliseconds.
        at_ms: u64,
        /// How long that is from now, in milliseconds.
        delay_ms: u64,
        /// The number of the next attempt.
        next_attempt: u32,
        /// How many attempts there are; 0 is no limit.
        max_attempts: u32,
    },
    /// The command became a dead letter.
    #[serde(rename = "run.dlq")]
    RunDlq {
        /// `max_attempts`, `deadline_exceeded` or `non_retryable`.
        reason: String,
        /// The last failure.
        error: Failure,
        /// Where it lies.
        dlq: DeadLetterAddress,
    },
    /// Terminal: out of attempts.
    #[serde(rename = "run.failed")]
    RunFailed {
        /// The last failure.
        error: Failure,
    },
    /// Terminal: done.
    #[serde(rename = "run.succeeded")]
    RunSucceeded {
        /// What it came to.
        #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
        result: Box<RawValue>,
    },
    /// Terminal: stopped.
    #[serde(rename = "run.cancelled")]
    RunCancelled {},
    /// Somebody wants it run again.
    #[serde(rename = "run.replay_requested")]
    RunReplayRequested {
        /// Who.
        #[serde(skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
        /// The step it starts again from.
        #[serde(skip_serializing_if = "Option::is_none")]
        from_step: Option<String>,
        /// The top-level keys of the patch, `["input"]`, or nothing.
        changed: Vec<String>,
    },
    /// A step stored its output.
    #[serde(rename = "step.completed")]
    StepCompleted {
        /// Its name.
        step: String,
        /// How long it took, in milliseconds, when that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        duration_ms: Option<u64>,
    },
}

/// Where a dead letter lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterAddress {
    /// Its own topic, `dlq.…`.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
}

/// The fields of a flat object beyond those with a name of their own, in their order.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<(String, Box<RawValue>)>);

impl Fields {
    /// The text of a field, as JSON.
    #[must_use]
    pub fn json(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| &**value)
    }

    /// A field read as `T`; `None` when it is absent or something else.
    #[must_use]
    pub fn read<'a, T: Deserialize<'a>>(&'a self, name: &str) -> Option<T> {
        serde_json::from_str(self.json(name)?.get()).ok()
    }
}

impl Serialize for RunEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(6 + self.fields.0.len()))?;
        map.serialize_entry("seq", &self.seq)?;
        map.serialize_entry("ts", &self.ts)?;
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("run_id", &self.run_id)?;
        map.serialize_entry("replay_seq", &self.replay_seq)?;
        map.serialize_entry("attempt", &self.attempt)?;
        for (name, value) in &self.fields.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for RunEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RunEventVisitor)
    }
}

struct RunEventVisitor;

impl<'de> Visitor<'de> for RunEventVisitor {
    type Value = RunEvent;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an event of a timeline")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RunEvent, M::Error> {
        let (mut seq, mut ts, mut kind, mut run_id) = (None, None, None, None);
        let (mut replay_seq, mut attempt) = (None, None);
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "seq" => seq = Some(map.next_value()?),
                "ts" => ts = Some(map.next_value()?),
                "type" => kind = Some(map.next_value()?),
                "run_id" => run_id = Some(map.next_value()?),
                "replay_seq" => replay_seq = Some(map.next_value()?),
                "attempt" => attempt = Some(map.next_value()?),
                _ => fields.0.push((name, map.next_value()?)),
            }
        }
        Ok(RunEvent {
            seq: seq.ok_or_else(|| M::Error::missing_field("seq"))?,
            ts: ts.ok_or_else(|| M::Error::missing_field("ts"))?,
            kind: kind.ok_or_else(|| M::Error::missing_field("type"))?,
            run_id: run_id.ok_or_else(|| M::Error::missing_field("run_id"))?,
            replay_seq: replay_seq.ok_or_else(|| M::Error::missing_field("replay_seq"))?,
            attempt: attempt.ok_or_else(|| M::Error::missing_field("attempt"))?,
            fields,
        })
    }
}

impl Serialize for NewEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.fields.0.len()))?;
        map.serialize_entry("type", &self.kind)?;
        for (name, value) in &self.fields.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for NewEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NewEventVisitor)
    }
}

struct NewEventVisitor;

impl<'de> Visitor<'de> for NewEventVisitor {
    type Value = NewEvent;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with a `type`")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<NewEvent, M::Error> {
        let mut kind = None;
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "type" => kind = Some(map.next_value()?),
                _ => fields.0.push((name, map.next_value()?)),
            }
        }
        Ok(NewEvent { kind: kind.ok_or_else(|| M::Error::missing_field("type"))?, fields })
    }
}
