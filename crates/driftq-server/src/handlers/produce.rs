//! Producing, one message or a batch.

use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::convert::produce;
use crate::extract::{Fields, Json, KeyHeader};
use crate::problem::Problem;
use crate::render::message_id;
use axum::extract::State;
use driftq_api::{BatchRequest, BatchResponse, ProduceQuery, ProduceRequest, ProduceResponse};
use driftq_core::{Produce, Produced, TenantId};
use driftq_engine::Broker;

/// Bytes of a batch, which is one atomic write.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// `POST /v1/produce`: 200 once the message is durable.
pub(crate) async fn produce(
    State(app): State<App>,
    Engine(broker): Engine,
    KeyHeader(key): KeyHeader,
    fields: Fields<ProduceRequest, ProduceQuery>,
) -> Result<Answer<ProduceResponse>, Problem> {
    let max = app.config.max_message_bytes;
    let message = produce::message(fields.take(), key.as_deref(), max, broker.tenant());
    let mut answered = store(&app, &broker, message.map(|message| vec![message])).await?;
    answered.pop().map(ok).ok_or_else(|| Problem::internal("the produce was not answered"))
}

/// `POST /v1/produce/batch`: all messages are stored, or none.
pub(crate) async fn batch(
    State(app): State<App>,
    Engine(broker): Engine,
    KeyHeader(key): KeyHeader,
    Json(asked): Json<BatchRequest>,
) -> Result<Answer<BatchResponse>, Problem> {
    let messages = messages(&app, asked, key.as_deref(), broker.tenant());
    let results = store(&app, &broker, messages).await?;
    Ok(ok(BatchResponse { results }))
}

/// A header's key is the key of the whole batch: a message that has none of its own gets that and its place.
fn messages(
    app: &App,
    asked: BatchRequest,
    key: Option<&str>,
    tenant: Option<&TenantId>,
) -> Result<Vec<Produce>, Problem> {
    let max = app.config.max_batch_messages;
    match asked.messages.len() {
        0 => return Err(Problem::invalid("messages must not be empty")),
        count if count > max => {
            return Err(Problem::too_large(format!("{count} messages; at most {max} fit in a batch")));
        }
        _ => {}
    }
    let messages = asked.messages.into_iter().enumerate().map(|(index, message)| {
        let key = key.map(|key| format!("{key}/{index}"));
        let message = produce::message(message, key.as_deref(), app.config.max_message_bytes, tenant);
        message.map_err(|problem| problem.within(&format!("messages[{index}]")))
    });
    let messages = messages.collect::<Result<Vec<_>, _>>()?;
    let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
    if bytes > BATCH_BYTES_MAX {
        return Err(Problem::too_large(format!(
            "the batch has {bytes} bytes; at most {BATCH_BYTES_MAX} are stored at once"
        )));
    }
    Ok(messages)
}

async fn store(
    app: &App,
    broker: &Broker,
    messages: Result<Vec<Produce>, Problem>,
) -> Result<Vec<ProduceResponse>, Problem> {
    let messages = messages.inspect_err(|problem| app.metrics.produce_rejected(problem.why()))?;
    let asked: Vec<_> = messages.iter().map(|message| message.topic.clone()).collect();
    let stored = broker.produce(messages).await.map_err(Problem::from);
    let stored = stored.inspect_err(|problem| app.metrics.produce_rejected(problem.why()))?;
    app.metrics.produced(stored.len());
    Ok(asked.iter().zip(stored).map(|(topic, stored)| answer(topic.as_str(), &stored)).collect())
}

fn answer(topic: &str, produced: &Produced) -> ProduceResponse {
    ProduceResponse {
        status: "produced".to_owned(),
        topic: topic.to_owned(),
        partition: produced.at.partition.0,
        offset: produced.at.offset.0,
        message_id: message_id(produced.at),
        duplicate: produced.duplicate,
        stored_topic: Some(produced.stored_in.as_str()).filter(|stored| *stored != topic).map(str::to_owned),
    }
}
