//! Fingerprints, edited and bulk redrives: what is failing, since when, and how it is moved.

use crate::story::check;
use expect_test::expect;

#[test]
fn dead_letters_are_counted_by_what_failed_and_forgotten_when_they_are_closed() {
    check(
        "topic orders
         produce orders m0 m1 m2 m3 policy=1
         produce orders m4 deadline=5000
         lease orders workers ann max=4
         nack orders workers ann 0 why=no-user-17
         wait 1000
         nack orders workers ann 1 why=no-user-4
         nack orders workers ann 2 why=timeout
         kinds
         wait 4000
         kinds
         redrive dlq.orders 0
         discard dlq.orders 2
         kinds
         restart
         kinds",
        expect![[r#"
            created 1
            stored 0/0 0/1 0/2 0/3
            stored 0/4
            ann holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1), 0/3 (attempt 1)
            dead letter 0 of workers: max_attempts
            nacked
            dead letter 1 of workers: max_attempts
            nacked
            dead letter 2 of workers: max_attempts
            nacked
            2 from 1000 to 2000 of [workers]
            1 from 2000 to 2000 of [workers]
            expired 3 attempt 1
            dead letter 3 of workers: max_attempts
            dead letter 4 of workers: deadline_exceeded
            2 from 1000 to 2000 of [workers]
            1 from 6000 to 6000 of [workers]
            1 from 2000 to 2000 of [workers]
            1 from 6000 to 6000 of [workers]
            redriven to orders 0/5
            discarded
            1 from 6000 to 6000 of [workers]
            1 from 2000 to 2000 of [workers]
            1 from 6000 to 6000 of [workers]
            1 from 6000 to 6000 of [workers]
            1 from 2000 to 2000 of [workers]
            1 from 6000 to 6000 of [workers]
        "#]],
    );
}

#[test]
fn a_closing_tells_who_why_and_whether_the_value_was_edited() {
    check(
        "topic orders
         produce orders m0 m1 m2 policy=1
         lease orders workers ann max=3
         nack orders workers ann 0
         nack orders workers ann 1
         nack orders workers ann 2
         redrive dlq.orders 0 value=mended by=eve why=typo
         discard dlq.orders 1
         closing dlq.orders 0
         closing dlq.orders 1
         closing dlq.orders 2
         job by=eve why=all-of-them
         wait 1
         closing dlq.orders 2
         restart
         closing dlq.orders 2",
        expect![[r#"
            created 1
            stored 0/0 0/1 0/2
            ann holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1)
            dead letter 0 of workers: max_attempts
            nacked
            dead letter 1 of workers: max_attempts
            nacked
            dead letter 2 of workers: max_attempts
            nacked
            redriven to orders 0/3
            discarded
            redriven by eve because typo, edited
            discarded by - because no
            open
            job 1 started
            redriven by eve because all-of-them, job 1
            redriven by eve because all-of-them, job 1
        "#]],
    );
}

#[test]
fn a_redrive_to_another_topic_goes_to_the_partition_of_its_key() {
    check(
        "topic orders
         topic wide p=64
         produce orders m0 m1 policy=1 key=k1
         lease orders workers ann max=2
         nack orders workers ann 0
         nack orders workers ann 1
         produce wide probe key=k1
         redrive dlq.orders 0 target=wide key=k1
         redrive dlq.orders 1",
        expect![[r#"
            created 1
            created 64
            stored 0/0 0/1
            ann holds 0/0 (attempt 1), 0/1 (attempt 1)
            dead letter 0 of workers: max_attempts
            nacked
            dead letter 1 of workers: max_attempts
            nacked
            stored 1/0
            redriven to wide 1/1
            redriven to orders 0/2
        "#]],
    );
}

#[test]
fn a_job_moves_at_its_rate_is_paused_resumed_and_done_when_all_has_ended() {
    check(
        "topic orders
         produce orders m0 m1 m2 m3 policy=1
         lease orders workers ann max=4
         nack orders workers ann 0
         nack orders workers ann 1
         nack orders workers ann 2
         nack orders workers ann 3
         job rate=1 idem=once
         job rate=1 idem=once
         job topic=other
         wait 1
         jobs
         wait 999
         jobs
         pause 1 why=lunch
         pause 1
         wait 60000
         jobs
         discard dlq.orders 3
         resume 1
         wait 1000
         jobs
         restart
         wait 1000
         jobs
         lease orders workers bob max=9
         ack orders workers bob 4
         nack orders workers bob 5
         ack orders workers bob 6
         wait 1
         jobs
         dlq
         pause 1
         stop 1",
        expect![[r#"
            created 1
            stored 0/0 0/1 0/2 0/3
            ann holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1), 0/3 (attempt 1)
            dead letter 0 of workers: max_attempts
            nacked
            dead letter 1 of workers: max_attempts
            nacked
            dead letter 2 of workers: max_attempts
            nacked
            dead letter 3 of workers: max_attempts
            nacked
            job 1 started
            job 1 known
            refused: no open dead letter matches the filter
            job 1 running: 1 of 4 moved, 0 ok, 0 dead, 0 gone, 1 waiting, 0 skipped
            job 1 running: 2 of 4 moved, 0 ok, 0 dead, 0 gone, 2 waiting, 0 skipped
            job 1 paused: 2 of 4 moved, 0 ok, 0 dead, 0 gone, 2 waiting, 0 skipped
            job 1 paused: 2 of 4 moved, 0 ok, 0 dead, 0 gone, 2 waiting, 0 skipped
            job 1 paused: 2 of 4 moved, 0 ok, 0 dead, 0 gone, 2 waiting, 0 skipped
            discarded
            job 1 running: 2 of 4 moved, 0 ok, 0 dead, 0 gone, 2 waiting, 0 skipped
            job 1 running: 3 of 4 moved, 0 ok, 0 dead, 0 gone, 3 waiting, 0 skipped
            job 1 running: 3 of 4 moved, 0 ok, 0 dead, 0 gone, 3 waiting, 1 skipped
            bob holds 0/4 (attempt 1), 0/5 (attempt 1), 0/6 (attempt 1)
            acked
            dead letter 5 of workers: max_attempts
            nacked
            acked
            job 1 done
            job 1 done: 3 of 4 moved, 2 ok, 1 dead, 0 gone, 0 waiting, 1 skipped
            dlq.orders/4 of workers, 1 attempts, max_attempts
            refused: the job is done already
            refused: the job is done already
        "#]],
    );
}

#[test]
fn a_canary_that_dies_again_halts_a_job_and_a_resume_goes_on_all_the_same() {
    check(
        "topic orders
         produce orders m0 m1 m2 m3 policy=1
         lease orders workers ann max=4
         nack orders workers ann 0
         nack orders workers ann 1
         nack orders workers ann 2
         nack orders workers ann 3
         job canary=2
         wait 5000
         jobs
         lease orders workers bob max=2
         nack orders workers bob 4
         wait 1
         jobs
         ack orders workers bob 5
         wait 1
         jobs
         wait 60000
         jobs
         resume 1
         wait 1000
         jobs",
        expect![[r#"
            created 1
            stored 0/0 0/1 0/2 0/3
            ann holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1), 0/3 (attempt 1)
            dead letter 0 of workers: max_attempts
            nacked
            dead letter 1 of workers: max_attempts
            nacked
            dead letter 2 of workers: max_attempts
            nacked
            dead letter 3 of workers: max_attempts
            nacked
            job 1 started
            job 1 running: 2 of 4 moved, 0 ok, 0 dead, 0 gone, 2 waiting, 0 skipped
            bob holds 0/4 (attempt 1), 0/5 (attempt 1)
            dead letter 4 of workers: max_attempts
            nacked
            job 1 running: 2 of 4 moved, 0 ok, 1 dead, 0 gone, 1 waiting, 0 skipped
            acked
            job 1 halted: 1 of the canary's 2 that ended died again
            job 1 halted: 2 of 4 moved, 1 ok, 1 dead, 0 gone, 0 waiting, 0 skipped
            job 1 halted: 2 of 4 moved, 1 ok, 1 dead, 0 gone, 0 waiting, 0 skipped
            job 1 running: 2 of 4 moved, 1 ok, 1 dead, 0 gone, 0 waiting, 0 skipped
            job 1 running: 4 of 4 moved, 1 ok, 1 dead, 0 gone, 2 waiting, 0 skipped
        "#]],
    );
}

#[test]
fn a_job_halts_at_its_share_of_failures_once_ten_have_ended() {
    let mut story = String::from("topic orders\nproduce orders");
    for number in 0..20 {
        story += &format!(" m{number}");
    }
    story += " policy=1\nlease orders workers ann max=20\n";
    for number in 0..20 {
        story += &format!("nack orders workers ann {number}\n");
    }
    story += "job percent=30 rate=100\nwait 110\nlease orders workers bob max=20\n";
    for offset in 20..29 {
        story += &format!("{} orders workers bob {offset}\n", if offset % 3 == 0 { "nack" } else { "ack" });
    }
    story += "wait 1\njobs\nack orders workers bob 29\nwait 1\njobs\nwait 5000\njobs\nrestart\nresume 1\nwait 1\njobs\nstop 1\nwait 5000\njobs";
    check(
        &story,
        expect![[r#"
        created 1
        stored 0/0 0/1 0/2 0/3 0/4 0/5 0/6 0/7 0/8 0/9 0/10 0/11 0/12 0/13 0/14 0/15 0/16 0/17 0/18 0/19
        ann holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1), 0/3 (attempt 1), 0/4 (attempt 1), 0/5 (attempt 1), 0/6 (attempt 1), 0/7 (attempt 1), 0/8 (attempt 1), 0/9 (attempt 1), 0/10 (attempt 1), 0/11 (attempt 1), 0/12 (attempt 1), 0/13 (attempt 1), 0/14 (attempt 1), 0/15 (attempt 1), 0/16 (attempt 1), 0/17 (attempt 1), 0/18 (attempt 1), 0/19 (attempt 1)
        dead letter 0 of workers: max_attempts
        nacked
        dead letter 1 of workers: max_attempts
        nacked
        dead letter 2 of workers: max_attempts
        nacked
        dead letter 3 of workers: max_attempts
        nacked
        dead letter 4 of workers: max_attempts
        nacked
        dead letter 5 of workers: max_attempts
        nacked
        dead letter 6 of workers: max_attempts
        nacked
        dead letter 7 of workers: max_attempts
        nacked
        dead letter 8 of workers: max_attempts
        nacked
        dead letter 9 of workers: max_attempts
        nacked
        dead letter 10 of workers: max_attempts
        nacked
        dead letter 11 of workers: max_attempts
        nacked
        dead letter 12 of workers: max_attempts
        nacked
        dead letter 13 of workers: max_attempts
        nacked
        dead letter 14 of workers: max_attempts
        nacked
        dead letter 15 of workers: max_attempts
        nacked
        dead letter 16 of workers: max_attempts
        nacked
        dead letter 17 of workers: max_attempts
        nacked
        dead letter 18 of workers: max_attempts
        nacked
        dead letter 19 of workers: max_attempts
        nacked
        job 1 started
        bob holds 0/20 (attempt 1), 0/21 (attempt 1), 0/22 (attempt 1), 0/23 (attempt 1), 0/24 (attempt 1), 0/25 (attempt 1), 0/26 (attempt 1), 0/27 (attempt 1), 0/28 (attempt 1), 0/29 (attempt 1), 0/30 (attempt 1), 0/31 (attempt 1)
        acked
        dead letter 21 of workers: max_attempts
        nacked
        acked
        acked
        dead letter 24 of workers: max_attempts
        nacked
        acked
        acked
        dead letter 27 of workers: max_attempts
        nacked
        acked
        job 1 running: 12 of 20 moved, 6 ok, 3 dead, 0 gone, 3 waiting, 0 skipped
        acked
        job 1 halted: 3 of 10 that ended died again, the limit is 30.00 %
        job 1 halted: 12 of 20 moved, 7 ok, 3 dead, 0 gone, 2 waiting, 0 skipped
        expired 30 attempt 1
        dead letter 30 of workers: max_attempts
        expired 31 attempt 1
        dead letter 31 of workers: max_attempts
        job 1 halted: 12 of 20 moved, 7 ok, 5 dead, 0 gone, 0 waiting, 0 skipped
        job 1 running: 12 of 20 moved, 7 ok, 5 dead, 0 gone, 0 waiting, 0 skipped
        job 1 running: 13 of 20 moved, 7 ok, 5 dead, 0 gone, 1 waiting, 0 skipped
        job 1 stopped: 13 of 20 moved, 7 ok, 5 dead, 0 gone, 1 waiting, 0 skipped
        job 1 stopped: 13 of 20 moved, 7 ok, 5 dead, 0 gone, 1 waiting, 0 skipped
    "#]],
    );
}

#[test]
fn a_runs_dead_letter_in_a_job_is_a_replay_that_is_followed_to_its_end() {
    check(
        "run run_1 policy=1
         run run_2 policy=1
         run run_3 policy=1
         lease runs.commands workers ann max=3
         nack runs.commands workers ann 0
         nack runs.commands workers ann 1
         nack runs.commands workers ann 2
         job by=eve
         wait 100
         jobs
         show run_1
         timeline run_1
         lease runs.commands workers ann max=3
         ack runs.commands workers ann 3
         nack runs.commands workers ann 4
         cancel run_3
         wait 1
         jobs
         closing dlq.runs.commands 0",
        expect![[r#"
            created run_1
            created run_2
            created run_3
            ann holds 0/0 (attempt 1), 0/1 (attempt 1), 0/2 (attempt 1)
            dead letter 0 of workers: max_attempts
            nacked
            dead letter 1 of workers: max_attempts
            nacked
            dead letter 2 of workers: max_attempts
            nacked
            job 1 started
            job 1 running: 3 of 3 moved, 0 ok, 0 dead, 0 gone, 3 waiting, 0 skipped
            run_1 is queued, replay 1, attempt 0, steps []
            1 0.0 run.created
            2 0.1 worker.received by ann
            3 0.1 run.attempt_failed: error
            4 0.1 run.dlq: max_attempts
            5 0.1 run.failed
            6 1.0 run.replay_requested []
            ann holds 0/3 (attempt 1), 0/4 (attempt 1), 0/5 (attempt 1)
            acked
            dead letter 4 of workers: max_attempts
            nacked
            cancelled
            job 1 done
            job 1 done: 3 of 3 moved, 1 ok, 1 dead, 1 gone, 0 waiting, 0 skipped
            replayed by eve because -, job 1
        "#]],
    );
}
