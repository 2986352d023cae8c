//! Topics.

use driftq_api::{
    BrowsePage, BrowseQuery, CreateTopicRequest, CreateTopicResponse, DeleteTopicQuery, PatchTopicRequest,
    Topic, TopicDetailPage, TopicList, TopicListQuery,
};
use reqwest::Method;

use crate::{Client, ClientError, client::Repeat};

impl Client {
    /// Creates a topic, or finds it created: `POST /v1/topics`. `None` leaves the partitions to the server.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` when it exists with another count than the one asked for.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: Option<u32>,
    ) -> Result<CreateTopicResponse, ClientError> {
        let body = CreateTopicRequest { name: Some(name.to_owned()), partitions, ..Default::default() };
        self.create_topic_with(&body).await
    }

    /// The same with settings of its own, which count only if it is made now.
    ///
    /// # Errors
    ///
    /// As [`Client::create_topic`]; `INVALID_ARGUMENT` for a setting that cannot be honoured.
    pub async fn create_topic_with(
        &self,
        request: &CreateTopicRequest,
    ) -> Result<CreateTopicResponse, ClientError> {
        self.call(Method::POST, &["topics"], request, Repeat::Harmless).await
    }

    /// Changes a topic's settings, `Some(None)` back to the default: `PATCH /v1/topics/{topic}`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is none; `INVALID_ARGUMENT` for a setting that cannot be honoured.
    pub async fn change_topic(&self, name: &str, patch: &PatchTopicRequest) -> Result<Topic, ClientError> {
        self.call(Method::PATCH, &["topics", name], patch, Repeat::Harmless).await
    }

    /// Deletes a topic with its messages and groups: `DELETE /v1/topics/{topic}`. It is not repeated after a
    /// broken connection, because that could delete another one of that name.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is none; `FAILED_PRECONDITION` when open runs need it.
    pub async fn delete_topic(&self, name: &str, reason: Option<&str>) -> Result<(), ClientError> {
        self.remove(&["topics", name], &DeleteTopicQuery { reason: reason.map(str::to_owned) }).await
    }

    /// A page of topics' names: `GET /v1/topics`.
    ///
    /// # Errors
    ///
    /// As every request: see [`ClientError`].
    pub async fn topics(&self, query: &TopicListQuery) -> Result<TopicList, ClientError> {
        let query = TopicListQuery { detail: false, ..query.clone() };
        self.get(&["topics"], &query).await
    }

    /// A page of topics with their sizes: `GET /v1/topics?detail=1`.
    ///
    /// # Errors
    ///
    /// As every request: see [`ClientError`].
    pub async fn topic_details(&self, query: &TopicListQuery) -> Result<TopicDetailPage, ClientError> {
        let query = TopicListQuery { detail: true, ..query.clone() };
        self.get(&["topics"], &query).await
    }

    /// A topic with its partitions and groups: `GET /v1/topics/{topic}`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is none.
    pub async fn topic(&self, name: &str) -> Result<Topic, ClientError> {
        self.get(&["topics", name], &()).await
    }

    /// A look into a topic that changes nothing: `GET /v1/topics/{topic}/messages`.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when there is no such topic or partition.
    pub async fn browse(&self, topic: &str, query: &BrowseQuery) -> Result<BrowsePage, ClientError> {
        self.get(&["topics", topic, "messages"], query).await
    }
}
