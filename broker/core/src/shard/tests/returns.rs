//! Messages that come back: counted, limited, delayed.

use super::*;

const CAUSES: [ReturnCause; 3] = [ReturnCause::Undelivered, ReturnCause::GivenBack, ReturnCause::Lost];

fn counting(change: impl FnOnce(&mut Settings)) -> Bench {
    let mut t = Bench::set(ShardLimits::default(), |settings| {
        settings.counts_deliveries = true;
        settings.dead_letter = dead_letters();
        change(settings);
    });
    t.advance(1000);
    t.consume(7, |_| {});
    t
}

#[test]
fn every_return_after_an_attempt_counts() {
    let mut t = counting(|_| {});
    t.publish(4);
    t.dispatch();
    t.expect(&["7 <- 0 1 2 3"]);
    for (number, cause) in CAUSES.into_iter().enumerate() {
        t.give_back(number as u64, cause);
    }
    t.dispatch();
    t.expect(&["7 <- 0 again", "7 <- 1 2 again after 1"]);
    t.give_back(1, ReturnCause::Lost);
    t.give_back(2, ReturnCause::Undelivered);
    t.dispatch();
    t.expect(&["7 <- 1 again after 2", "7 <- 2 again after 1"]);
}

#[test]
fn the_last_time_it_does_not_come_back() {
    for (limit, dead_after) in [(0, 1), (2, 3)] {
        let mut t = counting(|settings| settings.delivery_limit = Some(limit));
        t.publish(1);
        for _ in 0..dead_after {
            t.dispatch();
            assert_eq!(t.sink.letters, []);
            t.sink.lines.clear();
            t.give_back(0, ReturnCause::GivenBack);
        }
        t.dispatch();
        t.expect(&["dead 0: delivery_limit"]);
        t.expect_all_counts(0, 0, 0, 1);
    }
    let mut t = Bench::set(ShardLimits::default(), |settings| settings.delivery_limit = Some(0));
    t.publish(1);
    t.consume(7, |_| {});
    t.dispatch();
    t.give_back(0, ReturnCause::Lost);
    t.expect_all_counts(0, 0, 0, 0);
}

#[test]
fn what_came_back_waits_and_is_at_its_old_place_then() {
    let retry = |of| Retry {
        of,
        min_ms: 100,
        max_ms: 150,
        multiplier_percent: None,
    };
    for (of, waits) in [
        (RetryOf::All, [false, true, true]),
        (RetryOf::Failed, [false, false, true]),
        (RetryOf::Returned, [false, true, false]),
    ] {
        let mut t = counting(|settings| settings.retry = Some(retry(of)));
        t.publish(3);
        t.dispatch();
        t.sink.lines.clear();
        for (number, cause) in CAUSES.into_iter().enumerate() {
            t.give_back(number as u64, cause);
        }
        let delayed = waits.iter().filter(|&&waits| waits).count() as u64;
        t.expect_all_counts(3 - delayed, 0, delayed, 0);
        t.dispatch();
        t.sink.lines.clear();
        assert_eq!(t.next_due(), Some(1100));
        t.shard.cancel(QUEUE, ConsumerId(7), &mut t.sink);
        t.publish(1);
        t.advance(1100);
        t.expect_all_counts(1 + delayed, 3 - delayed, 0, 0);
        t.consume(7, |_| {});
        t.dispatch();
        let last = t.sink.lines.pop();
        assert_eq!(last.as_deref(), Some("7 <- 3"));
        // The second wait is longer, up to the maximum.
        let (number, cause) = if waits[1] {
            (1, ReturnCause::GivenBack)
        } else {
            (2, ReturnCause::Lost)
        };
        t.give_back(number, cause);
        assert_eq!(t.next_due(), Some(1250));
    }
}

#[test]
fn purging_reaches_what_waits() {
    let mut t = counting(|settings| {
        settings.retry = Some(Retry {
            of: RetryOf::All,
            min_ms: 100,
            max_ms: 150,
            multiplier_percent: Some(200),
        });
    });
    t.publish(3);
    t.dispatch();
    t.give_back(1, ReturnCause::GivenBack);
    assert_eq!(t.shard.purge(QUEUE, &mut t.sink), 1);
    t.expect_all_counts(0, 2, 0, 0);
    t.advance(1100);
    t.expect_all_counts(0, 2, 0, 0);
}
