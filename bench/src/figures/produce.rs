//! Producing: one connection and many, in turn with the bare append and the bare echo.

use std::{net::SocketAddr, time::Duration};

use super::{
    MANY, Options, Server, echo,
    load::{Loaded, WARM_UP, repeat},
    micros, produce_body, rate, ratio, sync,
};
use crate::{
    BenchError, Figure,
    stats::{Samples, TICK_MS, cpu_ticks, median, unsteady},
    wire::post,
};

/// Slices that a round is cut into, so that both sides of a ratio meet the same machine.
const SLICES: usize = 8;
const TOPIC: &str = "bench.produce";

/// One value a slice.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    sync: Vec<f64>,
    echo_one: Vec<f64>,
    one: Vec<f64>,
    one_p99: Vec<f64>,
    echo_many: Vec<f64>,
    many: Vec<f64>,
    many_p99: Vec<f64>,
    echo_cpu: Cpu,
    many_cpu: Cpu,
}

/// CPU time of a server, and what it answered in it.
#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    ticks: u64,
    answers: f64,
}

impl Cpu {
    /// Microseconds for each answer.
    fn each(self) -> Option<f64> {
        let micros = f64::from(u32::try_from(self.ticks * TICK_MS * 1_000).unwrap_or(u32::MAX));
        (self.answers > 0.0).then(|| micros / self.answers)
    }
}

/// Loads a server over many connections, and adds up what that cost it.
async fn load_many(
    address: SocketAddr,
    pid: u32,
    request: Vec<u8>,
    time: Duration,
    cpu: &mut Cpu,
) -> Result<Loaded, BenchError> {
    let before = cpu_ticks(pid)?;
    let loaded = repeat(address, MANY, request, time).await?;
    cpu.ticks += cpu_ticks(pid)?.saturating_sub(before);
    // What was answered in the warm-up cost as much.
    cpu.answers += loaded.rate * (time + WARM_UP).as_secs_f64();
    Ok(loaded)
}

pub(super) async fn measure(server: &Server, options: &Options) -> Result<Measured, BenchError> {
    server.create_topic(TOPIC).await?;
    let mut echo = echo::spawn(&options.folder).await?;
    let bare = echo.address().await?;
    let request = post("/v1/produce", &produce_body(TOPIC));
    let mut measured = Measured::default();
    let p50 = |mut samples: Samples| samples.percentile(50);
    for _ in 0..options.rounds * SLICES {
        let time = options.leg / u32::try_from(SLICES).unwrap_or(1);
        measured.sync.extend(p50(sync::measure(&options.folder, time)?));
        measured.echo_one.extend(p50(repeat(bare, 1, request.clone(), time).await?.samples));
        let Loaded { mut samples, .. } = repeat(server.address, 1, request.clone(), time).await?;
        measured.one.extend(samples.percentile(50));
        measured.one_p99.extend(samples.percentile(99));
        measured
            .echo_many
            .push(load_many(bare, echo.pid(), request.clone(), time, &mut measured.echo_cpu).await?.rate);
        let Loaded { rate, mut samples } =
            load_many(server.address, server.daemon.pid(), request.clone(), time, &mut measured.many_cpu)
                .await?;
        measured.many.push(rate);
        measured.many_p99.extend(samples.percentile(99));
    }
    echo.kill().await?;
    Ok(measured)
}

impl Measured {
    /// Messages stored a second over many connections.
    pub(super) fn rate_many(&self) -> Option<f64> {
        median(self.many.clone())
    }

    /// Why a ratio over one connection says nothing.
    fn doubt_one(&self) -> Option<String> {
        let (sync, one) = (median(self.sync.clone()), median(self.one.clone()));
        let is_impossible = sync.zip(one).is_some_and(|(sync, one)| one < sync);
        unsteady("the bare sync", self.sync.clone())
            .or_else(|| unsteady("the bare echo", self.echo_one.clone()))
            .or_else(|| unsteady("produce", self.one.clone()))
            .or_else(|| is_impossible.then(|| "a produce cannot be faster than the sync in it".to_owned()))
    }

    /// Why a ratio over many connections says nothing.
    pub(super) fn doubt_many(&self) -> Option<String> {
        unsteady("the bare echo", self.echo_many.clone()).or_else(|| unsteady("produce", self.many.clone()))
    }

    pub(super) fn figures(&self) -> Vec<Figure> {
        let middle = |values: &Vec<f64>| median(values.clone());
        let (sync, echo) = (middle(&self.sync), middle(&self.echo_one));
        let bare = sync.zip(echo).map(|(sync, echo)| sync + echo);
        let (one, many, echo_many) = (middle(&self.one), self.rate_many(), middle(&self.echo_many));
        vec![
            micros("bare write + fdatasync, p50", sync),
            micros("bare echo, 1 connection, p50", echo),
            micros("produce, 1 connection, p50", one),
            micros("produce, 1 connection, p99", middle(&self.one_p99)),
            Figure::new("produce p50 / (sync + echo)", ratio(one, bare), "×")
                .at_most(1.5)
                .unless(self.doubt_one()),
            rate("bare echo, 64 connections", echo_many),
            rate("produce, 64 connections", many),
            micros("CPU of the bare echo for an answer, 64 connections", self.echo_cpu.each()),
            micros("CPU of driftqd for a produce, 64 connections", self.many_cpu.each())
                .note("hardly depends on who else is busy"),
            micros("produce, 64 connections, p99", middle(&self.many_p99)),
            Figure::new("produce rate / echo rate, 64 connections", ratio(many, echo_many), "×")
                .at_least(0.45)
                .unless(self.doubt_many()),
        ]
    }
}
