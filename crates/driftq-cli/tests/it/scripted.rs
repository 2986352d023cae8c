//! A server that answers what a test wrote down, by method, target and the last event known.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, extract::Request, http::StatusCode, response::Response};
use tokio::net::TcpListener;

/// No more bytes than any test sends.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A running server; its thread ends with it.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Starts one; each answer is `(method and target, status, body)`, all else is a 404.
    pub(crate) fn start(answers: &[(&'static str, u16, &str)]) -> Self {
        let answers: BTreeMap<_, _> = answers
            .iter()
            .map(|(asked, status, body)| ((*asked).to_owned(), (*status, (*body).to_owned())))
            .collect();
        let (answers, seen) = (Arc::new(answers), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: Request| {
            let (answers, log) = (Arc::clone(&answers), Arc::clone(&log));
            async move {
                let after = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
                let after = after.map(|id| format!(" after {id}")).unwrap_or_default();
                let asked = format!("{} {}{after}", request.method(), request.uri());
                let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await;
                let body = String::from_utf8_lossy(&body.expect("it is sent whole")).into_owned();
                log.lock()
                    .expect("nobody panics while holding it")
                    .push(format!("{asked} {body}").trim_end().to_owned());
                respond(answers.get(&asked).map(|(status, body)| (*status, body.as_str())), &asked)
            }
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread can be started");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, seen, _runtime: runtime }
    }

    /// What it was asked: method, target and body, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("nobody panics while holding it").clone()
    }
}

fn respond(answer: Option<(u16, &str)>, asked: &str) -> Response {
    let missing = format!(r#"{{"error":"NOT_FOUND","message":"nothing was written down for {asked}"}}"#);
    let (status, body) = answer.unwrap_or((404, &missing));
    let body = Body::from(body.to_owned());
    let status = StatusCode::from_u16(status).expect("it is a status");
    Response::builder().status(status).body(body).expect("it is an answer")
}
