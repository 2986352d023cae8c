//! A sound ledger breaks no promise; each fault in it is found, and told with its lines.

use driftq_bench::torture::{Line, PLANTS, Rule, check};
use serde_json::{Value, json};

/// What happened to two messages and a run, all of it as promised, the server killed in the middle.
fn sound() -> Vec<Value> {
    let at = |offset: u64| json!({ "topic": "t", "partition": 0, "offset": offset });
    let held = |offset: u64, lease: &str, attempt: u32| json!({ "group": "g", "at": at(offset), "lease": lease, "attempt": attempt });
    let delivered = |offset: u64, id: &str, lease: &str, attempt: u32, life: u64, until_ms: u64| {
        json!({ "fact": "delivered", "held": held(offset, lease, attempt), "id": id, "life": life,
            "connection": life, "lease_ms": 1_000, "until_ms": until_ms })
    };
    let event = |seq: u64, kind: &str, attempt: u32| json!({ "seq": seq, "kind": kind, "replay": 0, "attempt": attempt, "hash": seq * 7 });
    let kept = |seq: u64, kind: &str, attempt: u32| json!({ "fact": "timeline_event", "run": "r", "event": event(seq, kind, attempt) });
    vec![
        json!({ "fact": "produce_intent", "id": "a", "topic": "t", "max_attempts": 0 }),
        json!({ "fact": "produced", "id": "a", "at": at(0), "duplicate": false }),
        json!({ "fact": "produce_intent", "id": "b", "topic": "t", "max_attempts": 2 }),
        // The answer is lost; the second one says so.
        json!({ "fact": "produced", "id": "b", "at": at(1), "duplicate": true }),
        // One is forgotten by its worker and comes again after the kill, when its lease has ended.
        delivered(0, "a", "l1", 1, 1, 10_000),
        json!({ "fact": "killed", "life": 1, "during": "load" }),
        delivered(0, "a", "l2", 2, 2, 11_000),
        json!({ "fact": "asking", "ask": "ack", "held": held(0, "l2", 2) }),
        json!({ "fact": "granted", "ask": "ack", "held": held(0, "l2", 2), "until_ms": 0 }),
        // One is nacked until it is a dead letter.
        delivered(1, "b", "l3", 1, 2, 10_500),
        json!({ "fact": "asking", "ask": "nack", "held": held(1, "l3", 1) }),
        json!({ "fact": "granted", "ask": "nack", "held": held(1, "l3", 1), "until_ms": 0 }),
        delivered(1, "b", "l4", 2, 2, 10_600),
        json!({ "fact": "asking", "ask": "nack", "held": held(1, "l4", 2) }),
        json!({ "fact": "run_intent", "run": "r" }),
        json!({ "fact": "run_created", "run": "r" }),
        json!({ "fact": "event_seen", "run": "r", "reader": 1, "event": event(1, "run.created", 0) }),
        json!({ "fact": "event_seen", "run": "r", "reader": 1, "event": event(2, "worker.received", 1) }),
        json!({ "fact": "run_acked", "run": "r", "replay": 0, "attempt": 1 }),
        // The last start.
        json!({ "fact": "kept", "id": "a", "at": at(0) }),
        json!({ "fact": "kept", "id": "b", "at": at(1) }),
        json!({ "fact": "group_found", "topic": "t", "group": "g", "lag": 0, "in_flight": 0 }),
        json!({ "fact": "dead_letter", "group": "g", "at": at(1) }),
        kept(1, "run.created", 0),
        kept(2, "worker.received", 1),
        kept(3, "run.succeeded", 1),
        json!({ "fact": "run_found", "run": "r", "replay": 0, "status": "succeeded" }),
        json!({ "fact": "stopped", "life": 2, "code": 0 }),
    ]
}

fn lines(facts: Vec<Value>) -> Vec<Line> {
    let line = |(at_us, mut fact): (u64, Value)| {
        fact["at_us"] = json!(at_us);
        serde_json::from_value(fact).expect("it is a line of a ledger")
    };
    (0..).zip(facts).map(line).collect()
}

/// The promises that a ledger breaks, after a change of one fact.
fn broken_by(number: usize, pointer: &str, value: Value) -> Vec<Rule> {
    let mut facts = sound();
    *facts[number].pointer_mut(pointer).expect("the fact has it") = value;
    let mut rules: Vec<Rule> = check(&lines(facts)).into_iter().map(|violation| violation.rule).collect();
    rules.dedup();
    rules
}

#[test]
fn a_sound_ledger_breaks_no_promise() {
    assert_eq!(check(&lines(sound())), []);
}

#[test]
fn every_planted_fault_is_found_under_its_promise() {
    let sound = lines(sound());
    for plant in PLANTS {
        let planted = plant.apply(&sound).unwrap_or_else(|| panic!("{} has a place", plant.name));
        let found = check(&planted);
        let told = found.iter().find(|violation| violation.rule == plant.breaks);
        let told = told.unwrap_or_else(|| panic!("{} was missed: {found:?}", plant.name));
        let last = planted.len() as u64;
        assert!(
            !told.lines.is_empty() && told.lines.iter().all(|line| (1..=last).contains(line)),
            "{told:?}"
        );
    }
}

#[test]
fn a_lost_message_is_told_with_its_intent_and_its_reply() {
    let mut facts = sound();
    facts.remove(19);
    let found = check(&lines(facts));
    let lost = found.iter().find(|violation| violation.rule == Rule::NothingLost).expect("it is found");
    assert_eq!(
        (lost.what.as_str(), lost.lines.as_slice()),
        ("a was stored at t/0@0, and is not there", &[1, 2][..])
    );
}

#[test]
fn a_message_without_an_answer_may_be_there_or_not() {
    let mut facts = sound();
    facts.insert(4, json!({ "fact": "produce_intent", "id": "c", "topic": "t", "max_attempts": 0 }));
    assert_eq!(check(&lines(facts)), []);
}

#[test]
fn an_ack_without_an_answer_may_have_settled_or_not() {
    let mut facts = sound();
    let granted = facts.remove(8);
    assert_eq!(check(&lines(facts.clone())), []);
    let refused = json!({ "fact": "refused", "ask": "ack", "held": granted["held"], "status": 409 });
    facts.insert(8, refused);
    let rules: Vec<Rule> = check(&lines(facts)).into_iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [Rule::EverythingSettled]);
}

#[test]
fn a_late_reader_of_an_older_attempt_breaks_no_promise_in_the_same_life() {
    let mut facts = sound();
    facts[4]["life"] = json!(2);
    facts.swap(4, 8);
    assert_eq!(check(&lines(facts)), []);
}

#[test]
fn single_changes_break_the_promise_they_should() {
    for (number, pointer, value, rule) in [
        (3, "/at/offset", json!(0), Rule::NothingLost),
        (6, "/held/attempt", json!(1), Rule::DeliveredOnce),
        (6, "/held/lease", json!("l1"), Rule::DeliveredOnce),
        (6, "/until_ms", json!(10_900), Rule::OneLiveLease),
        (4, "/held/attempt", json!(3), Rule::AckedStaysAcked),
        (12, "/held/attempt", json!(3), Rule::AttemptsForward),
        (11, "/ask", json!("ack"), Rule::EverythingSettled),
        (21, "/lag", json!(4), Rule::Alive),
        (17, "/event/seq", json!(3), Rule::TimelineWithoutGap),
        (17, "/event/hash", json!(1), Rule::SeenStaysSeen),
        (25, "/event/replay", json!(1), Rule::EndsOnce),
        (25, "/event/attempt", json!(2), Rule::RunKept),
        (26, "/status", json!("running"), Rule::Alive),
        (26, "/status", json!("failed"), Rule::EndsOnce),
        (27, "/code", Value::Null, Rule::Alive),
    ] {
        let rules = broken_by(number, pointer, value.clone());
        assert!(rules.contains(&rule), "{number}{pointer} = {value}: {rules:?}");
    }
}
