//! Bulk redrives over HTTP, and over a process that is killed in the middle of one.

use crate::dead_letters::fail;
use crate::harness::{Broker, PATIENCE, Reply, http, read};
use crate::process::Process;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Instant;

async fn failed(broker: &Broker, count: u64) {
    broker.topic("t").await;
    for n in 0..count {
        fail(broker, "t", json!({"n": n, "key": "k"}), json!({"message": "boom"})).await;
    }
}

async fn start(broker: &Broker, body: Value) -> Value {
    broker.post("/v1/dlq/redrive", body).await.expect(202)
}

/// Consumes what is due and acks it; answers how many.
async fn ack_all(broker: &Broker) -> usize {
    let path = "/v1/consume?topic=t&group=g&mode=poll&max=100&wait_ms=1&lease_ms=60000";
    let due = broker.get(path).await.expect(200);
    let due = due.as_array().unwrap();
    for held in due {
        let settled = broker.post("/v1/ack", json!({"msg": held})).await;
        assert_eq!(settled.status, 204, "{}", settled.body);
    }
    due.len()
}

/// The job once this holds of it.
async fn once(broker: &Broker, id: &Value, holds: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/v1/dlq/jobs/{}?wait_ms=20", id.as_str().unwrap());
    let began = Instant::now();
    loop {
        let job = broker.get(&path).await.expect(200);
        if holds(&job) {
            return job;
        }
        assert!(began.elapsed() < PATIENCE, "{job}");
    }
}

#[tokio::test]
async fn a_job_is_tried_dry_watched_paused_resumed_and_done() {
    let broker = Broker::start().await;
    failed(&broker, 6).await;
    let filter = json!({"topic": "t", "group": "g", "reason": "non_retryable"});
    let dry = broker.post("/v1/dlq/redrive", json!({"filter": filter, "dry_run": true})).await.expect(200);
    assert_eq!((&dry["dry_run"], &dry["matched"]), (&json!(true), &json!(6)));
    assert_eq!(dry["sample"].as_array().unwrap().len(), 5);
    assert_eq!(
        dry["sample"][0],
        json!({"topic": "dlq.t", "partition": 0, "offset": 0, "original_topic": "t", "last_error": "boom"})
    );
    assert_eq!(broker.get("/v1/dlq").await.expect(200)["items"].as_array().unwrap().len(), 6);

    let job = start(&broker, json!({"filter": filter, "rate_per_s": 0.5, "reason": "mended"})).await;
    let id = &job["job_id"];
    assert_eq!(
        (&job["status"], &job["phase"], &job["matched"]),
        (&json!("running"), &json!("rest"), &json!(6))
    );
    assert_eq!((&job["filter"], &job["rate_per_s"]), (&filter, &json!(0.5)));
    once(&broker, id, |job| job["moved"] == 1).await;
    let path = format!("/v1/dlq/jobs/{}", id.as_str().unwrap());
    let paused = broker.post(&format!("{path}/pause"), json!({"reason": "lunch"})).await.expect(200);
    assert_eq!((&paused["status"], &paused["stop_reason"]), (&json!("paused"), &json!("lunch")));
    assert_eq!(ack_all(&broker).await, 1);
    let resumed = broker.post(&format!("{path}/resume"), json!({})).await.expect(200);
    assert_eq!((&resumed["status"], &resumed["succeeded"]), (&json!("running"), &json!(1)));
    let stopped = broker.post(&format!("{path}/stop"), json!({})).await.expect(200);
    assert_eq!(stopped["status"], "stopped");
    assert!(stopped["ended_at_ms"].as_u64().is_some());
    for act in ["pause", "resume", "stop"] {
        broker.post(&format!("{path}/{act}"), json!({})).await.expect(409);
    }

    let rest = start(&broker, json!({"filter": {}, "rate_per_s": 10000})).await;
    let moved = once(&broker, &rest["job_id"], |job| job["moved"] == job["matched"]).await;
    while ack_all(&broker).await > 0 {}
    let done = once(&broker, &rest["job_id"], |job| job["status"] == "done").await;
    assert_eq!(
        (&done["succeeded"], &done["waiting"], &done["skipped"]),
        (&moved["matched"], &json!(0), &json!(0))
    );
    let shown = broker.get("/v1/dlq/dlq.t/0/5").await.expect(200);
    assert_eq!(shown["closed"]["job_id"], rest["job_id"]);
    let listed = broker.get("/v1/dlq/jobs?limit=1").await.expect(200);
    assert_eq!(listed["jobs"][0]["job_id"], rest["job_id"], "newest first");
    let older = format!("/v1/dlq/jobs?cursor={}", listed["next_cursor"].as_str().unwrap());
    assert_eq!(broker.get(&older).await.expect(200)["jobs"][0]["job_id"], *id);
    let over = broker.get("/v1/dlq/jobs?status=stopped").await.expect(200);
    assert_eq!(over["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_canary_that_dies_again_halts_the_job_before_the_rest() {
    let broker = Broker::start().await;
    failed(&broker, 5).await;
    let job = start(&broker, json!({"filter": {}, "canary": 2, "rate_per_s": 10000})).await;
    assert_eq!(job["phase"], "canary");
    once(&broker, &job["job_id"], |job| job["moved"] == 2).await;
    let waiting = format!("/v1/dlq/jobs/{}?wait_ms=10000", job["job_id"].as_str().unwrap());
    let path = "/v1/consume?topic=t&group=g&mode=poll&max=100&wait_ms=1&lease_ms=60000";
    let canaries = broker.get(path).await.expect(200);
    let [good, bad] = canaries.as_array().unwrap().as_slice() else { panic!("{canaries}") };
    broker.post("/v1/nack", json!({"msg": bad, "reason": "again", "retryable": false})).await;
    // The answer comes with the halt, long before its wait is over.
    let (halted, acked) = tokio::join!(broker.get(&waiting), broker.post("/v1/ack", json!({"msg": good})));
    assert_eq!(acked.status, 204);
    let halted = halted.expect(200);
    let halted = if halted["status"] == "running" { broker.get(&waiting).await.expect(200) } else { halted };
    assert_eq!(
        (&halted["status"], &halted["moved"], &halted["failed"]),
        (&json!("halted"), &json!(2), &json!(1))
    );
    assert!(halted["stop_reason"].as_str().unwrap().contains("1 of the canary's 2"));
    broker
        .post(&format!("/v1/dlq/jobs/{}/resume", job["job_id"].as_str().unwrap()), json!({}))
        .await
        .expect(200);
    once(&broker, &job["job_id"], |job| job["moved"] == 5 && job["phase"] == "rest").await;
}

#[tokio::test]
async fn a_job_that_cannot_be_is_refused_with_its_reason() {
    let broker = Broker::start().await;
    for (body, status, names) in [
        (json!({}), 400, "filter is required"),
        (json!({"filter": {}}), 404, "no open dead letter matches the filter"),
        (json!({"filter": {"run_id": "none"}}), 404, "no open dead letter matches the filter"),
        (json!({"filter": {"q": "x"}}), 400, "list with q first"),
        (json!({"filter": {"colour": "x"}}), 400, "colour"),
        (json!({"filter": {"reason": "boredom"}}), 400, "boredom"),
        (json!({"filter": {}, "rate_per_s": 0}), 400, "rate_per_s"),
        (json!({"filter": {}, "rate_per_s": -1}), 400, "rate_per_s"),
        (json!({"filter": {}, "rate_per_s": 10001}), 400, "rate_per_s"),
        (json!({"filter": {}, "canary": 0}), 400, "canary"),
        (json!({"filter": {}, "stop_at_failure_share": 0}), 400, "stop_at_failure_share"),
        (json!({"filter": {}, "stop_at_failure_share": 1.01}), 400, "stop_at_failure_share"),
        (json!({"filter": {}, "reason": "x".repeat(1_025)}), 400, "reason"),
    ] {
        let said = broker.post("/v1/dlq/redrive", body.clone()).await.expect(status);
        assert!(said["message"].as_str().unwrap().contains(names), "{body}: {said}");
    }
    let dry = broker.post("/v1/dlq/redrive", json!({"filter": {}, "dry_run": true})).await.expect(200);
    assert_eq!(dry, json!({"dry_run": true, "matched": 0, "sample": []}));
    for path in ["/v1/dlq/jobs/job_1", "/v1/dlq/jobs/nonsense", "/v1/dlq/jobs/job_1?wait_ms=5"] {
        broker.get(path).await.expect(404);
    }
    broker.post("/v1/dlq/jobs/job_1/stop", json!({})).await.expect(404);
    broker.get("/v1/dlq/jobs?status=asleep").await.expect(400);
}

#[tokio::test]
async fn a_repeated_start_with_its_key_is_one_job() {
    let broker = Broker::start().await;
    failed(&broker, 2).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let start =
            broker.request(reqwest::Method::POST, "/v1/dlq/redrive").header("Idempotency-Key", "once");
        let sent = start.body(json!({"filter": {}, "rate_per_s": 1}).to_string()).send().await.unwrap();
        ids.push(read(sent).await.expect(202)["job_id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(broker.get("/v1/dlq/jobs").await.expect(200)["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_done_to_a_job_stands_in_the_audit_log() {
    let broker = Broker::start().await;
    failed(&broker, 2).await;
    let start = broker.request(reqwest::Method::POST, "/v1/dlq/redrive").header("X-Driftq-Actor", "eve");
    let body = json!({"filter": {"topic": "t"}, "rate_per_s": 0.01, "reason": "mended"});
    let job = read(start.body(body.to_string()).send().await.unwrap()).await.expect(202);
    assert_eq!((&job["actor"], &job["reason"]), (&json!("eve"), &json!("mended")));
    let path = format!("/v1/dlq/jobs/{}", job["job_id"].as_str().unwrap());
    for act in ["pause", "resume", "resume", "stop"] {
        broker.post(&format!("{path}/{act}"), json!({"reason": act})).await.expect(200);
    }
    let told = broker.get("/v1/topics/driftq.audit/messages?limit=1000").await.expect(200);
    let told: Vec<_> = told["messages"].as_array().unwrap().iter().map(|message| &message["value"]).collect();
    let acts: Vec<_> =
        told.iter().filter(|entry| entry["type"].as_str().unwrap().starts_with("redrive_job")).collect();
    let kinds: Vec<_> = acts.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["redrive_job.started", "redrive_job.paused", "redrive_job.resumed", "redrive_job.stopped"],
        "a resume that changes nothing is not told"
    );
    assert_eq!((&acts[0]["actor"], &acts[0]["reason"]), (&json!("eve"), &json!("mended")));
    let asked =
        json!({"filter": {"topic": "t"}, "rate_per_s": 0.01, "canary": null, "stop_at_failure_share": null});
    assert_eq!(acts[0]["target"], asked);
    assert_eq!((&acts[1]["target"]["job_id"], &acts[1]["reason"]), (&job["job_id"], &json!("pause")));
}

/// A client of a driftqd in another process.
struct Remote {
    http: reqwest::Client,
    url: String,
}

impl Remote {
    fn of(process: &Process) -> Self {
        Self { http: http().build().unwrap(), url: format!("http://{}", process.addr) }
    }

    async fn get(&self, path: &str) -> Reply {
        read(self.http.get(format!("{}{path}", self.url)).send().await.unwrap()).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        read(self.http.post(format!("{}{path}", self.url)).body(body.to_string()).send().await.unwrap()).await
    }

    /// What is due, at most a hundred.
    async fn due(&self) -> Vec<Value> {
        let path = "/v1/consume?topic=t&group=g&mode=poll&max=100&wait_ms=1&lease_ms=60000";
        self.get(path).await.expect(200).as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_job_goes_on_where_it_was_killed_at_its_rate_and_moves_nothing_twice() {
    const COUNT: usize = 150;
    const RATE: f64 = 50.0;
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let remote = Remote::of(&process);
    remote.post("/v1/topics", json!({"name": "t"})).await.expect(201);
    for n in 0..COUNT {
        remote.post("/v1/produce", json!({"topic": "t", "value": n})).await.expect(200);
    }
    for _ in 0..COUNT.div_ceil(100) {
        for held in remote.due().await {
            let nack = json!({"msg": held, "reason": "boom", "retryable": false});
            assert_eq!(remote.post("/v1/nack", nack).await.status, 204);
        }
    }
    let began = Instant::now();
    let job = remote
        .post("/v1/dlq/redrive", json!({"filter": {"topic": "t"}, "rate_per_s": RATE}))
        .await
        .expect(202);
    assert_eq!(job["matched"], COUNT);
    let path = format!("/v1/dlq/jobs/{}", job["job_id"].as_str().unwrap());
    let seen = remote.get(&format!("{path}?wait_ms=500")).await.expect(200)["moved"].as_u64().unwrap();
    assert!(seen > 0, "it works while nobody consumes");
    process.signal(Signal::KILL);
    process.wait();

    let process = Process::start(folder.path());
    let remote = Remote::of(&process);
    let after = remote.get(&path).await.expect(200);
    assert!(after["moved"].as_u64().unwrap() >= seen, "what was told is kept: {after}");
    assert_eq!(after["status"], "running");
    let mut got = Vec::new();
    let done = loop {
        let job = remote.get(&format!("{path}?wait_ms=100")).await.expect(200);
        for held in remote.due().await {
            got.push(held["value"].as_u64().unwrap());
            assert_eq!(remote.post("/v1/ack", json!({"msg": held})).await.status, 204);
        }
        if job["status"] != "running" {
            break job;
        }
        assert!(began.elapsed() < PATIENCE, "{job}");
    };
    // Down time is no work time, so it takes at least as long as its rate says.
    let least = (COUNT as f64 - 1.0) / RATE - 0.25;
    assert!(began.elapsed().as_secs_f64() >= least, "{:?}", began.elapsed());
    assert_eq!((&done["status"], &done["succeeded"]), (&json!("done"), &json!(COUNT)));
    got.sort_unstable();
    assert_eq!(got, (0..COUNT as u64).collect::<Vec<_>>(), "each came once");
}
