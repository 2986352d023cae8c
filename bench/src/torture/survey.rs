//! The end: everything is drained, then everything that is kept goes into the ledger.

use std::time::Duration;

use driftq_client::{
    Client, ClientError,
    api::{BrowseQuery, DeadLetterQuery, EventQuery, RunListQuery, RunStatus},
};
use fastrand::Rng;
use tokio::time::Instant;

use super::{
    ledger::{Fact, Place},
    producers::{TOPICS, message, send},
    runs::COMMANDS,
    scene::Scene,
    workers::id_in,
};

/// How long draining may take: every lease and every backoff has to end by itself.
const DRAIN_TIME: Duration = Duration::from_secs(60);
const DRAIN_STEP: Duration = Duration::from_millis(50);
/// Bytes that the message afterwards is padded with, at most.
const PAD_BYTES: usize = 1_000;
/// How much is asked for at a time.
const PAGE: u32 = 500;

/// Waits until nothing is left to do; what is left when the time is over is noted.
pub(crate) async fn drain(scene: &Scene, client: &Client) -> Result<(), ClientError> {
    let mut rng = Rng::with_seed(scene.seed);
    send(scene, vec![message("afterwards-1", PAD_BYTES, &mut rng)]).await;
    let began = Instant::now();
    loop {
        let left = left(client).await?;
        if left.is_none() {
            return Ok(());
        }
        if began.elapsed() > DRAIN_TIME {
            scene.note(Fact::Stuck {
                what: format!("not drained in {DRAIN_TIME:?}: {}", left.unwrap_or_default()),
            });
            return Ok(());
        }
        tokio::time::sleep(DRAIN_STEP).await;
    }
}

/// What is left to do, if anything.
async fn left(client: &Client) -> Result<Option<String>, ClientError> {
    for (topic, _) in TOPICS {
        for group in client.topic(topic).await?.groups {
            if group.lag > 0 || group.in_flight > 0 {
                let (name, lag, in_flight) = (group.group, group.lag, group.in_flight);
                return Ok(Some(format!("{topic} of {name}: lag {lag}, in flight {in_flight}")));
            }
        }
    }
    for status in [RunStatus::Queued, RunStatus::Running, RunStatus::Retrying] {
        let query = RunListQuery { status: Some(status), limit: Some(1), ..RunListQuery::default() };
        if let Some(run) = client.runs(&query).await?.runs.first() {
            return Ok(Some(format!("{} is {}", run.run_id, status.as_str())));
        }
    }
    Ok(None)
}

/// Notes everything that is kept.
pub(crate) async fn survey(scene: &Scene, client: &Client) -> Result<(), ClientError> {
    for (topic, partitions) in TOPICS {
        for partition in 0..partitions {
            messages(scene, client, topic, partition).await?;
        }
        groups(scene, client, topic).await?;
    }
    groups(scene, client, COMMANDS).await?;
    dead_letters(scene, client).await?;
    runs(scene, client).await
}

async fn messages(scene: &Scene, client: &Client, topic: &str, partition: u32) -> Result<(), ClientError> {
    let mut from = Some(0);
    while from.is_some() {
        let query = BrowseQuery { partition: Some(partition), from, limit: Some(PAGE), cursor: None };
        let page = client.browse(topic, &query).await?;
        for message in page.messages {
            let at = Place { topic: topic.to_owned(), partition: message.partition, offset: message.offset };
            scene.note(Fact::Kept { id: id_in(&message.value), at });
        }
        from = page.next_from;
    }
    Ok(())
}

async fn groups(scene: &Scene, client: &Client, topic: &str) -> Result<(), ClientError> {
    for group in client.topic(topic).await?.groups {
        let (lag, in_flight) = (group.lag, group.in_flight);
        scene.note(Fact::GroupFound { topic: topic.to_owned(), group: group.group, lag, in_flight });
    }
    Ok(())
}

async fn dead_letters(scene: &Scene, client: &Client) -> Result<(), ClientError> {
    let mut query = DeadLetterQuery { limit: Some(PAGE), ..DeadLetterQuery::default() };
    loop {
        let page = client.dead_letters(&query).await?;
        for dead in page.items {
            let (topic, partition, offset) =
                (dead.original_topic, dead.original_partition, dead.original_offset);
            scene.note(Fact::DeadLetter { group: dead.group, at: Place { topic, partition, offset } });
        }
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return Ok(());
        }
    }
}

async fn runs(scene: &Scene, client: &Client) -> Result<(), ClientError> {
    let mut query = RunListQuery { limit: Some(PAGE), ..RunListQuery::default() };
    loop {
        let page = client.runs(&query).await?;
        for run in page.runs {
            timeline(scene, client, &run.run_id).await?;
            let status = run.status.as_str().to_owned();
            scene.note(Fact::RunFound { run: run.run_id, replay: run.replay_seq, status });
        }
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return Ok(());
        }
    }
}

async fn timeline(scene: &Scene, client: &Client, run: &str) -> Result<(), ClientError> {
    let mut query = EventQuery { limit: Some(PAGE), ..EventQuery::default() };
    loop {
        let page = client.run_events(run, &query).await?;
        for event in &page.events {
            scene.note(Fact::TimelineEvent { run: run.to_owned(), event: event.into() });
        }
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return Ok(());
        }
    }
}
