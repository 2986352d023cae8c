//! A run's timeline: written by workers, read as pages, as a stream, and as a topic.

use crate::harness::{Broker, Stream, read};
use reqwest::Method;
use serde_json::{Value, json};

async fn run(broker: &Broker) -> String {
    let policy = json!({"max_attempts": 1});
    broker
        .post("/v1/runs", json!({"workflow": "w", "run_id": "r", "retry_policy": policy}))
        .await
        .expect(201);
    "/v1/runs/r/events".to_owned()
}

async fn follow(broker: &Broker, path: &str, last: Option<&str>) -> Stream {
    let request = broker.request(Method::GET, path).header("accept", "text/event-stream");
    Stream::open(match last {
        Some(last) => request.header("last-event-id", last),
        None => request,
    })
    .await
}

async fn end(broker: &Broker) {
    let held = broker.poll("runs.commands", "workers").await;
    assert_eq!(
        broker.post("/v1/ack", json!({"msg": held, "result": {"text": "line\nline"}})).await.status,
        204
    );
}

#[tokio::test]
async fn p11_a_stream_resumes_right_behind_the_event_it_names() {
    let broker = Broker::start().await;
    let events = run(&broker).await;
    let mut stream = follow(&broker, &events, None).await;
    assert_eq!(stream.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(stream.header("cache-control"), "no-cache, no-transform");
    assert_eq!(stream.header("x-accel-buffering"), "no");
    assert_eq!(stream.next("\n\n").await.unwrap(), "retry: 2000");
    let (id, created) = stream.event().await.unwrap();
    assert_eq!((id, &created["type"], &created["workflow"]), (1, &json!("run.created"), &json!("w")));
    let fields: Vec<_> = created.as_object().unwrap().keys().take(6).cloned().collect();
    assert_eq!(fields, ["seq", "ts", "type", "run_id", "replay_seq", "attempt"]);
    drop(stream);
    end(&broker).await;
    for (path, last) in
        [(events.clone(), Some("1")), (format!("{events}?last_event_id=1&client_id=tab"), None)]
    {
        let mut stream = follow(&broker, &path, last).await;
        assert_eq!(stream.event().await.unwrap().1["type"], "worker.received");
        let (id, succeeded) = stream.event().await.unwrap();
        assert_eq!((id, &succeeded["type"]), (3, &json!("run.succeeded")));
        assert_eq!(succeeded["result"], json!({"text": "line\nline"}));
    }
}

#[tokio::test]
async fn a_stream_until_the_end_closes_there_and_then_says_204() {
    let broker = Broker::start().await;
    let events = run(&broker).await;
    let until = format!("{events}?until=terminal");
    let mut stream = follow(&broker, &until, None).await;
    stream.event().await.unwrap();
    end(&broker).await;
    assert_eq!(stream.event().await.unwrap().0, 2);
    assert_eq!(stream.event().await.unwrap().0, 3);
    assert_eq!(stream.event().await, None);
    let again = broker
        .request(Method::GET, &until)
        .header("accept", "text/event-stream")
        .header("last-event-id", "3");
    assert_eq!(again.send().await.unwrap().status().as_u16(), 204);

    let mut open = follow(&broker, &events, Some("3")).await;
    broker.post("/v1/runs/r/replay", json!({"actor": "ann"})).await.expect(200);
    let (id, asked) = open.event().await.unwrap();
    assert_eq!((id, &asked["type"]), (4, &json!("run.replay_requested")));
    assert_eq!(
        (&asked["actor"], &asked["changed"], &asked["replay_seq"]),
        (&json!("ann"), &json!([]), &json!(1))
    );
}

#[tokio::test]
async fn a_reader_ahead_of_the_timeline_is_told_to_begin_again() {
    let broker = Broker::start().await;
    let events = run(&broker).await;
    let mut stream = follow(&broker, &events, Some("99")).await;
    let (id, reset) = stream.event().await.unwrap();
    assert_eq!((id, reset), (0, json!({"type": "timeline.reset", "reason": "ahead", "first_seq": 1})));
    assert_eq!(stream.event().await.unwrap().0, 1);
    let bad = broker
        .request(Method::GET, &events)
        .header("accept", "text/event-stream")
        .header("last-event-id", "x");
    read(bad.send().await.unwrap()).await.expect(400);
}

#[tokio::test]
async fn a_page_says_where_the_next_one_begins() {
    let broker = Broker::start().await;
    let events = run(&broker).await;
    let written: Vec<_> = (0..5).map(|n| json!({"type": "note", "n": n})).collect();
    let answer = broker.post(&events, json!({"events": written})).await.expect(200);
    assert_eq!(answer, json!({"first_seq": 2, "last_seq": 6}));
    let page = broker.get(&format!("{events}?after=1&limit=2")).await.expect(200);
    assert_eq!((&page["events"][1]["n"], &page["next_cursor"]), (&json!(1), &json!("3")));
    let rest = broker.get(&format!("{events}?cursor=3")).await.expect(200);
    assert_eq!((rest["events"].as_array().unwrap().len(), rest.get("next_cursor")), (3, None));
    assert_eq!(broker.get(&format!("{events}?after=77")).await.expect(200)["events"], json!([]));
}

#[tokio::test]
async fn a_worker_writes_its_own_events_only() {
    let broker = Broker::start().await;
    let events = run(&broker).await;
    let held = broker.poll("runs.commands", "workers").await;
    let post = |event: Value| broker.post(&events, json!({"events": [event], "lease_id": held["lease_id"]}));
    for kind in [
        "run.started",
        "run.log",
        "run.progress",
        "step.started",
        "step.failed",
        "step.output",
        "my.own",
        "runner",
    ] {
        post(json!({"type": kind})).await.expect(200);
    }
    for (event, names) in [
        (json!({"type": "run.succeeded"}), "run.succeeded"),
        (json!({"type": "run.anything"}), "run.anything"),
        (json!({"type": "worker.received"}), "worker.received"),
        (json!({"type": "step.completed"}), "step.completed"),
        (json!({"type": "a", "seq": 1}), "\"seq\""),
        (json!({"type": "a", "attempt": 1}), "\"attempt\""),
        (json!({"type": "a", "ts": "now"}), "ts"),
        (json!({"type": ""}), "type"),
        (json!({"n": 1}), "type"),
        (json!({"type": 5}), "type"),
        (json!(7), "type"),
    ] {
        let refused = post(event.clone()).await.expect(400);
        assert!(refused["message"].as_str().unwrap().contains(names), "{event}: {refused}");
    }
    broker.post(&events, json!({"events": []})).await.expect(400);
    for lease in ["lease_1_999", "mine"] {
        let stale = json!({"events": [{"type": "a"}], "lease_id": lease});
        assert_eq!(broker.post(&events, stale).await.expect(409)["message"], "not owner");
    }
    let kept = broker
        .post_text(&events, r#"{"events":[{"type":"t","ts":12345,"a":1.50,"b":{"x":[ ]}}]}"#)
        .await
        .expect(200);
    let seq = kept["first_seq"].as_u64().unwrap();
    let text = broker.text(&format!("{events}?after={}", seq - 1)).await;
    let expected = format!(
        r#"{{"seq":{seq},"ts":12345,"type":"t","run_id":"r","replay_seq":0,"attempt":1,"a":1.50,"b":{{"x":[]}}}}"#
    );
    assert!(text.contains(&expected), "{text}");
}

#[tokio::test]
async fn a_plain_produce_to_a_timeline_is_shown_but_changes_nothing() {
    let broker = Broker::start().await;
    let events = run(&broker).await;
    let produce = |value: Value| broker.produce(json!({"topic": "runs.events.r", "value": value}));
    assert_eq!(
        produce(json!({"type": "run.succeeded", "seq": 99, "run_id": "x", "ts": 1, "note": 2})).await["offset"],
        1
    );
    produce(json!([1, 2])).await;
    produce(json!({"type": 5})).await;
    produce(json!("text")).await;
    let page = broker.get(&format!("{events}?after=1")).await.expect(200);
    let event = &page["events"][0];
    assert_eq!(
        (&event["type"], &event["seq"], &event["run_id"]),
        (&json!("run.succeeded"), &json!(2), &json!("r"))
    );
    assert_eq!((&event["note"], &event["source"]), (&json!(2), &json!("produce")));
    assert!(event["ts"].as_u64().unwrap() > 1);
    for (index, value) in [(1, json!([1, 2])), (2, json!({"type": 5})), (3, json!("text"))] {
        assert_eq!(
            (&page["events"][index]["type"], &page["events"][index]["value"]),
            (&json!("message"), &value)
        );
    }
    assert_eq!(broker.get("/v1/runs/r").await.expect(200)["status"], "queued");
    let items = broker.get("/v1/consume?topic=runs.events.r&group=tab&max=10").await.expect(200);
    assert_eq!((&items[0]["value"]["type"], &items[0]["value"]["seq"]), (&json!("run.created"), &json!(1)));
    assert_eq!(
        items[1]["value"],
        json!({"type": "run.succeeded", "seq": 99, "run_id": "x", "ts": 1, "note": 2})
    );
    assert_eq!(items[4]["value"], "text");
    let metrics = broker.text("/metrics").await;
    assert!(
        metrics.contains(r#"inflight_messages{topic="runs.events.*",group="*",partition="0"} 5"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_end_of_a_lease_is_told() {
    let broker = Broker::start().await;
    broker.post("/v1/runs", json!({"workflow": "w", "run_id": "r"})).await.expect(201);
    let mut stream = follow(&broker, "/v1/runs/r/events", Some("1")).await;
    broker.get("/v1/consume?topic=runs.commands&group=workers&lease_ms=100").await.expect(200);
    assert_eq!(stream.event().await.unwrap().1["type"], "worker.received");
    let failed = stream.event().await.unwrap().1;
    assert_eq!((&failed["type"], &failed["reason"]), (&json!("run.attempt_failed"), &json!("lease_expired")));
    let scheduled = stream.event().await.unwrap().1;
    assert_eq!(
        (&scheduled["type"], &scheduled["delay_ms"], &scheduled["next_attempt"]),
        (&json!("run.retry_scheduled"), &json!(0), &json!(2))
    );
}
