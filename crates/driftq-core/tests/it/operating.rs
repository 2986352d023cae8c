//! What operators do: topic settings, deleted topics, groups moved and forgotten, retries at once, explanations.

use crate::story::check;
use expect_test::expect;

#[test]
fn settings_act_where_something_is_decided() {
    check(
        "topic orders retry=2,1000 window=5000 most=3 label=red
         effective orders
         produce orders m0 idem=k
         produce orders m0 idem=k
         wait 5000
         produce orders m1 idem=k
         lease orders workers ann
         nack orders workers ann 0
         wait 1000
         lease orders workers ann
         nack orders workers ann 0
         produce orders m2 m3
         produce orders m4
         restart
         patch orders retry=null window=0 most=0 label=null
         effective orders
         produce orders m4 idem=k
         produce orders m5 idem=k
         patch orders window=null most=null
         effective orders",
        expect![[r#"
            created 1
            policy Some(2) window 5000 messages Some(3) routing Some("red") by None
            stored 0/0
            known 0/0
            stored 0/1
            ann holds 0/0 (attempt 1)
            nacked
            ann holds 0/0 (attempt 2: nack)
            dead letter 0 of workers: max_attempts
            nacked
            stored 0/2 0/3
            refused: the partition holds too much unsettled work (partition_buffer_full); retry later
            patched
            policy None window 0 messages None routing None by None
            stored 0/4
            stored 0/5
            patched
            policy None window 86400000 messages None routing None by None
        "#]],
    );
}

#[test]
fn a_topics_own_setting_beats_its_pattern_and_a_pattern_the_limits() {
    check(
        "pattern orders.* retry=3,10 window=0 label=blue
         topic orders.eu
         topic orders.us retry=5,10
         topic other
         effective orders.eu
         effective orders.us
         effective other
         produce orders.eu m0 policy=1,0
         produce orders.eu m1
         lease orders.eu workers ann
         nack orders.eu workers ann 0
         lease orders.eu workers ann
         nack orders.eu workers ann 1
         explain orders.eu 1 group=workers
         restart
         effective orders.eu",
        expect![[r#"
            created 1
            created 1
            created 1
            policy Some(3) window 0 messages None routing Some("blue") by Some("orders.*")
            policy Some(5) window 0 messages None routing Some("blue") by Some("orders.*")
            policy None window 86400000 messages None routing None by None
            stored 0/0
            stored 0/1
            ann holds 0/0 (attempt 1)
            dead letter 0 of workers: max_attempts
            nacked
            ann holds 0/1 (attempt 1)
            nacked
            0/1: Backoff(Instant(1010)), attempts 1
            policy Some(3) window 0 messages None routing Some("blue") by Some("orders.*")
        "#]],
    );
}

#[test]
fn a_timeline_takes_no_retry_policy() {
    check(
        "run r1
         patch runs.events.r1 retry=1,0
         patch runs.events.r1 window=1000",
        expect![[r#"
            created r1
            refused: a retry policy has no meaning on a run's timeline; leave it out
            patched
        "#]],
    );
}

#[test]
fn a_deleted_topic_leaves_nothing_and_its_name_is_free_for_another() {
    check(
        "topic orders p=2
         produce orders a0 idem=k
         produce orders a1 delay=5000
         produce orders a2 deadline=9000 partition=1
         lease orders workers ann
         deltopic orders
         produce orders b0
         ack orders workers ann 0 lease=1
         ack orders workers ann 0
         topic orders
         produce orders b0 idem=k
         ack orders workers ann 0 lease=1
         restart
         lease orders workers bob
         ack orders workers ann 0 lease=1
         wait 10000
         lag orders workers
         deltopic missing",
        expect![[r#"
            created 2
            stored 0/0
            stored 0/1
            stored 1/0
            ann holds 0/0 (attempt 1)
            deleted
            refused: unknown topic "orders"; create it with POST /v1/topics {"name":"orders"}
            refused: not owner
            refused: unknown topic "orders"; create it with POST /v1/topics {"name":"orders"}
            created 1
            stored 0/0
            refused: not owner
            bob holds 0/0 (attempt 1)
            refused: not owner
            expired 0 attempt 1
            lag 1
            refused: unknown topic "missing"; create it with POST /v1/topics {"name":"missing"}
        "#]],
    );
}

#[test]
fn a_dead_letter_outlives_its_original_and_goes_to_the_heir_of_the_name() {
    check(
        "topic orders
         produce orders a0 policy=1,0
         lease orders workers ann
         nack orders workers ann 0
         deltopic orders
         dlq
         redrive dlq.orders 0
         topic orders
         produce orders b0
         redrive dlq.orders 0 idem=r
         lease orders workers bob max=5
         lease orders others cid max=5
         restart
         redrive dlq.orders 0 idem=r
         deltopic dlq.orders
         dlq",
        expect![[r#"
            created 1
            stored 0/0
            ann holds 0/0 (attempt 1)
            dead letter 0 of workers: max_attempts
            nacked
            deleted
            dlq.orders/0 of workers, 1 attempts, max_attempts
            refused: topic "orders" is deleted; create it again, or name a target_topic
            created 1
            stored 0/0
            redriven to orders 0/1
            bob holds 0/0 (attempt 1), 0/1 (attempt 1)
            cid holds 0/0 (attempt 1)
            redriven to orders 0/1
            deleted
            no dead letters
        "#]],
    );
}

#[test]
fn what_open_runs_need_is_not_deleted() {
    check(
        "run r1
         run r2
         deltopic runs.commands
         deltopic runs.events.r1
         lease runs.commands workers ann
         delgroup runs.commands workers
         seek runs.commands workers latest
         ack runs.commands workers ann 0
         cancel r2
         delgroup runs.commands workers
         deltopic runs.commands
         deltopic runs.events.r1
         restart
         replay r1
         run r3
         show r3",
        expect![[r#"
            created r1
            created r2
            refused: topic "runs.commands" holds the commands of 2 open runs; wait for their end or cancel them first
            refused: topic "runs.events.r1" is the timeline of run "r1" and is kept as long as the run
            ann holds 0/0 (attempt 1)
            refused: group "workers" moves 2 open runs; wait for their end or cancel them first
            refused: group "workers" moves 2 open runs; wait for their end or cancel them first
            acked
            cancelled
            deleted
            deleted
            refused: topic "runs.events.r1" is the timeline of run "r1" and is kept as long as the run
            refused: the topic of run "r1"'s commands is deleted; start a new run
            created r3
            r3 is queued, replay 0, attempt 0, steps []
        "#]],
    );
}

#[test]
fn p06_a_seek_back_makes_settled_messages_come_again_from_attempt_1() {
    check(
        "topic orders
         produce orders m0 idem=a
         produce orders m1 idem=b
         produce orders m2
         lease orders workers ann max=3
         ack orders workers ann 0
         ack orders workers ann 1
         seek orders workers 1
         ack orders workers ann 2
         ack orders workers ann 2 lease=3
         extend orders workers ann 2 lease=3
         ack orders workers ann 0
         ack orders workers ann 1
         lag orders workers
         restart
         lease orders workers bob max=3
         ack orders workers ann 1 lease=2
         ack orders workers bob 1
         ack orders workers bob 2
         seek orders workers earliest
         lease orders workers cid max=3
         seek orders workers 4
         seek orders workers 0 partition=7
         seek orders nobody earliest",
        expect![[r#"
            created 1
            stored 0/0
            stored 0/1
            stored 0/2
            ann holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1)
            acked
            acked
            sought to 0/1
            refused: not owner
            refused: not owner
            refused: not owner
            acked
            refused: not owner
            lag 2
            bob holds 0/1 (attempt 1), 0/2 (attempt 1)
            refused: not owner
            acked
            acked
            sought to 0/0
            cid holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1)
            refused: offset 4 is out of range; partition 0 holds 0 to 3, where 3 is its end
            refused: partition 7 is out of range; topic "orders" has 1 partitions, 0 to 0
            refused: unknown group "nobody" on topic "orders"; a group is made by its first consume
        "#]],
    );
}

#[test]
fn a_key_that_was_acked_counts_until_its_message_is_sought_back() {
    check(
        "topic orders window=0
         produce orders m0 m1 idem=k
         produce orders m2
         lease orders workers ann max=3
         ack orders workers ann 0
         seek orders workers 1
         lease orders workers bob max=3
         explain orders 1 group=workers
         seek orders workers 0
         lease orders workers bob max=3
         ack orders workers bob 1
         seek orders workers 0
         lease orders workers cid max=3
         ack orders workers cid 0
         seek orders workers 1
         explain orders 1 group=workers
         lease orders workers cid max=3",
        expect![[r#"
            created 1
            stored 0/0 0/1
            stored 0/2
            ann holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1)
            acked
            sought to 0/1
            bob holds 0/2 (attempt 1)
            0/1: KeyAcked, attempts 0
            sought to 0/0
            bob holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1)
            acked
            sought to 0/0
            cid holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1)
            acked
            sought to 0/1
            0/1: KeyAcked, attempts 0
            cid holds 0/2 (attempt 1)
        "#]],
    );
}

#[test]
fn a_seek_to_the_end_leaves_delayed_messages_to_come() {
    check(
        "topic orders p=2
         produce orders m0 m1
         produce orders d0 delay=1000
         produce orders m3
         lease orders workers ann
         seek orders workers latest
         ack orders workers ann 0 lease=1
         ack orders workers ann 0
         lag orders workers
         restart
         lease orders workers bob max=5
         wait 1000
         lease orders workers bob max=5
         seek orders workers 3
         wait 5000
         lease orders workers bob max=5
         lag orders workers",
        expect![[r#"
            created 2
            stored 0/0 0/1
            stored 0/2
            stored 0/3
            ann holds 0/0 (attempt 1)
            sought to 0/2 1/0
            refused: not owner
            refused: not owner
            lag 1 0
            bob holds nothing
            bob holds 0/2 (attempt 1)
            sought to 0/3
            bob holds 0/3 (attempt 1)
            lag 1 0
        "#]],
    );
}

#[test]
fn a_deleted_group_begins_anew() {
    check(
        "topic orders
         produce orders m0 m1
         lease orders workers ann max=2
         ack orders workers ann 0
         delgroup orders workers
         delgroup orders workers
         ack orders workers ann 1 lease=2
         ack orders workers ann 1
         restart
         lease orders workers bob
         ack orders workers ann 0 lease=1
         ack orders workers ann 1 lease=2
         ack orders workers bob 0",
        expect![[r#"
            created 1
            stored 0/0 0/1
            ann holds 0/0 (attempt 1), 0/1 (attempt 1)
            acked
            deleted
            refused: unknown group "workers" on topic "orders"; a group is made by its first consume
            refused: not owner
            refused: unknown group "workers" on topic "orders"; a group is made by its first consume
            bob holds 0/0 (attempt 1)
            refused: not owner
            refused: not owner
            acked
        "#]],
    );
}

#[test]
fn what_waits_is_due_at_once_when_somebody_says_so() {
    check(
        "topic orders
         produce orders m0 m1 policy=5,60000
         produce orders d0 delay=60000
         lease orders workers ann max=2
         retrynow orders 0 group=workers
         nack orders workers ann 0
         ack orders workers ann 1
         retrynow orders 0
         retrynow orders 0 group=others
         retrynow orders 0 group=workers
         retrynow orders 0 group=workers
         retrynow orders 1 group=workers
         retrynow orders 2
         retrynow orders 2 group=workers
         retrynow orders 9
         restart
         lease orders workers bob max=3
         nack orders workers bob 0 final
         retrynow orders 0 group=workers",
        expect![[r#"
            created 1
            stored 0/0 0/1
            stored 0/2
            ann holds 0/0 (attempt 1), 0/1 (attempt 1)
            refused: the message is leased by "ann" until 3000 (epoch milliseconds); wait for its answer or the lease's end
            nacked
            acked
            refused: the message is not delayed; name the group whose backoff is to end
            refused: unknown group "others" on topic "orders"; a group is made by its first consume
            0/0 is due for workers, was Backoff
            0/0 is due for workers, was Nothing
            refused: the group is done with the message; seek back to have it again
            0/2 is due for all, was Delay
            0/2 is due for workers, was Nothing
            refused: no message there
            bob holds 0/0 (attempt 2: nack), 0/2 (attempt 1)
            dead letter 0 of workers: non_retryable
            nacked
            refused: the message is a dead letter: dlq.orders, partition 0, offset 0; redrive it there
        "#]],
    );
}

#[test]
fn a_run_is_retried_now_and_its_timeline_tells() {
    check(
        "run r1 policy=3,60000
         retrynow run=r1
         lease runs.commands workers ann
         retrynow run=r1
         nack runs.commands workers ann 0
         retrynow run=r1
         lease runs.commands workers bob
         ack runs.commands workers bob 0
         retrynow run=r1
         retrynow run=r9
         timeline r1",
        expect![[r#"
            created r1
            0/0 is due for all, was Nothing
            ann holds 0/0 (attempt 1)
            refused: the message is leased by "ann" until 3000 (epoch milliseconds); wait for its answer or the lease's end
            nacked
            0/0 is due for workers, was Backoff
            bob holds 0/0 (attempt 2: nack)
            acked
            refused: run "r1" has ended: succeeded
            refused: unknown run "r9"
            1 0.0 run.created
            2 0.1 worker.received by ann
            3 0.1 run.attempt_failed: error
            4 0.1 run.retry_scheduled 2 in 60000
            5 0.1 run.retry_scheduled 2 in 0
            6 0.2 worker.received by bob
            7 0.2 run.succeeded null
        "#]],
    );
}

#[test]
fn an_explanation_is_exhaustive_over_standings() {
    check(
        "topic orders
         produce orders m0 policy=2,1000
         produce orders m1 m2
         produce orders d3 delay=5000
         explain orders 0
         explain orders 3
         lease orders workers ann
         explain orders 0
         explain orders 1
         explain orders 2 group=workers
         explain orders 3 group=others
         explain orders 2 group=others
         nack orders workers ann 0
         explain orders 0
         wait 1000
         explain orders 0
         explain orders 2
         lease orders workers ann
         nack orders workers ann 0
         explain orders 0
         lease orders workers ann
         ack orders workers ann 1
         explain orders 1
         lease orders others bob
         explain orders 1
         explain orders 1 group=others
         produce orders x4 deadline=1000
         wait 1000
         explain orders 4 group=workers
         explain orders 4 group=nobody
         redrive dlq.orders 0
         explain orders 5 group=others
         explain orders 0 group=workers
         explain orders 99 group=workers
         explain orders 0 partition=4
         explain missing 0",
        expect![[r#"
            created 1
            stored 0/0
            stored 0/1 0/2
            stored 0/3
            0/0: NoGroup, attempts 0
            0/3: Delayed(WallTime(6000)), attempts 0
            ann holds 0/0 (attempt 1)
            0/0: leased by ann, attempts 1
            0/1: Due, attempts 0
            0/2: Behind(1), attempts 0
            0/3: Delayed(WallTime(6000)), attempts 0
            0/2: NoGroup, attempts 0
            nacked
            0/0: Backoff(Instant(2000)), attempts 1
            0/0: Due, attempts 1
            0/2: Behind(2), attempts 0
            ann holds 0/0 (attempt 2: nack)
            dead letter 0 of workers: max_attempts
            nacked
            0/0: dead letter 0, open, attempts 2
            ann holds 0/1 (attempt 1)
            acked
            0/1: Acked, attempts 0
            bob holds 0/0 (attempt 1)
            refused: several groups read the topic; say which one with group: others, workers
            0/1: Due, attempts 0
            stored 0/4
            dead letter 4 of -: deadline_exceeded
            0/4: expired, dead letter Some(1), attempts 0
            0/4: expired, dead letter Some(1), attempts 0
            redriven to orders 0/5
            0/5: OtherGroup, attempts 0
            0/0: dead letter 0, redriven, attempts 2
            refused: no message there
            refused: partition 4 is out of range; topic "orders" has 1 partitions, 0 to 0
            refused: unknown topic "missing"; create it with POST /v1/topics {"name":"missing"}
        "#]],
    );
}

#[test]
fn a_run_is_explained_by_its_command() {
    check(
        "run r1 policy=1,0
         run r2 delay=1000
         explain run=r1
         explain run=r2
         lease runs.commands workers ann
         explain run=r1
         nack runs.commands workers ann 0
         explain run=r1
         explain run=r2
         cancel r2
         explain run=r2
         replay r1
         explain run=r1
         explain runs.commands 0
         lease runs.commands workers ann
         ack runs.commands workers ann 2
         explain run=r1
         deltopic runs.commands
         explain run=r1
         explain run=r9",
        expect![[r#"
            created r1
            created r2
            0/0: NoGroup, attempts 0
            0/1: Delayed(WallTime(2000)), attempts 0
            ann holds 0/0 (attempt 1)
            0/0: leased by ann, attempts 1
            dead letter 0 of workers: max_attempts
            nacked
            0/0: dead letter 0, open, attempts 1
            0/1: Delayed(WallTime(2000)), attempts 0
            cancelled
            0/1: RunEnded, attempts 0
            replay 1
            0/2: Due, attempts 0
            0/0: dead letter 0, replayed, attempts 1
            ann holds 0/2 (attempt 1)
            acked
            0/2: Acked, attempts 1
            deleted
            0/2: Removed, attempts 0
            refused: unknown run "r9"
        "#]],
    );
}
