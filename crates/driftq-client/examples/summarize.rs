//! A run: a worker, somebody who starts the run and watches it, and its result.
//!
//! `cargo run -p driftq-client --example summarize`, with a `driftqd` at `DRIFTQ_HTTP_URL`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use driftq_client::{Client, TimelineItem, WorkError, Worker, WorkflowRun};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Document {
    text: String,
}

/// The first attempt fails after its first step; the second does not repeat that step.
async fn summarize(run: WorkflowRun) -> Result<String, WorkError> {
    let document: Document = run.input()?;
    let words: usize = run
        .step("count", async || {
            println!("counting in attempt {}", run.attempt());
            Ok::<_, WorkError>(document.text.split_whitespace().count())
        })
        .await?;
    run.emit("words.counted", json!({ "words": words })).await?;
    if run.attempt() == 1 {
        return Err(WorkError::new("the model is busy").retry_after(Duration::from_millis(50)));
    }
    Ok(format!("{words} words"))
}

async fn watch(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    let run = client.start("summarize", &json!({ "text": "so much to read" })).await?;
    let mut events = run.events();
    while let Some(item) = events.next().await {
        if let TimelineItem::Event(event) = item? {
            println!("{} {}", event.seq, event.kind);
        }
    }
    println!("{}", run.result::<String>().await?);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let (done, is_done) = tokio::sync::oneshot::channel();
    let watching = client.clone();
    let stop = async move {
        let watched = Box::pin(watch(watching)).await.map_err(|error| error.to_string());
        drop(done.send(watched));
    };
    // A worker of its own would say `.run()`: until SIGTERM.
    Worker::new(client).workflow("summarize", summarize).run_until(stop).await?;
    Ok(is_done.await??)
}
