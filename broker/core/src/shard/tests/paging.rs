//! Leaving memory and coming back.

use super::*;

/// 1,000 messages of 29 octets in four chunks, of which a limit left the head and the tail in memory. There is room again.
fn paged() -> Bench {
    let mut t = Bench::small();
    t.publish(1000);
    t.collect();
    t.dispatch();
    t.expect(&["store 256..512", "store 512..768"]);
    t.stored();
    assert!(t.shard.resident_bytes() < 28_000, "{}", t.shard.resident_bytes());
    t.shard.common.limits.memory_bytes_max = 1 << 20;
    t
}

#[test]
fn chunks_between_head_and_tail_leave_when_the_store_has_them() {
    let mut t = Bench::small();
    t.publish(1000);
    t.dispatch();
    t.expect(&[]);
    t.collect();
    t.dispatch();
    t.expect(&["store 256..512", "store 512..768"]);
    let before = t.shard.resident_bytes();
    t.dispatch();
    t.expect(&[]);
    t.stored();
    assert!(t.shard.resident_bytes() + 14_000 < before);
    t.expect_counts(1000, 0);
}

#[test]
fn what_the_store_has_already_leaves_at_once() {
    let mut t = Bench::new(
        ShardLimits {
            memory_bytes_max: 45_000,
            ..ShardLimits::default()
        },
        true,
    );
    t.publish(1000);
    t.collect();
    t.checkpoint();
    t.stored();
    t.expect(&["store 0..256", "store 256..512", "store 512..768", "store 768..1000", "head 1000"]);
    t.publish(200);
    t.collect();
    t.dispatch();
    t.expect(&[]);
    assert!(t.shard.resident_bytes() <= 45_000);
}

#[test]
fn consumers_read_ahead() {
    let mut t = paged();
    t.consume(1, |consumer| consumer.no_ack = true);
    t.dispatch();
    t.expect(&["load 256", "load 512", "1 <- 0..256"]);
    t.dispatch();
    t.expect(&[]);
    t.load(512);
    t.dispatch();
    t.expect(&[]);
    t.load(256);
    t.dispatch();
    t.expect(&["1 <- 256..512", "forget 256", "1 <- 512..768", "forget 512", "1 <- 768..1000"]);
}

#[test]
fn get_waits_for_what_is_on_disk() {
    let mut t = paged();
    for number in 0..256 {
        assert_eq!(t.get(true), Ok((number, false)));
    }
    assert_eq!(t.get(true), Err(GetOutcome::Loading));
    assert_eq!(t.get(true), Err(GetOutcome::Loading));
    t.expect(&["load 256"]);
    t.load(256);
    assert_eq!(t.get(true), Ok((256, false)));
}

#[test]
fn what_comes_back_may_be_on_disk() {
    let mut t = paged();
    t.consume(1, |_| {});
    t.dispatch();
    t.load(256);
    t.load(512);
    t.dispatch();
    t.expect(&[
        "load 256",
        "load 512",
        "1 <- 0..256",
        "1 <- 256..512",
        "1 <- 512..768",
        "1 <- 768..1000",
    ]);
    t.shard.common.limits.memory_bytes_max = 1;
    t.dispatch();
    t.stored();
    t.expect(&["store 0..256", "store 768..1000"]);
    t.shard.common.limits.memory_bytes_max = 1 << 20;
    t.requeue(1, 300, 5);
    t.requeue(1, 3, 1);
    t.dispatch();
    t.expect(&["load 0", "load 256", "load 512", "load 768"]);
    t.load(256);
    t.dispatch();
    t.expect(&[]);
    t.load(0);
    t.dispatch();
    t.expect(&["1 <- 3..4 again", "1 <- 300..305 again"]);
}

#[test]
fn settling_what_is_on_disk_needs_no_reading() {
    let mut t = paged();
    t.consume(1, |_| {});
    t.dispatch();
    t.load(256);
    t.load(512);
    t.dispatch();
    t.sink.lines.clear();
    t.settle(1, 250, 300);
    t.checkpoint();
    t.expect(&["forget 256", "store 0..256", "store 768..1000", "entry 512", "head 1000"]);
    t.settle(1, 0, 1000);
    t.expect(&["forget 0", "forget 512", "forget 768"]);
    assert_eq!(t.shard.counts(QUEUE).map(|counts| (counts.unacked, counts.bytes)), Some((0, 0)));
}

#[test]
fn transient_messages_page_out_too_and_do_not_outlive_the_process() {
    let mut t = Bench::small();
    t.transient(1000);
    t.dispatch();
    t.expect(&["store 256..512", "store 512..768"]);
    t.stored();
    let next = t.restart(&[]);
    next.expect_counts(0, 0);
    t.shard.common.limits.memory_bytes_max = 1 << 20;
    t.consume(1, |consumer| consumer.no_ack = true);
    t.dispatch();
    t.load(256);
    t.load(512);
    t.dispatch();
    t.expect(&[
        "load 256",
        "load 512",
        "1 <- 0..256",
        "1 <- 256..512",
        "forget 256",
        "1 <- 512..768",
        "forget 512",
        "1 <- 768..1000",
    ]);
}

#[test]
fn damage_is_named_and_nothing_is_skipped() {
    type Damage = fn(&mut Vec<u8>);
    let cases: [(Damage, &str); 4] = [
        (|data| data.clear(), "the chunk is missing"),
        (|data| data.truncate(100), "100 octets where 7440 were expected"),
        (
            |data| data[0] = 9,
            "format version 9 is not known; was this directory written by a newer Stoa?",
        ),
        (|data| data[2] = 1, "257 records where the index has 256"),
    ];
    for (damage, error) in cases {
        let mut t = paged();
        t.consume(1, |_| {});
        t.dispatch();
        t.sink.lines.clear();
        let mut data = t.sink.chunks[&Sequence(256)].to_vec();
        damage(&mut data);
        t.apply(Command::Loaded {
            queue: QUEUE,
            chunk: Sequence(256),
            data,
        });
        t.expect(&[&format!("damaged 256: {error}")]);
        t.load(512);
        t.publish(1);
        t.dispatch();
        t.expect(&[]);
        assert_eq!(t.get(true), Err(GetOutcome::Loading), "a reader may try again");
        t.expect(&["load 256"]);
        t.load(256);
        t.dispatch();
        t.expect(&["1 <- 256..512", "1 <- 512..768", "1 <- 768..1001"]);
    }
    let mut t = paged();
    t.consume(1, |_| {});
    t.dispatch();
    let mut data = t.sink.chunks[&Sequence(256)].to_vec();
    data[5000] ^= 1;
    t.apply(Command::Loaded {
        queue: QUEUE,
        chunk: Sequence(256),
        data,
    });
    let last = t.sink.lines.pop();
    assert!(last.is_some_and(|line| line.starts_with("damaged 256: the checksum is ")));
}

#[test]
fn many_queues_page_out_even_heads_and_tails() {
    let mut t = Bench::small();
    for id in 2..30 {
        t.shard.create(QueueSpec {
            id: QueueId(id),
            durable: false,
            auto_delete: false,
            settings: None,
        });
        let mut run = Vec::new();
        (0..100).for_each(|_| record::push(&mut run, 0, 0, b"\0\x01q", b"", b"body of a message"));
        t.apply(Command::Publish {
            queue: QueueId(id),
            records: Records { bytes: &run, count: 100 },
        });
    }
    assert!(t.shard.resident_bytes() > 80_000 && t.shard.is_full());
    t.dispatch();
    for (id, chunk, upto) in std::mem::take(&mut t.sink.stored) {
        t.apply(Command::Stored { queue: id, chunk, upto });
    }
    assert!(t.shard.resident_bytes() < 20_000 && !t.shard.is_full());
}

#[test]
fn a_chunk_on_disk_costs_next_to_nothing() {
    assert_eq!(size_of::<crate::shard::chunk::Chunk>(), 48);
    let mut t = Bench::small();
    for _ in 0..100 {
        t.publish(2000);
        t.collect();
        t.dispatch();
        t.stored();
    }
    assert!(t.shard.resident_bytes() < 40_000, "{}", t.shard.resident_bytes());
    t.expect_counts(200_000, 0);
}

#[test]
fn transient_messages_behind_persistent_ones_do_not_keep_a_chunk_in_memory() {
    let mut t = Bench::small();
    t.publish(300);
    t.collect();
    t.transient(700);
    assert!(!t.shard.is_dirty());
    t.dispatch();
    t.stored();
    t.expect(&["store 256..512", "store 512..768"]);
}

#[test]
fn small_tails_give_up_the_room_that_they_do_not_use() {
    let mut t = Bench::new(
        ShardLimits {
            memory_bytes_max: 100_000,
            ..ShardLimits::default()
        },
        true,
    );
    for id in 2..30 {
        t.shard.create(QueueSpec {
            id: QueueId(id),
            durable: false,
            auto_delete: false,
            settings: None,
        });
        let mut run = Vec::new();
        (0..2).for_each(|_| record::push(&mut run, 0, 0, b"\0\x01q", b"", &[0; 250_000]));
        t.apply(Command::Publish {
            queue: QueueId(id),
            records: Records { bytes: &run, count: 2 },
        });
        run.clear();
        record::push(&mut run, 0, 0, b"\0\x01q", b"", b"small");
        t.apply(Command::Publish {
            queue: QueueId(id),
            records: Records { bytes: &run, count: 1 },
        });
        t.dispatch();
        t.stored();
    }
    t.dispatch();
    assert!(!t.shard.is_full(), "{}", t.shard.resident_bytes());
}

#[test]
fn what_was_read_ahead_leaves_again_when_nobody_wants_it() {
    let mut t = paged();
    t.consume(1, |consumer| consumer.prefetch = 1);
    t.dispatch();
    t.load(256);
    t.load(512);
    t.apply(Command::Gone { outlet: ConnectionId(1) });
    t.requeue(1, 0, 1);
    t.sink.lines.clear();
    let full = t.shard.resident_bytes();
    t.shard.common.limits.memory_bytes_max = full - 1;
    t.dispatch();
    t.expect(&[]);
    assert!(
        t.shard.resident_bytes() < full - 7000 && !t.shard.is_full(),
        "the store has it already"
    );
}
