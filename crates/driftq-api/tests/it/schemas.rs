//! Schemas: the user's JSON is anything, events are open objects.

use driftq_api::{NackRequest, ProduceRequest, RunEvent, StartRunRequest};
use utoipa::PartialSchema;

fn schema<T: PartialSchema>() -> serde_json::Value {
    serde_json::to_value(T::schema()).expect("a schema is JSON")
}

#[test]
fn the_users_json_may_be_anything() {
    assert_eq!(schema::<ProduceRequest>()["properties"]["value"].get("type"), None);
    assert_eq!(schema::<StartRunRequest>()["properties"]["input"].get("type"), None);
}

#[test]
fn requests_are_closed_and_events_are_open() {
    assert_eq!(schema::<NackRequest>()["additionalProperties"], false);
    let event = schema::<RunEvent>();
    assert_eq!(event["additionalProperties"], true);
    assert_eq!(event["required"].as_array().map(Vec::len), Some(6));
}
