//! Attempts over HTTP, and what differs between two of them.

use crate::harness::Broker;
use serde_json::{Value, json};

async fn take(broker: &Broker, version: &str) -> Value {
    let path = format!(
        "/v1/consume?topic=runs.commands&group=workers&owner=ann&mode=poll&lease_ms=20000&wait_ms=10000&worker_version={version}"
    );
    broker.get(&path).await.expect(200)
}

async fn fail(broker: &Broker, held: &Value, message: &str) {
    let error = json!({"message": message, "type": "Oops", "stack": "at line 7"});
    assert_eq!(broker.post("/v1/nack", json!({"msg": held, "error": error})).await.status, 204);
}

/// A run that failed twice in its first try and succeeded in the second, with another input and a newer worker.
async fn story(broker: &Broker) -> String {
    let start = json!({"workflow": "demo", "input": {"doc": "a", "size": 1.50},
        "retry_policy": {"max_attempts": 2, "backoff_ms": 1}});
    let id = broker.post("/v1/runs", start).await.expect(201)["run_id"].as_str().unwrap().to_owned();
    let held = take(broker, "1.0").await;
    let put = json!({"lease_id": held["lease_id"], "output": 1});
    broker.put(&format!("/v1/runs/{id}/steps/fetch"), put).await.expect(200);
    fail(broker, &held, "no disk").await;
    fail(broker, &take(broker, "1.0").await, "no memory").await;
    broker.post(&format!("/v1/runs/{id}/replay"), json!({"patch": {"doc": "b"}})).await.expect(200);
    let held = take(broker, "1.1").await;
    assert_eq!(broker.post("/v1/ack", json!({"msg": held, "result": 1})).await.status, 204);
    id
}

fn told(attempt: &Value) -> Value {
    json!([
        attempt["replay_seq"],
        attempt["attempt"],
        attempt["outcome"],
        attempt["worker_version"],
        attempt["steps"]
    ])
}

#[tokio::test]
async fn a_run_shows_each_attempt_with_its_worker_its_error_and_its_steps() {
    let broker = Broker::start().await;
    let id = story(&broker).await;
    let page = broker.get(&format!("/v1/runs/{id}/attempts")).await.expect(200);
    let attempts = page["attempts"].as_array().unwrap();
    assert_eq!(
        attempts.iter().map(told).collect::<Vec<_>>(),
        [
            json!([0, 1, "failed", "1.0", ["fetch"]]),
            json!([0, 2, "failed", "1.0", []]),
            json!([1, 1, "succeeded", "1.1", []]),
        ]
    );
    assert_eq!(attempts[0]["error"], json!({"message": "no disk", "type": "Oops"}), "no stack for browsers");
    for attempt in attempts {
        let (start, end) =
            (attempt["started_at_ms"].as_u64().unwrap(), attempt["ended_at_ms"].as_u64().unwrap());
        assert_eq!(attempt["duration_ms"], end - start);
        assert_eq!(attempt["owner"], "ann");
    }
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = broker.get(&format!("/v1/runs/{id}/attempts?limit=1{cursor}")).await.expect(200);
        paged.extend(page["attempts"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, *attempts);
}

#[tokio::test]
async fn an_attempt_that_still_runs_and_one_whose_lease_ended_say_so() {
    let broker = Broker::start().await;
    let start = json!({"workflow": "demo", "retry_policy": {"max_attempts": 3}});
    let id = broker.post("/v1/runs", start).await.expect(201)["run_id"].as_str().unwrap().to_owned();
    let path = "/v1/consume?topic=runs.commands&group=workers&mode=poll&lease_ms=100&wait_ms=10000";
    broker.get(path).await.expect(200);
    let held = take(&broker, "").await;
    assert_eq!(held["attempts"], 2);
    let page = broker.get(&format!("/v1/runs/{id}/attempts")).await.expect(200);
    let outcomes: Vec<_> =
        page["attempts"].as_array().unwrap().iter().map(|a| a["outcome"].clone()).collect();
    assert_eq!(outcomes, ["lease_expired", "running"]);
    assert_eq!(page["attempts"][0]["error"]["message"], "ack_timeout");
    broker.post(&format!("/v1/runs/{id}/cancel"), json!({})).await.expect(200);
    let page = broker.get(&format!("/v1/runs/{id}/attempts")).await.expect(200);
    assert_eq!(page["attempts"][1]["outcome"], "cancelled");
}

/// The fields that differ, each with both values.
fn changed(diff: &Value) -> Vec<(String, String, Value, Value)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let changed = diff["changed"].as_array().unwrap().iter();
    changed.map(|c| (text(&c["field"]), text(&c["path"]), c["a"].clone(), c["b"].clone())).collect()
}

#[tokio::test]
async fn what_differs_between_two_attempts_of_a_run_is_told_to_the_input() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::on(folder.path()).await;
    let id = story(&broker).await;
    broker.stop().await.unwrap();
    let broker = Broker::on(folder.path()).await;
    let diff = broker.get(&format!("/v1/runs/{id}/diff")).await.expect(200);
    assert_eq!(
        (told(&diff["a"]), told(&diff["b"])),
        (json!([0, 2, "failed", "1.0", []]), json!([1, 1, "succeeded", "1.1", []]))
    );
    let found = changed(&diff);
    let input = ("input".to_owned(), "/doc".to_owned(), json!("a"), json!("b"));
    assert!(found.contains(&input), "{diff}");
    let field = |name: &str| {
        found.iter().find(|(field, ..)| field == name).map(|(_, _, a, b)| (a.clone(), b.clone()))
    };
    assert_eq!(field("worker_version"), Some((json!("1.0"), json!("1.1"))));
    assert_eq!(field("outcome"), Some((json!("failed"), json!("succeeded"))));
    assert_eq!(field("error.message"), Some((json!("no memory"), Value::Null)));
    assert!(diff["same"].as_array().unwrap().contains(&json!("owner")));
    assert!(!diff["same"].as_array().unwrap().contains(&json!("input")));

    let diff = broker.get(&format!("/v1/runs/{id}/diff?a=0.1&b=0")).await.expect(200);
    assert_eq!((&diff["a"]["attempt"], &diff["b"]["attempt"]), (&json!(1), &json!(2)));
    assert!(diff["same"].as_array().unwrap().contains(&json!("input")));
    assert!(changed(&diff).iter().any(|(field, ..)| field == "steps"));
    for (query, status) in [("a=0.7", 404), ("b=4", 404), ("a=x", 400), ("b=0.", 400)] {
        assert_eq!(broker.get(&format!("/v1/runs/{id}/diff?{query}")).await.status, status, "{query}");
    }
    broker.get("/v1/runs/none/diff").await.expect(404);
    broker.get("/v1/runs/none/attempts").await.expect(404);
}

#[tokio::test]
async fn what_differs_between_two_attempts_of_a_dead_letter_is_told() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    broker
        .produce(json!({"topic": "t", "value": 1, "envelope": {"retry_policy": {"max_attempts": 2, "backoff_ms": 1}}}))
        .await;
    for (owner, message) in [("ann", "no disk"), ("bob", "no memory")] {
        let path =
            format!("/v1/consume?topic=t&group=g&mode=poll&owner={owner}&lease_ms=20000&wait_ms=10000");
        fail(&broker, &broker.get(&path).await.expect(200), message).await;
    }
    let place = "/v1/dlq/dlq.t/0/0";
    let diff = broker.get(&format!("{place}/diff")).await.expect(200);
    assert_eq!((&diff["a"]["attempt"], &diff["b"]["attempt"]), (&json!(1), &json!(2)));
    assert_eq!(diff["a"]["error"]["stack"], "at line 7", "a dead letter keeps its stacks");
    let found = changed(&diff);
    assert!(found.contains(&("owner".to_owned(), String::new(), json!("ann"), json!("bob"))), "{diff}");
    assert!(found.contains(&(
        "error.message".to_owned(),
        String::new(),
        json!("no disk"),
        json!("no memory")
    )));
    for same in ["error.type", "outcome", "input"] {
        assert!(diff["same"].as_array().unwrap().contains(&json!(same)), "{same}: {diff}");
    }
    let said = broker.get(&format!("{place}/diff?a=7")).await.expect(404);
    assert!(said["message"].as_str().unwrap().contains("kept are 1, 2"));
    broker.get("/v1/dlq/dlq.t/0/7/diff").await.expect(404);
}

#[tokio::test]
async fn a_runs_dead_letter_shows_no_stack_and_the_dead_letter_itself_does() {
    let broker = Broker::start().await;
    let id = story(&broker).await;
    let of_run = broker.text(&format!("/v1/runs/{id}/dlq")).await;
    assert!(of_run.contains("no memory") && !of_run.contains("line 7"), "{of_run}");
    let shown = broker.text("/v1/dlq/dlq.runs.commands/0/0").await;
    assert!(shown.contains("at line 7"), "{shown}");
    for path in ["events?limit=1000", "attempts", "diff"] {
        let seen = broker.text(&format!("/v1/runs/{id}/{path}")).await;
        assert!(!seen.contains("line 7"), "{path}: {seen}");
    }
}
