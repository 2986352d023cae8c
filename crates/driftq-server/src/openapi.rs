//! The OpenAPI document, made from the table of routes and the types on the wire.
//!
//! Promise: the same release makes the same bytes.

use crate::access::{Rule, Who, either};
use crate::routes;
use driftq_api::ErrorBody;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AnyOfBuilder, ComponentsBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApiBuilder, Paths, Ref, RefOr, Required, Schema,
};
use utoipa::{IntoParams, ToSchema};

/// The name of the security scheme.
const TOKEN: &str = "token";

type Schemas = Vec<(String, RefOr<Schema>)>;

/// A media type, and what has it.
type Media = (&'static str, Option<RefOr<Schema>>);

/// What a route takes and answers.
pub(crate) struct Operation {
    tag: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: Vec<Parameter>,
    body: Option<RefOr<Schema>>,
    answers: Vec<(u16, Option<Media>)>,
    schemas: Schemas,
}

impl Operation {
    pub(crate) fn new(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            tag,
            id,
            summary,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            schemas: Vec::new(),
        }
    }

    /// It reads these query parameters.
    pub(crate) fn query<Q: IntoParams>(mut self) -> Self {
        self.parameters.extend(Q::into_params(|| Some(ParameterIn::Query)));
        self
    }

    /// It reads an `Idempotency-Key` header.
    pub(crate) fn idempotent(mut self) -> Self {
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .description(Some("The same key within the window gets the first answer."))
            .schema(Some(string()));
        self.parameters.push(key.build());
        self
    }

    /// It reads this JSON body, when there is one.
    pub(crate) fn body<B: ToSchema>(mut self) -> Self {
        self.body = Some(self.refer::<B>());
        self
    }

    /// It answers with this type.
    pub(crate) fn answers<A: ToSchema>(mut self, status: u16, media_type: &'static str) -> Self {
        let schema = self.refer::<A>();
        self.answers.push((status, Some((media_type, Some(schema)))));
        self
    }

    /// It answers with one of two types.
    pub(crate) fn answers_either<A: ToSchema, B: ToSchema>(mut self, status: u16) -> Self {
        // Not one of them: an empty list is both.
        let either = AnyOfBuilder::new().item(self.refer::<A>()).item(self.refer::<B>());
        self.answers.push((status, Some(("application/json", Some(Schema::from(either).into())))));
        self
    }

    /// It answers with something that has no type of ours.
    pub(crate) fn answers_any(mut self, status: u16, media_type: &'static str) -> Self {
        self.answers.push((status, Some((media_type, None))));
        self
    }

    /// It answers without a body.
    pub(crate) fn answers_nothing(mut self, status: u16) -> Self {
        self.answers.push((status, None));
        self
    }

    /// This type turns up inside of what it answers.
    pub(crate) fn mentions<A: ToSchema>(mut self) -> Self {
        self.refer::<A>();
        self
    }

    fn refer<A: ToSchema>(&mut self) -> RefOr<Schema> {
        let name = A::name().into_owned();
        A::schemas(&mut self.schemas);
        self.schemas.push((name.clone(), A::schema()));
        Ref::from_schema_name(name).into()
    }

    fn build(self, path: &str, rule: Rule) -> utoipa::openapi::path::Operation {
        let mut operation =
            OperationBuilder::new().tag(self.tag).operation_id(Some(self.id)).summary(Some(self.summary));
        if !matches!(rule.who, Who::Everybody) {
            let none: [String; 0] = [];
            operation = operation
                .security(SecurityRequirement::new(TOKEN, none))
                .description(Some(needs(rule)))
                .extensions(Some(verbs(rule)))
                .response("401", Ref::from_response_name("Unauthenticated"));
        }
        // A browser's foreign page is refused on every route.
        operation = operation.response("403", Ref::from_response_name("PermissionDenied"));
        for parameter in path_parameters(path).into_iter().chain(self.parameters) {
            operation = operation.parameter(parameter);
        }
        if let Some(schema) = self.body {
            let body = RequestBodyBuilder::new()
                .content("application/json", ContentBuilder::new().schema(Some(schema)).build())
                .required(Some(Required::False));
            operation = operation.request_body(Some(body.build()));
        }
        let mut responses: BTreeMap<u16, Response> = BTreeMap::new();
        for (status, content) in self.answers {
            let response = responses.entry(status).or_insert_with(|| Response::new(words(status)));
            if let Some((media_type, schema)) = content {
                response
                    .content
                    .insert(media_type.to_owned(), ContentBuilder::new().schema(schema).build().into());
            }
        }
        for (status, response) in responses {
            operation = operation.response(status.to_string(), response);
        }
        operation.response("default", Ref::from_response_name("Error")).build()
    }
}

fn words(status: u16) -> &'static str {
    match status {
        200 => "Done",
        201 => "Made",
        204 => "Done, nothing to say",
        503 => "Not now",
        _ => "Answer",
    }
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}

/// What a token needs for a route, in a sentence.
fn needs(rule: Rule) -> String {
    let also = match rule.who {
        Who::WithOrOfRun(_) => ", or a token of this run",
        Who::Everybody | Who::EveryToken | Who::With(_) => "",
    };
    match rule.verbs() {
        None => "Where tokens are in force, any token will do.".to_owned(),
        Some(verbs) => format!("Where tokens are in force, it needs the verb {}{also}.", either(verbs)),
    }
}

/// The same for programs: `x-driftq-verbs` lists the verbs, one of which is needed; empty is any token.
fn verbs(rule: Rule) -> Extensions {
    let verbs: Vec<&str> = rule.verbs().unwrap_or_default().iter().map(|verb| verb.as_str()).collect();
    Extensions::builder().add("x-driftq-verbs", serde_json::json!(verbs)).build()
}

/// The parameters that a path's own text names.
fn path_parameters(path: &str) -> Vec<Parameter> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name: &str| {
        let schema = match name {
            "partition" | "offset" => {
                ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).minimum(Some(0))
            }
            _ => string(),
        };
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
        parameter.required(Required::True).schema(Some(schema)).build()
    };
    names.map(parameter).collect()
}

/// The document as JSON.
pub(crate) fn document() -> String {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(build).clone()
}

fn refusal(description: &str) -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorBody::name()))).build();
    ResponseBuilder::new().description(description).content("application/json", body).build()
}

fn build() -> String {
    let mut schemas: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    let mut nested = Vec::new();
    <ErrorBody as ToSchema>::schemas(&mut nested);
    nested.push((ErrorBody::name().into_owned(), <ErrorBody as utoipa::PartialSchema>::schema()));
    let mut paths = Paths::new();
    for route in routes::table() {
        let mut operation = route.operation;
        nested.append(&mut operation.schemas);
        paths.add_path_operation(&route.path, vec![route.method], operation.build(&route.path, route.rule));
    }
    schemas.extend(nested);
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "A token of the server's token file, or one that reads a single run. Without a token file none is needed.",
    ));
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .response("Error", refusal("Refused: `error` is the code, `message` says what to do"))
        .response("Unauthenticated", refusal("No token, or not a good one"))
        .response("PermissionDenied", refusal("The token lacks the verb, or the page or host is not allowed"))
        .security_scheme(TOKEN, SecurityScheme::Http(scheme.build()))
        .build();
    let info = InfoBuilder::new()
        .title("DriftQ")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("A durable broker with runs, retries, dead letters and replay."))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    let document = OpenApiBuilder::new().info(info.build()).paths(paths).components(Some(components)).build();
    let mut document = serde_json::to_value(document).expect("the document has no key that is not a string");
    unsign(&mut document);
    format!("{document:#}\n")
}

/// Names the formats of numbers that are never negative; what is derived names the signed ones, whose range is smaller.
fn unsign(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(unsign),
        Value::Object(members) => {
            let is_unsigned =
                members.get("minimum").and_then(Value::as_f64).is_some_and(|least| least >= 0.0);
            if let Some(Value::String(format)) = members.get_mut("format")
                && is_unsigned
                && matches!(format.as_str(), "int32" | "int64")
            {
                format.insert(0, 'u');
            }
            members.values_mut().for_each(unsign);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
