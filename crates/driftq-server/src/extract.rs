//! Parts of a request on their way into a handler.
//!
//! Promise: each extractor refuses with a [`Problem`] that names what is wrong.

use crate::access::Caller;
use crate::app::App;
use crate::json;
use crate::problem::Problem;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::Bytes;
use driftq_core::{Offset, PartitionId, RunId, StepName, TopicName};
use http::HeaderMap;
use http::request::Parts;
use serde::de::DeserializeOwned;

/// Query parameters that mean something without a value.
const FLAGS: &[&str] = &["detail", "internal"];

/// A request's fields: its JSON body when there is one, otherwise its query, read as `Q`.
pub(crate) struct Fields<T, Q>(pub(crate) T, std::marker::PhantomData<Q>);

impl<T, Q> Fields<T, Q> {
    pub(crate) fn take(self) -> T {
        self.0
    }
}

/// A request's fields as its query has them.
pub(crate) trait FromQuery<Q>: Sized {
    fn from_query(query: Q) -> Result<Self, Problem>;
}

impl<T, Q> FromRequest<App> for Fields<T, Q>
where
    T: DeserializeOwned + FromQuery<Q>,
    Q: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = body_of(request, app).await?;
        if body.is_empty() {
            return Ok(Self(T::from_query(json::read_query(&query, FLAGS)?)?, std::marker::PhantomData));
        }
        Ok(Self(json::read(&body)?, std::marker::PhantomData))
    }
}

/// A JSON body; an empty one is `{}`.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let body = body_of(request, app).await?;
        json::read(if body.is_empty() { b"{}" } else { &body }).map(Self)
    }
}

/// The gate has read the body already: this only takes it out.
async fn body_of(request: Request, app: &App) -> Result<Bytes, Problem> {
    let read = axum::body::to_bytes(request.into_body(), app.config.max_request_bytes).await;
    read.map_err(|_| Problem::invalid("the body could not be read"))
}

/// The query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        json::read_query(parts.uri.query().unwrap_or_default(), FLAGS).map(Self)
    }
}

async fn path_params(parts: &mut Parts, app: &App) -> Result<RawPathParams, Problem> {
    let params = RawPathParams::from_request_parts(parts, app).await;
    params.map_err(|_| Problem::invalid("the path is not valid UTF-8 once its escapes are resolved"))
}

fn named<'a>(params: &'a RawPathParams, name: &str) -> Result<&'a str, Problem> {
    let found = params.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| value).ok_or_else(|| Problem::not_found(format!("the path lacks {name}")))
}

/// The run that the path names.
pub(crate) struct RunParam(pub(crate) RunId);

impl FromRequestParts<App> for RunParam {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = path_params(parts, app).await?;
        Ok(Self(RunId::parse(named(&params, "run_id")?)?))
    }
}

/// The run and the step that the path names.
pub(crate) struct StepParam(pub(crate) RunId, pub(crate) StepName);

impl FromRequestParts<App> for StepParam {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = path_params(parts, app).await?;
        Ok(Self(RunId::parse(named(&params, "run_id")?)?, StepName::parse(named(&params, "step")?)?))
    }
}

/// The topic that the path names.
pub(crate) struct TopicParam(pub(crate) TopicName);

impl FromRequestParts<App> for TopicParam {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = path_params(parts, app).await?;
        Ok(Self(TopicName::parse(named(&params, "topic")?.trim())?))
    }
}

/// The dead letter that the path names.
pub(crate) struct DeadLetterParam(pub(crate) driftq_core::DeadLetterAt);

impl FromRequestParts<App> for DeadLetterParam {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = path_params(parts, app).await?;
        let number = |name: &str| {
            let text = named(&params, name)?;
            text.parse::<u64>()
                .map_err(|_| Problem::invalid(format!("{name} must be a whole number, not {text:?}")))
        };
        let partition = u32::try_from(number("partition")?).unwrap_or(u32::MAX);
        Ok(Self(driftq_core::DeadLetterAt {
            topic: TopicName::parse(named(&params, "topic")?.trim())?,
            partition: PartitionId(partition),
            offset: Offset(number("offset")?),
        }))
    }
}

/// The `Idempotency-Key` header.
pub(crate) struct KeyHeader(pub(crate) Option<String>);

impl FromRequestParts<App> for KeyHeader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        text_header(&parts.headers, "idempotency-key").map(Self)
    }
}

/// The id of a bulk redrive that the path names.
pub(crate) struct JobParam(pub(crate) String);

impl FromRequestParts<App> for JobParam {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let params = path_params(parts, app).await?;
        Ok(Self(named(&params, "job_id")?.to_owned()))
    }
}

/// Right behind which event a reader of a timeline goes on, by its `Last-Event-ID` header.
pub(crate) struct LastEventId(pub(crate) Option<String>);

impl FromRequestParts<App> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        text_header(&parts.headers, "last-event-id").map(Self)
    }
}

/// Who acts: the token's name, or without tokens what the `X-Driftq-Actor` header says.
pub(crate) struct Actor(pub(crate) Option<String>);

impl FromRequestParts<App> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        if let Some(caller) = parts.extensions.get::<Caller>() {
            return Ok(Self(Some(caller.name().to_owned())));
        }
        let is_short = |actor: &String| actor.len() <= crate::convert::ACTOR_BYTES_MAX;
        text_header(&parts.headers, "x-driftq-actor").map(|actor| Self(actor.filter(is_short)))
    }
}

fn text_header(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| Problem::invalid(format!("the header {name} is not UTF-8")))?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// Whether the caller wants a stream of events.
pub(crate) struct WantsEvents(pub(crate) bool);

impl FromRequestParts<App> for WantsEvents {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self(accepts(&parts.headers, "text/event-stream")))
    }
}

/// Whether `Accept` names this media type.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers.get_all(http::header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = values.flat_map(|value| value.split(',')).filter_map(|item| item.split(';').next());
    types.any(|item| item.trim().eq_ignore_ascii_case(media_type))
}
