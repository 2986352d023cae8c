//! Where stored records are fetched to be rendered.
//!
//! Promise: rendering is written once, as plain functions over a [`Shelf`]. It runs at once when all it needs is at
//! hand, and on a thread that may block on the disk when it is not; a topic's name is asked for once.

use crate::problem::Problem;
use driftq_core::{
    AttemptRef, Body, Content, Delivered, Envelope, EventAppended, Failed, MessageAppended, Position, Record,
    TopicId, TopicName, UnknownRecord,
};
use driftq_engine::{Bodies, BodyError, Broker};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Topic names kept at hand; beyond that the collection starts anew.
const NAMES_MAX: usize = 10_000;
/// How many edits of a redriven message are followed.
const EDITS_MAX: usize = 1_024;

/// Why something could not be rendered now.
#[derive(Debug)]
pub(crate) enum Miss {
    /// A record is on the disk only.
    NotAtHand,
    /// A topic's name has to be looked up.
    Name(TopicId),
    /// It cannot be read at all.
    Unreadable(BodyError),
}

/// Names of topics by incarnation. An incarnation never changes its name.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashMap<TopicId, Option<TopicName>>>);

impl Names {
    fn find(&self, id: TopicId) -> Option<Option<TopicName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn keep(&self, id: TopicId, name: Option<TopicName>) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(id, name);
    }
}

/// What rendering reads from.
pub(crate) struct Shelf<'a> {
    bodies: &'a Bodies,
    names: &'a Names,
    may_block: bool,
}

/// Runs `render` where it may run, and until all it asks for is there.
pub(crate) async fn render<T, F>(broker: &Broker, app: &crate::app::App, render: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: Fn(&Shelf<'_>) -> Result<T, Miss> + Send + Sync + 'static,
{
    render_from(broker, app, render, false).await
}

/// Runs `render` on a thread that may block, for whoever reads much.
pub(crate) async fn render_apart<T, F>(
    broker: &Broker,
    app: &crate::app::App,
    render: F,
) -> Result<T, Problem>
where
    T: Send + 'static,
    F: Fn(&Shelf<'_>) -> Result<T, Miss> + Send + Sync + 'static,
{
    render_from(broker, app, render, true).await
}

async fn render_from<T, F>(
    broker: &Broker,
    app: &crate::app::App,
    render: F,
    mut may_block: bool,
) -> Result<T, Problem>
where
    T: Send + 'static,
    F: Fn(&Shelf<'_>) -> Result<T, Miss> + Send + Sync + 'static,
{
    let render = Arc::new(render);
    loop {
        let result = if may_block {
            let (render, bodies, app) = (Arc::clone(&render), Arc::clone(broker.bodies()), app.clone());
            let read = move || render(&Shelf { bodies: &bodies, names: &app.names, may_block: true });
            tokio::task::spawn_blocking(read)
                .await
                .map_err(|_| Problem::internal("reading a stored message failed"))?
        } else {
            render(&Shelf { bodies: broker.bodies(), names: &app.names, may_block: false })
        };
        match result {
            Ok(rendered) => return Ok(rendered),
            Err(Miss::NotAtHand) if may_block => {
                return Err(Problem::internal("a stored message was not found"));
            }
            Err(Miss::NotAtHand) => may_block = true,
            Err(Miss::Name(id)) => {
                let find =
                    move |state: &driftq_core::State| state.topics.get(&id).map(|topic| topic.name.clone());
                app.names.keep(id, broker.look(find).await?);
            }
            Err(Miss::Unreadable(error)) => return Err(error.into()),
        }
    }
}

/// A message's content, followed to its root.
pub(crate) enum Source {
    /// What a producer gave.
    Produced(Box<Content>),
    /// A run's command, rendered from its parts.
    Command(Box<MessageAppended>),
    /// An event of a timeline.
    Event(Box<EventAppended>),
}

impl Shelf<'_> {
    /// A record by its position.
    pub(crate) fn record(&self, at: Position) -> Result<Arc<Record>, Miss> {
        if let Some(found) = self.bodies.cached(at) {
            return Ok(found);
        }
        if self.may_block { self.bodies.record(at).map_err(Miss::Unreadable) } else { Err(Miss::NotAtHand) }
    }

    /// The name of a topic; empty when the topic is gone.
    pub(crate) fn name(&self, id: TopicId) -> Result<String, Miss> {
        let found = self.names.find(id).ok_or(Miss::Name(id))?;
        Ok(found.map_or_else(String::new, |name| name.as_str().to_owned()))
    }

    /// What a message says, by the record that appended it.
    pub(crate) fn source(&self, at: Position) -> Result<Source, Miss> {
        let mut at = at;
        let mut edited: Option<Vec<u8>> = None;
        for _ in 0..EDITS_MAX {
            let record = self.record(at)?;
            at = match &*record {
                Record::MessageAppended(message) => match &message.body {
                    Body::Inline(bytes) => {
                        let mut content = Content::decode(bytes).map_err(|_| unreadable(at))?;
                        content.value = edited.unwrap_or(content.value);
                        return Ok(Source::Produced(Box::new(content)));
                    }
                    Body::RunCommand { .. } => {
                        return Ok(match edited {
                            Some(value) => Source::Produced(Box::new(edited_command(message, value))),
                            None => Source::Command(message.clone()),
                        });
                    }
                    Body::Of(of) => *of,
                    Body::Edited { of, value } => {
                        edited.get_or_insert_with(|| value.clone());
                        *of
                    }
                },
                Record::DeadLettered(dead) => dead.content,
                Record::EventAppended(event) => {
                    return Ok(match edited {
                        Some(value) => Source::Produced(Box::new(Content { value, ..Content::default() })),
                        None => Source::Event(event.clone()),
                    });
                }
                _ => return Err(unreadable(at)),
            };
        }
        Err(unreadable(at))
    }

    /// The `Delivered` record of an attempt.
    pub(crate) fn delivered(&self, attempt: &AttemptRef) -> Result<Box<Delivered>, Miss> {
        match &*self.record(attempt.delivered)? {
            Record::Delivered(delivered) => Ok(delivered.clone()),
            _ => Err(unreadable(attempt.delivered)),
        }
    }

    /// A `Failed` record.
    pub(crate) fn failed(&self, at: Position) -> Result<Box<Failed>, Miss> {
        match &*self.record(at)? {
            Record::Failed(failed) => Ok(failed.clone()),
            _ => Err(unreadable(at)),
        }
    }

    /// A run's input, by the record that holds it.
    pub(crate) fn input(&self, at: Position) -> Result<Vec<u8>, Miss> {
        match &*self.record(at)? {
            Record::RunCreated(created) => Ok(created.input.clone()),
            Record::RunReplayed(replayed) => {
                replayed.input.clone().map(|input| input.0).ok_or_else(|| unreadable(at))
            }
            _ => Err(unreadable(at)),
        }
    }

    /// A step's output, by the record that holds it.
    pub(crate) fn output(&self, at: Position) -> Result<Vec<u8>, Miss> {
        match &*self.record(at)? {
            Record::StepStored(step) => Ok(step.output.clone()),
            _ => Err(unreadable(at)),
        }
    }
}

/// A run's command whose value somebody replaced: it moves no run any more, and is a message like any other.
fn edited_command(message: &MessageAppended, value: Vec<u8>) -> Content {
    let Body::RunCommand { run_id, tenant, .. } = &message.body else { return Content::default() };
    let envelope = Envelope {
        run_id: Some(run_id.as_str().to_owned()),
        tenant_id: tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
        retry_policy: message.policy,
        ..Envelope::default()
    };
    Content { key: run_id.as_str().to_owned(), value, headers: Vec::new(), envelope }
}

/// A record that is not of the kind its reference promises.
pub(crate) fn unreadable(at: Position) -> Miss {
    Miss::Unreadable(BodyError::Unreadable { position: at.0, source: UnknownRecord })
}
