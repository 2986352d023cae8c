//! One message: why it is not running, and making it due at once.

use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::convert::{self, messages as parse};
use crate::extract::{Fields, FromQuery, Query};
use crate::operator::{Act, Operator};
use crate::problem::Problem;
use crate::render::explain;
use crate::shelf;
use axum::extract::State;
use driftq_api::{ExplainQuery, Explanation, RetryNowQuery, RetryNowRequest, RetryNowResponse, RetryNowWas};
use driftq_core::{Reply, RetryNow, WaitedFor};
use serde_json::{Value, json};

impl FromQuery<RetryNowQuery> for RetryNowRequest {
    fn from_query(query: RetryNowQuery) -> Result<Self, Problem> {
        Ok(query.into())
    }
}

/// `POST /v1/retry-now`: a backoff or a delay ends now.
pub(crate) async fn retry_now(
    operator: Operator,
    fields: Fields<RetryNowRequest, RetryNowQuery>,
) -> Result<Answer<RetryNowResponse>, Problem> {
    let asked = fields.take();
    let target = parse::retried(&asked)?;
    let reason = convert::reason(asked.reason.clone())?;
    let act = Act::new("message.retried", named(&asked)).because(reason.as_deref());
    let ask = RetryNow { target, actor: operator.actor(), reason };
    match operator.acting(act).retry_now(ask).await.map_err(Problem::of_something_named)? {
        Reply::MadeDue { at, topic, group, was } => Ok(ok(RetryNowResponse {
            status: "due".to_owned(),
            was: match was {
                WaitedFor::Backoff => RetryNowWas::Backoff,
                WaitedFor::Delay => RetryNowWas::Delayed,
                WaitedFor::Nothing => RetryNowWas::Due,
            },
            topic: topic.as_str().to_owned(),
            partition: at.partition.0,
            offset: at.offset.0,
            group: group.map(|group| group.as_str().to_owned()),
        })),
        other => Err(Problem::internal(format!("retry-now was answered with {other:?}"))),
    }
}

/// What a request names, as the audit log has it.
fn named(asked: &RetryNowRequest) -> Value {
    match &asked.run_id {
        Some(run_id) => json!({"run_id": run_id}),
        None => json!({
            "topic": asked.topic,
            "group": asked.group,
            "partition": asked.partition,
            "offset": asked.offset,
        }),
    }
}

/// `GET /v1/explain`: how a message stands with a group, and why.
pub(crate) async fn explain(
    State(app): State<App>,
    Engine(broker): Engine,
    Query(query): Query<ExplainQuery>,
) -> Result<Answer<Explanation>, Problem> {
    let (target, scope) = (parse::explained(&query)?, broker.scope());
    let look = move |state: &driftq_core::State, readers: &dyn driftq_engine::Readers| {
        scope.admit_message(state, &target)?;
        state.explain(&target).map(|explained| explain::Seen::of(state, readers, &explained))
    };
    let seen = broker.look_with_readers(look).await?;
    let seen = seen.map_err(|rejection| Problem::of_something_named(rejection.into()))?;
    let explanation = shelf::render(&broker, &app, move |shelf| explain::explanation(shelf, &seen)).await?;
    Ok(ok(explanation))
}
