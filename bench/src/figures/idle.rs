//! Idling: what the server costs while its streams are open and nothing happens.

use std::time::Duration;

use super::{MANY, Server};
use crate::{
    BenchError, Figure,
    stats::{TICK_MS, cpu_ticks},
};

const TOPIC: &str = "bench.idle";
/// Until what was before is over.
const SETTLE: Duration = Duration::from_secs(1);

/// CPU milliseconds in `time`, user and system.
pub(super) async fn measure(server: &Server, time: Duration) -> Result<f64, BenchError> {
    server.create_topic(TOPIC).await?;
    let mut streams = Vec::with_capacity(MANY);
    for number in 0..MANY {
        let path = format!("/v1/consume?topic={TOPIC}&group=idlers&owner=owner-{number}");
        streams.push(server.connect().await?.stream(&path, "").await?);
    }
    tokio::time::sleep(SETTLE).await;
    let before = cpu_ticks(server.daemon.pid())?;
    tokio::time::sleep(time).await;
    let ticks = cpu_ticks(server.daemon.pid())?.saturating_sub(before);
    drop(streams);
    Ok(f64::from(u32::try_from(ticks * TICK_MS).unwrap_or(u32::MAX)))
}

pub(super) fn figure(used: Option<f64>, time: Duration) -> Figure {
    let tick = f64::from(u32::try_from(TICK_MS).unwrap_or(u32::MAX));
    Figure::new(format!("idle CPU in {} s, 64 open streams", time.as_secs()), used, "ms")
        .at_most(tick)
        .note("one clock tick is the least that can be seen")
}
