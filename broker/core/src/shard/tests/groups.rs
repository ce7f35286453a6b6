//! Queues that give the messages of a group to one consumer at a time.

use super::*;

fn grouped(limits: ShardLimits, change: impl FnOnce(&mut Settings)) -> Bench {
    Bench::set(limits, |settings| {
        settings.group_by = Some(ShortString::from("g"));
        change(settings);
    })
}

fn plain() -> Bench {
    grouped(ShardLimits::default(), |_| ())
}

impl Bench {
    fn with_prefetch(&mut self, id: u64, prefetch: u16) {
        self.consume(id, |consumer| consumer.prefetch = prefetch);
    }

    fn ack(&mut self, consumer: u64, number: u64) {
        self.settle(consumer, self.place(number), 1);
        self.dispatch();
    }

    fn back(&mut self, consumer: u64, number: u64, cause: ReturnCause) {
        let (queue, consumer) = (QUEUE, Some(ConsumerId(consumer)));
        let (first, count) = (self.sink.places[&number], 1);
        self.apply(Command::Requeue {
            queue,
            consumer,
            first,
            count,
            cause,
        });
    }

    fn get_number(&mut self) -> Option<u64> {
        let mut got = None;
        self.shard.get(QUEUE, false, &mut self.sink, |message| {
            got = Some((number(message.record), message.sequence));
        });
        self.shard.invariants();
        self.sink.places.extend(got);
        got.map(|(number, _)| number)
    }
}

#[test]
fn a_group_stays_with_who_holds_it_and_the_others_go_on() {
    let mut t = plain();
    t.with_prefetch(1, 1);
    t.with_prefetch(2, 1);
    t.headed("g", &["a", "a", "a", "b", "", "b"]);
    t.dispatch();
    t.expect(&["1 <- 0", "2 <- 3"]);
    t.ack(2, 3);
    t.expect(&["2 <- 4"]);
    t.ack(2, 4);
    t.expect(&["2 <- 5"]);
    t.ack(2, 5);
    t.expect(&[]);
    t.ack(1, 0);
    // Whoever is next may have it: it is nobody's now.
    t.expect(&["2 <- 1"]);
    t.ack(2, 1);
    t.expect(&["1 <- 2"]);
    t.expect_counts(0, 1);
}

#[test]
fn a_consumer_gets_more_of_its_group_within_its_prefetch() {
    let mut t = plain();
    t.with_prefetch(1, 2);
    t.with_prefetch(2, 2);
    t.headed("g", &["a", "a", "a", "b"]);
    t.dispatch();
    t.expect(&["1 <- 0", "1 <- 1", "2 <- 3"]);
    t.ack(1, 1);
    t.expect(&["1 <- 2"]);
}

#[test]
fn what_comes_back_keeps_its_place_in_its_group() {
    let mut t = plain();
    t.with_prefetch(1, 2);
    t.headed("g", &["a", "a", "a", "b"]);
    t.dispatch();
    t.expect(&["1 <- 0", "1 <- 1"]);
    t.back(1, 0, ReturnCause::GivenBack);
    t.with_prefetch(2, 9);
    t.dispatch();
    // 1 is still held: 0 goes to who holds it, and 2 not before.
    t.expect(&["1 <- 0 again", "2 <- 3"]);
    t.apply(Command::Gone { outlet: ConnectionId(1) });
    t.back(1, 1, ReturnCause::Lost);
    t.dispatch();
    t.expect(&[]);
    t.back(1, 0, ReturnCause::Lost);
    t.dispatch();
    t.expect(&["2 <- 0 again", "2 <- 1 again", "2 <- 2"]);
}

#[test]
fn deliveries_without_acknowledgement_hold_nothing() {
    let mut t = plain();
    t.consume(1, |consumer| consumer.no_ack = true);
    t.consume(2, |consumer| consumer.no_ack = true);
    t.headed("g", &["a", "a", "a", "a"]);
    t.dispatch();
    t.expect(&["1 <- 0", "2 <- 1", "1 <- 2", "2 <- 3"]);
}

#[test]
fn who_gets_a_message_by_basic_get_holds_its_group() {
    let mut t = plain();
    t.headed("g", &["a", "a", "b", "b"]);
    assert_eq!([t.get_number(), t.get_number(), t.get_number()], [Some(0), Some(2), None]);
    t.expect_counts(2, 2);
    t.with_prefetch(1, 9);
    t.dispatch();
    t.expect(&[]);
    let (queue, first, count) = (QUEUE, Sequence(t.place(2)), 1);
    t.apply(Command::Settle {
        queue,
        consumer: None,
        first,
        count,
    });
    t.dispatch();
    t.expect(&["1 <- 3"]);
}

#[test]
fn what_was_skipped_expires_is_dropped_and_purged() {
    let mut t = grouped(ShardLimits::default(), |settings| {
        settings.message_ttl_ms = Some(100);
        settings.dead_letter = dead_letters();
        settings.length_max = Some(3);
    });
    t.with_prefetch(1, 1);
    t.with_prefetch(2, 2);
    t.advance(1000);
    t.headed("g", &["a", "a", "b"]);
    t.dispatch();
    t.expect(&["1 <- 0", "2 <- 2"]);
    t.advance(1100);
    t.expect(&["dead 1: expired"]);
    t.headed("g", &["a", "a", "a", "a", "b"]);
    t.dispatch();
    t.expect(&["2 <- 7", "dead 3: maxlen"]);
    assert_eq!(t.shard.purge(QUEUE, &mut t.sink), 3);
    t.shard.invariants();
    t.headed("g", &["a"]);
    t.ack(1, 0);
    t.expect(&["1 <- 8"]);
}

#[test]
fn a_retry_that_waits_holds_its_group_back() {
    let mut t = grouped(ShardLimits::default(), |settings| {
        settings.retry = Some(Retry {
            of: RetryOf::All,
            min_ms: 100,
            max_ms: 100,
            multiplier_percent: None,
        });
    });
    t.advance(1000);
    t.with_prefetch(1, 1);
    t.with_prefetch(2, 1);
    t.headed("g", &["a", "a", "b"]);
    t.dispatch();
    t.expect(&["1 <- 0", "2 <- 2"]);
    t.back(1, 0, ReturnCause::GivenBack);
    t.dispatch();
    t.expect(&[]);
    t.advance(1100);
    t.expect(&["1 <- 0 again after 1"]);
}

#[test]
fn priorities_go_before_the_order_within_a_group() {
    let mut t = grouped(ShardLimits::default(), |settings| settings.priority_max = Some(1));
    t.with_prefetch(1, 1);
    t.headed("g", &["a", "a", "+a", "b", "+b"]);
    t.dispatch();
    t.expect(&["1 <- 2"]);
    for (settled, next) in [(2, 4), (4, 0), (0, 1), (1, 3)] {
        t.ack(1, settled);
        t.expect(&[&*format!("1 <- {next}")]);
    }
}

#[test]
fn scanning_stops_where_too_many_were_skipped_and_goes_on_when_some_went() {
    let limits = ShardLimits {
        skipped_max: 2,
        ..ShardLimits::default()
    };
    let mut t = grouped(limits, |_| ());
    t.with_prefetch(1, 1);
    t.with_prefetch(2, 1);
    t.headed("g", &["a", "a", "a", "a", "b"]);
    t.dispatch();
    t.expect(&["1 <- 0"]);
    t.ack(1, 0);
    t.expect(&["2 <- 1"]);
    t.ack(2, 1);
    t.expect(&["1 <- 2", "2 <- 4"]);
    t.ack(1, 2);
    t.expect(&["1 <- 3"]);
}

#[test]
fn lines_of_messages_that_are_gone_do_not_grow() {
    let mut t = grouped(ShardLimits::default(), |settings| settings.message_ttl_ms = Some(100));
    t.with_prefetch(1, 1);
    t.with_prefetch(2, 1);
    t.advance(1000);
    for round in 0..100 {
        t.headed("g", &["a"; 10]);
        t.advance(1100 + 100 * round);
    }
    assert!(t.shard.queues[&QUEUE].waiting_lines() < 200);
}

#[test]
fn messages_are_found_again_on_disk() {
    let mut t = grouped(
        ShardLimits {
            memory_bytes_max: 20_000,
            ..ShardLimits::default()
        },
        |_| (),
    );
    t.with_prefetch(1, 1);
    t.with_prefetch(2, 1);
    let groups = ["a", "b"].repeat(600);
    t.headed("g", &groups);
    t.collect();
    t.dispatch();
    t.stored();
    t.sink.lines.retain(|line| !line.starts_with("store"));
    t.load_all();
    t.expect(&["1 <- 0", "2 <- 1"]);
    for number in 0..1198 {
        let consumer = 1 + number % 2;
        t.ack(consumer, number);
        t.stored();
        t.load_all();
        let delivered: Vec<_> = t.sink.lines.drain(..).filter(|line| line.contains("<-")).collect();
        assert_eq!(delivered, [format!("{consumer} <- {}", number + 2)]);
    }
}

#[test]
fn a_restart_knows_no_holders() {
    let mut t = plain();
    t.with_prefetch(1, 1);
    t.headed("g", &["a", "a", "a"]);
    t.dispatch();
    let log = t.collect_log();
    let mut t = t.restart(&[&log]);
    t.with_prefetch(2, 2);
    t.dispatch();
    t.expect(&["2 <- 0 again", "2 <- 1 again"]);
}

#[test]
fn a_policy_begins_and_ends_it() {
    let mut t = Bench::set(ShardLimits::default(), |_| ());
    let set = |t: &mut Bench, header: Option<&str>| {
        let settings = Settings {
            group_by: header.map(ShortString::from),
            ..Settings::default()
        };
        t.shard.configure(QUEUE, Some(Arc::new(settings)));
        t.dispatch();
    };
    t.with_prefetch(1, 1);
    t.with_prefetch(2, 1);
    set(&mut t, Some("g"));
    t.headed("g", &["a", "a", "a"]);
    t.dispatch();
    t.expect(&["1 <- 0"]);
    set(&mut t, None);
    // It was passed over, which is as if it had come back.
    t.expect(&["2 <- 1 again"]);
}
