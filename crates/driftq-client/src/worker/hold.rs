//! A message in our hands, until it is settled or lost.
//!
//! Promise: whatever is asked for while the lease is ours is asked until the server has answered,
//! over its restarts; once the lease is lost nothing more is asked.

use std::{future::Future, sync::OnceLock, time::Duration};

use driftq_api::{ConsumeItem, ErrorCode};
use tokio_util::sync::CancellationToken;

use super::{WorkError, error::Next};
use crate::{
    Client, ClientError, Retry,
    delivery::{ack_request, nack_request},
    retry::Failures,
};

/// While the server is away: as often as it takes, the heartbeat keeps the lease.
pub(super) const AWAY: Retry = Retry {
    tries: u32::MAX,
    base: Duration::from_millis(100),
    cap: Duration::from_secs(2),
    retry_after_max: Duration::from_secs(60),
};

/// Why a message is not ours any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseLost {
    /// Its run was cancelled.
    #[error("the run was cancelled")]
    Cancelled,
    /// The lease ended, or somebody else has the message.
    #[error("the lease was lost: {0}")]
    Refused(String),
}

/// One message, and whether it is still ours.
pub(super) struct Hold {
    pub(super) item: ConsumeItem,
    pub(super) client: Client,
    lost: CancellationToken,
    why: OnceLock<LeaseLost>,
}

impl Hold {
    pub(super) fn new(item: ConsumeItem, client: Client) -> Self {
        Self { item, client, lost: CancellationToken::new(), why: OnceLock::new() }
    }

    /// What to call it in a log.
    pub(super) fn name(&self) -> String {
        match &self.item.run {
            Some(run) => format!("run {}", run.run_id),
            None => format!("{}/{}/{}", self.item.topic, self.item.partition, self.item.offset),
        }
    }

    /// Ends when the lease is lost.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Why it was lost, if it was.
    pub(super) fn why_lost(&self) -> Option<&LeaseLost> {
        self.why.get()
    }

    /// Something that ends with the lease.
    pub(super) fn token(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Notes a refusal that means that the message is not ours.
    pub(super) fn lose(&self, error: &ClientError) {
        let cancelled = error.refusal().is_some_and(|refusal| refusal.reason.as_deref() == Some("cancelled"));
        let why = if cancelled { LeaseLost::Cancelled } else { LeaseLost::Refused(error.message()) };
        // Only the first answer counts.
        drop(self.why.set(why));
        self.lost.cancel();
    }

    /// Sends until the server has answered, over its restarts.
    pub(super) async fn insist<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        send: impl Fn() -> F,
    ) -> Result<T, WorkError> {
        let mut failures = Failures::default();
        loop {
            let error = match send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.code() == Some(ErrorCode::FailedPrecondition) {
                self.lose(&error);
            }
            failures.pause(&AWAY, error).await?;
        }
    }

    /// Settles it as done.
    pub(super) async fn ack(&self, result: Option<&driftq_api::RawValue>) -> Result<(), WorkError> {
        let mut request = ack_request(&self.item);
        request.result = result.map(ToOwned::to_owned);
        self.insist(|| self.client.ack(&request)).await
    }

    /// Gives it back as failed.
    pub(super) async fn nack(&self, error: &WorkError) -> Result<(), WorkError> {
        let mut request = nack_request(&self.item);
        request.reason = Some(error.failure().message.clone());
        request.error = Some(error.failure().clone());
        match error.next() {
            Next::Policy => {}
            Next::After(pause) => {
                request.retry_after_ms = Some(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
            }
            Next::Never => request.retryable = Some(false),
        }
        self.insist(|| self.client.nack(&request)).await
    }
}
