//! Events: flat, in their order, untouched.

use driftq_api::{BrokerEvent, EventPage, Failure, PostEventsRequest, RunEvent};
use expect_test::expect;

#[test]
fn an_event_keeps_every_field_as_it_was() {
    let text = r#"{"seq":4,"ts":17,"type":"run.progress","run_id":"r","replay_seq":1,"attempt":2,"share":0.50,"big":12345678901234567890123,"nested":{"z":1,"a":null}}"#;
    let event: RunEvent = serde_json::from_str(text).expect("it is an event");
    assert_eq!((event.seq, event.attempt, event.kind.as_str()), (4, 2, "run.progress"));
    assert_eq!(event.fields.json("big").map(|json| json.get()), Some("12345678901234567890123"));
    assert_eq!(event.fields.read::<f64>("share"), Some(0.5));
    assert_eq!(event.fields.read::<u64>("absent"), None);
    assert_eq!(serde_json::to_string(&event).expect("it is JSON"), text);

    let page = format!(r#"{{"events":[{text}]}}"#);
    let read: EventPage = serde_json::from_str(&page).expect("it is a page");
    assert_eq!(serde_json::to_string(&read).expect("it is JSON"), page);
}

#[test]
fn an_event_without_its_number_is_refused_by_name() {
    let error = serde_json::from_str::<RunEvent>(r#"{"type":"run.log"}"#).expect_err("`seq` is missing");
    expect!["missing field `seq` at line 1 column 18"].assert_eq(&error.to_string());
}

#[test]
fn a_workers_event_needs_a_type_and_nothing_else() {
    let body = r#"{"events":[{"type":"run.log","line":"hello","ts":5}],"lease_id":"l"}"#;
    let request: PostEventsRequest = serde_json::from_str(body).expect("it is a request");
    assert_eq!(serde_json::to_string(&request).expect("it is JSON"), body);
    let error = serde_json::from_str::<PostEventsRequest>(r#"{"events":[{"line":"x"}]}"#)
        .expect_err("`type` is missing");
    expect!["missing field `type` at line 1 column 23"].assert_eq(&error.to_string());
}

#[test]
fn what_the_broker_writes_is_flat() {
    let failed = BrokerEvent::RunAttemptFailed {
        reason: "error".into(),
        error: Failure { message: "boom".into(), kind: Some("ValueError".into()), stack: None },
        max_attempts: 3,
    };
    expect![[r#"{"type":"run.attempt_failed","reason":"error","error":{"message":"boom","type":"ValueError"},"max_attempts":3}"#]]
    .assert_eq(&serde_json::to_string(&failed).expect("it is JSON"));

    let result = serde_json::value::RawValue::from_string(r#"{"n":1.0}"#.into()).expect("it is JSON");
    expect![[r#"{"type":"run.succeeded","result":{"n":1.0}}"#]]
        .assert_eq(&serde_json::to_string(&BrokerEvent::RunSucceeded { result }).expect("it is JSON"));
    expect![[r#"{"type":"run.cancelled"}"#]]
        .assert_eq(&serde_json::to_string(&BrokerEvent::RunCancelled {}).expect("it is JSON"));
}
