//! Delivering: many streams, and an ack for every message.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::task::JoinSet;

use super::{MANY, Options, Server, fill, rate, ratio};
use crate::{
    BenchError, Figure,
    stats::{median, unsteady},
    wire::{Connection, post},
};

const TOPIC: &str = "bench.delivery";
/// Messages that wait for each second of measuring: more than are delivered in it.
const BACKLOG_A_SECOND: u64 = 40_000;
/// Before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);
/// How many messages a stream holds where it may hold several.
const SEVERAL: u32 = 16;

/// The rates of all rounds.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    serial: Vec<f64>,
    several: Vec<f64>,
}

pub(super) async fn measure(server: &Server, options: &Options) -> Result<Measured, BenchError> {
    server.create_topic(TOPIC).await?;
    fill(&mut server.connect().await?, TOPIC, backlog(options.leg)).await?;
    let mut measured = Measured::default();
    for round in 0..options.rounds {
        let serial = format!("serial-{round}");
        measured.serial.push(stream(server.address, TOPIC, &serial, 1, MANY, options.leg).await?);
        let several = format!("several-{round}");
        measured.several.push(stream(server.address, TOPIC, &several, SEVERAL, MANY, options.leg).await?);
    }
    Ok(measured)
}

/// Fills a topic and reads it, for a profile.
pub(super) async fn drive(
    address: SocketAddr,
    topic: &str,
    streams: usize,
    time: Duration,
) -> Result<f64, BenchError> {
    fill(&mut Connection::open(address).await?, topic, backlog(time)).await?;
    let group = format!("group-{}", fastrand::u64(..));
    stream(address, topic, &group, 1, streams, time).await
}

fn backlog(time: Duration) -> u64 {
    BACKLOG_A_SECOND * (time + WARM_UP).as_secs().saturating_add(1)
}

/// Streams that ack each message before they read the next; answers the acks granted a second.
async fn stream(
    address: SocketAddr,
    topic: &str,
    group: &str,
    max_in_flight: u32,
    streams: usize,
    time: Duration,
) -> Result<f64, BenchError> {
    let counted = Arc::new(AtomicU64::new(0));
    let from = Instant::now() + WARM_UP;
    let mut tasks = JoinSet::new();
    for number in 0..streams {
        let path = format!(
            "/v1/consume?topic={topic}&group={group}&owner=owner-{number}&lease_ms=60000&max_in_flight={max_in_flight}"
        );
        let acks = Connection::open(address).await?;
        let reads = Connection::open(address).await?;
        tasks.spawn(read(reads, acks, path, topic.to_owned(), from, Arc::clone(&counted)));
    }
    tokio::time::sleep_until((from + time).into()).await;
    let done = counted.load(Ordering::Relaxed);
    // A reader that ended has met an error; the others wait for messages.
    while let Some(ended) = tasks.try_join_next() {
        ended.expect("a reader does not panic")?;
    }
    tasks.shutdown().await;
    Ok(f64::from(u32::try_from(done).unwrap_or(u32::MAX)) / time.as_secs_f64())
}

async fn read(
    reads: Connection,
    mut acks: Connection,
    path: String,
    topic: String,
    from: Instant,
    counted: Arc<AtomicU64>,
) -> Result<(), BenchError> {
    #[derive(Deserialize)]
    struct Item<'a> {
        partition: u32,
        offset: u64,
        group: &'a str,
        owner: &'a str,
        lease_id: &'a str,
    }
    let mut lines = reads.stream(&path, "").await?;
    loop {
        let line = lines.next().await?;
        if line.is_empty() {
            continue;
        }
        let item: Item<'_> = serde_json::from_slice(line)
            .map_err(|error| BenchError::Unreadable { request: path.clone(), cause: error.to_string() })?;
        let Item { partition, offset, group, owner, lease_id } = item;
        let body = format!(
            r#"{{"topic":"{topic}","group":"{group}","owner":"{owner}","partition":{partition},"offset":{offset},"lease_id":"{lease_id}"}}"#
        );
        acks.expect(&post("/v1/ack", &body)).await?;
        if Instant::now() >= from {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Measured {
    pub(super) fn figures(&self, produced: Option<f64>, produce_doubt: Option<String>) -> Vec<Figure> {
        let (serial, several) = (median(self.serial.clone()), median(self.several.clone()));
        vec![
            rate("delivery + ack, 64 streams", serial).note("one message in flight a stream"),
            Figure::new("delivery rate / produce rate, 64 connections", ratio(serial, produced), "×")
                .at_least(0.5)
                .unless(unsteady("delivery", self.serial.clone()).or(produce_doubt)),
            rate("delivery + ack, 64 streams, up to 16 in flight", several).note("acked one after the other"),
        ]
    }
}
