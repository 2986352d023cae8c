//! Settling a delivery: ack, nack, and extending its lease.
//!
//! Each request takes both shapes: flat fields, or the whole message as it was consumed in `msg`,
//! of which all but the six fields that name the delivery is ignored.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{FailureRequest, absent};

/// The message as it was consumed; only what names the delivery is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WholeMessage {
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Its offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<String>,
}

/// `POST /v1/ack` as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AckRequest {
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Its offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The lease; absent is the owner's newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<String>,
    /// The whole message instead of the fields above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<WholeMessage>,
    /// What the run came to; only for a run's command in the run's group.
    #[serde(default, deserialize_with = "absent::json", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub result: Option<Box<RawValue>>,
}

/// `POST /v1/ack` as a query.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct AckQuery {
    /// The topic.
    pub topic: Option<String>,
    /// The group.
    pub group: Option<String>,
    /// Who holds it.
    pub owner: Option<String>,
    /// Its partition.
    pub partition: Option<u32>,
    /// Its offset.
    pub offset: Option<u64>,
    /// The lease; absent is the owner's newest.
    pub lease_id: Option<String>,
}

impl From<AckQuery> for AckRequest {
    fn from(query: AckQuery) -> Self {
        Self {
            topic: query.topic,
            group: query.group,
            owner: query.owner,
            partition: query.partition,
            offset: query.offset,
            lease_id: query.lease_id,
            msg: None,
            result: None,
        }
    }
}

/// `POST /v1/nack` as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NackRequest {
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Its offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The lease; absent is the owner's newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<String>,
    /// The whole message instead of the fields above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<WholeMessage>,
    /// Why, in a line; empty reads `nack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FailureRequest>,
    /// Replaces the backoff once, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// `false`: no further try, it is a dead letter now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
}

/// `POST /v1/nack` as a query.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct NackQuery {
    /// The topic.
    pub topic: Option<String>,
    /// The group.
    pub group: Option<String>,
    /// Who holds it.
    pub owner: Option<String>,
    /// Its partition.
    pub partition: Option<u32>,
    /// Its offset.
    pub offset: Option<u64>,
    /// The lease; absent is the owner's newest.
    pub lease_id: Option<String>,
    /// Why, in a line; empty reads `nack`.
    pub reason: Option<String>,
    /// Another name of `reason`.
    pub error: Option<String>,
    /// Replaces the backoff once, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// `false`: no further try, it is a dead letter now.
    pub retryable: Option<bool>,
}

impl From<NackQuery> for NackRequest {
    fn from(query: NackQuery) -> Self {
        Self {
            topic: query.topic,
            group: query.group,
            owner: query.owner,
            partition: query.partition,
            offset: query.offset,
            lease_id: query.lease_id,
            msg: None,
            reason: query.reason.or(query.error),
            error: None,
            retry_after_ms: query.retry_after_ms,
            retryable: query.retryable,
        }
    }
}

/// `POST /v1/extend` as JSON: a heartbeat; the lease is counted from now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExtendRequest {
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Who holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// Its offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The lease; absent is the owner's newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<String>,
    /// The whole message instead of the fields above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<WholeMessage>,
    /// How long from now, in milliseconds; it may be shorter than what is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
}

/// `POST /v1/extend` as a query.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ExtendQuery {
    /// The topic.
    pub topic: Option<String>,
    /// The group.
    pub group: Option<String>,
    /// Who holds it.
    pub owner: Option<String>,
    /// Its partition.
    pub partition: Option<u32>,
    /// Its offset.
    pub offset: Option<u64>,
    /// The lease; absent is the owner's newest.
    pub lease_id: Option<String>,
    /// How long from now, in milliseconds.
    pub lease_ms: Option<u64>,
}

impl From<ExtendQuery> for ExtendRequest {
    fn from(query: ExtendQuery) -> Self {
        Self {
            topic: query.topic,
            group: query.group,
            owner: query.owner,
            partition: query.partition,
            offset: query.offset,
            lease_id: query.lease_id,
            msg: None,
            lease_ms: query.lease_ms,
        }
    }
}

/// The answer of `POST /v1/extend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExtendResponse {
    /// When the lease ends now, epoch milliseconds.
    pub lease_until_ms: u64,
}
