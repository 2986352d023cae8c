//! Dead letters at the command line: nothing is done to all of them by a slip, and none is lost by one.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
};

use serde_json::Value;

use crate::{
    driftq::{Ran, command, driftq_with},
    driftqd::Driftqd,
};

/// A server with so many dead letters of one topic.
fn with_letters(count: usize) -> Driftqd {
    let server = Driftqd::start();
    server.run(&["topic", "create", "orders"]).good();
    let lines: String = (0..count).map(|n| format!("{n}\n")).collect();
    driftq_with(&server.url, &["produce", "orders", "--lines", "--max-attempts", "1"], &lines).good();
    let max = count.to_string();
    let take = ["consume", "orders", "-g", "g", "-o", "o", "-n", &max, "--idle", "20s", "--json"];
    let taken = server.run(&take).good();
    assert_eq!(driftq_with(&server.url, &["nack", "--reason", "boom"], &taken).code, 0);
    server
}

fn open(server: &Driftqd) -> Vec<Value> {
    server.run(&["dlq", "list", "--json"]).lines()
}

#[test]
fn all_dead_letters_are_redriven_only_by_somebody_who_says_all() {
    let server = with_letters(2);
    let ran = server.run(&["dlq", "redrive-all"]);
    assert_eq!((ran.code, open(&server).len()), (2, 2), "{ran:?}");
    let talk = "error: this would redrive all 2 open dead letters of every topic; say so with --yes\n";
    assert_eq!(ran.talk, talk);
    assert_eq!(server.run(&["dlq", "redrive-all", "--all", "--topic", "orders"]).code, 2, "all, or some");
    assert_eq!(server.run(&["dlq", "redrive-all", "--dry-run", "--json"]).line()["matched"], 2);
    let job = server.run(&["dlq", "redrive-all", "--all", "-r", "it is mended", "--json"]).line();
    assert_eq!((&job["matched"], &job["reason"]), (&2.into(), &"it is mended".into()));
}

#[test]
fn a_deletion_names_the_dead_letters() {
    let server = with_letters(2);
    let said = |name: &str| {
        let ran = server.run(&["topic", "delete", name]);
        assert_eq!(ran.code, 2, "{ran:?}");
        ran.talk
    };
    let end = "its 2 open dead letters stay in dlq.orders with no topic to go back to; say so with --yes\n";
    assert!(said("orders").ends_with(end), "{}", said("orders"));
    assert!(said("dlq.orders").contains("with 2 messages and 0 groups, 2 of them open dead letters"));
    let dry = server.run(&["topic", "delete", "dlq.orders", "--dry-run", "--json"]).line();
    assert_eq!(dry["open_dead_letters"], 2);
}

#[test]
fn a_value_that_was_left_as_it_is_is_not_redriven() {
    let server = with_letters(2);
    let folder = tempfile::TempDir::new().expect("there is room");
    let editor = folder.path().join("editor");
    // It changes the second value only.
    fs::write(&editor, "#!/bin/sh\ngrep -q 1 \"$1\" && printf 10 > \"$1\"\nexit 0\n")
        .expect("it can be written");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let redrive = ["dlq", "redrive", "dlq.orders/0/0", "dlq.orders/0/1", "--edit", "--json"];
    let output = command(&server.url, &redrive).env("EDITOR", &editor).env("PATH", "/usr/bin:/bin").output();
    let output = output.expect("the binary was built");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{talk}");
    assert!(talk.starts_with("dlq.orders/0/0: nothing was changed, so it was not redriven"), "{talk}");
    let left = open(&server);
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0]["address"], &left[0]["value"]), (&"dlq.orders/0/0".into(), &0.into()));
}

#[test]
fn addresses_are_read_from_a_list_that_was_printed() {
    let server = with_letters(3);
    let addresses: String = open(&server)
        .iter()
        .map(|letter| letter["address"].as_str().expect("it has one").to_owned() + "\n")
        .collect();
    let bad: Ran = driftq_with(&server.url, &["dlq", "redrive", "-"], "dlq.orders/0/0\nnowhere\n");
    assert_eq!((bad.code, open(&server).len()), (2, 3), "{bad:?}");
    assert!(bad.talk.starts_with("error: line 2: an address looks like"), "{bad:?}");
    assert_eq!(driftq_with(&server.url, &["dlq", "redrive", "-", "--edit"], &addresses).code, 2);
    assert_eq!(driftq_with(&server.url, &["dlq", "redrive", "-", "--json"], &addresses).lines().len(), 3);
    assert!(open(&server).is_empty());
    let settled = ["consume", "orders", "-g", "g", "-o", "o", "-n", "1", "--idle", "20s", "--json"];
    let offset = server.run(&settled).line()["offset"].to_string();
    let at = format!("orders/0/{offset}");
    server.run(&["extend", &at, "-g", "g", "-o", "o"]).good();
    assert_eq!(server.run(&["ack", &at, "-g", "g", "-o", "o"]).good(), format!("acked  {at}\n"));
    assert_eq!(server.run(&["ack", "orders", "-g", "g", "-o", "o"]).code, 2);
}

#[test]
fn a_watch_sees_a_job_through_a_pause_and_a_restart_to_its_end() {
    let mut server = with_letters(20);
    let start = ["dlq", "redrive-all", "--topic", "orders", "--rate", "0.1", "--json"];
    let job = server.run(&start).line()["job_id"].as_str().expect("it has one").to_owned();
    let mut watch = command(&server.url, &["dlq", "job", "watch", &job, "--interval", "20ms", "--json"]);
    let mut watch = watch.spawn().expect("the binary was built");
    let mut lines = BufReader::new(watch.stdout.take().expect("it is piped")).lines();
    let mut until = |status: &str| {
        let is_so = |line: &String| {
            serde_json::from_str::<Value>(line).expect("each line is JSON")["status"] == status
        };
        lines.by_ref().map_while(Result::ok).any(|line| is_so(&line))
    };
    assert!(until("running"));
    server.run(&["dlq", "job", "pause", &job]).good();
    assert!(until("paused"), "a pause is no end");
    server.restart();
    server.run(&["dlq", "job", "resume", &job]).good();
    assert!(until("running"), "a restart is none either");
    server.run(&["dlq", "job", "stop", &job]).good();
    assert!(until("stopped"));
    assert_eq!(watch.wait().expect("it ends").code(), Some(1));
}
