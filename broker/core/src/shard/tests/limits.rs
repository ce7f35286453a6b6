//! How much a queue may hold, and what becomes of what is above that.

use super::*;

fn limited(change: impl FnOnce(&mut Settings)) -> Bench {
    Bench::set(ShardLimits::default(), |settings| {
        settings.dead_letter = dead_letters();
        change(settings);
    })
}

#[test]
fn messages_at_the_head_make_room() {
    let mut t = limited(|settings| settings.length_max = Some(3));
    t.publish(5);
    t.dispatch();
    t.expect(&["dead 0 1: maxlen"]);
    t.publish(1);
    t.dispatch();
    t.expect(&["dead 2: maxlen"]);
    t.consume(7, |consumer| consumer.prefetch = 1);
    t.dispatch();
    t.expect(&["7 <- 3"]);
    t.publish(1);
    t.dispatch();
    // What a consumer holds does not count.
    t.expect(&[]);
    t.expect_all_counts(3, 1, 0, 3);
    // But what comes back does, and it is the head.
    t.give_back(3, ReturnCause::Undelivered);
    t.shard.cancel(QUEUE, ConsumerId(7), &mut t.sink);
    t.dispatch();
    t.expect(&["dead 3: maxlen"]);
}

#[test]
fn who_can_take_messages_gets_them_before_any_are_dropped() {
    let mut t = limited(|settings| settings.length_max = Some(0));
    t.consume(7, |consumer| consumer.prefetch = 2);
    t.publish(3);
    t.dispatch();
    t.expect(&["7 <- 0 1", "dead 2: maxlen"]);
}

#[test]
fn octets_are_those_of_ready_bodies() {
    let mut t = limited(|settings| settings.bytes_max = Some(100));
    t.run(|_| 0, 3, 30);
    t.dispatch();
    t.expect(&[]);
    t.run(|_| 0, 1, 11);
    t.dispatch();
    t.expect(&["dead 0: maxlen"]);
    t.run(|_| 0, 1, 200);
    t.dispatch();
    t.expect(&["dead 1 2 3 4: maxlen"]);
    t.expect_all_counts(0, 0, 0, 5);
}

#[test]
fn the_highest_priority_is_dropped_first() {
    let mut t = limited(|settings| {
        settings.length_max = Some(3);
        settings.priority_max = Some(9);
    });
    t.prioritized(&[1, 5, 1, 5, 1]);
    t.dispatch();
    t.expect(&["dead 1 3: maxlen"]);
}

#[test]
fn new_messages_are_refused() {
    for (overflow, dead_letter) in [
        (Overflow::RejectPublish, ""),
        (Overflow::RejectPublishDeadLetter, ", dead-lettered"),
    ] {
        let mut t = limited(|settings| {
            settings.length_max = Some(3);
            settings.bytes_max = Some(100);
            settings.overflow = overflow;
        });
        t.publish(5);
        t.expect(&[&format!("no room for 3 4{dead_letter}")]);
        t.consume(7, |consumer| consumer.prefetch = 4);
        // The first four make room at once, by going out.
        t.publish(5);
        t.expect(&["7 <- 0 1 2", "7 <- 5", &format!("no room for 9{dead_letter}")]);
        t.settle(7, 0, 3);
        t.dispatch();
        t.expect(&["7 <- 6 7 8"]);
        t.run(|_| 0, 3, 45);
        t.expect(&[&format!("no room for 12{dead_letter}")]);
        t.expect_all_counts(2, 4, 0, 0);
    }
}

#[test]
fn a_limit_that_comes_later_applies_at_once_and_in_portions() {
    let mut t = Bench::set(
        ShardLimits {
            dispatch_records_max: 100,
            ..ShardLimits::default()
        },
        |settings| settings.dead_letter = dead_letters(),
    );
    t.publish(1000);
    let mut settings = Settings::clone(t.settings.as_ref().expect("settings"));
    settings.length_max = Some(10);
    t.shard.configure(QUEUE, Some(Arc::new(settings.clone())));
    assert!(t.shard.dispatch(&mut t.sink));
    t.expect_all_counts(900, 0, 0, 100);
    t.dispatch();
    t.expect_all_counts(10, 0, 0, 990);
    settings.bytes_max = Some(16);
    t.shard.configure(QUEUE, Some(Arc::new(settings)));
    t.dispatch();
    t.expect_all_counts(2, 0, 0, 998);
}

#[test]
fn octets_are_known_after_a_restart_and_on_disk() {
    let mut t = Bench::set(
        ShardLimits {
            memory_bytes_max: 20_000,
            ..ShardLimits::default()
        },
        |settings| settings.bytes_max = Some(100_000),
    );
    t.run(|_| flags::PERSISTENT, 1000, 90);
    let log = t.collect_log();
    t.checkpoint();
    t.stored();
    let mut next = t.restart(&[&log]);
    next.sink.lines.clear();
    next.run(|_| flags::PERSISTENT, 111, 90);
    next.dispatch();
    next.expect_all_counts(1111, 0, 0, 0);
    next.run(|_| flags::PERSISTENT, 1, 90);
    next.dispatch();
    next.load_all();
    next.expect_all_counts(1111, 0, 0, 0);
    assert_eq!(next.get(true).map(|(number, _)| number), Ok(1));
}
