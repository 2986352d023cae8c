//! Topics.

use driftq_api::{
    BrowsePage, BrowseQuery, CreateTopicRequest, CreateTopicResponse, Topic, TopicDetailPage, TopicList,
    TopicListQuery,
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
        self.call(Method::POST, &["topics"], &body, Repeat::Harmless).await
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
