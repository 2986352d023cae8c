//! Leases, acks, nacks, and where a message goes that fails for good.

use crate::harness::{Broker, read};
use reqwest::Method;
use serde_json::{Value, json};

fn naming(message: &Value, change: Value) -> Value {
    let mut claim = json!({});
    for field in ["topic", "group", "owner", "partition", "offset", "lease_id"] {
        claim[field] = message[field].clone();
    }
    for (field, value) in change.as_object().unwrap() {
        claim[field] = value.clone();
    }
    claim
}

#[tokio::test]
async fn only_the_holder_of_a_lease_may_settle() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    broker.produce(json!({"topic": "t", "value": 1})).await;
    let held = broker.poll("t", "g").await;
    for wrong in
        [json!({"owner": "eve"}), json!({"lease_id": "lease_ffff_1"}), json!({"lease_id": "nonsense"})]
    {
        for route in ["/v1/ack", "/v1/nack", "/v1/extend"] {
            let body = broker.post(route, naming(&held, wrong.clone())).await.expect(409);
            assert_eq!(
                (&body["error"], &body["message"]),
                (&json!("FAILED_PRECONDITION"), &json!("not owner")),
                "{route} {wrong}"
            );
        }
    }
    let unseen = broker.post("/v1/ack", naming(&held, json!({"offset": 5}))).await.expect(400);
    assert!(unseen["message"].as_str().unwrap().contains("never delivered"));
    assert_eq!(broker.post("/v1/ack", naming(&held, json!({}))).await.status, 204);
}

#[tokio::test]
async fn a_lease_that_ends_makes_its_message_due_and_fences_its_holder() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    broker.produce(json!({"topic": "t", "value": 1})).await;
    let first = broker.get("/v1/consume?topic=t&group=g&owner=ann&mode=poll&lease_ms=1").await.expect(200);
    let second = broker
        .get("/v1/consume?topic=t&group=g&owner=ann&mode=poll&lease_ms=60000&wait_ms=10000")
        .await
        .expect(200);
    assert_eq!((&second["attempts"], &second["last_error"]), (&json!(2), &json!("ack_timeout")));
    broker.post("/v1/ack", naming(&first, json!({}))).await.expect(409);
    assert_eq!(broker.post("/v1/ack", naming(&second, json!({}))).await.status, 204);
}

#[tokio::test]
async fn a_heartbeat_moves_the_end_of_a_lease() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    broker.produce(json!({"topic": "t", "value": 1})).await;
    let held = broker.poll("t", "g").await;
    let until = held["lease_until_ms"].as_u64().unwrap();
    let longer = broker.post("/v1/extend", naming(&held, json!({"lease_ms": 600_000}))).await.expect(200);
    assert!(longer["lease_until_ms"].as_u64().unwrap() > until + 500_000);
    let shorter = broker.post("/v1/extend", json!({"msg": held, "lease_ms": 100})).await.expect(200);
    assert!(shorter["lease_until_ms"].as_u64().unwrap() < until);
    assert_eq!(broker.poll("t", "g").await["attempts"], 2);
}

#[tokio::test]
async fn a_message_out_of_attempts_is_a_dead_letter_with_its_history() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let policy = json!({"max_attempts": 3, "backoff_ms": 1});
    let envelope =
        json!({"retry_policy": policy, "tenant_id": "acme", "step_id": "s", "partition_override": 0});
    broker.produce(json!({"topic": "t", "key": "k", "value": {"n": 1}, "envelope": envelope})).await;
    for reason in ["first", "second", "third"] {
        let held = broker.poll("t", "g").await;
        let nack = naming(&held, json!({"error": {"message": reason, "type": "Oops", "stack": "at line 1"}}));
        assert_eq!(broker.post("/v1/nack", nack.clone()).await.status, 204);
        assert_eq!(broker.post("/v1/nack", nack).await.status, 204, "a repeated nack with the same lease");
    }
    assert!(broker.is_idle("t", "g").await);
    let dead = broker.poll("dlq.t", "ops").await;
    let mark = &dead["envelope"]["dlq"];
    assert_eq!(mark["last_error"], "first | second | third");
    assert_eq!(
        (&mark["attempts"], &mark["group"], &mark["reason"]),
        (&json!(3), &json!("g"), &json!("max_attempts"))
    );
    assert_eq!((&mark["original_topic"], &mark["original_offset"]), (&json!("t"), &json!(0)));
    let mut envelope = dead["envelope"].clone();
    envelope.as_object_mut().unwrap().remove("dlq");
    assert_eq!(envelope, json!({"tenant_id": "acme", "step_id": "s"}));

    let listed = broker.get("/v1/dlq?topic=t&group=g&reason=max_attempts").await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed["items"][0]["topic"], &listed["items"][0]["state"]),
        (&json!("dlq.t"), &json!("open"))
    );
    assert_eq!(broker.get("/v1/dlq?group=other").await.expect(200)["items"], json!([]));
    let shown = broker.get("/v1/dlq/dlq.t/0/0").await.expect(200);
    assert_eq!(shown["history"].as_array().unwrap().len(), 3);
    assert_eq!(
        shown["history"][1]["error"],
        json!({"message": "second", "type": "Oops", "stack": "at line 1"})
    );
    assert!(shown["history"][1]["ended_at_ms"].as_u64() >= shown["history"][1]["started_at_ms"].as_u64());
    let metrics = broker.text("/metrics").await;
    assert!(
        metrics.contains("dlq_messages_total{topic=\"t\",reason=\"max_attempts_reached\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn p08_a_dead_letter_is_redriven_once_for_the_group_that_failed_it() {
    let broker = Broker::start().await;
    let place = dead_letter(&broker).await;
    let redrive = |body: Value| {
        broker
            .request(Method::POST, &format!("{place}/redrive"))
            .header("idempotency-key", "k")
            .body(body.to_string())
            .send()
    };
    let first = read(redrive(json!({"value": {"mended": true}})).await.unwrap()).await.expect(200);
    assert_eq!(
        (&first["status"], &first["topic"], &first["offset"]),
        (&json!("redriven"), &json!("t"), &json!(1))
    );
    let again = read(redrive(json!({})).await.unwrap()).await.expect(200);
    assert_eq!(again["message_id"], first["message_id"]);
    broker.post(&format!("{place}/redrive"), json!({})).await.expect(409);
    broker.post(&format!("{place}/discard"), json!({})).await.expect(409);
    assert_eq!(broker.get("/v1/dlq").await.expect(200)["items"], json!([]));
    assert_eq!(broker.get(&place).await.expect(200)["state"], "redriven");
    let message = broker.poll("t", "g").await;
    assert_eq!(
        (&message["value"], &message["attempts"], &message["last_error"]),
        (&json!({"mended": true}), &json!(1), &json!(""))
    );
    assert!(
        broker
            .get("/v1/consume?topic=t&group=new&start=earliest&wait_ms=1&max=9")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len()
            == 1
    );
}

#[tokio::test]
async fn a_dead_letter_may_go_to_another_topic_for_all() {
    let broker = Broker::start().await;
    let place = dead_letter(&broker).await;
    broker.post(&format!("{place}/redrive"), json!({"target_topic": "gone"})).await.expect(400);
    broker.topic("other").await;
    let moved = broker.post(&format!("{place}/redrive"), json!({"target_topic": "other"})).await.expect(200);
    assert_eq!(moved["topic"], "other");
    assert_eq!(broker.poll("other", "anybody").await["value"], "v");
}

#[tokio::test]
async fn a_discarded_dead_letter_leaves_the_list() {
    let broker = Broker::start().await;
    let place = dead_letter(&broker).await;
    assert_eq!(
        broker.post(&format!("{place}/discard"), json!({"reason": "known"})).await.expect(200),
        json!({"status": "discarded"})
    );
    assert_eq!(broker.get("/v1/dlq").await.expect(200)["items"], json!([]));
    broker.post(&format!("{place}/redrive"), json!({})).await.expect(409);
}

/// Makes a dead letter; answers its place.
async fn dead_letter(broker: &Broker) -> String {
    broker.topic("t").await;
    broker.produce(json!({"topic": "t", "value": "v"})).await;
    let held = broker.poll("t", "g").await;
    assert_eq!(
        broker.post("/v1/nack", json!({"msg": held, "retryable": false, "reason": "hopeless"})).await.status,
        204
    );
    let listed = broker.get("/v1/dlq").await.expect(200);
    let dead = &listed["items"][0];
    assert_eq!((&dead["reason"], &dead["last_error"]), (&json!("non_retryable"), &json!("hopeless")));
    format!("/v1/dlq/{}/{}/{}", dead["topic"].as_str().unwrap(), dead["partition"], dead["offset"])
}

#[tokio::test]
async fn a_worker_may_say_when_to_try_again() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let envelope = json!({"retry_policy": {"max_attempts": 5, "backoff_ms": 3_600_000}});
    broker.produce(json!({"topic": "t", "value": 1, "envelope": envelope})).await;
    let held = broker.poll("t", "g").await;
    broker.post("/v1/nack", json!({"msg": held, "retry_after_ms": 1})).await;
    let held = broker.poll("t", "g").await;
    assert_eq!(held["attempts"], 2);
    broker.post("/v1/nack", json!({"msg": held})).await;
    assert!(broker.is_idle("t", "g").await, "the policy's backoff counts again");
}

#[tokio::test]
async fn two_groups_that_fail_a_message_make_two_dead_letters() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    broker
        .produce(json!({"topic": "t", "value": 1, "envelope": {"retry_policy": {"max_attempts": 1}}}))
        .await;
    for group in ["a", "b"] {
        let held = broker.poll("t", group).await;
        broker.post("/v1/nack", json!({"msg": held})).await;
    }
    let listed = broker.get("/v1/dlq?limit=1").await.expect(200);
    assert_eq!(listed["items"][0]["group"], "a");
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = broker.get(&format!("/v1/dlq?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!((&rest["items"][0]["group"], rest.get("next_cursor")), (&json!("b"), None));
}

#[tokio::test]
async fn another_groups_dead_letter_of_a_command_can_be_mended_and_moves_no_run() {
    let broker = Broker::start().await;
    broker.post("/v1/runs", json!({"run_id": "r1", "workflow": "demo", "input": {"a": 1}})).await.expect(201);
    let held = broker.poll("runs.commands", "audit").await;
    assert_eq!(held["value"]["input"], json!({"a": 1}));
    broker.post("/v1/nack", naming(&held, json!({"retryable": false}))).await;
    let place = "/v1/dlq/dlq.runs.commands/0/0";
    assert_eq!(broker.get(place).await.expect(200)["value"]["run_id"], "r1");
    broker.post(&format!("{place}/redrive"), json!({"value": {"mended": true}})).await.expect(200);
    let again = broker.poll("runs.commands", "audit").await;
    assert_eq!((&again["value"], &again["key"]), (&json!({"mended": true}), &json!("r1")));
    assert_eq!(broker.get("/v1/runs/r1").await.expect(200)["status"], "queued");
}
