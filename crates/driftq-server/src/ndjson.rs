//! A stream of deliveries, one JSON object a line.
//!
//! Promise: a delivery counts as handed out when its line is handed to the connection, not before; whatever is left when
//! the reader goes away is given back. An idle stream says an empty line now and then.

use crate::app::App;
use crate::render::messages::{self, Recipient};
use crate::shelf;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use driftq_engine::{Broker, Consumer, Deliveries, Refusal};
use futures_util::future::BoxFuture;
use http::{HeaderValue, header};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How long a stream says nothing at most.
pub(crate) const IDLE: Duration = Duration::from_secs(15);
/// Deliveries fetched at a time.
const FETCH_MAX: u32 = 64;
/// Bytes of messages fetched at a time; one message is always allowed.
const READER_BYTES_MAX: u64 = 256 * 1024;
/// About how many bytes of lines go out at once.
const CHUNK_BYTES: usize = 16 * 1024;

type Fetch = BoxFuture<'static, (Consumer, Result<Deliveries, Refusal>)>;

/// Where a stream of lines stands.
struct Lines {
    app: App,
    broker: Broker,
    to: Arc<Recipient>,
    fetch_max: u32,
    fetch: Option<Fetch>,
    ready: Option<(Consumer, Deliveries)>,
}

/// Answers with the stream of an open consumer.
pub(crate) fn respond(
    app: App,
    broker: Broker,
    consumer: Consumer,
    to: Recipient,
    max_in_flight: u32,
) -> Response {
    let fetch_max = max_in_flight.min(FETCH_MAX);
    let fetch = Some(fetch(consumer, fetch_max));
    let lines = Lines { app, broker, to: Arc::new(to), fetch_max, fetch, ready: None };
    let stream = futures_util::stream::unfold(lines, |mut lines| async move {
        lines.next_chunk().await.map(|chunk| (Ok::<_, Infallible>(chunk), lines))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(stream)).into_response()
}

fn fetch(mut consumer: Consumer, max: u32) -> Fetch {
    Box::pin(async move {
        let fetched = consumer.next(max, READER_BYTES_MAX).await;
        (consumer, fetched)
    })
}

impl Lines {
    /// The next bytes; `None` when the broker drains or a stored message cannot be read.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            if self.fetch.is_none() {
                let is_empty = self.ready.as_ref().is_none_or(|(_, deliveries)| deliveries.is_empty());
                if !is_empty {
                    return self.lines().await;
                }
                let (consumer, _) = self.ready.take()?;
                self.fetch = Some(fetch(consumer, self.fetch_max));
            }
            let fetched = self.fetch.as_mut()?;
            tokio::select! {
                biased;
                (consumer, fetched) = fetched => {
                    self.fetch = None;
                    let deliveries = fetched.ok().filter(|deliveries| !deliveries.is_empty())?;
                    self.ready = Some((consumer, deliveries));
                }
                () = tokio::time::sleep(IDLE) => return Some(Bytes::from_static(b"\n")),
            }
        }
    }

    /// Lines for the first deliveries that are ready. They count as handed out when this returns.
    async fn lines(&mut self) -> Option<Bytes> {
        let (_, deliveries) = self.ready.as_mut()?;
        let mut chunk = BytesMut::new();
        let mut count = 0_usize;
        for delivery in deliveries.peek() {
            let (to, delivery) = (Arc::clone(&self.to), delivery.clone());
            let line = move |shelf: &shelf::Shelf<'_>| messages::item(shelf, &to, &delivery);
            match shelf::render(&self.broker, &self.app, line).await {
                Ok(line) => {
                    chunk.extend_from_slice(&line);
                    chunk.extend_from_slice(b"\n");
                    count += 1;
                }
                Err(_) if count > 0 => break,
                Err(_) => return None,
            }
            if chunk.len() >= CHUNK_BYTES {
                break;
            }
        }
        for _ in 0..count {
            deliveries.take_first();
        }
        Some(chunk.freeze())
    }
}
