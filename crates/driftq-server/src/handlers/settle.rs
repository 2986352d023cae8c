//! Settling deliveries.

use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::convert::settle;
use crate::extract::Fields;
use crate::problem::Problem;
use axum::extract::State;
use driftq_api::{AckQuery, AckRequest, ExtendQuery, ExtendRequest, ExtendResponse, NackQuery, NackRequest};
use http::StatusCode;

/// `POST /v1/ack`: the owner is done with a message; 204 once that is durable.
pub(crate) async fn ack(
    State(app): State<App>,
    Engine(broker): Engine,
    fields: Fields<AckRequest, AckQuery>,
) -> Result<StatusCode, Problem> {
    broker.ack(settle::ack(fields.take(), app.config.max_message_bytes)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/nack`: the attempt failed.
pub(crate) async fn nack(
    Engine(broker): Engine,
    fields: Fields<NackRequest, NackQuery>,
) -> Result<StatusCode, Problem> {
    broker.nack(settle::nack(fields.take())?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/extend`: a heartbeat; the lease is counted from now.
pub(crate) async fn extend(
    Engine(broker): Engine,
    fields: Fields<ExtendRequest, ExtendQuery>,
) -> Result<Answer<ExtendResponse>, Problem> {
    let until = broker.extend(settle::extend(fields.take())?).await?;
    Ok(ok(ExtendResponse { lease_until_ms: until.0 }))
}
