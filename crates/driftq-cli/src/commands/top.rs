//! `driftq top`: topics, groups, lag and rates.
//!
//! Promise: a rate is a difference between two answers of the server over the time between them;
//! with one answer there is none. Nothing is kept but the last two.

use std::{collections::BTreeMap, time::Instant};

use driftq_client::{
    Client, ClientError,
    api::{GroupListQuery, GroupSummary, Stats, TopicListQuery, TopicSummary},
};
use serde::Serialize;

use super::{TIMELINES, group, stats};
use crate::{
    Context, Outcome,
    args::TopArgs,
    error::CliError,
    output::{Tone, Word},
    text::bytes,
};

/// The most groups or topics that are looked at; those beyond are not in the picture.
const LOOKED_AT_MAX: usize = 5_000;

/// How many are asked for at once.
const PAGE: u32 = 500;

/// What the server said at one time.
pub(super) struct Sample {
    at: Instant,
    pub(super) stats: Stats,
    pub(super) groups: Vec<GroupSummary>,
    pub(super) topics: Vec<TopicSummary>,
}

/// How fast it goes, a second.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Rates {
    pub(super) produced: f64,
    pub(super) delivered: f64,
    pub(super) acked: f64,
    pub(super) nacked: f64,
    /// By topic; those without any are left out.
    pub(super) topics: BTreeMap<String, f64>,
}

#[derive(Serialize)]
struct Line<'a> {
    stats: &'a Stats,
    #[serde(skip_serializing_if = "Option::is_none")]
    rates: Option<&'a Rates>,
    groups: &'a [GroupSummary],
    topics: &'a [TopicSummary],
}

pub(super) async fn run(args: TopArgs, context: &Context) -> Result<Outcome, CliError> {
    if args.once {
        let sample = Sample::take(&context.client, args.limit).await?;
        print(&sample, None, context)?;
        return Ok(Outcome::Good);
    }
    if context.output.is_json() {
        return lines(args, context).await;
    }
    #[cfg(feature = "workbench")]
    if context.output.is_terminal() {
        return super::top_screen::run(args, context).await;
    }
    Err(CliError::Usage("there is no terminal to draw on; take --once or --json".to_owned()))
}

/// A line for each sample, for ever.
async fn lines(args: TopArgs, context: &Context) -> Result<Outcome, CliError> {
    let mut before: Option<Sample> = None;
    loop {
        let sample = Sample::take(&context.client, args.limit).await?;
        let rates = before.as_ref().map(|before| sample.rates(before));
        print(&sample, rates.as_ref(), context)?;
        before = Some(sample);
        tokio::time::sleep(args.interval).await;
    }
}

fn print(sample: &Sample, rates: Option<&Rates>, context: &Context) -> Result<(), CliError> {
    let output = &context.output;
    if output.is_json() {
        let (groups, topics) = (sample.groups.as_slice(), sample.topics.as_slice());
        return output.json(&Line { stats: &sample.stats, rates, groups, topics });
    }
    output.facts(stats::facts(&sample.stats))?;
    output.gap()?;
    output.table(
        ["TOPIC", "GROUP", "LAG", "IN FLIGHT", "WAITING", "CONSUMERS"],
        sample.groups.iter().map(|group| {
            [
                Word::from(&group.topic),
                Word::from(&group.group),
                group::lag(group),
                Word::from(group.in_flight),
                Word::from(group.waiting),
                group::consumers(group),
            ]
        }),
    )?;
    output.gap()?;
    output.table(
        ["TOPIC", "MESSAGES", "BYTES"],
        sample.topics.iter().map(|topic| {
            [Word::new(&topic.name, Tone::Plain), Word::from(topic.messages), Word::from(bytes(topic.bytes))]
        }),
    )
}

impl Sample {
    /// Asks the server; of groups and topics the `limit` with the most are kept.
    pub(super) async fn take(client: &Client, limit: usize) -> Result<Self, ClientError> {
        let stats = client.stats().await?;
        let mut groups = all_groups(client).await?;
        groups
            .sort_by(|a, b| b.lag.cmp(&a.lag).then_with(|| (&a.topic, &a.group).cmp(&(&b.topic, &b.group))));
        groups.truncate(limit);
        let mut topics = all_topics(client).await?;
        topics.sort_by(|a, b| b.messages.cmp(&a.messages).then_with(|| a.name.cmp(&b.name)));
        topics.truncate(limit);
        Ok(Self { at: Instant::now(), stats, groups, topics })
    }

    /// How fast it went since the sample before.
    pub(super) fn rates(&self, before: &Self) -> Rates {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(f64::EPSILON);
        // Counters begin anew with the server; then there is no rate.
        let rate = |now: u64, then: u64| now.checked_sub(then).map_or(0.0, |more| more as f64 / seconds);
        let then: BTreeMap<_, _> = before.topics.iter().map(|topic| (&topic.name, topic.messages)).collect();
        let topics = self.topics.iter().filter_map(|topic| {
            let rate = rate(topic.messages, *then.get(&topic.name)?);
            (rate > 0.0).then(|| (topic.name.clone(), rate))
        });
        let (now, old) = (&self.stats, &before.stats);
        Rates {
            produced: rate(now.messages_total, old.messages_total),
            delivered: rate(now.delivered_total, old.delivered_total),
            acked: rate(now.acked_total, old.acked_total),
            nacked: rate(now.nacked_total, old.nacked_total),
            topics: topics.collect(),
        }
    }
}

async fn all_groups(client: &Client) -> Result<Vec<GroupSummary>, ClientError> {
    let mut query = GroupListQuery { limit: Some(PAGE), ..GroupListQuery::default() };
    let mut groups = Vec::new();
    while groups.len() < LOOKED_AT_MAX {
        let page = client.groups(&query).await?;
        groups.extend(page.groups);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    Ok(groups)
}

async fn all_topics(client: &Client) -> Result<Vec<TopicSummary>, ClientError> {
    let mut query = TopicListQuery { limit: Some(PAGE), ..TopicListQuery::default() };
    let (mut topics, mut looked_at) = (Vec::new(), 0);
    while looked_at < LOOKED_AT_MAX {
        let page = client.topic_details(&query).await?;
        looked_at += page.topics.len();
        topics.extend(page.topics.into_iter().filter(|topic| !topic.name.starts_with(TIMELINES)));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    Ok(topics)
}
