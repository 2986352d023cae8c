//! `driftq topic`.

use driftq_client::api::{Topic, TopicListQuery, TopicSummary};

use crate::{
    Context, Outcome,
    args::TopicCommand,
    error::CliError,
    output::{Tone, Word},
    text::bytes,
};

/// How many topics are asked for at once.
const PAGE: u32 = 500;

pub(super) async fn run(command: TopicCommand, context: &Context) -> Result<Outcome, CliError> {
    match command {
        TopicCommand::Create { name, partitions } => {
            let created = context.client.create_topic(&name, partitions).await?;
            if context.output.is_json() {
                context.output.json(&created)?;
            } else {
                let count = partitions_of(created.partitions);
                context.output.line([Word::new(created.name, Tone::Good), Word::from(count)])?;
            }
        }
        TopicCommand::List => list(context).await?,
        TopicCommand::Show { name } => show(&context.client.topic(&name).await?, context)?,
    }
    Ok(Outcome::Good)
}

async fn list(context: &Context) -> Result<(), CliError> {
    let mut query = TopicListQuery { limit: Some(PAGE), ..TopicListQuery::default() };
    let mut topics = Vec::new();
    loop {
        let page = context.client.topic_details(&query).await?;
        if context.output.is_json() {
            page.topics.iter().try_for_each(|topic| context.output.json(topic))?;
        } else {
            topics.extend(page.topics);
        }
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => break,
        }
    }
    context.output.table(
        ["TOPIC", "PARTITIONS", "MESSAGES", "BYTES", "GROUPS"],
        topics.iter().map(|topic: &TopicSummary| {
            [
                Word::from(&topic.name),
                Word::from(topic.partitions),
                Word::from(topic.messages),
                Word::from(bytes(topic.bytes)),
                Word::from(topic.groups),
            ]
        }),
    )
}

fn show(topic: &Topic, context: &Context) -> Result<(), CliError> {
    let output = &context.output;
    if output.is_json() {
        return output.json(topic);
    }
    output.line([Word::new(&topic.name, Tone::Good), Word::from(partitions_of(topic.partitions.len()))])?;
    output.gap()?;
    output.table(
        ["PARTITION", "FIRST", "NEXT", "MESSAGES", "BYTES"],
        topic.partitions.iter().map(|partition| {
            [
                Word::from(partition.partition),
                Word::from(partition.first_offset),
                Word::from(partition.next_offset),
                Word::from(partition.messages),
                Word::from(bytes(partition.bytes)),
            ]
        }),
    )?;
    if topic.groups.is_empty() {
        return Ok(());
    }
    output.gap()?;
    output.table(
        ["GROUP", "LAG", "IN FLIGHT"],
        topic
            .groups
            .iter()
            .map(|group| [Word::from(&group.group), Word::from(group.lag), Word::from(group.in_flight)]),
    )
}

fn partitions_of(count: impl std::fmt::Display + PartialEq + From<u8>) -> String {
    if count == 1.into() { "1 partition".to_owned() } else { format!("{count} partitions") }
}
