//! Bad input: a 4xx that names the cause, and the server goes on.

use crate::harness::{Broker, read};
use driftq_server::Config;
use reqwest::Method;
use serde_json::{Value, json};

/// Method, path, body, status, and what the message must name.
type Case = (&'static str, &'static str, &'static str, u16, &'static str);

const CASES: &[Case] = &[
    ("GET", "/healthz", "", 404, "use /v1/* endpoints"),
    ("GET", "/", "", 404, "use /v1/* endpoints"),
    ("GET", "/v2/topics", "", 404, "use /v1/* endpoints"),
    ("GET", "/v1/nope", "", 404, "/v1/nope"),
    ("GET", "/v1/topics/", "", 404, "/v1/topics/"),
    ("DELETE", "/v1/produce", "", 405, "DELETE"),
    ("GET", "/v1/ack", "", 405, "GET"),
    ("PATCH", "/v1/runs", "", 405, "PATCH"),
    ("POST", "/v1/topics", "", 400, "name is required"),
    ("POST", "/v1/topics", "{", 400, "not valid JSON"),
    ("POST", "/v1/topics", "[]", 400, "JSON object"),
    ("POST", "/v1/topics", "\u{1}", 400, "not valid JSON"),
    ("POST", "/v1/topics", r#"{"name":"a"} x"#, 400, "not valid JSON"),
    ("POST", "/v1/topics", r#"{"name":"a","colour":"red"}"#, 400, "\"colour\""),
    ("POST", "/v1/topics", r#"{"name":7}"#, 400, "\"name\""),
    ("POST", "/v1/topics", r#"{"name":"a/b"}"#, 400, "topic must not contain '/'"),
    ("POST", "/v1/topics", r#"{"name":"a\u0007"}"#, 400, "topic must not contain"),
    ("POST", "/v1/topics", r#"{"name":"a","partitions":257}"#, 400, "at most 256"),
    ("POST", "/v1/topics", r#"{"name":"a","partitions":-1}"#, 400, "\"partitions\""),
    ("POST", "/v1/topics?name=a&partitions=x", "", 400, "\"partitions\""),
    ("POST", "/v1/topics", r#"{"name":"here","partitions":2}"#, 400, "has 1 partitions, not 2"),
    ("POST", "/v1/produce", "{}", 400, "topic and value are required"),
    ("POST", "/v1/produce", r#"{"topic":"here"}"#, 400, "topic and value are required"),
    ("POST", "/v1/produce", r#"{"topic":"here","value":null}"#, 400, "topic and value are required"),
    ("POST", "/v1/produce", r#"{"topic":"here","value":""}"#, 400, "topic and value are required"),
    ("POST", "/v1/produce?topic=here&value=", "", 400, "topic and value are required"),
    ("POST", "/v1/produce", r#"{"topic":" ","value":1}"#, 400, "topic and value are required"),
    ("POST", "/v1/produce", r#"{"topic":"gone","value":1}"#, 400, "POST /v1/topics"),
    ("POST", "/v1/produce", r#"{"topic":"here","value":1,"envelope":{"nope":1}}"#, 400, "\"nope\""),
    (
        "POST",
        "/v1/produce",
        r#"{"topic":"here","value":1,"envelope":{"retry_policy":{"backoff_ms":-5}}}"#,
        400,
        "envelope.retry_policy.backoff_ms",
    ),
    (
        "POST",
        "/v1/produce",
        r#"{"topic":"here","value":1,"envelope":{"deadline":"tomorrow"}}"#,
        400,
        "tomorrow",
    ),
    (
        "POST",
        "/v1/produce",
        r#"{"topic":"here","value":1,"envelope":{"deadline":"2001-01-01T00:00:00Z"}}"#,
        400,
        "past",
    ),
    ("POST", "/v1/produce", r#"{"topic":"here","value":1,"envelope":{"target_topic":"gone"}}"#, 400, "gone"),
    (
        "POST",
        "/v1/produce",
        r#"{"topic":"here","value":1,"envelope":{"partition_override":3}}"#,
        400,
        "out of range",
    ),
    (
        "POST",
        "/v1/produce",
        r#"{"topic":"here","value":1,"delay_ms":1,"deliver_at_ms":2}"#,
        400,
        "exclude each other",
    ),
    ("POST", "/v1/produce?topic=here&value=x&retry_backoff_ms=5", "", 400, "retry_backoff_ms"),
    ("POST", "/v1/produce?topic=here&value=x&retry_max_attempts=-1", "", 400, "retry_max_attempts"),
    ("POST", "/v1/produce?topic=here&value=x&deadline=soon", "", 400, "soon"),
    ("POST", "/v1/produce/batch", r#"{"messages":[]}"#, 400, "empty"),
    (
        "POST",
        "/v1/produce/batch",
        r#"{"messages":[{"topic":"here","value":1},{"topic":"here"}]}"#,
        400,
        "messages[1]",
    ),
    ("GET", "/v1/consume", "", 400, "topic is required"),
    ("GET", "/v1/consume?topic=here", "", 400, "group is required"),
    ("GET", "/v1/consume?topic=gone&group=g&owner=o", "", 400, "gone"),
    ("GET", "/v1/consume?topic=here&group=g&mode=stream", "", 400, "owner is required"),
    ("GET", "/v1/consume?topic=here&group=g&owner=o&lease_ms=-1", "", 400, "lease_ms"),
    ("GET", "/v1/consume?topic=here&group=g&owner=o&lease_ms=43200001", "", 400, "lease_ms"),
    ("GET", "/v1/consume?topic=here&group=g&owner=o&max_in_flight=0", "", 400, "max_in_flight"),
    ("GET", "/v1/consume?topic=here&group=g&owner=o&max_in_flight=1000001", "", 400, "max_in_flight"),
    ("GET", "/v1/consume?topic=here&group=g&max=1001", "", 400, "max must be at most 1000"),
    ("GET", "/v1/consume?topic=here&group=g&mode=push", "", 400, "mode"),
    (
        "POST",
        "/v1/ack",
        r#"{"topic":"here","group":"g","owner":"o","offset":0}"#,
        400,
        "partition is required",
    ),
    (
        "POST",
        "/v1/ack",
        r#"{"topic":"here","group":"g","owner":"o","partition":0}"#,
        400,
        "offset is required",
    ),
    ("POST", "/v1/ack", r#"{"topic":"here","group":"g","partition":0,"offset":0}"#, 400, "owner is required"),
    ("POST", "/v1/ack", r#"{"topic":"gone","group":"g","owner":"o","partition":0,"offset":0}"#, 400, "gone"),
    (
        "POST",
        "/v1/ack",
        r#"{"topic":"here","group":"none","owner":"o","partition":0,"offset":0}"#,
        400,
        "none",
    ),
    (
        "POST",
        "/v1/nack",
        r#"{"topic":"here","group":"g","owner":"o","partition":0,"offset":0,"error":{"message":"m","code":1}}"#,
        400,
        "\"code\"",
    ),
    (
        "POST",
        "/v1/extend",
        r#"{"topic":"here","group":"g","owner":"o","partition":0,"offset":0,"lease_ms":99999999999}"#,
        400,
        "lease_ms",
    ),
    ("GET", "/v1/topics/gone", "", 404, "gone"),
    ("GET", "/v1/topics/here/messages?partition=4", "", 400, "out of range"),
    ("GET", "/v1/topics/here/messages?limit=0", "", 400, "limit"),
    ("POST", "/v1/runs", "{}", 400, "workflow is required"),
    ("POST", "/v1/runs", r#"{"workflow":"w","run_id":"a b"}"#, 400, "run_id"),
    ("POST", "/v1/runs", r#"{"workflow":"w","inputs":{}}"#, 400, "\"inputs\""),
    ("GET", "/v1/runs/none", "", 404, "none"),
    ("GET", "/v1/runs/none/events", "", 404, "none"),
    ("GET", "/v1/runs/none/dlq", "", 404, "none"),
    ("GET", "/v1/runs/none/steps", "", 404, "none"),
    ("POST", "/v1/runs/none/cancel", "", 404, "none"),
    ("POST", "/v1/runs/none/replay", "", 404, "none"),
    ("POST", "/v1/runs/none/replay", r#"{"patch":{"a":1}}"#, 404, "none"),
    ("POST", "/v1/runs/none/events", r#"{"events":[{"type":"a"}]}"#, 404, "none"),
    ("GET", "/v1/runs?status=asleep", "", 400, "status"),
    ("GET", "/v1/dlq?reason=boredom", "", 400, "boredom"),
    ("GET", "/v1/dlq?cursor=x", "", 400, "cursor"),
    ("GET", "/v1/dlq/here/0/0", "", 404, "no dead letter"),
    ("GET", "/v1/dlq/here/x/0", "", 400, "partition"),
    ("POST", "/v1/dlq/dlq.here/0/0/redrive", "", 404, "no dead letter"),
    ("POST", "/v1/dlq/dlq.here/0/0/discard", "", 404, "no dead letter"),
];

#[tokio::test]
async fn p03_every_bad_request_is_refused_with_its_cause_and_changes_nothing() {
    let broker = Broker::start().await;
    broker.topic("here").await;
    let before = everything(&broker).await;
    for (method, path, body, status, names) in CASES {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let response = broker.request(method.clone(), path).body(*body).send().await.unwrap();
        let case = format!("{method} {path} {body}");
        assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8", "{case}");
        assert_eq!(response.headers()["x-request-id"].len(), 24, "{case}");
        assert_eq!(response.headers().contains_key("allow"), *status == 405, "{case}");
        let reply = read(response).await;
        assert_eq!(reply.status, *status, "{case}: {}", reply.body);
        let message = reply.body["message"].as_str().unwrap();
        assert!(message.contains(names), "{case}: {message}");
        for member in ["error", "type", "title", "status", "detail", "retryable"] {
            assert!(reply.body.get(member).is_some(), "{case} lacks {member}");
        }
    }
    assert_eq!(everything(&broker).await, before);
    broker.produce(json!({"topic": "here", "value": "still well"})).await;
}

/// All that a broker holds, as it tells it.
async fn everything(broker: &Broker) -> Vec<Value> {
    let mut all = Vec::new();
    for path in ["/v1/topics?detail=1", "/v1/groups", "/v1/runs", "/v1/dlq", "/v1/dlq/jobs"] {
        all.push(broker.get(path).await.expect(200).clone());
    }
    all
}

#[tokio::test]
async fn p19_garbage_bytes_are_refused_and_the_server_goes_on() {
    let broker = Broker::start().await;
    let bomb = |count: usize, size: usize| {
        let headers = (0..count).map(|n| format!("x-{n}: {}\r\n", "a".repeat(size)));
        format!("GET /v1/healthz HTTP/1.1\r\nHost: localhost\r\n{}\r\n", headers.collect::<String>())
    };
    let host = "Host: localhost\r\n";
    let cases = [
        ("\u{0}\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), "400"),
        ("GET /v1/healthz HTTP/9.9\r\n\r\n".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\r\n\r\n".to_owned(), "400"),
        (bomb(200, 10), "431"),
        (bomb(10, 20_000), "431"),
        (
            format!("GET /v1/topics?x={} HTTP/1.1\r\n{host}Connection: close\r\n\r\n", "a".repeat(9_000)),
            "400",
        ),
        ("GET /v1/healthz HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), "400"),
        (format!("GET /v1/healthz HTTP/1.1\r\n{host}{host}Connection: close\r\n\r\n"), "400"),
        (format!("POST /v1/topics HTTP/1.1\r\n{host}Content-Length: x\r\n\r\n"), "400"),
        (
            format!("POST /v1/topics HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde"),
            "400",
        ),
        (format!("POST /v1/topics HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "400"),
        (format!("GET /v1/topics/%ff HTTP/1.1\r\n{host}Connection: close\r\n\r\n"), "400"),
    ];
    for (bytes, status) in cases {
        let answer = broker.raw(bytes.as_bytes()).await;
        let shown: String = bytes.chars().take(80).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown:?}: {answer:?}");
    }
    broker.get("/v1/healthz").await.expect(200);
}

#[tokio::test]
async fn a_body_too_large_is_refused_by_its_length_alone() {
    let broker = Broker::start().await;
    let head = "POST /v1/produce HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\n\r\n";
    let answer = broker.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("PAYLOAD_TOO_LARGE") && answer.contains("8388608"), "{answer}");
    // A client that sends it all the same still gets to read the answer.
    let sent = broker.request(Method::POST, "/v1/produce").body(vec![b'x'; 100 << 20]).send().await.unwrap();
    assert_eq!(sent.status().as_u16(), 413);
    broker.get("/v1/healthz").await.expect(200);
}

#[tokio::test]
async fn sizes_have_bounds() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    let text = "x".repeat(1 << 20);
    let large = broker.post("/v1/produce", json!({"topic": "t", "value": text})).await.expect(413);
    assert!(large["message"].as_str().unwrap().contains("1048576"), "{large}");
    let half = "x".repeat(600_000);
    let pair = json!({"messages": [{"topic": "t", "value": half}, {"topic": "t", "value": half}]});
    broker.post("/v1/produce/batch", pair).await.expect(413);
    let many: Vec<_> = (0..1_001).map(|n| json!({"topic": "t", "value": n})).collect();
    broker.post("/v1/produce/batch", json!({"messages": many})).await.expect(413);
    let deep = format!(r#"{{"topic":"t","value":{}{}}}"#, "[".repeat(65), "]".repeat(65));
    let deep = broker.post_text("/v1/produce", &deep).await.expect(400);
    assert!(deep["message"].as_str().unwrap().contains("64"), "{deep}");
    let abyss = format!(r#"{{"topic":"t","value":{}"#, "[".repeat(1_000_000));
    broker.post_text("/v1/produce", &abyss).await.expect(400);
    let long = "n".repeat(201);
    broker.post("/v1/topics", json!({"name": long})).await.expect(400);
    broker.post("/v1/topics", json!({"name": format!("dlq.{}", &long[1..])})).await.expect(201);
    broker
        .post("/v1/produce", json!({"topic": "t", "value": 1, "idempotency_key": "k".repeat(257)}))
        .await
        .expect(400);
    assert_eq!(broker.get("/v1/topics/t").await.expect(200)["partitions"][0]["messages"], 0);
}

#[tokio::test]
async fn a_chunked_body_is_bounded_too() {
    let broker = Broker::with(Config { max_request_bytes: 100_000, ..Config::in_memory() }).await;
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let head = "POST /v1/produce HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = broker.raw(format!("{head}{}", chunk.repeat(5)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn bodies_draw_on_one_budget() {
    let broker = Broker::with(Config { body_budget_bytes: 4_096, ..Config::in_memory() }).await;
    let response = broker.request(Method::POST, "/v1/produce").body("x".repeat(8_000)).send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1");
    let body = read(response).await.expect(429);
    assert_eq!((&body["reason"], &body["retryable"]), (&json!("overloaded"), &json!(true)));
    broker.topic("t").await;
}

#[tokio::test]
async fn an_encoded_body_is_not_read() {
    let broker = Broker::start().await;
    let request = broker.request(Method::POST, "/v1/topics").header("content-encoding", "gzip").body("x");
    assert_eq!(read(request.send().await.unwrap()).await.expect(415)["error"], "UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn any_or_no_content_type_will_do() {
    let broker = Broker::start().await;
    for (name, content_type) in [("a", "text/plain"), ("b", "application/x-www-form-urlencoded"), ("c", "")] {
        let request = broker.request(Method::POST, "/v1/topics").body(json!({"name": name}).to_string());
        let request =
            if content_type.is_empty() { request } else { request.header("content-type", content_type) };
        read(request.send().await.unwrap()).await.expect(201);
    }
}

#[tokio::test]
async fn an_error_is_problem_json_for_those_who_ask() {
    let broker = Broker::start().await;
    let asked = |accept| broker.request(Method::GET, "/v1/nope").header("accept", accept).send();
    let plain = asked("application/json").await.unwrap();
    assert_eq!(plain.headers()["content-type"], "application/json; charset=utf-8");
    let problem = asked("application/problem+json").await.unwrap();
    assert_eq!(problem.headers()["content-type"], "application/problem+json");
    assert_eq!(read(problem).await.expect(404)["status"], 404);
}

#[tokio::test]
async fn a_request_id_is_echoed() {
    let broker = Broker::start().await;
    let with = |id| broker.request(Method::GET, "/v1/healthz").header("x-request-id", id).send();
    assert_eq!(with("abc-123").await.unwrap().headers()["x-request-id"], "abc-123");
    assert_eq!(with("not to be repeated").await.unwrap().headers()["x-request-id"].len(), 24);
    assert_eq!(with(&"x".repeat(200)).await.unwrap().headers()["x-request-id"].len(), 24);
}

#[tokio::test]
async fn a_head_request_leases_nothing() {
    let broker = Broker::start().await;
    broker.topic("t").await;
    broker.produce(json!({"topic": "t", "value": 1})).await;
    let head = broker.request(Method::HEAD, "/v1/consume?topic=t&group=g").send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["allow"]), (405, &"GET".parse().unwrap()));
    assert_eq!(broker.poll("t", "g").await["attempts"], 1);
}

#[tokio::test]
async fn unknown_query_parameters_are_ignored_and_the_first_of_two_counts() {
    let broker = Broker::start().await;
    broker.post("/v1/topics?name=a&name=b&colour=red&partitions=", json!(null)).await.expect(400);
    broker.post_text("/v1/topics?name=a&name=b&colour=red&partitions=", "").await.expect(201);
    assert_eq!(broker.get("/v1/topics?x=1").await.expect(200), json!({"topics": ["a"]}));
}
