//! What a topic may be told: how its messages are retried, how long its keys count, how much may pile up.
//!
//! A setting comes from the topic itself, else from the first pattern of the configuration that fits its name, else
//! from the server's defaults. A patch is a merge patch (RFC 7396): `null` takes a setting back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{RetryPolicy, Routing, absent};

/// `PATCH /v1/topics/{topic}`: what is absent stays, what is `null` goes back to the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PatchTopicRequest {
    /// How a message is retried that says nothing about it.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<RetryPolicyPatch>))]
    pub retry_policy: Option<Option<RetryPolicyPatch>>,
    /// How long an idempotency key counts, in milliseconds; 0 is off.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub idempotency_window_ms: Option<Option<u64>>,
    /// Messages of a partition that live groups may leave unsettled; 0 is no bound.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub partition_max_messages: Option<Option<u64>>,
    /// Bytes of a partition that live groups may leave unsettled; 0 is no bound.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub partition_max_bytes: Option<Option<u64>>,
    /// How long messages are kept.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<RetentionPatch>))]
    pub retention: Option<Option<RetentionPatch>>,
    /// The mark that its messages are handed out with.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<RoutingPatch>))]
    pub routing: Option<Option<RoutingPatch>>,
    /// Why somebody asks, at most 1 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A change of a retry policy, field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryPolicyPatch {
    /// Deliveries before the message is a dead letter; 0 is no limit.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub max_attempts: Option<Option<u32>>,
    /// The wait after the first failure, in milliseconds; it doubles with each further one.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub backoff_ms: Option<Option<u64>>,
    /// The longest wait, in milliseconds; 0 is 12 hours.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub max_backoff_ms: Option<Option<u64>>,
    /// Up to so many milliseconds are added to each wait at random.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub jitter_ms: Option<Option<u64>>,
}

/// A change of a retention, field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionPatch {
    /// The age a message may reach, in milliseconds.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub age_ms: Option<Option<u64>>,
    /// The bytes a partition may take.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub bytes: Option<Option<u64>>,
    /// The age an open dead letter may reach, in milliseconds.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub dead_letter_age_ms: Option<Option<u64>>,
}

/// A change of a routing mark; a `null` in `meta` takes that key out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoutingPatch {
    /// The mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// More about it.
    #[serde(default, deserialize_with = "absent::nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, Option<String>>>))]
    pub meta: Option<Option<BTreeMap<String, Option<String>>>>,
}

/// A topic's settings in an answer: its own ones, or those in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TopicSettings {
    /// How a message is retried that says nothing about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// How long an idempotency key counts, in milliseconds; 0 is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_window_ms: Option<u64>,
    /// Messages of a partition that live groups may leave unsettled; 0 is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_max_messages: Option<u64>,
    /// Bytes of a partition that live groups may leave unsettled; 0 is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_max_bytes: Option<u64>,
    /// How long messages are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// The mark that its messages are handed out with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
}

/// How long messages are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retention {
    /// The age a message may reach, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// The bytes a partition may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The age an open dead letter may reach, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_age_ms: Option<u64>,
    /// Whether anything is removed because of it; this release only stores it.
    #[serde(default)]
    pub enforced: bool,
}

/// The query of `DELETE /v1/topics/{topic}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct DeleteTopicQuery {
    /// Why somebody asks, at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
