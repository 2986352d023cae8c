//! Closings: who took a dead letter off the list, when, why, and by which job.
//!
//! Promise: whatever closes a dead letter notes it in the same transition; the note stays in the log and the state
//! keeps its position only.

use crate::draft::Draft;
use crate::{Closing, ClosingNoted, DeadLetterClosed, JobMove, MessageAt, Position, Record, State};
use alloc::{boxed::Box, string::String};

/// Who wants a dead letter closed, and why.
#[derive(Clone, Debug, Default)]
pub(crate) struct Because {
    pub(crate) actor: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) moved: Option<JobMove>,
}

/// Drafts the closing of a dead letter and its note.
pub(crate) fn draft_closing(
    draft: &mut Draft<'_>,
    at: MessageAt,
    how: Closing,
    is_edited: bool,
    because: Because,
) {
    let wall = draft.state.wall;
    draft.push(Record::DeadLetterClosed(DeadLetterClosed { at, how, actor: because.actor.clone() }));
    draft.push(Record::ClosingNoted(Box::new(ClosingNoted {
        at,
        wall,
        actor: because.actor,
        reason: because.reason,
        edited: is_edited,
        moved: because.moved,
    })));
}

pub(crate) fn apply_noted(state: &mut State, position: Position, fact: &ClosingNoted) {
    if let Some(topic) = state.topic_effect(fact.at.topic, position)
        && let Some(dead) = topic.dead_letter_mut(fact.at)
    {
        dead.noted = Some(position);
    }
    if let Some(moved) = &fact.moved {
        crate::redrive_job::apply_moved(state, position, moved);
    }
}
