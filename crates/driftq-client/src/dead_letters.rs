//! Dead letters.

use std::fmt;

use driftq_api::{
    DeadLetter, DeadLetterAddress, DeadLetterDetail, DeadLetterDiff, DeadLetterDiffQuery, DeadLetterPage,
    DeadLetterQuery, DiscardRequest, DiscardResponse, FingerprintPage, FingerprintQuery, RedriveRequest,
    RedriveResponse,
};
use reqwest::Method;

use crate::{Client, ClientError, client::Repeat, messages::new_key};

/// Which dead letter: where it lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterId {
    /// Its own topic, `dlq.…`.
    pub topic: String,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

impl From<&DeadLetter> for DeadLetterId {
    fn from(letter: &DeadLetter) -> Self {
        Self { topic: letter.topic.clone(), partition: letter.partition, offset: letter.offset }
    }
}

impl From<DeadLetterAddress> for DeadLetterId {
    fn from(address: DeadLetterAddress) -> Self {
        Self { topic: address.topic, partition: address.partition, offset: address.offset }
    }
}

impl Client {
    /// A page of open dead letters: `GET /v1/dlq`.
    ///
    /// # Errors
    ///
    /// As every request: see [`ClientError`].
    pub async fn dead_letters(&self, query: &DeadLetterQuery) -> Result<DeadLetterPage, ClientError> {
        self.get(&["dlq"], query).await
    }

    /// A dead letter with its attempts: `GET /v1/dlq/{topic}/{partition}/{offset}`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is none.
    pub async fn dead_letter(&self, id: &DeadLetterId) -> Result<DeadLetterDetail, ClientError> {
        let (partition, offset) = (id.partition.to_string(), id.offset.to_string());
        self.get(&["dlq", &id.topic, &partition, &offset], &()).await
    }

    /// Open dead letters by what went wrong, the most frequent first: `GET /v1/dlq/fingerprints`.
    ///
    /// # Errors
    ///
    /// As every request: see [`ClientError`].
    pub async fn fingerprints(&self, query: &FingerprintQuery) -> Result<FingerprintPage, ClientError> {
        self.get(&["dlq", "fingerprints"], query).await
    }

    /// What differs between two attempts, by default the first and the newest:
    /// `GET /v1/dlq/{topic}/{partition}/{offset}/diff`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` for an unknown dead letter or attempt.
    pub async fn dead_letter_diff(
        &self,
        id: &DeadLetterId,
        query: &DeadLetterDiffQuery,
    ) -> Result<DeadLetterDiff, ClientError> {
        let (partition, offset) = (id.partition.to_string(), id.offset.to_string());
        self.get(&["dlq", &id.topic, &partition, &offset, "diff"], query).await
    }

    /// Produces a dead letter anew, or replays its run: `POST …/redrive`, done once however often it is sent.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when it is not open any more.
    pub async fn redrive(
        &self,
        id: &DeadLetterId,
        request: &RedriveRequest,
    ) -> Result<RedriveResponse, ClientError> {
        let (partition, offset) = (id.partition.to_string(), id.offset.to_string());
        self.call_with_key(&["dlq", &id.topic, &partition, &offset, "redrive"], request, &new_key()).await
    }

    /// Gives a dead letter up: `POST …/discard`.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when it is not open any more.
    pub async fn discard(
        &self,
        id: &DeadLetterId,
        request: &DiscardRequest,
    ) -> Result<DiscardResponse, ClientError> {
        let (partition, offset) = (id.partition.to_string(), id.offset.to_string());
        let path = ["dlq", &id.topic, &partition, &offset, "discard"];
        self.call(Method::POST, &path, request, Repeat::OnlyIfRefused).await
    }
}
