//! Requests: what they refuse, what they ignore, what they keep as it is.

use driftq_api::{
    AckRequest, ConsumeItem, ConsumeQuery, ConsumeRequest, NackQuery, NackRequest, PatchTopicRequest,
    ProduceRequest, RedriveResponse, ReplayRequest, SeekRequest, SeekTo, TopicListQuery,
};
use expect_test::{Expect, expect};
use serde::{Deserialize, Serialize};

fn refusal<T: for<'de> Deserialize<'de> + std::fmt::Debug>(body: &str, expected: Expect) {
    let error = serde_json::from_str::<T>(body).expect_err("it must be refused");
    expected.assert_eq(&error.to_string());
}

fn again<T: for<'de> Deserialize<'de> + Serialize>(body: &str) -> String {
    let read: T = serde_json::from_str(body).expect("it must be read");
    serde_json::to_string(&read).expect("it must be written")
}

#[test]
fn an_unknown_field_is_refused_by_its_name_at_every_depth() {
    refusal::<ProduceRequest>(
        r#"{"topic":"t","value":1,"colour":2}"#,
        expect![
            "unknown field `colour`, expected one of `topic`, `key`, `value`, `envelope`, `idempotency_key`, `idempotency_fingerprint`, `tenant_id`, `tenant`, `delay_ms`, `deliver_at_ms`, `headers` at line 1 column 31"
        ],
    );
    refusal::<ProduceRequest>(
        r#"{"topic":"t","value":1,"envelope":{"retry_policy":{"attempts":3}}}"#,
        expect![
            "unknown field `attempts`, expected one of `max_attempts`, `backoff_ms`, `max_backoff_ms`, `jitter_ms` at line 1 column 61"
        ],
    );
    refusal::<NackRequest>(
        r#"{"error":{"message":"m","code":1}}"#,
        expect!["unknown field `code`, expected one of `message`, `type`, `stack` at line 1 column 30"],
    );
    refusal::<ConsumeRequest>(
        r#"{"mode":"push"}"#,
        expect!["unknown variant `push`, expected `stream` or `poll` at line 1 column 14"],
    );
}

#[test]
fn a_whole_message_may_carry_anything_beside_what_names_the_delivery() {
    let body = r#"{"topic":"t","group":"g","msg":{"partition":3,"offset":9,"owner":"o","lease_id":"l",
        "value":{"deep":[1]},"attempts":2,"envelope":{"dlq":{}},"anything":null}}"#;
    let ack: AckRequest = serde_json::from_str(body).expect("the whole message is a shape of an ack");
    let msg = ack.msg.expect("it was sent");
    assert_eq!((msg.partition, msg.offset), (Some(3), Some(9)));
    assert_eq!((msg.owner.as_deref(), msg.lease_id.as_deref()), (Some("o"), Some("l")));
    assert_eq!(msg.topic, None);
}

#[test]
fn the_users_json_keeps_its_own_text() {
    for value in
        ["12345678901234567890123", "1.10", "1e400", "-0", r#"{"b":1,"a":[1.0,null]}"#, r#""\u00e9""#, "null"]
    {
        let body = format!(r#"{{"topic":"t","value":{value}}}"#);
        assert_eq!(again::<ProduceRequest>(&body), body);
        let body = format!(r#"{{"topic":"t","result":{value}}}"#);
        assert_eq!(again::<AckRequest>(&body), body);
    }
}

#[test]
fn null_is_told_from_absent_where_it_is_the_users_json() {
    let null: ReplayRequest = serde_json::from_str(r#"{"input":null}"#).expect("null is a JSON value");
    assert_eq!(null.input.expect("it was sent").get(), "null");
    let absent: ReplayRequest = serde_json::from_str("{}").expect("all of it is optional");
    assert!(absent.input.is_none() && absent.patch.is_none());
}

#[test]
fn a_dead_letter_can_be_produced_again_as_it_was_read() {
    let body =
        r#"{"topic":"t","value":1,"envelope":{"run_id":"r","dlq":{"original_topic":"t","attempts":3}}}"#;
    assert_eq!(again::<ProduceRequest>(body), r#"{"topic":"t","value":1,"envelope":{"run_id":"r"}}"#);
}

#[test]
fn answers_ignore_what_they_do_not_know() {
    let item = r#"{"partition":0,"offset":1,"attempts":1,"key":"","value":"v","last_error":"","topic":"t",
        "group":"g","owner":"o","lease_id":"l","lease_until_ms":5,"message_id":"m","produced_at_ms":4,
        "envelope":{"run_id":"r","later":1},"tomorrow":{"a":1}}"#;
    expect![[r#"{"partition":0,"offset":1,"attempts":1,"key":"","value":"v","last_error":"","envelope":{"run_id":"r"},"topic":"t","group":"g","owner":"o","lease_id":"l","lease_until_ms":5,"message_id":"m","produced_at_ms":4}"#]]
    .assert_eq(&again::<ConsumeItem>(item));
}

#[test]
fn a_query_and_a_body_come_to_the_same_request() {
    let query = NackQuery { error: Some("boom".into()), offset: Some(7), ..NackQuery::default() };
    let request = NackRequest::from(query);
    assert_eq!((request.reason.as_deref(), request.offset), (Some("boom"), Some(7)));

    let query: ConsumeQuery =
        serde_json::from_str(r#"{"topic":"t","mode":"stream","unknown":"ignored"}"#).expect("it is a query");
    expect![[r#"{"topic":"t","mode":"stream"}"#]]
        .assert_eq(&serde_json::to_string(&ConsumeRequest::from(query)).expect("it is JSON"));
}

#[test]
fn a_flag_has_its_usual_spellings_and_no_others() {
    for (text, detail) in [("1", true), ("true", true), ("", true), ("0", false), ("false", false)] {
        let query: TopicListQuery =
            serde_json::from_str(&format!(r#"{{"detail":"{text}"}}"#)).expect("it is a spelling");
        assert_eq!(query.detail, detail, "{text}");
    }
    refusal::<TopicListQuery>(
        r#"{"detail":"maybe"}"#,
        expect!["`maybe` is neither 1 nor 0 at line 1 column 18"],
    );
}

#[test]
fn the_two_answers_of_a_redrive_differ_by_their_status() {
    let run = r#"{"status":"replayed","run_id":"r","replay_seq":2}"#;
    let message = r#"{"status":"redriven","topic":"t","partition":0,"offset":4,"message_id":"m"}"#;
    assert_eq!(again::<RedriveResponse>(run), run);
    assert_eq!(again::<RedriveResponse>(message), message);
}

#[test]
fn a_seek_goes_to_a_word_a_place_or_a_time_and_nothing_else() {
    let to = |body: &str| serde_json::from_str::<SeekTo>(body);
    assert_eq!(to(r#""earliest""#).ok(), Some(SeekTo::Earliest));
    assert_eq!(to(r#""latest""#).ok(), Some(SeekTo::Latest));
    let place = SeekTo::Offset { partition: 2, offset: 9 };
    assert_eq!(to(r#"{"partition":2,"offset":9}"#).ok(), Some(place));
    assert_eq!(to(r#"{"time_ms":7}"#).ok(), Some(SeekTo::Time { time_ms: 7 }));
    assert_eq!(serde_json::to_string(&place).ok().as_deref(), Some(r#"{"partition":2,"offset":9}"#));
    refusal::<SeekRequest>(
        r#"{"to":"middle"}"#,
        expect![[
            r#"invalid value: string "middle", expected `earliest`, `latest`, {"partition","offset"} or {"time_ms"} at line 1 column 14"#
        ]],
    );
    refusal::<SeekRequest>(
        r#"{"to":{"offset":1}}"#,
        expect![[
            r#"invalid value: map, expected `earliest`, `latest`, {"partition","offset"} or {"time_ms"} at line 1 column 18"#
        ]],
    );
    refusal::<SeekRequest>(
        r#"{"to":{"partition":1,"offset":1,"at":2}}"#,
        expect!["unknown field `at`, expected one of `partition`, `offset`, `time_ms` at line 1 column 36"],
    );
}

#[test]
fn a_patch_tells_null_from_absent_at_every_depth() {
    let body = r#"{"retry_policy":{"max_attempts":3,"backoff_ms":null},"idempotency_window_ms":null,"routing":{"meta":{"a":null,"b":"c"}}}"#;
    assert_eq!(again::<PatchTopicRequest>(body), body);
    let patch: PatchTopicRequest = serde_json::from_str(body).expect("it is a patch");
    assert_eq!(patch.idempotency_window_ms, Some(None));
    assert_eq!(patch.partition_max_bytes, None);
    refusal::<PatchTopicRequest>(
        r#"{"retention":{"days":1}}"#,
        expect![
            "unknown field `days`, expected one of `age_ms`, `bytes`, `dead_letter_age_ms` at line 1 column 20"
        ],
    );
}
