//! A run in hand: start it, follow it, wait for what it comes to.

use std::time::Duration;

use driftq_api::{
    ExplainQuery, Explanation, Failure, RawValue, ReplayRequest, ReplayResponse, Run, RunAttemptPage,
    RunAttemptQuery, RunDiff, RunDiffQuery, RunStatus, StartRunRequest,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Client, ClientError, EventStream, EventsFrom, json, retry::Failures};

/// How long one request waits for the end of a run; then it is asked again.
const WAIT: Duration = Duration::from_secs(30);

/// A run of a server. Clones are the same run.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use driftq_client::Client;
///
/// let client = Client::from_env()?;
/// let run = client.start("summarize", &serde_json::json!({ "url": "https://example.org" })).await?;
/// let summary: String = run.result().await?;
/// println!("{}: {summary}", run.id());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RunHandle {
    client: Client,
    run_id: String,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It is out of attempts.
    #[error("the run {run_id} failed: {}", failure.message)]
    Failed {
        /// The run.
        run_id: String,
        /// The last failure.
        failure: Failure,
    },
    /// Somebody stopped it.
    #[error("the run {0} was cancelled")]
    Cancelled(String),
    /// It has a result of another type.
    #[error("the result of run {run_id} does not fit: {cause}")]
    Result {
        /// The run.
        run_id: String,
        /// What does not fit.
        cause: String,
    },
    /// The server could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Client {
    /// Starts a run of a workflow. See [`Client::start_run`] for all that can be said about it.
    ///
    /// # Errors
    ///
    /// As [`Client::start_run`]; when `input` has no JSON form.
    pub async fn start(&self, workflow: &str, input: &impl Serialize) -> Result<RunHandle, ClientError> {
        let request = StartRunRequest {
            workflow: Some(workflow.to_owned()),
            input: Some(json(input)?),
            ..StartRunRequest::default()
        };
        Ok(self.handle(self.start_run(request).await?.run_id))
    }

    /// A run that was started before; nothing is asked yet.
    #[must_use]
    pub fn handle(&self, run_id: impl Into<String>) -> RunHandle {
        RunHandle { client: self.clone(), run_id: run_id.into() }
    }
}

impl RunHandle {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.run_id
    }

    /// As it is now.
    ///
    /// # Errors
    ///
    /// As [`Client::run`].
    pub async fn show(&self) -> Result<Run, ClientError> {
        self.client.run(&self.run_id).await
    }

    /// Waits until it is terminal, however long that takes and over the server's restarts.
    ///
    /// # Errors
    ///
    /// As [`Client::run`].
    pub async fn wait(&self) -> Result<Run, ClientError> {
        let mut failures = Failures::default();
        loop {
            match self.client.run_within(&self.run_id, WAIT).await {
                Ok(run) if run.status.is_terminal() => return Ok(run),
                Ok(_) => failures.forget(),
                Err(error) => failures.pause(self.client.stream_retry(), error).await?,
            }
        }
    }

    /// Waits for what it comes to.
    ///
    /// # Errors
    ///
    /// When it fails or is cancelled, or its result is no `T`.
    pub async fn result<T: DeserializeOwned>(&self) -> Result<T, RunError> {
        let run = self.wait().await?;
        let run_id = self.run_id.clone();
        match run.status {
            RunStatus::Failed => Err(RunError::Failed { run_id, failure: run.error.unwrap_or_default() }),
            RunStatus::Cancelled => Err(RunError::Cancelled(run_id)),
            RunStatus::Succeeded
            | RunStatus::Queued
            | RunStatus::Running
            | RunStatus::Retrying
            | RunStatus::Waiting => serde_json::from_str(run.result.as_deref().map_or("null", RawValue::get))
                .map_err(|error| RunError::Result { run_id, cause: error.to_string() }),
        }
    }

    /// Its timeline, from the beginning to its end.
    #[must_use]
    pub fn events(&self) -> EventStream {
        self.client.follow_run(&self.run_id, EventsFrom { after: 0, until_terminal: true })
    }

    /// A page of its attempts, over all replays. See [`Client::run_attempts`].
    ///
    /// # Errors
    ///
    /// As [`Client::run`].
    pub async fn attempts(&self, query: &RunAttemptQuery) -> Result<RunAttemptPage, ClientError> {
        self.client.run_attempts(&self.run_id, query).await
    }

    /// What differs between two attempts. See [`Client::run_diff`].
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` for an unknown attempt.
    pub async fn diff(&self, query: &RunDiffQuery) -> Result<RunDiff, ClientError> {
        self.client.run_diff(&self.run_id, query).await
    }

    /// Why it is not running.
    ///
    /// # Errors
    ///
    /// As [`Client::run`].
    pub async fn explain(&self) -> Result<Explanation, ClientError> {
        let query = ExplainQuery { run_id: Some(self.run_id.clone()), ..ExplainQuery::default() };
        self.client.explain(&query).await
    }

    /// Runs it again. See [`Client::replay_run`].
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` unless it is terminal.
    pub async fn replay(&self, request: &ReplayRequest) -> Result<ReplayResponse, ClientError> {
        self.client.replay_run(&self.run_id, request).await
    }

    /// Stops it.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when it is terminal already.
    pub async fn cancel(&self) -> Result<(), ClientError> {
        self.client.cancel_run(&self.run_id).await.map(drop)
    }
}
