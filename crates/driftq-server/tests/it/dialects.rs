//! The two dialects that existing clients speak, and the values that travel between them.

use crate::harness::{Broker, Stream, read};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_streaming_client_produces_consumes_and_acks() {
    let broker = Broker::start().await;
    assert_eq!(broker.get("/v1/healthz").await.expect(200), json!({"status": "ok"}));
    assert_eq!(broker.get("/v1/version").await.expect(200)["wal_enabled"], json!(false));
    let made = broker.post_text("/v1/topics?name=orders&partitions=2", "").await.expect(201);
    assert_eq!(made, json!({"status": "created", "name": "orders", "partitions": 2}));
    broker.post("/v1/topics", json!({"name": " orders ", "partitions": 0})).await.expect(201);

    let mut stream =
        Stream::open(broker.request(Method::GET, "/v1/consume?topic=orders&group=g&owner=ann")).await;
    assert_eq!(stream.header("content-type"), "application/x-ndjson; charset=utf-8");
    let asked = "/v1/produce?topic=orders&key=%20k%20&value=hello%20you&tenant=acme&idem_key=once&retry_max_attempts=3&retry_backoff_ms=10";
    let produced = broker.post_text(asked, "").await.expect(200);
    assert_eq!((&produced["status"], &produced["topic"]), (&json!("produced"), &json!("orders")));

    let item = stream.item().await.unwrap();
    assert_eq!(
        (&item["key"], &item["value"], &item["attempts"]),
        (&json!(" k "), &json!("hello you"), &json!(1))
    );
    assert_eq!(item["last_error"], "");
    assert_eq!(
        item["envelope"],
        json!({"tenant_id": "acme", "idempotency_key": "once", "retry_policy": {"max_attempts": 3, "backoff_ms": 10}})
    );
    assert!(item.get("routing").is_none());
    let (partition, offset) = (&item["partition"], &item["offset"]);
    let ack = format!("/v1/ack?topic=orders&group=g&owner=ann&partition={partition}&offset={offset}");
    assert_eq!(broker.post_text(&ack, "").await.status, 204);
    assert_eq!(broker.post_text(&ack, "").await.status, 204, "the same owner acks again");

    broker.produce(json!({"topic": "orders", "value": {"n": 2}})).await;
    let item = stream.item().await.unwrap();
    let nack = json!({"topic": "orders", "group": "g", "owner": "ann", "partition": item["partition"], "offset": item["offset"], "reason": ""});
    assert_eq!(broker.post("/v1/nack", nack).await.status, 204);
    let again = stream.item().await.unwrap();
    assert_eq!((&again["attempts"], &again["last_error"]), (&json!(2), &json!("nack")));
}

#[tokio::test]
async fn a_polling_client_needs_no_owner() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    assert_eq!(broker.text("/v1/consume?topic=t&group=g&wait_ms=1").await, "null");
    assert_eq!(broker.text("/v1/consume?topic=t&group=g&wait_ms=1&max=3").await, "[]");
    broker.produce(json!({"topic": "t", "value": {"type": "run.command"}, "idempotency_key": "k"})).await;
    let message = broker.poll("t", "g").await;
    assert!(!message["owner"].as_str().unwrap().is_empty());
    let ack = json!({"topic": "t", "group": "g", "msg": message});
    assert_eq!(broker.post("/v1/ack", ack.clone()).await.status, 204);
    assert_eq!(broker.post("/v1/ack", ack).await.status, 204);
    assert!(broker.is_idle("t", "g").await);
}

#[tokio::test]
async fn a_poll_waits_for_its_message() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let produce = async {
        // A second consumer's answer shows that the first one waits already.
        broker.get("/v1/consume?topic=t&group=other&wait_ms=20").await.expect(200);
        broker.produce(json!({"topic": "t", "value": 7})).await
    };
    let (message, _) = tokio::join!(broker.poll("t", "g"), produce);
    assert_eq!(message["value"], 7);
}

#[tokio::test]
async fn a_poll_may_ask_for_several_and_name_its_owner() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    for n in 0..5 {
        broker.produce(json!({"topic": "t", "value": n})).await;
    }
    let body = json!({"topic": "t", "group": "g", "owner": "ann", "mode": "poll", "max": 3});
    let request = broker.request(Method::GET, "/v1/consume").body(body.to_string());
    let three = read(request.send().await.unwrap()).await.expect(200);
    let values: Vec<_> = three.as_array().unwrap().iter().map(|message| message["value"].clone()).collect();
    assert_eq!(values, [json!(0), json!(1), json!(2)]);
    assert!(three.as_array().unwrap().iter().all(|message| message["owner"] == "ann"));
}

/// Texts of values as they are sent, and as they must come back.
const VALUES: &[(&str, &str)] = &[
    ("0", "0"),
    ("false", "false"),
    ("{}", "{}"),
    ("[ ]", "[]"),
    (r#""text""#, r#""text""#),
    (r#""{\"looks\":\"like json\"}""#, r#""{\"looks\":\"like json\"}""#),
    (r#""  \u00e9 \\ \" é""#, r#""  \u00e9 \\ \" é""#),
    ("1.50", "1.50"),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
    ("-0.0e+10", "-0.0e+10"),
    (r#"{ "b" : 1, "a" : [ 1.0 , {"x": null} ], "b": 2 }"#, r#"{"b":1,"a":[1.0,{"x":null}],"b":2}"#),
];

fn value_text(item: &str) -> &str {
    let from = item.find(r#""value":"#).unwrap() + r#""value":"#.len();
    let until = item.find(r#","last_error""#).unwrap();
    &item[from..until]
}

#[tokio::test]
async fn values_keep_their_kind_in_both_dialects_and_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::on(folder.path()).await;
    broker.topic("t").await;
    for (sent, _) in VALUES {
        broker.post_text("/v1/produce", &format!(r#"{{"topic":"t","value":{sent}}}"#)).await.expect(200);
    }
    let mut stream =
        Stream::open(broker.request(Method::GET, "/v1/consume?topic=t&group=s&owner=o&max_in_flight=99"))
            .await;
    for (_, kept) in VALUES {
        assert_eq!(value_text(&stream.next("\n").await.unwrap()), *kept);
        assert_eq!(value_text(&broker.text("/v1/consume?topic=t&group=p").await), *kept);
    }
    drop(stream);
    broker.stop().await.unwrap();

    let broker = Broker::on(folder.path()).await;
    for (_, kept) in VALUES {
        assert_eq!(value_text(&broker.text("/v1/consume?topic=t&group=after").await), *kept);
        let text = broker.text("/v1/consume?topic=t&group=strings&value_format=string").await;
        let as_string: String = serde_json::from_str(value_text(&text)).unwrap();
        let plain = serde_json::from_str::<String>(kept).unwrap_or_else(|_| (*kept).to_owned());
        assert_eq!(as_string, plain);
    }
}

#[tokio::test]
async fn a_value_keeps_its_kind_through_the_dead_letters_and_back() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    for (sent, kept) in VALUES {
        let body = format!(
            r#"{{"topic":"t","key":"k","value":{sent},"headers":{{"h":"1"}},"envelope":{{"tenant_id":"acme","retry_policy":{{"max_attempts":1}}}}}}"#
        );
        broker.post_text("/v1/produce", &body).await.expect(200);
        let failed = broker.poll("t", "g").await;
        assert_eq!(
            broker.post("/v1/nack", json!({"topic": "t", "group": "g", "msg": failed})).await.status,
            204
        );
        let dead = broker.text("/v1/consume?topic=dlq.t&group=g").await;
        assert_eq!(value_text(&dead), *kept);
        let dead: Value = serde_json::from_str(&dead).unwrap();
        assert_eq!((&dead["key"], &dead["headers"]), (&json!("k"), &json!({"h": "1"})));
        let offset = &dead["offset"];
        broker.post_text(&format!("/v1/dlq/dlq.t/0/{offset}/redrive"), "").await.expect(200);
        let again = broker.text("/v1/consume?topic=t&group=g").await;
        assert_eq!(value_text(&again), *kept);
        let again: Value = serde_json::from_str(&again).unwrap();
        assert_eq!(again["attempts"], 1);
        assert_eq!(again["envelope"], json!({"tenant_id": "acme", "retry_policy": {"max_attempts": 1}}));
        broker.post("/v1/ack", json!({"msg": again})).await;
    }
}
