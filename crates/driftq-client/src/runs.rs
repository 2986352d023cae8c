//! Runs.

use std::time::Duration;

use driftq_api::{
    CancelRunResponse, EventPage, EventQuery, PostEventsRequest, PostEventsResponse, ReplayRequest,
    ReplayResponse, Run, RunAttemptPage, RunAttemptQuery, RunDeadLetter, RunDeadLetterQuery, RunDiff,
    RunDiffQuery, RunListQuery, RunPage, RunQuery, RunTokenRequest, RunTokenResponse, StartRunRequest,
    StartRunResponse, StepPage, StepRequest, StepResponse,
};
use reqwest::Method;

use crate::{
    Client, ClientError,
    client::{ANSWER_TIME, Repeat},
    messages::new_key,
};

impl Client {
    /// Starts a run: `POST /v1/runs`. Without an id or an idempotency key it gets a key of its own, so that
    /// a repeat after a broken connection starts one run.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when the id is taken.
    pub async fn start_run(&self, mut request: StartRunRequest) -> Result<StartRunResponse, ClientError> {
        if request.idempotency_key.is_none() {
            request.idempotency_key = Some(new_key());
        }
        self.call(Method::POST, &["runs"], &request, Repeat::Harmless).await
    }

    /// A page of runs, newest first: `GET /v1/runs`.
    ///
    /// # Errors
    ///
    /// As every request: see [`ClientError`].
    pub async fn runs(&self, query: &RunListQuery) -> Result<RunPage, ClientError> {
        self.get(&["runs"], query).await
    }

    /// A run: `GET /v1/runs/{run_id}`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is none, `EXPIRED` when it was removed.
    pub async fn run(&self, run_id: &str) -> Result<Run, ClientError> {
        self.get(&["runs", run_id], &()).await
    }

    /// A run once it is terminal, or as it is when the wait is over.
    ///
    /// # Errors
    ///
    /// As [`Client::run`].
    pub async fn run_within(&self, run_id: &str, wait: Duration) -> Result<Run, ClientError> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let query = RunQuery { wait_ms: Some(wait_ms) };
        self.get_within(&["runs", run_id], &query, wait.saturating_add(ANSWER_TIME)).await
    }

    /// Runs a terminal run again: `POST /v1/runs/{run_id}/replay`. It is not repeated after a broken
    /// connection, because that could start two replays.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` unless the run is terminal.
    pub async fn replay_run(
        &self,
        run_id: &str,
        request: &ReplayRequest,
    ) -> Result<ReplayResponse, ClientError> {
        self.call(Method::POST, &["runs", run_id, "replay"], request, Repeat::OnlyIfRefused).await
    }

    /// Stops a run: `POST /v1/runs/{run_id}/cancel`.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when it is terminal already.
    pub async fn cancel_run(&self, run_id: &str) -> Result<CancelRunResponse, ClientError> {
        let body = serde_json::Map::new();
        self.call(Method::POST, &["runs", run_id, "cancel"], &body, Repeat::OnlyIfRefused).await
    }

    /// A page of a run's timeline: `GET /v1/runs/{run_id}/events` as JSON.
    ///
    /// # Errors
    ///
    /// `EXPIRED` when what follows `after` was removed.
    pub async fn run_events(&self, run_id: &str, query: &EventQuery) -> Result<EventPage, ClientError> {
        self.get(&["runs", run_id, "events"], query).await
    }

    /// Writes a worker's events: `POST /v1/runs/{run_id}/events`. It is not repeated after a broken
    /// connection, because the events could be there twice.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when the lease is not the live one, with the reason `cancelled` for a stopped run.
    pub async fn post_run_events(
        &self,
        run_id: &str,
        request: &PostEventsRequest,
    ) -> Result<PostEventsResponse, ClientError> {
        self.call(Method::POST, &["runs", run_id, "events"], request, Repeat::OnlyIfRefused).await
    }

    /// A run's finished steps: `GET /v1/runs/{run_id}/steps`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is no such run.
    pub async fn run_steps(&self, run_id: &str) -> Result<StepPage, ClientError> {
        self.get(&["runs", run_id, "steps"], &()).await
    }

    /// Stores a step's output once: `PUT /v1/runs/{run_id}/steps/{step}`.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when the lease is not the live one.
    pub async fn complete_step(
        &self,
        run_id: &str,
        step: &str,
        request: &StepRequest,
    ) -> Result<StepResponse, ClientError> {
        self.call(Method::PUT, &["runs", run_id, "steps", step], request, Repeat::Harmless).await
    }

    /// Makes a token that only reads this run, for a browser: `POST /v1/runs/{run_id}/token`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is no such run; `INVALID_ARGUMENT` when a token is not good for so long.
    pub async fn run_token(
        &self,
        run_id: &str,
        ttl: Option<Duration>,
    ) -> Result<RunTokenResponse, ClientError> {
        let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let request = RunTokenRequest { ttl_ms };
        self.call(Method::POST, &["runs", run_id, "token"], &request, Repeat::Harmless).await
    }

    /// A page of a run's attempts, over all its replays: `GET /v1/runs/{run_id}/attempts`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is no such run.
    pub async fn run_attempts(
        &self,
        run_id: &str,
        query: &RunAttemptQuery,
    ) -> Result<RunAttemptPage, ClientError> {
        self.get(&["runs", run_id, "attempts"], query).await
    }

    /// What differs between two attempts, by default the newest failed and the newest:
    /// `GET /v1/runs/{run_id}/diff`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` for an unknown run or attempt.
    pub async fn run_diff(&self, run_id: &str, query: &RunDiffQuery) -> Result<RunDiff, ClientError> {
        self.get(&["runs", run_id, "diff"], query).await
    }

    /// The dead letter of a run: `GET /v1/runs/{run_id}/dlq`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when it never had one.
    pub async fn run_dead_letter(
        &self,
        run_id: &str,
        replay_seq: Option<u32>,
    ) -> Result<RunDeadLetter, ClientError> {
        self.get(&["runs", run_id, "dlq"], &RunDeadLetterQuery { replay_seq }).await
    }
}
