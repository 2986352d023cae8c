//! The worker: takes messages, runs their handlers, and settles each by how it ended.
//!
//! Promise: a lease is renewed for as long as its handler works, from a thread that no handler can
//! block; a handler whose lease is lost, or whose run was cancelled, is stopped and settles nothing.
//! The server may restart at any time. A worker that is asked to stop takes nothing new, lets what
//! runs come to its end for a while, and gives the rest back. It never acks what did not succeed.

mod error;
mod heart;
mod hold;
mod session;
mod workflow_run;

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use driftq_api::RawValue;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Client, ClientError, Delivery};

pub use error::{WorkError, WorkerError};
pub use hold::LeaseLost;
pub use workflow_run::WorkflowRun;

use hold::Hold;
use session::Session;

/// Where runs' commands come from when nobody says otherwise.
const COMMANDS: &str = "runs.commands";

/// The group that works on them when nobody says otherwise.
const GROUP: &str = "workers";

/// How many handlers run at once, for each topic.
const CONCURRENCY: u32 = 10;

/// How long a message is held before it is renewed or somebody else's.
const LEASE: Duration = Duration::from_secs(30);

/// The shortest lease: the server makes a shorter one this long.
const LEASE_MIN: Duration = Duration::from_millis(100);

/// How long handlers have to end when the worker stops.
const DRAIN: Duration = Duration::from_secs(8);

/// What a handler's work is while it runs.
type Working<T> = Pin<Box<dyn Future<Output = Result<T, WorkError>> + Send>>;

/// A workflow, with its types behind it.
type Workflow = Arc<dyn Fn(WorkflowRun) -> Working<Box<RawValue>> + Send + Sync>;

/// A handler of a topic's messages, with its types behind it.
type Handler = Arc<dyn Fn(Arc<Hold>) -> Working<()> + Send + Sync>;

/// Runs workflows and message handlers, up to `concurrency` at a time for each topic.
///
/// ```no_run
/// use std::time::Duration;
/// use driftq_client::{Client, Delivery, WorkflowRun, WorkError, Worker};
///
/// #[derive(serde::Deserialize)]
/// struct Document { url: String }
///
/// async fn summarize(run: WorkflowRun) -> Result<String, WorkError> {
///     let document: Document = run.input()?;             // what does not fit is never tried again
///     let text = run.step("fetch", async || fetch(&document.url).await).await?;  // done once
///     if text.is_empty() {
///         return Err(WorkError::new("nothing there yet").retry_after(Duration::from_secs(30)));
///     }
///     Ok(text)
/// }
///
/// async fn bill(order: Delivery<Document>) -> Result<(), WorkError> {
///     println!("{}", order.value.url);
///     Ok(())
/// }
/// # async fn fetch(url: &str) -> Result<String, WorkError> { Ok(url.to_owned()) }
///
/// # async fn example() -> Result<(), driftq_client::WorkerError> {
/// Worker::new(Client::from_env()?)
///     .workflow("summarize", summarize)
///     .handler("orders", "billing", bill)
///     .concurrency(20)
///     .run()                                              // until SIGTERM or Ctrl-C
///     .await
/// # }
/// ```
#[must_use]
pub struct Worker {
    client: Client,
    owner: String,
    topic: String,
    group: String,
    lease: Duration,
    concurrency: u32,
    drain: Duration,
    workflows: BTreeMap<String, Workflow>,
    handlers: Vec<Subscription>,
    twice: Option<String>,
}

/// One topic, and who works on its messages.
struct Subscription {
    topic: String,
    group: String,
    handler: Handler,
}

impl Worker {
    /// A worker that knows nothing to do yet.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            owner: format!("worker-{}-{}", std::process::id(), crate::messages::new_key()),
            topic: COMMANDS.to_owned(),
            group: GROUP.to_owned(),
            lease: LEASE,
            concurrency: CONCURRENCY,
            drain: DRAIN,
            workflows: BTreeMap::new(),
            handlers: Vec::new(),
            twice: None,
        }
    }

    /// Registers a workflow: what it returns is the run's result, an error is a failed attempt.
    pub fn workflow<W, F, T, E>(mut self, name: impl Into<String>, work: W) -> Self
    where
        W: Fn(WorkflowRun) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: Into<WorkError>,
    {
        let name = name.into();
        let workflow: Workflow = Arc::new(move |attempt| {
            let working = work(attempt);
            Box::pin(async move {
                let result = working.await.map_err(Into::into)?;
                // The same work would end in the same result: no further try.
                crate::json(&result).map_err(|error| WorkError::from(error).non_retryable())
            })
        });
        if self.workflows.insert(name.clone(), workflow).is_some() {
            self.twice = Some(format!("workflow `{name}`"));
        }
        self
    }

    /// Registers a handler of a topic's messages for a group: it is acked when it returns.
    ///
    /// A value that is no `T` is a dead letter at once.
    pub fn handler<W, F, T, E>(mut self, topic: impl Into<String>, group: impl Into<String>, work: W) -> Self
    where
        W: Fn(Delivery<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        T: DeserializeOwned,
        E: Into<WorkError>,
    {
        let (topic, group) = (topic.into(), group.into());
        let work = Arc::new(work);
        let handler: Handler = Arc::new(move |hold| {
            let work = Arc::clone(&work);
            match Delivery::of(hold.item.clone()) {
                Ok(delivery) => {
                    let working = work(delivery);
                    Box::pin(async move { working.await.map_err(Into::into) })
                }
                Err(error) => Box::pin(async move { Err(WorkError::from(error).non_retryable()) }),
            }
        });
        if self.handlers.iter().any(|there| there.topic == topic && there.group == group) {
            self.twice = Some(format!("a handler of `{topic}` for the group `{group}`"));
        }
        self.handlers.push(Subscription { topic, group, handler });
        self
    }

    /// Who this worker is to the server; one of its own if not said.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }

    /// Where runs' commands come from, and the group that works on them; `runs.commands` and `workers`
    /// if not said.
    pub fn commands(mut self, topic: impl Into<String>, group: impl Into<String>) -> Self {
        (self.topic, self.group) = (topic.into(), group.into());
        self
    }

    /// How many handlers run at once, for each topic; 10 if not said, at least 1.
    pub fn concurrency(mut self, handlers: u32) -> Self {
        self.concurrency = handlers.max(1);
        self
    }

    /// How long a killed worker's messages rest; 30 s if not said. Leases of those at work are renewed.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(LEASE_MIN);
        self
    }

    /// How long handlers have to end when the worker stops; 8 s if not said.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Works until SIGTERM or Ctrl-C, then drains.
    ///
    /// # Errors
    ///
    /// As [`Worker::run_until`].
    pub async fn run(self) -> Result<(), WorkerError> {
        self.run_until(asked_to_stop()).await
    }

    /// Works until `stop` is there, then drains.
    ///
    /// # Errors
    ///
    /// When there is nothing to do, something is registered twice, or the server refuses the first
    /// request. Once it has worked it goes on over every failure.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), WorkerError> {
        if let Some(twice) = self.twice {
            return Err(WorkerError::Twice(twice));
        }
        if self.workflows.is_empty() && self.handlers.is_empty() {
            return Err(WorkerError::Idle);
        }
        Session::start(self)?.work(stop).await
    }
}

/// Ends when the process is asked to stop.
#[cfg(unix)]
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        // Without the signal there is still Ctrl-C.
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// Ends when the process is asked to stop.
#[cfg(not(unix))]
async fn asked_to_stop() {
    drop(tokio::signal::ctrl_c().await);
}

impl From<ClientError> for WorkerError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}
