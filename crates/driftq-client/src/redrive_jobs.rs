//! Bulk redrive: many dead letters moved by the server itself.

use std::time::Duration;

use driftq_api::{
    RedriveDryRun, RedriveJob, RedriveJobAct, RedriveJobListQuery, RedriveJobPage, RedriveJobQuery,
    StartRedriveJobRequest,
};
use reqwest::Method;

use crate::{
    Client, ClientError,
    client::{ANSWER_TIME, Repeat},
    messages::new_key,
};

impl Client {
    /// Starts a job that moves every open dead letter of a filter: `POST /v1/dlq/redrive`, started once
    /// however often it is sent.
    ///
    /// ```no_run
    /// # async fn example(client: driftq_client::Client) -> Result<(), driftq_client::ClientError> {
    /// use std::time::Duration;
    /// use driftq_client::api::{RedriveJobFilter, StartRedriveJobRequest};
    ///
    /// let job = client
    ///     .start_redrive_job(&StartRedriveJobRequest {
    ///         filter: Some(RedriveJobFilter { topic: Some("orders".into()), ..Default::default() }),
    ///         rate_per_s: Some(50.0),
    ///         canary: Some(10),
    ///         stop_at_failure_share: Some(0.1),
    ///         reason: Some("the provider is back".into()),
    ///         ..Default::default()
    ///     })
    ///     .await?;
    /// let job = client.redrive_job_within(&job.job_id, Duration::from_secs(30)).await?;
    /// println!("{} of {} moved", job.moved, job.matched);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when nothing matches the filter.
    pub async fn start_redrive_job(
        &self,
        request: &StartRedriveJobRequest,
    ) -> Result<RedriveJob, ClientError> {
        let request = StartRedriveJobRequest { dry_run: None, ..request.clone() };
        self.call_with_key(&["dlq", "redrive"], &request, &new_key()).await
    }

    /// What such a job would move; nothing is.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for an option that cannot be honoured.
    pub async fn dry_redrive(&self, request: &StartRedriveJobRequest) -> Result<RedriveDryRun, ClientError> {
        let request = StartRedriveJobRequest { dry_run: Some(true), ..request.clone() };
        self.call(Method::POST, &["dlq", "redrive"], &request, Repeat::Harmless).await
    }

    /// A page of jobs, newest first: `GET /v1/dlq/jobs`.
    ///
    /// # Errors
    ///
    /// As every request: see [`ClientError`].
    pub async fn redrive_jobs(&self, query: &RedriveJobListQuery) -> Result<RedriveJobPage, ClientError> {
        self.get(&["dlq", "jobs"], query).await
    }

    /// A job: `GET /v1/dlq/jobs/{job_id}`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is none.
    pub async fn redrive_job(&self, job_id: &str) -> Result<RedriveJob, ClientError> {
        self.get(&["dlq", "jobs", job_id], &()).await
    }

    /// A job once it does not run any more, or as it is when the wait is over.
    ///
    /// # Errors
    ///
    /// As [`Client::redrive_job`].
    pub async fn redrive_job_within(&self, job_id: &str, wait: Duration) -> Result<RedriveJob, ClientError> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let query = RedriveJobQuery { wait_ms: Some(wait_ms) };
        self.get_within(&["dlq", "jobs", job_id], &query, wait.saturating_add(ANSWER_TIME)).await
    }

    /// Lets a job rest: `POST /v1/dlq/jobs/{job_id}/pause`.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when it is over.
    pub async fn pause_redrive_job(
        &self,
        job_id: &str,
        act: &RedriveJobAct,
    ) -> Result<RedriveJob, ClientError> {
        self.act("pause", job_id, act).await
    }

    /// Lets a paused or halted job go on: `POST /v1/dlq/jobs/{job_id}/resume`.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when it is over.
    pub async fn resume_redrive_job(
        &self,
        job_id: &str,
        act: &RedriveJobAct,
    ) -> Result<RedriveJob, ClientError> {
        self.act("resume", job_id, act).await
    }

    /// Ends a job for good; what it has not moved stays where it is: `POST /v1/dlq/jobs/{job_id}/stop`.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when it is over.
    pub async fn stop_redrive_job(
        &self,
        job_id: &str,
        act: &RedriveJobAct,
    ) -> Result<RedriveJob, ClientError> {
        self.act("stop", job_id, act).await
    }

    /// It is not repeated after a broken connection: it could undo what somebody else did meanwhile.
    async fn act(&self, act: &str, job_id: &str, body: &RedriveJobAct) -> Result<RedriveJob, ClientError> {
        self.call(Method::POST, &["dlq", "jobs", job_id, act], body, Repeat::OnlyIfRefused).await
    }
}
