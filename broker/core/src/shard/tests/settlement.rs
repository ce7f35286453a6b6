//! Acks and returns: what is settled is gone, what comes back goes to its old place, and nothing happens twice.

use super::*;

/// Ten messages, delivered.
fn delivered() -> Bench {
    let mut t = Bench::durable();
    t.publish(10);
    t.consume(1, |_| {});
    t.dispatch();
    t.expect(&["1 <- 0..10"]);
    t
}

#[test]
fn what_comes_back_goes_to_its_old_place_and_is_marked() {
    let mut t = delivered();
    t.publish(2);
    t.requeue(1, 7, 2);
    t.requeue(1, 2, 1);
    t.requeue(1, 3, 2);
    t.expect_counts(7, 5);
    t.dispatch();
    t.expect(&["1 <- 2..5 again", "1 <- 7..9 again", "1 <- 10..12"]);
}

#[test]
fn settling_in_any_order_and_again_settles_once() {
    let mut t = delivered();
    for (first, count, unacked) in [
        (3, 2, 8),
        (4, 3, 6),
        (3, 4, 6),
        (0, 3, 3),
        (9, 1, 2),
        (9, 50, 2),
        (7, 2, 0),
        (0, 10, 0),
    ] {
        t.settle(1, first, count);
        t.expect_counts(0, unacked);
    }
    assert_eq!(t.shard.counts(QUEUE).map(|counts| counts.bytes), Some(0));
}

#[test]
fn what_is_ready_cannot_be_settled_or_returned() {
    let mut t = delivered();
    t.publish(5);
    t.requeue(1, 0, 3);
    t.settle(1, 0, 15);
    t.expect_counts(8, 0);
    t.requeue(1, 0, 15);
    t.expect_counts(8, 0);
    assert_eq!(t.get(true), Ok((0, true)));
}

#[test]
fn runs_across_chunks() {
    let mut t = Bench::durable();
    t.publish(700);
    t.consume(1, |_| {});
    t.dispatch();
    t.expect(&["1 <- 0..256", "1 <- 256..512", "1 <- 512..700"]);
    t.settle(1, 100, 500);
    t.expect_counts(0, 200);
    t.requeue(1, 0, 700);
    t.expect_counts(200, 0);
    t.dispatch();
    t.expect(&["1 <- 0..100 again", "1 <- 600..700 again"]);
}

#[test]
fn a_connection_that_closes_gives_everything_back() {
    let mut t = delivered();
    t.settle(1, 3, 2);
    t.apply(Command::Gone { outlet: ConnectionId(1) });
    t.requeue(1, 0, 3);
    t.requeue(1, 5, 5);
    t.expect_counts(8, 0);
    t.consume(2, |_| {});
    t.dispatch();
    t.expect(&["2 <- 0..3 again", "2 <- 5..10 again"]);
}
