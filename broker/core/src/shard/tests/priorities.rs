//! Queues with priorities: strict order, first in first out within a priority, restarts.

use super::*;

fn prioritized(max: u8) -> Bench {
    Bench::set(ShardLimits::default(), |settings| settings.priority_max = Some(max))
}

#[test]
fn the_highest_goes_first_and_in_order_within_a_priority() {
    type Case<'a> = (u8, &'a [u8], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (5, &[0, 5, 0, 5, 3], &["7 <- 1 3", "7 <- 4", "7 <- 0 2"]),
        (5, &[4, 9, 200, 5], &["7 <- 1 2 3", "7 <- 0"]),
        (0, &[1, 0, 255], &["7 <- 0 1 2"]),
        (255, &[254, 255, 0], &["7 <- 1", "7 <- 0", "7 <- 2"]),
        (255, &[0, 0, 0], &["7 <- 0 1 2"]),
    ];
    for (max, priorities, expected) in cases {
        let mut t = prioritized(*max);
        t.prioritized(priorities);
        t.expect_counts(priorities.len() as u64, 0);
        t.consume(7, |_| {});
        t.dispatch();
        t.expect(expected);
    }
}

#[test]
fn what_comes_back_is_in_front_of_its_priority_only() {
    let mut t = prioritized(9);
    t.prioritized(&[1, 1, 2, 2]);
    t.consume(7, |consumer| consumer.prefetch = 3);
    t.dispatch();
    t.expect(&["7 <- 2 3", "7 <- 0"]);
    t.prioritized(&[2]);
    t.requeue(7, t.place(2), 1);
    t.dispatch();
    t.expect(&["7 <- 2 again"]);
    t.requeue(7, t.place(0), 1);
    t.dispatch();
    t.expect(&["7 <- 4"]);
    t.settle(7, t.place(2), 2);
    t.dispatch();
    t.expect(&["7 <- 0 again", "7 <- 1"]);
    t.expect_counts(0, 3);
}

#[test]
fn a_restart_finds_every_priority_again() {
    let mut t = prioritized(255);
    let priorities: Vec<u8> = (0..=255).chain(0..=255).chain([7, 255, 7]).collect();
    t.prioritized(&priorities[..512]);
    let first = t.collect_log();
    t.checkpoint();
    t.prioritized(&priorities[512..]);
    let second = t.collect_log();
    for commits in [&[&first[..], &second[..]][..], &[&second]] {
        let mut next = t.restart(commits);
        next.expect_counts(515, 0);
        let mut expected: Vec<u64> = (0..515).collect();
        expected.sort_by_key(|&number| std::cmp::Reverse(priorities[number as usize]));
        for number in expected {
            let got = loop {
                match next.get(true) {
                    Err(GetOutcome::Loading) => {
                        let chunk = next.sink.lines.pop().expect("a load");
                        next.load(chunk.trim_start_matches("load ").parse().expect("a chunk"));
                    }
                    got => break got,
                }
            };
            assert_eq!(got, Ok((number, true)));
        }
        next.expect_counts(0, 0);
        next.sink.lines.clear();
        // Positions go on where they were: nothing is taken for what is gone.
        next.prioritized(&[200, 3]);
        let third = next.collect_log();
        let again = next.restart(&[&first, &second, &third]);
        again.expect_counts(2, 0);
    }
}

#[test]
fn purging_and_deleting_concern_every_priority() {
    let mut t = prioritized(200);
    t.prioritized(&(0..=255).collect::<Vec<u8>>());
    t.collect_log();
    t.checkpoint();
    t.sink.lines.clear();
    assert_eq!(t.shard.purge(QUEUE, &mut t.sink), 256);
    t.shard.invariants();
    t.expect_counts(0, 0);
    assert!(t.sink.chunks.is_empty());
    t.prioritized(&[0, 200, 3]);
    t.checkpoint();
    assert_eq!(t.shard.delete(QUEUE, false, false, &mut t.sink), Ok(3));
    t.shard.invariants();
    assert!(t.sink.chunks.is_empty() && t.sink.index.is_empty());
}
