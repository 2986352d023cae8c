//! Topics: create, list, show, browse.

use crate::answer::{Answer, ok};
use crate::app::{App, Engine};
use crate::convert;
use crate::extract::{Fields, FromQuery, Json, Query, TopicParam};
use crate::operator::{Act, Operator};
use crate::problem::Problem;
use crate::render::{messages, topics};
use crate::shelf;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use driftq_api::{
    BrowsePage, BrowseQuery, CreateTopicQuery, CreateTopicRequest, CreateTopicResponse, DeleteTopicQuery,
    PatchTopicRequest, Topic, TopicDetailPage, TopicList, TopicListQuery,
};
use driftq_core::{
    CreateTopic, DeleteTopic, MessageAt, Offset, PartitionId, PatchTopic, Position, Rejection, TopicName,
};
use driftq_engine::{Broker, Refusal};
use http::StatusCode;
use serde_json::json;

/// Topics looked at in one go on the writer's thread.
const LOOK_MAX: usize = 1_000;
/// Bytes of one page of messages.
const PAGE_BYTES_MAX: u64 = 8 * 1024 * 1024;

impl FromQuery<CreateTopicQuery> for CreateTopicRequest {
    fn from_query(query: CreateTopicQuery) -> Result<Self, Problem> {
        Ok(query.into())
    }
}

/// `POST /v1/topics`: 201, also when the topic is there already.
pub(crate) async fn create(
    operator: Operator,
    fields: Fields<CreateTopicRequest, CreateTopicQuery>,
) -> Result<Answer<CreateTopicResponse>, Problem> {
    let mut asked = fields.take();
    let name = TopicName::parse(convert::required("name", asked.name.as_deref())?)?;
    let partitions = asked.partitions.take().filter(|count| *count > 0);
    let settings = convert::topics::settings(asked)?;
    let create =
        CreateTopic { settings, actor: operator.actor(), ..CreateTopic::plain(name.clone(), partitions) };
    let broker = operator.acting(Act::new("topic.created", json!({"topic": name.as_str()})));
    let (partitions, _) = broker.create_topic(create).await?;
    let name = name.as_str().to_owned();
    Ok(Answer(StatusCode::CREATED, CreateTopicResponse { status: "created".to_owned(), name, partitions }))
}

/// `GET /v1/topics`: names, or with `detail=1` objects.
pub(crate) async fn list(
    Engine(broker): Engine,
    Query(query): Query<TopicListQuery>,
) -> Result<Response, Problem> {
    let limit = query.limit.map(|limit| convert::limit(Some(limit))).transpose()?;
    let after = convert::trimmed(query.cursor.as_deref()).map(TopicName::parse).transpose()?;
    let shown = if query.internal { Shown::All } else { Shown::Made };
    if query.detail {
        let (topics, next_cursor) = page(&broker, shown, limit, after, topics::summary).await?;
        return Ok(ok(TopicDetailPage { topics, next_cursor }).into_response());
    }
    let name = |topic: &driftq_core::Topic| topic.name.as_str().to_owned();
    let (topics, next_cursor) = page(&broker, shown, limit, after, name).await?;
    Ok(ok(TopicList { topics, next_cursor }).into_response())
}

/// Which topics a list shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Those that people made, and their timelines and dead letters.
    Made,
    /// Also the broker's own.
    All,
}

/// Topics in the order of their names, a bounded look at a time; all of them without a limit.
async fn page<T: Send + 'static>(
    broker: &Broker,
    shown: Shown,
    limit: Option<usize>,
    mut after: Option<TopicName>,
    render: fn(&driftq_core::Topic) -> T,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let mut found: Vec<T> = Vec::new();
    loop {
        let wanted = limit.map_or(LOOK_MAX, |limit| limit - found.len());
        let (from, scope) = (after.take(), broker.scope());
        let look = move |state: &driftq_core::State| {
            let mut names = state.topic_names_from(from.as_ref()).peekable();
            let (mut topics, mut last) = (Vec::new(), None);
            for (name, id) in names.by_ref().take(LOOK_MAX) {
                last = Some(name.clone());
                let topic = state.topics.get(&id).filter(|topic| scope.sees_topic(state, topic));
                let is_shown = shown == Shown::All || !name.is_reserved();
                topics.extend(topic.filter(|_| is_shown).map(render));
                if topics.len() >= wanted {
                    break;
                }
            }
            (topics, last.filter(|_| names.peek().is_some()))
        };
        let (topics, next) = broker.look(look).await?;
        found.extend(topics);
        after = next;
        if after.is_none() || limit.is_some_and(|limit| found.len() >= limit) {
            return Ok((found, after.map(|name| name.as_str().to_owned())));
        }
    }
}

/// `GET /v1/topics/{topic}`: partitions and groups.
pub(crate) async fn show(
    Engine(broker): Engine,
    TopicParam(name): TopicParam,
) -> Result<Answer<Topic>, Problem> {
    let asked = name.clone();
    let found =
        broker.look(move |state| state.topic(&asked).map(|topic| topics::topic(state, topic))).await?;
    found.map(ok).ok_or_else(|| unknown(&name))
}

/// `PATCH /v1/topics/{topic}`: settings, as a merge patch; answers the topic as it is then.
pub(crate) async fn patch(
    operator: Operator,
    TopicParam(name): TopicParam,
    Json(mut asked): Json<PatchTopicRequest>,
) -> Result<Answer<Topic>, Problem> {
    let reason = convert::reason(asked.reason.take())?;
    let given = convert::topics::given(&asked);
    let settings = convert::topics::patch(asked)?;
    let act = Act::new("topic.changed", json!({"topic": name.as_str()}));
    let broker = operator.acting(act.because(reason.as_deref()).changing(&given));
    let patch = PatchTopic { topic: name.clone(), settings, actor: operator.actor(), reason };
    let id = broker.patch_topic(patch).await.map_err(|refusal| refused(refusal, &name))?;
    let look =
        move |state: &driftq_core::State| state.topics.get(&id).map(|topic| topics::topic(state, topic));
    broker.look(look).await?.map(ok).ok_or_else(|| unknown(&name))
}

/// A topic that is not there is told as every path tells it, hidden or absent.
fn refused(refusal: Refusal, name: &TopicName) -> Problem {
    match refusal {
        Refusal::Rejected(Rejection::UnknownTopic(_)) => unknown(name),
        refusal => refusal.into(),
    }
}

/// `DELETE /v1/topics/{topic}`: it is gone with all that was in it; its consumers end.
pub(crate) async fn delete(
    operator: Operator,
    TopicParam(name): TopicParam,
    Query(query): Query<DeleteTopicQuery>,
) -> Result<StatusCode, Problem> {
    let reason = convert::reason(query.reason)?;
    let act = Act::new("topic.deleted", json!({"topic": name.as_str()})).because(reason.as_deref());
    let delete = DeleteTopic { topic: name.clone(), actor: operator.actor(), reason };
    let broker = operator.acting(act);
    broker.delete_topic(delete).await.map_err(|refusal| refused(refusal, &name))?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/topics/{topic}/messages`: a look without group, lease or effect.
pub(crate) async fn browse(
    State(app): State<App>,
    Engine(broker): Engine,
    TopicParam(name): TopicParam,
    Query(query): Query<BrowseQuery>,
) -> Result<Answer<BrowsePage>, Problem> {
    let limit = convert::limit(query.limit)?;
    let from = convert::cursor(query.cursor.as_deref())?.or(query.from).map(Offset);
    let partition = PartitionId(query.partition.unwrap_or(0));
    let asked = name.clone();
    let found = broker.look(move |state| placed(state, &asked, partition, from, limit)).await?;
    let (places, next_from) = found.ok_or_else(|| unknown(&name))??;
    let render = move |shelf: &shelf::Shelf<'_>| {
        places.iter().map(|(at, position)| messages::browsed(shelf, *at, *position)).collect()
    };
    let messages = shelf::render(&broker, &app, render).await?;
    Ok(ok(BrowsePage { messages, next_from, next_cursor: next_from.map(|next| next.to_string()) }))
}

type Places = (Vec<(MessageAt, Position)>, Option<u64>);

/// Where the messages of a page lie, and where the next page begins; `None` without such a topic.
fn placed(
    state: &driftq_core::State,
    name: &TopicName,
    id: PartitionId,
    from: Option<Offset>,
    limit: usize,
) -> Option<Result<Places, Problem>> {
    let topic = state.topic(name)?;
    let Some(partition) = topic.partition(id) else {
        let count = topic.partition_count();
        return Some(Err(Problem::invalid(format!(
            "partition {id} is out of range; topic {name:?} has {count}",
            name = name.as_str()
        ))));
    };
    if from.is_some_and(|from| from < partition.first) {
        let first = partition.first;
        return Some(Err(expired(format!(
            "messages before offset {first} were removed by retention; read from {first}"
        ))));
    }
    let mut offset = from.unwrap_or(partition.first);
    let (mut places, mut bytes) = (Vec::new(), 0_u64);
    while let Some(entry) = partition.entry(offset) {
        bytes += u64::from(entry.bytes);
        if places.len() >= limit || (bytes > PAGE_BYTES_MAX && !places.is_empty()) {
            return Some(Ok((places, Some(offset.0))));
        }
        places.push((MessageAt { topic: topic.id, partition: id, offset }, entry.position));
        offset = offset.next();
    }
    Some(Ok((places, None)))
}

pub(crate) fn expired(message: String) -> Problem {
    Problem::new(driftq_api::ErrorCode::Expired, message)
}

pub(crate) fn unknown(name: &TopicName) -> Problem {
    let name = name.as_str();
    Problem::not_found(format!(
        "there is no topic {name:?}; create it with POST /v1/topics {{\"name\":{name:?}}}"
    ))
}
