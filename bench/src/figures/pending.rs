//! A start over pending messages, and what each of them costs in memory.

use std::{fs, path::Path, time::Duration};

use super::{Options, Server, fill};
use serde::Deserialize;

use crate::{BenchError, Binary, Figure, stats::resident_bytes};

const TOPIC: &str = "bench.pending";
const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1_073_741_824.0;
/// What the server may take beside its messages, and for each of them.
const BASE_MIB: f64 = 64.0;
const MESSAGE_BYTES: f64 = 32.0;

/// What a load and two starts came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    empty_bytes: u64,
    loaded_bytes: u64,
    restarted_bytes: u64,
    folder_bytes: u64,
    after_kill: Duration,
    after_stop: Duration,
}

pub(super) async fn measure(binary: &Binary, options: &Options) -> Result<Measured, BenchError> {
    let (name, folder) = ("pending", options.folder.as_path());
    let (server, _) = Server::start(binary, folder, name).await?;
    server.create_topic(TOPIC).await?;
    // A group, so that somebody waits for the messages.
    server.connect().await?.get(&format!("/v1/consume?topic={TOPIC}&group=readers&wait_ms=0")).await?;
    let empty_bytes = resident_bytes(server.daemon.pid())?;
    fill(&mut server.connect().await?, TOPIC, options.pending).await?;
    let loaded_bytes = resident_bytes(server.daemon.pid())?;
    server.daemon.kill().await?;
    let folder_bytes = bytes_of(&folder.join(name))?;
    let (server, after_kill) = Server::start(binary, folder, name).await?;
    all_there(&server, options.pending).await?;
    let restarted_bytes = resident_bytes(server.daemon.pid())?;
    server.daemon.stop().await?;
    let (server, after_stop) = Server::start(binary, folder, name).await?;
    all_there(&server, options.pending).await?;
    server.daemon.stop().await?;
    fs::remove_dir_all(folder.join(name)).map_err(BenchError::io("removing the pending messages"))?;
    Ok(Measured { empty_bytes, loaded_bytes, restarted_bytes, folder_bytes, after_kill, after_stop })
}

/// A start that forgot something would be a fast one: every message has to be there, and to wait for the group.
async fn all_there(server: &Server, pending: u64) -> Result<(), BenchError> {
    #[derive(Deserialize)]
    struct Topic {
        partitions: Vec<Partition>,
        groups: Vec<Group>,
    }
    #[derive(Deserialize)]
    struct Partition {
        messages: u64,
    }
    #[derive(Deserialize)]
    struct Group {
        lag: u64,
    }
    let path = format!("/v1/topics/{TOPIC}");
    let mut connection = server.connect().await?;
    let answer = connection.get(&path).await?;
    let wrong = |cause: String| BenchError::Unreadable { request: path.clone(), cause };
    let topic: Topic = serde_json::from_slice(answer.body).map_err(|error| wrong(error.to_string()))?;
    let messages: u64 = topic.partitions.iter().map(|partition| partition.messages).sum();
    let lags: Vec<u64> = topic.groups.iter().map(|group| group.lag).collect();
    if messages == pending && lags == [pending] {
        return Ok(());
    }
    Err(wrong(format!("{pending} messages were stored, {messages} are there, {lags:?} wait")))
}

fn bytes_of(folder: &Path) -> Result<u64, BenchError> {
    let reading = || BenchError::io(format!("reading {}", folder.display()));
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(reading())? {
        bytes += entry.and_then(|entry| entry.metadata()).map_err(reading())?.len();
    }
    Ok(bytes)
}

fn float(bytes: u64) -> f64 {
    // Exact up to 8 PiB.
    bytes as f64
}

pub(super) fn figures(measured: Option<Measured>, pending: u64) -> Vec<Figure> {
    let count = float(pending);
    let of = |value: fn(&Measured) -> f64| measured.as_ref().map(value);
    let start_max = 2.0 + of(|m| float(m.folder_bytes) / GIB).unwrap_or_default() + count / 1e7;
    let memory_max = BASE_MIB + count * MESSAGE_BYTES / MIB;
    let messages = format!("{pending} pending messages");
    let each = |bytes: Option<f64>| {
        bytes.zip(of(|m| float(m.empty_bytes))).map(|(bytes, empty)| (bytes - empty) / count)
    };
    let (loaded, restarted) = (of(|m| float(m.loaded_bytes)), of(|m| float(m.restarted_bytes)));
    vec![
        Figure::new(format!("start after kill -9, {messages}"), of(|m| m.after_kill.as_secs_f64()), "s")
            .at_most(start_max)
            .note("all of them checked to be there; the page cache is warm"),
        Figure::new(format!("start after SIGTERM, {messages}"), of(|m| m.after_stop.as_secs_f64()), "s")
            .at_most(start_max)
            .note("all of them checked to be there; the page cache is warm"),
        Figure::new("data folder", of(|m| float(m.folder_bytes) / MIB), "MiB"),
        Figure::new("memory, empty", of(|m| float(m.empty_bytes) / MIB), "MiB"),
        Figure::new("memory after the load", loaded.map(|bytes| bytes / MIB), "MiB").at_most(memory_max),
        Figure::new("memory a message, after the load", each(loaded), "B"),
        Figure::new("memory after the restart", restarted.map(|bytes| bytes / MIB), "MiB")
            .at_most(memory_max),
        Figure::new("memory a message, after the restart", each(restarted), "B"),
    ]
}
