//! Consuming: as a stream of lines, or one answer a request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Envelope, Routing};

/// How messages are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ConsumeMode {
    /// One JSON object a line until the client leaves.
    Stream,
    /// One answer: a message, an array (with `max`), or `null`.
    Poll,
}

/// Where a group that is new begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ConsumeStart {
    /// With the oldest message kept.
    Earliest,
    /// With the next message that is produced.
    Latest,
}

/// How a value is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ValueFormat {
    /// As it was produced.
    Json,
    /// Always a string; a JSON value as its text.
    String,
}

/// `GET /v1/consume` with a JSON body.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsumeRequest {
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Who consumes; absent (and no `mode`) means poll.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How long a message is leased, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// How many leased messages a stream holds at once; absent is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Stream or poll.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ConsumeMode>,
    /// Poll: up to so many messages, as an array.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Poll: how long to wait for the first one, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Where a group that is new begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<ConsumeStart>,
    /// How values are handed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_format: Option<ValueFormat>,
    /// The worker's own release, kept with each attempt; 1 to 200 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_version: Option<String>,
}

/// `GET /v1/consume` as a query.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ConsumeQuery {
    /// The topic.
    pub topic: Option<String>,
    /// The group.
    pub group: Option<String>,
    /// Who consumes; absent (and no `mode`) means poll.
    pub owner: Option<String>,
    /// How long a message is leased, in milliseconds.
    pub lease_ms: Option<u64>,
    /// How many leased messages a stream holds at once; absent is 1.
    pub max_in_flight: Option<u32>,
    /// Stream or poll.
    pub mode: Option<ConsumeMode>,
    /// Poll: up to so many messages, as an array.
    pub max: Option<u32>,
    /// Poll: how long to wait for the first one, in milliseconds.
    pub wait_ms: Option<u64>,
    /// Where a group that is new begins.
    pub start: Option<ConsumeStart>,
    /// How values are handed out.
    pub value_format: Option<ValueFormat>,
    /// The worker's own release, kept with each attempt; 1 to 200 bytes.
    pub worker_version: Option<String>,
}

impl From<ConsumeQuery> for ConsumeRequest {
    fn from(query: ConsumeQuery) -> Self {
        Self {
            topic: query.topic,
            group: query.group,
            owner: query.owner,
            lease_ms: query.lease_ms,
            max_in_flight: query.max_in_flight,
            mode: query.mode,
            max: query.max,
            wait_ms: query.wait_ms,
            start: query.start,
            value_format: query.value_format,
            worker_version: query.worker_version,
        }
    }
}

/// A message handed to a consumer, under a lease.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsumeItem {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Deliveries to the group, this one counted.
    pub attempts: u32,
    /// Its key; empty when there is none.
    pub key: String,
    /// Its value.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub value: Box<RawValue>,
    /// Why earlier deliveries failed, joined; empty at first.
    pub last_error: String,
    /// Which way it was marked to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// What travels beside the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Envelope>,
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// Who holds it; made by the server for a poll without one.
    pub owner: String,
    /// The lease: an ack with it fences a former holder of the same name.
    pub lease_id: String,
    /// When the lease ends, epoch milliseconds.
    pub lease_until_ms: u64,
    /// Its id.
    pub message_id: String,
    /// When it was stored, epoch milliseconds.
    pub produced_at_ms: u64,
    /// Its headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The run, when this is its command, delivered to its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunContext>,
}

/// What a worker is told about the run it works on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunContext {
    /// The run.
    pub run_id: String,
    /// Its replay, from 0.
    pub replay_seq: u32,
    /// Its attempt within the replay, from 1.
    pub attempt: u32,
    /// What finished steps have stored, by name.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, serde_json::Value>))]
    pub steps: BTreeMap<String, Box<RawValue>>,
    /// Not all steps are here; ask `GET /v1/runs/{run_id}/steps`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub steps_more: bool,
}
