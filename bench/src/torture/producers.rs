//! Producers: every message has a key and is sent again until somebody answers.

use std::{sync::Arc, time::Duration};

use driftq_client::{
    api::{BatchRequest, EnvelopeRequest, ProduceRequest, ProduceResponse, RetryPolicyRequest},
    json,
};
use fastrand::Rng;
use serde_json::json as object;

use super::{
    ledger::{Fact, Place},
    scene::{Mode, Outcome, Scene},
};

/// The topics, and how many partitions they have.
pub(crate) const TOPICS: [(&str, u32); 2] = [("torture.one", 1), ("torture.four", 4)];
/// How often a doomed message is tried.
pub(crate) const DOOMED_ATTEMPTS: u32 = 3;
/// What the id of a message that no worker ever acks ends with.
const DOOMED: &str = "-doomed";
const BATCH_MAX: usize = 20;
/// Bytes that a request is padded with, at most, all its messages together: with segments as small as the torture's
/// a larger batch is refused.
const PAD_BYTES_MAX: usize = 16_000;
/// How long a producer rests between two requests, at most.
const REST_MS_MAX: u64 = 6;

/// Whether no worker acks this message.
pub(crate) fn is_doomed(id: &str) -> bool {
    id.ends_with(DOOMED)
}

/// Produces until the load ends.
pub(crate) async fn produce(scene: Arc<Scene>, name: &'static str, number: u64) {
    let mut rng = Rng::with_seed(scene.seed ^ (number << 32));
    let mut serial = 0;
    while scene.mode() == Mode::Load {
        let count = if rng.u8(..8) == 0 { rng.usize(2..=BATCH_MAX) } else { 1 };
        let mut messages = Vec::with_capacity(count);
        for _ in 0..count {
            serial += 1;
            messages.push(message(&format!("{name}{number}-{serial}"), PAD_BYTES_MAX / count, &mut rng));
        }
        send(&scene, messages).await;
        scene.rest(Duration::from_millis(rng.u64(..=REST_MS_MAX))).await;
    }
}

/// Sends messages until there is an answer, and notes it.
pub(crate) async fn send(scene: &Scene, messages: Vec<ProduceRequest>) {
    let ids: Vec<String> = messages.iter().filter_map(|message| message.idempotency_key.clone()).collect();
    for (id, message) in ids.iter().zip(&messages) {
        let policy = message.envelope.as_ref().and_then(|envelope| envelope.retry_policy);
        let topic = message.topic.clone().unwrap_or_default();
        let max_attempts = policy.and_then(|policy| policy.max_attempts).unwrap_or_default();
        scene.note(Fact::ProduceIntent { id: id.clone(), topic, max_attempts });
    }
    let outcome = scene.ask(
        u32::MAX,
        || {},
        async |client| match messages.as_slice() {
            [only] => client.produce(only.clone()).await.map(|answer| vec![answer]),
            all => client
                .produce_batch(BatchRequest { messages: all.to_vec() })
                .await
                .map(|answer| answer.results),
        },
    );
    match outcome.await {
        Outcome::Answered(answers) => {
            for (id, answer) in ids.into_iter().zip(answers) {
                scene.note(Fact::Produced { id, duplicate: answer.duplicate, at: place(answer) });
            }
        }
        Outcome::Refused(status) => {
            for id in ids {
                scene.note(Fact::ProduceRefused { id, status });
            }
        }
        Outcome::Unknown => {}
    }
}

fn place(answer: ProduceResponse) -> Place {
    let topic = answer.stored_topic.unwrap_or(answer.topic);
    Place { topic, partition: answer.partition, offset: answer.offset }
}

/// A message with its id as key and in its value.
pub(crate) fn message(id: &str, pad_bytes_max: usize, rng: &mut Rng) -> ProduceRequest {
    let (topic, _) = TOPICS[rng.usize(..TOPICS.len())];
    let is_doomed = rng.u8(..16) == 0;
    let id = if is_doomed { format!("{id}{DOOMED}") } else { id.to_owned() };
    let policy = RetryPolicyRequest {
        max_attempts: is_doomed.then_some(DOOMED_ATTEMPTS),
        backoff_ms: Some(rng.u64(1..20)),
        max_backoff_ms: Some(100),
        jitter_ms: Some(5),
    };
    let envelope = EnvelopeRequest {
        retry_policy: (is_doomed || rng.bool()).then_some(policy),
        ..EnvelopeRequest::default()
    };
    let pad = "x".repeat(rng.usize(..pad_bytes_max));
    ProduceRequest {
        topic: Some(topic.to_owned()),
        key: Some(format!("key-{}", rng.u8(..16))),
        value: json(&object!({ "id": id, "pad": pad })).ok(),
        envelope: Some(envelope),
        idempotency_key: Some(id),
        ..ProduceRequest::default()
    }
}
