//! Queues of delayed-message exchanges: what is due leaves, nobody consumes, and what waits costs no memory.

use super::*;

fn delays(limits: ShardLimits) -> Bench {
    let mut t = Bench::set(limits, |settings| settings.delays = true);
    t.advance(1_000_000);
    t
}

#[test]
fn what_is_due_leaves_in_order_of_time() {
    let mut t = delays(ShardLimits::default());
    t.timed(&[Some(1_200_000), Some(1_001_000), Some(1_100_000), Some(1_001_000), Some(1_000_000)]);
    t.expect_all_counts(0, 0, 5, 0);
    t.dispatch();
    t.expect(&["dead 4: due"]);
    for (now, lines) in [
        (1_000_999, &[][..]),
        (1_001_000, &["dead 1: due", "dead 3: due"]),
        (1_150_000, &["dead 2: due"]),
        (2_000_000, &["dead 0: due"]),
    ] {
        t.advance(now);
        let numbers = t.sink.lines.join(" ").replace(": due dead", "");
        assert_eq!(numbers, lines.join(" ").replace(": due dead", ""), "at {now}");
        t.sink.lines.clear();
    }
    t.expect_all_counts(0, 0, 0, 5);
    t.answer(true);
    t.expect_all_counts(0, 0, 0, 0);
}

#[test]
fn a_restart_finds_all_of_them() {
    let mut t = delays(ShardLimits::default());
    t.timed(&[Some(1_200_000), Some(1_001_000), Some(90_000_000_000)]);
    let log = t.collect_log();
    t.checkpoint();
    let mut next = t.restart(&[&log]);
    assert_eq!(next.next_due(), Some(1_001_000));
    next.advance(1_300_000);
    next.load_all();
    next.expect(&["dead 1: due", "dead 0: due"]);
    next.expect_all_counts(0, 0, 1, 2);
}

#[test]
fn many_that_wait_are_on_disk_and_each_leaves_on_time() {
    const COUNT: u64 = 20_000;
    let mut t = delays(ShardLimits {
        memory_bytes_max: 100_000,
        ..ShardLimits::default()
    });
    // A spread of delays without pattern, up to three days.
    let due = |number: u64| 1_000_001 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 259_200_000;
    let dues: Vec<_> = (0..COUNT).map(|number| Some(due(number))).collect();
    for run in dues.chunks(500) {
        t.timed(run);
        t.collect_log();
        t.dispatch();
        t.stored();
    }
    t.dispatch();
    t.stored();
    assert!(t.shard.resident_bytes() < 300_000, "{} octets", t.shard.resident_bytes());
    t.sink.lines.clear();
    let mut now = 1_000_000;
    let mut left = 0;
    while left < 2000 {
        now = t.next_due().expect("something is due").max(now + 1);
        t.shard.advance(Millis(now));
        t.shard.dispatch(&mut t.sink);
        loop {
            let loads = |line: &String| line.strip_prefix("load ")?.parse::<u64>().ok();
            let wanted: Vec<_> = t.sink.lines.iter().filter_map(loads).collect();
            t.sink.lines.clear();
            if wanted.is_empty() {
                break;
            }
            for chunk in wanted {
                let (chunk, queue) = (Sequence(chunk), QUEUE);
                let data = t.sink.chunks[&chunk].to_vec();
                t.shard.apply(Command::Loaded { queue, chunk, data }, &mut t.sink);
            }
            while t.shard.dispatch(&mut t.sink) {}
            for (queue, chunk, upto) in std::mem::take(&mut t.sink.stored) {
                t.shard.apply(Command::Stored { queue, chunk, upto }, &mut t.sink);
            }
        }
        left += t.sink.letters.iter().map(|(_, count)| u64::from(*count)).sum::<u64>();
        for (first, count) in std::mem::take(&mut t.sink.letters) {
            let (queue, taken) = (QUEUE, true);
            t.shard.apply(
                Command::DeadLettered {
                    queue,
                    first,
                    count,
                    taken,
                },
                &mut t.sink,
            );
        }
    }
    t.shard.invariants();
    let expected = (0..COUNT).filter(|&number| due(number) <= now).count() as u64;
    assert_eq!(left, expected);
    t.expect_all_counts(0, 0, COUNT - left, 0);
}

#[test]
fn what_is_found_due_at_once_leaves_in_order_of_time() {
    let mut t = delays(ShardLimits {
        letters_max: 100,
        ..ShardLimits::default()
    });
    // All within a second, as if the broker had been down when they were due.
    let due = |number: u64| 1_100_000 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1000;
    let dues: Vec<_> = (0..200).map(|number| Some(due(number))).collect();
    t.timed(&dues);
    t.advance(2_000_000);
    while !t.sink.letters.is_empty() {
        assert!(t.sink.letters.iter().map(|(_, count)| count).sum::<u32>() <= 100);
        t.answer(true);
        t.dispatch();
    }
    let numbers: Vec<u64> = t
        .sink
        .lines
        .iter()
        .flat_map(|line| line.trim_start_matches("dead ").trim_end_matches(": due").split(' '))
        .filter_map(|number| number.parse().ok())
        .collect();
    assert_eq!(numbers.len(), 200);
    assert!(numbers.is_sorted_by_key(|&number| due(number)), "{numbers:?}");
    t.expect_all_counts(0, 0, 0, 0);
}
