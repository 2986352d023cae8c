//! Producing, browsing and idempotency.

use crate::harness::{Broker, Stream, read};
use driftq_server::Config;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn p10_a_key_decides_its_partition_by_fnv() {
    let broker = Broker::start().await;
    broker.post("/v1/topics", json!({"name": "t", "partitions": 7})).await.expect(201);
    // 32-bit FNV-1a: "" is not hashed, "a" is 0xe40c292c, "foobar" is 0xbf9cf968.
    for (key, partition) in [("", 0), ("a", 0xe40c_292c_u32 % 7), ("foobar", 0xbf9c_f968_u32 % 7)] {
        let produced = broker.produce(json!({"topic": "t", "key": key, "value": 1})).await;
        assert_eq!(produced["partition"], partition, "{key}");
    }
    let forced = broker
        .produce(json!({"topic": "t", "key": "a", "value": 1, "envelope": {"partition_override": 6}}))
        .await;
    assert_eq!((&forced["partition"], &forced["offset"]), (&json!(6), &json!(0)));
}

#[tokio::test]
async fn a_repeated_key_gets_the_first_answer_and_stores_nothing() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let first = broker.produce(json!({"topic": "t", "value": "one", "idempotency_key": "k"})).await;
    assert_eq!(first["duplicate"], false);
    let in_envelope = json!({"topic": "t", "value": "two", "idempotency_key": "other", "envelope": {"idempotency_key": "k"}});
    let again = broker.produce(in_envelope).await;
    assert_eq!((&again["duplicate"], &again["offset"]), (&json!(true), &first["offset"]));
    let header = broker.request(Method::POST, "/v1/produce").header("idempotency-key", "k");
    let header = header.body(json!({"topic": "t", "value": 3}).to_string()).send().await.unwrap();
    assert_eq!(read(header).await.expect(200)["duplicate"], true);
    let tenant =
        broker.produce(json!({"topic": "t", "value": 4, "idempotency_key": "k", "tenant": "acme"})).await;
    assert_eq!(tenant["duplicate"], false, "another tenant's key is another key");
    assert_eq!(broker.get("/v1/topics/t").await.expect(200)["partitions"][0]["messages"], 2);
}

#[tokio::test]
async fn a_key_with_another_explicit_fingerprint_is_refused() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let with = |print: &str| json!({"topic": "t", "value": 1, "idempotency_key": "k", "idempotency_fingerprint": print});
    broker.produce(with("a")).await;
    assert_eq!(broker.produce(with("a")).await["duplicate"], true);
    assert_eq!(broker.post("/v1/produce", with("b")).await.expect(422)["error"], "UNPROCESSABLE");
}

#[tokio::test]
async fn a_batch_with_a_key_in_its_header_is_stored_once() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let batch = json!({"messages": [
        {"topic": "t", "value": "a"},
        {"topic": "t", "value": "b"},
        {"topic": "t", "value": "c", "idempotency_key": "own"},
    ]});
    let send = || {
        let request = broker.request(Method::POST, "/v1/produce/batch").header("idempotency-key", "k");
        request.body(batch.to_string()).send()
    };
    let first = read(send().await.unwrap()).await.expect(200);
    let again = read(send().await.unwrap()).await.expect(200);
    for (one, other) in first["results"].as_array().unwrap().iter().zip(again["results"].as_array().unwrap())
    {
        assert_eq!((&one["duplicate"], &other["duplicate"]), (&json!(false), &json!(true)));
        assert_eq!(one["message_id"], other["message_id"]);
    }
    let own = broker.produce(json!({"topic": "t", "value": "c", "idempotency_key": "own"})).await;
    assert_eq!(own["offset"], 2);
}

#[tokio::test]
async fn a_batch_is_stored_whole_or_not_at_all() {
    let broker = Broker::start().await;
    broker.topic("a").await;
    broker.topic("b").await;
    let message = |topic: &str, value: i32| json!({"topic": topic, "value": value});
    let stored = json!({"messages": [message("a", 1), message("b", 2), message("a", 3)]});
    let stored = broker.post("/v1/produce/batch", stored).await.expect(200);
    let offsets: Vec<_> =
        stored["results"].as_array().unwrap().iter().map(|result| result["offset"].clone()).collect();
    assert_eq!(offsets, [json!(0), json!(0), json!(1)]);
    broker
        .post("/v1/produce/batch", json!({"messages": [message("a", 4), message("gone", 5)]}))
        .await
        .expect(400);
    assert_eq!(broker.get("/v1/topics/a").await.expect(200)["partitions"][0]["next_offset"], 2);
}

#[tokio::test]
async fn a_target_topic_stores_the_message_instead() {
    let broker = Broker::start().await;
    broker.topic("asked").await;
    broker.topic("stored").await;
    let body = json!({"topic": "asked", "value": 1, "envelope": {"target_topic": "stored", "run_id": "r", "dlq": {"attempts": 9}}});
    let produced = broker.produce(body).await;
    assert_eq!((&produced["topic"], &produced["stored_topic"]), (&json!("asked"), &json!("stored")));
    let message = broker.poll("stored", "g").await;
    assert_eq!(
        message["envelope"],
        json!({"run_id": "r", "target_topic": "stored"}),
        "a republished mark is dropped"
    );
}

#[tokio::test]
async fn a_delayed_message_is_handed_out_when_it_is_due() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    broker
        .produce(
            json!({"topic": "t", "value": "late", "delay_ms": 300, "headers": {"traceparent": "00-1-2-00"}}),
        )
        .await;
    broker.produce(json!({"topic": "t", "value": "now"})).await;
    assert_eq!(broker.poll("t", "g").await["value"], "now");
    let late = broker.poll("t", "g").await;
    assert_eq!((&late["value"], &late["headers"]), (&json!("late"), &json!({"traceparent": "00-1-2-00"})));
}

#[tokio::test]
async fn a_deadline_that_passes_makes_a_dead_letter_without_any_group() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(400);
    broker.produce(json!({"topic": "t", "value": 1, "envelope": {"deadline": soon.to_string()}})).await;
    broker.topic("dlq.t").await;
    let dead = broker.poll("dlq.t", "g").await;
    let mark = &dead["envelope"]["dlq"];
    assert_eq!((&mark["reason"], &mark["group"]), (&json!("deadline_exceeded"), &json!("")));
    assert_eq!(mark["last_error"], "deadline_exceeded");
    assert!(broker.is_idle("t", "late").await);
}

#[tokio::test]
async fn browsing_needs_no_group_and_changes_nothing() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    for n in 0..5 {
        broker.produce(json!({"topic": "t", "value": n})).await;
    }
    let page = broker.get("/v1/topics/t/messages?from=1&limit=2").await.expect(200);
    let values: Vec<_> =
        page["messages"].as_array().unwrap().iter().map(|message| message["value"].clone()).collect();
    assert_eq!((values, &page["next_from"]), (vec![json!(1), json!(2)], &json!(3)));
    let rest = broker.get("/v1/topics/t/messages?cursor=3").await.expect(200);
    assert_eq!((rest["messages"].as_array().unwrap().len(), rest.get("next_cursor")), (2, None));
    assert_eq!(broker.get("/v1/topics/t").await.expect(200)["groups"], json!([]));
}

#[tokio::test]
async fn a_topic_shows_how_far_its_groups_have_come() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    for n in 0..3 {
        broker.produce(json!({"topic": "t", "value": n})).await;
    }
    let first = broker.poll("t", "g").await;
    broker.poll("t", "g").await;
    broker.post("/v1/ack", json!({"msg": first})).await;
    let shown = broker.get("/v1/topics/t").await.expect(200);
    assert_eq!(shown["groups"][0]["group"], "g");
    assert_eq!((&shown["groups"][0]["lag"], &shown["groups"][0]["in_flight"]), (&json!(2), &json!(1)));
    let metrics = broker.text("/metrics").await;
    assert!(metrics.contains("consumer_lag{topic=\"t\",group=\"g\",partition=\"0\"} 2\n"), "{metrics}");
    assert!(metrics.contains("inflight_messages{topic=\"t\",group=\"g\",partition=\"0\"} 1\n"), "{metrics}");
    assert!(metrics.contains("driftq_idempotency_window_ms 86400000\n"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
}

#[tokio::test]
async fn topics_are_listed_sorted_and_in_pages() {
    let broker = Broker::start().await;
    for name in ["c", "a", "b"] {
        broker.topic(name).await;
    }
    assert_eq!(broker.get("/v1/topics").await.expect(200), json!({"topics": ["a", "b", "c"]}));
    let page = broker.get("/v1/topics?limit=2").await.expect(200);
    assert_eq!(page, json!({"topics": ["a", "b"], "next_cursor": "b"}));
    assert_eq!(broker.get("/v1/topics?limit=2&cursor=b").await.expect(200), json!({"topics": ["c"]}));
    assert_eq!(broker.get("/v1/topics?detail").await.expect(200)["topics"][0]["partitions"], 1);
}

#[tokio::test]
async fn a_group_may_start_at_the_end() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    broker.produce(json!({"topic": "t", "value": "old"})).await;
    assert!(broker.get("/v1/consume?topic=t&group=g&start=latest&wait_ms=1").await.expect(200).is_null());
    broker.produce(json!({"topic": "t", "value": "new"})).await;
    assert_eq!(broker.poll("t", "g").await["value"], "new");
}

#[tokio::test]
async fn a_full_partition_says_so_early() {
    let broker = Broker::with(Config { partition_max_messages: Some(2), ..Config::in_memory() }).await;
    broker.topic("t").await;
    assert!(broker.is_idle("t", "g").await);
    for n in 0..2 {
        broker.produce(json!({"topic": "t", "value": n})).await;
    }
    let full =
        broker.request(Method::POST, "/v1/produce").body(r#"{"topic":"t","value":3}"#).send().await.unwrap();
    assert_eq!(full.headers()["retry-after"], "1");
    let body = read(full).await.expect(429);
    assert_eq!(
        (&body["error"], &body["reason"]),
        (&json!("RESOURCE_EXHAUSTED"), &json!("partition_buffer_full"))
    );
    assert!(body["retry_after_ms"].as_u64().unwrap() > 0);
    let metrics = broker.text("/metrics").await;
    assert!(metrics.contains("produce_rejected_total{reason=\"partition_buffer_full\"} 1\n"), "{metrics}");
    let message = broker.poll("t", "g").await;
    broker.post("/v1/ack", json!({"msg": message})).await;
    broker.produce(json!({"topic": "t", "value": 3})).await;
}

#[tokio::test]
async fn an_unknown_topic_is_made_only_when_the_option_says_so() {
    let broker = Broker::with(Config { auto_create_topics: true, ..Config::in_memory() }).await;
    broker.produce(json!({"topic": "new", "value": 1})).await;
    assert_eq!(broker.poll("new", "g").await["value"], 1);
}

#[tokio::test]
async fn a_stream_that_closes_keeps_what_it_was_given_and_frees_the_rest() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    for n in 0..2 {
        broker.produce(json!({"topic": "t", "value": n})).await;
    }
    let path = "/v1/consume?topic=t&group=g&owner=ann&lease_ms=60000";
    let mut stream = Stream::open(broker.request(Method::GET, path)).await;
    let first = stream.item().await.unwrap();
    drop(stream);
    let second = broker.poll("t", "g").await;
    assert_eq!((&second["value"], &second["attempts"]), (&json!(1), &json!(1)));
    assert!(broker.is_idle("t", "g").await, "the first one is still ann's");
    assert_eq!(broker.post("/v1/ack", json!({"msg": first})).await.status, 204);
}

#[tokio::test]
async fn a_stream_holds_as_many_as_it_asked_for() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    for n in 0..3 {
        broker.produce(json!({"topic": "t", "value": n})).await;
    }
    let path = "/v1/consume?topic=t&group=g&owner=ann&lease_ms=60000&max_in_flight=2";
    let mut stream = Stream::open(broker.request(Method::GET, path)).await;
    let first = stream.item().await.unwrap();
    stream.item().await.unwrap();
    assert_eq!(broker.get("/v1/topics/t").await.expect(200)["groups"][0]["in_flight"], 2);
    broker.post("/v1/ack", json!({"msg": first})).await;
    assert_eq!(stream.item().await.unwrap()["value"], 2);
}
