//! Runs from their start to their end, and again.

use crate::harness::Broker;
use serde_json::{Value, json};

/// Starts a run that has `attempts` tries without a pause between them.
async fn start(broker: &Broker, attempts: u32) -> String {
    let body = json!({"workflow": "demo", "input": {"doc": "a", "keep": 1.50}, "retry_policy": {"max_attempts": attempts, "backoff_ms": 0}});
    let started = broker.post("/v1/runs", body).await.expect(201);
    assert_eq!((&started["status"], &started["replay_seq"]), (&json!("queued"), &json!(0)));
    let id = started["run_id"].as_str().unwrap().to_owned();
    assert_eq!(started["events_topic"], format!("runs.events.{id}"));
    assert!(id.starts_with("run_"));
    id
}

async fn take(broker: &Broker) -> Value {
    broker.poll("runs.commands", "workers").await
}

async fn fail(broker: &Broker, held: &Value, message: &str) {
    let nack = json!({"msg": held, "error": {"message": message, "type": "Oops"}});
    assert_eq!(broker.post("/v1/nack", nack).await.status, 204);
}

async fn kinds(broker: &Broker, id: &str) -> Vec<String> {
    let page = broker.get(&format!("/v1/runs/{id}/events?limit=1000")).await.expect(200);
    let events = page["events"].as_array().unwrap();
    let seqs: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());
    events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_run_fails_is_replayed_and_succeeds() {
    let broker = Broker::start().await;
    let id = start(&broker, 2).await;
    let held = take(&broker).await;
    assert_eq!(
        held["value"],
        json!({"type": "run.command", "run_id": id, "workflow": "demo", "input": {"doc": "a", "keep": 1.50}, "replay_seq": 0})
    );
    assert_eq!(held["envelope"]["run_id"], json!(id));
    assert_eq!(held["run"], json!({"run_id": id, "replay_seq": 0, "attempt": 1, "steps": {}}));
    let step = format!("/v1/runs/{id}/steps/fetch");
    let put = json!({"lease_id": held["lease_id"], "output": {"text": [1, 2.0]}, "duration_ms": 12});
    assert_eq!(
        broker.put(&step, put).await.expect(200),
        json!({"step": "fetch", "stored": true, "output": {"text": [1, 2.0]}})
    );
    let again = json!({"lease_id": held["lease_id"], "output": "another"});
    assert_eq!(
        broker.put(&step, again).await.expect(200),
        json!({"step": "fetch", "stored": false, "output": {"text": [1, 2.0]}})
    );
    fail(&broker, &held, "one").await;

    let held = take(&broker).await;
    assert_eq!((&held["attempts"], &held["last_error"]), (&json!(2), &json!("one")));
    assert_eq!(held["run"]["steps"], json!({"fetch": {"text": [1, 2.0]}}));
    fail(&broker, &held, "two").await;

    let shown = broker.get(&format!("/v1/runs/{id}")).await.expect(200);
    assert_eq!((&shown["status"], &shown["attempts"]), (&json!("failed"), &json!(2)));
    assert_eq!(shown["error"], json!({"message": "two", "type": "Oops"}));
    assert_eq!(
        (&shown["steps"][0]["step"], &shown["steps"][0]["duration_ms"]),
        (&json!("fetch"), &json!(12))
    );
    let dead = broker.get(&format!("/v1/runs/{id}/dlq")).await.expect(200);
    assert_eq!(
        (&dead["type"], &dead["reason"], &dead["state"]),
        (&json!("runs.dlq"), &json!("max_attempts"), &json!("open"))
    );
    assert_eq!((&dead["error"]["message"], dead["attempts"].as_array().unwrap().len()), (&json!("two"), 2));
    assert_eq!(dead["command"]["workflow"], "demo");

    let replay = format!("/v1/runs/{id}/replay");
    let replayed = broker
        .post(&replay, json!({"patch": {"doc": null, "new": {"x": 1}}, "actor": "ann"}))
        .await
        .expect(200);
    assert_eq!(replayed, json!({"run_id": id, "replay_seq": 1, "status": "queued"}));
    broker.post(&replay, json!({})).await.expect(409);
    assert_eq!(broker.get(&format!("/v1/runs/{id}/dlq?replay_seq=0")).await.expect(200)["state"], "replayed");
    broker.get(&format!("/v1/runs/{id}/dlq?replay_seq=1")).await.expect(404);

    let held = take(&broker).await;
    assert_eq!(held["value"]["input"], json!({"keep": 1.50, "new": {"x": 1}}));
    assert_eq!((&held["run"]["replay_seq"], &held["run"]["attempt"]), (&json!(1), &json!(1)));
    assert_eq!(held["run"]["steps"], json!({"fetch": {"text": [1, 2.0]}}), "a patch keeps finished steps");
    assert_eq!(broker.post("/v1/ack", json!({"msg": held, "result": {"done": 1.0}})).await.status, 204);
    let shown = broker.get(&format!("/v1/runs/{id}?wait_ms=10000")).await.expect(200);
    assert_eq!((&shown["status"], &shown["result"]), (&json!("succeeded"), &json!({"done": 1.0})));
    assert!(shown.get("error").is_none());
    let statuses: Vec<_> =
        shown["replays"].as_array().unwrap().iter().map(|replay| replay["status"].clone()).collect();
    assert_eq!(statuses, [json!("failed"), json!("succeeded")]);
    assert_eq!(
        kinds(&broker, &id).await,
        [
            "run.created",
            "worker.received",
            "step.completed",
            "run.attempt_failed",
            "run.retry_scheduled",
            "worker.received",
            "run.attempt_failed",
            "run.dlq",
            "run.failed",
            "run.replay_requested",
            "worker.received",
            "run.succeeded",
        ]
    );
}

#[tokio::test]
async fn a_repeated_key_starts_one_run() {
    let broker = Broker::start().await;
    let body = json!({"workflow": "w", "idempotency_key": "k"});
    let first = broker.post("/v1/runs", body.clone()).await.expect(201);
    assert_eq!(broker.post("/v1/runs", body).await.expect(200), first);
    let named = json!({"workflow": "w", "run_id": "mine", "topic": "commands.w", "group": "w", "tags": ["x"], "tenant_id": "acme"});
    let mine = broker.post("/v1/runs", named.clone()).await.expect(201);
    assert_eq!(
        (&mine["topic"], &mine["group"], &mine["tenant_id"]),
        (&json!("commands.w"), &json!("w"), &json!("acme"))
    );
    broker.post("/v1/runs", named).await.expect(409);
    assert_eq!(broker.get("/v1/topics").await.expect(200)["topics"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn an_events_topic_with_something_in_it_is_not_taken() {
    let broker = Broker::start().await;
    broker.topic("runs.events.r").await;
    broker.produce(json!({"topic": "runs.events.r", "value": 1})).await;
    broker.post("/v1/runs", json!({"workflow": "w", "run_id": "r"})).await.expect(409);
}

#[tokio::test]
async fn a_policy_is_filled_field_by_field() {
    let broker = Broker::start().await;
    let body = json!({"workflow": "w", "run_id": "r", "retry_policy": {"max_attempts": 2}});
    broker.post("/v1/runs", body).await.expect(201);
    let shown = broker.get("/v1/runs/r").await.expect(200);
    assert_eq!(
        shown["retry_policy"],
        json!({"max_attempts": 2, "backoff_ms": 1_000, "max_backoff_ms": 60_000, "jitter_ms": 0})
    );
    assert_eq!(shown["input"], Value::Null);
}

#[tokio::test]
async fn a_cancelled_run_tells_its_worker() {
    let broker = Broker::start().await;
    let id = start(&broker, 3).await;
    let held = take(&broker).await;
    let cancelled = broker.post_text(&format!("/v1/runs/{id}/cancel"), "").await.expect(200);
    assert_eq!(cancelled, json!({"run_id": id, "replay_seq": 0, "status": "cancelled"}));
    broker.post(&format!("/v1/runs/{id}/cancel"), json!({})).await.expect(409);
    let refused = [
        broker.post("/v1/ack", json!({"msg": held})).await,
        broker.post("/v1/extend", json!({"msg": held})).await,
        broker
            .post(
                &format!("/v1/runs/{id}/events"),
                json!({"events": [{"type": "a"}], "lease_id": held["lease_id"]}),
            )
            .await,
        broker.put(&format!("/v1/runs/{id}/steps/s"), json!({"lease_id": held["lease_id"]})).await,
    ];
    for reply in refused {
        assert_eq!(reply.expect(409)["reason"], "cancelled");
    }
    assert_eq!(kinds(&broker, &id).await.last().unwrap(), "run.cancelled");
    broker.post(&format!("/v1/runs/{id}/replay"), json!({})).await.expect(200);
    assert_eq!(take(&broker).await["run"]["replay_seq"], 1);
}

#[tokio::test]
async fn which_steps_a_replay_keeps_follows_one_order() {
    let broker = Broker::start().await;
    let id = start(&broker, 1).await;
    let steps = format!("/v1/runs/{id}/steps");
    let replay = format!("/v1/runs/{id}/replay");
    let held = take(&broker).await;
    for step in ["a", "b", "c"] {
        broker
            .put(&format!("{steps}/{step}"), json!({"lease_id": held["lease_id"], "output": step}))
            .await
            .expect(200);
    }
    let names = |held: &Value| held["run"]["steps"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    fail(&broker, &held, "x").await;
    broker.post(&replay, json!({"from_step": "zzz"})).await.expect(400);
    broker.post(&replay, json!({"input": 1, "patch": {}})).await.expect(400);
    for (body, kept) in [
        (json!({}), vec!["a", "b", "c"]),
        (json!({"from_step": "c", "input": {"n": 1}}), vec!["a", "b"]),
        (json!({"patch": {"n": 2}}), vec!["a", "b"]),
        (json!({"input": {"n": 3}}), vec![]),
    ] {
        broker.post(&replay, body.clone()).await.expect(200);
        let held = take(&broker).await;
        assert_eq!(names(&held), kept, "{body}");
        fail(&broker, &held, "x").await;
    }
    broker.post(&replay, json!({})).await.expect(200);
    let held = take(&broker).await;
    broker.put(&format!("{steps}/d"), json!({"lease_id": held["lease_id"]})).await.expect(200);
    let listed = broker.get(&steps).await.expect(200);
    assert_eq!((&listed["steps"][0]["step"], &listed["steps"][0]["output"]), (&json!("d"), &Value::Null));
    broker.post("/v1/ack", json!({"msg": held})).await;
    broker.post(&replay, json!({})).await.expect(200);
    assert_eq!(names(&take(&broker).await), Vec::<String>::new(), "a run that succeeded starts whole");
}

#[tokio::test]
async fn a_result_belongs_to_the_run_s_own_group() {
    let broker = Broker::start().await;
    start(&broker, 1).await;
    let read_only = broker.poll("runs.commands", "audit").await;
    assert!(read_only.get("run").is_none());
    broker.post("/v1/ack", json!({"msg": read_only, "result": 1})).await.expect(400);
    assert_eq!(broker.post("/v1/ack", json!({"msg": read_only})).await.status, 204);
    let held = take(&broker).await;
    broker.post("/v1/ack", json!({"msg": held})).await;
    let id = held["run"]["run_id"].as_str().unwrap();
    let shown = broker.get(&format!("/v1/runs/{id}")).await.expect(200);
    assert_eq!((&shown["status"], shown.get("result")), (&json!("succeeded"), Some(&Value::Null)));
}

#[tokio::test]
async fn redriving_a_run_s_dead_letter_is_a_replay() {
    let broker = Broker::start().await;
    let id = start(&broker, 1).await;
    fail(&broker, &take(&broker).await, "x").await;
    let listed = broker.get(&format!("/v1/dlq?run_id={id}")).await.expect(200);
    assert_eq!(listed["items"][0]["run_id"], json!(id));
    let redrive = "/v1/dlq/dlq.runs.commands/0/0/redrive";
    broker.post(redrive, json!({"value": {"n": 1}})).await.expect(400);
    broker.post(redrive, json!({"target_topic": "runs.commands"})).await.expect(400);
    assert_eq!(
        broker.post(redrive, json!({})).await.expect(200),
        json!({"status": "replayed", "run_id": id, "replay_seq": 1})
    );
    broker.post(redrive, json!({})).await.expect(409);
    assert_eq!(broker.get("/v1/dlq?run_id=none").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn runs_are_listed_newest_first() {
    let broker = Broker::start().await;
    for n in 0..3 {
        broker.post("/v1/runs", json!({"workflow": format!("w{}", n % 2), "run_id": format!("r{n}"), "tags": [format!("t{n}")]})).await.expect(201);
    }
    let ids = |page: &Value| {
        page["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["run_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let page = broker.get("/v1/runs?limit=2").await.expect(200);
    assert_eq!(ids(&page), ["r2", "r1"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&broker.get(&format!("/v1/runs?limit=2&cursor={cursor}")).await.expect(200)), ["r0"]);
    assert_eq!(ids(&broker.get("/v1/runs?workflow=w0&status=queued").await.expect(200)), ["r2", "r0"]);
    assert_eq!(ids(&broker.get("/v1/runs?tag=t1").await.expect(200)), ["r1"]);
    assert_eq!(ids(&broker.get("/v1/runs?status=failed").await.expect(200)), Vec::<String>::new());
}

#[tokio::test]
async fn waiting_for_the_end_of_a_run_ends_with_it() {
    let broker = Broker::start().await;
    let id = start(&broker, 1).await;
    let running = broker.get(&format!("/v1/runs/{id}?wait_ms=1")).await.expect(200);
    assert_eq!(running["status"], "queued");
    let held = take(&broker).await;
    let path = format!("/v1/runs/{id}?wait_ms=15000");
    let ack = async {
        broker.get("/v1/consume?topic=runs.commands&group=other&start=latest&wait_ms=20").await.expect(200);
        broker.post("/v1/ack", json!({"msg": held})).await
    };
    let (shown, _) = tokio::join!(broker.get(&path), ack);
    assert_eq!(shown.expect(200)["status"], "succeeded");
}

#[tokio::test]
async fn large_step_outputs_are_fetched_apart() {
    let broker = Broker::start().await;
    let id = start(&broker, 2).await;
    let held = take(&broker).await;
    for step in ["a", "b"] {
        let put = json!({"lease_id": held["lease_id"], "output": "x".repeat(200_000)});
        broker.put(&format!("/v1/runs/{id}/steps/{step}"), put).await.expect(200);
    }
    fail(&broker, &held, "x").await;
    let held = take(&broker).await;
    assert_eq!(
        (held["run"]["steps"].as_object().unwrap().len(), &held["run"]["steps_more"]),
        (1, &json!(true))
    );
    let all = broker.get(&format!("/v1/runs/{id}/steps")).await.expect(200);
    assert_eq!(all["steps"].as_array().unwrap().len(), 2);
}
