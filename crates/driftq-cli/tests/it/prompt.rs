//! What somebody at a prompt, or a script, meets first: addresses, names, errors.

use std::process::Command;

use expect_test::expect;
use serde_json::json;

use crate::{
    driftq::{Ran, command, driftq, driftq_with},
    driftqd::Driftqd,
    printed::check,
    scripted::Server,
};

#[test]
fn health_is_told_also_to_somebody_without_a_token() {
    let refusal = r#"{"error":"UNAUTHENTICATED","message":"give a token"}"#;
    let server =
        Server::start(&[("GET /v1/readyz", 200, r#"{"status":"ready"}"#), ("GET /v1/version", 401, refusal)]);
    let told = driftq(&server.url, &["health"]).good();
    assert_eq!(told, format!("server  {}\nstatus  ready\n", server.url));
    let told = driftq(&server.url, &["health", "--json"]).line();
    assert_eq!(told, json!({ "url": server.url, "status": "ready" }));
}

#[test]
fn an_address_needs_no_scheme_and_an_empty_certificate_is_none() {
    let server = Server::start(&[
        ("GET /v1/readyz", 200, r#"{"status":"ready"}"#),
        ("GET /v1/version", 200, r#"{"version":"0.1.0","commit":"abc1234","wal_enabled":true}"#),
    ]);
    let bare = server.url.trim_start_matches("http://");
    let output = command(bare, &["health", "--json"]).env("DRIFTQ_CA_CERT", "").output();
    let output = output.expect("the binary was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_error_is_json_where_data_is() {
    let missing = r#"{"error":"NOT_FOUND","message":"there is no topic \"a\"; create it with POST /v1/topics {\"name\":\"a\"}"}"#;
    let server = Server::start(&[
        ("GET /v1/topics/a", 404, missing),
        ("POST /v1/dlq/dlq.a/0/1/redrive", 404, r#"{"error":"NOT_FOUND","message":"there is none"}"#),
    ]);
    check(
        driftq(&server.url, &["topic", "show", "a", "--json"]),
        1,
        expect![""],
        expect![[r#"
        {"error":"NOT_FOUND","message":"there is no topic \"a\"; create it with `driftq topic create a`","status":404,"retryable":false}
    "#]],
    );
    check(
        driftq(&server.url, &["topic", "show", "a"]),
        1,
        expect![""],
        expect![[r#"
        error: there is no topic "a"; create it with `driftq topic create a` (NOT_FOUND)
    "#]],
    );
    check(
        driftq(&server.url, &["dlq", "redrive", "dlq.a/0/1", "--json"]),
        1,
        expect![""],
        expect![[r#"
        {"error":"NOT_FOUND","message":"there is none","about":"dlq.a/0/1","status":404,"retryable":false}
    "#]],
    );
    for (args, code, word) in [
        (&["topic", "delete", "a", "--frobnicate"][..], 2, "USAGE"),
        (&["run", "start", "demo", "--input", "{"], 2, "USAGE"),
        (&["health", "--url", "http://nobody.invalid"], 1, "UNKNOWN_HOST"),
        (&["health", "--url", "127.0.0.1:1"], 1, "UNREACHABLE"),
    ] {
        let Ran { code: ended, data, talk } = driftq(&server.url, &[args, &["--json"]].concat());
        assert_eq!((ended, data.as_str(), talk.lines().count()), (code, "", 1), "{args:?}: {talk}");
        let error: serde_json::Value = serde_json::from_str(&talk).expect("it is JSON");
        assert_eq!(error["error"], word, "{error}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
    assert!(driftq(&server.url, &["--help", "--json"]).good().contains("Usage"));
}

#[test]
fn who_did_it_is_the_systems_name_where_the_environment_has_none() {
    let server = Driftqd::start();
    server.run(&["topic", "create", "orders"]).good();
    server.run(&["produce", "orders", "1", "--max-attempts", "1"]).good();
    let taken = server.take("orders", "g");
    assert_eq!(driftq_with(&server.url, &["nack"], &taken).code, 0);
    server.run(&["dlq", "discard", "dlq.orders/0/0", "--yes", "--actor", ""]).good();
    let id = Command::new("id").arg("-un").output().expect("the system has it");
    let name = String::from_utf8(id.stdout).expect("it is text");
    let closed = server.run(&["dlq", "show", "dlq.orders/0/0", "--json"]).line();
    assert_eq!(closed["closed"]["actor"], name.trim());
}
