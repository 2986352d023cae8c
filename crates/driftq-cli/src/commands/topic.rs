//! `driftq topic`.

use driftq_client::{
    ClientError,
    api::{
        BrowseQuery, BrowsedMessage, FingerprintQuery, PatchTopicRequest, RetryPolicy, Topic, TopicListQuery,
        TopicSettings, TopicSummary,
    },
};

use crate::{
    Context, Outcome,
    args::{TopicBrowseArgs, TopicCommand, TopicCreateArgs, TopicDeleteArgs},
    confirm::confirm,
    error::CliError,
    output::{Output, Tone, Word},
    pages,
    text::{brief, bytes, moment, span},
};

/// How many topics are asked for at once.
const PAGE: u32 = 500;

/// What the name of a topic of dead letters begins with.
const DEAD_LETTERS: &str = "dlq.";

pub(super) async fn run(command: TopicCommand, context: &Context) -> Result<Outcome, CliError> {
    match command {
        TopicCommand::Create(args) => create(args, context).await?,
        TopicCommand::List => list(context).await?,
        TopicCommand::Show { name } => show(&context.client.topic(&name).await?, context)?,
        TopicCommand::Set(args) => set(&args.name, &args.patch(), context).await?,
        TopicCommand::Delete(args) => delete(args, context).await?,
        TopicCommand::Browse(args) => browse(args, context).await?,
    }
    Ok(Outcome::Good)
}

async fn create(args: TopicCreateArgs, context: &Context) -> Result<(), CliError> {
    let created = context.client.create_topic_with(&args.request()).await?;
    if context.output.is_json() {
        return context.output.json(&created);
    }
    let count = partitions_of(created.partitions);
    context.output.line([Word::new(created.name, Tone::Good), Word::from(count)])
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

async fn set(name: &str, patch: &PatchTopicRequest, context: &Context) -> Result<(), CliError> {
    let topic = context.client.change_topic(name, patch).await?;
    if context.output.is_json() {
        return context.output.json(&topic);
    }
    context.output.line([Word::new(&topic.name, Tone::Good)])?;
    settings(&topic, &context.output)
}

async fn delete(args: TopicDeleteArgs, context: &Context) -> Result<(), CliError> {
    let topic = context.client.topic(&args.name).await?;
    let messages: u64 = topic.partitions.iter().map(|partition| partition.messages).sum();
    let dead = open_dead_letters(&args.name, context).await?;
    let also = dead.filter(|dead| *dead > 0).map(|dead| match args.name.strip_prefix(DEAD_LETTERS) {
        Some(_) => format!(", {dead} of them open dead letters"),
        None => format!(
            "; its {dead} open dead letters stay in {DEAD_LETTERS}{} with no topic to go back to",
            args.name
        ),
    });
    let also = also.unwrap_or_default();
    let what = format!("{} with {messages} messages and {} groups{also}", args.name, topic.groups.len());
    if !args.dry_run {
        confirm(&format!("delete the topic {what}"), context)?;
        context.client.delete_topic(&args.name, args.reason.as_deref()).await?;
    }
    let status = if args.dry_run { "would be deleted" } else { "deleted" };
    if context.output.is_json() {
        let deleted = serde_json::json!({
            "status": if args.dry_run { "unchanged" } else { "deleted" }, "topic": args.name,
            "dry_run": args.dry_run, "messages": messages, "groups": topic.groups.len(),
            "open_dead_letters": dead,
        });
        return context.output.json(&deleted);
    }
    context.output.line([Word::new(status, Tone::Good), Word::from(what)])
}

/// How many open dead letters a topic holds, or failed in it; nothing when the server does not tell.
async fn open_dead_letters(name: &str, context: &Context) -> Result<Option<u64>, CliError> {
    let original = name.strip_prefix(DEAD_LETTERS).unwrap_or(name).to_owned();
    let mut query =
        FingerprintQuery { topic: Some(original), limit: Some(PAGE), ..FingerprintQuery::default() };
    let mut count = 0;
    loop {
        let page = match context.client.fingerprints(&query).await {
            Ok(page) => page,
            // Whoever may delete topics need not be allowed to look at dead letters.
            Err(ClientError::Refused(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        count += page.fingerprints.iter().map(|fingerprint| fingerprint.count).sum::<u64>();
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return Ok(Some(count)),
        }
    }
}

async fn browse(args: TopicBrowseArgs, context: &Context) -> Result<(), CliError> {
    let messages = pages::list(args.limit, context, async |limit, cursor| {
        // A cursor says where it goes on, so only the first page is asked for by offset.
        let from = if cursor.is_none() { args.from } else { None };
        let query = BrowseQuery { partition: Some(args.partition), from, limit: Some(limit), cursor };
        let page = context.client.browse(&args.name, &query).await?;
        Ok((page.messages, page.next_cursor))
    })
    .await?;
    context.output.table(
        ["ADDRESS", "PRODUCED", "KEY", "VALUE"],
        messages.iter().map(|message: &BrowsedMessage| {
            [
                Word::from(format_args!("{}/{}/{}", args.name, message.partition, message.offset)),
                Word::from(moment(message.produced_at_ms)),
                Word::from(&message.key),
                Word::from(brief(&message.value)),
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
    if !topic.groups.is_empty() {
        output.gap()?;
        output.table(
            ["GROUP", "LAG", "IN FLIGHT"],
            topic
                .groups
                .iter()
                .map(|group| [Word::from(&group.group), Word::from(group.lag), Word::from(group.in_flight)]),
        )?;
    }
    settings(topic, output)
}

/// What is in force, and whose setting it is; nothing when there is none.
fn settings(topic: &Topic, output: &Output) -> Result<(), CliError> {
    let (own, effective) = (values(&topic.settings), values(&topic.effective));
    let elsewhere =
        topic.pattern.as_ref().map_or("default".to_owned(), |pattern| format!("pattern {pattern}"));
    let rows: Vec<_> = effective
        .into_iter()
        .zip(own)
        .filter_map(|((name, effective), (_, own))| {
            let from = if own.is_some() { "its own" } else { elsewhere.as_str() };
            Some([Word::from(name), Word::from(effective?), Word::new(from, Tone::Quiet)])
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    output.gap()?;
    output.table(["SETTING", "VALUE", "FROM"], rows)
}

fn values(settings: &TopicSettings) -> [(&'static str, Option<String>); 8] {
    let bound = |count: u64| if count == 0 { "no bound".to_owned() } else { count.to_string() };
    let retention = settings.retention.as_ref();
    let kept = |text: String| match retention {
        Some(retention) if !retention.enforced => format!("{text} (not enforced yet)"),
        _ => text,
    };
    [
        ("retry policy", settings.retry_policy.as_ref().map(policy)),
        (
            "idempotency window",
            settings.idempotency_window_ms.map(|ms| if ms == 0 { "off".to_owned() } else { span(ms) }),
        ),
        ("messages of a partition", settings.partition_max_messages.map(bound)),
        ("bytes of a partition", settings.partition_max_bytes.map(bound)),
        ("kept for", retention.and_then(|kept| kept.age_ms).map(span).map(kept)),
        ("bytes kept", retention.and_then(|kept| kept.bytes).map(bytes).map(kept)),
        ("dead letters kept for", retention.and_then(|kept| kept.dead_letter_age_ms).map(span).map(kept)),
        ("label", settings.routing.as_ref().map(|routing| routing.label.clone())),
    ]
}

/// A retry policy as people say it.
fn policy(policy: &RetryPolicy) -> String {
    let attempts = match policy.max_attempts {
        Some(max) if max > 0 => format!("{max} attempts"),
        _ => "no limit".to_owned(),
    };
    let parts = [
        Some(attempts),
        policy.backoff_ms.map(|ms| format!("backoff {}", span(ms))),
        policy.max_backoff_ms.filter(|ms| *ms > 0).map(|ms| format!("up to {}", span(ms))),
        policy.jitter_ms.filter(|ms| *ms > 0).map(|ms| format!("jitter {}", span(ms))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn partitions_of(count: impl std::fmt::Display + PartialEq + From<u8>) -> String {
    if count == 1.into() { "1 partition".to_owned() } else { format!("{count} partitions") }
}
