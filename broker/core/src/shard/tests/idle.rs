//! Queues that are not used (`x-expires`).

use super::*;

fn idle(if_empty: bool) -> Bench {
    let mut t = Bench::set(ShardLimits::default(), |settings| {
        settings.expires_ms = Some(100);
        settings.expires_if_empty = if_empty;
    });
    t.advance(1000);
    t
}

#[test]
fn a_queue_that_is_not_used_expires_once() {
    let mut t = idle(false);
    t.publish(1);
    assert_eq!(t.next_due(), Some(1100));
    t.advance(1099);
    t.expect(&[]);
    t.advance(1100);
    t.expect(&["expired 1"]);
    assert_eq!(t.next_due(), None);
    assert!(t.shard.is_expired(QUEUE));
    t.advance(9000);
    t.expect(&[]);
    t.shard.touch(QUEUE);
    assert!(!t.shard.is_expired(QUEUE));
}

#[test]
fn each_use_starts_the_time_anew() {
    type Use = fn(&mut Bench);
    let uses: [(&str, Use); 3] = [
        ("get", |t| assert_eq!(t.get(true), Err(GetOutcome::Empty))),
        ("declare", |t| t.shard.touch(QUEUE)),
        ("policy", |t| t.shard.configure(QUEUE, t.settings.clone())),
    ];
    for (name, used) in uses {
        let mut t = idle(false);
        t.advance(1060);
        used(&mut t);
        t.advance(1159);
        t.expect(&[]);
        t.advance(1160);
        assert_eq!(t.sink.lines, ["expired 1"], "{name}");
    }
}

#[test]
fn a_consumer_is_a_use_as_long_as_it_is_there() {
    let mut t = idle(false);
    t.consume(7, |_| {});
    t.advance(5000);
    t.expect(&[]);
    t.shard.cancel(QUEUE, ConsumerId(7), &mut t.sink);
    t.advance(5099);
    t.expect(&[]);
    t.consume(8, |_| {});
    t.advance(7000);
    t.apply(Command::Gone { outlet: ConnectionId(8) });
    t.advance(7099);
    t.expect(&[]);
    t.advance(7100);
    t.expect(&["expired 1"]);
}

#[test]
fn with_messages_in_it_it_stays_if_it_is_to() {
    let mut t = idle(true);
    t.publish(1);
    t.advance(1100);
    t.advance(1250);
    t.expect(&[]);
    assert_eq!(t.get(true), Ok((0, false)));
    t.advance(1349);
    t.expect(&[]);
    t.advance(1350);
    t.expect(&["expired 1"]);
}
