//! `driftq group`.

use driftq_client::api::{GroupListQuery, GroupSummary, SeekRequest};

use crate::{
    Context, Outcome,
    args::{GroupCommand, GroupDeleteArgs, GroupListArgs, GroupSeekArgs},
    confirm::confirm,
    error::CliError,
    output::{Tone, Word},
    pages,
    text::moment,
};

pub(super) async fn run(command: GroupCommand, context: &Context) -> Result<Outcome, CliError> {
    match command {
        GroupCommand::List(args) => list(args, context).await?,
        GroupCommand::Seek(args) => seek(args, context).await?,
        GroupCommand::Delete(args) => delete(args, context).await?,
    }
    Ok(Outcome::Good)
}

async fn list(args: GroupListArgs, context: &Context) -> Result<(), CliError> {
    let groups = pages::list(args.limit, context, async |limit, cursor| {
        let query = GroupListQuery { topic: args.topic.clone(), cursor, limit: Some(limit) };
        let page = context.client.groups(&query).await?;
        Ok((page.groups, page.next_cursor))
    })
    .await?;
    context.output.table(
        ["TOPIC", "GROUP", "LAG", "IN FLIGHT", "WAITING", "CONSUMERS", "LAST USED"],
        groups.iter().map(|group| {
            [
                Word::from(&group.topic),
                Word::from(&group.group),
                lag(group),
                Word::from(group.in_flight),
                Word::from(group.waiting),
                consumers(group),
                Word::from(moment(group.used_at_ms)),
            ]
        }),
    )
}

/// How much a group has before it, with its tone.
pub(super) fn lag(group: &GroupSummary) -> Word {
    Word::new(group.lag.to_string(), if group.lag == 0 { Tone::Good } else { Tone::Busy })
}

/// Who works for a group; nobody, with work there, is what to look at.
pub(super) fn consumers(group: &GroupSummary) -> Word {
    let is_left_alone = group.consumers == 0 && group.lag > 0;
    Word::new(group.consumers.to_string(), if is_left_alone { Tone::Bad } else { Tone::Plain })
}

async fn seek(args: GroupSeekArgs, context: &Context) -> Result<(), CliError> {
    confirm(&format!("move the group {} of {} to another place", args.group, args.topic), context)?;
    let request = SeekRequest {
        topic: Some(args.topic.clone()),
        group: Some(args.group.clone()),
        to: Some(args.place()),
        reason: args.reason,
    };
    let sought = context.client.seek_group(&request).await?;
    if context.output.is_json() {
        return context.output.json(&sought);
    }
    context.output.table(
        ["TOPIC", "GROUP", "PARTITION", "NEXT"],
        sought.partitions.iter().map(|place| {
            [
                Word::from(&sought.topic),
                Word::from(&sought.group),
                Word::from(place.partition),
                Word::from(place.offset),
            ]
        }),
    )
}

async fn delete(args: GroupDeleteArgs, context: &Context) -> Result<(), CliError> {
    confirm(&format!("forget the group {} of {} and where it was", args.group, args.topic), context)?;
    context.client.delete_group(&args.topic, &args.group, args.reason.as_deref()).await?;
    if context.output.is_json() {
        let deleted = serde_json::json!({ "status": "deleted", "topic": args.topic, "group": args.group });
        return context.output.json(&deleted);
    }
    context.output.line([Word::new("deleted", Tone::Good), Word::from(args.topic), Word::from(args.group)])
}
