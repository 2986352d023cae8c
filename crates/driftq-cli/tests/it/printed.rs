//! What is printed where, and with which exit status.

use expect_test::{Expect, expect};

use crate::{
    driftq::{Ran, command, driftq, driftq_with},
    scripted::Server,
};

pub(crate) fn check(ran: Ran, code: i32, data: Expect, talk: Expect) {
    data.assert_eq(&ran.data);
    talk.assert_eq(&ran.talk);
    assert_eq!(ran.code, code);
}

const READY: (&str, u16, &str) = ("GET /v1/readyz", 200, r#"{"status":"ready"}"#);
const VERSION: (&str, u16, &str) =
    ("GET /v1/version", 200, r#"{"version":"0.1.0","commit":"abc1234","wal_enabled":true}"#);

const TOPIC: &str = r#"{"name":"orders","partitions":[
    {"partition":0,"first_offset":0,"next_offset":5,"bytes":2560,"messages":5},
    {"partition":1,"first_offset":2,"next_offset":3,"bytes":12,"messages":1}],
    "groups":[{"group":"workers","lag":4,"in_flight":1,"partitions":[
        {"partition":0,"lag":3,"in_flight":1},{"partition":1,"lag":1,"in_flight":0}]},
      {"group":"audit","lag":0,"in_flight":0,"partitions":[]}]}"#;

#[test]
fn health_says_which_server_and_whether_it_is_ready() {
    let server = Server::start(&[READY, VERSION]);
    let ran = driftq(&server.url, &["health"]);
    let expected =
        format!("server   {}\nstatus   ready\nversion  0.1.0 (abc1234)\nstorage  durable\n", server.url);
    assert_eq!(ran.good(), expected);

    let recovering = r#"{"status":"recovering","recovery":{"done_bytes":1048576,"total_bytes":3145728}}"#;
    let server = Server::start(&[("GET /v1/readyz", 503, recovering), VERSION]);
    let ran = driftq(&server.url, &["health", "--json"]);
    assert_eq!(ran.code, 1);
    let expected = format!(
        "{{\"url\":\"{}\",\"status\":\"recovering\",\"version\":\"0.1.0\",\"commit\":\"abc1234\",\"wal_enabled\":true}}\n",
        server.url
    );
    assert_eq!(ran.data, expected);
}

#[test]
fn nobody_there_is_a_sentence_with_the_way_out() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let ran = driftq(&format!("{url}/v1"), &["topic", "list"]);
    let talk = format!("error: nothing answers at {url}; start it with `driftqd`\n");
    assert_eq!(ran, Ran { code: 1, data: String::new(), talk });
}

#[test]
fn a_wrong_command_line_is_a_2() {
    assert_eq!(driftq("http://h", &["topic", "frobnicate"]).code, 2);
    assert_eq!(driftq("http://h", &[]).code, 2);
    check(
        driftq("ftp://localhost", &["health"]),
        2,
        expect![""],
        expect![[r#"
            error: `ftp://localhost` is not an address of a server: it must begin with http:// or https://
        "#]],
    );
    check(
        driftq("http://h", &["run", "start", "demo", "--input", "{not json}"]),
        2,
        expect![""],
        expect![[r#"
            error: --input is not JSON (a string needs its quotes): key must be a string at line 1 column 2
        "#]],
    );
}

#[test]
fn a_refusal_is_the_servers_sentence_and_a_1() {
    let server = Server::start(&[(
        "GET /v1/topics/orders",
        404,
        r#"{"error":"NOT_FOUND","message":"there is no topic `orders`"}"#,
    )]);
    check(
        driftq(&server.url, &["topic", "show", "orders"]),
        1,
        expect![""],
        expect![[r#"
            error: there is no topic `orders` (NOT_FOUND)
        "#]],
    );
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let topics = r#"{"topics":[{"name":"a","partitions":1,"messages":0,"bytes":0,"groups":0}]}"#;
    let server = Server::start(&[("GET /v1/topics?limit=500&detail=true", 200, topics)]);
    let (reader, writer) = std::io::pipe().expect("there is a pipe");
    drop(reader);
    let child = command(&server.url, &["topic", "list", "--json"]).stdout(writer).spawn();
    let output = child.expect("the binary was built").wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn topics_are_a_table_or_a_line_each() {
    let first =
        r#"{"topics":[{"name":"a","partitions":1,"messages":0,"bytes":0,"groups":0}],"next_cursor":"n"}"#;
    let second = r#"{"topics":[{"name":"orders","partitions":3,"messages":12,"bytes":5000000,"groups":2}]}"#;
    let server = Server::start(&[
        ("GET /v1/topics?limit=500&detail=true", 200, first),
        ("GET /v1/topics?limit=500&cursor=n&detail=true", 200, second),
        ("GET /v1/topics/orders", 200, TOPIC),
        ("POST /v1/topics", 201, r#"{"status":"created","name":"orders","partitions":3}"#),
    ]);
    check(
        driftq(&server.url, &["topic", "list"]),
        0,
        expect![[r#"
        TOPIC   PARTITIONS  MESSAGES  BYTES    GROUPS
        a       1           0         0 B      0
        orders  3           12        4.7 MiB  2
    "#]],
        expect![""],
    );
    check(
        driftq(&server.url, &["topic", "list", "--json"]),
        0,
        expect![[r#"
        {"name":"a","partitions":1,"messages":0,"bytes":0,"groups":0}
        {"name":"orders","partitions":3,"messages":12,"bytes":5000000,"groups":2}
    "#]],
        expect![""],
    );
    check(
        driftq(&server.url, &["topic", "show", "orders"]),
        0,
        expect![[r#"
        orders  2 partitions

        PARTITION  FIRST  NEXT  MESSAGES  BYTES
        0          0      5     5         2.5 KiB
        1          2      3     1         12 B

        GROUP    LAG  IN FLIGHT
        workers  4    1
        audit    0    0
    "#]],
        expect![""],
    );
    check(
        driftq(&server.url, &["topic", "create", "orders", "-p", "3"]),
        0,
        expect![[r#"
        orders  3 partitions
    "#]],
        expect![""],
    );
    assert_eq!(
        server.seen().last().map(String::as_str),
        Some(r#"POST /v1/topics {"name":"orders","partitions":3}"#)
    );
}

#[test]
fn lag_is_a_row_per_group_of_every_topic_but_timelines() {
    let server = Server::start(&[
        ("GET /v1/topics?limit=500", 200, r#"{"topics":["orders","runs.events.run_1"]}"#),
        ("GET /v1/topics/orders", 200, TOPIC),
    ]);
    check(
        driftq(&server.url, &["lag"]),
        0,
        expect![[r#"
        TOPIC   GROUP    LAG  IN FLIGHT
        orders  workers  4    1
        orders  audit    0    0
    "#]],
        expect![""],
    );
    check(
        driftq(&server.url, &["lag", "orders", "--json"]),
        0,
        expect![[r#"
        {"topic":"orders","group":"workers","lag":4,"in_flight":1,"partitions":[{"partition":0,"lag":3,"in_flight":1},{"partition":1,"lag":1,"in_flight":0}]}
        {"topic":"orders","group":"audit","lag":0,"in_flight":0,"partitions":[]}
    "#]],
        expect![""],
    );
}

#[test]
fn produce_sends_what_it_was_given_and_prints_where_it_is() {
    let produced = r#"{"status":"produced","topic":"orders","partition":1,"offset":7,"message_id":"m7","duplicate":true}"#;
    let server = Server::start(&[("POST /v1/produce", 200, produced)]);
    let args = [
        "produce",
        "orders",
        r#"{"n": 1.50}"#,
        "--key",
        " k ",
        "-H",
        "a=b",
        "--idempotency-key",
        "i",
        "--tenant",
        "t",
        "--delay",
        "5s",
        "--partition",
        "1",
        "--max-attempts",
        "3",
        "--backoff",
        "1s",
    ];
    check(
        driftq(&server.url, &args),
        0,
        expect![[r#"
        orders/1/7  m7  known already, nothing was stored
    "#]],
        expect![""],
    );
    let read =
        driftq_with(&server.url, &["produce", "orders", "-", "--string", "--idempotency-key", "i"], "42\n");
    assert_eq!(read.code, 0);
    expect![[r#"
        POST /v1/produce {"topic":"orders","key":" k ","value":{"n": 1.50},"envelope":{"retry_policy":{"max_attempts":3,"backoff_ms":1000},"partition_override":1},"idempotency_key":"i","tenant_id":"t","delay_ms":5000,"headers":{"a":"b"}}
        POST /v1/produce {"topic":"orders","value":"42","idempotency_key":"i"}"#]].assert_eq(&server.seen().join("\n"));
}

#[test]
fn a_message_is_settled_by_its_name_or_as_it_was_consumed() {
    let server = Server::start(&[("POST /v1/ack", 204, ""), ("POST /v1/nack", 204, "")]);
    let ack = ["ack", "orders", "0", "7", "-g", "g", "-o", "me", "--result", r#"{"ok":true}"#];
    assert_eq!(driftq(&server.url, &ack).good(), "acked  orders/0/7\n");
    let nack = ["nack", "orders", "0", "7", "-o", "me", "--reason", "no", "--retry-after", "2s"];
    assert_eq!(driftq(&server.url, &nack).good(), "nacked  orders/0/7\n");
    let consumed = "{\"topic\":\"orders\",\"group\":\"g\",\"owner\":\"o\",\"partition\":0,\"offset\":8,\"lease_id\":\"l\",\"value\":1}\n\n";
    let ran = driftq_with(&server.url, &["nack", "--no-retry", "--json"], consumed);
    expect![[r#"
        {"status":"nacked","topic":"orders","group":"g","owner":"o","partition":0,"offset":8,"lease_id":"l"}
    "#]]
    .assert_eq(&ran.good());
    expect![[r#"
        POST /v1/ack {"msg":{"topic":"orders","group":"g","owner":"me","partition":0,"offset":7},"result":{"ok":true}}
        POST /v1/nack {"msg":{"topic":"orders","group":"driftq-cli","owner":"me","partition":0,"offset":7},"reason":"no","retry_after_ms":2000}
        POST /v1/nack {"msg":{"topic":"orders","group":"g","owner":"o","partition":0,"offset":8,"lease_id":"l"},"retryable":false}"#]].assert_eq(&server.seen().join("\n"));
    let ran = driftq_with(&server.url, &["ack"], "not a message\n");
    assert_eq!(ran.code, 2);
    expect![[r#"
        error: a line of standard input is no message: expected ident at line 1 column 2
    "#]]
    .assert_eq(&ran.talk);
}

#[test]
fn consumed_messages_are_lines_that_cannot_speak_to_the_terminal() {
    let line = |offset: u32, key: &str, value: &str, attempts: u32| {
        format!(
            r#"{{"partition":0,"offset":{offset},"attempts":{attempts},"key":"{key}","value":{value},"last_error":"boom","topic":"orders","group":"g","owner":"o","lease_id":"l{offset}","lease_until_ms":5,"message_id":"m","produced_at_ms":4}}"#
        )
    };
    let stream =
        [line(0, "", r#""\u001b[2J""#, 1), String::new(), line(1, "k", r#"{"n":1.50}"#, 2)].join("\n") + "\n";
    let target = "GET /v1/consume?topic=orders&group=g&owner=o&lease_ms=30000&max_in_flight=2&mode=stream";
    let acking = "GET /v1/consume?topic=orders&group=g&owner=o&lease_ms=30000&max_in_flight=1&mode=stream";
    let server = Server::start(&[(target, 200, &stream), (acking, 200, &stream), ("POST /v1/ack", 204, "")]);
    check(
        driftq(&server.url, &["consume", "orders", "-g", "g", "-o", "o", "-n", "2"]),
        0,
        expect![[r#"
            orders/0/0  \u{1b}[2J
            orders/0/1  key=k  {"n":1.50}  attempt 2 after: boom
        "#]],
        expect![[r#"
            2 held by o of g; settle with `driftq ack TOPIC/PARTITION/OFFSET -g g -o o`
        "#]],
    );
    let ran = driftq(&server.url, &["consume", "orders", "-g", "g", "-o", "o", "-n", "2", "--ack", "--json"]);
    assert_eq!(
        ran.lines().iter().map(|item| item["offset"].as_u64()).collect::<Vec<_>>(),
        [Some(0), Some(1)]
    );
    let acks: Vec<_> = server.seen().into_iter().filter(|seen| seen.starts_with("POST")).collect();
    expect![[r#"
        POST /v1/ack {"topic":"orders","group":"g","owner":"o","partition":0,"offset":0,"lease_id":"l0"}
        POST /v1/ack {"topic":"orders","group":"g","owner":"o","partition":0,"offset":1,"lease_id":"l1"}"#]]
    .assert_eq(&acks.join("\n"));
}

const RUN: &str = r#"{"run_id":"run_1","workflow":"demo","status":"failed","replay_seq":1,"attempts":3,
    "events_topic":"runs.events.run_1","created_at_ms":1764000000000,"started_at_ms":1764000001000,
    "ended_at_ms":1764000009000,"tags":["nightly","eu"],"topic":"runs.commands","group":"workers",
    "retry_policy":{"max_attempts":3,"backoff_ms":1000},"input":{"url":"x","n":1.50},
    "error":{"message":"boom\u001b[31m","type":"ValueError"},
    "steps":[{"step":"fetch","replay_seq":0,"attempt":1,"completed_at_ms":1764000002000,"duration_ms":1200,"output":"text"}],
    "replays":[{"replay_seq":0,"status":"failed","started_at_ms":1764000001000,"ended_at_ms":1764000003000},
      {"replay_seq":1,"status":"failed","started_at_ms":1764000005000,"ended_at_ms":1764000009000}]}"#;

#[test]
fn a_run_is_shown_with_its_steps_replays_and_error() {
    let server = Server::start(&[("GET /v1/runs/run_1", 200, RUN)]);
    check(
        driftq(&server.url, &["run", "show", "run_1"]),
        0,
        expect![[r#"
        run       run_1
        workflow  demo
        status    failed
        attempts  3 of 3
        created   2025-11-24T16:00:00Z
        started   2025-11-24T16:00:01Z
        ended     2025-11-24T16:00:09Z
        tags      nightly, eu
        input     {"url":"x","n":1.50}
        error     ValueError: boom\u{1b}[31m

        STEP   REPLAY  ATTEMPT  COMPLETED             TOOK      OUTPUT
        fetch  0       1        2025-11-24T16:00:02Z  1s 200ms  text

        REPLAY  STATUS  STARTED               ENDED
        0       failed  2025-11-24T16:00:01Z  2025-11-24T16:00:03Z
        1       failed  2025-11-24T16:00:05Z  2025-11-24T16:00:09Z
    "#]],
        expect![""],
    );
    let shown = driftq(&server.url, &["run", "show", "run_1", "--json"]).good();
    assert!(shown.contains(r#""input":{"url":"x","n":1.50}"#), "{shown}");
}

#[test]
fn runs_are_listed_until_the_limit() {
    let run = |number: u32, status: &str| {
        format!(
            r#"{{"run_id":"run_{number}","workflow":"demo","status":"{status}","replay_seq":0,"attempts":1,"events_topic":"e","created_at_ms":1764000000000}}"#
        )
    };
    let first = format!(r#"{{"runs":[{},{}],"next_cursor":"c"}}"#, run(3, "running"), run(2, "succeeded"));
    let second = format!(r#"{{"runs":[{}],"next_cursor":"d"}}"#, run(1, "failed"));
    let server = Server::start(&[
        ("GET /v1/runs?workflow=demo&limit=3", 200, &first),
        ("GET /v1/runs?workflow=demo&cursor=c&limit=1", 200, &second),
        ("GET /v1/runs?limit=50", 200, r#"{"runs":[]}"#),
    ]);
    check(
        driftq(&server.url, &["run", "list", "--workflow", "demo", "-n", "3"]),
        0,
        expect![[r#"
            RUN    WORKFLOW  STATUS     ATTEMPTS  REPLAY  CREATED
            run_3  demo      running    1         0       2025-11-24T16:00:00Z
            run_2  demo      succeeded  1         0       2025-11-24T16:00:00Z
            run_1  demo      failed     1         0       2025-11-24T16:00:00Z
        "#]],
        expect![[r#"
            there are more; ask with a larger --limit
        "#]],
    );
    check(
        driftq(&server.url, &["run", "list"]),
        0,
        expect![""],
        expect![[r#"
        nothing to show
    "#]],
    );
    check(driftq(&server.url, &["run", "list", "--json"]), 0, expect![""], expect![""]);
}

const TIMELINE: &str = concat!(
    "retry: 2000\n\n",
    "id: 1\ndata: {\"seq\":1,\"ts\":1764000000000,\"type\":\"run.created\",\"run_id\":\"run_1\",\"replay_seq\":0,\"attempt\":0,\"workflow\":\"demo\"}\n\n",
    ": still here\n\n",
    "id: 2\ndata: {\"seq\":2,\"ts\":1764000000500,\"type\":\"run.attempt_failed\",\"run_id\":\"run_1\",\"replay_seq\":0,\"attempt\":1,\"reason\":\"error\",\"error\":{\"message\":\"boom\",\"type\":\"ValueError\"},\"max_attempts\":3}\n\n",
    "id: 3\ndata: {\"seq\":3,\"ts\":1764000000500,\"type\":\"run.retry_scheduled\",\"run_id\":\"run_1\",\"replay_seq\":0,\"attempt\":1,\"at_ms\":1764000001700,\"delay_ms\":1200,\"next_attempt\":2,\"max_attempts\":3}\n\n",
);

#[test]
fn a_timeline_is_printed_live_and_the_runs_end_is_the_exit_status() {
    let succeeded = RUN.replacen(r#""status":"failed""#, r#""status":"succeeded""#, 1);
    let server = |run: &str| {
        Server::start(&[
            ("GET /v1/runs/run_1/events?until=terminal", 200, TIMELINE),
            ("GET /v1/runs/run_1/events?until=terminal after 3", 204, ""),
            ("GET /v1/runs/run_1", 200, run),
        ])
    };
    check(
        driftq(&server(RUN).url, &["run", "watch", "run_1"]),
        1,
        expect![[r#"
            1     16:00:00.000  run.created           workflow=demo
            attempt 1
              2     16:00:00.500  run.attempt_failed    reason=error error=ValueError: boom max_attempts=3
              3     16:00:00.500  run.retry_scheduled   at=16:00:01.700 delay=1s200ms next_attempt=2 max_attempts=3
        "#]],
        expect![""],
    );
    let ran = driftq(&server(&succeeded).url, &["run", "watch", "run_1", "--json"]);
    let seqs: Vec<_> = ran.data.lines().map(|line| line.split(',').next().unwrap_or_default()).collect();
    assert_eq!((ran.code, seqs), (0, vec![r#"{"seq":1"#, r#"{"seq":2"#, r#"{"seq":3"#]));
}

#[test]
fn a_run_is_started_replayed_and_cancelled() {
    let started =
        r#"{"run_id":"run_1","status":"queued","replay_seq":0,"events_topic":"e","created_at_ms":1}"#;
    let timeline = r#"{"name":"runs.events.run_1","groups":[],
        "partitions":[{"partition":0,"first_offset":0,"next_offset":9,"bytes":900,"messages":9}]}"#;
    let server = Server::start(&[
        ("POST /v1/runs", 201, started),
        ("POST /v1/runs/run_1/replay", 200, r#"{"run_id":"run_1","replay_seq":2,"status":"queued"}"#),
        ("POST /v1/runs/run_1/cancel", 200, r#"{"run_id":"run_1","replay_seq":2,"status":"cancelled"}"#),
        ("GET /v1/topics/runs.events.run_1", 200, timeline),
        ("GET /v1/runs/run_1/events?until=terminal after 9", 204, ""),
        ("GET /v1/runs/run_1", 200, RUN),
    ]);
    let start = [
        "run",
        "start",
        "demo",
        "-i",
        r#"{"n":1.50}"#,
        "--idempotency-key",
        "i",
        "--tag",
        "eu",
        "--max-attempts",
        "2",
    ];
    assert_eq!(driftq(&server.url, &start).good(), "run_1  queued\n");
    let replay =
        ["run", "replay", "run_1", "--patch", r#"{"fail_at":null}"#, "--from-step", "tool_call", "--watch"];
    let ran = driftq(&server.url, &replay);
    assert_eq!((ran.data.as_str(), ran.code), ("run_1  replay 2  queued\n", 1), "{ran:?}");
    assert_eq!(driftq(&server.url, &["run", "cancel", "run_1"]).good(), "run_1  cancelled\n");
    expect![[r#"
        POST /v1/runs {"workflow":"demo","input":{"n":1.50},"idempotency_key":"i","retry_policy":{"max_attempts":2},"tags":["eu"]}
        GET /v1/topics/runs.events.run_1
        POST /v1/runs/run_1/replay {"patch":{"fail_at":null},"from_step":"tool_call"}
        GET /v1/runs/run_1/events?until=terminal after 9
        GET /v1/runs/run_1
        POST /v1/runs/run_1/cancel {}"#]].assert_eq(&server.seen().join("\n"));
}

#[test]
fn dead_letters_are_listed_and_shown_with_every_attempt() {
    let item = r#""topic":"dlq.orders","partition":0,"offset":4,"original_topic":"orders","original_partition":0,
        "original_offset":17,"group":"workers","reason":"max_attempts","attempts":3,"last_error":"boom | ack_timeout",
        "routed_at_ms":1764000000000,"run_id":"run_1","key":"k","value":{"n":1},"state":"open""#;
    let history = r#""history":[{"attempt":1,"owner":"w1","started_at_ms":1764000000000,"ended_at_ms":1764000001500,
        "reason":"error","error":{"message":"boom","type":"ValueError"}}]"#;
    let (page, detail) = (format!(r#"{{"items":[{{{item}}}]}}"#), format!("{{{item},{history}}}"));
    let server = Server::start(&[
        ("GET /v1/dlq?topic=orders&limit=50", 200, &page),
        ("GET /v1/dlq/dlq.orders/0/4", 200, &detail),
    ]);
    check(
        driftq(&server.url, &["dlq", "list", "--topic", "orders"]),
        0,
        expect![[r#"
        ADDRESS         GROUP    REASON        ATTEMPTS  WHEN                  RUN    LAST ERROR
        dlq.orders/0/4  workers  max_attempts  3         2025-11-24T16:00:00Z  run_1  boom | ack_timeout
    "#]],
        expect![""],
    );
    check(
        driftq(&server.url, &["dlq", "show", "dlq.orders/0/4"]),
        0,
        expect![[r#"
        address    dlq.orders/0/4
        state      open
        failed as  orders/0/17
        group      workers
        reason     max_attempts
        attempts   3
        when       2025-11-24T16:00:00Z
        run        run_1
        key        k
        value      {"n":1}

        ATTEMPT  OWNER  STARTED               TOOK      REASON  ERROR
        1        w1     2025-11-24T16:00:00Z  1s 500ms  error   ValueError: boom
    "#]],
        expect![""],
    );
}

#[test]
fn one_refused_dead_letter_does_not_keep_the_others_from_their_turn() {
    let gone = r#"{"error":"FAILED_PRECONDITION","message":"it was redriven already"}"#;
    let redriven = r#"{"status":"redriven","topic":"orders","partition":0,"offset":18,"message_id":"m"}"#;
    let server = Server::start(&[
        ("POST /v1/dlq/dlq.orders/0/4/redrive", 200, redriven),
        ("POST /v1/dlq/dlq.orders/0/5/redrive", 409, gone),
        (
            "POST /v1/dlq/dlq.runs/0/1/redrive",
            200,
            r#"{"status":"replayed","run_id":"run_1","replay_seq":2}"#,
        ),
        ("POST /v1/dlq/dlq.orders/0/4/discard", 200, r#"{"status":"discarded"}"#),
    ]);
    check(
        driftq(&server.url, &["dlq", "redrive", "dlq.orders/0/4", "dlq.orders/0/5", "dlq.runs/0/1"]),
        1,
        expect![[r#"
            dlq.orders/0/4  redriven as  orders/0/18
            dlq.runs/0/1  replayed  run_1 replay 2
        "#]],
        expect![[r#"
            error: dlq.orders/0/5: it was redriven already (FAILED_PRECONDITION)
        "#]],
    );
    check(
        driftq(&server.url, &["dlq", "discard", "dlq.orders/0/4", "-r", "spam", "--yes", "--json"]),
        0,
        expect![[r#"
            {"status":"discarded","topic":"dlq.orders","partition":0,"offset":4}
        "#]],
        expect![""],
    );
    assert_eq!(
        server.seen().last().map(String::as_str),
        Some(r#"POST /v1/dlq/dlq.orders/0/4/discard {"reason":"spam"}"#)
    );
}
