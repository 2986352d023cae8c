//! The consume stream: lines however they are cut, connections however they end.

use driftq_client::{
    Client,
    api::{ConsumeRequest, ErrorCode},
};
use futures_util::StreamExt as _;

use crate::server::{Answer, SOON, Server};

/// Values with everything that could be taken for the end of a line.
const VALUES: [&str; 5] = [
    r#""plain""#,
    r#"{"a":1.50}"#,
    "\"sep\u{2028}\u{85}arator\"",
    r#""new\nline""#,
    "12345678901234567890123",
];

fn line(offset: usize) -> String {
    let value = VALUES[offset % VALUES.len()];
    format!(
        r#"{{"partition":0,"offset":{offset},"attempts":1,"key":"","value":{value},"last_error":"","topic":"t","group":"g","owner":"o","lease_id":"l","lease_until_ms":5,"message_id":"m","produced_at_ms":4}}"#
    )
}

fn request() -> ConsumeRequest {
    ConsumeRequest {
        topic: Some("t".into()),
        group: Some("g".into()),
        owner: Some("o".into()),
        ..ConsumeRequest::default()
    }
}

async fn offsets(client: &Client, count: usize) -> Vec<u64> {
    let items = client.consume(request()).take(count);
    items.map(|item| item.expect("it is an item").offset).collect().await
}

#[tokio::test]
async fn a_line_is_whole_however_the_bytes_are_cut() {
    for size in [1, 2, 3, 7, 64, 100_000] {
        let text: String = (0..5)
            .map(|offset| {
                // An empty line is a heartbeat; a carriage return before the end is no part of the line.
                let end = if offset % 2 == 0 { "\n\n" } else { "\r\n" };
                line(offset) + end
            })
            .collect();
        let pieces: Vec<_> = text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
        let server =
            Server::start(move |_, _| Answer::Pieces { pieces: pieces.clone(), broken: false }).await;
        let items: Vec<_> = server.client().consume(request()).take(5).collect().await;
        for (offset, item) in items.into_iter().enumerate() {
            let item = item.expect("it is an item");
            assert_eq!((item.offset, item.value.get()), (offset as u64, VALUES[offset]), "pieces of {size}");
        }
    }
}

#[tokio::test]
async fn a_stream_goes_on_after_an_end_a_break_and_a_refusal() {
    let server = Server::start(|number, _| match number {
        0 => Answer::Pieces { pieces: vec![format!("{}\n", line(0)).into_bytes()], broken: false },
        // The second line is cut: it is no item.
        1 => {
            let text = format!("{}\n{}", line(1), &line(2)[..40]);
            Answer::Pieces { pieces: vec![text.into_bytes()], broken: true }
        }
        2 => Answer::error(ErrorCode::Unavailable, None),
        _ => Answer::Pieces { pieces: vec![format!("{}\n", line(2)).into_bytes()], broken: false },
    })
    .await;
    assert_eq!(offsets(&server.client(), 3).await, [0, 1, 2]);
    let targets: Vec<_> = server.seen().into_iter().map(|request| request.target).collect();
    assert_eq!(targets.len(), 4);
    assert!(targets.iter().all(|target| target == "/v1/consume?topic=t&group=g&owner=o&mode=stream"));
}

#[tokio::test]
async fn a_refusal_ends_the_stream_after_saying_so_once() {
    let server = Server::start(|_, _| Answer::error(ErrorCode::InvalidArgument, None)).await;
    let items: Vec<_> = server.client().consume(request()).collect().await;
    let [Err(error)] = items.as_slice() else { panic!("one error and the end: {items:?}") };
    assert_eq!(error.code(), Some(ErrorCode::InvalidArgument));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_line_that_is_no_item_is_an_error_and_not_skipped() {
    let server = Server::start(|_, _| Answer::Pieces {
        pieces: vec![format!("{}\n{{\"offset\":1}}\n", line(0)).into_bytes()],
        broken: false,
    })
    .await;
    let items: Vec<_> = server.client().consume(request()).collect().await;
    let [Ok(first), Err(error)] = items.as_slice() else { panic!("an item and an error: {items:?}") };
    assert_eq!(first.offset, 0);
    assert!(error.to_string().contains("missing field `partition`"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_soon_said_when_there_never_was_a_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let client = Client::builder().url(&url).request_retry(SOON).build().expect("an address");
    let items: Vec<_> = client.consume(request()).collect().await;
    let [Err(error)] = items.as_slice() else { panic!("one error and the end: {items:?}") };
    assert_eq!(error.to_string(), format!("nothing answers at {url}; start it with `driftqd`"));
}
