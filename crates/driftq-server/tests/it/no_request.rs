//! Bytes that are no request: they get a whole answer too, over raw TCP.

use crate::harness::Broker;
use driftq_server::Config;
use serde_json::Value;

/// The status, the headers and the JSON body of the last answer in these bytes.
fn answer(text: &str) -> (u16, String, Value) {
    let last = &text[text.rfind("HTTP/1.1 ").unwrap()..];
    let (head, body) = last.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_lowercase(), serde_json::from_str(body).unwrap())
}

fn check(text: &str, status: u16, says: &str) {
    let (got, head, body) = answer(text);
    assert_eq!((got, &body["status"]), (status, &Value::from(status)), "{text}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
    assert!(id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(body["error"], "INVALID_ARGUMENT");
    assert!(body["message"].as_str().unwrap().contains(says), "{body}");
}

#[tokio::test]
async fn garbage_is_told_what_is_spoken_here() {
    let broker = Broker::start().await;
    for garbage in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a greeting in TLS\r\n\r\n".as_slice(),
        b"hello\r\n\r\n",
        b"GET /v1/topics HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n",
        b"GET /v1/topics SMTP/9\r\n\r\n",
    ] {
        check(&broker.raw(garbage).await, 400, "HTTP/1.1");
    }
    broker.get("/v1/livez").await.expect(200);
}

#[tokio::test]
async fn garbage_behind_a_request_is_answered_after_it() {
    let broker = Broker::start().await;
    let bytes = b"GET /v1/livez HTTP/1.1\r\nhost: localhost\r\n\r\n\x00\x01garbage\r\n\r\n";
    let text = broker.raw(bytes).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    check(&text, 400, "HTTP/1.1");
}

#[tokio::test]
async fn too_many_headers_are_refused_with_the_bound() {
    let broker = Broker::start().await;
    let mut many = "GET /v1/livez HTTP/1.1\r\nhost: localhost\r\n".to_owned();
    (0..200).for_each(|n| many.push_str(&format!("x-{n}: 1\r\n")));
    many.push_str("\r\n");
    check(&broker.raw(many.as_bytes()).await, 431, "64");
    let long = format!("GET /v1/livez HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    check(&broker.raw(long.as_bytes()).await, 431, "32 KiB");
    broker.get("/v1/livez").await.expect(200);
}

#[tokio::test]
async fn half_a_request_is_told_that_its_time_is_over() {
    let broker = Broker::with(Config { head_time_ms: 100, ..Config::in_memory() }).await;
    check(&broker.raw(b"GET /v1/topics HTTP/1.1\r\nhost: loc").await, 408, "in time");
    // Whoever says nothing, or nothing more, is not told anything.
    assert_eq!(broker.raw(b"").await, "");
    let text = broker.raw(b"GET /v1/livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200") && text.matches("HTTP/1.1").count() == 1, "{text}");
}
