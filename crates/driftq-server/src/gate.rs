//! What every request passes on its way in, and every answer on its way out.
//!
//! Promise: a request is refused before its body is read when that can be seen; bodies draw on one budget and have a time
//! limit; every answer and every log line carries the request's id. Queries and bodies are never logged.

use crate::access::{self, Caller};
use crate::app::App;
use crate::extract::accepts;
use crate::guard::Guard;
use crate::problem::{IsProblem, PROBLEM_JSON, Problem};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use driftq_api::ErrorCode;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};
use http_body_util::{BodyExt as _, BodyStream};
use hyper::body::{Body as _, Incoming};
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};
use tracing::Instrument as _;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// The longest path with its query, bytes.
pub(crate) const URL_BYTES_MAX: usize = 8 * 1024;
/// The most headers.
pub(crate) const HEADERS_MAX: usize = 64;
/// The most bytes of headers.
pub(crate) const HEADER_BYTES_MAX: usize = 32 * 1024;
/// The unit in which bodies draw on their budget.
const BUDGET_UNIT: usize = 1024;
/// How much a body of unknown length takes at a time.
const CHUNKED_STEP: usize = 64 * 1024;
/// How long a refused body is read on, so that its sender gets to see the answer.
const LINGER: Duration = Duration::from_secs(5);
/// How long nothing may come of a refused body.
const LINGER_IDLE: Duration = Duration::from_millis(250);
/// The longest request id that is taken over.
const REQUEST_ID_MAX: usize = 128;
/// How long a browser may remember an answer about its origin.
const CORS_AGE: Duration = Duration::from_secs(600);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, for those who write it down.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

/// The way into the router; clones share it.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Parts>);

struct Parts {
    app: App,
    router: Router,
    guard: Guard,
    /// Paths that need no token.
    open_paths: HashSet<String>,
    budget: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new(app: App) -> Self {
        let router = match cors(&app.config.allow_origin) {
            Some(cors) => crate::routes::router(app.clone()).layer(cors),
            None => crate::routes::router(app.clone()),
        };
        let guard = Guard::new(&app.config.allow_host, &app.config.allow_origin, app.access.is_on());
        let open_paths = crate::routes::open_paths().collect();
        let budget = Arc::new(Semaphore::new(app.config.body_budget_bytes / BUDGET_UNIT));
        Self(Arc::new(Parts { app, router, guard, open_paths, budget }))
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Result<Response, Infallible> {
        let id = request_id(request.headers());
        // A span costs each request something, so it is made only where somebody reads it; the line below has the id anyway.
        let is_traced = tracing::enabled!(tracing::Level::DEBUG);
        let named = id.to_str().unwrap_or_default().to_owned();
        let span =
            if is_traced { tracing::debug_span!("request", id = %named) } else { tracing::Span::none() };
        let wants_problem = accepts(request.headers(), "application/problem+json");
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let begun = Instant::now();
        let mut response = async {
            let response = self.pass(request, &named).await;
            let (status, took_ms) = (response.status().as_u16(), begun.elapsed().as_millis());
            if response.status().is_server_error() && status != 503 {
                tracing::error!(id = named, %method, path, status, took_ms, "answered");
            } else {
                tracing::debug!(%method, path, status, took_ms, "answered");
            }
            response
        }
        .instrument(span)
        .await;
        self.0.app.metrics.answered(&method, response.status());
        if wants_problem && response.extensions().get::<IsProblem>().is_some() {
            response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        }
        response.headers_mut().insert(REQUEST_ID, id);
        Ok(response)
    }

    async fn pass(&self, request: Request<Incoming>, id: &str) -> Response {
        let (mut head, body) = request.into_parts();
        let caller = match self.admit(&head) {
            Ok(caller) => caller,
            Err(problem) => return lingering(problem, &head.headers, body),
        };
        match self.read(body).await {
            Ok((body, _drawn)) => {
                head.extensions.insert(RequestId(id.to_owned()));
                if let Some(caller) = &caller {
                    head.extensions.insert(caller.clone());
                }
                let request = Request::from_parts(head, Body::from(body));
                let response = self.0.router.clone().oneshot(request).await;
                self.bound(response.unwrap_or_else(|never| match never {}), caller)
            }
            Err((problem, body)) => lingering(problem, &head.headers, body),
        }
    }

    /// Ends an open stream with the token that opened it.
    fn bound(&self, response: Response, caller: Option<Caller>) -> Response {
        let Some(caller) = caller.filter(|_| !response.body().is_end_stream()) else { return response };
        if response.body().size_hint().exact().is_some() {
            return response;
        }
        let over = access::is_over(self.0.app.clone(), caller);
        response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(over))))
    }

    /// Refuses what can be refused by the head alone; answers who asks, once tokens are in force.
    fn admit(&self, head: &http::request::Parts) -> Result<Option<Caller>, Problem> {
        let config = &self.0.app.config;
        let url = head.uri.path_and_query().map_or(0, |url| url.as_str().len());
        if url > URL_BYTES_MAX {
            return Err(Problem::invalid(format!(
                "the URL has {url} bytes; at most {URL_BYTES_MAX} are read"
            )));
        }
        let bytes: usize =
            head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if bytes > HEADER_BYTES_MAX {
            return Err(Problem::invalid(format!(
                "the headers have {bytes} bytes; at most {HEADER_BYTES_MAX} are read"
            )));
        }
        if head.version == Version::HTTP_11 && !head.headers.contains_key(header::HOST) {
            return Err(Problem::invalid("the Host header is missing"));
        }
        self.0.guard.admit(&head.uri, &head.headers)?;
        access::refuse_token_in_url(&head.uri)?;
        let caller = self.authenticate(head)?;
        if let Some(coding) = head.headers.get(header::CONTENT_ENCODING)
            && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            return Err(Problem::new(
                ErrorCode::UnsupportedMediaType,
                "a body with a Content-Encoding is not read; send it plain",
            ));
        }
        match content_length(&head.headers) {
            Some(length) if length > config.max_request_bytes as u64 => {
                Err(request_too_large(config.max_request_bytes))
            }
            Some(_) | None => Ok(caller),
        }
    }

    fn authenticate(&self, head: &http::request::Parts) -> Result<Option<Caller>, Problem> {
        let app = &self.0.app;
        // A browser asks for leave without the token that it is going to send; the guard has judged its page.
        let is_preflight = head.method == Method::OPTIONS
            && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !app.access.is_on() || is_preflight || self.0.open_paths.contains(head.uri.path()) {
            return Ok(None);
        }
        app.access.authenticate(&head.headers, app.now_ms()).map(Some)
    }

    /// Reads a body within its time, its bound and the budget of all bodies.
    async fn read(
        &self,
        mut body: Incoming,
    ) -> Result<(Bytes, Option<OwnedSemaphorePermit>), (Problem, Incoming)> {
        if body.is_end_stream() {
            return Ok((Bytes::new(), None));
        }
        match tokio::time::timeout(BODY_TIME, self.read_all(&mut body)).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(problem)) => Err((problem, body)),
            Err(_) => {
                let seconds = BODY_TIME.as_secs();
                Err((Problem::invalid(format!("the body did not arrive within {seconds} seconds")), body))
            }
        }
    }

    async fn read_all(&self, body: &mut Incoming) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem> {
        let max = self.0.app.config.max_request_bytes;
        let known = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
        let mut drawn = self.draw(known.unwrap_or(CHUNKED_STEP).min(max))?;
        let mut room = known.unwrap_or(CHUNKED_STEP);
        let mut read = BytesMut::with_capacity(known.unwrap_or(0).min(max));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::invalid("the body ended before it was complete"))?;
            let Ok(data) = frame.into_data() else { continue };
            if read.len() + data.len() > max {
                return Err(request_too_large(max));
            }
            while room < read.len() + data.len() {
                drawn.merge(self.draw(CHUNKED_STEP)?);
                room += CHUNKED_STEP;
            }
            read.extend_from_slice(&data);
        }
        Ok((read.freeze(), Some(drawn)))
    }

    fn draw(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = u32::try_from(bytes.div_ceil(BUDGET_UNIT)).unwrap_or(u32::MAX);
        let drawn = Arc::clone(&self.0.budget).try_acquire_many_owned(units);
        drawn.map_err(|_| Problem::overloaded("too many request bodies are on their way; retry later"))
    }
}

fn request_too_large(max: usize) -> Problem {
    Problem::too_large(format!("the request's body is larger than {max} bytes"))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// The id that came with the request, if it is one to repeat; otherwise 24 hexadecimal digits.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(&REQUEST_ID).filter(|id| {
        let id = id.as_bytes();
        !id.is_empty() && id.len() <= REQUEST_ID_MAX && id.iter().all(u8::is_ascii_graphic)
    });
    given.cloned().unwrap_or_else(|| {
        let made = format!("{:016x}{:08x}", fastrand::u64(..), fastrand::u32(..));
        HeaderValue::try_from(made).expect("hexadecimal digits are a valid header")
    })
}

fn cors(origins: &[String]) -> Option<CorsLayer> {
    let origins =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin.trim().trim_end_matches('/')).ok());
    let origins: Vec<_> = origins.collect();
    if origins.is_empty() {
        return None;
    }
    let exposed = [REQUEST_ID, header::RETRY_AFTER, header::ALLOW];
    let methods = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
    let cors =
        CorsLayer::new().allow_origin(AllowOrigin::list(origins)).allow_methods(AllowMethods::list(methods));
    Some(cors.allow_headers(AllowHeaders::mirror_request()).expose_headers(exposed).max_age(CORS_AGE))
}

/// A refusal whose sender may still be busy sending: without reading on for a moment, closing the connection would
/// take the answer away from it (RFC 9112, section 9.6).
fn lingering(problem: Problem, headers: &HeaderMap, body: Incoming) -> Response {
    let mut response = problem.into_response();
    if body.is_end_stream() || headers.contains_key(header::EXPECT) {
        return response;
    }
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.map(|answer| {
        let deadline = tokio::time::Instant::now() + LINGER;
        let rest = futures_util::stream::unfold(BodyStream::new(body), move |mut body| async move {
            let next = tokio::time::timeout(LINGER_IDLE, body.next());
            match tokio::time::timeout_at(deadline, next).await {
                Ok(Ok(Some(Ok(_)))) => Some((Ok::<_, axum::Error>(Bytes::new()), body)),
                Ok(Ok(Some(Err(_)) | None) | Err(_)) | Err(_) => None,
            }
        });
        Body::from_stream(answer.into_data_stream().chain(rest))
    })
}
