//! Tokens: every route is tried with every kind of token that must not pass, and with those that must.

use crate::harness::{Broker, PATIENCE, Reply, Stream, on_disk, read};
use driftq_server::{Config, Server, ServerError};
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const VERBS: [&str; 6] = ["produce", "consume", "runs:read", "runs:write", "dlq", "admin"];

/// A token file that is written anew with each token; a token's text is its name and some more.
struct Tokens {
    folder: tempfile::TempDir,
    text: String,
}

impl Tokens {
    fn new() -> Self {
        let mut tokens = Self { folder: tempfile::tempdir().unwrap(), text: String::new() };
        tokens.add("root", &VERBS, "");
        tokens
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tokens.toml")
    }

    fn add(&mut self, name: &str, verbs: &[&str], rest: &str) {
        let hash = ring::digest::digest(&ring::digest::SHA256, text_of(name).as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        write!(
            self.text,
            "[[token]]\nname = {name:?}\nhash = \"sha256:{hash}\"\nverbs = {verbs:?}\n{rest}\n"
        )
        .unwrap();
        std::fs::write(self.path(), &self.text).unwrap();
    }

    fn config(&self) -> Config {
        Config { token_file: Some(self.path()), ..Config::in_memory() }
    }
}

fn text_of(name: &str) -> String {
    format!("dq_{name}_and_some_more")
}

async fn call(broker: &Broker, token: Option<&str>, method: &Method, path: &str, body: &Value) -> Reply {
    let mut request = broker.request(method.clone(), path);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    read(request.send().await.unwrap()).await
}

async fn root(broker: &Broker, method: Method, path: &str, body: Value) -> Reply {
    call(broker, Some(&text_of("root")), &method, path, &body).await
}

/// A broker with something of everything, all of it of the tenant `acme` under `acme.`.
async fn furnished(tokens: &Tokens) -> Broker {
    let broker = Broker::with(tokens.config()).await;
    root(&broker, Method::POST, "/v1/topics", json!({"name": "acme.orders"})).await.expect(201);
    let envelope = json!({"tenant_id": "acme", "retry_policy": {"max_attempts": 1}});
    for value in ["dead", "alive"] {
        let message = json!({"topic": "acme.orders", "value": value, "envelope": envelope});
        root(&broker, Method::POST, "/v1/produce", message).await.expect(200);
    }
    fail_one(&broker, "acme.orders").await;
    let run = json!({"workflow": "w", "run_id": "r", "topic": "acme.commands", "tenant_id": "acme", "retry_policy": {"max_attempts": 1}});
    root(&broker, Method::POST, "/v1/runs", run).await.expect(201);
    fail_one(&broker, "acme.commands").await;
    root(&broker, Method::POST, "/v1/topics", json!({"name": "acme.again"})).await.expect(201);
    let message = json!({"topic": "acme.again", "value": "dead", "envelope": envelope});
    root(&broker, Method::POST, "/v1/produce", message).await.expect(200);
    fail_one(&broker, "acme.again").await;
    let job = json!({"filter": {"topic": "acme.again"}});
    let job = root(&broker, Method::POST, "/v1/dlq/redrive", job).await.expect(202);
    assert_eq!(job["job_id"], "job_1");
    wait_until_moved(&broker).await;
    broker
}

/// Waits until the furnished job has moved all it has to move.
async fn wait_until_moved(broker: &Broker) {
    let began = Instant::now();
    loop {
        let path = "/v1/dlq/jobs/job_1?wait_ms=5";
        let job = root(broker, Method::GET, path, Value::Null).await.expect(200);
        if job["moved"] == 1 {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{job}");
    }
}

async fn fail_one(broker: &Broker, topic: &str) {
    let path = format!("/v1/consume?topic={topic}&group=workers&wait_ms=10000&lease_ms=60000");
    let message = root(broker, Method::GET, &path, Value::Null).await.expect(200);
    assert!(message.is_object());
    let nack = json!({"topic": topic, "group": "workers", "msg": message});
    assert_eq!(root(broker, Method::POST, "/v1/nack", nack).await.status, 204);
}

/// A request to each operation that touches what a furnished broker holds.
fn sample(operation: &str) -> (&'static str, Value) {
    let place =
        json!({"topic": "acme.orders", "group": "workers", "owner": "o", "partition": 0, "offset": 0});
    match operation {
        "healthz" => ("/v1/healthz", Value::Null),
        "livez" => ("/v1/livez", Value::Null),
        "readyz" => ("/v1/readyz", Value::Null),
        "version" => ("/v1/version", Value::Null),
        "openapi" => ("/v1/openapi.json", Value::Null),
        "metrics" => ("/metrics", Value::Null),
        "list_topics" => ("/v1/topics", Value::Null),
        "create_topic" => ("/v1/topics", json!({"name": "acme.orders", "partitions": 7})),
        "show_topic" => ("/v1/topics/acme.orders", Value::Null),
        "browse_topic" => ("/v1/topics/acme.orders/messages", Value::Null),
        "produce" => ("/v1/produce", json!({"topic": "acme.orders", "value": 1, "tenant_id": "acme"})),
        "produce_batch" => (
            "/v1/produce/batch",
            json!({"messages": [{"topic": "acme.orders", "value": 1, "tenant_id": "acme"}]}),
        ),
        "consume" => ("/v1/consume?topic=acme.orders&group=g&wait_ms=1", Value::Null),
        "ack" => ("/v1/ack", place),
        "nack" => ("/v1/nack", place),
        "extend" => ("/v1/extend", place),
        "list_runs" => ("/v1/runs", Value::Null),
        "start_run" => (
            "/v1/runs",
            json!({"workflow": "w", "run_id": "r", "topic": "acme.commands", "tenant_id": "acme"}),
        ),
        "show_run" => ("/v1/runs/r", Value::Null),
        "replay_run" => ("/v1/runs/r/replay", json!({})),
        "cancel_run" => ("/v1/runs/r/cancel", json!({})),
        "make_run_token" => ("/v1/runs/r/token", json!({})),
        "read_events" => ("/v1/runs/r/events", Value::Null),
        "append_events" => ("/v1/runs/r/events", json!({"events": [{"type": "x"}]})),
        "list_steps" => ("/v1/runs/r/steps", Value::Null),
        "store_step" => ("/v1/runs/r/steps/s", json!({"lease_id": "lease_1_1", "output": 1})),
        "list_attempts" => ("/v1/runs/r/attempts", Value::Null),
        "diff_attempts" => ("/v1/runs/r/diff", Value::Null),
        "show_run_dead_letter" => ("/v1/runs/r/dlq", Value::Null),
        "list_dead_letters" => ("/v1/dlq", Value::Null),
        "show_dead_letter" => ("/v1/dlq/dlq.acme.orders/0/0", Value::Null),
        "redrive_dead_letter" => ("/v1/dlq/dlq.acme.orders/0/0/redrive", json!({})),
        "discard_dead_letter" => ("/v1/dlq/dlq.acme.orders/0/0/discard", json!({})),
        "list_fingerprints" => ("/v1/dlq/fingerprints", Value::Null),
        "diff_dead_letter" => ("/v1/dlq/dlq.acme.orders/0/0/diff", Value::Null),
        "start_redrive_job" => ("/v1/dlq/redrive", json!({"filter": {}})),
        "list_redrive_jobs" => ("/v1/dlq/jobs", Value::Null),
        "show_redrive_job" => ("/v1/dlq/jobs/job_1", Value::Null),
        "pause_redrive_job" => ("/v1/dlq/jobs/job_1/pause", json!({})),
        "resume_redrive_job" => ("/v1/dlq/jobs/job_1/resume", json!({})),
        "stop_redrive_job" => ("/v1/dlq/jobs/job_1/stop", json!({})),
        "patch_topic" => ("/v1/topics/acme.orders", json!({"partition_max_messages": 1000})),
        "delete_topic" => ("/v1/topics/acme.again", Value::Null),
        "retry_now" => (
            "/v1/retry-now",
            json!({"topic": "acme.orders", "group": "workers", "partition": 0, "offset": 1}),
        ),
        "explain" => ("/v1/explain?topic=acme.orders&group=workers&partition=0&offset=1", Value::Null),
        "list_groups" => ("/v1/groups", Value::Null),
        "delete_group" => ("/v1/groups?topic=acme.again&group=workers", Value::Null),
        "seek_group" => {
            ("/v1/groups/seek", json!({"topic": "acme.orders", "group": "workers", "to": "earliest"}))
        }
        "stats" => ("/v1/stats", Value::Null),
        "show_clock" => ("/v1/dev/clock", Value::Null),
        "move_clock" => ("/v1/dev/clock", json!({"advance_ms": 1})),
        new => panic!("give {new} a sample that touches what a furnished broker holds"),
    }
}

struct Operation {
    id: String,
    method: Method,
    path: &'static str,
    body: Value,
    /// The verbs that let a token in; `None` when no token is needed.
    verbs: Option<Vec<String>>,
    is_of_runs_or_dead_letters: bool,
}

/// Every operation of the document.
fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&driftq_server::openapi_document()).unwrap();
    let mut operations = Vec::new();
    for item in document["paths"].as_object().unwrap().values() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let (path, body) = sample(&id);
            let verbs = operation.get("security").map(|_| {
                let verbs = operation["x-driftq-verbs"].as_array().unwrap();
                verbs.iter().map(|verb| verb.as_str().unwrap().to_owned()).collect()
            });
            let tag = operation["tags"][0].as_str().unwrap();
            let method = method.to_uppercase().parse().unwrap();
            let is_of_runs_or_dead_letters = tag == "runs" || tag == "dead letters";
            operations.push(Operation { id, method, path, body, verbs, is_of_runs_or_dead_letters });
        }
    }
    assert!(operations.len() > 30);
    operations
}

async fn try_with(broker: &Broker, token: Option<&str>, operation: &Operation) -> Reply {
    call(broker, token, &operation.method, operation.path, &operation.body).await
}

#[tokio::test]
async fn every_route_wants_a_good_token() {
    let mut tokens = Tokens::new();
    tokens.add("late", &VERBS, "expires_at = \"2020-01-01T00:00:00Z\"");
    let broker = furnished(&tokens).await;
    for operation in operations() {
        let nobody = try_with(&broker, None, &operation).await;
        if operation.verbs.is_none() {
            nobody.expect(200);
            continue;
        }
        assert_eq!(nobody.expect(401)["error"], "UNAUTHENTICATED", "{}", operation.id);
        for (token, says) in [
            (text_of("late"), "expired"),
            ("dq_unknown".to_owned(), "not known"),
            ("dqr_AAAA".to_owned(), "not known"),
        ] {
            let refused = try_with(&broker, Some(&token), &operation).await.expect(401);
            assert!(refused["message"].as_str().unwrap().contains(says), "{}: {refused}", operation.id);
        }
    }
    let response = broker.request(Method::GET, "/v1/topics").send().await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(broker.get("/v1/no/such/path").await.status, 401);
}

#[tokio::test]
async fn every_route_wants_its_verb_and_any_of_them_will_do() {
    let mut tokens = Tokens::new();
    let operations = operations();
    for operation in &operations {
        let Some(verbs) = operation.verbs.as_ref().filter(|verbs| !verbs.is_empty()) else { continue };
        let others: Vec<&str> =
            VERBS.into_iter().filter(|verb| !verbs.iter().any(|own| own == verb)).collect();
        tokens.add(&format!("not {}", operation.id), &others, "");
    }
    for verb in VERBS {
        tokens.add(verb, &[verb], "");
    }
    let broker = furnished(&tokens).await;
    for operation in &operations {
        let Some(verbs) = &operation.verbs else { continue };
        if !verbs.is_empty() {
            let token = text_of(&format!("not {}", operation.id));
            let refused = try_with(&broker, Some(&token), operation).await.expect(403);
            let said = refused["message"].as_str().unwrap();
            assert!(verbs.iter().all(|verb| said.contains(verb.as_str())), "{}: {said}", operation.id);
        }
        for verb in VERBS.into_iter().filter(|verb| verbs.is_empty() || verbs.iter().any(|own| own == verb)) {
            let reply = try_with(&broker, Some(&text_of(verb)), operation).await;
            assert!(
                ![401, 403].contains(&reply.status) && reply.status < 500,
                "{}: {}",
                operation.id,
                reply.body
            );
        }
    }
}

#[tokio::test]
async fn another_prefix_cannot_tell_a_full_broker_from_an_empty_one() {
    let mut tokens = Tokens::new();
    tokens.add("other", &VERBS, "topics = [\"other.\", \"acme.orders.eu\"]");
    let (full, empty) = (furnished(&tokens).await, Broker::with(tokens.config()).await);
    for operation in operations() {
        let [seen, absent] = [
            try_with(&full, Some(&text_of("other")), &operation).await,
            try_with(&empty, Some(&text_of("other")), &operation).await,
        ];
        assert_eq!((seen.status, &seen.body), (absent.status, &absent.body), "{}", operation.id);
        assert!(seen.status < 500, "{}: {}", operation.id, seen.body);
    }
    // The same holds for whoever may see everything, where nothing is made: it is what absent things answer.
    for operation in operations()
        .iter()
        .filter(|operation| !["create_topic", "start_run", "metrics"].contains(&operation.id.as_str()))
    {
        let absent = try_with(&empty, Some(&text_of("root")), operation).await;
        let hidden = try_with(&full, Some(&text_of("other")), operation).await;
        if hidden.status != 403 {
            assert_eq!((hidden.status, &hidden.body), (absent.status, &absent.body), "{}", operation.id);
        }
    }
}

#[tokio::test]
async fn another_tenant_sees_no_run_and_no_dead_letter() {
    let mut tokens = Tokens::new();
    tokens.add("other", &VERBS, "tenant = \"other\"\ntopics = [\"acme.\"]");
    tokens.add("shared", &VERBS, "tenant = \"other\"");
    let (full, empty) = (furnished(&tokens).await, Broker::with(tokens.config()).await);
    // Where its prefix lets it, it knows the same topics.
    for broker in [&empty] {
        root(broker, Method::POST, "/v1/topics", json!({"name": "dlq.acme.orders"})).await.expect(201);
    }
    for operation in operations().iter().filter(|operation| operation.is_of_runs_or_dead_letters) {
        for name in ["other", "shared"] {
            let [seen, absent] = [
                try_with(&full, Some(&text_of(name)), operation).await,
                try_with(&empty, Some(&text_of(name)), operation).await,
            ];
            assert_eq!((seen.status, &seen.body), (absent.status, &absent.body), "{}", operation.id);
        }
    }
    for operation in operations()
        .iter()
        .filter(|operation| ["produce", "produce_batch", "start_run"].contains(&operation.id.as_str()))
    {
        let refused = try_with(&full, Some(&text_of("other")), operation).await.expect(403);
        assert!(refused["message"].as_str().unwrap().contains("tenant_id"), "{refused}");
    }
    // A topic that tenants share holds messages of others.
    for operation in operations()
        .iter()
        .filter(|operation| ["consume", "browse_topic", "ack"].contains(&operation.id.as_str()))
    {
        let refused = try_with(&full, Some(&text_of("shared")), operation).await.expect(403);
        assert!(refused["message"].as_str().unwrap().contains("topics of its own"), "{refused}");
    }
}

#[tokio::test]
async fn what_a_tenant_makes_is_its_own_and_its_lists_show_only_that() {
    let mut tokens = Tokens::new();
    tokens.add("acme", &VERBS, "tenant = \"acme\"");
    let broker = furnished(&tokens).await;
    root(
        &broker,
        Method::POST,
        "/v1/runs",
        json!({"workflow": "w", "run_id": "foreign", "topic": "acme.commands"}),
    )
    .await
    .expect(201);
    let acme = text_of("acme");
    let run = json!({"workflow": "w", "run_id": "mine", "topic": "acme.commands"});
    call(&broker, Some(&acme), &Method::POST, "/v1/runs", &run).await.expect(201);
    let message = json!({"topic": "acme.orders", "value": "stamped"});
    call(&broker, Some(&acme), &Method::POST, "/v1/produce", &message).await.expect(200);
    let runs = call(&broker, Some(&acme), &Method::GET, "/v1/runs", &Value::Null).await.expect(200);
    let ids: Vec<_> =
        runs["runs"].as_array().unwrap().iter().map(|run| (&run["run_id"], &run["tenant_id"])).collect();
    assert_eq!(ids, [(&json!("mine"), &json!("acme")), (&json!("r"), &json!("acme"))]);
    let page =
        root(&broker, Method::GET, "/v1/topics/acme.orders/messages?from=2", Value::Null).await.expect(200);
    assert_eq!(page["messages"][0]["envelope"]["tenant_id"], "acme", "{page}");
    let letters = call(&broker, Some(&acme), &Method::GET, "/v1/dlq", &Value::Null).await.expect(200);
    assert_eq!(letters["items"].as_array().unwrap().len(), 2);
    let topics = call(&broker, Some(&acme), &Method::GET, "/v1/topics", &Value::Null).await.expect(200);
    let timelines: Vec<_> = topics["topics"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| name.starts_with("runs.events."))
        .collect();
    assert_eq!(timelines, ["runs.events.mine", "runs.events.r"]);
}

#[tokio::test]
async fn a_job_moves_only_what_whoever_started_it_may_see() {
    let mut tokens = Tokens::new();
    tokens.add("narrow", &["dlq"], "topics = [\"acme.orders\"]");
    tokens.add("foreign", &["dlq"], "tenant = \"other\"");
    let broker = furnished(&tokens).await;
    let (narrow, foreign) = (text_of("narrow"), text_of("foreign"));
    let all = json!({"filter": {}});
    call(&broker, Some(&foreign), &Method::POST, "/v1/dlq/redrive", &all).await.expect(404);
    let kinds = call(&broker, Some(&foreign), &Method::GET, "/v1/dlq/fingerprints", &Value::Null).await;
    assert_eq!(kinds.expect(200)["fingerprints"], json!([]));
    let job = call(&broker, Some(&narrow), &Method::POST, "/v1/dlq/redrive", &all).await.expect(202);
    assert_eq!((&job["matched"], &job["actor"]), (&json!(1), &json!("narrow")));
    let listed = call(&broker, Some(&narrow), &Method::GET, "/v1/dlq/jobs", &Value::Null).await.expect(200);
    let ids: Vec<_> = listed["jobs"].as_array().unwrap().iter().map(|job| job["job_id"].clone()).collect();
    assert_eq!(ids, ["job_2"], "the job of others is not shown");
    for (token, status) in [(&foreign, 404), (&narrow, 200)] {
        let stopped = call(&broker, Some(token), &Method::POST, "/v1/dlq/jobs/job_2/stop", &json!({})).await;
        assert_eq!(stopped.status, status, "{}", stopped.body);
    }
    root(&broker, Method::GET, "/v1/dlq/jobs/job_2", Value::Null).await.expect(200);
}

#[tokio::test]
async fn a_prefix_lets_a_worker_do_its_work_and_lists_show_only_it() {
    let mut tokens = Tokens::new();
    tokens.add("worker", &["consume", "runs:read"], "topics = [\"acme.\"]");
    tokens.add("maker", &["produce", "runs:write"], "topics = [\"acme.\"]");
    let broker = Broker::with(tokens.config()).await;
    root(&broker, Method::POST, "/v1/topics", json!({"name": "elsewhere"})).await.expect(201);
    let (worker, maker) = (text_of("worker"), text_of("maker"));
    call(&broker, Some(&maker), &Method::POST, "/v1/topics", &json!({"name": "acme.a"})).await.expect(201);
    let refused = call(&broker, Some(&maker), &Method::POST, "/v1/topics", &json!({"name": "other.a"}))
        .await
        .expect(403);
    assert!(refused["message"].as_str().unwrap().contains("name"), "{refused}");
    let run = json!({"workflow": "w", "run_id": "r", "topic": "acme.commands"});
    call(&broker, Some(&maker), &Method::POST, "/v1/runs", &run).await.expect(201);
    let path = "/v1/consume?topic=acme.commands&group=workers&wait_ms=10000&lease_ms=60000";
    let message = call(&broker, Some(&worker), &Method::GET, path, &Value::Null).await.expect(200);
    let step = json!({"lease_id": message["lease_id"], "output": 1});
    call(&broker, Some(&worker), &Method::PUT, "/v1/runs/r/steps/s", &step).await.expect(200);
    let events = json!({"events": [{"type": "run.log"}], "lease_id": message["lease_id"]});
    call(&broker, Some(&worker), &Method::POST, "/v1/runs/r/events", &events).await.expect(200);
    let ack = json!({"topic": "acme.commands", "group": "workers", "msg": message, "result": 1});
    assert_eq!(call(&broker, Some(&worker), &Method::POST, "/v1/ack", &ack).await.status, 204);
    let run = call(&broker, Some(&worker), &Method::GET, "/v1/runs/r", &Value::Null).await.expect(200);
    assert_eq!(run["status"], "succeeded");
    for path in ["/v1/topics", "/v1/topics?limit=2"] {
        let topics = call(&broker, Some(&worker), &Method::GET, path, &Value::Null).await.expect(200);
        let shown = topics["topics"].as_array().unwrap();
        assert!(shown.contains(&json!("acme.a")) && !shown.contains(&json!("elsewhere")), "{topics}");
    }
}

#[tokio::test]
async fn a_run_token_reads_its_run_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::new();
    let config = || Config { token_file: Some(tokens.path()), dev_clock: true, ..on_disk(folder.path()) };
    let broker = Broker::with(config()).await;
    for id in ["mine", "other"] {
        root(&broker, Method::POST, "/v1/runs", json!({"workflow": "w", "run_id": id})).await.expect(201);
    }
    let made =
        root(&broker, Method::POST, "/v1/runs/mine/token", json!({"ttl_ms": 60_000})).await.expect(200);
    let token = made["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("dqr_") && made["run_id"] == "mine", "{made}");
    broker.stop().await.unwrap();

    let broker = Broker::with(config()).await;
    let get = async |path: &str| call(&broker, Some(&token), &Method::GET, path, &Value::Null).await;
    for path in ["/v1/runs/mine", "/v1/runs/mine/events", "/v1/runs/mine/steps", "/v1/version"] {
        get(path).await.expect(200);
    }
    let hidden = get("/v1/runs/other").await.expect(404);
    let absent = root(&broker, Method::GET, "/v1/runs/absent", Value::Null).await.expect(404);
    assert_eq!(hidden.to_string().replace("other", "absent"), absent.to_string());
    for path in ["/v1/runs/other/events", "/v1/runs/other/steps", "/v1/runs/other/dlq"] {
        get(path).await.expect(404);
    }
    for operation in operations() {
        if operation.verbs.as_ref().is_some_and(|verbs| !verbs.is_empty())
            && !operation.path.starts_with("/v1/runs/r")
        {
            try_with(&broker, Some(&token), &operation).await.expect(403);
        }
    }
    for (method, path) in [
        (Method::POST, "/v1/runs/mine/cancel"),
        (Method::POST, "/v1/runs/mine/token"),
        (Method::POST, "/v1/runs/mine/events"),
    ] {
        call(&broker, Some(&token), &method, path, &json!({})).await.expect(403);
    }
    root(&broker, Method::POST, "/v1/dev/clock", json!({"advance_ms": 60_000})).await.expect(200);
    assert!(get("/v1/runs/mine").await.expect(401)["message"].as_str().unwrap().contains("expired"));
    for ttl in [0, 24 * 60 * 60 * 1000 + 1] {
        root(&broker, Method::POST, "/v1/runs/mine/token", json!({"ttl_ms": ttl})).await.expect(400);
    }
}

#[tokio::test]
async fn a_stream_resumes_only_for_those_who_see_its_run() {
    let mut tokens = Tokens::new();
    tokens.add("other", &VERBS, "tenant = \"other\"");
    let broker = furnished(&tokens).await;
    let ask = |name: &str| {
        broker
            .request(Method::GET, "/v1/runs/r/events")
            .bearer_auth(text_of(name))
            .header("accept", "text/event-stream")
            .header("last-event-id", "1")
    };
    let mut stream = Stream::open(ask("root")).await;
    assert_eq!(stream.event().await.unwrap().0, 2);
    read(ask("other").send().await.unwrap()).await.expect(404);
}

#[tokio::test]
async fn a_token_in_a_url_is_refused() {
    let tokens = Tokens::new();
    for broker in [Broker::with(tokens.config()).await, Broker::start().await] {
        for query in ["token=x", "limit=1&access_token=x"] {
            let refused =
                root(&broker, Method::GET, &format!("/v1/topics?{query}"), Value::Null).await.expect(400);
            assert!(refused["message"].as_str().unwrap().contains("Authorization: Bearer"), "{refused}");
        }
    }
}

#[tokio::test]
async fn names_of_the_server_do_not_matter_with_tokens_but_pages_do() {
    let tokens = Tokens::new();
    let broker = Broker::with(tokens.config()).await;
    let ask = || broker.request(Method::GET, "/v1/topics").bearer_auth(text_of("root"));
    assert_eq!(ask().header("host", "evil.example").send().await.unwrap().status().as_u16(), 200);
    assert_eq!(ask().header("origin", "https://evil.example").send().await.unwrap().status().as_u16(), 403);
}

#[tokio::test]
async fn a_changed_file_is_taken_over_and_ends_what_it_takes_away() {
    let mut tokens = Tokens::new();
    tokens.add("gone", &VERBS, "");
    let broker = furnished(&tokens).await;
    let ask = || {
        broker
            .request(Method::GET, "/v1/consume?topic=acme.orders&group=new&owner=o")
            .bearer_auth(text_of("gone"))
    };
    let mut stream = Stream::open(ask()).await;
    assert!(stream.item().await.is_some());

    let good = tokens.text.clone();
    let (kept, _) = good.split_at(good.rfind("[[token]]").unwrap());
    std::fs::write(tokens.path(), kept).unwrap();
    assert!(stream.item().await.is_none(), "the stream ends");
    until(async || ask().send().await.unwrap().status().as_u16() == 401).await;

    std::fs::write(tokens.path(), format!("{kept}[[token]]\nname = 1\n")).unwrap();
    tokens.text = kept.to_owned();
    root(&broker, Method::GET, "/v1/topics", Value::Null).await.expect(200);
    tokens.add("new", &VERBS, "");
    until(async || {
        call(&broker, Some(&text_of("new")), &Method::GET, "/v1/topics", &Value::Null).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn the_audit_log_names_the_token_whatever_a_header_says() {
    let mut tokens = Tokens::new();
    let broker = Broker::with(tokens.config()).await;
    let request = broker.request(Method::POST, "/v1/topics").bearer_auth(text_of("root"));
    let request = request.header("x-driftq-actor", "somebody else").body("{\"name\":\"t\"}");
    read(request.send().await.unwrap()).await.expect(201);
    tokens.add("new", &VERBS, "");
    let entries = async || {
        let page =
            root(&broker, Method::GET, "/v1/topics/driftq.audit/messages", Value::Null).await.expect(200);
        page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["value"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(entries().await[0]["actor"], "root");
    until(async || entries().await.len() == 2).await;
    let reloaded = &entries().await[1];
    assert_eq!((&reloaded["type"], &reloaded["target"]), (&json!("tokens.reloaded"), &json!({"tokens": 2})));
}

async fn until(is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "it does not come to be so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_broken_file_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let refused = async |path: &Path| {
        let started =
            Server::start(Config { token_file: Some(path.to_owned()), ..Config::in_memory() }).await;
        match started {
            Err(ServerError::Tokens(error)) => error.to_string(),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it starts"),
        }
    };
    assert!(refused(&path).await.contains("cannot be read"));
    std::fs::write(&path, "[[token]]\nname = \"x\"\n").unwrap();
    let said = refused(&path).await;
    assert!(said.contains("tokens.toml, line 1") && said.contains("hash"), "{said}");
}
