//! The audit log: who did what, as a topic.

use crate::harness::{Broker, on_disk, read};
use driftq_server::Config;
use reqwest::Method;
use serde_json::{Value, json};

async fn entries(broker: &Broker) -> Vec<Value> {
    let page = broker.get("/v1/topics/driftq.audit/messages").await.expect(200);
    page["messages"].as_array().unwrap().iter().map(|message| message["value"].clone()).collect()
}

async fn act(broker: &Broker, path: &str, body: Value) -> Value {
    let request = broker.request(Method::POST, path).body(body.to_string());
    let request = request.header("x-driftq-actor", "ann").header("x-request-id", "req");
    let reply = read(request.send().await.unwrap()).await;
    assert!(reply.status < 300, "{path}: {}", reply.body);
    reply.body
}

#[tokio::test]
async fn every_operators_act_is_told_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { dev_clock: true, ..on_disk(folder.path()) };
    let broker = Broker::with(config()).await;
    for _ in 0..2 {
        act(&broker, "/v1/topics", json!({"name": "t"})).await;
    }
    for _ in 0..2 {
        broker
            .produce(json!({"topic": "t", "value": 1, "envelope": {"retry_policy": {"max_attempts": 1}}}))
            .await;
        let message = broker.poll("t", "g").await;
        assert_eq!(
            broker.post("/v1/nack", json!({"topic": "t", "group": "g", "msg": message})).await.status,
            204
        );
    }
    act(&broker, "/v1/dlq/dlq.t/0/0/redrive", json!({"value": "secret"})).await;
    act(&broker, "/v1/dlq/dlq.t/0/1/discard", json!({"reason": "of no use"})).await;
    broker.post("/v1/runs", json!({"workflow": "w", "run_id": "r"})).await.expect(201);
    act(&broker, "/v1/runs/r/cancel", json!({"reason": "not needed"})).await;
    act(&broker, "/v1/runs/r/replay", json!({"input": {"n": 1}})).await;
    let token = act(&broker, "/v1/runs/r/token", json!({})).await;
    act(&broker, "/v1/dev/clock", json!({"advance_ms": 5})).await;
    // What is refused changed nothing.
    broker.post("/v1/runs/r/replay", json!({})).await.expect(409);
    broker.post("/v1/dlq/dlq.t/0/1/discard", json!({})).await.expect(409);
    broker.stop().await.unwrap();

    let broker = Broker::with(config()).await;
    let told = entries(&broker).await;
    let kinds: Vec<_> = told.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    let expected = [
        "topic.created",
        "dead_letter.redriven",
        "dead_letter.discarded",
        "run.cancelled",
        "run.replayed",
        "run_token.made",
        "clock.moved",
    ];
    assert_eq!(kinds, expected);
    for entry in &told {
        assert_eq!((&entry["actor"], &entry["request_id"]), (&json!("ann"), &json!("req")), "{entry}");
        assert!(entry["at_ms"].as_u64().unwrap() > 0, "{entry}");
        assert!(
            !entry.to_string().contains("secret")
                && !entry.to_string().contains(token["token"].as_str().unwrap())
        );
    }
    assert_eq!(told[0]["target"], json!({"topic": "t"}));
    assert_eq!((&told[1]["target"]["offset"], &told[1]["changed"]), (&json!(0), &json!(["value"])));
    assert_eq!(told[2]["reason"], "of no use");
    assert_eq!(told[3]["reason"], "not needed");
    assert_eq!(told[4]["changed"], json!(["input"]));
}

#[tokio::test]
async fn whoever_a_body_names_is_told_when_nothing_else_tells() {
    let broker = Broker::start().await;
    broker.post("/v1/runs", json!({"workflow": "w", "run_id": "r"})).await.expect(201);
    broker.post("/v1/runs/r/cancel", json!({"actor": "bob"})).await.expect(200);
    broker.post("/v1/runs/r/replay", json!({"actor": "eve", "reason": "once more"})).await.expect(200);
    let told = entries(&broker).await;
    assert_eq!((&told[0]["type"], &told[0]["actor"]), (&json!("run.cancelled"), &json!("bob")));
    assert_eq!((&told[1]["actor"], &told[1]["reason"]), (&json!("eve"), &json!("once more")));
    let long = "x".repeat(201);
    let refused = broker.post("/v1/runs/r/cancel", json!({"actor": long})).await.expect(400);
    assert!(refused["message"].as_str().unwrap().contains("actor"), "{refused}");
}

#[tokio::test]
async fn nobody_else_writes_to_it() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let before = entries(&broker).await.len();
    for (path, body) in [
        ("/v1/produce", json!({"topic": "driftq.audit", "value": 1})),
        ("/v1/produce", json!({"topic": "t", "value": 1, "envelope": {"target_topic": "driftq.audit"}})),
        ("/v1/produce/batch", json!({"messages": [{"topic": "driftq.mine", "value": 1}]})),
        ("/v1/topics", json!({"name": "driftq.mine"})),
        ("/v1/runs", json!({"workflow": "w", "topic": "driftq.audit"})),
    ] {
        let refused = broker.post(path, body).await.expect(403);
        assert_eq!(refused["error"], "PERMISSION_DENIED");
        assert!(refused["message"].as_str().unwrap().contains("driftq."), "{refused}");
    }
    let mut changes = vec![broker.request(Method::DELETE, "/v1/topics/driftq.audit")];
    let settings = json!({"idempotency_window_ms": 0}).to_string();
    changes.push(broker.request(Method::PATCH, "/v1/topics/driftq.audit").body(settings));
    for change in changes {
        assert_eq!(read(change.send().await.unwrap()).await.expect(403)["error"], "PERMISSION_DENIED");
    }
    assert_eq!(entries(&broker).await.len(), before);
}

#[tokio::test]
async fn lists_show_it_when_asked() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    assert_eq!(broker.get("/v1/topics").await.expect(200), json!({"topics": ["t"]}));
    assert_eq!(
        broker.get("/v1/topics?internal=1").await.expect(200),
        json!({"topics": ["driftq.audit", "t"]})
    );
    assert_eq!(
        broker.get("/v1/topics?internal&limit=1").await.expect(200)["topics"],
        json!(["driftq.audit"])
    );
}

#[tokio::test]
async fn it_is_read_like_any_topic() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let entry = broker.poll("driftq.audit", "watchers").await;
    assert_eq!(
        (&entry["value"]["type"], &entry["value"]["target"]),
        (&json!("topic.created"), &json!({"topic": "t"}))
    );
}
