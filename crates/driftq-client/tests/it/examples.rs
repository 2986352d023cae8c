//! The examples, run as they are, against a real server.

use std::process::{Command, Output};

use crate::driftqd::{Driftqd, built};

fn run(name: &str, server: &Driftqd) -> String {
    let binary = built().join("examples").join(name);
    assert!(
        binary.is_file(),
        "there is no example at {}: `cargo build -p driftq-client --examples`",
        binary.display()
    );
    let ran = Command::new(binary).env_clear().env("DRIFTQ_HTTP_URL", &server.url).output();
    let Output { status, stdout, stderr } = ran.expect("it is a program");
    let (said, told) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{said}{told}");
    said.into_owned()
}

#[test]
fn orders_are_billed_and_the_one_that_waits_comes_again() {
    let said = run("orders", &Driftqd::start());
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    let expected = [
        "order 1 billed: 100 cents",
        "order 2 billed: 200 cents",
        "order 2 has to wait",
        "order 3 billed: 300 cents",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_run_is_worked_on_watched_and_comes_to_its_result() {
    let said = run("summarize", &Driftqd::start());
    assert_eq!(said.matches("counting in attempt").count(), 1, "{said}");
    assert!(said.contains("words.counted") && said.contains("run.retry_scheduled"), "{said}");
    assert_eq!(said.lines().last(), Some("4 words"), "{said}");
}

#[test]
fn a_dead_letter_is_understood_mended_and_redriven() {
    let said = run("dead_letters", &Driftqd::start());
    let lines: Vec<_> = said.lines().collect();
    let expected = [
        "dlq.payments/0/0 failed in 2 attempts: cents are missing | cents are missing",
        "attempt 1 by charger: cents are missing",
        "attempt 2 by charger: cents are missing",
        "charged 500 cents",
    ];
    assert_eq!(lines, expected);
}
