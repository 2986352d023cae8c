//! Load: connections that ask again as soon as they are answered.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{delivery, produce_body};
use crate::{
    BenchError,
    stats::Samples,
    wire::{Connection, post},
};

/// Before anything is counted.
pub(super) const WARM_UP: Duration = Duration::from_millis(50);

/// Which load a running server gets, to be watched with other tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Produces of 512 bytes.
    Produce,
    /// Streams with an ack each, over messages that are produced first.
    Delivery,
}

/// What a load came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Loaded {
    pub(super) rate: f64,
    pub(super) samples: Samples,
}

/// Asks the same over `connections` for `time`; only successes count.
pub(super) async fn repeat(
    address: SocketAddr,
    connections: usize,
    request: Vec<u8>,
    time: Duration,
) -> Result<Loaded, BenchError> {
    let request: Arc<[u8]> = request.into();
    let mut tasks = JoinSet::new();
    let from = Instant::now() + WARM_UP;
    let until = from + time;
    for _ in 0..connections {
        let request = Arc::clone(&request);
        let mut connection = Connection::open(address).await?;
        tasks.spawn(async move {
            let mut samples = Vec::new();
            loop {
                let before = Instant::now();
                if before >= until {
                    return Ok::<_, BenchError>(samples);
                }
                connection.expect(&request).await?;
                if before >= from {
                    samples.push(before.elapsed());
                }
            }
        });
    }
    let mut loaded = Loaded::default();
    let mut count = 0_u32;
    while let Some(done) = tasks.join_next().await {
        for sample in done.expect("a load does not panic")? {
            count += 1;
            loaded.samples.add(sample);
        }
    }
    loaded.rate = f64::from(count) / time.as_secs_f64();
    Ok(loaded)
}

/// Loads a server that runs already; answers what was done a second.
///
/// # Errors
///
/// [`BenchError`] when the server is not there or refuses.
pub async fn drive(
    address: SocketAddr,
    load: Load,
    connections: usize,
    time: Duration,
) -> Result<f64, BenchError> {
    let topic = "bench.load";
    Connection::open(address).await?.expect(&post("/v1/topics", &format!(r#"{{"name":"{topic}"}}"#))).await?;
    match load {
        Load::Produce => {
            let request = post("/v1/produce", &produce_body(topic));
            Ok(repeat(address, connections, request, time).await?.rate)
        }
        Load::Delivery => delivery::drive(address, topic, connections, time).await,
    }
}
