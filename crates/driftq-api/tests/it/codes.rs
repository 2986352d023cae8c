//! The table of codes.

use std::collections::BTreeSet;

use driftq_api::{ErrorBody, ErrorCode, error::ERROR_TYPE_PREFIX};
use expect_test::expect;

#[test]
fn the_table_reads_as_the_contract_says() {
    let table: String = ErrorCode::ALL
        .iter()
        .map(|code| {
            let again = if code.retryable() { " retryable" } else { "" };
            format!("{} {}{again}\n", code.as_str(), code.status())
        })
        .collect();
    expect![[r#"
        INVALID_ARGUMENT 400
        UNAUTHENTICATED 401
        PERMISSION_DENIED 403
        NOT_FOUND 404
        EXPIRED 404
        METHOD_NOT_ALLOWED 405
        FAILED_PRECONDITION 409
        PAYLOAD_TOO_LARGE 413
        UNSUPPORTED_MEDIA_TYPE 415
        UNPROCESSABLE 422
        RESOURCE_EXHAUSTED 429 retryable
        INTERNAL 500
        UNAVAILABLE 503 retryable
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_code_has_one_spelling_everywhere() {
    let mut slugs = BTreeSet::new();
    for code in ErrorCode::ALL {
        assert_eq!(serde_json::to_string(code).expect("it is JSON"), format!("\"{}\"", code.as_str()));
        assert_eq!(code.slug(), code.as_str().to_lowercase().replace('_', "-"));
        assert_eq!(code.type_uri(), format!("{ERROR_TYPE_PREFIX}{}", code.slug()));
        assert!(slugs.insert(code.slug()), "{} is there twice", code.slug());
    }
    assert_eq!(ErrorCode::from_status(404), Some(ErrorCode::NotFound));
    assert_eq!(ErrorCode::from_status(418), None);
}

#[test]
fn a_body_is_both_ours_and_a_problem() {
    let mut body = ErrorBody::new(ErrorCode::ResourceExhausted, "the partition is full; try again later");
    body.reason = Some("partition_buffer_full".into());
    body.retry_after_ms = Some(1500);
    expect![[r#"{"error":"RESOURCE_EXHAUSTED","message":"the partition is full; try again later","reason":"partition_buffer_full","retry_after_ms":1500,"type":"urn:driftq:error:resource-exhausted","title":"Over a limit for now","status":429,"detail":"the partition is full; try again later","retryable":true}"#]]
    .assert_eq(&serde_json::to_string(&body).expect("it is JSON"));
}

#[test]
fn a_body_of_two_members_is_still_an_error() {
    let body: ErrorBody = serde_json::from_str(r#"{"error":"NOT_FOUND","message":"use /v1/* endpoints"}"#)
        .expect("it is enough");
    assert_eq!((body.error, body.message.as_str()), (ErrorCode::NotFound, "use /v1/* endpoints"));
}
