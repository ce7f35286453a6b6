//! What a group commit writes and what a checkpoint gives to the store.

use super::*;

#[test]
fn what_came_and_went_between_two_commits_is_never_written() {
    let mut t = Bench::durable();
    t.publish(5);
    t.consume(1, |_| {});
    t.dispatch();
    t.settle(1, 1, 3);
    assert!(t.shard.is_dirty());
    assert_eq!(t.collect(), ["messages 0..1", "messages 4..5"]);
    assert!(!t.shard.is_dirty());
    t.settle(1, 0, 1);
    t.settle(1, 4, 1);
    assert_eq!(t.collect(), ["settled 0..1", "settled 4..5"]);
    t.publish(3);
    t.dispatch();
    t.settle(1, 5, 3);
    assert_eq!(t.collect(), [""; 0]);
}

#[test]
fn a_commit_has_what_came_since_the_last_one() {
    let mut t = Bench::durable();
    t.publish(250);
    assert_eq!(t.collect(), ["messages 0..250"]);
    t.publish(10);
    assert_eq!(t.collect(), ["messages 250..256", "messages 256..260"]);
    assert_eq!(t.collect(), [""; 0]);
}

#[test]
fn transient_messages_and_those_in_queues_that_are_not_durable_are_not_written() {
    let mut t = Bench::durable();
    t.transient(3);
    assert!(!t.shard.is_dirty());
    t.run(|number| if number % 2 == 1 { flags::PERSISTENT } else { 0 }, 4, 8);
    t.publish(2);
    assert_eq!(t.collect(), ["messages 3..4", "messages 5..6", "messages 7..9"]);
    let mut t = Bench::new(ShardLimits::default(), false);
    t.publish(3);
    t.consume(1, |_| {});
    t.dispatch();
    t.settle(1, 0, 1);
    assert_eq!(t.collect(), [""; 0]);
    t.expect(&["1 <- 0..3"]);
    t.checkpoint();
    t.expect(&[]);
}

#[test]
fn settlements_are_joined_in_whatever_order_they_come() {
    let mut t = Bench::durable();
    t.publish(300);
    t.collect();
    t.consume(1, |_| {});
    t.dispatch();
    for first in (0..100).rev().map(|n| 3 * n) {
        t.settle(1, first, 3);
    }
    assert_eq!(t.collect(), ["settled 0..300"]);
}

#[test]
fn deliveries_without_ack_are_settlements() {
    let mut t = Bench::durable();
    t.publish(3);
    t.collect();
    t.consume(1, |consumer| consumer.no_ack = true);
    t.dispatch();
    assert_eq!(t.collect(), ["settled 0..3"]);
}

#[test]
fn a_checkpoint_stores_what_only_the_journal_has() {
    let mut t = Bench::durable();
    t.publish(300);
    t.collect();
    t.checkpoint();
    t.expect(&["store 0..256", "store 256..300", "head 300"]);
    t.checkpoint();
    t.expect(&[]);
    t.publish(1);
    t.checkpoint();
    t.expect(&["store 256..301", "head 301"]);
}

#[test]
fn a_checkpoint_stores_changed_entries_and_nothing_that_is_settled() {
    let mut t = Bench::durable();
    t.publish(600);
    t.collect();
    t.checkpoint();
    t.stored();
    t.expect(&["store 0..256", "store 256..512", "store 512..600", "head 600"]);
    t.consume(1, |_| {});
    t.dispatch();
    t.settle(1, 10, 1);
    t.settle(1, 12, 1);
    t.settle(1, 256, 256);
    t.publish(200);
    t.dispatch();
    t.settle(1, 512, 288);
    t.expect(&[
        "1 <- 0..256",
        "1 <- 256..512",
        "1 <- 512..600",
        "forget 256",
        "1 <- 600..768",
        "1 <- 768..800",
        "forget 512",
    ]);
    t.checkpoint();
    t.expect(&["entry 0", "head 800"]);
    assert_eq!(
        t.collect(),
        ["settled 10..11", "settled 12..13", "settled 256..600"],
        "600 to 800 were never written"
    );
}

#[test]
fn what_a_checkpoint_has_stored_before_it_was_collected_is_logged_when_it_is_settled() {
    let mut t = Bench::durable();
    t.publish(3);
    t.checkpoint();
    t.expect(&["store 0..3", "head 3"]);
    t.consume(1, |_| {});
    t.dispatch();
    t.settle(1, 0, 2);
    t.expect(&["1 <- 0..3"]);
    assert_eq!(t.collect(), ["messages 2..3", "settled 0..2"]);
}

#[test]
fn a_settlement_outlives_its_chunk() {
    let mut t = Bench::durable();
    t.publish(3);
    t.collect();
    t.checkpoint();
    t.consume(1, |_| {});
    t.dispatch();
    t.settle(1, 0, 3);
    t.checkpoint();
    t.expect(&["store 0..3", "head 3", "1 <- 0..3", "forget 0", "head 3"]);
    assert_eq!(t.collect(), ["settled 0..3"]);
}
