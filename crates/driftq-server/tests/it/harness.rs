//! A server on a free port, and short ways to talk to it.

use driftq_server::{Config, Server, ServerError};
use futures_channel::oneshot;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// No test waits longer than this for one thing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Broker {
    pub(crate) addr: SocketAddr,
    http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Result<(), ServerError>>>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    /// The body, if the status is the expected one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::with(Config::in_memory()).await
    }

    pub(crate) async fn on(folder: &Path) -> Self {
        Self::with(on_disk(folder)).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let server = Server::start(config).await.unwrap();
        let addr = server.addr();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _dropped = stopped.await;
        }));
        let http = http().build().unwrap();
        Self { addr, http, stop: Some(stop), running: Some(running) }
    }

    /// Tells the server to drain, and waits until it has ended.
    pub(crate) async fn stop(self) -> Result<(), ServerError> {
        tokio::time::timeout(PATIENCE, self.draining()).await.unwrap().unwrap()
    }

    /// Tells the server to drain; what it returns waits for its end.
    pub(crate) fn draining(mut self) -> JoinHandle<Result<(), ServerError>> {
        drop(self.stop.take());
        self.running.take().unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.addr))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.post_text(path, &body.to_string()).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: &str) -> Reply {
        read(self.request(Method::POST, path).body(body.to_owned()).send().await.unwrap()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        read(self.request(Method::PUT, path).body(body.to_string()).send().await.unwrap()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        read(self.request(Method::PATCH, path).body(body.to_string()).send().await.unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        read(self.request(Method::DELETE, path).send().await.unwrap()).await
    }

    /// The text of an answer, byte for byte.
    pub(crate) async fn text(&self, path: &str) -> String {
        self.request(Method::GET, path).send().await.unwrap().text().await.unwrap()
    }

    /// Sends bytes as they are and reads what comes back until the server closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        // The server may refuse in the middle of it.
        let _refused = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _reset = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A topic.
    pub(crate) async fn topic(&self, name: &str) {
        self.post("/v1/topics", serde_json::json!({"name": name})).await.expect(201);
    }

    /// A produced message's answer.
    pub(crate) async fn produce(&self, body: Value) -> Value {
        self.post("/v1/produce", body).await.expect(200)
    }

    /// The next message of a topic for a group, by a poll that waits for it.
    pub(crate) async fn poll(&self, topic: &str, group: &str) -> Value {
        self.get(&format!("/v1/consume?topic={topic}&group={group}&lease_ms=20000&wait_ms=10000"))
            .await
            .expect(200)
    }

    /// Whether nothing is due for a group.
    pub(crate) async fn is_idle(&self, topic: &str, group: &str) -> bool {
        self.get(&format!("/v1/consume?topic={topic}&group={group}&wait_ms=1")).await.expect(200).is_null()
    }
}

/// What all clients of the tests begin with.
pub(crate) fn http() -> reqwest::ClientBuilder {
    // Another test of this process may have chosen it before.
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(PATIENCE).no_proxy()
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}

/// A server that keeps its data in a folder, with small files.
pub(crate) fn on_disk(folder: &Path) -> Config {
    Config {
        memory: false,
        wal: folder.to_owned(),
        segment_bytes: 1 << 20,
        disk_reserve_bytes: 1 << 20,
        ..Config::in_memory()
    }
}

pub(crate) async fn read(response: Response) -> Reply {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    };
    Reply { status, body }
}

/// A streamed answer, read piece by piece.
pub(crate) struct Stream {
    response: Response,
    buffer: String,
}

impl Stream {
    pub(crate) async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        Self { response, buffer: String::new() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The next piece up to `end`, without it; `None` at the end of the stream.
    pub(crate) async fn next(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some((piece, rest)) = self.buffer.split_once(end) {
                let (piece, rest) = (piece.to_owned(), rest.to_owned());
                self.buffer = rest;
                return Some(piece);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.unwrap().ok()??;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next line that is not empty, as JSON.
    pub(crate) async fn item(&mut self) -> Option<Value> {
        loop {
            let line = self.next("\n").await?;
            if !line.is_empty() {
                return Some(serde_json::from_str(&line).unwrap());
            }
        }
    }

    /// The next event of a timeline: its id and its data.
    pub(crate) async fn event(&mut self) -> Option<(u64, Value)> {
        loop {
            let frame = self.next("\n\n").await?;
            let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let (Some(id), Some(data)) = (field("id:"), field("data:")) {
                return Some((id.parse().unwrap(), serde_json::from_str(data).unwrap()));
            }
        }
    }
}
