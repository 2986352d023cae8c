//! Topic settings: at creation, by patch, by a pattern of the configuration.

use crate::harness::{Broker, on_disk};
use driftq_server::Config;
use serde_json::json;

#[tokio::test]
async fn a_topic_is_told_at_its_creation_and_by_merge_patches() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::with(on_disk(folder.path())).await;
    let made = json!({"name": "orders", "retry_policy": {"max_attempts": 2, "backoff_ms": 5},
        "idempotency_window_ms": 0, "routing": {"label": "red", "meta": {"a": "1", "b": "2"}},
        "retention": {"age_ms": 1000}});
    broker.post("/v1/topics", made.clone()).await.expect(201);
    let shown = broker.get("/v1/topics/orders").await.expect(200);
    let own = json!({"retry_policy": {"max_attempts": 2, "backoff_ms": 5}, "idempotency_window_ms": 0,
        "routing": {"label": "red", "meta": {"a": "1", "b": "2"}},
        "retention": {"age_ms": 1000, "enforced": false}});
    assert_eq!(shown["settings"], own);
    assert_eq!(shown["effective"]["partition_max_messages"], 0);
    let patch = json!({"retry_policy": {"backoff_ms": null}, "idempotency_window_ms": null,
        "routing": {"meta": {"a": null, "c": "3"}}, "partition_max_messages": 7, "reason": "tuning"});
    let patched = broker.patch("/v1/topics/orders", patch).await.expect(200);
    assert_eq!(patched["settings"]["retry_policy"], json!({"max_attempts": 2}));
    assert_eq!(patched["settings"]["routing"], json!({"label": "red", "meta": {"b": "2", "c": "3"}}));
    assert_eq!(patched["settings"].get("idempotency_window_ms"), None);
    assert_eq!(patched["effective"]["idempotency_window_ms"], 24 * 60 * 60 * 1000);
    assert_eq!(patched["effective"]["partition_max_messages"], 7);
    // To make it again is no way to change it; what it has already may be said again.
    let refused =
        broker.post("/v1/topics", json!({"name": "orders", "partition_max_messages": 1})).await.expect(400);
    assert!(refused["message"].as_str().unwrap().contains("PATCH"), "{refused}");
    broker.post("/v1/topics", json!({"name": "orders", "partition_max_messages": 7})).await.expect(201);
    broker.post("/v1/topics", json!({"name": "orders"})).await.expect(201);
    broker.stop().await.unwrap();
    let broker = Broker::with(on_disk(folder.path())).await;
    let again = broker.get("/v1/topics/orders").await.expect(200);
    assert_eq!(again["settings"], patched["settings"]);
    let reset =
        json!({"retry_policy": null, "routing": null, "retention": null, "partition_max_messages": null});
    let patched = broker.patch("/v1/topics/orders", reset).await.expect(200);
    assert_eq!(patched["settings"], json!({}));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn settings_act_on_what_is_produced_and_handed_out() {
    let broker = Broker::start().await;
    let made = json!({"name": "t", "retry_policy": {"max_attempts": 1}, "idempotency_window_ms": 0,
        "routing": {"label": "red"}, "partition_max_messages": 2});
    broker.post("/v1/topics", made).await.expect(201);
    let keyed = json!({"topic": "t", "value": 1, "idempotency_key": "k"});
    assert_eq!(broker.produce(keyed.clone()).await["duplicate"], false);
    let item = broker.poll("t", "g").await;
    assert_eq!(item["routing"], json!({"label": "red"}));
    assert_eq!(item["envelope"].get("retry_policy"), None, "the envelope is the producer's");
    assert_eq!(broker.produce(keyed).await["duplicate"], false, "the window is off");
    let full = broker.post("/v1/produce", json!({"topic": "t", "value": 3})).await.expect(429);
    assert_eq!(full["reason"], "partition_buffer_full");
    broker.post("/v1/nack", json!({"topic": "t", "group": "g", "msg": item})).await;
    let dead = broker.get("/v1/dlq").await.expect(200);
    assert_eq!(dead["items"][0]["reason"], "max_attempts", "the topic's policy was given at produce");
    broker.patch("/v1/topics/t", json!({"partition_max_messages": 0})).await.expect(200);
    broker.produce(json!({"topic": "t", "value": 3})).await;
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused_with_its_reason() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    broker.post("/v1/runs", json!({"workflow": "w", "run_id": "r1"})).await.expect(201);
    for (topic, patch, message) in [
        ("t", json!({"colour": 1}), "unknown field \"colour\""),
        ("t", json!({"retention": {"days": 1}}), "days\""),
        ("t", json!({"routing": {"meta": {}}}), "routing needs a label"),
        ("t", json!({"routing": {"label": " "}}), "routing.label must not be empty"),
        ("t", json!({"routing": {"label": "x".repeat(201)}}), "routing.label is longer"),
        ("t", json!({"partition_max_bytes": -1}), "partition_max_bytes"),
        ("t", json!({"reason": "x".repeat(1025)}), "reason is longer than 1024 bytes"),
        (
            "runs.events.r1",
            json!({"retry_policy": {"max_attempts": 1}}),
            "has no meaning on a run's timeline",
        ),
    ] {
        let body = broker.patch(&format!("/v1/topics/{topic}"), patch.clone()).await.expect(400);
        assert!(body["message"].as_str().unwrap().contains(message), "{patch}: {body}");
    }
    broker.patch("/v1/topics/missing", json!({})).await.expect(404);
    assert_eq!(broker.get("/v1/topics/t").await.expect(200)["settings"], json!({}));
}

#[tokio::test]
async fn a_pattern_of_the_configuration_tells_its_topics() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("driftq.toml");
    std::fs::write(
        &file,
        "partition-max-bytes = 5000\n\n[[topics]]\npattern = \"orders.*\"\nretry_policy = { max_attempts = 3 }\n\
         idempotency_window_ms = 0\n\n[[topics]]\npattern = \"*\"\nidempotency_window_ms = 7000\n",
    )
    .unwrap();
    let arguments = ["driftqd", "--memory", "--addr", "127.0.0.1:0", "--config", file.to_str().unwrap()];
    let cli = driftq_server::parse(arguments).unwrap();
    let broker = Broker::with(Config { memory: true, ..cli.config }).await;
    broker.topic("orders.eu").await;
    broker.topic("other").await;
    let eu = broker.get("/v1/topics/orders.eu").await.expect(200);
    assert_eq!((&eu["pattern"], &eu["settings"]), (&json!("orders.*"), &json!({})));
    assert_eq!(eu["effective"]["retry_policy"], json!({"max_attempts": 3}));
    assert_eq!(eu["effective"]["idempotency_window_ms"], 0);
    assert_eq!(eu["effective"]["partition_max_bytes"], 5000);
    let other = broker.get("/v1/topics/other").await.expect(200);
    assert_eq!(
        (&other["pattern"], &other["effective"]["idempotency_window_ms"]),
        (&json!("*"), &json!(7000))
    );
    let patched = broker.patch("/v1/topics/orders.eu", json!({"idempotency_window_ms": 9})).await.expect(200);
    assert_eq!(patched["effective"]["idempotency_window_ms"], 9);
}
