//! Groups: list them, move one, forget one.

use crate::answer::{Answer, ok};
use crate::app::Engine;
use crate::convert::{self, messages as parse};
use crate::extract::{Fields, FromQuery, Query};
use crate::operator::{Act, Operator};
use crate::problem::Problem;
use crate::render::groups;
use crate::seek;
use driftq_api::{
    DeleteGroupQuery, GroupListQuery, GroupPage, SeekPartition, SeekQuery, SeekRequest, SeekResponse,
};
use driftq_core::{DeleteGroup, GroupName, SeekGroup, TopicName};
use http::StatusCode;
use serde_json::{Value, json};

impl FromQuery<SeekQuery> for SeekRequest {
    fn from_query(query: SeekQuery) -> Result<Self, Problem> {
        parse::seek(query)
    }
}

/// `GET /v1/groups`: in the order of topic and name.
pub(crate) async fn list(
    Engine(broker): Engine,
    Query(query): Query<GroupListQuery>,
) -> Result<Answer<GroupPage>, Problem> {
    let limit = convert::limit(query.limit)?;
    let topic = convert::trimmed(query.topic.as_deref());
    let topic = topic.map(|topic| convert::topic(Some(topic))).transpose()?;
    let after = groups::cursor(query.cursor.as_deref())?;
    let scope = broker.scope();
    let look = move |state: &driftq_core::State, readers: &dyn driftq_engine::Readers| {
        let is_seen = |topic| scope.sees_topic(state, topic);
        if let Some(name) = &topic
            && !state.topic(name).is_some_and(is_seen)
        {
            return Err(driftq_core::Rejection::UnknownTopic(name.as_str().to_owned()));
        }
        let page = state.groups_page(&scope, topic.as_ref(), after.as_ref(), limit);
        let summary = |(topic, group)| groups::summary(state, readers, topic, group);
        let next_cursor = page.next.as_ref().map(groups::cursor_text);
        Ok(GroupPage { groups: page.items.into_iter().map(summary).collect(), next_cursor })
    };
    let page = broker.look_with_readers(look).await?;
    page.map(ok).map_err(|rejection| Problem::of_something_named(rejection.into()))
}

/// `POST /v1/groups/seek`: the group reads on elsewhere.
pub(crate) async fn seek(
    operator: Operator,
    fields: Fields<SeekRequest, SeekQuery>,
) -> Result<Answer<SeekResponse>, Problem> {
    let asked = fields.take();
    let (topic, group) = parse::reader(asked.topic.as_deref(), asked.group.as_deref())?;
    let reason = convert::reason(asked.reason)?;
    let to = seek::place(operator.broker(), &topic, parse::seek_to(asked.to)?).await?;
    let act = Act::new("group.sought", named(&topic, &group)).because(reason.as_deref());
    let actor = operator.actor();
    let command = SeekGroup { topic: topic.clone(), group: group.clone(), to, actor, reason };
    let moved = operator.acting(act).seek_group(command).await.map_err(Problem::of_a_group)?;
    let partitions =
        moved.iter().map(|(partition, offset)| SeekPartition { partition: partition.0, offset: offset.0 });
    Ok(ok(SeekResponse {
        topic: topic.as_str().to_owned(),
        group: group.as_str().to_owned(),
        partitions: partitions.collect(),
    }))
}

/// What a request names, as the audit log has it.
fn named(topic: &TopicName, group: &GroupName) -> Value {
    json!({"topic": topic.as_str(), "group": group.as_str()})
}

/// `DELETE /v1/groups`: the group is forgotten; its consumers end.
pub(crate) async fn delete(
    operator: Operator,
    Query(query): Query<DeleteGroupQuery>,
) -> Result<StatusCode, Problem> {
    let (topic, group) = parse::reader(query.topic.as_deref(), query.group.as_deref())?;
    let reason = convert::reason(query.reason)?;
    let act = Act::new("group.deleted", named(&topic, &group)).because(reason.as_deref());
    let command = DeleteGroup { topic, group, actor: operator.actor(), reason };
    operator.acting(act).delete_group(command).await.map_err(Problem::of_a_group)?;
    Ok(StatusCode::NO_CONTENT)
}
