//! Messages whose time runs out: of the queue's and of their own, anywhere in the queue, in memory or not, before and after a restart.

use super::*;

fn limited(ttl_ms: Option<u64>) -> Bench {
    let mut t = Bench::set(ShardLimits::default(), |settings| {
        settings.message_ttl_ms = ttl_ms;
        settings.dead_letter = dead_letters();
    });
    t.advance(1000);
    t
}

#[test]
fn a_message_expires_on_time_wherever_it_is() {
    let mut t = limited(None);
    t.timed(&[None, Some(1500), None, Some(1200), Some(9000)]);
    assert_eq!(t.next_due(), Some(1200));
    t.advance(1199);
    t.expect(&[]);
    t.advance(1200);
    t.expect(&["dead 3: expired"]);
    assert_eq!(t.next_due(), Some(1500));
    t.advance(1600);
    t.expect(&["dead 1: expired"]);
    t.expect_all_counts(3, 0, 0, 2);
    t.consume(7, |_| {});
    t.dispatch();
    t.expect(&["7 <- 0", "7 <- 2", "7 <- 4"]);
    t.expect_all_counts(0, 3, 0, 2);
}

#[test]
fn the_queue_s_limit_and_the_message_s_own_the_shorter_counts() {
    let mut t = limited(Some(100));
    t.timed(&[None, Some(1050), Some(5000)]);
    assert_eq!(t.next_due(), Some(1050));
    t.advance(1050);
    t.expect(&["dead 1: expired"]);
    t.advance(1100);
    t.expect(&["dead 0: expired", "dead 2: expired"]);
    assert_eq!(t.next_due(), None);
}

#[test]
fn without_a_dead_letter_exchange_they_are_gone() {
    let mut t = Bench::set(ShardLimits::default(), |settings| settings.message_ttl_ms = Some(10));
    t.advance(1000);
    t.publish(300);
    assert!(!t.collect_log().is_empty());
    t.checkpoint();
    t.sink.lines.clear();
    t.advance(1010);
    t.expect_all_counts(0, 0, 0, 0);
    t.expect(&["forget 0", "forget 256"]);
    assert_eq!(t.collect(), ["settled 0..300"]);
}

#[test]
fn nothing_late_is_delivered_even_if_the_timer_is_late() {
    let mut t = limited(None);
    t.consume(7, |consumer| consumer.prefetch = 1);
    t.timed(&[None, Some(1100), Some(1101), None]);
    t.dispatch();
    t.expect(&["7 <- 0"]);
    // The clock goes on, and the next thing that happens is room for another message.
    t.shard.advance(Millis(1101));
    t.settle(7, 0, 1);
    t.dispatch();
    t.expect(&["7 <- 2", "dead 1: expired"]);
    t.shard.advance(Millis(9999));
    assert_eq!(t.get(true), Ok((3, false)));
}

#[test]
fn with_no_time_at_all_it_is_delivered_at_once_or_never() {
    let mut t = limited(Some(0));
    t.consume(7, |consumer| consumer.prefetch = 2);
    t.publish(3);
    t.dispatch();
    t.expect(&["7 <- 0 1", "dead 2: expired"]);
}

#[test]
fn unacked_messages_do_not_expire_but_returned_ones_do() {
    let mut t = limited(Some(100));
    t.publish(3);
    t.consume(7, |consumer| consumer.prefetch = 2);
    t.dispatch();
    t.advance(2000);
    t.expect(&["7 <- 0 1", "dead 2: expired"]);
    assert_eq!(t.next_due(), None);
    t.give_back(0, ReturnCause::GivenBack);
    t.dispatch();
    t.expect(&["dead 0: expired"]);
    t.expect_all_counts(0, 1, 0, 2);
}

#[test]
fn what_is_on_disk_is_loaded_when_it_is_due() {
    let mut t = Bench::set(
        ShardLimits {
            memory_bytes_max: 20_000,
            ..ShardLimits::default()
        },
        |settings| settings.dead_letter = dead_letters(),
    );
    t.advance(1000);
    let dues: Vec<_> = (0..2000).map(|number| (number % 500 == 77).then_some(2000)).collect();
    t.timed(&dues);
    t.collect_log();
    t.dispatch();
    t.stored();
    t.sink.lines.clear();
    t.advance(1999);
    t.expect(&[]);
    t.shard.advance(Millis(2000));
    t.dispatch();
    t.load_all();
    t.sink.lines.sort();
    t.sink.lines.retain(|line| line.starts_with("dead"));
    t.expect(&["dead 1077: expired", "dead 1577: expired", "dead 577: expired", "dead 77: expired"]);
    t.expect_all_counts(1996, 0, 0, 4);
    assert_eq!(t.next_due(), None);
    t.answer(true);
    t.expect_all_counts(1996, 0, 0, 0);
}

#[test]
fn a_restart_knows_what_is_due_without_reading_messages() {
    let mut t = limited(None);
    t.timed(&[None, Some(1500), Some(2500)]);
    let first = t.collect_log();
    t.checkpoint();
    t.timed(&[Some(1400)]);
    let second = t.collect_log();
    for commits in [&[&first[..], &second[..]][..], &[&second]] {
        let mut next = t.restart(commits);
        assert_eq!(next.next_due(), Some(1400));
        next.advance(1450);
        next.expect(&["dead 3: expired"]);
        next.advance(1500);
        next.load_all();
        next.expect(&["dead 1: expired"]);
        assert_eq!(next.next_due(), Some(2500));
    }
}

#[test]
fn a_chunk_on_disk_with_messages_out_of_it_is_looked_at_after_a_restart() {
    let mut t = limited(None);
    t.timed(&[Some(1500); 256]);
    t.timed(&[Some(9000)]);
    let first = t.collect_log();
    t.consume(7, |_| {});
    t.dispatch();
    t.settle(7, 0, 1);
    t.checkpoint();
    // The chunk leaves memory; the time of what the consumer holds is not known then.
    let mut next = t.restart(&[&first]);
    next.advance(1400);
    next.expect(&[]);
    next.advance(1500);
    next.load_all();
    next.expect_all_counts(1, 0, 0, 255);
}

#[test]
fn what_comes_back_when_its_time_is_over_is_not_delivered_again() {
    let mut t = limited(Some(0));
    t.consume(7, |consumer| consumer.prefetch = 2);
    t.publish(2);
    t.dispatch();
    t.expect(&["7 <- 0 1"]);
    // At the same moment another arrives, for which there is room.
    t.requeue(7, 0, 1);
    t.publish(1);
    t.dispatch();
    t.expect(&["7 <- 2", "dead 0: expired"]);
    t.requeue(7, 1, 2);
    t.dispatch();
    t.expect(&["dead 1 2: expired"]);
    t.expect_all_counts(0, 0, 0, 3);
}

#[test]
fn what_comes_back_while_its_chunk_is_looked_at_expires_too() {
    let mut t = Bench::set(
        ShardLimits {
            memory_bytes_max: 1,
            ..ShardLimits::default()
        },
        |settings| settings.dead_letter = dead_letters(),
    );
    t.advance(1000);
    t.timed(&[Some(1200), Some(1500)]);
    assert_eq!(t.get(false), Ok((0, false)));
    t.collect_log();
    t.dispatch();
    t.stored();
    t.sink.lines.clear();
    t.shard.advance(Millis(1500));
    t.dispatch();
    t.expect(&["load 0"]);
    t.requeue(7, 0, 1);
    t.load(0);
    t.dispatch();
    t.expect(&["dead 0 1: expired"]);
}

#[test]
fn a_backlog_on_disk_leaves_in_order_however_it_is_loaded() {
    for reversed in [false, true] {
        let mut t = Bench::set(
            ShardLimits {
                memory_bytes_max: 20_000,
                ..ShardLimits::default()
            },
            |settings| settings.dead_letter = dead_letters(),
        );
        t.advance(1000);
        t.timed(&[Some(2000); 2000]);
        t.collect_log();
        t.dispatch();
        t.stored();
        t.sink.lines.clear();
        t.advance(2000);
        let loads = |line: &String| line.strip_prefix("load ")?.parse().ok();
        let mut wanted: Vec<u64> = t.sink.lines.iter().filter_map(loads).collect();
        assert!(wanted.len() > 3, "much of it is on disk: {wanted:?}");
        assert_eq!(t.sink.letters, [(Sequence(0), 256)], "the tail, which is in memory, waits");
        if reversed {
            wanted.reverse();
        }
        t.sink.lines.clear();
        for chunk in wanted {
            t.load(chunk);
            t.dispatch();
        }
        t.load_all();
        assert!(t.sink.letters.is_sorted_by_key(|(first, _)| *first), "reversed: {reversed}");
        assert_eq!(t.sink.letters.iter().map(|(_, count)| count).sum::<u32>(), 2000);
        t.answer(true);
        t.expect_all_counts(0, 0, 0, 0);
    }
}

#[test]
fn nobody_waits_for_a_chunk_that_is_gone() {
    let mut t = Bench::set(
        ShardLimits {
            memory_bytes_max: 20_000,
            ..ShardLimits::default()
        },
        |settings| settings.dead_letter = dead_letters(),
    );
    t.advance(1000);
    t.timed(&[Some(2000); 2000]);
    t.collect_log();
    t.dispatch();
    t.stored();
    t.sink.lines.clear();
    t.advance(2000);
    assert_eq!(t.sink.letters, [(Sequence(0), 256)]);
    // The next is found damaged, the others are purged: only what has died is there.
    t.sink.chunks.remove(&Sequence(256));
    t.load(256);
    t.shard.purge(QUEUE, &mut t.sink);
    t.shard.invariants();
    t.dispatch();
    let dead = t.shard.counts(QUEUE).map(|counts| counts.dead);
    t.load_all();
    assert_eq!(dead, Some(u64::from(t.sink.letters.iter().map(|(_, count)| count).sum::<u32>())));
    t.answer(true);
    t.expect_all_counts(0, 0, 0, 0);
}
