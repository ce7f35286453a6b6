//! Purging and deleting.

use super::*;
use crate::shard::DeleteError;

#[test]
fn a_purge_takes_what_is_ready_and_leaves_what_is_unacked() {
    let mut t = Bench::durable();
    t.publish(600);
    t.collect();
    t.consume(1, |consumer| consumer.prefetch = 300);
    t.dispatch();
    t.requeue(1, 5, 2);
    assert!(t.shard.cancel(QUEUE, ConsumerId(1), &mut t.sink));
    assert_eq!(t.shard.purge(QUEUE, &mut t.sink), 302);
    t.shard.invariants();
    t.expect_counts(0, 298);
    assert_eq!(t.collect(), ["settled 5..7", "settled 300..600"]);
    t.publish(1);
    assert_eq!(t.get(true), Ok((600, false)));
    t.settle(1, 0, 600);
    t.expect_counts(0, 0);
    assert_eq!(t.shard.purge(QUEUE, &mut t.sink), 0);
    assert_eq!(t.shard.purge(QueueId(9), &mut t.sink), 0);
}

#[test]
fn a_queue_is_deleted_if_its_conditions_hold() {
    let mut t = Bench::durable();
    t.publish(3);
    t.consume(1, |consumer| consumer.prefetch = 1);
    t.dispatch();
    t.checkpoint();
    t.sink.lines.clear();
    assert_eq!(t.shard.delete(QUEUE, true, false, &mut t.sink), Err(DeleteError::InUse));
    assert_eq!(t.shard.delete(QUEUE, false, true, &mut t.sink), Err(DeleteError::NotEmpty));
    assert_eq!(t.shard.delete(QueueId(9), false, false, &mut t.sink), Err(DeleteError::NotFound));
    t.expect(&[]);
    assert_eq!(t.shard.delete(QUEUE, false, false, &mut t.sink), Ok(2));
    t.expect(&["cancelled 1 of 1", "forget 0", "forget head"]);
    assert_eq!((t.shard.counts(QUEUE), t.shard.resident_bytes()), (None, 0));
    t.settle(1, 0, 1);
    t.dispatch();
    assert!(t.collect().is_empty());
    t.checkpoint();
    t.expect(&[]);
}

#[test]
fn a_queue_of_many_chunks_goes_as_a_range() {
    let mut t = Bench::durable();
    t.publish(256 * 100);
    t.collect();
    t.checkpoint();
    t.sink.lines.clear();
    assert_eq!(t.get(false), Ok((0, false)));
    assert_eq!(t.shard.purge(QUEUE, &mut t.sink), 25_599);
    t.expect(&["forget 256 to 25344"]);
    assert_eq!(t.collect(), ["settled 1..25600"]);
    t.publish(256 * 100);
    t.collect();
    t.checkpoint();
    t.sink.lines.clear();
    assert_eq!(t.shard.delete(QUEUE, false, false, &mut t.sink), Ok(25_600));
    t.expect(&["forget 0 to head"]);
}

#[test]
fn lists_do_not_fill_with_queues_that_are_gone() {
    let mut t = Bench::durable();
    for id in 2..2000 {
        let id = QueueId(id);
        t.shard.create(QueueSpec {
            id,
            durable: true,
            auto_delete: false,
            settings: None,
        });
        let mut run = Vec::new();
        (0..300).for_each(|_| record::push(&mut run, flags::PERSISTENT, 0, b"\0\x01q", b"", b"12345678"));
        t.shard.apply(
            Command::Publish {
                queue: id,
                records: Records { bytes: &run, count: 300 },
            },
            &mut t.sink,
        );
        assert_eq!(t.shard.delete(id, false, false, &mut t.sink), Ok(300));
    }
    let common = &t.shard.common;
    assert!(common.uncollected.len() < 100 && common.unstored.len() < 100 && common.spillable.len() < 100);
}
