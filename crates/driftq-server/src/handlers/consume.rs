//! Consuming: a stream of lines, or one answer.

use crate::answer;
use crate::app::{App, Engine};
use crate::convert::consume::{Consume, consume as parse, value_format};
use crate::extract::Fields;
use crate::ndjson;
use crate::problem::Problem;
use crate::render::messages::{self, Recipient};
use crate::shelf;
use axum::extract::State;
use axum::response::Response;
use driftq_api::{ConsumeQuery, ConsumeRequest, ValueFormat};
use driftq_engine::{Broker, OpenConsumer, Poll};
use http::StatusCode;

/// `GET /v1/consume`: leases messages to an owner.
pub(crate) async fn consume(
    State(app): State<App>,
    Engine(broker): Engine,
    fields: Fields<ConsumeRequest, ConsumeQuery>,
) -> Result<Response, Problem> {
    let asked = fields.take();
    let format = value_format(&asked);
    match parse(&asked)? {
        Consume::Stream(open) => stream(app, broker, open, format).await,
        Consume::Poll { poll, many } => self::poll(app, broker, poll, many, format).await,
    }
}

async fn stream(
    app: App,
    broker: Broker,
    open: OpenConsumer,
    format: ValueFormat,
) -> Result<Response, Problem> {
    let (to, max_in_flight) = (recipient(&open, format), open.max_in_flight);
    let consumer = broker.open_consumer(open).await?;
    Ok(ndjson::respond(app, broker, consumer, to, max_in_flight))
}

async fn poll(
    app: App,
    broker: Broker,
    poll: Poll,
    many: bool,
    format: ValueFormat,
) -> Result<Response, Problem> {
    let to = recipient(&poll.consumer, format);
    let mut deliveries = broker.poll(poll).await?;
    let leased: Vec<_> = deliveries.peek().cloned().collect();
    let render = move |shelf: &shelf::Shelf<'_>| {
        leased.iter().map(|delivery| messages::item(shelf, &to, delivery)).collect::<Result<Vec<_>, _>>()
    };
    let items = shelf::render(&broker, &app, render).await?;
    let body = match (many, items.first()) {
        (true, _) => [b"[", items.join(&b","[..]).as_slice(), b"]"].concat(),
        (false, Some(item)) => item.clone(),
        (false, None) => b"null".to_vec(),
    };
    deliveries.take_all();
    Ok(answer::raw(StatusCode::OK, body))
}

fn recipient(open: &OpenConsumer, format: ValueFormat) -> Recipient {
    Recipient {
        topic: open.topic.as_str().to_owned(),
        group: open.group.as_str().to_owned(),
        owner: open.owner.as_str().to_owned(),
        format,
    }
}
