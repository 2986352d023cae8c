//! A run's timeline as a stream.
//!
//! Promise: from where it begins to where it ends every event comes once and in order, over any
//! number of broken connections. What the server itself no longer has is said by a
//! [`TimelineItem::Reset`], never skipped in silence.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use driftq_api::{EventQuery, EventUntil, RunEvent, TimelineReset};
use futures_core::Stream;
use futures_util::stream;
use reqwest::{StatusCode, header};
use serde::Deserialize;

use crate::{
    Client, ClientError,
    lines::{LINE_BYTES_MAX, Lines},
    retry::Failures,
};

/// What `type` says when a stream cannot begin where the reader left off.
const RESET: &str = "timeline.reset";

/// Where a timeline is read from, and to where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventsFrom {
    /// The number of the last event that is known already; 0 is none.
    pub after: u64,
    /// End with the run; otherwise stay for a replay that may follow.
    pub until_terminal: bool,
}

/// What a timeline says.
#[derive(Clone, Debug)]
pub enum TimelineItem {
    /// An event.
    Event(RunEvent),
    /// The reader's place is gone; the next event is `first_seq`.
    Reset(TimelineReset),
}

impl TimelineItem {
    /// What happened; a reset is a `timeline.reset`.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Event(event) => &event.kind,
            Self::Reset(reset) => &reset.kind,
        }
    }

    /// The event, unless it is a reset.
    #[must_use]
    pub fn event(&self) -> Option<&RunEvent> {
        match self {
            Self::Event(event) => Some(event),
            Self::Reset(_) => None,
        }
    }
}

/// The events of a run.
pub struct EventStream {
    items: Pin<Box<dyn Stream<Item = Result<TimelineItem, ClientError>> + Send>>,
}

impl Client {
    /// Follows a run's timeline: `GET /v1/runs/{run_id}/events` as server-sent events.
    #[must_use]
    pub fn follow_run(&self, run_id: &str, from: EventsFrom) -> EventStream {
        let reader = Reader {
            client: self.clone(),
            run_id: run_id.to_owned(),
            last: from.after,
            until: from.until_terminal.then_some(EventUntil::Terminal),
            lines: None,
            failures: Failures::default(),
            seen: false,
        };
        let items = stream::unfold(Some(reader), async |reader| {
            let mut reader = reader?;
            match reader.next().await {
                Ok(Some(item)) => Some((Ok(item), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        EventStream { items: Box::pin(items) }
    }
}

impl Stream for EventStream {
    type Item = Result<TimelineItem, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.as_mut().poll_next(context)
    }
}

struct Reader {
    client: Client,
    run_id: String,
    /// The number of the last event that was handed on.
    last: u64,
    until: Option<EventUntil>,
    lines: Option<Lines>,
    failures: Failures,
    /// Whether a connection was ever made; before that a failure is the caller's to know soon.
    seen: bool,
}

/// What one connection came to.
enum Step {
    Item(TimelineItem),
    /// The server closed after all was said.
    Closed,
    /// The server has no more to say, ever.
    Done,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<TimelineItem>, ClientError> {
        let mut asked_again = false;
        loop {
            let error = match self.step().await {
                Ok(Step::Item(item)) => {
                    self.failures.forget();
                    return Ok(Some(item));
                }
                Ok(Step::Done) => return Ok(None),
                // The first close may be the end: ask at once. A second one without an event is a failure.
                Ok(Step::Closed) if !asked_again => {
                    asked_again = true;
                    self.lines = None;
                    continue;
                }
                Ok(Step::Closed) => ClientError::Broken {
                    url: self.client.url().to_owned(),
                    cause: "the server ended the stream".to_owned(),
                },
                Err(error) => error,
            };
            self.lines = None;
            let retry = if self.seen { self.client.stream_retry() } else { self.client.request_retry() };
            self.failures.pause(retry, error).await?;
        }
    }

    async fn step(&mut self) -> Result<Step, ClientError> {
        if self.lines.is_none() && !self.connect().await? {
            return Ok(Step::Done);
        }
        loop {
            let lines = self.lines.as_mut().expect("it was connected above");
            let Some(data) = read_frame(lines).await? else { return Ok(Step::Closed) };
            if let Some(item) = self.take(&data)? {
                return Ok(Step::Item(item));
            }
        }
    }

    /// Opens the stream after the last event; `false` when there is nothing after it, ever.
    async fn connect(&mut self) -> Result<bool, ClientError> {
        let url = self.client.address(&["runs", &self.run_id, "events"])?;
        let query = EventQuery { until: self.until, ..EventQuery::default() };
        let last = self.last;
        let answer = self
            .client
            .open(&url, |get| {
                let get = get.header(header::ACCEPT, "text/event-stream").query(&query);
                if last > 0 { get.header("last-event-id", last) } else { get }
            })
            .await?;
        self.seen = true;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(false);
        }
        self.lines = Some(Lines::new(self.client.url(), answer));
        Ok(true)
    }

    /// What a frame says, if it is news.
    fn take(&mut self, data: &str) -> Result<Option<TimelineItem>, ClientError> {
        let unreadable = |cause: String| ClientError::Unreadable { url: self.client.url().to_owned(), cause };
        let head: Head = serde_json::from_str(data).map_err(|error| unreadable(error.to_string()))?;
        if head.kind == RESET {
            let reset: TimelineReset =
                serde_json::from_str(data).map_err(|error| unreadable(error.to_string()))?;
            self.last = reset.first_seq.saturating_sub(1);
            return Ok(Some(TimelineItem::Reset(reset)));
        }
        let event: RunEvent = serde_json::from_str(data).map_err(|error| unreadable(error.to_string()))?;
        if event.seq <= self.last {
            return Ok(None);
        }
        if event.seq != self.last + 1 {
            return Err(ClientError::Broken {
                url: self.client.url().to_owned(),
                cause: format!("event {} came after event {}", event.seq, self.last),
            });
        }
        self.last = event.seq;
        Ok(Some(TimelineItem::Event(event)))
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type", default)]
    kind: String,
}

/// The data of the next frame; `None` when the server ended the answer.
///
/// The number comes with the data, so of the fields of a frame only `data` is read.
async fn read_frame(lines: &mut Lines) -> Result<Option<String>, ClientError> {
    let mut data = String::new();
    loop {
        let Some(line) = lines.next().await? else {
            // A frame without its empty line was cut: it will come again.
            return Ok(None);
        };
        if line.is_empty() {
            if data.is_empty() {
                continue;
            }
            return Ok(Some(data));
        }
        if let Some(text) = line.strip_prefix("data:") {
            let text = text.strip_prefix(' ').unwrap_or(text);
            if data.len() + text.len() > LINE_BYTES_MAX {
                return Err(lines.unreadable(format_args!("an event is longer than {LINE_BYTES_MAX} bytes")));
            }
            if !data.is_empty() {
                data.push('\n');
            }
            data.push_str(text);
        }
    }
}
