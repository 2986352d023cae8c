//! Stories at the edges of the contract.

use crate::story::check;
use expect_test::expect;

#[test]
fn a_runs_commands_cannot_go_to_its_own_timeline() {
    check(
        "run r1 topic=runs.events.r1",
        expect![[r#"
            refused: topic "runs.events.r1" holds timelines or dead letters; choose another topic for a run's commands
        "#]],
    );
}

#[test]
fn a_runs_commands_cannot_go_to_another_runs_timeline() {
    check(
        "run r1
         run r2 topic=runs.events.r1
         timeline r1",
        expect![[r#"
            created r1
            refused: topic "runs.events.r1" holds timelines or dead letters; choose another topic for a run's commands
            1 0.0 run.created
        "#]],
    );
}

#[test]
fn a_runs_commands_cannot_go_to_dead_letters() {
    check(
        "run r1 topic=dlq.jobs policy=1,0
         dlq",
        expect![[r#"
            refused: topic "dlq.jobs" holds timelines or dead letters; choose another topic for a run's commands
            no dead letters
        "#]],
    );
}

#[test]
fn a_group_that_starts_at_the_latest_has_no_lag_but_what_is_delayed() {
    check(
        "topic orders
         produce orders old
         produce orders late delay=1000
         produce orders seen0 seen1
         lease orders w ann start=latest
         lag orders w
         wait 1000
         lease orders w ann
         ack orders w ann 1
         lag orders w
         produce orders new
         lease orders w ann
         ack orders w ann 4
         lag orders w",
        expect![[r#"
            created 1
            stored 0/0
            stored 0/1
            stored 0/2 0/3
            ann holds nothing
            lag 1
            ann holds 0/1 (attempt 1)
            acked
            lag 0
            stored 0/4
            ann holds 0/4 (attempt 1)
            acked
            lag 0
        "#]],
    );
}

#[test]
fn a_group_that_starts_at_the_latest_has_no_part_in_the_deadlines_of_what_it_skipped() {
    check(
        "topic orders
         produce orders late delay=5000
         produce orders seen deadline=1000
         lease orders a ann max=5
         ack orders a ann 1
         lease orders w bob start=latest
         wait 1000
         dlq",
        expect![[r#"
            created 1
            stored 0/0
            stored 0/1
            ann holds 0/1 (attempt 1)
            acked
            bob holds nothing
            no dead letters
        "#]],
    );
}

#[test]
fn p04_a_nack_that_comes_after_the_leases_end_is_refused() {
    check(
        "topic orders
         produce orders m0
         lease orders w ann
         wait 2000
         nack orders w ann 0 lease=1 final
         nack orders w eve 0 lease=1 final
         lease orders w ann
         giveback orders w
         nack orders w ann 0 lease=2 final
         dlq",
        expect![[r#"
            created 1
            stored 0/0
            ann holds 0/0 (attempt 1)
            expired 0 attempt 1
            refused: not owner
            refused: not owner
            ann holds 0/0 (attempt 2: ack_timeout)
            given back
            refused: not owner
            no dead letters
        "#]],
    );
}

#[test]
fn p04_a_nack_after_the_last_leases_end_is_refused_too() {
    check(
        "topic orders
         produce orders m0 policy=1,0
         lease orders w ann
         wait 2000
         nack orders w ann 0 lease=1",
        expect![[r#"
            created 1
            stored 0/0
            ann holds 0/0 (attempt 1)
            expired 0 attempt 1
            dead letter 0 of w: max_attempts
            refused: not owner
        "#]],
    );
}

#[test]
fn another_groups_dead_letter_of_a_command_does_not_move_the_run() {
    check(
        "run r1
         lease runs.commands workers ann
         step r1 pay
         ack runs.commands workers ann 0 result=1
         lease runs.commands audit eve
         nack runs.commands audit eve 0 final
         redrive dlq.runs.commands 0
         show r1
         dlq
         lease runs.commands audit eve
         lease runs.commands workers ann",
        expect![[r#"
            created r1
            ann holds 0/0 (attempt 1)
            step stored
            acked
            eve holds 0/0 (attempt 1)
            dead letter 0 of audit: non_retryable
            nacked
            redriven to runs.commands 0/1
            r1 is succeeded, replay 0, attempt 1, steps [pay]
            no dead letters
            eve holds 0/1 (attempt 1)
            ann holds nothing
        "#]],
    );
}

#[test]
fn a_runs_dead_letter_is_redriven_once_per_key() {
    check(
        "run r1 policy=1,0
         lease runs.commands workers ann
         nack runs.commands workers ann 0
         redrive dlq.runs.commands 0 idem=x
         redrive dlq.runs.commands 0 idem=x
         redrive dlq.runs.commands 0 idem=y",
        expect![[r#"
            created r1
            ann holds 0/0 (attempt 1)
            dead letter 0 of workers: max_attempts
            nacked
            replay 1
            replay 1
            refused: the dead letter is replayed already
        "#]],
    );
}

#[test]
fn p09_a_repeat_gets_the_first_answer_even_when_its_deadline_has_passed_meanwhile() {
    check(
        "topic orders
         produce orders m0 idem=k deadline=1000
         wait 1000
         produce orders m0 idem=k deadline=0",
        expect![[r#"
            created 1
            stored 0/0
            dead letter 0 of -: deadline_exceeded
            known 0/0
        "#]],
    );
}

#[test]
fn what_was_settled_unseen_is_read_over_once() {
    check(
        "topic orders
         lease orders w ann
         produce orders a b c d deadline=1000
         wait 1000
         lease orders w ann
         unread orders w",
        expect![[r#"
            created 1
            ann holds nothing
            stored 0/0 0/1 0/2 0/3
            dead letter 0 of w: deadline_exceeded
            dead letter 1 of w: deadline_exceeded
            dead letter 2 of w: deadline_exceeded
            dead letter 3 of w: deadline_exceeded
            ann holds nothing
            unread 0
        "#]],
    );
}

#[test]
fn an_abandoned_group_holds_no_producer_back() {
    check(
        "limit messages=2
         topic orders
         lease orders tab ann
         lease orders w bob
         wait 600000
         produce orders m0 m1
         lease orders w bob max=2
         ack orders w bob 0
         ack orders w bob 1
         produce orders m2",
        expect![[r#"
            created 1
            ann holds nothing
            bob holds nothing
            stored 0/0 0/1
            bob holds 0/0 (attempt 1), 0/1 (attempt 1)
            acked
            acked
            stored 0/2
        "#]],
    );
}

#[test]
fn a_group_from_before_the_run_is_forgotten_like_any_other_on_a_timeline() {
    check(
        "topic runs.events.r1
         lease runs.events.r1 tab ann
         run r1
         lease runs.events.r1 tab ann
         ack runs.events.r1 tab ann 0
         wait 3600000
         wait 3600000",
        expect![[r#"
            created 1
            ann holds nothing
            created r1
            ann holds 0/0 (attempt 1)
            acked
            group forgotten
        "#]],
    );
}

#[test]
fn numbers_at_the_edge_of_their_range_wait_for_ever_and_harm_nobody() {
    check(
        "topic orders
         produce orders m0 policy=4294967295,18446744073709551615,18446744073709551615,18446744073709551615
         produce orders m1 delay=18446744073709551615 deadline=18446744073709551615
         lease orders w ann ms=18446744073709551615
         extend orders w ann 0 ms=18446744073709551615
         nack orders w ann 0
         lease orders w ann
         produce orders m2
         lease orders w ann
         nack orders w ann 2 after=18446744073709551615
         wait 86400000
         lease orders w ann
         run r1 delay=18446744073709551615
         cancel r1
         lag orders w",
        expect![[r#"
            created 1
            stored 0/0
            stored 0/1
            ann holds 0/0 (attempt 1)
            until 43201000
            nacked
            ann holds nothing
            stored 0/2
            ann holds 0/2 (attempt 1)
            nacked
            ann holds nothing
            created r1
            cancelled
            lag 3
        "#]],
    );
}

#[test]
fn a_cancelled_run_that_was_delayed_is_never_delivered_and_can_be_replayed() {
    check(
        "lease runs.commands workers ann
         run r1 delay=500
         lease runs.commands workers ann
         cancel r1
         wait 500
         lease runs.commands workers ann
         replay r1
         lease runs.commands workers ann
         wait 2000
         cancel r1
         ack runs.commands workers ann 1
         lease runs.commands workers ann
         lag runs.commands workers
         timeline r1",
        expect![[r#"
            refused: unknown topic "runs.commands"; create it with POST /v1/topics {"name":"runs.commands"}
            created r1
            ann holds nothing
            cancelled
            ann holds nothing
            replay 1
            ann holds 0/1 (attempt 1)
            expired 1 attempt 1
            cancelled
            refused: the run was cancelled
            ann holds nothing
            lag 0
            1 0.0 run.created
            2 0.0 run.cancelled
            3 1.0 run.replay_requested []
            4 1.1 worker.received by ann
            5 1.1 run.attempt_failed: lease_expired
            6 1.1 run.retry_scheduled 2 in 0
            7 1.1 run.cancelled
        "#]],
    );
}

#[test]
fn a_delay_beyond_the_deadline_ends_as_one_dead_letter() {
    check(
        "topic orders
         produce orders m0 delay=2000 deadline=1000
         lease orders w ann
         wait 1000
         wait 1000
         lease orders w ann
         lag orders w
         redrive dlq.orders 0
         lease orders other eve
         lease orders w ann
         ack orders w ann 1
         lag orders w",
        expect![[r#"
            created 1
            stored 0/0
            ann holds nothing
            dead letter 0 of w: deadline_exceeded
            ann holds nothing
            lag 0
            redriven to orders 0/1
            eve holds nothing
            ann holds 0/1 (attempt 1)
            acked
            lag 0
        "#]],
    );
}
