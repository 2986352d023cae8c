//! The whole story against a real server: messages, a run that fails, its dead letter, a replay.

use std::io::Read as _;

use serde_json::json;

use crate::{
    driftq::{Ran, command, driftq, driftq_with},
    driftqd::Driftqd,
};

impl Driftqd {
    /// Runs a command against it.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        driftq(&self.url, args)
    }

    /// One message of a group, as `consume --json` prints it.
    pub(crate) fn take(&self, topic: &str, group: &str) -> String {
        let args = ["consume", topic, "-g", group, "-o", "cli", "-n", "1", "--idle", "20s", "--json"];
        let line = self.run(&args).good();
        assert!(!line.is_empty(), "nothing came from {topic} for {group} in time");
        line
    }
}

#[test]
fn messages_are_produced_consumed_and_settled() {
    let server = Driftqd::start();
    let health = server.run(&["health", "--json"]).line();
    assert_eq!((&health["status"], &health["wal_enabled"]), (&json!("ready"), &json!(true)));

    let refused = server.run(&["produce", "orders", "1"]);
    assert_eq!(refused.code, 1);
    assert!(refused.talk.contains("INVALID_ARGUMENT"), "{refused:?}");

    assert_eq!(server.run(&["topic", "create", "orders", "--json"]).line()["partitions"], 1);
    for (offset, value) in [r#"{"n":1.50}"#, "hello", "42"].into_iter().enumerate() {
        let produced = server.run(&["produce", "orders", value, "-H", "a=b", "--key", "k", "--json"]).line();
        assert_eq!((&produced["offset"], &produced["duplicate"]), (&json!(offset), &json!(false)));
    }
    let again = ["produce", "orders", "once", "--idempotency-key", "i", "--json"];
    assert_eq!(server.run(&again).line()["offset"], 3);
    assert_eq!(server.run(&again).line()["duplicate"], true);

    let first = server.take("orders", "g");
    assert!(first.contains(r#""value":{"n":1.50}"#), "{first}");
    assert!(first.contains(r#""headers":{"a":"b"}"#), "{first}");
    let lag = server.run(&["lag", "orders", "--json"]).line();
    assert_eq!((&lag["group"], &lag["lag"], &lag["in_flight"]), (&json!("g"), &json!(4), &json!(1)));
    assert_eq!(driftq_with(&server.url, &["ack"], &first).good(), "acked  orders/0/0\n");

    let second = server.take("orders", "g");
    assert_eq!(driftq_with(&server.url, &["nack", "--reason", "not now"], &second).code, 0);
    let stranger = server.run(&["ack", "orders", "0", "0", "-g", "g", "-o", "somebody-else"]);
    assert_eq!(stranger.code, 1);
    assert!(stranger.talk.contains("FAILED_PRECONDITION"), "{stranger:?}");

    let rest = ["consume", "orders", "-g", "g", "-n", "3", "--ack", "--idle", "20s", "--json"];
    let mut rest = server.run(&rest).lines();
    rest.sort_by_key(|item| item["offset"].as_u64());
    let seen: Vec<_> = rest.iter().map(|item| (&item["value"], item["attempts"].as_u64())).collect();
    let expected = [(&json!("hello"), Some(2)), (&json!(42), Some(1)), (&json!("once"), Some(1))];
    assert_eq!(seen, expected);
    assert_eq!(rest[0]["last_error"], "not now");
    assert_eq!(server.run(&["lag", "orders", "--json"]).line()["lag"], 0);

    let shown = server.run(&["topic", "show", "orders", "--json"]).line();
    assert_eq!(shown["partitions"][0]["next_offset"], 4);
    let listed = server.run(&["topic", "list"]).good();
    assert!(listed.lines().any(|line| line.starts_with("orders ")), "{listed}");
}

#[test]
fn a_dead_letter_is_redriven_or_discarded() {
    let server = Driftqd::start();
    server.run(&["topic", "create", "orders"]).good();
    for value in ["first", "second"] {
        server.run(&["produce", "orders", value, "--max-attempts", "1"]).good();
        let taken = server.take("orders", "g");
        assert_eq!(driftq_with(&server.url, &["nack", "--reason", "boom"], &taken).code, 0);
    }
    let letters = server.run(&["dlq", "list", "--topic", "orders", "--json"]).lines();
    let mut addresses: Vec<_> = letters
        .iter()
        .map(|letter| {
            format!(
                "{}/{}/{}",
                letter["topic"].as_str().expect("text"),
                letter["partition"],
                letter["offset"]
            )
        })
        .collect();
    addresses.sort();
    assert_eq!(addresses, ["dlq.orders/0/0", "dlq.orders/0/1"]);

    let shown = server.run(&["dlq", "show", &addresses[0], "--json"]).line();
    assert_eq!((&shown["reason"], &shown["value"]), (&json!("max_attempts"), &json!("first")));
    assert_eq!(shown["history"][0]["error"]["message"], "boom");
    assert_eq!(server.run(&["dlq", "redrive", &addresses[0], "--json"]).line()["status"], "redriven");
    let again = server.run(&["dlq", "redrive", &addresses[0]]);
    assert_eq!(again.code, 1);
    assert!(again.talk.contains("FAILED_PRECONDITION"), "{again:?}");
    server.run(&["dlq", "discard", &addresses[1], "--reason", "spam", "--yes"]).good();
    assert_eq!(server.run(&["dlq", "list", "--json"]).lines(), Vec::<serde_json::Value>::new());

    let redriven = server.take("orders", "g");
    assert!(redriven.contains(r#""value":"first""#) && redriven.contains(r#""attempts":1"#), "{redriven}");
}

#[test]
fn a_run_fails_becomes_a_dead_letter_is_replayed_and_succeeds() {
    let server = Driftqd::start();
    let start = [
        "run",
        "start",
        "demo",
        "-i",
        r#"{"fail_at":"x","n":1}"#,
        "--tag",
        "eu",
        "--max-attempts",
        "2",
        "--backoff",
        "10ms",
        "--json",
    ];
    let started = server.run(&start).line();
    let run_id = started["run_id"].as_str().expect("it has an id");
    assert_eq!(started["status"], "queued");

    watch_it_fail(&server, run_id);
    let listed = server.run(&["run", "list", "--status", "failed", "--tag", "eu", "--json"]).line();
    assert_eq!(listed["run_id"], run_id);
    let letter = server.run(&["dlq", "show", "--run", run_id, "--json"]).line();
    assert_eq!((&letter["type"], &letter["state"]), (&json!("runs.dlq"), &json!("open")));
    assert_eq!(letter["attempts"].as_array().map(Vec::len), Some(2));

    watch_its_replay_succeed(&server, run_id);
    let run = server.run(&["run", "show", run_id, "--json"]).line();
    assert_eq!((&run["status"], &run["result"]), (&json!("succeeded"), &json!({"ok": true})));
    assert_eq!((&run["replay_seq"], &run["input"]), (&json!(1), &json!({"n": 1})));
    let cancel = server.run(&["run", "cancel", run_id]);
    assert_eq!(cancel.code, 1);
    assert!(cancel.talk.contains("FAILED_PRECONDITION"), "{cancel:?}");
}

/// Watches a run from its beginning, over both of its attempts.
fn watch_it_fail(server: &Driftqd, run_id: &str) {
    let watcher = command(&server.url, &["run", "watch", run_id, "--json"]).spawn().expect("it was built");
    for _ in 0..2 {
        let taken = server.take("runs.commands", "workers");
        assert_eq!(driftq_with(&server.url, &["nack", "--reason", "boom"], &taken).code, 0);
    }
    let watched = watcher.wait_with_output().expect("it ends with the run");
    assert_eq!(watched.status.code(), Some(1), "a failed run is a 1");
    let types: Vec<_> = String::from_utf8(watched.stdout)
        .expect("it prints text")
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("each line is JSON")["type"].clone()
        })
        .collect();
    let expected = [
        "run.created",
        "worker.received",
        "run.attempt_failed",
        "run.retry_scheduled",
        "worker.received",
        "run.attempt_failed",
        "run.dlq",
        "run.failed",
    ];
    assert_eq!(types, expected);
}

/// Replays a run and watches only that.
fn watch_its_replay_succeed(server: &Driftqd, run_id: &str) {
    let replay = ["run", "replay", run_id, "--patch", r#"{"fail_at":null}"#, "--watch", "--json"];
    let mut watcher = command(&server.url, &replay).spawn().expect("it was built");
    let taken = server.take("runs.commands", "workers");
    assert!(taken.contains(r#""input":{"n":1}"#), "{taken}");
    assert_eq!(driftq_with(&server.url, &["ack", "--result", r#"{"ok":true}"#], &taken).code, 0);
    let mut text = String::new();
    watcher.stdout.take().expect("it is piped").read_to_string(&mut text).expect("it prints text");
    assert_eq!(
        watcher.wait().expect("it ends with the run").code(),
        Some(0),
        "a succeeded run is a 0: {text}"
    );
    assert!(text.lines().last().is_some_and(|line| line.contains(r#""type":"run.succeeded""#)), "{text}");
    assert!(!text.contains("run.created"), "watching a replay begins with it: {text}");
}
