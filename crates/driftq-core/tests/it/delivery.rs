//! Leases, acks, retries, delays, deadlines and dead letters.

use crate::story::check;
use expect_test::expect;

#[test]
fn p06_acking_out_of_order_loses_nothing_over_a_restart() {
    check(
        "topic orders
         produce orders m0 m1 m2
         lease orders workers ann max=3
         ack orders workers ann 2
         restart
         wait 2000
         lease orders workers bob max=3
         lag orders workers",
        expect![[r#"
            created 1
            stored 0/0 0/1 0/2
            ann holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1)
            acked
            expired 0 attempt 1
            expired 1 attempt 1
            bob holds 0/0 (attempt 2: ack_timeout), 0/1 (attempt 2: ack_timeout)
            lag 2
        "#]],
    );
}

#[test]
fn p04_only_the_holder_settles_and_may_say_it_twice() {
    check(
        "topic orders
         produce orders m0
         ack orders workers ann 0
         lease orders workers ann
         ack orders workers bob 0
         ack orders workers ann 0 lease=99
         ack orders workers ann 7
         ack orders workers ann 0
         ack orders workers ann 0
         ack orders workers bob 0
         wait 600000
         ack orders workers ann 0",
        expect![[r#"
            created 1
            stored 0/0
            refused: unknown group "workers" on topic "orders"; a group is made by its first consume
            ann holds 0/0 (attempt 1)
            refused: not owner
            refused: not owner
            refused: the message was never delivered to this group
            acked
            acked
            refused: not owner
            refused: not owner
        "#]],
    );
}

#[test]
fn a_lease_that_ended_is_over_even_before_its_redelivery() {
    check(
        "topic orders
         produce orders m0 policy=2,1000
         lease orders workers ann
         wait 1500
         extend orders workers ann 0 ms=2000
         wait 1999
         ack orders workers bob 0
         wait 1
         ack orders workers ann 0
         lease orders workers bob
         wait 2000
         dlq
         lease orders workers ann",
        expect![[r#"
            created 1
            stored 0/0
            ann holds 0/0 (attempt 1)
            until 4500
            refused: not owner
            expired 0 attempt 1
            refused: not owner
            bob holds 0/0 (attempt 2: ack_timeout)
            expired 0 attempt 2
            dead letter 0 of workers: max_attempts
            dlq.orders/0 of workers, 2 attempts, max_attempts
            ann holds nothing
        "#]],
    );
}

#[test]
fn p08_backoff_doubles_up_to_its_bound_and_ends_in_one_dead_letter() {
    check(
        "topic orders
         produce orders m0 policy=4,100,150
         lease orders workers ann
         nack orders workers ann 0 why=one
         lease orders workers ann
         wait 100
         lease orders workers ann
         nack orders workers ann 0 why=two
         wait 149
         lease orders workers ann
         wait 1
         lease orders workers ann
         nack orders workers ann 0 why=three after=5000
         wait 4999
         lease orders workers ann
         wait 1
         lease orders workers ann
         nack orders workers ann 0 why=four
         lease orders workers ann
         dlq
         lag orders workers",
        expect![[r#"
            created 1
            stored 0/0
            ann holds 0/0 (attempt 1)
            nacked
            ann holds nothing
            ann holds 0/0 (attempt 2: one)
            nacked
            ann holds nothing
            ann holds 0/0 (attempt 3: one | two)
            nacked
            ann holds nothing
            ann holds 0/0 (attempt 4: one | two | three)
            dead letter 0 of workers: max_attempts
            nacked
            ann holds nothing
            dlq.orders/0 of workers, 4 attempts, max_attempts
            lag 0
        "#]],
    );
}

#[test]
fn without_a_policy_a_message_is_braked_and_never_given_up() {
    check(
        "topic orders
         produce orders m0
         lease orders w ann
         nack orders w ann 0
         lease orders w ann
         nack orders w ann 0
         lease orders w ann
         nack orders w ann 0
         lease orders w ann
         nack orders w ann 0
         lease orders w ann
         wait 100
         lease orders w ann
         nack orders w ann 0
         wait 199
         lease orders w ann
         wait 1
         lease orders w ann
         dlq",
        expect![[r#"
            created 1
            stored 0/0
            ann holds 0/0 (attempt 1)
            nacked
            ann holds 0/0 (attempt 2: nack)
            nacked
            ann holds 0/0 (attempt 3: nack | nack)
            nacked
            ann holds 0/0 (attempt 4: nack | nack | nack)
            nacked
            ann holds nothing
            ann holds 0/0 (attempt 5: nack | nack | nack | nack)
            nacked
            ann holds nothing
            ann holds 0/0 (attempt 6: nack | nack | nack | nack | nack)
            no dead letters
        "#]],
    );
}

#[test]
fn two_groups_that_fail_a_message_make_two_dead_letters_and_redrive_goes_to_the_one() {
    check(
        "topic orders p=3
         produce orders m0 partition=1 policy=1,0
         lease orders a ann
         nack orders a ann 0 why=no partition=1
         lease orders b bob
         nack orders b bob 0 why=never final partition=1
         dlq
         redrive dlq.orders 0 partition=1 idem=x
         redrive dlq.orders 0 partition=1 idem=x
         redrive dlq.orders 0 partition=1
         lease orders b bob
         lease orders a ann
         nack orders a ann 1 why=again partition=1
         dlq
         discard dlq.orders 1 partition=1
         redrive dlq.orders 1 partition=1
         redrive dlq.orders 2 partition=1 value=mended all
         lease orders b bob
         lease orders a ann
         dlq",
        expect![[r#"
            created 3
            stored 1/0
            ann holds 1/0 (attempt 1)
            dead letter 0 of a: max_attempts
            nacked
            bob holds 1/0 (attempt 1)
            dead letter 0 of b: non_retryable
            nacked
            dlq.orders/0 of a, 1 attempts, max_attempts
            dlq.orders/1 of b, 1 attempts, non_retryable
            redriven to orders 1/1
            redriven to orders 1/1
            refused: the dead letter is redriven already
            bob holds nothing
            ann holds 1/1 (attempt 1)
            dead letter 1 of a: max_attempts
            nacked
            dlq.orders/1 of b, 1 attempts, non_retryable
            dlq.orders/2 of a, 1 attempts, max_attempts
            discarded
            refused: the dead letter is discarded already
            redriven to orders 1/2
            bob holds 1/2 (attempt 1)
            ann holds 1/2 (attempt 1)
            no dead letters
        "#]],
    );
}

#[test]
fn what_is_in_a_dead_letter_topic_is_never_dead_lettered_again() {
    check(
        "topic orders
         produce orders m0 policy=1,0
         lease orders w ann
         nack orders w ann 0
         lease dlq.orders d dan
         nack dlq.orders d dan 0 final
         lease dlq.orders d dan
         dlq",
        expect![[r#"
            created 1
            stored 0/0
            ann holds 0/0 (attempt 1)
            dead letter 0 of w: max_attempts
            nacked
            dan holds 0/0 (attempt 1)
            nacked
            dan holds 0/0 (attempt 2: nack)
            dlq.orders/0 of w, 1 attempts, max_attempts
        "#]],
    );
}

#[test]
fn a_delayed_message_holds_nobody_up_and_comes_once() {
    check(
        "topic orders
         produce orders late delay=1000
         produce orders now
         lease orders w ann max=5
         ack orders w ann 1
         ack orders w ann 0
         wait 999
         lease orders w ann
         wait 1
         lease orders w ann
         ack orders w ann 0
         lag orders w",
        expect![[r#"
            created 1
            stored 0/0
            stored 0/1
            ann holds 0/1 (attempt 1)
            acked
            refused: the message was never delivered to this group
            ann holds nothing
            ann holds 0/0 (attempt 1)
            acked
            lag 0
        "#]],
    );
}

#[test]
fn a_deadline_ends_a_message_once_with_and_without_a_group() {
    check(
        "topic orders
         produce orders m0 deadline=1000
         wait 1000
         produce orders m1 deadline=1000
         lease orders a ann max=2
         lease orders b bob max=2 ms=5000
         ack orders a ann 1
         wait 1000
         ack orders b bob 1
         dlq
         lease orders c cat",
        expect![[r#"
            created 1
            stored 0/0
            dead letter 0 of -: deadline_exceeded
            stored 0/1
            ann holds 0/1 (attempt 1)
            bob holds 0/1 (attempt 1)
            acked
            dead letter 1 of b: deadline_exceeded
            refused: not owner
            dlq.orders/0 of -, 0 attempts, deadline_exceeded
            dlq.orders/1 of b, 1 attempts, deadline_exceeded
            cat holds nothing
        "#]],
    );
}

#[test]
fn a_lease_that_was_given_back_does_not_count() {
    check(
        "topic orders
         produce orders m0
         lease orders w ann
         giveback orders w
         lease orders w bob
         wait 2000
         lease orders w bob",
        expect![[r#"
            created 1
            stored 0/0
            ann holds 0/0 (attempt 1)
            given back
            bob holds 0/0 (attempt 1)
            expired 0 attempt 1
            bob holds 0/0 (attempt 2: ack_timeout)
        "#]],
    );
}

#[test]
fn partitions_take_turns_and_keys_stay_where_they_are() {
    check(
        "topic orders p=2
         topic orders p=3
         topic orders
         topic wide p=257
         produce orders a0 a1 partition=0
         produce orders b0 b1 partition=1
         produce orders c0 partition=2
         produce nowhere x
         lease orders w ann max=4
         lease nowhere w ann",
        expect![[r#"
            created 2
            refused: topic "orders" has 2 partitions, not 3; the number cannot be changed
            exists 2
            refused: at most 256 partitions, not 257
            stored 0/0 0/1
            stored 1/0 1/1
            refused: partition 2 is out of range; topic "orders" has 2 partitions, 0 to 1
            refused: unknown topic "nowhere"; create it with POST /v1/topics {"name":"nowhere"}
            ann holds 0/0 (attempt 1), 1/0 (attempt 1), 0/1 (attempt 1), 1/1 (attempt 1)
            refused: unknown topic "nowhere"; create it with POST /v1/topics {"name":"nowhere"}
        "#]],
    );
}

#[test]
fn a_group_that_nobody_uses_is_forgotten_later_when_it_has_acked() {
    check(
        "topic orders
         lease orders idle ann
         produce orders m0
         lease orders busy bob
         ack orders busy bob 0
         wait 3599999
         wait 1
         wait 2588400000
         wait 3600000",
        expect![[r#"
            created 1
            ann holds nothing
            stored 0/0
            bob holds 0/0 (attempt 1)
            acked
            group forgotten
            group forgotten
        "#]],
    );
}
