//! Producing, polling and settling.

use std::time::Duration;

use driftq_api::{
    AckRequest, BatchRequest, BatchResponse, ConsumeItem, ConsumeMode, ConsumeRequest, ExplainQuery,
    Explanation, ExtendRequest, ExtendResponse, NackRequest, ProduceRequest, ProduceResponse,
    RetryNowRequest, RetryNowResponse,
};
use reqwest::Method;

use crate::{
    Client, ClientError, ConsumeStream,
    client::{ANSWER_TIME, Repeat},
};

/// How long the server waits with a poll when the request does not say.
const POLL_WAIT_DEFAULT: Duration = Duration::from_secs(20);

impl Client {
    /// Stores a message: `POST /v1/produce`. Without an idempotency key it gets one of its own, so that
    /// a repeat after a broken connection stores nothing twice.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for an unknown topic; `RESOURCE_EXHAUSTED` when there is no room.
    pub async fn produce(&self, mut message: ProduceRequest) -> Result<ProduceResponse, ClientError> {
        give_key(&mut message);
        self.call(Method::POST, &["produce"], &message, Repeat::Harmless).await
    }

    /// Stores messages all or not at all: `POST /v1/produce/batch`. Keys as in [`Client::produce`].
    ///
    /// # Errors
    ///
    /// As [`Client::produce`]; one invalid message fails all.
    pub async fn produce_batch(&self, mut batch: BatchRequest) -> Result<BatchResponse, ClientError> {
        batch.messages.iter_mut().for_each(give_key);
        self.call(Method::POST, &["produce", "batch"], &batch, Repeat::Harmless).await
    }

    /// Messages as they come due, for as long as the stream is held: `GET /v1/consume`.
    ///
    /// `owner` is needed; without one the server would answer a poll.
    #[must_use]
    pub fn consume(&self, request: ConsumeRequest) -> ConsumeStream {
        ConsumeStream::new(self.clone(), request)
    }

    /// Up to `max` messages at once, or none when the wait is over: `GET /v1/consume?mode=poll`.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for an unknown topic.
    pub async fn poll(&self, mut request: ConsumeRequest) -> Result<Vec<ConsumeItem>, ClientError> {
        request.mode = Some(ConsumeMode::Poll);
        request.max = Some(request.max.unwrap_or(1));
        let wait = request.wait_ms.map_or(POLL_WAIT_DEFAULT, Duration::from_millis);
        self.get_within(&["consume"], &request, wait + ANSWER_TIME).await
    }

    /// Settles a delivery as done: `POST /v1/ack`.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when the lease is lost.
    pub async fn ack(&self, request: &AckRequest) -> Result<(), ClientError> {
        self.tell(&["ack"], request, Repeat::Harmless).await
    }

    /// Gives a delivery back as failed: `POST /v1/nack`. It is repeated after a broken connection only
    /// with a `lease_id`: without one it could hit the owner's next lease.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when the lease is lost.
    pub async fn nack(&self, request: &NackRequest) -> Result<(), ClientError> {
        let lease_id = request.msg.as_ref().and_then(|msg| msg.lease_id.as_ref());
        let repeat = match request.lease_id.as_ref().or(lease_id) {
            Some(_) => Repeat::Harmless,
            None => Repeat::OnlyIfRefused,
        };
        self.tell(&["nack"], request, repeat).await
    }

    /// Holds a delivery for longer: `POST /v1/extend`.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when the lease is lost, with the reason `cancelled` when its run was stopped.
    pub async fn extend(&self, request: &ExtendRequest) -> Result<ExtendResponse, ClientError> {
        self.call(Method::POST, &["extend"], request, Repeat::Harmless).await
    }

    /// Ends a message's backoff or delay now: `POST /v1/retry-now`. A repeat finds it due already.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` for an unknown message; `FAILED_PRECONDITION` when it is leased or settled, which it says.
    pub async fn retry_now(&self, request: &RetryNowRequest) -> Result<RetryNowResponse, ClientError> {
        self.call(Method::POST, &["retry-now"], request, Repeat::Harmless).await
    }

    /// Why a message, or a run's command, is not running: `GET /v1/explain`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` for an unknown message or run.
    pub async fn explain(&self, query: &ExplainQuery) -> Result<Explanation, ClientError> {
        self.get(&["explain"], query).await
    }
}

fn give_key(message: &mut ProduceRequest) {
    let in_envelope = message.envelope.as_ref().and_then(|envelope| envelope.idempotency_key.as_ref());
    if in_envelope.is_none() && message.idempotency_key.is_none() {
        message.idempotency_key = Some(new_key());
    }
}

/// A key nobody else has.
pub(crate) fn new_key() -> String {
    uuid::Uuid::now_v7().to_string()
}
