//! The way of an event: from the moment a worker sends it until a live reader of the run has it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Server, micros};
use crate::{
    BenchError, Figure,
    stats::Samples,
    wire::{Connection, post},
};

const RUN: &str = "run_bench";
const EVENTS: usize = 500;
/// How long an event may take before the measurement is given up.
const EVENT_TIME: Duration = Duration::from_secs(10);

/// How long events took.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    seen: Samples,
    answered: Samples,
}

pub(super) async fn measure(server: &Server) -> Result<Measured, BenchError> {
    let mut connection = server.connect().await?;
    let run = format!(r#"{{"workflow":"bench","run_id":"{RUN}","input":{{}}}}"#);
    connection.expect(&post("/v1/runs", &run)).await?;
    let lease = lease(&mut connection).await?;
    let (tell, mut seen) = mpsc::channel(EVENTS);
    let reader = tokio::spawn(read(server.address, tell));
    let event = format!(r#"{{"lease_id":"{lease}","events":[{{"type":"run.progress","percent":50}}]}}"#);
    let request = post(&format!("/v1/runs/{RUN}/events"), &event);
    let mut measured = Measured::default();
    // The first one only shows that the reader has caught up.
    for number in 0..=EVENTS {
        let began = Instant::now();
        connection.expect(&request).await?;
        let answered = began.elapsed();
        let Ok(Some(at)) = tokio::time::timeout(EVENT_TIME, seen.recv()).await else {
            return Err(BenchError::Unreadable {
                request: "the run's events".to_owned(),
                cause: format!("event {number} never came"),
            });
        };
        if number > 0 {
            measured.seen.add(at.saturating_duration_since(began));
            measured.answered.add(answered);
        }
    }
    reader.abort();
    Ok(measured)
}

/// Takes the run's command, for as long as the measurement lasts.
async fn lease(connection: &mut Connection) -> Result<String, BenchError> {
    #[derive(Deserialize)]
    struct Item {
        lease_id: String,
    }
    let path = "/v1/consume?topic=runs.commands&group=workers&mode=poll&lease_ms=600000";
    let answer = connection.get(path).await?;
    let item: Item = serde_json::from_slice(answer.body)
        .map_err(|error| BenchError::Unreadable { request: path.to_owned(), cause: error.to_string() })?;
    Ok(item.lease_id)
}

/// Follows the run, and tells when each progress event came.
async fn read(address: SocketAddr, tell: mpsc::Sender<Instant>) -> Result<(), BenchError> {
    let connection = Connection::open(address).await?;
    let mut lines =
        connection.stream(&format!("/v1/runs/{RUN}/events"), "accept: text/event-stream\r\n").await?;
    loop {
        let line = lines.next().await?;
        if line.starts_with(b"data:") && line.windows(12).any(|window| window == b"run.progress") {
            let now = Instant::now();
            if tell.send(now).await.is_err() {
                return Ok(());
            }
        }
    }
}

impl Measured {
    pub(super) fn figures(mut self) -> Vec<Figure> {
        vec![
            micros("worker's event sent → answered, p50", self.answered.percentile(50)),
            micros("worker's event sent → seen by an SSE reader, p50", self.seen.percentile(50)),
            micros("worker's event sent → seen by an SSE reader, p99", self.seen.percentile(99)),
        ]
    }
}
