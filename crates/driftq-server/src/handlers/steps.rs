//! Steps of a run, stored once by name.

use super::runs::seen;
use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::convert;
use crate::extract::{Json, RunParam, StepParam};
use crate::json;
use crate::problem::Problem;
use crate::render::runs;
use crate::shelf;
use axum::extract::State;
use driftq_api::{StepPage, StepRequest, StepResponse};

/// `PUT /v1/runs/{run_id}/steps/{step}`: 200 with what is stored, now or before.
pub(crate) async fn put(
    State(app): State<App>,
    Engine(broker): Engine,
    StepParam(run_id, step): StepParam,
    Json(asked): Json<StepRequest>,
) -> Result<Answer<StepResponse>, Problem> {
    let name = step.as_str().to_owned();
    let (stored, at) =
        broker.store_step(convert::runs::step(run_id, step, &asked, app.config.max_message_bytes)?).await?;
    let output = shelf::render(&broker, &app, move |shelf| shelf.output(at)).await?;
    Ok(ok(StepResponse { step: name, stored, output: json::raw(&output) }))
}

/// `GET /v1/runs/{run_id}/steps`: finished steps, in the order in which they finished.
pub(crate) async fn list(
    State(app): State<App>,
    Engine(broker): Engine,
    RunParam(run_id): RunParam,
) -> Result<Answer<StepPage>, Problem> {
    let seen = seen(&broker, &run_id).await?;
    let steps = shelf::render(&broker, &app, move |shelf| runs::steps(shelf, &seen.run)).await?;
    Ok(ok(StepPage { steps }))
}
