//! A run's timeline: read as a stream or as pages, and written by workers.

use super::runs::unknown;
use super::topics::expired;
use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::convert;
use crate::extract::{Json, LastEventId, Query, RunParam, WantsEvents};
use crate::problem::Problem;
use crate::render::events;
use crate::shelf;
use crate::sse::{self, Reader};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use driftq_api::{
    EventPage, EventQuery, EventUntil, PostEventsRequest, PostEventsResponse, TimelineResetReason,
};
use driftq_core::{Offset, Position, RunId};
use driftq_engine::Broker;
use http::StatusCode;

/// Bytes of one page of events.
const PAGE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What can be said of a timeline without reading it.
#[derive(Clone, Copy)]
struct Extent {
    first_seq: u64,
    last_seq: u64,
    is_terminal: bool,
}

/// `POST /v1/runs/{run_id}/events`: a worker's events, all or none.
pub(crate) async fn append(
    State(app): State<App>,
    Engine(broker): Engine,
    RunParam(run_id): RunParam,
    Json(asked): Json<PostEventsRequest>,
) -> Result<Answer<PostEventsResponse>, Problem> {
    let append = convert::runs::events(run_id, asked, app.config.max_message_bytes)?;
    let (first_seq, count) = broker.append_events(append).await?;
    Ok(ok(PostEventsResponse { first_seq, last_seq: first_seq + count.saturating_sub(1) }))
}

/// `GET /v1/runs/{run_id}/events`: a stream for those who accept one, otherwise a page.
pub(crate) async fn read(
    State(app): State<App>,
    Engine(broker): Engine,
    RunParam(run_id): RunParam,
    WantsEvents(wants_stream): WantsEvents,
    LastEventId(header): LastEventId,
    Query(query): Query<EventQuery>,
) -> Result<Response, Problem> {
    if wants_stream {
        stream(app, broker, run_id, header, &query).await
    } else {
        page(&app, &broker, run_id, &query).await.map(IntoResponse::into_response)
    }
}

async fn stream(
    app: App,
    broker: Broker,
    run_id: RunId,
    header: Option<String>,
    query: &EventQuery,
) -> Result<Response, Problem> {
    let named = header.as_deref().or(convert::trimmed(query.last_event_id.as_deref()));
    let after = named.map(|text| text.parse::<u64>().map_err(|_| bad_id(text))).transpose()?.unwrap_or(0);
    let extent = extent(&broker, &run_id).await?;
    let is_until_terminal = matches!(query.until, Some(EventUntil::Terminal));
    if is_until_terminal && extent.is_terminal && after == extent.last_seq {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let reset = if after > extent.last_seq {
        Some((TimelineResetReason::Ahead, extent.first_seq))
    } else if after + 1 < extent.first_seq {
        Some((TimelineResetReason::Trimmed, extent.first_seq))
    } else {
        None
    };
    Ok(sse::respond(app, broker, Reader { run_id, after, is_until_terminal, reset }))
}

async fn page(
    app: &App,
    broker: &Broker,
    run_id: RunId,
    query: &EventQuery,
) -> Result<Answer<EventPage>, Problem> {
    let limit = convert::limit(query.limit)?;
    let after = convert::cursor(query.cursor.as_deref())?.or(query.after).unwrap_or(0);
    let extent = extent(broker, &run_id).await?;
    if after.saturating_add(1) < extent.first_seq {
        let first = extent.first_seq;
        return Err(expired(format!(
            "events before {first} were removed by retention; read after {}",
            first - 1
        )));
    }
    let asked = run_id.clone();
    let positions = broker.look(move |state| positions(state, &asked, after, limit)).await?;
    let positions = positions.ok_or_else(|| unknown(&run_id))?;
    let last = after.saturating_add(positions.len() as u64);
    let render =
        move |shelf: &shelf::Shelf<'_>| positions.iter().map(|at| events::event_at(shelf, *at)).collect();
    let events = shelf::render(broker, app, render).await?;
    Ok(ok(EventPage {
        events,
        next_cursor: Some(last).filter(|last| *last < extent.last_seq).map(|last| last.to_string()),
    }))
}

async fn extent(broker: &Broker, run_id: &RunId) -> Result<Extent, Problem> {
    let asked = run_id.clone();
    let look = move |state: &driftq_core::State| {
        let run = state.run(&asked)?;
        let partition = state.topics.get(&run.timeline)?.partitions.first()?;
        let (first_seq, last_seq) = (partition.first.0 + 1, partition.next_offset().0);
        Some(Extent { first_seq, last_seq, is_terminal: run.status.is_terminal() })
    };
    broker.look(look).await?.ok_or_else(|| unknown(run_id))
}

/// The records of up to `limit` events behind `after`.
fn positions(state: &driftq_core::State, run_id: &RunId, after: u64, limit: usize) -> Option<Vec<Position>> {
    let run = state.run(run_id)?;
    let partition = state.topics.get(&run.timeline)?.partitions.first()?;
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut offset = Offset(after);
    while let Some(entry) = partition.entry(offset).filter(|_| found.len() < limit) {
        bytes += u64::from(entry.bytes);
        if bytes > PAGE_BYTES_MAX && !found.is_empty() {
            break;
        }
        found.push(entry.position);
        offset = offset.next();
    }
    Some(found)
}

fn bad_id(text: &str) -> Problem {
    Problem::invalid(format!("the last event id {text:?} is not a number that this timeline gave out"))
}
