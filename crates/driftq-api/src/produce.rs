//! Producing one message, or a batch that is there whole or not at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{EnvelopeRequest, absent};

/// `POST /v1/produce` as JSON, and each message of a batch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProduceRequest {
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// What decides the partition; never trimmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Any JSON but `null` and `""`.
    #[serde(default, deserialize_with = "absent::json", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub value: Option<Box<RawValue>>,
    /// What travels beside the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope: Option<EnvelopeRequest>,
    /// As in the envelope, which wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What the key stands for: the same key with another fingerprint is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_fingerprint: Option<String>,
    /// As in the envelope, which wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Another name of `tenant_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Hand it out only so many milliseconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Hand it out only at this time, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_at_ms: Option<u64>,
    /// Handed to consumers as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, String>>,
}

/// `POST /v1/produce` as a query.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ProduceQuery {
    /// The topic.
    pub topic: Option<String>,
    /// What decides the partition; never trimmed.
    pub key: Option<String>,
    /// The value, a string.
    pub value: Option<String>,
    /// The run it belongs to.
    pub run_id: Option<String>,
    /// The step it belongs to.
    pub step_id: Option<String>,
    /// The step that caused it.
    pub parent_step_id: Option<String>,
    /// The tenant it belongs to.
    pub tenant_id: Option<String>,
    /// Another name of `tenant_id`.
    pub tenant: Option<String>,
    /// The same key within the window is stored once.
    pub idempotency_key: Option<String>,
    /// Another name of `idempotency_key`.
    pub idem_key: Option<String>,
    /// What the key stands for.
    pub idempotency_fingerprint: Option<String>,
    /// The topic that stores the message instead.
    pub target_topic: Option<String>,
    /// The partition, whatever the key says.
    pub partition_override: Option<u32>,
    /// When it is of no use any more, RFC 3339.
    pub deadline_rfc3339: Option<String>,
    /// Another name of `deadline_rfc3339`.
    pub deadline: Option<String>,
    /// The same in epoch milliseconds.
    pub deadline_ms: Option<u64>,
    /// Deliveries before it is a dead letter.
    pub retry_max_attempts: Option<u32>,
    /// The wait after the first failure; only with `retry_max_attempts`.
    pub retry_backoff_ms: Option<u64>,
    /// The longest wait; only with `retry_max_attempts`.
    pub retry_max_backoff_ms: Option<u64>,
    /// What is added at random; only with `retry_max_attempts`.
    pub retry_jitter_ms: Option<u64>,
    /// Hand it out only so many milliseconds from now.
    pub delay_ms: Option<u64>,
    /// Hand it out only at this time, epoch milliseconds.
    pub deliver_at_ms: Option<u64>,
}

/// The answer of `POST /v1/produce`; it is sent once the message is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProduceResponse {
    /// `produced`.
    pub status: String,
    /// The topic as it was asked for.
    pub topic: String,
    /// The partition that has it.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// Its id.
    pub message_id: String,
    /// Whether the idempotency key was known, so that nothing was stored.
    pub duplicate: bool,
    /// The topic that has it, when that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_topic: Option<String>,
}

/// `POST /v1/produce/batch`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRequest {
    /// The messages, in order; all are stored or none.
    pub messages: Vec<ProduceRequest>,
}

/// The answer of `POST /v1/produce/batch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchResponse {
    /// One per message, in the same order.
    pub results: Vec<ProduceResponse>,
}
