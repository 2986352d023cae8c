//! Time that is moved by hand: days pass in milliseconds.

use crate::harness::{Broker, on_disk};
use driftq_server::Config;
use serde_json::{Value, json};

const DAY: u64 = 24 * 60 * 60 * 1000;

async fn pass(broker: &Broker, ms: u64) -> u64 {
    let clock = broker.post("/v1/dev/clock", json!({"advance_ms": ms})).await.expect(200);
    assert_eq!(clock["manual"], true);
    clock["now_ms"].as_u64().unwrap()
}

async fn now(broker: &Broker) -> u64 {
    broker.get("/v1/dev/clock").await.expect(200)["now_ms"].as_u64().unwrap()
}

#[tokio::test]
async fn three_days_of_retries_pass_at_once() {
    let broker = Broker::with(Config { dev_clock: true, ..Config::in_memory() }).await;
    let policy = json!({"max_attempts": 3, "backoff_ms": DAY, "max_backoff_ms": 10 * DAY});
    broker
        .post("/v1/runs", json!({"workflow": "w", "run_id": "r", "retry_policy": policy}))
        .await
        .expect(201);
    let began = now(&broker).await;
    for attempt in 1..=3 {
        let message = broker.poll("runs.commands", "workers").await;
        assert_eq!(message["attempts"], attempt);
        let nack = json!({"topic": "runs.commands", "group": "workers", "msg": message});
        assert_eq!(broker.post("/v1/nack", nack).await.status, 204);
        assert!(broker.is_idle("runs.commands", "workers").await);
        pass(&broker, DAY << (attempt - 1)).await;
    }
    assert_eq!(now(&broker).await, began + 7 * DAY);
    assert_eq!(broker.get("/v1/runs/r").await.expect(200)["status"], "failed");
}

#[tokio::test]
async fn a_waiting_worker_gets_what_became_due_and_the_answer_comes_after_it() {
    let broker = Broker::with(Config { dev_clock: true, ..Config::in_memory() }).await;
    broker.topic("t").await;
    broker.produce(json!({"topic": "t", "value": 1, "delay_ms": 3 * DAY})).await;
    let (message, until) = tokio::join!(broker.poll("t", "g"), pass(&broker, 3 * DAY));
    assert_eq!((&message["value"], message["lease_until_ms"].as_u64()), (&json!(1), Some(until + 20_000)));
    pass(&broker, 20_000).await;
    assert_eq!(broker.poll("t", "g").await["attempts"], 2);
}

#[tokio::test]
async fn time_goes_on_where_it_stood_before_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { dev_clock: true, ..on_disk(folder.path()) };
    let broker = Broker::with(config()).await;
    broker.topic("t").await;
    broker.produce(json!({"topic": "t", "value": 1, "delay_ms": 2 * DAY})).await;
    let stood = pass(&broker, DAY).await;
    broker.stop().await.unwrap();
    let broker = Broker::with(config()).await;
    assert_eq!(now(&broker).await, stood);
    assert!(broker.is_idle("t", "g").await);
    assert_eq!(pass(&broker, DAY).await, stood + DAY);
    assert_eq!(broker.poll("t", "g").await["value"], 1);
}

#[tokio::test]
async fn without_the_option_there_is_no_such_clock() {
    let broker = Broker::start().await;
    for reply in
        [broker.get("/v1/dev/clock").await, broker.post("/v1/dev/clock", json!({"advance_ms": 1})).await]
    {
        let body = reply.expect(404);
        assert!(body["message"].as_str().unwrap().contains("--dev-clock"), "{body}");
    }
    assert_eq!(broker.get("/v1/readyz").await.expect(200), json!({"status": "ready"}));
}

#[tokio::test]
async fn a_server_with_such_a_clock_says_so_and_refuses_what_it_cannot_do() {
    let broker = Broker::with(Config { dev_clock: true, ..Config::in_memory() }).await;
    assert_eq!(broker.get("/v1/readyz").await.expect(200)["dev_clock"], true);
    let asked =
        [json!({}), json!({"advance_ms": -1}), json!({"advance_ms": u64::MAX}), json!({"advance": 1})];
    for body in asked {
        let refused = broker.post("/v1/dev/clock", body).await.expect(400);
        assert!(refused["message"].as_str().unwrap().contains("advance"), "{refused}");
    }
    let before = now(&broker).await;
    let moved = broker.post_text("/v1/dev/clock?advance_ms=5", "").await.expect(200);
    assert_eq!(moved, json!({"now_ms": before + 5, "manual": true}));
    assert_ne!(moved["now_ms"], Value::Null);
}
