//! A server that answers as a test says, and remembers what it was asked.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use bytes::Bytes;
use driftq_client::{Client, ClientBuilder, Retry};
use futures_util::{StreamExt as _, stream};
use std::time::Duration;
use tokio::{net::TcpListener, task::JoinHandle};

/// No more bytes than any test sends.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Retries as always, but without the waits.
pub(crate) const SOON: Retry =
    Retry { base: Duration::from_micros(10), cap: Duration::from_micros(10), ..Retry::REQUEST };

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    /// A header's text, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("the client sends JSON")
    }
}

/// What a test answers.
pub(crate) enum Answer {
    /// A whole answer.
    Whole(u16, &'static str, String),
    /// An endless answer in these pieces, then a clean end or a broken connection.
    Pieces { pieces: Vec<Vec<u8>>, broken: bool },
    /// An answer that begins and has no end.
    Forever(Vec<u8>),
    /// No answer: the connection is closed.
    Nothing,
}

impl Answer {
    /// A JSON answer.
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Whole(status, "application/json; charset=utf-8", body.into())
    }

    /// An error as the server writes it.
    pub(crate) fn error(code: driftq_client::api::ErrorCode, retry_after_ms: Option<u64>) -> Self {
        let mut body = driftq_client::api::ErrorBody::new(code, format!("refused: {}", code.as_str()));
        body.retry_after_ms = retry_after_ms;
        Self::json(code.status(), serde_json::to_string(&body).expect("it is JSON"))
    }
}

/// A running server; it ends with the test.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts one; `script` is asked with each request and its number, from 0.
    pub(crate) async fn start(script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), Arc::clone(&seen));
        let app = Router::new().fallback(move |request: Request| {
            let (script, log) = (Arc::clone(&script), Arc::clone(&log));
            async move {
                let request = remember(request).await;
                let number = {
                    let mut log = log.lock().expect("no test panics while it holds this");
                    log.push(request.clone());
                    log.len() - 1
                };
                respond(script(number, &request))
            }
        });
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("it serves until the test ends");
        });
        Self { url, seen, task }
    }

    /// A client of it that does not wait between tries.
    pub(crate) fn client(&self) -> Client {
        self.builder().build().expect("the address is one")
    }

    /// The same, with more to say about it.
    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder().url(&self.url).request_retry(SOON).stream_retry(SOON)
    }

    /// What it was asked, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics while it holds this").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn remember(request: Request) -> Seen {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.expect("the client sends it whole");
    Seen {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).expect("the client sends text"),
    }
}

fn respond(answer: Answer) -> Response {
    let (status, kind, body) = match answer {
        Answer::Whole(status, kind, body) => (status, kind, Body::from(body)),
        Answer::Pieces { pieces, broken } => {
            let end = broken.then(|| Err(io::Error::other("the test breaks the connection")));
            let pieces = pieces.into_iter().map(|piece| Ok(Bytes::from(piece))).chain(end);
            // One piece a turn, so that each travels by itself.
            let paced = stream::unfold(pieces, async |mut pieces| {
                tokio::task::yield_now().await;
                Some((pieces.next()?, pieces))
            });
            (200, "text/plain", Body::from_stream(paced))
        }
        Answer::Forever(beginning) => {
            let beginning = stream::once(async { Ok::<_, io::Error>(Bytes::from(beginning)) });
            (200, "text/plain", Body::from_stream(beginning.chain(stream::pending())))
        }
        Answer::Nothing => {
            let broken = stream::once(async { Err::<Bytes, _>(io::Error::other("no answer")) });
            // A length that never comes: whatever was sent of the head, the answer is not whole.
            let body = Body::from_stream(broken);
            return Response::builder().header("content-length", "5").body(body).expect("it is an answer");
        }
    };
    let status = StatusCode::from_u16(status).expect("it is a status");
    Response::builder().status(status).header("content-type", kind).body(body).expect("it is an answer")
}
