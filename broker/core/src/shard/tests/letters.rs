//! Messages that die: why, in what portions, what is answered, what a crash brings back.

use super::*;

fn lettered() -> Bench {
    let mut t = Bench::set(ShardLimits::default(), |settings| settings.dead_letter = dead_letters());
    t.advance(1000);
    t
}

#[test]
fn what_a_consumer_refuses_is_handed_out_and_gone_when_it_was_taken() {
    let mut t = lettered();
    t.publish(4);
    let first = t.collect_log();
    t.consume(7, |_| {});
    t.dispatch();
    t.reject(1);
    t.reject(2);
    t.expect_all_counts(0, 2, 0, 2);
    t.dispatch();
    t.expect(&["7 <- 0 1 2 3", "dead 1: rejected", "dead 2: rejected"]);
    // Nothing is settled yet: a crash brings it back, as dead where the journal had heard of that.
    let second = t.collect_log();
    assert_eq!(read_log(&second), ["dead 1..3: rejected"]);
    t.restart(&[&first]).expect_all_counts(4, 0, 0, 0);
    t.restart(&[&first, &second]).expect_all_counts(2, 0, 0, 2);
    t.answer(true);
    t.expect_all_counts(0, 2, 0, 0);
    assert_eq!(t.collect(), ["settled 1..3"]);
    // Settling what is gone or was dead does nothing.
    t.settle(7, 0, 4);
    t.expect_all_counts(0, 0, 0, 0);
}

#[test]
fn no_more_is_handed_out_than_may_be_under_way() {
    let limits = ShardLimits {
        letters_max: 2,
        ..ShardLimits::default()
    };
    let mut t = Bench::set(limits, |settings| settings.dead_letter = dead_letters());
    t.advance(1000);
    t.publish(7);
    t.consume(7, |_| {});
    t.dispatch();
    [0, 2, 4, 6].into_iter().for_each(|sequence| t.reject(sequence));
    assert!(!t.shard.dispatch(&mut t.sink), "nothing more can be done now");
    t.expect(&["7 <- 0 1 2 3 4 5 6", "dead 0: rejected", "dead 2: rejected"]);
    t.answer(true);
    t.dispatch();
    t.expect(&["dead 4: rejected", "dead 6: rejected"]);
    t.answer(true);
    t.expect_all_counts(0, 3, 0, 0);
}

#[test]
fn letters_of_a_queue_that_is_gone_are_under_way_until_they_are_answered() {
    let limits = ShardLimits {
        letters_max: 2,
        ..ShardLimits::default()
    };
    let mut t = Bench::set(limits, |settings| settings.dead_letter = dead_letters());
    t.advance(1000);
    t.timed(&[Some(1100), Some(1100), Some(1100)]);
    t.advance(1100);
    t.expect(&["dead 0 1 2: expired"]);
    t.shard.delete(QUEUE, false, false, &mut t.sink).expect("it is there");
    let queue = QueueId(2);
    t.shard.create(QueueSpec {
        id: queue,
        durable: true,
        auto_delete: false,
        settings: t.settings.clone(),
    });
    let mut run = Vec::new();
    Head {
        flags: flags::PERSISTENT,
        priority: 0,
        due: Some(Millis(1200)),
        envelope: b"\0\x01q",
        header: b"header",
    }
    .push(&mut run, &3u64.to_le_bytes());
    let records = Records { bytes: &run, count: 1 };
    t.apply(Command::Publish { queue, records });
    t.advance(1200);
    t.expect(&[]);
    t.answer(true);
    t.dispatch();
    t.expect(&["dead 3: expired"]);
}

#[test]
fn what_nobody_took_is_offered_again() {
    let mut t = lettered();
    t.publish(3);
    t.consume(7, |_| {});
    t.dispatch();
    t.reject(0);
    t.reject(2);
    t.dispatch();
    t.expect(&["7 <- 0 1 2", "dead 0: rejected", "dead 2: rejected"]);
    t.answer(false);
    assert_eq!(t.next_due(), Some(2000));
    t.advance(1999);
    t.expect(&[]);
    t.advance(2000);
    t.expect(&["dead 0: rejected", "dead 2: rejected"]);
    t.expect_all_counts(0, 1, 0, 2);
    t.answer(true);
    t.expect_all_counts(0, 1, 0, 0);
}

#[test]
fn without_a_dead_letter_exchange_refusing_is_settling() {
    let mut t = Bench::set(ShardLimits::default(), |_| {});
    t.publish(2);
    t.collect_log();
    t.consume(7, |_| {});
    t.dispatch();
    t.reject(0);
    t.expect_all_counts(0, 1, 0, 0);
    assert_eq!(t.collect(), ["settled 0..1"]);
}

#[test]
fn the_exchange_may_be_taken_away_meanwhile() {
    let mut t = lettered();
    t.publish(2);
    t.consume(7, |_| {});
    t.dispatch();
    t.reject(0);
    t.shard.configure(QUEUE, None);
    t.dispatch();
    t.expect(&["7 <- 0 1"]);
    t.expect_all_counts(0, 1, 0, 0);
}

#[test]
fn purging_leaves_the_dead_alone() {
    let mut t = lettered();
    t.timed(&[None, Some(1100), None, Some(1100), None]);
    t.advance(1100);
    t.expect(&["dead 1: expired", "dead 3: expired"]);
    assert_eq!(t.shard.purge(QUEUE, &mut t.sink), 3);
    t.shard.invariants();
    t.expect_all_counts(0, 0, 0, 2);
    t.publish(1);
    assert_eq!(t.get(true), Ok((5, false)));
    t.answer(true);
    t.expect_all_counts(0, 0, 0, 0);
}

#[test]
fn many_die_in_portions() {
    let mut t = Bench::set(
        ShardLimits {
            dispatch_records_max: 300,
            ..ShardLimits::default()
        },
        |settings| settings.dead_letter = dead_letters(),
    );
    t.advance(1000);
    t.timed(&[Some(1100); 2000]);
    t.shard.advance(Millis(1100));
    let mut rounds = 0;
    while t.shard.dispatch(&mut t.sink) {
        t.shard.invariants();
        rounds += 1;
    }
    assert!(rounds >= 3, "{rounds} rounds");
    assert_eq!(t.sink.letters.iter().map(|(_, count)| count).sum::<u32>(), 2000);
    t.answer(true);
    t.expect_all_counts(0, 0, 0, 0);
}
