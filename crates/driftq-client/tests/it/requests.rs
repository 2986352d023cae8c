//! Requests: what is sent again, with what, and what an error says.

use std::time::{Duration, Instant};

use driftq_client::{
    Client, ClientError, DeadLetterId,
    api::{
        AckRequest, BatchRequest, ConsumeRequest, ErrorCode, NackRequest, ProduceRequest, ReadyState,
        RedriveRequest, ReplayRequest, StartRunRequest,
    },
    json,
};
use expect_test::expect;

use crate::server::{Answer, SOON, Server};

const PRODUCED: &str =
    r#"{"status":"produced","topic":"t","partition":0,"offset":7,"message_id":"m","duplicate":false}"#;

fn hello() -> ProduceRequest {
    ProduceRequest {
        topic: Some("t".into()),
        value: Some(json("hello").expect("it is JSON")),
        ..ProduceRequest::default()
    }
}

/// A server that fails with `code` so many times, then answers `body`.
async fn failing(times: usize, code: ErrorCode, body: &'static str) -> Server {
    Server::start(
        move |number, _| {
            if number < times { Answer::error(code, None) } else { Answer::json(200, body) }
        },
    )
    .await
}

#[tokio::test]
async fn a_produce_is_repeated_with_one_key_until_it_is_stored() {
    let server = failing(3, ErrorCode::Unavailable, PRODUCED).await;
    let produced = server.client().produce(hello()).await.expect("the fourth try is answered");
    assert_eq!((produced.offset, produced.duplicate), (7, false));

    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    let key = seen[0].json()["idempotency_key"].as_str().map(str::to_owned).expect("it got a key");
    assert!(seen.iter().all(|request| request.json()["idempotency_key"] == key.as_str()));
    assert!(seen.iter().all(|request| request.method == "POST" && request.target == "/v1/produce"));
}

#[tokio::test]
async fn a_key_of_the_callers_own_is_left_alone_and_each_message_of_a_batch_gets_one() {
    let server = Server::start(|_, request| match request.target.as_str() {
        "/v1/produce/batch" => Answer::json(200, r#"{"results":[]}"#),
        _ => Answer::json(200, PRODUCED),
    })
    .await;
    let client = server.client();
    let envelope =
        serde_json::from_str(r#"{"idempotency_key":"mine"}"#).expect("it is the shape of an envelope");
    client.produce(ProduceRequest { envelope: Some(envelope), ..hello() }).await.expect("it is answered");
    client.produce_batch(BatchRequest { messages: vec![hello(), hello()] }).await.expect("it is answered");

    let seen = server.seen();
    assert_eq!(seen[0].body, r#"{"topic":"t","value":"hello","envelope":{"idempotency_key":"mine"}}"#);
    let batch = seen[1].json();
    let keys: Vec<_> =
        (0..2).map(|index| batch["messages"][index]["idempotency_key"].as_str().expect("a key")).collect();
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn what_cannot_succeed_is_sent_once() {
    for code in ErrorCode::ALL.iter().filter(|code| !code.retryable()) {
        let server = failing(usize::MAX, *code, "").await;
        let error = server.client().produce(hello()).await.expect_err("it is refused");
        assert_eq!(server.seen().len(), 1, "{}", code.as_str());
        assert_eq!((error.code(), error.retryable()), (Some(*code), false));
    }
}

#[tokio::test]
async fn the_tries_have_an_end() {
    let server = failing(usize::MAX, ErrorCode::ResourceExhausted, "").await;
    let error = server.client().produce(hello()).await.expect_err("it is refused for ever");
    assert_eq!(server.seen().len(), SOON.tries as usize);
    assert_eq!(error.code(), Some(ErrorCode::ResourceExhausted));
    assert!(error.retryable());
}

#[tokio::test]
async fn the_server_is_left_alone_for_as_long_as_it_asked() {
    let server = Server::start(|number, _| match number {
        0 => Answer::error(ErrorCode::ResourceExhausted, Some(60)),
        _ => Answer::json(200, PRODUCED),
    })
    .await;
    let began = Instant::now();
    server.client().produce(hello()).await.expect("the second try is answered");
    assert!(began.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn after_a_broken_connection_only_what_is_harmless_is_repeated() {
    let server = Server::start(|number, request| match (number, request.target.as_str()) {
        (0, _) | (_, "/v1/runs/r/replay") => Answer::Nothing,
        _ => Answer::json(200, PRODUCED),
    })
    .await;
    let client = server.client();
    client.produce(hello()).await.expect("the second try is answered");
    let seen = server.seen();
    assert_eq!((seen.len(), &seen[0].body), (2, &seen[1].body));

    let error = client.replay_run("r", &ReplayRequest::default()).await.expect_err("it broke");
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
    assert_eq!(server.seen().len(), 3, "a replay is not repeated in the dark");
}

#[tokio::test]
async fn a_replay_is_repeated_when_it_was_surely_refused() {
    let server =
        failing(1, ErrorCode::ResourceExhausted, r#"{"run_id":"r","replay_seq":1,"status":"queued"}"#).await;
    let replay = server.client().replay_run("r", &ReplayRequest::default()).await.expect("it is answered");
    assert_eq!((replay.replay_seq, server.seen().len()), (1, 2));

    let server = failing(1, ErrorCode::Unavailable, "{}").await;
    server.client().replay_run("r", &ReplayRequest::default()).await.expect_err("a 503 may have done it");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_nack_is_repeated_in_the_dark_only_with_its_lease() {
    let server = Server::start(|number, _| match number {
        0 | 2 => Answer::error(ErrorCode::Unavailable, None),
        _ => Answer::Whole(204, "text/plain", String::new()),
    })
    .await;
    let client = server.client();
    let leased = NackRequest { lease_id: Some("l".into()), ..NackRequest::default() };
    client.nack(&leased).await.expect("the second try is answered");
    client.nack(&NackRequest::default()).await.expect_err("nobody knows what became of it");
    assert_eq!(server.seen().len(), 3);
    client.ack(&AckRequest { offset: Some(1), ..AckRequest::default() }).await.expect("it is answered");
    assert_eq!(server.seen()[3].body, r#"{"offset":1}"#);
}

#[tokio::test]
async fn starting_and_redriving_carry_a_key() {
    let started =
        r#"{"run_id":"r","status":"queued","replay_seq":0,"events_topic":"runs.events.r","created_at_ms":1}"#;
    let server = Server::start(move |number, request| match (number, request.target.as_str()) {
        (0 | 2, _) => Answer::error(ErrorCode::Unavailable, None),
        (_, "/v1/runs") => Answer::json(201, started),
        _ => Answer::json(200, r#"{"status":"replayed","run_id":"r","replay_seq":1}"#),
    })
    .await;
    let client = server.client();
    let request = StartRunRequest { workflow: Some("demo".into()), ..StartRunRequest::default() };
    client.start_run(request).await.expect("the second try is answered");
    let id = DeadLetterId { topic: "dlq.runs.commands".into(), partition: 0, offset: 3 };
    client.redrive(&id, &RedriveRequest::default()).await.expect("the second try is answered");

    let seen = server.seen();
    assert_eq!(seen[0].body, seen[1].body);
    assert!(seen[0].json()["idempotency_key"].is_string());
    assert_eq!(seen[2].target, "/v1/dlq/dlq.runs.commands/0/3/redrive");
    assert!(!seen[2].header("idempotency-key").is_empty());
    assert_eq!(seen[2].header("idempotency-key"), seen[3].header("idempotency-key"));
}

#[tokio::test]
async fn every_request_carries_the_token() {
    let server = Server::start(|_, _| Answer::json(200, r#"{"status":"ok"}"#)).await;
    let client = server.builder().token("s3cret").build().expect("it is a token");
    client.health().await.expect("it is answered");
    assert_eq!(server.seen()[0].header("authorization"), "Bearer s3cret");
    assert!(!format!("{client:?}").contains("s3cret"), "a token is never shown");
    let error = server.builder().token("two\nlines").build().expect_err("no header can carry it");
    expect!["the token has characters that no header can carry"].assert_eq(&error.to_string());
}

#[tokio::test]
async fn nobody_there_is_said_with_the_way_out() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let client = Client::builder().url(format!("{url}/v1")).request_retry(SOON).build().expect("an address");
    let error = client.health().await.expect_err("nobody listens there");
    assert_eq!(error.to_string(), format!("nothing answers at {url}; start it with `driftqd`"));
    assert!(error.retryable());
}

#[tokio::test]
async fn an_answer_that_is_not_ours_is_quoted() {
    let server = Server::start(|number, _| match number {
        0 => Answer::Whole(404, "text/html", "<h1>Not here</h1>".into()),
        _ => Answer::Whole(200, "text/html", "<h1>Hello</h1>".into()),
    })
    .await;
    let client = server.client();
    let error = client.health().await.expect_err("it is a refusal");
    let refusal = error.refusal().expect("it is one");
    assert_eq!((refusal.code, refusal.status, refusal.retryable), (None, 404, false));
    let expected = format!("{}/v1/healthz answered 404: <h1>Not here</h1>", server.url);
    assert_eq!(error.message(), expected);
    let error = client.health().await.expect_err("it is not JSON");
    assert!(matches!(error, ClientError::Unreadable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_proxys_refusal_is_retried_like_ours() {
    let server = Server::start(|number, _| match number {
        0 => Answer::Whole(502, "text/html", "<h1>Bad gateway</h1>".into()),
        _ => Answer::json(200, r#"{"status":"ok"}"#),
    })
    .await;
    assert_eq!(server.client().health().await.expect("the second try is answered").status, "ok");
}

#[tokio::test]
async fn not_being_ready_is_an_answer() {
    let server = Server::start(|_, _| Answer::json(503, r#"{"status":"draining"}"#)).await;
    let readiness = server.client().readiness().await.expect("it is an answer");
    assert_eq!((readiness.status, server.seen().len()), (ReadyState::Draining, 1));
}

#[tokio::test]
async fn a_poll_asks_for_an_array() {
    let server = Server::start(|_, _| Answer::json(200, "[]")).await;
    let request = ConsumeRequest {
        topic: Some("a b".into()),
        group: Some("g".into()),
        wait_ms: Some(0),
        ..ConsumeRequest::default()
    };
    assert!(server.client().poll(request).await.expect("it is answered").is_empty());
    assert_eq!(server.seen()[0].target, "/v1/consume?topic=a+b&group=g&mode=poll&max=1&wait_ms=0");
}
