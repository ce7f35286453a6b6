//! Starting again from a table and a journal (invariant 6).

use super::*;

/// What the first consumer of a fresh start is delivered.
fn deliveries(t: &mut Bench) -> Vec<String> {
    t.consume(7, |_| {});
    loop {
        t.dispatch();
        let loads: Vec<_> = t
            .sink
            .lines
            .iter()
            .filter_map(|line| line.strip_prefix("load ")?.parse().ok())
            .collect();
        t.sink.lines.retain(|line| !line.starts_with("load "));
        if loads.is_empty() {
            break;
        }
        loads.into_iter().for_each(|chunk| t.load(chunk));
    }
    std::mem::take(&mut t.sink.lines)
}

#[test]
fn the_journal_alone() {
    let mut t = Bench::durable();
    t.publish(10);
    let first = t.collect_log();
    t.transient(2);
    t.consume(1, |_| {});
    t.dispatch();
    t.settle(1, 0, 3);
    t.settle(1, 5, 1);
    t.publish(3);
    let second = t.collect_log();
    let mut next = t.restart(&[&first, &second]);
    next.expect_counts(9, 0);
    assert_eq!(deliveries(&mut next), ["7 <- 3..5 again", "7 <- 6..10 again", "7 <- 12..15 again"]);
    let mut next = t.restart(&[&first]);
    assert_eq!(deliveries(&mut next), ["7 <- 0..10 again"]);
}

#[test]
fn a_wide_gap_begins_a_new_chunk() {
    let mut t = Bench::durable();
    t.publish(2);
    t.transient(100);
    t.publish(2);
    let log = t.collect_log();
    let mut next = t.restart(&[&log]);
    next.checkpoint();
    next.expect(&["store 0..2", "store 102..104", "head 104"]);
    assert_eq!(deliveries(&mut next), ["7 <- 0..2 again", "7 <- 102..104 again"]);
}

#[test]
fn a_table_and_the_journal_behind_it() {
    let mut t = Bench::durable();
    t.publish(300);
    let first = t.collect_log();
    t.checkpoint();
    t.consume(1, |_| {});
    t.dispatch();
    t.settle(1, 0, 256);
    t.settle(1, 260, 5);
    let second = t.collect_log();
    t.publish(5);
    let third = t.collect_log();
    for commits in [&[&first[..], &second[..], &third[..]][..], &[&second, &third]] {
        let mut next = t.restart(commits);
        next.expect_counts(44, 0);
        assert_eq!(
            deliveries(&mut next),
            ["7 <- 256..260 again", "7 <- 265..300 again", "7 <- 300..305 again"]
        );
    }
}

#[test]
fn what_the_replay_settled_is_forgotten() {
    let mut t = Bench::durable();
    t.publish(300);
    t.collect();
    t.checkpoint();
    let (index, chunks) = (t.sink.index.clone(), t.sink.chunks.clone());
    t.consume(1, |_| {});
    t.dispatch();
    t.settle(1, 0, 260);
    let log = t.collect_log();
    (t.sink.index, t.sink.chunks) = (index, chunks);
    let mut next = t.restart(&[&log]);
    next.dispatch();
    next.expect(&["forget 0"]);
    next.checkpoint();
    next.expect(&["entry 256", "head 300"]);
}

#[test]
fn after_a_start_everything_goes_on_as_before() {
    let mut t = Bench::durable();
    t.publish(3);
    let first = t.collect_log();
    let mut t = t.restart(&[&first]);
    t.publish(2);
    t.consume(1, |_| {});
    t.dispatch();
    t.expect(&["1 <- 0..3 again", "1 <- 3..5"]);
    let second = t.collect_log();
    assert_eq!(read_log(&second), ["messages 3..5"]);
    t.settle(1, 1, 3);
    let third = t.collect_log();
    assert_eq!(read_log(&third), ["settled 1..4"]);
    let mut next = t.restart(&[&first, &second, &third]);
    assert_eq!(deliveries(&mut next), ["7 <- 0..1 again", "7 <- 4..5 again"]);
}

#[test]
fn the_same_start_twice_is_the_same_start() {
    let mut t = Bench::durable();
    t.publish(600);
    let first = t.collect_log();
    t.consume(1, |_| {});
    t.dispatch();
    t.settle(1, 100, 300);
    let second = t.collect_log();
    let once = t.restart(&[&first, &second]);
    let mut twice = once.restart(&[&first, &second]);
    twice.expect_counts(300, 0);
    twice.checkpoint();
    let mut stored = twice.restart(&[&first, &second]);
    stored.expect_counts(300, 0);
    assert_eq!(
        deliveries(&mut stored),
        ["7 <- 0..100 again", "7 <- 400..512 again", "7 <- 512..600 again"]
    );
}

#[test]
fn after_a_clean_stop_only_what_was_delivered_is_marked() {
    let mut t = Bench::durable();
    t.publish(10);
    t.collect();
    t.consume(1, |consumer| consumer.prefetch = 4);
    t.dispatch();
    t.settle(1, 0, 2);
    t.requeue(1, 2, 2);
    t.checkpoint();
    let mut next = Bench::durable();
    next.sink.chunks.clone_from(&t.sink.chunks);
    for (key, value) in &t.sink.index {
        let restored = next.shard.restore_entry(key, value);
        assert_eq!(restored, Ok(crate::shard::Restored::Kept));
    }
    next.shard.recovered_after_clean_stop();
    assert_eq!(deliveries(&mut next), ["7 <- 2..4 again", "7 <- 4..10"]);
}

#[test]
fn entries_that_mean_nothing_any_more_are_obsolete_and_wrong_ones_are_refused() {
    use crate::shard::{IndexEntry, Restored, StoredError};
    let mut t = Bench::durable();
    t.publish(3);
    t.checkpoint();
    let (key, value) = t.sink.index.first_key_value().expect("a chunk's entry");
    let foreign = stored::chunk_key(QueueId(99), Sequence(0));
    let mut next = Bench::durable().shard;
    assert_eq!(next.restore_entry(&foreign, value), Ok(Restored::Obsolete));
    assert_eq!(next.restore_entry(key, value), Ok(Restored::Kept));
    assert_eq!(next.restore_entry(key, value), Err(StoredError::Overlap));
    assert_eq!(
        next.restore_entry(&key[1..], value),
        Err(StoredError::Size { expected: 16, found: 15 })
    );
    for end in 0..value.len() {
        assert!(IndexEntry::decode(&value[..end]).is_err(), "cut at {end}");
    }
    let mut newer = value.clone();
    newer[0] = 2;
    assert_eq!(IndexEntry::decode(&newer), Err(StoredError::Version(2)));
    newer[..2].copy_from_slice(&[1, 9]);
    assert_eq!(IndexEntry::decode(&newer), Err(StoredError::Kind(9)));
}

#[test]
fn what_only_the_table_knew_to_be_settled_stays_settled_when_its_chunk_goes() {
    let mut t = Bench::durable();
    t.publish(3);
    let first = t.collect_log();
    t.consume(1, |_| {});
    t.dispatch();
    t.settle(1, 0, 1);
    t.checkpoint();
    // The commit of that settlement is lost, the table's write is not.
    let mut t = t.restart(&[&first]);
    t.expect_counts(2, 0);
    t.consume(1, |consumer| consumer.no_ack = true);
    t.dispatch();
    t.load(0);
    t.dispatch();
    let second = t.collect_log();
    assert_eq!(read_log(&second), ["settled 0..3"]);
    t.sink.index.clear();
    t.restart(&[&first, &second]).expect_counts(0, 0);
}

#[test]
fn so_it_does_when_the_replay_lets_the_chunk_go() {
    let mut t = Bench::durable();
    t.publish(3);
    let first = t.collect_log();
    t.consume(1, |_| {});
    t.dispatch();
    t.settle(1, 0, 1);
    t.checkpoint();
    let mut second = Vec::new();
    let (queue, first_settled) = (QUEUE, Sequence(1));
    LogWriter::new(&mut second).push(LogRecord::Settled {
        queue,
        first: first_settled,
        count: 2,
    });
    let mut t = t.restart(&[&first, &second]);
    t.expect_counts(0, 0);
    assert_eq!(t.collect(), ["settled 0..3"]);
}
