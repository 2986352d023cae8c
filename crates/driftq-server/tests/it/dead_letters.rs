//! Dead letters over HTTP: found by what failed, counted, mended, and how they left the list.

use crate::harness::{Broker, read};
use reqwest::Method;
use serde_json::{Value, json};

/// Produces a value and fails it for good with this error.
pub(crate) async fn fail(broker: &Broker, topic: &str, value: Value, error: Value) {
    broker
        .produce(json!({"topic": topic, "key": value["key"], "value": value, "envelope": {
            "tenant_id": value["tenant"], "retry_policy": {"max_attempts": 1}}}))
        .await;
    let held = broker.poll(topic, "g").await;
    broker.post("/v1/nack", json!({"msg": held, "error": error, "retryable": false})).await;
}

async fn values(broker: &Broker, query: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = broker.get(&format!("/v1/dlq?{query}{cursor}")).await.expect(200);
        found.extend(page["items"].as_array().unwrap().iter().map(|item| item["value"]["n"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn what_is_failing_since_when_and_why_is_one_question() {
    let broker = Broker::start().await;
    broker.topic("orders").await;
    broker.topic("mails").await;
    for n in 0..3 {
        let error =
            json!({"message": format!("no user '{n}' within {n} s"), "type": "NotFound", "stack": "at x"});
        fail(&broker, "orders", json!({"n": n, "key": "k", "tenant": "acme"}), error).await;
    }
    fail(
        &broker,
        "mails",
        json!({"n": 3, "key": "k", "tenant": "acme"}),
        json!({"message": "no user 'x' within 9 s", "type": "NotFound"}),
    )
    .await;
    fail(&broker, "mails", json!({"n": 4, "key": "k", "tenant": "other"}), json!({"message": "boom"})).await;

    let kinds = broker.get("/v1/dlq/fingerprints").await.expect(200);
    let [first, second] = kinds["fingerprints"].as_array().unwrap().as_slice() else { panic!("{kinds}") };
    assert_eq!((&first["count"], &second["count"]), (&json!(4), &json!(1)));
    assert_eq!(first["topics"], json!(["orders", "mails"]));
    assert_eq!(first["groups"], json!(["g"]));
    assert_eq!(first["error"], json!({"message": "no user 'x' within 9 s", "type": "NotFound"}), "no stack");
    assert_eq!(first["sample"], json!({"topic": "dlq.mails", "partition": 0, "offset": 0}));
    assert!(first["first_at_ms"].as_u64().unwrap() <= first["last_at_ms"].as_u64().unwrap());
    let page = broker.get("/v1/dlq/fingerprints?limit=1").await.expect(200);
    let rest = format!("/v1/dlq/fingerprints?limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(broker.get(&rest).await.expect(200)["fingerprints"], json!([second]));
    for (query, count) in
        [("topic=orders", 3), ("group=g&tenant_id=acme", 4), ("reason=non_retryable&until_ms=1", 0)]
    {
        let found = broker.get(&format!("/v1/dlq/fingerprints?{query}")).await.expect(200);
        let sum: u64 =
            found["fingerprints"].as_array().unwrap().iter().map(|f| f["count"].as_u64().unwrap()).sum();
        assert_eq!(sum, count, "{query}");
    }

    let print = first["fingerprint"].as_str().unwrap();
    assert_eq!(values(&broker, &format!("fingerprint={print}&limit=1")).await, [0, 1, 2, 3]);
    assert_eq!(values(&broker, &format!("fingerprint={print}&topic=mails")).await, [3]);
    assert_eq!(values(&broker, "tenant_id=other").await, [4]);
    let listed = broker.get("/v1/dlq?topic=orders").await.expect(200);
    assert_eq!(listed["items"][0]["fingerprint"], *print);
    let at = listed["items"][1]["routed_at_ms"].as_u64().unwrap();
    let [before, after] = [format!("until_ms={at}"), format!("since_ms={at}")];
    let (before, after) = (values(&broker, &before).await, values(&broker, &after).await);
    assert_eq!(before.len() + after.len(), 5, "{before:?} {after:?}");
    assert!(after.contains(&json!(1)));
}

#[tokio::test]
async fn a_text_is_found_in_key_value_and_error_whatever_its_case() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    fail(&broker, "t", json!({"n": 0, "key": "Basket-7"}), json!({"message": "boom"})).await;
    fail(&broker, "t", json!({"n": 1, "key": "k", "name": "Zoë"}), json!({"message": "boom"})).await;
    let escaped = r#"{"topic":"t","key":"k","value":{"n":2,"name":"Zo\u00eb"},"envelope":{"retry_policy":{"max_attempts":1}}}"#;
    broker.post_text("/v1/produce", escaped).await.expect(200);
    let held = broker.poll("t", "g").await;
    broker.post("/v1/nack", json!({"msg": held, "reason": "Card DECLINED"})).await;
    assert_eq!(values(&broker, "q=bASKET").await, [0]);
    assert_eq!(values(&broker, "q=zo%C3%8B").await, [1, 2]);
    assert_eq!(values(&broker, "q=declined").await, [2]);
    assert_eq!(values(&broker, "q=%22name%22").await, [1, 2]);
    assert_eq!(values(&broker, "q=nothing+of+it").await, Vec::<Value>::new());
    assert_eq!(values(&broker, "q=boom&limit=1").await, [0, 1]);
}

#[tokio::test]
async fn a_mended_redrive_keeps_the_original_and_tells_who_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::on(folder.path()).await;
    broker.topic("t").await;
    fail(&broker, "t", json!({"n": 1, "key": "k"}), json!({"message": "bad n"})).await;
    fail(&broker, "t", json!({"n": 2, "key": "k"}), json!({"message": "bad n"})).await;
    let redrive = broker.request(Method::POST, "/v1/dlq/dlq.t/0/0/redrive").header("X-Driftq-Actor", "eve");
    let body = json!({"value": {"n": 100}, "reason": "typo in n"}).to_string();
    let redriven = read(redrive.body(body).send().await.unwrap()).await.expect(200);
    broker.post("/v1/dlq/dlq.t/0/1/discard", json!({})).await.expect(200);
    assert_eq!(broker.poll("t", "g").await["value"], json!({"n": 100}));
    broker.stop().await.unwrap();

    let broker = Broker::on(folder.path()).await;
    let shown = broker.get("/v1/dlq/dlq.t/0/0").await.expect(200);
    assert_eq!(
        (&shown["value"]["n"], &shown["state"]),
        (&json!(1), &json!("redriven")),
        "the original stays"
    );
    let closed = &shown["closed"];
    assert_eq!(
        (&closed["state"], &closed["actor"], &closed["reason"], &closed["edited"]),
        (&json!("redriven"), &json!("eve"), &json!("typo in n"), &json!(true))
    );
    assert!(closed["at_ms"].as_u64().unwrap() >= shown["routed_at_ms"].as_u64().unwrap());
    assert_eq!(
        closed["redriven_to"],
        json!({"topic": "t", "partition": redriven["partition"], "offset": redriven["offset"]})
    );
    let discarded = broker.get("/v1/dlq/dlq.t/0/1").await.expect(200)["closed"].clone();
    assert_eq!((&discarded["state"], &discarded["reason"]), (&json!("discarded"), &Value::Null));
    assert_eq!(broker.get("/v1/dlq/fingerprints").await.expect(200)["fingerprints"], json!([]));
}

#[tokio::test]
async fn a_redrive_to_another_topic_goes_where_its_key_belongs_there() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    broker.post("/v1/topics", json!({"name": "wide", "partitions": 64})).await.expect(201);
    fail(&broker, "t", json!({"n": 1, "key": "customer-7"}), json!({"message": "bad"})).await;
    let probe = broker.produce(json!({"topic": "wide", "key": "customer-7", "value": 1})).await;
    let redriven =
        broker.post("/v1/dlq/dlq.t/0/0/redrive", json!({"target_topic": "wide"})).await.expect(200);
    assert_ne!(probe["partition"], 0, "the test needs a key that is not on the first partition");
    assert_eq!((&redriven["topic"], &redriven["partition"]), (&json!("wide"), &probe["partition"]));
}

#[tokio::test]
async fn a_filter_that_cannot_be_honoured_is_refused_with_its_reason() {
    let broker = Broker::start().await;
    let long = "x".repeat(201);
    for (path, names) in [
        (&*format!("/v1/dlq?q={long}"), "q is longer than 200 bytes"),
        ("/v1/dlq?fingerprint=7", "16 hexadecimal digits"),
        ("/v1/dlq?since_ms=5&until_ms=5", "since_ms"),
        ("/v1/dlq?cursor=1.2", "cursor"),
        ("/v1/dlq/fingerprints?cursor=7", "cursor"),
        ("/v1/dlq/fingerprints?limit=0", "limit"),
        ("/v1/dlq?since_ms=-1", "since_ms"),
    ] {
        let body = broker.get(path).await.expect(400);
        assert!(body["message"].as_str().unwrap().contains(names), "{path}: {body}");
    }
    let long = "x".repeat(1_025);
    for route in ["redrive", "discard"] {
        let body = broker.post(&format!("/v1/dlq/dlq.t/0/0/{route}"), json!({"reason": long})).await;
        assert!([400, 404].contains(&body.status), "{route}");
    }
}
