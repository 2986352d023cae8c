//! What operators do over HTTP: explain, retry now, move and forget groups, delete topics, look at figures.

use crate::harness::{Broker, Stream, on_disk, read};
use reqwest::Method;
use serde_json::{Value, json};

async fn explain(broker: &Broker, query: &str) -> Value {
    broker.get(&format!("/v1/explain?{query}")).await.expect(200)
}

fn claim(message: &Value) -> Value {
    let mut claim = json!({});
    for field in ["topic", "group", "owner", "partition", "offset", "lease_id"] {
        claim[field] = message[field].clone();
    }
    claim
}

#[tokio::test]
async fn a_message_says_why_it_is_not_running() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let policy = json!({"retry_policy": {"max_attempts": 2, "backoff_ms": 60000}});
    broker.produce(json!({"topic": "t", "value": 1, "envelope": policy})).await;
    broker.produce(json!({"topic": "t", "value": 2})).await;
    broker.produce(json!({"topic": "t", "value": 3, "delay_ms": 60000})).await;
    let of = |offset: u32| format!("topic=t&partition=0&offset={offset}&group=g");
    let seen = explain(&broker, &of(0)).await;
    assert_eq!((&seen["state"], &seen["code"]), (&json!("waiting"), &json!("no_group")));
    let held = broker.poll("t", "g").await;
    let seen = explain(&broker, &of(0)).await;
    assert_eq!((&seen["state"], &seen["code"]), (&json!("leased"), &json!("leased")));
    assert_eq!(seen["lease"]["lease_id"], held["lease_id"]);
    assert_eq!((&seen["attempts"], &seen["max_attempts"]), (&json!(1), &json!(2)));
    let seen = explain(&broker, "topic=t&partition=0&offset=1").await;
    assert_eq!(
        (&seen["code"], &seen["ahead"], &seen["consumers"]),
        (&json!("no_consumer"), &json!(0), &json!(0))
    );
    let nack = json!({"topic": "t", "group": "g", "msg": held, "reason": "boom"});
    broker.post("/v1/nack", nack).await;
    let seen = explain(&broker, &of(0)).await;
    assert_eq!((&seen["code"], &seen["last_error"]), (&json!("backoff"), &json!("boom")));
    assert!(
        seen["until_ms"].as_u64().unwrap() > 0 && seen["message"].as_str().unwrap().contains("Attempt 1")
    );
    assert_eq!(explain(&broker, &of(2)).await["code"], "delayed");
    let mut stream = Stream::open(
        broker.request(Method::GET, "/v1/consume?topic=t&group=g&owner=ann&mode=stream&lease_ms=60000"),
    )
    .await;
    let second = stream.item().await.unwrap();
    assert_eq!(explain(&broker, &of(1)).await["code"], "leased");
    broker.produce(json!({"topic": "t", "value": 4})).await;
    broker.produce(json!({"topic": "t", "value": 5})).await;
    let seen = explain(&broker, &of(3)).await;
    assert_eq!(
        (&seen["code"], &seen["consumers"]),
        (&json!("due"), &json!(1)),
        "the stream holds all it may"
    );
    let seen = explain(&broker, &of(4)).await;
    assert_eq!((&seen["code"], &seen["ahead"]), (&json!("behind"), &json!(1)));
    broker.post("/v1/ack", claim(&second)).await;
    let seen = explain(&broker, &of(1)).await;
    assert_eq!((&seen["state"], &seen["code"]), (&json!("settled"), &json!("acked")));
    for (query, status) in [
        ("topic=t&partition=0&offset=99&group=g", 404),
        ("topic=t&partition=9&offset=0&group=g", 404),
        ("topic=missing&partition=0&offset=0", 404),
        ("topic=t&offset=0", 400),
        ("run_id=r9", 404),
        ("run_id=r9&topic=t", 400),
    ] {
        broker.get(&format!("/v1/explain?{query}")).await.expect(status);
    }
}

#[tokio::test]
async fn a_backoff_and_a_delay_end_when_somebody_says_so() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let policy = json!({"retry_policy": {"max_attempts": 3, "backoff_ms": 600000}});
    broker.produce(json!({"topic": "t", "value": 1, "envelope": policy})).await;
    broker.produce(json!({"topic": "t", "value": 2, "delay_ms": 600000})).await;
    let held = broker.poll("t", "g").await;
    let place = json!({"topic": "t", "group": "g", "partition": 0, "offset": 0});
    let refused = broker.post("/v1/retry-now", place.clone()).await.expect(409);
    assert!(refused["message"].as_str().unwrap().contains("leased by"), "{refused}");
    broker.post("/v1/nack", json!({"topic": "t", "group": "g", "msg": held})).await;
    let due = broker.post("/v1/retry-now", place.clone()).await.expect(200);
    assert_eq!(
        due,
        json!({"status": "due", "was": "backoff", "topic": "t", "partition": 0, "offset": 0, "group": "g"})
    );
    let again = broker.poll("t", "g").await;
    assert_eq!((&again["offset"], &again["attempts"]), (&json!(0), &json!(2)));
    let due = broker.post("/v1/retry-now?topic=t&partition=0&offset=1", Value::Null).await;
    assert_eq!(due.status, 400, "a body that is null is a body");
    let request = broker.request(Method::POST, "/v1/retry-now?topic=t&partition=0&offset=1");
    let due = read(request.send().await.unwrap()).await.expect(200);
    assert_eq!((&due["was"], due.get("group")), (&json!("delayed"), None));
    assert_eq!(broker.poll("t", "g").await["offset"], 1);
    broker.post("/v1/ack", claim(&again)).await;
    let settled = broker.post("/v1/retry-now", place).await.expect(409);
    assert!(settled["message"].as_str().unwrap().contains("done with the message"), "{settled}");
    let unknown = json!({"topic": "t", "group": "g", "partition": 0, "offset": 9});
    broker.post("/v1/retry-now", unknown).await.expect(404);
    broker.post("/v1/retry-now", json!({"topic": "t"})).await.expect(400);
    broker.post("/v1/retry-now", json!({"run_id": "r9"})).await.expect(404);
}

#[tokio::test]
async fn a_group_is_listed_moved_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::with(on_disk(folder.path())).await;
    broker.post("/v1/topics", json!({"name": "t", "partitions": 2})).await.expect(201);
    for value in 0..4 {
        let envelope = json!({"partition_override": value % 2});
        broker.produce(json!({"topic": "t", "value": value, "envelope": envelope})).await;
    }
    let held = broker.poll("t", "b").await;
    assert!(broker.poll("t", "a").await["offset"].is_u64());
    broker.post("/v1/ack", claim(&held)).await;
    let page = broker.get("/v1/groups?topic=t&limit=1").await.expect(200);
    assert_eq!((&page["groups"][0]["group"], &page["groups"][0]["in_flight"]), (&json!("a"), &json!(1)));
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = broker.get(&format!("/v1/groups?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!((&page["groups"][0]["group"], &page["groups"][0]["lag"]), (&json!("b"), &json!(3)));
    broker.get("/v1/groups?topic=missing").await.expect(404);
    let page = broker.get("/v1/groups").await.expect(200);
    assert_eq!((page["groups"].as_array().unwrap().len(), page.get("next_cursor")), (2, None));
    let seek = |to: Value| json!({"topic": "t", "group": "b", "to": to, "reason": "again"});
    let moved = broker.post("/v1/groups/seek", seek(json!("latest"))).await.expect(200);
    assert_eq!(moved["partitions"], json!([{"partition": 0, "offset": 2}, {"partition": 1, "offset": 2}]));
    assert!(broker.is_idle("t", "b").await);
    let refused =
        broker.post("/v1/groups/seek", seek(json!({"partition": 1, "offset": 3}))).await.expect(400);
    assert!(refused["message"].as_str().unwrap().contains("holds 0 to 2"), "{refused}");
    broker.post("/v1/groups/seek", seek(json!({"partition": 9, "offset": 0}))).await.expect(400);
    broker.post("/v1/groups/seek", seek(json!("middle"))).await.expect(400);
    broker.post("/v1/groups/seek", json!({"topic": "t", "group": "b"})).await.expect(400);
    broker.post("/v1/groups/seek", json!({"topic": "t", "group": "z", "to": "latest"})).await.expect(404);
    let moved = broker.post("/v1/groups/seek", seek(json!({"partition": 1, "offset": 1}))).await.expect(200);
    assert_eq!(moved["partitions"], json!([{"partition": 1, "offset": 1}]));
    broker.stop().await.unwrap();
    let broker = Broker::with(on_disk(folder.path())).await;
    let again = broker.poll("t", "b").await;
    assert_eq!(
        (&again["partition"], &again["offset"], &again["attempts"]),
        (&json!(1), &json!(1), &json!(1))
    );
    broker.post("/v1/groups/seek", seek(json!("earliest"))).await.expect(200);
    broker.post("/v1/ack", claim(&again)).await.expect(409);
    broker.post("/v1/extend", claim(&again)).await.expect(409);
    assert_eq!(broker.delete("/v1/groups?topic=t&group=b").await.status, 204);
    broker.delete("/v1/groups?topic=t&group=b").await.expect(404);
    broker.delete("/v1/groups?topic=t").await.expect(400);
    broker.post("/v1/ack", claim(&again)).await.expect(409);
    assert_eq!(broker.poll("t", "b").await["attempts"], 1);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_seek_to_a_time_finds_the_first_message_stored_then() {
    let broker = Broker::start().await;
    broker.post("/v1/topics", json!({"name": "t", "partitions": 2})).await.expect(201);
    let mut stored = Vec::new();
    for value in 0..5 {
        broker.produce(json!({"topic": "t", "value": value})).await;
        let page = broker.get(&format!("/v1/topics/t/messages?from={value}&limit=1")).await.expect(200);
        let at = page["messages"][0]["produced_at_ms"].as_u64().unwrap();
        stored.push(at);
        // The next one is stored at a later millisecond.
        while now_ms() <= at {
            tokio::task::yield_now().await;
        }
    }
    broker.poll("t", "g").await;
    for (time, offset) in [(stored[2], 2), (stored[2] + 1, 3), (0, 0), (stored[4] + 1, 5)] {
        let seek = json!({"topic": "t", "group": "g", "to": {"time_ms": time}});
        let moved = broker.post("/v1/groups/seek", seek).await.expect(200);
        let expected = json!([{"partition": 0, "offset": offset}, {"partition": 1, "offset": 0}]);
        assert_eq!(moved["partitions"], expected, "{time} of {stored:?}");
    }
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

#[tokio::test]
async fn a_deleted_topic_is_gone_and_its_name_is_another_incarnation() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let policy = json!({"retry_policy": {"max_attempts": 1}});
    let keyed = json!({"topic": "t", "value": {"a": 1}, "idempotency_key": "k", "envelope": policy});
    broker.produce(keyed.clone()).await;
    let held = broker.poll("t", "g").await;
    broker.post("/v1/nack", json!({"topic": "t", "group": "g", "msg": held})).await;
    let mut stream =
        Stream::open(broker.request(Method::GET, "/v1/consume?topic=t&group=g&owner=ann&mode=stream")).await;
    assert_eq!(broker.delete("/v1/topics/t").await.status, 204);
    assert_eq!(stream.item().await, None, "the stream ends");
    broker.delete("/v1/topics/t").await.expect(404);
    broker.get("/v1/topics/t").await.expect(404);
    broker.post("/v1/produce", keyed.clone()).await.expect(400);
    let dead = broker.get("/v1/dlq?group=g").await.expect(200)["items"][0].clone();
    assert_eq!((&dead["original_topic"], &dead["value"]), (&json!("t"), &json!({"a": 1})));
    let redrive = "/v1/dlq/dlq.t/0/0/redrive";
    let refused = broker.post(redrive, json!({})).await.expect(409);
    assert!(refused["message"].as_str().unwrap().contains("create it again"), "{refused}");
    broker.topic("t").await;
    let stored = broker.produce(keyed).await;
    assert_eq!((&stored["offset"], &stored["duplicate"]), (&json!(0), &json!(false)));
    broker.post("/v1/ack", claim(&held)).await.expect(409);
    let redriven = broker.post(redrive, json!({})).await.expect(200);
    assert_eq!((&redriven["topic"], &redriven["offset"]), (&json!("t"), &json!(1)));
    let shown = broker.get("/v1/dlq/dlq.t/0/0").await.expect(200);
    assert_eq!(shown["original_topic"], "t");
}

#[tokio::test]
async fn what_open_runs_need_is_kept_and_their_numbers_are_told() {
    let broker = Broker::start().await;
    for id in ["r1", "r2"] {
        broker.post("/v1/runs", json!({"workflow": "w", "run_id": id})).await.expect(201);
    }
    let refused = broker.delete("/v1/topics/runs.commands").await.expect(409);
    assert!(refused["message"].as_str().unwrap().contains("2 open runs"), "{refused}");
    broker.delete("/v1/topics/runs.events.r1").await.expect(409);
    let seen = explain(&broker, "run_id=r1").await;
    assert_eq!((&seen["code"], &seen["run_status"]), (&json!("no_group"), &json!("queued")));
    let held = broker.poll("runs.commands", "workers").await;
    let refused = broker.delete("/v1/groups?topic=runs.commands&group=workers").await.expect(409);
    assert!(refused["message"].as_str().unwrap().contains("moves 2 open runs"), "{refused}");
    broker.post("/v1/ack", claim(&held)).await;
    broker.post("/v1/runs/r2/cancel", json!({})).await.expect(200);
    let seen = explain(&broker, "run_id=r2").await;
    assert_eq!((&seen["state"], &seen["code"]), (&json!("settled"), &json!("run_ended")));
    assert_eq!(broker.delete("/v1/topics/runs.commands").await.status, 204);
    let seen = explain(&broker, "run_id=r1").await;
    assert_eq!((&seen["state"], &seen["run_status"]), (&json!("removed"), &json!("succeeded")));
    broker.get("/v1/runs/r1").await.expect(200);
    broker.post("/v1/runs/r1/replay", json!({})).await.expect(409);
}

#[tokio::test]
async fn figures_tell_what_there_is_and_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::with(on_disk(folder.path())).await;
    broker.topic("t").await;
    broker.post("/v1/runs", json!({"workflow": "w", "run_id": "r1"})).await.expect(201);
    for value in 0..3 {
        let envelope = json!({"retry_policy": {"max_attempts": 1}});
        broker.produce(json!({"topic": "t", "value": value, "envelope": envelope})).await;
    }
    let first = broker.poll("t", "g").await;
    let second = broker.poll("t", "g").await;
    broker.poll("t", "g").await;
    broker.post("/v1/ack", claim(&first)).await;
    broker.post("/v1/nack", claim(&second)).await;
    let stats = broker.get("/v1/stats").await.expect(200);
    for (field, expected) in [
        // The audit log is a topic like any other, and holds that "t" was made.
        ("topics", 5),
        ("groups", 1),
        ("dead_letters_open", 1),
        ("messages_total", 4),
        ("delivered_total", 3),
        ("acked_total", 1),
        ("nacked_total", 1),
        ("in_flight", 1),
        ("consumers", 0),
    ] {
        assert_eq!(stats[field], expected, "{field}: {stats}");
    }
    assert_eq!((&stats["runs"]["queued"], &stats["runs"]["failed"]), (&json!(1), &json!(0)));
    assert!(stats["log"]["bytes"].as_u64().unwrap() > 0 && stats["log"]["segments"].as_u64().unwrap() > 0);
    assert!(stats["log"]["disk_free_bytes"].as_u64().unwrap() > 0);
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
    let metrics = broker.text("/metrics").await;
    let count = metrics.lines().find_map(|line| line.strip_prefix("driftq_log_sync_seconds_count "));
    assert!(count.is_some_and(|count| count.parse::<u64>().unwrap() > 0), "{metrics}");
    assert!(metrics.contains("driftq_log_sync_seconds_bucket{le=\"+Inf\"}"), "{metrics}");
    broker.stop().await.unwrap();
}
