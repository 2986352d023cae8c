//! Groups: who reads what, and from where.

use driftq_api::{DeleteGroupQuery, GroupListQuery, GroupPage, SeekRequest, SeekResponse};
use reqwest::Method;

use crate::{Client, ClientError, client::Repeat};

impl Client {
    /// A page of groups with their lag: `GET /v1/groups`.
    ///
    /// # Errors
    ///
    /// As every request: see [`ClientError`].
    pub async fn groups(&self, query: &GroupListQuery) -> Result<GroupPage, ClientError> {
        self.get(&["groups"], query).await
    }

    /// Moves a group to another place of its topic: `POST /v1/groups/seek`. It is not repeated after a broken
    /// connection, because what was acked meanwhile would come again.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` for an unknown group; `INVALID_ARGUMENT` for a place that is not there, naming those that are.
    pub async fn seek_group(&self, request: &SeekRequest) -> Result<SeekResponse, ClientError> {
        self.call(Method::POST, &["groups", "seek"], request, Repeat::OnlyIfRefused).await
    }

    /// Forgets a group: `DELETE /v1/groups`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is none; `FAILED_PRECONDITION` when open runs need it.
    pub async fn delete_group(
        &self,
        topic: &str,
        group: &str,
        reason: Option<&str>,
    ) -> Result<(), ClientError> {
        let query = DeleteGroupQuery {
            topic: Some(topic.to_owned()),
            group: Some(group.to_owned()),
            reason: reason.map(str::to_owned),
        };
        self.remove(&["groups"], &query).await
    }
}
