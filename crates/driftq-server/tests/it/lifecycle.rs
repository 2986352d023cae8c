//! A server's start and end.

use crate::harness::{Broker, Stream, on_disk, read};
use driftq_engine::EngineError;
use driftq_log::LogError;
use driftq_server::{Config, Server, ServerError, healthcheck};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::on(folder.path()).await;
    assert_eq!(broker.get("/v1/version").await.expect(200)["wal_enabled"], true);
    broker.topic("t").await;
    broker.produce(json!({"topic": "t", "value": 1, "idempotency_key": "k"})).await;
    broker.produce(json!({"topic": "t", "value": 2})).await;
    broker.post("/v1/runs", json!({"workflow": "w", "run_id": "r"})).await.expect(201);
    let first = broker.poll("t", "g").await;
    let second = broker.poll("t", "g").await;
    assert_eq!(broker.post("/v1/ack", json!({"msg": second})).await.status, 204);
    broker.stop().await.unwrap();

    let broker = Broker::on(folder.path()).await;
    assert_eq!(
        broker.produce(json!({"topic": "t", "value": 1, "idempotency_key": "k"})).await["duplicate"],
        true
    );
    assert!(broker.is_idle("t", "g").await, "one is acked, the other still leased");
    assert_eq!(
        broker.post("/v1/ack", json!({"msg": first})).await.status,
        204,
        "a worker may ack over a restart"
    );
    assert_eq!(broker.get("/v1/runs/r").await.expect(200)["status"], "queued");
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_drain_ends_polls_empty_and_streams() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    broker.post("/v1/runs", json!({"workflow": "w", "run_id": "r"})).await.expect(201);
    let mut lines = Stream::open(broker.request(Method::GET, "/v1/consume?topic=t&group=s&owner=o")).await;
    let events = broker.request(Method::GET, "/v1/runs/r/events").header("accept", "text/event-stream");
    let mut events = Stream::open(events).await;
    events.event().await.unwrap();
    let poll = tokio::spawn(broker.request(Method::GET, "/v1/consume?topic=t&group=p").send());
    // The poll waits once its group is there.
    while broker.get("/v1/topics/t").await.expect(200)["groups"].as_array().unwrap().len() < 2 {}
    let ended = broker.draining();
    assert_eq!(read(poll.await.unwrap().unwrap()).await.expect(200), json!(null));
    assert_eq!(lines.item().await, None);
    assert_eq!(events.event().await, None);
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_second_server_on_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::on(folder.path()).await;
    let Err(ServerError::Engine(EngineError::Log(error))) = Server::start(on_disk(folder.path())).await
    else {
        panic!("a second server started on the same folder");
    };
    assert!(matches!(error, LogError::Locked { .. }), "{error}");
    broker.get("/v1/healthz").await.expect(200);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let broker = Broker::start().await;
    let taken = Config { addr: broker.addr.to_string(), ..Config::in_memory() };
    let Err(error) = Server::start(taken).await else { panic!("two servers listen on one address") };
    assert!(
        error.to_string().contains(&broker.addr.to_string()) && error.to_string().contains("--addr"),
        "{error}"
    );
}

#[tokio::test]
async fn a_reset_moves_the_data_aside() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let broker = Broker::on(&folder).await;
    broker.topic("old").await;
    broker.stop().await.unwrap();
    let broker = Broker::with(Config { reset_wal: true, ..on_disk(&folder) }).await;
    assert_eq!(broker.get("/v1/topics").await.expect(200), json!({"topics": []}));
    let kept = std::fs::read_dir(parent.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name() != "data")
        .count();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn health_is_asked_from_outside() {
    let broker = Broker::start().await;
    let addr = broker.addr.to_string();
    let asked = tokio::task::spawn_blocking(move || healthcheck::run(&addr, None));
    assert!(asked.await.unwrap().unwrap());
    assert_eq!(broker.get("/v1/livez").await.expect(200), json!({"status": "ok"}));
    assert_eq!(broker.get("/v1/readyz").await.expect(200), json!({"status": "ready"}));
}
