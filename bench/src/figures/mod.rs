//! The figures: bare baselines and `driftqd`, measured in turn in one run, by one client.
//!
//! Promise: a speed is told as a ratio inside the run. All sides are measured in short slices in turn, on processors that
//! are kept awake, because an idle machine can take longer to wake up for a finished sync than the sync took. When the
//! slices of a side disagree all the same, the ratio has no verdict, whichever way it points. Nothing is asserted. What
//! was left out is printed as not measured.

mod awake;
mod delivery;
mod echo;
mod idle;
mod load;
mod pending;
mod produce;
mod sync;
mod timeline;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{BenchError, Binary, Daemon, Figure, Report, wire::Connection, wire::post};

pub use awake::spin as awake;
pub use echo::{SAYS as ECHO_SAYS, serve as echo};
pub use load::{Load, drive};

/// Bytes of a value, its quotes counted.
const VALUE_BYTES: usize = 512;
/// Connections and streams where many are measured.
const MANY: usize = 64;

/// A part that can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Producing over one connection and over many, beside the baselines.
    Produce,
    /// Delivering over many streams.
    Delivery,
    /// What an idle server costs.
    Idle,
    /// From a worker's event to its reader.
    Timeline,
    /// A start over pending messages, and their memory.
    Pending,
}

/// What is measured, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// The parts.
    pub parts: Vec<Part>,
    /// How long one measurement lasts.
    pub leg: Duration,
    /// How often baselines and server are measured in turn; the middle one counts.
    pub rounds: usize,
    /// How long an idle server is watched.
    pub idle: Duration,
    /// Messages that a start is measured over.
    pub pending: u64,
    /// Where data and logs go.
    pub folder: PathBuf,
}

/// A server with a folder of its own.
struct Server {
    daemon: Daemon,
    address: SocketAddr,
}

impl Server {
    async fn start(binary: &Binary, folder: &Path, name: &str) -> Result<(Self, Duration), BenchError> {
        let log = folder.join(format!("{name}.log"));
        let mut daemon = Daemon::spawn(binary, &folder.join(name), &log, &[]).await?;
        let (address, took) = daemon.ready().await?;
        Ok((Self { daemon, address }, took))
    }

    async fn connect(&self) -> Result<Connection, BenchError> {
        Connection::open(self.address).await
    }

    async fn create_topic(&self, name: &str) -> Result<(), BenchError> {
        let request = post("/v1/topics", &format!(r#"{{"name":"{name}"}}"#));
        self.connect().await?.expect(&request).await.map(drop)
    }
}

/// Measures.
///
/// # Errors
///
/// [`BenchError`] when a measurement could not be made.
pub async fn measure(binary: &Binary, options: &Options) -> Result<Report, BenchError> {
    let mut report = Report::default();
    let awake = awake::spawn(&options.folder).await?;
    let has = |part| options.parts.contains(&part);
    let (server, _) = Server::start(binary, &options.folder, "data").await?;
    let produce = if has(Part::Produce) {
        produce::measure(&server, options).await?
    } else {
        produce::Measured::default()
    };
    report.extend(produce.figures());
    let delivery = if has(Part::Delivery) {
        delivery::measure(&server, options).await?
    } else {
        delivery::Measured::default()
    };
    report.extend(delivery.figures(produce.rate_many(), produce.doubt_many()));
    let latency =
        if has(Part::Timeline) { timeline::measure(&server).await? } else { timeline::Measured::default() };
    report.extend(latency.figures());
    awake.kill().await?;
    let idle = if has(Part::Idle) { Some(idle::measure(&server, options.idle).await?) } else { None };
    report.add(idle::figure(idle, options.idle));
    server.daemon.stop().await?;
    let pending = if has(Part::Pending) { Some(pending::measure(binary, options).await?) } else { None };
    report.extend(pending::figures(pending, options.pending));
    Ok(report)
}

/// The body of a produce.
fn produce_body(topic: &str) -> String {
    format!(r#"{{"topic":"{topic}","value":"{}"}}"#, "v".repeat(VALUE_BYTES - 2))
}

/// Stores many messages in atomic batches over one connection.
async fn fill(connection: &mut Connection, topic: &str, count: u64) -> Result<(), BenchError> {
    const BATCH: u64 = 1_000;
    let batch = |size: u64| {
        let messages = vec![produce_body(topic); usize::try_from(size).unwrap_or_default()];
        post("/v1/produce/batch", &format!(r#"{{"messages":[{}]}}"#, messages.join(",")))
    };
    let full = batch(BATCH);
    for _ in 0..count / BATCH {
        connection.expect(&full).await?;
    }
    if !count.is_multiple_of(BATCH) {
        connection.expect(&batch(count % BATCH)).await?;
    }
    Ok(())
}

/// How often `part` goes into `whole`, if both are known.
fn ratio(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    Some(part? / whole.filter(|whole| *whole > 0.0)?)
}

/// A duration in microseconds.
fn micros(name: &str, value: Option<f64>) -> Figure {
    Figure::new(name, value, "µs")
}

/// Something a second.
fn rate(name: &str, value: Option<f64>) -> Figure {
    Figure::new(name, value, "/s")
}
