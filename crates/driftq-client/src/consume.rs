//! Messages as a stream.
//!
//! Promise: a connection that breaks is made again, under the same owner; what was handed out
//! before keeps its lease, so nothing is given back and nothing is taken twice.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use driftq_api::{ConsumeItem, ConsumeMode, ConsumeRequest};
use futures_core::Stream;
use futures_util::stream;

use crate::{Client, ClientError, lines::Lines, retry::Failures};

/// Messages of a topic for a group; it ends only with an error.
///
/// Dropping it closes the connection. Messages that were not settled keep their lease until it ends.
pub struct ConsumeStream {
    items: Pin<Box<dyn Stream<Item = Result<ConsumeItem, ClientError>> + Send>>,
}

impl ConsumeStream {
    pub(crate) fn new(client: Client, mut request: ConsumeRequest) -> Self {
        request.mode = Some(ConsumeMode::Stream);
        let consumer = Consumer { client, request, lines: None, failures: Failures::default(), seen: false };
        let items = stream::unfold(Some(consumer), async |consumer| {
            let mut consumer = consumer?;
            match consumer.next().await {
                Ok(item) => Some((Ok(item), Some(consumer))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Self { items: Box::pin(items) }
    }
}

impl Stream for ConsumeStream {
    type Item = Result<ConsumeItem, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.as_mut().poll_next(context)
    }
}

struct Consumer {
    client: Client,
    request: ConsumeRequest,
    lines: Option<Lines>,
    failures: Failures,
    /// Whether a connection was ever made; before that a failure is the caller's to know soon.
    seen: bool,
}

impl Consumer {
    async fn next(&mut self) -> Result<ConsumeItem, ClientError> {
        loop {
            match self.read().await {
                Ok(item) => {
                    self.failures.forget();
                    return Ok(item);
                }
                Err(error) => {
                    self.lines = None;
                    let retry =
                        if self.seen { self.client.stream_retry() } else { self.client.request_retry() };
                    self.failures.pause(retry, error).await?;
                }
            }
        }
    }

    async fn read(&mut self) -> Result<ConsumeItem, ClientError> {
        let lines = match &mut self.lines {
            Some(lines) => lines,
            None => {
                let url = self.client.address(&["consume"])?;
                let answer = self.client.open(&url, |get| get.query(&self.request)).await?;
                self.seen = true;
                self.lines.insert(Lines::new(self.client.url(), answer))
            }
        };
        loop {
            let Some(line) = lines.next().await? else {
                return Err(lines.broken("the server ended the stream"));
            };
            // An empty line only says that the server is there.
            if !line.trim().is_empty() {
                return serde_json::from_str(&line).map_err(|error| lines.unreadable(error));
            }
        }
    }
}
