//! Deleting a topic: one fact, whatever was in it.
//!
//! Promise: nothing of the incarnation is left in names, groups, timers, keys or the list of dead letters, and its
//! number is never given again. A bulk redrive that waits for its messages counts them as withdrawn. Bodies that its dead letters refer to lie in the log and stay readable. A topic that open
//! runs need is not deleted.

use crate::audit::admit_name;
use crate::draft::Draft;
use crate::redrive_job;
use crate::{DeleteTopic, Instant, Position, Record, Rejection, Reply, State, TopicId, TopicKind};
use alloc::{boxed::Box, string::String, string::ToString};
use serde::{Deserialize, Serialize};

/// See [`Record::TopicDeleted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicDeleted {
    /// Which incarnation.
    pub topic: TopicId,
    /// When, core time.
    pub at: Instant,
    /// Who asked for it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

pub(crate) fn decide_delete(draft: &mut Draft<'_>, delete: DeleteTopic) -> Result<Reply, Rejection> {
    let state = draft.state;
    admit_name(&delete.topic)?;
    let name = || delete.topic.as_str().to_string();
    let topic = state.topic(&delete.topic).ok_or_else(|| Rejection::UnknownTopic(name()))?;
    if let TopicKind::Timeline(run) = topic.kind
        && let Some(run) = state.runs.get(&run)
    {
        return Err(Rejection::TimelineInUse { topic: name(), run_id: run.id.as_str().to_string() });
    }
    let open = state.open_runs_of(topic.id);
    if open > 0 {
        return Err(Rejection::OpenRuns { topic: name(), count: open });
    }
    let fact = TopicDeleted { topic: topic.id, at: state.now, actor: delete.actor, reason: delete.reason };
    draft.push(Record::TopicDeleted(Box::new(fact)));
    Ok(Reply::TopicDeleted)
}

pub(crate) fn apply_deleted(state: &mut State, position: Position, fact: &TopicDeleted) {
    state.keys.forget_topic(fact.topic, position);
    state.drop_topic(fact.topic);
    redrive_job::withdraw(state, position, |at| at.topic == fact.topic);
}
