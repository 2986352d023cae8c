//! Promises of the whole engine that no other file holds, each by its number.

use crate::harness::{World, claim, message, told};
use driftq_core::*;

const TEN_YEARS_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1_000;

#[test]
fn p12_a_start_reads_what_is_behind_the_checkpoint_whatever_the_history() {
    let records_at_start = |messages: u64| {
        let mut world = World::with_checkpoints_every(60_000);
        world.topic("orders");
        for _ in 0..messages {
            world.produce("orders", "m").expect("stored");
        }
        let world = world.killed();
        assert!(world.recovery.checkpoint > 0, "{:?}", world.recovery);
        let topic = world.writer.state().topic(&crate::harness::topic("orders")).expect("it is there");
        assert_eq!(topic.partitions[0].len(), messages);
        world.recovery.records
    };
    // The tail is as long as the checkpoints are apart; ten times the history makes it no longer.
    let (short, long) = (records_at_start(3_000), records_at_start(30_000));
    assert!(short < 3_000 && long < 3_000, "{short} and {long} records were read");
}

#[test]
fn p12_many_short_lives_do_not_add_up_to_a_long_start() {
    let mut world = World::with_checkpoints_every(60_000);
    world.topic("orders");
    for _ in 0..40 {
        for _ in 0..100 {
            world.produce("orders", "m").expect("stored");
        }
        world = world.killed();
        world.settle();
    }
    assert!(world.recovery.records < 2_000, "{:?}", world.recovery);
}

#[test]
fn p20_a_jump_of_the_wall_clock_moves_no_lease_and_no_backoff() {
    for jump in [TEN_YEARS_MS as i64, -(TEN_YEARS_MS as i64)] {
        let mut world = World::new();
        world.clock.jump_wall(WallTime(2 * TEN_YEARS_MS));
        world.topic("orders");
        for value in ["leased", "failed"] {
            world.produce("orders", value).expect("stored");
        }
        let poll = world.poll("orders", 0);
        world.ask(poll).expect("leased").take_all();
        fail(&mut world, 1, Millis(1_500));
        world.clock.jump_wall(WallTime((2 * TEN_YEARS_MS).saturating_add_signed(jump)));
        world.pass(1_499);
        assert_eq!(due(&mut world), [], "a jump of {jump} ms ended a lease or a backoff early");
        world.pass(1);
        assert_eq!(due(&mut world), [(1, 2)], "the backoff of 1,500 ms is over");
        world.pass(499);
        assert_eq!(due(&mut world), [], "a jump of {jump} ms ended a lease early");
        world.pass(1);
        assert_eq!(due(&mut world), [(0, 2)], "the lease of 2,000 ms is over");
    }
}

#[test]
fn p20_a_restart_stretches_no_lease_past_its_full_length_from_that_start() {
    for jump in [TEN_YEARS_MS, 0] {
        let mut world = World::new();
        world.clock.jump_wall(WallTime(TEN_YEARS_MS));
        world.topic("orders");
        world.produce("orders", "m").expect("stored");
        let poll = world.poll("orders", 0);
        world.ask(poll).expect("leased").take_all();
        world.clock.jump_wall(WallTime(jump));
        let mut world = world.killed();
        world.settle();
        world.pass(2_000);
        assert_eq!(due(&mut world), [(0, 2)], "two seconds after the start no lease of two seconds is left");
    }
}

#[test]
fn p20_a_delay_and_a_deadline_follow_the_wall_clock() {
    let mut world = World::new();
    world.topic("orders");
    let wall = world.writer.state().wall;
    let delayed = Produce { due: Due::At(wall.after(Millis(TEN_YEARS_MS))), ..message("orders", "delayed") };
    let broker = world.broker.clone();
    world.ask(async move { broker.produce(vec![delayed]).await }).expect("stored");
    assert_eq!(due(&mut world), []);
    world.clock.jump_wall(wall.after(Millis(TEN_YEARS_MS + 1)));
    world.pass(1);
    assert_eq!(due(&mut world), [(0, 1)]);
}

/// Offsets and attempts of what is due now; it is leased then.
fn due(world: &mut World) -> Vec<(u64, u32)> {
    let poll = world.poll("orders", 0);
    let mut taken = world.ask(poll).expect("answered");
    let told = told(&taken);
    taken.take_all();
    told
}

fn fail(world: &mut World, offset: u64, retry_after: Millis) {
    let broker = world.broker.clone();
    let nack = Nack {
        claim: claim("orders", "ann", offset),
        error: ErrorInfo { message: "boom".into(), kind: None, stack: None },
        retry_after: Some(retry_after),
        retryable: true,
    };
    world.ask(async move { broker.nack(nack).await }).expect("nacked");
}
