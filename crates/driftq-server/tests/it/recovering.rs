//! A server that is still reading its log says so, and how far it has come.

use crate::harness::{Broker, PATIENCE, http, on_disk, read};
use driftq_server::{Config, Server};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_start_tells_how_far_it_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::on(folder.path()).await;
    broker.topic("t").await;
    broker.produce(json!({"topic": "t", "value": "x".repeat(10_000)})).await;
    broker.stop().await.unwrap();
    // The start ends with the key of run tokens: a pipe in its place holds the start there until it is written to.
    let key = folder.path().join("run-token.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    mknodat(CWD, &key, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();

    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let starting = tokio::spawn(Server::start(Config { addr: addr.to_string(), ..on_disk(folder.path()) }));
    let client = http().build().unwrap();
    let get = async |path: &str| match client.get(format!("http://{addr}{path}")).send().await {
        Ok(answer) => Some(read(answer).await),
        Err(_) => None,
    };
    let begun = Instant::now();
    let seen = loop {
        assert!(begun.elapsed() < PATIENCE, "it does not come so far");
        let Some(ready) = get("/v1/readyz").await else { continue };
        let body = ready.expect(503);
        assert_eq!(body["status"], "recovering");
        let (done, total) = (&body["recovery"]["done_bytes"], &body["recovery"]["total_bytes"]);
        if total.as_u64() > Some(10_000) && done.as_u64() > Some(10_000) {
            break body;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(seen["recovery"]["done_bytes"].as_u64() <= seen["recovery"]["total_bytes"].as_u64(), "{seen}");
    get("/v1/livez").await.unwrap().expect(200);
    let refused = get("/v1/topics").await.unwrap().expect(503);
    assert_eq!(refused["reason"], "recovering");

    tokio::task::spawn_blocking(move || std::fs::write(key, kept)).await.unwrap().unwrap();
    let server = starting.await.unwrap().unwrap();
    assert_eq!(get("/v1/readyz").await.unwrap().expect(200)["recovery"], Value::Null);
    server.drain().await.unwrap();
}
