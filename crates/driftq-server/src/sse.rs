//! A run's timeline as server-sent events.
//!
//! Promise: every event has its number as `id:`, and a reader goes on right behind the one it names. A reader is a cursor:
//! dropping the stream is the whole clean-up. The framing is that of <https://html.spec.whatwg.org/#server-sent-events>.

use crate::app::App;
use crate::json;
use crate::ndjson::IDLE;
use crate::render::events;
use crate::shelf;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use driftq_api::{TimelineReset, TimelineResetReason};
use driftq_core::RunId;
use driftq_engine::{Broker, Refusal, Timeline};
use futures_util::future::BoxFuture;
use http::{HeaderValue, header};
use std::convert::Infallible;
use std::time::Duration;

/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_millis(2_000);
/// Events fetched at a time.
const FETCH_MAX: usize = 64;
/// Bytes of events fetched at a time; one event is always allowed.
const READER_BYTES_MAX: u64 = 256 * 1024;
const COMMENT: &[u8] = b": still here\n\n";

type Fetch = BoxFuture<'static, Result<Timeline, Refusal>>;

/// Where a reader of a timeline begins, and when it ends.
pub(crate) struct Reader {
    pub(crate) run_id: RunId,
    pub(crate) after: u64,
    pub(crate) is_until_terminal: bool,
    /// The reader named an event behind which it cannot go on.
    pub(crate) reset: Option<(TimelineResetReason, u64)>,
}

struct Follower {
    app: App,
    broker: Broker,
    reader: Reader,
    greeting: Option<Bytes>,
    fetch: Option<Fetch>,
    is_over: bool,
}

/// Answers with the stream of a timeline.
pub(crate) fn respond(app: App, broker: Broker, mut reader: Reader) -> Response {
    let mut greeting = format!("retry: {}\n\n", RETRY.as_millis());
    if let Some((reason, first_seq)) = reader.reset.take() {
        let reset = TimelineReset { kind: "timeline.reset".to_owned(), reason, first_seq };
        reader.after = first_seq.saturating_sub(1);
        greeting.push_str(&frame(reader.after, &json::bytes_of(&reset)));
    }
    let greeting = Some(Bytes::from(greeting));
    let follower = Follower { app, broker, reader, greeting, fetch: None, is_over: false };
    let stream = futures_util::stream::unfold(follower, |mut follower| async move {
        follower.next_chunk().await.map(|chunk| (Ok::<_, Infallible>(chunk), follower))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(stream)).into_response()
}

fn frame(seq: u64, data: &[u8]) -> String {
    format!("id: {seq}\ndata: {}\n\n", String::from_utf8_lossy(data))
}

impl Follower {
    /// The next bytes; `None` at the end of the run (if asked for), or when the broker drains.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        if self.is_over {
            return None;
        }
        let (broker, run_id, after) = (&self.broker, &self.reader.run_id, self.reader.after);
        let fetch = self.fetch.get_or_insert_with(|| {
            let (broker, run_id) = (broker.clone(), run_id.clone());
            Box::pin(async move { broker.follow(run_id, after, FETCH_MAX, READER_BYTES_MAX).await })
        });
        tokio::select! {
            biased;
            fetched = fetch => {
                self.fetch = None;
                let timeline = fetched.ok().filter(|timeline| !timeline.items.is_empty())?;
                self.events(&timeline).await
            }
            () = tokio::time::sleep(IDLE) => Some(Bytes::from_static(COMMENT)),
        }
    }

    async fn events(&mut self, timeline: &Timeline) -> Option<Bytes> {
        let items = timeline.items.clone();
        let last = items.last()?.seq;
        let render = move |shelf: &shelf::Shelf<'_>| {
            let mut frames = String::new();
            for item in &items {
                frames.push_str(&frame(item.seq, &json::bytes_of(&events::event_at(shelf, item.position)?)));
            }
            Ok(frames)
        };
        let frames = shelf::render(&self.broker, &self.app, render).await.ok()?;
        self.reader.after = last;
        self.is_over =
            self.reader.is_until_terminal && timeline.status.is_terminal() && last >= timeline.last_seq;
        Some(Bytes::from(frames))
    }
}
