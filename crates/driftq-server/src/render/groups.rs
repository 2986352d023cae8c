//! Groups in a list.

use super::topics;
use crate::convert;
use crate::problem::Problem;
use driftq_api::GroupSummary;
use driftq_core::{Group, GroupName, State, Topic, TopicName};
use driftq_engine::Readers;

/// What stands between topic and group in a cursor; no topic's name holds it.
const BETWEEN: char = '/';

type Place = (TopicName, Option<GroupName>);

pub(crate) fn summary(state: &State, readers: &dyn Readers, topic: &Topic, group: &Group) -> GroupSummary {
    let shown = topics::group(topic, group);
    let pending: u64 = group.partitions.iter().map(|progress| progress.pending_count()).sum();
    GroupSummary {
        topic: topic.name.as_str().to_owned(),
        group: shown.group,
        lag: shown.lag,
        in_flight: shown.in_flight,
        waiting: pending.saturating_sub(shown.in_flight),
        consumers: readers.of(group.id),
        used_at_ms: state.wall_at(group.used_at).0,
        partitions: shown.partitions,
    }
}

/// Where a page ended.
pub(crate) fn cursor_text((topic, group): &Place) -> String {
    match group {
        Some(group) => format!("{topic}{BETWEEN}{group}"),
        None => topic.as_str().to_owned(),
    }
}

/// Where a page begins.
pub(crate) fn cursor(given: Option<&str>) -> Result<Option<Place>, Problem> {
    let Some(text) = convert::trimmed(given) else { return Ok(None) };
    let (topic, group) = match text.split_once(BETWEEN) {
        Some((topic, group)) => (topic, Some(group)),
        None => (text, None),
    };
    let place =
        TopicName::parse(topic).and_then(|topic| Ok((topic, group.map(GroupName::parse).transpose()?)));
    place
        .map(Some)
        .map_err(|_| Problem::invalid(format!("cursor {text:?} is not one that this server gave out")))
}
