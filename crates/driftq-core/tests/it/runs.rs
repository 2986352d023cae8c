//! Runs and their timelines.

use crate::story::check;
use expect_test::expect;

#[test]
fn fail_dead_letter_replay_success() {
    check(
        "run r1 policy=2,1000
         lease runs.commands workers ann
         emit r1 run.started
         step r1 fetch
         nack runs.commands workers ann 0 why=boom
         show r1
         wait 1000
         lease runs.commands workers ann
         step r1 fetch
         nack runs.commands workers ann 0 why=boom
         show r1
         dlq
         replay r1 patch=fail_at
         dlq
         lease runs.commands workers ann
         step r1 tool
         ack runs.commands workers ann 1 result={\"ok\":1}
         ack runs.commands workers ann 1 result={\"ok\":1}
         show r1
         timeline r1",
        expect![[r#"
            created r1
            ann holds 0/0 (attempt 1)
            seq 3, 1
            step stored
            nacked
            r1 is retrying, replay 0, attempt 1, steps [fetch]
            ann holds 0/0 (attempt 2: boom; kept fetch)
            step known
            dead letter 0 of workers: max_attempts
            nacked
            r1 is failed, replay 0, attempt 2, steps [fetch]
            dlq.runs.commands/0 of workers, 2 attempts, max_attempts
            replay 1
            no dead letters
            ann holds 0/1 (attempt 1; kept fetch)
            step stored
            acked
            acked
            r1 is succeeded, replay 1, attempt 1, steps [fetch tool]
            1 0.0 run.created
            2 0.1 worker.received by ann
            3 0.1 {"type":"run.started"}
            4 0.1 step.completed fetch
            5 0.1 run.attempt_failed: error
            6 0.1 run.retry_scheduled 2 in 1000
            7 0.2 worker.received by ann
            8 0.2 run.attempt_failed: error
            9 0.2 run.dlq: max_attempts
            10 0.2 run.failed
            11 1.0 run.replay_requested ["fail_at"]
            12 1.1 worker.received by ann
            13 1.1 step.completed tool
            14 1.1 run.succeeded {"ok":1}
        "#]],
    );
}

#[test]
fn a_lost_worker_costs_an_attempt_and_its_late_words_are_refused() {
    check(
        "run r1 policy=2,1000
         lease runs.commands workers ann
         wait 2000
         lease runs.commands workers bob
         emit r1 late lease=1
         step r1 late lease=1
         ack runs.commands workers ann 0
         emit r1 unfenced
         wait 2000
         timeline r1
         redrive dlq.runs.commands 0 value=x
         redrive dlq.runs.commands 0 idem=once
         redrive dlq.runs.commands 0 idem=once
         redrive dlq.runs.commands 0
         show r1
         dlq",
        expect![[r#"
            created r1
            ann holds 0/0 (attempt 1)
            expired 0 attempt 1
            bob holds 0/0 (attempt 2: ack_timeout)
            refused: not owner
            refused: not owner
            refused: not owner
            seq 6, 1
            expired 0 attempt 2
            dead letter 0 of workers: max_attempts
            1 0.0 run.created
            2 0.1 worker.received by ann
            3 0.1 run.attempt_failed: lease_expired
            4 0.1 run.retry_scheduled 2 in 0
            5 0.2 worker.received by bob
            6 0.2 {"type":"unfenced"}
            7 0.2 run.attempt_failed: lease_expired
            8 0.2 run.dlq: max_attempts
            9 0.2 run.failed
            refused: this dead letter belongs to a run; change its input with POST /v1/runs/{id}/replay
            replay 1
            replay 1
            refused: the dead letter is replayed already
            r1 is queued, replay 1, attempt 0, steps []
            no dead letters
        "#]],
    );
}

#[test]
fn a_cancelled_run_tells_its_worker_and_is_never_delivered() {
    check(
        "run r1
         run r2
         cancel r1
         cancel r1
         lease runs.commands workers ann
         cancel r2
         extend runs.commands workers ann 1
         step r2 late lease=1
         ack runs.commands workers ann 1
         lease runs.commands workers ann
         replay r2
         lease runs.commands workers ann
         ack runs.commands workers ann 2
         timeline r2
         timeline r1",
        expect![[r#"
            created r1
            created r2
            cancelled
            refused: run "r1" has ended: cancelled
            ann holds 0/1 (attempt 1)
            cancelled
            refused: the run was cancelled
            refused: the run was cancelled
            refused: the run was cancelled
            ann holds nothing
            replay 1
            ann holds 0/2 (attempt 1)
            acked
            1 0.0 run.created
            2 0.1 worker.received by ann
            3 0.1 run.cancelled
            4 1.0 run.replay_requested []
            5 1.1 worker.received by ann
            6 1.1 run.succeeded null
            1 0.0 run.created
            2 0.0 run.cancelled
        "#]],
    );
}

#[test]
fn steps_are_kept_or_forgotten_by_one_order_of_rules() {
    check(
        "run r1 policy=1,0
         lease runs.commands workers ann
         step r1 a
         step r1 b
         step r1 c
         nack runs.commands workers ann 0
         replay r1 from=nope
         replay r1 from=b patch=x
         show r1
         lease runs.commands workers ann
         nack runs.commands workers ann 1
         replay r1
         show r1
         lease runs.commands workers ann
         ack runs.commands workers ann 2
         replay r1 patch=x
         show r1
         replay r1
         lease runs.commands workers ann
         ack runs.commands workers ann 3
         replay r1
         show r1",
        expect![[r#"
            created r1
            ann holds 0/0 (attempt 1)
            step stored
            step stored
            step stored
            dead letter 0 of workers: max_attempts
            nacked
            refused: run "r1" has no finished step "nope"
            replay 1
            r1 is queued, replay 1, attempt 0, steps [a]
            ann holds 0/1 (attempt 1; kept a)
            dead letter 1 of workers: max_attempts
            nacked
            replay 2
            r1 is queued, replay 2, attempt 0, steps [a]
            ann holds 0/2 (attempt 1; kept a)
            acked
            replay 3
            r1 is queued, replay 3, attempt 0, steps [a]
            refused: run "r1" is queued; only an ended run can be replayed
            ann holds 0/3 (attempt 1; kept a)
            acked
            replay 4
            r1 is queued, replay 4, attempt 0, steps []
        "#]],
    );
}

#[test]
fn a_run_is_created_once_and_needs_a_fit_timeline() {
    check(
        "run r1 idem=k
         run r2 idem=k
         run r1
         topic runs.events.r3
         run r3
         topic runs.events.r4 p=2
         run r4
         topic runs.events.r5
         produce runs.events.r5 x
         run r5
         produce runs.events.r1 hello
         produce runs.events.r1 hello delay=5
         timeline r1
         timeline r3",
        expect![[r#"
            created r1
            known r1
            refused: run "r1" exists already; choose another run_id, or an idempotency_key for a safe repeat
            created 1
            created r3
            created 2
            refused: topic "runs.events.r4" exists and is not an empty topic with one partition; choose another run_id
            created 1
            stored 0/0
            refused: topic "runs.events.r5" exists and is not an empty topic with one partition; choose another run_id
            stored 0/1
            refused: a delay has no meaning on a run's timeline; leave it out
            1 0.0 run.created
            2 0.0 produced
            1 0.0 run.created
        "#]],
    );
}

#[test]
fn other_groups_read_the_command_and_move_nothing() {
    check(
        "run r1 delay=500
         lease runs.commands audit eve
         wait 500
         lease runs.commands audit eve
         ack runs.commands audit eve 0 result=1
         ack runs.commands audit eve 0
         show r1
         lease runs.commands workers ann
         giveback runs.commands workers
         lease runs.commands workers ann
         timeline r1",
        expect![[r#"
            created r1
            eve holds nothing
            eve holds 0/0 (attempt 1)
            refused: result belongs to a run's command, acked by the run's own group
            acked
            r1 is queued, replay 0, attempt 0, steps []
            ann holds 0/0 (attempt 1)
            given back
            ann holds 0/0 (attempt 1)
            1 0.0 run.created
            2 0.1 worker.received by ann
            3 0.1 worker.received by ann
        "#]],
    );
}
