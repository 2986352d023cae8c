//! What a workflow gets: its input, its steps, and a voice on the run's timeline.
//!
//! Promise: a step's output is stored by the server before the workflow sees it, so a later attempt
//! sees the very same value and does not run the step again.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use driftq_api::{Fields, NewEvent, PostEventsRequest, RawValue, RunContext, StepRequest};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use super::{LeaseLost, WorkError, hold::Hold};
use crate::json;

/// One attempt at a run, handed to a workflow. Clones are the same attempt.
#[derive(Clone)]
pub struct WorkflowRun {
    inner: Arc<Inner>,
}

struct Inner {
    hold: Arc<Hold>,
    context: RunContext,
    workflow: String,
    input: Box<RawValue>,
    steps: Mutex<Steps>,
}

/// What is known about the run's steps.
struct Steps {
    finished: BTreeMap<String, Box<RawValue>>,
    /// Whether the server knows of more than came with the command.
    more: bool,
    named: BTreeSet<String>,
}

/// The message that tells a worker to work on a run.
#[derive(Deserialize)]
struct Command {
    #[serde(rename = "type")]
    kind: String,
    run_id: String,
    workflow: String,
    input: Box<RawValue>,
    #[serde(default)]
    replay_seq: u32,
}

impl WorkflowRun {
    /// The attempt that a delivered command asks for.
    pub(super) fn of(hold: Arc<Hold>) -> Result<Self, WorkError> {
        let command: Command = serde_json::from_str(hold.item.value.get())
            .map_err(|error| WorkError::new(format_args!("this message is no run's command: {error}")))
            .and_then(|command: Command| match command.kind.as_str() {
                "run.command" => Ok(command),
                other => Err(WorkError::new(format_args!("this message is a `{other}`, no run's command"))),
            })
            .map_err(WorkError::non_retryable)?;
        let context = hold.item.run.clone().unwrap_or_else(|| RunContext {
            run_id: command.run_id,
            replay_seq: command.replay_seq,
            attempt: hold.item.attempts,
            steps: BTreeMap::new(),
            steps_more: true,
        });
        let steps =
            Steps { finished: context.steps.clone(), more: context.steps_more, named: BTreeSet::new() };
        let inner = Inner {
            hold,
            context,
            workflow: command.workflow,
            input: command.input,
            steps: Mutex::new(steps),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The run.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.inner.context.run_id
    }

    /// Which workflow.
    #[must_use]
    pub fn workflow(&self) -> &str {
        &self.inner.workflow
    }

    /// Which try this is, from 1; it starts again with each replay.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.inner.context.attempt
    }

    /// 0 for the first start, then one more for each replay.
    #[must_use]
    pub fn replay_seq(&self) -> u32 {
        self.inner.context.replay_seq
    }

    /// The same in every attempt of this start: hand it to services that take such a key.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}:{}", self.run_id(), self.replay_seq())
    }

    /// What the run was started (or replayed) with.
    ///
    /// # Errors
    ///
    /// When it is no `T`: passed on, that ends the run without another try.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, WorkError> {
        serde_json::from_str(self.inner.input.get()).map_err(|error| {
            WorkError::new(format_args!("the input does not fit: {error}"))
                .with_kind("InvalidInput")
                .non_retryable()
        })
    }

    /// The same as it was given.
    #[must_use]
    pub fn raw_input(&self) -> &RawValue {
        &self.inner.input
    }

    /// Something that ends when this attempt is not ours any more, for work that no future can stop: a
    /// thread, a child process. The workflow's own future is dropped by then.
    #[must_use]
    pub fn lost(&self) -> CancellationToken {
        self.inner.hold.token()
    }

    /// Why this attempt is not ours any more, if so.
    #[must_use]
    pub fn why_lost(&self) -> Option<LeaseLost> {
        self.inner.hold.why_lost().cloned()
    }

    /// Runs `work` once for this run, or gives back what it came to in an earlier attempt.
    ///
    /// # Errors
    ///
    /// What `work` failed with; a name that was used before in this attempt; an output that is no JSON
    /// or no `T`; a lost lease.
    pub async fn step<W, F, T, E>(&self, name: &str, work: W) -> Result<T, WorkError>
    where
        W: FnOnce() -> F,
        F: Future<Output = Result<T, E>>,
        T: Serialize + DeserializeOwned,
        E: Into<WorkError>,
    {
        if !self.steps().named.insert(name.to_owned()) {
            let message = format!("step `{name}` was used before in this attempt; each needs its own name");
            return Err(WorkError::new(message).non_retryable());
        }
        let output = match self.finished(name).await? {
            Some(output) => output,
            None => match self.first_time(name, work).await {
                Ok(output) => output,
                Err(error) => {
                    // The workflow may try the step again.
                    self.steps().named.remove(name);
                    return Err(error);
                }
            },
        };
        serde_json::from_str(output.get()).map_err(|error| {
            WorkError::new(format_args!("the stored output of step `{name}` does not fit: {error}"))
                .non_retryable()
        })
    }

    /// Writes an event to the timeline; `fields` is an object, or `()` for none.
    ///
    /// # Errors
    ///
    /// When `fields` is something else, the server refuses the type, or the lease is lost.
    pub async fn emit(&self, kind: &str, fields: impl Serialize) -> Result<(), WorkError> {
        let text = json(&fields)?;
        let fields: serde_json::Map<String, serde_json::Value> = match text.get() {
            "null" => serde_json::Map::new(),
            object => serde_json::from_str(object).map_err(|_| {
                WorkError::new(format_args!("the fields of event `{kind}` are no object")).non_retryable()
            })?,
        };
        let fields = fields.iter().map(|(name, value)| Ok((name.clone(), json(value)?)));
        let fields = Fields(fields.collect::<Result<_, crate::ClientError>>()?);
        let request = PostEventsRequest {
            events: vec![NewEvent { kind: kind.to_owned(), fields }],
            lease_id: Some(self.inner.hold.item.lease_id.clone()),
        };
        let hold = &self.inner.hold;
        hold.insist(|| hold.client.post_run_events(self.run_id(), &request)).await.map(drop)
    }

    /// Writes a line that people read to the timeline, as `run.log`.
    ///
    /// # Errors
    ///
    /// As [`WorkflowRun::emit`].
    pub async fn log(&self, message: impl std::fmt::Display) -> Result<(), WorkError> {
        self.emit("run.log", serde_json::json!({ "level": "info", "message": message.to_string() })).await
    }

    /// Says how far this attempt is, as `run.progress`.
    ///
    /// # Errors
    ///
    /// As [`WorkflowRun::emit`].
    pub async fn progress(&self, percent: f64) -> Result<(), WorkError> {
        self.emit("run.progress", serde_json::json!({ "percent": percent })).await
    }

    async fn finished(&self, name: &str) -> Result<Option<Box<RawValue>>, WorkError> {
        let (known, more) = {
            let steps = self.steps();
            (steps.finished.get(name).cloned(), steps.more)
        };
        if known.is_some() || !more {
            return Ok(known);
        }
        let hold = &self.inner.hold;
        let stored = hold.insist(|| hold.client.run_steps(self.run_id())).await?;
        let mut steps = self.steps();
        steps.finished.extend(stored.steps.into_iter().map(|step| (step.step, step.output)));
        steps.more = false;
        Ok(steps.finished.get(name).cloned())
    }

    async fn first_time<W, F, T, E>(&self, name: &str, work: W) -> Result<Box<RawValue>, WorkError>
    where
        W: FnOnce() -> F,
        F: Future<Output = Result<T, E>>,
        T: Serialize,
        E: Into<WorkError>,
    {
        self.emit("step.started", serde_json::json!({ "step": name })).await?;
        let started = Instant::now();
        let worked = work().await.map_err(Into::into);
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let output = match worked {
            Ok(output) => json(&output).map_err(|error| WorkError::from(error).non_retryable())?,
            Err(error) => {
                let said = error.failure();
                let fields = serde_json::json!({ "step": name, "error": said, "duration_ms": duration_ms });
                self.emit("step.failed", fields).await?;
                return Err(error);
            }
        };
        let request = StepRequest {
            lease_id: Some(self.inner.hold.item.lease_id.clone()),
            output: Some(output),
            duration_ms: Some(duration_ms),
        };
        let hold = &self.inner.hold;
        let stored = hold.insist(|| hold.client.complete_step(self.run_id(), name, &request)).await?;
        self.steps().finished.insert(name.to_owned(), stored.output.clone());
        Ok(stored.output)
    }

    fn steps(&self) -> std::sync::MutexGuard<'_, Steps> {
        // Nothing panics while holding it, and each change is whole.
        self.inner.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
