//! Every path and method in one table.
//!
//! Promise: a route stands here once, with who may use it, what it takes and answers; the router, its checks and the
//! OpenAPI document are all made from this table, so none can know a route that another does not.

use crate::access::Reach::{Command, List, Messages, Path, Whole};
use crate::access::Verb::{Admin, Consume, Dlq, Produce, RunsRead, RunsWrite};
use crate::access::{self, Rule, Who};
use crate::app::App;
use crate::handlers::{
    attempts, consume, dead_letters, dev, events, groups, health, messages, produce, redrive_jobs, runs,
    settle, stats, steps, topics,
};
use crate::openapi::Operation;
use crate::problem::Problem;
use axum::Router;
use axum::handler::Handler;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use driftq_api as api;
use http::{HeaderValue, Method, Uri, header};
use utoipa::openapi::HttpMethod;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";
const JOB: &str = "/v1/dlq/jobs/{job_id}";
const DEAD_LETTER: &str = "/v1/dlq/{topic}/{partition}/{offset}";
/// How much of a path is repeated in an answer.
const PATH_SHOWN_MAX: usize = 200;

/// One route.
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) method: HttpMethod,
    pub(crate) rule: Rule,
    pub(crate) operation: Operation,
    handler: MethodRouter<App>,
}

fn route<H, T>(
    method: HttpMethod,
    filter: MethodFilter,
    path: &str,
    rule: Rule,
    handler: H,
    operation: Operation,
) -> Route
where
    H: Handler<T, App>,
    T: 'static,
{
    Route { path: path.to_owned(), method, rule, operation, handler: on(filter, handler) }
}

fn get<H: Handler<T, App>, T: 'static>(path: &str, rule: Rule, handler: H, operation: Operation) -> Route {
    route(HttpMethod::Get, MethodFilter::GET, path, rule, handler, operation)
}

fn post<H: Handler<T, App>, T: 'static>(path: &str, rule: Rule, handler: H, operation: Operation) -> Route {
    route(HttpMethod::Post, MethodFilter::POST, path, rule, handler, operation)
}

fn put<H: Handler<T, App>, T: 'static>(path: &str, rule: Rule, handler: H, operation: Operation) -> Route {
    route(HttpMethod::Put, MethodFilter::PUT, path, rule, handler, operation)
}

fn patch<H: Handler<T, App>, T: 'static>(path: &str, rule: Rule, handler: H, operation: Operation) -> Route {
    route(HttpMethod::Patch, MethodFilter::PATCH, path, rule, handler, operation)
}

fn delete<H: Handler<T, App>, T: 'static>(path: &str, rule: Rule, handler: H, operation: Operation) -> Route {
    route(HttpMethod::Delete, MethodFilter::DELETE, path, rule, handler, operation)
}

/// The table.
pub(crate) fn table() -> Vec<Route> {
    let mut table = health_routes();
    table.extend(topic_routes());
    table.extend(message_routes());
    table.extend(operator_routes());
    table.extend(run_routes());
    table.extend(timeline_routes());
    table.extend(dead_letter_routes());
    table.extend(dev_routes());
    table.extend(redrive_job_routes());
    table
}

fn health_routes() -> Vec<Route> {
    let op = |id, summary| Operation::new("health", id, summary);
    vec![
        get(
            "/v1/healthz",
            Rule::OPEN,
            health::healthz,
            op("healthz", "The broker answers").answers::<api::Health>(200, JSON),
        ),
        get(
            "/v1/livez",
            Rule::OPEN,
            health::livez,
            op("livez", "The process answers").answers::<api::Health>(200, JSON),
        ),
        get(
            "/v1/readyz",
            Rule::OPEN,
            health::readyz,
            op("readyz", "Whether requests are welcome")
                .answers::<api::Readiness>(200, JSON)
                .answers::<api::Readiness>(503, JSON),
        ),
        get(
            "/v1/version",
            Rule::EVERY_TOKEN,
            health::version,
            op("version", "Which server this is").answers::<api::Version>(200, JSON),
        ),
        get(
            "/v1/openapi.json",
            Rule::EVERY_TOKEN,
            health::openapi,
            op("openapi", "This document").answers_any(200, JSON),
        ),
        get(
            "/metrics",
            Rule::with(&[Admin], Whole),
            health::metrics,
            op("metrics", "Metrics for Prometheus").answers_any(200, "application/openmetrics-text"),
        ),
    ]
}

fn topic_routes() -> Vec<Route> {
    let op = |id, summary| Operation::new("messages", id, summary);
    vec![
        get(
            "/v1/topics",
            Rule::with(&[Produce, Consume, Admin], List),
            topics::list,
            op("list_topics", "List topics")
                .query::<api::TopicListQuery>()
                .answers_either::<api::TopicList, api::TopicDetailPage>(200),
        ),
        post(
            "/v1/topics",
            Rule::with(&[Produce, Admin], Command),
            topics::create,
            op("create_topic", "Make a topic, if it is not there")
                .query::<api::CreateTopicQuery>()
                .body::<api::CreateTopicRequest>()
                .answers::<api::CreateTopicResponse>(201, JSON),
        ),
        get(
            "/v1/topics/{topic}",
            Rule::with(&[Produce, Consume, Admin], Path),
            topics::show,
            op("show_topic", "Show a topic").answers::<api::Topic>(200, JSON),
        ),
        patch(
            "/v1/topics/{topic}",
            Rule::with(&[Admin], Path),
            topics::patch,
            op("patch_topic", "Change a topic's settings")
                .body::<api::PatchTopicRequest>()
                .answers::<api::Topic>(200, JSON),
        ),
        delete(
            "/v1/topics/{topic}",
            Rule::with(&[Admin], Path),
            topics::delete,
            op("delete_topic", "Delete a topic with all that is in it")
                .query::<api::DeleteTopicQuery>()
                .answers_nothing(204),
        ),
        get(
            "/v1/topics/{topic}/messages",
            Rule::with(&[Consume, Admin], Messages),
            topics::browse,
            op("browse_topic", "Look at messages without consuming them")
                .query::<api::BrowseQuery>()
                .answers::<api::BrowsePage>(200, JSON),
        ),
    ]
}

fn message_routes() -> Vec<Route> {
    let op = |id, summary| Operation::new("messages", id, summary);
    vec![
        post(
            "/v1/produce",
            Rule::with(&[Produce], Command),
            produce::produce,
            op("produce", "Produce a message")
                .query::<api::ProduceQuery>()
                .idempotent()
                .body::<api::ProduceRequest>()
                .answers::<api::ProduceResponse>(200, JSON),
        ),
        post(
            "/v1/produce/batch",
            Rule::with(&[Produce], Command),
            produce::batch,
            op("produce_batch", "Produce messages, all or none")
                .idempotent()
                .body::<api::BatchRequest>()
                .answers::<api::BatchResponse>(200, JSON),
        ),
        get(
            "/v1/consume",
            Rule::with(&[Consume], Messages),
            consume::consume,
            op("consume", "Lease messages: a stream of lines, or one answer")
                .query::<api::ConsumeQuery>()
                .mentions::<api::ConsumeMode>()
                .mentions::<api::ConsumeStart>()
                .mentions::<api::ValueFormat>()
                .answers::<api::ConsumeItem>(200, NDJSON)
                .answers_any(200, JSON),
        ),
        post(
            "/v1/ack",
            Rule::with(&[Consume], Messages),
            settle::ack,
            op("ack", "Settle a message")
                .query::<api::AckQuery>()
                .body::<api::AckRequest>()
                .answers_nothing(204),
        ),
        post(
            "/v1/nack",
            Rule::with(&[Consume], Messages),
            settle::nack,
            op("nack", "Fail an attempt")
                .query::<api::NackQuery>()
                .body::<api::NackRequest>()
                .answers_nothing(204),
        ),
        post(
            "/v1/extend",
            Rule::with(&[Consume], Messages),
            settle::extend,
            op("extend", "Move a lease's end")
                .query::<api::ExtendQuery>()
                .body::<api::ExtendRequest>()
                .answers::<api::ExtendResponse>(200, JSON),
        ),
    ]
}

fn operator_routes() -> Vec<Route> {
    let op = |id, summary| Operation::new("messages", id, summary);
    vec![
        post(
            "/v1/retry-now",
            Rule::with(&[Admin], Command),
            messages::retry_now,
            op("retry_now", "End a message's backoff or delay now")
                .query::<api::RetryNowQuery>()
                .body::<api::RetryNowRequest>()
                .answers::<api::RetryNowResponse>(200, JSON),
        ),
        get(
            "/v1/explain",
            Rule::with(&[RunsRead, Consume, Admin], List),
            messages::explain,
            op("explain", "Why a message is not running")
                .query::<api::ExplainQuery>()
                .answers::<api::Explanation>(200, JSON),
        ),
        get(
            "/v1/groups",
            Rule::with(&[Produce, Consume, Admin], List),
            groups::list,
            op("list_groups", "List groups")
                .query::<api::GroupListQuery>()
                .answers::<api::GroupPage>(200, JSON),
        ),
        delete(
            "/v1/groups",
            Rule::with(&[Admin], Command),
            groups::delete,
            op("delete_group", "Forget a group").query::<api::DeleteGroupQuery>().answers_nothing(204),
        ),
        post(
            "/v1/groups/seek",
            Rule::with(&[Admin], Command),
            groups::seek,
            op("seek_group", "Let a group read on elsewhere")
                .query::<api::SeekQuery>()
                .body::<api::SeekRequest>()
                .answers::<api::SeekResponse>(200, JSON),
        ),
        get(
            "/v1/stats",
            Rule::with(&[Admin], Whole),
            stats::stats,
            op("stats", "Figures of the whole broker").answers::<api::Stats>(200, JSON),
        ),
    ]
}

fn run_routes() -> Vec<Route> {
    let op = |id, summary| Operation::new("runs", id, summary);
    vec![
        get(
            "/v1/runs",
            Rule::with(&[RunsRead], List),
            runs::list,
            op("list_runs", "List runs, newest first")
                .mentions::<api::RunStatus>()
                .query::<api::RunListQuery>()
                .answers::<api::RunPage>(200, JSON),
        ),
        post(
            "/v1/runs",
            Rule::with(&[RunsWrite], Command),
            runs::start,
            op("start_run", "Start a run")
                .idempotent()
                .body::<api::StartRunRequest>()
                .answers::<api::StartRunResponse>(201, JSON)
                .answers::<api::StartRunResponse>(200, JSON),
        ),
        get(
            "/v1/runs/{run_id}",
            Rule::of_run(&[RunsRead]),
            runs::show,
            op("show_run", "Show a run").query::<api::RunQuery>().answers::<api::Run>(200, JSON),
        ),
        post(
            "/v1/runs/{run_id}/replay",
            Rule::with(&[RunsWrite], Path),
            runs::replay,
            op("replay_run", "Start an ended run again")
                .body::<api::ReplayRequest>()
                .answers::<api::ReplayResponse>(200, JSON),
        ),
        post(
            "/v1/runs/{run_id}/cancel",
            Rule::with(&[RunsWrite], Path),
            runs::cancel,
            op("cancel_run", "End a run")
                .body::<api::CancelRunRequest>()
                .answers::<api::CancelRunResponse>(200, JSON),
        ),
        post(
            "/v1/runs/{run_id}/token",
            Rule::with(&[RunsWrite], Path),
            runs::token,
            op("make_run_token", "Make a token that reads this run and nothing else, for a browser")
                .body::<api::RunTokenRequest>()
                .answers::<api::RunTokenResponse>(200, JSON),
        ),
    ]
}

fn timeline_routes() -> Vec<Route> {
    let op = |id, summary| Operation::new("runs", id, summary);
    vec![
        get(
            "/v1/runs/{run_id}/events",
            Rule::of_run(&[RunsRead]),
            events::read,
            op("read_events", "A run's timeline: a stream for those who accept one, otherwise a page")
                .query::<api::EventQuery>()
                .answers::<api::EventPage>(200, JSON)
                .answers::<api::RunEvent>(200, SSE)
                .answers_nothing(204)
                .mentions::<api::BrokerEvent>()
                .mentions::<api::TimelineReset>()
                .mentions::<api::EventUntil>(),
        ),
        post(
            "/v1/runs/{run_id}/events",
            Rule::with(&[RunsWrite, Consume], Path),
            events::append,
            op("append_events", "Write a worker's events")
                .body::<api::PostEventsRequest>()
                .answers::<api::PostEventsResponse>(200, JSON),
        ),
        get(
            "/v1/runs/{run_id}/steps",
            Rule::of_run(&[RunsRead, Consume]),
            steps::list,
            op("list_steps", "Finished steps of a run").answers::<api::StepPage>(200, JSON),
        ),
        put(
            "/v1/runs/{run_id}/steps/{step}",
            Rule::with(&[RunsWrite, Consume], Path),
            steps::put,
            op("store_step", "Store a step's output, once")
                .body::<api::StepRequest>()
                .answers::<api::StepResponse>(200, JSON),
        ),
        get(
            "/v1/runs/{run_id}/attempts",
            Rule::of_run(&[RunsRead]),
            attempts::list,
            op("list_attempts", "A run's attempts, oldest first")
                .query::<api::RunAttemptQuery>()
                .answers::<api::RunAttemptPage>(200, JSON),
        ),
        get(
            "/v1/runs/{run_id}/diff",
            Rule::of_run(&[RunsRead]),
            attempts::of_run,
            op("diff_attempts", "What differs between two attempts of a run")
                .query::<api::RunDiffQuery>()
                .answers::<api::RunDiff>(200, JSON),
        ),
        get(
            "/v1/runs/{run_id}/dlq",
            Rule::of_run(&[RunsRead, Dlq]),
            dead_letters::of_run,
            op("show_run_dead_letter", "A run's dead letter")
                .query::<api::RunDeadLetterQuery>()
                .answers::<api::RunDeadLetter>(200, JSON),
        ),
    ]
}

fn dead_letter_routes() -> Vec<Route> {
    let op = |id, summary| Operation::new("dead letters", id, summary);
    vec![
        get(
            "/v1/dlq",
            Rule::with(&[Dlq], List),
            dead_letters::list,
            op("list_dead_letters", "List open dead letters")
                .query::<api::DeadLetterQuery>()
                .answers::<api::DeadLetterPage>(200, JSON),
        ),
        get(
            "/v1/dlq/fingerprints",
            Rule::with(&[Dlq], List),
            dead_letters::fingerprints,
            op("list_fingerprints", "Count open dead letters by what failed, the most frequent first")
                .query::<api::FingerprintQuery>()
                .answers::<api::FingerprintPage>(200, JSON),
        ),
        get(
            DEAD_LETTER,
            Rule::with(&[Dlq], Path),
            dead_letters::show,
            op("show_dead_letter", "Show a dead letter").answers::<api::DeadLetterDetail>(200, JSON),
        ),
        get(
            &format!("{DEAD_LETTER}/diff"),
            Rule::with(&[Dlq], Path),
            attempts::of_dead_letter,
            op("diff_dead_letter", "What differs between two attempts of a dead letter")
                .query::<api::DeadLetterDiffQuery>()
                .answers::<api::DeadLetterDiff>(200, JSON),
        ),
        post(
            &format!("{DEAD_LETTER}/redrive"),
            Rule::with(&[Dlq], Path),
            dead_letters::redrive,
            op("redrive_dead_letter", "Append a dead letter's message anew, or replay its run")
                .idempotent()
                .body::<api::RedriveRequest>()
                .answers::<api::RedriveResponse>(200, JSON),
        ),
        post(
            &format!("{DEAD_LETTER}/discard"),
            Rule::with(&[Dlq], Path),
            dead_letters::discard,
            op("discard_dead_letter", "Give a dead letter up")
                .body::<api::DiscardRequest>()
                .answers::<api::DiscardResponse>(200, JSON),
        ),
    ]
}

fn dev_routes() -> Vec<Route> {
    let op = |id, summary| Operation::new("development", id, summary);
    vec![
        get(
            "/v1/dev/clock",
            Rule::with(&[Admin], Whole),
            dev::clock,
            op("show_clock", "The broker's time, on a server for tests").answers::<api::Clock>(200, JSON),
        ),
        post(
            "/v1/dev/clock",
            Rule::with(&[Admin], Whole),
            dev::move_clock,
            op("move_clock", "Let time pass, and do all that became due, on a server for tests")
                .query::<api::MoveClockQuery>()
                .body::<api::MoveClockRequest>()
                .answers::<api::Clock>(200, JSON),
        ),
    ]
}

/// Paths that need no token.
pub(crate) fn open_paths() -> impl Iterator<Item = String> {
    table().into_iter().filter(|route| matches!(route.rule.who, Who::Everybody)).map(|route| route.path)
}

fn redrive_job_routes() -> Vec<Route> {
    let op = |id, summary| Operation::new("dead letters", id, summary);
    let act =
        |id, summary| op(id, summary).body::<api::RedriveJobAct>().answers::<api::RedriveJob>(200, JSON);
    vec![
        post(
            "/v1/dlq/redrive",
            Rule::with(&[Dlq], Command),
            redrive_jobs::start,
            op("start_redrive_job", "Redrive many dead letters at a rate, or say what that would do")
                .idempotent()
                .body::<api::StartRedriveJobRequest>()
                .answers::<api::RedriveJob>(202, JSON)
                .answers::<api::RedriveDryRun>(200, JSON),
        ),
        get(
            "/v1/dlq/jobs",
            Rule::with(&[Dlq], List),
            redrive_jobs::list,
            op("list_redrive_jobs", "List bulk redrives, newest first")
                .query::<api::RedriveJobListQuery>()
                .answers::<api::RedriveJobPage>(200, JSON),
        ),
        get(
            JOB,
            Rule::with(&[Dlq], List),
            redrive_jobs::show,
            op("show_redrive_job", "Show a bulk redrive")
                .query::<api::RedriveJobQuery>()
                .answers::<api::RedriveJob>(200, JSON),
        ),
        post(
            &format!("{JOB}/pause"),
            Rule::with(&[Dlq], Command),
            redrive_jobs::pause,
            act("pause_redrive_job", "Let a bulk redrive rest"),
        ),
        post(
            &format!("{JOB}/resume"),
            Rule::with(&[Dlq], Command),
            redrive_jobs::resume,
            act("resume_redrive_job", "Let a bulk redrive go on"),
        ),
        post(
            &format!("{JOB}/stop"),
            Rule::with(&[Dlq], Command),
            redrive_jobs::stop,
            act("stop_redrive_job", "End a bulk redrive"),
        ),
    ]
}

/// The router made from the table.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for route in table() {
        let handler = if app.access.is_on() {
            let check = middleware::from_fn_with_state((app.clone(), route.rule), access::check);
            route.handler.route_layer(check)
        } else {
            route.handler
        };
        router = router.route(&route.path, handler);
    }
    // A HEAD would lease messages and then throw their bodies away.
    router = router.route("/v1/consume", on(MethodFilter::HEAD, no_head));
    router.fallback(unknown_path).method_not_allowed_fallback(wrong_method).with_state(app)
}

async fn no_head() -> Response {
    let mut response = wrong_method(Method::HEAD).await.into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}

async fn wrong_method(method: Method) -> Problem {
    Problem::new(
        api::ErrorCode::MethodNotAllowed,
        format!("{method} is not possible here; the Allow header names what is"),
    )
}

async fn unknown_path(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(PATH_SHOWN_MAX).collect();
    if path.starts_with("/v1/") || path == "/v1" {
        return Problem::not_found(format!("there is no {path}; GET /v1/openapi.json lists what there is"));
    }
    let versioned = format!("/v1{path}");
    let problem = Problem::not_found("use /v1/* endpoints");
    if table().iter().any(|route| route.path == versioned) {
        return problem.detail(format!("there is no {path}; use {versioned}"));
    }
    problem
}
