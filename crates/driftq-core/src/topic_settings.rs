//! What a topic may be told, and what is in force for it.
//!
//! Promise: a setting comes from the topic itself, else from the first pattern of the configuration that fits its name,
//! else from the broker's limits. A topic's own settings are facts and change only by one; patterns are configuration,
//! looked at when something is decided and never when a fact is applied.

use crate::audit::admit_name;
use crate::draft::Draft;
use crate::{
    Instant, Limits, Millis, PatchTopic, Position, Record, Rejection, Reply, RetryPolicy, State, Topic,
    TopicId, TopicKind,
};
use alloc::{boxed::Box, collections::BTreeMap, string::String, string::ToString, sync::Arc, vec::Vec};
use serde::{Deserialize, Serialize};

/// What one topic was told, or a pattern tells its topics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSettings {
    /// How a message is retried that says nothing about it.
    pub policy: Option<RetryPolicy>,
    /// How long a produce key counts; 0 = off.
    pub key_window: Option<Millis>,
    /// Messages of a partition that live groups may leave unsettled; 0 = no bound.
    pub partition_messages_max: Option<u64>,
    /// Bytes of a partition that live groups may leave unsettled; 0 = no bound.
    pub partition_bytes_max: Option<u64>,
    /// How long messages are kept; stored, and not enforced by this release.
    pub retention: Option<Retention>,
    /// The mark that messages are handed out with.
    pub routing: Option<Arc<Routing>>,
}

/// How long messages are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// The age a message may reach.
    pub age: Option<Millis>,
    /// The bytes a partition may take.
    pub bytes: Option<u64>,
    /// The age an open dead letter may reach.
    pub dead_letter_age: Option<Millis>,
}

/// Which way messages are marked to go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// The mark.
    pub label: String,
    /// More about it.
    pub meta: BTreeMap<String, String>,
}

/// A change of one setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays.
    #[default]
    Keep,
    /// It goes back to the default.
    Reset,
    /// It becomes this.
    Set(T),
}

/// A change of a topic's settings, as a merge patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsPatch {
    /// How a message is retried that says nothing about it.
    pub policy: Change<PolicyPatch>,
    /// How long a produce key counts; 0 = off.
    pub key_window: Change<Millis>,
    /// Messages of a partition that live groups may leave unsettled; 0 = no bound.
    pub partition_messages_max: Change<u64>,
    /// Bytes of a partition that live groups may leave unsettled; 0 = no bound.
    pub partition_bytes_max: Change<u64>,
    /// How long messages are kept.
    pub retention: Change<RetentionPatch>,
    /// The mark that messages are handed out with.
    pub routing: Change<RoutingPatch>,
}

/// A change of a retry policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyPatch {
    /// Deliveries before the message is dead-lettered; 0 = no limit.
    pub max_attempts: Change<u32>,
    /// The first backoff.
    pub backoff: Change<Millis>,
    /// The longest backoff; 0 = 12 h.
    pub max_backoff: Change<Millis>,
    /// Upper bound of the random part.
    pub jitter: Change<Millis>,
}

/// A change of a retention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionPatch {
    /// The age a message may reach.
    pub age: Change<Millis>,
    /// The bytes a partition may take.
    pub bytes: Change<u64>,
    /// The age an open dead letter may reach.
    pub dead_letter_age: Change<Millis>,
}

/// A change of a routing mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingPatch {
    /// The mark.
    pub label: Option<String>,
    /// More about it: a value, or `None` to take the name out.
    pub meta: Change<BTreeMap<String, Option<String>>>,
}

/// Settings for all topics whose name fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPattern {
    /// A name in which each `*` stands for any text, or none.
    pub pattern: String,
    /// What they are told.
    pub settings: TopicSettings,
}

/// The patterns of the configuration; the first that fits counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns(Arc<[TopicPattern]>);

/// What is in force for a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective<'a> {
    /// The pattern that fits its name.
    pub pattern: Option<&'a str>,
    /// How a message is retried that says nothing about it.
    pub policy: Option<RetryPolicy>,
    /// How long a produce key counts; 0 = off.
    pub key_window: Millis,
    /// Messages of a partition that live groups may leave unsettled; `None` = no bound.
    pub partition_messages_max: Option<u64>,
    /// Bytes of a partition that live groups may leave unsettled; `None` = no bound.
    pub partition_bytes_max: Option<u64>,
    /// How long messages are kept.
    pub retention: Option<Retention>,
    /// The mark that messages are handed out with.
    pub routing: Option<&'a Arc<Routing>>,
}

/// See [`Record::TopicSet`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSet {
    /// Which.
    pub topic: TopicId,
    /// All of its own settings from now on.
    pub settings: TopicSettings,
    /// When, core time.
    pub at: Instant,
    /// Who asked for it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Patterns {
    /// These patterns, in order.
    #[must_use]
    pub fn new(patterns: Vec<TopicPattern>) -> Self {
        Self(patterns.into())
    }

    /// The number of the first pattern that fits.
    pub(crate) fn number_of(&self, name: &str) -> Option<u16> {
        let fits = |pattern: &TopicPattern| fits(&pattern.pattern, name);
        self.0.iter().position(fits).and_then(|index| u16::try_from(index).ok())
    }

    fn numbered(&self, number: Option<u16>) -> Option<&TopicPattern> {
        self.0.get(usize::from(number?))
    }

    fn longest_window(&self) -> Option<Millis> {
        self.0.iter().filter_map(|pattern| pattern.settings.key_window).max()
    }
}

/// Whether a name fits a pattern: the text before the first `*` begins it, the text behind the last one ends it, and
/// what stands between them is found in order.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        match left.split_once(part) {
            Some((_, behind)) => left = behind,
            None => return false,
        }
    }
    left.ends_with(tail)
}

impl State {
    /// What is in force for a topic.
    #[must_use]
    pub fn effective<'a>(&'a self, topic: &'a Topic) -> Effective<'a> {
        self.resolve(topic.settings(), self.patterns.numbered(topic.pattern))
    }

    /// What would be in force for a topic of this name that is made now.
    pub(crate) fn effective_when_made(&self, name: &str) -> Effective<'_> {
        self.resolve(None, self.patterns.numbered(self.patterns.number_of(name)))
    }

    fn resolve<'a>(
        &self,
        own: Option<&'a TopicSettings>,
        pattern: Option<&'a TopicPattern>,
    ) -> Effective<'a> {
        let limits: &Limits = &self.limits;
        let shared = pattern.map(|pattern| &pattern.settings);
        let layers = || own.into_iter().chain(shared);
        let bound = |own: Option<u64>, limit: Option<u64>| own.or(limit).filter(|max| *max > 0);
        Effective {
            pattern: pattern.map(|pattern| pattern.pattern.as_str()),
            policy: layers().find_map(|layer| layer.policy),
            key_window: layers().find_map(|layer| layer.key_window).unwrap_or(limits.key_window),
            partition_messages_max: bound(
                layers().find_map(|layer| layer.partition_messages_max),
                limits.partition_messages_max,
            ),
            partition_bytes_max: bound(
                layers().find_map(|layer| layer.partition_bytes_max),
                limits.partition_bytes_max,
            ),
            retention: layers().find_map(|layer| layer.retention),
            routing: layers().find_map(|layer| layer.routing.as_ref()),
        }
    }

    /// The longest produce window in force anywhere: a key is kept that long.
    #[must_use]
    pub fn key_window_longest(&self) -> Millis {
        let own = self.own_windows.last_key_value().map(|(window, _)| *window);
        [own, self.patterns.longest_window()].into_iter().flatten().fold(self.limits.key_window, Millis::max)
    }

    /// Counts a topic's own window in, or out again.
    pub(crate) fn count_window(&mut self, settings: Option<&TopicSettings>, is_in: bool) {
        let Some(window) = settings.and_then(|settings| settings.key_window) else { return };
        let count = self.own_windows.entry(window).or_default();
        *count = if is_in { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.own_windows.remove(&window);
        }
    }
}

impl<T: Copy> Change<T> {
    fn over(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Reset => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl SettingsPatch {
    /// Whether it changes nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These settings with the patch merged in.
    ///
    /// # Errors
    ///
    /// [`Rejection::RoutingWithoutLabel`] when a routing mark would have no label.
    pub fn over(&self, before: &TopicSettings) -> Result<TopicSettings, Rejection> {
        Ok(TopicSettings {
            policy: match &self.policy {
                Change::Keep => before.policy,
                Change::Reset => None,
                Change::Set(patch) => Some(patch.over(before.policy.unwrap_or_default())),
            },
            key_window: self.key_window.over(before.key_window),
            partition_messages_max: self.partition_messages_max.over(before.partition_messages_max),
            partition_bytes_max: self.partition_bytes_max.over(before.partition_bytes_max),
            retention: match &self.retention {
                Change::Keep => before.retention,
                Change::Reset => None,
                Change::Set(patch) => Some(patch.over(before.retention.unwrap_or_default())),
            },
            routing: match &self.routing {
                Change::Keep => before.routing.clone(),
                Change::Reset => None,
                Change::Set(patch) => Some(Arc::new(patch.over(before.routing.as_deref())?)),
            },
        })
    }
}

impl PolicyPatch {
    fn over(self, before: RetryPolicy) -> RetryPolicy {
        RetryPolicy {
            max_attempts: self.max_attempts.over(Some(before.max_attempts)).unwrap_or(0),
            backoff: self.backoff.over(Some(before.backoff)).unwrap_or_default(),
            max_backoff: self.max_backoff.over(Some(before.max_backoff)).unwrap_or_default(),
            jitter: self.jitter.over(Some(before.jitter)).unwrap_or_default(),
        }
    }
}

impl RetentionPatch {
    fn over(self, before: Retention) -> Retention {
        Retention {
            age: self.age.over(before.age),
            bytes: self.bytes.over(before.bytes),
            dead_letter_age: self.dead_letter_age.over(before.dead_letter_age),
        }
    }
}

impl RoutingPatch {
    fn over(&self, before: Option<&Routing>) -> Result<Routing, Rejection> {
        let mut routing = before.cloned().unwrap_or_default();
        if let Some(label) = &self.label {
            routing.label.clone_from(label);
        }
        match &self.meta {
            Change::Keep => {}
            Change::Reset => routing.meta.clear(),
            Change::Set(meta) => {
                for (name, value) in meta {
                    match value {
                        Some(value) => routing.meta.insert(name.clone(), value.clone()),
                        None => routing.meta.remove(name),
                    };
                }
            }
        }
        if routing.label.is_empty() { Err(Rejection::RoutingWithoutLabel) } else { Ok(routing) }
    }
}

pub(crate) fn decide_patch(draft: &mut Draft<'_>, patch: PatchTopic) -> Result<Reply, Rejection> {
    let state = draft.state;
    admit_name(&patch.topic)?;
    let topic =
        state.topic(&patch.topic).ok_or_else(|| Rejection::UnknownTopic(patch.topic.as_str().to_string()))?;
    let before = topic.settings().cloned().unwrap_or_default();
    let after = patch.settings.over(&before)?;
    admit_kind(topic.kind, &after)?;
    if before != after {
        draft.push(set(topic.id, after, state.now, patch.actor, patch.reason));
    }
    Ok(Reply::TopicPatched { topic: topic.id })
}

/// Refuses what a topic of this kind cannot honour.
fn admit_kind(kind: TopicKind, settings: &TopicSettings) -> Result<(), Rejection> {
    match kind {
        TopicKind::Timeline(_) if settings.policy.is_some() => {
            Err(Rejection::NotOnTimeline("a retry policy"))
        }
        TopicKind::Timeline(_) | TopicKind::Plain | TopicKind::DeadLetters => Ok(()),
    }
}

/// The fact that a topic has these settings of its own.
pub(crate) fn set(
    topic: TopicId,
    settings: TopicSettings,
    at: Instant,
    actor: Option<String>,
    reason: Option<String>,
) -> Record {
    Record::TopicSet(Box::new(TopicSet { topic, settings, at, actor, reason }))
}

pub(crate) fn apply_set(state: &mut State, position: Position, fact: &TopicSet) {
    let Some(topic) = state.topic_effect(fact.topic, position) else { return };
    let own = (fact.settings != TopicSettings::default()).then(|| Box::new(fact.settings.clone()));
    let before = core::mem::replace(&mut topic.settings, own);
    state.count_window(before.as_deref(), false);
    state.count_window(Some(&fact.settings), true);
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_text_or_none() {
        for (pattern, name, expected) in [
            ("orders", "orders", true),
            ("orders", "orders.eu", false),
            ("runs.events.*", "runs.events.run_1", true),
            ("runs.events.*", "runs.events.", true),
            ("runs.events.*", "runs.commands", false),
            ("*.eu", "orders.eu", true),
            ("*.eu", "orders.eu.old", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*", "anything", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} and {name}");
        }
    }
}
