//! Spaces: tuples that are taken and read by template. A tuple here is a record of one field, `k`, and has a number, as any message of these tests.

use super::*;
use crate::settings::SpaceTerms;
use crate::shard::{Inquired, Inquiry, Seek};
use crate::space::{Intent, Template};

fn space_with(limits: ShardLimits, change: impl FnOnce(&mut Settings)) -> Bench {
    let mut settings = Settings {
        space: Some(SpaceTerms::default()),
        ..Settings::default()
    };
    change(&mut settings);
    let mut t = Bench::of(limits, true, Some(Arc::new(settings)));
    t.sink.by_number = true;
    t.advance(1000);
    t
}

fn space() -> Bench {
    space_with(ShardLimits::default(), |_| ())
}

/// Hardly any memory.
fn small() -> Bench {
    let limits = ShardLimits {
        memory_bytes_max: 20_000,
        ..ShardLimits::default()
    };
    space_with(limits, |_| ())
}

/// A template in JSON; an empty text is any.
fn template(json: &str) -> Arc<Template> {
    Arc::new(match json {
        "" => Template::any(),
        json => Template::from_json(json.as_bytes()).expect("a sound template"),
    })
}

fn take(json: &str) -> Seek {
    Seek {
        template: template(json),
        ..Seek::default()
    }
}

fn read(json: &str) -> Seek {
    Seek {
        intent: Intent::Read,
        ..take(json)
    }
}

fn follow(json: &str) -> Seek {
    Seek {
        follow: true,
        ..read(json)
    }
}

impl Bench {
    fn out(&mut self, values: &[&str]) {
        self.headed("k", values);
        self.dispatch();
    }

    fn seek(&mut self, id: u64, seek: Seek) {
        self.seek_as(id, seek, |_| ());
    }

    fn seek_as(&mut self, id: u64, seek: Seek, change: impl FnOnce(&mut Consumer)) {
        let mut consumer = Consumer {
            id: ConsumerId(id),
            outlet: ConnectionId(id),
            ..self.consumer()
        };
        change(&mut consumer);
        assert_eq!(self.shard.seek(QUEUE, consumer, seek), Ok(()));
        self.shard.invariants();
        self.dispatch();
    }

    fn ack_of(&mut self, consumer: u64, number: u64) {
        self.settle(consumer, self.place(number), 1);
        self.dispatch();
    }

    fn nack_of(&mut self, consumer: u64, number: u64) {
        self.requeue(consumer, self.place(number), 1);
        self.dispatch();
    }

    /// Takes or reads the next tuple without waiting for one.
    fn inquire(&mut self, inquiry: &mut Inquiry, intent: Intent) -> Result<u64, Inquired> {
        let mut got = None;
        let look = |message: crate::shard::Got<'_>| got = Some((number(message.record), message.sequence));
        let outcome = match intent {
            Intent::Take => self.shard.take_tuple(QUEUE, inquiry, false, &mut self.sink, look),
            Intent::Read => self.shard.read_tuple(QUEUE, inquiry, &mut self.sink, look),
        };
        self.shard.invariants();
        self.sink.places.extend(got);
        got.map(|(number, _)| number).ok_or(outcome)
    }

    fn inp(&mut self, json: &str) -> Result<u64, Inquired> {
        self.inquire(&mut Inquiry::new(template(json)), Intent::Take)
    }

    fn count(&mut self, json: &str) -> u64 {
        let (mut inquiry, mut count) = (Inquiry::new(template(json)), 0);
        loop {
            match self.shard.count_tuples(QUEUE, &mut inquiry, &mut count, &mut self.sink) {
                Inquired::End => return count,
                Inquired::Loading => self.load_all(),
                Inquired::Pausing => {}
                Inquired::Found => panic!("counting hands nothing over"),
            }
        }
    }
}

#[test]
fn a_taker_gets_the_oldest_match_and_then_what_comes() {
    let mut t = space();
    t.out(&["a", "b", "a"]);
    t.seek(1, take(r#"{"k":"a"}"#));
    t.expect(&["1 <- 0", "1 <- 2"]);
    t.out(&["b", "a"]);
    t.expect(&["1 <- 4"]);
    t.expect_counts(2, 3);
    t.ack_of(1, 2);
    t.expect_counts(2, 2);
    t.nack_of(1, 0);
    t.expect(&["1 <- 0 again"]);
}

#[test]
fn one_taker_gets_a_tuple_and_all_readers_copies_of_it_before() {
    let mut t = space();
    t.seek(1, take(r#"{"k":"a"}"#));
    t.seek(2, take(r#"{"k":{"?":"string"}}"#));
    t.seek(3, follow(""));
    t.seek(4, follow(r#"{"k":"b"}"#));
    t.out(&["a"]);
    t.expect(&["3 <- 0", "1 <- 0"]);
    t.out(&["b"]);
    t.expect(&["3 <- 1", "4 <- 1", "2 <- 1"]);
    t.expect_counts(0, 2);
    t.nack_of(1, 0);
    t.expect(&["3 <- 0 again", "1 <- 0 again"]);
}

#[test]
fn takers_are_served_in_the_order_in_which_they_began_to_wait() {
    let mut t = space();
    for id in 1..=3 {
        t.seek_as(id, take(r#"{"k":"a"}"#), |consumer| consumer.prefetch = 1);
    }
    t.out(&["a"]);
    t.expect(&["1 <- 0"]);
    t.ack_of(1, 0);
    t.out(&["a", "a", "a", "a"]);
    t.expect(&["2 <- 1", "3 <- 2", "1 <- 3"]);
    t.ack_of(3, 2);
    t.expect(&["3 <- 4"]);
}

#[test]
fn who_has_what_it_wants_is_cancelled() {
    let mut t = space();
    t.out(&["a", "b"]);
    t.seek(1, Seek { max: Some(1), ..take("") });
    t.expect(&["1 <- 0", "cancelled 1 of 1"]);
    t.seek(2, read(""));
    t.expect(&["2 <- 1", "cancelled 2 of 1"]);
    t.seek(3, Seek { max: Some(2), ..read("") });
    t.expect(&["3 <- 1"]);
    t.out(&["c"]);
    t.expect(&["3 <- 2", "cancelled 3 of 1"]);
    t.expect_counts(2, 1);
    assert_eq!(t.shard.counts(QUEUE).map(|counts| counts.consumers), Some(0));
}

#[test]
fn who_does_not_wait_or_waits_in_vain_is_cancelled() {
    let mut t = space();
    let at_once = |seek| Seek {
        timeout_ms: Some(0),
        ..seek
    };
    t.seek(1, at_once(take(r#"{"k":"a"}"#)));
    t.expect(&["cancelled 1 of 1"]);
    t.seek(
        2,
        Seek {
            timeout_ms: Some(50),
            ..take(r#"{"k":"a"}"#)
        },
    );
    assert_eq!(t.next_due(), Some(1050));
    t.advance(1049);
    t.expect(&[]);
    t.advance(1051);
    t.expect(&["cancelled 2 of 1"]);
    t.out(&["a"]);
    t.expect(&[]);
    // What somebody holds may come back.
    assert_eq!(t.inp(r#"{"k":"a"}"#), Ok(0));
    t.seek(3, at_once(take(r#"{"k":"a"}"#)));
    t.expect(&["cancelled 3 of 1"]);
    let patient = |json| Seek {
        wait_held: true,
        ..at_once(take(json))
    };
    t.seek(4, patient(r#"{"k":"a"}"#));
    t.seek(5, patient(r#"{"k":"b"}"#));
    t.expect(&["cancelled 5 of 1"]);
    t.nack_of(7, 0);
    t.expect(&["4 <- 0 again"]);
    t.seek(6, patient(r#"{"k":"a"}"#));
    t.expect(&[]);
    t.ack_of(4, 0);
    t.expect(&["cancelled 4 of 1", "cancelled 6 of 1"]);
}

#[test]
fn who_cannot_take_is_passed_over_and_searches_again_later() {
    let mut t = space();
    t.seek_as(1, take(""), |consumer| consumer.prefetch = 1);
    t.seek(2, take(r#"{"k":"b"}"#));
    t.out(&["a", "b", "a"]);
    t.expect(&["1 <- 0", "2 <- 1"]);
    t.expect_counts(1, 2);
    t.ack_of(1, 0);
    t.expect(&["1 <- 2"]);
    // A channel's credit.
    let mut t = space();
    t.sink.credit = Some(1);
    t.seek_as(1, take(""), |consumer| consumer.limited = true);
    t.out(&["a", "b"]);
    t.expect(&["1 <- 0", "refused 1"]);
    t.sink.credit = Some(5);
    let (outlet, channel) = (ConnectionId(1), 1);
    t.apply(Command::Lend { outlet, channel });
    t.dispatch();
    t.expect(&["1 <- 1"]);
    // An outlet's window.
    let mut t = space_with(
        ShardLimits {
            window_bytes: 100,
            ..ShardLimits::default()
        },
        |_| (),
    );
    t.seek(1, take(""));
    t.out(&["a", "b"]);
    t.expect(&["1 <- 0", "stalled 1"]);
    t.seek(2, take(""));
    t.expect(&["2 <- 1"]);
    t.out(&["c"]);
    t.expect(&["stalled 2"]);
    t.resume(1);
    t.dispatch();
    t.expect(&["1 <- 2"]);
}

#[test]
fn a_reader_that_follows_misses_nothing() {
    let mut t = space();
    t.out(&["a", "b", "a"]);
    assert_eq!(t.inp(r#"{"k":"a"}"#), Ok(0));
    t.seek_as(1, follow(""), |consumer| consumer.prefetch = 2);
    t.expect(&["1 <- 1", "1 <- 2"]);
    // It comes back, and others come, while the reader cannot take them.
    t.nack_of(9, 0);
    t.out(&["c"]);
    t.expect(&[]);
    let copies = QUEUE.copies();
    let settle = |t: &mut Bench, number: u64| {
        let (first, consumer) = (t.sink.places[&number], Some(ConsumerId(1)));
        t.apply(Command::Settle {
            queue: copies,
            consumer,
            first,
            count: 1,
        });
        t.dispatch();
    };
    settle(&mut t, 1);
    t.expect(&["1 <- 0 again"]);
    settle(&mut t, 2);
    t.expect(&["1 <- 3"]);
    // Settling copies settles nothing.
    t.expect_counts(4, 0);
}

#[test]
fn those_who_do_not_wait_walk_from_the_oldest_on() {
    let mut t = space();
    t.out(&["a", "b", "a", "c"]);
    let mut inquiry = Inquiry::new(template(r#"{"k":{"in":["a","c"]}}"#));
    let all: Vec<_> = std::iter::from_fn(|| t.inquire(&mut inquiry, Intent::Read).ok()).collect();
    assert_eq!(all, [0, 2, 3]);
    assert_eq!((t.count(""), t.count(r#"{"k":"a"}"#), t.count(r#"{"k":"d"}"#)), (4, 2, 0));
    assert_eq!(t.inp(r#"{"k":"a"}"#), Ok(0));
    assert_eq!((t.inp(r#"{"k":"a"}"#), t.inp(r#"{"k":"a"}"#)), (Ok(2), Err(Inquired::End)));
    assert_eq!(t.get(true), Ok((1, false)));
    t.expect_counts(1, 2);
    assert_eq!(t.count(""), 1);
}

#[test]
fn tuples_go_by_time_and_by_limits_as_messages_do() {
    let mut t = space_with(ShardLimits::default(), |settings| settings.message_ttl_ms = Some(50));
    t.out(&["a", "b"]);
    assert_eq!(t.inp(r#"{"k":"a"}"#), Ok(0));
    t.advance(1051);
    t.expect_counts(0, 1);
    assert_eq!(t.inp(""), Err(Inquired::End));
    t.nack_of(9, 0);
    t.expect_counts(0, 0);
    let mut t = space_with(ShardLimits::default(), |settings| settings.length_max = Some(2));
    t.out(&["a", "b", "c"]);
    assert_eq!(t.inp(r#"{"k":"a"}"#), Err(Inquired::End));
    assert_eq!(t.inp(""), Ok(1));
    let mut t = space_with(ShardLimits::default(), |settings| settings.dead_letter = dead_letters());
    t.out(&["a"]);
    assert_eq!(t.inp(""), Ok(0));
    t.reject(0);
    t.dispatch();
    t.expect(&["dead 0: rejected"]);
    assert_eq!((t.inp(""), t.count("")), (Err(Inquired::End), 0));
    t.answer(true);
    t.expect_counts(0, 0);
}

#[test]
fn tuples_on_disk_are_found_through_the_index() {
    let mut t = small();
    let values: Vec<String> = (0..2000).map(|n| format!("v{}", n % 50)).collect();
    for values in values.chunks(20) {
        t.out(&values.iter().map(String::as_str).collect::<Vec<_>>());
        t.collect_log();
        t.dispatch();
        t.stored();
    }
    assert!(t.shard.resident_bytes() < 60_000, "{}", t.shard.resident_bytes());
    t.sink.lines.clear();
    assert_eq!(t.inp(r#"{"k":"v7"}"#), Err(Inquired::Loading));
    t.load_all();
    assert_eq!(t.inp(r#"{"k":"v7"}"#), Ok(7));
    assert_eq!(t.count(r#"{"k":"v7"}"#), 39);
    t.sink.lines.clear();
    t.seek(
        1,
        Seek {
            max: Some(3),
            ..take(r#"{"k":"v7"}"#)
        },
    );
    t.load_all();
    t.expect(&["1 <- 57", "1 <- 107", "1 <- 157", "cancelled 1 of 1"]);
    // While it waits for the disk it is told of what comes.
    t.dispatch();
    t.seek(
        2,
        Seek {
            max: Some(1),
            ..take(r#"{"k":"v9"}"#)
        },
    );
    assert!(t.sink.lines.pop().is_some_and(|line| line.starts_with("load ")));
    t.out(&["v9"]);
    t.expect(&["2 <- 2000", "cancelled 2 of 1"]);
}

#[test]
fn the_index_comes_back_after_a_restart() {
    let mut t = space();
    t.out(&["a", "b", "c"]);
    let first = t.collect_log();
    t.checkpoint();
    t.out(&["a", "d"]);
    assert_eq!(t.inp(r#"{"k":"b"}"#), Ok(1));
    t.settle(0, 1, 1);
    let second = t.collect_log();
    for commits in [&[&first[..], &second[..]][..], &[&second[..]]] {
        let mut t = t.restart(commits);
        t.advance(1000);
        assert_eq!((t.count(""), t.count(r#"{"k":"a"}"#), t.count(r#"{"k":"b"}"#)), (4, 2, 0));
        t.seek(1, take(r#"{"k":"a"}"#));
        t.load_all();
        t.expect(&["1 <- 0 again", "1 <- 3 again"]);
    }
}

#[test]
fn a_tuple_replaces_the_one_with_its_key() {
    let argument = Value::from("k");
    let mut t = space_with(ShardLimits::default(), |settings| {
        settings.space = Some(SpaceTerms {
            key: crate::space::key_fields(&argument).expect("a field"),
            ..SpaceTerms::default()
        });
    });
    t.out(&["a", "b", "a"]);
    t.expect(&["replaced"]);
    assert_eq!((t.count(""), t.count(r#"{"k":"a"}"#)), (2, 1));
    assert_eq!(t.inp(r#"{"k":"a"}"#), Ok(2));
    // Somebody holds it: when that one comes back there is a newer one.
    t.out(&["a"]);
    t.expect(&["replaced"]);
    assert_eq!(t.inp(r#"{"k":"a"}"#), Ok(3));
    t.nack_of(9, 2);
    assert_eq!(t.inp(r#"{"k":"a"}"#), Err(Inquired::End));
    t.nack_of(9, 3);
    t.expect_counts(2, 0);
    // A restart knows the keys.
    let log = t.collect_log();
    let mut t = t.restart(&[&log]);
    t.advance(1000);
    t.out(&["b", "c"]);
    t.expect(&["replaced"]);
    t.expect_counts(3, 0);
}

#[test]
fn no_more_may_wait_than_the_limits_allow() {
    let mut t = space_with(
        ShardLimits {
            waiters: crate::space::WaiterLimits {
                waiters_max: 1,
                ..Default::default()
            },
            tuples: crate::space::IndexLimits {
                entries_octets_max: 1,
                ..Default::default()
            },
            ..ShardLimits::default()
        },
        |_| (),
    );
    t.seek(1, take(""));
    let another = Consumer {
        id: ConsumerId(2),
        ..t.consumer()
    };
    let error = t.shard.seek(QUEUE, another, take("")).expect_err("one waits already");
    assert_eq!(error.to_string(), "1 wait in the space already, which is as many as may");
    t.shard.cancel(QUEUE, ConsumerId(1), &mut t.sink);
    t.out(&["a"]);
    t.out(&["b"]);
    t.expect(&["no room for 1"]);
}
