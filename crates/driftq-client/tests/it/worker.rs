//! The worker: against a server that a test scripts for what must not happen, against a real one for the rest.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use driftq_client::{
    Client, Delivery, LeaseLost, RunError, WorkError, Worker, WorkerError, WorkflowRun,
    api::{ErrorBody, ErrorCode, ReplayRequest, RetryPolicyRequest, RunStatus, StartRunRequest},
    json,
};
use futures_util::StreamExt as _;
use serde_json::{Value, json as object};
use tokio::sync::oneshot;

use crate::{
    driftqd::Driftqd,
    server::{Answer, Seen, Server},
};

/// How long a test waits for what must come; it never comes to that.
const SOON: Duration = Duration::from_secs(60);

/// One message of `orders`, then silence until the client leaves.
fn one_message(seen: &Seen, others: impl Fn(&Seen) -> Answer) -> Answer {
    if seen.target == "/v1/topics" {
        return Answer::json(201, r#"{"status":"created","name":"orders","partitions":1}"#);
    }
    if seen.target.starts_with("/v1/consume") {
        let line = r#"{"partition":0,"offset":0,"attempts":1,"key":"","value":{"id":7},"last_error":"","topic":"orders","group":"billing","owner":"w","lease_id":"lease_1","lease_until_ms":5,"message_id":"m","produced_at_ms":4}"#;
        return Answer::Forever(format!("{line}\n").into_bytes());
    }
    others(seen)
}

fn asked(server: &Server, path: &str) -> Vec<Value> {
    server.seen().iter().filter(|seen| seen.target == path).map(Seen::json).collect()
}

fn cancelled() -> Answer {
    let mut body = ErrorBody::new(ErrorCode::FailedPrecondition, "not owner");
    body.reason = Some("cancelled".to_owned());
    Answer::json(409, serde_json::to_string(&body).expect("it is JSON"))
}

/// Waits until it is so; the server of the test goes on meanwhile.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("it did not come to this: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_thread_loses_no_lease() {
    let server = Server::start(|_, seen| {
        one_message(seen, |seen| match seen.target.as_str() {
            "/v1/extend" => Answer::json(200, r#"{"lease_until_ms":9}"#),
            _ => Answer::Whole(204, "text/plain", String::new()),
        })
    })
    .await;
    let (url, (release, released)) = (server.url.clone(), mpsc::channel::<()>());
    let (stop, stopped) = oneshot::channel::<()>();
    // A thread and an event loop of its own, which the handler blocks.
    let worker = std::thread::spawn(move || {
        let events = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        let released = Mutex::new(released);
        events.block_on(
            Worker::new(Client::new(url).expect("it is an address"))
                .handler("orders", "billing", move |_: Delivery<Value>| {
                    let waited = released.lock().expect("one message").recv_timeout(SOON);
                    async move { waited.map_err(WorkError::from) }
                })
                .lease(Duration::from_millis(100))
                .run_until(async { drop(stopped.await) }),
        )
    });
    until("three renewals", || asked(&server, "/v1/extend").len() >= 3).await;
    assert_eq!(asked(&server, "/v1/extend")[0]["lease_ms"], 100);
    assert!(asked(&server, "/v1/ack").is_empty(), "it still works");
    release.send(()).expect("the handler waits for it");
    until("the ack", || !asked(&server, "/v1/ack").is_empty()).await;
    drop(stop);
    worker.join().expect("it does not panic").expect("it worked");
    assert_eq!(asked(&server, "/v1/ack")[0]["lease_id"], "lease_1");
}

#[tokio::test]
async fn a_lost_lease_stops_the_handler_and_settles_nothing() {
    struct Dropped(Arc<AtomicU32>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let server = Server::start(|_, seen| one_message(seen, |_| cancelled())).await;
    let (began, dropped) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (start, end) = (Arc::clone(&began), Arc::clone(&dropped));
    let worker = Worker::new(server.client())
        .handler("orders", "billing", move |_: Delivery<Value>| {
            start.fetch_add(1, Ordering::SeqCst);
            let guard = Dropped(Arc::clone(&end));
            async move {
                std::future::pending::<()>().await;
                drop(guard);
                Ok::<_, WorkError>(())
            }
        })
        .lease(Duration::from_millis(100));
    let watching = Arc::clone(&dropped);
    let stop = async move { until("the handler is dropped", || watching.load(Ordering::SeqCst) == 1).await };
    worker.run_until(stop).await.expect("it worked");
    assert_eq!(began.load(Ordering::SeqCst), 1);
    let settled: Vec<_> = server
        .seen()
        .into_iter()
        .filter(|seen| seen.target.contains("ack"))
        .map(|seen| seen.target)
        .collect();
    assert_eq!(settled, Vec::<String>::new());
}

#[tokio::test]
async fn what_the_drain_cuts_off_is_given_back_at_once() {
    let server =
        Server::start(|_, seen| one_message(seen, |_| Answer::Whole(204, "text/plain", String::new()))).await;
    let (began, has_begun) = oneshot::channel::<()>();
    let began = Mutex::new(Some(began));
    Worker::new(server.client())
        .handler("orders", "billing", move |order: Delivery<Value>| {
            assert_eq!(order.value["id"], 7);
            drop(began.lock().expect("one message").take());
            std::future::pending::<Result<(), WorkError>>()
        })
        .drain(Duration::ZERO)
        .run_until(async { drop(has_begun.await) })
        .await
        .expect("it worked");
    let nack = &asked(&server, "/v1/nack")[0];
    assert_eq!((&nack["retry_after_ms"], &nack["error"]["type"]), (&object!(0), &object!("WorkerStopped")));
    assert_eq!(asked(&server, "/v1/ack"), Vec::<Value>::new());
}

#[tokio::test]
async fn what_runs_when_the_worker_stops_comes_to_its_end() {
    let server =
        Server::start(|_, seen| one_message(seen, |_| Answer::Whole(204, "text/plain", String::new()))).await;
    let (began, has_begun) = oneshot::channel::<()>();
    let (began, gate) = (Mutex::new(Some(began)), Arc::new(tokio::sync::Semaphore::new(0)));
    let open = Arc::clone(&gate);
    let worker = Worker::new(server.client()).handler("orders", "billing", move |_: Delivery<Value>| {
        drop(began.lock().expect("one message").take());
        let gate = Arc::clone(&gate);
        async move { gate.acquire().await.map(drop) }
    });
    // The gate opens only after the worker was asked to stop.
    let stop = async move {
        drop(has_begun.await);
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            open.add_permits(1);
        });
    };
    worker.drain(SOON).run_until(stop).await.expect("it worked");
    assert_eq!(asked(&server, "/v1/ack").len(), 1);
    assert_eq!(asked(&server, "/v1/nack"), Vec::<Value>::new());
}

#[tokio::test]
async fn no_more_handlers_run_at_once_than_the_worker_may() {
    let line = |offset: u32| {
        format!(
            r#"{{"partition":0,"offset":{offset},"attempts":1,"key":"","value":{offset},"last_error":"","topic":"orders","group":"billing","owner":"w","lease_id":"lease_{offset}","lease_until_ms":5,"message_id":"m","produced_at_ms":4}}"#
        ) + "\n"
    };
    let all: String = (0..4).map(line).collect();
    // A server that was restarted does not count what the stream before it still holds.
    let server = Server::start(move |_, seen| match seen.target.as_str() {
        target if target.starts_with("/v1/consume") => Answer::Forever(all.clone().into_bytes()),
        _ => one_message(seen, |_| Answer::Whole(204, "text/plain", String::new())),
    })
    .await;
    let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    Worker::new(server.client())
        .handler("orders", "billing", move |_: Delivery<u32>| {
            let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
            async move {
                peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, WorkError>(())
            }
        })
        .concurrency(2)
        .run_until(until("four acks", || asked(&server, "/v1/ack").len() == 4))
        .await
        .expect("it worked");
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert!(server.seen().iter().any(|seen| seen.target.contains("max_in_flight=2")));
}

#[tokio::test]
async fn a_value_that_does_not_fit_and_a_panic_are_failures_of_that_message_alone() {
    for (fits, reason) in [(false, "does not fit"), (true, "the handler panicked: oh")] {
        let server =
            Server::start(|_, seen| one_message(seen, |_| Answer::Whole(204, "text/plain", String::new())))
                .await;
        let worker = Worker::new(server.client());
        let worker = if fits {
            worker.handler("orders", "billing", async |_: Delivery<Value>| -> Result<(), WorkError> {
                panic!("oh")
            })
        } else {
            worker.handler("orders", "billing", async |_: Delivery<String>| Ok::<_, WorkError>(()))
        };
        worker
            .run_until(until("a nack", || !asked(&server, "/v1/nack").is_empty()))
            .await
            .expect("it worked");
        let nack = &asked(&server, "/v1/nack")[0];
        assert!(nack["reason"].as_str().is_some_and(|said| said.contains(reason)), "{nack}");
        assert_eq!(nack["retryable"].as_bool(), (!fits).then_some(false));
    }
}

#[tokio::test]
async fn a_worker_with_nothing_to_do_or_a_wrong_address_says_so() {
    let nobody = Client::new("http://127.0.0.1:9").expect("it is an address");
    let idle = Worker::new(nobody.clone()).run_until(std::future::pending()).await;
    assert!(matches!(idle, Err(WorkerError::Idle)), "{idle:?}");
    let twice = Worker::new(nobody)
        .workflow("a", async |_: WorkflowRun| Ok::<_, WorkError>(()))
        .workflow("a", async |_: WorkflowRun| Ok::<_, WorkError>(()))
        .run_until(std::future::pending())
        .await;
    assert_eq!(twice.expect_err("it is wrong").to_string(), "workflow `a` is registered twice");
    let server = Server::start(|_, _| Answer::error(ErrorCode::Unauthenticated, None)).await;
    let refused = Worker::new(server.client())
        .workflow("a", async |_: WorkflowRun| Ok::<_, WorkError>(()))
        .run_until(std::future::pending())
        .await;
    assert!(matches!(refused, Err(WorkerError::Client(_))), "{refused:?}");
}

/// Runs of `demo`, tried again at once.
fn demo(input: Value, max_attempts: u32) -> StartRunRequest {
    StartRunRequest {
        workflow: Some("demo".to_owned()),
        input: json(&input).ok(),
        retry_policy: Some(RetryPolicyRequest {
            max_attempts: Some(max_attempts),
            backoff_ms: Some(1),
            ..RetryPolicyRequest::default()
        }),
        ..StartRunRequest::default()
    }
}

/// Works on `demo` while `story` is told.
async fn with_worker<W, F>(server: &Driftqd, work: W, story: impl Future<Output = ()>)
where
    W: Fn(WorkflowRun) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Value, WorkError>> + Send + 'static,
{
    let client = Client::new(&server.url).expect("it is an address");
    let worker = Worker::new(client).workflow("demo", work);
    worker.run_until(story).await.expect("it worked");
}

#[tokio::test]
async fn a_finished_step_is_not_done_again_by_a_later_attempt_or_replay() {
    let server = Driftqd::start();
    let client = Client::new(&server.url).expect("it is an address");
    let fetched = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&fetched);
    let work = move |run: WorkflowRun| {
        let fetched = Arc::clone(&counted);
        async move {
            let fetch = async || Ok::<_, WorkError>(fetched.fetch_add(1, Ordering::SeqCst) + 1);
            let number: u32 = run.step("fetch", fetch).await?;
            run.emit("invoice.sent", object!({ "number": number })).await?;
            let input: Value = run.input()?;
            match input["fail"].as_bool() {
                Some(true) => Err(WorkError::new("boom").with_kind("Boom")),
                _ => {
                    Ok(object!({ "number": number, "attempt": run.attempt(), "key": run.idempotency_key() }))
                }
            }
        }
    };
    let story = async {
        let started = client.start_run(demo(object!({ "fail": true }), 3)).await.expect("it starts");
        let run = client.handle(&started.run_id);
        let failed = run.result::<Value>().await.expect_err("it fails");
        assert_eq!(failed.to_string(), format!("the run {} failed: boom", run.id()));
        assert_eq!(run.show().await.expect("it is there").attempts, 3);
        let patch =
            ReplayRequest { patch: json(&object!({ "fail": null })).ok(), ..ReplayRequest::default() };
        run.replay(&patch).await.expect("it is terminal");
        let result: Value = run.result().await.expect("it succeeds");
        let key = format!("{}:1", run.id());
        assert_eq!(result, object!({ "number": 1, "attempt": 1, "key": key }));
        let kinds: Vec<_> =
            run.events().map(|item| item.expect("it is an item").kind().to_owned()).collect().await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "step.completed").count(), 1, "{kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| *kind == "invoice.sent").count(), 4, "{kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| *kind == "run.started").count(), 4, "{kinds:?}");
    };
    Box::pin(with_worker(&server, work, story)).await;
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failure_may_set_its_pause_or_end_the_run() {
    let server = Driftqd::start();
    let client = Client::new(&server.url).expect("it is an address");
    let work = async |run: WorkflowRun| {
        if run.attempt() == 1 {
            return Err(WorkError::new("the provider is busy").retry_after(Duration::from_millis(123)));
        }
        run.input::<u32>().map(|number| object!(number))
    };
    let story = async {
        let started = client.start_run(demo(object!("no number"), 5)).await.expect("it starts");
        let run = client.handle(&started.run_id);
        let failed = run.result::<Value>().await.expect_err("the input does not fit");
        assert!(
            matches!(&failed, RunError::Failed { failure, .. } if failure.kind.as_deref() == Some("InvalidInput"))
        );
        assert_eq!(run.show().await.expect("it is there").attempts, 2, "not five");
        let pauses: Vec<_> = run
            .events()
            .filter_map(async |item| item.expect("it is an item").event()?.fields.read::<u64>("delay_ms"))
            .collect()
            .await;
        assert_eq!(pauses, [123]);
        let letter = client.run_dead_letter(run.id(), None).await.expect("it has one");
        assert_eq!(letter.reason, "non_retryable");
    };
    Box::pin(with_worker(&server, work, story)).await;
}

#[tokio::test]
async fn a_cancelled_run_stops_its_handler() {
    let server = Driftqd::start();
    let client = Client::new(&server.url).expect("it is an address");
    let (seen, mut lost) = tokio::sync::mpsc::channel(1);
    let work = move |run: WorkflowRun| {
        let seen = seen.clone();
        async move {
            // Work that no future stops: it looks at the token by itself.
            tokio::spawn(async move {
                run.lost().cancelled().await;
                drop(seen.send(run.why_lost()).await);
            });
            std::future::pending::<Result<(), WorkError>>().await
        }
    };
    let worker_client = client.clone();
    let story = async move {
        let started = client.start_run(demo(object!(null), 5)).await.expect("it starts");
        let run = client.handle(&started.run_id);
        let mut events = run.events();
        while let Some(item) = events.next().await {
            if item.expect("it is an item").kind() == "run.started" {
                run.cancel().await.expect("it runs");
            }
        }
        assert_eq!(lost.recv().await, Some(Some(LeaseLost::Cancelled)));
        assert_eq!(run.show().await.expect("it is there").status, RunStatus::Cancelled);
    };
    Worker::new(worker_client)
        .workflow("demo", work)
        .lease(Duration::from_millis(300))
        .run_until(story)
        .await
        .expect("it worked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_goes_on_over_a_restart_of_the_server() {
    let mut server = Driftqd::start();
    let client = Client::new(&server.url).expect("it is an address");
    let (began, mut has_begun) = tokio::sync::mpsc::channel::<u32>(8);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let open = Arc::clone(&gate);
    let work = move |run: WorkflowRun| {
        let (began, gate) = (began.clone(), Arc::clone(&gate));
        async move {
            began.send(run.attempt()).await?;
            drop(gate.acquire().await?);
            Ok::<_, WorkError>(object!("done"))
        }
    };
    let worker = Worker::new(client.clone()).workflow("demo", work);
    let story = async {
        let first = client.start_run(demo(object!(1), 5)).await.expect("it starts");
        assert_eq!(has_begun.recv().await, Some(1));
        tokio::task::block_in_place(|| server.restart());
        open.add_permits(2);
        // What was held over the restart is settled, and not worked on again.
        let run = client.handle(&first.run_id);
        assert_eq!(run.result::<String>().await.expect("it succeeds"), "done");
        assert_eq!(run.show().await.expect("it is there").attempts, 1);
        let second = client.start_run(demo(object!(2), 5)).await.expect("it starts");
        assert_eq!(client.handle(&second.run_id).result::<String>().await.expect("it succeeds"), "done");
    };
    worker.run_until(story).await.expect("it worked");
}
