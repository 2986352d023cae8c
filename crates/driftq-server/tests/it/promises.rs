//! Promises of the whole server that no other file holds, each by its number.

use crate::harness::{Broker, Stream};
use reqwest::Method;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

/// Readers that ask for a stream and never read it.
const STALLED: usize = 64;
/// What one of them may cost: its fetch, its rendered text, the buffers of its connection.
const READER_KIB_MAX: u64 = 1_024;
const EVENTS: usize = 96;
const EVENT_BYTES: usize = 128 * 1024;

#[tokio::test]
async fn p17_readers_that_stop_reading_cost_little_and_nobody_waits_for_them() {
    let broker = Broker::start().await;
    broker.post("/v1/runs", json!({"workflow": "w", "run_id": "r"})).await.expect(201);
    let held = broker.poll("runs.commands", "workers").await;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        stalled.push(stall(broker.addr, "/v1/runs/r/events").await);
    }
    let request = broker.request(Method::GET, "/v1/runs/r/events").header("accept", "text/event-stream");
    let mut reader = Stream::open(request.timeout(std::time::Duration::from_secs(120))).await;
    let before = resident_kib();
    let text = "x".repeat(EVENT_BYTES);
    for number in 0..EVENTS {
        let event = json!({"type": "token", "number": number, "text": text});
        let events = json!({"events": [event], "lease_id": held["lease_id"]});
        broker.post("/v1/runs/r/events", events).await.expect(200);
        // Who reads is told of each event while the others stand still.
        loop {
            let (_, event) = reader.event().await.unwrap();
            if event["type"] == "token" {
                assert_eq!(event["number"], Value::from(number));
                break;
            }
        }
    }
    let stored_kib = (EVENTS * EVENT_BYTES / 1024) as u64;
    let cost_kib = resident_kib().saturating_sub(before).saturating_sub(2 * stored_kib);
    let allowed_kib = STALLED as u64 * READER_KIB_MAX;
    assert!(cost_kib < allowed_kib, "{STALLED} stalled readers cost {cost_kib} KiB");
    assert!(stored_kib * STALLED as u64 > 10 * allowed_kib, "so little would fit into any buffer");
}

/// Asks for a stream through a socket that takes in as little as the system allows.
async fn stall(addr: SocketAddr, path: &str) -> TcpStream {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut stream = TcpSocket::from_std_stream(socket.into()).connect(addr).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// What this process holds in memory.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
