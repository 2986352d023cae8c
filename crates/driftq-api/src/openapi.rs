//! The schemas that no derive can know: objects with fields of their own.

use utoipa::openapi::{
    ObjectBuilder, OneOfBuilder, RefOr, Schema,
    schema::{AdditionalProperties, Type},
};

use crate::{ErrorCode, NewEvent, RunEvent, SeekTo};

fn integer(minimum: i32) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(minimum))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

impl utoipa::PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        string()
            .description(Some("Why a request was refused."))
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .into()
    }
}

impl utoipa::ToSchema for ErrorCode {}

impl utoipa::PartialSchema for RunEvent {
    fn schema() -> RefOr<Schema> {
        let mut event = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("An event of a timeline: flat, with whatever fields its type has."))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)));
        for (name, schema) in [
            ("seq", integer(1).description(Some("Its number, from 1 without a gap."))),
            ("ts", integer(0).description(Some("When, epoch milliseconds."))),
            ("type", string().description(Some("What happened."))),
            ("run_id", string().description(Some("The run."))),
            ("replay_seq", integer(0).description(Some("The replay, from 0."))),
            ("attempt", integer(0).description(Some("The attempt within the replay; 0 before the first."))),
        ] {
            event = event.property(name, schema).required(name);
        }
        event.into()
    }
}

impl utoipa::ToSchema for RunEvent {}

impl utoipa::PartialSchema for NewEvent {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("An event a worker writes: flat, with whatever fields it likes."))
            .property("type", string().description(Some("What happened.")))
            .required("type")
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

impl utoipa::ToSchema for NewEvent {}

impl utoipa::PartialSchema for SeekTo {
    fn schema() -> RefOr<Schema> {
        let object = || {
            ObjectBuilder::new()
                .schema_type(Type::Object)
                .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        };
        let offset = object()
            .property("partition", integer(0).description(Some("The partition.")))
            .property("offset", integer(0).description(Some("The first offset that is read again.")))
            .required("partition")
            .required("offset");
        let time = object()
            .property("time_ms", integer(0).description(Some("Epoch milliseconds.")))
            .required("time_ms");
        OneOfBuilder::new()
            .description(Some("Where a group reads on."))
            .item(string().enum_values(Some(["earliest", "latest"])))
            .item(offset)
            .item(time)
            .into()
    }
}

impl utoipa::ToSchema for SeekTo {}
