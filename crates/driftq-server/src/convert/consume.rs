//! Consuming: which dialect is spoken, and what is asked for.

use super::settle::lease;
use super::{group, owner, required, topic, trimmed};
use crate::extract::FromQuery;
use crate::problem::Problem;
use driftq_api::{ConsumeMode, ConsumeQuery, ConsumeRequest, ConsumeStart, ValueFormat};
use driftq_core::{Millis, OwnerId, Start};
use driftq_engine::{OpenConsumer, Poll};

/// How long a poll waits when it does not say.
const WAIT_DEFAULT_MS: u64 = 20_000;
/// The longest that any request waits.
pub(crate) const WAIT_MAX_MS: u64 = 50_000;
/// The most messages of one poll.
const POLL_MESSAGES_MAX: u32 = 1_000;
/// The most bytes of one poll.
const POLL_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The most leases a stream may hold.
const IN_FLIGHT_MAX: u32 = 1_000_000;
/// The longest release that a worker may say, bytes.
const VERSION_BYTES_MAX: usize = 200;

/// What a consumer asks for.
pub(crate) enum Consume {
    /// A stream of lines.
    Stream(OpenConsumer),
    /// One answer: an array if `many`.
    Poll { poll: Poll, many: bool },
}

impl FromQuery<ConsumeQuery> for ConsumeRequest {
    fn from_query(query: ConsumeQuery) -> Result<Self, Problem> {
        Ok(query.into())
    }
}

pub(crate) fn consume(asked: &ConsumeRequest) -> Result<Consume, Problem> {
    let given_owner = trimmed(asked.owner.as_deref());
    let mode =
        asked.mode.unwrap_or(if given_owner.is_some() { ConsumeMode::Stream } else { ConsumeMode::Poll });
    let owner = match mode {
        ConsumeMode::Stream => owner(Some(required("owner", given_owner)?))?,
        ConsumeMode::Poll => given_owner.map_or_else(|| Ok(made_owner()), |text| owner(Some(text)))?,
    };
    let open = OpenConsumer {
        topic: topic(asked.topic.as_deref())?,
        group: group(asked.group.as_deref())?,
        owner,
        lease: lease(asked.lease_ms)?,
        max_in_flight: within("max_in_flight", asked.max_in_flight, IN_FLIGHT_MAX)?,
        start: match asked.start.unwrap_or(ConsumeStart::Earliest) {
            ConsumeStart::Earliest => Start::Earliest,
            ConsumeStart::Latest => Start::Latest,
        },
        worker_version: version(asked.worker_version.as_deref())?,
    };
    match mode {
        ConsumeMode::Stream => Ok(Consume::Stream(open)),
        ConsumeMode::Poll => {
            let consumer =
                OpenConsumer { max_in_flight: within("max", asked.max, POLL_MESSAGES_MAX)?, ..open };
            let wait = Millis(asked.wait_ms.unwrap_or(WAIT_DEFAULT_MS).min(WAIT_MAX_MS));
            Ok(Consume::Poll {
                poll: Poll { consumer, wait, bytes_max: POLL_BYTES_MAX },
                many: asked.max.is_some(),
            })
        }
    }
}

/// How values are handed out.
pub(crate) fn value_format(asked: &ConsumeRequest) -> ValueFormat {
    asked.value_format.unwrap_or(ValueFormat::Json)
}

fn within(name: &str, given: Option<u32>, max: u32) -> Result<u32, Problem> {
    match given {
        None => Ok(1),
        Some(0) => Err(Problem::invalid(format!("{name} must be at least 1"))),
        Some(count) if count > max => {
            Err(Problem::invalid(format!("{name} must be at most {max}, not {count}")))
        }
        Some(count) => Ok(count),
    }
}

fn version(given: Option<&str>) -> Result<Option<String>, Problem> {
    match trimmed(given) {
        Some(text) if text.len() > VERSION_BYTES_MAX || text.chars().any(char::is_control) => {
            Err(Problem::invalid(format!(
                "worker_version must have 1 to {VERSION_BYTES_MAX} bytes without control characters"
            )))
        }
        given => Ok(given.map(str::to_owned)),
    }
}

fn made_owner() -> OwnerId {
    let text = format!("poll_{:016x}", fastrand::u64(..));
    OwnerId::parse(&text).expect("a made owner is a valid name")
}
