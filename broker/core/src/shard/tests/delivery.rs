//! Who gets what: runs, turns, credit, windows, `basic.get`, consumers that come and go.

use super::*;

#[test]
fn one_consumer_gets_the_rest_of_a_chunk_at_once() {
    let mut t = Bench::durable();
    t.publish(300);
    t.consume(1, |_| {});
    t.dispatch();
    t.expect(&["1 <- 0..256", "1 <- 256..300"]);
    t.publish(2);
    t.dispatch();
    t.expect(&["1 <- 300..302"]);
    t.expect_counts(0, 302);
}

#[test]
fn several_consumers_take_turns_message_by_message() {
    let mut t = Bench::durable();
    t.consume(1, |_| {});
    t.consume(2, |consumer| consumer.no_ack = true);
    t.consume(3, |consumer| consumer.prefetch = 1);
    t.publish(6);
    t.dispatch();
    t.expect(&["1 <- 0..1", "2 <- 1..2", "3 <- 2..3", "1 <- 3..4", "2 <- 4..5", "1 <- 5..6"]);
    t.expect_counts(0, 4);
    t.settle(3, 2, 1);
    t.publish(3);
    t.dispatch();
    t.expect(&["2 <- 6..7", "1 <- 7..8", "3 <- 8..9"]);
}

#[test]
fn prefetch_bounds_what_a_consumer_holds() {
    let mut t = Bench::durable();
    t.consume(1, |consumer| consumer.prefetch = 3);
    t.publish(10);
    t.dispatch();
    t.expect(&["1 <- 0..3"]);
    t.settle(1, 1, 1);
    t.dispatch();
    t.expect(&["1 <- 3..4"]);
    t.requeue(1, 0, 1);
    t.settle(1, 2, 2);
    t.dispatch();
    t.expect(&["1 <- 0..1 again", "1 <- 4..6"]);
    t.expect_counts(4, 3);
}

#[test]
fn prefetch_means_nothing_without_acks() {
    let mut t = Bench::durable();
    t.consume(1, |consumer| (consumer.no_ack, consumer.prefetch) = (true, 1));
    t.publish(5);
    t.dispatch();
    t.expect(&["1 <- 0..5"]);
    t.expect_counts(0, 0);
}

#[test]
fn a_window_that_is_used_up_stalls_the_outlet_until_it_resumes() {
    // A record takes 12 + 3 + 6 + 8 octets, and 64 of the window besides.
    let mut t = Bench::new(
        ShardLimits {
            window_bytes: 2 * 93,
            ..ShardLimits::default()
        },
        true,
    );
    t.consume(1, |_| {});
    t.publish(5);
    t.dispatch();
    t.expect(&["1 <- 0..2", "stalled 1"]);
    t.dispatch();
    t.publish(1);
    t.dispatch();
    t.expect(&[]);
    t.resume(1);
    t.dispatch();
    t.expect(&["1 <- 2..4", "stalled 1"]);
    t.consume(2, |_| {});
    t.dispatch();
    t.expect(&["2 <- 4..6"]);
    t.resume(1);
    t.resume(3);
    t.publish(1);
    t.dispatch();
    t.expect(&["stalled 2", "1 <- 6..7"]);
}

#[test]
fn a_message_larger_than_the_window_goes_out_all_the_same() {
    let mut t = Bench::new(
        ShardLimits {
            window_bytes: 1000,
            ..ShardLimits::default()
        },
        true,
    );
    t.consume(1, |_| {});
    t.run(|_| 0, 2, 400_000);
    t.dispatch();
    t.expect(&["1 <- 0..1", "stalled 1"]);
    t.resume(1);
    t.dispatch();
    t.expect(&["1 <- 1..2"]);
}

#[test]
fn an_outlet_that_is_stalled_is_stalled_for_all_its_consumers() {
    let mut t = Bench::new(
        ShardLimits {
            window_bytes: 93,
            ..ShardLimits::default()
        },
        true,
    );
    t.consume(1, |_| {});
    t.consume(2, |consumer| consumer.outlet = ConnectionId(1));
    t.publish(4);
    t.dispatch();
    t.expect(&["1 <- 0..1", "stalled 1"]);
    t.resume(1);
    t.dispatch();
    t.expect(&["2 <- 1..2", "stalled 1"]);
}

#[test]
fn dispatch_is_bounded_and_says_that_there_is_more() {
    let mut t = Bench::new(
        ShardLimits {
            dispatch_records_max: 100,
            ..ShardLimits::default()
        },
        true,
    );
    t.publish(250);
    t.consume(1, |_| {});
    assert!(t.shard.dispatch(&mut t.sink));
    t.expect(&["1 <- 0..100"]);
    assert!(t.shard.dispatch(&mut t.sink));
    assert!(!t.shard.dispatch(&mut t.sink));
    t.expect(&["1 <- 100..200", "1 <- 200..250"]);
}

#[test]
fn large_messages_are_alone_in_their_chunks() {
    let mut t = Bench::new(
        ShardLimits {
            window_bytes: 1 << 30,
            ..ShardLimits::default()
        },
        true,
    );
    t.run(|_| 0, 2, 100_000);
    t.run(|_| 0, 1, 300_000);
    t.run(|_| 0, 3, 100_000);
    t.consume(1, |_| {});
    t.dispatch();
    t.expect(&["1 <- 0..2", "1 <- 2..3", "1 <- 3..5", "1 <- 5..6"]);
}

#[test]
fn get_takes_the_next_message() {
    let mut t = Bench::durable();
    assert_eq!(t.get(true), Err(GetOutcome::Empty));
    t.publish(3);
    assert_eq!(t.get(false), Ok((0, false)));
    assert_eq!(t.get(true), Ok((1, false)));
    t.expect_counts(1, 1);
    t.apply(Command::Requeue {
        queue: QUEUE,
        consumer: None,
        first: Sequence(0),
        count: 1,
        cause: crate::shard::ReturnCause::GivenBack,
    });
    assert_eq!(t.get(true), Ok((0, true)));
    assert_eq!(t.get(true), Ok((2, false)));
    t.expect_counts(0, 0);
    let unknown = t.shard.get(QueueId(2), true, &mut t.sink, |_| {});
    assert_eq!(unknown, GetOutcome::Empty);
}

#[test]
fn exclusive_consumers_are_alone() {
    let mut t = Bench::durable();
    t.consume(1, |_| {});
    assert_eq!(
        t.try_consume(2, |consumer| consumer.exclusive = true),
        Err(ConsumeError::ExclusiveUse)
    );
    assert!(t.shard.cancel(QUEUE, ConsumerId(1), &mut t.sink));
    assert!(!t.shard.cancel(QUEUE, ConsumerId(1), &mut t.sink));
    t.consume(2, |consumer| consumer.exclusive = true);
    assert_eq!(t.try_consume(3, |_| {}), Err(ConsumeError::ExclusiveUse));
    t.apply(Command::Gone { outlet: ConnectionId(2) });
    t.consume(3, |_| {});
    let unknown = Consumer {
        id: ConsumerId(9),
        ..t.consumer()
    };
    assert_eq!(t.shard.consume(QueueId(2), unknown), Err(ConsumeError::NotFound));
}

#[test]
fn what_a_cancelled_consumer_holds_stays_unacked() {
    let mut t = Bench::durable();
    t.publish(2);
    t.consume(1, |_| {});
    t.dispatch();
    assert!(t.shard.cancel(QUEUE, ConsumerId(1), &mut t.sink));
    t.publish(1);
    t.dispatch();
    t.expect(&["1 <- 0..2"]);
    t.expect_counts(1, 2);
    t.settle(1, 0, 2);
    t.expect_counts(1, 0);
}

#[test]
fn the_last_consumer_of_an_auto_delete_queue_is_told_of() {
    let mut t = Bench::durable();
    let id = QueueId(2);
    t.shard.create(QueueSpec {
        id,
        durable: false,
        auto_delete: true,
        settings: None,
    });
    for consumer in [1, 2, 3] {
        let consumer = Consumer {
            id: ConsumerId(consumer),
            outlet: ConnectionId(consumer / 2),
            ..t.consumer()
        };
        assert_eq!(t.shard.consume(id, consumer), Ok(()));
    }
    t.apply(Command::Gone { outlet: ConnectionId(1) });
    t.expect(&[]);
    assert!(t.shard.cancel(id, ConsumerId(1), &mut t.sink));
    t.expect(&["unused 2"]);
}

#[test]
fn commands_for_what_is_gone_do_nothing() {
    let mut t = Bench::durable();
    let (queue, consumer, first) = (QueueId(9), Some(ConsumerId(1)), Sequence(0));
    t.apply(Command::Publish {
        queue,
        records: Records::default(),
    });
    t.apply(Command::Settle {
        queue,
        consumer,
        first,
        count: 1,
    });
    t.apply(Command::Requeue {
        queue,
        consumer,
        first,
        count: 1,
        cause: crate::shard::ReturnCause::GivenBack,
    });
    t.apply(Command::Resume { outlet: ConnectionId(1) });
    t.apply(Command::Gone { outlet: ConnectionId(1) });
    t.apply(Command::Loaded {
        queue,
        chunk: first,
        data: Vec::new(),
    });
    t.apply(Command::Stored {
        queue,
        chunk: first,
        upto: 1,
    });
    t.apply(Command::Loaded {
        queue: QUEUE,
        chunk: first,
        data: Vec::new(),
    });
    t.apply(Command::Stored {
        queue: QUEUE,
        chunk: first,
        upto: 1,
    });
    t.dispatch();
    t.expect(&[]);
    assert_eq!(t.shard.counts(queue), None);
}

#[test]
fn a_paused_queue_gives_nothing_and_goes_on_where_it_was() {
    for group_by in [None, Some(ShortString::from("g"))] {
        let mut t = Bench::set(ShardLimits::default(), |settings| settings.group_by.clone_from(&group_by));
        let pause = |t: &mut Bench, paused: bool| {
            let settings = Settings {
                paused,
                group_by: group_by.clone(),
                message_ttl_ms: Some(100),
                ..Settings::default()
            };
            t.shard.configure(QUEUE, Some(Arc::new(settings)));
            t.dispatch();
        };
        t.advance(1000);
        t.consume(1, |consumer| consumer.prefetch = 1);
        pause(&mut t, true);
        t.headed("g", &["a", "b"]);
        t.dispatch();
        assert_eq!(t.get(false), Err(GetOutcome::Empty));
        t.expect_counts(2, 0);
        t.expect(&[]);
        t.advance(1100);
        t.headed("g", &["a"]);
        t.expect_counts(1, 0);
        pause(&mut t, false);
        t.expect(&["1 <- 2"]);
    }
}
