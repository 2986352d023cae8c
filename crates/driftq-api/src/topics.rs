//! Topics: create, list, show, and look into one without consuming from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Envelope, RetentionPatch, RetryPolicyPatch, RoutingPatch, TopicSettings, absent};

/// `POST /v1/topics` as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateTopicRequest {
    /// The topic's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many partitions; absent or 0 is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// How a message is retried that says nothing about it. This setting and those below are used only when the
    /// topic is made now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicyPatch>,
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
    pub retention: Option<RetentionPatch>,
    /// The mark that its messages are handed out with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingPatch>,
}

/// `POST /v1/topics` as a query.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct CreateTopicQuery {
    /// The topic's name.
    pub name: Option<String>,
    /// How many partitions; absent or 0 is 1.
    pub partitions: Option<u32>,
}

impl From<CreateTopicQuery> for CreateTopicRequest {
    fn from(query: CreateTopicQuery) -> Self {
        Self { name: query.name, partitions: query.partitions, ..Self::default() }
    }
}

/// The answer of `POST /v1/topics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateTopicResponse {
    /// `created`, also when it existed already.
    pub status: String,
    /// The topic's name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u32,
}

/// The query of `GET /v1/topics`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct TopicListQuery {
    /// At most so many names; absent is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the page before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Objects instead of names (`detail=1`).
    #[serde(default, deserialize_with = "absent::flag", skip_serializing_if = "std::ops::Not::not")]
    pub detail: bool,
    /// Also the broker's own topics, `driftq.…` (`internal=1`).
    #[serde(default, deserialize_with = "absent::flag", skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
}

/// The answer of `GET /v1/topics`: names, sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TopicList {
    /// The names.
    pub topics: Vec<String>,
    /// There is more; ask with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The answer of `GET /v1/topics?detail=1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TopicDetailPage {
    /// The topics, sorted by name.
    pub topics: Vec<TopicSummary>,
    /// There is more; ask with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A topic in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TopicSummary {
    /// The name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// How many messages are kept.
    pub messages: u64,
    /// How many bytes their values take.
    pub bytes: u64,
    /// How many groups read it.
    pub groups: u32,
}

/// The answer of `GET /v1/topics/{topic}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Topic {
    /// The name.
    pub name: String,
    /// Every partition, in order.
    pub partitions: Vec<TopicPartition>,
    /// Every group, sorted by name.
    pub groups: Vec<TopicGroup>,
    /// What it was told itself.
    #[serde(default)]
    pub settings: TopicSettings,
    /// What is in force: its own settings, else its pattern's, else the server's.
    #[serde(default)]
    pub effective: TopicSettings,
    /// The pattern of the server's configuration that fits its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// One partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TopicPartition {
    /// Its number, from 0.
    pub partition: u32,
    /// The oldest offset that is kept.
    pub first_offset: u64,
    /// The offset the next message gets.
    pub next_offset: u64,
    /// How many bytes the messages take.
    pub bytes: u64,
    /// How many messages are kept.
    pub messages: u64,
}

/// How far a group has come in a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TopicGroup {
    /// The group.
    pub group: String,
    /// Messages it has not settled.
    pub lag: u64,
    /// Messages it holds under a lease.
    pub in_flight: u64,
    /// The same by partition.
    pub partitions: Vec<GroupPartition>,
}

/// How far a group has come in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupPartition {
    /// The partition.
    pub partition: u32,
    /// Messages not settled.
    pub lag: u64,
    /// Messages under a lease.
    pub in_flight: u64,
}

/// The query of `GET /v1/topics/{topic}/messages`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct BrowseQuery {
    /// The partition; absent is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// The first offset to show, inclusive; absent is the oldest kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// At most so many messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the page before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The answer of `GET /v1/topics/{topic}/messages`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BrowsePage {
    /// The messages, by offset.
    pub messages: Vec<BrowsedMessage>,
    /// The offset the next page begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_from: Option<u64>,
    /// The same, for those who page by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A message somebody looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BrowsedMessage {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Its key; empty when there is none.
    pub key: String,
    /// Its value.
    #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value))]
    pub value: Box<RawValue>,
    /// Its headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Its envelope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Envelope>,
    /// When it was stored, epoch milliseconds.
    pub produced_at_ms: u64,
    /// Its id.
    pub message_id: String,
}
