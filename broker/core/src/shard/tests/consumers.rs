//! Consumers beside each other: priorities, limits of a channel, the single active one.

use super::*;
use crate::shard::Activity;

fn single_active(single_active: bool) -> Option<Arc<Settings>> {
    Some(Arc::new(Settings {
        single_active,
        ..Settings::default()
    }))
}

impl Bench {
    fn configure(&mut self, settings: Option<Arc<Settings>>) {
        self.shard.configure(QUEUE, settings);
        self.shard.invariants();
    }

    fn cancel(&mut self, id: u64) {
        assert!(self.shard.cancel(QUEUE, ConsumerId(id), &mut self.sink));
        self.shard.invariants();
    }

    fn gone(&mut self, outlet: u64) {
        self.apply(Command::Gone {
            outlet: ConnectionId(outlet),
        });
    }

    fn lend(&mut self, credit: u32, outlet: u64, channel: u16) {
        self.sink.credit = Some(credit);
        self.apply(Command::Lend {
            outlet: ConnectionId(outlet),
            channel,
        });
        self.dispatch();
    }

    fn limit(&mut self, outlet: u64, channel: u16, limited: bool) {
        self.shard.limit(ConnectionId(outlet), channel, limited);
        self.shard.invariants();
        self.dispatch();
    }

    fn activities(&self) -> Vec<(u64, &'static str)> {
        let consumers = self.shard.consumers(QUEUE);
        consumers.map(|one| (one.consumer.id.0, one.activity.name())).collect()
    }
}

#[test]
fn higher_priorities_come_first_while_they_have_credit() {
    let mut t = Bench::durable();
    t.consume(1, |consumer| consumer.priority = -1);
    t.consume(2, |consumer| (consumer.priority, consumer.prefetch) = (10, 1));
    t.consume(3, |consumer| consumer.prefetch = 2);
    t.consume(4, |consumer| (consumer.priority, consumer.prefetch) = (10, 2));
    t.consume(5, |consumer| consumer.prefetch = 1);
    t.publish(8);
    t.dispatch();
    t.expect(&["2 <- 0..1", "4 <- 1..3", "3 <- 3..4", "5 <- 4..5", "3 <- 5..6", "1 <- 6..8"]);
    t.settle(5, 4, 1);
    t.settle(2, 0, 1);
    t.publish(3);
    t.dispatch();
    t.expect(&["2 <- 8..9", "5 <- 9..10", "1 <- 10..11"]);
}

#[test]
fn equals_take_turns_beside_lower_priorities() {
    let mut t = Bench::durable();
    t.consume(1, |_| {});
    t.consume(2, |consumer| consumer.priority = 1);
    t.consume(3, |consumer| consumer.priority = 1);
    t.publish(3);
    t.dispatch();
    t.expect(&["2 <- 0..1", "3 <- 1..2", "2 <- 2..3"]);
    t.cancel(2);
    t.publish(2);
    t.dispatch();
    t.expect(&["3 <- 3..5"]);
    t.gone(3);
    t.publish(2);
    t.dispatch();
    t.expect(&["1 <- 5..7"]);
}

#[test]
fn who_is_stalled_does_not_hold_lower_priorities_up() {
    let mut t = Bench::new(
        ShardLimits {
            window_bytes: 93,
            ..ShardLimits::default()
        },
        true,
    );
    t.consume(1, |consumer| consumer.priority = 3);
    t.consume(2, |_| {});
    t.publish(3);
    t.dispatch();
    t.expect(&["1 <- 0..1", "stalled 1", "2 <- 1..2", "stalled 2"]);
    t.resume(2);
    t.resume(1);
    t.dispatch();
    t.expect(&["1 <- 2..3"]);
}

#[test]
fn a_channel_lends_what_it_has_and_again_when_it_has_more() {
    let mut t = Bench::durable();
    t.sink.credit = Some(2);
    t.consume(1, |consumer| consumer.limited = true);
    t.publish(5);
    t.dispatch();
    t.expect(&["1 <- 0..2", "refused 1"]);
    t.publish(1);
    t.dispatch();
    t.expect(&[]);
    t.lend(1, 1, 2);
    t.lend(1, 2, 1);
    t.expect(&[]);
    t.lend(1, 1, 1);
    t.expect(&["1 <- 2..3", "refused 1"]);
    t.lend(9, 1, 1);
    t.expect(&["1 <- 3..6"]);
    assert_eq!(t.sink.credit, Some(6));
}

#[test]
fn both_limits_hold_at_once() {
    let mut t = Bench::durable();
    t.sink.credit = Some(3);
    t.consume(1, |consumer| (consumer.limited, consumer.prefetch) = (true, 2));
    t.publish(6);
    t.dispatch();
    t.expect(&["1 <- 0..2"]);
    t.settle(1, 0, 2);
    t.dispatch();
    t.expect(&["1 <- 2..3", "refused 1"]);
    t.settle(1, 2, 1);
    t.dispatch();
    t.expect(&[]);
    t.lend(9, 1, 1);
    t.expect(&["1 <- 3..5"]);
}

#[test]
fn a_channel_without_credit_does_not_hold_others_up_and_serves_who_was_refused_first() {
    let mut t = Bench::durable();
    t.sink.credit = Some(1);
    let of_one = |consumer: &mut Consumer| (consumer.limited, consumer.outlet) = (true, ConnectionId(1));
    t.consume(1, of_one);
    t.consume(2, of_one);
    t.consume(3, |_| {});
    t.publish(4);
    t.dispatch();
    t.expect(&["1 <- 0..1", "refused 2", "3 <- 1..2", "refused 1", "3 <- 2..4"]);
    t.cancel(3);
    t.publish(2);
    t.lend(1, 1, 1);
    t.expect(&["2 <- 4..5", "refused 1", "refused 2"]);
    t.publish(3);
    for line in [["1 <- 5..6", "refused 2", "refused 1"], ["2 <- 6..7", "refused 1", "refused 2"]] {
        t.lend(1, 1, 1);
        t.expect(&line);
    }
}

#[test]
fn a_limit_comes_and_goes_under_consumers() {
    let mut t = Bench::durable();
    t.sink.credit = Some(0);
    t.consume(1, |_| {});
    t.consume(2, |consumer| (consumer.outlet, consumer.channel) = (ConnectionId(1), 2));
    t.publish(2);
    t.dispatch();
    t.expect(&["1 <- 0..1", "2 <- 1..2"]);
    t.limit(1, 1, true);
    t.publish(2);
    t.dispatch();
    t.expect(&["refused 1", "2 <- 2..4"]);
    t.limit(1, 2, true);
    t.publish(2);
    t.dispatch();
    t.expect(&["refused 2"]);
    t.limit(1, 1, false);
    t.expect(&["1 <- 4..6"]);
    t.limit(9, 1, true);
    t.consume(3, |consumer| (consumer.no_ack, consumer.limited) = (true, true));
    t.cancel(1);
    t.publish(1);
    t.dispatch();
    // It would take no credit, and waits all the same while there is none.
    t.expect(&["refused 3"]);
}

#[test]
fn a_refused_consumer_that_goes_is_forgotten() {
    let mut t = Bench::durable();
    t.sink.credit = Some(0);
    t.consume(1, |consumer| consumer.limited = true);
    t.publish(1);
    t.dispatch();
    t.cancel(1);
    t.consume(2, |consumer| (consumer.limited, consumer.outlet) = (true, ConnectionId(1)));
    t.dispatch();
    t.expect(&["refused 1", "refused 2"]);
    t.lend(1, 1, 1);
    t.expect(&["2 <- 0..1"]);
}

#[test]
fn one_consumer_is_active_until_it_goes() {
    let mut t = Bench::durable();
    t.configure(single_active(true));
    t.consume(1, |consumer| consumer.prefetch = 1);
    t.consume(2, |consumer| consumer.outlet = ConnectionId(4));
    t.consume(3, |consumer| consumer.priority = 5);
    t.consume(4, |consumer| consumer.priority = 5);
    assert_eq!(
        t.activities(),
        [(1, "single_active"), (2, "waiting"), (3, "waiting"), (4, "waiting")]
    );
    t.publish(3);
    t.dispatch();
    t.expect(&["1 <- 0..1"]);
    t.cancel(1);
    t.dispatch();
    t.expect(&["3 <- 1..3"]);
    // What the former one holds comes back to whoever is active.
    t.requeue(1, 0, 1);
    t.dispatch();
    t.expect(&["3 <- 0..1 again"]);
    t.cancel(2);
    t.gone(3);
    assert_eq!(t.activities(), [(4, "single_active")]);
    t.gone(4);
    assert_eq!(t.activities(), []);
    t.publish(1);
    t.consume(5, |_| {});
    t.dispatch();
    t.expect(&["5 <- 3..4"]);
}

#[test]
fn a_connection_that_goes_takes_all_its_consumers_before_the_next_is_active() {
    let mut t = Bench::durable();
    t.configure(single_active(true));
    for id in 1..4 {
        t.consume(id, |consumer| consumer.outlet = ConnectionId(id / 3));
    }
    t.publish(1);
    t.gone(0);
    t.dispatch();
    t.expect(&["3 <- 0..1"]);
}

#[test]
fn one_that_waits_is_not_reached_by_credit_or_windows() {
    let mut t = Bench::new(
        ShardLimits {
            window_bytes: 93,
            ..ShardLimits::default()
        },
        true,
    );
    t.configure(single_active(true));
    t.consume(1, |_| {});
    t.consume(2, |consumer| (consumer.outlet, consumer.limited) = (ConnectionId(1), true));
    t.publish(3);
    t.dispatch();
    t.expect(&["1 <- 0..1", "stalled 1"]);
    t.lend(1, 1, 1);
    t.cancel(1);
    t.dispatch();
    t.expect(&[]);
    t.resume(1);
    t.dispatch();
    t.expect(&["2 <- 1..2", "stalled 1"]);
}

#[test]
fn settings_change_under_consumers() {
    let mut t = Bench::durable();
    for id in 1..4 {
        t.consume(id, |consumer| (consumer.prefetch, consumer.priority) = (2, i32::from(id == 2)));
    }
    t.publish(3);
    t.dispatch();
    t.expect(&["2 <- 0..2", "1 <- 2..3"]);
    t.configure(single_active(true));
    assert_eq!(t.activities(), [(1, "waiting"), (2, "single_active"), (3, "waiting")]);
    t.publish(1);
    t.dispatch();
    t.expect(&[]);
    t.settle(2, 0, 1);
    t.settle(1, 2, 1);
    t.dispatch();
    t.expect(&["2 <- 3..4"]);
    t.configure(single_active(true));
    t.configure(None);
    assert_eq!(t.activities(), [(1, "up"), (2, "up"), (3, "up")]);
    t.publish(2);
    t.dispatch();
    t.expect(&["1 <- 4..5", "3 <- 5..6"]);
    assert!(t.activities().iter().all(|(_, activity)| *activity == Activity::Up.name()));
}

#[test]
fn nobody_has_a_queue_with_a_single_active_consumer_for_itself() {
    let mut t = Bench::durable();
    t.configure(single_active(true));
    let exclusive = |consumer: &mut Consumer| consumer.exclusive = true;
    assert_eq!(t.try_consume(1, exclusive), Err(ConsumeError::ExclusiveUse));
    t.consume(1, |_| {});
    t.configure(single_active(false));
    t.cancel(1);
    t.consume(2, exclusive);
}

/// Quorum queues of RabbitMQ 4.0.
#[test]
fn an_active_consumer_gives_way_to_a_higher_priority_once_it_holds_nothing() {
    let mut t = Bench::durable();
    t.configure(Some(Arc::new(Settings {
        single_active: true,
        active_yields: true,
        ..Settings::default()
    })));
    t.consume(1, |consumer| consumer.prefetch = 2);
    t.publish(5);
    t.dispatch();
    t.expect(&["1 <- 0..2"]);
    t.consume(2, |_| ());
    t.settle(1, 0, 1);
    t.dispatch();
    t.expect(&["1 <- 2..3"]);
    t.consume(3, |consumer| consumer.priority = 5);
    t.consume(4, |consumer| consumer.priority = 9);
    t.settle(1, 1, 1);
    t.dispatch();
    // It holds one more, so it is the active one still, and gets nothing.
    t.expect(&[]);
    assert_eq!(t.activities()[0], (1, "single_active"));
    t.settle(1, 2, 1);
    t.dispatch();
    t.expect(&["4 <- 3..5"]);
    let waiting = |id| (id, "waiting");
    assert_eq!(t.activities(), [waiting(1), waiting(2), waiting(3), (4, "single_active")]);
    t.cancel(4);
    t.publish(1);
    t.dispatch();
    t.expect(&["3 <- 5..6"]);
}

#[test]
fn an_active_consumer_stays_if_who_it_gives_way_to_goes() {
    let mut t = Bench::durable();
    t.configure(Some(Arc::new(Settings {
        single_active: true,
        active_yields: true,
        ..Settings::default()
    })));
    t.consume(1, |consumer| consumer.prefetch = 1);
    t.publish(2);
    t.dispatch();
    t.expect(&["1 <- 0..1"]);
    t.consume(2, |consumer| consumer.priority = 1);
    t.cancel(2);
    t.settle(1, 0, 1);
    t.dispatch();
    t.expect(&["1 <- 1..2"]);
    t.settle(1, 1, 1);
    // Who holds nothing gives way at once.
    t.consume(3, |consumer| consumer.priority = 1);
    t.publish(1);
    t.dispatch();
    t.expect(&["3 <- 2..3"]);
}
