//! What probes see, and what they do not.

use super::*;

impl Bench {
    /// Time in queue and time to acknowledge, each as count and sum, and the messages that expired.
    fn seen(&self) -> ((u64, u64), (u64, u64), u64) {
        let latency = self.shard.latency(QUEUE).expect("the queue is there");
        let of = |histogram: &crate::shard::Histogram| (histogram.count(), histogram.sum_ms());
        (of(&latency.queue), of(&latency.ack), latency.expired)
    }
}

fn at(now: u64, t: &mut Bench) {
    t.shard.advance(Millis(now));
}

#[test]
fn one_message_is_followed_at_a_time() {
    let mut t = Bench::durable();
    at(1000, &mut t);
    t.publish(3);
    at(1010, &mut t);
    t.publish(2);
    assert_eq!(t.get(false), Ok((0, false)));
    assert_eq!(t.seen(), ((1, 10), (0, 0), 0));
    at(1500, &mut t);
    t.publish(1);
    t.consume(1, |_| {});
    t.dispatch();
    assert_eq!(t.seen(), ((1, 10), (0, 0), 0), "the others were not followed");
    t.settle(1, 1, 4);
    assert_eq!(t.seen(), ((1, 10), (0, 0), 0));
    t.settle(1, 0, 1);
    assert_eq!(t.seen(), ((1, 10), (1, 490), 0));
    t.publish(1);
    at(1502, &mut t);
    t.dispatch();
    at(1509, &mut t);
    t.settle(1, 5, 2);
    assert_eq!(t.seen(), ((2, 12), (2, 497), 0));
}

#[test]
fn without_acknowledgement_there_is_only_the_wait() {
    let mut t = Bench::durable();
    at(1000, &mut t);
    t.consume(1, |consumer| consumer.no_ack = true);
    for now in [2000, 3000] {
        t.publish(300);
        at(now, &mut t);
        t.dispatch();
    }
    assert_eq!(t.seen(), ((2, 2000), (0, 0), 0));
}

#[test]
fn a_probe_ends_with_a_rejection_and_in_vain_with_a_return() {
    let mut t = Bench::durable();
    at(1000, &mut t);
    t.publish(1);
    assert_eq!(t.get(false), Ok((0, false)));
    at(1100, &mut t);
    t.requeue(0, 0, 1);
    assert_eq!(t.get(false), Ok((0, true)));
    assert_eq!(t.seen(), ((1, 0), (0, 0), 0));
    t.publish(1);
    assert_eq!(t.get(false), Ok((1, false)));
    at(1300, &mut t);
    let (queue, consumer, first, count) = (QUEUE, None, Sequence(1), 1);
    t.apply(Command::Reject {
        queue,
        consumer,
        first,
        count,
    });
    assert_eq!(t.seen(), ((2, 0), (1, 200), 0));
}

#[test]
fn a_message_that_left_otherwise_is_not_followed_for_ever() {
    let mut t = Bench::set(ShardLimits::default(), |settings| settings.message_ttl_ms = Some(100));
    at(1000, &mut t);
    t.publish(2);
    t.advance(1200);
    assert_eq!(t.seen(), ((0, 0), (0, 0), 2), "both have expired");
    t.publish(1);
    t.get(true).expect("it has just come");
    assert_eq!(t.seen().0, (0, 0), "the probe is not missed yet");
    at(2001, &mut t);
    t.publish(1);
    at(2004, &mut t);
    t.get(true).expect("it has just come");
    assert_eq!(t.seen(), ((1, 3), (0, 0), 2));
}

#[test]
fn nothing_is_observed_if_it_is_not_wanted_or_nobody_consumes() {
    let mut t = Bench::durable();
    t.shard.common.limits.probes = false;
    at(1000, &mut t);
    t.publish(1);
    t.get(true).expect("a message");
    assert_eq!(t.seen(), ((0, 0), (0, 0), 0));
    let mut t = Bench::set(ShardLimits::default(), |settings| settings.delays = true);
    at(1_000_000, &mut t);
    t.timed(&[Some(1_000_001)]);
    t.advance(1_000_002);
    assert_eq!(t.seen(), ((0, 0), (0, 0), 0), "what is due has not expired");
}
