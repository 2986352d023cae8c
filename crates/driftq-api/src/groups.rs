//! Consumer groups: list them, move one to another place, forget one.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::GroupPartition;

/// The query of `GET /v1/groups`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct GroupListQuery {
    /// Only groups of this topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Where the page before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The answer of `GET /v1/groups`: groups in the order of topic and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupPage {
    /// The groups.
    pub groups: Vec<GroupSummary>,
    /// There is more; ask with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// How far a group has come in its topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupSummary {
    /// The topic it reads.
    pub topic: String,
    /// Its name.
    pub group: String,
    /// Messages it has not settled.
    pub lag: u64,
    /// Messages it holds under a lease.
    pub in_flight: u64,
    /// Messages that failed and wait for their next attempt.
    pub waiting: u64,
    /// Polls and streams that are connected.
    pub consumers: u64,
    /// When it was last used, epoch milliseconds.
    pub used_at_ms: u64,
    /// Lag and leases by partition.
    pub partitions: Vec<GroupPartition>,
}

/// `POST /v1/groups/seek` as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeekRequest {
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Where it reads on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<SeekTo>,
    /// Why somebody asks, at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /v1/groups/seek` as a query: `to`, or `partition` and `offset`, or `time_ms`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct SeekQuery {
    /// The topic.
    pub topic: Option<String>,
    /// The group.
    pub group: Option<String>,
    /// `earliest` or `latest`.
    pub to: Option<String>,
    /// The partition that is moved to `offset`.
    pub partition: Option<u32>,
    /// The first offset that is read again.
    pub offset: Option<u64>,
    /// The first message stored at or after this time is read again, epoch milliseconds.
    pub time_ms: Option<u64>,
    /// Why somebody asks, at most 1 KiB.
    pub reason: Option<String>,
}

/// Where a group reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// At the oldest message kept, in every partition: `"earliest"`.
    Earliest,
    /// Behind the newest message, in every partition: `"latest"`.
    Latest,
    /// At this offset of one partition: `{"partition","offset"}`.
    Offset {
        /// The partition.
        partition: u32,
        /// The first offset that is read again.
        offset: u64,
    },
    /// At the first message stored at or after this time, in every partition: `{"time_ms"}`.
    Time {
        /// Epoch milliseconds.
        time_ms: u64,
    },
}

/// [`SeekTo`] as an object.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeekPlace {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partition: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_ms: Option<u64>,
}

/// What a `to` has to look like.
const SEEK_TO: &str = "`earliest`, `latest`, {\"partition\",\"offset\"} or {\"time_ms\"}";

impl Serialize for SeekTo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = match *self {
            Self::Earliest => return serializer.serialize_str("earliest"),
            Self::Latest => return serializer.serialize_str("latest"),
            Self::Offset { partition, offset } => {
                SeekPlace { partition: Some(partition), offset: Some(offset), time_ms: None }
            }
            Self::Time { time_ms } => SeekPlace { partition: None, offset: None, time_ms: Some(time_ms) },
        };
        place.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SeekTo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> de::Visitor<'de> for Reader {
            type Value = SeekTo;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(SEEK_TO)
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<SeekTo, E> {
                SeekTo::word(word).ok_or_else(|| E::invalid_value(de::Unexpected::Str(word), &self))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<SeekTo, A::Error> {
                let place = SeekPlace::deserialize(de::value::MapAccessDeserializer::new(map))?;
                match (place.partition, place.offset, place.time_ms) {
                    (Some(partition), Some(offset), None) => Ok(SeekTo::Offset { partition, offset }),
                    (None, None, Some(time_ms)) => Ok(SeekTo::Time { time_ms }),
                    (_, _, _) => Err(de::Error::invalid_value(de::Unexpected::Map, &self)),
                }
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl SeekTo {
    /// `earliest` or `latest`.
    #[must_use]
    pub fn word(word: &str) -> Option<Self> {
        match word {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            _ => None,
        }
    }
}

/// The answer of `POST /v1/groups/seek`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeekResponse {
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// Where it reads on, each partition that was moved.
    pub partitions: Vec<SeekPartition>,
}

/// Where a group reads on in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeekPartition {
    /// The partition.
    pub partition: u32,
    /// The first offset that is read again; the next offset of the partition when nothing is.
    pub offset: u64,
}

/// The query of `DELETE /v1/groups`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct DeleteGroupQuery {
    /// The topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Why somebody asks, at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
