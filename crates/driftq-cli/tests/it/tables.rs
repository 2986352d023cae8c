//! What operators see: groups, explanations, dead letters by what went wrong, jobs, attempts, counters.

use expect_test::expect;

use crate::{
    driftq::{driftq, driftq_with},
    printed::check,
    scripted::Server,
};

const GROUPS: (&str, u16, &str) = (
    "GET /v1/groups?limit=200",
    200,
    r#"{"groups":[
        {"topic":"orders","group":"billing","lag":4,"in_flight":1,"waiting":2,"consumers":0,"used_at_ms":1764000000000,"partitions":[]},
        {"topic":"orders","group":"audit","lag":0,"in_flight":0,"waiting":0,"consumers":1,"used_at_ms":1764000000000,"partitions":[]}]}"#,
);

#[test]
fn groups_are_listed_moved_and_forgotten() {
    let server = Server::start(&[
        GROUPS,
        (
            "POST /v1/groups/seek",
            200,
            r#"{"topic":"orders","group":"billing","partitions":[{"partition":0,"offset":7}]}"#,
        ),
        ("DELETE /v1/groups?topic=orders&group=billing&reason=old", 204, ""),
    ]);
    check(
        driftq(&server.url, &["group", "list"]),
        0,
        expect![[r#"
        TOPIC   GROUP    LAG  IN FLIGHT  WAITING  CONSUMERS  LAST USED
        orders  billing  4    1          2        0          2025-11-24T16:00:00Z
        orders  audit    0    0          0        1          2025-11-24T16:00:00Z
    "#]],
        expect![""],
    );
    let seek = ["group", "seek", "orders", "billing", "--offset", "7"];
    check(
        driftq(&server.url, &seek),
        2,
        expect![""],
        expect![[r#"
        error: this would move the group billing of orders to another place; say so with --yes
    "#]],
    );
    check(
        driftq(&server.url, &[&seek[..], &["--yes"]].concat()),
        0,
        expect![[r#"
        TOPIC   GROUP    PARTITION  NEXT
        orders  billing  0          7
    "#]],
        expect![""],
    );
    let delete = ["group", "delete", "orders", "billing", "-r", "old", "-y", "--json"];
    check(
        driftq(&server.url, &delete),
        0,
        expect![[r#"
        {"status":"deleted","topic":"orders","group":"billing"}
    "#]],
        expect![""],
    );
    let asked = server.seen().join("\n") + "\n";
    expect![[r#"
        GET /v1/groups?limit=200
        POST /v1/groups/seek {"topic":"orders","group":"billing","to":{"partition":0,"offset":7}}
        DELETE /v1/groups?topic=orders&group=billing&reason=old
    "#]]
    .assert_eq(&asked);
}

#[test]
fn a_message_is_explained_in_a_sentence_and_made_due() {
    let explained = r#"{"topic":"orders","partition":0,"offset":17,"group":"billing","state":"waiting","code":"backoff",
        "message":"it failed and waits for its backoff until 16:00:05","until_ms":1764000005000,"attempts":2,
        "max_attempts":5,"last_error":"the provider is busy","consumers":3}"#;
    let run = r#"{"topic":"runs.commands","partition":0,"offset":3,"group":"workers","run_id":"run_1","state":"leased",
        "code":"leased","message":"worker-1 has it until 16:00:05","until_ms":1764000005000,
        "lease":{"owner":"worker-1","lease_id":"l","until_ms":1764000005000},"attempts":1,"run_status":"running"}"#;
    let due =
        r#"{"status":"due","was":"backoff","topic":"orders","partition":0,"offset":17,"group":"billing"}"#;
    let server = Server::start(&[
        ("GET /v1/explain?topic=orders&partition=0&offset=17&group=billing", 200, explained),
        ("GET /v1/explain?run_id=run_1", 200, run),
        ("POST /v1/retry-now", 200, due),
    ]);
    check(
        driftq(&server.url, &["explain", "orders/0/17", "-g", "billing"]),
        0,
        expect![[r#"
        it failed and waits for its backoff until 16:00:05

        message     orders/0/17
        group       billing
        state       waiting
        because     backoff
        until       2025-11-24T16:00:05Z
        attempts    2 of 5
        last error  the provider is busy
        consumers   3
    "#]],
        expect![""],
    );
    check(
        driftq(&server.url, &["explain", "--run", "run_1"]),
        0,
        expect![[r#"
        worker-1 has it until 16:00:05

        message       runs.commands/0/3
        group         workers
        run           run_1
        run's status  running
        state         leased
        because       leased
        until         2025-11-24T16:00:05Z
        held by       worker-1
        held until    2025-11-24T16:00:05Z
        attempts      1
    "#]],
        expect![""],
    );
    check(
        driftq(&server.url, &["retry-now", "orders/0/17", "-g", "billing"]),
        0,
        expect![[r#"
        orders/0/17  due  was backoff
    "#]],
        expect![""],
    );
    assert_eq!(driftq(&server.url, &["explain"]).code, 2);
}

#[test]
fn a_topics_settings_say_whose_they_are() {
    let topic = r#"{"name":"orders","partitions":[{"partition":0,"first_offset":0,"next_offset":5,"bytes":2560,"messages":5}],
        "groups":[],"pattern":"ord*",
        "settings":{"retry_policy":{"max_attempts":5,"backoff_ms":1000,"max_backoff_ms":60000}},
        "effective":{"retry_policy":{"max_attempts":5,"backoff_ms":1000,"max_backoff_ms":60000},
            "idempotency_window_ms":86400000,"partition_max_messages":0,
            "retention":{"age_ms":604800000,"enforced":false}}}"#;
    let server = Server::start(&[
        ("PATCH /v1/topics/orders", 200, topic),
        ("GET /v1/topics/orders", 200, topic),
        ("DELETE /v1/topics/orders?reason=done", 204, ""),
    ]);
    let set = [
        "topic",
        "set",
        "orders",
        "--max-attempts",
        "5",
        "--backoff",
        "1s",
        "--max-backoff",
        "1m",
        "--reset",
        "idempotency-window",
        "-r",
        "why",
    ];
    check(
        driftq(&server.url, &set),
        0,
        expect![[r#"
            orders

            SETTING                  VALUE                             FROM
            retry policy             5 attempts, backoff 1s, up to 1m  its own
            idempotency window       1day                              pattern ord*
            messages of a partition  no bound                          pattern ord*
            kept for                 7days (not enforced yet)          pattern ord*
        "#]],
        expect![""],
    );
    assert_eq!(driftq(&server.url, &["topic", "set", "orders"]).code, 2, "there is nothing to set");
    check(
        driftq(&server.url, &["topic", "delete", "orders", "--dry-run"]),
        0,
        expect![[r#"
            would be deleted  orders with 5 messages and 0 groups
        "#]],
        expect![""],
    );
    check(
        driftq(&server.url, &["topic", "delete", "orders"]),
        2,
        expect![""],
        expect![[r#"
            error: this would delete the topic orders with 5 messages and 0 groups; say so with --yes
        "#]],
    );
    check(
        driftq(&server.url, &["topic", "delete", "orders", "-y", "-r", "done"]),
        0,
        expect![[r#"
            deleted  orders with 5 messages and 0 groups
        "#]],
        expect![""],
    );
    let asked: String =
        server.seen().into_iter().filter(|seen| !seen.starts_with("GET")).map(|seen| seen + "\n").collect();
    expect![[r#"
        PATCH /v1/topics/orders {"retry_policy":{"max_attempts":5,"backoff_ms":1000,"max_backoff_ms":60000},"idempotency_window_ms":null,"reason":"why"}
        DELETE /v1/topics/orders?reason=done
    "#]].assert_eq(&asked);
}

#[test]
fn messages_are_looked_at_without_taking_them() {
    let page = r#"{"messages":[{"partition":0,"offset":3,"key":"k","value":{"n":1.50},"produced_at_ms":1764000000000,"message_id":"m"}]}"#;
    let server = Server::start(&[("GET /v1/topics/orders/messages?partition=0&from=3&limit=2", 200, page)]);
    let browse = ["topic", "browse", "orders", "--from", "3", "-n", "2"];
    check(
        driftq(&server.url, &browse),
        0,
        expect![[r#"
        ADDRESS     PRODUCED              KEY  VALUE
        orders/0/3  2025-11-24T16:00:00Z  k    {"n":1.50}
    "#]],
        expect![""],
    );
}

#[test]
fn dead_letters_are_grouped_by_what_went_wrong() {
    let page = r#"{"fingerprints":[{"fingerprint":"0123456789abcdef","count":9987,"error":{"message":"timeout after 30 s","type":"Timeout"},
        "reason":"max_attempts","first_at_ms":1764000000000,"last_at_ms":1764003600000,"topics":["orders","refunds"],"groups":["billing"],
        "sample":{"topic":"dlq.orders","partition":0,"offset":4}}]}"#;
    let server = Server::start(&[(
        "GET /v1/dlq/fingerprints?topic=orders&since_ms=1764000000000&limit=50",
        200,
        page,
    )]);
    let groups = ["dlq", "groups", "--topic", "orders", "--since", "2025-11-24T16:00:00Z"];
    check(
        driftq(&server.url, &groups),
        0,
        expect![[r#"
        FINGERPRINT       COUNT  SINCE                 LAST                  TOPICS           GROUPS   ERROR                        FOR EXAMPLE
        0123456789abcdef  9987   2025-11-24T16:00:00Z  2025-11-24T17:00:00Z  orders, refunds  billing  Timeout: timeout after 30 s  dlq.orders/0/4
    "#]],
        expect![""],
    );
}

#[test]
fn two_attempts_stand_side_by_side() {
    let attempt = |number: u32, owner: &str, outcome: &str| {
        format!(
            r#"{{"replay_seq":0,"attempt":{number},"owner":"{owner}","started_at_ms":1764000000000,"ended_at_ms":1764000001500,"duration_ms":1500,"outcome":"{outcome}","error":{{"message":"boom","type":"ValueError"}},"steps":["fetch"]}}"#
        )
    };
    let (first, second) = (attempt(1, "w1", "failed"), attempt(2, "w2", "succeeded"));
    let diff = format!(
        r#"{{"a":{first},"b":{second},"changed":[{{"field":"owner","a":"w1","b":"w2"}},{{"field":"input","path":"/n","a":1.50,"b":null}},{{"field":"duration_ms","a":1500,"b":20}}],"same":["steps"]}}"#
    );
    let attempts = format!(r#"{{"attempts":[{first},{second}]}}"#);
    let letter = r#"{"a":{"attempt":1,"owner":"w1","started_at_ms":1,"ended_at_ms":2,"reason":"error","error":{"message":"boom"}},
        "b":{"attempt":3,"owner":"w1","started_at_ms":1,"ended_at_ms":2,"reason":"error","error":{"message":"boom"}},"changed":[],"same":["owner","error.message"]}"#;
    let server = Server::start(&[
        ("GET /v1/runs/run_1/attempts?limit=200", 200, &attempts),
        ("GET /v1/runs/run_1/diff?a=0.1", 200, &diff),
        ("GET /v1/dlq/dlq.orders/0/4/diff?a=1&b=3", 200, letter),
    ]);
    check(
        driftq(&server.url, &["run", "attempts", "run_1"]),
        0,
        expect![[r#"
        ATTEMPT  OUTCOME    OWNER  VERSION  STARTED               TOOK      STEPS  ERROR
        0.1      failed     w1              2025-11-24T16:00:00Z  1s 500ms  fetch  ValueError: boom
        0.2      succeeded  w2              2025-11-24T16:00:00Z  1s 500ms  fetch  ValueError: boom
    "#]],
        expect![""],
    );
    check(
        driftq(&server.url, &["run", "diff", "run_1", "0.1"]),
        0,
        expect![[r#"
        DIFFERS      ATTEMPT 0.1  ATTEMPT 0.2
        owner        w1           w2
        input /n     1.50         (none)
        duration_ms  1s 500ms     20ms

        the same: steps
    "#]],
        expect![""],
    );
    check(
        driftq(&server.url, &["dlq", "diff", "dlq.orders/0/4", "1", "3"]),
        0,
        expect![[r#"
        attempt 1 and attempt 3 do not differ

        the same: owner, error.message
    "#]],
        expect![""],
    );
    assert_eq!(driftq(&server.url, &["run", "diff", "run_1", "first"]).code, 2);
}

const JOB: &str = r#"{"job_id":"job_1","status":"STATUS","phase":"rest","filter":{"topic":"orders"},"rate_per_s":50.0,"canary":10,
    "stop_at_failure_share":0.1,"matched":10000,"moved":MOVED,"succeeded":90,"failed":2,"waiting":8,"skipped":1,
    "created_at_ms":1764000000000,"actor":"ann","reason":"the provider is back","stop_reason":WHY,
    "problems":[{"dead_letter":{"topic":"dlq.orders","partition":0,"offset":4},"message":"it was closed meanwhile"}]}"#;

fn job(status: &str, moved: u32, why: &str) -> String {
    JOB.replace("STATUS", status).replace("MOVED", &moved.to_string()).replace("WHY", why)
}

#[test]
fn a_job_is_started_watched_and_stopped() {
    let (running, halted) = (job("running", 100, "null"), job("halted", 110, r#""12% failed again""#));
    let stopped = job("stopped", 110, "null");
    let jobs = format!(r#"{{"jobs":[{running}]}}"#);
    let dry = r#"{"dry_run":true,"matched":10000,"sample":[{"topic":"dlq.orders","partition":0,"offset":4,"original_topic":"orders","last_error":"timeout"}]}"#;
    let server = Server::start(&[
        ("POST /v1/dlq/redrive", 202, &running),
        ("GET /v1/dlq/jobs?limit=50", 200, &jobs),
        ("GET /v1/dlq/jobs/job_1", 200, &running),
        ("GET /v1/dlq/jobs/job_1?wait_ms=10", 200, &halted),
        ("POST /v1/dlq/jobs/job_1/stop", 200, &stopped),
    ]);
    let all = [
        "dlq",
        "redrive-all",
        "--topic",
        "orders",
        "--rate",
        "50",
        "--canary",
        "10",
        "--stop-at",
        "10%",
        "--reason",
        "the provider is back",
    ];
    check(
        driftq(&server.url, &all),
        0,
        expect![[r#"
        job       job_1
        status    running
        progress  100 of 10000 moved: 90 succeeded, 2 failed again, 8 under way, 1 passed over
        filter    {"topic":"orders"}
        rate      50 a second
        canary    10
        halts at  10% failed
        began     2025-11-24T16:00:00Z
        by        ann
        because   the provider is back

        PASSED OVER     WHY
        dlq.orders/0/4  it was closed meanwhile
    "#]],
        expect![[r#"
        watch it with `driftq dlq job watch job_1`
    "#]],
    );
    check(
        driftq(&server.url, &["dlq", "job", "list"]),
        0,
        expect![[r#"
        JOB    STATUS   MATCHED  MOVED  SUCCEEDED  FAILED  WAITING  CREATED               BY
        job_1  running  10000    100    90         2       8        2025-11-24T16:00:00Z  ann
    "#]],
        expect![""],
    );
    let watch = ["dlq", "job", "watch", "job_1", "--interval", "10ms"];
    check(
        driftq(&server.url, &watch),
        1,
        expect![[r#"
        running  100 of 10000 moved: 90 succeeded, 2 failed again, 8 under way, 1 passed over
        halted  110 of 10000 moved: 90 succeeded, 2 failed again, 8 under way, 1 passed over
    "#]],
        expect![[r#"
        12% failed again
    "#]],
    );
    let stop = ["dlq", "job", "stop", "job_1", "-r", "enough", "--json"];
    assert_eq!(driftq(&server.url, &stop).line()["status"], "stopped");
    let asked: String =
        server.seen().into_iter().filter(|seen| seen.starts_with("POST")).map(|seen| seen + "\n").collect();
    expect![[r#"
        POST /v1/dlq/redrive {"filter":{"topic":"orders"},"rate_per_s":50.0,"canary":10,"stop_at_failure_share":0.1,"reason":"the provider is back"}
        POST /v1/dlq/jobs/job_1/stop {"reason":"enough"}
    "#]].assert_eq(&asked);

    let server = Server::start(&[("POST /v1/dlq/redrive", 200, dry)]);
    check(
        driftq(&server.url, &[&all[..], &["--dry-run"]].concat()),
        0,
        expect![[r#"
        10000 would be moved

        FOR EXAMPLE     FAILED IN  LAST ERROR
        dlq.orders/0/4  orders     timeout
    "#]],
        expect![""],
    );
    for share in ["0", "101%", "x"] {
        assert_eq!(driftq(&server.url, &["dlq", "redrive-all", "--stop-at", share]).code, 2, "{share}");
    }
}

const STATS: (&str, u16, &str) = (
    "GET /v1/stats",
    200,
    r#"{"version":"0.1.0","uptime_ms":3723456,"topics":3,"groups":2,
        "runs":{"queued":1,"running":2,"retrying":0,"waiting":0,"succeeded":40,"failed":3,"cancelled":0},
        "dead_letters_open":3,"messages_total":1000,"delivered_total":990,"acked_total":980,"nacked_total":7,
        "in_flight":3,"consumers":2,"log":{"bytes":5000000,"segments":2,"disk_free_bytes":50000000000},"memory_bytes":30000000}"#,
);

#[test]
fn counters_are_facts_and_top_prints_them_once_for_scripts() {
    let topics = r#"{"topics":[{"name":"orders","partitions":1,"messages":5,"bytes":2560,"groups":2},
        {"name":"runs.events.run_1","partitions":1,"messages":9,"bytes":100,"groups":0}]}"#;
    let groups = ("GET /v1/groups?limit=500", GROUPS.1, GROUPS.2);
    let server = Server::start(&[STATS, groups, ("GET /v1/topics?limit=500&detail=true", 200, topics)]);
    check(
        driftq(&server.url, &["stats"]),
        0,
        expect![[r#"
        version         0.1.0
        up for          1h 2m 3s
        topics          3
        groups          2
        consumers       2
        in flight       3
        produced        1000
        delivered       990
        acked           980
        nacked          7
        dead letters    3
        runs queued     1
        runs running    2
        runs retrying   0
        runs waiting    0
        runs succeeded  40
        runs failed     3
        runs cancelled  0
        log             4.7 MiB in 2 segments
        disk free       46.5 GiB
        memory          28.6 MiB
    "#]],
        expect![""],
    );
    let once = driftq(&server.url, &["top", "--once"]).good();
    let (_, tables) = once.split_once("\n\n").expect("counters come first");
    expect![[r#"
        TOPIC   GROUP    LAG  IN FLIGHT  WAITING  CONSUMERS
        orders  billing  4    1          2        0
        orders  audit    0    0          0        1

        TOPIC   MESSAGES  BYTES
        orders  5         2.5 KiB
    "#]]
    .assert_eq(tables);
    let line = driftq(&server.url, &["top", "--once", "--json"]).line();
    assert_eq!((&line["stats"]["topics"], &line["groups"][0]["group"]), (&3.into(), &"billing".into()));
    assert_eq!(line.get("rates"), None, "there is no rate in one answer");
    check(
        driftq(&server.url, &["top"]),
        2,
        expect![""],
        expect![[r#"
        error: there is no terminal to draw on; take --once or --json
    "#]],
    );
}

#[test]
fn lines_are_stored_batch_by_batch_and_an_error_says_how_far_it_came() {
    let one = |offset: u32| {
        format!(
            r#"{{"status":"produced","topic":"orders","partition":0,"offset":{offset},"message_id":"m","duplicate":false}}"#
        )
    };
    let stored = format!(r#"{{"results":[{},{}]}}"#, one(0), one(1));
    let server = Server::start(&[("POST /v1/produce/batch", 200, &stored)]);
    let lines = "{\"n\":1.50}\nhello\n\n42\n\"s\"\n";
    let produce = ["produce", "orders", "--lines", "--batch", "2"];
    check(
        driftq_with(&server.url, &produce, lines),
        0,
        expect![[r#"
        orders  4 stored
    "#]],
        expect![""],
    );
    let values: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| {
            let (_, body) = seen.split_once(" {").expect("it has a body");
            let batch: serde_json::Value = serde_json::from_str(&format!("{{{body}")).expect("it is JSON");
            batch["messages"]
                .as_array()
                .expect("a batch")
                .iter()
                .map(|message| message["value"].to_string())
                .collect()
        })
        .collect::<Vec<Vec<String>>>();
    assert_eq!(values, [["{\"n\":1.5}", "\"hello\""], ["42", "\"s\""]]);

    let messages = ["produce", "orders", "--lines", "--messages", "--batch", "2", "--json"];
    let messages = [&messages[..], &["--idempotency-prefix", "p"]].concat();
    let bad = "{\"value\":1,\"key\":\"k\"}\n{\"value\":2}\n{\"valeu\":3}\n";
    check(
        driftq_with(&server.url, &messages, bad),
        2,
        expect![[r#"
        {"status":"produced","topic":"orders","partition":0,"offset":0,"message_id":"m","duplicate":false}
        {"status":"produced","topic":"orders","partition":0,"offset":1,"message_id":"m","duplicate":false}
    "#]],
        expect![[r#"
            {"error":"USAGE","message":"line 3 is no message as `POST /v1/produce` takes it: unknown field `valeu`, expected one of `topic`, `key`, `value`, `envelope`, `idempotency_key`, `idempotency_fingerprint`, `tenant_id`, `tenant`, `delay_ms`, `deliver_at_ms`, `headers` at line 1 column 8\nall up to line 2 is stored; run again with --idempotency-prefix p --from-line 3"}
        "#]],
    );
    let dry = [&produce[..], &["--dry-run"]].concat();
    check(
        driftq_with(&server.url, &dry, lines),
        0,
        expect![""],
        expect![[r#"
        4 messages; nothing was stored
    "#]],
    );
}

#[test]
fn a_token_is_printed_once_and_its_hash_kept() {
    let folder = tempfile::TempDir::new().expect("there is room");
    let file = folder.path().join("tokens.toml");
    let file = file.to_str().expect("it is text");
    let new = |name| {
        [
            "token",
            "new",
            "--name",
            name,
            "--verb",
            "produce",
            "--verb",
            "runs:read",
            "--topic",
            "orders.",
            "--tenant",
            "acme",
            "--file",
            file,
        ]
    };
    let made = driftq("http://nobody", &new("ci"));
    let secret = made.data.trim().to_owned();
    assert_eq!((made.code, secret.len(), &secret[..3]), (0, 46, "dq_"), "{made:?}");
    assert!(!made.talk.contains(&secret), "{made:?}");
    assert_eq!(driftq("http://nobody", &new("other")).code, 0);
    let again = driftq("http://nobody", &new("ci"));
    assert_eq!(again.code, 2);
    assert!(again.talk.contains("has a token `ci` already"), "{again:?}");
    let text = std::fs::read_to_string(file).expect("it is there");
    assert!(!text.contains(&secret));
    let hashless: String = text
        .lines()
        .map(|line| match line.split_once("sha256:") {
            Some((before, hash)) => format!("{before}sha256:…{}\n", hash.len()),
            None => format!("{line}\n"),
        })
        .collect();
    expect![[r#"
        [[token]]
        name = "ci"
        hash = "sha256:…65
        verbs = ["produce", "runs:read"]
        topics = ["orders."]
        tenant = "acme"

        [[token]]
        name = "other"
        hash = "sha256:…65
        verbs = ["produce", "runs:read"]
        topics = ["orders."]
        tenant = "acme"
    "#]]
    .assert_eq(&hashless);
    assert_eq!(driftq("http://nobody", &["token", "new", "--name", "x"]).code, 2, "it may do nothing");
}

#[test]
fn shells_get_their_completions() {
    for (shell, sign) in
        [("bash", "complete -F _driftq"), ("zsh", "#compdef driftq"), ("fish", "complete -c driftq")]
    {
        let script = driftq("http://nobody", &["completions", shell]).good();
        assert!(script.contains(sign) && script.contains("redrive-all"), "{shell}");
    }
}
