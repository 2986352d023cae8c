//! `driftq lag`.

use driftq_client::api::{Topic, TopicGroup, TopicListQuery};
use serde::Serialize;

use crate::{
    Context, Outcome,
    args::LagArgs,
    commands::TIMELINES,
    error::CliError,
    output::{Tone, Word},
};

/// How many topics' names are asked for at once.
const PAGE: u32 = 500;

#[derive(Serialize)]
struct Lag<'a> {
    topic: &'a str,
    #[serde(flatten)]
    group: &'a TopicGroup,
}

pub(super) async fn run(args: LagArgs, context: &Context) -> Result<Outcome, CliError> {
    let topics = if args.topics.is_empty() { all(context).await? } else { args.topics };
    let mut shown: Vec<Topic> = Vec::new();
    for name in topics {
        let topic = context.client.topic(&name).await?;
        if context.output.is_json() {
            topic
                .groups
                .iter()
                .try_for_each(|group| context.output.json(&Lag { topic: &topic.name, group }))?;
        } else {
            shown.push(topic);
        }
    }
    let rows = shown.iter().flat_map(|topic| topic.groups.iter().map(move |group| row(topic, group)));
    context.output.table(["TOPIC", "GROUP", "LAG", "IN FLIGHT"], rows)?;
    Ok(Outcome::Good)
}

fn row(topic: &Topic, group: &TopicGroup) -> [Word; 4] {
    let tone = if group.lag == 0 { Tone::Good } else { Tone::Busy };
    [
        Word::from(&topic.name),
        Word::from(&group.group),
        Word::new(group.lag.to_string(), tone),
        Word::from(group.in_flight),
    ]
}

async fn all(context: &Context) -> Result<Vec<String>, CliError> {
    let mut query = TopicListQuery { limit: Some(PAGE), ..TopicListQuery::default() };
    let mut topics = Vec::new();
    loop {
        let page = context.client.topics(&query).await?;
        topics.extend(page.topics.into_iter().filter(|name| !name.starts_with(TIMELINES)));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return Ok(topics),
        }
    }
}
