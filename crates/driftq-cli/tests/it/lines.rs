//! `produce --lines` when something goes wrong on the way: nothing is lost, and nothing is stored twice.

use expect_test::expect;

use crate::{
    driftq::{driftq, driftq_with},
    driftqd::Driftqd,
    lossy::Lossy,
    printed::check,
    scripted::Server,
};

const INPUT: &str = "1\n2\n\n3\n4\n5\n";

const PRODUCE: [&str; 5] = ["produce", "orders", "--lines", "--batch", "2"];

fn server() -> Driftqd {
    let server = Driftqd::start();
    driftq(&server.url, &["topic", "create", "orders"]).good();
    server
}

fn values(server: &Driftqd) -> Vec<String> {
    let browsed = driftq(&server.url, &["topic", "browse", "orders", "--json"]).lines();
    browsed.iter().map(|message| message["value"].to_string()).collect()
}

#[test]
fn a_batch_whose_answer_was_lost_is_sent_again_and_stored_once() {
    let server = server();
    let way = Lossy::to(&server.url, "POST /v1/produce/batch", 2);
    assert_eq!(driftq_with(&way.url, &PRODUCE, INPUT).good(), "orders  5 stored\n");
    assert_eq!((way.lost(), values(&server)), (2, ["1", "2", "3", "4", "5"].map(str::to_owned).to_vec()));
}

#[test]
fn who_gives_up_is_told_how_to_go_on_without_storing_twice() {
    let server = server();
    let way = Lossy::to(&server.url, "POST /v1/produce/batch", usize::MAX);
    let ran = driftq_with(&way.url, &[&PRODUCE[..], &["--patience", "300ms"]].concat(), INPUT);
    assert_eq!((ran.code, ran.data.as_str()), (1, ""), "{ran:?}");
    let (_, advice) =
        ran.talk.trim_end().split_once("\nlines 1–2 are uncertain; run again with ").expect("it says so");
    assert_eq!(values(&server).len(), 2, "the server had stored them");

    let again: Vec<_> = PRODUCE.into_iter().chain(advice.split(' ')).collect();
    assert_eq!(driftq_with(&server.url, &again, INPUT).good(), "orders  3 stored  2 known already\n");
    assert_eq!(values(&server), ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_line_that_is_refused_is_named_and_the_rest_follows_once_it_is_mended() {
    let server = server();
    let messages = [&PRODUCE[..], &["--messages", "--idempotency-prefix", "p"]].concat();
    let input = |fourth: &str| format!("\n{{\"value\":1}}\n{{\"value\":2}}\n{{\"value\":3}}\n{fourth}\n");
    let bad = input(r#"{"value":4,"envelope":{"deadline":"soon"}}"#);
    check(
        driftq_with(&server.url, &messages, &bad),
        1,
        expect![""],
        expect![[r#"
        error: line 5: deadline "soon" is not a time like 2030-01-31T12:00:00Z (RFC 3339) (INVALID_ARGUMENT)
        all up to line 3 is stored; run again with --idempotency-prefix p --from-line 4
    "#]],
    );
    assert_eq!(values(&server), ["1", "2"]);
    let mended = input(r#"{"value":4}"#);
    assert_eq!(driftq_with(&server.url, &messages, &mended).good(), "orders  2 stored  2 known already\n");
    assert_eq!(values(&server), ["1", "2", "3", "4"]);
    // The same prefix for another input is an error, never a silent loss.
    let other = driftq_with(&server.url, &messages, "\n{\"value\":9}\n");
    assert!(other.code == 1 && other.talk.contains("UNPROCESSABLE"), "{other:?}");
}

#[test]
fn a_line_that_begins_like_json_and_is_none_is_an_error_unless_lines_are_strings() {
    let server = Server::start(&[]);
    for bad in ["{not json}", "[1,", "\"open"] {
        let ran = driftq_with(&server.url, &PRODUCE, &format!("1\n\n{bad}\n"));
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.talk.starts_with("error: line 3 begins like JSON but is none"), "{ran:?}");
        let dry = ["--dry-run", "--string"];
        assert_eq!(driftq_with(&server.url, &[&PRODUCE[..], &dry].concat(), bad).code, 0);
    }
    assert_eq!(server.seen(), Vec::<String>::new());
}
