//! A message with its value as a type of the caller's.
//!
//! Promise: a value that does not fit is an item that says so, with its message, and does not end
//! the stream: the message can still be settled.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use driftq_api::{AckRequest, ConsumeItem, ConsumeRequest, ExtendRequest, NackRequest};
use futures_core::Stream;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use crate::{Client, ClientError, ConsumeStream};

/// A message under a lease, its value read as `T`.
#[derive(Clone, Debug)]
pub struct Delivery<T> {
    /// Its value.
    pub value: T,
    /// All of it, as it came.
    pub item: ConsumeItem,
}

/// Why there is no delivery.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The value does not fit.
    #[error("the value of {}/{}/{} does not fit: {cause}", item.topic, item.partition, item.offset)]
    Value {
        /// The message: it is still held, and has to be settled.
        item: Box<ConsumeItem>,
        /// What does not fit.
        cause: String,
    },
    /// The stream has ended.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl<T: DeserializeOwned> Delivery<T> {
    /// Reads a message's value.
    ///
    /// # Errors
    ///
    /// [`DeliveryError::Value`] when it does not fit.
    pub fn of(item: ConsumeItem) -> Result<Self, DeliveryError> {
        match serde_json::from_str(item.value.get()) {
            Ok(value) => Ok(Self { value, item }),
            Err(error) => Err(DeliveryError::Value { item: Box::new(item), cause: error.to_string() }),
        }
    }
}

impl Client {
    /// Messages as they come due, read as `T`, for as long as the stream is held. See [`Client::consume`].
    ///
    /// ```no_run
    /// use driftq_client::{Client, api::ConsumeRequest};
    /// use futures_util::StreamExt as _;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Order { id: u64 }
    ///
    /// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut orders = client.deliveries::<Order>(ConsumeRequest {
    ///     topic: Some("orders".into()),
    ///     group: Some("billing".into()),
    ///     owner: Some("me".into()),
    ///     ..ConsumeRequest::default()
    /// });
    /// while let Some(order) = orders.next().await {
    ///     let order = order?;
    ///     println!("order {}", order.value.id);
    ///     client.ack_item(&order.item).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn deliveries<T: DeserializeOwned>(&self, request: ConsumeRequest) -> Deliveries<T> {
        Deliveries { items: self.consume(request), kind: std::marker::PhantomData }
    }

    /// Settles a message as done. See [`Client::ack`].
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when the lease is lost.
    pub async fn ack_item(&self, item: &ConsumeItem) -> Result<(), ClientError> {
        self.ack(&ack_request(item)).await
    }

    /// Gives a message back as failed, with a reason. See [`Client::nack`].
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when the lease is lost.
    pub async fn nack_item(&self, item: &ConsumeItem, reason: impl Into<String>) -> Result<(), ClientError> {
        self.nack(&NackRequest { reason: Some(reason.into()), ..nack_request(item) }).await
    }

    /// Holds a message for so long from now; the answer is when that ends, epoch milliseconds.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when the lease is lost.
    pub async fn extend_item(&self, item: &ConsumeItem, lease: Duration) -> Result<u64, ClientError> {
        Ok(self.extend(&extend_request(item, lease)).await?.lease_until_ms)
    }
}

/// Messages read as `T`; it ends only with a [`DeliveryError::Client`].
pub struct Deliveries<T> {
    items: ConsumeStream,
    kind: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Stream for Deliveries<T> {
    type Item = Result<Delivery<T>, DeliveryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.items.poll_next_unpin(context);
        next.map(|item| item.map(|item| Delivery::of(item?)))
    }
}

pub(crate) fn ack_request(item: &ConsumeItem) -> AckRequest {
    AckRequest {
        topic: Some(item.topic.clone()),
        group: Some(item.group.clone()),
        owner: Some(item.owner.clone()),
        partition: Some(item.partition),
        offset: Some(item.offset),
        lease_id: Some(item.lease_id.clone()),
        ..AckRequest::default()
    }
}

pub(crate) fn nack_request(item: &ConsumeItem) -> NackRequest {
    NackRequest {
        topic: Some(item.topic.clone()),
        group: Some(item.group.clone()),
        owner: Some(item.owner.clone()),
        partition: Some(item.partition),
        offset: Some(item.offset),
        lease_id: Some(item.lease_id.clone()),
        ..NackRequest::default()
    }
}

pub(crate) fn extend_request(item: &ConsumeItem, lease: Duration) -> ExtendRequest {
    ExtendRequest {
        topic: Some(item.topic.clone()),
        group: Some(item.group.clone()),
        owner: Some(item.owner.clone()),
        partition: Some(item.partition),
        offset: Some(item.offset),
        lease_id: Some(item.lease_id.clone()),
        lease_ms: Some(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)),
        ..ExtendRequest::default()
    }
}
