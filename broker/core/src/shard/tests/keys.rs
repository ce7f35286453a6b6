//! Queues that keep the last value of each key, and queues that take no key twice.

use super::*;

fn last_value(change: impl FnOnce(&mut Settings)) -> Bench {
    Bench::set(ShardLimits::default(), |settings| {
        settings.last_value_key = Some(ShortString::from("k"));
        change(settings);
    })
}

fn deduplicating(limits: ShardLimits, change: impl FnOnce(&mut Settings)) -> Bench {
    Bench::set(limits, |settings| {
        settings.deduplicate_by = Some(ShortString::from("k"));
        change(settings);
    })
}

impl Bench {
    fn settle_number(&mut self, number: u64) {
        self.settle(7, self.place(number), 1);
    }

    /// What comes out, to a consumer that settles at once.
    fn drain(&mut self) -> String {
        self.sink.lines.clear();
        self.consume(99, |consumer| consumer.no_ack = true);
        self.dispatch();
        self.load_all();
        self.shard.cancel(QUEUE, ConsumerId(99), &mut self.sink);
        let lines = std::mem::take(&mut self.sink.lines);
        let delivered = lines.iter().filter_map(|line| line.strip_prefix("99 <-"));
        delivered.collect::<String>().replace(" again", "").trim().to_owned()
    }
}

#[test]
fn a_message_replaces_the_ready_one_with_its_key() {
    let cases: [(&[&str], &str); 6] = [
        (&["a", "b", "a"], "1 2"),
        (&["a", "a", "a", "a"], "3"),
        (&["", "a", "", "a", ""], "0 2 3 4"),
        (&["a", "b", "c"], "0 1 2"),
        (&["b", "a", "b", "a"], "2 3"),
        (&["", "", ""], "0 1 2"),
    ];
    for (values, expected) in cases {
        let mut t = last_value(|_| ());
        t.headed("k", values);
        assert_eq!(t.drain(), expected, "{values:?}");
        t.expect_counts(0, 0);
    }
}

#[test]
fn priorities_stay_and_a_newer_message_replaces_one_of_another_priority() {
    let mut t = last_value(|settings| settings.priority_max = Some(1));
    t.headed("k", &["+a", "b", "+b", "a", "c"]);
    assert_eq!(t.drain(), "2 3 4");
}

#[test]
fn what_was_replaced_is_not_dead_lettered_and_not_seen_again() {
    let mut t = last_value(|settings| settings.dead_letter = dead_letters());
    t.headed("k", &["a"]);
    t.collect();
    t.headed("k", &["a"]);
    t.expect(&["replaced"]);
    assert_eq!(t.shard.counts(QUEUE).map(|counts| counts.ready), Some(1));
    let log = t.collect_log();
    let mut t = t.restart(&[&log]);
    assert_eq!(t.drain(), "1");
}

#[test]
fn what_somebody_holds_is_settled_when_it_comes_back() {
    let mut t = last_value(|_| ());
    t.consume(7, |consumer| consumer.prefetch = 1);
    t.headed("k", &["a"]);
    t.dispatch();
    t.headed("k", &["a"]);
    t.expect(&["7 <- 0", "replaced"]);
    t.expect_counts(1, 1);
    t.give_back(0, ReturnCause::Lost);
    t.expect_counts(1, 0);
    t.dispatch();
    t.expect(&["7 <- 1"]);
    // The one that it holds is the newest: it comes back as any other.
    t.give_back(1, ReturnCause::GivenBack);
    t.dispatch();
    t.expect(&["7 <- 1 again"]);
}

#[test]
fn a_restart_brings_back_the_last_value_only() {
    for known in [false, true] {
        let mut t = last_value(|_| ());
        t.consume(7, |consumer| consumer.prefetch = 1);
        t.headed("k", &["a", "b"]);
        t.dispatch();
        let first = t.collect_log();
        if known {
            t.checkpoint();
        }
        t.headed("k", &["a"]);
        let second = t.collect_log();
        let mut after = t.restart(&[&first, &second]);
        assert_eq!(after.drain(), "1 2", "known to the table: {known}");
        // And the entry in the table says so, too.
        t.checkpoint();
        let mut after = t.restart(&[]);
        assert_eq!(after.drain(), "1 2");
    }
}

#[test]
fn keys_outlive_a_restart_without_a_message_being_read() {
    let mut t = last_value(|_| ());
    t.headed("k", &["a", "b", "c"]);
    t.collect();
    t.checkpoint();
    let mut t = t.restart(&[]);
    t.headed("k", &["b"]);
    t.expect(&["replaced"]);
    t.headed("k", &["c", "d"]);
    t.expect(&["replaced"]);
    t.expect_counts(4, 0);
    t.dispatch();
    t.consume(7, |consumer| consumer.no_ack = true);
    t.dispatch();
    t.load_all();
    t.expect(&["7 <- 0 again", "forget 0", "7 <- 3 4 5"]);
}

#[test]
fn what_waits_for_a_retry_is_replaced_too() {
    let mut t = last_value(|settings| {
        settings.retry = Some(Retry {
            of: RetryOf::All,
            min_ms: 100,
            max_ms: 100,
            multiplier_percent: None,
        });
    });
    t.advance(1000);
    t.headed("k", &["a"]);
    t.get(false).expect("a message");
    t.sink.places.insert(0, Sequence(0));
    t.give_back(0, ReturnCause::GivenBack);
    t.expect_all_counts(0, 0, 1, 0);
    t.headed("k", &["a"]);
    t.expect_all_counts(1, 0, 0, 0);
    t.advance(2000);
    assert_eq!(t.drain(), "1");
}

#[test]
fn a_key_that_is_there_is_not_taken_again() {
    let mut t = deduplicating(ShardLimits::default(), |_| ());
    t.headed("k", &["a", "b", "a", "", ""]);
    t.expect_counts(4, 0);
    t.consume(7, |_| ());
    t.dispatch();
    t.expect(&["7 <- 0 1 3 4"]);
    for (step, expected) in [("held", 0), ("settled", 1), ("there again", 0)] {
        t.headed("k", &["a"]);
        t.dispatch();
        assert_eq!(t.sink.lines.len(), expected, "{step}");
        t.sink.lines.clear();
        if step == "held" {
            t.settle_number(0);
        }
    }
}

#[test]
fn what_comes_back_is_no_duplicate_of_itself() {
    let mut t = deduplicating(ShardLimits::default(), |_| ());
    t.consume(7, |_| ());
    t.headed("k", &["a"]);
    t.dispatch();
    t.give_back(0, ReturnCause::Lost);
    t.headed("k", &["a"]);
    t.dispatch();
    t.expect(&["7 <- 0", "7 <- 0 again"]);
    t.expect_counts(0, 1);
}

#[test]
fn a_key_is_free_when_its_message_expires_or_dies() {
    let mut t = deduplicating(ShardLimits::default(), |settings| {
        settings.message_ttl_ms = Some(100);
        settings.dead_letter = dead_letters();
    });
    t.advance(1000);
    t.headed("k", &["a", "a"]);
    t.advance(1100);
    t.expect(&["dead 0: expired"]);
    t.headed("k", &["a", "a"]);
    t.expect_all_counts(1, 0, 0, 1);
    t.consume(7, |_| ());
    t.dispatch();
    t.reject(2);
    t.headed("k", &["a"]);
    t.dispatch();
    t.expect(&["7 <- 2", "7 <- 4", "dead 2: rejected"]);
    assert_eq!(t.shard.purge(QUEUE, &mut t.sink), 0);
}

#[test]
fn a_purge_frees_keys() {
    let mut t = deduplicating(ShardLimits::default(), |_| ());
    for round in 0..3 {
        t.headed("k", &["a", "b", "a"]);
        assert_eq!(t.shard.purge(QUEUE, &mut t.sink), 2, "round {round}");
        t.shard.invariants();
    }
}

#[test]
fn one_key_too_many_is_refused() {
    let limits = ShardLimits {
        keys_max: 2,
        ..ShardLimits::default()
    };
    let mut t = deduplicating(limits, |_| ());
    t.headed("k", &["a", "b", "c", "", "a"]);
    t.expect(&["no room for 2"]);
    t.expect_counts(3, 0);
    let mut t = Bench::set(limits, |settings| settings.last_value_key = Some(ShortString::from("k")));
    t.headed("k", &["a", "b", "c", "", "a"]);
    t.expect(&["no room for 2", "replaced"]);
    assert_eq!(t.drain(), "1 3 4");
}

#[test]
fn a_message_that_replaces_another_has_its_room() {
    let mut t = last_value(|settings| {
        settings.length_max = Some(2);
        settings.overflow = Overflow::RejectPublish;
    });
    t.headed("k", &["a", "b", "a", "c", "b"]);
    t.expect(&["replaced", "no room for 3", "replaced"]);
    assert_eq!(t.drain(), "2 4");
    let mut t = last_value(|settings| settings.length_max = Some(2));
    t.headed("k", &["a", "b", "a", "c"]);
    t.dispatch();
    assert_eq!(t.drain(), "2 3");
}

#[test]
fn messages_that_were_there_before_have_their_keys_from_then_on() {
    let mut t = Bench::set(ShardLimits::default(), |_| ());
    t.headed("k", &["a", "b", "a"]);
    let set = |t: &mut Bench, header: Option<&str>| {
        let settings = Settings {
            last_value_key: header.map(ShortString::from),
            ..Settings::default()
        };
        t.shard.configure(QUEUE, Some(Arc::new(settings)));
        t.shard.invariants();
    };
    set(&mut t, Some("k"));
    t.headed("k", &["a", "b"]);
    assert_eq!(
        t.shard.counts(QUEUE).map(|counts| counts.ready),
        Some(3),
        "0 stays, 1 and 2 are replaced"
    );
    set(&mut t, Some("other"));
    t.headed("k", &["a", "b"]);
    set(&mut t, None);
    t.headed("k", &["a"]);
    assert_eq!(t.drain(), "0 3 4 5 6 7");
}
