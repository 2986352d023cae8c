//! Metrics for Prometheus, in the OpenMetrics text format.
//!
//! Promise: counters are counted where things happen, everything else is looked up at the scrape, a bounded look at a
//! time; no metric has more than [`SERIES_MAX`] series, and topics that carry an id are one series under their pattern.

use crate::app::App;
use crate::problem::Problem;
use driftq_core::{
    DLQ_PREFIX, DeadLetterReason, EVENTS_PREFIX, GroupId, MessageAt, Offset, PartitionId, State, TopicId,
    TopicName,
};
use driftq_engine::{Broker, SYNC_BOUNDS, SyncTimes};
use http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The media type of the text format.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Series of one metric.
const SERIES_MAX: usize = 1_000;
/// Groups or dead letters looked at in one go on the writer's thread.
const LOOK_MAX: usize = 4_096;
/// The pattern of topics that carry a run's id.
const TIMELINES: &str = "runs.events.*";

/// What the server counts itself.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    rejected: Family<Reason, Counter>,
    produced: Counter,
    answered: Family<Answered, Counter>,
    connections: Gauge,
    dead: Mutex<DeadLetters>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct DeadLabels {
    topic: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct GroupLabels {
    topic: String,
    group: String,
    partition: u32,
}

/// Dead letters counted so far, and up to where.
#[derive(Clone, Debug, Default)]
struct DeadLetters {
    counts: BTreeMap<DeadLabels, u64>,
    counted: BTreeMap<TopicId, Vec<Offset>>,
}

impl Metrics {
    pub(crate) fn produce_rejected(&self, reason: &str) {
        self.rejected.get_or_create(&Reason { reason: reason.to_owned() }).inc();
    }

    pub(crate) fn produced(&self, count: usize) {
        self.produced.inc_by(count as u64);
    }

    pub(crate) fn answered(&self, method: &Method, status: StatusCode) {
        let known = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
        let method = known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other").to_owned();
        self.answered.get_or_create(&Answered { method, status: status.as_u16() }).inc();
    }

    pub(crate) fn connected(&self) {
        self.connections.inc();
    }

    pub(crate) fn disconnected(&self) {
        self.connections.dec();
    }
}

/// The text of one scrape.
pub(crate) async fn scrape(app: &App) -> Result<String, Problem> {
    let mut registry = Registry::default();
    let metrics = &app.metrics;
    registry.register("produce_rejected", "Messages refused on produce", metrics.rejected.clone());
    registry.register(
        "driftq_produced_messages",
        "Messages stored since the start",
        metrics.produced.clone(),
    );
    registry.register("driftq_http_responses", "Answers by method and status", metrics.answered.clone());
    registry.register("driftq_connections", "Open connections", metrics.connections.clone());
    if let Some(broker) = app.broker() {
        broker_gauges(&mut registry, broker).await?;
        group_gauges(&mut registry, broker).await?;
        dead_letter_counters(&mut registry, app, broker).await?;
    }
    let mut out = String::new();
    text::encode(&mut out, &registry).map_err(|_| Problem::internal("the metrics could not be written"))?;
    Ok(out)
}

async fn broker_gauges(registry: &mut Registry, broker: &Broker) -> Result<(), Problem> {
    let status = broker.status();
    let look = |state: &State| {
        let limits = &state.limits;
        let full = limits.key_window.0;
        // While the window is full, the oldest key that is left says how far back it reaches.
        let window = match state.keys.oldest() {
            Some(oldest) if state.keys.len() >= limits.keys_max => oldest.until(state.now).0.min(full),
            Some(_) | None => full,
        };
        [
            ("driftq_idempotency_window_ms", "How long a produce key is remembered as things stand", window),
            ("driftq_idempotency_keys", "Live produce keys", state.keys.len() as u64),
            ("driftq_topics", "Topics", state.topics.len() as u64),
            ("driftq_groups", "Consumer groups", state.groups.len() as u64),
            ("driftq_runs", "Runs that are kept", state.runs.len() as u64),
        ]
    };
    let seen = broker.look(look).await?;
    let own = [
        ("driftq_log_bytes", "Bytes of the log on its medium", status.log_bytes),
        ("driftq_queued_requests", "Requests that wait for the writer", status.queued as u64),
        ("driftq_durable_position", "The last durable record", status.durable),
        ("driftq_disk_full", "Whether the disk is full", u64::from(status.disk_full)),
    ];
    registry.register_collector(Box::new(Syncs(status.syncs)));
    for (name, help, value) in seen.into_iter().chain(own) {
        registry.register(name, help, gauge(value));
    }
    Ok(())
}

/// How long the log's syncs took, as a histogram.
#[derive(Debug)]
struct Syncs(SyncTimes);

impl Collector for Syncs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "How long a sync of the log takes";
        let mut encoder = encoder.encode_descriptor(
            "driftq_log_sync",
            help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        let bounds = SYNC_BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(self.0.counts).collect();
        let count = self.0.counts.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(self.0.sum.as_secs_f64(), count, &buckets, None)
    }
}

fn gauge(value: u64) -> Gauge {
    let gauge: Gauge = Gauge::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    gauge
}

type Load = BTreeMap<GroupLabels, (u64, u64)>;

async fn group_gauges(registry: &mut Registry, broker: &Broker) -> Result<(), Problem> {
    let mut load = Load::new();
    let mut from = GroupId(0);
    loop {
        let begin = from;
        let (chunk, next) = broker.look(move |state| group_load(state, begin)).await?;
        for (labels, (in_flight, lag)) in chunk {
            if load.len() < SERIES_MAX || load.contains_key(&labels) {
                let sum = load.entry(labels).or_default();
                *sum = (sum.0 + in_flight, sum.1 + lag);
            }
        }
        match next {
            Some(next) => from = next,
            None => break,
        }
    }
    let (in_flight, lag) = (Family::<GroupLabels, Gauge>::default(), Family::<GroupLabels, Gauge>::default());
    for (labels, (held, behind)) in load {
        in_flight.get_or_create(&labels).set(i64::try_from(held).unwrap_or(i64::MAX));
        lag.get_or_create(&labels).set(i64::try_from(behind).unwrap_or(i64::MAX));
    }
    registry.register("inflight_messages", "Messages under a lease", in_flight);
    registry.register("consumer_lag", "Messages a group has not settled", lag);
    Ok(())
}

fn group_load(state: &State, from: GroupId) -> (Load, Option<GroupId>) {
    let mut load = Load::new();
    let mut groups = state.groups.range(from..);
    for (_, group) in groups.by_ref().take(LOOK_MAX) {
        let Some(topic) = state.topics.get(&group.topic) else { continue };
        let is_timeline = topic.name.as_str().starts_with(EVENTS_PREFIX);
        // A group on a timeline is one reader of one run: its name says as little to a dashboard as the run's id.
        let group_name = if is_timeline { "*" } else { group.name.as_str() };
        for (partition, (kept, progress)) in (0_u32..).zip(topic.partitions.iter().zip(&group.partitions)) {
            let labels = GroupLabels {
                topic: pattern(topic.name.as_str()).to_owned(),
                group: group_name.to_owned(),
                partition,
            };
            let sum = load.entry(labels).or_default();
            *sum = (sum.0 + u64::from(progress.leased), sum.1 + progress.lag(kept.next_offset()));
        }
    }
    (load, groups.next().map(|(id, _)| *id))
}

/// A topic's name, or the pattern it belongs to.
fn pattern(name: &str) -> &str {
    if name.starts_with(EVENTS_PREFIX) { TIMELINES } else { name }
}

async fn dead_letter_counters(registry: &mut Registry, app: &App, broker: &Broker) -> Result<(), Problem> {
    let mut dead = app.metrics.dead.lock().unwrap_or_else(PoisonError::into_inner).clone();
    loop {
        let (counted, is_done) = broker.look(move |state| count_dead_letters(state, dead)).await?;
        dead = counted;
        if is_done {
            break;
        }
    }
    let family = Family::<DeadLabels, Counter>::default();
    for (labels, count) in dead.counts.iter().take(SERIES_MAX) {
        family.get_or_create(labels).inc_by(*count);
    }
    *app.metrics.dead.lock().unwrap_or_else(PoisonError::into_inner) = dead;
    registry.register("dlq_messages", "Messages that became dead letters", family);
    Ok(())
}

/// Counts dead letters that came since the last look; says whether all are counted.
fn count_dead_letters(state: &State, mut dead: DeadLetters) -> (DeadLetters, bool) {
    let mut looked = 0;
    let before_all = TopicName::parse(DLQ_PREFIX.trim_end_matches('.')).ok();
    let names = state.topic_names_from(before_all.as_ref()).skip_while(|(name, _)| !name.is_dead_letters());
    for (name, id) in names.take_while(|(name, _)| name.is_dead_letters()) {
        let Some(topic) = state.topics.get(&id) else { continue };
        let counted = dead.counted.entry(id).or_default();
        counted.resize(topic.partitions.len(), Offset(0));
        for (index, partition) in (0_u32..).zip(&topic.partitions) {
            let Some(next) = usize::try_from(index).ok().and_then(|index| counted.get_mut(index)) else {
                continue;
            };
            *next = (*next).max(partition.first);
            while *next < partition.next_offset() {
                if looked >= LOOK_MAX {
                    return (dead, false);
                }
                looked += 1;
                let at = MessageAt { topic: id, partition: PartitionId(index), offset: *next };
                if let Some(letter) = state.dead_letter(at) {
                    let original = name.as_str().strip_prefix(DLQ_PREFIX).unwrap_or_default();
                    let labels = DeadLabels {
                        topic: pattern(original).to_owned(),
                        reason: reason(letter.reason).to_owned(),
                    };
                    *dead.counts.entry(labels).or_default() += 1;
                }
                *next = next.next();
            }
        }
    }
    (dead, true)
}

/// A reason as dashboards know it.
fn reason(reason: DeadLetterReason) -> &'static str {
    match reason {
        DeadLetterReason::MaxAttempts => "max_attempts_reached",
        DeadLetterReason::DeadlineExceeded | DeadLetterReason::NonRetryable => reason.as_str(),
    }
}
