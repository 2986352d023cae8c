//! What operators ask for: each call is the one request it says, and what could be done twice is sent once.

use std::time::Duration;

use driftq_client::{
    Client, ClientError, DeadLetterId,
    api::{
        DeadLetterDiffQuery, ErrorCode, ExplainQuery, FingerprintQuery, GroupListQuery, PatchTopicRequest,
        RedriveJobAct, RedriveJobFilter, RedriveJobListQuery, RetryNowRequest, RunAttemptQuery, RunDiffQuery,
        SeekRequest, SeekTo, StartRedriveJobRequest,
    },
};
use expect_test::expect;

use crate::server::{Answer, Server};

fn letter() -> DeadLetterId {
    DeadLetterId { topic: "dlq.orders".into(), partition: 0, offset: 4 }
}

fn seek() -> SeekRequest {
    SeekRequest {
        topic: Some("orders".into()),
        group: Some("g".into()),
        to: Some(SeekTo::Offset { partition: 1, offset: 7 }),
        reason: None,
    }
}

fn job() -> StartRedriveJobRequest {
    StartRedriveJobRequest {
        filter: Some(RedriveJobFilter { topic: Some("orders".into()), ..RedriveJobFilter::default() }),
        rate_per_s: Some(50.0),
        ..StartRedriveJobRequest::default()
    }
}

/// Asks for everything; what is answered is not looked at here.
async fn ask_all(client: &Client) {
    let (id, act) = (letter(), RedriveJobAct { reason: Some("why".into()) });
    let explain = ExplainQuery { run_id: Some("r".into()), ..ExplainQuery::default() };
    let retry = RetryNowRequest { run_id: Some("r".into()), ..RetryNowRequest::default() };
    let patch = PatchTopicRequest { idempotency_window_ms: Some(None), ..PatchTopicRequest::default() };
    let groups = GroupListQuery { topic: Some("orders".into()), ..GroupListQuery::default() };
    let diff = RunDiffQuery { a: Some("0.1".into()), b: None };
    drop(client.explain(&explain).await);
    drop(client.retry_now(&retry).await);
    drop(client.groups(&groups).await);
    drop(client.seek_group(&seek()).await);
    drop(client.delete_group("a b", "g", Some("why")).await);
    drop(client.change_topic("orders", &patch).await);
    drop(client.delete_topic("orders", None).await);
    drop(client.stats().await);
    drop(client.fingerprints(&FingerprintQuery::default()).await);
    drop(client.dead_letter_diff(&id, &DeadLetterDiffQuery { a: Some(1), b: Some(3) }).await);
    drop(client.start_redrive_job(&job()).await);
    drop(client.dry_redrive(&job()).await);
    drop(client.redrive_jobs(&RedriveJobListQuery::default()).await);
    drop(client.redrive_job("job_1").await);
    drop(client.redrive_job_within("job_1", Duration::from_secs(3)).await);
    drop(client.pause_redrive_job("job_1", &act).await);
    drop(client.resume_redrive_job("job_1", &act).await);
    drop(client.stop_redrive_job("job_1", &RedriveJobAct::default()).await);
    drop(client.run_attempts("r", &RunAttemptQuery::default()).await);
    drop(client.run_diff("r", &diff).await);
    drop(client.run_token("r", Some(Duration::from_secs(60))).await);
}

#[tokio::test]
async fn each_call_is_the_request_it_says() {
    let server = Server::start(|_, _| Answer::error(ErrorCode::NotFound, None)).await;
    Box::pin(ask_all(&server.client())).await;
    let asked: String = server
        .seen()
        .iter()
        .map(|seen| format!("{} {} {}", seen.method, seen.target, seen.body).trim_end().to_owned() + "\n")
        .collect();
    expect![[r#"
        GET /v1/explain?run_id=r
        POST /v1/retry-now {"run_id":"r"}
        GET /v1/groups?topic=orders
        POST /v1/groups/seek {"topic":"orders","group":"g","to":{"partition":1,"offset":7}}
        DELETE /v1/groups?topic=a+b&group=g&reason=why
        PATCH /v1/topics/orders {"idempotency_window_ms":null}
        DELETE /v1/topics/orders
        GET /v1/stats
        GET /v1/dlq/fingerprints
        GET /v1/dlq/dlq.orders/0/4/diff?a=1&b=3
        POST /v1/dlq/redrive {"filter":{"topic":"orders"},"rate_per_s":50.0}
        POST /v1/dlq/redrive {"filter":{"topic":"orders"},"rate_per_s":50.0,"dry_run":true}
        GET /v1/dlq/jobs
        GET /v1/dlq/jobs/job_1
        GET /v1/dlq/jobs/job_1?wait_ms=3000
        POST /v1/dlq/jobs/job_1/pause {"reason":"why"}
        POST /v1/dlq/jobs/job_1/resume {"reason":"why"}
        POST /v1/dlq/jobs/job_1/stop {}
        GET /v1/runs/r/attempts
        GET /v1/runs/r/diff?a=0.1
        POST /v1/runs/r/token {"ttl_ms":60000}
    "#]]
    .assert_eq(&asked);
}

#[tokio::test]
async fn what_could_be_done_twice_is_sent_once_when_the_connection_breaks() {
    let server = Server::start(|_, _| Answer::Nothing).await;
    let client = server.client();
    let act = RedriveJobAct::default();
    let broken = [
        client.seek_group(&seek()).await.map(drop),
        client.delete_topic("orders", None).await,
        client.delete_group("orders", "g", None).await,
        client.stop_redrive_job("job_1", &act).await.map(drop),
    ];
    assert!(broken.iter().all(|error| matches!(error, Err(ClientError::Broken { .. }))), "{broken:?}");
    assert_eq!(server.seen().len(), broken.len());
    // A job is started once by its key, however often that is sent.
    drop(client.start_redrive_job(&job()).await);
    let started = server.seen().split_off(broken.len());
    assert!(started.len() > 1, "{started:?}");
    assert!(
        started.iter().all(|seen| seen.header("idempotency-key") == started[0].header("idempotency-key"))
    );
}

#[tokio::test]
async fn the_servers_books_are_told_who_asks() {
    let server = Server::start(|_, _| Answer::error(ErrorCode::NotFound, None)).await;
    let client = server.builder().actor("ann").build().expect("it is a name");
    drop(client.stats().await);
    assert_eq!(server.seen()[0].header("x-driftq-actor"), "ann");
    let nameless = server.builder().actor("a\nb").build().expect_err("no header carries it");
    assert!(matches!(nameless, ClientError::BadActor));
}

#[tokio::test]
async fn a_probe_sees_when_what_came_and_gives_its_token_to_its_own_server_only() {
    let answer = |_: usize, _: &_| Answer::Pieces {
        pieces: vec![b"retry: 2000\n\n".to_vec(), b": still here\n\n".to_vec()],
        broken: false,
    };
    let (server, stranger) = (Server::start(answer).await, Server::start(answer).await);
    let client = server.builder().token("secret").actor("ann").build().expect("it is a token");
    for other in [&server, &stranger] {
        let mut probe =
            client.probe(&format!("{}/x", other.url), "text/event-stream").await.expect("it answers");
        assert_eq!((probe.status, probe.header("content-type")), (200, Some("text/plain")));
        let mut bytes = Vec::new();
        while let Some(piece) = probe.next(Duration::from_secs(60)).await {
            assert!(piece.after >= probe.head_after);
            bytes.extend(piece.bytes);
        }
        assert_eq!(String::from_utf8_lossy(&bytes), "retry: 2000\n\n: still here\n\n");
    }
    let (ours, theirs) = (server.seen(), stranger.seen());
    assert_eq!(
        (ours[0].header("authorization"), ours[0].header("accept")),
        ("Bearer secret", "text/event-stream")
    );
    assert_eq!((theirs[0].header("authorization"), theirs[0].header("x-driftq-actor")), ("", ""));
}
