//! For tests of applications only: the clock that is moved by hand.
//!
//! Promise: without `--dev-clock` there is nothing here.

use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::extract::{Fields, FromQuery};
use crate::operator::{Act, Operator};
use crate::problem::Problem;
use axum::extract::State;
use driftq_api::{Clock, MoveClockQuery, MoveClockRequest};
use driftq_core::Millis;
use serde_json::json;

/// The most time that passes at once: ten years.
const ADVANCE_MAX_MS: u64 = 3_653 * 24 * 60 * 60 * 1_000;

impl FromQuery<MoveClockQuery> for MoveClockRequest {
    fn from_query(query: MoveClockQuery) -> Result<Self, Problem> {
        Ok(query.into())
    }
}

/// `GET /v1/dev/clock`: the broker's time.
pub(crate) async fn clock(State(app): State<App>, Engine(broker): Engine) -> Result<Answer<Clock>, Problem> {
    admit(&app)?;
    let now = broker.look(|state| state.wall).await?;
    Ok(ok(Clock { now_ms: now.0, manual: true }))
}

/// `POST /v1/dev/clock`: 200 once everything that became due is done.
pub(crate) async fn move_clock(
    State(app): State<App>,
    operator: Operator,
    fields: Fields<MoveClockRequest, MoveClockQuery>,
) -> Result<Answer<Clock>, Problem> {
    admit(&app)?;
    let by = match fields.take().advance_ms {
        None => return Err(Problem::invalid("advance_ms is required")),
        Some(by) if by > ADVANCE_MAX_MS => {
            return Err(Problem::invalid(format!(
                "advance_ms must be at most {ADVANCE_MAX_MS} (ten years), not {by}"
            )));
        }
        Some(by) => Millis(by),
    };
    let now = operator.broker().advance(by).await?;
    operator.tell(Act::new("clock.moved", json!({"advance_ms": by.0}))).await?;
    Ok(ok(Clock { now_ms: now.0, manual: true }))
}

fn admit(app: &App) -> Result<(), Problem> {
    if app.config.dev_clock {
        return Ok(());
    }
    Err(Problem::not_found("this server's time goes by itself; one for tests is started with --dev-clock"))
}
