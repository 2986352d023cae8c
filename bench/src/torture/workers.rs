//! Workers: streams and polls that ack, nack, extend, come too late, forget, and ack over a restart.

use std::{sync::Arc, time::Duration};

use driftq_client::api::{
    AckRequest, ConsumeItem, ConsumeMode, ConsumeRequest, ExtendRequest, NackRequest, RawValue,
};
use fastrand::Rng;
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::{
    ledger::{Ask, Fact, Held, Place},
    producers::is_doomed,
    runs,
    scene::{Life, Mode, Outcome, Scene},
};

/// How often a question about a lease is asked.
const TRIES: u32 = 3;
/// Lease lengths that workers ask for.
const LEASES_MS: [u64; 3] = [300, 1_000, 2_000];
/// How long a poll waits.
const POLL_WAIT_MS: u64 = 200;
/// Messages one poll takes, at most.
const POLL_MAX: u32 = 10;
/// A worker leaves its stream, with all leases, about once in so many messages.
const LEAVES_IN: u32 = 150;
/// How much longer than its lease somebody holds on who is too late.
const LATE: Duration = Duration::from_millis(100);

/// What a worker reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Desk {
    pub(crate) topic: &'static str,
    pub(crate) group: &'static str,
    pub(crate) max_in_flight: u32,
    pub(crate) number: u64,
}

/// One connection's place in the ledger.
#[derive(Clone, Copy, Debug)]
struct Connection {
    life: u64,
    number: u64,
    lease_ms: u64,
}

/// Works on a stream until the end, over restarts.
pub(crate) async fn stream(scene: Arc<Scene>, desk: Desk) {
    let mut rng = Rng::with_seed(scene.seed ^ (desk.number << 40));
    while let Some(life) = scene.life().await {
        let lease_ms = LEASES_MS[rng.usize(..LEASES_MS.len())];
        let connection = Connection { life: life.number, number: scene.number(), lease_ms };
        let mut items = life.client.consume(ConsumeRequest {
            owner: Some(format!("stream-{}", desk.number)),
            max_in_flight: Some(desk.max_in_flight),
            ..request(&desk, lease_ms)
        });
        let mut tasks = JoinSet::new();
        loop {
            let item = tokio::select! {
                item = items.next() => item,
                Some(_) = tasks.join_next() => continue,
                () = scene.ended() => return,
            };
            let Some(Ok(item)) = item else { break };
            tasks.spawn(take(Arc::clone(&scene), item, connection, rng.fork()));
            if scene.mode() == Mode::Load && rng.u32(..LEAVES_IN) == 0 {
                break;
            }
        }
        // What is in hand goes on: its lease outlives the connection and the server.
        tasks.detach_all();
        scene.pause().await;
    }
}

/// Works by polls until the end, over restarts; without an owner of its own every other time.
pub(crate) async fn poll(scene: Arc<Scene>, desk: Desk) {
    let mut rng = Rng::with_seed(scene.seed ^ (desk.number << 40));
    while let Some(Life { number: life, client }) = scene.life().await {
        let lease_ms = LEASES_MS[rng.usize(..LEASES_MS.len())];
        let connection = Connection { life, number: scene.number(), lease_ms };
        let request = ConsumeRequest {
            owner: rng.bool().then(|| format!("poll-{}", desk.number)),
            mode: Some(ConsumeMode::Poll),
            max: Some(rng.u32(1..=POLL_MAX)),
            wait_ms: Some(POLL_WAIT_MS),
            ..request(&desk, lease_ms)
        };
        let items = tokio::select! {
            items = client.poll(request) => items,
            () = scene.ended() => return,
        };
        let Ok(items) = items else {
            scene.pause().await;
            continue;
        };
        let mut tasks = JoinSet::new();
        for item in items {
            tasks.spawn(take(Arc::clone(&scene), item, connection, rng.fork()));
        }
        while tasks.join_next().await.is_some() {}
    }
}

fn request(desk: &Desk, lease_ms: u64) -> ConsumeRequest {
    ConsumeRequest {
        topic: Some(desk.topic.to_owned()),
        group: Some(desk.group.to_owned()),
        lease_ms: Some(lease_ms),
        ..ConsumeRequest::default()
    }
}

/// Notes a delivery and works on it.
async fn take(scene: Arc<Scene>, item: ConsumeItem, connection: Connection, mut rng: Rng) {
    let at = Place { topic: item.topic.clone(), partition: item.partition, offset: item.offset };
    let held = Held { group: item.group.clone(), at, lease: item.lease_id.clone(), attempt: item.attempts };
    let id = id_of(&item);
    scene.note(Fact::Delivered {
        held: held.clone(),
        id: id.clone(),
        life: connection.life,
        connection: connection.number,
        lease_ms: connection.lease_ms,
        until_ms: item.lease_until_ms,
    });
    let work = Work { scene, item, held, lease: Duration::from_millis(connection.lease_ms) };
    match &work.item.run {
        Some(context) => runs::work(&work, context, &mut rng).await,
        None => work.message(&id, &mut rng).await,
    }
}

/// The id in a message's value; a run's command has its run and replay.
pub(crate) fn id_in(value: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Value {
        id: Option<String>,
        run_id: Option<String>,
        replay_seq: Option<u32>,
    }
    match serde_json::from_str(value.get()) {
        Ok(Value { id: Some(id), .. }) => id,
        Ok(Value { run_id: Some(run), replay_seq, .. }) => {
            format!("{run}#{}", replay_seq.unwrap_or_default())
        }
        Ok(_) | Err(_) => format!("unreadable: {}", value.get()),
    }
}

fn id_of(item: &ConsumeItem) -> String {
    id_in(&item.value)
}

/// A delivery in somebody's hand.
pub(crate) struct Work {
    pub(crate) scene: Arc<Scene>,
    pub(crate) item: ConsumeItem,
    pub(crate) held: Held,
    pub(crate) lease: Duration,
}

impl Work {
    /// Works on a plain message, not always well.
    async fn message(&self, id: &str, rng: &mut Rng) {
        if is_doomed(id) {
            self.nack().await;
            return;
        }
        if self.scene.mode() != Mode::Load {
            self.ack(None).await;
            return;
        }
        match rng.u8(..100) {
            0..70 => drop(self.ack(None).await),
            70..82 => {
                self.scene.rest(Duration::from_millis(rng.u64(..30))).await;
                self.ack(None).await;
            }
            82..90 => self.nack().await,
            90..94 => {
                self.extend().await;
                self.scene.rest(Duration::from_millis(rng.u64(..30))).await;
                self.ack(None).await;
            }
            94..97 => {
                self.scene.rest(self.lease + LATE).await;
                self.ack(None).await;
            }
            // It is forgotten: its lease has to end by itself.
            _ => {}
        }
    }

    /// Acks; answers whether that was granted.
    pub(crate) async fn ack(&self, result: Option<Box<RawValue>>) -> bool {
        let request = AckRequest {
            topic: Some(self.item.topic.clone()),
            group: Some(self.item.group.clone()),
            owner: Some(self.item.owner.clone()),
            partition: Some(self.item.partition),
            offset: Some(self.item.offset),
            lease_id: Some(self.item.lease_id.clone()),
            msg: None,
            result,
        };
        let before = || self.asking(Ask::Ack);
        let outcome = self.scene.ask(TRIES, before, async |client| client.ack(&request).await.map(|()| 0));
        self.note(Ask::Ack, outcome.await)
    }

    /// Nacks, for a reason.
    pub(crate) async fn nack(&self) {
        let request = NackRequest {
            topic: Some(self.item.topic.clone()),
            group: Some(self.item.group.clone()),
            owner: Some(self.item.owner.clone()),
            partition: Some(self.item.partition),
            offset: Some(self.item.offset),
            lease_id: Some(self.item.lease_id.clone()),
            reason: Some("the worker wants it so".to_owned()),
            ..NackRequest::default()
        };
        let before = || self.asking(Ask::Nack);
        let outcome = self.scene.ask(TRIES, before, async |client| client.nack(&request).await.map(|()| 0));
        self.note(Ask::Nack, outcome.await);
    }

    async fn extend(&self) {
        let request = ExtendRequest {
            topic: Some(self.item.topic.clone()),
            group: Some(self.item.group.clone()),
            owner: Some(self.item.owner.clone()),
            partition: Some(self.item.partition),
            offset: Some(self.item.offset),
            lease_id: Some(self.item.lease_id.clone()),
            msg: None,
            lease_ms: u64::try_from(self.lease.as_millis()).ok(),
        };
        let before = || self.asking(Ask::Extend);
        let outcome = self
            .scene
            .ask(1, before, async |client| client.extend(&request).await.map(|answer| answer.lease_until_ms));
        self.note(Ask::Extend, outcome.await);
    }

    fn asking(&self, ask: Ask) {
        self.scene.note(Fact::Asking { ask, held: self.held.clone() });
    }

    fn note(&self, ask: Ask, outcome: Outcome<u64>) -> bool {
        let held = self.held.clone();
        match outcome {
            Outcome::Answered(until_ms) => {
                self.scene.note(Fact::Granted { ask, held, until_ms });
                true
            }
            Outcome::Refused(status) => {
                self.scene.note(Fact::Refused { ask, held, status });
                false
            }
            Outcome::Unknown => false,
        }
    }
}
