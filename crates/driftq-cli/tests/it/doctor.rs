//! The doctor, against streams as proxies leave them.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::mpsc,
};

use crate::{
    driftq::{Ran, driftq},
    driftqd::Driftqd,
};

/// A server of one answer: a head, then these pieces, each when the client has seen what is before it; it
/// stays open until the test ends.
struct Proxy {
    url: String,
    _open: mpsc::Sender<()>,
}

impl Proxy {
    fn saying(headers: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let url = format!("http://{}/events", listener.local_addr().expect("it is bound"));
        let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{headers}\r\n{body}");
        let (open, ended) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            let Ok((mut socket, _)) = listener.accept() else { return };
            // The request is read first: an answer before the question is taken for another one's.
            let mut request = [0; 4096];
            drop(socket.read(&mut request));
            drop(socket.write_all(answer.as_bytes()));
            // Held open until the test ends.
            let _ended = ended.recv();
        });
        Self { url, _open: open }
    }
}

const GOOD: &str =
    "content-type: text/event-stream\r\ncache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n";

/// The verdicts on a stream, by check.
fn verdicts(server: &Driftqd, stream: &str) -> (i32, Vec<(String, String)>) {
    let ran: Ran = driftq(&server.url, &["doctor", stream, "--listen", "400ms", "--json"]);
    let findings = ran.data.lines().map(|line| {
        let finding: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        let text = |name: &str| finding[name].as_str().expect("it is text").to_owned();
        (text("check"), text("status"))
    });
    (ran.code, findings.collect())
}

fn verdict<'a>(found: &'a [(String, String)], check: &str) -> &'a str {
    found.iter().find(|(there, _)| there == check).map_or("absent", |(_, status)| status)
}

#[test]
fn a_server_that_is_well_has_a_clean_bill() {
    let server = Driftqd::start();
    server.run(&["run", "start", "demo", "--run-id", "r1"]).good();
    let stream = format!("{}/v1/runs/r1/events", server.url);
    let (code, found) = verdicts(&server, &stream);
    assert_eq!(code, 0, "{found:?}");
    for check in
        ["address", "clock", "version", "storage", "ready", "stream", "compression", "headers", "first bytes"]
    {
        assert_eq!(verdict(&found, check), "good", "{check}: {found:?}");
    }
    assert_eq!(verdict(&found, "signs of life"), "unknown", "400 ms are no 15 s");
}

#[test]
fn what_a_proxy_does_to_a_stream_is_found() {
    let server = Driftqd::start();
    let checked = |headers: &str, body: &str| {
        let proxy = Proxy::saying(headers, body);
        verdicts(&server, &proxy.url)
    };
    let (code, alive) = checked(GOOD, "retry: 2000\n\n: still here\n\n");
    assert_eq!((code, verdict(&alive, "signs of life")), (0, "good"), "{alive:?}");
    let (code, held) = checked(GOOD, "");
    assert_eq!((code, verdict(&held, "first bytes")), (1, "bad"), "{held:?}");
    let (code, zipped) = checked(&format!("{GOOD}content-encoding: gzip\r\n"), ": x\n\n");
    assert_eq!((code, verdict(&zipped, "compression")), (1, "bad"), "{zipped:?}");
    let (code, bare) = checked("content-type: text/event-stream\r\n", ": x\n\n");
    assert_eq!((code, verdict(&bare, "headers")), (0, "warning"), "{bare:?}");
    let (code, page) = checked("content-type: text/html\r\n", "<html>");
    assert_eq!((code, verdict(&page, "stream")), (1, "bad"), "{page:?}");
}

#[test]
fn nobody_there_is_said_with_the_way_out() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let ran = driftq(&url, &["doctor"]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.data, format!("bad   address       nothing answers at {url}; start it with `driftqd`\n"));
}
