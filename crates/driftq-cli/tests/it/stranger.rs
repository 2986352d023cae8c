//! Somebody who has never seen this system: what is failing, since when, why, on which attempt did it
//! differ; then one is mended and the rest redriven, watched, stopped, and gone on with.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use crate::{
    driftq::{Ran, command, driftq_with},
    driftqd::Driftqd,
};

/// How many orders fail.
const ORDERS: usize = 40;

/// The one whose value is wrong; the others had bad luck.
const BAD: usize = 7;

/// Slow enough to be stopped in the middle.
const RATE: &str = "4";

/// More than any test waits; then it has failed.
const LOOKS_MAX: usize = 3_000;

fn produce_orders(server: &Driftqd) {
    server.run(&["topic", "create", "orders"]).good();
    let lines: String = (0..ORDERS)
        .map(|n| if n == BAD { "{\"n\":\"seven\"}\n".to_owned() } else { format!("{{\"n\":{n}}}\n") })
        .collect();
    let produce = ["produce", "orders", "--lines", "--batch", "16", "--max-attempts", "2"];
    assert_eq!(driftq_with(&server.url, &produce, &lines).good(), "orders  40 stored\n");
}

/// A worker takes all that is due and fails each with what it says.
fn fail_all(server: &Driftqd, owner: &str, why: impl Fn(usize) -> String) {
    let count = ORDERS.to_string();
    let take = ["consume", "orders", "-g", "billing", "-o", owner, "-n", &count, "--idle", "20s", "--json"];
    let taken = server.run(&take).good();
    assert_eq!(taken.lines().count(), ORDERS);
    for line in taken.lines() {
        let offset = serde_json::from_str::<Value>(line).expect("it is JSON")["offset"].as_u64();
        let n = usize::try_from(offset.expect("it has an offset")).expect("it is small");
        let nack = ["nack", "--reason", &why(n)];
        assert_eq!(driftq_with(&server.url, &nack, line).code, 0);
    }
}

/// All orders have failed for good: the same way but for one.
fn all_fail(server: &Driftqd) {
    produce_orders(server);
    fail_all(server, "worker-1", |n| format!("order {n}: no answer after {} ms", 1_000 + n));
    fail_all(server, "worker-2", |n| match n {
        BAD => "n is no number".to_owned(),
        _ => format!("order {n}: no answer after {} ms", 2_000 + n),
    });
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is no text in {value}"))
}

fn count(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {value}"))
}

/// Looks until it is so.
fn until(what: &str, mut look: impl FnMut() -> Value, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..LOOKS_MAX {
        last = look();
        if is_so(&last) {
            return last;
        }
    }
    panic!("it did not come to this: {what}; the last look: {last}");
}

/// What fails, how often, since when, and one of each.
fn what_fails(server: &Driftqd) -> (Value, Value) {
    let mut groups = server.run(&["dlq", "groups", "--topic", "orders", "--json"]).lines();
    assert_eq!(groups.len(), 2, "{groups:?}");
    let rare = groups.pop().expect("there are two");
    let frequent = groups.pop().expect("there are two");
    assert_eq!((count(&frequent, "count"), count(&rare, "count")), (ORDERS as u64 - 1, 1));
    assert!(text(&frequent["error"], "message").contains("no answer after"), "{frequent}");
    assert_eq!(text(&rare["error"], "message"), "n is no number");
    assert!(count(&frequent, "first_at_ms") <= count(&frequent, "last_at_ms"));
    assert_eq!(frequent["groups"], json!(["billing"]));
    // The same for eyes: one line each, the most frequent first.
    let table = server.run(&["dlq", "groups", "--topic", "orders"]).good();
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[1].contains(" 39 ") && lines[2].contains("n is no number"), "{table}");
    (frequent, rare)
}

fn address(letter: &Value) -> String {
    format!("{}/{}/{}", text(letter, "topic"), letter["partition"], letter["offset"])
}

/// On which attempt it differed, and in what.
fn where_it_differed(server: &Driftqd, rare: &Value) -> String {
    let at = address(&rare["sample"]);
    let shown = server.run(&["dlq", "show", &at, "--json"]).line();
    assert_eq!(shown["history"].as_array().map(Vec::len), Some(2), "{shown}");
    let diff = server.run(&["dlq", "diff", &at, "--json"]).line();
    let fields: Vec<_> =
        diff["changed"].as_array().expect("a list").iter().map(|change| text(change, "field")).collect();
    assert!(fields.contains(&"owner") && fields.contains(&"error.message"), "{diff}");
    let table = server.run(&["dlq", "diff", &at]).good();
    assert!(table.contains("worker-1") && table.contains("n is no number"), "{table}");
    at
}

/// The value is mended in an editor, the dead letter keeps what it had, and the order is billed.
fn mend(server: &Driftqd, at: &str) {
    let folder = tempfile::TempDir::new().expect("there is room");
    let editor = folder.path().join("editor");
    fs::write(&editor, "#!/bin/sh\nprintf '{\"n\": 7}' > \"$1\"\n").expect("it can be written");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let redrive = ["dlq", "redrive", at, "--edit", "--reason", "seven is 7", "--actor", "ann", "--json"];
    let output = command(&server.url, &redrive).env("EDITOR", &editor).env("PATH", "/usr/bin:/bin").output();
    let output = output.expect("the binary was built");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(r#""status":"redriven""#), "{said}");

    let billed = ["consume", "orders", "-g", "billing", "--ack", "-n", "1", "--idle", "20s", "--json"];
    let billed = server.run(&billed).line();
    assert_eq!((&billed["value"], &billed["attempts"]), (&json!({ "n": 7 }), &json!(1)));
    let kept = server.run(&["dlq", "show", at, "--json"]).line();
    assert_eq!(kept["value"], json!({ "n": "seven" }));
    let closed = &kept["closed"];
    assert_eq!((&closed["edited"], &closed["actor"]), (&json!(true), &json!("ann")));
    assert_eq!(closed["reason"], "seven is 7");
}

fn job(server: &Driftqd, id: &str) -> Value {
    server.run(&["dlq", "job", "show", id, "--json"]).line()
}

#[test]
fn a_stranger_sees_what_fails_mends_one_and_redrives_the_rest_with_a_stop_in_between() {
    let server = Driftqd::start();
    all_fail(&server);
    let (frequent, rare) = what_fails(&server);
    let at = where_it_differed(&server, &rare);
    mend(&server, &at);

    // All of that kind, slowly; first only a look.
    let all = ["dlq", "redrive-all", "--topic", "orders", "--fingerprint", text(&frequent, "fingerprint")];
    let dry = server.run(&[&all[..], &["--dry-run", "--json"]].concat()).line();
    assert_eq!(count(&dry, "matched"), ORDERS as u64 - 1);
    let start = [&all[..], &["--rate", RATE, "--reason", "the provider is back", "--json"]].concat();
    let started = server.run(&start).line();
    let id = text(&started, "job_id");

    // Watch it, let it rest, let it go on.
    until("some are moved", || job(&server, id), |job| count(job, "moved") >= 2);
    let paused = server.run(&["dlq", "job", "pause", id, "--json"]).line();
    assert_eq!(text(&paused, "status"), "paused");
    let rested = job(&server, id);
    assert_eq!(count(&rested, "moved"), count(&paused, "moved"));
    server.run(&["dlq", "job", "resume", id]).good();
    let moved = count(&paused, "moved");
    until("it goes on", || job(&server, id), |job| count(job, "moved") > moved);

    // Stop it: the rest stays where it is, and the watch says that it was no end.
    let stopped = server.run(&["dlq", "job", "stop", id, "-r", "lunch", "--json"]).line();
    let moved = count(&stopped, "moved");
    assert!(moved < ORDERS as u64 - 1, "{stopped}");
    let watched: Ran = server.run(&["dlq", "job", "watch", id, "--json"]);
    assert_eq!(watched.code, 1, "{watched:?}");
    let left = server.run(&["dlq", "list", "--topic", "orders", "--json"]).lines().len() as u64;
    assert_eq!(left, ORDERS as u64 - 1 - moved);

    // Go on with what is left, and see it through.
    let again = [&all[..], &["--rate", "1000", "--canary", "3", "--json"]].concat();
    let second = server.run(&again).line();
    let bill = ["consume", "orders", "-g", "billing", "--ack", "-n", "39", "--idle", "20s", "--json"];
    let billed = server.run(&bill).lines();
    assert_eq!(billed.len(), ORDERS - 1);
    let watched = server.run(&["dlq", "job", "watch", text(&second, "job_id"), "--json"]);
    assert_eq!(watched.code, 0, "{watched:?}");
    let last: Value =
        serde_json::from_str(watched.data.lines().last().expect("it said something")).expect("JSON");
    assert_eq!((text(&last, "status"), count(&last, "succeeded"), count(&last, "failed")), ("done", left, 0));
    assert_eq!(server.run(&["dlq", "list", "--json"]).lines(), Vec::<Value>::new());
    let nothing = server.run(&again);
    assert_eq!(nothing.code, 1);
    assert!(nothing.talk.contains("no open dead letter matches the filter"), "{nothing:?}");
}

#[test]
fn a_stranger_sees_why_a_message_does_not_run_and_lets_it_run_now() {
    let server = Driftqd::start();
    server.run(&["topic", "create", "orders"]).good();
    server.run(&["produce", "orders", "1", "--max-attempts", "5", "--backoff", "1h"]).good();
    let explain = ["explain", "orders/0/0", "-g", "billing", "--json"];
    assert_eq!(text(&server.run(&explain).line(), "code"), "no_group");
    let take = ["consume", "orders", "-g", "billing", "-o", "w", "-n", "1", "--idle", "20s", "--json"];
    let taken = server.run(&take).good();
    let leased = server.run(&explain).line();
    assert_eq!((text(&leased, "code"), text(&leased["lease"], "owner")), ("leased", "w"));
    let extended = driftq_with(&server.url, &["extend", "--lease", "5m", "--json"], &taken).line();
    assert!(count(&extended, "lease_until_ms") > count(&leased["lease"], "until_ms"));
    assert_eq!(driftq_with(&server.url, &["nack", "--reason", "busy"], &taken).code, 0);
    let backoff = server.run(&explain).line();
    assert_eq!((text(&backoff, "code"), text(&backoff, "last_error")), ("backoff", "busy"));
    let due = server.run(&["retry-now", "orders/0/0", "-g", "billing", "--json"]).line();
    assert_eq!((text(&due, "status"), text(&due, "was")), ("due", "backoff"));
    let again = server.run(&take).line();
    assert_eq!(again["attempts"], 2);

    let groups = server.run(&["group", "list", "--topic", "orders", "--json"]).line();
    assert_eq!((text(&groups, "group"), count(&groups, "in_flight")), ("billing", 1));
    let seek = ["group", "seek", "orders", "billing", "--latest", "--yes", "--json"];
    assert_eq!(server.run(&seek).line()["partitions"][0]["offset"], 1);
    server.run(&["group", "delete", "orders", "billing", "--yes"]).good();
    server.run(&["topic", "set", "orders", "--max-attempts", "3", "--keep-for", "1h"]).good();
    let shown = server.run(&["topic", "show", "orders", "--json"]).line();
    assert_eq!(shown["settings"]["retry_policy"]["max_attempts"], 3);
    server.run(&["topic", "delete", "orders", "--yes"]).good();
    assert_eq!(server.run(&["topic", "show", "orders"]).code, 1);
}

#[test]
fn a_stranger_sees_which_attempt_of_a_run_differed() {
    let server = Driftqd::start();
    let start = [
        "run",
        "start",
        "demo",
        "--run-id",
        "r",
        "-i",
        r#"{"n":1}"#,
        "--max-attempts",
        "2",
        "--backoff",
        "1ms",
    ];
    server.run(&start).good();
    let take = |owner: &str| {
        let args =
            ["consume", "runs.commands", "-g", "workers", "-o", owner, "-n", "1", "--idle", "20s", "--json"];
        server.run(&args).good()
    };
    for owner in ["worker-1", "worker-2"] {
        assert_eq!(driftq_with(&server.url, &["nack", "--reason", "boom"], &take(owner)).code, 0);
    }
    server.run(&["run", "replay", "r", "--patch", r#"{"n":2}"#]).good();
    assert_eq!(driftq_with(&server.url, &["ack", "--result", "3"], &take("worker-2")).code, 0);

    let attempts = server.run(&["run", "attempts", "r", "--json"]).lines();
    let outcomes: Vec<_> = attempts.iter().map(|attempt| text(attempt, "outcome")).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "failed").count(), 2, "{attempts:?}");
    assert!(outcomes.contains(&"succeeded"), "{attempts:?}");
    let diff = server.run(&["run", "diff", "r", "--json"]).line();
    let fields: Vec<_> =
        diff["changed"].as_array().expect("a list").iter().map(|change| text(change, "field")).collect();
    assert!(fields.contains(&"outcome") && fields.contains(&"input"), "{diff}");
    let between = server.run(&["run", "diff", "r", "0.1", "0.2"]).good();
    assert!(between.contains("worker-1") && between.contains("worker-2"), "{between}");
    assert!(server.run(&["run", "events", "r"]).good().contains("run.replay_requested"));
}

#[test]
fn a_stranger_hands_a_browser_a_token_that_reads_one_run() {
    let server = Driftqd::start();
    server.run(&["run", "start", "demo", "--run-id", "r"]).good();
    let token = server.run(&["run", "token", "r", "--ttl", "1m", "--json"]).line();
    assert!(text(&token, "token").starts_with("dqr_"), "{token}");
    assert_eq!(text(&token, "run_id"), "r");
    assert_eq!(server.run(&["run", "token", "nobody"]).code, 1);
}
