//! The timeline: every event once, in order, over connections that break anywhere.

use driftq_client::{
    Client, EventsFrom, Retry, TimelineItem,
    api::{ErrorCode, TimelineResetReason},
};
use futures_util::StreamExt as _;

use crate::server::{Answer, SOON, Seen, Server};

fn frame(seq: u64) -> String {
    format!(
        "id: {seq}\ndata: {{\"seq\":{seq},\"ts\":{seq},\"type\":\"run.log\",\"run_id\":\"r\",\"replay_seq\":0,\"attempt\":1,\"line\":\"é {seq}\"}}\n\n"
    )
}

fn last_event_id(request: &Seen) -> u64 {
    request.header("last-event-id").parse().unwrap_or(0)
}

fn ended() -> Answer {
    Answer::Whole(204, "text/plain", String::new())
}

fn to_the_end() -> EventsFrom {
    EventsFrom { after: 0, until_terminal: true }
}

/// The numbers of all events until the stream ends.
async fn seqs(client: &Client, from: EventsFrom) -> Vec<u64> {
    let items = client.follow_run("r", from).map(|item| match item.expect("it goes on") {
        TimelineItem::Event(event) => event.seq,
        TimelineItem::Reset(reset) => panic!("nothing was trimmed: {reset:?}"),
    });
    items.collect().await
}

#[tokio::test]
async fn no_event_is_lost_or_repeated_wherever_the_connection_breaks() {
    const EVENTS: u64 = 12;
    const PREAMBLE: &str = "retry: 2000\n: hello\n\n";
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds: Vec<u64> = seed.map_or_else(|| (0..60).collect(), |seed| vec![seed]);
    for seed in seeds {
        let server = Server::start(move |number, request| {
            let mut random = fastrand::Rng::with_seed(seed << 16 | number as u64);
            let after = last_event_id(request);
            if after == EVENTS {
                return ended();
            }
            // A server that is unsure may begin before the place it was asked for.
            let first = after.saturating_sub(random.u64(0..3)) + 1;
            let text = PREAMBLE.to_owned() + &(first..=EVENTS).map(frame).collect::<String>();
            // Enough for one whole event, so that the tries do not run out.
            let enough = PREAMBLE.len() + frame(EVENTS).len() * (after + 2 - first) as usize;
            let cut = random.usize(enough.min(text.len())..=text.len());
            let size = random.usize(1..80);
            let pieces = text.as_bytes()[..cut].chunks(size).map(<[u8]>::to_vec).collect();
            Answer::Pieces { pieces, broken: random.bool() }
        })
        .await;
        // Bytes before a break may get lost with it, so a connection need not bring an event.
        let patient = Retry { tries: 1000, ..SOON };
        let client = server.builder().stream_retry(patient).build().expect("the address is one");
        let seen = seqs(&client, to_the_end()).await;
        assert_eq!(seen, (1..=EVENTS).collect::<Vec<_>>(), "SEED={seed}");
    }
}

#[tokio::test]
async fn a_reader_goes_on_right_after_what_it_knows() {
    let server = Server::start(|_, request| match last_event_id(request) {
        5 => Answer::Pieces { pieces: vec![frame(6).into_bytes(), frame(7).into_bytes()], broken: false },
        _ => ended(),
    })
    .await;
    assert_eq!(seqs(&server.client(), EventsFrom { after: 5, until_terminal: true }).await, [6, 7]);
    let seen = server.seen();
    assert_eq!(seen[0].target, "/v1/runs/r/events?until=terminal");
    assert_eq!(seen[0].header("accept"), "text/event-stream");
    assert_eq!(seen[1].header("last-event-id"), "7");
}

#[tokio::test]
async fn what_is_known_already_is_passed_over() {
    let server = Server::start(|_, request| match last_event_id(request) {
        0 => Answer::Pieces {
            pieces: [1, 2, 2, 1, 3].map(|seq| frame(seq).into_bytes()).to_vec(),
            broken: false,
        },
        _ => ended(),
    })
    .await;
    assert_eq!(seqs(&server.client(), to_the_end()).await, [1, 2, 3]);
    assert_eq!(server.seen().len(), 2, "a repeat is no reason to connect again");
}

#[tokio::test]
async fn a_gap_is_asked_for_again_and_never_handed_on() {
    let server = Server::start(|number, request| match (number, last_event_id(request)) {
        (0, _) => {
            Answer::Pieces { pieces: vec![frame(1).into_bytes(), frame(3).into_bytes()], broken: false }
        }
        (_, 1) => {
            Answer::Pieces { pieces: vec![frame(2).into_bytes(), frame(3).into_bytes()], broken: false }
        }
        _ => ended(),
    })
    .await;
    assert_eq!(seqs(&server.client(), to_the_end()).await, [1, 2, 3]);
}

#[tokio::test]
async fn what_was_trimmed_is_said_before_what_is_left() {
    let reset = r#"{"type":"timeline.reset","reason":"trimmed","first_seq":40}"#;
    let server = Server::start(move |number, request| match (number, last_event_id(request)) {
        (0, 0) => Answer::Pieces {
            pieces: vec![format!("id: 39\ndata: {reset}\n\n{}", frame(40)).into_bytes()],
            broken: true,
        },
        (_, 40) => Answer::Pieces { pieces: vec![frame(41).into_bytes()], broken: false },
        _ => ended(),
    })
    .await;
    let items: Vec<_> = server.client().follow_run("r", to_the_end()).collect().await;
    let [Ok(TimelineItem::Reset(reset)), Ok(TimelineItem::Event(first)), Ok(TimelineItem::Event(second))] =
        items.as_slice()
    else {
        panic!("a reset and two events: {items:?}")
    };
    assert_eq!((reset.reason, reset.first_seq), (TimelineResetReason::Trimmed, 40));
    assert_eq!((first.seq, second.seq), (40, 41));
}

#[tokio::test]
async fn an_unknown_run_is_an_error_and_the_end() {
    let server = Server::start(|_, _| Answer::error(ErrorCode::NotFound, None)).await;
    let items: Vec<_> = server.client().follow_run("r", to_the_end()).collect().await;
    let [Err(error)] = items.as_slice() else { panic!("one error and the end: {items:?}") };
    assert_eq!(error.code(), Some(ErrorCode::NotFound));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_only_closes_is_given_up_in_the_end() {
    let server = Server::start(|_, _| Answer::Pieces { pieces: Vec::new(), broken: false }).await;
    let items: Vec<_> = server.client().follow_run("r", to_the_end()).collect().await;
    let [Err(error)] = items.as_slice() else { panic!("one error and the end: {items:?}") };
    assert!(error.retryable(), "{error}");
    assert_eq!(server.seen().len(), SOON.tries as usize + 1);
}
