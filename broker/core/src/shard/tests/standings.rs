//! What came back, waits or is dead, and a restart.

use super::*;

fn counting(change: impl FnOnce(&mut Settings)) -> Bench {
    let mut t = Bench::set(ShardLimits::default(), |settings| {
        settings.counts_deliveries = true;
        settings.dead_letter = dead_letters();
        change(settings);
    });
    t.advance(1000);
    t
}

/// What a first consumer gets after a restart, and what is handed out as dead.
fn found(t: &mut Bench) -> Vec<String> {
    t.advance(1000);
    t.load_all();
    t.consume(7, |_| {});
    t.dispatch();
    t.load_all();
    std::mem::take(&mut t.sink.lines)
}

#[test]
fn the_journal_hears_of_attempts_and_returns() {
    let mut t = counting(|_| {});
    t.publish(6);
    assert_eq!(t.collect(), ["messages 0..6"]);
    t.consume(7, |consumer| consumer.prefetch = 5);
    t.dispatch();
    t.settle(7, 1, 1);
    assert_eq!(t.collect(), ["under way 0..1: 1", "under way 2..5: 1", "settled 1..2"]);
    t.shard.cancel(QUEUE, ConsumerId(7), &mut t.sink);
    t.give_back(2, ReturnCause::GivenBack);
    t.give_back(3, ReturnCause::Lost);
    t.give_back(4, ReturnCause::Undelivered);
    assert_eq!(t.collect(), ["returned 2..4: 1"]);
    assert_eq!(t.collect(), [""; 0]);
    t.reject(0);
    assert_eq!(t.collect(), ["dead 0..1: rejected"]);
    t.dispatch();
    t.answer(true);
    assert_eq!(t.collect(), ["settled 0..1"]);
}

#[test]
fn a_queue_that_does_not_count_writes_nothing_of_it() {
    let mut t = Bench::durable();
    t.publish(3);
    t.collect();
    t.consume(7, |_| {});
    t.dispatch();
    assert_eq!(t.collect(), [""; 0]);
    t.requeue(7, 0, 3);
    assert_eq!(t.collect(), [""; 0]);
    let mut t = counting(|_| {});
    t.run(|_| 0, 3, 8);
    t.consume(7, |_| {});
    t.dispatch();
    assert_eq!(t.collect(), [""; 0], "transient messages do not come back");
}

#[test]
fn counts_go_on_after_a_restart() {
    for checkpoint in [false, true] {
        let mut t = counting(|settings| settings.delivery_limit = Some(2));
        t.publish(8);
        let mut log = t.collect_log();
        t.consume(7, |consumer| consumer.prefetch = 6);
        t.dispatch();
        // 0 came back twice, 1 once; 2 and 3 are under way; 4 had its last attempt; 5 was settled.
        t.shard.cancel(QUEUE, ConsumerId(7), &mut t.sink);
        t.settle(7, 5, 1);
        let once = |t: &mut Bench, number| {
            t.give_back(number, ReturnCause::Lost);
            assert_eq!(t.get(false), Ok((number, true)));
        };
        once(&mut t, 4);
        once(&mut t, 4);
        t.give_back(1, ReturnCause::GivenBack);
        once(&mut t, 0);
        t.give_back(0, ReturnCause::Lost);
        log.extend(t.collect_log());
        if checkpoint {
            t.checkpoint();
            log.clear();
        }
        let mut next = t.restart(&[&log]);
        let expected = [
            "dead 4: delivery_limit",
            "7 <- 0 again after 2",
            "7 <- 1 2 3 again after 1",
            "7 <- 6 7 again",
        ];
        assert_eq!(found(&mut next), expected, "checkpoint: {checkpoint}");
        next.expect_all_counts(0, 6, 0, 1);
        // And once more: what was under way then is counted, and the table knows what was there before.
        log.extend(next.collect_log());
        next.checkpoint();
        let mut last = next.restart(&[]);
        let expected = [
            "dead 0 : delivery_limit",
            "dead 4: delivery_limit",
            "7 <- 1 2 3 again after 2",
            "7 <- 6 7 again after 1",
        ];
        let mut lines = found(&mut last);
        lines.sort();
        let mut expected = expected.map(|line| line.replace(" :", ":"));
        expected.sort();
        assert_eq!(lines, expected);
    }
}

#[test]
fn a_replay_that_the_table_is_ahead_of_takes_nothing_back() {
    let mut t = counting(|_| {});
    t.publish(2);
    let first = t.collect_log();
    t.consume(7, |_| {});
    t.dispatch();
    let second = t.collect_log();
    t.give_back(0, ReturnCause::GivenBack);
    t.dispatch();
    t.give_back(0, ReturnCause::GivenBack);
    t.settle(7, 1, 1);
    t.checkpoint();
    for commits in [
        &[&first[..], &second[..]][..],
        &[&second, &second],
        &[&first, &second, &first, &second],
    ] {
        assert_eq!(found(&mut t.restart(commits)), ["7 <- 0 again after 2"]);
    }
}

#[test]
fn the_dead_are_handed_out_again() {
    for checkpoint in [false, true] {
        let mut t = Bench::set(ShardLimits::default(), |settings| settings.dead_letter = dead_letters());
        t.advance(1000);
        t.publish(5);
        t.consume(7, |_| {});
        t.dispatch();
        t.reject(1);
        t.reject(3);
        t.dispatch();
        let mut log = t.collect_log();
        if checkpoint {
            t.checkpoint();
            log.clear();
        }
        let mut next = t.restart(&[&log]);
        next.expect_all_counts(3, 0, 0, 2);
        assert_eq!(
            found(&mut next),
            [
                "dead 1: rejected",
                "dead 3: rejected",
                "7 <- 0 again",
                "7 <- 2 again",
                "7 <- 4 again"
            ]
        );
        next.answer(true);
        next.settle(7, 0, 5);
        next.expect_all_counts(0, 0, 0, 0);
        // Without an exchange for them they just go.
        let mut none = t.restart(&[&log]);
        none.shard.configure(QUEUE, None);
        none.dispatch();
        none.load_all();
        none.expect_all_counts(3, 0, 0, 0);
    }
}

#[test]
fn what_was_delayed_is_until_its_time() {
    for checkpoint in [false, true] {
        let mut t = counting(|settings| {
            settings.retry = Some(Retry {
                of: RetryOf::All,
                min_ms: 100,
                max_ms: 1000,
                multiplier_percent: None,
            });
        });
        t.publish(4);
        t.consume(7, |_| {});
        t.dispatch();
        t.give_back(1, ReturnCause::GivenBack);
        t.give_back(2, ReturnCause::GivenBack);
        assert_eq!(
            t.collect(),
            [
                "messages 0..4",
                "under way 0..1: 1",
                "delayed 1..3: 1 until 1100",
                "under way 3..4: 1"
            ]
        );
        t.give_back(0, ReturnCause::GivenBack);
        t.settle(7, 3, 1);
        t.checkpoint();
        let log = if checkpoint { Vec::new() } else { t.collect_log() };
        let mut next = t.restart(&[&log]);
        next.expect_all_counts(0, 0, 3, 0);
        next.advance(1050);
        next.publish(1);
        next.consume(7, |_| {});
        next.dispatch();
        next.load_all();
        next.expect(&["7 <- 4"]);
        assert_eq!(next.next_due(), Some(1100));
        next.advance(1100);
        next.load_all();
        next.expect(&["7 <- 0 1 2 again after 1"]);
        next.settle(7, 0, 5);
        next.expect_all_counts(0, 0, 0, 0);
        // A purge reaches them.
        let mut purged = t.restart(&[&log]);
        assert_eq!(purged.shard.purge(QUEUE, &mut purged.sink), 3);
        purged.shard.invariants();
        purged.advance(1100);
        purged.expect_all_counts(0, 0, 0, 0);
    }
}

#[test]
fn what_a_full_queue_dropped_is_not_back() {
    let mut t = Bench::set(ShardLimits::default(), |settings| {
        settings.length_max = Some(2);
        settings.dead_letter = dead_letters();
    });
    t.advance(1000);
    t.publish(4);
    t.dispatch();
    t.expect(&["dead 0 1: maxlen"]);
    let log = t.collect_log();
    assert_eq!(read_log(&log), ["messages 0..4", "dead 0..2: maxlen"]);
    let mut next = t.restart(&[&log]);
    next.expect_all_counts(2, 0, 0, 2);
    next.shard.configure(QUEUE, t.settings.clone());
    assert_eq!(found(&mut next), ["dead 0 1: maxlen", "7 <- 2 3 again"]);
}
